/* cluster_test.c: nodes as sinfo tells them, and what became of a task. */
#include "cluster_job.h"
#include "cluster_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LINE(name, state, cpus, memory, features)                                        \
    name "\x1f" state "\x1f" #cpus "\x1f"                                                \
         "1\x1f" #cpus "\x1f"                                                            \
         "1\x1f" #memory "\x1f" features "\n"

static struct nb_cluster_nodes parsed(const char *text)
{
    struct nb_cluster_nodes c;
    struct nb_err err = {""};
    if (nb_cluster_nodes_parse(&c, text, &err) != NB_OK)
        fail_msg("%s", err.text);
    return c;
}

static void chosen_are(struct nb_cluster_nodes *c, size_t per_type, const char *expected)
{
    char names[200] = "";
    nb_cluster_nodes_choose(c, per_type);
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i].chosen)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s ",
                     c->v[i].name);
    assert_string_equal(names, expected);
}

static void test_types(void **state)
{
    (void)state;
    struct nb_cluster_nodes c = parsed(
        LINE("a1", "idle", 8, 64000, "avx2") LINE("a2", "idle", 8, 64100, "avx2")
            LINE("b1", "idle", 8, 64000, "avx2,ib") LINE("c1", "idle", 16, 64000, "avx2")
                LINE("d1", "idle", 8, 128000, "avx2")
                    LINE("e1", "idle", 8, 64000, "(null)"));
    assert_int_equal(c.n, 6);
    assert_int_equal(c.types, 5); /* a1 and a2 have the same GiB */
    chosen_are(&c, 0, "e1 a1 a2 d1 c1 b1 ");
    nb_cluster_nodes_free(&c);
}

static void test_choice(void **state)
{
    (void)state;
    struct nb_cluster_nodes c = parsed(
        LINE("n1", "allocated", 8, 1, "x") LINE("n10", "idle", 8, 1, "x")
            LINE("n2", "mixed", 8, 1, "x") LINE("n9", "idle", 8, 1, "x")
                LINE("n3", "idle*", 8, 1, "x") LINE("n4", "drained", 8, 1, "x")
                    LINE("n5", "down", 8, 1, "x") LINE("n6", "idle~", 8, 1, "x")
                        LINE("n7", "maint", 8, 1, "x") LINE("n8", "idle$", 8, 1, "x")
                            LINE("n9", "idle", 8, 1, "x")
                                LINE("n11", "idler", 8, 1, "x"));
    assert_int_equal(c.types, 1);
    chosen_are(&c, 1, "n9 "); /* idle, and 9 before 10 */
    chosen_are(&c, 2, "n9 n10 ");
    chosen_are(
        &c, 3,
        "n9 n10 n6 "); /* one that must be powered up comes before one that is in use */
    chosen_are(&c, 0, "n9 n10 n6 n2 n1 ");
    nb_cluster_nodes_free(&c);
}

static void test_constraint(void **state)
{
    (void)state;
    static const struct {
        const char *constraint, *left;
    } cases[] = {{"a", "n1 n2 "},    {"ab", "n3 "}, {"a&b", "n2 "}, {"a,b", "n2 "},
                 {"b|ab", "n3 n2 "}, {"none", ""},  {"a&none", ""}};
    static const char *const wrong[] = {"", "a&b|c", "[a|b]", "a*2", "!a", "(a)", "a b"};
    struct nb_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nb_cluster_nodes c = parsed(LINE("n1", "idle", 8, 1, "a") LINE(
            "n2", "idle", 8, 1, "b,a") LINE("n3", "idle", 8, 1, "ab"));
        assert_int_equal(nb_cluster_nodes_keep(&c, cases[i].constraint, &err), NB_OK);
        chosen_are(&c, 0, cases[i].left);
        nb_cluster_nodes_free(&c);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct nb_cluster_nodes c = parsed(LINE("n1", "idle", 8, 1, "a"));
        assert_int_equal(nb_cluster_nodes_keep(&c, wrong[i], &err), NB_ERROR);
        assert_non_null(strstr(err.text, "--constraint"));
        nb_cluster_nodes_free(&c);
    }
}

