/* The check of norms of columns: as that of rows, a column being what a row is there. */
#include "check_parts.h"

#include "buffers.h"
#include "codec.h"
#include "execute.h"
#include "inputs.h"
#include "registry.h"
#include "saved.h"
#include "stats.h"
#include "symmetry.h"

#include <math.h>
#include <string.h>

enum { FAMILIES = 64, MOST_ROWS = 1021, MOST_ELEMENTS = 1 << 20, TIMED_COLUMNS = 16, FEW_COLUMNS = 37 };
enum { X, DY, Y, GAMMA, BETA, MEAN, RSTD, RUN_MEAN, RUN_VAR, DGAMMA, DBETA, SCRATCH, BUFFERS };

/* Columns of data, widened, and what belongs to each. */
struct columns {
    size_t rows, count;
    double *x, *dy;                             /* [count][rows] */
    double *gamma, *beta, *run_mean, *run_var;  /* [count] */
    const struct nb_family *family[FAMILIES];   /* NULL: timed data */
    size_t at[FAMILIES];                        /* the column of the call that it is */
};

/* One call: tensors in a layout of their own. */
struct call {
    const struct nb_kernel *k;
    struct nb_cell cell;
    struct nb_buffer b[BUFFERS];
    struct nb_execution exec;
    bool in_place, ready;
};

static bool is_back(const struct nb_kernel *k)
{
    return k->dir == NB_BWD;
}

static bool is_given(const struct nb_kernel *k)
{
    return nb_op_facts(k->op)->given;
}

/* ---- data ---- */

static struct columns columns_of(size_t rows, size_t count)
{
    double *each = alloc(4 * count, sizeof *each);
    return (struct columns){.rows = rows,
                            .count = count,
                            .x = alloc(rows * count, sizeof(double)),
                            .dy = alloc(rows * count, sizeof(double)),
                            .gamma = each,
                            .beta = each + count,
                            .run_mean = each + 2 * count,
                            .run_var = each + 3 * count};
}

static void columns_free(struct columns *c)
{
    free(c->x);
    free(c->dy);
    free(c->gamma);
}

/* Those of every column of the cell, four lines of hidden. */
static double *all_params(const struct nb_timed_data *d, bool timed)
{
    const struct nb_cell *c = d->cell;
    const size_t n = c->hidden;
    double *all = alloc(4 * n, sizeof *all);
    if (timed && c->in_place) {
        nb_input_gamma_in_place(d->seed, all, n);
        nb_input_beta_in_place(all + n, n);
    } else {
        nb_input_gamma(c->param_dtype, d->seed, all, n);
        nb_input_beta(c->param_dtype, d->seed, all + n, n);
    }
    nb_input_running(c->dtype, d->seed, all + 2 * n, all + 3 * n, n);
    return all;
}

static void make_params(struct columns *c, const struct nb_timed_data *d, bool timed)
{
    const size_t n = d->cell->hidden;
    double *all = all_params(d, timed);
    for (size_t i = 0; i < c->count; i++) {
        c->gamma[i] = all[c->at[i] % n];
        c->beta[i] = all[n + c->at[i] % n];
        c->run_mean[i] = all[2 * n + c->at[i] % n];
        c->run_var[i] = all[3 * n + c->at[i] % n];
    }
    free(all);
}

/* Column i is row first + i of the families' mixture, as long as there are rows. */
static struct columns family_columns(const struct nb_timed_data *d, size_t rows, size_t first, size_t count)
{
    struct columns c = columns_of(rows, count);
    for (size_t i = 0; i < count; i++) {
        c.at[i] = i;
        c.family[i] = nb_check_family(d->cell->dtype, first + i);
        nb_family_row(c.family[i], d->cell->dtype, d->seed, first + i, c.x + i * rows, rows);
        for (size_t r = 0; r < rows; r++)
            c.dy[i * rows + r] = nb_normal(d->seed + 1, first + i, r);
        nb_round_to(d->cell->dtype, c.dy + i * rows, rows);
    }
    make_params(&c, d, false);
    return c;
}

