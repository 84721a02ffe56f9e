/* speed.c: one norm against another, timed by the whole machinery of `normbench run` (checks, processes, rounds, A/A copies): the
 * ratio and its interval are those of the run's own report. */
#include "speed.h"

#include "report_data.h"
#include "run.h"

#include <math.h>
#include <string.h>

#define DTYPES "f32 f64 f16 bf16"
#define RESIDENCIES "L1 L2 L3 DRAM cold"
#define PAIRINGS "best-of-each naive unfused naive:best unfused:best"

/* ---- parameters that are texts ---- */

static enum nb_status check_key(enum nb_key key, const char *text, struct nb_err *err)
{
    struct nb_block b;
    enum nb_status s = nb_block_init(&b, "op_speed", err);
    if (s == NB_OK)
        s = nb_block_set(&b, key, text, err);
    nb_block_free(&b);
    return s;
}

static enum nb_status check_hidden(const char *text, struct nb_err *err)
{
    return strcmp(text, "auto") == 0 ? NB_OK : check_key(NB_KEY_HIDDEN, text, err);
}

static enum nb_status check_isa(const char *text, struct nb_err *err)
{
    return strchr(text, ' ') == NULL ? check_key(NB_KEY_ISA, text, err) : nb_fail(err, "isa: words have a comma and no space between two");
}

static enum nb_status check_pair(const char *text, struct nb_err *err)
{
    struct nb_settings s = nb_settings_default();
    struct nb_err inner;
    return nb_versus_parse(&s, text, &inner) == NB_OK ? NB_OK : nb_fail(err, "pair: %s", inner.text);
}

static const struct nb_parameter PARAMETERS[] = {
    {.name = "pair", .value = "rmsnorm:layernorm", .says = "norms, test:base; a list with commas", .kind = NB_TEXT,
     .check = check_pair},
    {.name = "pairing", .value = "best-of-each", .says = "which kernels stand for the two: the fastest of each, those of one class, or "
     "a class of the test against the best of the base", .kind = NB_CHOICES, .choices = PAIRINGS},
    {.name = "dir", .value = "fwd", .says = "forward, backward, or a training step: forward with statistics and backward",
     .kind = NB_CHOICES, .choices = "fwd bwd training"},
    {.name = "dtype", .value = "f32,bf16", .says = "of x and y", .kind = NB_CHOICES, .choices = DTYPES},
    {.name = "hidden", .value = "auto", .says = "elements of a row: a list, 64:16384:x2, or auto: more of them with more effort", .kind = NB_TEXT,
     .check = check_hidden},
    {.name = "residency", .value = "L2,DRAM", .says = "where the data lies", .kind = NB_CHOICES, .choices = RESIDENCIES},
    {.name = "threads", .value = "1", .says = "threads", .kind = NB_NUMBERS, .least = 1, .most = 1024, .whole = true, .single = true},
    {.name = "prefix", .value = "0.0625", .says = "share of a row that prmsnorm looks at", .kind = NB_NUMBERS, .least = 1e-6, .most = 1, .single = true},
    {.name = "isa", .value = "best", .says = "instruction set: best, scalar, avx2, ...", .kind = NB_TEXT, .check = check_isa},
};

/* Seconds of measuring that a cell is given, by effort: of contenders, and where slower kernels are among them. What a run adds for
 * checks and screening is a second a cell. */
static const double CELL_S[] = {5, 12, 40}, SLOW = 3;
static const double ARENA_S = 60; /* memory beyond all caches, filled anew in each process: once a dtype; more than it takes is not used */
static const unsigned PROCESSES[] = {6, 8, 12}; /* six make an interval of 95 % */

/* By effort, where nobody says which. */
static const char *const HIDDEN[] = {"1024,4096", "256,1024,4096,16384", "64,256,512,1024,2048,4096,8192,16384"};

static size_t words_of(const char *list)
{
    size_t n = 1;
    for (; *list != '\0'; list++)
        n += *list == ',';
    return n;
}

static const char *hidden_of(const struct nb_trial *t)
{
    const char *text = nb_trial_text(t, "hidden");
    return strcmp(text, "auto") == 0 ? HIDDEN[t->effort] : text;
}

static size_t cells_of(const struct nb_trial *t, const struct nb_list *hidden)
{
    const size_t dirs = nb_trial_has(t, "dir", "training") ? 2 : words_of(nb_trial_text(t, "dir"));
    return dirs * words_of(nb_trial_text(t, "dtype")) * hidden->n * words_of(nb_trial_text(t, "residency"));
}

static size_t arenas_of(const struct nb_trial *t)
{
    const bool any = nb_trial_has(t, "residency", "DRAM") || nb_trial_has(t, "residency", "cold");
    return any ? words_of(nb_trial_text(t, "dtype")) : 0;
}

