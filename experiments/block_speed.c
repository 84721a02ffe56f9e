/* block_speed.c: how much of a whole block's time norms are, and how much of it another norm saves.
 *
 * block_speed: processes one after the other, each with places in memory of its own (block.h); in each, rounds in which every norm
 *   in every class runs once over the same weights, in the orders of a Williams square, so that each follows each other one
 *   equally often. Without a norm the block runs twice, as if it were two norms: what these two differ by in the median of the
 *   processes is the noise floor of all that is relative to a block. A process gives the median of each ratio (block_ratios.h),
 *   and intervals are over processes.
 *
 * A process with one thread is bound to the core where it begins. In norms is what the clock says before and after each; what
 * reading it twice takes is taken off. Norms and loops run in one thread whatever OpenBLAS does. Weights are not updated: training is
 * forward and backward. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "block.h"
#include "block_ratios.h"
#include "experiment.h"
#include "stats.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct nb_parameter BLOCK_SPEED[] = {
    {.name = "block", .value = "transformer", .says = "what stands around the norms", .kind = NB_CHOICES, .choices = "transformer gru"},
    {.name = "ffn", .value = "gelu", .says = "activation of the transformer's FFN", .kind = NB_CHOICES, .choices = "gelu swiglu"},
    {.name = "d", .value = "auto", .says = "length of a row; auto: 512 of a gru; of a transformer 768, from usual effort on 2048, too, in full 4096, too",
     .kind = NB_CHOICES, .choices = "auto 64 128 256 512 768 1024 1536 2048 3072 4096"},
    {.name = "tokens", .value = "16", .says = "rows of the transformer: one sequence", .kind = NB_NUMBERS, .least = 1, .most = 4096,
     .whole = true},
    {.name = "batch", .value = "1,32", .says = "rows of the gru", .kind = NB_NUMBERS, .least = 1, .most = 4096, .whole = true},
    {.name = "norms", .value = "rmsnorm,prmsnorm", .says = "norms beside layernorm and none, which always run", .kind = NB_CHOICES,
     .choices = "layernorm rmsnorm prmsnorm"},
    {.name = "class", .value = "tuned", .says = "how well norms are written", .kind = NB_CHOICES, .choices = "unfused naive tuned"},
    {.name = "step", .value = "forward", .says = "training: forward and backward, without the update", .kind = NB_CHOICES,
     .choices = "forward training"},
    {.name = "threads", .value = "1", .says = "threads of OpenBLAS; norms have one", .kind = NB_NUMBERS, .least = 1, .most = 256,
     .whole = true, .single = true},
    {.name = "processes", .value = "0", .says = "processes that the intervals are over; 0: 7, 9 or 11 by effort", .kind = NB_NUMBERS,
     .least = 0, .most = 99, .whole = true, .single = true},
    {.name = "patience", .value = "120", .says = "seconds beyond ten times its own after which a process is ended", .kind = NB_NUMBERS,
     .least = 0, .most = 1e5, .single = true},
};

enum { CELLS = 256, PROCESSES = 99, ROUNDS_LEAST = 4, ROUNDS_MOST = 400, CLOCK_READS = 501 };

/* What is timed in processes of its own. */
struct cell {
    struct nb_shape shape;
    int threads;
    const struct nb_variant *variants;
    size_t count; /* of them */
    double seconds; /* of one process */
    unsigned long long seed;
};

/* What a process sends back. */
struct answer {
    char why_not[128]; /* "": it could */
    bool once;         /* another run may */
    struct nb_ratios ratios[NB_VARIANTS];
    double twin;
};

/* ---- in a process of its own ---- */

static double clock_cost(void)
{
    double v[CLOCK_READS];
    for (size_t i = 0; i < CLOCK_READS; i++) {
        const uint64_t begin = nb_now();
        v[i] = (double)(nb_now() - begin);
    }
    return nb_median(v, CLOCK_READS);
}

