/* topology.h: cores and caches of this host, as hwloc sees them inside our cpuset. */
#ifndef NB_TOPOLOGY_H
#define NB_TOPOLOGY_H

#include "err.h"

#include <stddef.h>

struct nb_topology {
    unsigned cores;      /* physical cores usable by us: threads that can be bound one a core */
    unsigned cpus;       /* logical CPUs in our cpuset */
    unsigned smt;        /* hardware threads a core (1: none) */
    unsigned numa_nodes;
    size_t l1d, l2, l3;  /* bytes of one instance; 0: unknown */
    unsigned l2_cores, l3_cores; /* usable cores that share one instance (>= 1) */
    size_t llc;          /* bytes of the largest L3; 0: none is known */
    unsigned llcs, llc_cores; /* L3 instances; fewest usable cores that share one (>= 1) */
    size_t memory;       /* bytes of RAM usable (cgroup limit included) */
    void *impl;
};

NB_USE_RESULT enum nb_status nb_topology_load(struct nb_topology *t, struct nb_err *err);
void nb_topology_free(struct nb_topology *t);

/* What is assumed where no L3 is known: a guest that is told of none runs on a host that has one. */
#define NB_LLC_UNKNOWN ((size_t)256 << 20)

/* Bytes of last-level cache that so many threads reach together, rather too many than too few: as many
 * instances as their cores may span. */
size_t nb_topology_llc(const struct nb_topology *t, unsigned threads);

/* OS index of the CPU on which thread i (of at most cores) is to run: one a core, cores in order. */
unsigned nb_topology_cpu(const struct nb_topology *t, unsigned i);

/* The CPUs that were ours at load, as "0-3,8". */
void nb_topology_cpuset(const struct nb_topology *t, char *text, size_t len);

/* Binds the calling thread to that CPU, strictly. */
NB_USE_RESULT enum nb_status nb_topology_bind(const struct nb_topology *t, unsigned i,
                                              struct nb_err *err);

/* Takes an exclusive advisory lock on each of the first n CPUs nb_topology_cpu() names, so that two
 * runs never share a core. Held until nb_cpulock_release or the end of the process. The error names
 * the CPU and the process that holds it. */
struct nb_cpulock {
    int *fds;
    unsigned count;
};
NB_USE_RESULT enum nb_status nb_cpulock_take(const struct nb_topology *t, unsigned n,
                                             struct nb_cpulock *lock, struct nb_err *err);
void nb_cpulock_release(struct nb_cpulock *lock);

#endif
