/* main.c: the program. A program with kernels of its own calls nb_registry_add before nb_main. */
#include "cli.h"
#include "court.h"
#include "fleet.h"
#include "page.h"

int main(int argc, char **argv)
{
    nb_court_register();
    nb_fleet_register();
    nb_page_register();
    return nb_main(argc, argv);
}