static bool only_best(const struct nb_trial *t)
{
    return strcmp(nb_trial_text(t, "pairing"), "best-of-each") == 0;
}

static double own_budget(const struct nb_trial *t, const struct nb_list *hidden)
{
    return CELL_S[t->effort] * (only_best(t) ? 1 : SLOW) * (double)cells_of(t, hidden) + ARENA_S * (double)arenas_of(t);
}

/* The ops of all pairs, with commas. */
static void ops_of(const struct nb_settings *s, char *text, size_t len)
{
    size_t used = 0;
    for (size_t i = 0; i < s->versus_count && used < len; i++)
        used += (size_t)snprintf(text + used, len - used, "%s%s,%s", i > 0 ? "," : "", nb_op_name(s->versus[i].base),
                                 nb_op_name(s->versus[i].test));
}

static enum nb_status fill_block(const struct nb_trial *t, struct nb_preset *p, struct nb_err *err)
{
    const bool trained = nb_trial_has(t, "dir", "training");
    char ops[NB_VERSUS_MAX * 40];
    enum nb_status s = nb_versus_parse(&p->settings, nb_trial_text(t, "pair"), err);
    ops_of(&p->settings, ops, sizeof ops);
    const struct {
        enum nb_key key;
        const char *value;
    } keys[] = {{NB_KEY_OP, ops}, {NB_KEY_DTYPE, nb_trial_text(t, "dtype")}, {NB_KEY_HIDDEN, hidden_of(t)},
                {NB_KEY_RESIDENCY, nb_trial_text(t, "residency")}, {NB_KEY_THREADS, nb_trial_text(t, "threads")},
                {NB_KEY_PREFIX, nb_trial_text(t, "prefix")}, {NB_KEY_ISA, nb_trial_text(t, "isa")},
                {NB_KEY_DIR, trained ? "fwd,bwd" : nb_trial_text(t, "dir")}, {NB_KEY_STATS, trained ? "yes" : "no"},
                {NB_KEY_KERNELS, only_best(t) ? "contenders" : "all"}};
    for (size_t i = 0; s == NB_OK && i < sizeof keys / sizeof *keys; i++)
        s = nb_block_set(&p->blocks[0], keys[i].key, keys[i].value, err);
    return s;
}

static enum nb_status make_preset(const struct nb_trial *t, struct nb_preset *p, struct nb_err *err)
{
    *p = (struct nb_preset){.name = "op_speed", .settings = nb_settings_default(), .count = 1};
    p->blocks = calloc(1, sizeof *p->blocks);
    NB_ASSERT(p->blocks != NULL);
    p->settings.seed = t->seed;
    p->settings.processes = PROCESSES[t->effort];
    p->settings.processes_given = true;
    enum nb_status s = nb_block_init(&p->blocks[0], "op_speed", err);
    if (s == NB_OK)
        s = fill_block(t, p, err);
    if (s == NB_OK)
        p->settings.budget_s = t->budget_s > 0 ? t->budget_s : own_budget(t, &p->blocks[0].hidden);
    return s;
}

enum nb_status nb_op_speed_seconds(const struct nb_trial *t, double *seconds, struct nb_err *err)
{
    struct nb_preset p;
    const enum nb_status s = make_preset(t, &p, err);
    *seconds = s == NB_OK ? p.settings.budget_s : 0;
    nb_preset_free(&p);
    return s;
}

/* ---- what a run says ---- */

/* One comparison that is asked for. */
struct asked {
    const struct nb_trial *trial;
    const struct rep_run *run;
    struct nb_observations *o;
    const char *test, *base, *pairing, *dir, *dtype, *residency;
    size_t hidden;
};

static bool is_cell(const struct asked *a, const struct rep_cell *c)
{
    return rep_same(c->type, a->dtype) && c->hidden == a->hidden && rep_same(c->residency, a->residency);
}

/* How far a copy of a kernel seemed from its original in this cell, as a share of the time. */
static double floor_of(const struct rep_cell *c)
{
    double floor = NAN;
    for (size_t i = 0; i < c->nnoise; i++)
        floor = fmax(floor, fabs(c->noise[i].ratio.value - 1)); /* fmax leaves a NAN out */
    return floor;
}

static const char DOUBTFUL[] = "a copy of a kernel differed from its original in this cell by more than chance";
static const char BEATEN[] = "the kernel that screening chose was not the fastest of its op in the end";
static const char NO_CELL[] = "this cell was not planned";
static const char FOREVER[] = "SKIP_"; /* begins the reasons that every run on this machine would have */
static const char NO_TIME[] = "a kernel has no time in this cell";
static const char NO_KERNEL[] = "there is no such kernel";

