#include "compare_samples.h"
#include "report_data.h"

#include <math.h>
#include <string.h>

struct nb_samples {
    struct rep_run *runs;
    size_t nruns;
};

enum nb_status nb_samples_load(struct nb_samples **s, const struct nb_summary *runs,
                               size_t nruns, struct nb_err *err)
{
    enum nb_status status = NB_OK;
    *s = calloc(1, sizeof **s);
    NB_ASSERT(*s != NULL && "out of memory");
    (*s)->runs = calloc(nruns, sizeof *(*s)->runs);
    NB_ASSERT((*s)->runs != NULL && "out of memory");
    for (size_t i = 0; status == NB_OK && i < nruns; i++) {
        (*s)->nruns++;
        status = rep_load(runs[i].dir, &(*s)->runs[i], err);
        if (status == NB_OK)
            rep_numbers(&(*s)->runs[i]);
    }
    return status;
}

void nb_samples_free(struct nb_samples *s)
{
    for (size_t i = 0; s != NULL && i < s->nruns; i++)
        rep_free(&s->runs[i]);
    if (s != NULL)
        free(s->runs);
    free(s);
}

static bool same_or_null(const char *a, const char *b)
{
    return (a == NULL && b == NULL) || rep_same(a, b);
}

static bool is_its_cell(const struct rep_cell *c, const struct nb_speedup *s)
{
    return rep_same(c->dir, s->dir) && rep_same(c->fuse, s->fuse) &&
           rep_same(c->dtype, s->dtype) &&
           (s->param_dtype == NULL ||
            rep_same(c->param_dtype ? c->param_dtype : c->dtype, s->param_dtype)) &&
           rep_same(c->residency, s->residency) && c->hidden == s->hidden &&
           c->rows == s->rows && c->threads == s->threads && c->in_place == s->in_place;
}

static bool is_its_pairing(const struct rep_pairing *p, const struct nb_speedup *s)
{
    return rep_has_speedup(p) && rep_same(p->name, s->pairing) &&
           same_or_null(p->isa, s->isa) && same_or_null(p->base_name, s->base_kernel) &&
           same_or_null(p->test_name, s->test_kernel);
}

/* The pairing of that line of speedup.csv; NULL: none, or more than one. */
static const struct rep_pairing *
find(const struct rep_run *run, const struct nb_speedup *s, const struct rep_cell **cell)
{
    const struct rep_pairing *found = NULL;
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t p = 0; is_its_cell(&run->cells[i], s) && p < run->cells[i].npairings;
             p++) {
            if (!is_its_pairing(&run->cells[i].pairings[p], s))
                continue;
            if (found != NULL)
                return NULL;
            found = &run->cells[i].pairings[p];
            *cell = &run->cells[i];
        }
    return found;
}

const double *nb_samples_sorted(void *samples, const struct nb_value *v, size_t *n)
{
    struct nb_samples *s = samples;
    struct rep_run *run = &s->runs[v->run];
    const struct rep_cell *cell = NULL;
    const struct rep_pairing *p =
        v->speedup != NULL ? find(run, v->speedup, &cell) : NULL;
    if (p == NULL)
        return NULL;
    double *speedups = rep_alloc(run, (cell->nunits + 1) * sizeof *speedups);
    *n = rep_process_speedups(run, cell, p, speedups);
    return speedups;
}
