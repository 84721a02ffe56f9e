/* The pictures of `normbench accuracy`, one of each kind a dtype: what each shows. */
#include "accuracy_report_data.h"
#include "gnuplot.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    PANELS = 2,
    POINTS = 64,
    SERIES = 64,
    STYLES = 8,
    ALGORITHMS = 32,
    WANTED_HIDDEN = 1024
};
static const double MOST_ERROR = 1e6; /* larger ones are drawn there */

struct picture {
    const struct acc *a;
    const struct acc_times *t;
    struct nb_picture out;
    size_t dtype;
};

static void head(struct picture *p, const char *title, const char *details)
{
    nb_gp_text(&p->out, "NAME", p->out.name);
    nb_gp_text(&p->out, "TITLE", title);
    nb_gp_text(&p->out, "SUBTITLE", details);
}

static void number(struct picture *p, const char *key, double v)
{
    fprintf(p->out.gp, "%s = %.6g\n", key, v);
}

/* An array has at least one element, used or not. */
static void numbers(struct picture *p, const char *key, const double *v, size_t n)
{
    fprintf(p->out.gp, "array %s[%zu] = [", key, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        fprintf(p->out.gp, "%s%.6g", i ? ", " : "", v[i]);
    fputs(n ? "]\n" : "0]\n", p->out.gp);
}

static void texts(struct picture *p, const char *key, const char *const *v, size_t n)
{
    static const char *const none[] = {""};
    nb_gp_texts(&p->out, key, n ? v : none, n ? n : 1);
}

static void ints(struct picture *p, const char *key, const int *v, size_t n)
{
    static const int none[] = {0};
    nb_gp_ints(&p->out, key, n ? v : none, n ? n : 1);
}

/* A colour and a shape an algorithm, the same in all pictures: 1..8, then 9..16 for the
 * same colours with broken lines. */
static int style_of(const struct acc *a, size_t algorithm)
{
    static const char *const known[STYLES] = {"twopass",         "onepass", "welford",
                                              "onepass_shifted", "unfused", "naive",
                                              "f64acc",          "scaled"};
    int others = 0;
    for (size_t i = 0; i <= algorithm; i++) {
        bool seen = false, own = false;
        for (int k = 0; k < STYLES; k++) {
            own = own || strcmp(a->algorithms[i].algo, known[k]) == 0;
            if (i == algorithm && strcmp(a->algorithms[i].algo, known[k]) == 0)
                return k + 1;
        }
        for (size_t j = 0; j < i; j++)
            seen = seen || strcmp(a->algorithms[i].algo, a->algorithms[j].algo) == 0;
        others += !own && !seen;
    }
    return STYLES + 1 + (others - 1) % STYLES;
}

/* The algorithms that a picture shows, for its legend. */
struct legend {
    const char *names[ALGORITHMS];
    int styles[ALGORITHMS];
    size_t n;
};

static void add_to_legend(struct legend *l, const struct acc *a, size_t algorithm)
{
    const char *name = a->algorithms[algorithm].algo;
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->names[i], name) == 0)
            return;
    if (l->n == ALGORITHMS)
        return;
    l->names[l->n] = name;
    l->styles[l->n++] = style_of(a, algorithm);
}

static void define_legend(struct picture *p, const struct legend *l)
{
    number(p, "NL", (double)l->n);
    texts(p, "LINE", l->names, l->n);
    ints(p, "LSTYLE", l->styles, l->n);
}

/* ---- conditioning ---- */

struct point {
    double x, y;
    bool top, broken; /* top: NaN or Inf */
};

struct series {
    size_t kernel;
    int style;
    struct point points[POINTS];
    size_t n;
};

struct label {
    double x, y;      /* y 0: at the top */
    int panel, style; /* style 0: several algorithms break here */
};

struct conditioning {
    struct picture *p;
    size_t hidden;
    struct legend legend;
    const char *panels[PANELS];
    int first[PANELS], last[PANELS], npanels;
    int styles[SERIES];
    double bx[SERIES],
        by[SERIES]; /* where a series breaks; bx 0: nowhere, by 0: at the top */
    int nseries;
    double xmax, least, most;
    struct label labels[SERIES]; /* one for each x at which something breaks */
    size_t nlabels;
    char ptext[PANELS][120];
};

static int by_x(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    return (p->x > q->x) - (p->x < q->x);
}

