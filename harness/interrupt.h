/* interrupt.h: Ctrl-C, SIGTERM and SIGHUP as a flag that long jobs look at. */
#ifndef NB_INTERRUPT_H
#define NB_INTERRUPT_H

#include <signal.h>

extern volatile sig_atomic_t nb_interrupted;

/* From now on those three set the flag, and a closed pipe is an error of write alone. */
void nb_catch_signals(void);

#endif
