#include "synthetic_run.h"
#include "err.h"
#include "stats.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

const struct synthetic_kernel synthetic_kernels[] = {
    {"layernorm", "naive", "scalar", "", 1, 14},
    {"layernorm", "twopass", "scalar", "", 1, 9},
    {"layernorm", "onepass", "scalar", "", 1, 8},
    {"layernorm", "welford", "scalar", "", 1, 16},
    {"layernorm", "twopass", "autovec_avx2", "", 0, 5},
    {"layernorm", "twopass", "autovec_avx512", "", 0, 4.4},
    {"layernorm", "twopass", "avx2", "", 2, 1.9},
    {"layernorm", "onepass", "avx2", "", 2, 1.7},
    {"layernorm", "welford", "avx2", "", 2, 3.1},
    {"layernorm", "twopass", "avx512", "", 3, 1.62},
    {"layernorm", "onepass", "avx512", "", 3, 1.45},
    {"layernorm", "welford", "avx512", "", 3, 2.2},
    {"rmsnorm", "naive", "scalar", "", 1, 10},
    {"rmsnorm", "onepass", "scalar", "", 1, 5},
    {"rmsnorm", "onepass", "autovec_avx2", "", 0, 4.5},
    {"rmsnorm", "onepass", "autovec_avx512", "", 0, 4},
    {"rmsnorm", "onepass", "avx2", "", 2, 1.4},
    {"rmsnorm", "onepass", "avx512", "", 3, 1.25},
    {"rmsnorm", "onepass", "avx512", "rows4", 3, 1.15},
    {"copy", "copy", "avx512", "", 3, 1.05},
    {"scale", "scale", "avx512", "", 3, 1.0},
    {"scale", "scale", "avx512", "nt", 3, 1.3},
    {"affine", "gamma", "avx512", "", 3, 0.97},
    {"affine", "gammabeta", "avx512", "", 3, 1.18},
};
const size_t synthetic_kernel_count =
    sizeof(synthetic_kernels) / sizeof(*synthetic_kernels);

enum { TWOPASS_512 = 9, ONEPASS_512 = 10, RMS_512 = 17, RMS_ROWS4 = 18, SCALE = 20 };

void synthetic_name(char name[96], const struct synthetic_kernel *k, const char *dtype)
{
    snprintf(name, 96, "%s_fwd_%s__%s_%s%s%s", k->op, k->algo, dtype, k->isa,
             k->trick[0] ? "_" : "", k->trick);
}

static double element_bytes(const char *dtype)
{
    return strcmp(dtype, "f32") == 0 ? 4 : strcmp(dtype, "f64") == 0 ? 8 : 2;
}

/* GB/s of scale: what bounds compute there, and what memory allows at most. */
static double bandwidth(const char *residency, size_t threads)
{
    double one = strcmp(residency, "L1") == 0   ? 180
                 : strcmp(residency, "L2") == 0 ? 95
                 : strcmp(residency, "L3") == 0 ? 48
                                                : 21;
    double scale = one < 30 ? fmin((double)threads, 2.2) : (double)threads * 0.97;
    return threads == 1 ? one : one * scale;
}

double synthetic_pass_ns(const struct synthetic_kernel *k, const char *dtype,
                         const char *residency, size_t hidden, size_t rows,
                         size_t threads)
{
    double bytes = 2.0 * (double)(rows * hidden) * element_bytes(dtype);
    double compute = bytes / bandwidth("L1", 1) * k->cost / (double)threads *
                     (1 + 60.0 / (double)hidden);
    double memory =
        bytes / bandwidth(residency, threads) * (0.9 + 0.1 * k->cost / (1 + k->cost));
    if (strcmp(k->trick, "nt") == 0)
        memory *= strcmp(residency, "DRAM") == 0 ? 0.8 : 3;
    return hypot(compute, memory);
}

size_t synthetic_rows(size_t hidden)
{
    return hidden >= 65536 ? 1 : 65536 / hidden;
}

static FILE *open_for(const char *dir, const char *name, const char *mode)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, mode);
    NB_ASSERT(f != NULL);
    return f;
}

static void put(const char *dir, const char *name, const char *text, const char *mode)
{
    FILE *f = open_for(dir, name, mode);
    fputs(text, f);
    NB_ASSERT(fclose(f) == 0);
}

