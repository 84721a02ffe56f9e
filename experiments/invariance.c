/* invariance.c: which changes of its weights and data a normalized layer does not see.
 *
 * invariance: y = norm(W x) without gamma, beta and bias, before and after a change of W or x. The paper's table says of each norm
 *   and change whether y stays; here y is computed both times in double, and has changed where it moved by more than rounding can
 *   move it. A norm's eps makes most of the invariances approximate: how far y moves then is its leak.
 *   Scaling is by a factor above 0: the sign of y follows that of the factor.
 *
 * Shapes  W [HIDDEN][INPUTS], x [ROWS][INPUTS], y [ROWS][HIDDEN]; one draw of N(0,1) data and N(0,1/INPUTS) weights each
 * Source  Zhang and Sennrich 2019 (arXiv 1910.07467), table 1 and section 4; Ba, Kiros and Hinton 2016 (arXiv 1607.06450), table 1;
 *         Salimans and Kingma 2016 (arXiv 1602.07868) for weightnorm */
#include "experiment.h"
#include "f64.h"
#include "sample.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 48, INPUTS = 32, ROWS = 16, PREFIX = 3, DRAWS = 9 }; /* PREFIX: 6.25 % of HIDDEN */

enum change {
    WEIGHT_RESCALING,        /* all of W times the factor */
    WEIGHT_RECENTRING,       /* the same vector added to the weights of every neuron */
    WEIGHT_VECTOR_RESCALING, /* the weights of one neuron times the factor */
    DATA_RESCALING,          /* all of x times the factor */
    DATA_RECENTRING,         /* the same vector added to every row of x */
    SINGLE_CASE_RESCALING,   /* one row of x times the factor */
    CHANGES
};
static const char *const CHANGE_NAMES[CHANGES] = {"weight_rescaling", "weight_recentring", "weight_vector_rescaling",
                                                  "data_rescaling", "data_recentring", "single_case_rescaling"};

/* The paper's table 1: true where it says that the output stays. */
static const struct norm {
    const char *name;
    int op; /* -1: weightnorm, which is no kernel: y = Wx with the weights of each neuron divided by their length; it has no eps */
    bool stays[CHANGES];
} NORMS[] = {
    {"batchnorm", NB_OP_BATCHNORM, {1, 0, 1, 1, 1, 0}}, {"weightnorm", -1, {1, 0, 1, 0, 0, 0}},
    {"layernorm", NB_OP_LAYERNORM, {1, 1, 0, 1, 0, 1}}, {"rmsnorm", NB_OP_RMSNORM, {1, 0, 0, 1, 0, 1}},
    {"prmsnorm", NB_OP_PRMSNORM, {1, 0, 0, 1, 0, 1}},
};

static const struct nb_parameter PARAMETERS[] = {
    {.name = "norm", .value = "batchnorm,weightnorm,layernorm,rmsnorm,prmsnorm", .says = "norms", .kind = NB_CHOICES,
     .choices = "batchnorm weightnorm layernorm rmsnorm prmsnorm"},
    {.name = "transformation",
     .value = "weight_rescaling,weight_recentring,weight_vector_rescaling,data_rescaling,data_recentring,single_case_rescaling",
     .says = "what is done to weights or data", .kind = NB_CHOICES,
     .choices = "weight_rescaling weight_recentring weight_vector_rescaling data_rescaling data_recentring single_case_rescaling"},
    {.name = "factor", .value = "0.001,0.1,3,10,1000", .kind = NB_NUMBERS, .least = 1e-6, .most = 1e6,
     .says = "of a re-scaling; of a re-centring the size of the vector added, in standard deviations of what it is added to"},
    {.name = "eps", .value = "0,1e-5", .says = "eps of the norm", .kind = NB_NUMBERS, .least = 0, .most = 1e6},
};

/* A layer's weights and data, a vector to add to them, and what the layer makes of them. */
struct layer {
    double w[HIDDEN][INPUTS], x[ROWS][INPUTS], shift[INPUTS], y[ROWS][HIDDEN];
    double largest, rounding; /* max |y|; most that rounding may have done to an element of y */
};