static void one_step(struct nb_block *b, struct nb_norms *norms, double clock_ns, double *block_ns, double *norm_ns)
{
    const size_t calls = b->places * (b->shape.training ? 2 : 1);
    norms->ns = 0;
    const uint64_t begin = nb_now();
    nb_block_forward(b, norms);
    if (b->shape.training)
        nb_block_backward(b, norms);
    *block_ns = (double)(nb_now() - begin) - clock_ns;
    *norm_ns = (double)norms->ns - (double)calls * clock_ns;
}

/* Rounds until the time is over; the first one is for the caches and not kept. The square is of even order: an odd one has a
 * variant that does nothing. */
static size_t measure(const struct cell *c, struct nb_block *b, struct nb_norms *norms, struct nb_round *rounds)
{
    const double clock_ns = clock_cost();
    const uint64_t begin = nb_now();
    const size_t order_of = c->count + c->count % 2;
    unsigned order[NB_VARIANTS];
    struct nb_round warm;
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++)
        one_step(b, &norms[i], clock_ns, &warm.block_ns[i], &warm.norm_ns[i]);
    for (; n < ROUNDS_MOST && (n < ROUNDS_LEAST || (double)(nb_now() - begin) < c->seconds * 1e9); n++) {
        nb_williams_row(order_of, n, c->seed, order);
        for (size_t i = 0; i < order_of; i++)
            if (order[i] < c->count)
                one_step(b, &norms[order[i]], clock_ns, &rounds[n].block_ns[order[i]], &rounds[n].norm_ns[order[i]]);
    }
    return n;
}

static void answer_to(const struct cell *c, struct answer *a)
{
    struct nb_err err = {""};
    struct nb_block b = {.arrays = 0};
    struct nb_norms norms[NB_VARIANTS] = {{.none = true}};
    nb_gemm *gemm = nb_openblas(c->threads, &err);
    struct nb_round *rounds = malloc(ROUNDS_MOST * sizeof *rounds);
    bool can = gemm != NULL;
    snprintf(a->why_not, sizeof a->why_not, "%.*s", (int)sizeof a->why_not - 1, err.text);
    if (can && (rounds == NULL || !nb_block_make(&b, &c->shape, gemm, c->seed))) {
        snprintf(a->why_not, sizeof a->why_not, "not enough memory");
        a->once = true;
        can = false;
    }
    for (size_t i = 0; can && i < c->count; i++)
        if (!nb_norms_make(&norms[i], &b, c->variants[i].none, c->variants[i].op, (enum nb_class)c->variants[i].class_of)) {
            snprintf(a->why_not, sizeof a->why_not, "%s: no kernel of class %s", nb_op_name(c->variants[i].op),
                     nb_block_class_name((enum nb_class)c->variants[i].class_of));
            can = false;
        }
    if (can)
        nb_block_ratios(rounds, measure(c, &b, norms, rounds), c->variants, c->count, a->ratios, &a->twin);
    for (size_t i = 0; i < NB_VARIANTS; i++)
        nb_norms_free(&norms[i]);
    nb_block_close(&b);
    free(rounds);
}

/* One thread stays where it begins: what it has in the caches of that core stays, too. */
static void stay(const struct cell *c)
{
    cpu_set_t here;
    const int cpu = sched_getcpu();
    if (c->threads != 1 || cpu < 0 || cpu >= CPU_SETSIZE)
        return;
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    (void)sched_setaffinity(0, sizeof here, &here); /* without it the system may move it, as ever */
}

static void child(const struct cell *c, int to)
{
    struct answer a = {.twin = NAN};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    stay(c);
    answer_to(c, &a);
    const char *p = (const char *)&a;
    for (size_t left = sizeof a; left > 0;) {
        const ssize_t n = write(to, p, left);
        if (n < 0 && errno != EINTR)
            _exit(1);
        if (n > 0) {
            p += n;
            left -= (size_t)n;
        }
    }
    _exit(0);
}

/* ---- its parent ---- */

