#define _GNU_SOURCE /* sched_setaffinity, memfd_create, pipe2 */
#include "client.h"

#include "child.h"
#include "execute.h"
#include "foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static cpu_set_t original_cpus;
static int have_original_cpus;

/* The orchestrator may bind itself away from the measured cores; its workers must not inherit that. */
static void __attribute__((constructor)) remember_cpus(void)
{
    have_original_cpus = sched_getaffinity(0, sizeof original_cpus, &original_cpus) == 0;
}

void nb_client_unbind(void)
{
    if (have_original_cpus)
        (void)sched_setaffinity(0, sizeof original_cpus, &original_cpus);
}

/* Libraries of the worker take settings from these: Google Benchmark defaults of its flags (a filter,
 * repetitions, another order), OpenMP runtimes limits, places and waiting. What is measured must not
 * depend on what a shell happens to export. */
static void clean_environment(void)
{
    static const char *const prefixes[] = {"BENCHMARK_", "OMP_", "GOMP_", "KMP_"};
    for (char **e = environ; e != NULL && *e != NULL;) {
        char name[256];
        bool remove = false;
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            remove = remove || strncmp(*e, prefixes[i], strlen(prefixes[i])) == 0;
        const size_t len = strcspn(*e, "=");
        if (!remove || len >= sizeof name) {
            e++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)len, *e);
        unsetenv(name);
        e = environ; /* it has moved up */
    }
}

enum { LAUNCHER_WORDS = 32 };

/* Under a launcher /proc/self/exe would be the launcher. */
static void start_program(const struct nb_program *program, char **worker)
{
    char exe[4096], *argv[LAUNCHER_WORDS + NB_FOREIGN_WORDS + 4];
    const ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    size_t n = 0, w = 0;
    char *const *launcher = program->launcher;
    if (launcher == NULL)
        execv(program->path != NULL ? program->path : "/proc/self/exe", worker);
    if (launcher == NULL || len < 0)
        return;
    exe[len] = '\0';
    while (launcher[n] != NULL && n < LAUNCHER_WORDS) {
        argv[n] = launcher[n];
        n++;
    }
    argv[n++] = exe;
    do
        argv[n++] = worker[++w];
    while (worker[w] != NULL);
    execvp(argv[0], argv);
}

static void child(const struct nb_program *program, int in, int out, int page_fd)
{
    char fd[16];
    clean_environment();
    if (program->naps) { /* of gcc's runtime, and of clang's */
        setenv("GOMP_SPINCOUNT", "10000", 1);
        setenv("KMP_BLOCKTIME", "0", 1);
    }
    nb_client_unbind();
    setpgid(0, 0); /* Ctrl-C on the terminal reaches the orchestrator alone */
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    fcntl(page_fd, F_SETFD, 0);
    snprintf(fd, sizeof fd, "%d", page_fd);
    char name[] = "normbench", option[] = "--worker";
    char *argv[NB_FOREIGN_WORDS + 4] = {name, option, fd};
    memcpy(argv + 3, program->words, program->word_count * sizeof *argv);
    argv[3 + program->word_count] = NULL;
    start_program(program, argv);
    _exit(127);
}

static enum nb_status make_page(struct nb_client *c, struct nb_err *err)
{
    c->page_fd = memfd_create("normbench-status", MFD_CLOEXEC);
    if (c->page_fd < 0 || ftruncate(c->page_fd, sizeof *c->page) != 0)
        return nb_fail(err, "cannot make the status page: %s", strerror(errno));
    void *p = mmap(NULL, sizeof *c->page, PROT_READ | PROT_WRITE, MAP_SHARED, c->page_fd, 0);
    if (p == MAP_FAILED)
        return nb_fail(err, "cannot map the status page: %s", strerror(errno));
    c->page = p;
    return NB_OK;
}

enum nb_status nb_client_start(struct nb_client *c, uint64_t seed, struct nb_err *err)
{
    return nb_client_start_under(c, NULL, seed, err);
}

enum nb_status nb_client_start_under(struct nb_client *c, char *const *launcher, uint64_t seed,
                                     struct nb_err *err)
{
    char *words[NB_FOREIGN_WORDS];
    const struct nb_program own = {.words = words, .word_count = nb_foreign_words(words),
                                   .protocol = NB_PROTOCOL, .launcher = launcher};
    return nb_client_start_program(c, &own, seed, err);
}

