/* In place of db_cli.c and history_cli.c where SQLite was not found. */
#include "store_cli.h"

static enum nb_status refuse(int argc, char **argv, int *code, struct nb_err *err)
{
    (void)argc, (void)code;
    return nb_fail(err,
                   "`%s` needs SQLite, which was not there when this program was built: "
                   "apt-get install libsqlite3-dev, then build again",
                   argv[1]);
}

const struct nb_command nb_db_command = {"db", NB_DB_HELP, false, refuse};
const struct nb_command nb_history_command = {"history", NB_HISTORY_HELP, false, refuse};
