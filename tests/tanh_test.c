/* tanh_test: the hyperbolic tangent of the oracle against MPFR, that of the kernels against the oracle, and the steps of the
 * proof in docs/numerics.md that are numbers: the polynomial's own error, and each function's in units of roundoff. */
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

#include "algo/expm1.h"
#include "codec.h"
#include "cpu.h"
#include "random.h"
#include "reference.h"
#include "registry.h"

enum { BITS = 256 };
static mpfr_t z, want, slope_want, t;

/* ---- the oracle ---- */

/* |got - want|/want, of what is not 0 */
static double relative(struct nb_dd got, mpfr_t of)
{
    mpfr_sub_d(t, of, got.hi, MPFR_RNDN);
    mpfr_sub_d(t, t, got.lo, MPFR_RNDN);
    mpfr_div(t, t, of, MPFR_RNDN);
    return fabs(mpfr_get_d(t, MPFR_RNDN));
}

struct worst {
    double tanh, slope;
};

static void compare(struct nb_dd at, struct worst *w)
{
    struct nb_dd slope, got = nb_ref_tanh(at, &slope);
    mpfr_set_d(z, at.hi, MPFR_RNDN);
    mpfr_add_d(z, z, at.lo, MPFR_RNDN);
    mpfr_tanh(want, z, MPFR_RNDN);
    mpfr_sech(slope_want, z, MPFR_RNDN);
    mpfr_sqr(slope_want, slope_want, MPFR_RNDN);
    assert_true(fabs(got.hi) <= 1);
    if (fabs(at.hi) > 0x1p-900)
        w->tanh = fmax(w->tanh, relative(got, want));
    else
        assert_true(got.hi == at.hi && got.lo == at.lo);
    if (mpfr_cmp_d(slope_want, 0x1p-900) > 0)
        w->slope = fmax(w->slope, relative(slope, slope_want) / (1 + fabs(at.hi)));
    else
        assert_true(fabs(slope.hi) <= 0x1p-899);
}

static void oracle(void **state)
{
    (void)state;
    enum { EACH = 30000 };
    static const double sizes[] = {0.01, 0.4, 1, 3, 20, 100, 400, 1000};
    struct worst w = {0, 0};
    for (int i = 0; i < EACH; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            double hi = (2 * uniform() - 1) * sizes[s], lo = (uniform() - 0.5) * 0x1p-53 * hi;
            compare((struct nb_dd){hi, i % 2 ? lo : 0}, &w);
        }
    for (int e = -1074; e <= 1023; e++)
        compare((struct nb_dd){ldexp(e % 2 ? 1 : -1 - 0x1p-20 * (e > -1000), e), 0}, &w);
    printf("oracle: tanh within %.3g, slope within %.3g (1 + |z|), units of 2^-106\n", w.tanh * 0x1p106, w.slope * 0x1p106);
    assert_true(w.tanh <= 0x1p-101);
    assert_true(w.slope <= 0x1p-101);
}

static void special(void **state)
{
    (void)state;
    struct nb_dd slope, nan = nb_ref_tanh((struct nb_dd){NAN, 0}, &slope);
    assert_true(isnan(nan.hi) && isnan(slope.hi));
    for (int sign = -1; sign <= 1; sign += 2) {
        struct nb_dd zero = nb_ref_tanh((struct nb_dd){sign * 0.0, 0}, &slope);
        assert_true(zero.hi == 0 && !signbit(zero.hi) == (sign > 0) && slope.hi == 1);
        struct nb_dd end = nb_ref_tanh((struct nb_dd){sign * INFINITY, 0}, &slope);
        assert_true(end.hi == sign && end.lo == 0 && slope.hi == 0);
    }
}

/* ---- the polynomial ---- */

#define AS_LIST(c) c,
static const double h_f32[] = {NB_EXPM1_F32(AS_LIST, AS_LIST)}, h_f64[] = {NB_EXPM1_F64(AS_LIST, AS_LIST)};

