#define _GNU_SOURCE /* memfd_create */
#include "gate_arm.h"

#include "child.h"
#include "plugin.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a build, asked on its command line ---- */

static enum nb_status is_program(const struct nb_arm *arm, struct nb_err *err)
{
    struct stat st;
    const char *path = arm->program.path;
    if (path == NULL)
        return NB_OK;
    if (stat(path, &st) != 0)
        return nb_fail(err, "--%s %s: %s; give the path of a normbench program", arm->label, path, strerror(errno));
    if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
        return nb_fail(err, "--%s %s: is no program that may be executed", arm->label, path);
    return NB_OK;
}

/* What it prints on stdout; NULL: it failed, and *code tells its exit status, 128 and its signal, or 127 where it
 * could not be started. words: behind the program's name, NULL behind the last. */
static char *output_of(const struct nb_arm *arm, const char *const *words, int *code)
{
    enum { WORDS = 8, ROOM = 1 << 24 };
    char self[] = "/proc/self/exe", *argv[WORDS] = {arm->program.path != NULL ? (char *)(uintptr_t)arm->program.path : self};
    char *text = malloc(ROOM);
    struct nb_err err;
    int status = 0;
    NB_ASSERT(text != NULL);
    for (size_t i = 0; words[i] != NULL && i + 2 < WORDS; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    const bool started = nb_child_run(argv, text, ROOM, &status, &err) == NB_OK;
    *code = !started ? 127 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (*code == 0)
        return text;
    free(text);
    return NULL;
}

static enum nb_status cannot_run(const struct nb_arm *arm, int code, struct nb_err *err)
{
    const char *path = arm->program.path != NULL ? arm->program.path : "this program";
    if (code == 126 || code == 127)
        return nb_fail(err, "--%s %s: cannot be run here: no program for this machine, or a library of it is missing "
                            "(`file` and `ldd` tell)", arm->label, path);
    if (code == 128 + SIGILL)
        return nb_fail(err, "--%s %s: ends with an illegal instruction: it was built for another CPU; build it "
                            "here", arm->label, path);
    return nb_fail(err, "--%s %s: `--version` fails (%s %d): is it a normbench program?", arm->label, path,
                   code > 128 ? "signal" : "exit code", code > 128 ? code - 128 : code);
}

static enum nb_status ask_version(struct nb_arm *arm, struct nb_err *err)
{
    const char *const words[] = {"--version", NULL};
    int code;
    char *text = output_of(arm, words, &code);
    if (text == NULL)
        return cannot_run(arm, code, err);
    text[strcspn(text, "\n")] = '\0';
    const bool ours = strncmp(text, "normbench ", 10) == 0;
    arm->version = ours ? json_string(text) : NULL;
    free(text);
    return arm->version != NULL ? NB_OK
                                : nb_fail(err, "--%s %s: is no normbench program: `--version` prints something else",
                                          arm->label, arm->program.path);
}

/* `list kernels --json`, with its plugin if it has one. */
static enum nb_status ask_kernels(struct nb_arm *arm, const char *plugin, struct nb_err *err)
{
    const char *const words[] = {"list", "kernels", "--json", plugin != NULL ? "--plugin" : NULL, plugin, NULL};
    int code;
    char *text = output_of(arm, words, &code);
    json_t *all = text != NULL ? json_loads(text, 0, NULL) : NULL;
    free(text);
    arm->names = json_object();
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *k = json_array_get(all, i);
        const char *kernel = json_string_value(json_object_get(k, "name"));
        if (kernel != NULL && json_is_true(json_object_get(k, "runnable")))
            json_object_set_new(arm->names, kernel, json_true());
    }
    json_decref(all);
    return json_object_size(arm->names) > 0
               ? NB_OK
               : nb_fail(err, "--%s: it lists no kernels (`%s list kernels --json%s%s`)", arm->label,
                         arm->program.path != NULL ? arm->program.path : "normbench",
                         plugin != NULL ? " --plugin " : "", plugin != NULL ? plugin : "");
}

/* ---- its worker ---- */

