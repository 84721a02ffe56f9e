/* stats.c against closed forms, published examples, exhaustive enumeration and
 * simulation. */
#include "stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void near(double a, double b, double relative)
{
    if (!(fabs(a - b) <= relative * fabs(b)))
        fail_msg("%.17g is not %.17g within %g", a, b, relative);
}

static void test_median(void **state)
{
    (void)state;
    double one[] = {7}, even[] = {4, 1, 3, 2}, odd[] = {9, -1, 5},
           big[] = {1.7e308, 1.5e308};
    assert_true(nb_median(one, 1) == 7);
    assert_true(nb_median(even, 4) == 2.5);
    assert_true(even[0] == 1 && even[3] == 4);
    assert_true(nb_median(odd, 3) == 5);
    near(nb_median(big, 2), 1.6e308, 1e-15);
}

/* By counting the bit patterns of n tosses. */
static void test_cdf_enumerated(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 16; n++)
        for (size_t k = 0; k <= n + 1; k++) {
            size_t count = 0;
            for (uint32_t bits = 0; bits < (1u << n); bits++)
                count += (size_t)__builtin_popcount(bits) <= k;
            near(nb_binomial_half_cdf(k, n), (double)count / (double)(1u << n), 1e-15);
        }
}

static void test_cdf_large(void **state)
{
    (void)state;
    near(nb_binomial_half_cdf(0, 1000), ldexp(1, -1000), 1e-15);
    near(nb_binomial_half_cdf(1, 1000), 1001 * ldexp(1, -1000), 1e-14);
    near(nb_binomial_half_cdf(500, 1001), 0.5, 1e-14); /* symmetry */
    for (size_t k = 0; k < 200; k++)
        near(nb_binomial_half_cdf(k, 200) + nb_binomial_half_cdf(199 - k, 200), 1, 1e-14);
    assert_true(nb_binomial_half_cdf(200, 200) == 1);
}

static struct nb_interval interval_of_ranks(size_t n, double wanted)
{
    double v[512];
    for (size_t i = 0; i < n; i++)
        v[i] = (double)(n - i);
    return nb_median_interval(v, n, wanted);
}

/* Binomial sums by hand: n = 9 leaves out 1 + 9 of 512 patterns on each side, and so on.
 */
static void test_interval_known(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double lo, confidence;
    } known[] = {{6, 1, 1 - 2.0 / 64},     {7, 1, 1 - 2.0 / 128},
                 {8, 1, 1 - 2.0 / 256},    {9, 2, 1 - 20.0 / 512},
                 {10, 2, 1 - 22.0 / 1024}, {11, 2, 1 - 24.0 / 2048},
                 {12, 3, 1 - 158.0 / 4096}};
    for (size_t i = 0; i < LENGTH(known); i++) {
        struct nb_interval r = interval_of_ranks(known[i].n, 0.95);
        near(r.confidence, known[i].confidence, 1e-15);
        assert_true(r.lo == known[i].lo && r.hi == (double)known[i].n + 1 - known[i].lo);
        near(r.median, ((double)known[i].n + 1) / 2, 1e-15);
    }
    near(interval_of_ranks(8, 0.95).confidence, 0.992, 1e-3);
    near(interval_of_ranks(10, 0.95).confidence, 0.979, 1e-3);
}

static void test_interval_too_few(void **state)
{
    (void)state;
    for (size_t n = 1; n < 6; n++) {
        struct nb_interval r = interval_of_ranks(n, 0.95);
        assert_true(isnan(r.lo) && isnan(r.hi) && r.confidence == 0);
        near(r.median, ((double)n + 1) / 2, 1e-15);
    }
    struct nb_interval none = nb_median_interval(NULL, 0, 0.95);
    assert_true(isnan(none.median) && isnan(none.lo) && none.confidence == 0);
    assert_false(isnan(interval_of_ranks(5, 0.9).lo));
}

/* The next narrower interval would not do, and this one does. */
static void test_interval_narrowest(void **state)
{
    (void)state;
    static const double wanted[] = {0.5, 0.9, 0.95, 0.99};
    for (size_t n = 1; n <= 300; n++)
        for (size_t w = 0; w < LENGTH(wanted); w++) {
            struct nb_interval r = interval_of_ranks(n, wanted[w]);
            size_t k = isnan(r.lo) ? 0 : (size_t)r.lo;
            if (k > 0)
                assert_true(1 - 2 * nb_binomial_half_cdf(k - 1, n) >= wanted[w]);
            if (2 * (k + 1) <= n)
                assert_true(1 - 2 * nb_binomial_half_cdf(k, n) < wanted[w]);
        }
}

