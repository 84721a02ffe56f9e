#include "gate_verdict.h"

#include "err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAMES[NB_GATE_VERDICTS] = {
    [NB_GATE_UNCHANGED] = "UNCHANGED",     [NB_GATE_SAME] = "SAME",
    [NB_GATE_FASTER] = "FASTER",           [NB_GATE_NOT_SLOWER] = "NOT SLOWER",
    [NB_GATE_SLOWER] = "SLOWER",           [NB_GATE_NOT_RESOLVED] = "NOT RESOLVED",
    [NB_GATE_UNCONFIRMED] = "UNCONFIRMED", [NB_GATE_FAILED] = "FAILED",
    [NB_GATE_NO_BASE] = "NO BASE",         [NB_GATE_ADDED] = "ADDED",
    [NB_GATE_REMOVED] = "REMOVED"};

const char *nb_gate_verdict_name(enum nb_gate_verdict v)
{
    NB_ASSERT(v < NB_GATE_VERDICTS);
    return NAMES[v];
}

void nb_gate_push(struct nb_gate_series *s, double ln_ratio)
{
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 8;
        s->v = realloc(s->v, s->room * sizeof *s->v);
        NB_ASSERT(s->v != NULL);
    }
    s->v[s->n++] = ln_ratio;
}

void nb_gate_set_free(struct nb_gate_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct nb_gate_entry *e = &set->entry[i];
        free(e->cell);
        free(e->kernel);
        free(e->reason);
        free(e->screen.v);
        free(e->screen_aa.v);
        free(e->confirm.v);
        free(e->confirm_aa.v);
        for (size_t k = 0; k < NB_GATE_LAYOUTS; k++)
            free(e->layout[k].v);
    }
    free(set->entry);
    *set = (struct nb_gate_set){0};
}

/* Statistics sort what they are given, and series stay in the order of blocks. */
static double *copied(const struct nb_gate_series *s)
{
    double *v = malloc((s->n + 1) * sizeof *v);
    NB_ASSERT(v != NULL);
    if (s->n > 0)
        memcpy(v, s->v, s->n * sizeof *v);
    return v;
}

static double median_of(const struct nb_gate_series *s)
{
    double *v = copied(s), m = s->n > 0 ? nb_median(v, s->n) : NAN;
    free(v);
    return m;
}

static struct nb_interval interval_of(const struct nb_gate_series *s, double confidence)
{
    double *v = copied(s);
    struct nb_interval r = nb_median_interval(v, s->n, confidence);
    free(v);
    return r;
}

static bool is_compared(const struct nb_gate_entry *e)
{
    return e->verdict != NB_GATE_FAILED && e->verdict != NB_GATE_NO_BASE &&
           e->verdict != NB_GATE_ADDED && e->verdict != NB_GATE_REMOVED;
}

/* ---- screening ---- */

#define SCREEN_ALPHA 0.05 /* family-wise: what passes by luck costs time, and may stay unresolved */

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* What the medians of so many comparisons reach, where nothing has changed, in one run of twenty: from the root mean
 * square of those of base against base in the same blocks. */
static double screening_noise(const struct nb_gate_set *set)
{
    double squares = 0;
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct nb_gate_series *aa = &set->entry[i].screen_aa;
        if (!is_compared(&set->entry[i]) || aa->n == 0)
            continue;
        squares += median_of(aa) * median_of(aa);
        n++;
    }
    return n > 0 ? nb_normal_quantile(1 - SCREEN_ALPHA / 2 / (double)n) * sqrt(squares / (double)n) : 0;
}

/* The |median| beyond which a comparison is confirmed: the noise, or that of the first for which there is no room. */
static double find_threshold(const struct nb_gate_set *set)
{
    double *m = malloc((set->count + 1) * sizeof *m);
    double threshold = set->threshold_noise;
    size_t n = 0;
    NB_ASSERT(m != NULL);
    for (size_t i = 0; i < set->count; i++) {
        const double x = fabs(median_of(&set->entry[i].screen));
        if (is_compared(&set->entry[i]) && !set->entry[i].control && x > threshold)
            m[n++] = x;
    }
    qsort(m, n, sizeof *m, descending);
    if (n > set->most_candidates)
        threshold = m[set->most_candidates];
    free(m);
    return threshold;
}

void nb_gate_screen(struct nb_gate_set *set)
{
    set->threshold_noise = fmax(set->threshold_least, screening_noise(set));
    set->threshold = find_threshold(set);
    set->candidates = set->unconfirmed = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct nb_gate_entry *e = &set->entry[i];
        const double x = fabs(median_of(&e->screen));
        e->candidate = is_compared(e) && (e->control || x > set->threshold);
        set->candidates += e->candidate && !e->control;
        if (is_compared(e) && !e->candidate && x > set->threshold_noise) {
            e->verdict = NB_GATE_UNCONFIRMED;
            set->unconfirmed++;
        }
    }
}

