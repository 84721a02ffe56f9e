/* regime.h: under which conditions a claim holds and under which it fails, in as few words as tell them apart. */
#ifndef NB_REGIME_H
#define NB_REGIME_H

#include "verdict.h"

struct nb_regime_cell {
    const char *test;         /* the name of its test */
    const char *where;        /* "dtype=f32 hidden=1024" */
    enum nb_outcome outcome;  /* NB_OPEN, NB_HOLDS or NB_FAILS */
};

/* Writes the shortest of: one key whose values tell the cells apart ("residency=L2, not DRAM", "hidden>=1024, not <=256"); two
 * keys ("dtype=f32; dtype=bf16 and residency=L2, not DRAM"); where there are several tests, two keys within one of them
 * ("test=mean; test=variance and (eps=0; eps=1e-05 and sd>=0.1, not <=0.001)"); else how many hold of the decided ones, by the
 * key that tells most ("test=best: 3 of 10 decided cells, same: 1 of 18"). The name of the
 * test is a key, too, where there are several. At least one cell holds and one fails.
 * What is open is told apart where keys do that, "residency=L2, not DRAM, open L3", and descriptions that say nothing of open cells
 * are preferred to shorter ones; those that others cover are counted: "dtype=bf16 (3 of 8 such cells are open)". */
void nb_regime(const struct nb_regime_cell *v, size_t n, char *text, size_t len);

#endif
