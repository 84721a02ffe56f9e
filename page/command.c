/* command.c: `normbench report`. */
#include "cli.h"
#include "files.h"
#include "options.h"
#include "page.h"
#include "page_write.h"
#include "report.h"
#include "sysread.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_HTML = NB_OPTION_OTHERS };

static const struct argp_option OPTIONS[] = {
    {"html", KEY_HTML, "FILE", 0,
     "write one HTML page of all folders instead, to share: the verdict with a picture, "
     "tables that sort and filter, "
     "accuracy, roofs, counters, claims, noise, host. It stands alone, loads nothing, "
     "and needs no script",
     1},
    {0}};

struct report {
    const char **dirs, *html;
    size_t n;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct report *r = state->input;
    if (key == KEY_HTML)
        r->html = arg;
    else if (key == ARGP_KEY_ARG)
        r->dirs[r->n++] = arg;
    else if (key == ARGP_KEY_NO_ARGS)
        argp_usage(state);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* ---- the target ---- */

/* DIR and NAME of a path. */
static enum nb_status split(const char *path, char dir[NB_PATH], const char **name,
                            struct nb_err *err)
{
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (n >= NB_PATH)
        return nb_fail(err, "--html: the path is too long");
    snprintf(dir, NB_PATH, "%.*s", n > 0 ? (int)n : 1, n > 0 ? path : ".");
    *name = path + n;
    return **name != '\0'
               ? NB_OK
               : nb_fail(err,
                         "--html %s: names a folder; give a file, as in --html page.html",
                         path);
}

static bool is_page(const char *path)
{
    char begin[256] = "";
    FILE *f = nb_open_regular(path);
    const size_t n = f != NULL ? fread(begin, 1, sizeof begin - 1, f) : 0;
    if (f != NULL)
        fclose(f);
    return f != NULL && (n == 0 || strncmp(begin, nb_page_first_bytes,
                                           strlen(nb_page_first_bytes)) == 0);
}

/* Before anything is read: may the page be written there? Of what is there already only a
 * page is replaced. */
static enum nb_status may_write(const char *path, const char *dir, struct nb_err *err)
{
    struct stat st;
    if (access(dir, W_OK | X_OK) != 0)
        return nb_fail(err, "--html %s: cannot write in %s: %s", path, dir,
                       strerror(errno));
    if (stat(path, &st) != 0)
        return errno == ENOENT ? NB_OK
                               : nb_fail(err, "--html %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return nb_fail(
            err, "--html %s: is a folder; give the file to write, as in --html page.html",
            path);
    if (!S_ISREG(st.st_mode) || !is_page(path))
        return nb_fail(err,
                       "--html %s: exists and is no page of normbench, so it is not "
                       "replaced; name another file, or remove it",
                       path);
    return NB_OK;
}

/* ---- the page ---- */

static enum nb_status make_page(const struct report *r, struct nb_page_folders *folders,
                                const char *dir, const char *name, struct nb_err *err)
{
    char *text = NULL;
    size_t length = 0;
    enum nb_status s = NB_OK;
    for (size_t i = 0; s == NB_OK && i < r->n; i++)
        s = nb_page_folders_add(folders, r->dirs[i], err);
    if (s == NB_OK)
        s = nb_page_write(folders, &text, &length, err);
    if (s != NB_OK)
        return s;
    s = nb_file_write(dir, name, text, length, err);
    free(text);
    if (s == NB_OK)
        printf("page    %s, %.0f kB: open it in a browser, or send it\n", r->html,
               (double)length / 1e3);
    return s;
}

static enum nb_status page(const struct report *r, struct nb_err *err)
{
    struct nb_page_folders folders = {0};
    struct nb_c_locale locale;
    char dir[NB_PATH];
    const char *name = "";
    enum nb_status s = split(r->html, dir, &name, err);
    if (s == NB_OK)
        s = may_write(r->html, dir, err);
    if (s == NB_OK)
        s = nb_c_locale_enter(&locale, err);
    if (s != NB_OK)
        return s;
    s = make_page(r, &folders, dir, name, err);
    nb_page_folders_free(&folders);
    nb_c_locale_leave(&locale);
    return s;
}

static enum nb_status cmd_report(int argc, char **argv, int *code, struct nb_err *err)
{
    static const char DOC[] =
        "Makes results.csv, speedup.csv, gbench.json, report.md and plots/ again from "
        "the raw files of each run, and prints its table.\v"
        "With --html nothing in the folders is written, and DIR may also be a folder of "
        "claims, accuracy or a gate.\n"
        "FILE is replaced only where it is a page already.\n"
        "Examples:\n"
        "  normbench report results/mine\n"
        "  normbench report results/mine --html mine.html\n"
        "  normbench report results/mine results/claims-mine results/accuracy-mine "
        "--html all.html";
    struct report r = {.dirs = calloc((size_t)argc, sizeof(const char *))};
    enum nb_status s = NB_OK;
    NB_ASSERT(r.dirs != NULL && "out of memory");
    *code = EXIT_SUCCESS;
    nb_option_parse(OPTIONS, parse_option, "DIR...", DOC, argc, argv, &r);
    if (r.html != NULL)
        s = page(&r, err);
    for (size_t i = 0; r.html == NULL && s == NB_OK && i < r.n; i++)
        s = nb_report(r.dirs[i], stdout, err);
    free(r.dirs);
    return s;
}

void nb_page_register(void)
{
    static const struct nb_command report = {
        "report",
        "  report DIR...  make tables and plots again from the files of a run; --html "
        "FILE: one page to share\n",
        false, cmd_report};
    nb_cli_add(&report);
}
