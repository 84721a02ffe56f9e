#include "saved.h"

#include "registry.h"

#include <math.h>

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

void nb_saved_row(const struct nb_problem *p, const double *x, void *mean, void *rstd)
{
    const size_t pieces = nb_op_pieces(p), n = p->hidden / pieces;
    for (size_t i = 0; i < pieces; i++) {
        const struct saved s = piece(p, x + i * n, nb_op_facts(p->op)->k == NB_K_PREFIX ? p->k : n);
        put(p, mean, i, s.mean);
        put(p, rstd, i, s.rstd);
    }
}
