#include "comparison.h"
#include "gnuplot.h"
#include "markup.h"

#include <math.h>
#include <string.h>

enum { NAME_CHARS = 34, ROWS_MAX = 120, DTYPES = 4 };

/* What the script is told: panels of speedups first, each with the series (dtypes) it
 * has; then roofs. */
struct drawing {
    const struct nb_comparison *c;
    struct nb_headline list[NB_HEADLINES];
    size_t n, panels;
    size_t rows; /* machines that fit */
    int first[NB_HEADLINES], last[NB_HEADLINES], series[NB_HEADLINES];
    char panel[NB_HEADLINES][64], name[ROWS_MAX][4 * NAME_CHARS + 32]; /* its number, and dots, too */
    const char *types[DTYPES];
    size_t ntypes;
    double low, high, most; /* ends of intervals; the largest value */
};

static int series_of(struct drawing *d, const char *dtype)
{
    size_t i = 0;
    while (i < d->ntypes && strcmp(d->types[i], dtype) != 0)
        i++;
    if (i == d->ntypes)
        d->types[d->ntypes++] = dtype;
    return (int)i + 1;
}

/* A name that is too long ends in dots, its number kept. */
static void cut_name(const char *name, size_t number, char *to)
{
    const char *s = name;
    size_t n = (size_t)sprintf(to, "%zu  ", number);
    for (size_t k = 0; *s && k < NAME_CHARS; k++)
        n += nb_next_char(&s, to + n);
    strcpy(to + n, *s ? "..." : "");
}

static void add_range(struct drawing *d, const struct nb_measured *m)
{
    d->low = fmin(d->low, isnan(m->lo) ? m->value : m->lo);
    d->most = fmax(d->most, m->value);
    d->high = fmax(d->high, isnan(m->hi) ? m->value : m->hi);
}

/* One block: a headline's values, each dtype of a panel a little below the one before. */
static void write_series(struct drawing *d, size_t h, double shift, FILE *dat)
{
    for (size_t i = 0; i < d->rows; i++) {
        const struct nb_value *v = d->list[h].cell->of[i];
        if (v == NULL || v->missing != NULL)
            continue;
        fprintf(dat, "%g %.6g %.6g %.6g\n", (double)i + 1 + shift, v->m.value, v->m.lo,
                v->m.hi);
        add_range(d, &v->m);
    }
    fputs("0 NaN NaN NaN\n\n\n", dat); /* a block is never empty */
}

static size_t series_in_panel(const struct drawing *d, size_t from)
{
    size_t n = 1;
    while (from + n < d->n &&
           strcmp(d->list[from + n].like->residency, d->list[from].like->residency) == 0)
        n++;
    return n;
}

/* "L2 h4096", or the hidden of each series where they differ. */
static void name_panel(const struct drawing *d, size_t from, size_t n, char text[64])
{
    size_t used = (size_t)snprintf(text, 64, "%.8s", d->list[from].like->residency);
    for (size_t k = 0; k < n && used < 40; k++)
        if (k == 0 ||
            d->list[from + k].like->hidden != d->list[from + k - 1].like->hidden)
            used += (size_t)snprintf(text + used, 64 - used, "%s%zu", k ? "," : " h",
                                     d->list[from + k].like->hidden);
}

static void write_panels(struct drawing *d, FILE *dat)
{
    for (size_t from = 0, n; from < d->n; from += n) {
        n = series_in_panel(d, from);
        name_panel(d, from, n, d->panel[d->panels]);
        for (size_t k = 0; k < n; k++) {
            d->series[from + k] = series_of(d, d->list[from + k].like->dtype);
            write_series(d, from + k, 0.22 * ((double)k - ((double)n - 1) / 2), dat);
        }
        d->first[d->panels] = (int)from + 1;
        d->last[d->panels++] = (int)(from + n);
    }
}

/* A block a residency, of its first dtype. Answers how many; what the legend says of each
 * goes to types. */
static size_t write_roofs(const struct drawing *d, FILE *dat, const char **types,
                          double *low, double *high)
{
    size_t blocks = 0, seen = 0;
    for (size_t p = 0; p < d->panels; p++) {
        const struct nb_headline *h = &d->list[d->first[p] - 1];
        for (size_t i = 0; i < d->rows; i++) {
            const double gbps = nb_headline_roof(d->c, h, i).gbps;
            if (isnan(gbps))
                continue;
            seen++;
            *low = fmin(*low, gbps);
            *high = fmax(*high, gbps);
            fprintf(dat, "%zu %.6g\n", i + 1, gbps);
        }
        types[blocks++] = h->like->residency;
        fputs("0 NaN\n\n\n", dat);
    }
    return seen > 0 ? blocks : 0;
}

