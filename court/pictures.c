#include "pictures.h"

#include "datadir.h"
#include "files.h"
#include "gnuplot.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

static bool has_script(const char *script)
{
    char dir[4096], path[NB_PATH];
    nb_file_path(path, nb_data_dir("NB_PLOTS_DIR", "plots", NB_PLOTS_DIR, dir, sizeof dir), script, "");
    return access(path, R_OK) == 0;
}

static bool read_data(const char *path, FILE *to)
{
    char buffer[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0)
        fwrite(buffer, 1, n, to);
    fclose(f);
    return true;
}

/* Beside its data, which is written again with the same bytes. */
static enum nb_status draw(const char *dir, const char *title, const char *name, size_t *count, char note[256], struct nb_err *err)
{
    char from[NB_PATH], script[300], failed[256] = "";
    struct nb_picture p;
    enum nb_status s = NB_OK;
    snprintf(script, sizeof script, "%s.gp", name);
    nb_file_path(from, dir, name, ".dat");
    if (!has_script(script))
        return NB_OK;
    nb_picture_open(&p, name, script);
    nb_gp_text(&p, "NAME", name);
    nb_gp_text(&p, "TITLE", title);
    if (read_data(from, p.dat)) {
        s = nb_picture_draw(&p, dir, failed, err);
        ++*count;
    }
    if (failed[0] != '\0')
        snprintf(note, 256, "%.60s: %.180s", name, failed);
    nb_picture_free(&p);
    return s;
}

static int is_data(const struct dirent *e)
{
    const size_t n = strlen(e->d_name), end = strlen(".dat");
    return n > end && e->d_name[0] != '.' && strcmp(e->d_name + n - end, ".dat") == 0;
}

static enum nb_status draw_run(const struct nb_hearing *h, const struct nb_run_of *r, size_t *count, char note[256], struct nb_err *err)
{
    char dir[NB_PATH], stem[256];
    struct dirent **files;
    enum nb_status s = NB_OK;
    nb_file_path(dir, h->dir, r->dir, "");
    const int n = scandir(dir, &files, is_data, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(stem, sizeof stem, "%.*s", (int)(strlen(files[i]->d_name) - strlen(".dat")), files[i]->d_name);
        if (s == NB_OK && strlen(stem) < 50)
            s = draw(dir, r->experiment->says, stem, count, note, err);
        free(files[i]);
    }
    if (n >= 0)
        free(files);
    return s;
}

enum nb_status nb_hearing_pictures(const struct nb_hearing *h, size_t *count, char note[256], struct nb_err *err)
{
    enum nb_status s = NB_OK;
    *count = 0;
    note[0] = '\0';
    for (size_t i = 0; s == NB_OK && h->dir != NULL && i < h->run_count; i++)
        if (h->runs[i].done && h->runs[i].dir[0] != '\0')
            s = draw_run(h, &h->runs[i], count, note, err);
    return s;
}
