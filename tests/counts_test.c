/* counts_test.c: dumps of callgrind, files of counts, and the comparison of two of them. */
#include "counts.h"
#include "gate_counts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* ---- dumps ---- */

#define DUMP(tag, events, totals)                                                                            \
    "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\ndesc: I1 cache: 32768 B, 64 B, 8-way associative\n" \
    "desc: Timerange: Basic block 0 - 100\ndesc: Trigger: Client Request: " tag "\n\npositions: line\n" events     \
    "\nsummary: 1 2\n\n\nob=(1) /bin/normbench\nfn=(2) events: 9 9\n0 99 98\n\ntotals: " totals "\n"
#define EVENTS "events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw"

static void test_dump(void **state)
{
    (void)state;
    struct nb_counts c;
    struct nb_err err = {""};
    assert_int_equal(nb_counts_parse(DUMP("count3", EVENTS, "5000000000 20 30 4 5 6 7 8 9"), "count3", &c, &err), NB_OK);
    const uint64_t want[NB_SIM_EVENTS] = {5000000000u, 20, 30, 4, 5, 6, 7, 8, 9};
    for (int e = 0; e < NB_SIM_EVENTS; e++)
        assert_true(c.of[e] == want[e]);
    /* zeros at the end of a line are left out */
    assert_int_equal(nb_counts_parse(DUMP("count3", EVENTS, "10 20 30 0 5"), "count3", &c, &err), NB_OK);
    assert_true(c.of[NB_SIM_D1_READ_MISSES] == 5 && c.of[NB_SIM_D1_WRITE_MISSES] == 0 &&
                c.of[NB_SIM_LL_WRITE_MISSES] == 0);
    /* another order, an event more */
    assert_int_equal(nb_counts_parse(DUMP("x", "events: Dw Ir Bc Dr I1mr D1mr D1mw ILmr DLmr DLmw",
                                          "1 2 3 4 5 6 7 8 9 10"), "x", &c, &err), NB_OK);
    assert_true(c.of[NB_SIM_WRITES] == 1 && c.of[NB_SIM_INSTRUCTIONS] == 2 && c.of[NB_SIM_READS] == 4);
}

static void refuses(const char *dump, const char *why)
{
    struct nb_counts c;
    struct nb_err err = {""};
    assert_int_equal(nb_counts_parse(dump, "count3", &c, &err), NB_ERROR);
    assert_non_null(strstr(err.text, why));
}

static void test_bad_dumps(void **state)
{
    (void)state;
    refuses("", "not the one");
    refuses(DUMP("count4", EVENTS, "1 2 3"), "not the one");
    refuses(DUMP("count33", EVENTS, "1 2 3"), "not the one");
    refuses(DUMP("count3", "events: Ir", "1"), "1 of the 9 events");
    refuses(DUMP("count3", "positions:", "1"), "no line");
    refuses(DUMP("count3", EVENTS, "1 2 x3"), "\"x3\" is no count");
    refuses("desc: Trigger: Client Request: count3\n" EVENTS "\n", "no line");
}

static void test_subtract(void **state)
{
    (void)state;
    struct nb_counts c = {{100, 50, 20, 3, 4, 5, 6, 7, 8}};
    const struct nb_counts nothing = {{7, 3, 2, 1, 1, 1, 1, 1, 1}}, much = {{1, 51, 0}};
    assert_true(nb_counts_subtract(&c, &nothing));
    assert_true(c.of[NB_SIM_INSTRUCTIONS] == 93 && c.of[NB_SIM_READS] == 47 && c.of[NB_SIM_WRITES] == 18);
    assert_true(c.of[NB_SIM_I1_MISSES] == 3 && c.of[NB_SIM_LL_WRITE_MISSES] == 8);
    assert_false(nb_counts_subtract(&c, &much));
}

/* ---- files and comparison ---- */

static void add(json_t *counts, const char *kernel, uint64_t instructions, uint64_t reads, const char *reason,
                bool failed)
{
    const struct nb_counts c = {{instructions, reads, 10, 0, 0, 0, 0, 0, 0}};
    json_t *row = json_pack("{ss ss sI sI}", "cell", "fwd-none-f32-h8-r2", "kernel", kernel, "hidden", (json_int_t)8,
                            "rows", (json_int_t)2);
    nb_counts_put(row, reason == NULL ? &c : NULL, reason);
    json_object_set_new(row, "failed", json_boolean(failed));
    json_array_append_new(json_object_get(counts, "counts"), row);
}

static const char *verdict(const json_t *result, const char *kernel, bool *red)
{
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(result, "rows"), i, row)
        if (strcmp(json_string_value(json_object_get(row, "kernel")), kernel) == 0) {
            *red = json_is_true(json_object_get(row, "red"));
            return json_string_value(json_object_get(row, "verdict"));
        }
    return "none";
}

static void expect_verdict(const json_t *result, const char *kernel, const char *want, bool want_red)
{
    bool red = false;
    assert_string_equal(verdict(result, kernel, &red), want);
    assert_int_equal(red, want_red);
}

