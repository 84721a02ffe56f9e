/* explain_facts.h: what is known of one kernel: words from explain.def, models from its
 * descriptor, bounds from the oracle, errors from the record. */
#ifndef NB_EXPLAIN_FACTS_H
#define NB_EXPLAIN_FACTS_H

#include "nb_kernel.h"
#include "reference.h"

#include <stdbool.h>
#include <stddef.h>

/* What explain.def has; of an algorithm formula NULL, of the others NULL: no row. */
struct nb_algo_words {
    const char *op, *algo;
    unsigned temporaries; /* accesses an element */
    const char *formula, *scans;
    const char *before; /* what the formula is of; "": of a row */
};
struct nb_trick_words {
    const char *of, *word; /* of: pattern of the names of kernels */
    bool streams;
    const char *text;
};
struct nb_algo_words nb_words_of_algo(const struct nb_kernel *k);
const struct nb_trick_words *nb_words_of_trick(const struct nb_kernel *k, const char *word, size_t length);
const char *nb_words_of_source(const char *key);

/* Bytes an element. Parameters are read once a row block and come from a cache: not
 * counted. */
struct nb_bytes {
    double least;    /* x (and dy or the residual) read once, y (and h) written once */
    double allocate; /* and the lines of what is written read before they are written; least where
                        stores stream */
    double loops;    /* x, dy and the residual as often as the kernel reads them, y, temporaries */
};
struct nb_bytes nb_bytes_of(const struct nb_kernel *k);

/* c(n) of docs/numerics.md, section 4. */
struct nb_problem nb_plain_problem(const struct nb_kernel *k, size_t hidden); /* one row, no options */
double nb_sum_constant(const struct nb_kernel *k, size_t hidden);
size_t nb_sum_length(const struct nb_kernel *k, size_t hidden); /* of its sums: a prefix, a group, a head, the row */

/* Declared limits on the first row of a family of data, eps 1e-5. */
struct nb_bound_at {
    const char *family; /* NULL: the dtype cannot hold it */
    double k1;
    enum nb_ref_hazard hazard;
    struct nb_ref_limits limits;
};
enum { NB_BOUND_ROWS = 3 };
void nb_bounds_at(const struct nb_kernel *k, size_t hidden,
                  struct nb_bound_at at[NB_BOUND_ROWS]);

/* How far the bound's precondition reaches on rows that grow worse with a; Inf: as far as
 * was looked. */
enum nb_hard_rows {
    NB_ROWS_OFFSET,  /* a + 1, a - 1, a + 1, ...     a up to 1e15 */
    NB_ROWS_OUTLIER, /* a, then -1, 1, -1, ...       the same */
    NB_ROWS_SIZE     /* a, -a, a, ...                up to the dtype's largest number */
};
double nb_bound_reach(const struct nb_kernel *k, size_t hidden, enum nb_hard_rows rows);

/* The largest error recorded, of any hidden (tests/accuracy_record.csv); fields are its
 * text. */
struct nb_recorded {
    const char *kernel, *hidden, *E, *family,
        *share; /* the last two NULL: not recorded */
};
bool nb_worst_recorded(const struct nb_kernel *k, struct nb_recorded *worst);

#endif
