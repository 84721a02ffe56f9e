#include "worker.h"

#include "buffers.h"
#include "check.h"
#include "child.h"
#include "count_region.h"
#include "counters.h"
#include "counts.h"
#include "cpu.h"
#include "execute.h"
#include "foreign.h"
#include "host.h"
#include "inputs.h"
#include "measure.h"
#include "plan.h"
#include "registry.h"
#include "tune.h"

#include <errno.h>
#include <fcntl.h>
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

static FILE *commands, *answers; /* not stdin and stdout: a kernel may print, or read */

static FILE *moved(int fd, int substitute, const char *mode)
{
    const int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    FILE *f = own >= 0 ? fdopen(own, mode) : NULL;
    NB_ASSERT(f != NULL && substitute >= 0 && dup2(substitute, fd) == fd);
    return f;
}

static void move_standard_files(void)
{
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    commands = moved(STDIN_FILENO, nothing, "r");
    answers = moved(STDOUT_FILENO, STDERR_FILENO, "w");
    close(nothing);
}

static void emit(void *context, json_t *line)
{
    (void)context;
    NB_ASSERT(line != NULL);
    if (json_dumpf(line, answers, JSON_COMPACT) != 0 || putc('\n', answers) == EOF || fflush(answers) != 0)
        _exit(1); /* nobody listens any more */
    json_decref(line);
}

static void at_kernel(void *context, const char *kernel)
{
    struct nb_status_page *page = ((struct worker *)context)->page;
    snprintf(page->kernel, sizeof(page->kernel), "%s", kernel);
    atomic_fetch_add(&page->beats, 1);
}

/* Between two rounds: this worker sleeps until it is told to go on. */
static bool turn(void *context)
{
    char *line = NULL;
    size_t room = 0;
    (void)context;
    emit(NULL, json_pack("{ss}", "type", "ready"));
    const bool got = getline(&line, &room, commands) > 0;
    json_t *in = got ? json_loads(line, 0, NULL) : NULL;
    const char *cmd = json_string_value(json_object_get(in, "cmd"));
    const bool go = cmd != NULL && strcmp(cmd, "go") == 0;
    json_decref(in);
    free(line);
    return go;
}

static void emit_error(const char *text)
{
    emit(NULL, json_pack("{ss ss}", "type", "error", "text", text));
}

/* ---- checks: one forked child a kernel ---- */

/* What a check's child sends first: whether its team of threads stands. A child that dies before it
 * says so was stopped by the environment, not by the kernel. */
struct preface {
    enum nb_status status;
    struct nb_err err;
};

static int result_fd; /* of a check's child, for its signal handler */

