#include "explain_facts.h"

#include "appraise.h"
#include "err.h"
#include "families.h"
#include "registry.h"
#include "select.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- words ---- */

static const struct nb_algo_words algos[] = {
#define NB_EXPLAIN_ALGO(op, algo, temporaries, formula, scans)                           \
    {op, algo, temporaries, formula, scans, ""},
#include "explain.def"
};

static const struct {
    const char *op, *like, *before;
} likes[] = {
#define NB_EXPLAIN_LIKE(op, like, before) {op, like, before},
#include "explain.def"
};

static const struct nb_trick_words tricks[] = {
#define NB_EXPLAIN_TRICK(of, word, streams, text) {of, word, streams, text},
#include "explain.def"
};

static const struct {
    const char *key, *text;
} sources[] = {
#define NB_EXPLAIN_SOURCE(key, text) {key, text},
#include "explain.def"
};

static struct nb_algo_words words_of(const char *op, const char *algo)
{
    for (size_t i = 0; i < sizeof algos / sizeof *algos; i++)
        if (strcmp(algos[i].op, op) == 0 && strcmp(algos[i].algo, algo) == 0)
            return algos[i];
    return (struct nb_algo_words){.before = ""};
}

struct nb_algo_words nb_words_of_algo(const struct nb_kernel *k)
{
    char op[64];
    static const char *const fused[NB_FUSE_COUNT] = {"", "_res", "_postnorm"};
    snprintf(op, sizeof op, "%s%s%s", nb_op_name(k->op), k->dir == NB_BWD ? "_bwd" : "", fused[k->fuse]);
    for (size_t i = 0; i < sizeof likes / sizeof *likes; i++)
        if (strcmp(likes[i].op, op) == 0) {
            struct nb_algo_words w = words_of(likes[i].like, k->algo);
            w.before = likes[i].before;
            return w;
        }
    return words_of(op, k->algo);
}

const struct nb_trick_words *nb_words_of_trick(const struct nb_kernel *k, const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++)
        if (strlen(tricks[i].word) == length &&
            strncmp(tricks[i].word, word, length) == 0 && fnmatch(tricks[i].of, k->name, 0) == 0)
            return &tricks[i];
    return NULL;
}

const char *nb_words_of_source(const char *key)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (strcmp(sources[i].key, key) == 0)
            return sources[i].text;
    return NULL;
}

/* ---- models ---- */

static bool streams(const struct nb_kernel *k)
{
    for (const char *word = k->trick; *word != '\0'; word += *word == '_') {
        const size_t length = strcspn(word, "_");
        const struct nb_trick_words *t = nb_words_of_trick(k, word, length);
        if (t != NULL && t->streams)
            return true;
        word += length;
    }
    return false;
}

struct nb_bytes nb_bytes_of(const struct nb_kernel *k)
{
    const double size = (double)nb_dtype_bytes(k->dtype),
                 real = k->dtype == NB_F64 ? 8 : 4;
    const unsigned temporaries = nb_words_of_algo(k).temporaries;
    /* tensors: x, and dy or the residual; y or dx, and h where it is kept, or dres */
    const bool back = k->dir == NB_BWD, fused = k->fuse != NB_FUSE_NONE;
    const double in = back || fused ? 2 : 1, out = k->fuse == NB_FUSE_RESIDUAL ? 2 : 1;
    const double again = !back || !fused ? 0 : nb_op_facts(k->op)->norm ? 2 : 1; /* dres is written; of a norm, read again */
    const double reads = back ? k->x_reads + k->dy_reads : in * k->x_reads;
    return (struct nb_bytes){.least = (in + out) * size,
                             .allocate = (in + (streams(k) ? out : 2 * out)) * size,
                             .loops = (reads + 1 + again) * size +
                                      temporaries * (!back && fused ? size : real)};
}

size_t nb_sum_length(const struct nb_kernel *k, size_t hidden)
{
    const struct nb_problem p = nb_plain_problem(k, hidden);
    return nb_op_role(k->op) == NB_K_IS_FIRST ? p.k : hidden / nb_op_pieces(&p);
}

double nb_sum_constant(const struct nb_kernel *k, size_t hidden)
{
    const double lanes = k->bound.lanes > 1 ? k->bound.lanes : 1;
    return k->bound.c1 * (double)nb_sum_length(k, hidden) / lanes + log2(lanes) + k->bound.c0;
}

/* ---- bounds ---- */

struct nb_problem nb_plain_problem(const struct nb_kernel *k, size_t hidden)
{
    const size_t rows = nb_op_facts(k->op)->columns ? hidden : 1, row = hidden / rows; /* a column for a row */
    return (struct nb_problem){.size = sizeof(struct nb_problem),
                               .op = k->op,
                               .dir = k->dir,
                               .fuse = k->fuse,
                               .dtype = k->dtype,
                               .param_dtype = k->dtype,
                               .rows = rows,
                               .hidden = row,
                               .ldx = row,
                               .ldy = row,
                               .k = nb_k_of(k->op, hidden, (const size_t[NB_K_COUNT]){0}),
                               .eps = 1e-5,
                               .alpha = nb_op_facts(k->op)->alpha != 0 ? nb_op_facts(k->op)->alpha : 1};
}

