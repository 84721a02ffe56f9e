/* Writes NAME.gp and NAME.dat of each picture and has gnuplot draw NAME.svg and NAME.png
 * from them. A script is what the run says (names in single quotes, in which gnuplot
 * expands nothing) followed by the fixed part from the plots folder, so that it needs
 * nothing but its .dat. */
#include "report_data.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TIMEOUT_S = 60,
    MAX_PANELS = 6,
    MAX_SERIES = 64,
    MAX_BARS = 200,
    TITLE_BYTES = 120
};

/* ---- one picture in the making ---- */

struct picture {
    struct rep_run *run;
    const char *name, *script; /* script: its fixed part */
    FILE *gp, *dat;
    char *gp_text, *dat_text;
    size_t gp_length, dat_length;
    const char *panels[MAX_PANELS];
    int first[MAX_PANELS], last[MAX_PANELS], series[MAX_SERIES];
    int npanels, nseries;
};

static void picture_open(struct picture *p, struct rep_run *run, const char *name,
                         const char *script)
{
    *p = (struct picture){.run = run, .name = name, .script = script};
    p->gp = open_memstream(&p->gp_text, &p->gp_length);
    p->dat = open_memstream(&p->dat_text, &p->dat_length);
    NB_ASSERT(p->gp != NULL && p->dat != NULL && "out of memory");
}

static void picture_close(struct picture *p)
{
    if (p->gp != NULL)
        NB_ASSERT(fclose(p->gp) == 0 && fclose(p->dat) == 0 && "out of memory");
    p->gp = p->dat = NULL;
}

static void picture_free(struct picture *p)
{
    picture_close(p);
    free(p->gp_text);
    free(p->dat_text);
}

/* Cut at a whole UTF-8 character; control characters become spaces. */
static void string(FILE *f, const char *s)
{
    size_t n = strlen(s), most = TITLE_BYTES;
    while (n > most && ((unsigned char)s[most] & 0xC0) == 0x80)
        most--;
    fputc('\'', f);
    for (size_t i = 0; i < n && i < most; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\'')
            fputc('\'', f);
        fputc(c < 0x20 || c == 0x7F ? ' ' : c, f);
    }
    fputs(n > most ? "...'" : "'", f);
}

static void define(struct picture *p, const char *key, const char *value)
{
    fprintf(p->gp, "%s = ", key);
    string(p->gp, value);
    fputc('\n', p->gp);
}

static void define_strings(struct picture *p, const char *key, const char *const *v,
                           size_t n)
{
    fprintf(p->gp, "array %s[%zu] = [", key, n);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", " : "", p->gp);
        string(p->gp, v[i]);
    }
    fputs("]\n", p->gp);
}

static void define_ints(struct picture *p, const char *key, const int *v, size_t n)
{
    fprintf(p->gp, "array %s[%zu] = [", key, n);
    for (size_t i = 0; i < n; i++)
        fprintf(p->gp, "%s%d", i ? ", " : "", v[i]);
    fputs("]\n", p->gp);
}

/* What a plot shows, when that is not the forward pass alone. */
static const char *case_text(struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (!rep_is_plain(run, c))
            continue;
        if (rep_same(c->dir, "fwd") && rep_same(c->fuse, "none") && c->stats_out == 0)
            return "";
        char *text = rep_alloc(run, 64);
        snprintf(text, 64, ", %.20s-%.20s%s", c->dir ? c->dir : "?",
                 c->fuse ? c->fuse : "?", c->stats_out ? "-stats" : "");
        return text;
    }
    return "";
}

static void define_head(struct picture *p, const char *title, const char *details)
{
    char text[512];
    snprintf(text, sizeof(text), "%.80s, %.60s, %s%s", rep_cpu(p->run),
             rep_compiler(p->run), details, case_text(p->run));
    define(p, "NAME", p->name);
    define(p, "TITLE", title);
    fputs("SUBTITLE = ", p->gp);
    string(p->gp, text);
    fputc('\n', p->gp);
}

/* Labels of a log2 axis: all where they stand apart, upright where they are close; of
 * those that would still touch, only the first of a bunch. */
