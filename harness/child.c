#define _GNU_SOURCE /* pipe2, memfd_create */
#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t running;

static void pass_on(int number)
{
    if (running > 0)
        kill((pid_t)running, number);
}

/* Its beginning is kept, the rest read, so that it never waits for us. */
static void read_all(int fd, char *text, size_t len)
{
    char rest[4096];
    size_t have = 0;
    for (;;) {
        const bool room = have + 1 < len;
        const ssize_t n = read(fd, room ? text + have : rest, room ? len - 1 - have : sizeof rest);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += room ? (size_t)n : 0;
    }
    text[have] = '\0';
}

static int start(char *const *argv, int out, int err_fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    NB_ASSERT(posix_spawn_file_actions_init(&actions) == 0);
    NB_ASSERT(posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) == 0);
    if (err_fd >= 0)
        NB_ASSERT(posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO) == 0);
    const int wrong = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return wrong;
}

/* Signals to us go on to the child, from the one to the other. */
static void begin_passing(pid_t pid, struct sigaction before[2])
{
    struct sigaction passing = {.sa_handler = pass_on};
    running = pid;
    sigaction(SIGINT, &passing, &before[0]);
    sigaction(SIGTERM, &passing, &before[1]);
}

static void wait_passing(pid_t pid, int *status, const struct sigaction before[2])
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    running = 0;
    sigaction(SIGINT, &before[0], NULL);
    sigaction(SIGTERM, &before[1], NULL);
}

enum nb_status nb_child_run(char *const *argv, char *text, size_t len, int *status, struct nb_err *err)
{
    int ends[2] = {-1, -1};
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct sigaction before[2];
    pid_t pid;
    if (nothing < 0 || (text != NULL && pipe2(ends, O_CLOEXEC) != 0))
        return nb_fail(err, "cannot start %.400s: %s", argv[0], strerror(errno));
    const int wrong = start(argv, text != NULL ? ends[1] : nothing, text != NULL ? nothing : -1, &pid);
    close(nothing);
    if (text != NULL)
        close(ends[1]);
    if (wrong == 0) {
        begin_passing(pid, before);
        if (text != NULL)
            read_all(ends[0], text, len);
        wait_passing(pid, status, before);
    }
    if (text != NULL)
        close(ends[0]);
    return wrong == 0 ? NB_OK : nb_fail(err, "cannot start %.400s: %s", argv[0], strerror(wrong));
}

/* All of a file, ended by a zero. */
static char *take_all(int fd)
{
    struct stat s;
    const size_t size = fd >= 0 && fstat(fd, &s) == 0 ? (size_t)s.st_size : 0;
    char *text = malloc(size + 1);
    ssize_t n = 0;
    size_t have = 0;
    NB_ASSERT(text != NULL && "out of memory");
    while (have < size && (n = pread(fd, text + have, size - have, (off_t)have)) > 0)
        have += (size_t)n;
    text[have] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

/* It writes to memory: neither text can fill a pipe while we read the other. */
enum nb_status nb_child_listen(char *const *argv, struct nb_child_said *said, struct nb_err *err)
{
    const int out = memfd_create("stdout", MFD_CLOEXEC), errors = memfd_create("stderr", MFD_CLOEXEC);
    struct sigaction before[2];
    pid_t pid;
    const int wrong = out < 0 || errors < 0 ? errno : start(argv, out, errors, &pid);
    if (wrong == 0) {
        begin_passing(pid, before);
        wait_passing(pid, &said->status, before);
    }
    said->out = take_all(out);
    said->err = take_all(errors);
    return wrong == 0 ? NB_OK : nb_fail(err, "cannot start %.400s: %s", argv[0], strerror(wrong));
}

void nb_child_said_free(struct nb_child_said *said)
{
    free(said->out);
    free(said->err);
    *said = (struct nb_child_said){0};
}

void nb_child_clear(pid_t pid)
{
    char name[64];
    snprintf(name, sizeof name, "/__KMP_REGISTERED_LIB_%d_%d", (int)pid, (int)getuid());
    shm_unlink(name);
}

int nb_child_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    nb_child_clear(pid);
    return status;
}

/* A % would mean something in valgrind's names of files. */
enum nb_status nb_temp_folder(char dir[NB_PATH], struct nb_err *err)
{
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || tmp[0] != '/' || strchr(tmp, '%') != NULL || strlen(tmp) > NB_PATH - 64)
        tmp = "/tmp";
    snprintf(dir, NB_PATH, "%s/normbench.XXXXXX", tmp);
    return mkdtemp(dir) != NULL ? NB_OK : nb_fail(err, "cannot make a folder in %.400s: %s", tmp, strerror(errno));
}

void nb_temp_remove(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(dir);
}

void nb_last_line(const char *dir, const char *name, char *line, size_t len)
{
    char path[NB_PATH], next[512];
    line[0] = '\0';
    nb_file_path(path, dir, name, "");
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(next, sizeof next, f) != NULL) {
        next[strcspn(next, "\n")] = '\0';
        if (next[0] != '\0' && strstr(next, "warning:") == NULL)
            snprintf(line, len, "%s", next);
    }
    if (f != NULL)
        fclose(f);
}
