#include "gate_report.h"

#include "files.h"
#include "gnuplot.h"
#include "markup.h"

#include <math.h>
#include <string.h>

/* ---- gate.json ---- */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *numbers(const struct nb_gate_series *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, json_real(s->v[i]));
    return list;
}

static json_t *layouts(const struct nb_gate_entry *e)
{
    json_t *list = json_array();
    for (size_t k = 0; k < NB_GATE_LAYOUTS; k++)
        json_array_append_new(list, numbers(&e->layout[k]));
    return list;
}

static json_t *entry_json(const struct nb_gate_entry *e)
{
    json_t *blocks = json_pack("{so so so so so}", "screen", numbers(&e->screen), "screen_aa",
                               numbers(&e->screen_aa), "confirm", numbers(&e->confirm), "confirm_aa",
                               numbers(&e->confirm_aa), "layout", layouts(e));
    return json_pack("{ss ss ss ss* sb sb so so so so so so so so so so so so so}", "cell", e->cell, "kernel",
                     e->kernel, "verdict", nb_gate_verdict_name(e->verdict), "reason", e->reason, "control",
                     e->control, "confirmed", e->candidate && e->confirm.n > 0, "plant", number(e->plant),
                     "blocks_used", json_integer((json_int_t)(e->confirm.n ? e->confirm.n : e->screen.n)), "ln_ratio",
                     number(e->interval.median), "lo", number(e->interval.lo), "hi", number(e->interval.hi),
                     "confidence", number(e->interval.lo == e->interval.lo ? e->interval.confidence : NAN),
                     "hodges_lehmann", number(e->hodges_lehmann), "margin", number(e->margin), "layout_floor",
                     number(e->layout_floor), "p_slower", number(e->p_slower), "p_faster", number(e->p_faster), "mde",
                     number(e->detectable), "blocks", blocks);
}

static json_t *context_json(const struct nb_gate_context *c)
{
    return json_pack("{ss ss ss ss ss ss? sf sf sI sI sf si si sI sO}", "command", c->command, "preset", c->preset, "cpu",
                     c->cpu, "base", c->base, "head", c->head, "base_path", c->base_path,
                     "budget_s", c->budget_s, "measuring_s", c->measuring_s, "discarded_blocks",
                     (json_int_t)c->discarded, "skipped", (json_int_t)c->skipped, "process_ms", c->process_ms, "screen_rounds",
                     (int)c->screen_rounds, "confirm_rounds", (int)c->confirm_rounds, "seed", (json_int_t)c->seed, "forced", c->forced);
}

json_t *nb_gate_json(const struct nb_gate_set *set, const struct nb_gate_context *c)
{
    json_t *entries = json_array();
    for (size_t i = 0; i < set->count; i++)
        json_array_append_new(entries, entry_json(&set->entry[i]));
    json_t *json = json_pack(
        "{si si ss? so sf sf sb sb sf so sI sI sI so so so sb sb so}", "schema", 1, "exit_code",
        nb_gate_exit_code(set), "invalid", nb_gate_invalid(set), "run", context_json(c), "alpha", set->alpha,
        "margin_least", set->margin_least, "margin_fixed", set->margin_fixed, "layouts", set->layouts,
        "layout_missing", set->layout_missing, "threshold", number(set->threshold), "candidates",
        (json_int_t)set->candidates, "unconfirmed", (json_int_t)set->unconfirmed, "confirm_blocks",
        (json_int_t)set->confirm_blocks, "margin_aa", number(set->margin_aa), "aa_worst", number(set->aa_worst),
        "aa_p", number(set->aa_p), "aa_flagged", set->aa_flagged, "control_found", set->control_found, "comparisons",
        entries);
    NB_ASSERT(json != NULL);
    return json;
}

/* ---- what all writers read ---- */

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "";
}

static double value(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool is_verdict(const json_t *e, enum nb_gate_verdict v)
{
    return strcmp(text(e, "verdict"), nb_gate_verdict_name(v)) == 0;
}

static bool is_control(const json_t *e)
{
    return json_is_true(json_object_get(e, "control"));
}

static const json_t *entries(const json_t *gate)
{
    return json_object_get(gate, "comparisons");
}

static size_t count(const json_t *gate, enum nb_gate_verdict v)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(entries(gate)); i++) {
        const json_t *e = json_array_get(entries(gate), i);
        n += !is_control(e) && is_verdict(e, v);
    }
    return n;
}

/* An ln-ratio as the change of time in percent: +5.0 is slower. */
static double percent(double ln_ratio)
{
    return 100 * expm1(ln_ratio);
}

