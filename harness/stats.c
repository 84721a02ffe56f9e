#include "stats.h"
#include "err.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

static void count_sides(const double *v, size_t n, double margin, size_t *above,
                        size_t *below)
{
    *above = *below = 0;
    for (size_t i = 0; i < n; i++) {
        *above += v[i] > margin;
        *below += v[i] < margin;
    }
}

double nb_sign_test(const double *v, size_t n, double margin)
{
    size_t above, below;
    count_sides(v, n, margin, &above, &below);
    return nb_binomial_half_cdf(below, above + below); /* P(X >= k) = P(X <= m - k) */
}

double nb_sign_test_two_sided(const double *v, size_t n, double margin)
{
    size_t above, below;
    count_sides(v, n, margin, &above, &below);
    size_t fewer = above < below ? above : below;
    return fmin(1, 2 * nb_binomial_half_cdf(fewer, above + below));
}

static void *memory(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    NB_ASSERT(p != NULL && "out of memory");
    return p;
}

struct ranked {
    double p;
    size_t index;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = compare_doubles(&x->p, &y->p);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Holm 1979: the i-th least of m is multiplied by m - i, and no adjusted value lies below
 * one that was rejected before it. */
void nb_holm(const double *p, size_t n, double *adjusted)
{
    struct ranked *rank = memory(n, sizeof(*rank));
    size_t m = 0;
    double least = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(p[i]))
            rank[m++] = (struct ranked){p[i], i};
        adjusted[i] = p[i];
    }
    qsort(rank, m, sizeof(*rank), compare_ranked);
    for (size_t i = 0; i < m; i++) {
        least = fmax(least, fmin(1, (double)(m - i) * rank[i].p));
        adjusted[rank[i].index] = least;
    }
    free(rank);
}

/* Puts the k-th least in v[k], nothing greater before it and nothing less behind it
 * (Hoare 1961). */
static void select_kth(double *v, size_t n, size_t k)
{
    ptrdiff_t lo = 0, hi = (ptrdiff_t)n - 1, at = (ptrdiff_t)k;
    while (lo < hi) {
        double pivot = v[lo + (hi - lo) / 2];
        ptrdiff_t i = lo, j = hi;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                double t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (at > j && at < i)
            return;
        *(at <= j ? &hi : &lo) = at <= j ? j : i;
    }
}

/* Pairs number half the square of the values: selecting is several times as fast as
 * sorting. */
static double median_by_selection(double *v, size_t n)
{
    select_kth(v, n, n / 2);
    if (n % 2)
        return v[n / 2];
    double below = v[0];
    for (size_t i = 1; i < n / 2; i++)
        below = v[i] > below ? v[i] : below;
    return below / 2 + v[n / 2] / 2;
}

double nb_hodges_lehmann(const double *v, size_t n)
{
    NB_ASSERT(n >= 1);
    double *walsh = memory(n * (n + 1) / 2, sizeof(*walsh));
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            walsh[m++] = v[i] / 2 + v[j] / 2;
    double median = median_by_selection(walsh, m);
    free(walsh);
    return median;
}

/* Shamos 1976. For normal values |v[i] - v[j]| has the median sqrt(2) z(3/4) sigma. The
 * median of a sample's own n(n-1)/2 differences, which are not independent, lies above it
 * by these shares for n < 10, and by 0.414/n + 0.442/n^2 from there: table and fit of
 * Park, Kim and Wang 2022 (Commun. Stat. Simul. Comput. 51:2619). At n = 2 it is
 * 2/sqrt(pi) over that median, less 1. */
static double shamos_factor(size_t n)
{
    static const double excess[] = {0,       0,       0.18315, 0.29894, 0.15828,
                                    0.10117, 0.10050, 0.06770, 0.06096, 0.05438};
    double m = (double)n;
    double over = n < sizeof(excess) / sizeof(*excess) ? excess[n]
                                                       : 0.414253 / m + 0.442397 / m / m;
    return 1 / (M_SQRT2 * nb_normal_quantile(0.75) * (1 + over));
}

double nb_spread(const double *v, size_t n)
{
    if (n < 2)
        return NAN;
    double *apart = memory(n * (n - 1) / 2, sizeof(*apart));
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            apart[m++] = fabs(v[i] - v[j]);
    double median = median_by_selection(apart, m);
    free(apart);
    return shamos_factor(n) * median;
}

