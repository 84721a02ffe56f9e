#include "gnuplot.h"
#include "datadir.h"
#include "files.h"
#include "markup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_S = 60, TEXT_BYTES = 120 };

void nb_picture_open(struct nb_picture *p, const char *name, const char *script)
{
    *p = (struct nb_picture){.name = name, .script = script};
    p->gp = open_memstream(&p->gp_text, &p->gp_length);
    p->dat = open_memstream(&p->dat_text, &p->dat_length);
    NB_ASSERT(p->gp != NULL && p->dat != NULL && "out of memory");
}

static void picture_close(struct nb_picture *p)
{
    if (p->gp != NULL)
        NB_ASSERT(fclose(p->gp) == 0 && fclose(p->dat) == 0 && "out of memory");
    p->gp = p->dat = NULL;
}

void nb_picture_free(struct nb_picture *p)
{
    picture_close(p);
    free(p->gp_text);
    free(p->dat_text);
}

/* ---- definitions ---- */

/* Cut at a whole character. An apostrophe is written as U+2019: doubled, as gnuplot asks
 * for, it is no part of the text where it comes first (gnuplot 5.4). */
void nb_gp_quote(FILE *f, const char *s)
{
    char c[4];
    size_t written = 0;
    fputc('\'', f);
    while (*s && written < TEXT_BYTES) {
        size_t n = nb_next_char(&s, c);
        written += n;
        if (c[0] == '\'')
            fputs("\xE2\x80\x99", f);
        else
            fwrite(c, 1, n, f);
    }
    fputs(*s ? "...'" : "'", f);
}

void nb_gp_text(struct nb_picture *p, const char *key, const char *value)
{
    fprintf(p->gp, "%s = ", key);
    nb_gp_quote(p->gp, value);
    fputc('\n', p->gp);
}

void nb_gp_texts(struct nb_picture *p, const char *key, const char *const *v, size_t n)
{
    fprintf(p->gp, "array %s[%zu] = [", key, n);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", " : "", p->gp);
        nb_gp_quote(p->gp, v[i]);
    }
    fputs("]\n", p->gp);
}

void nb_gp_ints(struct nb_picture *p, const char *key, const int *v, size_t n)
{
    fprintf(p->gp, "array %s[%zu] = [", key, n);
    for (size_t i = 0; i < n; i++)
        fprintf(p->gp, "%s%d", i ? ", " : "", v[i]);
    fputs("]\n", p->gp);
}

/* ---- drawing ---- */

static const char *plots_source(void)
{
    static char path[NB_PATH];
    return nb_data_dir("NB_PLOTS_DIR", "plots", NB_PLOTS_DIR, path, sizeof(path));
}

/* Appends a fixed part to the script; false when it cannot be read. */
static bool append_script(FILE *gp, const char *name)
{
    char path[NB_PATH], buffer[4096];
    size_t n;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", plots_source(), name) >=
        sizeof(path))
        return false;
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    fputc('\n', gp);
    while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
        fwrite(buffer, 1, n, gp);
    bool whole = ferror(f) == 0;
    fclose(f);
    return whole;
}

static void become_gnuplot(const char *dir, const char *script)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || chdir(dir) != 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(null, 2) < 0)
        _exit(126);
    execlp("gnuplot", "gnuplot", "-d", script, (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Waits for the child, at most until the deadline; then kills it. False: it was killed.
 */
static bool wait_for(pid_t child, int *status)
{
    struct timespec pause = {0, 5000000}, now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        pid_t done = waitpid(child, status, WNOHANG);
        if (done == child)
            return true;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((done < 0 && errno != EINTR) || now.tv_sec - start.tv_sec >= TIMEOUT_S)
            break;
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, status, 0);
    return false;
}

/* NULL: drawn; otherwise why not. */
static const char *run_gnuplot(const char *dir, const char *script)
{
    int status = 0;
    pid_t child = fork();
    if (child < 0)
        return "gnuplot could not be started";
    if (child == 0)
        become_gnuplot(dir, script);
    if (!wait_for(child, &status))
        return "gnuplot took more than 60 s and was stopped";
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return "gnuplot is not installed (apt-get install gnuplot-nox fonts-dejavu-core)";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return "gnuplot failed; in the plots folder, `gnuplot NAME.gp` shows why";
    return NULL;
}

static bool same_bytes(const char *path, const char *text, size_t length)
{
    FILE *f = fopen(path, "r");
    bool same = f != NULL;
    for (size_t i = 0; same && i < length; i++)
        same = fgetc(f) == (unsigned char)text[i];
    same = same && fgetc(f) == EOF;
    if (f != NULL)
        fclose(f);
    return same;
}

static const char *const ends[] = {".gp", ".dat", ".svg", ".png"};

void nb_picture_remove(const char *dir, const char *name)
{
    char path[NB_PATH];
    for (size_t i = 0; i < 4; i++) {
        nb_file_path(path, dir, name, ends[i]);
        (void)unlink(path);
    }
}

/* The files of a picture are made in a folder of their own and moved from there, so that
 * nobody sees half a picture. Where gnuplot did not draw, an older picture stays only if
 * it shows the same data. */
static void install_files(const struct nb_picture *p, const char *from, const char *to,
                          bool drawn)
{
    char source[NB_PATH], target[NB_PATH];
    nb_file_path(target, to, p->name, ".gp");
    bool same = same_bytes(target, p->gp_text, p->gp_length);
    nb_file_path(target, to, p->name, ".dat");
    same = same && same_bytes(target, p->dat_text, p->dat_length);
    if (!drawn && !same)
        nb_picture_remove(to, p->name);
    for (size_t i = 0; i < (drawn ? 4u : 2u); i++) {
        nb_file_path(source, from, p->name, ends[i]);
        nb_file_path(target, to, p->name, ends[i]);
        (void)rename(source, target);
    }
}

enum nb_status nb_picture_draw(struct nb_picture *p, const char *plots, char note[256],
                               struct nb_err *err)
{
    char part[NB_PATH], name[64], dat[64];
    const char *wrong = NULL;
    snprintf(name, sizeof(name), ".%s.part", p->name);
    nb_file_path(part, plots, name, "");
    if (nb_file_folder(part, err) != NB_OK)
        return NB_ERROR;
    if (!append_script(p->gp, "style.gp") || !append_script(p->gp, p->script))
        wrong = "the plot scripts are missing; set NB_PLOTS_DIR to the plots folder of "
                "normbench";
    picture_close(p);
    snprintf(name, sizeof(name), "%s.gp", p->name);
    snprintf(dat, sizeof(dat), "%s.dat", p->name);
    enum nb_status status = nb_file_write(part, name, p->gp_text, p->gp_length, err);
    if (status == NB_OK)
        status = nb_file_write(part, dat, p->dat_text, p->dat_length, err);
    if (status == NB_OK && wrong == NULL)
        wrong = run_gnuplot(part, name);
    if (status == NB_OK)
        install_files(p, part, plots, wrong == NULL);
    if (wrong != NULL)
        snprintf(note, 256, "no pictures: %s", wrong);
    nb_picture_remove(part, p->name);
    (void)rmdir(part);
    return status;
}

enum nb_status nb_plots_folder(char plots[4096], const char *dir, struct nb_err *err)
{
    nb_file_path(plots, dir, "plots", "");
    return nb_file_folder(plots, err);
}
