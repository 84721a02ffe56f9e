/* digits_test.c: published digits come out, to every printed place: worked examples of
 * the two norms and their gradients, DeepNorm's constants, thresholds of the number
 * formats, and known failures of other people's kernels. From the oracle, and from
 * kernels where they compute the quantity. A source stands beside its digits; where its
 * data cannot be made again, seeded data of the same kind shows the effect. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backward.h"
#include "codec.h"
#include "cpu.h"
#include "deepnorm.h"
#include "registry.h"

enum { N_MAX = 32768, TEXT = 512 };
#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const double FOUR[4] = {1, 2, 3, 4}, CENTRED[4] = {-1.5, -0.5, 0.5, 1.5};

static struct nb_dd ref[N_MAX];
static double wide[N_MAX];
static float x[N_MAX], y[N_MAX];

/* ---- Text ---- */

/* The numbers as a source prints them, a space between two. */
static void expect(const char *format, const double *v, size_t n, const char *text)
{
    char have[TEXT] = "";
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(have);
        if (i > 0)
            have[used++] = ' ';
        snprintf(have + used, sizeof have - used, format, v[i]);
    }
    assert_string_equal(have, text);
}

static void expect_one(const char *format, double v, const char *text)
{
    expect(format, &v, 1, text);
}

/* ---- Oracle and kernels ---- */

static struct nb_ref_stats forward(enum nb_ref_op op, const double *row, size_t n,
                                   double eps)
{
    struct nb_ref_row r = {.op = op, .n = n, .x = row, .eps = eps};
    struct nb_ref_stats s;
    nb_ref_forward(&r, ref, &s);
    return s;
}

/* x as the oracle sees it */
static struct nb_ref_stats forward_x(size_t n, double eps)
{
    for (size_t i = 0; i < n; i++)
        wide[i] = x[i];
    return forward(NB_REF_LAYERNORM, wide, n, eps);
}

/* One row; gamma and beta are NULL. Returns the stored rstd. */
static double run_kernel(const struct nb_kernel *k, size_t n, double eps, const void *in,
                         void *out)
{
    struct nb_problem p = {.size = sizeof p,
                           .op = k->op,
                           .stats_out = 1,
                           .dtype = k->dtype,
                           .param_dtype = k->dtype,
                           .rows = 1,
                           .hidden = n,
                           .ldx = n,
                           .ldy = n,
                           .eps = eps,
                           .alpha = 1};
    double mean, rstd, value;
    struct nb_args a = {
        .size = sizeof a, .parts = 1, .x = in, .y = out, .mean = &mean, .rstd = &rstd};
    assert_null(k->supports(&p));
    size_t bytes = k->scratch_bytes ? k->scratch_bytes(&p, 1) : 0;
    if (bytes > 0)
        assert_non_null(a.scratch = aligned_alloc(64, (bytes + 63) / 64 * 64));
    void *own = k->prepare ? k->prepare(&p, &a) : NULL;
    k->run(own ? own : &p, &a);
    if (own)
        k->finish(own);
    free(a.scratch);
    nb_decode(k->dtype == NB_F64 ? NB_F64 : NB_F32, &rstd, &value, 1);
    return value;
}

/* x through a scalar kernel, to y */
static double run_f32(const char *algo, size_t n, double eps)
{
    char name[64];
    snprintf(name, sizeof name, "%s__f32_scalar", algo);
    const struct nb_kernel *k = nb_kernel_find(name);
    assert_non_null(k);
    return run_kernel(k, n, eps, x, y);
}

static int is_norm(const struct nb_kernel *k, uint32_t op, uint32_t dtype)
{
    return k->op == op && k->dtype == dtype && k->dir == NB_FWD &&
           k->fuse == NB_FUSE_NONE && !nb_kernel_why_not(k);
}

/* max |y - ref| / max |ref|: the metric of ONNX Runtime's tests */
static double normwise(size_t n)
{
    double worst = 0, top = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(y[i] - ref[i].hi));
        top = fmax(top, fabs(ref[i].hi));
    }
    return worst / top;
}

/* ---- [1 2 3 4], forward ---- */

/* every f64 kernel to all digits, every f32 kernel to a few of its roundings */
static void expect_kernels(enum nb_ref_op op, double eps, const char *text)
{
    const uint32_t kernel_op = op == NB_REF_LAYERNORM ? NB_OP_LAYERNORM
                               : op == NB_REF_L2NORM  ? NB_OP_L2NORM
                                                      : NB_OP_RMSNORM;
    size_t count = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        double out[4];
        if (is_norm(k, kernel_op, NB_F64)) {
            run_kernel(k, 4, eps, FOUR, out);
            expect("%.12g", out, 4, text);
            count++;
        } else if (is_norm(k, kernel_op, NB_F32)) {
            const float in[4] = {1, 2, 3, 4};
            run_kernel(k, 4, eps, in, y);
            for (size_t j = 0; j < 4; j++)
                if (!(fabs(y[j] - ref[j].hi) <= 8 * 0x1p-24 * fabs(ref[j].hi)))
                    fail_msg("%s: %.9g for %.9g", k->name, (double)y[j], ref[j].hi);
            count++;
        }
    }
    assert_true(count >= 12);
}

