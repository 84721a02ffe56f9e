/* The report as a function of raw files: numbers against runs whose truth is known,
 * broken and hostile files, determinism, pictures. */
#include "report.h"
#include "stats.h"
#include "synthetic_run.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- folders and files ---- */

#include "scratch.h"

static int exists(const char *dir, const char *name)
{
    char *text = slurp(dir, name, NULL);
    free(text);
    return text != NULL;
}

static int file_holds(const char *dir, const char *name, const char *word)
{
    char *text = slurp(dir, name, NULL);
    assert_non_null(text);
    int holds = strstr(text, word) != NULL;
    free(text);
    return holds;
}

static size_t lines_with(const char *dir, const char *name, const char *word)
{
    char *text = slurp(dir, name, NULL), *rest = text, *line;
    size_t n = 0;
    while ((line = strsep(&rest, "\n")) != NULL)
        n += strstr(line, word) != NULL;
    free(text);
    return n;
}

static void same_file(const char *a, const char *b, const char *name)
{
    size_t n, m;
    char *x = slurp(a, name, &n), *y = slurp(b, name, &m);
    assert_non_null(x);
    assert_non_null(y);
    if (n != m || memcmp(x, y, n) != 0)
        fail_msg("%s differs", name);
    free(x);
    free(y);
}

static void must(enum nb_status status, const struct nb_err *err)
{
    if (status != NB_OK)
        fail_msg("%s", err->text);
}

static void report(const char *dir)
{
    struct nb_err err = {""};
    must(nb_report(dir, NULL, &err), &err);
}

