#include "run.h"

#include "check.h"
#include "client.h"
#include "conditions.h"
#include "counters.h"
#include "cpu.h"
#include "execute.h"
#include "foreign.h"
#include "host.h"
#include "interrupt.h"
#include "plan.h"
#include "progress.h"
#include "registry.h"
#include "refuse.h"
#include "report.h"
#include "store.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/statvfs.h>

struct job {
    const struct nb_run_options *options;
    struct nb_topology topology;
    struct nb_plan plan;
    struct nb_store store;
    bool stored;           /* false: `check`, which prints instead */
    bool finished;         /* a resumed run of which nothing is missing */
    struct nb_client client;
    struct nb_cpulock lock;
    struct nb_progress progress;
    json_t *host;
    json_t *verdicts; /* cell: {kernel: verdict} */
    json_t *hashes;   /* cell: {kernel: hash of the checked output}; only of kernels that passed */
    json_t *done;     /* "process cell": true */
    json_t *attempts; /* "process cell": next attempt */
    json_t *spared;   /* "kernel cell": was not blamed once for a worker killed from outside */
    json_t *spent;    /* cell: {units, wall_ms, setup_ms} of screening */
    json_t *screen;   /* cell: {kernel: [ns a pass, one a screening process round]} */
    json_t *rounds;   /* lines of a screening unit that has not ended */
    json_t *disturbed; /* "process cell": how often it was thrown away for its conditions */
    size_t discards;  /* all of those */
    size_t checked[NB_VERDICT_COUNT];
    double setup_ms, warm_ms, timed_ms, wall_ms;
};

/* ---- verdicts ---- */

static void set_verdict(struct job *j, const char *cell, const char *kernel, const char *verdict,
                        const char *hash)
{
    json_t *verdicts = json_object_get(j->verdicts, cell);
    json_t *hashes = json_object_get(j->hashes, cell);
    if (verdicts == NULL) {
        json_object_set_new(j->verdicts, cell, verdicts = json_object());
        json_object_set_new(j->hashes, cell, hashes = json_object());
    }
    json_object_set_new(verdicts, kernel, json_string(verdict));
    if (strcmp(verdict, "PASS") == 0 && hash != NULL)
        json_object_set_new(hashes, kernel, json_string(hash));
    else
        json_object_del(hashes, kernel);
}

static void take_check(void *context, const json_t *line)
{
    const char *cell = json_string_value(json_object_get(line, "cell"));
    const char *kernel = json_string_value(json_object_get(line, "kernel"));
    const char *verdict = json_string_value(json_object_get(line, "verdict"));
    if (cell != NULL && kernel != NULL && verdict != NULL)
        set_verdict(context, cell, kernel, verdict,
                    json_string_value(json_object_get(line, "hash")));
}

/* The line of checks.jsonl that tells what happened to a kernel while it was timed. */
static enum nb_status condemn(struct job *j, const struct nb_cell *cell, const char *kernel,
                              enum nb_verdict verdict, const char *reason, struct nb_err *err)
{
    const struct nb_kernel *k = nb_kernel_find(kernel);
    struct nb_check_result r = {.verdict = verdict};
    if (k == NULL)
        return nb_fail(err, "a worker named an unknown kernel \"%.60s\"", kernel);
    snprintf(r.reason, sizeof(r.reason), "%s", reason);
    json_t *line = nb_check_to_json(cell, k, j->plan.settings.seed, &r, 0);
    take_check(j, line);
    enum nb_status s = NB_OK;
    if (j->stored)
        s = nb_store_line(&j->store, j->store.checks, line, err);
    json_decref(line);
    if (!j->options->quiet)
        fprintf(stderr, "\n%s: %s in %s: %s\n", nb_verdict_name(verdict), kernel, cell->id, reason);
    return s;
}

/* ---- talking to the worker ---- */

static enum nb_status need_client(struct job *j, struct nb_err *err)
{
    if (j->client.pid > 0)
        return NB_OK;
    nb_client_stop(&j->client, 1);
    return nb_client_start(&j->client, j->plan.settings.seed, err);
}

static void client_done(struct job *j)
{
    nb_client_stop(&j->client, 0);
}

/* What a worker said that ends a command: the caller's last line, death, silence, or an error. */
enum outcome { ENDED, DIED, SILENT, FAILED };

/* Hands lines to take() until it says that the command has ended. */
typedef bool (*line_taker)(struct job *j, const struct nb_cell *cell, const json_t *line,
                           enum nb_status *s, struct nb_err *err);

static enum outcome listen(struct job *j, const struct nb_cell *cell, double timeout_s,
                           line_taker take, char *how, size_t how_len, struct nb_err *err)
{
    for (;;) {
        json_t *line = NULL;
        enum nb_status s = NB_OK;
        switch (nb_client_hear(&j->client, timeout_s, &nb_interrupted, &line, how, how_len)) {
        case NB_HEARD_DEATH:
            return DIED;
        case NB_HEARD_SILENCE:
            return SILENT;
        case NB_HEARD_INTERRUPT:
            nb_client_stop(&j->client, 1);
            s = nb_fail(err, "interrupted");
            return FAILED;
        case NB_HEARD_LINE:
            break;
        }
        const char *type = json_string_value(json_object_get(line, "type"));
        const char *text = json_string_value(json_object_get(line, "text"));
        bool ended = false;
        if (type != NULL && strcmp(type, "error") == 0)
            s = nb_fail(err, "worker: %s", text != NULL ? text : "unknown error");
        else if (type != NULL && strcmp(type, "hello") != 0)
            ended = take(j, cell, line, &s, err);
        json_decref(line);
        if (s != NB_OK)
            return FAILED;
        if (ended)
            return ENDED;
    }
}

