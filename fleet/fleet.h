/* fleet.h: commands over many runs: `db`, `history`, `compare`, `strip` and `cluster`. */
#ifndef NB_FLEET_H
#define NB_FLEET_H

/* Adds them to the command line; before nb_main. */
void nb_fleet_register(void);

#endif
