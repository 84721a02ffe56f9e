#include "execute.h"

#include "stats.h"

#include <omp.h>
#include <string.h>
#include <time.h>

static const struct nb_topology *topology;

void nb_execute_init(const struct nb_topology *t)
{
    topology = t;
}

uint64_t nb_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool nb_uses_gamma(const struct nb_kernel *k)
{
    return k->op == NB_OP_LAYERNORM || k->op == NB_OP_RMSNORM || k->op == NB_OP_AFFINE;
}

bool nb_uses_beta(const struct nb_kernel *k)
{
    return k->op == NB_OP_LAYERNORM ||
           (k->op == NB_OP_AFFINE && strcmp(k->algo, "gammabeta") == 0);
}

static size_t scratch_step(const struct nb_kernel *k, const struct nb_problem *p, unsigned threads)
{
    if (k->scratch_bytes == NULL)
        return 0;
    return (k->scratch_bytes(p, threads) + 4095) / 4096 * 4096;
}

size_t nb_scratch_bytes(const struct nb_kernel *k, const struct nb_problem *p, unsigned threads)
{
    return scratch_step(k, p, threads) * threads;
}

void nb_execution_begin(struct nb_execution *e, const struct nb_cell *cell,
                        const struct nb_kernel *k, const struct nb_args *args, char *scratch)
{
    *e = (struct nb_execution){.kernel = k, .args = *args, .threads = cell->threads, .windows = 1};
    e->problem = nb_cell_problem(cell, k);
    e->args.size = sizeof(struct nb_args);
    if (!nb_uses_gamma(k))
        e->args.gamma = NULL;
    if (!nb_uses_beta(k))
        e->args.beta = NULL;
    e->scratch = scratch;
    e->scratch_step = scratch_step(k, &e->problem, cell->threads);
    if (k->prepare != NULL)
        e->state = k->prepare(&e->problem, &e->args);
}

void nb_execution_end(struct nb_execution *e)
{
    if (e->kernel->finish != NULL)
        e->kernel->finish(e->state);
}

/* A thread's binding lasts as long as the thread; a failed one is found by the migration count. */
static void bind_once(unsigned thread)
{
    static __thread unsigned bound; /* thread + 1 */
    if (bound != thread + 1 && topology != NULL) {
        enum nb_status s = nb_topology_bind(topology, thread, NULL);
        (void)s;
        bound = thread + 1;
    }
}

static void one_part(const struct nb_execution *e, size_t window, unsigned part)
{
    struct nb_args a = e->args;
    const void *state = e->kernel->prepare != NULL ? e->state : &e->problem;
    a.part = part;
    a.parts = e->threads;
    a.scratch = e->scratch_step ? e->scratch + part * e->scratch_step : NULL;
    a.x = (const char *)a.x + window * e->step;
    a.y = (char *)a.y + window * e->step;
    e->kernel->run(state, &a);
}

static uint64_t execute_one(struct nb_execution *e, unsigned passes)
{
    size_t window = e->next_window;
    bind_once(0);
    const uint64_t start = nb_now_ns();
    for (unsigned p = 0; p < passes; p++) {
        one_part(e, window, 0);
        window = window + 1 < e->windows ? window + 1 : 0;
    }
    return nb_now_ns() - start;
}

static uint64_t execute_many(struct nb_execution *e, unsigned passes)
{
    uint64_t start = 0, end = 0;
#pragma omp parallel num_threads(e->threads)
    {
        const unsigned part = (unsigned)omp_get_thread_num();
        size_t window = e->next_window;
        bind_once(part);
#pragma omp barrier
        if (part == 0)
            start = nb_now_ns();
        for (unsigned p = 0; p < passes; p++) {
            one_part(e, window, part);
            window = window + 1 < e->windows ? window + 1 : 0;
#pragma omp barrier
        }
        if (part == 0)
            end = nb_now_ns();
    }
    return end - start;
}

uint64_t nb_execute(struct nb_execution *e, unsigned passes)
{
    const uint64_t ns = e->threads == 1 ? execute_one(e, passes) : execute_many(e, passes);
    e->next_window = (e->next_window + passes) % e->windows;
    return ns;
}

void nb_execute_part(const struct nb_execution *e, unsigned part, unsigned passes)
{
    size_t window = e->next_window;
    for (unsigned p = 0; p < passes; p++) {
        one_part(e, window, part);
        window = window + 1 < e->windows ? window + 1 : 0;
    }
}

void nb_on_threads(unsigned threads, void (*work)(void *context, unsigned part, unsigned parts),
                   void *context)
{
    if (threads == 1) {
        bind_once(0);
        work(context, 0, 1);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        const unsigned part = (unsigned)omp_get_thread_num();
        bind_once(part);
        work(context, part, threads);
    }
}

double nb_barrier_ns(unsigned threads)
{
    enum { REPEATS = 9, BARRIERS = 200 };
    double ns[REPEATS];
    if (threads == 1)
        return 0;
    for (int r = 0; r < REPEATS; r++) {
        uint64_t start = 0, end = 0;
#pragma omp parallel num_threads(threads)
        {
            const int part = omp_get_thread_num();
            bind_once((unsigned)part);
#pragma omp barrier
            if (part == 0)
                start = nb_now_ns();
            for (int i = 0; i < BARRIERS; i++) {
#pragma omp barrier
            }
            if (part == 0)
                end = nb_now_ns();
        }
        ns[r] = (double)(end - start) / BARRIERS;
    }
    return nb_median(ns, REPEATS);
}

void nb_run_once(const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args)
{
    struct nb_args a = *args;
    const size_t bytes = scratch_step(k, p, 1);
    char *scratch = bytes > 0 ? aligned_alloc(4096, bytes) : NULL;
    NB_ASSERT(bytes == 0 || scratch != NULL);
    a.size = sizeof a;
    a.part = 0;
    a.parts = 1;
    a.scratch = scratch;
    void *own = k->prepare != NULL ? k->prepare(p, &a) : NULL;
    const void *state = k->prepare != NULL ? own : p;
    k->run(state, &a);
    if (k->reduce != NULL)
        k->reduce(state, &a);
    if (k->finish != NULL)
        k->finish(own);
    free(scratch);
}
