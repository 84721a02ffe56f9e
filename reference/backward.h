/* backward.h: gradients of the norms, and how far those of a kernel may be off.
 * Double in, double-double out; shares no code with what it judges.
 *
 * Computes  y = xhat*w + beta, xhat = (x-mean)*rstd, rstd = 1/sqrt(V+eps) (rmsnorm, prmsnorm:
 *           mean 0), w = gamma or 1+gamma. With dy = dL/dy of a loss L, g = dy*w and means over
 *           the row:
 *           dx     = dL/dx = rstd*(g - mean(g) - xhat*mean(g*xhat)); rmsnorm: no mean(g)
 *           prmsnorm: rstd*(g - [i<k] xhat*sum(g*xhat)/k), the sum over the whole row
 *           l2norm, scalenorm: rstd*(g - xhat*sum(g*xhat)), V being the sum of squares
 *           dgamma = dL/dgamma = sum over rows of dy*xhat; scalenorm: over their elements, too
 *           dbeta  = dL/dbeta = sum over rows of dy
 *           dyt: y = t*w + beta, t = tanh(alpha*x), d = 1 - t^2: dx = g*d*alpha, dgamma = sum over rows of dy*t,
 *           dalpha = dL/dalpha = sum over rows and elements of g*d*x
 * Shapes    x, gamma, dy, dx, dgamma, dbeta [n]: one row; scalenorm: gamma, dgamma [1]; dalpha [1]
 * Units     none; x, dy and gamma may have any finite size
 * Error     dx: at most 5 (layernorm) and 24 (else; observed, n up to 1000) units of
 *           2^-106 (1+k1) rstd (|g| + mean|g| + |xhat| (mean|g| + mean|g xhat|)),
 *           k1 = mean|x| rstd (rmsnorm, prmsnorm: 0, and no mean|g|); what is 2^1400 times smaller
 *           than rstd max|g| may be lost (2^800 where prmsnorm has an xhat above 2^580). dgamma,
 *           dbeta: at most 7 (scalenorm 12; observed, 8 rows) units of 2^-106 sum |dy| (|xhat| + k1) and
 *           2^-106 sum |dy|. dyt: a few 2^-106 of |g d alpha| (1 + |alpha x|)
 * Source    derivative of Ba, Kiros, Hinton 2016, eq. 3-4; Zhang, Sennrich 2019, eq. 4:
 *           dxhat_i/dx_j = rstd*((i==j) - 1/n - xhat_i*xhat_j/n), symmetric in i, j; of a prefix:
 *           rstd*((i==j) - [j<k] xhat_i*xhat_j/k), symmetric no more */
#ifndef NB_BACKWARD_H
#define NB_BACKWARD_H

#include "reference.h"

struct nb_ref_gradient {
    enum nb_ref_op op;   /* a norm or dyt */
    size_t n;            /* row length, >= 1 */
    const double *x;     /* [n] */
    const double *gamma; /* [n], scalenorm [1], or NULL: ones */
    const double *dy;    /* [n] */
    double eps;          /* inside the root */
    int gemma;           /* gamma stands for 1 + gamma */
    size_t k;            /* prmsnorm: 1 to n; others: not looked at */
    double alpha;        /* dyt; others: not looked at */
};

/* dx [n] receives this row's gradient. dgamma and dbeta [n] (scalenorm: dgamma [1]), each may be NULL: this row's
 * share is added to them, so the caller sets them to zero before the first row and they
 * hold the sums after the last. What the range of double cannot hold is Inf or 0, as it
 * would be in the forward pass; a NaN or Inf in x, gamma or dy follows the formulas, in
 * plain double. */
void nb_ref_backward_row(const struct nb_ref_gradient *r, struct nb_dd *dx,
                         struct nb_dd *dgamma, struct nb_dd *dbeta);

/* What the row is like; every quantity in double, mean and rstd apart. count is k in prmsnorm, 1 where V is a sum, n
 * elsewhere. dyt has of all these finite and the largest dy, w, g and dx alone; rstd is 1. In a row that is not finite what
 * has no value is NaN. */
struct nb_ref_gradient_stats {
    struct nb_dd mean, rstd;     /* what a kernel is given, before rounding; only layernorm has a mean */
    double k;                    /* |mean| rstd: how far, in u, a rounded mean moves xhat */
    double along_one;            /* mean(g) */
    double along_xhat;           /* sum(g xhat) / count */
    double mean_g;               /* mean|g| */
    double mean_gx, mean_xhat;   /* sum|g xhat| / count, sum|xhat| / count */
    double over;                 /* n / count */
    double d_max, xhat_max;      /* max |x - mean|, max |xhat| */
    double dy_max, w_max, g_max; /* max |dy|, |w|, |g| */
    double gx_max, dx_max;       /* max |g xhat|, |dx| */
    double vary; /* sum|v - v[0]| / sum|v|, the lesser of the terms g (layernorm) and g xhat; terms
                  * that are all 0 do not count */
    int finite;  /* 0: some x, dy or gamma is not finite */
};
void nb_ref_gradient_look(const struct nb_ref_gradient *r, struct nb_ref_gradient_stats *s);

