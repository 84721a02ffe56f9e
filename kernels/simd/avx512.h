/* avx512.h: the vocabulary on 64-byte vectors; AVX-512 F, BW, DQ, VL. Tails are masked,
 * so no byte beyond them is touched.
 *
 * With __AVX512BF16__ (the unit avx512bf16) f32 -> bf16 is one VCVTNEPS2BF16, which
 * treats subnormals as zero whatever MXCSR says; without it the rounding is done in
 * integers. */
#ifndef NB_SIMD_AVX512_H
#define NB_SIMD_AVX512_H

#include <immintrin.h>

#include "words.h"

#define NB_VL_f32 16
#define NB_VL_f64 8
#define NB_ACC_f32 8 /* sum and sum of squares together take 16 of 32 registers */
#define NB_ACC_f64 8
#define NB_BLK 4
#define NB_VECTOR_BITS 512
#define NB_COPY_LANES(T) (64 / sizeof(T))

typedef __m512 vec_f32;
typedef __m512d vec_f64;

#define NB_MASK_f32(m) ((__mmask16)((1u << (m)) - 1))
#define NB_MASK_f64(m) ((__mmask8)((1u << (m)) - 1))

/* clang-format off */
#define NB_WORDS(t, sfx, V, S)                                                           \
    static NB_INLINE V v_set1_##t(S a) { return _mm512_set1_##sfx(a); }                  \
    static NB_INLINE V v_add_##t(V a, V b) { return _mm512_add_##sfx(a, b); }            \
    static NB_INLINE V v_sub_##t(V a, V b) { return _mm512_sub_##sfx(a, b); }            \
    static NB_INLINE V v_mul_##t(V a, V b) { return _mm512_mul_##sfx(a, b); }            \
    static NB_INLINE V v_div_##t(V a, V b) { return _mm512_div_##sfx(a, b); }            \
    static NB_INLINE V v_sqrt_##t(V a) { return _mm512_sqrt_##sfx(a); }                  \
    static NB_INLINE V v_max_##t(V a, V b) { return _mm512_max_##sfx(a, b); }            \
    static NB_INLINE V v_atleast_##t(V a, V b) { return v_max_##t(a, b); }               \
    static NB_INLINE V v_abs_##t(V a) { return _mm512_abs_##sfx(a); }                    \
    static NB_INLINE V v_copysign_##t(V a, V b)                                          \
    {                                                                                    \
        const V sign = _mm512_set1_##sfx((S)-0.0);                                       \
        return _mm512_or_##sfx(_mm512_andnot_##sfx(sign, a), _mm512_and_##sfx(sign, b)); \
    }                                                                                    \
    static NB_INLINE V v_fma_##t(V a, V b, V c) { return _mm512_fmadd_##sfx(a, b, c); }  \
    static NB_INLINE V v_keep_##t(V a, size_t m)                                         \
    {                                                                                    \
        return _mm512_maskz_mov_##sfx(NB_MASK_##t(m), a);                                \
    }                                                                                    \
    static NB_INLINE S v_hmax_##t(V a) { return _mm512_reduce_max_##sfx(a); }
/* clang-format on */

NB_WORDS(f32, ps, __m512, float)
NB_WORDS(f64, pd, __m512d, double)

/* Step by step: the compiler may add in an order of its own where it is asked for the sum. */
static NB_INLINE float v_hsum_f32(__m512 a)
{
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

static NB_INLINE double v_hsum_f64(__m512d a)
{
    const __m256d h = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    const __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
    return _mm_cvtsd_f64(_mm_add_sd(q, _mm_unpackhi_pd(q, q)));
}

static NB_INLINE __m512 v_turn_f32(__m512 a, size_t m)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_permutexvar_ps(_mm512_add_epi32(lane, _mm512_set1_epi32((int)m)), a);
}

static NB_INLINE __m512d v_turn_f64(__m512d a, size_t m)
{
    const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_permutexvar_pd(_mm512_add_epi64(lane, _mm512_set1_epi64((long long)m)), a);
}

