/* run_tables.c: tables of a run that can be sorted and filtered: speedups, the fastest
 * kernel of each norm, every kernel. */
#include "page_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *nb_kernel_text(char text[NB_KERNEL_TEXT], const struct rep_kernel *k, bool op)
{
    if (k == NULL)
        return "null";
    if (k->algo == NULL || k->isa == NULL || k->op == NULL)
        return k->name;
    const bool trick =
        k->trick != NULL && k->trick[0] != '\0' && strcmp(k->trick, "none") != 0;
    snprintf(text, NB_KERNEL_TEXT, "%s%s%s %s%s%s", op ? k->op : "", op ? " " : "",
             k->algo, k->isa, trick ? " " : "", trick ? k->trick : "");
    return text;
}

/* ---- cells ---- */

/* Whether cells differ in more than residency, dtype, threads and hidden: only then is
 * there a column for it. */
static bool has_cases(const struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *a = &run->cells[0], *b = &run->cells[i];
        if (!rep_same(a->dir, b->dir) || !rep_same(a->fuse, b->fuse) ||
            a->stats_out != b->stats_out || a->offset != b->offset ||
            a->in_place != b->in_place)
            return true;
    }
    return false;
}

static void case_cell(const struct nb_page *p, const struct rep_cell *c)
{
    fputs("<td>", p->f);
    nb_page_text(p, c->dir);
    if (!rep_same(c->fuse, "none")) {
        fputc(' ', p->f);
        nb_page_text(p, c->fuse);
    }
    fprintf(p->f, "%s%s", c->stats_out ? ", statistics written" : "",
            c->in_place ? ", in place" : "");
    if (c->offset != REP_OFFSET)
        fprintf(p->f, ", offset %zu", c->offset);
    fputs("</td>", p->f);
}

static void cell_cells(const struct nb_page *p, bool cases, const struct rep_cell *c)
{
    if (cases)
        case_cell(p, c);
    nb_page_cell(p, c->residency);
    nb_page_cell(p, c->type);
    nb_page_cell_size(p, c->threads);
    nb_page_cell_size(p, c->hidden);
}

static const struct nb_page_column cell_columns[] = {{"case", false, NULL},
                                                     {"data in", false, "residency"},
                                                     {"dtype", false, "dtype"},
                                                     {"threads", true, NULL},
                                                     {"hidden", true, NULL}};
enum { CELL_COLUMNS = sizeof cell_columns / sizeof *cell_columns, COLUMNS_MOST = 20 };

static void begin_table(const struct nb_page *p, bool cases, const char *label,
                        const struct nb_page_column *more, size_t n)
{
    struct nb_page_column columns[COLUMNS_MOST];
    const size_t from = cases ? 0 : 1;
    memcpy(columns, cell_columns + from, (CELL_COLUMNS - from) * sizeof *columns);
    memcpy(columns + CELL_COLUMNS - from, more, n * sizeof *columns);
    nb_page_table(p, label, columns, CELL_COLUMNS - from + n);
}

static void kernel_cell(const struct nb_page *p, const struct rep_kernel *k)
{
    char text[NB_KERNEL_TEXT];
    nb_page_cell(p, nb_kernel_text(text, k, false));
}

/* ---- speedups ---- */

static void ratio_cell(const struct nb_page *p, const struct rep_cell *c,
                       const struct rep_pairing *pairing)
{
    fputs("<td class=\"n\">", p->f);
    if (pairing != NULL)
        rep_ratio_md(&pairing->speedup, rep_is_beaten(pairing), rep_doubt_md(c), p->f);
    else
        fputs("null", p->f);
    fputs("</td>", p->f);
}

static void verdict_cell(const struct nb_page *p, const struct rep_pairing *best)
{
    const char *word = best == NULL          ? "not-measured"
                       : rep_is_beaten(best) ? "not-best"
                                             : best->verdict;
    fprintf(p->f, "<td class=\"%s\">%s</td>",
            strcmp(word, "faster") == 0   ? "v0"
            : strcmp(word, "slower") == 0 ? "v1"
                                          : "v2",
            word);
}

static void speedup_row(const struct nb_page *p, bool cases, const struct rep_cell *c)
{
    fputs("<tr>", p->f);
    cell_cells(p, cases, c);
    ratio_cell(p, c, c->best);
    verdict_cell(p, c->best);
    nb_page_cell_number(p, "%.2f %%", c->best != NULL ? 100 * c->best->mde : NAN);
    kernel_cell(p, c->best != NULL ? c->best->base : NULL);
    kernel_cell(p, c->best != NULL ? c->best->test : NULL);
    ratio_cell(p, c, c->same);
    fputs("</tr>\n", p->f);
}

static bool has_speedup_row(const struct rep_cell *c)
{
    return c->best != NULL || c->same != NULL;
}

static bool has_speedups(const struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++)
        if (has_speedup_row(&run->cells[i]))
            return true;
    return false;
}