static void define_x(struct picture *p, const struct rep_sizes *x, double panel_px)
{
    double octaves = log2((double)x->value[x->n - 1] / (double)x->value[0]) + 1.0;
    double px = panel_px / octaves, nearest = INFINITY, last = -INFINITY;
    for (size_t i = 1; i < x->n; i++)
        nearest = fmin(nearest, px * log2((double)x->value[i] / (double)x->value[i - 1]));
    fprintf(p->gp, "NX = %zu\nXROT = %d\narray X[%zu] = [", x->n, nearest < 75, x->n);
    for (size_t i = 0; i < x->n; i++)
        fprintf(p->gp, "%s%zu", i ? ", " : "", x->value[i]);
    fprintf(p->gp, "]\narray XLABEL[%zu] = [", x->n);
    for (size_t i = 0; i < x->n; i++) {
        double at = px * log2((double)x->value[i]);
        if (at - last >= 20) {
            fprintf(p->gp, "%s'%zu'", i ? ", " : "", x->value[i]);
            last = at;
        } else {
            fputs(", ''", p->gp);
        }
    }
    fputs("]\n", p->gp);
}

/* Panels hold series; a series is a block of the .dat file. A panel without series is not
 * kept. */
static bool begin_panel(struct picture *p, const char *residency)
{
    if (p->npanels == MAX_PANELS)
        return false;
    char text[64];
    snprintf(text, sizeof(text),
             strcmp(residency, "cold") == 0 ? "cold caches" : "data in %s", residency);
    char *kept = rep_alloc(p->run, sizeof(text));
    p->panels[p->npanels] = strcpy(kept, text);
    p->first[p->npanels] = p->nseries + 1;
    return true;
}

static void end_panel(struct picture *p)
{
    p->last[p->npanels] = p->nseries;
    p->npanels += p->nseries >= p->first[p->npanels];
}

static void end_series(struct picture *p, int kind, size_t points)
{
    if (points == 0)
        return;
    NB_ASSERT(p->nseries < MAX_SERIES);
    p->series[p->nseries++] = kind;
    fputs("\n\n", p->dat);
}

static void define_panels(struct picture *p)
{
    fprintf(p->gp, "NP = %d\n", p->npanels);
    define_strings(p, "PANEL", p->panels, (size_t)p->npanels);
    define_ints(p, "FIRST", p->first, (size_t)p->npanels);
    define_ints(p, "LAST", p->last, (size_t)p->npanels);
    define_ints(p, "SERIES", p->series, (size_t)p->nseries);
}

static double panel_width(int npanels)
{
    int cols = npanels <= 3 ? npanels : npanels == 4 ? 2 : 3;
    return 1400.0 / cols;
}

static size_t least_threads(const struct rep_run *run)
{
    struct rep_sizes threads;
    threads = run->threads;
    return threads.n ? threads.value[0] : 1;
}

static const char *threads_text(struct rep_run *run, size_t threads)
{
    char *text = rep_alloc(run, 48);
    snprintf(text, 48, "%zu thread%s", threads, threads == 1 ? "" : "s");
    return text;
}

/* ---- speedup ---- */

struct span {
    double least, most;
};

static void widen(struct span *s, double v)
{
    if (!isfinite(v))
        return;
    s->least = fmin(s->least, v);
    s->most = fmax(s->most, v);
}

/* Lines of different dtypes stand a little apart, so that their bars do not hide each
 * other. */
static size_t speedup_series(struct picture *p, bool best, const char *residency,
                             const struct rep_keys *types, size_t type,
                             const struct rep_sizes *hiddens, struct span *y)
{
    size_t points = 0, threads = least_threads(p->run);
    double shift = exp2(0.07 * ((double)type - (double)(types->n - 1) / 2));
    for (size_t h = 0; h < hiddens->n; h++) {
        const struct rep_cell *c =
            rep_find(p->run, residency, types->text[type], hiddens->value[h], threads);
        const struct rep_pairing *pair = c == NULL ? NULL : best ? c->best : c->same;
        if (!rep_has_speedup(pair) || rep_is_beaten(pair))
            continue;
        const struct rep_estimate *s = &pair->speedup;
        bool interval = isfinite(s->lo);
        fprintf(p->dat, "%.6g %.6g %.6g %.6g\n", (double)hiddens->value[h] * shift,
                s->value, interval ? s->lo : s->value, interval ? s->hi : s->value);
        widen(y, s->value);
        widen(y, s->lo);
        widen(y, s->hi);
        points++;
    }
    return points;
}

