/* activations.h: what stands between the matrices of a block: activations, the gates of a GRU, softmax and sums, as plain loops that
 * the compiler vectorizes, built once for each ISA; and a product of matrices in double for experiments whose bits must not depend on it.
 *
 * Shapes    x, gate, y and all others [n], which do not overlap
 * Units     lengths in elements
 * Errors    |y - exact| of f32, u = 2^-24 (derivation: activations_unit.c). bf16: the same on the widened input, then one rounding,
 *           2^-8 |y| + 2^-134
 *             relu, leaky_relu   0, u |y|
 *             swish              6 u |y| + 2^-119
 *             glu, swiglu        6 u |y| + 2^-125 |x|,  7 u |y| + 2^-119 |gate|
 *             gelu_tanh          (6 + 5 |w| (1 - sigma(w))) u |y| + 2^-119,  w = 2 sqrt(2/pi) (x + 0.044715 x^3)
 *             gelu               22 u |x|
 *           and 2^-149 for all but relu, where results are subnormal */
#ifndef NB_ACTIVATIONS_H
#define NB_ACTIVATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nb_activation {
    NB_RELU,       /* max(x, 0) */
    NB_LEAKY_RELU, /* x, negative ones times 0.01 */
    NB_GELU,       /* x Phi(x), Phi by erf */
    NB_GELU_TANH,  /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    NB_SWISH,      /* x sigma(x) */
    NB_GLU,        /* x sigma(gate) */
    NB_SWIGLU,     /* swish(x) gate */
    NB_ACTIVATION_COUNT
};

/* One time step of a GRU over one row. x, h [3][n]: what the input and the state give to z, r and the candidate. */
struct nb_gru_row {
    const float *x, *h;
    const float *state;   /* [n] before the step */
    float *z, *r, *c;     /* [n] gates and candidate, for the way back */
    float *y;             /* [n] the state after it */
    const float *dy;      /* backward [n] */
    float *dx, *dh;       /* [3][n] gradients of x and h */
    float *dstate;        /* [n]: z dy, the direct way */
};

struct nb_loops {
    void (*activate)(enum nb_activation kind, size_t n, const float *x, const float *gate, float *y);
    void (*activate_bf16)(enum nb_activation kind, size_t n, const uint16_t *x, const uint16_t *gate, uint16_t *y);
    void (*gelu_back)(size_t n, const float *x, const float *dy, float *dx);
    void (*swiglu_back)(size_t n, const float *x, const float *gate, const float *dy, float *dx, float *dgate);
    void (*gru)(size_t n, const struct nb_gru_row *g);
    void (*gru_back)(size_t n, const struct nb_gru_row *g);
    void (*softmax)(size_t n, float *x); /* in place; n >= 1 */
    void (*add)(size_t n, const float *a, const float *b, float *y); /* y = a + b */
    void (*accumulate)(size_t n, const float *a, float *y);          /* y = y + a */
    void (*product)(double *c, const double *a, const double *b, size_t n, size_t k, size_t m); /* c [n][m] = a [n][k] b [k][m], each
                                                                                                 * sum in the order of k, no fma */
};

const char *nb_activation_name(enum nb_activation kind);
bool nb_activation_gated(enum nb_activation kind);

/* Of the ISA unit i that is built and runs here, from weak to strong; NULL: there are no more. */
const struct nb_loops *nb_loops_at(size_t i);
const struct nb_loops *nb_loops(void); /* the strongest. nb_cpu_init must have run */

#endif