static void speedups(struct nb_page *p, const struct rep_run *run)
{
    static const struct nb_page_column more[] = {{"RMSNorm over LayerNorm", true, NULL},
                                                 {"verdict", false, NULL},
                                                 {"MDE", true, NULL},
                                                 {"fastest LayerNorm", false, "kernel"},
                                                 {"fastest RMSNorm", false, "kernel"},
                                                 {"same algorithm", true, NULL}};
    const bool cases = has_cases(run);
    size_t left = 0;
    nb_page_section(p, "speedups", "Speedups");
    fputs("<p>Time of LayerNorm over time of RMSNorm, best against best, with its "
          "interval: above 1, RMSNorm is faster. MDE: the smallest "
          "difference that would have been found there. Same algorithm: the plain "
          "two-pass LayerNorm over the RMSNorm that goes with it, of "
          "one ISA. All pairings: <code>speedup.csv</code>.</p>\n",
          p->f);
    begin_table(p, cases, "Speedups", more, sizeof more / sizeof *more);
    for (size_t i = 0; i < run->ncells; i++) {
        if (!has_speedup_row(&run->cells[i]))
            continue;
        if (nb_page_has_room(p))
            speedup_row(p, cases, &run->cells[i]);
        else
            left++;
    }
    nb_page_table_end(p);
    nb_page_left_out(p, left, "speedup.csv");
    char *not_best = nb_run_text(run, rep_beaten_md);
    nb_page_markdown(p, not_best, true);
    free(not_best);
    nb_page_section_end(p);
}

/* ---- the fastest kernel of each norm in each cell ---- */

static bool is_fastest(const struct rep_cell *c, const struct rep_entry *e)
{
    if (!rep_is_timed(e) || !rep_is_norm(e->kernel))
        return false;
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_entry *o = &c->entries[i];
        if (o != e && rep_is_timed(o) && rep_same(o->kernel->op, e->kernel->op) &&
            o->ns_per_row.value < e->ns_per_row.value)
            return false;
    }
    return true;
}

static void fastest_row(const struct nb_page *p, bool cases, const struct rep_cell *c,
                        const struct rep_entry *e)
{
    char text[NB_KERNEL_TEXT], k[REP_K_TEXT];
    fputs("<tr>", p->f);
    cell_cells(p, cases, c);
    nb_page_cell_size(p, c->rows);
    nb_page_cell(p, e->kernel->op);
    fputs("<td>", p->f);
    nb_page_text(p, nb_kernel_text(text, e->kernel, false));
    rep_k_text(k, c, e->kernel->op, " ");
    nb_page_text(p, k);
    fputs("</td>", p->f);
    fprintf(p->f, "<td class=\"n\">%.4g", e->ns_per_row.value);
    if (isfinite(e->ns_per_row.lo))
        fprintf(p->f, " [%.4g, %.4g]", e->ns_per_row.lo, e->ns_per_row.hi);
    fputs("</td>", p->f);
    nb_page_cell_number(p, "%.1f", e->gbps);
    nb_page_cell_number(p, "%.0f %%", 100 * e->roof_ratio.value);
    nb_page_cell_number(p, "%.3g", e->E_max);
    fputs("</tr>\n", p->f);
}

static void fastest(struct nb_page *p, const struct rep_run *run)
{
    static const struct nb_page_column more[] = {
        {"rows", true, NULL},     {"norm", false, "kernel"}, {"kernel", false, "kernel"},
        {"ns a row", true, NULL}, {"GB/s", true, NULL},      {"of roof", true, NULL},
        {"error", true, NULL}};
    const bool cases = has_cases(run);
    size_t left = 0;
    nb_page_section(p, "fastest", "Fastest kernels");
    fputs("<p>Of each norm in each case the kernel with the least median time, its "
          "interval, and how near it comes to the roof: the fastest "
          "kernel that moves the same bytes and computes next to nothing. Error: the "
          "largest, in unit roundoffs, within the bound that the "
          "kernel declares. Compare ratios across machines, never times.</p>\n",
          p->f);
    begin_table(p, cases, "Fastest kernels", more, sizeof more / sizeof *more);
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++) {
            if (!is_fastest(&run->cells[i], &run->cells[i].entries[e]))
                continue;
            if (nb_page_has_room(p))
                fastest_row(p, cases, &run->cells[i], &run->cells[i].entries[e]);
            else
                left++;
        }
    nb_page_table_end(p);
    nb_page_left_out(p, left, "results.csv");
    nb_page_section_end(p);
}

/* ---- filters ---- */

static void choice(const struct nb_page *p, const char *key, const char *label,
                   const struct rep_keys *words)
{
    fprintf(p->f, "<label>%s <select name=\"%s\"><option value=\"\">all</option>", label,
            key);
    for (size_t i = 0; i < words->n; i++) {
        fputs("<option>", p->f);
        nb_page_text(p, words->text[i]);
        fputs("</option>", p->f);
    }
    fputs("</select></label>\n", p->f);
}

static void add_word(struct rep_keys *keys, const char *word)
{
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->text[i], word) == 0)
            return;
    if (keys->n < REP_MAX_KEYS)
        keys->text[keys->n++] = word;
}

/* Without its script a page has no filter: the form is hidden until the script runs. */
static void filter(const struct nb_page *p, const struct rep_run *run)
{
    struct rep_keys places, types;
    rep_residencies(run, &places);
    rep_types(run, &types);
    for (size_t i = 0; i < run->ncells; i++) {
        add_word(&places, run->cells[i].residency);
        add_word(&types, run->cells[i].type);
    }
    fputs("<form class=\"filter\" hidden aria-label=\"Rows of the tables below\">\n"
          "<label>Kernel <input type=\"search\" name=\"kernel\" size=\"18\" "
          "autocomplete=\"off\" spellcheck=\"false\"></label>\n",
          p->f);
    choice(p, "dtype", "dtype", &types);
    choice(p, "residency", "Data in", &places);
    fputs("<output aria-live=\"polite\">all rows</output>\n</form>\n", p->f);
}

void nb_run_tables(struct nb_page *p, const struct rep_run *run)
{
    fputs("<div class=\"filtered\">\n", p->f);
    filter(p, run);
    if (has_speedups(run))
        speedups(p, run);
    fastest(p, run);
    nb_run_every(p, run);
    fputs("</div>\n", p->f);
}