static void take_column(const struct nb_cell *c, const char *matrix, size_t j, double *column)
{
    const size_t es = nb_dtype_bytes(c->dtype);
    for (size_t r = 0; r < c->rows; r++)
        nb_decode(c->dtype, matrix + (r * c->ldx + j) * es, column + r, 1);
}

/* First, last and seeded columns between. */
static struct columns timed_columns(const struct nb_timed_data *d)
{
    const struct nb_cell *cell = d->cell;
    struct columns c = columns_of(cell->rows, cell->hidden < TIMED_COLUMNS ? cell->hidden : TIMED_COLUMNS);
    unsigned long long state = d->seed * 77;
    for (size_t i = 0; i < c.count; i++) {
        c.at[i] = i == 0 ? 0 : i == 1 ? cell->hidden - 1 : nb_random(&state) % cell->hidden;
        take_column(cell, d->x, c.at[i], c.x + i * c.rows);
        if (d->dy != NULL)
            take_column(cell, d->dy, c.at[i], c.dy + i * c.rows);
    }
    make_params(&c, d, true);
    return c;
}

/* ---- one call ---- */

/* Of an element. */
static size_t size_of(const struct nb_cell *c, size_t which)
{
    const bool param = which == GAMMA || which == BETA || which == DGAMMA || which == DBETA;
    return which == X || which == DY || which == Y ? nb_dtype_bytes(c->dtype)
           : param                                 ? nb_dtype_bytes(c->param_dtype)
                                                   : nb_stat_bytes(c->dtype);
}

static void name_all(struct call *c)
{
    static const char *const names[BUFFERS] = {
        [X] = "x", [DY] = "dy", [GAMMA] = "gamma", [BETA] = "beta", [MEAN] = "mean", [RSTD] = "rstd", [RUN_MEAN] = "run_mean",
        [RUN_VAR] = "run_var", [DGAMMA] = "dgamma", [DBETA] = "dbeta", [SCRATCH] = "scratch"};
    for (size_t i = 0; i < BUFFERS; i++)
        nb_buffer_name(&c->b[i], i != Y ? names[i] : is_back(c->k) ? "dx" : "y");
}

/* shift < 0: every tensor ends at a guard page; otherwise it begins so many of its elements later. */
static void map_all(struct call *c, long shift)
{
    const struct nb_cell *cell = &c->cell;
    const size_t params = cell->hidden * nb_dtype_bytes(cell->param_dtype), stats = cell->hidden * nb_stat_bytes(cell->dtype);
    const bool back = is_back(c->k), saved = back || cell->stats_out;
    const size_t bytes[BUFFERS] = {[X] = span(cell, cell->ldx), [DY] = back ? span(cell, cell->ldx) : 0,
                                   [Y] = span(cell, cell->ldy), [GAMMA] = params, [BETA] = params,
                                   [MEAN] = saved ? stats : 0, [RSTD] = saved ? stats : 0, [RUN_MEAN] = back ? 0 : stats,
                                   [RUN_VAR] = back ? 0 : stats, [DGAMMA] = back ? params : 0, [DBETA] = back ? params : 0};
    static const long offsets[BUFFERS] = {[DY] = NB_OFFSET_SECOND, [Y] = NB_OFFSET, [GAMMA] = 1024, [BETA] = 3136,
                                          [DGAMMA] = 512, [DBETA] = 2560};
    for (size_t i = 0; i < SCRATCH; i++)
        if (bytes[i] > 0)
            map_or_abort(&c->b[i], bytes[i], shift < 0 ? -1 : offsets[i] + shift * (long)size_of(cell, i));
    name_all(c);
}

static void put_value(struct call *c, size_t which, uint32_t dtype, size_t at, double v)
{
    if (c->b[which].map != NULL)
        nb_encode(dtype, &v, c->b[which].data + at * nb_dtype_bytes(dtype), 1);
}

/* The parameters of column j of the call. */
static void put_params(struct call *c, size_t j, double gamma, double beta, double run_mean, double run_var)
{
    const uint32_t stat = c->cell.dtype == NB_F64 ? NB_F64 : NB_F32;
    put_value(c, GAMMA, c->cell.param_dtype, j, gamma);
    put_value(c, BETA, c->cell.param_dtype, j, beta);
    put_value(c, RUN_MEAN, stat, j, run_mean);
    put_value(c, RUN_VAR, stat, j, run_var);
}

