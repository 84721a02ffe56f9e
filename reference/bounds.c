/* bounds.c: a-priori bounds on E, and the rows on which they cannot hold.
 *
 * With k1 = mean|x| rstd, X = max|xhat|, every algorithm's output error is at most
 *     u |w| ( K k1 + A |xhat_i| ) + smaller terms in |b|,
 * K from the error of its mean, A from that of its rstd, both with the last operations. E
 * divides by u |w| (k1 + |xhat_i|) + ..., so E <= max(K, (K k1 + A X) / (k1 + X)).
 * docs/numerics.md derives K and A; here they are named alike. c is the summation
 * constant c1 n / lanes + log2(lanes) + c0; in the probabilistic bound min(c, lambda sqrt c)
 * stands in its place. First-order terms are made strict by dividing by 1 - (2c+20)u. */
#include <float.h>

#include "judging.h"

struct row_scan {
    double d_max;     /* max |x - mean| */
    double shift_abs; /* mean |x - x[0]| */
    double shift_sq;  /* sum (x - x[0])^2 */
    double pivot_off; /* max of |mean| and |mean - median of x[0], x[n/2], x[n-1]| */
    double spread;    /* sqrt(mean (x - mean)^2), which its square may be too small to tell */
    int faint;        /* squares of pivot_off may lose digits to underflow */
    double y_max;     /* max |xhat w| + |b|: covers the product and the result */
    double w_max;
    int lost; /* some xhat or gamma is subnormal and its partner shows the lost digits */
};

static double summation_constant(const struct nb_ref_row *r, const struct nb_ref_bound *b)
{
    double lanes = b->lanes > 1 ? b->lanes : 1;
    double n = (double)(r->op == NB_REF_PRMSNORM ? r->k : r->n);
    return b->c1 * n / lanes + log2(lanes) + b->c0;
}

/* With flushing, eta is the smallest normal. */
static int flushes(const struct nb_ref_type *t)
{
    return t->eta >= (t->u == 0x1p-53 ? 0x1p-1022 : 0x1p-126);
}

static double median(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

static struct row_scan scan(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                            const struct nb_ref_type *t, double arith_min)
{
    struct row_scan m = {0};
    double w_lost = flushes(t) ? arith_min : 0; /* a subnormal gamma counts as zero */
    int norm = nb_ref_is_norm(r->op);
    double factor = norm ? s->rstd.hi : r->op == NB_REF_COPY ? 1 : r->alpha, abs_sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        double d = (r->x[i] - s->mean.hi) - s->mean.lo, xhat = fabs(r->op == NB_REF_DYT ? tanh(d * factor) : d * factor);
        if (r->op == NB_REF_GIVEN && !(fabs(d) <= DBL_MAX))
            continue;
        double w = r->gamma ? fabs(r->gamma[nb_ref_gamma_at(r->op, i)] + (r->gemma ? 1 : 0)) : 1;
        double b = r->beta ? fabs(r->beta[i]) : 0;
        double e = r->x[i] - r->x[0];
        abs_sum += fabs(e);
        m.shift_sq += e * e;
        m.d_max = fmax(m.d_max, fabs(d));
        m.w_max = fmax(m.w_max, w);
        m.y_max = fmax(m.y_max, fmax(xhat, xhat * w + b));
        m.lost |=
            (xhat > 0 && xhat < arith_min && w > 8) || (w > 0 && w < w_lost && xhat > 8);
    }
    m.shift_abs = abs_sum / (double)r->n;
    double squares = 0;
    for (size_t i = 0; i < r->n && m.d_max > 0; i++) {
        double part = ((r->x[i] - s->mean.hi) - s->mean.lo) / m.d_max;
        squares += part * part;
    }
    m.spread = m.d_max * sqrt(squares / (double)r->n);
    m.pivot_off = fmax(fabs(s->mean.hi),
                       fabs(s->mean.hi - median(r->x[0], r->x[r->n / 2], r->x[r->n - 1])));
    m.faint = m.pivot_off < 4 * sqrt(arith_min / t->u);
    return m;
}

/* (K k1 + A X) / (k1 + X), but at least K: the weight of |xhat_i| runs from 0 to X. */
static double blend(double K, double A, double k1, double X)
{
    if (!isfinite(A)) /* the precondition fails */
        return INFINITY;
    if (!(A > K) || k1 + X == 0)
        return A > K ? A : K;
    return (K * k1 + A * X) / (k1 + X);
}

