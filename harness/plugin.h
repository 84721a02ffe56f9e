/* plugin.h: a shared object with kernels, from a file to a table. */
#ifndef NB_PLUGIN_H
#define NB_PLUGIN_H

#include "err.h"
#include "nb_kernel.h"

#include <limits.h>

struct nb_plugin_file {
    char path[PATH_MAX]; /* absolute, links resolved; UTF-8 without control characters */
    char hash[17];       /* of its bytes, as nb_file_hash */
};

/* What the file is: there, regular, ELF, a shared object, of this machine. Runs nothing of it. */
NB_USE_RESULT enum nb_status nb_plugin_inspect(const char *path, struct nb_plugin_file *file,
                                               struct nb_err *err);

/* Loads it in a child first, which may crash or hang there. */
NB_USE_RESULT enum nb_status nb_plugin_probe(const struct nb_plugin_file *file, struct nb_err *err);

/* Loads it into this process; table gets copies of its descriptors, as nb_descriptors_take. */
NB_USE_RESULT enum nb_status nb_plugin_load(const struct nb_plugin_file *file,
                                            struct nb_kernel_table *table, struct nb_err *err);

#endif
