/* chart.h: small pictures of a page, drawn as SVG: numbers become marks, texts are
 * escaped, colours are classes of the page's style sheet, so that they follow light and
 * dark. A picture has a title and a description for those who do not see it. */
#ifndef NB_PAGE_CHART_H
#define NB_PAGE_CHART_H

#include "page_html.h"

/* A ratio, or a share, with its interval; lo and hi NAN: it has none. */
struct nb_mark {
    double x, value, lo, hi;
    size_t series; /* class of its colour, and shape */
};
enum { NB_SERIES = 6 };
/* Series of nb_chart_cells. */
enum { NB_FASTER, NB_SLOWER, NB_UNRESOLVED };

/* Range of a logarithmic axis of ratios: it holds 1. */
struct nb_ratio_axis {
    double least, most;
};
void nb_axis_add(struct nb_ratio_axis *axis,
                 const struct nb_mark *m); /* axis of zeros: empty */
void nb_axis_round(struct nb_ratio_axis *axis);

struct nb_chart_words {
    const char *title, *description;
};

/* Marks side by side in the order given, around the line at 1. */
void nb_chart_cells(const struct nb_page *p, const struct nb_chart_words *w,
                    const struct nb_ratio_axis *axis, const struct nb_mark *marks,
                    size_t n);
/* The same over a logarithmic x, which has a tick at each of xs; marks of one series in
 * the order of x are joined. */
void nb_chart_over(const struct nb_page *p, const struct nb_chart_words *w,
                   const struct nb_ratio_axis *axis, const size_t *xs, size_t nxs,
                   const struct nb_mark *marks, size_t n);
/* A line a name, with a mark for each series at its share of 1; x of a mark is its line.
 */
void nb_chart_shares(const struct nb_page *p, const struct nb_chart_words *w,
                     const char *const *names, size_t nnames, const struct nb_mark *marks,
                     size_t n);

/* What a series looks like, for a legend. */
void nb_chart_swatch(const struct nb_page *p, size_t series);

#endif
