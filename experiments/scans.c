/* scans.c: how often a kernel walks over its input, seen and not believed.
 *
 * scans: one row of many pages, all closed. A load from a closed one faults; the handler opens the page and closes the one opened
 *   before the last, so that two are open, as many as a load across a border needs. Faults over pages is how often x was walked
 *   over: 2 for "sum, then write", 3 for "mean, variance, write"; statistic_scans leaves out the walk that writes. Prefetches do
 *   not fault and are not seen. Rows go one at a time: of two at once every alternation would count. */
#define _GNU_SOURCE
#include "call.h"
#include "experiment.h"
#include "sample.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct nb_parameter PARAMETERS[] = {
    {.name = "op", .value = "layernorm,rmsnorm", .says = "norms", .kind = NB_CHOICES,
     .choices = "layernorm rmsnorm prmsnorm l2norm scalenorm dyt"},
    {.name = "pages", .value = "64", .says = "pages that a row fills", .kind = NB_NUMBERS, .least = 8, .most = 4096, .whole = true,
     .single = true},
};

/* The watched tensor, while a kernel runs; a signal handler has no other way to it. */
static struct {
    char *base;
    size_t page, pages;
    volatile size_t faults;
    volatile size_t open[2]; /* the last two pages opened; SIZE_MAX: none */
    struct sigaction before;
} watch;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    const size_t at = (size_t)((char *)info->si_addr - watch.base) / watch.page;
    (void)context;
    if ((char *)info->si_addr < watch.base || at >= watch.pages) { /* a fault of its own: as without us */
        sigaction(signal, &watch.before, NULL);
        return;
    }
    watch.faults++;
    if (watch.open[1] != SIZE_MAX)
        mprotect(watch.base + watch.open[1] * watch.page, watch.page, PROT_NONE);
    watch.open[1] = watch.open[0];
    watch.open[0] = at;
    mprotect(watch.base + at * watch.page, watch.page, PROT_READ);
}

/* Page faults of x, [1][hidden], in one call. */
static size_t count_faults(const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *a, char *x)
{
    struct sigaction mine = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigemptyset(&mine.sa_mask);
    watch.base = x;
    watch.faults = 0;
    watch.open[0] = watch.open[1] = SIZE_MAX;
    NB_ASSERT(sigaction(SIGSEGV, &mine, &watch.before) == 0);
    NB_ASSERT(mprotect(x, watch.page * watch.pages, PROT_NONE) == 0);
    nb_call(k, p, a);
    NB_ASSERT(mprotect(x, watch.page * watch.pages, PROT_READ | PROT_WRITE) == 0);
    NB_ASSERT(sigaction(SIGSEGV, &watch.before, NULL) == 0);
    return watch.faults;
}

/* Forward kernels of the op in f64: one an algorithm, the strongest ISA that runs here, no trick. */
static void one_op(uint32_t op, char *x, char *y, struct nb_observations *o)
{
    const size_t hidden = watch.page * watch.pages / sizeof(double);
    double fewest = INFINITY;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (k->op != op || k != nb_call_find(op, NB_FWD, NB_FUSE_NONE, k->algo, NB_F64, ""))
            continue;
        struct nb_problem p = nb_call_problem(k, 1, hidden, 1e-5);
        p.k = op == NB_OP_PRMSNORM ? hidden / 16 : 0;
        if (k->supports != NULL && k->supports(&p) != NULL)
            continue;
        const double walks = (double)count_faults(k, &p, &(struct nb_args){.x = x, .y = y}, x) / (double)watch.pages;
        fewest = fmin(fewest, walks - 1);
        nb_observe(o, "walks", "", walks, "op=%s algo=%s", nb_op_name(op), k->algo);
        nb_observe(o, "statistic_scans", "", walks - 1, "op=%s algo=%s", nb_op_name(op), k->algo);
        nb_observe(o, "walks_beyond_model", "", walks - k->x_reads, "op=%s algo=%s", nb_op_name(op), k->algo);
    }
    if (isfinite(fewest))
        nb_observe(o, "fewest_scans", "", fewest, "op=%s", nb_op_name(op));
}

static enum nb_status scans(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    watch.page = (size_t)sysconf(_SC_PAGESIZE);
    watch.pages = (size_t)nb_trial_number(t, "pages");
    const size_t bytes = watch.page * watch.pages;
    char *x = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long long state = t->seed;
    if (x == MAP_FAILED)
        return nb_fail(err, "scans: no memory for %zu bytes: %s", 2 * bytes, strerror(errno));
    for (size_t i = 0; i < bytes / sizeof(double); i++)
        ((double *)x)[i] = nb_gauss(&state);
    for (uint32_t op = 0; op < NB_OP_COUNT; op++)
        if (nb_trial_has(t, "op", nb_op_name(op)))
            one_op(op, x, x + bytes, o);
    munmap(x, 2 * bytes);
    return NB_OK;
}

const struct nb_experiment nb_experiment_scans = {
    "scans", "how often a kernel walks over its input, by closing its pages", "walks statistic_scans fewest_scans walks_beyond_model", "op",
    PARAMETERS, sizeof PARAMETERS / sizeof *PARAMETERS, false, {0.1, 0.1, 0.1}, scans};
