#define _GNU_SOURCE /* mkdtemp, asprintf */
#include "count.h"

#include "check.h"
#include "client.h"
#include "count_region.h"
#include "counts.h"
#include "cpu.h"
#include "execute.h"
#include "files.h"
#include "foreign.h"
#include "options.h"
#include "plan.h"
#include "progress.h"
#include "registry.h"
#include "child.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

struct job {
    const struct nb_count_options *options;
    struct nb_plan plan;
    struct nb_client client;
    struct nb_progress progress;
    char dir[NB_PATH]; /* of dumps */
    char valgrind[32];
    json_t *counts;
    json_t *fates;   /* of one cell: kernel: {"reason", "failed"}; those that passed do not stand there */
    json_t *pending; /* of one cell: kernels still to be counted, "" first */
    struct nb_counts nothing;
    json_t *results; /* of one cell: kernel: row */
    size_t failed;
};

/* ---- talking to a worker ---- */

typedef enum nb_status (*line_taker)(struct job *j, const struct nb_cell *cell, const json_t *line,
                                     struct nb_err *err);
enum outcome { ENDED, DIED, SILENT, FAILED };

enum { START_S = 60 }; /* valgrind may take so long to start a large program */

static bool is_starting(const struct job *j)
{
    const char *next = json_string_value(json_array_get(j->pending, 0));
    return next != NULL && next[0] == '\0';
}

/* Hands lines of one type to take(), until a line of type `last`. */
static enum outcome listen(struct job *j, const struct nb_cell *cell, double timeout_s, const char *type,
                           const char *last, line_taker take, char *how, size_t len, struct nb_err *err)
{
    for (;;) {
        json_t *line = NULL;
        enum nb_status s = NB_OK;
        const double patience = timeout_s + (is_starting(j) ? START_S : 0);
        const enum nb_heard heard = nb_client_hear(&j->client, patience, &interrupted, &line, how, len);
        if (heard == NB_HEARD_INTERRUPT)
            return nb_fail(err, "interrupted"), FAILED;
        if (heard != NB_HEARD_LINE)
            return heard == NB_HEARD_DEATH ? DIED : SILENT;
        const char *said = json_string_value(json_object_get(line, "type"));
        const bool ended = said != NULL && strcmp(said, last) == 0;
        if (said != NULL && strcmp(said, type) == 0)
            s = take(j, cell, line, err);
        else if (said != NULL && strcmp(said, "error") == 0)
            s = nb_fail(err, "worker: %.900s", json_string_value(json_object_get(line, "text")));
        json_decref(line);
        if (s != NB_OK || ended)
            return s != NB_OK ? FAILED : ENDED;
    }
}

static enum nb_status start(struct job *j, char *const *launcher, struct nb_err *err)
{
    if (j->client.pid > 0)
        return NB_OK;
    nb_client_stop(&j->client, 1);
    return nb_client_start_under(&j->client, launcher, j->plan.settings.seed, err);
}

static enum nb_status command(struct job *j, const char *word, const struct nb_cell *cell, json_t *kernels,
                              struct nb_err *err)
{
    json_t *line = json_pack("{ss so sO sf}", "cmd", word, "cell", nb_cell_to_json(cell, &j->plan.settings),
                             "kernels", kernels, "timeout_s", j->options->timeout_s);
    const enum nb_status s = nb_client_send(&j->client, line, err);
    json_decref(line);
    return s;
}

/* ---- checks ---- */

static void set_fate(struct job *j, const char *kernel, const char *reason, bool failed)
{
    json_object_set_new(j->fates, kernel, json_pack("{ss sb}", "reason", reason, "failed", failed));
    j->failed += failed;
}

/* Not the same words on a host that has none: the list of what is not counted is the same everywhere. */
static const char *beyond_callgrind(const struct nb_kernel *k)
{
    return k->cpu_bits & (NB_CPU_AVX512 | NB_CPU_AVX512_BF16) ? "callgrind has no AVX-512" : NULL;
}

