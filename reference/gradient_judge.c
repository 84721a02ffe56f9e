/* gradient_judge.c: how far dx, dgamma and dbeta are from the exact ones, and a-priori bounds on it.
 *
 * A kernel is given mean and rstd, each rounded to its arithmetic, and computes
 *     xhat = (x - mean) rstd, g = dy w, m1 = S1/n, m2 = S2/n, S1 = sum g, S2 = sum g xhat,
 *     dx = rstd (g - m1 - xhat m2)
 * in any order of the last operations, also as dy w rstd - (a + xhat b) with a = m1 rstd,
 * b = m2 rstd, and as (n g - S1 - xhat S2) (rstd/n); with FMA or without, which only leaves roundings
 * out. Not covered: xhat as x rstd - mean rstd, which rounds the mean twice, and sums of g x; sums of
 * g (x - mean) under "Variance" alone.
 *
 * xhat     The given mean is off by u|mean|, so every xhat moves by the same e, |e| <= k u,
 *          k = |mean| rstd. Then the difference, the given rstd and the product: 3 roundings,
 *          without mean 2. To first order |xhat| 3u + k u.
 * g        G = 1 rounding, 2 where w = 1 + gamma, 0 without gamma (counted as 1).
 * m1       G, the sum's c = c1 n / lanes + log2(lanes), the division 1 (times 1/n: 2):
 *          c + G + 2 in units of u mean|g|.
 * m2       xhat 3, G, product 1, c, 2: c + G + 6 in units of u mean|g xhat|, and k u mean|g|.
 * dx       Of the term      |g|     mean|g|      |xhat| mean|g xhat|
 *          rstd (...)       G + 4   c + G + 6    3 + (c+G+6) + 1 + 2 + 2 = c + G + 13 or,
 *                                                where m1 and xhat m2 are added first, c + G + 13
 *          - (a + xhat b)   G + 3   c + G + 6    3 + (c+G+6+2) + 1 + 1 + 1 = c + G + 14
 *          (rstd/n)         G + 6   c + G + 5    c + G + 13
 *          and from e       k |m2| and |xhat| k |mean(g)|, and e twice: k^2 u |mean(g)|.
 *          D_i holds mean|g|, mean|g xhat|, |xhat| mean|g| and |xhat| mean|g xhat| each once, hence
 *              E <= max( c + G + 14, c + G + 6 + k^2 u, k ).
 * Without mean: xhat 2, m2 c + G + 5, and one addition less, hence E <= c + G + 11. With G = 1 the
 * constants beside c are 15 and 12: the descriptor's c0. G = 2 adds 1. A prefix divides its sum,
 * which is over n, by k; an element behind it has |g| alone.
 * Of a sum nothing is divided. One gain w may stay out of g: S2 = sum dy xhat has xhat 2, product 1, c: c + 3;
 * f = rstd w has 2 (w = 1 + gamma: 3); |g| in dy f + xhat (S2 f) has f 2, product 1, sum 1; the other term xhat 2,
 * S2 c + 3, f 2, products 2, sum 1: c + 10, below c + G + 11.
 *
 * Variance  A kernel that is made for saved variances is given v = s^2, s = 1/rstd, and takes r = 1/sqrt(v). The root
 *           of a rounded square is the number itself (binary, in range), so r is off by the given rstd's rounding,
 *           that of s and its own: 3u = e'. With FMA in both sums,
 *               S2 = r sum g (x - mean), dx = r (g - (xhat S2 + S1) / n), xhat = (x - mean) r.
 *           Term in |xhat| mean|g xhat|: g 1, difference 1, c, times r 1; xhat 2; FMA, quotient, difference, product 1
 *           each; e' three times: c + 18. In mean|g|: g 1, c, the same 4, e': c + 8, below c + c0 - 8.
 *           Without mean both differences are missing: c + 16. A term of the sum that underflows loses eta, and rstd
 *           eta of mean(g xhat): 1 unit more, while that is below u mean|g xhat|, or u mean|g| with a mean;
 *           elsewhere NB_REF_OVERFLOW. So c0 is 19 and 17. dgamma: difference, product and e', 5, or 4.
 * Strict    each term is a product of at most N = c + c0 + 1 factors (1 + d), |d| <= u: divided by
 *           1 - (2 (c + c0) + 20) u.
 * Underflow an operation loses eta at most, which flushing takes from its operands as well: from
 *           xhat a = (1 + 3 rstd) eta, from g b = (1 + |w| + |dy|) eta, from m1 b + 2 eta, from m2
 *           b mean|xhat| + a mean|g| + 3 eta; dx adds a |m2| and 5 + |xhat| of its own, and |dy|
 *           where w rstd comes first. No coefficient is above 7, a limit is 12 at least, so E counts
 *           each once. A prefix has n/k times as many.
 * Likely    min(c, lambda sqrt(c)) in place of c, as in bounds.c.
 *
 * dgamma    dy xhat: xhat 3 (2), product 1; a sum of R rows in any order has at most R - 1 additions
 *           above a term, 1 for the output: below R + 5 in u |dy xhat|, and |dy| k once.
 *           dbeta: below R + 1. A row that is repeated M times repeats its rounding errors while
 *           the running sum stays in one binade: that sum is a multiple of its last place, so what is
 *           lost of a term depends on the term alone. Errors of R/M rows are independent, and
 *           M sqrt(R/M) = sqrt(R M) takes the place of sqrt(R).
 * One gamma of all elements: the share of a row is a sum along it, xhat 2, product 1, c, and at
 *           most 7 more where the vectors of a tail all go to one of 8 partial sums. Then R - 1
 *           additions of rows and 1 for the output: R + c + 10, below R + c + c0; likely,
 *           min(R + c, lambda sqrt(R M + c)) + c0. */