enum nb_status nb_arm_start(struct nb_arm *arm, struct nb_err *err)
{
    if (arm->client.pid > 0)
        return NB_OK;
    nb_client_stop(&arm->client, 1);
    return nb_client_start_program(&arm->client, &arm->program, arm->seed, err);
}

/* The newest protocol that both speak, by trying: a worker refuses what it does not know. */
static enum nb_status greet(struct nb_arm *arm, struct nb_err *err)
{
    char how[160] = "", said[512] = "";
    for (int p = NB_PROTOCOL; p >= NB_PROTOCOL_OLDEST; p--) {
        json_t *line = NULL;
        arm->program.protocol = p;
        enum nb_status s = nb_arm_start(arm, err);
        if (s != NB_OK)
            return s;
        const enum nb_heard heard =
            nb_client_hear(&arm->client, arm->timeout_s, arm->interrupted, &line, how, sizeof how);
        const char *type = json_string_value(json_object_get(line, "type"));
        const char *text = json_string_value(json_object_get(line, "text"));
        const bool agreed = type != NULL && strcmp(type, "hello") == 0;
        snprintf(said, sizeof said, "%s", text != NULL ? text : how);
        json_decref(line);
        nb_client_stop(&arm->client, heard != NB_HEARD_LINE);
        if (heard == NB_HEARD_INTERRUPT)
            return NB_INTERRUPTED;
        if (agreed)
            return NB_OK;
    }
    return nb_fail(err, "--%s %s: its worker speaks no protocol from %d to %d (%s); build it from a newer revision",
                   arm->label, arm->program.path != NULL ? arm->program.path : "this program", NB_PROTOCOL_OLDEST,
                   NB_PROTOCOL, said);
}

/* Base's plugin instead of those that this process has loaded. */
static enum nb_status set_words(struct nb_arm *arm, const char *plugin, struct nb_err *err)
{
    struct nb_plugin_file file;
    static char option[] = "--plugin";
    if (plugin == NULL) {
        arm->program.word_count = nb_foreign_words(arm->words);
        return NB_OK;
    }
    enum nb_status s = nb_plugin_inspect(plugin, &file, err);
    if (s != NB_OK)
        return s;
    snprintf(arm->plugin_word, sizeof arm->plugin_word, "%s:%s", file.hash, file.path);
    arm->words[0] = option;
    arm->words[1] = arm->plugin_word;
    arm->program.word_count = 2;
    return NB_OK;
}

enum nb_status nb_arm_open(struct nb_arm *arm, const char *label, const char *path, const char *plugin,
                           uint64_t seed, struct nb_err *err)
{
    arm->label = label;
    arm->program.path = path;
    arm->program.words = arm->words;
    arm->program.naps = 1;
    arm->seed = seed;
    arm->stream_fd = memfd_create("normbench-stream", MFD_CLOEXEC);
    arm->client = (struct nb_client){.in = -1, .out = -1, .page_fd = -1};
    arm->verdicts = json_object();
    arm->reasons = json_object();
    arm->hashes = json_object();
    enum nb_status s = is_program(arm, err);
    if (s == NB_OK)
        s = set_words(arm, plugin, err);
    if (s == NB_OK)
        s = ask_version(arm, err);
    if (s == NB_OK)
        s = ask_kernels(arm, plugin, err);
    return s == NB_OK ? greet(arm, err) : s;
}

void nb_arm_close(struct nb_arm *arm)
{
    nb_client_stop(&arm->client, 1);
    if (arm->stream_fd >= 0)
        close(arm->stream_fd);
    json_t *all[] = {arm->names, arm->verdicts, arm->reasons, arm->hashes, arm->version};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
}

void nb_arm_end_process(struct nb_arm *arm, bool by_force)
{
    nb_client_stop(&arm->client, by_force);
}

/* Sends a command and hears lines until one of the types that end it. NULL: outcome and err tell. */
struct talk {
    const char *ends[3]; /* types; NULL: fewer */
    void (*take)(void *context, const json_t *line);
    void *context;
};

static bool ends(const struct talk *t, const char *type)
{
    for (size_t i = 0; type != NULL && i < 3 && t->ends[i] != NULL; i++)
        if (strcmp(type, t->ends[i]) == 0)
            return true;
    return false;
}

