#include "cli.h"
#include "compare_samples.h"
#include "comparison.h"
#include "files.h"
#include "markup.h"
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_OUT = NB_OPTION_OTHERS,
    KEY_NAMES,
    KEY_QUANTITY,
    KEY_PAIRING,
    KEY_CELLS,
    KEY_SAMPLES,
    KEY_QUIET
};

static const struct argp_option OPTIONS[] = {
    {"out", KEY_OUT, "DIR", 0,
     "a folder that does not exist yet; default results/compare-<UTC>", 0},
    {"names", KEY_NAMES, "WORD", 0,
     "what machines are called by: cpu (default), host or folder", 0},
    {"quantity", KEY_QUANTITY, "LIST", 0,
     "speedup (default); roof: shares of the hard roof; cycles: an element, where "
     "certified; time: ns a "
     "row, of one host alone and never with a statement",
     0},
    {"pairing", KEY_PAIRING, "GLOB", 0,
     "of speedups: best-of-each, same-algorithm, ...; default all", 0},
    {"cells", KEY_CELLS, "GLOB", 0,
     "cells by their key, as compare.md names them: '*-f32-*-L2'", 0},
    {"samples", KEY_SAMPLES, 0, 0,
     "read the samples too, where the intervals of the tables do not reach the level: "
     "seconds a run",
     0},
    {"quiet", KEY_QUIET, 0, 0, "no table", 0},
    {0}};

static const char DOC[] =
    "Puts runs beside each other, one row a machine: speedups and shares of the roof, "
    "each formed inside its run, and in which cells a run "
    "differs from the first, with a chance of at most 5 % that any such statement is "
    "wrong."
    "\vTimes of two machines are never compared. Choose cells before you look at "
    "results: every cell more asks for "
    "more processes. What is and is not stated: docs/compare.md.\nExamples:\n"
    "  normbench compare results/mine results/submitted/*\n"
    "  normbench compare A B --pairing best-of-each --out both";

struct options {
    const char *out, *names, *quantity, *pairing, *cells;
    bool samples, quiet;
    const char **dirs;
    size_t n;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    const struct nb_option_text texts[] = {{KEY_OUT, &o->out},
                                           {KEY_NAMES, &o->names},
                                           {KEY_QUANTITY, &o->quantity},
                                           {KEY_PAIRING, &o->pairing},
                                           {KEY_CELLS, &o->cells}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL))
        return 0;
    if (key == KEY_SAMPLES)
        o->samples = true;
    else if (key == KEY_QUIET)
        o->quiet = true;
    else if (key == ARGP_KEY_ARG)
        o->dirs[o->n++] = arg;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* ---- what is asked for ---- */

static enum nb_status parse_quantities(const char *list, struct nb_choice *choice,
                                       struct nb_err *err)
{
    for (const char *s = list;; s++) {
        const size_t n = strcspn(s, ",");
        int q = 0;
        while (q < NB_QUANTITIES && (strlen(nb_quantity_name[q]) != n ||
                                     strncmp(nb_quantity_name[q], s, n) != 0))
            q++;
        if (q == NB_QUANTITIES)
            return nb_fail(err,
                           "--quantity: \"%.*s\" is none of speedup, roof, cycles, time",
                           (int)(n < 40 ? n : 40), s);
        choice->quantity[q] = true;
        s += n;
        if (*s == '\0')
            return NB_OK;
    }
}

struct folder {
    dev_t device;
    ino_t inode;
    size_t given; /* its place among the arguments */
};

static int by_inode(const void *a, const void *b)
{
    const struct folder *x = a, *y = b;
    const int device = (x->device > y->device) - (x->device < y->device), inode = (x->inode > y->inode) - (x->inode < y->inode);
    return device != 0 ? device : inode != 0 ? inode : (x->given > y->given) - (x->given < y->given);
}

/* Where a folder stands among the arguments for the second time; n: none does. */
static size_t find_twice(const char **dirs, size_t n)
{
    struct folder *v = calloc(n + 1, sizeof *v);
    struct stat st;
    size_t known = 0, twice = n;
    NB_ASSERT(v != NULL && "out of memory");
    for (size_t i = 0; i < n; i++)
        if (stat(dirs[i], &st) == 0)
            v[known++] = (struct folder){st.st_dev, st.st_ino, i};
    qsort(v, known, sizeof *v, by_inode);
    for (size_t i = 1; i < known; i++)
        if (v[i].device == v[i - 1].device && v[i].inode == v[i - 1].inode && v[i].given < twice)
            twice = v[i].given;
    free(v);
    return twice;
}

static enum nb_status check_folders(const struct options *o, struct nb_err *err)
{
    if (o->n < 2)
        return nb_fail(err, "compare needs two run folders or more, as in `normbench "
                            "compare results/A results/B`");
    const size_t twice = find_twice(o->dirs, o->n);
    return twice == o->n ? NB_OK
                         : nb_fail(err, "%.200s is given twice; a run compared with itself says nothing", o->dirs[twice]);
}

/* ---- loading ---- */

/* All that are broken are named: the last one by the error itself. */
static enum nb_status load(struct nb_comparison *c, const struct options *o,
                           struct nb_err *err)
{
    size_t broken = 0;
    c->runs = calloc(o->n, sizeof *c->runs);
    NB_ASSERT(c->runs != NULL && "out of memory");
    for (size_t i = 0; i < o->n; i++) {
        struct nb_err why = {""};
        if (nb_summary_load(&c->runs[i], o->dirs[i], &why) == NB_OK)
            continue;
        fputs(broken++ == 0 ? "cannot be compared:\n  " : "  ", stderr);
        nb_plain(stderr, why.text);
        fputc('\n', stderr);
    }
    c->n = o->n;
    return broken == 0 ? NB_OK
                       : nb_fail(err,
                                 "%zu of %zu folders cannot be compared, as said above; "
                                 "nothing was written",
                                 broken, o->n);
}

