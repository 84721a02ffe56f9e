/* child.h: other programs as children, and a temporary folder for what they leave. */
#ifndef NB_CHILD_H
#define NB_CHILD_H

#include "err.h"
#include "files.h"

#include <stddef.h>
#include <sys/types.h>

/* Runs argv (looked up in PATH) to its end. text (len > 0): takes the beginning of its stdout, its stderr is
 * dropped; text NULL: stdout is dropped, stderr is ours. *status is what waitpid gave; SIGINT and SIGTERM that come
 * meanwhile are passed on to it. An error is a program that cannot be started: err says why. */
NB_USE_RESULT enum nb_status nb_child_run(char *const *argv, char *text, size_t len, int *status,
                                              struct nb_err *err);

/* Runs argv (looked up in PATH) to its end and keeps what it says on stdout and stderr, whole, each ended by a zero; else as
 * nb_child_run. To be freed, also after an error. */
struct nb_child_said {
    char *out, *err;
    int status; /* as waitpid gave it */
};
NB_USE_RESULT enum nb_status nb_child_listen(char *const *argv, struct nb_child_said *said, struct nb_err *err);
void nb_child_said_free(struct nb_child_said *said);

/* Waits for a child of ours to end and gives what waitpid does. LLVM's OpenMP runtime keeps a file in /dev/shm for
 * each process that used it until that calls exit, which a fork of ours never does: it is removed here, for a full
 * /dev/shm kills the next one. */
int nb_child_wait(pid_t pid);
void nb_child_clear(pid_t pid); /* that file alone */

/* A new folder in TMPDIR or /tmp, for files alone. */
NB_USE_RESULT enum nb_status nb_temp_folder(char dir[NB_PATH], struct nb_err *err);
void nb_temp_remove(const char *dir);

/* The last line of DIR/name that is neither empty nor a warning; "" where there is none. */
void nb_last_line(const char *dir, const char *name, char *line, size_t len);

#endif