/* 1, 2 or 5 times a power of ten, so that so many steps do. */
static double step_for(double range, double steps)
{
    const double power = pow(10, floor(log10(fmax(range, 0.2) / steps))),
                 of[] = {1, 2, 5, 10};
    size_t i = 0;
    while (i < 3 && range / (power * of[i]) > steps)
        i++;
    return power * of[i];
}

static void describe(struct drawing *d, struct nb_picture *p)
{
    const char *names[ROWS_MAX], *panels[NB_HEADLINES], *roofs[NB_HEADLINES];
    double low = INFINITY, high = 0;
    write_panels(d, p->dat);
    const size_t nroofs = write_roofs(d, p->dat, roofs, &low, &high);
    for (size_t i = 0; i < d->rows; i++) {
        cut_name(d->c->machines[i].name, i + 1, d->name[i]);
        names[i] = d->name[i];
    }
    for (size_t i = 0; i < d->panels; i++)
        panels[i] = d->panel[i];
    const size_t columns = d->panels + (nroofs > 0);
    d->high =
        fmin(d->high,
             2 * d->most); /* a bar may leave the picture; its end stands in the tables */
    const double step = step_for(d->high - d->low, 18 / (double)columns);
    fprintf(p->gp, "NM = %zu\nNP = %zu\nNT = %zu\nNR = %zu\nRFIRST = %zu\n", d->rows,
            d->panels, d->ntypes, nroofs, d->n + 1);
    nb_gp_texts(p, "MACHINE", names, d->rows);
    nb_gp_texts(p, "PANEL", panels, d->panels);
    nb_gp_texts(p, "TYPE", d->types, d->ntypes);
    nb_gp_texts(p, "RTYPE", roofs, nroofs ? nroofs : 1);
    nb_gp_ints(p, "FIRST", d->first, d->panels);
    nb_gp_ints(p, "LAST", d->last, d->panels);
    nb_gp_ints(p, "SERIES", d->series, d->n);
    fprintf(p->gp, "STEP = %g\nXMIN = %g\nXMAX = %g\n", step, step * floor(d->low / step),
            step * ceil(d->high / step + 0.1));
    fprintf(p->gp, "GMIN = %g\nGMAX = %g\n", nroofs ? pow(10, floor(log10(low))) : 1,
            nroofs ? pow(10, ceil(log10(high * 1.01))) : 10);
}

static void titles(const struct drawing *d, struct nb_picture *p)
{
    char text[200];
    snprintf(text, sizeof text, "Speedup of %.40s over %.40s, by where the data lies",
             d->list[0].like->test_op, d->list[0].like->base_op);
    nb_gp_text(p, "NAME", "compare");
    nb_gp_text(p, "TITLE", text);
    snprintf(text, sizeof text, "%.60s, forward, %zu runs%s", d->list[0].like->pairing,
             d->c->n, d->rows < d->c->n ? "; the others are in compare.md" : "");
    nb_gp_text(p, "SUBTITLE", text);
    snprintf(text, sizeof text, "time of %.20s / time of %.20s", d->list[0].like->base_op,
             d->list[0].like->test_op);
    nb_gp_text(p, "XLABEL", text);
    snprintf(text, sizeof text,
             "Left: a cell each; bars: interval of that run alone. 1x: no difference; "
             "right of it %.20s is faster.",
             d->list[0].like->test_op);
    nb_gp_text(p, "LEGEND", text);
}

enum nb_status nb_compare_picture(const struct nb_comparison *c, const char *dir,
                                  bool *drawn, char note[256], struct nb_err *err)
{
    static struct drawing d;
    struct nb_picture picture;
    char plots[4096];
    d = (struct drawing){.c = c,
                         .rows = c->n < ROWS_MAX ? c->n : ROWS_MAX,
                         .low = 1,
                         .high = 1,
                         .most = 1};
    d.n = nb_headlines(c, d.list);
    *drawn = d.n > 0;
    if (!*drawn)
        return NB_OK;
    enum nb_status s = nb_plots_folder(plots, dir, err);
    if (s != NB_OK)
        return s;
    nb_picture_open(&picture, "compare", "compare.gp");
    titles(&d, &picture);
    describe(&d, &picture);
    s = nb_picture_draw(&picture, plots, note, err);
    *drawn = note[0] == '\0';
    nb_picture_free(&picture);
    return s;
}
