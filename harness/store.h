/* store.h: the raw files of a run. A line that was written stays, whatever happens next. */
#ifndef NB_STORE_H
#define NB_STORE_H

#include "err.h"

#include <jansson.h>

struct nb_store {
    char dir[4096];
    int checks, samples; /* append-only files */
};

/* Makes the folder (its parent must exist or be "results"); an existing one is an error. dir NULL: a new
 * name under results/. Until it is closed no other process can create or reopen this run. */
NB_USE_RESULT enum nb_status nb_store_create(struct nb_store *s, const char *dir, const char *host,
                                             const char *id, struct nb_err *err);
/* Opens a run for more lines and changes nothing yet. One that another process writes is an error. */
NB_USE_RESULT enum nb_status nb_store_reopen(struct nb_store *s, const char *dir,
                                             struct nb_err *err);
/* Removes a line that was cut off from the end of each file. */
NB_USE_RESULT enum nb_status nb_store_cut(const struct nb_store *s, struct nb_err *err);
void nb_store_close(struct nb_store *s);

/* Replaces DIR/name at once (written beside it and renamed). */
NB_USE_RESULT enum nb_status nb_store_json(const struct nb_store *s, const char *name,
                                           const json_t *json, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_store_line(const struct nb_store *s, int fd, const json_t *line,
                                           struct nb_err *err);

/* Calls take(context, line) for each line of DIR/name; a cut-off last line is ignored. */
NB_USE_RESULT enum nb_status nb_store_each(const char *dir, const char *name,
                                           void (*take)(void *context, const json_t *line),
                                           void *context, struct nb_err *err);

#endif
