/* run_every.c: every kernel in every cell of a run, as compact as it can be read: a line
 * for a kernel in cells that differ in hidden alone, a column for each hidden. */
#include "page_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Cells alike but for hidden, one at most for each. */
struct line {
    const struct rep_cell **cells; /* [hiddens]; NULL: none */
    const struct rep_cell *first;
    bool
        shares_hidden; /* other lines have the same cells with other rows, or another k */
};

struct matrix {
    const struct rep_run *run;
    size_t *hiddens, nhiddens;
    struct line *lines;
    size_t nlines;
};

static int ascending(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static void find_hiddens(struct matrix *m)
{
    m->hiddens = calloc(m->run->ncells + 1, sizeof *m->hiddens);
    NB_ASSERT(m->hiddens != NULL && "out of memory");
    for (size_t i = 0; i < m->run->ncells; i++) {
        size_t k = 0;
        while (k < m->nhiddens && m->hiddens[k] != m->run->cells[i].hidden)
            k++;
        if (k == m->nhiddens)
            m->hiddens[m->nhiddens++] = m->run->cells[i].hidden;
    }
    qsort(m->hiddens, m->nhiddens, sizeof *m->hiddens, ascending);
}

static struct line *add_line(struct matrix *m, const struct rep_cell *c)
{
    struct line *l = &m->lines[m->nlines++];
    *l = (struct line){calloc(m->nhiddens, sizeof *l->cells), c, false};
    NB_ASSERT(l->cells != NULL && "out of memory");
    return l;
}

static void place_cell(struct matrix *m, const struct rep_cell *c)
{
    const size_t *h = bsearch(&c->hidden, m->hiddens, m->nhiddens, sizeof *h, ascending);
    const size_t column = (size_t)(h - m->hiddens);
    bool taken = false;
    for (size_t i = 0; i < m->nlines; i++) {
        if (!rep_same_line(m->lines[i].first, c))
            continue;
        if (m->lines[i].cells[column] == NULL) {
            m->lines[i].cells[column] = c;
            m->lines[i].shares_hidden |= taken;
            return;
        }
        m->lines[i].shares_hidden = taken = true;
    }
    struct line *l = add_line(m, c);
    l->cells[column] = c;
    l->shares_hidden = taken;
}

static void find_lines(struct matrix *m)
{
    m->lines = calloc(m->run->ncells + 1, sizeof *m->lines);
    NB_ASSERT(m->lines != NULL && "out of memory");
    for (size_t i = 0; i < m->run->ncells; i++)
        place_cell(m, &m->run->cells[i]);
}

static void free_matrix(struct matrix *m)
{
    for (size_t i = 0; i < m->nlines; i++)
        free(m->lines[i].cells);
    free(m->lines);
    free(m->hiddens);
}

/* ---- writing ---- */

static void header(const struct nb_page *p, const struct matrix *m)
{
    fputs("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Every "
          "kernel\"><table class=\"every\"><thead><tr>"
          "<th scope=\"col\" data-key=\"kernel\">kernel</th><th scope=\"col\" "
          "data-key=\"residency\">data in</th>"
          "<th scope=\"col\" data-key=\"dtype\">dtype</th><th scope=\"col\">case</th>",
          p->f);
    for (size_t i = 0; i < m->nhiddens; i++)
        fprintf(p->f, "<th scope=\"col\" class=\"n\">%zu</th>", m->hiddens[i]);
    fputs("</tr></thead>\n<tbody>\n", p->f);
}

static void time_cell(const struct nb_page *p, const struct rep_entry *e)
{
    fputs("<td class=\"n\">", p->f);
    if (e == NULL)
        fputs("-", p->f);
    else if (!rep_is_timed(e))
        fputs(e->verdict == REP_PASS ? "null" : rep_verdict_name(e->verdict), p->f);
    else {
        fprintf(p->f, "%.4g", e->ns_per_row.value);
        if (isfinite(e->roof_ratio.value))
            fprintf(p->f, " <i>%.0f%%</i>", 100 * e->roof_ratio.value);
    }
    fputs("</td>", p->f);
}

static void case_cell(const struct nb_page *p, const struct line *l)
{
    const struct rep_cell *c = l->first;
    fputs("<td>", p->f);
    nb_page_text(p, c->dir);
    if (!rep_same(c->fuse, "none")) {
        fputc(' ', p->f);
        nb_page_text(p, c->fuse);
    }
    fprintf(p->f, " t%zu%s%s", c->threads, c->stats_out ? " stats" : "",
            c->in_place ? " in place" : "");
    if (c->offset != REP_OFFSET)
        fprintf(p->f, " o%zu", c->offset);
    if (l->shares_hidden)
        fprintf(p->f, " r%zu", c->rows);
    fputs("</td>", p->f);
}

static void kernel_row(const struct nb_page *p, const struct matrix *m,
                       const struct line *l, const struct rep_kernel *k)
{
    char text[NB_KERNEL_TEXT], more[REP_K_TEXT] = "";
    if (k->op != NULL)
        rep_k_text(more, l->first, k->op, " ");
    fputs("<tr><td>", p->f);
    nb_page_text(p, nb_kernel_text(text, k, true));
    nb_page_text(p, more);
    fputs("</td>", p->f);
    nb_page_cell(p, l->first->residency);
    nb_page_cell(p, l->first->type);
    case_cell(p, l);
    for (size_t i = 0; i < m->nhiddens; i++)
        time_cell(p, l->cells[i] != NULL ? rep_entry_of(l->cells[i], k) : NULL);
    fputs("</tr>\n", p->f);
}

static bool has_kernel(const struct matrix *m, const struct line *l,
                       const struct rep_kernel *k)
{
    for (size_t i = 0; i < m->nhiddens; i++)
        if (l->cells[i] != NULL && rep_entry_of(l->cells[i], k) != NULL)
            return true;
    return false;
}

static size_t line_rows(const struct nb_page *p, const struct matrix *m,
                        const struct line *l)
{
    size_t left = 0;
    for (size_t k = 0; k < m->run->nkernels; k++) {
        if (!has_kernel(m, l, &m->run->kernels[k]))
            continue;
        if (nb_page_has_room(p))
            kernel_row(p, m, l, &m->run->kernels[k]);
        else
            left++;
    }
    return left;
}

void nb_run_every(struct nb_page *p, const struct rep_run *run)
{
    struct matrix m = {.run = run};
    const long room = p->room;
    size_t left = 0;
    find_hiddens(&m);
    find_lines(&m);
    nb_page_section(p, "every", "Every kernel");
    fputs("<details><summary>All that was measured: ns a row by hidden, and <i>the share "
          "of the roof</i></summary>\n"
          "<p>A column for each hidden; t: threads. A word in place of a time says why "
          "there is none (Checks), a dash that it was not asked for. "
          "Intervals and all else: <code>results.csv</code>.</p>\n",
          p->f);
    p->room -= room / 4; /* for what stands behind it */
    header(p, &m);
    for (size_t i = 0; i < m.nlines; i++)
        left += line_rows(p, &m, &m.lines[i]);
    p->room = room;
    nb_page_table_end(p);
    nb_page_left_out(p, left, "results.csv");
    fputs("</details>\n", p->f);
    nb_page_section_end(p);
    free_matrix(&m);
}
