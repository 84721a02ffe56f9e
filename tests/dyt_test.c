/* dyt_test.c: the oracle of dyt. Its rows and gradients against MPFR by the same formulas, and the gradients against
 * central differences of the forward formula in MPFR, which are not; what its judge lets pass and what not. All data is
 * seeded. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <mpfr.h>

#include "backward.h"
#include "random.h"

enum { N = 200, ROWS = 6, BITS = 320 };
#define LENGTH(a) (sizeof(a) / sizeof *(a))
static const double sizes[] = {1e-300, 1e-30, 0.1, 1, 10, 60, 1e3, 1e300}, alphas[] = {0.5, 1.25, -0.1};

static double x[N], gamma_[N], beta[N], dy[N], got[N], scratch[N];
static struct nb_dd y[N], dx[N], dgamma[N], dbeta[N], dalpha;
static double dgamma_unit[N], dgamma_moved[N], dbeta_unit[N], dalpha_unit;

static void fill(size_t row, double size, int to_float)
{
    seed_state = 77 + row;
    for (size_t i = 0; i < N; i++) {
        x[i] = size * normal();
        gamma_[i] = 1 + 0.3 * normal();
        beta[i] = 0.3 * normal();
        dy[i] = normal();
        if (to_float) {
            x[i] = (double)(float)x[i];
            gamma_[i] = (double)(float)gamma_[i];
            beta[i] = (double)(float)beta[i];
            dy[i] = (double)(float)dy[i];
        }
    }
}

static struct nb_ref_row row_of(double alpha, int gemma)
{
    return (struct nb_ref_row){.op = NB_REF_DYT, .n = N, .x = x, .gamma = gamma_, .beta = beta, .alpha = alpha, .gemma = gemma};
}

static struct nb_ref_gradient gradient_of(double alpha, int gemma)
{
    return (struct nb_ref_gradient){.op = NB_REF_DYT, .n = N, .x = x, .gamma = gamma_, .dy = dy, .gemma = gemma, .alpha = alpha};
}

/* ---- MPFR ---- */

static mpfr_t z, w, want, t, u;

