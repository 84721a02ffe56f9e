/* peers.h: kernels of other people's libraries, as tables of nb_kernel.h. One adapter a
 * library, each built where CMake finds the library; where it does not, the row says how
 * to get it. */
#ifndef NB_PEERS_H
#define NB_PEERS_H

#include "nb_kernel.h"

struct nb_peer {
    const char *name;    /* onednn */
    const char *version; /* of the library that was loaded; NULL: not built */
    const char *why_not; /* not built: how to get it; NULL otherwise */
    const struct nb_kernel_table *table; /* NULL: not built */
};

size_t nb_peer_count(void);
const struct nb_peer *nb_peer_at(size_t i);

#endif
