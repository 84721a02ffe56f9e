/* reference_test.c: the oracle against MPFR, the judge against planted errors, the bounds
 * against plain float loops that are written here. All data is seeded; the figures that
 * docs/numerics.md quotes are printed as "observed" lines. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mpfr.h>

#include "reference.h"

enum { N_MAX = 4096 };
#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const char *const type_names[] = {"f32", "f64", "f16", "bf16"};

/* ---- Input families ---- */

#include "random.h"

/* value = base + spread * N(0,1), or what the kind says */
enum shape { NORMAL, LOGNORMAL, SPIKES, STAGNANT, OUTLIER_FIRST, CANCELLING_PAIR, RAMP };
struct family {
    const char *name;
    enum shape shape;
    double base, spread;
    int wide; /* full doubles, not f32 values */
};

static const struct family families[] = {
    {"benign", NORMAL, 0, 1, 0},
    {"offset 1e3", NORMAL, 1e3, 1, 0},
    {"offset 1e5", NORMAL, 1e5, 1, 0},
    {"offset 1e6", NORMAL, 1e6, 1, 0},
    {"small spread", NORMAL, 0, 3e-3, 0},
    {"zero", NORMAL, 0, 0, 0},
    {"constant", NORMAL, 0.1, 0, 0},
    {"lognormal", LOGNORMAL, 0, 4, 0},
    {"massive spikes", SPIKES, 0, 1, 0},
    {"stagnant sum", STAGNANT, 0, 0, 0},
    {"outlier first", OUTLIER_FIRST, 1e4, 1, 0},
    {"cancelling pair", CANCELLING_PAIR, 1e6, 1, 0},
    {"descending ramp", RAMP, 1e4, 0, 0},
    {"tiny", NORMAL, 0, 1e-30, 0},
    {"huge", NORMAL, 0, 1e30, 0},
    {"f64 benign", NORMAL, 0.3, 1, 1},
    {"f64 offset 1e6", NORMAL, 1e6, 1, 1},
    {"f64 1e200", NORMAL, 0, 1e200, 1},
    {"f64 1e-200", NORMAL, 0, 1e-200, 1},
    {"f64 constant 1e300", NORMAL, 1e300, 0, 1},
};

static double shaped(const struct family *f, size_t i, size_t n)
{
    double z = f->base + f->spread * normal();
    switch (f->shape) {
    case LOGNORMAL:
        return exp(f->spread * normal()) * (next_bits() & 1 ? 1 : -1);
    case SPIKES:
        return i == n / 3 ? 1500 : i == n / 2 ? -2100 : z;
    case STAGNANT:
        return i == 0 ? 0x1p24 : 1;
    case OUTLIER_FIRST:
        return i == 0 ? f->base : z - f->base;
    case CANCELLING_PAIR:
        return i == 0 ? f->base : i == n - 1 ? -f->base : z - f->base;
    case RAMP:
        return f->base * (double)(n - i) / (double)n;
    case NORMAL:
        break;
    }
    return z;
}

static double x[N_MAX], gamma_[N_MAX], beta[N_MAX], got[N_MAX], scratch[N_MAX];
static struct nb_dd y[N_MAX];

static struct nb_ref_row make_row(const struct family *f, enum nb_ref_op op, size_t n,
                                  double eps)
{
    seed_state = n * 1000003u + (uint64_t)(f - families);
    for (size_t i = 0; i < n; i++) {
        double v = shaped(f, i, n);
        x[i] = f->wide ? v : (double)(float)v;
        gamma_[i] = (double)(float)(1 + 0.5 * normal());
        beta[i] = (double)(float)normal();
    }
    if (n > 3)
        gamma_[n / 4] = 0;
    return (struct nb_ref_row){op, n, x, gamma_, beta, eps, 1, 0, 0, 0, n / 3 + 1, 0, 0};
}

/* Calls visit on every family, length, eps and norm. */
static void for_each_row(void (*visit)(const struct family *, const struct nb_ref_row *))
{
    static const size_t lengths[] = {1, 2, 3, 17, 1000, 4096};
    static const double epsilons[] = {0, 1e-12, 1e-5};
    for (size_t f = 0; f < LENGTH(families); f++)
        for (size_t l = 0; l < LENGTH(lengths); l++)
            for (size_t e = 0; e < LENGTH(epsilons); e++)
                for (int op = NB_REF_LAYERNORM; op <= NB_REF_SCALENORM; op++) {
                    struct nb_ref_row r = make_row(&families[f], (enum nb_ref_op)op,
                                                   lengths[l], epsilons[e]);
                    visit(&families[f], &r);
                }
}

/* ---- The oracle against MPFR ---- */

#include "mpfr_norm.h"

static struct {
    double dd_units, ulps, stat_units;
    size_t elements, nan_rows;
} forward_seen;

/* Relative error of a statistic in 2^-106; a value out of double's range is not compared.
 */
static double stat_error(struct nb_dd a, mpfr_t b)
{
    double near = mpfr_get_d(b, MPFR_RNDN);
    if (!isfinite(near) || fabs(near) < 0x1p-900)
        return 0;
    return distance(a, b) / fabs(near) * 0x1p106;
}

static void check_stats(const struct nb_ref_row *r, const struct nb_ref_stats *s)
{
    const size_t of = r->op == NB_REF_PRMSNORM ? r->k : r->n;
    double k = s->k1 + 1, mean = 0, n = (double)of;
    for (size_t i = 0; i < of; i++)
        mean += fabs(x[i]) / n;
    assert_true(fabs(s->x_sum_abs / n - mean) <= 1e-12 * mean);
    if (r->op == NB_REF_LAYERNORM) {
        assert_true(distance(s->mean, big_mean) <= 64 * 0x1p-106 * n * mean);
        double k1 = mean * mpfr_get_d(big_rstd, MPFR_RNDN);
        assert_true(fabs(s->k1 - k1) <= 1e-11 * k1 || !isfinite(k1));
    }
    forward_seen.stat_units =
        fmax(forward_seen.stat_units, stat_error(s->var, big_var) / k);
    forward_seen.stat_units =
        fmax(forward_seen.stat_units, stat_error(s->rstd, big_rstd) / k);
}

static void compare_row(const struct family *f, const struct nb_ref_row *r)
{
    struct nb_ref_stats s;
    nb_ref_forward(r, y, &s);
    forward_mpfr(r);
    assert_int_equal(s.finite, 1);
    if (mpfr_nan_p(big_y[0])) { /* 0/0 */
        for (size_t i = 0; i < r->n; i++)
            assert_true(isnan(y[i].hi));
        assert_true(isinf(s.rstd.hi) && isinf(s.k2));
        forward_seen.nan_rows++;
        return;
    }
    check_stats(r, &s);
    for (size_t i = 0; i < r->n; i++) {
        double w = fabs(gamma_[nb_ref_gamma_at(r->op, i)] + (r->gemma ? 1 : 0));
        double b = fabs(beta[i]), scale = (w > 0 ? w * s.k1 : 0) + b +
                                          fabs(mpfr_get_d(big_y[i], MPFR_RNDN) - beta[i]);
        double units = distance(y[i], big_y[i]) / scale * 0x1p106;
        double ulps = f->wide ? 0 : ulps_of_double(y[i], big_y[i]);
        forward_seen.dd_units = fmax(forward_seen.dd_units, units);
        forward_seen.ulps = fmax(forward_seen.ulps, ulps);
        if (!(units <= 128) || !(ulps <= 1))
            fail_msg("%s n %zu eps %g op %d [%zu]: %g units of 2^-106, %g ulp", f->name,
                     r->n, r->eps, (int)r->op, i, units, ulps);
        forward_seen.elements++;
    }
}

/* With eps inside and outside the root, with gamma and 1 + gamma. */
static void compare_with_mpfr(const struct family *f, const struct nb_ref_row *r)
{
    for (int options = 0; options < 4; options++) {
        struct nb_ref_row row = *r;
        row.eps_outside = options & 1;
        row.gemma = options >> 1;
        if (options == 0 || r->n <= 1000)
            compare_row(f, &row);
    }
}

