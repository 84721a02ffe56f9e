# `normbench cluster`; the job scripts are data that it finds as it finds presets.
target_sources(nb_fleet PRIVATE cluster.c cluster_options.c cluster_nodes.c cluster_slurm.c cluster_job.c cluster_judge.c
               cluster_submit.c cluster_send.c cluster_status.c cluster_task.c cluster_merge.c)
set_property(SOURCE cluster_send.c cluster_submit.c APPEND PROPERTY COMPILE_DEFINITIONS
             NB_SLURM_DIR="${PROJECT_SOURCE_DIR}/scripts/slurm" NB_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
             NB_VERSION="${PROJECT_VERSION}")