static NB_INLINE __m512 v_pow2_f32(__m512 a)
{
    const __m512i b = _mm512_slli_epi32(_mm512_castps_si512(a), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(b, _mm512_set1_epi32(0x3f800000)));
}

static NB_INLINE __m512d v_pow2_f64(__m512d a)
{
    const __m512i b = _mm512_slli_epi64(_mm512_castpd_si512(a), 52);
    return _mm512_castsi512_pd(_mm512_add_epi64(b, _mm512_set1_epi64(0x3ff0000000000000)));
}

/* Transposed: in each quarter the vecs' partial sums side by side, then the quarters. */
static NB_INLINE void v_hsum4_f32(const __m512 *v, float *sums)
{
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    const __m512 q = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(q), _mm512_extractf32x8_ps(q, 1));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

static NB_INLINE void v_hsum4_f64(const __m512d *v, double *sums)
{
    for (int k = 0; k < 4; k++)
        sums[k] = v_hsum_f64(v[k]);
}

/* ---- 16 or 8 stored elements of 16 bits ---- */
static NB_INLINE __m256i h16_load(const uint16_t *p)
{
    return _mm256_loadu_si256((const void *)p);
}

static NB_INLINE __m256i h16_loadn(const uint16_t *p, size_t m)
{
    return _mm256_maskz_loadu_epi16(NB_MASK_f32(m), p);
}

static NB_INLINE void h16_store(uint16_t *p, __m256i v)
{
    _mm256_storeu_si256((void *)p, v);
}

static NB_INLINE void h16_storen(uint16_t *p, __m256i v, size_t m)
{
    _mm256_mask_storeu_epi16(p, NB_MASK_f32(m), v);
}

static NB_INLINE void h16_stream(uint16_t *p, __m256i v)
{
    _mm256_stream_si256((void *)p, v);
}

static NB_INLINE __m256i h8_load(const uint16_t *p)
{
    return _mm256_castsi128_si256(_mm_loadu_si128((const void *)p));
}

static NB_INLINE __m256i h8_loadn(const uint16_t *p, size_t m)
{
    return _mm256_castsi128_si256(_mm_maskz_loadu_epi16(NB_MASK_f64(m), p));
}

static NB_INLINE void h8_store(uint16_t *p, __m256i v)
{
    _mm_storeu_si128((void *)p, _mm256_castsi256_si128(v));
}

static NB_INLINE void h8_storen(uint16_t *p, __m256i v, size_t m)
{
    _mm_mask_storeu_epi16(p, NB_MASK_f64(m), _mm256_castsi256_si128(v));
}

/* ---- conversions ---- */
static NB_INLINE __m512 widen_f16(__m256i h)
{
    return _mm512_cvtph_ps(h);
}

static NB_INLINE __m256i narrow_f16(__m512 v)
{
    return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static NB_INLINE __m512 widen_bf16(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* The bf16 of each lane in its upper 16 bits, the lower ones undefined; nearest even, NaN
 * quiet. */
static NB_INLINE __m512i round_bf16(__m512 v)
{
    const __m512i b = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
    const __m512i r =
        _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(r, nan, b, _mm512_set1_epi32(0x400000));
}

static NB_INLINE __m256i narrow_bf16(__m512 v)
{
#if defined(__AVX512BF16__)
    return (__m256i)_mm512_cvtneps_pbh(v);
#else
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_bf16(v), 16));
#endif
}

static NB_INLINE __m512 wide_ps(__m256 v)
{
    return _mm512_castps256_ps512(v);
}

static NB_INLINE __m512d widen_half(__m512 v)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

/* ---- memory <-> vec, one element type a line ---- */
/* clang-format off */
#define NB_NATIVE(t, sfx, V, S)                                                          \
    static NB_INLINE V v_load_##t##_##t(const S *p) { return _mm512_loadu_##sfx(p); }    \
    static NB_INLINE V v_loadn_##t##_##t(const S *p, size_t m)                           \
    {                                                                                    \
        return _mm512_maskz_loadu_##sfx(NB_MASK_##t(m), p);                              \
    }                                                                                    \
    static NB_INLINE void v_store_##t##_##t(S *p, V v) { _mm512_storeu_##sfx(p, v); }    \
    static NB_INLINE void v_storen_##t##_##t(S *p, V v, size_t m)                        \
    {                                                                                    \
        _mm512_mask_storeu_##sfx(p, NB_MASK_##t(m), v);                                  \
    }                                                                                    \
    static NB_INLINE void v_stream_##t##_##t(S *p, V v) { _mm512_stream_##sfx(p, v); }
