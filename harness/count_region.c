#define _GNU_SOURCE /* MAP_FIXED_NOREPLACE */
#include "count_region.h"

#include "codec.h"
#include "execute.h"
#include "inputs.h"
#include "registry.h"
#include "saved.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#if NB_HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define CALLGRIND_START_INSTRUMENTATION (void)0
#define CALLGRIND_STOP_INSTRUMENTATION (void)0
#define CALLGRIND_TOGGLE_COLLECT (void)0
#define CALLGRIND_ZERO_STATS (void)0
#define CALLGRIND_DUMP_STATS_AT(tag) (void)(tag)
#endif

bool nb_region_built(void)
{
    return NB_HAVE_CALLGRIND;
}

bool nb_region_under_valgrind(void)
{
    return RUNNING_ON_VALGRIND != 0;
}

/* ---- memory ---- */

/* In the part of the address space that valgrind leaves to its client, above what it maps by itself. */
#define ARENA ((uintptr_t)0x500000000)
enum { PAGE = 4096, STACK = 1 << 20 };

struct arena {
    char *x, *second, *y, *h, *gamma, *beta, *dgamma, *dbeta, *dalpha, *mean, *rstd, *run_mean, *run_var, *scratch, *stack;
    size_t bytes;
};

/* The next place, `offset` behind a page's begin. */
static char *place(uintptr_t *at, size_t offset, size_t bytes)
{
    char *p = (char *)*at + offset;
    *at += (offset + bytes + PAGE - 1) / PAGE * PAGE;
    return p;
}

/* Offsets within a page as where kernels are timed. */
static enum nb_status map(struct arena *a, const struct nb_cell *c, size_t scratch, struct nb_err *err)
{
    const size_t tensor = c->rows * c->ldx * nb_dtype_bytes(c->dtype);
    const size_t param = c->hidden * nb_dtype_bytes(c->param_dtype), stat = c->rows * c->hidden * nb_stat_bytes(c->dtype);
    uintptr_t at = ARENA;
    a->x = place(&at, 0, nb_cell_second_in(c) + tensor);
    a->second = a->x + nb_cell_second_in(c);
    a->y = c->in_place ? a->x : place(&at, c->offset, nb_cell_second_out(c) + tensor);
    a->h = nb_cell_second_out(c) > 0 ? a->y + nb_cell_second_out(c) : NULL;
    a->gamma = place(&at, 1024, param);
    a->beta = place(&at, 3136, param);
    a->dgamma = place(&at, 512, param);
    a->dbeta = place(&at, 2560, param);
    a->dalpha = place(&at, 64, nb_stat_bytes(c->dtype));
    a->mean = place(&at, 0, stat);
    a->rstd = place(&at, 0, stat);
    a->run_mean = place(&at, 0, c->hidden * nb_stat_bytes(c->dtype));
    a->run_var = place(&at, 0, c->hidden * nb_stat_bytes(c->dtype));
    a->scratch = place(&at, 0, scratch);
    a->stack = place(&at, 0, STACK);
    a->bytes = at - ARENA;
    void *p = mmap((void *)ARENA, a->bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == (void *)ARENA)
        return NB_OK;
    const int why = errno;
    if (p != MAP_FAILED)
        munmap(p, a->bytes);
    return nb_fail(err, "cannot map %zu bytes at %#zx: %s", a->bytes, (size_t)ARENA,
                   p == MAP_FAILED ? strerror(why) : "something else lies there");
}

static void fill(const struct arena *a, const struct nb_cell *c, uint64_t seed)
{
    double *wide = malloc(c->hidden * sizeof *wide);
    NB_ASSERT(wide != NULL);
    nb_input_stream_copy(c->dtype, seed, 0, a->x, nb_cell_second_in(c) / nb_dtype_bytes(c->dtype) + c->rows * c->ldx);
    if (c->in_place)
        nb_input_gamma_in_place(seed, wide, c->hidden);
    else
        nb_input_gamma(c->param_dtype, seed, wide, c->hidden);
    nb_encode(c->param_dtype, wide, a->gamma, c->hidden);
    if (c->in_place)
        nb_input_beta_in_place(wide, c->hidden);
    else
        nb_input_beta(c->param_dtype, seed, wide, c->hidden);
    nb_encode(c->param_dtype, wide, a->beta, c->hidden);
    nb_input_running_stored(c->dtype, seed, a->run_mean, a->run_var, c->hidden);
    free(wide);
}

struct stored {
    const struct arena *a;
    const struct nb_cell *c;
};

static void stored_row(void *context, size_t row, double *x)
{
    const struct stored *s = context;
    nb_decode(s->c->dtype, s->a->x + row * s->c->ldx * nb_dtype_bytes(s->c->dtype), x, s->c->hidden);
}

