#include "report.h"
#include "report_data.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum nb_status write_all(const char *path, const char *text, size_t length,
                                struct nb_err *err)
{
    FILE *f = fopen(path, "w");
    if (f == NULL)
        return nb_fail(err, "%s: %s", path, strerror(errno));
    bool short_write = fwrite(text, 1, length, f) != length;
    if (fclose(f) != 0 || short_write) {
        enum nb_status status = nb_fail(err, "%s: %s", path, strerror(errno));
        (void)unlink(path);
        return status;
    }
    return NB_OK;
}

enum nb_status rep_write(const char *dir, const char *name, const char *text,
                         size_t length, struct nb_err *err)
{
    char path[4096], part[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path) ||
        (size_t)snprintf(part, sizeof(part), "%s/.%s.part", dir, name) >= sizeof(part))
        return nb_fail(err, "%s: the path is too long", name);
    enum nb_status status = write_all(part, text, length, err);
    if (status == NB_OK && rename(part, path) != 0)
        status = nb_fail(err, "%s: %s", path, strerror(errno));
    return status;
}

/* Runs a writer into memory and puts the result in place. */
static enum nb_status write_table(const struct rep_run *run, const char *dir,
                                  const char *name,
                                  void (*table)(const struct rep_run *, FILE *),
                                  struct nb_err *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    table(run, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    enum nb_status status = rep_write(dir, name, text, length, err);
    free(text);
    return status;
}

static enum nb_status write_report(struct rep_run *run, const char *dir,
                                   const struct rep_keys *pictures, struct nb_err *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    rep_report_md(run, pictures, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    enum nb_status status = rep_write(dir, "report.md", text, length, err);
    free(text);
    return status;
}

static enum nb_status report(struct rep_run *run, const char *dir, FILE *out,
                             struct nb_err *err)
{
    struct rep_keys pictures = {.n = 0};
    char note[256] = "";
    enum nb_status status = rep_load(dir, run, err);
    if (status != NB_OK)
        return status;
    rep_numbers(run);
    status = write_table(run, dir, "results.csv", rep_results_csv, err);
    if (status == NB_OK)
        status = write_table(run, dir, "speedup.csv", rep_speedup_csv, err);
    if (status == NB_OK)
        status = write_table(run, dir, "gbench.json", rep_gbench_json, err);
    if (status == NB_OK)
        status = rep_plots(run, dir, &pictures, note, err);
    if (status == NB_OK)
        status = write_report(run, dir, &pictures, err);
    if (status == NB_OK && out != NULL) {
        rep_terminal(run, dir, &pictures, out);
        if (note[0] != 0)
            fprintf(out, "note    %s\n", note);
    }
    return status;
}

/* Numbers are written with a point, whatever the user's language. */
enum nb_status nb_report(const char *dir, FILE *out, struct nb_err *err)
{
    struct rep_run run = {0};
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return nb_fail(err, "the C locale cannot be set: %s", strerror(errno));
    locale_t before = uselocale(c);
    enum nb_status status = report(&run, dir, out, err);
    rep_free(&run);
    uselocale(before);
    freelocale(c);
    return status;
}

static void count_one(struct nb_report_counts *n, enum rep_verdict v)
{
    switch (v) {
    case REP_UNTESTED:
        n->untested++;
        break;
    case REP_PASS:
        n->pass++;
        break;
    case REP_CRASHED:
        n->crashed++;
        break;
    case REP_TIMED_OUT:
        n->timed_out++;
        break;
    case REP_MISTRUSTED:
        n->mistrusted++;
        break;
    case REP_SKIP_ISA:
    case REP_SKIP_SHAPE:
    case REP_SKIP_OPTION:
        n->skipped++;
        break;
    default:
        n->fail++;
    }
}

enum nb_status nb_report_counts(const char *dir, struct nb_report_counts *counts,
                                struct nb_err *err)
{
    struct rep_run run = {0};
    *counts = (struct nb_report_counts){0};
    enum nb_status status = rep_load(dir, &run, err);
    if (status == NB_OK)
        rep_numbers(&run); /* may find that a time cannot be true */
    for (size_t i = 0; status == NB_OK && i < run.ncells; i++)
        for (size_t e = 0; e < run.cells[i].nentries; e++)
            count_one(counts, run.cells[i].entries[e].verdict);
    for (size_t i = 0; status == NB_OK && i < run.nstrays; i++)
        for (size_t e = 0; e < run.strays[i].nentries; e++)
            if (rep_is_bad(run.strays[i].entries[e].verdict))
                count_one(counts, run.strays[i].entries[e].verdict);
    rep_free(&run);
    return status;
}
