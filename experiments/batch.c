/* batch.c: what a row's result owes to other rows.
 *
 * batch_mates: a row among other rows, and the same row among others again: the root mean square of what its outputs change by, in
 *   f64 without gamma and beta, so that an output is about 1 in size. Median of SEEDS.
 * batch_statistics: how much the statistics of a norm fluctuate: those of BatchNorm, of one channel over a batch of tokens, from
 *   batch to batch, and those of LayerNorm, of one token over its channels, from token to token. Deviations as spread of
 *   their logarithms, means as spread over the typical deviation, both by Shamos's estimate (nb_spread), which tails do
 *   not take over. The kernels' own mean and rstd, f64, eps 0. Tokens are synthetic: gauss, N(0,1) throughout; heavy_elements, every
 *   element Student's t of 3 degrees of freedom; heavy_tokens, a token's elements normal about 0 with one size for the token,
 *   which makes each of them such a t.
 * same_bits: share of rows that have the same output, bit for bit, when what should not matter is changed, over all kernels of the
 *   op: alone, the row in a call by itself; mates, in a batch of others; elsewhere, at another place of the batch and of memory;
 *   slices, the call cut as for several threads; training, with the statistics saved. kernel=fixed: all that are one algorithm;
 *   kernel=auto: those that choose one by the shape of the call, and may choose another for fewer rows, which rounds otherwise.
 *   largest_change: how far an output moves at most, over the largest output. */
#include "call.h"
#include "experiment.h"
#include "sample.h"
#include "stats.h"
#include "storage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 9 };
static const char *const OPS[] = {"layernorm", "rmsnorm", "batchnorm"};
enum { OP_COUNT = sizeof OPS / sizeof *OPS };

static const struct nb_kernel *kernel_of(const char *op)
{
    return nb_call_plain((uint32_t)nb_op_parse(op), NB_F64);
}

/* ---- batch_mates ---- */

static double change_of_row(const struct nb_kernel *k, size_t batch, size_t hidden, unsigned long long *state)
{
    const struct nb_problem p = nb_call_problem(k, batch, hidden, 1e-5);
    double *x = nb_sample_room(3 * batch * hidden * sizeof *x), *y = x + batch * hidden, *z = y + batch * hidden, sum = 0;
    nb_sample_gauss(x, batch * hidden, state);
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = y}));
    nb_sample_gauss(x + hidden, (batch - 1) * hidden, state);
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = z}));
    for (size_t i = 0; i < hidden; i++)
        sum += (y[i] - z[i]) * (y[i] - z[i]);
    free(x);
    return sqrt(sum / (double)hidden);
}

static const struct nb_parameter BATCH_MATES[] = {
    {.name = "op", .value = "layernorm,batchnorm", .says = "norms", .kind = NB_CHOICES, .choices = "layernorm rmsnorm batchnorm"},
    {.name = "batch", .value = "2,8,32,128,256", .says = "rows of a batch", .kind = NB_NUMBERS, .least = 2, .most = 4096,
     .whole = true},
    {.name = "hidden", .value = "64", .says = "elements of a row", .kind = NB_NUMBERS, .least = 2, .most = 4096, .whole = true,
     .single = true},
};

static enum nb_status batch_mates(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double batch[NB_NUMBERS_MAX], change[SEEDS];
    const size_t batches = nb_trial_numbers(t, "batch", batch);
    (void)err;
    for (size_t op = 0; op < OP_COUNT; op++)
        for (size_t i = 0; nb_trial_has(t, "op", OPS[op]) && i < batches; i++) {
            unsigned long long state = t->seed;
            for (size_t s = 0; s < SEEDS && !nb_trial_stopped(t); s++)
                change[s] = change_of_row(kernel_of(OPS[op]), (size_t)batch[i], (size_t)nb_trial_number(t, "hidden"), &state);
            if (nb_trial_stopped(t))
                return NB_INTERRUPTED;
            nb_observe_median(o, "change_by_batch_mates", "", change, SEEDS, "seeds", "op=%s batch=%g", OPS[op], batch[i]);
        }
    return NB_OK;
}

/* ---- batch_statistics ---- */

enum { TOKENS = 120, LAYER = 512, BATCHES = 40, CHANNELS = 5 };
static const char *const DATA[] = {"gauss", "heavy_elements", "heavy_tokens"};