static enum nb_status check_times(const struct nb_comparison *c,
                                  const struct nb_choice *choice, struct nb_err *err)
{
    for (size_t i = 1; choice->quantity[NB_Q_TIME] && i < c->n; i++)
        if (c->machines[i].same_host != &c->machines[0])
            return nb_fail(err,
                           "--quantity time: runs 1 and %zu are not known to be of one "
                           "host, and times of two hosts are never compared; "
                           "speedups and shares of the roof are",
                           i + 1);
    return NB_OK;
}

/* ---- writing ---- */

typedef void (*writer)(const struct nb_comparison *c, bool picture, FILE *f);

static void csv(const struct nb_comparison *c, bool picture, FILE *f)
{
    (void)picture;
    nb_compare_csv(c, f);
}

static enum nb_status write_one(const struct nb_comparison *c, const char *dir,
                                const char *name, writer write, bool picture,
                                struct nb_err *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    write(c, picture, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    enum nb_status s = nb_file_write(dir, name, text, length, err);
    free(text);
    return s;
}

static enum nb_status write_all(const struct nb_comparison *c, const struct options *o,
                                struct nb_err *err)
{
    char dir[NB_PATH], note[256] = "";
    bool drawn = false;
    enum nb_status s = NB_OK;
    if (o->out == NULL)
        s = nb_option_folder("compare", dir, sizeof dir, err);
    else
        snprintf(dir, sizeof dir, "%s", o->out);
    if (s == NB_OK && mkdir(dir, 0777) != 0)
        s = nb_fail(err, "--out %.400s: %s", dir,
                    errno == EEXIST ? "exists already; name another folder"
                                    : strerror(errno));
    if (s == NB_OK)
        s = write_one(c, dir, "compare.csv", csv, false, err);
    if (s == NB_OK)
        s = nb_compare_picture(c, dir, &drawn, note, err);
    if (s == NB_OK)
        s = write_one(c, dir, "compare.md", nb_compare_md, drawn, err);
    if (s != NB_OK || o->quiet)
        return s;
    fputs("report  ", stdout);
    nb_plain(stdout, dir);
    fputs("/compare.md, compare.csv", stdout);
    fputs(drawn ? ", plots/compare.svg and .png\n" : "\n", stdout);
    if (note[0] != '\0')
        printf("note    %s\n", note);
    return NB_OK;
}

static enum nb_status compare(struct nb_comparison *c, const struct options *o,
                              struct nb_err *err)
{
    struct nb_choice choice = {.pairing = o->pairing, .cells = o->cells};
    struct nb_samples *samples = NULL;
    enum nb_status s = check_folders(o, err);
    if (s == NB_OK)
        s = parse_quantities(o->quantity ? o->quantity : "speedup", &choice, err);
    if (s == NB_OK)
        s = load(c, o, err);
    if (s != NB_OK)
        return s;
    c->machines = calloc(c->n, sizeof *c->machines);
    NB_ASSERT(c->machines != NULL && "out of memory");
    s = nb_machines_make(c->machines, c->runs, c->n, o->names ? o->names : "cpu", err);
    if (s == NB_OK)
        s = check_times(c, &choice, err);
    if (s == NB_OK && o->samples)
        s = nb_samples_load(&samples, c->runs, c->n, err);
    if (s == NB_OK) {
        c->samples = o->samples;
        nb_cells_gather(&c->cells, c->runs, c->n, &choice);
        nb_statements_make(&c->statements, &c->cells, samples ? nb_samples_sorted : NULL,
                           samples);
    }
    if (s == NB_OK && c->cells.ncells == 0)
        s = nb_fail(err,
                    "no cell stands in two of these runs%s; `normbench run --preset "
                    "hardware` measures the same cells everywhere",
                    o->cells || o->pairing ? " and is asked for (--cells, --pairing)"
                                           : "");
    if (s == NB_OK && !o->quiet)
        nb_compare_terminal(c, stdout);
    if (s == NB_OK)
        s = write_all(c, o, err);
    nb_samples_free(samples);
    return s;
}

static void release(struct nb_comparison *c)
{
    nb_statements_free(&c->statements);
    nb_cells_free(&c->cells);
    if (c->machines != NULL)
        nb_machines_free(c->machines, c->n);
    for (size_t i = 0; i < c->n; i++)
        nb_summary_free(&c->runs[i]);
    free(c->machines);
    free(c->runs);
}

static enum nb_status cmd_compare(int argc, char **argv, int *code, struct nb_err *err)
{
    struct options o = {.dirs = calloc((size_t)argc, sizeof *o.dirs)};
    struct nb_comparison c = {.n = 0};
    struct nb_c_locale locale;
    NB_ASSERT(o.dirs != NULL);
    *code = 0;
    nb_option_parse(OPTIONS, parse_option, "DIR DIR...", DOC, argc, argv, &o);
    enum nb_status s = nb_c_locale_enter(&locale, err);
    if (s == NB_OK) {
        s = compare(&c, &o, err);
        nb_c_locale_leave(&locale);
    }
    release(&c);
    free(o.dirs);
    return s;
}

extern const struct nb_command nb_compare_command;
const struct nb_command nb_compare_command = {
    "compare",
    "  compare DIR DIR...   machines beside each other: ratios formed inside each run, "
    "and where they differ\n",
    false, cmd_compare};
