/* cluster.h: `normbench cluster`: one sweep over many nodes, by Slurm or by hand
 * (docs/cluster.md). */
#ifndef NB_CLUSTER_H
#define NB_CLUSTER_H

#include "err.h"

/* argv[2] is the word of each. */
NB_USE_RESULT enum nb_status nb_cluster_submit(int argc, char **argv, int *code,
                                               struct nb_err *err);
NB_USE_RESULT enum nb_status nb_cluster_resubmit(int argc, char **argv, int *code,
                                                 struct nb_err *err);
NB_USE_RESULT enum nb_status nb_cluster_status(int argc, char **argv, int *code,
                                               struct nb_err *err);
NB_USE_RESULT enum nb_status nb_cluster_merge(int argc, char **argv, int *code,
                                              struct nb_err *err);
NB_USE_RESULT enum nb_status nb_cluster_task(int argc, char **argv, int *code,
                                             struct nb_err *err);

/* Something is still open: a task that has not ended well, a node that is not in what was
 * merged. */
enum { NB_CLUSTER_OPEN = 4 };

#endif
