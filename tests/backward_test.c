/* backward_test.c: the oracle's gradients against MPFR, and against differences of its
 * own forward pass and of MPFR's: MPFR is given the same formulas, differences are not. All data is
 * seeded; the "observed" lines are the figures that reference/backward.h quotes. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mpfr.h>

#include "backward.h"
#include "deepnorm.h"

enum { N_MAX = 1000, BITS = 256, ROWS = 8 };
#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* ---- Data ---- */

#include "random.h"

/* x = base + spread * N(0,1), or what the shape says */
enum shape { NORMAL, LOGNORMAL, SPIKES, CANCELLING_PAIR };
static const struct family {
    const char *name;
    enum shape shape;
    double base, spread;
} families[] = {
    {"benign", NORMAL, 0, 1},
    {"offset 1e3", NORMAL, 1e3, 1},
    {"offset 1e6", NORMAL, 1e6, 1},
    {"small spread", NORMAL, 0, 3e-3},
    {"zero", NORMAL, 0, 0},
    {"constant", NORMAL, 0.1, 0},
    {"lognormal", LOGNORMAL, 0, 4},
    {"massive spikes", SPIKES, 0, 1},
    {"1e-30", NORMAL, 0, 1e-30},
    {"cancelling pair", CANCELLING_PAIR, 1e6, 1},
    {"1e200", NORMAL, 0, 1e200},
    {"1e-200", NORMAL, 0, 1e-200},
    {"1e-310", NORMAL, 0, 1e-310},
    {"constant 1e300", NORMAL, 1e300, 0},
    {"constant 1e308", NORMAL, 1e308, 0},
};

/* What arrives from above: dy = dy_scale * ..., gamma = gamma_scale * (1 + N(0,1)/2). */
enum pull { RANDOM, WITH_MEAN, ALONG_X, ONE_UNIT, NOTHING };
static const struct from_above {
    const char *name;
    enum pull pull;
    double dy_scale, gamma_scale; /* gamma_scale 0: gamma is NULL */
} gradients[] = {
    {"random", RANDOM, 1, 1},
    {"mean 1e4", WITH_MEAN, 1e4, 0},
    {"along x", ALONG_X, 1, 0},
    {"one element", ONE_UNIT, 1, 1},
    {"nothing", NOTHING, 1, 1},
    {"g beyond range", RANDOM, 1e200, 1e150},
    {"g below range", RANDOM, 1e-200, 1e-150},
};

static const struct norm {
    const char *name;
    enum nb_ref_op op;
    int gemma;
    enum { ALL, ONE, THIRD } prefix; /* of prmsnorm */
} norms[] = {
    {"layernorm", NB_REF_LAYERNORM, 0, ALL},
    {"rmsnorm", NB_REF_RMSNORM, 0, ALL},
    {"prmsnorm, k 1", NB_REF_PRMSNORM, 0, ONE},
    {"prmsnorm, k n/3+1", NB_REF_PRMSNORM, 0, THIRD},
    {"prmsnorm, k n", NB_REF_PRMSNORM, 0, ALL},
    {"layernorm, 1 + gamma", NB_REF_LAYERNORM, 1, ALL},
    {"rmsnorm, 1 + gamma", NB_REF_RMSNORM, 1, ALL},
    {"prmsnorm, 1 + gamma", NB_REF_PRMSNORM, 1, THIRD},
    {"l2norm", NB_REF_L2NORM, 0, ALL},
    {"scalenorm", NB_REF_SCALENORM, 0, ALL},
    {"scalenorm, 1 + gamma", NB_REF_SCALENORM, 1, ALL},
};

static double x[N_MAX], gamma_[N_MAX], dy[N_MAX];
static struct nb_dd dx[N_MAX], dgamma[N_MAX], dbeta[N_MAX];

static double shaped(const struct family *f, size_t i, size_t n)
{
    double z = f->base + f->spread * normal();
    if (f->shape == LOGNORMAL)
        return exp(f->spread * normal()) * (next_bits() & 1 ? 1 : -1);
    if (f->shape == SPIKES)
        return i == n / 3 ? 1500 : i == n / 2 ? -2100 : z;
    if (f->shape == CANCELLING_PAIR)
        return i == 0 ? f->base : i == n - 1 ? -f->base : z - f->base;
    return z;
}

static double pulled(const struct from_above *g, const struct family *f, size_t i)
{
    switch (g->pull) {
    case WITH_MEAN:
        return g->dy_scale + normal();
    case ALONG_X:
        return (x[i] - f->base) / (f->spread ? f->spread : 1) + 0x1p-30 * normal();
    case ONE_UNIT:
        return i == 0 ? g->dy_scale : 0;
    case NOTHING:
        return 0;
    case RANDOM:
        break;
    }
    return g->dy_scale * normal();
}

