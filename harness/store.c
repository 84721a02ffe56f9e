#include "store.h"
#include "sysread.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static enum nb_status open_files(struct nb_store *s, int flags, struct nb_err *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/checks.jsonl", s->dir);
    s->checks = open(path, O_RDWR | O_APPEND | O_CLOEXEC | flags, 0666);
    if (s->checks >= 0) {
        snprintf(path, sizeof path, "%s/samples.jsonl", s->dir);
        s->samples = open(path, O_RDWR | O_APPEND | O_CLOEXEC | flags, 0666);
    }
    if (s->checks >= 0 && s->samples >= 0)
        return NB_OK;
    if (errno == ENOENT)
        return nb_fail(err, "%s is no run that can be resumed: %s: %s", s->dir, path,
                       strerror(errno));
    return nb_fail(err, "cannot write %s: %s", path, strerror(errno));
}

/* One writer a run: the lock lasts as long as samples.jsonl is open here. A file system without locks
 * is no reason not to measure. */
static enum nb_status lock(const struct nb_store *s, struct nb_err *err)
{
    if (flock(s->samples, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return nb_fail(err, "%s is being written by another normbench; wait until it has ended",
                       s->dir);
    return NB_OK;
}

/* Host names come from outside: only what is harmless in a path is kept. */
static void default_dir(struct nb_store *s, const char *host, const char *id)
{
    char clean[64];
    size_t n = 0;
    for (; *host != '\0' && n + 1 < sizeof clean; host++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *host))
            clean[n++] = *host;
    clean[n] = '\0';
    const time_t now = time(NULL);
    struct tm utc;
    char stamp[32];
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(s->dir, sizeof(s->dir), "results/%s-%s-%.8s", stamp, n ? clean : "host", id);
}

enum nb_status nb_store_create(struct nb_store *s, const char *dir, const char *host, const char *id,
                               struct nb_err *err)
{
    *s = (struct nb_store){.checks = -1, .samples = -1};
    if (dir == NULL) {
        if (mkdir("results", 0777) != 0 && errno != EEXIST)
            return nb_fail(err, "cannot make results/ here: %s; choose a folder with --out",
                           strerror(errno));
        default_dir(s, host, id);
    } else {
        snprintf(s->dir, sizeof(s->dir), "%s", dir);
    }
    if (mkdir(s->dir, 0777) != 0 && errno == EEXIST)
        return nb_fail(err, "--out %s exists already; name a new folder, or continue that run with "
                            "--resume %s", s->dir, s->dir);
    if (access(s->dir, W_OK) != 0)
        return nb_fail(err, "cannot make the folder %s: %s", s->dir, strerror(errno));
    enum nb_status status = open_files(s, O_CREAT | O_EXCL, err);
    return status == NB_OK ? lock(s, err) : status;
}

/* Length of the file up to and with its last newline. */
static enum nb_status cut_last_line(int fd, const char *name, struct nb_err *err)
{
    struct stat st;
    char c = '\n';
    if (fstat(fd, &st) != 0)
        return nb_fail(err, "%s: %s", name, strerror(errno));
    off_t end = st.st_size;
    while (end > 0 && pread(fd, &c, 1, end - 1) == 1 && c != '\n')
        end--;
    if (end != st.st_size && ftruncate(fd, end) != 0)
        return nb_fail(err, "%s: %s", name, strerror(errno));
    return NB_OK;
}

enum nb_status nb_store_reopen(struct nb_store *s, const char *dir, struct nb_err *err)
{
    *s = (struct nb_store){.checks = -1, .samples = -1};
    snprintf(s->dir, sizeof(s->dir), "%s", dir);
    enum nb_status status = open_files(s, 0, err);
    return status == NB_OK ? lock(s, err) : status;
}

enum nb_status nb_store_cut(const struct nb_store *s, struct nb_err *err)
{
    enum nb_status status = cut_last_line(s->checks, "checks.jsonl", err);
    return status == NB_OK ? cut_last_line(s->samples, "samples.jsonl", err) : status;
}

void nb_store_close(struct nb_store *s)
{
    if (s->checks >= 0)
        close(s->checks);
    if (s->samples >= 0)
        close(s->samples);
    s->checks = s->samples = -1;
}

static enum nb_status write_all(int fd, const char *text, size_t len, const char *what,
                                struct nb_err *err)
{
    while (len > 0) {
        const ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return nb_fail(err, "cannot write %s: %s", what, strerror(n < 0 ? errno : ENOSPC));
        text += n;
        len -= (size_t)n;
    }
    return NB_OK;
}

enum nb_status nb_store_line(const struct nb_store *s, int fd, const json_t *line,
                             struct nb_err *err)
{
    char *text = json_dumps(line, JSON_COMPACT);
    NB_ASSERT(text != NULL);
    const size_t len = strlen(text);
    text[len] = '\n'; /* in place of the terminator: one write a line */
    enum nb_status status = write_all(fd, text, len + 1, s->dir, err);
    free(text);
    return status;
}

enum nb_status nb_store_json(const struct nb_store *s, const char *name, const json_t *json,
                             struct nb_err *err)
{
    char path[4200], beside[4300];
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    snprintf(beside, sizeof beside, "%s.new", path);
    char *text = json_dumps(json, JSON_INDENT(1));
    NB_ASSERT(text != NULL);
    const int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    enum nb_status status = fd < 0 ? nb_fail(err, "cannot write %s: %s", beside, strerror(errno))
                                   : write_all(fd, text, strlen(text), path, err);
    free(text);
    if (fd >= 0 && close(fd) != 0 && status == NB_OK)
        status = nb_fail(err, "cannot write %s: %s", beside, strerror(errno));
    if (status == NB_OK && rename(beside, path) != 0)
        status = nb_fail(err, "cannot write %s: %s", path, strerror(errno));
    if (status != NB_OK)
        unlink(beside);
    return status;
}

enum nb_status nb_store_each(const char *dir, const char *name,
                             void (*take)(void *context, const json_t *line), void *context,
                             struct nb_err *err)
{
    char path[4200], *line = NULL;
    size_t room = 0;
    enum nb_status status = NB_OK;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = nb_open_regular(path);
    if (f == NULL)
        return nb_fail(err, "cannot read %s: %s", path, strerror(errno));
    for (unsigned long number = 1; status == NB_OK; number++) {
        json_error_t e;
        const ssize_t len = getline(&line, &room, f);
        if (len <= 0 || line[len - 1] != '\n')
            break;
        json_t *json = json_loads(line, 0, &e);
        if (json == NULL)
            status = nb_fail(err, "%s:%lu: %s", path, number, e.text);
        else
            take(context, json);
        json_decref(json);
    }
    free(line);
    fclose(f);
    return status;
}