static enum nb_status take_check(struct job *j, const struct nb_cell *cell, const json_t *line,
                                 struct nb_err *err)
{
    (void)cell;
    const char *kernel = json_string_value(json_object_get(line, "kernel"));
    const char *verdict = json_string_value(json_object_get(line, "verdict"));
    const char *why = json_string_value(json_object_get(line, "reason"));
    const int v = verdict != NULL ? nb_verdict_parse(verdict) : -1;
    char reason[512];
    if (kernel == NULL || v < 0)
        return nb_fail(err, "worker: a check without a kernel or a verdict");
    snprintf(reason, sizeof reason, "%s%s%s", verdict, why != NULL ? ": " : "", why != NULL ? why : "");
    if (v != NB_PASS)
        set_fate(j, kernel, reason, v <= NB_TIMED_OUT);
    return NB_OK;
}

/* Only what is right is counted: fewer instructions of a wrong kernel would be no gain. */
static enum nb_status check_cell(struct job *j, const struct nb_cell *cell, struct nb_err *err)
{
    char how[160] = "";
    json_t *kernels = json_array();
    for (size_t i = 0; i < cell->kernel_count; i++) {
        const char *why = beyond_callgrind(cell->kernels[i]);
        if (why != NULL)
            set_fate(j, cell->kernels[i]->name, why, false);
        else
            json_array_append_new(kernels, json_string(cell->kernels[i]->name));
    }
    enum nb_status s = command(j, "check", cell, kernels, err);
    json_decref(kernels);
    if (s != NB_OK)
        return s;
    switch (listen(j, cell, 3 * j->options->timeout_s + 60, "check", "checked", take_check, how, sizeof how, err)) {
    case ENDED:
        return NB_OK;
    case FAILED:
        return NB_ERROR;
    default:
        return nb_fail(err, "the checking worker %s in cell %s; too little memory?", how, cell->id);
    }
}

/* ---- counts ---- */

static enum nb_status read_dump(const struct job *j, json_int_t number, const char *tag, struct nb_counts *c,
                                struct nb_err *err)
{
    char path[NB_PATH + 32];
    size_t len = 0, room = 1 << 16, n;
    snprintf(path, sizeof path, "%s/dump.%d", j->dir, (int)number);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return nb_fail(err, "callgrind left no dump %.500s: %s", path, strerror(errno));
    char *text = malloc(room);
    NB_ASSERT(text != NULL);
    while ((n = fread(text + len, 1, room - 1 - len, f)) > 0) {
        len += n;
        if (len == room - 1)
            text = realloc(text, room *= 2);
        NB_ASSERT(text != NULL);
    }
    text[len] = '\0';
    fclose(f);
    unlink(path);
    const enum nb_status s = nb_counts_parse(text, tag, c, err);
    free(text);
    return s;
}

static json_t *new_row(const struct nb_cell *c, const struct nb_kernel *k)
{
    return json_pack("{ss ss ss ss ss ss ss sI sI sI sb sb}", "cell", c->id, "kernel", k->name, "op",
                     nb_op_name(k->op), "algo", k->algo, "isa", k->isa, "dtype", nb_dtype_name(c->dtype),
                     "param_dtype", nb_dtype_name(c->param_dtype), "hidden", (json_int_t)c->hidden, "rows",
                     (json_int_t)c->rows, "offset", (json_int_t)c->offset, "in_place", (int)c->in_place, "stats",
                     (int)c->stats_out);
}