static void forward_agrees_with_mpfr(void **state)
{
    (void)state;
    memset(&forward_seen, 0, sizeof forward_seen);
    for_each_row(compare_with_mpfr);
    printf("observed: %zu elements, %zu rows of 0/0; output error %.1f x 2^-106 of "
           "|w| k1 + |w xhat| + |b|; var and rstd %.1f x 2^-106 (1 + k1); f32 families "
           "%.0f ulp "
           "of double\n",
           forward_seen.elements, forward_seen.nan_rows, forward_seen.dd_units,
           forward_seen.stat_units, forward_seen.ulps);
    assert_true(forward_seen.elements > 100000 && forward_seen.nan_rows > 0);
    assert_true(forward_seen.stat_units <= 256);
}

/* [1 2 3 4], to twelve digits; re-derived in docs/numerics.md */
static void worked_digits(void **state)
{
    (void)state;
    static const struct {
        enum nb_ref_op op;
        double eps;
        const char *text;
    } cases[] = {
        {NB_REF_LAYERNORM, 1e-5,
         "2.5 1.25 0.894423613313 -1.34163541997 -0.447211806656 "
         "0.447211806656 1.34163541997"},
        {NB_REF_LAYERNORM, 0,
         "2.5 1.25 0.894427191 -1.3416407865 -0.4472135955 "
         "0.4472135955 1.3416407865"},
        {NB_REF_RMSNORM, 0,
         "0 7.5 0.36514837167 0.36514837167 0.73029674334 1.09544511501 "
         "1.46059348668"},
        {NB_REF_RMSNORM, 1e-5,
         "0 7.5 0.365148128238 0.365148128238 0.730296256476 "
         "1.09544438471 1.46059251295"},
        {NB_REF_L2NORM, 0,
         "0 30 0.182574185835 0.182574185835 0.36514837167 0.547722557505 "
         "0.73029674334"},
        {NB_REF_SCALENORM, 0, /* without gamma */
         "0 30 0.182574185835 0.182574185835 0.36514837167 0.547722557505 "
         "0.73029674334"},
    };
    static const double four[] = {1, 2, 3, 4};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct nb_ref_row r = {cases[i].op, 4, four, NULL, NULL, cases[i].eps, 1, 0, 0, 0, 0, 0, 0};
        struct nb_ref_stats s;
        char text[256];
        nb_ref_forward(&r, y, &s);
        snprintf(text, sizeof text, "%.12g %.12g %.12g %.12g %.12g %.12g %.12g",
                 s.mean.hi, s.var.hi, s.rstd.hi, y[0].hi, y[1].hi, y[2].hi, y[3].hi);
        assert_string_equal(text, cases[i].text);
    }
}

static void ceilings(void **state)
{
    (void)state;
    struct nb_ref_stats s;
    struct nb_ref_row r = make_row(&families[0], NB_REF_AFFINE, 100, 0);
    r.alpha = 1.0 / 3;
    nb_ref_forward(&r, y, &s);
    for (size_t i = 0; i < r.n; i++) {
        mpfr_set_d(big_y[i], x[i], MPFR_RNDN);
        mpfr_mul_d(big_y[i], big_y[i], r.alpha, MPFR_RNDN);
        mpfr_mul_d(big_y[i], big_y[i], gamma_[i], MPFR_RNDN);
        mpfr_add_d(big_y[i], big_y[i], beta[i], MPFR_RNDN);
        assert_true(distance(y[i], big_y[i]) <=
                    0x1p-100 * (fabs(x[i]) + fabs(beta[i]) + 1));
    }
    r.op = NB_REF_SCALE;
    nb_ref_forward(&r, y, &s);
    for (size_t i = 0; i < r.n; i++)
        assert_true(y[i].hi == x[i] * r.alpha && y[i].lo == fma(x[i], r.alpha, -y[i].hi));
    r.op = NB_REF_COPY;
    nb_ref_forward(&r, y, &s);
    for (size_t i = 0; i < r.n; i++)
        assert_true(y[i].hi == x[i] && y[i].lo == 0);
}

static void nonfinite_rows(void **state)
{
    (void)state;
    struct nb_ref_stats s;
    double bad[] = {NAN, INFINITY, -INFINITY};
    for (int op = NB_REF_LAYERNORM; op <= NB_REF_SCALENORM; op++)
        for (size_t b = 0; b < LENGTH(bad) && op != NB_REF_PRMSNORM; b++) {
            struct nb_ref_row r = make_row(&families[0], (enum nb_ref_op)op, 9, 1e-5);
            x[5] = bad[b];
            nb_ref_forward(&r, y, &s);
            assert_int_equal(s.finite, 0);
            int zeros = op != NB_REF_LAYERNORM && b > 0;
            for (size_t i = 0; i < r.n; i++)
                if (zeros && i != 5)
                    assert_true(y[i].hi == beta[i] && y[i].lo == 0);
                else
                    assert_true(isnan(y[i].hi));
        }
}

/* Behind the prefix they are elements like others; in it they are what they are to rmsnorm. */
static void nonfinite_prefixes(void **state)
{
    (void)state;
    struct nb_ref_stats s, of;
    struct nb_dd want[9];
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < LENGTH(bad); b++)
        for (size_t at = 1; at < 9; at += 5) {
            struct nb_ref_row r = make_row(&families[0], NB_REF_PRMSNORM, 9, 1e-5);
            r.k = 4;
            nb_ref_forward(&r, want, &of);
            x[at] = bad[b];
            nb_ref_forward(&r, y, &s);
            assert_int_equal(s.finite, 0);
            for (size_t i = 0; i < r.n; i++)
                if (i == at)
                    assert_true(at < r.k ? isnan(y[i].hi) : b == 0 ? isnan(y[i].hi) : isinf(y[i].hi) || gamma_[i] == 0);
                else if (at >= r.k)
                    assert_true(y[i].hi == want[i].hi && y[i].lo == want[i].lo);
                else
                    assert_true(b == 0 ? isnan(y[i].hi) : y[i].hi == beta[i]);
        }
}

/* r of a prefix beside r of the row, on N(0,1): a standard deviation of sqrt((1-p)/(2k)) to first order. */
static void a_prefix_guesses(void **state)
{
    (void)state;
    enum { ROWS = 2000, K = 256 };
    double sum = 0, squares = 0;
    for (int row = 0; row < ROWS; row++) {
        struct nb_ref_stats all, part;
        struct nb_ref_row r = {NB_REF_RMSNORM, N_MAX, x, NULL, NULL, 0, 1, 0, 0, 0, K, 0, 0};
        for (size_t i = 0; i < r.n; i++)
            x[i] = normal();
        nb_ref_forward(&r, y, &all);
        r.op = NB_REF_PRMSNORM;
        nb_ref_forward(&r, y, &part);
        const double off = part.rstd.hi / all.rstd.hi - 1;
        sum += off;
        squares += off * off;
    }
    const double deviation = sqrt(squares / ROWS - sum / ROWS * (sum / ROWS));
    const double expected = sqrt((1 - (double)K / N_MAX) / (2.0 * K));
    printf("observed: rstd of a prefix of %d of %d is off by %.4f (standard deviation); sqrt((1-p)/(2k)) is %.4f\n", K,
           (int)N_MAX, deviation, expected);
    assert_true(fabs(deviation / expected - 1) < 0.05);
}