static enum nb_status send_command(struct job *j, json_t *command, struct nb_err *err)
{
    enum nb_status s = need_client(j, err);
    if (s == NB_OK && nb_client_send(&j->client, command, err) != NB_OK) {
        nb_client_stop(&j->client, 1); /* it died between two commands: try a fresh one once */
        s = need_client(j, err);
        if (s == NB_OK)
            s = nb_client_send(&j->client, command, err);
    }
    json_decref(command);
    return s;
}

/* ---- stage: check ---- */

static bool take_check_line(struct job *j, const struct nb_cell *cell, const json_t *line,
                            enum nb_status *s, struct nb_err *err)
{
    const char *type = json_string_value(json_object_get(line, "type"));
    if (strcmp(type, "checked") == 0)
        return true;
    if (strcmp(type, "check") != 0)
        return false;
    const char *verdict = json_string_value(json_object_get(line, "verdict"));
    const int v = verdict != NULL ? nb_verdict_parse(verdict) : -1;
    take_check(j, line);
    if (v >= 0)
        j->checked[v]++;
    if (j->stored)
        *s = nb_store_line(&j->store, j->store.checks, line, err);
    else if (j->options->json) {
        json_dumpf(line, stdout, JSON_COMPACT);
        putchar('\n');
    }
    if (v > NB_PASS && v <= NB_TIMED_OUT && !j->options->json)
        fprintf(stderr, "%s%s: %s in %s: %s\n", j->progress.terminal ? "\r\033[K" : "", verdict,
                json_string_value(json_object_get(line, "kernel")), cell->id,
                json_string_value(json_object_get(line, "reason")));
    nb_progress_step(&j->progress, 1, cell->id);
    return false;
}

static json_t *unchecked(struct job *j, const struct nb_cell *cell)
{
    json_t *kernels = json_array();
    const json_t *known = json_object_get(j->verdicts, cell->id);
    for (size_t i = 0; i < cell->kernel_count; i++)
        if (json_object_get(known, cell->kernels[i]->name) == NULL)
            json_array_append_new(kernels, json_string(cell->kernels[i]->name));
    return kernels;
}

/* The worker forks a child a kernel, so its own death means that it ran out of memory or the like. */
static enum nb_status check_cell(struct job *j, const struct nb_cell *cell, struct nb_err *err)
{
    char how[160] = "";
    json_t *kernels = unchecked(j, cell);
    if (json_array_size(kernels) == 0) {
        json_decref(kernels);
        return NB_OK;
    }
    enum nb_status s = send_command(
        j, json_pack("{ss so so sf}", "cmd", "check", "cell",
                     nb_cell_to_json(cell, &j->plan.settings), "kernels", kernels, "timeout_s",
                     j->options->timeout_s), err);
    if (s != NB_OK)
        return s;
    switch (listen(j, cell, 3 * j->options->timeout_s + 60, take_check_line, how, sizeof how, err)) {
    case ENDED:
        return NB_OK;
    case FAILED:
        return nb_interrupted ? NB_INTERRUPTED : NB_ERROR;
    default:
        return nb_fail(err, "the checking worker %s in cell %s; too little memory?", how, cell->id);
    }
}

static enum nb_status check_all(struct job *j, struct nb_err *err)
{
    double total = 0;
    enum nb_status s = NB_OK;
    for (size_t i = 0; i < j->plan.count; i++)
        total += (double)j->plan.cells[i].kernel_count;
    nb_progress_begin(&j->progress, "checking", total, j->options->quiet);
    for (size_t i = 0; s == NB_OK && i < j->plan.count; i++)
        s = check_cell(j, &j->plan.cells[i], err);
    client_done(j);
    if (s == NB_OK)
        nb_progress_end(&j->progress);
    return s;
}

/* ---- crashes and silence while timing ---- */

/* No kernel sends itself SIGKILL: somebody, or the kernel of the system short of memory, did. Once a
 * kernel and cell that is nobody's fault. */
static bool spare(struct job *j, const struct nb_cell *cell, const char *kernel, const char *how)
{
    char key[sizeof(j->client.page->kernel) + sizeof(cell->id) + 2];
    snprintf(key, sizeof key, "%s %s", kernel, cell->id);
    if (json_object_get(j->spared, key) != NULL)
        return false;
    json_object_set_new(j->spared, key, json_true());
    if (!j->options->quiet)
        fprintf(stderr, "\na worker was %s from outside in cell %s; trying once more\n", how, cell->id);
    return true;
}

/* Blames the kernel that the status page names and goes on without it. */
static enum nb_status blame(struct job *j, const struct nb_cell *cell, enum outcome outcome,
                            const char *how, struct nb_err *err)
{
    char kernel[sizeof(j->client.page->kernel)], reason[256];
    snprintf(kernel, sizeof kernel, "%s", j->client.page != NULL ? j->client.page->kernel : "");
    const bool killed = outcome == DIED && j->client.death == SIGKILL;
    nb_client_stop(&j->client, 1);
    if (killed && spare(j, cell, kernel, how))
        return NB_OK;
    if (json_object_get(json_object_get(j->hashes, cell->id), kernel) == NULL)
        return nb_fail(err, "a worker %s in cell %s while no kernel ran; too little memory?", how,
                       cell->id);
    snprintf(reason, sizeof reason, "%s while it was timed", how);
    return condemn(j, cell, kernel, outcome == SILENT ? NB_TIMED_OUT : NB_CRASHED, reason, err);
}

