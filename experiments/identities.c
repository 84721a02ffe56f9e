/* identities.c: two things that are said of RMSNorm's arithmetic.
 *
 * centred_rows: layernorm and rmsnorm of the same rows, whose mean is zero. Three kinds of rows:
 *     exact     (v, -v) with v on a grid of 1/16 within +-63/16: of up to 4096 of them sums, and sums of squares, are exact even in
 *               f32 (2^12 squares of at most 2^12 units of 2^-8), so that both norms find the same statistics in whatever order
 *     gaussian  (v, -v) with v from N(0,1): the mean is zero, but a sum of rounded numbers need not be
 *     shifted   (v, -v) + 1/10: the control, on which the two norms differ
 *
 * gradient_scaling: y = gamma*norm(W x) and the loss |y - t|^2/2, in double, by the backward kernels. Gradients of gamma and of W
 *   before and after W, or x, is multiplied by a factor f. y stays where eps is 0, so dL/dy does; xhat stays, so dL/dgamma =
 *   sum dL/dy*xhat does; d(norm)/da goes with rstd, which goes as 1/f, and dL/dW = (dL/da) x' has one more factor f where it is x
 *   that was scaled. So dL/dW goes as f^-1 with W and stays with x.
 *
 * Shapes  x [ROWS][INPUTS], W [HIDDEN][INPUTS], a, y, t [ROWS][HIDDEN], gamma [HIDDEN]
 * Source  Zhang and Sennrich 2019 (arXiv 1910.07467), sections 4.1 and 4.2 */
#include "experiment.h"
#include "f64.h"
#include "sample.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- centred_rows ---- */

static const struct nb_parameter CENTRED_ROWS[] = {
    {.name = "rows", .value = "exact,gaussian,shifted", .says = "kinds of rows", .kind = NB_CHOICES, .choices = "exact gaussian shifted"},
    {.name = "dtype", .value = "f32,f64", .says = "types of elements", .kind = NB_CHOICES, .choices = "f32 f64"},
    {.name = "hidden", .value = "64,1024", .says = "elements of a row", .kind = NB_NUMBERS, .least = 2, .most = 4096, .whole = true},
    {.name = "eps", .value = "1e-5", .says = "eps of both norms", .kind = NB_NUMBERS, .least = 0, .most = 1e6},
};

enum { SEVERAL = 9 };

/* An element of v in a type: as it is in f64, and rounded in f32. */
static void put(void *to, uint32_t dtype, size_t i, double v)
{
    if (dtype == NB_F32)
        ((float *)to)[i] = (float)v;
    else
        ((double *)to)[i] = v;
}

static double get(const void *from, uint32_t dtype, size_t i)
{
    return dtype == NB_F32 ? (double)((const float *)from)[i] : ((const double *)from)[i];
}

/* Of an odd length the last element is 0. v is rounded to the type before it is negated and shifted. */
static void fill_row(const char *kind, uint32_t dtype, void *x, size_t n, unsigned long long *state)
{
    const double shift = strcmp(kind, "shifted") == 0 ? 0.1 : 0;
    if (n % 2 == 1)
        put(x, dtype, n - 1, shift);
    for (size_t i = 0; i < n / 2; i++) {
        double v = nb_gauss(state);
        if (strcmp(kind, "exact") == 0)
            v = fmin(63, fmax(-63, round(16 * v))) / 16;
        put(x, dtype, i, shift + v);
        put(x, dtype, n / 2 + i, shift - v);
    }
}

/* Largest difference of the two outputs, in ulps of 1: an output's mean square is 1. Infinite: not a number came out of one of them. */
static double difference(const char *kind, uint32_t dtype, size_t n, double eps, unsigned long long *state)
{
    const struct nb_kernel *ln = nb_call_plain(NB_OP_LAYERNORM, dtype),
                           *rms = nb_call_plain(NB_OP_RMSNORM, dtype);
    char *x = malloc(3 * n * sizeof(double)), *a = x + n * sizeof(double), *b = a + n * sizeof(double);
    double most = 0;
    NB_ASSERT(x != NULL && ln != NULL && rms != NULL);
    const struct nb_problem p = nb_call_problem(ln, 1, n, eps), q = nb_call_problem(rms, 1, n, eps);
    fill_row(kind, dtype, x, n, state);
    NB_ASSERT(nb_call(ln, &p, &(struct nb_args){.x = x, .y = a}) && nb_call(rms, &q, &(struct nb_args){.x = x, .y = b}));
    for (size_t i = 0; i < n; i++) {
        most = nb_worse(most, fabs(get(a, dtype, i) - get(b, dtype, i)));
    }
    free(x);
    return most / (dtype == NB_F32 ? 0x1p-23 : 0x1p-52);
}

