/* stamp.c: every kernel of one ISA; compiled once an ISA.
 *
 * Parameters, from the command line (cmake/isa.cmake):
 *   NB_ISA        the <isa> of kernel names
 *   NB_SIMD       the header of its vocabulary, "simd/<...>.h"
 *   NB_AUTOVEC    1: the scalar source, vectorized by the compiler
 *   NB_BF16_ONLY  1: an ISA that has something to add for bf16 alone
 *   NB_FLUSHES    1: its conversions treat subnormals as zero
 * Exports nb_table_<NB_ISA> and nothing else. */
#include "auto.h"
#include "nb_kernel.h"
#include "registry.h"
#include "support.h"

#include <stdlib.h>

#include NB_SIMD

enum { /* what the CPU must have */
#define NB_ISA_ROW(arch, name, bits, rank) nb_needs_##name = (bits),
#include "isas.def"
};

#define NB_OMPSIMD NB_AUTOVEC
#define NB_STREAMS (NB_VECTOR_BITS > 0)
#define NB_DOT NB_BF16_ONLY
#define NB_AUTO (!NB_AUTOVEC)
#define NB_LANES ((double)(VL * ACC))
/* Backward the whole vecs of a row's tail go to one of the ACC partial sums: so many additions more (rows4, which has two
 * of them: 1). */
#define NB_PILED (ACC - 1)
/* Of the probabilistic bound. Values with 8 or 11 bits repeat and make ties, whose roundings go one way. */
#define NB_LAMBDA (sizeof(elem) == 2 ? 12.0 : 4.0)
/* x - x[0] of 16-bit values lies on one coarse grid, and long sums of it stall: the worst case alone. */
#define NB_LAMBDA_SHIFTED (sizeof(elem) == 2 ? 0.0 : NB_LAMBDA)
/* squares of anything narrower than f64 stay in its range */
#define NB_F64_SAFE (sizeof(elem) < sizeof(double))
/* Most partial sums of any kernel that auto may choose, over the least, which it declares: rounding in more of them
 * costs their log2. A short row's kernels have VL, those of dot 4 VL. */
#define NB_AUTO_SPREAD (!NB_STREAMS ? 0 : ACC > 4 ? 3 : 2)
#define NB_AUTO_LANES ((double)VL)

#if NB_BF16_ONLY /* temporaries are f32 */
#define NB_DTYPE f32
#define NB_ARITH f32
#include "algo/row.inc"
#undef NB_DTYPE
#undef NB_ARITH
#else
#define NB_DTYPE f32
#include "algo/in_f32.inc"
#define NB_DTYPE f64
#include "algo/in_f64.inc"
#define NB_DTYPE f16
#include "algo/in_f32.inc"
#endif
#define NB_DTYPE bf16
#include "algo/in_f32.inc"

#if NB_AUTO
static void *auto_prepare(const struct nb_problem *p, const struct nb_args *a)
{
    return nb_auto_prepare(NB_STR(NB_ISA), p, a);
}
#endif

#define nb_scratch_none NULL
#define NB_ENUM_f32 NB_F32
#define NB_ENUM_f64 NB_F64
#define NB_ENUM_f16 NB_F16
#define NB_ENUM_bf16 NB_BF16

