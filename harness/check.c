#include "check.h"

#include "buffers.h"
#include "codec.h"
#include "execute.h"
#include "inputs.h"
#include "registry.h"
#include "stats.h"

#include <math.h>
#include <string.h>

static const char *const VERDICT_NAMES[NB_VERDICT_COUNT] = {
    "UNTESTED", "PASS",      "FAIL_VALUE", "FAIL_NONFINITE", "FAIL_OOB_WRITE",
    "FAIL_UNWRITTEN", "FAIL_NONDETERMINISTIC", "CRASHED", "TIMED_OUT", "SKIP_ISA",
    "SKIP_SHAPE", "SKIP_OPTION", "MISTRUSTED",
};

const char *nb_verdict_name(enum nb_verdict v)
{
    NB_ASSERT(v < NB_VERDICT_COUNT);
    return VERDICT_NAMES[v];
}

int nb_verdict_parse(const char *word)
{
    for (int v = 0; v < NB_VERDICT_COUNT; v++)
        if (strcmp(word, VERDICT_NAMES[v]) == 0)
            return v;
    return -1;
}

/* ---- data ---- */

enum { ORACLE_ROWS = 64, MIXTURE_MIN = 24, ORACLE_ELEMENTS = 1 << 18, TIMED_ROWS = 16,
       MIXTURE_BYTES = 2 << 20 };

/* Rows with their exact results for one (op, gamma, beta). */
struct oracle {
    bool ready;
    struct nb_dd *y; /* [count][hidden] */
    struct nb_ref_stats *stats;
};
/* A set of rows: the mixture of families, or a sample of the timed rows. */
struct row_set {
    size_t count;
    size_t *row;     /* the timed row it is; for the mixture its own index */
    double *x;       /* [count][hidden] */
    struct oracle oracles[NB_OP_COUNT][2]; /* by op and use of beta */
};
struct nb_check_data {
    const struct nb_cell *cell;
    uint64_t seed;
    double *gamma, *beta;
    void *gamma_stored, *beta_stored;
    struct row_set mixture, timed;
    /* x of the two large layouts, filled once: checks forked later read it and own only what they write */
    struct nb_cell mixture_cell;
    struct nb_buffer mixture_x, timed_x;
    uint64_t mixture_hash, timed_hash;
};

static void *alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    NB_ASSERT(p != NULL);
    return p;
}

