/* report.md and the short table of the terminal. Strings of the run are data. */
#include "markup.h"
#include "report_data.h"
#include "stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LADDERS = 8, LISTED = 30 };

const char *rep_cpu(const struct rep_run *run)
{
    const char *model = rep_string(json_object_get(run->host, "cpu"), "model");
    return model ? model : "unknown CPU";
}

/* compiler is a string, or an object of strings. */
const char *rep_compiler(struct rep_run *run)
{
    const json_t *c = json_object_get(run->host, "compiler"), *value;
    const char *key;
    char text[256] = "";
    size_t at = 0;
    if (json_is_string(c))
        return json_string_value(c);
    json_object_foreach((json_t *)c, key, value)
    {
        if (json_is_string(value) && at < sizeof(text))
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? " " : "",
                                   json_string_value(value));
    }
    char *kept = rep_alloc(run, sizeof(text));
    snprintf(kept, sizeof(text), "%s", at ? text : "unknown compiler");
    return kept;
}

static void short_name(FILE *f, const struct rep_kernel *k)
{
    if (k == NULL || k->algo == NULL || k->isa == NULL) {
        nb_md(f, k ? k->name : NULL);
        return;
    }
    nb_md(f, k->algo);
    fputc(' ', f);
    nb_md(f, k->isa);
    if (k->trick != NULL && k->trick[0] != 0) {
        fputc(' ', f);
        nb_md(f, k->trick);
    }
}

/* ---- the verdict ---- */

static void counted_as(FILE *f, const struct rep_summary *s)
{
    fprintf(f, "faster in %zu, slower in %zu, unresolved in %zu", s->faster, s->slower,
            s->unresolved);
    if (s->few > 0)
        fprintf(f, ", too few processes for an interval in %zu", s->few);
    if (s->missing > 0)
        fprintf(f, "; not measured in %zu more", s->missing);
    if (s->beaten > 0)
        fprintf(f, "; not best in %zu more", s->beaten);
}

static const char *place_words(const struct rep_run *run)
{
    return rep_is_all_in_place(run) ? " in place" : rep_direction(run);
}

static void sentence(FILE *f, const char *what, const char *place, const struct rep_summary *s)
{
    if (s->cells == 0) {
        fprintf(f, "RMSNorm vs LayerNorm, %s%s: ", what, place);
        if (s->beaten > 0)
            fprintf(f, "no answer; in %zu cell%s the winner was not the fastest.", s->beaten,
                    s->beaten == 1 ? "" : "s");
        else
            fputs("not measured in this run.", f);
        return;
    }
    fprintf(f,
            "RMSNorm vs LayerNorm on this machine, %s%s: x%.2f to x%.2f over %zu cell%s (",
            what, place, s->least, s->most, s->cells, s->cells == 1 ? "" : "s");
    counted_as(f, s);
    fputs(").", f);
}

static const char *const best_words = "best against best";

static const char *same_words(const struct rep_run *run)
{
    return rep_is_all_bwd(run) ? "two-pass LayerNorm against two-pass RMSNorm of the same ISA"
                               : "two-pass LayerNorm against one-pass RMSNorm of the same ISA";
}

/* Backward both norms take two passes. */
static const char *const same_fwd = "two-pass LN / one-pass RMS", *const same_bwd = "two-pass LN / two-pass RMS";

static const char *same_short(const struct rep_run *run)
{
    return rep_is_all_bwd(run) ? same_bwd
           : rep_has_bwd(run)  ? "two-pass LN / one-pass RMS (backward: two-pass)"
                               : same_fwd;
}

static void case_name(FILE *f, const struct rep_cell *c)
{
    nb_md(f, c->dir);
    fputc('-', f);
    nb_md(f, c->fuse);
    if (c->stats_out)
        fputs("-stats", f);
    if (c->offset != REP_OFFSET)
        fprintf(f, "-o%zu", c->offset);
    if (c->in_place)
        fputs("-ip", f);
}

static void verdict_row(const struct rep_run *run, const struct rep_cell *c, FILE *f)
{
    struct rep_summary b = rep_summarize(run, true, c), s = rep_summarize(run, false, c);
    fputs("| ", f);
    case_name(f, c);
    fputs(" | ", f);
    nb_md(f, c->residency);
    fputs(" | ", f);
    nb_md(f, c->type);
    fprintf(f, " | %zu | ", c->threads);
    if (b.cells > 0)
        fprintf(f, "x%.2f to x%.2f | %zu / %zu / %zu | ", b.least, b.most, b.faster,
                b.slower, b.unresolved + b.few);
    else
        fputs("null | null | ", f);
    if (s.cells > 0)
        fprintf(f, "x%.2f to x%.2f | %zu / %zu / %zu |\n", s.least, s.most, s.faster,
                s.slower, s.unresolved + s.few);
    else
        fputs("null | null |\n", f);
}

static void other_sentence(FILE *f, const char *place, struct rep_summary s)
{
    if (s.cells + s.beaten + s.missing == 0)
        return;
    fputc('\n', f);
    sentence(f, best_words, place, &s);
    fputc('\n', f);
}

void rep_other_verdicts_md(const struct rep_run *run, FILE *f)
{
    other_sentence(f, " in place", rep_summarize_in_place(run));
    other_sentence(f, ", of x + residual", rep_summarize_others(run, rep_is_other_sum));
    other_sentence(f, ", backward", rep_summarize_others(run, rep_is_other_way));
    other_sentence(f, ", forward and backward together (a step of training)", rep_summarize_steps(run));
}

