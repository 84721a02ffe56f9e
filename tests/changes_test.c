/* changes_test.c: changes that were planted are found where they are, and none elsewhere
 * more often than the level says. */
#include "changes.h"
#include "stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka asks for those before it */
#include <cmocka.h>

enum { LONG = 200 };
static const double LEVEL = 0.01;

static double uniform(unsigned long long *state)
{
    return ((double)(nb_random(state) >> 11) + 0.5) / 9007199254740992.0;
}

static void noise(double *v, size_t n, double sigma, unsigned long long seed)
{
    for (size_t i = 0; i < n; i++)
        v[i] = sigma * nb_normal_quantile(uniform(&seed));
}

static void add(double *v, size_t from, size_t to, double step)
{
    for (size_t i = from; i < to; i++)
        v[i] += step;
}

static void finds_a_step_at_its_place(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    (void)state;
    const size_t places[] = {4, 30, 100, 195, 196};
    for (size_t i = 0; i < 5; i++) {
        noise(v, LONG, 0.01, 7 + i);
        add(v, places[i], LONG, -0.2);
        assert_int_equal(nb_changes(v, LONG, LEVEL, 1, found), 1);
        assert_int_equal(found[0].at, places[i]);
        assert_true(found[0].p <= LEVEL);
        assert_true(fabs(found[0].after - found[0].before + 0.2) < 0.02);
    }
}

static void finds_several_in_order(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    (void)state;
    noise(v, LONG, 0.01, 3);
    add(v, 50, 120, 0.1);
    add(v, 120, LONG, -0.05);
    add(v, 160, LONG, 0.3);
    assert_int_equal(nb_changes(v, LONG, LEVEL, 1, found), 3);
    assert_int_equal(found[0].at, 50);
    assert_int_equal(found[1].at, 120);
    assert_int_equal(found[2].at, 160);
    assert_true(fabs(found[1].after - found[2].before) < 1e-12);
}

/* A bump has the same level on both sides. */
static void finds_both_ends_of_a_bump(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    (void)state;
    noise(v, LONG, 0.01, 5);
    add(v, 90, 110, 0.1);
    assert_int_equal(nb_changes(v, LONG, LEVEL, 1, found), 2);
    assert_int_equal(found[0].at, 90);
    assert_int_equal(found[1].at, 110);
}

static size_t false_alarms(size_t series, size_t n, double level, double (*shape)(double))
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    size_t alarms = 0;
    for (size_t s = 0; s < series; s++) {
        noise(v, n, 1, 1000 + s);
        for (size_t i = 0; i < n; i++)
            v[i] = shape(v[i]);
        alarms += nb_changes(v, n, level, 1, found) > 0;
    }
    return alarms;
}

static double normal(double x)
{
    return x;
}

static double heavy(double x)
{
    return x * x * x;
}

static double ties(double x)
{
    return floor(x);
}

/* Binomial(2000, .05): 100 in the mean, standard deviation 9.7; the bounds are 4 of them.
 * Ties make the test keep more distance from its level. */
static void white_noise_is_as_rare_as_the_level_says(void **state)
{
    (void)state;
    size_t alarms = false_alarms(2000, 30, 0.05, normal);
    print_message("white noise: %zu of 2000 series at level .05\n", alarms);
    assert_in_range(alarms, 61, 139);
    alarms = false_alarms(2000, 30, 0.05, heavy);
    print_message("heavy tails: %zu of 2000\n", alarms);
    assert_in_range(alarms, 61, 139);
    assert_in_range(false_alarms(2000, 30, 0.05, ties), 20, 139);
    assert_in_range(false_alarms(1000, 100, 0.01, normal), 0, 23);
}

static void one_outlier_is_no_change(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    size_t alarms = 0;
    (void)state;
    for (size_t s = 0; s < 200; s++) {
        noise(v, 60, 0.01, 4000 + s);
        v[5 + s % 50] += 1;
        alarms += nb_changes(v, 60, LEVEL, 1, found) > 0;
    }
    assert_in_range(alarms, 0, 8); /* Binomial(200, .01): 2 and 4 standard deviations */
}

/* A trend has no step; it is told as several, all in its direction. */
static void a_trend_is_told_as_steps(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    (void)state;
    noise(v, LONG, 0.01, 9);
    for (size_t i = 0; i < LONG; i++)
        v[i] += 0.002 * (double)i;
    const size_t n = nb_changes(v, LONG, LEVEL, 1, found);
    assert_true(n >= 3);
    for (size_t i = 0; i < n; i++)
        assert_true(found[i].after > found[i].before);
}

