/* convert_test: the conversions between 16-bit storage and the arithmetic of every ISA
 * this CPU runs, bit by bit, reached through the kernels of the table.
 *
 *   affine_fwd_gamma    x = alpha = 1: y is gamma (f32) rounded; vecs in order, tails
 *   rmsnorm_fwd_f64acc  x = 1, eps = 0: the same by way of f64
 *   scale_fwd_plain     x = 1: y is alpha rounded; pairs of vecs, tails; _nt: streams
 *   affine_fwd_gamma    alpha = gamma = 1: y is x again
 *   layernorm_fwd_...   rows of one value: their mean is that value in f32
 *
 * Roundings are compared with one written here, which looks at what is cut off. libc
 * only.
 *
 * usage: convert_test [--exhaustive]
 *   --exhaustive  gamma is every f32 there is, 2^32 patterns, not a sample of them */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu.h"
#include "registry.h"

enum {
    CODES = 1 << 16,
    CHUNK = (1 << 16) - 5, /* not a multiple of any vector: each ends in a tail */
    ROW = 64 + 16 + 1,     /* a block, a vec and a tail of the widest ISA */
    REPEAT = 128,
    CUTS = 6 * CODES, /* bf16, what is halfway to the next, and f32 neighbours of both */
    TIES = CUTS,      /* the same of f16 */
    RANDOM = 1 << 20,
};

/* ---- 16-bit formats ---- */

static int mantissa_of(uint32_t dtype)
{
    return dtype == NB_F16 ? 10 : 7;
}

static int bias_of(uint32_t dtype)
{
    return dtype == NB_F16 ? 15 : 127;
}

static uint16_t one_of(uint32_t dtype)
{
    return (uint16_t)(bias_of(dtype) << mantissa_of(dtype));
}

static uint16_t infinity_of(uint32_t dtype)
{
    return (uint16_t)(0x7fff >> mantissa_of(dtype) << mantissa_of(dtype));
}

static int is_nan16(uint32_t dtype, uint16_t h)
{
    return (h & 0x7fff) > infinity_of(dtype);
}

static int is_quiet16(uint32_t dtype, uint16_t h)
{
    return is_nan16(dtype, h) && (h >> (mantissa_of(dtype) - 1) & 1);
}

/* As if the largest exponent were no special one: Inf is the power of two next to the
 * largest finite number. */
static double value_of(uint32_t dtype, uint16_t h)
{
    const int m = mantissa_of(dtype), field = (h & 0x7fff) >> m;
    const double f = ldexp(h & ((1 << m) - 1), -m);
    const double v =
        field ? ldexp(1 + f, field - bias_of(dtype)) : ldexp(f, 1 - bias_of(dtype));
    return h & 0x8000 ? -v : v;
}