/* What is small beside the rest still counts: at the ends of the range of double, and with nothing in the prefix. */
static void prefixes_have_a_scale_of_their_own(void **state)
{
    (void)state;
    struct nb_ref_stats s;
    struct nb_ref_row r = {NB_REF_PRMSNORM, 4, x, NULL, NULL, 0, 1, 0, 0, 0, 2, 0, 0};
    x[0] = x[1] = 0x1p-1060;
    x[2] = -0x1p-1000;
    x[3] = 0;
    nb_ref_forward(&r, y, &s);
    assert_true(y[0].hi == 1 && y[0].lo == 0 && y[2].hi == -0x1p60 && y[3].hi == 0);
    x[0] = 0x1p1000;
    x[1] = -0x1p1000;
    nb_ref_forward(&r, y, &s);
    assert_true(y[0].hi == 1 && y[1].hi == -1);
    x[0] = x[1] = 0;
    x[2] = 3;
    nb_ref_forward(&r, y, &s);
    assert_true(isnan(y[0].hi) && isinf(y[2].hi)); /* 0/0, 3/0 */
    r.eps = 1e-6;
    nb_ref_forward(&r, y, &s);
    assert_true(y[0].hi == 0 && fabs(y[2].hi - 3e3) < 1e-9);
}

/* ---- Rounding against MPFR ---- */

static double round_mpfr(struct nb_dd v, const struct nb_ref_type *t)
{
    mpfr_exp_t emin = mpfr_get_emin(), emax = mpfr_get_emax();
    mpfr_t z;
    mpfr_init2(z, t->precision);
    mpfr_set_d(big_t, v.hi, MPFR_RNDN);
    mpfr_add_d(big_t, big_t, v.lo, MPFR_RNDN);
    int inexact = mpfr_set(z, big_t, MPFR_RNDN), top;
    frexp(t->max_out, &top);
    mpfr_set_emin(t->min_exp - t->precision + 2);
    mpfr_set_emax(top);
    inexact = mpfr_check_range(z, inexact, MPFR_RNDN);
    mpfr_subnormalize(z, inexact, MPFR_RNDN);
    double out = mpfr_get_d(z, MPFR_RNDN);
    mpfr_set_emin(emin);
    mpfr_set_emax(emax);
    mpfr_clear(z);
    return out;
}

static void check_round(struct nb_dd v, const struct nb_ref_type *t)
{
    double want = round_mpfr(v, t), have = nb_ref_round(v, t);
    if (memcmp(&want, &have, sizeof want) != 0)
        fail_msg("%a + %a to %d bits: %a, MPFR says %a", v.hi, v.lo, t->precision, have,
                 want);
}

/* v, and v moved by far less and by about half a last place of a double */
static size_t check_round_near(double v, const struct nb_ref_type *t)
{
    double step = nextafter(fabs(v), INFINITY) - fabs(v);
    double lows[] = {0, step * 0x1p-40, step * 0.4375};
    size_t count = 0;
    for (size_t i = 0; i < LENGTH(lows) && fabs(v) > 0x1p-960 && isfinite(step); i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct nb_dd d = {v, sign * lows[i]};
            if (d.hi + d.lo == d.hi) { /* a valid pair */
                check_round(d, t);
                count++;
            }
        }
    return count;
}

static void round_agrees_with_mpfr(void **state)
{
    (void)state;
    seed_state = 7;
    size_t count = 0;
    for (size_t k = 0; k < LENGTH(type_names); k++) {
        const struct nb_ref_type *t = nb_ref_type_find(type_names[k]);
        int top, low = t->min_exp - t->precision - 3;
        frexp(t->max_out, &top);
        for (int trial = 0; trial < 20000; trial++) {
            int e = low + (int)(next_bits() % (uint64_t)(top + 3 - low));
            double m = 1 + uniform(), sign = next_bits() & 1 ? 1 : -1;
            int last = (e > t->min_exp ? e : t->min_exp) - t->precision + 1;
            double whole = floor(ldexp(m, e - last));
            if (e > 1022)
                continue;
            count += check_round_near(sign * ldexp(m, e), t);
            count += check_round_near(sign * ldexp(whole, last), t);
            count += check_round_near(sign * ldexp(whole + 0.5, last), t);
            count += check_round_near(sign * ldexp(1, e), t);
        }
        double half =
            ldexp(1, top - t->precision - 1); /* the overflow threshold, and around */
        if (isfinite(t->max_out + half) && t->precision < 53) {
            count += check_round_near(t->max_out + half, t);
            count += check_round_near(-(t->max_out + half * 0.999), t);
            assert_true(isinf(nb_ref_round((struct nb_dd){t->max_out + half, 0}, t)));
        }
        assert_true(signbit(nb_ref_round((struct nb_dd){-0.0, 0}, t)));
        assert_true(isnan(nb_ref_round((struct nb_dd){NAN, 0}, t)));
    }
    printf("observed: %zu roundings equal MPFR's, bit for bit\n", count);
    assert_true(count > 300000);
}

/* ---- The judge ---- */

struct judged {
    struct nb_ref_stats s;
    struct nb_ref_error e;
};

static struct judged judge(const struct nb_ref_row *r, const struct nb_ref_type *t)
{
    struct judged j;
    nb_ref_forward(r, y, &j.s);
    nb_ref_judge(r, y, &j.s, t, NULL, got, scratch, &j.e);
    return j;
}

static void round_exact(const struct nb_ref_row *r, const struct nb_ref_type *t)
{
    struct nb_ref_stats s;
    nb_ref_forward(r, y, &s);
    for (size_t i = 0; i < r->n; i++)
        got[i] = nb_ref_round(y[i], t);
}

static double best_E[LENGTH(type_names)];

static void check_rounded(const struct family *f, const struct nb_ref_row *r)
{
    for (size_t k = 0; k < LENGTH(type_names); k++) {
        const struct nb_ref_type *t = nb_ref_type_find(type_names[k]);
        round_exact(r, t);
        struct judged j = judge(r, t);
        best_E[k] = fmax(best_E[k], j.e.E_max);
        if (!(j.e.E_max <= 1.01) || j.e.nonfinite || !(j.e.ulp_max <= 0.5000001))
            fail_msg("%s n %zu eps %g %s: E %g ulp %g nonfinite %zu", f->name, r->n,
                     r->eps, type_names[k], j.e.E_max, j.e.ulp_max, j.e.nonfinite);
        int none = !isfinite(y[0].hi);
        assert_int_equal(j.e.compared, none ? 0 : r->n);
    }
}

static void rounded_output_scores_one(void **state)
{
    (void)state;
    for_each_row(check_rounded);
    for (size_t k = 0; k < LENGTH(type_names); k++)
        printf("observed: E of the correctly rounded output, %s: %.4f\n", type_names[k],
               best_E[k]);
    assert_true(best_E[0] > 0.5);
}

/* Outputs beyond the type: Inf of the right sign is right, anything else is counted. */
static void overflowing_output(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f16");
    struct nb_ref_row r = make_row(&families[0], NB_REF_LAYERNORM, 64, 1e-5);
    gamma_[7] = 1e6;
    round_exact(&r, t);
    assert_true(isinf(got[7]));
    struct judged j = judge(&r, t);
    assert_true(j.e.nonfinite == 0 && j.e.E_max <= 1.01 && j.e.compared == 63);
    got[7] = -got[7];
    assert_int_equal(judge(&r, t).e.nonfinite, 1);
    got[7] = copysign(65504, -got[7]);
    assert_int_equal(judge(&r, t).e.nonfinite, 1);
}

/* Every figure of the judge on a row whose errors are chosen: 100 elements of alpha*x =
 * 1, errors 0, 1, ..., 99 last places. */
