#include "cli.h"

#include "accuracy_cli.h"
#include "count.h"
#include "counters.h"
#include "cpu.h"
#include "deepnorm_cli.h"
#include "eval.h"
#include "err.h"
#include "explain.h"
#include "foreign.h"
#include "gate.h"
#include "gate_counts.h"
#include "host.h"
#include "list.h"
#include "markup.h"
#include "options.h"
#include "run.h"
#include "tune.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifndef NB_VERSION
#define NB_VERSION "0"
#endif

enum { EXIT_FINE = 0, EXIT_ERROR = 1, EXIT_INTERRUPTED = 130 };

static const char HELP_COMMANDS[] =
    "normbench: how fast and how wrong are normalization layers on this CPU, and is RMSNorm really\n"
    "faster than LayerNorm here?\n"
    "\n"
    "usage: normbench COMMAND [OPTION...]\n"
    "\n"
    "  run            check, measure and report (without options: the preset \"quick\")\n"
    "  check          check kernels against the oracle, without timing\n"
    "  accuracy       how wrong is each kernel, on which data, and where does it break\n"
    "  eval           run kernels on your own tensors (.npy) and judge them\n"
    "  list [kernels|presets|isas|claims|experiments]   what there is, and why something cannot run here\n"
    "  explain KERNEL what a kernel is: formula, bytes and flops, bounds, its code, worst input seen, source\n"
    "  deepnorm       alpha and beta of DeepNorm by architecture and depth\n"
    "  tune           measure which variant `auto` should run here, and write that as a file\n"
    "  count          instructions and simulated cache misses of each kernel, under callgrind: no timing\n"
    "  gate --base PROGRAM   did a change make a kernel slower? Two builds, with verdicts and intervals\n"
    "  gate --counts --base PROGRAM   which kernels execute more than in another build\n"
    "  gate-selftest  how often is the gate wrong here? On itself, with and without planted slowdowns\n"
    "  doctor         what about this machine hurts measurement, and what would help\n";

/* Between the two: the commands that others add. */
static const char HELP_REST[] =
    "  --version      version, result schema and git revision\n"
    "  --help         this text; `normbench run --help` lists every option\n"
    "\n"
    "examples:\n"
    "  normbench run                                    # the quick preset, about 3 minutes\n"
    "  normbench run --preset default --out results/mine\n"
    "  normbench run --dtype bf16 --hidden 768,4096 --residency L2,DRAM --budget 60s\n"
    "  normbench run --kernel '*welford*' --isa all --hidden 64:16384:x2\n"
    "  normbench run --resume results/mine              # after Ctrl-C, a crash or a full disk\n"
    "  normbench check --isa all --dtype f16 --hidden 1,17,1000\n"
    "\n"
    "exit codes: 0 fine; 1 usage, input or environment; 2 a kernel failed its check or was left\n"
    "untested, crashed or hung; 3 below a bar of this class of CPU, more instructions than the base, or a\n"
    "claim that was asked is refuted; 4 a question that was asked is not resolved; 130 interrupted\n";

enum option_key {
    KEY_PRESET = NB_OPTION_OTHERS, KEY_SEED, KEY_BUDGET, KEY_PROCESSES, KEY_ROUNDS, KEY_OUT, KEY_QUIET,
    KEY_RESUME, KEY_TIMEOUT, KEY_JSON, KEY_ALLOW_WEAK, KEY_FORCE, KEY_VERSUS
};

static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "What is measured (lists are comma-separated; where nothing of this is given: --preset quick):", 1},
#define NB_SELECT NB_OPTION_SELECT
#include "selection.def"
    {"versus", KEY_VERSUS, "PAIRS", 0, "speedups of the first op over the second, such as rmsnorm:layernorm (default, where both are selected)", 1},
    {"preset", KEY_PRESET, "NAME|FILE", 0, "a sweep from presets/ or a file; the options above replace its keys", 1},
    {0, 0, 0, 0, "How it is measured:", 2},
    {"seed", KEY_SEED, "N", 0, "of data, orders and samples (default 1)", 2},
    {"budget", KEY_BUDGET, "TIME", 0, "time for measuring: 60s, 5m; rounds are shortened to fit, then cells dropped by name", 2},
    {"processes", KEY_PROCESSES, "N", 0, "measuring processes: the statistical unit", 2},
    {"rounds", KEY_ROUNDS, "N", 0, "at most so many rounds a process and cell", 2},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of a kernel without progress (default 20s)", 2},
    {"force", KEY_FORCE, 0, 0, "measure also where results would mean nothing (inside valgrind, on cores that are busy), and mark them", 2},
    {0, 0, 0, 0, "Where it goes:", 3},
    {"out", KEY_OUT, "DIR", 0, "a folder that does not exist yet; default results/<UTC>-<host>-<id>", 3},
    {"resume", KEY_RESUME, "DIR", 0, "go on with an interrupted run; needs no selection", 3},
    {"allow-weak", KEY_ALLOW_WEAK, 0, 0, "best-of-each may choose a LayerNorm whose error bound fails before mean|x|/sigma = "
     "1e5", 2},
    {"quiet", KEY_QUIET, 0, 0, "no progress and no table", 3},
    {"json", KEY_JSON, 0, 0, "check: one JSON object a line", 3},
    NB_OPTIONS_FOREIGN,
    {0}};