/* The last one: others were injected where head then failed. */
static const json_t *control(const json_t *gate)
{
    const json_t *last = NULL;
    for (size_t i = 0; i < json_array_size(entries(gate)); i++)
        if (is_control(json_array_get(entries(gate), i)))
            last = json_array_get(entries(gate), i);
    return last;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median and largest of what could have been seen in the unchanged ones. */
static bool detectable(const json_t *gate, double *median, double *most)
{
    const size_t all = json_array_size(entries(gate));
    double *v = calloc(all + 1, sizeof *v);
    size_t n = 0;
    NB_ASSERT(v != NULL);
    for (size_t i = 0; i < all; i++) {
        const json_t *e = json_array_get(entries(gate), i);
        if (!is_control(e) && isfinite(value(e, "mde")))
            v[n++] = value(e, "mde");
    }
    qsort(v, n, sizeof *v, ascending);
    *median = n > 0 ? v[n / 2] : NAN;
    *most = n > 0 ? v[n - 1] : NAN;
    free(v);
    return n > 0;
}

static const char *headline(const json_t *gate)
{
    switch (json_integer_value(json_object_get(gate, "exit_code"))) {
    case 0:
        return "none slower";
    case 1:
        return "INVALID";
    case 2:
        return "FAILED";
    case 3:
        return "SLOWER";
    default:
        return "NOT RESOLVED";
    }
}

static void print_counts(const json_t *gate, FILE *f)
{
    bool any = false;
    for (int v = 0; v < NB_GATE_VERDICTS; v++) {
        const size_t n = count(gate, (enum nb_gate_verdict)v);
        if (n > 0)
            fprintf(f, "%s%zu %s", any ? ", " : "", n, nb_gate_verdict_name((enum nb_gate_verdict)v));
        any = any || n > 0;
    }
}

/* In the order in which a reader wants them. */
static const enum nb_gate_verdict SHOWN[] = {NB_GATE_SLOWER,     NB_GATE_FAILED,      NB_GATE_NOT_RESOLVED,
                                             NB_GATE_UNCONFIRMED, NB_GATE_FASTER,      NB_GATE_NOT_SLOWER,
                                             NB_GATE_SAME,        NB_GATE_NO_BASE,     NB_GATE_ADDED,
                                             NB_GATE_REMOVED};
enum { SHOWN_COUNT = sizeof SHOWN / sizeof *SHOWN };

static void print_interval(const json_t *e, FILE *f)
{
    const double lo = value(e, "lo"), hi = value(e, "hi");
    if (isfinite(lo) && isfinite(hi))
        fprintf(f, "[%+.1f, %+.1f]", percent(lo), percent(hi));
    else
        fputs("-", f);
}

/* ---- terminal ---- */

static void terminal_row(const json_t *e, FILE *f)
{
    const double ratio = value(e, "ln_ratio");
    fprintf(f, "%-12s ", text(e, "verdict"));
    nb_plain_padded(f, text(e, "kernel"), 46);
    if (isfinite(ratio)) {
        fprintf(f, " %+6.1f %% ", percent(ratio));
        print_interval(e, f);
        if (isfinite(value(e, "margin")))
            fprintf(f, " margin %.1f %%", percent(value(e, "margin")));
    }
    fputs("\n             ", f);
    nb_plain(f, text(e, "cell"));
    if (text(e, "reason")[0]) {
        fputs(": ", f);
        nb_plain(f, text(e, "reason"));
    }
    fputc('\n', f);
}

static void terminal_rows(const json_t *gate, FILE *f)
{
    enum { MOST = 20 };
    for (int s = 0; s < SHOWN_COUNT; s++) {
        size_t shown = 0;
        for (size_t i = 0; i < json_array_size(entries(gate)); i++) {
            const json_t *e = json_array_get(entries(gate), i);
            if (is_control(e) || !is_verdict(e, SHOWN[s]))
                continue;
            if (++shown <= MOST)
                terminal_row(e, f);
        }
        if (shown > MOST)
            fprintf(f, "             and %zu more %s: see gate.md\n", shown - MOST, nb_gate_verdict_name(SHOWN[s]));
    }
}

static void print_controls(const json_t *gate, FILE *f)
{
    const json_t *c = control(gate);
    if (c != NULL && isfinite(value(c, "ln_ratio"))) {
        fprintf(f, "an injected slowdown of %.0f %% was measured as %+.1f %% ", 100 * value(c, "plant"),
                percent(value(c, "ln_ratio")));
        print_interval(c, f);
        fputs(json_is_true(json_object_get(gate, "control_found")) ? " and found; " : " and NOT found; ", f);
    }
    if (isfinite(value(gate, "aa_worst")))
        fprintf(f, "base against itself at most %.2f %% off%s", percent(value(gate, "aa_worst")),
                json_is_true(json_object_get(gate, "aa_flagged")) ? ": FLAGGED" : "");
}

static void print_layouts(const json_t *gate, FILE *f)
{
    if (json_is_true(json_object_get(gate, "layouts")))
        fputs("measured on three builds of head, linked in other orders", f);
    else
        fprintf(f, "not measured (no HEAD.layout1..3 beside head): %.1f %% is assumed",
                100 * value(gate, "layout_missing"));
}

/* Reasons for which the run would have been refused without --force. */
static void print_forced(const json_t *gate, const char *before, const char *behind, FILE *f)
{
    const json_t *forced = json_object_get(json_object_get(gate, "run"), "forced");
    for (size_t i = 0; i < json_array_size(forced); i++) {
        fputs(before, f);
        nb_plain(f, json_string_value(json_array_get(forced, i)));
        fputs(behind, f);
    }
}

void nb_gate_terminal(const json_t *gate, const char *dir, FILE *f)
{
    const json_t *run = json_object_get(gate, "run");
    double median, most;
    fputc('\n', f);
    print_forced(gate, "FORCED: ", "\n", f);
    fprintf(f, "%s: ", headline(gate));
    print_counts(gate, f);
    fputs("\n", f);
    if (text(gate, "invalid")[0])
        fprintf(f, "This run says nothing: %s\n", text(gate, "invalid"));
    fputs("\nChange of time from base to head; interval simultaneous over what was confirmed\n", f);
    terminal_rows(gate, f);
    if (detectable(gate, &median, &most))
        fprintf(f, "\nseen     a slowdown of %.1f %% (median over comparisons; %.1f %% in the noisiest) would have been "
                   "found\n         with probability .9\n", percent(median), percent(most));
    fputs("controls ", f);
    print_controls(gate, f);
    fputs("\nlayout   ", f);
    print_layouts(gate, f);
    fprintf(f, "\nblocks   %lld thrown away for steal, clock or migrations, blind to what they say\n",
            (long long)json_integer_value(json_object_get(run, "discarded_blocks")));
    fprintf(f, "files    %s/gate.md, gate.json, gate.junit.xml, plots/gate.svg\n", dir);
}

/* ---- gate.md ---- */

static void md_row(const json_t *e, FILE *f)
{
    fprintf(f, "| %s | ", text(e, "verdict"));
    nb_md_code(f, text(e, "kernel"));
    fputs(" | ", f);
    nb_md_code(f, text(e, "cell"));
    if (isfinite(value(e, "ln_ratio")))
        fprintf(f, " | %+.1f %% | ", percent(value(e, "ln_ratio")));
    else
        fputs(" | - | ", f);
    print_interval(e, f);
    if (isfinite(value(e, "margin")))
        fprintf(f, " | %.1f %% |", percent(value(e, "margin")));
    else
        fputs(" | - |", f);
    if (isfinite(value(e, "mde")))
        fprintf(f, " %.1f %% | ", percent(value(e, "mde")));
    else
        fputs(" - | ", f);
    nb_md(f, text(e, "reason"));
    fputs(" |\n", f);
}

static void md_table(const json_t *gate, const enum nb_gate_verdict *which, size_t n, FILE *f)
{
    fputs("| verdict | kernel | cell | change of time | interval | margin | detectable | |\n"
          "|---|---|---|--:|--:|--:|--:|---|\n", f);
    for (size_t s = 0; s < n; s++)
        for (size_t i = 0; i < json_array_size(entries(gate)); i++) {
            const json_t *e = json_array_get(entries(gate), i);
            if (!is_control(e) && is_verdict(e, which[s]))
                md_row(e, f);
        }
}

static size_t shown_count(const json_t *gate)
{
    size_t n = 0;
    for (int s = 0; s < SHOWN_COUNT; s++)
        n += count(gate, SHOWN[s]);
    return n;
}

static void md_head(const json_t *gate, FILE *f)
{
    const json_t *run = json_object_get(gate, "run");
    fprintf(f, "## normbench gate: %s\n\n", headline(gate));
    print_counts(gate, f);
    fputs(".\n\n", f);
    if (text(gate, "invalid")[0])
        fprintf(f, "**This run says nothing**, neither red nor green: %s.\n\n", text(gate, "invalid"));
    print_forced(gate, "**FORCED**, results mean little: ", ".\n\n", f);
    fputs("base: ", f);
    nb_md(f, text(run, "base"));
    fputs("; head: ", f);
    nb_md(f, text(run, "head"));
    fputs("; on ", f);
    nb_md(f, text(run, "cpu"));
    fputs("\n\n", f);
}

static void md_foot(const json_t *gate, FILE *f)
{
    double median, most;
    fputs("\nControls: ", f);
    print_controls(gate, f);
    fputs(". Layout: ", f);
    print_layouts(gate, f);
    fprintf(f, ". Blocks thrown away, blind to what they say: %lld.",
            (long long)json_integer_value(json_object_get(json_object_get(gate, "run"), "discarded_blocks")));
    if (detectable(gate, &median, &most))
        fprintf(f, " A slowdown of %.1f %% (median; %.1f %% in the noisiest comparison) would have been found with "
                   "probability .9.", percent(median), percent(most));
    fputs("\n", f);
}

void nb_gate_md(const json_t *gate, FILE *f)
{
    static const enum nb_gate_verdict unchanged[] = {NB_GATE_UNCHANGED};
    md_head(gate, f);
    if (shown_count(gate) > 0)
        md_table(gate, SHOWN, SHOWN_COUNT, f);
    if (count(gate, NB_GATE_UNCHANGED) > 0) {
        fprintf(f, "\n<details><summary>%zu unchanged: screened with %s blocks, and no candidate</summary>\n\n",
                count(gate, NB_GATE_UNCHANGED), "5");
        md_table(gate, unchanged, 1, f);
        fputs("\n</details>\n", f);
    }
    md_foot(gate, f);
}

/* ---- gate.junit.xml ---- */

/* Text of XML: markup escaped, control characters are spaces (nb_plain has seen to both them and UTF-8). */
static void xml(FILE *f, const char *s)
{
    char *clean = NULL;
    size_t len = 0;
    FILE *m = open_memstream(&clean, &len);
    NB_ASSERT(m != NULL);
    nb_plain(m, s);
    NB_ASSERT(fclose(m) == 0);
    for (const char *c = clean; *c != '\0'; c++)
        switch (*c) {
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '&':
            fputs("&amp;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(*c, f);
        }
    free(clean);
}

static void junit_message(const json_t *e, FILE *f)
{
    fprintf(f, "%s", text(e, "verdict"));
    if (isfinite(value(e, "ln_ratio"))) {
        fprintf(f, " %+.1f %% ", percent(value(e, "ln_ratio")));
        print_interval(e, f);
    }
    if (text(e, "reason")[0]) {
        fputs(": ", f);
        xml(f, text(e, "reason"));
    }
}

/* An invalid run is an error of each case: it must be neither red nor green by what it says. */
static void junit_case(const json_t *gate, const json_t *e, FILE *f)
{
    const bool failure = is_verdict(e, NB_GATE_SLOWER) || is_verdict(e, NB_GATE_FAILED);
    const bool skipped = is_verdict(e, NB_GATE_NOT_RESOLVED) || is_verdict(e, NB_GATE_UNCONFIRMED) ||
                         is_verdict(e, NB_GATE_NO_BASE) || is_verdict(e, NB_GATE_ADDED) ||
                         is_verdict(e, NB_GATE_REMOVED);
    const bool invalid = text(gate, "invalid")[0] != '\0';
    const char *word = invalid ? "error" : failure ? "failure" : skipped ? "skipped" : NULL;
    fputs("  <testcase classname=\"normbench.", f);
    xml(f, text(e, "cell"));
    fputs("\" name=\"", f);
    xml(f, text(e, "kernel"));
    if (word == NULL) {
        fputs("\"/>\n", f);
        return;
    }
    fprintf(f, "\"><%s message=\"", word);
    if (invalid)
        fprintf(f, "the run is invalid: %s", text(gate, "invalid"));
    else
        junit_message(e, f);
    fputs("\"/></testcase>\n", f);
}

static size_t control_count(const json_t *gate)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(entries(gate)); i++)
        n += is_control(json_array_get(entries(gate), i));
    return n;
}

