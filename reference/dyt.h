/* dyt.h: the gradients of dyt, and how far they may be off; private to the oracle, which calls them for NB_REF_DYT. */
#ifndef NB_REFERENCE_DYT_H
#define NB_REFERENCE_DYT_H

#include "backward.h"

/* z = alpha*x, exactly; where it leaves the range, its double */
struct nb_dd nb_dyt_argument(double alpha, double x);

void nb_dyt_backward_row(const struct nb_ref_gradient *r, struct nb_dd *dx, struct nb_dd *dgamma, struct nb_dd *dbeta);
void nb_dyt_look(const struct nb_ref_gradient *r, struct nb_ref_gradient_stats *s);
enum nb_ref_hazard nb_dyt_limit(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                                const struct nb_ref_type *t, const struct nb_ref_bound *b, double arith_max,
                                struct nb_ref_limits *limits);
void nb_dyt_judge(const struct nb_ref_gradient *r, const struct nb_dd *dx, const struct nb_ref_type *t,
                  const struct nb_ref_limits *limits, const double *got, double *scratch, struct nb_ref_error *e);
void nb_dyt_shares_add(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, size_t times,
                       struct nb_ref_shares *to);
/* along: additions above a term in the sum along a row */
enum nb_ref_hazard nb_dyt_dalpha_limit(const struct nb_ref_shares *of, const struct nb_ref_type *t, double along,
                                       double lambda, double arith_max, struct nb_ref_limits *limits);
void nb_dyt_dalpha_judge(const struct nb_ref_shares *of, const struct nb_ref_type *t, const struct nb_ref_limits *limits,
                         const double *got, double *scratch, struct nb_ref_error *e);

#endif
