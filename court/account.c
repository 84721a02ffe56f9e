#include "account.h"

#include "host.h"
#include "markup.h"
#include "options.h"

#include <math.h>
#include <string.h>

/* ---- what a test measured ---- */

struct summary {
    size_t seen, nan, least_n, most_n; /* nan: of those seen */
    double least, most, low, high, noise;
    const char *unit, *of;
};

static struct summary summarize(const struct nb_heard *heard)
{
    struct summary s = {.least = INFINITY, .most = -INFINITY, .low = INFINITY, .high = -INFINITY, .noise = NAN, .least_n = SIZE_MAX,
                        .unit = "", .of = ""};
    for (size_t i = 0; i < heard->n; i++) {
        const struct nb_observation *o = heard->v[i];
        if (heard->outcome[i] == NB_MISSING)
            continue;
        s.seen++;
        s.nan += o->nan;
        s.least = fmin(s.least, o->value);
        s.most = fmax(s.most, o->value);
        s.low = fmin(s.low, o->low);
        s.high = fmax(s.high, o->high);
        s.noise = fmax(s.noise, o->noise); /* of a NAN and a number: the number */
        s.least_n = o->n < s.least_n ? o->n : s.least_n;
        s.most_n = o->n > s.most_n ? o->n : s.most_n;
        s.unit = o->unit;
        s.of = o->n > 0 ? o->of : s.of;
    }
    return s;
}

