#include "worker.h"

#include "buffers.h"
#include "check.h"
#include "counters.h"
#include "cpu.h"
#include "execute.h"
#include "host.h"
#include "measure.h"
#include "plan.h"
#include "registry.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct worker {
    struct nb_status_page *page;
    struct nb_topology topology;
    uint64_t seed;
};

static void emit(void *context, json_t *line)
{
    (void)context;
    NB_ASSERT(line != NULL);
    if (json_dumpf(line, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
        _exit(1); /* nobody listens any more */
    json_decref(line);
}

static void at_kernel(void *context, const char *kernel)
{
    struct nb_status_page *page = ((struct worker *)context)->page;
    snprintf(page->kernel, sizeof(page->kernel), "%s", kernel);
    atomic_fetch_add(&page->beats, 1);
}

static void emit_error(const char *text)
{
    emit(NULL, json_pack("{ss ss}", "type", "error", "text", text));
}

/* ---- checks: one forked child a kernel ---- */

static int result_fd; /* of a check's child, for its signal handler */

static bool send_result(int out, const struct nb_check_result *r)
{
    const char *p = (const char *)r;
    for (size_t done = 0; done < sizeof *r;) {
        const ssize_t n = write(out, p + done, sizeof *r - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* A fault in a guard page has a name; any other is a crash like any other. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    static struct nb_check_result r = {
        .verdict = NB_FAIL_OOB_WRITE,
        .reason = "touched the guard page just before or behind a tensor (write or read out of bounds)"};
    (void)context;
    if (nb_buffer_guards(info->si_addr) && send_result(result_fd, &r))
        _exit(0);
    signal(number, SIG_DFL);
    raise(number);
}

/* The child sends its result as bytes of the struct; a short read means that it died. */
static void check_child(struct nb_check_data *data, const struct nb_kernel *k, int out)
{
    struct nb_check_result r = {.verdict = NB_UNTESTED};
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    result_fd = out;
    sigaction(SIGSEGV, &fault, NULL);
    prctl(PR_SET_DUMPABLE, 0); /* a crash is expected here, a core file is not */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    nb_check_kernel(data, k, &r);
    _exit(send_result(out, &r) ? 0 : 1);
}

/* Reads what the child sends until it is whole, the pipe closes, or time is up. */
static size_t read_result(int in, struct nb_check_result *r, double timeout_s, bool *timed_out)
{
    const uint64_t end = nb_now_ns() + (uint64_t)(timeout_s * 1e9);
    size_t have = 0;
    *timed_out = false;
    while (have < sizeof *r) {
        const uint64_t now = nb_now_ns();
        struct pollfd p = {.fd = in, .events = POLLIN};
        const int ready = now >= end ? 0 : poll(&p, 1, (int)((end - now) / 1000000 + 1));
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            *timed_out = true;
            break;
        }
        const ssize_t n = read(in, (char *)r + have, sizeof *r - have);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    return have;
}

static void died(struct nb_check_result *r, bool timed_out, int status, double timeout_s)
{
    *r = (struct nb_check_result){.verdict = timed_out ? NB_TIMED_OUT : NB_CRASHED};
    if (timed_out)
        snprintf(r->reason, sizeof(r->reason), "did not end within %.0f s of its check", timeout_s);
    else if (WIFSIGNALED(status))
        snprintf(r->reason, sizeof(r->reason), "killed by signal %d (%s) in its check",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(r->reason, sizeof(r->reason), "its check ended with exit code %d and no result",
                 WEXITSTATUS(status));
}

static void check_forked(struct nb_check_data *data, const struct nb_kernel *k, double timeout_s,
                         struct nb_check_result *r)
{
    int ends[2], status = 0;
    bool timed_out = false;
    NB_ASSERT(pipe(ends) == 0);
    fflush(stdout);
    const pid_t child = fork();
    NB_ASSERT(child >= 0);
    if (child == 0) {
        close(ends[0]);
        check_child(data, k, ends[1]);
    }
    close(ends[1]);
    const size_t have = read_result(ends[0], r, timeout_s, &timed_out);
    close(ends[0]);
    if (have < sizeof *r && timed_out)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (have < sizeof *r)
        died(r, timed_out, status, timeout_s);
}

static void check_one(struct worker *w, struct nb_check_data *data, const struct nb_cell *cell,
                      const struct nb_kernel *k, double timeout_s)
{
    struct nb_check_result r;
    const uint64_t start = nb_now_ns();
    at_kernel(w, k->name);
    nb_check_skip(cell, k, &r);
    if (r.verdict == NB_UNTESTED) {
        nb_check_prepare(data, k);
        check_forked(data, k, timeout_s, &r);
    }
    emit(NULL, nb_check_to_json(cell, k, w->seed, &r, (double)(nb_now_ns() - start) / 1e6));
}

static enum nb_status cmd_check(struct worker *w, const json_t *in, const struct nb_cell *cell,
                                struct nb_err *err)
{
    const json_t *kernels = json_object_get(in, "kernels");
    const double timeout_s = json_number_value(json_object_get(in, "timeout_s"));
    struct nb_check_data *data = nb_check_data_make(cell, w->seed);
    enum nb_status s = NB_OK;
    nb_execute_init(&w->topology);
    for (size_t i = 0; s == NB_OK && i < json_array_size(kernels); i++) {
        const char *name = json_string_value(json_array_get(kernels, i));
        const struct nb_kernel *k = name != NULL ? nb_kernel_find(name) : NULL;
        if (k == NULL)
            s = nb_fail(err, "check: no kernel \"%s\"", name != NULL ? name : "?");
        else
            check_one(w, data, cell, k, timeout_s);
    }
    nb_check_data_free(data);
    if (s == NB_OK)
        emit(NULL, json_pack("{ss ss}", "type", "checked", "cell", cell->id));
    return s;
}

/* ---- commands ---- */

static enum nb_status cmd_measure(struct worker *w, const json_t *in, const struct nb_cell *cell,
                                  bool calibrate, struct nb_err *err)
{
    static bool counters_ready;
    const struct nb_worker_env env = {&w->topology, w->seed, emit, at_kernel, w};
    const struct nb_unit unit = {
        .cell = cell,
        .process = (unsigned)json_integer_value(json_object_get(in, "process")),
        .attempt = (unsigned)json_integer_value(json_object_get(in, "attempt")),
        .rounds = (unsigned)json_integer_value(json_object_get(in, "rounds")),
        .screening = json_is_true(json_object_get(in, "screening")),
        .counters = json_is_true(json_object_get(in, "counters")),
        .hashes = json_object_get(in, "hashes")};
    nb_execute_init(&w->topology);
    if (unit.counters && !counters_ready) {
        nb_counters_init();
        counters_ready = true;
    }
    return calibrate ? nb_measure_calibrate(&env, &unit, err) : nb_measure_unit(&env, &unit, err);
}

static enum nb_status hello(struct worker *w, const json_t *in, struct nb_err *err)
{
    const json_int_t protocol = json_integer_value(json_object_get(in, "protocol"));
    if (protocol != NB_PROTOCOL)
        return nb_fail(err, "worker: protocol %lld asked for, %d spoken here", (long long)protocol,
                       NB_PROTOCOL);
    w->seed = (uint64_t)json_integer_value(json_object_get(in, "seed"));
    emit(NULL, json_pack("{ss si}", "type", "hello", "protocol", NB_PROTOCOL));
    return NB_OK;
}

static enum nb_status command(struct worker *w, const json_t *in, bool *quit, struct nb_err *err)
{
    const char *cmd = json_string_value(json_object_get(in, "cmd"));
    if (cmd == NULL)
        return nb_fail(err, "worker: a line without \"cmd\"");
    if (strcmp(cmd, "hello") == 0)
        return hello(w, in, err);
    if (strcmp(cmd, "quit") == 0) {
        *quit = true;
        return NB_OK;
    }
    struct nb_cell cell;
    enum nb_status s = nb_cell_from_json(&cell, json_object_get(in, "cell"), err);
    if (s == NB_OK && strcmp(cmd, "check") == 0)
        s = cmd_check(w, in, &cell, err);
    else if (s == NB_OK && strcmp(cmd, "unit") == 0)
        s = cmd_measure(w, in, &cell, false, err);
    else if (s == NB_OK && strcmp(cmd, "calibrate") == 0)
        s = cmd_measure(w, in, &cell, true, err);
    else if (s == NB_OK)
        s = nb_fail(err, "worker: unknown command \"%s\"", cmd);
    nb_cell_free(&cell);
    return s;
}

static enum nb_status map_page(struct worker *w, int fd, struct nb_err *err)
{
    void *p = mmap(NULL, sizeof *w->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return nb_fail(err, "worker: cannot map the status page: %s", strerror(errno));
    w->page = p;
    return NB_OK;
}

int nb_worker_main(int status_fd)
{
    struct worker w = {0};
    struct nb_err err;
    char bad[64], *line = NULL;
    size_t room = 0;
    bool quit = false;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    enum nb_status started = nb_cpu_init(bad, sizeof bad) == 0
                                 ? map_page(&w, status_fd, &err)
                                 : nb_fail(&err, "NB_DISABLE_ISA: unknown word \"%s\"", bad);
    if (started == NB_OK)
        started = nb_topology_load(&w.topology, &err);
    if (started != NB_OK) {
        emit_error(err.text);
        return 1;
    }
    while (!quit && getline(&line, &room, stdin) > 0) {
        json_error_t e;
        json_t *in = json_loads(line, 0, &e);
        enum nb_status s = in != NULL ? command(&w, in, &quit, &err)
                                      : nb_fail(&err, "worker: bad line: %s", e.text);
        if (s != NB_OK)
            emit_error(err.text);
        json_decref(in);
    }
    free(line);
    nb_topology_free(&w.topology);
    return 0;
}
