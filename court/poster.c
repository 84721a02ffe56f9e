#include "poster.h"

#include "gnuplot.h"
#include "grammar.h"

#include <math.h>
#include <string.h>

/* What a line is of: a class of implementations, as the experiments name it, in the order of cleverness. */
static const struct {
    const char *class, *pairing, *says;
} CLASSES[] = {{"unfused", "unfused", "operation by operation"}, {"naive", "naive", "as the formula is written"},
               {"tuned", "best-of-each", "best against best"}};

static const struct {
    const char *experiment, *key, *value, *says;
} PANELS[] = {{"op_speed", "residency", "L2", "the norm alone, data in L2"},
              {"op_speed", "residency", "DRAM", "the norm alone, data in DRAM"},
              {"block_speed", "block", "transformer", "a whole transformer block"}};

enum { CLASS_COUNT = sizeof CLASSES / sizeof *CLASSES, PANEL_COUNT = sizeof PANELS / sizeof *PANELS, POINTS_MAX = 32, SIZES_MAX = 32 };

struct point {
    double hidden, saved, low, high; /* in per cent */
};
struct series {
    struct point v[POINTS_MAX];
    size_t n;
    double missing[POINTS_MAX]; /* sizes that some run could not observe */
    size_t missing_count;
};
struct poster {
    struct series of[PANEL_COUNT][CLASS_COUNT];
    double sizes[SIZES_MAX];
    size_t size_count;
    size_t least_n; /* processes of the point that has the fewest; 0: none */
};

static bool where_is(const struct nb_observation *o, const char *key, const char *want)
{
    char value[64];
    return nb_where_get(o->where, key, value, sizeof value) && strcmp(value, want) == 0;
}

/* The panel that an observation of an experiment belongs to; PANEL_COUNT: none. The plain case alone: f32, forward, one thread, the best
 * instruction set, one norm against the other. */
static size_t panel_of(const char *experiment, const struct nb_observation *o)
{
    const bool op = strcmp(experiment, "op_speed") == 0;
    for (size_t p = 0; p < PANEL_COUNT; p++)
        if (strcmp(experiment, PANELS[p].experiment) == 0 && where_is(o, "threads", "1") && where_is(o, PANELS[p].key, PANELS[p].value) &&
            (op ? where_is(o, "pair", "rmsnorm:layernorm") && where_is(o, "dtype", "f32") && where_is(o, "dir", "fwd") &&
                      where_is(o, "isa", "best")
                : where_is(o, "norm", "rmsnorm") && where_is(o, "ffn", "gelu") && where_is(o, "step", "forward")))
            return p;
    return PANEL_COUNT;
}

static size_t class_of(const struct nb_observation *o)
{
    size_t c = 0;
    while (c < CLASS_COUNT && !where_is(o, "class", CLASSES[c].class) && !where_is(o, "pairing", CLASSES[c].pairing))
        c++;
    return c;
}

static void add_size(struct poster *p, double hidden)
{
    size_t i = 0;
    while (i < p->size_count && p->sizes[i] < hidden)
        i++;
    if (p->size_count == SIZES_MAX || (i < p->size_count && p->sizes[i] == hidden))
        return;
    memmove(&p->sizes[i + 1], &p->sizes[i], (p->size_count - i) * sizeof *p->sizes);
    p->sizes[i] = hidden;
    p->size_count++;
}

/* Of a size the first run counts that saw it. */
static void add_point(struct poster *p, struct series *s, double size, const struct nb_observation *o)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].hidden == size)
            return;
    if (s->n == POINTS_MAX)
        return;
    s->v[s->n++] = (struct point){size, 100 * o->value, 100 * o->low, 100 * o->high};
    p->least_n = p->least_n == 0 || o->n < p->least_n ? o->n : p->least_n;
    add_size(p, size);
}

static void add_missing(struct series *s, double size)
{
    for (size_t i = 0; i < s->missing_count; i++)
        if (s->missing[i] == size)
            return;
    if (s->missing_count < POINTS_MAX)
        s->missing[s->missing_count++] = size;
}

static void add_observation(struct poster *p, const char *experiment, const struct nb_observation *o)
{
    char hidden[32];
    const size_t panel = panel_of(experiment, o), class = class_of(o);
    if (strcmp(o->quantity, "saved_time") != 0 || panel == PANEL_COUNT || class == CLASS_COUNT ||
        !(nb_where_get(o->where, "hidden", hidden, sizeof hidden) || nb_where_get(o->where, "d", hidden, sizeof hidden)))
        return;
    if (isnan(o->value))
        add_missing(&p->of[panel][class], strtod(hidden, NULL));
    else
        add_point(p, &p->of[panel][class], strtod(hidden, NULL), o);
}

/* Cells that no run observed. */
static size_t missing_of(const struct poster *p)
{
    size_t count = 0;
    for (size_t i = 0; i < PANEL_COUNT * CLASS_COUNT; i++) {
        const struct series *s = &p->of[i / CLASS_COUNT][i % CLASS_COUNT];
        for (size_t m = 0; m < s->missing_count; m++) {
            bool seen = false;
            for (size_t k = 0; k < s->n; k++)
                seen = seen || s->v[k].hidden == s->missing[m];
            count += !seen;
        }
    }
    return count;
}

