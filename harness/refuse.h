/* refuse.h: what makes all results of a run meaningless, looked for before it begins. */
#ifndef NB_REFUSE_H
#define NB_REFUSE_H

#include "err.h"
#include "topology.h"

#include <jansson.h>
#include <stdbool.h>

/* What was seen. Whatever is not known (NULL, NAN) refuses nothing. */
struct nb_obstacles {
    const char *emulator; /* file name of a program that runs this one: valgrind's tool, qemu-user */
    const char *flags;    /* what makes the kernels' code another one: "-fsanitize=address", "-O0" */
    double quota;         /* of a cgroup, in CPUs; not positive: none */
    double free_cores;    /* of those we may use, for what others leave */
    double stolen;        /* share of the CPU time that was asked for */
    double timer_step_ns; /* smallest step of the clock */
};
/* So many looks of a second at most, 1 or more, until the CPUs are as a run of so many threads needs them. */
void nb_obstacles_see(struct nb_obstacles *o, const struct nb_topology *t, unsigned threads, unsigned looks);

/* Appends to reasons a sentence for each obstacle that a run of so many threads cannot stand, and writes to
 * text all of them with what would help, separated by "; ". Returns how many. */
size_t nb_obstacles_judge(const struct nb_obstacles *o, unsigned threads, json_t *reasons, char *text,
                          size_t len);

/* Both: an error that names what would help, where anything is in the way. force, or NB_FORCE=1: no error,
 * reasons (an array) is all the same filled: they mark the results. Takes 0.2 s; where others use the CPUs, up
 * to 15 s for them to end, with force 1 s. */
NB_USE_RESULT enum nb_status nb_refuse(const struct nb_topology *t, unsigned threads, bool force,
                                       json_t *reasons, struct nb_err *err);

#endif
