/* block_test: activations within their bounds of double formulas, blocks against double ones written anew, their gradients against
 * differences, nothing allocated in a pass, ratios of made-up times, and the experiment as a whole. */
#include "block.h"
#include "block_ratios.h"
#include "cpu.h"
#include "experiment.h"
#include "stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "trial.h"
#include <float.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- allocations are counted: the linker sends those of the library here ---- */

static size_t allocations;
static pid_t hang_without; /* a child of this process waits for a signal instead of allocating; 0: none does */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *__wrap_malloc(size_t n)
{
    allocations++;
    while (hang_without != 0 && getpid() != hang_without)
        pause();
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    allocations++;
    return __real_aligned_alloc(align, n);
}

/* ---- activations ---- */

static const double U = 0x1p-24;

static double sigma(double x)
{
    return 1 / (1 + exp(-x));
}

static double gelu_inner(double x)
{
    return 2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
}

/* x s, without an infinity times 0 */
static double times(double x, double s)
{
    return s == 0 ? 0 : x * s;
}

static double exact(enum nb_activation kind, double x, double gate)
{
    switch (kind) {
    case NB_RELU: return fmax(x, 0);
    case NB_LEAKY_RELU: return x < 0 ? (double)0.01f * x : x;
    case NB_GELU: return times(x, 0.5 * erfc(-x * M_SQRT1_2));
    case NB_GELU_TANH: return times(x, sigma(gelu_inner(x)));
    case NB_SWISH: return times(x, sigma(x));
    case NB_GLU: return times(x, sigma(gate));
    default: return times(x, sigma(x)) * gate;
    }
}

/* As activations.h states it. */
static double bound(enum nb_activation kind, double x, double gate, double y)
{
    const double w = fabs(gelu_inner(x));
    switch (kind) {
    case NB_RELU: return 0;
    case NB_LEAKY_RELU: return U * fabs(y);
    case NB_GELU: return 22 * U * fabs(x);
    case NB_GELU_TANH: return (6 + 5 * times(w, sigma(x < 0 ? w : -w))) * U * fabs(y) + 0x1p-119;
    case NB_SWISH: return 6 * U * fabs(y) + 0x1p-119;
    case NB_GLU: return 6 * U * fabs(y) + 0x1p-125 * fabs(x);
    default: return 7 * U * fabs(y) + 0x1p-119 * fabs(gate);
    }
}

enum { N = 1 << 17 };
static float in[N], gates[N], out[N];

/* Uniform, of variance 1 */
static double spread(unsigned long long *random)
{
    return sqrt(12) * ((double)(nb_random(random) >> 11) * 0x1p-53 - 0.5);
}

/* Half of the inputs are of all sizes, half of those that activations meet. */
static void fill_inputs(void)
{
    unsigned long long random = 7;
    for (size_t i = 0; i < N; i++) {
        const uint32_t bits = (uint32_t)(nb_random(&random) >> 32);
        memcpy(&in[i], &bits, sizeof bits);
        if (i % 2 || !isfinite(in[i]))
            in[i] = (float)(8 * spread(&random));
        gates[i] = (float)(60 * spread(&random));
    }
}

static double judge(enum nb_activation kind, size_t i, double got, double x, double gate, double rounding)
{
    const double y = exact(kind, x, gate), b = bound(kind, x, gate, y) + (kind == NB_RELU ? 0 : 0x1p-149), most = b + rounding * (fabs(y) + b) + (rounding > 0 ? 0x1p-134 : 0);
    if (fabs(y) > 3.38e38) /* overflows */
        return 0;
    if (!(fabs(got - y) <= most))
        fail_msg("%s(%.9g, %.9g) [%zu]: %.9g, not %.9g: off by %.3g, bound %.3g", nb_activation_name(kind), x, gate, i, got, y,
                 fabs(got - y), most);
    return most > 0 ? fabs(got - y) / most : 0;
}

/* Shares of the bound that the worst ordinary inputs come to, a tenth or two added: the same arithmetic everywhere. An error of the
 * formula itself stands out here, where the bound has room for roundings that do not all meet. */
