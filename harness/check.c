#include "check.h"

#include "appraise.h"
#include "auto.h"
#include "buffers.h"
#include "check_parts.h"
#include "codec.h"
#include "deepnorm.h"
#include "descriptor.h"
#include "execute.h"
#include "inputs.h"
#include "registry.h"
#include "saved.h"
#include "stats.h"
#include "symmetry.h"

#include <math.h>
#include <string.h>

static const char *const VERDICT_NAMES[NB_VERDICT_COUNT] = {
    "UNTESTED", "PASS",      "FAIL_VALUE", "FAIL_NONFINITE", "FAIL_OOB_WRITE",
    "FAIL_UNWRITTEN", "FAIL_NONDETERMINISTIC", "FAIL_ABI", "CRASHED", "TIMED_OUT", "SKIP_ISA",
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

/* What an output is a function of: x; its sum with the second input, rounded once; the same, its product rounded before. */
enum way { OF_X, OF_SUM, OF_SUM_APART, WAYS };

/* Rows with their exact results for one (op, gamma, beta, way). */
struct oracle {
    bool ready;
    double *h;       /* [count][hidden]: the sum that y is of, as it must be rounded; where there is one */
    struct nb_dd *y; /* [count][hidden]; backward: dx, of deepnorm dres */
    struct nb_ref_stats *stats; /* [count][pieces] */
    struct nb_ref_gradient_stats *gradients; /* [count][pieces]; backward alone, of norms */
    /* of the timed data: all rows; of the mixture: its sound ones. One a group; heads share theirs. */
    struct nb_ref_shares *shares;
    size_t share_count;
};
/* A set of rows: the mixture of families, or a sample of the timed rows. */
struct row_set {
    size_t count;
    size_t *row;     /* the timed row it is; for the mixture its own index */
    double *x, *second; /* [count][hidden]; second: dy or the residual, where there is one */
    struct oracle oracles[NB_OP_COUNT][2][WAYS]; /* by op, use of beta, and way */
};
/* Gamma and beta, and as they are stored. */
struct params {
    double *gamma, *beta;
    void *gamma_stored, *beta_stored;
};
/* What a pass reads, rows and strides of one layout. second: dy or the residual, where there is one. */
struct sheet {
    struct nb_buffer x, second;
    uint64_t x_hash, second_hash;
};
struct nb_check_data {
    const struct nb_cell *cell;
    uint64_t seed;
    struct params params, timed_params; /* of the mixture; of the timed data */
    struct row_set mixture, timed;
    /* x of the two large layouts, filled once: checks forked later read it and own only what they write */
    struct nb_cell mixture_cell;
    struct sheet mixture_in, timed_in;
};

static bool is_back(const struct nb_cell *c)
{
    return c->dir == NB_BWD;
}

static bool is_fused(const struct nb_cell *c)
{
    return c->fuse != NB_FUSE_NONE && !is_back(c);
}

static bool has_second(const struct nb_cell *c)
{
    return is_back(c) || is_fused(c);
}

static bool has_gradient(const struct nb_kernel *k)
{
    return k->dir == NB_BWD && nb_op_is_layer(k->op);
}

/* Works on the sum of its two inputs: the norm of one, and the triad, backward too. */
static bool has_sum(const struct nb_kernel *k)
{
    return k->fuse != NB_FUSE_NONE && !has_gradient(k);
}

/* Writes dx = alpha*dres, where others write dx alone. */
static bool has_two_gradients(const struct nb_kernel *k)
{
    return k->fuse != NB_FUSE_NONE && has_gradient(k);
}

/* Whether its sum is alpha*x, rounded, + residual: two ways are right, and the kernel's arithmetic says which. */
static bool rounded_apart(const struct nb_kernel *k)
{
    return has_sum(k) && nb_op_facts(k->op)->fused && !nb_kernel_fuses(k);
}

static enum way way_of(const struct nb_kernel *k)
{
    return !has_sum(k) ? OF_X : rounded_apart(k) ? OF_SUM_APART : OF_SUM;
}

static const struct oracle *oracle_of(const struct row_set *s, const struct nb_kernel *k)
{
    return &s->oracles[k->op][nb_uses_beta(k)][way_of(k)];
}

static size_t clamp(size_t v, size_t low, size_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* A cell of few rows is judged on more, so that every family has its turn; of a large one 2 MiB do, an
 * odd number over, so that blocks of rows leave a remainder: the timed layout has them all. */
static size_t mixture_rows(const struct nb_cell *c)
{
    const size_t most = MIXTURE_BYTES / (c->hidden * nb_dtype_bytes(c->dtype)) | 1;
    return clamp(c->rows, MIXTURE_MIN, most > MIXTURE_MIN ? most : MIXTURE_MIN);
}

/* Rows that the oracle judges: of the mixture, and of the timed data. */
static size_t mixture_judged(const struct nb_cell *c)
{
    return min_size(mixture_rows(c), clamp(ORACLE_ELEMENTS / c->hidden, MIXTURE_MIN, ORACLE_ROWS));
}

static size_t timed_judged(const struct nb_cell *c)
{
    return min_size(c->rows, clamp(ORACLE_ELEMENTS / 2 / c->hidden, 4, TIMED_ROWS));
}

/* x, oracles and two outputs of the judged rows; the tensors, and the mixture's x and y beside them. */
double nb_check_bytes(const struct nb_cell *c, double tensors)
{
    const double h = (double)c->hidden, es = (double)nb_dtype_bytes(c->dtype);
    const double judged = (double)(mixture_judged(c) + timed_judged(c));
    double oracles = 0;
    bool seen[NB_OP_COUNT][2][WAYS] = {{{false}}};
    for (size_t i = 0; i < c->kernel_count; i++) {
        const struct nb_kernel *k = c->kernels[i];
        bool *of = &seen[k->op][nb_uses_beta(k)][way_of(k)];
        oracles += *of ? 0 : sizeof(struct nb_dd) + (has_sum(k) ? sizeof(double) : 0);
        *of = true;
    }
    return 2 * tensors + judged * h * (3 * sizeof(double) + oracles) +
           (has_second(c) ? 6 : 3) * (double)mixture_rows(c) * h * es;
}

/* Of the endless stream, as it is stored. */
static void stream_row(const struct nb_check_data *d, size_t first, double *row)
{
    const struct nb_cell *c = d->cell;
    char *stored = alloc(c->hidden, nb_dtype_bytes(c->dtype));
    nb_input_stream_copy(c->dtype, d->seed, first, stored, c->hidden);
    nb_decode(c->dtype, stored, row, c->hidden);
    free(stored);
}

/* Where in the stream a row of the timed second input begins. */
static size_t second_start(const struct nb_cell *c, size_t row)
{
    return nb_cell_second_in(c) / nb_dtype_bytes(c->dtype) + row * c->ldx;
}

/* As the dtype holds it. */
static void round_row(uint32_t dtype, double *row, size_t n)
{
    char *stored = alloc(n, nb_dtype_bytes(dtype));
    nb_encode(dtype, row, stored, n);
    nb_decode(dtype, stored, row, n);
    free(stored);
}

/* A residual under which a row of a family stays one of its kind: a quarter of it, backwards and negated. */
static void kindred_row(uint32_t dtype, const double *x, double *residual, size_t n)
{
    for (size_t i = 0; i < n; i++)
        residual[i] = isinf(x[n - 1 - i]) ? 1 : x[n - 1 - i] / -4;
    round_row(dtype, residual, n);
}

static void make_second(struct nb_check_data *d, struct row_set *s)
{
    const struct nb_cell *c = d->cell;
    const size_t n = c->hidden;
    if (!has_second(c))
        return;
    s->second = alloc(s->count * n, sizeof *s->second);
    for (size_t i = 0; i < s->count; i++)
        if (is_fused(c) && s == &d->mixture && i % 2 == 0)
            kindred_row(c->dtype, s->x + i * n, s->second + i * n, n);
        else
            stream_row(d, second_start(c, s->row[i]), s->second + i * n);
}

static void make_mixture(struct nb_check_data *d)
{
    const struct nb_cell *c = d->cell;
    struct row_set *s = &d->mixture;
    s->count = mixture_judged(c);
    s->row = alloc(s->count, sizeof *s->row);
    s->x = alloc(s->count * c->hidden, sizeof *s->x);
    for (size_t i = 0; i < s->count; i++) {
        s->row[i] = i;
        nb_family_row(nb_check_family(c->dtype, i), c->dtype, d->seed, i, s->x + i * c->hidden,
                      c->hidden);
    }
    make_second(d, s);
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
    s->count = timed_judged(c);
    s->row = alloc(s->count, sizeof *s->row);
    s->x = alloc(s->count * c->hidden, sizeof *s->x);
    for (size_t i = 0; i < s->count; i++) {
        s->row[i] = sample_row(c, d->seed, i);
        stream_row(d, s->row[i] * c->ldx, s->x + i * c->hidden);
    }
    make_second(d, s);
}

static void put_row(const struct nb_cell *c, const struct nb_buffer *to, size_t at, const double *row)
{
    nb_encode(c->dtype, row, to->data + at * c->ldx * nb_dtype_bytes(c->dtype), c->hidden);
}

static void sheet_map(struct sheet *in, const struct nb_cell *c, long x_offset, long second_offset)
{
    *in = (struct sheet){0};
    map_or_abort(&in->x, span(c, c->ldx), x_offset);
    nb_buffer_name(&in->x, "x");
    if (has_second(c))
        map_or_abort(&in->second, span(c, c->ldx), second_offset);
    nb_buffer_name(&in->second, is_back(c) ? "dy" : "residual");
}

static void sheet_free(struct sheet *in)
{
    nb_buffer_free(&in->x);
    nb_buffer_free(&in->second);
}

uint64_t nb_check_hash(const struct nb_buffer *b)
{
    return b->map != NULL ? nb_hash_bytes(0, b->data, b->bytes) : 0;
}

static void sheet_seal(struct sheet *in)
{
    in->x_hash = nb_check_hash(&in->x);
    in->second_hash = nb_check_hash(&in->second);
}

/* Row i of the set, as row `at` of the sheet. */
static void sheet_put(struct sheet *in, const struct nb_cell *c, size_t at, const struct row_set *s, size_t i)
{
    put_row(c, &in->x, at, s->x + i * c->hidden);
    if (has_second(c))
        put_row(c, &in->second, at, s->second + i * c->hidden);
}

/* Rows beyond the distinct ones are copies of them: their outputs must be copies too. */
static void map_inputs(struct nb_check_data *d)
{
    const struct nb_cell *c = &d->mixture_cell;
    const size_t es = nb_dtype_bytes(c->dtype);
    sheet_map(&d->mixture_in, c, -1, -1);
    for (size_t row = 0; row < c->rows; row++)
        sheet_put(&d->mixture_in, c, row, &d->mixture, row % d->mixture.count);
    sheet_map(&d->timed_in, d->cell, 0, NB_OFFSET_SECOND);
    nb_input_stream_copy(c->dtype, d->seed, 0, d->timed_in.x.data, d->timed_in.x.bytes / es);
    if (has_second(c))
        nb_input_stream_copy(c->dtype, d->seed, second_start(d->cell, 0), d->timed_in.second.data, d->timed_in.second.bytes / es);
    sheet_seal(&d->mixture_in);
    sheet_seal(&d->timed_in);
}

/* in_place: those under which a pass over its own output stays ordinary. */
static void make_params(struct params *p, const struct nb_cell *c, uint64_t seed, bool in_place)
{
    const size_t n = c->hidden, bytes = nb_dtype_bytes(c->param_dtype);
    p->gamma = alloc(n, sizeof *p->gamma);
    p->beta = alloc(n, sizeof *p->beta);
    p->gamma_stored = alloc(n, bytes);
    p->beta_stored = alloc(n, bytes);
    if (in_place) {
        nb_input_gamma_in_place(seed, p->gamma, n);
        nb_input_beta_in_place(p->beta, n);
    } else {
        nb_input_gamma(c->param_dtype, seed, p->gamma, n);
        nb_input_beta(c->param_dtype, seed, p->beta, n);
    }
    nb_encode(c->param_dtype, p->gamma, p->gamma_stored, n);
    nb_encode(c->param_dtype, p->beta, p->beta_stored, n);
}

static void free_params(struct params *p)
{
    free(p->gamma);
    free(p->beta);
    free(p->gamma_stored);
    free(p->beta_stored);
}

struct nb_check_data *nb_check_data_make(const struct nb_cell *cell, uint64_t seed)
{
    struct nb_check_data *d = alloc(1, sizeof *d);
    d->cell = cell;
    d->seed = seed;
    make_params(&d->params, cell, seed, false);
    make_params(&d->timed_params, cell, seed, cell->in_place);
    make_mixture(d);
    make_timed(d);
    d->mixture_cell = *cell;
    d->mixture_cell.rows = mixture_rows(cell);
    map_inputs(d);
    return d;
}

static void free_oracle(struct oracle *o)
{
    free(o->h);
    free(o->y);
    free(o->stats);
    free(o->gradients);
    for (size_t i = 0; i < o->share_count; i++) {
        free(o->shares[i].dgamma);
        free(o->shares[i].dbeta);
        free(o->shares[i].dgamma_unit);
        free(o->shares[i].dgamma_moved);
        free(o->shares[i].dbeta_unit);
        free(o->shares[i].dalpha);
        free(o->shares[i].dalpha_unit);
    }
    free(o->shares);
}

static void free_rows(struct row_set *s)
{
    for (size_t i = 0; i < NB_OP_COUNT * 2 * WAYS; i++)
        free_oracle(&s->oracles[i / (2 * WAYS)][i / WAYS % 2][i % WAYS]);
    free(s->row);
    free(s->x);
    free(s->second);
}

void nb_check_data_free(struct nb_check_data *d)
{
    if (d == NULL)
        return;
    free_rows(&d->mixture);
    free_rows(&d->timed);
    sheet_free(&d->mixture_in);
    sheet_free(&d->timed_in);
    free_params(&d->params);
    free_params(&d->timed_params);
    free(d);
}

static struct nb_ref_row ref_row(const struct nb_check_data *d, const struct row_set *s,
                                 const struct nb_kernel *k, size_t i, size_t piece)
{
    const struct nb_problem p = nb_cell_problem(d->cell, k);
    const struct params *params = s == &d->timed ? &d->timed_params : &d->params;
    const double *x = (has_sum(k) ? oracle_of(s, k)->h : s->x) + i * d->cell->hidden;
    if (k->op == NB_OP_TRIAD && !has_sum(k))
        return nb_appraise_row(&p, s->second + i * d->cell->hidden, NULL, x, 0);
    return nb_appraise_row(&p, x, nb_uses_gamma(k) ? params->gamma : NULL,
                           nb_uses_beta(k) ? params->beta : NULL, piece);
}

static size_t pieces_of(const struct nb_check_data *d, const struct nb_kernel *k)
{
    const struct nb_problem p = nb_cell_problem(d->cell, k);
    return nb_op_pieces(&p);
}

/* ---- the oracle of a pass backward ---- */

static struct nb_ref_gradient gradient_of(const struct nb_check_data *d, const struct row_set *s, const struct nb_kernel *k,
                                          const double *x, const double *dy, size_t piece)
{
    const struct nb_problem p = nb_cell_problem(d->cell, k);
    const struct params *params = s == &d->timed ? &d->timed_params : &d->params;
    return nb_appraise_gradient_row(&p, x, dy, nb_uses_gamma(k) ? params->gamma : NULL, piece);
}

static struct nb_ref_gradient gradient_row(const struct nb_check_data *d, const struct row_set *s,
                                           const struct nb_kernel *k, size_t i, size_t piece)
{
    return gradient_of(d, s, k, s->x + i * d->cell->hidden, s->second + i * d->cell->hidden, piece);
}

/* Rows of the mixture whose shares may be summed with others' and judged: no family that is there to break something,
 * and nothing beside which others are lost. */
static bool is_sound_row(const struct nb_check_data *d, const struct oracle *o, const struct nb_kernel *k, size_t i)
{
    const size_t pieces = pieces_of(d, k);
    bool sound = nb_family_is_likely(nb_check_family(d->cell->dtype, i));
    struct nb_ref_limits limits;
    for (size_t piece = 0; sound && piece < pieces; piece++) {
        const struct nb_ref_gradient r = gradient_row(d, &d->mixture, k, i, piece);
        sound = nb_appraise_gradient_limits(k, &r, &o->gradients[i * pieces + piece], &limits) == NB_REF_INSIDE;
    }
    return sound;
}

/* All rows of the timed data, which are in storage alone. */
static void share_timed(const struct nb_check_data *d, const struct nb_kernel *k, struct oracle *o)
{
    const struct nb_cell *c = d->cell;
    const size_t pieces = pieces_of(d, k);
    double *x = alloc(c->hidden, sizeof *x), *dy = alloc(c->hidden, sizeof *dy);
    struct nb_ref_gradient_stats stats;
    for (size_t i = 0; i < c->rows * pieces; i++) {
        if (i % pieces == 0) {
            stream_row(d, i / pieces * c->ldx, x);
            stream_row(d, second_start(c, i / pieces), dy);
        }
        const struct nb_ref_gradient r = gradient_of(d, &d->timed, k, x, dy, i % pieces);
        nb_ref_gradient_look(&r, &stats);
        nb_ref_shares_add(&r, &stats, 1, &o->shares[i % pieces % o->share_count]);
    }
    free(x);
    free(dy);
}

static void share_mixture(const struct nb_check_data *d, const struct nb_kernel *k, struct oracle *o)
{
    const size_t pieces = pieces_of(d, k);
    for (size_t i = 0; i < d->mixture.count * pieces; i++) {
        const struct nb_ref_gradient r = gradient_row(d, &d->mixture, k, i / pieces, i % pieces);
        if (is_sound_row(d, o, k, i / pieces))
            nb_ref_shares_add(&r, &o->gradients[i], 1, &o->shares[i % pieces % o->share_count]);
    }
}

static struct nb_ref_shares no_shares(size_t n, bool beta)
{
    return (struct nb_ref_shares){.n = n,
                                  .dgamma = alloc(n, sizeof(struct nb_dd)),
                                  .dbeta = beta ? alloc(n, sizeof(struct nb_dd)) : NULL,
                                  .dgamma_unit = alloc(n, sizeof(double)),
                                  .dgamma_moved = alloc(n, sizeof(double)),
                                  .dbeta_unit = beta ? alloc(n, sizeof(double)) : NULL,
                                  .dalpha = alloc(1, sizeof(struct nb_dd)),
                                  .dalpha_unit = alloc(1, sizeof(double))};
}

static void make_gradients(struct nb_check_data *d, struct row_set *s, const struct nb_kernel *k, struct oracle *o)
{
    const struct nb_problem p = nb_cell_problem(d->cell, k);
    const size_t pieces = nb_op_pieces(&p), n = p.hidden / pieces, params = nb_op_params(&p), own = min_size(n, params);
    o->gradients = alloc(s->count * pieces, sizeof *o->gradients);
    for (size_t i = 0; i < s->count * pieces; i++) {
        const struct nb_ref_gradient r = gradient_row(d, s, k, i / pieces, i % pieces);
        nb_ref_backward_row(&r, o->y + i * n, NULL, NULL);
        nb_ref_gradient_look(&r, &o->gradients[i]);
    }
    o->share_count = params / own;
    o->shares = alloc(o->share_count, sizeof *o->shares);
    for (size_t i = 0; i < o->share_count; i++)
        o->shares[i] = no_shares(own, nb_uses_beta(k));
    if (s == &d->timed)
        share_timed(d, k, o);
    else
        share_mixture(d, k, o);
}

/* The sum in the arithmetic's type, then in the tensor's. */
static void make_h(const struct nb_check_data *d, const struct row_set *s, const struct nb_kernel *k, struct oracle *o)
{
    const struct nb_problem p = nb_cell_problem(d->cell, k);
    const double alpha = nb_op_facts(k->op)->fused ? p.alpha : 1;
    const size_t n = s->count * p.hidden;
    o->h = alloc(n, sizeof *o->h);
    for (size_t i = 0; i < n; i++)
        o->h[i] = nb_ref_sum(alpha, s->x[i], s->second[i], p.dtype == NB_F64, !rounded_apart(k));
    round_row(p.dtype, o->h, n);
}

static void make_oracle(struct nb_check_data *d, struct row_set *s, const struct nb_kernel *k)
{
    struct oracle *o = &s->oracles[k->op][nb_uses_beta(k)][way_of(k)];
    if (o->ready)
        return;
    const size_t pieces = pieces_of(d, k), n = d->cell->hidden / pieces;
    o->y = alloc(s->count * d->cell->hidden, sizeof *o->y);
    o->stats = alloc(s->count * pieces, sizeof *o->stats);
    if (has_sum(k))
        make_h(d, s, k, o);
    if (has_gradient(k))
        make_gradients(d, s, k, o);
    for (size_t i = 0; i < s->count * pieces && !has_gradient(k); i++) {
        const struct nb_ref_row r = ref_row(d, s, k, i / pieces, i % pieces);
        nb_ref_forward(&r, o->y + i * n, &o->stats[i]);
    }
    o->ready = true;
}

void nb_check_prepare(struct nb_check_data *d, const struct nb_kernel *k)
{
    if (nb_op_facts(k->op)->columns) /* few columns, judged where they are checked */
        return;
    make_oracle(d, &d->mixture, k);
    make_oracle(d, &d->timed, k);
}

/* ---- one run of the kernel ---- */

/* Inputs, outputs and parameters of one layout. y: backward dx. h: where it is written; backward dres. */
struct layout {
    struct nb_cell cell; /* rows and strides of this run */
    const struct sheet *in;
    bool in_place; /* the kernel works on a copy of x in y */
    struct nb_buffer y, h, gamma, beta, mean, rstd, scratch, dgamma, dbeta, dalpha;
    struct nb_execution exec;
};
#define LAYOUT_BUFFERS(l)                                                                    \
    {                                                                                        \
        &(l)->y, &(l)->h, &(l)->gamma, &(l)->beta, &(l)->mean, &(l)->rstd, &(l)->scratch, &(l)->dgamma, &(l)->dbeta, \
        &(l)->dalpha \
    }
#define LAYOUT_NAMES                                                                         \
    {                                                                                        \
        "y", "h", "gamma", "beta", "mean", "rstd", "scratch", "dgamma", "dbeta", "dalpha" \
    }
static const char *const OUT_NAMES[NB_DIR_COUNT][2] = {{"y", "h"}, {"dx", "dres"}};

void nb_check_fail(struct nb_check_result *r, enum nb_verdict v, const char *reason)
{
    if (r->verdict == NB_UNTESTED || r->verdict == NB_PASS) {
        r->verdict = v;
        snprintf(r->reason, sizeof(r->reason), "%s", reason);
    }
}

static void fail(struct nb_check_result *r, enum nb_verdict v, const char *reason)
{
    nb_check_fail(r, v, reason);
}

/* It wrote where it must not: memory of the check itself may be damaged, which would crash later and hide the reason. */
static bool is_harmless(const struct nb_check_result *r)
{
    return r->verdict != NB_FAIL_OOB_WRITE;
}

void nb_check_damage(struct nb_check_result *r, const struct nb_buffer *b)
{
    const char *side = nb_buffer_damage(b);
    char text[96];
    if (side == NULL)
        return;
    snprintf(text, sizeof text, "bytes just %s %s were overwritten", side, b->name);
    fail(r, NB_FAIL_OOB_WRITE, text);
}

void nb_check_input(struct nb_check_result *r, const struct nb_buffer *b, uint64_t before)
{
    char text[96];
    if (nb_check_hash(b) == before)
        return;
    snprintf(text, sizeof text, "wrote to %s, which is an input", b->name);
    fail(r, NB_FAIL_OOB_WRITE, text);
}

static void stored_row(void *context, size_t row, double *x)
{
    const struct layout *l = context;
    const struct nb_cell *c = &l->cell;
    nb_decode(c->dtype, l->in->x.data + row * c->ldx * nb_dtype_bytes(c->dtype), x, c->hidden);
}

/* The statistics that a pass backward is given, of the rows as they lie in x. */
static void save_stats(struct layout *l, const struct nb_kernel *k)
{
    const struct nb_problem p = nb_cell_problem(&l->cell, k);
    if (has_gradient(k) && nb_op_facts(k->op)->norm)
        nb_saved_all(&p, stored_row, l, l->mean.data, l->rstd.data);
}

/* Its arguments, but for what an execution adds. */
static struct nb_args layout_args(const struct layout *l)
{
    if (!is_back(&l->cell))
        return (struct nb_args){.x = l->in->x.data, .residual = l->in->second.data, .y = l->y.data,
                                .h = l->h.data, .gamma = l->gamma.data, .beta = l->beta.data,
                                .mean = l->mean.data, .rstd = l->rstd.data};
    return (struct nb_args){.x = l->in->x.data, .dy = l->in->second.data, .dx = l->y.data, .dres = l->h.data,
                            .gamma = l->gamma.data, .dgamma = l->dgamma.data, .dbeta = l->dbeta.data,
                            .dalpha = l->dalpha.data, .mean = l->mean.data, .rstd = l->rstd.data};
}

/* Where a tensor begins: offset, so many elements later; shift < 0: it ends at a guard page. */
static long placed(long offset, long shift, enum nb_dtype dtype)
{
    return shift < 0 ? -1 : offset + shift * (long)nb_dtype_bytes(dtype);
}

static void layout_name(struct layout *l)
{
    static const char *const names[] = LAYOUT_NAMES;
    struct nb_buffer *all[] = LAYOUT_BUFFERS(l);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        nb_buffer_name(all[i], names[i]);
    nb_buffer_name(&l->y, OUT_NAMES[is_back(&l->cell)][0]);
    nb_buffer_name(&l->h, OUT_NAMES[is_back(&l->cell)][1]);
}

/* shift < 0: every tensor ends at a guard page; otherwise at the addresses of the timing, so many of its elements on.
 * False: the kernel could not prepare itself for it. */
static bool layout_map(struct layout *l, const struct nb_check_data *d, const struct nb_kernel *k,
                       const struct nb_cell *cell, const struct sheet *in, long shift)
{
    const struct nb_problem p = nb_cell_problem(cell, k);
    const size_t param = nb_op_params(&p) * nb_dtype_bytes(cell->param_dtype), ss = nb_stat_bytes(cell->dtype);
    const struct params *params = in == &d->timed_in ? &d->timed_params : &d->params;
    *l = (struct layout){.cell = *cell, .in = in};
    map_or_abort(&l->y, span(cell, cell->ldy), placed((long)cell->offset, shift, cell->dtype));
    if (nb_kernel_second_out(cell, k) > 0)
        map_or_abort(&l->h, span(cell, cell->ldy), placed((long)(cell->offset + NB_OFFSET_SECOND) % 4096, shift, cell->dtype));
    map_or_abort(&l->gamma, param, placed(1024, shift, cell->param_dtype));
    map_or_abort(&l->beta, param, placed(3136, shift, cell->param_dtype));
    memcpy(l->gamma.data, params->gamma_stored, param);
    memcpy(l->beta.data, params->beta_stored, param);
    if (cell->stats_out || is_back(cell)) {
        map_or_abort(&l->mean, nb_op_stats(&p) * ss, shift < 0 ? -1 : 0);
        map_or_abort(&l->rstd, nb_op_stats(&p) * ss, shift < 0 ? -1 : 0);
    }
    if (is_back(cell)) {
        map_or_abort(&l->dgamma, param, placed(512, shift, cell->param_dtype));
        map_or_abort(&l->dbeta, param, placed(2560, shift, cell->param_dtype));
        map_or_abort(&l->dalpha, ss, shift < 0 ? -1 : 64);
    }
    const size_t scratch = nb_scratch_bytes(k, &p, cell->threads);
    if (scratch > 0)
        map_or_abort(&l->scratch, scratch, 0);
    layout_name(l);
    save_stats(l, k);
    const struct nb_args args = layout_args(l);
    return nb_execution_begin(&l->exec, &l->cell, k, &args, l->scratch.data);
}

static void layout_free(struct layout *l)
{
    struct nb_buffer *all[] = LAYOUT_BUFFERS(l);
    nb_execution_end(&l->exec);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        nb_buffer_free(all[i]);
}

static void unprepared(struct nb_check_result *r)
{
    fail(r, NB_SKIP_OPTION, "its prepare returned NULL for a problem that its supports accepts");
}

static bool filled_with(const char *p, size_t n, int fill)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] != fill)
            return false;
    return true;
}