static enum nb_status condemn_mistrusted(struct job *j, const struct nb_cell *cell,
                                         const json_t *names, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    for (size_t i = 0; s == NB_OK && i < json_array_size(names); i++)
        s = condemn(j, cell, json_string_value(json_array_get(names, i)), NB_MISTRUSTED,
                    "its output while timed was not the one that was checked, or memory changed after it",
                    err);
    return s;
}

/* ---- stage: calibrate ---- */

static json_t *calibrated; /* the line of the cell just calibrated */

static bool take_calibration(struct job *j, const struct nb_cell *cell, const json_t *line,
                             enum nb_status *s, struct nb_err *err)
{
    const char *type = json_string_value(json_object_get(line, "type"));
    if (strcmp(type, "calibration") != 0)
        return false;
    *s = condemn_mistrusted(j, cell, json_object_get(line, "mistrusted"), err);
    json_decref(calibrated);
    calibrated = json_deep_copy(line);
    return true;
}

static enum nb_status calibrate_cell(struct job *j, const struct nb_cell *cell, double *pass_ns,
                                     double *setup_ns, struct nb_err *err)
{
    for (size_t attempt = 0; attempt <= 2 * cell->kernel_count + 1; attempt++) {
        char how[160] = "";
        enum nb_status s = send_command(
            j, json_pack("{ss so sO}", "cmd", "calibrate", "cell",
                         nb_cell_to_json(cell, &j->plan.settings), "hashes",
                         json_object_get(j->hashes, cell->id)), err);
        if (s != NB_OK)
            return s;
        const enum outcome o = listen(j, cell, j->options->timeout_s, take_calibration, how,
                                      sizeof how, err);
        if (o == FAILED)
            return nb_interrupted ? NB_INTERRUPTED : NB_ERROR;
        if (o == ENDED) {
            const json_t *times = json_object_get(calibrated, "pass_ns");
            for (size_t i = 0; i < cell->kernel_count; i++)
                pass_ns[i] = json_number_value(json_object_get(times, cell->kernels[i]->name));
            *setup_ns = json_number_value(json_object_get(calibrated, "setup_ns"));
            return NB_OK;
        }
        s = blame(j, cell, o, how, err);
        if (s != NB_OK)
            return s;
    }
    return nb_fail(err, "cell %s: every kernel crashed while it was calibrated", cell->id);
}

static enum nb_status save_plan(struct job *j, struct nb_err *err)
{
    json_t *json = nb_plan_to_json(&j->plan);
    NB_ASSERT(json != NULL);
    enum nb_status s = nb_store_json(&j->store, "plan.json", json, err);
    json_decref(json);
    return s;
}

/* On the screen, at once: cells that the budget does not reach for. */
static void tell_dropped(const struct nb_plan *plan, size_t from)
{
    for (size_t i = from; i < plan->dropped_count; i++)
        fprintf(stderr, "not measured: %s: %s\n", plan->dropped[i].cell, plan->dropped[i].reason);
}

static enum nb_status calibrate_all(struct job *j, struct nb_err *err)
{
    struct nb_plan *plan = &j->plan;
    enum nb_status s = NB_OK;
    struct nb_calibration cal = {calloc(plan->count, sizeof *cal.pass_ns),
                                 calloc(plan->count, sizeof *cal.setup_ns)};
    size_t *order = calloc(plan->count, sizeof *order);
    const size_t count = plan->count;
    NB_ASSERT(cal.pass_ns != NULL && cal.setup_ns != NULL && order != NULL);
    nb_plan_order(plan, 0, order);
    nb_progress_begin(&j->progress, "calibrating", (double)count, j->options->quiet);
    for (size_t i = 0; i < count; i++) {
        cal.pass_ns[i] = calloc(plan->cells[i].kernel_count, sizeof **cal.pass_ns);
        NB_ASSERT(cal.pass_ns[i] != NULL);
    }
    for (size_t i = 0; s == NB_OK && i < count; i++) {
        s = calibrate_cell(j, &plan->cells[order[i]], cal.pass_ns[order[i]],
                           &cal.setup_ns[order[i]], err);
        nb_progress_step(&j->progress, 1, plan->cells[order[i]].id);
    }
    client_done(j);
    const size_t dropped = plan->dropped_count;
    if (s == NB_OK) {
        nb_progress_end(&j->progress);
        s = nb_plan_calibrate(plan, &cal, err);
    }
    if (s == NB_OK)
        tell_dropped(plan, dropped);
    for (size_t i = 0; i < count; i++)
        free(cal.pass_ns[i]);
    free(cal.pass_ns);
    free(cal.setup_ns);
    free(order);
    return s == NB_OK ? save_plan(j, err) : s;
}

/* ---- stages: screen and measure ---- */

static void unit_key(unsigned process, const struct nb_cell *cell, char key[160])
{
    snprintf(key, 160, "%u %s", process, cell->id);
}

