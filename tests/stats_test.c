/* stats.c against closed forms, exhaustive enumeration and simulation. */
#include "stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* A skewed distribution with median 0: the stated confidence needs no shape. */
static void test_interval_simulated(void **state)
{
    (void)state;
    static const size_t sizes[] = {6, 8, 10, 17, 30};
    enum { TRIALS = 40000 };
    unsigned long long random = 7;
    for (size_t s = 0; s < LENGTH(sizes); s++) {
        size_t held = 0;
        double p = 0;
        for (size_t t = 0; t < TRIALS; t++) {
            double v[32];
            for (size_t i = 0; i < sizes[s]; i++)
                v[i] = -log1p(-uniform(&random)) - log(2.0);
            struct nb_interval r = nb_median_interval(v, sizes[s], 0.95);
            held += r.lo <= 0 && r.hi >= 0;
            p = r.confidence;
        }
        double error = sqrt(p * (1 - p) / TRIALS);
        assert_true(fabs((double)held / TRIALS - p) <= 3 * error);
    }
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
        cmocka_unit_test(test_interval_simulated),
        cmocka_unit_test(test_williams),
        cmocka_unit_test(test_williams_seed),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_shuffle_permutes),
        cmocka_unit_test(test_shuffle_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