static void verdict_section(const struct rep_run *run, FILE *f)
{
    struct rep_summary b = rep_summarize(run, true, NULL), s = rep_summarize(run, false, NULL);
    fputs("**", f);
    sentence(f, best_words, place_words(run), &b);
    fputs("**\n\n", f);
    sentence(f, same_words(run), place_words(run), &s);
    fputc('\n', f);
    rep_other_verdicts_md(run, f);
    if (b.cells + b.beaten + s.cells == 0)
        return;
    fprintf(
        f,
        "\nA ratio is time of LayerNorm over time of RMSNorm: above 1, RMSNorm is "
        "faster. "
        "f / s / u counts cells where RMSNorm is faster, slower, or neither is "
        "resolved.\n\n"
        "| case | residency | dtype | threads | best against best | f / s / u "
        "| %s | f / s / u |\n|---|---|---|--:|---|---|---|---|\n",
        same_short(run));
    for (size_t i = 0; i < run->ncells; i++) {
        size_t j = 0;
        while (j < i && !rep_same_line(&run->cells[i], &run->cells[j]))
            j++;
        if (j == i)
            verdict_row(run, &run->cells[i], f);
    }
}

/* ---- speedups ---- */

void rep_ratio_md(const struct rep_estimate *e, bool beaten, const char *doubt, FILE *f)
{
    if (!isfinite(e->value)) {
        fputs("null", f);
        return;
    }
    fprintf(f, "%.3f", e->value);
    if (isfinite(e->lo))
        fprintf(f, " [%.3f, %.3f]", e->lo, e->hi);
    else
        fputs(", no interval", f);
    fprintf(f, "%s%s", beaten ? " not best" : "", doubt);
}

static void speedup_row(const struct rep_cell *c, FILE *f)
{
    fputs("| ", f);
    case_name(f, c);
    fputs(" | ", f);
    nb_md(f, c->residency);
    fputs(" | ", f);
    nb_md(f, c->type);
    fprintf(f, " | %zu | %zu | ", c->threads, c->hidden);
    for (int best = 1; best >= 0; best--) {
        const struct rep_pairing *p = rep_headline(c, best);
        if (p != NULL)
            rep_ratio_md(&p->speedup, rep_is_beaten(p), rep_doubt_md(c), f);
        else
            fputs("null", f);
        fputs(" | ", f);
        rep_mde_md(p ? p->mde : NAN, f);
        fputs(best ? " | " : " |", f);
        if (best && p != NULL && p->base != NULL && p->test != NULL) {
            short_name(f, p->base);
            fputs(" / ", f);
            short_name(f, p->test);
            fputs(" | ", f);
        } else if (best) {
            fputs("null | ", f);
        }
    }
    fputc('\n', f);
}

static void beaten_side(const struct rep_cell *c, const struct rep_kernel *winner,
                        const struct rep_entry *faster, FILE *f)
{
    const struct rep_entry *w = rep_entry_of(c, winner);
    if (faster == NULL || w == NULL)
        return;
    fputs("- ", f);
    nb_md_code(f, c->id);
    fputs(": ", f);
    nb_md_code(f, faster->kernel->name);
    fprintf(f, ", %.4g ns a row [%.4g, %.4g], was faster than the winner ",
            faster->ns_per_row.value, faster->ns_per_row.lo, faster->ns_per_row.hi);
    nb_md_code(f, winner->name);
    fprintf(f, ", %.4g [%.4g, %.4g]\n", w->ns_per_row.value, w->ns_per_row.lo,
            w->ns_per_row.hi);
}

/* Winners that screening chose wrongly: the ratio is one of two kernels, not of the best. */
void rep_beaten_md(const struct rep_run *run, FILE *f)
{
    bool first = true;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_pairing *p = run->cells[i].best;
        if (!rep_is_beaten(p))
            continue;
        if (first)
            fputs("\n**Not best**: where the measuring processes show a kernel that was faster "
                  "than the winner of the screening, the ratio is not best against best. It is "
                  "left out of the sentence above, of the pictures and of what to quote.\n\n",
                  f);
        first = false;
        beaten_side(&run->cells[i], p->base, p->beats_base, f);
        beaten_side(&run->cells[i], p->test, p->beats_test, f);
    }
}

static void speedup_section(const struct rep_run *run, FILE *f)
{
    fprintf(f,
            "\n## Speedups\n\nMedian over processes, with the order-statistic interval of "
            "the median. "
            "MDE: the smallest difference that this run could have told (\"Not resolved\"). "
            "All pairings: `speedup.csv`.\n\n| case | residency | dtype | threads | hidden "
            "| best against best | MDE | best LN / best RMS | %s | MDE |\n"
            "|---|---|---|--:|--:|---|--:|---|---|--:|\n",
            same_short(run));
    for (size_t i = 0; i < run->ncells; i++)
        if (run->cells[i].best != NULL || run->cells[i].same != NULL)
            speedup_row(&run->cells[i], f);
    if (run->floor.doubtful > 0)
        fputs("\n**doubtful**: in that cell a kernel differs from a copy of itself by more than "
              "chance (\"Noise floor\").\n",
              f);
    rep_beaten_md(run, f);
}

/* ---- published claims ---- */

struct claim {
    const char *words, *reading;
    double lo, hi;
};

