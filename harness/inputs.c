#include "inputs.h"

#include "codec.h"
#include "err.h"
#include "nb_kernel.h"
#include "registry.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 4096 };
_Static_assert(NB_STREAM % PIECE == 0, "the stream is made of whole pieces");

double nb_uniform(uint64_t seed, uint64_t row, uint64_t i)
{
    unsigned long long state = seed * 0x9e3779b97f4a7c15u + row * 0xd1342543de82ef95u + i;
    nb_random(&state);
    return ((double)(nb_random(&state) >> 11) + 0.5) * 0x1p-53;
}

/* Box and Muller 1958 from two uniform numbers. */
double nb_normal(uint64_t seed, uint64_t row, uint64_t i)
{
    const double u = nb_uniform(seed, row, 2 * i), v = nb_uniform(seed, row, 2 * i + 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

void nb_round_to(uint32_t dtype, double *v, size_t n)
{
    uint64_t stored;
    for (size_t i = 0; i < n; i++) {
        nb_encode(dtype, &v[i], &stored, 1);
        nb_decode(dtype, &stored, &v[i], 1);
    }
}

void nb_input_gamma(uint32_t param_dtype, uint64_t seed, double *gamma, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gamma[i] = 1 + 0.1 * nb_normal(seed, 1u << 20, i);
    nb_round_to(param_dtype, gamma, n);
}

void nb_input_beta(uint32_t param_dtype, uint64_t seed, double *beta, size_t n)
{
    for (size_t i = 0; i < n; i++)
        beta[i] = 0.1 * nb_normal(seed, (1u << 20) + 1, i);
    nb_round_to(param_dtype, beta, n);
}

static uint32_t stat_dtype(uint32_t dtype)
{
    return dtype == NB_F64 ? NB_F64 : NB_F32;
}

void nb_input_running(uint32_t dtype, uint64_t seed, double *mean, double *var, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mean[i] = 0.25 * nb_normal(seed, (1u << 20) + 2, i);
        var[i] = (i % 8 == 3 ? 1e-4 : 1) * (1 + nb_uniform(seed, (1u << 20) + 3, i));
    }
    nb_round_to(stat_dtype(dtype), mean, n);
    nb_round_to(stat_dtype(dtype), var, n);
}

void nb_input_running_stored(uint32_t dtype, uint64_t seed, void *mean, void *var, size_t n)
{
    double *wide = malloc(2 * n * sizeof *wide);
    NB_ASSERT(wide != NULL);
    nb_input_running(dtype, seed, wide, wide + n, n);
    nb_encode(stat_dtype(dtype), wide, mean, n);
    nb_encode(stat_dtype(dtype), wide + n, var, n);
    free(wide);
}

void nb_input_gamma_in_place(uint64_t seed, double *gamma, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gamma[i] = nb_normal(seed, 1u << 20, i) < 0 ? -1 : 1;
}

void nb_input_beta_in_place(double *beta, size_t n)
{
    memset(beta, 0, n * sizeof *beta);
}

static int kept_in = -1;

void nb_input_stream_keep(int fd)
{
    kept_in = fd;
}

/* What the file begins with for each dtype; behind a page of these, NB_STREAM elements a dtype. */
struct kept {
    uint64_t seed, made;
};

static off_t kept_at(uint32_t dtype, size_t element)
{
    return 4096 + (off_t)(dtype * NB_STREAM * sizeof(double) + element * nb_dtype_bytes(dtype));
}

/* Elements from `at` on that an earlier process has made. */
static size_t take_kept(uint32_t dtype, uint64_t seed, size_t at, size_t reach, char *stream)
{
    const size_t bytes = nb_dtype_bytes(dtype);
    struct kept k;
    if (kept_in < 0 || pread(kept_in, &k, sizeof k, (off_t)(dtype * sizeof k)) != (ssize_t)sizeof k ||
        k.seed != seed || k.made > NB_STREAM || k.made <= at)
        return 0;
    const size_t n = (k.made < reach ? (size_t)k.made : (reach + PIECE - 1) / PIECE * PIECE) - at;
    return pread(kept_in, stream + at * bytes, n * bytes, kept_at(dtype, at)) == (ssize_t)(n * bytes) ? n : 0;
}

/* Data before the word that it is there: a process that dies in between has kept nothing. */
static void keep(uint32_t dtype, uint64_t seed, size_t from, size_t to, const char *stream)
{
    const size_t bytes = nb_dtype_bytes(dtype);
    const struct kept k = {seed, to};
    if (kept_in >= 0 && pwrite(kept_in, stream + from * bytes, (to - from) * bytes, kept_at(dtype, from)) ==
                            (ssize_t)((to - from) * bytes))
        (void)!pwrite(kept_in, &k, sizeof k, (off_t)(dtype * sizeof k));
}

static void make(uint32_t dtype, uint64_t seed, size_t from, size_t to, char *stream)
{
    for (size_t at = from; at < to; at += PIECE) {
        double wide[PIECE];
        for (size_t i = 0; i < PIECE; i++)
            wide[i] = nb_normal(seed, 1u << 21, at + i);
        nb_encode(dtype, wide, stream + at * nb_dtype_bytes(dtype), PIECE);
    }
    keep(dtype, seed, from, to, stream);
}

/* Made as far as somebody has asked for: a process that measures small cells does not wait for all of it. */
const void *nb_input_stream(uint32_t dtype, uint64_t seed, size_t reach)
{
    static void *streams[NB_DTYPE_COUNT];
    static uint64_t seeds[NB_DTYPE_COUNT];
    static size_t made[NB_DTYPE_COUNT];
    NB_ASSERT(dtype < NB_DTYPE_COUNT);
    if (streams[dtype] == NULL)
        streams[dtype] = malloc(NB_STREAM * nb_dtype_bytes(dtype));
    NB_ASSERT(streams[dtype] != NULL);
    if (seeds[dtype] != seed) {
        made[dtype] = 0;
        seeds[dtype] = seed;
    }
    const size_t wanted = reach < NB_STREAM ? (reach + PIECE - 1) / PIECE * PIECE : NB_STREAM;
    if (made[dtype] < wanted)
        made[dtype] += take_kept(dtype, seed, made[dtype], wanted, streams[dtype]);
    if (made[dtype] < wanted) {
        make(dtype, seed, made[dtype], wanted, streams[dtype]);
        made[dtype] = wanted;
    }
    return streams[dtype];
}

void nb_input_stream_copy(uint32_t dtype, uint64_t seed, size_t first, void *to, size_t n)
{
    const char *stream = nb_input_stream(dtype, seed, first + n);
    const size_t bytes = nb_dtype_bytes(dtype);
    for (size_t done = 0; done < n;) {
        const size_t at = (first + done) % NB_STREAM;
        const size_t run = n - done < NB_STREAM - at ? n - done : NB_STREAM - at;
        memcpy((char *)to + done * bytes, stream + at * bytes, run * bytes);
        done += run;
    }
}

bool nb_input_stream_equal(uint32_t dtype, uint64_t seed, size_t first, const void *at, size_t n)
{
    const char *stream = nb_input_stream(dtype, seed, first + n), *data = at;
    const size_t bytes = nb_dtype_bytes(dtype);
    for (size_t done = 0; done < n;) {
        const size_t from = (first + done) % NB_STREAM;
        const size_t run = n - done < NB_STREAM - from ? n - done : NB_STREAM - from;
        if (memcmp(data + done * bytes, stream + from * bytes, run * bytes) != 0)
            return false;
        done += run;
    }
    return true;
}

/* The least normal magnitude. */
static double least_normal(uint32_t dtype)
{
    return dtype == NB_F64 ? 0x1p-1022 : dtype == NB_F16 ? 0x1p-14 : 0x1p-126;
}

bool nb_input_is_ordinary(uint32_t dtype, const void *row, size_t n)
{
    double part[256], squares = 0;
    size_t tiny = 0;
    for (size_t done = 0; done < n;) {
        const size_t left = n - done, m = left < 256 ? left : 256;
        nb_decode(dtype, (const char *)row + done * nb_dtype_bytes(dtype), part, m);
        for (size_t i = 0; i < m; i++) {
            squares += part[i] * part[i];
            tiny += fabs(part[i]) < least_normal(dtype);
        }
        done += m;
    }
    const double rms = sqrt(squares / (double)n); /* NaN and infinity fail the comparison */
    return rms >= 0x1p-6 && rms <= 0x1p6 && tiny <= 1 + n / 64;
}
