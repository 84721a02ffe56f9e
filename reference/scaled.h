/* scaled.h: a row times a power of two, and the sums over it that statistics are made
 * of; private to the oracle.
 * Shapes    x [n]
 * Range     scaled to a suitable size, squares of any double stay in range and keep
 *           their low parts; a power of two multiplies exactly, apart from elements
 *           2^1500 times smaller than the largest, which no result can show
 * Error     a few n 2^-106 times the sum of magnitudes */
#ifndef NB_REFERENCE_SCALED_H
#define NB_REFERENCE_SCALED_H

#include "dd.h"

enum { LANES = 4 };

/* A row times 2^shift, in two factors because 2^shift alone may not be a double. */
struct scaled {
    const double *x;
    size_t n;
    double f1, f2;
    int shift;
};

static inline double scaled_at(const struct scaled *v, size_t i)
{
    return v->x[i] * v->f1 * v->f2;
}

/* Brings top, the largest magnitude of interest, to about 2^target. */
static inline struct scaled scale_row(const double *x, size_t n, double top, int target)
{
    int e = 0;
    if (top > 0)
        frexp(top, &e);
    int shift = top > 0 ? target - e : 0, first = shift > 1000 ? 1000 : shift;
    return (struct scaled){x, n, ldexp(1, first), ldexp(1, shift - first), shift};
}

static inline struct nb_dd sum_lanes(const struct nb_dd *a)
{
    return dd_add(dd_add(a[0], a[1]), dd_add(a[2], a[3]));
}

static inline struct nb_dd sum(const struct scaled *v)
{
    struct nb_dd acc[LANES] = {{0, 0}};
    size_t i = 0;
    for (; i + LANES <= v->n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            acc[j] = dd_add_d(acc[j], scaled_at(v, i + j));
    for (; i < v->n; i++)
        acc[0] = dd_add_d(acc[0], scaled_at(v, i));
    return sum_lanes(acc);
}

static inline struct nb_dd centred(const struct scaled *v, struct nb_dd mean, size_t i)
{
    return dd_add_d(dd_neg(mean), scaled_at(v, i));
}

static inline struct nb_dd square(struct nb_dd d)
{
    struct nb_dd p = dd_two_prod(d.hi, d.hi);
    return dd_fast_two_sum(p.hi, p.lo + 2 * d.hi * d.lo);
}

/* sum of (x-mean)^2 */
static inline struct nb_dd sum_squares(const struct scaled *v, struct nb_dd mean)
{
    struct nb_dd acc[LANES] = {{0, 0}};
    size_t i = 0;
    for (; i + LANES <= v->n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            acc[j] = dd_add_pos(acc[j], square(centred(v, mean, i + j)));
    for (; i < v->n; i++)
        acc[0] = dd_add_pos(acc[0], square(centred(v, mean, i)));
    return sum_lanes(acc);
}

#endif
