/* reference.h: the oracle. Double in, double-double out; error metrics; a-priori bounds.
 * Depends on libc only and shares no code with what it judges: the values of x, gamma and beta
 * arrive already widened to double, bounds as plain numbers. */
#ifndef NB_REFERENCE_H
#define NB_REFERENCE_H

#include <stddef.h>

struct nb_dd {
    double hi, lo; /* value = hi + lo, |lo| <= ulp(hi)/2 */
};

enum nb_ref_op {
    NB_REF_COPY, NB_REF_SCALE, NB_REF_AFFINE, /* no statistics */
    NB_REF_DYT, /* tanh(alpha*x)*gamma + beta: nor here */
    NB_REF_LAYERNORM, NB_REF_RMSNORM,
    NB_REF_PRMSNORM, /* the mean square of x[0..k) */
    NB_REF_L2NORM, NB_REF_SCALENORM, /* the sum of squares in place of its mean; scalenorm: gamma has one element */
    NB_REF_GIVEN /* layernorm with mean and var given */
};
static inline int nb_ref_is_norm(enum nb_ref_op op)
{
    return op >= NB_REF_LAYERNORM;
}
static inline int nb_ref_is_sum(enum nb_ref_op op)
{
    return op == NB_REF_L2NORM || op == NB_REF_SCALENORM;
}
/* Which element of gamma is that of element i. */
static inline size_t nb_ref_gamma_at(enum nb_ref_op op, size_t i)
{
    return op == NB_REF_SCALENORM ? 0 : i;
}

struct nb_ref_row {
    enum nb_ref_op op;
    size_t n;            /* row length, >= 1 */
    const double *x;     /* [n] */
    const double *gamma; /* [n], scalenorm [1], or NULL: ones */
    const double *beta;  /* [n] or NULL: zeros */
    double eps, alpha;   /* alpha: the factor of scale, affine and dyt */
    int eps_outside;     /* rstd = 1/(sqrt(var)+eps), not 1/sqrt(var+eps) */
    int gemma;           /* gamma stands for 1 + gamma */
    int cast_before;     /* a 16-bit output may have rounded xhat (dyt: the tanh) before it was multiplied by gamma */
    size_t k;            /* prmsnorm: 1 to n; others: not looked at */
    double mean, var;    /* given: finite, var + eps > 0; others: not looked at */
};

/* What the row is like; every quantity in double, computed from the exact result.
 * Where rstd is infinite (eps 0 and no spread) the conditioning numbers are infinite; what leaves
 * the range of double is Inf or 0. Copy, scale, affine and dyt have no statistics: all is 0 but x_max,
 * x_sum_abs, sq_sum and finite. In a row that is not finite what has no value is NaN.
 * prmsnorm: var, k2, k2_shift, x_sum_abs and sq_sum are of the prefix, the rest of the row. l2norm, scalenorm: k2 and
 * k2_shift are sqrt(n) times smaller than rmsnorm's. given: nothing is summed; k1 = |mean| rstd, xhat_max and x_max are of
 * the finite elements, and so is what is said of the row. */
struct nb_ref_stats {
    struct nb_dd mean, var, rstd; /* without mean: mean 0, var = mean square, or the sum of squares */
    double widen;     /* rstd without eps over rstd, where eps stands outside the root; else 1 */
    double k1;        /* mean|x|*rstd: conditioning of the mean (layernorm; else 0) */
    double k2;        /* sqrt(mean(x^2))*rstd: of one-pass variance */
    double k2_shift;  /* sqrt(mean((x-x[0])^2))*rstd: of shifted one-pass variance */
    double xhat_max;  /* max |x-mean|*rstd (rmsnorm: max |x|*rstd) */
    double x_max;     /* max |x| */
    double x_sum_abs; /* sum |x| */
    double sq_sum;    /* sum of x^2 (may be inf) */
    double centred_sq_sum; /* sum of (x-mean)^2; layernorm */
    int finite;       /* 0: some x is not finite */
};

/* y [n] receives the exact result rounded to double-double. NaN and Inf follow the formulas:
 * a layernorm row with any non-finite x is all NaN. */
void nb_ref_forward(const struct nb_ref_row *r, struct nb_dd *y, struct nb_ref_stats *s);

/* tanh(z); slope, unless NULL, receives 1 - tanh(z)^2. Error: at most 2^-101 and 2^-101 (1 + |z|) of the result, where it is above
 * 2^-900. Odd, at most 1, NaN of NaN. */
struct nb_dd nb_ref_tanh(struct nb_dd z, struct nb_dd *slope);

