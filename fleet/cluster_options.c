#include "cluster_options.h"

#include "cli.h"
#include "options.h"

#include <string.h>
#include <unistd.h>

enum option_key {
    KEY_PARTITION = NB_OPTION_OTHERS,
    KEY_CONSTRAINT,
    KEY_TIME,
    KEY_ACCOUNT,
    KEY_QOS,
    KEY_RESERVATION,
    KEY_SBATCH,
    KEY_PER_TYPE,
    KEY_ALL_NODES,
    KEY_DIR,
    KEY_BUILD,
    KEY_SOURCE,
    KEY_NAMES,
    KEY_BY_HAND,
    KEY_DRY_RUN
};

static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "Which nodes:", 1},
    {"partition", KEY_PARTITION, "P", 0, "the partition whose nodes are swept", 1},
    {"nodes-per-type", KEY_PER_TYPE, "N", 0,
     "so many of each type (default 1): equal features, CPUs and memory; idle ones first",
     1},
    {"all-nodes", KEY_ALL_NODES, 0, 0, "every node that is not down or drained", 1},
    {"constraint", KEY_CONSTRAINT, "FEATURES", 0,
     "only nodes with a feature: a, a&b or a|b; goes to sbatch, too", 1},
    {0, 0, 0, 0, "What Slurm is told, in its own words:", 2},
    {"time", KEY_TIME, "TIME", 0,
     "limit of each task, e.g. 30:00; a minute before it the run stops, and resubmit "
     "continues it",
     2},
    {"account", KEY_ACCOUNT, "NAME", 0, "of all jobs", 2},
    {"qos", KEY_QOS, "NAME", 0, "of all jobs", 2},
    {"reservation", KEY_RESERVATION, "NAME", 0, "of all jobs", 2},
    {"sbatch", KEY_SBATCH, "OPTION", 0,
     "any other option of sbatch, e.g. --sbatch=--mail-type=END; as often as you like",
     2},
    {0, 0, 0, 0, "How, and where it goes:", 3},
    {"dir", KEY_DIR, "DIR", 0,
     "a folder that all nodes see under this name; the sweep makes its own in it "
     "(default results)",
     3},
    {"build", KEY_BUILD, "shared|node", 0,
     "shared (default): this program, which chooses kernels by the node's CPU; node: "
     "each node compiles its own in TMPDIR, where libraries differ",
     3},
    {"source", KEY_SOURCE, "DIR", 0,
     "--build node: the sources, as nodes see them (default: those of this program)", 3},
    {"names", KEY_NAMES, "cpu|host|folder", 0,
     "what machines are called in the comparison (default cpu)", 3},
    {"by-hand", KEY_BY_HAND, 0, 0,
     "no Slurm: makes the folder and tells what to run on each machine", 3},
    {"dry-run", KEY_DRY_RUN, 0, 0,
     "show node types, the nodes chosen and every sbatch; do nothing", 3},
    {0}};

static const char DOC[] =
    "Gives Slurm an array with a task for each chosen node (--exclusive, bound to that node) that "
    "runs `normbench run` there, and a job "
    "that merges when all have ended, however they ended.\vEvery other option is one of "
    "`normbench run`, behind `--` also "
    "where it has the name of one above; --out and --resume are set by the sweep.\n"
    "Examples:\n"
    "  normbench cluster submit --partition batch --dir /shared/me --dry-run\n"
    "  normbench cluster submit --partition batch --dir /shared/me --preset small "
    "--budget 5m --time 30:00\n"
    "  normbench cluster submit --partition batch --all-nodes --constraint "
    "'icelake|genoa' --names host --dtype bf16\n"
    "  normbench cluster submit --by-hand --dir /shared/me --preset small";

/* Options of sbatch that it gets under their own name. */
static const struct {
    int key;
    const char *name;
    bool every; /* job; else those that measure alone */
} PASSED[] = {{KEY_PARTITION, "partition", true},
              {KEY_ACCOUNT, "account", true},
              {KEY_QOS, "qos", true},
              {KEY_RESERVATION, "reservation", true},
              {KEY_CONSTRAINT, "constraint", false},
              {KEY_TIME, "time", false}};

struct cli {
    struct nb_cluster_options *o;
    const char *per_type, *build;
    bool all;
};

static void pass(struct cli *c, int key, const char *arg)
{
    for (size_t i = 0; i < sizeof PASSED / sizeof *PASSED; i++)
        if (PASSED[i].key == key)
            nb_argv_add(PASSED[i].every ? &c->o->sbatch : &c->o->sbatch_task, "--%s=%s",
                        PASSED[i].name, arg);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const char *passed = NULL;
    const struct nb_option_text texts[] = {{KEY_PARTITION, &c->o->partition},
                                           {KEY_CONSTRAINT, &c->o->constraint},
                                           {KEY_TIME, &passed},
                                           {KEY_ACCOUNT, &passed},
                                           {KEY_QOS, &passed},
                                           {KEY_RESERVATION, &passed},
                                           {KEY_PER_TYPE, &c->per_type},
                                           {KEY_DIR, &c->o->dir},
                                           {KEY_BUILD, &c->build},
                                           {KEY_SOURCE, &c->o->source},
                                           {KEY_NAMES, &c->o->names}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL)) {
        pass(c, key, arg);
        return 0;
    }
    if (key == KEY_SBATCH && strncmp(arg, "--", 2) != 0)
        argp_error(
            state,
            "--sbatch: \"%s\" is no option that begins with --, such as --mail-type=END",
            arg);
    if (key == KEY_SBATCH)
        nb_argv_add(&c->o->sbatch, "%s", arg);
    else if (key == KEY_ALL_NODES)
        c->all = true;
    else if (key == KEY_BY_HAND)
        c->o->by_hand = true;
    else if (key == KEY_DRY_RUN)
        c->o->dry_run = true;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* ---- whose is a word ---- */

