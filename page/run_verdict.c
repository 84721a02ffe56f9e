/* run_verdict.c: what stands above everything else: is RMSNorm faster than LayerNorm
 * here, where, and how sure is that. */
#include "chart.h"
#include "page_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the sentence ---- */

static void counted(FILE *f, const struct rep_summary *s)
{
    const char *plural = s->cells == 1 ? "" : "s";
    if (s->few == s->cells) {
        fprintf(f, "RMSNorm against LayerNorm: too few processes to tell, in %zu case%s",
                s->cells, plural);
        return;
    }
    fputs("RMSNorm is faster than LayerNorm in ", f);
    if (s->faster == s->cells && s->cells <= 2)
        fputs(s->cells == 1 ? "the one case" : "both cases", f);
    else if (s->faster == s->cells)
        fprintf(f, "all %zu cases", s->cells);
    else
        fprintf(f, "%zu of %zu case%s", s->faster, s->cells, plural);
    if (s->slower > 0)
        fprintf(f, ", slower in %zu", s->slower);
    else if (s->faster < s->cells)
        fputs(", slower in none", f);
    if (s->unresolved > 0)
        fprintf(f, "; %zu %s too close to call", s->unresolved,
                s->unresolved == 1 ? "is" : "are");
    if (s->few > 0)
        fprintf(f, "; %zu %s measured by too few processes to tell", s->few,
                s->few == 1 ? "was" : "were");
}

/* Speedups of other norms than these two, which have a section of their own. */
static bool has_others(const struct rep_run *run)
{
    const struct rep_pairing *pairs[REP_PAIRS_MAX];
    const size_t n = rep_pairs(run, 0, pairs);
    for (size_t i = 0; i < n; i++)
        if (!rep_is_rms_over_layer(pairs[i]))
            return true;
    return false;
}

