/* compare_cells.h: what many runs say of the same cells, side by side.
 *
 * A cell of a comparison is a quantity in a case: the speedup of a pairing, a kernel's
 * share of the hard roof, ... Cases of two hosts are alike where all is alike but the
 * rows (they follow from the sizes of caches) and the number that `all` threads are. */
#ifndef NB_COMPARE_CELLS_H
#define NB_COMPARE_CELLS_H

#include "summary.h"

enum nb_quantity { NB_Q_SPEEDUP, NB_Q_ROOF, NB_Q_CYCLES, NB_Q_TIME, NB_QUANTITIES };
extern const char *const nb_quantity_name[NB_QUANTITIES];

/* What one run says. */
struct nb_value {
    char *key; /* quantity and case, as "speedup rmsnorm/layernorm best-of-each any
                  fwd-none-f32-h768-t1-L2" */
    enum nb_quantity quantity;
    size_t run, rows;
    struct nb_measured m;
    size_t processes,
        order; /* of the interval [v_(order), v_(processes+1-order)]; order 0: none */
    const struct nb_speedup *speedup; /* NULL: of a result */
    const struct nb_result *result;   /* NULL: of a speedup */
    const char *missing; /* why there is no value to compare; NULL: there is one */
};

/* of: one value a run; NULL: the run has no such case. */
struct nb_compared {
    const char *key;
    enum nb_quantity quantity;
    const struct nb_value **of;
};

struct nb_cells {
    size_t nruns;
    struct nb_value *values;
    size_t nvalues, room;
    struct nb_compared *cells; /* in the order of their keys */
    size_t ncells;
    size_t ambiguous; /* cases that a run has more than once, apart in what its tables do
                         not name; left out */
    size_t alone;     /* cases of one run alone; left out */
};

/* Which: a set of quantities, and globs (NULL: all) of pairings and of keys. */
struct nb_choice {
    bool quantity[NB_QUANTITIES];
    const char *pairing, *cells;
};
void nb_cells_gather(struct nb_cells *c, const struct nb_summary *runs, size_t nruns,
                     const struct nb_choice *choice);
void nb_cells_free(struct nb_cells *c);

/* Threads of a case as a word: "1", "all" where they are all cores of the host, else a
 * number. */
const char *nb_threads_word(const struct nb_summary *run, size_t threads, char word[24]);

#endif