/* r + r^2/2 + r^3 h(r), relative to exp(r) - 1, largest; rigged: what is added to the middle coefficient */
static double polynomial_error(const double *h, size_t n, double rigged)
{
    enum { STEPS = 20000 };
    double worst = 0;
    for (int i = -STEPS; i <= STEPS; i++) {
        double r = 0.3466 * i / STEPS;
        mpfr_set_zero(z, 1);
        for (size_t k = 0; k < n; k++) {
            mpfr_mul_d(z, z, r, MPFR_RNDN);
            mpfr_add_d(z, z, h[k] + (k == n / 2 ? rigged : 0), MPFR_RNDN);
        }
        mpfr_mul_d(z, z, r, MPFR_RNDN);
        mpfr_add_d(z, z, 0.5, MPFR_RNDN);
        mpfr_mul_d(z, z, r, MPFR_RNDN);
        mpfr_add_ui(z, z, 1, MPFR_RNDN);
        mpfr_mul_d(z, z, r, MPFR_RNDN);
        mpfr_set_d(want, r, MPFR_RNDN);
        mpfr_expm1(want, want, MPFR_RNDN);
        mpfr_div(t, z, want, MPFR_RNDN);
        mpfr_sub_ui(t, t, 1, MPFR_RNDN);
        if (i != 0)
            worst = fmax(worst, fabs(mpfr_get_d(t, MPFR_RNDN)));
    }
    return worst;
}

static void polynomial(void **state)
{
    (void)state;
    const double f32 = polynomial_error(h_f32, sizeof h_f32 / sizeof *h_f32, 0) * 0x1p24;
    const double f64 = polynomial_error(h_f64, sizeof h_f64 / sizeof *h_f64, 0) * 0x1p53;
    printf("polynomial: %.4f (f32) and %.4f (f64) units of roundoff\n", f32, f64);
    assert_true(f32 <= 0.03 && f64 <= 0.03);
    assert_true(polynomial_error(h_f32, sizeof h_f32 / sizeof *h_f32, 1e-6) * 0x1p24 > 0.03);
    assert_true(polynomial_error(h_f64, sizeof h_f64 / sizeof *h_f64, 1e-6) * 0x1p53 > 0.03);
}

/* ---- the kernels, alpha being 1 ---- */

enum { N = 4096 };
static union {
    float f32[N];
    double f64[N];
    uint16_t u16[N];
} x, dy, y, dx, dgamma;
static double wide[N], got[N];
static struct nb_dd exact[N], slope[N];

static void run(const struct nb_kernel *k)
{
    const struct nb_problem p = {.size = sizeof p, .op = k->op, .dir = k->dir, .dtype = k->dtype, .param_dtype = k->dtype,
                                 .rows = 1, .hidden = N, .ldx = N, .ldy = N, .alpha = 1};
    struct nb_args a = {.size = sizeof a, .parts = 1, .x = &x, .dy = &dy, .y = &y, .dx = &dx, .dgamma = &dgamma};
    size_t bytes = k->scratch_bytes ? k->scratch_bytes(&p, 1) : 0;
    assert_null(k->supports(&p));
    a.scratch = bytes ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
    a.scratch_step = bytes;
    k->run(&p, &a);
    if (k->reduce)
        k->reduce(&p, &a);
    free(a.scratch);
}

/* Errors of what was computed, in units of the arithmetic's roundoff of the exact value, beside a rounding to 16 bits and what is
 * lost below the smallest normal numbers. */
static double largest(const struct nb_kernel *k, const void *of, const struct nb_dd *ref, double lost)
{
    const struct nb_ref_type *type = nb_ref_type_find(nb_dtype_name(k->dtype));
    double most = 0;
    nb_decode(k->dtype, of, got, N);
    for (size_t i = 0; i < N; i++) {
        double off = fabs((ref[i].hi - got[i]) + ref[i].lo), size = fabs(ref[i].hi);
        assert_true(isnan(ref[i].hi) == isnan(got[i]));
        if (isnan(got[i]))
            continue;
        off -= type->u_out * size * (1 + 0x1p-20) + 2 * type->eta + type->eta_out + fmin(lost, size);
        if (off > 0)
            most = fmax(most, off / (type->u * size));
    }
    return most;
}

