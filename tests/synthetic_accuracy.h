/* synthetic_accuracy.h: an accuracy.csv as a CPU with AVX-512 might write it, from a
 * model of each algorithm's error, for tests of what reads it. Same arguments, same
 * bytes. */
#ifndef NB_SYNTHETIC_ACCURACY_H
#define NB_SYNTHETIC_ACCURACY_H

#include <stdbool.h>

struct synthetic_accuracy {
    const char *dtypes;  /* words separated by spaces */
    const char *hiddens; /* the same */
    bool few;            /* one family of each class, and three points of the sweep */
    const char *family;  /* one more random family by this name, or NULL */
    const char *fails;   /* kernel whose attacks fail, or NULL */
};

/* Writes DIR/accuracy.csv; aborts when it cannot. */
void synthetic_accuracy_write(const char *dir, const struct synthetic_accuracy *s);

/* Writes DIR/results.csv of a run with times of the same kernels, hidden 1024 in L2. */
void synthetic_times_write(const char *dir, const char *dtypes);

#endif