/* Screening samples as ns a pass, for the choice of winners. */
static void take_screen_round(struct job *j, const struct nb_cell *cell, const json_t *line)
{
    const size_t g = (size_t)json_integer_value(json_object_get(line, "group"));
    const json_t *ns = json_object_get(line, "ns");
    json_t *kernels = json_object_get(j->screen, cell->id);
    if (kernels == NULL)
        json_object_set_new(j->screen, cell->id, kernels = json_object());
    for (size_t m = 0; g < cell->group_count && m < cell->groups[g].count; m++) {
        const struct nb_member *mem = &cell->groups[g].members[m];
        const json_t *t = json_array_get(ns, m);
        json_t *list = json_object_get(kernels, mem->kernel->name);
        if (!json_is_number(t) || mem->role == NB_ROLE_AA || mem->role == NB_ROLE_COUNT)
            continue;
        if (list == NULL)
            json_object_set_new(kernels, mem->kernel->name, list = json_array());
        json_array_append_new(list, json_real(json_number_value(t) / mem->passes));
    }
}

static void add_spent(struct job *j, const struct nb_cell *cell, const json_t *line)
{
    static const char *const keys[] = {"wall_ms", "setup_ms"};
    json_t *seen = json_object_get(j->spent, cell->id);
    if (seen == NULL)
        json_object_set_new(j->spent, cell->id, seen = json_object());
    for (size_t i = 0; i < 2; i++)
        json_object_set_new(seen, keys[i],
                            json_real(json_number_value(json_object_get(seen, keys[i])) +
                                      json_number_value(json_object_get(line, keys[i]))));
    json_object_set_new(
        seen, "units", json_real(1 + json_number_value(json_object_get(seen, "units"))));
}

static bool is_for_conditions(const json_t *line)
{
    const char *cause = json_string_value(json_object_get(line, "cause"));
    return cause != NULL && strcmp(cause, "conditions") == 0;
}

static json_int_t times_disturbed(const struct job *j, const char *key)
{
    return json_integer_value(json_object_get(j->disturbed, key));
}

/* A unit that was thrown away took its time too. */
static void take_cost(struct job *j, const struct nb_cell *cell, unsigned process, const json_t *line)
{
    if (process < j->plan.settings.screening)
        add_spent(j, cell, line);
    j->setup_ms += json_number_value(json_object_get(line, "setup_ms"));
    j->warm_ms += json_number_value(json_object_get(line, "warm_ms"));
    j->timed_ms += json_number_value(json_object_get(line, "timed_ms"));
    j->wall_ms += json_number_value(json_object_get(line, "wall_ms"));
}

/* Lines of samples.jsonl, as they come or as they are read again by --resume. */
static void take_sample_line(void *context, const json_t *line)
{
    struct job *j = context;
    char key[160];
    const char *type = json_string_value(json_object_get(line, "type"));
    const char *id = json_string_value(json_object_get(line, "cell"));
    const struct nb_cell *cell = id != NULL ? nb_plan_find(&j->plan, id) : NULL;
    if (type == NULL || cell == NULL)
        return;
    const unsigned process = (unsigned)json_integer_value(json_object_get(line, "process"));
    unit_key(process, cell, key);
    if (strcmp(type, "begin") == 0) {
        json_object_set_new(j->attempts, key,
                            json_integer(json_integer_value(json_object_get(line, "attempt")) + 1));
        json_array_clear(j->rounds);
    } else if (strcmp(type, "round") == 0 && process < j->plan.settings.screening) {
        json_array_append_new(j->rounds, json_deep_copy(line));
    } else if (strcmp(type, "done") == 0) {
        json_object_set_new(j->done, key, json_true());
        for (size_t i = 0; i < json_array_size(j->rounds); i++)
            take_screen_round(j, cell, json_array_get(j->rounds, i));
        json_array_clear(j->rounds);
        take_cost(j, cell, process, line);
    } else if (strcmp(type, "discard") == 0) {
        if (is_for_conditions(line)) {
            json_object_set_new(j->disturbed, key, json_integer(times_disturbed(j, key) + 1));
            j->discards++;
        }
        take_cost(j, cell, process, line);
    }
}

/* ---- units thrown away for their conditions ---- */

/* Units of the whole run. */
static size_t planned_units(const struct nb_plan *plan)
{
    return plan->count * (plan->settings.screening + plan->settings.processes);
}

/* Why a disturbed unit is kept all the same; NULL: it is not. A unit that is disturbed each time has
 * conditions that are the rule here, and must not use up what others may need. */
static const char *kept_because(const struct job *j, const char *key)
{
    enum { TIMES = 3 };
    if (times_disturbed(j, key) >= TIMES)
        return "tries";
    return (double)(j->discards + 1) > NB_DISCARD_SHARE * (double)planned_units(&j->plan) ? "share" : NULL;
}

/* A finished unit that was disturbed is thrown away, by its conditions alone, and measured again; or kept
 * with a mark. Its samples stay in the file in either case. */
static json_t *judged(const struct job *j, const struct nb_cell *cell, const json_t *line)
{
    char key[160], why[128];
    json_t *out = json_copy((json_t *)line);
    NB_ASSERT(out != NULL);
    if (strcmp(json_string_value(json_object_get(line, "type")), "done") != 0 ||
        nb_conditions_verdict(json_object_get(line, "conditions"), why, sizeof why) == NULL)
        return out;
    unit_key((unsigned)json_integer_value(json_object_get(line, "process")), cell, key);
    const char *kept = kept_because(j, key);
    if (kept != NULL) {
        json_object_set_new(out, "kept", json_string(kept));
    } else {
        json_object_set_new(out, "type", json_string("discard"));
        json_object_set_new(out, "cause", json_string("conditions"));
    }
    json_object_set_new(out, kept != NULL ? "disturbed" : "reason", json_string(why));
    return out;
}

