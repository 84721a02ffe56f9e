/* mutants.c: normbench with kernels that are wrong on purpose. Each must get its verdict and no time.
 * All are RMSNorm over f32 rows, forward but for one, and right
 * but for what their name says. With NB_SLOW set, the naive RMSNorm of scalar code is right and takes 30 % longer;
 * with NB_SLOW=N, N above 1, N times as long. */
#include "claims.h"
#include "cli.h"
#include "court.h"
#include "fleet.h"
#include "page.h"
#include "nb_kernel.h"
#include "registry.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void (*row_function)(const struct nb_problem *p, const struct nb_args *a, const float *x,
                             float *y);

static float rstd_of(const struct nb_problem *p, const float *x, size_t n, double eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return (float)(1 / sqrt(sum / (double)p->hidden + eps));
}

static void apply(const struct nb_problem *p, const struct nb_args *a, const float *x, float *y,
                  float rstd)
{
    const float *gamma = a->gamma;
    for (size_t i = 0; i < p->hidden; i++)
        y[i] = x[i] * rstd * (gamma ? gamma[i] : 1.0f);
}

static void rows(const void *state, const struct nb_args *a, row_function f)
{
    const struct nb_problem *p = state;
    for (size_t r = p->rows * a->part / a->parts; r < p->rows * (a->part + 1) / a->parts; r++)
        f(p, a, (const float *)a->x + r * p->ldx, (float *)a->y + r * p->ldy);
}

static void right(const struct nb_problem *p, const struct nb_args *a, const float *x, float *y)
{
    apply(p, a, x, y, rstd_of(p, x, p->hidden, p->eps));
}

static void last_element_skipped(const struct nb_problem *p, const struct nb_args *a,
                                 const float *x, float *y)
{
    apply(p, a, x, y, rstd_of(p, x, p->hidden - 1, p->eps));
}

static void eps_dropped(const struct nb_problem *p, const struct nb_args *a, const float *x,
                        float *y)
{
    apply(p, a, x, y, rstd_of(p, x, p->hidden, 0));
}

static void zeros(const struct nb_problem *p, const struct nb_args *a, const float *x, float *y)
{
    (void)a;
    (void)x;
    memset(y, 0, p->hidden * sizeof *y);
}

static void writes_behind(const struct nb_problem *p, const struct nb_args *a, const float *x,
                          float *y)
{
    right(p, a, x, y);
    if (p->ldy > p->hidden) /* into the gap between rows, not into the next row */
        y[p->hidden] = 0;
}

static void leaves_unwritten(const struct nb_problem *p, const struct nb_args *a, const float *x,
                             float *y)
{
    const float kept = y[p->hidden - 1];
    right(p, a, x, y);
    y[p->hidden - 1] = kept;
}

static void not_a_number(const struct nb_problem *p, const struct nb_args *a, const float *x,
                         float *y)
{
    right(p, a, x, y);
    y[p->hidden / 2] = NAN;
}

static void random_bits(const struct nb_problem *p, const struct nb_args *a, const float *x,
                        float *y)
{
    static unsigned calls;
    right(p, a, x, y);
    if (calls++ % 3 == 0)
        y[0] = nextafterf(y[0], 2 * y[0] + 1);
}

static void changes_input(const struct nb_problem *p, const struct nb_args *a, const float *x,
                          float *y)
{
    right(p, a, x, y);
    ((float *)(uintptr_t)x)[0] += 1;
}

static void crashes(const struct nb_problem *p, const struct nb_args *a, const float *x, float *y)
{
    right(p, a, x, y);
    abort();
}

static void hangs(const struct nb_problem *p, const struct nb_args *a, const float *x, float *y)
{
    right(p, a, x, y);
    for (;;)
        pause();
}

/* Fine for as long as a check takes, so that it is caught only while it is timed. */
enum { CHECK_CALLS = 60 }; /* more than any check here makes */
static unsigned long long calls_of_run;

/* NB_MUTANTS_CALM: they stay as they are in their check. Two builds of a gate differ by it. */
static bool is_calm(void)
{
    static int calm = -1;
    if (calm < 0)
        calm = getenv("NB_MUTANTS_CALM") != NULL;
    return calm;
}

static bool is_late(void)
{
    return calls_of_run > CHECK_CALLS && !is_calm();
}

static void works_twice(const struct nb_problem *p, const struct nb_args *a, const float *x, float *y)
{
    right(p, a, x, y);
    if (is_late())
        right(p, a, x, y);
}

static void crashes_late(const struct nb_problem *p, const struct nb_args *a, const float *x,
                         float *y)
{
    right(p, a, x, y);
    if (is_late())
        abort();
}

static void hangs_late(const struct nb_problem *p, const struct nb_args *a, const float *x, float *y)
{
    right(p, a, x, y);
    while (is_late())
        pause();
}

static void wrong_late(const struct nb_problem *p, const struct nb_args *a, const float *x,
                       float *y)
{
    right(p, a, x, y);
    if (is_late())
        y[0] = 0;
}

/* Damage that is done to what all share: the others must not be blamed for it. */
static void corrupts_late(const struct nb_problem *p, const struct nb_args *a, const float *x,
                          float *y)
{
    right(p, a, x, y);
    if (is_late() && x == a->x)
        ((float *)(uintptr_t)x)[0] += 1;
}

static void overruns_late(const struct nb_problem *p, const struct nb_args *a, const float *x,
                          float *y)
{
    right(p, a, x, y);
    if (is_late() && x == (const float *)a->x + (p->rows - 1) * p->ldx)
        y[p->hidden] = 0;
}

