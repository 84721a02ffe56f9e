/* nb_kernel.h: the public contract between a kernel and whoever calls it.
 *
 * A kernel normalizes a matrix of rows (tokens) of length hidden. It does no I/O, allocates nothing
 * and keeps no globals; its caller validates the problem once and hands over all memory.
 *
 * Shapes    x, residual, y, h, dy, dx, dres [rows][hidden] with row stride ldx (inputs) or ldy (outputs);
 *           gamma, beta, dgamma, dbeta [hidden], but of scalenorm gamma, dgamma [1]; dalpha [1]; mean, rstd [rows], or
 *           [rows][groups or heads]; batchnorm: mean, rstd, run_mean, run_var [hidden]
 * Units     lengths and strides in elements, never bytes; traffic in bytes
 * Types     dtype for tensors; param_dtype for gamma and beta (dtype itself or f32);
 *           mean, rstd and dalpha are f32 for f32, f16 and bf16 tensors, f64 for f64
 * Storage   f16 and bf16 travel as uint16_t
 * Aliasing  y may equal x; nothing else overlaps
 * Fused     forward of h = x + residual (deepnorm: alpha*x + residual), rounded to dtype: y = norm(h). fuse residual: h is
 *           written, postnorm: it is not
 * Backward  reads x, dy, gamma and the mean and rstd that a forward pass saved; writes dx, dgamma and dbeta (of param_dtype).
 *           deepnorm, fuse residual: x is h; dres is the gradient of h, rounded to dtype, dx = alpha*dres
 *           dyt: there are no statistics, and dalpha is written as well
 * Errors    run returns nothing: everything that can be wrong is found by supports() or by the caller
 */
#ifndef NB_KERNEL_H
#define NB_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NB_KERNEL_ABI 1u

enum nb_op {
    NB_OP_COPY,      /* y = x:                     a ceiling */
    NB_OP_SCALE,     /* y = a*x, a = alpha:        a ceiling */
    NB_OP_AFFINE,    /* y = a*x*gamma (+ beta):    a reference line */
    NB_OP_LAYERNORM, /* y = (x-mean)*rstd*gamma + beta, rstd = 1/sqrt(var + eps), var biased */
    NB_OP_RMSNORM,   /* y = x*rstd*gamma (+ beta),     rstd = 1/sqrt(mean(x^2) + eps) */
    NB_OP_PRMSNORM,  /* the same, the mean over x[0..k) alone: partial RMSNorm */
    NB_OP_GROUPNORM, /* layernorm of each of k equal parts of a row by itself; gamma and beta are those of the row */
    NB_OP_QKNORM,    /* rmsnorm of each k elements of a row, a head; gamma [k] is the same for all of them */
    NB_OP_BATCHNORM, /* layernorm down each column, over all rows; run_mean and run_var follow */
    NB_OP_BATCHNORM_INFER, /* the same with mean run_mean and var run_var, which are given */
    NB_OP_TRIAD,     /* a ceiling. Backward: dx = x + a*dy, a = alpha; fuse residual: dx = a*(x + dy), and dres = x + dy;
                      * forward, fused: y = a*(x + residual), and h */
    NB_OP_L2NORM,    /* y = x*rstd (+ beta),   rstd = 1/sqrt(sum(x^2) + eps); has no gamma, backward no dgamma or dbeta */
    NB_OP_SCALENORM, /* y = x*rstd*g (+ beta), the same rstd; g = gamma[0], one for all elements; backward no dbeta */
    NB_OP_DYT,       /* y = tanh(a*x)*gamma + beta, a = alpha: no norm, but in the place of one */
    NB_OP_DEEPNORM,  /* layernorm of h = alpha*x + residual; always fused */
    NB_OP_COUNT
};
enum nb_dir { NB_FWD, NB_BWD, NB_DIR_COUNT };
enum nb_fuse { NB_FUSE_NONE, NB_FUSE_RESIDUAL, NB_FUSE_POSTNORM, NB_FUSE_COUNT };
enum nb_dtype { NB_F32, NB_F64, NB_F16, NB_BF16, NB_DTYPE_COUNT };
enum nb_eps_mode { NB_EPS_INSIDE, NB_EPS_OUTSIDE }; /* 1/sqrt(v+eps) | 1/(sqrt(v)+eps) */
/* What is rounded to dtype: y alone | xhat = (x-mean)*rstd (dyt: tanh(a*x)) before gamma and beta are
 * applied, and y. The same thing where the arithmetic is in dtype itself. */
enum nb_order { NB_CAST_AFTER, NB_CAST_BEFORE };

/* What is to be computed. size is sizeof(struct nb_problem) of the caller's header: later fields
 * are only ever appended, so an older kernel reads a prefix. */
struct nb_problem {
    uint32_t size;
    uint32_t op, dir, fuse; /* enum nb_op, nb_dir, nb_fuse */
    uint32_t stats_out;     /* 1: write mean and rstd */
    uint32_t dtype, param_dtype;
    /* Norms and dyt only. gemma 1: gamma stands for 1 + gamma, added in the arithmetic type; a NULL
     * gamma is still all ones. */
    uint32_t eps_mode, order, gemma;
    size_t rows, hidden, ldx, ldy;
    size_t k; /* prmsnorm: length of the prefix, 1 to hidden; groupnorm: groups, a divisor of hidden; qknorm: length of
               * a head, a divisor; deepnorm: layers, which alpha is made of; 0 where the op has none */
    double eps, alpha, momentum;
};

/* Where the data lies. Unused pointers are NULL: a NULL gamma is all ones, a NULL beta all zeros.
 * The call computes slice part of parts of the rows: [rows*part/parts, rows*(part+1)/parts); batchnorm of the columns,
 * cut where it likes. */
