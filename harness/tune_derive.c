/* From the files of a run to the table of auto: a choice differs from the default only where the interval of their
 * ratio says that another variant is faster. */
#include "tune.h"

#include "files.h"
#include "registry.h"
#include "report_data.h"
#include "select.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

_Static_assert((int)NB_L1 == NB_AUTO_L1 && (int)NB_DRAM == NB_AUTO_DRAM, "residencies are levels, in one order");

/* What one cell says about one op. */
struct verdict {
    const struct nb_kernel *kernel;
    enum nb_auto_level level;
    size_t rows_from; /* of the range of rows that it stands for */
    size_t hidden, rows;
    double share, gain;
};
struct verdicts {
    struct verdict *v;
    size_t n, elsewhere; /* elsewhere: cells whose data lies where its size does not say */
};

static size_t rows_from(size_t rows)
{
    return rows < NB_TUNE_MANY ? rows : NB_TUNE_MANY;
}

/* ---- a cell ---- */

static bool is_usual(const struct rep_cell *c)
{
    return rep_same(c->dir, "fwd") && rep_same(c->fuse, "none") && c->stats_out == 0 && c->threads == 1 &&
           c->offset == REP_OFFSET && rep_same(c->dtype, c->param_dtype);
}

static struct nb_problem problem_of(const struct rep_cell *c, const struct nb_kernel *k)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem),
                               .op = k->op,
                               .dtype = k->dtype,
                               .param_dtype = k->dtype,
                               .rows = c->rows,
                               .hidden = c->hidden,
                               .ldx = c->hidden,
                               .ldy = c->hidden,
                               .eps = 1e-5};
}

static const struct rep_entry *entry_named(const struct rep_cell *c, const char *name)
{
    for (size_t i = 0; i < c->nentries; i++)
        if (strcmp(c->entries[i].kernel->name, name) == 0)
            return &c->entries[i];
    return NULL;
}

/* The fastest that this auto may run. */
static const struct rep_entry *fastest(const struct rep_cell *c, const struct nb_kernel *self)
{
    const struct nb_problem p = problem_of(c, self);
    const struct rep_entry *best = NULL;
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_entry *e = &c->entries[i];
        const struct nb_kernel *k = nb_kernel_find(e->kernel->name);
        if (k != NULL && isfinite(e->scale_ratio.value) && nb_auto_why_not(self, k) == NULL &&
            !nb_kernel_is_weak(k) && (k->supports == NULL || k->supports(&p) == NULL) &&
            (best == NULL || e->scale_ratio.value > best->scale_ratio.value))
            best = e;
    }
    return best;
}

static void add_verdict(struct verdicts *all, struct verdict v)
{
    for (size_t i = 0; i < all->n; i++) { /* of cells that differ in rows alone, that with most counts */
        struct verdict *o = &all->v[i];
        if (nb_auto_of(o->kernel) != nb_auto_of(v.kernel) || o->level != v.level || o->rows_from != v.rows_from ||
            o->hidden != v.hidden)
            continue;
        if (v.rows > o->rows)
            *o = v;
        return;
    }
    all->v = realloc(all->v, (all->n + 1) * sizeof *all->v);
    NB_ASSERT(all->v != NULL);
    all->v[all->n++] = v;
}

/* The default unless it is slower for certain, or wrong here. One that was not measured keeps its place, too,
 * and has no line. */
static void decide(const struct rep_run *run, const struct rep_cell *c, const struct nb_kernel *self,
                   enum nb_auto_level level, struct verdicts *all)
{
    const struct nb_problem p = problem_of(c, self);
    const struct rep_entry *best = fastest(c, self);
    const struct nb_kernel *usual = nb_auto_default(self->isa, &p, level, c->rows, NULL);
    const struct rep_entry *def = usual != NULL ? entry_named(c, usual->name) : NULL;
    if (best == NULL || def == NULL)
        return;
    struct verdict v = {nb_kernel_find(best->kernel->name), level, rows_from(c->rows), c->hidden, c->rows, 1, 1};
    const struct rep_estimate over = rep_speed_over(run, c, best, def);
    if (isfinite(def->scale_ratio.value)) {
        if (best != def && over.lo > 1) {
            v.gain = over.value;
        } else {
            v.kernel = usual;
            v.share = best != def && over.value > 1 ? 1 / over.value : 1;
        }
    } else if (!rep_is_bad(def->verdict)) {
        return;
    }
    add_verdict(all, v);
}

static void look_at(const struct rep_run *run, const struct rep_cell *c, struct verdicts *all)
{
    bool counted = false;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *self = nb_kernel_at(i);
        if (strcmp(self->algo, "auto") != 0 || nb_kernel_origin(self) != NB_OURS ||
            !rep_same(c->dtype, nb_dtype_name(self->dtype)) || fastest(c, self) == NULL)
            continue;
        const struct nb_problem p = problem_of(c, self);
        const enum nb_auto_level level = nb_auto_level_of(&p, 1);
        /* of few rows only the size is known when auto is asked, wherever the cell lay */
        if (c->rows >= NB_TUNE_MANY && nb_residency_parse(c->residency) != (int)level) {
            all->elsewhere += !counted;
            counted = true;
            continue;
        }
        decide(run, c, self, level, all);
    }
}

/* ---- ranges ---- */

