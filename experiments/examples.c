/* examples.c: the small rows of numbers that texts about norms calculate with.
 *
 * worked_example: every forward kernel of the op that runs here, on the rows of an example whose result is printed somewhere.
 *   A result is right where it rounds to the printed digits: it may be half a unit of the last one off, and half a unit in the
 *   last place of the storage type, which kernels round their output to. Roundings of the arithmetic itself, a few 2^-24, are a
 *   hundredth of half a digit and less, and are given nothing. digits_missed is the largest error in these units: up to 1 is
 *   right. Mean and variance are those that a kernel saves: var = 1/rstd^2 - eps.
 * printed_formula: LayerNorm as some notes print it, mu = sum x_i and a division by sqrt(sigma + eps), evaluated by the letter on
 *   [1,2,3,4]: its largest distance from what LayerNorm makes of the row. sigma^2 is the mean of (x_i - mu)^2.
 * scaled_error: the mean squared error between two rows, before and after they are scaled in one way or another; and against the
 *   mean square of the first row, which a mere change of unit leaves as it is. */
#include "call.h"
#include "experiment.h"
#include "sample.h"
#include "storage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 4, ROWS = 6 };

/* A printed number of the whole row: NAN where there is none. */
struct printed {
    double value, digit; /* digit: a unit of the last one printed */
};

static const struct example {
    const char *name;
    uint32_t op;
    size_t rows;
    double x[ROWS * LENGTH], y[ROWS * LENGTH], digit; /* rows one after the other */
    struct printed mean, variance, rms;
} EXAMPLES[] = {
    {"layernorm_1234", NB_OP_LAYERNORM, 1, {1, 2, 3, 4}, {-1.3416, -0.4472, 0.4472, 1.3416}, 1e-4, {2.5, 0.1}, {1.25, 0.01},
     {NAN, 0}},
    {"layernorm_2x3x4", NB_OP_LAYERNORM, 6,
     {1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6, -1, -2, -3, -4, -2, -3, -4, -5, -3, -4, -5, -6},
     {-1.3416, -0.4472, 0.4472, 1.3416, -1.3416, -0.4472, 0.4472, 1.3416, -1.3416, -0.4472, 0.4472, 1.3416,
      1.3416, 0.4472, -0.4472, -1.3416, 1.3416, 0.4472, -0.4472, -1.3416, 1.3416, 0.4472, -0.4472, -1.3416},
     1e-4, {NAN, 0}, {NAN, 0}, {NAN, 0}},
    {"rmsnorm_1234", NB_OP_RMSNORM, 1, {1, 2, 3, 4}, {0.3651, 0.7303, 1.0954, 1.4606}, 1e-4, {NAN, 0}, {NAN, 0}, {2.7386, 1e-4}},
};

/* An example in one dtype, and the worst of its kernels so far. */
struct attempt {
    const struct example *e;
    double eps;
    size_t tried;
    double y, mean, variance, rms; /* digits missed */
};

static double missed(double got, struct printed want, double roundoff)
{
    return fabs(got - want.value) / (want.digit / 2 + roundoff * (fabs(want.value) + want.digit / 2));
}

static void compare_statistics(struct attempt *a, const void *mean, const void *rstd, bool wide)
{
    const double m = wide ? *(const double *)mean : (double)*(const float *)mean,
                 s = wide ? *(const double *)rstd : (double)*(const float *)rstd, square = 1 / (s * s) - a->eps;
    a->mean = nb_worse(a->mean, missed(m, a->e->mean, 0));
    a->variance = nb_worse(a->variance, missed(square, a->e->variance, 0));
    a->rms = nb_worse(a->rms, missed(sqrt(square), a->e->rms, 0));
}

static void try_kernel(const struct nb_kernel *k, void *context)
{
    struct attempt *a = context;
    const size_t n = a->e->rows * LENGTH;
    struct nb_problem p = nb_call_problem(k, a->e->rows, LENGTH, a->eps);
    double *room = nb_sample_room((4 * n + 2 * ROWS) * sizeof *room), *x = room, *y = x + n, *got = y + n, *mean = got + n,
           *rstd = mean + ROWS;
    p.stats_out = 1;
    nb_to_storage(k->dtype, a->e->x, x, n);
    if (nb_call(k, &p, &(struct nb_args){.x = x, .y = y, .mean = mean, .rstd = rstd})) {
        nb_from_storage(k->dtype, y, got, n);
        for (size_t i = 0; i < n; i++)
            a->y = nb_worse(a->y, missed(got[i], (struct printed){a->e->y[i], a->e->digit}, nb_storage_roundoff(k->dtype)));
        compare_statistics(a, mean, rstd, k->dtype == NB_F64);
        a->tried++;
    }
    free(room);
}

