/* judge.c: how far an output is from the exact one, and the rounding that the output type
 * allows.
 *
 * E_i = |got_i - ref_i| / (u (|w_i| k1 + |w_i xhat_i| + |b_i|) + eta (1 + |w_i| rstd)
 *                          + u_out |ref_i| + eta_out)
 * xhat is alpha*x for scale and affine, tanh(alpha*x) for dyt (r there max(1, alpha)), x for copy, with k1 = 0. docs/numerics.md derives
 * it. The expected output of an element is ref rounded to the type: where that is NaN or
 * Inf, got must be the same, and where it is not, got must be finite. An element that
 * breaks this is counted in nonfinite and enters no other figure. */
#include <float.h>
#include <string.h>

#include "judging.h"

static const struct {
    const char *name;
    struct nb_ref_type type;
} types[] = {
    {"f32", {0x1p-24, 0x1p-149, 0, 0, FLT_MAX, 24, -126}},
    {"f64", {0x1p-53, 0x1p-1074, 0, 0, DBL_MAX, 53, -1022}},
    {"f16", {0x1p-24, 0x1p-149, 0x1p-11, 0x1p-24, 65504, 11, -14}},
    {"bf16", {0x1p-24, 0x1p-149, 0x1p-8, 0x1p-133, 0x1.fep127, 8, -126}},
};

const struct nb_ref_type *nb_ref_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i].type;
    return NULL;
}

/* Exponent of the last place of a number of magnitude |v|. */
static int last_place(double v, const struct nb_ref_type *t)
{
    int e = t->min_exp + 1;
    if (v != 0)
        frexp(v, &e);
    return (e - 1 > t->min_exp ? e - 1 : t->min_exp) - (t->precision - 1);
}

/* For the narrow types hi is a whole number q of last places and a fraction, known
 * exactly; lo is at most half a last place of hi, so it matters only where the fraction
 * is a tie. A hi that is a power of two with lo of the other sign has the finer last
 * place of the binade below, but rounds to itself in either. */
double nb_ref_round(struct nb_dd v, const struct nb_ref_type *t)
{
    if (t->precision == DBL_MANT_DIG || !isfinite(v.hi) || v.hi == 0)
        return v.hi; /* hi is already the nearest double */
    int e = last_place(v.hi, t);
    double q = ldexp(v.hi, -e), whole = rint(q), part = q - whole;
    if (fabs(part) == 0.5 && v.lo != 0)
        whole = v.lo > 0 ? ceil(q) : floor(q);
    double out = ldexp(whole, e);
    return fabs(out) > t->max_out ? copysign(INFINITY, v.hi) : out;
}

/* 1: enters the figures; 0: agrees without a number (NaN, Inf); -1: disagrees */
static int comparable(struct nb_dd ref, double got, const struct nb_ref_type *t)
{
    if (fabs(ref.hi) < t->max_out)
        return isfinite(got) ? 1 : -1;
    double expected = nb_ref_round(ref, t);
    if (isnan(expected))
        return isnan(got) ? 0 : -1;
    if (isinf(expected))
        return got == expected ? 0 : -1;
    return isfinite(got) ? 1 : -1;
}

/* The k-th smallest of a[0..n), from 0 (Hoare 1961). */
static double select_kth(double *a, size_t n, size_t k)
{
    size_t lo = 0, hi = n - 1;
    while (lo < hi) {
        double pivot = a[lo + (hi - lo) / 2];
        size_t i = lo, j = hi;
        for (;;) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i >= j)
                break;
            double swap = a[i];
            a[i++] = a[j];
            a[j--] = swap;
        }
        if (k <= j)
            hi = j;
        else
            lo = j + 1;
    }
    return a[k];
}

static double weight_of(const struct nb_ref_row *r, size_t i)
{
    double gamma = r->gamma[nb_ref_gamma_at(r->op, i)];
    return fabs(r->gemma ? 1 + gamma : gamma);
}

/* |w xhat| is |y - b|, exact enough beside u|b|. */
struct forward_row {
    const struct nb_ref_row *r;
    const struct nb_ref_stats *s;
};

static struct nb_ref_room forward_room(const struct nb_ref_judged *j, size_t i)
{
    const struct nb_ref_row *r = ((const struct forward_row *)j->of)->r;
    const struct nb_ref_stats *s = ((const struct forward_row *)j->of)->s;
    const struct nb_ref_type *t = j->t;
    struct nb_dd y = j->ref[i];
    int norm = nb_ref_is_norm(r->op);
    int has_affine = norm || r->op == NB_REF_AFFINE || r->op == NB_REF_DYT;
    double w = has_affine && r->gamma ? weight_of(r, i) : 1;
    double b = has_affine && r->beta ? r->beta[i] : 0;
    double factor = norm ? s->rstd.hi : r->op == NB_REF_COPY ? 1 : fabs(r->alpha);
    if (r->op == NB_REF_DYT) /* what underflows in it is a tanh's own, and its argument's */
        factor = fmax(1, factor);
    double wx = fabs(dd_add_d(y, -b).hi);
    struct nb_ref_room m = {
        .body = t->u * (w * fmin(s->k1, DBL_MAX) + wx + fabs(b)) +
                t->eta * (1 + w * fmin(factor, DBL_MAX)),
        .out = t->u_out * fabs(y.hi) + t->eta_out,
        .size = fmax(w, wx),
        .exact = r->op == NB_REF_COPY,
    };
    if (r->cast_before) /* xhat, too, was rounded to the output type */
        m.out += t->u_out * wx + t->eta_out * w;
    return m;
}

