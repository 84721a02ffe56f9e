/* host_parts.h: facts that host.json, doctor and refusals need. Private to host.c, doctor.c and
 * refuse.c. */
#ifndef NB_HOST_PARTS_H
#define NB_HOST_PARTS_H

#include <stddef.h>

#define NB_CPU_DIR "/sys/devices/system/cpu"
#define NB_THP_DIR "/sys/kernel/mm/transparent_hugepage"

/* The word in brackets of "always [madvise] never". Returns 0, or an errno value. */
int nb_host_choice(const char *path, char *word, size_t len);

/* Boost states: 1 on, 0 off, negative: unknown. root: as in sysread.h. */
int nb_host_boost(const char *root);

/* Vendor of the hypervisor; "none" on bare metal, NULL where it cannot be told. Static
 * buffer. */
const char *nb_host_hypervisor(void);

/* Flags of the i-th unit of kernels; NULL: there is none, or the build wrote no list of them. */
const char *nb_host_unit_flags(size_t i);

/* ns: mean cost of a reading of CLOCK_MONOTONIC, and the smallest step seen between two different readings. */
void nb_host_timer(double *cost, double *step);

#endif
