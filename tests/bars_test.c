/* Bars: what a bars file may say, and what a run whose true times are known makes of them. */
#include "bars.h"
#include "report.h"
#include "select.h"
#include "synthetic_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

/* ---- what is said about a folder ---- */

static char terminal[1 << 16];

static int exit_code(const char *dir)
{
    struct nb_err err = {""};
    struct nb_report_counts counts;
    FILE *f = fmemopen(terminal, sizeof(terminal), "w");
    char *path = strdup(getenv("PATH"));
    assert_non_null(f);
    (void)has_gnuplot;
    setenv("PATH", "/nonexistent", 1); /* no pictures: quicker */
    if (nb_report(dir, f, &err) != NB_OK || nb_report_counts(dir, &counts, &err) != NB_OK)
        fail_msg("%s", err.text);
    fclose(f);
    setenv("PATH", path, 1);
    free(path);
    return nb_report_exit_code(&counts);
}

static int says(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

static int file_says(const char *dir, const char *name, const char *word)
{
    char *text = slurp(dir, name, NULL);
    assert_non_null(text);
    int found = says(text, word);
    free(text);
    return found;
}

/* ---- runs ---- */

static const size_t one[] = {1, 0}, hiddens[] = {1024, 0};

/* The true speed of a kernel over that of scale, one thread, hidden 1024 in L2. */
static double of_scale(const char *op, const char *algo, const char *trick)
{
    double scale = 0, ns = 0;
    for (size_t i = 0; i < synthetic_kernel_count; i++) {
        const struct synthetic_kernel *k = &synthetic_kernels[i];
        double t = synthetic_pass_ns(k, "f32", "L2", 1024, synthetic_rows(1024), 1);
        if (strcmp(k->op, "scale") == 0 && k->trick[0] == 0)
            scale = t;
        if (strcmp(k->op, op) == 0 && strcmp(k->algo, algo) == 0 &&
            strcmp(k->isa, "avx512") == 0 && strcmp(k->trick, trick) == 0)
            ns = t;
    }
    assert_true(scale > 0 && ns > 0);
    return scale / ns;
}

static const char *run_with(double rms_bar, double ln_bar, const char *model, const char *more)
{
    static char bars[2048];
    const char *dir = new_folder();
    snprintf(bars, sizeof(bars),
             "[{\"class\":\"Some Class\",\"vendor\":\"Maker\",\"family\":\"25\",\"models\":[[16,31]],"
             "\"bars\":[{\"op\":\"rmsnorm\",\"dtype\":\"f32\",\"residency\":\"L2\",\"hidden\":1024,"
             "\"bar\":%.17g},{\"op\":\"layernorm\",\"dtype\":\"f32\",\"residency\":\"L2\","
             "\"hidden\":1024,\"bar\":%.17g}%s]}]",
             rms_bar, ln_bar, more);
    struct synthetic_run run = {.residencies = "L2", .dtypes = "f32", .hiddens = hiddens,
                                .threads = one, .processes = 8, .screening = 2, .rounds = 4,
                                .vendor = "Maker", .family = "25", .model_number = model,
                                .bars = bars};
    synthetic_write(dir, &run);
    return dir;
}

/* ---- decisions ---- */

static void above_is_fine(void **state)
{
    (void)state;
    double rms = of_scale("rmsnorm", "onepass", "rows4"), ln = of_scale("layernorm", "twopass", "");
    const char *dir = run_with(0.999 * rms, 0.999 * ln, "17", "");
    assert_int_equal(exit_code(dir), 0);
    assert_true(says(terminal, "2 reached, 0 below by the median, 0 not measured"));
    assert_false(says(terminal, "reached~")); /* without noise no interval holds a bar */
    assert_true(says(terminal, "this machine is one"));
    assert_true(says(terminal, "onepass avx512 rows4")); /* the kernel that reached it */
    assert_true(file_says(dir, "bars.csv", "rmsnorm_fwd_onepass__f32_avx512_rows4"));
    assert_true(file_says(dir, "report.md", "## Bars"));
}

static void below_is_three(void **state)
{
    (void)state;
    double rms = of_scale("rmsnorm", "onepass", "rows4");
    const char *dir = run_with(1.001 * rms, 0.01, "17", "");
    assert_int_equal(exit_code(dir), 3);
    assert_true(says(terminal, "1 reached, 1 below by the median, 0 not measured"));
    assert_true(file_says(dir, "bars.csv", ",below,"));
}

static void another_class_decides_nothing(void **state)
{
    (void)state;
    assert_int_equal(exit_code(run_with(100, 100, "32", "")), 0);
    assert_true(says(terminal, "0 reached, 2 below"));
    assert_true(says(terminal, "this machine is Maker family 25 model 32, no bar decides here"));
    assert_int_equal(exit_code(run_with(100, 100, NULL, "")), 0); /* a model that is not known */
    assert_true(says(terminal, "model unknown, no bar decides here"));
}

/* One-pass LayerNorm is the fastest, and does not count: the bar between it and two-pass is missed. */
static void weak_kernels_do_not_count(void **state)
{
    (void)state;
    double weak = of_scale("layernorm", "onepass", ""), sound = of_scale("layernorm", "twopass", "");
    assert_true(weak > sound);
    assert_int_equal(exit_code(run_with(0.01, sqrt(weak * sound), "17", "")), 3);
    assert_true(says(terminal, "twopass avx512"));
}

static void missing_cells_are_told(void **state)
{
    (void)state;
    const char *dir = run_with(
        0.01, 0.01, "17",
        ",{\"op\":\"rmsnorm\",\"dtype\":\"f32\",\"residency\":\"L2\",\"hidden\":77,\"bar\":0.5}"
        ",{\"op\":\"rmsnorm\",\"dtype\":\"f32\",\"residency\":\"L2\",\"hidden\":78,\"bar\":0.5}"
        ",{\"op\":\"rmsnorm\",\"dtype\":\"bf16\",\"residency\":\"L3\",\"hidden\":78,\"bar\":0.5}");
    assert_int_equal(exit_code(dir), 0);
    assert_true(says(terminal, "2 reached, 0 below by the median, 3 not measured"));
    assert_true(says(terminal, "not measured: 77: SKIP_SHAPE: made up"));
    assert_true(says(terminal, "not measured: 78: no such cell in this run"));
    assert_true(file_says(dir, "bars.csv", "not-measured"));
}

/* ns a call, tails, and one ISA over another: the values are those that the run was made of. */
static double true_ns(const char *op, const char *algo, const char *isa, const char *trick, size_t hidden)
{
    for (size_t i = 0; i < synthetic_kernel_count; i++) {
        const struct synthetic_kernel *k = &synthetic_kernels[i];
        if (strcmp(k->op, op) == 0 && strcmp(k->algo, algo) == 0 && strcmp(k->isa, isa) == 0 &&
            strcmp(k->trick, trick) == 0)
            return synthetic_pass_ns(k, "f32", "L2", hidden, synthetic_rows(hidden), 1);
    }
    return NAN;
}

static int run_measures(double bar, const char *more, const size_t *sizes)
{
    char bars[1024];
    const char *dir = new_folder();
    snprintf(bars, sizeof(bars),
             "[{\"class\":\"Some Class\",\"vendor\":\"Maker\",\"family\":\"25\",\"models\":[[16,31]],"
             "\"bars\":[{\"op\":\"rmsnorm\",\"dtype\":\"f32\",\"residency\":\"L2\",\"bar\":%.17g,%s}]}]",
             bar, more);
    struct synthetic_run run = {.residencies = "L2", .dtypes = "f32", .hiddens = sizes,
                                .threads = one, .processes = 8, .screening = 2, .rounds = 4,
                                .vendor = "Maker", .family = "25", .model_number = "17",
                                .bars = bars};
    synthetic_write(dir, &run);
    return exit_code(dir);
}

static void other_measures(void **state)
{
    (void)state;
    static const size_t tails[] = {1000, 1024, 0};
    const double ns = true_ns("rmsnorm", "onepass", "avx512", "rows4", 1024);
    const double tail = ns / (double)(1024 * synthetic_rows(1024)) * (double)(1000 * synthetic_rows(1000)) /
                        true_ns("rmsnorm", "onepass", "avx512", "rows4", 1000);
    const double isa = ns / true_ns("rmsnorm", "onepass", "avx2", "", 1024);
    const double plain = true_ns("rmsnorm", "onepass", "avx512", "", 1024);
    const struct {
        const char *what, *heading;
        double value;
        int at_most; /* 1: reached by what is less */
    } cases[] = {
        /* times drift, by up to exp(0.3) a process, and ratios do not */
        {"\"hidden\":1024,\"measure\":\"ns\",\"rows\":64", "RMSNorm f32 in L2, ns a call, at most, 64 rows", ns, 1},
        {"\"hidden\":1024,\"measure\":\"ns\",\"rows\":64,\"kernel\":\"*__f32_avx512\"",
         "64 rows, *__f32_avx512", plain, 1},
        {"\"hidden\":1000,\"measure\":\"tail\"", "next multiple of 64", tail, 0},
        {"\"hidden\":1024,\"measure\":\"isa\",\"isa\":\"avx2\",\"over\":\"avx512\"", "avx2 over avx512", isa, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const double easy = cases[i].at_most ? 1.35 : 0.999, hard = cases[i].at_most ? 1 / 1.35 : 1.001;
        assert_int_equal(run_measures(easy * cases[i].value, cases[i].what, tails), 0);
        assert_true(says(terminal, "1 reached, 0 below by the median, 0 not measured"));
        assert_true(says(terminal, cases[i].heading));
        assert_int_equal(run_measures(hard * cases[i].value, cases[i].what, tails), 3);
        assert_true(says(terminal, "0 reached, 1 below by the median, 0 not measured"));
    }
}

static void measures_that_lack_a_cell(void **state)
{
    (void)state;
    static const size_t tail[] = {1000, 0};
    assert_int_equal(run_measures(.9, "\"hidden\":1000,\"measure\":\"tail\"", tail), 0);
    assert_true(says(terminal, "not measured: 1000: no such cell in this run"));
    assert_int_equal(run_measures(75, "\"hidden\":1000,\"measure\":\"ns\",\"rows\":1", tail), 0);
    assert_true(says(terminal, "not measured: 1000: no such cell in this run"));
    assert_int_equal(run_measures(.1, "\"hidden\":1000,\"measure\":\"isa\",\"isa\":\"avx2\",\"over\":\"neon\"",
                                  tail), 0);
    assert_true(says(terminal, "an ISA has no kernel whose bound holds"));
    assert_int_equal(run_measures(.1, "\"hidden\":1000,\"measure\":\"luck\"", tail), 0); /* of a later version */
    assert_true(says(terminal, "0 reached, 0 below by the median, 0 not measured"));
}

/* A bar is no way round a wrong kernel. */
static void failures_come_first(void **state)
{
    (void)state;
    const char *dir = run_with(100, 100, "17", "");
    synthetic_append(dir, "checks.jsonl",
                     "{\"type\":\"check\",\"cell\":\"fwd-none-f32-h1024-r64-t1-L2\",\"kernel\":"
                     "\"rmsnorm_fwd_onepass__f32_avx512_rows4\",\"verdict\":\"FAIL_VALUE\"}\n");
    assert_int_equal(exit_code(dir), 2);
    assert_true(says(terminal, "onepass avx512"));
    assert_false(says(terminal, "onepass avx512 rows4"));
}

static void no_bars_no_section(void **state)
{
    (void)state;
    const char *dir = new_folder();
    struct synthetic_run run = {.residencies = "L2", .dtypes = "f32", .hiddens = hiddens,
                                .threads = one, .processes = 8, .screening = 2, .rounds = 4};
    synthetic_write(dir, &run);
    assert_int_equal(exit_code(dir), 0);
    assert_false(says(terminal, "bars"));
    assert_false(file_says(dir, "report.md", "## Bars"));
}

/* ---- files ---- */

static void the_shipped_file(void **state)
{
    (void)state;
    struct nb_preset p;
    struct nb_err err = {""};
    if (nb_preset_load(&p, "roofs", &err) != NB_OK)
        fail_msg("%s", err.text);
    assert_int_equal(json_array_size(p.bars), 1);
    const json_t *class = json_array_get(p.bars, 0), *bars = json_object_get(class, "bars");
    assert_int_equal(json_array_size(bars), 2 * 3 * 8 + 2 * 2 * 3 + 2 * 2 + 2 * 2 * 2 + 1);
    assert_string_equal(json_string_value(json_object_get(class, "vendor")), "AuthenticAMD");
    const json_t *half = json_array_get(bars, 2 * 3 * 8 + 2 * 2 * 3 - 1);
    assert_string_equal(json_string_value(json_object_get(half, "dtype")), "f16");
    assert_string_equal(json_string_value(json_object_get(half, "measure")), "scale");
    assert_int_equal(json_integer_value(json_object_get(half, "hidden")), 16384);
    assert_true(json_number_value(json_object_get(half, "bar")) == .49);
    const json_t *last = json_array_get(bars, json_array_size(bars) - 1);
    assert_string_equal(json_string_value(json_object_get(last, "measure")), "ns");
    assert_int_equal(json_integer_value(json_object_get(last, "rows")), 1);
    assert_int_equal((int)json_number_value(json_object_get(last, "bar")), 75);
    const json_t *isa = json_array_get(bars, json_array_size(bars) - 2);
    assert_string_equal(json_string_value(json_object_get(isa, "isa")), "avx2");
    assert_string_equal(json_string_value(json_object_get(isa, "over")), "avx512");
    nb_preset_free(&p);
}

#define CLASS "[a]\nvendor = V\nfamily = 1\nmodel = 2\n"

static void broken_files(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "no [class]"},
        {"vendor = V\n", "before the first [class]"},
        {"[A b]\n", "no [class] name"},
        {"[a]\nvendor = V\n", "lacks vendor, family, model or any bar"},
        {CLASS "what is this\n", ":5: \"what is this\" is not of the form"},
        {CLASS "colour = red\n", "unknown key \"colour\""},
        {CLASS "hidden = 64\nrmsnorm f31 L2 = .5\n", "unknown key \"rmsnorm f31 L2\""},
        {CLASS "hidden = 64\nrmsnorm f32 L2 = .5,.6\n", "more bars than the 1 columns"},
        {CLASS "hidden = 64,128\nrmsnorm f32 L2 = .5\n", "1 bars for 2 columns"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 = -1\n", "\"-1\" is no bar"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 = nan\n", "\"nan\" is no bar"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 ns = 5\n", "say rows 1"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 tail ns rows 1 = 5\n", "\"ns\": a second measure"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 luck = 5\n", "\"luck\" is no measure; known: ns, tail"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 avx2/avx9 = .5\n", "\"avx2/avx9\" is no measure"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 ns rows = 5\n", "rows: \"\" is not a whole number"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 rows 1 rows 2 = 5\n", "rows: given twice"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 kernel = 5\n", "is no glob of kernels"},
        {CLASS "hidden = 64\nrmsnorm f32 L2 kernel $(id) = 5\n", "\"$(id)\" is no glob of kernels"},
        {CLASS "hidden = 0\n", "hidden: \"0\" is not a whole number"},
        {CLASS "model = 9-3\n", "model: \"3\" is not a whole number"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        json_t *bars;
        struct nb_err err = {""};
        assert_int_equal(nb_bars_parse("x.bars", cases[i][0], strlen(cases[i][0]), &bars, &err), NB_ERROR);
        assert_null(bars);
        if (!says(err.text, cases[i][1]))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i][1]);
    }
}