static struct nb_ref_gradient make_row(const struct family *f, const struct from_above *g,
                                       const struct norm *norm, size_t n, double eps)
{
    seed_state =
        n * 1000003u + (uint64_t)(f - families) * 101 + (uint64_t)(g - gradients);
    for (size_t i = 0; i < n; i++)
        x[i] = shaped(f, i, n);
    for (size_t i = 0; i < n; i++) {
        gamma_[i] = g->gamma_scale * (1 + 0.5 * normal());
        dy[i] = pulled(g, f, i);
    }
    if (n > 3)
        gamma_[n / 4] = norm->gemma ? -1 : 0;
    if (n > 3 && norm->gemma)
        gamma_[n / 2] = -1 + 0x1p-40;
    return (struct nb_ref_gradient){
        .op = norm->op, .n = n, .x = x, .gamma = g->gamma_scale ? gamma_ : NULL, .dy = dy,
        .eps = eps, .gemma = norm->gemma,
        .k = norm->prefix == ONE ? 1 : norm->prefix == THIRD ? n / 3 + 1 : n};
}

/* ---- The same in MPFR ---- */

static mpfr_t big_xhat[N_MAX], big_g[N_MAX], big_dx[N_MAX];
static mpfr_t big_rstd, big_k1, big_one, big_along, big_abs_one, big_abs_along, big_t,
    big_u;
static mpfr_t big_tiny;

static int init_mpfr(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MAX; i++)
        mpfr_inits2(BITS, big_xhat[i], big_g[i], big_dx[i], (mpfr_ptr)0);
    mpfr_inits2(BITS, big_rstd, big_k1, big_one, big_along, big_abs_one, big_abs_along,
                big_t, big_u, big_tiny, (mpfr_ptr)0);
    return 0;
}

static int clear_mpfr(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MAX; i++)
        mpfr_clears(big_xhat[i], big_g[i], big_dx[i], (mpfr_ptr)0);
    mpfr_clears(big_rstd, big_k1, big_one, big_along, big_abs_one, big_abs_along, big_t,
                big_u, big_tiny, (mpfr_ptr)0);
    mpfr_free_cache();
    return 0;
}

static size_t span_of(const struct nb_ref_gradient *r)
{
    return r->op == NB_REF_PRMSNORM ? r->k : r->n;
}

/* What sums over the row are divided by. */
static size_t count_of(const struct nb_ref_gradient *r)
{
    return nb_ref_is_sum(r->op) ? 1 : span_of(r);
}

/* big_xhat, big_rstd, big_k1 = mean|x| rstd (without mean: 0) */
static void normalize_mpfr(const struct nb_ref_gradient *r)
{
    mpfr_set_zero(big_t, 1);
    mpfr_set_zero(big_k1, 1);
    for (size_t i = 0; r->op == NB_REF_LAYERNORM && i < r->n; i++) {
        mpfr_add_d(big_t, big_t, r->x[i], MPFR_RNDN);
        mpfr_add_d(big_k1, big_k1, fabs(r->x[i]), MPFR_RNDN);
    }
    mpfr_div_ui(big_t, big_t, r->n, MPFR_RNDN);
    mpfr_set_zero(big_rstd, 1);
    for (size_t i = 0; i < r->n; i++) {
        mpfr_d_sub(big_xhat[i], r->x[i], big_t, MPFR_RNDN);
        mpfr_sqr(big_u, big_xhat[i], MPFR_RNDN);
        if (i < span_of(r))
            mpfr_add(big_rstd, big_rstd, big_u, MPFR_RNDN);
    }
    mpfr_div_ui(big_rstd, big_rstd, count_of(r), MPFR_RNDN);
    mpfr_add_d(big_rstd, big_rstd, r->eps, MPFR_RNDN);
    mpfr_rec_sqrt(big_rstd, big_rstd, MPFR_RNDN);
    mpfr_div_ui(big_k1, big_k1, r->n, MPFR_RNDN);
    mpfr_mul(big_k1, big_k1, big_rstd, MPFR_RNDN);
    for (size_t i = 0; i < r->n; i++)
        mpfr_mul(big_xhat[i], big_xhat[i], big_rstd, MPFR_RNDN);
}

/* to and abs_to: mean of v and of |v| so far; v is lost */
static void add_both(mpfr_t to, mpfr_t abs_to, mpfr_t v, size_t n)
{
    mpfr_div_ui(v, v, n, MPFR_RNDN);
    mpfr_add(to, to, v, MPFR_RNDN);
    mpfr_abs(v, v, MPFR_RNDN);
    mpfr_add(abs_to, abs_to, v, MPFR_RNDN);
}

static void pull_mpfr(const struct nb_ref_gradient *r, size_t i)
{
    mpfr_set_d(big_g[i], r->gamma ? r->gamma[r->op == NB_REF_SCALENORM ? 0 : i] : 1, MPFR_RNDN);
    if (r->gamma && r->gemma)
        mpfr_add_ui(big_g[i], big_g[i], 1, MPFR_RNDN);
    mpfr_mul_d(big_g[i], big_g[i], r->dy[i], MPFR_RNDN);
}

