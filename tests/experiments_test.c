/* experiments_test: parameters of experiments, observations, and the call of a kernel that all of them use. */
#include "call.h"
#include "cpu.h"
#include "experiment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "trial.h"
#include <math.h>
#include <string.h>

static void parameters(void **state)
{
    (void)state;
    static const struct nb_parameter n = {.name = "depth", .kind = NB_NUMBERS, .least = 1, .most = 1000, .whole = true},
                                     w = {.name = "norm", .kind = NB_CHOICES, .choices = "none ln rms", .single = true};
    static const struct {
        const struct nb_parameter *p;
        const char *text, *says; /* NULL: it is right */
    } rows[] = {
        {&n, "1", NULL}, {&n, "1,6, 1000", NULL}, {&n, "", "\"\" is no number"}, {&n, "6,,7", "\"\" is no number"},
        {&n, "0", "0 is not a whole number from 1 to 1000"}, {&n, "2.5", "2.5 is not a whole number"}, {&n, "6x", "\"6x\" is no number"},
        {&n, "nan", "\"nan\" is no number"}, {&n, "6 7", "\"6 7\" is no number"}, {&w, "rms", NULL}, {&w, "r", "unknown word \"r\"; known: none ln rms"},
        {&w, "ln rms", "unknown word"}, {&w, "ln,rms", "one value, not a list"}, {&w, "", "unknown word \"\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nb_err err = {""};
        const enum nb_status s = nb_parameter_check(rows[i].p, rows[i].text, &err);
        assert_int_equal(s, rows[i].says == NULL ? NB_OK : NB_ERROR);
        if (rows[i].says != NULL && strstr(err.text, rows[i].says) == NULL)
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", rows[i].text, err.text, rows[i].says);
    }
}

static void observations(void **state)
{
    (void)state;
    struct nb_observations o = {0};
    double nine[] = {9, 1, 8, 2, 7, 3, 6, 4, 5}, two[] = {4, 2}, bad[] = {1, NAN};
    nb_observe(&o, "ratio", "", 2, "op=%s", "rmsnorm");
    nb_observe_median(&o, "ratio", "", nine, 9, "seeds", "op=x");
    nb_observe_median(&o, "ratio", "", two, 2, "seeds", "op=x");
    nb_observe_median(&o, "ratio", "", bad, 2, "seeds", "op=x");
    nb_observe_missing(&o, "ratio", "", "no such library", false, "op=x");
    assert_int_equal(o.n, 5);
    assert_true(o.v[0].low == 2 && o.v[0].high == 2 && o.v[0].n == 0 && isnan(o.v[0].noise));
    assert_string_equal(o.v[0].where, "op=rmsnorm");
    assert_true(o.v[1].value == 5 && o.v[1].low == 2 && o.v[1].high == 8 && o.v[1].n == 9);
    assert_true(o.v[2].value == 3 && o.v[2].low == 2 && o.v[2].high == 4);
    assert_true(isnan(o.v[3].value) && o.v[3].nan && strcmp(o.v[3].missing, "not a number came out") == 0);
    assert_true(isnan(o.v[4].value) && strcmp(o.v[4].missing, "no such library") == 0 && !o.v[4].nan && !o.v[1].nan);
    nb_observations_free(&o);
}

static void row_statistics(void **state)
{
    (void)state;
    static const char *const values[] = {"layernorm,rmsnorm", "0,5", "0.001,1", "1e-5", "1000"};
    const struct nb_trial t = {.experiment = nb_experiment_find("row_statistics"), .values = values, .seed = 1};
    struct nb_observations o = {0};
    struct nb_err err;
    assert_non_null(t.experiment);
    assert_int_equal(t.experiment->run(&t, &o, &err), NB_OK);
    assert_int_equal(o.n, 2 * 2 * 2 * 3);
    assert_true(fabs(trial_value(&o, "output_mean", "op=layernorm mean=5 sd=1 eps=1e-05")) < 1e-13);
    assert_true(fabs(trial_value(&o, "output_variance", "op=layernorm mean=5 sd=1 eps=1e-05") - 1) < 2e-5);
    assert_true(fabs(trial_value(&o, "output_variance", "op=layernorm mean=0 sd=0.001 eps=1e-05") - 1 / 11.) < 0.02);
    assert_true(fabs(trial_value(&o, "output_mean_square", "op=rmsnorm mean=5 sd=1 eps=1e-05") - 1) < 1e-5);
    assert_true(fabs(trial_value(&o, "output_mean", "op=rmsnorm mean=5 sd=1 eps=1e-05") - 5 / sqrt(26)) < 0.01);
    nb_observations_free(&o);
}

/* Two-pass, one-pass and unfused kernels are what their names say; guarded looks at three elements besides. */
static void scans(void **state)
{
    (void)state;
    static const char *const values[] = {"layernorm,rmsnorm", "64"};
    const struct nb_trial t = {.experiment = nb_experiment_find("scans"), .values = values, .seed = 1};
    struct nb_observations o = {0};
    struct nb_err err;
    assert_int_equal(t.experiment->run(&t, &o, &err), NB_OK);
    assert_true(trial_value(&o, "walks", "op=layernorm algo=twopass") == 3);
    assert_true(trial_value(&o, "walks", "op=layernorm algo=welford") == 2);
    assert_true(trial_value(&o, "walks", "op=layernorm algo=guarded") == 2 + 3 / 64.);
    assert_true(trial_value(&o, "statistic_scans", "op=rmsnorm algo=onepass") == 1);
    assert_true(trial_value(&o, "fewest_scans", "op=layernorm") == 1);
    for (size_t i = 0; i < o.n; i++)
        if (strcmp(o.v[i].quantity, "walks_beyond_model") == 0 && !(o.v[i].value >= 0 && o.v[i].value <= 3 / 64.))
            fail_msg("%s reads x more often or less than its descriptor says: %g", o.v[i].where, o.v[i].value);
    nb_observations_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters), cmocka_unit_test(observations),
                                       cmocka_unit_test(row_statistics), cmocka_unit_test(scans)};
    char word[40];
    if (nb_cpu_init(word, sizeof word) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