static size_t clamp(size_t v, size_t low, size_t high)
{
    return v < low ? low : v > high ? high : v;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A cell of few rows is judged on more, so that every family has its turn; of a large one 2 MiB do, an
 * odd number over, so that blocks of rows leave a remainder: the timed layout has them all. */
static size_t mixture_rows(const struct nb_cell *c)
{
    const size_t most = MIXTURE_BYTES / (c->hidden * nb_dtype_bytes(c->dtype)) | 1;
    return clamp(c->rows, MIXTURE_MIN, most > MIXTURE_MIN ? most : MIXTURE_MIN);
}

static void make_mixture(struct nb_check_data *d)
{
    const struct nb_cell *c = d->cell;
    struct row_set *s = &d->mixture;
    s->count = min_size(mixture_rows(c), clamp(ORACLE_ELEMENTS / c->hidden, MIXTURE_MIN, ORACLE_ROWS));
    s->row = alloc(s->count, sizeof *s->row);
    s->x = alloc(s->count * c->hidden, sizeof *s->x);
    for (size_t i = 0; i < s->count; i++) {
        s->row[i] = i;
        nb_input_row(nb_input_check_family(i), c->dtype, d->seed, i, s->x + i * c->hidden,
                     c->hidden);
    }
}

/* First, last and seeded rows between, ascending is not needed. */
static size_t sample_row(const struct nb_cell *c, uint64_t seed, size_t i)
{
    unsigned long long state = seed * 77 + i;
    return i == 0 ? 0 : i == 1 ? c->rows - 1 : nb_random(&state) % c->rows;
}

static void make_timed(struct nb_check_data *d)
{
    const struct nb_cell *c = d->cell;
    struct row_set *s = &d->timed;
    char *stored = alloc(c->hidden, nb_dtype_bytes(c->dtype));
    s->count = min_size(c->rows, clamp(ORACLE_ELEMENTS / 2 / c->hidden, 4, TIMED_ROWS));
    s->row = alloc(s->count, sizeof *s->row);
    s->x = alloc(s->count * c->hidden, sizeof *s->x);
    for (size_t i = 0; i < s->count; i++) {
        s->row[i] = sample_row(c, d->seed, i);
        nb_input_stream_copy(c->dtype, d->seed, s->row[i] * c->ldx, stored, c->hidden);
        nb_decode(c->dtype, stored, s->x + i * c->hidden, c->hidden);
    }
    free(stored);
}

static void map_or_abort(struct nb_buffer *b, size_t bytes, long offset)
{
    struct nb_err err;
    enum nb_status s = offset < 0 ? nb_buffer_map_tail(b, bytes, &err)
                                  : nb_buffer_map(b, bytes, (size_t)offset, false, &err);
    if (s != NB_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

/* Bytes from the first element to behind the last one. */
static size_t span(const struct nb_cell *c, size_t ld)
{
    return ((c->rows - 1) * ld + c->hidden) * nb_dtype_bytes(c->dtype);
}

/* Rows beyond the distinct ones are copies of them: their outputs must be copies too. */
static void map_inputs(struct nb_check_data *d)
{
    const struct nb_cell *c = &d->mixture_cell;
    const size_t row_bytes = c->hidden * nb_dtype_bytes(c->dtype);
    const size_t step = c->ldx * nb_dtype_bytes(c->dtype), count = d->mixture.count;
    map_or_abort(&d->mixture_x, span(c, c->ldx), -1);
    for (size_t row = 0; row < count; row++)
        nb_encode(c->dtype, d->mixture.x + row * c->hidden, d->mixture_x.data + row * step,
                  c->hidden);
    for (size_t row = count; row < c->rows; row++)
        memcpy(d->mixture_x.data + row * step, d->mixture_x.data + row % count * step, row_bytes);
    map_or_abort(&d->timed_x, span(d->cell, c->ldx), 0);
    nb_input_stream_copy(c->dtype, d->seed, 0, d->timed_x.data,
                         d->timed_x.bytes / nb_dtype_bytes(c->dtype));
    d->mixture_hash = nb_hash_bytes(0, d->mixture_x.data, d->mixture_x.bytes);
    d->timed_hash = nb_hash_bytes(0, d->timed_x.data, d->timed_x.bytes);
}

struct nb_check_data *nb_check_data_make(const struct nb_cell *cell, uint64_t seed)
{
    struct nb_check_data *d = alloc(1, sizeof *d);
    const size_t n = cell->hidden, bytes = nb_dtype_bytes(cell->param_dtype);
    d->cell = cell;
    d->seed = seed;
    d->gamma = alloc(n, sizeof *d->gamma);
    d->beta = alloc(n, sizeof *d->beta);
    d->gamma_stored = alloc(n, bytes);
    d->beta_stored = alloc(n, bytes);
    nb_input_gamma(cell->param_dtype, seed, d->gamma, n);
    nb_input_beta(cell->param_dtype, seed, d->beta, n);
    nb_encode(cell->param_dtype, d->gamma, d->gamma_stored, n);
    nb_encode(cell->param_dtype, d->beta, d->beta_stored, n);
    make_mixture(d);
    make_timed(d);
    d->mixture_cell = *cell;
    d->mixture_cell.rows = mixture_rows(cell);
    map_inputs(d);
    return d;
}

static void free_rows(struct row_set *s)
{
    for (size_t op = 0; op < NB_OP_COUNT; op++)
        for (size_t beta = 0; beta < 2; beta++) {
            free(s->oracles[op][beta].y);
            free(s->oracles[op][beta].stats);
        }
    free(s->row);
    free(s->x);
}

void nb_check_data_free(struct nb_check_data *d)
{
    if (d == NULL)
        return;
    free_rows(&d->mixture);
    free_rows(&d->timed);
    nb_buffer_free(&d->mixture_x);
    nb_buffer_free(&d->timed_x);
    free(d->gamma);
    free(d->beta);
    free(d->gamma_stored);
    free(d->beta_stored);
    free(d);
}

static const enum nb_ref_op REF_OP[NB_OP_COUNT] = {
    [NB_OP_COPY] = NB_REF_COPY,
    [NB_OP_SCALE] = NB_REF_SCALE,
    [NB_OP_AFFINE] = NB_REF_AFFINE,
    [NB_OP_LAYERNORM] = NB_REF_LAYERNORM,
    [NB_OP_RMSNORM] = NB_REF_RMSNORM,
};

static struct nb_ref_row ref_row(const struct nb_check_data *d, const struct row_set *s,
                                 const struct nb_kernel *k, size_t i)
{
    const struct nb_problem p = nb_cell_problem(d->cell, k);
    return (struct nb_ref_row){.op = REF_OP[k->op],
                               .n = d->cell->hidden,
                               .x = s->x + i * d->cell->hidden,
                               .gamma = nb_uses_gamma(k) ? d->gamma : NULL,
                               .beta = nb_uses_beta(k) ? d->beta : NULL,
                               .eps = d->cell->dtype == NB_F64 ? p.eps : (double)(float)p.eps,
                               .alpha = p.alpha};
}

static void make_oracle(struct nb_check_data *d, struct row_set *s, const struct nb_kernel *k)
{
    struct oracle *o = &s->oracles[k->op][nb_uses_beta(k)];
    if (o->ready)
        return;
    o->y = alloc(s->count * d->cell->hidden, sizeof *o->y);
    o->stats = alloc(s->count, sizeof *o->stats);
    for (size_t i = 0; i < s->count; i++) {
        const struct nb_ref_row r = ref_row(d, s, k, i);
        nb_ref_forward(&r, o->y + i * d->cell->hidden, &o->stats[i]);
    }
    o->ready = true;
}

void nb_check_prepare(struct nb_check_data *d, const struct nb_kernel *k)
{
    make_oracle(d, &d->mixture, k);
    make_oracle(d, &d->timed, k);
}

/* ---- one run of the kernel ---- */

enum { FILL_A = 0xA5, FILL_B = 0x5A };

/* x, y and parameters of one layout. */
struct layout {
    struct nb_cell cell; /* rows and strides of this run */
    const struct nb_buffer *x;
    struct nb_buffer y, gamma, beta, mean, rstd, scratch;
    struct nb_execution exec;
};
#define LAYOUT_BUFFERS(l)                                                                    \
    {                                                                                        \
        &(l)->y, &(l)->gamma, &(l)->beta, &(l)->mean, &(l)->rstd, &(l)->scratch              \
    }

static void fail(struct nb_check_result *r, enum nb_verdict v, const char *reason)
{
    if (r->verdict == NB_UNTESTED || r->verdict == NB_PASS) {
        r->verdict = v;
        snprintf(r->reason, sizeof(r->reason), "%s", reason);
    }
}

/* tail: every tensor ends at a guard page; otherwise the addresses of the timing. */
static void layout_map(struct layout *l, const struct nb_check_data *d, const struct nb_kernel *k,
                       const struct nb_cell *cell, const struct nb_buffer *x, bool tail)
{
    const size_t ps = nb_dtype_bytes(cell->param_dtype), ss = nb_stat_bytes(cell->dtype);
    *l = (struct layout){.cell = *cell, .x = x};
    map_or_abort(&l->y, span(cell, cell->ldy), tail ? -1 : NB_OFFSET);
    map_or_abort(&l->gamma, cell->hidden * ps, tail ? -1 : 1024);
    map_or_abort(&l->beta, cell->hidden * ps, tail ? -1 : 3136);
    memcpy(l->gamma.data, d->gamma_stored, cell->hidden * ps);
    memcpy(l->beta.data, d->beta_stored, cell->hidden * ps);
    if (cell->stats_out) {
        map_or_abort(&l->mean, cell->rows * ss, tail ? -1 : 0);
        map_or_abort(&l->rstd, cell->rows * ss, tail ? -1 : 0);
    }
    const struct nb_problem p = nb_cell_problem(cell, k);
    const size_t scratch = nb_scratch_bytes(k, &p, cell->threads);
    if (scratch > 0)
        map_or_abort(&l->scratch, scratch, 0);
    const struct nb_args args = {.x = x->data, .y = l->y.data, .gamma = l->gamma.data,
                                 .beta = l->beta.data, .mean = l->mean.data, .rstd = l->rstd.data};
    nb_execution_begin(&l->exec, &l->cell, k, &args, l->scratch.data);
}

static void layout_free(struct layout *l)
{
    struct nb_buffer *all[] = LAYOUT_BUFFERS(l);
    nb_execution_end(&l->exec);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        nb_buffer_free(all[i]);
}

static bool filled_with(const char *p, size_t n, int fill)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] != fill)
            return false;
    return true;
}

