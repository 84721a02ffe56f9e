#define _GNU_SOURCE /* strndup */

/* What counters say of an entry: columns of results.csv with what they need, and a section of report.md. */
#include "markup.h"
#include "report_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- figures ---- */

typedef double figure_of(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e);

static double ipc(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e)
{
    (void)run, (void)c;
    return e->counts[REP_INSTRUCTIONS] / e->counts[REP_CYCLES];
}

static double bytes_per_cycle(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e)
{
    (void)run;
    return rep_row_bytes(c, e->kernel) / (e->counts[REP_CYCLES] * (double)c->hidden);
}

static double line_bytes(const struct rep_run *run)
{
    return rep_number(json_object_get(run->host, "caches"), "line");
}

/* Lines fetched from beyond the last level. Lines written back are no misses and not among them. */
static double dram_bytes(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e)
{
    (void)c;
    return e->counts[REP_LLC_MISSES] * line_bytes(run);
}

static double dram_over_model(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e)
{
    return dram_bytes(run, c, e) / rep_row_bytes(c, e->kernel);
}

static double dram_over_allocate(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e)
{
    return dram_bytes(run, c, e) / rep_row_bytes_allocated(c, e->kernel);
}

/* A column: a count, where there is no function, or what the function makes of the counts that it needs. */
static const struct figure {
    const char *column, *formula;
    enum rep_count needs[2];
    size_t nneeds;
    bool line; /* needs the size of a cache line, too */
    figure_of *of;
} figures[] = {
    {"core_cycles_per_elem", "cycles", {REP_CYCLES}, 1, false, NULL},
    {"instructions_per_elem", "instructions", {REP_INSTRUCTIONS}, 1, false, NULL},
    {"l1d_misses_per_row", "l1d_misses", {REP_L1D_MISSES}, 1, false, NULL},
    {"l2_misses_per_row", "l2_misses", {REP_L2_MISSES}, 1, false, NULL},
    {"llc_misses_per_row", "llc_misses", {REP_LLC_MISSES}, 1, false, NULL},
    {"dtlb_misses_per_row", "dtlb_misses", {REP_DTLB_MISSES}, 1, false, NULL},
    {"branch_misses_per_row", "branch_misses", {REP_BRANCH_MISSES}, 1, false, NULL},
    {"loads_per_elem", "loads", {REP_LOADS}, 1, false, NULL},
    {"ipc", "instructions / cycles", {REP_INSTRUCTIONS, REP_CYCLES}, 2, false, ipc},
    {"bytes_per_cycle", "useful bytes / cycles", {REP_CYCLES}, 1, false, bytes_per_cycle},
    {"dram_bytes_per_row", "llc_misses x line", {REP_LLC_MISSES}, 1, true, dram_bytes},
    {"dram_over_model", "dram bytes / bytes_per_row", {REP_LLC_MISSES}, 1, true, dram_over_model},
    {"dram_over_model_allocate", "dram bytes / bytes_per_row_allocate", {REP_LLC_MISSES}, 1, true,
     dram_over_allocate},
};
enum { FIGURES = sizeof(figures) / sizeof(*figures), OLD_FIGURES = 5 /* have columns of their own place */ };

static double value_of(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e,
                       const struct figure *g)
{
    return g->of != NULL ? g->of(run, c, e) : e->counts[g->needs[0]];
}

/* ---- results.csv ---- */

void rep_counter_header(FILE *f)
{
    for (size_t i = OLD_FIGURES; i < FIGURES; i++)
        fprintf(f, ",%s", figures[i].column);
    fputs(",counters,counters_missing", f);
}

static const char *how_counted(const struct rep_entry *e)
{
    return e->counted == REP_CERTIFIED ? "certified" : e->counted == REP_UNCERTIFIED ? "uncertified" : "null";
}

/* Every event that a null figure lacks, by the name under which host.json has its reason. */
static void missing(const struct rep_run *run, const struct rep_entry *e, FILE *f)
{
    bool any = false;
    if (!rep_is_timed(e)) {
        fputs(",not-timed", f);
        return;
    }
    for (int c = REP_REF_CYCLES + 1; c < REP_COUNTS; c++)
        if (!isfinite(e->counts[c])) {
            fprintf(f, "%c%s", any ? '|' : ',', rep_count_key[c]);
            any = true;
        }
    if (!isfinite(line_bytes(run)))
        fprintf(f, "%cline", any ? '|' : ',');
    else if (!any)
        fputs(",none", f);
}

void rep_counter_columns(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e, FILE *f)
{
    for (size_t i = OLD_FIGURES; i < FIGURES; i++) {
        fputc(',', f);
        rep_print_number(f, value_of(run, c, e, &figures[i]));
    }
    fprintf(f, ",%s", how_counted(e));
    missing(run, e, f);
}

/* ---- report.md ---- */

/* papi holds the events itself or under "events"; each is its source or reason, or an object with one of
 * these. A reason of host.json goes before that of a process which lost what host.json has. */
static const char *event_reason(const struct rep_run *run, enum rep_count what)
{
    const json_t *papi = json_object_get(run->host, "papi");
    const char *key = rep_count_key[what];
    const json_t *e = json_object_get(json_object_get(papi, "events"), key);
    if (e == NULL)
        e = json_object_get(papi, key);
    if (e == NULL && json_object_get(papi, "events") != NULL)
        return "unknown to the program that made this run";
    if (json_is_string(e))
        return json_string_value(e);
    const char *reason = rep_string(e, "reason");
    if (reason != NULL && reason[0] != '\0')
        return reason;
    if (run->lost[what] != NULL)
        return run->lost[what];
    if (rep_string(e, "source") != NULL)
        return "counted by none of the processes that entered";
    const char *state = rep_string(papi, "state");
    return state != NULL ? state : "host.json tells no reason";
}

