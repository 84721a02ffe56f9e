/* strip_files.h: the raw files of a run without what identifies whose it was: pure
 * functions from text to text. */
#ifndef NB_STRIP_FILES_H
#define NB_STRIP_FILES_H

#include "err.h"
#include "strip_names.h"

#include <stddef.h>
#include <stdio.h>

enum { NB_RAW_FILES = 4, NB_STRIP_SHOWN = 12 };
extern const char *const
    nb_raw_file[NB_RAW_FILES]; /* host.json, plan.json, checks.jsonl, samples.jsonl */

struct nb_change_shown {
    const char *file;
    char *before, *after;
};

struct nb_stripped {
    char *text[NB_RAW_FILES];
    size_t length[NB_RAW_FILES], was[NB_RAW_FILES];
    struct nb_change_shown shown[NB_STRIP_SHOWN]; /* texts that were changed, each once */
    size_t nshown, changed;                       /* changed: all of them */
    char *host; /* what was removed from host.json; NULL: it had none */
};

/* Reads the raw files of DIR and strips them; learns names on the way. A file that is
 * missing, broken or names a key twice is an error. */
NB_USE_RESULT enum nb_status nb_strip_files(const char *dir, struct nb_names *names,
                                            struct nb_stripped *s, struct nb_err *err);
void nb_stripped_free(struct nb_stripped *s);

/* README.md of a stripped run: facts from its files alone. */
NB_USE_RESULT enum nb_status nb_strip_readme(const char *dir, struct nb_err *err);

#endif
