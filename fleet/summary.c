#include "summary.h"
#include "files.h"
#include "shallow.h"
#include "stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCHEMA = 1 };

/* ---- a line of a table, column by column ---- */

enum kind {
    WORD,   /* const char *: every line has one */
    TEXT,   /* const char *, or NULL */
    COUNT,  /* size_t, 0 for null */
    FLAG,   /* bool: a number that is not 0 */
    NUMBER, /* double above 0, or NAN */
};

/* Where a column goes. Older runs may lack it, unless it is a WORD. */
struct field {
    const char *column;
    size_t offset;
    enum kind kind;
};

#define F(s, member, kind) {#member, offsetof(struct s, member), kind}
static const struct field RESULT[] = {
    F(nb_result, kernel, WORD), F(nb_result, op, WORD), F(nb_result, dir, WORD), F(nb_result, fuse, WORD), F(nb_result, algo, TEXT),
    F(nb_result, isa, TEXT), F(nb_result, trick, TEXT), F(nb_result, dtype, WORD), F(nb_result, param_dtype, TEXT),
    F(nb_result, cell, WORD), F(nb_result, residency, WORD), F(nb_result, verdict, WORD), F(nb_result, k, TEXT), F(nb_result, roof, TEXT),
    F(nb_result, counters, TEXT), F(nb_result, counters_missing, TEXT), F(nb_result, repro, TEXT), F(nb_result, rows, COUNT),
    F(nb_result, hidden, COUNT), F(nb_result, threads, COUNT), F(nb_result, processes, COUNT), F(nb_result, stats_out, FLAG),
    F(nb_result, in_place, FLAG), {"core_cycles_per_elem", offsetof(struct nb_result, core_cycles), NUMBER}, {"gbps", offsetof(struct nb_result, gbps), NUMBER},
    {"ns_per_row", offsetof(struct nb_result, ns_per_row.value), NUMBER}, {"ns_lo", offsetof(struct nb_result, ns_per_row.lo), NUMBER},
    {"ns_hi", offsetof(struct nb_result, ns_per_row.hi), NUMBER}, {"roof_ratio", offsetof(struct nb_result, of_roof.value), NUMBER},
    {"roof_lo", offsetof(struct nb_result, of_roof.lo), NUMBER}, {"roof_hi", offsetof(struct nb_result, of_roof.hi), NUMBER},
    {"scale_ratio", offsetof(struct nb_result, of_scale.value), NUMBER}, {"scale_lo", offsetof(struct nb_result, of_scale.lo), NUMBER},
    {"scale_hi", offsetof(struct nb_result, of_scale.hi), NUMBER}};

static const struct field SPEEDUP[] = {
    F(nb_speedup, base_op, WORD), F(nb_speedup, test_op, WORD), F(nb_speedup, dir, WORD), F(nb_speedup, fuse, WORD),
    F(nb_speedup, dtype, WORD), F(nb_speedup, param_dtype, TEXT), F(nb_speedup, isa, TEXT), F(nb_speedup, residency, WORD),
    F(nb_speedup, pairing, WORD), F(nb_speedup, base_kernel, TEXT), F(nb_speedup, test_kernel, TEXT), F(nb_speedup, base_k, TEXT),
    F(nb_speedup, test_k, TEXT), F(nb_speedup, verdict, WORD), F(nb_speedup, repro, TEXT), F(nb_speedup, threads, COUNT),
    F(nb_speedup, rows, COUNT), F(nb_speedup, hidden, COUNT), F(nb_speedup, processes, COUNT), F(nb_speedup, in_place, FLAG),
    F(nb_speedup, doubtful, FLAG), F(nb_speedup, confidence, NUMBER),
    {"speedup", offsetof(struct nb_speedup, speedup.value), NUMBER}, {"lo", offsetof(struct nb_speedup, speedup.lo), NUMBER},
    {"hi", offsetof(struct nb_speedup, speedup.hi), NUMBER}};

enum { FIELDS_MAX = 40, ABSENT = NB_CSV_COLUMNS };

static bool read_count(const char *s, size_t *value)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    *value = (size_t)v;
    return s[0] >= '0' && s[0] <= '9' && *end == 0 && errno == 0 && v < (1ull << 53);
}

/* Puts a cell, NULL for null, where it goes. NULL, or what it should have been. */
static const char *put_cell(const struct field *f, const char *cell, char *element)
{
    void *to = element + f->offset;
    size_t n = 0;
    double v = NAN;
    if (f->kind == WORD || f->kind == TEXT) {
        *(const char **)to = cell;
        return f->kind == WORD && cell == NULL ? "a word, in every line" : NULL;
    }
    if (f->kind == NUMBER) {
        bool good = cell == NULL || (nb_csv_number(cell, &v) && isfinite(v) && v > 0 && v < NB_SUMMARY_LARGEST);
        *(double *)to = v;
        return good ? NULL : "a number above 0 and below 1e15, or null";
    }
    bool good = cell == NULL || read_count(cell, &n);
    if (f->kind == COUNT)
        *(size_t *)to = n;
    else
        *(bool *)to = n != 0;
    return good ? NULL : "a whole number, or null";
}