double nb_normal_cdf(double z)
{
    return erfc(-z / M_SQRT2) / 2;
}

double nb_normal_quantile(double p)
{
    NB_ASSERT(p > 0 && p < 1);
    if (p > 0.5)
        return -nb_normal_quantile(1 - p);
    double lo = -39, hi = 0; /* 39 deviations out nothing is left in double */
    for (int i = 0; i < 64; i++) {
        double z = lo / 2 + hi / 2;
        *(nb_normal_cdf(z) < p ? &lo : &hi) = z;
    }
    return lo / 2 + hi / 2;
}

/* P(|T| <= t), a finite sum for whole degrees of freedom. Source: Abramowitz, Stegun 1964, 26.7.3 and 26.7.4 */
static double student_within(double t, size_t freedom)
{
    const double angle = atan(t / sqrt((double)freedom)), c = cos(angle);
    const int odd = freedom % 2 == 1;
    double term = odd ? c : 1, sum = freedom == 1 ? 0 : term;
    for (size_t k = odd ? 3 : 2; k < freedom; k += 2) {
        term *= c * c * (double)(k - 1) / (double)k;
        sum += term;
    }
    return odd ? M_2_PI * (angle + sin(angle) * sum) : sin(angle) * sum;
}

double nb_student_quantile(double p, size_t freedom)
{
    NB_ASSERT(p > 0.5 && p < 1 && freedom > 0);
    double lo = 0, hi = 1e12;
    if (freedom > 5000)
        return nb_normal_quantile(p); /* less than a thousandth away for every p that is asked */
    for (int i = 0; i < 110; i++) {
        const double t = lo / 2 + hi / 2;
        *(student_within(t, freedom) < 2 * p - 1 ? &lo : &hi) = t;
    }
    return lo / 2 + hi / 2;
}

/* ---- power of the two-sided sign test ---- */

/* It rejects where fewer than this many values lie on one side; 0: it never does. */
static size_t rejected_counts(size_t n, double alpha)
{
    NB_ASSERT(n < 16000); /* as in nb_binomial_half_cdf */
    long double term = ldexpl(1.0L, -(int)n), sum = term;
    size_t k = 0;
    while (2 * sum <= (long double)alpha && 2 * k < n) {
        term = term * (long double)(n - k) / (long double)(k + 1);
        sum += term;
        k++;
    }
    return k;
}

/* P(X < k) for X ~ Binomial(n, p), q = 1 - p > 0. */
static double binomial_below(size_t k, size_t n, double p, double q)
{
    long double term = powl(q, (long double)n), sum = 0;
    for (size_t i = 0; i < k; i++) {
        sum += term;
        term = term * (long double)(n - i) / (long double)(i + 1) * ((long double)p / q);
    }
    return (double)sum;
}

/* At a shift in units of the spread, which is at least 0. */
static double sign_power(double shift, size_t n, size_t rejected)
{
    double above = nb_normal_cdf(shift), below = nb_normal_cdf(-shift);
    return binomial_below(rejected, n, below, above) +
           binomial_below(rejected, n, above, below);
}

double nb_detectable(double spread, size_t n, double alpha, double power)
{
    size_t rejected = rejected_counts(n, alpha);
    double lo = 0, hi = 37; /* there 1 - p is the least that is still normal */
    if (isnan(spread))
        return NAN;
    if (rejected == 0 || power >= 1)
        return INFINITY;
    for (int i = 0; i < 64; i++) {
        double shift = lo / 2 + hi / 2;
        *(sign_power(shift, n, rejected) < power ? &lo : &hi) = shift;
    }
    return hi * spread;
}

size_t nb_blocks_least(double alpha)
{
    size_t n = 1;
    if (!(alpha > 0))
        return SIZE_MAX;
    while (ldexp(2, -(int)n) > alpha)
        n++;
    return n;
}

size_t nb_blocks_needed(double spread, double delta, double alpha, double power)
{
    enum { EXACT_TO = 2000 };
    size_t n = nb_blocks_least(alpha);
    if (n == SIZE_MAX || isnan(spread) || !(delta > 0) || power >= 1)
        return SIZE_MAX;
    double wanted = alpha < 1 && power > 0
                        ? nb_normal_quantile(1 - alpha / 2) + nb_normal_quantile(power)
                        : 0;
    double many = M_PI_2 * pow(wanted * spread / delta, 2);
    if (many > EXACT_TO)
        return many < 1e15 ? (size_t)ceil(many) : SIZE_MAX;
    while (sign_power(delta / spread, n, rejected_counts(n, alpha)) < power)
        n++;
    return n;
}

