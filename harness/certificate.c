#include "certificate.h"

#include <math.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One way to spend a bracket. */
enum work { NOTHING, SMALL, LARGE, CONTROL };
struct trial {
    const struct nb_proof *proof;
    const struct nb_counter *counter;
    struct nb_lab *lab;
    double expected; /* of the work done last */
    bool cannot;     /* the loop does not run here */
};

static void spend(struct trial *t, enum work w)
{
    const struct nb_proof *p = t->proof;
    if (w == SMALL || w == LARGE)
        t->expected = p->run(t->lab, w == SMALL ? p->n / NB_PROOF_SHRINK : p->n);
    else if (w == CONTROL)
        p->control(t->lab, p->n);
}

static int count_once(struct trial *t, enum work w, double *count)
{
    const struct nb_counter *c = t->counter;
    if (w != NOTHING && t->proof->prepare != NULL && !t->proof->prepare(t->lab)) {
        t->cannot = true;
        return 0;
    }
    int error = c->start(c->self);
    if (error != 0)
        return error;
    spend(t, w);
    t->cannot = t->cannot || ((w == SMALL || w == LARGE) && !(t->expected > 0));
    error = c->stop(c->self);
    return error != 0 ? error : c->read(c->self, count);
}

/* The median of some counts; below 0 the least, since no counter goes backwards. */
static int count(struct trial *t, enum work w, double *median)
{
    double seen[NB_PROOF_REPEATS] = {0};
    int error = 0;
    for (int i = 0; i < NB_PROOF_REPEATS && error == 0 && !t->cannot; i++)
        error = count_once(t, w, &seen[i]);
    qsort(seen, NB_PROOF_REPEATS, sizeof(*seen), by_value);
    *median = seen[0] < 0 ? seen[0] : seen[NB_PROOF_REPEATS / 2];
    return error;
}

/* Counts of each kind of work as they were read, and what the loop should have made. */
struct figures {
    double empty, small, large, control, small_expected, large_expected;
};

static int take(struct trial *t, struct figures *f)
{
    int error = count(t, NOTHING, &f->empty);
    if (error == 0)
        error = count(t, SMALL, &f->small);
    f->small_expected = t->expected;
    if (error == 0 && !t->cannot)
        error = count(t, LARGE, &f->large);
    f->large_expected = t->expected;
    f->control = NAN;
    if (error == 0 && !t->cannot && t->proof->control != NULL)
        error = count(t, CONTROL, &f->control);
    return error;
}

static bool inside(const struct nb_certificate *c, double seen, double expected)
{
    return seen >= c->lo * expected && seen <= c->hi * expected;
}

static enum nb_certificate_verdict judge(const struct figures *f, struct nb_certificate *c, bool bands)
{
    const double small = f->small - f->empty, large = f->large - f->empty;
    c->expected = f->large_expected;
    c->seen = large;
    c->control = f->control - f->empty;
    if (f->empty < 0 || f->small < 0 || f->large < 0 || f->control < 0) {
        c->seen = fmin(fmin(f->empty, f->small), fmin(f->large, f->control));
        return NB_CERT_NEGATIVE;
    }
    if (!(f->large > 0))
        return NB_CERT_ZERO;
    if (!bands)
        return NB_CERT_UNCERTIFIED;
    if (!(large > 0) || large < 1.5 * small)
        return NB_CERT_CONSTANT;
    if (!inside(c, large, f->large_expected))
        return NB_CERT_OUTSIDE;
    if (!inside(c, small, f->small_expected)) {
        c->expected = f->small_expected;
        c->seen = small;
        return NB_CERT_OUTSIDE;
    }
    return c->control > NB_PROOF_CONTROL * c->expected ? NB_CERT_UNSPECIFIC : NB_CERT_CERTIFIED;
}

struct nb_certificate nb_certify(const struct nb_proof *proof, const struct nb_counter *counter,
                                 struct nb_lab *lab, bool bands)
{
    struct nb_certificate c = {.loop = proof->loop, .lo = proof->lo, .hi = proof->hi,
                               .control_loop = proof->control != NULL ? proof->control_loop : NULL,
                               .expected = NAN, .seen = NAN, .control = NAN};
    struct trial t = {proof, counter, lab, 0, false};
    struct figures f = {0};
    c.error = counter->open(counter->self);
    if (c.error == 0)
        c.error = take(&t, &f);
    counter->close(counter->self);
    if (c.error != 0)
        c.verdict = NB_CERT_REFUSED;
    else
        c.verdict = t.cannot ? NB_CERT_NO_LOOP : judge(&f, &c, bands);
    return c;
}

bool nb_certificate_holds(const struct nb_certificate *c)
{
    return c->verdict == NB_CERT_CERTIFIED || c->verdict == NB_CERT_UNCERTIFIED;
}

const char *nb_certificate_word(enum nb_certificate_verdict v)
{
    static const char *const words[] = {
        [NB_CERT_UNTRIED] = "untried",   [NB_CERT_CERTIFIED] = "certified",
        [NB_CERT_UNCERTIFIED] = "uncertified", [NB_CERT_NO_LOOP] = "no-loop",
        [NB_CERT_REFUSED] = "refused",   [NB_CERT_NEGATIVE] = "negative",
        [NB_CERT_ZERO] = "zero",         [NB_CERT_CONSTANT] = "constant",
        [NB_CERT_OUTSIDE] = "outside",   [NB_CERT_UNSPECIFIC] = "unspecific",
    };
    return words[v];
}

void nb_certificate_text(const struct nb_certificate *c, char *text, size_t len)
{
    if (c->verdict == NB_CERT_NO_LOOP)
        snprintf(text, len, "nothing to prove it with here: %s", c->loop);
    else if (c->verdict == NB_CERT_ZERO)
        snprintf(text, len, "starts and reads 0 over %s that make %.0f", c->loop, c->expected);
    else if (c->verdict == NB_CERT_NEGATIVE)
        snprintf(text, len, "counted %.0f, which is less than nothing", c->seen);
    else if (c->verdict == NB_CERT_CONSTANT)
        snprintf(text, len, "counted %.0f over %s that make %.0f and as much over a quarter of them", c->seen,
                 c->loop, c->expected);
    else if (c->verdict == NB_CERT_UNSPECIFIC)
        snprintf(text, len, "counted %.0f over %s, which make none", c->control, c->control_loop);
    else
        snprintf(text, len, "counted %.0f over %s that make %.0f; the band is %.2f to %.2f of that", c->seen,
                 c->loop, c->expected, c->lo, c->hi);
}
