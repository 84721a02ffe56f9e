/* foreign.h: what comes from outside: adapters to other libraries (--peers), plugins (--plugin FILE), and the
 * table by which auto chooses (--tune FILE).
 *
 * Loaded once a process, before anything looks at the registry. What was loaded stands in plan.json, so
 * that a resumed run loads the same and refuses another; workers are told by their command line. */
#ifndef NB_FOREIGN_H
#define NB_FOREIGN_H

#include "err.h"
#include "registry.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct nb_foreign { /* what was asked for */
    const char *plugins[NB_EXTRA_TABLES];
    size_t count; /* of --plugin; those beyond the array are counted alone */
    const char *tune; /* a file; NULL: what NB_TUNE names */
    bool peers;
};

/* Options of every command that has kernels; keys of no other option. */
enum { NB_OPTION_PLUGIN = 3000, NB_OPTION_PEERS, NB_OPTION_TUNE };
#define NB_OPTIONS_FOREIGN                                                                                \
    {0, 0, 0, 0, "Kernels that are not ours, and what auto runs:", 4},                                        \
        {"plugin", NB_OPTION_PLUGIN, "FILE", 0,                                                           \
         "kernels of a shared object (docs/plugins.md); may be given repeatedly", 4},                     \
        {"tune", NB_OPTION_TUNE, "FILE", 0,                                                               \
         "what auto runs, as `normbench tune` measured it (default: the file that NB_TUNE names)", 4},    \
    {                                                                                                     \
        "peers", NB_OPTION_PEERS, 0, 0, "kernels of other libraries, where an adapter was built", 4       \
    }
bool nb_foreign_option(struct nb_foreign *f, int key, const char *arg); /* false: none of these */

/* Registers what was asked for. A peer that was not built is told on stderr, and is no error. */
NB_USE_RESULT enum nb_status nb_foreign_load(const struct nb_foreign *f, struct nb_err *err);

/* "peers", "plugins" and "tune" of plan.json. */
void nb_foreign_to_json(json_t *plan);

/* Loads what the plan of a run to be continued was begun with, or compares it with what is loaded. */
NB_USE_RESULT enum nb_status nb_foreign_resume(const json_t *plan, const char *dir, struct nb_err *err);

/* Words behind `normbench --worker FD`, at most so many, and their reader in the worker. */
enum { NB_FOREIGN_WORDS = 2 * NB_EXTRA_TABLES + 3 };
size_t nb_foreign_words(char *words[NB_FOREIGN_WORDS]);
NB_USE_RESULT enum nb_status nb_foreign_worker(int argc, char **argv, struct nb_err *err);

/* The options that bring a kernel in, or all that was loaded (NULL), each after a space; "" where there
 * is none. Paths are quoted for a shell; one that does not fit becomes FILE. */
void nb_foreign_repro(const struct nb_kernel *k, char *text, size_t len);

const char *nb_origin_name(enum nb_origin origin);

#endif
