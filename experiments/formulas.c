/* formulas.c: formulas that stand beside norms in texts.
 *
 * activations: ReLU, leaky ReLU (slope 0.01), GELU and its tanh form, Swish (x sigmoid(x)) and SwiGLU (Swish(x) v), at points whose
 *   values are known to six digits: the largest error of each, in units of half the last digit, up to 1 is right.
 *   gelu_tanh_error: the largest distance of 0.5 x (1 + tanh(sqrt(2/pi)(x + 0.044715 x^3))) from x Phi(x), on a grid of 1/1024 up to
 *   the range asked for.
 * ffn_width: the width of a feed-forward layer with a gate: floor(2/3 of 4 hidden), up to the next multiple.
 * deepnorm_readings: what texts call DeepNorm, against LN(alpha x + f(x)) by this program's f64 kernel: the root mean square of the
 *   difference (an output has that of 1), on x N(mean, 1) and f a random linear map of x, weights N(0, 1/hidden). Readings:
 *     layernorm        the formula in plain C: LayerNorm, and no other norm; the kernel's check as well
 *     rmsnorm          RMSNorm(alpha x + f(x))
 *     average          half of LayerNorm's output and half of RMSNorm's
 *     rmsnorm_branch   LN(alpha x + RMSNorm(f(x)))
 *     layernorm_of_rmsnorm, rmsnorm_of_layernorm   one after the other, of alpha x + f(x)
 *     linear_layernorm_relu                        max(LN(f(x)), 0), with neither alpha nor a sum */
#include "call.h"
#include "deepnorm.h"
#include "experiment.h"
#include "formulas.h"
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- activations ---- */

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double leaky_relu(double x)
{
    return x > 0 ? x : 0.01 * x;
}

static double gelu(double x)
{
    return x * erfc(-x / sqrt(2)) / 2;
}

static double gelu_tanh(double x)
{
    const double root_2_over_pi = sqrt(2 / acos(-1));
    return 0.5 * x * (1 + tanh(root_2_over_pi * (x + 0.044715 * x * x * x)));
}

static double swish(double x)
{
    return x / (1 + exp(-x));
}

static double swiglu_of_2(double x)
{
    return swish(x) * 2;
}

const double nb_formula_at[NB_FORMULA_POINTS] = {-2, -1, 0, 1, 2};

const struct nb_formula nb_formulas[NB_FORMULAS] = {
    {"relu", relu, {0, 0, 0, 1, 2}},
    {"leaky_relu", leaky_relu, {-0.02, -0.01, 0, 1, 2}},
    {"gelu", gelu, {-0.045500, -0.158655, 0, 0.841345, 1.954500}},
    {"gelu_tanh", gelu_tanh, {-0.045402, -0.158808, 0, 0.841192, 1.954598}},
    {"swish", swish, {-0.238406, -0.268941, 0, 0.731059, 1.761594}},
    {"swiglu", swiglu_of_2, {-0.476812, -0.537883, 0, 1.462117, 3.523188}},
};

static double farthest_tanh_form(double range)
{
    double most = 0;
    for (double x = -range; x <= range; x += 0x1p-10)
        most = nb_worse(most, fabs(gelu_tanh(x) - gelu(x)));
    return most;
}

static const struct nb_parameter ACTIVATIONS[] = {
    {.name = "activation", .value = "relu,leaky_relu,gelu,gelu_tanh,swish,swiglu", .says = "formulas; swiglu: the other factor is 2",
     .kind = NB_CHOICES, .choices = "relu leaky_relu gelu gelu_tanh swish swiglu"},
    {.name = "range", .value = "8", .says = "up to which |x| GELU is compared with its tanh form", .kind = NB_NUMBERS, .least = 1,
     .most = 1000, .whole = true, .single = true},
};

static enum nb_status activations(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    const double range = nb_trial_number(t, "range");
    (void)err;
    for (size_t a = 0; a < NB_FORMULAS; a++) {
        const struct nb_formula *f = &nb_formulas[a];
        double worst = 0;
        for (size_t i = 0; i < NB_FORMULA_POINTS; i++)
            worst = nb_worse(worst, fabs(f->formula(nb_formula_at[i]) - f->known[i]) / (NB_FORMULA_DIGIT / 2));
        if (nb_trial_has(t, "activation", f->name))
            nb_observe(o, "digits_missed", "", worst, "activation=%s", f->name);
    }
    nb_observe(o, "gelu_tanh_error", "", farthest_tanh_form(range), "range=%g", range);
    return NB_OK;
}

