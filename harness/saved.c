#include "saved.h"

#include "err.h"
#include "registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8 };

/* Sum of x - about, or of its squares, in partial sums that a compiler may lay into vectors. */
#define DEFINE_SUM(name, real)                                                             \
    static real name(const double *x, size_t n, real about, bool squares)                  \
    {                                                                                      \
        real sums[LANES] = {0}, sum = 0;                                                   \
        size_t i = 0;                                                                      \
        for (; i + LANES <= n; i += LANES)                                                 \
            for (size_t j = 0; j < LANES; j++) {                                           \
                const real d = (real)x[i + j] - about;                                     \
                sums[j] += squares ? d * d : d;                                            \
            }                                                                              \
        for (; i < n; i++)                                                                 \
            sum += squares ? ((real)x[i] - about) * ((real)x[i] - about) : (real)x[i] - about; \
        for (size_t j = 0; j < LANES; j++)                                                 \
            sum += sums[j];                                                                \
        return sum;                                                                        \
    }
DEFINE_SUM(sum_narrow, double)
DEFINE_SUM(sum_wide, long double)

struct saved {
    long double mean, rstd;
};

/* stat: elements that the statistics are taken of */
static struct saved piece(const struct nb_problem *p, const double *x, size_t stat)
{
    const bool centred = nb_op_facts(p->op)->centred, wide = p->dtype == NB_F64;
    const long double n = nb_op_facts(p->op)->sum ? 1 : (long double)stat, eps = wide ? p->eps : (double)(float)p->eps;
    long double mean = 0, var;
    for (int turn = 0; centred && turn < 2; turn++)
        mean += (wide ? sum_wide(x, stat, mean, false) : sum_narrow(x, stat, (double)mean, false)) / n;
    var = (wide ? sum_wide(x, stat, mean, true) : sum_narrow(x, stat, (double)mean, true)) / n;
    return (struct saved){mean, 1 / sqrtl(var + eps)};
}

static void put(const struct nb_problem *p, void *to, size_t i, long double v)
{
    if (to != NULL && p->dtype == NB_F64)
        ((double *)to)[i] = (double)v;
    else if (to != NULL)
        ((float *)to)[i] = (float)v;
}

static void save_row(const struct nb_problem *p, const double *x, void *mean, void *rstd, size_t first)
{
    const size_t pieces = nb_op_pieces(p), n = p->hidden / pieces;
    for (size_t i = 0; i < pieces; i++) {
        const struct saved s = piece(p, x + i * n, nb_op_role(p->op) == NB_K_IS_FIRST ? p->k : n);
        put(p, mean, first + i, s.mean);
        put(p, rstd, first + i, s.rstd);
    }
}

/* Adds what each column's elements, less about, or their squares come to; divided by the rows. */
static void add_columns(const struct nb_problem *p, nb_row_source *source, void *context, double *x, const long double *about,
                        long double *sums, bool squares)
{
    for (size_t row = 0; row < p->rows; row++) {
        source(context, row, x);
        for (size_t i = 0; i < p->hidden; i++) {
            const long double d = x[i] - about[i];
            sums[i] += (squares ? d * d : d) / (long double)p->rows;
        }
    }
}

static void save_columns(const struct nb_problem *p, nb_row_source *source, void *context, double *x, void *mean, void *rstd)
{
    const size_t n = p->hidden;
    long double *means = calloc(3 * n, sizeof *means), *found = means + n, *vars = found + n;
    NB_ASSERT(means != NULL);
    add_columns(p, source, context, x, means, found, false);
    memcpy(means, found, n * sizeof *means);
    add_columns(p, source, context, x, means, found, false);
    add_columns(p, source, context, x, found, vars, true);
    for (size_t i = 0; i < n; i++) {
        put(p, mean, i, found[i]);
        put(p, rstd, i, 1 / sqrtl(vars[i] + (p->dtype == NB_F64 ? p->eps : (double)(float)p->eps)));
    }
    free(means);
}

void nb_saved_all(const struct nb_problem *p, nb_row_source *source, void *context, void *mean, void *rstd)
{
    double *x = malloc(p->hidden * sizeof *x);
    NB_ASSERT(x != NULL);
    if (nb_op_facts(p->op)->columns)
        save_columns(p, source, context, x, mean, rstd);
    else
        for (size_t row = 0; row < p->rows; row++) {
            source(context, row, x);
            save_row(p, x, mean, rstd, row * nb_op_pieces(p));
        }
    free(x);
}
