#include "verdict.h"

#include "regime.h"
#include "stats.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

const char *nb_finding_name(enum nb_finding f)
{
    static const char *const names[] = {"UNTRIED", "REPRODUCED", "REFUTED", "CONDITIONAL", "NOT RESOLVED", "NOT TESTABLE"};
    return names[f];
}

const char *nb_outcome_name(enum nb_outcome o)
{
    static const char *const names[] = {"open", "holds", "fails", "missing"};
    return names[o];
}

/* ---- one cell ---- */

/* A value whose interval is none (NAN, or not around it) is no observation, unless NAN is what came out. */
static bool is_missing(const struct nb_observation *o)
{
    return !o->nan && (o->missing[0] != '\0' || !(o->low <= o->value && o->value <= o->high));
}

/* Another run may give another interval. */
static bool is_random(const struct nb_observation *o)
{
    return o->n > 0 && !o->nan;
}

/* Both sides by the wider one: of a few values the median may lie close to one end of its interval by chance alone, and the distance to
 * that end says little of how far it can be off. A side without an end stays. */
static void stretched(const struct nb_observation *o, size_t together, double *low, double *high)
{
    const double below = fmax(o->value - o->low, 0), above = fmax(o->high - o->value, 0),
                 wider = fmax(isfinite(below) ? below : 0, isfinite(above) ? above : 0), by = nb_stretch(together, o->n) * wider;
    const bool stretch = is_random(o) && together > 1;
    *low = o->value - (stretch && isfinite(below) ? by : below);
    *high = o->value + (stretch && isfinite(above) ? by : above);
}

static bool near_border(const struct nb_observation *o, double border)
{
    return isfinite(border) && o->noise > 0 && fabs(o->value - border) <= o->noise;
}

/* Whether the interval lies wholly from r->low to r->high. */
static bool inside(const struct nb_region *r, double low, double high)
{
    return (r->low_open ? low > r->low : low >= r->low) && (r->high_open ? high < r->high : high <= r->high);
}

/* Whether no point of it does. */
static bool apart(const struct nb_region *r, double low, double high)
{
    return (r->low_open ? high <= r->low : high < r->low) || (r->high_open ? low >= r->high : low > r->high);
}

enum nb_outcome nb_outcome_of(const struct nb_observation *o, const struct nb_region *r, size_t together)
{
    double low, high;
    if (is_missing(o))
        return NB_MISSING;
    if (o->nan)
        return NB_FAILS;
    if ((is_random(o) && o->n < NB_LEAST_VALUES) || near_border(o, r->low) || near_border(o, r->high))
        return NB_OPEN;
    stretched(o, together, &low, &high);
    const bool in = inside(r, low, high), out = apart(r, low, high);
    return in == out ? NB_OPEN : in != r->outside ? NB_HOLDS : NB_FAILS;
}

/* Until the half width on the border's side is less than its distance. */
static double times_to_clear(const struct nb_observation *o, double low, double high, double border)
{
    const double distance = fabs(border - o->value), half = border > o->value ? high - o->value : o->value - low;
    if (!isfinite(border) || (border > high || border < low))
        return 1;
    return distance > 0 ? fmax(1, (half / distance) * (half / distance)) : INFINITY;
}

double nb_times_longer(const struct nb_observation *o, const struct nb_region *r, size_t together)
{
    double low, high;
    if (nb_outcome_of(o, r, together) != NB_OPEN)
        return 1;
    if (!is_random(o) || near_border(o, r->low) || near_border(o, r->high))
        return INFINITY;
    stretched(o, together, &low, &high);
    const double few = o->n < NB_LEAST_VALUES ? (double)NB_LEAST_VALUES / (double)o->n : 1;
    return fmax(few, fmax(times_to_clear(o, low, high, r->low), times_to_clear(o, low, high, r->high)));
}

double nb_stretch(size_t together, size_t n)
{
    const size_t freedom = n > 2 ? n - 1 : 1;
    return together > 1 ? nb_student_quantile(1 - 0.025 / (double)together, freedom) / nb_student_quantile(0.975, freedom) : 1;
}

/* ---- all cells ---- */

static void judge_cells(const struct nb_evidence *tests, size_t n, size_t together, struct nb_judgement *j)
{
    j->holds = j->fails = j->open = j->missing = j->lost = 0;
    j->together = together;
    j->stretch = 1;
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tests[t].n; i++) {
            const enum nb_outcome o = tests[t].outcome[i] = nb_outcome_of(tests[t].v[i], &tests[t].region, together);
            if (is_random(tests[t].v[i]) && tests[t].v[i]->n >= NB_LEAST_VALUES && !is_missing(tests[t].v[i]))
                j->stretch = fmax(j->stretch, nb_stretch(together, tests[t].v[i]->n));
            ++*(o == NB_HOLDS ? &j->holds : o == NB_FAILS ? &j->fails : o == NB_OPEN ? &j->open : &j->missing);
            j->lost += o == NB_MISSING && tests[t].v[i]->once;
        }
}

static size_t random_cells(const struct nb_evidence *tests, size_t n)
{
    size_t count = 0;
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tests[t].n; i++)
            count += is_random(tests[t].v[i]) && !is_missing(tests[t].v[i]);
    return count;
}

/* Cells of a test that could be observed. */
static size_t seen(const struct nb_evidence *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->n; i++)
        count += t->outcome[i] != NB_MISSING;
    return count;
}

static const char *why_missing(const struct nb_evidence *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->outcome[i] == NB_MISSING)
            return t->v[i]->missing[0] != '\0' ? t->v[i]->missing : "its interval does not hold its value";
    return "";
}

