/* algebra_test: norms in double, their invariances, how gradients scale, Jacobians, and the small net that is trained. */
#include "cpu.h"
#include "experiment.h"
#include "f64.h"
#include "net.h"
#include "sample.h"
#include "stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "trial.h"
#include <math.h>
#include <string.h>

/* ---- running an experiment ---- */

static struct nb_observations observed(const char *name, const char *const *given)
{
    return trial_run(name, NULL, 1, NB_OK, given);
}

/* How many observations of a quantity there are, and the least and greatest end of their intervals. */
static size_t range_of(const struct nb_observations *o, const char *quantity, double *least, double *most)
{
    size_t n = 0;
    *least = INFINITY;
    *most = -INFINITY;
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i].quantity, quantity) == 0) {
            assert_false(isnan(o->v[i].value));
            *least = fmin(*least, o->v[i].low);
            *most = fmax(*most, o->v[i].high);
            n++;
        }
    return n;
}

static void every_quantity_is_declared(void **state)
{
    (void)state;
    static const char *const names[] = {"invariance", "centred_rows", "gradient_scaling", "jacobian"};
    static const char *const few[][3] = {{"factor=3", "norm=rmsnorm"}, {"hidden=8"}, {"factor=3"}, {"hidden=8"}};
    for (size_t k = 0; k < 4; k++) {
        struct nb_observations o = observed(names[k], few[k]);
        for (size_t i = 0; i < o.n; i++)
            if (strstr(nb_experiment_find(names[k])->quantities, o.v[i].quantity) == NULL)
                fail_msg("%s observes %s, which it does not say", names[k], o.v[i].quantity);
        nb_observations_free(&o);
    }
}

static void the_same_seed_gives_the_same(void **state)
{
    (void)state;
    static const char *const experiments[] = {"invariance", "training_probe"};
    static const char *const given[][5] = {{"factor=3", "eps=1e-5"}, {"seeds=2", "target=0.5", "depth=1", "adam_rates=1e-2"}};
    for (size_t k = 0; k < 2; k++) {
        struct nb_observations a = observed(experiments[k], given[k]), b = observed(experiments[k], given[k]);
        assert_int_equal(a.n, b.n);
        for (size_t i = 0; i < a.n; i++)
            assert_memory_equal(&a.v[i].value, &b.v[i].value, sizeof a.v[i].value);
        nb_observations_free(&a);
        nb_observations_free(&b);
    }
}

/* ---- norms in double ---- */

enum { R = 3, N = 8 };

/* sum of dy*norm(x) */
static double weighed(const struct nb_f64_norm *n, const double *x, const double *gamma, const double *beta, const double *dy)
{
    double y[R * N], mean[N], rstd[N], sum = 0;
    nb_f64_forward(n, x, gamma, beta, y, mean, rstd);
    for (size_t i = 0; i < R * N; i++)
        sum += dy[i] * y[i];
    return sum;
}

/* Central differences of step h are right to about h^2 = 1e-10 and u/h = 1e-11. */
static void check_slope(const struct nb_f64_norm *n, const double *x, double *moved, size_t at, const double *gamma, const double *beta,
                        const double *dy, double gradient)
{
    const double kept = moved[at], h = 1e-5;
    moved[at] = kept + h;
    const double up = weighed(n, x, gamma, beta, dy);
    moved[at] = kept - h;
    const double down = weighed(n, x, gamma, beta, dy);
    moved[at] = kept;
    assert_true(fabs((up - down) / (2 * h) - gradient) < 1e-7);
}

