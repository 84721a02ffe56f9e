/* check.h: is a kernel right in a cell? Compares with the oracle, looks for writes out of bounds,
 * unwritten output and runs that differ. */
#ifndef NB_CHECK_H
#define NB_CHECK_H

#include "plan.h"
#include "reference.h"

#include <jansson.h>

enum nb_verdict {
    NB_UNTESTED, /* the initial value; counts as a failure */
    NB_PASS,
    NB_FAIL_VALUE,
    NB_FAIL_NONFINITE,
    NB_FAIL_OOB_WRITE,
    NB_FAIL_UNWRITTEN,
    NB_FAIL_NONDETERMINISTIC,
    NB_FAIL_ABI, /* of a plugin: its descriptor cannot be used, and nothing of it was called */
    NB_CRASHED,
    NB_TIMED_OUT,
    NB_SKIP_ISA,
    NB_SKIP_SHAPE,
    NB_SKIP_OPTION,
    NB_MISTRUSTED,
    NB_VERDICT_COUNT
};
const char *nb_verdict_name(enum nb_verdict v);
int nb_verdict_parse(const char *word); /* -1: unknown */

struct nb_check_result {
    enum nb_verdict verdict;
    char reason[256]; /* "" where there is none */
    int judged;       /* the figures below were obtained */
    double E_max, E_p99, bound, ulp_max, normwise, rms_error;
    char worst[96];
    size_t rows_checked, unstable_rows, overflow_rows;
    uint64_t hash;    /* of the timed data's output */
    double prepare_first_ns, prepare_ns; /* the first prepare of this process; median of later ones; 0: none */
};

/* Data and oracle of one cell, shared by the checks of all its kernels. */
struct nb_check_data;
struct nb_check_data *nb_check_data_make(const struct nb_cell *cell, uint64_t seed);
void nb_check_data_free(struct nb_check_data *d);

/* Bytes that the check of a cell holds at once, from above; tensors: of the cell itself. */
double nb_check_bytes(const struct nb_cell *cell, double tensors);

/* Computes the oracle that this kernel needs, so that checks forked later find it ready. */
void nb_check_prepare(struct nb_check_data *d, const struct nb_kernel *k);

/* The check itself. May crash, hang or corrupt its process: call it in a forked child. */
void nb_check_kernel(struct nb_check_data *d, const struct nb_kernel *k,
                     struct nb_check_result *result);

/* Verdicts that need no run: FAIL_ABI, SKIP_ISA, SKIP_OPTION; otherwise UNTESTED. Runs nothing of a kernel that is not
 * ours: nb_check_kernel asks that one what it supports. */
void nb_check_skip(const struct nb_cell *cell, const struct nb_kernel *k,
                   struct nb_check_result *result);

json_t *nb_check_to_json(const struct nb_cell *cell, const struct nb_kernel *k, uint64_t seed,
                         const struct nb_check_result *r, double ms);

/* Hash of an output: all rows, or the first, the last and seeded ones where it is larger than 1 MiB.
 * second: of h or dres, too, where it is written; NULL: there is none. */
uint64_t nb_output_hash(const struct nb_cell *cell, uint64_t seed, const void *y, const void *second);

/* The same, continued over what a pass backward sums over rows: dgamma, dbeta and dalpha, where the kernel writes them. */
struct nb_execution;
uint64_t nb_shares_hash(uint64_t hash, const struct nb_execution *e);
void nb_shares_clear(const struct nb_execution *e);

/* Overwrites just the rows that nb_output_hash reads. */
void nb_output_clear(const struct nb_cell *cell, uint64_t seed, void *y, void *second);

#endif