static void fail_unwritten(const struct layout *l, int out, struct nb_check_result *r)
{
    char text[80];
    snprintf(text, sizeof text, "an element of %s keeps what stood there before", OUT_NAMES[is_back(&l->cell)][out]);
    fail(r, NB_FAIL_UNWRITTEN, text);
}

/* Gaps between the rows of an output that was filled before the run. */
static void check_gaps(const struct nb_cell *c, const struct nb_buffer *out, int fill, const char *name,
                       struct nb_check_result *r)
{
    const size_t es = nb_dtype_bytes(c->dtype), gap = (c->ldy - c->hidden) * es;
    char text[80];
    for (size_t row = 0; out->map != NULL && gap > 0 && row + 1 < c->rows; row++)
        if (!filled_with(out->data + (row * c->ldy + c->hidden) * es, gap, fill)) {
            snprintf(text, sizeof text, "bytes between two rows of %s were overwritten", name);
            fail(r, NB_FAIL_OOB_WRITE, text);
        }
}

/* Canaries and, where y was filled before the run, gaps between rows must be untouched. */
static void check_edges(const struct layout *l, int fill, struct nb_check_result *r)
{
    const struct nb_buffer *all[] = LAYOUT_BUFFERS(l);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        nb_check_damage(r, all[i]);
    if (fill >= 0) {
        check_gaps(&l->cell, &l->y, fill, OUT_NAMES[is_back(&l->cell)][0], r);
        check_gaps(&l->cell, &l->h, fill, OUT_NAMES[is_back(&l->cell)][1], r);
    }
}

