/* What the best kernels reach of scale and of the hard roof, against the bars in plan.json
 * (bars.h). Only a bar of the host's own class of CPU decides anything. */
#include "csv.h"
#include "markup.h"
#include "report_data.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 160 };

/* ---- which class ---- */

/* A fact of host.json as a number: it stands there as text. */
static double host_number(const struct rep_run *run, const char *key)
{
    const json_t *cpu = json_object_get(run->host, "cpu");
    const char *text = rep_string(cpu, key);
    char *end;
    if (text == NULL)
        return rep_number(cpu, key);
    double v = strtod(text, &end);
    return end != text && *end == 0 ? v : NAN;
}

static bool is_member(const struct rep_run *run, const json_t *class)
{
    const json_t *range;
    const json_t *models = json_object_get(class, "models");
    const char *family = rep_string(class, "family");
    double model = host_number(run, "model_number");
    size_t i;
    if (!rep_same(rep_string(json_object_get(run->host, "cpu"), "vendor"),
                  rep_string(class, "vendor")) ||
        family == NULL || strtod(family, NULL) != host_number(run, "family"))
        return false;
    json_array_foreach(models, i, range)
    {
        const double from = json_number_value(json_array_get(range, 0));
        if (model >= from && model <= json_number_value(json_array_get(range, 1)))
            return true;
    }
    return false;
}

/* The host's own class, otherwise the first: then for reference. */
static const json_t *choose_class(const struct rep_run *run, bool *same)
{
    const json_t *classes = json_object_get(run->plan, "bars"), *class;
    size_t i;
    json_array_foreach(classes, i, class)
    {
        *same = is_member(run, class);
        if (*same)
            return class;
    }
    return json_array_get(classes, 0);
}

/* ---- which kernel ---- */

/* Bars are about one thread, out of place, gamma and beta of x's type. */
static const struct rep_cell *bar_cell(const struct rep_run *run, const struct rep_bar *b,
                                       size_t hidden)
{
    const struct rep_cell *found = NULL;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        bool here = rep_same(c->dir, "fwd") && rep_same(c->fuse, "none") &&
                    c->stats_out == 0 && !c->in_place && c->offset == REP_OFFSET &&
                    c->threads == 1 && c->hidden == hidden && rep_same(c->type, b->dtype) &&
                    rep_same(c->residency, b->residency) && (b->rows == 0 || c->rows == b->rows);
        if (here && (found == NULL || c->rows > found->rows))
            found = c;
    }
    return found;
}

/* isa NULL: any */
static bool may_count(const struct rep_bar *b, const struct rep_entry *e, const char *isa)
{
    return rep_is_op(e->kernel, b->op) && !e->kernel->weak && rep_is_timed(e) &&
           (isa == NULL || rep_same(e->kernel->isa, isa)) &&
           (b->glob == NULL || fnmatch(b->glob, e->kernel->name, 0) == 0);
}

/* Over scale in the same rounds, or by the clock alone. */
static const struct rep_entry *fastest(const struct rep_cell *c, const struct rep_bar *b,
                                       const char *isa, bool over_scale)
{
    const struct rep_entry *found = NULL;
    double most = 0;
    for (size_t i = 0; c != NULL && i < c->nentries; i++) {
        const struct rep_entry *e = &c->entries[i];
        double speed = over_scale ? e->scale_ratio.value : 1 / e->ns_per_row.value;
        if (may_count(b, e, isa) && speed > most) {
            found = e;
            most = speed;
        }
    }
    return found;
}

/* Why the plan has no such cell: dropped cells are named there with their number of rows. */
static const char *why_no_cell(struct rep_run *run, const struct rep_bar *b, size_t hidden)
{
    const json_t *dropped = json_object_get(run->plan, "dropped"), *d;
    char start[96], rows[32] = "", end[48];
    size_t i;
    if (b->rows > 0)
        snprintf(rows, sizeof(rows), "%zu-", b->rows);
    snprintf(start, sizeof(start), "fwd-none-%.20s-h%zu-r%s", b->dtype, hidden, rows);
    snprintf(end, sizeof(end), "-t1-%.20s", b->residency);
    json_array_foreach(dropped, i, d)
    {
        const char *id = rep_string(d, "cell"), *reason = rep_string(d, "reason");
        if (id != NULL && reason != NULL && strncmp(id, start, strlen(start)) == 0 &&
            strlen(id) > strlen(end) && strcmp(id + strlen(id) - strlen(end), end) == 0)
            return reason;
    }
    return "no such cell in this run";
}

