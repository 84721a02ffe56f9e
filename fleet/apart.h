/* apart.h: may two medians over processes be told apart by their intervals? Pure
 * functions; derivation: docs/compare.md. */
#ifndef NB_APART_H
#define NB_APART_H

#include <stddef.h>

/* k of the interval [v_(k), v_(n+1-k)] of n sorted values that the tables hold
 * (docs/schema.md): the narrowest of a confidence of 95 % or more. 0: n values have none.
 */
size_t nb_apart_order(size_t n);

/* Probability that [v_(k), v_(n+1-k)] of n values and [w_(l), w_(m+1-l)] of m others have
 * no point in common, where all n + m come from one continuous distribution, whatever it
 * is. 1 <= k <= n/2, 1 <= l <= m/2. */
double nb_apart_level(size_t n, size_t k, size_t m, size_t l);

/* The widest order statistics have the least level: of n values each, the least n whose
 * level is at most this. SIZE_MAX: none below 500. */
size_t nb_apart_needed(double level);

#endif
