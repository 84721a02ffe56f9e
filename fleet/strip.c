#include "cli.h"
#include "files.h"
#include "machines.h"
#include "markup.h"
#include "options.h"
#include "report.h"
#include "report_data.h"
#include "strip_files.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_OUT = NB_OPTION_OTHERS, KEY_REMOVE, KEY_KEEP, KEY_YES };

static const struct argp_option OPTIONS[] = {
    {"out", KEY_OUT, "DIR", 0,
     "a folder that does not exist yet; default results/submitted/<cpu>-<day>", 0},
    {"remove", KEY_REMOVE, "WORD", 0,
     "another word that must not stand anywhere; may be given again", 0},
    {"keep", KEY_KEEP, "WORD", 0,
     "a word that may stay, though it is a name of this host or user", 0},
    {"yes", KEY_YES, 0, 0, "write without asking", 0},
    {0}};

static const char DOC[] =
    "Makes a copy of a run that does not say whose machine it was: without host name, "
    "user name, homes and paths of files. Shows what goes "
    "and what stays, asks, and writes. The copy's raw files are those of the run but for "
    "these texts; tables, pictures and a README are made "
    "again from them, and the figures are checked to be the same."
    "\vNames come from the run, from homes in its paths, and from whoever calls this. "
    "CPU, caches, kernel of the system, compiler, flags and "
    "times of day stay: results depend on them.\nExamples:\n  normbench strip "
    "results/mine\n  normbench strip results/mine --out copy --remove acme";

struct options {
    const char *dir, *out;
    struct nb_names names;
    const char *removed[NB_NAMES];
    size_t nremoved;
    bool yes;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    if (key == KEY_OUT)
        o->out = arg;
    else if (key == KEY_YES)
        o->yes = true;
    else if (key == KEY_REMOVE && o->nremoved < NB_NAMES / 2)
        o->removed[o->nremoved++] = arg;
    else if (key == KEY_KEEP && o->names.nkept < NB_NAMES)
        o->names.kept[o->names.nkept++] = arg;
    else if (key == ARGP_KEY_ARG && o->dir == NULL)
        o->dir = arg;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "one run at a time: \"%s\" is the second", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* ---- what will be in, and what goes ---- */

static void show_words(const struct nb_names *w)
{
    for (size_t i = 0; i < w->n; i++) {
        printf("  %s \"", w->list[i].what);
        nb_plain(stdout, w->list[i].text);
        printf("\": %zu place%s\n", w->list[i].count, w->list[i].count == 1 ? "" : "s");
    }
    printf("  paths of files: %zu\n", w->paths);
}

/* Up to 160 bytes from a little before the first that differs. */
static void show_text(const char *mark, const char *text, const char *other)
{
    size_t first = 0;
    while (text[first] && text[first] == other[first])
        first++;
    first = strlen(text) > 160 && first > 60 ? first - 60 : 0;
    const size_t left = strlen(text + first);
    printf("    %s %s", mark, first > 0 ? "..." : "");
    nb_plain_padded(stdout, text + first, left < 160 ? (int)left : 160);
    fputs(left > 160 ? "...\n" : "\n", stdout);
}

static void show(const struct options *o, const struct nb_stripped *s, const char *out)
{
    fputs("in ", stdout);
    nb_plain(stdout, out);
    fputs("/ will be\n", stdout);
    for (size_t i = 0; i < NB_RAW_FILES; i++)
        printf("  %-14s %8.1f KiB (%.1f before)\n", nb_raw_file[i],
               (double)s->length[i] / 1024, (double)s->was[i] / 1024);
    fputs("  results.csv, speedup.csv, report.md, plots/, README.md: made from "
          "these\nremoved\n",
          stdout);
    if (s->host != NULL) {
        fputs("  the host's name, \"", stdout);
        nb_plain(stdout, s->host);
        fputs("\": null in host.json\n", stdout);
    }
    show_words(&o->names);
    printf("texts that change: %zu%s\n", s->changed,
           s->changed > s->nshown ? ", among them" : "");
    for (size_t i = 0; i < s->nshown; i++) {
        printf("  %s\n", s->shown[i].file);
        show_text("-", s->shown[i].before, s->shown[i].after);
        show_text("+", s->shown[i].after, s->shown[i].before);
    }
}

static enum nb_status ask(const struct options *o, struct nb_err *err)
{
    char answer[16] = "";
    if (o->yes)
        return NB_OK;
    if (!isatty(STDIN_FILENO))
        return nb_fail(err, "nothing was written: this is no terminal to answer on; look "
                            "at the above and say --yes");
    fputs("write it? [y/N] ", stdout);
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) != NULL &&
        (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0))
        return NB_OK;
    return nb_fail(err, "nothing was written");
}

