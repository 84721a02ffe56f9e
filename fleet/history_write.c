#include "csv.h"
#include "files.h"
#include "history.h"
#include "markup.h"

#include <math.h>
#include <string.h>

enum { SHOWN = 40, COMMIT = 12, DAY = 10 };

const char *nb_history_commit(const struct nb_history_run *r)
{
    return r->git[0] ? r->git : r->name;
}

size_t nb_history_changes(const struct nb_history *h, size_t *tested)
{
    size_t changes = 0;
    *tested = 0;
    for (size_t i = 0; i < h->nseries; i++) {
        changes += h->series[i].nchanges;
        *tested += h->series[i].measured >= NB_CHANGES_LEAST;
    }
    return changes;
}

static const struct nb_history_run *
run_of(const struct nb_history *h, const struct nb_history_series *s, size_t point)
{
    return &h->runs[s->points[point].run];
}

static const struct nb_history_point *last_measured(const struct nb_history_series *s)
{
    for (size_t i = s->n; i-- > 0;)
        if (s->points[i].missing == NULL)
            return &s->points[i];
    return NULL;
}

static double size_of(const struct nb_history_series *s)
{
    double largest = 0;
    for (size_t i = 0; i < s->nchanges; i++)
        largest = fmax(largest, fabs(log(s->changes[i].after / s->changes[i].before)));
    return largest;
}

struct ranked {
    const struct nb_history_series *s;
    double size;
};

/* The largest change first; without one as they are. */
static int by_size(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->s->site != y->s->site)
        return x->s->site < y->s->site ? -1 : 1;
    if (x->size < y->size || x->size > y->size)
        return x->size > y->size ? -1 : 1;
    return x->s < y->s ? -1 : x->s > y->s;
}

/* Of each site, one after the other. To be freed. */
static struct ranked *rank(const struct nb_history *h)
{
    struct ranked *r = malloc((h->nseries + 1) * sizeof *r);
    NB_ASSERT(r != NULL && "out of memory");
    for (size_t i = 0; i < h->nseries; i++)
        r[i] = (struct ranked){&h->series[i], size_of(&h->series[i])};
    qsort(r, h->nseries, sizeof *r, by_size);
    return r;
}

static const char *word_of(enum nb_history_measure m)
{
    return m == NB_OF_ROOF ? "roof" : "reference";
}

static void value_text(const struct nb_history_series *s, char text[80])
{
    const struct nb_history_point *p = last_measured(s);
    if (p == NULL)
        snprintf(text, 80, "not measured");
    else if (isnan(p->v.lo))
        snprintf(text, 80, "%.3g, no interval", p->v.value);
    else
        snprintf(text, 80, "%.3g [%.3g, %.3g]", p->v.value, p->v.lo, p->v.hi);
}

/* ---- on the terminal ---- */

static void put_change(FILE *f, const struct nb_history *h,
                       const struct nb_history_series *s, const struct nb_change *c)
{
    const struct nb_history_run *r = run_of(h, s, c->at);
    fprintf(f, "x%.3f from ", c->after / c->before);
    nb_plain_padded(f, nb_history_commit(r), COMMIT);
    fprintf(f, " (%.*s), p %.3f", DAY, r->begun, c->p);
}

static void put_series(FILE *f, const struct nb_history *h,
                       const struct nb_history_series *s)
{
    char value[80];
    value_text(s, value);
    fprintf(f, "%-9s  ", word_of(s->measure));
    nb_plain_padded(f, s->kernel, 38);
    fputs("  ", f);
    nb_plain_padded(f, s->cell, 36);
    fprintf(f, "  %4zu  %-22s  ", s->measured, value);
    for (size_t i = 0; i < s->nchanges; i++) {
        if (i > 0)
            fprintf(f, "\n%119s", "");
        put_change(f, h, s, &s->changes[i]);
    }
    fputs(s->nchanges                      ? "\n"
          : s->measured < NB_CHANGES_LEAST ? "too few runs\n"
                                           : "none\n",
          f);
}