/* Over every way in which n values can lie on the two sides of the true median: the share
 * in which the interval holds it is the stated confidence. */
static void test_interval_exhaustive(void **state)
{
    (void)state;
    for (size_t n = 6; n <= 14; n++) {
        size_t held = 0;
        double confidence = 0;
        for (uint32_t bits = 0; bits < (1u << n); bits++) {
            double v[16];
            for (size_t i = 0; i < n; i++)
                v[i] = (bits >> i & 1 ? 1.0 : -1.0) * (double)(i + 1);
            struct nb_interval r = nb_median_interval(v, n, 0.95);
            held += r.lo <= 0 && r.hi >= 0;
            confidence = r.confidence;
        }
        near((double)held / (double)(1u << n), confidence, 1e-15);
    }
}

static double uniform(unsigned long long *random)
{
    return (double)(nb_random(random) >> 11) * 0x1p-53;
}

static void check_williams(size_t n, unsigned long long seed)
{
    unsigned places[12][12] = {{0}}, pairs[12][12] = {{0}}, order[12];
    for (size_t r = 0; r < n; r++) {
        nb_williams_row(n, r, seed, order);
        for (size_t j = 0; j < n; j++) {
            assert_in_range(order[j], 0, n - 1);
            places[order[j]][j]++;
            if (j > 0)
                pairs[order[j - 1]][order[j]]++;
        }
    }
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++) {
            assert_int_equal(places[a][b], 1);
            assert_int_equal(pairs[a][b], a != b);
        }
}

static void test_williams(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 12; n += 2)
        for (unsigned long long seed = 0; seed < 50; seed++)
            check_williams(n, seed);
}

static void test_williams_seed(void **state)
{
    (void)state;
    unsigned a[12], b[12], wrapped[12];
    size_t differ = 0;
    for (unsigned long long seed = 0; seed < 50; seed++) {
        nb_williams_row(12, 3, seed, a);
        nb_williams_row(12, 3, seed, b);
        nb_williams_row(12, 15, seed, wrapped);
        assert_memory_equal(a, b, sizeof(a));
        assert_memory_equal(a, wrapped, sizeof(a));
        nb_williams_row(12, 3, seed + 1, b);
        differ += memcmp(a, b, sizeof(a)) != 0;
    }
    assert_true(differ >= 48);
}

/* Reference values of SplitMix64 from state 1234567 (Vigna's test vector). */
static void test_random(void **state)
{
    (void)state;
    static const unsigned long long expected[] = {
        6457827717110365317ull, 3203168211198807973ull, 9817491932198370423ull,
        4593380528125082431ull, 16408922859458223821ull};
    unsigned long long random = 1234567;
    for (size_t i = 0; i < LENGTH(expected); i++)
        assert_true(nb_random(&random) == expected[i]);
}

static void test_shuffle_permutes(void **state)
{
    (void)state;
    unsigned long long random = 1, again = 1;
    for (size_t n = 0; n < 60; n++) {
        size_t v[60], w[60], seen[60] = {0};
        for (size_t i = 0; i < n; i++)
            v[i] = w[i] = i;
        nb_shuffle(v, n, &random);
        nb_shuffle(w, n, &again);
        assert_memory_equal(v, w, n * sizeof(*v));
        for (size_t i = 0; i < n; i++)
            seen[v[i]]++;
        for (size_t i = 0; i < n; i++)
            assert_int_equal(seen[i], 1);
    }
}

/* All 24 orders of 4 elements come equally often: chi-square with 23 degrees of freedom
 * is below 49.7 with probability 0.999. */
static void test_shuffle_uniform(void **state)
{
    (void)state;
    enum { TRIALS = 48000 };
    size_t counts[256] = {0};
    unsigned long long random = 99;
    double chi = 0;
    size_t orders = 0;
    for (size_t t = 0; t < TRIALS; t++) {
        size_t v[] = {0, 1, 2, 3};
        nb_shuffle(v, 4, &random);
        counts[v[0] << 6 | v[1] << 4 | v[2] << 2 | v[3]]++;
    }
    for (size_t i = 0; i < 256; i++)
        if (counts[i] > 0) {
            orders++;
            chi += pow((double)counts[i] - TRIALS / 24.0, 2) / (TRIALS / 24.0);
        }
    assert_int_equal(orders, 24);
    assert_true(chi > 0 && chi < 49.7);
}

