#include "counts.h"

#include "csv.h"
#include "host.h"

#include <inttypes.h>
#include <string.h>

#ifndef NB_VERSION
#define NB_VERSION "0"
#endif

static const struct {
    const char *name, *callgrind;
} EVENTS[NB_SIM_EVENTS] = {
    [NB_SIM_INSTRUCTIONS] = {"instructions", "Ir"},
    [NB_SIM_READS] = {"reads", "Dr"},
    [NB_SIM_WRITES] = {"writes", "Dw"},
    [NB_SIM_I1_MISSES] = {"i1_misses", "I1mr"},
    [NB_SIM_D1_READ_MISSES] = {"d1_read_misses", "D1mr"},
    [NB_SIM_D1_WRITE_MISSES] = {"d1_write_misses", "D1mw"},
    [NB_SIM_LL_CODE_MISSES] = {"ll_code_misses", "ILmr"},
    [NB_SIM_LL_READ_MISSES] = {"ll_read_misses", "DLmr"},
    [NB_SIM_LL_WRITE_MISSES] = {"ll_write_misses", "DLmw"},
};

const char *nb_sim_event_name(enum nb_sim_event e)
{
    return EVENTS[e].name;
}

struct nb_topology nb_simulated_topology(void)
{
    return (struct nb_topology){.cores = 1, .cpus = 1, .smt = 1, .numa_nodes = 1, .l1d = 32 << 10,
                                .l2 = 1 << 20, .l3 = 8 << 20, .l2_cores = 1, .l3_cores = 1, .llc = 8 << 20,
                                .llcs = 1, .llc_cores = 1, .memory = (size_t)8 << 30};
}

/* ---- dumps ---- */

/* What follows the key at the beginning of a line; NULL: there is no such line. */
static const char *find_line(const char *text, const char *key)
{
    const size_t len = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, len) == 0)
            return line + len;
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return NULL;
}

static bool next_word(const char **at, const char **word, size_t *len)
{
    *word = *at + strspn(*at, " \t");
    *len = strcspn(*word, " \t\r\n");
    *at = *word + *len;
    return *len > 0;
}

/* Which event a column holds; NB_SIM_EVENTS: none of ours. */
static enum nb_sim_event event_of(const char *word, size_t len)
{
    int e = 0;
    while (e < NB_SIM_EVENTS &&
           (strlen(EVENTS[e].callgrind) != len || strncmp(EVENTS[e].callgrind, word, len) != 0))
        e++;
    return (enum nb_sim_event)e;
}

static bool has_tag(const char *dump, const char *tag)
{
    const char *at = find_line(dump, "desc: Trigger: Client Request: ");
    const size_t len = strlen(tag);
    return at != NULL && strncmp(at, tag, len) == 0 && (at[len] == '\n' || at[len] == '\0');
}

/* A line of totals ends with the last column that is not 0. */
enum nb_status nb_counts_parse(const char *dump, const char *tag, struct nb_counts *c, struct nb_err *err)
{
    const char *events = find_line(dump, "events:"), *totals = find_line(dump, "totals:"), *word;
    size_t len, seen = 0;
    *c = (struct nb_counts){{0}};
    if (!has_tag(dump, tag))
        return nb_fail(err, "a dump of callgrind is not the one that was asked for, \"%s\"", tag);
    if (totals == NULL)
        totals = find_line(dump, "summary:");
    if (events == NULL || totals == NULL)
        return nb_fail(err, "a dump of callgrind has no line \"events:\" or none \"totals:\"");
    while (next_word(&events, &word, &len)) {
        const enum nb_sim_event e = event_of(word, len);
        const bool there = next_word(&totals, &word, &len);
        char *end = NULL;
        const uint64_t value = there ? strtoull(word, &end, 10) : 0;
        if (there && end != word + len)
            return nb_fail(err, "a dump of callgrind: \"%.*s\" is no count", (int)len, word);
        seen += e < NB_SIM_EVENTS;
        if (e < NB_SIM_EVENTS)
            c->of[e] = value;
    }
    return seen == NB_SIM_EVENTS
               ? NB_OK
               : nb_fail(err, "a dump of callgrind has %zu of the %d events that --cache-sim=yes counts", seen,
                         NB_SIM_EVENTS);
}