static void gradients_of_norms(void **state)
{
    (void)state;
    static const uint32_t ops[] = {NB_OP_LAYERNORM, NB_OP_RMSNORM, NB_OP_PRMSNORM, NB_OP_BATCHNORM};
    for (size_t o = 0; o < 4; o++) {
        const struct nb_f64_norm n = nb_f64_norm(ops[o], R, N, ops[o] == NB_OP_PRMSNORM ? 3 : 0, 0.1);
        double x[R * N], dy[R * N], gamma[N], beta[N], y[R * N], mean[N], rstd[N], dx[R * N], dgamma[N], dbeta[N];
        unsigned long long random = 7;
        for (size_t i = 0; i < R * N; i++) {
            x[i] = 1 + nb_gauss(&random);
            dy[i] = nb_gauss(&random);
            gamma[i % N] = 1 + nb_gauss(&random) / 4;
            beta[i % N] = nb_gauss(&random);
        }
        const bool has_beta = ops[o] == NB_OP_LAYERNORM || ops[o] == NB_OP_BATCHNORM;
        nb_f64_forward(&n, x, gamma, has_beta ? beta : NULL, y, mean, rstd);
        nb_f64_backward(&n, x, gamma, mean, rstd, dy, dx, dgamma, has_beta ? dbeta : NULL);
        for (size_t i = 0; i < R * N; i++)
            check_slope(&n, x, x, i, gamma, has_beta ? beta : NULL, dy, dx[i]);
        for (size_t i = 0; i < N; i++)
            check_slope(&n, x, gamma, i, gamma, has_beta ? beta : NULL, dy, dgamma[i]);
        for (size_t i = 0; has_beta && i < N; i++)
            check_slope(&n, x, beta, i, gamma, beta, dy, dbeta[i]);
    }
}

/* Elements that are wrong by up to 1e-6 of the largest of them, in the worst of 200 random patterns of signs: the bound stands, and
 * is no more than 10 times what happens. */
static void rounding_is_bounded_from_both_sides(void **state)
{
    (void)state;
    static const uint32_t ops[] = {NB_OP_LAYERNORM, NB_OP_RMSNORM};
    const double wrong = 1e-6, terms = wrong / 0x1p-53;
    for (size_t o = 0; o < 2; o++) {
        const struct nb_f64_norm n = nb_f64_norm(ops[o], 1, N, 0, 0);
        double x[N], off[N], y[N], moved[N], mean, rstd, size = 0, largest = 0, most = 0;
        unsigned long long random = 3;
        for (size_t i = 0; i < N; i++)
            size = fmax(size, fabs(x[i] = 2 + nb_gauss(&random)));
        nb_f64_forward(&n, x, NULL, NULL, y, &mean, &rstd);
        for (size_t i = 0; i < N; i++)
            largest = fmax(largest, fabs(y[i]));
        const double bound = nb_f64_rounding(N, (size_t)terms, size * rstd, largest);
        for (size_t k = 0; k < 200; k++) {
            double other_mean, other_rstd;
            for (size_t i = 0; i < N; i++)
                off[i] = x[i] + wrong * size * (nb_random(&random) % 2 == 0 ? 1 : -1);
            nb_f64_forward(&n, off, NULL, NULL, moved, &other_mean, &other_rstd);
            for (size_t i = 0; i < N; i++)
                most = fmax(most, fabs(moved[i] - y[i]));
        }
        assert_true(most <= bound && most > bound / 10);
    }
    assert_true(nb_f64_rounding(48, 34, 8, 4) < 1e-12);
}

/* ---- invariance ---- */

static const char *const NORMS[] = {"batchnorm", "weightnorm", "layernorm", "rmsnorm", "prmsnorm"};
static const char *const SCALINGS[] = {"weight_rescaling", "weight_vector_rescaling", "data_rescaling", "single_case_rescaling"};
/* Which scalings leave the output as it is, worked out by hand: what scales all that a statistic is taken of. */
static const bool UNSEEN[5][4] = {{1, 1, 1, 0}, {1, 1, 0, 0}, {1, 0, 1, 1}, {1, 0, 1, 1}, {1, 0, 1, 1}};

static void table_holds_without_eps(void **state)
{
    (void)state;
    static const char *const given[] = {"factor=0.001,0.1,3,10,1000", "eps=0", NULL};
    struct nb_observations o = observed("invariance", given);
    double least, most;
    assert_int_equal(range_of(&o, "agrees_with_table", &least, &most), 30 * 5);
    assert_true(least == 1 && most == 1);
    assert_int_equal(range_of(&o, "leak", &least, &most), 0);
    char where[120];
    for (size_t n = 0; n < 5; n++)
        for (size_t s = 0; s < 4; s++) {
            snprintf(where, sizeof where, "norm=%s transformation=%s factor=3 eps=0", NORMS[n], SCALINGS[s]);
            assert_true(trial_value(&o, "changed", where) == (UNSEEN[n][s] ? 0 : 1));
            assert_true(UNSEEN[n][s] ? trial_value(&o, "moved", where) < 1e-14 : trial_value(&o, "moved", where) > 0.1);
            assert_true(trial_value(&o, "rounding", where) > 1e-15 && trial_value(&o, "rounding", where) < 1e-11);
        }
    nb_observations_free(&o);
}

