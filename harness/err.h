/* err.h: errors of the user or the environment. Callers own the message; only main prints it. */
#ifndef NB_ERR_H
#define NB_ERR_H

#include <stdio.h>
#include <stdlib.h>

enum nb_status {
    NB_OK = 0,
    NB_ERROR,       /* usage, input or environment: exit code 1 */
    NB_INTERRUPTED, /* Ctrl-C or SIGTERM: exit code 130 */
};

struct nb_err {
    char text[1024]; /* what was wrong, where, and what would be right */
};

#define NB_USE_RESULT __attribute__((warn_unused_result))

/* Fills err (which may be NULL) and returns NB_ERROR, so that it can be returned at once. */
enum nb_status nb_fail(struct nb_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A programmer's error: prints expression, file and line, aborts. */
#define NB_ASSERT(expr)                                                                          \
    ((expr) ? (void)0                                                                            \
            : (fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #expr),      \
               abort()))

#endif
