/* compare_units_test.c: the statistics of `normbench compare`, and how it puts runs side
 * by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apart.h"
#include "compare_cells.h"
#include "compare_samples.h"
#include "compare_statements.h"
#include "machines.h"
#include "report.h"
#include "scratch.h"
#include "stats.h"
#include "synthetic_run.h"

#include <math.h>

/* ---- how likely intervals lie apart ---- */

static void orders_are_those_of_the_tables(void **state)
{
    (void)state;
    const size_t order[] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3};
    for (size_t n = 0; n < sizeof order / sizeof *order; n++)
        assert_int_equal(nb_apart_order(n), order[n]);
    for (size_t n = 6; n < 40; n++) {
        double v[40];
        for (size_t i = 0; i < n; i++)
            v[i] = (double)i;
        assert_true(nb_median_interval(v, n, 0.95).lo == (double)nb_apart_order(n) - 1);
    }
}

/* Over all ways to deal n + m values to two runs. */
static double enumerated(size_t n, size_t k, size_t m, size_t l)
{
    size_t apart = 0, all = 0;
    for (unsigned deal = 0; deal < 1u << (n + m); deal++) {
        size_t a[16], b[16], na = 0, nb = 0;
        for (size_t i = 0; i < n + m; i++)
            if (deal >> i & 1)
                a[na++ % 16] = i;
            else
                b[nb++ % 16] = i;
        if (na != n)
            continue;
        all++;
        apart += a[n - k] < b[l - 1] || b[m - l] < a[k - 1];
    }
    return (double)apart / (double)all;
}

static void levels_are_those_of_enumeration(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 8; n++)
        for (size_t m = 2; m <= 8; m++)
            for (size_t k = 1; 2 * k <= n; k++)
                for (size_t l = 1; 2 * l <= m; l++)
                    assert_float_equal(nb_apart_level(n, k, m, l), enumerated(n, k, m, l),
                                       1e-12);
    assert_float_equal(nb_apart_level(8, 1, 8, 1), 2.0 / 12870, 1e-15);
}

static void needed_processes_are_the_least_that_do(void **state)
{
    (void)state;
    assert_int_equal(nb_apart_needed(0.05 / 321), 8); /* 2 / C(16, 8) */
    assert_int_equal(nb_apart_needed(0.05 / 322), 9);
    assert_int_equal(nb_apart_needed(0.05), 4);
    assert_true(nb_apart_needed(0) == SIZE_MAX);
}

/* ---- statements ---- */

enum { CELLS = 40, RUNS = 2, MOST = 16 };

static double normal(unsigned long long *random)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)(nb_random(random) >> 11) * 0x1p-53;
    return sum;
}

/* Two runs of n processes in CELLS cells; log-ratios with a spread of 2 %, half of it
 * shared by all cells of a process. */
struct made {
    struct nb_value values[CELLS][RUNS];
    const struct nb_value *of[CELLS][RUNS];
    struct nb_compared cells[CELLS];
    double sorted[CELLS][RUNS][MOST];
    struct nb_cells all;
    size_t n;
};

/* Of run 1 the first cells are slower by shift. */
static void make(struct made *d, size_t n, size_t slowed, double shift,
                 unsigned long long *random)
{
    double shared[RUNS][MOST];
    *d = (struct made){.n = n};
    for (size_t i = 0; i < RUNS * n; i++)
        shared[i / n][i % n] = 0.014 * normal(random);
    for (size_t c = 0; c < CELLS; c++)
        for (size_t r = 0; r < RUNS; r++) {
            double *v = d->sorted[c][r];
            for (size_t p = 0; p < n; p++)
                v[p] = exp(0.3 + shared[r][p] + 0.014 * normal(random) -
                           (r == 1 && c < slowed ? shift : 0));
            const struct nb_interval i = nb_median_interval(v, n, 0.95);
            d->values[c][r] = (struct nb_value){.quantity = NB_Q_SPEEDUP,
                                                .run = r,
                                                .processes = n,
                                                .order = nb_apart_order(n),
                                                .m = {i.median, i.lo, i.hi}};
            d->of[c][r] = &d->values[c][r];
            d->cells[c] = (struct nb_compared){"cell", NB_Q_SPEEDUP, d->of[c]};
        }
    d->all = (struct nb_cells){.nruns = RUNS, .cells = d->cells, .ncells = CELLS};
}

static const double *sorted(void *context, const struct nb_value *v, size_t *n)
{
    struct made *d = context;
    const size_t index = (size_t)(v - &d->values[0][0]);
    *n = d->n;
    return d->sorted[index / RUNS][index % RUNS];
}

