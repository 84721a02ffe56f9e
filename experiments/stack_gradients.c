/* stack_gradients.c: norms of the gradients that each layer of a deep stack gets, before any training.
 *
 * gradients_by_layer: with G_l the Frobenius norm of dloss/dW of one kind of matrix W in layer l, 1 below and L on top, and of each
 *   seed, of which there is the median:
 *     gradient_first_over_last  G_1/G_L: below 1 gradients fall on their way down
 *     gradient_spread           largest G_l over the smallest one
 *     gradient_last             G_L
 *     gradient_last_slope       a of G_L = b L^a, by least squares of logarithms over the depths
 *     last_over_pre             G_L over that of Pre-LN of the same norm, depth and seed
 *     rms_over_layernorm        G_1 with RMSNorm over G_1 with LayerNorm: where the norms' difference has passed all layers
 *     vanishing_spared          log(G_1/G_L with RMSNorm over G_1/G_L with LayerNorm) / -log(median G_1/G_L with LayerNorm): the
 *                               share of the decades which LayerNorm loses on the way down that RMSNorm does not lose; 1: all of
 *                               them, 0: it loses as many. Only where LayerNorm's are lost: where the interval of its G_1/G_L
 *                               reaches above a tenth there is nothing to spare, and the share is missing
 * Data     stack_gradients.dat, a block a stack: scheme, norm, depth, layer, median of G_l and its interval, and the kind of matrix:
 *          w1, or the first one asked for
 * Source   Xiong et al. 2020, arXiv:2002.04745, section 3: G of W_1 and W_2 by layer */
#include "stack_trial.h"

#include <math.h>
#include <stdlib.h>

static const struct nb_parameter PARAMETERS[] = {
    NB_STACK_PARAMETERS("pre,post,deepnorm", "layernorm,rmsnorm", "6,12,24,48,100,200,400,1000", "0"),
    {.name = "weight", .value = "w1,w2", .says = "matrices: value and output projection, both of the feed-forward", .kind = NB_CHOICES,
     .choices = "v o w1 w2"},
};

static const char *const WEIGHTS[NB_STACK_WEIGHTS] = {"v", "o", "w1", "w2"};
static const double VANISHED = 0.1; /* of G_L: a decade lost */

struct gradients {
    const struct nb_trial *t;
    struct nb_observations *o;
    struct nb_stack_grid grid;
    double *norms[NB_STACK_CELLS]; /* [seeds][NB_STACK_WEIGHTS][depth] */
    double *values;                /* [seeds] */
};

static double *norms_of(const struct gradients *g, size_t cell, size_t seed, int weight)
{
    return g->norms[cell] + (seed * NB_STACK_WEIGHTS + (size_t)weight) * g->grid.cell[cell].depth;
}

/* ---- one stack ---- */

struct record {
    double *norms; /* [NB_STACK_WEIGHTS][depth] */
    size_t depth;
};

static void record(void *context, size_t i, double *weights, const double *gradient, size_t elements)
{
    const struct record *r = context;
    const size_t layer = i / NB_STACK_WEIGHTS;
    (void)weights;
    if (layer < r->depth) /* not W_C */
        r->norms[i % NB_STACK_WEIGHTS * r->depth + layer] = nb_stack_norm(gradient, elements);
}

static void visit(void *context, size_t cell, size_t seed, struct nb_stack *s)
{
    struct gradients *g = context;
    struct record r = {norms_of(g, cell, seed, 0), s->c.depth};
    nb_stack_forward(s);
    nb_stack_backward(s, record, &r);
}

/* ---- quantities of one stack ---- */

static double first_over_last(const double *norms, size_t depth)
{
    return norms[0] / norms[depth - 1];
}

static double last(const double *norms, size_t depth)
{
    return norms[depth - 1];
}

static double spread(const double *norms, size_t depth)
{
    double most = norms[0], least = norms[0];
    for (size_t i = 0; i < depth; i++) {
        if (isnan(norms[i]))
            return NAN;
        most = norms[i] > most ? norms[i] : most;
        least = norms[i] < least ? norms[i] : least;
    }
    return most / least;
}

