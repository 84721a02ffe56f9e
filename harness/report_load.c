/* Reads the raw files of a run. Errors name file and line; unknown keys are ignored; a
 * last line without its newline was cut off and does not count. */
#include "report_data.h"
#include "stats.h"
#include "sysread.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1 };

const char *const rep_count_key[REP_COUNTS] = {"ref_cycles", "cycles",    "instructions",
                                               "l1d_misses", "l2_misses", "llc_misses",
                                               "dtlb_misses", "branch_misses", "loads"};

static const char *const verdict_names[REP_VERDICTS] = {"UNTESTED",
                                                        "PASS",
                                                        "FAIL_VALUE",
                                                        "FAIL_NONFINITE",
                                                        "FAIL_OOB_WRITE",
                                                        "FAIL_UNWRITTEN",
                                                        "FAIL_NONDETERMINISTIC",
                                                        "FAIL_ABI",
                                                        "CRASHED",
                                                        "TIMED_OUT",
                                                        "SKIP_ISA",
                                                        "SKIP_SHAPE",
                                                        "SKIP_OPTION",
                                                        "MISTRUSTED"};

const char *rep_verdict_name(enum rep_verdict v)
{
    return verdict_names[v];
}

bool rep_is_bad(enum rep_verdict v)
{
    return v != REP_PASS && v != REP_SKIP_ISA && v != REP_SKIP_SHAPE &&
           v != REP_SKIP_OPTION;
}

void *rep_grow(void *array, size_t n, size_t *room, size_t element)
{
    if (n < *room)
        return array;
    *room = *room ? 2 * *room : 8;
    array = realloc(array, *room * element);
    NB_ASSERT(array != NULL && "out of memory");
    return array;
}

void *rep_alloc(struct rep_run *run, size_t bytes)
{
    run->owned = rep_grow(run->owned, run->nowned, &run->owned_room, sizeof(*run->owned));
    void *p = calloc(1, bytes ? bytes : 1);
    NB_ASSERT(p != NULL && "out of memory");
    return run->owned[run->nowned++] = p;
}

static const char *keep(struct rep_run *run, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t bytes = strlen(text) + 1;
    return memcpy(rep_alloc(run, bytes), text, bytes);
}

const char *rep_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key)); /* NULL unless a string */
}

double rep_number(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* A length or count: an integer of at least least; false otherwise. */
static bool get_size(const json_t *object, const char *key, size_t least, size_t *value)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_integer(v) || json_integer_value(v) < (json_int_t)least)
        return false;
    *value = (size_t)json_integer_value(v);
    return true;
}

/* ---- whole files ---- */

static FILE *open_file(const char *dir, const char *name, struct nb_err *err)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path)) {
        (void)nb_fail(err, "%s: the path is too long", name);
        return NULL;
    }
    FILE *f = nb_open_regular(path);
    if (f == NULL)
        (void)nb_fail(err,
                      "%s: %s; a run folder holds host.json, plan.json, checks.jsonl and "
                      "samples.jsonl",
                      path, strerror(errno));
    return f;
}

static enum nb_status load_object(const char *dir, const char *name, json_t **object,
                                  struct nb_err *err)
{
    json_error_t where;
    FILE *f = open_file(dir, name, err);
    if (f == NULL)
        return NB_ERROR;
    *object = json_loadf(f, JSON_REJECT_DUPLICATES, &where);
    fclose(f);
    if (*object == NULL)
        return nb_fail(err, "%s/%s:%d: %s", dir, name, where.line, where.text);
    size_t schema;
    if (!get_size(*object, "schema", 1, &schema))
        return nb_fail(err, "%s/%s: \"schema\" is missing or no positive integer", dir,
                       name);
    if (schema > SCHEMA)
        return nb_fail(err,
                       "%s/%s has schema %zu, this program reads up to %d: use a newer "
                       "normbench",
                       dir, name, schema, SCHEMA);
    return NB_OK;
}

typedef const char *(*line_reader)(struct rep_run *run, const json_t *line);