/* Backward: dy is an ordinary row. */
static enum nb_ref_hazard gradient_limits(const struct nb_kernel *k, const struct nb_problem *p, const double *x,
                                          double *k1, struct nb_ref_limits *limits)
{
    const size_t n = p->rows * p->hidden;
    double *dy = calloc(n, sizeof *dy);
    struct nb_ref_gradient_stats stats;
    NB_ASSERT(dy != NULL);
    nb_family_row(nb_family_find("benign", k->dtype), k->dtype, 2, 0, dy, n);
    const struct nb_ref_gradient row = nb_appraise_gradient_row(p, x, dy, NULL, 0);
    nb_ref_gradient_look(&row, &stats);
    *k1 = stats.k;
    const enum nb_ref_hazard hazard = nb_appraise_gradient_limits(k, &row, &stats, limits);
    free(dy);
    return hazard;
}

/* Of one row, gamma 1 and beta 0. y [hidden] is scratch. */
static enum nb_ref_hazard limits_of(const struct nb_kernel *k, const double *x,
                                    size_t hidden, struct nb_dd *y, double *k1,
                                    struct nb_ref_limits *limits)
{
    const struct nb_problem p = nb_plain_problem(k, hidden);
    if (k->dir == NB_BWD && nb_op_is_layer(k->op))
        return gradient_limits(k, &p, x, k1, limits);
    struct nb_ref_row row = nb_appraise_row(&p, x, NULL, NULL, 0);
    struct nb_ref_stats stats;
    row.var = 1; /* where it is given: mean 0, variance 1 */
    nb_ref_forward(&row, y, &stats);
    *k1 = stats.k1;
    return nb_appraise_limits(k, &row, &stats, limits);
}

void nb_bounds_at(const struct nb_kernel *k, size_t hidden,
                  struct nb_bound_at at[NB_BOUND_ROWS])
{
    static const char *const names[NB_BOUND_ROWS] = {"benign", "offset1e3", "offset1e5"};
    double *x = calloc(hidden, sizeof *x);
    struct nb_dd *y = calloc(hidden, sizeof *y);
    NB_ASSERT(x != NULL && y != NULL);
    for (int i = 0; i < NB_BOUND_ROWS; i++) {
        const struct nb_family *f = nb_family_find(names[i], k->dtype);
        at[i] = (struct nb_bound_at){.family = f != NULL ? f->name : NULL};
        if (f == NULL)
            continue;
        nb_family_row(f, k->dtype, 1, 0, x, hidden);
        at[i].hazard = limits_of(k, x, hidden, y, &at[i].k1, &at[i].limits);
    }
    free(x);
    free(y);
}

static void hard_row(double *x, size_t n, double a, enum nb_hard_rows rows)
{
    for (size_t i = 0; i < n; i++) {
        const double sign = i % 2 == 0 ? 1 : -1;
        x[i] = rows == NB_ROWS_SIZE     ? sign * a
               : rows == NB_ROWS_OFFSET ? a + sign
               : i == 0                 ? a
                                        : sign;
    }
}

double nb_bound_reach(const struct nb_kernel *k, size_t hidden, enum nb_hard_rows rows)
{
    const struct nb_ref_type *type = nb_ref_type_find(nb_dtype_name(k->dtype));
    double *x = calloc(hidden, sizeof *x), k1;
    struct nb_dd *y = calloc(hidden, sizeof *y);
    struct nb_ref_limits limits;
    NB_ASSERT(x != NULL && y != NULL && type != NULL);
    const double top =
        rows == NB_ROWS_SIZE ? type->max_out : fmin(1e15, type->max_out / 2);
    double low = 0, high = log(top);
    hard_row(x, hidden, top, rows);
    const bool everywhere = limits_of(k, x, hidden, y, &k1, &limits) == NB_REF_INSIDE;
    for (int i = 0; i < 24 && !everywhere; i++) {
        const double middle = (low + high) / 2;
        hard_row(x, hidden, exp(middle), rows);
        if (limits_of(k, x, hidden, y, &k1, &limits) == NB_REF_INSIDE)
            low = middle;
        else
            high = middle;
    }
    free(x);
    free(y);
    return everywhere ? INFINITY : exp(low);
}

/* ---- the record ---- */

bool nb_worst_recorded(const struct nb_kernel *k, struct nb_recorded *worst)
{
    static const struct nb_recorded record[] = {
#include "nb_accuracy_record.inc"
    };
    bool found = false;
    for (size_t i = 0; i < sizeof record / sizeof *record; i++)
        if (strcmp(record[i].kernel, k->name) == 0 &&
            (!found || strtod(record[i].E, NULL) > strtod(worst->E, NULL))) {
            *worst = record[i];
            found = true;
        }
    return found;
}