static enum nb_status read_line(const struct nb_csv *csv, const struct field *fields, const size_t *columns, size_t n, char *element,
                                struct nb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *cell = columns[i] == ABSENT || strcmp(csv->cell[columns[i]], "null") == 0 ? NULL : csv->cell[columns[i]];
        const char *wanted = put_cell(&fields[i], cell, element);
        if (wanted != NULL)
            return nb_csv_fail(csv, err, "%s is \"%.40s\"; it should be %s", fields[i].column, cell ? cell : "null", wanted);
    }
    return NB_OK;
}

/* ---- a table ---- */

static enum nb_status find_columns(const struct nb_csv *csv, const struct field *fields, size_t n, size_t *columns, struct nb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        columns[i] = ABSENT;
        for (size_t c = 0; c < csv->columns && columns[i] == ABSENT; c++)
            if (strcmp(csv->head[c], fields[i].column) == 0)
                columns[i] = c;
        if (columns[i] == ABSENT && fields[i].kind == WORD)
            return nb_csv_fail(csv, err, "no column %s", fields[i].column);
    }
    return NB_OK;
}

static enum nb_status open_table(struct nb_csv *csv, const struct nb_summary *s, const char *name, struct nb_err *err)
{
    char *path = malloc(NB_PATH);
    NB_ASSERT(path != NULL && "out of memory");
    nb_file_path(path, s->dir, name, "");
    csv->path = path;
    if (access(path, F_OK) != 0)
        return nb_fail(err, "%.400s: no %s in it (%s); `normbench report` makes one from the raw files of a run", s->dir, name,
                       strerror(errno));
    enum nb_status status = nb_csv_open(csv, path, err);
    if (status == NB_OK && csv->cut)
        status = nb_fail(err, "%.400s: the last line is cut off; `normbench report` makes the file again", path);
    return status;
}

static void close_table(struct nb_csv *csv)
{
    nb_csv_close(csv);
    free((char *)csv->path);
    *csv = (struct nb_csv){0};
}

/* What every table must fulfil beyond its columns. NULL, or what is wrong with an element. */
typedef const char *(*judge)(const void *element);

static enum nb_status read_table(struct nb_csv *csv, const struct field *fields, size_t nfields, size_t size, judge wrong, void **array,
                                 size_t *n, struct nb_err *err)
{
    size_t columns[FIELDS_MAX], room = 0;
    char *list = NULL;
    NB_ASSERT(nfields <= FIELDS_MAX);
    enum nb_status status = find_columns(csv, fields, nfields, columns, err);
    for (bool more = true; status == NB_OK;) {
        status = nb_csv_next(csv, &more, err);
        if (status != NB_OK || !more)
            break;
        if (*n == room) {
            list = realloc(list, (room = room ? 2 * room : 256) * size);
            NB_ASSERT(list != NULL && "out of memory");
            *array = list;
        }
        char *element = memset(list + *n * size, 0, size);
        status = read_line(csv, fields, columns, nfields, element, err);
        *(size_t *)element = csv->line; /* its first member */
        if (status == NB_OK && wrong(element) != NULL)
            status = nb_csv_fail(csv, err, "%s", wrong(element));
        ++*n;
    }
    return status;
}

static bool in_order(const struct nb_measured *m)
{
    return isnan(m->value) ? isnan(m->lo) && isnan(m->hi)
           : isnan(m->lo)  ? isnan(m->hi)
                           : m->lo <= m->value && m->value <= m->hi;
}

static const char *too_many(size_t processes)
{
    return processes > NB_PROCESSES_MOST ? "processes is above 10000" : NULL;
}

static const char *wrong_result(const void *element)
{
    const struct nb_result *r = element;
    return !in_order(&r->ns_per_row)  ? "ns_per_row does not lie between ns_lo and ns_hi"
           : !in_order(&r->of_roof)   ? "roof_ratio does not lie between roof_lo and roof_hi"
           : !in_order(&r->of_scale)  ? "scale_ratio does not lie between scale_lo and scale_hi"
                                      : too_many(r->processes);
}

static const char *wrong_speedup(const void *element)
{
    const struct nb_speedup *s = element;
    return !in_order(&s->speedup)                             ? "speedup does not lie between lo and hi"
           : !isnan(s->confidence) && s->confidence > 1 + 1e-9 ? "confidence is above 1"
                                                              : too_many(s->processes);
}

/* ---- one line a comparison ---- */

static int by_text(const char *a, const char *b)
{
    return a == b ? 0 : a == NULL ? -1 : b == NULL ? 1 : strcmp(a, b);
}

static int by_comparison(const void *a, const void *b)
{
    const struct nb_result *x = *(const struct nb_result *const *)a, *y = *(const struct nb_result *const *)b;
    int cell = by_text(x->cell, y->cell);
    return cell ? cell : by_text(x->kernel, y->kernel);
}

