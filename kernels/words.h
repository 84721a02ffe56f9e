/* words.h: the names templates are written in, resolved for the stamp in progress.
 *
 * A template in algo/ is C text stamped once per (NB_DTYPE, NB_ARITH) in each ISA unit.
 * It says elem, real, vec, VL, v_add, row_sum; this page turns those into elem_bf16,
 * float, vec_f32, ..., so that one text serves every type and ISA.
 *
 * Parameters, defined by stamp.c before a template is included:
 *   NB_ISA     avx512, ...: the <isa> of kernel names
 *   NB_DTYPE   f32, f64, f16, bf16: how tensors are stored
 *   NB_ARITH   f32, f64: what is computed in
 * and by simd/<isa>.h: the words below for every type, NB_VL_*, NB_ACC_*, NB_BLK. */
#ifndef NB_WORDS_H
#define NB_WORDS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NB_INLINE inline __attribute__((always_inline))
/* A row loop: one copy a unit, however many kernels call it. */
#define NB_ROW_LOOP static __attribute__((noinline, unused))

#define NB_CAT2_(a, b) a##b
#define NB_CAT3_(a, b, c) a##b##c
#define NB_CAT4_(a, b, c, d) a##b##c##d
#define NB_CAT6_(a, b, c, d, e, f) a##b##c##d##e##f
#define NB_CAT2(a, b) NB_CAT2_(a, b)
#define NB_CAT3(a, b, c) NB_CAT3_(a, b, c)
#define NB_CAT4(a, b, c, d) NB_CAT4_(a, b, c, d)
#define NB_CAT6(a, b, c, d, e, f) NB_CAT6_(a, b, c, d, e, f)
#define NB_STR_(a) #a
#define NB_STR(a) NB_STR_(a)

typedef float elem_f32;
typedef double elem_f64;
typedef uint16_t elem_f16;
typedef uint16_t elem_bf16;
typedef float real_f32;
typedef double real_f64;
typedef float stat_f32, stat_f16, stat_bf16; /* type of a stored mean or rstd */
typedef double stat_f64;

#define elem NB_CAT2(elem_, NB_DTYPE)
#define stat NB_CAT2(stat_, NB_DTYPE)
#define real NB_CAT2(real_, NB_ARITH)
#define NB_REAL_MAX NB_CAT2(NB_REAL_MAX_, NB_ARITH)
#define NB_REAL_MAX_f32 FLT_MAX
#define NB_REAL_MAX_f64 DBL_MAX
#define vec NB_CAT2(vec_, NB_ARITH)
/* Of 24 (53) significant bits, the last of which counts 1: added to a number it rounds it to a whole one, n, and its
 * last bits are n. */
#define NB_MAGIC NB_CAT2(NB_MAGIC_, NB_ARITH)
#define NB_MAGIC_f32 0x1.8p23f
#define NB_MAGIC_f64 0x1.8p52

#define VL NB_CAT2(NB_VL_, NB_ARITH)   /* elements of a vec */
#define ACC NB_CAT2(NB_ACC_, NB_ARITH) /* independent partial sums, in vecs */
#define BLK NB_BLK                     /* vecs loaded before any of them is stored */
/* Of a buffer for a vec: VL may be unknown when compiling. */
#define NB_LANES_MAX (256 / sizeof(real))