/* ---- sign test, Holm ---- */

/* For each way in which m values can lie on the two sides of the margin, the share of all
 * ways that have at least as many above it; values at the margin and NANs are none. */
static void test_sign_exhaustive(void **state)
{
    (void)state;
    for (size_t m = 0; m <= 12; m++) {
        size_t ways[14] = {0};
        for (uint32_t bits = 0; bits < (1u << m); bits++)
            for (int k = __builtin_popcount(bits); k >= 0; k--)
                ways[k]++;
        for (uint32_t bits = 0; bits < (1u << m); bits++) {
            double v[16] = {0.5, NAN, 0.5};
            for (size_t i = 0; i < m; i++)
                v[i + 3] = bits >> i & 1 ? 0.6 + (double)i : -(double)i;
            near(nb_sign_test(v, m + 3, 0.5),
                 (double)ways[__builtin_popcount(bits)] / (double)(1u << m), 1e-15);
        }
    }
}

/* Hollander and Wolfe 1973, table 3.1: depression of nine patients before and after a
 * drug. Seven of nine fell: P = (36 + 9 + 1)/512; the Hodges-Lehmann estimate of the fall
 * is 0.46. */
static const double hollander[] = {0.952, -0.147, 1.022,  0.430, 0.620,
                                   0.590, 0.490,  -0.080, 0.010};

static void test_sign_known(void **state)
{
    (void)state;
    static const double few[] = {1, 1, 1};
    near(nb_sign_test(hollander, 9, 0), 46.0 / 512, 1e-15);
    near(nb_sign_test(hollander, 9, 0.49), 163.0 / 256,
         1e-15); /* 4 of the 8 that differ */
    near(nb_sign_test(few, 3, 0), 0.125, 1e-15);
    near(nb_sign_test(few, 3, 2), 1, 1e-15);
    assert_true(nb_sign_test(few, 3, 1) == 1 && nb_sign_test(few, 0, 0) == 1);
}

/* The two-sided test rejects just where the interval of the median leaves the margin out.
 */
static void test_sign_two_sided(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 12; n++)
        for (uint32_t bits = 0; bits < (1u << n); bits++) {
            double v[12], turned[12];
            for (size_t i = 0; i < n; i++) {
                v[i] = (bits >> i & 1 ? 1.0 : -1.0) * (double)(i + 1);
                turned[i] = -v[i];
            }
            double p = nb_sign_test_two_sided(v, n, 0);
            near(p, fmin(1, 2 * fmin(nb_sign_test(v, n, 0), nb_sign_test(turned, n, 0))),
                 1e-15);
            for (double alpha = 0.01; alpha < 0.4; alpha *= 2.3) {
                struct nb_interval r = nb_median_interval(v, n, 1 - alpha);
                assert_int_equal(p <= alpha, r.lo > 0 || r.hi < 0);
            }
        }
}

static void test_holm_known(void **state)
{
    (void)state;
    /* by hand: .005*4, .01*3, .03*2, and .04*1 raised to the one before */
    double p[] = {0.01, NAN, 0.04, 0.03, 0.005}, adjusted[5];
    nb_holm(p, 5, adjusted);
    near(adjusted[0], 0.03, 1e-15);
    assert_true(isnan(adjusted[1]));
    near(adjusted[2], 0.06, 1e-15);
    near(adjusted[3], 0.06, 1e-15);
    near(adjusted[4], 0.02, 1e-15);
    nb_holm(p, 5, p);
    assert_memory_equal(p + 2, adjusted + 2, 3 * sizeof(*p));
    nb_holm(p, 0, p);
}

/* Holm's test is the closed test of Bonferroni's: a hypothesis falls when every
 * intersection that it is in falls, so the adjusted p-value is the greatest of |S| min
 * p(S) over the sets S that hold it. */