/* Errors of the two statistics: of the mean in u mean|x|, of rstd in u rstd. The last
 * operations add 2 to the one and LAST to the other. */
struct parts {
    double mean, rstd;
};
enum { LAST_MEAN = 2, LAST_XHAT = 4, LAST_XHAT_RMS = 3 };

/* Relative error of rstd, in u, when that of var + eps is at most tau < 1. */
static double rstd_error(double tau, double u)
{
    if (!(tau <= 0.5))
        return INFINITY;
    return (1 / sqrt(1 - tau) - 1) / u;
}

/* Centred sum of squares: the mean's error dm enters as dm^2, which can only lower rstd.
 */
static struct parts parts_twopass(double c, const struct nb_ref_stats *s, double u)
{
    double q = s->k1 > 0 ? (c + 2) * u * s->k1 * s->widen : 0;
    return (struct parts){c + 2, (c + 9) / 2 + fmin(0.5 * q * q, 1) / u};
}

/* E[x^2] - mean^2: absolute error (3c+6) u E[x^2]. */
static struct parts parts_onepass(double c, const struct nb_ref_stats *s, double u)
{
    double k2 = s->k2 * s->widen;
    return (struct parts){c + 2, rstd_error((3 * c + 6) * u * k2 * k2, u) + 4};
}

/* The same on x - x[0], each of which is rounded; then mean = x[0] + mean of those,
 * rounded. */
static struct parts parts_shifted(double c, const struct nb_ref_stats *s, double shift_abs,
                                  double u)
{
    double k2 = s->k2_shift * s->widen, mean = 2;
    if (s->k1 > 0)
        mean += (c + 2) * shift_abs * s->rstd.hi / s->k1;
    return (struct parts){mean, rstd_error((3 * c + 10) * u * k2 * k2, u) + 4};
}

/* On x - k, with k at most 4 standard deviations off the mean, or else summed again about the
 * mean found: then k is off by the error of that mean, (c+4) u mean|x - k| and its rounding, where
 * the first k was an element of the row, or 0. Where squares underflow, nothing is proved and any k
 * passes. All in units of sqrt(V+eps): spread is sigma, off
 * mean-k, size the root mean square of x-k. The mean stays k + d: its errors are those of d, of that
 * size at most, and of the last operations, off each. */
static struct parts parts_guarded(double c, const struct nb_ref_stats *s, const struct row_scan *m,
                                  double u)
{
    double unit = s->rstd.hi * s->widen, spread = m->spread * unit, X = s->xhat_max * s->widen;
    double k1 = s->k1 * s->widen, off = m->pivot_off * unit;
    double again = (c + 4) * u * fmax(k1, hypot(spread, X)) + u * k1;
    double good = 4 * spread * (1 + (60 * c + 200) * u);
    double worst = off > 3.8 * spread && !m->faint ? fmax(fmin(off, good), again) : off;
    double size = hypot(spread, worst), d = (c + 4) * size + 4 * worst;
    return (struct parts){k1 > 0 ? d / k1 : 0, rstd_error((3 * c + 10) * u * size * size, u) + 4};
}

/* Updating formulas. g bounds the root mean square of |e_(k-1)| + |e_k|, the running
 * means' errors, times rstd: a running mean of k numbers is off by u k max|x| / 2, and by
 * u sum|x| of its lane. */
static struct parts parts_welford(double c, double lanes, const struct nb_ref_row *r,
                                  const struct nb_ref_stats *s, double u)
{
    double merges = log2(lanes);
    double by_max = (c + 4) * s->x_max * s->rstd.hi / sqrt(3);
    double by_sum = 2 * (c + 4) * sqrt(lanes) * s->k1;
    double least = fmin(by_max, by_sum), g = least > 0 ? u * least * s->widen : 0;
    double tau = (c + 6 + 3 * merges) * u + g * (sqrt(2) + sqrt(3 * merges)) +
                 g * g * (1 + 3 * merges) / 4;
    return (struct parts){c + 2 * log((double)r->n) + 3 * merges + 8,
                          rstd_error(tau, u) + 4};
}