/* The first of those pending has been answered. */
static enum nb_status take_count(struct job *j, const struct nb_cell *cell, const json_t *line,
                                 struct nb_err *err)
{
    const char *kernel = json_string_value(json_object_get(line, "kernel"));
    const char *expected = json_string_value(json_array_get(j->pending, 0));
    const char *reason = json_string_value(json_object_get(line, "reason"));
    struct nb_counts c = {{0}};
    if (kernel == NULL || expected == NULL || strcmp(kernel, expected) != 0)
        return nb_fail(err, "worker: a count of another kernel than the one that was asked for");
    if (reason == NULL && read_dump(j, json_integer_value(json_object_get(line, "dump")),
                                    json_string_value(json_object_get(line, "tag")), &c, err) != NB_OK)
        return NB_ERROR;
    if (kernel[0] == '\0') {
        if (reason != NULL || c.of[NB_SIM_INSTRUCTIONS] == 0)
            return nb_fail(err, "callgrind counts nothing in this program: %s",
                           reason != NULL ? reason : "an empty call has no instruction");
        j->nothing = c;
    } else if (reason != NULL) {
        set_fate(j, kernel, reason, false);
    } else if (!nb_counts_subtract(&c, &j->nothing)) {
        return nb_fail(err, "%s in %s: fewer instructions than a call that does nothing", kernel, cell->id);
    } else {
        json_t *counts = json_object();
        nb_counts_put(counts, &c, NULL);
        json_object_set_new(j->results, kernel, counts);
    }
    json_array_remove(j->pending, 0);
    nb_progress_step(&j->progress, kernel[0] != '\0', cell->id);
    return NB_OK;
}

/* A kernel that brings its worker down is named, and the rest counted by another. Without a kernel to name,
 * valgrind itself has failed: its last words say how. */
static enum nb_status blame(struct job *j, const struct nb_cell *cell, enum outcome outcome, const char *how,
                            struct nb_err *err)
{
    const char *kernel = json_string_value(json_array_get(j->pending, 0));
    char reason[256], words[256];
    nb_client_stop(&j->client, 1);
    if (kernel == NULL || kernel[0] == '\0') {
        nb_last_line(j->dir, "valgrind.log", words, sizeof words);
        return nb_fail(err, "valgrind --tool=callgrind %s before it counted anything in cell %s%s%s", how, cell->id,
                       words[0] ? ": " : "", words);
    }
    snprintf(reason, sizeof reason, "%s: %s under callgrind", nb_verdict_name(outcome == SILENT ? NB_TIMED_OUT : NB_CRASHED), how);
    set_fate(j, kernel, reason, true);
    json_array_set_new(j->pending, 0, json_string("")); /* a fresh worker counts the empty call, too */
    return NB_OK;
}

/* Its settings in ~/.valgrindrc and VALGRIND_OPTS would count something else. */
static enum nb_status start_valgrind(struct job *j, struct nb_err *err)
{
    char out[NB_PATH + 64], log[NB_PATH + 64];
    char *launcher[] = {"valgrind", "-q", "--command-line-only=yes", "--tool=callgrind", out, log,
                        "--instr-atstart=no", "--collect-atstart=no", "--cache-sim=yes", "--dump-instr=no",
                        "--I1=" NB_SIMULATED_I1, "--D1=" NB_SIMULATED_D1, "--LL=" NB_SIMULATED_LL, NULL};
    snprintf(out, sizeof out, "--callgrind-out-file=%s/dump", j->dir);
    snprintf(log, sizeof log, "--log-file=%s/valgrind.log", j->dir);
    return start(j, launcher, err);
}

static enum nb_status count_pending(struct job *j, const struct nb_cell *cell, struct nb_err *err)
{
    while (json_array_size(j->pending) > 1) {
        char how[160] = "";
        enum nb_status s = start_valgrind(j, err);
        if (s == NB_OK)
            s = command(j, "count", cell, j->pending, err);
        if (s != NB_OK)
            return s;
        const enum outcome o =
            listen(j, cell, j->options->timeout_s, "count", "counted", take_count, how, sizeof how, err);
        if (o == ENDED || o == FAILED)
            return o == ENDED ? NB_OK : NB_ERROR;
        s = blame(j, cell, o, how, err);
        if (s != NB_OK)
            return s;
    }
    return NB_OK;
}