/* ---- ffn_width ---- */

static const struct nb_parameter FFN_WIDTH[] = {
    {.name = "hidden", .value = "4096,5120,8192", .says = "hidden size of the model", .kind = NB_NUMBERS, .least = 1, .most = 1e9,
     .whole = true},
    {.name = "multiple", .value = "256", .says = "what the width is rounded up to a multiple of; 1: not rounded", .kind = NB_NUMBERS,
     .least = 1, .most = 65536, .whole = true},
};

static enum nb_status ffn_width(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double hidden[NB_NUMBERS_MAX], multiple[NB_NUMBERS_MAX];
    const size_t hiddens = nb_trial_numbers(t, "hidden", hidden), multiples = nb_trial_numbers(t, "multiple", multiple);
    (void)err;
    for (size_t i = 0; i < hiddens * multiples; i++) {
        const size_t two_thirds = 2 * (4 * (size_t)hidden[i / multiples]) / 3, m = (size_t)multiple[i % multiples];
        nb_observe(o, "ffn_width", "", (double)((two_thirds + m - 1) / m * m), "hidden=%g multiple=%g", hidden[i / multiples],
                   multiple[i % multiples]);
    }
    return NB_OK;
}

/* ---- deepnorm_readings ---- */

enum { HIDDEN = 256, SEEDS = 9 };

/* The norms by their formulas, eps 1e-5; y may be x. */
static void norm(bool centred, const double *x, double *y)
{
    const struct nb_row_shape s = nb_row_shape(x, HIDDEN);
    const double mean = centred ? s.mean : 0, square = centred ? s.variance : s.variance + s.mean * s.mean;
    for (size_t i = 0; i < HIDDEN; i++)
        y[i] = (x[i] - mean) / sqrt(square + 1e-5);
}

/* What a reading is made of: x, f(x) and alpha x + f(x), [HIDDEN] each. */
struct layer {
    double alpha, x[HIDDEN], f[HIDDEN], h[HIDDEN];
};

static void read_layernorm(const struct layer *l, double *y)
{
    norm(true, l->h, y);
}

static void read_rmsnorm(const struct layer *l, double *y)
{
    norm(false, l->h, y);
}

static void read_average(const struct layer *l, double *y)
{
    double other[HIDDEN];
    norm(true, l->h, y);
    norm(false, l->h, other);
    for (size_t i = 0; i < HIDDEN; i++)
        y[i] = (y[i] + other[i]) / 2;
}

static void read_rmsnorm_branch(const struct layer *l, double *y)
{
    norm(false, l->f, y);
    for (size_t i = 0; i < HIDDEN; i++)
        y[i] += l->alpha * l->x[i];
    norm(true, y, y);
}

static void read_layernorm_of_rmsnorm(const struct layer *l, double *y)
{
    norm(false, l->h, y);
    norm(true, y, y);
}

static void read_rmsnorm_of_layernorm(const struct layer *l, double *y)
{
    norm(true, l->h, y);
    norm(false, y, y);
}

static void read_linear_layernorm_relu(const struct layer *l, double *y)
{
    norm(true, l->f, y);
    for (size_t i = 0; i < HIDDEN; i++)
        y[i] = relu(y[i]);
}

static const struct reading {
    const char *name;
    void (*read)(const struct layer *l, double *y);
} READINGS[] = {
    {"layernorm", read_layernorm}, {"rmsnorm", read_rmsnorm}, {"average", read_average}, {"rmsnorm_branch", read_rmsnorm_branch},
    {"layernorm_of_rmsnorm", read_layernorm_of_rmsnorm}, {"rmsnorm_of_layernorm", read_rmsnorm_of_layernorm},
    {"linear_layernorm_relu", read_linear_layernorm_relu},
};

static void draw_layer(struct layer *l, double mean, double alpha, unsigned long long *state)
{
    double w[HIDDEN];
    nb_sample_gauss(l->x, HIDDEN, state);
    l->alpha = alpha;
    for (size_t i = 0; i < HIDDEN; i++)
        l->x[i] += mean;
    for (size_t i = 0; i < HIDDEN; i++) {
        nb_sample_gauss(w, HIDDEN, state);
        l->f[i] = 0;
        for (size_t j = 0; j < HIDDEN; j++)
            l->f[i] += w[j] * l->x[j] / sqrt(HIDDEN);
        l->h[i] = alpha * l->x[i] + l->f[i];
    }
}