/* ---- the same figures ---- */

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static bool same_estimate(const struct rep_estimate *a, const struct rep_estimate *b)
{
    return same_number(a->value, b->value) && same_number(a->lo, b->lo) &&
           same_number(a->hi, b->hi) && a->processes == b->processes;
}

static bool same_entry(const struct rep_entry *a, const struct rep_entry *b)
{
    const double x[] = {a->E_max,         a->bound,         a->ulp_max,    a->normwise,
                        a->unstable_rows, a->overflow_rows, a->prepare_ns, a->gbps},
                 y[] = {b->E_max,         b->bound,         b->ulp_max,    b->normwise,
                        b->unstable_rows, b->overflow_rows, b->prepare_ns, b->gbps};
    bool same = a->verdict == b->verdict && a->rounds == b->rounds &&
                a->counted == b->counted &&
                same_estimate(&a->ns_per_row, &b->ns_per_row) &&
                same_estimate(&a->roof_ratio, &b->roof_ratio) &&
                same_estimate(&a->scale_ratio, &b->scale_ratio);
    for (size_t i = 0; same && i < sizeof x / sizeof *x; i++)
        same = same_number(x[i], y[i]);
    for (size_t i = 0; same && i < REP_COUNTS; i++)
        same = same_number(a->counts[i], b->counts[i]);
    return same;
}

static bool same_cell(const struct rep_cell *a, const struct rep_cell *b)
{
    bool same = a->nentries == b->nentries && a->npairings == b->npairings &&
                a->doubtful == b->doubtful && a->roof == b->roof &&
                same_number(a->barrier_ns, b->barrier_ns);
    for (size_t i = 0; same && i < a->nentries; i++)
        same = same_entry(&a->entries[i], &b->entries[i]);
    for (size_t i = 0; same && i < a->npairings; i++)
        same = same_estimate(&a->pairings[i].speedup, &b->pairings[i].speedup) &&
               strcmp(a->pairings[i].verdict, b->pairings[i].verdict) == 0;
    return same;
}

static bool same_figures(const struct rep_run *a, const struct rep_run *b)
{
    bool same =
        a->ncells == b->ncells && a->nsteps == b->nsteps && a->nkernels == b->nkernels;
    for (size_t i = 0; same && i < a->ncells; i++)
        same = same_cell(&a->cells[i], &b->cells[i]);
    for (size_t i = 0; same && i < a->nsteps; i++)
        same = same_estimate(&a->steps[i].speedup, &b->steps[i].speedup);
    return same;
}

static enum nb_status check_figures(const char *before, const char *after,
                                    struct nb_err *err)
{
    static struct rep_run a, b;
    struct nb_err why = {""};
    enum nb_status s = rep_load(before, &a, err);
    if (s != NB_OK) {
        rep_free(&a);
        return s;
    }
    const bool loads = rep_load(after, &b, &why) == NB_OK;
    if (loads) {
        rep_numbers(&a);
        rep_numbers(&b);
    }
    if (!loads || !same_figures(&a, &b))
        s = nb_fail(err,
                    "without these words the figures would be others: one of them is "
                    "also a word of the results; let it stay with "
                    "--keep WORD%s%.300s",
                    loads ? "" : ". ", why.text);
    rep_free(&a);
    rep_free(&b);
    return s;
}

/* ---- the copy ---- */

static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[NB_PATH];
        nb_file_path(path, dir, e->d_name, "");
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            unlink(path) != 0)
            remove_folder(path);
    }
    if (d != NULL)
        closedir(d);
    (void)rmdir(dir);
}

/* gbench.json is the largest of what can be made again. */
static enum nb_status fill(const char *dir, const char *from, const struct nb_stripped *s,
                           struct nb_err *err)
{
    char path[NB_PATH];
    enum nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < NB_RAW_FILES; i++)
        status = nb_file_write(dir, nb_raw_file[i], s->text[i], s->length[i], err);
    if (status == NB_OK)
        status = check_figures(from, dir, err);
    if (status == NB_OK)
        status = nb_report(dir, NULL, err);
    nb_file_path(path, dir, "gbench.json", "");
    (void)unlink(path);
    if (status == NB_OK)
        status = nb_strip_readme(dir, err);
    return status;
}

