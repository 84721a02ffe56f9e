/* shape.c: what a norm does to the distribution of a row's elements, in f64.
 *
 * shape: a lognormal row, which is skewed, before and after a norm: how far skewness and kurtosis move, as shares of what they
 *   were, and the share of neighbours in the sorted row whose outputs stand in the same order. gamma uniform in [0.5, 1.5], or
 *   none.
 * gain_and_shift: mean and variance of LayerNorm's output with gamma and beta, against mean(beta) and mean(gamma^2). A channel
 *   has a level of its own, N(0,1), beside the N(0,1) of the token. gamma: constant; varying, uniform in [0.5, 1.5] of its size and
 *   independent of the row; following, the larger the higher the channel's level is, as trained weights may do. beta: constant or
 *   N(0, 1) about its value. */
#include "call.h"
#include "experiment.h"
#include "sample.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPE_ROWS = 41, GAIN_ROWS = 9 };

static double share_of_one(unsigned long long *state)
{
    return ((double)(nb_random(state) >> 11) + 0.5) * 0x1p-53;
}

static const struct nb_kernel *kernel_of(const char *op)
{
    return nb_call_plain((uint32_t)nb_op_parse(op), NB_F64);
}

/* ---- shape ---- */

/* An element and what became of it. */
struct pair {
    double x, y;
};

static int by_x(const void *a, const void *b)
{
    const double p = ((const struct pair *)a)->x, q = ((const struct pair *)b)->x;
    return (p > q) - (p < q);
}

static double order_kept(const double *x, const double *y, size_t n)
{
    struct pair *pairs = nb_sample_room(n * sizeof *pairs);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        pairs[i] = (struct pair){x[i], y[i]};
    qsort(pairs, n, sizeof *pairs, by_x);
    for (size_t i = 0; i + 1 < n; i++)
        kept += pairs[i].y <= pairs[i + 1].y;
    free(pairs);
    return (double)kept / (double)(n - 1);
}

static void one_shape(const struct nb_trial *t, const char *op, bool gamma, struct nb_observations *o)
{
    const size_t n = (size_t)nb_trial_number(t, "hidden");
    const struct nb_kernel *k = kernel_of(op);
    const struct nb_problem p = nb_call_problem(k, 1, n, 1e-5);
    double *x = nb_sample_room(3 * n * sizeof *x), *y = x + n, *w = y + n;
    double skewness[SHAPE_ROWS], kurtosis[SHAPE_ROWS], order[SHAPE_ROWS];
    unsigned long long state = t->seed;
    for (size_t r = 0; r < SHAPE_ROWS; r++) {
        nb_sample_gauss(x, n, &state);
        for (size_t i = 0; i < n; i++) {
            x[i] = exp(x[i]);
            w[i] = 0.5 + share_of_one(&state);
        }
        NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .gamma = gamma ? w : NULL, .y = y}));
        const struct nb_row_shape was = nb_row_shape(x, n), is = nb_row_shape(y, n);
        skewness[r] = fabs(is.skewness / was.skewness - 1);
        kurtosis[r] = fabs(is.kurtosis / was.kurtosis - 1);
        order[r] = order_kept(x, y, n);
    }
    free(x);
    nb_observe_median(o, "skewness_change", "", skewness, SHAPE_ROWS, "rows", "op=%s gamma=%s", op, gamma ? "varying" : "none");
    nb_observe_median(o, "kurtosis_change", "", kurtosis, SHAPE_ROWS, "rows", "op=%s gamma=%s", op, gamma ? "varying" : "none");
    nb_observe_median(o, "order_kept", "", order, SHAPE_ROWS, "rows", "op=%s gamma=%s", op, gamma ? "varying" : "none");
}

static const struct nb_parameter SHAPE[] = {
    {.name = "op", .value = "layernorm,rmsnorm", .says = "norms", .kind = NB_CHOICES, .choices = "layernorm rmsnorm"},
    {.name = "gamma", .value = "none,varying", .says = "weights of the norm", .kind = NB_CHOICES, .choices = "none varying"},
    {.name = "hidden", .value = "4096", .says = "elements of a row", .kind = NB_NUMBERS, .least = 16, .most = 65536, .whole = true,
     .single = true},
};

static enum nb_status shape(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const ops[] = {"layernorm", "rmsnorm"}, *const gammas[] = {"none", "varying"};
    (void)err;
    for (size_t i = 0; i < 4; i++)
        if (nb_trial_has(t, "op", ops[i / 2]) && nb_trial_has(t, "gamma", gammas[i % 2]))
            one_shape(t, ops[i / 2], i % 2 == 1, o);
    return NB_OK;
}

/* ---- gain_and_shift ---- */

