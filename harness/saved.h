/* saved.h: the mean and rstd that a forward pass would have saved, as a pass backward is given them. They come from
 * the data, not from any kernel, so that what is judged is the pass backward alone. */
#ifndef NB_SAVED_H
#define NB_SAVED_H

#include "nb_kernel.h"

/* Of one row x [hidden], widened: mean and rstd [nb_op_pieces()] in the type that the problem's dtype saves them in,
 * rounded once from double (f64: from long double, two passes and a correction). mean may be NULL. eps is what the
 * kernel can see of it. */
void nb_saved_row(const struct nb_problem *p, const double *x, void *mean, void *rstd);

#endif