/* Column i of the data, as column j of the call. */
static void put_column(struct call *c, const struct columns *of, size_t i, size_t j)
{
    const size_t es = nb_dtype_bytes(c->cell.dtype);
    for (size_t r = 0; r < of->rows; r++) {
        const size_t at = (r * c->cell.ldx + j) * es;
        nb_encode(c->cell.dtype, of->x + i * of->rows + r, c->b[X].data + at, 1);
        if (c->b[DY].map != NULL)
            nb_encode(c->cell.dtype, of->dy + i * of->rows + r, c->b[DY].data + at, 1);
    }
    put_params(c, j, of->gamma[i], of->beta[i], of->run_mean[i], of->run_var[i]);
}

static void stored_row(void *context, size_t row, double *x)
{
    const struct call *c = context;
    nb_decode(c->cell.dtype, c->b[X].data + row * c->cell.ldx * nb_dtype_bytes(c->cell.dtype), x, c->cell.hidden);
}

/* When all inputs lie there. False: its prepare returned NULL. */
static bool call_begin(struct call *c)
{
    const struct nb_problem p = nb_cell_problem(&c->cell, c->k);
    const size_t scratch = nb_scratch_bytes(c->k, &p, c->cell.threads);
    const bool back = is_back(c->k);
    if (scratch > 0)
        map_or_abort(&c->b[SCRATCH], scratch, 0);
    name_all(c);
    if (back)
        nb_saved_all(&p, stored_row, c, c->b[MEAN].data, c->b[RSTD].data);
    const struct nb_args args = {.x = c->in_place ? c->b[Y].data : c->b[X].data, .dy = c->b[DY].data,
                                 .y = back ? NULL : c->b[Y].data, .dx = back ? c->b[Y].data : NULL,
                                 .gamma = c->b[GAMMA].data, .beta = back ? NULL : c->b[BETA].data,
                                 .mean = c->b[MEAN].data, .rstd = c->b[RSTD].data, .run_mean = c->b[RUN_MEAN].data,
                                 .run_var = c->b[RUN_VAR].data, .dgamma = c->b[DGAMMA].data, .dbeta = c->b[DBETA].data};
    c->ready = nb_execution_begin(&c->exec, &c->cell, c->k, &args, c->b[SCRATCH].data);
    return c->ready;
}

static void call_end(struct call *c)
{
    nb_execution_end(&c->exec);
    for (size_t i = 0; i < BUFFERS; i++)
        nb_buffer_free(&c->b[i]);
}

static bool is_output(const struct call *c, size_t which)
{
    return which == Y || which == DGAMMA || which == DBETA || ((which == MEAN || which == RSTD) && !is_back(c->k));
}

static bool is_input(const struct call *c, size_t which)
{
    return which != SCRATCH && !is_output(c, which) && ((which != RUN_MEAN && which != RUN_VAR) || is_given(c->k));
}

/* Of what is written: of y its rows, not what lies between them. */
static uint64_t hash_of_outputs(const struct call *c)
{
    const size_t es = nb_dtype_bytes(c->cell.dtype);
    uint64_t h = 0;
    for (size_t i = 0; i < SCRATCH; i++)
        if (i != Y && c->b[i].map != NULL && !is_input(c, i))
            h = nb_hash_bytes(h, c->b[i].data, c->b[i].bytes);
    for (size_t row = 0; row < c->cell.rows; row++)
        h = nb_hash_bytes(h, c->b[Y].data + row * c->cell.ldy * es, c->cell.hidden * es);
    return h;
}

static void execute_parts(struct call *c)
{
    for (unsigned part = 0; part < c->cell.threads; part++)
        nb_execute_part(&c->exec, part, 1);
    for (unsigned part = 0; part < c->cell.threads && c->cell.threads > 1; part++)
        nb_execute_reduce(&c->exec, part);
}

/* The bytes between rows keep what they were filled with. */
static void check_gaps(const struct call *c, int fill, struct nb_check_result *r)
{
    const size_t es = nb_dtype_bytes(c->cell.dtype);
    for (size_t row = 0; !c->in_place && row + 1 < c->cell.rows; row++)
        for (size_t i = c->cell.hidden * es; i < c->cell.ldy * es; i++)
            if ((unsigned char)c->b[Y].data[row * c->cell.ldy * es + i] != fill)
                nb_check_fail(r, NB_FAIL_OOB_WRITE, "bytes between two rows of y were overwritten");
}