/* What a pass backward is given. */
static void fill_saved(const struct arena *a, const struct nb_cell *c, const struct nb_kernel *k)
{
    const struct nb_problem p = nb_cell_problem(c, k);
    struct stored from = {a, c};
    if (c->dir == NB_BWD && nb_op_facts(k->op)->norm)
        nb_saved_all(&p, stored_row, &from, a->mean, a->rstd);
}

/* ---- the call ---- */

struct region {
    const struct nb_kernel *kernel;
    struct nb_problem problem;
    const void *state; /* NULL: the problem */
    struct nb_args args;
    const char *tag;
};

static void do_nothing(const void *state, const struct nb_args *args)
{
    (void)state;
    (void)args;
}

/* What stands between the two requests besides the call is taken away with the call that does nothing. */
static __attribute__((noinline)) void counted_call(const struct nb_kernel *k, const void *state,
                                                   const struct nb_args *args)
{
    CALLGRIND_TOGGLE_COLLECT;
    k->run(state, args);
    if (k->reduce != NULL)
        k->reduce(state, args);
    CALLGRIND_TOGGLE_COLLECT;
}

static void *call_twice(void *context)
{
    const struct region r = *(const struct region *)context; /* what the kernel reads lies on this stack */
    const void *state = r.state != NULL ? r.state : &r.problem;
    CALLGRIND_START_INSTRUMENTATION;
    counted_call(r.kernel, state, &r.args);
    CALLGRIND_ZERO_STATS;
    counted_call(r.kernel, state, &r.args);
    CALLGRIND_DUMP_STATS_AT(r.tag);
    CALLGRIND_STOP_INSTRUMENTATION;
    return NULL;
}

/* The stack that a process begins with lies where its environment lets it. */
static enum nb_status on_own_stack(struct region *r, char *stack, struct nb_err *err)
{
    pthread_attr_t attributes;
    pthread_t thread;
    NB_ASSERT(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, STACK) == 0);
    const int wrong = pthread_create(&thread, &attributes, call_twice, r);
    pthread_attr_destroy(&attributes);
    if (wrong != 0)
        return nb_fail(err, "cannot start a thread: %s", strerror(wrong));
    pthread_join(thread, NULL);
    return NB_OK;
}

static enum nb_status count_kernel(const struct nb_cell *cell, const struct nb_kernel *k, const struct arena *a,
                                   const char *tag, struct nb_err *err)
{
    const bool back = cell->dir == NB_BWD, stats = back || cell->stats_out;
    char *const h = nb_kernel_second_out(cell, k) > 0 ? a->h : NULL;
    const struct nb_args args = {.x = a->x, .dy = back ? a->second : NULL,
                                 .residual = !back && cell->fuse != NB_FUSE_NONE ? a->second : NULL, .h = back ? NULL : h,
                                 .y = back ? NULL : a->y, .dx = back ? a->y : NULL, .dres = back ? h : NULL, .gamma = a->gamma, .beta = back ? NULL : a->beta,
                                 .dgamma = back ? a->dgamma : NULL, .dbeta = back ? a->dbeta : NULL,
                                 .dalpha = back ? a->dalpha : NULL,
                                 .mean = stats ? a->mean : NULL, .rstd = stats ? a->rstd : NULL,
                                 .run_mean = a->run_mean, .run_var = a->run_var};
    struct nb_execution e;
    const bool prepared = nb_execution_begin(&e, cell, k, &args, a->scratch);
    enum nb_status s = prepared ? NB_OK : nb_fail(err, "its prepare returned NULL");
    struct region r = {k, e.problem, e.state, e.args, tag};
    r.args.part = 0;
    r.args.scratch = e.scratch_step > 0 ? e.scratch : NULL;
    if (s == NB_OK)
        s = on_own_stack(&r, a->stack, err);
    nb_execution_end(&e);
    return s;
}

enum nb_status nb_region_count(const struct nb_cell *cell, const struct nb_kernel *k, uint64_t seed,
                               const char *tag, struct nb_err *err)
{
    static const struct nb_kernel nothing = {.run = do_nothing};
    struct arena a;
    const struct nb_kernel *own = k != NULL ? k : &nothing;
    const struct nb_problem p = nb_cell_problem(cell, own);
    enum nb_status s = map(&a, cell, nb_scratch_bytes(own, &p, 1), err);
    if (s != NB_OK)
        return s;
    fill(&a, cell, seed);
    fill_saved(&a, cell, own);
    s = count_kernel(cell, own, &a, tag, err);
    munmap((void *)ARENA, a.bytes);
    return s;
}