static bool speedup_picture(struct picture *p, bool best)
{
    struct rep_keys places, types;
    struct rep_sizes hiddens;
    struct span y = {0.98, 1.28};
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    hiddens = p->run->hiddens;
    types.n = types.n > 8 ? 8 : types.n; /* as many as there are colours */
    fputs("# hidden (shifted a little for each dtype), speedup, low, high\n", p->dat);
    for (size_t r = 0; r < places.n && begin_panel(p, places.text[r]); r++) {
        for (size_t t = 0; t < types.n; t++)
            end_series(p, (int)t + 1,
                       speedup_series(p, best, places.text[r], &types, t, &hiddens, &y));
        end_panel(p);
    }
    if (p->npanels == 0)
        return false;
    define_head(
        p,
        best ? "Speedup of RMSNorm over LayerNorm: the fastest kernel of each"
             : "Speedup of RMSNorm over LayerNorm: one-pass against two-pass, same ISA",
        threads_text(p->run, least_threads(p->run)));
    define_panels(p);
    fprintf(p->gp, "NT = %zu\n", types.n);
    define_strings(p, "TYPE", types.text, types.n);
    define_x(p, &hiddens, panel_width(p->npanels));
    fprintf(p->gp, "YMIN = %.4g\nYMAX = %.4g\n", y.least - 0.06 * (y.most - y.least),
            y.most + 0.06 * (y.most - y.least));
    return true;
}

/* ---- bandwidth ---- */

enum { ROOF, BEST_LN, BEST_RMS, TWOPASS_LN, ONEPASS_RMS, REF_1, REF_2, LINES };

/* Fastest timed kernel of an op; algo NULL: of any algorithm. */
static const struct rep_entry *fastest(const struct rep_cell *c, const char *op,
                                       const char *algo)
{
    const struct rep_entry *found = NULL;
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_entry *e = &c->entries[i];
        if (rep_is_timed(e) && rep_is_op(e->kernel, op) &&
            (algo == NULL || rep_same(e->kernel->algo, algo)) &&
            (found == NULL || e->ns_per_row.value < found->ns_per_row.value))
            found = e;
    }
    return found;
}

static const struct rep_entry *textbook(const struct rep_cell *c, bool base,
                                        const char *op, const char *algo)
{
    if (c->same != NULL)
        return rep_entry_of(c, base ? c->same->base : c->same->test);
    return fastest(c, op, algo);
}

static const struct rep_entry *best_of(const struct rep_cell *c, bool base,
                                       const char *op)
{
    if (rep_has_speedup(c->best) && !rep_is_beaten(c->best))
        return rep_entry_of(c, base ? c->best->base : c->best->test);
    return fastest(c, op, NULL);
}

static const struct rep_entry *line_entry(const struct rep_cell *c, int line,
                                          const struct rep_keys *affine)
{
    switch (line) {
    case ROOF:
        return c->roof == SIZE_MAX ? NULL : &c->entries[c->roof];
    case BEST_LN:
        return best_of(c, true, "layernorm");
    case BEST_RMS:
        return best_of(c, false, "rmsnorm");
    case TWOPASS_LN:
        return textbook(c, true, "layernorm", "twopass");
    case ONEPASS_RMS:
        return textbook(c, false, "rmsnorm", "onepass");
    default: {
        size_t i = (size_t)(line - REF_1);
        return i < affine->n ? fastest(c, "affine", affine->text[i]) : NULL;
    }
    }
}

/* The algorithms of the reference lines, at most two, in the order of the plan. */
static void find_affine(const struct rep_run *run, struct rep_keys *keys)
{
    keys->n = 0;
    for (size_t i = 0; i < run->nkernels && keys->n < 2; i++) {
        const struct rep_kernel *k = &run->kernels[i];
        bool known = keys->n == 1 && rep_same(keys->text[0], k->algo);
        if (rep_is_op(k, "affine") && k->algo != NULL && !known)
            keys->text[keys->n++] = k->algo;
    }
}

static size_t bandwidth_series(struct picture *p, const char *residency, const char *type,
                               int line, const struct rep_keys *affine,
                               const struct rep_sizes *hiddens)
{
    size_t points = 0, threads = least_threads(p->run);
    for (size_t h = 0; h < hiddens->n; h++) {
        const struct rep_cell *c =
            rep_find(p->run, residency, type, hiddens->value[h], threads);
        const struct rep_entry *e = c ? line_entry(c, line, affine) : NULL;
        if (e == NULL || !isfinite(e->gbps))
            continue;
        fprintf(p->dat, "%zu %.6g\n", hiddens->value[h], e->gbps);
        points++;
    }
    return points;
}