static enum nb_status write_copy(const char *out, const struct options *o,
                                 const struct nb_stripped *s, struct nb_err *err)
{
    char part[NB_PATH];
    if (snprintf(part, sizeof part, "%s.part", out) >= (int)sizeof part)
        return nb_fail(err, "--out: the path is too long");
    if (mkdir(part, 0777) != 0)
        return nb_fail(err, "%.400s: %s%s", part, strerror(errno),
                       errno == EEXIST ? "; left by an earlier one: remove it" : "");
    enum nb_status status = fill(part, o->dir, s, err);
    if (status == NB_OK && rename(part, out) != 0)
        status = nb_fail(err, "%.400s: %s", out, strerror(errno));
    if (status != NB_OK)
        remove_folder(part);
    return status;
}

/* results/submitted/<cpu>-<day>, and a number where that is taken. */
static enum nb_status default_out(const struct nb_stripped *s, char out[NB_PATH],
                                  struct nb_err *err)
{
    struct nb_summary run = {.host = json_loads(s->text[0], 0, NULL)};
    char slug[80], day[11] = "unknown";
    run.cpu = nb_summary_host(&run, "cpu.model");
    const char *begun = nb_summary_host(&run, "before.time");
    nb_machine_slug(&run, slug, sizeof slug);
    if (begun != NULL && strlen(begun) >= 10 && strspn(begun, "0123456789-") >= 10)
        snprintf(day, sizeof day, "%.10s", begun);
    json_decref(run.host);
    if ((mkdir("results", 0777) != 0 && errno != EEXIST) ||
        (mkdir("results/submitted", 0777) != 0 && errno != EEXIST))
        return nb_fail(
            err, "cannot make results/submitted here: %s; choose a place with --out",
            strerror(errno));
    snprintf(out, NB_PATH, "results/submitted/%s-%s", slug, day);
    for (int i = 2; access(out, F_OK) == 0 && i < 100; i++)
        snprintf(out, NB_PATH, "results/submitted/%s-%s-%d", slug, day, i);
    return NB_OK;
}

static enum nb_status strip(struct options *o, struct nb_err *err)
{
    struct nb_stripped s = {.nshown = 0};
    char out[NB_PATH];
    if (o->dir == NULL)
        return nb_fail(err, "which run? normbench strip DIR");
    for (size_t i = 0; i < o->nremoved; i++)
        if (!nb_names_ask(&o->names, o->removed[i]))
            return nb_fail(err, "--remove %s: three letters at least, or half of all words would go; edit the copy by hand", o->removed[i]);
    nb_names_add_own(&o->names);
    enum nb_status status = nb_strip_files(o->dir, &o->names, &s, err);
    if (status != NB_OK)
        return status;
    if (o->out != NULL)
        snprintf(out, sizeof out, "%s", o->out);
    else
        status = default_out(&s, out, err);
    if (status == NB_OK && access(out, F_OK) == 0)
        status = nb_fail(err, "--out %.400s exists already; name another folder", out);
    if (status == NB_OK) {
        show(o, &s, out);
        status = ask(o, err);
    }
    if (status == NB_OK)
        status = write_copy(out, o, &s, err);
    if (status == NB_OK) {
        fputs("written: ", stdout);
        nb_plain(stdout, out);
        fputs("/README.md\n", stdout);
    }
    nb_stripped_free(&s);
    return status;
}

static enum nb_status cmd_strip(int argc, char **argv, int *code, struct nb_err *err)
{
    static struct options o;
    struct nb_c_locale locale;
    *code = 0;
    nb_option_parse(OPTIONS, parse_option, "DIR", DOC, argc, argv, &o);
    enum nb_status s = nb_c_locale_enter(&locale, err);
    if (s == NB_OK) {
        s = strip(&o, err);
        nb_c_locale_leave(&locale);
    }
    nb_names_free(&o.names);
    return s;
}

extern const struct nb_command nb_strip_command;
const struct nb_command nb_strip_command = {
    "strip",
    "  strip DIR      a copy of a run that does not say whose machine it was, ready to "
    "be shared\n",
    false, cmd_strip};
