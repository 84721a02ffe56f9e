/* call.h: runs a kernel on rows in memory, in this thread. */
#ifndef NB_CALL_H
#define NB_CALL_H

#include "nb_kernel.h"
#include "registry.h"

#include <stdbool.h>

/* The kernel of this op, direction and algorithm ("twopass") for a dtype, in the strongest ISA that runs here ("": of all), without
 * a trick. NULL: there is none. nb_cpu_init must have run. */
const struct nb_kernel *nb_call_find(uint32_t op, uint32_t dir, uint32_t fuse, const char *algo, uint32_t dtype, const char *isa);

/* The plain forward kernel of an op: in two scans where it has a mean, else in one. */
const struct nb_kernel *nb_call_plain(uint32_t op, uint32_t dtype);

/* One call over all rows; size, part, parts and scratch of args are filled in. False: it does not support the problem. */
bool nb_call(const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args);

/* A kernel made ready for calls that are timed: its state and its scratch are kept, and a call allocates nothing. args: where the data
 * lies; scratch is its own. */
struct nb_prepared {
    const struct nb_kernel *kernel;
    struct nb_problem problem;
    struct nb_args args;
    void *own;         /* what prepare of the kernel gave */
    const void *state; /* what run is given: points into this struct where the kernel has no state, which must not move */
};
bool nb_prepare(struct nb_prepared *c, const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args);
void nb_prepared_run(const struct nb_prepared *c); /* all rows, and what is summed over them */
void nb_prepared_finish(struct nb_prepared *c);    /* also of a zeroed one */

/* A dense problem of rows x hidden: eps inside the root, gamma and beta of the dtype. */
struct nb_problem nb_call_problem(const struct nb_kernel *k, size_t rows, size_t hidden, double eps);

#endif
