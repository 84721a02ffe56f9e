#define _GNU_SOURCE /* sched_getaffinity */
#include "stack_trial.h"

#include "deepnorm.h"
#include "stats.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 64 };
static const double MOST_BYTES = 4e9; /* of all at once: the system would promise more than it has */
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

/* ---- all of a grid, several at once ---- */

struct work {
    const struct nb_trial *t;
    const struct nb_stack_grid *g;
    nb_stack_visit *visit;
    void *context;
    unsigned long long *seeds;
    pthread_mutex_t lock; /* of what follows, and of who tells how far it is */
    size_t next;          /* the stack that nobody has yet: all cells of a seed, then of the next */
    double begun;         /* layers of those that somebody has */
    const struct nb_stack_config *refused; /* there was no memory for it */
};

/* false: there is none left, or nobody wants one any more. */
static bool take(struct work *w, size_t *cell, size_t *seed)
{
    char what[80];
    pthread_mutex_lock(&w->lock);
    const bool some = w->next < w->g->cells * w->g->seeds && w->refused == NULL && !nb_trial_stopped(w->t);
    if (some) {
        *cell = w->next % w->g->cells;
        *seed = w->next++ / w->g->cells;
        const struct nb_stack_config *c = &w->g->cell[*cell];
        snprintf(what, sizeof what, "%s, %s, %zu layers", SCHEMES[c->scheme], nb_stack_norm_name(c), c->depth);
        nb_trial_progress(w->t, w->begun / layers(w->g), what);
        w->begun += (double)c->depth;
    }
    pthread_mutex_unlock(&w->lock);
    return some;
}

static void refuse(struct work *w, size_t cell)
{
    pthread_mutex_lock(&w->lock);
    w->refused = &w->g->cell[cell];
    pthread_mutex_unlock(&w->lock);
}

static void *worker(void *context)
{
    struct work *w = context;
    size_t cell, seed;
    while (take(w, &cell, &seed)) {
        const struct nb_stack_config *c = &w->g->cell[cell];
        struct nb_stack *s = nb_stack_bytes(c) <= MOST_BYTES ? nb_stack_new(c, w->seeds[seed]) : NULL;
        if (s == NULL) {
            refuse(w, cell);
            break;
        }
        s->stop = w->t->stop;
        w->visit(w->context, cell, seed, s);
        nb_stack_free(s);
    }
    return NULL;
}

/* What a pass over one sublayer holds besides, about: a dozen arrays as long as x, and the logits and their gradients. */
static double pass_bytes(const struct nb_stack_config *c)
{
    return sizeof(double) * (double)(c->batch * c->tokens) * (14 * (double)c->d + 2 * (double)c->classes);
}

/* One a CPU that this process may use, as many as fit into memory at once. */
static size_t worker_count(const struct nb_stack_grid *g)
{
    cpu_set_t cpus;
    double largest = 1;
    for (size_t i = 0; i < g->cells; i++)
        largest = fmax(largest, nb_stack_bytes(&g->cell[i]) + pass_bytes(&g->cell[i]));
    const double most = fmin(fmin(MOST_BYTES / largest, (double)(g->cells * g->seeds)), WORKERS);
    const int allowed = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    return (size_t)fmax(1, fmin(most, allowed));
}

static void run_workers(struct work *w)
{
    pthread_t threads[WORKERS];
    size_t n = 0;
    const size_t others = worker_count(w->g) - 1;
    while (n < others && pthread_create(&threads[n], NULL, worker, w) == 0)
        n++;
    (void)worker(w);
    while (n > 0)
        NB_ASSERT(pthread_join(threads[--n], NULL) == 0);
}

enum nb_status nb_stack_each_cell(const struct nb_trial *t, const struct nb_stack_grid *g, nb_stack_visit *visit, void *context,
                                  struct nb_err *err)
{
    struct work w = {.t = t, .g = g, .visit = visit, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER};
    unsigned long long state = t->seed;
    w.seeds = calloc(g->seeds, sizeof *w.seeds);
    NB_ASSERT(w.seeds != NULL);
    for (size_t k = 0; k < g->seeds; k++)
        w.seeds[k] = nb_random(&state);
    run_workers(&w);
    free(w.seeds);
    if (nb_trial_stopped(t))
        return NB_INTERRUPTED;
    return w.refused == NULL ? NB_OK
                             : nb_fail(err, "not enough memory for a stack of %zu layers with d = %zu; a lower depth or d would do",
                                       w.refused->depth, w.refused->d);
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
