#include "fleet.h"
#include "cli.h"

extern const struct nb_command nb_compare_command;
extern const struct nb_command nb_strip_command;

void nb_fleet_register(void)
{
    nb_cli_add(&nb_compare_command);
    nb_cli_add(&nb_strip_command);
}
