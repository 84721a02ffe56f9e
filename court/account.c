#include "account_parts.h"

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

void nb_put(char *text, size_t len, const char *format, ...)
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
        nb_put(text, len, "-");
        return;
    }
    if (s.nan == s.seen) {
        nb_put(text, len, "not a number");
        return;
    }
    nb_put(text, len, "%.4g", s.least);
    if (s.most > s.least)
        nb_put(text, len, " to %.4g", s.most);
    if (s.low < s.least || s.high > s.most)
        nb_put(text, len, " [%.4g, %.4g]", s.low, s.high);
    nb_put(text, len, "%s%s", s.unit[0] != '\0' ? " " : "", s.unit);
    if (heard->n > 1)
        nb_put(text, len, ", %zu cells", s.seen);
    if (s.nan > 0)
        nb_put(text, len, ", %zu of them not a number", s.nan);
    if (s.most_n == 0)
        nb_put(text, len, ", exact");
    else if (s.least_n == s.most_n)
        nb_put(text, len, ", %zu %s", s.most_n, s.of);
    else
        nb_put(text, len, ", %zu to %zu %s", s.least_n, s.most_n, s.of);
}

void nb_noise(const struct nb_heard *heard, char *text, size_t len)
{
    const struct summary s = summarize(heard);
    text[0] = '\0';
    nb_put(text, len, isnan(s.noise) ? "-" : "%.2g", s.noise);
}

void nb_outcomes(const struct nb_heard *heard, char *text, size_t len)
{
    static const char *const words[] = {[NB_HOLDS] = "hold", [NB_FAILS] = "fail", [NB_OPEN] = "open", [NB_MISSING] = "missing"};
    static const enum nb_outcome order[] = {NB_HOLDS, NB_FAILS, NB_OPEN, NB_MISSING};
    size_t count[4] = {0};
    text[0] = '\0';
    for (size_t i = 0; i < heard->n; i++)
        count[heard->outcome[i]]++;
    for (size_t k = 0; k < 4 && heard->n > 1; k++)
        if (count[order[k]] > 0)
            nb_put(text, len, "%s%zu %s", text[0] != '\0' ? ", " : "", count[order[k]], words[order[k]]);
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
    char measured[200], noise[32], outcomes[80], text[800];
    const struct nb_test *test = &c->claim->tests[t];
    const struct nb_heard *heard = &c->tests[t];
    if (heard->n == 0)
        return;
    nb_measured(heard, measured, sizeof measured);
    nb_noise(heard, noise, sizeof noise);
    nb_outcomes(heard, outcomes, sizeof outcomes);
    snprintf(text, sizeof text, "%s%s%s: %s%s%s (%.100s)%s%s", c->claim->test_count > 1 ? test->name : "",
             c->claim->test_count > 1 ? " " : "", test->quantity, measured, noise[0] != '-' ? ", noise floor " : "",
             noise[0] != '-' ? noise : "", test->holds_text, outcomes[0] != '\0' ? ": " : "", outcomes);
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

static bool names(const struct nb_claim *c, const char *id)
{
    for (size_t i = 0; i < c->against_count; i++)
        if (strcmp(c->against[i], id) == 0)
            return true;
    return false;
}

size_t nb_each_pair(const struct nb_hearing *h, void (*take)(void *context, const struct nb_case_of *a, const struct nb_case_of *b),
                    void *context)
{
    size_t count = 0;
    for (size_t i = 0; i < h->case_count; i++)
        for (size_t k = i + 1; k < h->case_count; k++) {
            const struct nb_claim *a = h->cases[i].claim, *b = h->cases[k].claim;
            if (!names(a, b->id) && !names(b, a->id))
                continue;
            if (take != NULL)
                take(context, &h->cases[i], &h->cases[k]);
            count++;
        }
    return count;
}

/* "C27 holds", "C26 holds where depth=6, not >=12" */
static void one_says(const struct nb_case_of *c, char *text, size_t len)
{
    const struct nb_judgement *j = &c->judgement;
    static const char *const words[NB_FINDING_COUNT] = {"was not tried", "holds", "does not hold", "holds where ", "is not resolved",
                                                        "cannot be tried"};
    nb_put(text, len, "%s %s%s", c->claim->id, words[j->finding], j->finding == NB_CONDITIONAL ? j->regime : "");
}

void nb_both_say(const struct nb_case_of *a, const struct nb_case_of *b, char *text, size_t len)
{
    const enum nb_finding x = a->judgement.finding, y = b->judgement.finding;
    const bool one = x == NB_REPRODUCED || y == NB_REPRODUCED, other = x == NB_REFUTED || y == NB_REFUTED;
    text[0] = '\0';
    one_says(a, text, len);
    nb_put(text, len, "; ");
    one_says(b, text, len);
    nb_put(text, len, "%s", x == NB_REPRODUCED && y == NB_REPRODUCED ? ": both hold as they are tested, compare their conditions"
                            : one && other                            ? ": this is decided"
                                                                      : "");
}

static void print_pair(void *context, const struct nb_case_of *a, const struct nb_case_of *b)
{
    const struct nb_case_of *const both[] = {a, b};
    char together[2000];
    FILE *f = context;
    nb_both_say(a, b, together, sizeof together);
    for (int i = 0; i < 2; i++) {
        fprintf(f, "  %-*s%-*s", ID, both[i]->claim->id, FINDING, nb_finding_name(both[i]->judgement.finding));
        nb_plain(f, both[i]->claim->statement);
        fputc('\n', f);
    }
    fputs("  ", f);
    nb_plain(f, together);
    fputc('\n', f);
}

void nb_account_against(FILE *f, const struct nb_hearing *h)
{
    if (nb_each_pair(h, NULL, NULL) == 0)
        return;
    fputs("\nclaims that contradict each other\n", f);
    nb_each_pair(h, print_pair, f);
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
            nb_put(text, len, "%s%zu %s", text[0] != '\0' ? ", " : "", count[v], nb_finding_name(v));
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

const char *nb_effort_name(enum nb_effort e)
{
    static const char *const names[] = {"quick", "default", "full"};
    return names[e];
}
