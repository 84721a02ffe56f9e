/* tanh.c: the hyperbolic tangent and its slope in double-double.
 *
 * With w = -2|z|, n = rint(w/ln 2), r = w - n ln 2 and p = exp(r) - 1 by its Taylor series, s = 2^n:
 *     m = expm1(w) = s p + (s - 1),  |tanh z| = -m/(2 + m),  1 - tanh(z)^2 = 4 s (1 + p)/(2 + m)^2
 * Series   terms up to r^26/26!, the rest being below 2^-130 r; from r^14/14! on they are below 2^-53 of the sum, and plain
 *          double is enough for them
 * Error    tanh 2^-101, slope 2^-101 (1 + |z|), relative to themselves, where they are above 2^-900
 *          (tests/tanh_test.c, against MPFR). Below |z| = 2^-55, where z^3/3 is nothing beside z, tanh is z itself */
#include <float.h>

#include "dd.h"

/* n times the first part, of 43 places, is exact */
static const double ln2 = 0x1.62e42fefa3800p-1;
static const struct nb_dd ln2_rest = {0x1.ef35793c76730p-45, 0x1.f97b57a079a19p-103};

enum { FIRST = 2, NARROW = 14, LAST = 26 }; /* powers of the series: in double-double, in double, and the last one */
static const struct nb_dd inverse[NARROW - FIRST] = { /* 1/k! */
    {0x1.0000000000000p-1, 0},
    {0x1.5555555555555p-3, 0x1.5555555555555p-57},
    {0x1.5555555555555p-5, 0x1.5555555555555p-59},
    {0x1.1111111111111p-7, 0x1.1111111111111p-63},
    {0x1.6c16c16c16c17p-10, -0x1.f49f49f49f49fp-65},
    {0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-73},
    {0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-76},
    {0x1.71de3a556c734p-19, -0x1.c154f8ddc6c00p-73},
    {0x1.27e4fb7789f5cp-22, 0x1.cbbc05b4fa99ap-76},
    {0x1.ae64567f544e4p-26, -0x1.c062e06d1f209p-80},
    {0x1.1eed8eff8d898p-29, -0x1.2aec959e14c06p-83},
    {0x1.6124613a86d09p-33, 0x1.f28e0cc748ebep-87},
};

/* exp(r) - 1, |r| <= ln(2)/2 */
static struct nb_dd expm1_near(struct nb_dd r)
{
    double tail = 0; /* terms from r^15/15! on, over that of r^14 */
    for (int k = LAST; k > NARROW; k--)
        tail = (1 + tail) * r.hi / k;
    struct nb_dd sum = {(1 + tail) * 0x1.93974a8c07c9dp-37, 0}; /* 1/14! */
    for (int k = NARROW - 1; k >= FIRST; k--)
        sum = dd_add(dd_mul(sum, r), inverse[k - FIRST]);
    return dd_add(r, dd_mul(dd_mul(r, r), sum));
}

struct nb_dd nb_ref_tanh(struct nb_dd z, struct nb_dd *slope)
{
    enum { FAR = 800 };
    int negative = signbit(z.hi);
    struct nb_dd w = negative ? dd_neg(z) : z, t = {1, 0}, d = {0, 0};
    w = (struct nb_dd){-2 * w.hi, -2 * w.lo};
    if (!(fabs(z.hi) >= 0x1p-55)) { /* or NaN */
        t = z;
        d.hi = z.hi == z.hi ? 1 : z.hi;
    } else if (w.hi > -FAR) {
        double n = rint(w.hi / (ln2 + ln2_rest.hi));
        struct nb_dd p = expm1_near(dd_sub(dd_add_d(w, -n * ln2), dd_mul_d(ln2_rest, n)));
        struct nb_dd m = dd_add(dd_ldexp(p, (int)n), dd_two_sum(ldexp(1, (int)n), -1));
        struct nb_dd over = dd_recip(dd_add_d(m, 2));
        t = dd_mul(dd_neg(m), over);
        d = dd_ldexp(dd_mul(dd_mul(over, over), dd_add_d(p, 1)), (int)n + 2);
        t = negative ? dd_neg(t) : t;
    } else if (negative) {
        t = dd_neg(t);
    }
    if (slope)
        *slope = d;
    return t;
}