static void collect_points(const struct acc *a, size_t hidden, struct series *s)
{
    s->n = 0;
    for (size_t i = 0; i < a->ncases && s->n < POINTS; i++) {
        const struct acc_case *c = &a->cases[i];
        if (c->kernel != s->kernel || c->hidden != hidden ||
            a->families[c->family].class != ACC_SWEEP || !acc_was_judged(c))
            continue;
        double x = acc_conditioning(a, c);
        if (isfinite(x))
            s->points[s->n++] = (struct point){fmax(x, 1), fmin(c->normwise, MOST_ERROR),
                                               acc_is_nonfinite(c), acc_is_broken(c)};
    }
    qsort(s->points, s->n, sizeof(*s->points), by_x);
}

/* Of several that break at one x the lowest point carries the line to the label. */
static void add_label(struct conditioning *c, double x, double y, int style)
{
    struct label *k = c->labels, *end = c->labels + c->nlabels;
    while (k < end && (k->panel != c->npanels + 1 || k->x != x))
        k++;
    if (k == end) {
        *k = (struct label){x, y, c->npanels + 1, style};
        c->nlabels++;
        return;
    }
    k->style = k->style == style ? style : 0;
    k->y = y == 0 ? k->y : k->y == 0 ? y : fmin(y, k->y);
}

static void write_series(struct conditioning *c, const struct series *s)
{
    double bx = 0, by = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct point *q = &s->points[i];
        if (q->top)
            fprintf(c->p->out.dat, "%.6g NaN 1\n", q->x);
        else
            fprintf(c->p->out.dat, "%.6g %.6g 0\n", q->x, q->y);
        c->xmax = fmax(c->xmax, q->x);
        if (!q->top && q->y > 0) {
            c->least = fmin(c->least, q->y);
            c->most = fmax(c->most, q->y);
        }
        if (q->broken && bx == 0) {
            bx = q->x;
            by = q->top ? 0 : q->y;
        }
    }
    fputs("\n\n", c->p->out.dat);
    if (bx > 0)
        add_label(c, bx, by, s->style);
    c->bx[c->nseries] = bx;
    c->by[c->nseries] = by;
    c->styles[c->nseries++] = s->style;
}

static int by_place(const void *a, const void *b)
{
    const struct label *p = a, *q = b;
    return p->panel != q->panel ? p->panel - q->panel : (p->x > q->x) - (p->x < q->x);
}

static void define_labels(struct conditioning *c)
{
    double x[SERIES], y[SERIES];
    int panel[SERIES], style[SERIES];
    char words[SERIES][40], k[16];
    const char *text[SERIES];
    size_t n = c->nlabels;
    qsort(c->labels, n, sizeof(*c->labels), by_place);
    for (size_t i = 0; i < n; i++) {
        const struct label *l = &c->labels[i];
        x[i] = l->x;
        y[i] = l->y;
        panel[i] = l->panel;
        style[i] = l->style;
        snprintf(words[i], sizeof(words[i]), "breaks at %s", acc_short(k, l->x));
        text[i] = words[i];
    }
    number(c->p, "NK", (double)n);
    ints(c->p, "KP", panel, n);
    numbers(c->p, "KX", x, n);
    numbers(c->p, "KY", y, n);
    ints(c->p, "KSTYLE", style, n);
    texts(c->p, "KTEXT", text, n);
}

/* In plain C the three that the textbooks compare; others where there are none of them.
 */
static bool is_textbook(const char *algo)
{
    return strcmp(algo, "twopass") == 0 || strcmp(algo, "onepass") == 0 ||
           strcmp(algo, "welford") == 0;
}

/* What the series of a panel have in common. */
static void panel_title(struct conditioning *c, bool scalar, const char *isa, bool mixed)
{
    char *text = c->ptext[c->npanels];
    if (scalar)
        snprintf(text, sizeof(c->ptext[0]), "plain C (scalar)");
    else
        snprintf(text, sizeof(c->ptext[0]), "the strongest ISA (%.40s%s)", isa,
                 mixed ? ", ..." : "");
    c->panels[c->npanels] = text;
}