static bool take_unit_line(struct job *j, const struct nb_cell *cell, const json_t *line,
                           enum nb_status *s, struct nb_err *err)
{
    const char *type = json_string_value(json_object_get(line, "type"));
    json_t *kept = judged(j, cell, line);
    *s = nb_store_line(&j->store, j->store.samples, kept, err);
    if (*s == NB_OK)
        take_sample_line(j, kept);
    json_decref(kept);
    if (*s != NB_OK)
        return true;
    if (strcmp(type, "done") != 0 && strcmp(type, "discard") != 0)
        return false;
    *s = condemn_mistrusted(j, cell, json_object_get(line, "mistrusted"), err);
    return true;
}

static bool unit_is_done(struct job *j, unsigned process, const struct nb_cell *cell)
{
    char key[160];
    unit_key(process, cell, key);
    return json_object_get(j->done, key) != NULL;
}

static enum nb_status begin_unit(struct job *j, unsigned process, const struct nb_cell *cell,
                                 unsigned attempt, struct nb_err *err)
{
    const struct nb_settings *set = &j->plan.settings;
    json_t *begin = json_pack("{ss si ss si}", "type", "begin", "process", (int)process, "cell",
                              cell->id, "attempt", (int)attempt);
    enum nb_status s = nb_store_line(&j->store, j->store.samples, begin, err);
    take_sample_line(j, begin);
    json_decref(begin);
    if (s != NB_OK)
        return s;
    /* two processes count events: enough for a median, and the others keep their time for samples */
    const bool counters = process >= set->screening && process < set->screening + 2;
    return send_command(
        j,
        json_pack("{ss so si si si sb sb sO}", "cmd", "unit", "cell",
                  nb_cell_to_json(cell, set), "process", (int)process, "attempt", (int)attempt,
                  "rounds", (int)nb_plan_rounds(&j->plan, cell, process), "screening",
                  process < set->screening, "counters", counters, "hashes",
                  json_object_get(j->hashes, cell->id)),
        err);
}

/* One unit of work, retried without the guilty kernel until it ends. */
static enum nb_status run_unit(struct job *j, unsigned process, const struct nb_cell *cell,
                               struct nb_err *err)
{
    enum { ATTEMPTS = 20 };
    for (unsigned tries = 0; tries < ATTEMPTS && !unit_is_done(j, process, cell); tries++) {
        char key[160], how[160] = "";
        unit_key(process, cell, key);
        const unsigned attempt =
            (unsigned)json_integer_value(json_object_get(j->attempts, key));
        enum nb_status s = begin_unit(j, process, cell, attempt, err);
        if (s != NB_OK)
            return s;
        const enum outcome o = listen(j, cell, j->options->timeout_s, take_unit_line, how,
                                      sizeof how, err);
        if (o == FAILED)
            return nb_interrupted ? NB_INTERRUPTED : NB_ERROR;
        if (o == DIED || o == SILENT) {
            s = blame(j, cell, o, how, err);
            if (s != NB_OK)
                return s;
        }
    }
    if (!unit_is_done(j, process, cell))
        return nb_fail(err, "cell %s, process %u: %d attempts ended in a crash or a discard; see "
                            "checks.jsonl and samples.jsonl", cell->id, process, ATTEMPTS);
    return NB_OK;
}

static enum nb_status run_process(struct job *j, unsigned process, struct nb_err *err)
{
    const struct nb_plan *plan = &j->plan;
    size_t *order = calloc(plan->count, sizeof *order);
    enum nb_status s = NB_OK;
    char detail[192];
    NB_ASSERT(order != NULL);
    nb_plan_order(plan, process, order);
    for (size_t i = 0; s == NB_OK && i < plan->count; i++) {
        const struct nb_cell *cell = &plan->cells[order[i]];
        snprintf(detail, sizeof detail, "process %u of %u, %s", process + 1,
                 plan->settings.screening + plan->settings.processes, cell->id);
        if (!unit_is_done(j, process, cell))
            s = run_unit(j, process, cell, err);
        nb_progress_step(&j->progress, nb_plan_rounds(plan, cell, process) *
                                           (double)cell->group_count, detail);
    }
    free(order);
    client_done(j);
    return s;
}

/* Units that will have to be measured again for their conditions, for each that is still to come: as many as
 * in screening, up to what is allowed. */
static double expected_again(const struct job *j)
{
    const double coming = (double)j->plan.count * j->plan.settings.processes;
    const double allowed = NB_DISCARD_SHARE * (double)planned_units(&j->plan) - (double)j->discards;
    const double rate = (double)j->discards / fmax(1, (double)json_object_size(j->done));
    return fmax(0, fmin(rate, allowed / fmax(1, coming)));
}

/* Rounds again: what screening took, cell by cell, and what is left of the budget. A cell without a
 * finished screening unit keeps a guess of zero, which leaves its rounds at most. */
static void refit_rounds(struct job *j)
{
    struct nb_unit_cost *cost = calloc(j->plan.count, sizeof *cost);
    double spent = 0;
    NB_ASSERT(cost != NULL);
    for (size_t i = 0; i < j->plan.count; i++) {
        const struct nb_cell *cell = &j->plan.cells[i];
        const json_t *seen = json_object_get(j->spent, cell->id);
        const double units = json_number_value(json_object_get(seen, "units"));
        const double wall = json_number_value(json_object_get(seen, "wall_ms"));
        const double setup = json_number_value(json_object_get(seen, "setup_ms"));
        spent += wall / 1e3;
        cost[i].fixed_ns = units > 0 ? 1e6 * setup / units : 0;
        cost[i].round_ns =
            units > 0 ? fmax(1, 1e6 * (wall - setup) / units / cell->screen_rounds) : 1;
    }
    const size_t dropped = j->plan.dropped_count;
    nb_plan_refit(&j->plan, cost, fmax(1, (j->plan.settings.budget_s - spent) / (1 + expected_again(j))));
    tell_dropped(&j->plan, dropped);
    free(cost);
}

