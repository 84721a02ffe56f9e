/* dictionary.h: tables of the index that give what has a name a number. */
#ifndef NB_DICTIONARY_H
#define NB_DICTIONARY_H

#include "db.h"

#include <stdint.h>

enum { NB_FACTS_MAX = 15 };

/* A table with columns id, name, and facts as texts. The first `fixed` facts belong to
 * the name: where they are known here and there, they must agree. */
struct nb_dictionary {
    const char *table;
    const char *columns[NB_FACTS_MAX + 1]; /* end with NULL */
    size_t fixed;
    sqlite3_stmt *find, *insert, *complete;
    struct nb_dictionary_seen
        *seen; /* what was asked for, so that it is not looked up again */
    size_t seen_count;
};

NB_USE_RESULT enum nb_status nb_dictionary_open(struct nb_dictionary *d, struct nb_db *db,
                                                struct nb_err *err);
void nb_dictionary_close(struct nb_dictionary *d);
/* After a rollback, which may have taken entries back. */
void nb_dictionary_forget(struct nb_dictionary *d);

/* The number of a name, which is entered where it is new. facts: a text for each column;
 * NULL: not known. Facts that were not known are completed. */
NB_USE_RESULT enum nb_status nb_dictionary_id(struct nb_dictionary *d, struct nb_db *db,
                                              const char *name, const char *const *facts,
                                              int64_t *id, struct nb_err *err);

#endif
