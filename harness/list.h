/* list.h: `normbench list`. */
#ifndef NB_LIST_H
#define NB_LIST_H

#include "err.h"

/* argv[0] is "list". */
NB_USE_RESULT enum nb_status nb_list(int argc, char **argv, int *exit_code, struct nb_err *err);

#endif
