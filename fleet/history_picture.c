#include "gnuplot.h"
#include "history.h"

#include <math.h>
#include <string.h>

enum { PANELS_MOST = 8, MARKS_MOST = 64 };

/* What is drawn: at most so many series, those with the largest changes first. */
struct picture {
    const struct nb_history *h;
    const struct nb_history_series *shown[PANELS_MOST];
    size_t n;
};

static double score(const struct nb_history_series *s)
{
    double largest = 0;
    for (size_t i = 0; i < s->nchanges; i++)
        largest = fmax(largest, fabs(log(s->changes[i].after / s->changes[i].before)));
    return largest;
}

static void choose(struct picture *p)
{
    for (size_t i = 0; i < p->h->nseries; i++) {
        const struct nb_history_series *s = &p->h->series[i];
        size_t at = p->n;
        if (s->measured == 0)
            continue;
        while (at > 0 && score(p->shown[at - 1]) < score(s))
            at--;
        if (at == PANELS_MOST)
            continue;
        const size_t move = p->n < PANELS_MOST ? p->n - at : PANELS_MOST - 1 - at;
        memmove(&p->shown[at + 1], &p->shown[at], move * sizeof *p->shown);
        p->shown[at] = s;
        p->n += p->n < PANELS_MOST;
    }
}

static size_t nth(const struct picture *p, const struct nb_history_series *s,
                  size_t point)
{
    return p->h->runs[s->points[point].run].nth + 1;
}

/* Two blocks of lines a panel: points, and the levels between changes. Without an
 * interval lo and hi are the value. */
static void write_data(const struct picture *p, FILE *f)
{
    for (size_t k = 0; k < p->n; k++) {
        const struct nb_history_series *s = p->shown[k];
        fprintf(f, "# run value lo hi of panel %zu, then run level\n", k + 1);
        for (size_t i = 0; i < s->n; i++) {
            const struct nb_measured *v = &s->points[i].v;
            const bool bare = isnan(v->lo);
            if (s->points[i].missing == NULL)
                fprintf(f, "%zu %.6g %.6g %.6g\n", nth(p, s, i), v->value,
                        bare ? v->value : v->lo, bare ? v->value : v->hi);
        }
        fputs("\n\n", f);
        for (size_t i = 0; i < s->n; i++) {
            const double level = s->points[i].level;
            if (i > 0 && !isnan(level) && level != s->points[i - 1].level)
                fputc('\n', f);
            if (!isnan(level))
                fprintf(f, "%zu %.6g\n", nth(p, s, i), level);
        }
        fputs("\n\n", f);
    }
}

/* Where the changes are: those of panel k are FIRST[k] to LAST[k]. */
static void write_marks(const struct picture *p, struct nb_picture *to)
{
    int first[PANELS_MOST], last[PANELS_MOST], at[MARKS_MOST + 1];
    char text[MARKS_MOST + 1][60];
    const char *texts[MARKS_MOST + 1];
    int n = 0;
    for (size_t k = 0; k < p->n; k++) {
        const struct nb_history_series *s = p->shown[k];
        first[k] = n + 1;
        for (size_t i = 0; i < s->nchanges && n < MARKS_MOST; i++, n++) {
            const struct nb_change *c = &s->changes[i];
            const char *commit = nb_history_commit(&p->h->runs[s->points[c->at].run]);
            snprintf(text[n], sizeof text[n], "%.8s x%.3f", commit, c->after / c->before);
            texts[n] = text[n];
            at[n] = (int)nth(p, s, c->at);
        }
        last[k] = n;
    }
    if (n == 0) { /* an array has at least one element */
        at[0] = 0;
        texts[0] = "";
    }
    nb_gp_ints(to, "FIRST", first, p->n);
    nb_gp_ints(to, "LAST", last, p->n);
    nb_gp_ints(to, "AT", at, n ? (size_t)n : 1);
    nb_gp_texts(to, "MARK", texts, n ? (size_t)n : 1);
}

static void write_panels(const struct picture *p, struct nb_picture *to)
{
    const char *kernels[PANELS_MOST], *cells[PANELS_MOST], *labels[PANELS_MOST],
        *axes[PANELS_MOST];
    char axis[PANELS_MOST][100];
    int runs[PANELS_MOST];
    for (size_t k = 0; k < p->n; k++) {
        const struct nb_history_series *s = p->shown[k];
        const struct nb_history_site *site = &p->h->sites[s->site];
        snprintf(axis[k], sizeof axis[k], "run, on %.44s (machine %lld)",
                 site->cpu[0] ? site->cpu : "an unknown CPU", (long long)site->machine);
        axes[k] = axis[k];
        kernels[k] = s->kernel;
        cells[k] = s->cell;
        labels[k] = s->measure == NB_OF_ROOF ? "speed / speed of the roof"
                                             : "speed / speed of the reference";
        runs[k] = (int)site->runs;
    }
    fprintf(to->gp, "NP = %zu\n", p->n);
    nb_gp_texts(to, "KERNEL", kernels, p->n);
    nb_gp_texts(to, "CELL", cells, p->n);
    nb_gp_texts(to, "LABEL", labels, p->n);
    nb_gp_texts(to, "AXIS", axes, p->n);
    nb_gp_ints(to, "RUNS", runs, p->n);
}

enum nb_status nb_history_picture(const struct nb_history *h, const char *dir,
                                  char note[256], struct nb_err *err)
{
    char plots[4096], subtitle[200];
    struct picture p = {.h = h};
    struct nb_picture to;
    enum nb_status s = nb_plots_folder(plots, dir, err);
    if (s != NB_OK)
        return s;
    choose(&p);
    if (p.n == 0) {
        snprintf(note, 256, "no pictures: nothing was measured");
        return NB_OK;
    }
    snprintf(subtitle, sizeof subtitle,
             "%zu of %zu series, the largest changes first; points: runs in the order of "
             "time, with their "
             "intervals; red: where a new level begins",
             p.n, h->nseries);
    nb_picture_open(&to, "history", "history.gp");
    nb_gp_text(&to, "NAME", "history");
    nb_gp_text(&to, "TITLE", "Kernels over commits, each run a ratio formed within it");
    nb_gp_text(&to, "SUBTITLE", subtitle);
    write_panels(&p, &to);
    write_marks(&p, &to);
    write_data(&p, to.dat);
    s = nb_picture_draw(&to, plots, note, err);
    nb_picture_free(&to);
    return s;
}