static void write_junit(const json_t *gate, FILE *f)
{
    const size_t all = json_array_size(entries(gate)), controls = control_count(gate);
    const size_t red = count(gate, NB_GATE_SLOWER) + count(gate, NB_GATE_FAILED);
    const size_t skipped = count(gate, NB_GATE_NOT_RESOLVED) + count(gate, NB_GATE_UNCONFIRMED) +
                           count(gate, NB_GATE_NO_BASE) + count(gate, NB_GATE_ADDED) + count(gate, NB_GATE_REMOVED);
    const bool invalid = text(gate, "invalid")[0] != '\0';
    fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"normbench gate\" tests=\"%zu\" "
               "failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n",
            all - controls, invalid ? 0 : red, invalid ? all - controls : 0, invalid ? 0 : skipped);
    for (size_t i = 0; i < all; i++)
        if (!is_control(json_array_get(entries(gate), i)))
            junit_case(gate, json_array_get(entries(gate), i), f);
    fputs("</testsuite>\n", f);
}

/* ---- the picture ---- */

static bool is_drawn(const json_t *e)
{
    return isfinite(value(e, "ln_ratio")) && isfinite(value(e, "lo"));
}

static int by_ratio(const void *a, const void *b)
{
    const double x = value(*(json_t *const *)a, "ln_ratio"), y = value(*(json_t *const *)b, "ln_ratio");
    return (x > y) - (x < y);
}