bool nb_counts_subtract(struct nb_counts *c, const struct nb_counts *nothing)
{
    for (int e = NB_SIM_INSTRUCTIONS; e <= NB_SIM_WRITES; e++) {
        if (c->of[e] < nothing->of[e])
            return false;
        c->of[e] -= nothing->of[e];
    }
    return true;
}

/* ---- rows ---- */

void nb_counts_put(json_t *row, const struct nb_counts *c, const char *reason)
{
    NB_ASSERT((c == NULL) == (reason != NULL));
    for (int e = 0; e < NB_SIM_EVENTS; e++)
        json_object_set_new(row, EVENTS[e].name, c != NULL ? json_integer((json_int_t)c->of[e]) : json_null());
    json_object_set_new(row, "reason", reason != NULL ? json_string(reason) : json_null());
}

bool nb_counts_get(const json_t *row, struct nb_counts *c)
{
    for (int e = 0; e < NB_SIM_EVENTS; e++) {
        const json_t *value = json_object_get(row, EVENTS[e].name);
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return false;
        c->of[e] = (uint64_t)json_integer_value(value);
    }
    return true;
}

static const char *compiler(void)
{
#if defined(__clang__)
    return "clang " __VERSION__;
#else
    return "gcc " __VERSION__;
#endif
}

json_t *nb_counts_head(const char *valgrind)
{
    return json_pack("{si ss ss ss ss ss s{ss ss ss} s[]}", "format", NB_COUNTS_FORMAT, "what",
                     "simulated by callgrind: counts of one call each, no time", "version", NB_VERSION, "git",
                     nb_host_git(), "compiler", compiler(), "valgrind", valgrind, "caches", "I1",
                     NB_SIMULATED_I1, "D1", NB_SIMULATED_D1, "LL", NB_SIMULATED_LL, "counts");
}

/* ---- files ---- */

/* One row a line, so that a diff of two files shows rows. */
void nb_counts_write_json(const json_t *counts, FILE *f)
{
    json_t *head = json_copy((json_t *)counts);
    const json_t *rows = json_object_get(counts, "counts"), *row;
    size_t i;
    json_object_del(head, "counts");
    char *text = json_dumps(head, 0);
    NB_ASSERT(text != NULL);
    fprintf(f, "%.*s, \"counts\": [", (int)strlen(text) - 1, text);
    json_array_foreach(rows, i, row) {
        fputs(i > 0 ? ",\n" : "\n", f);
        json_dumpf(row, f, 0);
    }
    fputs("\n]}\n", f);
    free(text);
    json_decref(head);
}

static void put_cell(const json_t *value, FILE *f)
{
    if (json_is_integer(value))
        fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", f);
    else
        nb_csv_put_text(f, json_string_value(value));
}

void nb_counts_write_csv(const json_t *counts, FILE *f)
{
    json_t *rows = json_object_get(counts, "counts"), *row, *value;
    const char *key, *comma = "";
    size_t i;
    json_object_foreach(json_array_get(rows, 0), key, value) {
        fprintf(f, "%s%s", comma, key);
        comma = ",";
    }
    fputs(",instructions_per_element\n", f);
    json_array_foreach(rows, i, row) {
        const double elements = json_number_value(json_object_get(row, "rows")) *
                                json_number_value(json_object_get(row, "hidden"));
        json_object_foreach(row, key, value) {
            put_cell(value, f);
            putc(',', f);
        }
        const json_t *n = json_object_get(row, EVENTS[NB_SIM_INSTRUCTIONS].name);
        if (json_is_integer(n))
            fprintf(f, "%.6g\n", json_number_value(n) / elements);
        else
            fputs("null\n", f);
    }
}

