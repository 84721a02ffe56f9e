/* appraise.h: one row of one kernel against the oracle. Between the kernels' words (problem, descriptor,
 * storage) and the oracle's (double, plain numbers); the check, the laboratory and eval all judge here. */
#ifndef NB_APPRAISE_H
#define NB_APPRAISE_H

#include "backward.h"
#include "nb_kernel.h"
#include "reference.h"

#include <stdbool.h>

/* The oracle's view of one of the nb_op_pieces() norms of a row; of a norm of columns x, gamma and beta are those of one
 * column [rows], and piece is 0. gamma and beta [hidden] or NULL, as the kernel is given them; an op without gamma looks
 * at none. eps and alpha are what the kernel can see of them: rounded to f32 where it computes in f32. */
struct nb_ref_row nb_appraise_row(const struct nb_problem *p, const double *x, const double *gamma,
                                  const double *beta, size_t piece);

struct nb_appraisal {
    enum nb_ref_hazard hazard;
    struct nb_ref_limits limits;
    struct nb_ref_error error;   /* of the output; limits apply when hazard is NB_REF_INSIDE */
    double mean_error, rstd_error; /* in units of the limits; NaN: not saved */
};

/* What the kernel declares, on this row. */
enum nb_ref_hazard nb_appraise_limits(const struct nb_kernel *k, const struct nb_ref_row *row,
                                      const struct nb_ref_stats *stats, struct nb_ref_limits *limits);

/* y: the kernel's output row in its storage. mean, rstd: its saved statistics, or NULL. ref, stats: from
 * nb_ref_forward on the row. scratch: 2*hidden doubles. */
void nb_appraise(const struct nb_kernel *k, const struct nb_ref_row *row, const struct nb_dd *ref,
                 const struct nb_ref_stats *stats, const void *y, const void *mean, const void *rstd,
                 double *scratch, struct nb_appraisal *a);

/* The same backward. The oracle's view of a row; what the kernel wrote to dx, and to dgamma or dbeta (of param_dtype),
 * in their storage, or to dalpha (of the type of mean and rstd), against nb_ref_backward_row and the shares of all rows. scratch: 2*hidden doubles. */
struct nb_ref_gradient nb_appraise_gradient_row(const struct nb_problem *p, const double *x, const double *dy,
                                                const double *gamma, size_t piece);
enum nb_ref_hazard nb_appraise_gradient_limits(const struct nb_kernel *k, const struct nb_ref_gradient *row,
                                               const struct nb_ref_gradient_stats *stats,
                                               struct nb_ref_limits *limits);
void nb_appraise_gradient(const struct nb_kernel *k, const struct nb_ref_gradient *row, const struct nb_dd *ref,
                          const struct nb_ref_gradient_stats *stats, const void *dx, double *scratch,
                          struct nb_appraisal *a);
void nb_appraise_share(const struct nb_kernel *k, uint32_t param_dtype, const struct nb_ref_shares *shares,
                       enum nb_ref_share which, const void *share, double *scratch, struct nb_appraisal *a);

/* NULL: inside the precondition's rows everything is within its limits (the probabilistic ones, too, if
 * likely is set). Otherwise what is not: "E", "E (probabilistic)", "mean", "rstd", "nonfinite". */
const char *nb_appraisal_fault(const struct nb_appraisal *a, bool likely);

#endif
