/* count.h: `normbench count`: what kernels execute, counted by callgrind. No time enters it: two runs of one build
 * give the same bytes. */
#ifndef NB_COUNT_H
#define NB_COUNT_H

#include "select.h"

struct nb_count_options {
    struct nb_preset preset;
    const char *out;  /* NAME.json or NAME.csv; NULL: the table alone */
    bool json, quiet; /* counts.json to stdout in place of the table; neither table nor progress */
    double timeout_s; /* of a kernel without progress */
};

/* Checks the selected kernels, and counts those that pass. *exit_code: 2 where one failed or crashed. */
NB_USE_RESULT enum nb_status nb_count(struct nb_count_options *o, int *exit_code, struct nb_err *err);

/* The command: its options are the selection of `normbench run`. */
NB_USE_RESULT enum nb_status nb_cmd_count(int argc, char **argv, int *exit_code, struct nb_err *err);

#define NB_COUNT_ROWS 9

#endif
