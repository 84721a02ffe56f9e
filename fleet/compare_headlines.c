#include "comparison.h"

#include <math.h>
#include <string.h>

static const char *const RESIDENCIES[] = {"L1", "L2", "L3", "DRAM", "cold"};
static const char *const DTYPES[] = {"f32", "bf16", "f16", "f64"};
enum { RESIDENCY_COUNT = 5, DTYPE_COUNT = 4 };

/* What names the case: any run's line. */
static const struct nb_speedup *like(const struct nb_comparison *c,
                                     const struct nb_compared *cell)
{
    for (size_t i = 0; i < c->n; i++)
        if (cell->of[i] != NULL && cell->of[i]->speedup != NULL)
            return cell->of[i]->speedup;
    return NULL;
}

static size_t count_values(const struct nb_comparison *c, const struct nb_compared *cell)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += cell->of[i] != NULL && cell->of[i]->missing == NULL;
    return n;
}

static int tier(const struct nb_speedup *s)
{
    const bool ops =
        strcmp(s->test_op, "rmsnorm") == 0 && strcmp(s->base_op, "layernorm") == 0;
    const bool plain =
        strcmp(s->dir, "fwd") == 0 && strcmp(s->fuse, "none") == 0 && !s->in_place;
    return 4 * (ops && strcmp(s->pairing, "best-of-each") == 0) + 2 * plain +
           (s->threads == 1);
}

static double distance(const struct nb_speedup *s)
{
    return fabs(log2((double)(s->hidden ? s->hidden : 1) / 4096));
}

/* Whether a goes before b; both of one residency and dtype. */
static bool is_better(const struct nb_comparison *c, const struct nb_headline *a,
                      const struct nb_headline *b)
{
    if (b->cell == NULL || tier(a->like) != tier(b->like))
        return b->cell == NULL || tier(a->like) > tier(b->like);
    const size_t na = count_values(c, a->cell), nb = count_values(c, b->cell);
    return na != nb ? na > nb : distance(a->like) < distance(b->like);
}

static struct nb_headline best(const struct nb_comparison *c, const char *residency,
                               const char *dtype)
{
    struct nb_headline found = {NULL, NULL};
    for (size_t i = 0; i < c->cells.ncells; i++) {
        const struct nb_headline h = {&c->cells.cells[i], like(c, &c->cells.cells[i])};
        if (h.like != NULL && strcmp(h.like->residency, residency) == 0 &&
            strcmp(h.like->dtype, dtype) == 0 && count_values(c, h.cell) > 0 &&
            is_better(c, &h, &found))
            found = h;
    }
    return found;
}

size_t nb_headlines(const struct nb_comparison *c, struct nb_headline list[NB_HEADLINES])
{
    size_t n = 0;
    for (size_t r = 0; r < RESIDENCY_COUNT; r++)
        for (size_t d = 0; d < DTYPE_COUNT; d++) {
            list[n] = best(c, RESIDENCIES[r], DTYPES[d]);
            n += list[n].cell != NULL;
        }
    return n;
}

void nb_headline_name(const struct nb_headline *h, char *text, size_t len)
{
    snprintf(text, len, "%.8s %.8s h%zu", h->like->residency, h->like->dtype,
             h->like->hidden);
}

/* ---- roofs ---- */

static bool is_its_case(const struct nb_result *r, const struct nb_speedup *s)
{
    return r->hidden == s->hidden && r->rows == s->rows && r->threads == s->threads &&
           r->in_place == s->in_place && !r->stats_out &&
           strcmp(r->residency, s->residency) == 0 && strcmp(r->dtype, s->dtype) == 0 &&
           strcmp(r->dir, s->dir) == 0 && strcmp(r->fuse, s->fuse) == 0;
}

static const struct nb_result *result_of(const struct nb_summary *run,
                                         const struct nb_speedup *s, const char *kernel)
{
    for (size_t i = 0; kernel != NULL && i < run->nresults; i++)
        if (strcmp(run->results[i].kernel, kernel) == 0 &&
            is_its_case(&run->results[i], s))
            return &run->results[i];
    return NULL;
}

struct nb_roof nb_headline_roof(const struct nb_comparison *c,
                                const struct nb_headline *h, size_t run)
{
    struct nb_roof roof = {NAN, {NAN, NAN, NAN}};
    const struct nb_value *v = h->cell->of[run];
    const struct nb_result *test =
        v && v->speedup ? result_of(&c->runs[run], v->speedup, v->speedup->test_kernel)
                        : NULL;
    const struct nb_result *hard =
        test ? result_of(&c->runs[run], v->speedup, test->roof) : NULL;
    if (test != NULL)
        roof.share = test->of_roof;
    if (hard != NULL)
        roof.gbps = hard->gbps;
    return roof;
}
