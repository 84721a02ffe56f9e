/* expm1.h: the numbers of tanh.inc's polynomial; tests/tanh_test.c evaluates them in MPFR.
 *
 * h(r) = (exp(r) - 1 - r - r^2/2)/r^3 for |r| <= 0.3466, a little more than ln(2)/2: coefficients from the highest power
 * down to r^0, interpolated at Chebyshev's nodes in 300 bits, then rounded to f32 or f64. r + r^2/2 + r^3 h(r) is within
 * 0.03 units of roundoff of exp(r) - 1, relative. */
#ifndef NB_ALGO_EXPM1_H
#define NB_ALGO_EXPM1_H

#define NB_EXPM1_F32(first, next)                                                        \
    first(0x1.a0f864p-13) next(0x1.6d10fep-10) next(0x1.1110f6p-7) next(0x1.55551ap-5) next(0x1.555556p-3)

#define NB_EXPM1_F64(first, next)                                                        \
    first(0x1.1f66da6ee7eeap-29) next(0x1.af38a0d2d9620p-26) next(0x1.27e4e1f6a6779p-22) \
    next(0x1.71de0db21e27fp-19) next(0x1.a01a01a47a78fp-16) next(0x1.a01a01a7c327ap-13)  \
    next(0x1.6c16c16c167e2p-10) next(0x1.11111111109b4p-7) next(0x1.5555555555555p-5)    \
    next(0x1.5555555555556p-3)

#endif