/* A share s of time saved is the ratio 1/(1-s). */
static const struct claim claims[] = {
    {"10-20 % faster", "as a ratio of speeds", 1.10, 1.20},
    {"10-20 % faster", "as time saved", 1 / (1 - 0.10), 1 / (1 - 0.20)},
    {"7-64 % less time", "as time saved", 1 / (1 - 0.07), 1 / (1 - 0.64)}};

struct tally {
    size_t below, inside, above, across, none;
};

static void tally_one(struct tally *t, const struct claim *claim, const struct rep_estimate *e)
{
    if (!isfinite(e->lo))
        t->none++;
    else if (e->lo > claim->hi)
        t->above++;
    else if (e->hi < claim->lo)
        t->below++;
    else if (e->lo >= claim->lo && e->hi <= claim->hi)
        t->inside++;
    else
        t->across++;
}

static void tally_row(const struct tally *t, const struct claim *claim, const char *what, const char *direction, FILE *f)
{
    fprintf(f, "| %s | %s | %.3f to %.3f | %s%s | %zu | %zu | %zu | %zu | %zu |\n",
            claim->words, claim->reading, claim->lo, claim->hi, what, direction, t->below, t->inside,
            t->above, t->across, t->none);
}

static void claim_row(const struct rep_run *run, const struct claim *claim, bool best,
                      FILE *f)
{
    struct tally t = {0};
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_pairing *p = rep_headline(&run->cells[i], best);
        if (p != NULL && !rep_is_beaten(p) && rep_counts(run, &run->cells[i]))
            tally_one(&t, claim, &p->speedup);
    }
    tally_row(&t, claim, best ? best_words : rep_is_all_bwd(run) ? same_bwd : same_fwd, rep_direction(run), f);
}

static void step_claim_row(const struct rep_run *run, const struct claim *claim, FILE *f)
{
    struct tally t = {0};
    for (size_t i = 0; i < run->nsteps; i++)
        if (rep_is_headline_step(&run->steps[i]) && !rep_step_is_beaten(&run->steps[i]))
            tally_one(&t, claim, &run->steps[i].speedup);
    if (run->nsteps > 0)
        tally_row(&t, claim, best_words, ", forward and backward together", f);
}

void rep_published_md(const struct rep_run *run, FILE *f)
{
    fputs("\n## Published claims\n\nBoth were made about RMSNorm against LayerNorm; the "
          "second about "
          "whole training steps. Cells are counted by their whole interval.\n\n"
          "| claim | read | ratio | pairing | below | inside | above | across an edge "
          "| no interval |\n|---|---|---|---|--:|--:|--:|--:|--:|\n",
          f);
    for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
        for (int best = 1; best >= 0; best--)
            claim_row(run, &claims[i], best, f);
        step_claim_row(run, &claims[i], f);
    }
}

/* ---- verdicts ---- */

static bool is_skip(enum rep_verdict v)
{
    return v == REP_SKIP_ISA || v == REP_SKIP_SHAPE || v == REP_SKIP_OPTION;
}

void rep_count_verdicts(const struct rep_run *run, size_t counts[REP_VERDICTS])
{
    memset(counts, 0, REP_VERDICTS * sizeof(*counts));
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++)
            counts[run->cells[i].entries[e].verdict]++;
    for (size_t i = 0; i < run->nstrays; i++)
        for (size_t e = 0; e < run->strays[i].nentries; e++)
            if (rep_is_bad(run->strays[i].entries[e].verdict))
                counts[run->strays[i].entries[e].verdict]++;
}

static void bad_row(const struct rep_cell *c, const struct rep_entry *e, FILE *f)
{
    fputs("| ", f);
    nb_md_code(f, e->kernel->name);
    fputs(" | ", f);
    nb_md_code(f, c->id);
    fprintf(f, " | %s | ", rep_verdict_name(e->verdict));
    rep_print_number(f, e->E_max);
    fputs(" | ", f);
    rep_print_number(f, e->bound);
    fputs(" | ", f);
    nb_md(f, e->reason ? e->reason : e->worst ? e->worst : "no check was made");
    fputs(" | ", f);
    if (e->repro)
        nb_md_code(f, e->repro);
    else
        fputs("null", f);
    fputs(" |\n", f);
}

static void bad_rows_of(const struct rep_cell *c, size_t *listed, FILE *f)
{
    for (size_t i = 0; i < c->nentries; i++)
        if (rep_is_bad(c->entries[i].verdict) && *listed < LISTED) {
            bad_row(c, &c->entries[i], f);
            ++*listed;
        }
}

static void bad_rows(const struct rep_run *run, size_t bad, FILE *f)
{
    size_t listed = 0;
    fputs("\n| kernel | cell | verdict | E\\_max | bound | why | again |\n"
          "|---|---|---|--:|--:|---|---|\n",
          f);
    for (size_t i = 0; i < run->ncells; i++)
        bad_rows_of(&run->cells[i], &listed, f);
    for (size_t i = 0; i < run->nstrays; i++)
        bad_rows_of(&run->strays[i], &listed, f);
    if (listed < bad)
        fprintf(f, "\n%zu more in `results.csv`.\n", bad - listed);
}

static bool same_skip(const struct rep_entry *a, const struct rep_entry *b)
{
    return a->verdict == b->verdict &&
           strcmp(a->reason ? a->reason : "", b->reason ? b->reason : "") == 0;
}

/* One line for each (verdict, reason); the first comparison with it stands for all. */
struct skip_class {
    const struct rep_entry *first;
    size_t n;
};

