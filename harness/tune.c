#include "tune.h"

#include "buffers.h"
#include "host.h"
#include "registry.h"
#include "select.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

enum { FILE_MAX = 1 << 20, LINE_LEN = 400, CHOICES_MAX = 2048 };
#define HIDDEN_MOST ((size_t)1 << 28)
static const char MAGIC[] = "normbench-tune 1";
static const char *const LEVELS[NB_AUTO_LEVELS] = {"L1", "L2", "L3", "DRAM"};

void nb_tune_free(struct nb_tune *t)
{
    free(t->choices);
    free(t->scores);
    *t = (struct nb_tune){.count = 0};
}

void nb_tune_add(struct nb_tune *t, struct nb_auto_choice choice, double share, double gain)
{
    t->choices = realloc(t->choices, (t->count + 1) * sizeof *t->choices);
    t->scores = realloc(t->scores, (t->count + 1) * sizeof *t->scores);
    NB_ASSERT(t->choices != NULL && t->scores != NULL);
    t->choices[t->count] = choice;
    t->scores[t->count++] = (struct nb_tune_score){share, gain};
}

/* ---- one line ---- */

static void choice_text(const struct nb_auto_choice *c, char *text, size_t len)
{
    char rows[24] = "any";
    if (c->rows_to != SIZE_MAX)
        snprintf(rows, sizeof rows, "%zu", c->rows_to);
    snprintf(text, len, "%-9s %-4s %-4s %6zu %6zu %3zu %3s %s", nb_op_name(c->kernel->op),
             nb_dtype_name(c->kernel->dtype), LEVELS[c->level], c->hidden_from, c->hidden_to, c->rows_from, rows,
             c->kernel->name);
}

struct words { /* of a line, as they stand there */
    char op[16], dtype[8], level[8], hidden_from[24], hidden_to[24], rows_from[24], rows_to[24], kernel[128],
        share[24], gain[24];
};

static enum nb_status read_ranges(const struct words *w, struct nb_auto_choice *c, struct nb_err *err)
{
    enum nb_status s = nb_parse_size("hidden_from", w->hidden_from, 1, HIDDEN_MOST, &c->hidden_from, err);
    if (s == NB_OK)
        s = nb_parse_size("hidden_to", w->hidden_to, c->hidden_from, HIDDEN_MOST, &c->hidden_to, err);
    if (s == NB_OK)
        s = nb_parse_size("rows_from", w->rows_from, 1, (size_t)1 << 32, &c->rows_from, err);
    c->rows_to = SIZE_MAX;
    if (s == NB_OK && strcmp(w->rows_to, "any") != 0)
        s = nb_parse_size("rows_to", w->rows_to, c->rows_from, (size_t)1 << 32, &c->rows_to, err);
    return s;
}

static enum nb_status read_score(const char *field, const char *text, double *v, struct nb_err *err)
{
    char *end;
    *v = strtod(text, &end);
    return *end == '\0' && end != text && *v > 0 && *v < 1000
               ? NB_OK
               : nb_fail(err, "%s: \"%s\" is no ratio such as 1.05", field, text);
}

static struct nb_problem problem_of(const struct nb_kernel *k, size_t hidden, size_t rows)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem),
                               .op = k->op,
                               .dtype = k->dtype,
                               .param_dtype = k->dtype,
                               .rows = rows,
                               .hidden = hidden,
                               .ldx = hidden,
                               .ldy = hidden,
                               .eps = 1e-5};
}

