/* codec.h: numbers to and from the storage of a dtype, rounded once, independent of the kernels.
 * Units: counts in elements. f16 and bf16 are stored as uint16_t. */
#ifndef NB_CODEC_H
#define NB_CODEC_H

#include <stddef.h>
#include <stdint.h>

void nb_encode(uint32_t dtype, const double *from, void *to, size_t n);
void nb_decode(uint32_t dtype, const void *from, double *to, size_t n);

/* Largest finite and smallest normal number of the arithmetic that a kernel of this dtype uses:
 * f64 for f64, f32 for all others. */
double nb_arith_max(uint32_t dtype);
double nb_arith_min(uint32_t dtype);

#endif