static void conditioning_panel(struct conditioning *c, bool scalar)
{
    const struct acc *a = c->p->a;
    const char *isa = NULL;
    bool mixed = false;
    c->first[c->npanels] = c->nseries + 1;
    for (size_t g = 0; g < a->nalgorithms && c->nseries < SERIES; g++) {
        struct series s = {.kernel = acc_best(a, g, c->p->dtype, scalar),
                           .style = style_of(a, g)};
        if (strcmp(a->algorithms[g].op, "layernorm") != 0 || s.kernel == SIZE_MAX ||
            (scalar && !is_textbook(a->algorithms[g].algo)))
            continue;
        collect_points(a, c->hidden, &s);
        if (s.n == 0)
            continue;
        write_series(c, &s);
        add_to_legend(&c->legend, a, g);
        mixed = mixed || (isa != NULL && strcmp(isa, a->kernels[s.kernel].isa) != 0);
        isa = a->kernels[s.kernel].isa;
    }
    c->last[c->npanels] = c->nseries;
    if (c->nseries < c->first[c->npanels])
        return;
    panel_title(c, scalar, isa, mixed);
    c->npanels++;
}

static void define_conditioning(struct conditioning *c)
{
    struct picture *p = c->p;
    size_t np = (size_t)c->npanels, ns = (size_t)c->nseries;
    number(p, "NP", c->npanels);
    texts(p, "PANEL", c->panels, np);
    ints(p, "FIRST", c->first, np);
    ints(p, "LAST", c->last, np);
    ints(p, "STYLE", c->styles, ns);
    numbers(p, "BX", c->bx, ns);
    numbers(p, "BY", c->by, ns);
    define_labels(c);
    define_legend(p, &c->legend);
    number(p, "U", strcmp(acc_dtype[p->dtype], "f64") == 0 ? exp2(-53) : exp2(-24));
    number(p, "XMAX", pow(10, fmin(fmax(ceil(log10(c->xmax)), 2), 16)));
    number(p, "YMIN", pow(10, fmax(floor(log10(c->least)), -20)));
    number(p, "YDATA", pow(10, fmax(ceil(log10(c->most)), 0)));
}

static bool conditioning_picture(struct picture *p)
{
    struct conditioning *c = calloc(1, sizeof(*c));
    char details[120];
    NB_ASSERT(c != NULL && "out of memory");
    *c = (struct conditioning){.p = p, .xmax = 1, .least = 0.1, .most = 1};
    c->hidden = acc_hidden(p->a, p->dtype, ACC_SWEEP, WANTED_HIDDEN);
    fputs("# conditioning, largest error over largest output, 1: NaN or Inf\n",
          p->out.dat);
    conditioning_panel(c, false);
    conditioning_panel(c, true);
    bool any = c->npanels > 0;
    snprintf(details, sizeof(details), "%s, rows a + N(0,1) of %zu elements, a growing",
             acc_dtype[p->dtype], c->hidden);
    head(p, "LayerNorm on data whose mean outgrows its spread", details);
    if (any)
        define_conditioning(c);
    free(c);
    return any;
}

/* ---- heat map ---- */

enum { COLS = 512, ROWS = 128, MAPS = 16, MAP_COLS = 44 };

struct cell {
    double E;
    bool judged, unstable, overflow, failed;
};

struct heatmap {
    struct picture *p;
    size_t kernels[ROWS], families[COLS]; /* of rows and columns */
    size_t nrows, ncols;
    size_t from[MAPS + 1]; /* first column of each map, and the end */
    size_t nmaps;
    struct cell *cells; /* [nrows][ncols] */
    double most;
    char names[ROWS][64];
};

static void add_row(struct heatmap *h, size_t kernel)
{
    if (kernel == SIZE_MAX || h->nrows == ROWS)
        return;
    const struct acc_kernel *k = &h->p->a->kernels[kernel];
    snprintf(h->names[h->nrows], sizeof(h->names[0]), "%.20s %.20s", k->algo, k->isa);
    h->kernels[h->nrows++] = kernel;
}

/* Norms first; of each algorithm the strongest ISA, then plain C. */
static void heatmap_rows(struct heatmap *h)
{
    const struct acc *a = h->p->a;
    for (int norm = 1; norm >= 0; norm--)
        for (size_t g = 0; g < a->nalgorithms; g++)
            for (int scalar = 0; acc_is_norm(a->algorithms[g].op) == norm && scalar < 2;
                 scalar++)
                add_row(h, acc_best(a, g, h->p->dtype, scalar));
}

/* Families with a case of this dtype, class by class. */
static void heatmap_columns(struct heatmap *h)
{
    const struct acc *a = h->p->a;
    bool *present = calloc(a->nfamilies, sizeof(*present));
    NB_ASSERT(present != NULL && "out of memory");
    for (size_t i = 0; i < a->ncases; i++)
        if (a->kernels[a->cases[i].kernel].dtype == h->p->dtype)
            present[a->cases[i].family] = true;
    for (int class = 0; class < ACC_CLASSES; class ++)
        for (size_t i = 0; i < a->nfamilies && h->ncols < COLS; i++)
            if (present[i] && (int)a->families[i].class == class)
                h->families[h->ncols++] = i;
    free(present);
}