static void draw(struct layer *l, unsigned long long *state)
{
    for (size_t i = 0; i < HIDDEN * INPUTS; i++)
        l->w[i / INPUTS][i % INPUTS] = nb_gauss(state) / sqrt(INPUTS);
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        l->x[i / INPUTS][i % INPUTS] = nb_gauss(state);
    for (size_t i = 0; i < INPUTS; i++)
        l->shift[i] = nb_gauss(state);
}

/* Adds size*shift to, or multiplies by the factor, the first rows of a matrix. */
static void add_to_rows(double (*m)[INPUTS], size_t rows, double size, const double *shift)
{
    for (size_t i = 0; i < rows * INPUTS; i++)
        m[i / INPUTS][i % INPUTS] += size * shift[i % INPUTS];
}

static void scale_rows(double (*m)[INPUTS], size_t rows, double factor)
{
    for (size_t i = 0; i < rows * INPUTS; i++)
        m[i / INPUTS][i % INPUTS] *= factor;
}

static void apply(struct layer *l, enum change change, double factor)
{
    switch (change) {
    case WEIGHT_RESCALING:
        scale_rows(l->w, HIDDEN, factor);
        break;
    case WEIGHT_RECENTRING:
        add_to_rows(l->w, HIDDEN, factor / sqrt(INPUTS), l->shift);
        break;
    case WEIGHT_VECTOR_RESCALING:
        scale_rows(l->w, 1, factor);
        break;
    case DATA_RESCALING:
        scale_rows(l->x, ROWS, factor);
        break;
    case DATA_RECENTRING:
        add_to_rows(l->x, ROWS, factor, l->shift);
        break;
    default:
        scale_rows(l->x, 1, factor);
    }
}

/* a = x W', and the sum of the sizes of its terms. */
static void product(const struct layer *l, double a[ROWS][HIDDEN], double size[ROWS][HIDDEN])
{
    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < HIDDEN; j++) {
            a[r][j] = size[r][j] = 0;
            for (size_t i = 0; i < INPUTS; i++) {
                a[r][j] += l->x[r][i] * l->w[j][i];
                size[r][j] += fabs(l->x[r][i] * l->w[j][i]);
            }
        }
}

static void weightnorm(const struct layer *l, double a[ROWS][HIDDEN], double y[ROWS][HIDDEN], double rstd[HIDDEN])
{
    for (size_t j = 0; j < HIDDEN; j++) {
        double square = 0;
        for (size_t i = 0; i < INPUTS; i++)
            square += l->w[j][i] * l->w[j][i];
        rstd[j] = 1 / sqrt(square);
        for (size_t r = 0; r < ROWS; r++)
            y[r][j] = a[r][j] * rstd[j];
    }
}

struct cell {
    const struct norm *norm;
    struct nb_f64_norm kernels; /* none of weightnorm */
    enum change change;
    double factor, eps;
};

/* Fills y and what is known of it. Each element of a is known to within (INPUTS + 2)*u of the sum of its terms' sizes: so many
 * products and additions, and the rounding of what was changed. */
static void evaluate(const struct cell *c, struct layer *l)
{
    double a[ROWS][HIDDEN], size[ROWS][HIDDEN], mean[HIDDEN], rstd[HIDDEN], magnitude = 0;
    const bool by_column = c->norm->op < 0 || c->norm->op == NB_OP_BATCHNORM;
    product(l, a, size);
    if (c->norm->op < 0)
        weightnorm(l, a, l->y, rstd);
    else
        nb_f64_forward(&c->kernels, &a[0][0], NULL, NULL, &l->y[0][0], mean, rstd);
    l->largest = 0;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < HIDDEN; j++) {
            magnitude = fmax(magnitude, size[r][j] * rstd[by_column ? j : r]);
            l->largest = fmax(l->largest, fabs(l->y[r][j]));
        }
    l->rounding = nb_f64_rounding(HIDDEN, INPUTS + 2, magnitude, l->largest);
}