/* Of 2000 pairs of runs of one machine, those where a difference is stated anywhere. */
static void runs_of_one_machine_are_told_apart_too_rarely_to_matter(void **state)
{
    (void)state;
    static struct made d;
    unsigned long long random = 7;
    for (size_t n = 6; n <= 12; n += 2) {
        size_t wrong = 0, stated = 0;
        for (int i = 0; i < 2000; i++) {
            struct nb_statements s;
            make(&d, n, 0, 0, &random);
            nb_statements_make(&s, &d.all, sorted, &d);
            wrong += s.count[NB_HIGHER] + s.count[NB_LOWER] > 0;
            stated += s.count[NB_TOO_FEW] == 0;
            assert_int_equal(s.family, CELLS);
            nb_statements_free(&s);
        }
        assert_int_equal(stated, n >= 8 ? 2000 : 0);
        assert_true(wrong <= 100); /* 5 % of 2000 */
    }
}

static void a_slowed_kernel_differs_in_exactly_its_cells(void **state)
{
    (void)state;
    static struct made d;
    unsigned long long random = 11;
    struct nb_statements s;
    make(&d, 8, 3, 0.3, &random);
    nb_statements_make(&s, &d.all, NULL, NULL);
    for (size_t c = 0; c < CELLS; c++) {
        const struct nb_change *change = &s.changes[c * RUNS + 1];
        assert_int_equal(change->statement, c < 3 ? NB_LOWER : NB_OVERLAP);
        assert_true(change->change.lo <= change->change.value &&
                    change->change.value <= change->change.hi);
        assert_true(c >= 3 ||
                    (change->change.lo < exp(-0.3) && exp(-0.3) < change->change.hi));
        assert_int_equal(s.changes[c * RUNS].statement, NB_NO_STATEMENT);
    }
    nb_statements_free(&s);
}

/* The tables hold the third of 12 sorted values; 40 cells ask for the second. */
static void samples_reach_a_level_that_the_tables_do_not(void **state)
{
    (void)state;
    static struct made d;
    unsigned long long random = 3;
    struct nb_statements s;
    make(&d, 12, 3, 0.3, &random);
    assert_true(nb_apart_level(12, 3, 12, 3) > 0.05 / CELLS);
    nb_statements_make(&s, &d.all, NULL, NULL);
    assert_int_equal(s.count[NB_TOO_FEW], CELLS);
    nb_statements_free(&s);
    nb_statements_make(&s, &d.all, sorted, &d);
    assert_int_equal(s.count[NB_LOWER], 3);
    assert_int_equal(s.count[NB_OVERLAP], CELLS - 3);
    nb_statements_free(&s);
}

/* ---- runs ---- */

static const size_t hiddens[] = {768, 1024, 0}, one[] = {1, 0};

static void write_run(const char *dir, const char *cpu, size_t processes)
{
    struct nb_err err = {""};
    struct synthetic_run run = {.residencies = "L2",
                                .dtypes = "f32",
                                .hiddens = hiddens,
                                .threads = one,
                                .processes = processes,
                                .screening = 1,
                                .rounds = 4,
                                .noise = 0.02,
                                .cpu = cpu};
    synthetic_write(dir, &run);
    if (nb_report(dir, NULL, &err) != NB_OK)
        fail_msg("%s", err.text);
}

static void loaded(struct nb_summary *s, const char *dir)
{
    struct nb_err err = {""};
    if (nb_summary_load(s, dir, &err) != NB_OK)
        fail_msg("%s", err.text);
}

static void samples_hold_the_intervals_of_the_tables(void **state)
{
    (void)state;
    struct nb_summary run;
    struct nb_samples *samples;
    struct nb_err err = {""};
    const char *dir = new_folder();
    write_run(dir, "one", 8);
    loaded(&run, dir);
    assert_int_equal(nb_samples_load(&samples, &run, 1, &err), NB_OK);
    size_t found = 0;
    for (size_t i = 0; i < run.nspeedups; i++) {
        const struct nb_value v = {.speedup = &run.speedups[i]};
        size_t n = 0;
        const double *of = nb_samples_sorted(samples, &v, &n);
        if (of == NULL)
            continue;
        found++;
        assert_int_equal(n, 8);
        assert_float_equal(of[0], run.speedups[i].speedup.lo, 1e-5);
        assert_float_equal(of[7], run.speedups[i].speedup.hi, 1e-5);
    }
    assert_int_equal(found, run.nspeedups);
    nb_samples_free(samples);
    nb_summary_free(&run);
}

static void cells_of_two_runs_stand_side_by_side(void **state)
{
    (void)state;
    struct nb_summary runs[2];
    struct nb_cells cells;
    const struct nb_choice choice = {.quantity = {true, true, true, true}};
    for (size_t i = 0; i < 2; i++) {
        const char *dir = new_folder();
        write_run(dir, i ? "one" : "two", 6);
        loaded(&runs[i], dir);
    }
    nb_cells_gather(&cells, runs, 2, &choice);
    assert_true(cells.ncells > 0 && cells.alone == 0 && cells.ambiguous == 0);
    for (size_t i = 0; i < cells.ncells; i++) {
        assert_true(cells.cells[i].of[0]->run == 0 && cells.cells[i].of[1]->run == 1);
        assert_string_equal(cells.cells[i].of[0]->key, cells.cells[i].of[1]->key);
        if (cells.cells[i].quantity == NB_Q_CYCLES) /* no certificates in these runs */
            assert_string_equal(cells.cells[i].of[0]->missing, "not-certified");
    }
    assert_int_equal(cells.ncells, runs[0].nspeedups + 3 * runs[0].nresults);
    nb_cells_free(&cells);
    nb_summary_free(&runs[0]);
    nb_summary_free(&runs[1]);
}

