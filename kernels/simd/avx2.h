/* avx2.h: the vocabulary on 32-byte vectors; AVX2, FMA, F16C. Tails use VMASKMOV, or a
 * small buffer where elements have 16 bits, so no byte beyond them is touched. */
#ifndef NB_SIMD_AVX2_H
#define NB_SIMD_AVX2_H

#include <immintrin.h>

#include "words.h"

#define NB_VL_f32 8
#define NB_VL_f64 4
#define NB_ACC_f32 4 /* sum and sum of squares together take 8 of 16 registers */
#define NB_ACC_f64 4
#define NB_BLK 4
#define NB_VECTOR_BITS 256
#define NB_COPY_LANES(T) (32 / sizeof(T))

typedef __m256 vec_f32;
typedef __m256d vec_f64;

/* All ones in the first m lanes. */
static NB_INLINE __m256i mask_f32(size_t m)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)m), lane);
}

static NB_INLINE __m256i mask_f64(size_t m)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)m),
                              _mm256_setr_epi64x(0, 1, 2, 3));
}

static NB_INLINE __m256 as_f32(__m256i v)
{
    return _mm256_castsi256_ps(v);
}

static NB_INLINE __m256d as_f64(__m256i v)
{
    return _mm256_castsi256_pd(v);
}

/* clang-format off */
#define NB_WORDS(t, sfx, V, S)                                                           \
    static NB_INLINE V v_set1_##t(S a) { return _mm256_set1_##sfx(a); }                  \
    static NB_INLINE V v_add_##t(V a, V b) { return _mm256_add_##sfx(a, b); }            \
    static NB_INLINE V v_sub_##t(V a, V b) { return _mm256_sub_##sfx(a, b); }            \
    static NB_INLINE V v_mul_##t(V a, V b) { return _mm256_mul_##sfx(a, b); }            \
    static NB_INLINE V v_div_##t(V a, V b) { return _mm256_div_##sfx(a, b); }            \
    static NB_INLINE V v_sqrt_##t(V a) { return _mm256_sqrt_##sfx(a); }                  \
    static NB_INLINE V v_max_##t(V a, V b) { return _mm256_max_##sfx(a, b); }            \
    static NB_INLINE V v_atleast_##t(V a, V b) { return v_max_##t(a, b); }               \
    static NB_INLINE V v_abs_##t(V a)                                                    \
    {                                                                                    \
        return _mm256_andnot_##sfx(_mm256_set1_##sfx((S)-0.0), a);                       \
    }                                                                                    \
    static NB_INLINE V v_copysign_##t(V a, V b)                                          \
    {                                                                                    \
        const V sign = _mm256_set1_##sfx((S)-0.0);                                       \
        return _mm256_or_##sfx(_mm256_andnot_##sfx(sign, a), _mm256_and_##sfx(sign, b)); \
    }                                                                                    \
    static NB_INLINE V v_fma_##t(V a, V b, V c) { return _mm256_fmadd_##sfx(a, b, c); }  \
    static NB_INLINE V v_keep_##t(V a, size_t m)                                         \
    {                                                                                    \
        return _mm256_and_##sfx(a, as_##t(mask_##t(m)));                                 \
    }
/* clang-format on */

NB_WORDS(f32, ps, __m256, float)
NB_WORDS(f64, pd, __m256d, double)

static NB_INLINE __m256 v_turn_f32(__m256 a, size_t m)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_permutevar8x32_ps(a, _mm256_add_epi32(lane, _mm256_set1_epi32((int)m)));
}

static NB_INLINE __m256d v_turn_f64(__m256d a, size_t m)
{
    return _mm256_castps_pd(v_turn_f32(_mm256_castpd_ps(a), 2 * m));
}

static NB_INLINE __m256 v_pow2_f32(__m256 a)
{
    return as_f32(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(a), 23), _mm256_set1_epi32(0x3f800000)));
}

static NB_INLINE __m256d v_pow2_f64(__m256d a)
{
    return as_f64(_mm256_add_epi64(_mm256_slli_epi64(_mm256_castpd_si256(a), 52), _mm256_set1_epi64x(0x3ff0000000000000)));
}