void synthetic_append(const char *dir, const char *name, const char *text)
{
    put(dir, name, text, "a");
}

void synthetic_replace(const char *dir, const char *name, const char *text)
{
    put(dir, name, text, "w");
}

static void dump(const char *dir, const char *name, json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(1));
    NB_ASSERT(text != NULL);
    synthetic_replace(dir, name, text);
    free(text);
    json_decref(json);
}

/* ---- one cell ---- */

struct place {
    const char *residency, *dtype;
    size_t hidden, rows, threads, offset;
    int in_place;
};

enum { USUAL_OFFSET = 2112 };

static void cell_id(char id[128], const struct place *at)
{
    char offset[32] = "";
    if (at->offset != USUAL_OFFSET)
        snprintf(offset, sizeof(offset), "-o%zu", at->offset);
    snprintf(id, 128, "fwd-none-%s-h%zu-r%zu-t%zu-%s%s%s", at->dtype, at->hidden, at->rows,
             at->threads, at->residency, offset, at->in_place ? "-ip" : "");
}

/* All kernels in the cell with hidden 1024, the usual pairings elsewhere. */
static int in_cell(size_t k, const struct place *at)
{
    return at->hidden == 1024 || synthetic_kernels[k].rank == 3;
}

static json_t *named(size_t k, const char *dtype)
{
    char name[96];
    synthetic_name(name, &synthetic_kernels[k], dtype);
    return json_string(name);
}

static json_t *pairing(const char *name, const char *isa, json_t *base, json_t *test)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "pairing", name, "base_op", "layernorm",
                     "test_op", "rmsnorm", "isa", isa, "base", base, "test", test);
}

static const char *role_of(size_t k)
{
    return k == SCALE ? "anchor" : k > RMS_ROWS4 ? "ceiling" : "member";
}

static json_t *cell_json(const struct place *at)
{
    char id[128];
    cell_id(id, at);
    json_t *kernels = json_array(), *members = json_array();
    for (size_t k = 0; k < synthetic_kernel_count; k++) {
        if (!in_cell(k, at))
            continue;
        json_array_append_new(kernels, named(k, at->dtype));
        json_array_append_new(members,
                              json_pack("{s:o,s:s,s:i}", "kernel", named(k, at->dtype),
                                        "role", role_of(k), "passes", 10));
    }
    json_array_append_new(members, json_pack("{s:o,s:s,s:i}", "kernel",
                                             named(TWOPASS_512, at->dtype), "role", "aa",
                                             "passes", 20));
    json_t *pairings =
        json_pack("[o,o,o]",
                  pairing("same-algorithm", "avx512", named(TWOPASS_512, at->dtype),
                          named(RMS_512, at->dtype)),
                  pairing("same-algorithm", "avx512", named(ONEPASS_512, at->dtype),
                          named(RMS_512, at->dtype)),
                  pairing("best-of-each", "any", named(ONEPASS_512, at->dtype),
                          named(RMS_ROWS4, at->dtype)));
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:i,s:I,s:I,s:I,s:I,s:b,s:s,s:i,s:s,s:o,s:[{s:o,s:s}],s:o}", "id",
        id, "dir", "fwd", "fuse", "none", "dtype", at->dtype, "param_dtype", at->dtype,
        "stats_out", 0, "hidden", (json_int_t)at->hidden, "rows", (json_int_t)at->rows,
        "threads", (json_int_t)at->threads, "offset", (json_int_t)at->offset, "in_place", at->in_place, "residency", at->residency, "rounds", 4,
        "repro", "normbench run --hidden N", "kernels", kernels, "groups", "members",
        members, "stage", "all", "pairings", pairings);
}

/* ---- all cells ---- */

static size_t next_word(const char **list, char word[32])
{
    *list += strspn(*list, " ");
    size_t n = strcspn(*list, " ");
    snprintf(word, 32, "%.*s", (int)n, *list);
    *list += n;
    return n;
}

typedef void (*visitor)(const struct place *at, void *data);

static void each_place(const struct synthetic_run *run, struct place at, visitor visit, void *data)
{
    const size_t usual[] = {USUAL_OFFSET, SIZE_MAX}, all[] = {synthetic_rows(at.hidden), 0};
    for (const size_t *r = run->rows ? run->rows : all; *r; r++)
        for (const size_t *o = run->offsets ? run->offsets : usual; *o != SIZE_MAX; o++) {
            at.rows = *r;
            at.offset = *o;
            for (at.in_place = 0; at.in_place <= run->also_in_place; at.in_place++)
                visit(&at, data);
        }
}