static enum nb_status count_cell(struct job *j, const struct nb_cell *cell, const json_t *fates, struct nb_err *err)
{
    j->fates = json_deep_copy(fates);
    j->results = json_object();
    j->pending = json_pack("[s]", "");
    for (size_t i = 0; i < cell->kernel_count; i++)
        if (json_object_get(fates, cell->kernels[i]->name) == NULL)
            json_array_append_new(j->pending, json_string(cell->kernels[i]->name));
    const enum nb_status s = count_pending(j, cell, err);
    for (size_t i = 0; s == NB_OK && i < cell->kernel_count; i++) {
        const char *name = cell->kernels[i]->name;
        json_t *row = new_row(cell, cell->kernels[i]), *counted = json_object_get(j->results, name);
        if (counted != NULL)
            json_object_update(row, counted);
        else
            nb_counts_put(row, NULL,
                          json_string_value(json_object_get(json_object_get(j->fates, name), "reason")));
        json_object_set_new(row, "failed",
                            json_boolean(json_is_true(json_object_get(json_object_get(j->fates, name), "failed"))));
        json_array_append_new(json_object_get(j->counts, "counts"), row);
    }
    json_decref(j->fates);
    json_decref(j->results);
    json_decref(j->pending);
    j->fates = j->results = j->pending = NULL;
    return s;
}

/* ---- cells ---- */

/* A time is told beside its roof; a count stands by itself. */
static void without_ceilings(struct nb_cell *c, const struct nb_preset *p)
{
    size_t n = 0;
    for (size_t i = 0; i < c->kernel_count; i++) {
        bool wanted = false;
        for (size_t b = 0; b < p->count; b++)
            wanted = wanted || nb_block_takes(&p->blocks[b], c->kernels[i]) ||
                     (p->blocks[b].kernel.n == 0 && p->blocks[b].algo.n == 0);
        if (wanted)
            c->kernels[n++] = c->kernels[i];
    }
    c->kernel_count = n;
}

/* Counts know neither threads nor residency: rows are given, not derived from the caches of a host. */
static enum nb_status make_plan(struct job *j, struct nb_preset *preset, struct nb_err *err)
{
    const struct nb_topology t = nb_simulated_topology();
    enum nb_status s = nb_preset_set_all(preset, NB_KEY_THREADS, "1", err);
    if (s == NB_OK)
        s = nb_preset_set_all(preset, NB_KEY_RESIDENCY, "cold", err); /* which limits no shape */
    for (size_t b = 0; b < preset->count; b++)
        for (size_t r = 0; r < preset->blocks[b].rows.n; r++)
            if (preset->blocks[b].rows.v[r] == 0)
                preset->blocks[b].rows.v[r] = NB_COUNT_ROWS;
    if (s == NB_OK)
        s = nb_plan_make(&j->plan, preset, &t, err);
    for (size_t i = 0; s == NB_OK && i < j->plan.count; i++) {
        struct nb_cell *c = &j->plan.cells[i];
        static const char words[] = "-t1-cold";
        char *at = strstr(c->id, words);
        NB_ASSERT(at != NULL);
        memmove(at, at + sizeof words - 1, strlen(at + sizeof words - 1) + 1);
        c->residency = NB_L2;
        without_ceilings(c, preset);
    }
    return s;
}

/* Checks come first, so that a wrong kernel is known before minutes of counting. */
static enum nb_status check_and_count(struct job *j, struct nb_err *err)
{
    json_t *fates = json_array();
    double total = 0;
    enum nb_status s = start(j, NULL, err);
    for (size_t i = 0; s == NB_OK && i < j->plan.count; i++) {
        const struct nb_cell *cell = &j->plan.cells[i];
        j->fates = json_object();
        json_array_append_new(fates, j->fates);
        s = check_cell(j, cell, err);
        total += (double)(cell->kernel_count - json_object_size(j->fates));
    }
    j->fates = NULL;
    nb_client_stop(&j->client, s != NB_OK);
    nb_progress_begin(&j->progress, "counting", total, j->options->quiet);
    for (size_t i = 0; s == NB_OK && i < j->plan.count; i++)
        s = count_cell(j, &j->plan.cells[i], json_array_get(fates, i), err);
    nb_client_stop(&j->client, s != NB_OK);
    json_decref(fates);
    if (s == NB_OK)
        nb_progress_end(&j->progress);
    return interrupted ? NB_INTERRUPTED : s;
}

/* ---- tools and files ---- */

static const char GET_VALGRIND[] = "apt-get install valgrind";