static void define_lines(struct picture *p, const struct rep_keys *affine)
{
    const char *lines[LINES] = {"roof: fastest of copy and scale", "fastest LayerNorm",
                                "fastest RMSNorm", "two-pass LayerNorm",
                                "one-pass RMSNorm"};
    for (size_t i = 0; i < affine->n; i++) {
        char *text = rep_alloc(p->run, 96);
        snprintf(text, 96, "reference: affine %.60s", affine->text[i]);
        lines[REF_1 + i] = text;
    }
    fprintf(p->gp, "NL = %zu\n", REF_1 + affine->n);
    define_strings(p, "LINE", lines, REF_1 + affine->n);
}

static bool bandwidth_picture(struct picture *p)
{
    struct rep_keys places, types, affine;
    struct rep_sizes hiddens;
    char details[160];
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    hiddens = p->run->hiddens;
    find_affine(p->run, &affine);
    fputs("# hidden, GB/s\n", p->dat);
    for (size_t r = 0; types.n > 0 && r < places.n && begin_panel(p, places.text[r]);
         r++) {
        for (int line = 0; line < LINES; line++)
            end_series(p, line + 1,
                       bandwidth_series(p, places.text[r], types.text[0], line, &affine,
                                        &hiddens));
        end_panel(p);
    }
    if (p->npanels == 0)
        return false;
    snprintf(details, sizeof(details), "%.40s, %s", types.text[0],
             threads_text(p->run, least_threads(p->run)));
    define_head(p, "How close the norms come to the speed of a plain copy", details);
    define_panels(p);
    define_lines(p, &affine);
    define_x(p, &hiddens, panel_width(p->npanels));
    return true;
}

/* ---- algorithms ---- */

/* hidden 1024 in L2 at one thread if it was measured in f32, else the cell with most
 * kernels. */
static const struct rep_cell *bars_cell(const struct rep_run *run)
{
    const struct rep_cell *c = rep_find(run, "L2", "f32", 1024, 1);
    if (c != NULL && rep_timed_norms(c) > 0)
        return c;
    c = NULL;
    for (size_t i = 0; i < run->ncells; i++)
        if (rep_timed_norms(&run->cells[i]) > (c ? rep_timed_norms(c) : 0))
            c = &run->cells[i];
    return c;
}

struct bars {
    const char *labels[2 * MAX_BARS];
    size_t nlabels;
    struct rep_keys isas;
    double longest;
};

static int isa_index(struct rep_keys *isas, const char *isa)
{
    for (size_t i = 0; i < isas->n; i++)
        if (strcmp(isas->text[i], isa) == 0)
            return (int)i;
    if (isas->n < 8)
        isas->text[isas->n++] = isa;
    return (int)isas->n - 1;
}

static const char *bar_label(struct rep_run *run, const struct rep_kernel *k)
{
    char *text = rep_alloc(run, 64);
    if (k->algo == NULL || k->isa == NULL)
        snprintf(text, 64, "%.60s", k->name);
    else
        snprintf(text, 64, "%.24s %.16s%s%.16s", k->algo, k->isa,
                 k->trick != NULL && k->trick[0] ? " " : "", k->trick ? k->trick : "");
    return text;
}

static int by_ladder(const void *a, const void *b)
{
    const struct rep_entry *x = *(const struct rep_entry *const *)a;
    const struct rep_entry *y = *(const struct rep_entry *const *)b;
    return (x->kernel->order > y->kernel->order) - (x->kernel->order < y->kernel->order);
}

static size_t collect_bars(const struct rep_cell *c, const char *op,
                           const struct rep_entry *sorted[MAX_BARS])
{
    size_t n = 0;
    for (size_t i = 0; i < c->nentries && n < MAX_BARS; i++)
        if (rep_is_timed(&c->entries[i]) && rep_is_op(c->entries[i].kernel, op))
            sorted[n++] = &c->entries[i];
    qsort(sorted, n, sizeof(*sorted), by_ladder);
    return n;
}

