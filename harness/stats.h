/* stats.h: statistics as pure functions of numbers. No I/O, no harness. */
#ifndef NB_STATS_H
#define NB_STATS_H

#include <stddef.h>

/* Sorts v in place. n >= 1. Even n: mean of the middle two. */
double nb_median(double *v, size_t n);

/* Of files more are refused: 2^-n of them must be a number, and time grows by the square. */
enum { NB_PROCESSES_MOST = 10000 };

/* P(X <= k) for X ~ Binomial(n, 1/2), exact to rounding. */
double nb_binomial_half_cdf(size_t k, size_t n);

/* Order-statistic interval of the median: the narrowest [v(k), v(n+1-k)] whose exact
 * confidence 1 - 2 P(X <= k-1) is at least wanted. lo, hi are NAN and confidence 0 when n
 * is too small (for 0.95: n < 6). Sorts v in place. */
struct nb_interval {
    double median, lo, hi, confidence;
};
struct nb_interval nb_median_interval(double *v, size_t n, double wanted);

/* One-sided sign test of "the median lies above margin": P(X >= k) for X ~ Binomial(m,
 * 1/2), where k values lie above margin and m differ from it. 1 when m = 0. Exact,
 * whatever the distribution. A NAN is no value. */
double nb_sign_test(const double *v, size_t n, double margin);

/* Of "the median is margin": twice the lesser one-sided p-value, at most 1. Where no
 * value is equal to margin, it is <= alpha just where nb_median_interval, wanted 1 -
 * alpha, leaves margin out. */
double nb_sign_test_two_sided(const double *v, size_t n, double margin);

/* Holm's step-down adjusted p-values, in the order of p: rejecting where adjusted <=
 * alpha keeps the probability of any false rejection <= alpha, however the tests depend
 * on each other. NAN entries are no tests, do not count and stay NAN. adjusted may be p.
 */
void nb_holm(const double *p, size_t n, double *adjusted);

/* Hodges-Lehmann: median of the n(n+1)/2 Walsh averages (v[i] + v[j]) / 2, i <= j. n
 * >= 1. */
double nb_hodges_lehmann(const double *v, size_t n);

/* BCa bootstrap interval (Efron 1987) of a statistic, which may reorder its sample;
 * `median` is the statistic of v itself, confidence is wanted. The same seed gives the
 * same interval. Ties of a resample with the statistic count half in the bias correction;
 * the ends are interpolated between resamples. Approximate: at few values it covers less
 * than wanted. lo, hi are NAN where it cannot be formed: n < 2, all resamples alike or on
 * one side of the statistic, or an end beyond the outermost resample. */
struct nb_interval nb_bca(const double *v, size_t n,
                          double (*statistic)(double *sample, size_t n), double wanted,
                          size_t resamples, unsigned long long seed);

/* Standard deviation of one value, robust: Shamos's median of all |v[i] - v[j]|, i < j,
 * over its expectation for normal values, small n included. It stands a quarter of
 * outliers, and at the normal distribution needs 1.16 times the values of the standard
 * deviation. NAN for n < 2. */
double nb_spread(const double *v, size_t n);

/* Smallest shift of the median that a two-sided sign test at level alpha on n values of
 * that spread finds with that power. The values are normal; then one lies above zero with
 * p = Phi(shift/spread), and the power is the exact binomial sum. +inf where n values
 * cannot reach the level at all. n < 16000. */
double nb_detectable(double spread, size_t n, double alpha, double power);

/* The fewest values with which a shift delta is found so (one more may be one too few:
 * the level that n values reach goes up and down with n). Beyond 2000 by the asymptotic
 * relative efficiency 2/pi of the sign test: pi/2 ((z(1 - alpha/2) + z(power))
 * spread/delta)^2. SIZE_MAX: no number would do. */
size_t nb_blocks_needed(double spread, double delta, double alpha, double power);

/* The fewest values with which a two-sided sign test can reach the level: 2 * 2^-n <=
 * alpha. SIZE_MAX for alpha <= 0. */
size_t nb_blocks_least(double alpha);

/* Clopper and Pearson 1934: the exact interval of a share that was seen k times in n, two-sided. The median field is
 * k/n. Never too narrow. n >= 1. */
struct nb_interval nb_share_interval(size_t k, size_t n, double confidence);

/* P(Z <= z) of the standard normal distribution, and its inverse for 0 < p < 1. */
double nb_normal_cdf(double z);
double nb_normal_quantile(double p);
double nb_student_quantile(double p, size_t freedom); /* 0.5 < p < 1, freedom from 1 on */

/* Row r of a Williams square of even order n, started from a seeded labelling: fills
 * order[n] with a permutation of 0..n-1. Over rows 0..n-1 every element stands once in
 * each position and follows each other element exactly once. Row r >= n wraps around. */
void nb_williams_row(size_t n, size_t r, unsigned long long seed, unsigned *order);

/* SplitMix64: the seeded generator of everything random in the harness. */
unsigned long long nb_random(unsigned long long *state);
void nb_shuffle(size_t *v, size_t n, unsigned long long *state);

#endif
