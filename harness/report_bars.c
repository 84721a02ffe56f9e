/* What the best kernels reach of scale and of the hard roof, against the bars in plan.json
 * (bars.h). Only a bar of the host's own class of CPU decides anything. */
#include "csv.h"
#include "markup.h"
#include "report_data.h"

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
static const struct rep_cell *bar_cell(const struct rep_run *run, const struct rep_bar *b)
{
    const struct rep_cell *found = NULL;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        bool here = rep_same(c->dir, "fwd") && rep_same(c->fuse, "none") &&
                    c->stats_out == 0 && c->offset == REP_OFFSET && c->threads == 1 &&
                    c->hidden == b->hidden && rep_same(c->type, b->dtype) &&
                    rep_same(c->residency, b->residency);
        if (here && (found == NULL || c->rows > found->rows))
            found = c;
    }
    return found;
}

static const struct rep_entry *best_over_scale(const struct rep_cell *c, const char *op)
{
    const struct rep_entry *found = NULL;
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_entry *e = &c->entries[i];
        if (rep_is_op(e->kernel, op) && !e->kernel->weak && isfinite(e->scale_ratio.value) &&
            (found == NULL || e->scale_ratio.value > found->scale_ratio.value))
            found = e;
    }
    return found;
}

/* Why the plan has no such cell: dropped cells are named there with their number of rows. */
static const char *why_no_cell(struct rep_run *run, const struct rep_bar *b)
{
    const json_t *dropped = json_object_get(run->plan, "dropped"), *d;
    char start[96], end[48];
    size_t i;
    snprintf(start, sizeof(start), "fwd-none-%.20s-h%zu-r", b->dtype, b->hidden);
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

static void judge(struct rep_run *run, struct rep_bar *b)
{
    const struct rep_cell *c = bar_cell(run, b);
    b->best = c != NULL ? best_over_scale(c, b->op) : NULL;
    if (c == NULL)
        b->missing = why_no_cell(run, b);
    else if (b->best == NULL)
        b->missing = "no kernel whose bound holds for k1 up to 1e5 was timed beside scale";
    b->verdict = b->best == NULL                            ? REP_BAR_MISSING
                 : b->best->scale_ratio.value < b->bar ? REP_BAR_BELOW
                                                            : REP_BAR_REACHED;
}

static bool load_bar(const json_t *json, struct rep_bar *b)
{
    const double hidden = rep_number(json, "hidden");
    *b = (struct rep_bar){.op = rep_string(json, "op"), .dtype = rep_string(json, "dtype"),
                          .residency = rep_string(json, "residency"),
                          .bar = rep_number(json, "bar")};
    if (b->op == NULL || b->dtype == NULL || b->residency == NULL || !(b->bar > 0) ||
        !(hidden >= 1 && hidden < 0x1p53))
        return false;
    b->hidden = (size_t)hidden;
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
    fputs("schema,class,decides,op,dtype,hidden,residency,bar,of_scale,lo,hi,of_roof,roof_lo,"
          "roof_hi,verdict,kernel,reason\n",
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
        fputc(',', f);
        rep_print_number(f, b->bar);
        csv_estimate(f, b->best ? &b->best->scale_ratio : NULL);
        csv_estimate(f, b->best ? &b->best->roof_ratio : NULL);
        csv_text(f, verdict_word(b));
        csv_text(f, b->best ? b->best->kernel->name : NULL);
        csv_text(f, b->missing);
        fputc('\n', f);
    }
}

/* ---- tables ---- */

/* The verdict, with ~ where luck could have made it another. */
static const char *shown_verdict(const struct rep_bar *b)
{
    static const char *const unsure[] = {"not-measured", "reached~", "below~"};
    const struct rep_estimate *e = &b->best->scale_ratio;
    return e->lo < b->bar && e->hi >= b->bar ? unsure[b->verdict] : verdict_word(b);
}

static const char *norm_name(const struct rep_bar *b)
{
    return strcmp(b->op, "layernorm") == 0 ? "LayerNorm"
           : strcmp(b->op, "rmsnorm") == 0 ? "RMSNorm"
                                           : b->op;
}

static bool same_block(const struct rep_bar *a, const struct rep_bar *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->dtype, b->dtype) == 0 &&
           strcmp(a->residency, b->residency) == 0;
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
    ratio_text(scale, &b->best->scale_ratio);
    kernel_text(kernel, b->best->kernel);
    fprintf(f, "%-21s %6.2f  %-8s ", scale, b->bar, shown_verdict(b));
    if (isfinite(b->best->roof_ratio.value))
        fprintf(f, "%7.3f  ", b->best->roof_ratio.value);
    else
        fputs("   null  ", f);
    nb_plain(f, kernel);
    fputc('\n', f);
}

static void terminal_block(const struct rep_bars *bars, size_t first, FILE *f)
{
    const struct rep_bar *b = &bars->bar[first];
    size_t n = 0, measured = 0;
    for (; first + n < bars->n && same_block(b, &b[n]); n++)
        measured += b[n].best != NULL;
    fprintf(f, "\n%s ", norm_name(b));
    nb_plain(f, b->dtype);
    fputs(" in ", f);
    nb_plain(f, b->residency);
    fputs(measured ? "\n    hidden  of scale [interval]      bar           of roof  kernel\n" : "\n", f);
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
          "same\nrounds, and over that of the hard roof, the fastest of copy, scale and scale-NT. One thread.\n"
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
    fprintf(f, "| %s | ", norm_name(b));
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
    ratio_text(text, &b->best->scale_ratio);
    fprintf(f, "%s | %.2f | %s | ", text, b->bar, shown_verdict(b));
    ratio_text(text, &b->best->roof_ratio);
    fprintf(f, "%s | ", text);
    nb_md_code(f, b->best->kernel->name);
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
            "the same rounds. %zu reached, %zu below by the median, %zu not measured. ~: the interval "
            "holds the bar.\n\n"
            "| norm | dtype | in | hidden | of scale | bar | | of the hard roof | kernel |\n"
            "|---|---|---|--:|---|--:|---|---|---|\n",
            bars->reached, bars->below, bars->missing);
    for (size_t i = 0; i < bars->n; i++)
        md_row(&bars->bar[i], f);
}