static void test_holm_closed(void **state)
{
    (void)state;
    unsigned long long random = 5;
    for (int trial = 0; trial < 200; trial++) {
        double p[8], adjusted[8];
        size_t n = 1 + nb_random(&random) % 8;
        for (size_t i = 0; i < n; i++)
            p[i] = floor(uniform(&random) * 20) / 100; /* with ties */
        nb_holm(p, n, adjusted);
        for (size_t i = 0; i < n; i++) {
            double most = 0;
            for (uint32_t set = 0; set < (1u << n); set++) {
                double least = 1;
                for (size_t j = 0; j < n; j++)
                    least = set >> j & 1 ? fmin(least, p[j]) : least;
                if (set >> i & 1)
                    most = fmax(most, fmin(1, __builtin_popcount(set) * least));
            }
            assert_true(fabs(adjusted[i] - most) <= 1e-15);
        }
    }
}

/* ---- location and spread ---- */

static double normal(unsigned long long *random)
{
    double radius = sqrt(-2 * log1p(-uniform(random)));
    return radius * cos(2 * M_PI * uniform(random));
}

static double exponential(unsigned long long *random)
{
    return -log1p(-uniform(random)) - log(2.0);
}

static double cauchy(unsigned long long *random)
{
    return tan(M_PI * (uniform(random) - 0.5));
}

static double flat(unsigned long long *random)
{
    return uniform(random) - 0.5;
}

static void test_pairs_brute(void **state)
{
    (void)state;
    unsigned long long random = 11;
    for (size_t n = 1; n <= 40; n++)
        for (int trial = 0; trial < 20; trial++) {
            double v[40], walsh[820], apart[780];
            size_t a = 0, b = 0;
            for (size_t i = 0; i < n; i++)
                v[i] = trial % 2 ? cauchy(&random) : (double)(nb_random(&random) % 5);
            for (size_t i = 0; i < n; i++)
                for (size_t j = i; j < n; j++) {
                    walsh[a++] = (v[i] + v[j]) / 2;
                    if (j > i)
                        apart[b++] = fabs(v[i] - v[j]);
                }
            near(nb_hodges_lehmann(v, n), nb_median(walsh, a), 1e-15);
            if (n >= 10) /* the limit of the factor times the fit of its excess */
                near(nb_spread(v, n),
                     nb_median(apart, b) * 1.04835808 /
                         (1 + 0.414253 / (double)n + 0.442397 / (double)(n * n)),
                     1e-7);
        }
    near(nb_hodges_lehmann(hollander, 9), 0.46, 1e-15);
    assert_true(isnan(nb_spread(hollander, 1)) && isnan(nb_spread(hollander, 0)));
}

/* Without bias at normal values, from n = 2, where |v1 - v2| has expectation 2/sqrt(pi),
 * onwards; moved by no shift, scaled by scale, and an outlier of nine values moves it by
 * less than half. */
