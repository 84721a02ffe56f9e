/* pictures.h: pictures of what experiments left in their folders. */
#ifndef NB_PICTURES_H
#define NB_PICTURES_H

#include "hearing.h"

/* For each NAME.dat that a run left in its folder and for which there is a script plots/NAME.gp, draws NAME there. The script is given
 * NAME and TITLE. *count: how many; note: which one could not be drawn and why, or "". */
NB_USE_RESULT enum nb_status nb_hearing_pictures(const struct nb_hearing *h, size_t *count, char note[256], struct nb_err *err);

#endif
