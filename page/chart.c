#include "chart.h"

#include <math.h>
#include <string.h>

/* Inner area of a picture: ratios become y, by their logarithm. */
struct area {
    FILE *f;
    double width, height, left, right, top, bottom;
    struct nb_ratio_axis axis;
};

enum {
    AXIS_REACH = 32
}; /* no axis goes beyond 1/32 and 32: what lies there is drawn at its edge */

void nb_axis_add(struct nb_ratio_axis *axis, const struct nb_mark *m)
{
    const double v[] = {m->value, m->lo, m->hi};
    if (axis->least == 0)
        axis->least = axis->most = 1;
    for (size_t i = 0; i < 3; i++)
        if (isfinite(v[i]) && v[i] > 0) {
            axis->least = fmin(axis->least, fmax(v[i], 1.0 / AXIS_REACH));
            axis->most = fmax(axis->most, fmin(v[i], AXIS_REACH));
        }
}

void nb_axis_round(struct nb_ratio_axis *axis)
{
    if (axis->least == 0)
        axis->least = axis->most = 1;
    axis->least = fmin(axis->least / 1.03, 0.92);
    axis->most = fmax(axis->most * 1.03, 1.15);
}

/* ---- parts of all pictures ---- */

static void begin(const struct nb_page *p, const struct nb_chart_words *w,
                  const struct area *a, const char *class)
{
    fprintf(a->f, "<svg class=\"%s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\"><title>",
            class, a->width, a->height);
    nb_page_text(p, w->title);
    fputs("</title><desc>", a->f);
    nb_page_text(p, w->description);
    fputs("</desc>\n", a->f);
}

static void end(const struct area *a)
{
    fputs("</svg>\n", a->f);
}

static double y_of(const struct area *a, double ratio)
{
    const double clamped = fmax(a->axis.least, fmin(a->axis.most, ratio));
    const double share = log(clamped / a->axis.least) / log(a->axis.most / a->axis.least);
    return a->height - a->bottom - share * (a->height - a->top - a->bottom);
}

/* Ticks as dense as labels have room. */
static void ratio_ticks(const struct area *a)
{
    static const double ticks[] = {1,   2,   0.5, 4,   0.25, 8,   0.125, 16,
                                   1.5, 3,   1.2, 1.4, 0.8,  1.6, 1.8,   0.7,
                                   0.9, 1.1, 1.3, 6,   12,   0.6};
    enum { TICKS = sizeof ticks / sizeof *ticks };
    const double apart = 17;
    double taken[TICKS];
    size_t n = 0;
    for (size_t i = 0; i < TICKS; i++) {
        const double y = y_of(a, ticks[i]);
        bool room = ticks[i] >= a->axis.least && ticks[i] <= a->axis.most;
        for (size_t k = 0; k < n && room; k++)
            room = fabs(taken[k] - y) >= apart;
        if (!room)
            continue;
        taken[n++] = y;
        fprintf(a->f,
                "<path class=\"%s\" d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
                "class=\"end\">×%g</text>\n",
                ticks[i] == 1 ? "one" : "grid", a->left, y, a->width - a->right,
                a->left - 5, y + 4, ticks[i]);
    }
}

/* A shape around (x, y) as a part of a path: so that series are told apart without
 * colour. */
static void shape(FILE *f, size_t series, double x, double y)
{
    switch (series % NB_SERIES) {
    case 0: /* a circle */
        fprintf(f, "M%.1f %.1fa3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", x - 3, y);
        break;
    case 1: /* a square */
        fprintf(f, "M%.1f %.1fh5.4v5.4h-5.4z", x - 2.7, y - 2.7);
        break;
    case 2: /* a diamond */
        fprintf(f, "M%.1f %.1fl3.8 3.8l-3.8 3.8l-3.8 -3.8z", x, y - 3.8);
        break;
    case 3: /* a triangle */
        fprintf(f, "M%.1f %.1fl3.7 6.4h-7.4z", x, y - 4);
        break;
    case 4: /* one that points down */
        fprintf(f, "M%.1f %.1fl3.7 -6.4h-7.4z", x, y + 4);
        break;
    default: /* a cross */
        fprintf(f, "M%.1f %.1fh2.4v-2.4h2v2.4h2.4v2h-2.4v2.4h-2v-2.4h-2.4z", x - 3.4,
                y - 1);
    }
}

