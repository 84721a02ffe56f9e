/* scalar.h: the vocabulary with one element a vec. After inlining a template is the plain
 * loop of the textbook, with one accumulator and no tail; portable C, no intrinsics.
 *
 * v_fma multiplies and adds, two roundings: units of this header are compiled with
 * -ffp-contract=off, so that their digits are the same on every machine. */
#ifndef NB_SIMD_SCALAR_H
#define NB_SIMD_SCALAR_H

#include "words.h"

#define NB_VL_f32 1
#define NB_VL_f64 1
#define NB_ACC_f32 1
#define NB_ACC_f64 1
#define NB_BLK 1
#define NB_VECTOR_BITS 0
#define NB_COPY_LANES(T) 1

typedef float vec_f32;
typedef double vec_f64;

/* clang-format off */
#define NB_WORDS(t, V, B, MANTISSA, one, copysign_)                                       \
    static NB_INLINE V v_copysign_##t(V a, V b) { return copysign_(a, b); }              \
    static NB_INLINE V v_set1_##t(V a) { return a; }                                     \
    static NB_INLINE V v_add_##t(V a, V b) { return a + b; }                             \
    static NB_INLINE V v_sub_##t(V a, V b) { return a - b; }                             \
    static NB_INLINE V v_mul_##t(V a, V b) { return a * b; }                             \
    static NB_INLINE V v_div_##t(V a, V b) { return a / b; }                             \
    static NB_INLINE V v_sqrt_##t(V a) { return r_sqrt_##t(a); }                         \
    static NB_INLINE V v_max_##t(V a, V b) { return a > b ? a : b; }                     \
    static NB_INLINE V v_abs_##t(V a) { return copysign_(a, 1); }                        \
    static NB_INLINE V v_fma_##t(V a, V b, V c) { return a * b + c; }                    \
    static NB_INLINE V v_keep_##t(V a, size_t m) { return m ? a : 0; }                   \
    static NB_INLINE V v_turn_##t(V a, size_t m) { return (void)m, a; }                  \
    static NB_INLINE V v_hsum_##t(V a) { return a; }                                     \
    static NB_INLINE V v_hmax_##t(V a) { return a; }                                     \
    static NB_INLINE V v_atleast_##t(V a, V b)                                           \
    {                                                                                    \
        B x, y, m = -(B)(a > b);                                                         \
        if (!NB_AUTOVEC)                                                                 \
            return a > b ? a : b;                                                        \
        __builtin_memcpy(&x, &a, sizeof x);                                              \
        __builtin_memcpy(&y, &b, sizeof y);                                              \
        x = (x & m) | (y & ~m);                                                          \
        __builtin_memcpy(&a, &x, sizeof a);                                              \
        return a;                                                                        \
    }                                                                                    \
    static NB_INLINE V v_pow2_##t(V a)                                                   \
    {                                                                                    \
        B b;                                                                             \
        __builtin_memcpy(&b, &a, sizeof b);                                              \
        b = (B)(b << MANTISSA) + one;                                                    \
        __builtin_memcpy(&a, &b, sizeof a);                                              \
        return a;                                                                        \
    }
/* clang-format on */

NB_WORDS(f32, float, uint32_t, 23, 0x3f800000u, __builtin_copysignf)
NB_WORDS(f64, double, uint64_t, 52, 0x3ff0000000000000u, __builtin_copysign)