static const double SEEN[NB_ACTIVATION_COUNT] = {0, 1, 0.25, 0.6, 0.55, 0.85, 0.5};

static void activations(void **state)
{
    (void)state;
    const struct nb_loops *loops;
    fill_inputs();
    for (size_t unit = 0; (loops = nb_loops_at(unit)) != NULL; unit++)
        for (int kind = 0; kind < NB_ACTIVATION_COUNT; kind++) {
            double worst = 0;
            loops->activate((enum nb_activation)kind, N, in, gates, out);
            for (size_t i = 0; i < N; i++)
                {
                const double e = judge((enum nb_activation)kind, i, (double)out[i], (double)in[i], (double)gates[i], 0);
                worst = fabs((double)in[i]) > 0x1p-10 && fabs((double)in[i]) < 32 ? fmax(worst, e) : worst;
            }
            if (worst > SEEN[kind])
                fail_msg("%s: %.3f of its bound, seen before %.3f", nb_activation_name((enum nb_activation)kind), worst, SEEN[kind]);
        }
}

static double widened(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return (double)v;
}

/* All finite inputs there are; the gate goes the other way. */
static void activations_bf16(void **state)
{
    (void)state;
    static uint16_t x[1 << 16], gate[1 << 16], y[1 << 16];
    const struct nb_loops *loops;
    for (size_t i = 0; i < 1 << 16; i++) {
        x[i] = (uint16_t)i;
        gate[i] = (uint16_t)(0x3f00 + i % 512); /* 0.5 to 8 */
    }
    for (size_t unit = 0; (loops = nb_loops_at(unit)) != NULL; unit++)
        for (int kind = 0; kind < NB_ACTIVATION_COUNT; kind++) {
            loops->activate_bf16((enum nb_activation)kind, 1 << 16, x, gate, y);
            for (size_t i = 0; i < 1 << 16; i++)
                if (isfinite(widened(x[i])))
                    judge((enum nb_activation)kind, i, widened(y[i]), widened(x[i]), widened(gate[i]), 0x1p-8);
                else if (isnan(widened(x[i])) && !isnan(widened(y[i])))
                    fail_msg("%s makes %g of NaN", nb_activation_name((enum nb_activation)kind), widened(y[i]));
        }
}

/* Of swiglu of x >= 32 the product of x and the gate is left, 16 bits long, and half way between two bf16 often enough. */
static void bf16_ties_go_to_even(void **state)
{
    (void)state;
    size_t ties = 0;
    for (uint16_t i = 0; i < 128; i++)
        for (uint16_t j = 0; j < 128; j++) {
            const uint16_t x = (uint16_t)(0x4200 + i), gate = (uint16_t)(0x3f80 + j);
            const double product = widened(x) * widened(gate), unit = ldexp(1, ilogb(product) - 7);
            uint16_t y;
            nb_loops()->activate_bf16(NB_SWIGLU, 1, &x, &gate, &y);
            assert_true(widened(y) == nearbyint(product / unit) * unit);
            ties += product / unit - floor(product / unit) == 0.5;
        }
    assert_true(ties > 50);
}

/* ---- blocks ---- */

static void plain_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b,
                       size_t ldb, float beta, float *c, size_t ldc)
{
    const size_t xs = ta ? lda : 1, ys = tb ? 1 : ldb;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            const float *x = a + i * (ta ? 1 : lda), *y = b + j * (tb ? ldb : 1);
            double sum[4] = {0}; /* four chains: not one addition after the other */
            for (size_t l = 0; l < k; l++)
                sum[l % 4] += (double)x[l * xs] * (double)y[l * ys];
            c[i * ldc + j] = (float)((double)alpha * (sum[0] + sum[1] + sum[2] + sum[3]) + (beta != 0 ? (double)beta * (double)c[i * ldc + j] : 0));
        }
}

static const uint32_t OPS[] = {NB_OP_LAYERNORM, NB_OP_RMSNORM, NB_OP_PRMSNORM};
static const struct nb_shape SHAPES[] = {{false, false, true, 128, 3}, {false, true, true, 64, 4}, {true, false, true, 64, 3}};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof *SHAPES, CONDITIONS = 1 + 3 * NB_CLASSES };

