/* stack_growth.c: how large the signal becomes on its way up a deep stack.
 *
 * hidden_growth: with S_l the mean of |x_l|^2/d over tokens, x_l being what l layers leave of inputs with S_0 = 1 in expectation, and
 *   of each seed, of which there is the median, for l = 1, 2, 4, ... and the depth:
 *     mean_square        S_l
 *     square_over_lower  S_l/(1 + l/2)
 *     square_over_upper  S_l/(1 + 3l/2)
 *   Both bounds are for Pre-LN: a feed-forward of a normalized token adds 1/2 in expectation (ReLU halves the mean square), and
 *   attention the mean square of a mean of normalized tokens: between 0, where they cancel, and 1, where they are all alike.
 * Source   Xiong et al. 2020, arXiv:2002.04745, lemma 2 */
#include "stack_trial.h"

#include <stdlib.h>

static const struct nb_parameter PARAMETERS[] = {NB_STACK_PARAMETERS("pre", "layernorm,rmsnorm", "6,48,200", "21")};

enum { LAYERS = 16 }; /* powers of two up to 4000, and the depth */

struct growth {
    struct nb_stack_grid grid;
    double (*squares)[LAYERS]; /* [cells][seeds] */
};

/* The i-th layer observed; 0: there is none. */
static size_t layer_at(size_t i, size_t depth)
{
    const size_t power = (size_t)1 << i;
    return power < depth ? power : i == 0 || power / 2 < depth ? depth : 0;
}

static void visit(void *context, size_t cell, size_t seed, struct nb_stack *s)
{
    struct growth *g = context;
    double *squares = g->squares[cell * g->grid.seeds + seed];
    const size_t n = s->rows * s->c.d;
    nb_stack_forward(s);
    for (size_t i = 0, layer; i < LAYERS && (layer = layer_at(i, s->c.depth)) > 0; i++) {
        const double norm = nb_stack_norm(s->x + 2 * layer * n, n);
        squares[i] = norm * norm / (double)n;
    }
}

static void observe(const struct growth *g, size_t cell, size_t i, const char *quantity, double bound, double *values,
                    struct nb_observations *o)
{
    const struct nb_stack_config *c = &g->grid.cell[cell];
    for (size_t k = 0; k < g->grid.seeds; k++)
        values[k] = g->squares[cell * g->grid.seeds + k][i] / bound;
    nb_observe_median(o, quantity, "", values, g->grid.seeds, "seeds", "scheme=%s norm=%s depth=%zu layer=%zu",
                      nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c), c->depth, layer_at(i, c->depth));
}

static void observe_all(const struct growth *g, double *values, struct nb_observations *o)
{
    for (size_t cell = 0; cell < g->grid.cells; cell++)
        for (size_t i = 0, layer; i < LAYERS && (layer = layer_at(i, g->grid.cell[cell].depth)) > 0; i++) {
            observe(g, cell, i, "mean_square", 1, values, o);
            observe(g, cell, i, "square_over_lower", 1 + (double)layer / 2, values, o);
            observe(g, cell, i, "square_over_upper", 1 + 1.5 * (double)layer, values, o);
        }
}

static enum nb_status hidden_growth(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    struct growth *g = calloc(1, sizeof *g);
    NB_ASSERT(g != NULL);
    nb_stack_grid(t, &g->grid);
    g->squares = calloc(g->grid.cells * g->grid.seeds, sizeof *g->squares);
    double *values = calloc(g->grid.seeds, sizeof *values);
    NB_ASSERT(g->squares != NULL && values != NULL);
    const enum nb_status status = nb_stack_each_cell(t, &g->grid, visit, g, err);
    if (status == NB_OK)
        observe_all(g, values, o);
    free(values);
    free(g->squares);
    free(g);
    return status;
}

const struct nb_experiment nb_experiment_hidden_growth = {
    "hidden_growth", "mean square of the hidden states by layer in deep stacks at initialization, beside the bounds for Pre-LN",
    "mean_square square_over_lower square_over_upper", "scheme norm depth", PARAMETERS, sizeof PARAMETERS / sizeof *PARAMETERS, false,
    {1, 1, 1}, hidden_growth};