char *nb_run_headline(const struct rep_run *run)
{
    const struct rep_summary s = rep_summarize(run, true, NULL);
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    if (s.cells > 0)
        counted(f, &s);
    else if (s.beaten > 0)
        fprintf(f,
                "RMSNorm against LayerNorm: no answer; in %zu case%s the winner was not "
                "the fastest",
                s.beaten, s.beaten == 1 ? "" : "s");
    else
        fputs(has_others(run)
                  ? "Other norms than RMSNorm and LayerNorm against each other"
                  : "RMSNorm against LayerNorm: not measured in this run",
              f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    return text;
}

static void not_counted(const struct nb_page *p, const struct rep_summary *s)
{
    if (s->beaten > 0)
        fprintf(p->f, " Not counted: %zu more, whose winner was not the fastest.",
                s->beaten);
    if (s->missing > 0)
        fprintf(p->f, " %zu more were not measured.", s->missing);
}

static void range(const struct nb_page *p, const struct rep_run *run,
                  const struct rep_summary *s)
{
    fprintf(p->f,
            "<p class=\"lede\">The fastest RMSNorm runs at <strong>×%.2f to "
            "×%.2f</strong> the speed of the fastest LayerNorm%s%s: "
            "above ×1, RMSNorm is faster; at ×1.5 it takes two thirds of the time.",
            s->least, s->most, rep_is_all_in_place(run) ? " (in place)" : "",
            rep_direction(run));
    not_counted(p, s);
    fputs("</p>\n", p->f);
}

static void explained(const struct nb_page *p, const struct rep_summary *s)
{
    fputs("<p class=\"note\">A case is one row length, data type, number of threads, and "
          "place of the data. ",
          p->f);
    if (s->confidence > 0)
        fprintf(
            p->f,
            "A line spans the interval of %.1f %% confidence or more over %zu processes",
            100 * s->confidence, s->processes);
    else
        fprintf(p->f, "There is no interval: %zu processes are too few (6)",
                s->processes);
    if (s->most_processes > s->processes)
        fprintf(p->f, " to %zu", s->most_processes);
    fputs("; too close to call: it holds ×1.</p>\n", p->f);
}

/* ---- a tile for each place of the data ---- */

static const char *place_words(const char *residency)
{
    static const char *const words[][2] = {{"L1", "L1 cache"},
                                           {"L2", "L2 cache"},
                                           {"L3", "L3 cache"},
                                           {"DRAM", "main memory (DRAM)"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(residency, words[i][0]) == 0)
            return words[i][1];
    return residency;
}

/* Residencies of the cells that count, in their natural order. */
static void find_places(const struct rep_run *run, struct rep_keys *places)
{
    rep_residencies(run, places);
    for (size_t i = 0; i < run->ncells; i++) {
        size_t k = 0;
        while (k < places->n && strcmp(places->text[k], run->cells[i].residency) != 0)
            k++;
        if (k == places->n && places->n < REP_MAX_KEYS && rep_counts(run, &run->cells[i]))
            places->text[places->n++] = run->cells[i].residency;
    }
}

static bool is_shown(const struct rep_run *run, const struct rep_cell *c,
                     const char *place)
{
    return rep_counts(run, c) && rep_has_speedup(c->best) && !rep_is_beaten(c->best) &&
           (place == NULL || strcmp(c->residency, place) == 0);
}

static struct nb_mark mark_of(const struct rep_pairing *best)
{
    const struct rep_estimate *e = &best->speedup;
    const size_t series = strcmp(best->verdict, "faster") == 0   ? NB_FASTER
                          : strcmp(best->verdict, "slower") == 0 ? NB_SLOWER
                                                                 : NB_UNRESOLVED;
    return (struct nb_mark){0, e->value, e->lo, e->hi, series};
}

static int ascending(const void *a, const void *b)
{
    const double x = ((const struct nb_mark *)a)->value,
                 y = ((const struct nb_mark *)b)->value;
    return (x > y) - (x < y);
}

static size_t find_marks(const struct rep_run *run, const char *place,
                         struct nb_mark *marks)
{
    size_t n = 0;
    for (size_t i = 0; i < run->ncells; i++)
        if (is_shown(run, &run->cells[i], place))
            marks[n++] = mark_of(run->cells[i].best);
    qsort(marks, n, sizeof *marks, ascending);
    return n;
}

static void tile(const struct nb_page *p, const struct rep_run *run, const char *place,
                 const struct nb_ratio_axis *axis, struct nb_mark *marks)
{
    const struct rep_summary s = rep_summarize_residency(run, true, place);
    char title[200], description[300];
    if (s.cells == 0)
        return;
    fputs("<figure class=\"tile\"><figcaption><b>", p->f);
    nb_page_text(p, place_words(place));
    fprintf(p->f,
            "</b> <span class=\"big\">×%.2f to ×%.2f</span> <span>faster in %zu of %zu",
            s.least, s.most, s.faster, s.cells);
    if (s.slower > 0)
        fprintf(p->f, ", slower in %zu", s.slower);
    fputs("</span></figcaption>", p->f);
    snprintf(title, sizeof title,
             "Speed of RMSNorm over LayerNorm in each case with data in %.100s",
             place_words(place));
    snprintf(description, sizeof description,
             "%zu cases in ascending order, from %.2f to %.2f times as fast, each with "
             "its interval: faster in "
             "%zu, slower in %zu, too close to call in %zu.",
             s.cells, s.least, s.most, s.faster, s.slower, s.unresolved + s.few);
    nb_chart_cells(p, &(struct nb_chart_words){title, description}, axis, marks,
                   find_marks(run, place, marks));
    fputs("</figure>\n", p->f);
}

static void legend(const struct nb_page *p)
{
    fputs("<p class=\"legend\"><span class=\"key v0\">RMSNorm faster</span> <span "
          "class=\"key v1\">slower</span> "
          "<span class=\"key v2\">too close to call</span></p>\n",
          p->f);
}

static void tiles(const struct nb_page *p, const struct rep_run *run)
{
    struct rep_keys places;
    struct nb_ratio_axis axis = {0, 0};
    struct nb_mark *marks = calloc(run->ncells + 1, sizeof *marks);
    NB_ASSERT(marks != NULL && "out of memory");
    const size_t n = find_marks(run, NULL, marks);
    for (size_t i = 0; i < n; i++)
        nb_axis_add(&axis, &marks[i]);
    nb_axis_round(&axis);
    find_places(run, &places);
    fputs("<div class=\"tiles\">\n", p->f);
    for (size_t i = 0; i < places.n; i++)
        tile(p, run, places.text[i], &axis, marks);
    fputs("</div>\n", p->f);
    free(marks);
}

/* ---- what is wrong with the run as a whole ---- */

static void warnings(const struct nb_page *p, const struct rep_run *run)
{
    size_t counts[REP_VERDICTS], bad = 0, i;
    const json_t *reason, *forced = json_object_get(run->host, "forced");
    rep_count_verdicts(run, counts);
    for (int v = 0; v < REP_VERDICTS; v++)
        bad += rep_is_bad((enum rep_verdict)v) ? counts[v] : 0;
    json_array_foreach(forced, i, reason)
    {
        fputs("<p class=\"warning\"><strong>No results:</strong> this run was refused "
              "and measured all the same. ",
              p->f);
        nb_page_text(p, json_string_value(reason));
        fputs("</p>\n", p->f);
    }
    if (bad > 0)
        fprintf(p->f,
                "<p class=\"warning\"><strong>%zu kernel%s failed or %s "
                "untested</strong> in a case: see Checks. Only what "
                "passed has a time.</p>\n",
                bad, bad == 1 ? "" : "s", bad == 1 ? "was" : "were");
}

static void kicker(const struct nb_page *p, struct rep_run *run)
{
    const char *time = rep_string(json_object_get(run->host, "before"), "time");
    fputs("<p class=\"kicker\"><span>", p->f);
    nb_page_text(p, rep_cpu(run));
    fputs("</span> · <span>", p->f);
    nb_page_text(p, rep_compiler(run));
    if (time != NULL) {
        fputs("</span> · <span>", p->f);
        nb_page_text(p, time);
    }
    fputs("</span></p>\n", p->f);
}

void nb_run_verdict(const struct nb_page *p, struct rep_run *run)
{
    const struct rep_summary s = rep_summarize(run, true, NULL);
    kicker(p, run);
    warnings(p, run);
    if (s.cells == 0)
        return;
    range(p, run, &s);
    legend(p);
    tiles(p, run);
    explained(p, &s);
    char *others = nb_run_text(run, rep_other_verdicts_md);
    nb_page_markdown(p, others, true);
    free(others);
}
