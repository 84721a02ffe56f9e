#define _GNU_SOURCE /* strptime */

#include "entries.h"
#include "buffers.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { DIGITS = 24 };

void nb_entries_describe(struct nb_import *im)
{
    im->machine = (struct nb_dictionary){
        .table = "machine",
        .columns = {"host", "cpu", "vendor", "family", "model_number", "stepping", "l1d",
                    "l2", "l3", "cores", "cpus", "numa_nodes", "memory", "hypervisor"},
        .fixed = 10};
    im->kernel =
        (struct nb_dictionary){.table = "kernel",
                               .columns = {"op", "algo", "isa", "trick", "dtype"},
                               .fixed = 5};
    im->cell = (struct nb_dictionary){.table = "cell",
                                      .columns = {"dir", "fuse", "dtype", "param_dtype",
                                                  "residency", "hidden", "rows",
                                                  "threads", "stats_out", "in_place"},
                                      .fixed = 10};
    im->pairing = (struct nb_dictionary){
        .table = "pairing",
        .columns = {"kind", "base_op", "test_op", "base_k", "test_k", "isa", "dir",
                    "fuse", "dtype", "param_dtype", "residency", "hidden", "rows",
                    "threads", "in_place"},
        .fixed = 15};
}

/* ---- host.json ---- */

bool nb_entries_is_moment(const char *text)
{
    struct tm t = {.tm_sec = 0};
    char again[40];
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t);
    if (end == NULL || *end != 0)
        return false;
    strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%SZ", &t);
    return strcmp(again, text) == 0; /* no blanks, no digits left out */
}

enum nb_status nb_entries_check(const struct nb_summary *s, struct nb_err *err)
{
    if (s->begun != NULL && !nb_entries_is_moment(s->begun))
        return nb_fail(err,
                       "host.json: before.time is \"%.40s\"; it should be UTC, such as "
                       "2026-11-22T08:30:00Z",
                       s->begun);
    return NB_OK;
}

/* A whole number of host.json as a text; NULL: it is not there, or none. */
static const char *number(const struct nb_summary *s, const char *object, const char *key,
                          char text[DIGITS])
{
    const json_t *from = object ? json_object_get(s->host, object) : s->host;
    const json_t *v = json_object_get(from, key);
    if (!json_is_integer(v))
        return NULL;
    snprintf(text, DIGITS, "%" PRId64, (int64_t)json_integer_value(v));
    return text;
}

/* NULL is unlike any text. */
static uint64_t mix(uint64_t hash, const char *text)
{
    return text != NULL ? nb_hash_bytes(hash, text, strlen(text) + 1)
                        : nb_hash_bytes(hash, "\xFF", 1);
}

enum nb_status nb_entries_machine(struct nb_import *im, const struct nb_summary *s,
                                  int64_t *id, struct nb_err *err)
{
    char t[7][DIGITS], name[17];
    const char *facts[] = {s->host_name,
                           s->cpu,
                           nb_summary_host(s, "cpu.vendor"),
                           nb_summary_host(s, "cpu.family"),
                           nb_summary_host(s, "cpu.model_number"),
                           nb_summary_host(s, "cpu.stepping"),
                           number(s, "caches", "l1d", t[0]),
                           number(s, "caches", "l2", t[1]),
                           number(s, "caches", "l3", t[2]),
                           number(s, "topology", "cores", t[3]),
                           number(s, "topology", "cpus", t[4]),
                           number(s, "topology", "numa_nodes", t[5]),
                           number(s, NULL, "memory", t[6]),
                           nb_summary_host(s, "settings.hypervisor")};
    uint64_t hash = 0;
    for (size_t i = 0; i < im->machine.fixed; i++)
        hash = mix(hash, facts[i]);
    if (s->host_name == NULL) /* of a CPU there are many: each such run is of a machine of its own */
        hash = mix(hash, s->begun);
    snprintf(name, sizeof name, "%016" PRIx64, hash);
    return nb_dictionary_id(&im->machine, im->db, name, facts, id, err);
}

bool nb_entries_flags(const struct nb_summary *s, char hex[17])
{
    const json_t *units = json_object_get(s->host, "units");
    if (!json_is_object(units))
        return false;
    char *text = json_dumps(units, JSON_COMPACT | JSON_SORT_KEYS);
    NB_ASSERT(text != NULL && "out of memory");
    snprintf(hex, 17, "%016" PRIx64, mix(0, text));
    free(text);
    return true;
}

/* ---- results.csv ---- */

static const char *count_text(size_t n, char text[DIGITS])
{
    snprintf(text, DIGITS, "%zu", n);
    return text;
}

static enum nb_status cell_id(struct nb_import *im, const struct nb_result *r,
                              int64_t *id, struct nb_err *err)
{
    char t[3][DIGITS];
    const char *facts[] = {r->dir,
                           r->fuse,
                           r->dtype,
                           r->param_dtype,
                           r->residency,
                           count_text(r->hidden, t[0]),
                           count_text(r->rows, t[1]),
                           count_text(r->threads, t[2]),
                           r->stats_out ? "1" : "0",
                           r->in_place ? "1" : "0"};
    return nb_dictionary_id(&im->cell, im->db, r->cell, facts, id, err);
}

