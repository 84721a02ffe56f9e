#include "db.h"
#include "folders.h"
#include "import.h"
#include "interrupt.h"
#include "markup.h"
#include "options.h"
#include "progress.h"
#include "query.h"
#include "store_cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_FAULT = 1 };
enum option_key {
    KEY_DB = NB_OPTION_OTHERS,
    KEY_WAIT,
    KEY_REPLACE,
    KEY_QUIET,
    KEY_CSV,
    KEY_JSON,
    KEY_TIMEOUT
};

#define OPTION_DB                                                                        \
    {                                                                                    \
        "db", KEY_DB, "FILE", 0, "the index; default " NB_DB_DEFAULT, 1                  \
    }
#define OPTION_WAIT                                                                      \
    {                                                                                    \
        "wait", KEY_WAIT, "TIME", 0,                                                     \
            "for another program that uses the index (default 5s)", 1                    \
    }
#define OPTIONS_FORM                                                                     \
    {"csv", KEY_CSV, 0, 0, "comma-separated values; null where there is none", 1},       \
    {                                                                                    \
        "json", KEY_JSON, 0, 0, "an array of objects", 1                                 \
    }

static const struct argp_option IMPORT_OPTIONS[] = {
    OPTION_DB,
    {"replace", KEY_REPLACE, 0, 0, "a run that is known with other content is taken anew",
     1},
    OPTION_WAIT,
    {"quiet", KEY_QUIET, 0, 0, "no progress, no line a run", 1},
    {0}};
static const struct argp_option LIST_OPTIONS[] = {
    OPTION_DB, OPTION_WAIT, OPTIONS_FORM, {0}};
static const struct argp_option SQL_OPTIONS[] = {
    OPTION_DB,
    OPTION_WAIT,
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of the statement (default 60s)", 1},
    OPTIONS_FORM,
    {0}};

struct cli {
    const char *db, *wait, *timeout;
    const char **words;
    size_t word_count;
    bool replace, quiet, csv, json;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {
        {KEY_DB, &c->db}, {KEY_WAIT, &c->wait}, {KEY_TIMEOUT, &c->timeout}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL))
        return 0;
    if (key == KEY_REPLACE)
        c->replace = true;
    else if (key == KEY_QUIET)
        c->quiet = true;
    else if (key == KEY_CSV)
        c->csv = true;
    else if (key == KEY_JSON)
        c->json = true;
    else if (key == ARGP_KEY_ARG)
        c->words[c->word_count++] = arg;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static enum nb_status form_of(const struct cli *c, enum nb_table_form *form,
                              struct nb_err *err)
{
    *form = c->csv ? NB_TABLE_CSV : c->json ? NB_TABLE_JSON : NB_TABLE_ALIGNED;
    return c->csv && c->json ? nb_fail(err, "--csv and --json exclude each other")
                             : NB_OK;
}

static enum nb_status open_index(struct nb_db *db, const struct cli *c,
                                 enum nb_db_mode mode, struct nb_err *err)
{
    double wait_s = NB_DB_WAIT_MS / 1e3;
    enum nb_status s = NB_OK;
    if (c->wait != NULL)
        s = nb_parse_seconds("--wait", c->wait, &wait_s, err);
    if (s == NB_OK && wait_s > 86400)
        s = nb_fail(err, "--wait %s: more than a day", c->wait);
    if (s == NB_OK && c->db == NULL && mode == NB_DB_WRITE &&
        mkdir("results", 0777) != 0 && errno != EEXIST)
        s = nb_fail(err, "cannot make results/ here: %s; choose a place with --db",
                    strerror(errno));
    return s == NB_OK ? nb_db_open(db, c->db ? c->db : NB_DB_DEFAULT, mode,
                                   (int)(wait_s * 1e3), err)
                      : s;
}

/* ---- import ---- */

struct tally {
    size_t outcomes[NB_IMPORT_REPLACED + 1], results, speedups, failed;
};

static void say(const char *what, const struct nb_imported *i, const char *dir)
{
    printf("%-9s ", what);
    nb_plain(stdout, i->name);
    fputs("  ", stdout);
    nb_plain(stdout, dir);
    if (i->outcome == NB_IMPORT_COPY || i->outcome == NB_IMPORT_MOVED) {
        fputs(i->outcome == NB_IMPORT_COPY ? "  nothing changed: a copy of "
                                           : "  before in ",
              stdout);
        nb_plain(stdout, i->other);
    }
    if (i->outcome == NB_IMPORT_KNOWN)
        fputs("  nothing changed", stdout);
    fputc('\n', stdout);
}

static void complain(const struct nb_err *err, const struct nb_progress *p)
{
    fputs(p->terminal && !p->quiet ? "\r\033[K" : "", stderr);
    fputs("normbench: ", stderr);
    nb_plain_lines(stderr, err->text);
    fputc('\n', stderr);
}