static void must_fail(const char *dir, const char *word)
{
    struct nb_err err = {""};
    assert_int_equal(nb_report(dir, NULL, &err), NB_ERROR);
    if (strstr(err.text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

/* ---- a reader of CSV of its own (RFC 4180) ---- */

enum { COLUMNS = 96 };
struct csv {
    char *text, *cell[COLUMNS], *next;
    char *head[COLUMNS];
    size_t columns;
};

static int csv_line(struct csv *c, char *cells[COLUMNS], size_t *n)
{
    char *s = c->next;
    if (*s == 0)
        return 0;
    for (*n = 0;; (*n)++) {
        assert_true(*n < COLUMNS);
        char *to = cells[*n] = s;
        int quoted = *s == '"';
        s += quoted;
        while (quoted ? *s != '"' || s[1] == '"' : *s != ',' && *s != '\n') {
            assert_true(*s != 0 && (quoted || *s != '"'));
            s += *s == '"';
            *to++ = *s++;
        }
        s += quoted;
        char end = *s++;
        *to = 0;
        if (end == '\n')
            break;
        assert_int_equal(end, ',');
    }
    (*n)++;
    c->next = s;
    return 1;
}

static struct csv csv_open(const char *dir, const char *name)
{
    struct csv c = {.text = slurp(dir, name, NULL)};
    assert_non_null(c.text);
    c.next = c.text;
    assert_true(csv_line(&c, c.head, &c.columns));
    return c;
}

static int csv_next(struct csv *c)
{
    size_t n;
    if (!csv_line(c, c->cell, &n))
        return 0;
    assert_int_equal(n, c->columns);
    return 1;
}

static const char *get(const struct csv *c, const char *column)
{
    for (size_t i = 0; i < c->columns; i++)
        if (strcmp(c->head[i], column) == 0)
            return c->cell[i];
    fail_msg("no column %s", column);
    return NULL;
}

static double number(const struct csv *c, const char *column)
{
    const char *text = get(c, column);
    char *end;
    double v = strtod(text, &end);
    if (*end != 0 || end == text)
        fail_msg("%s is \"%s\", no number", column, text);
    return v;
}

static void null(const struct csv *c, const char *column)
{
    assert_string_equal(get(c, column), "null");
}

static void near(const struct csv *c, const char *column, double wanted, double relative)
{
    double v = number(c, column);
    if (!(fabs(v - wanted) <= relative * fabs(wanted)))
        fail_msg("%s of %s is %.9g, not %.9g", column, c->cell[1], v, wanted);
}

/* Stands on the line of a kernel (or, in speedup.csv, of a pairing). */
static struct csv csv_find(const char *dir, const char *name, const char *column,
                           const char *word)
{
    struct csv c = csv_open(dir, name);
    while (csv_next(&c))
        if (strcmp(get(&c, column), word) == 0)
            return c;
    fail_msg("no line with %s in %s", word, name);
    return c;
}

/* ---- a run without noise: every number is known ---- */

static const size_t hiddens[] = {256, 1024, 4096, 0}, one_thread[] = {1, 0},
                    threads[] = {1, 2, 4, 0};
static const char *scale_name(const struct csv *c)
{
    return strcmp(get(c, "dtype"), "f32") == 0 ? "scale_fwd_scale__f32_avx512"
                                               : "scale_fwd_scale__bf16_avx512";
}

static const struct synthetic_run exact = {.residencies = "L2 DRAM",
                                           .dtypes = "f32 bf16",
                                           .hiddens = hiddens,
                                           .threads = one_thread,
                                           .processes = 8,
                                           .screening = 2,
                                           .rounds = 4};

static const struct synthetic_kernel *kernel_named(const char *name, const char *dtype)
{
    char other[96];
    for (size_t k = 0; k < synthetic_kernel_count; k++) {
        synthetic_name(other, &synthetic_kernels[k], dtype);
        if (strcmp(other, name) == 0)
            return &synthetic_kernels[k];
    }
    fail_msg("no kernel %s", name);
    return NULL;
}

static double true_pass(const struct csv *c, const char *kernel)
{
    return synthetic_pass_ns(kernel_named(kernel, get(c, "dtype")), get(c, "dtype"),
                             get(c, "residency"), (size_t)number(c, "hidden"),
                             (size_t)number(c, "rows"), (size_t)number(c, "threads"));
}

/* Drift multiplies all times of a process; the median process of 8 lies between the
 * middle two. */
static double median_drift(double *lo, double *hi)
{
    double v[8];
    for (int i = 0; i < 8; i++)
        v[i] = exp(0.3 * sin(i + 2.0));
    double median = nb_median(v, 8);
    *lo = v[0];
    *hi = v[7];
    return median;
}

static void check_result(const struct csv *c)
{
    double lo, hi, drift = median_drift(&lo, &hi), ns = true_pass(c, get(c, "kernel"));
    double rows = number(c, "rows"), hidden = number(c, "hidden");
    double bytes = strcmp(get(c, "dtype"), "f32") == 0 ? 4 : 2;
    near(c, "ns_per_row", ns * drift / rows, 1e-5);
    near(c, "ns_lo", ns * lo / rows, 1e-5);
    near(c, "ns_hi", ns * hi / rows, 1e-5);
    near(c, "gbps", 2 * rows * hidden * bytes / (ns * drift), 1e-5);
    near(c, "roof_ratio", true_pass(c, get(c, "roof")) / ns, 1e-5);
    near(c, "roof_lo", true_pass(c, get(c, "roof")) / ns, 1e-5);
    near(c, "scale_ratio", true_pass(c, scale_name(c)) / ns, 1e-5);
    near(c, "bytes_per_row", 2 * hidden * bytes, 0);
    near(c, "bytes_per_row_allocate",
         (strcmp(get(c, "trick"), "nt") == 0 ? 2 : 3) * hidden * bytes, 0);
    near(c, "flops_per_elem", synthetic_flops(kernel_named(get(c, "kernel"), get(c, "dtype"))), 0);
    near(c, "offset", 2112, 0);
    assert_int_equal((int)number(c, "processes"), 8);
    assert_int_equal((int)number(c, "rounds"), 32);
    null(c, "core_cycles_per_elem");
    null(c, "l2_misses_per_row");
    null(c, "prepare_first_ns");
    null(c, "prepare_ns");
    if (strstr(get(c, "kernel"), "rmsnorm_fwd_onepass") &&
        strcmp(get(c, "isa"), "avx512") == 0 && strcmp(get(c, "trick"), "none") == 0)
        near(c, "ref_cycles_per_elem", 0.5, 1e-5);
    else
        null(c, "ref_cycles_per_elem");
}

static void test_exact_results(void **state)
{
    (void)state;
    const char *dir = new_folder();
    synthetic_write(dir, &exact);
    report(dir);
    struct csv c = csv_open(dir, "results.csv");
    assert_int_equal(c.columns, 62);
    size_t lines = 0;
    while (csv_next(&c)) {
        /* copy and scale alone make a roof: not affine, which is a reference line */
        int dram = strcmp(get(&c, "residency"), "DRAM") == 0;
        assert_non_null(strstr(get(&c, "roof"), "scale_fwd_scale"));
        assert_int_equal(strstr(get(&c, "roof"), "_nt") != NULL, dram);
        assert_string_equal(get(&c, "verdict"), "PASS");
        check_result(&c);
        lines++;
    }
    assert_int_equal(lines, 2 * 2 * (24 + 2 * 10));
    assert_true(file_holds(dir, "report.md", "| ipc | instructions / cycles | 0 of 176 | no instructions, no cycles |"));
    assert_true(file_holds(dir, "report.md", "- no cycles: the kernel forbids it"));
    free(c.text);
}

static struct csv counted_line(const char *dir, const struct synthetic_run *run)
{
    synthetic_write(dir, run);
    report(dir);
    return csv_find(dir, "results.csv", "kernel", "rmsnorm_fwd_onepass__f32_avx512");
}

/* Figures follow from counts that are known; what is not counted is null and named. */
static void test_counted_figures(void **state)
{
    (void)state;
    struct synthetic_run run = exact;
    run.bands = "hold";
    const char *dir = new_folder();
    struct csv c = counted_line(dir, &run);
    const double hidden = number(&c, "hidden");
    near(&c, "core_cycles_per_elem", SYNTHETIC_CYCLES(1.0), 1e-5);
    near(&c, "instructions_per_elem", SYNTHETIC_INSTRUCTIONS(1.0), 1e-5);
    near(&c, "loads_per_elem", SYNTHETIC_LOADS(1.0), 1e-5);
    near(&c, "llc_misses_per_row", SYNTHETIC_LLC_MISSES(hidden), 1e-5);
    near(&c, "branch_misses_per_row", 0, 0);
    near(&c, "ipc", 2, 1e-5);
    near(&c, "bytes_per_cycle", 2 * 4 / SYNTHETIC_CYCLES(1.0), 1e-5);
    near(&c, "dram_bytes_per_row", hidden, 1e-5); /* a byte an element, of 8 or 12 of the model */
    near(&c, "dram_over_model", 1.0 / 8, 1e-5);
    near(&c, "dram_over_model_allocate", 1.0 / 12, 1e-5);
    null(&c, "l1d_misses_per_row");
    null(&c, "dtlb_misses_per_row");
    assert_string_equal(get(&c, "counters"), "certified");
    assert_string_equal(get(&c, "counters_missing"), "l1d_misses|l2_misses|dtlb_misses");
    assert_true(file_holds(dir, "report.md", "- no l1d_misses, l2_misses, dtlb_misses: unknown to the program"));
    assert_true(file_holds(dir, "report.md", "| ipc | instructions / cycles | 12 of 176 |"));
    assert_false(file_holds(dir, "report.md", "UNCERTIFIED"));
    free(c.text);
}

static void test_counts_without_certificates(void **state)
{
    (void)state;
    const char *const bands[] = {"off", "hold"};
    for (int i = 0; i < 2; i++) {
        struct synthetic_run run = exact;
        run.bands = bands[i];
        const char *dir = new_folder();
        struct csv c = counted_line(dir, &run);
        assert_string_equal(get(&c, "counters"), i == 0 ? "uncertified" : "certified");
        near(&c, "ipc", 2, 1e-5);
        assert_int_equal(file_holds(dir, "report.md", "**UNCERTIFIED**"), i == 0);
        free(c.text);
        c = csv_find(dir, "results.csv", "kernel", "layernorm_fwd_twopass__f32_avx512");
        null(&c, "counters");
        free(c.text);
    }
}

/* An event that host.json has and a process that counts lost: the figure that it saw is the reason. */
static void test_lost_event(void **state)
{
    (void)state;
    struct synthetic_run run = exact;
    run.bands = "hold";
    run.lacks_cycles = 1;
    const char *dir = new_folder();
    synthetic_write(dir, &run);
    synthetic_replace(dir, "host.json", "{\"schema\":1,\"caches\":{},\"papi\":{\"state\":\"PAPI\",\"events\":"
                                        "{\"cycles\":{\"source\":\"PAPI_TOT_CYC\"}}}}\n");
    synthetic_append(dir, "samples.jsonl", "{\"type\":\"certificates\",\"process\":2,\"cell\":\"x\",\"attempt\":0,"
                     "\"papi\":{\"bands\":\"hold\",\"events\":{\"cycles\":{\"reason\":\"PAPI: counted 7\"}}}}\n");
    report(dir);
    struct csv c = csv_find(dir, "results.csv", "kernel", "rmsnorm_fwd_onepass__f32_avx512");
    const char *const lacking[] = {"core_cycles_per_elem", "ipc", "bytes_per_cycle", "dram_bytes_per_row",
                                   "dram_over_model", "dram_over_model_allocate"};
    for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++)
        null(&c, lacking[i]);
    near(&c, "instructions_per_elem", 0.5, 1e-5);
    assert_string_equal(get(&c, "counters_missing"), "cycles|l1d_misses|l2_misses|dtlb_misses|line");
    assert_true(file_holds(dir, "report.md", "- no cycles: PAPI: counted 7"));
    assert_true(file_holds(dir, "report.md", "no cache line in host.json"));
    free(c.text);
}

static void test_exact_speedups(void **state)
{
    (void)state;
    const char *dir = new_folder();
    synthetic_write(dir, &exact);
    report(dir);
    struct csv c = csv_open(dir, "speedup.csv");
    assert_int_equal(c.columns, 27);
    size_t lines = 0;
    while (csv_next(&c)) {
        double ratio =
            true_pass(&c, get(&c, "base_kernel")) / true_pass(&c, get(&c, "test_kernel"));
        near(&c, "speedup", ratio, 1e-5);
        near(&c, "lo", ratio, 1e-5);
        near(&c, "hi", ratio, 1e-5);
        near(&c, "confidence", 1 - 2.0 / 256, 1e-5);
        assert_int_equal((int)number(&c, "processes"), 8);
        assert_string_equal(get(&c, "verdict"), ratio > 1 ? "faster" : "slower");
        assert_true(number(&c, "mde") < 1e-6); /* of numbers without noise */
        assert_int_equal((int)number(&c, "doubtful"), 0);
        lines++;
    }
    assert_int_equal(lines, 3 * 2 * 2 * 3);
    free(c.text);
}

static json_t *load(const char *dir, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    return json;
}

/* Makes the slowest LayerNorm the winner of best-of-each in every cell that has it. */
static size_t crown_the_slowest(const char *dir)
{
    json_t *plan = load(dir, "plan.json"), *cell, *pairing;
    size_t i, j, crowned = 0;
    char path[256], name[96];
    json_array_foreach(json_object_get(plan, "cells"), i, cell)
    {
        if (json_integer_value(json_object_get(cell, "hidden")) != 1024)
            continue;
        synthetic_name(name, &synthetic_kernels[0],
                       json_string_value(json_object_get(cell, "dtype")));
        json_array_foreach(json_object_get(cell, "pairings"), j, pairing) if (
            strcmp(json_string_value(json_object_get(pairing, "pairing")),
                   "best-of-each") == 0)
        {
            json_object_set_new(pairing, "base", json_string(name));
            crowned++;
        }
    }
    snprintf(path, sizeof(path), "%s/plan.json", dir);
    assert_int_equal(json_dump_file(plan, path, 0), 0);
    json_decref(plan);
    return crowned;
}

/* Cells in place have their own lines and columns, and no part in what is said of the others. */
static void test_in_place_is_apart(void **state)
{
    (void)state;
    const char *plain = new_folder(), *both = new_folder();
    struct synthetic_run run = exact;
    run.residencies = "L2";
    synthetic_write(plain, &run);
    report(plain);
    run.also_in_place = 1;
    synthetic_write(both, &run);
    report(both);
    static const char *const pictures[] = {"speedup_best", "bandwidth", "algorithms", "scaling", "roofline"};
    for (size_t i = 0; i < sizeof(pictures) / sizeof(*pictures); i++) {
        char name[64];
        snprintf(name, sizeof(name), "plots/%s.dat", pictures[i]);
        if (exists(plain, name))
            same_file(plain, both, name);
    }
    assert_true(file_holds(both, "report.md", "best against best in place: x"));
    assert_false(file_holds(plain, "report.md", "in place"));
    assert_true(file_holds(both, "report.md", "| fwd-none-ip | "));
    size_t in_place = 0, lines = 0;
    struct csv c = csv_open(both, "speedup.csv");
    while (csv_next(&c)) {
        in_place += strcmp(get(&c, "in_place"), "1") == 0;
        lines++;
    }
    free(c.text);
    assert_int_equal(2 * in_place, lines);
    c = csv_open(both, "results.csv");
    while (csv_next(&c)) {
        int ip = strcmp(get(&c, "in_place"), "1") == 0, streams = strcmp(get(&c, "streams"), "1") == 0;
        double rate = number(&c, "bytes_per_row_allocate") / number(&c, "bytes_per_row");
        assert_int_equal(ip, strstr(get(&c, "cell"), "-ip") != NULL);
        assert_true(rate == (ip || streams ? 1 : 1.5));
    }
    free(c.text);
    char *a = slurp(plain, "report.md", NULL), *b = slurp(both, "report.md", NULL);
    assert_non_null(a);
    assert_non_null(b);
    const char *from = strstr(a, "**RMSNorm vs"), *end = strstr(from, "**\n");
    assert_memory_equal(from, strstr(b, "**RMSNorm vs"), (size_t)(end - from)); /* over as many cells */
    free(a);
    free(b);
}

/* A winner of the screening that another kernel beats clearly: no answer to best against
 * best. */
static void test_not_best(void **state)
{
    (void)state;
    const char *dir = new_folder();
    struct synthetic_run run = exact;
    run.residencies = "L2";
    synthetic_write(dir, &run);
    assert_int_equal(crown_the_slowest(dir), 2);
    report(dir);
    size_t beaten = 0, best = 0;
    struct csv c = csv_open(dir, "speedup.csv");
    while (csv_next(&c)) {
        int marked = strcmp(get(&c, "verdict"), "not-best") == 0;
        int slowest = strstr(get(&c, "base_kernel"), "naive") != NULL;
        assert_int_equal(marked, slowest);
        beaten += (size_t)marked;
        best += strcmp(get(&c, "pairing"), "best-of-each") == 0;
    }
    free(c.text);
    assert_int_equal(beaten, 2);
    assert_int_equal(best, 6);
    assert_true(file_holds(dir, "report.md", "over 4 cells (faster in 4, slower in 0, "
                                             "unresolved in 0; not best in 2 more)"));
    assert_true(file_holds(dir, "report.md",
                           "`layernorm_fwd_onepass__f32_avx512`, "));
    assert_int_equal(lines_with(dir, "report.md", "], was faster than the winner `"), 2);
    char *quote = slurp(dir, "report.md", NULL);
    assert_non_null(strstr(quote, "hidden 256, data in")); /* not 1024: it is beaten */
    free(quote);
    assert_false(file_holds(dir, "plots/speedup_best.dat", "\n1024 "));
    assert_int_equal(lines_with(dir, "plots/speedup_best.dat", "."), 4);

    static const size_t one[] = {1024, 0};
    run.hiddens = one;
    synthetic_write(dir, &run);
    crown_the_slowest(dir);
    report(dir);
    assert_true(file_holds(dir, "report.md", "in 2 cells the winner was not the fastest"));
    assert_true(file_holds(dir, "report.md", "\nNot yet: no ratio of this run"));
    assert_false(exists(dir, "plots/speedup_best.gp"));
}

static void test_gbench(void **state)
{
    (void)state;
    const char *dir = new_folder();
    char path[256];
    synthetic_write(dir, &exact);
    report(dir);
    snprintf(path, sizeof(path), "%s/gbench.json", dir);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL), *b, *all;
    assert_non_null(json);
    assert_true(json_is_object(json_object_get(json, "context")));
    all = json_object_get(json, "benchmarks");
    assert_int_equal(json_array_size(all), 2 * 2 * (24 + 2 * 10) * 8);
    size_t i;
    json_array_foreach(all, i, b)
    {
        assert_true(json_number_value(json_object_get(b, "real_time")) > 0);
        assert_in_range(json_integer_value(json_object_get(b, "repetition_index")), 2, 9);
    }
    json_decref(json);
}

/* ---- a run of three kernels, written by hand ---- */

#define CELL "fwd-none-f32-h4-r2-t1-L2"
static const char mini_plan[] =
    "{\"schema\":1,\"screening\":1,\"new_key\":[1],\"kernels\":{"
    "\"ln\":{\"op\":\"layernorm\",\"algo\":\"twopass\",\"isa\":\"avx2\",\"trick\":\"\","
    "\"isa_rank\":2},"
    "\"rms\":{\"op\":\"rmsnorm\",\"algo\":\"onepass\",\"isa\":\"avx2\",\"trick\":\"\","
    "\"isa_rank\":2},"
    "\"scale\":{\"op\":\"scale\",\"algo\":\"scale\",\"isa\":\"avx2\",\"trick\":\"\","
    "\"isa_rank\":2},"
    "\"never\":{\"op\":\"rmsnorm\"}},"
    "\"cells\":[{\"id\":\"" CELL "\",\"dir\":\"fwd\",\"fuse\":\"none\",\"dtype\":\"f32\","
    "\"param_dtype\":\"f32\",\"stats_out\":0,\"hidden\":4,\"rows\":2,\"threads\":1,"
    "\"residency\":\"L2\",\"repro\":\"again\",\"kernels\":[\"ln\",\"rms\",\"scale\","
    "\"never\"],"
    "\"groups\":[%s{\"members\":[{\"kernel\":\"ln\",\"role\":\"member\",\"passes\":2},"
    "{\"kernel\":\"rms\",\"role\":\"member\",\"passes\":1},"
    "{\"kernel\":\"scale\",\"role\":\"anchor\",\"passes\":1},"
    "{\"kernel\":\"ln\",\"role\":\"aa\",\"passes\":4}],\"stage\":\"all\"}],"
    "\"pairings\":[{\"pairing\":\"same-algorithm\",\"base_op\":\"layernorm\",\"test_op\":"
    "\"rmsnorm\","
    "\"isa\":\"avx2\",\"base\":\"ln\",\"test\":\"rms\"},{\"pairing\":\"best-of-each\","
    "\"base_op\":\"layernorm\",\"test_op\":\"rmsnorm\",\"isa\":\"any\",\"base\":null,"
    "\"test\":null}]}]}";

static void check(const char *dir, const char *kernel, const char *verdict)
{
    char line[512];
    snprintf(line, sizeof(line),
             "{\"type\":\"check\",\"cell\":\"" CELL "\",\"kernel\":\"%s\","
             "\"verdict\":\"%s\",\"reason\":null,\"E_max\":null,\"future\":{}}\n",
             kernel, verdict);
    synthetic_append(dir, "checks.jsonl", line);
}

static const char *mini(const char *other_groups)
{
    char plan[8192];
    const char *dir = new_folder();
    snprintf(plan, sizeof(plan), mini_plan, other_groups);
    synthetic_replace(dir, "plan.json", plan);
    synthetic_replace(dir, "host.json", "{\"schema\":1,\"cpu\":{\"model\":\"M\"}}");
    synthetic_replace(dir, "checks.jsonl", "");
    synthetic_replace(dir, "samples.jsonl", "");
    check(dir, "ln", "PASS");
    check(dir, "rms", "PASS");
    check(dir, "scale", "PASS");
    return dir;
}

static void event(const char *dir, const char *type, int process, int attempt,
                  const char *rest)
{
    char line[512];
    snprintf(line, sizeof(line),
             "{\"type\":\"%s\",\"process\":%d,\"cell\":\"" CELL "\",\"attempt\":%d%s}\n",
             type, process, attempt, rest);
    synthetic_append(dir, "samples.jsonl", line);
}

/* Times of a pass of ln, rms and scale; the copy of ln runs at ln's speed. */
static void round_of(const char *dir, int process, int attempt, int group, double ln,
                     double rms, double scale)
{
    char rest[256];
    snprintf(rest, sizeof(rest),
             ",\"group\":%d,\"round\":0,\"order\":[0,1,2,3],\"ns\":[%g,%g,%g,%g]", group,
             2 * ln, rms, scale, 4 * ln);
    event(dir, "round", process, attempt, rest);
}

static void process_of(const char *dir, int process, double ln, double rms, double scale)
{
    event(dir, "begin", process, 0, "");
    for (int i = 0; i < 3; i++)
        round_of(dir, process, 0, 0, ln, rms, scale);
    event(dir, "done", process, 0, ",\"mistrusted\":[]");
}

static void processes(const char *dir, int first, int last)
{
    for (int p = first; p <= last; p++)
        process_of(dir, p, 300, 200, 100);
}

static struct csv kernel_line(const char *dir, const char *kernel)
{
    return csv_find(dir, "results.csv", "kernel", kernel);
}

static void expect_speedup(const char *dir, const char *verdict, double speedup,
                           int count)
{
    struct csv c = csv_find(dir, "speedup.csv", "pairing", "same-algorithm");
    assert_string_equal(get(&c, "verdict"), verdict);
    assert_int_equal((int)number(&c, "processes"), count);
    if (isnan(speedup))
        null(&c, "speedup");
    else
        near(&c, "speedup", speedup, 1e-5);
    free(c.text);
}

static void test_screening_is_ignored(void **state)
{
    (void)state;
    const char *dir = mini("");
    process_of(dir, 0, 1, 1000, 1);
    processes(dir, 1, 6);
    report(dir);
    expect_speedup(dir, "faster", 1.5, 6);
    struct csv c = kernel_line(dir, "ln");
    near(&c, "ns_per_row", 150, 1e-5);
    near(&c, "roof_ratio", 1 / 3.0, 1e-5);
    free(c.text);
    assert_true(file_holds(dir, "report.md", "0.00 % in the median"));
}

static void test_slower_and_unresolved(void **state)
{
    (void)state;
    const char *dir = mini("");
    for (int p = 1; p <= 6; p++)
        process_of(dir, p, 100, 120, 90);
    report(dir);
    expect_speedup(dir, "slower", 100 / 120.0, 6);
    dir = mini("");
    for (int p = 1; p <= 6; p++)
        process_of(dir, p, 100, p < 3 ? 90 : 110, 90);
    report(dir);
    expect_speedup(dir, "unresolved", 100 / 110.0, 6);
}

/* Faster than the roof with its whole interval: no number, no speedup, and it counts as mistrusted. */
static void test_faster_than_the_roof(void **state)
{
    (void)state;
    const char *dir = mini("");
    for (int p = 0; p <= 6; p++)
        process_of(dir, p, 300, 80, 100);
    report(dir);
    expect_speedup(dir, "not-measured", NAN, 0);
    struct csv c = kernel_line(dir, "rms");
    assert_string_equal(get(&c, "verdict"), "MISTRUSTED");
    null(&c, "ns_per_row");
    null(&c, "gbps");
    null(&c, "roof_ratio");
    free(c.text);
    assert_true(file_holds(dir, "report.md", "times as fast as the roof"));
    struct nb_report_counts n;
    struct nb_err err;
    must(nb_report_counts(dir, &n, &err), &err);
    assert_int_equal(n.mistrusted, 1);
    dir = mini("");
    for (int p = 0; p <= 6; p++)
        process_of(dir, p, 300, p == 3 ? 98 : 90, 100);
    report(dir);
    c = kernel_line(dir, "rms"); /* the interval reaches down to 1.02 */
    assert_string_equal(get(&c, "verdict"), "PASS");
    free(c.text);
}

static void test_too_few_processes(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 5);
    report(dir);
    expect_speedup(dir, "too-few-processes", 1.5, 5);
    struct csv c = csv_find(dir, "speedup.csv", "pairing", "same-algorithm");
    null(&c, "lo");
    null(&c, "hi");
    null(&c, "confidence");
    free(c.text);
    c = kernel_line(dir, "rms");
    near(&c, "ns_per_row", 100, 1e-5);
    null(&c, "ns_lo");
    free(c.text);
    assert_true(file_holds(dir, "report.md", "no ratio of this run has an interval"));
}