/* Runs once over an output filled with `fill`; then gaps between rows and canaries must be untouched. */
static void run_filled(struct layout *l, int fill, struct nb_check_result *r)
{
    const struct nb_cell *c = &l->cell;
    const size_t es = nb_dtype_bytes(c->dtype);
    const struct nb_buffer *all[] = LAYOUT_BUFFERS(l);
    memset(l->y.data, fill, l->y.bytes);
    nb_execute(&l->exec, 1);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!nb_buffer_canaries_intact(all[i]))
            fail(r, NB_FAIL_OOB_WRITE, "bytes before or behind a tensor were overwritten");
    for (size_t row = 0; c->ldy > c->hidden && row + 1 < c->rows; row++)
        if (!filled_with(l->y.data + (row * c->ldy + c->hidden) * es, (c->ldy - c->hidden) * es,
                         fill))
            fail(r, NB_FAIL_OOB_WRITE, "bytes between two rows of y were overwritten");
}

static uint64_t rows_hash(const struct layout *l)
{
    const struct nb_cell *c = &l->cell;
    const size_t es = nb_dtype_bytes(c->dtype);
    uint64_t h = 0;
    for (size_t row = 0; row < c->rows; row++)
        h = nb_hash_bytes(h, l->y.data + row * c->ldy * es, c->hidden * es);
    return h;
}