/* Over outputs that were filled before; running statistics as they were. team: on threads, as it is timed. */
static void run_filled(struct call *c, const char *running, int fill, bool team, struct nb_check_result *r)
{
    for (size_t i = 0; i < BUFFERS; i++)
        if (c->b[i].map != NULL && is_output(c, i))
            memset(c->b[i].data, fill, c->b[i].bytes);
    if (c->in_place)
        memcpy(c->b[Y].data, c->b[X].data, c->b[Y].bytes);
    if (c->b[RUN_MEAN].map != NULL) {
        memcpy(c->b[RUN_MEAN].data, running, c->b[RUN_MEAN].bytes);
        memcpy(c->b[RUN_VAR].data, running + c->b[RUN_MEAN].bytes, c->b[RUN_VAR].bytes);
    }
    if (team)
        nb_execute(&c->exec, 1);
    else
        execute_parts(c);
    for (size_t i = 0; i < BUFFERS; i++)
        nb_check_damage(r, &c->b[i]);
    check_gaps(c, fill, r);
}

/* An element of an output that both runs left as it had been filled. */
static bool keeps_fill(const struct call *c, const char *first, size_t which)
{
    const size_t es = size_of(&c->cell, which);
    const struct nb_buffer *b = &c->b[which];
    for (size_t at = 0; at < b->bytes; at += es) {
        bool kept = which != Y || at / es % c->cell.ldy < c->cell.hidden;
        for (size_t i = 0; i < es && kept; i++)
            kept = (unsigned char)first[at + i] == FILL_A && (unsigned char)b->data[at + i] == FILL_B;
        if (kept)
            return true;
    }
    return false;
}

static void explain_difference(struct call *c, const char *running, bool team, struct nb_check_result *r)
{
    char *first[BUFFERS] = {NULL};
    run_filled(c, running, FILL_A, team, r);
    for (size_t i = 0; i < BUFFERS; i++)
        if (c->b[i].map != NULL && is_output(c, i) && !(i == Y && c->in_place))
            first[i] = memcpy(alloc(c->b[i].bytes, 1), c->b[i].data, c->b[i].bytes);
    run_filled(c, running, FILL_B, team, r);
    for (size_t i = 0; i < BUFFERS; i++)
        if (first[i] != NULL && keeps_fill(c, first[i], i))
            nb_check_fail(r, NB_FAIL_UNWRITTEN, "an element of an output keeps what stood there before");
    nb_check_fail(r, NB_FAIL_NONDETERMINISTIC, "two runs over the same data differ");
    for (size_t i = 0; i < BUFFERS; i++)
        free(first[i]);
}

/* Two runs over different fills agree bitwise and change no input. */
static void run_twice(struct call *c, bool team, struct nb_check_result *r)
{
    const size_t stats = c->b[RUN_MEAN].bytes;
    char *running = alloc(2 * stats, 1);
    if (stats > 0) {
        memcpy(running, c->b[RUN_MEAN].data, stats);
        memcpy(running + stats, c->b[RUN_VAR].data, stats);
    }
    uint64_t before[BUFFERS];
    for (size_t i = 0; i < BUFFERS; i++)
        before[i] = is_input(c, i) ? nb_check_hash(&c->b[i]) : 0;
    run_filled(c, running, FILL_A, team, r);
    const uint64_t first = hash_of_outputs(c);
    run_filled(c, running, FILL_B, team, r);
    for (size_t i = 0; i < BUFFERS; i++)
        if (is_input(c, i))
            nb_check_input(r, &c->b[i], before[i]);
    if (r->verdict != NB_FAIL_OOB_WRITE && hash_of_outputs(c) != first)
        explain_difference(c, running, team, r);
    free(running);
}

/* ---- judging ---- */

/* What is judged of a column at a time. */
struct judge {
    const struct call *c;
    const struct columns *of;
    size_t i, j; /* of the data, of the call */
    bool likely;
    const char *what;
    double *w, *b, *scratch; /* [rows], [rows], [2 rows] */
    char *stored;            /* [rows] */
    struct nb_dd *ref;       /* [rows] */
};