static bool is_border(const struct heatmap *h, size_t col)
{
    const struct acc_family *f = h->p->a->families;
    return f[h->families[col]].class != f[h->families[col - 1]].class;
}

/* Maps one below the other of about the same width, divided between classes where that
 * leaves none much wider. */
static void divide_columns(struct heatmap *h)
{
    size_t n = (h->ncols + MAP_COLS - 1) / MAP_COLS;
    h->nmaps = n > MAPS ? MAPS : n;
    for (size_t m = 1; m < h->nmaps; m++) {
        size_t even = m * h->ncols / h->nmaps, slack = MAP_COLS / 5, best = even;
        for (size_t away = slack + 1; away-- > 0;) {
            if (even > away && is_border(h, even - away))
                best = even - away;
            if (even + away < h->ncols && is_border(h, even + away))
                best = even + away;
        }
        h->from[m] = best > h->from[m - 1] ? best : h->from[m - 1] + 1;
    }
    h->from[h->nmaps] = h->ncols;
}

static void take_cell(struct cell *cell, const struct acc_case *c, double *most)
{
    cell->failed = cell->failed || acc_is_fail(c->verdict);
    cell->unstable = cell->unstable || c->unstable > 0;
    cell->overflow = cell->overflow || c->overflow > 0;
    if (isnan(c->E_max))
        return;
    cell->E = cell->judged ? fmax(cell->E, c->E_max) : c->E_max;
    cell->judged = true;
    if (isfinite(c->E_max) && !cell->failed)
        *most = fmax(*most, c->E_max);
}

/* The worst over hiddens. */
static void fill_cells(struct heatmap *h)
{
    const struct acc *a = h->p->a;
    size_t *row = malloc(a->nkernels * sizeof(*row));
    size_t *col = malloc(a->nfamilies * sizeof(*col));
    h->cells = calloc(h->nrows * h->ncols, sizeof(*h->cells));
    NB_ASSERT(row != NULL && col != NULL && h->cells != NULL && "out of memory");
    memset(row, 0xFF, a->nkernels * sizeof(*row));
    memset(col, 0xFF, a->nfamilies * sizeof(*col));
    for (size_t i = 0; i < h->nrows; i++)
        row[h->kernels[i]] = i;
    for (size_t i = 0; i < h->ncols; i++)
        col[h->families[i]] = i;
    for (size_t i = 0; i < a->ncases; i++) {
        const struct acc_case *c = &a->cases[i];
        if (row[c->kernel] != SIZE_MAX && col[c->family] != SIZE_MAX)
            take_cell(&h->cells[row[c->kernel] * h->ncols + col[c->family]], c, &h->most);
    }
    free(row);
    free(col);
}

enum kind { KIND_ERROR, KIND_HAZARD, KIND_FAIL, KIND_NOTHING };

static void write_cell(const struct heatmap *h, const struct cell *c, size_t col,
                       size_t row)
{
    double depth = fmax(0, log2(fmax(c->E, 1)));
    bool hazard = c->unstable || c->overflow;
    const char *letter = ".";
    enum kind kind = c->failed   ? KIND_FAIL
                     : c->judged ? KIND_ERROR
                     : hazard    ? KIND_HAZARD
                                 : KIND_NOTHING;
    if (kind == KIND_FAIL)
        letter = "F";
    else if (kind == KIND_HAZARD)
        letter = c->unstable ? "U" : "O";
    else if (kind == KIND_NOTHING)
        letter = "-";
    else if (hazard)
        letter = c->unstable ? "u" : "o";
    fprintf(h->p->out.dat, "%zu %zu %.4g %d %s\n", col, row, fmin(depth, 60), kind,
            letter);
}

static void write_map(const struct heatmap *h, size_t map)
{
    fputs("0 0 0 -1 .\n", h->p->out.dat); /* no map is without a line */
    for (size_t r = 0; r < h->nrows; r++)
        for (size_t c = h->from[map]; c < h->from[map + 1]; c++)
            write_cell(h, &h->cells[r * h->ncols + c], c - h->from[map] + 1, r + 1);
    fputs("\n\n", h->p->out.dat);
}

