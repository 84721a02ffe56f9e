/* cluster_send.h: hands the tasks of a sweep to Slurm. */
#ifndef NB_CLUSTER_SEND_H
#define NB_CLUSTER_SEND_H

#include "cluster_job.h"

/* Not with Slurm, and not done. */
bool nb_cluster_is_open(const struct nb_cluster_task *t);

/* Submits the tasks that are open, each as its next try, and a merge behind them and
 * those that Slurm still has. A refusal of one does not keep the others, unless it is the
 * first; the first is told. taken: how many Slurm took. dry_run: prints what would be
 * submitted. */
NB_USE_RESULT enum nb_status nb_cluster_send(struct nb_cluster_job *j, bool dry_run,
                                             size_t *taken, struct nb_err *err);

#endif