/* Type in which an output is stored, as numbers. */
struct nb_ref_type {
    double u;        /* unit roundoff the metric is scaled with: 2^-24 (f32, f16, bf16), 2^-53 (f64) */
    double eta;      /* smallest subnormal of the arithmetic: 2^-149, 2^-1074; smallest normal if flushed */
    double u_out;    /* 0 for f32 and f64; 2^-11 (f16), 2^-8 (bf16): half a unit in the last place */
    double eta_out;  /* 0; 2^-24 (f16), 2^-133 (bf16) */
    double max_out;  /* largest finite value */
    int precision;   /* significand bits with the hidden one: 24, 53, 11, 8 */
    int min_exp;     /* exponent of the smallest normal: -126, -1022, -14, -126 */
};

enum { NB_REF_ULP_BINS = 28 }; /* [0,1/2], (1/2,1], (1,2], (2,4], ...; the last is open */

struct nb_ref_error {
    double E_max, E_p99; /* numerics.md section 1; finite elements only */
    size_t worst;        /* index of E_max */
    double ulp_max;      /* units in the last place of the output type, where |ref| >= 2^-6 max|ref| */
    double normwise;     /* max|got-ref| / max|ref|; Inf where all of ref is 0 and got is not */
    double rms;          /* sqrt(mean (got-ref)^2) / sqrt(mean ref^2); the same */
    size_t nonfinite;    /* elements where got and expected disagree about NaN, Inf or its sign */
    size_t compared;     /* elements that entered the figures above: finite on both sides */
    double share, share_likely; /* largest error over what the limits allow; 1 is the edge */
    double teeth, teeth_likely; /* an error of |w|*max(1,|xhat|) over what the limits allow, at best: up to 1
                                 * any output would pass */
    size_t ulp[NB_REF_ULP_BINS]; /* elements that entered ulp_max, by their error */
};

/* A bound's kind and constants, as in nb_kernel.h, arriving as plain numbers. */
enum nb_ref_bound_kind {
    NB_REF_BOUND_EXACT,
    NB_REF_BOUND_ROUND,
    NB_REF_BOUND_TWOPASS,
    NB_REF_BOUND_ONEPASS,
    NB_REF_BOUND_SHIFTED,
    NB_REF_BOUND_WELFORD,
    NB_REF_BOUND_RMS,
    NB_REF_BOUND_GUARDED,
    NB_REF_BOUND_EITHER,
    NB_REF_BOUND_GRADIENT, /* of dx: backward.h */
    NB_REF_BOUND_GRADIENT_VARIANCE
};
struct nb_ref_bound {
    enum nb_ref_bound_kind kind;
    double c1, c0, lanes;
    int range_safe;
    double lambda; /* of the probabilistic bound; 0: none, likely is the worst case */
};

/* Limits of one row: E of the output, and errors of saved statistics. */
struct nb_ref_limit {
    double E;    /* as nb_ref_error gives it */
    double body; /* of E without the rounding to a 16-bit output, which an element is allowed besides */
    double mean; /* in units of u*mean|x|; layernorm */
    double rstd; /* in units of u*rstd */
};
struct nb_ref_limits {
    struct nb_ref_limit worst;  /* whatever the signs of the rounding errors */
    struct nb_ref_limit likely; /* while they are independent: data without structure */
};

enum nb_ref_hazard {
    NB_REF_INSIDE,   /* the bound's precondition holds: the limits stand */
    NB_REF_UNSTABLE, /* its conditioning precondition fails: any error is expected */
    NB_REF_OVERFLOW  /* an intermediate leaves the range of the arithmetic (over- or underflow) */
};

/* arith_max, arith_min: largest finite and smallest normal number of the kernel's arithmetic. */
enum nb_ref_hazard nb_ref_limit(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                                const struct nb_ref_type *t, const struct nb_ref_bound *b,
                                double arith_max, double arith_min,
                                struct nb_ref_limits *limits);

/* got [n], widened to double by the caller. scratch [n] doubles, for the percentile. limits may be
 * NULL: no shares then. */
void nb_ref_judge(const struct nb_ref_row *r, const struct nb_dd *y, const struct nb_ref_stats *s,
                  const struct nb_ref_type *t, const struct nb_ref_limits *limits,
                  const double *got, double *scratch, struct nb_ref_error *e);

/* Errors of saved statistics in the units of struct nb_ref_limit; 0 where neither is finite,
 * Inf where only one is. */
double nb_ref_mean_error(const struct nb_ref_row *r, const struct nb_ref_stats *s,
                         const struct nb_ref_type *t, double mean);
double nb_ref_rstd_error(const struct nb_ref_stats *s, const struct nb_ref_type *t, double rstd);

/* Rounds a double-double once to the type, nearest even, subnormals and overflow included. */
double nb_ref_round(struct nb_dd v, const struct nb_ref_type *t);

/* The four output types, by name: "f32", "f64", "f16", "bf16"; NULL: unknown. */
const struct nb_ref_type *nb_ref_type_find(const char *name);

#endif