/* ---- words of the arithmetic type ---- */
#define NB_OF_ARITH(w) NB_CAT3(w, _, NB_ARITH)
#define v_set1 NB_OF_ARITH(v_set1)
#define v_add NB_OF_ARITH(v_add)
#define v_sub NB_OF_ARITH(v_sub)
#define v_mul NB_OF_ARITH(v_mul)
#define v_div NB_OF_ARITH(v_div)
#define v_sqrt NB_OF_ARITH(v_sqrt)
#define v_max NB_OF_ARITH(v_max) /* v_max(NaN, b) is b */
/* The same of a constant a: autovec without a branch, which gcc makes a path of its own of, and no vectors. */
#define v_atleast NB_OF_ARITH(v_atleast)
#define v_abs NB_OF_ARITH(v_abs)
#define v_fma NB_OF_ARITH(v_fma)   /* a*b + c; scalar.h rounds twice */
#define v_copysign NB_OF_ARITH(v_copysign) /* |a| with the sign of b */
#define v_pow2 NB_OF_ARITH(v_pow2) /* of NB_MAGIC + n: 2^n for -126 <= n (f64: -1022), 0 for one less */
#define v_keep NB_OF_ARITH(v_keep) /* first m lanes, the others 0 */
#define v_turn NB_OF_ARITH(v_turn) /* turned around by m < VL lanes: lane l is lane (l + m) % VL of a */
#define v_hsum NB_OF_ARITH(v_hsum) /* lanes half of them apart first, then a quarter, and so on */
#define v_hmax NB_OF_ARITH(v_hmax)
#define v_hsum4 NB_OF_ARITH(v_hsum4) /* of each of 4 vecs; SIMD alone */
#define r_tanh NB_OF_ARITH(r_tanh) /* libm's */
#define r_cosh NB_OF_ARITH(r_cosh)
#define r_sqrt NB_OF_ARITH(r_sqrt)
#define r_pow2_floor NB_OF_ARITH(r_pow2_floor)

/* ---- words of the storage type: memory <-> vec ---- */
#define NB_OF_BOTH(w, dtype) NB_CAT6(w, _, NB_ARITH, _, dtype, )
#define v_load NB_OF_BOTH(v_load, NB_DTYPE)
#define v_store NB_OF_BOTH(v_store, NB_DTYPE)
#define v_loadn NB_OF_BOTH(v_loadn, NB_DTYPE)   /* m < VL elements, the other lanes 0 */
#define v_storen NB_OF_BOTH(v_storen, NB_DTYPE) /* m < VL elements */
/* 2*VL elements as two vecs in an order of the ISA's choice; v_store2 takes the same. */
#define v_load2 NB_OF_BOTH(v_load2, NB_DTYPE)
#define v_store2 NB_OF_BOTH(v_store2, NB_DTYPE)
/* Non-temporal: VL elements, so aligned. */
#define v_stream NB_OF_BOTH(v_stream, NB_DTYPE)
#define v_stream2 NB_OF_BOTH(v_stream2, NB_DTYPE) /* as v_store2 */
/* Bits as they are: NB_COPY_LANES(elem) elements, or m fewer ones. */
#define v_copy NB_CAT3(v_copy, _, NB_DTYPE)
#define v_copyn NB_CAT3(v_copyn, _, NB_DTYPE)
/* temporaries */
#define v_load_real NB_CAT6(v, _load_, NB_ARITH, _, NB_ARITH, )
#define v_store_real NB_CAT6(v, _store_, NB_ARITH, _, NB_ARITH, )
#define v_loadn_real NB_CAT6(v, _loadn_, NB_ARITH, _, NB_ARITH, )
#define v_storen_real NB_CAT6(v, _storen_, NB_ARITH, _, NB_ARITH, )
/* gamma and beta kept in f32 */
#define v_load_as_f32 NB_CAT6(v, _load_, NB_ARITH, _, f32, )
#define v_loadn_as_f32 NB_CAT6(v, _loadn_, NB_ARITH, _, f32, )
#define v_store_as_f32 NB_CAT6(v, _store_, NB_ARITH, _, f32, )
#define v_storen_as_f32 NB_CAT6(v, _storen_, NB_ARITH, _, f32, )