/* What is written besides y. */
static void fill_others(struct layout *l, int fill)
{
    if (l->h.map != NULL)
        memset(l->h.data, fill, l->h.bytes);
    if (is_back(&l->cell)) {
        memset(l->dgamma.data, fill, l->dgamma.bytes);
        memset(l->dbeta.data, fill, l->dbeta.bytes);
        memset(l->dalpha.data, fill, l->dalpha.bytes);
    }
}

static void run_filled(struct layout *l, int fill, struct nb_check_result *r)
{
    if (l->in_place)
        memcpy(l->y.data, l->in->x.data, l->y.bytes);
    else
        memset(l->y.data, fill, l->y.bytes);
    fill_others(l, fill);
    nb_execute(&l->exec, 1);
    check_edges(l, fill, r);
}

static uint64_t rows_hash(const struct layout *l)
{
    const struct nb_cell *c = &l->cell;
    const size_t es = nb_dtype_bytes(c->dtype);
    uint64_t h = 0;
    for (size_t row = 0; row < c->rows; row++)
        h = nb_hash_bytes(h, l->y.data + row * c->ldy * es, c->hidden * es);
    for (size_t row = 0; row < c->rows && l->h.map != NULL; row++)
        h = nb_hash_bytes(h, l->h.data + row * c->ldy * es, c->hidden * es);
    return nb_shares_hash(h, &l->exec);
}

