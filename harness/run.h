/* run.h: the orchestrator. Plans, checks, calibrates, screens, measures, reports. */
#ifndef NB_RUN_H
#define NB_RUN_H

#include "err.h"
#include "select.h"

struct nb_run_options {
    struct nb_preset preset;
    const char *out;    /* NULL: a new folder under results/ */
    const char *resume; /* NULL: a new run */
    bool selection_given; /* something beside --resume was asked for */
    bool quiet;
    bool force;         /* measure also where results mean nothing, and mark them */
    bool json;          /* check: one JSON object a line */
    double timeout_s;   /* of a kernel that makes no progress */
    char *command;      /* what was typed */
};

/* The whole job; *exit_code: 0; 2 when a kernel failed; 3 when one is below a bar that this machine is
 * judged by. */
NB_USE_RESULT enum nb_status nb_run(const struct nb_run_options *o, int *exit_code,
                                    struct nb_err *err);

/* Checks alone, printed on stdout. */
NB_USE_RESULT enum nb_status nb_run_check(const struct nb_run_options *o, int *exit_code,
                                          struct nb_err *err);

#endif
