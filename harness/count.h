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

/* Of `count`, and of what hands them over to it. */
#define NB_COUNT_SELECTION                                                                                   \
    {0, 0, 0, 0, "What is counted (lists are comma-separated; default: the preset \"counts\"):", 1},          \
        NB_OPTION_SELECT("op", NB_KEY_OP, "LIST", "layernorm, rmsnorm"),                                     \
        NB_OPTION_SELECT("algo", NB_KEY_ALGO, "LIST", "twopass, onepass, welford, ...; see `normbench list`"), \
        NB_OPTION_SELECT("isa", NB_KEY_ISA, "LIST", "all, best (that callgrind knows), scalar, avx2, ..."),   \
        NB_OPTION_SELECT("dtype", NB_KEY_DTYPE, "LIST", "f32, f64, f16, bf16"),                              \
        NB_OPTION_SELECT("param-dtype", NB_KEY_PARAM_DTYPE, "LIST", "type of gamma and beta: x or f32"),     \
        NB_OPTION_SELECT("hidden", NB_KEY_HIDDEN, "LIST", "row lengths: 768,4096 or 64:16384:x2"),           \
        NB_OPTION_SELECT("rows", NB_KEY_ROWS, "LIST", "rows; default 9: whole blocks of rows and one left over"), \
        NB_OPTION_SELECT("kernel", NB_KEY_KERNEL, "GLOBS", "kernels by name, e.g. '*welford*__f32_*'"),      \
        NB_OPTION_SELECT("kernels", NB_KEY_KERNELS, "SET", "all, pairings, contenders or headline"),         \
        NB_OPTION_SELECT("offset", NB_KEY_OFFSET, "LIST", "bytes from x to y modulo 4096 (default 2112)"),   \
        NB_OPTION_SELECT("in-place", NB_KEY_IN_PLACE, "WORDS", "yes: y is x; no (default); both"),           \
        NB_OPTION_SELECT("dir", NB_KEY_DIR, "WORDS", "fwd: forward (default); bwd: backward, the gradients"), \
        NB_OPTION_SELECT("fuse", NB_KEY_FUSE, "WORDS", "none (default; deepnorm: postnorm, with --dir bwd residual); residual: the norm of h = x + residual, h written too; postnorm: y alone"), \
        NB_OPTION_SELECT("stats", NB_KEY_STATS, "yes|no", "also store mean and rstd, as training does")
#define NB_COUNT_ROWS 9

#endif