static void each_cell(const struct synthetic_run *run, visitor visit, void *data)
{
    char residency[32], dtype[32];
    for (const char *r = run->residencies; next_word(&r, residency) > 0;)
        for (const char *d = run->dtypes; next_word(&d, dtype) > 0;)
            for (const size_t *h = run->hiddens; *h; h++)
                for (const size_t *t = run->threads; *t; t++)
                    each_place(run, (struct place){residency, dtype, *h, 0, *t, 0, 0}, visit, data);
}

static void add_cell(const struct place *at, void *data)
{
    json_array_append_new(data, cell_json(at));
}

double synthetic_flops(const struct synthetic_kernel *k)
{
    return strcmp(k->op, "copy") == 0 ? 0 : strcmp(k->op, "scale") == 0 ? 1 : strcmp(k->op, "affine") == 0 ? 3 : 5;
}

static void write_plan(const char *dir, const struct synthetic_run *run)
{
    json_t *kernels = json_object(), *cells = json_array();
    char dtype[32], name[96];
    for (const char *d = run->dtypes; next_word(&d, dtype) > 0;)
        for (size_t k = 0; k < synthetic_kernel_count; k++) {
            const struct synthetic_kernel *s = &synthetic_kernels[k];
            synthetic_name(name, s, dtype);
            json_object_set_new(kernels, name,
                                json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:f,s:f,s:b,s:b}", "op",
                                          s->op, "dir", "fwd", "fuse", "none", "dtype",
                                          dtype, "algo", s->algo, "isa", s->isa, "trick",
                                          s->trick, "source", "ours", "isa_rank",
                                          s->rank, "flops", synthetic_flops(s), "streams",
                                          strcmp(s->trick, "nt") == 0, "weak",
                                          s->op[0] == 'l' && strcmp(s->algo, "onepass") == 0));
        }
    each_cell(run, add_cell, cells);
    dump(dir, "plan.json",
         json_pack("{s:i,s:s,s:i,s:I,s:s,s:s,s:o,s:[{s:s,s:s}],s:o,s:o*}", "schema", 1, "id",
                   "synthetic", "seed", 1, "screening", (json_int_t)run->screening,
                   "command",
                   run->command ? run->command : "normbench run --preset synthetic",
                   "state", "screened", "kernels", kernels, "dropped", "cell",
                   "fwd-none-f32-h77-r9-t1-L2", "reason", "SKIP_SHAPE: made up", "cells", cells,
                   "bars", run->bars ? json_loads(run->bars, 0, NULL) : NULL));
}

static void write_host(const char *dir, const struct synthetic_run *run)
{
    dump(
        dir, "host.json",
        json_pack("{s:i,s:{s:s,s:s,s:s?,s:s?,s:s?},s:{s:i,s:i,s:i},s:{s:s},s:s,s:s,s:s,s:{s:s,s:{s:{s:s}}}}",
                  "schema", 1, "cpu", "model", run->cpu ? run->cpu : "Synthetic CPU 9000",
                  "microcode", "0x1", "vendor", run->vendor, "family", run->family, "model_number",
                  run->model_number, "caches", "l1d", 32768, "l2", 1048576, "line", SYNTHETIC_LINE, "os",
                  "kernel", "6.1", "compiler", "gcc 12.2.0", "git", "0123abc", "version",
                  "0.1.0", "papi", "state", "no PMU", "events", "cycles", "reason",
                  "the kernel forbids it"));
}

struct lines {
    const struct synthetic_run *run;
    FILE *f;
    unsigned long long random;
    size_t process;
    double drift;
};

static void check_lines(const struct place *at, void *data)
{
    struct lines *l = data;
    char id[128], name[96];
    cell_id(id, at);
    for (size_t k = 0; k < synthetic_kernel_count; k++) {
        if (!in_cell(k, at))
            continue;
        synthetic_name(name, &synthetic_kernels[k], at->dtype);
        json_t *line =
            json_pack("{s:s,s:s,s:s,s:s,s:s?,s:f,s:f,s:f,s:f,s:i,s:i}", "type", "check",
                      "cell", id, "kernel", name, "verdict", "PASS", "reason",
                      l->run->reason, "E_max", 0.75, "bound", 12.0, "ulp_max", 1.5,
                      "normwise", 1e-7, "unstable_rows", 0, "overflow_rows", 0);
        NB_ASSERT(json_dumpf(line, l->f, 0) == 0);
        fputc('\n', l->f);
        json_decref(line);
    }
}