/* Only the attempt that ended in `done` counts; of several, the last. */
static void test_attempts(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 5);
    event(dir, "begin", 6, 0, "");
    round_of(dir, 6, 0, 0, 1, 1000, 1); /* killed here */
    event(dir, "begin", 6, 1, "");
    round_of(dir, 6, 1, 0, 1, 1000, 1);
    event(dir, "discard", 6, 1, ",\"reason\":\"r\",\"mistrusted\":[]");
    report(dir);
    expect_speedup(dir, "too-few-processes", 1.5, 5);
    event(dir, "begin", 6, 2, "");
    round_of(dir, 6, 2, 0, 300, 200, 100);
    event(dir, "done", 6, 2, ",\"mistrusted\":[]");
    event(dir, "begin", 6, 3, "");
    round_of(dir, 6, 3, 0, 1, 1000, 1); /* unfinished: attempt 2 stays */
    report(dir);
    expect_speedup(dir, "faster", 1.5, 6);
    struct csv c = csv_find(dir, "speedup.csv", "pairing", "same-algorithm");
    near(&c, "hi", 1.5, 1e-5);
    near(&c, "lo", 1.5, 1e-5);
    free(c.text);
}

/* A unit run twice under the same number (kill -9, then a resume that forgot): begin
 * starts afresh. */
static void test_begin_drops_what_was_open(void **state)
{
    (void)state;
    const char *dir = mini("");
    event(dir, "begin", 1, 0, "");
    round_of(dir, 1, 0, 0, 1, 1000, 1);
    processes(dir, 1, 6);
    report(dir);
    struct csv c = kernel_line(dir, "ln");
    assert_int_equal((int)number(&c, "rounds"), 18);
    free(c.text);
}

static void test_attempts_without_begin(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 5);
    round_of(dir, 6, 0, 0, 1, 1000, 1);
    round_of(dir, 6, 1, 0, 2, 1000, 1);
    event(dir, "done", 6, 1, "");
    round_of(dir, 6, 2, 0, 3, 1000, 1);
    round_of(dir, 6, 3, 0, 300, 200, 100);
    event(dir, "done", 6, 3, "");
    report(dir);
    struct csv c = kernel_line(dir, "ln");
    assert_int_equal((int)number(&c, "rounds"), 16);
    near(&c, "ns_lo", 150, 1e-5);
    free(c.text);
}

/* scale in samples of 100 and of 25 passes; a sample costs 10 ns beside its passes. */
static void test_count_bias(void **state)
{
    (void)state;
    const char *dir =
        mini("{\"members\":[{\"kernel\":\"scale\",\"role\":\"anchor\",\"passes\":100},"
             "{\"kernel\":\"scale\",\"role\":\"count\",\"passes\":25}],"
             "\"stage\":\"all\"},");
    for (int p = 1; p <= 6; p++) {
        event(dir, "begin", p, 0, "");
        event(dir, "round", p, 0, ",\"group\":0,\"ns\":[1010,260]");
        round_of(dir, p, 0, 1, 300, 200, 100);
        event(dir, "done", p, 0, "");
    }
    report(dir);
    assert_true(file_holds(dir, "report.md",
                           "in 1 cell: its time a pass is off by +2.97 % in the median and 2.97 % "
                           "at most. The interval excludes 1 in 1."));
    assert_true(file_holds(dir, "report.md", "0.00 % in the median"));
    struct csv c = kernel_line(dir, "scale");
    near(&c, "ns_per_row", 5.05, 1e-5);
    free(c.text);
}

static void test_null_times(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 6);
    event(dir, "begin", 7, 0, "");
    event(dir, "round", 7, 0, ",\"group\":0,\"ns\":[600,null,100,1200]");
    event(dir, "done", 7, 0, "");
    report(dir);
    expect_speedup(dir, "faster", 1.5, 6);
    struct csv c = kernel_line(dir, "ln");
    assert_int_equal((int)number(&c, "processes"), 7);
    free(c.text);
}

static void test_later_check_wins(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 6);
    check(dir, "rms", "CRASHED");
    report(dir);
    expect_speedup(dir, "not-measured", NAN, 0);
    struct csv c = kernel_line(dir, "rms");
    assert_string_equal(get(&c, "verdict"), "CRASHED");
    null(&c, "ns_per_row");
    null(&c, "gbps");
    null(&c, "roof_ratio");
    free(c.text);
    c = kernel_line(dir, "never");
    assert_string_equal(get(&c, "verdict"), "UNTESTED");
    free(c.text);
    struct nb_report_counts n;
    struct nb_err err;
    check(dir, "scale", "SKIP_ISA");
    check(dir, "ln", "FAIL_VALUE");
    must(nb_report_counts(dir, &n, &err), &err);
    assert_int_equal(n.crashed, 1);
    assert_int_equal(n.untested, 1);
    assert_int_equal(n.skipped, 1);
    assert_int_equal(n.fail, 1);
    assert_int_equal(n.pass + n.timed_out + n.mistrusted, 0);
}

static void test_no_time_without_pass(void **state)
{
    (void)state;
    static const char *const verdicts[] = {
        "FAIL_VALUE", "FAIL_NONFINITE", "FAIL_OOB_WRITE", "FAIL_UNWRITTEN", "FAIL_ABI",
        "TIMED_OUT",  "MISTRUSTED",     "UNTESTED",       "SKIP_SHAPE"};
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
        const char *dir = mini("");
        processes(dir, 1, 6);
        check(dir, "ln", verdicts[i]);
        report(dir);
        struct csv c = kernel_line(dir, "ln");
        null(&c, "ns_per_row");
        free(c.text);
        expect_speedup(dir, "not-measured", NAN, 0);
        assert_true(
            file_holds(dir, "report.md", "null: no kernel was measured against a copy"));
    }
}

static void test_mistrusted_by_samples(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 6);
    event(dir, "begin", 7, 0, "");
    event(dir, "discard", 7, 0,
          ",\"reason\":\"a canary died\",\"mistrusted\":[\"scale\"]");
    report(dir);
    struct csv c = kernel_line(dir, "scale");
    assert_string_equal(get(&c, "verdict"), "MISTRUSTED");
    free(c.text);
    c = kernel_line(dir, "ln"); /* has its own time, but no anchor and hence no roof */
    near(&c, "ns_per_row", 150, 1e-5);
    null(&c, "roof");
    null(&c, "roof_ratio");
    free(c.text);
    assert_true(file_holds(dir, "report.md", "a canary died"));
}

/* A group of screening alone comes first in the plan: times come from the one that
 * measured. */
