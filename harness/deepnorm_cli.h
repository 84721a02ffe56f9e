/* deepnorm_cli.h: `normbench deepnorm`: the constants of DeepNorm by architecture and depth. */
#ifndef NB_DEEPNORM_CLI_H
#define NB_DEEPNORM_CLI_H

#include "err.h"

NB_USE_RESULT enum nb_status nb_cmd_deepnorm(int argc, char **argv, int *exit_code,
                                             struct nb_err *err);

#endif
