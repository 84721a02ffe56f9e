/* run_sections.c: a run below its verdict. What report.md says in words and small tables
 * is taken from its writers. */
#include "chart.h"
#include "page_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- speedup over hidden ---- */

/* A panel: one place of the data and one number of threads. */
struct panel {
    const char *place;
    size_t threads;
    struct nb_mark *marks;
    size_t n;
};

enum { PANELS_MOST = 24 };

/* Of several numbers of threads the first and the last. */
static size_t shown_threads(const struct rep_run *run, size_t threads[2])
{
    const size_t n = run->threads.n;
    threads[0] = n > 0 ? run->threads.value[0] : 1;
    threads[1] = n > 1 ? run->threads.value[n - 1] : 0;
    return n > 1 ? 2 : 1;
}

static void fill(const struct rep_run *run, const struct rep_keys *types,
                 struct panel *panel)
{
    panel->marks = calloc(types->n * run->hiddens.n + 1, sizeof *panel->marks);
    NB_ASSERT(panel->marks != NULL && "out of memory");
    for (size_t t = 0; t < types->n; t++)
        for (size_t h = 0; h < run->hiddens.n; h++) {
            const struct rep_cell *c = rep_find(run, panel->place, types->text[t],
                                                run->hiddens.value[h], panel->threads);
            if (c == NULL || !rep_has_speedup(c->best) || rep_is_beaten(c->best))
                continue;
            const struct rep_estimate *e = &c->best->speedup;
            panel->marks[panel->n++] =
                (struct nb_mark){(double)c->hidden, e->value, e->lo, e->hi, t};
        }
}

static size_t find_panels(const struct rep_run *run, const struct rep_keys *types,
                          struct panel panels[PANELS_MOST])
{
    struct rep_keys places;
    size_t threads[2], n = 0;
    rep_residencies(run, &places);
    const size_t nthreads = shown_threads(run, threads);
    for (size_t t = 0; t < nthreads; t++)
        for (size_t i = 0; i < places.n && n < PANELS_MOST; i++) {
            panels[n] = (struct panel){.place = places.text[i], .threads = threads[t]};
            fill(run, types, &panels[n]);
            if (panels[n].n > 0)
                n++;
            else
                free(panels[n].marks);
        }
    return n;
}

static void draw_panel(const struct nb_page *p, const struct rep_run *run,
                       const struct panel *panel, const struct nb_ratio_axis *axis)
{
    char title[200], description[160];
    snprintf(title, sizeof title,
             "Speed of RMSNorm over LayerNorm by hidden, data in %.60s, %zu thread%s",
             panel->place, panel->threads, panel->threads == 1 ? "" : "s");
    snprintf(description, sizeof description,
             "%zu marks with their intervals, a line for each dtype. The numbers stand "
             "under Speedups.",
             panel->n);
    fputs("<figure><figcaption><b>", p->f);
    nb_page_text(p, panel->place);
    fprintf(p->f, "</b>, %zu thread%s</figcaption>", panel->threads,
            panel->threads == 1 ? "" : "s");
    nb_chart_over(p, &(struct nb_chart_words){title, description}, axis,
                  run->hiddens.value, run->hiddens.n, panel->marks, panel->n);
    fputs("</figure>\n", p->f);
}

static void type_legend(const struct nb_page *p, const struct rep_keys *types)
{
    fputs("<p class=\"legend\">", p->f);
    for (size_t t = 0; t < types->n; t++) {
        fputs("<span>", p->f);
        nb_chart_swatch(p, t);
        fputc(' ', p->f);
        nb_page_text(p, types->text[t]);
        fputs("</span> ", p->f);
    }
    fputs("</p>\n", p->f);
}

static void by_hidden(struct nb_page *p, const struct rep_run *run)
{
    struct panel panels[PANELS_MOST];
    struct rep_keys types;
    struct nb_ratio_axis axis = {0, 0};
    rep_types(run, &types);
    const size_t n = find_panels(run, &types, panels);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < panels[i].n; k++)
            nb_axis_add(&axis, &panels[i].marks[k]);
    nb_axis_round(&axis);
    if (n > 0) {
        nb_page_section(p, "hidden", "By row length");
        fputs("<p>Best LayerNorm over best RMSNorm, with intervals, against hidden, the "
              "length of a row. Above ×1, RMSNorm is faster.</p>\n",
              p->f);
        type_legend(p, &types);
        fputs("<div class=\"tiles\">\n", p->f);
        for (size_t i = 0; i < n; i++)
            draw_panel(p, run, &panels[i], &axis);
        fputs("</div>\n", p->f);
        nb_page_section_end(p);
    }
    for (size_t i = 0; i < n; i++)
        free(panels[i].marks);
}