/* An element that keeps its fill in both runs was not written; one that differs otherwise is not
 * deterministic. */
static void explain_difference(struct layout *l, struct nb_check_result *r)
{
    const struct nb_cell *c = &l->cell;
    const size_t es = nb_dtype_bytes(c->dtype);
    char *first = alloc(l->y.bytes, 1);
    run_filled(l, FILL_A, r);
    memcpy(first, l->y.data, l->y.bytes);
    run_filled(l, FILL_B, r);
    for (size_t row = 0; row < c->rows; row++)
        for (size_t i = 0; i < c->hidden; i++) {
            const size_t at = (row * c->ldy + i) * es;
            if (filled_with(first + at, es, FILL_A) && filled_with(l->y.data + at, es, FILL_B))
                fail(r, NB_FAIL_UNWRITTEN, "an element of y keeps what stood there before");
        }
    fail(r, NB_FAIL_NONDETERMINISTIC, "two runs over the same data differ");
    free(first);
}

/* Two runs over different fills must agree bitwise and leave x as it was. Leaves the second output in y. */
static void run_twice(struct layout *l, uint64_t x_hash, struct nb_check_result *r)
{
    run_filled(l, FILL_A, r);
    const uint64_t first = rows_hash(l);
    run_filled(l, FILL_B, r);
    if (nb_hash_bytes(0, l->x->data, l->x->bytes) != x_hash || !nb_buffer_canaries_intact(l->x))
        fail(r, NB_FAIL_OOB_WRITE, "the kernel changed its input x");
    else if (rows_hash(l) != first)
        explain_difference(l, r);
}

/* ---- judging ---- */

