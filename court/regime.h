/* regime.h: under which conditions a claim holds and under which it fails, in as few words as tell them apart. */
#ifndef NB_REGIME_H
#define NB_REGIME_H

#include <stdbool.h>
#include <stddef.h>

/* A cell that holds or fails. */
struct nb_decided {
    const char *test;  /* the name of its test */
    const char *where; /* "dtype=f32 hidden=1024" */
    bool holds;
};

/* Writes the shortest of: one key whose values tell the cells apart ("residency=L2, not DRAM", "hidden>=1024, not <=256"); two
 * keys ("dtype=f32; dtype=bf16 and residency=L2, not DRAM"); where there are several tests, two keys within one of them
 * ("test=mean; test=variance and (eps=0; eps=1e-05 and sd>=0.1, not <=0.001)"); else some cells of each kind. The name of the
 * test is a key, too, where there are several. At least one cell holds and one fails. */
void nb_regime(const struct nb_decided *v, size_t n, char *text, size_t len);

#endif
