/* What a run could not tell: its noise floor by A/A copies, the speedups it did not
 * resolve and how small an effect it would have found, the units it threw away.
 * Definitions: docs/measurement.md, "Statistics". */
#include "markup.h"
#include "report_data.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED = 30 };

/* ---- the floor ---- */

static double *room_for(size_t n)
{
    double *v = malloc((n ? n : 1) * sizeof(*v));
    NB_ASSERT(v != NULL && "out of memory");
    return v;
}

static void count_copy(struct rep_floor *floor, const struct rep_estimate *ratio)
{
    floor->copies++;
    if (ratio->processes > floor->processes)
        floor->processes = ratio->processes;
    if (!isfinite(ratio->lo))
        return;
    floor->intervals++;
    floor->outside += ratio->lo > 1 || ratio->hi < 1;
    floor->expected += 1 - ratio->confidence;
}

/* The largest |ratio - 1| of a cell's copies; NAN: it has none. */
static double count_cell(struct rep_floor *floor, const struct rep_cell *cell)
{
    double most = NAN;
    for (size_t i = 0; i < cell->nnoise; i++) {
        count_copy(floor, &cell->noise[i].ratio);
        most = fmax(most, fabs(cell->noise[i].ratio.value - 1));
    }
    floor->cells += cell->nnoise > 0;
    return most;
}

/* Holm over all copies of the run; a cell is doubtful where one of its copies falls. */
static void find_doubtful(struct rep_run *run)
{
    double *p = room_for(run->floor.copies);
    size_t n = 0, at = 0;
    for (size_t c = 0; c < run->ncells; c++)
        for (size_t i = 0; i < run->cells[c].nnoise; i++)
            p[n++] = run->cells[c].noise[i].p;
    nb_holm(p, n, p);
    for (size_t c = 0; c < run->ncells; c++) {
        for (size_t i = 0; i < run->cells[c].nnoise; i++)
            run->cells[c].doubtful |= p[at++] <= rep_alpha;
        run->floor.doubtful += run->cells[c].doubtful;
    }
    free(p);
}

void rep_noise_floor(struct rep_run *run)
{
    struct rep_floor *floor = &run->floor;
    double *most = room_for(run->ncells);
    size_t n = 0;
    *floor = (struct rep_floor){.median = NAN, .worst = NAN};
    for (size_t c = 0; c < run->ncells; c++) {
        double v = count_cell(floor, &run->cells[c]);
        if (isfinite(v))
            most[n++] = v;
    }
    if (n > 0) {
        floor->median = nb_median(most, n);
        floor->worst = most[n - 1]; /* nb_median sorted them */
        floor->needed = nb_blocks_least(rep_alpha / (double)floor->copies);
        find_doubtful(run);
    }
    free(most);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static bool can_tell(const struct rep_floor *floor)
{
    return floor->processes >= floor->needed;
}

const char *rep_doubt_md(const struct rep_cell *cell)
{
    return cell->doubtful ? " doubtful" : "";
}

static void doubtful_rows(const struct rep_run *run, FILE *f)
{
    size_t listed = 0;
    for (size_t c = 0; c < run->ncells; c++)
        for (size_t i = 0; run->cells[c].doubtful && i < run->cells[c].nnoise; i++) {
            const struct rep_noise *n = &run->cells[c].noise[i];
            if (listed++ >= LISTED)
                continue;
            fputs("- ", f);
            nb_md_code(f, run->cells[c].id);
            fputs(": ", f);
            nb_md_code(f, n->kernel->name);
            fprintf(f, " %.4f [%.4f, %.4f]\n", n->ratio.value, n->ratio.lo, n->ratio.hi);
        }
    if (listed > LISTED)
        fprintf(f, "- %zu more\n", listed - LISTED);
}

static void holm_md(const struct rep_run *run, FILE *f)
{
    const struct rep_floor *n = &run->floor;
    fprintf(f,
            "\nAfter Holm over the %s%zu cop%s (two-sided sign test over processes, "
            "level %g): ",
            n->copies == 1 ? "" : "run's ", n->copies, n->copies == 1 ? "y" : "ies",
            rep_alpha);
    if (!can_tell(n))
        fprintf(f,
                "none can be told. With %zu process%s no p-value lies below %.2g, and so "
                "many "
                "copies take %zu processes. That no cell is marked says nothing here.\n",
                n->processes, n->processes == 1 ? "" : "es", ldexp(2, -(int)n->processes),
                n->needed);
    else if (n->doubtful == 0)
        fputs("1 is excluded in no cell.\n", f);
    else {
        fprintf(
            f,
            "1 is excluded in %zu of %zu cells. They and their speedups are marked "
            "**doubtful**: there a kernel differs from itself by more than chance, so "
            "another kernel may differ from it for the same reason. All copies of "
            "these cells:\n\n",
            n->doubtful, n->cells);
        doubtful_rows(run, f);
    }
}

/* One kernel in two counts of passes: what a sample costs beside its passes would show as
 * a ratio above 1. */
static void bias_md(const struct rep_run *run, FILE *f)
{
    size_t n = 0, room = 0, excluded = 0;
    double *v = NULL, most = 0;
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t k = 0; k < run->cells[i].nbias; k++) {
            const struct rep_estimate *e = &run->cells[i].bias[k].ratio;
            v = rep_grow(v, n, &room, sizeof(*v));
            v[n++] = e->value - 1;
            most = fmax(most, fabs(e->value - 1));
            excluded += e->lo > 1 || e->hi < 1;
        }
    if (n == 0)
        fputs("\nCount bias: null, no ceiling was measured in two counts of passes.\n",
              f);
    else
        fprintf(
            f,
            "\nCount bias: `scale` in samples of a quarter of its passes, in the same "
            "rounds, in "
            "%zu cell%s: its time a pass is off by %+.2f %% in the median and %.2f %% at "
            "most. The "
            "interval excludes 1 in %zu.\n",
            n, plural(n), 100 * nb_median(v, n), 100 * most, excluded);
    free(v);
}