static size_t write_bars(struct picture *p, const struct rep_cell *c, const char *op,
                         struct bars *b)
{
    const struct rep_entry *sorted[MAX_BARS];
    size_t n = collect_bars(c, op, sorted);
    for (size_t i = 0; i < n; i++) {
        const struct rep_estimate *t = &sorted[i]->ns_per_row;
        const struct rep_kernel *k = sorted[i]->kernel;
        bool interval = isfinite(t->lo);
        b->labels[b->nlabels++] = bar_label(p->run, k);
        b->longest = fmax(b->longest, interval ? t->hi : t->value);
        fprintf(p->dat, "%zu %.6g %.6g %.6g %d\n", i + 1, t->value,
                interval ? t->lo : t->value, interval ? t->hi : t->value,
                isa_index(&b->isas, k->isa ? k->isa : "other") + 1);
    }
    if (n > 0)
        fputs("\n\n", p->dat);
    return n;
}

/* A ceiling is known by its op: its algorithm says nothing more. */
static const char *ceiling_label(struct rep_run *run, const struct rep_cell *c)
{
    const struct rep_kernel *k = c->entries[c->roof].kernel;
    char *text = rep_alloc(run, 64);
    snprintf(text, 64, "%.20s %.20s%s%.16s", k->op ? k->op : "", k->isa ? k->isa : "",
             k->trick != NULL && k->trick[0] ? " " : "", k->trick ? k->trick : "");
    return text;
}

static void define_bars(struct picture *p, const struct rep_cell *c, const struct bars *b)
{
    fprintf(p->gp, "NA = %zu\n", b->nlabels);
    define_strings(p, "LABEL", b->labels, b->nlabels);
    fprintf(p->gp, "NG = %zu\n", b->isas.n);
    define_strings(p, "ISA", b->isas.text, b->isas.n);
    fprintf(p->gp, "XMAX = %.6g\n", b->longest);
    bool roof = c->roof != SIZE_MAX;
    fprintf(p->gp, "ROOF = %.6g\n", roof ? c->entries[c->roof].ns_per_row.value : 0.0);
    char text[96] = "";
    if (roof)
        snprintf(text, sizeof(text), "roof: %.60s", ceiling_label(p->run, c));
    define(p, "ROOFNAME", text);
}

static bool algorithms_picture(struct picture *p)
{
    static const char *const ops[] = {"layernorm", "rmsnorm"};
    static const char *const names[] = {"LayerNorm", "RMSNorm"};
    const struct rep_cell *c = bars_cell(p->run);
    struct bars b = {.nlabels = 0};
    int count[2];
    char details[160];
    if (c == NULL)
        return false;
    fputs("# place, ns a row, low, high, ISA\n", p->dat);
    for (size_t i = 0; i < 2; i++) {
        size_t n = write_bars(p, c, ops[i], &b);
        if (n > 0) {
            count[p->npanels] = (int)n;
            p->panels[p->npanels++] = names[i];
        }
    }
    snprintf(details, sizeof(details), "%.30s, hidden %zu, data in %.20s, %s", c->type,
             c->hidden, c->residency, threads_text(p->run, c->threads));
    define_head(p, "Every algorithm: time of a row", details);
    fprintf(p->gp, "NP = %d\n", p->npanels);
    define_strings(p, "PANEL", p->panels, (size_t)p->npanels);
    define_ints(p, "COUNT", count, (size_t)p->npanels);
    define_bars(p, c, &b);
    return true;
}

/* ---- scaling ---- */

static const struct rep_entry *scaling_entry(const struct rep_cell *c, int line)
{
    if (line == 0)
        return textbook(c, true, "layernorm", "twopass");
    if (line == 1)
        return textbook(c, false, "rmsnorm", "onepass");
    return fastest(c, "scale", NULL);
}

static size_t scaling_series(struct picture *p, const char *residency, const char *type,
                             size_t hidden, int line, const struct rep_sizes *threads)
{
    const struct rep_cell *one =
        rep_find(p->run, residency, type, hidden, threads->value[0]);
    const struct rep_entry *first = one ? scaling_entry(one, line) : NULL;
    size_t points = 0;
    for (size_t t = 0; first != NULL && rep_is_timed(first) && t < threads->n; t++) {
        const struct rep_cell *c =
            rep_find(p->run, residency, type, hidden, threads->value[t]);
        const struct rep_entry *e = c ? rep_entry_of(c, first->kernel) : NULL;
        if (e == NULL || !rep_is_timed(e))
            continue;
        fprintf(p->dat, "%zu %.6g\n", threads->value[t],
                first->ns_per_row.value / e->ns_per_row.value);
        points++;
    }
    return points;
}

/* The hidden measured at most thread counts in this residency; of equals the one nearest
 * to 1024. */