static size_t next_multiple(size_t hidden)
{
    return (hidden + 63) / 64 * 64;
}

static struct rep_estimate scaled(struct rep_estimate e, double by)
{
    return (struct rep_estimate){e.value * by, e.lo * by, e.hi * by, e.confidence, e.processes};
}

/* Fills value, best and against, as far as there are such. */
static void measure(const struct rep_run *run, struct rep_bar *b, const struct rep_cell *c,
                    const struct rep_cell *next)
{
    b->best = fastest(c, b, b->isa, b->measure == REP_OF_SCALE || b->measure == REP_OF_ISA);
    b->against = b->measure == REP_OF_ISA ? fastest(c, b, b->over, true)
                 : b->measure == REP_TAIL ? fastest(next, b, NULL, false)
                                          : NULL;
    if (b->best == NULL)
        return;
    if (b->measure == REP_OF_SCALE)
        b->value = b->best->scale_ratio;
    else if (b->measure == REP_NS)
        b->value = scaled(b->best->ns_per_row, (double)c->rows);
    else if (b->against != NULL)
        b->value = b->measure == REP_TAIL ? rep_element_speed_over(run, c, b->best, next, b->against)
                                          : rep_speed_over(run, c, b->best, b->against);
}

static const char *why_missing(struct rep_run *run, const struct rep_bar *b,
                               const struct rep_cell *c, const struct rep_cell *next)
{
    if (c == NULL)
        return why_no_cell(run, b, b->hidden);
    if (b->measure == REP_TAIL && next == NULL)
        return why_no_cell(run, b, next_multiple(b->hidden));
    if (b->measure == REP_OF_ISA)
        return "an ISA has no kernel whose bound holds for k1 up to 1e5 and that was timed beside scale";
    if (b->measure == REP_TAIL)
        return "no kernel whose bound holds for k1 up to 1e5 was timed in both cells by one process";
    return "no kernel whose bound holds for k1 up to 1e5 was timed beside scale";
}

static void judge(struct rep_run *run, struct rep_bar *b)
{
    const struct rep_cell *c = bar_cell(run, b, b->hidden);
    const struct rep_cell *next =
        b->measure == REP_TAIL ? bar_cell(run, b, next_multiple(b->hidden)) : NULL;
    b->value = (struct rep_estimate){NAN, NAN, NAN, NAN, 0};
    measure(run, b, c, next);
    if (!isfinite(b->value.value)) {
        b->best = b->against = NULL;
        b->missing = why_missing(run, b, c, next);
        b->verdict = REP_BAR_MISSING;
        return;
    }
    const bool reached = b->measure == REP_NS ? b->value.value <= b->bar : b->value.value >= b->bar;
    b->verdict = reached ? REP_BAR_REACHED : REP_BAR_BELOW;
}

static const char *const measure_words[REP_MEASURES] = {"scale", "ns", "tail", "isa"};

/* Plans of old name no measure: it is a share of scale. */
static bool load_measure(const json_t *json, struct rep_bar *b)
{
    const char *word = rep_string(json, "measure");
    for (int m = 0; m < REP_MEASURES; m++)
        if (strcmp(word ? word : "scale", measure_words[m]) == 0) {
            b->measure = (enum rep_measure)m;
            b->isa = m == REP_OF_ISA ? rep_string(json, "isa") : NULL;
            b->over = m == REP_OF_ISA ? rep_string(json, "over") : NULL;
            return m != REP_OF_ISA || (b->isa != NULL && b->over != NULL);
        }
    return false;
}