/* What matters first: all that was confirmed and the control, then the largest of the others. */
static size_t chosen(const json_t *gate, json_t *list[], size_t most)
{
    size_t n = 0;
    for (int confirmed = 1; confirmed >= 0; confirmed--)
        for (size_t i = 0; i < json_array_size(entries(gate)) && n < most; i++) {
            json_t *e = json_array_get(entries(gate), i);
            if (is_drawn(e) && json_is_true(json_object_get(e, "confirmed")) == (confirmed == 1))
                list[n++] = e;
        }
    qsort(list, n, sizeof *list, by_ratio);
    return n;
}

static int colour_of(const json_t *e)
{
    return is_control(e)                          ? 0
           : is_verdict(e, NB_GATE_SLOWER)        ? 1
           : is_verdict(e, NB_GATE_FASTER)        ? 2
           : is_verdict(e, NB_GATE_NOT_RESOLVED)  ? 3
           : json_is_true(json_object_get(e, "confirmed")) ? 4
                                                  : 5;
}

static void draw_rows(struct nb_picture *p, json_t *const list[], size_t n)
{
    char labels[40][160];
    const char *label[40];
    for (size_t i = 0; i < n; i++) {
        const double margin = value(list[i], "margin");
        snprintf(labels[i], sizeof labels[i], "%s%s, %s", is_control(list[i]) ? "injected: " : "",
                 text(list[i], "kernel"), text(list[i], "cell"));
        label[i] = labels[i];
        fprintf(p->dat, "%zu %.4f %.4f %.4f %.4f %d\n", n - i, percent(value(list[i], "ln_ratio")),
                percent(value(list[i], "lo")), percent(value(list[i], "hi")),
                isfinite(margin) ? percent(margin) : 0, colour_of(list[i]));
    }
    nb_gp_texts(p, "LABEL", label, n);
}

