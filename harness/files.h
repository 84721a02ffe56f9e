/* files.h: derived files. Each appears whole or not at all, with the same bytes for the
 * same input. */
#ifndef NB_FILES_H
#define NB_FILES_H

#include "err.h"

#include <locale.h>
#include <stddef.h>

/* Writes DIR/name by way of a temporary file and rename. */
NB_USE_RESULT enum nb_status nb_file_write(const char *dir, const char *name,
                                           const char *text, size_t length,
                                           struct nb_err *err);

/* Makes it, or finds that it is there; a link to a folder is none. */
NB_USE_RESULT enum nb_status nb_file_folder(const char *path, struct nb_err *err);

/* DIR/name and what it ends in; "" where that is longer than a path may be, so that
 * opening it fails. */
enum { NB_PATH = 4096 };
void nb_file_path(char path[NB_PATH], const char *dir, const char *name, const char *end);

/* Numbers in files have a point, whatever the user's language: between enter and leave,
 * of this thread. */
struct nb_c_locale {
    locale_t c, before;
};
NB_USE_RESULT enum nb_status nb_c_locale_enter(struct nb_c_locale *l, struct nb_err *err);
void nb_c_locale_leave(struct nb_c_locale *l);

#endif