static void explain_shares(const struct layout *l, struct nb_check_result *r)
{
    const size_t ps = nb_dtype_bytes(l->cell.param_dtype);
    const char *const shares[] = {l->exec.args.dgamma, l->exec.args.dbeta};
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; shares[s] != NULL && i < nb_op_params(&l->exec.problem); i++)
            if (filled_with(shares[s] + i * ps, ps, FILL_B))
                fail(r, NB_FAIL_UNWRITTEN, "an element of dgamma or dbeta keeps what stood there before");
    if (l->exec.args.dalpha != NULL && filled_with(l->exec.args.dalpha, l->dalpha.bytes, FILL_B))
        fail(r, NB_FAIL_UNWRITTEN, "dalpha keeps what stood there before");
}

/* An element of an output that has one fill in the copy of the first run, and the other now. */
static bool keeps_fill(const struct nb_cell *c, const struct nb_buffer *out, const char *first)
{
    const size_t es = nb_dtype_bytes(c->dtype);
    for (size_t row = 0; row < c->rows; row++)
        for (size_t i = 0; i < c->hidden; i++) {
            const size_t at = (row * c->ldy + i) * es;
            if (filled_with(first + at, es, FILL_A) && filled_with(out->data + at, es, FILL_B))
                return true;
        }
    return false;
}

