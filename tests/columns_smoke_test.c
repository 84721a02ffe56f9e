/* columns_smoke_test: every kernel whose statistics are those of columns, against plain loops in double: y, mean, rstd
 * and running statistics in training, y in inference, dx, dgamma and dbeta backward. It finds kernels that are broken
 * (tails, strides, slices, options, what was in memory before); how accurate they are is for the oracle to say. libc
 * only, as kernel_smoke_test. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_data.h"

enum { ROWS_MAX = 41, HIDDEN_MAX = 257, PAD_MAX = 8, PARTS_MAX = 3, SHIFT_MAX = 32 };
enum { BYTES = (ROWS_MAX * (HIDDEN_MAX + PAD_MAX) + SHIFT_MAX) * 8 };
static const size_t hiddens[] = {1, 2, 7, 8, 15, 16, 17, 33, 64, 100, 257}, rows_of[] = {1, 2, 7, 8, 9, 16, 41};
#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const double EPS = 1e-5, MOMENTUM = 0.1;

struct setup {
    size_t rows, hidden, ldx, ldy;
    size_t shift; /* elements between the end of y and the guard page */
    int gamma, beta, stats, running, in_place; /* 0: NULL, or no */
    uint32_t param_dtype, gemma, eps_mode, parts;
    double level; /* all of x, unless 0 */
};

enum { X, DY, GAMMA, BETA, MEAN, RSTD, RUN_MEAN, RUN_VAR, Y, DGAMMA, DBETA, ROOMS };
static struct guarded rooms[ROOMS];
static unsigned char *at[ROOMS], saved[ROOMS][BYTES], first[ROOMS][BYTES];

static uint32_t stat_of(uint32_t dtype)
{
    return dtype == NB_F64 ? NB_F64 : NB_F32;
}

static int is_given(const struct nb_kernel *k)
{
    return k->op == NB_OP_BATCHNORM_INFER;
}

static size_t bytes_of(const struct nb_kernel *k, const struct setup *t, int i)
{
    const size_t e = nb_dtype_bytes(k->dtype);
    if (i == X || i == DY)
        return ((t->rows - 1) * t->ldx + t->hidden) * e;
    if (i == Y)
        return ((t->rows - 1) * t->ldy + t->hidden + t->shift) * e;
    return t->hidden * (i >= MEAN && i <= RUN_VAR ? nb_stat_bytes(k->dtype) : nb_dtype_bytes(t->param_dtype));
}

static int is_input(const struct nb_kernel *k, int i)
{
    if (i == MEAN || i == RSTD)
        return k->dir == NB_BWD;
    return i <= BETA || ((i == RUN_MEAN || i == RUN_VAR) && is_given(k));
}

/* Backward: mean and rstd of column i of x, as they are kept. */
static void fill_stats(const struct nb_kernel *k, const struct setup *t, size_t i)
{
    double mean = 0, q = 0;
    for (size_t r = 0; r < t->rows; r++)
        mean += decode(k->dtype, at[X], r * t->ldx + i) / (double)t->rows;
    for (size_t r = 0; r < t->rows; r++)
        q += pow(decode(k->dtype, at[X], r * t->ldx + i) - mean, 2) / (double)t->rows;
    encode(stat_of(k->dtype), at[MEAN], i, mean);
    encode(stat_of(k->dtype), at[RSTD], i, 1 / sqrt(q + EPS));
}

/* NaN between rows: nothing there may count. */
static void fill(const struct nb_kernel *k, const struct setup *t)
{
    for (int i = 0; i < ROOMS; i++) {
        at[i] = room(&rooms[i], bytes_of(k, t, i));
        if (is_input(k, i))
            memset(at[i], 0xff, bytes_of(k, t, i));
    }
    for (size_t r = 0; r < t->rows; r++)
        for (size_t i = 0; i < t->hidden; i++) {
            encode(k->dtype, at[X], r * t->ldx + i, t->level != 0 ? t->level : 0.5 + normal());
            encode(k->dtype, at[DY], r * t->ldx + i, 0.25 + normal());
        }
    for (size_t i = 0; i < t->hidden; i++) {
        encode(t->param_dtype, at[GAMMA], i, (t->gemma ? 0 : 1) + 0.3 * normal());
        encode(t->param_dtype, at[BETA], i, 0.3 * normal());
        encode(stat_of(k->dtype), at[RUN_MEAN], i, 0.3 * normal());
        encode(stat_of(k->dtype), at[RUN_VAR], i, 0.5 + uniform());
        if (k->dir == NB_BWD)
            fill_stats(k, t, i);
    }
    for (int i = 0; i < ROOMS; i++)
        memcpy(saved[i], at[i], bytes_of(k, t, i));
}

/* ---- one call ---- */