#include <float.h>

#include "backward.h"
#include "dyt.h"
#include "judging.h"

enum {
    BESIDE_MEAN_G = 8, /* c0 less what mean|g| needs of it */
    BESIDE_DGAMMA = 5, /* roundings beside c = R */
    BESIDE_DBETA = 1
};

/* ---- The row ---- */

static double weight_of(const struct nb_ref_gradient *r, size_t i)
{
    return r->gamma ? r->gamma[nb_ref_gamma_at(r->op, i)] + (r->gemma ? 1 : 0) : 1;
}

static double g_of(const struct nb_ref_gradient *r, size_t i)
{
    return r->dy[i] * weight_of(r, i);
}

static double xhat_of(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, size_t i)
{
    return ((r->x[i] - s->mean.hi) - s->mean.lo) * s->rstd.hi;
}

/* dx_i has a term in xhat_i */
static int has_xhat(const struct nb_ref_gradient *r, size_t i)
{
    return r->op != NB_REF_PRMSNORM || i < r->k;
}

static void take_largest(const struct nb_ref_gradient *r, size_t i, struct nb_ref_gradient_stats *s)
{
    double xhat = fabs(xhat_of(r, s, i)), g = fabs(g_of(r, i));
    s->d_max = fmax(s->d_max, fabs((r->x[i] - s->mean.hi) - s->mean.lo));
    s->xhat_max = fmax(s->xhat_max, xhat);
    s->dy_max = fmax(s->dy_max, fabs(r->dy[i]));
    s->w_max = fmax(s->w_max, fabs(weight_of(r, i)));
    s->g_max = fmax(s->g_max, g);
    s->gx_max = fmax(s->gx_max, xhat * g);
    s->finite &= isfinite(r->x[i]) && isfinite(r->dy[i]) && isfinite(weight_of(r, i));
}

static void take_means(const struct nb_ref_gradient *r, size_t i, double count,
                       struct nb_ref_gradient_stats *s)
{
    double n = (double)r->n, xhat = xhat_of(r, s, i), g = g_of(r, i);
    s->along_one += g / n;
    s->along_xhat += g * xhat / count;
    s->mean_g += fabs(g) / n;
    s->mean_gx += fabs(g * xhat) / count;
    s->mean_xhat += fabs(xhat) / count;
}

