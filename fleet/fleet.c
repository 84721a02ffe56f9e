#include "fleet.h"
#include "cli.h"

void nb_fleet_register(void)
{
}