static void one_example(const struct example *e, double eps, uint32_t dtype, struct nb_observations *o)
{
    struct attempt a = {.e = e, .eps = eps};
    nb_sample_kernels(e->op, dtype, try_kernel, &a);
    const struct {
        const char *of;
        bool printed;
        double missed;
    } all[] = {{"output", true, a.y}, {"mean", !isnan(e->mean.value), a.mean}, {"variance", !isnan(e->variance.value), a.variance},
               {"rms", !isnan(e->rms.value), a.rms}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].printed && a.tried > 0)
            nb_observe(o, "digits_missed", "", all[i].missed, "example=%s eps=%g dtype=%s of=%s", e->name, eps,
                       nb_dtype_name(dtype), all[i].of);
        else if (all[i].printed)
            nb_observe_missing(o, "digits_missed", "", "no kernel of this dtype runs here", false, "example=%s eps=%g dtype=%s of=%s",
                               e->name, eps, nb_dtype_name(dtype), all[i].of);
    nb_observe(o, "kernels_tried", "", (double)a.tried, "example=%s eps=%g dtype=%s", e->name, eps, nb_dtype_name(dtype));
}

static const struct nb_parameter WORKED_EXAMPLE[] = {
    {.name = "example", .value = "layernorm_1234,layernorm_2x3x4,rmsnorm_1234", .says = "examples", .kind = NB_CHOICES,
     .choices = "layernorm_1234 layernorm_2x3x4 rmsnorm_1234"},
    {.name = "eps", .value = "1e-5", .says = "eps of the norm", .kind = NB_NUMBERS, .least = 0, .most = 1},
    {.name = "dtype", .value = "f32,f64,f16,bf16", .says = "storage types", .kind = NB_CHOICES, .choices = "f32 f64 f16 bf16"},
};

static enum nb_status worked_example(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double eps[NB_NUMBERS_MAX];
    const size_t epss = nb_trial_numbers(t, "eps", eps);
    (void)err;
    for (size_t e = 0; e < sizeof EXAMPLES / sizeof *EXAMPLES; e++)
        for (size_t i = 0; nb_trial_has(t, "example", EXAMPLES[e].name) && i < epss; i++)
            for (uint32_t dtype = 0; dtype < NB_DTYPE_COUNT; dtype++)
                if (nb_trial_has(t, "dtype", nb_dtype_name(dtype)))
                    one_example(&EXAMPLES[e], eps[i], dtype, o);
    return NB_OK;
}

/* ---- printed_formula ---- */

/* y = (x - mu)/sqrt(s + eps): mu the sum of x or its mean, s the deviation about mu or its square. */
static void by_the_letter(const double *x, bool sum, bool deviation, double eps, double *y)
{
    double mu = 0, square = 0;
    for (size_t i = 0; i < LENGTH; i++)
        mu += x[i];
    if (!sum)
        mu /= LENGTH;
    for (size_t i = 0; i < LENGTH; i++)
        square += (x[i] - mu) * (x[i] - mu) / LENGTH;
    for (size_t i = 0; i < LENGTH; i++)
        y[i] = (x[i] - mu) / sqrt((deviation ? sqrt(square) : square) + eps);
}

static const struct nb_parameter PRINTED_FORMULA[] = {
    {.name = "mu", .value = "sum,average", .says = "what mu is: the sum of x, or its average", .kind = NB_CHOICES,
     .choices = "sum average"},
    {.name = "under_root", .value = "deviation,variance", .says = "what stands under the root beside eps", .kind = NB_CHOICES,
     .choices = "deviation variance"},
    {.name = "eps", .value = "1e-5", .says = "eps", .kind = NB_NUMBERS, .least = 0, .most = 1, .single = true},
};