/* v [tokens][n] */
static void draw_tokens(size_t data, double *v, size_t tokens, size_t n, unsigned long long *state)
{
    nb_sample_gauss(v, tokens * n, state);
    for (size_t r = 0; r < tokens; r++) {
        const double size = data == 2 ? nb_sample_heavy(state) : 1;
        for (size_t i = 0; i < n; i++)
            v[r * n + i] *= data == 1 ? nb_sample_heavy(state) : size;
    }
}

/* How far statistics are spread. */
struct spread {
    double deviation, mean;
};

/* mean, rstd [n]; the deviation is 1/rstd. Overwrites them. */
static struct spread spread_of(double *mean, double *rstd, size_t n)
{
    struct spread s;
    for (size_t i = 0; i < n; i++)
        rstd[i] = -log(rstd[i]);
    s.deviation = nb_spread(rstd, n);
    s.mean = nb_spread(mean, n) / exp(nb_median(rstd, n));
    return s;
}

static struct spread spread_of_layers(size_t data, unsigned long long *state)
{
    const struct nb_kernel *k = kernel_of("layernorm");
    struct nb_problem p = nb_call_problem(k, TOKENS, LAYER, 0);
    double *x = nb_sample_room(TOKENS * LAYER * sizeof *x), mean[TOKENS], rstd[TOKENS];
    p.stats_out = 1;
    draw_tokens(data, x, TOKENS, LAYER, state);
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = x, .mean = mean, .rstd = rstd}));
    free(x);
    return spread_of(mean, rstd, TOKENS);
}

static struct spread spread_of_batches(size_t data, size_t batch, unsigned long long *state)
{
    const struct nb_kernel *k = kernel_of("batchnorm");
    struct nb_problem p = nb_call_problem(k, batch, CHANNELS, 0);
    double *x = nb_sample_room(batch * CHANNELS * sizeof *x), mean[BATCHES * CHANNELS], rstd[BATCHES * CHANNELS];
    p.stats_out = 1;
    for (size_t b = 0; b < BATCHES; b++) {
        draw_tokens(data, x, batch, CHANNELS, state);
        NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = x, .mean = mean + b * CHANNELS, .rstd = rstd + b * CHANNELS}));
    }
    free(x);
    return spread_of(mean, rstd, BATCHES * CHANNELS);
}

/* [SEEDS] each: of the batch, of the layer, and the first over the second. */
struct fluctuation {
    double batch[SEEDS], layer[SEEDS], ratio[SEEDS];
};

static void put(struct fluctuation *f, size_t s, double batch, double layer)
{
    f->batch[s] = batch;
    f->layer[s] = layer;
    f->ratio[s] = batch / layer;
}

static void say(struct fluctuation *f, const char *statistic, size_t data, double batch, struct nb_observations *o)
{
    static const char where[] = "data=%s batch=%g statistic=%s";
    nb_observe_median(o, "batch_fluctuation", "", f->batch, SEEDS, "seeds", where, DATA[data], batch, statistic);
    nb_observe_median(o, "layer_fluctuation", "", f->layer, SEEDS, "seeds", where, DATA[data], batch, statistic);
    nb_observe_median(o, "fluctuation_ratio", "", f->ratio, SEEDS, "seeds", where, DATA[data], batch, statistic);
}

static void one_batch(const struct nb_trial *t, size_t data, double batch, const struct spread *layer, struct nb_observations *o)
{
    struct fluctuation deviation, mean;
    unsigned long long state = t->seed ^ (unsigned long long)batch << 32;
    for (size_t s = 0; s < SEEDS; s++) {
        const struct spread b = spread_of_batches(data, (size_t)batch, &state);
        put(&deviation, s, b.deviation, layer[s].deviation);
        put(&mean, s, b.mean, layer[s].mean);
    }
    say(&deviation, "deviation", data, batch, o);
    say(&mean, "mean", data, batch, o);
}

static const struct nb_parameter BATCH_STATISTICS[] = {
    {.name = "data", .value = "gauss,heavy_elements,heavy_tokens", .says = "synthetic tokens", .kind = NB_CHOICES,
     .choices = "gauss heavy_elements heavy_tokens"},
    {.name = "batch", .value = "2,8,32,256", .says = "tokens of a batch; a token has 512 elements", .kind = NB_NUMBERS, .least = 2,
     .most = 1024, .whole = true},
};

