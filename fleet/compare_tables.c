/* The files of a comparison, and its short form on the terminal. Whatever comes from a
 * run is escaped. */
#include "comparison.h"
#include "csv.h"
#include "markup.h"

#include <math.h>
#include <string.h>

enum { LINES_MAX = 400 };

/* "1.43 [1.37, 1.47]", or why not. */
static void put_measured(FILE *f, const struct nb_measured *m)
{
    if (isnan(m->value))
        fputs("-", f);
    else if (isnan(m->lo))
        fprintf(f, "%.4g", m->value);
    else
        fprintf(f, "%.4g [%.4g, %.4g]", m->value, m->lo, m->hi);
}

static void put_value_md(FILE *f, const struct nb_value *v)
{
    if (v == NULL)
        fputs("-", f);
    else if (v->missing != NULL)
        nb_md(f, v->missing);
    else
        put_measured(f, &v->m);
    if (v != NULL && v->speedup != NULL && v->speedup->doubtful)
        fputs(" (doubtful)", f);
}

static const struct nb_change *change_of(const struct nb_comparison *c, size_t cell,
                                         size_t run)
{
    return &c->statements.changes[cell * c->n + run];
}

/* Kernels of best-of-each that are others than in the first run. */
static bool has_other_kernels(const struct nb_value *v, const struct nb_value *first)
{
    return v != NULL && first != NULL && v->speedup != NULL && first->speedup != NULL &&
           (strcmp(v->speedup->base_kernel ? v->speedup->base_kernel : "",
                   first->speedup->base_kernel ? first->speedup->base_kernel : "") != 0 ||
            strcmp(v->speedup->test_kernel ? v->speedup->test_kernel : "",
                   first->speedup->test_kernel ? first->speedup->test_kernel : "") != 0);
}

/* ---- what can be said ---- */

static void summarize(const struct nb_comparison *c, FILE *f)
{
    const struct nb_statements *s = &c->statements;
    if (s->family == 0) {
        fputs("No statement of a difference: no cell has a speedup or a share of the "
              "roof in the first run and in another.\n",
              f);
        return;
    }
    fprintf(f,
            "Against the first run, %zu statement%s: higher %zu, lower %zu, intervals "
            "overlap %zu, too few processes %zu.\n",
            s->family, s->family > 1 ? "s" : "", s->count[NB_HIGHER], s->count[NB_LOWER],
            s->count[NB_OVERLAP], s->count[NB_TOO_FEW]);
    fprintf(f,
            "The chance that any difference is stated where there is none is at most "
            "%.0f %%, all of them together.\n",
            100 * s->alpha);
    if (s->count[NB_TOO_FEW] > 0)
        fprintf(f,
                "Where it says too few, no interval of so many processes reaches the "
                "level of one in %zu: %zu a run would do%s; or ask "
                "for less (--cells, --pairing).\n",
                s->family, s->needed,
                c->samples ? "" : ", and for runs of more than 8 --samples");
}

/* ---- terminal ---- */

static void terminal_machines(const struct nb_comparison *c, FILE *f)
{
    char facts[160];
    for (size_t i = 0; i < c->n; i++) {
        const struct nb_machine *m = &c->machines[i];
        nb_machine_facts(m->run, facts, sizeof facts);
        fprintf(f, "%4zu  ", i + 1);
        nb_plain_padded(f, m->name, 34);
        fprintf(f, "  %s\n", facts);
        for (size_t k = 0; k < m->nmarks; k++) {
            fputs(k == 0 ? "      ! " : "; ", f);
            nb_plain(f, m->marks[k]);
        }
        fputs(m->nmarks ? "\n" : "", f);
    }
}

static void terminal_value(FILE *f, const struct nb_value *v)
{
    char text[40] = "-";
    if (v != NULL && v->missing == NULL && isnan(v->m.lo))
        snprintf(text, sizeof text, "%.2f", v->m.value);
    else if (v != NULL && v->missing == NULL)
        snprintf(text, sizeof text, "%.2f [%.2f, %.2f]", v->m.value, v->m.lo, v->m.hi);
    else if (v != NULL)
        snprintf(text, sizeof text, "%.18s", v->missing);
    nb_plain_padded(f, text, 20);
}

/* At most four columns: the first dtype of each residency. */
static size_t terminal_columns(const struct nb_headline *all, size_t n,
                               struct nb_headline *list)
{
    size_t used = 0;
    for (size_t i = 0; i < n && used < 4; i++)
        if (used == 0 ||
            strcmp(list[used - 1].like->residency, all[i].like->residency) != 0)
            list[used++] = all[i];
    return used;
}