static size_t scaling_hidden(const struct rep_run *run, const char *residency,
                             const char *type, const struct rep_sizes *threads,
                             const struct rep_sizes *hiddens)
{
    size_t found = 0, most = 1;
    for (size_t h = 0; h < hiddens->n; h++) {
        size_t n = 0, hidden = hiddens->value[h];
        for (size_t t = 0; t < threads->n; t++)
            n += rep_find(run, residency, type, hidden, threads->value[t]) != NULL;
        bool nearer =
            found && fabs(log2((double)hidden / 1024)) < fabs(log2((double)found / 1024));
        if (n > most || (n == most && nearer)) {
            found = hidden;
            most = n;
        }
    }
    return found;
}

static void scaling_panel(struct picture *p, const char *residency, const char *type,
                          const struct rep_sizes *threads,
                          const struct rep_sizes *hiddens)
{
    size_t hidden = scaling_hidden(p->run, residency, type, threads, hiddens);
    if (hidden == 0 || !begin_panel(p, residency))
        return;
    char *text = rep_alloc(p->run, 96);
    snprintf(text, 96, "%.40s, hidden %zu", p->panels[p->npanels], hidden);
    p->panels[p->npanels] = text;
    for (int line = 0; line < 3; line++)
        end_series(p, line + 1,
                   scaling_series(p, residency, type, hidden, line, threads));
    end_panel(p);
}

static bool scaling_picture(struct picture *p)
{
    static const char *const lines[] = {"two-pass LayerNorm", "one-pass RMSNorm",
                                        "scale: y = a*x", "ideal"};
    struct rep_keys places, types;
    struct rep_sizes hiddens, threads;
    char text[96];
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    hiddens = p->run->hiddens;
    threads = p->run->threads;
    fputs("# threads, throughput over that of the fewest threads\n", p->dat);
    for (size_t r = 0; threads.n > 1 && types.n > 0 && r < places.n; r++)
        scaling_panel(p, places.text[r], types.text[0], &threads, &hiddens);
    if (p->npanels == 0)
        return false;
    define_head(p, "What more threads bring", types.text[0]);
    define_panels(p);
    fputs("NL = 4\n", p->gp);
    define_strings(p, "LINE", lines, 4);
    define_x(p, &threads, panel_width(p->npanels));
    snprintf(text, sizeof(text), "throughput, %s = 1x",
             threads_text(p->run, threads.value[0]));
    define(p, "YLABEL", text);
    return true;
}

/* ---- drawing ---- */

static const char *plots_source(void)
{
    const char *dir = getenv("NB_PLOTS_DIR");
    return dir != NULL && dir[0] != 0 ? dir : NB_PLOTS_DIR;
}

/* Appends a fixed part to the script; false when it cannot be read. */
static bool append_script(FILE *gp, const char *name)
{
    char path[4096], buffer[4096];
    size_t n;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", plots_source(), name) >=
        sizeof(path))
        return false;
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    fputc('\n', gp);
    while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
        fwrite(buffer, 1, n, gp);
    bool whole = ferror(f) == 0;
    fclose(f);
    return whole;
}