/* Why the plan has no such cell: it fits into no such memory, or the budget did not reach for it. Ids of cells: docs/schema.md. */
static const char *why_no_cell(const struct asked *a)
{
    char shape[64], place[64];
    size_t i;
    json_t *dropped;
    snprintf(shape, sizeof shape, "-%s-h%zu-r", a->dtype, a->hidden);
    snprintf(place, sizeof place, "-t%s-%s", nb_trial_text(a->trial, "threads"), a->residency);
    json_array_foreach(json_object_get(a->run->plan, "dropped"), i, dropped)
    {
        const char *cell = rep_string(dropped, "cell"), *reason = rep_string(dropped, "reason");
        const bool same_dir = cell != NULL && (rep_same(a->dir, "training") || strncmp(cell, a->dir, strlen(a->dir)) == 0);
        if (same_dir && reason != NULL && strstr(cell, shape) != NULL && strstr(cell, place) != NULL)
            return reason;
    }
    return NO_CELL;
}

/* A kernel that does not exist and a row that does not fit are missing in every run. */
static void put_missing(const struct asked *a, const char *where, const char *why)
{
    static const char *const quantities[] = {"speedup", "saved_time"};
    const bool always = why == NO_KERNEL || strncmp(why, FOREVER, strlen(FOREVER)) == 0;
    for (size_t q = 0; q < 2; q++)
        nb_observe_missing(a->o, quantities[q], "", why, !always, "%s", where);
}

/* Of a speedup in a cell; missing: why there is none, or NULL. */
static void put(const struct asked *a, const struct rep_cell *c, const struct rep_estimate *e, const char *missing)
{
    char where[200];
    snprintf(where, sizeof where, "pair=%s:%s pairing=%s dir=%s dtype=%s hidden=%zu residency=%s threads=%s isa=%.40s", a->test,
             a->base, a->pairing, a->dir, a->dtype, a->hidden, a->residency, nb_trial_text(a->trial, "threads"),
             nb_trial_text(a->trial, "isa"));
    if (missing == NULL && !isfinite(e->value))
        missing = "the two have no time in the same rounds";
    if (missing == NULL && !isfinite(e->lo))
        missing = "too few processes for an interval; a longer run has more";
    if (missing != NULL) {
        put_missing(a, where, missing);
        return;
    }
    const double floor = floor_of(c), r = e->value;
    nb_observe_interval(a->o, "speedup", "", r, e->lo, e->hi, floor * r, e->processes, "processes", "%s", where);
    nb_observe_interval(a->o, "saved_time", "", 1 - 1 / r, 1 - 1 / e->lo, 1 - 1 / e->hi, floor / r, e->processes, "processes", "%s",
                        where);
}

/* Whether the cell has a kernel of an op, timed or not; class: NULL, or that of a kernel without a trick. */
static bool exists(const struct rep_cell *c, const char *op, const char *class)
{
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_kernel *k = c->entries[i].kernel;
        if (rep_is_op(k, op) && (class == NULL || (rep_same(k->algo, class) && k->trick[0] == '\0')))
            return true;
    }
    return false;
}

/* Why a kernel of either op has no time. */
static const char *why_none(const struct asked *a, const struct rep_cell *c, const char *test_class, const char *base_class)
{
    return exists(c, a->test, test_class) && exists(c, a->base, base_class) ? NO_TIME : NO_KERNEL;
}

/* The kernel of a class, without a trick. */
static const struct rep_entry *of_class(const struct rep_cell *c, const char *op, const char *class)
{
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_kernel *k = c->entries[i].kernel;
        if (rep_is_op(k, op) && rep_same(k->algo, class) && k->trick[0] == '\0' && rep_is_timed(&c->entries[i]))
            return &c->entries[i];
    }
    return NULL;
}

static void best_against_best(const struct asked *a, const struct rep_cell *c)
{
    const struct rep_pairing *p = rep_best_pairing(c, a->test, a->base);
    const char *missing = !rep_has_speedup(p) ? why_none(a, c, NULL, NULL) : rep_is_beaten(p) ? BEATEN : c->doubtful ? DOUBTFUL : NULL;
    put(a, c, missing == NULL ? &p->speedup : NULL, missing);
}

/* CLASS, or CLASS:best. */
static void class_against(const struct asked *a, const struct rep_cell *c)
{
    char class[32];
    const size_t n = strcspn(a->pairing, ":");
    const struct rep_pairing *p = rep_best_pairing(c, a->test, a->base);
    snprintf(class, sizeof class, "%.*s", (int)n, a->pairing);
    const struct rep_entry *t = of_class(c, a->test, class), *b = NULL;
    if (a->pairing[n] == '\0')
        b = of_class(c, a->base, class);
    else if (rep_has_speedup(p) && p->base != NULL)
        b = rep_entry_of(c, p->base);
    const char *missing = t == NULL || b == NULL ? why_none(a, c, class, a->pairing[n] == '\0' ? class : NULL) : c->doubtful ? DOUBTFUL : NULL;
    struct rep_estimate e = {NAN, NAN, NAN, NAN, 0};
    if (missing == NULL)
        e = rep_speed_over(a->run, c, t, b);
    put(a, c, &e, missing);
}