/* An element that keeps its fill in both runs was not written; one that differs otherwise is not
 * deterministic. */
static void explain_difference(struct layout *l, struct nb_check_result *r)
{
    char *y = alloc(l->y.bytes, 1), *h = alloc(l->h.bytes, 1);
    run_filled(l, FILL_A, r);
    memcpy(y, l->y.data, l->y.bytes);
    if (l->h.map != NULL)
        memcpy(h, l->h.data, l->h.bytes);
    run_filled(l, FILL_B, r);
    if (!l->in_place && keeps_fill(&l->cell, &l->y, y))
        fail_unwritten(l, 0, r);
    if (l->h.map != NULL && keeps_fill(&l->cell, &l->h, h))
        fail_unwritten(l, 1, r);
    explain_shares(l, r);
    fail(r, NB_FAIL_NONDETERMINISTIC, "two runs over the same data differ");
    free(y);
    free(h);
}

/* What a layout is given besides its sheet; backward the statistics are inputs. */
enum { GIVEN = 4 };
static size_t given(const struct layout *l, const struct nb_buffer *list[GIVEN])
{
    list[0] = &l->gamma;
    list[1] = &l->beta;
    list[2] = &l->mean;
    list[3] = &l->rstd;
    return is_back(&l->cell) ? 4 : 2;
}

static void check_inputs(const struct layout *l, const uint64_t before[GIVEN], struct nb_check_result *r)
{
    const struct nb_buffer *list[GIVEN];
    const size_t n = given(l, list);
    nb_check_damage(r, &l->in->x);
    nb_check_damage(r, &l->in->second);
    nb_check_input(r, &l->in->x, l->in->x_hash);
    nb_check_input(r, &l->in->second, l->in->second_hash);
    for (size_t i = 0; i < n; i++)
        nb_check_input(r, list[i], before[i]);
}

/* Two runs over different fills, or in place over the same input, must agree bitwise and leave all inputs as they were:
 * those are looked at first, for a changed one makes the outputs differ. Leaves the second output in y. */
static void run_twice(struct layout *l, struct nb_check_result *r)
{
    const struct nb_buffer *list[GIVEN];
    uint64_t before[GIVEN];
    const size_t n = given(l, list);
    for (size_t i = 0; i < n; i++)
        before[i] = nb_check_hash(list[i]);
    run_filled(l, FILL_A, r);
    const uint64_t first = rows_hash(l);
    run_filled(l, FILL_B, r);
    check_inputs(l, before, r);
    if (is_harmless(r) && rows_hash(l) != first)
        explain_difference(l, r);
}

/* ---- judging ---- */

void nb_check_judge(struct nb_check_result *r, const struct nb_appraisal *a, bool likely, const char *what, size_t row)
{
    const struct nb_ref_error *e = &a->error;
    const struct nb_ref_limit *limit = likely ? &a->limits.likely : &a->limits.worst;
    const char *fault = nb_appraisal_fault(a, likely);
    char text[200];
    if (e->nonfinite > 0) {
        snprintf(text, sizeof text, "%zu elements are NaN or Inf where they should not be (or the reverse), "
                 "%s row %zu", e->nonfinite, what, row);
        fail(r, NB_FAIL_NONFINITE, text);
    } else if (fault != NULL && fault[0] == 'E') {
        snprintf(text, sizeof text, "E %.4g is %.3g times what the %s bound %.4g allows, %s row %zu element %zu",
                 e->E_max, e->share > 1 ? e->share : e->share_likely,
                 e->share > 1 ? "worst-case" : "probabilistic",
                 e->share > 1 ? a->limits.worst.E : a->limits.likely.E, what, row, e->worst);
        fail(r, NB_FAIL_VALUE, text);
    } else if (fault != NULL) {
        snprintf(text, sizeof text, "saved %s is off by %.4g units, its bound is %.4g, %s row %zu", fault,
                 fault[0] == 'm' ? a->mean_error : a->rstd_error,
                 fault[0] == 'm' ? limit->mean : limit->rstd, what, row);
        fail(r, NB_FAIL_VALUE, text);
    }
    if (!r->judged || e->E_max > r->E_max) {
        r->E_max = e->E_max;
        r->E_p99 = e->E_p99;
        r->bound = limit->E;
        snprintf(r->worst, sizeof(r->worst), "%s row %zu", what, row);
    }
    r->judged = 1;
    r->ulp_max = fmax(r->ulp_max, e->ulp_max);
    r->normwise = fmax(r->normwise, e->normwise);
    r->rms_error = fmax(r->rms_error, e->rms);
}

/* One of the norms of row `at` of a layout, which is row i of the set. */
static void judge_piece(const struct nb_check_data *d, const struct row_set *s, size_t i, size_t piece,
                        const struct nb_kernel *k, const struct layout *l, size_t at, bool likely, const char *what,
                        struct nb_check_result *r)
{
    const size_t pieces = pieces_of(d, k), n = d->cell->hidden / pieces;
    const size_t stat = (at * pieces + piece) * nb_stat_bytes(k->dtype);
    const struct oracle *o = oracle_of(s, k);
    const struct nb_buffer *out = has_two_gradients(k) ? &l->h : &l->y;
    const char *y = out->data + (at * l->cell.ldy + piece * n) * nb_dtype_bytes(k->dtype);
    double *scratch = alloc(2 * n, sizeof *scratch);
    struct nb_appraisal a;
    if (has_gradient(k)) {
        const struct nb_ref_gradient row = gradient_row(d, s, k, i, piece);
        nb_appraise_gradient(k, &row, o->y + (i * pieces + piece) * n, &o->gradients[i * pieces + piece], y, scratch, &a);
    } else {
        const struct nb_ref_row row = ref_row(d, s, k, i, piece);
        nb_appraise(k, &row, o->y + (i * pieces + piece) * n, &o->stats[i * pieces + piece], y,
                    l->mean.data ? l->mean.data + stat : NULL, l->rstd.data ? l->rstd.data + stat : NULL, scratch,
                    &a);
    }
    if (a.hazard == NB_REF_INSIDE)
        nb_check_judge(r, &a, likely, what, i);
    r->unstable_rows += a.hazard == NB_REF_UNSTABLE;
    r->overflow_rows += a.hazard == NB_REF_OVERFLOW;
    r->rows_checked++;
    free(scratch);
}

