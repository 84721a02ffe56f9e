#include "db.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { APPLICATION = 0x6e626462 }; /* "nbdb": marks the file as ours */

static const char AGAIN[] =
    "it holds nothing that the run folders do not: delete it and make it again with "
    "`normbench db import results`";

enum nb_status nb_db_fail(struct nb_db *db, struct nb_err *err)
{
    const char *said = sqlite3_errmsg(db->sql);
    db->failed = true;
    switch (sqlite3_errcode(db->sql)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return nb_fail(err,
                       "%.400s is locked: another program is using it; waited %d ms. Try "
                       "again when that has ended",
                       db->path, db->wait_ms);
    case SQLITE_CORRUPT:
        return nb_fail(err, "%.400s is damaged (%.200s); %s", db->path, said, AGAIN);
    case SQLITE_NOTADB:
        return nb_fail(
            err,
            "%.400s is no SQLite database; name another file with --db. Was it an "
            "index of runs? Then %s",
            db->path, AGAIN);
    case SQLITE_FULL:
        return nb_fail(err, "%.400s: the disk is full; what was imported before is kept",
                       db->path);
    case SQLITE_IOERR:
        return nb_fail(err, "%.400s: %.200s; has the disk room, and may a file be so large?",
                       db->path, said);
    default:
        return nb_fail(err, "%.400s: %.400s", db->path, said);
    }
}

/* ---- statements ---- */

enum nb_status nb_db_exec(struct nb_db *db, const char *sql, struct nb_err *err)
{
    return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK
               ? NB_OK
               : nb_db_fail(db, err);
}

sqlite3_stmt *nb_db_prepare(struct nb_db *db, const char *sql, struct nb_err *err)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL) != SQLITE_OK)
        (void)nb_db_fail(db, err);
    return s;
}

static int bind(sqlite3_stmt *s, int i, char type, va_list *args)
{
    if (type == 's') {
        const char *text = va_arg(*args, const char *);
        return sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC); /* NULL is null */
    }
    if (type == 'd') {
        const double v = va_arg(*args, double);
        return isnan(v) ? sqlite3_bind_null(s, i) : sqlite3_bind_double(s, i, v);
    }
    const int64_t v = va_arg(*args, int64_t);
    NB_ASSERT(type == 'i' || type == 'n');
    return type == 'n' && v == 0 ? sqlite3_bind_null(s, i) : sqlite3_bind_int64(s, i, v);
}

void nb_db_bind(sqlite3_stmt *s, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    for (int i = 0; types[i]; i++) {
        const int rc = bind(s, i + 1, types[i], &args);
        NB_ASSERT(rc == SQLITE_OK && "a parameter does not fit its statement");
    }
    va_end(args);
}

enum nb_status nb_db_step(struct nb_db *db, sqlite3_stmt *s, bool *row,
                          struct nb_err *err)
{
    const int rc = sqlite3_step(s);
    *row = rc == SQLITE_ROW;
    if (*row)
        return NB_OK;
    enum nb_status status = rc == SQLITE_DONE ? NB_OK : nb_db_fail(db, err);
    sqlite3_reset(s);
    return status;
}

enum nb_status nb_db_run(struct nb_db *db, sqlite3_stmt *s, struct nb_err *err)
{
    bool row;
    enum nb_status status = nb_db_step(db, s, &row, err);
    NB_ASSERT(!row);
    return status;
}

/* ---- versions ---- */

/* Of an index: its version. */
struct marks {
    int64_t application, version, tables;
};

static enum nb_status read_marks(struct nb_db *db, struct marks *m, struct nb_err *err)
{
    static const char *const sql[] = {"PRAGMA application_id", "PRAGMA user_version",
                                      "SELECT count(*) FROM sqlite_master"};
    int64_t *const to[] = {&m->application, &m->version, &m->tables};
    enum nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < 3; i++) {
        bool row = false;
        sqlite3_stmt *s = nb_db_prepare(db, sql[i], err);
        status = s ? nb_db_step(db, s, &row, err) : NB_ERROR;
        if (row)
            *to[i] = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
    }
    return status;
}

static bool is_new(const struct marks *m)
{
    return m->application == 0 && m->version == 0 && m->tables == 0;
}

static enum nb_status judge(const struct nb_db *db, const struct marks *m,
                            struct nb_err *err)
{
    if (is_new(m))
        return NB_OK;
    if (m->application != APPLICATION || m->version < 1)
        return nb_fail(
            err, "%.400s is a database of another program; name another file with --db",
            db->path);
    if (m->version > NB_DB_VERSION)
        return nb_fail(err,
                       "%.400s has version %" PRId64
                       ", this program knows up to %d: use a newer normbench, or another "
                       "file (--db)",
                       db->path, m->version, NB_DB_VERSION);
    return NB_OK;
}

