/* changes.h: where a series of values changes. A pure function of numbers.
 *
 * E-divisive (Matteson and James 2014, "A nonparametric approach for multiple change
 * point analysis of multivariate data", JASA 109): a series is split where the energy
 * distance of the values before and behind the split, times n m / (n + m) of their
 * numbers, is largest; a permutation test says whether that is more than chance; then the
 * parts are split in the same way, until a test finds no more. At last each change is
 * placed again between its neighbours (Bai 1997, "Estimating multiple breaks one at a
 * time", Econometric Theory 13). The part behind a split is all up to the end of its
 * segment (Matteson and James also look for the best end), and the exponent of the
 * distance is 1, which makes one look at a segment cost n log n. */
#ifndef NB_CHANGES_H
#define NB_CHANGES_H

#include <stddef.h>

enum {
    NB_CHANGES_SIDE = 4,  /* values on each side of a change, at least */
    NB_CHANGES_LEAST = 8, /* in a series of fewer none can be found */
    NB_CHANGES_PERMUTATIONS = 499,
    NB_CHANGES_MOST = 64,
};

struct nb_change {
    size_t at;            /* v[at] is the first value of the new level */
    double p;             /* of its test */
    double before, after; /* medians of the segments on its two sides */
};

/* Fills found with the changes of v in their order, and returns how many. NANs are no
 * values. Where all values come from one distribution and in any order, a change is found
 * with a probability of at most level; each further one is tested at it again. The same
 * seed gives the same changes. */
size_t nb_changes(const double *v, size_t n, double level, unsigned long long seed,
                  struct nb_change found[NB_CHANGES_MOST]);

#endif