/* How much the terms of the sums differ from the first, beside their size. */
static double variety(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s)
{
    double g0 = g_of(r, 0), p0 = g0 * xhat_of(r, s, 0), g_off = 0, p_off = 0, n = (double)r->n;
    for (size_t i = 0; i < r->n; i++) {
        double g = g_of(r, i), p = g * xhat_of(r, s, i);
        g_off += fabs(g - g0) / n;
        p_off += fabs(p - p0) / n;
    }
    double of_g = r->op == NB_REF_LAYERNORM && s->mean_g > 0 ? g_off / s->mean_g : INFINITY;
    double of_p = s->mean_gx > 0 ? p_off * s->over / s->mean_gx : INFINITY;
    return fmin(of_g, of_p);
}

static double dx_of(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, size_t i)
{
    double d = g_of(r, i) - (r->op == NB_REF_LAYERNORM ? s->along_one : 0);
    return s->rstd.hi * (has_xhat(r, i) ? d - xhat_of(r, s, i) * s->along_xhat : d);
}

void nb_ref_gradient_look(const struct nb_ref_gradient *r, struct nb_ref_gradient_stats *s)
{
    if (r->op == NB_REF_DYT) {
        nb_dyt_look(r, s);
        return;
    }
    double count = nb_ref_is_sum(r->op) ? 1 : (double)(r->op == NB_REF_PRMSNORM ? r->k : r->n);
    *s = (struct nb_ref_gradient_stats){.finite = 1, .over = (double)r->n / count};
    nb_ref_backward_statistics(r, &s->mean, &s->rstd);
    s->k = s->mean.hi == 0 ? 0 : fabs(s->mean.hi) * s->rstd.hi;
    for (size_t i = 0; i < r->n; i++) {
        take_largest(r, i, s);
        take_means(r, i, count, s);
    }
    for (size_t i = 0; i < r->n; i++)
        s->dx_max = fmax(s->dx_max, fabs(dx_of(r, s, i)));
    s->vary = variety(r, s);
}

/* ---- Limits of dx ---- */

/* c of a sum along n elements */
static double row_constant(double n, const struct nb_ref_bound *b)
{
    double lanes = b->lanes > 1 ? b->lanes : 1;
    return b->c1 * n / lanes + log2(lanes);
}

static struct nb_ref_limit limit_of(const struct nb_ref_gradient *r, const struct nb_ref_bound *b,
                                    double c, double k, const struct nb_ref_type *t)
{
    double all = c + b->c0 + (r->gemma && r->gamma ? 1 : 0);
    double body = fmax(fmax(all, k), all - BESIDE_MEAN_G + k * k * t->u);
    body *= nb_ref_strict(2 * (c + b->c0) + 20, t->u);
    return (struct nb_ref_limit){.body = body, .E = nb_ref_limit_E(body, t)};
}

static void make_limits(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                        const struct nb_ref_type *t, const struct nb_ref_bound *b,
                        struct nb_ref_limits *limits)
{
    double c = row_constant((double)r->n, b), likely = c, k = s->finite ? s->k : 0;
    if (b->lambda > 0 && s->vary >= PLACES * c * t->u)
        likely = fmin(c, b->lambda * sqrt(c));
    limits->worst = limit_of(r, b, c, k, t);
    limits->likely = limit_of(r, b, likely, k, t);
}

/* What a variance instead of an rstd cannot hold: itself, sums of g (x - mean), and what those lose. */
static int leaves_variance(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, double u, double top,
                           double arith_min)
{
    double n = (double)r->n, rstd = s->rstd.hi, X = s->xhat_max;
    double kept = u * (X * s->mean_gx + (r->op == NB_REF_LAYERNORM ? s->mean_g : 0));
    return !(1 / rstd / rstd <= top) || !(rstd * rstd * arith_min <= 1) || !(n * s->gx_max / rstd <= top) ||
           !(rstd * arith_min * X <= kept);
}

