#include "deepnorm.h"

#include <math.h>

struct nb_ref_deepnorm nb_ref_deepnorm(enum nb_ref_stack stack, unsigned encoders,
                                       unsigned decoders)
{
    double n = encoders, m = decoders, mixed;
    switch (stack) {
    case NB_REF_ENCODER_ONLY:
        return (struct nb_ref_deepnorm){pow(2 * n, 0.25), pow(8 * n, -0.25)};
    case NB_REF_DECODER_ONLY:
        return (struct nb_ref_deepnorm){pow(2 * m, 0.25), pow(8 * m, -0.25)};
    case NB_REF_ENCODER_OF_BOTH:
        mixed = pow(n * n * n * n * m, 0.0625);
        return (struct nb_ref_deepnorm){0.81 * mixed, 0.87 / mixed};
    case NB_REF_DECODER_OF_BOTH:
        break;
    }
    return (struct nb_ref_deepnorm){pow(3 * m, 0.25), pow(12 * m, -0.25)};
}

double nb_ref_sum(double alpha, double x, double residual, int wide, int fused)
{
    if (wide)
        return fused ? fma(alpha, x, residual) : alpha * x + residual;
    float a = (float)alpha, v = (float)x, r = (float)residual;
    return fused ? fmaf(a, v, r) : a * v + r;
}

double nb_ref_product(double alpha, double x, int wide)
{
    return wide ? alpha * x : (double)((float)alpha * (float)x);
}
