/* forward.c: layernorm, rmsnorm, dyt and the ceilings in double-double.
 *
 * Shapes   x, gamma, beta, y [n]
 * Range    a row is multiplied by the power of two that brings max(|x|, sqrt(eps)) to
 * about 2^480: squares of any double then stay in range (2^960 n) and keep their low
 * parts, whatever the row; eps is multiplied by the square of that power. All of this is
 * exact, apart from elements 2^1500 times smaller than the largest, which no output can
 * show. Error    a few n 2^-106 times the sums of magnitudes (docs/numerics.md, observed)
 * Source   Ba, Kiros, Hinton 2016 (layernorm); Zhang, Sennrich 2019 (rmsnorm, prmsnorm); Nguyen, Salazar 2019, eq. 5
 * (scalenorm; l2norm is without its g) */
#include <float.h>

#include "dyt.h"
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
    double gamma = r->gamma[nb_ref_gamma_at(r->op, i)];
    if (r->gemma)
        return dd_two_sum(1, gamma);
    return (struct nb_dd){gamma, 0};
}

/* y = xhat*gamma + beta; where double-double leaves the range, what the formula gives in
 * double */
static inline struct nb_dd affine(const struct nb_ref_row *r, struct nb_dd xhat, size_t i)
{
    struct nb_dd y = xhat;
    if (r->gamma)
        y = r->gemma ? dd_mul(y, weight(r, i)) : dd_mul_d(y, weight(r, i).hi);
    if (r->beta)
        y = dd_add_d(y, r->beta[i]);
    if (fabs(y.hi) <= DBL_MAX && fabs(y.lo) <= DBL_MAX)
        return y;
    double w = r->gamma ? weight(r, i).hi : 1, b = r->beta ? r->beta[i] : 0;
    return (struct nb_dd){xhat.hi * w + b, 0};
}

/* Statistics of x[0..n), in units of 2^-shift of v. */
struct moments {
    struct scaled v;
    struct nb_dd mean, rstd;
};

static struct moments statistics(const struct nb_ref_row *r, size_t n, double x_max, struct nb_ref_stats *s)
{
    int layernorm = r->op == NB_REF_LAYERNORM;
    double top = fmax(x_max, r->eps_outside ? r->eps : sqrt(r->eps));
    struct moments m = {.v = scale_row(r->x, n, top, TARGET_EXP)};
    if (layernorm)
        m.mean = dd_div_d(sum(&m.v), (double)n);
    struct nb_dd squares = sum_squares(&m.v, m.mean);
    struct nb_dd var = nb_ref_is_sum(r->op) ? squares : dd_div_d(squares, (double)n);
    m.rstd = (r->eps_outside ? rstd_outside : rstd_inside)(var, r->eps, m.v.shift);
    conditioning(&m.v, &m.mean, &m.rstd, layernorm, s);
    s->widen = widening(r, x_max, var, m.rstd);
    s->mean = dd_ldexp(m.mean, -m.v.shift);
    s->var = dd_ldexp(var, -2 * m.v.shift);
    s->rstd = dd_ldexp(m.rstd, m.v.shift);
    s->centred_sq_sum = layernorm ? ldexp(squares.hi, -2 * m.v.shift) : 0;
    return m;
}

static void normalize(const struct nb_ref_row *r, struct survey found, struct nb_dd *y,
                      struct nb_ref_stats *s)
{
    struct moments m = statistics(r, r->n, found.x_max, s);
    for (size_t i = 0; i < r->n; i++) {
        struct nb_dd d = centred(&m.v, m.mean, i);
        /* 0 times an rstd that only scaling has made infinite */
        struct nb_dd xhat = d.hi == 0 && r->eps > 0 ? d : dd_mul(d, m.rstd);
        y[i] = affine(r, xhat, i);
    }
}