static void four_forward(void **state)
{
    (void)state;
    static const struct {
        enum nb_ref_op op;
        double eps;
        const char *stats, *y;
    } cases[] = {
        {NB_REF_LAYERNORM, 1e-5, "2.5 1.25 1.11803398875 0.894423613313",
         "-1.34163541997 -0.447211806656 0.447211806656 1.34163541997"},
        {NB_REF_LAYERNORM, 0, "2.5 1.25 1.11803398875 0.894427191",
         "-1.3416407865 -0.4472135955 0.4472135955 1.3416407865"},
        {NB_REF_RMSNORM, 0, "0 7.5 2.73861278753 0.36514837167",
         "0.36514837167 0.73029674334 1.09544511501 1.46059348668"},
        {NB_REF_RMSNORM, 1e-5, "0 7.5 2.73861278753 0.365148128238",
         "0.365148128238 0.730296256476 1.09544438471 1.46059251295"},
        /* k/sqrt(30); k/sqrt(30.00001) */
        {NB_REF_L2NORM, 0, "0 30 5.47722557505 0.182574185835",
         "0.182574185835 0.36514837167 0.547722557505 0.73029674334"},
        {NB_REF_L2NORM, 1e-5, "0 30 5.47722557505 0.182574155406",
         "0.182574155406 0.365148310812 0.547722466218 0.730296621624"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct nb_ref_stats s = forward(cases[i].op, FOUR, 4, cases[i].eps);
        const double stats[] = {s.mean.hi, s.var.hi, sqrt(s.var.hi), s.rstd.hi};
        const double out[] = {ref[0].hi, ref[1].hi, ref[2].hi, ref[3].hi};
        expect("%.12g", stats, 4, cases[i].stats);
        expect("%.12g", out, 4, cases[i].y);
        expect_kernels(cases[i].op, cases[i].eps, cases[i].y);
    }
}

/* x/(rms + eps), as the first RMSNorm code for PyTorch has it (eps 1e-8) */
static void four_eps_outside(void **state)
{
    (void)state;
    struct nb_ref_stats s = forward(NB_REF_RMSNORM, FOUR, 4, 0);
    double out[4];
    for (size_t i = 0; i < 4; i++)
        out[i] = FOUR[i] / (sqrt(s.var.hi) + 1e-8);
    expect("%.12g", out, 4, "0.365148370337 0.730296740674 1.09544511101 1.46059348135");
}

/* ---- [1 2 3 4], backward ---- */

static void four_backward(void **state)
{
    (void)state;
    static const struct {
        enum nb_ref_op op;
        const char *dx, *sum, *inner;
    } cases[] = {
        {NB_REF_LAYERNORM,
         "0.268330303893 -0.357768372025 -0.089443434631 0.178881502763", "0.00000",
         "-1.0733e-05"},
        {NB_REF_RMSNORM,
         "0.352976540192 -0.0243431760916 -0.0365147641375 -0.0486863521833", "0.24343",
         "4.9e-07"},
        {NB_REF_L2NORM,
         "0.176488352254 -0.0121716063032 -0.0182574094548 -0.0243432126064", "0.12172",
         "6.1e-08"},
    };
    const double dy[4] = {1, 0, 0, 0};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct nb_ref_gradient r = {.op = cases[i].op, .n = 4, .x = FOUR, .dy = dy, .eps = 1e-5};
        nb_ref_backward_row(&r, ref, NULL, NULL);
        const double dx[] = {ref[0].hi, ref[1].hi, ref[2].hi, ref[3].hi};
        double sum = 0, inner = 0;
        for (size_t j = 0; j < 4; j++) {
            sum += dx[j];
            inner += FOUR[j] * dx[j];
        }
        expect("%.12g", dx, 4, cases[i].dx);
        expect_one("%.5f", fabs(sum), cases[i].sum);
        expect_one(i == 0 ? "%.4e" : "%.1e", inner, cases[i].inner);
        if (cases[i].op == NB_REF_LAYERNORM) /* 0 in exact arithmetic */
            assert_true(fabs(sum + (ref[0].lo + ref[1].lo + ref[2].lo + ref[3].lo)) <
                        1e-30);
    }
}