static enum nb_status take_steps(struct nb_db *db, int64_t from, struct nb_err *err)
{
    char marks[100];
    enum nb_status status = NB_OK;
    for (int64_t v = from; status == NB_OK && v < NB_DB_VERSION; v++)
        status = nb_db_exec(db, nb_db_steps[v], err);
    snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION, NB_DB_VERSION);
    return status == NB_OK ? nb_db_exec(db, marks, err) : status;
}

/* All steps in one transaction: a kill leaves the version that was. */
static enum nb_status bring_up(struct nb_db *db, struct nb_err *err)
{
    struct marks m = {0};
    enum nb_status status = nb_db_exec(db, "BEGIN IMMEDIATE", err);
    if (status != NB_OK)
        return status;
    status = read_marks(db, &m, err); /* again: another program may have done it */
    if (status == NB_OK)
        status = judge(db, &m, err);
    if (status == NB_OK)
        status = take_steps(db, m.version, err);
    if (status == NB_OK)
        return nb_db_exec(db, "COMMIT", err);
    (void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- opening ---- */

static enum nb_status attach(struct nb_db *db, int flags, struct nb_err *err)
{
    if (sqlite3_open_v2(db->path, &db->sql, flags, NULL) != SQLITE_OK) {
        const int sys = sqlite3_system_errno(db->sql);
        enum nb_status status =
            nb_fail(err, "%.400s: %.200s%s%s", db->path, sqlite3_errmsg(db->sql),
                    sys ? ": " : "", sys ? strerror(sys) : "");
        nb_db_close(db);
        return status;
    }
    sqlite3_extended_result_codes(db->sql, 0);
    sqlite3_busy_timeout(db->sql, db->wait_ms);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return NB_OK;
}

static enum nb_status open_to_write(struct nb_db *db, struct nb_err *err)
{
    struct marks m = {0};
    enum nb_status status = attach(db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (status != NB_OK)
        return status;
    status = nb_db_exec(db, "PRAGMA cache_size = -65536", err);
    if (status == NB_OK)
        status = read_marks(db, &m, err);
    if (status == NB_OK)
        status = judge(db, &m, err);
    if (status == NB_OK && m.version < NB_DB_VERSION)
        status = bring_up(db, err);
    if (status != NB_OK)
        nb_db_close(db);
    return status;
}

/* What a writer that was killed left behind is undone, and an older version is brought
 * up: either takes a connection that may write. */
static enum nb_status mend(struct nb_db *db, struct nb_err *err)
{
    nb_db_close(db);
    enum nb_status status = open_to_write(db, err);
    if (status != NB_OK)
        return status;
    nb_db_close(db);
    return attach(db, SQLITE_OPEN_READONLY, err);
}

static enum nb_status open_to_read(struct nb_db *db, struct nb_err *err)
{
    struct marks m = {0};
    if (access(db->path, F_OK) != 0)
        return nb_fail(
            err, "%.400s: %s; `normbench db import DIR...` makes it from run folders",
            db->path, strerror(errno));
    enum nb_status status = attach(db, SQLITE_OPEN_READONLY, err);
    if (status != NB_OK)
        return status;
    status = read_marks(db, &m, err);
    if (status != NB_OK &&
        sqlite3_extended_errcode(db->sql) == SQLITE_READONLY_ROLLBACK) {
        status = mend(db, err);
        if (status == NB_OK)
            status = read_marks(db, &m, err);
    }
    if (status == NB_OK)
        status = judge(db, &m, err);
    if (status == NB_OK && is_new(&m))
        status = nb_fail(err, "%.400s is empty; `normbench db import DIR...` fills it",
                         db->path);
    else if (status == NB_OK && m.version < NB_DB_VERSION)
        status = mend(db, err);
    if (status != NB_OK)
        nb_db_close(db);
    else
        db->failed = false;
    return status;
}

enum nb_status nb_db_open(struct nb_db *db, const char *path, enum nb_db_mode mode,
                          int wait_ms, struct nb_err *err)
{
    *db = (struct nb_db){.path = path, .wait_ms = wait_ms};
    return mode == NB_DB_WRITE ? open_to_write(db, err) : open_to_read(db, err);
}

void nb_db_close(struct nb_db *db)
{
    sqlite3_close(db->sql);
    db->sql = NULL;
}

/* ---- schema ---- */

enum nb_status nb_db_schema(FILE *f, struct nb_err *err)
{
    struct nb_db db;
    bool row = false;
    enum nb_status status = nb_db_open(&db, ":memory:", NB_DB_WRITE, 0, err);
    if (status != NB_OK)
        return status;
    sqlite3_stmt *s = nb_db_prepare(
        &db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid", err);
    status = s ? nb_db_step(&db, s, &row, err) : NB_ERROR;
    while (status == NB_OK && row) {
        fprintf(f, "%s;\n", (const char *)sqlite3_column_text(s, 0));
        status = nb_db_step(&db, s, &row, err);
    }
    sqlite3_finalize(s);
    nb_db_close(&db);
    return status;
}