/* Neighbours of one kind, as one label: of classes above columns, of ops beside rows. */
struct groups {
    const char *names[COLS];
    int map[COLS], from[COLS], to[COLS];
    size_t n;
};

static void add_to_group(struct groups *g, const char *name, int map, int place)
{
    bool same = g->n > 0 && g->map[g->n - 1] == map && g->to[g->n - 1] == place - 1 &&
                strcmp(g->names[g->n - 1], name) == 0;
    if (same) {
        g->to[g->n - 1] = place;
        return;
    }
    g->names[g->n] = name;
    g->map[g->n] = map;
    g->from[g->n] = g->to[g->n] = place;
    g->n++;
}

static void define_groups(struct picture *p, const char *prefix, const struct groups *g)
{
    char key[32];
    snprintf(key, sizeof(key), "N%s", prefix);
    number(p, key, (double)g->n);
    snprintf(key, sizeof(key), "%sNAME", prefix);
    texts(p, key, g->names, g->n);
    snprintf(key, sizeof(key), "%sMAP", prefix);
    ints(p, key, g->map, g->n);
    snprintf(key, sizeof(key), "%sFROM", prefix);
    ints(p, key, g->from, g->n);
    snprintf(key, sizeof(key), "%sTO", prefix);
    ints(p, key, g->to, g->n);
}

static struct groups *new_groups(void)
{
    struct groups *g = calloc(1, sizeof(*g));
    NB_ASSERT(g != NULL && "out of memory");
    return g;
}

static void define_columns(struct heatmap *h)
{
    const struct acc_family *f = h->p->a->families;
    struct groups *classes = new_groups();
    const char *cols[COLS];
    char names[COLS][28];
    size_t longest = 0, map = 0;
    int from[MAPS + 1];
    for (size_t i = 0; i <= h->nmaps; i++)
        from[i] = (int)h->from[i];
    for (size_t c = 0; c < h->ncols; c++) {
        map += c == h->from[map + 1];
        add_to_group(classes, acc_class_name[f[h->families[c]].class], (int)map + 1,
                     (int)(c - h->from[map]) + 1);
        snprintf(names[c], sizeof(names[c]), "%s", f[h->families[c]].name);
        cols[c] = names[c];
        longest = strlen(cols[c]) > longest ? strlen(cols[c]) : longest;
    }
    number(h->p, "NM", (double)h->nmaps);
    ints(h->p, "FROM", from, h->nmaps + 1);
    texts(h->p, "COL", cols, h->ncols);
    number(h->p, "LONGEST", (double)longest);
    define_groups(h->p, "CLASS", classes);
    free(classes);
}

static void define_rows(struct heatmap *h)
{
    struct groups *ops = new_groups();
    const char *rows[ROWS];
    for (size_t r = 0; r < h->nrows; r++) {
        rows[r] = h->names[r];
        add_to_group(ops, h->p->a->kernels[h->kernels[r]].op, 1, (int)r + 1);
    }
    number(h->p, "NR", (double)h->nrows);
    texts(h->p, "ROW", rows, h->nrows);
    define_groups(h->p, "OP", ops);
    free(ops);
}

static bool heatmap_picture(struct picture *p)
{
    struct heatmap *h = calloc(1, sizeof(*h));
    char details[120];
    NB_ASSERT(h != NULL && "out of memory");
    h->p = p;
    h->most = 1;
    heatmap_rows(h);
    heatmap_columns(h);
    bool any = h->nrows > 0 && h->ncols > 0;
    fputs("# column, row, log2 of the error, 0 error 1 hazard 2 fail, letter\n",
          p->out.dat);
    snprintf(details, sizeof(details),
             "%s, the worst over hiddens; strongest ISA and plain C",
             acc_dtype[p->dtype]);
    head(p, "What breaks where: every algorithm on every family of data", details);
    if (any) {
        divide_columns(h);
        fill_cells(h);
        for (size_t m = 0; m < h->nmaps; m++)
            write_map(h, m);
        define_columns(h);
        define_rows(h);
        number(p, "CMAX", fmin(fmax(ceil(log2(h->most)), 4), 16));
    }
    free(h->cells);
    free(h);
    return any;
}

/* ---- time against accuracy ---- */

enum { FRONT = 12 };

struct dot {
    size_t kernel;
    double ns, E;
};

struct pareto {
    struct picture *p;
    struct legend legend;
    const char *panels[PANELS], *fronts[PANELS * FRONT];
    char texts[PANELS * FRONT][100];
    double fx[PANELS * FRONT], fy[PANELS * FRONT];
    int count[PANELS], npanels;
    size_t nfront;
    double xmin, xmax, ymin, ymax;
    struct dot *dots; /* [nkernels], those of one op */
    double *E;        /* [nkernels]: worst on random data */
};