static void add_skip(struct skip_class *classes, size_t *n, const struct rep_entry *e)
{
    for (size_t i = 0; i < *n; i++)
        if (same_skip(classes[i].first, e)) {
            classes[i].n++;
            return;
        }
    if (*n < LISTED)
        classes[(*n)++] = (struct skip_class){e, 1};
}

static void skip_rows(const struct rep_run *run, FILE *f)
{
    struct skip_class classes[LISTED];
    size_t n = 0;
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++)
            if (is_skip(run->cells[i].entries[e].verdict))
                add_skip(classes, &n, &run->cells[i].entries[e]);
    fputs("\n| skipped | comparisons | reason |\n|---|--:|---|\n", f);
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "| %s | %zu | ", rep_verdict_name(classes[i].first->verdict),
                classes[i].n);
        nb_md(f, classes[i].first->reason);
        fputs(" |\n", f);
    }
}

static void unstable_rows(const struct rep_run *run, FILE *f)
{
    size_t unstable = 0, overflow = 0;
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++) {
            unstable += run->cells[i].entries[e].unstable_rows > 0;
            overflow += run->cells[i].entries[e].overflow_rows > 0;
        }
    if (unstable + overflow > 0)
        fprintf(f,
                "\nRows outside the stated precondition of the kernel's bound, where a "
                "large error "
                "is expected: in %zu comparisons by conditioning, in %zu by range.\n",
                unstable, overflow);
}

void rep_checks_md(const struct rep_run *run, FILE *f)
{
    size_t counts[REP_VERDICTS], skipped = 0, bad = 0;
    rep_count_verdicts(run, counts);
    fputs("\n## Checks\n\n", f);
    for (int v = 0, first = 1; v < REP_VERDICTS; v++) {
        if (counts[v] > 0) {
            fprintf(f, "%s%s %zu", first ? "" : ", ",
                    rep_verdict_name((enum rep_verdict)v), counts[v]);
            first = 0;
        }
        skipped += is_skip((enum rep_verdict)v) ? counts[v] : 0;
        bad += rep_is_bad((enum rep_verdict)v) ? counts[v] : 0;
    }
    fputs(". Only what passed has a time.\n", f);
    if (bad > 0)
        bad_rows(run, bad, f);
    if (skipped > 0)
        skip_rows(run, f);
    unstable_rows(run, f);
}

/* ---- ladders ---- */

static double hidden_distance(const struct rep_cell *c)
{
    return fabs(log2((double)c->hidden / 1024.0));
}

/* The cell with most timed kernels for this dtype and residency; among equals the one
 * nearest to hidden 1024. NULL unless no other residency of this dtype shows more. */
const struct rep_cell *rep_ladder_cell(const struct rep_run *run, const char *type,
                                          const char *residency)
{
    const struct rep_cell *found = NULL;
    size_t most = 1;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        size_t n = rep_timed_norms(c);
        if (strcmp(c->type, type) != 0 || !rep_is_plain(run, c) || n < most)
            continue;
        bool here = strcmp(c->residency, residency) == 0;
        bool nearer = found != NULL && hidden_distance(c) < hidden_distance(found);
        if (n > most)
            found = NULL;
        if (here && (found == NULL || nearer))
            found = c;
        most = n;
    }
    return found;
}

static void ladder_row(const struct rep_entry *e, FILE *f)
{
    fputs("| ", f);
    nb_md_code(f, e->kernel->name);
    fputs(" | ", f);
    fprintf(f, "%.4g", e->ns_per_row.value);
    if (isfinite(e->ns_per_row.lo))
        fprintf(f, " [%.4g, %.4g]", e->ns_per_row.lo, e->ns_per_row.hi);
    fputs(" | ", f);
    if (isfinite(e->gbps))
        fprintf(f, "%.1f", e->gbps);
    else
        fputs("null", f);
    if (isfinite(e->roof_ratio.value))
        fprintf(f, " | %.0f %%", 100 * e->roof_ratio.value);
    else
        fputs(" | null", f);
    if (isfinite(e->E_max))
        fprintf(f, " | %.3g |\n", e->E_max);
    else
        fputs(" | null |\n", f);
}

/* Whether it is held against another roof than the cell's, as nothing before it is. */
static bool is_first_of_roof(const struct rep_cell *c, size_t entry)
{
    const size_t roof = c->entries[entry].roof;
    for (size_t i = 0; i < entry; i++)
        if (c->entries[i].roof == roof)
            return false;
    return roof != SIZE_MAX && roof != c->roof;
}

static void ladder(const struct rep_cell *c, FILE *f)
{
    fputs("\n### ", f);
    nb_md_code(f, c->id);
    fputs(rep_doubt_md(c), f);
    fputs("\n\nRoof: ", f);
    if (c->roof != SIZE_MAX)
        nb_md_code(f, c->entries[c->roof].kernel->name);
    else
        fputs("null (no ceiling was timed)", f);
    for (size_t i = 0; i < c->nentries; i++)
        if (is_first_of_roof(c, i)) {
            fputs("; of kernels with another number of outputs: ", f);
            nb_md_code(f, c->entries[c->entries[i].roof].kernel->name);
        }
    fputs("\n\n| kernel | ns a row | GB/s | of roof | E\\_max |\n|---|--:|--:|--:|--:|\n",
          f);
    for (size_t i = 0; i < c->nentries; i++)
        if (rep_is_timed(&c->entries[i]))
            ladder_row(&c->entries[i], f);
}

