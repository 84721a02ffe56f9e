#include "compare_cells.h"
#include "apart.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const nb_quantity_name[NB_QUANTITIES] = {"speedup", "roof", "cycles", "time"};

const char *nb_threads_word(const struct nb_summary *run, size_t threads, char word[24])
{
    const json_t *cores =
        json_object_get(json_object_get(run->host, "topology"), "cores");
    const bool all = threads > 1 && json_is_integer(cores) &&
                     (size_t)json_integer_value(cores) == threads;
    snprintf(word, 24, "%zu", threads);
    return all ? "all" : word;
}

/* ---- keys ---- */

static const char *word(const char *s)
{
    return s != NULL ? s : "null";
}

/* The case behind what is measured in it; k is of the ops that have one. */
static void put_case(FILE *f, const struct nb_summary *run, const char *dir,
                     const char *fuse, const char *dtype, const char *param,
                     size_t hidden, size_t threads, const char *residency, bool in_place)
{
    char number[24];
    const bool own = param != NULL && strcmp(param, dtype) != 0;
    fprintf(f, " %s-%s-%s%s%s-h%zu-t%s-%s%s", dir, fuse, dtype, own ? "+" : "",
            own ? param : "", hidden, nb_threads_word(run, threads, number), residency,
            in_place ? "-ip" : "");
}

static char *end_key(FILE *f, char **text)
{
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    return *text;
}

/* Winners of best-of-each may be others on another host: they are no part of the key. */
static char *speedup_key(const struct nb_summary *run, const struct nb_speedup *s)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    const bool best = strcmp(s->pairing, "best-of-each") == 0;
    fprintf(f, "speedup %s/%s %s %s", s->test_op, s->base_op, s->pairing, word(s->isa));
    if (!best)
        fprintf(f, " %s/%s", word(s->test_kernel), word(s->base_kernel));
    put_case(f, run, s->dir, s->fuse, s->dtype, s->param_dtype, s->hidden, s->threads,
             s->residency, s->in_place);
    if (s->base_k != NULL || s->test_k != NULL)
        fprintf(f, " k=%s/%s", word(s->test_k), word(s->base_k));
    return end_key(f, &text);
}

static char *result_key(const struct nb_summary *run, const struct nb_result *r,
                        enum nb_quantity q)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    fprintf(f, "%s %s", nb_quantity_name[q], r->kernel);
    put_case(f, run, r->dir, r->fuse, r->dtype, r->param_dtype, r->hidden, r->threads,
             r->residency, r->in_place);
    fprintf(f, "%s%s%s", r->stats_out ? "-stats" : "", r->k ? " k=" : "",
            r->k ? r->k : "");
    return end_key(f, &text);
}

/* ---- values ---- */

static void add(struct nb_cells *c, struct nb_value v)
{
    if (c->nvalues == c->room) {
        c->values = realloc(c->values,
                            (c->room = c->room ? 2 * c->room : 1024) * sizeof *c->values);
        NB_ASSERT(c->values != NULL && "out of memory");
    }
    v.order = isfinite(v.m.lo) ? nb_apart_order(v.processes) : 0;
    c->values[c->nvalues++] = v;
}

static bool is_chosen(const struct nb_choice *choice, const char *key)
{
    return choice->cells == NULL || fnmatch(choice->cells, key, 0) == 0;
}

/* A ratio of winners that were not the fastest is none of the best. */
static const char *why_no_speedup(const struct nb_speedup *s)
{
    return strcmp(s->verdict, "not-best") == 0 || isnan(s->speedup.value) ? s->verdict
                                                                          : NULL;
}

static void add_speedup(struct nb_cells *c, const struct nb_summary *run, size_t index,
                        const struct nb_speedup *s, const struct nb_choice *choice)
{
    if (choice->pairing != NULL && fnmatch(choice->pairing, s->pairing, 0) != 0)
        return;
    char *key = speedup_key(run, s);
    if (is_chosen(choice, key))
        add(c, (struct nb_value){key, NB_Q_SPEEDUP, index, s->rows, s->speedup,
                                 s->processes, 0, s, NULL, why_no_speedup(s)});
    else
        free(key);
}

static bool is_certified(const struct nb_result *r)
{
    return r->counters != NULL && strcmp(r->counters, "certified") == 0;
}