/* An eps of 1e-5 is seen by every norm that has one: the scalings no longer cancel. What cancels by subtraction still does. */
static void eps_breaks_the_table(void **state)
{
    (void)state;
    static const char *const given[] = {"factor=0.1,3", "eps=1e-5", NULL};
    struct nb_observations o = observed("invariance", given);
    char where[120];
    for (size_t n = 0; n < 5; n++)
        for (size_t s = 0; s < 4; s++) {
            const bool flips = UNSEEN[n][s] && strcmp(NORMS[n], "weightnorm") != 0;
            snprintf(where, sizeof where, "norm=%s transformation=%s factor=3 eps=1e-05", NORMS[n], SCALINGS[s]);
            assert_true(trial_value(&o, "agrees_with_table", where) == (flips ? 0 : 1));
            if (flips)
                assert_true(trial_value(&o, "leak", where) > 1e-7);
        }
    assert_true(trial_value(&o, "agrees_with_table", "norm=layernorm transformation=weight_recentring factor=3 eps=1e-05") == 1);
    assert_true(trial_value(&o, "agrees_with_table", "norm=batchnorm transformation=data_recentring factor=3 eps=1e-05") == 1);
    nb_observations_free(&o);
}

/* Rows have a mean square v about 1 (W: N(0, 1/inputs)), so a factor f moves them by 1 - sqrt((v + eps)/(v + eps/f^2)): at
 * f = 1e-3 by 1 - 1/sqrt(11) = 0.7 at v = 1, and by eps/(2v) where f is large. */
static void leak_follows_eps(void **state)
{
    (void)state;
    static const char *const given[] = {"norm=rmsnorm", "transformation=data_rescaling", "factor=0.001,0.1,1000", "eps=1e-7,1e-5", NULL};
    struct nb_observations o = observed("invariance", given);
    const double small = trial_value(&o, "leak", "norm=rmsnorm transformation=data_rescaling factor=0.001 eps=1e-05"),
                 tenth = trial_value(&o, "leak", "norm=rmsnorm transformation=data_rescaling factor=0.1 eps=1e-05"),
                 large = trial_value(&o, "leak", "norm=rmsnorm transformation=data_rescaling factor=1000 eps=1e-05"),
                 less = trial_value(&o, "leak", "norm=rmsnorm transformation=data_rescaling factor=1000 eps=1e-07");
    assert_true(small > 0.6 && small < 0.85);
    assert_true(large > 5e-6 / 2 && large < 5e-6 * 4);
    assert_true(fabs(tenth / large / 99 - 1) < 0.01);
    assert_true(fabs(large / less / 100 - 1) < 0.01);
    nb_observations_free(&o);
}

/* ---- identities ---- */

static void equal_on_centred_rows_alone(void **state)
{
    (void)state;
    static const char *const centred[] = {"rows=exact", "hidden=2,63,64,1000,4096", "eps=0.5,1e-5", NULL},
                             *const shifted[] = {"rows=shifted", NULL}, *const gaussian[] = {"rows=gaussian", NULL};
    struct nb_observations a = observed("centred_rows", centred), b = observed("centred_rows", shifted),
                           c = observed("centred_rows", gaussian);
    double least, most;
    assert_int_equal(range_of(&a, "difference_ulp", &least, &most), 2 * 5 * 2);
    assert_true(least == 0 && most == 0);
    assert_int_equal(range_of(&b, "difference_ulp", &least, &most), 2 * 2);
    assert_true(least > 1e5); /* 0.1 is 8e5 ulps of f32 */
    assert_int_equal(range_of(&c, "difference_ulp", &least, &most), 2 * 2);
    assert_true(most < 16);
    nb_observations_free(&a);
    nb_observations_free(&b);
    nb_observations_free(&c);
}

