/* host.h: what host.json records, and what `doctor` says about it. */
#ifndef NB_HOST_H
#define NB_HOST_H

#include "err.h"
#include "topology.h"

#include <jansson.h>
#include <stdio.h>

/* Facts that stay for a run (docs/schema.md, host.json): CPU model, microcode, caches, kernel,
 * governor, boost, SMT, THP, cpuset, hypervisor, paranoid level, compiler, flags of each unit, git
 * revision, PAPI state. Unknown values are null and their reason stands under "unknown".
 * NULL only when memory is short. */
json_t *nb_host_facts(const struct nb_topology *t);

/* A moment: load averages, steal and total jiffies, CPU clock if known, free memory, UTC time.
 * Taken before and after a run. */
json_t *nb_host_moment(void);

/* Prints what about this host hurts measurement, what it does to results and what would help
 * (never changed by us). Returns the number of findings. */
int nb_host_doctor(const struct nb_topology *t, FILE *out);
/* The same with files of the system below root (sysread.h): for tests. */
int nb_host_doctor_at(const char *root, const struct nb_topology *t, FILE *out);

/* "cpu" of host.json alone: model, vendor, family, ... NULL when memory is short. */
json_t *nb_host_cpu(void);

/* "papi" of host.json alone: the counters of this process, with their certificates. NULL when memory is
 * short. */
json_t *nb_host_papi(void);

/* CPU model string, as in host.json; static buffer. */
const char *nb_host_cpu_model(void);

/* git describe of the source tree this program was built from; "unknown" outside a work tree. */
const char *nb_host_git(void);

/* Hash of the sources of the kernels that this program was built from; NULL: the build wrote none. */
const char *nb_host_kernel_sources(void);

/* The first fact in which two host.json are of different machines, in words ("host name", "CPU", ...), or NULL: one machine. A host
 * without a name is nobody. */
const char *nb_host_differs(const json_t *a, const json_t *b);

#endif