static enum nb_status find_valgrind(struct job *j, struct nb_err *err)
{
    char *argv[] = {"valgrind", "--version", NULL};
    char text[256] = "";
    int status = 0;
    if (!nb_region_built())
        return nb_fail(err, "this program was built without valgrind/callgrind.h and cannot count: %s, then build "
                            "it again (cmake finds the header)", GET_VALGRIND);
    if (nb_child_run(argv, text, sizeof text, &status, NULL) != NB_OK || status != 0 ||
        sscanf(text, "valgrind-%31s", j->valgrind) != 1)
        return nb_fail(err, "`valgrind --version` does not answer; counts are made by valgrind: %s", GET_VALGRIND);
    return NB_OK;
}

/* Before a minute of counting: may the file be written? */
static enum nb_status can_write(const char *file, struct nb_err *err)
{
    const char *slash = strrchr(file, '/');
    char dir[NB_PATH];
    snprintf(dir, sizeof dir, "%.*s", slash != NULL ? (int)(slash - file) + 1 : 1, slash != NULL ? file : ".");
    return access(dir, W_OK) == 0 ? NB_OK
                                  : nb_fail(err, "--out %.400s: cannot write in %.400s: %s", file, dir,
                                            strerror(errno));
}

static enum nb_status write_out(const struct job *j, struct nb_err *err)
{
    const char *out = j->options->out, *dot = strrchr(out, '.');
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    if (dot != NULL && strcmp(dot, ".csv") == 0)
        nb_counts_write_csv(j->counts, f);
    else
        nb_counts_write_json(j->counts, f);
    NB_ASSERT(fclose(f) == 0);
    const char *slash = strrchr(out, '/');
    char dir[NB_PATH];
    snprintf(dir, sizeof dir, "%.*s", slash != NULL ? (int)(slash - out) + 1 : 1, slash != NULL ? out : ".");
    const enum nb_status s = nb_file_write(dir, slash != NULL ? slash + 1 : out, text, len, err);
    free(text);
    return s;
}

static void write_all(const struct job *j)
{
    if (j->options->json)
        nb_counts_write_json(j->counts, stdout);
    else if (!j->options->quiet)
        nb_counts_write_table(j->counts, stdout);
}

enum nb_status nb_count(struct nb_count_options *o, int *exit_code, struct nb_err *err)
{
    struct job j = {.options = o, .client = {.in = -1, .out = -1, .page_fd = -1}};
    enum nb_status s = o->out != NULL ? can_write(o->out, err) : NB_OK;
    if (s == NB_OK)
        s = make_plan(&j, &o->preset, err);
    if (s == NB_OK)
        s = find_valgrind(&j, err);
    if (s == NB_OK)
        s = nb_temp_folder(j.dir, err);
    if (s == NB_OK) {
        catch_signals();
        j.counts = nb_counts_head(j.valgrind);
        s = check_and_count(&j, err);
        nb_temp_remove(j.dir);
    }
    if (s == NB_OK && o->out != NULL)
        s = write_out(&j, err);
    if (s == NB_OK)
        write_all(&j);
    if (s == NB_INTERRUPTED)
        nb_fail(err, "interrupted");
    *exit_code = j.failed > 0 ? 2 : 0;
    json_decref(j.counts);
    nb_plan_free(&j.plan);
    return s;
}

/* ---- the command ---- */

enum option_key { KEY_PRESET = NB_OPTION_OTHERS, KEY_SEED, KEY_OUT, KEY_JSON, KEY_QUIET, KEY_TIMEOUT };

static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "What is counted (lists are comma-separated; default: the preset \"counts\", and 9 rows):", 1},
#define NB_SELECT NB_OPTION_SELECT
#define NB_SELECT_PLACE(KEY, name, arg, help) NB_OPTION_SELECT(KEY, name, arg, 0) /* to be refused with a reason */
#include "selection.def"
    {"preset", KEY_PRESET, "NAME|FILE", 0, "a sweep from presets/ or a file; the options above replace its keys", 1},
    {"seed", KEY_SEED, "N", 0, "of the data (default 1)", 1},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of a kernel without progress (default 120s)", 1},
    {0, 0, 0, 0, "Where it goes:", 3},
    {"out", KEY_OUT, "FILE", 0, "counts as NAME.json or NAME.csv (docs/schema.md)", 3},
    {"json", KEY_JSON, 0, 0, "the same JSON to stdout, in place of the table", 3},
    {"quiet", KEY_QUIET, 0, 0, "no progress and no table", 3},
    NB_OPTIONS_FOREIGN,
    {0}};

