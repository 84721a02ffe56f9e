/* forward.c: layernorm, rmsnorm and the ceilings in double-double.
 *
 * Shapes   x, gamma, beta, y [n]
 * Range    a row is multiplied by the power of two that brings max(|x|, sqrt(eps)) to
 * about 2^480: squares of any double then stay in range (2^960 n) and keep their low
 * parts, whatever the row; eps is multiplied by the square of that power. All of this is
 * exact, apart from elements 2^1500 times smaller than the largest, which no output can
 * show. Error    a few n 2^-106 times the sums of magnitudes (docs/numerics.md, observed)
 * Source   Ba, Kiros, Hinton 2016 (layernorm); Zhang, Sennrich 2019 (rmsnorm) */
#include <float.h>

#include "scaled.h"

enum { TARGET_EXP = 480 };

/* What a row holds that is no number. */
struct survey {
    double x_max;
    int has_nan, has_inf;
};

static struct survey survey_row(const double *x, size_t n)
{
    struct survey s = {0, 0, 0};
    for (size_t i = 0; i < n; i++) {
        double a = fabs(x[i]);
        s.has_nan |= a != a;
        s.x_max = a > s.x_max ? a : s.x_max;
    }
    s.has_inf = s.x_max > DBL_MAX;
    return s;
}

/* 1/sqrt(var + eps) of the scaled row. Without spread eps stands alone and is not scaled,
 * because beside huge x it could underflow; with spread it is then far below the last
 * place of var. */
static struct nb_dd rstd_inside(struct nb_dd var, double eps, int shift)
{
    if (var.hi == 0)
        return dd_ldexp(dd_rsqrt((struct nb_dd){eps, 0}), -shift);
    return dd_rsqrt(dd_add_d(var, ldexp(eps, 2 * shift)));
}

/* 1/(sqrt(var) + eps), likewise */
static struct nb_dd rstd_outside(struct nb_dd var, double eps, int shift)
{
    if (var.hi == 0)
        return dd_ldexp(dd_recip((struct nb_dd){eps, 0}), -shift);
    struct nb_dd root = dd_mul(var, dd_rsqrt(var));
    return dd_recip(dd_add_d(root, ldexp(eps, shift)));
}

/* rstd without eps over rstd: how much worse conditioned the root alone is */
static double widening(const struct nb_ref_row *r, double x_max, struct nb_dd var,
                       struct nb_dd rstd)
{
    if (!r->eps_outside || x_max == 0)
        return 1;
    return var.hi == 0 ? INFINITY : fmax(1, dd_rsqrt(var).hi / rstd.hi);
}

/* Sums that only classify the row: plain double is enough. */
static void conditioning(const struct scaled *v, const struct nb_dd *mean,
                         const struct nb_dd *rstd, int layernorm, struct nb_ref_stats *s)
{
    double abs_sum = 0, sq = 0, sq_shift = 0, d_max = 0, x0 = scaled_at(v, 0),
           n = (double)v->n;
    for (size_t i = 0; i < v->n; i++) {
        double x = scaled_at(v, i), d = fabs((x - mean->hi) - mean->lo);
        abs_sum += fabs(x);
        sq += x * x;
        sq_shift += (x - x0) * (x - x0);
        d_max = d > d_max ? d : d_max;
    }
    s->x_sum_abs = ldexp(abs_sum, -v->shift);
    s->sq_sum = ldexp(sq, -2 * v->shift);
    double factor = rstd->hi;
    int none = isinf(factor);
    s->k1 = !layernorm ? 0 : none ? INFINITY : abs_sum / n * factor;
    s->k2 = none ? INFINITY : sqrt(sq / n) * factor;
    s->k2_shift = none ? INFINITY : sqrt(sq_shift / n) * factor;
    s->xhat_max = none ? INFINITY : d_max * factor;
}

/* gamma, exactly */
static inline struct nb_dd weight(const struct nb_ref_row *r, size_t i)
{
    if (r->gemma)
        return dd_two_sum(1, r->gamma[i]);
    return (struct nb_dd){r->gamma[i], 0};
}

/* y = xhat*gamma + beta; where double-double leaves the range, what the formula gives in
 * double */