/* Of two algorithms: blend grows with both errors. */
static struct parts worse_of(struct parts a, struct parts b)
{
    return (struct parts){fmax(a.mean, b.mean), fmax(a.rstd, b.rstd)};
}

static struct parts parts_of(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                             const struct nb_ref_bound *b, double c,
                             const struct row_scan *m, double u)
{
    switch (b->kind) {
    case NB_REF_BOUND_TWOPASS:
        return parts_twopass(c, s, u);
    case NB_REF_BOUND_ONEPASS:
        return parts_onepass(c, s, u);
    case NB_REF_BOUND_SHIFTED:
        return parts_shifted(c, s, m->shift_abs, u);
    case NB_REF_BOUND_GUARDED:
        return parts_guarded(c, s, m, u);
    case NB_REF_BOUND_EITHER:
        return worse_of(parts_twopass(c, s, u), parts_guarded(c, s, m, u));
    case NB_REF_BOUND_WELFORD:
        return parts_welford(c, b->lanes > 1 ? b->lanes : 1, r, s, u);
    case NB_REF_BOUND_RMS:
        return (struct parts){0, (c + 7) / 2};
    default: /* no statistics */
        return (struct parts){0, 0};
    }
}

/* The limits of one c. An eps outside the root costs a rounding more, and so does 1 + gamma. */
static struct nb_ref_limit limit_of(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                                    const struct nb_ref_bound *b, double c,
                                    const struct row_scan *m, double u)
{
    struct parts p = parts_of(r, s, b, c, m, u);
    double outside = r->eps_outside ? 1 : 0, gemma = r->gemma && r->gamma ? 1 : 0;
    struct nb_ref_limit l = {.mean = p.mean + 1, .rstd = p.rstd + outside + 1};
    if (b->kind == NB_REF_BOUND_EXACT)
        l.body = 0;
    else if (b->kind == NB_REF_BOUND_ROUND)
        l.body = b->c0 + gemma + 1;
    else if (b->kind == NB_REF_BOUND_RMS)
        l.body = p.rstd + outside + gemma + LAST_XHAT_RMS;
    else
        l.body = blend(p.mean + LAST_MEAN, p.rstd + outside + gemma + LAST_XHAT, s->k1,
                       s->xhat_max);
    return l;
}

double nb_ref_strict(double N, double u)
{
    double rest = 1 - N * u;
    return rest >= 0.5 ? 1 / rest : INFINITY;
}

double nb_ref_limit_E(double body, const struct nb_ref_type *t)
{
    double E = body * (1 + t->u_out);
    return E > 0 && E < 1 && t->u_out > 0 ? 1 : E;
}

static void make_strict(struct nb_ref_limit *l, double c, const struct nb_ref_type *t)
{
    double by = nb_ref_strict(2 * c + 20, t->u);
    l->mean *= by;
    l->rstd *= by;
    l->body = l->body > 0 ? l->body * by : 0;
    l->E = nb_ref_limit_E(l->body, t);
}

/* Rounding errors of a sum are independent only while its terms differ by more than the last
 * place of the running sum, n/2^precision of a term: rows that are nearly constant keep the
 * worst case. k2_shift / k2 is the spread about x[0] in root mean squares; of x - x[0] it is
 * 1 / k2_shift. */
static int is_ordinary(const struct nb_ref_stats *s, const struct nb_ref_bound *b, double c,
                       double u)
{
    if (b->kind == NB_REF_BOUND_SHIFTED && s->k2_shift * s->widen * PLACES * c * u > 1)
        return 0;
    return s->k2_shift >= s->k2 * PLACES * c * u;
}

/* Both limits; the probabilistic one from the smaller constant. */
static void make_limits(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                        const struct nb_ref_type *t, const struct nb_ref_bound *b,
                        double c, const struct row_scan *m, struct nb_ref_limits *limits)
{
    double likely = b->lambda > 0 && is_ordinary(s, b, c, t->u) ? fmin(c, b->lambda * sqrt(c)) : c;
    limits->worst = limit_of(r, s, b, c, m, t->u);
    limits->likely = limit_of(r, s, b, likely, m, t->u);
    make_strict(&limits->worst, c, t);
    make_strict(&limits->likely, likely, t);
}

/* The smallest var + eps whose squares have kept their digits: an underflow costs each
 * square half a subnormal, 2u of the smallest normal, or, flushed, the smallest normal
 * itself. */