/* May auto run this kernel for such problems, here or elsewhere? */
static enum nb_status read_kernel(const struct words *w, struct nb_auto_choice *c, struct nb_err *err)
{
    const struct nb_kernel *k = nb_kernel_find(w->kernel);
    if (k == NULL)
        return nb_fail(err, "this program has no kernel \"%s\"; `normbench list` shows all", w->kernel);
    if (strcmp(w->op, nb_op_name(k->op)) != 0 || strcmp(w->dtype, nb_dtype_name(k->dtype)) != 0)
        return nb_fail(err, "%s is no kernel for %s in %s", k->name, w->op, w->dtype);
    if (nb_kernel_is_weak(k))
        return nb_fail(err, "%s is a weak LayerNorm: its error bound does not hold for k1 up to 1e5, and auto never "
                            "runs one", k->name);
    const struct nb_kernel *self = nb_auto_of(k);
    const char *why = self != NULL ? nb_auto_why_not(self, k) : "its ISA has no auto";
    if (why != NULL)
        return nb_fail(err, "auto cannot run %s: %s", k->name, why);
    const struct nb_problem p = problem_of(k, c->hidden_to, c->rows_from);
    if (k->supports != NULL && (why = k->supports(&p)) != NULL)
        return nb_fail(err, "%s does not support hidden %zu: %s", k->name, c->hidden_to, why);
    c->kernel = k;
    return NB_OK;
}

static int level_of(const char *word)
{
    for (int l = 0; l < NB_AUTO_LEVELS; l++)
        if (strcmp(word, LEVELS[l]) == 0)
            return l;
    return -1;
}

static bool same_problems(const struct nb_auto_choice *a, const struct nb_auto_choice *b)
{
    return a->kernel->op == b->kernel->op && a->kernel->dtype == b->kernel->dtype && a->level == b->level &&
           strcmp(a->kernel->isa, b->kernel->isa) == 0;
}

static bool meet(size_t a, size_t b, size_t c, size_t d)
{
    return a <= d && c <= b;
}

/* Choices of one op, dtype, ISA, residency and range of rows follow each other without a gap. */
static enum nb_status fits_others(const struct nb_tune *t, const struct nb_auto_choice *c, struct nb_err *err)
{
    const struct nb_auto_choice *before = NULL;
    for (size_t i = 0; i < t->count; i++) {
        const struct nb_auto_choice *o = &t->choices[i];
        if (!same_problems(o, c) || !meet(o->rows_from, o->rows_to, c->rows_from, c->rows_to))
            continue;
        if (meet(o->hidden_from, o->hidden_to, c->hidden_from, c->hidden_to))
            return nb_fail(err, "overlaps the choice of %s for hidden %zu to %zu: each problem has one",
                           o->kernel->name, o->hidden_from, o->hidden_to);
        if (o->rows_from == c->rows_from && o->rows_to == c->rows_to)
            before = o;
    }
    if (before != NULL && c->hidden_from != before->hidden_to + 1)
        return nb_fail(err, "hidden begins at %zu, but the choice before it ends at %zu: ranges ascend without a gap",
                       c->hidden_from, before->hidden_to);
    return NB_OK;
}

static enum nb_status read_choice(struct nb_tune *t, const char *line, struct nb_err *err)
{
    struct words w;
    struct nb_auto_choice c = {NULL, NB_AUTO_L1, 0, 0, 0, 0};
    double share, gain;
    int end = 0;
    if (sscanf(line, "%15s %7s %7s %23s %23s %23s %23s %127s %23s %23s %n", w.op, w.dtype, w.level, w.hidden_from,
               w.hidden_to, w.rows_from, w.rows_to, w.kernel, w.share, w.gain, &end) != 10 || line[end] != '\0')
        return nb_fail(err, "\"%.60s\" is not of the form OP DTYPE RESIDENCY HIDDEN_FROM HIDDEN_TO ROWS_FROM ROWS_TO "
                            "KERNEL SHARE GAIN", line);
    const int level = level_of(w.level);
    if (level < 0)
        return nb_fail(err, "unknown residency \"%s\"; known: L1, L2, L3, DRAM", w.level);
    c.level = (enum nb_auto_level)level;
    enum nb_status s = read_ranges(&w, &c, err);
    if (s == NB_OK)
        s = read_kernel(&w, &c, err);
    if (s == NB_OK)
        s = read_score("share", w.share, &share, err);
    if (s == NB_OK)
        s = read_score("gain", w.gain, &gain, err);
    if (s == NB_OK)
        s = fits_others(t, &c, err);
    if (s == NB_OK && t->count == CHOICES_MAX)
        s = nb_fail(err, "more than %d choices", CHOICES_MAX);
    if (s == NB_OK)
        nb_tune_add(t, c, share, gain);
    return s;
}