static void judge_error(struct nb_check_result *r, const struct nb_ref_error *e, double limit,
                        const char *what, size_t row)
{
    char text[160];
    if (e->nonfinite > 0) {
        snprintf(text, sizeof text, "%zu elements are NaN or Inf where they should not be (or the reverse), "
                 "%s row %zu", e->nonfinite, what, row);
        fail(r, NB_FAIL_NONFINITE, text);
    }
    if (e->E_max > limit) {
        snprintf(text, sizeof text, "E %.4g exceeds the bound %.4g at %s row %zu element %zu", e->E_max,
                 limit, what, row, e->worst);
        fail(r, NB_FAIL_VALUE, text);
    }
    if (!r->judged || e->E_max > r->E_max) {
        r->E_max = e->E_max;
        r->E_p99 = e->E_p99;
        r->bound = limit;
        snprintf(r->worst, sizeof(r->worst), "%s row %zu", what, row);
    }
    r->judged = 1;
    r->ulp_max = fmax(r->ulp_max, e->ulp_max);
    r->normwise = fmax(r->normwise, e->normwise);
    r->rms_error = fmax(r->rms_error, e->rms);
}

static void judge_row(const struct nb_check_data *d, const struct row_set *s, size_t i,
                      const struct nb_kernel *k, const void *y, const char *what,
                      struct nb_check_result *r)
{
    static const struct nb_ref_type *types[NB_DTYPE_COUNT];
    const size_t n = d->cell->hidden;
    const struct oracle *o = &s->oracles[k->op][nb_uses_beta(k)];
    const struct nb_ref_row row = ref_row(d, s, k, i);
    const struct nb_ref_bound bound = {(enum nb_ref_bound_kind)k->bound.kind, k->bound.c1,
                                       k->bound.c0, k->bound.lanes, (int)k->bound.range_safe};
    if (types[k->dtype] == NULL)
        types[k->dtype] = nb_ref_type_find(nb_dtype_name(k->dtype));
    struct nb_ref_type type = *types[k->dtype];
    if (k->flushes) /* subnormals count as zero in this arithmetic */
        type.eta = nb_arith_min(k->dtype);
    double limit, *got = alloc(2 * n, sizeof *got);
    nb_decode(k->dtype, y, got, n);
    switch (nb_ref_limit(&row, &o->stats[i], &type, &bound, nb_arith_max(k->dtype),
                         nb_arith_min(k->dtype), &limit)) {
    case NB_REF_UNSTABLE:
        r->unstable_rows++;
        break;
    case NB_REF_OVERFLOW:
        r->overflow_rows++;
        break;
    default: {
        struct nb_ref_error e;
        nb_ref_judge(&row, o->y + i * n, &o->stats[i], &type, got, got + n, &e);
        judge_error(r, &e, limit, what, i);
    }
    }
    r->rows_checked++;
    free(got);
}

/* Saved statistics are sums as good as the output's: compared with the same bound, loosely, relative
 * to what cancels in them. */
static void judge_saved(const struct nb_check_data *d, struct layout *l, const struct nb_kernel *k,
                        size_t count, struct nb_check_result *r)
{
    const struct oracle *o = &d->mixture.oracles[k->op][nb_uses_beta(k)];
    const uint32_t stat_dtype = k->dtype == NB_F64 ? NB_F64 : NB_F32;
    const double u = stat_dtype == NB_F64 ? 0x1p-53 : 0x1p-24;
    const double c = k->bound.c1 * (double)d->cell->hidden / fmax(1, k->bound.lanes) + 16;
    for (size_t i = 0; i < count && k->op >= NB_OP_LAYERNORM; i++) {
        const struct nb_ref_stats *s = &o->stats[i];
        const enum nb_family f = nb_input_check_family(i);
        double mean, rstd;
        if (f != NB_FAM_BENIGN && f != NB_FAM_UNIFORM)
            continue; /* hard rows: the output's own judgement covers them */
        nb_decode(stat_dtype, l->rstd.data + i * nb_stat_bytes(k->dtype), &rstd, 1);
        nb_decode(stat_dtype, l->mean.data + i * nb_stat_bytes(k->dtype), &mean, 1);
        const double mean_room = c * u * s->x_sum_abs / (double)d->cell->hidden + 1e-300;
        if (!(fabs(rstd - s->rstd.hi) <= (4 + s->k2 * s->k2 * 4) * c * u * s->rstd.hi))
            fail(r, NB_FAIL_VALUE, "saved rstd is wrong");
        if (k->op == NB_OP_LAYERNORM && !(fabs(mean - s->mean.hi) <= 4 * mean_room))
            fail(r, NB_FAIL_VALUE, "saved mean is wrong");
    }
}

