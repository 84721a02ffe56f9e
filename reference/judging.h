/* judging.h: what judging an output and judging a gradient have in common; private to the oracle. */
#ifndef NB_REFERENCE_JUDGING_H
#define NB_REFERENCE_JUDGING_H

#include "dd.h"

/* A row within this factor of the range's ends counts as outside: sums carry rounding
 * errors. */
#define RANGE_MARGIN 0.5

/* Rounding errors of a sum are independent only while its terms differ by more than this many times
 * the last place of the running sum (bounds.c). */
enum { PLACES = 64 };

/* What an element is measured against. body: what the arithmetic may lose, times a limit; out: what
 * the output type may, and whatever else is allowed once. */
struct nb_ref_room {
    double body, out;
    double size; /* of an error that nobody may overlook */
    int exact;   /* nothing but the value itself will do */
};

struct nb_ref_judged {
    const struct nb_dd *ref; /* [n] */
    size_t n;
    const struct nb_ref_type *t;
    const struct nb_ref_limits *limits; /* or NULL */
    struct nb_ref_room (*room)(const struct nb_ref_judged *j, size_t i);
    const void *of; /* what room knows the element by */
};

/* As nb_ref_judge. */
void nb_ref_measure(const struct nb_ref_judged *j, const double *got, double *scratch,
                    struct nb_ref_error *e);

/* 1 / (1 - N u): makes first order in N roundings strict; Inf where N u is above 1/2 */
double nb_ref_strict(double N, double u);

/* E of a strict body: that of a 16-bit output also holds the rounding to it, which adds at most
 * u_out (|ref| + error) + eta_out/2 and has its own term in E. */
double nb_ref_limit_E(double body, const struct nb_ref_type *t);

#endif
