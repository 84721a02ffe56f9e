/* The pictures of a run: what each shows of it. */
#include "gnuplot.h"
#include "report_data.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PANELS = 6, MAX_SERIES = 96, MAX_BARS = 200 };

enum { FOREIGN_LINES = 3 };

/* Points of best against best, and those that a kernel won that is not ours. */
struct winners {
    const struct rep_kernel *kernel[FOREIGN_LINES];
    size_t points_of[FOREIGN_LINES], n, points;
};

/* ---- one picture in the making ---- */

struct picture {
    struct rep_run *run;
    struct nb_picture out;
    const char *panels[MAX_PANELS];
    int first[MAX_PANELS], last[MAX_PANELS], series[MAX_SERIES];
    int npanels, nseries;
    struct winners winners;
    struct rep_sizes x[MAX_PANELS]; /* what lies on a panel's axis, ascending; where it is one of sizes */
};

/* The plain case of a run that has both directions, or the backward one. */
static const char *direction_text(struct rep_run *run, const struct rep_cell *c)
{
    const bool fused = !rep_same(c->fuse, "none");
    char *text = rep_alloc(run, 80);
    snprintf(text, 80, "%s%s%.20s%s", rep_direction(run), fused ? ", " : "", fused && c->fuse ? c->fuse : "",
             c->stats_out ? ", statistics saved" : "");
    return text;
}

/* What a plot shows, when that is not the forward pass alone. */
static const char *case_text(struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (!rep_is_plain(run, c))
            continue;
        if (rep_has_bwd(run))
            return direction_text(run, c);
        if (rep_same(c->dir, "fwd") && rep_same(c->fuse, "none") && c->stats_out == 0)
            return c->in_place ? ", in place" : "";
        char *text = rep_alloc(run, 64);
        snprintf(text, 64, ", %.20s-%.20s%s%s", c->dir ? c->dir : "?",
                 c->fuse ? c->fuse : "?", c->stats_out ? "-stats" : "", c->in_place ? ", in place" : "");
        return text;
    }
    return "";
}

static void define_case_head(struct picture *p, const char *title, const char *details, const char *which)
{
    char text[512];
    snprintf(text, sizeof(text), "%.80s, %.60s, %s%s", rep_cpu(p->run),
             rep_compiler(p->run), details, which);
    nb_gp_text(&p->out, "NAME", p->out.name);
    nb_gp_text(&p->out, "TITLE", title);
    nb_gp_text(&p->out, "SUBTITLE", text);
}

static void define_head(struct picture *p, const char *title, const char *details)
{
    define_case_head(p, title, details, case_text(p->run));
}

/* ---- an axis of sizes ---- */

/* A length whose last elements fill no register, beside the sweep: a point that no line joins. */
static bool is_tail(size_t hidden)
{
    return hidden % 64 != 0 && (hidden & (hidden - 1)) != 0;
}

/* The lengths of a run, those beside the sweep last. */
static struct rep_sizes tails_last(struct rep_run *run)
{
    struct rep_sizes s = {rep_alloc(run, (run->hiddens.n + 1) * sizeof(size_t)), 0};
    for (int tail = 0; tail < 2; tail++)
        for (size_t h = 0; h < run->hiddens.n; h++)
            if (is_tail(run->hiddens.value[h]) == tail)
                s.value[s.n++] = run->hiddens.value[h];
    return s;
}

static void use_x(struct picture *p, size_t value)
{
    struct rep_sizes *x = &p->x[p->npanels];
    size_t at = x->n;
    while (at > 0 && x->value[at - 1] > value)
        at--;
    if (at > 0 && x->value[at - 1] == value)
        return;
    memmove(x->value + at + 1, x->value + at, (x->n++ - at) * sizeof(*x->value));
    x->value[at] = value;
}

/* Before each point over hidden; gnuplot's line ends at an empty line. */
static void begin_point(struct picture *p, size_t hidden, size_t points)
{
    if (is_tail(hidden) && points > 0)
        fputc('\n', p->out.dat);
    use_x(p, hidden);
}

/* Which values of a panel have a label: all that stand apart; the sweep goes before lengths beside it. */
static void choose_labels(const struct rep_sizes *x, double px, bool *labelled)
{
    for (int tail = 0; tail < 2; tail++)
        for (size_t i = 0; i < x->n; i++) {
            bool apart = is_tail(x->value[i]) == tail;
            for (size_t k = 0; k < x->n; k++)
                if (labelled[k] && fabs(log2((double)x->value[k] / (double)x->value[i])) * px < 20)
                    apart = false;
            labelled[i] = labelled[i] || apart;
        }
}

/* Pixels between the nearest two labels. */
static double nearest_labels(const struct rep_sizes *x, double px, const bool *labelled)
{
    double nearest = INFINITY;
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < x->n; i++) {
        if (!labelled[i])
            continue;
        if (last != SIZE_MAX)
            nearest = fmin(nearest, px * log2((double)x->value[i] / (double)x->value[last]));
        last = i;
    }
    return nearest;
}

static void put_labels(struct picture *p, const char *key, const char *form, const bool *labelled, size_t n)
{
    fprintf(p->out.gp, "array %s[%zu] = [", key, n);
    for (size_t i = 0, panel = 0, k = 0; i < n; i++, k++) {
        while (k == p->x[panel].n)
            panel++, k = 0;
        fputs(i ? ", " : "", p->out.gp);
        if (labelled == NULL || labelled[i])
            fprintf(p->out.gp, form, p->x[panel].value[k]);
        else
            fputs("''", p->out.gp);
    }
    fputs("]\n", p->out.gp);
}

/* A log2 axis: one range for all panels, labels of each for its own data, upright where they are close. */
static void define_x(struct picture *p, double panel_px)
{
    size_t n = 0, least = SIZE_MAX, most = 0;
    int first[MAX_PANELS], last[MAX_PANELS];
    double nearest = INFINITY;
    for (int i = 0; i < p->npanels; i++) {
        const struct rep_sizes *x = &p->x[i];
        least = x->value[0] < least ? x->value[0] : least;
        most = x->value[x->n - 1] > most ? x->value[x->n - 1] : most;
        first[i] = (int)n + 1;
        last[i] = (int)(n += x->n);
    }
    bool *labelled = rep_alloc(p->run, n * sizeof(bool));
    const double px = panel_px / (log2((double)most / (double)least) + 1);
    for (int i = 0; i < p->npanels; i++) {
        choose_labels(&p->x[i], px, labelled + first[i] - 1);
        nearest = fmin(nearest, nearest_labels(&p->x[i], px, labelled + first[i] - 1));
    }
    fprintf(p->out.gp, "XMIN = %zu\nXMAX = %zu\nXROT = %d\n", least, most, nearest < 75);
    put_labels(p, "X", "%zu", NULL, n);
    put_labels(p, "XLABEL", "'%zu'", labelled, n);
    nb_gp_ints(&p->out, "XFIRST", first, (size_t)p->npanels);
    nb_gp_ints(&p->out, "XLAST", last, (size_t)p->npanels);
}

/* What the points that no line joins are; "" where there are none. */
static void define_tails(struct picture *p)
{
    char text[160] = "";
    size_t n = 0, length = 0;
    for (size_t h = 0; h < p->run->hiddens.n; h++) {
        const size_t hidden = p->run->hiddens.value[h];
        bool drawn = false;
        for (int i = 0; i < p->npanels; i++)
            for (size_t k = 0; k < p->x[i].n; k++)
                drawn = drawn || p->x[i].value[k] == hidden;
        if (is_tail(hidden) && drawn && n++ < 4)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%zu", n > 1 ? ", " : "", hidden);
    }
    if (n > 0)
        snprintf(text + length, sizeof text - length, "%s", n > 4 ? " and others" : "");
    nb_gp_text(&p->out, "TAILS", text);
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
    const size_t room = p->run->hiddens.n + p->run->threads.n + p->run->rows.n;
    p->x[p->npanels] = (struct rep_sizes){rep_alloc(p->run, (room + 1) * sizeof(size_t)), 0};
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
    fputs("\n\n", p->out.dat);
}

