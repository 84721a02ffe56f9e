#include "peers.h"

#if NB_HAVE_ONEDNN
#include "onednn.h"
#define ONEDNN_TABLE &nb_onednn_table
#define ONEDNN_WHY_NOT NULL
#else
#define ONEDNN_TABLE NULL
#define ONEDNN_WHY_NOT NB_ONEDNN_WHY_NOT
#endif

static struct nb_peer peers[] = {
    {"onednn", NULL, ONEDNN_WHY_NOT, ONEDNN_TABLE},
};

size_t nb_peer_count(void)
{
    return sizeof peers / sizeof peers[0];
}

const struct nb_peer *nb_peer_at(size_t i)
{
#if NB_HAVE_ONEDNN
    peers[0].version = nb_onednn_version();
#endif
    return i < nb_peer_count() ? &peers[i] : NULL;
}
