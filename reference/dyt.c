/* dyt.c: gradients of y = tanh(alpha*x)*w + beta in double-double, and bounds on a kernel's; backward.h has the formulas.
 *
 * A kernel computes z = fl(alpha x), t and d = 1 - t^2 of it, g = dy w, and dx = (g d) alpha, sums of dy t (dgamma), of dy (dbeta)
 * and of (g d) x (dalpha). In units of u, to first order, G = 1 rounding of g, 2 where w = 1 + gamma:
 * d        11 of its own (docs/numerics.md: 10.1 of expm1, 11 of 1/cosh^2), and from z's rounding |d'/d| |z| = 2|z t|: 11 + 2|z|.
 * dx       G + d + 2: 14 + 2|z|. In units of u |g d alpha| (1 + |z|), E <= 14, the descriptor's c0; one more where w is
 *          1 + gamma.
 * floor    Where d is below FLOOR, 64 smallest normals, a kernel may lose all of it: exp(-2|z|) ends there.
 * dgamma   t: 6, and at most 1 from z (|z| d <= |t|); product 1; R rows at most R - 1 additions; output 1: below R + 10.
 * dalpha   G, d, two products, one for the output: 15 + 2|z|, in units of the sum of |g d x| (1 + |z|); at most R + 1
 *          additions over rows and parts, and those along a row.
 * Underflow an operation loses eta at most, and flushing that of its operands: see lost_of. */
#include "dyt.h"

#include <float.h>

#include "judging.h"

enum { BESIDE_DALPHA = 16, MORE_OF_DGAMMA = 5 };
/* Factors (1 + d) of a product that first order leaves out: 14 + 2|z|, |z| <= 355. */
enum { FACTORS = 3000 };

static struct nb_dd times(struct nb_dd a, struct nb_dd b)
{
    struct nb_dd p = dd_mul(a, b);
    if (!(fabs(p.hi) <= DBL_MAX) || !(fabs(p.lo) <= DBL_MAX))
        return (struct nb_dd){a.hi * b.hi, 0};
    return p;
}

static struct nb_dd of_double(double v)
{
    return (struct nb_dd){v, 0};
}

struct nb_dd nb_dyt_argument(double alpha, double x)
{
    struct nb_dd z = dd_two_prod(alpha, x);
    if (!(fabs(z.lo) <= DBL_MAX))
        z.lo = 0;
    return z;
}

static struct nb_dd weight(const struct nb_ref_gradient *r, size_t i)
{
    if (!r->gamma)
        return of_double(1);
    return r->gemma && isfinite(r->gamma[i]) ? dd_two_sum(1, r->gamma[i]) : of_double(r->gamma[i]);
}

/* One element: z, t, d, g*d. */
struct bent {
    struct nb_dd z, t, d, gd;
};

static struct bent bend(const struct nb_ref_gradient *r, size_t i)
{
    struct bent b = {.z = nb_dyt_argument(r->alpha, r->x[i])};
    b.t = nb_ref_tanh(b.z, &b.d);
    b.gd = times(times(of_double(r->dy[i]), weight(r, i)), b.d);
    return b;
}

void nb_dyt_backward_row(const struct nb_ref_gradient *r, struct nb_dd *dx, struct nb_dd *dgamma, struct nb_dd *dbeta)
{
    for (size_t i = 0; i < r->n; i++) {
        struct bent b = bend(r, i);
        dx[i] = times(b.gd, of_double(r->alpha));
        if (dgamma)
            dd_accumulate(&dgamma[i], times(of_double(r->dy[i]), b.t));
        if (dbeta)
            dd_accumulate(&dbeta[i], of_double(r->dy[i]));
    }
}

void nb_dyt_look(const struct nb_ref_gradient *r, struct nb_ref_gradient_stats *s)
{
    *s = (struct nb_ref_gradient_stats){.rstd = {1, 0}, .finite = 1, .over = 1, .vary = INFINITY};
    for (size_t i = 0; i < r->n; i++) {
        double w = fabs(weight(r, i).hi), dy = fabs(r->dy[i]);
        s->w_max = fmax(s->w_max, w);
        s->dy_max = fmax(s->dy_max, dy);
        s->g_max = fmax(s->g_max, w * dy);
        s->dx_max = fmax(s->dx_max, fabs(times(bend(r, i).gd, of_double(r->alpha)).hi));
        s->finite &= isfinite(r->x[i]) && isfinite(dy) && isfinite(w);
    }
}

/* ---- dx ---- */

enum nb_ref_hazard nb_dyt_limit(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                                const struct nb_ref_type *t, const struct nb_ref_bound *b, double arith_max,
                                struct nb_ref_limits *limits)
{
    double top = arith_max * RANGE_MARGIN, factor = fmax(1, fabs(r->alpha));
    struct nb_ref_limit l = {.body = b->c0 + (r->gemma && r->gamma ? 1 : 0)};
    l.body *= nb_ref_strict(2 * b->c0 + FACTORS, t->u);
    l.E = nb_ref_limit_E(l.body, t);
    limits->worst = limits->likely = l;
    if (!s->finite) /* NaN and Inf are counted */
        return NB_REF_INSIDE;
    if (!(s->dx_max <= t->max_out * (1 - 0x1p-6)) || !(fmax(s->g_max, fmax(s->w_max, s->dy_max)) * factor <= top))
        return NB_REF_OVERFLOW;
    return isfinite(l.body) ? NB_REF_INSIDE : NB_REF_UNSTABLE;
}