/* Sum of 12 uniform numbers: normal enough. */
static double normal(unsigned long long *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)(nb_random(state) >> 11) * 0x1p-53;
    return sum;
}

static void one_time(struct lines *l, const struct place *at, size_t k, double passes,
                     const char *before)
{
    double ns =
        passes * synthetic_pass_ns(&synthetic_kernels[k], at->dtype, at->residency,
                                   at->hidden, at->rows, at->threads);
    if (l->run->slowness > 0 && at->offset == l->run->slow_offset && k <= RMS_ROWS4)
        ns *= l->run->slowness;
    fprintf(l->f, "%s%.17g", before,
            ns * l->drift * exp(l->run->noise * normal(&l->random)));
}

/* The rest of a counters line. */
static void counted_events(struct lines *l, double elements)
{
    if (l->run->bands == NULL) {
        fputs("\"events\":{\"cycles\":null}}\n", l->f);
        return;
    }
    fprintf(l->f, "\"bands\":\"%s\",\"events\":{\"cycles\":", l->run->bands);
    if (l->run->lacks_cycles)
        fputs("null", l->f);
    else
        fprintf(l->f, "%.17g", SYNTHETIC_CYCLES(elements));
    fprintf(l->f, ",\"instructions\":%.17g,\"loads\":%.17g,\"llc_misses\":%.17g,\"branch_misses\":0}}\n",
            SYNTHETIC_INSTRUCTIONS(elements), SYNTHETIC_LOADS(elements), SYNTHETIC_LLC_MISSES(elements));
}

static void sample_lines(const struct place *at, void *data)
{
    struct lines *l = data;
    char id[128], name[96];
    cell_id(id, at);
    fprintf(l->f, "{\"type\":\"begin\",\"process\":%zu,\"cell\":\"%s\",\"attempt\":0}\n",
            l->process, id);
    for (size_t r = 0; r < l->run->rounds; r++) {
        fprintf(l->f,
                "{\"type\":\"round\",\"process\":%zu,\"cell\":\"%s\",\"attempt\":0,"
                "\"group\":0,"
                "\"round\":%zu,\"order\":[],\"ns\":",
                l->process, id, r);
        const char *before = "[";
        for (size_t k = 0; k < synthetic_kernel_count; k++) {
            if (!in_cell(k, at))
                continue;
            one_time(l, at, k, 10, before);
            before = ",";
        }
        one_time(l, at, TWOPASS_512, 20, ",");
        fputs("]}\n", l->f);
    }
    synthetic_name(name, &synthetic_kernels[RMS_512], at->dtype);
    fprintf(l->f,
            "{\"type\":\"counters\",\"process\":%zu,\"cell\":\"%s\",\"attempt\":0,"
            "\"group\":0,"
            "\"kernel\":\"%s\",\"passes\":10,\"ns\":1000,\"ref_cycles\":%zu,",
            l->process, id, name, 10 * at->rows * at->hidden / 2);
    counted_events(l, 10.0 * (double)at->rows * (double)at->hidden);
    fprintf(l->f,
            "{\"type\":\"done\",\"process\":%zu,\"cell\":\"%s\",\"attempt\":0,"
            "\"mistrusted\":[],\"barrier_ns\":%g"
            "}\n",
            l->process, id, l->run->barrier_ns);
}

void synthetic_write(const char *dir, const struct synthetic_run *run)
{
    struct lines l = {run, open_for(dir, "checks.jsonl", "w"), 42, 0, 1};
    write_host(dir, run);
    write_plan(dir, run);
    each_cell(run, check_lines, &l);
    NB_ASSERT(fclose(l.f) == 0);
    l.f = open_for(dir, "samples.jsonl", "w");
    for (l.process = 0; l.process < run->processes + run->screening; l.process++) {
        l.drift =
            exp(0.3 * sin((double)l.process)); /* shared by all: ratios do not see it */
        each_cell(run, sample_lines, &l);
    }
    NB_ASSERT(fclose(l.f) == 0);
}