static void in_cell(const struct asked *a)
{
    for (size_t i = 0; i < a->run->ncells; i++) {
        const struct rep_cell *c = &a->run->cells[i];
        if (!is_cell(a, c) || !rep_same(c->dir, a->dir))
            continue;
        if (strcmp(a->pairing, "best-of-each") == 0)
            best_against_best(a, c);
        else
            class_against(a, c);
        return;
    }
    put(a, NULL, NULL, why_no_cell(a));
}

/* A step of training: of the best kernels, whatever pairing is asked for. */
static void in_training(const struct asked *a)
{
    for (size_t i = 0; i < a->run->nsteps; i++) {
        const struct rep_step *s = &a->run->steps[i];
        if (!is_cell(a, rep_step_cell(s)) || !rep_step_is_best(s) || s->of == NULL || !rep_same(s->of->test_op, a->test) ||
            !rep_same(s->of->base_op, a->base))
            continue;
        put(a, rep_step_cell(s), &s->speedup,
            !isfinite(s->speedup.value) ? s->verdict : rep_step_is_beaten(s) ? BEATEN : rep_step_is_doubtful(s) ? DOUBTFUL : NULL);
        return;
    }
    put(a, NULL, NULL, why_no_cell(a));
}

/* All cells of a pair and pairing, in the order in which tables have them. */
static void one_pairing(struct asked a, const struct nb_list *hidden)
{
    static const char *const dirs[] = {"fwd", "bwd", "training"}, *const dtypes[] = {"f32", "f64", "f16", "bf16"},
                             *const residencies[] = {"L1", "L2", "L3", "DRAM", "cold"};
    for (size_t i = 0; i < 3 * 4 * 5 * hidden->n; i++) {
        a.hidden = hidden->v[i % hidden->n];
        a.residency = residencies[i / hidden->n % 5];
        a.dtype = dtypes[i / hidden->n / 5 % 4];
        a.dir = dirs[i / hidden->n / 20];
        if (!nb_trial_has(a.trial, "dir", a.dir) || !nb_trial_has(a.trial, "dtype", a.dtype) ||
            !nb_trial_has(a.trial, "residency", a.residency))
            continue;
        if (strcmp(a.dir, "training") == 0)
            in_training(&a);
        else
            in_cell(&a);
    }
}

static void one_pair(const struct nb_trial *t, const struct rep_run *run, const struct nb_preset *p, const struct nb_versus *v,
                     struct nb_observations *o)
{
    static const char *const pairings[] = {"best-of-each", "naive", "unfused", "naive:best", "unfused:best"};
    for (size_t i = 0; i < sizeof pairings / sizeof *pairings; i++)
        if (nb_trial_has(t, "pairing", pairings[i]))
            one_pairing((struct asked){.trial = t, .run = run, .o = o, .test = nb_op_name(v->test), .base = nb_op_name(v->base),
                                       .pairing = pairings[i]},
                        &p->blocks[0].hidden);
}

static enum nb_status observe(const struct nb_trial *t, const struct nb_preset *p, const char *dir, struct nb_observations *o,
                              struct nb_err *err)
{
    struct rep_run run = {0};
    enum nb_status s = rep_load(dir, &run, err);
    if (s != NB_OK)
        return s;
    rep_numbers(&run);
    for (size_t i = 0; i < p->settings.versus_count; i++)
        one_pair(t, &run, p, &p->settings.versus[i], o);
    rep_free(&run);
    return NB_OK;
}

static enum nb_status op_speed(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    struct nb_run_options options = {.quiet = true, .timeout_s = 20, .command = (char *)"normbench claims"};
    char dir[4096];
    int code = 0;
    NB_ASSERT(t->dir != NULL);
    snprintf(dir, sizeof dir, "%s/op_speed", t->dir);
    options.out = dir;
    enum nb_status s = make_preset(t, &options.preset, err);
    if (s == NB_OK)
        s = nb_run(&options, &code, err);
    if (s == NB_OK)
        s = observe(t, &options.preset, dir, o, err);
    nb_preset_free(&options.preset);
    return s;
}

const struct nb_experiment nb_experiment_op_speed = {
    "op_speed", "the time of one norm against another's, in the same rounds of several processes", "speedup saved_time", "pair pairing",
    PARAMETERS, sizeof PARAMETERS / sizeof *PARAMETERS, true, {80, 200, 600}, op_speed};