/* Once only: no pass that follows repeats it. */
static void corrupts_once(const struct nb_problem *p, const struct nb_args *a, const float *x,
                          float *y)
{
    static unsigned own_calls;
    right(p, a, x, y);
    if (x == a->x && own_calls++ == 200)
        ((float *)(uintptr_t)x)[0] += 1;
}

/* Right where the first call was; elsewhere it does nothing, in no time. */
static void idle_elsewhere(const struct nb_problem *p, const struct nb_args *a, const float *x,
                           float *y)
{
    static const void *first;
    if (first == NULL)
        first = a->y;
    if (!is_late() || a->y == first)
        right(p, a, x, y);
}

/* Backward: the statistics that all kernels are given, once it is late. */
static const struct nb_kernel *right_backward(void)
{
    return nb_kernel_find("rmsnorm_bwd_twopass__f32_scalar");
}

static size_t backward_bytes(const struct nb_problem *p, uint32_t parts)
{
    return right_backward()->scratch_bytes(p, parts);
}

static void run_saved_late(const void *state, const struct nb_args *a)
{
    calls_of_run++;
    right_backward()->run(state, a);
    if (is_late())
        ((float *)a->rstd)[0] *= 2;
}

static void reduce_saved_late(const void *state, const struct nb_args *a)
{
    right_backward()->reduce(state, a);
}

#define MUTANT(name) \
    static void run_##name(const void *state, const struct nb_args *a) \
    { \
        calls_of_run++; \
        rows(state, a, name); \
    }
#define ENTRY(f) \
    {.size = sizeof(struct nb_kernel), .op = NB_OP_RMSNORM, .dir = NB_FWD, \
     .fuse = NB_FUSE_NONE, .dtype = NB_F32, .name = "rmsnorm_fwd_" #f "__f32_mutant", \
     .algo = #f, .isa = "mutant", .trick = "", .source = "none", .x_reads = 2, \
     .bound = {NB_BOUND_RMS, 1, 0, 4, 1, 0}, .flops = 4, .run = run_##f},
#define MUTANTS(X) \
    X(right) X(last_element_skipped) X(eps_dropped) X(zeros) X(writes_behind) \
    X(leaves_unwritten) X(not_a_number) X(random_bits) X(changes_input) X(crashes) X(hangs) \
    X(crashes_late) X(hangs_late) X(wrong_late) X(corrupts_late) X(overruns_late) X(corrupts_once) \
    X(idle_elsewhere) X(works_twice)

MUTANTS(MUTANT)
static const struct nb_kernel kernels[] = {
    MUTANTS(ENTRY){.size = sizeof(struct nb_kernel), .op = NB_OP_RMSNORM, .dir = NB_BWD, .dtype = NB_F32,
                   .name = "rmsnorm_bwd_saved_late__f32_mutant", .algo = "saved_late", .isa = "mutant", .trick = "",
                   .source = "none", .x_reads = 2, .bound = {NB_BOUND_GRADIENT, 0, 1, 12, 1, 0}, .flops = 11,
                   .scratch_bytes = backward_bytes, .run = run_saved_late, .reduce = reduce_saved_late}};
static const struct nb_kernel_table table = {NB_KERNEL_ABI, sizeof kernels / sizeof *kernels,
                                             kernels};

/* ---- a right kernel that is slow ---- */

static void (*not_slowed)(const void *state, const struct nb_args *a);

/* All rows, then three in ten of them, or all N - 1 times, again, but where their x is no more. */
static int times;
static void run_slowed(const void *state, const struct nb_args *a)
{
    struct nb_problem some = *(const struct nb_problem *)state;
    some.rows = some.rows * 3 / 10;
    not_slowed(state, a);
    for (int i = 1; a->x != a->y && i < times; i++)
        not_slowed(state, a);
    if (a->x != a->y && times <= 1)
        not_slowed(&some, a);
}

/* Descriptors are constant data: their page is made writable for once. */
static void slow_down(void)
{
    const struct nb_kernel *k = nb_kernel_find("rmsnorm_fwd_naive__f32_scalar");
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)&k->run / page * page;
    if (mprotect((void *)first, page, PROT_READ | PROT_WRITE) != 0)
        abort();
    struct nb_kernel *writable = (struct nb_kernel *)(uintptr_t)k;
    times = atoi(getenv("NB_SLOW"));
    not_slowed = k->run;
    writable->run = run_slowed;
    if (mprotect((void *)first, page, PROT_READ) != 0)
        abort();
}

/* ---- a measurement that cannot be ---- */

static enum nb_status wrong_block(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    (void)err;
    const double beyond = nb_trial_number(t, "beyond");
    nb_observe_interval(o, "beyond_amdahl", "", beyond, beyond - 0.01, beyond + 0.01, 0.005, 9, "processes", "block=planted");
    return NB_OK;
}

static const struct nb_parameter WRONG_BLOCK[] = {{.name = "beyond", .value = "0.3", .says = "by so much", .kind = NB_NUMBERS, .least = -1, .most = 1}};
static const struct nb_experiment experiment_wrong_block = {
    "wrong_block", "a block that saves more than its norm takes", "beyond_amdahl", "", WRONG_BLOCK, 1, true, {1, 1, 1}, wrong_block};

int main(int argc, char **argv)
{
    if (getenv("NB_SLOW") != NULL)
        slow_down();
    nb_registry_add(&table, NB_OURS);
    nb_court_add(&experiment_wrong_block);
    nb_court_register();
    nb_fleet_register();
    nb_page_register();
    return nb_main(argc, argv);
}
