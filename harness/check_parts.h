/* check_parts.h: what the check of rows and that of columns share; private to the check. */
#ifndef NB_CHECK_PARTS_H
#define NB_CHECK_PARTS_H

#include "appraise.h"
#include "buffers.h"
#include "check.h"
#include "plan.h"
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>

/* The first fault decides the verdict. */
void nb_check_fail(struct nb_check_result *r, enum nb_verdict v, const char *reason);

/* Fails where bytes just before or behind the tensor were overwritten. It has a name, as below. */
void nb_check_damage(struct nb_check_result *r, const struct nb_buffer *b);

/* Hash of a tensor, 0 where there is none; fails where an input has another one than before the runs. */
uint64_t nb_check_hash(const struct nb_buffer *b);
void nb_check_input(struct nb_check_result *r, const struct nb_buffer *b, uint64_t before);

/* One judged row or column, by its name and number; likely: the probabilistic bound holds, too. Counts it, fails or
 * keeps the worst. */
void nb_check_judge(struct nb_check_result *r, const struct nb_appraisal *a, bool likely, const char *what, size_t row);

/* What is judged, in the layout of its cell. */
struct nb_timed_data {
    const struct nb_cell *cell;
    uint64_t seed;
    const char *x, *dy; /* dy: backward */
};

/* A kernel whose statistics are those of columns: families as columns, the timed data, invariants. */
void nb_check_columns(const struct nb_timed_data *d, const struct nb_kernel *k, struct nb_check_result *r);

/* ---- invariants ---- */

/* How a layout differs from the plain one. */
struct variant {
    const char *what;
    bool reversed, alone, in_place, tail;
    unsigned parts;
    size_t gap_x, gap_y; /* elements between rows */
    long shift;          /* elements by which every tensor begins later */
};
static const struct variant VARIANTS[] = {
    {"in reverse order", .reversed = true},
    {"alone", .alone = true},
    {"in three parts", .parts = 3},
    {"with longer row strides, ending at a guard page", .gap_x = 3, .gap_y = 5, .tail = true},
    {"one element beyond the alignment", .shift = 1},
    {"in place", .in_place = true},
};
enum { VARIANT_COUNT = sizeof VARIANTS / sizeof *VARIANTS };

/* ---- memory ---- */

enum { FILL_A = 0xA5, FILL_B = 0x5A }; /* what stands in outputs before a run, and before the next */

static inline void *alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    NB_ASSERT(p != NULL);
    return p;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* offset < 0: ends at a guard page; otherwise so many bytes behind a page's begin */
static inline void map_or_abort(struct nb_buffer *b, size_t bytes, long offset)
{
    struct nb_err err;
    enum nb_status s = offset < 0 ? nb_buffer_map_tail(b, bytes, &err)
                                  : nb_buffer_map(b, bytes, (size_t)offset, false, &err);
    if (s != NB_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

/* Bytes from the first element to behind the last one. */
static inline size_t span(const struct nb_cell *c, size_t ld)
{
    return ((c->rows - 1) * ld + c->hidden) * nb_dtype_bytes(c->dtype);
}

#endif
