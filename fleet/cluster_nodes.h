/* cluster_nodes.h: the nodes of a partition as sinfo tells them: which are alike, and
 * which of them a sweep visits.
 *
 * Two nodes are of one type where Slurm knows no difference: equal features, CPUs,
 * sockets, cores, threads, and memory (to the GiB: what nodes report differs by what
 * their firmware keeps). Slurm does not know the model of a CPU unless a feature says so.
 */
#ifndef NB_CLUSTER_NODES_H
#define NB_CLUSTER_NODES_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What sinfo is to print of each node (--format). What separates fields is a character
 * that no configuration holds. */
#define NB_CLUSTER_SEPARATOR "\x1f"
#define NB_CLUSTER_SINFO "%N\x1f%T\x1f%c\x1f%X\x1f%Y\x1f%Z\x1f%m\x1f%f"

struct nb_cluster_node {
    const char *name, *state, *features; /* features: words with commas; "" for none */
    unsigned long cpus, sockets, cores, threads, memory_mb;
    int rank; /* 0: idle; larger: had later; below 0: not to be had (down, drained, ...)
               */
    size_t type; /* from 0; equal for nodes that are alike */
    bool chosen;
};

/* Ordered by type, rank and name. */
struct nb_cluster_nodes {
    char *text;
    struct nb_cluster_node *v;
    size_t n, types;
};

/* Whether a node may be called so: a host name, which is also a folder's and an
 * argument's. */
bool nb_cluster_name_ok(const char *name);

/* text: what sinfo printed. A line that is not as asked for, or names what can be no
 * host, is an error. */
NB_USE_RESULT enum nb_status nb_cluster_nodes_parse(struct nb_cluster_nodes *c,
                                                    const char *text, struct nb_err *err);
void nb_cluster_nodes_free(struct nb_cluster_nodes *c);

/* Leaves those that have the features: "a", "a&b" (also "a,b") or "a|b". What else Slurm
 * understands is an error. */
NB_USE_RESULT enum nb_status nb_cluster_nodes_keep(struct nb_cluster_nodes *c,
                                                   const char *constraint,
                                                   struct nb_err *err);

/* Chooses so many of each type (0: all) of those that can be had, the soonest first;
 * returns how many. */
size_t nb_cluster_nodes_choose(struct nb_cluster_nodes *c, size_t per_type);

/* "16 CPUs (2 x 8 x 1), 256 GiB, avx512,icelake", with nothing that acts on a terminal.
 */
void nb_cluster_node_print(FILE *f, const struct nb_cluster_node *n);

#endif