static void refused(const char *text, const char *words)
{
    struct nb_cluster_nodes c;
    struct nb_err err = {""};
    assert_int_equal(nb_cluster_nodes_parse(&c, text, &err), NB_ERROR);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void test_hostile(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",      ".",    "..",   "-n",  "a/b",      "../x",          "a b",  "n1;id",
        "$(id)", "`id`", "a\"b", "a'b", "\x1b[31m", "n\xe2\x80\xae", "a\\b", "%n"};
    char text[400], longer[300];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_false(nb_cluster_name_ok(names[i]));
        snprintf(text, sizeof text,
                 "%s\x1fidle\x1f"
                 "1\x1f"
                 "1\x1f"
                 "1\x1f"
                 "1\x1f"
                 "1\x1fx\n",
                 names[i]);
        refused(text, "host name");
    }
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_false(nb_cluster_name_ok(longer));
    assert_true(nb_cluster_name_ok("node-1.rack_2.example.org"));
    refused("n1 idle 8\n", "fields");
    refused(LINE("n1", "idle", 8, 1,
                 "a\x1f"
                 "b"),
            "fields");
    refused(LINE("n1", "idle", 8, 1, "a") "half of a line", "line 2");
    refused(LINE("n1", "idle", -1, 1, "a"), "number");
    refused(LINE("n1", "idle", 8, 1e9, "a"), "number");
    refused(LINE("n1", "idle", 8, 99999999999999999999999, "a"), "number");
    struct nb_cluster_nodes c = parsed("");
    assert_int_equal(c.n, 0);
    nb_cluster_nodes_free(&c);
}

static void test_print(void **state)
{
    (void)state;
    struct nb_cluster_nodes c = parsed(LINE("n1", "idle", 8, 65536, "a\x1b[2J\xff<b>"));
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    nb_cluster_node_print(f, &c.v[0]);
    fclose(f);
    assert_string_equal(text, "8 CPUs (1 x 8 x 1), 64 GiB, a [2J?<b>");
    free(text);
    nb_cluster_nodes_free(&c);
}

/* ---- what became of a task ---- */

static void test_judge(void **state)
{
    (void)state;
    static const struct {
        bool begun, ended;
        long long code;
        double silent_s;
        const char *slurm; /* its state there; NULL: it does not know the job */
        bool answered;
        enum nb_cluster_state expected;
        const char *words;
    } cases[] = {
        {false, false, -1, 0, "PENDING", true, NB_TASK_PENDING, "PENDING, why"},
        {false, false, -1, 0, "RUNNING", true, NB_TASK_RUNNING, "RUNNING"},
        {true, false, -1, 1e6, "RUNNING", true, NB_TASK_RUNNING, "RUNNING"},
        {true, true, 0, 0, "COMPLETED", true, NB_TASK_DONE, ""},
        {true, true, 0, 0, "NODE_FAIL", true, NB_TASK_DONE, ""}, /* the file wins */
        {true, true, 2, 0, NULL, true, NB_TASK_DONE, "kernel failed"},
        {true, true, 3, 0, NULL, false, NB_TASK_DONE, "bar"},
        {true, true, 1, 0, "FAILED", true, NB_TASK_FAILED, "exit 1: words"},
        {true, true, 130, 0, NULL, false, NB_TASK_FAILED, "exit 130: words"},
        {true, true, -1, 0, NULL, false, NB_TASK_FAILED, "words"},
        {true, false, -1, 0, "FAILED", true, NB_TASK_FAILED, "its end was not written"},
        {true, false, -1, 0, "TIMEOUT", true, NB_TASK_FAILED, "TIMEOUT"},
        {false, false, -1, 0, "CANCELLED by 1000", true, NB_TASK_FAILED, "never began"},
        {true, false, -1, 0, "NODE_FAIL", true, NB_TASK_LOST, "NODE_FAIL"},
        {false, false, -1, 0, "COMPLETED", true, NB_TASK_LOST, "never began"},
        {true, false, -1, 0, NULL, true, NB_TASK_LOST, "does not know"},
        {false, false, -1, 0, NULL, false, NB_TASK_PENDING, "not begun"},
        {true, false, -1, 5, NULL, false, NB_TASK_RUNNING, "last sign 5 s"},
        {true, false, -1, 3600, NULL, false, NB_TASK_LOST, "60 minutes"},
        {false, false, -1, 0, "PENDINGS", true, NB_TASK_FAILED, "PENDINGS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct nb_slurm_job job = {"7", cases[i].slurm, "why"};
        struct nb_cluster_task t = {.tries = 1,
                                    .begun = cases[i].begun,
                                    .ended = cases[i].ended,
                                    .code = cases[i].code,
                                    .silent_s = cases[i].silent_s,
                                    .id = "7",
                                    .reason = "words"};
        nb_cluster_judge(&t, cases[i].slurm != NULL ? &job : NULL, cases[i].answered);
        if (t.state != cases[i].expected || strstr(t.why, cases[i].words) == NULL)
            fail_msg("case %zu is %s, \"%s\"", i, nb_cluster_state_name(t.state), t.why);
    }
    struct nb_cluster_task none = {.tries = 0},
                           broken = {.tries = 1,
                                     .ended = true,
                                     .broken = "ended-1.json:3: half"};
    nb_cluster_judge(&none, NULL, true);
    assert_int_equal(none.state, NB_TASK_UNSENT);
    nb_cluster_judge(&broken, NULL, true);
    assert_int_equal(broken.state, NB_TASK_LOST);
    assert_string_equal(broken.why, "ended-1.json:3: half");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),      cmocka_unit_test(test_choice),
        cmocka_unit_test(test_constraint), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_print),      cmocka_unit_test(test_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