#define NB_HORIZONTAL(name, op, op1)                                                     \
    static NB_INLINE float name##_f32(__m256 a)                                          \
    {                                                                                    \
        __m128 h = op##_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));      \
        h = op##_ps(h, _mm_movehl_ps(h, h));                                             \
        return _mm_cvtss_f32(op1##_ss(h, _mm_movehdup_ps(h)));                           \
    }                                                                                    \
    static NB_INLINE double name##_f64(__m256d a)                                        \
    {                                                                                    \
        __m128d h = op##_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));     \
        return _mm_cvtsd_f64(op1##_sd(h, _mm_unpackhi_pd(h, h)));                        \
    }

NB_HORIZONTAL(v_hsum, _mm_add, _mm_add)
NB_HORIZONTAL(v_hmax, _mm_max, _mm_max)

/* Transposed: in each half the vecs' partial sums side by side, then the halves. */
static NB_INLINE void v_hsum4_f32(const __m256 *v, float *sums)
{
    const __m256 ab = _mm256_hadd_ps(v[0], v[1]), cd = _mm256_hadd_ps(v[2], v[3]);
    const __m256 h = _mm256_hadd_ps(ab, cd);
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

static NB_INLINE void v_hsum4_f64(const __m256d *v, double *sums)
{
    for (int k = 0; k < 4; k++)
        sums[k] = v_hsum_f64(v[k]);
}

/* ---- up to 8 elements of 16 bits ---- */
static NB_INLINE __m128i h8_load(const uint16_t *p)
{
    return _mm_loadu_si128((const void *)p);
}

/* One by itself: a row's pivot waits for it, and a load of 16 bytes would wait for the stores of t to leave. */
static NB_INLINE __m128i h8_loadn(const uint16_t *p, size_t m)
{
    if (m == 1)
        return _mm_cvtsi32_si128(*p);
    uint16_t t[8] = {0};
    for (size_t i = 0; i < m; i++)
        t[i] = p[i];
    return h8_load(t);
}

static NB_INLINE __m128i h4_load(const uint16_t *p)
{
    return _mm_loadl_epi64((const void *)p);
}

static NB_INLINE void h8_store(uint16_t *p, __m128i v)
{
    _mm_storeu_si128((void *)p, v);
}

static NB_INLINE void h8_storen(uint16_t *p, __m128i v, size_t m)
{
    uint16_t t[8];
    h8_store(t, v);
    for (size_t i = 0; i < m; i++)
        p[i] = t[i];
}

static NB_INLINE void h4_store(uint16_t *p, __m128i v)
{
    _mm_storel_epi64((void *)p, v);
}

static NB_INLINE void h8_stream(uint16_t *p, __m128i v)
{
    _mm_stream_si128((void *)p, v);
}

/* ---- conversions ---- */
static NB_INLINE __m256 widen_f16(__m128i h)
{
    return _mm256_cvtph_ps(h);
}

static NB_INLINE __m128i narrow_f16(__m256 v)
{
    return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static NB_INLINE __m256 widen_bf16(__m128i h)
{
    return as_f32(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* The bf16 of each lane in its upper 16 bits, the lower ones undefined; nearest even, NaN
 * quiet. */
static NB_INLINE __m256i round_bf16(__m256 v)
{
    const __m256i b = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    const __m256i r =
        _mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(b, _mm256_set1_epi32(0x400000));
    const __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    return _mm256_castps_si256(_mm256_blendv_ps(as_f32(r), as_f32(quiet), nan));
}

static NB_INLINE __m128i narrow_bf16(__m256 v)
{
    const __m256i r = _mm256_srli_epi32(round_bf16(v), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}

static NB_INLINE __m256d widen_half(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

static NB_INLINE __m256 narrow_half(__m256d v)
{
    return _mm256_castps128_ps256(_mm256_cvtpd_ps(v));
}

/* ---- memory <-> vec, one element type a line ---- */
/* clang-format off */
#define NB_NATIVE(t, sfx, V, S)                                                          \
    static NB_INLINE V v_load_##t##_##t(const S *p) { return _mm256_loadu_##sfx(p); }    \
    static NB_INLINE V v_loadn_##t##_##t(const S *p, size_t m)                           \
    {                                                                                    \
        return _mm256_maskload_##sfx(p, mask_##t(m));                                    \
    }                                                                                    \
    static NB_INLINE void v_store_##t##_##t(S *p, V v) { _mm256_storeu_##sfx(p, v); }    \
    static NB_INLINE void v_storen_##t##_##t(S *p, V v, size_t m)                        \
    {                                                                                    \
        _mm256_maskstore_##sfx(p, mask_##t(m), v);                                       \
    }                                                                                    \
    static NB_INLINE void v_stream_##t##_##t(S *p, V v) { _mm256_stream_##sfx(p, v); }
/* clang-format on */

#define NB_HALF(t)                                                                       \
    static NB_INLINE __m256 v_load_f32_##t(const uint16_t *p)                            \
    {                                                                                    \
        return widen_##t(h8_load(p));                                                    \
    }                                                                                    \
    static NB_INLINE __m256 v_loadn_f32_##t(const uint16_t *p, size_t m)                 \
    {                                                                                    \
        return widen_##t(h8_loadn(p, m));                                                \
    }                                                                                    \
    static NB_INLINE void v_store_f32_##t(uint16_t *p, __m256 v)                         \
    {                                                                                    \
        h8_store(p, narrow_##t(v));                                                      \
    }                                                                                    \
    static NB_INLINE void v_storen_f32_##t(uint16_t *p, __m256 v, size_t m)              \
    {                                                                                    \
        h8_storen(p, narrow_##t(v), m);                                                  \
    }                                                                                    \
    static NB_INLINE void v_stream_f32_##t(uint16_t *p, __m256 v)                        \
    {                                                                                    \
        h8_stream(p, narrow_##t(v));                                                     \
    }                                                                                    \
    static NB_INLINE __m256d v_load_f64_##t(const uint16_t *p)                           \
    {                                                                                    \
        return widen_half(widen_##t(h4_load(p)));                                        \
    }                                                                                    \
    static NB_INLINE __m256d v_loadn_f64_##t(const uint16_t *p, size_t m)                \
    {                                                                                    \
        return widen_half(widen_##t(h8_loadn(p, m)));                                    \
    }                                                                                    \
    static NB_INLINE void v_store_f64_##t(uint16_t *p, __m256d v)                        \
    {                                                                                    \
        h4_store(p, narrow_##t(narrow_half(v)));                                         \
    }                                                                                    \
    static NB_INLINE void v_stream_f64_##t(uint16_t *p, __m256d v)                       \
    {                                                                                    \
        _mm_stream_si64((void *)p, _mm_cvtsi128_si64(narrow_##t(narrow_half(v))));       \
    }                                                                                    \
    static NB_INLINE void v_storen_f64_##t(uint16_t *p, __m256d v, size_t m)             \
    {                                                                                    \
        h8_storen(p, narrow_##t(narrow_half(v)), m);                                     \
    }

NB_NATIVE(f32, ps, __m256, float)
NB_NATIVE(f64, pd, __m256d, double)
NB_HALF(f16)
NB_HALF(bf16)

static NB_INLINE __m256d v_load_f64_f32(const float *p)
{
    return _mm256_cvtps_pd(_mm_loadu_ps(p));
}

static NB_INLINE void v_stream_f64_f32(float *p, __m256d v)
{
    _mm_stream_ps(p, _mm256_cvtpd_ps(v));
}

static NB_INLINE __m256d v_loadn_f64_f32(const float *p, size_t m)
{
    return _mm256_cvtps_pd(_mm_maskload_ps(p, _mm256_castsi256_si128(mask_f32(m))));
}

static NB_INLINE void v_store_f64_f32(float *p, __m256d v)
{
    _mm_storeu_ps(p, _mm256_cvtpd_ps(v));
}

static NB_INLINE void v_storen_f64_f32(float *p, __m256d v, size_t m)
{
    _mm_maskstore_ps(p, _mm256_castsi256_si128(mask_f32(m)), _mm256_cvtpd_ps(v));
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

NB_PAIR(f32, f32, __m256, float)
NB_PAIR(f32, f16, __m256, uint16_t)
NB_PAIR(f64, f64, __m256d, double)
NB_PAIR(f64, f32, __m256d, float)
NB_PAIR(f64, f16, __m256d, uint16_t)
NB_PAIR(f64, bf16, __m256d, uint16_t)

static NB_INLINE void v_load2_f32_bf16(const uint16_t *p, __m256 *v)
{
    const __m256i h = _mm256_loadu_si256((const void *)p);
    v[0] = as_f32(_mm256_slli_epi32(h, 16));
    v[1] = as_f32(_mm256_and_si256(h, _mm256_set1_epi32(-65536)));
}

static NB_INLINE __m256i narrow2_bf16(const __m256 *v)
{
    const __m256i even = _mm256_srli_epi32(round_bf16(v[0]), 16), odd = round_bf16(v[1]);
    return _mm256_blend_epi16(even, odd, 0xaa);
}

static NB_INLINE void v_store2_f32_bf16(uint16_t *p, const __m256 *v)
{
    _mm256_storeu_si256((void *)p, narrow2_bf16(v));
}

static NB_INLINE void v_stream2_f32_bf16(uint16_t *p, const __m256 *v)
{
    _mm256_stream_si256((void *)p, narrow2_bf16(v));
}

/* ---- bits as they are: 32 bytes, or m < 32 / sizeof(T) elements ---- */
/* clang-format off */
#define NB_COPY(t, T)                                                                    \
    static NB_INLINE void v_copy_##t(T *y, const T *x)                                   \
    {                                                                                    \
        _mm256_storeu_si256((void *)y, _mm256_loadu_si256((const void *)x));             \
    }                                                                                    \
    static NB_INLINE void v_copyn_##t(T *y, const T *x, size_t m)                        \
    {                                                                                    \
        for (size_t i = 0; i < m; i++)                                                   \
            y[i] = x[i];                                                                 \
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