void nb_compare_terminal(const struct nb_comparison *c, FILE *f)
{
    struct nb_headline all[NB_HEADLINES], list[4];
    const size_t n = terminal_columns(all, nb_headlines(c, all), list);
    char name[40];
    fprintf(f, "%zu runs, %zu cells that two of them have\n\n", c->n, c->cells.ncells);
    terminal_machines(c, f);
    if (n > 0) {
        fputs("\nspeedup of ", f);
        nb_plain(f, list[0].like->test_op);
        fputs(" over ", f);
        nb_plain(f, list[0].like->base_op);
        fputs(", ", f);
        nb_plain(f, list[0].like->pairing);
        fputs("; [the interval of that run alone]\n      ", f);
    }
    for (size_t k = 0; k < n; k++) {
        nb_headline_name(&list[k], name, sizeof name);
        nb_plain_padded(f, name, 20);
    }
    fputs(n ? "\n" : "", f);
    for (size_t i = 0; n > 0 && i < c->n; i++) {
        fprintf(f, "%4zu  ", i + 1);
        for (size_t k = 0; k < n; k++)
            terminal_value(f, list[k].cell->of[i]);
        fputc('\n', f);
    }
    fputc('\n', f);
    summarize(c, f);
    fputs("This is about processes of these runs; another hour on the same machine may "
          "differ by more (docs/compare.md).\n",
          f);
}

/* ---- compare.md ---- */

static void md_machines(const struct nb_comparison *c, FILE *f)
{
    char facts[160];
    fputs("## Machines\n\n| # | machine | cores, caches | compiler | normbench | kernel "
          "sources | begun | what does not match, and what is "
          "the matter |\n|--:|---|---|---|---|---|---|---|\n",
          f);
    for (size_t i = 0; i < c->n; i++) {
        const struct nb_machine *m = &c->machines[i];
        nb_machine_facts(m->run, facts, sizeof facts);
        fprintf(f, "| %zu | ", i + 1);
        nb_md(f, m->name);
        fprintf(f, " | %s | ", facts);
        nb_md(f, m->run->compiler);
        fputs(" | ", f);
        nb_md(f, m->run->git);
        fputs(" | ", f);
        nb_md(f, nb_summary_host(m->run, "kernel_sources"));
        fputs(" | ", f);
        nb_md(f, m->run->begun);
        fputs(" | ", f);
        if (m->same_host != NULL)
            fprintf(f, "the host of %zu%s", (size_t)(m->same_host - c->machines) + 1,
                    m->nmarks ? "; " : "");
        for (size_t k = 0; k < m->nmarks; k++) {
            fputs(k ? "; " : "", f);
            nb_md(f, m->marks[k]);
        }
        fputs(" |\n", f);
    }
    fputc('\n', f);
}

static void md_headline(const struct nb_comparison *c, const struct nb_headline *h,
                        FILE *f)
{
    fputs("### ", f);
    nb_md(f, h->cell->key);
    fputs("\n\n| # | machine | speedup | share of the hard roof | hard roof, GB/s (a "
          "fact, not compared) |\n|--:|---|---|---|--:|\n",
          f);
    for (size_t i = 0; i < c->n; i++) {
        const struct nb_roof roof = nb_headline_roof(c, h, i);
        fprintf(f, "| %zu | ", i + 1);
        nb_md(f, c->machines[i].name);
        fputs(" | ", f);
        put_value_md(f, h->cell->of[i]);
        fputs(" | ", f);
        put_measured(f, &roof.share);
        if (isnan(roof.gbps))
            fputs(" | - |\n", f);
        else
            fprintf(f, " | %.4g |\n", roof.gbps);
    }
    fputc('\n', f);
}

static void md_headlines(const struct nb_comparison *c, bool picture, FILE *f)
{
    struct nb_headline list[NB_HEADLINES];
    const size_t n = nb_headlines(c, list);
    if (n == 0)
        return;
    fputs("## One row a machine\n\n", f);
    fputs(picture ? "![one row a machine: speedup by residency, roofs "
                    "beside](plots/compare.svg)\n\n"
                  : "",
          f);
    fputs("A cell each, the same for all machines. Intervals are those of each run alone "
          "(order statistics over its processes).\n\n",
          f);
    for (size_t i = 0; i < n; i++)
        md_headline(c, &list[i], f);
}

