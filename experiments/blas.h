/* blas.h: the matrix product of blocks: OpenBLAS, through CBLAS.
 *
 * It is loaded when it is asked for, and not linked: as soon as it is in a process it starts its threads, and nothing that measures
 * norms by themselves should have them. */
#ifndef NB_BLAS_H
#define NB_BLAS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

/* C[m][n] = alpha op(A) op(B) + beta C, row by row; op(A) [m][k], op(B) [k][n]; ta: A is stored [k][m], tb: B is stored [n][k]. Row
 * strides in elements. beta 0: C is not read. */
typedef void nb_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b,
                     size_t ldb, float beta, float *c, size_t ldc);

/* OpenBLAS with so many threads; NULL: it is not there, and err says what to do. Once a process. */
nb_gemm *nb_openblas(int threads, struct nb_err *err);

#endif
