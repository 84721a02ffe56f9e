/* cluster_slurm.h: what is asked of Slurm's own programs, sinfo, sbatch, scontrol,
 * scancel, squeue and sacct: each started with its arguments as they are, never through a shell. What they
 * say is data. */
#ifndef NB_CLUSTER_SLURM_H
#define NB_CLUSTER_SLURM_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

/* Arguments of a program; v ends in NULL once there is one. */
struct nb_argv {
    char **v;
    size_t n;
};
void nb_argv_add(struct nb_argv *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void nb_argv_free(struct nb_argv *a);

/* A job is known by a number; a task of an array by ARRAY_INDEX. */
enum { NB_SLURM_DIGITS = 20, NB_SLURM_ID = 48 };
bool nb_slurm_is_id(const char *text);

/* The nodes of a partition, in the lines of cluster_nodes.h; to be freed. A partition
 * that does not exist is an error that names those that do. */
NB_USE_RESULT enum nb_status nb_slurm_nodes(const char *partition, char **text,
                                            struct nb_err *err);

/* Runs a sbatch that was told --parsable; id: of the job. A refusal is an error with its
 * words. */
NB_USE_RESULT enum nb_status nb_slurm_submit(const struct nb_argv *sbatch,
                                             char id[NB_SLURM_ID], struct nb_err *err);

/* Runs a program of Slurm that says nothing when it is well. NB_INTERRUPTED: SIGINT or SIGTERM ended it, as with all here. */
NB_USE_RESULT enum nb_status nb_slurm_tell(const struct nb_argv *a, struct nb_err *err);

/* Tasks that an array may have: what the site allows, or Slurm's own default where that
 * is not told. */
size_t nb_slurm_array_most(void);

/* scontrol release: jobs that were submitted held may begin; ids with commas. */
NB_USE_RESULT enum nb_status nb_slurm_release(const char *ids, struct nb_err *err);

/* scancel: it waits no longer, or ends. */
NB_USE_RESULT enum nb_status nb_slurm_cancel(const char *id, struct nb_err *err);

struct nb_slurm_job {
    const char *id, *state, *reason; /* as "RUNNING" or "NODE_FAIL"; "None" */
};

/* What Slurm knows of jobs; answered is false where squeue does not say, for the reason
 * why. */
struct nb_slurm_jobs {
    char *text[2];
    struct nb_slurm_job *v;
    size_t n;
    bool answered;
    char why[300];
};

/* Jobs of that name, from squeue: it also knows those that ended a few minutes ago. */
void nb_slurm_jobs_ask(struct nb_slurm_jobs *jobs, const char *name);
/* Adds jobs that squeue has forgotten, from sacct; ids with commas. Nothing where that
 * keeps no accounts. */
void nb_slurm_jobs_recall(struct nb_slurm_jobs *jobs, const char *ids);
const struct nb_slurm_job *nb_slurm_find(const struct nb_slurm_jobs *jobs,
                                         const char *id);
void nb_slurm_jobs_free(struct nb_slurm_jobs *jobs);

#endif