static double stat_at(const struct judge *g, size_t which)
{
    double v;
    nb_decode(g->c->cell.dtype == NB_F64 ? NB_F64 : NB_F32, g->c->b[which].data + g->j * nb_stat_bytes(g->c->cell.dtype), &v, 1);
    return v;
}

static void gather(const struct judge *g)
{
    const size_t es = nb_dtype_bytes(g->c->cell.dtype);
    for (size_t r = 0; r < g->of->rows; r++)
        memcpy(g->stored + r * es, g->c->b[Y].data + (r * g->c->cell.ldy + g->j) * es, es);
}

static void count_hazards(struct nb_check_result *r, const struct nb_appraisal *a)
{
    r->unstable_rows += a->hazard == NB_REF_UNSTABLE;
    r->overflow_rows += a->hazard == NB_REF_OVERFLOW;
    r->rows_checked++;
}

/* run' = (1-m) run + m stat, rounded three times, and as far off as the statistic itself may be. */
static void judge_running(const struct judge *g, const struct nb_appraisal *a, const struct nb_ref_row *row,
                          const struct nb_ref_stats *s, struct nb_check_result *r)
{
    const struct nb_ref_limit *limit = g->likely ? &a->limits.likely : &a->limits.worst;
    const double u = g->c->cell.dtype == NB_F64 ? 0x1p-53 : 0x1p-24, n = (double)row->n, m = g->c->exec.problem.momentum;
    const double mean = s->mean.hi, unbiased = n > 1 ? s->var.hi * n / (n - 1) : s->var.hi;
    const double wanted[] = {(1 - m) * g->of->run_mean[g->i] + m * mean, (1 - m) * g->of->run_var[g->i] + m * unbiased};
    const double var_off = 2 * (limit->rstd + 4) * u * (s->var.hi + row->eps) * (n > 1 ? n / (n - 1) : 1);
    const double room[] = {u * (8 * (fabs(g->of->run_mean[g->i]) + m * fabs(mean)) + m * limit->mean * s->x_sum_abs / n),
                           u * 8 * (g->of->run_var[g->i] + m * unbiased) + m * var_off};
    static const char *const names[] = {"mean", "variance"};
    for (size_t k = 0; k < 2 && g->c->b[RUN_MEAN].map != NULL && s->finite; k++) {
        const double got = stat_at(g, k == 0 ? RUN_MEAN : RUN_VAR);
        char text[160];
        if (fabs(got - wanted[k]) <= room[k] || fabs(wanted[k]) > 0x1p120)
            continue;
        snprintf(text, sizeof text, "the running %s is %.9g, and should be %.9g within %.2g, %s column %zu", names[k], got,
                 wanted[k], room[k], g->what, g->j);
        nb_check_fail(r, NB_FAIL_VALUE, text);
    }
}

static void judge_forward(const struct judge *g, struct nb_check_result *r)
{
    const struct call *c = g->c;
    struct nb_ref_row row = nb_appraise_row(&c->exec.problem, g->of->x + g->i * g->of->rows, g->w, g->b, 0);
    struct nb_ref_stats s;
    struct nb_appraisal a;
    const size_t stat = g->j * nb_stat_bytes(c->cell.dtype);
    const bool saved = c->b[MEAN].map != NULL && !is_given(c->k);
    row.mean = g->of->run_mean[g->i];
    row.var = g->of->run_var[g->i];
    nb_ref_forward(&row, g->ref, &s);
    nb_appraise(c->k, &row, g->ref, &s, g->stored, saved ? c->b[MEAN].data + stat : NULL,
                saved ? c->b[RSTD].data + stat : NULL, g->scratch, &a);
    if (a.hazard == NB_REF_INSIDE) {
        nb_check_judge(r, &a, g->likely, g->what, g->j);
        if (!is_given(c->k))
            judge_running(g, &a, &row, &s, r);
    }
    count_hazards(r, &a);
}

