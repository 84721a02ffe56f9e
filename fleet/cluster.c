#include "cluster.h"

#include "cli.h"

#include <string.h>

static const char HELP[] =
    "usage: normbench cluster submit --partition P [OPTION...] [OPTION of `normbench "
    "run`...]\n"
    "       normbench cluster status DIR [--json]\n"
    "       normbench cluster resubmit DIR\n"
    "       normbench cluster merge DIR\n"
    "\n"
    "One sweep over the node types of a cluster, by Slurm or by hand, and one comparison "
    "of them.\n"
    "\n"
    "  submit     reads the nodes of a partition from sinfo, takes one of each type (or "
    "more), gives Slurm an\n"
    "             array of a task a node, exclusive, and a job that merges when all have ended; "
    "prints the folder of\n"
    "             the sweep, DIR. --dry-run shows all of that and does nothing; `submit "
    "--help` has the options\n"
    "  status     pending, running, done, failed (why) or lost, node by node; works "
    "without Slurm, too\n"
    "  resubmit   gives Slurm again what failed, was lost or was not taken, and nothing "
    "else; a run that was\n"
    "             interrupted goes on where it stopped\n"
    "  merge      imports, compares and shows the runs that are there, as the last job "
    "does: DIR/merged\n"
    "  task       DIR [NODE [TRY]]: one node's part; what scripts/slurm/node-job.sh "
    "runs\n"
    "\n"
    "from nothing to the page:\n"
    "  normbench cluster submit --partition batch --dir /shared/me --preset small\n"
    "  normbench cluster status /shared/me/normbench-20260101T120000Z\n"
    "  less /shared/me/normbench-20260101T120000Z/merged/merge.md   # and page.html "
    "beside it\n"
    "\n"
    "exit codes: 0 fine; 1 usage, input or environment, or nothing to merge; 4 status, "
    "merge: some nodes are not\n"
    "done; task: that of `normbench run`\n";

static const struct word {
    const char *word;
    enum nb_status (*run)(int argc, char **argv, int *code, struct nb_err *err);
} WORDS[] = {{"submit", nb_cluster_submit},
             {"status", nb_cluster_status},
             {"resubmit", nb_cluster_resubmit},
             {"merge", nb_cluster_merge},
             {"task", nb_cluster_task}};

static enum nb_status cmd_cluster(int argc, char **argv, int *code, struct nb_err *err)
{
    *code = argc < 3;
    if (argc < 3 || strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0) {
        fputs(HELP, argc < 3 ? stderr : stdout);
        return NB_OK;
    }
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strcmp(argv[2], WORDS[i].word) == 0)
            return WORDS[i].run(argc, argv, code, err);
    return nb_fail(err,
                   "cluster: unknown word \"%.100s\"; known: submit, status, resubmit, "
                   "merge, task. Try `normbench "
                   "cluster --help`",
                   argv[2]);
}

extern const struct nb_command nb_cluster_command;
const struct nb_command nb_cluster_command = {
    "cluster",
    "  cluster submit --partition P   one sweep over the node types of a Slurm cluster, "
    "and their comparison;\n"
    "                 also status, resubmit, merge\n",
    false, cmd_cluster};