/* The control is confirmed in any case, and found only if it stands out as any other must. That larger changes leave no
 * room for smaller ones says nothing against it. */
static bool passes_screening(const struct nb_gate_set *set, const struct nb_gate_entry *e)
{
    return median_of(&e->screen) > set->threshold_noise;
}

/* ---- margins ---- */

/* How far from 1 a build appears that differs from head in nothing but the order in which it was linked. */
static double layout_floor(const struct nb_gate_set *set, const struct nb_gate_entry *e)
{
    double floor = 0;
    if (!set->layouts)
        return set->layout_missing;
    for (size_t k = 0; k < NB_GATE_LAYOUTS; k++)
        if (e->layout[k].n > 0)
            floor = fmax(floor, fabs(median_of(&e->layout[k])));
    return floor;
}

/* |median| of so many blocks, drawn with replacement. */
static double resampled(const struct nb_gate_series *s, double *room, unsigned long long *state)
{
    for (size_t i = 0; i < s->n; i++)
        room[i] = s->v[nb_random(state) % s->n];
    return fabs(nb_median(room, s->n));
}

/* What medians of A/A reach at the number of blocks of a verdict: the 99th percentile over confirmed comparisons
 * and 200 resamples of each. */
static double aa_margin(const struct nb_gate_set *set)
{
    enum { RESAMPLES = 200 };
    unsigned long long state = set->seed;
    double *all = malloc((set->count * RESAMPLES + 1) * sizeof *all);
    size_t n = 0;
    NB_ASSERT(all != NULL);
    for (size_t i = 0; i < set->count; i++) {
        const struct nb_gate_series *s = &set->entry[i].confirm_aa;
        double *room = copied(s);
        for (int r = 0; s->n > 0 && r < RESAMPLES; r++)
            all[n++] = resampled(s, room, &state);
        free(room);
    }
    qsort(all, n, sizeof *all, descending);
    const double margin = n > 0 ? all[n / 100] : NAN;
    free(all);
    return margin;
}

static double margin_of(const struct nb_gate_set *set, const struct nb_gate_entry *e)
{
    if (set->margin_fixed)
        return set->margin_least;
    return fmax(set->margin_least, fmax(isnan(set->margin_aa) ? 0 : set->margin_aa, e->layout_floor));
}

/* ---- tests ---- */

static double sign_test(const struct nb_gate_series *s, double factor, double margin)
{
    double *v = copied(s);
    for (size_t i = 0; i < s->n; i++)
        v[i] *= factor;
    const double p = nb_sign_test(v, s->n, margin);
    free(v);
    return p;
}

/* Holm over the candidates; the control is no member of their family, but is tested as if it were one more. */
static void holm(struct nb_gate_set *set, size_t field)
{
    double *p = malloc((set->count + 1) * sizeof *p), *adjusted = malloc((set->count + 1) * sizeof *p);
    NB_ASSERT(p != NULL && adjusted != NULL);
    for (int with_control = 0; with_control < 2; with_control++) {
        for (size_t i = 0; i < set->count; i++) {
            const struct nb_gate_entry *e = &set->entry[i];
            const bool tested = e->candidate && e->confirm.n > 0 && (!e->control || with_control);
            const bool slower = field == offsetof(struct nb_gate_entry, p_slower);
            p[i] = tested ? sign_test(&e->confirm, slower ? 1 : -1, e->margin) : NAN;
        }
        nb_holm(p, set->count, adjusted);
        for (size_t i = 0; i < set->count; i++)
            if (set->entry[i].control == (with_control == 1))
                *(double *)((char *)&set->entry[i] + field) = adjusted[i];
    }
    free(p);
    free(adjusted);
}

/* A/A at level alpha, family-wise: base against base is 1, whatever the margin. */
static void test_aa(struct nb_gate_set *set)
{
    double *p = malloc((set->count + 1) * sizeof *p), *adjusted = malloc((set->count + 1) * sizeof *p);
    NB_ASSERT(p != NULL && adjusted != NULL);
    set->aa_worst = set->aa_p = NAN;
    for (size_t i = 0; i < set->count; i++) {
        const struct nb_gate_series *s = &set->entry[i].confirm_aa;
        p[i] = s->n > 0 ? nb_sign_test_two_sided(s->v, s->n, 0) : NAN;
        if (s->n > 0)
            set->aa_worst = fmax(isnan(set->aa_worst) ? 0 : set->aa_worst, fabs(median_of(s)));
    }
    nb_holm(p, set->count, adjusted);
    for (size_t i = 0; i < set->count; i++)
        if (!isnan(adjusted[i]))
            set->aa_p = isnan(set->aa_p) ? adjusted[i] : fmin(set->aa_p, adjusted[i]);
    set->aa_flagged = set->aa_p <= set->alpha;
    free(p);
    free(adjusted);
}

