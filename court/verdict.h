/* verdict.h: from observations to a verdict. Pure functions; docs/court.md says why the rule is as it is.
 *
 * A cell is one observation that a test counts. It
 *   holds   where its whole interval lies in the region, and no border of the region within its noise floor of its value
 *   fails   where its whole interval lies outside, and no border within its noise floor; also where not a number came out
 *   is open where neither is so, or where it rests on fewer values than make an interval
 *   is missing where it could not be observed, and is told. What no run here could observe has no vote. What another run may observe
 *     (once of its observation) might hold or fail: it leaves all-hold and all-fail undecided, as an open cell does
 * All cells hold: REPRODUCED. All fail: REFUTED. Some hold and some fail, at the confidence that all cells together ask for:
 * CONDITIONAL, with the regime. Otherwise NOT RESOLVED. */
#ifndef NB_COURT_VERDICT_H
#define NB_COURT_VERDICT_H

#include "experiment.h"
#include "grammar.h"

enum nb_finding { NB_UNTRIED, NB_REPRODUCED, NB_REFUTED, NB_CONDITIONAL, NB_NOT_RESOLVED, NB_NOT_TESTABLE, NB_FINDING_COUNT };
const char *nb_finding_name(enum nb_finding f);

enum nb_outcome { NB_OPEN, NB_HOLDS, NB_FAILS, NB_MISSING };
const char *nb_outcome_name(enum nb_outcome o);

/* Fewer values than these make no interval: two of them hold the median between them in one case of two. */
enum { NB_LEAST_VALUES = 3 };

/* together: so many intervals are to hold at once: nb_stretch times the wider half of this one is taken on both sides. 1: as
 * observed. Exact values are not stretched. */
enum nb_outcome nb_outcome_of(const struct nb_observation *o, const struct nb_region *r, size_t together);

/* How many times as many values an open cell needs so that its interval, at its present centre and as wide as 1/sqrt(n) makes
 * it, clears every border. INFINITY: no number would do, for a border lies at the value or within the noise floor, or nothing is
 * random. 1 for a cell that is not open. */
double nb_times_longer(const struct nb_observation *o, const struct nb_region *r, size_t together);

/* By how much a 95 % interval of n values has to be wider so that all of so many hold together with 95 % (Bonferroni):
 * t(1 - 0.025/together) / t(0.975), Student's t of n - 1 degrees of freedom. */
double nb_stretch(size_t together, size_t n);

/* What a test brings: the observations of its quantity that `where` leaves. */
struct nb_evidence {
    const char *test;
    struct nb_region region;
    const struct nb_observation *const *v;
    size_t n;
    const char *error;        /* why the experiment did not run; NULL: it did */
    enum nb_outcome *outcome; /* [n], written by nb_judge */
};

struct nb_judgement {
    enum nb_finding finding;
    bool broken;                        /* a test has no observation at all: an error of the claim, not of the machine */
    size_t holds, fails, open, missing; /* cells */
    size_t lost;    /* of the missing ones those that another run may have */
    size_t together; /* intervals that were to hold at once: above 1 where cells disagree */
    double stretch;  /* the largest of them */
    size_t random;   /* cells whose intervals were stretched, or would have been */
    double longer;  /* NOT RESOLVED: times as long would decide every cell; INFINITY: no length would; NAN: not a matter of it */
    char regime[800]; /* CONDITIONAL: "residency=L2, not DRAM"; else "" */
    char reason[800]; /* NOT RESOLVED, NOT TESTABLE: why; others: what is missing, or "" */
};

struct nb_judgement nb_judge(const struct nb_evidence *tests, size_t n);

#endif
