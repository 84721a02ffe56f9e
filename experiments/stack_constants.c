/* stack_constants.c: the constants of DeepNorm and what they are made for.
 *
 * deepnorm_constants: of each kind of stack, N layers of an encoder and M of a decoder, where it has them (0: it has none). Stacks of
 *   both are tried with every N and every M, so that an N in the place of an M is seen:
 *     alpha, beta         as reference/deepnorm.h has them, which the kernels are given
 *     formula_difference  the largest relative difference of the two from the formulas as articles print them
 *     norm_difference     the DeepNorm kernel of x and f with the printed alpha, from LayerNorm of alpha*x + f, in multiples of the
 *                         root mean square of the output
 *     update_bound        the sum that bounds how far a step of gradient descent moves the model's output. A sublayer with gain
 *                         beta adds 2 beta^2/alpha^2: an encoder has 2N of them, a decoder alone 2M and one behind an encoder 3M. What an
 *                         encoder beside a decoder adds reaches the output through M cross-attentions of beta_d^2/alpha_d, d for
 *                         the decoder. The constants are made for this to be 1 at every depth; those of an encoder beside a
 *                         decoder are printed with two digits (0.81, 0.87), and half a unit of the last one is worth 2.4 % of
 *                         the sum
 * Source   Wang et al. 2022, arXiv:2203.00555, figure 2 (constants), section 4 (the sums) */
#include "call.h"
#include "deepnorm.h"
#include "experiment.h"
#include "sample.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>

/* As printed: factor * (inside * N^n * M^m)^power. */
struct power {
    double factor, inside, n, m, power;
};

static const struct printed {
    const char *name;
    enum nb_ref_stack stack;
    struct power alpha, beta;
} PRINTED[] = {
    {"encoder_only", NB_REF_ENCODER_ONLY, {1, 2, 1, 0, 0.25}, {1, 8, 1, 0, -0.25}},
    {"decoder_only", NB_REF_DECODER_ONLY, {1, 2, 0, 1, 0.25}, {1, 8, 0, 1, -0.25}},
    {"encoder_of_both", NB_REF_ENCODER_OF_BOTH, {0.81, 1, 4, 1, 0.0625}, {0.87, 1, 4, 1, -0.0625}},
    {"decoder_of_both", NB_REF_DECODER_OF_BOTH, {1, 3, 0, 1, 0.25}, {1, 12, 0, 1, -0.25}},
};

static const struct nb_parameter PARAMETERS[] = {
    {.name = "stack", .value = "encoder_only,decoder_only,encoder_of_both,decoder_of_both", .says = "kinds of stacks",
     .kind = NB_CHOICES, .choices = "encoder_only decoder_only encoder_of_both decoder_of_both"},
    {.name = "encoder", .value = "1,6,12,100,1000", .says = "layers of the encoder", .kind = NB_NUMBERS, .least = 1, .most = 1e6,
     .whole = true},
    {.name = "decoder", .value = "1,6,18,24,1000", .says = "layers of the decoder", .kind = NB_NUMBERS, .least = 1, .most = 1e6,
     .whole = true},
};

enum { HIDDEN = 512, ROWS = 4 };

/* Layers of encoder and decoder; 0: the stack has none, and no formula of it has any. */
struct layers {
    size_t n, m;
};

static double evaluate(const struct power *p, struct layers l)
{
    return p->factor * pow(p->inside * pow((double)l.n, p->n) * pow((double)l.m, p->m), p->power);
}

static double relative(double got, double want)
{
    return fabs(got - want) / fabs(want);
}

static double update_bound(const struct printed *p, struct layers l, struct nb_ref_deepnorm c)
{
    const double sublayer = 2 * c.beta * c.beta / (c.alpha * c.alpha);
    const double n = (double)l.n, m = (double)l.m;
    struct nb_ref_deepnorm d;
    switch (p->stack) {
    case NB_REF_DECODER_OF_BOTH:
        return 3 * m * sublayer;
    case NB_REF_ENCODER_OF_BOTH:
        d = nb_ref_deepnorm(NB_REF_DECODER_OF_BOTH, (unsigned)l.n, (unsigned)l.m);
        return 2 * n * sublayer * m * d.beta * d.beta / d.alpha;
    case NB_REF_DECODER_ONLY:
        return 2 * m * sublayer;
    case NB_REF_ENCODER_ONLY:
        break;
    }
    return 2 * n * sublayer;
}