static enum nb_status import_one(struct nb_import *im, const char *dir,
                                 const struct cli *c, struct tally *t,
                                 const struct nb_progress *p, struct nb_err *err)
{
    static const char *const words[] = {"imported", "known", "known", "moved",
                                        "replaced"};
    struct nb_imported what;
    if (nb_import_run(im, dir, &what, err) != NB_OK) {
        if (im->db->failed)
            return NB_ERROR;
        t->failed++;
        complain(err, p);
        return NB_OK;
    }
    t->outcomes[what.outcome]++;
    t->results += what.results;
    t->speedups += what.speedups;
    if (!c->quiet)
        say(words[what.outcome], &what, dir);
    return NB_OK;
}

/* Folders that are none are told like runs that are broken. */
static void find_folders(const struct cli *c, struct nb_folders *f, struct tally *t,
                         const struct nb_progress *p)
{
    struct nb_err err;
    for (size_t i = 0; i < c->word_count; i++)
        if (nb_folders_add(f, c->words[i], &err) != NB_OK) {
            t->failed++;
            complain(&err, p);
        }
}

static enum nb_status import_all(struct nb_db *db, const struct cli *c, struct tally *t,
                                 struct nb_err *err)
{
    struct nb_folders f = {0};
    struct nb_progress p = {.quiet = true};
    struct nb_import im;
    find_folders(c, &f, t, &p);
    enum nb_status s = nb_import_begin(&im, db, c->replace, err);
    nb_progress_begin(&p, "db import", (double)f.n, c->quiet);
    for (size_t i = 0; s == NB_OK && i < f.n && !nb_interrupted; i++) {
        s = import_one(&im, f.v[i], c, t, &p, err);
        nb_progress_step(&p, 1, f.v[i]);
    }
    if (s == NB_OK)
        nb_progress_end(&p);
    struct nb_err at_end;
    if (im.db == db && nb_import_end(&im, &at_end) != NB_OK && s == NB_OK) {
        *err = at_end;
        s = NB_ERROR;
    }
    nb_folders_free(&f);
    return s;
}

static void print_tally(const struct nb_db *db, const struct tally *t)
{
    const size_t *o = t->outcomes;
    printf("%s: %zu runs imported (%zu results, %zu speedups)", db->path,
           o[NB_IMPORT_NEW] + o[NB_IMPORT_REPLACED], t->results, t->speedups);
    if (o[NB_IMPORT_REPLACED])
        printf(", %zu of them in place of other content", o[NB_IMPORT_REPLACED]);
    if (o[NB_IMPORT_KNOWN] + o[NB_IMPORT_COPY])
        printf(", %zu known already", o[NB_IMPORT_KNOWN] + o[NB_IMPORT_COPY]);
    if (o[NB_IMPORT_MOVED])
        printf(", %zu moved", o[NB_IMPORT_MOVED]);
    if (t->failed)
        printf(", %zu failed", t->failed);
    putchar('\n');
}

static enum nb_status cmd_import(struct cli *c, int *code, struct nb_err *err)
{
    struct tally t = {.failed = 0};
    struct nb_db db;
    if (c->word_count == 0)
        return nb_fail(
            err, "db import: which runs? Give folders of runs, or a folder of such, as "
                 "`normbench db import results`");
    enum nb_status s = open_index(&db, c, NB_DB_WRITE, err);
    if (s != NB_OK)
        return s;
    nb_catch_signals();
    s = import_all(&db, c, &t, err);
    if (s == NB_OK)
        print_tally(&db, &t);
    nb_db_close(&db);
    if (s == NB_OK && nb_interrupted)
        return nb_fail(err, "interrupted; the runs imported so far are kept"),
               NB_INTERRUPTED;
    *code = t.failed ? EXIT_FAULT : 0;
    return s;
}

/* ---- list, sql, schema ---- */

static const char LIST[] =
    "SELECT run.begun, run.name AS run, machine.cpu, run.machine, run.compiler, run.git, "
    "run.preset, "
    "CASE WHEN forced THEN 'forced' WHEN ended THEN 'ended' ELSE 'interrupted' END AS "
    "state, "
    "(SELECT count(*) FROM result WHERE result.run = run.id) AS results, run.folder "
    "FROM run JOIN machine ON machine.id = run.machine ORDER BY run.begun, run.name";

static enum nb_status cmd_list(struct cli *c, int *code, struct nb_err *err)
{
    enum nb_table_form form;
    struct nb_db db;
    (void)code;
    if (c->word_count > 0)
        return nb_fail(
            err, "db list: unexpected word \"%.100s\"; `normbench db sql` chooses rows",
            c->words[0]);
    enum nb_status s = form_of(c, &form, err);
    if (s == NB_OK)
        s = open_index(&db, c, NB_DB_READ, err);
    if (s != NB_OK)
        return s;
    sqlite3_stmt *list = nb_db_prepare(&db, LIST, err);
    s = list ? nb_query_print(stdout, &db, list, form, err) : NB_ERROR;
    sqlite3_finalize(list);
    nb_db_close(&db);
    return s;
}

