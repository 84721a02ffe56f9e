/* npy.h: arrays in NumPy's .npy files, without Python.
 *
 * Read: format 1.0, 2.0 and 3.0; elements <f2, <f4, <f8 and <u2; C order; one axis at
 * least, none of them empty. Anything else is an error that names the file, what it
 * holds and what was expected. Memory is taken only for data that the file really has:
 * a header that lies about its shape costs nothing.
 * Written: format 1.0, byte for byte what NumPy writes. */
#ifndef NB_NPY_H
#define NB_NPY_H

#include "err.h"

#include <stddef.h>

enum nb_npy_kind {
    NB_NPY_F2, /* binary16 */
    NB_NPY_F4,
    NB_NPY_F8,
    NB_NPY_U2, /* 16 bits; where bfloat16 is stored, since NumPy has no name for it */
    NB_NPY_KIND_COUNT
};
const char *nb_npy_kind_name(enum nb_npy_kind kind); /* "f2", "f4", "f8", "u2" */
size_t nb_npy_kind_bytes(enum nb_npy_kind kind);     /* of one element */

enum { NB_NPY_RANK_MAX = 32 };

struct nb_npy {
    enum nb_npy_kind kind;
    size_t item; /* bytes of one element */
    size_t rank; /* 1 to NB_NPY_RANK_MAX */
    size_t shape[NB_NPY_RANK_MAX];
    size_t count; /* elements: the product of shape */
    void *data;   /* count elements, little endian, the last axis fastest */
};

/* path must be a regular file: a pipe or a device is refused, never waited for. After an
 * error *a is empty. */
NB_USE_RESULT enum nb_status nb_npy_read(struct nb_npy *a, const char *path,
                                         struct nb_err *err);
void nb_npy_free(struct nb_npy *a);

/* Writes kind, shape[0..rank) and data; item and count are not looked at. A file appears
 * under its name only when it is whole; until then an older one stays as it was. A
 * symbolic link is followed. A character device or a pipe is written to as it is. */
NB_USE_RESULT enum nb_status nb_npy_write(const struct nb_npy *a, const char *path,
                                          struct nb_err *err);

#endif