static int begin(void **state)
{
    (void)state;
    mpfr_inits2(BITS, z, w, want, t, u, (mpfr_ptr)0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    mpfr_clears(z, w, want, t, u, (mpfr_ptr)0);
    mpfr_free_cache();
    return 0;
}

/* |got - want|, want being in MPFR */
static double distance(struct nb_dd a, mpfr_t b)
{
    mpfr_sub_d(u, b, a.hi, MPFR_RNDN);
    mpfr_sub_d(u, u, a.lo, MPFR_RNDN);
    return fabs(mpfr_get_d(u, MPFR_RNDN));
}

static void weight(size_t i, int gemma)
{
    mpfr_set_d(w, gamma_[i], MPFR_RNDN);
    mpfr_add_ui(w, w, gemma != 0, MPFR_RNDN);
}

/* z = alpha*x[i] */
static void argument(size_t i, double alpha)
{
    mpfr_set_d(z, x[i], MPFR_RNDN);
    mpfr_mul_d(z, z, alpha, MPFR_RNDN);
}

static void forward_agrees_with_mpfr(void **state)
{
    (void)state;
    double worst = 0;
    for (size_t c = 0; c < LENGTH(sizes) * LENGTH(alphas) * 2; c++) {
        const double alpha = alphas[c / 2 % LENGTH(alphas)];
        const struct nb_ref_row r = row_of(alpha, c % 2);
        struct nb_ref_stats s;
        fill(c, sizes[c / 2 / LENGTH(alphas)], 0);
        nb_ref_forward(&r, y, &s);
        assert_true(s.finite && s.k1 == 0 && s.rstd.hi == 0);
        for (size_t i = 0; i < N; i++) {
            argument(i, alpha);
            weight(i, c % 2);
            mpfr_tanh(want, z, MPFR_RNDN);
            mpfr_mul(want, want, w, MPFR_RNDN);
            const double size = fabs(mpfr_get_d(want, MPFR_RNDN)) + fabs(beta[i]);
            mpfr_add_d(want, want, beta[i], MPFR_RNDN);
            worst = fmax(worst, distance(y[i], want) / size);
        }
    }
    printf("y: within %.3g units of 2^-106 (|w t| + |b|)\n", worst * 0x1p106);
    assert_true(worst <= 0x1p-101);
}

/* g*d: the part that dx and dalpha share, to want; returns |g d| (1 + |z|) */
static double part_of(size_t i, double alpha, int gemma)
{
    argument(i, alpha);
    weight(i, gemma);
    mpfr_sech(want, z, MPFR_RNDN);
    mpfr_sqr(want, want, MPFR_RNDN);
    mpfr_mul(want, want, w, MPFR_RNDN);
    mpfr_mul_d(want, want, dy[i], MPFR_RNDN);
    return fabs(mpfr_get_d(want, MPFR_RNDN)) * (1 + fabs(alpha * x[i]));
}

static struct nb_ref_shares no_shares(void)
{
    for (size_t i = 0; i < N; i++) {
        dgamma[i] = dbeta[i] = (struct nb_dd){0, 0};
        dgamma_unit[i] = dgamma_moved[i] = dbeta_unit[i] = 0;
    }
    dalpha = (struct nb_dd){0, 0};
    dalpha_unit = 0;
    return (struct nb_ref_shares){.n = N, .dgamma = dgamma, .dbeta = dbeta, .dgamma_unit = dgamma_unit,
                                  .dgamma_moved = dgamma_moved, .dbeta_unit = dbeta_unit, .dalpha = &dalpha,
                                  .dalpha_unit = &dalpha_unit};
}

/* A row `times` times, and what it adds to the sums: within so many units of 2^-106. */
static double compare_gradients(double alpha, int gemma, size_t times)
{
    const struct nb_ref_gradient r = gradient_of(alpha, gemma);
    struct nb_ref_gradient_stats s;
    struct nb_ref_shares sums = no_shares();
    double worst = 0;
    mpfr_t all;
    mpfr_init2(all, BITS);
    mpfr_set_zero(all, 1);
    nb_ref_gradient_look(&r, &s);
    nb_ref_backward_row(&r, dx, NULL, NULL);
    nb_ref_shares_add(&r, &s, times, &sums);
    for (size_t i = 0; i < N; i++) {
        const double size = part_of(i, alpha, gemma);
        mpfr_mul_d(t, want, x[i], MPFR_RNDN);
        mpfr_add(all, all, t, MPFR_RNDN);
        mpfr_mul_d(want, want, alpha, MPFR_RNDN);
        if (size > 0x1p-900)
            worst = fmax(worst, distance(dx[i], want) / (size * fabs(alpha)));
        mpfr_tanh(want, z, MPFR_RNDN);
        mpfr_mul_d(want, want, dy[i], MPFR_RNDN);
        mpfr_mul_ui(want, want, times, MPFR_RNDN);
        worst = fmax(worst, distance(dgamma[i], want) / ((double)times * fabs(dy[i] * tanh(alpha * x[i])) + 0x1p-900));
        assert_true(dbeta[i].hi == (double)times * dy[i]);
    }
    mpfr_mul_ui(all, all, times, MPFR_RNDN);
    if (dalpha_unit > 0x1p-900)
        worst = fmax(worst, distance(dalpha, all) / dalpha_unit);
    mpfr_clear(all);
    return worst * 0x1p106;
}

static void gradients_agree_with_mpfr(void **state)
{
    (void)state;
    double worst = 0;
    for (size_t c = 0; c < LENGTH(sizes) * LENGTH(alphas) * 2; c++) {
        fill(c, sizes[c / 2 / LENGTH(alphas)], 0);
        worst = fmax(worst, compare_gradients(alphas[c / 2 % LENGTH(alphas)], c % 2, 1 + c % 2 * 2));
    }
    printf("gradients: within %.3g units of 2^-106\n", worst);
    assert_true(worst <= 64);
}

/* dL/dv by (L(v + h) - L(v - h))/2h, L = sum dy y: the term of element i where x[i] + moved_x and alpha + moved_alpha stand. */
static void loss_term(mpfr_t to, size_t i, double alpha, double moved_x, double moved_alpha)
{
    mpfr_set_d(z, x[i], MPFR_RNDN);
    mpfr_add_d(z, z, moved_x, MPFR_RNDN);
    mpfr_set_d(t, alpha, MPFR_RNDN);
    mpfr_add_d(t, t, moved_alpha, MPFR_RNDN);
    mpfr_mul(z, z, t, MPFR_RNDN);
    mpfr_tanh(to, z, MPFR_RNDN);
    mpfr_mul_d(to, to, gamma_[i], MPFR_RNDN);
    mpfr_add_d(to, to, beta[i], MPFR_RNDN);
    mpfr_mul_d(to, to, dy[i], MPFR_RNDN);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    const double alpha = 0.7, h = 0x1p-60;
    const struct nb_ref_gradient r = gradient_of(alpha, 0);
    struct nb_ref_gradient_stats s;
    struct nb_ref_shares sums = no_shares();
    mpfr_t all;
    mpfr_init2(all, BITS);
    mpfr_set_zero(all, 1);
    fill(5, 2, 0);
    nb_ref_gradient_look(&r, &s);
    nb_ref_backward_row(&r, dx, NULL, NULL);
    nb_ref_shares_add(&r, &s, 1, &sums);
    for (size_t i = 0; i < N; i++) {
        loss_term(want, i, alpha, h, 0);
        loss_term(w, i, alpha, -h, 0);
        mpfr_sub(want, want, w, MPFR_RNDN);
        mpfr_div_d(want, want, 2 * h, MPFR_RNDN);
        assert_true(distance(dx[i], want) <= 0x1p-95 * fabs(dy[i] * gamma_[i]));
        loss_term(want, i, alpha, 0, h);
        loss_term(w, i, alpha, 0, -h);
        mpfr_sub(want, want, w, MPFR_RNDN);
        mpfr_div_d(want, want, 2 * h, MPFR_RNDN);
        mpfr_add(all, all, want, MPFR_RNDN);
    }
    assert_true(distance(dalpha, all) <= 0x1p-90 * N);
    mpfr_clear(all);
}

static void nonfinite_rows(void **state)
{
    (void)state;
    const struct nb_ref_row r = row_of(0.5, 0);
    const struct nb_ref_gradient g = gradient_of(0.5, 0);
    struct nb_ref_gradient_stats gs;
    struct nb_ref_stats s;
    struct nb_ref_shares sums = no_shares();
    fill(1, 1, 0);
    x[3] = INFINITY;
    x[4] = -INFINITY;
    nb_ref_forward(&r, y, &s);
    assert_true(!s.finite && y[3].hi == gamma_[3] + beta[3] && y[4].hi == beta[4] - gamma_[4] && isfinite(y[5].hi));
    nb_ref_gradient_look(&g, &gs);
    nb_ref_backward_row(&g, dx, NULL, NULL);
    nb_ref_shares_add(&g, &gs, 1, &sums);
    assert_true(!gs.finite && dx[3].hi == 0 && isfinite(dx[5].hi) && dgamma[3].hi == dy[3] && isnan(dalpha.hi)); /* 0 Inf */
    x[3] = NAN;
    nb_ref_forward(&r, y, &s);
    nb_ref_backward_row(&g, dx, NULL, NULL);
    assert_true(isnan(y[3].hi) && isfinite(y[5].hi) && isnan(dx[3].hi) && isfinite(dx[5].hi));
}

/* ---- the judge ---- */

static const struct nb_ref_bound forward_bound = {.kind = NB_REF_BOUND_ROUND, .c0 = 8, .lanes = 1},
                                 backward_bound = {.kind = NB_REF_BOUND_GRADIENT, .c1 = 1, .c0 = 14, .lanes = 1, .lambda = 4};

static struct nb_ref_error judge_forward(double alpha, const struct nb_ref_type *type)
{
    const struct nb_ref_row r = row_of(alpha, 0);
    struct nb_ref_stats s;
    struct nb_ref_limits limits;
    struct nb_ref_error e;
    nb_ref_forward(&r, y, &s);
    assert_int_equal(nb_ref_limit(&r, &s, type, &forward_bound, FLT_MAX, FLT_MIN, &limits), NB_REF_INSIDE);
    nb_ref_judge(&r, y, &s, type, &limits, got, scratch, &e);
    return e;
}

static struct nb_ref_error judge_backward(double alpha, const struct nb_ref_type *type)
{
    const struct nb_ref_gradient r = gradient_of(alpha, 0);
    struct nb_ref_gradient_stats s;
    struct nb_ref_limits limits;
    struct nb_ref_error e;
    nb_ref_gradient_look(&r, &s);
    nb_ref_backward_row(&r, dx, NULL, NULL);
    assert_int_equal(nb_ref_gradient_limit(&r, &s, type, &backward_bound, FLT_MAX, FLT_MIN, &limits), NB_REF_INSIDE);
    nb_ref_gradient_judge(&r, &s, dx, type, &limits, got, scratch, &e);
    return e;
}

/* Correctly rounded: 1 at most, in all types. */
static void rounded_output_scores_one(void **state)
{
    (void)state;
    static const char *const types[] = {"f32", "f64", "f16", "bf16"};
    for (size_t k = 0; k < LENGTH(types); k++)
        for (size_t c = 1; c + 1 < LENGTH(sizes); c++) { /* what f32 can hold */
            const struct nb_ref_type *type = nb_ref_type_find(types[k]);
            fill(c, sizes[c], 1);
            judge_forward(1.25, type);
            for (size_t i = 0; i < N; i++)
                got[i] = nb_ref_round(y[i], type);
            assert_true(judge_forward(1.25, type).E_max <= 1.01);
            judge_backward(1.25, type);
            for (size_t i = 0; i < N; i++)
                got[i] = nb_ref_round(dx[i], type);
            assert_true(judge_backward(1.25, type).E_max <= 1.01);
        }
}

/* Loops in f32. How: what is wrong with one. */
enum how { RIGHT, COEFFICIENT, NO_ALPHA, ONE_MINUS_T, CANCELS, NO_SLOPE, NO_FACTOR };

static void float_forward(float alpha, enum how how)
{
    for (size_t i = 0; i < N; i++) {
        float v = tanhf((how == NO_ALPHA ? 1 : alpha) * (float)x[i]);
        v += how == COEFFICIENT ? 1e-6f * v * v * v : 0;
        got[i] = (double)(v * (float)gamma_[i] + (float)beta[i]);
    }
}

static void float_backward(float alpha, enum how how)
{
    for (size_t i = 0; i < N; i++) {
        const float v = (how == NO_ALPHA ? 1 : alpha) * (float)x[i], bend = tanhf(v), c = 1 / coshf(v);
        const float d = how == ONE_MINUS_T ? 1 - bend : how == CANCELS ? 1 - bend * bend : how == NO_SLOPE ? 1 : c * c;
        got[i] = (double)((float)dy[i] * (float)gamma_[i] * d * (how == NO_FACTOR ? 1 : alpha));
    }
}

static void float_loops_stay_inside(void **state)
{
    (void)state;
    const struct nb_ref_type *f32 = nb_ref_type_find("f32");
    static const enum how wrong_forward[] = {COEFFICIENT, NO_ALPHA}, wrong_backward[] = {NO_ALPHA, ONE_MINUS_T, CANCELS, NO_SLOPE, NO_FACTOR};
    double forward = 0, backward = 0;
    for (size_t c = 1; c + 1 < LENGTH(sizes); c++) {
        fill(c, sizes[c], 1);
        float_forward(1.25f, RIGHT);
        forward = fmax(forward, judge_forward(1.25, f32).share);
        float_backward(1.25f, RIGHT);
        backward = fmax(backward, judge_backward(1.25, f32).share);
    }
    printf("f32 loops use at most %.3f of the limit of y and %.3f of that of dx\n", forward, backward);
    assert_true(forward <= 1 && backward <= 1 && forward > 0.02 && backward > 0.02);
    fill(9, 3, 1);
    for (size_t i = 0; i < LENGTH(wrong_forward); i++) {
        float_forward(1.25f, wrong_forward[i]);
        assert_true(judge_forward(1.25, f32).share > 1);
    }
    for (size_t i = 0; i < LENGTH(wrong_backward); i++) {
        float_backward(1.25f, wrong_backward[i]);
        assert_true(judge_backward(1.25, f32).share > 1);
    }
}

/* Sums in f32 of some rows; lost: an element that does not enter dalpha. */
static double dalpha_share(float alpha, size_t lost)
{
    const struct nb_ref_type *f32 = nb_ref_type_find("f32");
    struct nb_ref_shares sums = no_shares();
    struct nb_ref_limits limits;
    struct nb_ref_error e;
    float sum = 0;
    for (size_t row = 0; row < ROWS; row++) {
        const struct nb_ref_gradient r = gradient_of((double)alpha, 0);
        struct nb_ref_gradient_stats s;
        fill(row, 1, 1);
        nb_ref_gradient_look(&r, &s);
        nb_ref_shares_add(&r, &s, 1, &sums);
        for (size_t i = 0; i < N; i++) {
            const float c = 1 / coshf(alpha * (float)x[i]);
            sum += row == 1 && i == lost ? 0 : (float)dy[i] * (float)gamma_[i] * (c * c) * (float)x[i];
        }
    }
    got[0] = (double)sum;
    assert_int_equal(nb_ref_shares_limit(&sums, NB_REF_DALPHA, f32, &backward_bound, FLT_MAX, FLT_MIN, &limits), NB_REF_INSIDE);
    assert_true(fabs(limits.worst.body / (ROWS + 1 + N + 16) - 1) < 1e-3);
    assert_true(fabs(limits.likely.body / (4 * sqrt(ROWS + 1 + N) + 16) - 1) < 1e-3);
    nb_ref_shares_judge(&sums, NB_REF_DALPHA, f32, &limits, got, scratch, &e);
    return e.share_likely;
}

static void sums_of_dalpha(void **state)
{
    (void)state;
    const double right = dalpha_share(0.5f, N);
    printf("a sum in f32 uses %.3f of the likely limit of dalpha\n", right);
    assert_true(right <= 1);
    assert_true(dalpha_share(0.5f, 7) > 1);
}

/* Limits are what reference/dyt.c derives; 1 + gamma costs one. */
static void limits_by_hand(void **state)
{
    (void)state;
    const struct nb_ref_type *f64 = nb_ref_type_find("f64");
    for (int gemma = 0; gemma < 2; gemma++) {
        const struct nb_ref_row r = row_of(0.5, gemma);
        const struct nb_ref_gradient g = gradient_of(0.5, gemma);
        struct nb_ref_stats s;
        struct nb_ref_gradient_stats gs;
        struct nb_ref_limits limits;
        fill(2, 1, 0);
        nb_ref_forward(&r, y, &s);
        assert_int_equal(nb_ref_limit(&r, &s, f64, &forward_bound, DBL_MAX, DBL_MIN, &limits), NB_REF_INSIDE);
        assert_true(fabs(limits.worst.body - (9 + gemma)) < 1e-9 && limits.likely.body == limits.worst.body);
        nb_ref_gradient_look(&g, &gs);
        assert_int_equal(nb_ref_gradient_limit(&g, &gs, f64, &backward_bound, DBL_MAX, DBL_MIN, &limits), NB_REF_INSIDE);
        assert_true(fabs(limits.worst.body - (14 + gemma)) < 1e-9 && limits.likely.body == limits.worst.body);
        gamma_[0] = 1e308;
        dy[0] = 1e10;
        nb_ref_gradient_look(&g, &gs);
        assert_int_equal(nb_ref_gradient_limit(&g, &gs, f64, &backward_bound, DBL_MAX, DBL_MIN, &limits), NB_REF_OVERFLOW);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_agrees_with_mpfr), cmocka_unit_test(gradients_agree_with_mpfr),
        cmocka_unit_test(gradients_are_slopes),     cmocka_unit_test(nonfinite_rows),
        cmocka_unit_test(rounded_output_scores_one), cmocka_unit_test(float_loops_stay_inside),
        cmocka_unit_test(sums_of_dalpha),           cmocka_unit_test(limits_by_hand),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