static bool load_bar(const json_t *json, struct rep_bar *b)
{
    const double hidden = rep_number(json, "hidden"), rows = rep_number(json, "rows");
    *b = (struct rep_bar){.op = rep_string(json, "op"), .dtype = rep_string(json, "dtype"),
                          .residency = rep_string(json, "residency"),
                          .glob = rep_string(json, "kernel"), .bar = rep_number(json, "bar")};
    if (b->op == NULL || b->dtype == NULL || b->residency == NULL || !(b->bar > 0) ||
        !(hidden >= 1 && hidden < 0x1p53) || !load_measure(json, b))
        return false;
    b->hidden = (size_t)hidden;
    b->rows = rows >= 1 && rows < 0x1p53 ? (size_t)rows : 0;
    return true;
}

void rep_bars(struct rep_run *run, struct rep_bars *bars)
{
    *bars = (struct rep_bars){.n = 0};
    const json_t *class = choose_class(run, &bars->same_class), *list, *json;
    size_t i;
    if (class == NULL)
        return;
    list = json_object_get(class, "bars");
    bars->class_name = rep_string(class, "class") ? rep_string(class, "class") : "unknown";
    bars->bar = rep_alloc(run, json_array_size(list) * sizeof(*bars->bar));
    json_array_foreach(list, i, json)
    {
        struct rep_bar *b = &bars->bar[bars->n];
        if (!load_bar(json, b))
            continue;
        judge(run, b);
        bars->n++;
        bars->reached += b->verdict == REP_BAR_REACHED;
        bars->below += b->verdict == REP_BAR_BELOW;
        bars->missing += b->verdict == REP_BAR_MISSING;
    }
}

/* ---- bars.csv ---- */

static const char *verdict_word(const struct rep_bar *b)
{
    static const char *const words[] = {"not-measured", "reached", "below"};
    return words[b->verdict];
}

static void csv_text(FILE *f, const char *s)
{
    fputc(',', f);
    nb_csv_put_text(f, s);
}

static void csv_estimate(FILE *f, const struct rep_estimate *e)
{
    const double v[] = {e ? e->value : NAN, e ? e->lo : NAN, e ? e->hi : NAN};
    for (size_t i = 0; i < 3; i++) {
        fputc(',', f);
        rep_print_number(f, v[i]);
    }
}

void rep_bars_csv(const struct rep_run *run, const struct rep_bars *bars, FILE *f)
{
    (void)run;
    fputs("schema,class,decides,op,dtype,hidden,residency,measure,rows,bar,value,lo,hi,of_roof,roof_lo,"
          "roof_hi,verdict,kernel,against,reason\n",
          f);
    for (size_t i = 0; i < bars->n; i++) {
        const struct rep_bar *b = &bars->bar[i];
        fputc('1', f);
        csv_text(f, bars->class_name);
        fprintf(f, ",%d", bars->same_class);
        csv_text(f, b->op);
        csv_text(f, b->dtype);
        fprintf(f, ",%zu", b->hidden);
        csv_text(f, b->residency);
        csv_text(f, measure_words[b->measure]);
        fputc(',', f);
        rep_print_number(f, b->rows > 0 ? (double)b->rows : NAN);
        fputc(',', f);
        rep_print_number(f, b->bar);
        csv_estimate(f, &b->value);
        csv_estimate(f, b->best ? &b->best->roof_ratio : NULL);
        csv_text(f, verdict_word(b));
        csv_text(f, b->best ? b->best->kernel->name : NULL);
        csv_text(f, b->against ? b->against->kernel->name : NULL);
        csv_text(f, b->missing);
        fputc('\n', f);
    }
}

/* ---- tables ---- */

/* The verdict, with ~ where luck could have made it another. */
static const char *shown_verdict(const struct rep_bar *b)
{
    static const char *const unsure[] = {"not-measured", "reached~", "below~"};
    const struct rep_estimate *e = &b->value;
    return e->lo < b->bar && e->hi >= b->bar ? unsure[b->verdict] : verdict_word(b);
}

static const char *norm_name(const struct rep_bar *b)
{
    return strcmp(b->op, "layernorm") == 0 ? "LayerNorm"
           : strcmp(b->op, "rmsnorm") == 0 ? "RMSNorm"
                                           : b->op;
}

static bool same_or_none(const char *a, const char *b)
{
    return (a == NULL && b == NULL) || rep_same(a, b);
}

static bool same_block(const struct rep_bar *a, const struct rep_bar *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->dtype, b->dtype) == 0 &&
           strcmp(a->residency, b->residency) == 0 && a->measure == b->measure &&
           a->rows == b->rows && same_or_none(a->glob, b->glob) &&
           same_or_none(a->isa, b->isa) && same_or_none(a->over, b->over);
}

