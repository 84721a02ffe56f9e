/* ask.h: a claim that is put on the command line. */
#ifndef NB_ASK_H
#define NB_ASK_H

#include "claims.h"

/* Makes a claim of one test from a text: its quantity names the experiment, its arguments and those terms of the form key=value
 * whose key is a parameter set the parameters, so that only what is asked is run. The claim has id "ask" and the text as its title
 * and statement. After an error there is nothing to free. */
NB_USE_RESULT enum nb_status nb_ask(struct nb_claim *c, const char *text, struct nb_err *err);

#endif