static void gradients_scale(void **state)
{
    (void)state;
    static const char *const exact[] = {"factor=0.1,10", NULL}, *const with_eps[] = {"factor=0.1,1,10", "eps=1e-5", NULL};
    struct nb_observations a = observed("gradient_scaling", exact), b = observed("gradient_scaling", with_eps);
    double least, most;
    assert_int_equal(range_of(&a, "departure", &least, &most), 16);
    assert_true(most > 0 && most < 1e-13);
    assert_true(fabs(trial_value(&a, "power_of_factor", "op=rmsnorm gradient=weight transformation=weight_rescaling factor=10 eps=0") + 1) < 1e-13);
    assert_true(fabs(trial_value(&a, "power_of_factor", "op=rmsnorm gradient=weight transformation=data_rescaling factor=10 eps=0")) < 1e-13);
    assert_true(fabs(trial_value(&a, "power_of_factor", "op=rmsnorm gradient=gamma transformation=data_rescaling factor=0.1 eps=0")) < 1e-13);
    assert_true(trial_value(&b, "departure", "op=rmsnorm gradient=gamma transformation=data_rescaling factor=10 eps=1e-05") > 1e-6);
    assert_true(trial_value(&b, "departure", "op=rmsnorm gradient=weight transformation=weight_rescaling factor=10 eps=1e-05") > 1e-6);
    const struct nb_observation *one = trial_find(&b, "power_of_factor",
                                            "op=rmsnorm gradient=gamma transformation=data_rescaling factor=1 eps=1e-05");
    assert_true(isnan(one->value) && one->missing[0] != '\0');
    nb_observations_free(&a);
    nb_observations_free(&b);
}

/* ---- jacobian ---- */