/* y = 2 x/sqrt(30), dx = (2/sqrt(30)) (e_1 - x/30) and dgamma = 1/sqrt(30), of dy = [1 0 0 0] */
static void four_with_a_gain(void **state)
{
    (void)state;
    const double two = 2, dy[4] = {1, 0, 0, 0};
    struct nb_ref_row row = {.op = NB_REF_SCALENORM, .n = 4, .x = FOUR, .gamma = &two};
    struct nb_ref_gradient r = {.op = NB_REF_SCALENORM, .n = 4, .x = FOUR, .gamma = &two, .dy = dy};
    struct nb_ref_stats s;
    struct nb_dd dgamma = {0, 0};
    nb_ref_forward(&row, ref, &s);
    const double out[] = {ref[0].hi, ref[1].hi, ref[2].hi, ref[3].hi};
    expect("%.12g", out, 4, "0.36514837167 0.73029674334 1.09544511501 1.46059348668");
    nb_ref_backward_row(&r, ref, &dgamma, NULL);
    const double dx[] = {ref[0].hi, ref[1].hi, ref[2].hi, ref[3].hi};
    expect("%.12g", dx, 4, "0.352976759281 -0.024343224778 -0.036514837167 -0.048686449556");
    expect_one("%.12g", dgamma.hi, "0.182574185835");
}

/* ---- Jacobians ---- */

/* The Frobenius norm of dy/dx at eps 0, a row of the Jacobian from each unit vector. */
static double jacobian_norm(enum nb_ref_op op, const double *row, size_t n)
{
    double dy[64] = {0}, squares = 0;
    assert_true(n <= LENGTH(dy));
    for (size_t j = 0; j < n; j++) {
        struct nb_ref_gradient r = {.op = op, .n = n, .x = row, .dy = dy};
        dy[j] = 1;
        nb_ref_backward_row(&r, ref, NULL, NULL);
        dy[j] = 0;
        for (size_t i = 0; i < n; i++)
            squares += ref[i].hi * ref[i].hi;
    }
    return sqrt(squares);
}

static uint64_t seed_state;

