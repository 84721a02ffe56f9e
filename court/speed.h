/* speed.h: experiments that need the harness: timed norms, counted instructions. */
#ifndef NB_COURT_SPEED_H
#define NB_COURT_SPEED_H

#include "experiment.h"

extern const struct nb_experiment nb_experiment_op_speed;     /* speed.c */
extern const struct nb_experiment nb_experiment_instructions; /* instructions.c */

/* What op_speed gives itself for a trial that has no budget. */
NB_USE_RESULT enum nb_status nb_op_speed_seconds(const struct nb_trial *t, double *seconds, struct nb_err *err);

#endif