void rep_noise_md(const struct rep_run *run, FILE *f)
{
    const struct rep_floor *n = &run->floor;
    fputs("\n## Noise floor\n\n", f);
    if (n->copies == 0)
        fputs("null: no kernel was measured against a copy of itself.\n", f);
    else {
        fprintf(f,
                "The same function measured twice in the same rounds (A/A), %zu time%s "
                "in %zu "
                "cell%s: the ratio is off 1 by at most %.2f %% in the median of cells "
                "and %.2f %% "
                "at worst.",
                n->copies, plural(n->copies), n->cells, plural(n->cells), 100 * n->median,
                100 * n->worst);
        if (n->intervals > 0)
            fprintf(
                f,
                " The interval excludes 1 in %zu of %zu; by chance alone in about %.1f.",
                n->outside, n->intervals, n->expected);
        fputc('\n', f);
        holm_md(run, f);
    }
    bias_md(run, f);
}

void rep_noise_terminal(const struct rep_run *run, FILE *f)
{
    const struct rep_floor *n = &run->floor;
    if (n->copies == 0) {
        fputs("noise   null: nothing was measured against a copy of itself\n", f);
        return;
    }
    fprintf(f,
            "noise   floor: A/A copies differ by at most %.2f %% in the median of cells, "
            "%.2f %% "
            "at worst;\n        cells that exclude 1 after Holm: ",
            100 * n->median, 100 * n->worst);
    if (can_tell(n))
        fprintf(f, "%zu of %zu%s\n", n->doubtful, n->cells,
                n->doubtful ? " (marked *, report.md)" : "");
    else
        fprintf(f, "none can be told, %zu cop%s take %zu processes, not %zu\n", n->copies,
                n->copies == 1 ? "y" : "ies", n->needed, n->processes);
}

/* ---- what was not resolved ---- */

void rep_mde_md(double mde, FILE *f)
{
    if (isfinite(mde))
        fprintf(f, "%.2f %%", 100 * mde);
    else
        fputs("null", f);
}

static bool is_unresolved(const struct rep_pairing *p)
{
    return rep_has_speedup(p) && strcmp(p->verdict, "unresolved") == 0;
}

static void unresolved_row(const struct rep_cell *c, const struct rep_pairing *p, FILE *f)
{
    fputs("| ", f);
    nb_md(f, p->name);
    fputs(" | ", f);
    nb_md_code(f, c->id);
    fputs(" | ", f);
    nb_md_code(f, p->base_name);
    fputs(" / ", f);
    nb_md_code(f, p->test_name);
    fprintf(f, " | %.3f [%.3f, %.3f]%s | ", p->speedup.value, p->speedup.lo,
            p->speedup.hi, rep_doubt_md(c));
    rep_mde_md(p->mde, f);
    fprintf(f, " | %zu |\n", p->speedup.processes);
}