static void test_groups(void **state)
{
    (void)state;
    const char *dir =
        mini("{\"members\":[{\"kernel\":\"ln\",\"role\":\"member\",\"passes\":1},"
             "{\"kernel\":\"rms\",\"role\":\"member\",\"passes\":1}],"
             "\"stage\":\"screen\"},");
    for (int p = 1; p <= 6; p++) {
        event(dir, "begin", p, 0, "");
        event(dir, "round", p, 0, ",\"group\":0,\"ns\":[1,1000]");
        round_of(dir, p, 0, 1, 300, 200, 100);
        event(dir, "done", p, 0, "");
    }
    report(dir);
    expect_speedup(dir, "faster", 1.5, 6);
    struct csv c = kernel_line(dir, "ln");
    near(&c, "ns_per_row", 150, 1e-5);
    free(c.text);
}

/* The A/A copy is nobody's time, also where it stands first. */
static void test_copy_is_no_member(void **state)
{
    (void)state;
    const char *dir =
        mini("{\"members\":[{\"kernel\":\"ln\",\"role\":\"aa\",\"passes\":1},"
             "{\"kernel\":\"rms\",\"role\":\"member\",\"passes\":1}],"
             "\"stage\":\"all\"},");
    for (int p = 1; p <= 6; p++) {
        event(dir, "begin", p, 0, "");
        event(dir, "round", p, 0, ",\"group\":0,\"ns\":[1,200]");
        round_of(dir, p, 0, 1, 300, 200, 100);
        event(dir, "done", p, 0, "");
    }
    report(dir);
    expect_speedup(dir, "faster", 1.5, 6);
    struct csv c = kernel_line(dir, "ln");
    near(&c, "ns_per_row", 150, 1e-5);
    free(c.text);
}

static void test_nothing_measured(void **state)
{
    (void)state;
    const char *dir = mini("");
    report(dir);
    expect_speedup(dir, "not-measured", NAN, 0);
    struct csv c = csv_find(dir, "speedup.csv", "pairing", "best-of-each");
    null(&c, "base_kernel");
    free(c.text);
    assert_true(file_holds(dir, "report.md", "not measured in this run"));
    assert_true(file_holds(dir, "report.md", "speedup_best: not drawn"));
    assert_false(exists(dir, "plots/speedup_best.gp"));
    synthetic_replace(dir, "plan.json", "{\"schema\":1,\"screening\":1,\"cells\":[]}");
    report(dir);
}

/* ---- broken files ---- */

static void test_cut_off(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 6);
    synthetic_append(dir, "samples.jsonl", "{\"type\":\"round\",\"proc");
    synthetic_append(dir, "checks.jsonl",
                     "{\"type\":\"check\",\"cell\":\"" CELL
                     "\",\"kernel\":\"ln\",\"verdict\":\"CRASHED\"}");
    report(dir);
    expect_speedup(dir, "faster", 1.5, 6);
}

static void broken_sample(const char *line, const char *word)
{
    const char *dir = mini("");
    event(dir, "begin", 1, 0, "");
    synthetic_append(dir, "samples.jsonl", line);
    must_fail(dir, "samples.jsonl:2: ");
    must_fail(dir, word);
}

#define SAMPLE(rest)                                                                     \
    "{\"type\":\"round\",\"process\":1,\"cell\":\"" CELL "\",\"attempt\":0," rest "}\n"

static void test_broken_lines(void **state)
{
    (void)state;
    broken_sample("{\"type\":\"round\",\n", "");
    broken_sample("[1]\n", "not a JSON object");
    broken_sample("\n", "");
    broken_sample("{\"type\":\"round\",\"process\":1,\"attempt\":NaN}\n", "");
    broken_sample(SAMPLE("\"group\":7,\"ns\":[1]"), "group is no index");
    broken_sample(SAMPLE("\"group\":-1,\"ns\":[1]"), "group is no index");
    broken_sample(SAMPLE("\"group\":0,\"ns\":[1,2]"), "one time for each member");
    broken_sample(SAMPLE("\"group\":0,\"ns\":[1,2,3,0]"), "positive");
    broken_sample(SAMPLE("\"group\":0,\"ns\":[1,2,3,\"4\"]"), "positive");
    broken_sample("{\"type\":\"done\",\"process\":-1,\"cell\":\"c\",\"attempt\":0}\n",
                  "process");
    const char *dir = mini("");
    check(dir, "ln", "FINE");
    must_fail(dir, "checks.jsonl:4: verdict is none of");
}

static void test_other_lines(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 6);
    synthetic_append(dir, "samples.jsonl",
                     "{\"type\":\"round\",\"process\":1,\"cell\":\"elsewhere\","
                     "\"attempt\":0}\n{\"type\":\"weather\",\"cell\":\"c\"}\n");
    check(dir, "stranger", "PASS");
    report(dir);
    expect_speedup(dir, "faster", 1.5, 6);
    assert_true(file_holds(dir, "report.md", "2 lines are about cells or kernels"));
}

/* A kernel that failed in a cell which was then dropped has failed. */
static void test_failure_in_dropped_cell(void **state)
{
    (void)state;
    struct nb_report_counts n;
    struct nb_err err;
    const char *dir = mini("");
    processes(dir, 1, 6);
    synthetic_append(
        dir, "checks.jsonl",
        "{\"type\":\"check\",\"cell\":\"dropped\",\"kernel\":\"ln\",\"verdict\":\"PASS\"}"
        "\n"
        "{\"type\":\"check\",\"cell\":\"dropped\",\"kernel\":\"ln\",\"verdict\":"
        "\"FAIL_VALUE\",\"reason\":\"far off\"}\n"
        "{\"type\":\"check\",\"cell\":\"dropped\",\"kernel\":\"x\",\"verdict\":\"PASS\"}"
        "\n");
    must(nb_report_counts(dir, &n, &err), &err);
    assert_int_equal(n.fail, 1);
    assert_int_equal(n.pass, 3);
    report(dir);
    assert_true(file_holds(dir, "report.md", "far off"));
    assert_false(file_holds(dir, "results.csv", "dropped"));
}

static void test_broken_heads(void **state)
{
    (void)state;
    char path[256];
    const char *dir = mini("");
    synthetic_replace(dir, "host.json", "{\"schema\":2}");
    must_fail(dir, "use a newer normbench");
    synthetic_replace(dir, "host.json", "{}");
    must_fail(dir, "\"schema\" is missing");
    synthetic_replace(dir, "host.json", "{\n\n]");
    must_fail(dir, "host.json:3:");
    dir = mini("");
    synthetic_replace(dir, "plan.json",
                      "{\"schema\":1,\"screening\":0,\"cells\":[{\"id\":\"x\"}]}");
    must_fail(dir, "plan.json: cells[0]:");
    synthetic_replace(dir, "plan.json", "{\"schema\":1}");
    must_fail(dir, "plan.json: \"cells\"");
    dir = mini("");
    snprintf(path, sizeof(path), "%s/samples.jsonl", dir);
    assert_int_equal(unlink(path), 0);
    must_fail(dir, "samples.jsonl: No such file");
    must_fail("/nonexistent/run", "host.json: No such file");
}

/* ---- hostile strings ---- */

static const char hostile[] =
    "=`touch pwned` $(touch pwned) 'q' \"d\", <b>&|x| @m %s \\\n# \x1b[31m";

static void no_trace(const char *dir)
{
    assert_false(exists(dir, "pwned"));
    assert_false(exists(dir, "plots/pwned"));
    assert_false(exists(".", "pwned"));
}

/* Replaces a word of plan.json by the hostile string, escaped for JSON. */
static void poison(const char *dir, const char *file, const char *word)
{
    char *text = slurp(dir, file, NULL), *at;
    json_t *value = json_string(hostile);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    json_decref(value);
    size_t room = strlen(text) * 8 + 1000, n = 0;
    char *out = malloc(room), *from = text;
    assert_non_null(out);
    while ((at = strstr(from, word)) != NULL) {
        n +=
            (size_t)snprintf(out + n, room - n, "%.*s%s", (int)(at - from), from, quoted);
        from = at + strlen(word);
    }
    snprintf(out + n, room - n, "%s", from);
    assert_true(n > 0 && strlen(out) + 1 < room);
    synthetic_replace(dir, file, out);
    free(text);
    free(out);
    free(quoted);
}

static void test_hostile_csv(void **state)
{
    (void)state;
    char expected[256];
    const char *dir = mini("");
    processes(dir, 1, 6);
    poison(dir, "plan.json", "\"again\"");
    poison(dir, "plan.json", "\"ln\"");
    poison(dir, "checks.jsonl", "\"ln\"");
    snprintf(expected, sizeof(expected), "'%s", hostile);
    report(dir);
    struct csv c = kernel_line(dir, expected);
    near(&c, "ns_per_row", 150, 1e-5);
    free(c.text);
    c = csv_find(dir, "speedup.csv", "repro", expected);
    free(c.text);
    no_trace(dir);
}

static void test_hostile_pages(void **state)
{
    (void)state;
    const char *dir = new_folder();
    struct synthetic_run run = exact;
    run.cpu = run.command = run.reason = hostile;
    synthetic_write(dir, &run);
    synthetic_append(dir, "checks.jsonl",
                     "{\"type\":\"check\",\"cell\":\"fwd-none-f32-h256-r256-t1-L2\","
                     "\"kernel\":\"layernorm_fwd_twopass__f32_avx512\",\"verdict\":"
                     "\"FAIL_VALUE\",\"reason\":\"a|b<i>\\n# c `d`\"}\n");
    report(dir);
    no_trace(dir);
    assert_int_equal(lines_with(dir, "report.md", "<b>"),
                     1); /* the command, in a code block */
    assert_true(file_holds(dir, "report.md", "\n\n    =`touch"));
    assert_false(file_holds(dir, "report.md", "<i>"));
    assert_false(file_holds(dir, "report.md", "\n# c"));
    assert_false(file_holds(dir, "report.md", "\x1b"));
    assert_true(file_holds(dir, "report.md", "a\\|b&lt;i&gt; \\# c \\`d\\`"));
    if (!has_gnuplot())
        skip();
    assert_true(exists(dir, "plots/speedup_best.png"));
    assert_true(file_holds(dir, "plots/speedup_best.svg", "$(touch pwned)"));
    assert_false(file_holds(dir, "plots/speedup_best.svg", "<b>"));
}

/* ---- same input, same bytes ---- */

static const char *const derived[] = {
    "results.csv",        "speedup.csv",           "gbench.json",
    "report.md",          "plots/speedup_best.gp", "plots/speedup_best.dat",
    "plots/bandwidth.gp", "plots/algorithms.dat",  "plots/scaling.gp"};
static const char *const pictures[] = {"speedup_best", "speedup_same", "bandwidth",
                                       "algorithms", "scaling", "roofline"};

static void test_deterministic(void **state)
{
    (void)state;
    char a[128], b[128], name[64];
    struct synthetic_run run = exact;
    run.threads = threads;
    run.noise = 0.05;
    strcpy(a, new_folder());
    strcpy(b, new_folder());
    synthetic_write(a, &run);
    synthetic_write(b, &run);
    report(a);
    report(b);
    report(b); /* once more, over its own files */
    for (size_t i = 0; i < sizeof(derived) / sizeof(*derived); i++) {
        same_file(a, b, derived[i]);
        assert_false(file_holds(a, derived[i], root));
    }
    for (size_t i = 0; has_gnuplot() && i < sizeof(pictures) / sizeof(*pictures); i++) {
        snprintf(name, sizeof(name), "plots/%s.svg", pictures[i]);
        same_file(a, b, name);
        snprintf(name, sizeof(name), "plots/%s.png", pictures[i]);
        same_file(a, b, name);
    }
}

/* ---- pictures ---- */

/* A script and its data are all that gnuplot needs, and the user gets the very same
 * picture. */
