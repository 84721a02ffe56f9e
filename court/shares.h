/* shares.h: what norms are of whole blocks, seen in two ways, and whether the ways fit. Of every run that observes these things. */
#ifndef NB_SHARES_H
#define NB_SHARES_H

#include "hearing.h"

#include <stdio.h>

/* A table of Markdown, a row for each share_in_situ: both shares, which of them decides, the cut and Amdahl's bound. Where the difference
 * to a block without a norm is within the noise, it is NOT RESOLVED and the share in situ decides. Returns false where there is
 * none. */
bool nb_shares_md(FILE *f, const struct nb_hearing *h);

/* Whether a measurement is wrong: a block that saves more than Amdahl's bound, or shares that differ although both are resolved, each by
 * more than 2 % of the block, with the certainty that all such observations of the run ask for. Then text says where. */
bool nb_shares_wrong(const struct nb_hearing *h, char *text, size_t len);

#endif