static void ladder_section(const struct rep_run *run, FILE *f)
{
    struct rep_keys types, places;
    size_t shown_cells = 0;
    rep_types(run, &types);
    rep_residencies(run, &places);
    const struct rep_traffic *traffic = rep_plain_traffic(run);
    fprintf(f,
            "\n## Ladders\n\nThe cells with most kernels%s; all others: `results.csv`. GB/s "
            "counts %s read once and %s written once.\n",
            rep_direction(run), traffic->read, traffic->written);
    for (size_t t = 0; t < types.n; t++)
        for (size_t r = 0; r < places.n; r++) {
            const struct rep_cell *c = rep_ladder_cell(run, types.text[t], places.text[r]);
            if (c != NULL && shown_cells++ < LADDERS)
                ladder(c, f);
        }
    if (shown_cells == 0)
        fputs("\nNo kernel was timed.\n", f);
}

/* ---- what comes before the first call ---- */

/* Least and most over the cells of one kernel that has a prepare; cells: how many. */
struct preparing {
    double first[2], again[2];
    size_t cells;
};

static struct preparing preparing_of(const struct rep_run *run,
                                     const struct rep_kernel *k)
{
    struct preparing p = {{INFINITY, 0}, {INFINITY, 0}, 0};
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_entry *e = rep_entry_of(&run->cells[i], k);
        if (e == NULL || !isfinite(e->prepare_first_ns) || !isfinite(e->prepare_ns))
            continue;
        p.first[0] = fmin(p.first[0], e->prepare_first_ns);
        p.first[1] = fmax(p.first[1], e->prepare_first_ns);
        p.again[0] = fmin(p.again[0], e->prepare_ns);
        p.again[1] = fmax(p.again[1], e->prepare_ns);
        p.cells++;
    }
    return p;
}

void rep_prepare_md(const struct rep_run *run, FILE *f)
{
    bool begun = false;
    for (size_t i = 0; i < run->nkernels; i++) {
        const struct preparing p = preparing_of(run, &run->kernels[i]);
        if (p.cells == 0)
            continue;
        if (!begun)
            fputs("\n## Creation time\n\nus that a kernel's prepare takes before its "
                  "first call, in no time above: the first in a fresh process, and again, "
                  "least to most over its cells.\n\n"
                  "| kernel | cells | first | again |\n|---|--:|--:|--:|\n",
                  f);
        begun = true;
        fputs("| ", f);
        nb_md_code(f, run->kernels[i].name);
        fprintf(f, " | %zu | %.4g to %.4g | %.4g to %.4g |\n", p.cells, p.first[0] / 1e3,
                p.first[1] / 1e3, p.again[0] / 1e3, p.again[1] / 1e3);
    }
}

/* ---- pictures ---- */

static bool is_drawn(const struct rep_keys *pictures, const char *name)
{
    for (size_t p = 0; p < pictures->n; p++)
        if (strcmp(pictures->text[p], name) == 0)
            return true;
    return false;
}

static void picture_line(const char *name, const char *what, FILE *f)
{
    fprintf(f, "- [%s](plots/%s.svg): %s\n", name, name, what);
}

/* Told where they are drawn: few runs have other norms, or both directions. */
static void rare_picture_lines(const struct rep_keys *pictures, FILE *f)
{
    static const char *const rare[][2] = {{"versus", "each pair of norms, best against best, at one hidden"},
                                          {"training", "forward, backward, and both at one hidden"}};
    for (size_t i = 0; i < sizeof(rare) / sizeof(*rare); i++)
        if (is_drawn(pictures, rare[i][0]))
            picture_line(rare[i][0], rare[i][1], f);
}

static void picture_section(const struct rep_run *run, const struct rep_keys *pictures, FILE *f)
{
    static const char *const all[] = {"speedup_best", "speedup_same", "bandwidth",
                                      "algorithms", "scaling", "roofline",
                                      "address_offset", "rows"};
    const bool bwd = rep_is_all_bwd(run);
    const char *const what[] = {
        "best LayerNorm against best RMSNorm by hidden",
        bwd ? "two-pass LayerNorm against two-pass RMSNorm by hidden"
            : "two-pass LayerNorm against one-pass RMSNorm by hidden",
        "GB/s by hidden, with the roof", "every algorithm in one cell",
        "GB/s by threads, and the share of the roof", "GFLOP/s by flops a byte, under the measured roofs",
        bwd ? "speed by the distance of dx from x" : "speed by the distance of y from x", "time of a call by its rows, with the barrier's cost"};
    static const char *const lacks[] = {
        "no such ratio was measured", "no such ratio was measured", "nothing was timed",
        "nothing was timed", "fewer than two thread counts were measured",
        "nothing was timed", "fewer than two offsets were measured",
        "no cell was measured with three numbers of rows or more"};
    fputs("\n## Pictures\n\nEach is drawn by gnuplot from the `.gp` and `.dat` files "
          "beside it: `cd "
          "plots && gnuplot NAME.gp`.\n\n",
          f);
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (is_drawn(pictures, all[i]))
            picture_line(all[i], what[i], f);
        else
            fprintf(f, "- %s: not drawn, %s\n", all[i], lacks[i]);
    rare_picture_lines(pictures, f);
}

/* ---- host, reproduction, quotation ---- */

