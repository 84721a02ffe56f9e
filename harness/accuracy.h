/* accuracy.h: the accuracy laboratory. Every kernel on every family of data, judged against the oracle.
 *
 * One result is one kernel on one family at one hidden, all its rows together. E, ulp and the bounds are
 * docs/numerics.md's. Each kernel runs in a process of its own, which may crash or hang. */
#ifndef NB_ACCURACY_H
#define NB_ACCURACY_H

#include "check.h"
#include "families.h"
#include "select.h"

struct nb_accuracy {
    const struct nb_kernel *kernel;
    const struct nb_family *family;
    size_t hidden, rows; /* of norms of columns: the length of a column, and columns */
    enum nb_verdict verdict; /* PASS, FAIL_VALUE, FAIL_NONFINITE, FAIL_ABI, CRASHED, TIMED_OUT, SKIP_OPTION; UNTESTED:
                              * every row lies outside the bound's precondition; MISTRUSTED: the bound is so
                              * wide on every row that any output would pass */
    char reason[160];
    size_t inside, unstable, overflow; /* rows */
    size_t nonfinite;            /* elements where NaN, Inf or its sign is wrong, in rows inside */
    double k1, k2;               /* largest of the rows; NaN: none (RMSNorm has no k1) */
    double E_max, E_p99;         /* of rows inside; NaN when there is none */
    double E_any;                /* of all rows; Inf where NaN, Inf or its sign is wrong */
    double bound, likely;        /* smallest limits on E; likely NaN: the data is not random */
    double share, share_likely;  /* largest error over what the bound allows */
    double ulp_max, normwise, rms_error; /* normwise and rms of all rows, ulp of rows inside */
    double mean_error, rstd_error; /* in u*mean|x| and u*rstd, rows inside; NaN: none */
    uint32_t ulp[NB_REF_ULP_BINS]; /* elements of rows inside */
};

struct nb_accuracy_options {
    struct nb_block block;          /* op, algo, isa, dtype, param-dtype, hidden, kernel */
    const char *families;           /* globs, comma-separated; NULL: all */
    uint64_t seed;
    double eps;                     /* where a family has none of its own */
    uint32_t eps_mode, order, gemma; /* of every problem */
    double timeout_s;
    const char *out;                /* folder; made if it does not exist */
    const char *times;              /* run folder for time against accuracy, or NULL */
    const char *baseline, *record;  /* CSV of kernel,hidden,E_max,family,share: compared with, written to; or NULL */
    const char *command;
    bool quiet;
};

/* Runs the laboratory, writes accuracy.csv and what is made of it. exit_code: 2 when something failed. */
NB_USE_RESULT enum nb_status nb_accuracy_run(const struct nb_accuracy_options *o, int *exit_code,
                                             struct nb_err *err);

/* One kernel on one family at one hidden, in this process: for tests. */
void nb_accuracy_one(const struct nb_accuracy_options *o, const struct nb_kernel *k,
                     const struct nb_family *f, size_t hidden, struct nb_accuracy *result);

#endif
