#include "compare_statements.h"
#include "apart.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

const char *const nb_statement_word[NB_STATEMENTS] = {"none", "too-few-processes",
                                                      "overlap", "higher", "lower"};

/* Of cycles there is no interval; times of two runs are facts of two hours. */
static bool is_stated(enum nb_quantity q)
{
    return q == NB_Q_SPEEDUP || q == NB_Q_ROOF;
}

static bool is_comparable(const struct nb_value *v)
{
    return v != NULL && v->missing == NULL;
}

static bool is_pair(const struct nb_compared *cell, size_t run)
{
    return is_stated(cell->quantity) && is_comparable(cell->of[0]) &&
           is_comparable(cell->of[run]);
}

static size_t count_pairs(const struct nb_cells *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->ncells; i++)
        for (size_t r = 1; r < c->nruns; r++)
            n += is_pair(&c->cells[i], r);
    return n;
}

/* ---- one pair ---- */

struct interval {
    double lo, hi;
    size_t n, k;
};

/* The narrowest order statistics of both that reach the level; as stored, where they do.
 * False: none reach it. */
static bool wider(struct interval *a, const double *va, struct interval *b,
                  const double *vb, double level)
{
    for (; nb_apart_level(a->n, a->k, b->n, b->k) > level;
         a->k -= a->k > 1, b->k -= b->k > 1)
        if (a->k == 1 && b->k == 1)
            return false;
    a->lo = va[a->k - 1];
    a->hi = va[a->n - a->k];
    b->lo = vb[b->k - 1];
    b->hi = vb[b->n - b->k];
    return true;
}

/* Where both hold the same ratio of medians q, q lies between these: the one interval
 * must begin before the other ends. */
static struct nb_change judge(const struct nb_value *first, const struct nb_value *v,
                              const struct interval *a, const struct interval *b)
{
    const struct nb_measured change = {v->m.value / first->m.value, b->lo / a->hi,
                                       b->hi / a->lo};
    return (struct nb_change){change.lo > 1   ? NB_HIGHER
                              : change.hi < 1 ? NB_LOWER
                                              : NB_OVERLAP,
                              change};
}

static struct nb_change compare_pair(const struct nb_value *first,
                                     const struct nb_value *v, double level,
                                     nb_sorted *sorted, void *context)
{
    const struct nb_change too_few = {NB_TOO_FEW,
                                      {v->m.value / first->m.value, NAN, NAN}};
    struct interval a = {first->m.lo, first->m.hi, first->processes, first->order},
                    b = {v->m.lo, v->m.hi, v->processes, v->order};
    if (a.k > 0 && b.k > 0 && nb_apart_level(a.n, a.k, b.n, b.k) <= level)
        return judge(first, v, &a, &b);
    const double *va = sorted ? sorted(context, first, &a.n) : NULL,
                 *vb = sorted ? sorted(context, v, &b.n) : NULL;
    a.k = va ? nb_apart_order(a.n) : 0;
    b.k = vb ? nb_apart_order(b.n) : 0;
    return a.k > 0 && b.k > 0 && wider(&a, va, &b, vb, level) ? judge(first, v, &a, &b)
                                                              : too_few;
}

void nb_statements_make(struct nb_statements *s, const struct nb_cells *c,
                        nb_sorted *sorted, void *context)
{
    *s = (struct nb_statements){.alpha = 0.05, .family = count_pairs(c)};
    s->level = s->family > 0 ? s->alpha / (double)s->family : s->alpha;
    s->needed = nb_apart_needed(s->level);
    s->changes = calloc(c->ncells * c->nruns + 1, sizeof *s->changes);
    NB_ASSERT(s->changes != NULL && "out of memory");
    for (size_t i = 0; i < c->ncells; i++)
        for (size_t r = 0; r < c->nruns; r++) {
            struct nb_change *to = &s->changes[i * c->nruns + r];
            *to = (struct nb_change){NB_NO_STATEMENT, {NAN, NAN, NAN}};
            if (r > 0 && is_pair(&c->cells[i], r))
                *to = compare_pair(c->cells[i].of[0], c->cells[i].of[r], s->level, sorted,
                                   context);
            s->count[to->statement]++;
        }
}

void nb_statements_free(struct nb_statements *s)
{
    free(s->changes);
    *s = (struct nb_statements){0};
}