static void of_stack(struct gradients *g, size_t cell, int weight, const char *quantity, double (*of)(const double *, size_t))
{
    const struct nb_stack_config *c = &g->grid.cell[cell];
    for (size_t k = 0; k < g->grid.seeds; k++)
        g->values[k] = of(norms_of(g, cell, k, weight), c->depth);
    nb_observe_median(g->o, quantity, "", g->values, g->grid.seeds, "seeds", "scheme=%s norm=%s depth=%zu weight=%s",
                      nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c), c->depth, WEIGHTS[weight]);
}

/* ---- of two stacks ---- */

static void over_pre(struct gradients *g, size_t cell, int weight)
{
    const struct nb_stack_config *c = &g->grid.cell[cell];
    const size_t pre = nb_stack_cell(&g->grid, NB_STACK_PRE, c->op, c->depth);
    if (c->scheme == NB_STACK_PRE || pre == g->grid.cells)
        return;
    for (size_t k = 0; k < g->grid.seeds; k++)
        g->values[k] = last(norms_of(g, cell, k, weight), c->depth) / last(norms_of(g, pre, k, weight), c->depth);
    nb_observe_median(g->o, "last_over_pre", "", g->values, g->grid.seeds, "seeds", "scheme=%s norm=%s depth=%zu weight=%s",
                      nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c), c->depth, WEIGHTS[weight]);
}

static void spared(struct gradients *g, size_t ln, size_t rms, int weight)
{
    static const char where[] = "scheme=%s depth=%zu weight=%s";
    const struct nb_stack_config *c = &g->grid.cell[ln];
    const char *scheme = nb_stack_scheme_name(c->scheme);
    for (size_t k = 0; k < g->grid.seeds; k++)
        g->values[k] = first_over_last(norms_of(g, ln, k, weight), c->depth);
    const struct nb_summary kept = nb_summary(g->values, g->grid.seeds);
    for (size_t k = 0; k < g->grid.seeds; k++)
        g->values[k] = log(first_over_last(norms_of(g, rms, k, weight), c->depth) / first_over_last(norms_of(g, ln, k, weight), c->depth)) /
                       -log(kept.median);
    if (!(kept.high > VANISHED)) /* also where it is no number */
        nb_observe_median(g->o, "vanishing_spared", "", g->values, g->grid.seeds, "seeds", where, scheme, c->depth, WEIGHTS[weight]);
    else
        nb_observe_missing(g->o, "vanishing_spared", "", "LayerNorm's gradients are not seen to vanish: the first layer may keep a tenth "
                           "of the last one's or more, and there is nothing to spare", false, where, scheme, c->depth, WEIGHTS[weight]);
}

static void of_both_norms(struct gradients *g, size_t rms, int weight)
{
    const struct nb_stack_config *c = &g->grid.cell[rms];
    const size_t ln = nb_stack_cell(&g->grid, c->scheme, NB_OP_LAYERNORM, c->depth);
    if (c->op != NB_OP_RMSNORM || ln == g->grid.cells)
        return;
    for (size_t k = 0; k < g->grid.seeds; k++)
        g->values[k] = norms_of(g, rms, k, weight)[0] / norms_of(g, ln, k, weight)[0];
    nb_observe_median(g->o, "rms_over_layernorm", "", g->values, g->grid.seeds, "seeds", "scheme=%s depth=%zu weight=%s",
                      nb_stack_scheme_name(c->scheme), c->depth, WEIGHTS[weight]);
    spared(g, ln, rms, weight);
}

/* ---- over depths ---- */

/* Of points (x, y) whose sums these are. */
struct line {
    double n, x, y, xx, xy;
};

static void add_point(struct line *l, double x, double y)
{
    l->n++;
    l->x += x;
    l->y += y;
    l->xx += x * x;
    l->xy += x * y;
}

static double slope_of(const struct line *l)
{
    return (l->n * l->xy - l->x * l->y) / (l->n * l->xx - l->x * l->x);
}