void nb_chart_swatch(const struct nb_page *p, size_t series)
{
    fprintf(p->f,
            "<svg class=\"swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><path "
            "class=\"s%zu mark\" d=\"",
            series % NB_SERIES);
    shape(p->f, series, 6, 6);
    fputs("\"/></svg>", p->f);
}

static bool has_series(const struct nb_mark *marks, size_t n, size_t series)
{
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series)
            return true;
    return false;
}

/* ---- cells ---- */

static double cell_x(const struct area *a, size_t i, size_t n)
{
    return a->left + ((double)i + 0.5) / (double)n * (a->width - a->left - a->right);
}

static void cell_paths(const struct area *a, const struct nb_mark *marks, size_t n,
                       size_t series)
{
    const char *size = n <= 30 ? " large" : "";
    if (!has_series(marks, n, series))
        return;
    fprintf(a->f, "<path class=\"v%zu span%s\" d=\"", series, size);
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series && isfinite(marks[i].lo))
            fprintf(a->f, "M%.1f %.1fV%.1f", cell_x(a, i, n), y_of(a, marks[i].lo),
                    y_of(a, marks[i].hi));
    fprintf(a->f, "\"/><path class=\"v%zu dot%s\" d=\"", series, size);
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series)
            fprintf(a->f, "M%.1f %.1fh0", cell_x(a, i, n), y_of(a, marks[i].value));
    fputs("\"/>\n", a->f);
}

void nb_chart_cells(const struct nb_page *p, const struct nb_chart_words *w,
                    const struct nb_ratio_axis *axis, const struct nb_mark *marks,
                    size_t n)
{
    const struct area a = {p->f, 280, 150, 38, 6, 8, 8, *axis};
    begin(p, w, &a, "chart");
    ratio_ticks(&a);
    for (size_t series = NB_FASTER; series <= NB_UNRESOLVED; series++)
        cell_paths(&a, marks, n, series);
    end(&a);
}

/* ---- over a length ---- */

struct length_axis {
    const size_t *xs;
    size_t n;
};

static double over_x(const struct area *a, const struct length_axis *l, double x)
{
    const double from = log((double)l->xs[0]), to = log((double)l->xs[l->n - 1]),
                 room = a->width - a->left - a->right;
    return a->left + (to > from ? (log(x) - from) / (to - from) * room : room / 2);
}

/* The first and the last have a label, and between them what has room. */
static void length_ticks(const struct area *a, const struct length_axis *l)
{
    const double apart = 34, last = over_x(a, l, (double)l->xs[l->n - 1]);
    double before = -apart;
    for (size_t i = 0; i < l->n; i++) {
        const double x = over_x(a, l, (double)l->xs[i]);
        fprintf(a->f, "<path class=\"tick\" d=\"M%.1f %.1fv4\"/>", x,
                a->height - a->bottom);
        if (x - before < apart || (i + 1 < l->n && last - x < apart))
            continue;
        before = x;
        fprintf(a->f, "<text x=\"%.1f\" y=\"%.1f\" class=\"mid\">%zu</text>\n", x,
                a->height - a->bottom + 16, l->xs[i]);
    }
    fprintf(a->f, "<text x=\"%.1f\" y=\"%.1f\" class=\"mid\">hidden</text>\n",
            (a->left + a->width - a->right) / 2, a->height - 3);
}

static void over_paths(const struct area *a, const struct length_axis *l,
                       const struct nb_mark *marks, size_t n, size_t series)
{
    const char *word = "M";
    if (!has_series(marks, n, series))
        return;
    const size_t colour = series % NB_SERIES;
    fprintf(a->f, "<path class=\"s%zu line\" d=\"", colour);
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series) {
            fprintf(a->f, "%s%.1f %.1f", word, over_x(a, l, marks[i].x),
                    y_of(a, marks[i].value));
            word = "L";
        }
    fprintf(a->f, "\"/><path class=\"s%zu span\" d=\"", colour);
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series && isfinite(marks[i].lo))
            fprintf(a->f, "M%.1f %.1fV%.1f", over_x(a, l, marks[i].x),
                    y_of(a, marks[i].lo), y_of(a, marks[i].hi));
    fprintf(a->f, "\"/><path class=\"s%zu mark\" d=\"", colour);
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series)
            shape(a->f, series, over_x(a, l, marks[i].x), y_of(a, marks[i].value));
    fputs("\"/>\n", a->f);
}