/* ---- a file ---- */

static bool header(const char *line, const char *word, char *value, size_t len)
{
    const size_t n = strlen(word);
    if (strncmp(line, word, n) != 0 || line[n] != ' ')
        return false;
    snprintf(value, len, "%s", line + n + 1);
    return true;
}

struct reading {
    struct nb_tune *t;
    bool magic, ended;
};

static enum nb_status read_end(struct reading *r, const char *line, struct nb_err *err)
{
    size_t count;
    const enum nb_status s = nb_parse_size("end", line + 4, 0, CHOICES_MAX, &count, err);
    if (s != NB_OK)
        return s;
    if (count != r->t->count)
        return nb_fail(err, "the end tells of %zu choices, %zu stand above it: cut, or edited; give the number that "
                            "there is", count, r->t->count);
    if (r->t->cpu[0] == '\0' || r->t->caches[0] == '\0')
        return nb_fail(err, "no \"%s\" line says where it was measured", r->t->cpu[0] ? "caches" : "cpu");
    r->ended = true;
    return NB_OK;
}

static enum nb_status read_line(struct reading *r, char *line, struct nb_err *err)
{
    struct nb_tune *t = r->t;
    for (size_t n = strlen(line); n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\r'); n--)
        line[n - 1] = '\0';
    if (!r->magic) {
        r->magic = strcmp(line, MAGIC) == 0;
        return r->magic ? NB_OK : nb_fail(err, "no tune file: its first line is not \"%s\"", MAGIC);
    }
    if (line[0] == '\0' || line[0] == '#')
        return NB_OK;
    if (r->ended)
        return nb_fail(err, "a line behind the end: \"%.60s\"", line);
    if (strncmp(line, "end ", 4) == 0)
        return read_end(r, line, err);
    if (header(line, "cpu", t->cpu, sizeof(t->cpu)) || header(line, "caches", t->caches, sizeof(t->caches)) ||
        header(line, "isas", t->isas, sizeof(t->isas)) || header(line, "made", t->made, sizeof(t->made)))
        return NB_OK;
    return read_choice(t, line, err);
}

static bool is_text(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((line[i] < ' ' && !(line[i] == '\r' && i + 1 == n)) || line[i] > '~')
            return false;
    return true;
}

static enum nb_status read_lines(struct reading *r, const char *path, const char *text, size_t len, struct nb_err *err)
{
    char line[LINE_LEN + 1];
    const char *const end = text + len;
    struct nb_err inner;
    unsigned number = 1;
    for (; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((newline != NULL ? newline : end) - text);
        if (n > LINE_LEN)
            return nb_fail(err, "%s:%u: line longer than %d characters", path, number, LINE_LEN);
        if (!is_text(text, n))
            return nb_fail(err, "%s:%u: a byte that is no printable ASCII; a tune file is plain text", path, number);
        memcpy(line, text, n);
        line[n] = '\0';
        if (read_line(r, line, &inner) != NB_OK)
            return nb_fail(err, "%s:%u: %s", path, number, inner.text);
        text += newline != NULL ? n + 1 : n;
    }
    return r->ended ? NB_OK
                    : nb_fail(err, "%s:%u: ends without its \"end\" line: cut off, or no tune file; make it again with "
                                   "`normbench tune`", path, number);
}

enum nb_status nb_tune_parse(struct nb_tune *t, const char *path, const char *text, size_t len, struct nb_err *err)
{
    *t = (struct nb_tune){.count = 0};
    struct reading r = {.t = t};
    const enum nb_status s = read_lines(&r, path, text, len, err);
    if (s != NB_OK)
        nb_tune_free(t);
    return s;
}

void nb_tune_print(const struct nb_tune *t, FILE *f)
{
    fprintf(f, "%s\n# What `auto` runs on this CPU, by `normbench tune`; used with --tune FILE or NB_TUNE=FILE.\n"
               "cpu %s\ncaches %s\nisas %s\nmade %s\n"
               "# share: speed over the best variant's; gain: over the default's (1: it is the default)\n"
               "# op dtype residency, hidden from and to, rows a thread from and to, kernel, share, gain\n",
            MAGIC, t->cpu, t->caches, t->isas, t->made);
    for (size_t i = 0; i < t->count; i++) {
        char text[256];
        choice_text(&t->choices[i], text, sizeof text);
        fprintf(f, "%s %.3f %.3f\n", text, t->scores[i].share, t->scores[i].gain);
    }
    fprintf(f, "end %zu\n", t->count);
}

/* ---- where it was measured ---- */

static const char *fact(const json_t *cpu, const char *key)
{
    const char *s = json_string_value(json_object_get(cpu, key));
    return s != NULL ? s : "unknown";
}

static void machine_text(struct nb_tune *t, const json_t *cpu, size_t l1d, size_t l2, size_t l3)
{
    snprintf(t->cpu, sizeof(t->cpu), "%.40s family %.20s model %.20s stepping %.20s", fact(cpu, "vendor"),
             fact(cpu, "family"), fact(cpu, "model_number"), fact(cpu, "stepping"));
    snprintf(t->caches, sizeof(t->caches), "l1d %zu l2 %zu l3 %zu", l1d, l2, l3);
    for (char *c = t->cpu; *c != '\0'; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
}

static size_t size_fact(const json_t *o, const char *key)
{
    return (size_t)json_integer_value(json_object_get(o, key)); /* 0: not known */
}

void nb_tune_machine(struct nb_tune *t, const json_t *host)
{
    const json_t *caches = json_object_get(host, "caches");
    machine_text(t, json_object_get(host, "cpu"), size_fact(caches, "l1d"), size_fact(caches, "l2"),
                 size_fact(caches, "l3"));
}

static enum nb_status machine_here(struct nb_tune *here, struct nb_err *err)
{
    struct nb_topology t;
    const enum nb_status s = nb_topology_load(&t, err);
    if (s != NB_OK)
        return s;
    json_t *cpu = nb_host_cpu();
    machine_text(here, cpu, t.l1d, t.l2, t.l3);
    json_decref(cpu);
    nb_topology_free(&t);
    return NB_OK;
}

void nb_tune_caches(const struct nb_topology *t)
{
    nb_auto_caches(&(struct nb_auto_caches){t->l1d, t->l2, t->l3, t->l2_cores, t->l3_cores});
}

enum nb_status nb_tune_here(struct nb_err *err)
{
    struct nb_topology t;
    const enum nb_status s = nb_topology_load(&t, err);
    if (s != NB_OK)
        return s;
    nb_tune_caches(&t);
    nb_topology_free(&t);
    return NB_OK;
}

/* ---- loaded ---- */

static struct {
    struct nb_tune table;
    char path[PATH_MAX], word[17 + PATH_MAX]; /* HASH:PATH */
    uint64_t hash;
} loaded;

const char *nb_tune_path(void)
{
    return loaded.path[0] != '\0' ? loaded.path : NULL;
}

static enum nb_status read_file(const char *path, char **text, size_t *len, struct nb_err *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return nb_fail(err, "tune file %s: %s", path, strerror(errno));
    *text = malloc(FILE_MAX + 1);
    NB_ASSERT(*text != NULL);
    *len = fread(*text, 1, FILE_MAX + 1, f);
    enum nb_status s = NB_OK;
    if (ferror(f))
        s = nb_fail(err, "tune file %s: %s", path, strerror(errno));
    else if (*len > FILE_MAX)
        s = nb_fail(err, "%s: larger than %d bytes; a tune file is a short text", path, FILE_MAX);
    fclose(f);
    if (s != NB_OK)
        free(*text);
    return s;
}

static enum nb_status same_machine(const struct nb_tune *t, const char *path, struct nb_err *err)
{
    struct nb_tune here;
    const enum nb_status s = machine_here(&here, err);
    if (s == NB_OK && (strcmp(t->cpu, here.cpu) != 0 || strcmp(t->caches, here.caches) != 0))
        return nb_fail(err, "%s was measured on another CPU: %s, %s; this one is %s, %s. Make one here with "
                            "`normbench tune`", path, t->cpu, t->caches, here.cpu, here.caches);
    return s;
}

static bool is_utf8(const char *text)
{
    json_t *json = json_string(text);
    json_decref(json);
    return json != NULL;
}

enum nb_status nb_tune_load(const char *path, struct nb_err *err)
{
    char *text = NULL;
    size_t len = 0;
    struct nb_tune t;
    enum nb_status s = read_file(path, &text, &len, err);
    if (s != NB_OK)
        return s;
    const uint64_t hash = nb_hash_bytes(0, text, len);
    s = nb_tune_parse(&t, path, text, len, err);
    free(text);
    if (s != NB_OK)
        return s;
    s = same_machine(&t, path, err);
    if (s == NB_OK && realpath(path, loaded.path) == NULL)
        s = nb_fail(err, "tune file %s: %s", path, strerror(errno));
    if (s == NB_OK && !is_utf8(loaded.path)) /* plan.json names it */
        s = nb_fail(err, "tune file %s: its path is no UTF-8; put it elsewhere", path);
    if (s != NB_OK) {
        nb_tune_free(&t);
        loaded.path[0] = '\0';
        return s;
    }
    nb_auto_use(NULL, 0);
    nb_tune_free(&loaded.table);
    loaded.table = t;
    loaded.hash = hash;
    snprintf(loaded.word, sizeof(loaded.word), "%016" PRIx64 ":%s", hash, loaded.path);
    nb_auto_use(loaded.table.choices, loaded.table.count);
    return NB_OK;
}

/* ---- plan.json, resume, workers ---- */

void nb_tune_to_json(json_t *plan)
{
    json_t *choices = json_array();
    char hash[17], text[256];
    snprintf(hash, sizeof hash, "%016" PRIx64, loaded.hash);
    for (size_t i = 0; i < loaded.table.count; i++) {
        choice_text(&loaded.table.choices[i], text, sizeof text);
        json_array_append_new(choices, json_string(text));
    }
    json_t *tune = nb_tune_path() != NULL
                       ? json_pack("{ss ss sO}", "path", loaded.path, "hash", hash, "choices", choices)
                       : json_null();
    json_object_set_new(plan, "tune", tune != NULL ? tune : json_null());
    json_decref(choices);
}

enum nb_status nb_tune_resume(const json_t *plan, const char *dir, struct nb_err *err)
{
    const json_t *then = json_object_get(plan, "tune");
    const char *path = json_string_value(json_object_get(then, "path"));
    const char *hash = json_string_value(json_object_get(then, "hash"));
    if (!json_is_object(then))
        return nb_tune_path() == NULL ? NB_OK
                                      : nb_fail(err, "--tune (or NB_TUNE): %s was begun without; leave it out, or "
                                                     "start a new run", dir);
    if (path == NULL || hash == NULL)
        return nb_fail(err, "%s/plan.json: a tune file without path or hash", dir);
    enum nb_status s = nb_tune_path() == NULL ? nb_tune_load(path, err) : NB_OK;
    if (s == NB_OK && (strlen(hash) != 16 || strncmp(loaded.word, hash, 16) != 0))
        s = nb_fail(err, "%s is not the tune file that %s was begun with (hash %.16s then, %.16s now), or was changed "
                         "since; put the old one back, or start a new run", loaded.path, dir, hash, loaded.word);
    return s;
}

char *nb_tune_word(void)
{
    return nb_tune_path() != NULL ? loaded.word : NULL;
}

enum nb_status nb_tune_worker(const char *word, struct nb_err *err)
{
    const char *path = strchr(word, ':');
    if (path == NULL)
        return nb_fail(err, "worker: --tune %s: not HASH:PATH", word);
    enum nb_status s = nb_tune_load(path + 1, err);
    if (s == NB_OK && strcmp(loaded.word, word) != 0)
        s = nb_fail(err, "tune file %s: was changed while the run went on", path + 1);
    return s;
}