static void judge_figures(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    for (size_t i = 0; i < 100; i++)
        x[i] = 1, got[i] = 1 + (double)((i * 37) % 100) * 0x1p-23;
    struct nb_ref_row r = {NB_REF_SCALE, 100, x, NULL, NULL, 0, 1, 0, 0, 0, 0, 0, 0};
    struct nb_ref_error e = judge(&r, t).e;
    assert_true(fabs(e.E_max - 198) < 1e-6 && fabs(e.E_p99 - 196) < 1e-6);
    assert_int_equal(e.worst * 37 % 100, 99);
    assert_true(e.ulp_max == 99 && e.normwise == 99 * 0x1p-23);
    double rms = sqrt(99.0 * 100 * 199 / 6 / 100) * 0x1p-23; /* sum k^2, k < 100 */
    assert_true(fabs(e.rms - rms) < 1e-12 * rms);
    assert_int_equal(e.compared, 100);
    x[0] = 0x1p-7; /* too small for ulp_max: 2^17 of its last places off */
    got[0] = 0x1p-7 + 0x1p-13;
    assert_true(judge(&r, t).e.ulp_max == 99);
    x[0] = 0x1p-5;
    got[0] = 0x1p-5 + 0x1p-13;
    assert_true(judge(&r, t).e.ulp_max == 0x1p15);
}

static void copies_are_exact(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("bf16");
    struct nb_ref_bound b = {NB_REF_BOUND_EXACT, 0, 0, 1, 1, 0};
    struct nb_ref_limits limits;
    for (size_t i = 0; i < 16; i++)
        x[i] = i == 3   ? 0.0
               : i == 5 ? NAN
               : i == 6 ? INFINITY
               : i == 7 ? t->max_out
                        : (double)i;
    struct nb_ref_row r = {NB_REF_COPY, 16, x, NULL, NULL, 0, 1, 0, 0, 0, 0, 0, 0};
    memcpy(got, x, sizeof got);
    struct judged j = judge(&r, t);
    assert_int_equal(nb_ref_limit(&r, &j.s, t, &b, FLT_MAX, FLT_MIN, &limits),
                     NB_REF_INSIDE);
    assert_true(limits.worst.E == 0 && j.e.E_max == 0 && j.e.nonfinite == 0 && j.e.compared == 14);
    got[3] = -0.0;
    assert_true(judge(&r, t).e.E_max >= 1);
    got[3] = 0x1p-133;
    assert_true(judge(&r, t).e.E_max >= 1);
    got[3] = 0;
    got[5] = 0;
    assert_true(judge(&r, t).e.nonfinite == 1);
}

/* ---- Plain float implementations ---- */

/* What a mutant does wrong, or how it sums. */
struct recipe {
    size_t skip; /* elements left out at the end of the sums */
    size_t ddof; /* variance over n - ddof */
    int no_eps, eps_outside, no_beta, no_gamma, no_recentre;
    int mean, gain_twice; /* the mean of squares for their sum */
};

static void apply_float(const struct nb_ref_row *r, float mean, float rstd,
                        const struct recipe *m)
{
    for (size_t i = 0; i < r->n; i++) {
        float v = ((float)r->x[i] - mean) * rstd;
        v *= m->no_gamma ? 1 : (float)r->gamma[i];
        v += m->no_beta ? 0 : (float)r->beta[i];
        got[i] = (double)v;
    }
}

static float rstd_float(const struct nb_ref_row *r, float var, const struct recipe *m)
{
    float eps = m->no_eps ? 0 : (float)r->eps;
    return m->eps_outside ? 1 / (sqrtf(var) + eps) : 1 / sqrtf(var + eps);
}

enum { LANES_MAX = 16 };

/* sum over i of term(x[i]) in that many interleaved lanes, added as a tree */
static float lane_sum(const struct nb_ref_row *r, size_t n, size_t lanes, float shift,
                      int squared)
{
    float acc[LANES_MAX] = {0};
    for (size_t i = 0; i < n; i++) {
        float d = (float)r->x[i] - shift;
        acc[i % lanes] += squared ? d * d : d;
    }
    for (size_t width = lanes / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++)
            acc[j] += acc[j + width];
    return acc[0];
}

static void twopass(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    size_t n = r->n - m->skip;
    float mean = lane_sum(r, n, lanes, 0, 0) / (float)r->n;
    float var = lane_sum(r, n, lanes, mean, 1) / (float)(r->n - m->ddof);
    apply_float(r, m->no_recentre ? 0 : mean, rstd_float(r, var, m), m);
}

static void onepass(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    float n = (float)r->n, mean = lane_sum(r, r->n, lanes, 0, 0) / n;
    float var = lane_sum(r, r->n, lanes, 0, 1) / n - mean * mean;
    apply_float(r, mean, rstd_float(r, var, m), m);
}

static void shifted(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    float n = (float)r->n, x0 = (float)r->x[0], d = lane_sum(r, r->n, lanes, x0, 0) / n;
    float var = lane_sum(r, r->n, lanes, x0, 1) / n - d * d;
    apply_float(r, x0 + d, rstd_float(r, var, m), m);
}

static float median(float a, float b, float c)
{
    return fmaxf(fminf(a, b), fminf(fmaxf(a, b), c));
}

/* shifted by a pivot, which is replaced where it lies more than 4 deviations off; the mean stays
 * pivot + d */
static void guarded(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    float n = (float)r->n, d, var;
    float k = median((float)r->x[0], (float)r->x[r->n / 2], (float)r->x[r->n - 1]);
    for (int pass = 0; pass < 2; pass++) {
        d = lane_sum(r, r->n, lanes, k, 0) / n;
        var = lane_sum(r, r->n, lanes, k, 1) / n - d * d;
        if (d * d <= 16 * var || pass == 1)
            break;
        k += d;
    }
    float rstd = rstd_float(r, var, m), rest = -d * rstd;
    for (size_t i = 0; i < r->n; i++)
        got[i] = (double)(fmaf((float)r->x[i] - k, rstd, rest) * (float)r->gamma[i] + (float)r->beta[i]);
}

struct moments {
    float n, mean, s;
};

static struct moments merge(struct moments a, struct moments b) /* Chan, Golub, LeVeque */
{
    float n = a.n + b.n, d = b.mean - a.mean;
    if (b.n == 0)
        return a;
    return (struct moments){n, a.mean + d * (b.n / n),
                            a.s + b.s + d * d * (a.n * b.n / n)};
}

static void welford(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    struct moments acc[LANES_MAX] = {{0, 0, 0}};
    for (size_t i = 0; i < r->n; i++) {
        struct moments *a = &acc[i % lanes];
        float v = (float)r->x[i], d = v - a->mean;
        a->n += 1;
        a->mean += d / a->n;
        a->s += d * (v - a->mean);
    }
    for (size_t width = lanes / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++)
            acc[j] = merge(acc[j], acc[j + width]);
    apply_float(r, acc[0].mean, rstd_float(r, acc[0].s / (float)r->n, m), m);
}

static void rms(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    float sum = lane_sum(r, r->n - m->skip, lanes, 0, 1);
    float count = nb_ref_is_sum(r->op) && !m->mean ? 1 : (float)(r->n - m->ddof);
    apply_float(r, 0, rstd_float(r, sum / count, m), m);
}

/* sqrt(sum of squares + eps), and the gain */
static float gain_den(const struct nb_ref_row *r, size_t lanes, const struct recipe *m, float *gain)
{
    float sum = lane_sum(r, r->n - m->skip, lanes, 0, 1) / (m->mean ? (float)r->n : 1);
    float eps = m->no_eps ? 0 : (float)r->eps, g = (float)r->gamma[0];
    *gain = m->no_gamma ? 1 : m->gain_twice ? g * g : g;
    return m->eps_outside ? sqrtf(sum) + eps : sqrtf(sum + eps);
}

/* The row times gain/den. */
static void gain(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    float g, den = gain_den(r, lanes, m, &g), factor = g / den;
    for (size_t i = 0; i < r->n; i++)
        got[i] = (double)((float)r->x[i] * factor + (m->no_beta ? 0 : (float)r->beta[i]));
}

/* The row over den/gain. */
static void gain_divided(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    float g, den = gain_den(r, lanes, m, &g), divisor = den / g;
    for (size_t i = 0; i < r->n; i++)
        got[i] = (double)((float)r->x[i] / divisor + (m->no_beta ? 0 : (float)r->beta[i]));
}