/* clang-format on */

#define NB_HALF(t)                                                                       \
    static NB_INLINE __m512 v_load_f32_##t(const uint16_t *p)                            \
    {                                                                                    \
        return widen_##t(h16_load(p));                                                   \
    }                                                                                    \
    static NB_INLINE __m512 v_loadn_f32_##t(const uint16_t *p, size_t m)                 \
    {                                                                                    \
        return widen_##t(h16_loadn(p, m));                                               \
    }                                                                                    \
    static NB_INLINE void v_store_f32_##t(uint16_t *p, __m512 v)                         \
    {                                                                                    \
        h16_store(p, narrow_##t(v));                                                     \
    }                                                                                    \
    static NB_INLINE void v_storen_f32_##t(uint16_t *p, __m512 v, size_t m)              \
    {                                                                                    \
        h16_storen(p, narrow_##t(v), m);                                                 \
    }                                                                                    \
    static NB_INLINE void v_stream_f32_##t(uint16_t *p, __m512 v)                        \
    {                                                                                    \
        h16_stream(p, narrow_##t(v));                                                    \
    }                                                                                    \
    static NB_INLINE __m512d v_load_f64_##t(const uint16_t *p)                           \
    {                                                                                    \
        return widen_half(widen_##t(h8_load(p)));                                        \
    }                                                                                    \
    static NB_INLINE __m512d v_loadn_f64_##t(const uint16_t *p, size_t m)                \
    {                                                                                    \
        return widen_half(widen_##t(h8_loadn(p, m)));                                    \
    }                                                                                    \
    static NB_INLINE void v_store_f64_##t(uint16_t *p, __m512d v)                        \
    {                                                                                    \
        h8_store(p, narrow_##t(wide_ps(_mm512_cvtpd_ps(v))));                            \
    }                                                                                    \
    static NB_INLINE void v_stream_f64_##t(uint16_t *p, __m512d v)                       \
    {                                                                                    \
        _mm_stream_si128((void *)p, _mm256_castsi256_si128(                              \
                                        narrow_##t(wide_ps(_mm512_cvtpd_ps(v)))));       \
    }                                                                                    \
    static NB_INLINE void v_storen_f64_##t(uint16_t *p, __m512d v, size_t m)             \
    {                                                                                    \
        h8_storen(p, narrow_##t(wide_ps(_mm512_cvtpd_ps(v))), m);                        \
    }

NB_NATIVE(f32, ps, __m512, float)
NB_NATIVE(f64, pd, __m512d, double)
NB_HALF(f16)
NB_HALF(bf16)

static NB_INLINE __m512d v_load_f64_f32(const float *p)
{
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
}

static NB_INLINE void v_stream_f64_f32(float *p, __m512d v)
{
    _mm256_stream_ps(p, _mm512_cvtpd_ps(v));
}

static NB_INLINE __m512d v_loadn_f64_f32(const float *p, size_t m)
{
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(NB_MASK_f64(m), p));
}

static NB_INLINE void v_store_f64_f32(float *p, __m512d v)
{
    _mm256_storeu_ps(p, _mm512_cvtpd_ps(v));
}

static NB_INLINE void v_storen_f64_f32(float *p, __m512d v, size_t m)
{
    _mm256_mask_storeu_ps(p, NB_MASK_f64(m), _mm512_cvtpd_ps(v));
}

/* ---- pairs: in order, but bf16 as even and odd elements, which costs a shift and a mask
 * ---- */
#define NB_PAIR(a, t, V, E)                                                              \
    static NB_INLINE void v_load2_##a##_##t(const E *p, V *v)                            \
    {                                                                                    \
        v[0] = v_load_##a##_##t(p);                                                      \
        v[1] = v_load_##a##_##t(p + NB_VL_##a);                                          \
    }                                                                                    \
    static NB_INLINE void v_store2_##a##_##t(E *p, const V *v)                           \
    {                                                                                    \
        v_store_##a##_##t(p, v[0]);                                                      \
        v_store_##a##_##t(p + NB_VL_##a, v[1]);                                          \
    }                                                                                    \
    static NB_INLINE void v_stream2_##a##_##t(E *p, const V *v)                          \
    {                                                                                    \
        v_stream_##a##_##t(p, v[0]);                                                     \
        v_stream_##a##_##t(p + NB_VL_##a, v[1]);                                         \
    }

NB_PAIR(f32, f32, __m512, float)
NB_PAIR(f32, f16, __m512, uint16_t)
NB_PAIR(f64, f64, __m512d, double)
NB_PAIR(f64, f32, __m512d, float)
NB_PAIR(f64, f16, __m512d, uint16_t)
NB_PAIR(f64, bf16, __m512d, uint16_t)

static NB_INLINE void v_load2_f32_bf16(const uint16_t *p, __m512 *v)
{
    const __m512i h = _mm512_loadu_si512(p);
    v[0] = _mm512_castsi512_ps(_mm512_slli_epi32(h, 16));
    v[1] = _mm512_castsi512_ps(_mm512_and_si512(h, _mm512_set1_epi32(-65536)));
}

/* even elements v[0] and odd ones v[1] as they lie in memory */
static NB_INLINE __m512i narrow2_bf16(const __m512 *v)
{
#if defined(__AVX512BF16__)
    const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
    const __m512i pair = _mm512_set1_epi32(0x00100000); /* element k of either half */
    const __m512i k = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i both = _mm512_add_epi16(pair, _mm512_mullo_epi32(k, _mm512_set1_epi32(0x00010001)));
    return _mm512_permutexvar_epi16(both, halves);
#else
    const __m512i even = _mm512_srli_epi32(round_bf16(v[0]), 16), odd = round_bf16(v[1]);
    return _mm512_mask_blend_epi16(0xaaaaaaaau, even, odd);
#endif
}

static NB_INLINE void v_store2_f32_bf16(uint16_t *p, const __m512 *v)
{
    _mm512_storeu_si512(p, narrow2_bf16(v));
}

static NB_INLINE void v_stream2_f32_bf16(uint16_t *p, const __m512 *v)
{
    _mm512_stream_si512((void *)p, narrow2_bf16(v));
}

#if defined(__AVX512BF16__)
/* s + x*w of 16 pairs: both products of a pair enter the same lane, one after the other */
static NB_INLINE __m512 v_dot_bf16(__m512 s, __m512i x, __m512i w)
{
    return _mm512_dpbf16_ps(s, (__m512bh)x, (__m512bh)w);
}

static NB_INLINE __m512i v_pairs_bf16(const uint16_t *p)
{
    return _mm512_loadu_si512(p);
}

static NB_INLINE __m512i v_pairsn_bf16(const uint16_t *p, size_t m) /* m <= 32, then zeros */
{
    return _mm512_maskz_loadu_epi16((__mmask32)((1ull << m) - 1), p);
}
#endif

/* ---- bits as they are: 64 bytes, or m < 64 / sizeof(T) elements ---- */
/* clang-format off */
#define NB_COPY(t, T)                                                                    \
    static NB_INLINE void v_copy_##t(T *y, const T *x)                                   \
    {                                                                                    \
        _mm512_storeu_si512(y, _mm512_loadu_si512(x));                                   \
    }                                                                                    \
    static NB_INLINE void v_copyn_##t(T *y, const T *x, size_t m)                        \
    {                                                                                    \
        const __mmask64 k = (1ull << (m * sizeof(T))) - 1;                               \
        _mm512_mask_storeu_epi8(y, k, _mm512_maskz_loadu_epi8(k, x));                    \
    }
/* clang-format on */

NB_COPY(f32, float)
NB_COPY(f64, double)
NB_COPY(f16, uint16_t)
NB_COPY(bf16, uint16_t)

static NB_INLINE void v_stream_fence(void)
{
    _mm_sfence();
}

#endif
