/* gate.h: did this change make a kernel slower? Two builds, driven by one plan (docs/measurement.md, "The gate"). */
#ifndef NB_GATE_H
#define NB_GATE_H

#include "gate_verdict.h"
#include "select.h"

#include <jansson.h>

struct nb_gate_options {
    struct nb_preset preset;
    const char *base;        /* a program; head is this one */
    const char *base_plugin; /* loaded by base instead of what this process has loaded; NULL: none */
    double budget_s;         /* for measuring */
    double margin;           /* as a share; NAN: auto */
    unsigned blocks;         /* of the confirmation; 0: 30 */
    const char *out;         /* NULL: a new folder under results/ */
    bool quiet;
    double timeout_s;
    char *command;
    bool force;   /* not refused on a machine where results mean nothing; they are marked */
    double plant; /* self-test: head is given so much more work, as a share, in one comparison; 0: none */
    bool bare;    /* self-test: gate.json alone, no other derived files */
};

struct nb_gate_result {
    struct nb_gate_set set;
    json_t *json;      /* gate.json */
    char dir[4096];    /* where it lies */
    int exit_code;
    double measuring_s;
};

/* The whole job, files included. Interrupted or impossible: a status, and no verdict. */
NB_USE_RESULT enum nb_status nb_gate(const struct nb_gate_options *o, struct nb_gate_result *r,
                                     struct nb_err *err);
void nb_gate_result_free(struct nb_gate_result *r);

/* Commands. */
NB_USE_RESULT enum nb_status nb_cmd_gate(int argc, char **argv, int *code, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_cmd_gate_selftest(int argc, char **argv, int *code, struct nb_err *err);

#endif