/* Running mean of squares: three roundings an element. */
static void rms_running(const struct nb_ref_row *r, size_t lanes, const struct recipe *m)
{
    float mean = 0;
    (void)lanes;
    for (size_t i = 0; i < r->n; i++) {
        float v = (float)r->x[i];
        mean += (v * v - mean) / (float)(i + 1);
    }
    apply_float(r, 0, rstd_float(r, mean, m), m);
}

/* ---- Bounds ---- */

static const struct algorithm {
    const char *name;
    enum nb_ref_op op;
    void (*run)(const struct nb_ref_row *, size_t, const struct recipe *);
    struct nb_ref_bound bound;
} algorithms[] = {
    {"twopass", NB_REF_LAYERNORM, twopass, {NB_REF_BOUND_TWOPASS, 1, 0, 1, 0, 0}},
    {"twopass 16", NB_REF_LAYERNORM, twopass, {NB_REF_BOUND_TWOPASS, 1, 0, 16, 0, 0}},
    {"onepass", NB_REF_LAYERNORM, onepass, {NB_REF_BOUND_ONEPASS, 1, 0, 1, 0, 0}},
    {"onepass 16", NB_REF_LAYERNORM, onepass, {NB_REF_BOUND_ONEPASS, 1, 0, 16, 0, 0}},
    {"shifted", NB_REF_LAYERNORM, shifted, {NB_REF_BOUND_SHIFTED, 1, 0, 1, 0, 0}},
    {"guarded", NB_REF_LAYERNORM, guarded, {NB_REF_BOUND_GUARDED, 1, 0, 1, 0, 0}},
    {"guarded 16", NB_REF_LAYERNORM, guarded, {NB_REF_BOUND_GUARDED, 1, 0, 16, 0, 0}},
    {"welford", NB_REF_LAYERNORM, welford, {NB_REF_BOUND_WELFORD, 1, 0, 1, 0, 0}},
    {"welford 16", NB_REF_LAYERNORM, welford, {NB_REF_BOUND_WELFORD, 1, 0, 16, 0, 0}},
    {"rms", NB_REF_RMSNORM, rms, {NB_REF_BOUND_RMS, 1, 0, 1, 0, 0}},
    {"rms 16", NB_REF_RMSNORM, rms, {NB_REF_BOUND_RMS, 1, 0, 16, 0, 0}},
    {"rms running", NB_REF_RMSNORM, rms_running, {NB_REF_BOUND_RMS, 3, 0, 1, 0, 0}},
    {"l2", NB_REF_L2NORM, rms, {NB_REF_BOUND_RMS, 1, 0, 1, 0, 0}},
    {"l2 16", NB_REF_L2NORM, rms, {NB_REF_BOUND_RMS, 1, 0, 16, 0, 0}},
    {"gain", NB_REF_SCALENORM, gain, {NB_REF_BOUND_RMS, 1, 0, 1, 0, 0}},
    {"gain 16", NB_REF_SCALENORM, gain, {NB_REF_BOUND_RMS, 1, 0, 16, 0, 0}},
    {"gain divided", NB_REF_SCALENORM, gain_divided, {NB_REF_BOUND_RMS, 1, 0, 1, 0, 0}},
};

/* Rows by hazard; worst E of all, worst E/limit of rows long enough for sums to matter.
 */
static struct tally {
    size_t inside, unstable, overflow;
    double worst_ratio, worst_E;
    char witness[64];
} tallies[LENGTH(algorithms)];

static const struct recipe faithful;

static void round_got(const struct nb_ref_row *r, const struct nb_ref_type *t)
{
    for (size_t i = 0; i < r->n; i++)
        got[i] = nb_ref_round((struct nb_dd){got[i], 0}, t);
}

static void check_bound(const struct algorithm *a, struct tally *seen,
                        const struct family *f, const struct nb_ref_row *r,
                        const struct nb_ref_type *t)
{
    struct nb_ref_limits limits;
    a->run(r, (size_t)a->bound.lanes, &faithful);
    round_got(r, t);
    struct judged j = judge(r, t);
    enum nb_ref_hazard h = nb_ref_limit(r, &j.s, t, &a->bound, FLT_MAX, FLT_MIN, &limits);
    seen->inside += h == NB_REF_INSIDE;
    seen->unstable += h == NB_REF_UNSTABLE;
    seen->overflow += h == NB_REF_OVERFLOW;
    if (h != NB_REF_INSIDE)
        return;
    if (j.e.nonfinite || !(j.e.E_max <= limits.worst.E))
        fail_msg("%s on %s n %zu eps %g, %d bits: E %g, limit %g, nonfinite %zu", a->name,
                 f->name, r->n, r->eps, t->precision, j.e.E_max, limits.worst.E, j.e.nonfinite);
    seen->worst_E = fmax(seen->worst_E, j.e.E_max);
    if (r->n >= 1000 && j.e.E_max / limits.worst.E > seen->worst_ratio) {
        seen->worst_ratio = j.e.E_max / limits.worst.E;
        snprintf(seen->witness, sizeof seen->witness, "%s n %zu eps %g", f->name, r->n,
                 r->eps);
    }
}

static void check_bounds(const struct family *f, const struct nb_ref_row *r)
{
    for (size_t i = 0; i < LENGTH(algorithms); i++)
        if (algorithms[i].op == r->op && !f->wide)
            for (size_t k = 0; k < LENGTH(type_names); k++)
                if (strcmp(type_names[k], "f64") != 0)
                    check_bound(&algorithms[i], &tallies[i], f, r,
                                nb_ref_type_find(type_names[k]));
}

static void float_loops_stay_inside(void **state)
{
    (void)state;
    for_each_row(check_bounds);
    for (size_t i = 0; i < LENGTH(algorithms); i++) {
        const struct tally *seen = &tallies[i];
        printf("observed: %-12s inside %4zu unstable %3zu overflow %3zu  worst E %8.2f  "
               "worst "
               "E/limit %.3f at %s\n",
               algorithms[i].name, seen->inside, seen->unstable, seen->overflow,
               seen->worst_E, seen->worst_ratio, seen->witness);
        assert_true(seen->inside > 300 && seen->worst_ratio > 0.005);
    }
}

/* ---- Planted errors ---- */

enum { SMALL = 16 };

struct outcome {
    struct nb_ref_error e;
    struct nb_ref_limits limits;
    enum nb_ref_hazard hazard;
};

/* got against the bound of a sequential float loop, c = n */
static struct outcome against_sequential(const struct nb_ref_row *r)
{
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_bound b = {NB_REF_BOUND_TWOPASS, 1, 0, 1, 0, 0};
    if (r->op != NB_REF_LAYERNORM)
        b.kind = NB_REF_BOUND_RMS;
    struct judged j = judge(r, t);
    struct outcome o = {.e = j.e};
    o.hazard = nb_ref_limit(r, &j.s, t, &b, FLT_MAX, FLT_MIN, &o.limits);
    return o;
}

static void expect_caught(const struct nb_ref_row *r, const char *what)
{
    struct outcome o = against_sequential(r);
    assert_int_equal(o.hazard, NB_REF_INSIDE);
    if (o.e.E_max <= o.limits.worst.E)
        fail_msg("%s escapes: E %g, limit %g", what, o.e.E_max, o.limits.worst.E);
    assert_int_equal(o.e.nonfinite, 0);
}