/* ---- functions a template defines ---- */
#define NB_LOCAL(w) NB_CAT6(w, __, NB_DTYPE, _, NB_ARITH, )
#define NB_FN(base, trick) NB_CAT6(base, __, NB_DTYPE, _, NB_ISA, trick)
#define by_group NB_CAT2(by_group__, NB_DTYPE)
#define by_head NB_CAT2(by_head__, NB_DTYPE)
#define by_sum NB_CAT2(by_sum__, NB_DTYPE)
#define add_row NB_CAT2(add_row__, NB_DTYPE)
#define add_alpha NB_CAT2(add_alpha__, NB_DTYPE)
#define nb_rows NB_LOCAL(nb_rows)
#define rows_begin NB_LOCAL(rows_begin)
#define rows_stats NB_LOCAL(rows_stats)
#define rows_rstd NB_LOCAL(rows_rstd)
#define row_den NB_LOCAL(row_den)
#define row_gain NB_LOCAL(row_gain)
#define rows_factor NB_LOCAL(rows_factor)
#define rows_divisor NB_LOCAL(rows_divisor)
#define row_den_scaled NB_LOCAL(row_den_scaled)
#define row_first NB_LOCAL(row_first)
#define block_load NB_LOCAL(block_load)
#define block_store NB_LOCAL(block_store)
#define block_stream NB_LOCAL(block_stream)
#define acc_sum NB_LOCAL(acc_sum)
#define row_sums NB_LOCAL(row_sums)
#define row_acc NB_LOCAL(row_acc)
#define acc_begin NB_LOCAL(acc_begin)
#define acc_part NB_LOCAL(acc_part)
#define acc_block NB_LOCAL(acc_block)
#define acc_blocks NB_LOCAL(acc_blocks)
#define acc_few NB_LOCAL(acc_few)
#define acc_before NB_LOCAL(acc_before)
#define acc_head NB_LOCAL(acc_head)
#define acc_tail NB_LOCAL(acc_tail)
#define acc_end NB_LOCAL(acc_end)
#define sums_term NB_LOCAL(sums_term)
#define sums_step NB_LOCAL(sums_step)
#define row_reduce NB_LOCAL(row_reduce)
#define row_sum NB_LOCAL(row_sum)
#define row_squares NB_LOCAL(row_squares)
#define row_centred_squares NB_LOCAL(row_centred_squares)
#define row_both NB_LOCAL(row_both)
#define row_shifted_both NB_LOCAL(row_shifted_both)
#define row_scaled_squares NB_LOCAL(row_scaled_squares)
#define row_max_abs NB_LOCAL(row_max_abs)
#define param_load NB_LOCAL(param_load)
#define gamma_load NB_LOCAL(gamma_load)
#define param_block NB_LOCAL(param_block)
#define as_stored NB_LOCAL(as_stored)
#define tanh_parts NB_LOCAL(tanh_parts)
#define tanh_split NB_LOCAL(tanh_split)
#define tanh_q NB_LOCAL(tanh_q)
#define tanh_of NB_LOCAL(tanh_of)
#define tanh_libm NB_LOCAL(tanh_libm)
#define bend NB_LOCAL(bend)
#define bend_of NB_LOCAL(bend_of)
#define bend_libm NB_LOCAL(bend_libm)
#define dyt_any NB_LOCAL(dyt_any)
#define dyt_row NB_LOCAL(dyt_row)
#define dyt_write NB_LOCAL(dyt_write)
#define dyt_back NB_LOCAL(dyt_back)
#define dyt_back_any NB_LOCAL(dyt_back_any)
#define dyt_back_of NB_LOCAL(dyt_back_of)
#define scale_row NB_LOCAL(scale_row)
#define row_map NB_LOCAL(row_map)
#define vec_map NB_LOCAL(vec_map)
#define map_lanes NB_LOCAL(map_lanes)
#define ceiling_begin NB_LOCAL(ceiling_begin)
#define scale_streamed NB_LOCAL(scale_streamed)
#define before_vector NB_LOCAL(before_vector)
#define affine_blocked NB_LOCAL(affine_blocked)
#define affine_streamed NB_LOCAL(affine_streamed)
#define affine_four NB_LOCAL(affine_four)
#define affine_stream NB_LOCAL(affine_stream)
#define affine_by_four NB_LOCAL(affine_by_four)
#define affine_by_stream NB_LOCAL(affine_by_stream)
#define apply_step NB_LOCAL(apply_step)
#define apply_span NB_LOCAL(apply_span)
#define apply_block NB_LOCAL(apply_block)
#define row_median NB_LOCAL(row_median)
#define centre NB_LOCAL(centre)
#define centre_about NB_LOCAL(centre_about)
#define centre_again NB_LOCAL(centre_again)
#define centre_good NB_LOCAL(centre_good)
#define centre_map NB_LOCAL(centre_map)
#define apply_part NB_LOCAL(apply_part)
#define apply_row NB_LOCAL(apply_row)
#define apply_any NB_LOCAL(apply_any)
#define apply_scaled NB_LOCAL(apply_scaled)
#define apply_centred NB_LOCAL(apply_centred)
#define apply_centred_by NB_LOCAL(apply_centred_by)
#define apply_divided NB_LOCAL(apply_divided)
#define apply_divided_by NB_LOCAL(apply_divided_by)
#define apply_centred_divided NB_LOCAL(apply_centred_divided)
#define apply_centred_divided_by NB_LOCAL(apply_centred_divided_by)
#define apply_prescaled NB_LOCAL(apply_prescaled)
#define apply_prescaled_by NB_LOCAL(apply_prescaled_by)
#define apply_moved NB_LOCAL(apply_moved)
#define apply_moved_by NB_LOCAL(apply_moved_by)
#define apply_scaled_by NB_LOCAL(apply_scaled_by)
#define prim_get NB_LOCAL(prim_get)
#define prim_put NB_LOCAL(prim_put)
#define prim_step NB_LOCAL(prim_step)
#define prim_row NB_LOCAL(prim_row)
#define prim_in NB_LOCAL(prim_in)
#define prim_out NB_LOCAL(prim_out)
#define prim_rows NB_LOCAL(prim_rows)
#define prim_rows_plain NB_LOCAL(prim_rows_plain)
#define prim_rows_any NB_LOCAL(prim_rows_any)
#define prim_finish NB_LOCAL(prim_finish)
#define moments NB_LOCAL(moments)
#define moments_merge NB_LOCAL(moments_merge)
#define moments_of_lanes NB_LOCAL(moments_of_lanes)
#define moments_of_tail NB_LOCAL(moments_of_tail)
#define welford_step NB_LOCAL(welford_step)
#define row_welford NB_LOCAL(row_welford)
#define running_step NB_LOCAL(running_step)
#define row_running_squares NB_LOCAL(row_running_squares)
#define tuned_pivot NB_LOCAL(tuned_pivot)
#define tuned_map NB_LOCAL(tuned_map)
#define tuned_stats NB_LOCAL(tuned_stats)
#define tuned_before NB_LOCAL(tuned_before)
#define tuned_apply NB_LOCAL(tuned_apply)
#define tuned_plain NB_LOCAL(tuned_plain)
#define tuned_pipe NB_LOCAL(tuned_pipe)
#define tuned_lines NB_LOCAL(tuned_lines)
#define tuned_rows8 NB_LOCAL(tuned_rows8)
#define rows8_tiles NB_LOCAL(rows8_tiles)
#define rows8_rows NB_LOCAL(rows8_rows)
#define rows8_columns NB_LOCAL(rows8_columns)
#define rows4_rows NB_LOCAL(rows4_rows)
#define tuned_rows4 NB_LOCAL(tuned_rows4)
#define dot_sums NB_LOCAL(dot_sums)
#define tuned_dot NB_LOCAL(tuned_dot)
#define rows4 NB_LOCAL(rows4)
#define rows4_at NB_LOCAL(rows4_at)
#define rows4_sums NB_LOCAL(rows4_sums)
#define rows4_stats NB_LOCAL(rows4_stats)
#define rows4_plain NB_LOCAL(rows4_plain)
#define rows4_part NB_LOCAL(rows4_part)
#define fetch_ahead NB_LOCAL(fetch_ahead)
#define pipe_row NB_LOCAL(pipe_row)
#define pipe_rows NB_LOCAL(pipe_rows)
#define triad_row NB_LOCAL(triad_row)
#define triad_rows NB_LOCAL(triad_rows)
#define add_few NB_LOCAL(add_few)
#define add_vec NB_LOCAL(add_vec)
#define triad_two NB_LOCAL(triad_two)
#define add_block NB_LOCAL(add_block)
#define add_sum_block NB_LOCAL(add_sum_block)
#define add_reduce NB_LOCAL(add_reduce)
#define add_begin NB_LOCAL(add_begin)
#define add_at NB_LOCAL(add_at)
#define add_streams NB_LOCAL(add_streams)
#define add_onepass NB_LOCAL(add_onepass)
#define add_guarded NB_LOCAL(add_guarded)
#define apply_streamed NB_LOCAL(apply_streamed)
#define apply_streamed_by NB_LOCAL(apply_streamed_by)
#define apply_moved_streamed NB_LOCAL(apply_moved_streamed)
#define apply_moved_streamed_by NB_LOCAL(apply_moved_streamed_by)
#define add_median NB_LOCAL(add_median)
#define add_scale_vec NB_LOCAL(add_scale_vec)
#define add_scale_block NB_LOCAL(add_scale_block)
#define add_scale_stream NB_LOCAL(add_scale_stream)
#define add_scale_few NB_LOCAL(add_scale_few)
#define add_scale_row NB_LOCAL(add_scale_row)
#define add_scale_rows NB_LOCAL(add_scale_rows)
#define nb_back NB_LOCAL(nb_back)
#define back_sums NB_LOCAL(back_sums)
#define back_map NB_LOCAL(back_map)
#define back_lanes NB_LOCAL(back_lanes)
#define back_begin NB_LOCAL(back_begin)
#define back_spread NB_LOCAL(back_spread)
#define back_stats NB_LOCAL(back_stats)
#define back_means NB_LOCAL(back_means)
#define back_load NB_LOCAL(back_load)
#define back_xhat NB_LOCAL(back_xhat)
#define back_xhat_of NB_LOCAL(back_xhat_of)
#define back_g NB_LOCAL(back_g)
#define back_sum NB_LOCAL(back_sum)
#define back_reduce NB_LOCAL(back_reduce)
#define back_dx NB_LOCAL(back_dx)
#define real_load NB_LOCAL(real_load)
#define real_store NB_LOCAL(real_store)
#define back_write NB_LOCAL(back_write)
#define back_apply NB_LOCAL(back_apply)
#define back_twopass NB_LOCAL(back_twopass)
#define back_naive NB_LOCAL(back_naive)
#define back_twopass_any NB_LOCAL(back_twopass_any)
#define back_twopass_of NB_LOCAL(back_twopass_of)
#define back_naive_any NB_LOCAL(back_naive_any)
#define back_naive_of NB_LOCAL(back_naive_of)
#define back_columns NB_LOCAL(back_columns)
#define back_block NB_LOCAL(back_block)
#define back_rows4 NB_LOCAL(back_rows4)
#define back_rows1 NB_LOCAL(back_rows1)
#define back_rows4_any NB_LOCAL(back_rows4_any)
#define back_rows4_of NB_LOCAL(back_rows4_of)
#define back_acc NB_LOCAL(back_acc)
#define back_columns_sum NB_LOCAL(back_columns_sum)
#define back_columns_sums NB_LOCAL(back_columns_sums)
#define back_prim NB_LOCAL(back_prim)
#define back_piece NB_LOCAL(back_piece)
#define back_all NB_LOCAL(back_all)
#define back_scale NB_LOCAL(back_scale)
#define back_span NB_LOCAL(back_span)
#define back_columns_span NB_LOCAL(back_columns_span)
#define back_unfused NB_LOCAL(back_unfused)
#define param_store NB_LOCAL(param_store)
#define back_total NB_LOCAL(back_total)
#define nb_cols NB_LOCAL(nb_cols)
#define cols_panel NB_LOCAL(cols_panel)
#define cols_first NB_LOCAL(cols_first)
#define cols_param NB_LOCAL(cols_param)
#define cols_begin NB_LOCAL(cols_begin)
#define cols_x NB_LOCAL(cols_x)
#define cols_y NB_LOCAL(cols_y)
#define cols_total NB_LOCAL(cols_total)
#define cols_zero NB_LOCAL(cols_zero)
#define cols_add NB_LOCAL(cols_add)
#define cols_scan NB_LOCAL(cols_scan)
#define cols_sum NB_LOCAL(cols_sum)
#define cols_shifted_squares NB_LOCAL(cols_shifted_squares)
#define cols_both NB_LOCAL(cols_both)
#define cols_shifted_both NB_LOCAL(cols_shifted_both)
#define cols_update NB_LOCAL(cols_update)
#define cols_welford NB_LOCAL(cols_welford)
#define cols_den NB_LOCAL(cols_den)
#define cols_gamma NB_LOCAL(cols_gamma)
#define cols_beta NB_LOCAL(cols_beta)
#define cols_running NB_LOCAL(cols_running)
#define cols_known NB_LOCAL(cols_known)
#define cols_finish NB_LOCAL(cols_finish)
#define cols_apply_block NB_LOCAL(cols_apply_block)
#define cols_apply_all NB_LOCAL(cols_apply_all)
#define cols_apply NB_LOCAL(cols_apply)
#define cols_scale NB_LOCAL(cols_scale)
#define cols_twopass NB_LOCAL(cols_twopass)
#define cols_naive NB_LOCAL(cols_naive)
#define cols_naive_all NB_LOCAL(cols_naive_all)
#define cols_prim_step NB_LOCAL(cols_prim_step)
#define cols_prim_all NB_LOCAL(cols_prim_all)
#define cols_prim NB_LOCAL(cols_prim)
#define cols_sums_of NB_LOCAL(cols_sums_of)
#define cols_prim_finish NB_LOCAL(cols_prim_finish)
#define cols_infer NB_LOCAL(cols_infer)
#define cols_infer_naive NB_LOCAL(cols_infer_naive)
#define cols_fold NB_LOCAL(cols_fold)
#define cols_ready NB_LOCAL(cols_ready)
#define cols_xhat NB_LOCAL(cols_xhat)
#define cols_back_add NB_LOCAL(cols_back_add)
#define cols_back_sums NB_LOCAL(cols_back_sums)
#define cols_back_finish NB_LOCAL(cols_back_finish)
#define cols_back_block NB_LOCAL(cols_back_block)
#define cols_back_apply NB_LOCAL(cols_back_apply)
#define cols_back NB_LOCAL(cols_back)
#define cols_back_naive NB_LOCAL(cols_back_naive)
#define cols_back_naive_all NB_LOCAL(cols_back_naive_all)
#define two_sum NB_LOCAL(two_sum)
#define compensated NB_LOCAL(compensated)
#define compensated_total NB_LOCAL(compensated_total)
#define accurate_sum NB_LOCAL(accurate_sum)
#define accurate_squares NB_LOCAL(accurate_squares)
/* row_sum of temporaries */
#define real_sum NB_CAT6(row, _sum__, NB_ARITH, _, NB_ARITH, )

