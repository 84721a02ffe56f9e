#include "storage.h"

#include "nb_kernel.h"
#include "reference.h"
#include "registry.h"

#include <math.h>
#include <string.h>

/* v is a number of bfloat16, and so one of f32, whose upper half it is. */
static uint16_t bf16_bits(double v)
{
    const float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static double bf16_value(uint16_t h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* v is a number of binary16: 10 bits behind the point, units of 2^-24 below 2^-14. */
static uint16_t f16_bits(double v)
{
    const int sign = signbit(v) ? 0x8000 : 0;
    int e;
    const double m = 2 * frexp(fabs(v), &e); /* |v| = m 2^(e-1) */
    if (!isfinite(v))
        return (uint16_t)(sign | (isnan(v) ? 0x7e00 : 0x7c00));
    if (fabs(v) < 0x1p-14)
        return (uint16_t)(sign | (int)(fabs(v) * 0x1p24));
    return (uint16_t)(sign | (e - 1 + 15) << 10 | (int)((m - 1) * 0x1p10));
}

static double f16_value(uint16_t h)
{
    const int e = h >> 10 & 31, m = h & 0x3ff;
    const double size = e == 31 ? (m != 0 ? (double)NAN : (double)INFINITY) : e == 0 ? m * 0x1p-24 : ldexp(0x400 + m, e - 25);
    return h & 0x8000 ? -size : size;
}

void nb_to_storage(uint32_t dtype, const double *from, void *to, size_t n)
{
    const struct nb_ref_type *type = nb_ref_type_find(nb_dtype_name(dtype));
    for (size_t i = 0; i < n; i++) {
        const double v = nb_ref_round((struct nb_dd){from[i], 0}, type);
        if (dtype == NB_F64)
            ((double *)to)[i] = v;
        else if (dtype == NB_F32)
            ((float *)to)[i] = (float)v;
        else
            ((uint16_t *)to)[i] = dtype == NB_F16 ? f16_bits(v) : bf16_bits(v);
    }
}

void nb_from_storage(uint32_t dtype, const void *from, double *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = dtype == NB_F64   ? ((const double *)from)[i]
                : dtype == NB_F32 ? (double)((const float *)from)[i]
                : dtype == NB_F16 ? f16_value(((const uint16_t *)from)[i])
                                  : bf16_value(((const uint16_t *)from)[i]);
}

double nb_storage_roundoff(uint32_t dtype)
{
    const struct nb_ref_type *type = nb_ref_type_find(nb_dtype_name(dtype));
    return type->u_out > 0 ? type->u_out : type->u;
}
