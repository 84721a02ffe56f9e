/* known_loops.h: loops that make a known number of events, and the band that each event must keep over
 * its loop to be used. The table in known_loops.c is the one place where bands stand. */
#ifndef NB_KNOWN_LOOPS_H
#define NB_KNOWN_LOOPS_H

#include "certificate.h"
#include "counters.h"

#include <stdint.h>

/* Fill with zeros; memory is mapped when a loop first needs it. */
struct nb_lab {
    volatile char *cold; /* one page in NB_LAB_SPREAD is touched */
    size_t pages, page;
    uint64_t random;
};
#define NB_LAB_SPREAD 4
void nb_lab_free(struct nb_lab *lab);

const struct nb_proof *nb_proof_of(enum nb_event e);

/* "x86-64", "aarch64": instructions are written down and counted by hand. "portable": the compiler chose
 * them, bands are wider, and there is nothing that empties a cache. */
const char *nb_known_loops_kind(void);

#endif