static enum nb_status check_twice(const struct nb_summary *s, struct nb_err *err)
{
    const struct nb_result **order = malloc((s->nresults + 1) * sizeof *order);
    enum nb_status status = NB_OK;
    NB_ASSERT(order != NULL && "out of memory");
    for (size_t i = 0; i < s->nresults; i++)
        order[i] = &s->results[i];
    qsort(order, s->nresults, sizeof *order, by_comparison);
    for (size_t i = 1; status == NB_OK && i < s->nresults; i++)
        if (by_comparison(&order[i - 1], &order[i]) == 0)
            status = nb_csv_fail(&s->results_csv, err, "lines %zu and %zu both are about %.120s in %.80s",
                                 order[i - 1]->line < order[i]->line ? order[i - 1]->line : order[i]->line,
                                 order[i - 1]->line < order[i]->line ? order[i]->line : order[i - 1]->line, order[i]->kernel, order[i]->cell);
    free(order);
    return status;
}

/* ---- host.json and plan.json ---- */

static enum nb_status load_object(const char *dir, const char *name, json_t **object, struct nb_err *err)
{
    static const char *const large[] = {"cells", "kernels", NULL};
    char path[NB_PATH];
    json_error_t where;
    nb_file_path(path, dir, name, "");
    if (access(path, R_OK) != 0)
        return nb_fail(err, "%.400s: %s; a run folder holds host.json, plan.json, results.csv and speedup.csv", path, strerror(errno));
    *object = nb_json_without(path, large, &where);
    if (*object == NULL)
        return nb_fail(err, "%.400s:%d: %s", path, where.line, where.text);
    const json_t *schema = json_object_get(*object, "schema");
    if (!json_is_integer(schema) || json_integer_value(schema) < 1)
        return nb_fail(err, "%.400s: \"schema\" is missing or no positive integer", path);
    if (json_integer_value(schema) > SCHEMA)
        return nb_fail(err, "%.400s has schema %lld, this program reads up to %d: use a newer normbench", path,
                       (long long)json_integer_value(schema), SCHEMA);
    return NB_OK;
}

const char *nb_summary_host(const struct nb_summary *s, const char *path)
{
    const json_t *at = s->host;
    char key[64];
    for (const char *part = path; at != NULL; part += strlen(key) + 1) {
        snprintf(key, sizeof key, "%.*s", (int)strcspn(part, "."), part);
        at = json_object_get(at, key);
        if (part[strlen(key)] == 0)
            break;
    }
    return json_string_value(at);
}

static enum nb_status read_facts(struct nb_summary *s, struct nb_err *err)
{
    s->id = json_string_value(json_object_get(s->plan, "id"));
    s->preset = json_string_value(json_object_get(s->plan, "preset"));
    s->command = json_string_value(json_object_get(s->plan, "command"));
    s->cpu = nb_summary_host(s, "cpu.model");
    s->host_name = nb_summary_host(s, "host");
    s->compiler = nb_summary_host(s, "compiler");
    s->version = nb_summary_host(s, "version");
    s->git = nb_summary_host(s, "git");
    s->begun = nb_summary_host(s, "before.time");
    s->ended = nb_summary_host(s, "after.time") != NULL;
    s->forced = json_array_size(json_object_get(s->host, "forced")) != 0;
    return s->id != NULL && s->id[0] != 0 ? NB_OK : nb_fail(err, "%.400s/plan.json: no \"id\": which run is this?", s->dir);
}

enum nb_status nb_summary_load(struct nb_summary *s, const char *dir, struct nb_err *err)
{
    *s = (struct nb_summary){.dir = strdup(dir)};
    NB_ASSERT(s->dir != NULL && "out of memory");
    enum nb_status status = load_object(dir, "host.json", &s->host, err);
    if (status == NB_OK)
        status = load_object(dir, "plan.json", &s->plan, err);
    if (status == NB_OK)
        status = read_facts(s, err);
    if (status == NB_OK)
        status = open_table(&s->results_csv, s, "results.csv", err);
    if (status == NB_OK)
        status = read_table(&s->results_csv, RESULT, sizeof RESULT / sizeof *RESULT, sizeof *s->results, wrong_result, (void **)&s->results,
                            &s->nresults, err);
    if (status == NB_OK)
        status = check_twice(s, err);
    if (status == NB_OK)
        status = open_table(&s->speedup_csv, s, "speedup.csv", err);
    if (status == NB_OK)
        status = read_table(&s->speedup_csv, SPEEDUP, sizeof SPEEDUP / sizeof *SPEEDUP, sizeof *s->speedups, wrong_speedup,
                            (void **)&s->speedups, &s->nspeedups, err);
    if (status != NB_OK)
        nb_summary_free(s);
    return status;
}

void nb_summary_free(struct nb_summary *s)
{
    json_decref(s->host);
    json_decref(s->plan);
    close_table(&s->results_csv);
    close_table(&s->speedup_csv);
    free(s->results);
    free(s->speedups);
    free(s->dir);
    *s = (struct nb_summary){0};
}
