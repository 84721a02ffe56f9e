/* comparison.h: many runs side by side, and what is written of them. */
#ifndef NB_COMPARISON_H
#define NB_COMPARISON_H

#include "compare_cells.h"
#include "compare_statements.h"
#include "machines.h"

#include <stdio.h>

struct nb_comparison {
    struct nb_summary *runs;
    struct nb_machine *machines;
    size_t n;
    struct nb_cells cells;
    struct nb_statements statements;
    bool samples; /* order statistics come from the samples where the tables do not do */
};

/* One row a machine: the speedup of a residency is that of one cell, the same for all
 * machines. */
struct nb_headline {
    const struct nb_compared *cell;
    const struct nb_speedup *like; /* of any run: what names the case */
};
enum { NB_HEADLINES = 20 };
/* By residency, from L1 on, and dtype in them. Of the cells of a residency and dtype:
 * best RMSNorm against best LayerNorm before others, forward and plain, one thread; then
 * the one that most runs have; then the hidden nearest to 4096. */
size_t nb_headlines(const struct nb_comparison *c, struct nb_headline list[NB_HEADLINES]);
/* "L2 f32 h4096" */
void nb_headline_name(const struct nb_headline *h, char *text, size_t len);

/* The hard roof of a run in the cell of a headline: a fact of that machine. All NAN: not
 * known. */
struct nb_roof {
    double gbps;
    struct nb_measured share; /* of it: the kernel that the headline tests */
};
struct nb_roof nb_headline_roof(const struct nb_comparison *c,
                                const struct nb_headline *h, size_t run);

void nb_compare_terminal(const struct nb_comparison *c, FILE *f);
void nb_compare_md(const struct nb_comparison *c, bool picture, FILE *f);
void nb_compare_csv(const struct nb_comparison *c, FILE *f);
/* DIR/plots/compare.*; drawn is false where there is nothing to draw. */
NB_USE_RESULT enum nb_status nb_compare_picture(const struct nb_comparison *c,
                                                const char *dir, bool *drawn,
                                                char note[256], struct nb_err *err);

#endif
