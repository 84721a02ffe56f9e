/* activations_unit: the loops of activations.h, compiled once for each ISA; NB_UNIT is its name.
 *
 * Every loop is free of branches and of calls, so that a compiler vectorizes it. All errors to first order, u = 2^-24; a
 * contraction to fma would only leave roundings out.
 *
 * exp      |x| <= 88: x = k ln2 + r, |r| <= 0.347. k ln2 is taken off in two parts, the first of 17 bits and so exact: r is off by
 *          0.36 u. Taylor to r^7: the rest is 0.347^8/8! = 0.09 u; Horner's last two steps 2.2 u of the sum. Together below 3 u.
 * sigma    1/(1 + exp(-x)): 3 u of the exp at most, two more roundings: 5 u. Below x = -87 it is 0: off by e^-87 < 2^-125.
 * swish    x sigma: 6 u. Where sigma was made 0 it lacks |x| e^x <= 87 e^-87 < 2^-119.
 * gelu     Phi(-|x|) = P(t) exp(-x^2/2)/2, t = 1/(1 + p |x|/sqrt 2) [Abramowitz, Stegun 1964, 7.1.26, after Hastings 1955]: the
 *          formula is off by 0.75e-7 = 1.3 u; P by Horner with coefficients below 1.46 16 u; t is off by 5 u of itself and dP/dt
 *          is at most 3.5: 17 u; half of both; the exp and its argument 2 u. 1 - Q and the product 2 u: 22 u |x| in all.
 * gelu_tanh = x sigma(w): w has two terms of one sign, 5 u; what that does to sigma is |w| (1 - sigma(w)) times as much.
 * tanh     2 sigma(2x) - 1: off by 11 u, absolutely: it is used for states of size 1 alone. */
#include "activations.h"

#define NB_LOOPS_NAME2(unit) nb_loops_##unit
#define NB_LOOPS_NAME(unit) NB_LOOPS_NAME2(unit)
extern const struct nb_loops NB_LOOPS_NAME(NB_UNIT);

/* By a union: kernel units are compiled without the builtin memcpy, and a call ends vectorization. */
static inline float from_bits(uint32_t bits)
{
    const union {
        uint32_t bits;
        float x;
    } u = {.bits = bits};
    return u.x;
}

static inline uint32_t to_bits(float x)
{
    const union {
        float x;
        uint32_t bits;
    } u = {.x = x};
    return u.bits;
}

/* The sum with 1.5 2^23 has no place for a fraction: its last bits are the nearest whole number. Reduced modulo 2^32, so that NaN
 * and what overflows to it stay defined. */