/* The mixture in tail layout: copies of a row must come out bitwise equal. */
static void check_mixture(struct nb_check_data *d, const struct nb_kernel *k,
                          struct nb_check_result *r)
{
    const struct nb_cell *c = &d->mixture_cell;
    const struct row_set *s = &d->mixture;
    const size_t es = nb_dtype_bytes(c->dtype), n = c->hidden;
    struct layout l;
    layout_map(&l, d, k, c, &d->mixture_x, true);
    run_twice(&l, d->mixture_hash, r);
    for (size_t row = 0; row < s->count; row++)
        judge_row(d, s, row, k, l.y.data + row * c->ldy * es,
                  nb_family_name(nb_input_check_family(row)), r);
    for (size_t row = s->count; row < c->rows; row++)
        if (memcmp(l.y.data + row * c->ldy * es, l.y.data + row % s->count * c->ldy * es, n * es))
            fail(r, NB_FAIL_VALUE, "a row differs from an equal row elsewhere in the batch");
    if (c->stats_out)
        judge_saved(d, &l, k, s->count, r);
    layout_free(&l);
}

/* The timed data at the timed addresses. */
static void check_timed(struct nb_check_data *d, const struct nb_kernel *k,
                        struct nb_check_result *r)
{
    const struct nb_cell *c = d->cell;
    const size_t es = nb_dtype_bytes(c->dtype);
    struct layout l;
    layout_map(&l, d, k, c, &d->timed_x, false);
    run_twice(&l, d->timed_hash, r);
    for (size_t i = 0; i < d->timed.count; i++)
        judge_row(d, &d->timed, i, k, l.y.data + d->timed.row[i] * c->ldy * es, "timed data", r);
    r->hash = nb_output_hash(c, d->seed, l.y.data);
    layout_free(&l);
}

/* A few rows with strides longer than hidden: gaps stay, values equal those of the dense layout. */
static void check_strides(struct nb_check_data *d, const struct nb_kernel *k,
                          struct nb_check_result *r)
{
    struct nb_cell c = *d->cell;
    const size_t es = nb_dtype_bytes(c.dtype);
    struct nb_buffer dense_x, gapped_x;
    struct layout dense, gapped;
    c.rows = min_size(d->mixture.count, 5);
    c.threads = 1;
    map_or_abort(&dense_x, span(&c, c.ldx), 0);
    layout_map(&dense, d, k, &c, &dense_x, false);
    c.ldx += 3;
    c.ldy += 5;
    map_or_abort(&gapped_x, span(&c, c.ldx), -1);
    layout_map(&gapped, d, k, &c, &gapped_x, true);
    for (size_t row = 0; row < c.rows; row++) {
        const double *x = d->mixture.x + row * c.hidden;
        nb_encode(c.dtype, x, dense_x.data + row * d->cell->ldx * es, c.hidden);
        nb_encode(c.dtype, x, gapped_x.data + row * c.ldx * es, c.hidden);
    }
    run_twice(&dense, nb_hash_bytes(0, dense_x.data, dense_x.bytes), r);
    run_twice(&gapped, nb_hash_bytes(0, gapped_x.data, gapped_x.bytes), r);
    for (size_t row = 0; row < c.rows; row++)
        if (memcmp(dense.y.data + row * d->cell->ldy * es, gapped.y.data + row * c.ldy * es,
                   c.hidden * es) != 0)
            fail(r, NB_FAIL_VALUE, "a row with strides longer than hidden comes out differently");
    layout_free(&dense);
    layout_free(&gapped);
    nb_buffer_free(&dense_x);
    nb_buffer_free(&gapped_x);
}