/* ---- sections of report.md ---- */

static void bars(const struct rep_run *run, FILE *f)
{
    rep_bars_md(run->bars, f);
}

static void autos(const struct rep_run *run, FILE *f)
{
    rep_autos_md(run->autos, f);
}

char *nb_run_text(const struct rep_run *run, nb_run_writer *write)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    write(run, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    return text;
}

static void quote(struct nb_page *p, struct rep_run *run)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    rep_quote_md(run, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    nb_page_markdown_section(p, "quote", text);
}

/* ---- host ---- */

static void scalar(const struct nb_page *p, const json_t *v)
{
    if (json_is_string(v))
        nb_page_text(p, json_string_value(v));
    else if (json_is_integer(v))
        fprintf(p->f, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        rep_print_number(p->f, json_real_value(v));
    else
        fputs(json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "null", p->f);
}

/* "settings.governor", or "cpu_mhz" within a moment: why it is null. */
static const char *reason_of(const struct rep_run *run, const char *group,
                             const char *key, const json_t *object)
{
    char path[200];
    snprintf(path, sizeof path, "%s.%s", group, key);
    const char *reason = rep_string(json_object_get(run->host, "unknown"), path);
    return reason != NULL ? reason : rep_string(json_object_get(object, "unknown"), key);
}

static void fact(const struct nb_page *p, const struct rep_run *run, const char *group,
                 const char *key, const json_t *v, const json_t *object)
{
    const json_t *one;
    size_t i;
    fputs("<tr><th scope=\"row\">", p->f);
    nb_page_text(p, group);
    if (key[0] != '\0') {
        fputc(' ', p->f);
        nb_page_text(p, key);
    }
    fputs("</th><td>", p->f);
    if (!json_is_array(v))
        scalar(p, v);
    json_array_foreach(v, i, one)
    {
        fputs(i > 0 ? " " : "", p->f);
        scalar(p, one);
    }
    const char *reason = json_is_null(v) ? reason_of(run, group, key, object) : NULL;
    if (reason != NULL) {
        fputs(": ", p->f);
        nb_page_text(p, reason);
    }
    fputs("</td></tr>\n", p->f);
}

static void facts(const struct nb_page *p, const struct rep_run *run, const char *group)
{
    json_t *object = json_object_get(run->host, group), *v;
    const char *key;
    if (object != NULL && !json_is_object(object))
        fact(p, run, group, "", object, NULL);
    json_object_foreach(object, key, v) if (!json_is_object(v) && nb_page_has_room(p))
        fact(p, run, group, key, v, object);
}

static void host(struct nb_page *p, const struct rep_run *run)
{
    static const char *const shown[] = {"cpu",      "caches", "topology",
                                        "memory",   "os",     "settings",
                                        "compiler", "before", "after"};
    static const struct nb_page_column columns[] = {{"fact", false, NULL},
                                                    {"value", false, NULL}};
    nb_page_section(p, "host", "Host");
    nb_page_table(p, "Facts about the host", columns, 2);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        facts(p, run, shown[i]);
    nb_page_table_end(p);
    fputs("<p class=\"note\">Sizes in bytes. Compile flags of every unit, and what else "
          "is unknown: <code>host.json</code>.</p>\n",
          p->f);
    nb_page_section_end(p);
}

void nb_run_sections(struct nb_page *p, struct rep_run *run)
{
    static const struct {
        const char *id;
        nb_run_writer *write;
    } from_report[] = {{"training", rep_training_section},
                       {"versus", rep_versus_section},
                       {"bars", bars},
                       {"auto", autos},
                       {"checks", rep_checks_md},
                       {"prepare", rep_prepare_md},
                       {"counters", rep_counters_md},
                       {"noise", rep_noise_md},
                       {"unresolved", rep_unresolved_md},
                       {"discards", rep_discards_md},
                       {"conditions", rep_conditions_md},
                       {"published", rep_published_md}};
    by_hidden(p, run);
    nb_run_tables(p, run);
    nb_run_roofs(p, run);
    for (size_t i = 0; i < sizeof from_report / sizeof *from_report; i++)
        nb_page_markdown_section(p, from_report[i].id,
                                 nb_run_text(run, from_report[i].write));
    host(p, run);
    nb_page_markdown_section(p, "reproduce", nb_run_text(run, rep_reproduce_md));
    quote(p, run);
}
