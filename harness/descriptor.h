/* descriptor.h: kernel descriptors that came from outside, checked field by field. */
#ifndef NB_DESCRIPTOR_H
#define NB_DESCRIPTOR_H

#include "err.h"
#include "nb_kernel.h"

/* A copy of a plugin's table, strings included: what the plugin does to its own later changes nothing.
 * An error names the descriptor and what would be right. Reads wherever the table points: call it first in
 * a process that may crash. Names must differ from those of all kernels registered so far. */
NB_USE_RESULT enum nb_status nb_descriptors_take(const struct nb_kernel_table *from,
                                                 struct nb_kernel_table *to, struct nb_err *err);

enum { NB_DESCRIPTORS_MAX = 1024, NB_KERNEL_NAME_MAX = 120 };

#endif
