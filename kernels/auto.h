/* auto.h: which variant serves a problem. The kernels of algorithm "auto" run the one that is chosen here, of
 * their own ISA: by the choices that the caller measured (nb_auto_use), otherwise by the rules of auto.def.
 *
 * Where the data lies is not known to a kernel, so that its bytes decide: those of x, y, gamma and beta that one
 * part touches, against what a part has of each cache (nb_auto_caches). Data that was pushed out of a cache in
 * which it would fit is taken for cached. */
#ifndef NB_AUTO_H
#define NB_AUTO_H

#include "nb_kernel.h"

enum nb_auto_level { NB_AUTO_L1, NB_AUTO_L2, NB_AUTO_L3, NB_AUTO_DRAM, NB_AUTO_LEVELS };

/* Bytes of the caches: of one instance, and the parts that share it. 0: there is none, or it is not known. */
struct nb_auto_caches {
    size_t l1, l2, l3;
    unsigned l2_parts, l3_parts;
};

/* A choice: kernel, of its op, dtype and ISA, for problems of hidden and of rows a part, both ends included. */
struct nb_auto_choice {
    const struct nb_kernel *kernel;
    enum nb_auto_level level;
    size_t hidden_from, hidden_to, rows_from, rows_to;
};

/* Both act on all that is prepared later; call them before any thread prepares. The choices must live on. */
void nb_auto_caches(const struct nb_auto_caches *caches);
void nb_auto_use(const struct nb_auto_choice *choices, size_t count);

/* Whatever the size says: all that is prepared runs k, where k supports it; NULL: no longer. A check of one call
 * looks at many smaller ones, and they must be of the kernel that the call runs. */
void nb_auto_pin(const struct nb_kernel *k);

enum nb_auto_level nb_auto_level_of(const struct nb_problem *p, uint32_t parts);
size_t nb_auto_rows_of(const struct nb_problem *p, uint32_t parts); /* of the largest part */

/* The variant for a problem of rows a part at a level. why: what was measured, or the reason in auto.def.
 * NULL: the ISA has no kernel for it. By default: as if nothing had been measured. */
const struct nb_kernel *nb_auto_choose(const char *isa, const struct nb_problem *p, enum nb_auto_level level,
                                       size_t rows, const char **why);
const struct nb_kernel *nb_auto_default(const char *isa, const struct nb_problem *p, enum nb_auto_level level,
                                        size_t rows, const char **why);

/* NULL: it may choose k. Otherwise why not: another op, dtype or ISA, a bound that its own does not cover, or
 * more than one call of run (a static string). */
const char *nb_auto_why_not(const struct nb_kernel *self, const struct nb_kernel *k);
const struct nb_kernel *nb_auto_of(const struct nb_kernel *k); /* that may choose k's kind; NULL: there is none */

/* prepare and finish of the kernels; run is stamped (algo/auto.inc). */
struct nb_auto_state {
    void (*run)(const void *state, const struct nb_args *a);
    struct nb_problem problem; /* the chosen kernel's state */
};
enum { NB_AUTO_STATES = 64 }; /* prepared at a time */
void *nb_auto_prepare(const char *isa, const struct nb_problem *p, const struct nb_args *a);
void nb_auto_finish(void *state);

#endif