/* Largest change of an element of y over the largest element; *rounding: what of that rounding alone may be. */
static double moved(const struct cell *c, const struct layer *drawn, double *rounding)
{
    struct layer before = *drawn, after = *drawn;
    double most = 0;
    apply(&after, c->change, c->factor);
    evaluate(c, &before);
    evaluate(c, &after);
    for (size_t i = 0; i < ROWS * HIDDEN; i++)
        most = nb_worse(most, fabs(after.y[i / HIDDEN][i % HIDDEN] - before.y[i / HIDDEN][i % HIDDEN]));
    *rounding = (before.rounding + after.rounding) / before.largest;
    return most / before.largest;
}

static void one_cell(const struct layer *drawn, const struct cell *c, struct nb_observations *o)
{
    static const char where[] = "norm=%s transformation=%s factor=%g eps=%g";
    double move[DRAWS], most_rounding = 0, changed = 0;
    const char *norm = c->norm->name, *change = CHANGE_NAMES[c->change];
    for (size_t d = 0; d < DRAWS; d++) {
        double rounding;
        move[d] = moved(c, &drawn[d], &rounding);
        changed += !(move[d] <= rounding);
        most_rounding = nb_worse(most_rounding, rounding);
    }
    const bool stays = c->norm->stays[c->change];
    changed /= DRAWS;
    nb_observe(o, "changed", "", changed, where, norm, change, c->factor, c->eps);
    nb_observe(o, "agrees_with_table", "", stays ? 1 - changed : changed, where, norm, change, c->factor, c->eps);
    nb_observe(o, "rounding", "", most_rounding, where, norm, change, c->factor, c->eps);
    if (stays && c->eps > 0 && c->norm->op >= 0) {
        double leak[DRAWS];
        memcpy(leak, move, sizeof leak);
        nb_observe_median(o, "leak", "", leak, DRAWS, "draws", where, norm, change, c->factor, c->eps);
    }
    nb_observe_median(o, "moved", "", move, DRAWS, "draws", where, norm, change, c->factor, c->eps);
}

static void one_norm(const struct nb_trial *t, const struct norm *norm, const struct layer *drawn, struct nb_observations *o)
{
    double factor[NB_NUMBERS_MAX], eps[NB_NUMBERS_MAX];
    const size_t factors = nb_trial_numbers(t, "factor", factor), epss = nb_trial_numbers(t, "eps", eps);
    struct cell c = {.norm = norm};
    if (norm->op >= 0)
        c.kernels = nb_f64_norm((uint32_t)norm->op, ROWS, HIDDEN, norm->op == NB_OP_PRMSNORM ? PREFIX : 0, 0);
    for (c.change = 0; c.change < CHANGES; c.change++)
        for (size_t i = 0; nb_trial_has(t, "transformation", CHANGE_NAMES[c.change]) && i < factors * epss; i++) {
            c.factor = factor[i % factors];
            c.eps = c.kernels.eps = eps[i / factors];
            one_cell(drawn, &c, o);
        }
}

static enum nb_status invariance(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    enum { COUNT = sizeof NORMS / sizeof *NORMS };
    struct layer *drawn = malloc(DRAWS * sizeof *drawn);
    unsigned long long state = t->seed;
    (void)err;
    NB_ASSERT(drawn != NULL);
    for (size_t d = 0; d < DRAWS; d++)
        draw(&drawn[d], &state);
    for (size_t i = 0; i < COUNT && !nb_trial_stopped(t); i++) {
        nb_trial_progress(t, (double)i / COUNT, NORMS[i].name);
        if (nb_trial_has(t, "norm", NORMS[i].name))
            one_norm(t, &NORMS[i], drawn, o);
    }
    free(drawn);
    return nb_trial_stopped(t) ? NB_INTERRUPTED : NB_OK;
}

const struct nb_experiment nb_experiment_invariance = {
    "invariance", "whether the output of a normalized layer stays where its weights or its data are scaled or shifted",
    "moved changed agrees_with_table rounding leak", "norm transformation", PARAMETERS,
    sizeof PARAMETERS / sizeof *PARAMETERS, false, {0.2, 0.2, 0.2}, invariance};
