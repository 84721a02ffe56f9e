/* db.h: the index of runs, an SQLite database (docs/store.md). It is derived: all of it
 * can be made again from run folders. */
#ifndef NB_DB_H
#define NB_DB_H

#include "err.h"

#include <sqlite3.h>
#include <stdbool.h>

enum { NB_DB_VERSION = 2, NB_DB_WAIT_MS = 5000 };
#define NB_DB_DEFAULT "results/normbench.sqlite"

extern const char *const nb_db_steps[NB_DB_VERSION];

struct nb_db {
    sqlite3 *sql;
    const char *path;
    int wait_ms; /* for another program to end what it does to the file */
    bool failed; /* SQLite reported an error: not what was imported is wrong */
};

enum nb_db_mode { NB_DB_READ, NB_DB_WRITE };

/* Opens an index; to be written it is made where there is none. One of an older version
 * becomes one of this version, one of a newer version is refused, and so is the database
 * of another program. path must outlive db. On error there is nothing to close. */
NB_USE_RESULT enum nb_status nb_db_open(struct nb_db *db, const char *path,
                                        enum nb_db_mode mode, int wait_ms,
                                        struct nb_err *err);
void nb_db_close(struct nb_db *db);

/* The last error of SQLite, in words that say what to do. */
enum nb_status nb_db_fail(struct nb_db *db, struct nb_err *err);

/* Statements without parameters and rows. */
NB_USE_RESULT enum nb_status nb_db_exec(struct nb_db *db, const char *sql,
                                        struct nb_err *err);
/* NULL on error. To be finalized. */
sqlite3_stmt *nb_db_prepare(struct nb_db *db, const char *sql, struct nb_err *err);

/* Binds parameters 1, 2, ... by one letter each: i: int64_t, n: int64_t of which 0 is
 * null, d: double of which NAN is null, s: const char * that stays while the statement is
 * used, or NULL. */
void nb_db_bind(sqlite3_stmt *s, const char *types, ...);
/* Steps to the next row; the statement is reset where there is none, or on error. */
NB_USE_RESULT enum nb_status nb_db_step(struct nb_db *db, sqlite3_stmt *s, bool *row,
                                        struct nb_err *err);
/* A statement that gives no rows. */
NB_USE_RESULT enum nb_status nb_db_run(struct nb_db *db, sqlite3_stmt *s,
                                       struct nb_err *err);

/* The statements that make an index of this version, with a sentence for each column. */
NB_USE_RESULT enum nb_status nb_db_schema(FILE *f, struct nb_err *err);

#endif
