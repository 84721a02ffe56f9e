/* backward.c: gradients in double-double; backward.h has the formulas.
 *
 * Range    x as in forward.c: max(|x|, sqrt(eps)) goes to about 2^480. dy and gamma go to
 * 2^200 each, so that g and its products with xhat (at most sqrt(n)) stay in range, with
 * room below for elements much smaller than the largest; rstd is kept apart from its
 * power of two, and dx is scaled back once. Behind a prefix xhat may have any size: then
 * dy and gamma go to less. A share of dgamma is one product and is scaled by itself: it
 * may be needed beside much larger ones. */
#include "backward.h"

#include <float.h>

#include "dyt.h"
#include "scaled.h"

enum { X_EXP = 480, G_EXP = 200, PRODUCT_EXP = 980 };

/* rstd = r * 2^exp: by itself it may leave the range of double */
struct root {
    struct nb_dd r;
    int exp;
};

/* mean and rstd of x[0..v.n) */
struct moments {
    struct scaled v;
    struct nb_dd mean; /* of the scaled row */
    double count;      /* what sums over the row are divided by */
    struct root rstd;
    int plain; /* some x there is not finite: xhat is x times rstd in double */
};

/* g times 2^shift */
struct gradient {
    struct scaled dy, gamma;
    double one; /* what gamma adds to */
    int gemma, shift;
    enum nb_ref_op op;
};

static size_t span_of(const struct nb_ref_gradient *r)
{
    return r->op == NB_REF_PRMSNORM ? r->k : r->n;
}

static double count_of(const struct nb_ref_gradient *r)
{
    return nb_ref_is_sum(r->op) ? 1 : (double)span_of(r);
}

/* of gamma */
static size_t gammas_of(const struct nb_ref_gradient *r)
{
    return nb_ref_gamma_at(r->op, r->n - 1) + 1;
}

/* max |x|; Inf where there is a NaN or an Inf */
static double magnitude(const double *x, size_t n)
{
    double top = 0;
    for (size_t i = 0; i < n; i++) {
        double a = fabs(x[i]);
        if (!(a <= DBL_MAX))
            return INFINITY;
        top = a > top ? a : top;
    }
    return top;
}

/* Without spread, or with one that is nothing beside eps, eps stands alone: scaled it
 * might underflow beside huge x. */
static struct root root_of(const struct scaled *v, struct nb_dd mean, double count, double eps)
{
    struct nb_dd var = dd_div_d(sum_squares(v, mean), count);
    if (var.hi == 0)
        return (struct root){dd_rsqrt((struct nb_dd){eps, 0}), 0};
    return (struct root){dd_rsqrt(dd_add_d(var, ldexp(eps, 2 * v->shift))), v->shift};
}

/* A mean square with Inf is Inf, hence rstd 0; a NaN, and in layernorm also an Inf, makes
 * the statistics NaN. */
static struct moments moments_nonfinite(const struct nb_ref_gradient *r)
{
    struct moments m = {.v = {.x = r->x, .n = span_of(r)}, .count = count_of(r), .plain = 1};
    double squares = 0;
    for (size_t i = 0; i < m.v.n; i++)
        squares += r->x[i] * r->x[i];
    int layernorm = r->op == NB_REF_LAYERNORM;
    m.mean.hi = layernorm ? NAN : 0;
    m.rstd.r.hi = layernorm ? NAN : 1 / sqrt(squares);
    return m;
}

static struct moments moments_of(const struct nb_ref_gradient *r)
{
    size_t span = span_of(r);
    double x_max = magnitude(r->x, span);
    if (x_max > DBL_MAX)
        return moments_nonfinite(r);
    struct moments m = {.v = scale_row(r->x, span, fmax(x_max, sqrt(r->eps)), X_EXP), .count = count_of(r)};
    if (r->op == NB_REF_LAYERNORM)
        m.mean = dd_div_d(sum(&m.v), (double)span);
    m.rstd = root_of(&m.v, m.mean, m.count, r->eps);
    return m;
}