static const struct family *family(const char *name)
{
    for (size_t i = 0; i < LENGTH(families); i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    fail_msg("no family %s", name);
    return NULL;
}

/* The faithful loop passes on the very row on which each mutant of it fails. */
static void mutants_are_caught(void **state)
{
    (void)state;
    static const struct {
        const char *what, *family;
        struct recipe m;
    } mutants[] = {
        {"last element left out of the sums", "benign", {.skip = 1}},
        {"variance over n-1", "benign", {.ddof = 1}},
        {"eps dropped", "small spread", {.no_eps = 1}},
        {"eps outside the root", "small spread", {.eps_outside = 1}},
        {"beta dropped", "benign", {.no_beta = 1}},
        {"gamma dropped", "benign", {.no_gamma = 1}},
        {"mean in place of sum", "benign", {.mean = 1}},
        {"gain squared", "benign", {.gain_twice = 1}},
    };
    for (int op = 0; op <= NB_REF_GIVEN; op++)
        assert_true(nb_ref_is_sum((enum nb_ref_op)op) == (op == NB_REF_L2NORM || op == NB_REF_SCALENORM));
    for (int op = NB_REF_LAYERNORM; op <= NB_REF_SCALENORM; op++)
        for (size_t i = 0; i < LENGTH(mutants); i++) {
            const struct recipe *of = &mutants[i].m;
            if (op == NB_REF_PRMSNORM || (nb_ref_is_sum((enum nb_ref_op)op) ? of->ddof > 0 : of->mean) ||
                (of->gain_twice && op != NB_REF_SCALENORM))
                continue;
            struct nb_ref_row r =
                make_row(family(mutants[i].family), (enum nb_ref_op)op, SMALL, 1e-5);
            void (*run)(const struct nb_ref_row *, size_t, const struct recipe *) =
                op == NB_REF_LAYERNORM ? twopass : op == NB_REF_SCALENORM ? gain : rms;
            run(&r, 1, &faithful);
            struct outcome o = against_sequential(&r);
            assert_true(o.e.E_max <= o.limits.worst.E && o.e.nonfinite == 0);
            run(&r, 1, &mutants[i].m);
            expect_caught(&r, mutants[i].what);
        }
    struct nb_ref_row r = make_row(family("offset 1e3"), NB_REF_LAYERNORM, SMALL, 1e-5);
    twopass(&r, 1, &(struct recipe){.no_recentre = 1});
    expect_caught(&r, "mean not subtracted");
}

static void wrong_outputs_are_caught(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    for (int op = NB_REF_LAYERNORM; op <= NB_REF_SCALENORM; op++) {
        if (op == NB_REF_PRMSNORM)
            continue;
        struct nb_ref_row r = make_row(&families[0], (enum nb_ref_op)op, SMALL, 1e-5);
        round_exact(&r, t);
        struct nb_ref_stats s;
        nb_ref_forward(&r, y, &s);
        double wx = fabs(y[9].hi - beta[9]), b = fabs(beta[9]), w = fabs(gamma_[nb_ref_gamma_at(r.op, 9)]);
        got[9] = (double)(float)(y[9].hi + 64 * t->u * (w * s.k1 + wx + b));
        expect_caught(&r, "one element off by 64 units");
        assert_int_equal(judge(&r, t).e.worst, 9);
        memset(got, 0, sizeof got);
        expect_caught(&r, "zeros");
        memcpy(got, x, sizeof got);
        expect_caught(&r, "a copy of the input");
        round_exact(&r, t);
        got[SMALL - 1] = 0;
        expect_caught(&r, "last element not written");
        round_exact(&r, t);
        got[2] = NAN;
        assert_int_equal(against_sequential(&r).e.nonfinite, 1);
        got[2] = -INFINITY;
        assert_int_equal(against_sequential(&r).e.nonfinite, 1);
        x[4] = NAN; /* all of the row is NaN now: an Inf is wrong, and so is a number */
        round_exact(&r, t);
        assert_int_equal(against_sequential(&r).e.nonfinite, 0);
        got[2] = INFINITY;
        got[3] = 1;
        assert_int_equal(against_sequential(&r).e.nonfinite, 2);
    }
}

/* A row of given k1: evenly spread numbers around it, exactly representable. */
static struct nb_ref_row conditioned_row(double k1)
{
    for (size_t i = 0; i < SMALL; i++) {
        x[i] = k1 * 4.609772228646444 +
               (double)i; /* sqrt((16^2-1)/12): the spread of 0..15 */
        x[i] = floor(x[i]);
        gamma_[i] = 1;
        beta[i] = 0;
    }
    return (struct nb_ref_row){NB_REF_LAYERNORM, SMALL, x, gamma_, beta, 1e-5, 1, 0, 0, 0, 0, 0, 0};
}

static void onepass_is_caught(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_bound b = {NB_REF_BOUND_ONEPASS, 1, 0, 1, 0, 0};
    struct nb_ref_row r = conditioned_row(1e4);
    struct nb_ref_limits limits;
    twopass(&r, 1, &faithful);
    struct outcome o = against_sequential(&r);
    assert_true(o.hazard == NB_REF_INSIDE && o.e.E_max <= o.limits.worst.E);
    onepass(&r, 1, &faithful);
    o = against_sequential(&r);
    assert_true(o.hazard == NB_REF_INSIDE && (o.e.E_max > o.limits.worst.E || o.e.nonfinite > 0));
    struct judged j = judge(&r, t);
    assert_true(fabs(j.s.k2 - 1e4) < 100);
    assert_int_equal(nb_ref_limit(&r, &j.s, t, &b, FLT_MAX, FLT_MIN, &limits),
                     NB_REF_UNSTABLE);
    r = conditioned_row(10);
    onepass(&r, 1, &faithful);
    j = judge(&r, t);
    assert_int_equal(nb_ref_limit(&r, &j.s, t, &b, FLT_MAX, FLT_MIN, &limits),
                     NB_REF_INSIDE);
    assert_true(j.e.E_max <= limits.worst.E);
}

/* Truncation in place of rounding stays within a worst-case bound; ulp_max shows it. */
static void truncation_shows_in_ulps(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("bf16");
    struct nb_ref_row r = make_row(&families[0], NB_REF_RMSNORM, 1000, 1e-5);
    rms(&r, 16, &faithful);
    round_got(&r, t);
    assert_true(judge(&r, t).e.ulp_max <= 0.51);
    rms(&r, 16, &faithful);
    for (size_t i = 0; i < r.n; i++) {
        float v = (float)got[i];
        uint32_t bits;
        memcpy(&bits, &v, sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&v, &bits, sizeof bits);
        got[i] = (double)v;
    }
    assert_true(judge(&r, t).e.ulp_max > 0.9);
}

/* ---- Limits by hand ---- */

/* (K k1 + A X) / (k1 + X), at least K, made strict */
static double by_hand(double K, double A, const struct nb_ref_stats *s, double c)
{
    double limit = fmax(K, (K * s->k1 + A * s->xhat_max) / (s->k1 + s->xhat_max));
    return limit / (1 - (2 * c + 20) * 0x1p-24);
}

static double A_of(double tau)
{
    return (1 / sqrt(1 - tau) - 1) * 0x1p24 + 8;
}

static void expect_limit(const struct nb_ref_row *r, struct nb_ref_bound b, double want)
{
    struct nb_ref_stats s;
    struct nb_ref_limits limits;
    nb_ref_forward(r, y, &s);
    assert_int_equal(
        nb_ref_limit(r, &s, nb_ref_type_find("f32"), &b, FLT_MAX, FLT_MIN, &limits),
        NB_REF_INSIDE);
    if (!(fabs(limits.worst.E - want) <= 1e-9 * want))
        fail_msg("kind %d: limit %.17g, want %.17g", (int)b.kind, limits.worst.E, want);
}

/* docs/numerics.md's formulas, kind by kind, on a row of k1 = 50: c = 2 * 16 / 4 + 2 + 3
 * = 13 */
static void limits_by_hand(void **state)
{
    (void)state;
    struct nb_ref_row r = conditioned_row(50);
    struct nb_ref_stats s;
    double c = 13, u = 0x1p-24,
           shift_abs = 7.5; /* mean of 0..15, the row less its first */
    nb_ref_forward(&r, y, &s);
    double q = (c + 2) * u * s.k1, k2 = s.k2 * s.k2, ks = s.k2_shift * s.k2_shift;
    struct nb_ref_bound b = {NB_REF_BOUND_TWOPASS, 2, 3, 4, 0, 0};
    expect_limit(&r, b, by_hand(c + 4, (c + 17) / 2 + 0.5 * q * q / u, &s, c));
    b.kind = NB_REF_BOUND_ONEPASS;
    expect_limit(&r, b, by_hand(c + 4, A_of((3 * c + 6) * u * k2), &s, c));
    b.kind = NB_REF_BOUND_SHIFTED;
    double K = 4 + (c + 2) * shift_abs * s.rstd.hi / s.k1;
    expect_limit(&r, b, by_hand(K, A_of((3 * c + 10) * u * ks), &s, c));
    b.kind = NB_REF_BOUND_GUARDED; /* k = 0 lies far off: the guard's own limit stands */
    double sigma = sqrt(s.var.hi) * s.rstd.hi, off = 4 * sigma * (1 + (60 * c + 200) * u);
    double KG = 2 + ((c + 4) * sqrt(sigma * sigma + off * off) + 4 * off) / s.k1;
    expect_limit(&r, b,
                 by_hand(KG, A_of((3 * c + 10) * u * (sigma * sigma + off * off)), &s, c));
    b.kind = NB_REF_BOUND_EITHER; /* the larger error of the mean, and of rstd */
    expect_limit(&r, b,
                 by_hand(fmax(c + 4, KG),
                         fmax((c + 17) / 2 + 0.5 * q * q / u, A_of((3 * c + 10) * u * (sigma * sigma + off * off))),
                         &s, c));
    b.kind = NB_REF_BOUND_WELFORD;
    double g = u * fmin((c + 4) * s.x_max * s.rstd.hi / sqrt(3), 2 * (c + 4) * 2 * s.k1);
    double tau = (c + 12) * u + g * (sqrt(2) + sqrt(6)) + g * g * 7 / 4;
    expect_limit(&r, b, by_hand(c + 2 * log(16) + 16, A_of(tau), &s, c));
    b.kind = NB_REF_BOUND_ROUND;
    expect_limit(&r, b, 4 / (1 - (2 * c + 20) * u));
    struct nb_ref_limits limits;
    nb_ref_limit(&r, &s, nb_ref_type_find("bf16"), &b, FLT_MAX, FLT_MIN, &limits);
    assert_true(fabs(limits.worst.E - 4 * (1 + 0x1p-8) / (1 - (2 * c + 20) * u)) < 1e-12);
    b.kind = NB_REF_BOUND_RMS;
    r.op = NB_REF_RMSNORM;
    expect_limit(&r, b, (c + 13) / 2 / (1 - (2 * c + 20) * u));
}

/* The quadratic term of two passes, where it is not negligible: k1 = 3e4, c = 515. */
static void twopass_quadratic(void **state)
{
    (void)state;
    struct nb_ref_row r = conditioned_row(3e4);
    struct nb_ref_bound b = {NB_REF_BOUND_TWOPASS, 32, 3, 1, 0, 0};
    struct nb_ref_stats s;
    double c = 515, u = 0x1p-24;
    nb_ref_forward(&r, y, &s);
    double q = (c + 2) * u * s.k1, A = (c + 17) / 2 + 0.5 * q * q / u;
    expect_limit(&r, b, by_hand(c + 4, A, &s, c));
}

/* ---- Hazards ---- */

static enum nb_ref_hazard hazard_of(const struct nb_ref_row *r,
                                    enum nb_ref_bound_kind kind, int range_safe,
                                    const char *type)
{
    const struct nb_ref_type *t = nb_ref_type_find(type);
    struct nb_ref_bound b = {kind, 1, 0, 1, range_safe, 0};
    struct nb_ref_stats s;
    struct nb_ref_limits limits;
    nb_ref_forward(r, y, &s);
    return nb_ref_limit(r, &s, t, &b, FLT_MAX, FLT_MIN, &limits);
}

static void hazards(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        enum nb_ref_op op;
        enum nb_ref_bound_kind kind;
        double eps;
        int range_safe;
        enum nb_ref_hazard want;
    } cases[] = {
        {"benign", NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-5, 0, NB_REF_INSIDE},
        {"huge", NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-5, 0, NB_REF_OVERFLOW},
        {"huge", NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-5, 1, NB_REF_INSIDE},
        {"huge", NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e-5, 0, NB_REF_OVERFLOW},
        {"huge", NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e-5, 1, NB_REF_INSIDE},
        {"huge", NB_REF_LAYERNORM, NB_REF_BOUND_WELFORD, 1e-5, 0, NB_REF_OVERFLOW},
        {"tiny", NB_REF_RMSNORM, NB_REF_BOUND_RMS, 0, 0, NB_REF_OVERFLOW},
        {"tiny", NB_REF_RMSNORM, NB_REF_BOUND_RMS, 0, 1, NB_REF_INSIDE},
        {"tiny", NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-5, 0, NB_REF_INSIDE},
        {"zero", NB_REF_RMSNORM, NB_REF_BOUND_RMS, 0, 0, NB_REF_INSIDE},
        {"zero", NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 0, 0, NB_REF_INSIDE},
        {"constant", NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 0, 1, NB_REF_UNSTABLE},
        {"constant", NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e-5, 0, NB_REF_INSIDE},
        {"offset 1e5", NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e-5, 0, NB_REF_INSIDE},
        {"offset 1e5", NB_REF_LAYERNORM, NB_REF_BOUND_ONEPASS, 1e-5, 0, NB_REF_UNSTABLE},
        {"offset 1e5", NB_REF_LAYERNORM, NB_REF_BOUND_SHIFTED, 1e-5, 0, NB_REF_INSIDE},
        {"outlier first", NB_REF_LAYERNORM, NB_REF_BOUND_SHIFTED, 1e-5, 0, NB_REF_INSIDE},
        {"offset 1e6", NB_REF_LAYERNORM, NB_REF_BOUND_WELFORD, 1e-5, 0, NB_REF_UNSTABLE},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct nb_ref_row r =
            make_row(family(cases[i].family), cases[i].op, 1000, cases[i].eps);
        enum nb_ref_hazard h = hazard_of(&r, cases[i].kind, cases[i].range_safe, "f32");
        if (h != cases[i].want)
            fail_msg("case %zu, %s: %d, want %d", i, cases[i].family, (int)h,
                     (int)cases[i].want);
    }
    struct nb_ref_row first =
        make_row(family("outlier first"), NB_REF_LAYERNORM, 4096, 1e-5);
    assert_int_equal(hazard_of(&first, NB_REF_BOUND_SHIFTED, 0, "f32"), NB_REF_UNSTABLE);
    struct nb_ref_row r = make_row(&families[0], NB_REF_RMSNORM, 1000, 1e-5);
    assert_int_equal(hazard_of(&r, NB_REF_BOUND_RMS, 1, "f16"), NB_REF_INSIDE);
    gamma_[1] = 1e6;
    assert_int_equal(hazard_of(&r, NB_REF_BOUND_RMS, 1, "f16"), NB_REF_OVERFLOW);
    assert_int_equal(hazard_of(&r, NB_REF_BOUND_RMS, 1, "bf16"), NB_REF_INSIDE);
}