/* rstd may come before or after the sums, divided by n or not, and so may w and dy. */
static int leaves_range(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                        double arith_max, double arith_min)
{
    double top = arith_max * RANGE_MARGIN, n = (double)r->n, rstd = s->rstd.hi;
    double X = fmax(s->xhat_max, 1), up = fmax(rstd, 1);
    double sums = n * (s->g_max + s->mean_g + s->gx_max + X * s->mean_gx);
    double bare = r->op == NB_REF_SCALENORM ? n * s->dy_max * X : 0; /* sum of dy xhat, gamma coming later */
    return !(sums * up <= top) || !(bare <= top) || !(s->w_max * up <= top) || !(s->dy_max * fmax(X, up) <= top) ||
           !(fabs(s->mean.hi) <= top) || !(s->d_max <= top) || !(X <= top) || !(up <= top) ||
           !(rstd / n >= arith_min);
}

enum nb_ref_hazard nb_ref_gradient_limit(const struct nb_ref_gradient *r,
                                         const struct nb_ref_gradient_stats *s,
                                         const struct nb_ref_type *t, const struct nb_ref_bound *b,
                                         double arith_max, double arith_min,
                                         struct nb_ref_limits *limits)
{
    if (r->op == NB_REF_DYT)
        return nb_dyt_limit(r, s, t, b, arith_max, limits);
    make_limits(r, s, t, b, limits);
    if (!s->finite) /* NaN and Inf are counted */
        return NB_REF_INSIDE;
    if (!(s->dx_max <= t->max_out * (1 - 0x1p-6)) || leaves_range(r, s, arith_max, arith_min))
        return NB_REF_OVERFLOW;
    if (b->kind == NB_REF_BOUND_GRADIENT_VARIANCE && leaves_variance(r, s, t->u, arith_max * RANGE_MARGIN, arith_min))
        return NB_REF_OVERFLOW;
    return isfinite(limits->worst.body) ? NB_REF_INSIDE : NB_REF_UNSTABLE;
}

/* ---- Judging dx ---- */

struct backward_row {
    const struct nb_ref_gradient *r;
    const struct nb_ref_gradient_stats *s;
};

/* D_i */
static double unit_of(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, size_t i)
{
    double g = fabs(g_of(r, i)), xhat = fabs(xhat_of(r, s, i));
    if (r->op == NB_REF_LAYERNORM)
        g += (1 + xhat) * (s->mean_g + s->mean_gx);
    else if (has_xhat(r, i))
        g += xhat * s->mean_gx;
    return s->rstd.hi * g;
}

/* Etas lost, of the element's own g, and of the sums. */
static double lost_of(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, size_t i)
{
    double rstd = s->rstd.hi, own = (1 + rstd) * (1 + fabs(weight_of(r, i)) + fabs(r->dy[i]));
    if (!has_xhat(r, i))
        return own;
    double xhat = fabs(xhat_of(r, s, i)), g_lost = 1 + s->w_max + s->dy_max;
    return own + xhat + rstd * g_lost * (1 + xhat * (s->over + s->mean_xhat)) +
           rstd * (1 + rstd) * (s->mean_gx + xhat * s->over * s->mean_g);
}

static double size_of(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s, size_t i)
{
    double size = fabs(g_of(r, i));
    if (r->op == NB_REF_LAYERNORM)
        size = fmax(size, fabs(s->along_one));
    if (has_xhat(r, i))
        size = fmax(size, fabs(xhat_of(r, s, i) * s->along_xhat));
    return s->rstd.hi * size;
}

static struct nb_ref_room backward_room(const struct nb_ref_judged *j, size_t i)
{
    const struct backward_row *of = j->of;
    return (struct nb_ref_room){
        .body = j->t->u * unit_of(of->r, of->s, i) + j->t->eta * lost_of(of->r, of->s, i),
        .out = j->t->u_out * fabs(j->ref[i].hi) + j->t->eta_out,
        .size = size_of(of->r, of->s, i),
    };
}

void nb_ref_gradient_judge(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                           const struct nb_dd *dx, const struct nb_ref_type *t,
                           const struct nb_ref_limits *limits, const double *got, double *scratch,
                           struct nb_ref_error *e)
{
    if (r->op == NB_REF_DYT) {
        nb_dyt_judge(r, dx, t, limits, got, scratch, e);
        return;
    }
    struct backward_row of = {r, s};
    struct nb_ref_judged j = {dx, r->n, t, limits, backward_room, &of};
    nb_ref_measure(&j, got, scratch, e);
}