static void make(struct nb_block *b, struct nb_norms *norms, const struct nb_shape *s, int condition)
{
    assert_true(nb_block_make(b, s, plain_gemm, 11));
    assert_true(nb_norms_make(norms, b, condition == 0, condition == 0 ? 0 : OPS[(condition - 1) % 3],
                              condition == 0 ? NB_TUNED : (enum nb_class)((condition - 1) / 3)));
}

static void unmake(struct nb_block *b, struct nb_norms *norms)
{
    nb_norms_free(norms);
    nb_block_close(b);
}

/* In double: a row of n by the norm of place l. */
static void norm_of(const struct nb_norms *norms, const struct nb_place *l, const double *x, double *y)
{
    const size_t k = norms->op == NB_OP_PRMSNORM ? (size_t)ceil((double)l->n * 0.0625) : l->n;
    double mean = 0, square = 0;
    for (size_t i = 0; i < l->n; i++)
        mean += norms->op == NB_OP_LAYERNORM ? x[i] / (double)l->n : 0;
    for (size_t i = 0; i < k; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)k;
    for (size_t i = 0; i < l->n; i++)
        y[i] = norms->none ? x[i]
                           : (x[i] - mean) / sqrt(square + 1e-5) * (double)l->gamma[i] +
                                 (norms->op == NB_OP_LAYERNORM ? (double)l->beta[i] : 0);
}

static void product(const struct nb_weight *w, const double *x, double *y)
{
    for (size_t o = 0; o < w->out; o++) {
        y[o] = 0;
        for (size_t i = 0; i < w->in; i++)
            y[o] += (double)w->w[o * w->in + i] * x[i];
    }
}

enum { WIDE = 512, ROWS = 4, D = 128 };

static void gru_in_double(const struct nb_block *b, const struct nb_norms *norms, size_t row, double *y)
{
    const size_t d = b->shape.d;
    double side[2][D], raw[3 * D], g[2][3 * D];
    for (size_t i = 0; i < d; i++) {
        side[0][i] = (double)b->x[row * d + i];
        side[1][i] = (double)b->state[row * d + i];
    }
    for (size_t s = 0; s < 2; s++) {
        product(&b->weight[s], side[s], raw);
        norm_of(norms, &b->place[2 * s], raw, g[s]);
        norm_of(norms, &b->place[2 * s + 1], raw + 2 * d, g[s] + 2 * d);
    }
    for (size_t i = 0; i < d; i++) {
        const double z = sigma(g[0][i] + g[1][i]), r = sigma(g[0][d + i] + g[1][d + i]);
        y[i] = (1 - z) * tanh(g[0][2 * d + i] + r * g[1][2 * d + i]) + z * side[1][i];
    }
}

/* Row `row` of attention: it sees itself and the rows before it. */
static void attend(const double qkv[ROWS][3 * D], size_t d, size_t row, double *o)
{
    for (size_t at = 0; at < d; at += 64) {
        double p[ROWS], sum = 0;
        for (size_t other = 0; other <= row; other++) {
            double score = 0;
            for (size_t i = at; i < at + 64; i++)
                score += qkv[row][i] * qkv[other][d + i] / 8;
            sum += p[other] = exp(score);
        }
        for (size_t i = at; i < at + 64; i++) {
            o[i] = 0;
            for (size_t other = 0; other <= row; other++)
                o[i] += p[other] / sum * qkv[other][2 * d + i];
        }
    }
}

static void transformer_in_double(const struct nb_block *b, const struct nb_norms *norms, size_t row, double *y)
{
    static double qkv[ROWS][3 * D];
    const size_t d = b->shape.d, inner = b->weight[3].in;
    double x[D], a[D], o[D] = {0}, h[D], f[WIDE];
    assert_int_equal(inner, b->shape.swiglu ? 256 : 4 * d); /* 8 * 64 / 3 = 170.7 */
    for (size_t r = 0; r <= row; r++) {
        for (size_t i = 0; i < d; i++)
            x[i] = (double)b->x[r * d + i];
        norm_of(norms, &b->place[0], x, a);
        product(&b->weight[0], a, qkv[r]);
    }
    attend((const double(*)[3 * D])qkv, d, row, o);
    product(&b->weight[1], o, h);
    for (size_t i = 0; i < d; i++)
        h[i] += x[i];
    norm_of(norms, &b->place[1], h, a);
    product(&b->weight[2], a, f);
    for (size_t i = 0; i < inner; i++)
        f[i] = b->shape.swiglu ? exact(NB_SWIGLU, f[i], f[inner + i]) : exact(NB_GELU, f[i], 0);
    product(&b->weight[3], f, y);
    for (size_t i = 0; i < d; i++)
        y[i] += h[i];
}