static double uniform(void) /* (0, 1); splitmix64 */
{
    uint64_t z = seed_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

/* layernorm: rstd times a projection of rank n-2, so sqrt(n-2)/sigma; rmsnorm: n-1 and
 * rms */
static void check_norms(const double *row, size_t n)
{
    double sigma = sqrt(forward(NB_REF_LAYERNORM, row, n, 0).var.hi);
    double rms = sqrt(forward(NB_REF_RMSNORM, row, n, 0).var.hi);
    double ln = jacobian_norm(NB_REF_LAYERNORM, row, n) * sigma / sqrt((double)n - 2);
    double rn = jacobian_norm(NB_REF_RMSNORM, row, n) * rms / sqrt((double)n - 1);
    assert_true(fabs(ln - 1) < 1e-14 && fabs(rn - 1) < 1e-14);
}

/* A row of 64 with a given standard deviation and root mean square: N(0,1), standardized. */
static void row_with(double *row, double sigma, double rms)
{
    double mean = 0, var = 0;
    for (size_t i = 0; i < 64; i++)
        mean += (row[i] = normal()) / 64;
    for (size_t i = 0; i < 64; i++)
        var += (row[i] - mean) * (row[i] - mean) / 64;
    for (size_t i = 0; i < 64; i++)
        row[i] = sqrt(rms * rms - sigma * sigma) + (row[i] - mean) * sigma / sqrt(var);
}

/* Printed for three rows of 64, N(0,1) about 0, 1 and 5, whose generator is not told. A norm
 * depends on its row by sigma and rms alone, which the printed pair tells: any row that has them
 * must give the printed digits. */
/* ---- Tanh ---- */

/* Of 300 bits, rounded; and 1 - t^2 of it. alpha is 0.5. */
static void tanh_digits(void **state)
{
    (void)state;
    static const double at[4] = {1, 2, -4, 0.5};
    static const struct {
        const char *format, *isa;
        uint32_t dtype;
        const char *text;
    } cases[] = {
        {"%.11f", "scalar", NB_F64, "0.46211715726 0.76159415596 -0.96402758008 0.24491866240"},
        {"%.6f", "scalar", NB_F32, "0.462117 0.761594 -0.964028 0.244919"},
    };
    static const char *const algos[] = {"naive", "expm1"};
    double out[4];
    char name[64], in[32], stored[32];
    for (size_t i = 0; i < LENGTH(cases) * LENGTH(algos); i++) {
        snprintf(name, sizeof name, "dyt_fwd_%s__%s_%s", algos[i % 2], nb_dtype_name(cases[i / 2].dtype), cases[i / 2].isa);
        const struct nb_kernel *k = nb_kernel_find(name);
        assert_non_null(k);
        const struct nb_problem p = {.size = sizeof p, .op = k->op, .dtype = k->dtype, .param_dtype = k->dtype, .rows = 1,
                                     .hidden = 4, .ldx = 4, .ldy = 4, .alpha = 0.5};
        const struct nb_args a = {.size = sizeof a, .parts = 1, .x = in, .y = stored};
        nb_encode(k->dtype, at, in, 4);
        k->run(&p, &a);
        nb_decode(k->dtype, stored, out, 4);
        expect(cases[i / 2].format, out, 4, cases[i / 2].text);
    }
    for (size_t i = 0; i < 4; i++) {
        struct nb_dd slope, t = nb_ref_tanh((struct nb_dd){at[i] / 2, 0}, &slope);
        assert_true(fabs(slope.hi - (1 - t.hi * t.hi)) < 1e-15);
        out[i] = slope.hi;
    }
    expect("%.11f", out, 4, "0.78644773297 0.41997434161 0.07065082485 0.94001484881");
}

static void jacobians_of_64(void **state)
{
    (void)state;
    static const struct {
        double ln, rms;
        const char *text;
    } printed[] = {{8.387, 8.439, "8.387 8.439"}, {9.370, 5.277, "9.370 5.277"}, {7.335, 1.549, "7.335 1.549"}};
    seed_state = 6464;
    for (size_t i = 0; i < LENGTH(printed); i++) {
        double row[64], pair[2];
        row_with(row, sqrt(62) / printed[i].ln, sqrt(63) / printed[i].rms);
        pair[0] = jacobian_norm(NB_REF_LAYERNORM, row, 64);
        pair[1] = jacobian_norm(NB_REF_RMSNORM, row, 64);
        expect("%.3f", pair, 2, printed[i].text);
    }
}

static void jacobians(void **state)
{
    (void)state;
    expect_one("%.4f", jacobian_norm(NB_REF_LAYERNORM, FOUR, 4), "1.2649");
    expect_one("%.4f", jacobian_norm(NB_REF_RMSNORM, FOUR, 4), "0.6325");
    expect_one("%.4f", jacobian_norm(NB_REF_LAYERNORM, CENTRED, 4), "1.2649");
    expect_one("%.4f", jacobian_norm(NB_REF_RMSNORM, CENTRED, 4), "1.5492");
    expect_one("%.4f", jacobian_norm(NB_REF_L2NORM, FOUR, 4), "0.3162"); /* sqrt(3/30) */
    check_norms(FOUR, 4);
    seed_state = 64;
    for (double mean = 0; mean <= 5; mean += 2.5) {
        double row[64];
        for (size_t i = 0; i < 64; i++)
            row[i] = mean + normal();
        check_norms(row, 64);
    }
}

/* ---- DeepNorm (Wang et al. 2022) ---- */

static void deepnorm_constants(void **state)
{
    (void)state;
    static const struct {
        enum nb_ref_stack stack;
        unsigned n, m;
        const char *text;
    } cases[] = {
        {NB_REF_ENCODER_ONLY, 6, 0, "1.861210 0.379918"},
        {NB_REF_ENCODER_ONLY, 12, 0, "2.213364 0.319472"},
        {NB_REF_ENCODER_ONLY, 18, 0, "2.449490 0.288675"},
        {NB_REF_ENCODER_ONLY, 24, 0, "2.632148 0.268642"},
        {NB_REF_ENCODER_ONLY, 100, 0, "3.760603 0.188030"},
        {NB_REF_ENCODER_ONLY, 1000, 0, "6.687403 0.105737"},
        {NB_REF_DECODER_ONLY, 0, 12, "2.213364 0.319472"},
        {NB_REF_ENCODER_OF_BOTH, 12, 6, "1.686222 0.417916"},
        {NB_REF_DECODER_OF_BOTH, 12, 6, "2.059767 0.343295"},
        {NB_REF_ENCODER_OF_BOTH, 18, 18, "1.998746 0.352571"},
        {NB_REF_DECODER_OF_BOTH, 18, 18, "2.710806 0.260847"},
        {NB_REF_ENCODER_OF_BOTH, 500, 500, "5.648240 0.124765"},
        {NB_REF_DECODER_OF_BOTH, 500, 500, "6.223330 0.113622"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct nb_ref_deepnorm d =
            nb_ref_deepnorm(cases[i].stack, cases[i].n, cases[i].m);
        expect("%.6f", (const double[]){d.alpha, d.beta}, 2, cases[i].text);
    }
}

/* The model update does not grow with depth: sublayers * 2 beta^2/alpha^2 = 1. */
static void deepnorm_identities(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth <= 1000; depth++) {
        struct nb_ref_deepnorm e = nb_ref_deepnorm(NB_REF_ENCODER_ONLY, depth, 7);
        struct nb_ref_deepnorm d = nb_ref_deepnorm(NB_REF_DECODER_OF_BOTH, 7, depth);
        double encoder = e.beta / e.alpha, decoder = d.beta / d.alpha;
        assert_true(fabs(2.0 * depth * 2 * encoder * encoder - 1) < 1e-14);
        assert_true(fabs(3.0 * depth * 2 * decoder * decoder - 1) < 1e-14);
    }
}

/* One row: x, the residual 0.5 -1 0.25 2 and alpha of 12 layers; forward y is the output, backward dx, h being x. */
static void run_deepnorm(const struct nb_kernel *k, const struct nb_ref_stats *s, double *out, double *second)
{
    const double residual[4] = {0.5, -1, 0.25, 2}, dy[4] = {1, 0, 0, 0};
    const double alpha = nb_ref_deepnorm(NB_REF_ENCODER_ONLY, 12, 0).alpha;
    const struct nb_problem p = {.size = sizeof p, .op = k->op, .dir = k->dir, .fuse = k->fuse, .dtype = k->dtype,
                                 .param_dtype = k->dtype, .rows = 1, .hidden = 4, .ldx = 4, .ldy = 4, .k = 12,
                                 .eps = 1e-5, .alpha = alpha};
    double in[4], two[4], mean = s->mean.hi, rstd = s->rstd.hi;
    uint64_t x_in[4], second_in[4], y_out[4], h_out[4], m, r;
    for (size_t i = 0; i < 4; i++) {
        in[i] = k->dir == NB_BWD ? alpha * FOUR[i] + residual[i] : FOUR[i];
        two[i] = k->dir == NB_BWD ? dy[i] : residual[i];
    }
    nb_encode(k->dtype, in, x_in, 4);
    nb_encode(k->dtype, two, second_in, 4);
    nb_encode(k->dtype, &mean, &m, 1);
    nb_encode(k->dtype, &rstd, &r, 1);
    static _Alignas(64) char scratch[1 << 15];
    assert_true(k->supports(&p) == NULL && (k->scratch_bytes == NULL || k->scratch_bytes(&p, 1) <= sizeof scratch));
    struct nb_args a = {.size = sizeof a, .parts = 1, .x = x_in, .residual = second_in, .dy = second_in, .y = y_out,
                        .dx = y_out, .h = h_out, .dres = h_out, .mean = &m, .rstd = &r, .scratch = scratch};
    k->run(&p, &a);
    nb_decode(k->dtype, y_out, out, 4);
    nb_decode(k->dtype, h_out, second, 4);
}

/* f64 to all digits, f32 to a few of its roundings of the largest element */
static void expect_row(const struct nb_kernel *k, const double *got, const char *text)
{
    double want[4], top = 0;
    assert_int_equal(sscanf(text, "%lf %lf %lf %lf", &want[0], &want[1], &want[2], &want[3]), 4);
    for (size_t i = 0; i < 4; i++)
        top = fmax(top, fabs(want[i]));
    for (size_t i = 0; i < 4; i++)
        if (!(fabs(got[i] - want[i]) <= 8 * 0x1p-24 * top))
            fail_msg("%s: %.9g for %.9g", k->name, got[i], want[i]);
    if (k->dtype == NB_F64)
        expect("%.12g", got, 4, text);
}

static void deepnorm_of_four(void **state)
{
    (void)state;
    static const char h[] = "2.7133638394 3.4267276788 6.8900915182 10.8534553576",
                      y_of[] = "-1.00808064841 -0.787322956899 0.284450188622 1.51095341669",
                      dres[] = "0.153474711455 -0.138768516911 -0.0551807138965 0.0404745193525",
                      dx[] = "0.339695376598 -0.307145217379 -0.122134996771 0.0895848375521";
    const double alpha = nb_ref_deepnorm(NB_REF_ENCODER_ONLY, 12, 0).alpha;
    const double sum[4] = {alpha + 0.5, 2 * alpha - 1, 3 * alpha + 0.25, 4 * alpha + 2};
    const struct nb_ref_stats s = forward(NB_REF_LAYERNORM, sum, 4, 1e-5);
    size_t count = 0;
    expect("%.12g", (const double[]){s.mean.hi, s.var.hi, sqrt(s.var.hi), s.rstd.hi}, 4,
           "5.9709095985 10.4421536261 3.23143213237 0.309460165094");
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (k->op != NB_OP_DEEPNORM || nb_dtype_bytes(k->dtype) == 2 || nb_kernel_why_not(k))
            continue;
        double out[4], second[4];
        run_deepnorm(k, &s, out, second);
        expect_row(k, out, k->dir == NB_BWD ? dx : y_of);
        if (k->fuse == NB_FUSE_RESIDUAL)
            expect_row(k, second, k->dir == NB_BWD ? dres : h);
        count++;
    }
    assert_true(count >= 2 * (7 * 2 + 3));
}