static int by_time(const void *a, const void *b)
{
    const struct dot *p = a, *q = b;
    if (p->ns != q->ns)
        return p->ns > q->ns ? 1 : -1;
    return (p->E > q->E) - (p->E < q->E);
}

/* The error of each kernel on random data at the hidden nearest to that of the times. */
static void random_errors(struct pareto *w, size_t hidden)
{
    const struct acc *a = w->p->a;
    for (size_t i = 0; i < a->nkernels; i++)
        w->E[i] = NAN;
    for (size_t i = 0; i < a->ncases; i++) {
        const struct acc_case *c = &a->cases[i];
        if (c->hidden == hidden && acc_is_common(a, c))
            w->E[c->kernel] = fmax(w->E[c->kernel], c->E_max);
    }
}

/* Sorted by time. An error of 0 has no place on a logarithmic axis. */
static size_t collect_dots(struct pareto *w, const char *op)
{
    const struct acc *a = w->p->a;
    size_t n = 0;
    for (size_t i = 0; i < a->nkernels; i++) {
        const struct acc_kernel *k = &a->kernels[i];
        if (k->dtype != w->p->dtype || strcmp(k->op, op) != 0 ||
            !isfinite(w->p->t->ns[i]) || !isfinite(w->E[i]))
            continue;
        w->dots[n++] = (struct dot){i, w->p->t->ns[i], fmax(w->E[i], 1e-3)};
        add_to_legend(&w->legend, a, k->algorithm);
    }
    qsort(w->dots, n, sizeof(*w->dots), by_time);
    return n;
}

static void write_dots(struct pareto *w, size_t n)
{
    const struct acc *a = w->p->a;
    for (size_t i = 0; i < n; i++) {
        const struct dot *d = &w->dots[i];
        size_t g = a->kernels[d->kernel].algorithm;
        fprintf(w->p->out.dat, "%.6g %.6g %d\n", d->ns, d->E, style_of(a, g));
        w->xmin = fmin(w->xmin, d->ns);
        w->xmax = fmax(w->xmax, d->ns);
        w->ymin = fmin(w->ymin, d->E);
        w->ymax = fmax(w->ymax, d->E);
    }
    fputs("\n\n", w->p->out.dat);
}

static void name_front(struct pareto *w, const struct dot *d, size_t place)
{
    const struct acc_kernel *k = &w->p->a->kernels[d->kernel];
    bool trick = strcmp(k->trick, "none") != 0;
    size_t i = w->nfront++;
    snprintf(w->texts[i], sizeof(w->texts[i]), "%zu  %.20s %.16s%s%.14s: %.3g ns, E %.3g",
             place, k->algo, k->isa, trick ? " " : "", trick ? k->trick : "", d->ns,
             d->E);
    w->fronts[i] = w->texts[i];
    w->fx[i] = d->ns;
    w->fy[i] = d->E;
}

/* Those that no other kernel beats in both. An error that is lower by less than 1 % is no
 * gain. The list ends at FRONT. */
static void write_front(struct pareto *w, size_t n)
{
    double least = INFINITY;
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct dot *d = &w->dots[i];
        if (!(d->E < 0.99 * least))
            continue;
        least = d->E;
        fprintf(w->p->out.dat, "%.6g %.6g\n", d->ns, d->E);
        if (count < FRONT)
            name_front(w, d, (size_t)++count);
    }
    fputs("\n\n", w->p->out.dat);
    w->count[w->npanels++] = count;
}

static void define_pareto(struct pareto *w)
{
    struct picture *p = w->p;
    number(p, "NP", w->npanels);
    texts(p, "PANEL", w->panels, (size_t)w->npanels);
    ints(p, "COUNT", w->count, (size_t)w->npanels);
    texts(p, "FRONT", w->fronts, w->nfront);
    numbers(p, "FX", w->fx, w->nfront);
    numbers(p, "FY", w->fy, w->nfront);
    number(p, "XMIN", w->xmin / 1.4);
    number(p, "XMAX", w->xmax * 1.4);
    number(p, "YMIN", w->ymin / 1.6);
    number(p, "YMAX", w->ymax * 1.6);
    define_legend(p, &w->legend);
}

