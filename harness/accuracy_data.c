#include "accuracy_data.h"

#include "appraise.h"
#include "codec.h"
#include "execute.h"
#include "inputs.h"
#include "registry.h"

#include <math.h>
#include <string.h>

enum { ELEMENTS = 8192, ROWS_MIN = 2, ROWS_MAX = 12 };

static void *alloc(size_t n, size_t size)
{
    void *p = aligned_alloc(64, (n * size + 127) / 64 * 64);
    NB_ASSERT(p != NULL);
    memset(p, 0, (n * size + 127) / 64 * 64);
    return p;
}

static size_t rows_for(size_t hidden)
{
    const size_t rows = ELEMENTS / hidden;
    return rows < ROWS_MIN ? ROWS_MIN : rows > ROWS_MAX ? ROWS_MAX : rows;
}

/* gamma and beta of one element; cancelling betas come later, from the oracle. */
static void hostile(double *gamma, double *beta, size_t n)
{
    static const double W[] = {0, -1, 1e4, -1e-4, 1, -0.0, 6e4}, B[] = {0, 1e4, -1, 1e-4};
    for (size_t i = 0; i < n; i++) {
        gamma[i] = W[i % (sizeof W / sizeof *W)];
        beta[i] = B[i % (sizeof B / sizeof *B)];
    }
}

/* Of the elements of a row; of each column one. */
static size_t params_of(const struct nb_lab_data *d)
{
    return d->columns ? d->rows : d->hidden;
}

static void make_params(struct nb_lab_data *d, uint64_t seed)
{
    const size_t n = params_of(d);
    d->gamma = alloc(n, sizeof *d->gamma);
    d->beta = alloc(n, sizeof *d->beta);
    nb_input_gamma(d->param_dtype, seed, d->gamma, n);
    nb_input_beta(d->param_dtype, seed, d->beta, n);
    if (d->family->params == NB_PARAMS_HOSTILE)
        hostile(d->gamma, d->beta, n);
    for (size_t i = 0; d->family->params == NB_PARAMS_GEMMA && i < n; i++)
        d->gamma[i] = -1 + 0.01 * nb_normal(seed, 1u << 22, i);
}

static void drop_params(struct nb_lab_data *d)
{
    if (d->family->params == NB_PARAMS_NONE) {
        free(d->gamma);
        d->gamma = NULL;
    }
    if (d->family->params == NB_PARAMS_NONE || d->family->params == NB_PARAMS_GAMMA) {
        free(d->beta);
        d->beta = NULL;
    }
}

/* One number a row, for each of its elements. */
static double *spread(const double *v, size_t rows, size_t n)
{
    double *each = v != NULL ? alloc(rows * n, sizeof *each) : NULL;
    for (size_t i = 0; v != NULL && i < rows * n; i++)
        each[i] = v[i / n];
    return each;
}

/* -gamma*xhat of a row, as layernorm has it */
static void negated(const struct nb_lab_data *d, const struct nb_accuracy_options *o, size_t r, const double *gamma, struct nb_dd *y)
{
    struct nb_problem p = {.op = NB_OP_LAYERNORM, .dtype = d->dtype, .hidden = d->hidden, .eps = o->eps};
    const struct nb_ref_row row = nb_appraise_row(&p, d->x + r * d->hidden, gamma, NULL, 0);
    struct nb_ref_stats s;
    nb_ref_forward(&row, y, &s);
}

/* beta is such that the sum is all rounding: in the first row; in columns at one element of each. */
static void cancel_beta(struct nb_lab_data *d, const struct nb_accuracy_options *o)
{
    struct nb_dd *y = alloc(d->hidden, sizeof *y);
    double *gamma = d->columns ? spread(d->gamma, d->rows, d->hidden) : NULL;
    if (!d->columns)
        negated(d, o, 0, d->gamma, y);
    for (size_t i = 0; i < params_of(d); i++) {
        if (d->columns)
            negated(d, o, i, gamma + i * d->hidden, y);
        d->beta[i] = -y[d->columns ? i % d->hidden : i].hi;
    }
    free(gamma);
    free(y);
}