/* ---- Number formats ---- */

static double rounded(uint32_t dtype, double v)
{
    uint64_t bits = 0;
    nb_encode(dtype, &v, &bits, 1);
    nb_decode(dtype, &bits, &v, 1);
    return v;
}

/* where a sum of ones stops growing */
static double stagnation(uint32_t dtype)
{
    double s = 0, next;
    while ((next = rounded(dtype, s + 1)) > s)
        s = next;
    return s;
}

static void sums_stagnate(void **state)
{
    (void)state;
    expect_one("%.0f", stagnation(NB_BF16), "256");
    expect_one("%.0f", stagnation(NB_F16), "2048");
    expect_one("%.0f", stagnation(NB_F32), "16777216");
}

static double squared(uint32_t dtype, double v)
{
    return rounded(dtype, v * v);
}

static void squares_leave_the_range(void **state)
{
    (void)state;
    assert_true(isinf(squared(NB_F16, 256)) && squared(NB_F16, 255.875) == 65472);
    double top = 0x1p64, least = 0x1p-63, zero = 0x1p-75;
    expect_one("%.7e", top, "1.8446744e+19");
    expect_one("%.2e", least, "1.08e-19");
    expect_one("%.1e", zero, "2.6e-23");
    assert_true(isinf(squared(NB_F32, top)));
    assert_true(squared(NB_F32, nextafterf((float)top, 0)) < INFINITY);
    assert_true(isinf(squared(NB_F32, rounded(NB_BF16, top)))); /* bf16 by way of f32 */
    assert_true(squared(NB_F32, rounded(NB_BF16, top * (1 - 0x1p-8))) < INFINITY);
    assert_true(squared(NB_F32, least) >= FLT_MIN);
    assert_true(squared(NB_F32, nextafterf((float)least, 0)) < FLT_MIN);
    assert_true(squared(NB_F32, zero) == 0);
    assert_true(squared(NB_F32, nextafterf((float)zero, 1)) > 0);
}

