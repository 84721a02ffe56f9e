/* support.h: what kernels accept and need, said once for all ISA units. These functions
 * run on any CPU, so they live outside the units that are compiled for one. */
#ifndef NB_SUPPORT_H
#define NB_SUPPORT_H

#include "nb_kernel.h"

const char *nb_supports_ceiling(const struct nb_problem *p); /* copy, scale */
const char *nb_supports_affine(const struct nb_problem *p);
const char *nb_supports_norm(const struct nb_problem *p);  /* k as its op has it */
const char *nb_supports_short(const struct nb_problem *p); /* at most 512 elements: of a row, a group, a head */
const char *nb_supports_gain(const struct nb_problem *p);  /* norms with one gain: there is no xhat that could be rounded */
const char *nb_supports_short_gain(const struct nb_problem *p);

const char *nb_supports_triad(const struct nb_problem *p);    /* backward */
const char *nb_supports_backward(const struct nb_problem *p); /* norms, backward */
const char *nb_supports_two(const struct nb_problem *p);          /* backward, dx and dres: triad */
const char *nb_supports_backward_two(const struct nb_problem *p); /* norms, backward, dx and dres */

const char *nb_supports_sum(const struct nb_problem *p);   /* forward, with a residual: triad */
const char *nb_supports_fused(const struct nb_problem *p); /* norms, forward, with a residual */

/* Rows that a fused kernel adds before it norms them: few enough that their h is still in L1. */
size_t nb_fused_rows(const struct nb_problem *p);
/* h of that many rows, or of all of a slice, where it is not kept. */
size_t nb_scratch_fused(const struct nb_problem *p, uint32_t parts);
size_t nb_scratch_row(const struct nb_problem *p, uint32_t parts); /* whether it is kept or not */
size_t nb_scratch_addnorm(const struct nb_problem *p, uint32_t parts);

/* Norms of columns: in training, in inference, backward; what is kept of each column, and unfused two matrices. */
const char *nb_supports_columns(const struct nb_problem *p);
const char *nb_supports_columns_given(const struct nb_problem *p);
const char *nb_supports_columns_backward(const struct nb_problem *p);
size_t nb_scratch_columns(const struct nb_problem *p, uint32_t parts);
size_t nb_scratch_columns_unfused(const struct nb_problem *p, uint32_t parts);

/* Sums of dgamma and dbeta over a slice's rows; unfused: three matrices of temporaries as well. */
size_t nb_scratch_backward(const struct nb_problem *p, uint32_t parts);
size_t nb_scratch_backward_alpha(const struct nb_problem *p, uint32_t parts); /* and of dalpha, by columns */
size_t nb_scratch_backward_unfused(const struct nb_problem *p, uint32_t parts);

/* Temporaries of the unfused kernels for the largest of parts slices. */
size_t nb_scratch_layernorm(const struct nb_problem *p, uint32_t parts);
size_t nb_scratch_rmsnorm(const struct nb_problem *p, uint32_t parts);

#endif
