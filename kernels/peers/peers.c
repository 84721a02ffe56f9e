#include "peers.h"

static const struct nb_peer peers[] = {
    {"onednn", NULL, "no adapter was built: apt-get install libdnnl-dev, then build again", NULL},
};

size_t nb_peer_count(void)
{
    return sizeof peers / sizeof peers[0];
}

const struct nb_peer *nb_peer_at(size_t i)
{
    return i < nb_peer_count() ? &peers[i] : NULL;
}