static void table_row(const json_t *row, const struct nb_counts *c, FILE *f)
{
    const double rows = json_number_value(json_object_get(row, "rows"));
    const double elements = rows * json_number_value(json_object_get(row, "hidden"));
    const uint64_t *n = c->of;
    fprintf(f, "  %-46s %10.1f %8.3f %8.3f %8.3f %8.1f %8.1f\n",
            json_string_value(json_object_get(row, "kernel")), (double)n[NB_SIM_INSTRUCTIONS] / rows,
            (double)n[NB_SIM_INSTRUCTIONS] / elements, (double)n[NB_SIM_READS] / elements,
            (double)n[NB_SIM_WRITES] / elements,
            (double)(n[NB_SIM_D1_READ_MISSES] + n[NB_SIM_D1_WRITE_MISSES]) / rows,
            (double)(n[NB_SIM_LL_READ_MISSES] + n[NB_SIM_LL_WRITE_MISSES]) / rows);
}

/* Reasons with the number of rows that they hold for, most of them being the same. */
static void table_reasons(const json_t *rows, FILE *f)
{
    json_t *reasons = json_object(), *row, *value;
    const char *key;
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *reason = json_string_value(json_object_get(row, "reason"));
        if (reason != NULL)
            json_object_set_new(reasons, reason,
                                json_integer(1 + json_integer_value(json_object_get(reasons, reason))));
    }
    json_object_foreach(reasons, key, value)
        fprintf(f, "not counted: %" JSON_INTEGER_FORMAT " x %s\n", json_integer_value(value), key);
    json_decref(reasons);
}

void nb_counts_write_table(const json_t *counts, FILE *f)
{
    const json_t *rows = json_object_get(counts, "counts"), *row;
    const char *last = "";
    size_t i, counted = 0;
    fprintf(f, "simulated by callgrind (valgrind %s; I1 %s, D1 %s, LL %s): one call in a warm cache; no time\n",
            json_string_value(json_object_get(counts, "valgrind")), NB_SIMULATED_I1, NB_SIMULATED_D1,
            NB_SIMULATED_LL);
    json_array_foreach(rows, i, row) {
        const char *cell = json_string_value(json_object_get(row, "cell"));
        struct nb_counts c;
        if (!nb_counts_get(row, &c))
            continue;
        if (strcmp(cell, last) != 0)
            fprintf(f, "%-48s %10s %26s %17s\n  %-46s %10s %8s %8s %8s %8s %8s\n", cell, "instr.", "an element:",
                    "misses a row:", "", "a row", "instr.", "reads", "writes", "D1", "LL");
        last = cell;
        table_row(row, &c, f);
        counted++;
    }
    fprintf(f, "%zu of %zu counted\n", counted, json_array_size(rows));
    table_reasons(rows, f);
}

enum nb_status nb_counts_load(const char *path, json_t **counts, struct nb_err *err)
{
    json_error_t e;
    *counts = json_load_file(path, 0, &e);
    if (*counts == NULL)
        return nb_fail(err, "%.400s:%d: %.200s", path, e.line, e.text);
    const json_t *format = json_object_get(*counts, "format"), *row;
    const json_t *rows = json_object_get(*counts, "counts");
    bool good = json_is_array(rows) && json_is_string(json_object_get(*counts, "git")) &&
                json_is_string(json_object_get(*counts, "valgrind"));
    size_t i;
    json_array_foreach(rows, i, row) good = good && json_is_string(json_object_get(row, "cell")) &&
                                            json_is_string(json_object_get(row, "kernel"));
    if (json_is_integer(format) && json_integer_value(format) != NB_COUNTS_FORMAT)
        nb_fail(err, "%.400s: counts of format %d; this program reads format %d", path,
                (int)json_integer_value(format), NB_COUNTS_FORMAT);
    else if (!json_is_integer(format) || !good)
        nb_fail(err, "%.400s: not a file of `normbench count`", path);
    else
        return NB_OK;
    json_decref(*counts);
    *counts = NULL;
    return NB_ERROR;
}