/* Hands each line to read, which answers NULL or what is wrong with it. */
static enum nb_status load_lines(const char *dir, const char *name, struct rep_run *run,
                                 line_reader read, struct nb_err *err)
{
    enum nb_status status = NB_OK;
    char *text = NULL;
    size_t room = 0, number = 0;
    ssize_t length;
    FILE *f = open_file(dir, name, err);
    if (f == NULL)
        return NB_ERROR;
    while (status == NB_OK && (length = getline(&text, &room, f)) > 0 &&
           text[length - 1] == '\n') {
        json_error_t where;
        number++;
        json_t *line = json_loadb(text, (size_t)length, 0, &where);
        const char *wrong = line == NULL            ? where.text
                            : !json_is_object(line) ? "not a JSON object"
                                                    : read(run, line);
        if (wrong != NULL)
            status = nb_fail(err, "%s/%s:%zu: %s", dir, name, number, wrong);
        json_decref(line);
    }
    if (ferror(f) && status == NB_OK)
        status = nb_fail(err, "%s/%s: %s", dir, name, strerror(errno));
    free(text);
    fclose(f);
    return status;
}

/* ---- plan.json ---- */

/* Kernels the plan names but does not describe get an entry of their own, with unknown
 * facts. All are collected before anything points at them: later additions would move the
 * array. */
static const struct rep_kernel *find_kernel(const struct rep_run *run, const char *name)
{
    for (size_t i = 0; name != NULL && i < run->nkernels; i++)
        if (strcmp(run->kernels[i].name, name) == 0)
            return &run->kernels[i];
    return NULL;
}

static void add_kernel(struct rep_run *run, const char *name, const json_t *facts)
{
    if (name == NULL || find_kernel(run, name) != NULL)
        return;
    run->kernels =
        rep_grow(run->kernels, run->nkernels, &run->kernels_room, sizeof(*run->kernels));
    struct rep_kernel *k = &run->kernels[run->nkernels];
    *k = (struct rep_kernel){.name = name, .order = run->nkernels++};
    k->op = rep_string(facts, "op");
    k->dir = rep_string(facts, "dir");
    k->fuse = rep_string(facts, "fuse");
    k->dtype = rep_string(facts, "dtype");
    k->algo = rep_string(facts, "algo");
    k->isa = rep_string(facts, "isa");
    k->trick = rep_string(facts, "trick");
    k->source = rep_string(facts, "source");
    k->isa_rank = rep_number(facts, "isa_rank");
    const char *origin = rep_string(facts, "origin"); /* not in older runs, which had none */
    k->foreign = origin != NULL && strcmp(origin, "normbench") != 0;
    k->flops = rep_number(facts, "flops");
    k->streams = json_is_true(json_object_get(facts, "streams"));
    k->weak = !json_is_false(json_object_get(facts, "weak"));
    k->contends = (!json_is_false(json_object_get(run->plan, "allow_weak")) || !k->weak) &&
                  !rep_same(k->algo, "auto");
}

static void collect_kernels(struct rep_run *run)
{
    const char *name;
    json_t *facts, *cell, *group, *member, *kernel;
    size_t i, j, m;
    json_object_foreach(json_object_get(run->plan, "kernels"), name, facts)
        add_kernel(run, name, facts);
    json_array_foreach(json_object_get(run->plan, "cells"), i, cell)
    {
        json_array_foreach(json_object_get(cell, "kernels"), j, kernel)
            add_kernel(run, json_string_value(kernel), NULL);
        json_array_foreach(json_object_get(cell, "groups"), j, group)
            json_array_foreach(json_object_get(group, "members"), m, member)
                add_kernel(run, rep_string(member, "kernel"), NULL);
    }
}

static size_t find_entry(const struct rep_cell *cell, const char *name)
{
    for (size_t i = 0; name != NULL && i < cell->nentries; i++)
        if (strcmp(cell->entries[i].kernel->name, name) == 0)
            return i;
    return SIZE_MAX;
}

