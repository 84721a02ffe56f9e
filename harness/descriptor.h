/* descriptor.h: kernel descriptors that came from outside, checked field by field. */
#ifndef NB_DESCRIPTOR_H
#define NB_DESCRIPTOR_H

#include "nb_kernel.h"

#include <stdbool.h>

/* A copy of a plugin's table, strings included: what the plugin does to its own later changes nothing. Reads wherever
 * the table points: call it first in a process that may crash. Names must differ from those of all kernels
 * registered so far.
 *
 * In the place of a descriptor that is wrong stands one that is never run, so that it gets its verdict: under its own
 * name where that can be relied on, else, as a whole table that cannot be read, under one made of the file's, once a dtype. */
void nb_descriptors_take(const char *path, const struct nb_kernel_table *from, struct nb_kernel_table *to);

/* Which field of a descriptor is wrong, and what would be right; NULL: none is. */
const char *nb_descriptor_fault(const struct nb_kernel *k);

/* False: its op is not known, and it stands in the cells of all. */
bool nb_descriptor_has_op(const struct nb_kernel *k);

enum { NB_DESCRIPTORS_MAX = 1024, NB_KERNEL_NAME_MAX = 120 };

#endif
