#include "history.h"
#include "report_data.h"
#include "stats.h"

#include <math.h>
#include <string.h>

enum { SEED = 1 };

/* ---- one ratio ---- */

/* Exact confidence of the interval that a report forms from so many processes. */
static double confidence_of(size_t processes)
{
    double v[NB_PROCESSES_MOST];
    if (processes == 0 || processes > NB_PROCESSES_MOST)
        return NAN;
    for (size_t i = 0; i < processes; i++)
        v[i] = (double)i;
    return nb_median_interval(v, processes, 1 - rep_alpha).confidence;
}

/* Verdicts without a time (docs/schema.md, checks.jsonl). */
static const char *why_missing(const struct nb_history_row *r)
{
    static const char *const known[] = {
        "UNTESTED",       "FAIL_VALUE",     "FAIL_NONFINITE",
        "FAIL_OOB_WRITE", "FAIL_UNWRITTEN", "FAIL_NONDETERMINISTIC",
        "FAIL_ABI",       "CRASHED",        "TIMED_OUT",      "SKIP_ISA",
        "SKIP_SHAPE",     "SKIP_OPTION",    "MISTRUSTED"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(r->verdict, known[i]) == 0)
            return known[i];
    return "not measured";
}

static struct nb_history_point of_roof(const struct nb_history_row *r)
{
    struct nb_history_point p = {.run = r->run, .v = r->of_roof, .confidence = NAN};
    if (isnan(p.v.value))
        p.missing = why_missing(r);
    else if (!isnan(p.v.lo))
        p.confidence = confidence_of(r->processes);
    return p;
}

/* Both are speeds over that of one anchor. Where each median lies in its own interval, so
 * does the quotient in [lo/hi, hi/lo]: with at least 1 - (1 - c) - (1 - c'), whatever the
 * two have to do with each other (Bonferroni). */
static struct nb_history_point quotient(const struct nb_history_row *r,
                                        const struct nb_history_row *reference)
{
    struct nb_history_point p = {.run = r->run, .v = {NAN, NAN, NAN}, .confidence = NAN};
    if (isnan(r->of_scale.value))
        p.missing = why_missing(r);
    else if (reference == NULL || isnan(reference->of_scale.value))
        p.missing = "no reference";
    if (p.missing != NULL)
        return p;
    p.v.value = r->of_scale.value / reference->of_scale.value;
    p.v.lo = r->of_scale.lo / reference->of_scale.hi;
    p.v.hi = r->of_scale.hi / reference->of_scale.lo;
    if (!isnan(p.v.lo) && !isnan(p.v.hi))
        p.confidence =
            confidence_of(r->processes) + confidence_of(reference->processes) - 1;
    else
        p.v.lo = p.v.hi = NAN;
    return p;
}

/* ---- references ---- */

/* In the order of cell, run: one kernel a cell. */
static int by_cell(const void *a, const void *b)
{
    const struct nb_history_row *x = a, *y = b;
    if (x->cell != y->cell)
        return x->cell < y->cell ? -1 : 1;
    return x->run < y->run ? -1 : x->run > y->run;
}

static enum nb_status check_references(const struct nb_history *h,
                                       struct nb_history_rows *rows, struct nb_err *err)
{
    if (rows->n > 0)
        qsort(rows->v, rows->n, sizeof *rows->v, by_cell);
    for (size_t i = 1; i < rows->n; i++)
        if (rows->v[i].cell == rows->v[i - 1].cell &&
            rows->v[i].kernel != rows->v[i - 1].kernel)
            return nb_fail(
                err,
                "--reference: %.150s and %.150s both are in %.150s; name one of them",
                h->references.v[rows->v[i - 1].kernel].text,
                h->references.v[rows->v[i].kernel].text,
                h->cells.v[rows->v[i].cell].text);
    return NB_OK;
}

static const struct nb_history_row *reference_of(const struct nb_history_rows *rows,
                                                 const struct nb_history_row *r)
{
    return rows->n ? bsearch(r, rows->v, rows->n, sizeof *rows->v, by_cell) : NULL;
}

/* ---- series ---- */

/* Changes are looked for in logarithms: a factor is the same step at any level. */
static void find_changes(struct nb_history_series *s, double level)
{
    double *logs = malloc((s->n + 1) * sizeof *logs);
    NB_ASSERT(logs != NULL && "out of memory");
    for (size_t i = 0; i < s->n; i++)
        logs[i] = log(s->points[i].v.value);
    s->nchanges = nb_changes(logs, s->n, level, SEED, s->changes);
    for (size_t i = 0; i < s->nchanges; i++) {
        s->changes[i].before = exp(s->changes[i].before);
        s->changes[i].after = exp(s->changes[i].after);
    }
    free(logs);
}

