/* tune.h: which variant `auto` runs on this machine, as a file: measured by `normbench tune`, read by --tune FILE
 * or NB_TUNE=FILE (docs/schema.md has its lines). It holds for the CPU that it was measured on.
 *
 * Loaded once a process, before anything is prepared. What was loaded stands in plan.json, so that a resumed run
 * uses the same; workers are told by their command line. */
#ifndef NB_TUNE_H
#define NB_TUNE_H

#include "auto.h"
#include "err.h"
#include "topology.h"

#include <jansson.h>
#include <stdbool.h>

struct nb_tune {
    char cpu[160];    /* "VENDOR family F model M stepping S" */
    char caches[96];  /* "l1d B l2 B l3 B" */
    char isas[160];   /* that could run there; for people */
    char made[200];   /* by which program, when; for people */
    struct nb_auto_choice *choices;
    struct nb_tune_score {
        double share, gain; /* speed over the best variant's and over the default's, least of the cells */
    } *scores;
    size_t count;
};

/* The text of a file; path is for messages. After an error there is nothing to free. */
NB_USE_RESULT enum nb_status nb_tune_parse(struct nb_tune *t, const char *path, const char *text, size_t len,
                                           struct nb_err *err);
void nb_tune_print(const struct nb_tune *t, FILE *f);
void nb_tune_free(struct nb_tune *t);
void nb_tune_add(struct nb_tune *t, struct nb_auto_choice choice, double share, double gain);

/* The lines of the header that say where it was measured, from a run's host.json. */
void nb_tune_machine(struct nb_tune *t, const json_t *host);

/* Tells kernels/auto.h the caches of this host. */
void nb_tune_caches(const struct nb_topology *t);
NB_USE_RESULT enum nb_status nb_tune_here(struct nb_err *err); /* the same, asking hwloc itself */

/* Reads a file, refuses one from another CPU, and lets auto choose by it. */
NB_USE_RESULT enum nb_status nb_tune_load(const char *path, struct nb_err *err);
const char *nb_tune_path(void); /* of what was loaded, absolute; NULL: nothing */

/* "tune" of plan.json, and a run that is continued. */
void nb_tune_to_json(json_t *plan);
NB_USE_RESULT enum nb_status nb_tune_resume(const json_t *plan, const char *dir, struct nb_err *err);

/* HASH:PATH for a worker's command line; NULL: nothing was loaded. And its reader there. */
char *nb_tune_word(void);
NB_USE_RESULT enum nb_status nb_tune_worker(const char *word, struct nb_err *err);

/* `normbench tune`: the table that a run's files give (run with the preset "tune"). */
NB_USE_RESULT enum nb_status nb_tune_derive(const char *dir, struct nb_tune *t, FILE *out, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_tune_write(const struct nb_tune *t, const char *path, struct nb_err *err);

enum { NB_TUNE_MANY = 3 }; /* rows a part: 1 and 2 are ranges of their own, these and more are one */

#endif