static size_t rows_with(const struct rep_run *run, const struct figure *g)
{
    size_t n = 0;
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++)
            n += isfinite(value_of(run, &run->cells[i], &run->cells[i].entries[e], g));
    return n;
}

static bool has_count(const struct rep_run *run, enum rep_count what)
{
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++)
            if (isfinite(run->cells[i].entries[e].counts[what]))
                return true;
    return false;
}

static void ingredients(const struct rep_run *run, const struct figure *g, FILE *f)
{
    const char *before = "";
    for (size_t i = 0; i < g->nneeds; i++)
        if (!has_count(run, g->needs[i])) {
            fprintf(f, "%sno %s", before, rep_count_key[g->needs[i]]);
            before = ", ";
        }
    if (g->line && !isfinite(line_bytes(run)))
        fprintf(f, "%sno cache line in host.json", before);
}

/* Length of the cause: up to the first "; ", behind which comes what was said of each name that was tried. */
static size_t cause_length(const char *why)
{
    const char *end = strstr(why, "; ");
    return end != NULL ? (size_t)(end - why) : strlen(why);
}

static bool same_cause(const char *a, const char *b)
{
    const size_t n = cause_length(a);
    return n == cause_length(b) && memcmp(a, b, n) == 0;
}

static void md_part(FILE *f, const char *text, size_t n)
{
    char *part = strndup(text, n);
    NB_ASSERT(part != NULL && "out of memory");
    nb_md(f, part);
    free(part);
}

/* Events of one and the same cause are told together, then without what was said of their names. */
static void reasons(const struct rep_run *run, FILE *f)
{
    bool told[REP_COUNTS] = {false};
    for (int c = REP_REF_CYCLES + 1; c < REP_COUNTS; c++) {
        if (told[c] || has_count(run, (enum rep_count)c))
            continue;
        const char *why = event_reason(run, (enum rep_count)c);
        bool alone = true;
        fprintf(f, "- no %s", rep_count_key[c]);
        for (int d = c + 1; d < REP_COUNTS; d++)
            if (!has_count(run, (enum rep_count)d) && same_cause(why, event_reason(run, (enum rep_count)d))) {
                fprintf(f, ", %s", rep_count_key[d]);
                told[d] = true;
                alone = false;
            }
        fputs(": ", f);
        md_part(f, why, alone ? strlen(why) : cause_length(why));
        fputs(alone ? "\n" : " (each name that was tried: `host.json`, papi)\n", f);
    }
}

static void certificate_line(const char *name, const json_t *event, FILE *f)
{
    const json_t *c = json_object_get(event, "certificate");
    if (c == NULL)
        return;
    fprintf(f, "| %s | ", name);
    nb_md(f, rep_string(event, "source") != NULL ? rep_string(event, "source") : "absent");
    fputs(" | ", f);
    nb_md(f, rep_string(c, "loop"));
    fputs(" | ", f);
    rep_print_number(f, rep_number(c, "expected"));
    fputs(" | ", f);
    rep_print_number(f, rep_number(c, "seen"));
    fprintf(f, " | %.2f to %.2f | ", rep_number(c, "lo"), rep_number(c, "hi"));
    nb_md(f, rep_string(c, "verdict"));
    fputs(" |\n", f);
}

static void certificates(const struct rep_run *run, FILE *f)
{
    json_t *events = json_object_get(json_object_get(run->host, "papi"), "events"), *event;
    const char *name;
    bool any = false;
    json_object_foreach(events, name, event)
    {
        if (!any && json_object_get(event, "certificate") != NULL) {
            fputs("\n| event | source | loop | expected | seen | band | certificate |\n"
                  "|---|---|---|---|---|---|---|\n", f);
            any = true;
        }
        certificate_line(name, event, f);
    }
}

static bool is_uncertified(const struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++)
            if (run->cells[i].entries[e].counted == REP_UNCERTIFIED)
                return true;
    return false;
}

void rep_counters_md(const struct rep_run *run, FILE *f)
{
    size_t rows = 0;
    for (size_t i = 0; i < run->ncells; i++)
        for (size_t e = 0; e < run->cells[i].nentries; e++)
            rows += rep_is_timed(&run->cells[i].entries[e]);
    fputs("\n## Counters\n\n", f);
    if (is_uncertified(run))
        fputs("**UNCERTIFIED**: counters of this run were not held against known loops (`counters` in "
              "`results.csv`). No figure of theirs is a measurement.\n\n", f);
    fputs("| column of `results.csv` | from | rows | missing |\n|---|---|---|---|\n", f);
    for (size_t i = 0; i < FIGURES; i++) {
        fprintf(f, "| %s | %s | %zu of %zu | ", figures[i].column, figures[i].formula, rows_with(run, &figures[i]),
                rows);
        ingredients(run, &figures[i], f);
        fputs(" |\n", f);
    }
    certificates(run, f);
    fputc('\n', f);
    reasons(run, f);
}

void rep_counters_terminal(const struct rep_run *run, FILE *f)
{
    if (is_uncertified(run))
        fputs("counters UNCERTIFIED: for tests alone, no figure of theirs is a measurement\n", f);
}
