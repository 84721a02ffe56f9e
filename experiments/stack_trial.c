#include "stack_trial.h"

#include "deepnorm.h"
#include "stats.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static const double MOST_BYTES = 4e9; /* the system would promise more than it has */
static const char *const SCHEMES[NB_STACK_SCHEMES] = {"none", "pre", "post", "deepnorm"};

const char *nb_stack_scheme_name(enum nb_stack_scheme scheme)
{
    return SCHEMES[scheme];
}

const char *nb_stack_norm_name(const struct nb_stack_config *c)
{
    return c->scheme == NB_STACK_NONE ? "none" : c->op == NB_OP_LAYERNORM ? "layernorm" : "rmsnorm";
}

/* A decoder without an encoder, or an encoder alone: both formulas of alpha and beta are the same for them. */
static void set_gains(const struct nb_trial *t, struct nb_stack_config *c)
{
    const double alpha = nb_trial_number(t, "alpha"), beta = nb_trial_number(t, "beta");
    const struct nb_ref_deepnorm asked = nb_ref_deepnorm(NB_REF_ENCODER_ONLY, (unsigned)c->depth, 0);
    const bool deep = c->scheme == NB_STACK_DEEPNORM;
    c->alpha = !deep ? 1 : alpha > 0 ? alpha : asked.alpha;
    c->beta = !deep ? 1 : beta > 0 ? beta : asked.beta;
}

static void add_cells(const struct nb_trial *t, struct nb_stack_grid *g, enum nb_stack_scheme scheme, uint32_t op)
{
    double depth[NB_NUMBERS_MAX];
    const size_t depths = nb_trial_numbers(t, "depth", depth);
    for (size_t i = 0; i < depths; i++) {
        struct nb_stack_config *c = &g->cell[g->cells];
        if (nb_stack_cell(g, scheme, op, (size_t)depth[i]) < g->cells)
            continue; /* a depth twice */
        *c = (struct nb_stack_config){.scheme = scheme, .op = op, .depth = (size_t)depth[i], .eps = nb_trial_number(t, "eps"),
                                      .d = (size_t)nb_trial_number(t, "d"), .tokens = (size_t)nb_trial_number(t, "tokens"),
                                      .batch = (size_t)nb_trial_number(t, "batch"), .classes = (size_t)nb_trial_number(t, "classes")};
        set_gains(t, c);
        g->cells++;
    }
}

void nb_stack_grid(const struct nb_trial *t, struct nb_stack_grid *g)
{
    static const uint32_t ops[] = {NB_OP_LAYERNORM, NB_OP_RMSNORM};
    static const size_t by_effort[] = {5, 9, 21};
    const size_t seeds = (size_t)nb_trial_number(t, "seeds");
    g->cells = 0;
    g->seeds = seeds > 0 ? seeds : by_effort[t->effort];
    for (int scheme = 0; scheme < NB_STACK_SCHEMES; scheme++) {
        if (!nb_trial_has(t, "scheme", SCHEMES[scheme]))
            continue;
        if (scheme == NB_STACK_NONE)
            add_cells(t, g, NB_STACK_NONE, NB_OP_COUNT);
        for (size_t i = 0; i < 2 && scheme != NB_STACK_NONE; i++)
            if (nb_trial_has(t, "norm", i == 0 ? "layernorm" : "rmsnorm"))
                add_cells(t, g, (enum nb_stack_scheme)scheme, ops[i]);
    }
}

size_t nb_stack_cell(const struct nb_stack_grid *g, enum nb_stack_scheme scheme, uint32_t op, size_t depth)
{
    for (size_t i = 0; i < g->cells; i++)
        if (g->cell[i].scheme == scheme && g->cell[i].op == op && g->cell[i].depth == depth)
            return i;
    return g->cells;
}

/* Layers of all its stacks: what its time goes with. */
static double layers(const struct nb_stack_grid *g)
{
    double sum = 0;
    for (size_t i = 0; i < g->cells; i++)
        sum += (double)(g->cell[i].depth * g->seeds);
    return sum;
}

enum nb_status nb_stack_each_cell(const struct nb_trial *t, const struct nb_stack_grid *g, nb_stack_visit *visit, void *context,
                                  struct nb_err *err)
{
    double done = 0;
    unsigned long long state = t->seed;
    for (size_t k = 0; k < g->seeds; k++) {
        const unsigned long long seed = nb_random(&state);
        for (size_t i = 0; i < g->cells; i++) {
            const struct nb_stack_config *c = &g->cell[i];
            char what[80];
            if (nb_trial_stopped(t))
                return NB_INTERRUPTED;
            snprintf(what, sizeof what, "%s, %s, %zu layers", SCHEMES[c->scheme], nb_stack_norm_name(c), c->depth);
            nb_trial_progress(t, done / layers(g), what);
            struct nb_stack *s = nb_stack_bytes(c) <= MOST_BYTES ? nb_stack_new(c, seed) : NULL;
            if (s == NULL)
                return nb_fail(err, "not enough memory for a stack of %zu layers with d = %zu; a lower depth or d would do", c->depth,
                               c->d);
            s->stop = t->stop;
            visit(context, i, k, s);
            nb_stack_free(s);
            if (nb_trial_stopped(t))
                return NB_INTERRUPTED;
            done += (double)c->depth;
        }
    }
    return NB_OK;
}

enum nb_status nb_stack_data(const char *dir, const char *name, FILE **f, struct nb_err *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return nb_fail(err, "%s: too long a path", dir);
    *f = fopen(path, "w");
    if (*f == NULL)
        *f = fopen("/dev/null", "w");
    return *f != NULL ? NB_OK : nb_fail(err, "%s: %s", path, strerror(errno));
}

void nb_stack_data_close(FILE *f, const char *dir, const char *name)
{
    char path[4096];
    const bool wrong = ferror(f) != 0, unwritten = fclose(f) != 0;
    if ((wrong || unwritten) && snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path)
        (void)unlink(path);
}