void nb_check_skip(const struct nb_cell *cell, const struct nb_kernel *k, struct nb_check_result *r)
{
    const char *why = nb_kernel_why_not(k);
    const struct nb_problem p = nb_cell_problem(cell, k);
    *r = (struct nb_check_result){.verdict = NB_UNTESTED};
    if (why != NULL) {
        fail(r, NB_SKIP_ISA, why);
    } else if (k->supports != NULL && (why = k->supports(&p)) != NULL) {
        fail(r, NB_SKIP_OPTION, why);
    }
}

void nb_check_kernel(struct nb_check_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    nb_check_skip(d->cell, k, r);
    if (r->verdict != NB_UNTESTED)
        return;
    nb_check_prepare(d, k);
    check_mixture(d, k, r);
    check_timed(d, k, r);
    check_strides(d, k, r);
    if (r->verdict == NB_UNTESTED && r->judged)
        r->verdict = NB_PASS;
    else if (r->verdict == NB_UNTESTED)
        fail(r, NB_UNTESTED, "no row of the check lies inside the bound's precondition");
}

/* Rows that an output's hash covers: all of them up to 1 MiB, a sample beyond. */
static size_t hashed_rows(const struct nb_cell *c)
{
    const size_t row_bytes = c->hidden * nb_dtype_bytes(c->dtype);
    return min_size(c->rows, (((size_t)1 << 20) + row_bytes - 1) / row_bytes);
}

static size_t hashed_row(const struct nb_cell *c, uint64_t seed, size_t i)
{
    return hashed_rows(c) == c->rows ? i : sample_row(c, seed, i);
}

uint64_t nb_output_hash(const struct nb_cell *c, uint64_t seed, const void *y)
{
    const size_t es = nb_dtype_bytes(c->dtype);
    uint64_t h = c->hidden;
    for (size_t i = 0; i < hashed_rows(c); i++)
        h = nb_hash_bytes(h, (const char *)y + hashed_row(c, seed, i) * c->ldy * es,
                          c->hidden * es);
    return h;
}

void nb_output_clear(const struct nb_cell *c, uint64_t seed, void *y)
{
    const size_t es = nb_dtype_bytes(c->dtype);
    for (size_t i = 0; i < hashed_rows(c); i++)
        memset((char *)y + hashed_row(c, seed, i) * c->ldy * es, 0, c->hidden * es);
}

/* ---- JSON ---- */

static json_t *number(int known, double v)
{
    return known && isfinite(v) ? json_real(v) : json_null();
}

json_t *nb_check_to_json(const struct nb_cell *cell, const struct nb_kernel *k, uint64_t seed,
                         const struct nb_check_result *r, double ms)
{
    char repro[512], hash[17];
    const struct nb_settings s = {.seed = seed};
    nb_cell_repro(cell, &s, "check", k->name, repro, sizeof repro);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->hash);
    return json_pack("{ss ss ss ss so so so so so so so so sI sI sI so sf ss}", "type", "check", "cell",
                     cell->id, "kernel", k->name, "verdict", nb_verdict_name(r->verdict), "reason",
                     r->reason[0] ? json_string(r->reason) : json_null(), "E_max",
                     number(r->judged, r->E_max), "E_p99", number(r->judged, r->E_p99), "bound",
                     number(r->judged, r->bound), "worst",
                     r->judged ? json_string(r->worst) : json_null(), "ulp_max",
                     number(r->judged, r->ulp_max), "normwise", number(r->judged, r->normwise),
                     "rms_error", number(r->judged, r->rms_error), "rows_checked",
                     (json_int_t)r->rows_checked, "unstable_rows", (json_int_t)r->unstable_rows,
                     "overflow_rows", (json_int_t)r->overflow_rows, "hash",
                     r->judged ? json_string(hash) : json_null(), "ms", ms, "repro", repro);
}