static size_t new_entry(struct rep_cell *cell, const struct rep_kernel *kernel)
{
    cell->entries = rep_grow(cell->entries, cell->nentries, &cell->entries_room,
                             sizeof(*cell->entries));
    struct rep_entry *e = &cell->entries[cell->nentries];
    *e = (struct rep_entry){.kernel = kernel, .verdict = REP_UNTESTED, .group = SIZE_MAX, .roof = SIZE_MAX};
    e->E_max = e->bound = e->ulp_max = e->normwise = NAN;
    e->unstable_rows = e->overflow_rows = e->gbps = NAN;
    e->prepare_first_ns = e->prepare_ns = NAN;
    e->ns_per_row = e->roof_ratio = e->scale_ratio = (struct rep_estimate){NAN, NAN, NAN, NAN, 0};
    for (size_t c = 0; c < REP_COUNTS; c++)
        e->counts[c] = NAN;
    return cell->nentries++;
}

static size_t add_entry(struct rep_run *run, struct rep_cell *cell, const char *name)
{
    const struct rep_kernel *kernel = find_kernel(run, name);
    size_t i = find_entry(cell, name);
    return kernel == NULL || i != SIZE_MAX ? i : new_entry(cell, kernel);
}

static bool parse_role(const char *word, enum rep_role *role)
{
    static const char *const names[] = {"member", "ceiling", "anchor", "aa", "count"};
    for (size_t i = 0; word != NULL && i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(word, names[i]) == 0) {
            *role = (enum rep_role)i;
            return true;
        }
    return false;
}

static const char *load_group(struct rep_run *run, struct rep_cell *cell,
                              const json_t *json, struct rep_group *g)
{
    const json_t *members = json_object_get(json, "members");
    const char *stage = rep_string(json, "stage");
    g->nmembers = json_array_size(members);
    g->members = rep_alloc(run, g->nmembers * sizeof(*g->members));
    g->screen_only = stage != NULL && strcmp(stage, "screen") == 0;
    if (g->nmembers == 0)
        return "a group has no members";
    for (size_t m = 0; m < g->nmembers; m++) {
        const json_t *member = json_array_get(members, m);
        g->members[m].entry = add_entry(run, cell, rep_string(member, "kernel"));
        g->members[m].passes = rep_number(member, "passes");
        if (g->members[m].entry == SIZE_MAX)
            return "a member of a group names no kernel";
        if (!parse_role(rep_string(member, "role"), &g->members[m].role))
            return "the role of a member is none of member, ceiling, anchor, aa, count";
        if (!(g->members[m].passes >= 1))
            return "passes of a member must be a positive number";
    }
    return NULL;
}

static void load_pairings(struct rep_run *run, struct rep_cell *cell, const json_t *list)
{
    cell->npairings = json_array_size(list);
    cell->pairings = rep_alloc(run, cell->npairings * sizeof(*cell->pairings));
    for (size_t i = 0; i < cell->npairings; i++) {
        const json_t *json = json_array_get(list, i);
        struct rep_pairing *p = &cell->pairings[i];
        p->name = rep_string(json, "pairing");
        p->base_op = rep_string(json, "base_op");
        p->test_op = rep_string(json, "test_op");
        p->isa = rep_string(json, "isa");
        p->base_name = rep_string(json, "base");
        p->test_name = rep_string(json, "test");
        p->base = find_kernel(run, p->base_name);
        p->test = find_kernel(run, p->test_name);
        p->speedup = (struct rep_estimate){NAN, NAN, NAN, NAN, 0};
        p->mde = NAN;
        p->verdict = "not-measured";
    }
}

static const char *type_name(struct rep_run *run, const char *dtype, const char *param)
{
    if (param == NULL || strcmp(dtype, param) == 0)
        return dtype;
    size_t bytes = strlen(dtype) + strlen(param) + 2;
    char *name = rep_alloc(run, bytes);
    snprintf(name, bytes, "%s+%s", dtype, param);
    return name;
}

/* "6.25%", "32": as options take them. */
static void load_ks(const json_t *json, struct rep_cell *cell)
{
    for (int kind = 0; kind < NB_K_COUNT; kind++) {
        const char *text = kind > 0 ? json_string_value(json_object_get(json, nb_k_facts[kind].name)) : NULL;
        char *end = NULL;
        const double v = text != NULL ? strtod(text, &end) : NAN;
        cell->k[kind] = v > 0 && v < 1e12 ? (*end == '%' ? v / 100 : v) : NAN;
    }
}