static inline struct nb_dd affine(const struct nb_ref_row *r, struct nb_dd xhat, size_t i)
{
    struct nb_dd y = xhat;
    if (r->gamma)
        y = r->gemma ? dd_mul(y, weight(r, i)) : dd_mul_d(y, r->gamma[i]);
    if (r->beta)
        y = dd_add_d(y, r->beta[i]);
    if (fabs(y.hi) <= DBL_MAX && fabs(y.lo) <= DBL_MAX)
        return y;
    double w = r->gamma ? weight(r, i).hi : 1, b = r->beta ? r->beta[i] : 0;
    return (struct nb_dd){xhat.hi * w + b, 0};
}

static void normalize(const struct nb_ref_row *r, struct survey found, struct nb_dd *y,
                      struct nb_ref_stats *s)
{
    int layernorm = r->op == NB_REF_LAYERNORM;
    struct scaled v = scale_row(r->x, r->n, fmax(found.x_max, r->eps_outside ? r->eps : sqrt(r->eps)), TARGET_EXP);
    double n = (double)r->n;
    struct nb_dd mean = {0, 0};
    if (layernorm)
        mean = dd_div_d(sum(&v), n);
    struct nb_dd squares = sum_squares(&v, mean), var = dd_div_d(squares, n);
    struct nb_dd rstd = (r->eps_outside ? rstd_outside : rstd_inside)(var, r->eps, v.shift);
    conditioning(&v, &mean, &rstd, layernorm, s);
    s->widen = widening(r, found.x_max, var, rstd);
    s->mean = dd_ldexp(mean, -v.shift);
    s->var = dd_ldexp(var, -2 * v.shift);
    s->rstd = dd_ldexp(rstd, v.shift);
    s->centred_sq_sum = layernorm ? ldexp(squares.hi, -2 * v.shift) : 0;
    for (size_t i = 0; i < r->n; i++) {
        struct nb_dd d = centred(&v, mean, i);
        /* 0 times an rstd that only scaling has made infinite */
        struct nb_dd xhat = d.hi == 0 && r->eps > 0 ? d : dd_mul(d, rstd);
        y[i] = affine(r, xhat, i);
    }
}

/* A mean square with Inf is Inf, hence rstd 0: finite elements become 0, Inf becomes NaN.
 * A NaN, and in layernorm also an Inf, makes the statistics NaN and with them the row. */
static void normalize_nonfinite(const struct nb_ref_row *r, struct survey found,
                                struct nb_dd *y, struct nb_ref_stats *s)
{
    int zero = r->op == NB_REF_RMSNORM && !found.has_nan;
    double rstd = zero ? 0 : NAN;
    s->mean.hi = r->op == NB_REF_RMSNORM ? 0 : NAN;
    s->var.hi = zero ? INFINITY : NAN;
    s->rstd.hi = rstd;
    s->k1 = r->op == NB_REF_RMSNORM ? 0 : NAN;
    s->k2 = s->k2_shift = s->xhat_max = NAN;
    s->x_max = s->x_sum_abs = s->sq_sum = found.has_nan ? NAN : INFINITY;
    s->centred_sq_sum = r->op == NB_REF_RMSNORM ? 0 : NAN;
    for (size_t i = 0; i < r->n; i++)
        y[i] = affine(r, (struct nb_dd){r->x[i] * rstd, 0}, i);
}

/* copy, scale, affine: no statistics */
static void ceiling(const struct nb_ref_row *r, struct nb_dd *y, struct nb_ref_stats *s)
{
    for (size_t i = 0; i < r->n; i++) {
        struct nb_dd p = {r->x[i], 0};
        if (r->op != NB_REF_COPY)
            p = dd_two_prod(r->alpha, r->x[i]);
        if (!(fabs(p.lo) <= DBL_MAX))
            p.lo = 0;
        y[i] = r->op == NB_REF_AFFINE ? affine(r, p, i) : p;
        s->x_sum_abs += fabs(r->x[i]);
        s->sq_sum += r->x[i] * r->x[i];
    }
}

void nb_ref_forward(const struct nb_ref_row *r, struct nb_dd *y, struct nb_ref_stats *s)
{
    struct survey found = survey_row(r->x, r->n);
    *s = (struct nb_ref_stats){0};
    s->x_max = found.x_max;
    s->widen = 1;
    s->finite = !found.has_nan && !found.has_inf;
    if (r->op != NB_REF_LAYERNORM && r->op != NB_REF_RMSNORM)
        ceiling(r, y, s);
    else if (s->finite)
        normalize(r, found, y, s);
    else
        normalize_nonfinite(r, found, y, s);
}
