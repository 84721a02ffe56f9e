/* mutation.h: what the tests of planted errors share. A mutation is right code with one thing wrong; its places are the
 * kernels that can have it. What is right must pass everywhere, and every mutation must be caught in all of its places.
 * The last line is "mutation score: N of M mutations caught everywhere, P of Q places (x %)": scripts/test shows it. */
#ifndef NB_MUTATION_H
#define NB_MUTATION_H

#include "check.h"
#include "codec.h"
#include "err.h"
#include "registry.h"

#include <stdio.h>

enum { HIDDEN = 67, ROWS = 50, MANY = 1100 };

/* Where a mutation can exist: in 16 bits, not in bf16, in a norm that subtracts its mean; and whether it takes many rows
 * to see it. Each test adds words of its own from OWN on. */
enum {
    ANY, NARROW = 1, NOT_BF16 = 2, CENTRED = 4, MANY_ROWS = 8,
    MEAN = 16, SUM = 32, STATS = 64, /* rstd of a mean, of a sum, of either */
    POINTWISE = 128, /* a rival without a statistic */
    GAMMA = 256, ELEMENTWISE = 512, GAIN = 1024, /* gamma: of any kind, of each element, of all */
    BETA = 2048,
    OWN = 4096
};

static inline bool mutation_fits(unsigned where, const struct nb_kernel *k)
{
    const struct nb_op_facts *op = nb_op_facts(k->op);
    return !(where & NARROW && nb_dtype_bytes(k->dtype) != 2) && !(where & NOT_BF16 && k->dtype == NB_BF16) &&
           !(where & CENTRED && !op->centred) && !(where & (MEAN | STATS) && !op->norm) && !(where & MEAN && op->sum) &&
           !(where & SUM && !op->sum) && !(where & POINTWISE && !op->pointwise) && !(where & BETA && !op->beta) &&
           !(where & (GAMMA | ELEMENTWISE) && !op->gamma) && !(where & ELEMENTWISE && op->scalar) &&
           !(where & GAIN && !op->scalar);
}

/* ---- words for writing mutations ---- */

/* Element i of an array. */
static inline double element_get(uint32_t dtype, const void *p, size_t i)
{
    double v;
    nb_decode(dtype, (const char *)p + i * nb_dtype_bytes(dtype), &v, 1);
    return v;
}

static inline void element_put(uint32_t dtype, void *p, size_t i, double v)
{
    nb_encode(dtype, &v, (char *)p + i * nb_dtype_bytes(dtype), 1);
}

/* What would be read back. */
static inline double element_through(uint32_t dtype, double v)
{
    char bits[sizeof(double)];
    element_put(dtype, bits, 0, v);
    return element_get(dtype, bits, 0);
}

/* From 1 to the next number. */
static inline double element_step(uint32_t dtype)
{
    return dtype == NB_F64 ? 0x1p-52 : dtype == NB_F32 ? 0x1p-23 : dtype == NB_F16 ? 0x1p-10 : 0x1p-7;
}

/* ---- the check of one ---- */

static inline bool has_pieces(const struct nb_kernel *k)
{
    const enum nb_k_role role = nb_op_role(k->op);
    return role == NB_K_IS_PIECES || role == NB_K_IS_LENGTH;
}

/* 67 columns are prime; rows of groups or heads have 66. */
static inline struct nb_cell mutation_cell(const struct nb_kernel *k, unsigned where)
{
    const size_t hidden = has_pieces(k) ? 66 : HIDDEN;
    return (struct nb_cell){.id = "mutation", .dir = k->dir, .fuse = k->fuse, .dtype = k->dtype, .param_dtype = k->dtype,
                            .hidden = hidden, .rows = where & MANY_ROWS ? MANY : ROWS, .ldx = hidden, .ldy = hidden,
                            .k = {[NB_K_GROUPS] = 3, [NB_K_HEAD] = 22}, .threads = 1, .residency = NB_L2,
                            .momentum = NB_MOMENTUM};
}

static inline struct nb_check_result mutation_check(const struct nb_cell *c, const struct nb_kernel *mutant)
{
    struct nb_check_result r;
    struct nb_check_data *d = nb_check_data_make(c, 1);
    nb_check_kernel(d, mutant, &r);
    nb_check_data_free(d);
    return r;
}

/* ---- the score of all ---- */

/* Mutations 1 to count - 1; 0 is none. */
struct mutations {
    size_t count;
    const char *(*begin)(size_t i);                               /* from now on it is this one; its name */
    bool (*exists)(const struct nb_kernel *k);                    /* k can have it */
    struct nb_check_result (*checked)(const struct nb_kernel *k); /* k with it, by the check before a timing */
    bool (*lab_passes)(const struct nb_kernel *k);                /* NULL: no laboratory takes such kernels */
};

struct mutation_score {
    size_t places, check, lab; /* where it exists; caught by the check; only by the laboratory */
};

/* Kernels that pass as they are; 0: one does not. */
static inline size_t mutation_none(const struct mutations *m)
{
    size_t right = 0;
    m->begin(0);
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (!m->exists(k))
            continue;
        const struct nb_check_result r = m->checked(k);
        if (r.verdict != NB_PASS || (m->lab_passes != NULL && !m->lab_passes(k))) {
            printf("  NOT PASSED, and right: %s: %s\n", k->name, r.verdict != NB_PASS ? r.reason : "by the laboratory");
            return 0;
        }
        right++;
    }
    return right;
}

static inline struct mutation_score mutation_try(const struct mutations *m, const char *name)
{
    struct mutation_score s = {0, 0, 0};
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (!m->exists(k))
            continue;
        s.places++;
        if (m->checked(k).verdict != NB_PASS)
            s.check++;
        else if (m->lab_passes != NULL && !m->lab_passes(k))
            s.lab++;
        else
            printf("  NOT CAUGHT: %s in %s\n", name, k->name);
    }
    return s;
}

/* Prints all of it. True: what is right passed, and all else was caught everywhere. */
static inline bool mutations_all_caught(const struct mutations *m)
{
    struct mutation_score all = {0, 0, 0};
    size_t whole = 0;
    const size_t right = mutation_none(m);
    if (right == 0)
        return false;
    printf("%zu kernels pass unspoilt\n%-45s %6s %6s %6s\n", right, "mutation", "places", "check", "lab");
    for (size_t i = 1; i < m->count; i++) {
        const char *name = m->begin(i);
        NB_ASSERT(name != NULL);
        const struct mutation_score s = mutation_try(m, name);
        printf("%-45s %6zu %6zu %6zu\n", name, s.places, s.check, s.lab);
        all = (struct mutation_score){all.places + s.places, all.check + s.check, all.lab + s.lab};
        whole += s.places > 0 && s.check + s.lab == s.places;
    }
    printf("mutation score: %zu of %zu mutations caught everywhere, %zu of %zu places (%.1f %%)\n", whole, m->count - 1,
           all.check + all.lab, all.places, 100 * (double)(all.check + all.lab) / (double)all.places);
    return whole == m->count - 1;
}

#endif