static inline float exp_of(float x)
{
    const float magic = 0x1.8p23f;
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float t = x * 0x1.715476p0f + magic, k = t - magic;
    const float r = (x - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f;
    const uint32_t two_k = (to_bits(t) - to_bits(magic) + 127u) << 23;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * from_bits(two_k);
}

static inline float sigma(float x)
{
    const float s = 1.0f / (1.0f + exp_of(-x));
    return x < -87.0f ? 0.0f : s;
}

static inline float tanh_of(float x)
{
    return 2.0f * sigma(2.0f * x) - 1.0f;
}

static inline float normal_cdf(float x, float bell) /* bell: exp(-x^2/2) */
{
    const float z = (x < 0.0f ? -x : x) * 0x1.6a09e6p-1f, t = 1.0f / (1.0f + 0.3275911f * z);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const float q = 0.5f * (p * t) * bell;
    return x < 0.0f ? q : 1.0f - q;
}

static inline float gelu(float x)
{
    return x * normal_cdf(x, exp_of(-0.5f * (x * x)));
}

static inline float relu(float x)
{
    return x < 0.0f ? 0.0f : x; /* NaN stays */
}

static inline float leaky_relu(float x)
{
    return x < 0.0f ? 0.01f * x : x;
}

static inline float gelu_tanh(float x)
{
    return x * sigma(x * (1.5957691216f + 0.0713548163f * (x * x)));
}

static inline float swish(float x)
{
    return x * sigma(x);
}

static inline float load_f32(float x)
{
    return x;
}

static inline float load_bf16(uint16_t x)
{
    return from_bits((uint32_t)x << 16);
}

/* To nearest, ties to even. A NaN stays one: those of the input and those that arithmetic makes have no low bits to round up. */
static inline uint16_t store_bf16(float x)
{
    const uint32_t bits = to_bits(x);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#define LOOP(expression)                                                                                                       \
    for (size_t i = 0; i < n; i++)                                                                                             \
        y[i] = STORE(expression);                                                                                              \
    return

#define ACTIVATE(name, type)                                                                                                   \
    static void name(enum nb_activation kind, size_t n, const type *restrict x, const type *restrict gate, type *restrict y)   \
    {                                                                                                                          \
        switch (kind) {                                                                                                        \
        case NB_RELU: LOOP(relu(LOAD(x[i])));                                                                                  \
        case NB_LEAKY_RELU: LOOP(leaky_relu(LOAD(x[i])));                                                                      \
        case NB_GELU: LOOP(gelu(LOAD(x[i])));                                                                                  \
        case NB_GELU_TANH: LOOP(gelu_tanh(LOAD(x[i])));                                                                        \
        case NB_SWISH: LOOP(swish(LOAD(x[i])));                                                                                \
        case NB_GLU: LOOP(LOAD(x[i]) * sigma(LOAD(gate[i])));                                                                  \
        case NB_SWIGLU: LOOP(swish(LOAD(x[i])) * LOAD(gate[i]));                                                               \
        case NB_ACTIVATION_COUNT: break;                                                                                       \
        }                                                                                                                      \
    }

#define LOAD load_f32
#define STORE load_f32
ACTIVATE(activate, float)
#undef LOAD
#undef STORE
#define LOAD load_bf16
#define STORE store_bf16
ACTIVATE(activate_bf16, uint16_t)

/* (x Phi(x))' = Phi(x) + x phi(x), phi(x) = exp(-x^2/2)/sqrt(2 pi) */
static void gelu_back(size_t n, const float *restrict x, const float *restrict dy, float *restrict dx)
{
    for (size_t i = 0; i < n; i++) {
        const float bell = exp_of(-0.5f * (x[i] * x[i]));
        dx[i] = dy[i] * (normal_cdf(x[i], bell) + x[i] * (0.3989422804f * bell));
    }
}

/* (x s)' = s + x s (1 - s), s = sigma(x) */
static void swiglu_back(size_t n, const float *restrict x, const float *restrict gate, const float *restrict dy,
                        float *restrict dx, float *restrict dgate)
{
    for (size_t i = 0; i < n; i++) {
        const float s = sigma(x[i]);
        dx[i] = dy[i] * gate[i] * (s + x[i] * (s * (1.0f - s)));
        dgate[i] = dy[i] * (x[i] * s);
    }
}

static void gru_of(size_t n, const float *restrict x, const float *restrict h, const float *restrict state, float *restrict z,
                   float *restrict r, float *restrict c, float *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        z[i] = sigma(x[i] + h[i]);
        r[i] = sigma(x[n + i] + h[n + i]);
        c[i] = tanh_of(x[2 * n + i] + r[i] * h[2 * n + i]);
        y[i] = c[i] + z[i] * (state[i] - c[i]);
    }
}

static void gru(size_t n, const struct nb_gru_row *g)
{
    gru_of(n, g->x, g->h, g->state, g->z, g->r, g->c, g->y);
}

/* y = (1 - z) c + z state; sigma' = s (1 - s), tanh' = 1 - c^2 */
static void gru_back_of(size_t n, const struct nb_gru_row *g, const float *restrict hc, const float *restrict dy,
                        float *restrict dx, float *restrict dh, float *restrict dstate)
{
    const float *restrict z = g->z, *restrict r = g->r, *restrict c = g->c, *restrict state = g->state;
    for (size_t i = 0; i < n; i++) {
        const float dc = dy[i] * (1.0f - z[i]) * (1.0f - c[i] * c[i]);
        dx[i] = dh[i] = dy[i] * (state[i] - c[i]) * (z[i] * (1.0f - z[i]));
        dx[n + i] = dh[n + i] = dc * hc[i] * (r[i] * (1.0f - r[i]));
        dx[2 * n + i] = dc;
        dh[2 * n + i] = dc * r[i];
        dstate[i] = dy[i] * z[i];
    }
}

static void gru_back(size_t n, const struct nb_gru_row *g)
{
    gru_back_of(n, g, g->h + 2 * n, g->dy, g->dx, g->dh, g->dstate);
}

static void softmax(size_t n, float *x)
{
    float most = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++)
        x[i] = exp_of(x[i] - most);
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    const float factor = 1.0f / sum;
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void add(size_t n, const float *restrict a, const float *restrict b, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void accumulate(size_t n, const float *restrict a, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a[i];
}

/* ---- a product of matrices in double ---- */

#if defined(__AVX512F__)
#define LANES 8
#elif defined(__AVX2__)
#define LANES 4
#else
#define LANES 2
#endif
enum { TALL = 4, WIDE = 2 * LANES };
typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef double lanes_at __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

/* TALL x WIDE sums stay in registers while a row of b goes by. Lanes are columns, so each sum is in the order of k. */
static void tile(double *c, const double *a, const double *b, size_t k, size_t m)
{
    lanes sum[TALL][2] = {{{0}}};
    for (size_t p = 0; p < k; p++) {
        const lanes left = *(const lanes_at *)(b + p * m), right = *(const lanes_at *)(b + p * m + LANES);
        for (size_t r = 0; r < TALL; r++) {
            sum[r][0] += a[r * k + p] * left;
            sum[r][1] += a[r * k + p] * right;
        }
    }
    for (size_t r = 0; r < TALL; r++) {
        *(lanes_at *)(c + r * m) = sum[r][0];
        *(lanes_at *)(c + r * m + LANES) = sum[r][1];
    }
}

/* Less than a tile: the same sums in the same order. */
static void edge(double *c, const double *a, const double *b, size_t k, size_t m, size_t tall, size_t wide)
{
    for (size_t r = 0; r < tall; r++)
        for (size_t j = 0; j < wide; j++) {
            double sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += a[r * k + p] * b[p * m + j];
            c[r * m + j] = sum;
        }
}

static void product(double *c, const double *a, const double *b, size_t n, size_t k, size_t m)
{
    for (size_t i = 0; i < n; i += TALL)
        for (size_t j = 0; j < m; j += WIDE) {
            const size_t tall = n - i < TALL ? n - i : TALL, wide = m - j < WIDE ? m - j : WIDE;
            if (tall == TALL && wide == WIDE)
                tile(c + i * m + j, a + i * k, b + j, k, m);
            else
                edge(c + i * m + j, a + i * k, b + j, k, m, tall, wide);
        }
}

const struct nb_loops NB_LOOPS_NAME(NB_UNIT) = {activate, activate_bf16, gelu_back, swiglu_back, gru, gru_back, softmax, add, accumulate,
                                                  product};