static void centred_rows_of(const struct nb_trial *t, const char *kind, uint32_t dtype, struct nb_observations *o)
{
    double hidden[NB_NUMBERS_MAX], eps[NB_NUMBERS_MAX], ulp[SEVERAL];
    const size_t n = nb_trial_numbers(t, "hidden", hidden), epss = nb_trial_numbers(t, "eps", eps);
    for (size_t i = 0; i < n * epss; i++) {
        unsigned long long state = t->seed;
        for (size_t r = 0; r < SEVERAL; r++)
            ulp[r] = difference(kind, dtype, (size_t)hidden[i % n], eps[i / n], &state);
        nb_observe_median(o, "difference_ulp", "", ulp, SEVERAL, "rows", "rows=%s dtype=%s hidden=%g eps=%g", kind,
                          nb_dtype_name(dtype), hidden[i % n], eps[i / n]);
    }
}

static enum nb_status centred_rows(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const kinds[] = {"exact", "gaussian", "shifted"};
    static const uint32_t dtypes[] = {NB_F32, NB_F64};
    (void)err;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 2; j++)
            if (nb_trial_has(t, "rows", kinds[i]) && nb_trial_has(t, "dtype", nb_dtype_name(dtypes[j])))
                centred_rows_of(t, kinds[i], dtypes[j], o);
    return NB_OK;
}

const struct nb_experiment nb_experiment_centred_rows = {
    "centred_rows", "how far layernorm and rmsnorm differ on rows of mean zero", "difference_ulp", "rows", CENTRED_ROWS,
    sizeof CENTRED_ROWS / sizeof *CENTRED_ROWS, false, {0.01, 0.01, 0.01}, centred_rows};

/* ---- gradient_scaling ---- */

static const struct nb_parameter GRADIENT_SCALING[] = {
    {.name = "op", .value = "layernorm,rmsnorm", .says = "norms", .kind = NB_CHOICES, .choices = "layernorm rmsnorm"},
    {.name = "gradient", .value = "gamma,weight", .says = "of what", .kind = NB_CHOICES, .choices = "gamma weight"},
    {.name = "transformation", .value = "weight_rescaling,data_rescaling", .says = "what is multiplied by the factor",
     .kind = NB_CHOICES, .choices = "weight_rescaling data_rescaling"},
    {.name = "factor", .value = "0.001,0.1,10,1000", .says = "of the re-scaling", .kind = NB_NUMBERS, .least = 1e-6, .most = 1e6},
    {.name = "eps", .value = "0", .says = "eps of the norm", .kind = NB_NUMBERS, .least = 0, .most = 1e6},
};

enum { HIDDEN = 48, INPUTS = 32, ROWS = 16 };

struct layer {
    double w[HIDDEN][INPUTS], x[ROWS][INPUTS], t[ROWS][HIDDEN], gamma[HIDDEN]; /* given */
    double dw[HIDDEN][INPUTS], dgamma[HIDDEN];                                 /* found */
};

static void draw(struct layer *l, unsigned long long *state)
{
    for (size_t i = 0; i < HIDDEN * INPUTS; i++)
        l->w[i / INPUTS][i % INPUTS] = nb_gauss(state) / sqrt(INPUTS);
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        l->x[i / INPUTS][i % INPUTS] = nb_gauss(state);
    for (size_t i = 0; i < ROWS * HIDDEN; i++)
        l->t[i / HIDDEN][i % HIDDEN] = nb_gauss(state);
    for (size_t j = 0; j < HIDDEN; j++)
        l->gamma[j] = 1 + nb_gauss(state) / 4;
}

static void gradients(uint32_t op, double eps, struct layer *l)
{
    const struct nb_f64_norm n = nb_f64_norm(op, ROWS, HIDDEN, 0, eps);
    double a[ROWS][HIDDEN] = {{0}}, y[ROWS][HIDDEN], da[ROWS][HIDDEN], mean[ROWS], rstd[ROWS];
    for (size_t i = 0; i < ROWS * HIDDEN * INPUTS; i++)
        a[i / INPUTS / HIDDEN][i / INPUTS % HIDDEN] += l->x[i / INPUTS / HIDDEN][i % INPUTS] * l->w[i / INPUTS % HIDDEN][i % INPUTS];
    nb_f64_forward(&n, &a[0][0], l->gamma, NULL, &y[0][0], mean, rstd);
    for (size_t i = 0; i < ROWS * HIDDEN; i++)
        y[i / HIDDEN][i % HIDDEN] -= l->t[i / HIDDEN][i % HIDDEN]; /* dL/dy */
    nb_f64_backward(&n, &a[0][0], l->gamma, mean, rstd, &y[0][0], &da[0][0], l->dgamma, NULL);
    memset(l->dw, 0, sizeof l->dw);
    for (size_t i = 0; i < ROWS * HIDDEN * INPUTS; i++)
        l->dw[i / INPUTS % HIDDEN][i % INPUTS] += da[i / INPUTS / HIDDEN][i / INPUTS % HIDDEN] * l->x[i / INPUTS / HIDDEN][i % INPUTS];
}