enum { HIDDEN = 8192 };
static const char *const GAMMAS[] = {"constant", "varying", "following"}, *const BETAS[] = {"constant", "varying"};

/* One model: a level, a gamma and a beta of each channel. [HIDDEN] each. */
struct channels {
    double level[HIDDEN], gamma[HIDDEN], beta[HIDDEN];
};

static void draw_channels(struct channels *c, size_t gamma, size_t beta, double size, double shift, unsigned long long *state)
{
    nb_sample_gauss(c->level, HIDDEN, state);
    nb_sample_gauss(c->beta, HIDDEN, state);
    for (size_t i = 0; i < HIDDEN; i++) {
        const double free_of_row = 0.5 + share_of_one(state), by_level = 1 + 0.5 * tanh(c->level[i]);
        c->gamma[i] = size * (gamma == 0 ? 1 : gamma == 1 ? free_of_row : by_level);
        c->beta[i] = shift + (beta == 0 ? 0 : c->beta[i]);
    }
}

static double mean_of(const double *v, const double *w)
{
    double sum = 0;
    for (size_t i = 0; i < HIDDEN; i++)
        sum += v[i] * (w != NULL ? w[i] : 1);
    return sum / HIDDEN;
}

static void one_gain(const struct nb_trial *t, size_t gamma, size_t beta, double size, struct nb_observations *o)
{
    static const char where[] = "gamma=%s beta=%s size=%g";
    const struct nb_kernel *k = kernel_of("layernorm");
    const struct nb_problem p = nb_call_problem(k, 1, HIDDEN, 1e-5);
    struct channels *c = nb_sample_room(sizeof *c);
    double *x = nb_sample_room(2 * HIDDEN * sizeof *x), *y = x + HIDDEN, variance[GAIN_ROWS], mean[GAIN_ROWS];
    unsigned long long state = t->seed;
    for (size_t r = 0; r < GAIN_ROWS; r++) {
        draw_channels(c, gamma, beta, size, nb_trial_number(t, "shift"), &state);
        nb_sample_gauss(x, HIDDEN, &state);
        for (size_t i = 0; i < HIDDEN; i++)
            x[i] += c->level[i];
        NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .gamma = c->gamma, .beta = c->beta, .y = y}));
        const struct nb_row_shape is = nb_row_shape(y, HIDDEN);
        variance[r] = is.variance / mean_of(c->gamma, c->gamma);
        mean[r] = (is.mean - mean_of(c->beta, NULL)) / size;
    }
    free(x);
    free(c);
    nb_observe_median(o, "variance_over_gamma_squared", "", variance, GAIN_ROWS, "rows", where, GAMMAS[gamma], BETAS[beta], size);
    nb_observe_median(o, "mean_off_beta", "gamma", mean, GAIN_ROWS, "rows", where, GAMMAS[gamma], BETAS[beta], size);
}

static const struct nb_parameter GAIN_AND_SHIFT[] = {
    {.name = "gamma", .value = "constant,varying,following", .says = "how gamma varies over the row", .kind = NB_CHOICES,
     .choices = "constant varying following"},
    {.name = "beta", .value = "constant,varying", .says = "how beta varies over the row", .kind = NB_CHOICES,
     .choices = "constant varying"},
    {.name = "size", .value = "0.5,2", .says = "size of gamma", .kind = NB_NUMBERS, .least = 1e-6, .most = 1e6},
    {.name = "shift", .value = "3", .says = "mean of beta", .kind = NB_NUMBERS, .least = -1e6, .most = 1e6, .single = true},
};

static enum nb_status gain_and_shift(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double size[NB_NUMBERS_MAX];
    const size_t sizes = nb_trial_numbers(t, "size", size);
    (void)err;
    for (size_t i = 0; i < 6 * sizes; i++)
        if (nb_trial_has(t, "gamma", GAMMAS[i / 2 % 3]) && nb_trial_has(t, "beta", BETAS[i % 2]))
            one_gain(t, i / 2 % 3, i % 2, size[i / 6], o);
    return NB_OK;
}

const struct nb_experiment nb_experiment_shape = {
    "shape", "skewness, kurtosis and order of a row's elements before and after a norm", "skewness_change kurtosis_change order_kept",
    "op", NB_TABLE(SHAPE), false, {0.05, 0.05, 0.05}, shape};
const struct nb_experiment nb_experiment_gain_and_shift = {
    "gain_and_shift", "mean and variance of LayerNorm's output with gamma and beta, against what gamma and beta say",
    "variance_over_gamma_squared mean_off_beta", "gamma", NB_TABLE(GAIN_AND_SHIFT), false, {0.1, 0.1, 0.1}, gain_and_shift};