/* big_g; big_one = mean(g), big_along = mean(g xhat) (prmsnorm: sum / k; l2norm, scalenorm: sum), and the same of their
 * magnitudes */
static void project_mpfr(const struct nb_ref_gradient *r)
{
    mpfr_set_zero(big_one, 1);
    mpfr_set_zero(big_along, 1);
    mpfr_set_zero(big_abs_one, 1);
    mpfr_set_zero(big_abs_along, 1);
    for (size_t i = 0; i < r->n; i++) {
        pull_mpfr(r, i);
        mpfr_set(big_t, big_g[i], MPFR_RNDN);
        if (r->op == NB_REF_LAYERNORM)
            add_both(big_one, big_abs_one, big_t, r->n);
        mpfr_mul(big_t, big_g[i], big_xhat[i], MPFR_RNDN);
        add_both(big_along, big_abs_along, big_t, count_of(r));
    }
}

/* big_dx; big_tiny = 2^-1400 rstd max|g| */
static void backward_mpfr(const struct nb_ref_gradient *r)
{
    normalize_mpfr(r);
    project_mpfr(r);
    mpfr_set_zero(big_tiny, 1);
    for (size_t i = 0; i < r->n; i++)
        if (mpfr_cmpabs(big_g[i], big_tiny) > 0)
            mpfr_abs(big_tiny, big_g[i], MPFR_RNDN);
    mpfr_mul(big_tiny, big_tiny, big_rstd, MPFR_RNDN);
    mpfr_mul_2si(big_tiny, big_tiny, -1400, MPFR_RNDN);
    for (size_t i = 0; i < r->n; i++) {
        mpfr_mul(big_t, big_xhat[i], big_along, MPFR_RNDN);
        mpfr_sub(big_dx[i], big_g[i], big_one, MPFR_RNDN);
        if (i < span_of(r))
            mpfr_sub(big_dx[i], big_dx[i], big_t, MPFR_RNDN);
        mpfr_mul(big_dx[i], big_dx[i], big_rstd, MPFR_RNDN);
    }
}

/* |a - b|, 0 if the subnormals of double could not say it or if it is below `tiny` */
static void distance(mpfr_t to, struct nb_dd a, mpfr_t b, mpfr_t tiny)
{
    mpfr_sub_d(to, b, a.hi, MPFR_RNDN);
    mpfr_sub_d(to, to, a.lo, MPFR_RNDN);
    mpfr_abs(to, to, MPFR_RNDN);
    if (mpfr_cmp_d(to, DBL_TRUE_MIN * 2) < 0 || mpfr_cmp(to, tiny) < 0)
        mpfr_set_zero(to, 1);
}

/* |dx - big_dx| in 2^-106 of (1+k1) rstd (|g| + mean|g| + |xhat| (mean|g| + mean|g
 * xhat|)): how far dx moves when every x and g moves by 2^-106 of itself. Behind a prefix
 * |g| alone. */
static double dx_units(const struct nb_ref_gradient *r, size_t i)
{
    mpfr_add(big_u, big_abs_one, big_abs_along, MPFR_RNDN);
    mpfr_mul(big_u, big_u, big_xhat[i], MPFR_RNDN);
    mpfr_abs(big_u, big_u, MPFR_RNDN);
    mpfr_add(big_u, big_u, big_abs_one, MPFR_RNDN);
    if (i >= span_of(r))
        mpfr_set_zero(big_u, 1);
    mpfr_abs(big_t, big_g[i], MPFR_RNDN);
    mpfr_add(big_u, big_u, big_t, MPFR_RNDN);
    mpfr_add_ui(big_t, big_k1, 1, MPFR_RNDN);
    mpfr_mul(big_u, big_u, big_t, MPFR_RNDN);
    mpfr_mul(big_u, big_u, big_rstd, MPFR_RNDN);
    if (isinf(dx[i].hi)) { /* right if 64 units reach beyond double */
        mpfr_mul_2si(big_u, big_u, -100, MPFR_RNDN);
        return mpfr_get_d(big_u, MPFR_RNDZ) >= DBL_MAX ? 0 : INFINITY;
    }
    distance(big_t, dx[i], big_dx[i], big_tiny);
    if (mpfr_zero_p(big_t))
        return 0;
    mpfr_div(big_t, big_t, big_u, MPFR_RNDN);
    return mpfr_get_d(big_t, MPFR_RNDN) * 0x1p106;
}

/* ---- dx ---- */

static struct {
    double units[2]; /* by norm */
    const char *where[2];
    size_t elements, nan_rows, beyond;
} seen;