/* Limits of E of dx, for a kernel that is given mean and rstd rounded to its arithmetic; mean and
 * rstd of the limits are 0. E is |got - ref| in units of u D_i, and what nb_ref_error says of eta
 * and of a 16-bit output,
 *     D_i = rstd (|g_i| + (1 + |xhat_i|) (mean|g| + mean|g xhat|))   layernorm
 *     D_i = rstd (|g_i| + |xhat_i| sum|g xhat| / count)              else; prmsnorm, behind the prefix: |g_i|
 *     D_i = |g_i d_i alpha| (1 + |alpha x_i|)                        dyt, and besides once min(d_i, 64 smallest normals) |g_i alpha|.
 * b: kind NB_REF_BOUND_GRADIENT, c1 and lanes of its two sums, lambda, and c0, the roundings outside
 * the sums: 15 (layernorm), 12 (the other norms) and 14 (dyt, which has no sums) are proved
 * (gradient_judge.c, dyt.c). Kind NB_REF_BOUND_GRADIENT_VARIANCE, of a kernel that turns rstd into the variance
 * 1/rstd^2 and that into an rstd again: 19 (layernorm) and 17. Where arithmetic
 * cannot hold an intermediate, of which that variance is one, or rstd is infinite, NB_REF_OVERFLOW; NB_REF_UNSTABLE where
 * (c + c0) u is above 1/4. */
enum nb_ref_hazard nb_ref_gradient_limit(const struct nb_ref_gradient *r,
                                         const struct nb_ref_gradient_stats *s,
                                         const struct nb_ref_type *t, const struct nb_ref_bound *b,
                                         double arith_max, double arith_min,
                                         struct nb_ref_limits *limits);

/* As nb_ref_judge. teeth is that of an error as large as the largest of an element's terms,
 * rstd|g|, rstd|mean(g)| and rstd|xhat mean(g xhat)|; dyt: as dx. */
void nb_ref_gradient_judge(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                           const struct nb_dd *dx, const struct nb_ref_type *t,
                           const struct nb_ref_limits *limits, const double *got, double *scratch,
                           struct nb_ref_error *e);

/* The sums over rows, and what their errors are measured in. The caller sets n, the arrays and all
 * else to zero before the first row. dbeta and its unit may be NULL, and so may the three of
 * dgamma. scalenorm: n is 1, and dbeta is NULL. */
struct nb_ref_shares {
    size_t n;
    struct nb_dd *dgamma, *dbeta; /* [n] */
    double *dgamma_unit;          /* [n] sum |dy xhat| */
    double *dgamma_moved;         /* [n] sum |dy| k: per u by which means are rounded */
    double *dbeta_unit;           /* [n] sum |dy| */
    struct nb_dd *dalpha;         /* [1]; dyt, may be NULL as well as its unit */
    double *dalpha_unit;          /* [1] sum |g d x| (1 + |alpha x|) */
    double dalpha_lost, dalpha_floor; /* in etas; where d is tiny */
    double more;                  /* roundings of a term of dgamma that a norm's has not */
    double rows, repeats;         /* rows added; the most often that one of them was */
    double along;                 /* elements of a row that are summed to its share: 1; scalenorm: all */
    int not_finite;               /* some row was not */
    double d_max, xhat_max, dy_max, rstd_max, sigma_max; /* of finite ones; sigma = 1/rstd */
};
enum nb_ref_share { NB_REF_DGAMMA, NB_REF_DBETA, NB_REF_DALPHA };

/* Adds a row as though it stood `times` times among the rows of the sums. */
void nb_ref_shares_add(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                       size_t times, struct nb_ref_shares *to);

/* Sums of an element each, which are what `of` holds, as one: of a norm of columns, whose shares of one column are its
 * elements. to->n is 1. */
void nb_ref_shares_gather(const struct nb_ref_shares *of, struct nb_ref_shares *to);

/* Limits of E of a sum over rows in any order, in any number of partial sums, xhat made of the given
 * statistics, rounded once to the parameter's type t. E is |got - ref| in units of
 * u sum |dy| (|xhat| + k) (dgamma; dyt: u sum |dy t|), of u sum |dy| (dbeta) and of u dalpha_unit, t being the type of mean
 * and rstd. b: lambda, for columns whose dy is independent from row to row; rows that are repeated may be, and are accounted
 * for; and what it says of the sum along a row, where that is part of the sum (scalenorm, dalpha). */
enum nb_ref_hazard nb_ref_shares_limit(const struct nb_ref_shares *of, enum nb_ref_share which,
                                       const struct nb_ref_type *t, const struct nb_ref_bound *b,
                                       double arith_max, double arith_min, struct nb_ref_limits *limits);

/* As nb_ref_judge. teeth is that of a row left out, of the mean size of the rows. */
void nb_ref_shares_judge(const struct nb_ref_shares *of, enum nb_ref_share which,
                         const struct nb_ref_type *t, const struct nb_ref_limits *limits,
                         const double *got, double *scratch, struct nb_ref_error *e);

/* Parts of the above: mean and rstd alone, and a row's share alone, `times` times. */
void nb_ref_backward_statistics(const struct nb_ref_gradient *r, struct nb_dd *mean,
                                struct nb_dd *rstd);
void nb_ref_backward_shares(const struct nb_ref_gradient *r, size_t times, struct nb_dd *dgamma,
                            struct nb_dd *dbeta);

#endif
