/* kernel_data.h: what the tests that call kernels directly share: values of every dtype, seeded numbers, memory with
 * a page behind it that nobody may touch, and the walk over the kernels this CPU can run. libc only. */
#ifndef NB_TESTS_KERNEL_DATA_H
#define NB_TESTS_KERNEL_DATA_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu.h"
#include "registry.h"

enum { CANARY = 0xa5 };

/* ---- storage, written for tests alone: arithmetic on values, not on bits ---- */

static inline double decode16(uint16_t h, int mantissa, int bias)
{
    const int field = (h & 0x7fff) >> mantissa, top = (1 << (15 - mantissa)) - 1;
    const double f = ldexp(h & ((1 << mantissa) - 1), -mantissa);
    double v = field ? ldexp(1 + f, field - bias) : ldexp(f, 1 - bias);
    if (field == top)
        v = f > 0 ? (double)NAN : (double)INFINITY;
    return h & 0x8000 ? -v : v;
}

/* Every value of 16 bits, made once: emulated processors take long for one. */
static inline double looked_up(const uint16_t *h, int mantissa, int bias)
{
    static double values[2][1 << 16];
    static int made[2];
    double *v = values[bias == 15];
    for (uint32_t i = 0; i < 1 << 16 && !made[bias == 15]; i++)
        v[i] = decode16((uint16_t)i, mantissa, bias);
    made[bias == 15] = 1;
    return v[*h];
}

static inline double decode(uint32_t dtype, const void *p, size_t i)
{
    switch (dtype) {
    case NB_F32:
        return ((const float *)p)[i];
    case NB_F64:
        return ((const double *)p)[i];
    case NB_F16:
        return looked_up((const uint16_t *)p + i, 10, 15);
    default:
        return looked_up((const uint16_t *)p + i, 7, 127);
    }
}

/* Inputs need not be correctly rounded: the expected result is computed from what was
 * stored. */
static inline uint16_t encode16(double v, int mantissa, int bias)
{
    const uint16_t sign = signbit(v) ? 0x8000 : 0,
                   top = (uint16_t)(0x7fff >> mantissa << mantissa);
    int e;
    if (isnan(v))
        return (uint16_t)(top | 1u << (mantissa - 1));
    if (isinf(v))
        return (uint16_t)(sign | top);
    const double f = frexp(fabs(v), &e);
    const int field = e - 1 + bias;
    if (v == 0 || field < 1)
        return sign;
    const int frac = (int)((2 * f - 1) * (1 << mantissa));
    return (uint16_t)(sign | field << mantissa | frac);
}

static inline void encode(uint32_t dtype, void *p, size_t i, double v)
{
    if (dtype == NB_F32)
        ((float *)p)[i] = (float)v;
    else if (dtype == NB_F64)
        ((double *)p)[i] = v;
    else if (dtype == NB_F16)
        ((uint16_t *)p)[i] = encode16(v, 10, 15);
    else
        ((uint16_t *)p)[i] = encode16(v, 7, 127);
}

/* ---- data ---- */

#define SEED 0x9e3779b97f4a7c15u
static uint64_t seed = SEED;

static inline double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(seed >> 11) + 0.5) * 0x1p-53;
}

/* One of 4093 values, made once. */
static inline double normal(void)
{
    enum { VALUES = 4093 };
    static double values[VALUES];
    for (size_t i = 0; i < VALUES && values[VALUES - 1] == 0; i++)
        values[i] = sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
    return values[(size_t)(uniform() * VALUES)];
}

/* ---- memory ---- */

/* It ends at a page nobody may touch: a read or write past the last element is a crash. */
struct guarded {
    unsigned char *end;
    size_t bytes;
};

static inline int reserve(struct guarded *g, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes / page + 2) * page;
    unsigned char *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + size - page, page, PROT_NONE) != 0)
        return 0;
    g->end = p + size - page;
    g->bytes = bytes;
    return 1;
}

/* Its last bytes; canaries there and before them. */
static inline unsigned char *room(const struct guarded *g, size_t bytes)
{
    memset(g->end - g->bytes, CANARY, g->bytes);
    return g->end - bytes;
}

static inline int all_canaries(const unsigned char *p, size_t from, size_t to)
{
    return from >= to || (p[from] == CANARY && memcmp(p + from, p + from + 1, to - from - 1) == 0);
}

/* ---- kernels ---- */

/* Groups or heads: as few as divide a row, but 1, and have 3 elements at least; 1 where there are none. */
static inline size_t pieces_of(uint32_t op, size_t hidden)
{
    const enum nb_k_role role = nb_op_role(op);
    for (size_t d = 2; d <= hidden / 3 && (role == NB_K_IS_PIECES || role == NB_K_IS_LENGTH); d++)
        if (hidden % d == 0)
            return d;
    return 1;
}

/* k of a problem: of a prefix a length that no vector length divides. */
static inline size_t k_of(uint32_t op, size_t hidden)
{
    const enum nb_k_role role = nb_op_role(op);
    const size_t pieces = pieces_of(op, hidden);
    return role == NB_K_IS_FIRST ? hidden / 3 + 1 : role == NB_K_IS_PIECES ? pieces : role == NB_K_IS_LENGTH ? hidden / pieces : 0;
}

static inline int is_centred(uint32_t op)
{
    return nb_op_facts(op)->centred;
}

/* rstd of the sum of squares, and gamma at most one factor of the row. */
static inline int is_sum(uint32_t op)
{
    return nb_op_facts(op)->sum;
}

/* Divides by the size of a row. */
static inline int has_rstd(uint32_t op)
{
    return nb_op_facts(op)->norm;
}

/* Takes the options of norms: gemma and order. */
static inline int is_layer(uint32_t op)
{
    return nb_op_is_layer(op);
}

/* Of each ISA, and what it says of those in direction dir, forward of one input (norms of columns have a test of their
 * own); the exit status of the test, of which failed checks have failed already. */
static inline int check_kernels(uint32_t dir, int (*check)(const struct nb_kernel *), int failed)
{
    size_t tested = 0;
    for (size_t i = 0; i < nb_isa_count(); i++) {
        const struct nb_isa *isa = nb_isa_at(i);
        const char *why_not = nb_isa_why_not(isa);
        size_t here = 0;
        for (size_t j = 0; j < nb_kernel_count() && !why_not; j++) {
            const struct nb_kernel *k = nb_kernel_at(j);
            if (k->dir != dir || (dir == NB_FWD && k->fuse != NB_FUSE_NONE) || nb_op_facts(k->op)->columns ||
                strcmp(k->isa, isa->name) != 0)
                continue;
            here++;
            seed = SEED; /* the same data whatever kernels went before */
            failed += check(k);
        }
        printf("%-15s %3zu kernels%s%s\n", isa->name, here, why_not ? ": " : "",
               why_not ? why_not : "");
        tested += here;
    }
    printf("%zu kernels tested, %d failures\n", tested, failed);
    return tested == 0 || failed != 0;
}

/* NB_DISABLE_ISA is heard. */
static inline int kernels_begin(void)
{
    char bad[32];
    if (nb_cpu_init(bad, sizeof bad) == 0)
        return 1;
    printf("NB_DISABLE_ISA: unknown word %s\n", bad);
    return 0;
}

#endif
