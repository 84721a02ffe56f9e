/* stack_weights.c: what initialization makes of the matrices of a deep stack.
 *
 * initial_weights: of each kind of matrix of a stack that is really built, v, o, w1, w2 of all layers together and classifier, its
 *   standard deviation over that of the same kind in the same stack with beta = 1: of each seed, of which there is the median:
 *     log_gain  natural logarithm of that: above 0 the scheme enlarges these weights
 * W_Q and W_K are none of the stack's matrices (stack.h), so that nothing is seen of them.
 * Source   Wang et al. 2022, arXiv:2203.00555, figure 2: beta scales feed-forward, value and output projection */
#include "stack_trial.h"

#include <math.h>
#include <stdlib.h>

static const struct nb_parameter PARAMETERS[] = {NB_STACK_PARAMETERS("deepnorm", "layernorm", "6,24,100,400", "3")};

enum { KINDS = NB_STACK_WEIGHTS + 1 };
static const char *const KIND_NAMES[KINDS] = {"v", "o", "w1", "w2", "classifier"};

struct weights {
    struct nb_stack_grid grid;
    double (*gain)[KINDS]; /* [cells][seeds] */
    _Atomic bool no_memory;
};

static size_t kind_of(const struct nb_stack *s, size_t matrix)
{
    return matrix + 1 == nb_stack_matrices(s) ? NB_STACK_WEIGHTS : matrix % NB_STACK_WEIGHTS;
}

/* Standard deviation of each kind's elements. */
static void deviations(const struct nb_stack *s, double sd[KINDS])
{
    double sum[KINDS] = {0}, square[KINDS] = {0}, n[KINDS] = {0};
    for (size_t i = 0; i < nb_stack_matrices(s); i++) {
        const double *v = nb_stack_matrix(s, i);
        const size_t elements = nb_stack_elements(s, i), kind = kind_of(s, i);
        for (size_t k = 0; k < elements; k++) {
            sum[kind] += v[k];
            square[kind] += v[k] * v[k];
        }
        n[kind] += (double)elements;
    }
    for (size_t kind = 0; kind < KINDS; kind++)
        sd[kind] = sqrt(square[kind] / n[kind] - sum[kind] / n[kind] * (sum[kind] / n[kind]));
}

static void visit(void *context, size_t cell, size_t seed, struct nb_stack *s)
{
    struct weights *w = context;
    struct nb_stack_config plain = s->c;
    double with[KINDS], without[KINDS];
    deviations(s, with);
    plain.beta = 1;
    struct nb_stack *other = nb_stack_new(&plain, s->seed);
    if (other == NULL) {
        w->no_memory = true;
        return;
    }
    deviations(other, without);
    for (size_t kind = 0; kind < KINDS; kind++)
        w->gain[cell * w->grid.seeds + seed][kind] = log(with[kind] / without[kind]);
    nb_stack_free(other);
}

static void observe(const struct weights *w, size_t cell, size_t kind, double *values, struct nb_observations *o)
{
    const struct nb_stack_config *c = &w->grid.cell[cell];
    for (size_t k = 0; k < w->grid.seeds; k++)
        values[k] = w->gain[cell * w->grid.seeds + k][kind];
    nb_observe_median(o, "log_gain", "", values, w->grid.seeds, "seeds", "scheme=%s norm=%s depth=%zu weights=%s",
                      nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c), c->depth, KIND_NAMES[kind]);
}

static enum nb_status initial_weights(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    struct weights *w = calloc(1, sizeof *w);
    NB_ASSERT(w != NULL);
    nb_stack_grid(t, &w->grid);
    w->gain = calloc(w->grid.cells * w->grid.seeds, sizeof *w->gain);
    double *values = calloc(w->grid.seeds, sizeof *values);
    NB_ASSERT(w->gain != NULL && values != NULL);
    enum nb_status status = nb_stack_each_cell(t, &w->grid, visit, w, err);
    if (status == NB_OK && w->no_memory)
        status = nb_fail(err, "not enough memory for two stacks at once; a lower depth or d would do");
    for (size_t i = 0; i < w->grid.cells * KINDS && status == NB_OK; i++)
        observe(w, i / KINDS, i % KINDS, values, o);
    free(values);
    free(w->gain);
    free(w);
    return status;
}

const struct nb_experiment nb_experiment_initial_weights = {
    "initial_weights", "what the initialization of deep stacks multiplies their matrices by", "log_gain", "scheme norm depth", PARAMETERS,
    sizeof PARAMETERS / sizeof *PARAMETERS, false, {1, 1, 1}, initial_weights};
