#include "datadir.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *nb_data_dir(const char *variable, const char *name, const char *source, char *path, size_t len)
{
    char exe[PATH_MAX] = "";
    const char *set = getenv(variable);
    if (set != NULL && set[0] != '\0')
        return set;
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *slash = n > 0 ? strrchr(exe, '/') : NULL;
    if (slash == NULL)
        return source;
    *slash = '\0';
    const int used = snprintf(path, len, "%s/" NB_DATA_FROM_BIN "/%s", exe, name);
    return used > 0 && (size_t)used < len && access(path, X_OK) == 0 ? path : source;
}