struct seen {
    double y, t, d;
};

static void judge(const struct nb_kernel *k, struct seen *s)
{
    run(k);
    double normal = k->dtype == NB_F64 ? 0x1p-1022 : 0x1p-126, flushed = k->flushes ? normal : 0;
    if (k->dir == NB_FWD) {
        s->y = fmax(s->y, largest(k, &y, exact, flushed));
        return;
    }
    s->t = fmax(s->t, largest(k, &dgamma, exact, flushed));
    s->d = fmax(s->d, largest(k, &dx, slope, 64 * normal));
}

/* Block b of the numbers of a type: f32 and f64 every exponent, then what matters in small steps; 16 bits all there are. */
static int make_block(uint32_t dtype, int b)
{
    enum { BLOCKS = 150 };
    if (b >= (nb_dtype_bytes(dtype) == 2 ? 65536 / N : BLOCKS))
        return 0;
    for (int i = 0; i < N; i++) {
        double v = b % 3 == 0   ? ldexp(1 + uniform(), (int)(uniform() * (dtype == NB_F64 ? 1084 : 158)) - (dtype == NB_F64 ? 1074 : 148))
                   : b % 3 == 1 ? 12 * uniform()
                                : (dtype == NB_F64 ? 400 : 50) * uniform();
        wide[i] = uniform() < 0.5 ? v : -v;
        x.u16[i] = (uint16_t)(nb_dtype_bytes(dtype) == 2 ? b * N + i : 0);
        got[i] = 1;
    }
    if (nb_dtype_bytes(dtype) == 2)
        nb_decode(dtype, &x, wide, N);
    else
        nb_encode(dtype, wide, &x, N);
    nb_decode(dtype, &x, wide, N);
    nb_encode(dtype, got, &dy, N);
    for (int i = 0; i < N; i++)
        exact[i] = nb_ref_tanh((struct nb_dd){wide[i], 0}, &slope[i]);
    return 1;
}

static int is_judged(const struct nb_kernel *k, uint32_t dtype)
{
    return k->op == NB_OP_DYT && k->dtype == dtype && !nb_kernel_why_not(k) && k->trick[0] == '\0';
}

static void kernels(void **state)
{
    (void)state;
    struct seen *seen = calloc(nb_kernel_count(), sizeof *seen);
    assert_non_null(seen);
    for (uint32_t dtype = 0; dtype < NB_DTYPE_COUNT; dtype++)
        for (int b = 0; make_block(dtype, b); b++)
            for (size_t i = 0; i < nb_kernel_count(); i++)
                if (is_judged(nb_kernel_at(i), dtype))
                    judge(nb_kernel_at(i), &seen[i]);
    size_t judged = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (k->op != NB_OP_DYT || nb_kernel_why_not(k) || k->trick[0] != '\0')
            continue;
        const int naive = strcmp(k->algo, "naive") == 0;
        if (nb_dtype_bytes(k->dtype) > 2)
            printf("%-36s y %.3f, t %.3f, d %.3f units\n", k->name, seen[i].y, seen[i].t, seen[i].d);
        assert_true(seen[i].y <= (naive ? 4 : 5));
        assert_true(seen[i].t <= (naive ? 4 : 6));
        assert_true(seen[i].d <= 11);
        judged++;
    }
    assert_true(judged >= 16);
    free(seen);
}

static int begin(void **state)
{
    (void)state;
    mpfr_inits2(BITS, z, want, slope_want, t, (mpfr_ptr)0);
    return nb_cpu_init(NULL, 0);
}

static int end(void **state)
{
    (void)state;
    mpfr_clears(z, want, slope_want, t, (mpfr_ptr)0);
    mpfr_free_cache();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle),
        cmocka_unit_test(special),
        cmocka_unit_test(polynomial),
        cmocka_unit_test(kernels),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