/* A kernel that is named; without its facts. 0: NULL. */
static enum nb_status named_id(struct nb_import *im, const char *name, int64_t *id,
                               struct nb_err *err)
{
    static const char *const none[5];
    *id = 0;
    return name != NULL ? nb_dictionary_id(&im->kernel, im->db, name, none, id, err)
                        : NB_OK;
}

static enum nb_status write_result(struct nb_import *im, const struct nb_result *r,
                                   int64_t run, struct nb_err *err)
{
    const char *facts[] = {r->op, r->algo, r->isa, r->trick, r->dtype};
    int64_t kernel = 0, cell = 0, roof = 0;
    enum nb_status status =
        nb_dictionary_id(&im->kernel, im->db, r->kernel, facts, &kernel, err);
    if (status == NB_OK)
        status = cell_id(im, r, &cell, err);
    if (status == NB_OK)
        status = named_id(im, r->roof, &roof, err);
    if (status != NB_OK)
        return status;
    nb_db_bind(im->result, "iiisidddnddddddd", run, kernel, cell, r->verdict,
               (int64_t)r->processes, r->ns_per_row.value, r->ns_per_row.lo,
               r->ns_per_row.hi, roof, r->of_roof.value, r->of_roof.lo, r->of_roof.hi,
               r->of_scale.value, r->of_scale.lo, r->of_scale.hi, r->core_cycles);
    return nb_db_run(im->db, im->result, err);
}

/* "FILE:LINE: what is wrong" */
static enum nb_status at_line(const struct nb_import *im, const char *file, size_t line,
                              struct nb_err *err)
{
    struct nb_err inner = *err;
    return im->db->failed ? NB_ERROR
                          : nb_fail(err, "%s:%zu: %.800s", file, line, inner.text);
}

enum nb_status nb_entries_results(struct nb_import *im, const struct nb_summary *s,
                                  int64_t run, struct nb_err *err)
{
    for (size_t i = 0; i < s->nresults; i++)
        if (write_result(im, &s->results[i], run, err) != NB_OK)
            return at_line(im, "results.csv", s->results[i].line, err);
    return NB_OK;
}

/* ---- speedup.csv ---- */

static const char *or_dash(const char *s)
{
    return s != NULL ? s : "-";
}

/* All facts of a pairing, in one text. */
static char *pairing_name(const struct nb_speedup *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL && "out of memory");
    fprintf(f, "%s(%s):%s(%s) %s %s %s-%s-%s+%s-h%zu-r%zu-t%zu-%s%s", p->test_op,
            or_dash(p->test_k), p->base_op, or_dash(p->base_k), p->pairing,
            or_dash(p->isa), p->dir, p->fuse, p->dtype, or_dash(p->param_dtype),
            p->hidden, p->rows, p->threads, p->residency, p->in_place ? "-ip" : "");
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    return text;
}

static enum nb_status pairing_id(struct nb_import *im, const struct nb_speedup *p,
                                 int64_t *id, struct nb_err *err)
{
    char t[3][DIGITS], *name = pairing_name(p);
    const char *facts[] = {p->pairing,
                           p->base_op,
                           p->test_op,
                           p->base_k,
                           p->test_k,
                           p->isa,
                           p->dir,
                           p->fuse,
                           p->dtype,
                           p->param_dtype,
                           p->residency,
                           count_text(p->hidden, t[0]),
                           p->rows ? count_text(p->rows, t[1]) : NULL,
                           count_text(p->threads, t[2]),
                           p->in_place ? "1" : "0"};
    enum nb_status status = nb_dictionary_id(&im->pairing, im->db, name, facts, id, err);
    free(name);
    return status;
}

static enum nb_status write_speedup(struct nb_import *im, const struct nb_speedup *p,
                                    int64_t run, struct nb_err *err)
{
    int64_t pairing = 0, base = 0, test = 0;
    enum nb_status status = pairing_id(im, p, &pairing, err);
    if (status == NB_OK)
        status = named_id(im, p->base_kernel, &base, err);
    if (status == NB_OK)
        status = named_id(im, p->test_kernel, &test, err);
    if (status != NB_OK)
        return status;
    nb_db_bind(im->speedup, "iiinnsiddddi", run, (int64_t)p->line, pairing, base, test,
               p->verdict, (int64_t)p->processes, p->speedup.value, p->speedup.lo,
               p->speedup.hi, p->confidence, (int64_t)p->doubtful);
    return nb_db_run(im->db, im->speedup, err);
}

enum nb_status nb_entries_speedups(struct nb_import *im, const struct nb_summary *s,
                                   int64_t run, struct nb_err *err)
{
    for (size_t i = 0; i < s->nspeedups; i++)
        if (write_speedup(im, &s->speedups[i], run, err) != NB_OK)
            return at_line(im, "speedup.csv", s->speedups[i].line, err);
    return NB_OK;
}