static const char *load_shape(struct rep_run *run, const json_t *json,
                              struct rep_cell *cell)
{
    cell->id = rep_string(json, "id");
    cell->dir = rep_string(json, "dir");
    cell->fuse = rep_string(json, "fuse");
    cell->dtype = rep_string(json, "dtype");
    cell->param_dtype = rep_string(json, "param_dtype");
    cell->residency = rep_string(json, "residency");
    cell->repro = rep_string(json, "repro");
    if (cell->id == NULL || cell->dtype == NULL || cell->residency == NULL)
        return "id, dtype and residency must be strings";
    if (!get_size(json, "hidden", 1, &cell->hidden) ||
        !get_size(json, "rows", 1, &cell->rows) ||
        !get_size(json, "threads", 1, &cell->threads))
        return "hidden, rows and threads must be positive integers";
    if (!get_size(json, "stats_out", 0, &cell->stats_out))
        cell->stats_out = 0;
    if (!get_size(json, "offset", 0, &cell->offset) &&
        !get_size(run->plan, "offset", 0, &cell->offset)) /* plans of old name one for all cells */
        cell->offset = REP_OFFSET;
    cell->in_place = json_is_true(json_object_get(json, "in_place"));
    load_ks(json_object_get(json, "k"), cell);
    cell->type = type_name(run, cell->dtype, cell->param_dtype);
    return NULL;
}

static const char *load_cell(struct rep_run *run, const json_t *json,
                             struct rep_cell *cell)
{
    const json_t *kernel, *groups = json_object_get(json, "groups");
    size_t i;
    const char *wrong = load_shape(run, json, cell);
    if (wrong != NULL)
        return wrong;
    cell->roof = SIZE_MAX;
    json_array_foreach(json_object_get(json, "kernels"), i,
                       kernel) if (add_entry(run, cell, json_string_value(kernel)) ==
                                   SIZE_MAX) return "kernels must be names";
    cell->ngroups = json_array_size(groups);
    cell->groups = rep_alloc(run, cell->ngroups * sizeof(*cell->groups));
    for (i = 0; i < cell->ngroups && wrong == NULL; i++)
        wrong = load_group(run, cell, json_array_get(groups, i), &cell->groups[i]);
    load_pairings(run, cell, json_object_get(json, "pairings"));
    return wrong;
}

static enum nb_status load_plan(const char *dir, struct rep_run *run, struct nb_err *err)
{
    const json_t *cells = json_object_get(run->plan, "cells");
    if (!json_is_array(cells))
        return nb_fail(err, "%s/plan.json: \"cells\" is missing or no array", dir);
    run->screening = rep_number(run->plan, "screening");
    if (!(run->screening >= 0))
        return nb_fail(err, "%s/plan.json: \"screening\" must be a count of processes",
                       dir);
    collect_kernels(run);
    run->ncells = json_array_size(cells);
    run->cells = rep_alloc(run, run->ncells * sizeof(*run->cells));
    for (size_t i = 0; i < run->ncells; i++) {
        const char *wrong = load_cell(run, json_array_get(cells, i), &run->cells[i]);
        if (wrong != NULL)
            return nb_fail(err, "%s/plan.json: cells[%zu]: %s", dir, i, wrong);
        if (json_object_get(run->cell_index, run->cells[i].id) != NULL)
            return nb_fail(err, "%s/plan.json: cells[%zu]: its id stands there twice",
                           dir, i);
        json_object_set_new(run->cell_index, run->cells[i].id,
                            json_integer((json_int_t)i));
    }
    return NB_OK;
}

static struct rep_cell *find_cell(struct rep_run *run, const json_t *line)
{
    const char *id = rep_string(line, "cell");
    const json_t *i = id ? json_object_get(run->cell_index, id) : NULL;
    return i ? &run->cells[json_integer_value(i)] : NULL;
}