static struct nb_problem problem_of(const struct nb_kernel *k, const struct setup *t)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem), .op = k->op, .dir = k->dir, .stats_out = (uint32_t)t->stats,
                               .dtype = k->dtype, .param_dtype = t->param_dtype, .eps_mode = t->eps_mode, .gemma = t->gemma,
                               .rows = t->rows, .hidden = t->hidden, .ldx = t->ldx, .ldy = t->ldy, .eps = EPS,
                               .momentum = MOMENTUM};
}

static void call(const struct nb_kernel *k, const struct setup *t)
{
    const struct nb_problem p = problem_of(k, t);
    const size_t step = k->scratch_bytes ? (k->scratch_bytes(&p, t->parts) + 63) / 64 * 64 : 0;
    unsigned char *scratch = step ? aligned_alloc(64, step * t->parts) : NULL;
    const int back = k->dir == NB_BWD;
    struct nb_args a = {.size = sizeof a, .parts = t->parts, .x = t->in_place ? at[Y] : at[X], .dy = back ? at[DY] : NULL,
                        .gamma = t->gamma ? at[GAMMA] : NULL, .beta = t->beta && !back ? at[BETA] : NULL,
                        .y = back ? NULL : at[Y], .dx = back ? at[Y] : NULL,
                        .mean = t->stats || back ? at[MEAN] : NULL, .rstd = t->stats || back ? at[RSTD] : NULL,
                        .run_mean = t->running || is_given(k) ? at[RUN_MEAN] : NULL,
                        .run_var = t->running || is_given(k) ? at[RUN_VAR] : NULL,
                        .dgamma = back && t->gamma ? at[DGAMMA] : NULL, .dbeta = back && t->beta ? at[DBETA] : NULL,
                        .scratch_step = step};
    void *own = k->prepare ? k->prepare(&p, &a) : NULL;
    for (a.part = 0; a.part < t->parts; a.part++) {
        a.scratch = scratch ? scratch + a.part * step : NULL;
        k->run(k->prepare ? own : &p, &a);
    }
    if (k->finish && own)
        k->finish(own);
    free(scratch);
}

/* ---- the loops ---- */

/* A result, and the sum of the sizes of what it is made of. */
struct sum {
    double value, terms;
};

struct column {
    double mean, var, rstd, w, b, dgamma, dbeta, g, gx;
};

static struct column column_of(const struct nb_kernel *k, const struct setup *t, size_t i)
{
    struct column c = {.w = t->gamma ? decode(t->param_dtype, saved[GAMMA], i) + (t->gemma ? 1 : 0) : 1,
                       .b = t->beta ? decode(t->param_dtype, saved[BETA], i) : 0};
    const double n = (double)t->rows;
    for (size_t r = 0; r < t->rows; r++)
        c.mean += decode(k->dtype, saved[X], r * t->ldx + i) / n;
    for (size_t r = 0; r < t->rows; r++)
        c.var += pow(decode(k->dtype, saved[X], r * t->ldx + i) - c.mean, 2) / n;
    if (is_given(k)) {
        c.mean = decode(stat_of(k->dtype), saved[RUN_MEAN], i);
        c.var = decode(stat_of(k->dtype), saved[RUN_VAR], i);
    }
    c.rstd = t->eps_mode == NB_EPS_OUTSIDE ? 1 / (sqrt(c.var) + EPS) : 1 / sqrt(c.var + EPS);
    if (k->dir == NB_BWD) {
        c.mean = decode(stat_of(k->dtype), saved[MEAN], i);
        c.rstd = decode(stat_of(k->dtype), saved[RSTD], i);
    }
    for (size_t r = 0; r < t->rows; r++) {
        const double dy = decode(k->dtype, saved[DY], r * t->ldx + i);
        const double xhat = (decode(k->dtype, saved[X], r * t->ldx + i) - c.mean) * c.rstd;
        c.dgamma += dy * xhat;
        c.dbeta += dy;
        c.g += fabs(dy) / n;
        c.gx += fabs(dy * xhat) / n;
    }
    return c;
}

static struct sum expected(const struct nb_kernel *k, const struct setup *t, const struct column *c, size_t r, size_t i)
{
    const double x = decode(k->dtype, saved[X], r * t->ldx + i), xhat = (x - c->mean) * c->rstd, n = (double)t->rows;
    if (k->dir == NB_FWD)
        return (struct sum){xhat * c->w + c->b, (fabs(x) + fabs(c->mean)) * c->rstd * fabs(c->w) + fabs(c->b)};
    const double dy = decode(k->dtype, saved[DY], r * t->ldx + i), s = c->rstd * c->w;
    return (struct sum){s * (dy - c->dbeta / n - xhat * c->dgamma / n),
                        fabs(s) * (fabs(dy) + c->g + (fabs(xhat) + fabs(c->mean) * c->rstd) * c->gx)};
}