/* Of the scheme and norm of this cell, if it is the first one of them and there are others. */
static void slope(struct gradients *g, size_t cell, int weight)
{
    const struct nb_stack_config *c = &g->grid.cell[cell];
    size_t end = cell;
    while (end < g->grid.cells && g->grid.cell[end].scheme == c->scheme && g->grid.cell[end].op == c->op)
        end++;
    if (end - cell < 2 || (cell > 0 && c[-1].scheme == c->scheme && c[-1].op == c->op))
        return;
    for (size_t k = 0; k < g->grid.seeds; k++) {
        struct line l = {0};
        for (size_t i = cell; i < end; i++)
            add_point(&l, log((double)g->grid.cell[i].depth), log(last(norms_of(g, i, k, weight), g->grid.cell[i].depth)));
        g->values[k] = slope_of(&l);
    }
    nb_observe_median(g->o, "gradient_last_slope", "", g->values, g->grid.seeds, "seeds", "scheme=%s norm=%s weight=%s",
                      nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c), WEIGHTS[weight]);
}

/* ---- the trial ---- */

static void observe(struct gradients *g, int weight)
{
    for (size_t i = 0; i < g->grid.cells; i++) {
        of_stack(g, i, weight, "gradient_first_over_last", first_over_last);
        of_stack(g, i, weight, "gradient_spread", spread);
        of_stack(g, i, weight, "gradient_last", last);
        over_pre(g, i, weight);
        of_both_norms(g, i, weight);
        slope(g, i, weight);
    }
}

static void write_cell(struct gradients *g, size_t cell, int weight, FILE *f)
{
    const struct nb_stack_config *c = &g->grid.cell[cell];
    for (size_t layer = 0; layer < c->depth; layer++) {
        for (size_t k = 0; k < g->grid.seeds; k++)
            g->values[k] = norms_of(g, cell, k, weight)[layer];
        const struct nb_summary m = nb_summary(g->values, g->grid.seeds);
        fprintf(f, "%s %s %zu %zu %.6g %.6g %.6g %s\n", nb_stack_scheme_name(c->scheme), nb_stack_norm_name(c), c->depth, layer + 1,
                m.median, m.low, m.high, WEIGHTS[weight]);
    }
    fputs("\n\n", f);
}

static enum nb_status write_data(struct gradients *g, struct nb_err *err)
{
    int weight = NB_STACK_W1;
    FILE *f;
    if (nb_stack_data(g->t->dir, "stack_gradients.dat", &f, err) != NB_OK)
        return NB_ERROR;
    for (int w = 0; !nb_trial_has(g->t, "weight", WEIGHTS[weight]); w++)
        weight = w;
    fprintf(f, "# scheme norm depth layer median low high weight: norm of a layer's gradient, over %zu seeds\n", g->grid.seeds);
    for (size_t i = 0; i < g->grid.cells; i++)
        write_cell(g, i, weight, f);
    nb_stack_data_close(f, g->t->dir, "stack_gradients.dat");
    return NB_OK;
}

static enum nb_status gradients_by_layer(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    struct gradients *g = calloc(1, sizeof *g);
    NB_ASSERT(g != NULL);
    g->t = t;
    g->o = o;
    nb_stack_grid(t, &g->grid);
    g->values = calloc(g->grid.seeds, sizeof *g->values);
    NB_ASSERT(g->values != NULL);
    for (size_t i = 0; i < g->grid.cells; i++) {
        g->norms[i] = calloc(g->grid.seeds * NB_STACK_WEIGHTS * g->grid.cell[i].depth, sizeof *g->norms[i]);
        NB_ASSERT(g->norms[i] != NULL);
    }
    enum nb_status status = nb_stack_each_cell(t, &g->grid, visit, g, err);
    for (int w = 0; w < NB_STACK_WEIGHTS && status == NB_OK; w++)
        if (nb_trial_has(t, "weight", WEIGHTS[w]))
            observe(g, w);
    if (status == NB_OK && t->dir != NULL)
        status = write_data(g, err);
    for (size_t i = 0; i < g->grid.cells; i++)
        free(g->norms[i]);
    free(g->values);
    free(g);
    return status;
}

const struct nb_experiment nb_experiment_gradients_by_layer = {
    "gradients_by_layer", "norms of the gradients that the layers of deep stacks get at initialization, by place and kind of norm",
    "gradient_first_over_last gradient_spread gradient_last gradient_last_slope last_over_pre rms_over_layernorm vanishing_spared",
    "scheme norm depth", PARAMETERS, sizeof PARAMETERS / sizeof *PARAMETERS, false, {18, 32, 75}, gradients_by_layer};