/* The same thresholds in kernels, on a row of one element at eps 0: y is 1, unless the
 * square is Inf (rstd 0) or 0 (rstd Inf). */
static void kernels_at_the_thresholds(void **state)
{
    (void)state;
    static const double at[] = {0x1p64, 0x1p-75};
    for (size_t i = 0; i < LENGTH(at); i++) {
        x[0] = (float)at[i];
        run_f32("rmsnorm_fwd_onepass", 1, 0);
        assert_true(i == 0 ? y[0] == 0 : isinf(y[0]));
        run_f32("rmsnorm_fwd_scaled", 1, 0);
        assert_true(y[0] == 1);
        run_f32("rmsnorm_fwd_f64acc", 1, 0);
        assert_true(y[0] == 1);
        x[0] = nextafterf(x[0], 1); /* inside */
        run_f32("rmsnorm_fwd_onepass", 1, 0);
        assert_true(isfinite(y[0]) && y[0] > 0);
    }
}

/* eps = 2^-7, the spacing of bf16 at 1, is what torch.nn.RMSNorm took for bf16 when eps
 * was None (pytorch #189581, "wildly incorrect"): the outputs shrink by sqrt(1 +
 * eps/s^2), with exact sums. */
static void large_eps_shrinks(void **state)
{
    (void)state;
    static const struct {
        double s;
        const char *text;
    } cases[] = {{0.058, "1.8227"}, {0.05, "2.0310"}, {1, "1.0039"}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const double row[4] = {cases[i].s, -cases[i].s, -cases[i].s, cases[i].s};
        forward(NB_REF_RMSNORM, row, 4, 0);
        double without = ref[0].hi;
        forward(NB_REF_RMSNORM, row, 4, 0x1p-7);
        expect_one("%.4f", without / ref[0].hi, cases[i].text);
    }
}

/* Gemma's 1 + w added in bf16 (vLLM #29810) */
static void gemma_weight(void **state)
{
    (void)state;
    double w = 15.8125, sum = rounded(NB_BF16, 1 + w);
    assert_true(rounded(NB_BF16, w) == w);
    expect_one("%.2f", sum, "16.75");
    expect_one("%.4f", 1 + w, "16.8125");
    expect_one("%.2f%%", 100 * (sum / (1 + w) - 1), "-0.37%");
}

/* ---- Published failures ---- */

static int all_nan(size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(y[i]))
            return 0;
    return 1;
}

/* onnxruntime #28463 */
static void large_mean_is_nan(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        x[i] = 40000 + (float)i;
    forward_x(4, 1e-5);
    run_f32("layernorm_fwd_onepass", 4, 1e-5);
    assert_true(all_nan(4));
    run_f32("layernorm_fwd_twopass", 4, 1e-5);
    assert_true(normwise(4) <= 2 * 0x1p-24);
}

