#include "apart.h"
#include "err.h"
#include "stats.h"

#include <math.h>
#include <stdint.h>

static const double ALPHA = 0.05; /* of the intervals in the tables */

size_t nb_apart_order(size_t n)
{
    size_t k = 0;
    while (2 * (k + 1) <= n && 1 - 2 * nb_binomial_half_cdf(k, n) >= 1 - ALPHA)
        k++;
    return k;
}

static double log_choose(size_t n, size_t k)
{
    return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
}

/* P(v_(r) < w_(s)): r or more of the n values v lie below w_(s). All orders of the n + m
 * values are equally likely; j of the v stand below w_(s) in C(j + s - 1, j) C(n - j + m
 * - s, n - j) of the C(n + m, n). */
static double below(size_t n, size_t r, size_t m, size_t s)
{
    double sum = 0;
    for (size_t j = r; j <= n; j++)
        sum += exp(log_choose(j + s - 1, j) + log_choose(n - j + m - s, n - j) -
                   log_choose(n + m, n));
    return sum;
}

double nb_apart_level(size_t n, size_t k, size_t m, size_t l)
{
    NB_ASSERT(k >= 1 && 2 * k <= n && l >= 1 && 2 * l <= m);
    return below(n, n + 1 - k, m, l) + below(m, m + 1 - l, n, k);
}

size_t nb_apart_needed(double level)
{
    for (size_t n = 2; level > 0 && n < 500; n++)
        if (nb_apart_level(n, 1, n, 1) <= level)
            return n;
    return SIZE_MAX;
}