enum nb_status nb_client_start_program(struct nb_client *c, const struct nb_program *program,
                                       uint64_t seed, struct nb_err *err)
{
    int to[2], from[2];
    NB_ASSERT(program->word_count <= NB_FOREIGN_WORDS);
    *c = (struct nb_client){.in = -1, .out = -1, .page_fd = -1};
    enum nb_status s = make_page(c, err);
    if (s != NB_OK)
        return s;
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        return nb_fail(err, "cannot make pipes for a worker: %s", strerror(errno));
    c->pid = fork();
    if (c->pid < 0)
        return nb_fail(err, "cannot start a worker: %s", strerror(errno));
    if (c->pid == 0)
        child(program, to[0], from[1], c->page_fd);
    close(to[0]);
    close(from[1]);
    c->in = to[1];
    c->out = from[0];
    json_t *hello = json_pack("{ss si sI}", "cmd", "hello", "protocol", program->protocol, "seed",
                              (json_int_t)seed);
    s = nb_client_send(c, hello, err);
    json_decref(hello);
    return s;
}

enum nb_status nb_client_send(struct nb_client *c, const json_t *line, struct nb_err *err)
{
    char *text = json_dumps(line, JSON_COMPACT);
    NB_ASSERT(text != NULL);
    size_t len = strlen(text), done = 0;
    text[len++] = '\n';
    while (done < len) {
        const ssize_t n = write(c->in, text + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    free(text);
    return done == len ? NB_OK : nb_fail(err, "the worker does not listen: %s", strerror(errno));
}

/* Takes a whole line from the buffer; NULL: there is none, or it is no JSON (a worker that was killed
 * in mid-line). */
static json_t *take_line(struct nb_client *c)
{
    char *end = c->used > 0 ? memchr(c->buffer, '\n', c->used) : NULL;
    if (end == NULL)
        return NULL;
    const size_t len = (size_t)(end - c->buffer) + 1;
    json_t *line = json_loadb(c->buffer, len - 1, 0, NULL);
    c->used -= len;
    memmove(c->buffer, end + 1, c->used);
    return line != NULL ? line : json_object();
}

static ssize_t fill_buffer(struct nb_client *c)
{
    if (c->room - c->used < 65536) {
        char *bigger = realloc(c->buffer, c->room + 131072);
        NB_ASSERT(bigger != NULL);
        c->buffer = bigger;
        c->room += 131072;
    }
    const ssize_t n = read(c->out, c->buffer + c->used, c->room - c->used);
    if (n > 0)
        c->used += (size_t)n;
    return n;
}

static void reap(struct nb_client *c, char *how, size_t len)
{
    const int status = nb_child_wait(c->pid);
    c->death = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (WIFSIGNALED(status))
        snprintf(how, len, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, len, "ended with exit code %d", WEXITSTATUS(status));
    c->pid = 0;
}

static void release(struct nb_client *c)
{
    if (c->in >= 0)
        close(c->in);
    if (c->out >= 0)
        close(c->out);
    if (c->page_fd >= 0)
        close(c->page_fd);
    if (c->page != NULL)
        munmap(c->page, sizeof *c->page);
    free(c->buffer);
    *c = (struct nb_client){.in = -1, .out = -1, .page_fd = -1};
}

enum nb_heard nb_client_hear(struct nb_client *c, double timeout_s,
                             const volatile sig_atomic_t *interrupted, json_t **line, char *how,
                             size_t how_len)
{
    uint64_t beats = atomic_load(&c->page->beats), since = nb_now_ns();
    while (!*interrupted) {
        *line = take_line(c);
        if (*line != NULL)
            return NB_HEARD_LINE;
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        const int ready = poll(&p, 1, 200);
        if (ready > 0 && fill_buffer(c) <= 0) {
            reap(c, how, how_len);
            return NB_HEARD_DEATH;
        }
        const uint64_t now_beats = atomic_load(&c->page->beats), now = nb_now_ns();
        if (now_beats != beats || ready > 0) {
            beats = now_beats;
            since = now;
        } else if ((double)(now - since) > timeout_s * 1e9) {
            kill(c->pid, SIGKILL);
            reap(c, how, how_len);
            snprintf(how, how_len, "no progress for %.0f s", timeout_s);
            return NB_HEARD_SILENCE;
        }
    }
    return NB_HEARD_INTERRUPT;
}

void nb_client_stop(struct nb_client *c, int by_force)
{
    char how[128];
    if (c->pid > 0) {
        if (by_force)
            kill(c->pid, SIGKILL);
        else
            close(c->in), c->in = -1; /* end of input: the worker leaves its loop */
        reap(c, how, sizeof how);
    }
    release(c);
}
