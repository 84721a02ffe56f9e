/* saved.h: the mean and rstd that a forward pass would have saved, as a pass backward is given them. They come from
 * the data, not from any kernel, so that what is judged is the pass backward alone. */
#ifndef NB_SAVED_H
#define NB_SAVED_H

#include "nb_kernel.h"

/* Writes a row of the call, widened, to x [hidden]; it is asked for each as often as there are passes. */
typedef void nb_row_source(void *context, size_t row, double *x);

/* mean and rstd [nb_op_stats()] of a call in the type that the problem's dtype saves them in, rounded once from double
 * (f64, and columns: from long double, two passes and a correction). mean may be NULL. eps is what the kernel can see of
 * it. */
void nb_saved_all(const struct nb_problem *p, nb_row_source *source, void *context, void *mean, void *rstd);

#endif