/* Elements that whole steps cover. */
#define NB_WHOLE(n, step) ((n) - (n) % (step))

/* Iterations do not depend on each other: y equals x or does not overlap it, the rest is
 * read only. */
#if !NB_AUTOVEC
#define NB_INDEPENDENT
#elif defined(__clang__)
#define NB_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define NB_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* What row_reduce sums. */
enum {
    NB_SUM = 1,
    NB_SQUARES = 2,
    NB_SHIFT = 4,
    NB_SCALED = 8,
};
/* Sums that a whole op needs, and sizes of the tuned kernels. */
enum {
    NB_RMS = NB_SQUARES,
    NB_GUARDED = NB_SUM | NB_SQUARES | NB_SHIFT,
    NB_TWOPASS = NB_SQUARES | NB_SHIFT,
    NB_ROWS8 = 8,
    NB_TILE = 256,   /* columns */
    NB_STRETCH = 1024, /* elements, no more than nb_scratch_fused() gives */
    NB_AHEAD = 2048, /* bytes of x fetched ahead of the sums */
    NB_TURN = 2,     /* vectors summed, then vectors written, in turn */
};
#define NB_STEP ((size_t)(ACC * VL)) /* elements of one step of a sum */
/* How y is made of x; constants wherever a loop is stamped. */
enum {
    NB_CENTRE = 1,
    NB_PRESCALE = 2,
    NB_DIVIDE = 4,
    NB_GAMMA = 8,
    NB_BETA = 16,
    NB_PARAMS = NB_GAMMA | NB_BETA,
    NB_PARAM_F32 = 32,
    NB_MOVE = 64, /* xhat = v*r + m */
    NB_STREAM = 128, /* non-temporal stores */
    /* options, told apart at run time */
    NB_ONE_PLUS = 256, /* of gamma */
    NB_CAST_XHAT = 512,
    NB_BEHIND = 2048, /* backward: behind the prefix that the statistic is of */
    NB_GAIN = 4096, /* backward: gamma is a factor of the row, 1 or its one element; no column has a dgamma */
    NB_BY_ROW = 8192, /* rows4: sums side by side, written row by row */
    NB_TANH = 16384, /* dyt: of x*r, tanh.inc */
    NB_LIBM = 32768, /* by the C library, an element at a time */
    NB_LINES = 65536, /* each row of x and y begins with a line; of sums, too */
    NB_OPTIONS = NB_ONE_PLUS | NB_CAST_XHAT,
};
enum { NB_AFFINE_ROWS = 4 };
enum { NB_COLS = 8, NB_COLS_APPLY = 4 }; /* rows of a block whose columns are summed, or written */
enum { NB_BACK_ROWS = 4, NB_BACK_SUMS = 2 }; /* rows of a block backward, and partial sums of each, in vecs */
/* One primitive operation of a framework, with NB_PARAM_F32 and the options. */
enum {
    NB_SUBTRACT,
    NB_DIVIDE_BY,
    NB_SQUARE,
    NB_TIMES,
    NB_PLUS,
    NB_PRIMITIVE = 7,
    NB_FROM_X = 64,
    NB_TO_Y = 128,
    NB_FROM_DY = 1024, /* the second operand is a row of dy */
    NB_MATRIX = 4096,  /* batchnorm: the second operand has rows, too */
};