static json_t *converse(struct nb_arm *arm, json_t *command, const struct talk *t, double timeout_s,
                        enum nb_heard *heard, char how[160], struct nb_err *err)
{
    json_t *line = NULL;
    *heard = NB_HEARD_LINE;
    err->text[0] = '\0';
    enum nb_status s = nb_arm_start(arm, err);
    if (s == NB_OK)
        s = nb_client_send(&arm->client, command, err);
    json_decref(command);
    while (s == NB_OK) {
        *heard = nb_client_hear(&arm->client, timeout_s, arm->interrupted, &line, how, 160);
        if (*heard != NB_HEARD_LINE)
            return NULL;
        const char *type = json_string_value(json_object_get(line, "type"));
        const char *text = json_string_value(json_object_get(line, "text"));
        if (type != NULL && strcmp(type, "error") == 0)
            s = nb_fail(err, "%s's worker: %s", arm->label, text != NULL ? text : "unknown error");
        else if (type != NULL && strcmp(type, "hello") != 0)
            t->take(t->context, line);
        if (s == NB_OK && ends(t, type))
            return line;
        json_decref(line);
    }
    return NULL;
}

static enum nb_status lost(const struct nb_arm *arm, enum nb_heard heard, const char *how, const char *what,
                           struct nb_err *err)
{
    if (heard == NB_HEARD_INTERRUPT)
        return NB_INTERRUPTED;
    if (heard == NB_HEARD_LINE) /* err tells */
        return NB_ERROR;
    const char *kernel = arm->client.page != NULL ? arm->client.page->kernel : "";
    return nb_fail(err, "%s's worker %s while %s%s%s", arm->label, how, what, kernel[0] ? ", in " : "", kernel);
}

/* ---- checks ---- */

struct checking {
    struct nb_arm *arm;
    const char *cell;
};

static json_t *of_cell(json_t *all, const char *cell)
{
    json_t *o = json_object_get(all, cell);
    if (o == NULL)
        json_object_set_new(all, cell, o = json_object());
    return o;
}

static void take_check(void *context, const json_t *line)
{
    const struct checking *c = context;
    const char *kernel = json_string_value(json_object_get(line, "kernel"));
    const char *verdict = json_string_value(json_object_get(line, "verdict"));
    if (kernel == NULL || verdict == NULL)
        return;
    json_object_set_new(of_cell(c->arm->verdicts, c->cell), kernel, json_string(verdict));
    if (strcmp(verdict, "PASS") == 0)
        json_object_set(of_cell(c->arm->hashes, c->cell), kernel, json_object_get(line, "hash"));
    else
        json_object_set(of_cell(c->arm->reasons, c->cell), kernel, json_object_get(line, "reason"));
}

/* The cell with those of its kernels that this build has: it refuses names that it does not know. */
static json_t *known_part(const struct nb_arm *arm, const struct nb_cell *cell, const struct nb_settings *set,
                          json_t **names)
{
    json_t *json = nb_cell_to_json(cell, set);
    *names = json_array();
    for (size_t i = 0; i < cell->kernel_count; i++)
        if (json_object_get(arm->names, cell->kernels[i]->name) != NULL)
            json_array_append_new(*names, json_string(cell->kernels[i]->name));
    json_object_set(json, "kernels", *names);
    json_object_set_new(json, "groups", json_array());
    json_object_set_new(json, "pairings", json_array());
    return json;
}

enum nb_status nb_arm_check(struct nb_arm *arm, const struct nb_cell *cell, const struct nb_settings *set,
                            struct nb_err *err)
{
    char how[160] = "";
    enum nb_heard heard;
    json_t *names, *json = known_part(arm, cell, set, &names);
    struct checking c = {arm, cell->id};
    const struct talk t = {{"checked"}, take_check, &c};
    json_t *command = json_pack("{ss so so sf}", "cmd", "check", "cell", json, "kernels", names, "timeout_s",
                                arm->timeout_s);
    json_t *end = converse(arm, command, &t, 3 * arm->timeout_s + 60, &heard, how, err);
    json_decref(end);
    return end != NULL ? NB_OK : lost(arm, heard, how, "it checked kernels; too little memory?", err);
}

/* ---- times ---- */