/* ---- checks.jsonl ---- */

static bool parse_verdict(const char *word, enum rep_verdict *v)
{
    for (int i = 0; word != NULL && i < REP_VERDICTS; i++)
        if (strcmp(word, verdict_names[i]) == 0) {
            *v = (enum rep_verdict)i;
            return true;
        }
    return false;
}

static struct rep_entry *stray_entry(struct rep_run *run, const char *id,
                                     const char *name)
{
    size_t c = 0, e;
    while (c < run->nstrays && strcmp(run->strays[c].id, id) != 0)
        c++;
    if (c == run->nstrays) {
        run->strays =
            rep_grow(run->strays, run->nstrays, &run->strays_room, sizeof(*run->strays));
        run->strays[run->nstrays++] = (struct rep_cell){.id = keep(run, id)};
    }
    run->foreign_lines++;
    e = find_entry(&run->strays[c], name);
    if (e == SIZE_MAX) {
        struct rep_kernel *kernel = rep_alloc(run, sizeof(*kernel));
        kernel->name = keep(run, name);
        e = new_entry(&run->strays[c], kernel);
    }
    return &run->strays[c].entries[e];
}

static const char *read_check(struct rep_run *run, const json_t *line)
{
    struct rep_cell *cell = find_cell(run, line);
    const char *name = rep_string(line, "kernel");
    enum rep_verdict verdict;
    if (!rep_same(rep_string(line, "type"), "check"))
        return NULL; /* a kind of line of a later program */
    if (rep_string(line, "cell") == NULL || name == NULL)
        return "cell and kernel must be strings";
    if (!parse_verdict(rep_string(line, "verdict"), &verdict))
        return "verdict is none of the words of docs/schema.md";
    size_t i = cell ? find_entry(cell, name) : SIZE_MAX;
    struct rep_entry *e = i != SIZE_MAX
                              ? &cell->entries[i]
                              : stray_entry(run, rep_string(line, "cell"), name);
    e->verdict = verdict;
    e->reason = keep(run, rep_string(line, "reason"));
    e->worst = keep(run, rep_string(line, "worst"));
    e->repro = keep(run, rep_string(line, "repro"));
    e->E_max = rep_number(line, "E_max");
    e->bound = rep_number(line, "bound");
    e->ulp_max = rep_number(line, "ulp_max");
    e->normwise = rep_number(line, "normwise");
    e->unstable_rows = rep_number(line, "unstable_rows");
    e->overflow_rows = rep_number(line, "overflow_rows");
    e->prepare_first_ns = rep_number(line, "prepare_first_ns");
    e->prepare_ns = rep_number(line, "prepare_ns");
    return NULL;
}

/* ---- samples.jsonl ---- */

/* NULL: there would be too many. */
static struct rep_unit *find_unit(struct rep_cell *cell, size_t process)
{
    for (size_t i = 0; i < cell->nunits; i++)
        if (cell->units[i].process == process)
            return &cell->units[i];
    if (cell->nunits == NB_PROCESSES_MOST)
        return NULL;
    cell->units =
        rep_grow(cell->units, cell->nunits, &cell->units_room, sizeof(*cell->units));
    struct rep_unit *u = &cell->units[cell->nunits++];
    *u = (struct rep_unit){.process = process};
    return u;
}

static void free_attempt(const struct rep_cell *cell, struct rep_attempt *a)
{
    for (size_t g = 0; a->groups != NULL && g < cell->ngroups; g++)
        free(a->groups[g].ns);
    free(a->groups);
    free(a->counted);
    *a = (struct rep_attempt){0};
}

/* Lines of an attempt collect in pending; those of an attempt that was given up are
 * dropped when the next one begins. */
static struct rep_attempt *open_attempt(struct rep_cell *cell, struct rep_unit *u,
                                        double number, bool begins)
{
    if (u->open && !begins && u->pending.number == number)
        return &u->pending;
    free_attempt(cell, &u->pending);
    u->pending.groups =
        calloc(cell->ngroups ? cell->ngroups : 1, sizeof(*u->pending.groups));
    NB_ASSERT(u->pending.groups != NULL && "out of memory");
    u->pending.number = number;
    u->pending.barrier_ns = NAN;
    u->open = true;
    return &u->pending;
}