/* f32 against double: values of size 1 to 4 after a few hundred roundings; 1e-5 is a hundred units. */
static void forward_is_the_formula(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPE_COUNT * CONDITIONS; i++) {
        const struct nb_shape *s = &SHAPES[i % SHAPE_COUNT];
        struct nb_block b;
        struct nb_norms norms;
        double y[D];
        make(&b, &norms, s, i / SHAPE_COUNT);
        nb_block_forward(&b, &norms);
        for (size_t row = 0; row < s->rows; row++) {
            (s->gru ? gru_in_double : transformer_in_double)(&b, &norms, row, y);
            for (size_t j = 0; j < s->d; j++)
                if (!(fabs((double)b.y[row * s->d + j] - y[j]) < 1e-5))
                    fail_msg("shape %d condition %d row %zu: %.9g, not %.9g", i % SHAPE_COUNT, i / SHAPE_COUNT, row,
                             (double)b.y[row * s->d + j], y[j]);
        }
        unmake(&b, &norms);
    }
}

static double loss(struct nb_block *b, struct nb_norms *norms)
{
    double sum = 0;
    nb_block_forward(b, norms);
    for (size_t i = 0; i < b->shape.rows * b->shape.d; i++)
        sum += (double)b->y[i] * (double)b->dy[i];
    return sum;
}

/* Loss at value + sign*move. */
static double moved(struct nb_block *b, struct nb_norms *norms, const struct nb_part *p, const float *kept, const double *move,
                    double sign)
{
    for (size_t i = 0; i < p->n; i++)
        p->value[i] = (float)((double)kept[i] + sign * move[i]);
    const double l = loss(b, norms);
    memcpy(p->value, kept, p->n * sizeof *kept);
    return l;
}

/* A move of 1e-3 an element anywhere, or of 0.005 in all along the gradient: the loss changes by <gradient, move>, to within 1 % of what
 * such a move does in the mean (anywhere), or at most (along). f32 gives y to 1e-6, and a move changes it by 3e-4 and more; third
 * derivatives are of size 1, so that their share is the square of the move. */
static void check_part(struct nb_block *b, struct nb_norms *norms, const struct nb_part *p, const char *what)
{
    const double step = 1e-3, way = 0.005;
    float *kept = malloc(p->n * sizeof *kept);
    double *move = malloc(p->n * sizeof *move), size = 0;
    unsigned long long random = 5;
    memcpy(kept, p->value, p->n * sizeof *kept);
    for (size_t i = 0; i < p->n; i++)
        size += (double)p->gradient[i] * (double)p->gradient[i];
    size = sqrt(size);
    for (int along = 0; along < 2; along++) {
        double expected = 0;
        for (size_t i = 0; i < p->n; i++) {
            move[i] = along ? way * (double)p->gradient[i] / size : step * spread(&random);
            expected += move[i] * (double)p->gradient[i];
        }
        const double got = (moved(b, norms, p, kept, move, 1) - moved(b, norms, p, kept, move, -1)) / 2,
                     most = 0.01 * size * (along ? way : step);
        if (!(fabs(got - expected) <= most) || size == 0)
            fail_msg("%s, %s, %s: loss changes by %.6g, gradient says %.6g (+- %.2g)", what, p->name, along ? "along" : "anywhere", got,
                     expected, most);
    }
    free(kept);
    free(move);
}