static double median_of(const struct nb_history_series *s, size_t from, size_t to)
{
    double *v = malloc((to - from + 1) * sizeof *v);
    size_t n = 0;
    NB_ASSERT(v != NULL && "out of memory");
    for (size_t i = from; i < to; i++)
        if (!isnan(s->points[i].v.value))
            v[n++] = s->points[i].v.value;
    const double median = n ? nb_median(v, n) : NAN;
    free(v);
    return median;
}

static void set_levels(struct nb_history_series *s)
{
    for (size_t c = 0; c <= s->nchanges; c++) {
        const size_t from = c ? s->changes[c - 1].at : 0;
        const size_t to = c < s->nchanges ? s->changes[c].at : s->n;
        const double level = median_of(s, from, to);
        for (size_t i = from; i < to; i++)
            s->points[i].level = s->points[i].missing ? NAN : level;
    }
}

static void add_series(struct nb_history *h, struct nb_history_series s)
{
    for (size_t i = 0; i < s.n; i++)
        s.measured += s.points[i].missing == NULL;
    find_changes(&s, h->query.level);
    set_levels(&s);
    h->series = realloc(h->series, (h->nseries + 1) * sizeof *h->series);
    NB_ASSERT(h->series != NULL && "out of memory");
    h->series[h->nseries++] = s;
}

static struct nb_history_point *points(size_t n)
{
    struct nb_history_point *p = calloc(n + 1, sizeof *p);
    NB_ASSERT(p != NULL && "out of memory");
    return p;
}

/* Rows of one kernel, cell and site. */
static void add_both(struct nb_history *h, const struct nb_history_row *r, size_t n,
                     const struct nb_history_rows *references)
{
    struct nb_history_series roof = {.measure = NB_OF_ROOF,
                                     .n = n,
                                     .site = r->site,
                                     .kernel = h->kernels.v[r->kernel].text,
                                     .cell = h->cells.v[r->cell].text};
    struct nb_history_series over = roof;
    size_t known = 0;
    roof.points = points(n);
    for (size_t i = 0; i < n; i++)
        roof.points[i] = of_roof(&r[i]);
    add_series(h, roof);
    over.measure = NB_OF_REFERENCE;
    over.points = points(n);
    for (size_t i = 0; i < n; i++) {
        const struct nb_history_row *reference = reference_of(references, &r[i]);
        over.points[i] = quotient(&r[i], reference);
        known += reference != NULL;
        if (reference != NULL)
            over.reference = h->references.v[reference->kernel].text;
    }
    if (known > 0 && strcmp(over.reference, over.kernel) != 0)
        add_series(h, over);
    else
        free(over.points);
}

static enum nb_status make_series(struct nb_history *h, struct nb_db *db,
                                  struct nb_history_rows *rows,
                                  struct nb_history_rows *references, struct nb_err *err)
{
    enum nb_status s = nb_history_rows(h, db, &h->kernels, rows, err);
    if (s == NB_OK && h->query.reference != NULL)
        s = nb_history_rows(h, db, &h->references, references, err);
    if (s == NB_OK)
        s = check_references(h, references, err);
    if (s != NB_OK)
        return s;
    for (size_t from = 0, to; from < rows->n; from = to) {
        const struct nb_history_row *r = &rows->v[from];
        for (to = from + 1; to < rows->n && rows->v[to].kernel == r->kernel &&
                            rows->v[to].cell == r->cell && rows->v[to].site == r->site;
             to++)
            ;
        add_both(h, r, to - from, references);
    }
    return h->nseries
               ? NB_OK
               : nb_fail(err, "no run has a result of such a kernel in such a cell");
}

enum nb_status nb_history_make(struct nb_history *h, struct nb_db *db,
                               const struct nb_history_query *query, struct nb_err *err)
{
    struct nb_history_rows rows = {0}, references = {0};
    *h = (struct nb_history){.query = *query};
    enum nb_status s = nb_history_load(h, db, err);
    if (s == NB_OK)
        s = make_series(h, db, &rows, &references, err);
    free(rows.v);
    free(references.v);
    if (s != NB_OK)
        nb_history_free(h);
    return s;
}

static void free_names(struct nb_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->v[i].text);
    free(names->v);
}

void nb_history_free(struct nb_history *h)
{
    for (size_t i = 0; i < h->nsites; i++) {
        free(h->sites[i].cpu);
        free(h->sites[i].compiler);
        free(h->sites[i].flags);
    }
    for (size_t i = 0; i < h->nruns; i++) {
        free(h->runs[i].name);
        free(h->runs[i].begun);
        free(h->runs[i].git);
    }
    for (size_t i = 0; i < h->nseries; i++)
        free(h->series[i].points);
    free(h->sites);
    free(h->runs);
    free(h->series);
    free_names(&h->kernels);
    free_names(&h->references);
    free_names(&h->cells);
    *h = (struct nb_history){0};
}