/* Before loops over arrays of vecs: gcc then unrolls them early enough to keep the vecs
 * in registers. */
#if defined(__clang__)
#define NB_UNROLL
#else
#define NB_UNROLL _Pragma("GCC unroll 8")
#endif

/* ---- scalars of a row ---- */
static NB_INLINE float r_tanh_f32(float a)
{
    return tanhf(a);
}

static NB_INLINE double r_tanh_f64(double a)
{
    return tanh(a);
}

static NB_INLINE float r_cosh_f32(float a)
{
    return coshf(a);
}

static NB_INLINE double r_cosh_f64(double a)
{
    return cosh(a);
}

static NB_INLINE float r_sqrt_f32(float a)
{
    return __builtin_sqrtf(a);
}

static NB_INLINE double r_sqrt_f64(double a)
{
    return __builtin_sqrt(a);
}

/* Largest power of two <= a (a >= 0, finite), kept normal with its reciprocal. */
static NB_INLINE float r_pow2_floor_f32(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits &= 0x7f800000u;
    memcpy(&a, &bits, sizeof bits);
    return a < 0x1p-126f ? 0x1p-126f : a > 0x1p126f ? 0x1p126f : a;
}

static NB_INLINE double r_pow2_floor_f64(double a)
{
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits &= 0x7ff0000000000000u;
    memcpy(&a, &bits, sizeof bits);
    return a < 0x1p-1022 ? 0x1p-1022 : a > 0x1p1022 ? 0x1p1022 : a;
}

#endif
