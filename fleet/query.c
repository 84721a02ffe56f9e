#include "query.h"
#include "interrupt.h"

#include <string.h>
#include <strings.h>
#include <time.h>

enum { LENGTH_MOST = 1 << 24, HEAP_MOST = 1 << 30, STEPS = 10000 };

/* What a statement may do, and what stopped it. */
struct guard {
    const char *refused;
    double until_s;
    bool late;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool harmless(const char *function)
{
    static const char *const no[] = {"load_extension", "fts3_tokenizer", "readfile",
                                     "writefile",      "edit",           "sqlite_log"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (function == NULL || strcasecmp(function, no[i]) == 0)
            return false;
    return true;
}

static const char *word_of(int action)
{
    return action == SQLITE_ATTACH        ? "ATTACH"
           : action == SQLITE_DETACH      ? "DETACH"
           : action == SQLITE_PRAGMA      ? "PRAGMA"
           : action == SQLITE_FUNCTION    ? "that function"
           : action == SQLITE_TRANSACTION ? "BEGIN, COMMIT and ROLLBACK"
                                          : "a statement that writes";
}

static int authorize(void *context, int action, const char *a, const char *b,
                     const char *database, const char *trigger)
{
    struct guard *g = context;
    (void)a, (void)database, (void)trigger;
    if (action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE ||
        (action == SQLITE_FUNCTION && harmless(b)))
        return SQLITE_OK;
    if (g->refused == NULL)
        g->refused = word_of(action);
    return SQLITE_DENY;
}

static int look_at_clock(void *context)
{
    struct guard *g = context;
    g->late = now() > g->until_s;
    return g->late || nb_interrupted;
}

static enum nb_status explain(struct nb_db *db, const struct guard *g, double seconds,
                              struct nb_err *err)
{
    if (nb_interrupted)
        return nb_fail(err, "interrupted"), NB_INTERRUPTED;
    if (g->late)
        return nb_fail(err, "stopped after %g s; --timeout gives it more time", seconds);
    if (g->refused != NULL)
        return nb_fail(err, "%s: refused; the index is only read here, with SELECT",
                       g->refused);
    if (sqlite3_errcode(db->sql) == SQLITE_ERROR)
        return nb_fail(err,
                       "%.500s; `normbench db schema` shows the tables and their columns",
                       sqlite3_errmsg(db->sql));
    return nb_db_fail(db, err);
}

/* NULL: an error. Comments and semicolons may follow, a second statement may not. */
static sqlite3_stmt *prepare_one(struct nb_db *db, const char *sql, struct guard *g,
                                 double seconds, struct nb_err *err)
{
    sqlite3_stmt *s = NULL, *more = NULL;
    const char *rest = sql;
    if (sqlite3_prepare_v2(db->sql, sql, -1, &s, &rest) != SQLITE_OK) {
        (void)explain(db, g, seconds, err);
        return NULL;
    }
    if (s == NULL) {
        (void)nb_fail(err, "there is no statement; try \"SELECT * FROM run\"");
        return NULL;
    }
    int rc = SQLITE_OK;
    while (*rest && rc == SQLITE_OK && more == NULL)
        rc = sqlite3_prepare_v2(db->sql, rest, -1, &more, &rest);
    const bool alone = rc == SQLITE_OK && more == NULL;
    sqlite3_finalize(more);
    if (alone && sqlite3_stmt_readonly(s) && sqlite3_column_count(s) > 0)
        return s;
    sqlite3_finalize(s);
    (void)nb_fail(err, alone ? "only SELECT is possible here"
                             : "more than one statement; give one SELECT");
    return NULL;
}

enum nb_status nb_query_run(FILE *f, struct nb_db *db, const char *sql, double seconds,
                            enum nb_table_form form, struct nb_err *err)
{
    struct guard g = {.until_s = now() + seconds};
    sqlite3_hard_heap_limit64(HEAP_MOST);
    sqlite3_limit(db->sql, SQLITE_LIMIT_LENGTH, LENGTH_MOST);
    sqlite3_limit(db->sql, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_set_authorizer(db->sql, authorize, &g);
    sqlite3_progress_handler(db->sql, STEPS, look_at_clock, &g);
    sqlite3_stmt *s = prepare_one(db, sql, &g, seconds, err);
    if (s == NULL)
        return NB_ERROR;
    enum nb_status status = nb_query_print(f, db, s, form, err);
    if (status != NB_OK && (g.late || nb_interrupted || db->failed))
        status = explain(db, &g, seconds, err);
    sqlite3_finalize(s);
    return status;
}