/* What every entry says. of_: what stands in the name between op and algorithm. */
#define NB_SAYS(op_, of_, OP_, DIR_, algo_, trick_, reads_, flops_, kind_, c1_, c0_, lanes_, lambda_, safe_, source_, \
                supports_, scratch_)                                                     \
    .size = sizeof(struct nb_kernel), .op = NB_OP_##OP_, .dir = NB_##DIR_,               \
    .dtype = NB_CAT2(NB_ENUM_, NB_DTYPE),                                                \
    .cpu_bits = NB_CAT2(nb_needs_, NB_ISA), .isa = NB_STR(NB_ISA),                       \
    .name = #op_ of_ #algo_ "__" NB_STR(NB_DTYPE) "_" NB_STR(NB_ISA) #trick_,            \
    .algo = #algo_,                                                                      \
    .trick = &"_" #trick_[sizeof("_" #trick_) > 2 ? 2 : 1],                              \
    .source = source_,                                                                   \
    .x_reads = reads_,                                                                   \
    .flushes = NB_FLUSHES && NB_OP_##OP_ != NB_OP_COPY,                                  \
    .bound = {NB_BOUND_##kind_, safe_, c1_, c0_, lanes_, lambda_},                       \
    .flops = flops_,                                                                     \
    .supports = nb_supports_##supports_,                                                 \
    .scratch_bytes = nb_scratch_##scratch_,

#define NB_ENTRY(op_, ...) NB_ENTRY_OF(op_, op_, __VA_ARGS__)
#define NB_ENTRY_OF(like_, op_, OP_, algo_, trick_, ...)                                 \
    {                                                                                    \
        NB_SAYS(op_, "_fwd_", OP_, FWD, algo_, trick_, __VA_ARGS__)                      \
        .vector_bits = NB_VECTOR_BITS,                                                   \
        .run = NB_FN(like_##_fwd_##algo_, trick_),                                       \
    },

/* With a state that prepare_ allocates in one piece. */
#define NB_READY_ENTRY(prepare_, op_, OP_, algo_, trick_, ...)                           \
    {                                                                                    \
        NB_SAYS(op_, "_fwd_", OP_, FWD, algo_, trick_, __VA_ARGS__)                      \
        .prepare = NB_FN(prepare_, ),                                                    \
        .finish = free,                                                                  \
        .vector_bits = NB_VECTOR_BITS,                                                   \
        .run = NB_FN(op_##_fwd_##algo_, trick_),                                         \
    },

/* Backward: the shares of the rows are put together by norm_bwd_reduce where there are any. */
#define NB_BWD_ENTRY(op_, OP_, like_, ...) NB_BACK_ENTRY(NONE, "_bwd_", op_, OP_, like_##_bwd, __VA_ARGS__)
/* With dres besides dx. */
#define NB_BWD_TWO_ENTRY(op_, OP_, of_, ...) NB_BACK_ENTRY(RESIDUAL, "_bwd_res_", op_, OP_, of_, __VA_ARGS__)
#define NB_BACK_ENTRY(FUSE_, dir_, op_, OP_, of_, algo_, trick_, reads_, dy_reads_, flops_, kind_, c1_, c0_, lanes_, lambda_, \
                      source_, supports_, scratch_, reduce_)                             \
    {                                                                                    \
        NB_SAYS(op_, dir_, OP_, BWD, algo_, trick_, reads_, flops_, kind_, c1_, c0_, lanes_, lambda_, 0, source_, \
                supports_, scratch_)                                                     \
        .fuse = NB_FUSE_##FUSE_,                                                         \
        .vector_bits = NB_VECTOR_BITS,                                                   \
        .run = NB_FN(of_##_##algo_, trick_),                                             \
        .reduce = reduce_,                                                               \
        .dy_reads = dy_reads_,                                                           \
    },

/* Of x + residual, which are read once. */
#define NB_SUM_ENTRY(op_, ...) NB_SUM_ENTRY_OF(op_, op_, __VA_ARGS__)
#define NB_SUM_ENTRY_OF(...) NB_FUSE_ENTRY(RESIDUAL, "_fwd_res_", __VA_ARGS__) NB_FUSE_ENTRY(POSTNORM, "_fwd_postnorm_", __VA_ARGS__)
#define NB_FUSE_ENTRY(FUSE_, of_, like_, op_, OP_, algo_, trick_, ...)                   \
    {                                                                                    \
        NB_SAYS(op_, of_, OP_, FWD, algo_, trick_, 1, __VA_ARGS__)                       \
        .fuse = NB_FUSE_##FUSE_,                                                         \
        .vector_bits = NB_VECTOR_BITS,                                                   \
        .run = NB_FN(like_##_fwd_res_##algo_, trick_),                                   \
    },

/* Its bound is the worst of those it may choose; it asks for no vectors itself. */
#define NB_AUTO_ENTRY(op_, OP_, reads_, flops_, kind_, c1_, c0_, lambda_)                \
    {                                                                                    \
        NB_SAYS(op_, "_fwd_", OP_, FWD, auto, , reads_, flops_, kind_, c1_, c0_ + NB_AUTO_SPREAD, NB_AUTO_LANES, lambda_, \
                0, "textbook", norm, none)                                               \
        .prepare = auto_prepare,                                                         \
        .finish = nb_auto_finish,                                                        \
        .run = NB_FN(op_##_fwd_auto, ),                                                  \
    },

static const struct nb_kernel kernels[] = {
#if !NB_BF16_ONLY
#define NB_DTYPE f32
#define NB_ARITH f32
#include "kernels.def"
#undef NB_DTYPE
#undef NB_ARITH
#define NB_DTYPE f64
#define NB_ARITH f64
#include "kernels.def"
#undef NB_DTYPE
#undef NB_ARITH
#define NB_DTYPE f16
#define NB_ARITH f32
#include "kernels.def"
#undef NB_DTYPE
#undef NB_ARITH
#endif
#define NB_DTYPE bf16
#define NB_ARITH f32
#include "kernels.def"
};

extern const struct nb_kernel_table NB_CAT2(nb_table_, NB_ISA);
const struct nb_kernel_table NB_CAT2(nb_table_, NB_ISA) = {
    NB_KERNEL_ABI, sizeof kernels / sizeof kernels[0], kernels};
