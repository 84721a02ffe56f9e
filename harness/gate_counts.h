/* gate_counts.h: the counts of two builds, compared exactly. */
#ifndef NB_GATE_COUNTS_H
#define NB_GATE_COUNTS_H

#include "err.h"

#include <jansson.h>
#include <stdbool.h>

enum nb_count_verdict {
    NB_COUNT_IDENTICAL, /* in instructions, reads and writes */
    NB_COUNT_CHANGED,   /* as many instructions, other reads or writes */
    NB_COUNT_MORE,
    NB_COUNT_FEWER,
    NB_COUNT_ADDED,     /* no such kernel in the base */
    NB_COUNT_REMOVED,
    NB_COUNT_BROKEN,    /* counted in the base; in the head it fails its check, crashes or hangs */
    NB_COUNT_NONE,      /* not counted in one of them, or in neither */
    NB_COUNT_VERDICTS
};
const char *nb_count_verdict_name(enum nb_count_verdict v);

/* Two files of `normbench count` -> {"base", "head": git, "tolerance": %, "rows": [{"cell", "kernel", "verdict", "red",
 * "base", "head": instructions or null, "reads", "writes": head - base or null, "reason"}], "red": how many}. red: more
 * instructions by over tolerance percent. */
json_t *nb_gate_counts_compare(const json_t *base, const json_t *head, double tolerance);

struct nb_gate_counts_options {
    const char *base, *head;      /* programs; head NULL: this one */
    const char *const *selection; /* words for `normbench count`, NULL behind the last; NULL: none */
    const char *out;              /* folder for counts.md, base.json, head.json; NULL: none */
    double tolerance;             /* percent */
    bool quiet;
};

/* Runs `count` of both and prints what differs. *exit_code: 2 a broken kernel, else 3 a red one, else 0. */
NB_USE_RESULT enum nb_status nb_gate_counts(const struct nb_gate_counts_options *o, int *exit_code,
                                            struct nb_err *err);

/* `normbench gate --counts ...` */
NB_USE_RESULT enum nb_status nb_cmd_gate_counts(int argc, char **argv, int *exit_code, struct nb_err *err);

#endif