static void test_redraw(void **state)
{
    (void)state;
    char command[512], name[64];
    const char *dir = new_folder();
    struct synthetic_run run = exact;
    run.threads = threads;
    if (!has_gnuplot())
        skip();
    synthetic_write(dir, &run);
    report(dir);
    for (size_t i = 0; i < sizeof(pictures) / sizeof(*pictures); i++) {
        snprintf(
            command, sizeof(command),
            "cd '%s/plots' && mkdir -p again && cp %s.gp %s.dat again && "
            "cd again && gnuplot %s.gp && cmp %s.svg ../%s.svg && cmp %s.png ../%s.png",
            dir, pictures[i], pictures[i], pictures[i], pictures[i], pictures[i],
            pictures[i], pictures[i]);
        assert_int_equal(system(command), 0);
        snprintf(name, sizeof(name), "plots/%s.svg", pictures[i]);
        assert_true(file_holds(dir, name, "Synthetic CPU 9000"));
    }
}

static void test_one_thread_has_no_scaling(void **state)
{
    (void)state;
    const char *dir = new_folder();
    synthetic_write(dir, &exact);
    synthetic_replace(dir, "samples.jsonl", ""); /* nothing was timed: nothing is drawn */
    report(dir);
    assert_false(exists(dir, "plots/bandwidth.gp"));
    synthetic_write(dir, &exact);
    report(dir);
    assert_true(exists(dir, "plots/bandwidth.gp"));
    assert_false(exists(dir, "plots/scaling.gp"));
    assert_true(file_holds(dir, "report.md", "scaling: not drawn"));
}

static const char *offset_run(const struct synthetic_run *like, const size_t *offsets)
{
    static const size_t one[] = {1024, 0};
    const char *dir = new_folder();
    struct synthetic_run run = *like;
    run.residencies = "L2";
    run.dtypes = "f32";
    run.hiddens = one;
    run.offsets = offsets;
    synthetic_write(dir, &run);
    report(dir);
    return dir;
}

/* Each against the truth: the roof of the fastest offset is 1, as no offset is slow here. */
static void test_offset_picture(void **state)
{
    (void)state;
    static const size_t offsets[] = {2112, 64, 0, SIZE_MAX};
    const char *dir = offset_run(&exact, offsets);
    assert_int_equal(exists(dir, "plots/address_offset.png"), has_gnuplot());
    assert_int_equal(lines_with(dir, "plots/address_offset.dat", "2112 1 1 1"), 1);
    assert_int_equal(lines_with(dir, "plots/address_offset.dat", "64 "), 3); /* roof, LN, RMS */
    assert_true(file_holds(dir, "plots/address_offset.gp", "L2: no offset differs from the usual one by more than its interval"));
    /* other offsets enter no other picture */
    assert_int_equal(lines_with(dir, "plots/bandwidth.dat", "1024 "), 7);
    assert_true(file_holds(dir, "report.md", "fwd-none-o64"));
}

/* The words below the picture are those of its intervals. */
static void test_offset_words(void **state)
{
    (void)state;
    static const size_t offsets[] = {2112, 64, 0, SIZE_MAX}, others[] = {64, 0, SIZE_MAX};
    struct synthetic_run run = exact;
    run.slow_offset = 64;
    run.slowness = 1.25;
    const char *dir = offset_run(&run, offsets);
    assert_true(file_holds(dir, "plots/address_offset.gp", "'L2: slowest at 64, "));
    assert_true(file_holds(dir, "plots/address_offset.gp", ": x0.80 [0.80, 0.80] of the usual offset'"));
    run.slowness = 0.98; /* still below the roof */
    dir = offset_run(&run, offsets);
    assert_true(file_holds(dir, "plots/address_offset.gp", "'L2: fastest at 64, "));
    assert_true(file_holds(dir, "plots/address_offset.gp", ": x1.02 [1.02, 1.02] of the usual offset'"));
    assert_false(file_holds(dir, "plots/address_offset.gp", "slowest at"));
    dir = offset_run(&run, others);
    assert_true(file_holds(dir, "plots/address_offset.gp", "L2: the usual offset, 2112, was not measured"));
    run.processes = 3;
    dir = offset_run(&run, offsets);
    assert_true(file_holds(dir, "plots/address_offset.gp", "L2: too few processes for an interval"));
}

/* With noise the slow offset is told with its interval, and luck alone is not. */
static void test_offset_noise(void **state)
{
    (void)state;
    static const size_t offsets[] = {2112, 64, 128, 192, 256, 320, 384, 448, SIZE_MAX};
    struct synthetic_run run = exact;
    run.noise = 0.02;
    const char *dir = offset_run(&run, offsets);
    assert_false(file_holds(dir, "plots/address_offset.gp", "slowest at"));
    run.slow_offset = 128;
    run.slowness = 1.25;
    dir = offset_run(&run, offsets);
    assert_true(file_holds(dir, "plots/address_offset.gp", "slowest at 128, "));
}

static void scaling_point(const char *dir, size_t threads_wanted, const char *kernel, double *gbps, double *percent)
{
    char *text = slurp(dir, "plots/scaling.dat", NULL), *rest = text, *line, name[96];
    size_t found = 0, t;
    double g, c;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (sscanf(line, "%zu %lf %lf %95s", &t, &g, &c, name) == 4 && t == threads_wanted && strcmp(name, kernel) == 0) {
            *gbps = g;
            *percent = c;
            found++;
        }
    assert_int_equal(found, 1);
    free(text);
}

/* Speeds in one unit for all: how far each stands from the roof is seen at each count of threads. */
static void test_scaling_picture(void **state)
{
    (void)state;
    static const size_t one[] = {1024, 0};
    const char *dir = new_folder(), *rms = "rmsnorm_fwd_onepass__f32_avx512_rows4", *roof = "scale_fwd_scale__f32_avx512";
    struct synthetic_run run = exact;
    run.residencies = "L2";
    run.dtypes = "f32";
    run.hiddens = one;
    run.threads = threads;
    synthetic_write(dir, &run);
    report(dir);
    for (size_t t = 1; t <= 4; t *= 2) {
        const double share = synthetic_pass_ns(kernel_named(roof, "f32"), "f32", "L2", 1024, 64, t) /
                             synthetic_pass_ns(kernel_named(rms, "f32"), "f32", "L2", 1024, 64, t);
        double gbps[2], percent[2];
        scaling_point(dir, t, rms, &gbps[0], &percent[0]);
        scaling_point(dir, t, roof, &gbps[1], &percent[1]);
        assert_true(fabs(gbps[0] / gbps[1] - share) < 1e-4 && fabs(percent[0] - 100 * share) < 1e-3);
        assert_true(percent[1] == 100);
    }
    assert_int_equal(lines_with(dir, "plots/scaling.dat", "_"), 9); /* LayerNorm, RMSNorm, roof */
}

/* The same run, but that this kernel is a plugin's. */
static void make_foreign(const char *dir, const char *kernel)
{
    json_t *plan = load(dir, "plan.json"), *k = json_object_get(json_object_get(plan, "kernels"), kernel);
    assert_non_null(k);
    json_object_set_new(k, "origin", json_string("plugin"));
    char *text = json_dumps(plan, JSON_INDENT(1));
    synthetic_replace(dir, "plan.json", text);
    free(text);
    json_decref(plan);
}

/* A kernel that is not ours has its own line in each picture of kernels, and its name; where winners are compared it is
 * named when it wins. */
static void test_foreign_in_pictures(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 4, 16, 0}, offsets[] = {2112, 64, SIZE_MAX}, one[] = {1024, 0}, two[] = {1, 2, 0};
    static const char *const of_kernels[] = {"bandwidth", "scaling", "roofline", "address_offset", "rows"};
    const char *dir = new_folder(), *loser = "rmsnorm_fwd_onepass__f32_avx512", *winner = "rmsnorm_fwd_onepass__f32_avx512_rows4";
    char name[64];
    struct synthetic_run run = exact;
    run.residencies = "L2";
    run.dtypes = "f32";
    run.hiddens = one;
    run.threads = two;
    run.rows = rows;
    run.offsets = offsets;
    synthetic_write(dir, &run);
    make_foreign(dir, loser);
    report(dir);
    for (size_t i = 0; i < sizeof(of_kernels) / sizeof(*of_kernels); i++) {
        snprintf(name, sizeof name, "plots/%s.gp", of_kernels[i]);
        assert_true(file_holds(dir, name, loser));
        assert_false(file_holds(dir, name, "(not here)"));
    }
    assert_int_equal(lines_with(dir, "plots/roofline.dat", "5 0.625 "), 1);
    assert_int_equal(lines_with(dir, "plots/scaling.dat", "onepass__f32_avx512"), 2 * 2 + 2); /* twice RMSNorm, once LayerNorm */
    assert_int_equal(lines_with(dir, "plots/rows.dat", "16 "), 8); /* six of ours, and two */
    assert_int_equal(lines_with(dir, "plots/address_offset.dat", "64 "), 4);
    assert_true(file_holds(dir, "plots/speedup_best.gp", "WINNERS = ''\n"));
    make_foreign(dir, winner);
    report(dir);
    assert_true(file_holds(dir, "plots/speedup_same.gp", "WINNERS = ''\n"));
    assert_true(file_holds(dir, "plots/speedup_best.gp",
                           "WINNERS = 'Among the fastest, not ours: rmsnorm_fwd_onepass__f32_avx512_rows4 in 1 of 1 points.'"));
}

/* A panel's labels are those of its data, and a length beside the sweep is joined to no other. */
static void test_tails(void **state)
{
    (void)state;
    static const size_t lengths[] = {256, 1000, 1024, 0};
    const char *dir = new_folder();
    char command[256];
    struct synthetic_run run = exact;
    run.dtypes = "f32";
    run.hiddens = lengths;
    synthetic_write(dir, &run);
    snprintf(command, sizeof command, "sed -i '/-h1000-.*-DRAM/d' '%s/samples.jsonl'", dir);
    assert_int_equal(system(command), 0);
    report(dir);
    assert_true(file_holds(dir, "plots/bandwidth.gp", "X[5] = [256, 1000, 1024, 256, 1024]\n"));
    assert_true(file_holds(dir, "plots/bandwidth.gp", "XLABEL[5] = ['256', '', '1024', '256', '1024']\n"));
    assert_true(file_holds(dir, "plots/bandwidth.gp", "XLAST[2] = [3, 5]\n"));
    assert_true(file_holds(dir, "plots/bandwidth.gp", "TAILS = '1000'\n"));
    assert_true(file_holds(dir, "plots/speedup_best.gp", "TAILS = '1000'\n"));
    char *text = slurp(dir, "plots/bandwidth.dat", NULL), *at = strstr(text, "\n1024 ");
    assert_non_null(at);
    assert_int_equal(strncmp(strchr(at + 1, '\n'), "\n\n1000 ", 7), 0);
    free(text);
    synthetic_write(dir, &exact);
    report(dir);
    assert_true(file_holds(dir, "plots/bandwidth.gp", "TAILS = ''\n"));
}

static void test_rows_picture(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 4, 16, 0}, one[] = {1024, 0}, two[] = {1, 2, 0};
    const char *dir = new_folder();
    struct synthetic_run run = exact;
    run.residencies = "L2";
    run.dtypes = "f32";
    run.hiddens = one;
    run.threads = two;
    run.rows = rows;
    run.barrier_ns = 350;
    synthetic_write(dir, &run);
    report(dir);
    assert_int_equal(exists(dir, "plots/rows.svg"), has_gnuplot());
    assert_int_equal(lines_with(dir, "plots/rows.dat", " 350"), 3);
    assert_int_equal(lines_with(dir, "plots/rows.dat", "16 "), 7); /* three on one thread, on two; barrier */
    assert_int_equal(lines_with(dir, "results.csv", ",350,"), lines_with(dir, "results.csv", ",f32,"));
    synthetic_write(dir, &exact);
    report(dir);
    assert_false(exists(dir, "plots/rows.gp"));
    assert_false(exists(dir, "plots/address_offset.gp"));
}

