/* datadir.h: where the files are that the program reads beside its input: presets, plot scripts. */
#ifndef NB_DATADIR_H
#define NB_DATADIR_H

#include <stddef.h>

/* $variable where it is set; else DATADIR/name of the installation that the running program belongs to;
 * else source, the folder it was built from. */
const char *nb_data_dir(const char *variable, const char *name, const char *source, char *path, size_t len);

#endif
