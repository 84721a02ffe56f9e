/* gate_verdict.h: from block ln-ratios to verdicts. Pure: no clock, no process, no file.
 *
 * A block is a fresh process of each build, taking turns, and gives one ln-ratio a comparison: of head's time over
 * base's. Slower is positive. Blocks of the screening only choose candidates; what is
 * decided is decided on the blocks of the confirmation alone. docs/measurement.md, "The gate". */
#ifndef NB_GATE_VERDICT_H
#define NB_GATE_VERDICT_H

#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nb_gate_verdict {
    NB_GATE_UNCHANGED,    /* screened, and no candidate */
    NB_GATE_SAME,         /* confirmed: the interval lies inside the margin */
    NB_GATE_FASTER,       /* confirmed: it lies beyond the margin */
    NB_GATE_NOT_SLOWER,   /* confirmed: it may be faster or the same */
    NB_GATE_SLOWER,
    NB_GATE_NOT_RESOLVED, /* confirmed: it may be slower, and may not; or not one block has its times */
    NB_GATE_UNCONFIRMED,  /* a candidate that the budget did not reach for */
    NB_GATE_FAILED,       /* head: failed its check, crashed or hung */
    NB_GATE_NO_BASE,      /* base fails its check there: nothing to compare with */
    NB_GATE_ADDED,        /* head has it, base has not */
    NB_GATE_REMOVED,
    NB_GATE_VERDICTS
};
const char *nb_gate_verdict_name(enum nb_gate_verdict v);

struct nb_gate_series { /* ln-ratios, one a block */
    double *v;
    size_t n, room;
};
void nb_gate_push(struct nb_gate_series *s, double ln_ratio);

enum { NB_GATE_LAYOUTS = 3 };

struct nb_gate_entry {
    char *cell, *kernel; /* owned, as is reason */
    bool control;  /* the slowdown that was injected */
    double plant;  /* 0.05: head was given 5 % more passes */
    struct nb_gate_series screen, screen_aa;   /* head over base; base over base */
    struct nb_gate_series confirm, confirm_aa;
    struct nb_gate_series layout[NB_GATE_LAYOUTS]; /* head linked in another order over head */
    char *reason;  /* of FAILED, NO_BASE; else NULL */
    /* derived */
    bool candidate;
    double layout_floor, margin; /* NAN: not confirmed */
    struct nb_interval interval; /* of the confirmation, simultaneous over the candidates; else of the screening */
    double hodges_lehmann;
    double p_slower, p_faster;   /* one-sided, Holm over the candidates; NAN: not confirmed */
    double detectable;           /* ln-ratio found with probability .9 by this gate, as noisy as it was */
    enum nb_gate_verdict verdict;
};

struct nb_gate_set {
    struct nb_gate_entry *entry;
    size_t count;
    /* given */
    double alpha;           /* two-sided and family-wise: 0.01 */
    double margin_least;    /* 0.01; with --margin: that */
    bool margin_fixed;      /* --margin: nothing raises it */
    double threshold_least; /* of a screening median, to be a candidate */
    bool layouts;           /* relinked builds were there; else the floor is layout_missing */
    double layout_missing;  /* 0.025 */
    size_t most_candidates; /* that the budget reaches for */
    size_t confirm_blocks;
    uint64_t seed;
    /* derived */
    size_t candidates, unconfirmed;
    double threshold_noise; /* more than threshold_least where A/A strays further: the control must pass it */
    double threshold; /* that decided: more than threshold_noise where the budget was short */
    double margin_aa; /* 99th percentile over comparisons and resamples of |median A/A| */
    double aa_worst, aa_p; /* largest |median| of A/A at the confirmation; least p, Holm */
    bool control_found, aa_flagged;
};

/* Marks the candidates: the largest medians beyond the threshold, as many as may be; and the control. */
void nb_gate_screen(struct nb_gate_set *set);

/* Margins, intervals, tests, verdicts and the two controls. FAILED, NO_BASE, ADDED, REMOVED stay. */
void nb_gate_decide(struct nb_gate_set *set);

/* Why the run says nothing, or NULL: it is valid. */
const char *nb_gate_invalid(const struct nb_gate_set *set);

/* 1 invalid, 2 head failed, 3 slower, 4 not resolved, 0 none of these. */
int nb_gate_exit_code(const struct nb_gate_set *set);

void nb_gate_set_free(struct nb_gate_set *set); /* series and entries */

#endif
