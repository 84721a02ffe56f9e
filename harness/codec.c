#include "codec.h"

#include "nb_kernel.h"
#include "reference.h"
#include "registry.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A binary16 or bfloat16 as sign, exponent field and mantissa of `bits` bits. */
struct half_format {
    int mantissa, bias, exponent_max;
};
static const struct half_format F16 = {10, 15, 31}, BF16 = {7, 127, 255};

/* v must already be a value of the format (rounded), so every step here is exact. */
static uint16_t half_bits(const struct half_format *f, double v)
{
    const uint16_t sign = signbit(v) ? 0x8000 : 0;
    const uint16_t infinity = (uint16_t)(f->exponent_max << f->mantissa);
    if (isnan(v))
        return (uint16_t)(sign | infinity | (1 << (f->mantissa - 1)));
    if (isinf(v))
        return sign | infinity;
    int e;
    const double m = frexp(fabs(v), &e); /* |v| = m * 2^e, m in [1/2, 1) */
    if (m == 0)
        return sign;
    if (e + f->bias - 1 <= 0) /* subnormal: units of 2^(1 - bias - mantissa) */
        return sign | (uint16_t)ldexp(m, e + f->bias - 1 + f->mantissa);
    return (uint16_t)(sign | ((e + f->bias - 1) << f->mantissa) |
                      ((uint16_t)ldexp(m, f->mantissa + 1) & ((1 << f->mantissa) - 1)));
}

static double half_value(const struct half_format *f, uint16_t bits)
{
    const double sign = bits & 0x8000 ? -1.0 : 1.0;
    const int e = (bits & 0x7fff) >> f->mantissa, m = bits & ((1 << f->mantissa) - 1);
    if (e == f->exponent_max)
        return m ? NAN : sign * INFINITY;
    if (e == 0)
        return sign * ldexp(m, 1 - f->bias - f->mantissa);
    return sign * ldexp(m + (1 << f->mantissa), e - f->bias - f->mantissa);
}

void nb_encode(uint32_t dtype, const double *from, void *to, size_t n)
{
    if (dtype == NB_F64) {
        memcpy(to, from, n * sizeof(double));
    } else if (dtype == NB_F32) {
        for (size_t i = 0; i < n; i++)
            ((float *)to)[i] = (float)from[i];
    } else {
        const struct half_format *f = dtype == NB_F16 ? &F16 : &BF16;
        const struct nb_ref_type *type = nb_ref_type_find(nb_dtype_name(dtype));
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)to)[i] =
                half_bits(f, nb_ref_round((struct nb_dd){from[i], 0}, type));
    }
}

void nb_decode(uint32_t dtype, const void *from, double *to, size_t n)
{
    if (dtype == NB_F64) {
        memcpy(to, from, n * sizeof(double));
    } else if (dtype == NB_F32) {
        for (size_t i = 0; i < n; i++)
            to[i] = ((const float *)from)[i];
    } else {
        const struct half_format *f = dtype == NB_F16 ? &F16 : &BF16;
        for (size_t i = 0; i < n; i++)
            to[i] = half_value(f, ((const uint16_t *)from)[i]);
    }
}

double nb_arith_max(uint32_t dtype)
{
    return dtype == NB_F64 ? DBL_MAX : (double)FLT_MAX;
}

double nb_arith_min(uint32_t dtype)
{
    return dtype == NB_F64 ? DBL_MIN : (double)FLT_MIN;
}