static enum nb_status batch_statistics(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double batch[NB_NUMBERS_MAX];
    const size_t batches = nb_trial_numbers(t, "batch", batch);
    (void)err;
    for (size_t data = 0; data < 3; data++) {
        struct spread layer[SEEDS];
        unsigned long long state = t->seed;
        for (size_t s = 0; nb_trial_has(t, "data", DATA[data]) && s < SEEDS; s++)
            layer[s] = spread_of_layers(data, &state);
        for (size_t i = 0; nb_trial_has(t, "data", DATA[data]) && i < batches; i++) {
            if (nb_trial_stopped(t))
                return NB_INTERRUPTED;
            one_batch(t, data, batch[i], layer, o);
        }
    }
    return NB_OK;
}

/* ---- same_bits ---- */

enum { ROWS = 13, PARTS = 5 };
static const char *const CHANGES[] = {"alone", "mates", "elsewhere", "slices", "training"};
enum change { ALONE, MATES, ELSEWHERE, SLICES, TRAINING, CHANGE_COUNT };

/* One shape in one dtype: x and others [ROWS][n], gamma and beta [n], in storage; a row is `bytes` long. */
struct rows {
    size_t n, bytes;
    const char *x, *others, *gamma, *beta;
    enum change change;
    const struct nb_trial *trial;
    struct tally {
        size_t same, seen;
        double largest;
    } fixed, by_shape;
};

/* As nb_call, in so many parts, each with scratch of its own. */
static void call_in_parts(const struct nb_kernel *k, const struct nb_problem *p, struct nb_args a)
{
    enum { LINE = 64 };
    const size_t want = k->scratch_bytes != NULL ? k->scratch_bytes(p, PARTS) : 0, step = (want + LINE - 1) / LINE * LINE;
    char *scratch = nb_sample_room(PARTS * step);
    a.size = sizeof a;
    a.parts = PARTS;
    a.scratch_step = step;
    a.part = 0;
    a.scratch = scratch;
    void *own = k->prepare != NULL ? k->prepare(p, &a) : NULL;
    NB_ASSERT(k->prepare == NULL || own != NULL);
    for (a.part = 0; a.part < PARTS; a.part++) {
        a.scratch = scratch + a.part * step;
        k->run(own != NULL ? own : p, &a);
    }
    a.scratch = scratch;
    for (a.part = 0; k->reduce != NULL && a.part < PARTS; a.part++)
        k->reduce(own != NULL ? own : p, &a);
    if (k->finish != NULL && own != NULL)
        k->finish(own);
    free(scratch);
}

/* How far two results of a row are apart at most, over the largest of the first. */
static double change_of(uint32_t dtype, const char *y, const char *z, size_t n)
{
    double *was = nb_sample_room(2 * n * sizeof *was), *is = was + n, largest = 0, change = 0;
    nb_from_storage(dtype, y, was, n);
    nb_from_storage(dtype, z, is, n);
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(was[i]));
        change = nb_worse(change, fabs(is[i] - was[i]));
    }
    free(was);
    return change == 0 ? 0 : change / largest;
}

static void count_rows(struct tally *t, const struct nb_kernel *k, const struct rows *s, const char *y, const char *z)
{
    for (size_t r = 0; r < ROWS; r += s->change == MATES ? 2 : 1) {
        const size_t at = r * s->bytes;
        t->seen++;
        t->same += memcmp(y + at, z + at, s->bytes) == 0;
        t->largest = nb_worse(t->largest, change_of(k->dtype, y + at, z + at, s->n));
    }
}

/* Each row by itself. */
static void call_alone(const struct nb_kernel *k, const struct rows *s, struct nb_problem p, struct nb_args a, char *z)
{
    p.rows = 1;
    for (size_t r = 0; r < ROWS; r++) {
        a.x = s->x + r * s->bytes;
        a.y = z + r * s->bytes;
        NB_ASSERT(nb_call(k, &p, &a));
    }
}

