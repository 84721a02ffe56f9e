/* store_test.c: the index of runs as a file that others wrote, hold or damaged, and what
 * loads large JSON. $1: store_v1.sql. */
#include "db.h"
#include "dictionary.h"
#include "query.h"
#include "shallow.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka asks for those before it */
#include <cmocka.h>

static const char *version_1;
static FILE *nowhere; /* what failing statements print */
static char folder[] = "/tmp/nb_store_XXXXXX", path[64];

static int in_a_folder(void **state)
{
    (void)state;
    nowhere = fopen("/dev/null", "w");
    if (nowhere == NULL || mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/a.sqlite", folder);
    return 0;
}

static int away(void **state)
{
    (void)state;
    fclose(nowhere);
    (void)unlink(path);
    return rmdir(folder);
}

static char *read_file(const char *name)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = fopen(name, "r"), *to = open_memstream(&text, &len);
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;)
        fputc(c, to);
    fclose(f);
    fclose(to);
    return text;
}

/* Another program's hand on the file. */
static void with_sqlite(const char *sql)
{
    sqlite3 *s;
    assert_int_equal(sqlite3_open(path, &s), SQLITE_OK);
    assert_int_equal(sqlite3_exec(s, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(s);
}

static int64_t ask(struct nb_db *db, const char *sql)
{
    struct nb_err err;
    bool row = false;
    sqlite3_stmt *s = nb_db_prepare(db, sql, &err);
    assert_non_null(s);
    assert_int_equal(nb_db_step(db, s, &row, &err), NB_OK);
    assert_true(row);
    const int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static char *schema_of(struct nb_db *db)
{
    struct nb_err err;
    bool row = false;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    sqlite3_stmt *s = nb_db_prepare(
        db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name", &err);
    while (nb_db_step(db, s, &row, &err) == NB_OK && row)
        fprintf(f, "%s;\n", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    fclose(f);
    return text;
}

static void make_version_1(void)
{
    char *sql = read_file(version_1);
    (void)unlink(path);
    with_sqlite(sql);
    free(sql);
}

/* Read or written, a version 1 becomes the same as what is made anew, and keeps its runs.
 */
static void version_1_is_migrated(void **state)
{
    struct nb_err err;
    struct nb_db db, fresh;
    (void)state;
    assert_int_equal(nb_db_open(&fresh, ":memory:", NB_DB_WRITE, 0, &err), NB_OK);
    char *wanted = schema_of(&fresh);
    nb_db_close(&fresh);
    for (int mode = NB_DB_READ; mode <= NB_DB_WRITE; mode++) {
        make_version_1();
        assert_int_equal(nb_db_open(&db, path, (enum nb_db_mode)mode, 100, &err), NB_OK);
        assert_int_equal(ask(&db, "PRAGMA user_version"), NB_DB_VERSION);
        assert_int_equal(
            ask(&db, "SELECT count(*) FROM run WHERE kernel_sources IS NULL"), 1);
        assert_int_equal(
            ask(&db, "SELECT count(*) FROM measured WHERE run = '5a0052b913b21d24'"), 2);
        assert_int_equal(
            ask(&db, "SELECT count(*) FROM compared WHERE verdict = 'faster'"), 1);
        char *got = schema_of(&db);
        assert_string_equal(got, wanted);
        free(got);
        nb_db_close(&db);
    }
    free(wanted);
}

static void fails(enum nb_db_mode mode, const char *says)
{
    struct nb_err err = {""};
    struct nb_db db;
    assert_int_equal(nb_db_open(&db, path, mode, 100, &err), NB_ERROR);
    if (strstr(err.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void others_databases_are_left_alone(void **state)
{
    (void)state;
    make_version_1();
    with_sqlite("PRAGMA user_version = 99");
    fails(NB_DB_WRITE, "has version 99, this program knows up to 2");
    fails(NB_DB_READ, "has version 99, this program knows up to 2");
    (void)unlink(path);
    with_sqlite("CREATE TABLE bookmark(url TEXT)");
    fails(NB_DB_WRITE, "another program");
    fails(NB_DB_READ, "another program");
    (void)unlink(path);
    fails(NB_DB_READ, "db import DIR...");
    with_sqlite("PRAGMA page_size = 4096");
    FILE *f = fopen(path, "w");
    fclose(f);
    fails(NB_DB_READ, "is empty");
}

/* Anywhere in the file: a message about the index, never a crash. */
static void damage_is_told(void **state)
{
    struct nb_err err;
    struct nb_db db;
    (void)state;
    make_version_1();
    char zeros[512];
    memset(zeros, 0x5A, sizeof zeros);
    FILE *f = fopen(path, "r+");
    fwrite(zeros, 1, sizeof zeros, f);
    fclose(f);
    fails(NB_DB_READ, "is no SQLite database");
    fails(NB_DB_WRITE, "delete it and make it again");
    for (long at = 4096; at < 40960; at += 4096) {
        make_version_1();
        f = fopen(path, "r+");
        fseek(f, at, SEEK_SET);
        fwrite(zeros, 1, sizeof zeros, f);
        fclose(f);
        err.text[0] = 0;
        enum nb_status s = nb_db_open(&db, path, NB_DB_READ, 100, &err);
        if (s == NB_OK) {
            s = nb_query_run(nowhere, &db,
                             "SELECT count(*) FROM measured NATURAL JOIN compared", 10,
                             NB_TABLE_CSV, &err);
            nb_db_close(&db);
        }
        assert_true(s == NB_OK || strstr(err.text, "is damaged") != NULL);
        if (at == 4096) /* the page of table machine */
            assert_int_equal(s, NB_ERROR);
    }
}

static void a_lock_is_waited_for_and_told(void **state)
{
    sqlite3 *other;
    (void)state;
    make_version_1();
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    fails(NB_DB_READ, "is locked: another program is using it; waited 100 ms");
    fails(NB_DB_WRITE, "is locked: another program is using it; waited 100 ms");
    sqlite3_close(other);
}

/* A writer that dies with half of it in the file: who only reads finds what was before.
 */
static void a_journal_is_rolled_back(void **state)
{
    struct nb_err err = {""};
    struct nb_db db;
    char journal[80];
    int status;
    (void)state;
    make_version_1();
    assert_int_equal(nb_db_open(&db, path, NB_DB_WRITE, 100, &err), NB_OK);
    nb_db_close(&db);
    const pid_t child = fork();
    if (child == 0) {
        sqlite3 *s;
        sqlite3_open(path, &s);
        sqlite3_exec(s,
                     "PRAGMA cache_size = 1; BEGIN; WITH RECURSIVE r(i) AS (SELECT 10 "
                     "UNION ALL SELECT i + 1 "
                     "FROM r WHERE i < 5000) INSERT INTO kernel(id, name) SELECT i, "
                     "hex(randomblob(40)) FROM r",
                     NULL, NULL, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    snprintf(journal, sizeof journal, "%s-journal", path);
    assert_int_equal(access(journal, F_OK), 0);
    assert_int_equal(nb_db_open(&db, path, NB_DB_READ, 100, &err), NB_OK);
    assert_int_equal(ask(&db, "SELECT count(*) FROM kernel"), 3);
    assert_int_equal(access(journal, F_OK), -1);
    nb_db_close(&db);
}

/* ---- statements of users ---- */

static void refuses(struct nb_db *db, const char *sql, const char *says)
{
    struct nb_err err = {""};
    db->failed = false;
    if (nb_query_run(nowhere, db, sql, 0.5, NB_TABLE_CSV, &err) != NB_ERROR)
        fail_msg("%s: not refused", sql);
    if (strstr(err.text, says) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", sql, err.text, says);
}

static void only_reading_is_possible(void **state)
{
    struct nb_err err;
    struct nb_db db;
    (void)state;
    make_version_1();
    assert_int_equal(nb_db_open(&db, path, NB_DB_READ, 100, &err), NB_OK);
    refuses(&db, "DELETE FROM run", "only read here");
    refuses(&db, "DROP TABLE run", "only read here");
    refuses(&db, "CREATE TEMP TABLE t(x)", "only read here");
    refuses(&db, "INSERT INTO run SELECT * FROM run", "only read here");
    refuses(&db, "ATTACH '/tmp/nb_x.sqlite' AS x", "ATTACH: refused");
    refuses(&db, "VACUUM INTO '/tmp/nb_x.sqlite'", "only SELECT");
    refuses(&db, "PRAGMA user_version = 5", "PRAGMA: refused");
    refuses(&db, "PRAGMA query_only = 0", "PRAGMA: refused");
    refuses(&db, "SELECT * FROM pragma_user_version", "refused");
    refuses(&db, "SELECT load_extension('/tmp/x.so')", "refused");
    refuses(&db, "BEGIN EXCLUSIVE", "refused");
    refuses(&db, "SELECT 1; DELETE FROM run", "more than one statement");
    refuses(&db, "SELECT 1; SELECT 2", "more than one statement");
    refuses(&db, "SELECT some FROM nowhere",
            "no such table: nowhere; `normbench db schema`");
    refuses(&db, " -- a comment", "there is no statement");
    refuses(&db, "SELECT zeroblob(1000000000)", "too big");
    refuses(&db,
            "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT "
            "count(*) FROM r",
            "stopped after 0.5 s");
    nb_db_close(&db);
    assert_int_not_equal(access("/tmp/nb_x.sqlite", F_OK), 0);
    assert_int_equal(nb_db_open(&db, path, NB_DB_READ, 100, &err), NB_OK);
    assert_int_equal(ask(&db, "SELECT count(*) FROM run"), 1);
    nb_db_close(&db);
}

static char *answer(struct nb_db *db, const char *sql, enum nb_table_form form)
{
    struct nb_err err;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_int_equal(nb_query_run(f, db, sql, 5, form, &err), NB_OK);
    fclose(f);
    return text;
}

static void is(struct nb_db *db, const char *sql, enum nb_table_form form,
               const char *wanted)
{
    char *got = answer(db, sql, form);
    assert_string_equal(got, wanted);
    free(got);
}

static void what_is_printed(void **state)
{
    struct nb_err err = {""};
    struct nb_db db;
    (void)state;
    make_version_1();
    assert_int_equal(nb_db_open(&db, path, NB_DB_READ, 100, &err), NB_OK);
    static const char all[] =
        "SELECT 1 AS a, -0.25 AS b, NULL AS c, '=1+1' AS d, 'x' || char(27) || '[2J' AS "
        "e, x'00ff' AS f "
        "UNION ALL SELECT 20, 1e300, 2, 'long', 'a \"b\", c', 1; -- and so on";
    is(&db, all, NB_TABLE_CSV,
       "a,b,c,d,e,f\n1,-0.25,null,'=1+1,x [2J,00ff\n20,1e+300,2,long,\"a \"\"b\"\", "
       "c\",1\n");
    is(&db, all, NB_TABLE_ALIGNED,
       " a       b     c  d     e         f\n"
       "--  ------  ----  ----  --------  ----\n"
       " 1   -0.25  null  =1+1  x [2J     00ff\n"
       "20  1e+300     2  long  a \"b\", c  1\n");
    is(&db, all, NB_TABLE_JSON,
       "[\n {\"a\": 1, \"b\": -0.25, \"c\": null, \"d\": \"=1+1\", \"e\": "
       "\"x\\u001B[2J\", \"f\": \"00ff\"},\n"
       " {\"a\": 20, \"b\": 1e+300, \"c\": 2, \"d\": \"long\", \"e\": \"a \\\"b\\\", "
       "c\", \"f\": 1}\n]\n");
    is(&db, "SELECT 1 AS a WHERE 0", NB_TABLE_JSON, "[]\n");
    is(&db, "SELECT 1 AS a WHERE 0", NB_TABLE_ALIGNED, "a\n-\n");
    is(&db, "SELECT CAST(x'ff41' AS TEXT) AS a, 9e999 AS b", NB_TABLE_JSON,
       "[\n {\"a\": \"?A\", \"b\": \"inf\"}\n]\n");
    assert_int_equal(
        nb_query_run(nowhere, &db, "SELECT 1 AS a, 2 AS a", 5, NB_TABLE_JSON, &err),
        NB_ERROR);
    nb_db_close(&db);
}

/* Widths are those of the first 300 rows; none is lost or told twice at that border. */
static void many_rows_are_all_printed(void **state)
{
    struct nb_err err;
    struct nb_db db;
    char sql[120];
    (void)state;
    make_version_1();
    assert_int_equal(nb_db_open(&db, path, NB_DB_READ, 100, &err), NB_OK);
    for (int n = 298; n <= 302; n++) {
        snprintf(sql, sizeof sql,
                 "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i "
                 "< %d) SELECT i FROM r",
                 n);
        char *got = answer(&db, sql, NB_TABLE_ALIGNED), *line = strtok(got, "\n");
        line = strtok(NULL, "\n");
        for (int i = 1; i <= n; i++) {
            line = strtok(NULL, "\n");
            assert_non_null(line);
            assert_int_equal(atoi(line), i);
        }
        assert_null(strtok(NULL, "\n"));
        free(got);
    }
    nb_db_close(&db);
}

/* ---- names ---- */

static void a_name_is_one_thing(void **state)
{
    struct nb_err err = {""};
    struct nb_db db;
    struct nb_dictionary d = {.table = "kernel",
                              .columns = {"op", "algo", "isa", "trick", "dtype"},
                              .fixed = 5};
    const char *const none[5] = {NULL}, *const facts[5] = {"rmsnorm", "onepass", NULL,
                                                           "none", "f32"};
    const char *const lie[5] = {"layernorm", "onepass", NULL, "none", "f32"};
    int64_t a = 0, b = 0;
    (void)state;
    assert_int_equal(nb_db_open(&db, ":memory:", NB_DB_WRITE, 0, &err), NB_OK);
    assert_int_equal(nb_dictionary_open(&d, &db, &err), NB_OK);
    assert_int_equal(nb_dictionary_id(&d, &db, "k'; DROP TABLE run; --", none, &a, &err),
                     NB_OK);
    assert_int_equal(nb_dictionary_id(&d, &db, "k'; DROP TABLE run; --", facts, &b, &err),
                     NB_OK);
    assert_int_equal(a, b);
    assert_int_equal(
        ask(&db, "SELECT count(*) FROM kernel WHERE op = 'rmsnorm' AND isa IS NULL"), 1);
    assert_int_equal(nb_dictionary_id(&d, &db, "k'; DROP TABLE run; --", none, &b, &err),
                     NB_OK);
    assert_int_equal(nb_dictionary_id(&d, &db, "k'; DROP TABLE run; --", lie, &b, &err),
                     NB_ERROR);
    assert_non_null(strstr(err.text, "one name for two things"));
    assert_int_equal(nb_dictionary_id(&d, &db, "other", lie, &b, &err), NB_OK);
    assert_int_not_equal(a, b);
    nb_dictionary_close(&d);
    nb_db_close(&db);
}

/* ---- JSON ---- */

static json_t *load(const char *text, size_t n, json_error_t *where)
{
    static const char *const keys[] = {"cells", "kernels", NULL};
    FILE *f = fopen(path, "w");
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    return nb_json_without(path, keys, where);
}

static void reduces_to(const char *text, const char *wanted)
{
    json_error_t where;
    json_t *got = load(text, strlen(text), &where), *want = json_loads(wanted, 0, NULL);
    assert_non_null(got);
    assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);
}

static void breaks_at(const char *text, int line)
{
    json_error_t where;
    json_t *got = load(text, strlen(text), &where);
    assert_null(got);
    assert_int_equal(where.line, line);
}

static void large_values_are_left_out(void **state)
{
    (void)state;
    reduces_to("{\"id\":\"x\",\"cells\":[1,{\"a\":\"]}\\\"\"}],\"seed\":1}",
               "{\"id\":\"x\",\"cells\":[],\"seed\":1}");
    reduces_to("{\"kernels\" : {\"cells\":[]} , \"bars\":{\"cells\":[1]}}",
               "{\"kernels\":{},\"bars\":{\"cells\":[1]}}");
    reduces_to("{\"a\":\"cells\",\"cells\":\"kernels\",\"k\":[[\"cells\"]]}",
               "{\"a\":\"cells\",\"cells\":\"kernels\",\"k\":[[\"cells\"]]}");
    reduces_to("[{\"cells\":[1]}]", "[{\"cells\":[1]}]");
    breaks_at("{\"cells\":[\n1,\n2\n],\n\"id\": oops}", 5);
    breaks_at("{\"id\": oops,\"cells\":[\n1,\n2\n]}", 1);
    breaks_at("{\"cells\":[\n1,\n{]\n],\n\"id\": 1}", 3);
    breaks_at("{\"cells\":[\n1,\n\"abc", 3);
    breaks_at("{\"cells\":[1],\n\"cells\":[2]}", 2);
    breaks_at("", 1);
}

/* Cut off or with any byte changed: an error or JSON, never a read beyond the text. */
static void any_text_is_survived(void **state)
{
    static const char text[] = "{\"id\":\"x\\\"\",\"cells\":[1,{\"a\":\"]}\\\\\"},[]],"
                               "\"seed\":1,\"kernels\":{\"k\":[\"\\u0041\"]}}";
    static const char bytes[] = "\"\\[]{}:,\n\0x";
    char other[sizeof text];
    json_error_t where;
    (void)state;
    for (size_t n = 0; n < sizeof text; n++)
        json_decref(load(text, n, &where));
    for (size_t i = 0; i + 1 < sizeof text; i++)
        for (size_t b = 0; b < sizeof bytes; b++) {
            memcpy(other, text, sizeof text);
            other[i] = bytes[b];
            json_decref(load(other, sizeof text - 1, &where));
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_is_migrated),
        cmocka_unit_test(others_databases_are_left_alone),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(a_lock_is_waited_for_and_told),
        cmocka_unit_test(a_journal_is_rolled_back),
        cmocka_unit_test(only_reading_is_possible),
        cmocka_unit_test(what_is_printed),
        cmocka_unit_test(many_rows_are_all_printed),
        cmocka_unit_test(a_name_is_one_thing),
        cmocka_unit_test(large_values_are_left_out),
        cmocka_unit_test(any_text_is_survived),
    };
    version_1 = argc > 1 ? argv[1] : "store_v1.sql";
    return cmocka_run_group_tests(tests, in_a_folder, away);
}