/* ns of a sample, all its passes: 31 years. What is longer is no time, and sums of it would not stay finite. */
static const double longest_ns = 1e18;

static const char *read_round(const struct rep_cell *cell, struct rep_attempt *a,
                              const json_t *line)
{
    const json_t *ns = json_object_get(line, "ns");
    size_t group;
    if (!get_size(line, "group", 0, &group) || group >= cell->ngroups)
        return "group is no index into the cell's groups in plan.json";
    size_t n = cell->groups[group].nmembers;
    if (!json_is_array(ns) || json_array_size(ns) != n)
        return "ns must hold one time for each member of the group";
    struct rep_rounds *r = &a->groups[group];
    r->ns = rep_grow(r->ns, r->n, &r->room, n * sizeof(*r->ns));
    for (size_t m = 0; m < n; m++) {
        const json_t *t = json_array_get(ns, m);
        double v = json_is_number(t) ? json_number_value(t) : NAN;
        if (!json_is_null(t) && !(v > 0 && v < longest_ns))
            return "a time must be a positive number of ns below 1e18, or null";
        r->ns[r->n * n + m] = v;
    }
    r->n++;
    return NULL;
}

static const char *read_counters(const struct rep_cell *cell, struct rep_attempt *a,
                                 const json_t *line)
{
    double passes = rep_number(line, "passes");
    size_t entry = find_entry(cell, rep_string(line, "kernel"));
    if (entry == SIZE_MAX)
        return NULL;
    if (!(passes >= 1))
        return "passes must be a positive number";
    a->counted = rep_grow(a->counted, a->ncounted, &a->counted_room, sizeof(*a->counted));
    struct rep_counted *c = &a->counted[a->ncounted++];
    c->entry = entry;
    c->certified = rep_same(rep_string(line, "bands"), "hold");
    c->per_pass[REP_REF_CYCLES] = rep_number(line, "ref_cycles") / passes;
    for (size_t i = REP_REF_CYCLES + 1; i < REP_COUNTS; i++)
        c->per_pass[i] =
            rep_number(json_object_get(line, "events"), rep_count_key[i]) / passes;
    return NULL;
}

/* What a process that counted lacked, whatever became of its units. */
static void read_certificates(struct rep_run *run, const json_t *line)
{
    const json_t *events = json_object_get(json_object_get(line, "papi"), "events");
    for (size_t i = REP_REF_CYCLES + 1; i < REP_COUNTS; i++) {
        const char *reason = rep_string(json_object_get(events, rep_count_key[i]), "reason");
        if (reason != NULL && run->lost[i] == NULL)
            run->lost[i] = keep(run, reason);
    }
}

/* A kernel that wrote where it must not makes its own times worthless in this cell. */
static void read_mistrusted(struct rep_run *run, struct rep_cell *cell,
                            const json_t *line)
{
    const json_t *kernel;
    size_t i;
    json_array_foreach(json_object_get(line, "mistrusted"), i, kernel)
    {
        size_t e = find_entry(cell, json_string_value(kernel));
        if (e == SIZE_MAX || cell->entries[e].verdict == REP_MISTRUSTED)
            continue;
        /* a disturbed unit's reason is not about its kernels */
        const bool other = rep_same(rep_string(line, "cause"), "conditions");
        const char *reason = other ? NULL : rep_string(line, "reason");
        cell->entries[e].verdict = REP_MISTRUSTED;
        cell->entries[e].reason = reason ? keep(run, reason) : "named by samples.jsonl";
    }
}

static void read_discard(struct rep_run *run, const json_t *line)
{
    const char *reason = rep_string(line, "reason");
    size_t i = 0;
    reason = reason ? reason : "no reason given";
    while (i < run->ndiscards && strcmp(run->discards[i].reason, reason) != 0)
        i++;
    if (i == run->ndiscards) {
        run->discards = rep_grow(run->discards, run->ndiscards, &run->discards_room,
                                 sizeof(*run->discards));
        run->discards[run->ndiscards++] = (struct rep_discard){keep(run, reason), 0};
    }
    run->discards[i].units++;
}

