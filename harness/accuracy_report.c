#include "accuracy_report.h"
#include "accuracy_report_data.h"
#include "files.h"

#include <stdlib.h>

static enum nb_status write_markdown(const struct acc *a, const struct acc_notes *notes,
                                     const char *dir, struct nb_err *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    acc_markdown(a, notes, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    enum nb_status status = nb_file_write(dir, "accuracy.md", text, length, err);
    free(text);
    return status;
}

static enum nb_status report(const struct acc *a, const char *dir, const char *run_dir,
                             bool quiet, struct nb_err *err)
{
    struct acc_times times;
    struct acc_notes notes = {.npictures = 0};
    if (a->csv.cut)
        snprintf(notes.text[ACC_NOTE_CUT], sizeof(notes.text[ACC_NOTE_CUT]),
                 "the last line of accuracy.csv is cut off and was not read");
    acc_times_load(&times, a, run_dir);
    enum nb_status status = acc_plots(a, &times, dir, &notes, err);
    if (status == NB_OK)
        status = write_markdown(a, &notes, dir, err);
    if (status == NB_OK && !quiet)
        acc_terminal(a, &notes, dir, stdout);
    acc_times_free(&times);
    return status;
}

enum nb_status nb_accuracy_report(const char *dir, const char *run_dir, bool quiet,
                                  struct nb_err *err)
{
    struct acc a;
    struct nb_c_locale locale;
    char path[NB_PATH];
    enum nb_status status = nb_c_locale_enter(&locale, err);
    if (status != NB_OK)
        return status;
    nb_file_path(path, dir, "accuracy.csv", "");
    status = acc_load(&a, path, err);
    if (status == NB_OK)
        status = report(&a, dir, run_dir, quiet, err);
    acc_free(&a);
    nb_c_locale_leave(&locale);
    return status;
}