/* All of an answer, or less where the process ended before or took longer than limit_s; looks up every tenth of a second whether to
 * stop. */
static size_t receive(const struct nb_trial *t, int from, double limit_s, struct answer *a)
{
    size_t got = 0;
    struct pollfd p = {.fd = from, .events = POLLIN};
    const uint64_t begin = nb_now();
    while (got < sizeof *a && !nb_trial_stopped(t) && (double)(nb_now() - begin) < limit_s * 1e9) {
        if (poll(&p, 1, 100) <= 0)
            continue;
        const ssize_t n = read(from, (char *)a + got, sizeof *a - got);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    return got;
}

static enum nb_status ask(const struct nb_trial *t, const struct cell *c, struct answer *a, struct nb_err *err)
{
    int ends[2], status = 0;
    if (pipe(ends) != 0)
        return nb_fail(err, "pipe: %s", strerror(errno));
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(c, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return nb_fail(err, "fork: %s", strerror(errno));
    }
    *a = (struct answer){.twin = NAN};
    const double limit_s = 10 * c->seconds + nb_trial_number(t, "patience");
    const uint64_t begin = nb_now();
    const bool whole = receive(t, ends[0], limit_s, a) == sizeof *a, late = (double)(nb_now() - begin) >= limit_s * 1e9;
    close(ends[0]);
    if (!whole)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (nb_trial_stopped(t))
        return NB_INTERRUPTED;
    if (!whole) {
        a->once = true;
        if (late)
            snprintf(a->why_not, sizeof a->why_not, "the process took longer than %.3g s and was ended", limit_s);
        else
            snprintf(a->why_not, sizeof a->why_not, "the process ended before its time (%s %d)", WIFSIGNALED(status) ? "signal" : "exit",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return NB_OK;
}

/* ---- observations ---- */

struct quantity {
    const char *name, *unit;
    size_t at;        /* in struct nb_ratios */
    bool of_a_block;  /* relative to a block's time by difference: the twins are its noise */
};
static const struct quantity QUANTITIES[] = {
    {"saved_time", "", offsetof(struct nb_ratios, saved), true},
    {"saved_against_tuned_layernorm", "", offsetof(struct nb_ratios, saved_tuned), true},
    {"share_in_situ", "", offsetof(struct nb_ratios, in_situ), false},
    {"share_by_difference", "", offsetof(struct nb_ratios, by_difference), true},
    {"amdahl_bound", "", offsetof(struct nb_ratios, amdahl), false},
    {"beyond_amdahl", "", offsetof(struct nb_ratios, beyond), true},
    {"shares_disagree", "", offsetof(struct nb_ratios, disagree), true},
    {"block_ns", "ns", offsetof(struct nb_ratios, block_ns), false},
};

static void where_of(const struct cell *c, const struct nb_variant *v, char *where, size_t size)
{
    const struct nb_shape *s = &c->shape;
    const int n = snprintf(where, size, "block=%s ffn=%s d=%zu tokens=%zu batch=%zu step=%s class=%s norm=%s threads=%d",
                           s->gru ? "gru" : "transformer", s->gru ? "none" : s->swiglu ? "swiglu" : "gelu", s->d, s->gru ? 1 : s->rows,
                           s->gru ? s->rows : 1, s->training ? "training" : "forward",
                           v->none ? "none" : nb_block_class_name((enum nb_class)v->class_of), v->none ? "none" : nb_op_name(v->op),
                           c->threads);
    NB_ASSERT(n > 0 && (size_t)n < size);
}

/* Whether the quantity exists for a variant at all: of layernorm nothing is saved against itself. */
static bool exists(const struct cell *c, const struct quantity *q, const struct nb_variant *v)
{
    const bool ln = !v->none && v->op == NB_OP_LAYERNORM;
    bool tuned = false;
    for (size_t i = 0; i < c->count; i++)
        tuned = tuned || (!c->variants[i].none && c->variants[i].class_of == NB_TUNED);
    if (q->at == offsetof(struct nb_ratios, block_ns))
        return true;
    if (q->at == offsetof(struct nb_ratios, in_situ) || q->at == offsetof(struct nb_ratios, by_difference) ||
        q->at == offsetof(struct nb_ratios, disagree))
        return !v->none;
    if (q->at == offsetof(struct nb_ratios, saved_tuned))
        return tuned && !v->none && !(ln && v->class_of == NB_TUNED);
    return !v->none && !ln;
}

static void observe_one(const struct cell *c, const struct quantity *q, size_t v, const struct answer *a, size_t n, double noise,
                        struct nb_observations *o)
{
    double values[PROCESSES];
    char where[sizeof o->v->where];
    where_of(c, &c->variants[v], where, sizeof where);
    if (a[n - 1].why_not[0] != '\0') {
        nb_observe_missing(o, q->name, q->unit, a[n - 1].why_not, a[n - 1].once, "%s", where);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(&values[i], (const char *)&a[i].ratios[v] + q->at, sizeof *values);
    nb_observe_median(o, q->name, q->unit, values, n, "processes", "%s", where);
    if (q->of_a_block)
        o->v[o->n - 1].noise = noise;
}

static double noise_of(const struct answer *a, size_t n)
{
    double twins[PROCESSES];
    for (size_t i = 0; i < n; i++)
        twins[i] = a[i].twin;
    return nb_block_noise(twins, n);
}

static void observe(const struct cell *c, const struct answer *a, size_t n, struct nb_observations *o)
{
    const double noise = a[n - 1].why_not[0] != '\0' ? NAN : noise_of(a, n);
    for (size_t q = 0; q < sizeof QUANTITIES / sizeof *QUANTITIES; q++)
        for (size_t v = 0; v < c->count; v++)
            if (v != 1 && exists(c, &QUANTITIES[q], &c->variants[v])) /* 1: the twin of 0 */
                observe_one(c, &QUANTITIES[q], v, a, n, noise, o);
}

/* ---- what is to be run ---- */

static size_t variants_of(const struct nb_trial *t, struct nb_variant *v)
{
    static const uint32_t ops[] = {NB_OP_LAYERNORM, NB_OP_RMSNORM, NB_OP_PRMSNORM};
    size_t n = 2;
    v[0] = v[1] = (struct nb_variant){.none = true};
    for (uint32_t c = 0; c < NB_CLASSES; c++)
        for (size_t i = 0; nb_trial_has(t, "class", nb_block_class_name((enum nb_class)c)) && i < 3; i++)
            if (ops[i] == NB_OP_LAYERNORM || nb_trial_has(t, "norms", nb_op_name(ops[i])))
                v[n++] = (struct nb_variant){false, ops[i], c};
    return n;
}

static size_t lengths_of(const struct nb_trial *t, bool gru, size_t *d)
{
    static const size_t by_itself[] = {768, 2048, 4096};
    size_t n = 0;
    for (size_t i = 0; nb_trial_has(t, "d", "auto") && i <= (gru ? 0 : (size_t)t->effort); i++)
        d[n++] = gru ? 512 : by_itself[i];
    double asked[NB_NUMBERS_MAX];
    const size_t words = nb_trial_numbers(t, "d", asked);
    for (size_t i = 0; i < words; i++)
        if (asked[i] > 0) /* auto reads as 0 */
            d[n++] = (size_t)asked[i];
    return n;
}

static void add_cells(const struct nb_trial *t, bool gru, bool swiglu, struct cell *cells, size_t *n)
{
    size_t d[NB_NUMBERS_MAX + 3];
    double rows[NB_NUMBERS_MAX];
    const size_t ds = lengths_of(t, gru, d), rs = nb_trial_numbers(t, gru ? "batch" : "tokens", rows);
    static const char *const steps[] = {"forward", "training"};
    for (size_t step = 0; step < 2; step++)
        for (size_t i = 0; nb_trial_has(t, "step", steps[step]) && i < ds * rs; i++, ++*n)
            if (*n < CELLS)
                cells[*n] = (struct cell){.shape = {gru, swiglu, step == 1, d[i / rs], (size_t)rows[i % rs]},
                                          .threads = (int)nb_trial_number(t, "threads")};
}

/* How many; more than CELLS, of which no more than CELLS are written. */
static size_t cells_of(const struct nb_trial *t, struct cell *cells)
{
    size_t n = 0;
    for (int gru = 0; gru < 2; gru++)
        for (int swiglu = 0; nb_trial_has(t, "block", gru ? "gru" : "transformer") && swiglu < 2 - gru; swiglu++)
            if (gru || nb_trial_has(t, "ffn", swiglu ? "swiglu" : "gelu"))
                add_cells(t, gru, swiglu, cells, &n);
    return n;
}

/* Time of a round, about: weights are read, products made. */
static double cost(const struct cell *c)
{
    const double share = c->shape.training ? 3 : 1;
    return share * nb_block_bytes(&c->shape) * (1 + (double)c->shape.rows / 16);
}

static size_t processes_of(const struct nb_trial *t)
{
    static const size_t by_effort[] = {7, 9, 11};
    const size_t asked = (size_t)nb_trial_number(t, "processes");
    return asked > 0 ? asked : by_effort[t->effort];
}

static bool too_large(const struct cell *c)
{
    return nb_block_bytes(&c->shape) > 0.5 * (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

static enum nb_status run_cell(const struct nb_trial *t, struct cell *c, size_t processes, struct nb_observations *o,
                               struct nb_err *err)
{
    struct answer *a = calloc(processes, sizeof *a);
    enum nb_status s = NB_OK;
    size_t n = 0;
    NB_ASSERT(a != NULL);
    if (too_large(c))
        snprintf(a[n++].why_not, sizeof a->why_not, "takes %.1f GB, more than half of this machine's memory",
                 nb_block_bytes(&c->shape) / 1e9);
    while (s == NB_OK && n < processes && (n == 0 || a[n - 1].why_not[0] == '\0')) {
        c->seed = t->seed + n;
        s = ask(t, c, &a[n], err);
        n += s == NB_OK;
    }
    if (s == NB_OK)
        observe(c, a, n, o);
    free(a);
    return s;
}

static enum nb_status block_speed(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const double by_effort[] = {15, 60, 300};
    struct cell cells[CELLS];
    struct nb_variant variants[NB_VARIANTS];
    const size_t count = variants_of(t, variants), n = cells_of(t, cells), processes = processes_of(t);
    const double budget = t->budget_s > 0 ? t->budget_s : by_effort[t->effort];
    double all = 0, done = 0;
    enum nb_status s = NB_OK;
    if (n > CELLS)
        return nb_fail(err, "block_speed: %zu blocks by ffn, d, tokens, batch and step; at most %d: ask for fewer", n, CELLS);
    for (size_t i = 0; i < n; i++)
        all += cost(&cells[i]);
    for (size_t i = 0; s == NB_OK && i < n; i++) {
        char where[200];
        cells[i].variants = variants;
        cells[i].count = count;
        cells[i].seconds = budget * (0.3 / (double)n + 0.7 * cost(&cells[i]) / all) / (double)processes; /* short ones get some, too */
        where_of(&cells[i], &variants[0], where, sizeof where);
        nb_trial_progress(t, done / all, where);
        s = run_cell(t, &cells[i], processes, o, err);
        done += cost(&cells[i]);
    }
    return s;
}

const struct nb_experiment nb_experiment_block_speed = {
    "block_speed", "share of norms in the time of a whole block, and what another norm saves of it",
    "saved_time saved_against_tuned_layernorm share_in_situ share_by_difference amdahl_bound beyond_amdahl shares_disagree block_ns", "block norms",
    BLOCK_SPEED, sizeof BLOCK_SPEED / sizeof *BLOCK_SPEED, true, {15, 60, 300}, block_speed};
