#include "history.h"
#include "options.h"
#include "store_cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum option_key {
    KEY_DB = NB_OPTION_OTHERS,
    KEY_KERNEL,
    KEY_REFERENCE,
    KEY_CELL,
    KEY_DTYPE,
    KEY_RESIDENCY,
    KEY_HIDDEN,
    KEY_THREADS,
    KEY_CPU,
    KEY_LEVEL,
    KEY_OUT,
    KEY_FORCED,
    KEY_QUIET
};

static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "Which series (a GLOB has * for any text, ? for any character):", 1},
    {"kernel", KEY_KERNEL, "GLOB", 0, "kernels by name; to be given", 1},
    {"cell", KEY_CELL, "GLOB", 0, "cells by name, as 'fwd-none-f32-h1024-*-L2'", 1},
    {"dtype", KEY_DTYPE, "LIST", 0, "cells of these types: f32,bf16", 1},
    {"residency", KEY_RESIDENCY, "LIST", 0, "cells with the data there: L2,DRAM", 1},
    {"hidden", KEY_HIDDEN, "LIST", 0, "cells of these row lengths", 1},
    {"threads", KEY_THREADS, "LIST", 0, "cells of so many threads", 1},
    {"cpu", KEY_CPU, "GLOB", 0, "machines by the name of their CPU", 1},
    {"reference", KEY_REFERENCE, "GLOB", 0,
     "also speeds over this kernel, one in a cell: 'layernorm_fwd_naive__*_scalar'", 1},
    {"forced", KEY_FORCED, 0, 0, "also runs in which a refusal to measure was overridden",
     1},
    {0, 0, 0, 0, "How changes are looked for:", 2},
    {"level", KEY_LEVEL, "P", 0,
     "probability that a series without a change shows one (default 0.01; 0.002 to 0.5)",
     2},
    {0, 0, 0, 0, "From where, and where to:", 3},
    {"db", KEY_DB, "FILE", 0,
     "the index of `normbench db import`; default " NB_DB_DEFAULT, 3},
    {"out", KEY_OUT, "DIR", 0,
     "a folder that does not exist yet: history.md, history.csv, plots/history.svg and "
     ".png",
     3},
    {"quiet", KEY_QUIET, 0, 0, "no table", 3},
    {0}};

static const char DOC[] =
    "Kernels over commits: of each kernel in each cell the share of the roof, run after "
    "run, and where it changed.\v"
    "Only ratios formed within a run are shown, never times; runs of one machine, "
    "compiler and set of flags make a series, "
    "in the order of the time when they began. Changes are found by E-divisive with a "
    "permutation test (docs/store.md, "
    "History); they are advice, and the exit code is 0 whatever is found.\n"
    "Exit codes: 0 fine; 1 an error, nothing fits, a folder that is there "
    "already.\nExamples:\n"
    "  normbench history --kernel 'rmsnorm_fwd_onepass__*_avx512' --residency L2,DRAM\n"
    "  normbench history --kernel 'layernorm*' --reference "
    "'layernorm_fwd_naive__*_scalar' --out results/history";

struct cli {
    struct nb_history_query query;
    const char *db, *level, *out;
    bool quiet;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    struct nb_history_query *q = &c->query;
    const struct nb_option_text texts[] = {{KEY_DB, &c->db},
                                           {KEY_LEVEL, &c->level},
                                           {KEY_OUT, &c->out},
                                           {KEY_KERNEL, &q->kernel},
                                           {KEY_REFERENCE, &q->reference},
                                           {KEY_CELL, &q->cell},
                                           {KEY_DTYPE, &q->dtype},
                                           {KEY_RESIDENCY, &q->residency},
                                           {KEY_HIDDEN, &q->hidden},
                                           {KEY_THREADS, &q->threads},
                                           {KEY_CPU, &q->cpu}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL))
        return 0;
    if (key == KEY_FORCED)
        q->forced = true;
    else if (key == KEY_QUIET)
        c->quiet = true;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static enum nb_status check(struct cli *c, struct nb_err *err)
{
    char *end;
    struct stat st;
    c->query.level = 0.01;
    if (c->query.kernel == NULL)
        return nb_fail(err,
                       "history: --kernel GLOB is missing, as --kernel 'rmsnorm_fwd_*'");
    if (c->level != NULL) {
        c->query.level = strtod(c->level, &end);
        if (end == c->level || *end != 0 ||
            !(c->query.level >= 1.0 / (NB_CHANGES_PERMUTATIONS + 1) &&
              c->query.level <= 0.5))
            return nb_fail(err, "--level: \"%.40s\" is no number from 0.002 to 0.5",
                           c->level);
    }
    if (c->out != NULL && lstat(c->out, &st) == 0)
        return nb_fail(err, "--out %.400s exists already; name a new folder", c->out);
    return NB_OK;
}

/* The folder is made when there is something to write. */
static enum nb_status write_all(const struct nb_history *h, const char *dir,
                                struct nb_err *err)
{
    char note[256] = "";
    if (mkdir(dir, 0777) != 0)
        return nb_fail(err, "cannot make the folder %.400s: %s", dir, strerror(errno));
    enum nb_status s = nb_history_write(h, dir, note, err);
    if (s == NB_OK)
        printf("files in %s: history.md, history.csv, plots/history.svg\n%s%s", dir, note,
               note[0] ? "\n" : "");
    return s;
}

static enum nb_status cmd_history(int argc, char **argv, int *code, struct nb_err *err)
{
    struct cli c = {.db = NB_DB_DEFAULT};
    struct nb_history h;
    struct nb_db db;
    (void)code;
    nb_option_parse(OPTIONS, parse_option, NULL, DOC, argc, argv, &c);
    enum nb_status s = check(&c, err);
    if (s == NB_OK)
        s = nb_db_open(&db, c.db, NB_DB_READ, NB_DB_WAIT_MS, err);
    if (s != NB_OK)
        return s;
    s = nb_history_make(&h, &db, &c.query, err);
    nb_db_close(&db);
    if (s != NB_OK)
        return s;
    if (!c.quiet)
        nb_history_table(stdout, &h);
    if (c.out != NULL)
        s = write_all(&h, c.out, err);
    nb_history_free(&h);
    return s;
}

const struct nb_command nb_history_command = {"history", NB_HISTORY_HELP, false,
                                              cmd_history};