void nb_chart_over(const struct nb_page *p, const struct nb_chart_words *w,
                   const struct nb_ratio_axis *axis, const size_t *xs, size_t nxs,
                   const struct nb_mark *marks, size_t n)
{
    const struct area a = {p->f, 280, 200, 38, 20, 8, 36, *axis};
    const struct length_axis l = {xs, nxs};
    size_t most = 0;
    begin(p, w, &a, "chart");
    ratio_ticks(&a);
    length_ticks(&a, &l);
    for (size_t i = 0; i < n; i++)
        most = marks[i].series > most ? marks[i].series : most;
    for (size_t series = 0; series <= most; series++)
        over_paths(&a, &l, marks, n, series);
    end(&a);
}

/* ---- shares ---- */

enum { SHARE_LINE = 18, SHARE_NAMES = 290 };
static const double share_most = 1.1;

static double share_x(const struct area *a, double share)
{
    return a->left + fmax(0, fmin(share_most, share)) / share_most *
                         (a->width - a->left - a->right);
}

static double share_y(const struct area *a, const struct nb_mark *m, size_t series,
                      size_t all)
{
    const double apart = all > 1 ? 9.0 / (double)(all - 1)
                                 : 0; /* series of one line lie beside each other */
    return a->top + (m->x + 0.5) * SHARE_LINE +
           ((double)series - ((double)all - 1) / 2) * apart;
}

static void share_ticks(const struct area *a)
{
    for (int percent = 0; percent <= 100; percent += 20) {
        const double x = share_x(a, percent / 100.0);
        fprintf(a->f,
                "<path class=\"%s\" d=\"M%.1f %.1fV%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
                "class=\"mid\">%d %%</text>\n",
                percent == 100 ? "one" : "grid", x, a->top, a->height - a->bottom, x,
                a->height - a->bottom + 16, percent);
    }
    fprintf(
        a->f,
        "<text x=\"%.1f\" y=\"%.1f\" class=\"mid\">speed over that of the roof</text>\n",
        (share_x(a, 0) + share_x(a, 1)) / 2, a->height - 4);
}

static void share_paths(const struct area *a, const struct nb_mark *marks, size_t n,
                        size_t series, size_t all)
{
    fprintf(a->f, "<path class=\"s%zu span\" d=\"", series % NB_SERIES);
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series && isfinite(marks[i].lo))
            fprintf(a->f, "M%.1f %.1fH%.1f", share_x(a, marks[i].lo),
                    share_y(a, &marks[i], series, all), share_x(a, marks[i].hi));
    fprintf(a->f, "\"/><path class=\"s%zu mark\" d=\"", series % NB_SERIES);
    for (size_t i = 0; i < n; i++)
        if (marks[i].series == series)
            shape(a->f, series, share_x(a, marks[i].value),
                  share_y(a, &marks[i], series, all));
    fputs("\"/>\n", a->f);
}

void nb_chart_shares(const struct nb_page *p, const struct nb_chart_words *w,
                     const char *const *names, size_t nnames, const struct nb_mark *marks,
                     size_t n)
{
    const struct area a = {
        p->f, 760, 4 + SHARE_LINE * (double)nnames + 40, SHARE_NAMES, 16, 4, 40, {0, 0}};
    size_t all = 0;
    begin(p, w, &a, "chart wide");
    share_ticks(&a);
    for (size_t i = 0; i < n; i++)
        all = marks[i].series + 1 > all ? marks[i].series + 1 : all;
    for (size_t i = 0; i < nnames; i++) {
        const double y = a.top + ((double)i + 0.5) * SHARE_LINE;
        fprintf(a.f,
                "<path class=\"grid\" d=\"M%d %.1fH%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                "class=\"end\">",
                SHARE_NAMES, y, a.width - a.right, SHARE_NAMES - 6, y + 4);
        nb_page_text(p, names[i]);
        fputs("</text>\n", a.f);
    }
    for (size_t series = 0; series < all; series++)
        share_paths(&a, marks, n, series, all);
    end(&a);
}
