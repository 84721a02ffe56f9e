/* measure.h: one unit of work: all groups of a cell in one process. */
#ifndef NB_MEASURE_H
#define NB_MEASURE_H

#include "plan.h"

#include <jansson.h>

/* What a worker reports; each call is one line of samples.jsonl. */
typedef void (*nb_emit)(void *context, json_t *line); /* takes the reference */

/* Told before a kernel runs, so that an orchestrator knows whom to blame. */
typedef void (*nb_at_kernel)(void *context, const char *kernel);

struct nb_worker_env {
    const struct nb_topology *topology;
    uint64_t seed;
    nb_emit emit;
    nb_at_kernel at;
    void *context;
    bool (*turn)(void *context); /* waits until this worker may run its next rounds; false: it is to end */
};

struct nb_unit {
    const struct nb_cell *cell;
    unsigned process, attempt, rounds;
    bool screening; /* leaves out groups that hold screened winners */
    bool counters;  /* counts events in passes of its own after the rounds */
    const char *memory; /* NULL, or a file whose pages its tensors are, as those of other builds' workers */
    unsigned turns; /* waits for its turn before every so many rounds, since workers of other builds run between; 0:
                     * it waits for nobody */
    const json_t *hashes; /* kernel: hash of its checked output; others are not run */
};

/* Windows of a DRAM or cold cell. Pass i works on window i mod count; x (and dy or residual) of a window begin step
 * bytes, whole cache lines, behind those of the one before, y (dx; h) step_out bytes. Together they are at least 4 times the last
 * level its threads reach (x twice, y twice), however few bytes a pass touches; one window where its
 * rows alone are. */
struct nb_windows {
    size_t count, step, step_out;
};
struct nb_windows nb_measure_windows(const struct nb_cell *cell, const struct nb_topology *t);

NB_USE_RESULT enum nb_status nb_measure_unit(const struct nb_worker_env *env,
                                             const struct nb_unit *unit, struct nb_err *err);

/* ns of a pass for each kernel named in hashes; emits one line {"type":"calibration", ...}. */
NB_USE_RESULT enum nb_status nb_measure_calibrate(const struct nb_worker_env *env,
                                                  const struct nb_unit *unit, struct nb_err *err);

#endif