/* count values, the n over and over */
static void *stored(uint32_t dtype, const double *v, size_t n, size_t count)
{
    if (v == NULL)
        return NULL;
    char *p = alloc(count, nb_dtype_bytes(dtype));
    for (size_t i = 0; i < count; i += n)
        nb_encode(dtype, v, p + i * nb_dtype_bytes(dtype), count - i < n ? count - i : n);
    return p;
}

/* [hidden][vectors] */
static void *stored_columns(const struct nb_lab_data *d)
{
    const size_t es = nb_dtype_bytes(d->dtype);
    char *p = alloc(d->hidden * d->vectors, es);
    double *across = alloc(d->vectors, sizeof *across);
    for (size_t r = 0; r < d->hidden; r++) {
        for (size_t j = 0; j < d->vectors; j++)
            across[j] = d->x[j % d->rows * d->hidden + r];
        nb_encode(d->dtype, across, p + r * d->vectors * es, d->vectors);
    }
    free(across);
    return p;
}

/* What stands beside them in a call. */
static void make_columns(struct nb_lab_data *d, uint64_t seed)
{
    const uint32_t stat = d->dtype == NB_F64 ? NB_F64 : NB_F32;
    double *gamma = d->gamma, *beta = d->beta;
    d->run_mean = alloc(d->rows, sizeof *d->run_mean);
    d->run_var = alloc(d->rows, sizeof *d->run_var);
    nb_input_running(d->dtype, seed, d->run_mean, d->run_var, d->rows);
    d->run_mean_stored = stored(stat, d->run_mean, d->rows, d->vectors);
    d->run_var_stored = stored(stat, d->run_var, d->rows, d->vectors);
    d->gamma = spread(gamma, d->rows, d->hidden);
    d->beta = spread(beta, d->rows, d->hidden);
    free(gamma);
    free(beta);
}

void nb_lab_data_make(struct nb_lab_data *d, const struct nb_accuracy_options *o,
                      const struct nb_family *f, uint32_t dtype, size_t hidden, bool columns)
{
    enum { COLUMNS = 21 }; /* of f32 in AVX-512 a register and five more */
    *d = (struct nb_lab_data){.family = f, .dtype = dtype, .columns = columns, .hidden = hidden, .rows = rows_for(hidden)};
    const bool f32 = f->flags & NB_FAM_PARAM_F32 || (o->block.param_dtype.n && o->block.param_dtype.v[0]);
    d->param_dtype = f32 && dtype != NB_F64 ? NB_F32 : dtype;
    d->vectors = columns ? COLUMNS : d->rows;
    d->x = alloc(d->rows * hidden, sizeof *d->x);
    for (size_t r = 0; r < d->rows; r++)
        nb_family_row(f, dtype, o->seed, r, d->x + r * hidden, hidden);
    make_params(d, o->seed);
    if (f->params == NB_PARAMS_CANCEL)
        cancel_beta(d, o);
    drop_params(d);
    const size_t n = params_of(d), count = columns ? d->vectors : n;
    if (d->gamma)
        nb_round_to(d->param_dtype, d->gamma, n);
    if (d->beta)
        nb_round_to(d->param_dtype, d->beta, n);
    d->gamma_stored = stored(d->param_dtype, d->gamma, n, count);
    d->beta_stored = stored(d->param_dtype, d->beta, n, count);
    d->x_stored = columns ? stored_columns(d) : stored(dtype, d->x, d->rows * hidden, d->rows * hidden);
    if (columns)
        make_columns(d, o->seed);
}

void nb_lab_data_free(struct nb_lab_data *d)
{
    void *all[] = {d->x, d->gamma, d->beta, d->run_mean, d->run_var, d->x_stored, d->gamma_stored, d->beta_stored,
                   d->run_mean_stored, d->run_var_stored};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (size_t op = 0; op < NB_OP_COUNT; op++)
        for (size_t beta = 0; beta < 2; beta++) {
            free(d->oracles[op][beta].y);
            free(d->oracles[op][beta].stats);
        }
}