/* dgamma and dbeta of the column. */
static void judge_shares(const struct judge *g, const struct nb_ref_gradient *row, const struct nb_ref_gradient_stats *s,
                         struct nb_check_result *r)
{
    const size_t n = g->of->rows, ps = nb_dtype_bytes(g->c->cell.param_dtype);
    struct nb_dd *dd = alloc(2 * n + 2, sizeof *dd);
    double *units = alloc(3 * n + 3, sizeof *units);
    struct nb_ref_shares each = {.n = n, .dgamma = dd, .dbeta = dd + n, .dgamma_unit = units, .dgamma_moved = units + n,
                                 .dbeta_unit = units + 2 * n};
    struct nb_ref_shares sum = {.n = 1, .dgamma = dd + 2 * n, .dbeta = dd + 2 * n + 1, .dgamma_unit = units + 3 * n,
                                .dgamma_moved = units + 3 * n + 1, .dbeta_unit = units + 3 * n + 2};
    nb_ref_shares_add(row, s, 1, &each);
    nb_ref_shares_gather(&each, &sum);
    for (int which = 0; which < 2; which++) {
        struct nb_appraisal a;
        char of[96];
        nb_appraise_share(g->c->k, g->c->cell.param_dtype, &sum, which ? NB_REF_DBETA : NB_REF_DGAMMA,
                          g->c->b[which ? DBETA : DGAMMA].data + g->j * ps, g->scratch, &a);
        snprintf(of, sizeof of, "%s of %s,", which ? "dbeta" : "dgamma", g->what);
        if (a.hazard == NB_REF_INSIDE)
            nb_check_judge(r, &a, g->likely, of, g->j);
    }
    free(dd);
    free(units);
}

static void judge_backward(const struct judge *g, struct nb_check_result *r)
{
    const struct call *c = g->c;
    const size_t n = g->of->rows;
    const struct nb_ref_gradient row = nb_appraise_gradient_row(&c->exec.problem, g->of->x + g->i * n, g->of->dy + g->i * n,
                                                                g->w, 0);
    struct nb_ref_gradient_stats s;
    struct nb_appraisal a;
    nb_ref_backward_row(&row, g->ref, NULL, NULL);
    nb_ref_gradient_look(&row, &s);
    nb_appraise_gradient(c->k, &row, g->ref, &s, g->stored, g->scratch, &a);
    if (a.hazard == NB_REF_INSIDE) {
        nb_check_judge(r, &a, g->likely, g->what, g->j);
        judge_shares(g, &row, &s, r);
    }
    count_hazards(r, &a);
}

/* Column i of the data, which is column j of the call. */
static void judge_column(const struct call *c, const struct columns *of, size_t i, size_t j, struct nb_check_result *r)
{
    const size_t n = of->rows;
    struct judge g = {.c = c, .of = of, .i = i, .j = j, .likely = !of->family[i] || nb_family_is_likely(of->family[i]),
                      .what = of->family[i] ? of->family[i]->name : "timed data,",
                      .w = alloc(4 * n, sizeof(double)), .stored = alloc(n, nb_dtype_bytes(c->cell.dtype)),
                      .ref = alloc(n, sizeof(struct nb_dd))};
    g.b = g.w + n;
    g.scratch = g.w + 2 * n;
    for (size_t row = 0; row < n; row++) {
        g.w[row] = of->gamma[i];
        g.b[row] = of->beta[i];
    }
    gather(&g);
    if (is_back(c->k))
        judge_backward(&g, r);
    else
        judge_forward(&g, r);
    free(g.w);
    free(g.stored);
    free(g.ref);
}

/* ---- the families ---- */

static bool column_equal(const struct call *c, size_t a, size_t b)
{
    const size_t es = nb_dtype_bytes(c->cell.dtype);
    for (size_t r = 0; r < c->cell.rows; r++)
        if (memcmp(c->b[Y].data + (r * c->cell.ldy + a) * es, c->b[Y].data + (r * c->cell.ldy + b) * es, es) != 0)
            return false;
    return true;
}

