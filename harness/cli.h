/* cli.h: the command line. Only here is anything printed about errors, and its result is the exit code. */
#ifndef NB_CLI_H
#define NB_CLI_H

int nb_main(int argc, char **argv);

#endif
