/* families.h: seeded rows of data that are easy, hard or hostile to a normalization. Every value is a
 * closed formula of (family, seed, row, column), evaluated in double and rounded once to the dtype, so
 * any element can be made again without the others. families.def is the table. */
#ifndef NB_FAMILIES_H
#define NB_FAMILIES_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nb_class {
    NB_CLASS_RANDOM,
    NB_CLASS_ATTACK,
    NB_CLASS_RANGE,
    NB_CLASS_PARAMS,
    NB_CLASS_SPECIAL,
    NB_CLASS_SWEEP,
    NB_CLASS_COUNT
};
const char *nb_class_name(enum nb_class c);

enum nb_params {
    NB_PARAMS_MODEL,   /* gamma = 1 + N/10, beta = N/10 */
    NB_PARAMS_NONE,    /* neither gamma nor beta */
    NB_PARAMS_GAMMA,   /* gamma alone */
    NB_PARAMS_HOSTILE, /* zeros, signs, large and small numbers */
    NB_PARAMS_CANCEL,  /* beta = -gamma*xhat of the first row */
    NB_PARAMS_GEMMA    /* gamma = -1 + N/100, and the problem adds 1 */
};
enum nb_family_flags {
    NB_FAM_CHECK = 1,     /* in the mixture of every check */
    NB_FAM_OUTSIDE = 2,   /* eps outside the root */
    NB_FAM_BEFORE = 4,    /* xhat is cast to the storage type before gamma */
    NB_FAM_PARAM_F32 = 8  /* gamma and beta in f32 */
};

struct nb_family {
    const char *name;
    enum nb_class class;
    unsigned dtypes; /* bit per enum nb_dtype */
    int formula;
    double a, b;
    enum nb_params params;
    double eps; /* < 0: the caller's */
    unsigned flags;
};

size_t nb_family_count(void);
const struct nb_family *nb_family_at(size_t i);
const struct nb_family *nb_family_find(const char *name, uint32_t dtype); /* NULL: unknown */
bool nb_family_has(const struct nb_family *f, uint32_t dtype);

/* globs: comma-separated, NULL for all. A glob that no family matches is an error. */
bool nb_family_matches(const struct nb_family *f, const char *globs);
NB_USE_RESULT enum nb_status nb_families_check(const char *globs, struct nb_err *err);

/* Rounding errors on its rows behave like independent ones, so that the probabilistic bound holds. */
bool nb_family_is_likely(const struct nb_family *f);

/* Row `row` as doubles that the dtype represents exactly. */
void nb_family_row(const struct nb_family *f, uint32_t dtype, uint64_t seed, size_t row, double *x,
                   size_t n);

/* Row i of a check: half of the rows are benign, the others go round the CHECK families of the dtype. */
const struct nb_family *nb_check_family(uint32_t dtype, size_t i);

#endif