/* So many of them as columns of a call that ends at guard pages; columns beyond are copies, and come out as copies. */
static void check_some(const struct nb_timed_data *d, const struct nb_kernel *k, size_t rows, size_t first, size_t count,
                       struct nb_check_result *r)
{
    struct columns of = family_columns(d, rows, first, count);
    struct call c = {.k = k, .cell = *d->cell};
    c.cell.rows = rows;
    c.cell.ldx = c.cell.ldy = c.cell.hidden;
    c.cell.in_place = false;
    c.cell.stats_out = !is_back(k) && !is_given(k);
    map_all(&c, -1);
    for (size_t j = 0; j < c.cell.hidden; j++)
        put_column(&c, &of, j % count, j);
    if (call_begin(&c)) {
        run_twice(&c, false, r);
        for (size_t i = 0; i < count; i++)
            judge_column(&c, &of, i, i, r);
        for (size_t j = count; j < c.cell.hidden; j++)
            if (!column_equal(&c, j, j % count))
                nb_check_fail(r, NB_FAIL_VALUE, "a column differs from an equal column elsewhere");
    } else {
        nb_check_fail(r, NB_SKIP_OPTION, "its prepare returned NULL for a problem that its supports accepts");
    }
    call_end(&c);
    columns_free(&of);
}

/* Rows as the cell has them, or as many as the oracle's time allows; and few, whole blocks of rows and not. */
static void check_families(const struct nb_timed_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    const size_t hidden = d->cell->hidden, most = MOST_ELEMENTS / hidden;
    const size_t rows[] = {min_size(d->cell->rows, min_size(MOST_ROWS, most > 24 ? most : 24)), 1, 8, 19};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t first = 0; first < FAMILIES; first += hidden)
            check_some(d, k, rows[i], first, min_size(FAMILIES, hidden), r);
}

/* ---- the timed data ---- */

/* Columns first and on of the call, as a call of their own. */
static struct nb_args chunk_args(const struct call *c, size_t first, char *y)
{
    const size_t es = nb_dtype_bytes(c->cell.dtype), ps = nb_dtype_bytes(c->cell.param_dtype), ss = nb_stat_bytes(c->cell.dtype);
    const struct nb_args *a = &c->exec.args;
    const bool back = is_back(c->k);
    return (struct nb_args){.x = c->b[X].data + first * es, .dy = back ? c->b[DY].data + first * es : NULL,
                            .y = back ? NULL : y, .dx = back ? y : NULL, .gamma = (const char *)a->gamma + first * ps,
                            .beta = a->beta ? (const char *)a->beta + first * ps : NULL,
                            .mean = back ? c->b[MEAN].data + first * ss : NULL,
                            .rstd = back ? c->b[RSTD].data + first * ss : NULL,
                            .run_mean = is_given(c->k) ? c->b[RUN_MEAN].data + first * ss : NULL,
                            .run_var = is_given(c->k) ? c->b[RUN_VAR].data + first * ss : NULL};
}

/* Every column once more, in calls of so few that no block of a large call looks the same. */
static void compare_chunks(const struct call *c, struct nb_check_result *r)
{
    const size_t es = nb_dtype_bytes(c->cell.dtype);
    struct nb_cell few = c->cell;
    few.stats_out = 0;
    few.in_place = false;
    few.threads = 1;
    few.ldy = FEW_COLUMNS;
    struct nb_buffer y;
    map_or_abort(&y, few.rows * FEW_COLUMNS * es, -1);
    nb_buffer_name(&y, c->b[Y].name);
    for (size_t first = 0; first < c->cell.hidden; first += FEW_COLUMNS) {
        few.hidden = min_size(FEW_COLUMNS, c->cell.hidden - first);
        const struct nb_problem p = nb_cell_problem(&few, c->k);
        const struct nb_args a = chunk_args(c, first, y.data);
        if (c->k->supports != NULL && c->k->supports(&p) != NULL)
            continue;
        if (!nb_run_once(c->k, &p, &a))
            break;
        for (size_t row = 0; row < few.rows; row++)
            if (memcmp(y.data + row * FEW_COLUMNS * es, c->b[Y].data + (row * c->cell.ldy + first) * es, few.hidden * es) != 0)
                nb_check_fail(r, NB_FAIL_VALUE, "a column of the timed data comes out differently in a call of few columns");
    }
    nb_check_damage(r, &y);
    nb_buffer_free(&y);
}

