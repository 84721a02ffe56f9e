#include "stats.h"
#include "err.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of_sorted(const double *v, size_t n)
{
    /* v/2 + v/2 cannot overflow where (v + v)/2 could */
    return n % 2 ? v[n / 2] : v[n / 2 - 1] / 2 + v[n / 2] / 2;
}

double nb_median(double *v, size_t n)
{
    NB_ASSERT(n >= 1);
    qsort(v, n, sizeof(*v), compare_doubles);
    return median_of_sorted(v, n);
}

/* Sum of C(n,i) 2^-n for i <= k, by C(n,i+1) = C(n,i) (n-i)/(i+1). In the upper half the
 * complement is summed, so that few and small terms are added. */
double nb_binomial_half_cdf(size_t k, size_t n)
{
    if (k >= n)
        return 1.0;
    if (2 * k >= n)
        return 1.0 - nb_binomial_half_cdf(n - k - 1, n);
    NB_ASSERT(n < 16000); /* 2^-n must be a long double */
    long double term = ldexpl(1.0L, -(int)n), sum = term;
    for (size_t i = 0; i < k; i++) {
        term = term * (long double)(n - i) / (long double)(i + 1);
        sum += term;
    }
    return (double)sum;
}

struct nb_interval nb_median_interval(double *v, size_t n, double wanted)
{
    struct nb_interval r = {NAN, NAN, NAN, 0.0};
    if (n == 0)
        return r;
    r.median = nb_median(v, n);
    for (size_t k = 1; 2 * k <= n; k++) {
        double confidence = 1.0 - 2.0 * nb_binomial_half_cdf(k - 1, n);
        if (confidence <= 0.0 || confidence < wanted)
            break;
        r.lo = v[k - 1];
        r.hi = v[n - k];
        r.confidence = confidence;
    }
    return r;
}

unsigned long long nb_random(unsigned long long *state)
{
    unsigned long long z = *state += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* Uniform in 0..bound-1: draws from the incomplete last block of values are repeated. */
static unsigned long long random_below(unsigned long long bound,
                                       unsigned long long *state)
{
    unsigned long long whole = ULLONG_MAX - ULLONG_MAX % bound, z;
    do
        z = nb_random(state);
    while (z >= whole);
    return z % bound;
}

void nb_shuffle(size_t *v, size_t n, unsigned long long *state)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random_below(i, state), t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}

static void swap_labels(unsigned *order, size_t n, unsigned a, unsigned b)
{
    for (size_t i = 0; i < n; i++)
        order[i] = order[i] == a ? b : order[i] == b ? a : order[i];
}

/* Williams 1949: the first row 0, 1, n-1, 2, n-2, ... has neighbour differences that are
 * all different mod n, so its n cyclic shifts hold every ordered pair of neighbours once.
 * A renaming of the elements keeps that; it is built from the seed alone, hence the same
 * for every row. */
void nb_williams_row(size_t n, size_t r, unsigned long long seed, unsigned *order)
{
    NB_ASSERT(n % 2 == 0);
    for (size_t j = 0; j < n; j++) {
        size_t first = j % 2 ? (j + 1) / 2 : (n - j / 2) % n;
        order[j] = (unsigned)((first + r % n) % n);
    }
    for (size_t i = n; i > 1; i--)
        swap_labels(order, n, (unsigned)(i - 1), (unsigned)random_below(i, &seed));
}