static void pareto_details(struct picture *p, size_t hidden)
{
    char details[160];
    size_t timed = p->t->hidden[p->dtype];
    int n = snprintf(details, sizeof(details),
                     "%s, hidden %zu, data in L2, 1 thread; error: worst on easy random data",
                     acc_dtype[p->dtype], timed);
    if (hidden != timed)
        snprintf(details + n, sizeof(details) - (size_t)n, " of hidden %zu", hidden);
    head(p, "Time against accuracy", details);
}

static bool pareto_picture(struct picture *p)
{
    static const char *const ops[PANELS] = {"layernorm", "rmsnorm"};
    static const char *const names[PANELS] = {"LayerNorm", "RMSNorm"};
    const struct acc *a = p->a;
    size_t timed = p->t->hidden[p->dtype], hidden;
    if (p->t->reason[0] != 0 || timed == 0)
        return false;
    hidden = acc_hidden(a, p->dtype, ACC_RANDOM, timed);
    struct pareto *w = calloc(1, sizeof(*w));
    NB_ASSERT(w != NULL && "out of memory");
    *w = (struct pareto){.p = p,
                         .xmin = INFINITY,
                         .ymin = INFINITY,
                         .dots = calloc(a->nkernels, sizeof(*w->dots)),
                         .E = calloc(a->nkernels, sizeof(*w->E))};
    NB_ASSERT(w->dots != NULL && w->E != NULL && "out of memory");
    random_errors(w, hidden);
    fputs("# an op: ns an element, error, style of the algorithm; then its front\n",
          p->out.dat);
    for (int i = 0; i < PANELS; i++) {
        size_t n = collect_dots(w, ops[i]);
        if (n == 0)
            continue;
        w->panels[w->npanels] = names[i];
        write_dots(w, n);
        write_front(w, n);
    }
    bool any = w->npanels > 0;
    pareto_details(p, hidden);
    if (any)
        define_pareto(w);
    free(w->dots);
    free(w->E);
    free(w);
    return any;
}

/* ---- errors in last places ---- */

struct ulp {
    struct picture *p;
    struct legend legend;
    const char *panels[PANELS];
    int first[PANELS], last[PANELS], npanels, styles[SERIES], nseries, bins;
    double least;
};

static double collect_hist(const struct acc *a, size_t kernel, double counts[ACC_HIST])
{
    double sum = 0;
    memset(counts, 0, ACC_HIST * sizeof(*counts));
    for (size_t i = 0; i < a->ncases; i++)
        if (a->cases[i].kernel == kernel && acc_is_common(a, &a->cases[i]))
            acc_add_hist(&a->cases[i], counts);
    for (int i = 0; i < ACC_HIST; i++)
        sum += counts[i];
    return sum;
}

/* The outline of the bins up to the last that is not empty. Bin i (from 0) reaches from i
 * to i + 1. */
static bool write_hist(struct ulp *w, size_t kernel)
{
    double counts[ACC_HIST], sum = collect_hist(w->p->a, kernel, counts);
    int last = ACC_HIST;
    while (last > 0 && counts[last - 1] == 0)
        last--;
    if (last == 0)
        return false;
    fputs("0 0\n", w->p->out.dat);
    for (int i = 0; i < last; i++) {
        double share = counts[i] / sum;
        fprintf(w->p->out.dat, "%d %.6g\n%d %.6g\n", i, share, i + 1, share);
        if (share > 0)
            w->least = fmin(w->least, share);
    }
    fprintf(w->p->out.dat, "%d 0\n\n\n", last);
    w->bins = last > w->bins ? last : w->bins;
    return true;
}

static void ulp_panel(struct ulp *w, const char *op, const char *name)
{
    const struct acc *a = w->p->a;
    w->first[w->npanels] = w->nseries + 1;
    for (size_t g = 0; g < a->nalgorithms && w->nseries < SERIES; g++) {
        size_t kernel = acc_best(a, g, w->p->dtype, false);
        if (kernel == SIZE_MAX)
            kernel = acc_best(a, g, w->p->dtype, true);
        if (strcmp(a->algorithms[g].op, op) != 0 || kernel == SIZE_MAX ||
            !write_hist(w, kernel))
            continue;
        add_to_legend(&w->legend, a, g);
        w->styles[w->nseries++] = style_of(a, g);
    }
    w->last[w->npanels] = w->nseries;
    w->panels[w->npanels] = name;
    w->npanels += w->nseries >= w->first[w->npanels];
}