/* Options are collected first: those of the selection act on a preset that may be named after them. */
struct cli {
    struct nb_run_options run;
    struct nb_foreign foreign;
    const char *preset;
    const char *selection[NB_KEY_COUNT];
    const char *seed, *budget, *processes, *rounds, *timeout, *versus;
    bool allow_weak;
    int positional;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {{KEY_PRESET, &c->preset},       {KEY_SEED, &c->seed},
                 {KEY_BUDGET, &c->budget},       {KEY_PROCESSES, &c->processes},
                 {KEY_ROUNDS, &c->rounds},       {KEY_TIMEOUT, &c->timeout},
                 {KEY_OUT, &c->run.out},         {KEY_RESUME, &c->run.resume},
                 {KEY_VERSUS, &c->versus}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, c->selection) ||
        nb_foreign_option(&c->foreign, key, arg))
        return 0;
    if (key == KEY_QUIET)
        c->run.quiet = true;
    else if (key == KEY_FORCE)
        c->run.force = true;
    else if (key == KEY_ALLOW_WEAK)
        c->allow_weak = true;
    else if (key == KEY_JSON)
        c->run.json = true;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* Run settings given as options replace those of the preset. */
static enum nb_status set_numbers(struct cli *c, struct nb_err *err)
{
    struct nb_settings *s = &c->run.preset.settings;
    size_t n = 0;
    enum nb_status status = NB_OK;
    s->allow_weak = c->allow_weak;
    if (c->seed != NULL) {
        status = nb_parse_size("--seed", c->seed, 0, (size_t)1 << 62, &n, err);
        s->seed = n;
    }
    if (status == NB_OK && c->processes != NULL) {
        status = nb_parse_size("--processes", c->processes, 1, 1000, &n, err);
        s->processes = (unsigned)n;
        s->processes_given = true;
    }
    if (status == NB_OK && c->rounds != NULL) {
        status = nb_parse_size("--rounds", c->rounds, 1, 10000, &n, err);
        s->rounds = (unsigned)n;
    }
    if (status == NB_OK && c->budget != NULL) {
        status = nb_parse_seconds("--budget", c->budget, &s->budget_s, err);
        s->processes_given = c->processes != NULL; /* a preset's number may give way to a user's budget */
    }
    c->run.timeout_s = 20;
    if (status == NB_OK && c->timeout != NULL)
        status = nb_parse_seconds("--timeout", c->timeout, &c->run.timeout_s, err);
    return status;
}

/* Speedups that are asked for; without --op, what they are about is what is measured. */
static enum nb_status set_versus(struct cli *c, struct nb_err *err)
{
    struct nb_settings *s = &c->run.preset.settings;
    char ops[NB_VERSUS_MAX * 32] = "";
    size_t used = 0;
    if (c->versus == NULL)
        return NB_OK;
    enum nb_status status = nb_versus_parse(s, c->versus, err);
    for (size_t i = 0; status == NB_OK && i < s->versus_count; i++)
        used += (size_t)snprintf(ops + used, sizeof ops - used, "%s%s,%s", i ? "," : "", nb_op_name(s->versus[i].base),
                                 nb_op_name(s->versus[i].test));
    if (status == NB_OK && c->selection[NB_KEY_OP] == NULL && c->selection[NB_KEY_KERNEL] == NULL)
        status = nb_preset_set_all(&c->run.preset, NB_KEY_OP, ops, err);
    return status;
}

