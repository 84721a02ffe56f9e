/* dd.h: double-double arithmetic, private to the oracle. A number is hi + lo, |lo| <=
 * ulp(hi)/2. Sums: Knuth, Dekker. Products: fma. Error of each operation, relative to its
 * result, in units of 2^-106 (Joldes, Muller, Popescu 2017): add_d 2, add and sub 3,
 * add_pos 3, mul_d 3, mul 5, div_d 3. They hold while nothing over- or underflows; rows
 * are scaled so that they do. */
#ifndef NB_REFERENCE_DD_H
#define NB_REFERENCE_DD_H

#include <math.h>

#include "reference.h"

/* needs |a| >= |b| or a = 0 */
static inline struct nb_dd dd_fast_two_sum(double a, double b)
{
    double s = a + b;
    return (struct nb_dd){s, b - (s - a)};
}

static inline struct nb_dd dd_two_sum(double a, double b)
{
    double s = a + b, bb = s - a;
    return (struct nb_dd){s, (a - (s - bb)) + (b - bb)};
}

static inline struct nb_dd dd_two_prod(double a, double b)
{
    double p = a * b;
    return (struct nb_dd){p, fma(a, b, -p)};
}

static inline struct nb_dd dd_neg(struct nb_dd a)
{
    return (struct nb_dd){-a.hi, -a.lo};
}

static inline struct nb_dd dd_add_d(struct nb_dd a, double b)
{
    struct nb_dd s = dd_two_sum(a.hi, b);
    return dd_fast_two_sum(s.hi, s.lo + a.lo);
}

static inline struct nb_dd dd_add(struct nb_dd a, struct nb_dd b)
{
    struct nb_dd s = dd_two_sum(a.hi, b.hi), t = dd_two_sum(a.lo, b.lo);
    s = dd_fast_two_sum(s.hi, s.lo + t.hi);
    return dd_fast_two_sum(s.hi, s.lo + t.lo);
}

static inline struct nb_dd dd_sub(struct nb_dd a, struct nb_dd b)
{
    return dd_add(a, dd_neg(b));
}

/* a and b of one sign: half the work of dd_add */
static inline struct nb_dd dd_add_pos(struct nb_dd a, struct nb_dd b)
{
    struct nb_dd s = dd_two_sum(a.hi, b.hi);
    return dd_fast_two_sum(s.hi, s.lo + (a.lo + b.lo));
}

static inline struct nb_dd dd_mul_d(struct nb_dd a, double b)
{
    struct nb_dd p = dd_two_prod(a.hi, b);
    return dd_fast_two_sum(p.hi, p.lo + a.lo * b);
}

static inline struct nb_dd dd_mul(struct nb_dd a, struct nb_dd b)
{
    struct nb_dd p = dd_two_prod(a.hi, b.hi);
    return dd_fast_two_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

static inline struct nb_dd dd_div_d(struct nb_dd a, double b)
{
    double q = a.hi / b;
    struct nb_dd p = dd_two_prod(q, b);
    return dd_fast_two_sum(q, ((a.hi - p.hi) - p.lo + a.lo) / b);
}

/* 1/sqrt(a), one step from r = fl(1/sqrt(a.hi)): with e = 1 - a r^2, of size 2^-51,
 * 1/sqrt(a) = r (1 - e)^(-1/2) = r + r (e/2 + 3e^2/8 + ...); the next term is below
 * 2^-150. */
static inline struct nb_dd dd_rsqrt(struct nb_dd a)
{
    double r = 1 / sqrt(a.hi);
    struct nb_dd t = dd_mul_d(dd_mul_d(a, r), r);
    double e = (1 - t.hi) - t.lo;
    if (!isfinite(e))
        return (struct nb_dd){r, 0};
    return dd_fast_two_sum(r, r * (e * 0.5 + 0.375 * e * e));
}

/* 1/a, one step from r = fl(1/a.hi): with e = 1 - a r, of size 2^-52, 1/a = r + r (e + e^2 + ...).
 * a = 0 gives Inf. */
static inline struct nb_dd dd_recip(struct nb_dd a)
{
    double r = 1 / a.hi;
    struct nb_dd t = dd_mul_d(a, r);
    double e = (1 - t.hi) - t.lo;
    if (!isfinite(e))
        return (struct nb_dd){r, 0};
    return dd_fast_two_sum(r, r * (e + e * e));
}

/* times 2^k; a result beyond the range loses its low part */
static inline struct nb_dd dd_ldexp(struct nb_dd a, int k)
{
    struct nb_dd s = {ldexp(a.hi, k), ldexp(a.lo, k)};
    if (!isfinite(s.hi))
        s.lo = 0;
    return s;
}

/* Adds v to *to; in double where the sum leaves the range. */
static inline void dd_accumulate(struct nb_dd *to, struct nb_dd v)
{
    struct nb_dd s = dd_add(*to, v);
    *to = fabs(s.hi) <= DBL_MAX && fabs(s.lo) <= DBL_MAX ? s : (struct nb_dd){to->hi + v.hi, 0};
}

#endif
