/* poster.h: one picture that answers what is asked first: how much time does RMSNorm save over LayerNorm here? */
#ifndef NB_POSTER_H
#define NB_POSTER_H

#include "hearing.h"

/* From the saved_time of op_speed and block_speed of a hearing, whichever of the two was run: DIR/plots/claims_poster. *drawn: there was
 * something to draw; note: what kept gnuplot from drawing, or "". */
NB_USE_RESULT enum nb_status nb_poster(const struct nb_hearing *h, const char *cpu, bool *drawn, char note[256], struct nb_err *err);

#endif
