/* inputs.h: seeded data. Every value is a closed formula of (family, seed, row, column), evaluated
 * in double and rounded once to the dtype, so any element can be made again without the others. */
#ifndef NB_INPUTS_H
#define NB_INPUTS_H

#include <stddef.h>
#include <stdint.h>

enum nb_family {
    NB_FAM_BENIGN,   /* N(0,1) */
    NB_FAM_UNIFORM,  /* [0,1) */
    NB_FAM_OFFSET_1E3, /* 1e3 + N(0,1): cancellation in E[x^2] - mean^2 */
    NB_FAM_OFFSET_1E5, /* 1e5 + N(0,1); f16: 6e4 + 32 N(0,1) */
    NB_FAM_CONSTANT, /* the same value in the whole row */
    NB_FAM_ONE_OFF,  /* constant but for one element */
    NB_FAM_LOGNORMAL,/* exp(3 N(0,1)), random sign */
    NB_FAM_SPIKES,   /* N(0,1) with two massive activations */
    NB_FAM_ALTERNATING, /* +1, -1, ... */
    NB_FAM_TINY,     /* 1e-3 N(0,1) scaled to the small end of the dtype */
    NB_FAM_HUGE,     /* squares leave the range of f32 (f64: of f64); f16: near its maximum */
    NB_FAM_NAN,      /* N(0,1) with one NaN */
    NB_FAM_COUNT
};
const char *nb_family_name(enum nb_family f);

/* Row `row` of the family as doubles that the dtype represents exactly. */
void nb_input_row(enum nb_family f, uint32_t dtype, uint64_t seed, size_t row, double *x,
                  size_t n);

/* Family of row i of a check: half of the rows are benign, the others go round the hard families. */
enum nb_family nb_input_check_family(size_t i);

/* gamma = 1 + N/10 and beta = N/10, as doubles that param_dtype represents exactly. */
void nb_input_gamma(uint32_t param_dtype, uint64_t seed, double *gamma, size_t n);
void nb_input_beta(uint32_t param_dtype, uint64_t seed, double *beta, size_t n);

/* The data that is timed: N(0,1), period NB_STREAM elements, laid over all rows one after the
 * other. Returns the stream in the dtype's storage; made once a process and dtype. */
#define NB_STREAM ((size_t)1 << 20)
const void *nb_input_stream(uint32_t dtype, uint64_t seed);

/* Copies elements [first, first+n) of the endless stream to `to` (storage of dtype). */
void nb_input_stream_copy(uint32_t dtype, uint64_t seed, size_t first, void *to, size_t n);

#endif