/* Every second row among others. */
static void call_with_mates(const struct nb_kernel *k, const struct rows *s, const struct nb_problem *p, struct nb_args a, char *z)
{
    char *x = nb_sample_room(ROWS * s->bytes);
    for (size_t r = 0; r < ROWS; r++)
        memcpy(x + r * s->bytes, (r % 2 == 0 ? s->x : s->others) + r * s->bytes, s->bytes);
    a.x = x;
    a.y = z;
    NB_ASSERT(nb_call(k, p, &a));
    free(x);
}

/* Rows in reverse, an element behind where memory begins, and put back into their order. */
static void call_elsewhere(const struct nb_kernel *k, const struct rows *s, const struct nb_problem *p, struct nb_args a, char *z)
{
    const size_t element = s->bytes / s->n, all = ROWS * s->bytes;
    char *room = nb_sample_room(2 * (all + element)), *x = room + element, *y = x + all + element;
    for (size_t r = 0; r < ROWS; r++)
        memcpy(x + r * s->bytes, s->x + (ROWS - 1 - r) * s->bytes, s->bytes);
    a.x = x;
    a.y = y;
    NB_ASSERT(nb_call(k, p, &a));
    for (size_t r = 0; r < ROWS; r++)
        memcpy(z + r * s->bytes, y + (ROWS - 1 - r) * s->bytes, s->bytes);
    free(room);
}

static void call_and_save(const struct nb_kernel *k, const struct rows *s, struct nb_problem p, struct nb_args a, char *z)
{
    char *saved = nb_sample_room(2 * (ROWS + s->n) * sizeof(double));
    p.stats_out = 1;
    a.y = z;
    a.mean = saved;
    a.rstd = saved + (ROWS + s->n) * sizeof(double);
    NB_ASSERT(nb_call(k, &p, &a));
    free(saved);
}

static void compare_bits(const struct nb_kernel *k, void *context)
{
    struct rows *s = context;
    if (nb_trial_stopped(s->trial))
        return;
    const struct nb_problem p = nb_call_problem(k, ROWS, s->n, 1e-5);
    char *y = nb_sample_room(2 * ROWS * s->bytes), *z = y + ROWS * s->bytes;
    struct nb_args a = {.x = s->x, .gamma = s->gamma, .beta = s->beta, .y = y};
    if (nb_call(k, &p, &a)) {
        a.y = z;
        if (s->change == ALONE)
            call_alone(k, s, p, a, z);
        else if (s->change == MATES)
            call_with_mates(k, s, &p, a, z);
        else if (s->change == ELSEWHERE)
            call_elsewhere(k, s, &p, a, z);
        else if (s->change == SLICES)
            call_in_parts(k, &p, a);
        else
            call_and_save(k, s, p, a, z);
        count_rows(strcmp(k->algo, "auto") == 0 ? &s->by_shape : &s->fixed, k, s, y, z);
    }
    free(y);
}

/* What is changed, of what. */
struct matter {
    uint32_t op, dtype;
    size_t n;
    enum change change;
};

static void say_missing(const struct matter *m, const char *kernel, const char *why, struct nb_observations *o)
{
    static const char *const quantities[] = {"share_of_equal_outputs", "largest_change"};
    for (size_t q = 0; q < 2; q++)
        nb_observe_missing(o, quantities[q], "", why, false, "op=%s change=%s dtype=%s hidden=%zu kernel=%s", nb_op_name(m->op),
                           CHANGES[m->change], nb_dtype_name(m->dtype), m->n, kernel);
}

static void say_tally(const struct matter *m, const struct tally *t, const char *kernel, struct nb_observations *o)
{
    static const char where[] = "op=%s change=%s dtype=%s hidden=%zu kernel=%s";
    const char *op = nb_op_name(m->op), *change = CHANGES[m->change], *dtype = nb_dtype_name(m->dtype);
    if (t->seen == 0)
        return;
    nb_observe(o, "share_of_equal_outputs", "", (double)t->same / (double)t->seen, where, op, change, dtype, m->n, kernel);
    nb_observe(o, "largest_change", "", t->largest, where, op, change, dtype, m->n, kernel);
}

