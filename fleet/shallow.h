/* shallow.h: large JSON files of which only the top is wanted. */
#ifndef NB_SHALLOW_H
#define NB_SHALLOW_H

#include <jansson.h>

/* Loads a file as json_load_file does, but arrays and objects that belong to one of the
 * keys of the outermost object are empty: of what is in them only brackets and quotes are
 * looked at, which takes a small part of the time. keys ends with NULL. */
json_t *nb_json_without(const char *path, const char *const *keys, json_error_t *where);
/* The same of a text, which is overwritten. */
json_t *nb_json_text_without(char *text, size_t n, const char *const *keys,
                             json_error_t *where);

#endif