struct nb_args {
    uint32_t size;
    uint32_t part, parts;
    const void *x, *residual, *gamma, *beta;
    void *y, *h, *mean, *rstd;
    void *run_mean, *run_var;
    const void *dy;
    void *dx, *dres, *dgamma, *dbeta;
    void *scratch; /* this part's own; scratch_bytes() long, 64-byte aligned */
    size_t scratch_step; /* bytes from a part's scratch to the next one's; reduce is given that of part 0 */
    void *dalpha;        /* dyt, backward: the gradient of alpha, a sum over all elements */
};

/* A-priori error bound on E (docs/numerics.md). c is the summation constant of the kernel's sums:
 * c(n) = c1*n/lanes + log2(lanes) + c0, where lanes is its number of independent partial sums. */
enum nb_bound_kind {
    NB_BOUND_EXACT,   /* the output is a copy */
    NB_BOUND_ROUND,   /* a fixed number of roundings, c0, and no sum */
    NB_BOUND_TWOPASS, /* mean, then centred sum of squares */
    NB_BOUND_ONEPASS, /* sum and sum of squares; valid while its conditioning allows */
    NB_BOUND_SHIFTED, /* the same on x - x[0] */
    NB_BOUND_WELFORD, /* updating formulas */
    NB_BOUND_RMS,     /* sum of squares only: no conditioning */
    NB_BOUND_GUARDED, /* the same on x - k, k being 0 or the median of x[0], x[n/2], x[n-1] if that lies
                       * within 4 standard deviations of the mean found, else that mean; y from
                       * (x-k)*rstd - d*rstd, d the mean of x - k */
    NB_BOUND_EITHER, /* that of TWOPASS or that of GUARDED, whichever is worse: a kernel that chooses */
    NB_BOUND_GRADIENT, /* dx from saved mean and rstd: sums of g and of g*xhat */
    NB_BOUND_GRADIENT_VARIANCE, /* from mean and variance, which rstd is turned into and back: sums of g and of g*(x-mean);
                                 * valid while the variance, eps included, is a normal number */
    NB_BOUND_KINDS
};
struct nb_bound {
    uint32_t kind;
    uint32_t range_safe; /* 1: may not over- or underflow inside where the result is finite */
    double c1, c0, lanes;
    double lambda; /* of the probabilistic bound: min(c, lambda*sqrt(c)) in place of c */
};

/* CPU features a kernel may need; kernels/cpu.h detects them. */
enum nb_cpu_bits {
    NB_CPU_AVX2 = 1u << 0, /* with FMA and F16C */
    NB_CPU_AVX512 = 1u << 1, /* F, BW, DQ, VL */
    NB_CPU_AVX512_BF16 = 1u << 2,
    NB_CPU_NEON = 1u << 3,
};

struct nb_kernel {
    uint32_t size;      /* sizeof(struct nb_kernel) */
    uint32_t op, dir, fuse, dtype;
    uint32_t cpu_bits;  /* all of these are needed */
    const char *name;   /* <op>_<dir>[_res|_postnorm]_<algo>__<dtype>_<isa>[_<trick>] */
    const char *algo, *isa, *trick; /* trick "" when there is none */
    const char *source; /* citation key, docs/numerics.md */
    uint32_t x_reads;   /* times x is read from its buffer */
    uint32_t flushes;   /* 1: treats subnormals as zero */
    uint32_t vector_bits; /* widest vector register the source asks for; 0: whatever the compiler chose */
    struct nb_bound bound;
    double flops;       /* floating-point operations per element, model */
    /* NULL result: the problem is supported; otherwise why not (a static string) */
    const char *(*supports)(const struct nb_problem *p);
    /* bytes of scratch one part needs; NULL function: none */
    size_t (*scratch_bytes)(const struct nb_problem *p, uint32_t parts);
    /* NULL: none, and run's state is the problem itself. Otherwise called once, in one thread, for all
     * a->parts slices (a->part is 0); finish undoes it. A NULL result: it cannot do it. Gamma and beta, and the
     * statistics that inference is given, are those that run will be given, and keep their values until finish; x, y and the other addresses may be
     * others in each call of run. It may allocate; its time is no part of run's. */
    void *(*prepare)(const struct nb_problem *p, const struct nb_args *a);
    void (*finish)(void *state);
    /* The slices of one call run on different threads at once, with one state, over the parts that prepare
     * was told. run works in the thread that called it, and starts no other. */
    void (*run)(const void *state, const struct nb_args *a);
    /* The same, when all slices have been run: what is summed over rows is put together, part of parts of the
     * columns each. NULL: nothing to do. */
    void (*reduce)(const void *state, const struct nb_args *a);
    uint32_t dy_reads; /* times dy is read from its buffer; forward 0 */
};

/* A table of kernels: what an ISA unit, a peer or a plugin exports. */
struct nb_kernel_table {
    uint32_t abi; /* NB_KERNEL_ABI */
    uint32_t count;
    const struct nb_kernel *kernels;
};

/* A plugin is a shared object that exports this one table; nothing of it runs until it is checked:
 *     const struct nb_kernel_table nb_plugin = {NB_KERNEL_ABI, count, kernels};
 * The caller copies the descriptors, reads `size` bytes of each and steps by the size of the first, so that a
 * plugin built with an older nb_kernel.h of the same ABI still fits. */
#define NB_PLUGIN_SYMBOL "nb_plugin"
#if defined(__GNUC__)
extern __attribute__((visibility("default"))) const struct nb_kernel_table nb_plugin;
#else
extern const struct nb_kernel_table nb_plugin;
#endif

#ifdef __cplusplus
}
#endif

#endif