/* dgamma, dbeta and dalpha of all rows of a call, group by group. */
static void judge_shares(const struct row_set *s, const struct nb_kernel *k, const struct layout *l, const char *what,
                         struct nb_check_result *r)
{
    const struct oracle *o = oracle_of(s, k);
    const size_t n = o->shares[0].n, bytes = n * nb_dtype_bytes(l->cell.param_dtype);
    static const char *const names[] = {[NB_REF_DGAMMA] = "dgamma", [NB_REF_DBETA] = "dbeta", [NB_REF_DALPHA] = "dalpha"};
    enum { SHARES = sizeof names / sizeof *names };
    const char *const shares[SHARES] = {l->exec.args.dgamma, l->exec.args.dbeta, l->exec.args.dalpha};
    double *scratch = alloc(2 * n, sizeof *scratch);
    char of[96];
    for (size_t i = 0; i < SHARES * o->share_count; i++) {
        const size_t which = i % SHARES, group = i / SHARES;
        struct nb_appraisal a;
        if (shares[which] == NULL)
            continue;
        nb_appraise_share(k, l->cell.param_dtype, &o->shares[group], (enum nb_ref_share)which,
                          shares[which] + group * bytes, scratch, &a);
        snprintf(of, sizeof of, "%s of %s,", names[which], what);
        if (a.hazard == NB_REF_INSIDE)
            nb_check_judge(r, &a, true, of, group);
        else if (a.hazard == NB_REF_UNSTABLE)
            fail(r, NB_SKIP_SHAPE, "so many rows that no bound on a sum over them holds");
        else
            fail(r, NB_FAIL_VALUE, "sums over ordinary rows leave the range that the oracle vouches for");
    }
    free(scratch);
}

/* What is a sum or a product has no error bound: it is rounded as it must be, or wrong. */
static bool is_exact(const struct nb_kernel *k, double got, double want)
{
    if (isnan(want))
        return isnan(got);
    if (k->flushes && fabs(want) < nb_arith_min(k->dtype))
        return got == 0 || got == want;
    return got == want && signbit(got) == signbit(want);
}

/* alpha*dres, of dres as it is. */
static void scaled_row(const struct nb_kernel *k, const struct layout *l, size_t at, double *want)
{
    const struct nb_problem *p = &l->exec.problem;
    nb_decode(p->dtype, l->h.data + at * p->ldy * nb_dtype_bytes(p->dtype), want, p->hidden);
    for (size_t j = 0; j < p->hidden; j++)
        want[j] = nb_ref_product(p->alpha, want[j], k->dtype == NB_F64);
    round_row(p->dtype, want, p->hidden);
}

static const char *exact_formula(const struct nb_kernel *k)
{
    if (has_two_gradients(k))
        return "alpha*dres rounded once";
    if (rounded_apart(k))
        return "alpha*x, rounded, + residual rounded";
    if (nb_op_facts(k->op)->fused)
        return "alpha*x + residual rounded once";
    return k->dir == NB_BWD ? "x + dy rounded once" : "x + residual rounded once";
}

/* What must be exact of row `at` of a layout, which is row i of the set: h of a sum; dx beside dres. */
static void check_exact(const struct row_set *s, size_t i, const struct nb_kernel *k, const struct layout *l, size_t at,
                        struct nb_check_result *r)
{
    const size_t n = l->cell.hidden;
    const bool scaled = has_two_gradients(k);
    const struct nb_buffer *out = scaled ? &l->y : &l->h;
    if (l->h.map == NULL)
        return;
    double *got = alloc(2 * n, sizeof *got), *want = got + n;
    char text[160];
    nb_decode(k->dtype, out->data + at * l->cell.ldy * nb_dtype_bytes(k->dtype), got, n);
    if (scaled)
        scaled_row(k, l, at, want);
    else
        memcpy(want, oracle_of(s, k)->h + i * n, n * sizeof *want);
    for (size_t j = 0; j < n; j++)
        if (!is_exact(k, got[j], want[j])) {
            snprintf(text, sizeof text, "%s is %.9g, and %s is %.9g, row %zu element %zu",
                     OUT_NAMES[is_back(&l->cell)][!scaled], got[j], exact_formula(k), want[j], i, j);
            fail(r, NB_FAIL_VALUE, text);
        }
    free(got);
}

static void judge_row(const struct nb_check_data *d, const struct row_set *s, size_t i,
                      const struct nb_kernel *k, const struct layout *l, size_t at, bool likely,
                      const char *what, struct nb_check_result *r)
{
    check_exact(s, i, k, l, at, r);
    for (size_t piece = 0; piece < pieces_of(d, k); piece++)
        judge_piece(d, s, i, piece, k, l, at, likely, what, r);
}

static bool rows_equal(const struct nb_cell *c, const struct nb_buffer *out, size_t a, size_t b)
{
    const size_t es = nb_dtype_bytes(c->dtype);
    return memcmp(out->data + a * c->ldy * es, out->data + b * c->ldy * es, c->hidden * es) == 0;
}

/* The mixture in tail layout: copies of a row must come out bitwise equal. */
static void check_mixture(struct nb_check_data *d, const struct nb_kernel *k,
                          struct nb_check_result *r)
{
    const struct nb_cell *c = &d->mixture_cell;
    const struct row_set *s = &d->mixture;
    struct layout l;
    if (!layout_map(&l, d, k, c, &d->mixture_in, -1)) {
        unprepared(r);
        layout_free(&l);
        return;
    }
    run_twice(&l, r);
    for (size_t row = 0; row < s->count; row++) {
        const struct nb_family *f = nb_check_family(c->dtype, row);
        judge_row(d, s, row, k, &l, row, nb_family_is_likely(f), f->name, r);
    }
    for (size_t row = s->count; row < c->rows; row++)
        if (!rows_equal(c, &l.y, row, row % s->count) || (l.h.map != NULL && !rows_equal(c, &l.h, row, row % s->count)))
            fail(r, NB_FAIL_VALUE, "a row differs from an equal row elsewhere in the batch");
    layout_free(&l);
}

static const char *why_not(const struct nb_kernel *k, const struct nb_problem *p)
{
    return k->supports != NULL ? k->supports(p) : NULL;
}

/* The sound rows of the mixture by themselves, for what is summed over them: beside the others it could be anything. */
static void check_sound_shares(struct nb_check_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    const struct row_set *s = &d->mixture;
    const struct oracle *o = oracle_of(s, k);
    struct nb_cell few = *d->cell;
    struct sheet in;
    struct layout l;
    few.rows = 0;
    for (size_t i = 0; i < s->count; i++)
        few.rows += is_sound_row(d, o, k, i);
    if (few.rows == 0)
        return;
    sheet_map(&in, &few, -1, -1);
    for (size_t i = 0, at = 0; i < s->count; i++)
        if (is_sound_row(d, o, k, i))
            sheet_put(&in, &few, at++, s, i);
    sheet_seal(&in);
    if (layout_map(&l, d, k, &few, &in, -1)) {
        run_twice(&l, r);
        judge_shares(s, k, &l, "the mixture", r);
    } else {
        unprepared(r);
    }
    layout_free(&l);
    sheet_free(&in);
}

/* Rows `first` and on of the layout's inputs, densely into y and h; nothing is summed over so few. */
static struct nb_args chunk_args(const struct layout *l, const struct nb_kernel *k, size_t first, char *y, char *h)
{
    const struct nb_cell *c = &l->cell;
    const struct nb_problem p = nb_cell_problem(c, k);
    const size_t at = first * c->ldx * nb_dtype_bytes(c->dtype);
    const size_t stat = first * nb_op_pieces(&p) * nb_stat_bytes(c->dtype);
    if (!is_back(c))
        return (struct nb_args){.x = l->in->x.data + at, .residual = is_fused(c) ? l->in->second.data + at : NULL,
                                .gamma = l->exec.args.gamma, .beta = l->exec.args.beta, .y = y,
                                .h = l->h.map != NULL ? h : NULL};
    return (struct nb_args){.x = l->in->x.data + at, .dy = l->in->second.data + at, .gamma = l->exec.args.gamma, .dx = y,
                            .dres = l->h.map != NULL ? h : NULL, .mean = l->mean.data + stat, .rstd = l->rstd.data + stat};
}