static void fact(FILE *f, const json_t *v)
{
    if (json_is_string(v))
        nb_md(f, json_string_value(v));
    else if (json_is_integer(v))
        fprintf(f, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        rep_print_number(f, json_real_value(v));
    else
        fputs(json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "null", f);
}

/* An array of facts: its elements. */
static void fact_list(FILE *f, const json_t *v)
{
    const json_t *one;
    size_t i;
    if (!json_is_array(v))
        fact(f, v);
    json_array_foreach(v, i, one)
    {
        fputs(i ? " " : "", f);
        fact(f, one);
    }
}

static void facts(const struct rep_run *run, const char *name, FILE *f)
{
    json_t *object = json_object_get(run->host, name), *v;
    const char *key;
    bool first = true;
    if (object == NULL)
        return;
    fprintf(f, "- %s: ", name);
    if (!json_is_object(object)) {
        fact(f, object);
        first = false;
    }
    json_object_foreach(object, key, v)
    {
        if (json_is_object(v))
            continue;
        fputs(first ? "" : ", ", f);
        nb_md(f, key);
        fputc(' ', f);
        fact_list(f, v);
        first = false;
    }
    fputc('\n', f);
}

static void host_section(const struct rep_run *run, FILE *f)
{
    static const char *const shown_facts[] = {"cpu",      "caches", "topology",
                                              "memory",   "os",     "settings",
                                              "compiler", "before", "after"};
    fputs("\n## Host\n\n", f);
    for (size_t i = 0; i < sizeof(shown_facts) / sizeof(*shown_facts); i++)
        facts(run, shown_facts[i], f);
    fputs(
        "\nCompile flags of every unit and what is unknown, with reasons: `host.json`.\n",
        f);
}

static void dropped_cells(const struct rep_run *run, FILE *f)
{
    const json_t *dropped = json_object_get(run->plan, "dropped"), *d;
    size_t i;
    if (json_array_size(dropped) > 0)
        fprintf(f, "\nDropped from the plan: %zu cells.\n\n", json_array_size(dropped));
    json_array_foreach(dropped, i, d)
    {
        if (i == LISTED) {
            fputs("- more in `plan.json`\n", f);
            break;
        }
        fputs("- ", f);
        nb_md_code(f, rep_string(d, "cell"));
        fputs(": ", f);
        nb_md(f, rep_string(d, "reason"));
        fputc('\n', f);
    }
}

void rep_reproduce_md(const struct rep_run *run, FILE *f)
{
    fputs("\n## Reproduce\n\n    ", f);
    nb_plain(f, rep_string(run->plan, "command"));
    fputs("\n\nThese pages again from the raw files: `normbench report DIR`. Program: "
          "normbench ",
          f);
    nb_md(f, rep_string(run->host, "version"));
    fputs(", git ", f);
    nb_md(f, rep_string(run->host, "git"));
    fputs("; plan ", f);
    nb_md_code(f, rep_string(run->plan, "id"));
    fputs(".\n", f);
    dropped_cells(run, f);
    if (run->foreign_lines > 0)
        fprintf(f,
                "\n%zu lines are about cells or kernels that plan.json does not list (cells "
                "dropped later, for example): only failures among them are told.\n",
                run->foreign_lines);
}

/* A cell with an interval to quote: f32 before others, then nearest to hidden 1024. */
static const struct rep_cell *quoted_cell(const struct rep_run *run)
{
    const struct rep_cell *found = NULL;
    double least = INFINITY;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (!rep_has_speedup(c->best) || !isfinite(c->best->speedup.lo) ||
            c->best->base == NULL || rep_is_beaten(c->best) || !rep_counts(run, c))
            continue;
        double distance = hidden_distance(c) + (strcmp(c->type, "f32") == 0 ? 0 : 100) +
                          (double)c->threads;
        if (distance < least) {
            least = distance;
            found = c;
        }
    }
    return found;
}

void rep_quote_md(struct rep_run *run, FILE *f)
{
    const struct rep_cell *c = quoted_cell(run);
    fputs("\n## How to quote this result\n\n", f);
    if (c == NULL) {
        fputs("Not yet: no ratio of this run has an interval (that takes at least 6 "
              "processes) and stands between kernels that were the fastest.\n",
              f);
        return;
    }
    const struct rep_estimate *s = &c->best->speedup;
    fputs("> On ", f);
    nb_md(f, rep_cpu(run));
    fputs(" (", f);
    nb_md(f, rep_compiler(run));
    fputs("; ", f);
    nb_md(f, c->type);
    fprintf(f, ", hidden %zu, data in ", c->hidden);
    nb_md(f, c->residency);
    fprintf(f, "%s%s, %zu thread%s), the time of the fastest LayerNorm (", rep_direction(run),
            c->in_place ? ", in place" : "", c->threads,
            c->threads == 1 ? "" : "s");
    short_name(f, c->best->base);
    fputs(") over that of the fastest RMSNorm (", f);
    short_name(f, c->best->test);
    fprintf(f,
            ") is %.3f [%.3f, %.3f]: median over %zu processes, %.1f %% confidence. "
            "normbench ",
            s->value, s->lo, s->hi, s->processes, 100 * s->confidence);
    nb_md(f, rep_string(run->host, "version"));
    fputs(", git ", f);
    nb_md(f, rep_string(run->host, "git"));
    fputs(".\n\nAcross machines compare such ratios only, never times.\n", f);
}