struct scaling {
    const char *op, *gradient, *transformation;
    double factor, eps;
};

/* p in |after| = |before|*factor^p, and the largest |after*factor^-p0 - before| over the largest |before|, p0 being what the paper
 * says p is: for gamma 0; for W -1 with W, 0 with x. */
static void compare(const double *before, const double *after, size_t n, const struct scaling *s, double *power, double *departure)
{
    const double p0 = strcmp(s->gradient, "weight") == 0 && strcmp(s->transformation, "weight_rescaling") == 0 ? -1 : 0;
    double square[2] = {0, 0}, largest = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs(after[i] * pow(s->factor, -p0) - before[i]);
        square[0] += before[i] * before[i];
        square[1] += after[i] * after[i];
        largest = fmax(largest, fabs(before[i]));
        most = nb_worse(most, d);
    }
    *power = log(square[1] / square[0]) / 2 / log(s->factor);
    *departure = most / largest;
}

static void one_draw(const struct scaling *s, const struct layer *drawn, double *power, double *departure)
{
    struct layer before = *drawn, after = *drawn;
    const uint32_t op = (uint32_t)nb_op_parse(s->op);
    const bool gamma = strcmp(s->gradient, "gamma") == 0, weights = strcmp(s->transformation, "weight_rescaling") == 0;
    for (size_t i = 0; i < (weights ? HIDDEN : ROWS) * INPUTS; i++)
        (weights ? after.w : after.x)[i / INPUTS][i % INPUTS] *= s->factor;
    gradients(op, s->eps, &before);
    gradients(op, s->eps, &after);
    compare(gamma ? before.dgamma : &before.dw[0][0], gamma ? after.dgamma : &after.dw[0][0], gamma ? HIDDEN : HIDDEN * INPUTS, s,
            power, departure);
}

static void one_scaling(const struct layer *drawn, const struct scaling *s, struct nb_observations *o)
{
    static const char where[] = "op=%s gradient=%s transformation=%s factor=%g eps=%g";
    double power[SEVERAL], departure[SEVERAL];
    for (size_t d = 0; d < SEVERAL; d++)
        one_draw(s, &drawn[d], &power[d], &departure[d]);
    if (s->factor == 1)
        nb_observe_missing(o, "power_of_factor", "", "1 to any power is 1", false, where, s->op, s->gradient, s->transformation, s->factor,
                           s->eps);
    else
        nb_observe_median(o, "power_of_factor", "", power, SEVERAL, "draws", where, s->op, s->gradient, s->transformation, s->factor,
                          s->eps);
    nb_observe_median(o, "departure", "", departure, SEVERAL, "draws", where, s->op, s->gradient, s->transformation, s->factor, s->eps);
}

static enum nb_status gradient_scaling(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const ops[] = {"layernorm", "rmsnorm"}, *const gradient[] = {"gamma", "weight"},
                             *const change[] = {"weight_rescaling", "data_rescaling"};
    double factor[NB_NUMBERS_MAX], eps[NB_NUMBERS_MAX];
    const size_t factors = nb_trial_numbers(t, "factor", factor), epss = nb_trial_numbers(t, "eps", eps);
    struct layer *drawn = calloc(SEVERAL, sizeof *drawn);
    unsigned long long state = t->seed;
    (void)err;
    NB_ASSERT(drawn != NULL);
    for (size_t d = 0; d < SEVERAL; d++)
        draw(&drawn[d], &state);
    for (size_t c = 0; c < 8; c++) {
        const char *op = ops[c / 4], *of = gradient[c / 2 % 2], *by = change[c % 2];
        const bool asked = nb_trial_has(t, "op", op) && nb_trial_has(t, "gradient", of) && nb_trial_has(t, "transformation", by);
        for (size_t i = 0; asked && i < factors * epss; i++)
            one_scaling(drawn, &(struct scaling){op, of, by, factor[i % factors], eps[i / factors]}, o);
    }
    free(drawn);
    return NB_OK;
}

const struct nb_experiment nb_experiment_gradient_scaling = {
    "gradient_scaling", "how gradients of gamma and of the weights before a norm follow a factor on the weights or the data",
    "power_of_factor departure", "op gradient", GRADIENT_SCALING, sizeof GRADIENT_SCALING / sizeof *GRADIENT_SCALING, false,
    {0.1, 0.1, 0.1}, gradient_scaling};