/* onnxruntime #21935: 256 times 1234, whose output is beta */
static void constant_row_is_nan(void **state)
{
    (void)state;
    for (size_t i = 0; i < 256; i++)
        x[i] = 1234;
    run_f32("layernorm_fwd_onepass", 256, 1e-5);
    assert_true(all_nan(256));
    run_f32("layernorm_fwd_twopass", 256, 1e-5);
    for (size_t i = 0; i < 256; i++)
        assert_true(y[i] == 0);
}

static double variance(const float *v, size_t n)
{
    double mean = 0, var = 0;
    for (size_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        var += (v[i] - mean) * (v[i] - mean) / (double)n;
    return var;
}

/* Rows of four, N(0,1) + 2000: how many come out with a variance other than
 * var/(var+eps). */
static size_t wrong_variances(const char *algo, size_t rows)
{
    size_t wrong = 0;
    seed_state = 51102;
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < 4; i++)
            x[i] = (float)(normal() + 2000);
        double v = variance(x, 4), want = v / (v + 1e-5);
        run_f32(algo, 4, 1e-5);
        wrong += !(fabs(variance(y, 4) - want) <= 0.01 * want);
    }
    return wrong;
}

/* pytorch #51102: output variances 0.2006 0.1634 30822.9 0.0491 48425.8 of five random
 * rows. The rows are not given, but one output is; its variance, and that of the expected
 * one, say that the computed variance was 0: the output is sqrt((var+eps)/eps) times too
 * large. */
static void small_rows_at_2000(void **state)
{
    (void)state;
    static const float got[] = {22, 72.75f, -285, 190.5f};
    static const float want[] = {0.1249f, 0.4133f, -1.6235f, 1.0852f};
    expect_one("%.4f", variance(got, 4), "30822.9492");
    double factor = sqrt(variance(got, 4) / variance(want, 4)),
           var = 1e-5 * factor * factor;
    for (size_t i = 0; i < 4; i++) /* got comes in steps of 1/4 */
        assert_true(fabs(got[i] - factor * want[i]) < 0.25);
    expect_one("%.2f", var, "0.31"); /* a likely one of four numbers from N(0,1) */

    size_t one = wrong_variances("layernorm_fwd_onepass", 1000);
    size_t two = wrong_variances("layernorm_fwd_twopass", 1000);
    printf(
        "observed: of 1000 rows at 2000, wrong variance in %zu (one pass), %zu (two)\n",
        one, two);
    assert_true(one >= 900 && two == 0);
}

/* pytorch #40302: 32768 times 0.01 N(0,1) + 100, variance 0 for about 1e-4. At 1e4, where
 * one pass subtracts, an f32 is a multiple of 2^-10: it can say 0, but not 1e-4. */
static void long_row_at_100(void **state)
{
    (void)state;
    seed_state = 40302;
    for (size_t i = 0; i < 32768; i++)
        x[i] = (float)(0.01 * normal() + 100);
    double var = forward_x(32768, 0).var.hi,
           r = run_f32("layernorm_fwd_onepass", 32768, 0);
    double steps = 0x1p10 / r / r;
    printf("observed: variance %.4e, in one pass %.4f x 2^-10\n", var, steps);
    assert_true(fabs(var - 1e-4) < 2e-6);
    assert_true(fabs(steps - round(steps)) < 1e-5 &&
                fabs(steps * 0x1p-10 - var) > 0.9 * var);
    r = run_f32("layernorm_fwd_f64acc", 32768, 0);
    assert_true(fabs(1 / r / r - var) <= 1e-6 * var);
}

/* One pass over `lanes` fused partial sums, neighbours added first (as NEON's addv does).
 */
static double onepass_lanes(size_t n, size_t lanes, float eps)
{
    float s[16] = {0}, q[16] = {0};
    for (size_t i = 0; i < n; i++) {
        s[i % lanes] += x[i];
        q[i % lanes] = fmaf(x[i], x[i], q[i % lanes]);
    }
    for (; lanes > 1; lanes /= 2)
        for (size_t j = 0; j < lanes / 2; j++) {
            s[j] = s[2 * j] + s[2 * j + 1];
            q[j] = q[2 * j] + q[2 * j + 1];
        }
    const float mean = s[0] / (float)n, var = q[0] / (float)n - mean * mean;
    return (x[0] - mean) * (1 / sqrtf(var + eps));
}

/* burn #5607: mean + i*1e-3, 16 values; got[0] of its one-pass kernel and what is right
 */