void rep_report_md(struct rep_run *run, const struct rep_keys *pictures, FILE *f)
{
    fputs("# normbench: ", f);
    nb_md(f, rep_cpu(run));
    fputs(", ", f);
    nb_md(f, rep_compiler(run));
    fputs("\n\n", f);
    rep_forced_md(run, f);
    verdict_section(run, f);
    speedup_section(run, f);
    rep_training_section(run, f);
    rep_versus_section(run, f);
    rep_unresolved_md(run, f);
    rep_bars_md(run->bars, f);
    rep_autos_md(run->autos, f);
    rep_published_md(run, f);
    rep_checks_md(run, f);
    ladder_section(run, f);
    rep_prepare_md(run, f);
    picture_section(run, pictures, f);
    rep_counters_md(run, f);
    rep_noise_md(run, f);
    rep_discards_md(run, f);
    rep_conditions_md(run, f);
    host_section(run, f);
    rep_reproduce_md(run, f);
    rep_quote_md(run, f);
}

/* ---- terminal ---- */

enum { TABLE_LINES = 6, LONG_TABLE_LINES = 17 };

static const struct rep_pairing *table_pairing(const struct rep_run *run,
                                               const char *residency, const char *type,
                                               size_t hidden, size_t threads, bool best)
{
    const struct rep_cell *c = rep_find(run, residency, type, hidden, threads);
    return c ? rep_headline(c, best) : NULL;
}

/* A mark, or room for it where another cell has one. */
static const char *table_doubt(const struct rep_run *run, const char *residency,
                               const char *type, size_t hidden, size_t threads)
{
    const struct rep_cell *c = rep_find(run, residency, type, hidden, threads);
    return c != NULL && c->doubtful ? "*" : run->floor.doubtful > 0 ? " " : "";
}

/* ~ marks an interval that holds 1, ? one that could not be formed, ! a winner that was not the fastest. */
void rep_ratio_text(char text[REP_RATIO_TEXT], const struct rep_estimate *e, bool beaten, const char *doubt, bool interval)
{
    const char *mark = beaten ? "!" : !isfinite(e->lo) ? "?" : e->lo <= 1 && e->hi >= 1 ? "~" : " ";
    int n = snprintf(text, REP_RATIO_TEXT, "%.2f%s%s", e->value, mark, doubt);
    if (interval && isfinite(e->lo) && n < REP_RATIO_TEXT)
        snprintf(text + n, REP_RATIO_TEXT - (size_t)n, "[%.2f, %.2f]", e->lo, e->hi);
}

/* A ratio, with its interval where there is room. */
static void table_cell(const struct rep_pairing *p, const char *doubt, bool interval, FILE *f)
{
    char text[REP_RATIO_TEXT] = "-";
    if (rep_has_speedup(p))
        rep_ratio_text(text, &p->speedup, rep_is_beaten(p), doubt, interval);
    fprintf(f, interval ? " %19s" : " %6s", text);
}

struct table {
    struct rep_keys places, types;
    struct rep_sizes hiddens;
    size_t threads;
    bool interval;
    bool merged; /* one long table: the second pairing is a column of its range */
};

static bool table_has(const struct rep_run *run, const struct table *t, const char *place,
                      const char *type, bool best)
{
    for (size_t h = 0; h < t->hiddens.n; h++)
        if (rep_has_speedup(
                table_pairing(run, place, type, t->hiddens.value[h], t->threads, best)))
            return true;
    return false;
}

static void table_line(const struct rep_run *run, const struct table *t,
                       const char *place, const char *type, bool best, FILE *f)
{
    double least = INFINITY, most = -INFINITY;
    fprintf(f, "  ");
    nb_plain_padded(f, place, 5);
    fputc(' ', f);
    nb_plain_padded(f, type, 9);
    fputc(' ', f);
    for (size_t h = 0; h < t->hiddens.n; h++) {
        size_t hidden = t->hiddens.value[h];
        table_cell(table_pairing(run, place, type, hidden, t->threads, best),
                   table_doubt(run, place, type, hidden, t->threads), t->interval, f);
        const struct rep_pairing *p =
            table_pairing(run, place, type, hidden, t->threads, false);
        if (rep_has_speedup(p)) {
            least = fmin(least, p->speedup.value);
            most = fmax(most, p->speedup.value);
        }
    }
    if (t->merged && most >= least)
        fprintf(f, "  %.2f-%.2f", least, most);
    fputc('\n', f);
}

static void table_lines(const struct rep_run *run, const struct table *t,
                        const char *title, bool best, FILE *f)
{
    size_t lines = 0, left = 0, room = t->merged ? LONG_TABLE_LINES : TABLE_LINES;
    fprintf(f, "\n%s\n  %-5s %-9s", title, "in", t->merged ? "hidden:" : "dtype");
    for (size_t h = 0; h < t->hiddens.n; h++)
        fprintf(f, t->interval ? " %18zu " : " %5zu ", t->hiddens.value[h]);
    fputs(!t->merged ? "  hidden\n" : rep_is_all_bwd(run) ? "  two-pass\n" : "  two-/one-pass\n", f);
    for (size_t r = 0; r < t->places.n; r++)
        for (size_t d = 0; d < t->types.n; d++) {
            if (!table_has(run, t, t->places.text[r], t->types.text[d], best))
                continue;
            if (lines++ < room)
                table_line(run, t, t->places.text[r], t->types.text[d], best, f);
            else
                left++;
        }
    if (lines == 0)
        fputs("  not measured\n", f);
    if (left > 0)
        fprintf(f, "  %zu more lines: speedup.csv\n", left);
}

/* Too many values of hidden for a line: first, last and evenly chosen ones between. */
static void thin(const struct rep_sizes *all, size_t most, struct rep_sizes *s)
{
    s->n = all->n < most ? all->n : most;
    for (size_t i = 0; i < s->n; i++)
        s->value[i] = all->value[s->n < most ? i : i * (all->n - 1) / (most - 1)];
}