static void define_panels(struct picture *p)
{
    fprintf(p->out.gp, "NP = %d\n", p->npanels);
    nb_gp_texts(&p->out, "PANEL", p->panels, (size_t)p->npanels);
    nb_gp_ints(&p->out, "FIRST", p->first, (size_t)p->npanels);
    nb_gp_ints(&p->out, "LAST", p->last, (size_t)p->npanels);
    nb_gp_ints(&p->out, "SERIES", p->series, (size_t)p->nseries);
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

/* A number and its interval, which is the number where there is none. */
static void put_interval(FILE *dat, const struct rep_estimate *e)
{
    bool known = isfinite(e->lo);
    fprintf(dat, "%.6g %.6g %.6g", e->value, known ? e->lo : e->value, known ? e->hi : e->value);
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

static void count_winner(struct winners *w, const struct rep_kernel *k)
{
    size_t i = 0;
    if (k == NULL || !k->foreign)
        return;
    while (i < w->n && w->kernel[i] != k)
        i++;
    if (i == FOREIGN_LINES)
        return;
    if (i == w->n)
        w->kernel[w->n++] = k;
    w->points_of[i]++;
}

static void count_winners(struct picture *p, const struct rep_pairing *pair)
{
    p->winners.points++;
    count_winner(&p->winners, pair->base);
    count_winner(&p->winners, pair->test);
}

/* "" where all winners are ours. */
static void define_winners(struct picture *p)
{
    const struct winners *w = &p->winners;
    char text[400] = "";
    size_t length = 0;
    for (size_t i = 0; i < w->n; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%.60s in %zu", i ? ", " : "Among the fastest, not ours: ",
                                   w->kernel[i]->name, w->points_of[i]);
    if (w->n > 0)
        snprintf(text + length, sizeof text - length, " of %zu points.", w->points);
    nb_gp_text(&p->out, "WINNERS", text);
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
        begin_point(p, hiddens->value[h], points);
        fprintf(p->out.dat, "%.6g ", (double)hiddens->value[h] * shift);
        put_interval(p->out.dat, s);
        fputc('\n', p->out.dat);
        if (best)
            count_winners(p, pair);
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
    hiddens = tails_last(p->run);
    types.n = types.n > 8 ? 8 : types.n; /* as many as there are colours */
    fputs("# hidden (shifted a little for each dtype), speedup, low, high\n", p->out.dat);
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
        : rep_is_all_bwd(p->run)
            ? "Speedup of RMSNorm over LayerNorm: two passes each, same ISA"
            : "Speedup of RMSNorm over LayerNorm: one-pass against two-pass, same ISA",
        threads_text(p->run, least_threads(p->run)));
    define_panels(p);
    fprintf(p->out.gp, "NT = %zu\n", types.n);
    nb_gp_texts(&p->out, "TYPE", types.text, types.n);
    define_x(p, panel_width(p->npanels));
    define_tails(p);
    define_winners(p);
    fprintf(p->out.gp, "YMIN = %.4g\nYMAX = %.4g\n", y.least - 0.06 * (y.most - y.least),
            y.most + 0.06 * (y.most - y.least));
    return true;
}

/* ---- bandwidth ---- */

/* The algorithm of the textbook, whose loop over a row is one pass forward and two backward. */
static const char *textbook_rms(const struct rep_cell *c)
{
    return rep_is_bwd(c) ? "twopass" : "onepass";
}

static const char *textbook_rms_text(const struct rep_run *run)
{
    return rep_is_all_bwd(run) ? "two-pass RMSNorm" : "one-pass RMSNorm";
}

static const char *roof_text(struct rep_run *run)
{
    char *text = rep_alloc(run, 80);
    snprintf(text, 80, "roof: %s", rep_is_all_in_place(run) ? "scale in place" : rep_plain_traffic(run)->roof);
    return text;
}

enum { ROOF, BEST_LN, BEST_RMS, TWOPASS_LN, ONEPASS_RMS, REF_1, REF_2, FOREIGN, LINES = FOREIGN + FOREIGN_LINES };

/* Reference lines, and kernels of peers and plugins: each has a line under its own name. */
struct named_lines {
    struct rep_keys affine;
    const struct rep_kernel *foreign[FOREIGN_LINES];
    size_t nforeign;
};

/* Fastest timed kernel of an op; algo NULL: of any algorithm that may win. */
static const struct rep_entry *fastest(const struct rep_cell *c, const char *op,
                                       const char *algo)
{
    const struct rep_entry *found = NULL;
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_entry *e = &c->entries[i];
        if (rep_is_timed(e) && rep_is_op(e->kernel, op) &&
            (algo == NULL ? e->kernel->contends : rep_same(e->kernel->algo, algo)) &&
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
                                          const struct named_lines *named)
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
        return textbook(c, false, "rmsnorm", textbook_rms(c));
    default: {
        size_t i = (size_t)(line - REF_1);
        const size_t n = named->affine.n;
        if (i < n)
            return fastest(c, "affine", named->affine.text[i]);
        return i - n < named->nforeign ? rep_entry_of(c, named->foreign[i - n]) : NULL;
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

/* The last column, for who reads the file; a name is one word there, whatever plan.json says. */
static void end_with_name(FILE *dat, const char *name)
{
    for (; *name != 0; name++)
        fputc(isalnum((unsigned char)*name) ? *name : '_', dat);
    fputc('\n', dat);
}

/* As many of the picture's dtype as there is room for, in the order of the plan. */
static void find_foreign(const struct rep_run *run, const char *type,
                         struct named_lines *named)
{
    named->nforeign = 0;
    for (size_t i = 0; i < run->nkernels && named->nforeign < FOREIGN_LINES; i++) {
        const struct rep_kernel *k = &run->kernels[i];
        const size_t n = k->dtype != NULL ? strlen(k->dtype) : 0;
        if (k->foreign && n > 0 && strncmp(k->dtype, type, n) == 0 &&
            (type[n] == 0 || type[n] == '+'))
            named->foreign[named->nforeign++] = k;
    }
}

static size_t bandwidth_series(struct picture *p, const char *residency, const char *type,
                               int line, const struct named_lines *named,
                               const struct rep_sizes *hiddens)
{
    size_t points = 0, threads = least_threads(p->run);
    for (size_t h = 0; h < hiddens->n; h++) {
        const struct rep_cell *c =
            rep_find(p->run, residency, type, hiddens->value[h], threads);
        const struct rep_entry *e = c ? line_entry(c, line, named) : NULL;
        if (e == NULL || !isfinite(e->gbps))
            continue;
        begin_point(p, hiddens->value[h], points);
        fprintf(p->out.dat, "%zu %.6g ", hiddens->value[h], e->gbps);
        end_with_name(p->out.dat, e->kernel->name);
        points++;
    }
    return points;
}

/* What a column of the legend holds. */
static const char *short_text(struct rep_run *run, const char *name)
{
    char *text = rep_alloc(run, 40);
    snprintf(text, 40, strlen(name) < 38 ? "%s" : "%.34s...", name);
    return text;
}

/* The name of a kernel that is not ours, whose series is of that kind. */
static const char *foreign_text(struct picture *p, const struct rep_kernel *k, int kind)
{
    char *text = rep_alloc(p->run, 64);
    bool drawn = false;
    for (int i = 0; i < p->nseries; i++)
        drawn = drawn || p->series[i] == kind;
    snprintf(text, 64, "%s%s", short_text(p->run, k->name), drawn ? "" : " (not here)");
    return text;
}

/* Its entry in a cell, if it has a time there. */
static const struct rep_entry *foreign_entry(const struct rep_cell *c, const struct named_lines *named, int i)
{
    const struct rep_entry *e = i >= 0 && (size_t)i < named->nforeign ? rep_entry_of(c, named->foreign[i]) : NULL;
    return e != NULL && rep_is_timed(e) ? e : NULL;
}

static void define_lines(struct picture *p, const struct named_lines *named)
{
    const struct rep_keys *affine = &named->affine;
    const char *lines[LINES] = {roof_text(p->run), "fastest LayerNorm", "fastest RMSNorm", "two-pass LayerNorm",
                                textbook_rms_text(p->run)};
    for (size_t i = 0; i < affine->n; i++) {
        char *text = rep_alloc(p->run, 96);
        snprintf(text, 96, "reference: affine %.60s", affine->text[i]);
        lines[REF_1 + i] = text;
    }
    const size_t n = REF_1 + affine->n + named->nforeign;
    for (size_t i = 0; i < named->nforeign; i++)
        lines[REF_1 + affine->n + i] = foreign_text(p, named->foreign[i], (int)(REF_1 + affine->n + i) + 1);
    fprintf(p->out.gp, "NL = %zu\n", n);
    nb_gp_texts(&p->out, "LINE", lines, n);
}

static bool bandwidth_picture(struct picture *p)
{
    struct rep_keys places, types;
    struct named_lines named;
    struct rep_sizes hiddens;
    char details[160], title[80];
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    hiddens = tails_last(p->run);
    find_affine(p->run, &named.affine);
    find_foreign(p->run, types.n > 0 ? types.text[0] : "", &named);
    fputs("# hidden, GB/s, kernel\n", p->out.dat);
    for (size_t r = 0; types.n > 0 && r < places.n && begin_panel(p, places.text[r]);
         r++) {
        for (int line = 0; line < LINES; line++)
            end_series(p, line + 1,
                       bandwidth_series(p, places.text[r], types.text[0], line, &named,
                                        &hiddens));
        end_panel(p);
    }
    if (p->npanels == 0)
        return false;
    snprintf(details, sizeof(details), "%.40s, %s", types.text[0],
             threads_text(p->run, least_threads(p->run)));
    const struct rep_traffic *t = rep_plain_traffic(p->run);
    snprintf(title, sizeof(title), "How close the norms come%s to the speed of %s",
             rep_is_all_bwd(p->run) ? ", backward," : "", t->like);
    define_head(p, title, details);
    define_panels(p);
    snprintf(details, sizeof(details), "read %s, write %s", t->read, t->written);
    nb_gp_text(&p->out, "TRAFFIC", details);
    define_lines(p, &named);
    define_x(p, panel_width(p->npanels));
    define_tails(p);
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
        if (rep_counts(run, &run->cells[i]) &&
            rep_timed_norms(&run->cells[i]) > (c ? rep_timed_norms(c) : 0))
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
        b->labels[b->nlabels++] = bar_label(p->run, k);
        b->longest = fmax(b->longest, isfinite(t->lo) ? t->hi : t->value);
        fprintf(p->out.dat, "%zu ", i + 1);
        put_interval(p->out.dat, t);
        fprintf(p->out.dat, " %d ", isa_index(&b->isas, k->isa ? k->isa : "other") + 1);
        end_with_name(p->out.dat, k->name);
    }
    if (n > 0)
        fputs("\n\n", p->out.dat);
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
    fprintf(p->out.gp, "NA = %zu\n", b->nlabels);
    nb_gp_texts(&p->out, "LABEL", b->labels, b->nlabels);
    fprintf(p->out.gp, "NG = %zu\n", b->isas.n);
    nb_gp_texts(&p->out, "ISA", b->isas.text, b->isas.n);
    fprintf(p->out.gp, "XMAX = %.6g\n", b->longest);
    bool roof = c->roof != SIZE_MAX;
    fprintf(p->out.gp, "ROOF = %.6g\n",
            roof ? c->entries[c->roof].ns_per_row.value : 0.0);
    char text[96] = "";
    if (roof)
        snprintf(text, sizeof(text), "roof: %.60s", ceiling_label(p->run, c));
    nb_gp_text(&p->out, "ROOFNAME", text);
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
    fputs("# place, ns a row, low, high, ISA, kernel\n", p->out.dat);
    for (size_t i = 0; i < 2; i++) {
        size_t n = write_bars(p, c, ops[i], &b);
        if (n > 0) {
            count[p->npanels] = (int)n;
            p->panels[p->npanels++] = names[i];
        }
    }
    snprintf(details, sizeof(details), "%.30s, hidden %zu, data in %.20s, %s", c->type,
             c->hidden, c->residency, threads_text(p->run, c->threads));
    define_head(p, rep_is_all_bwd(p->run) ? "Every algorithm backward: time of a row" : "Every algorithm: time of a row",
                details);
    fprintf(p->out.gp, "NP = %d\n", p->npanels);
    nb_gp_texts(&p->out, "PANEL", p->panels, (size_t)p->npanels);
    nb_gp_ints(&p->out, "COUNT", count, (size_t)p->npanels);
    define_bars(p, c, &b);
    return true;
}

/* ---- scaling ---- */

enum { SCALING_LN, SCALING_RMS, SCALING_ROOF, SCALING_LINES };

static const struct rep_entry *scaling_entry(const struct rep_cell *c, int line, const struct named_lines *named)
{
    if (line >= SCALING_LINES)
        return foreign_entry(c, named, line - SCALING_LINES);
    const struct rep_entry *e = line == SCALING_LN          ? best_of(c, true, "layernorm")
                                : line == SCALING_RMS       ? best_of(c, false, "rmsnorm")
                                : c->roof == SIZE_MAX       ? NULL
                                                            : &c->entries[c->roof];
    return e != NULL && isfinite(e->gbps) ? e : NULL;
}

/* Percent of the roof is of the same rounds, and so not always the quotient of the two speeds. */
static size_t scaling_series(struct picture *p, const char *residency, const char *type,
                             size_t hidden, int line, const struct named_lines *named)
{
    const struct rep_sizes *threads = &p->run->threads;
    size_t points = 0;
    for (size_t t = 0; t < threads->n; t++) {
        const struct rep_cell *c = rep_find(p->run, residency, type, hidden, threads->value[t]);
        const struct rep_entry *e = c != NULL ? scaling_entry(c, line, named) : NULL;
        if (e == NULL)
            continue;
        use_x(p, threads->value[t]);
        fprintf(p->out.dat, "%zu %.6g ", threads->value[t], e->gbps);
        rep_print_number(p->out.dat, 100 * e->roof_ratio.value);
        fputc(' ', p->out.dat);
        end_with_name(p->out.dat, e->kernel->name);
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

/* ideal: GB/s a thread of the roof of the fewest; 0: not measured. */
static void scaling_panel(struct picture *p, const char *residency, const char *type,
                          const struct named_lines *named, double ideal[MAX_PANELS])
{
    const struct rep_sizes *threads = &p->run->threads;
    size_t hidden = scaling_hidden(p->run, residency, type, threads, &p->run->hiddens);
    if (hidden == 0 || !begin_panel(p, residency))
        return;
    const struct rep_cell *one = rep_find(p->run, residency, type, hidden, threads->value[0]);
    const struct rep_entry *roof = one != NULL ? scaling_entry(one, SCALING_ROOF, named) : NULL;
    ideal[p->npanels] = roof != NULL ? roof->gbps / (double)threads->value[0] : 0;
    char *text = rep_alloc(p->run, 96);
    snprintf(text, 96, "%.40s, hidden %zu", p->panels[p->npanels], hidden);
    p->panels[p->npanels] = text;
    for (int line = 0; line < SCALING_LINES + FOREIGN_LINES; line++)
        end_series(p, line + 1, scaling_series(p, residency, type, hidden, line, named));
    end_panel(p);
}

static void define_scaling(struct picture *p, const struct named_lines *named, const double *ideal)
{
    const struct rep_traffic *t = rep_plain_traffic(p->run);
    const char *lines[SCALING_LINES + FOREIGN_LINES] = {"fastest LayerNorm", "fastest RMSNorm", roof_text(p->run)};
    const size_t n = SCALING_LINES + named->nforeign;
    char text[96];
    for (size_t i = SCALING_LINES; i < n; i++)
        lines[i] = foreign_text(p, named->foreign[i - SCALING_LINES], (int)i + 1);
    fprintf(p->out.gp, "NL = %zu\n", n);
    nb_gp_texts(&p->out, "LINE", lines, n);
    fprintf(p->out.gp, "array IDEAL[%d] = [", p->npanels);
    for (int i = 0; i < p->npanels; i++)
        fprintf(p->out.gp, "%s%.6g", i ? ", " : "", ideal[i]);
    fputs("]\n", p->out.gp);
    snprintf(text, sizeof text, "GB/s (read %s, write %s)", t->read, t->written);
    nb_gp_text(&p->out, "YLABEL", text);
}

static bool scaling_picture(struct picture *p)
{
    struct rep_keys places, types;
    struct named_lines named;
    double ideal[MAX_PANELS];
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    const struct rep_sizes *threads = &p->run->threads;
    find_foreign(p->run, types.n > 0 ? types.text[0] : "", &named);
    fputs("# threads, GB/s, percent of the roof of as many threads, kernel\n", p->out.dat);
    for (size_t r = 0; threads->n > 1 && types.n > 0 && r < places.n; r++)
        scaling_panel(p, places.text[r], types.text[0], &named, ideal);
    if (p->npanels == 0)
        return false;
    define_head(p, "What more threads bring, and how much of the roof the norms reach", types.text[0]);
    define_panels(p);
    define_scaling(p, &named, ideal);
    define_x(p, panel_width(p->npanels));
    return true;
}

/* ---- roofline ---- */

enum { PLACES = 5, ROOFLINE_KINDS = 4 };

/* The hidden that most residencies were measured at; of equals the one nearest to 1024. */
static size_t roofline_hidden(const struct rep_run *run, const struct rep_keys *places,
                              const char *type)
{
    size_t found = 0, most = 0;
    for (size_t h = 0; h < run->hiddens.n; h++) {
        size_t n = 0, hidden = run->hiddens.value[h];
        for (size_t r = 0; r < places->n; r++) {
            const struct rep_cell *c =
                rep_find(run, places->text[r], type, hidden, least_threads(run));
            n += c != NULL && c->roof != SIZE_MAX;
        }
        bool nearer =
            found && fabs(log2((double)hidden / 1024)) < fabs(log2((double)found / 1024));
        if (n > most || (n > 0 && n == most && nearer)) {
            found = hidden;
            most = n;
        }
    }
    return found;
}

static const struct rep_entry *roofline_entry(const struct rep_cell *c, int kind, const struct named_lines *named)
{
    switch (kind) {
    case 0:
        return fastest(c, rep_traffic(c)->ceiling, NULL);
    case 1:
        return fastest(c, "affine", "gammabeta");
    case 2:
        return best_of(c, false, "rmsnorm");
    case 3:
        return best_of(c, true, "layernorm");
    default:
        return foreign_entry(c, named, kind - ROOFLINE_KINDS);
    }
}

/* One residency: kind, flops a byte, GFLOP/s of each kernel, which is its share of the roof of the same
 * rounds times that roof. Without known flops it has no place there. Returns the most flops a byte. */
static double roofline_points(struct picture *p, const struct rep_cell *c, struct named_lines *named, bool drawn[FOREIGN_LINES])
{
    double most = 0;
    for (int kind = 0; kind < ROOFLINE_KINDS + FOREIGN_LINES; kind++) {
        const struct rep_entry *e = roofline_entry(c, kind, named);
        if (e == NULL || !rep_is_timed(e) || !(e->kernel->flops > 0))
            continue;
        if (!isfinite(e->roof_ratio.value))
            continue;
        double intensity = e->kernel->flops * (double)c->hidden / rep_row_bytes(c, e->kernel);
        fprintf(p->out.dat, "%d %.6g %.6g\n", kind + 1, intensity,
                intensity * c->entries[e->roof].gbps * e->roof_ratio.value);
        most = fmax(most, intensity);
        if (kind >= ROOFLINE_KINDS)
            drawn[kind - ROOFLINE_KINDS] = true;
    }
    fputs("\n\n", p->out.dat);
    return most;
}

static void define_roofline_texts(struct picture *p, const struct named_lines *named, const bool drawn[FOREIGN_LINES])
{
    const struct rep_traffic *t = rep_plain_traffic(p->run);
    const bool affine = rep_same(t->ceiling, "scale"); /* no reference line reads two tensors */
    char ceiling[80], traffic[80];
    snprintf(ceiling, sizeof(ceiling), "%s: %s", t->ceiling, t->formula);
    snprintf(traffic, sizeof(traffic), "%s read once, %s written once", t->read, t->written);
    const char *kinds[ROOFLINE_KINDS + FOREIGN_LINES] = {ceiling, affine ? "a*x*gamma + beta" : "", "fastest RMSNorm",
                                                         "fastest LayerNorm"};
    char texts[FOREIGN_LINES][64];
    for (size_t i = 0; i < named->nforeign; i++) {
        snprintf(texts[i], sizeof texts[i], "%s%s", short_text(p->run, named->foreign[i]->name), drawn[i] ? "" : " (not here)");
        kinds[ROOFLINE_KINDS + i] = texts[i];
    }
    fprintf(p->out.gp, "NK = %zu\n", ROOFLINE_KINDS + named->nforeign);
    nb_gp_texts(&p->out, "KIND", kinds, ROOFLINE_KINDS + named->nforeign);
    nb_gp_text(&p->out, "TRAFFIC", traffic);
    nb_gp_text(&p->out, "CARRIER", t->carrier);
    nb_gp_text(&p->out, "AS_FAST_AS", t->like);
}

static bool roofline_picture(struct picture *p)
{
    struct rep_keys places, types;
    const char *names[PLACES];
    double gbps[PLACES], most = 0;
    char details[160];
    struct named_lines named;
    bool drawn[FOREIGN_LINES] = {false};
    int n = 0;
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    find_foreign(p->run, types.n > 0 ? types.text[0] : "", &named);
    size_t hidden = types.n ? roofline_hidden(p->run, &places, types.text[0]) : 0;
    fputs("# kind, flops a byte, GFLOP/s\n", p->out.dat);
    for (size_t r = 0; hidden > 0 && r < places.n && n < PLACES; r++) {
        const struct rep_cell *c =
            rep_find(p->run, places.text[r], types.text[0], hidden, least_threads(p->run));
        if (c == NULL || c->roof == SIZE_MAX)
            continue;
        char *text = rep_alloc(p->run, 64);
        gbps[n] = c->entries[c->roof].gbps;
        snprintf(text, 64, "%.20s: %.3g GB/s", places.text[r], gbps[n]);
        names[n++] = text;
        most = fmax(most, roofline_points(p, c, &named, drawn));
    }
    if (n == 0)
        return false;
    snprintf(details, sizeof(details), "%.30s, hidden %zu, %s", types.text[0], hidden,
             threads_text(p->run, least_threads(p->run)));
    define_head(p, "Roofline: what the memory lets through, and what the kernels make of it", details);
    fprintf(p->out.gp, "NR = %d\narray GBPS[%d] = [", n, n);
    for (int i = 0; i < n; i++)
        fprintf(p->out.gp, "%s%.6g", i ? ", " : "", gbps[i]);
    fputs("]\n", p->out.gp);
    nb_gp_texts(&p->out, "ROOFNAME", names, (size_t)n);
    define_roofline_texts(p, &named, drawn);
    fprintf(p->out.gp, "XMAX = %d.0\n", most > 2 ? 4 : 2); /* backward, rows of 2 bytes an element lie beyond 2 */
    return true;
}

/* ---- address offset ---- */

static bool same_but_offset(const struct rep_cell *a, const struct rep_cell *b)
{
    return a->hidden == b->hidden && a->rows == b->rows && a->threads == b->threads &&
           a->stats_out == b->stats_out && a->in_place == b->in_place && rep_same(a->type, b->type) &&
           rep_same(a->residency, b->residency) && rep_same(a->dir, b->dir) &&
           rep_same(a->fuse, b->fuse);
}

static size_t count_offsets(const struct rep_run *run, const struct rep_cell *like)
{
    size_t n = 0;
    for (size_t i = 0; i < run->ncells; i++)
        n += same_but_offset(&run->cells[i], like);
    return n;
}

/* The cell of a residency that was measured at most offsets, at the usual one if it can be. */
static const struct rep_cell *offset_cell(const struct rep_run *run, const char *residency)
{
    const struct rep_cell *found = NULL;
    size_t most = 1;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        size_t n = rep_same(c->residency, residency) && !rep_is_other_way(run, c) ? count_offsets(run, c) : 0;
        bool usual = found != NULL && n == most && found->offset != REP_OFFSET &&
                     c->offset == REP_OFFSET && same_but_offset(c, found);
        if (n > most || usual) {
            found = c;
            most = n;
        }
    }
    return found;
}

enum { OFFSET_ROOF, OFFSET_LN, OFFSET_RMS, OFFSET_FOREIGN, OFFSET_LINES = OFFSET_FOREIGN + FOREIGN_LINES };

/* A panel: cells alike but for the offset, the kernel of each line (of the roof the fastest at each offset), and what the
 * ratios to the usual offset say. */
struct offsets {
    const struct rep_cell *like, *usual; /* usual: NULL: not measured */
    const struct rep_kernel *kernels[OFFSET_LINES]; /* NULL: none */
    const char *names[OFFSET_LINES];
    double top, highest; /* GB/s of the fastest roof; the highest end of a bar over it */
    size_t intervals, below, above;
    double chance; /* as many intervals by chance alone on either side */
    struct rep_estimate slowest, fastest;
    size_t slowest_at, fastest_at;
    int slowest_line, fastest_line;
};

static const struct rep_entry *offset_entry(const struct rep_cell *c, const struct offsets *s, int line)
{
    const struct rep_entry *e = NULL;
    if (line == OFFSET_ROOF && c->roof != SIZE_MAX)
        e = &c->entries[c->roof];
    else if (line != OFFSET_ROOF && s->kernels[line] != NULL)
        e = rep_entry_of(c, s->kernels[line]);
    return e != NULL && rep_is_timed(e) ? e : NULL;
}

/* Speed over that at the usual offset, one ratio a process: what all offsets share is no part of its interval. */
static struct rep_estimate offset_ratio(const struct rep_run *run, const struct offsets *s, const struct rep_cell *c, int line)
{
    const struct rep_estimate none = {NAN, NAN, NAN, NAN, 0};
    const struct rep_entry *e = offset_entry(c, s, line), *usual = s->usual ? offset_entry(s->usual, s, line) : NULL;
    if (e == NULL || usual == NULL || c == s->usual)
        return none;
    return rep_element_speed_over(run, c, e, s->usual, usual);
}

/* GB/s: that at the usual offset times the ratio; of a line that has none, its own without an interval. */
static struct rep_estimate offset_speed(const struct rep_run *run, const struct offsets *s, const struct rep_cell *c, int line)
{
    const struct rep_entry *e = offset_entry(c, s, line);
    struct rep_estimate speed = offset_ratio(run, s, c, line);
    if (isfinite(speed.value)) {
        const double usual = offset_entry(s->usual, s, line)->gbps;
        speed.value *= usual;
        speed.lo *= usual;
        speed.hi *= usual;
    } else {
        speed.value = e != NULL ? e->gbps : NAN;
    }
    return speed;
}

/* Equal times differ in the last places of their ratio. */
static const double same_speed = 1e-9;

static void judge_offset(struct offsets *s, const struct rep_estimate *ratio, size_t offset, int line)
{
    if (!isfinite(ratio->lo))
        return;
    s->intervals++;
    s->chance += (1 - ratio->confidence) / 2;
    if (ratio->hi < 1 - same_speed && (s->below++ == 0 || ratio->value < s->slowest.value)) {
        s->slowest = *ratio;
        s->slowest_at = offset;
        s->slowest_line = line;
    }
    if (ratio->lo > 1 + same_speed && (s->above++ == 0 || ratio->value > s->fastest.value)) {
        s->fastest = *ratio;
        s->fastest_at = offset;
        s->fastest_line = line;
    }
}

static size_t offset_series(struct picture *p, struct offsets *s, int line)
{
    size_t points = 0;
    for (size_t o = 0; o < p->run->offsets.n; o++)
        for (size_t i = 0; i < p->run->ncells; i++) {
            const struct rep_cell *c = &p->run->cells[i];
            if (c->offset != p->run->offsets.value[o] || !same_but_offset(c, s->like))
                continue;
            struct rep_estimate speed = offset_speed(p->run, s, c, line);
            if (!isfinite(speed.value))
                continue;
            const struct rep_estimate ratio = offset_ratio(p->run, s, c, line);
            judge_offset(s, &ratio, c->offset, line);
            speed.value /= s->top, speed.lo /= s->top, speed.hi /= s->top;
            s->highest = fmax(s->highest, isfinite(speed.hi) ? speed.hi : speed.value);
            fprintf(p->out.dat, "%zu ", c->offset);
            put_interval(p->out.dat, &speed);
            fputc('\n', p->out.dat);
            points++;
        }
    return points;
}

static struct offsets begin_offsets(struct rep_run *run, const struct rep_cell *like, const struct named_lines *named)
{
    struct offsets s = {.like = like, .usual = like != NULL && like->offset == REP_OFFSET ? like : NULL};
    if (like == NULL)
        return s;
    const struct rep_entry *ln = best_of(like, true, "layernorm"), *rms = best_of(like, false, "rmsnorm");
    s.kernels[OFFSET_LN] = ln ? ln->kernel : NULL;
    s.kernels[OFFSET_RMS] = rms ? rms->kernel : NULL;
    s.names[OFFSET_ROOF] = "the roof";
    s.names[OFFSET_LN] = "fastest LayerNorm";
    s.names[OFFSET_RMS] = "fastest RMSNorm";
    for (size_t i = 0; i < named->nforeign; i++) {
        s.kernels[OFFSET_FOREIGN + i] = named->foreign[i];
        s.names[OFFSET_FOREIGN + i] = named->foreign[i]->name;
    }
    for (size_t i = 0; i < run->ncells; i++)
        if (same_but_offset(&run->cells[i], like))
            s.top = fmax(s.top, offset_speed(run, &s, &run->cells[i], OFFSET_ROOF).value);
    return s;
}

static void extreme_text(char *text, size_t len, const char *word, size_t at, const char *name, const struct rep_estimate *e)
{
    snprintf(text, len, "%s at %zu, %.40s: x%.2f [%.2f, %.2f] of the usual offset", word, at, name, e->value, e->lo, e->hi);
}

/* Only what intervals show, and only where more of them lie beside 1 than chance alone explains. */
static const char *offset_verdict(struct rep_run *run, const struct offsets *s, const char *residency)
{
    char *text = rep_alloc(run, 400), slow[160] = "", fast[160] = "";
    const bool many = (double)(s->below + s->above) > 2 * s->chance;
    if (s->below > 0)
        extreme_text(slow, sizeof slow, "slowest", s->slowest_at, s->names[s->slowest_line], &s->slowest);
    if (s->above > 0)
        extreme_text(fast, sizeof fast, "fastest", s->fastest_at, s->names[s->fastest_line], &s->fastest);
    if (s->usual == NULL)
        snprintf(text, 400, "%.20s: the usual offset, %d, was not measured; nothing is compared with it", residency, REP_OFFSET);
    else if (s->intervals == 0)
        snprintf(text, 400, "%.20s: too few processes for an interval", residency);
    else if (s->below + s->above == 0)
        snprintf(text, 400, "%.20s: no offset differs from the usual one by more than its interval", residency);
    else if (!many)
        snprintf(text, 400, "%.20s: %zu of %zu intervals lie beside the usual offset, no more than by chance", residency,
                 s->below + s->above, s->intervals);
    else
        snprintf(text, 400, "%.20s: %s%s%s", residency, slow, s->below > 0 && s->above > 0 ? "; " : "", fast);
    return text;
}

/* NULL: this residency has no panel. */
static const char *offset_panel(struct picture *p, const char *residency, const struct named_lines *named, double *highest)
{
    struct offsets s = begin_offsets(p->run, offset_cell(p->run, residency), named);
    if (!(s.top > 0) || !begin_panel(p, residency))
        return NULL;
    char *text = rep_alloc(p->run, 96);
    snprintf(text, 96, "%.40s, %.20s, hidden %zu", p->panels[p->npanels], s.like->type, s.like->hidden);
    p->panels[p->npanels] = text;
    for (int line = 0; line < OFFSET_LINES; line++)
        end_series(p, line + 1, offset_series(p, &s, line));
    end_panel(p);
    *highest = fmax(*highest, s.highest);
    return offset_verdict(p->run, &s, residency);
}

static bool offset_picture(struct picture *p)
{
    static const char *const order[PLACES] = {"L1", "L2", "L3", "DRAM", "cold"};
    const char *verdicts[PLACES];
    struct named_lines named;
    struct rep_keys types;
    double highest = 1;
    rep_types(p->run, &types);
    find_foreign(p->run, types.n > 0 ? types.text[0] : "", &named);
    fputs("# offset in bytes, speed over that of the fastest roof of all offsets, low, high (of the ratio to the usual offset)\n",
          p->out.dat);
    for (size_t r = 0; r < PLACES; r++) {
        const char *verdict = offset_panel(p, order[r], &named, &highest);
        if (verdict != NULL)
            verdicts[p->npanels - 1] = verdict;
    }
    if (p->npanels == 0)
        return false;
    define_head(p,
                rep_is_all_bwd(p->run) ? "Speed by where dx lies relative to x, modulo 4 KiB"
                                       : "Speed by where y lies relative to x, modulo 4 KiB",
                threads_text(p->run, least_threads(p->run)));
    define_panels(p);
    nb_gp_texts(&p->out, "VERDICT", verdicts, (size_t)p->npanels);
    const char *lines[OFFSET_LINES] = {roof_text(p->run), "fastest LayerNorm", "fastest RMSNorm"};
    for (size_t i = 0; i < named.nforeign; i++)
        lines[OFFSET_FOREIGN + i] = foreign_text(p, named.foreign[i], OFFSET_FOREIGN + (int)i + 1);
    fprintf(p->out.gp, "NL = %zu\n", OFFSET_FOREIGN + named.nforeign);
    nb_gp_texts(&p->out, "LINE", lines, OFFSET_FOREIGN + named.nforeign);
    nb_gp_text(&p->out, "OUT", rep_is_all_bwd(p->run) ? "dx" : "y");
    fprintf(p->out.gp, "USUAL = %d\nYMAX = %.4g\n", REP_OFFSET, highest * 1.05);
    return true;
}

/* ---- rows ---- */

/* The plain cell of this place, size and so many rows. */
static const struct rep_cell *rows_cell(const struct rep_run *run, const char *residency,
                                        const char *type, size_t hidden, size_t threads,
                                        size_t rows)
{
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (c->rows == rows && c->hidden == hidden && c->threads == threads &&
            rep_same(c->type, type) && rep_same(c->residency, residency) &&
            rep_is_plain(run, c))
            return c;
    }
    return NULL;
}

/* Kinds: scale, LayerNorm and RMSNorm on the fewest threads, the same on most, the barrier of these; kernels that are not
 * ours on the fewest, and on most. */
enum { ROWS_KERNELS = 3, ROWS_BARRIER = 2 * ROWS_KERNELS, ROWS_FOREIGN, ROWS_KINDS = ROWS_FOREIGN + 2 * FOREIGN_LINES };

static bool on_most_threads(int kind)
{
    return kind < ROWS_FOREIGN ? kind >= ROWS_KERNELS : kind >= ROWS_FOREIGN + FOREIGN_LINES;
}

static double call_ns(const struct rep_cell *c, int kind, const struct named_lines *named)
{
    if (kind == ROWS_BARRIER)
        return c->barrier_ns;
    const struct rep_entry *e = kind >= ROWS_FOREIGN       ? foreign_entry(c, named, (kind - ROWS_FOREIGN) % FOREIGN_LINES)
                                : kind % ROWS_KERNELS == 0 ? fastest(c, rep_traffic(c)->ceiling, NULL)
                                : kind % ROWS_KERNELS == 1 ? best_of(c, true, "layernorm")
                                                           : best_of(c, false, "rmsnorm");
    return e != NULL && rep_is_timed(e) ? e->ns_per_row.value * (double)c->rows : NAN;
}

static size_t rows_series(struct picture *p, const char *residency, const char *type,
                          size_t hidden, int kind, const struct named_lines *named)
{
    const struct rep_sizes *t = &p->run->threads, *rows = &p->run->rows;
    size_t threads = on_most_threads(kind) ? t->value[t->n - 1] : t->value[0], points = 0;
    for (size_t r = 0; r < rows->n && (!on_most_threads(kind) || t->n > 1); r++) {
        const struct rep_cell *c =
            rows_cell(p->run, residency, type, hidden, threads, rows->value[r]);
        double ns = c ? call_ns(c, kind, named) : NAN;
        if (!(ns > 0))
            continue;
        fprintf(p->out.dat, "%zu %.6g\n", rows->value[r], ns);
        use_x(p, rows->value[r]);
        points++;
    }
    return points;
}

/* Two are two cells and no line. */
static bool has_rows(const struct rep_run *run, const char *residency, const char *type,
                     size_t hidden)
{
    size_t n = 0;
    for (size_t r = 0; run->threads.n > 0 && r < run->rows.n; r++)
        n += rows_cell(run, residency, type, hidden, run->threads.value[0],
                       run->rows.value[r]) != NULL;
    return n > 2;
}

static void rows_panel(struct picture *p, const char *residency, const char *type, size_t hidden,
                       const struct named_lines *named)
{
    if (!has_rows(p->run, residency, type, hidden) || !begin_panel(p, residency))
        return;
    char *text = rep_alloc(p->run, 64);
    snprintf(text, 64, "hidden %zu, at most in %.20s", hidden, residency);
    p->panels[p->npanels] = text;
    for (int kind = 0; kind < ROWS_KINDS; kind++)
        end_series(p, kind + 1, rows_series(p, residency, type, hidden, kind, named));
    end_panel(p);
}

/* Lines of one thread count are told as such where there are two; a kind that is not drawn is "". */
static void define_rows_lines(struct picture *p, const struct named_lines *named)
{
    const char *const names[ROWS_KERNELS] = {rep_plain_traffic(p->run)->ceiling, "fastest LayerNorm", "fastest RMSNorm"};
    const struct rep_sizes *t = &p->run->threads;
    const char *lines[ROWS_KINDS];
    for (int kind = 0; kind < ROWS_KINDS; kind++) {
        const bool most = on_most_threads(kind), foreign = kind >= ROWS_FOREIGN;
        const size_t i = foreign ? (size_t)(kind - ROWS_FOREIGN) % FOREIGN_LINES : (size_t)kind % ROWS_KERNELS;
        lines[kind] = "";
        if ((most && t->n == 1) || (foreign && i >= named->nforeign))
            continue;
        char *text = rep_alloc(p->run, 96);
        snprintf(text, 96, "%s, %s", foreign ? foreign_text(p, named->foreign[i], kind + 1) : names[i],
                 threads_text(p->run, t->value[most ? t->n - 1 : 0]));
        lines[kind] = kind == ROWS_BARRIER ? "an empty barrier of these threads" : text;
    }
    fprintf(p->out.gp, "NL = %d\n", ROWS_KINDS);
    nb_gp_texts(&p->out, "LINE", lines, ROWS_KINDS);
}

static bool rows_picture(struct picture *p)
{
    struct rep_keys places, types;
    struct named_lines named;
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    find_foreign(p->run, types.n > 0 ? types.text[0] : "", &named);
    fputs("# rows of a call, ns a call\n", p->out.dat);
    for (size_t r = 0; types.n > 0 && r < places.n; r++)
        for (size_t h = 0; h < p->run->hiddens.n; h++)
            rows_panel(p, places.text[r], types.text[0], p->run->hiddens.value[h], &named);
    if (p->npanels == 0)
        return false;
    define_head(p, "A call on few rows: what it takes, and what a team of threads costs",
                types.text[0]);
    define_panels(p);
    define_rows_lines(p, &named);
    define_x(p, panel_width(p->npanels));
    return true;
}

/* ---- versus: every pair of norms ---- */

enum { MAX_PAIRS = 12 };

/* The pairs of that length; none where RMSNorm over LayerNorm is all, which other pictures show. */
static size_t find_pairs(const struct rep_run *run, size_t hidden, const struct rep_pairing *pairs[REP_PAIRS_MAX])
{
    const size_t n = rep_pairs(run, hidden, pairs);
    for (size_t k = 0; k < n; k++)
        if (!rep_is_rms_over_layer(pairs[k]))
            return n < MAX_PAIRS ? n : MAX_PAIRS;
    return 0;
}

/* x, its interval, and the height of the pair's line; dtypes a little apart. */
static size_t versus_series(struct picture *p, const char *residency, const struct rep_keys *types, size_t type,
                            size_t hidden, const struct rep_pairing *const *pairs, size_t npairs)
{
    size_t points = 0;
    const struct rep_cell *c = rep_find(p->run, residency, types->text[type], hidden, least_threads(p->run));
    for (size_t k = 0; c != NULL && k < npairs; k++) {
        const struct rep_pairing *of = rep_best_pairing(c, pairs[k]->test_op, pairs[k]->base_op);
        if (of == NULL || !rep_has_speedup(of) || rep_is_beaten(of))
            continue;
        count_winners(p, of);
        put_interval(p->out.dat, &of->speedup);
        fprintf(p->out.dat, " %.3f\n", (double)(npairs - k) + 0.14 * ((double)(types->n - 1) / 2 - (double)type));
        points++;
    }
    return points;
}

static void define_pairs(struct picture *p, const struct rep_pairing *const *pairs, size_t n, const struct rep_keys *types)
{
    const char *labels[MAX_PAIRS];
    for (size_t k = 0; k < n; k++) {
        char *text = rep_alloc(p->run, 64);
        snprintf(text, 64, "%.24s over %.24s", pairs[k]->test_op, pairs[k]->base_op);
        labels[k] = text;
    }
    fprintf(p->out.gp, "NY = %zu\n", n);
    nb_gp_texts(&p->out, "PAIR", labels, n);
    fprintf(p->out.gp, "NT = %zu\n", types->n);
    nb_gp_texts(&p->out, "TYPE", types->text, types->n);
}

static bool versus_picture(struct picture *p)
{
    struct rep_keys places, types;
    const struct rep_pairing *pairs[REP_PAIRS_MAX];
    size_t hidden = 0, n = 0;
    char details[96];
    rep_residencies(p->run, &places);
    rep_types(p->run, &types);
    types.n = types.n > 8 ? 8 : types.n; /* as many as there are colours */
    for (size_t h = 0; h < p->run->hiddens.n && (hidden == 0 || p->run->hiddens.value[h] <= 4096); h++)
        hidden = find_pairs(p->run, p->run->hiddens.value[h], pairs) > 0 ? p->run->hiddens.value[h] : hidden;
    n = hidden > 0 ? find_pairs(p->run, hidden, pairs) : 0;
    fputs("# time of the second over time of the first, its interval, height of the pair\n", p->out.dat);
    for (size_t r = 0; n > 0 && r < places.n; r++) {
        if (!begin_panel(p, places.text[r]))
            break;
        for (size_t t = 0; t < types.n; t++)
            end_series(p, (int)t + 1, versus_series(p, places.text[r], &types, t, hidden, pairs, n));
        end_panel(p);
    }
    if (p->npanels == 0)
        return false;
    snprintf(details, sizeof details, "hidden %zu, %s", hidden, threads_text(p->run, least_threads(p->run)));
    define_head(p, "How many times as fast is one norm as another, best against best?", details);
    define_panels(p);
    define_winners(p);
    define_pairs(p, pairs, n, &types);
    return true;
}

/* ---- training: forward, backward and both ---- */

enum { MAX_NORMS = 12, DIRECTIONS = 3 };

static const char *norm_title(const char *op)
{
    const char *title = nb_op_facts((uint32_t)nb_op_parse(op))->title;
    return title != NULL ? title : op;
}

static bool has_both(const struct rep_step *s)
{
    return rep_step_is_best(s) && isfinite(s->speedup.value) && !rep_step_is_beaten(s);
}

/* What the picture is about: one base (LayerNorm where it can be), row length, dtype and number of threads. */
struct training {
    const struct rep_step *like;
    const struct rep_step *norms[MAX_NORMS]; /* the first of each */
    size_t nnorms;
};

/* 4096 where measured, else the longest row; of these, what is of no sum. */
static bool shows_more(const struct rep_step *a, const struct rep_step *b)
{
    const bool la = rep_same(a->of->base_op, "layernorm"), lb = rep_same(b->of->base_op, "layernorm");
    const size_t ha = a->bwd->hidden, hb = b->bwd->hidden;
    if (la != lb)
        return la;
    if (ha == hb)
        return rep_same(a->bwd->fuse, "none") && !rep_same(b->bwd->fuse, "none");
    return hb != 4096 && (ha == 4096 || ha > hb);
}

static bool is_shown(const struct training *t, const struct rep_step *s)
{
    const struct rep_cell *c = rep_step_cell(s), *like = t->like->bwd;
    return rep_step_is_best(s) && rep_same(s->of->base_op, t->like->of->base_op) && c->hidden == like->hidden &&
           c->threads == like->threads && strcmp(c->type, like->type) == 0 && c->offset == like->offset;
}

/* Of a sum where others are of none, or the reverse: what a norm has that stands in no other cell, as deepnorm. */
static bool is_other_sum(const struct training *t, const struct rep_step *s)
{
    return !rep_same(rep_step_cell(s)->fuse, t->like->bwd->fuse);
}

/* The same norm, with the same prefix, groups, head or depth. */
static bool same_norm(const struct rep_step *a, const struct rep_step *b)
{
    return rep_same(a->of->test_op, b->of->test_op) && rep_same_k(rep_step_cell(a), rep_step_cell(b), a->of->test_op);
}

static struct training what_to_show(const struct rep_run *run)
{
    struct training t = {.like = NULL};
    for (size_t i = 0; i < run->nsteps; i++)
        if (has_both(&run->steps[i]) && (t.like == NULL || shows_more(&run->steps[i], t.like)))
            t.like = &run->steps[i];
    for (size_t i = 0; t.like != NULL && i < 2 * run->nsteps; i++) {
        const struct rep_step *s = &run->steps[i % run->nsteps];
        const bool other = i >= run->nsteps;
        size_t k = 0;
        while (k < t.nnorms && !same_norm(t.norms[k], s))
            k++;
        if (k == t.nnorms && k < MAX_NORMS && is_shown(&t, s) && is_other_sum(&t, s) == other && (!other || has_both(s)))
            t.norms[t.nnorms++] = s;
    }
    return t;
}

static const struct rep_step *find_step(const struct rep_run *run, const struct training *t, const char *residency,
                                        const struct rep_step *norm)
{
    for (size_t i = 0; i < run->nsteps; i++) {
        const struct rep_step *s = &run->steps[i];
        if (is_shown(t, s) && same_norm(s, norm) && is_other_sum(t, s) == is_other_sum(t, norm) &&
            rep_same(rep_step_cell(s)->residency, residency))
            return s;
    }
    return NULL;
}

/* Of forward, backward or both; NULL: it has none, or not of the best. */
static const struct rep_estimate *direction_of(const struct rep_step *s, int which)
{
    const struct rep_pairing *p = which == 0 ? s->fwd_pair : s->bwd_pair;
    if (which == 2)
        return has_both(s) ? &s->speedup : NULL;
    return rep_has_speedup(p) && !rep_is_beaten(p) ? &p->speedup : NULL;
}

static size_t training_series(struct picture *p, const struct training *t, const char *residency, int which)
{
    size_t points = 0;
    for (size_t k = 0; k < t->nnorms; k++) {
        const struct rep_step *s = find_step(p->run, t, residency, t->norms[k]);
        const struct rep_estimate *e = s != NULL ? direction_of(s, which) : NULL;
        if (e == NULL)
            continue;
        put_interval(p->out.dat, e);
        fprintf(p->out.dat, " %.3f\n", (double)(t->nnorms - k) + 0.27 * (1 - which));
        points++;
    }
    return points;
}

static void training_panel(struct picture *p, const struct training *t, const char *residency)
{
    if (!begin_panel(p, residency))
        return;
    for (int which = 0; which < DIRECTIONS; which++)
        end_series(p, which + 1, training_series(p, t, residency, which));
    end_panel(p);
}

static void define_training(struct picture *p, const struct training *t)
{
    const char *names[MAX_NORMS];
    bool sums = false;
    for (size_t k = 0; k < t->nnorms; k++) {
        const char *op = t->norms[k]->of->test_op;
        const bool sum = !rep_same(rep_step_cell(t->norms[k])->fuse, "none");
        char of[REP_K_TEXT], *name = rep_alloc(p->run, 96);
        rep_k_text(of, rep_step_cell(t->norms[k]), op, ", ");
        snprintf(name, 96, "%.24s%s%s", norm_title(op), of, sum ? " *" : "");
        names[k] = name;
        sums = sums || sum;
    }
    define_panels(p);
    fprintf(p->out.gp, "NY = %zu\n", t->nnorms);
    nb_gp_texts(&p->out, "NORM", names, t->nnorms);
    nb_gp_text(&p->out, "BASE", norm_title(t->like->of->base_op));
    fprintf(p->out.gp, "SUMS = %d\n", sums);
}

/* L2 and DRAM where these were measured, else what there is, at most two. */
static bool training_picture(struct picture *p)
{
    static const char *const usual[] = {"L2", "DRAM"};
    const struct training t = what_to_show(p->run);
    struct rep_keys places;
    char title[128], details[96];
    if (t.like == NULL)
        return false;
    rep_residencies(p->run, &places);
    fputs("# times as fast, its interval, height of the line\n", p->out.dat);
    for (size_t r = 0; r < 2; r++)
        training_panel(p, &t, usual[r]);
    for (size_t r = 0, none = p->npanels == 0; none && p->npanels < 2 && r < places.n; r++)
        training_panel(p, &t, places.text[r]);
    if (p->npanels == 0)
        return false;
    snprintf(title, sizeof(title), "How many times as fast as %.24s is each norm: forward, backward, and both?",
             norm_title(t.like->of->base_op));
    snprintf(details, sizeof(details), "%.30s, hidden %zu, %s, best against best", t.like->bwd->type,
             t.like->bwd->hidden, threads_text(p->run, t.like->bwd->threads));
    define_case_head(p, title, details, "");
    define_training(p, &t);
    return true;
}

/* ---- all of them ---- */

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
    case 4:
        return scaling_picture(p);
    case 5:
        return roofline_picture(p);
    case 6:
        return offset_picture(p);
    case 7:
        return versus_picture(p);
    case 8:
        return training_picture(p);
    default:
        return rows_picture(p);
    }
}

enum nb_status rep_plots(struct rep_run *run, const char *dir, struct rep_keys *pictures,
                         char note[256], struct nb_err *err)
{
    static const char *const names[][2] = {{"speedup_best", "speedup.gp"},
                                           {"speedup_same", "speedup.gp"},
                                           {"bandwidth", "bandwidth.gp"},
                                           {"algorithms", "algorithms.gp"},
                                           {"scaling", "scaling.gp"},
                                           {"roofline", "roofline.gp"},
                                           {"address_offset", "address_offset.gp"},
                                           {"versus", "versus.gp"},
                                           {"training", "training.gp"},
                                           {"rows", "rows.gp"}};
    char plots[4096];
    pictures->n = 0;
    note[0] = 0;
    enum nb_status status = nb_plots_folder(plots, dir, err);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && status == NB_OK; i++) {
        struct picture p = {.run = run};
        nb_picture_open(&p.out, names[i][0], names[i][1]);
        if (run->ncells > 0 && fill(&p, i)) {
            pictures->text[pictures->n++] = names[i][0];
            status = nb_picture_draw(&p.out, plots, note, err);
        } else {
            nb_picture_remove(plots, names[i][0]);
        }
        nb_picture_free(&p.out);
    }
    return status;
}