/* By the statistic of the prefix; elements behind it may have any size, and be no numbers. */
static void normalize_by_prefix(const struct nb_ref_row *r, struct survey prefix, struct nb_dd *y,
                                struct nb_ref_stats *s)
{
    struct moments m = statistics(r, r->k, prefix.x_max, s);
    s->xhat_max = 0;
    for (size_t i = 0; i < r->n; i++) {
        int e = 0;
        double part = fabs(r->x[i]) <= DBL_MAX ? frexp(r->x[i], &e) : r->x[i];
        struct nb_dd xhat = {part * m.rstd.hi, 0};
        if (fabs(xhat.hi) <= DBL_MAX)
            xhat = dd_ldexp(dd_mul_d(m.rstd, part), e + m.v.shift);
        if (part == 0 && r->eps > 0)
            xhat = (struct nb_dd){part, 0};
        s->xhat_max = fmax(s->xhat_max, fabs(xhat.hi));
        y[i] = affine(r, xhat, i);
    }
}

/* A mean square with Inf is Inf, hence rstd 0: finite elements become 0, Inf becomes NaN.
 * A NaN, and in layernorm also an Inf, makes the statistics NaN and with them the row. */
static void normalize_nonfinite(const struct nb_ref_row *r, struct survey found,
                                struct nb_dd *y, struct nb_ref_stats *s)
{
    int rms = r->op != NB_REF_LAYERNORM, zero = rms && !found.has_nan;
    double rstd = zero ? 0 : NAN;
    s->mean.hi = rms ? 0 : NAN;
    s->var.hi = zero ? INFINITY : NAN;
    s->rstd.hi = rstd;
    s->k1 = rms ? 0 : NAN;
    s->k2 = s->k2_shift = s->xhat_max = NAN;
    s->x_max = s->x_sum_abs = s->sq_sum = found.has_nan ? NAN : INFINITY;
    s->centred_sq_sum = rms ? 0 : NAN;
    for (size_t i = 0; i < r->n; i++)
        y[i] = affine(r, (struct nb_dd){r->x[i] * rstd, 0}, i);
}

/* By statistics that do not come from the row: each element by itself. */
static void normalize_given(const struct nb_ref_row *r, struct nb_dd *y, struct nb_ref_stats *s)
{
    struct nb_dd var = {r->var, 0}, root = dd_mul(var, dd_rsqrt(var));
    s->mean = (struct nb_dd){r->mean, 0};
    s->var = var;
    s->rstd = !r->eps_outside ? dd_rsqrt(dd_add_d(var, r->eps))
                              : dd_recip(dd_add_d(r->var > 0 ? root : var, r->eps));
    s->k1 = fabs(r->mean) * s->rstd.hi;
    s->x_max = 0;
    s->finite = 1;
    for (size_t i = 0; i < r->n; i++) {
        struct nb_dd xhat = dd_mul(dd_two_sum(r->x[i], -r->mean), s->rstd);
        if (!(fabs(xhat.hi) <= DBL_MAX && fabs(xhat.lo) <= DBL_MAX))
            xhat = (struct nb_dd){(r->x[i] - r->mean) * s->rstd.hi, 0};
        if (fabs(r->x[i]) <= DBL_MAX) {
            s->x_max = fmax(s->x_max, fabs(r->x[i]));
            s->xhat_max = fmax(s->xhat_max, fabs(xhat.hi));
        }
        y[i] = affine(r, xhat, i);
    }
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

/* dyt: no statistics either */
static void bend(const struct nb_ref_row *r, struct nb_dd *y)
{
    for (size_t i = 0; i < r->n; i++)
        y[i] = affine(r, nb_ref_tanh(nb_dyt_argument(r->alpha, r->x[i]), NULL), i);
}

void nb_ref_forward(const struct nb_ref_row *r, struct nb_dd *y, struct nb_ref_stats *s)
{
    struct survey found = survey_row(r->x, r->n), of = found;
    if (r->op == NB_REF_PRMSNORM)
        of = survey_row(r->x, r->k);
    *s = (struct nb_ref_stats){0};
    s->x_max = found.x_max;
    s->widen = 1;
    s->finite = !found.has_nan && !found.has_inf;
    if (r->op == NB_REF_DYT)
        bend(r, y);
    else if (!nb_ref_is_norm(r->op))
        ceiling(r, y, s);
    else if (r->op == NB_REF_GIVEN)
        normalize_given(r, y, s);
    else if (of.has_nan || of.has_inf)
        normalize_nonfinite(r, of, y, s);
    else if (r->op == NB_REF_PRMSNORM)
        normalize_by_prefix(r, of, y, s);
    else
        normalize(r, of, y, s);
}