static void compare_row(const struct family *f, const struct from_above *g,
                        const struct nb_ref_gradient *r)
{
    nb_ref_backward_row(r, dx, NULL, NULL);
    backward_mpfr(r);
    int norm = r->op != NB_REF_LAYERNORM, none = !mpfr_number_p(big_rstd);
    seen.nan_rows += (size_t)none;
    for (size_t i = 0; i < (none ? span_of(r) : r->n); i++) {
        double nearest = none ? NAN : mpfr_get_d(big_dx[i], MPFR_RNDN);
        if (!isfinite(nearest)) {
            assert_true(none ? isnan(dx[i].hi) : dx[i].hi == nearest);
            seen.beyond += !none;
            continue;
        }
        double units = dx_units(r, i);
        if (!(units <= 40))
            fail_msg("%s, %s, n %zu k %zu eps %g op %d [%zu]: %g units of 2^-106", f->name,
                     g->name, r->n, r->k, r->eps, (int)r->op, i, units);
        if (units > seen.units[norm]) {
            seen.units[norm] = units;
            seen.where[norm] = f->name;
        }
        seen.elements++;
    }
}

static void backward_agrees_with_mpfr(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 3, 17, 1000};
    static const double epsilons[] = {0, 1e-12, 1e-5};
    memset(&seen, 0, sizeof seen);
    for (size_t f = 0; f < LENGTH(families); f++)
        for (size_t g = 0; g < LENGTH(gradients); g++)
            for (size_t l = 0; l < LENGTH(lengths); l++)
                for (size_t e = 0; e < LENGTH(epsilons); e++)
                    for (size_t o = 0; o < LENGTH(norms); o++) {
                        struct nb_ref_gradient r = make_row(
                            &families[f], &gradients[g], &norms[o], lengths[l], epsilons[e]);
                        compare_row(&families[f], &gradients[g], &r);
                    }
    printf(
        "observed: %zu elements of dx, %zu beyond double, %zu rows of 0/0; error at most "
        "%.1f (layernorm, %s) and %.1f (without mean, %s) x 2^-106 of "
        "(1+k1) rstd (|g| + mean|g| + |xhat| (mean|g| + mean|g xhat|))\n",
        seen.elements, seen.beyond, seen.nan_rows, seen.units[0], seen.where[0],
        seen.units[1], seen.where[1]);
    assert_true(seen.elements > 400000 && seen.nan_rows > 0 && seen.beyond > 0);
}

/* ---- dgamma and dbeta ---- */

static mpfr_t sums[4][N_MAX]; /* dgamma, dbeta and what their errors are measured in */

static int init_sums(void **state)
{
    (void)state;
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < N_MAX; i++) {
            mpfr_init2(sums[k][i], BITS);
            mpfr_set_zero(sums[k][i], 1);
        }
    return 0;
}

static int clear_sums(void **state)
{
    (void)state;
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < N_MAX; i++)
            mpfr_clear(sums[k][i]);
    return 0;
}

/* one row more; the measures are |dy| (|xhat| + k1) and |dy| */
static void add_row_mpfr(const struct nb_ref_gradient *r)
{
    normalize_mpfr(r);
    for (size_t i = 0; i < r->n; i++) {
        const size_t own = r->op == NB_REF_SCALENORM ? 0 : i;
        mpfr_mul_d(big_t, big_xhat[i], r->dy[i], MPFR_RNDN);
        mpfr_add(sums[0][own], sums[0][own], big_t, MPFR_RNDN);
        mpfr_add_d(sums[1][i], sums[1][i], r->dy[i], MPFR_RNDN);
        mpfr_abs(big_t, big_xhat[i], MPFR_RNDN);
        mpfr_add(big_t, big_t, big_k1, MPFR_RNDN);
        mpfr_mul_d(big_t, big_t, fabs(r->dy[i]), MPFR_RNDN);
        mpfr_add(sums[2][own], sums[2][own], big_t, MPFR_RNDN);
        mpfr_add_d(sums[3][i], sums[3][i], fabs(r->dy[i]), MPFR_RNDN);
    }
}

static double sum_units(struct nb_dd a, size_t k, size_t i)
{
    mpfr_set_zero(big_tiny, 1);
    distance(big_t, a, sums[k][i], big_tiny);
    mpfr_div(big_t, big_t, sums[k + 2][i], MPFR_RNDN);
    return mpfr_get_d(big_t, MPFR_RNDN) * 0x1p106;
}

/* Rows of very different size share the accumulators. */
static double accumulated_units(const struct norm *norm, size_t n)
{
    double worst = 0;
    memset(dgamma, 0, sizeof dgamma);
    memset(dbeta, 0, sizeof dbeta);
    init_sums(NULL);
    for (size_t row = 0; row < ROWS; row++) {
        static const size_t pick[ROWS] = {0, 1, 2, 7, 10, 11, 6, 13};
        const struct from_above *g = &gradients[row % 2 ? 1 : 0];
        struct nb_ref_gradient r = make_row(&families[pick[row]], g, norm, n, 1e-5);
        nb_ref_backward_row(&r, dx, dgamma, dbeta);
        add_row_mpfr(&r);
    }
    for (size_t i = 0; i < n; i++) {
        int has_gamma = norm->op != NB_REF_SCALENORM || i == 0;
        worst = fmax(worst, fmax(has_gamma ? sum_units(dgamma[i], 0, i) : 0, sum_units(dbeta[i], 1, i)));
    }
    clear_sums(NULL);
    return worst;
}

