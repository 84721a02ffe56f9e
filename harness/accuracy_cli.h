/* accuracy_cli.h: options of `normbench accuracy`. */
#ifndef NB_ACCURACY_CLI_H
#define NB_ACCURACY_CLI_H

#include "err.h"

NB_USE_RESULT enum nb_status nb_cmd_accuracy(int argc, char **argv, int *code, struct nb_err *err);

#endif