/* Ranges left by other ways than the sums of ordinary rows; n = 4, gamma 1 where not
 * said. */
/* The scaled rstd overflows there, and 0 times it must still be 0. */
static void constant_at_the_end_of_the_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        x[i] = 1e308;
        gamma_[i] = 2;
        beta[i] = 0.5;
    }
    struct nb_ref_row r = {NB_REF_LAYERNORM, 8, x, gamma_, beta, 1e-290, 1, 0, 0, 0, 0, 0, 0};
    struct nb_ref_stats s;
    nb_ref_forward(&r, y, &s);
    for (size_t i = 0; i < 8; i++)
        assert_true(y[i].hi == 0.5 && y[i].lo == 0);
}

static void rare_hazards(void **state)
{
    (void)state;
    static const struct {
        enum nb_ref_op op;
        enum nb_ref_bound_kind kind;
        double first, rest, gamma, eps;
        int range_safe, flushing;
        enum nb_ref_hazard want;
    } cases[] = {
        /* xhat subnormal, brought back by gamma */
        {NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e18, 1e-21, 1e10, 0, 1, 0, NB_REF_OVERFLOW},
        {NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e18, 1e-21, 1, 0, 1, 0, NB_REF_INSIDE},
        /* the rounded mean of a constant row leaves squares that overflow */
        {NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e30, 1e30, 1, 1e-5, 0, 0,
         NB_REF_OVERFLOW},
        {NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e20, 1e20, 1, 1e-5, 0, 0,
         NB_REF_INSIDE},
        /* a running mean may lie at the other end of the row */
        {NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 5e18, -5e18 / 3, 1, 0, 0, 0,
         NB_REF_INSIDE},
        {NB_REF_LAYERNORM, NB_REF_BOUND_WELFORD, 5e18, -5e18 / 3, 1, 0, 0, 0,
         NB_REF_OVERFLOW},
        /* mean * rstd, gamma * rstd */
        {NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e22, 1e22, 1, 1e-36, 0, 0,
         NB_REF_OVERFLOW},
        {NB_REF_LAYERNORM, NB_REF_BOUND_TWOPASS, 1e20, 1e20, 1, 1e-30, 0, 0,
         NB_REF_INSIDE},
        {NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-15, 1e-15, 1e25, 0, 0, 0, NB_REF_OVERFLOW},
        {NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-15, 1e-15, 1e20, 0, 0, 0, NB_REF_INSIDE},
        /* squares of 1e-18: small, but only flushing loses them */
        {NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-18, 1e-18, 1, 0, 0, 0, NB_REF_INSIDE},
        {NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1e-18, 1e-18, 1, 0, 0, 1, NB_REF_OVERFLOW},
        /* a flushed gamma beside xhat of 1: within the metric's own eta */
        {NB_REF_RMSNORM, NB_REF_BOUND_RMS, 1, 1, 1e-39, 0, 0, 1, NB_REF_INSIDE},
        /* each of four squares of 1.2e-19 loses its share, though their sum is a normal number */
        {NB_REF_L2NORM, NB_REF_BOUND_RMS, 1.2e-19, 1.2e-19, 1, 0, 0, 0, NB_REF_OVERFLOW},
        {NB_REF_L2NORM, NB_REF_BOUND_RMS, 2e-19, 2e-19, 1, 0, 0, 0, NB_REF_INSIDE},
        /* gain * rstd is subnormal, or its inverse, or too large, even where x is 0 */
        {NB_REF_SCALENORM, NB_REF_BOUND_RMS, 1e15, 1e15, 1e-24, 0, 0, 0, NB_REF_OVERFLOW},
        {NB_REF_SCALENORM, NB_REF_BOUND_RMS, 1e15, 1e15, 1e-24, 0, 1, 0, NB_REF_INSIDE},
        {NB_REF_SCALENORM, NB_REF_BOUND_RMS, 1, 1, 1e-24, 0, 0, 0, NB_REF_INSIDE},
        {NB_REF_SCALENORM, NB_REF_BOUND_RMS, 1e-15, 1e-15, 3e23, 0, 0, 0, NB_REF_OVERFLOW},
        {NB_REF_SCALENORM, NB_REF_BOUND_RMS, 1e-15, 1e-15, 1e22, 0, 0, 0, NB_REF_INSIDE},
        {NB_REF_SCALENORM, NB_REF_BOUND_RMS, 0, 0, 1e37, 1e-5, 0, 0, NB_REF_OVERFLOW},
        {NB_REF_SCALENORM, NB_REF_BOUND_RMS, 1, 1, 0, 0, 0, 0, NB_REF_INSIDE},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct nb_ref_type t = *nb_ref_type_find("f32");
        struct nb_ref_bound b = {cases[i].kind, 1, 0, 1, cases[i].range_safe, 0};
        struct nb_ref_stats s;
        struct nb_ref_limits limits;
        for (size_t j = 0; j < 4; j++) {
            x[j] = j == 0 ? cases[i].first : cases[i].rest;
            gamma_[j] = cases[i].gamma;
        }
        struct nb_ref_row r = {cases[i].op, 4, x, gamma_, NULL, cases[i].eps, 1, 0, 0, 0, 0, 0, 0};
        t.eta = cases[i].flushing ? FLT_MIN : t.eta;
        nb_ref_forward(&r, y, &s);
        enum nb_ref_hazard h = nb_ref_limit(&r, &s, &t, &b, FLT_MAX, FLT_MIN, &limits);
        if (h != cases[i].want)
            fail_msg("case %zu: %d, want %d", i, (int)h, (int)cases[i].want);
    }
}