/* A point is flops a byte against share of the roof times roof. */
static void test_roofline_picture(void **state)
{
    (void)state;
    static const size_t one[] = {1024, 0};
    const char *dir = new_folder();
    struct synthetic_run run = exact;
    run.residencies = "L2";
    run.dtypes = "f32";
    run.hiddens = one;
    synthetic_write(dir, &run);
    report(dir);
    struct csv c = csv_find(dir, "results.csv", "kernel", "scale_fwd_scale__f32_avx512");
    double wanted = 0.125 * number(&c, "gbps"), drawn = 0;
    char *text = slurp(dir, "plots/roofline.dat", NULL), *line = strstr(text, "\n1 0.125 ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\n1 0.125 %lf", &drawn), 1);
    assert_true(fabs(drawn - wanted) < 1e-4 * wanted);
    free(text);
    free(c.text);
    assert_int_equal(lines_with(dir, "plots/roofline.dat", " 0.375 "), 1);
    assert_int_equal(lines_with(dir, "plots/roofline.dat", " 0.625 "), 2); /* five flops in eight bytes */
}

static char *terminal_text(const char *dir)
{
    char *text = NULL;
    size_t length = 0;
    struct nb_err err;
    FILE *f = open_memstream(&text, &length);
    assert_non_null(f);
    must(nb_report(dir, f, &err), &err);
    fclose(f);
    return text;
}

/* Without gnuplot scripts and data stay, older pictures only while they show the same
 * data. */
static void test_without_gnuplot(void **state)
{
    (void)state;
    const char *dir = new_folder();
    struct synthetic_run run = exact;
    char *path = strdup(getenv("PATH")), *text;
    synthetic_write(dir, &run);
    report(dir);
    setenv("PATH", "/nonexistent", 1);
    text = terminal_text(dir);
    setenv("PATH", path, 1);
    assert_non_null(strstr(text, "gnuplot is not installed"));
    free(text);
    assert_true(exists(dir, "plots/bandwidth.gp"));
    assert_int_equal(exists(dir, "plots/bandwidth.svg"), has_gnuplot());
    run.noise = 0.1;
    synthetic_write(dir, &run);
    setenv("PATH", "/nonexistent", 1);
    report(dir);
    setenv("PATH", path, 1);
    free(path);
    assert_true(exists(dir, "plots/bandwidth.dat"));
    assert_false(exists(dir, "plots/bandwidth.svg"));
}

static void test_without_scripts(void **state)
{
    (void)state;
    const char *dir = new_folder();
    synthetic_write(dir, &exact);
    setenv("NB_PLOTS_DIR", "/nonexistent", 1);
    char *text = terminal_text(dir);
    unsetenv("NB_PLOTS_DIR");
    assert_non_null(strstr(text, "NB_PLOTS_DIR"));
    assert_true(exists(dir, "plots/bandwidth.dat"));
    free(text);
}

static void test_terminal_size(void **state)
{
    (void)state;
    char *path = strdup(getenv("PATH"));
    static const size_t many[] = {64,   128,  256,  512,   768,   1024,
                                  2048, 4096, 8192, 16384, 32768, 0};
    static const char *const residencies[] = {"L2", "L2 DRAM", "L1 L2 L3 DRAM cold"};
    static const char *const dtypes[] = {"f32", "f32 bf16", "f32 f64 f16 bf16"};
    for (size_t r = 0; r < 3; r++)
        for (size_t h = 0; h < 11; h += 5) {
            struct synthetic_run run = exact;
            run.residencies = residencies[r];
            run.dtypes = dtypes[r];
            run.hiddens = many + h;
            run.rounds = 1;
            run.noise = 0.01;
            const char *dir = new_folder();
            synthetic_write(dir, &run);
            setenv("PATH", "/nonexistent", 1); /* no pictures: quicker */
            char *text = terminal_text(dir), *line = text;
            setenv("PATH", path, 1);
            size_t lines = 0;
            for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++)
                if (end - line > 100)
                    fail_msg("%.*s", (int)(end - line), line);
            assert_in_range(lines, 10, 40);
            free(text);
        }
    free(path);
}

/* ---- noise floor, what was not resolved, what was thrown away ---- */

static void expect_words(const char *dir, const char *words)
{
    if (!file_holds(dir, "report.md", words))
        fail_msg("report.md does not say \"%s\"", words);
}

/* One process whose copy of ln takes aa times as long, and whose speedup is 1.5 exp(shift); `other` is the
 * line of another group, or nothing. */
static void copied_process(const char *dir, int process, double aa, double shift,
                           const char *other)
{
    char rest[256];
    int group = other[0] != 0;
    event(dir, "begin", process, 0, "");
    if (group)
        event(dir, "round", process, 0, other);
    snprintf(rest, sizeof(rest), ",\"group\":%d,\"ns\":[%.9g,%.9g,%.9g,%.9g]", group,
             600 * exp(shift), 200.0, 100.0, 1200 * aa * exp(shift));
    event(dir, "round", process, 0, rest);
    event(dir, "done", process, 0, "");
}

static double csv_number(const char *dir, const char *column)
{
    struct csv c = csv_find(dir, "speedup.csv", "pairing", "same-algorithm");
    double v = number(&c, column);
    free(c.text);
    return v;
}

/* The copy is slower in each of six processes: 2/64 < .05. */
static void test_doubtful(void **state)
{
    (void)state;
    const char *dir = mini("");
    for (int p = 1; p <= 6; p++)
        copied_process(dir, p, 1.04 + 0.005 * p, 0, "");
    char *text = terminal_text(dir);
    assert_true(csv_number(dir, "doubtful") == 1);
    expect_words(dir, "off 1 by at most 5.75 % in the median of cells and 5.75 % at worst. The interval "
                      "excludes 1 in 1 of 1; by chance alone in about 0.0.");
    expect_words(dir, "1 is excluded in 1 of 1 cells");
    expect_words(dir, "`ln` 1.0575 [1.0450, 1.0700]");
    expect_words(dir, "### `" CELL "` doubtful");
    expect_words(dir, "1.500 [1.500, 1.500] doubtful");
    expect_words(dir, "**doubtful**: in that cell");
    assert_non_null(strstr(text, "cells that exclude 1 after Holm: 1 of 1 (marked *, report.md)"));
    assert_non_null(strstr(text, "~: the interval holds 1; *: doubtful (report.md)"));
    assert_non_null(strstr(text, "1.50 *[1.50, 1.50]"));
    free(text);
}

static void test_not_doubtful(void **state)
{
    (void)state;
    const char *dir = mini("");
    for (int p = 1; p <= 6; p++)
        copied_process(dir, p, p == 3 ? 0.98 : 1.04, 0, "");
    char *text = terminal_text(dir);
    assert_true(csv_number(dir, "doubtful") == 0);
    expect_words(dir, "1 is excluded in no cell.");
    assert_non_null(strstr(text, "cells that exclude 1 after Holm: 0 of 1\n"));
    assert_null(strstr(text, "doubtful"));
    free(text);
    assert_false(file_holds(dir, "report.md", "doubtful"));
}

/* Two copies, one of them always slower. With six processes 2 * 2/64 > .05: Holm can tell none, and
 * the report says so; with seven it can. */
static void test_holm_of_copies(void **state)
{
    (void)state;
    static const char *const group =
        "{\"members\":[{\"kernel\":\"rms\",\"role\":\"member\",\"passes\":1},"
        "{\"kernel\":\"rms\",\"role\":\"aa\",\"passes\":1}],\"stage\":\"all\"},";
    for (int n = 6; n <= 7; n++) {
        const char *dir = mini(group);
        for (int p = 1; p <= n; p++)
            copied_process(dir, p, 1.05, 0, p % 2 ? ",\"group\":0,\"ns\":[100,101]"
                                                  : ",\"group\":0,\"ns\":[101,100]");
        char *text = terminal_text(dir);
        assert_int_equal((int)csv_number(dir, "doubtful"), n == 7);
        expect_words(dir, "2 times in 1 cell: the ratio is off 1 by at most 5.00 % in the median");
        expect_words(dir, n == 7 ? "1 is excluded in 1 of 1 cells"
                                 : "none can be told. With 6 processes no p-value lies below 0.031, and "
                                   "so many copies take 7 processes.");
        assert_true(n == 7 || strstr(text, "cells that exclude 1 after Holm: none can be told, 2 "
                                           "copies take 7 processes, not 6\n") != NULL);
        free(text);
    }
}

/* Logarithms 0, .01, ... .05: the median of their 15 distances is .02, Shamos's factor at n = 6 is
 * 1.048358/1.1005. Six values reach .05 only where all lie on one side, with p^6 = .9. */
static void test_mde(void **state)
{
    (void)state;
    const char *dir = mini("");
    for (int p = 1; p <= 6; p++)
        copied_process(dir, p, 1, 0.01 * (p - 1), "");
    report(dir);
    double shift = nb_normal_quantile(pow(0.9, 1.0 / 6)) * 0.02 * 1.048358 / 1.1005;
    struct csv c = csv_find(dir, "speedup.csv", "pairing", "same-algorithm");
    near(&c, "mde", exp(shift) - 1, 1e-5);
    free(c.text);
    expect_words(dir, "The interval holds 1 in 0 of 1 speedups");
    dir = mini("");
    for (int p = 1; p <= 5; p++)
        copied_process(dir, p, 1, 0.01 * p, "");
    report(dir);
    c = csv_find(dir, "speedup.csv", "pairing", "same-algorithm");
    null(&c, "mde");
    free(c.text);
    expect_words(dir, "null: no speedup has an interval.");
}

static void test_unresolved_listed(void **state)
{
    (void)state;
    const char *dir = mini("");
    for (int p = 1; p <= 6; p++)
        copied_process(dir, p, 1, (p % 2 ? -0.02 : 0.03) - log(1.5), "");
    report(dir);
    expect_words(dir, "The interval holds 1 in 1 of 1 speedups");
    expect_words(dir, "| same-algorithm | `" CELL "` | `ln` / `rms` | 1.005 [0.980, 1.030] | 10.58 % | 6 |\n");
}

static void test_discards(void **state)
{
    (void)state;
    const char *dir = mini("");
    processes(dir, 1, 6);
    char *text = terminal_text(dir);
    expect_words(dir, "None: no attempt at a unit");
    assert_null(strstr(text, "discard"));
    free(text);
    event(dir, "begin", 7, 0, "");
    event(dir, "discard", 7, 0, ",\"reason\":\"clock | moved\",\"mistrusted\":[]");
    event(dir, "begin", 7, 1, "");
    event(dir, "discard", 7, 1, ",\"reason\":\"clock | moved\",\"mistrusted\":[]");
    event(dir, "begin", 9, 0, "");
    event(dir, "discard", 9, 0, ",\"reason\":\"clock | moved\",\"mistrusted\":[]");
    event(dir, "begin", 8, 0, "");
    event(dir, "discard", 8, 0, ",\"mistrusted\":[]");
    event(dir, "begin", 8, 1, "");
    round_of(dir, 8, 1, 0, 300, 200, 100);
    event(dir, "done", 8, 1, "");
    text = terminal_text(dir);
    expect_words(dir, "4 attempts at a unit (a process and a cell) were thrown away, blind to the "
                      "times; 2 units were not made good");
    expect_words(dir, "| clock \\| moved | 3 |\n| no reason given | 1 |\n");
    assert_non_null(strstr(text, "discard 4 attempts at a unit thrown away, 2 not made good"));
    free(text);
}

