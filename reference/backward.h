/* backward.h: gradients of layernorm and rmsnorm. Double in, double-double out; shares no
 * code with what it judges.
 *
 * Computes  y = xhat*gamma + beta, xhat = (x-mean)*rstd, rstd = 1/sqrt(V+eps) (rmsnorm:
 *           mean 0). With dy = dL/dy of a loss L, g = dy*gamma and means over the row:
 *           dx     = dL/dx = rstd*(g - mean(g) - xhat*mean(g*xhat)); rmsnorm: no mean(g)
 *           dgamma = dL/dgamma = sum over rows of dy*xhat
 *           dbeta  = dL/dbeta = sum over rows of dy
 * Shapes    x, gamma, dy, dx, dgamma, dbeta [n]: one row
 * Units     none; x, dy and gamma may have any finite size
 * Error     dx: at most 13 (observed, n up to 1000) units of
 *           2^-106 (1+k1) rstd (|g| + mean|g| + |xhat| (mean|g| + mean|g xhat|)),
 *           k1 = mean|x| rstd (rmsnorm: 0, and no mean|g|); what is 2^1400 times smaller
 *           than rstd max|g| may be lost. dgamma, dbeta: at most 7 (observed, 8 rows)
 *           units of 2^-106 sum |dy| (|xhat| + k1) and 2^-106 sum |dy|
 * Source    derivative of Ba, Kiros, Hinton 2016, eq. 3-4; Zhang, Sennrich 2019, eq. 4:
 *           dxhat_i/dx_j = rstd*((i==j) - 1/n - xhat_i*xhat_j/n), symmetric in i, j */
#ifndef NB_BACKWARD_H
#define NB_BACKWARD_H

#include "reference.h"

struct nb_ref_gradient {
    enum nb_ref_op op;   /* NB_REF_LAYERNORM or NB_REF_RMSNORM */
    size_t n;            /* row length, >= 1 */
    const double *x;     /* [n] */
    const double *gamma; /* [n] or NULL: ones */
    const double *dy;    /* [n] */
    double eps;
};

/* dx [n] receives this row's gradient. dgamma and dbeta [n], each may be NULL: this row's
 * share is added to them, so the caller sets them to zero before the first row and they
 * hold the sums after the last. What the range of double cannot hold is Inf or 0, as it
 * would be in the forward pass; a NaN or Inf in x, gamma or dy follows the formulas, in
 * plain double. */
void nb_ref_backward_row(const struct nb_ref_gradient *r, struct nb_dd *dx,
                         struct nb_dd *dgamma, struct nb_dd *dbeta);

#endif