static void parameters_agree_with_mpfr(void **state)
{
    (void)state;
    double worst = 0;
    for (size_t o = 0; o < LENGTH(norms); o++) {
        worst = fmax(worst, accumulated_units(&norms[o], 1000));
        worst = fmax(worst, accumulated_units(&norms[o], 17));
    }
    printf("observed: dgamma and dbeta over %d rows: %.1f x 2^-106 of sum |dy| (|xhat| + "
           "k1) "
           "and of sum |dy|\n",
           ROWS, worst);
    assert_true(worst > 0 && worst <= 24);
}

/* A share far below the row's largest keeps its digits; one beyond double is Inf. */
static void shares_stand_alone(void **state)
{
    (void)state;
    const double xs[3] = {1, 2, 4}, dys[3] = {1e300, 1e-290, -1e308};
    struct nb_ref_gradient r = {.op = NB_REF_RMSNORM, .n = 3, .x = xs, .dy = dys};
    struct nb_dd sum[3] = {{0, 0}, {0, 0}, {-1.7e308, 0}}, b[3] = {{0, 0}};
    nb_ref_backward_row(&r, dx, sum, b);
    normalize_mpfr(&r);
    mpfr_mul_d(big_t, big_xhat[1], 1e-290, MPFR_RNDN);
    mpfr_sub_d(big_t, big_t, sum[1].hi, MPFR_RNDN);
    mpfr_sub_d(big_t, big_t, sum[1].lo, MPFR_RNDN);
    assert_true(fabs(mpfr_get_d(big_t, MPFR_RNDN)) <= 1e-290 * 0x1p-103);
    assert_true(sum[2].hi == -INFINITY && sum[2].lo == 0);
    nb_ref_backward_row(&r, dx, sum, b);
    assert_true(sum[2].hi == -INFINITY && b[2].hi == -INFINITY && b[0].hi == 2e300);
}

/* ---- Against differences of the forward pass ---- */

/* sum of dy*y, as the loss */
static struct nb_dd loss(const struct nb_ref_gradient *r, double *at, double to)
{
    struct nb_dd y[N_MAX];
    struct nb_ref_stats s;
    struct nb_ref_row row = {.op = r->op, .n = r->n, .x = r->x, .gamma = r->gamma,
                             .eps = r->eps, .gemma = r->gemma, .k = r->k};
    double kept = *at;
    *at = to;
    nb_ref_forward(&row, y, &s);
    *at = kept;
    struct nb_dd sum = {0, 0};
    for (size_t i = 0; i < r->n; i++) { /* y is known to 2^-106: two doubles an element */
        double p = r->dy[i] * y[i].hi, t = sum.hi + p;
        sum.lo += fma(r->dy[i], y[i].hi, -p) + r->dy[i] * y[i].lo;
        sum.lo += fabs(sum.hi) > fabs(p) ? (sum.hi - t) + p : (p - t) + sum.hi;
        sum.hi = t;
    }
    return sum;
}

/* (L(v+h) - L(v-h)) / 2h is dL/dv up to h^2 */
static double slope(const struct nb_ref_gradient *r, double *at)
{
    double h = 0x1p-24;
    struct nb_dd up = loss(r, at, *at + h), down = loss(r, at, *at - h);
    return ((up.hi - down.hi) + (up.lo - down.lo)) / (2 * h);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    double worst = 0;
    for (size_t o = 0; o < LENGTH(norms); o++)
        for (size_t n = 2; n <= 17; n += 5) {
            struct nb_ref_gradient r = make_row(&families[0], &gradients[0], &norms[o], n, 1e-2);
            for (size_t i = 0; i < n; i++) /* so that v + h and v - h are exact */
                x[i] = (double)(float)x[i], gamma_[i] = (double)(float)gamma_[i];
            memset(dgamma, 0, sizeof dgamma);
            nb_ref_backward_row(&r, dx, dgamma, NULL);
            for (size_t i = 0; i < n; i++) {
                worst = fmax(worst, fabs(slope(&r, &x[i]) - dx[i].hi));
                worst = fmax(worst, fabs(slope(&r, &gamma_[i]) - dgamma[i].hi));
            }
        }
    printf("observed: gradients differ by %.1e from differences of the forward pass\n",
           worst);
    assert_true(worst <= 1e-11);
}

/* ---- Against differences in MPFR ---- */