static void constant_data_has_none(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    (void)state;
    for (size_t i = 0; i < LONG; i++)
        v[i] = 0.1;
    assert_int_equal(nb_changes(v, LONG, 0.5, 1, found), 0);
}

/* Without noise a step is the only way to split. */
static void a_step_without_noise(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG] = {0};
    (void)state;
    add(v, 77, LONG, 1e-6);
    assert_int_equal(nb_changes(v, LONG, LEVEL, 1, found), 1);
    assert_int_equal(found[0].at, 77);
}

static void gaps_are_passed_over(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[LONG];
    (void)state;
    noise(v, LONG, 0.01, 11);
    add(v, 100, LONG, 0.2);
    for (size_t i = 0; i < LONG; i += 3)
        v[i] = NAN;
    v[100] = v[101] = NAN;
    assert_int_equal(nb_changes(v, LONG, LEVEL, 1, found), 1);
    assert_int_equal(found[0].at, 103); /* the first value that is there: 102 is a gap */
    for (size_t i = 0; i < LONG; i++)
        v[i] = NAN;
    assert_int_equal(nb_changes(v, LONG, LEVEL, 1, found), 0);
}

static void too_few_values_have_none(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[16] = {0};
    (void)state;
    add(v, 4, 16, 1);
    for (size_t n = 0; n < NB_CHANGES_LEAST; n++)
        assert_int_equal(nb_changes(v, n, 0.5, 1, found), 0);
    /* 4 and 4 values without overlap: 2 of 70 orders are as extreme */
    assert_int_equal(nb_changes(v, NB_CHANGES_LEAST, LEVEL, 1, found), 0);
    assert_int_equal(nb_changes(v, NB_CHANGES_LEAST, 0.1, 1, found), 1);
    assert_int_equal(found[0].at, 4);
    assert_true(found[0].p > 0.01 && found[0].p < 0.06);
}

static void the_same_seed_gives_the_same(void **state)
{
    struct nb_change a[NB_CHANGES_MOST], b[NB_CHANGES_MOST];
    double v[LONG];
    (void)state;
    noise(v, LONG, 0.05, 13);
    add(v, 100, LONG, 0.03);
    const size_t n = nb_changes(v, LONG, 0.2, 42, a);
    assert_int_equal(nb_changes(v, LONG, 0.2, 42, b), n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        assert_true(a[i].at == b[i].at && a[i].p == b[i].p && a[i].before == b[i].before);
}

/* The statistic against its definition, all distances taken one by one: a split that is best
 * by it is the one that is found. */
static double energy(const double *v, size_t n, size_t k)
{
    double between = 0, left = 0, right = 0;
    const double a = (double)k, b = (double)(n - k);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            const double d = fabs(v[i] - v[j]);
            *(j < k ? &left : i >= k ? &right : &between) += d;
        }
    return a * b / (a + b) *
           (2 / (a * b) * between - 2 / (a * (a - 1)) * left - 2 / (b * (b - 1)) * right);
}

static void the_split_is_the_best_by_definition(void **state)
{
    struct nb_change found[NB_CHANGES_MOST];
    double v[40];
    size_t tried = 0;
    (void)state;
    for (unsigned long long seed = 1; seed <= 40; seed++) {
        size_t best = NB_CHANGES_SIDE;
        noise(v, 40, 1, seed);
        add(v, 10 + seed % 20, 40, 1.5);
        for (size_t k = NB_CHANGES_SIDE; k + NB_CHANGES_SIDE <= 40; k++)
            if (energy(v, 40, k) > energy(v, 40, best))
                best = k;
        if (nb_changes(v, 40, LEVEL, 1, found) != 1)
            continue;
        assert_int_equal(found[0].at, best);
        tried++;
    }
    assert_true(tried > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_step_at_its_place),
        cmocka_unit_test(finds_several_in_order),
        cmocka_unit_test(finds_both_ends_of_a_bump),
        cmocka_unit_test(white_noise_is_as_rare_as_the_level_says),
        cmocka_unit_test(one_outlier_is_no_change),
        cmocka_unit_test(a_trend_is_told_as_steps),
        cmocka_unit_test(constant_data_has_none),
        cmocka_unit_test(a_step_without_noise),
        cmocka_unit_test(gaps_are_passed_over),
        cmocka_unit_test(too_few_values_have_none),
        cmocka_unit_test(the_same_seed_gives_the_same),
        cmocka_unit_test(the_split_is_the_best_by_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