bool nb_lab_takes(const struct nb_kernel *k, const struct nb_lab_data *d)
{
    const unsigned options = NB_FAM_OUTSIDE | NB_FAM_BEFORE;
    const struct nb_family *f = d->family;
    return nb_family_has(f, k->dtype) && nb_op_facts(k->op)->columns == d->columns &&
           (!nb_is_ceiling(k) || (f->params == NB_PARAMS_MODEL && !(f->flags & options) &&
                                  f->class != NB_CLASS_PARAMS));
}

static size_t k_of(const struct nb_kernel *k, size_t hidden, const struct nb_block *b)
{
    size_t values[NB_K_COUNT] = {0};
    for (int kind = 1; kind < NB_K_COUNT; kind++)
        values[kind] = b->k[kind].n > 0 ? b->k[kind].v[0] : 0;
    return nb_k_of(k->op, hidden, values);
}

struct nb_problem nb_lab_problem(const struct nb_lab_data *d, const struct nb_accuracy_options *o,
                                 const struct nb_kernel *k)
{
    const struct nb_family *f = d->family;
    return (struct nb_problem){
        .size = sizeof(struct nb_problem),
        .op = k->op,
        .dir = NB_FWD,
        .stats_out = !nb_is_ceiling(k) && !nb_op_facts(k->op)->given,
        .dtype = d->dtype,
        .param_dtype = d->param_dtype,
        .eps_mode = f->flags & NB_FAM_OUTSIDE ? NB_EPS_OUTSIDE : o->eps_mode,
        .order = f->flags & NB_FAM_BEFORE ? NB_CAST_BEFORE : o->order,
        .gemma = f->params == NB_PARAMS_GEMMA ? 1 : o->gemma,
        .rows = d->columns ? d->hidden : d->rows,
        .hidden = d->columns ? d->vectors : d->hidden,
        .ldx = d->columns ? d->vectors : d->hidden,
        .ldy = d->columns ? d->vectors : d->hidden,
        .k = k_of(k, d->hidden, &o->block),
        .eps = f->eps >= 0 ? f->eps : o->eps,
        .alpha = 1.25,
        .momentum = o->block.momentum,
    };
}

/* rmsnorm has no beta in models; where beta is what the family is about, it gets one. */
bool nb_lab_uses_beta(const struct nb_lab_data *d, const struct nb_kernel *k)
{
    const bool about_beta =
        d->family->params == NB_PARAMS_CANCEL || d->family->params == NB_PARAMS_HOSTILE;
    return d->beta != NULL && (nb_uses_beta(k) || (nb_op_facts(k->op)->norm && about_beta));
}

size_t nb_lab_gamma_at(const struct nb_lab_data *d, const struct nb_kernel *k)
{
    return nb_op_facts(k->op)->scalar && d->hidden > 2 ? 2 : 0;
}

struct nb_ref_row nb_lab_row(const struct nb_lab_data *d, const struct nb_problem *p,
                             const struct nb_kernel *k, size_t row, size_t piece)
{
    const size_t params = d->columns ? row * d->hidden : 0;
    struct nb_ref_row r = nb_appraise_row(p, d->x + row * d->hidden,
                                          nb_uses_gamma(k) && d->gamma ? d->gamma + params + nb_lab_gamma_at(d, k) : NULL,
                                          nb_lab_uses_beta(d, k) ? d->beta + params : NULL, piece);
    r.mean = d->columns ? d->run_mean[row] : 0;
    r.var = d->columns ? d->run_var[row] : 0;
    return r;
}

void nb_lab_prepare(struct nb_lab_data *d, const struct nb_accuracy_options *o,
                    const struct nb_kernel *k)
{
    struct nb_lab_oracle *oracle = &d->oracles[k->op][nb_lab_uses_beta(d, k)];
    const struct nb_problem p = nb_lab_problem(d, o, k);
    if (oracle->y != NULL)
        return;
    const size_t pieces = nb_op_pieces(&p), n = d->hidden / pieces;
    oracle->y = alloc(d->rows * d->hidden, sizeof *oracle->y);
    oracle->stats = alloc(d->rows * pieces, sizeof *oracle->stats);
    for (size_t i = 0; i < d->rows * pieces; i++) {
        const struct nb_ref_row row = nb_lab_row(d, &p, k, i / pieces, i % pieces);
        nb_ref_forward(&row, oracle->y + i * n, &oracle->stats[i]);
    }
}
