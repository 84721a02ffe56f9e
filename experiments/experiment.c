#include "experiment.h"

#include "stats.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- parameters ---- */

/* The next word of a comma-separated list, without the spaces around it; its length, 0 at the end of the list or where two
 * commas follow each other. */
static size_t next_word(const char **rest, const char **word)
{
    const char *p = *rest + strspn(*rest, " ");
    size_t n = strcspn(p, ",");
    *word = p;
    *rest = p + n + (p[n] == ',');
    while (n > 0 && p[n - 1] == ' ')
        n--;
    return n;
}

static bool is_choice(const char *choices, const char *word, size_t n)
{
    for (const char *c = choices; *c != '\0'; c += strcspn(c, " "), c += *c == ' ')
        if (strcspn(c, " ") == n && strncmp(c, word, n) == 0)
            return true;
    return false;
}

static enum nb_status check_number(const struct nb_parameter *p, const char *word, size_t n, struct nb_err *err)
{
    char *end;
    const double v = strtod(word, &end);
    if (n == 0 || end != word + n || !isfinite(v))
        return nb_fail(err, "%s: \"%.*s\" is no number", p->name, (int)n, word);
    if (!(v >= p->least && v <= p->most) || (p->whole && v != floor(v)))
        return nb_fail(err, "%s: %.*s is not a %snumber from %g to %g", p->name, (int)n, word, p->whole ? "whole " : "",
                       p->least, p->most);
    return NB_OK;
}

enum nb_status nb_parameter_check(const struct nb_parameter *p, const char *text, struct nb_err *err)
{
    size_t count = 0;
    if (p->kind == NB_TEXT)
        return p->check != NULL ? p->check(text, err) : NB_OK;
    for (const char *rest = text, *word; count == 0 || *rest != '\0'; count++) {
        const size_t n = next_word(&rest, &word);
        enum nb_status s = NB_OK;
        if (p->kind == NB_NUMBERS)
            s = check_number(p, word, n, err);
        else if (!is_choice(p->choices, word, n))
            s = nb_fail(err, "%s: unknown word \"%.*s\"; known: %s", p->name, (int)n, word, p->choices);
        if (s == NB_OK && (count == NB_NUMBERS_MAX || (count == 1 && p->single)))
            s = nb_fail(err, p->single ? "%s: one value, not a list: \"%s\"" : "%s: more values than this can hold: \"%s\"",
                        p->name, text);
        if (s != NB_OK)
            return s;
    }
    return NB_OK;
}

const char *nb_trial_text(const struct nb_trial *t, const char *name)
{
    for (size_t i = 0; i < t->experiment->parameter_count; i++)
        if (strcmp(t->experiment->parameters[i].name, name) == 0)
            return t->values[i];
    fprintf(stderr, "experiment %s has no parameter %s\n", t->experiment->name, name);
    abort();
}

size_t nb_trial_numbers(const struct nb_trial *t, const char *name, double *v)
{
    size_t count = 0;
    for (const char *rest = nb_trial_text(t, name), *word; *rest != '\0' && count < NB_NUMBERS_MAX; count++) {
        next_word(&rest, &word);
        v[count] = strtod(word, NULL);
    }
    return count;
}

double nb_trial_number(const struct nb_trial *t, const char *name)
{
    return strtod(nb_trial_text(t, name), NULL);
}

bool nb_trial_has(const struct nb_trial *t, const char *name, const char *want)
{
    for (const char *rest = nb_trial_text(t, name), *word; *rest != '\0';) {
        const size_t n = next_word(&rest, &word);
        if (strlen(want) == n && strncmp(word, want, n) == 0)
            return true;
    }
    return false;
}

bool nb_trial_stopped(const struct nb_trial *t)
{
    return t->stop != NULL && t->stop();
}

void nb_trial_progress(const struct nb_trial *t, double share, const char *what)
{
    if (t->progress != NULL)
        t->progress(t->context, share, what);
}

/* ---- observations ---- */

/* A new one; where: a format and its arguments. */
static struct nb_observation *append(struct nb_observations *o, const char *quantity, const char *unit, const char *where, va_list args)
{
    if (o->n == o->room) {
        o->room = o->room > 0 ? 2 * o->room : 16;
        o->v = realloc(o->v, o->room * sizeof *o->v);
        NB_ASSERT(o->v != NULL);
    }
    struct nb_observation *v = &o->v[o->n++];
    *v = (struct nb_observation){.noise = NAN};
    NB_ASSERT(strlen(quantity) < sizeof v->quantity && strlen(unit) < sizeof v->unit);
    strcpy(v->quantity, quantity);
    strcpy(v->unit, unit);
    const int n = vsnprintf(v->where, sizeof v->where, where, args);
    NB_ASSERT(n >= 0 && (size_t)n < sizeof v->where);
    return v;
}

static void put_values(struct nb_observation *v, struct nb_summary s, size_t n, const char *of)
{
    NB_ASSERT(strlen(of) < sizeof v->of);
    strcpy(v->of, of);
    v->n = n;
    v->value = s.median;
    v->low = s.low;
    v->high = s.high;
    v->nan = isnan(s.median);
    if (v->nan)
        strcpy(v->missing, "not a number came out");
}

struct nb_summary nb_summary(double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i]))
            return (struct nb_summary){NAN, NAN, NAN};
    const struct nb_interval i = nb_median_interval(values, n, 0.95); /* sorts them */
    return (struct nb_summary){nb_median(values, n), isnan(i.lo) ? values[0] : i.lo, isnan(i.hi) ? values[n - 1] : i.hi};
}

void nb_observe(struct nb_observations *o, const char *quantity, const char *unit, double value, const char *where, ...)
{
    va_list args;
    va_start(args, where);
    put_values(append(o, quantity, unit, where, args), (struct nb_summary){value, value, value}, 0, "");
    va_end(args);
}

void nb_observe_median(struct nb_observations *o, const char *quantity, const char *unit, double *values, size_t n,
                       const char *of, const char *where, ...)
{
    va_list args;
    NB_ASSERT(n > 0);
    va_start(args, where);
    put_values(append(o, quantity, unit, where, args), nb_summary(values, n), n, of);
    va_end(args);
}

void nb_observe_interval(struct nb_observations *o, const char *quantity, const char *unit, double value, double low, double high,
                         double noise, size_t n, const char *of, const char *where, ...)
{
    va_list args;
    NB_ASSERT(low <= value && value <= high && n > 0);
    va_start(args, where);
    struct nb_observation *v = append(o, quantity, unit, where, args);
    va_end(args);
    put_values(v, (struct nb_summary){value, low, high}, n, of);
    v->noise = noise;
}

void nb_observe_missing(struct nb_observations *o, const char *quantity, const char *unit, const char *why, bool once,
                        const char *where, ...)
{
    va_list args;
    va_start(args, where);
    struct nb_observation *v = append(o, quantity, unit, where, args);
    va_end(args);
    v->value = v->low = v->high = NAN;
    v->once = once;
    snprintf(v->missing, sizeof v->missing, "%s", why);
}

void nb_observations_free(struct nb_observations *o)
{
    free(o->v);
    *o = (struct nb_observations){0};
}

uint64_t nb_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