/* Best against best first: it is the question. */
static size_t unresolved_rows(const struct rep_run *run, FILE *f)
{
    size_t listed = 0;
    for (int best = 1; best >= 0; best--)
        for (size_t c = 0; c < run->ncells; c++)
            for (size_t i = 0; i < run->cells[c].npairings; i++) {
                const struct rep_pairing *p = &run->cells[c].pairings[i];
                if (is_unresolved(p) && rep_same(p->name, "best-of-each") == best &&
                    listed++ < LISTED)
                    unresolved_row(&run->cells[c], p, f);
            }
    return listed;
}

static void count_resolved(const struct rep_run *run, size_t *unresolved,
                           size_t *with_interval)
{
    *unresolved = *with_interval = 0;
    for (size_t c = 0; c < run->ncells; c++)
        for (size_t i = 0; i < run->cells[c].npairings; i++) {
            *unresolved += is_unresolved(&run->cells[c].pairings[i]);
            *with_interval += isfinite(run->cells[c].pairings[i].speedup.lo);
        }
}

void rep_unresolved_md(const struct rep_run *run, FILE *f)
{
    size_t unresolved, with_interval;
    count_resolved(run, &unresolved, &with_interval);
    fputs("\n## Not resolved\n\n", f);
    if (with_interval == 0) {
        fputs("null: no speedup has an interval.\n", f);
        return;
    }
    fprintf(
        f,
        "The interval holds 1 in %zu of %zu speedups: which of the two is faster is not "
        "known, and nothing here says that they are equal. **MDE** (minimum detectable "
        "effect): a difference of that size, either way, would have been found with "
        "probability %g by this number of processes, scattered as these are (two-sided "
        "sign "
        "test, level %g). A smaller one is more likely to be missed.\n",
        unresolved, with_interval, rep_power, rep_alpha);
    if (unresolved == 0)
        return;
    fputs("\n| pairing | cell | base / test | speedup | MDE | processes |\n"
          "|---|---|---|---|--:|--:|\n",
          f);
    if (unresolved_rows(run, f) > LISTED)
        fprintf(f, "\n%zu more in `speedup.csv`.\n", unresolved - LISTED);
}

/* ---- what was thrown away ---- */

static size_t discarded_units(const struct rep_run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->ndiscards; i++)
        n += run->discards[i].units;
    return n;
}

/* Units of which no later attempt was done. */
static size_t lost_units(const struct rep_run *run)
{
    size_t n = 0;
    for (size_t c = 0; c < run->ncells; c++)
        for (size_t u = 0; u < run->cells[c].nunits; u++)
            n += run->cells[c].units[u].discarded && !run->cells[c].units[u].done;
    return n;
}

void rep_discards_md(const struct rep_run *run, FILE *f)
{
    const size_t n = discarded_units(run), lost = lost_units(run);
    fputs("\n## Discards\n\n", f);
    if (n == 0) {
        fputs("None: no attempt at a unit (a process and a cell) was thrown away for damage. What was measured "
              "again for its conditions stands below.\n", f);
        return;
    }
    fprintf(f,
            "%zu attempt%s at a unit (a process and a cell) %s thrown away, blind to the "
            "times; "
            "%zu unit%s %s not made good by a later attempt.\n\n| reason | attempts "
            "|\n|---|--:|\n",
            n, plural(n), n == 1 ? "was" : "were", lost, plural(lost),
            lost == 1 ? "was" : "were");
    for (size_t i = 0; i < run->ndiscards && i < LISTED; i++) {
        fputs("| ", f);
        nb_md(f, run->discards[i].reason);
        fprintf(f, " | %zu |\n", run->discards[i].units);
    }
}

void rep_discards_terminal(const struct rep_run *run, FILE *f)
{
    const size_t n = discarded_units(run), lost = lost_units(run);
    if (n > 0)
        fprintf(f,
                "discard %zu attempt%s at a unit thrown away, %zu not made good "
                "(report.md)\n",
                n, plural(n), lost);
}