static void find_regime(const struct nb_evidence *tests, size_t n, struct nb_judgement *j)
{
    struct nb_regime_cell *v = calloc(j->holds + j->fails + j->open, sizeof *v);
    size_t count = 0;
    NB_ASSERT(v != NULL);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tests[t].n; i++)
            if (tests[t].outcome[i] != NB_MISSING)
                v[count++] = (struct nb_regime_cell){tests[t].test, tests[t].v[i]->where, tests[t].outcome[i]};
    nb_regime(v, count, j->regime, sizeof j->regime);
    free(v);
}

static void say(struct nb_judgement *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct nb_judgement *j, const char *format, ...)
{
    const size_t n = strlen(j->reason);
    va_list args;
    va_start(args, format);
    if (n + 2 < sizeof j->reason) {
        const int joined = snprintf(j->reason + n, sizeof j->reason - n, "%s", n > 0 ? "; " : "");
        vsnprintf(j->reason + n + joined, sizeof j->reason - n - (size_t)joined, format, args);
    }
    va_end(args);
}

/* Whether it is open for nothing but too few values. */
static bool only_few(const struct nb_observation *o, const struct nb_region *r, size_t together)
{
    struct nb_observation enough = *o;
    enough.n = NB_LEAST_VALUES;
    return is_random(o) && o->n < NB_LEAST_VALUES && !is_missing(o) && nb_outcome_of(&enough, r, together) != NB_OPEN;
}

static size_t count_few(const struct nb_evidence *tests, size_t n, size_t together)
{
    size_t count = 0;
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tests[t].n; i++)
            count += only_few(tests[t].v[i], &tests[t].region, together);
    return count;
}

/* The longest that any open cell takes; how many of them no length would decide. */
static void find_longer(const struct nb_evidence *tests, size_t n, struct nb_judgement *j)
{
    const size_t few = count_few(tests, n, j->together);
    size_t never = 0;
    j->longer = 1;
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tests[t].n; i++) {
            const double times = nb_times_longer(tests[t].v[i], &tests[t].region, j->together);
            never += isinf(times);
            j->longer = fmax(j->longer, times);
        }
    if (few > 0)
        say(j, "%zu of them rest on fewer values than make an interval: at least %d are needed", few, NB_LEAST_VALUES);
    if (few == j->open)
        return;
    if (never > 0)
        say(j, "no length would decide %zu of them: the border lies at the value or within the noise floor", never);
    else
        say(j, "about %.2g times as many values would decide", j->longer < 1.1 ? 1.1 : ceil(10 * j->longer) / 10);
}

static void unresolved(const struct nb_evidence *tests, size_t n, bool mixed, struct nb_judgement *j)
{
    j->finding = NB_NOT_RESOLVED;
    if (mixed)
        say(j, "cells disagree, but not with the certainty that %zu cells together ask for", j->random);
    if (j->lost > 0)
        say(j, "%zu of %zu cells were not observed in this run and may be in another", j->lost,
            j->holds + j->fails + j->open + j->missing);
    if (j->open == 0)
        return;
    say(j, "%zu of %zu cells are open", j->open, j->open + j->holds + j->fails);
    find_longer(tests, n, j);
}

/* A test whose experiment failed, or which counts nothing, leaves nothing to judge. */
static bool no_trial(const struct nb_evidence *tests, size_t n, struct nb_judgement *j)
{
    for (size_t t = 0; t < n; t++) {
        if (tests[t].error != NULL)
            say(j, "test %s: %s", tests[t].test, tests[t].error);
        else if (tests[t].n == 0) {
            j->broken = true;
            say(j, "test %s: no observation is left", tests[t].test);
        }
    }
    return j->reason[0] != '\0' || n == 0;
}

static void say_missing(const struct nb_evidence *tests, size_t n, struct nb_judgement *j)
{
    for (size_t t = 0; t < n; t++) {
        const size_t lost = tests[t].n - seen(&tests[t]);
        if (lost == tests[t].n)
            say(j, "test %s could not be tried: %s", tests[t].test, why_missing(&tests[t]));
        else if (lost > 0)
            say(j, "%zu of %zu cells of test %s could not be observed: %s", lost, tests[t].n, tests[t].test,
                why_missing(&tests[t]));
    }
}

struct nb_judgement nb_judge(const struct nb_evidence *tests, size_t n)
{
    struct nb_judgement j = {.finding = NB_NOT_TESTABLE, .longer = NAN, .together = 1, .stretch = 1};
    size_t untried = 0;
    if (no_trial(tests, n, &j))
        return j;
    judge_cells(tests, n, 1, &j);
    const bool mixed = j.holds > 0 && j.fails > 0;
    j.random = random_cells(tests, n);
    if (mixed)
        judge_cells(tests, n, j.random, &j);
    for (size_t t = 0; t < n; t++)
        untried += seen(&tests[t]) == 0;
    if (j.holds > 0 && j.fails > 0) {
        j.finding = NB_CONDITIONAL;
        find_regime(tests, n, &j);
        if (j.open > 0)
            say(&j, "%zu of %zu cells are open", j.open, j.open + j.holds + j.fails);
    } else if (mixed || j.open > 0 || j.lost > 0 || (untried > 0 && untried < n))
        unresolved(tests, n, mixed, &j);
    else if (untried == 0)
        j.finding = j.holds > 0 ? NB_REPRODUCED : NB_REFUTED;
    say_missing(tests, n, &j);
    return j;
}
