/* store_cli.h: the commands of the index of runs, with SQLite or without. */
#ifndef NB_STORE_CLI_H
#define NB_STORE_CLI_H

#include "cli.h"

extern const struct nb_command nb_db_command, nb_history_command;

#define NB_DB_HELP                                                                       \
    "  db import|list|sql|schema   an index of runs in SQLite: import, list, sql, "      \
    "schema (docs/store.md)\n"
#define NB_HISTORY_HELP                                                                  \
    "  history        kernels over commits: shares of the roof, speeds over a "          \
    "reference, where they change\n"

#endif
