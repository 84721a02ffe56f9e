#include "f64.h"

#include "err.h"

struct nb_f64_norm nb_f64_norm(uint32_t op, size_t rows, size_t hidden, size_t k, double eps)
{
    const struct nb_f64_norm n = {nb_call_plain(op, NB_F64), nb_call_find(op, NB_BWD, NB_FUSE_NONE, "twopass", NB_F64, ""), rows, hidden, k, eps};
    NB_ASSERT(n.forward != NULL && n.backward != NULL);
    return n;
}

static struct nb_problem problem_of(const struct nb_f64_norm *n, const struct nb_kernel *k)
{
    struct nb_problem p = nb_call_problem(k, n->rows, n->hidden, n->eps);
    p.k = n->k;
    p.stats_out = k->dir == NB_FWD;
    return p;
}

void nb_f64_forward(const struct nb_f64_norm *n, const double *x, const double *gamma, const double *beta, double *y, double *mean,
                    double *rstd)
{
    const struct nb_problem p = problem_of(n, n->forward);
    NB_ASSERT(nb_call(n->forward, &p,
                      &(struct nb_args){.x = x, .gamma = gamma, .beta = beta, .y = y, .mean = mean, .rstd = rstd}));
}

void nb_f64_backward(const struct nb_f64_norm *n, const double *x, const double *gamma, const double *mean, const double *rstd,
                     const double *dy, double *dx, double *dgamma, double *dbeta)
{
    const struct nb_problem p = problem_of(n, n->backward);
    NB_ASSERT(nb_call(n->backward, &p,
                      &(struct nb_args){.x = x, .gamma = gamma, .mean = (void *)mean, .rstd = (void *)rstd, .dy = dy, .dx = dx,
                                        .dgamma = dgamma, .dbeta = dbeta}));
}

/* Let M bound what the terms of an element x_i sum to in size, and kappa = max M*rstd. Two parts, to first order in u:
 *   x is wrong by e, |e_i| <= terms*u*M. A change e of x changes y by rstd*(e - mean(e) - xhat*mean(xhat*e)), at most
 *     rstd*max|e|*(2 + max|xhat|) as mean|xhat| <= 1: u*terms*kappa*(2 + Y). Without a mean there is one term less; of prmsnorm
 *     the factor changes by rstd*mean(xhat*e) over the prefix, where mean(xhat^2) is 1: the same bound.
 *   the kernel rounds: E*u*(mean|x|*rstd + |xhat|) with E <= 1.5c + 8 (docs/numerics.md; rmsnorm's is less), c at most the
 *     elements of a group, mean|x| <= M: u*(1.5*group + 8)*(kappa + Y). */
double nb_f64_rounding(size_t group, size_t terms, double magnitude, double largest)
{
    static const double u = 0x1p-53;
    return u * ((double)terms * magnitude * (2 + largest) + (1.5 * (double)group + 8) * (magnitude + largest));
}
