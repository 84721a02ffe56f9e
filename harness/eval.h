/* eval.h: `normbench eval`: kernels on a user's own tensors, judged against the exact result. */
#ifndef NB_EVAL_H
#define NB_EVAL_H

#include "err.h"

NB_USE_RESULT enum nb_status nb_cmd_eval(int argc, char **argv, int *code, struct nb_err *err);

#endif