static void put_site(FILE *f, const struct nb_history *h, size_t site)
{
    const struct nb_history_site *at = &h->sites[site];
    nb_plain(f, at->cpu[0] ? at->cpu : NULL);
    fprintf(f, " (machine %lld), ", (long long)at->machine);
    nb_plain(f, at->compiler[0] ? at->compiler : NULL);
    fputs(", flags ", f);
    nb_plain(f, at->flags[0] ? at->flags : NULL);
    fprintf(f, ": %zu run%s\n", at->runs, at->runs == 1 ? "" : "s");
}

static void put_end(FILE *f, const struct nb_history *h)
{
    size_t tested, changes = nb_history_changes(h, &tested);
    fprintf(f,
            "\n%zu change%s in %zu series of at least %d runs. Where nothing changed, a "
            "series shows one by chance with "
            "probability %g:\nabout %.2g of these series. Advisory: look at the picture "
            "and the commit.\n",
            changes, changes == 1 ? "" : "s", tested, NB_CHANGES_LEAST, h->query.level,
            h->query.level * (double)tested);
    if (h->forced)
        fprintf(f, "%zu forced run%s left out (--forced takes them)\n", h->forced,
                h->forced == 1 ? " was" : "s were");
    if (h->undated)
        fprintf(f, "%zu run%s no time and %s left out\n", h->undated,
                h->undated == 1 ? " has" : "s have", h->undated == 1 ? "was" : "were");
}

void nb_history_table(FILE *f, const struct nb_history *h)
{
    struct ranked *r = rank(h);
    const size_t shown = h->nseries < SHOWN ? h->nseries : SHOWN;
    for (size_t i = 0; i < shown; i++) {
        if (i == 0 || r[i].s->site != r[i - 1].s->site) {
            fputs(i ? "\n" : "", f);
            put_site(f, h, r[i].s->site);
            fprintf(f, "%-9s  %-38s  %-36s  %4s  %-22s  %s\n", "share of", "kernel",
                    "cell", "runs", "last", "changes");
        }
        put_series(f, h, r[i].s);
    }
    if (shown < h->nseries)
        fprintf(f, "and %zu more series: --out DIR writes all\n", h->nseries - shown);
    put_end(f, h);
    free(r);
}

/* ---- history.csv ---- */

static void put_number(FILE *f, double v)
{
    if (isfinite(v))
        fprintf(f, ",%.6g", v);
    else
        fputs(",null", f);
}

static void put_text(FILE *f, const char *text)
{
    fputc(',', f);
    nb_csv_put_text(f, text && text[0] ? text : NULL);
}

static const struct nb_change *change_at(const struct nb_history_series *s, size_t point)
{
    for (size_t i = 0; i < s->nchanges; i++)
        if (s->changes[i].at == point)
            return &s->changes[i];
    return NULL;
}

static void csv_point(FILE *f, const struct nb_history *h,
                      const struct nb_history_series *s, size_t i)
{
    const struct nb_history_run *r = run_of(h, s, i);
    const struct nb_history_site *site = &h->sites[s->site];
    const struct nb_history_point *p = &s->points[i];
    const struct nb_change *c = change_at(s, i);
    fprintf(f, "1,%s", word_of(s->measure));
    const char *const texts[] = {s->kernel, s->reference, s->cell, site->cpu};
    for (size_t t = 0; t < 4; t++)
        put_text(f, texts[t]);
    fprintf(f, ",%lld", (long long)site->machine);
    const char *const more[] = {site->compiler, site->flags, r->name, r->begun, r->git};
    for (size_t t = 0; t < 5; t++)
        put_text(f, more[t]);
    const double numbers[] = {p->v.value,    p->v.lo,  p->v.hi,
                              p->confidence, p->level, c ? c->after / c->before : NAN,
                              c ? c->p : NAN};
    for (size_t t = 0; t < 7; t++)
        put_number(f, numbers[t]);
    put_text(f, p->missing);
    fputc('\n', f);
}

