/* court.h: the commands `claims`, `claim`, `list claims` and `list experiments`. */
#ifndef NB_COURT_H
#define NB_COURT_H

/* Adds them to the command line, and the experiments that need the harness to those that claims may name; before nb_main. */
void nb_court_register(void);

#endif
