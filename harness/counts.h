/* counts.h: what callgrind counts of one call of a kernel, its dumps, and the files of `normbench count`
 * (docs/schema.md). All of it is simulated: no time follows from it. */
#ifndef NB_COUNTS_H
#define NB_COUNTS_H

#include "err.h"
#include "topology.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum nb_sim_event {
    NB_SIM_INSTRUCTIONS,
    NB_SIM_READS, /* accesses, not bytes */
    NB_SIM_WRITES,
    NB_SIM_I1_MISSES,
    NB_SIM_D1_READ_MISSES,
    NB_SIM_D1_WRITE_MISSES,
    NB_SIM_LL_CODE_MISSES,
    NB_SIM_LL_READ_MISSES,
    NB_SIM_LL_WRITE_MISSES,
    NB_SIM_EVENTS
};
const char *nb_sim_event_name(enum nb_sim_event e);

struct nb_counts {
    uint64_t of[NB_SIM_EVENTS];
};

/* The machine that is simulated, the same on every host: caches as bytes,ways,line in callgrind's words, and
 * as a topology (one core), by which `auto` chooses. */
#define NB_SIMULATED_I1 "32768,8,64"
#define NB_SIMULATED_D1 "32768,8,64"
#define NB_SIMULATED_LL "8388608,16,64"
struct nb_topology nb_simulated_topology(void);

/* The totals of a dump that was asked for under this tag. */
NB_USE_RESULT enum nb_status nb_counts_parse(const char *dump, const char *tag, struct nb_counts *c,
                                             struct nb_err *err);

/* Takes away what a call costs that does nothing: instructions, reads and writes. False: there is more of that
 * than of the whole. */
bool nb_counts_subtract(struct nb_counts *c, const struct nb_counts *nothing);

/* One row of counts.json: "cell", "kernel", ..., a number an event, or null where "reason" is no null. */
void nb_counts_put(json_t *row, const struct nb_counts *c, const char *reason); /* c NULL: not counted */
bool nb_counts_get(const json_t *row, struct nb_counts *c);                     /* false: not counted */

/* The head of counts.json, with an empty array "counts". */
enum { NB_COUNTS_FORMAT = 1 };
json_t *nb_counts_head(const char *valgrind);

void nb_counts_write_json(const json_t *counts, FILE *f);
void nb_counts_write_csv(const json_t *counts, FILE *f);
void nb_counts_write_table(const json_t *counts, FILE *f);

/* counts.json of this format; path is for messages. */
NB_USE_RESULT enum nb_status nb_counts_load(const char *path, json_t **counts, struct nb_err *err);

#endif