static struct nb_measured measured(const struct nb_result *r, enum nb_quantity q)
{
    const struct nb_measured cycles = {is_certified(r) ? r->core_cycles : NAN, NAN, NAN};
    return q == NB_Q_ROOF ? r->of_roof : q == NB_Q_TIME ? r->ns_per_row : cycles;
}

static void add_result(struct nb_cells *c, const struct nb_summary *run, size_t index,
                       const struct nb_result *r, enum nb_quantity q,
                       const struct nb_choice *choice)
{
    const struct nb_measured m = measured(r, q);
    const bool failed = strcmp(r->verdict, "PASS") != 0;
    char *key = result_key(run, r, q);
    const char *none =
        q == NB_Q_CYCLES && !is_certified(r) ? "not-certified" : "not-measured";
    if (is_chosen(choice, key))
        add(c, (struct nb_value){key, q, index, r->rows, m, r->processes, 0, NULL, r,
                                 failed           ? r->verdict
                                 : isnan(m.value) ? none
                                                  : NULL});
    else
        free(key);
}

static void gather_run(struct nb_cells *c, const struct nb_summary *run, size_t index,
                       const struct nb_choice *choice)
{
    for (size_t i = 0; choice->quantity[NB_Q_SPEEDUP] && i < run->nspeedups; i++)
        add_speedup(c, run, index, &run->speedups[i], choice);
    for (int q = NB_Q_ROOF; q < NB_QUANTITIES; q++)
        for (size_t i = 0; choice->quantity[q] && i < run->nresults; i++)
            add_result(c, run, index, &run->results[i], (enum nb_quantity)q, choice);
}

/* ---- side by side ---- */

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int by_key_and_rows(const void *a, const void *b)
{
    const struct nb_value *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    order = order ? order : compare_sizes(x->rows, y->rows);
    return order ? order : compare_sizes(x->run, y->run);
}

/* Whether a run stands twice among these. */
static bool has_twice(const struct nb_value *v, size_t n, size_t *seen, size_t nruns)
{
    memset(seen, 0, nruns * sizeof *seen);
    for (size_t i = 0; i < n; i++)
        if (seen[v[i].run]++ > 0)
            return true;
    return false;
}

static void put_cell(struct nb_cells *c, const struct nb_value *v, size_t n)
{
    if (n < 2) {
        c->alone++;
        return;
    }
    struct nb_compared *cell = &c->cells[c->ncells++];
    *cell = (struct nb_compared){v->key, v->quantity, calloc(c->nruns, sizeof *cell->of)};
    NB_ASSERT(cell->of != NULL && "out of memory");
    for (size_t i = 0; i < n; i++)
        cell->of[v[i].run] = &v[i];
}

/* Values of one key. Where each run has one, they are the case, whatever its rows; else
 * those go together that have as many. */
static void put_group(struct nb_cells *c, const struct nb_value *v, size_t n,
                      size_t *seen)
{
    if (!has_twice(v, n, seen, c->nruns)) {
        put_cell(c, v, n);
        return;
    }
    for (size_t i = 0, k; i < n; i += k) {
        for (k = 1; i + k < n && v[i + k].rows == v[i].rows;)
            k++;
        if (has_twice(v + i, k, seen, c->nruns))
            c->ambiguous++;
        else
            put_cell(c, v + i, k);
    }
}

void nb_cells_gather(struct nb_cells *c, const struct nb_summary *runs, size_t nruns,
                     const struct nb_choice *choice)
{
    *c = (struct nb_cells){.nruns = nruns};
    for (size_t i = 0; i < nruns; i++)
        gather_run(c, &runs[i], i, choice);
    if (c->nvalues > 0)
        qsort(c->values, c->nvalues, sizeof *c->values, by_key_and_rows);
    c->cells = calloc(c->nvalues + 1, sizeof *c->cells);
    size_t *seen = calloc(nruns + 1, sizeof *seen);
    NB_ASSERT(c->cells != NULL && seen != NULL && "out of memory");
    for (size_t i = 0, k; i < c->nvalues; i += k) {
        for (k = 1;
             i + k < c->nvalues && strcmp(c->values[i + k].key, c->values[i].key) == 0;)
            k++;
        put_group(c, c->values + i, k, seen);
    }
    free(seen);
}

void nb_cells_free(struct nb_cells *c)
{
    for (size_t i = 0; i < c->nvalues; i++)
        free(c->values[i].key);
    for (size_t i = 0; i < c->ncells; i++)
        free(c->cells[i].of);
    free(c->values);
    free(c->cells);
    *c = (struct nb_cells){0};
}
