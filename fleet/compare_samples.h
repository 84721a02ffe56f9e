/* compare_samples.h: speedups of single processes, from the samples of runs, for wider
 * order statistics than the tables hold. */
#ifndef NB_COMPARE_SAMPLES_H
#define NB_COMPARE_SAMPLES_H

#include "compare_cells.h"

struct nb_samples;

/* Reads the samples of each run: seconds a run. A run that cannot be read is an error. */
NB_USE_RESULT enum nb_status nb_samples_load(struct nb_samples **s,
                                             const struct nb_summary *runs, size_t nruns,
                                             struct nb_err *err);
void nb_samples_free(struct nb_samples *s);

/* nb_sorted of compare_statements.h, its context a struct nb_samples: speedups alone, and
 * none of steps of training. Stays until nb_samples_free. */
const double *nb_samples_sorted(void *samples, const struct nb_value *v, size_t *n);

#endif