/* A copy is right or wrong: 0 where equal, sign of zero included, at least 1 elsewhere.
 */
static double copy_error(double x, double got, double scaled)
{
    if (got == x && signbit(got) == signbit(x))
        return 0;
    return fmax(scaled, 1);
}

static double largest(const struct nb_ref_judged *j, const double *got)
{
    double top = 0;
    for (size_t i = 0; i < j->n; i++)
        if (fabs(j->ref[i].hi) > top && comparable(j->ref[i], got[i], j->t) == 1)
            top = fabs(j->ref[i].hi);
    return top;
}

/* x/0 is Inf and 0/0 is 0: no error where there is nothing to be wrong about. */
static double ratio(double a, double b)
{
    return a == 0 ? 0 : a / b;
}

/* An error d over what limit allows: limit times the body, and one rounding to the type, which
 * acts on the body's error as well. */
static double share_of(double d, struct nb_ref_room m, double limit, const struct nb_ref_type *t)
{
    return ratio(d, limit * m.body * (1 + t->u_out) + m.out);
}

static void take_ulp(struct nb_ref_error *e, double ulp)
{
    int bin = 0;
    for (double edge = 0.5; ulp > edge && bin < NB_REF_ULP_BINS - 1; edge *= 2)
        bin++;
    e->ulp[bin]++;
    e->ulp_max = fmax(e->ulp_max, fmin(ulp, DBL_MAX));
}

static void take_shares(double d, struct nb_ref_room m, const struct nb_ref_judged *j,
                        struct nb_ref_error *e)
{
    double worst = j->limits->worst.body, likely = j->limits->likely.body;
    e->share = fmax(e->share, share_of(d, m, worst, j->t));
    e->share_likely = fmax(e->share_likely, share_of(d, m, likely, j->t));
    e->teeth = fmax(e->teeth, share_of(m.size, m, worst, j->t));
    e->teeth_likely = fmax(e->teeth_likely, share_of(m.size, m, likely, j->t));
}

/* One element that is a number on both sides; returns its E. */
static double take_element(const struct nb_ref_judged *j, double got, size_t i,
                           struct nb_ref_error *e)
{
    double d = fabs(dd_add_d(j->ref[i], -got).hi);
    struct nb_ref_room m = j->room(j, i);
    double E = fmin(d / (m.body + m.out), DBL_MAX);
    if (m.exact) {
        E = copy_error(j->ref[i].hi, got, E);
        e->share = e->share_likely = fmax(e->share, E > 0 ? INFINITY : 0);
        e->teeth = e->teeth_likely = INFINITY;
    } else if (j->limits) {
        take_shares(d, m, j, e);
    }
    if (E > e->E_max)
        e->E_max = E, e->worst = i;
    return E;
}

void nb_ref_measure(const struct nb_ref_judged *j, const double *got, double *scratch,
                    struct nb_ref_error *e)
{
    double top = largest(j, got), unit = top > 0 ? top : 1;
    double d_max = 0, d_sq = 0, ref_sq = 0;
    *e = (struct nb_ref_error){0};
    for (size_t i = 0; i < j->n; i++) {
        int state = comparable(j->ref[i], got[i], j->t);
        e->nonfinite += state < 0;
        if (state != 1)
            continue;
        double d = fabs(dd_add_d(j->ref[i], -got[i]).hi), ref = fabs(j->ref[i].hi);
        scratch[e->compared++] = take_element(j, got[i], i, e);
        if (ref > 0 && ref >= 0x1p-6 * top)
            take_ulp(e, ldexp(d, -last_place(ref, j->t)));
        d_max = fmax(d_max, d);
        d_sq += d / unit * (d / unit);
        ref_sq += ref / unit * (ref / unit);
    }
    if (e->compared)
        e->E_p99 = select_kth(scratch, e->compared, (e->compared * 99 + 99) / 100 - 1);
    e->normwise = ratio(d_max, top);
    e->rms = ratio(sqrt(d_sq), sqrt(ref_sq));
}

void nb_ref_judge(const struct nb_ref_row *r, const struct nb_dd *y,
                  const struct nb_ref_stats *s, const struct nb_ref_type *t,
                  const struct nb_ref_limits *limits, const double *got, double *scratch,
                  struct nb_ref_error *e)
{
    struct forward_row of = {r, s};
    struct nb_ref_judged j = {y, r->n, t, limits, forward_room, &of};
    nb_ref_measure(&j, got, scratch, e);
}

/* |got - want| / unit; 0 where neither is finite, Inf where one is */
static double stat_error(struct nb_dd want, double got, double unit)
{
    if (!isfinite(got) || !isfinite(want.hi)) /* a mean of Inf and the NaN of the formula are one */
        return isfinite(got) == isfinite(want.hi) ? 0 : INFINITY;
    return ratio(fabs(dd_add_d(want, -got).hi), unit);
}

double nb_ref_mean_error(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                         const struct nb_ref_type *t, double mean)
{
    return stat_error(s->mean, mean, t->u * (s->x_sum_abs / (double)r->n) + t->eta);
}

double nb_ref_rstd_error(const struct nb_ref_stats *s, const struct nb_ref_type *t, double rstd)
{
    return stat_error(s->rstd, rstd, t->u * s->rstd.hi + t->eta);
}
