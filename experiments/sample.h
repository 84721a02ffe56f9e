/* sample.h: rows of random numbers, memory for them, and what a row is like. */
#ifndef NB_SAMPLE_H
#define NB_SAMPLE_H

#include "nb_kernel.h"

#include <stddef.h>

/* Zeroed memory that begins with a line of the cache; free() it. Aborts where there is none. */
void *nb_sample_room(size_t bytes);

/* N(0,1), by Marsaglia's polar method from nb_random's state (stats.h): pairs, of which the last may be cut. */
void nb_sample_gauss(double *v, size_t n, unsigned long long *state);

/* One of them. */
double nb_gauss(unsigned long long *state);

/* 1/sqrt(chi^2/3) of three degrees of freedom: N(0,1) times this is Student's t of three. The third moment of that does not
 * exist: the heaviest tails with a variance that a whole number of degrees has. */
double nb_sample_heavy(unsigned long long *state);

/* Mean, biased variance, and the standardized third and fourth central moments. */
struct nb_row_shape {
    double mean, variance, skewness, kurtosis;
};
struct nb_row_shape nb_row_shape(const double *v, size_t n);

/* The kernels of an op, forward, without a residual, of this program, of a dtype, that run here: calls visit with each and gives
 * their number. */
size_t nb_sample_kernels(uint32_t op, uint32_t dtype, void (*visit)(const struct nb_kernel *k, void *context), void *context);

/* A table of parameters and their number, as struct nb_experiment has them. */
#define NB_TABLE(t) t, sizeof t / sizeof *t

/* As fmax, but what is no number counts as infinite. */
double nb_worse(double worst, double error);

#endif