static void gradients(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPE_COUNT * CONDITIONS; i++) {
        const struct nb_shape *s = &SHAPES[i % SHAPE_COUNT];
        struct nb_part parts[2 + NB_WEIGHTS + 2 * NB_PLACES];
        struct nb_block b;
        struct nb_norms norms;
        char what[80];
        make(&b, &norms, s, i / SHAPE_COUNT);
        snprintf(what, sizeof what, "%s %s %s", s->gru ? "gru" : s->swiglu ? "swiglu" : "gelu", norms.none ? "none" : nb_op_name(norms.op),
                 nb_block_class_name(norms.class_of));
        nb_block_forward(&b, &norms);
        nb_block_backward(&b, &norms);
        const size_t n = nb_block_parts(&b, &norms, parts);
        for (size_t p = 0; p < n; p++)
            check_part(&b, &norms, &parts[p], what);
        unmake(&b, &norms);
    }
}

static void a_pass_allocates_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPE_COUNT * CONDITIONS; i++) {
        struct nb_block b;
        struct nb_norms norms;
        allocations = 0;
        make(&b, &norms, &SHAPES[i % SHAPE_COUNT], i / SHAPE_COUNT);
        assert_true(allocations > 20); /* they are seen at all */
        allocations = 0;
        nb_block_forward(&b, &norms);
        nb_block_backward(&b, &norms);
        assert_int_equal(allocations, 0);
        unmake(&b, &norms);
    }
}