/* Behind the prefix an element may have any size, and be no number. */
static inline struct nb_dd xhat_behind(const struct moments *m, double x)
{
    int e = 0;
    double part = fabs(x) <= DBL_MAX ? frexp(x, &e) : x;
    struct nb_dd xhat = {part * m->rstd.r.hi, 0};
    if (fabs(xhat.hi) <= DBL_MAX)
        xhat = dd_ldexp(dd_mul_d(m->rstd.r, part), e + m->rstd.exp);
    return xhat;
}

static inline struct nb_dd xhat_at(const struct moments *m, size_t i)
{
    if (m->plain)
        return (struct nb_dd){m->v.x[i] * m->rstd.r.hi, 0};
    if (i >= m->v.n)
        return xhat_behind(m, m->v.x[i]);
    return dd_ldexp(dd_mul(centred(&m->v, m->mean, i), m->rstd.r), m->rstd.exp - m->v.shift);
}

/* xhat [n]; its largest magnitude, Inf where there is a NaN or an Inf */
static double normalize(const struct moments *m, size_t n, struct nb_dd *xhat)
{
    double top = 0;
    for (size_t i = 0; i < n; i++) {
        xhat[i] = xhat_at(m, i);
        double a = fabs(xhat[i].hi);
        top = a <= DBL_MAX ? fmax(top, a) : INFINITY;
    }
    return top;
}

/* 1 + gamma is scaled by the larger of the two, which is at most twice too small. */
static struct gradient scale_gradient(const struct nb_ref_gradient *r, double dy_max,
                                      double gamma_max, double xhat_max)
{
    int room = xhat_max > 1 ? (PRODUCT_EXP - ilogb(xhat_max)) / 2 : G_EXP;
    int target = room < G_EXP ? room : G_EXP;
    struct gradient g = {.dy = scale_row(r->dy, r->n, dy_max, target), .gemma = r->gemma, .op = r->op};
    g.gamma = scale_row(r->gamma, gammas_of(r), r->gemma ? fmax(gamma_max, 1) : gamma_max, target);
    g.one = ldexp(1, g.gamma.shift);
    g.shift = g.dy.shift + (r->gamma ? g.gamma.shift : 0);
    return g;
}

static inline struct nb_dd gradient_at(const struct gradient *g, size_t i)
{
    double dy = scaled_at(&g->dy, i);
    if (!g->gamma.x)
        return (struct nb_dd){dy, 0};
    double gamma = scaled_at(&g->gamma, nb_ref_gamma_at(g->op, i));
    if (g->gemma)
        return dd_mul_d(dd_two_sum(g->one, gamma), dy);
    return dd_two_prod(dy, gamma);
}

/* What every element subtracts, mean(g) and sum(g xhat)/count, times 2^shift. */
struct projection {
    struct nb_dd one, xhat;
};

static struct projection project(const struct gradient *g, int layernorm, size_t n, double count,
                                 const struct nb_dd *xhat)
{
    struct projection p = {{0, 0}, {0, 0}};
    for (size_t i = 0; i < n; i++) {
        struct nb_dd gi = gradient_at(g, i);
        if (layernorm)
            p.one = dd_add(p.one, gi);
        p.xhat = dd_add(p.xhat, dd_mul(gi, xhat[i]));
    }
    p.one = dd_div_d(p.one, (double)n);
    p.xhat = dd_div_d(p.xhat, count);
    return p;
}

/* dx holds xhat when it is called */
static void propagate(const struct gradient *g, int layernorm, const struct moments *m, size_t n,
                      struct nb_dd *dx)
{
    struct projection p = project(g, layernorm, n, m->count, dx);
    struct root rstd = m->rstd;
    int e = isfinite(rstd.r.hi) ? ilogb(rstd.r.hi) : 0; /* times r of about 1, then 2^e */
    struct nb_dd r = dd_ldexp(rstd.r, -e);
    for (size_t i = 0; i < n; i++) {
        struct nb_dd d = dd_sub(gradient_at(g, i), p.one);
        if (i < m->v.n)
            d = dd_sub(d, dd_mul(dx[i], p.xhat));
        dx[i] = dd_ldexp(dd_mul(d, r), rstd.exp + e - g->shift);
    }
}

