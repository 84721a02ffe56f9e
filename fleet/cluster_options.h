/* cluster_options.h: the words behind `normbench cluster submit`: some are ours, some
 * Slurm's, all others those of `normbench run` on the nodes, which gets them as they are.
 */
#ifndef NB_CLUSTER_OPTIONS_H
#define NB_CLUSTER_OPTIONS_H

#include "cluster_slurm.h"

struct nb_cluster_options {
    const char *partition, *constraint, *dir, *source, *names; /* NULL: not given */
    size_t per_type;                                           /* 0: all */
    bool by_hand, dry_run, build_on_node;
    struct nb_argv sbatch;      /* of every job */
    struct nb_argv sbatch_task; /* of those that measure alone */
    struct nb_argv run;
    struct nb_argv own; /* the words that are ours; texts point into them */
};

/* `--help` and options that do not exist end the program, as with every command. */
NB_USE_RESULT enum nb_status nb_cluster_options_parse(struct nb_cluster_options *o,
                                                      int argc, char **argv,
                                                      struct nb_err *err);
void nb_cluster_options_free(struct nb_cluster_options *o);

#endif