static uint32_t bits_of(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static float float_of(uint32_t b)
{
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

/* v / 2^drop, nearest even */
static uint32_t cut(uint32_t v, int drop)
{
    if (drop > 25) /* less than half of one, whatever its 24 bits */
        return 0;
    const uint32_t whole = v >> drop, rest = v - (whole << drop), half = 1u << (drop - 1);
    return whole + (rest > half || (rest == half && whole % 2 == 1));
}

/* What f32 bits are in 16; any quiet NaN for a NaN. */
static uint16_t expect(uint32_t dtype, uint32_t b)
{
    const uint32_t mag = b & 0x7fffffff, sign = b >> 16 & 0x8000;
    const uint32_t top = infinity_of(dtype);
    if (mag > 0x7f800000)
        return (uint16_t)(sign | top | 1u << (mantissa_of(dtype) - 1));
    const int drop = 23 - mantissa_of(dtype), field = (int)(mag >> 23);
    const int first = 127 - bias_of(dtype) + 1; /* the field of the least normal number */
    uint32_t h;
    if (field >= first)
        h = cut(mag - ((uint32_t)(first - 1) << 23), drop);
    else /* its leading 1 written out where f32 has one: first is 1 for bf16 */
        h = cut(field ? (mag & 0x7fffff) | 0x800000 : mag,
                drop + first - (field ? field : 1));
    return (uint16_t)(sign | (h < top ? h : top));
}

/* ---- patterns of f32 ---- */

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint32_t random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static uint32_t tie(uint32_t i)
{
    const uint16_t h = (uint16_t)(i / 6), next = (uint16_t)(h + 1);
    const double v = value_of(NB_F16, h);
    const double to = (h & 0x7fff) < 0x7c00 ? (v + value_of(NB_F16, next)) / 2 : v;
    return bits_of((float)(i % 6 < 3 ? v : to)) + i % 3 - 1;
}

static uint32_t sample(uint32_t i)
{
    static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    if (i < CUTS)
        return i / 6 << 16 | low[i % 6];
    return i < CUTS + TIES ? tie(i - CUTS) : random_bits();
}

/* ---- calls ---- */

struct tally {
    uint64_t patterns, wrong, flushed;
};

static uint16_t *xs, *ys; /* [CODES * REPEAT] */
static float *ones;

static void run(const struct nb_kernel *k, size_t n, const uint16_t *x, const void *gamma,
                double alpha, uint16_t *y)
{
    const struct nb_problem p = {.size = sizeof p,
                                 .op = k->op,
                                 .dtype = k->dtype,
                                 .param_dtype = NB_F32,
                                 .rows = 1,
                                 .hidden = n,
                                 .ldx = n,
                                 .ldy = n,
                                 .alpha = alpha};
    const struct nb_args a = {
        .size = sizeof a, .parts = 1, .x = x, .y = y, .gamma = gamma};
    k->run(&p, &a);
}

static void complain(const struct nb_kernel *k, uint32_t bits, uint16_t is,
                     uint16_t right, struct tally *t)
{
    if (t->wrong++ == 0)
        printf("FAIL %s: 0x%08x becomes 0x%04x, not 0x%04x\n", k->name, bits, is, right);
}

/* A kernel that flushes may give a zero for what is subnormal in f32. */
static void compare(const struct nb_kernel *k, uint32_t bits, uint16_t is, uint16_t right,
                    struct tally *t)
{
    t->patterns++;
    if (is_nan16(k->dtype, right) ? is_quiet16(k->dtype, is) : is == right)
        return;
    const int subnormal = (bits & 0x7fffffff) < 0x00800000;
    if (k->flushes && subnormal && (is & 0x7fff) == 0 && is >> 15 == right >> 15)
        t->flushed++;
    else
        complain(k, bits, is, right, t);
}

static int is_algo(const struct nb_kernel *k, uint32_t op, const char *algo)
{
    return k->op == op && strcmp(k->algo, algo) == 0;
}

/* Kernels whose y is gamma where x is 1. */
static int gives_gamma(const struct nb_kernel *k)
{
    return is_algo(k, NB_OP_AFFINE, "gamma") || is_algo(k, NB_OP_RMSNORM, "f64acc");
}

/* One chunk of gammas through every kernel that gives them back. */
static void narrow_chunk(const struct nb_kernel *const *all, size_t count,
                         struct tally *tallies, const uint32_t *bits, size_t n)
{
    static uint16_t right[NB_DTYPE_COUNT][CHUNK];
    for (size_t i = 0; i < n; i++) {
        right[NB_F16][i] = expect(NB_F16, bits[i]);
        right[NB_BF16][i] = expect(NB_BF16, bits[i]);
    }
    for (size_t j = 0; j < count; j++) {
        const struct nb_kernel *k = all[j];
        if (!gives_gamma(k))
            continue;
        for (size_t i = 0; i < n; i++)
            xs[i] = one_of(k->dtype);
        memset(ys, 0x55, n * sizeof *ys);
        run(k, n, xs, bits, 1, ys);
        for (size_t i = 0; i < n; i++)
            compare(k, bits[i], ys[i], right[k->dtype][i], &tallies[j]);
    }
}

static void narrow(const struct nb_kernel *const *all, size_t count,
                   struct tally *tallies, int exhaustive)
{
    static uint32_t bits[CHUNK];
    const uint64_t total = exhaustive ? (uint64_t)1 << 32 : CUTS + TIES + RANDOM;
    for (uint64_t first = 0; first < total; first += CHUNK) {
        const size_t n = total - first < CHUNK ? (size_t)(total - first) : CHUNK;
        for (size_t i = 0; i < n; i++)
            bits[i] = exhaustive ? (uint32_t)(first + i) : sample((uint32_t)(first + i));
        narrow_chunk(all, count, tallies, bits, n);
    }
}

/* Every element of a row is alpha rounded, for the alphas where the type rounds one way
 * or the other. y + 3: streams begin after a few stores. */
static void narrow_scale(const struct nb_kernel *k, struct tally *t)
{
    for (size_t i = 0; i < ROW; i++)
        xs[i] = one_of(k->dtype);
    const uint32_t first = k->dtype == NB_F16 ? CUTS : 0;
    for (uint32_t i = first; i < first + CUTS; i++) {
        const uint32_t bits = sample(i);
        const uint16_t right = expect(k->dtype, bits);
        memset(ys, 0x55, (ROW + 3) * sizeof *ys);
        run(k, ROW, xs, NULL, (double)float_of(bits), ys + 3);
        for (size_t j = 0; j < ROW; j++)
            compare(k, bits, ys[3 + j], right, t);
    }
}

/* All codes through f32 and back, in order (gamma in f32) and in pairs (no gamma). */
static void there_and_back(const struct nb_kernel *k, struct tally *t)
{
    const size_t n = CODES + 13;
    for (size_t i = 0; i < n; i++)
        xs[i] = (uint16_t)(i + CODES - 6); /* zeros and NaN in the tail */
    for (int in_order = 0; in_order < 2; in_order++) {
        memset(ys, 0x55, n * sizeof *ys);
        run(k, n, xs, in_order ? ones : NULL, 1, ys);
        for (size_t i = 0; i < n; i++) {
            const int finite = (xs[i] & 0x7fff) < infinity_of(k->dtype);
            const float v = finite ? (float)value_of(k->dtype, xs[i]) : 0;
            compare(k, finite ? bits_of(v) : 0x7f800000, ys[i], xs[i], t);
        }
    }
}

/* The mean of repeat times v is v: sums of up to 128 times 11 bits are exact in f32. */
static void widen(const struct nb_kernel *k, size_t repeat, struct tally *t)
{
    static float means[CODES];
    for (size_t i = 0; i < CODES * repeat; i++)
        xs[i] = (uint16_t)(i / repeat);
    const struct nb_problem p = {.size = sizeof p,
                                 .op = k->op,
                                 .dtype = k->dtype,
                                 .param_dtype = k->dtype,
                                 .stats_out = 1,
                                 .rows = CODES,
                                 .hidden = repeat,
                                 .ldx = repeat,
                                 .ldy = repeat,
                                 .eps = 1};
    const struct nb_args a = {
        .size = sizeof a, .parts = 1, .x = xs, .y = ys, .mean = means};
    k->run(&p, &a);
    for (uint32_t h = 0; h < CODES; h++) {
        const double v = value_of(k->dtype, (uint16_t)h), is = (double)means[h];
        const int top = (int)(h & 0x7fff) - infinity_of(k->dtype);
        if (top < 0 && fabs(v) > 0x1p120) /* its sum is not finite */
            continue;
        t->patterns++;
        const double right = top < 0 ? v : copysign((double)INFINITY, v);
        if ((top > 0 ? !isnan(is) : is != right) && t->wrong++ == 0)
            printf("FAIL %s: %zu times 0x%04x have the mean %a\n", k->name, repeat, h,
                   is);
    }
}

static void one_kernel(const struct nb_kernel *k, struct tally *t)
{
    if (k->op == NB_OP_SCALE)
        narrow_scale(k, t);
    if (k->op == NB_OP_AFFINE && gives_gamma(k))
        there_and_back(k, t);
    if (is_algo(k, NB_OP_LAYERNORM, "twopass") || is_algo(k, NB_OP_LAYERNORM, "f64acc"))
        for (size_t repeat = 1; repeat <= REPEAT; repeat = repeat == 1 ? 16 : repeat * 8)
            widen(k, repeat, t);
}

/* The rounding here, at values known by heart. */
static int check_expect(void)
{
    static const struct {
        uint32_t dtype, bits, right;
    } known[] = {
        {NB_BF16, 0x3f800000, 0x3f80}, {NB_BF16, 0x3f808000, 0x3f80},
        {NB_BF16, 0x3f818000, 0x3f82}, {NB_BF16, 0x3f808001, 0x3f81},
        {NB_BF16, 0x7f7fffff, 0x7f80}, {NB_BF16, 0x80008000, 0x8000},
        {NB_BF16, 0x00008001, 0x0001}, {NB_BF16, 0x007fffff, 0x0080},
        {NB_BF16, 0x7f800001, 0x7fc0}, {NB_F16, 0x3f800000, 0x3c00},
        {NB_F16, 0x477fefff, 0x7bff},  {NB_F16, 0x477ff000, 0x7c00},
        {NB_F16, 0x33000000, 0x0000},  {NB_F16, 0x33000001, 0x0001},
        {NB_F16, 0x33c00000, 0x0002},  {NB_F16, 0xb8800000, 0x8400},
        {NB_F16, 0x387fffff, 0x0400},  {NB_F16, 0x7f7fffff, 0x7c00},
        {NB_F16, 0xff800000, 0xfc00},  {NB_F16, 0x00000001, 0x0000},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        failed += expect(known[i].dtype, known[i].bits) != known[i].right;
    if (failed)
        printf("FAIL the rounding to compare with: %d known values\n", failed);
    return failed;
}

static size_t runnable(const struct nb_kernel **all, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < nb_kernel_count() && count < room; i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (nb_dtype_bytes(k->dtype) == 2 && k->dir == NB_FWD && k->fuse == NB_FUSE_NONE && nb_kernel_why_not(k) == NULL)
            all[count++] = k;
    }
    return count;
}

static int report(const struct nb_kernel *const *all, size_t count,
                  const struct tally *tallies, double seconds)
{
    uint64_t patterns = 0, wrong = 0;
    for (size_t j = 0; j < count; j++) {
        const struct tally *t = &tallies[j];
        if (t->patterns)
            printf("%-45s %11llu patterns %llu differ %llu subnormals flushed\n",
                   all[j]->name, (unsigned long long)t->patterns,
                   (unsigned long long)t->wrong, (unsigned long long)t->flushed);
        patterns += t->patterns;
        wrong += t->wrong;
    }
    printf("%llu patterns, %llu differ, %.1f s\n", (unsigned long long)patterns,
           (unsigned long long)wrong, seconds);
    return patterns == 0 || wrong != 0;
}

int main(int argc, char **argv)
{
    enum { MOST = 1024 };
    static const struct nb_kernel *all[MOST];
    static struct tally tallies[MOST];
    char bad[32];
    const int exhaustive = argc == 2 && strcmp(argv[1], "--exhaustive") == 0;
    if (argc > 1 + exhaustive || nb_cpu_init(bad, sizeof bad) != 0) {
        printf("usage: convert_test [--exhaustive]; NB_DISABLE_ISA takes ISAs\n");
        return 1;
    }
    xs = malloc(CODES * REPEAT * sizeof *xs);
    ys = malloc(CODES * REPEAT * sizeof *ys);
    ones = malloc((CODES + 13) * sizeof *ones);
    if (!xs || !ys || !ones)
        return 1;
    for (size_t i = 0; i < CODES + 13; i++)
        ones[i] = 1;
    const size_t count = runnable(all, MOST);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    narrow(all, count, tallies, exhaustive);
    for (size_t j = 0; j < count; j++)
        one_kernel(all[j], &tallies[j]);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double seconds = (double)(end.tv_sec - begin.tv_sec) +
                           1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    const int failed = check_expect() + report(all, count, tallies, seconds);
    free(xs);
    free(ys);
    free(ones);
    return failed != 0;
}
