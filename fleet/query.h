/* query.h: a statement of a user on the index, which can read and do nothing else. */
#ifndef NB_QUERY_H
#define NB_QUERY_H

#include "db.h"

enum nb_table_form { NB_TABLE_ALIGNED, NB_TABLE_CSV, NB_TABLE_JSON };

/* Prints the rows of a statement (docs/store.md, "What is printed"). */
NB_USE_RESULT enum nb_status nb_query_print(FILE *f, struct nb_db *db, sqlite3_stmt *s,
                                            enum nb_table_form form, struct nb_err *err);

/* One SELECT, which may take seconds at most; whatever else SQL can do is refused. */
NB_USE_RESULT enum nb_status nb_query_run(FILE *f, struct nb_db *db, const char *sql,
                                          double seconds, enum nb_table_form form,
                                          struct nb_err *err);

#endif
