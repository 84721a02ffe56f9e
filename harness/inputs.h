/* inputs.h: seeded numbers, gamma and beta, and the data that is timed. Every value is a closed formula of
 * (seed, row, column), evaluated in double and rounded once to the dtype. */
#ifndef NB_INPUTS_H
#define NB_INPUTS_H

#include "families.h"

#include <stdbool.h>

/* A number in (0,1), and one of N(0,1), that depend on the counters alone. */
double nb_uniform(uint64_t seed, uint64_t row, uint64_t i);
double nb_normal(uint64_t seed, uint64_t row, uint64_t i);

/* Rounds to the dtype and back, so that what is judged is what was stored. */
void nb_round_to(uint32_t dtype, double *v, size_t n);

/* gamma = 1 + N/10 and beta = N/10, as doubles that param_dtype represents exactly. */
void nb_input_gamma(uint32_t param_dtype, uint64_t seed, double *gamma, size_t n);
void nb_input_beta(uint32_t param_dtype, uint64_t seed, double *beta, size_t n);

/* Running statistics: mean N/4 and variance 1 + U, of every eighth column 1e-4 of that, where eps shows in 8 bits; as doubles that the type of saved statistics represents. */
void nb_input_running(uint32_t dtype, uint64_t seed, double *mean, double *var, size_t n);
/* The same, as they are stored. */
void nb_input_running_stored(uint32_t dtype, uint64_t seed, void *mean, void *var, size_t n);

/* Gamma and beta of a cell that is timed in place, where the output of a pass is the input of the next:
 * gamma = +-1, beta = 0. With alpha = -1 a pass then changes signs, and magnitudes by rounding alone (a
 * LayerNorm: once it has taken out what lies along (1,1,...) and along gamma): after any number of passes
 * the data is as ordinary as before the first. Other gammas would shrink elements by gamma_i/rms(gamma) a
 * pass, to zeros and subnormals, which some CPUs are slow at. */
void nb_input_gamma_in_place(uint64_t seed, double *gamma, size_t n);
void nb_input_beta_in_place(double *beta, size_t n);

/* The data that is timed: N(0,1), period NB_STREAM elements, laid over all rows one after the
 * other. Returns the stream in the dtype's storage, of which at least the first `reach` elements are made (the
 * functions below see to that themselves, but not for several threads at once). */
#define NB_STREAM ((size_t)1 << 20)
const void *nb_input_stream(uint32_t dtype, uint64_t seed, size_t reach);

/* A file in which processes of one build keep what they have made of the stream, for the next one; -1: none. Making
 * a megabyte takes ten times as long as reading it. */
void nb_input_stream_keep(int fd);

/* Copies elements [first, first+n) of the endless stream to `to` (storage of dtype). */
void nb_input_stream_copy(uint32_t dtype, uint64_t seed, size_t first, void *to, size_t n);

/* Whether that is what lies there. */
bool nb_input_stream_equal(uint32_t dtype, uint64_t seed, size_t first, const void *at, size_t n);

/* Whether a row is what a kernel meets in practice: finite, its root mean square within 2^6 of 1, and at most 1 in
 * 64 of its elements, or a single one, zero or subnormal. */
bool nb_input_is_ordinary(uint32_t dtype, const void *row, size_t n);

#endif
