/* accuracy_cli.h: options of `normbench accuracy`. */
#ifndef NB_ACCURACY_CLI_H
#define NB_ACCURACY_CLI_H

#include "err.h"

#include <stdint.h>

/* Options that eval shares. */
NB_USE_RESULT enum nb_status nb_parse_eps(const char *text, double *eps, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_parse_policies(const char *eps_mode, const char *order,
                                               uint32_t *mode_value, uint32_t *order_value,
                                               struct nb_err *err);

NB_USE_RESULT enum nb_status nb_cmd_accuracy(int argc, char **argv, int *code, struct nb_err *err);

#endif