static bool ulp_picture(struct picture *p)
{
    struct ulp w = {.p = p, .least = 0.01, .bins = 6};
    char details[120];
    fputs("# edge of a bin, share of the elements in it\n", p->out.dat);
    ulp_panel(&w, "layernorm", "LayerNorm");
    ulp_panel(&w, "rmsnorm", "RMSNorm");
    if (w.npanels == 0)
        return false;
    snprintf(details, sizeof(details),
             "%s, easy random data (inside the bound of every algorithm), all hiddens, strongest ISA of each",
             acc_dtype[p->dtype]);
    head(p, "How far off the elements of the output are", details);
    number(p, "NP", w.npanels);
    texts(p, "PANEL", w.panels, (size_t)w.npanels);
    ints(p, "FIRST", w.first, (size_t)w.npanels);
    ints(p, "LAST", w.last, (size_t)w.npanels);
    ints(p, "STYLE", w.styles, (size_t)w.nseries);
    number(p, "NB", w.bins);
    number(p, "OPEN", ACC_HIST);
    number(p, "YMIN", pow(10, floor(log10(w.least))));
    define_legend(p, &w.legend);
    return true;
}

/* ---- all of them ---- */

enum { KINDS = 4, HEATMAP = 0, CONDITIONING, PARETO, ULP };

static const char *const names[KINDS][ACC_DTYPES] = {
    {"heatmap-f32", "heatmap-f64", "heatmap-f16", "heatmap-bf16"},
    {"conditioning-f32", "conditioning-f64", "conditioning-f16", "conditioning-bf16"},
    {"pareto-f32", "pareto-f64", "pareto-f16", "pareto-bf16"},
    {"ulp-f32", "ulp-f64", "ulp-f16", "ulp-bf16"}};
static const char *const scripts[KINDS] = {"accuracy_heatmap.gp",
                                           "accuracy_conditioning.gp",
                                           "accuracy_pareto.gp", "accuracy_ulp.gp"};

static bool fill(struct picture *p, int kind)
{
    if (!acc_has_dtype(p->a, p->dtype))
        return false;
    switch (kind) {
    case HEATMAP:
        return heatmap_picture(p);
    case CONDITIONING:
        return conditioning_picture(p);
    case PARETO:
        return pareto_picture(p);
    default:
        return ulp_picture(p);
    }
}

/* Which pictures lack times, and why. */
static void note_times(const struct acc *a, const struct acc_times *t,
                       struct acc_notes *notes, const bool drawn[ACC_DTYPES])
{
    char *text = notes->text[ACC_NOTE_TIMES], list[64] = "";
    size_t room = sizeof(notes->text[ACC_NOTE_TIMES]), n = 0;
    for (size_t d = 0; d < ACC_DTYPES; d++)
        if (acc_has_dtype(a, d) && !drawn[d])
            n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "",
                                  acc_dtype[d]);
    if (n > 0)
        snprintf(text, room, "pareto not drawn for %s: %s", list,
                 t->reason[0] ? t->reason
                              : "the run has no time of theirs in L2 on one thread");
}

static enum nb_status plot(const struct acc *a, const struct acc_times *t, int kind,
                           size_t dtype, const char *plots, struct acc_notes *notes,
                           bool *drawn, struct nb_err *err)
{
    struct picture p = {.a = a, .t = t, .dtype = dtype};
    char note[256] = "";
    enum nb_status status = NB_OK;
    nb_picture_open(&p.out, names[kind][dtype], scripts[kind]);
    *drawn = fill(&p, kind);
    if (*drawn) {
        notes->pictures[notes->npictures++] = names[kind][dtype];
        status = nb_picture_draw(&p.out, plots, note, err);
    } else {
        nb_picture_remove(plots, names[kind][dtype]);
    }
    if (note[0] != 0)
        snprintf(notes->text[ACC_NOTE_GNUPLOT], sizeof(notes->text[0]), "%s", note);
    nb_picture_free(&p.out);
    return status;
}

enum nb_status acc_plots(const struct acc *a, const struct acc_times *t, const char *dir,
                         struct acc_notes *notes, struct nb_err *err)
{
    char plots[4096];
    bool drawn[KINDS][ACC_DTYPES];
    enum nb_status status = nb_plots_folder(plots, dir, err);
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t d = 0; d < ACC_DTYPES && status == NB_OK; d++)
            status = plot(a, t, kind, d, plots, notes, &drawn[kind][d], err);
    if (status == NB_OK)
        note_times(a, t, notes, drawn[PARETO]);
    return status;
}