static void ratio_text(char text[ROOM], const struct rep_estimate *e)
{
    if (!isfinite(e->value))
        snprintf(text, ROOM, "null");
    else if (!isfinite(e->lo))
        snprintf(text, ROOM, "%.3f, no interval", e->value);
    else
        snprintf(text, ROOM, "%.3f [%.3f, %.3f]", e->value, e->lo, e->hi);
}

static void time_text(char text[ROOM], const struct rep_estimate *e)
{
    if (isfinite(e->lo))
        snprintf(text, ROOM, "%.1f [%.1f, %.1f]", e->value, e->lo, e->hi);
    else
        snprintf(text, ROOM, "%.1f, no interval", e->value);
}

static void value_text(char text[ROOM], const struct rep_bar *b)
{
    (b->measure == REP_NS ? time_text : ratio_text)(text, &b->value);
}

/* What a bar is about beyond op, dtype, residency and hidden. */
static void subject_text(char text[ROOM], const struct rep_bar *b)
{
    static const char *const words[REP_MEASURES] = {
        "", ", ns a call, at most", ", speed an element over that at the next multiple of 64", ""};
    char isas[64] = "", rows[40] = "", glob[64] = "";
    if (b->measure == REP_OF_ISA)
        snprintf(isas, sizeof(isas), ", %.25s over %.25s", b->isa, b->over);
    if (b->rows > 0)
        snprintf(rows, sizeof(rows), ", %zu row%s", b->rows, b->rows == 1 ? "" : "s");
    if (b->glob != NULL)
        snprintf(glob, sizeof(glob), ", %.60s", b->glob);
    snprintf(text, ROOM, "%s%s%s%.40s", words[b->measure], isas, rows, glob);
}

/* The part of a name that its line does not say already. */
static void kernel_text(char text[ROOM], const struct rep_kernel *k)
{
    if (k->algo == NULL || k->isa == NULL)
        snprintf(text, ROOM, "%.100s", k->name);
    else
        snprintf(text, ROOM, "%.40s %.30s%s%.40s", k->algo, k->isa,
                 k->trick != NULL && k->trick[0] ? " " : "", k->trick ? k->trick : "");
}

static void decision(const struct rep_run *run, const struct rep_bars *bars, FILE *f)
{
    fputs("class   bars of ", f);
    nb_plain(f, bars->class_name);
    if (bars->same_class) {
        fputs(": this machine is one, so below a bar is exit code 3\n", f);
        return;
    }
    const json_t *cpu = json_object_get(run->host, "cpu");
    fputs(", for reference alone:\n        this machine is ", f);
    nb_plain(f, rep_string(cpu, "vendor"));
    fputs(" family ", f);
    nb_plain(f, rep_string(cpu, "family"));
    fputs(" model ", f);
    nb_plain(f, rep_string(cpu, "model_number"));
    fputs(", no bar decides here\n", f);
}

/* The missing ones of a block: their sizes, one line a reason. */
static void terminal_missing(const struct rep_bar *b, size_t n, FILE *f)
{
    for (size_t i = 0; i < n; i++) {
        size_t first = 0;
        while (first < i && (b[first].best != NULL || !rep_same(b[first].missing, b[i].missing)))
            first++;
        if (b[i].best != NULL || first < i)
            continue;
        fputs("  not measured:", f);
        for (size_t j = i; j < n; j++)
            if (b[j].best == NULL && rep_same(b[j].missing, b[i].missing))
                fprintf(f, " %zu", b[j].hidden);
        fputs(": ", f);
        nb_plain(f, b[i].missing);
        fputc('\n', f);
    }
}

static void terminal_row(const struct rep_bar *b, FILE *f)
{
    char scale[ROOM], kernel[ROOM];
    fprintf(f, "  %8zu  ", b->hidden);
    value_text(scale, b);
    kernel_text(kernel, b->best->kernel);
    fprintf(f, "%-21s %6.*f  %-8s ", scale, b->measure == REP_NS ? 0 : 2, b->bar, shown_verdict(b));
    if (isfinite(b->best->roof_ratio.value))
        fprintf(f, "%7.3f  ", b->best->roof_ratio.value);
    else
        fputs("   null  ", f);
    nb_plain(f, kernel);
    if (b->against != NULL) {
        kernel_text(kernel, b->against->kernel);
        fputs(" / ", f);
        nb_plain(f, kernel);
    }
    fputc('\n', f);
}