static void test_compare(void **state)
{
    (void)state;
    json_t *base = nb_counts_head("3.19.0"), *head = nb_counts_head("3.19.0");
    static const struct {
        const char *kernel;
        uint64_t base, head, base_reads, head_reads;
    } both[] = {{"same", 1000, 1000, 5, 5}, {"one_more", 1000, 1001, 5, 5}, {"less", 1000, 1, 5, 9},
                {"loads", 1000, 1000, 5, 6}, {"percent", 1000, 1010, 5, 5}};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        add(base, both[i].kernel, both[i].base, both[i].base_reads, NULL, false);
        add(head, both[i].kernel, both[i].head, both[i].head_reads, NULL, false);
    }
    add(base, "stores", 1000, 5, NULL, false);
    add(head, "stores", 1000, 5, NULL, false);
    json_t *rows = json_object_get(head, "counts");
    json_object_set_new(json_array_get(rows, json_array_size(rows) - 1), "writes", json_integer(11));
    add(base, "gone", 1, 1, NULL, false);
    add(head, "new", 1, 1, NULL, false);
    add(base, "broken", 1, 1, NULL, false);
    add(head, "broken", 0, 0, "FAIL_VALUE: y", true);
    add(base, "wide", 0, 0, "callgrind has no AVX-512", false);
    add(head, "wide", 0, 0, "callgrind has no AVX-512", false);
    add(base, "mended", 0, 0, "FAIL_VALUE: y", true);
    add(head, "mended", 9, 9, NULL, false);
    json_t *r = nb_gate_counts_compare(base, head, 0);
    expect_verdict(r, "same", "IDENTICAL", false);
    expect_verdict(r, "one_more", "MORE", true);
    expect_verdict(r, "percent", "MORE", true);
    expect_verdict(r, "less", "FEWER", false);
    expect_verdict(r, "loads", "CHANGED", false);
    expect_verdict(r, "stores", "CHANGED", false);
    expect_verdict(r, "gone", "REMOVED", false);
    expect_verdict(r, "new", "ADDED", false);
    expect_verdict(r, "broken", "BROKEN", false);
    expect_verdict(r, "wide", "NOT_COUNTED", false);
    expect_verdict(r, "mended", "NOT_COUNTED", false);
    assert_int_equal(json_integer_value(json_object_get(r, "red")), 2);
    json_decref(r);
    r = nb_gate_counts_compare(base, head, 0.5); /* percent */
    expect_verdict(r, "one_more", "MORE", false);
    expect_verdict(r, "percent", "MORE", true);
    json_decref(r);
    r = nb_gate_counts_compare(base, head, 1); /* so many are not over it */
    expect_verdict(r, "percent", "MORE", false);
    json_decref(r);
    json_decref(base);
    json_decref(head);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void cannot_load(const char *path, const char *text, const char *why)
{
    json_t *counts = NULL;
    struct nb_err err = {""};
    write_file(path, text);
    assert_int_equal(nb_counts_load(path, &counts, &err), NB_ERROR);
    assert_null(counts);
    assert_non_null(strstr(err.text, why));
}

static void test_file(void **state)
{
    (void)state;
    char path[] = "/tmp/counts_test.XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    json_t *counts = nb_counts_head("3.19.0"), *again = NULL;
    add(counts, "a", 1234567890123u, 2, NULL, false);
    add(counts, "b", 0, 0, "why, not", false);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    nb_counts_write_json(counts, f);
    assert_int_equal(fclose(f), 0);
    struct nb_err err = {""};
    assert_int_equal(nb_counts_load(path, &again, &err), NB_OK);
    assert_true(json_equal(counts, again));
    struct nb_counts c;
    const json_t *rows = json_object_get(again, "counts");
    assert_true(nb_counts_get(json_array_get(rows, 0), &c));
    assert_true(c.of[NB_SIM_INSTRUCTIONS] == 1234567890123u);
    assert_false(nb_counts_get(json_array_get(rows, 1), &c));
    cannot_load(path, "{", "counts_test");
    cannot_load(path, "[]", "not a file of `normbench count`");
    cannot_load(path, "{\"format\": 2}", "counts of format 2; this program reads format 1");
    cannot_load(path, "{\"format\": 1, \"git\": \"x\", \"valgrind\": \"3\", \"counts\": [{\"cell\": 3}]}", "not a file");
    unlink(path);
    json_decref(counts);
    json_decref(again);
}

static void test_csv(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    json_t *counts = nb_counts_head("3.19.0");
    add(counts, "a", 40, 2, NULL, false);
    add(counts, "b", 0, 0, "why, not", false);
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    nb_counts_write_csv(counts, f);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, "cell,kernel,hidden,rows,instructions,reads,writes,i1_misses,d1_read_misses,d1_write_misses,"
                              "ll_code_misses,ll_read_misses,ll_write_misses,reason,failed,instructions_per_element\n"
                              "fwd-none-f32-h8-r2,a,8,2,40,2,10,0,0,0,0,0,0,null,no,2.5\n"
                              "fwd-none-f32-h8-r2,b,8,2,null,null,null,null,null,null,null,null,null,\"why, not\",no,null\n");
    free(text);
    json_decref(counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump),    cmocka_unit_test(test_bad_dumps), cmocka_unit_test(test_subtract),
        cmocka_unit_test(test_compare), cmocka_unit_test(test_file),      cmocka_unit_test(test_csv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
