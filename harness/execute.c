#define _GNU_SOURCE /* sched_getcpu */
#include "execute.h"

#include "registry.h"
#include "stats.h"

#include <alloca.h>
#include <omp.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const struct nb_topology *topology;

void nb_execute_init(const struct nb_topology *t)
{
    topology = t;
    omp_set_dynamic(0); /* a runtime that shrinks teams would leave rows to nobody */
}

uint64_t nb_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

long nb_involuntary_switches(void)
{
    struct rusage r;
    return getrusage(RUSAGE_SELF, &r) == 0 ? r.ru_nivcsw : 0;
}

bool nb_uses_gamma(const struct nb_kernel *k)
{
    return nb_op_facts(k->op)->gamma;
}

bool nb_uses_beta(const struct nb_kernel *k)
{
    return nb_op_facts(k->op)->beta ||
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

bool nb_execution_begin(struct nb_execution *e, const struct nb_cell *cell,
                        const struct nb_kernel *k, const struct nb_args *args, char *scratch)
{
    *e = (struct nb_execution){.kernel = k, .args = *args, .threads = cell->threads, .windows = 1};
    e->problem = nb_cell_problem(cell, k);
    e->args.size = sizeof(struct nb_args);
    if (!nb_uses_gamma(k))
        e->args.gamma = e->args.dgamma = NULL;
    if (!nb_uses_beta(k))
        e->args.beta = e->args.dbeta = NULL;
    if (!nb_op_facts(k->op)->pointwise)
        e->args.dalpha = NULL;
    e->scratch = scratch;
    e->scratch_step = e->args.scratch_step = scratch_step(k, &e->problem, cell->threads);
    e->args.parts = cell->threads;
    if (k->prepare == NULL)
        return true;
    const uint64_t start = nb_now_ns();
    e->state = k->prepare(&e->problem, &e->args);
    e->prepare_ns = (double)(nb_now_ns() - start);
    return e->state != NULL;
}

void nb_execution_end(struct nb_execution *e)
{
    if (e->kernel->finish != NULL && e->state != NULL)
        e->kernel->finish(e->state);
    e->state = NULL;
}

/* A thread's binding lasts as long as the thread, and the runtime keeps the threads of a team for the
 * next one of that size. */
static enum nb_status bind_once(unsigned thread, struct nb_err *err)
{
    static __thread unsigned bound; /* thread + 1 */
    if (bound == thread + 1 || topology == NULL)
        return NB_OK;
    enum nb_status s = nb_topology_bind(topology, thread, err);
    if (s == NB_OK)
        bound = thread + 1;
    return s;
}

enum nb_status nb_execute_team(unsigned threads, bool must_bind, struct nb_err *err)
{
    unsigned team = 1;
    struct nb_err unbound = {""};
    if (threads == 1) {
        if (bind_once(0, &unbound) != NB_OK && must_bind)
            return nb_fail(err, "%s", unbound.text);
        return NB_OK;
    }
#pragma omp parallel num_threads(threads)
    {
        struct nb_err mine = {""};
        const enum nb_status s = bind_once((unsigned)omp_get_thread_num(), &mine);
#pragma omp critical
        {
            team = (unsigned)omp_get_num_threads();
            if (s != NB_OK)
                unbound = mine;
        }
    }
    if (team != threads)
        return nb_fail(err, "%u threads were asked for and %u started; what limits them? See "
                            "OMP_THREAD_LIMIT, `ulimit -u` and the cgroup's pids.max", threads, team);
    return must_bind && unbound.text[0] ? nb_fail(err, "%s", unbound.text) : NB_OK;
}

const struct nb_topology *nb_execute_topology(void)
{
    return topology;
}

static void find_cpu(void *context, unsigned part, unsigned parts)
{
    int *cpus = context;
    (void)parts;
    cpus[part] = sched_getcpu();
}

long nb_execute_strays(unsigned threads)
{
    long strays = 0;
    if (topology == NULL)
        return -1;
    int *cpus = calloc(threads, sizeof *cpus);
    NB_ASSERT(cpus != NULL);
    nb_on_threads(threads, find_cpu, cpus);
    for (unsigned i = 0; i < threads && strays >= 0; i++)
        strays = cpus[i] < 0 ? -1 : strays + (cpus[i] != (int)nb_topology_cpu(topology, i));
    free(cpus);
    return strays;
}

static const void *state_of(const struct nb_execution *e)
{
    return e->kernel->prepare != NULL ? e->state : &e->problem;
}

static void *moved(const void *p, size_t bytes)
{
    return p != NULL ? (char *)p + bytes : NULL;
}

static void one_part(const struct nb_execution *e, size_t window, unsigned part)
{
    struct nb_args a = e->args;
    const size_t saved = (e->checked ? e->windows : window) * e->step_saved;
    a.part = part;
    a.parts = e->threads;
    a.scratch = e->scratch_step ? e->scratch + part * e->scratch_step : NULL;
    a.x = moved(a.x, window * e->step);
    a.dy = moved(a.dy, window * e->step);
    a.residual = moved(a.residual, window * e->step);
    a.y = moved(a.y, window * e->step_out);
    a.h = moved(a.h, window * e->step_out);
    a.dx = moved(a.dx, window * e->step_out);
    a.dres = moved(a.dres, window * e->step_out);
    a.mean = moved(a.mean, saved);
    a.rstd = moved(a.rstd, saved);
    e->kernel->run(state_of(e), &a);
}

void nb_execute_reduce(const struct nb_execution *e, unsigned part)
{
    struct nb_args a = e->args;
    if (e->kernel->reduce == NULL)
        return;
    a.part = part;
    a.parts = e->threads;
    a.scratch = e->scratch;
    e->kernel->reduce(state_of(e), &a);
}

static void one_whole(const struct nb_execution *e, size_t window)
{
    one_part(e, window, 0);
    nb_execute_reduce(e, 0);
}

static __attribute__((noinline)) uint64_t execute_one(struct nb_execution *e, unsigned passes)
{
    size_t window = e->next_window;
    const uint64_t start = nb_now_ns();
    for (unsigned p = 0; p < passes; p++) {
        one_whole(e, window);
        window = window + 1 < e->windows ? window + 1 : 0;
    }
    return nb_now_ns() - start;
}

/* Where in its page a kernel spills to decides, as with x and y, what its loads seem to depend on. Left alone that is
 * luck of each process; here it is chosen. */
static __attribute__((noinline)) uint64_t execute_on(struct nb_execution *e, unsigned passes)
{
    volatile char here = 0;
    const size_t shift = ((uintptr_t)&here - e->stack) % 4096 / 64 * 64;
    volatile char *room = alloca(shift + 64);
    room[0] = here;
    return execute_one(e, passes);
}

static uint64_t execute_many(struct nb_execution *e, unsigned passes)
{
    uint64_t start = 0, end = 0;
#pragma omp parallel num_threads(e->threads)
    {
        const unsigned part = (unsigned)omp_get_thread_num();
        size_t window = e->next_window;
#pragma omp barrier
        if (part == 0)
            start = nb_now_ns();
        for (unsigned p = 0; p < passes; p++) {
            one_part(e, window, part);
            window = window + 1 < e->windows ? window + 1 : 0;
#pragma omp barrier
            if (e->kernel->reduce != NULL) {
                nb_execute_reduce(e, part);
#pragma omp barrier
            }
        }
        if (part == 0)
            end = nb_now_ns();
    }
    return end - start;
}

uint64_t nb_execute(struct nb_execution *e, unsigned passes)
{
    const uint64_t ns = e->threads == 1 ? execute_on(e, passes) : execute_many(e, passes);
    e->next_window = (e->next_window + passes) % e->windows;
    return ns;
}

void nb_execute_part(const struct nb_execution *e, unsigned part, unsigned passes)
{
    size_t window = e->next_window;
    for (unsigned p = 0; p < passes; p++) {
        if (e->threads == 1)
            one_whole(e, window);
        else
            one_part(e, window, part);
        window = window + 1 < e->windows ? window + 1 : 0;
    }
}

void nb_on_threads(unsigned threads, void (*work)(void *context, unsigned part, unsigned parts),
                   void *context)
{
    if (threads == 1) {
        work(context, 0, 1);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        const unsigned part = (unsigned)omp_get_thread_num();
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

bool nb_run_once(const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args)
{
    struct nb_args a = *args;
    const size_t bytes = scratch_step(k, p, 1);
    char *scratch = bytes > 0 ? aligned_alloc(4096, bytes) : NULL;
    NB_ASSERT(bytes == 0 || scratch != NULL);
    a.size = sizeof a;
    a.part = 0;
    a.parts = 1;
    a.scratch = scratch;
    a.scratch_step = bytes;
    void *own = k->prepare != NULL ? k->prepare(p, &a) : NULL;
    const void *state = k->prepare != NULL ? own : p;
    if (state != NULL)
        k->run(state, &a);
    if (state != NULL && k->reduce != NULL)
        k->reduce(state, &a);
    if (k->finish != NULL && own != NULL)
        k->finish(own);
    free(scratch);
    return state != NULL;
}