/* big_xhat = x - mean with step more in x[j]; big_t is lost */
static void centre_mpfr(const struct nb_ref_gradient *r, size_t j, mpfr_t step)
{
    mpfr_set_zero(big_t, 1);
    for (size_t i = 0; i < r->n; i++) {
        mpfr_set_d(big_xhat[i], r->x[i], MPFR_RNDN);
        if (i == j)
            mpfr_add(big_xhat[i], big_xhat[i], step, MPFR_RNDN);
        mpfr_add(big_t, big_t, big_xhat[i], MPFR_RNDN);
    }
    mpfr_div_ui(big_t, big_t, r->n, MPFR_RNDN);
    for (size_t i = 0; i < r->n && r->op == NB_REF_LAYERNORM; i++)
        mpfr_sub(big_xhat[i], big_xhat[i], big_t, MPFR_RNDN);
}

/* big_u = sum of w dy xhat, big_rstd of that row */
static void loss_mpfr(const struct nb_ref_gradient *r, size_t j, mpfr_t step)
{
    mpfr_set_zero(big_rstd, 1);
    mpfr_set_zero(big_u, 1);
    centre_mpfr(r, j, step);
    for (size_t i = 0; i < r->n; i++) {
        pull_mpfr(r, i);
        mpfr_fma(big_u, big_g[i], big_xhat[i], big_u, MPFR_RNDN);
        if (i < span_of(r))
            mpfr_fma(big_rstd, big_xhat[i], big_xhat[i], big_rstd, MPFR_RNDN);
    }
    mpfr_div_ui(big_rstd, big_rstd, count_of(r), MPFR_RNDN);
    mpfr_add_d(big_rstd, big_rstd, r->eps, MPFR_RNDN);
    mpfr_rec_sqrt(big_rstd, big_rstd, MPFR_RNDN);
    mpfr_mul(big_u, big_u, big_rstd, MPFR_RNDN);
}

/* big_dx by (L(x+h) - L(x-h)) / 2h, h = 2^-70 / rstd: right to 2^-140, and to 2^-186 times x rstd */
static void slopes_mpfr(const struct nb_ref_gradient *r)
{
    mpfr_t step, up;
    mpfr_inits2(BITS, step, up, (mpfr_ptr)0);
    for (size_t j = 0; j < r->n; j++) {
        mpfr_set_zero(step, 1);
        loss_mpfr(r, j, step);
        mpfr_ui_div(step, 1, big_rstd, MPFR_RNDN);
        mpfr_mul_2si(step, step, -70, MPFR_RNDN);
        loss_mpfr(r, j, step);
        mpfr_set(up, big_u, MPFR_RNDN);
        mpfr_neg(step, step, MPFR_RNDN);
        loss_mpfr(r, j, step);
        mpfr_sub(big_dx[j], big_u, up, MPFR_RNDN);
        mpfr_div(big_dx[j], big_dx[j], step, MPFR_RNDN);
        mpfr_div_2ui(big_dx[j], big_dx[j], 1, MPFR_RNDN);
    }
    mpfr_clears(step, up, (mpfr_ptr)0);
}

static size_t compare_slopes(const struct family *f, const struct from_above *g,
                             const struct nb_ref_gradient *r)
{
    nb_ref_backward_row(r, dx, NULL, NULL);
    backward_mpfr(r);
    slopes_mpfr(r);
    normalize_mpfr(r);
    project_mpfr(r); /* what dx_units needs */
    mpfr_mul_2ui(big_tiny, big_tiny, 1280, MPFR_RNDN); /* 2^-120: the loss holds the largest g, too */
    for (size_t i = 0; i < r->n; i++)
        if (!(isinf(dx[i].hi) && mpfr_get_d(big_dx[i], MPFR_RNDN) == dx[i].hi) &&
             !(dx_units(r, i) <= 40))
            fail_msg("%s, %s, n %zu k %zu op %d [%zu]: %g units of 2^-106 off the slope", f->name,
                     g->name, r->n, r->k, (int)r->op, i, dx_units(r, i));
    return r->n;
}

static void gradients_are_slopes_in_mpfr(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 3, 17};
    size_t compared = 0;
    for (size_t f = 0; f < LENGTH(families); f++)
        for (size_t g = 0; g < LENGTH(gradients); g++)
            for (size_t l = 0; l < LENGTH(lengths) && fabs(families[f].base) < 1e300; l++)
                for (size_t o = 0; o < LENGTH(norms); o++) {
                    struct nb_ref_gradient r =
                        make_row(&families[f], &gradients[g], &norms[o], lengths[l], 1e-5);
                    compared += compare_slopes(&families[f], &gradients[g], &r);
                }
    printf("observed: %zu elements of dx agree with differences in MPFR\n", compared);
    assert_true(compared > 10000);
}

/* ---- deepnorm: both inputs of LN(alpha*x + f) in MPFR ---- */