static double floor_of(const struct nb_ref_type *t)
{
    return t->u == 0x1p-53 ? 0x1p-1016 : 0x1p-120;
}

/* Etas: of dy, w and their product, each times what follows, and of the last two. */
static double lost_of(const struct nb_ref_gradient *r, size_t i, double factor)
{
    return 1 + fabs(factor) * (2 + fabs(weight(r, i).hi) + fabs(r->dy[i]));
}

/* How much a relative change of z shows: where it is infinite d is 0, and nothing does. */
static double size_of(struct nb_dd z)
{
    return 1 + fmin(fabs(z.hi), 1e4);
}

static struct nb_ref_room dx_room(const struct nb_ref_judged *j, size_t i)
{
    const struct nb_ref_gradient *r = j->of;
    const struct nb_ref_type *t = j->t;
    double dx = fabs(j->ref[i].hi), ag = fabs(r->alpha * r->dy[i] * weight(r, i).hi);
    return (struct nb_ref_room){
        .body = t->u * dx * size_of(nb_dyt_argument(r->alpha, r->x[i])) + t->eta * lost_of(r, i, r->alpha),
        .out = t->u_out * dx + t->eta_out + fmin(dx, ag * floor_of(t)),
        .size = dx,
    };
}

void nb_dyt_judge(const struct nb_ref_gradient *r, const struct nb_dd *dx, const struct nb_ref_type *t,
                  const struct nb_ref_limits *limits, const double *got, double *scratch, struct nb_ref_error *e)
{
    struct nb_ref_judged j = {dx, r->n, t, limits, dx_room, r};
    nb_ref_measure(&j, got, scratch, e);
}

/* ---- sums over rows ---- */

static void add_unit(double *to, double v)
{
    if (isfinite(v))
        *to += v;
}

static void add_dalpha(const struct nb_ref_gradient *r, size_t i, struct bent b, double m, struct nb_ref_shares *to)
{
    struct nb_dd term = times(b.gd, of_double(r->x[i]));
    double g = fabs(r->dy[i] * weight(r, i).hi), x = fabs(r->x[i]);
    dd_accumulate(to->dalpha, times(term, of_double(m)));
    add_unit(to->dalpha_unit, m * fabs(term.hi) * size_of(b.z));
    add_unit(&to->dalpha_lost, m * lost_of(r, i, x));
    add_unit(&to->dalpha_floor, m * g * x * fmin(b.d.hi, floor_of(&(struct nb_ref_type){.u = 0x1p-24})));
}

void nb_dyt_shares_add(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, size_t rows,
                       struct nb_ref_shares *to)
{
    double m = (double)rows;
    for (size_t i = 0; i < r->n; i++) {
        struct bent b = bend(r, i);
        struct nb_dd dy = of_double(r->dy[i]);
        if (to->dgamma) {
            dd_accumulate(&to->dgamma[i], times(times(dy, b.t), of_double(m)));
            to->dgamma_unit[i] += m * fabs(dy.hi * b.t.hi);
        }
        if (to->dbeta) {
            dd_accumulate(&to->dbeta[i], times(dy, of_double(m)));
            to->dbeta_unit[i] += m * fabs(dy.hi);
        }
        if (to->dalpha)
            add_dalpha(r, i, b, m, to);
    }
    to->dy_max = fmax(to->dy_max, s->finite ? s->dy_max : 0);
    to->xhat_max = to->rstd_max = to->sigma_max = 1; /* tanh */
    to->more = MORE_OF_DGAMMA;
    to->along = 1;
    to->rows += m;
    to->repeats = fmax(to->repeats, m);
    to->not_finite |= !s->finite;
}

static struct nb_ref_limit dalpha_limit(double c, const struct nb_ref_type *t)
{
    double body = (c + BESIDE_DALPHA) * nb_ref_strict(2 * c + FACTORS, t->u);
    return (struct nb_ref_limit){.body = body, .E = nb_ref_limit_E(body, t)};
}

enum nb_ref_hazard nb_dyt_dalpha_limit(const struct nb_ref_shares *of, const struct nb_ref_type *t, double along,
                                       double lambda, double arith_max, struct nb_ref_limits *limits)
{
    double c = of->rows + 1 + along, likely = lambda > 0 ? fmin(c, lambda * sqrt(c * of->repeats)) : c;
    limits->worst = dalpha_limit(c, t);
    limits->likely = dalpha_limit(likely, t);
    if (of->not_finite && !isfinite(of->dalpha->hi))
        return NB_REF_INSIDE;
    if (!(*of->dalpha_unit <= arith_max * RANGE_MARGIN))
        return NB_REF_OVERFLOW;
    return isfinite(limits->worst.body) ? NB_REF_INSIDE : NB_REF_UNSTABLE;
}

static struct nb_ref_room dalpha_room(const struct nb_ref_judged *j, size_t i)
{
    const struct nb_ref_shares *of = j->of;
    const struct nb_ref_type *t = j->t;
    return (struct nb_ref_room){
        .body = t->u * of->dalpha_unit[i] + t->eta * of->dalpha_lost,
        .out = t->u_out * fabs(j->ref[i].hi) + t->eta_out + of->dalpha_floor,
        .size = of->dalpha_unit[i] / of->rows,
    };
}

void nb_dyt_dalpha_judge(const struct nb_ref_shares *of, const struct nb_ref_type *t, const struct nb_ref_limits *limits,
                         const double *got, double *scratch, struct nb_ref_error *e)
{
    struct nb_ref_judged j = {of->dalpha, 1, t, limits, dalpha_room, of};
    nb_ref_measure(&j, got, scratch, e);
}
