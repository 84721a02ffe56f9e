/* cli.h: the command line. Only here is anything printed about errors, and its result is the exit code. */
#ifndef NB_CLI_H
#define NB_CLI_H

#include "err.h"

#include <stdbool.h>

/* A command that does not belong to the harness. */
struct nb_command {
    const char *name;  /* "claims"; "list claims" is for that word behind `list` */
    const char *help;  /* its line in the program's help, with its newline; "": none */
    bool measures;     /* refused where OpenMP has bound this process, as `run` is */
    enum nb_status (*run)(int argc, char **argv, int *code, struct nb_err *err); /* argv[1] is its (first) word */
};

/* Before nb_main; c must outlive it. */
void nb_cli_add(const struct nb_command *c);

/* Are these words, argv[2] and on, options of `normbench run` with values that it takes? Nothing is looked for on this machine. An
 * option that does not exist ends the program with exit code 1, as it would end `run`. */
NB_USE_RESULT enum nb_status nb_cli_check_run(int argc, char **argv, struct nb_err *err);

int nb_main(int argc, char **argv);

#endif