/* to = alpha*(v + by_v) + (f + by_f) - h */
static void move_mpfr(mpfr_t to, double alpha, double v, mpfr_t by_v, double f, mpfr_t by_f, double h)
{
    mpfr_add_d(to, by_v, v, MPFR_RNDN);
    mpfr_mul_d(to, to, alpha, MPFR_RNDN);
    mpfr_add_d(to, to, f, MPFR_RNDN);
    mpfr_add(to, to, by_f, MPFR_RNDN);
    mpfr_sub_d(to, to, h, MPFR_RNDN);
}

/* How far dL/dx (by_x) or dL/df of element j, h = alpha*x + f being the row, is from factor*dx[j]; step 2^-70. */
static double off_slope(const struct nb_ref_gradient *r, size_t j, double alpha, double v, double f, int by_x,
                             double factor)
{
    mpfr_t none, step, moved, up;
    mpfr_inits2(BITS, none, step, moved, up, (mpfr_ptr)0);
    mpfr_set_zero(none, 1);
    for (int sign = 1; sign >= -1; sign -= 2) {
        mpfr_set_si_2exp(step, sign, -70, MPFR_RNDN);
        move_mpfr(moved, alpha, v, by_x ? step : none, f, by_x ? none : step, r->x[j]);
        loss_mpfr(r, j, moved);
        if (sign == 1)
            mpfr_set(up, big_u, MPFR_RNDN);
    }
    mpfr_sub(up, up, big_u, MPFR_RNDN);
    mpfr_mul_2si(up, up, 69, MPFR_RNDN);
    mpfr_set_d(moved, dx[j].hi, MPFR_RNDN);
    mpfr_add_d(moved, moved, dx[j].lo, MPFR_RNDN);
    mpfr_mul_d(moved, moved, factor, MPFR_RNDN);
    mpfr_sub(up, up, moved, MPFR_RNDN);
    const double off = fabs(mpfr_get_d(up, MPFR_RNDN));
    mpfr_clears(none, step, moved, up, (mpfr_ptr)0);
    return off;
}

/* dL/df is dres, the oracle's dx on h, and dL/dx alpha times it. x and f have few bits, so that h is exact. */
static void deepnorm_gradients_are_slopes(void **state)
{
    (void)state;
    static double v[N_MAX], f[N_MAX];
    static const unsigned depths[] = {1, 6, 12, 1000};
    double worst = 0;
    size_t compared = 0;
    for (size_t n = 2; n <= 33; n += 5)
        for (size_t d = 0; d < LENGTH(depths); d++) {
            const double alpha = (double)(float)nb_ref_deepnorm(NB_REF_ENCODER_ONLY, depths[d], 0).alpha;
            struct nb_ref_gradient r = make_row(&families[0], &gradients[0], &norms[0], n, 1e-5);
            for (size_t i = 0; i < n; i++) {
                v[i] = rint(normal() * 256) / 256;
                f[i] = rint(normal() * 256) / 256;
                x[i] = alpha * v[i] + f[i];
                assert_true(x[i] == fma(alpha, v[i], f[i]) && x[i] - f[i] == alpha * v[i]);
            }
            nb_ref_backward_row(&r, dx, NULL, NULL);
            for (size_t i = 0; i < n; i++, compared += 2) {
                worst = fmax(worst, off_slope(&r, i, alpha, v[i], f[i], 0, 1));
                worst = fmax(worst, off_slope(&r, i, alpha, v[i], f[i], 1, alpha));
            }
        }
    printf("observed: %zu elements of dx and dres of deepnorm within %.1e of differences in MPFR\n", compared, worst);
    assert_true(compared > 500 && worst <= 1e-28);
}

/* alpha*v + f with a significand of `bits` bits, the product rounded to them first or not */
static double sum_mpfr(double alpha, double v, double f, mpfr_prec_t bits, int fused)
{
    mpfr_t p;
    mpfr_init2(p, 4096); /* exact */
    mpfr_set_d(p, alpha, MPFR_RNDN);
    mpfr_mul_d(p, p, v, MPFR_RNDN);
    if (!fused)
        mpfr_prec_round(p, bits, MPFR_RNDN);
    mpfr_prec_round(p, 4096, MPFR_RNDN);
    mpfr_add_d(p, p, f, MPFR_RNDN);
    mpfr_prec_round(p, bits, MPFR_RNDN);
    const double sum = mpfr_get_d(p, MPFR_RNDN);
    mpfr_clear(p);
    return sum;
}