static int by_place(const void *a, const void *b)
{
    const struct verdict *v = a, *w = b;
    const struct nb_kernel *k = nb_auto_of(v->kernel), *l = nb_auto_of(w->kernel);
    if (k->dtype != l->dtype)
        return k->dtype < l->dtype ? -1 : 1;
    if (k->op != l->op)
        return k->op < l->op ? -1 : 1;
    if (k != l)
        return strcmp(k->isa, l->isa);
    if (v->rows_from != w->rows_from)
        return v->rows_from < w->rows_from ? -1 : 1;
    if (v->level != w->level)
        return v->level < w->level ? -1 : 1;
    return v->hidden < w->hidden ? -1 : v->hidden > w->hidden;
}

static bool one_series(const struct verdict *v, const struct verdict *w)
{
    return nb_auto_of(v->kernel) == nb_auto_of(w->kernel) && v->rows_from == w->rows_from && v->level == w->level;
}

static bool supports(const struct nb_kernel *k, size_t hidden)
{
    const struct rep_cell c = {.hidden = hidden, .rows = 1};
    const struct nb_problem p = problem_of(&c, k);
    return k->supports == NULL || k->supports(&p) == NULL;
}

/* Between two measured sizes: the middle, as factors go, or as far as the first kernel reaches. */
static size_t last_hidden(const struct verdict *v, const struct verdict *next)
{
    size_t at = (size_t)sqrt((double)v->hidden * (double)next->hidden);
    at = at < v->hidden ? v->hidden : at;
    while (at > v->hidden && !supports(v->kernel, at))
        at--;
    return at;
}

static void make_ranges(struct verdicts *all, struct nb_tune *t)
{
    size_t from = 0;
    qsort(all->v, all->n, sizeof *all->v, by_place);
    for (size_t i = 0; i < all->n; i++) {
        const struct verdict *v = &all->v[i];
        const bool begins = i == 0 || !one_series(v - 1, v), ends = i + 1 == all->n || !one_series(v, v + 1);
        from = begins ? v->hidden : from;
        const size_t to = ends ? v->hidden : last_hidden(v, v + 1);
        struct nb_auto_choice *last = begins ? NULL : &t->choices[t->count - 1];
        if (last != NULL && last->kernel == v->kernel) {
            last->hidden_to = to;
            t->scores[t->count - 1].share = fmin(t->scores[t->count - 1].share, v->share);
            t->scores[t->count - 1].gain = fmin(t->scores[t->count - 1].gain, v->gain);
        } else {
            nb_tune_add(t, (struct nb_auto_choice){v->kernel, v->level, from, to, v->rows_from,
                                                   v->rows_from < NB_TUNE_MANY ? v->rows_from : SIZE_MAX}, v->share, v->gain);
        }
        from = to + 1;
    }
}

/* ---- the table ---- */

static void made_by(struct nb_tune *t, const json_t *host)
{
    const json_t *before = json_object_get(host, "before");
    const char *version = rep_string(host, "version"), *git = rep_string(host, "git"),
               *utc = rep_string(before, "time");
    snprintf(t->made, sizeof(t->made), "normbench %.40s git %.40s %.40s", version ? version : "unknown",
             git ? git : "unknown", utc ? utc : "unknown");
    for (size_t i = 0; i < nb_isa_count(); i++)
        if (nb_isa_why_not(nb_isa_at(i)) == NULL)
            snprintf(t->isas + strlen(t->isas), sizeof(t->isas) - strlen(t->isas), "%s%s", t->isas[0] ? " " : "",
                     nb_isa_at(i)->name);
}

static void tell(const struct verdicts *all, const struct nb_tune *t, FILE *out)
{
    size_t others = 0;
    double most = 1;
    for (size_t i = 0; i < all->n; i++) {
        others += all->v[i].gain > 1;
        most = fmax(most, all->v[i].gain);
    }
    fprintf(out, "tune    %zu comparisons, %zu choices; in %zu another variant than the default is faster (by up to "
                 "%.1f %%)\n", all->n, t->count, others, 100 * (most - 1));
    if (all->elsewhere > 0)
        fprintf(out, "        left out: %zu cells that do not lie where their size says\n", all->elsewhere);
}

enum nb_status nb_tune_derive(const char *dir, struct nb_tune *t, FILE *out, struct nb_err *err)
{
    struct rep_run run;
    struct verdicts all = {.n = 0};
    *t = (struct nb_tune){.count = 0};
    enum nb_status s = rep_load(dir, &run, err);
    if (s != NB_OK)
        return s;
    rep_numbers(&run);
    for (size_t i = 0; i < run.ncells; i++)
        if (is_usual(&run.cells[i]))
            look_at(&run, &run.cells[i], &all);
    nb_tune_machine(t, run.host);
    made_by(t, run.host);
    if (all.n > 0) {
        make_ranges(&all, t);
        tell(&all, t, out);
    } else {
        s = nb_fail(err, "%s holds no cell from which a choice follows: one thread, at least one variant of auto's and "
                         "its default timed beside scale, in L1, L2, L3 or DRAM", dir);
    }
    free(all.v);
    rep_free(&run);
    return s;
}

enum nb_status nb_tune_write(const struct nb_tune *t, const char *path, struct nb_err *err)
{
    char *text = NULL, dir[NB_PATH];
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    nb_tune_print(t, f);
    NB_ASSERT(fclose(f) == 0);
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : ".");
    const enum nb_status s = nb_file_write(dir, slash != NULL ? slash + 1 : path, text, len, err);
    free(text);
    return s;
}