static void put(char *text, size_t len, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void put(char *text, size_t len, const char *format, ...)
{
    const size_t n = strlen(text);
    va_list args;
    va_start(args, format);
    if (n < len)
        vsnprintf(text + n, len - n, format, args);
    va_end(args);
}

void nb_measured(const struct nb_heard *heard, char *text, size_t len)
{
    const struct summary s = summarize(heard);
    text[0] = '\0';
    if (s.seen == 0) {
        put(text, len, "-");
        return;
    }
    if (s.nan == s.seen) {
        put(text, len, "not a number");
        return;
    }
    put(text, len, "%.4g", s.least);
    if (s.most > s.least)
        put(text, len, " to %.4g", s.most);
    if (s.low < s.least || s.high > s.most)
        put(text, len, " [%.4g, %.4g]", s.low, s.high);
    put(text, len, "%s%s", s.unit[0] != '\0' ? " " : "", s.unit);
    if (heard->n > 1)
        put(text, len, ", %zu cells", s.seen);
    if (s.nan > 0)
        put(text, len, ", %zu of them not a number", s.nan);
    if (s.most_n == 0)
        put(text, len, ", exact");
    else if (s.least_n == s.most_n)
        put(text, len, ", %zu %s", s.most_n, s.of);
    else
        put(text, len, ", %zu to %zu %s", s.least_n, s.most_n, s.of);
}

void nb_noise(const struct nb_heard *heard, char *text, size_t len)
{
    const struct summary s = summarize(heard);
    text[0] = '\0';
    put(text, len, isnan(s.noise) ? "-" : "%.2g", s.noise);
}

/* ---- the screen ---- */

enum { ID = 6, FINDING = 14 };

void nb_account_head(FILE *f)
{
    fprintf(f, "%-*s%-*s%s\n", ID, "id", FINDING, "verdict", "claim; what was measured, and what was asked");
}

static void line(FILE *f, const char *label, const char *text)
{
    fprintf(f, "%*s%s", ID + FINDING, "", label);
    nb_plain(f, text);
    fputc('\n', f);
}

static void print_test(FILE *f, const struct nb_case_of *c, size_t t)
{
    char measured[200], noise[32], text[700];
    const struct nb_test *test = &c->claim->tests[t];
    const struct nb_heard *heard = &c->tests[t];
    if (heard->n == 0)
        return;
    nb_measured(heard, measured, sizeof measured);
    nb_noise(heard, noise, sizeof noise);
    snprintf(text, sizeof text, "%s%s%s: %s%s%s (%.100s)", c->claim->test_count > 1 ? test->name : "",
             c->claim->test_count > 1 ? " " : "", test->quantity, measured, noise[0] != '-' ? ", noise floor " : "",
             noise[0] != '-' ? noise : "", test->holds_text);
    line(f, "", text);
}

void nb_account_row(FILE *f, const struct nb_case_of *c)
{
    const struct nb_judgement *j = &c->judgement;
    fprintf(f, "%-*s", ID, c->claim->id);
    fprintf(f, "%-*s", FINDING, nb_finding_name(j->finding));
    nb_plain(f, c->claim->title);
    fputc('\n', f);
    for (size_t t = 0; t < c->claim->test_count; t++)
        print_test(f, c, t);
    if (j->regime[0] != '\0')
        line(f, "holds where ", j->regime);
    if (j->reason[0] != '\0')
        line(f, "", j->reason);
}

static const struct nb_case_of *find_case(const struct nb_hearing *h, const char *id)
{
    for (size_t i = 0; i < h->case_count; i++)
        if (strcmp(h->cases[i].claim->id, id) == 0)
            return &h->cases[i];
    return NULL;
}

static bool names(const struct nb_claim *c, const char *id)
{
    for (size_t i = 0; i < c->against_count; i++)
        if (strcmp(c->against[i], id) == 0)
            return true;
    return false;
}

/* Calls take for each pair of cases one of which names the other, the earlier one first. */
static size_t each_pair(const struct nb_hearing *h, void (*take)(void *context, const struct nb_case_of *a, const struct nb_case_of *b),
                        void *context)
{
    size_t count = 0;
    for (size_t i = 0; i < h->case_count; i++)
        for (size_t k = i + 1; k < h->case_count; k++) {
            const struct nb_claim *a = h->cases[i].claim, *b = h->cases[k].claim;
            if (!names(a, b->id) && !names(b, a->id))
                continue;
            if (take != NULL)
                take(context, find_case(h, a->id), find_case(h, b->id));
            count++;
        }
    return count;
}

static const char *both_say(const struct nb_case_of *a, const struct nb_case_of *b)
{
    const enum nb_finding x = a->judgement.finding, y = b->judgement.finding;
    const bool one = x == NB_REPRODUCED || y == NB_REPRODUCED, other = x == NB_REFUTED || y == NB_REFUTED;
    return x == NB_REPRODUCED && y == NB_REPRODUCED ? "both hold as they are tested: compare their conditions"
           : one && other                            ? "this is decided"
           : x == NB_REFUTED && y == NB_REFUTED      ? "neither holds"
                                                     : "this is not decided";
}

static void print_pair(void *context, const struct nb_case_of *a, const struct nb_case_of *b)
{
    const struct nb_case_of *const both[] = {a, b};
    FILE *f = context;
    for (int i = 0; i < 2; i++) {
        fprintf(f, "  %-*s%-*s", ID, both[i]->claim->id, FINDING, nb_finding_name(both[i]->judgement.finding));
        nb_plain(f, both[i]->claim->statement);
        fputc('\n', f);
    }
    fprintf(f, "  %s\n", both_say(a, b));
}

void nb_account_against(FILE *f, const struct nb_hearing *h)
{
    if (each_pair(h, NULL, NULL) == 0)
        return;
    fputs("\nclaims that contradict each other\n", f);
    each_pair(h, print_pair, f);
}

void nb_account_count(const struct nb_hearing *h, char *text, size_t len)
{
    size_t count[NB_FINDING_COUNT] = {0};
    text[0] = '\0';
    for (size_t i = 0; i < h->case_count; i++)
        count[h->cases[i].judgement.finding]++;
    for (int k = 1; k <= NB_FINDING_COUNT; k++) { /* UNTRIED last */
        const enum nb_finding v = (enum nb_finding)(k % NB_FINDING_COUNT);
        if (count[v] > 0)
            put(text, len, "%s%zu %s", text[0] != '\0' ? ", " : "", count[v], nb_finding_name(v));
    }
}

char *nb_account_repro(const struct nb_account *a, const struct nb_claim *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    fputs(a->registry == NULL ? "normbench claim " : "normbench claims --id ", f);
    nb_option_word(f, a->registry == NULL ? c->statement : c->id);
    fputs(a->options, f);
    NB_ASSERT(fclose(f) == 0);
    return text;
}

static const char *const EFFORTS[] = {"quick", "default", "full"};

/* ---- claims.json ---- */

/* JSON has neither NaN nor infinity: null, and the words inf and -inf. */
static json_t *number(double v)
{
    return isnan(v) ? json_null() : isinf(v) ? json_string(v > 0 ? "inf" : "-inf") : json_real(v);
}

/* What comes from an experiment may be no UTF-8. */
static json_t *text_json(const char *s)
{
    char c[4];
    size_t n = 0;
    char *clean = malloc(strlen(s) + 1);
    NB_ASSERT(clean != NULL);
    while (*s != '\0') {
        const size_t more = nb_next_char(&s, c);
        memcpy(clean + n, c, more);
        n += more;
    }
    clean[n] = '\0';
    json_t *j = json_string(clean);
    free(clean);
    NB_ASSERT(j != NULL);
    return j;
}

static json_t *text_or_null(const char *s)
{
    return s != NULL && s[0] != '\0' ? text_json(s) : json_null();
}

static json_t *where_json(const char *where)
{
    json_t *o = json_object();
    char key[200];
    for (const char *p = where; *p != '\0'; p += strcspn(p, " "), p += *p == ' ') {
        const int n = (int)strcspn(p, "= "), m = p[n] == '=' ? (int)strcspn(p + n + 1, " ") : 0;
        char value[200];
        snprintf(key, sizeof key, "%.*s", n, p);
        snprintf(value, sizeof value, "%.*s", m, p[n] == '=' ? p + n + 1 : "");
        json_object_set_new(o, key, text_json(value));
    }
    return o;
}

static json_t *observation_json(const struct nb_observation *o)
{
    json_t *j = json_object();
    json_object_set_new(j, "quantity", text_json(o->quantity));
    json_object_set_new(j, "unit", text_json(o->unit));
    json_object_set_new(j, "where", where_json(o->where));
    json_object_set_new(j, "value", number(o->value));
    json_object_set_new(j, "low", number(o->low));
    json_object_set_new(j, "high", number(o->high));
    json_object_set_new(j, "noise", number(o->noise));
    json_object_set_new(j, "n", json_integer((json_int_t)o->n));
    json_object_set_new(j, "of", text_json(o->of));
    json_object_set_new(j, "missing", text_or_null(o->missing));
    json_object_set_new(j, "once", json_boolean(o->once));
    json_object_set_new(j, "nan", json_boolean(o->nan));
    return j;
}

static json_t *run_json(const struct nb_run_of *r)
{
    json_t *j = json_object(), *parameters = json_object(), *observations = json_array();
    for (size_t i = 0; i < r->experiment->parameter_count; i++)
        json_object_set_new(parameters, r->experiment->parameters[i].name, text_json(r->values[i]));
    for (size_t i = 0; i < r->observations.n; i++)
        json_array_append_new(observations, observation_json(&r->observations.v[i]));
    json_object_set_new(j, "experiment", text_json(r->experiment->name));
    json_object_set_new(j, "parameters", parameters);
    json_object_set_new(j, "timed", json_boolean(r->experiment->timed));
    json_object_set_new(j, "done", json_boolean(r->done));
    json_object_set_new(j, "seconds", r->done ? number(r->seconds) : json_null());
    json_object_set_new(j, "budget_s", r->budget_s > 0 ? number(r->budget_s) : json_null());
    json_object_set_new(j, "error", text_or_null(r->error));
    json_object_set_new(j, "dir", text_or_null(r->dir));
    json_object_set_new(j, "observations", observations);
    return j;
}

static json_t *test_json(const struct nb_hearing *h, const struct nb_case_of *c, size_t t)
{
    const struct nb_test *test = &c->claim->tests[t];
    const struct nb_heard *heard = &c->tests[t];
    json_t *j = json_object(), *cells = json_array();
    for (size_t i = 0; i < heard->n; i++) {
        const double times = nb_times_longer(heard->v[i], &test->holds, c->judgement.stretch);
        json_t *cell = json_object();
        json_object_set_new(cell, "observation", json_integer((json_int_t)(heard->v[i] - h->runs[heard->run].observations.v)));
        json_object_set_new(cell, "outcome", json_string(nb_outcome_name(heard->outcome[i])));
        json_object_set_new(cell, "times_longer", heard->outcome[i] == NB_OPEN ? number(times) : json_null());
        json_array_append_new(cells, cell);
    }
    json_object_set_new(j, "name", text_json(test->name));
    json_object_set_new(j, "run", json_integer((json_int_t)heard->run));
    json_object_set_new(j, "quantity", text_json(test->quantity));
    json_object_set_new(j, "where", text_or_null(test->where_text));
    json_object_set_new(j, "holds", text_json(test->holds_text));
    json_object_set_new(j, "cells", cells);
    return j;
}

static json_t *case_json(const struct nb_account *a, const struct nb_case_of *c)
{
    const struct nb_claim *claim = c->claim;
    const struct nb_judgement *v = &c->judgement;
    json_t *j = json_object(), *against = json_array(), *tests = json_array();
    char *repro = nb_account_repro(a, claim);
    for (size_t i = 0; i < claim->against_count; i++)
        json_array_append_new(against, text_json(claim->against[i]));
    for (size_t t = 0; t < claim->test_count && v->finding != NB_UNTRIED; t++)
        json_array_append_new(tests, test_json(a->hearing, c, t));
    const char *const texts[][2] = {{"id", claim->id}, {"title", claim->title}, {"statement", claim->statement},
                                    {"source", claim->source}, {"refuted_by", claim->refuted_by}, {"why", claim->why},
                                    {"verdict", nb_finding_name(v->finding)}, {"regime", v->regime}, {"reason", v->reason},
                                    {"repro", repro}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_object_set_new(j, texts[i][0], text_or_null(texts[i][1]));
    free(repro);
    json_object_set_new(j, "against", against);
    json_object_set_new(j, "cells", json_pack("{sI sI sI sI sI}", "holds", (json_int_t)v->holds, "fails", (json_int_t)v->fails, "open",
                                              (json_int_t)v->open, "missing", (json_int_t)v->missing, "lost",
                                              (json_int_t)v->lost));
    json_object_set_new(j, "stretch", number(v->stretch));
    json_object_set_new(j, "times_longer", number(v->finding == NB_NOT_RESOLVED ? v->longer : NAN));
    json_object_set_new(j, "tests", tests);
    return j;
}

json_t *nb_account_json(const struct nb_account *a)
{
    const struct nb_hearing *h = a->hearing;
    json_t *j = json_object(), *runs = json_array(), *claims = json_array();
    for (size_t i = 0; i < h->run_count; i++)
        json_array_append_new(runs, run_json(&h->runs[i]));
    for (size_t i = 0; i < h->case_count; i++)
        json_array_append_new(claims, case_json(a, &h->cases[i]));
    const char *const texts[][2] = {{"command", a->command}, {"version", NB_VERSION}, {"git", nb_host_git()},
                                    {"compiler", a->compiler}, {"cpu", a->cpu}, {"registry", a->registry},
                                    {"effort", EFFORTS[h->effort]}};
    json_object_set_new(j, "schema", json_integer(1));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_object_set_new(j, texts[i][0], text_or_null(texts[i][1]));
    json_object_set_new(j, "seed", json_integer((json_int_t)h->seed));
    json_object_set_new(j, "budget_s", h->budget_s > 0 ? number(h->budget_s) : json_null());
    json_object_set_new(j, "seconds", number(a->seconds));
    json_object_set_new(j, "interrupted", json_boolean(h->interrupted));
    json_object_set_new(j, "runs", runs);
    json_object_set_new(j, "claims", claims);
    return j;
}

/* ---- claims.md ---- */

static void md_cell(FILE *f, const char *text)
{
    fputs(" | ", f);
    nb_md(f, text);
}

static void md_row(FILE *f, const struct nb_case_of *c)
{
    char measured[200] = "", one[200], noise[64] = "";
    for (size_t t = 0; t < c->claim->test_count && c->judgement.finding != NB_UNTRIED; t++) {
        nb_measured(&c->tests[t], one, sizeof one);
        put(measured, sizeof measured, "%s%s", t > 0 ? "; " : "", one);
        nb_noise(&c->tests[t], one, sizeof one);
        put(noise, sizeof noise, "%s%s", t > 0 ? "; " : "", one);
    }
    fputs("| ", f);
    nb_md(f, c->claim->id);
    md_cell(f, nb_finding_name(c->judgement.finding));
    md_cell(f, c->claim->title);
    md_cell(f, measured);
    md_cell(f, noise);
    md_cell(f, c->judgement.regime[0] != '\0' ? c->judgement.regime : c->judgement.reason);
    fputs(" |\n", f);
}

static void md_item(FILE *f, const char *label, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fprintf(f, "- %s: ", label);
    nb_md(f, text);
    fputc('\n', f);
}

static void md_test(FILE *f, const struct nb_account *a, const struct nb_case_of *c, size_t t)
{
    const struct nb_test *test = &c->claim->tests[t];
    const struct nb_run_of *r = &a->hearing->runs[c->tests[t].run];
    char measured[200], noise[32], text[900];
    nb_measured(&c->tests[t], measured, sizeof measured);
    nb_noise(&c->tests[t], noise, sizeof noise);
    snprintf(text, sizeof text, "%s of %s %.150s%s%.300s: measured %s; noise floor %s", test->quantity, test->experiment->name,
             test->holds_text, test->where_text[0] != '\0' ? " where " : "", test->where_text, measured, noise);
    fprintf(f, "- test ");
    nb_md_code(f, test->name);
    fputs(": ", f);
    nb_md(f, text);
    if (r->dir[0] != '\0') {
        fputs("; its files: ", f);
        nb_md_code(f, r->dir);
    }
    fputc('\n', f);
}

enum { CELLS_SHOWN = 12 }; /* of each outcome */

static void md_one_cell(FILE *f, const char *test, const struct nb_observation *o, enum nb_outcome outcome)
{
    fputs("| ", f);
    nb_md(f, test);
    md_cell(f, o->where);
    if (outcome == NB_MISSING || o->nan)
        fprintf(f, " | %s | - | - | %s |\n", o->nan ? "not a number" : "-", nb_outcome_name(outcome));
    else
        fprintf(f, " | %.4g | %.4g to %.4g | %zu | %s |\n", o->value, o->low, o->high, o->n, nb_outcome_name(outcome));
}

static size_t count_cells(const struct nb_case_of *c, enum nb_outcome outcome)
{
    size_t count = 0;
    for (size_t t = 0; t < c->claim->test_count; t++)
        for (size_t i = 0; i < c->tests[t].n; i++)
            count += c->tests[t].outcome[i] == outcome;
    return count;
}

/* Returns how many are shown. */
static size_t md_cells_of(FILE *f, const struct nb_case_of *c, enum nb_outcome outcome)
{
    size_t shown = 0;
    for (size_t t = 0; t < c->claim->test_count; t++)
        for (size_t i = 0; i < c->tests[t].n && shown < CELLS_SHOWN; i++)
            if (c->tests[t].outcome[i] == outcome) {
                md_one_cell(f, c->claim->tests[t].name, c->tests[t].v[i], outcome);
                shown++;
            }
    return shown;
}

/* The rarer outcome comes first: it is what decides between a verdict and CONDITIONAL. */
static void md_cells(FILE *f, const struct nb_case_of *c)
{
    static const enum nb_outcome outcomes[] = {NB_FAILS, NB_HOLDS, NB_OPEN, NB_MISSING};
    enum { KINDS = sizeof outcomes / sizeof *outcomes };
    size_t count[KINDS], all = 0, shown = 0;
    for (size_t k = 0; k < KINDS; k++)
        all += count[k] = count_cells(c, outcomes[k]);
    if (all < 2)
        return;
    fprintf(f, "\n<details><summary>%zu cells</summary>\n", all);
    fputs("\n| test | where | value | interval | n | outcome |\n|---|---|---|---|---|---|\n", f);
    for (size_t turn = 0; turn < KINDS; turn++) {
        size_t rarest = 0;
        for (size_t k = 1; k < KINDS; k++)
            rarest = count[k] < count[rarest] ? k : rarest;
        shown += md_cells_of(f, c, outcomes[rarest]);
        count[rarest] = SIZE_MAX;
    }
    if (all > shown)
        fprintf(f, "\nAnd %zu more: `claims.json`.\n", all - shown);
    fputs("\n</details>\n", f);
}

static void md_section(FILE *f, const struct nb_account *a, const struct nb_case_of *c)
{
    char *repro = nb_account_repro(a, c->claim);
    fputs("\n## ", f);
    nb_md(f, c->claim->id);
    fputs(": ", f);
    nb_md(f, c->claim->title);
    fprintf(f, "\n\n**%s**", nb_finding_name(c->judgement.finding));
    if (c->judgement.regime[0] != '\0') {
        fputs(": holds where ", f);
        nb_md(f, c->judgement.regime);
    }
    if (c->judgement.reason[0] != '\0') {
        fputs(c->judgement.regime[0] != '\0' ? "; " : ": ", f);
        nb_md(f, c->judgement.reason);
    }
    fputs("\n\n", f);
    md_item(f, "statement", c->claim->statement);
    md_item(f, "source", c->claim->source);
    md_item(f, "would be refuted by", c->claim->refuted_by);
    for (size_t t = 0; t < c->claim->test_count && c->judgement.finding != NB_UNTRIED; t++)
        md_test(f, a, c, t);
    md_item(f, "why", c->claim->why);
    fputs("- again: ", f);
    nb_md_code(f, repro);
    free(repro);
    fputc('\n', f);
    if (c->judgement.finding != NB_UNTRIED)
        md_cells(f, c);
}

static void md_pair(void *context, const struct nb_case_of *a, const struct nb_case_of *b)
{
    FILE *f = context;
    const struct nb_case_of *const both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        fputs("| ", f);
        nb_md(f, both[i]->claim->id);
        md_cell(f, both[i]->claim->statement);
        md_cell(f, nb_finding_name(both[i]->judgement.finding));
        md_cell(f, i == 0 ? "" : both_say(a, b));
        fputs(" |\n", f);
    }
}

void nb_account_md(FILE *f, const struct nb_account *a)
{
    char counts[200];
    const struct nb_hearing *h = a->hearing;
    nb_account_count(h, counts, sizeof counts);
    fprintf(f, "# Claims about norms, tried\n\n%s.", counts);
    fputs(h->interrupted ? " **Interrupted**: what is UNTRIED was not finished.\n\n" : "\n\n", f);
    nb_md(f, a->cpu);
    fputs("; ", f);
    nb_md(f, a->compiler);
    fprintf(f, "; normbench " NB_VERSION ", git ");
    nb_md(f, nb_host_git());
    fprintf(f, "; effort %s; seed %llu; %.0f s. How verdicts are formed: docs/court.md.\n\n", EFFORTS[h->effort],
            (unsigned long long)h->seed, a->seconds);
    nb_md_code(f, a->command);
    fputs("\n\n| id | verdict | claim | measured | noise floor | regime, or why |\n|---|---|---|---|---|---|\n", f);
    for (size_t i = 0; i < h->case_count; i++)
        md_row(f, &h->cases[i]);
    if (each_pair(h, NULL, NULL) > 0)
        fputs("\n## Claims that contradict each other\n\n| id | statement | verdict | together |\n|---|---|---|---|\n", f);
    each_pair(h, md_pair, f);
    for (size_t i = 0; i < h->case_count; i++)
        md_section(f, a, &h->cases[i]);
}

/* ---- lists ---- */

static void dump(FILE *f, json_t *array)
{
    json_dumpf(array, f, JSON_INDENT(1));
    fputc('\n', f);
    json_decref(array);
}

static json_t *experiment_json(const struct nb_experiment *e)
{
    json_t *parameters = json_array();
    for (size_t i = 0; i < e->parameter_count; i++) {
        const struct nb_parameter *p = &e->parameters[i];
        const bool numbers = p->kind == NB_NUMBERS;
        json_array_append_new(parameters, json_pack("{ss ss ss so so so}", "name", p->name, "default", p->value, "says", p->says,
                                                    "least", numbers ? number(p->least) : json_null(), "most",
                                                    numbers ? number(p->most) : json_null(), "choices",
                                                    p->kind == NB_CHOICES ? json_string(p->choices) : json_null()));
    }
    return json_pack("{ss ss ss ss sb so}", "name", e->name, "says", e->says, "quantities", e->quantities, "arguments", e->arguments,
                     "timed", e->timed, "parameters", parameters);
}

static void print_parameter(FILE *f, const struct nb_parameter *p)
{
    fprintf(f, "    %-14s %-22s %s", p->name, p->value, p->says);
    if (p->kind == NB_CHOICES)
        fprintf(f, ": %s", p->choices);
    else if (p->kind == NB_NUMBERS)
        fprintf(f, ", %g to %g", p->least, p->most);
    fputc('\n', f);
}

void nb_list_experiments(FILE *f, bool json)
{
    json_t *array = json_array();
    for (size_t i = 0; i < nb_court_experiments(); i++) {
        const struct nb_experiment *e = nb_court_experiment(i);
        if (json) {
            json_array_append_new(array, experiment_json(e));
            continue;
        }
        fprintf(f, "%s%s: %s\n  observes      %s\n", i > 0 ? "\n" : "", e->name, e->says, e->quantities);
        if (e->arguments[0] != '\0')
            fprintf(f, "  in brackets   %s\n", e->arguments);
        fprintf(f, "  about         %g s, quick %g s, full %g s%s\n", e->seconds[NB_USUAL], e->seconds[NB_QUICK], e->seconds[NB_FULL],
                e->timed ? "; timed" : "");
        for (size_t k = 0; k < e->parameter_count; k++)
            print_parameter(f, &e->parameters[k]);
    }
    if (json)
        dump(f, array);
    else
        json_decref(array);
}

static json_t *claim_json(const struct nb_claim *c)
{
    json_t *experiments = json_array();
    for (size_t t = 0; t < c->test_count; t++)
        json_array_append_new(experiments, json_string(c->tests[t].experiment->name));
    return json_pack("{ss so so so so}", "id", c->id, "title", text_json(c->title), "statement", text_json(c->statement), "untestable",
                     text_or_null(c->untestable), "experiments", experiments);
}

void nb_list_claims(FILE *f, const struct nb_claims *claims, bool json)
{
    json_t *array = json_array();
    for (size_t i = 0; i < claims->n; i++) {
        const struct nb_claim *c = &claims->v[i];
        if (json) {
            json_array_append_new(array, claim_json(c));
            continue;
        }
        fprintf(f, "%-*s", ID, c->id);
        nb_plain_padded(f, c->title, 62);
        for (size_t t = 0; t < c->test_count; t++)
            fprintf(f, "%s%s", t > 0 ? ", " : "", c->tests[t].experiment->name);
        fprintf(f, "%s\n", c->untestable != NULL ? "not testable" : "");
    }
    if (json)
        dump(f, array);
    else
        json_decref(array);
}