static void check_timed(const struct nb_timed_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    struct columns of = timed_columns(d);
    struct call c = {.k = k, .cell = *d->cell, .in_place = d->cell->in_place};
    const size_t n = c.cell.hidden;
    double *all = all_params(d, true);
    map_all(&c, 0);
    memcpy(c.b[X].data, d->x, c.b[X].bytes);
    if (is_back(k))
        memcpy(c.b[DY].data, d->dy, c.b[DY].bytes);
    for (size_t j = 0; j < n; j++)
        put_params(&c, j, all[j], all[n + j], all[2 * n + j], all[3 * n + j]);
    free(all);
    if (call_begin(&c)) {
        r->prepare_first_ns = r->prepare_ns = c.exec.prepare_ns;
        run_twice(&c, true, r);
        for (size_t i = 0; i < of.count; i++)
            judge_column(&c, &of, i, of.at[i], r);
        compare_chunks(&c, r);
        r->hash = nb_shares_hash(nb_output_hash(&c.cell, d->seed, c.b[Y].data, NULL), &c.exec);
    }
    call_end(&c);
    columns_free(&of);
}

/* ---- invariants ---- */

/* Columns first to first + count of the data in the layout of v; y [count][rows] receives them in their order. */
static void run_variant(const struct nb_timed_data *d, const struct nb_kernel *k, const struct columns *of, size_t first,
                        size_t count, const struct variant *v, char *y, struct nb_check_result *r)
{
    const size_t es = nb_dtype_bytes(k->dtype);
    struct call c = {.k = k, .cell = *d->cell, .in_place = v->in_place};
    c.cell.rows = of->rows;
    c.cell.hidden = count;
    c.cell.ldx = count + v->gap_x;
    c.cell.ldy = count + v->gap_y;
    c.cell.threads = v->parts ? v->parts : 1;
    map_all(&c, v->tail ? -1 : v->shift);
    for (size_t i = 0; i < count; i++)
        put_column(&c, of, first + i, v->reversed ? count - 1 - i : i);
    if (call_begin(&c)) {
        run_twice(&c, false, r);
        for (size_t i = 0; i < count; i++)
            for (size_t row = 0; row < of->rows; row++)
                memcpy(y + ((first + i) * of->rows + row) * es,
                       c.b[Y].data + (row * c.cell.ldy + (v->reversed ? count - 1 - i : i)) * es, es);
    }
    call_end(&c);
}

static void run_columns(const struct nb_timed_data *d, const struct nb_kernel *k, const struct columns *of,
                        const struct variant *v, char *y, struct nb_check_result *r)
{
    const size_t step = v->alone ? 1 : of->count;
    for (size_t first = 0; first < of->count; first += step)
        run_variant(d, k, of, first, step, v, y, r);
}

static void check_invariants(const struct nb_timed_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    static const struct variant plain = {.what = "plain"};
    struct columns of = family_columns(d, min_size(d->cell->rows, 43), 0, FEW_COLUMNS);
    const size_t bytes = of.rows * nb_dtype_bytes(k->dtype);
    char *want = alloc(of.count, bytes), *got = alloc(of.count, bytes), text[200];
    run_columns(d, k, &of, &plain, want, r);
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        if (VARIANTS[v].in_place && is_back(k))
            continue;
        run_columns(d, k, &of, &VARIANTS[v], got, r);
        for (size_t i = 0; i < of.count; i++)
            if (memcmp(want + i * bytes, got + i * bytes, bytes) != 0) {
                snprintf(text, sizeof text, "%s column %zu comes out differently %s", of.family[i]->name, i, VARIANTS[v].what);
                nb_check_fail(r, NB_FAIL_VALUE, text);
            }
    }
    if (!is_back(k) && !is_given(k) && !nb_symmetry_holds(k, d->cell->rows, text, sizeof text))
        nb_check_fail(r, NB_FAIL_VALUE, text);
    columns_free(&of);
    free(want);
    free(got);
}

void nb_check_columns(const struct nb_timed_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    check_families(d, k, r);
    if (r->verdict != NB_FAIL_OOB_WRITE) /* memory of the check itself may be damaged */
        check_timed(d, k, r);
    if (r->verdict != NB_FAIL_OOB_WRITE)
        check_invariants(d, k, r);
}
