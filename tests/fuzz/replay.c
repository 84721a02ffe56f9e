/* replay.c: runs every file of the folders given through a fuzz target, as a plain test.
 */
#define _GNU_SOURCE /* nftw */
#include "fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long done;

static int run_file(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)where;
    if (type == FTW_D)
        return 0;
    FILE *f = type == FTW_F ? fopen(path, "rb") : NULL;
    const size_t size = (size_t)st->st_size;
    uint8_t *data =
        malloc(size > 0 ? size : 1); /* no byte to spare: a sanitizer watches */
    if (f == NULL || data == NULL || fread(data, 1, size, f) != size) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    fclose(f);
    fprintf(stderr, "%s\n", path); /* the last one is at fault when the target aborts */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    done++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (nftw(argv[i], run_file, 16, FTW_PHYS) != 0) {
            fprintf(stderr, "cannot walk %s\n", argv[i]);
            return 1;
        }
    printf("%lu files\n", done);
    return done > 0 ? 0 : 1;
}
