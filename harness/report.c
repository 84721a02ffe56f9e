#include "report.h"
#include "files.h"
#include "report_data.h"

#include <stdlib.h>

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
    enum nb_status status = nb_file_write(dir, name, text, length, err);
    free(text);
    return status;
}

static void bars_csv(const struct rep_run *run, FILE *f)
{
    rep_bars_csv(run, run->bars, f);
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
    enum nb_status status = nb_file_write(dir, "report.md", text, length, err);
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
    if (status == NB_OK && run->bars->class_name != NULL)
        status = write_table(run, dir, "bars.csv", bars_csv, err);
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

enum nb_status nb_report(const char *dir, FILE *out, struct nb_err *err)
{
    struct rep_run run = {0};
    struct nb_c_locale locale;
    enum nb_status status = nb_c_locale_enter(&locale, err);
    if (status != NB_OK)
        return status;
    status = report(&run, dir, out, err);
    rep_free(&run);
    nb_c_locale_leave(&locale);
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

/* A kernel that is wrong weighs more than one that is slow. */
int nb_report_exit_code(const struct nb_report_counts *n)
{
    if (n->fail + n->crashed + n->timed_out + n->mistrusted + n->untested > 0)
        return 2;
    return n->below_bar > 0 ? 3 : 0;
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
    if (status == NB_OK && run.bars->same_class)
        counts->below_bar = run.bars->below;
    rep_free(&run);
    return status;
}