static void become_gnuplot(const char *dir, const char *script)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || chdir(dir) != 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(null, 2) < 0)
        _exit(126);
    execlp("gnuplot", "gnuplot", "-d", script, (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Waits for the child, at most until the deadline; then kills it. False: it was killed.
 */
static bool wait_for(pid_t child, int *status)
{
    struct timespec pause = {0, 5000000}, now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        pid_t done = waitpid(child, status, WNOHANG);
        if (done == child)
            return true;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((done < 0 && errno != EINTR) || now.tv_sec - start.tv_sec >= TIMEOUT_S)
            break;
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, status, 0);
    return false;
}

/* NULL: drawn; otherwise why not. */
static const char *run_gnuplot(const char *dir, const char *script)
{
    int status = 0;
    pid_t child = fork();
    if (child < 0)
        return "gnuplot could not be started";
    if (child == 0)
        become_gnuplot(dir, script);
    if (!wait_for(child, &status))
        return "gnuplot took more than 60 s and was stopped";
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return "gnuplot is not installed (apt-get install gnuplot-nox fonts-dejavu-core)";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return "gnuplot failed; in the run's plots folder, `gnuplot NAME.gp` shows why";
    return NULL;
}

/* All paths are bounded: a run folder whose path is too long fails when its tables are
 * written. */
static void path_of(char path[4096], const char *dir, const char *name, const char *end)
{
    if (snprintf(path, 4096, "%s/%s%s", dir, name, end) >= 4096)
        path[0] = 0;
}

static bool same_bytes(const char *path, const char *text, size_t length)
{
    FILE *f = fopen(path, "r");
    bool same = f != NULL;
    for (size_t i = 0; same && i < length; i++)
        same = fgetc(f) == (unsigned char)text[i];
    same = same && fgetc(f) == EOF;
    if (f != NULL)
        fclose(f);
    return same;
}

static const char *const ends[] = {".gp", ".dat", ".svg", ".png"};

static void remove_files(const char *dir, const char *name)
{
    char path[4096];
    for (size_t i = 0; i < 4; i++) {
        path_of(path, dir, name, ends[i]);
        (void)unlink(path);
    }
}

/* The files of a picture are made in a folder of their own and moved from there, so that
 * nobody sees half a picture. Where gnuplot did not draw, an older picture stays only if
 * it shows the same data. */
static void install_files(const struct picture *p, const char *from, const char *to,
                          bool drawn)
{
    char source[4096], target[4096];
    path_of(target, to, p->name, ".gp");
    bool same = same_bytes(target, p->gp_text, p->gp_length);
    path_of(target, to, p->name, ".dat");
    same = same && same_bytes(target, p->dat_text, p->dat_length);
    if (!drawn && !same)
        remove_files(to, p->name);
    for (size_t i = 0; i < (drawn ? 4u : 2u); i++) {
        path_of(source, from, p->name, ends[i]);
        path_of(target, to, p->name, ends[i]);
        (void)rename(source, target);
    }
}

static enum nb_status draw(struct picture *p, const char *plots, char note[256],
                           struct nb_err *err)
{
    char part[4096], name[64], dat[64];
    const char *wrong = NULL;
    snprintf(name, sizeof(name), ".%s.part", p->name);
    path_of(part, plots, name, "");
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
        return nb_fail(err, "%s: %s", part, strerror(errno));
    if (!append_script(p->gp, "style.gp") || !append_script(p->gp, p->script))
        wrong = "the plot scripts are missing; set NB_PLOTS_DIR to the plots folder of "
                "normbench";
    picture_close(p);
    snprintf(name, sizeof(name), "%s.gp", p->name);
    snprintf(dat, sizeof(dat), "%s.dat", p->name);
    enum nb_status status = rep_write(part, name, p->gp_text, p->gp_length, err);
    if (status == NB_OK)
        status = rep_write(part, dat, p->dat_text, p->dat_length, err);
    if (status == NB_OK && wrong == NULL)
        wrong = run_gnuplot(part, name);
    if (status == NB_OK)
        install_files(p, part, plots, wrong == NULL);
    if (wrong != NULL)
        snprintf(note, 256, "no pictures: %s", wrong);
    remove_files(part, p->name);
    (void)rmdir(part);
    return status;
}

static bool fill(struct picture *p, size_t which)
{
    switch (which) {
    case 0:
        return speedup_picture(p, true);
    case 1:
        return speedup_picture(p, false);
    case 2:
        return bandwidth_picture(p);
    case 3:
        return algorithms_picture(p);
    default:
        return scaling_picture(p);
    }
}

enum nb_status rep_plots(struct rep_run *run, const char *dir, struct rep_keys *pictures,
                         char note[256], struct nb_err *err)
{
    static const char *const names[][2] = {{"speedup_best", "speedup.gp"},
                                           {"speedup_same", "speedup.gp"},
                                           {"bandwidth", "bandwidth.gp"},
                                           {"algorithms", "algorithms.gp"},
                                           {"scaling", "scaling.gp"}};
    char plots[4096];
    enum nb_status status = NB_OK;
    pictures->n = 0;
    note[0] = 0;
    path_of(plots, dir, "plots", "");
    if (mkdir(plots, 0777) != 0 && errno != EEXIST)
        return nb_fail(err, "%s: %s", plots, strerror(errno));
    for (size_t i = 0; i < 5 && status == NB_OK; i++) {
        struct picture p;
        picture_open(&p, run, names[i][0], names[i][1]);
        if (run->ncells > 0 && fill(&p, i)) {
            pictures->text[pictures->n++] = names[i][0];
            status = draw(&p, plots, note, err);
        } else {
            remove_files(plots, names[i][0]);
        }
        picture_free(&p);
    }
    return status;
}