static double smallest_mean_square(const struct nb_ref_type *t, double arith_min)
{
    return flushes(t) ? arith_min / t->u : 2 * arith_min;
}

/* What the statistics' intermediates reach, as squares summed: by kind, with the mean's
 * error. */
static double largest_square_sum(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                                 const struct nb_ref_bound *b, const struct row_scan *m,
                                 double c, double u)
{
    double n = (double)r->n, d = m->d_max + (c + 2) * u * (s->x_sum_abs / n);
    if (b->kind == NB_REF_BOUND_ONEPASS || b->kind == NB_REF_BOUND_RMS)
        return s->sq_sum;
    if (b->kind == NB_REF_BOUND_SHIFTED)
        return m->shift_sq;
    if (b->kind == NB_REF_BOUND_GUARDED || b->kind == NB_REF_BOUND_EITHER)
        return fmax(s->sq_sum, n * 4 * d * d); /* about 0, or an element of the row */
    if (b->kind == NB_REF_BOUND_WELFORD)
        d *= 2; /* x less a running mean: at most max - min */
    return n * d * d;
}

/* A gain is part of what a row is multiplied by, or divided by: rstd times it, or the inverse, must be normal. */
static int factor_leaves_range(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                               const struct row_scan *m, double arith_min)
{
    double factor = s->rstd.hi * m->w_max;
    if (r->op != NB_REF_SCALENORM || factor == 0 || !(s->rstd.hi < INFINITY))
        return 0;
    return !(factor >= arith_min) || !(factor * arith_min <= 1);
}

static int leaves_range(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                        const struct nb_ref_type *t, const struct nb_ref_bound *b,
                        const struct row_scan *m, double c, double arith_max,
                        double arith_min)
{
    double top = arith_max * RANGE_MARGIN;
    if (!nb_ref_is_norm(r->op))
        return 0;
    if (factor_leaves_range(r, s, m, arith_min))
        return 1;
    if (s->x_max == 0) /* all sums are exact zeros */
        return 0;
    if (r->op == NB_REF_GIVEN) /* x - mean, or x and mean times rstd gamma */
        return !(fmax(m->d_max, fmax(s->x_max, fabs(r->mean)) * s->rstd.hi * fmax(m->w_max, 1)) <= top);
    /* sum|x| needs no look: were it to overflow, so would the squares that follow */
    double squares = largest_square_sum(r, s, b, m, c, t->u);
    double square = s->var.hi + (r->eps_outside ? 0 : r->eps); /* of n of them each may have lost its share */
    double mean_square = nb_ref_is_sum(r->op) ? square / (double)r->n : square;
    return !(squares <= top) || !(s->rstd.hi * s->x_max <= top) ||
           !(s->rstd.hi * m->w_max <= top) ||
           mean_square < smallest_mean_square(t, arith_min);
}

enum nb_ref_hazard nb_ref_limit(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                                const struct nb_ref_type *t, const struct nb_ref_bound *b,
                                double arith_max, double arith_min,
                                struct nb_ref_limits *limits)
{
    double c = summation_constant(r, b);
    struct nb_ref_stats none = {.widen = 1};
    if (!s->finite) { /* NaN and Inf are counted, and finite elements are exact zeros */
        make_limits(r, &none, t, b, c, &(struct row_scan){0}, limits);
        return NB_REF_INSIDE;
    }
    struct row_scan m = scan(r, s, t, arith_min);
    int zero = s->x_max == 0 && !(s->rstd.hi < INFINITY);
    make_limits(r, zero ? &none : s, t, b, c, &m, limits);
    int norm = nb_ref_is_norm(r->op);
    if (norm && s->x_max > 0 && !(s->rstd.hi < INFINITY)) /* no spread, no eps: 0/0 */
        return NB_REF_UNSTABLE;
    int exact = b->kind == NB_REF_BOUND_EXACT;
    if (!exact && (m.y_max > t->max_out * (1 - 0x1p-6) || m.lost))
        return NB_REF_OVERFLOW;
    if (!b->range_safe && leaves_range(r, s, t, b, &m, c, arith_max, arith_min))
        return NB_REF_OVERFLOW;
    return isfinite(limits->worst.body) ? NB_REF_INSIDE : NB_REF_UNSTABLE;
}