static enum nb_status printed_formula(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const mus[] = {"sum", "average"}, *const roots[] = {"deviation", "variance"};
    static const double x[LENGTH] = {1, 2, 3, 4};
    const double eps = nb_trial_number(t, "eps");
    const struct nb_kernel *k = nb_call_plain(NB_OP_LAYERNORM, NB_F64);
    const struct nb_problem p = nb_call_problem(k, 1, LENGTH, eps);
    double right[LENGTH], y[LENGTH];
    (void)err;
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = right}));
    for (size_t i = 0; i < 4; i++) {
        double error = 0;
        by_the_letter(x, i / 2 == 0, i % 2 == 0, eps, y);
        for (size_t j = 0; j < LENGTH; j++)
            error = nb_worse(error, fabs(y[j] - right[j]));
        if (nb_trial_has(t, "mu", mus[i / 2]) && nb_trial_has(t, "under_root", roots[i % 2]))
            nb_observe(o, "literal_formula_error", "", error, "mu=%s under_root=%s", mus[i / 2], roots[i % 2]);
    }
    return NB_OK;
}

/* ---- scaled_error ---- */

enum { NUMBERS = 3 };
static const double A[NUMBERS] = {100, 200, 300}, B[NUMBERS] = {110, 190, 310};

static double mean_square_of_difference(const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < NUMBERS; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum / NUMBERS;
}

/* Both by 100, which is no more than another unit. */
static void divide_by_100(double *a, double *b)
{
    for (size_t i = 0; i < NUMBERS; i++) {
        a[i] /= 100;
        b[i] /= 100;
    }
}

/* Both to the range that they have together: its ends become 0 and 1. */
static void minmax(double *a, double *b)
{
    double least = a[0], most = a[0];
    for (size_t i = 0; i < NUMBERS; i++) {
        least = fmin(least, fmin(a[i], b[i]));
        most = fmax(most, fmax(a[i], b[i]));
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        a[i] = (a[i] - least) / (most - least);
        b[i] = (b[i] - least) / (most - least);
    }
}

static void norm(uint32_t op, double *a, double *b)
{
    const struct nb_kernel *k = nb_call_plain(op, NB_F64);
    const struct nb_problem p = nb_call_problem(k, 1, NUMBERS, 1e-5);
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = a, .y = a}));
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = b, .y = b}));
}

static void layernorm(double *a, double *b)
{
    norm(NB_OP_LAYERNORM, a, b);
}

static void rmsnorm(double *a, double *b)
{
    norm(NB_OP_RMSNORM, a, b);
}

static const struct nb_parameter SCALED_ERROR[] = {
    {.name = "by", .value = "divide_by_100,minmax,layernorm,rmsnorm", 
     .says = "how the rows [100,200,300] and [110,190,310] are scaled", .kind = NB_CHOICES, .choices = "divide_by_100 minmax layernorm rmsnorm"},
};

static enum nb_status scaled_error(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const struct {
        const char *name;
        void (*scale)(double *a, double *b);
    } ways[] = {{"divide_by_100", divide_by_100}, {"minmax", minmax}, {"layernorm", layernorm}, {"rmsnorm", rmsnorm}};
    static const double zero[NUMBERS];
    const double before = mean_square_of_difference(A, B), size = mean_square_of_difference(A, zero);
    (void)err;
    nb_observe(o, "mse_before", "", before, "rows=example");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double a[NUMBERS], b[NUMBERS];
        memcpy(a, A, sizeof a);
        memcpy(b, B, sizeof b);
        ways[i].scale(a, b);
        const double after = mean_square_of_difference(a, b), relative = after / mean_square_of_difference(a, zero);
        if (!nb_trial_has(t, "by", ways[i].name))
            continue;
        nb_observe(o, "mse_after", "", after, "by=%s", ways[i].name);
        nb_observe(o, "relative_mse_ratio", "", relative / (before / size), "by=%s", ways[i].name);
    }
    return NB_OK;
}

const struct nb_experiment nb_experiment_worked_example = {
    "worked_example", "every kernel on a row whose result is printed: how far it is from the printed digits",
    "digits_missed kernels_tried", "example", NB_TABLE(WORKED_EXAMPLE), false, {0.01, 0.01, 0.01}, worked_example};
const struct nb_experiment nb_experiment_printed_formula = {
    "printed_formula", "LayerNorm by a printed formula, taken by the letter, on [1,2,3,4]", "literal_formula_error",
    "mu under_root", NB_TABLE(PRINTED_FORMULA), false, {0.01, 0.01, 0.01}, printed_formula};
const struct nb_experiment nb_experiment_scaled_error = {
    "scaled_error", "the mean squared error of two rows after they are scaled", "mse_before mse_after relative_mse_ratio", "by",
    NB_TABLE(SCALED_ERROR), false, {0.01, 0.01, 0.01}, scaled_error};
