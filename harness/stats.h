/* stats.h: statistics as pure functions of numbers. No I/O, no harness. */
#ifndef NB_STATS_H
#define NB_STATS_H

#include <stddef.h>

/* Sorts v in place. n >= 1. Even n: mean of the middle two. */
double nb_median(double *v, size_t n);

/* P(X <= k) for X ~ Binomial(n, 1/2), exact to rounding. */
double nb_binomial_half_cdf(size_t k, size_t n);

/* Order-statistic interval of the median: the narrowest [v(k), v(n+1-k)] whose exact confidence
 * 1 - 2 P(X <= k-1) is at least wanted. lo, hi are NAN and confidence 0 when n is too small
 * (for 0.95: n < 6). Sorts v in place. */
struct nb_interval {
    double median, lo, hi, confidence;
};
struct nb_interval nb_median_interval(double *v, size_t n, double wanted);

/* Row r of a Williams square of even order n, started from a seeded labelling: fills order[n] with a
 * permutation of 0..n-1. Over rows 0..n-1 every element stands once in each position and follows
 * each other element exactly once. Row r >= n wraps around. */
void nb_williams_row(size_t n, size_t r, unsigned long long seed, unsigned *order);

/* SplitMix64: the seeded generator of everything random in the harness. */
unsigned long long nb_random(unsigned long long *state);
void nb_shuffle(size_t *v, size_t n, unsigned long long *state);

#endif
