/* run_roofs.c: how near each kernel comes to the roof, in the cells whose ladders
 * report.md shows. */
#include "chart.h"
#include "page_parts.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The ladder cells of one dtype, and the kernels that have a share in any of them. */
struct ladder {
    const char *type;
    const struct rep_cell *cells[REP_MAX_KEYS]; /* a place each */
    size_t ncells;
    const struct rep_kernel **kernels;
    size_t nkernels;
};

static bool has_share(const struct rep_cell *c, const struct rep_kernel *k)
{
    const struct rep_entry *e = rep_entry_of(c, k);
    return e != NULL && rep_is_timed(e) && isfinite(e->roof_ratio.value);
}

static bool is_anywhere(const struct ladder *l, const struct rep_kernel *k)
{
    for (size_t i = 0; i < l->ncells; i++)
        if (has_share(l->cells[i], k))
            return true;
    return false;
}

static void find_ladder(const struct rep_run *run, const char *type, struct ladder *l)
{
    struct rep_keys places;
    rep_residencies(run, &places);
    *l = (struct ladder){
        .type = type,
        .kernels = calloc(run->nkernels + 1, sizeof(const struct rep_kernel *))};
    NB_ASSERT(l->kernels != NULL && "out of memory");
    for (size_t i = 0; i < places.n && l->ncells < NB_SERIES; i++) {
        const struct rep_cell *c = rep_ladder_cell(run, type, places.text[i]);
        if (c != NULL)
            l->cells[l->ncells++] = c;
    }
    for (size_t k = 0; k < run->nkernels; k++)
        if (is_anywhere(l, &run->kernels[k]))
            l->kernels[l->nkernels++] = &run->kernels[k];
}

static void legend(const struct nb_page *p, const struct ladder *l)
{
    fputs("<p class=\"legend\">", p->f);
    for (size_t i = 0; i < l->ncells; i++) {
        const struct rep_cell *c = l->cells[i];
        fputs("<span>", p->f);
        nb_chart_swatch(p, i);
        fputc(' ', p->f);
        nb_page_text(p, c->residency);
        fprintf(p->f, ", %zu row%s; roof: ", c->rows, c->rows == 1 ? "" : "s");
        if (c->roof != SIZE_MAX)
            nb_page_code(p, c->entries[c->roof].kernel->name);
        else
            fputs("null (no ceiling was timed)", p->f);
        fputs("</span> ", p->f);
    }
    fputs("</p>\n", p->f);
}

static size_t find_marks(const struct ladder *l, struct nb_mark *marks)
{
    size_t n = 0;
    for (size_t i = 0; i < l->ncells; i++)
        for (size_t k = 0; k < l->nkernels; k++)
            if (has_share(l->cells[i], l->kernels[k])) {
                const struct rep_estimate *e =
                    &rep_entry_of(l->cells[i], l->kernels[k])->roof_ratio;
                marks[n++] = (struct nb_mark){(double)k, e->value, e->lo, e->hi, i};
            }
    return n;
}

static void draw(const struct nb_page *p, const struct ladder *l)
{
    struct nb_mark *marks = calloc(l->ncells * l->nkernels + 1, sizeof *marks);
    char(*texts)[NB_KERNEL_TEXT] = calloc(l->nkernels + 1, sizeof *texts);
    const char **names = calloc(l->nkernels + 1, sizeof *names);
    char title[160], description[200];
    NB_ASSERT(marks != NULL && texts != NULL && names != NULL && "out of memory");
    for (size_t k = 0; k < l->nkernels; k++)
        names[k] = nb_kernel_text(texts[k], l->kernels[k], true);
    const struct rep_cell *c = l->cells[0];
    snprintf(
        title, sizeof title,
        "Speed of every kernel over that of the roof: %.60s, hidden %zu, %zu thread%s",
        l->type, c->hidden, c->threads, c->threads == 1 ? "" : "s");
    snprintf(description, sizeof description,
             "%zu kernels, a mark for each place of the data with its interval. The "
             "numbers stand under Every kernel.",
             l->nkernels);
    fputs("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Shares of "
          "the roof\">",
          p->f);
    nb_chart_shares(p, &(struct nb_chart_words){title, description}, names, l->nkernels,
                    marks, find_marks(l, marks));
    fputs("</div>\n", p->f);
    free(marks);
    free(texts);
    free(names);
}

/* The first stands open, the others are a click away. */
static void one_type(const struct nb_page *p, const struct ladder *l, size_t number)
{
    const struct rep_cell *c = l->cells[0];
    fprintf(p->f, "<details%s><summary>", number == 0 ? " open" : "");
    nb_page_text(p, l->type);
    fprintf(p->f, ", hidden %zu, %zu thread%s</summary>\n", c->hidden, c->threads,
            c->threads == 1 ? "" : "s");
    legend(p, l);
    draw(p, l);
    fputs("</details>\n", p->f);
}

void nb_run_roofs(struct nb_page *p, const struct rep_run *run)
{
    struct rep_keys types;
    size_t number = 0;
    rep_types(run, &types);
    nb_page_section(p, "roofs", "Roofs");
    fprintf(p->f,
            "<p>The roof of a case is %s: no norm can be faster than what reads and "
            "writes as much and computes next to nothing. "
            "At 100 %% a kernel costs no more than moving its data. Cells with most "
            "kernels%s.</p>\n",
            rep_plain_traffic(run)->carrier, rep_direction(run));
    for (size_t i = 0; i < types.n; i++) {
        struct ladder l;
        find_ladder(run, types.text[i], &l);
        if (l.ncells > 0 && l.nkernels > 0 && nb_page_has_room(p))
            one_type(p, &l, number++);
        free(l.kernels);
    }
    if (number == 0)
        fputs("<p>null: no kernel was timed beside a ceiling.</p>\n", p->f);
    nb_page_section_end(p);
}
