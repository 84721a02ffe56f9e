/* explain.h: `normbench explain KERNEL`: what one kernel is. */
#ifndef NB_EXPLAIN_H
#define NB_EXPLAIN_H

#include "err.h"

NB_USE_RESULT enum nb_status nb_cmd_explain(int argc, char **argv, int *exit_code,
                                            struct nb_err *err);

#endif