static void terminal_block(const struct rep_bars *bars, size_t first, FILE *f)
{
    const struct rep_bar *b = &bars->bar[first];
    char subject[ROOM];
    size_t n = 0, measured = 0;
    for (; first + n < bars->n && same_block(b, &b[n]); n++)
        measured += b[n].best != NULL;
    fprintf(f, "\n%s ", norm_name(b));
    nb_plain(f, b->dtype);
    fputs(" in ", f);
    nb_plain(f, b->residency);
    subject_text(subject, b);
    nb_plain(f, subject);
    if (measured > 0)
        fprintf(f, "\n    hidden  %-21s    bar           of roof  kernel",
                b->measure == REP_OF_SCALE ? "of scale [interval]" : "measured [interval]");
    fputc('\n', f);
    for (size_t i = 0; i < n; i++)
        if (b[i].best != NULL)
            terminal_row(&b[i], f);
    terminal_missing(b, n, f);
}

void rep_bars_terminal(const struct rep_run *run, const struct rep_bars *bars, FILE *f)
{
    if (bars->class_name == NULL)
        return;
    fputs("\nThe fastest kernel whose bound holds for k1 up to 1e5: its speed over that of scale in the "
          "same\nrounds (or what the heading says), and over that of the hard roof, the fastest of copy, scale and\n"
          "scale-NT. One thread, out of place.\n"
          "~: the interval holds the bar\n",
          f);
    for (size_t i = 0; i < bars->n; i++)
        if (i == 0 || !same_block(&bars->bar[i - 1], &bars->bar[i]))
            terminal_block(bars, i, f);
    fprintf(f, "\nbars    %zu reached, %zu below by the median, %zu not measured\n", bars->reached, bars->below,
            bars->missing);
    decision(run, bars, f);
}

static void md_row(const struct rep_bar *b, FILE *f)
{
    char text[ROOM];
    fprintf(f, "| %s", norm_name(b));
    subject_text(text, b);
    nb_md(f, text);
    fputs(" | ", f);
    nb_md(f, b->dtype);
    fputs(" | ", f);
    nb_md(f, b->residency);
    fprintf(f, " | %zu | ", b->hidden);
    if (b->best == NULL) {
        fprintf(f, "null | %.2f | not measured | null | ", b->bar);
        nb_md(f, b->missing);
        fputs(" |\n", f);
        return;
    }
    value_text(text, b);
    fprintf(f, "%s | %.*f | %s | ", text, b->measure == REP_NS ? 0 : 2, b->bar, shown_verdict(b));
    ratio_text(text, &b->best->roof_ratio);
    fprintf(f, "%s | ", text);
    nb_md_code(f, b->best->kernel->name);
    if (b->against != NULL) {
        fputs(" / ", f);
        nb_md_code(f, b->against->kernel->name);
    }
    fputs(" |\n", f);
}

void rep_bars_md(const struct rep_bars *bars, FILE *f)
{
    if (bars->class_name == NULL)
        return;
    fputs("\n## Bars\n\nBars of ", f);
    nb_md(f, bars->class_name);
    fputs(bars->same_class ? ". This machine is one: what is below a bar decides the exit code.\n"
                           : ", for reference: this machine is of another class, and no bar decides.\n",
          f);
    fprintf(f,
            "\nThe fastest kernel whose bound holds for k1 up to 1e5; its speed over that of `scale` in "
            "the same rounds, or what stands beside the norm. %zu reached, %zu below by the median, %zu not measured. ~: the interval "
            "holds the bar.\n\n"
            "| norm | dtype | in | hidden | measured | bar | | of the hard roof | kernel |\n"
            "|---|---|---|--:|---|--:|---|---|---|\n",
            bars->reached, bars->below, bars->missing);
    for (size_t i = 0; i < bars->n; i++)
        md_row(&bars->bar[i], f);
}