/* ---- bootstrap ---- */

/* A sixth of the skewness of the statistic's influence, by leaving out one value after
 * the other. */
static double acceleration(const double *v, size_t n, double *sample, double *without,
                           double (*statistic)(double *, size_t))
{
    double mean = 0, square = 0, cube = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(sample, v, i * sizeof(*v));
        memcpy(sample + i, v + i + 1, (n - i - 1) * sizeof(*v));
        without[i] = statistic(sample, n - 1);
        mean += without[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double d = mean - without[i];
        square += d * d;
        cube += d * d * d;
    }
    return square > 0 ? cube / (6 * pow(square, 1.5)) : 0;
}

/* z0 of the share of resamples below the statistic; NAN where it would be infinite. */
static double bias_correction(const double *t, size_t resamples, double statistic)
{
    double below = 0;
    for (size_t i = 0; i < resamples; i++)
        below += t[i] < statistic ? 1 : t[i] == statistic ? 0.5 : 0;
    double share = below / (double)resamples;
    return share > 0 && share < 1 ? nb_normal_quantile(share) : NAN;
}

/* The end at that level of sorted resamples. */
static double bca_end(const double *t, size_t resamples, double level, double z0,
                      double a)
{
    double z = z0 + nb_normal_quantile(level), scale = 1 - a * z;
    double position =
        scale > 0 ? (double)(resamples + 1) * nb_normal_cdf(z0 + z / scale) : NAN;
    if (!(position >= 1 && position <= (double)resamples))
        return NAN;
    size_t i = (size_t)position;
    double part = position - (double)i;
    return part > 0 ? t[i - 1] + part * (t[i] - t[i - 1]) : t[i - 1];
}

struct nb_interval nb_bca(const double *v, size_t n,
                          double (*statistic)(double *sample, size_t n), double wanted,
                          size_t resamples, unsigned long long seed)
{
    struct nb_interval r = {NAN, NAN, NAN, wanted};
    if (n == 0)
        return r;
    double *sample = memory(n, sizeof(*sample)), *room = memory(n, sizeof(*room));
    double *t = memory(resamples, sizeof(*t));
    memcpy(sample, v, n * sizeof(*v));
    r.median = statistic(sample, n);
    for (size_t b = 0; b < resamples; b++) {
        for (size_t i = 0; i < n; i++)
            sample[i] = v[random_below(n, &seed)];
        t[b] = statistic(sample, n);
    }
    qsort(t, resamples, sizeof(*t), compare_doubles);
    if (n >= 2 && resamples >= 2 && t[0] < t[resamples - 1]) {
        double z0 = bias_correction(t, resamples, r.median);
        double a = acceleration(v, n, sample, room, statistic);
        r.lo = bca_end(t, resamples, (1 - wanted) / 2, z0, a);
        r.hi = bca_end(t, resamples, (1 + wanted) / 2, z0, a);
    }
    if (isnan(r.lo) || isnan(r.hi))
        r.lo = r.hi = NAN;
    free(sample);
    free(room);
    free(t);
    return r;
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

/* P(X <= k) for X ~ Binomial(n, p), by logarithms of its terms. */
static double binomial_cdf(size_t k, size_t n, double p)
{
    double sum = 0;
    if (k >= n || p <= 0)
        return 1;
    for (size_t i = 0; p < 1 && i <= k; i++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) +
                   (double)i * log(p) + (double)(n - i) * log1p(-p));
    return sum;
}

/* The p at which P(X <= k) has fallen to tail. */
static double share_where(size_t k, size_t n, double tail)
{
    double low = 0, high = 1;
    for (int i = 0; i < 60; i++) {
        const double mid = (low + high) / 2;
        if (binomial_cdf(k, n, mid) > tail)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

struct nb_interval nb_share_interval(size_t k, size_t n, double confidence)
{
    const double tail = (1 - confidence) / 2;
    NB_ASSERT(n >= 1 && k <= n);
    return (struct nb_interval){.median = (double)k / (double)n,
                                .lo = k == 0 ? 0 : share_where(k - 1, n, 1 - tail),
                                .hi = k == n ? 1 : share_where(k, n, tail),
                                .confidence = confidence};
}
