/* compare_statements.h: where a run differs from the first one, with a probability of any
 * error that holds over all statements together. Derivation: docs/compare.md. */
#ifndef NB_COMPARE_STATEMENTS_H
#define NB_COMPARE_STATEMENTS_H

#include "compare_cells.h"

enum nb_statement {
    NB_NO_STATEMENT, /* nothing to compare: a value is missing, or none is made about this
                        quantity */
    NB_TOO_FEW,      /* no interval of so many processes reaches the level */
    NB_OVERLAP,      /* not told apart */
    NB_HIGHER,       /* than in the first run */
    NB_LOWER,
    NB_STATEMENTS
};
extern const char *const nb_statement_word[NB_STATEMENTS];

/* A run against the first in a cell. change: its value over that of the first; the
 * interval is simultaneous over the family. */
struct nb_change {
    enum nb_statement statement;
    struct nb_measured change;
};

struct nb_statements {
    double alpha;  /* probability that any statement of the family is wrong: at most */
    size_t family; /* statements that could be made: cells times runs but the first */
    double level;  /* alpha / family: what each may take */
    size_t needed; /* processes a run that reach it with the widest interval */
    size_t count[NB_STATEMENTS];
    struct nb_change *changes; /* [cell * nruns + run] */
};

/* Order statistics of a value where the stored interval does not do; NULL: there are
 * none. of[k - 1] is the k-th of so many. */
typedef const double *nb_sorted(void *context, const struct nb_value *v, size_t *n);

void nb_statements_make(struct nb_statements *s, const struct nb_cells *c,
                        nb_sorted *sorted, void *context);
void nb_statements_free(struct nb_statements *s);

#endif