/* A preset, or one block of defaults when only a selection is given. */
static enum nb_status make_preset(struct cli *c, const char *fallback, struct nb_err *err)
{
    struct nb_preset *p = &c->run.preset;
    bool selected = c->preset != NULL || c->versus != NULL;
    for (int k = 0; k < NB_KEY_COUNT; k++)
        selected = selected || c->selection[k] != NULL;
    c->run.selection_given = selected;
    enum nb_status s;
    if (c->preset != NULL || !selected) {
        s = nb_preset_load(p, c->preset != NULL ? c->preset : fallback, err);
    } else {
        *p = (struct nb_preset){.name = "selection", .settings = nb_settings_default(), .count = 1};
        p->blocks = calloc(1, sizeof *p->blocks);
        NB_ASSERT(p->blocks != NULL);
        s = nb_block_init(&p->blocks[0], "selection", err);
    }
    if (s == NB_OK)
        s = nb_option_select(p, c->selection, err);
    return s == NB_OK ? set_versus(c, err) : s;
}

static enum nb_status parse(struct cli *c, int argc, char **argv, const char *doc,
                            struct nb_err *err)
{
    c->run.command = nb_option_command(argc, argv);
    nb_option_tell_defaults();
    nb_option_parse(OPTIONS, parse_option, NULL, doc, argc, argv, c);
    enum nb_status s = nb_foreign_load(&c->foreign, err);
    if (s == NB_OK)
        s = make_preset(c, "quick", err);
    return s == NB_OK ? set_numbers(c, err) : s;
}

static enum nb_status cmd_run(int argc, char **argv, int *code, struct nb_err *err)
{
    struct cli c = {0};
    enum nb_status s = parse(&c, argc, argv,
                             "Checks every selected kernel, measures those that pass, and writes "
                             "tables and plots.\vExamples:\n  normbench run --preset quick\n"
                             "  normbench run --dtype f32,bf16 --hidden 64:16384:x2 --residency L2,DRAM "
                             "--budget 2m\n  normbench run --resume results/mine", err);
    if (s == NB_OK && c.run.resume != NULL && c.run.out != NULL)
        s = nb_fail(err, "--resume and --out exclude each other: a resumed run stays in its folder");
    if (s == NB_OK && c.run.resume != NULL && (c.seed || c.budget || c.processes || c.rounds))
        s = nb_fail(err, "--%s: a resumed run keeps its settings; leave it out, or start a new run",
                    c.seed        ? "seed"
                    : c.budget    ? "budget"
                    : c.processes ? "processes"
                                  : "rounds");
    if (s == NB_OK)
        s = nb_run(&c.run, code, err);
    nb_preset_free(&c.run.preset);
    free(c.run.command);
    return s;
}

enum nb_status nb_cli_check_run(int argc, char **argv, struct nb_err *err)
{
    struct cli c = {0};
    const enum nb_status s = parse(&c, argc, argv, "", err);
    nb_preset_free(&c.run.preset);
    free(c.run.command);
    return s;
}

static enum nb_status cmd_check(int argc, char **argv, int *code, struct nb_err *err)
{
    struct cli c = {0};
    enum nb_status s = parse(&c, argc, argv,
                             "Checks every selected kernel against the oracle, without timing.\v"
                             "Example:\n  normbench check --isa all --dtype bf16 --hidden 1,17,1000", err);
    if (s == NB_OK)
        s = nb_run_check(&c.run, code, err);
    nb_preset_free(&c.run.preset);
    free(c.run.command);
    return s;
}

/* ---- tune ---- */

static const char TUNE[] = "tune"; /* its preset */

static bool has_selection(const struct cli *c)
{
    for (int k = 0; k < NB_KEY_COUNT; k++)
        if (c->selection[k] != NULL)
            return true;
    return c->preset != TUNE;
}

/* Before minutes of measuring: may the file be written? */
static enum nb_status can_write(const char *file, struct nb_err *err)
{
    const char *slash = strrchr(file, '/');
    char dir[4096];
    snprintf(dir, sizeof dir, "%.*s", slash != NULL ? (int)(slash - file) + 1 : 1, slash != NULL ? file : ".");
    if (slash != NULL && slash[1] == '\0')
        return nb_fail(err, "--out %s: names a folder; give a file", file);
    if (access(file, F_OK) == 0)
        return nb_fail(err, "--out %s exists already; name another file, or remove it", file);
    return access(dir, W_OK) == 0 ? NB_OK
                                  : nb_fail(err, "--out %s: cannot write in %s: %s", file, dir, strerror(errno));
}

