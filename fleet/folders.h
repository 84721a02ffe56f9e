/* folders.h: which run folders are meant by the folders that somebody names. */
#ifndef NB_FOLDERS_H
#define NB_FOLDERS_H

#include "err.h"

#include <stddef.h>

enum { NB_FOLDERS_DEPTH = 4 };

struct nb_folders {
    char **v;
    size_t n, room;
};

/* A folder that holds a plan.json is a run folder. Any other stands for the run folders
 * below it, at most NB_FOLDERS_DEPTH levels down, in the order of their names; hidden
 * folders and links are passed over, and nothing is looked for inside a run. Appends to
 * f, which begins as {0}; an error where there is none. */
NB_USE_RESULT enum nb_status nb_folders_add(struct nb_folders *f, const char *path,
                                            struct nb_err *err);
void nb_folders_free(struct nb_folders *f);

#endif