/* Roundoffs that loops over so few rows may add up to, twice. */
static int is_near(uint32_t dtype, uint32_t arith, double got, struct sum want)
{
    static const double roundoff[NB_DTYPE_COUNT] = {0x1p-24, 0x1p-53, 0x1p-11, 0x1p-8};
    if (!isfinite(want.value))
        return !isfinite(got);
    return fabs(got - want.value) <= 200 * roundoff[stat_of(arith)] * want.terms + 1.01 * roundoff[dtype] * fabs(want.value) +
                                         (dtype == NB_F16 ? 0x1p-24 : 0x1p-120);
}

/* ---- what may be wrong ---- */

static const char *wrong_column(const struct nb_kernel *k, const struct setup *t, size_t i)
{
    const struct column c = column_of(k, t, i);
    const double n = (double)t->rows, m = MOMENTUM;
    const uint32_t stat = stat_of(k->dtype);
    for (size_t r = 0; r < t->rows; r++)
        if (!is_near(k->dtype, k->dtype, decode(k->dtype, at[Y], r * t->ldy + i), expected(k, t, &c, r, i)))
            return "an element of y or dx is wrong";
    if (k->dir == NB_BWD) {
        if (t->gamma && !is_near(t->param_dtype, k->dtype, decode(t->param_dtype, at[DGAMMA], i),
                                 (struct sum){c.dgamma, n * (c.gx + c.g * fabs(c.mean) * c.rstd)}))
            return "an element of dgamma is wrong";
        return t->beta && !is_near(t->param_dtype, k->dtype, decode(t->param_dtype, at[DBETA], i), (struct sum){c.dbeta, n * c.g})
                   ? "an element of dbeta is wrong"
                   : NULL;
    }
    if (is_given(k))
        return NULL;
    const double size = fabs(c.mean) + 1, run_mean = (1 - m) * decode(stat, saved[RUN_MEAN], i) + m * c.mean;
    const double var = c.var * (n > 1 ? n / (n - 1) : 1), run_var = (1 - m) * decode(stat, saved[RUN_VAR], i) + m * var;
    if (t->stats && !is_near(stat, k->dtype, decode(stat, at[MEAN], i), (struct sum){c.mean, size}))
        return "a mean is wrong";
    if (t->stats && !is_near(stat, k->dtype, decode(stat, at[RSTD], i),
                             (struct sum){c.rstd, c.rstd * (1 + size * size * c.rstd * c.rstd)}))
        return "an rstd is wrong";
    if (t->running && !is_near(stat, k->dtype, decode(stat, at[RUN_MEAN], i), (struct sum){run_mean, size}))
        return "a running mean is wrong";
    return t->running && !is_near(stat, k->dtype, decode(stat, at[RUN_VAR], i), (struct sum){run_var, size * size + 2})
               ? "a running variance is wrong"
               : NULL;
}

static int is_written(const struct nb_kernel *k, const struct setup *t, int i)
{
    if (i == Y)
        return 1;
    if (i == MEAN || i == RSTD)
        return t->stats && !is_given(k) && k->dir == NB_FWD;
    if (i == RUN_MEAN || i == RUN_VAR)
        return t->running && !is_given(k) && k->dir == NB_FWD;
    return k->dir == NB_BWD && ((i == DGAMMA && t->gamma) || (i == DBETA && t->beta));
}

/* Nothing before a tensor, between the rows of y, or in what was not asked for. */
static const char *wrong_bytes(const struct nb_kernel *k, const struct setup *t)
{
    const size_t e = nb_dtype_bytes(k->dtype);
    for (int i = 0; i < ROOMS; i++) {
        const size_t bytes = bytes_of(k, t, i);
        if (!all_canaries(rooms[i].end - rooms[i].bytes, 0, rooms[i].bytes - bytes))
            return "writes before a tensor";
        if (!is_written(k, t, i) && memcmp(saved[i], at[i], bytes) != 0)
            return "changes an input, or writes what nobody asked for";
    }
    for (size_t r = 0; r < t->rows && !t->in_place; r++) {
        const size_t from = (r * t->ldy + t->hidden) * e, to = r + 1 < t->rows ? (r + 1) * t->ldy * e : bytes_of(k, t, Y);
        if (!all_canaries(at[Y], from, to))
            return "writes behind a row of y";
    }
    return NULL;
}

static const char *wrong(const struct nb_kernel *k, const struct setup *t)
{
    const char *what = wrong_bytes(k, t);
    for (size_t i = 0; i < t->hidden && !what; i++)
        what = wrong_column(k, t, i);
    return what;
}

static size_t setups, failures;