static enum nb_status cmd_sql(struct cli *c, int *code, struct nb_err *err)
{
    double seconds = 60;
    enum nb_table_form form;
    struct nb_db db;
    (void)code;
    if (c->word_count != 1)
        return nb_fail(err, "db sql: %s; the statement is one argument: put it in quotes",
                       c->word_count ? "several words" : "no statement");
    enum nb_status s = form_of(c, &form, err);
    if (s == NB_OK && c->timeout != NULL)
        s = nb_parse_seconds("--timeout", c->timeout, &seconds, err);
    if (s == NB_OK)
        s = open_index(&db, c, NB_DB_READ, err);
    if (s != NB_OK)
        return s;
    nb_catch_signals();
    struct nb_err inner = {""};
    s = nb_query_run(stdout, &db, c->words[0], seconds, form, &inner);
    nb_db_close(&db);
    if (s == NB_ERROR)
        (void)nb_fail(err, "db sql: %.900s", inner.text);
    else
        *err = inner;
    return s;
}

static enum nb_status cmd_schema(struct cli *c, int *code, struct nb_err *err)
{
    (void)code;
    if (c->word_count > 0)
        return nb_fail(err, "db schema: unexpected word \"%.100s\"", c->words[0]);
    return nb_db_schema(stdout, err);
}

/* ---- the command ---- */

static const struct sub {
    const char *word, *called; /* as help and errors call it */
    const struct argp_option *options;
    const char *args, *doc;
    enum nb_status (*run)(struct cli *c, int *code, struct nb_err *err);
} SUBS[] = {
    {"import", "db import", IMPORT_OPTIONS, "DIR...",
     "Takes runs into the index: each whole or not at all, each once. A folder that "
     "holds a plan.json is a run; any "
     "other stands for the runs in it, up to 4 levels down.\v"
     "A run that is known is left as it is; where its folder moved, the new place is "
     "noted. The same run with other "
     "content is refused, unless --replace is given. A broken run is told and the others "
     "are imported.\n"
     "Exit codes: 0 all are in the index; 1 not all; 130 interrupted (what was imported "
     "is kept).\nExamples:\n"
     "  normbench db import results\n"
     "  normbench db import --db fleet.sqlite /shared/sweep/nodes/*",
     cmd_import},
    {"list", "db list", LIST_OPTIONS, NULL,
     "The runs in the index, in the order of time.\v"
     "machine is the number of a machine in this index; state: ended, interrupted, or "
     "forced (a refusal to measure "
     "was overridden).\nExample:\n  normbench db list --csv",
     cmd_list},
    {"sql", "db sql", SQL_OPTIONS, "\"SELECT ...\"",
     "One SELECT on the index, which can read and nothing else.\v"
     "`normbench db schema` shows tables, views and columns. Times (ns) say something "
     "within one machine alone.\n"
     "Examples:\n"
     "  normbench db sql \"SELECT cpu, count(*) FROM run JOIN machine ON machine.id = "
     "machine GROUP BY 1\"\n"
     "  normbench db sql --csv \"SELECT run, cell, of_roof FROM measured WHERE kernel "
     "GLOB 'rmsnorm*' AND "
     "residency = 'L2'\"",
     cmd_sql},
    {"schema", "db schema", NULL, NULL,
     "The tables and views of the index, with a sentence for each column.", cmd_schema},
};
enum { SUB_COUNT = sizeof SUBS / sizeof *SUBS };

static const char DB_HELP[] =
    "Usage: normbench db import|list|sql|schema ...\n"
    "An index of runs in an SQLite database, " NB_DB_DEFAULT
    " unless --db says another. It is derived from run\n"
    "folders and can be deleted and made again at any time.\n\n"
    "  normbench db import DIR...        take runs into it; DIR: a run, or a folder of "
    "runs\n"
    "  normbench db list                 the runs in it\n"
    "  normbench db sql \"SELECT ...\"     ask it; --csv, --json\n"
    "  normbench db schema               its tables and columns\n\n"
    "`normbench db import --help` and so on say more; docs/store.md says all.\n";

static const struct sub *find_sub(const char *word)
{
    for (size_t i = 0; i < SUB_COUNT; i++)
        if (strcmp(word, SUBS[i].word) == 0)
            return &SUBS[i];
    return NULL;
}

static enum nb_status cmd_db(int argc, char **argv, int *code, struct nb_err *err)
{
    const char *word = argc > 2 ? argv[2] : "";
    const struct sub *sub = find_sub(word);
    if (sub == NULL && (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0)) {
        fputs(DB_HELP, stdout);
        return NB_OK;
    }
    if (sub == NULL)
        return nb_fail(
            err,
            "db: %s%.100s%s; known: import, list, sql, schema. Try `normbench db --help`",
            argc > 2 ? "unknown word \"" : "a word is missing", word,
            argc > 2 ? "\"" : "");
    struct cli c = {.words = calloc((size_t)argc, sizeof *c.words)};
    NB_ASSERT(c.words != NULL && "out of memory");
    argv[2] = (char *)sub->called;
    nb_option_parse(sub->options, parse_option, sub->args, sub->doc, argc - 1, argv + 1,
                    &c);
    enum nb_status s = sub->run(&c, code, err);
    free(c.words);
    return s;
}

const struct nb_command nb_db_command = {"db", NB_DB_HELP, false, cmd_db};