struct cli {
    struct nb_count_options o;
    struct nb_foreign foreign;
    const char *selection[NB_KEY_COUNT];
    const char *preset, *seed, *timeout;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {{KEY_PRESET, &c->preset}, {KEY_SEED, &c->seed},
                                           {KEY_OUT, &c->o.out}, {KEY_TIMEOUT, &c->timeout}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, c->selection) ||
        nb_foreign_option(&c->foreign, key, arg))
        return 0;
    if (key == KEY_JSON)
        c->o.json = true;
    else if (key == KEY_QUIET)
        c->o.quiet = true;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* What a count cannot depend on. */
static enum nb_status refuse(const struct cli *c, struct nb_err *err)
{
    if (c->selection[NB_KEY_THREADS] != NULL)
        return nb_fail(err, "--threads: one thread is counted; leave it out");
    if (c->selection[NB_KEY_RESIDENCY] != NULL)
        return nb_fail(err, "--residency: caches are simulated, and are warm; give --rows for more data");
    if (c->foreign.tune != NULL)
        return nb_fail(err, "--tune: a count is the same on every machine; `auto` chooses by the simulated caches");
    if (c->o.out != NULL && c->o.out[0] != '\0' && c->o.out[strlen(c->o.out) - 1] == '/')
        return nb_fail(err, "--out %s: names a folder; give a file", c->o.out);
    return NB_OK;
}

/* What is chosen is the best of what callgrind knows, and the same on hosts with AVX-512 and without. */
static enum nb_status without_avx512(struct nb_err *err)
{
    const char *before = getenv("NB_DISABLE_ISA");
    char words[256], bad[64];
    snprintf(words, sizeof words, "%s%savx512,avx512bf16", before != NULL ? before : "", before != NULL ? "," : "");
    setenv("NB_DISABLE_ISA", words, 1);
    return nb_cpu_init(bad, sizeof bad) == 0 ? NB_OK : nb_fail(err, "NB_DISABLE_ISA: unknown word \"%s\"", bad);
}

static enum nb_status prepare(struct cli *c, struct nb_err *err)
{
    size_t seed = 1;
    enum nb_status s = refuse(c, err);
    unsetenv("NB_TUNE");
    if (s == NB_OK)
        s = without_avx512(err);
    if (s == NB_OK)
        s = nb_foreign_load(&c->foreign, err);
    if (s == NB_OK)
        s = nb_preset_load(&c->o.preset, c->preset != NULL ? c->preset : "counts", err);
    if (s == NB_OK)
        s = nb_option_select(&c->o.preset, c->selection, err);
    if (s == NB_OK && c->seed != NULL)
        s = nb_parse_size("--seed", c->seed, 0, (size_t)1 << 62, &seed, err);
    c->o.preset.settings.seed = seed;
    c->o.timeout_s = 120;
    if (s == NB_OK && c->timeout != NULL)
        s = nb_parse_seconds("--timeout", c->timeout, &c->o.timeout_s, err);
    return s;
}

enum nb_status nb_cmd_count(int argc, char **argv, int *exit_code, struct nb_err *err)
{
    static const char DOC[] =
        "Counts what kernels execute: instructions, reads, writes, and misses of simulated caches, of one call "
        "under valgrind's callgrind. The same build gives the same counts, to the unit; no time is measured. "
        "callgrind has no AVX-512.\vExamples:\n"
        "  normbench count --out counts.json\n"
        "  normbench count --kernel '*onepass*avx2*' --dtype f32 --hidden 1024,4096";
    struct cli c = {.preset = NULL};
    nb_option_parse(OPTIONS, parse_option, NULL, DOC, argc, argv, &c);
    enum nb_status s = prepare(&c, err);
    if (s == NB_OK)
        s = nb_count(&c.o, exit_code, err);
    nb_preset_free(&c.o.preset);
    return s;
}