/* The option of ours that a word is; *with: its value stands in the same word. */
static const struct argp_option *own_option(const char *word, bool *with)
{
    const size_t n = strcspn(word, "=");
    *with = word[n] == '=';
    for (const struct argp_option *o = OPTIONS; o->name != NULL || o->doc != NULL; o++)
        if (o->name != NULL && n > 2 && strncmp(word, "--", 2) == 0 &&
            strlen(o->name) == n - 2 && strncmp(word + 2, o->name, n - 2) == 0)
            return o;
    return NULL;
}

static bool asks_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0 ||
           strcmp(word, "-h") == 0 || strcmp(word, "--usage") == 0;
}

static void split(int argc, char **argv, struct nb_argv *own, struct nb_argv *run)
{
    nb_argv_add(own, "normbench");
    nb_argv_add(own, "cluster submit");
    for (int i = 3; i < argc; i++) {
        bool with;
        const struct argp_option *o = own_option(argv[i], &with);
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                nb_argv_add(run, "%s", argv[i]);
            return;
        }
        if (asks_help(argv[i]))
            nb_argv_add(own, "%s", strcmp(argv[i], "-h") == 0 ? "--help" : argv[i]);
        else
            nb_argv_add(o != NULL ? own : run, "%s", argv[i]);
        if (o != NULL && o->arg != NULL && !with && i + 1 < argc)
            nb_argv_add(own, "%s", argv[++i]);
    }
}

/* ---- are they right ---- */

/* Also when it is abbreviated, as argp allows. */
static bool is_option(const char *word, const char *option)
{
    const size_t n = strcspn(word, "=");
    return n > 3 && strncmp(word, option, n) == 0;
}

static enum nb_status check_run(struct nb_argv *run, struct nb_err *err)
{
    struct nb_argv a = {0};
    nb_argv_add(&a, "normbench");
    nb_argv_add(&a, "run");
    for (size_t i = 0; i < run->n; i++) {
        if (is_option(run->v[i], "--out") || is_option(run->v[i], "--resume")) {
            nb_argv_free(&a);
            return nb_fail(err,
                           "%s: each node writes to a folder of its own in that of the "
                           "sweep; choose where that is with --dir",
                           run->v[i]);
        }
        nb_argv_add(&a, "%s", run->v[i]);
    }
    char *const name = a.v[1]; /* the parser puts another in its place */
    const enum nb_status s = nb_cli_check_run((int)a.n, a.v, err);
    a.v[1] = name;
    nb_argv_free(&a);
    return s;
}

static enum nb_status check_slurm(const struct cli *c, struct nb_err *err)
{
    const struct nb_cluster_options *o = c->o;
    if (o->by_hand &&
        (o->sbatch.n + o->sbatch_task.n > 0 || c->per_type != NULL || c->all))
        return nb_fail(err, "--by-hand asks nothing of Slurm: leave out --partition and "
                            "all else that chooses nodes or is told to "
                            "Slurm");
    if (!o->by_hand && (o->partition == NULL || o->partition[0] == '\0'))
        return nb_fail(err, "--partition is missing: whose nodes? `sinfo` lists the "
                            "partitions; without Slurm: --by-hand");
    if (c->all && c->per_type != NULL)
        return nb_fail(err, "--all-nodes and --nodes-per-type exclude each other");
    return NB_OK;
}

static enum nb_status check_words(struct cli *c, struct nb_err *err)
{
    struct nb_cluster_options *o = c->o;
    static const char *const names[] = {"cpu", "host", "folder"};
    bool known = o->names == NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        known = known || strcmp(o->names, names[i]) == 0;
    if (!known)
        return nb_fail(err, "--names: \"%.100s\" is none of cpu, host and folder",
                       o->names);
    if (c->build != NULL && strcmp(c->build, "shared") != 0 &&
        strcmp(c->build, "node") != 0)
        return nb_fail(err, "--build: \"%.100s\" is neither shared nor node", c->build);
    o->build_on_node = c->build != NULL && strcmp(c->build, "node") == 0;
    if (o->source != NULL && !o->build_on_node)
        return nb_fail(
            err, "--source is for --build node; a shared build is this program as it is");
    o->per_type = c->all ? 0 : 1;
    return c->per_type != NULL ? nb_parse_size("--nodes-per-type", c->per_type, 1, 100000,
                                               &o->per_type, err)
                               : NB_OK;
}

enum nb_status nb_cluster_options_parse(struct nb_cluster_options *o, int argc,
                                        char **argv, struct nb_err *err)
{
    struct cli c = {.o = o};
    *o = (struct nb_cluster_options){0};
    split(argc, argv, &o->own, &o->run);
    char *const name = o->own.v[1]; /* as in check_run */
    nb_option_parse(OPTIONS, parse_option, "[OPTION of `normbench run`...]", DOC,
                    (int)o->own.n, o->own.v, &c);
    o->own.v[1] = name;
    enum nb_status s = check_slurm(&c, err);
    if (s == NB_OK)
        s = check_words(&c, err);
    if (s == NB_OK)
        s = check_run(&o->run, err);
    if (s != NB_OK)
        nb_cluster_options_free(o);
    return s;
}

void nb_cluster_options_free(struct nb_cluster_options *o)
{
    nb_argv_free(&o->sbatch);
    nb_argv_free(&o->sbatch_task);
    nb_argv_free(&o->run);
    nb_argv_free(&o->own);
}
