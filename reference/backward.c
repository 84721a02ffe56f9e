/* backward.c: gradients in double-double; backward.h has the formulas.
 *
 * Range    x as in forward.c: max(|x|, sqrt(eps)) goes to about 2^480. dy and gamma go to
 * 2^200 each, so that g and its products with xhat (at most sqrt(n)) stay in range, with
 * room below for elements much smaller than the largest; rstd is kept apart from its
 * power of two, and dx is scaled back once. A share of dgamma is one product and is
 * scaled by itself: it may be needed beside much larger ones. */
#include "backward.h"

#include <float.h>

#include "scaled.h"

enum { X_EXP = 480, G_EXP = 200 };

/* rstd = r * 2^exp: by itself it may leave the range of double */
struct root {
    struct nb_dd r;
    int exp;
};

/* g times 2^shift */
struct gradient {
    struct scaled dy, gamma;
    int shift;
};

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
static struct root root_of(const struct scaled *v, struct nb_dd mean, double eps)
{
    struct nb_dd var = dd_div_d(sum_squares(v, mean), (double)v->n);
    if (var.hi == 0)
        return (struct root){dd_rsqrt((struct nb_dd){eps, 0}), 0};
    return (struct root){dd_rsqrt(dd_add_d(var, ldexp(eps, 2 * v->shift))), v->shift};
}

/* xhat [n] */
static struct root normalize(const struct nb_ref_gradient *r, double x_max,
                             struct nb_dd *xhat)
{
    struct scaled v = scale_row(r->x, r->n, fmax(x_max, sqrt(r->eps)), X_EXP);
    struct nb_dd mean = {0, 0};
    if (r->op == NB_REF_LAYERNORM)
        mean = dd_div_d(sum(&v), (double)r->n);
    struct root rstd = root_of(&v, mean, r->eps);
    for (size_t i = 0; i < r->n; i++)
        xhat[i] = dd_ldexp(dd_mul(centred(&v, mean, i), rstd.r), rstd.exp - v.shift);
    return rstd;
}

static struct gradient scale_gradient(const struct nb_ref_gradient *r, double dy_max,
                                      double gamma_max)
{
    struct gradient g = {.dy = scale_row(r->dy, r->n, dy_max, G_EXP),
                         .gamma = scale_row(r->gamma, r->n, gamma_max, G_EXP)};
    g.shift = g.dy.shift + (r->gamma ? g.gamma.shift : 0);
    return g;
}

static inline struct nb_dd gradient_at(const struct gradient *g, size_t i)
{
    double dy = scaled_at(&g->dy, i);
    if (!g->gamma.x)
        return (struct nb_dd){dy, 0};
    return dd_two_prod(dy, scaled_at(&g->gamma, i));
}

/* dx holds xhat when it is called */
static void propagate(const struct gradient *g, int layernorm, struct root rstd, size_t n,
                      struct nb_dd *dx)
{
    struct nb_dd along_one = {0, 0}, along_xhat = {0, 0};
    for (size_t i = 0; i < n; i++) {
        struct nb_dd gi = gradient_at(g, i);
        if (layernorm)
            along_one = dd_add(along_one, gi);
        along_xhat = dd_add(along_xhat, dd_mul(gi, dx[i]));
    }
    along_one = dd_div_d(along_one, (double)n);
    along_xhat = dd_div_d(along_xhat, (double)n);
    int e = isfinite(rstd.r.hi) ? ilogb(rstd.r.hi) : 0; /* times r of about 1, then 2^e */
    struct nb_dd r = dd_ldexp(rstd.r, -e);
    for (size_t i = 0; i < n; i++) {
        struct nb_dd d = dd_sub(gradient_at(g, i), along_one);
        d = dd_sub(d, dd_mul(dx[i], along_xhat));
        dx[i] = dd_ldexp(dd_mul(d, r), rstd.exp + e - g->shift);
    }
}

/* The same in plain double. */
static void propagate_nonfinite(const struct nb_ref_gradient *r, double rstd,
                                struct nb_dd *dx)
{
    double along_one = 0, along_xhat = 0, n = (double)r->n;
    for (size_t i = 0; i < r->n; i++) {
        double g = r->gamma ? r->dy[i] * r->gamma[i] : r->dy[i];
        if (r->op == NB_REF_LAYERNORM)
            along_one += g / n;
        along_xhat += g * dx[i].hi / n;
    }
    for (size_t i = 0; i < r->n; i++) {
        double g = r->gamma ? r->dy[i] * r->gamma[i] : r->dy[i];
        dx[i].hi = rstd * (g - along_one - dx[i].hi * along_xhat);
        dx[i].lo = 0;
    }
}

static inline void accumulate(struct nb_dd *to, struct nb_dd v)
{
    struct nb_dd s = dd_add(*to, v);
    *to = fabs(s.hi) <= DBL_MAX ? s : (struct nb_dd){to->hi + v.hi, 0};
}

static inline struct nb_dd times(struct nb_dd xhat, double dy)
{
    int e;
    double m = frexp(dy, &e);
    if (!(fabs(xhat.hi) <= DBL_MAX && fabs(m) <= 1))
        return (struct nb_dd){xhat.hi * dy, 0};
    return dd_ldexp(dd_mul_d(xhat, m), e);
}

static void add_shares(const struct nb_ref_gradient *r, const struct nb_dd *xhat,
                       struct nb_dd *dgamma, struct nb_dd *dbeta)
{
    for (size_t i = 0; i < r->n && dgamma; i++)
        accumulate(&dgamma[i], times(xhat[i], r->dy[i]));
    for (size_t i = 0; i < r->n && dbeta; i++)
        accumulate(&dbeta[i], (struct nb_dd){r->dy[i], 0});
}

void nb_ref_backward_row(const struct nb_ref_gradient *r, struct nb_dd *dx,
                         struct nb_dd *dgamma, struct nb_dd *dbeta)
{
    double x_max = magnitude(r->x, r->n), dy_max = magnitude(r->dy, r->n);
    double gamma_max = r->gamma ? magnitude(r->gamma, r->n) : 0;
    if (fmax(x_max, fmax(dy_max, gamma_max)) > DBL_MAX) {
        struct nb_ref_row row = {.op = r->op, .n = r->n, .x = r->x, .eps = r->eps};
        struct nb_ref_stats s;
        nb_ref_forward(&row, dx, &s);
        add_shares(r, dx, dgamma, dbeta);
        propagate_nonfinite(r, s.rstd.hi, dx);
        return;
    }
    struct root rstd = normalize(r, x_max, dx);
    add_shares(r, dx, dgamma, dbeta);
    struct gradient g = scale_gradient(r, dy_max, gamma_max);
    propagate(&g, r->op == NB_REF_LAYERNORM, rstd, r->n, dx);
}