/* ---- dgamma and dbeta ---- */

/* In a row that is not finite what is no number loses nothing. */
static void raise_to(double *top, double v, int finite)
{
    if (finite || v <= DBL_MAX)
        *top = fmax(*top, v);
}

static void raise_tops(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                       struct nb_ref_shares *to)
{
    for (size_t i = 0; i < r->n; i++) {
        raise_to(&to->d_max, fabs(r->x[i] - s->mean.hi), s->finite);
        raise_to(&to->xhat_max, fabs(xhat_of(r, s, i)), s->finite);
        raise_to(&to->dy_max, fabs(r->dy[i]), s->finite);
    }
    raise_to(&to->rstd_max, s->rstd.hi, s->finite);
    if (s->finite)
        to->sigma_max = fmax(to->sigma_max, 1 / s->rstd.hi);
}

void nb_ref_shares_add(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                       size_t times, struct nb_ref_shares *to)
{
    if (r->op == NB_REF_DYT) {
        nb_dyt_shares_add(r, s, times, to);
        return;
    }
    double m = (double)times;
    nb_ref_backward_shares(r, times, to->dgamma, to->dbeta);
    for (size_t i = 0; i < r->n && to->dgamma; i++) {
        size_t at = nb_ref_gamma_at(r->op, i);
        to->dgamma_unit[at] += m * fabs(r->dy[i] * xhat_of(r, s, i));
        to->dgamma_moved[at] += m * fabs(r->dy[i]) * s->k;
    }
    for (size_t i = 0; i < r->n && to->dbeta; i++)
        to->dbeta_unit[i] += m * fabs(r->dy[i]);
    raise_tops(r, s, to);
    to->rows += m;
    to->repeats = fmax(to->repeats, m);
    to->along = r->op == NB_REF_SCALENORM ? (double)r->n : 1;
    to->not_finite |= !s->finite;
}

void nb_ref_shares_gather(const struct nb_ref_shares *of, struct nb_ref_shares *to)
{
    *to = (struct nb_ref_shares){.n = 1,
                                 .dgamma = to->dgamma,
                                 .dbeta = to->dbeta,
                                 .dgamma_unit = to->dgamma_unit,
                                 .dgamma_moved = to->dgamma_moved,
                                 .dbeta_unit = to->dbeta_unit,
                                 .rows = of->rows * (double)of->n,
                                 .repeats = of->repeats,
                                 .not_finite = of->not_finite,
                                 .d_max = of->d_max,
                                 .xhat_max = of->xhat_max,
                                 .dy_max = of->dy_max,
                                 .rstd_max = of->rstd_max,
                                 .sigma_max = of->sigma_max};
    *to->dgamma = *to->dbeta = (struct nb_dd){0, 0};
    *to->dgamma_unit = *to->dgamma_moved = *to->dbeta_unit = 0;
    for (size_t i = 0; i < of->n; i++) {
        dd_accumulate(to->dgamma, of->dgamma[i]);
        dd_accumulate(to->dbeta, of->dbeta[i]);
        *to->dgamma_unit += of->dgamma_unit[i];
        *to->dgamma_moved += of->dgamma_moved[i];
        *to->dbeta_unit += of->dbeta_unit[i];
    }
}

static struct nb_ref_limit share_limit(double c, double beside, const struct nb_ref_type *t)
{
    double body = (c + beside) * nb_ref_strict(2 * (c + beside) + 10, t->u);
    return (struct nb_ref_limit){.body = body, .E = nb_ref_limit_E(body, t)};
}

/* A column that a row has made NaN or Inf is right or wrong, whatever the range. */
static int column_leaves_range(const struct nb_ref_shares *of, enum nb_ref_share which, size_t i,
                               double top, double out)
{
    int dgamma = which == NB_REF_DGAMMA;
    double reach = dgamma ? of->dgamma_unit[i] + of->dgamma_moved[i] : of->dbeta_unit[i];
    double sum = dgamma ? of->dgamma[i].hi : of->dbeta[i].hi;
    if (of->not_finite && !isfinite(sum))
        return 0;
    return !(reach <= top) || !(fabs(sum) <= out);
}