/* No number of values is too many: all are drawn, and the short table says that it is short. */
static void test_many_hiddens(void **state)
{
    (void)state;
    static size_t many[101];
    const char *dir = new_folder();
    struct synthetic_run run = exact;
    char *path = strdup(getenv("PATH"));
    for (size_t i = 0; i < 100; i++)
        many[i] = 16 * (i + 1);
    run.hiddens = many;
    run.residencies = "L2";
    run.dtypes = "f32";
    run.rounds = 1;
    synthetic_write(dir, &run);
    setenv("PATH", "/nonexistent", 1);
    char *text = terminal_text(dir);
    setenv("PATH", path, 1);
    assert_int_equal(lines_with(dir, "plots/speedup_best.dat", "."), 100);
    assert_int_equal(lines_with(dir, "plots/bandwidth.dat", "1600 "), 7);
    assert_non_null(strstr(text, "all 100 columns: speedup.csv"));
    assert_non_null(strstr(text, " 1600 "));
    free(text);
    free(path);
}

/* ---- forward, backward and both ---- */

/* A cell of a run by hand: ns a row of LayerNorm, RMSNorm and the roof below both; faster: of a second LayerNorm that did
 * not win. In process p all times backward are trend[p] times as long. */
struct way {
    const char *dir, *residency;
    int stats, rows, hidden;
    double ln, rms, faster;
    const char *prefix; /* then the other norm is called prmsnorm */
    const char *fuse;   /* NULL: none */
};
static const double trend[] = {1, 0.5, 2, 0.7, 1.5, 0.8, 1.2, 1}; /* the first is of the screening */

static void way_id(char id[64], const struct way *w)
{
    snprintf(id, 64, "%s-h%d-r%d-%s%s%.8s", w->dir, w->hidden, w->rows, w->residency, w->stats ? "-stats" : "",
             w->prefix ? w->prefix : "");
}

static void way_kernels(char text[1024], const char *dir, const char *roof)
{
    snprintf(text, 1024,
             "\"ln_%s\":{\"op\":\"layernorm\",\"dir\":\"%s\",\"algo\":\"twopass\",\"isa\":\"avx2\",\"trick\":\"\",\"weak\":false},"
             "\"fast_%s\":{\"op\":\"layernorm\",\"dir\":\"%s\",\"algo\":\"naive\",\"isa\":\"avx2\",\"trick\":\"\",\"weak\":false},"
             "\"rms_%s\":{\"op\":\"rmsnorm\",\"dir\":\"%s\",\"algo\":\"%s\",\"isa\":\"avx2\",\"trick\":\"\",\"weak\":false},"
             "\"roof_%s\":{\"op\":\"%s\",\"dir\":\"%s\",\"algo\":\"plain\",\"isa\":\"avx2\",\"trick\":\"\"}",
             dir, dir, dir, dir, dir, dir, dir[0] == 'b' ? "twopass" : "onepass", dir, roof, dir);
}

static void way_cell(FILE *f, const struct way *w)
{
    const char *d = w->dir, *test = w->prefix ? "prmsnorm" : "rmsnorm";
    char id[64];
    way_id(id, w);
    fprintf(f,
            "{\"id\":\"%s\",\"dir\":\"%s\",\"fuse\":\"%s\",\"dtype\":\"f32\",\"param_dtype\":\"f32\",\"stats_out\":%d,"
            "\"hidden\":%d,\"rows\":%d,\"threads\":1,\"residency\":\"%s\",\"repro\":\"again\","
            "\"kernels\":[\"ln_%s\",\"fast_%s\",\"rms_%s\",\"roof_%s\"],\"groups\":[{\"stage\":\"all\",\"members\":["
            "{\"kernel\":\"ln_%s\",\"role\":\"member\",\"passes\":2},{\"kernel\":\"fast_%s\",\"role\":\"member\",\"passes\":1},"
            "{\"kernel\":\"rms_%s\",\"role\":\"member\",\"passes\":1},{\"kernel\":\"roof_%s\",\"role\":\"anchor\",\"passes\":1}]}],",
            id, d, w->fuse ? w->fuse : "none", w->stats, w->hidden, w->rows, w->residency, d, d, d, d, d, d, d, d);
    if (w->prefix)
        fprintf(f, "\"k\":{\"prefix\":\"%s\"},", w->prefix);
    fprintf(f,
            "\"pairings\":[{\"pairing\":\"same-algorithm\",\"base_op\":\"layernorm\",\"test_op\":\"%s\",\"isa\":\"avx2\","
            "\"base\":\"ln_%s\",\"test\":\"rms_%s\"},{\"pairing\":\"best-of-each\",\"base_op\":\"layernorm\","
            "\"test_op\":\"%s\",\"isa\":\"any\",\"base\":\"ln_%s\",\"test\":\"rms_%s\"}]}",
            test, d, d, test, d, d);
}

static void way_checks(const char *dir, const struct way *w)
{
    static const char *const kernels[] = {"ln", "fast", "rms", "roof"};
    char line[256], id[64];
    way_id(id, w);
    for (size_t k = 0; k < 4; k++) {
        snprintf(line, sizeof(line), "{\"type\":\"check\",\"cell\":\"%s\",\"kernel\":\"%s_%s\",\"verdict\":\"PASS\"}\n", id,
                 kernels[k], w->dir);
        synthetic_append(dir, "checks.jsonl", line);
    }
}

static void way_process(const char *dir, const struct way *w, int p)
{
    char line[1024], id[64];
    double row = w->rows * (w->dir[0] == 'b' ? trend[p] : 1);
    way_id(id, w);
    snprintf(line, sizeof(line),
             "{\"type\":\"begin\",\"process\":%d,\"cell\":\"%s\",\"attempt\":0}\n"
             "{\"type\":\"round\",\"process\":%d,\"cell\":\"%s\",\"attempt\":0,\"group\":0,\"ns\":[%.17g,%.17g,%.17g,%.17g]}\n"
             "{\"type\":\"done\",\"process\":%d,\"cell\":\"%s\",\"attempt\":0}\n",
             p, id, p, id, 2 * w->ln * row, (w->faster > 0 ? w->faster : 2 * w->ln) * row, w->rms * row, 0.5 * row, p, id);
    synthetic_append(dir, "samples.jsonl", line);
}

static const char *ways_run(const struct way *ways, size_t n, int processes)
{
    const char *dir = new_folder();
    char path[256], fwd[1024], bwd[1024];
    snprintf(path, sizeof(path), "%s/plan.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    way_kernels(fwd, "fwd", ways[0].fuse ? "triad" : "scale");
    way_kernels(bwd, "bwd", "triad");
    fprintf(f, "{\"schema\":1,\"screening\":1,\"command\":\"normbench run --dir fwd,bwd\",\"kernels\":{%s,%s},\"cells\":[", fwd, bwd);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? "," : "", f);
        way_cell(f, &ways[i]);
    }
    fputs("]}", f);
    assert_int_equal(fclose(f), 0);
    synthetic_replace(dir, "host.json", "{\"schema\":1,\"cpu\":{\"model\":\"M\"}}");
    synthetic_replace(dir, "checks.jsonl", "");
    synthetic_replace(dir, "samples.jsonl", "");
    for (size_t i = 0; i < n; i++) {
        way_checks(dir, &ways[i]);
        for (int p = 0; p <= processes; p++)
            way_process(dir, &ways[i], p);
    }
    return dir;
}

/* Stands on the line of a training step. */
static struct csv step_line(const char *dir, const char *pairing)
{
    struct csv c = csv_open(dir, "speedup.csv");
    while (csv_next(&c))
        if (strcmp(get(&c, "dir"), "fwd+bwd") == 0 && strcmp(get(&c, "pairing"), pairing) == 0)
            return c;
    fail_msg("no %s line of both directions", pairing);
    return c;
}

static void expect_no_ratio(const char *dir, const char *verdict, const char *reason)
{
    char words[64];
    report(dir);
    struct csv c = step_line(dir, "best-of-each");
    assert_string_equal(get(&c, "verdict"), verdict);
    null(&c, "speedup");
    null(&c, "lo");
    null(&c, "mde");
    assert_int_equal((int)number(&c, "processes"), 0);
    free(c.text);
    snprintf(words, sizeof(words), "| null: %s | ", reason);
    expect_words(dir, words);
    assert_false(exists(dir, "plots/training.gp"));
}

#define FORWARD {"fwd", "L2", 1, 2, 64, 2, 1, 0, NULL, NULL}
#define BACKWARD {"bwd", "L2", 0, 1, 64, 4, 3, 0, NULL, NULL}

/* (2 + 4 t)/(1 + 3 t) for t of 1/2 to 2: 1.5 in the median process, 1.6 and 10/7 at the ends. Neither the rows of a pass
 * nor a median of each direction alone gives these. */
static void test_training_step(void **state)
{
    (void)state;
    static const struct way ways[] = {FORWARD, BACKWARD};
    const char *dir = ways_run(ways, 2, 7), *const pairings[] = {"best-of-each", "same-algorithm"};
    char *text = terminal_text(dir);
    for (size_t i = 0; i < 2; i++) {
        struct csv c = step_line(dir, pairings[i]);
        near(&c, "speedup", 1.5, 1e-5);
        near(&c, "lo", 10.0 / 7, 1e-5);
        near(&c, "hi", 1.6, 1e-5);
        near(&c, "confidence", 1 - 2.0 / 128, 1e-5);
        assert_int_equal((int)number(&c, "processes"), 7);
        assert_string_equal(get(&c, "verdict"), "faster");
        assert_string_equal(get(&c, "base_kernel"), "ln_fwd+ln_bwd");
        assert_string_equal(get(&c, "test_kernel"), "rms_fwd+rms_bwd");
        assert_string_equal(get(&c, "repro"), "normbench run --dir fwd,bwd");
        assert_true(number(&c, "mde") > 0);
        null(&c, "rows");
        free(c.text);
    }
    assert_int_equal(lines_with(dir, "speedup.csv", ",fwd+bwd,"), 2);
    expect_words(dir, "| L2 | f32 | 1 | 64 | 2 / 1 | 2.000 [2.000, 2.000] | 1.333 [1.333, 1.333] | 1.500 [1.429, 1.600] | ");
    assert_int_equal(lines_with(dir, "report.md", "### rmsnorm over layernorm"), 1);
    expect_words(dir, "best against best, forward: x2.00 to x2.00 over 1 cell ");
    expect_words(dir, "best against best, backward: x1.33 to x1.33 over 1 cell ");
    expect_words(dir, "forward and backward together (a step of training): x1.50 to x1.50 over 1 cell ");
    assert_non_null(strstr(text, "Time of LayerNorm over time of RMSNorm, forward, 1 thread."));
    assert_non_null(strstr(text, "2.00 [2.00, 2.00]    1.33 [1.33, 1.33]    1.50 [1.43, 1.60]\n"));
    free(text);
}

/* Of a run with both kinds of forward cell that with statistics counts, wherever it stands. */
static void test_statistics_are_needed(void **state)
{
    (void)state;
    static const struct way without = {"fwd", "L2", 0, 1, 64, 5, 5, 0, NULL, NULL};
    const struct way ways[] = {without, FORWARD, BACKWARD}, none[] = {without, BACKWARD};
    const char *dir = ways_run(ways, 3, 7);
    report(dir);
    struct csv c = step_line(dir, "best-of-each");
    near(&c, "speedup", 1.5, 1e-5);
    free(c.text);
    assert_int_equal(lines_with(dir, "speedup.csv", ",fwd+bwd,"), 2);
    dir = ways_run(none, 2, 7);
    expect_no_ratio(dir, "no-statistics", "no saved statistics");
    expect_words(dir, "1.000 [1.000, 1.000] | 1.333 [1.333, 1.333] | null: no saved statistics | ");
}

static void expect_one_way(const struct way *way, const char *word)
{
    const char *dir = ways_run(way, 1, 7);
    char *text = terminal_text(dir);
    assert_int_equal(lines_with(dir, "speedup.csv", "fwd+bwd"), 0);
    assert_false(file_holds(dir, "report.md", "Forward, backward"));
    assert_false(exists(dir, "plots/training.gp"));
    assert_null(strstr(text, "forward, backward"));
    assert_int_equal(strstr(text, "backward") != NULL, word[0] == 'b');
    assert_int_equal(file_holds(dir, "report.md", "backward"), word[0] == 'b');
    assert_null(strstr(text, "best against best, forward"));
    free(text);
}