static enum nb_status choose_winners(struct job *j, struct nb_err *err)
{
    if (j->plan.settings.screening > 0)
        refit_rounds(j);
    for (size_t i = 0; i < j->plan.count; i++) {
        struct nb_cell *cell = &j->plan.cells[i];
        const json_t *samples = json_object_get(j->screen, cell->id);
        const json_t *hashes = json_object_get(j->hashes, cell->id);
        const bool weak = j->plan.settings.allow_weak;
        struct nb_winner winners[NB_OP_COUNT];
        for (uint32_t op = 0; op < NB_OP_COUNT; op++)
            winners[op] = nb_plan_fastest(cell, samples, hashes, op, weak);
        nb_plan_choose(cell, winners);
    }
    j->plan.state = NB_SCREENED;
    return save_plan(j, err);
}

/* Rounds of all groups from this process on: what progress is counted in. */
static double rounds_left(const struct nb_plan *plan, unsigned from)
{
    double rounds = 0;
    for (unsigned p = from; p < plan->settings.screening + plan->settings.processes; p++)
        for (size_t i = 0; i < plan->count; i++)
            rounds += nb_plan_rounds(plan, &plan->cells[i], p) * (double)plan->cells[i].group_count;
    return rounds;
}

static enum nb_status measure_all(struct job *j, struct nb_err *err)
{
    const struct nb_settings *set = &j->plan.settings;
    enum nb_status s = NB_OK;
    nb_progress_begin(&j->progress, "measuring", rounds_left(&j->plan, 0),
                      j->options->quiet);
    for (unsigned p = 0; s == NB_OK && p < set->screening + set->processes; p++) {
        if (p == set->screening && j->plan.state < NB_SCREENED) {
            s = choose_winners(j, err);
            j->progress.total = j->progress.done + rounds_left(&j->plan, p);
        }
        if (s == NB_OK)
            s = run_process(j, p, err);
    }
    if (s == NB_OK)
        nb_progress_end(&j->progress);
    return s;
}

/* ---- the job ---- */

static enum nb_status job_begin(struct job *j, const struct nb_run_options *o, struct nb_err *err)
{
    *j = (struct job){.options = o, .store = {.checks = -1, .samples = -1}};
    j->client = (struct nb_client){.in = -1, .out = -1, .page_fd = -1};
    j->verdicts = json_object();
    j->hashes = json_object();
    j->done = json_object();
    j->attempts = json_object();
    j->spared = json_object();
    j->screen = json_object();
    j->rounds = json_array();
    j->disturbed = json_object();
    j->spent = json_object();
    nb_catch_signals();
    return nb_topology_load(&j->topology, err);
}

static void job_end(struct job *j)
{
    json_t *all[] = {j->host, j->verdicts, j->hashes, j->done, j->attempts, j->spared, j->screen,
                     j->spent, j->rounds, j->disturbed};
    nb_client_stop(&j->client, 1);
    nb_store_close(&j->store);
    nb_cpulock_release(&j->lock);
    nb_client_unbind(); /* whoever asked for the run goes on in this process */
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
    nb_plan_free(&j->plan);
    nb_topology_free(&j->topology);
}

/* The orchestrator listens on the last core, away from single-threaded cells. */
static enum nb_status take_cores(struct job *j, struct nb_err *err)
{
    const unsigned threads = nb_plan_threads(&j->plan);
    nb_counters_init(); /* on one core alone nothing could be proved about migrations */
    enum nb_status s = nb_cpulock_take(&j->topology, threads, &j->lock, err);
    if (s == NB_OK && j->topology.cores > 1)
        s = nb_topology_bind(&j->topology, j->topology.cores - 1, err);
    return s;
}

static double samples_bytes(const struct nb_plan *plan)
{
    double bytes = 0;
    for (size_t i = 0; i < plan->count; i++)
        for (size_t k = 0; k < plan->cells[i].kernel_count; k++)
            bytes += (plan->settings.processes + plan->settings.screening) *
                     (plan->settings.rounds * 22.0 + 2 * 350.0 / plan->settings.processes);
    return bytes;
}

/* Says what is coming, and refuses a disk that is too small for it. */
static enum nb_status estimate(const struct job *j, struct nb_err *err)
{
    const struct nb_plan *plan = &j->plan;
    struct statvfs disk;
    size_t comparisons = 0;
    const double bytes = samples_bytes(plan) + 2e6;
    for (size_t i = 0; i < plan->count; i++)
        comparisons += plan->cells[i].kernel_count;
    if (!j->options->quiet) {
        fprintf(stderr, "%zu cells, %zu comparisons, %u + %u processes; ", plan->count, comparisons,
                plan->settings.screening, plan->settings.processes);
        if (plan->settings.budget_s > 0)
            fprintf(stderr, "%.0f s for measuring after the checks; ", plan->settings.budget_s);
        fprintf(stderr, "at most %.0f MB on disk\nresults in %s\n", bytes / 1e6 + 1, j->store.dir);
    }
    if (statvfs(j->store.dir, &disk) == 0 && (double)disk.f_bavail * (double)disk.f_frsize < bytes)
        return nb_fail(err, "%s has %.0f MB free, this run needs up to %.0f MB; choose another disk "
                            "with --out", j->store.dir,
                       (double)disk.f_bavail * (double)disk.f_frsize / 1e6, bytes / 1e6);
    return NB_OK;
}

