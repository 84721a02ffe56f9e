/* f64.h: a norm of rows (batchnorm: of columns) in double, forward and backward, by the plain kernels of this machine.
 *
 * Shapes  x, y, dy, dx [rows][hidden]; gamma, beta, dgamma, dbeta [hidden], NULL: ones, zeros, not wanted; mean, rstd [rows],
 *         batchnorm [hidden] */
#ifndef NB_F64_H
#define NB_F64_H

#include "call.h"

struct nb_f64_norm {
    const struct nb_kernel *forward, *backward;
    size_t rows, hidden, k; /* k: length of prmsnorm's prefix, 0 of the others */
    double eps;
};

/* layernorm, rmsnorm, prmsnorm or batchnorm (enum nb_op). nb_cpu_init must have run. */
struct nb_f64_norm nb_f64_norm(uint32_t op, size_t rows, size_t hidden, size_t k, double eps);
void nb_f64_forward(const struct nb_f64_norm *n, const double *x, const double *gamma, const double *beta, double *y, double *mean,
                    double *rstd);
void nb_f64_backward(const struct nb_f64_norm *n, const double *x, const double *gamma, const double *mean, const double *rstd,
                     const double *dy, double *dx, double *dgamma, double *dbeta);

/* The most by which rounding alone can move an element of the output y of a forward pass: in sums of at most `group` elements,
 * over an input each element of which is itself known to within u*terms*size only. magnitude: the largest size*rstd of an
 * element; largest: max |y|. Derivation in f64.c. */
double nb_f64_rounding(size_t group, size_t terms, double magnitude, double largest);

#endif
