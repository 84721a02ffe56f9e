/* npy_fuzz.c: a file of any bytes is read or refused, and what is read survives a round
 * trip. */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"
#include "npy.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[] = "/tmp/npy_fuzz.XXXXXX", again[sizeof folder + 8];

static void remove_folder(void)
{
    unlink(again);
    rmdir(folder);
}

/* The inputs lie in memory, one after the other in the same file. */
static int open_once(char *path, size_t len)
{
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("npy", MFD_CLOEXEC);
        NB_ASSERT(fd >= 0 && mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
        snprintf(again, sizeof again, "%s/x.npy", folder);
    }
    snprintf(path, len, "/proc/self/fd/%d", fd);
    return fd;
}

static void round_trip(const struct nb_npy *a)
{
    struct nb_npy b;
    struct nb_err err;
    NB_ASSERT(nb_npy_write(a, again, &err) == NB_OK);
    NB_ASSERT(nb_npy_read(&b, again, &err) == NB_OK);
    NB_ASSERT(a->kind == b.kind && a->rank == b.rank && a->count == b.count);
    NB_ASSERT(memcmp(a->shape, b.shape, sizeof b.shape) == 0);
    NB_ASSERT(memcmp(a->data, b.data, b.count * b.item) == 0);
    nb_npy_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct nb_npy a;
    struct nb_err err = {""};
    const int fd = open_once(path, sizeof path);
    NB_ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    if (nb_npy_read(&a, path, &err) == NB_OK) {
        NB_ASSERT(a.count > 0 && a.count <= size / a.item && a.rank > 0);
        NB_ASSERT(memcmp(a.data, data + size - a.count * a.item, a.count * a.item) == 0);
        round_trip(&a);
        nb_npy_free(&a);
    } else {
        NB_ASSERT(a.data == NULL && strncmp(err.text, path, strlen(path)) == 0);
    }
    return 0;
}