static enum nb_status draw(const json_t *gate, const char *dir, struct nb_err *err)
{
    enum { MOST = 40 };
    json_t *list[MOST];
    char plots[4096], note[256] = "", title[200];
    struct nb_picture p;
    const size_t n = chosen(gate, list, MOST);
    if (n == 0)
        return NB_OK;
    enum nb_status s = nb_plots_folder(plots, dir, err);
    if (s != NB_OK)
        return s;
    nb_picture_open(&p, "gate", "gate.gp");
    snprintf(title, sizeof title, "Change of time from base to head: %s", headline(gate));
    nb_gp_text(&p, "NAME", "gate");
    nb_gp_text(&p, "TITLE", title);
    fprintf(p.gp, "N = %zu\n", n);
    draw_rows(&p, list, n);
    s = nb_picture_draw(&p, plots, note, err);
    nb_picture_free(&p);
    if (s == NB_OK && note[0])
        fprintf(stderr, "plots: %s\n", note);
    return s;
}

/* ---- files ---- */

static enum nb_status write_file(const json_t *gate, const char *dir, const char *name,
                                 void (*write)(const json_t *, FILE *), struct nb_err *err)
{
    char *content = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&content, &length);
    NB_ASSERT(f != NULL);
    write(gate, f);
    NB_ASSERT(fclose(f) == 0);
    const enum nb_status s = nb_file_write(dir, name, content, length, err);
    free(content);
    return s;
}

enum nb_status nb_gate_files(const json_t *gate, const char *dir, struct nb_err *err)
{
    struct nb_c_locale l;
    enum nb_status s = nb_c_locale_enter(&l, err);
    if (s != NB_OK)
        return s;
    s = write_file(gate, dir, "gate.md", nb_gate_md, err);
    if (s == NB_OK)
        s = write_file(gate, dir, "gate.junit.xml", write_junit, err);
    if (s == NB_OK)
        s = draw(gate, dir, err);
    nb_c_locale_leave(&l);
    return s;
}