enum nb_ref_hazard nb_ref_shares_limit(const struct nb_ref_shares *of, enum nb_ref_share which,
                                       const struct nb_ref_type *t, const struct nb_ref_bound *b,
                                       double arith_max, double arith_min, struct nb_ref_limits *limits)
{
    if (which == NB_REF_DALPHA)
        return nb_dyt_dalpha_limit(of, t, row_constant((double)of->n, b), b->lambda, arith_max, limits);
    double row = of->along > 1 ? row_constant(of->along, b) : 0, c = of->rows + row;
    double likely = b->lambda > 0 ? fmin(c, b->lambda * sqrt(of->rows * of->repeats + row)) : c;
    double beside = of->along > 1 ? b->c0 : which == NB_REF_DGAMMA ? BESIDE_DGAMMA + of->more : BESIDE_DBETA;
    double top = arith_max * RANGE_MARGIN, out = t->max_out * (1 - 0x1p-6);
    limits->worst = share_limit(c, beside, t);
    limits->likely = share_limit(likely, beside, t);
    if (which == NB_REF_DGAMMA &&
        (!(of->rstd_max <= top) || !(of->sigma_max * arith_min <= 1) || !(of->d_max <= top) ||
         !(of->xhat_max <= top) || !(of->dy_max * fmax(of->rstd_max, 1) <= top)))
        return NB_REF_OVERFLOW;
    if (which == NB_REF_DGAMMA && b->kind == NB_REF_BOUND_GRADIENT_VARIANCE &&
        (!(of->sigma_max * of->sigma_max <= top) || !(of->rstd_max * of->rstd_max * arith_min <= 1)))
        return NB_REF_OVERFLOW;
    for (size_t i = 0; i < of->n; i++)
        if (column_leaves_range(of, which, i, top, out))
            return NB_REF_OVERFLOW;
    return isfinite(limits->worst.body) ? NB_REF_INSIDE : NB_REF_UNSTABLE;
}

/* ---- Judging dgamma and dbeta ---- */

static double share_lost(const struct nb_ref_shares *of)
{
    return of->rows * of->along * (1 + of->dy_max * (1 + of->rstd_max) + of->xhat_max);
}

/* What the means' rounding moves is allowed once, in out: a limit multiplies the rest. */
static struct nb_ref_room dgamma_room(const struct nb_ref_judged *j, size_t i)
{
    const struct nb_ref_shares *of = j->of;
    double moved = of->dgamma_moved[i] * nb_ref_strict(2 * of->rows + 20, j->t->u);
    return (struct nb_ref_room){
        .body = j->t->u * of->dgamma_unit[i] + j->t->eta * share_lost(of),
        .out = j->t->u * moved * (1 + j->t->u_out) + j->t->u_out * fabs(j->ref[i].hi) +
               j->t->eta_out,
        .size = of->dgamma_unit[i] / of->rows,
    };
}

static struct nb_ref_room dbeta_room(const struct nb_ref_judged *j, size_t i)
{
    const struct nb_ref_shares *of = j->of;
    return (struct nb_ref_room){
        .body = j->t->u * of->dbeta_unit[i] + j->t->eta * of->rows,
        .out = j->t->u_out * fabs(j->ref[i].hi) + j->t->eta_out,
        .size = of->dbeta_unit[i] / of->rows,
    };
}

void nb_ref_shares_judge(const struct nb_ref_shares *of, enum nb_ref_share which,
                         const struct nb_ref_type *t, const struct nb_ref_limits *limits,
                         const double *got, double *scratch, struct nb_ref_error *e)
{
    if (which == NB_REF_DALPHA) {
        nb_dyt_dalpha_judge(of, t, limits, got, scratch, e);
        return;
    }
    int dgamma = which == NB_REF_DGAMMA;
    const struct nb_dd *ref = dgamma ? of->dgamma : of->dbeta;
    struct nb_ref_judged j = {ref, of->n, t, limits, dgamma ? dgamma_room : dbeta_room, of};
    nb_ref_measure(&j, got, scratch, e);
}
