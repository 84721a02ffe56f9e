/* What a set of cells says of RMSNorm against LayerNorm: the range of the ratio and how
 * many cells it holds for. */
#include "report_data.h"

#include <math.h>
#include <string.h>

const struct rep_pairing *rep_headline(const struct rep_cell *c, bool best)
{
    return best ? c->best : c->same;
}

static void count_ratio(struct rep_summary *s, const struct rep_estimate *e,
                        const char *verdict, bool beaten)
{
    if (!isfinite(e->value)) {
        s->missing++;
        return;
    }
    if (beaten) {
        s->beaten++;
        return;
    }
    s->least = s->cells == 0 || e->value < s->least ? e->value : s->least;
    s->most = s->cells == 0 || e->value > s->most ? e->value : s->most;
    s->processes =
        s->cells == 0 || e->processes < s->processes ? e->processes : s->processes;
    s->most_processes =
        e->processes > s->most_processes ? e->processes : s->most_processes;
    if (isfinite(e->confidence))
        s->confidence = s->confidence == 0 || e->confidence < s->confidence
                            ? e->confidence
                            : s->confidence;
    s->cells++;
    s->faster += strcmp(verdict, "faster") == 0;
    s->slower += strcmp(verdict, "slower") == 0;
    s->unresolved += strcmp(verdict, "unresolved") == 0;
    s->few += strcmp(verdict, "too-few-processes") == 0;
}

static void count_pairing(struct rep_summary *s, const struct rep_pairing *p)
{
    count_ratio(s, &p->speedup, p->verdict, rep_is_beaten(p));
}

bool rep_same_line(const struct rep_cell *a, const struct rep_cell *b)
{
    return rep_same(a->dir, b->dir) && rep_same(a->fuse, b->fuse) &&
           a->stats_out == b->stats_out && a->offset == b->offset &&
           a->in_place == b->in_place && strcmp(a->type, b->type) == 0 &&
           strcmp(a->residency, b->residency) == 0 && a->threads == b->threads;
}

struct rep_summary rep_summarize(const struct rep_run *run, bool best,
                                 const struct rep_cell *like)
{
    struct rep_summary s = {0};
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (rep_headline(c, best) != NULL &&
            (like == NULL ? rep_counts(run, c) : rep_same_line(c, like)))
            count_pairing(&s, rep_headline(c, best));
    }
    return s;
}

struct rep_summary rep_summarize_residency(const struct rep_run *run, bool best,
                                           const char *residency)
{
    struct rep_summary s = {0};
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (rep_headline(c, best) != NULL && rep_counts(run, c) &&
            strcmp(c->residency, residency) == 0)
            count_pairing(&s, rep_headline(c, best));
    }
    return s;
}

struct rep_summary rep_summarize_in_place(const struct rep_run *run)
{
    struct rep_summary s = {0};
    for (size_t i = 0; i < run->ncells; i++)
        if (run->cells[i].best != NULL && run->cells[i].in_place &&
            !rep_counts(run, &run->cells[i]))
            count_pairing(&s, run->cells[i].best);
    return s;
}

struct rep_summary rep_summarize_others(const struct rep_run *run,
                                        bool (*is_other)(const struct rep_run *,
                                                         const struct rep_cell *))
{
    struct rep_summary s = {0};
    for (size_t i = 0; i < run->ncells; i++)
        if (run->cells[i].best != NULL && is_other(run, &run->cells[i]))
            count_pairing(&s, run->cells[i].best);
    return s;
}

bool rep_is_headline_step(const struct rep_step *s)
{
    return rep_is_rms_over_layer(s->of) && rep_step_is_best(s);
}

struct rep_summary rep_summarize_steps(const struct rep_run *run)
{
    struct rep_summary s = {0};
    for (size_t i = 0; i < run->nsteps; i++) {
        const struct rep_step *step = &run->steps[i];
        if (rep_is_headline_step(step))
            count_ratio(&s, &step->speedup, step->verdict, rep_step_is_beaten(step));
    }
    return s;
}