static enum nb_status write_table(const char *dir, const char *file, struct nb_err *err)
{
    struct nb_tune t;
    enum nb_status s = nb_tune_derive(dir, &t, stdout, err);
    if (s == NB_OK)
        s = nb_tune_write(&t, file, err);
    if (s == NB_OK)
        printf("        written to %s; use it with --tune %s or NB_TUNE=%s\n", file, file, file);
    nb_tune_free(&t);
    return s;
}

static enum nb_status cmd_tune(int argc, char **argv, int *code, struct nb_err *err)
{
    struct cli c = {.preset = TUNE};
    char dir[64];
    enum nb_status s = parse(&c, argc, argv,
                             "Measures the variants that `auto` may run, and writes which it should run here: a "
                             "text file, for --tune FILE or NB_TUNE=FILE on this CPU.\vThe run itself is kept "
                             "in results/tune-<UTC>; with --resume DIR the table comes from a run that is there "
                             "already.\n--out FILE: the table; default normbench.tune\nExamples:\n"
                             "  normbench tune --out my.tune\n"
                             "  normbench tune --dtype f32 --hidden 768,4096 --budget 60s", err);
    const char *file = c.run.out != NULL ? c.run.out : "normbench.tune";
    if (s == NB_OK)
        s = can_write(file, err);
    if (s == NB_OK && c.run.resume == NULL)
        s = nb_option_folder(TUNE, dir, sizeof dir, err);
    c.run.out = c.run.resume == NULL ? dir : NULL;
    c.run.selection_given = has_selection(&c);
    if (s == NB_OK)
        s = nb_run(&c.run, code, err);
    if (s == NB_OK)
        s = write_table(c.run.resume != NULL ? c.run.resume : dir, file, err);
    nb_preset_free(&c.run.preset);
    free(c.run.command);
    return s;
}

static enum nb_status cmd_doctor(int argc, char **argv, int *code, struct nb_err *err)
{
    struct nb_topology t;
    *code = EXIT_FINE;
    if (argc > 2) {
        printf("usage: normbench doctor\n  says what about this machine hurts measurement and what "
               "would help; changes nothing\n");
        *code = strcmp(argv[2], "--help") == 0 ? EXIT_FINE : EXIT_ERROR;
        return NB_OK;
    }
    enum nb_status s = nb_topology_load(&t, err);
    if (s != NB_OK)
        return s;
    nb_host_doctor(&t, stdout);
    nb_topology_free(&t);
    return NB_OK;
}

/* An OpenMP runtime that is told of places binds the first thread before main begins. From then on this
 * process sees one core, and what it was allowed before is not known any more. */