static void read_end(struct rep_cell *cell, struct rep_unit *u, bool done)
{
    if (done) {
        free_attempt(cell, &u->final);
        u->final = u->pending;
        u->pending = (struct rep_attempt){0};
        u->done = true;
    }
    u->open = false;
}

static bool is_known_type(const char *type)
{
    static const char *const known[] = {"begin", "round", "certificates", "counters", "done", "discard"};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(type, known[i]) == 0)
            return true;
    return false;
}

static const char *read_sample(struct rep_run *run, const json_t *line)
{
    struct rep_cell *cell = find_cell(run, line);
    const char *type = rep_string(line, "type");
    double attempt = rep_number(line, "attempt");
    size_t process;
    if (type == NULL || rep_string(line, "cell") == NULL)
        return "type and cell must be strings";
    if (!is_known_type(type))
        return NULL;
    if (strcmp(type, "certificates") == 0) {
        read_certificates(run, line);
        return NULL;
    }
    if (!get_size(line, "process", 0, &process) || isnan(attempt))
        return "process and attempt must be numbers";
    if (cell == NULL) {
        run->foreign_lines++;
        return NULL;
    }
    struct rep_unit *u = find_unit(cell, process);
    if (u == NULL)
        return "the cell has more than 10000 processes";
    bool done = strcmp(type, "done") == 0, discard = strcmp(type, "discard") == 0;
    bool begins = strcmp(type, "begin") == 0;
    if (discard && !rep_same(rep_string(line, "cause"), "conditions")) { /* those are counted apart */
        read_discard(run, line);
        u->discarded = true;
    }
    if (discard && u->done && !u->open && u->final.number == attempt)
        u->done = false;
    if (done || discard) {
        read_mistrusted(run, cell, line);
        rep_count_conditions(&run->conditions, line, done);
    }
    struct rep_attempt *a = open_attempt(cell, u, attempt, begins);
    if (done)
        a->barrier_ns = rep_number(line, "barrier_ns");
    if (done || discard)
        read_end(cell, u, done);
    else if (strcmp(type, "round") == 0)
        return read_round(cell, a, line);
    else if (strcmp(type, "counters") == 0)
        return read_counters(cell, a, line);
    return NULL;
}

bool rep_is_measuring(const struct rep_run *run, const struct rep_unit *unit)
{
    return unit->done && (double)unit->process >= run->screening;
}

/* ---- all of it ---- */

enum nb_status rep_load(const char *dir, struct rep_run *run, struct nb_err *err)
{
    *run = (struct rep_run){.cell_index = json_object()};
    NB_ASSERT(run->cell_index != NULL && "out of memory");
    enum nb_status status = load_object(dir, "host.json", &run->host, err);
    if (status == NB_OK)
        status = load_object(dir, "plan.json", &run->plan, err);
    if (status == NB_OK)
        status = load_plan(dir, run, err);
    if (status == NB_OK)
        status = load_lines(dir, "checks.jsonl", run, read_check, err);
    if (status == NB_OK)
        status = load_lines(dir, "samples.jsonl", run, read_sample, err);
    return status;
}

void rep_free(struct rep_run *run)
{
    for (size_t c = 0; c < run->ncells; c++) {
        struct rep_cell *cell = &run->cells[c];
        for (size_t u = 0; u < cell->nunits; u++) {
            free_attempt(cell, &cell->units[u].pending);
            free_attempt(cell, &cell->units[u].final);
        }
        free(cell->units);
        free(cell->entries);
    }
    for (size_t i = 0; i < run->nstrays; i++)
        free(run->strays[i].entries);
    free(run->strays);
    free(run->discards);
    for (size_t i = 0; i < run->nowned; i++)
        free(run->owned[i]);
    free(run->owned);
    free(run->kernels);
    json_decref(run->host);
    json_decref(run->plan);
    json_decref(run->cell_index);
    *run = (struct rep_run){0};
}