/* A run of one direction has no such step and says nothing of one; a cell whose partner was not measured has its line. */
static void test_missing_direction(void **state)
{
    (void)state;
    static const struct way fwd = FORWARD, bwd = BACKWARD, short_rows = {"bwd", "L2", 0, 1, 32, 4, 3, 0, NULL, NULL};
    const struct way apart[] = {fwd, short_rows};
    expect_one_way(&fwd, "forward");
    expect_one_way(&bwd, "backward");
    const char *dir = ways_run(apart, 2, 7);
    expect_no_ratio(dir, "no-backward", "no backward cell");
    expect_words(dir, "| null: no forward cell | ");
    assert_int_equal(lines_with(dir, "speedup.csv", ",no-forward,"), 1);
    assert_int_equal(lines_with(dir, "speedup.csv", ",fwd+bwd,"), 2);
}

/* Bytes, roof and words of a run backward are its own. */
static void test_backward_alone(void **state)
{
    (void)state;
    static const struct way bwd = BACKWARD;
    const char *dir = ways_run(&bwd, 1, 7);
    report(dir);
    struct csv c = csv_find(dir, "results.csv", "kernel", "ln_bwd");
    near(&c, "bytes_per_row", 3 * 64 * 4, 0);
    near(&c, "bytes_per_row_allocate", 4 * 64 * 4, 0);
    near(&c, "gbps", 3 * 64 * 4 / 4.0, 1e-5);
    free(c.text);
    expect_words(dir, "two-pass LayerNorm against two-pass RMSNorm of the same ISA, backward: x1.33");
    expect_words(dir, "counts x and dy read once and dx written once");
    assert_true(file_holds(dir, "plots/bandwidth.gp", "roof: dx = x + a*dy"));
    assert_true(file_holds(dir, "plots/bandwidth.gp", ", backward'"));
    assert_true(file_holds(dir, "plots/speedup_same.gp", "two passes each"));
    assert_false(file_holds(dir, "report.md", "one-pass"));
}

/* So are those of a sum with the residual. */
static void test_fused_alone(void **state)
{
    (void)state;
    static const struct way fused[] = {{"fwd", "L2", 0, 1, 64, 4, 3, 0, NULL, "residual"},
                                       {"fwd", "L2", 0, 1, 64, 4, 3, 0, NULL, "postnorm"}};
    static const char *const written[] = {"h and y", "y"}, *const roofs[] = {"y = a*(x + residual), and h (triad)",
                                                                             "y = a*(x + residual) (triad)"};
    for (int i = 0; i < 2; i++) {
        const char *dir = ways_run(&fused[i], 1, 7);
        char words[128];
        report(dir);
        struct csv c = csv_find(dir, "results.csv", "kernel", "ln_fwd");
        near(&c, "bytes_per_row", (4 - i) * 64 * 4, 0);
        near(&c, "bytes_per_row_allocate", (6 - 2 * i) * 64 * 4, 0);
        assert_string_equal(get(&c, "roof"), "roof_fwd");
        free(c.text);
        snprintf(words, sizeof(words), "counts x and the residual read once and %s written once", written[i]);
        expect_words(dir, words);
        snprintf(words, sizeof(words), "TRAFFIC = 'read x and the residual, write %s'", written[i]);
        assert_true(file_holds(dir, "plots/bandwidth.gp", words));
        snprintf(words, sizeof(words), "roof: %s'", roofs[i]);
        assert_true(file_holds(dir, "plots/bandwidth.gp", words));
        assert_false(file_holds(dir, "plots/bandwidth.gp", "copy"));
        assert_true(file_holds(dir, "plots/roofline.gp", "CARRIER = 'a triad'"));
    }
}

/* Beside others they have a sentence of their own, and no part in theirs. */
static void test_fused_beside_others(void **state)
{
    (void)state;
    static const struct way ways[] = {{"fwd", "DRAM", 0, 1, 64, 4, 3, 0, NULL, "residual"}, {"fwd", "L2", 0, 1, 64, 4, 2, 0, NULL, NULL}};
    const char *dir = ways_run(ways, 2, 7);
    char *text = terminal_text(dir);
    expect_words(dir, "best against best: x2.00 to x2.00 over 1 cell ");
    expect_words(dir, "best against best, of x + residual: x1.33 to x1.33 over 1 cell ");
    assert_non_null(strstr(text, "of x + residual: x1.33 to x1.33 over 1 cell, in lines of their own"));
    free(text);
    dir = ways_run(ways, 1, 7);
    text = terminal_text(dir);
    expect_words(dir, "best against best, of x + residual: x1.33 to x1.33 over 1 cell ");
    assert_non_null(strstr(text, "Time of LayerNorm over time of RMSNorm, of x + residual, 1 thread."));
    free(text);
}

/* A number of rows is told in full. */
static void test_step_of_many_rows(void **state)
{
    (void)state;
    static const struct way ways[] = {{"fwd", "DRAM", 1, 1398101, 1, 2, 1, 0, NULL, NULL},
                                      {"bwd", "DRAM", 0, 1398101, 1, 4, 3, 0, NULL, NULL}};
    const char *dir = ways_run(ways, 2, 7);
    report(dir);
    struct csv c = step_line(dir, "best-of-each");
    assert_string_equal(get(&c, "rows"), "1398101");
    free(c.text);
}

/* Where one of the four was beaten in its cell, the ratio is not of the best. */
static void test_step_of_no_winner(void **state)
{
    (void)state;
    static const struct way ways[] = {FORWARD, {"bwd", "L2", 0, 1, 64, 4, 3, 0.9, NULL, NULL}};
    const char *const verdicts[] = {"too-few-processes", "not-best"};
    for (int i = 0; i < 2; i++) {
        const char *dir = ways_run(ways, 2, i == 0 ? 5 : 7);
        char *text = terminal_text(dir);
        struct csv c = step_line(dir, "best-of-each");
        assert_string_equal(get(&c, "verdict"), verdicts[i]);
        near(&c, "speedup", 1.5, 0.05);
        assert_int_equal(strcmp(get(&c, "lo"), "null") == 0, i == 0);
        free(c.text);
        assert_int_equal(exists(dir, "plots/training.gp"), i == 0);
        expect_words(dir, i == 0 ? "1.529, no interval" : "1.500 [1.429, 1.600] not best | ");
        assert_non_null(strstr(text, i == 0 ? "  1.53?\n" : "1.50![1.43, 1.60]\n"));
        free(text);
    }
}

/* Each prefix has its own: 1.5, and (5 + 4)/(2 + 5). */
static void test_step_of_each_prefix(void **state)
{
    (void)state;
    static const struct way ways[] = {{"fwd", "L2", 1, 2, 64, 2, 1, 0, "25%", NULL}, {"fwd", "L2", 1, 2, 64, 5, 2, 0, "50%", NULL},
                                      {"bwd", "L2", 0, 1, 64, 4, 5, 0, "50%", NULL}, {"bwd", "L2", 0, 1, 64, 4, 3, 0, "25%", NULL}};
    const char *dir = ways_run(ways, 4, 7);
    size_t lines = 0;
    report(dir);
    struct csv c = csv_open(dir, "speedup.csv");
    while (csv_next(&c))
        if (strcmp(get(&c, "dir"), "fwd+bwd") == 0) {
            near(&c, "speedup", number(&c, "test_k") == 0.25 ? 1.5 : 9.0 / 7, 1e-5);
            lines++;
        }
    free(c.text);
    assert_int_equal(lines, 4);
    expect_words(dir, "| L2, prefix 0.25 | ");
    assert_true(file_holds(dir, "plots/training.gp", "NORM[2] = ['pRMSNorm, prefix 0.5', 'pRMSNorm, prefix 0.25']"));
    char *text = terminal_text(dir);
    assert_non_null(strstr(text, "1.50 [1.43, 1.60], prefix 0.25\n"));
    free(text);
}

/* One panel a residency, three marks a norm. */
static void test_training_picture(void **state)
{
    (void)state;
    static const struct way ways[] = {FORWARD, BACKWARD, {"fwd", "DRAM", 1, 9, 64, 3, 2, 0, NULL, NULL}, {"bwd", "DRAM", 0, 6, 64, 3, 2, 0, NULL, NULL}};
    const char *dir = ways_run(ways, 4, 7);
    report(dir);
    assert_int_equal(exists(dir, "plots/training.png"), has_gnuplot());
    assert_true(file_holds(dir, "plots/training.gp", "'data in L2', 'data in DRAM'"));
    assert_true(file_holds(dir, "plots/training.dat", "2 2 2 1.270\n\n\n1.33333 1.33333 1.33333 1.000\n\n\n1.5 1.42857 1.6 0.730\n"));
    assert_int_equal(lines_with(dir, "plots/training.dat", "1.5 1.5 1.5 "), 3);
    expect_words(dir, "[training](plots/training.svg)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_results),
        cmocka_unit_test(test_counted_figures),
        cmocka_unit_test(test_counts_without_certificates),
        cmocka_unit_test(test_lost_event),
        cmocka_unit_test(test_exact_speedups),
        cmocka_unit_test(test_not_best),
        cmocka_unit_test(test_in_place_is_apart),
        cmocka_unit_test(test_gbench),
        cmocka_unit_test(test_screening_is_ignored),
        cmocka_unit_test(test_slower_and_unresolved),
        cmocka_unit_test(test_faster_than_the_roof),
        cmocka_unit_test(test_too_few_processes),
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_begin_drops_what_was_open),
        cmocka_unit_test(test_attempts_without_begin),
        cmocka_unit_test(test_count_bias),
        cmocka_unit_test(test_null_times),
        cmocka_unit_test(test_later_check_wins),
        cmocka_unit_test(test_no_time_without_pass),
        cmocka_unit_test(test_mistrusted_by_samples),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_copy_is_no_member),
        cmocka_unit_test(test_nothing_measured),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_broken_lines),
        cmocka_unit_test(test_other_lines),
        cmocka_unit_test(test_failure_in_dropped_cell),
        cmocka_unit_test(test_broken_heads),
        cmocka_unit_test(test_hostile_csv),
        cmocka_unit_test(test_hostile_pages),
        cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_redraw),
        cmocka_unit_test(test_one_thread_has_no_scaling),
        cmocka_unit_test(test_without_gnuplot),
        cmocka_unit_test(test_without_scripts),
        cmocka_unit_test(test_terminal_size),
        cmocka_unit_test(test_many_hiddens),
        cmocka_unit_test(test_doubtful),
        cmocka_unit_test(test_not_doubtful),
        cmocka_unit_test(test_holm_of_copies),
        cmocka_unit_test(test_mde),
        cmocka_unit_test(test_unresolved_listed),
        cmocka_unit_test(test_discards),
        cmocka_unit_test(test_offset_picture),
        cmocka_unit_test(test_offset_words),
        cmocka_unit_test(test_offset_noise),
        cmocka_unit_test(test_scaling_picture),
        cmocka_unit_test(test_foreign_in_pictures),
        cmocka_unit_test(test_tails),
        cmocka_unit_test(test_rows_picture),
        cmocka_unit_test(test_roofline_picture),
        cmocka_unit_test(test_training_step),
        cmocka_unit_test(test_statistics_are_needed),
        cmocka_unit_test(test_missing_direction),
        cmocka_unit_test(test_backward_alone),
        cmocka_unit_test(test_fused_alone),
        cmocka_unit_test(test_fused_beside_others),
        cmocka_unit_test(test_step_of_many_rows),
        cmocka_unit_test(test_step_of_no_winner),
        cmocka_unit_test(test_step_of_each_prefix),
        cmocka_unit_test(test_training_picture),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