/* A hazard is no excuse: on the rows it marks, the plain loop is really lost. */
static void hazards_are_real(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_row r = make_row(family("huge"), NB_REF_RMSNORM, 1000, 1e-5);
    rms(&r, 1, &faithful);
    assert_true(judge(&r, t).e.E_max > 1e5);
    r = make_row(family("tiny"), NB_REF_RMSNORM, 1000, 0);
    rms(&r, 1, &faithful);
    struct nb_ref_error e = judge(&r, t).e;
    assert_true(e.nonfinite > 0 || e.E_max > 1e5);
    r = make_row(family("huge"), NB_REF_LAYERNORM, 1000, 1e-5);
    twopass(&r, 1, &faithful);
    assert_true(judge(&r, t).e.E_max > 1e5);
}

/* A kernel that flushes is right within the eta of flushing arithmetic, and wrong without
 * it. */
static void flushed_outputs(void **state)
{
    (void)state;
    struct nb_ref_type t = *nb_ref_type_find("f32");
    struct nb_ref_row r = make_row(&families[0], NB_REF_RMSNORM, SMALL, 1e-5);
    for (size_t i = 0; i < r.n; i++) {
        gamma_[i] = 0x1p-130;
        beta[i] = got[i] = 0;
    }
    struct outcome o = against_sequential(&r);
    assert_true(o.e.E_max > o.limits.worst.E);
    t.eta = FLT_MIN;
    assert_true(judge(&r, &t).e.E_max <= 1);
}

static void type_lookup(void **state)
{
    (void)state;
    for (size_t k = 0; k < LENGTH(type_names); k++)
        assert_non_null(nb_ref_type_find(type_names[k]));
    assert_null(nb_ref_type_find("f8"));
    assert_true(nb_ref_type_find("f32")->max_out == (double)FLT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type_lookup),
        cmocka_unit_test(worked_digits),
        cmocka_unit_test(forward_agrees_with_mpfr),
        cmocka_unit_test(ceilings),
        cmocka_unit_test(nonfinite_rows),
        cmocka_unit_test(nonfinite_prefixes),
        cmocka_unit_test(prefixes_have_a_scale_of_their_own),
        cmocka_unit_test(a_prefix_guesses),
        cmocka_unit_test(round_agrees_with_mpfr),
        cmocka_unit_test(rounded_output_scores_one),
        cmocka_unit_test(overflowing_output),
        cmocka_unit_test(judge_figures),
        cmocka_unit_test(copies_are_exact),
        cmocka_unit_test(float_loops_stay_inside),
        cmocka_unit_test(mutants_are_caught),
        cmocka_unit_test(wrong_outputs_are_caught),
        cmocka_unit_test(onepass_is_caught),
        cmocka_unit_test(truncation_shows_in_ulps),
        cmocka_unit_test(constant_at_the_end_of_the_range),
        cmocka_unit_test(limits_by_hand),
        cmocka_unit_test(twopass_quadratic),
        cmocka_unit_test(flushed_outputs),
        cmocka_unit_test(hazards),
        cmocka_unit_test(rare_hazards),
        cmocka_unit_test(hazards_are_real),
    };
    return cmocka_run_group_tests(tests, init_mpfr, clear_mpfr);
}