static bool send_bytes(int out, const void *bytes, size_t len)
{
    const char *p = bytes;
    for (size_t done = 0; done < len;) {
        const ssize_t n = write(out, p + done, len - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* A fault in a guard page has a name; any other is a crash like any other. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    static struct nb_check_result r = {.verdict = NB_FAIL_OOB_WRITE};
    const struct nb_guard hit = nb_buffer_guard(info->si_addr);
    (void)context;
    snprintf(r.reason, sizeof(r.reason), "touched the guard page just %s %s (write or read out of bounds)",
             hit.side != NULL ? hit.side : "?", hit.name != NULL ? hit.name : "a tensor");
    if (hit.side != NULL && send_bytes(result_fd, &r, sizeof r))
        _exit(0);
    signal(number, SIG_DFL);
    raise(number);
}

/* The child sends its result as bytes of the struct; a short read means that it died. */
static void check_child(struct nb_check_data *data, const struct nb_kernel *k, unsigned threads,
                        int out)
{
    struct nb_check_result r = {.verdict = NB_UNTESTED};
    struct preface p = {NB_OK, {""}};
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    p.status = nb_execute_team(threads, false, &p.err);
    if (!send_bytes(out, &p, sizeof p) || p.status != NB_OK)
        _exit(1);
    result_fd = out;
    sigaction(SIGSEGV, &fault, NULL);
    prctl(PR_SET_DUMPABLE, 0); /* a crash is expected here, a core file is not */
    nb_check_kernel(data, k, &r);
    _exit(send_bytes(out, &r, sizeof r) ? 0 : 1);
}

/* Reads what the child sends until it is whole, the pipe closes, or time is up. */
static bool read_bytes(int in, void *bytes, size_t len, uint64_t end, bool *timed_out)
{
    size_t have = 0;
    while (have < len && !*timed_out) {
        const uint64_t now = nb_now_ns();
        struct pollfd p = {.fd = in, .events = POLLIN};
        const int ready = now >= end ? 0 : poll(&p, 1, (int)((end - now) / 1000000 + 1));
        if (ready < 0 && errno == EINTR)
            continue;
        *timed_out = ready <= 0;
        const ssize_t n = ready > 0 ? read(in, (char *)bytes + have, len - have) : 0;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    return have == len;
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

/* Before a kernel is reached: what fails here is the machine's. */
static enum nb_status not_begun(bool timed_out, int status, unsigned threads, struct nb_err *err)
{
    const char *how = timed_out ? "time was up" : WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it ended";
    return nb_fail(err, "the process of a check with %u threads was not ready: %s; what limits it? See `ulimit -u`, "
                        "the cgroup's pids.max and memory.max, and the room in /dev/shm", threads, how);
}

/* A kernel that wrote where it must not may have hit the result itself. */
static bool is_sound(struct nb_check_result *r)
{
    return r->verdict < NB_VERDICT_COUNT && memchr(r->reason, '\0', sizeof(r->reason)) != NULL &&
           memchr(r->worst, '\0', sizeof(r->worst)) != NULL;
}

static enum nb_status check_forked(struct nb_check_data *data, const struct nb_kernel *k,
                                   unsigned threads, double timeout_s, struct nb_check_result *r,
                                   struct nb_err *err)
{
    const uint64_t end = nb_now_ns() + (uint64_t)(timeout_s * 1e9);
    int ends[2], status = 0;
    bool timed_out = false;
    struct preface p;
    NB_ASSERT(pipe(ends) == 0);
    fflush(answers);
    const pid_t child = fork();
    NB_ASSERT(child >= 0);
    if (child == 0) {
        close(ends[0]);
        check_child(data, k, threads, ends[1]);
    }
    close(ends[1]);
    const bool begun = read_bytes(ends[0], &p, sizeof p, end, &timed_out);
    const bool ended = begun && read_bytes(ends[0], r, sizeof *r, end, &timed_out);
    close(ends[0]);
    if (timed_out)
        kill(child, SIGKILL);
    status = nb_child_wait(child);
    if (!begun)
        return not_begun(timed_out, status, threads, err);
    if (p.status != NB_OK)
        return nb_fail(err, "%s", p.err.text);
    if (!ended)
        died(r, timed_out, status, timeout_s);
    else if (!is_sound(r))
        *r = (struct nb_check_result){.verdict = NB_CRASHED,
                                      .reason = "its check sent no sound result: it wrote over what is not its"};
    return NB_OK;
}

static enum nb_status check_one(struct worker *w, struct nb_check_data *data,
                                const struct nb_cell *cell, const struct nb_kernel *k,
                                double timeout_s, struct nb_err *err)
{
    struct nb_check_result r;
    const uint64_t start = nb_now_ns();
    enum nb_status s = NB_OK;
    at_kernel(w, k->name);
    nb_check_skip(cell, k, &r);
    if (r.verdict == NB_UNTESTED) {
        nb_check_prepare(data, k);
        s = check_forked(data, k, cell->threads, timeout_s, &r, err);
    }
    if (s == NB_OK)
        emit(NULL, nb_check_to_json(cell, k, w->seed, &r, (double)(nb_now_ns() - start) / 1e6));
    return s;
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
            s = check_one(w, data, cell, k, timeout_s, err);
    }
    nb_check_data_free(data);
    if (s == NB_OK)
        emit(NULL, json_pack("{ss ss}", "type", "checked", "cell", cell->id));
    return s;
}

/* ---- counting, under callgrind ---- */

/* Each count is a dump of its own, of which the line tells the tag. */
static enum nb_status count_one(struct worker *w, const struct nb_cell *cell, const char *name, struct nb_err *err)
{
    static unsigned dumps;
    const struct nb_kernel *k = name[0] != '\0' ? nb_kernel_find(name) : NULL;
    struct nb_err inner = {""};
    struct nb_check_result r = {.verdict = NB_UNTESTED};
    char tag[32];
    if (k == NULL && name[0] != '\0')
        return nb_fail(err, "count: no kernel \"%s\"", name);
    at_kernel(w, name);
    if (k != NULL)
        nb_check_skip(cell, k, &r);
    snprintf(tag, sizeof tag, "count%u", dumps + 1);
    const bool counted = r.verdict == NB_UNTESTED && nb_region_count(cell, k, w->seed, tag, &inner) == NB_OK;
    dumps += counted;
    emit(NULL, json_pack("{ss ss si ss so}", "type", "count", "kernel", name, "dump", (int)dumps, "tag", tag, "reason",
                         counted ? json_null() : json_string(r.reason[0] ? r.reason : inner.text)));
    return NB_OK;
}

static enum nb_status cmd_count(struct worker *w, const json_t *in, const struct nb_cell *cell, struct nb_err *err)
{
    const json_t *kernels = json_object_get(in, "kernels");
    enum nb_status s = NB_OK;
    if (!nb_region_under_valgrind())
        return nb_fail(err, "count: this worker does not run under callgrind");
    for (size_t i = 0; s == NB_OK && i < json_array_size(kernels); i++) {
        const char *name = json_string_value(json_array_get(kernels, i));
        s = name != NULL ? count_one(w, cell, name, err) : nb_fail(err, "count: a kernel that is no text");
    }
    if (s == NB_OK)
        emit(NULL, json_pack("{ss ss}", "type", "counted", "cell", cell->id));
    return s;
}

/* ---- commands ---- */

/* What this process proved for itself; nobody else's proof counts for it. */
static void emit_certificates(const struct nb_unit *unit)
{
    nb_counters_init();
    emit(NULL, json_pack("{ss si ss si so}", "type", "certificates", "process", (int)unit->process, "cell",
                         unit->cell->id, "attempt", (int)unit->attempt, "papi", nb_host_papi()));
}

/* Once a process: it is the same file in all its units. */
static void keep_stream(const char *path)
{
    static bool open_already;
    if (path != NULL && !open_already)
        nb_input_stream_keep(open(path, O_RDWR | O_CLOEXEC)); /* -1: it makes its own */
    open_already = open_already || path != NULL;
}

static enum nb_status cmd_measure(struct worker *w, const json_t *in, const struct nb_cell *cell,
                                  bool calibrate, struct nb_err *err)
{
    static bool counters_ready;
    const struct nb_worker_env env = {&w->topology, w->seed, emit, at_kernel, w, turn};
    const struct nb_unit unit = {
        .cell = cell,
        .process = (unsigned)json_integer_value(json_object_get(in, "process")),
        .attempt = (unsigned)json_integer_value(json_object_get(in, "attempt")),
        .rounds = (unsigned)json_integer_value(json_object_get(in, "rounds")),
        .screening = json_is_true(json_object_get(in, "screening")),
        .counters = json_is_true(json_object_get(in, "counters")),
        .memory = json_string_value(json_object_get(in, "memory")),
        .turns = (unsigned)json_integer_value(json_object_get(in, "turns")),
        .hashes = json_object_get(in, "hashes")};
    keep_stream(json_string_value(json_object_get(in, "stream")));
    nb_execute_init(&w->topology);
    if (unit.counters && !counters_ready) {
        emit_certificates(&unit);
        counters_ready = true;
    }
    return calibrate ? nb_measure_calibrate(&env, &unit, err) : nb_measure_unit(&env, &unit, err);
}

static enum nb_status hello(struct worker *w, const json_t *in, struct nb_err *err)
{
    const json_int_t protocol = json_integer_value(json_object_get(in, "protocol"));
    if (protocol < NB_PROTOCOL_OLDEST || protocol > NB_PROTOCOL)
        return nb_fail(err, "worker: protocol %lld asked for, %d to %d spoken here", (long long)protocol,
                       NB_PROTOCOL_OLDEST, NB_PROTOCOL);
    w->seed = (uint64_t)json_integer_value(json_object_get(in, "seed"));
    emit(NULL, json_pack("{ss sI}", "type", "hello", "protocol", protocol));
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
    else if (s == NB_OK && strcmp(cmd, "count") == 0)
        s = cmd_count(w, in, &cell, err);
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

int nb_worker_main(int status_fd, int argc, char **argv)
{
    struct worker w = {0};
    struct nb_err err;
    char bad[64], *line = NULL;
    size_t room = 0;
    bool quit = false;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    move_standard_files();
    enum nb_status started = nb_cpu_init(bad, sizeof bad) == 0
                                 ? map_page(&w, status_fd, &err)
                                 : nb_fail(&err, "NB_DISABLE_ISA: unknown word \"%s\"", bad);
    if (started == NB_OK && nb_region_under_valgrind())
        w.topology = nb_simulated_topology();
    else if (started == NB_OK)
        started = nb_topology_load(&w.topology, &err);
    if (started == NB_OK)
        nb_tune_caches(&w.topology);
    if (started == NB_OK)
        started = nb_foreign_worker(argc, argv, &err);
    if (started != NB_OK) {
        emit_error(err.text);
        return 1;
    }
    while (!quit && getline(&line, &room, commands) > 0) {
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
