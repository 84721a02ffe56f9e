/* net.h: a small residual net with its norms before each block, in double, and the gradient of its loss.
 *
 *   h_0 = W_in x;   h_{l+1} = h_l + W2_l silu(W1_l norm(h_l) + b1_l), l < depth;   out = w_out . norm(h_depth)
 *   loss = mean over the batch of (out - t)^2
 *
 * norm is layernorm with gamma and beta, rmsnorm with gamma, or none (h itself), by the kernels of f64.h.
 *
 * Shapes  x [batch][inputs], t [batch]; theta: all parameters one behind the other, as nb_net_size lays them out
 * Source  pre-norm blocks: Xiong and others 2020 (arXiv 2002.04745); silu: z/(1 + exp(-z)) */
#ifndef NB_NET_H
#define NB_NET_H

#include "f64.h"

enum nb_net_norm { NB_NET_NONE, NB_NET_LAYERNORM, NB_NET_RMSNORM };

struct nb_net {
    enum nb_net_norm norm;
    size_t inputs, width, inner, depth; /* inner: of a block, between W1 and W2 */
    struct nb_f64_norm kernels; /* of one row */
};

/* eps of its norms is 1e-5. nb_cpu_init must have run. */
struct nb_net nb_net(enum nb_net_norm norm, size_t inputs, size_t width, size_t inner, size_t depth);

/* Parameters of a net. All norms have room for gamma and beta, so that nets of one shape have one layout; the gradient of what a
 * norm does not have is 0. */
size_t nb_net_size(const struct nb_net *net);

/* Weights evenly distributed, of variance 1/inputs of their matrix, gamma 1, biases 0: the same for each norm. */
void nb_net_draw(const struct nb_net *net, double *theta, unsigned long long *state);

/* The loss, and where gradient is not NULL its derivative to theta. work: nb_net_work() elements, of any content. */
size_t nb_net_work(const struct nb_net *net, size_t batch);
double nb_net_loss(const struct nb_net *net, const double *theta, const double *x, const double *t, size_t batch, double *work,
                   double *gradient);

/* One step, the step-th from 1 on, of n parameters each; first and second are 0 before the first one.
 * Adam: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1, beta 0.9 and 0.999, eps 1e-8. Momentum: gradient descent, 0.9. */
void nb_adam(size_t n, double *theta, const double *gradient, double *first, double *second, double rate, size_t step);
void nb_momentum(size_t n, double *theta, const double *gradient, double *first, double rate);

#endif
