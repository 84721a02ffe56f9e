#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new file: what has its name, a link of somebody else's folder perhaps, is not followed. */
static FILE *make_new(const char *path)
{
    (void)unlink(path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && f == NULL)
        (void)close(fd);
    return f;
}

static enum nb_status write_all(const char *path, const char *text, size_t length,
                                struct nb_err *err)
{
    FILE *f = make_new(path);
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

enum nb_status nb_file_write(const char *dir, const char *name, const char *text,
                             size_t length, struct nb_err *err)
{
    char path[NB_PATH], part[NB_PATH];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path) ||
        (size_t)snprintf(part, sizeof(part), "%s/.%s.part", dir, name) >= sizeof(part))
        return nb_fail(err, "%s: the path is too long", name);
    enum nb_status status = write_all(part, text, length, err);
    if (status == NB_OK && rename(part, path) != 0) {
        status = nb_fail(err, "%s: %s", path, strerror(errno));
        (void)unlink(part);
    }
    return status;
}

enum nb_status nb_file_folder(const char *path, struct nb_err *err)
{
    struct stat st;
    if (mkdir(path, 0777) == 0)
        return NB_OK;
    if (errno != EEXIST)
        return nb_fail(err, "%s: %s", path, strerror(errno));
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode)
               ? NB_OK
               : nb_fail(err, "%s is no folder of its own; nothing is written through a link", path);
}

void nb_file_path(char path[NB_PATH], const char *dir, const char *name, const char *end)
{
    if (snprintf(path, NB_PATH, "%s/%s%s", dir, name, end) >= NB_PATH)
        path[0] = 0;
}

enum nb_status nb_c_locale_enter(struct nb_c_locale *l, struct nb_err *err)
{
    l->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (l->c == (locale_t)0)
        return nb_fail(err, "the C locale cannot be set: %s", strerror(errno));
    l->before = uselocale(l->c);
    return NB_OK;
}

void nb_c_locale_leave(struct nb_c_locale *l)
{
    uselocale(l->before);
    freelocale(l->c);
}