/* Every row once more, in calls of so few rows that no block of a large call looks the same: what the
 * mixture has shown of small calls then holds for all rows of the large one. */
static void compare_chunks(const struct nb_kernel *k,
                           const struct layout *l, struct nb_check_result *r)
{
    enum { CHUNK = 61 };
    const struct nb_cell *c = &l->cell;
    const size_t es = nb_dtype_bytes(c->dtype), row_bytes = c->hidden * es;
    struct nb_cell few = *c;
    few.ldy = c->hidden;
    few.stats_out = 0;
    struct nb_buffer y, h;
    map_or_abort(&y, CHUNK * row_bytes, -1);
    map_or_abort(&h, CHUNK * row_bytes, -1);
    nb_buffer_name(&y, l->y.name);
    nb_buffer_name(&h, l->h.name);
    for (size_t first = 0; first < c->rows && is_harmless(r); first += CHUNK) {
        few.rows = min_size(CHUNK, c->rows - first);
        const struct nb_problem p = nb_cell_problem(&few, k);
        const struct nb_args a = chunk_args(l, k, first, y.data, h.data);
        if (why_not(k, &p) != NULL)
            continue;
        if (!nb_run_once(k, &p, &a)) {
            unprepared(r);
            break;
        }
        nb_check_damage(r, &y);
        nb_check_damage(r, &h);
        for (size_t i = 0; i < few.rows; i++)
            if (memcmp(y.data + i * row_bytes, l->y.data + (first + i) * c->ldy * es, row_bytes) != 0 ||
                (l->h.map != NULL && memcmp(h.data + i * row_bytes, l->h.data + (first + i) * c->ldy * es, row_bytes) != 0))
                fail(r, NB_FAIL_VALUE, "a row of the timed data comes out differently in a call of few rows");
    }
    nb_buffer_free(&y);
    nb_buffer_free(&h);
}

/* The timed data at the timed addresses, in place where it is timed so: the rows themselves, against the
 * oracle, and all of them against calls out of place. */
static void check_timed(struct nb_check_data *d, const struct nb_kernel *k,
                        struct nb_check_result *r)
{
    const struct nb_cell *c = d->cell;
    struct layout l;
    if (!layout_map(&l, d, k, c, &d->timed_in, 0)) {
        unprepared(r);
        layout_free(&l);
        return;
    }
    l.in_place = c->in_place;
    if (l.in_place)
        l.exec.args.x = l.y.data;
    run_twice(&l, r);
    for (size_t i = 0; i < d->timed.count; i++)
        judge_row(d, &d->timed, i, k, &l, d->timed.row[i], true, "timed data", r);
    if (has_gradient(k))
        judge_shares(&d->timed, k, &l, "the timed data", r);
    compare_chunks(k, &l, r);
    r->hash = nb_shares_hash(nb_output_hash(c, d->seed, l.y.data, l.h.data), &l.exec);
    layout_free(&l);
}

/* ---- invariants: the same rows in another layout come out bitwise equal ---- */

enum { VARIANT_ROWS = 5 };

/* Mixture rows first..first+rows, in the layout of v; y receives them densely, in mixture order, each with its h or dres
 * behind it where there is one. */
struct variant_run {
    const struct nb_check_data *d;
    const struct nb_kernel *k;
    const struct variant *v;
    size_t first, rows;
};

static void put_rows(const struct variant_run *run, const struct nb_cell *c, struct sheet *in)
{
    for (size_t i = 0; i < run->rows; i++)
        sheet_put(in, c, run->v->reversed ? run->rows - 1 - i : i, &run->d->mixture, run->first + i);
}

static void take_rows(const struct variant_run *run, const struct layout *l, char *y, struct nb_check_result *r)
{
    const size_t es = nb_dtype_bytes(l->cell.dtype), n = l->cell.hidden;
    for (size_t i = 0; i < run->rows; i++) {
        const size_t at = run->v->reversed ? run->rows - 1 - i : i;
        memcpy(y + 2 * (run->first + i) * n * es, l->y.data + at * l->cell.ldy * es, n * es);
        if (l->h.map != NULL)
            memcpy(y + (2 * (run->first + i) + 1) * n * es, l->h.data + at * l->cell.ldy * es, n * es);
        check_exact(&run->d->mixture, run->first + i, run->k, l, at, r);
    }
}

static void execute_parts(struct layout *l)
{
    for (unsigned part = 0; part < l->cell.threads; part++)
        nb_execute_part(&l->exec, part, 1);
    for (unsigned part = 0; part < l->cell.threads && l->cell.threads > 1; part++)
        nb_execute_reduce(&l->exec, part);
}

static struct nb_cell variant_cell(const struct variant_run *run)
{
    struct nb_cell c = *run->d->cell;
    c.rows = run->rows;
    c.threads = run->v->parts ? run->v->parts : 1;
    c.ldx = c.hidden + run->v->gap_x;
    c.ldy = c.hidden + run->v->gap_y;
    return c;
}

/* Reversed rows lie where the plain ones lay a call before: a kernel that remembers is found. */
static void run_variant(const struct variant_run *run, char *y, struct nb_check_result *r)
{
    static const struct variant plain = {.what = "plain"};
    const struct variant *v = run->v;
    const struct variant_run before = {run->d, run->k, &plain, run->first, run->rows};
    const struct nb_cell c = variant_cell(run);
    const long shift = v->tail ? -1 : v->shift, begin = placed(0, shift, c.dtype);
    struct sheet in;
    struct layout l;
    sheet_map(&in, &c, begin, begin);
    put_rows(run, &c, &in);
    if (!layout_map(&l, run->d, run->k, &c, &in, shift)) {
        unprepared(r);
        layout_free(&l);
        sheet_free(&in);
        return;
    }
    if (v->reversed) {
        put_rows(&before, &c, &in);
        save_stats(&l, run->k);
        execute_parts(&l);
        put_rows(run, &c, &in);
        save_stats(&l, run->k);
    }
    if (v->in_place) {
        memcpy(l.y.data, in.x.data, in.x.bytes);
        l.exec.args.x = l.y.data;
    } else {
        memset(l.y.data, FILL_A, l.y.bytes);
        fill_others(&l, FILL_A);
    }
    execute_parts(&l);
    check_edges(&l, v->in_place ? -1 : FILL_A, r);
    take_rows(run, &l, y, r);
    layout_free(&l);
    sheet_free(&in);
}

static void run_rows(struct variant_run run, char *y, struct nb_check_result *r)
{
    const size_t rows = run.rows;
    if (!run.v->alone) {
        run_variant(&run, y, r);
        return;
    }
    for (run.first = 0, run.rows = 1; run.first < rows; run.first++)
        run_variant(&run, y, r);
}