static enum nb_gate_verdict verdict_of(const struct nb_gate_set *set, const struct nb_gate_entry *e)
{
    if (e->p_slower <= set->alpha / 2)
        return NB_GATE_SLOWER;
    if (e->p_faster <= set->alpha / 2)
        return NB_GATE_FASTER;
    if (e->interval.hi < e->margin)
        return e->interval.lo > -e->margin ? NB_GATE_SAME : NB_GATE_NOT_SLOWER;
    return NB_GATE_NOT_RESOLVED;
}

/* ---- what could have been seen ---- */

/* Of a comparison without a block nothing is known: that is not "unchanged". */
static bool has_no_data(const struct nb_gate_entry *e)
{
    return is_compared(e) && (e->screen.n == 0 || (e->candidate && e->confirm.n == 0)) && !e->control;
}

/* A shift is found when the screening makes it a candidate (its median beyond the threshold) and the
 * confirmation decides (at the level that one candidate would have): .95 each, .9 both. The spread is that of the
 * blocks there are. */
static double detectable(const struct nb_gate_set *set, const struct nb_gate_entry *e)
{
    const struct nb_gate_series *s = e->confirm.n > e->screen.n ? &e->confirm : &e->screen;
    const double spread = nb_spread(s->v, s->n);
    const double z = 1.645, margin = isnan(e->margin) ? set->margin_least : e->margin;
    const double median_sd = spread * sqrt(1.5707963 / (double)(e->screen.n > 0 ? e->screen.n : 1));
    const double confirmed = margin + nb_detectable(spread, set->confirm_blocks, set->alpha, 0.95);
    return fmax(set->threshold + z * median_sd, confirmed);
}

void nb_gate_decide(struct nb_gate_set *set)
{
    const double simultaneous = 1 - set->alpha / (double)(set->candidates > 0 ? set->candidates : 1);
    set->margin_aa = aa_margin(set);
    for (size_t i = 0; i < set->count; i++) {
        struct nb_gate_entry *e = &set->entry[i];
        const bool confirmed = e->candidate && e->confirm.n > 0;
        e->layout_floor = confirmed ? layout_floor(set, e) : NAN;
        e->margin = confirmed ? margin_of(set, e) : NAN;
        e->interval = confirmed ? interval_of(&e->confirm, simultaneous) : interval_of(&e->screen, 0.5);
        e->hodges_lehmann = confirmed          ? nb_hodges_lehmann(e->confirm.v, e->confirm.n)
                            : e->screen.n > 0 ? nb_hodges_lehmann(e->screen.v, e->screen.n)
                                              : NAN;
        e->p_slower = e->p_faster = NAN;
        e->detectable = is_compared(e) ? detectable(set, e) : NAN;
    }
    holm(set, offsetof(struct nb_gate_entry, p_slower));
    holm(set, offsetof(struct nb_gate_entry, p_faster));
    test_aa(set);
    set->control_found = false;
    for (size_t i = 0; i < set->count; i++) {
        struct nb_gate_entry *e = &set->entry[i];
        if (e->candidate && e->confirm.n > 0 && is_compared(e))
            e->verdict = verdict_of(set, e);
        else if (has_no_data(e))
            e->verdict = NB_GATE_NOT_RESOLVED;
        set->control_found = set->control_found || (e->control && e->verdict == NB_GATE_SLOWER && passes_screening(set, e));
    }
}

static size_t count_of(const struct nb_gate_set *set, enum nb_gate_verdict v)
{
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++)
        n += !set->entry[i].control && set->entry[i].verdict == v;
    return n;
}

const char *nb_gate_invalid(const struct nb_gate_set *set)
{
    if (set->aa_flagged)
        return "base differs from itself: what disturbs this machine would pass for a change";
    if (!set->control_found)
        return "the injected slowdown was not found: a real one of that size would not have been, either";
    return NULL;
}

int nb_gate_exit_code(const struct nb_gate_set *set)
{
    return nb_gate_invalid(set) != NULL                    ? 1
           : count_of(set, NB_GATE_FAILED) > 0       ? 2
           : count_of(set, NB_GATE_SLOWER) > 0       ? 3
           : count_of(set, NB_GATE_NOT_RESOLVED) > 0 ? 4
                                                     : 0;
}
