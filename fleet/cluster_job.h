/* cluster_job.h: the folder of a sweep, which lies where every node sees it
 * (docs/cluster.md).
 *
 *   DIR/job.json                     what was asked for; written once
 *   DIR/normbench                    a link to the program; DIR/source: to the sources,
 * where each node builds its own DIR/nodes/NODE/node.json         what Slurm says of the
 * node DIR/nodes/NODE/submitted-K.json  try K was given to Slurm; begun-K.json,
 * ended-K.json: written on the node DIR/nodes/NODE/run-K/            the run that try K
 * began, as `normbench run` leaves it DIR/nodes/NODE/log-K.txt         what normbench
 * said; slurm-K.txt: what Slurm and the job script did DIR/merge-M/, DIR/merged what was
 * made of all of them; the latest
 *
 * Each file has one writer and appears whole, so nothing is locked: the state of a task
 * is read off the files that are there, and off what Slurm says of its job. */
#ifndef NB_CLUSTER_JOB_H
#define NB_CLUSTER_JOB_H

#include "cluster_slurm.h"
#include "files.h"

#include <jansson.h>

enum { NB_CLUSTER_SCHEMA = 1 };

enum nb_cluster_state {
    NB_TASK_UNSENT,
    NB_TASK_PENDING,
    NB_TASK_RUNNING,
    NB_TASK_DONE,
    NB_TASK_FAILED,
    NB_TASK_LOST
};
const char *nb_cluster_state_name(enum nb_cluster_state s);

/* What a node has to do, and how far its last try came. */
struct nb_cluster_task {
    char *node, *dir; /* DIR/nodes/NODE */
    json_t *facts;    /* node.json */
    unsigned tries;   /* the last one; 0: none */
    bool begun, ended;
    char id[NB_SLURM_ID]; /* of its job; "": none */
    long long code;       /* exit code of normbench, or -1; where it ended */
    char reason[300];     /* in words; "": none */
    double silent_s;      /* since anything of the last try was written */
    unsigned run;         /* the last run that has a plan; 0: none */
    bool finished;        /* that run ended */
    char cpu[120];        /* of that run; "": not known */
    char broken[400];     /* a file of it cannot be read, and why; "": all can */
    enum nb_cluster_state state;
    char why[400]; /* of the state */
};

struct nb_cluster_job {
    char dir[NB_PATH];
    json_t *facts; /* job.json */
    const char *name;
    bool by_hand;                  /* no job of Slurm */
    struct nb_cluster_task *tasks; /* in natural order of their nodes */
    size_t count;
    char merge_id[NB_SLURM_ID]; /* of the last merge that was submitted; "": none */
    size_t ignored;             /* folders in nodes/ that no node can have */
};

/* Reads job.json alone; then the tasks, or one of them. A job.json of a newer format, or
 * that is none, is an error that names it, and leaves nothing to free. What cannot be
 * read of one node is told of its task, and the others stand. */
NB_USE_RESULT enum nb_status nb_cluster_job_open(struct nb_cluster_job *j,
                                                 const char *dir, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_cluster_job_load(struct nb_cluster_job *j,
                                                 const char *dir, struct nb_err *err);
/* Behind nb_cluster_job_open: adds the task of a node that has a folder. */
struct nb_cluster_task *nb_cluster_job_task(struct nb_cluster_job *j, const char *node);
void nb_cluster_job_free(struct nb_cluster_job *j);

/* Sets state and why of each task. With jobs of Slurm that answered, or without. */
void nb_cluster_job_judge(struct nb_cluster_job *j, struct nb_slurm_jobs *jobs);

/* The rule for one task; job: what Slurm says, NULL: it does not know the job; answered:
 * whether it said anything. */
void nb_cluster_judge(struct nb_cluster_task *t, const struct nb_slurm_job *job,
                      bool answered);

/* DIR/name as JSON with "schema" and "at", the time in UTC; steals object. */
NB_USE_RESULT enum nb_status nb_cluster_write(const char *dir, const char *name,
                                              json_t *object, struct nb_err *err);

/* The array of texts under a key of job.json, behind what a has. */
NB_USE_RESULT enum nb_status nb_cluster_job_words(const struct nb_cluster_job *j,
                                                  const char *key, struct nb_argv *a,
                                                  struct nb_err *err);

/* The running program, to be started again. */
NB_USE_RESULT enum nb_status nb_cluster_self(char path[NB_PATH], struct nb_err *err);

#endif
