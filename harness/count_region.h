/* count_region.h: one call of a kernel, counted by callgrind, in a worker that runs under it. */
#ifndef NB_COUNT_REGION_H
#define NB_COUNT_REGION_H

#include "plan.h"

/* Was this program built with valgrind/callgrind.h? Without it nothing can be counted. */
bool nb_region_built(void);
bool nb_region_under_valgrind(void);

/* Calls the kernel (NULL: one that does nothing) twice over the rows of the cell, on one thread, and has the second
 * call dumped under this tag. Code before and behind runs at nearly full speed: only here does callgrind
 * instrument, with empty caches, so that a count does not depend on what was counted before. All that the kernel
 * is given, and its stack, lies at addresses that depend on the cell alone. */
NB_USE_RESULT enum nb_status nb_region_count(const struct nb_cell *cell, const struct nb_kernel *k, uint64_t seed,
                                             const char *tag, struct nb_err *err);

#endif
