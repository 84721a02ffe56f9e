/* check_parts.h: what the check of rows and that of columns share; private to the check. */
#ifndef NB_CHECK_PARTS_H
#define NB_CHECK_PARTS_H

#include "appraise.h"
#include "check.h"

/* The first fault decides the verdict. */
void nb_check_fail(struct nb_check_result *r, enum nb_verdict v, const char *reason);

/* One judged row or column, by its name and number; likely: the probabilistic bound holds, too. Counts it, fails or
 * keeps the worst. */
void nb_check_judge(struct nb_check_result *r, const struct nb_appraisal *a, bool likely, const char *what, size_t row);

/* What is judged, in the layout of its cell. */
struct nb_timed_data {
    const struct nb_cell *cell;
    uint64_t seed;
    const char *x, *dy; /* dy: backward */
};

/* A kernel whose statistics are those of columns: families as columns, the timed data, invariants. */
void nb_check_columns(const struct nb_timed_data *d, const struct nb_kernel *k, struct nb_check_result *r);

#endif