/* A run that was resumed has the reasons of each time. */
static void mark_forced(json_t *host, const json_t *reasons)
{
    json_t *forced = json_object_get(host, "forced"), *reason;
    size_t i;
    if (json_array_size(reasons) > 0 && forced == NULL)
        json_object_set_new(host, "forced", forced = json_array());
    json_array_foreach(reasons, i, reason)
        json_array_append(forced, reason);
}

/* Behind take_cores: another run of this program would look like any busy process. */
static enum nb_status refuse(struct job *j, struct nb_err *err)
{
    json_t *reasons = json_array();
    NB_ASSERT(reasons != NULL && j->host != NULL);
    enum nb_status s = nb_refuse(&j->topology, nb_plan_threads(&j->plan), j->options->force, reasons, err);
    if (s == NB_OK)
        mark_forced(j->host, reasons);
    for (size_t i = 0; s == NB_OK && !j->options->quiet && i < json_array_size(reasons); i++)
        fprintf(stderr, "forced: %s\n", json_string_value(json_array_get(reasons, i)));
    json_decref(reasons);
    return s;
}

static enum nb_status new_run(struct job *j, struct nb_err *err)
{
    enum nb_status s = nb_plan_make(&j->plan, &j->options->preset, &j->topology, err);
    if (s == NB_OK)
        s = take_cores(j, err);
    if (s != NB_OK)
        return s;
    j->plan.command = strdup(j->options->command);
    j->host = nb_host_facts(&j->topology);
    NB_ASSERT(j->host != NULL && j->plan.command != NULL);
    json_object_set_new(j->host, "before", nb_host_moment());
    json_object_set_new(j->host, "after", json_null());
    const char *host = json_string_value(json_object_get(j->host, "host"));
    s = refuse(j, err);
    if (s == NB_OK)
        s = nb_store_create(&j->store, j->options->out, host != NULL ? host : "host", j->plan.id, err);
    if (s == NB_OK)
        s = estimate(j, err);
    if (s == NB_OK)
        s = nb_store_json(&j->store, "host.json", j->host, err);
    return s == NB_OK ? save_plan(j, err) : s;
}

static enum nb_status load_json(const char *dir, const char *name, json_t **json,
                                struct nb_err *err)
{
    char path[4200];
    json_error_t e;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    *json = json_load_file(path, 0, &e);
    return *json != NULL ? NB_OK
                         : nb_fail(err, "%s is no run that can be resumed: %s:%d: %s", dir, path,
                                   e.line, e.text);
}

static enum nb_status same_machine(struct job *j, const char *dir, struct nb_err *err)
{
    json_t *now = nb_host_facts(&j->topology);
    NB_ASSERT(now != NULL);
    const bool program = json_equal(json_object_get(j->host, "binary"), json_object_get(now, "binary"));
    const char *other = program ? nb_host_differs(j->host, now) : "program";
    json_decref(now);
    if (other == NULL)
        return NB_OK;
    return nb_fail(err, "%s was measured with another %s; a run is continued only by the same program "
                        "on the same machine. Start a new one", dir, other);
}

/* Another plan than the one begun would mix two experiments. */
static enum nb_status same_plan(struct job *j, const char *dir, struct nb_err *err)
{
    struct nb_plan asked;
    struct nb_preset preset = j->options->preset;
    if (!j->options->selection_given)
        return NB_OK;
    preset.settings = j->plan.settings; /* a resumed run keeps its own */
    enum nb_status s = nb_plan_make(&asked, &preset, &j->topology, err);
    if (s == NB_OK && strcmp(asked.id, j->plan.id) != 0)
        s = nb_fail(err, "%s has another plan (%s) than the selection given (%s); --resume needs no "
                         "selection", dir, j->plan.id, asked.id);
    nb_plan_free(&asked);
    return s;
}

static enum nb_status enough_cores(const struct job *j, const char *dir, struct nb_err *err)
{
    const unsigned threads = nb_plan_threads(&j->plan);
    if (threads <= j->topology.cores)
        return NB_OK;
    return nb_fail(err, "%s needs %u cores, but this process may use %u; give it as many as the run "
                        "began with", dir, threads, j->topology.cores);
}

/* Its end was written, and nothing that the plan wants is missing. */
static bool is_finished(struct job *j)
{
    const struct nb_plan *plan = &j->plan;
    if (!json_is_object(json_object_get(j->host, "after")) || plan->state != NB_SCREENED)
        return false;
    for (size_t i = 0; i < plan->count; i++) {
        json_t *missing = unchecked(j, &plan->cells[i]);
        bool whole = json_array_size(missing) == 0;
        json_decref(missing);
        for (unsigned p = 0; whole && p < plan->settings.screening + plan->settings.processes; p++)
            whole = unit_is_done(j, p, &plan->cells[i]);
        if (!whole)
            return false;
    }
    return true;
}

