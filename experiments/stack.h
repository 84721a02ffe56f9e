/* stack.h: a deep stack of residual layers in double, forward and backward, to see at initialization what norms and their
 * places do to signals and gradients.
 *
 * Model    depth layers of two sublayers each, attention and a feed-forward, without biases. W_Q = W_K = 0: every token attends to
 *          all tokens of its sequence alike, so that attention is their mean times W_V times W_O. Feed-forward: ReLU(s W_1) W_2.
 *          A sublayer f makes of its input x
 *            none      x + f(x)
 *            pre       x + f(N(x))
 *            post      N(x + f(x))
 *            deepnorm  N(alpha*x + f(x))
 *          N has no gamma and no beta: at initialization they are one and zero. Behind the last layer: N (pre alone), then W_C, and
 *          the mean over all tokens of the cross-entropy with their labels.
 * Weights  independent N(0, (beta/sqrt(d))^2), W_C N(0, 1/d), in double; of one seed those of a lower stack are the first ones of a
 *          higher. Inputs N(0,1), labels uniform
 * Shapes   x [rows][d], rows = batch*tokens; W_V, W_O, W_1, W_2 [d][d], W_C [d][classes]
 * Memory   weights, and the input of each sublayer; all else is computed again on the way back
 * Source   Xiong et al. 2020, arXiv:2002.04745, section 3 (the model, none but W_O and deepnorm); Wang et al. 2022,
 *          arXiv:2203.00555 (deepnorm) */
#ifndef NB_STACK_H
#define NB_STACK_H

#include "nb_kernel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nb_stack_scheme { NB_STACK_NONE, NB_STACK_PRE, NB_STACK_POST, NB_STACK_DEEPNORM, NB_STACK_SCHEMES };

/* The matrices of a layer, in the order in which they lie in memory. */
enum nb_stack_weight { NB_STACK_V, NB_STACK_O, NB_STACK_W1, NB_STACK_W2, NB_STACK_WEIGHTS };

struct nb_stack_config {
    enum nb_stack_scheme scheme;
    uint32_t op; /* NB_OP_LAYERNORM or NB_OP_RMSNORM; of none: whatever */
    size_t depth, d, tokens, batch, classes;
    double alpha, beta, eps;
};

struct nb_stack {
    struct nb_stack_config c;
    uint64_t seed;
    size_t rows;
    const struct nb_kernel *forward, *backward; /* the norm; none: NULL */
    double *weights; /* [depth][NB_STACK_WEIGHTS][d][d], then W_C */
    double *x;       /* [2*depth + 1][rows][d]: the input of each sublayer, and what the last one leaves */
    double *logits;  /* [rows][classes] */
    size_t *labels;  /* [rows] */
    struct nb_stack_pass *pass; /* of one sublayer at a time */
    bool (*stop)(void);         /* asked before each sublayer; what comes after true is void. NULL: nobody asks */
};

/* NULL: not enough memory. nb_cpu_init must have run. */
struct nb_stack *nb_stack_new(const struct nb_stack_config *c, uint64_t seed);
void nb_stack_free(struct nb_stack *s); /* NULL: nothing */

/* What nb_stack_new asks for, but for what does not grow with the depth. */
double nb_stack_bytes(const struct nb_stack_config *c);

/* Matrix i: layer i/NB_STACK_WEIGHTS has four, W_C is the last one. Its elements. */
size_t nb_stack_matrices(const struct nb_stack *s);
double *nb_stack_matrix(const struct nb_stack *s, size_t i);
size_t nb_stack_elements(const struct nb_stack *s, size_t i);

/* The loss; logits are written. */
double nb_stack_forward(struct nb_stack *s);

/* After nb_stack_forward: gradients of the loss, from the last matrix down. `each` is given the gradient of matrix i when nothing
 * needs that matrix any more, so that it may change it: no second set of weights is ever kept. */
typedef void nb_stack_each(void *context, size_t i, double *weights, const double *gradient, size_t elements);
void nb_stack_backward(struct nb_stack *s, nb_stack_each *each, void *context);

/* sqrt(sum of v^2) without leaving the range on the way: gradients of a stack of a thousand layers do. */
double nb_stack_norm(const double *v, size_t n);

/* c [n][m] = a [n][k] times b [k][m]; a row's sum is in the order of k. Nothing overlaps. */
void nb_stack_multiply(double *c, const double *a, const double *b, size_t n, size_t k, size_t m);

#endif
