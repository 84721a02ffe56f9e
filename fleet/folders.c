#include "folders.h"
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has(const char *dir, const char *name)
{
    char path[NB_PATH];
    nb_file_path(path, dir, name, "");
    return access(path, F_OK) == 0;
}

static void append(struct nb_folders *f, const char *dir)
{
    if (f->n == f->room) {
        f->room = f->room ? 2 * f->room : 64;
        f->v = realloc(f->v, f->room * sizeof *f->v);
        NB_ASSERT(f->v != NULL && "out of memory");
    }
    f->v[f->n] = strdup(dir);
    NB_ASSERT(f->v[f->n++] != NULL && "out of memory");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_shown(const struct dirent *e)
{
    return e->d_name[0] != '.' && e->d_type != DT_REG;
}

/* Where a file system does not say what an entry is, it is asked for each. */
static bool is_folder(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum nb_status walk(struct nb_folders *f, const char *dir, int depth,
                           struct nb_err *err)
{
    struct dirent **list;
    char path[NB_PATH];
    enum nb_status status = NB_OK;
    if (has(dir, "plan.json")) {
        append(f, dir);
        return NB_OK;
    }
    if (depth == 0 || has(dir, "claims.json") || has(dir, "gate.json"))
        return NB_OK;
    int n = scandir(dir, &list, is_shown, by_name);
    if (n < 0)
        return nb_fail(err, "%.400s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        nb_file_path(path, dir, list[i]->d_name, "");
        if (status == NB_OK && is_folder(path))
            status = walk(f, path, depth - 1, err);
        free(list[i]);
    }
    free(list);
    return status;
}

enum nb_status nb_folders_add(struct nb_folders *f, const char *path, struct nb_err *err)
{
    struct stat st;
    const size_t before = f->n;
    if (stat(path, &st) != 0)
        return nb_fail(err, "%.400s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return nb_fail(err, "%.400s is a file; a run is a folder, such as results/RUN",
                       path);
    enum nb_status status = walk(f, path, NB_FOLDERS_DEPTH, err);
    if (status == NB_OK && f->n == before)
        return nb_fail(
            err,
            "%.400s is no run folder (it has no plan.json), and there is none in "
            "it, %d levels down",
            path, NB_FOLDERS_DEPTH);
    return status;
}

void nb_folders_free(struct nb_folders *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i]);
    free(f->v);
    *f = (struct nb_folders){0};
}