static NB_INLINE uint32_t nb_bits(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static NB_INLINE float nb_float(uint32_t b)
{
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

/* a where condition holds, else b. With masks loops of it can be vectorized; one element
 * at a time the branches are three times as fast, since all but one kind of number is
 * rare. */
static NB_INLINE uint32_t nb_select(int condition, uint32_t a, uint32_t b)
{
    const uint32_t m = -(uint32_t)condition;
    return NB_AUTOVEC ? (a & m) | (b & ~m) : condition ? a : b;
}

/* f16 -> f32. A subnormal is an integer times 2^-24; the others gain 112 in the exponent,
 * Inf and NaN twice that; NaN becomes quiet, as VCVTPH2PS makes it. */
static NB_INLINE float nb_widen_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, mag = h & 0x7fffu;
    uint32_t b = (mag << 13) + (112u << 23);
    b += nb_select(mag >= 0x7c00u, 112u << 23, 0);
    b |= nb_select(mag > 0x7c00u, 1u << 22, 0);
    b = nb_select(mag < 0x0400u, nb_bits((float)(int32_t)mag * 0x1p-24f), b);
    return nb_float(sign | b);
}

/* f32 -> f16, nearest even. Below 2^-14 adding 0.5 lets the FPU round at 2^-24, the
 * spacing of subnormals; from 65520 on the result is Inf. */
static NB_INLINE uint16_t nb_narrow_f16(float v)
{
    const uint32_t b = nb_bits(v), sign = (b >> 16) & 0x8000u, mag = b & 0x7fffffffu;
    uint32_t h = (mag - (112u << 23) + 0xfffu + ((mag >> 13) & 1)) >> 13;
    h = nb_select(mag < 0x38800000u, nb_bits(nb_float(mag) + 0.5f) - 0x3f000000u, h);
    h = nb_select(mag >= 0x477ff000u, 0x7c00u, h);
    h = nb_select(mag > 0x7f800000u, 0x7e00u | ((mag >> 13) & 0x1ffu), h);
    return (uint16_t)(sign | h);
}

static NB_INLINE float nb_widen_bf16(uint16_t h)
{
    return nb_float((uint32_t)h << 16);
}

/* f32 -> bf16, nearest even; NaN stays NaN and becomes quiet. */
static NB_INLINE uint16_t nb_narrow_bf16(float v)
{
    const uint32_t b = nb_bits(v), r = (b + 0x7fffu + ((b >> 16) & 1)) >> 16;
    return (uint16_t)((b & 0x7fffffffu) > 0x7f800000u ? (b >> 16) | 0x40u : r);
}

/* clang-format off */
#define NB_COPY(t, T)                                                                    \
    static NB_INLINE void v_copy_##t(T *y, const T *x) { *y = *x; }                      \
    static NB_INLINE void v_copyn_##t(T *y, const T *x, size_t m)                        \
    {                                                                                    \
        if (m)                                                                           \
            *y = *x;                                                                     \
    }
/* clang-format on */

NB_COPY(f32, float)
NB_COPY(f64, double)
NB_COPY(f16, uint16_t)
NB_COPY(bf16, uint16_t)

/* clang-format off */
#define NB_BINDING(a, t, V, E, widen, narrow)                                            \
    static NB_INLINE V v_load_##a##_##t(const E *p) { return (V)widen(*p); }             \
    static NB_INLINE void v_store_##a##_##t(E *p, V v) { *p = narrow(v); }               \
    static NB_INLINE V v_loadn_##a##_##t(const E *p, size_t m)                           \
    {                                                                                    \
        return m ? (V)widen(*p) : 0;                                                     \
    }                                                                                    \
    static NB_INLINE void v_storen_##a##_##t(E *p, V v, size_t m)                        \
    {                                                                                    \
        if (m)                                                                           \
            *p = narrow(v);                                                              \
    }                                                                                    \
    static NB_INLINE void v_load2_##a##_##t(const E *p, V *v)                            \
    {                                                                                    \
        v[0] = (V)widen(p[0]);                                                           \
        v[1] = (V)widen(p[1]);                                                           \
    }                                                                                    \
    static NB_INLINE void v_store2_##a##_##t(E *p, const V *v)                           \
    {                                                                                    \
        p[0] = narrow(v[0]);                                                             \
        p[1] = narrow(v[1]);                                                             \
    }
/* clang-format on */

NB_BINDING(f32, f32, float, float, , )
NB_BINDING(f32, f16, float, uint16_t, nb_widen_f16, nb_narrow_f16)
NB_BINDING(f32, bf16, float, uint16_t, nb_widen_bf16, nb_narrow_bf16)
NB_BINDING(f64, f64, double, double, , )
/* f64 -> 16 bits by way of f32: the second rounding adds at most 2^-13 (f16) of half a
 * unit. */
NB_BINDING(f64, f32, double, float, , (float))
NB_BINDING(f64, f16, double, uint16_t, nb_widen_f16, nb_narrow_f16)
NB_BINDING(f64, bf16, double, uint16_t, nb_widen_bf16, nb_narrow_bf16)

#endif