/* Rows follow from caches: they may differ where a run has one number of them. Where it
 * has several, equal ones go together. */
static void rows_make_a_case_only_where_a_run_has_several(void **state)
{
    (void)state;
    struct nb_speedup a[] = {{.base_op = "layernorm",
                              .test_op = "rmsnorm",
                              .dir = "fwd",
                              .fuse = "none",
                              .dtype = "f32",
                              .residency = "L2",
                              .pairing = "best-of-each",
                              .verdict = "faster",
                              .threads = 1,
                              .rows = 64,
                              .hidden = 768,
                              .speedup = {1.2, 1.1, 1.3},
                              .processes = 8}};
    struct nb_speedup b[2] = {a[0], a[0]};
    struct nb_summary runs[2] = {{.speedups = a, .nspeedups = 1},
                                 {.speedups = b, .nspeedups = 1}};
    const struct nb_choice choice = {.quantity = {true}};
    struct nb_cells cells;
    b[0].rows = 128;
    nb_cells_gather(&cells, runs, 2, &choice);
    assert_int_equal(cells.ncells, 1);
    nb_cells_free(&cells);
    b[1].rows = 64;
    runs[1].nspeedups = 2;
    nb_cells_gather(&cells, runs, 2, &choice);
    assert_int_equal(cells.ncells, 1);
    assert_int_equal(cells.alone, 1);
    assert_int_equal(cells.cells[0].of[1]->rows, 64);
    nb_cells_free(&cells);
    b[0].rows = 64; /* twice the same */
    nb_cells_gather(&cells, runs, 2, &choice);
    assert_int_equal(cells.ncells, 0);
    assert_int_equal(cells.ambiguous, 1);
    nb_cells_free(&cells);
}

static void all_threads_are_all_cores(void **state)
{
    (void)state;
    char word[24];
    struct nb_summary run = {.host = json_pack("{s:{s:i}}", "topology", "cores", 4)};
    assert_string_equal(nb_threads_word(&run, 4, word), "all");
    assert_string_equal(nb_threads_word(&run, 2, word), "2");
    assert_string_equal(nb_threads_word(&run, 1, word), "1");
    json_decref(run.host);
}

static void machines_without_names_are_not_one(void **state)
{
    (void)state;
    struct nb_machine m[2];
    struct nb_err err = {""};
    struct nb_summary runs[2] = {{.cpu = "Fast (R) CPU", .dir = (char *)"a/x"},
                                 {.cpu = "Fast (R) CPU", .dir = (char *)"b/y/"}};
    char slug[80];
    for (int named = 0; named < 2; named++) {
        for (int i = 0; i < 2; i++) {
            runs[i].host = json_object();
            runs[i].plan = json_object();
            json_object_set_new(runs[i].host, "host",
                                named ? json_string("same") : json_null());
            for (size_t k = 0; k < 3; k++)
                json_object_set_new(runs[i].host,
                                    (const char *[]){"cpu", "topology", "caches"}[k],
                                    json_object());
        }
        assert_int_equal(nb_machines_make(m, runs, 2, "cpu", &err), NB_OK);
        assert_string_equal(m[1].name, "Fast (R) CPU #2");
        assert_true((m[1].same_host == &m[0]) == (named == 1));
        nb_machines_free(m, 2);
        for (int i = 0; i < 2; i++) {
            json_decref(runs[i].host);
            json_decref(runs[i].plan);
        }
    }
    nb_machine_slug(&runs[0], slug, sizeof slug);
    assert_string_equal(slug, "fast-cpu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_those_of_the_tables),
        cmocka_unit_test(levels_are_those_of_enumeration),
        cmocka_unit_test(needed_processes_are_the_least_that_do),
        cmocka_unit_test(runs_of_one_machine_are_told_apart_too_rarely_to_matter),
        cmocka_unit_test(a_slowed_kernel_differs_in_exactly_its_cells),
        cmocka_unit_test(samples_reach_a_level_that_the_tables_do_not),
        cmocka_unit_test(samples_hold_the_intervals_of_the_tables),
        cmocka_unit_test(cells_of_two_runs_stand_side_by_side),
        cmocka_unit_test(rows_make_a_case_only_where_a_run_has_several),
        cmocka_unit_test(all_threads_are_all_cores),
        cmocka_unit_test(machines_without_names_are_not_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
