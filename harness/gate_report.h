/* gate_report.h: what a gate has found, as files and on a terminal. All from gate.json (docs/schema.md). */
#ifndef NB_GATE_REPORT_H
#define NB_GATE_REPORT_H

#include "err.h"
#include "gate_verdict.h"

#include <jansson.h>
#include <stdio.h>

/* What stands in gate.json beside the comparisons. */
struct nb_gate_context {
    const char *command, *preset, *cpu;
    const char *base, *head;           /* what `--version` prints */
    const char *base_path;             /* NULL: this program */
    double budget_s, measuring_s;
    size_t discarded, skipped;
    double process_ms;                /* what a process of the confirmation costs before its first round */
    unsigned screen_rounds, confirm_rounds; /* a process */
    uint64_t seed;
    json_t *forced; /* reasons for which this run would have been refused; empty: none */
};
json_t *nb_gate_json(const struct nb_gate_set *set, const struct nb_gate_context *c);

/* gate.md (for a pull request's comment), gate.junit.xml and plots/gate beside it. */
NB_USE_RESULT enum nb_status nb_gate_files(const json_t *gate, const char *dir, struct nb_err *err);

/* gate.md. */
void nb_gate_md(const json_t *gate, FILE *f);

/* The verdict in a few lines: what is slower, faster, not resolved, and what could have been seen. */
void nb_gate_terminal(const json_t *gate, const char *dir, FILE *f);

#endif