static void deepnorm(const struct layer *l, double *y)
{
    const struct nb_kernel *k = nb_call_find(NB_OP_DEEPNORM, NB_FWD, NB_FUSE_POSTNORM, "twopass", NB_F64, "");
    struct nb_problem p = nb_call_problem(k, 1, HIDDEN, 1e-5);
    p.alpha = l->alpha;
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = l->x, .residual = l->f, .y = y}));
}

static double apart(const struct layer *l, const struct reading *r)
{
    double right[HIDDEN], y[HIDDEN], sum = 0;
    deepnorm(l, right);
    r->read(l, y);
    for (size_t i = 0; i < HIDDEN; i++)
        sum += (y[i] - right[i]) * (y[i] - right[i]);
    return sqrt(sum / HIDDEN);
}

static void all_readings(const struct nb_trial *t, double mean, unsigned layers, struct nb_observations *o)
{
    enum { COUNT = sizeof READINGS / sizeof *READINGS };
    struct layer *l = nb_sample_room(sizeof *l);
    double differs[COUNT][SEEDS];
    unsigned long long state = t->seed;
    for (size_t s = 0; s < SEEDS; s++) {
        draw_layer(l, mean, nb_ref_deepnorm(NB_REF_ENCODER_ONLY, layers, 0).alpha, &state);
        for (size_t r = 0; r < COUNT; r++)
            differs[r][s] = apart(l, &READINGS[r]);
    }
    free(l);
    for (size_t r = 0; r < COUNT; r++)
        if (nb_trial_has(t, "reading", READINGS[r].name))
            nb_observe_median(o, "differs_from_deepnorm", "", differs[r], SEEDS, "seeds", "reading=%s layers=%u mean=%g",
                              READINGS[r].name, layers, mean);
}

#define NB_READINGS(between)                                                                                                     \
    "layernorm" between "rmsnorm" between "average" between "rmsnorm_branch" between "layernorm_of_rmsnorm" between              \
    "rmsnorm_of_layernorm" between "linear_layernorm_relu"
static const struct nb_parameter DEEPNORM_READINGS[] = {
    {.name = "reading", .value = NB_READINGS(","), .says = "what is called DeepNorm", .kind = NB_CHOICES, .choices = NB_READINGS(" ")},
    {.name = "layers", .value = "6,24", .says = "layers of an encoder, which alpha is made of", .kind = NB_NUMBERS, .least = 1,
     .most = 100000, .whole = true},
    {.name = "mean", .value = "0,1", .says = "mean of the row, in its standard deviations", .kind = NB_NUMBERS, .least = -1e6,
     .most = 1e6},
};

static enum nb_status deepnorm_readings(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double layers[NB_NUMBERS_MAX], mean[NB_NUMBERS_MAX];
    const size_t depths = nb_trial_numbers(t, "layers", layers), means = nb_trial_numbers(t, "mean", mean);
    (void)err;
    for (size_t i = 0; i < depths * means; i++) {
        if (nb_trial_stopped(t))
            return NB_INTERRUPTED;
        all_readings(t, mean[i % means], (unsigned)layers[i / means], o);
    }
    return NB_OK;
}

const struct nb_experiment nb_experiment_activations = {
    "activations", "formulas of activations at points whose values are known, and GELU against its tanh form",
    "digits_missed gelu_tanh_error", "activation", NB_TABLE(ACTIVATIONS), false, {0.01, 0.01, 0.01}, activations};
const struct nb_experiment nb_experiment_ffn_width = {
    "ffn_width", "width of a gated feed-forward layer", "ffn_width", "hidden", NB_TABLE(FFN_WIDTH), false, {0.01, 0.01, 0.01},
    ffn_width};
const struct nb_experiment nb_experiment_deepnorm_readings = {
    "deepnorm_readings", "what texts call DeepNorm against LN(alpha x + f(x))", "differs_from_deepnorm", "reading",
    NB_TABLE(DEEPNORM_READINGS), false, {0.2, 0.2, 0.2}, deepnorm_readings};
