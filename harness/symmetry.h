/* symmetry.h: what a norm must keep, whatever its numbers: a check that needs no oracle. */
#ifndef NB_SYMMETRY_H
#define NB_SYMMETRY_H

#include "nb_kernel.h"

#include <stdbool.h>
#include <stddef.h>

/* At eps 0, without gamma and beta: y(4x) = y(x) bitwise; layernorm: y(x+8) = y(x) and sum y = 0 within
 * rounding; rmsnorm: sum y^2 = hidden within rounding. dyt: y(-x) = -y(x) bitwise, |y| <= 1, increasing. False: text
 * says which does not hold. Rows of fewer than 8 elements have too little spread to tell. */
bool nb_symmetry_holds(const struct nb_kernel *k, size_t hidden, char *text, size_t len);

#endif