static void md_change(const struct nb_comparison *c, size_t cell, size_t run, FILE *f)
{
    const struct nb_compared *k = &c->cells.cells[cell];
    const struct nb_change *change = change_of(c, cell, run);
    fputs("| ", f);
    nb_md(f, k->key);
    fprintf(f, " | %zu | ", run + 1);
    put_value_md(f, k->of[0]);
    fputs(" | ", f);
    put_value_md(f, k->of[run]);
    fputs(" | ", f);
    put_measured(f, &change->change);
    fprintf(f, " | %s%s |\n",
            change->statement == NB_NO_STATEMENT ? "-"
                                                 : nb_statement_word[change->statement],
            has_other_kernels(k->of[run], k->of[0]) ? " (other winners)" : "");
}

/* Differences first: whoever reads only those misses nothing that is stated. */
static size_t md_changes(const struct nb_comparison *c, bool differences, size_t room,
                         FILE *f)
{
    size_t n = 0;
    for (size_t i = 0; i < c->cells.ncells; i++)
        for (size_t r = 1; r < c->n; r++) {
            const enum nb_statement s = change_of(c, i, r)->statement;
            if ((s == NB_HIGHER || s == NB_LOWER) != differences ||
                c->cells.cells[i].of[r] == NULL)
                continue;
            if (n++ < room)
                md_change(c, i, r, f);
        }
    return n;
}

static void md_cells(const struct nb_comparison *c, bool differences, FILE *f)
{
    fprintf(f,
            "## %s\n\n| cell | # | first | this | this over first | statement "
            "|\n|---|--:|---|---|---|---|\n",
            differences ? "Where a run differs from the first" : "All other cells");
    const size_t n = md_changes(c, differences, LINES_MAX, f);
    if (n == 0)
        fputs("| none | | | | | |\n", f);
    if (n > LINES_MAX)
        fprintf(f, "\nAnd %zu more: `compare.csv`.\n", n - LINES_MAX);
    fputc('\n', f);
}

void nb_compare_md(const struct nb_comparison *c, bool picture, FILE *f)
{
    fprintf(f, "# %zu runs compared\n\n", c->n);
    summarize(c, f);
    fputs("\nOnly ratios formed inside each run are compared: speedups of two kernels in "
          "the same rounds, and shares of the hard roof. Times and "
          "GB/s are facts of a machine and carry no verdict. A difference holds for the "
          "processes of these runs; another hour on the same "
          "machine may differ by more. How statements are made: docs/compare.md of "
          "normbench.\n\n",
          f);
    md_machines(c, f);
    md_headlines(c, picture, f);
    md_cells(c, true, f);
    md_cells(c, false, f);
    if (c->cells.ambiguous > 0)
        fprintf(f,
                "Left out: %zu cases that a run has twice, apart in what its tables do "
                "not name (offset, statistics).\n\n",
                c->cells.ambiguous);
    if (c->cells.alone > 0)
        fprintf(f, "Left out: %zu cases that one run alone has.\n", c->cells.alone);
}

/* ---- compare.csv ---- */

static void number(FILE *f, double v)
{
    if (isfinite(v))
        fprintf(f, ",%.6g", v);
    else
        fputs(",null", f);
}

static void text(FILE *f, const char *s)
{
    fputc(',', f);
    nb_csv_put_text(f, s);
}

static void csv_line(const struct nb_comparison *c, size_t cell, size_t run, FILE *f)
{
    const struct nb_compared *k = &c->cells.cells[cell];
    const struct nb_value *v = k->of[run];
    const struct nb_change *change = change_of(c, cell, run);
    fputc('1', f);
    text(f, nb_quantity_name[k->quantity]);
    text(f, k->key);
    fprintf(f, ",%zu", run + 1);
    text(f, c->machines[run].name);
    number(f, v->missing ? NAN : v->m.value);
    number(f, v->missing ? NAN : v->m.lo);
    number(f, v->missing ? NAN : v->m.hi);
    fprintf(f, ",%zu,%zu", v->processes, v->rows);
    text(f, v->missing);
    text(f, v->speedup ? v->speedup->base_kernel : NULL);
    text(f, v->speedup ? v->speedup->test_kernel : v->result->kernel);
    fprintf(f, ",%d", v->speedup != NULL && v->speedup->doubtful);
    text(f, nb_statement_word[change->statement]);
    number(f, change->change.value);
    number(f, change->change.lo);
    number(f, change->change.hi);
    fputc('\n', f);
}

void nb_compare_csv(const struct nb_comparison *c, FILE *f)
{
    fputs("schema,quantity,cell,run,machine,value,lo,hi,processes,rows,missing,base_"
          "kernel,test_kernel,doubtful,statement,change,change_lo,"
          "change_hi\n",
          f);
    for (size_t i = 0; i < c->cells.ncells; i++)
        for (size_t r = 0; r < c->n; r++)
            if (c->cells.cells[i].of[r] != NULL)
                csv_line(c, i, r, f);
}