static void one_change(const struct nb_trial *t, const struct matter *m, struct nb_observations *o)
{
    const size_t bytes = m->n * nb_dtype_bytes(m->dtype), all = (2 * ROWS + 2) * m->n;
    double *v = nb_sample_room(all * sizeof *v);
    char *stored = nb_sample_room(all * nb_dtype_bytes(m->dtype));
    struct rows s = {.n = m->n, .bytes = bytes, .x = stored, .others = stored + ROWS * bytes, .gamma = stored + 2 * ROWS * bytes,
                     .beta = stored + (2 * ROWS + 1) * bytes, .change = m->change, .trial = t};
    unsigned long long state = t->seed;
    nb_sample_gauss(v, all, &state);
    nb_to_storage(m->dtype, v, stored, all);
    nb_sample_kernels(m->op, m->dtype, compare_bits, &s);
    free(v);
    free(stored);
    say_tally(m, &s.fixed, "fixed", o);
    say_tally(m, &s.by_shape, "auto", o);
    if (s.fixed.seen == 0)
        say_missing(m, "fixed", "no kernel of this dtype runs here", o);
    if (s.by_shape.seen == 0)
        say_missing(m, "auto", "no kernel that chooses runs here", o);
}

/* BatchNorm takes other statistics in inference: whether it saves those of the batch says nothing of that. */
static void change_or_why_not(const struct nb_trial *t, const struct matter *m, struct nb_observations *o)
{
    if (m->op == NB_OP_BATCHNORM && m->change == TRAINING)
        say_missing(m, "fixed", "inference is another op of this program: batchnorm_infer", o);
    else
        one_change(t, m, o);
}

static const struct nb_parameter SAME_BITS[] = {
    {.name = "op", .value = "layernorm", .says = "norms", .kind = NB_CHOICES, .choices = "layernorm rmsnorm batchnorm"},
    {.name = "change", .value = "alone,mates,elsewhere,slices,training", .says = "what is done otherwise", .kind = NB_CHOICES,
     .choices = "alone mates elsewhere slices training"},
    {.name = "dtype", .value = "f32,f64,f16,bf16", .says = "storage types", .kind = NB_CHOICES, .choices = "f32 f64 f16 bf16"},
    {.name = "hidden", .value = "37,768", .says = "elements of a row", .kind = NB_NUMBERS, .least = 1, .most = 65536, .whole = true},
};

static enum nb_status same_bits(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double n[NB_NUMBERS_MAX];
    const size_t lengths = nb_trial_numbers(t, "hidden", n), all = OP_COUNT * CHANGE_COUNT * NB_DTYPE_COUNT * lengths;
    (void)err;
    for (size_t i = 0; i < all; i++) {
        const char *op = OPS[i / lengths / NB_DTYPE_COUNT / CHANGE_COUNT];
        const struct matter m = {(uint32_t)nb_op_parse(op), (uint32_t)(i / lengths % NB_DTYPE_COUNT), (size_t)n[i % lengths],
                                 (enum change)(i / lengths / NB_DTYPE_COUNT % CHANGE_COUNT)};
        if (nb_trial_has(t, "op", op) && nb_trial_has(t, "change", CHANGES[m.change]) &&
            nb_trial_has(t, "dtype", nb_dtype_name(m.dtype)))
            change_or_why_not(t, &m, o);
        if (nb_trial_stopped(t))
            return NB_INTERRUPTED;
    }
    return NB_OK;
}

const struct nb_experiment nb_experiment_batch_mates = {
    "batch_mates", "how far a row's output moves when the other rows of its batch are exchanged", "change_by_batch_mates", "op",
    NB_TABLE(BATCH_MATES), false, {0.1, 0.1, 0.1}, batch_mates};
const struct nb_experiment nb_experiment_batch_statistics = {
    "batch_statistics", "how much statistics of batches and of layers fluctuate, on synthetic tokens",
    "batch_fluctuation layer_fluctuation fluctuation_ratio", "data batch", NB_TABLE(BATCH_STATISTICS), false, {1, 1, 1},
    batch_statistics};
const struct nb_experiment nb_experiment_same_bits = {
    "same_bits", "rows whose output is the same bit for bit alone, in a batch, elsewhere, in slices and in training",
    "share_of_equal_outputs largest_change", "op change", NB_TABLE(SAME_BITS), false, {0.2, 0.2, 0.2}, same_bits};