/* Sums of any exponents, of what cancels, and of what lies beside half a last place. */
static void sums_are_rounded_as_they_say(void **state)
{
    (void)state;
    size_t different = 0, apart = 0;
    for (size_t i = 0; i < 200000; i++) {
        const int wide = i % 2;
        const double alpha = nb_ref_deepnorm(NB_REF_ENCODER_ONLY, 1 + (unsigned)(i % 1000), 0).alpha;
        const double a = wide ? alpha : (double)(float)alpha;
        double v = ldexp(normal(), (int)(i % 41) - 20), f = ldexp(normal(), (int)(i / 41 % 61) - 30);
        v = wide ? v : (double)(float)v;
        if (i % 3 == 1)
            f = -a * v * (1 + 0x1p-20 * normal());
        if (i % 3 == 2) /* one of the two is about half a last place of the other */
            f = ldexp(a * v, i % 4 < 2 ? (wide ? 53 : 24) : (wide ? -53 : -24)) * (i % 5 ? 1 : -1);
        f = wide ? f : (double)(float)f;
        for (int fused = 0; fused < 2; fused++)
            different += nb_ref_sum(alpha, v, f, wide, fused) != sum_mpfr(a, v, f, wide ? 53 : 24, fused);
        apart += nb_ref_sum(alpha, v, f, wide, 0) != nb_ref_sum(alpha, v, f, wide, 1);
    }
    printf("observed: 400000 sums alpha*x + residual equal MPFR's; %zu of 200000 depend on whether the product is rounded\n",
           apart);
    assert_true(different == 0 && apart > 10000);
}

/* ---- what is not ordinary ---- */

/* Behind a prefix elements have any size: 1e300 times the root mean square of the prefix. */
static void huge_behind_prefix(void **state)
{
    (void)state;
    const double xs[4] = {1e-3, -2, 1e300, 3}, pulls[4] = {1, 2e-10, 1e-3, -1};
    struct nb_ref_gradient r = {.op = NB_REF_PRMSNORM, .n = 4, .x = xs, .dy = pulls,
                                .eps = 1e-5, .k = 2};
    struct family f = {.name = "1e300 behind"};
    compare_row(&f, &gradients[0], &r);
    assert_true(fabs(dx[0].hi) > 1e290 && isfinite(dx[1].hi));
    assert_true(fabs(dx[2].hi) < 1 && fabs(dx[3].hi) < 1);
}

/* ---- NaN and Inf ---- */

static size_t count_nan(const struct nb_dd *v, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += isnan(v[i].hi) != 0;
    return count;
}

static void nonfinite_inputs(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t o = 0; o < LENGTH(norms); o++)
        for (size_t b = 0; b < LENGTH(bad); b++) {
            struct nb_ref_gradient r = make_row(&families[0], &gradients[0], &norms[o], 9, 1e-5);
            if (span_of(&r) <= 5)
                continue;
            memset(dgamma, 0, sizeof dgamma);
            memset(dbeta, 0, sizeof dbeta);
            x[5] = bad[b];
            nb_ref_backward_row(&r, dx, dgamma, dbeta);
            int zeros = r.op != NB_REF_LAYERNORM && b > 0; /* rstd 0: xhat 0, NaN at the Inf */
            assert_int_equal(count_nan(dx, 9), 9);
            assert_int_equal(count_nan(dgamma, 9), zeros || r.op == NB_REF_SCALENORM ? 1 : 9);
            assert_int_equal(count_nan(dbeta, 9), 0);
            assert_true(dbeta[3].hi == dy[3]);
        }
}

/* Behind a prefix only what the sum goes into is lost. */
static void nonfinite_behind_prefix(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < LENGTH(bad); b++) {
        struct nb_ref_gradient r = make_row(&families[0], &gradients[0], &norms[3], 9, 1e-5);
        memset(dgamma, 0, sizeof dgamma);
        x[5] = bad[b];
        nb_ref_backward_row(&r, dx, dgamma, NULL);
        for (size_t i = 0; i < 9; i++) {
            assert_true(isfinite(dx[i].hi) == (i >= r.k));
            assert_true(isfinite(dgamma[i].hi) == (i != 5));
        }
    }
}

/* An Inf from above: what the formulas give in double, and only its own share is not
 * finite. */
static void nonfinite_gradients(void **state)
{
    (void)state;
    struct nb_ref_gradient r = make_row(&families[0], &gradients[0], &norms[0], 9, 1e-5);
    memset(dgamma, 0, sizeof dgamma);
    dy[5] = INFINITY;
    nb_ref_backward_row(&r, dx, dgamma, NULL);
    for (size_t i = 0; i < 9; i++) {
        assert_true(!isfinite(dx[i].hi) && dx[i].lo == 0);
        assert_true(isfinite(dgamma[i].hi) == (i != 5));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backward_agrees_with_mpfr),
        cmocka_unit_test(parameters_agree_with_mpfr),
        cmocka_unit_test(shares_stand_alone),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(gradients_are_slopes_in_mpfr),
        cmocka_unit_test(deepnorm_gradients_are_slopes),
        cmocka_unit_test(sums_are_rounded_as_they_say),
        cmocka_unit_test(huge_behind_prefix),
        cmocka_unit_test(nonfinite_inputs),
        cmocka_unit_test(nonfinite_behind_prefix),
        cmocka_unit_test(nonfinite_gradients),
    };
    return cmocka_run_group_tests(tests, init_mpfr, clear_mpfr);
}