static void a_preset_names_a_file_beside_it(void **state)
{
    (void)state;
    static const char *const bad[] = {"title = t\nbars = ../x\n[a]\n", "bars = /etc/passwd\n[a]\n"};
    struct nb_preset p;
    struct nb_err err = {""};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(nb_preset_parse(&p, "x", bad[i], strlen(bad[i]), &err), NB_ERROR);
        assert_true(says(err.text, "no name of a file beside the preset"));
    }
    const char *dir = new_folder();
    char path[256];
    snprintf(path, sizeof(path), "%s/a.preset", dir);
    synthetic_replace(dir, "a.preset", "bars = b.bars\n[a]\n");
    assert_int_equal(nb_preset_load(&p, path, &err), NB_ERROR);
    assert_true(says(err.text, "b.bars: No such file"));
    synthetic_replace(dir, "b.bars", CLASS "hidden = 64, 128\nrmsnorm f32 dram = -,1.5 # why not\n");
    if (nb_preset_load(&p, path, &err) != NB_OK)
        fail_msg("%s", err.text);
    assert_int_equal(json_array_size(json_object_get(json_array_get(p.bars, 0), "bars")), 1);
    nb_preset_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(above_is_fine),
        cmocka_unit_test(below_is_three),
        cmocka_unit_test(another_class_decides_nothing),
        cmocka_unit_test(weak_kernels_do_not_count),
        cmocka_unit_test(missing_cells_are_told),
        cmocka_unit_test(other_measures),
        cmocka_unit_test(measures_that_lack_a_cell),
        cmocka_unit_test(failures_come_first),
        cmocka_unit_test(no_bars_no_section),
        cmocka_unit_test(the_shipped_file),
        cmocka_unit_test(broken_files),
        cmocka_unit_test(a_preset_names_a_file_beside_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