/* In one, two and three slices: bitwise the same. */
static void check_setup(const struct nb_kernel *k, struct setup t)
{
    const struct nb_problem p = problem_of(k, &t);
    const char *what = NULL;
    if (k->supports(&p) != NULL)
        return;
    fill(k, &t);
    for (t.parts = 1; t.parts <= PARTS_MAX && !what; t.parts++) {
        for (int i = 0; i < ROOMS; i++)
            memcpy(at[i], saved[i], bytes_of(k, &t, i));
        if (t.in_place)
            memcpy(at[Y], saved[X], bytes_of(k, &t, X));
        call(k, &t);
        what = wrong(k, &t);
        for (int i = 0; i < ROOMS && !what; i++) {
            if (t.parts > 1 && memcmp(first[i], at[i], bytes_of(k, &t, i)) != 0)
                what = "comes out differently in slices";
            memcpy(first[i], at[i], bytes_of(k, &t, i));
        }
    }
    setups++;
    if (what && failures++ < 20)
        printf("%s, %zu x %zu, strides %zu and %zu: %s\n", k->name, t.rows, t.hidden, t.ldx, t.ldy, what);
}

static const struct setup plain = {.gamma = 1, .beta = 1, .stats = 1, .running = 1};

static void check_shape(const struct nb_kernel *k, size_t rows, size_t hidden)
{
    struct setup t = plain;
    t.rows = rows;
    t.hidden = t.ldx = t.ldy = hidden;
    t.param_dtype = k->dtype;
    check_setup(k, t);
    t.ldx += 3;
    t.ldy += 5;
    t.shift = 1;
    check_setup(k, t);
}

static void check_options(const struct nb_kernel *k)
{
    struct setup t = plain;
    t.rows = 19;
    t.hidden = t.ldx = t.ldy = 100;
    t.param_dtype = k->dtype;
#define NB_WITH(field, value)                                                            \
    {                                                                                    \
        struct setup other = t;                                                          \
        other.field = value;                                                             \
        check_setup(k, other);                                                           \
    }
    NB_WITH(gamma, 0)
    NB_WITH(beta, 0)
    NB_WITH(stats, 0)
    NB_WITH(running, 0)
    NB_WITH(gemma, 1)
    NB_WITH(param_dtype, NB_F32)
    NB_WITH(eps_mode, NB_EPS_OUTSIDE)
    NB_WITH(level, 0.5) /* no spread: exact sums in every type */
    if (k->dir == NB_FWD)
        NB_WITH(in_place, 1)
#undef NB_WITH
}

static int check_kernel(const struct nb_kernel *k)
{
    const size_t before = failures;
    seed = SEED;
    for (size_t r = 0; r < LENGTH(rows_of); r++)
        for (size_t h = 0; h < LENGTH(hiddens); h++)
            check_shape(k, rows_of[r], hiddens[h]);
    check_options(k);
    return failures > before;
}

/* The test must see what is wrong: a column too few, a stale rstd, dgamma of the wrong sign. */
static int planted;
static const struct nb_kernel *spoilt;

static void spoil(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    spoilt->run(state, a);
    if (planted == 0)
        encode(p->dtype, a->y, p->hidden - 1, 0.123);
    else if (planted == 1)
        encode(stat_of(p->dtype), a->rstd, 0, 3);
    else if (planted == 2)
        encode(stat_of(p->dtype), a->run_var, 0, 3);
    else
        encode(p->dtype, (void *)(uintptr_t)a->x, 0, 3);
}

static int check_planted(void)
{
    static const struct setup t = {.rows = 9, .hidden = 17, .ldx = 17, .ldy = 17, .gamma = 1, .beta = 1, .stats = 1, .running = 1};
    struct nb_kernel k = *(spoilt = nb_kernel_find("batchnorm_fwd_twopass__f32_scalar"));
    int missed = 0;
    k.run = spoil;
    for (planted = 0; planted < 4; planted++) {
        struct setup one = t;
        one.parts = 1;
        fill(&k, &one);
        call(&k, &one);
        missed += wrong(&k, &one) == NULL;
    }
    printf("planted errors not seen: %d\n", missed);
    return missed;
}

int main(void)
{
    if (nb_cpu_init(NULL, 0) != 0)
        return 2;
    for (int i = 0; i < ROOMS; i++)
        if (!reserve(&rooms[i], BYTES))
            return 2;
    const int missed = check_planted();
    size_t kernels = 0, wrong_kernels = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (!nb_op_facts(k->op)->columns || nb_kernel_why_not(k))
            continue;
        kernels++;
        wrong_kernels += (size_t)check_kernel(k);
    }
    printf("%zu kernels, %zu setups, %zu failures\n", kernels, setups, failures);
    return missed || wrong_kernels || kernels == 0;
}