static void test_spread(void **state)
{
    (void)state;
    unsigned long long random = 3;
    double two[] = {5, 6};
    near(nb_spread(two, 2), sqrt(M_PI) / 2, 5e-4);
    for (size_t n = 2; n <= 30; n += n < 12 ? 1 : 6) {
        const size_t trials = n < 10 ? 120000 : 20000; /* a row of the table, a fit */
        double sum = 0, squares = 0, v[30];
        for (size_t t = 0; t < trials; t++) {
            for (size_t i = 0; i < n; i++)
                v[i] = 1e3 + 4 * normal(&random);
            double s = nb_spread(v, n) / 4;
            sum += s;
            squares += s * s;
        }
        sum /= (double)trials;
        double error = sqrt((squares / (double)trials - sum * sum) / (double)trials);
        print_message("spread of %2zu normal values: %.4f +- %.4f of sigma\n", n, sum,
                      error);
        assert_true(fabs(sum - 1) <= 4 * error + (n < 10 ? 0 : 0.002));
    }
    double v[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, before = nb_spread(v, 9);
    v[8] = 1e9;
    near(nb_spread(v, 9), before, 0.5);
}

/* ---- power ---- */

static void test_normal_known(void **state)
{
    (void)state;
    near(nb_normal_quantile(0.975), 1.959963984540054, 1e-15);
    near(nb_normal_quantile(0.75), 0.6744897501960817, 1e-15);
    near(nb_normal_quantile(0.005), -2.5758293035489004, 1e-15);
    near(nb_normal_quantile(1e-10), -6.361340902404056, 1e-15);
    assert_true(fabs(nb_normal_quantile(0.5)) < 1e-15);
    near(nb_student_quantile(0.975, 1), 12.706204736174694, 1e-12); /* tan(0.475 pi) */
    near(nb_student_quantile(0.975, 2), 4.302652729749462, 1e-12);  /* 0.95 sqrt(2 / (1 - 0.95^2)) */
    near(nb_student_quantile(0.975, 4), 2.7764451051977934, 1e-10);
    near(nb_student_quantile(0.9995, 9), 4.780912585931138, 1e-10);
    near(nb_student_quantile(0.975, 30), 2.0422724563012378, 1e-10);
    near(nb_student_quantile(0.999, 4999), nb_normal_quantile(0.999), 1e-3);
    for (double z = -8; z <= 5; z += 0.25)
        assert_true(fabs(nb_normal_quantile(nb_normal_cdf(z)) - z) < 1e-10);
}

/* Whether the two-sided sign test of so many values above zero of n rejects. */
static bool rejects(size_t above, size_t n, double alpha)
{
    double v[64];
    for (size_t i = 0; i < n; i++)
        v[i] = i < above ? 1 : -1;
    return nb_sign_test_two_sided(v, n, 0) <= alpha;
}

/* Power at the detectable shift, by adding up all sign patterns of n normal values. */
static double power_enumerated(double shift, size_t n, double alpha)
{
    double p = nb_normal_cdf(shift), power = 0;
    for (uint32_t bits = 0; bits < (1u << n); bits++) {
        int k = __builtin_popcount(bits);
        if (rejects((size_t)k, n, alpha))
            power += pow(p, k) * pow(1 - p, (double)n - k);
    }
    return power;
}

static void test_detectable_enumerated(void **state)
{
    (void)state;
    static const double alphas[] = {0.05, 0.01, 0.3};
    for (size_t n = 1; n <= 14; n++)
        for (size_t a = 0; a < LENGTH(alphas); a++) {
            double shift = nb_detectable(3, n, alphas[a], 0.9) / 3;
            assert_int_equal(isinf(shift), n < nb_blocks_least(alphas[a]));
            if (isfinite(shift))
                near(power_enumerated(shift, n, alphas[a]), 0.9, 1e-12);
        }
    near(nb_detectable(1, 6, 0.05, 0.9), nb_normal_quantile(pow(0.9, 1.0 / 6)), 1e-8);
    assert_true(nb_detectable(0, 10, 0.05, 0.9) == 0 &&
                isinf(nb_detectable(0, 5, 0.05, 0.9)));
    assert_true(isnan(nb_detectable(NAN, 10, 0.05, 0.9)) &&
                isinf(nb_detectable(1, 10, 0.05, 1)));
}

static void test_detectable_simulated(void **state)
{
    (void)state;
    static const size_t sizes[] = {6, 8, 10, 16, 30};
    enum { TRIALS = 20000 };
    unsigned long long random = 21;
    for (size_t s = 0; s < LENGTH(sizes); s++) {
        double shift = nb_detectable(2, sizes[s], 0.05, 0.9);
        size_t found = 0;
        for (size_t t = 0; t < TRIALS; t++) {
            size_t above = 0;
            for (size_t i = 0; i < sizes[s]; i++)
                above += shift + 2 * normal(&random) > 0;
            found += rejects(above, sizes[s], 0.05);
        }
        print_message("%2zu values: a shift of %.3f sigma is found in %.4f of samples\n",
                      sizes[s], shift / 2, (double)found / TRIALS);
        assert_true(fabs((double)found / TRIALS - 0.9) <= 3 * sqrt(0.09 / TRIALS));
    }
}

static double asymptotic_blocks(double delta, double alpha, double power)
{
    return M_PI_2 *
           pow((nb_normal_quantile(1 - alpha / 2) + nb_normal_quantile(power)) / delta,
               2);
}

static void test_blocks(void **state)
{
    (void)state;
    static const double deltas[] = {3, 2, 1.5, 1, 0.75, 0.5, 0.35, 0.2, 0.13};
    assert_int_equal(nb_blocks_least(0.05), 6);
    assert_int_equal(nb_blocks_least(0.05 / 200), 13);
    assert_int_equal(nb_blocks_least(0.05 / 1000), 16);
    assert_true(nb_blocks_least(0) == SIZE_MAX && nb_blocks_least(0.5) == 2);
    for (size_t d = 0; d < LENGTH(deltas); d++) {
        size_t n = nb_blocks_needed(2, 2 * deltas[d], 0.005, 0.9);
        print_message(
            "%.2f sigma at .005 with power .9: %zu values, pi/2 (4.09/delta)^2 = %.1f\n",
            deltas[d], n, asymptotic_blocks(deltas[d], 0.005, 0.9));
        assert_true(nb_detectable(2, n, 0.005, 0.9) <= 2 * deltas[d]);
        for (size_t m = 1; m < n; m++)
            assert_true(nb_detectable(2, m, 0.005, 0.9) > 2 * deltas[d]);
    }
    assert_int_equal(nb_blocks_needed(0, 1, 0.05, 0.9), 6);
    assert_true(nb_blocks_needed(1, 0, 0.05, 0.9) == SIZE_MAX);
    assert_true(nb_blocks_needed(1, 1, 0, 0.9) == SIZE_MAX);
    assert_true(nb_blocks_needed(NAN, 1, 0.05, 0.9) == SIZE_MAX);
    assert_true(nb_blocks_needed(1, 1e-12, 0.05, 0.9) == SIZE_MAX);
}

/* Where the exact sum gives way to the asymptotic number, they agree within the steps in
 * which the level of a sign test goes up and down. */
static void test_blocks_many(void **state)
{
    (void)state;
    for (double delta = 0.02; delta < 0.1; delta *= 1.3) {
        size_t n = nb_blocks_needed(1, delta, 0.05, 0.9);
        if (n < 16000)
            near(nb_detectable(1, n, 0.05, 0.9), delta, 0.015);
        near((double)n, asymptotic_blocks(delta, 0.05, 0.9), 0.01);
    }
}

/* ---- bootstrap ---- */

/* Efron and Tibshirani 1993, An Introduction to the Bootstrap, table 14.1: spatial
 * perception of 26 children. Variance with divisor n; the 90 % BCa interval of 2000
 * resamples is [115.8, 259.6] (table 14.2), the percentile interval [100.8, 233.9]. */
static const double spatial[] = {48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6,
                                 0,  33, 28, 34, 4,  32, 24, 47, 41, 24, 26, 30, 41};

static double mean_of(double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

static double variance(double *v, size_t n)
{
    double mean = mean_of(v, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return sum / (double)n;
}

/* The same book, table 3.1 and page 266: the correlation of LSAT and GPA of 15 law
 * schools, and its 90 % BCa interval [0.410, 0.923]. A value is the index of a school. */
static double law_correlation(double *v, size_t n)
{
    static const double lsat[] = {576, 635, 558, 578, 666, 580, 555, 661,
                                  651, 605, 653, 575, 545, 572, 594},
                        gpa[] = {3.39, 3.30, 2.81, 3.03, 3.44, 3.07, 3.00, 3.43,
                                 3.36, 3.13, 3.12, 2.74, 2.76, 2.88, 2.96};
    double a[15], b[15], product = 0;
    for (size_t i = 0; i < n; i++) {
        a[i] = lsat[(size_t)v[i]];
        b[i] = gpa[(size_t)v[i]];
    }
    for (size_t i = 0; i < n; i++)
        product += (a[i] - mean_of(a, n)) * (b[i] - mean_of(b, n)) / (double)n;
    return product / sqrt(variance(a, n) * variance(b, n));
}

static void test_bca_published(void **state)
{
    (void)state;
    double schools[15];
    for (size_t i = 0; i < 15; i++)
        schools[i] = (double)i;
    struct nb_interval r = nb_bca(spatial, LENGTH(spatial), variance, 0.9, 20000, 1);
    print_message("variance of the spatial test: %.1f [%.1f, %.1f]\n", r.median, r.lo,
                  r.hi);
    near(r.median, 171.534, 1e-5);
    near(r.lo, 115.8, 0.02);
    near(r.hi, 259.6, 0.02);
    assert_true(r.confidence == 0.9);
    r = nb_bca(schools, 15, law_correlation, 0.9, 20000, 1);
    print_message("correlation of the law schools: %.3f [%.3f, %.3f]\n", r.median, r.lo,
                  r.hi);
    near(r.median, 0.776, 1e-3);
    near(r.lo, 0.410, 0.12); /* two standard errors of 2000 resamples */
    near(r.hi, 0.923, 0.01);
}

static void test_bca_seeded(void **state)
{
    (void)state;
    double v[LENGTH(spatial)];
    memcpy(v, spatial, sizeof(v));
    struct nb_interval a = nb_bca(v, LENGTH(v), nb_median, 0.9, 500, 7),
                       b = nb_bca(v, LENGTH(v), nb_median, 0.9, 500, 7),
                       c = nb_bca(v, LENGTH(v), mean_of, 0.9, 500, 7),
                       d = nb_bca(v, LENGTH(v), mean_of, 0.9, 500, 8);
    assert_memory_equal(v, spatial, sizeof(v)); /* the median sorts its copy */
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(c.lo != d.lo && c.hi != d.hi && c.median == d.median);
}

static double greatest(double *v, size_t n)
{
    double most = v[0];
    for (size_t i = 1; i < n; i++)
        most = fmax(most, v[i]);
    return most;
}

static double least(double *v, size_t n)
{
    double fewest = v[0];
    for (size_t i = 1; i < n; i++)
        fewest = fmin(fewest, v[i]);
    return fewest;
}

/* A symmetric sample of few values, of which many resamples' medians tie with its own:
 * half of the ties on either side leave the interval symmetric. */
static void test_bca_ties(void **state)
{
    (void)state;
    static const double v[] = {-3, -2, -1, 0, 0, 0, 1, 2, 3};
    struct nb_interval r = nb_bca(v, LENGTH(v), nb_median, 0.9, 4000, 3);
    assert_true(r.median == 0 && r.hi > 0 && r.lo == -r.hi);
}

/* Whatever the number of resamples: an end is a value between resamples, or there is no
 * interval. */
static void test_bca_inside(void **state)
{
    (void)state;
    double (*const statistics[])(double *, size_t) = {greatest, least, mean_of,
                                                      nb_median};
    double v[LENGTH(spatial)];
    size_t none = 0, some = 0;
    for (size_t i = 0; i < LENGTH(v); i++)
        v[i] = 1000 + spatial[i];
    for (size_t resamples = 2; resamples < 400; resamples++)
        for (size_t s = 0; s < LENGTH(statistics); s++) {
            struct nb_interval r =
                nb_bca(v, LENGTH(v), statistics[s], 0.95, resamples, 1);
            none += isnan(r.lo);
            some += !isnan(r.lo);
            assert_true(isnan(r.lo) ? isnan(r.hi)
                                    : r.lo >= 1000 && r.lo <= r.hi && r.hi <= 1048);
        }
    assert_true(none > 100 && some > 100);
}

static void test_bca_none(void **state)
{
    (void)state;
    static const double alike[] = {2, 2, 2, 2};
    struct nb_interval r = nb_bca(alike, 4, nb_median, 0.9, 200, 1);
    assert_true(r.median == 2 && isnan(r.lo) && isnan(r.hi));
    r = nb_bca(spatial, 1, nb_median, 0.9, 200, 1);
    assert_true(r.median == 48 && isnan(r.lo) && isnan(r.hi));
    r = nb_bca(spatial, 0, nb_median, 0.9, 200, 1);
    assert_true(isnan(r.median) && isnan(r.lo));
    /* one end lies beyond 20 resamples; most resamples hold the greatest (least) value
     * itself, which moves both ends, so that one alone lies beyond 100 */
    r = nb_bca(spatial, LENGTH(spatial), mean_of, 0.95, 20, 1);
    assert_true(isfinite(r.median) && isnan(r.lo) && isnan(r.hi));
    r = nb_bca(spatial, LENGTH(spatial), greatest, 0.95, 100, 1);
    assert_true(r.median == 48 && isnan(r.lo) && isnan(r.hi));
    r = nb_bca(spatial, LENGTH(spatial), least, 0.95, 100, 1);
    assert_true(r.median == 0 && isnan(r.lo) && isnan(r.hi));
}

/* ---- coverage and speed ---- */

static const struct {
    const char *name;
    double (*draw)(unsigned long long *random);
} distributions[] = {{"normal", normal},
                     {"exponential", exponential},
                     {"Cauchy", cauchy},
                     {"uniform", flat}};

/* All have the median 0: the stated confidence of the order-statistic interval needs no
 * shape. */
static void test_interval_simulated(void **state)
{
    (void)state;
    static const size_t sizes[] = {6, 8, 10, 17, 30};
    enum { TRIALS = 20000 };
    unsigned long long random = 7;
    for (size_t d = 0; d < LENGTH(distributions); d++)
        for (size_t s = 0; s < LENGTH(sizes); s++) {
            size_t held = 0;
            double p = 0;
            for (size_t t = 0; t < TRIALS; t++) {
                double v[32];
                for (size_t i = 0; i < sizes[s]; i++)
                    v[i] = distributions[d].draw(&random);
                struct nb_interval r = nb_median_interval(v, sizes[s], 0.95);
                held += r.lo <= 0 && r.hi >= 0;
                p = r.confidence;
            }
            double error = sqrt(p * (1 - p) / TRIALS), share = (double)held / TRIALS;
            print_message(
                "median of %2zu, %-11s: covers %.4f, exact %.4f (%+.1f errors)\n",
                sizes[s], distributions[d].name, share, p, (share - p) / error);
            assert_true(fabs(share - p) <= 3 * error);
        }
}

/* No gate: BCa is approximate, and this is by how much. */
static void print_bca_coverage(void **state)
{
    (void)state;
    enum { TRIALS = 200, RESAMPLES = 400 };
    static const size_t sizes[] = {10, 30};
    unsigned long long random = 9;
    for (size_t d = 0; d < LENGTH(distributions); d++)
        for (size_t s = 0; s < LENGTH(sizes); s++) {
            size_t held = 0;
            for (unsigned t = 0; t < TRIALS; t++) {
                double v[32];
                for (size_t i = 0; i < sizes[s]; i++)
                    v[i] = distributions[d].draw(&random);
                struct nb_interval r = nb_bca(v, sizes[s], nb_median, 0.95, RESAMPLES, t);
                held += r.lo <= 0 && r.hi >= 0;
            }
            print_message("BCa 95 %% of the median of %zu, %s: covers %.3f +- %.3f\n",
                          sizes[s], distributions[d].name, (double)held / TRIALS,
                          sqrt(0.05 * 0.95 / TRIALS));
        }
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) ||                           \
    defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

enum { COMPARISONS = 1000, BLOCKS = 30 };
static double seconds_of_a_gate(void)
{
    static double v[COMPARISONS][BLOCKS], p[COMPARISONS], sum;
    unsigned long long random = 1;
    for (size_t c = 0; c < COMPARISONS; c++)
        for (size_t b = 0; b < BLOCKS; b++)
            v[c][b] = normal(&random);
    clock_t start = clock();
    for (size_t c = 0; c < COMPARISONS; c++) {
        p[c] = nb_sign_test(v[c], BLOCKS, 0.01);
        sum += nb_hodges_lehmann(v[c], BLOCKS) + nb_spread(v[c], BLOCKS);
        sum += nb_median_interval(v[c], BLOCKS, 0.95).hi;
    }
    nb_holm(p, COMPARISONS, p);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_true(isfinite(sum) && p[0] > 0);
    return seconds;
}

static void test_speed(void **state)
{
    (void)state;
    double seconds = fmin(seconds_of_a_gate(), seconds_of_a_gate());
    print_message("statistics of %d comparisons of %d blocks: %.4f s\n", COMPARISONS,
                  BLOCKS, seconds);
#ifndef SANITIZED
    assert_true(seconds < 0.1);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_cdf_enumerated),
        cmocka_unit_test(test_cdf_large),
        cmocka_unit_test(test_interval_known),
        cmocka_unit_test(test_interval_too_few),
        cmocka_unit_test(test_interval_narrowest),
        cmocka_unit_test(test_interval_exhaustive),
        cmocka_unit_test(test_williams),
        cmocka_unit_test(test_williams_seed),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_shuffle_permutes),
        cmocka_unit_test(test_shuffle_uniform),
        cmocka_unit_test(test_sign_exhaustive),
        cmocka_unit_test(test_sign_known),
        cmocka_unit_test(test_sign_two_sided),
        cmocka_unit_test(test_holm_known),
        cmocka_unit_test(test_holm_closed),
        cmocka_unit_test(test_pairs_brute),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_normal_known),
        cmocka_unit_test(test_detectable_enumerated),
        cmocka_unit_test(test_detectable_simulated),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_blocks_many),
        cmocka_unit_test(test_bca_published),
        cmocka_unit_test(test_bca_seeded),
        cmocka_unit_test(test_bca_ties),
        cmocka_unit_test(test_bca_inside),
        cmocka_unit_test(test_bca_none),
        cmocka_unit_test(test_interval_simulated),
        cmocka_unit_test(print_bca_coverage),
        cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
