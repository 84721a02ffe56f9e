#include "inputs.h"

#include "codec.h"
#include "err.h"
#include "nb_kernel.h"
#include "registry.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const FAMILY_NAMES[NB_FAM_COUNT] = {
    "benign",   "uniform",   "offset1e3", "offset1e5",   "constant", "one-off",
    "lognormal", "spikes",   "alternating", "tiny",      "huge",     "nan",
};

const char *nb_family_name(enum nb_family f)
{
    NB_ASSERT(f < NB_FAM_COUNT);
    return FAMILY_NAMES[f];
}

/* A number in (0,1) that depends on the counters alone. */
static double uniform(uint64_t seed, uint64_t row, uint64_t i)
{
    unsigned long long state = seed * 0x9e3779b97f4a7c15u + row * 0xd1342543de82ef95u + i;
    nb_random(&state);
    return ((double)(nb_random(&state) >> 11) + 0.5) * 0x1p-53;
}

/* Box and Muller 1958 from two uniform numbers. */
static double normal(uint64_t seed, uint64_t row, uint64_t i)
{
    const double u = uniform(seed, row, 2 * i), v = uniform(seed, row, 2 * i + 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static const double CONSTANTS[] = {0, 1, 0.1, -3.3, 1e3};

static double value(enum nb_family f, uint32_t dtype, uint64_t seed, size_t row, size_t i,
                    size_t n)
{
    const double z = normal(seed, row, i);
    const size_t special = (size_t)(uniform(seed, row, 1u << 30) * (double)n);
    switch (f) {
    case NB_FAM_UNIFORM:
        return uniform(seed, row, i);
    case NB_FAM_OFFSET_1E3:
        return 1e3 + z;
    case NB_FAM_OFFSET_1E5:
        return dtype == NB_F16 ? 6e4 + 32 * z : 1e5 + z;
    case NB_FAM_CONSTANT:
        return CONSTANTS[row % (sizeof CONSTANTS / sizeof *CONSTANTS)];
    case NB_FAM_ONE_OFF:
        return i == special ? 2 : 1;
    case NB_FAM_LOGNORMAL:
        return copysign(exp((dtype == NB_F16 ? 1.5 : 3.0) * z), uniform(seed, row, ~i) - 0.5);
    case NB_FAM_SPIKES:
        return i == special ? 2.1e3 : i == (special + n / 2) % n ? -1.5e3 : z;
    case NB_FAM_ALTERNATING:
        return i % 2 ? -1 : 1;
    case NB_FAM_TINY:
        return z * (dtype == NB_F64 ? 1e-200 : dtype == NB_F16 ? 1e-6 : 1e-30);
    case NB_FAM_HUGE:
        return z * (dtype == NB_F64 ? 1e200 : dtype == NB_F16 ? 1e4 : 1e25);
    case NB_FAM_NAN:
        return i == special ? NAN : z;
    default:
        return z;
    }
}

/* Rounds to the dtype and back, so that what is judged is what was stored. */
static void round_to(uint32_t dtype, double *v, size_t n)
{
    uint64_t stored;
    for (size_t i = 0; i < n; i++) {
        nb_encode(dtype, &v[i], &stored, 1);
        nb_decode(dtype, &stored, &v[i], 1);
    }
}

void nb_input_row(enum nb_family f, uint32_t dtype, uint64_t seed, size_t row, double *x,
                  size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value(f, dtype, seed, row, i, n);
    round_to(dtype, x, n);
}

enum nb_family nb_input_check_family(size_t i)
{
    if (i % 2 == 0)
        return NB_FAM_BENIGN;
    return (enum nb_family)(1 + i / 2 % (NB_FAM_COUNT - 1));
}

void nb_input_gamma(uint32_t param_dtype, uint64_t seed, double *gamma, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gamma[i] = 1 + 0.1 * normal(seed, 1u << 20, i);
    round_to(param_dtype, gamma, n);
}

void nb_input_beta(uint32_t param_dtype, uint64_t seed, double *beta, size_t n)
{
    for (size_t i = 0; i < n; i++)
        beta[i] = 0.1 * normal(seed, (1u << 20) + 1, i);
    round_to(param_dtype, beta, n);
}

const void *nb_input_stream(uint32_t dtype, uint64_t seed)
{
    static void *streams[NB_DTYPE_COUNT];
    static uint64_t seeds[NB_DTYPE_COUNT];
    NB_ASSERT(dtype < NB_DTYPE_COUNT);
    if (streams[dtype] != NULL && seeds[dtype] == seed)
        return streams[dtype];
    double *wide = malloc(NB_STREAM * sizeof *wide);
    void *stored = realloc(streams[dtype], NB_STREAM * nb_dtype_bytes(dtype));
    NB_ASSERT(wide != NULL && stored != NULL);
    for (size_t i = 0; i < NB_STREAM; i++)
        wide[i] = normal(seed, 1u << 21, i);
    nb_encode(dtype, wide, stored, NB_STREAM);
    free(wide);
    streams[dtype] = stored;
    seeds[dtype] = seed;
    return stored;
}

void nb_input_stream_copy(uint32_t dtype, uint64_t seed, size_t first, void *to, size_t n)
{
    const char *stream = nb_input_stream(dtype, seed);
    const size_t bytes = nb_dtype_bytes(dtype);
    for (size_t done = 0; done < n;) {
        const size_t at = (first + done) % NB_STREAM;
        const size_t run = n - done < NB_STREAM - at ? n - done : NB_STREAM - at;
        memcpy((char *)to + done * bytes, stream + at * bytes, run * bytes);
        done += run;
    }
}
