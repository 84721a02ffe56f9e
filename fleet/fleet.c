#include "fleet.h"
#include "cli.h"

extern const struct nb_command nb_cluster_command;

void nb_fleet_register(void)
{
    nb_cli_add(&nb_cluster_command);
}