static enum nb_status not_bound_by_openmp(struct nb_err *err)
{
    static const char *const names[] = {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY",
                                        "KMP_AFFINITY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && strcmp(value, "false") != 0)
            return nb_fail(err, "%s is set (\"%s\"), so OpenMP binds this process before normbench can "
                                "see its cores; normbench binds its threads itself: unset OMP_PROC_BIND "
                                "OMP_PLACES GOMP_CPU_AFFINITY KMP_AFFINITY", names[i], value);
    }
    return NB_OK;
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

/* ---- commands that others add ---- */

enum { OTHERS_MAX = 16 };
static const struct nb_command *others[OTHERS_MAX];
static size_t other_count;

void nb_cli_add(const struct nb_command *c)
{
    NB_ASSERT(other_count < OTHERS_MAX);
    others[other_count++] = c;
}

/* "list WORD" is found wherever the word stands among the options of list. */
static const struct nb_command *find_other(int argc, char **argv)
{
    for (size_t i = 0; i < other_count; i++) {
        const char *name = others[i]->name;
        const bool of_list = strncmp(name, "list ", 5) == 0;
        if (argc > 1 && (strcmp(argv[1], name) == 0 ||
                         (of_list && strcmp(argv[1], "list") == 0 && has_word(argc, argv, name + 5))))
            return others[i];
    }
    return NULL;
}

static void print_help(FILE *f)
{
    fputs(HELP_COMMANDS, f);
    for (size_t i = 0; i < other_count; i++)
        fputs(others[i]->help, f);
    fputs(HELP_REST, f);
}

static enum nb_status unknown_command(const char *command, struct nb_err *err)
{
    char more[400] = "";
    for (size_t i = 0; i < other_count; i++)
        if (strchr(others[i]->name, ' ') == NULL)
            snprintf(more + strlen(more), sizeof more - strlen(more), ", %s", others[i]->name);
    return nb_fail(err, "unknown command \"%s\"; known: run, check, accuracy, eval, list, explain, deepnorm, tune, count, "
                        "gate, doctor%s. Try `normbench --help`", command, more);
}

static enum nb_status dispatch(int argc, char **argv, int *code, struct nb_err *err)
{
    const char *command = argc > 1 ? argv[1] : "--help";
    const struct nb_command *other = find_other(argc, argv);
    if (strcmp(command, "run") == 0 || strcmp(command, "check") == 0 ||
        strcmp(command, "accuracy") == 0 || strcmp(command, "tune") == 0 ||
        strcmp(command, "gate") == 0 || strcmp(command, "gate-selftest") == 0 ||
        strcmp(command, "count") == 0 || strcmp(command, "doctor") == 0 || (other != NULL && other->measures)) {
        enum nb_status s = not_bound_by_openmp(err);
        if (s == NB_OK)
            s = nb_counters_environment(err);
        if (s != NB_OK)
            return s;
        if (!nb_counters_bands())
            fputs("normbench: NB_COUNTERS_BANDS=off: counters count without a certificate; every figure of theirs "
                  "is marked uncertified and is good for tests alone\n", stderr);
    }
    if (other != NULL)
        return other->run(argc, argv, code, err);
    if (strcmp(command, "run") == 0)
        return cmd_run(argc, argv, code, err);
    if (strcmp(command, "check") == 0)
        return cmd_check(argc, argv, code, err);
    if (strcmp(command, "tune") == 0)
        return cmd_tune(argc, argv, code, err);
    if (strcmp(command, "count") == 0)
        return nb_cmd_count(argc, argv, code, err);
    if (strcmp(command, "gate") == 0 && has_word(argc, argv, "--counts"))
        return nb_cmd_gate_counts(argc, argv, code, err);
    if (strcmp(command, "gate") == 0)
        return nb_cmd_gate(argc, argv, code, err);
    if (strcmp(command, "gate-selftest") == 0)
        return nb_cmd_gate_selftest(argc, argv, code, err);
    if (strcmp(command, "accuracy") == 0)
        return nb_cmd_accuracy(argc, argv, code, err);
    if (strcmp(command, "eval") == 0)
        return nb_cmd_eval(argc, argv, code, err);
    if (strcmp(command, "list") == 0)
        return nb_list(argc - 1, argv + 1, code, err);
    if (strcmp(command, "explain") == 0)
        return nb_cmd_explain(argc, argv, code, err);
    if (strcmp(command, "deepnorm") == 0)
        return nb_cmd_deepnorm(argc, argv, code, err);
    if (strcmp(command, "doctor") == 0)
        return cmd_doctor(argc, argv, code, err);
    if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0) {
        printf("normbench %s (schema 1, git %s)\n", NB_VERSION, nb_host_git());
        return NB_OK;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
        print_help(argc > 1 ? stdout : stderr);
        *code = argc > 1 ? EXIT_FINE : EXIT_ERROR;
        return NB_OK;
    }
    return unknown_command(command, err);
}

/* Where the caller closed stdin, stdout or stderr, the next file opened would take its number and
 * receive what is printed. */
static void occupy_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

int nb_main(int argc, char **argv)
{
    struct nb_err err = {""};
    char bad[64];
    int code = EXIT_FINE;
    occupy_standard_files();
    if (argc >= 3 && strcmp(argv[1], "--worker") == 0)
        return nb_worker_main(atoi(argv[2]), argc - 3, argv + 3);
    if (nb_cpu_init(bad, sizeof bad) != 0) {
        fprintf(stderr, "normbench: NB_DISABLE_ISA: unknown word \"%s\"; known: avx2, avx512, avx512bf16, "
                        "neon\n", bad);
        return EXIT_ERROR;
    }
    const enum nb_status s = dispatch(argc, argv, &code, &err);
    if (s != NB_OK) {
        fputs("normbench: ", stderr);
        nb_plain_lines(stderr, err.text);
        fputc('\n', stderr);
        return s == NB_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_ERROR;
    }
    if (fflush(stdout) != 0) {
        fprintf(stderr, "normbench: cannot write to stdout\n");
        return EXIT_ERROR;
    }
    return code;
}
