/* certificate.h: does a counter count what its name says?
 *
 * A proof is a loop whose count is known. The counter is read over nothing, over a quarter of the
 * loop, over all of it, and over a control: as much work that makes (next to) none of what is to be
 * counted. Pure over the few callbacks of struct nb_counter: tests put counters that lie behind them. */
#ifndef NB_CERTIFICATE_H
#define NB_CERTIFICATE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

/* Callbacks give 0 or an error of the counter's own. close follows every open, also one that failed. */
struct nb_counter {
    int (*open)(void *self);
    int (*start)(void *self);
    int (*stop)(void *self);
    int (*read)(void *self, double *count); /* of what ran between the last start and stop */
    void (*close)(void *self);
    void *self;
};

struct nb_lab; /* what the loops work on */

struct nb_proof {
    const char *loop; /* in words */
    size_t n;         /* its size; the small one is n / NB_PROOF_SHRINK */
    double lo, hi;    /* the band: seen over expected */
    bool (*prepare)(struct nb_lab *lab);           /* before each count, uncounted; NULL: nothing */
    double (*run)(struct nb_lab *lab, size_t n);   /* gives the expected count; 0: it cannot run here */
    void (*control)(struct nb_lab *lab, size_t n); /* NULL: there is none */
    const char *control_loop;
};
#define NB_PROOF_SHRINK 4
#define NB_PROOF_REPEATS 3   /* of each count; the median is taken */
#define NB_PROOF_CONTROL 0.1 /* the control may count this share of what the loop makes */

enum nb_certificate_verdict {
    NB_CERT_UNTRIED,
    NB_CERT_CERTIFIED,
    NB_CERT_UNCERTIFIED, /* counts something; its band was not applied: for tests only */
    NB_CERT_NO_LOOP,     /* the loop cannot run here */
    NB_CERT_REFUSED,     /* a callback failed, with error */
    NB_CERT_NEGATIVE,
    NB_CERT_ZERO,     /* starts, and reads 0 */
    NB_CERT_CONSTANT, /* does not grow with the work */
    NB_CERT_OUTSIDE,
    NB_CERT_UNSPECIFIC, /* counts the control too */
};

struct nb_certificate {
    enum nb_certificate_verdict verdict;
    const char *loop, *control_loop; /* control_loop NULL: there is none */
    double lo, hi;
    double expected, seen; /* of all of the loop, or of the quarter where that one is outside; seen without
                              the empty bracket; NAN: not counted */
    double control;        /* counted over the control; NAN: not counted */
    int error;
};

/* bands false: neither band nor control nor growth decide, but 0 and less are refused all the same. */
struct nb_certificate nb_certify(const struct nb_proof *proof, const struct nb_counter *counter,
                                 struct nb_lab *lab, bool bands);
bool nb_certificate_holds(const struct nb_certificate *c); /* CERTIFIED or UNCERTIFIED */
const char *nb_certificate_word(enum nb_certificate_verdict v);
/* One phrase: what was seen and why that is not enough. Not for REFUSED, whose error is the counter's. */
void nb_certificate_text(const struct nb_certificate *c, char *text, size_t len);

#endif