static void the_same_for_a_seed(void **state)
{
    (void)state;
    float y[2][128 * 3];
    for (int i = 0; i < 2; i++) {
        struct nb_block b;
        struct nb_norms norms;
        make(&b, &norms, &SHAPES[0], 1);
        nb_block_forward(&b, &norms);
        memcpy(y[i], b.y, sizeof y[i]);
        unmake(&b, &norms);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
}

/* What is called tuned is no plain kernel, where this CPU has better ones. */
static void tuned_is_tuned(void **state)
{
    (void)state;
    const struct nb_problem p = {.size = sizeof p, .dtype = NB_F32, .param_dtype = NB_F32, .rows = 16, .hidden = 768, .ldx = 768, .ldy = 768,
                                 .k = 48, .eps = 1e-5};
    for (size_t i = 0; i < 3; i++) {
        const struct nb_kernel *f = nb_norms_kernel(OPS[i], NB_FWD, NB_TUNED, &p), *b = nb_norms_kernel(OPS[i], NB_BWD, NB_TUNED, &p);
        assert_non_null(f);
        assert_non_null(b);
        assert_int_equal(f->op, OPS[i]);
        assert_string_equal(f->algo, OPS[i] == NB_OP_PRMSNORM ? "onepass" : "auto");
        assert_string_equal(b->algo, "twopass");
        if (strcmp(f->isa, "scalar") != 0)
            assert_string_equal(b->trick, "rows4");
    }
}

/* ---- OpenBLAS ---- */

static void openblas_is_the_product(void **state)
{
    (void)state;
    struct nb_err err;
    nb_gemm *gemm = nb_openblas(1, &err);
    if (gemm == NULL) {
        assert_non_null(strstr(err.text, "libopenblas-dev"));
        skip();
    }
    float a[7 * 9], b[7 * 9], got[64], want[64];
    for (size_t i = 0; i < 63; i++) {
        a[i] = in[i + 1] > 1e9f || in[i + 1] < -1e9f ? 1 : gates[i];
        b[i] = gates[100 + i];
    }
    for (int how = 0; how < 8; how++) {
        const bool ta = how & 1, tb = how & 2;
        for (size_t i = 0; i < 64; i++)
            got[i] = want[i] = how & 4 ? gates[200 + i] : NAN; /* beta 0: what was there is not read */
        gemm(ta, tb, 5, 6, 7, 0.5f, a, ta ? 5 : 7, b, tb ? 7 : 6, how & 4 ? 1 : 0, got, 8);
        plain_gemm(ta, tb, 5, 6, 7, 0.5f, a, ta ? 5 : 7, b, tb ? 7 : 6, how & 4 ? 1 : 0, want, 8);
        for (size_t i = 0; i < 5 * 8; i++)
            assert_true(i % 8 >= 6 ? isnan(want[i]) == isnan(got[i]) : fabs((double)(got[i] - want[i])) < 1e-2);
    }
}

/* ---- ratios ---- */

static void ratios(void **state)
{
    (void)state;
    static const struct nb_variant v[] = {{true, 0, 0}, {true, 0, 0}, {false, NB_OP_LAYERNORM, NB_TUNED}, {false, NB_OP_RMSNORM, NB_TUNED},
                                          {false, NB_OP_RMSNORM, NB_NAIVE}};
    struct nb_round rounds[5];
    struct nb_ratios r[NB_VARIANTS];
    double twin;
    for (size_t i = 0; i < 5; i++) { /* the clock drifts: ratios within a round do not */
        const double drift = 1 + (double)((i * 3) % 5), block[] = {80, 79, 100, 90, 110}, norm[] = {0, 0, 20, 10, 30};
        for (size_t k = 0; k < 5; k++) {
            rounds[i].block_ns[k] = drift * block[k];
            rounds[i].norm_ns[k] = drift * norm[k];
        }
    }
    assert_false(nb_block_ratios(rounds, 0, v, 5, r, &twin));
    assert_true(nb_block_ratios(rounds, 5, v, 5, r, &twin));
    assert_true(fabs(twin + 1. / 79) < 1e-15);
    assert_true(r[0].block_ns == 240 && r[2].block_ns == 300);
    assert_true(fabs(r[3].saved - 0.1) < 1e-15 && fabs(r[3].saved_tuned - 0.1) < 1e-15 && isnan(r[2].saved) && isnan(r[2].saved_tuned));
    assert_true(fabs(r[4].saved_tuned + 0.1) < 1e-15 && isnan(r[4].saved)); /* no naive layernorm ran */
    assert_true(fabs(r[2].in_situ - 0.2) < 1e-15 && fabs(r[2].by_difference - 0.2) < 1e-15 && fabs(r[3].in_situ - 1. / 9) < 1e-15);
    assert_true(fabs(r[3].amdahl - 0.1) < 1e-15 && fabs(r[3].beyond) < 1e-15);
    assert_true(fabs(r[2].disagree) < 1e-15 && fabs(r[4].disagree) < 1e-15 && isnan(r[0].disagree));
    for (size_t i = 0; i < 5; i++)
        rounds[i].norm_ns[2] /= 2; /* a clock that loses half */
    nb_block_ratios(rounds, 5, v, 5, r, &twin);
    assert_true(fabs(r[2].disagree - 0.1) < 1e-15);
    rounds[0].block_ns[3] = rounds[1].block_ns[3] = rounds[2].block_ns[3] = 1; /* three of five rounds: too good to be true */
    nb_block_ratios(rounds, 5, v, 5, r, &twin);
    assert_true(r[3].beyond > 0.8);
}

/* Twins that differ by chance, however widely, have no floor; what all of them show is one, however many there are. */
static void noise_floor(void **state)
{
    (void)state;
    double wide[] = {-0.05, 0.04, 0.001, -0.03, 0.05}, shared[] = {-0.03, -0.02, -0.021, -0.019, -0.02, -0.05, -0.01}, few[] = {-0.02, -0.03};
    assert_true(nb_block_noise(wide, 5) == 0.001);
    assert_true(nb_block_noise(shared, 7) == 0.02);
    assert_true(fabs(nb_block_noise(few, 2) - 0.025) < 1e-15);
}

/* ---- the experiment ---- */

static bool stop_at_once(void)
{
    return true;
}

static void block_speed(void **state)
{
    (void)state;
    /* block ffn d tokens batch norms class step threads processes */
    static const char *const values[] = {"transformer,gru", "gelu", "64", "4", "2", "rmsnorm", "naive,tuned", "forward,training", "1", "6", "120"};
    struct nb_trial t = {.experiment = nb_experiment_find("block_speed"), .values = values, .seed = 1, .budget_s = 0.2};
    struct nb_observations o = {0};
    struct nb_err err;
    assert_non_null(t.experiment);
    assert_int_equal(t.experiment->parameter_count, sizeof values / sizeof *values);
    for (size_t i = 0; i < t.experiment->parameter_count; i++)
        assert_int_equal(nb_parameter_check(&t.experiment->parameters[i], values[i], &err), NB_OK);
    assert_int_equal(t.experiment->run(&t, &o, &err), NB_OK);
    /* of 4 conditions: 2 saved, 3 saved against tuned, 4 + 4 shares, 4 disagreements, 2 bounds, 2 beyond, 5 blocks */
    assert_int_equal(o.n, 4 * 26);
    const struct nb_observation *v = trial_find(&o, "saved_time", "block=gru ffn=none d=64 tokens=1 batch=2 step=training class=tuned norm=rmsnorm threads=1");
    if (v->missing[0] != '\0') {
        assert_non_null(strstr(v->missing, "libopenblas-dev"));
        nb_observations_free(&o);
        skip();
    }
    assert_true(v->n == 6 && strcmp(v->of, "processes") == 0 && v->noise >= 0);
    for (size_t i = 0; i < o.n; i++)
        if (o.v[i].missing[0] != '\0' || !(o.v[i].low <= o.v[i].value && o.v[i].value <= o.v[i].high) || fabs(o.v[i].value) > 1e9)
            fail_msg("%s where %s: %g, %s", o.v[i].quantity, o.v[i].where, o.v[i].value, o.v[i].missing);
    v = trial_find(&o, "share_in_situ", "block=transformer ffn=gelu d=64 tokens=4 batch=1 step=forward class=naive norm=layernorm threads=1");
    assert_true(v->value > 0 && v->value < 1);
    nb_observations_free(&o);
    t.stop = stop_at_once;
    assert_int_equal(t.experiment->run(&t, &o, &err), NB_INTERRUPTED);
    assert_int_equal(o.n, 0);
}

/* A process that hangs is ended, and its cells are lost in this run only. */
static void hanging(void **state)
{
    (void)state;
    static const char *const values[] = {"transformer", "gelu", "64", "1", "1", "rmsnorm", "tuned", "forward", "1", "6", "0.3"};
    const struct nb_trial t = {.experiment = nb_experiment_find("block_speed"), .values = values, .seed = 1, .budget_s = 0.01};
    struct nb_observations o = {0};
    struct nb_err err = {""};
    hang_without = getpid();
    assert_int_equal(t.experiment->run(&t, &o, &err), NB_OK);
    hang_without = 0;
    assert_true(o.n > 0);
    for (size_t i = 0; i < o.n; i++)
        assert_true(o.v[i].once && strstr(o.v[i].missing, "took longer than") != NULL);
    nb_observations_free(&o);
}

/* More blocks than it can hold are not left out in silence. */
static void too_many_blocks(void **state)
{
    (void)state;
    char tokens[400] = "1";
    const char *values[] = {"transformer", "gelu,swiglu", "64,128", tokens, "1", "rmsnorm", "tuned", "forward,training", "1", "6", "60"};
    const struct nb_trial t = {.experiment = nb_experiment_find("block_speed"), .values = values, .seed = 1, .budget_s = 0.01};
    struct nb_observations o = {0};
    struct nb_err err = {""};
    for (int i = 2; i <= 33; i++)
        snprintf(tokens + strlen(tokens), sizeof tokens - strlen(tokens), ",%d", i);
    assert_int_equal(t.experiment->run(&t, &o, &err), NB_ERROR);
    assert_non_null(strstr(err.text, "264 blocks by ffn, d, tokens, batch and step; at most 256"));
    assert_int_equal(o.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations),     cmocka_unit_test(activations_bf16),        cmocka_unit_test(bf16_ties_go_to_even), cmocka_unit_test(forward_is_the_formula),
        cmocka_unit_test(gradients),       cmocka_unit_test(a_pass_allocates_nothing), cmocka_unit_test(the_same_for_a_seed),
        cmocka_unit_test(tuned_is_tuned),  cmocka_unit_test(ratios), cmocka_unit_test(noise_floor), cmocka_unit_test(block_speed), cmocka_unit_test(too_many_blocks), cmocka_unit_test(hanging),
        cmocka_unit_test(openblas_is_the_product), /* last: from here on its threads are in this process */
    };
    char word[40];
    if (nb_cpu_init(word, sizeof word) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
