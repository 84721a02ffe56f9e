#include "fleet.h"
#include "cli.h"
#include "store_cli.h"

extern const struct nb_command nb_cluster_command, nb_compare_command, nb_strip_command;

void nb_fleet_register(void)
{
    const struct nb_command *const commands[] = {&nb_compare_command, &nb_db_command, &nb_history_command, &nb_cluster_command,
                                                 &nb_strip_command};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        nb_cli_add(commands[i]);
}
