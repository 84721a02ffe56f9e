#include "fleet.h"
#include "cli.h"
#include "store_cli.h"

void nb_fleet_register(void)
{
    nb_cli_add(&nb_db_command);
    nb_cli_add(&nb_history_command);
}