static void short_rows_far_out(void **state)
{
    (void)state;
    static const double base[] = {0, 100, 1000, 10000};
    double lanes[4], right[4], scalar[4], f64acc[4];
    for (size_t b = 0; b < 4; b++) {
        for (size_t i = 0; i < 16; i++)
            x[i] = (float)(base[b] + (double)i * 1e-3);
        lanes[b] = onepass_lanes(16, 4, 1e-5f);
        forward_x(16, 1e-5);
        right[b] = ref[0].hi;
        run_f32("layernorm_fwd_onepass", 16, 1e-5);
        scalar[b] = y[0];
        run_f32("layernorm_fwd_f64acc", 16, 1e-5);
        f64acc[b] = y[0];
    }
    expect("%.4f", lanes, 4, "-1.3416 -2.3716 -2.3740 -0.0024");
    expect("%.4f", right, 4, "-1.3416 -1.3415 -1.3415 -1.3313");
    expect("%.4f", f64acc, 4, "-1.3416 -1.3415 -1.3415 -1.3313");
    /* another order of summation, other wrong digits */
    expect("%.4f", scalar, 4, "-1.3416 -0.1691 -0.0120 -0.0024");
}

/* base + spread * t, t from -1 to 0.98: the generator of onnxruntime #31973 */
static struct nb_ref_stats ort_row(double base, double spread, size_t n, float eps)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(base + ((double)(i % 100) - 50) / 50.0 * spread);
    return forward_x(n, eps);
}

/* onnxruntime #31973, case B1: digits of a plain scalar Welford and of a centred two-pass
 */
static void ort_b1(void **state)
{
    (void)state;
    const double eps = 1e-6f;
    ort_row(1e5, 1e-2, 1024, 1e-6f);
    run_f32("layernorm_fwd_welford", 1024, eps);
    expect_one("%.4e", normwise(1024), "9.3573e-01");
    run_f32("layernorm_fwd_twopass", 1024, eps);
    expect_one("%.4e", normwise(1024), "3.2976e-02");
    run_f32("layernorm_fwd_f64acc", 1024, eps);
    assert_true(normwise(1024) <= 1e-7);
}

/* Its two-pass design: the mean summed in f64 and rounded to f32, the rest in f32. */
static double ort_twopass_error(size_t n, float eps)
{
    double sum = 0;
    float q = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    const float mean = (float)(sum / (double)n);
    for (size_t i = 0; i < n; i++)
        q += (x[i] - mean) * (x[i] - mean);
    const float rstd = 1 / sqrtf(q / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * rstd;
    return normwise(n);
}

/* ... over its sweep of 180 cases, those of base/spread < 1e6 */
static void ort_sweep(void **state)
{
    (void)state;
    static const double bases[] = {1e3, 1e4, 1e5, 1e6}, spreads[] = {1, 1e-1, 1e-2, 1e-3};
    static const float epsilons[] = {1e-5f, 1e-6f, 1e-12f};
    static const size_t lengths[] = {9, 15, 33, 127, 255, 256, 512, 1024, 2048, 4096};
    double worst = 0;
    size_t cases = 0;
    for (size_t c = 0; c < 16 * 3 * 10; c++) {
        double base = bases[c / 120], spread = spreads[c / 30 % 4];
        float eps = epsilons[c / 10 % 3];
        if (base / spread >= 1e6)
            continue;
        ort_row(base, spread, lengths[c % 10], eps);
        worst = fmax(worst, ort_twopass_error(lengths[c % 10], eps));
        cases++;
    }
    assert_int_equal(cases, 180);
    expect_one("%.6f", worst, "0.022318");
}

static int detect_cpu(void **state)
{
    (void)state;
    char bad[32];
    return nb_cpu_init(bad, sizeof bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_forward),
        cmocka_unit_test(four_eps_outside),
        cmocka_unit_test(four_backward),
        cmocka_unit_test(four_with_a_gain),
        cmocka_unit_test(jacobians),
        cmocka_unit_test(tanh_digits),
        cmocka_unit_test(jacobians_of_64),
        cmocka_unit_test(deepnorm_constants),
        cmocka_unit_test(deepnorm_identities),
        cmocka_unit_test(deepnorm_of_four),
        cmocka_unit_test(sums_stagnate),
        cmocka_unit_test(squares_leave_the_range),
        cmocka_unit_test(kernels_at_the_thresholds),
        cmocka_unit_test(large_eps_shrinks),
        cmocka_unit_test(gemma_weight),
        cmocka_unit_test(large_mean_is_nan),
        cmocka_unit_test(constant_row_is_nan),
        cmocka_unit_test(small_rows_at_2000),
        cmocka_unit_test(long_row_at_100),
        cmocka_unit_test(short_rows_far_out),
        cmocka_unit_test(ort_b1),
        cmocka_unit_test(ort_sweep),
    };
    return cmocka_run_group_tests(tests, detect_cpu, NULL);
}