static void by_hand(bool centre, const double *x, size_t n, double eps, double *y)
{
    double mean = 0, square = 0;
    for (size_t i = 0; centre && i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(square + eps);
}

/* |J|_F by central differences of formulas that share no code with the kernels. */
static double norm_by_differences(bool centre, double *x, size_t n, double eps)
{
    double up[16], down[16], square = 0;
    for (size_t i = 0; i < n; i++) {
        const double kept = x[i], h = 1e-5;
        x[i] = kept + h;
        by_hand(centre, x, n, eps, up);
        x[i] = kept - h;
        by_hand(centre, x, n, eps, down);
        x[i] = kept;
        for (size_t j = 0; j < n; j++)
            square += (up[j] - down[j]) / (2 * h) * (up[j] - down[j]) / (2 * h);
    }
    return sqrt(square);
}

/* The norm depends on a row's mean and standard deviation alone: +-1 in turn around the mean has the same as the experiment's. */
static void jacobian_is_that_of_the_formulas(void **state)
{
    (void)state;
    static const char *const given[] = {"mean=0,1,5", "hidden=16", "eps=0,0.5", NULL};
    struct nb_observations o = observed("jacobian", given);
    char where[120];
    for (size_t i = 0; i < 12; i++) {
        const double mean = (double[]){0, 1, 5}[i % 3], eps = i / 3 % 2 == 0 ? 0 : 0.5;
        const bool centre = i < 6;
        double x[16];
        for (size_t j = 0; j < 16; j++)
            x[j] = mean + (j % 2 == 0 ? 1 : -1);
        snprintf(where, sizeof where, "op=%s mean=%g sd=1 hidden=16 eps=%g", centre ? "layernorm" : "rmsnorm", mean, eps);
        assert_true(fabs(trial_value(&o, "jacobian_norm", where) / norm_by_differences(centre, x, 16, eps) - 1) < 1e-8);
        assert_true(fabs(trial_value(&o, "jacobian_over_formula", where) - 1) < 1e-12);
    }
    nb_observations_free(&o);
}

static void ratio_falls_with_the_mean(void **state)
{
    (void)state;
    static const char *const given[] = {"sd=1,100", "hidden=64,333", NULL};
    struct nb_observations o = observed("jacobian", given);
    double least, most;
    assert_true(fabs(trial_value(&o, "jacobian_norm_ratio", "mean=0 sd=1 hidden=64 eps=0") - sqrt(63. / 62)) < 1e-12);
    assert_true(fabs(trial_value(&o, "jacobian_norm_ratio", "mean=5 sd=100 hidden=333 eps=0") - sqrt(332. / 331 / 26)) < 1e-12);
    assert_true(fabs(trial_value(&o, "jacobian_norm", "op=layernorm mean=1 sd=100 hidden=64 eps=0") - sqrt(62) / 100) < 1e-12);
    /* a projection never lengthens: |dx| <= rstd*|dy|, and of a random dy little is lost */
    assert_int_equal(range_of(&o, "gradient_kept", &least, &most), 2 * 3 * 2 * 2);
    assert_true(most <= 1 + 1e-12 && least > 0.9 / sqrt(26) / 100);
    nb_observations_free(&o);
}

/* ---- the net and its training ---- */

enum { BATCH = 5 };

static void check_net(enum nb_net_norm norm, size_t depth)
{
    const struct nb_net net = nb_net(norm, 3, 6, 5, depth);
    const size_t n = nb_net_size(&net), w = nb_net_work(&net, BATCH);
    double *theta = test_malloc((2 * n + w) * sizeof *theta), *gradient = theta + n, *work = gradient + n;
    double x[BATCH * 3], t[BATCH], size = 0;
    unsigned long long random = 11;
    nb_net_draw(&net, theta, &random);
    for (size_t i = 0; i < n; i++) /* away from gamma 1 and biases 0 */
        theta[i] += nb_gauss(&random) / 8;
    for (size_t i = 0; i < BATCH * 3; i++)
        x[i] = t[i % BATCH] = nb_gauss(&random);
    for (size_t i = 0; i < w; i++)
        work[i] = NAN; /* of any content */
    const double loss = nb_net_loss(&net, theta, x, t, BATCH, work, gradient);
    assert_true(loss == nb_net_loss(&net, theta, x, t, BATCH, work, NULL));
    for (size_t i = 0; i < n; i++) {
        const double kept = theta[i], h = 1e-5;
        theta[i] = kept + h;
        const double up = nb_net_loss(&net, theta, x, t, BATCH, work, NULL);
        theta[i] = kept - h;
        const double down = nb_net_loss(&net, theta, x, t, BATCH, work, NULL);
        theta[i] = kept;
        if (!(fabs((up - down) / (2 * h) - gradient[i]) < 1e-6 * (1 + fabs(gradient[i]))))
            fail_msg("norm %d depth %zu: parameter %zu of %zu: %.9g, not %.9g", norm, depth, i, n, gradient[i], (up - down) / (2 * h));
        size += fabs(gradient[i]);
    }
    assert_true(size > 0.1);
    test_free(theta);
}

static void gradients_of_the_net(void **state)
{
    (void)state;
    for (int norm = NB_NET_NONE; norm <= NB_NET_RMSNORM; norm++)
        for (size_t depth = 0; depth <= 2; depth++)
            check_net((enum nb_net_norm)norm, depth);
}

static void norms_begin_alike(void **state)
{
    (void)state;
    const struct nb_net a = nb_net(NB_NET_LAYERNORM, 3, 6, 5, 2), b = nb_net(NB_NET_RMSNORM, 3, 6, 5, 2);
    double first[400], second[400];
    unsigned long long s = 5, t = 5;
    assert_true(nb_net_size(&a) == nb_net_size(&b) && nb_net_size(&a) <= 400);
    nb_net_draw(&a, first, &s);
    nb_net_draw(&b, second, &t);
    assert_memory_equal(first, second, nb_net_size(&a) * sizeof *first);
    assert_true(s == t);
}

/* Of a gradient that stays the same Adam's corrected means are that gradient and its square: each step is rate long, whatever the
 * gradient's size. Momentum's k-th step is rate*g*(1 - 0.9^k)/0.1. */
static void optimizers_step(void **state)
{
    (void)state;
    double theta[2] = {0}, first[2] = {0}, second[2] = {0}, falling[2] = {0}, velocity[2] = {0}, want = 0;
    const double gradient[2] = {100, -0.01};
    for (size_t k = 1; k <= 50; k++) {
        nb_adam(2, theta, gradient, first, second, 0.5, k);
        nb_momentum(2, falling, gradient, velocity, 0.5);
        want += (1 - pow(0.9, (double)k)) / 0.1;
        assert_true(fabs(theta[0] / (-0.5 * (double)k) - 1) < 1e-5 && fabs(theta[1] / (0.5 * (double)k) - 1) < 1e-5);
        assert_true(fabs(falling[0] / (-50 * want) - 1) < 1e-12 && fabs(falling[1] / (0.005 * want) - 1) < 1e-12);
    }
}

/* Of three rates of which two do nothing the other is chosen, and steps are whole fives. */
static void probe_trains(void **state)
{
    (void)state;
    static const char *const given[] = {"seeds=2", "target=0.5", "adam_rates=1e-8,1e-2,1e-7", "steps=60", "depth=0",
                                        "optimizer=adam,momentum", "momentum_rates=1e-8,3e-2", "baseline=layernorm,none", NULL};
    struct nb_observations o = observed("training_probe", given);
    const char *ln = "norm=layernorm optimizer=adam depth=0 target=0.5", *rms = "norm=rmsnorm optimizer=adam depth=0 target=0.5";
    assert_true(trial_value(&o, "learning_rate", ln) == 1e-2 && trial_value(&o, "learning_rate", rms) == 1e-2);
    assert_true(trial_value(&o, "learning_rate", "norm=none optimizer=momentum depth=0 target=0.5") == 3e-2);
    assert_true(trial_value(&o, "reached", ln) == 1 && trial_value(&o, "reached", rms) == 1);
    assert_true(trial_find(&o, "steps", rms)->low >= 10 && trial_find(&o, "steps", rms)->high <= 60);
    assert_true(fmod(trial_find(&o, "steps", rms)->low, 5) == 0);
    nb_observations_free(&o);
}

/* Steps differ more by seed than, of one seed, by norm: the weights, the teacher and the cases are the same. Of three seeds an interval's
 * ends and middle are the values, so the product of the ratios is that of the steps. */
static void probe_pairs_its_runs(void **state)
{
    (void)state;
    static const char *const given[] = {"seeds=3", "target=0.2", "adam_rates=1e-2", "depth=1", "baseline=layernorm,none", NULL};
    struct nb_observations o = observed("training_probe", given);
    const struct nb_observation *rms = trial_find(&o, "steps", "norm=rmsnorm optimizer=adam depth=1 target=0.2"),
                                *none = trial_find(&o, "steps", "norm=none optimizer=adam depth=1 target=0.2"),
                                *ln = trial_find(&o, "steps_ratio", "baseline=layernorm optimizer=adam depth=1 target=0.2"),
                                *ratio = trial_find(&o, "steps_ratio", "baseline=none optimizer=adam depth=1 target=0.2");
    const double product = none->low * none->value * none->high / (rms->low * rms->value * rms->high);
    assert_true(rms->low > 20 && ln->low > 0.8 && ln->high < 1.25);
    if (!(rms->high / rms->low > 1.1 * ln->high / ln->low))
        fail_msg("steps %g to %g, ratios %g to %g", rms->low, rms->high, ln->low, ln->high);
    assert_true(fabs(ratio->low * ratio->value * ratio->high / product - 1) < 1e-12 && product != 1);
    nb_observations_free(&o);
}

/* A target that is not reached is no number of steps. */
static void probe_says_what_it_did_not_reach(void **state)
{
    (void)state;
    static const char *const given[] = {"seeds=2", "target=0.5", "adam_rates=1e-8", "steps=20", "depth=1", NULL};
    struct nb_observations o = observed("training_probe", given);
    const struct nb_observation *ratio = trial_find(&o, "steps_ratio", "baseline=layernorm optimizer=adam depth=1 target=0.5");
    assert_true(trial_value(&o, "reached", "norm=rmsnorm optimizer=adam depth=1 target=0.5") == 0);
    assert_true(isnan(ratio->value) && strstr(ratio->missing, "0 of 2 runs of layernorm") != NULL);
    nb_observations_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quantity_is_declared), cmocka_unit_test(the_same_seed_gives_the_same),
        cmocka_unit_test(gradients_of_norms), cmocka_unit_test(rounding_is_bounded_from_both_sides),
        cmocka_unit_test(table_holds_without_eps), cmocka_unit_test(eps_breaks_the_table), cmocka_unit_test(leak_follows_eps),
        cmocka_unit_test(equal_on_centred_rows_alone), cmocka_unit_test(gradients_scale),
        cmocka_unit_test(jacobian_is_that_of_the_formulas), cmocka_unit_test(ratio_falls_with_the_mean),
        cmocka_unit_test(gradients_of_the_net), cmocka_unit_test(norms_begin_alike), cmocka_unit_test(optimizers_step), cmocka_unit_test(probe_trains), cmocka_unit_test(probe_pairs_its_runs),
        cmocka_unit_test(probe_says_what_it_did_not_reach),
    };
    char word[40];
    if (nb_cpu_init(word, sizeof word) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
