/* results_test.c: every run that is kept under results/ is one. $1: that folder.
 *
 * A run is valid where its raw files are read without complaint, belong together and
 * ended; where every figure that its derived files hold is the one that `report` makes
 * today from the raw ones (older ones lack columns; they have none that is not made any
 * more, and none that came out otherwise); and where nothing in it names a home. What was
 * submitted is also as `strip` leaves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csv.h"
#include "files.h"
#include "plan.h"
#include "report.h"
#include "report_data.h"
#include "scratch.h"
#include "strip_files.h"
#include "summary.h"
#include "synthetic_run.h"

#include <dirent.h>
#include <unistd.h>

static const char *results;
static size_t runs_seen;

/* What is wrong with a folder; "" where nothing is. */
struct fault {
    char text[1200];
};

static bool wrong(struct fault *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool wrong(struct fault *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    return false;
}

static bool exists(const char *dir, const char *name)
{
    char path[NB_PATH];
    nb_file_path(path, dir, name, "");
    return access(path, F_OK) == 0;
}

/* ---- one file ---- */

static bool is_text(const char *name)
{
    static const char *const ends[] = {".png", ".xz"};
    const size_t n = strlen(name);
    for (size_t i = 0; i < 2; i++)
        if (n > strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
            return false;
    return true;
}

static bool names_nobody(const char *dir, const char *name, struct fault *f)
{
    static const char *const homes[] = {"/home/", "/root/", "/Users/", "/tmp/"};
    char *text = slurp(dir, name, NULL);
    bool good = true;
    for (size_t i = 0; good && i < sizeof homes / sizeof *homes; i++)
        if (strstr(text, homes[i]) != NULL)
            good =
                wrong(f, "%s/%s holds a path of its machine, %s...", dir, name, homes[i]);
    free(text);
    return good;
}

static bool copy(const char *from, const char *to, const char *name, struct fault *f)
{
    struct nb_err err;
    size_t length;
    char *text = slurp(from, name, &length);
    if (text == NULL)
        return wrong(f, "%s has no %s", from, name);
    const bool good = nb_file_write(to, name, text, length, &err) == NB_OK;
    free(text);
    return good || wrong(f, "%s", err.text);
}

/* ---- tables ---- */

/* Line by line; each column that was kept is found today. */
static bool same_lines(struct nb_csv *kept, struct nb_csv *made, struct fault *f)
{
    struct nb_err err = {""};
    size_t column[NB_CSV_COLUMNS];
    for (size_t c = 0; c < kept->columns; c++)
        if (nb_csv_column(made, kept->head[c], &column[c], &err) != NB_OK)
            return wrong(f, "%s: the column %s is not made any more", kept->path,
                         kept->head[c]);
    for (bool more = true, also = true;;) {
        if (nb_csv_next(kept, &more, &err) != NB_OK ||
            nb_csv_next(made, &also, &err) != NB_OK)
            return wrong(f, "%s", err.text);
        if (more != also)
            return wrong(f, "%s: the raw files make %s lines", kept->path,
                         more ? "fewer" : "more");
        if (!more)
            return true;
        for (size_t c = 0; c < kept->columns; c++)
            if (strcmp(kept->cell[c], made->cell[column[c]]) != 0 &&
                strcmp(kept->head[c], "repro") != 0)
                return wrong(f, "%s:%zu: %s is %s, the raw files make %s", kept->path,
                             kept->line, kept->head[c], kept->cell[c],
                             made->cell[column[c]]);
    }
}

static bool same_table(const char *dir, const char *again, const char *name,
                       struct fault *f)
{
    char a[NB_PATH], b[NB_PATH];
    struct nb_csv kept = {0}, made = {0};
    struct nb_err err = {""};
    if (!exists(dir, name))
        return true;
    nb_file_path(a, dir, name, "");
    nb_file_path(b, again, name, "");
    bool good =
        nb_csv_open(&kept, a, &err) == NB_OK && nb_csv_open(&made, b, &err) == NB_OK;
    good = good ? !kept.cut || wrong(f, "%s: its last line is cut off", a)
                : wrong(f, "%s", err.text);
    good = good && same_lines(&kept, &made, f);
    nb_csv_close(&kept);
    nb_csv_close(&made);
    return good;
}

/* ---- one run ---- */

static bool is_whole(const char *dir, struct fault *f)
{
    struct rep_run run;
    struct nb_err err = {""};
    bool good = rep_load(dir, &run, &err) == NB_OK || wrong(f, "%s", err.text);
    const json_t *digest = good ? json_object_get(run.plan, "digest") : NULL;
    if (good && run.foreign_lines > 0)
        good = wrong(f, "%s: %zu lines about cells that plan.json does not have", dir,
                     run.foreign_lines);
    if (good && !json_is_object(json_object_get(run.host, "after")))
        good = wrong(f, "%s: the run did not end", dir);
    if (good && digest != NULL && json_integer_value(digest) != nb_plan_digest(run.plan))
        good = wrong(f, "%s/plan.json was edited: its digest is of another", dir);
    rep_free(&run);
    return good;
}

static bool is_valid_run(const char *dir, struct fault *f)
{
    static const char *const tables[] = {"results.csv", "speedup.csv", "bars.csv"};
    struct nb_err err = {""};
    struct nb_summary summary;
    const char *again = new_folder();
    bool good = is_whole(dir, f);
    for (size_t i = 0; good && i < NB_RAW_FILES; i++)
        good = copy(dir, again, nb_raw_file[i], f);
    if (good && nb_report(again, NULL, &err) != NB_OK)
        good = wrong(f, "%s", err.text);
    if (good && nb_summary_load(&summary, again, &err) != NB_OK)
        good = wrong(f, "%s: %s", dir, err.text);
    else if (good)
        nb_summary_free(&summary);
    for (size_t i = 0; good && i < sizeof tables / sizeof *tables; i++)
        good = same_table(dir, again, tables[i], f);
    return good;
}

static bool is_of_this_schema(const char *dir, const char *name, struct fault *f)
{
    char path[NB_PATH];
    json_error_t where;
    nb_file_path(path, dir, name, "");
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    const bool good = json_integer_value(json_object_get(json, "schema")) == 1 ||
                      wrong(f, "%s: not of schema 1 %s", path, json ? "" : where.text);
    json_decref(json);
    return good;
}

/* As strip leaves it, and with what it makes. */
static bool is_stripped(const char *dir, struct fault *f)
{
    static const char *const needed[] = {"README.md", "report.md", "results.csv",
                                         "speedup.csv"};
    struct nb_names names = {.n = 0};
    struct nb_stripped s;
    struct nb_err err = {""};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!exists(dir, needed[i]))
            return wrong(f, "%s has no %s: normbench strip makes it", dir, needed[i]);
    if (nb_strip_files(dir, &names, &s, &err) != NB_OK)
        return wrong(f, "%s", err.text);
    const bool good = s.host == NULL && s.changed == 0;
    if (!good)
        wrong(f,
              "%s says whose machine it was: %s; share what normbench strip makes of it",
              dir, s.host ? s.host : s.shown[0].before);
    nb_stripped_free(&s);
    nb_names_free(&names);
    return good;
}

/* ---- all of them ---- */

static bool visit(const char *dir, struct fault *f)
{
    DIR *d = opendir(dir);
    bool good = d != NULL || wrong(f, "%s cannot be read", dir);
    for (const struct dirent *e; good && (e = readdir(d)) != NULL;) {
        char path[NB_PATH];
        struct stat st;
        nb_file_path(path, dir, e->d_name, "");
        if (e->d_name[0] == '.' || stat(path, &st) != 0)
            continue;
        good = S_ISDIR(st.st_mode)
                   ? visit(path, f)
                   : !is_text(e->d_name) || names_nobody(dir, e->d_name, f);
    }
    if (d != NULL)
        closedir(d);
    if (good && exists(dir, "claims.json"))
        good = is_of_this_schema(dir, "claims.json", f);
    if (good && exists(dir, "plan.json")) {
        runs_seen++;
        good = is_valid_run(dir, f) &&
               (strstr(dir, "/submitted/") == NULL || is_stripped(dir, f));
    }
    return good;
}

/* Folders that git does not know are somebody's own; without git all are kept. */
static bool is_kept(const char *name)
{
    char command[2 * NB_PATH];
    snprintf(command, sizeof command,
             "cd '%s' && { ! git rev-parse --git-dir >/dev/null 2>&1 || test -n \"$(git "
             "ls-files -- '%s' | head -1)\"; }",
             results, name);
    return system(command) == 0;
}

static bool is_known_kind(const char *dir)
{
    static const char *const marks[] = {"plan.json", "claims.json", "blocks.csv.xz"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (exists(dir, marks[i]))
            return true;
    return strcmp(strrchr(dir, '/'), "/submitted") == 0;
}

static void every_kept_run_is_valid(void **state)
{
    (void)state;
    DIR *d = opendir(results);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        struct fault f = {""};
        char path[NB_PATH];
        nb_file_path(path, results, e->d_name, "");
        if (e->d_name[0] == '.' || strcmp(e->d_name, "README.md") == 0 ||
            !is_kept(e->d_name))
            continue;
        if (!is_known_kind(path))
            fail_msg("%s is neither a run, nor claims, nor a self-test of the gate",
                     path);
        if (!visit(path, &f))
            fail_msg("%s", f.text);
        print_message("%s is valid\n", e->d_name);
    }
    closedir(d);
    assert_true(runs_seen >= 1);
}

/* ---- faults are found ---- */

static const size_t hiddens[] = {768, 0}, one[] = {1, 0};

static const char *whole(void)
{
    struct nb_err err = {""};
    const char *dir = new_folder();
    const struct synthetic_run run = {.residencies = "L2",
                                      .dtypes = "f32",
                                      .hiddens = hiddens,
                                      .threads = one,
                                      .processes = 6,
                                      .screening = 1,
                                      .rounds = 2,
                                      .noise = 0.02};
    synthetic_write(dir, &run);
    char *host = slurp(dir, "host.json", NULL);
    strcpy(strrchr(host, '}'), ",\"after\":{\"time\":\"x\"}}");
    synthetic_replace(dir, "host.json", host);
    free(host);
    if (nb_report(dir, NULL, &err) != NB_OK)
        fail_msg("%s", err.text);
    return dir;
}

/* A change of one text in a file must be found, and named so. */
static void found(const char *name, const char *from, const char *to, const char *says)
{
    struct fault f = {""};
    const char *dir = whole();
    char *text = slurp(dir, name, NULL), *at = from ? strstr(text, from) : NULL;
    assert_true(from == NULL || at != NULL);
    char *changed = malloc(strlen(text) + strlen(to) + 1);
    sprintf(changed, "%.*s%s%s", at ? (int)(at - text) : 0, text, to,
            at ? at + strlen(from) : "");
    synthetic_replace(dir, name, changed);
    if (visit(dir, &f))
        fail_msg("%s: \"%s\" for \"%s\" was not found", name, to, from ? from : "all");
    if (strstr(f.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", f.text, says);
    free(text);
    free(changed);
}

static void faults_are_found(void **state)
{
    (void)state;
    struct fault f = {""};
    if (!visit(whole(), &f))
        fail_msg("%s", f.text);
    found("results.csv", ",PASS,0,", ",PASS,1,",
          "unstable_rows is 1, the raw files make 0");
    found("speedup.csv", "same-algorithm", "best-of-each", "pairing is");
    found("speedup.csv", "schema,", "schema,other,", "is not made any more");
    found("samples.jsonl", "\"ns\":[", "\"ns\":[-", "samples.jsonl:");
}

static void more_faults_are_found(void **state)
{
    (void)state;
    found("host.json", "\"schema\": 1", "\"schema\": 2", "use a newer normbench");
    found("host.json", "\"after\":{", "\"later\":{", "did not end");
    found("host.json", "gcc 12.2.0", "gcc of /home/jdoe", "holds a path of its machine");
    found("plan.json", "\"seed\": 1", "\"digest\": 5", "was edited");
    found("checks.jsonl", "fwd-none", "bwd-none", "cells that plan.json does not have");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_found),
        cmocka_unit_test(more_faults_are_found),
        cmocka_unit_test(every_kept_run_is_valid),
    };
    if (argc != 2)
        return 1;
    results = argv[1];
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