static enum nb_status resumed_run(struct job *j, struct nb_err *err)
{
    const char *dir = j->options->resume;
    json_t *plan = NULL;
    enum nb_status s = nb_store_reopen(&j->store, dir, err);
    if (s == NB_OK)
        s = load_json(dir, "host.json", &j->host, err);
    if (s == NB_OK)
        s = same_machine(j, dir, err);
    if (s == NB_OK)
        s = load_json(dir, "plan.json", &plan, err);
    if (s == NB_OK)
        s = nb_foreign_resume(plan, dir, err);
    if (s == NB_OK)
        s = nb_plan_from_json(&j->plan, plan, err);
    json_decref(plan);
    if (s == NB_OK)
        s = same_plan(j, dir, err);
    if (s == NB_OK)
        s = enough_cores(j, dir, err);
    if (s == NB_OK)
        s = nb_store_each(dir, "checks.jsonl", take_check, j, err);
    if (s == NB_OK)
        s = nb_store_each(dir, "samples.jsonl", take_sample_line, j, err);
    if (s != NB_OK)
        return s;
    j->finished = is_finished(j);
    if (j->finished) {
        if (!j->options->quiet)
            fprintf(stderr, "%s is finished: nothing is measured, its raw files stay as they are; its "
                            "report is made again\n", dir);
        return NB_OK;
    }
    s = take_cores(j, err);
    if (s == NB_OK)
        s = refuse(j, err);
    if (s == NB_OK)
        s = nb_store_cut(&j->store, err);
    if (s == NB_OK && json_object_get(j->host, "forced") != NULL)
        s = nb_store_json(&j->store, "host.json", j->host, err);
    if (s == NB_OK && !j->options->quiet)
        fprintf(stderr, "continuing %s: %zu units are done already\n", dir, json_object_size(j->done));
    return s;
}

/* Where the time of the measuring processes went. */
static void print_cost(const struct job *j)
{
    const double harness = j->wall_ms - j->setup_ms - j->warm_ms - j->timed_ms;
    fprintf(stderr,
            "measuring took %.1f s: samples %.1f s, warm-up and untimed passes %.1f s, first touch and "
            "verification %.1f s, the harness itself %.1f s (%.1f %%)\n",
            j->wall_ms / 1e3, j->timed_ms / 1e3, j->warm_ms / 1e3, j->setup_ms / 1e3, harness / 1e3,
            100 * harness / fmax(1, j->wall_ms));
}

static enum nb_status finish(struct job *j, int *exit_code, struct nb_err *err)
{
    struct nb_report_counts n;
    enum nb_status s = NB_OK;
    if (!j->finished) {
        json_object_set_new(j->host, "after", nb_host_moment());
        s = nb_store_json(&j->store, "host.json", j->host, err);
        if (s == NB_OK && !j->options->quiet)
            print_cost(j);
    }
    if (s == NB_OK)
        s = nb_report(j->store.dir, j->options->quiet ? NULL : stdout, err);
    if (s == NB_OK)
        s = nb_report_counts(j->store.dir, &n, err);
    if (s == NB_OK)
        *exit_code = nb_report_exit_code(&n);
    return s;
}

/* What was written stays; tells how to go on. */
static enum nb_status stopped(struct job *j, enum nb_status s, struct nb_err *err)
{
    const bool usable = j->stored && j->store.samples >= 0;
    if (s == NB_INTERRUPTED)
        nb_fail(err, "interrupted%s%s%s", usable ? "; nothing that was measured is lost: continue with "
                "`normbench run --resume " : "", usable ? j->store.dir : "", usable ? "`" : "");
    else if (usable && strlen(err->text) < sizeof(err->text) - 300) {
        const size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof(err->text) - used,
                 "; what was measured is kept: continue with `normbench run --resume %.200s`",
                 j->store.dir);
    }
    return s;
}

enum nb_status nb_run(const struct nb_run_options *o, int *exit_code, struct nb_err *err)
{
    struct job j;
    enum nb_status s = job_begin(&j, o, err);
    if (s == NB_OK)
        s = o->resume != NULL ? resumed_run(&j, err) : new_run(&j, err);
    const bool started = s == NB_OK;
    j.stored = started;
    if (s == NB_OK && !j.finished)
        s = check_all(&j, err);
    if (s == NB_OK && j.plan.state == NB_PLANNED)
        s = calibrate_all(&j, err);
    if (s == NB_OK && !j.finished)
        s = measure_all(&j, err);
    if (s == NB_OK)
        s = finish(&j, exit_code, err);
    if (s != NB_OK && started)
        s = stopped(&j, s, err);
    job_end(&j);
    return s;
}

static void print_checks(const struct job *j)
{
    printf("%zu PASS", j->checked[NB_PASS]);
    for (int v = 0; v < NB_VERDICT_COUNT; v++)
        if (v != NB_PASS && j->checked[v] > 0)
            printf(", %zu %s", j->checked[v], nb_verdict_name((enum nb_verdict)v));
    printf("\n");
}

enum nb_status nb_run_check(const struct nb_run_options *o, int *exit_code, struct nb_err *err)
{
    struct job j;
    enum nb_status s = job_begin(&j, o, err);
    for (size_t i = 0; i < o->preset.count; i++)
        o->preset.blocks[i].references = true;
    if (s == NB_OK)
        s = nb_plan_make(&j.plan, &o->preset, &j.topology, err);
    if (s == NB_OK)
        s = check_all(&j, err);
    if (s == NB_OK && !o->json)
        print_checks(&j);
    size_t bad = 0;
    for (int v = NB_FAIL_VALUE; v <= NB_TIMED_OUT; v++)
        bad += j.checked[v];
    *exit_code = bad + j.checked[NB_UNTESTED] > 0 ? 2 : 0;
    if (s == NB_INTERRUPTED)
        nb_fail(err, "interrupted");
    job_end(&j);
    return s;
}