static void subtitle_of(const struct poster *p, const char *cpu, char *text, size_t len)
{
    const size_t missing = missing_of(p);
    const int n = snprintf(text, len, "%.100s, f32, forward, 1 thread, %zu processes", cpu, p->least_n);
    if (missing > 0)
        snprintf(text + n, len - (size_t)n, "; %zu cell%s missing", missing, missing > 1 ? "s" : "");
}

static void gather(const struct nb_hearing *h, struct poster *p)
{
    for (size_t i = 0; i < h->run_count; i++)
        for (size_t j = 0; j < h->runs[i].observations.n; j++)
            add_observation(p, h->runs[i].experiment->name, &h->runs[i].observations.v[j]);
}

/* The series of a panel, one block of lines each. */
static size_t write_panel(const struct poster *p, size_t panel, struct nb_picture *to, int *series, size_t used, double *low, double *high)
{
    for (size_t c = 0; c < CLASS_COUNT; c++) {
        const struct series *s = &p->of[panel][c];
        for (size_t i = 0; i < s->n; i++) {
            const struct point *v = &s->v[i];
            fprintf(to->dat, "%g %.6g %.6g %.6g\n", v->hidden, v->saved, v->low, v->high);
            *low = fmin(*low, v->low);
            *high = fmax(*high, v->high);
        }
        if (s->n > 0) {
            fputs("\n\n", to->dat);
            series[used++] = (int)c + 1;
        }
    }
    return used;
}

/* The lengths that a panel has points at, with a space between two. */
static void write_sizes(const struct poster *p, size_t panel, char *text, size_t len)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < p->size_count; i++) {
        bool seen = false;
        for (size_t c = 0; c < CLASS_COUNT; c++)
            for (size_t j = 0; j < p->of[panel][c].n; j++)
                seen = seen || p->of[panel][c].v[j].hidden == p->sizes[i];
        if (seen && used < len)
            used += (size_t)snprintf(text + used, len - used, "%s%.0f", used > 0 ? " " : "", p->sizes[i]);
    }
}

/* Panels that have a line, and what the script is told of them. */
static void describe(const struct poster *p, struct nb_picture *to)
{
    const char *panels[PANEL_COUNT], *ticks[PANEL_COUNT];
    char text[PANEL_COUNT][SIZES_MAX * 12];
    int first[PANEL_COUNT], last[PANEL_COUNT], series[PANEL_COUNT * CLASS_COUNT];
    size_t n = 0, used = 0;
    double low = -5, high = 70;
    for (size_t i = 0; i < PANEL_COUNT; i++) {
        const size_t before = used;
        used = write_panel(p, i, to, series, used, &low, &high);
        if (used == before)
            continue;
        first[n] = (int)before + 1;
        last[n] = (int)used;
        write_sizes(p, i, text[n], sizeof text[n]);
        ticks[n] = text[n];
        panels[n++] = PANELS[i].says;
    }
    fprintf(to->gp, "NP = %zu\n", n);
    nb_gp_texts(to, "PANEL", panels, n);
    nb_gp_texts(to, "TICKS", ticks, n);
    nb_gp_ints(to, "FIRST", first, n);
    nb_gp_ints(to, "LAST", last, n);
    nb_gp_ints(to, "SERIES", series, used);
    fprintf(to->gp, "YMIN = %.0f\nYMAX = %.0f\n", 5 * floor(fmax(low, -100) / 5), fmin(5 * ceil(high / 5), 100));
}

static void describe_axes(const struct poster *p, struct nb_picture *to)
{
    const char *types[CLASS_COUNT];
    for (size_t c = 0; c < CLASS_COUNT; c++)
        types[c] = CLASSES[c].says;
    fprintf(to->gp, "NT = %d\nXMIN = %.0f\nXMAX = %.0f\n", CLASS_COUNT, p->sizes[0], p->sizes[p->size_count - 1]);
    nb_gp_texts(to, "TYPE", types, CLASS_COUNT);
}

enum nb_status nb_poster(const struct nb_hearing *h, const char *cpu, bool *drawn, char note[256], struct nb_err *err)
{
    struct poster p = {.size_count = 0};
    char plots[4096], subtitle[200];
    struct nb_picture picture;
    gather(h, &p);
    *drawn = p.size_count > 0;
    if (!*drawn || h->dir == NULL)
        return NB_OK;
    enum nb_status s = nb_plots_folder(plots, h->dir, err);
    if (s != NB_OK)
        return s;
    subtitle_of(&p, cpu, subtitle, sizeof subtitle);
    nb_picture_open(&picture, "claims_poster", "claims_poster.gp");
    nb_gp_text(&picture, "NAME", "claims_poster");
    nb_gp_text(&picture, "TITLE", "How much time does RMSNorm save in the place of LayerNorm?");
    nb_gp_text(&picture, "SUBTITLE", subtitle);
    describe(&p, &picture);
    describe_axes(&p, &picture);
    s = nb_picture_draw(&picture, plots, note, err);
    nb_picture_free(&picture);
    return s;
}