static void check_invariants(struct nb_check_data *d, const struct nb_kernel *k,
                             struct nb_check_result *r)
{
    static const struct variant plain = {.what = "plain"};
    const size_t rows = min_size(d->mixture.count, VARIANT_ROWS), n = d->cell->hidden;
    const size_t row_bytes = 2 * n * nb_dtype_bytes(k->dtype);
    char *want = alloc(rows, row_bytes), *got = alloc(rows, row_bytes), text[200];
    run_rows((struct variant_run){d, k, &plain, 0, rows}, want, r);
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        const struct variant_run run = {d, k, &VARIANTS[i], 0, rows};
        const struct nb_cell cell = variant_cell(&run);
        const struct nb_problem p = nb_cell_problem(&cell, k);
        if (why_not(k, &p) != NULL || (has_second(&cell) && VARIANTS[i].in_place))
            continue; /* others may refuse strides; of two inputs none is written over */
        run_rows(run, got, r);
        for (size_t row = 0; row < rows; row++)
            if (memcmp(want + row * row_bytes, got + row * row_bytes, row_bytes) != 0) {
                snprintf(text, sizeof text, "%s row %zu comes out differently %s",
                         nb_check_family(k->dtype, row)->name, row, VARIANTS[i].what);
                fail(r, NB_FAIL_VALUE, text);
            }
    }
    if (!is_back(d->cell) && !nb_symmetry_holds(k, n, text, sizeof text))
        fail(r, NB_FAIL_VALUE, text);
    free(want);
    free(got);
}

static void skip_option(const struct nb_cell *cell, const struct nb_kernel *k, struct nb_check_result *r)
{
    const struct nb_problem p = nb_cell_problem(cell, k);
    const char *why = why_not(k, &p);
    if (why != NULL)
        fail(r, NB_SKIP_OPTION, why);
    for (char *c = r->reason; *c != '\0'; c++) /* whoever wrote it, it stands in JSON and on terminals */
        if (*c < ' ' || *c > '~')
            *c = '?';
}

void nb_check_skip(const struct nb_cell *cell, const struct nb_kernel *k, struct nb_check_result *r)
{
    const char *why = nb_kernel_why_not(k), *fault = nb_descriptor_fault(k);
    *r = (struct nb_check_result){.verdict = NB_UNTESTED};
    if (fault != NULL)
        fail(r, NB_FAIL_ABI, fault);
    else if (why != NULL)
        fail(r, NB_SKIP_ISA, why);
    else if (nb_kernel_origin(k) == NB_OURS)
        skip_option(cell, k, r);
}

/* What prepare costs: the first time in this process, and again, as a median. */
static void time_prepare(struct nb_check_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    enum { AGAIN = 5 };
    double ns[AGAIN + 1];
    for (size_t i = 0; k->prepare != NULL && i < AGAIN + 1; i++) {
        struct layout l;
        const bool prepared = layout_map(&l, d, k, d->cell, &d->timed_in, 0);
        ns[i] = l.exec.prepare_ns;
        layout_free(&l);
        if (!prepared) {
            unprepared(r);
            return;
        }
    }
    r->prepare_first_ns = k->prepare != NULL ? ns[0] : 0;
    r->prepare_ns = k->prepare != NULL ? nb_median(ns + 1, AGAIN) : 0;
}

/* Auto is checked as the kernel that it runs in this cell; what it runs in small calls has cells of its own. */
static void pin_auto(const struct nb_cell *c, const struct nb_kernel *k)
{
    const struct nb_problem p = nb_cell_problem(c, k);
    if (strcmp(k->algo, "auto") == 0 && nb_kernel_origin(k) == NB_OURS)
        nb_auto_pin(nb_auto_choose(k->isa, &p, nb_auto_level_of(&p, c->threads), nb_auto_rows_of(&p, c->threads),
                                   NULL));
}

static void check_rows(struct nb_check_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    time_prepare(d, k, r);
    if (r->verdict != NB_UNTESTED)
        return;
    nb_check_prepare(d, k);
    pin_auto(d->cell, k);
    check_mixture(d, k, r);
    if (has_gradient(k) && is_harmless(r))
        check_sound_shares(d, k, r);
    if (is_harmless(r))
        check_timed(d, k, r);
    if (is_harmless(r))
        check_invariants(d, k, r);
    nb_auto_pin(NULL);
}

static void check_columns(const struct nb_check_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    const struct nb_timed_data timed = {d->cell, d->seed, d->timed_in.x.data, d->timed_in.second.data};
    nb_check_columns(&timed, k, r);
}

void nb_check_kernel(struct nb_check_data *d, const struct nb_kernel *k, struct nb_check_result *r)
{
    nb_check_skip(d->cell, k, r);
    if (r->verdict == NB_UNTESTED)
        skip_option(d->cell, k, r);
    if (r->verdict == NB_UNTESTED && nb_op_facts(k->op)->columns)
        check_columns(d, k, r);
    else if (r->verdict == NB_UNTESTED)
        check_rows(d, k, r);
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

uint64_t nb_output_hash(const struct nb_cell *c, uint64_t seed, const void *y, const void *second)
{
    const size_t es = nb_dtype_bytes(c->dtype);
    const char *const out[] = {y, second};
    uint64_t hash = c->hidden;
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < hashed_rows(c) && out[t] != NULL; i++)
            hash = nb_hash_bytes(hash, out[t] + hashed_row(c, seed, i) * c->ldy * es, c->hidden * es);
    return hash;
}

uint64_t nb_shares_hash(uint64_t hash, const struct nb_execution *e)
{
    const size_t bytes = nb_op_params(&e->problem) * nb_dtype_bytes(e->problem.param_dtype);
    hash = e->args.dgamma != NULL ? nb_hash_bytes(hash, e->args.dgamma, bytes) : hash;
    hash = e->args.dbeta != NULL ? nb_hash_bytes(hash, e->args.dbeta, bytes) : hash;
    return e->args.dalpha != NULL ? nb_hash_bytes(hash, e->args.dalpha, nb_stat_bytes(e->problem.dtype)) : hash;
}

void nb_shares_clear(const struct nb_execution *e)
{
    const size_t bytes = nb_op_params(&e->problem) * nb_dtype_bytes(e->problem.param_dtype);
    if (e->args.dgamma != NULL)
        memset(e->args.dgamma, 0, bytes);
    if (e->args.dbeta != NULL)
        memset(e->args.dbeta, 0, bytes);
    if (e->args.dalpha != NULL)
        memset(e->args.dalpha, 0, nb_stat_bytes(e->problem.dtype));
}

void nb_output_clear(const struct nb_cell *c, uint64_t seed, void *y, void *second)
{
    const size_t es = nb_dtype_bytes(c->dtype);
    char *const out[] = {y, second};
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < hashed_rows(c) && out[t] != NULL; i++)
            memset(out[t] + hashed_row(c, seed, i) * c->ldy * es, 0, c->hidden * es);
}

/* ---- JSON ---- */

static json_t *number(int known, double v)
{
    return known && isfinite(v) ? json_real(v) : json_null();
}

json_t *nb_check_to_json(const struct nb_cell *cell, const struct nb_kernel *k, uint64_t seed,
                         const struct nb_check_result *r, double ms)
{
    char repro[NB_REPRO], hash[17];
    const struct nb_settings s = {.seed = seed};
    nb_cell_repro(cell, &s, "check", k->name, repro, sizeof repro);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->hash);
    return json_pack("{ss ss ss ss so so so so so so so so sI sI sI so so so sf ss}", "type", "check", "cell",
                     cell->id, "kernel", k->name, "verdict", nb_verdict_name(r->verdict), "reason",
                     r->reason[0] ? json_string(r->reason) : json_null(), "E_max",
                     number(r->judged, r->E_max), "E_p99", number(r->judged, r->E_p99), "bound",
                     number(r->judged, r->bound), "worst",
                     r->judged ? json_string(r->worst) : json_null(), "ulp_max",
                     number(r->judged, r->ulp_max), "normwise", number(r->judged, r->normwise),
                     "rms_error", number(r->judged, r->rms_error), "rows_checked",
                     (json_int_t)r->rows_checked, "unstable_rows", (json_int_t)r->unstable_rows,
                     "overflow_rows", (json_int_t)r->overflow_rows, "hash",
                     r->judged ? json_string(hash) : json_null(), "prepare_first_ns",
                     number(r->prepare_first_ns > 0, r->prepare_first_ns), "prepare_ns",
                     number(r->prepare_ns > 0, r->prepare_ns), "ms", ms, "repro", repro);
}