/* DeepNorm's kernel into y, LayerNorm of the sum into z; the largest distance. Without gamma and beta their mean square is one. */
static double norm_difference(double alpha, size_t depth, uint64_t seed)
{
    enum { N = ROWS * HIDDEN };
    const struct nb_kernel *deep = nb_call_find(NB_OP_DEEPNORM, NB_FWD, NB_FUSE_RESIDUAL, "twopass", NB_F64, ""),
                           *plain = nb_call_plain(NB_OP_LAYERNORM, NB_F64);
    double *x = malloc(5 * N * sizeof *x), *f = x + N, *h = f + N, *y = h + N, *z = y + N, most = 0;
    unsigned long long state = seed;
    NB_ASSERT(deep != NULL && plain != NULL && x != NULL);
    struct nb_problem p = nb_call_problem(deep, ROWS, HIDDEN, 1e-5), q = nb_call_problem(plain, ROWS, HIDDEN, 1e-5);
    p.alpha = alpha;
    p.k = depth;
    for (size_t i = 0; i < 2 * N; i++)
        x[i] = nb_gauss(&state);
    NB_ASSERT(nb_call(deep, &p, &(struct nb_args){.x = x, .residual = f, .h = h, .y = y}));
    for (size_t i = 0; i < N; i++)
        h[i] = alpha * x[i] + f[i];
    NB_ASSERT(nb_call(plain, &q, &(struct nb_args){.x = h, .y = z}));
    for (size_t i = 0; i < N; i++)
        most = !(fabs(y[i] - z[i]) <= most) ? fabs(y[i] - z[i]) : most; /* a NaN stays */
    free(x);
    return most;
}

static void one_stack(const struct nb_trial *t, const struct printed *p, struct layers l, struct nb_observations *o)
{
    static const char where[] = "stack=%s encoder=%zu decoder=%zu";
    const bool encoder = p->stack == NB_REF_ENCODER_ONLY || p->stack == NB_REF_ENCODER_OF_BOTH;
    const double alpha = evaluate(&p->alpha, l), beta = evaluate(&p->beta, l), off = norm_difference(alpha, encoder ? l.n : l.m, t->seed);
    const struct nb_ref_deepnorm c = nb_ref_deepnorm(p->stack, (unsigned)l.n, (unsigned)l.m);
    nb_observe(o, "alpha", "", c.alpha, where, p->name, l.n, l.m);
    nb_observe(o, "beta", "", c.beta, where, p->name, l.n, l.m);
    nb_observe(o, "formula_difference", "", fmax(relative(c.alpha, alpha), relative(c.beta, beta)), where, p->name, l.n, l.m);
    nb_observe(o, "norm_difference", "", off, where, p->name, l.n, l.m);
    nb_observe(o, "update_bound", "", update_bound(p, l, (struct nb_ref_deepnorm){alpha, beta}), where, p->name, l.n, l.m);
}

/* The layers that a kind of stack is tried with, into v; {0}, a single one, where it has none of them. */
static size_t layers_of(const struct nb_trial *t, bool has, const char *parameter, double *v)
{
    v[0] = 0;
    return has ? nb_trial_numbers(t, parameter, v) : 1;
}

static enum nb_status deepnorm_constants(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    (void)err;
    for (size_t i = 0; i < sizeof PRINTED / sizeof *PRINTED; i++) {
        const struct printed *p = &PRINTED[i];
        double encoder[NB_NUMBERS_MAX], decoder[NB_NUMBERS_MAX];
        const size_t ns = layers_of(t, p->stack != NB_REF_DECODER_ONLY, "encoder", encoder),
                     ms = layers_of(t, p->stack != NB_REF_ENCODER_ONLY, "decoder", decoder);
        for (size_t k = 0; k < ns * ms && nb_trial_has(t, "stack", p->name); k++)
            one_stack(t, p, (struct layers){(size_t)encoder[k / ms], (size_t)decoder[k % ms]}, o);
    }
    return NB_OK;
}

const struct nb_experiment nb_experiment_deepnorm_constants = {
    "deepnorm_constants", "the constants of DeepNorm by kind of stack and layers, and the sum that they are to bound",
    "alpha beta formula_difference norm_difference update_bound", "stack encoder decoder", PARAMETERS,
    sizeof PARAMETERS / sizeof *PARAMETERS, false, {0.02, 0.02, 0.02}, deepnorm_constants};
