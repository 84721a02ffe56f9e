/* court.h: the commands `claims`, `claim`, `list claims` and `list experiments`. */
#ifndef NB_COURT_H
#define NB_COURT_H

/* Adds them to the command line; before nb_main. */
void nb_court_register(void);

#endif
