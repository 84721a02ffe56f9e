/* gate_arm.h: one build in a gate, driven as a worker: greeted, asked for its kernels, checked, timed.
 *
 * The builds share nothing but the line protocol (worker.h): each allocates, checks and measures with its own
 * code, and is told the same cells, counts and seeds. */
#ifndef NB_GATE_ARM_H
#define NB_GATE_ARM_H

#include "client.h"
#include "foreign.h"
#include "plan.h"

#include <signal.h>

struct nb_arm {
    const char *label;  /* "base", "head", ...: for messages */
    struct nb_program program;
    char *words[NB_FOREIGN_WORDS];
    char plugin_word[4200];
    json_t *names;      /* kernel: true */
    json_t *verdicts;   /* cell: {kernel: "PASS", ...} */
    json_t *reasons;    /* cell: {kernel: why it did not pass} */
    json_t *hashes;     /* cell: {kernel: hash of the checked output} */
    json_t *version;    /* what `--version` prints */
    int stream_fd;      /* in which its workers keep the stream of inputs; -1: none does */
    struct nb_client client;
    double timeout_s;
    uint64_t seed;
    const volatile sig_atomic_t *interrupted;
};

/* path: the build; plugin: NULL, or a plugin that it loads. Asks for its version, its kernels and the protocol
 * that it speaks: errors name what is wrong with the file. */
NB_USE_RESULT enum nb_status nb_arm_open(struct nb_arm *arm, const char *label, const char *path,
                                         const char *plugin, uint64_t seed, struct nb_err *err);
void nb_arm_close(struct nb_arm *arm);

/* Fills verdicts, reasons and hashes of the kernels of a cell that this build has. */
NB_USE_RESULT enum nb_status nb_arm_check(struct nb_arm *arm, const struct nb_cell *cell,
                                          const struct nb_settings *settings, struct nb_err *err);

/* ns of one pass of each kernel of the cell; 0: not timed. */
NB_USE_RESULT enum nb_status nb_arm_calibrate(struct nb_arm *arm, const struct nb_cell *cell,
                                              const struct nb_settings *settings, double *pass_ns,
                                              struct nb_err *err);

enum nb_arm_outcome {
    NB_ARM_READY,     /* for its next turn */
    NB_ARM_DONE,
    NB_ARM_DISCARDED, /* memory or an output changed: the last line names whom it mistrusts */
    NB_ARM_DIED,      /* crashed or hung: kernel and how tell */
    NB_ARM_KILLED,    /* from outside */
    NB_ARM_ERROR      /* err tells */
};
struct nb_arm_unit {
    const json_t *cell;  /* as nb_cell_to_json gives it */
    unsigned process, rounds;
    const char *memory; /* that all builds share; NULL: each its own */
    unsigned turns; /* the worker waits after so many rounds; 0 (older protocols): each round is a unit of its own */
    void (*take)(void *context, const json_t *line); /* round lines, and the last one */
    void *context;
    unsigned taken;      /* rounds so far, of a worker that takes no turns */
    char kernel[192], how[160];
};
/* A process, if none runs, and does not wait for it: several become ready at the same time. */
NB_USE_RESULT enum nb_status nb_arm_start(struct nb_arm *arm, struct nb_err *err);

/* Sets up one cell in the worker that runs, or in a fresh one; then each turn is `turns` rounds of one group (one of
 * all groups where the worker takes no turns). */
NB_USE_RESULT enum nb_arm_outcome nb_arm_begin(struct nb_arm *arm, struct nb_arm_unit *unit, struct nb_err *err);
NB_USE_RESULT enum nb_arm_outcome nb_arm_turn(struct nb_arm *arm, struct nb_arm_unit *unit, struct nb_err *err);

/* The next unit gets a fresh process. by_force: whatever this one is doing. */
void nb_arm_end_process(struct nb_arm *arm, bool by_force);

#endif