static void ignore(void *context, const json_t *line)
{
    (void)context;
    (void)line;
}

enum nb_status nb_arm_calibrate(struct nb_arm *arm, const struct nb_cell *cell, const struct nb_settings *set,
                                double *pass_ns, struct nb_err *err)
{
    char how[160] = "";
    enum nb_heard heard;
    json_t *names, *json = known_part(arm, cell, set, &names);
    const struct talk t = {{"calibration"}, ignore, NULL};
    json_decref(names);
    json_t *end = converse(arm,
                           json_pack("{ss so sO}", "cmd", "calibrate", "cell", json, "hashes",
                                     of_cell(arm->hashes, cell->id)),
                           &t, arm->timeout_s, &heard, how, err);
    if (end == NULL)
        return lost(arm, heard, how, "it was calibrated", err);
    const json_t *times = json_object_get(end, "pass_ns");
    for (size_t i = 0; i < cell->kernel_count; i++)
        pass_ns[i] = json_number_value(json_object_get(times, cell->kernels[i]->name));
    json_decref(end);
    return NB_OK;
}

static enum nb_arm_outcome fell(struct nb_arm *arm, struct nb_arm_unit *u, enum nb_heard heard)
{
    if (heard == NB_HEARD_LINE || heard == NB_HEARD_INTERRUPT) {
        nb_client_stop(&arm->client, 1);
        return NB_ARM_ERROR;
    }
    if (arm->client.page != NULL)
        snprintf(u->kernel, sizeof u->kernel, "%s", arm->client.page->kernel);
    const bool killed = heard == NB_HEARD_DEATH && arm->client.death == SIGKILL;
    nb_client_stop(&arm->client, 1);
    return killed ? NB_ARM_KILLED : NB_ARM_DIED;
}

static enum nb_arm_outcome outcome_of(json_t *end)
{
    const char *type = json_string_value(json_object_get(end, "type"));
    const enum nb_arm_outcome o = strcmp(type, "ready") == 0  ? NB_ARM_READY
                                  : strcmp(type, "done") == 0 ? NB_ARM_DONE
                                                              : NB_ARM_DISCARDED;
    json_decref(end);
    return o;
}

static enum nb_arm_outcome say(struct nb_arm *arm, struct nb_arm_unit *u, json_t *command, struct nb_err *err)
{
    enum nb_heard heard;
    const struct talk t = {{"ready", "done", "discard"}, u->take, u->context};
    json_t *end = converse(arm, command, &t, arm->timeout_s, &heard, u->how, err);
    return end != NULL ? outcome_of(end) : fell(arm, u, heard);
}

static json_t *unit_command(const struct nb_arm *arm, const struct nb_arm_unit *u, unsigned rounds)
{
    const char *cell = json_string_value(json_object_get(u->cell, "id"));
    char stream[64];
    snprintf(stream, sizeof stream, "/proc/%ld/fd/%d", (long)getpid(), arm->stream_fd);
    return json_pack("{ss sO si si si sb sb si ss* ss* sO}", "cmd", "unit", "cell", u->cell, "process", (int)u->process,
                     "attempt", 0, "rounds", (int)rounds, "screening", 0, "counters", 0, "turns", (int)u->turns,
                     "memory", u->memory, "stream", arm->stream_fd >= 0 ? stream : NULL, "hashes", json_object_get(arm->hashes, cell));
}

enum nb_arm_outcome nb_arm_begin(struct nb_arm *arm, struct nb_arm_unit *u, struct nb_err *err)
{
    u->how[0] = u->kernel[0] = '\0';
    u->taken = 0;
    return u->turns ? say(arm, u, unit_command(arm, u, u->rounds), err) : NB_ARM_READY;
}

enum nb_arm_outcome nb_arm_turn(struct nb_arm *arm, struct nb_arm_unit *u, struct nb_err *err)
{
    if (u->turns)
        return say(arm, u, json_pack("{ss}", "cmd", "go"), err);
    u->process += 1000003; /* the next row of its square, and other seeded windows */
    const enum nb_arm_outcome o = say(arm, u, unit_command(arm, u, 1), err);
    return o == NB_ARM_DONE && ++u->taken < u->rounds ? NB_ARM_READY : o;
}
