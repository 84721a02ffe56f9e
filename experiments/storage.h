/* storage.h: numbers to and from the storage of a dtype, rounded once to nearest even by the oracle's rounding, so that what an
 * experiment hands to a kernel owes nothing to kernels.
 * Units    counts in elements; f16 and bf16 are stored as uint16_t */
#ifndef NB_STORAGE_H
#define NB_STORAGE_H

#include <stddef.h>
#include <stdint.h>

void nb_to_storage(uint32_t dtype, const double *from, void *to, size_t n);
void nb_from_storage(uint32_t dtype, const void *from, double *to, size_t n);

/* Half a unit in the last place of a number of size 1 in that dtype, relative: 2^-24, 2^-53, 2^-11, 2^-8. */
double nb_storage_roundoff(uint32_t dtype);

#endif
