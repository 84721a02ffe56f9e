/* stack_update.c: how far one step of training moves what a deep stack says.
 *
 * update_size: one step W <- W - rate*dloss/dW of the matrices of all layers at once. W_C stays as it is: a step of it moves the
 *   logits as far at any depth, and would hide what the stack does. With z the logits before and z' after the step, of each seed, of
 *   which there is the median:
 *     update_size    |z' - z|/|z|
 *     update_growth  that over the same of the lowest stack of the trial: what is bounded by a constant does not grow
 *   and of all seeds together:
 *     finite         the share of those of which loss, every gradient and all of z' are finite; exact
 * Data     stack_update.dat, a block a scheme and norm: scheme, norm, depth, median of update_size and its interval; missing where
 *          it is not finite
 * Source   Wang et al. 2022, arXiv:2203.00555, section 4: the update of deepnorm is O(rate) at any depth */
#include "stack_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The theorem is of small steps. At the default rate a step of all these stacks is one: half of it moves the logits half as far,
 * within some per cent, in the median; at 1e-2 Post-LN of 24 layers has nowhere further to go. Rounding moves them by 1e-13. */
static const struct nb_parameter PARAMETERS[] = {
    NB_STACK_PARAMETERS("pre,post,deepnorm", "layernorm", "6,12,24,48,100,200,400,1000", "0"),
    {.name = "rate", .value = "1e-6", .says = "learning rate", .kind = NB_NUMBERS, .least = 1e-12, .most = 1e6, .single = true},
};

struct updates {
    const struct nb_trial *t;
    struct nb_observations *o;
    struct nb_stack_grid grid;
    double *size;   /* [cells][seeds] */
    double *values; /* [seeds] */
    bool *finite;   /* [cells][seeds] */
};

struct step {
    double rate;
    size_t classifier; /* W_C's number */
    bool finite;
};

static void descend(void *context, size_t i, double *weights, const double *gradient, size_t elements)
{
    struct step *step = context;
    for (size_t k = 0; k < elements; k++)
        step->finite = step->finite && isfinite(gradient[k]);
    for (size_t k = 0; k < elements && i != step->classifier; k++)
        weights[k] -= step->rate * gradient[k];
}

static void visit(void *context, size_t cell, size_t seed, struct nb_stack *s)
{
    struct updates *u = context;
    const size_t n = s->rows * s->c.classes;
    struct step step = {nb_trial_number(u->t, "rate"), nb_stack_matrices(s) - 1, true};
    double *before = malloc(n * sizeof *before);
    NB_ASSERT(before != NULL);
    step.finite = isfinite(nb_stack_forward(s));
    memcpy(before, s->logits, n * sizeof *before);
    nb_stack_backward(s, descend, &step);
    step.finite = isfinite(nb_stack_forward(s)) && step.finite;
    const double size = nb_stack_norm(before, n);
    for (size_t i = 0; i < n; i++)
        before[i] -= s->logits[i];
    const double moved = nb_stack_norm(before, n) / size;
    u->finite[cell * u->grid.seeds + seed] = step.finite && isfinite(moved);
    u->size[cell * u->grid.seeds + seed] = moved;
    free(before);
}

/* ---- observations ---- */

static const double *of_cell(const struct updates *u, size_t cell)
{
    return u->size + cell * u->grid.seeds;
}

static const char WHERE[] = "scheme=%s norm=%s depth=%zu";

static void observe(struct updates *u, size_t cell, const char *quantity)
{
    const struct nb_stack_config *c = &u->grid.cell[cell];
    nb_observe_median(u->o, quantity, "", u->values, u->grid.seeds, "seeds", WHERE, nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c),
                      c->depth);
}

/* The lowest stack of this one's scheme and norm. */
static size_t lowest(const struct nb_stack_grid *g, size_t cell)
{
    size_t low = cell;
    for (size_t i = 0; i < g->cells; i++)
        if (g->cell[i].scheme == g->cell[cell].scheme && g->cell[i].op == g->cell[cell].op && g->cell[i].depth < g->cell[low].depth)
            low = i;
    return low;
}

static void observe_cell(struct updates *u, size_t cell)
{
    const struct nb_stack_config *c = &u->grid.cell[cell];
    const size_t seeds = u->grid.seeds, low = lowest(&u->grid, cell);
    size_t finite = 0;
    for (size_t k = 0; k < seeds; k++)
        finite += u->finite[cell * seeds + k];
    memcpy(u->values, of_cell(u, cell), seeds * sizeof *u->values);
    observe(u, cell, "update_size");
    nb_observe(u->o, "finite", "", (double)finite / (double)seeds, WHERE, nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c),
               c->depth);
    for (size_t k = 0; k < seeds; k++)
        u->values[k] = of_cell(u, cell)[k] / of_cell(u, low)[k];
    if (low != cell)
        observe(u, cell, "update_growth");
}

static void write_cell(struct updates *u, size_t cell, FILE *f)
{
    const struct nb_stack_config *c = &u->grid.cell[cell];
    const bool another = cell > 0 && (c[-1].scheme != c->scheme || c[-1].op != c->op);
    memcpy(u->values, of_cell(u, cell), u->grid.seeds * sizeof *u->values);
    const struct nb_summary m = nb_summary(u->values, u->grid.seeds);
    fprintf(f, "%s%s %s %zu %.6g %.6g %.6g\n", another ? "\n\n" : "", nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c), c->depth,
            m.median, m.low, m.high);
}

static enum nb_status write_data(struct updates *u, struct nb_err *err)
{
    FILE *f;
    if (nb_stack_data(u->t->dir, "stack_update.dat", &f, err) != NB_OK)
        return NB_ERROR;
    fprintf(f, "# scheme norm depth median low high: relative change of the logits by a step of rate %g, over %zu seeds\n",
            nb_trial_number(u->t, "rate"), u->grid.seeds);
    for (size_t i = 0; i < u->grid.cells; i++)
        write_cell(u, i, f);
    nb_stack_data_close(f, u->t->dir, "stack_update.dat");
    return NB_OK;
}

static enum nb_status update_size(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    struct updates *u = calloc(1, sizeof *u);
    NB_ASSERT(u != NULL);
    u->t = t;
    u->o = o;
    nb_stack_grid(t, &u->grid);
    u->size = calloc((u->grid.cells + 1) * u->grid.seeds, sizeof *u->size);
    u->finite = calloc(u->grid.cells * u->grid.seeds, sizeof *u->finite);
    NB_ASSERT(u->size != NULL && u->finite != NULL);
    u->values = u->size + u->grid.cells * u->grid.seeds;
    enum nb_status status = nb_stack_each_cell(t, &u->grid, visit, u, err);
    for (size_t i = 0; i < u->grid.cells && status == NB_OK; i++)
        observe_cell(u, i);
    if (status == NB_OK && t->dir != NULL)
        status = write_data(u, err);
    free(u->size);
    free(u->finite);
    free(u);
    return status;
}

const struct nb_experiment nb_experiment_update_size = {
    "update_size", "how far one step of gradient descent moves the logits of deep stacks, by place of the norm and depth",
    "update_size update_growth finite", "scheme norm depth", PARAMETERS, sizeof PARAMETERS / sizeof *PARAMETERS, false, {10, 18, 42},
    update_size};