static void write_csv(FILE *f, const struct nb_history *h)
{
    fputs("schema,measure,kernel,reference,cell,cpu,machine,compiler,flags,run,begun,git,"
          "value,lo,hi,confidence,level,"
          "change,p,missing\n",
          f);
    for (size_t i = 0; i < h->nseries; i++)
        for (size_t k = 0; k < h->series[i].n; k++)
            csv_point(f, h, &h->series[i], k);
}

/* ---- history.md ---- */

static void md_changes(FILE *f, const struct nb_history *h,
                       const struct nb_history_series *s)
{
    for (size_t i = 0; i < s->nchanges; i++) {
        const struct nb_change *c = &s->changes[i];
        const struct nb_history_run *r = run_of(h, s, c->at);
        fprintf(f, "%sx%.3f (%.3g to %.3g) from ", i ? "; " : "", c->after / c->before,
                c->before, c->after);
        nb_md_code(f, nb_history_commit(r));
        fprintf(f, " (%.*s), p %.3f", DAY, r->begun, c->p);
    }
    if (s->nchanges == 0)
        fputs(s->measured < NB_CHANGES_LEAST ? "too few runs" : "none", f);
}

static void md_series(FILE *f, const struct nb_history *h,
                      const struct nb_history_series *s)
{
    char value[80];
    value_text(s, value);
    fprintf(f, "| %s | ", word_of(s->measure));
    nb_md_code(f, s->kernel);
    fputs(" | ", f);
    nb_md_code(f, s->cell);
    fprintf(f, " | %zu | %zu | ", s->measured, s->n - s->measured);
    nb_md(f, value);
    fputs(" | ", f);
    md_changes(f, h, s);
    fputs(" |\n", f);
}

static const char MD_HEAD[] =
    "# History\n\n"
    "Ratios that were formed within a run, over runs in the order of their time. *roof*: "
    "speed over that of the hard roof; "
    "*reference*: speed over\nthat of the reference kernel, both over the anchor of the "
    "same cell. In brackets the interval "
    "of the run; of *reference* it is formed of two\n(docs/store.md, History). A series "
    "is of one machine, compiler and set "
    "of flags. A change is the first run of a new level; x0.900: the level\nfell by 10 "
    "%, which is slower.\n";

static void write_md(FILE *f, const struct nb_history *h, const char *note)
{
    struct ranked *r = rank(h);
    fputs(MD_HEAD, f);
    for (size_t i = 0; i < h->nseries; i++) {
        const struct nb_history_site *site = &h->sites[r[i].s->site];
        if (i == 0 || r[i].s->site != r[i - 1].s->site) {
            fputs("\n## ", f);
            nb_md(f, site->cpu[0] ? site->cpu : NULL);
            fprintf(f, " (machine %lld)\n\n%zu runs; compiler ", (long long)site->machine,
                    site->runs);
            nb_md(f, site->compiler[0] ? site->compiler : NULL);
            fputs(", flags ", f);
            nb_md_code(f, site->flags);
            fputs("\n\n| over | kernel | cell | runs | missing | last | changes "
                  "|\n|---|---|---|---|---|---|---|\n",
                  f);
        }
        md_series(f, h, r[i].s);
    }
    put_end(f, h);
    if (h->query.reference != NULL) {
        fputs("\nReference: ", f);
        nb_md_code(f, h->query.reference);
        fputs("\n", f);
    }
    fprintf(f, "\nAll points: history.csv. %s%s\n",
            note[0] ? note : "Picture: plots/history.svg.", note[0] ? "." : "");
    free(r);
}

static enum nb_status write_file(const struct nb_history *h, const char *dir,
                                 const char *name, const char *note, struct nb_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL && "out of memory");
    if (strcmp(name, "history.csv") == 0)
        write_csv(f, h);
    else
        write_md(f, h, note);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    const enum nb_status s = nb_file_write(dir, name, text, len, err);
    free(text);
    return s;
}

enum nb_status nb_history_write(const struct nb_history *h, const char *dir,
                                char note[256], struct nb_err *err)
{
    enum nb_status s = write_file(h, dir, "history.csv", "", err);
    if (s == NB_OK)
        s = nb_history_picture(h, dir, note, err);
    return s == NB_OK ? write_file(h, dir, "history.md", note, err) : s;
}