static double plain_gradient(const struct nb_ref_gradient *r, size_t i)
{
    return r->gamma ? r->dy[i] * (r->gamma[nb_ref_gamma_at(r->op, i)] + (r->gemma ? 1 : 0)) : r->dy[i];
}

/* The same in plain double. */
static void propagate_nonfinite(const struct nb_ref_gradient *r, double rstd,
                                struct nb_dd *dx)
{
    double along_one = 0, along_xhat = 0, n = (double)r->n, count = count_of(r);
    for (size_t i = 0; i < r->n; i++) {
        double g = plain_gradient(r, i);
        if (r->op == NB_REF_LAYERNORM)
            along_one += g / n;
        along_xhat += g * dx[i].hi / count;
    }
    for (size_t i = 0; i < r->n; i++) {
        double d = plain_gradient(r, i) - along_one;
        if (i < span_of(r))
            d -= dx[i].hi * along_xhat;
        dx[i].hi = rstd * d;
        dx[i].lo = 0;
    }
}

static inline struct nb_dd product(struct nb_dd a, double b)
{
    int e;
    double m = frexp(b, &e);
    if (!(fabs(a.hi) <= DBL_MAX && fabs(m) <= 1))
        return (struct nb_dd){a.hi * b, 0};
    return dd_ldexp(dd_mul_d(a, m), e);
}

static void add_shares(const struct nb_ref_gradient *r, const struct moments *m, double times,
                       struct nb_dd *dgamma, struct nb_dd *dbeta)
{
    for (size_t i = 0; i < r->n && dgamma; i++)
        dd_accumulate(&dgamma[nb_ref_gamma_at(r->op, i)], product(product(xhat_at(m, i), r->dy[i]), times));
    for (size_t i = 0; i < r->n && dbeta; i++)
        dd_accumulate(&dbeta[i], product((struct nb_dd){r->dy[i], 0}, times));
}

void nb_ref_backward_row(const struct nb_ref_gradient *r, struct nb_dd *dx,
                         struct nb_dd *dgamma, struct nb_dd *dbeta)
{
    if (r->op == NB_REF_DYT) {
        nb_dyt_backward_row(r, dx, dgamma, dbeta);
        return;
    }
    double dy_max = magnitude(r->dy, r->n);
    double gamma_max = r->gamma ? magnitude(r->gamma, gammas_of(r)) : 0;
    struct moments m = moments_of(r);
    double xhat_max = normalize(&m, r->n, dx);
    add_shares(r, &m, 1, dgamma, dbeta);
    if (fmax(xhat_max, fmax(dy_max, gamma_max)) > DBL_MAX) {
        propagate_nonfinite(r, ldexp(m.rstd.r.hi, m.rstd.exp), dx);
        return;
    }
    struct gradient g = scale_gradient(r, dy_max, gamma_max, xhat_max);
    propagate(&g, r->op == NB_REF_LAYERNORM, &m, r->n, dx);
}

void nb_ref_backward_statistics(const struct nb_ref_gradient *r, struct nb_dd *mean,
                                struct nb_dd *rstd)
{
    struct moments m = moments_of(r);
    *mean = dd_ldexp(m.mean, -m.v.shift);
    *rstd = dd_ldexp(m.rstd.r, m.rstd.exp);
}

void nb_ref_backward_shares(const struct nb_ref_gradient *r, size_t times, struct nb_dd *dgamma,
                            struct nb_dd *dbeta)
{
    struct moments m = moments_of(r);
    add_shares(r, &m, (double)times, dgamma, dbeta);
}