static void terminal_tables(const struct rep_run *run, FILE *f)
{
    struct table t;
    size_t columns[10];
    rep_residencies(run, &t.places);
    rep_types(run, &t.types);
    t.hiddens.value = columns;
    t.threads = run->threads.n ? run->threads.value[0] : 1;
    t.merged = t.places.n * t.types.n > TABLE_LINES;
    t.interval = run->hiddens.n <= 3;
    thin(&run->hiddens, t.merged ? 9 : 10, &t.hiddens);
    const bool beaten = rep_summarize(run, true, NULL).beaten > 0, doubtful = run->floor.doubtful > 0;
    fprintf(f,
            "\nTime of LayerNorm over time of RMSNorm%s, %zu thread%s. Above 1: RMSNorm is "
            "faster."
            "\n~: the interval holds 1%s%s%s",
            rep_direction(run), t.threads, t.threads == 1 ? "" : "s", beaten ? "; !: not the best" : "",
            doubtful ? "; *: doubtful" : "", beaten || doubtful ? " (report.md)" : "");
    if (t.hiddens.n < run->hiddens.n)
        fprintf(f, "; all intervals, all %zu columns: speedup.csv\n", run->hiddens.n);
    else
        fputs(t.interval ? "\n" : "; all intervals: speedup.csv\n", f);
    table_lines(run, &t, "best against best", true, f);
    if (t.merged)
        fprintf(f, "%s RMSNorm, its range over these columns\n",
                rep_is_all_bwd(run) ? "two-pass: two-pass LayerNorm over two-pass"
                                    : "two-/one-pass: two-pass LayerNorm over one-pass");
    else
        table_lines(run, &t,
                    rep_is_all_bwd(run) ? "two-pass LayerNorm / two-pass RMSNorm, strongest ISA"
                                        : "two-pass LayerNorm / one-pass RMSNorm, strongest ISA",
                    false, f);
}

static void terminal_checks(const struct rep_run *run, FILE *f)
{
    size_t counts[REP_VERDICTS];
    bool first = true;
    rep_count_verdicts(run, counts);
    fputs("\nchecks  ", f);
    for (int v = 0; v < REP_VERDICTS; v++)
        if (counts[v] > 0) {
            fprintf(f, "%s%s %zu", first ? "" : ", ",
                    rep_verdict_name((enum rep_verdict)v), counts[v]);
            first = false;
        }
    fputc('\n', f);
}

static void terminal_processes(const struct rep_summary *s, FILE *f)
{
    fprintf(f, "\n%zu", s->processes);
    if (s->most_processes > s->processes)
        fprintf(f, " to %zu", s->most_processes);
    if (s->confidence > 0)
        fprintf(f, " processes a cell, intervals of %.1f %% confidence or more\n",
                100 * s->confidence);
    else
        fputs(" processes a cell, too few for an interval (6)\n", f);
}

static void terminal_others(const char *what, struct rep_summary s, FILE *f)
{
    if (s.cells > 0)
        fprintf(f, "%s: x%.2f to x%.2f over %zu cell%s, in lines of their own in report.md\n", what, s.least, s.most, s.cells,
                s.cells == 1 ? "" : "s");
}

void rep_terminal(struct rep_run *run, const char *dir, const struct rep_keys *pictures,
                  FILE *f)
{
    struct rep_summary b = rep_summarize(run, true, NULL), s = rep_summarize(run, false, NULL);
    fputc('\n', f);
    rep_forced_terminal(run, f);
    nb_plain(f, rep_cpu(run));
    fputs(", ", f);
    nb_plain(f, rep_compiler(run));
    fputc('\n', f);
    if (b.cells == 0 && b.beaten > 0)
        fprintf(f,
                "RMSNorm vs LayerNorm, best against best: no answer; in %zu cell%s the winner "
                "was not the fastest\n",
                b.beaten, b.beaten == 1 ? "" : "s");
    else if (b.cells == 0)
        fputs("RMSNorm vs LayerNorm: not measured in this run\n", f);
    else
        fprintf(
            f,
            "RMSNorm vs LayerNorm, best against best%s: x%.2f to x%.2f over %zu cell%s\n"
            "(",
            place_words(run), b.least, b.most, b.cells, b.cells == 1 ? "" : "s");
    if (b.cells > 0) {
        counted_as(f, &b);
        fputs(")\n", f);
    }
    terminal_others("in place", rep_summarize_in_place(run), f);
    terminal_others("of x + residual", rep_summarize_others(run, rep_is_other_sum), f);
    if (b.cells + b.beaten + s.cells > 0) {
        terminal_tables(run, f);
        if (b.cells + s.cells > 0)
            terminal_processes(b.cells > 0 ? &b : &s, f);
    }
    rep_training_terminal(run, f);
    rep_versus_terminal(run, f);
    rep_bars_terminal(run, run->bars, f);
    terminal_checks(run, f);
    rep_noise_terminal(run, f);
    rep_discards_terminal(run, f);
    rep_conditions_terminal(run, f);
    rep_autos_terminal(run->autos, f);
    rep_counters_terminal(run, f);
    fprintf(f, "report  %s/report.md\n", dir);
    if (pictures->n > 0)
        fprintf(f, "plots   %s/plots/NAME.svg and .png, NAME one of\n        ", dir);
    for (size_t i = 0; i < pictures->n; i++)
        fprintf(f, "%s%s", pictures->text[i], i + 1 < pictures->n ? ", " : "\n");
}
