/* scratch.h: a folder of their own for tests that read and write files; includes the rest after cmocka.h. */
#ifndef NB_TESTS_SCRATCH_H
#define NB_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];
static int folders;

static const char *new_folder(void)
{
    static char paths[4][128]; /* a test may hold a few at a time */
    char *path = paths[folders % 4];
    snprintf(path, sizeof(paths[0]), "%s/%d", root, folders++);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/nb_report_test_XXXXXX");
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static inline int has_gnuplot(void)
{
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

/* The whole file, with a 0 behind; NULL when there is none. */
static inline char *slurp(const char *dir, const char *name, size_t *length)
{
    char path[512];
    size_t n = 0, room = 1 << 16, got;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return NULL;
    char *text = malloc(room);
    while (text != NULL && (got = fread(text + n, 1, room - n - 1, f)) > 0)
        if ((n += got) == room - 1)
            text = realloc(text, room *= 2);
    fclose(f);
    assert_non_null(text);
    text[n] = 0;
    if (length != NULL)
        *length = n;
    return text;
}

#endif
