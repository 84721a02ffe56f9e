#include "ask.h"

#include <stdlib.h>
#include <string.h>

struct asked {
    const char *text;
    struct nb_question q;
    struct nb_test *test;
    bool *given; /* [parameters]: set by an argument or a term */
    struct nb_err *err;
};

/* ---- the experiment of a quantity ---- */

/* False: there is no room for it. */
static bool add_word(char *text, size_t len, const char *word)
{
    const size_t n = strlen(text);
    if (n + strlen(word) + 2 >= len)
        return false;
    snprintf(text + n, len - n, "%s%s", n > 0 ? " " : "", word);
    return true;
}

static enum nb_status unknown_quantity(const struct asked *a)
{
    char right[560] = "known:";
    bool all = true;
    for (size_t i = 0; i < nb_court_experiments(); i++)
        all = add_word(right, sizeof right - 64, nb_court_experiment(i)->quantities) && all;
    strcat(right, all ? "" : " ...");
    strcat(right, "\n`normbench list experiments` shows all of them");
    return nb_point(a->err, a->text, a->q.named, right, "no experiment observes \"%s\"", a->q.quantity);
}

static enum nb_status find_experiment(const struct asked *a, const struct nb_experiment **found)
{
    char both[300] = "say EXPERIMENT.QUANTITY with one of:";
    size_t count = 0;
    *found = NULL;
    for (size_t i = 0; i < nb_court_experiments(); i++) {
        const struct nb_experiment *e = nb_court_experiment(i);
        if (!nb_words_have(e->quantities, a->q.quantity) ||
            (a->q.experiment[0] != '\0' && strcmp(a->q.experiment, e->name) != 0))
            continue;
        *found = e;
        count++;
        add_word(both, sizeof both, e->name);
    }
    if (count > 1)
        return nb_point(a->err, a->text, a->q.named, both, "%zu experiments observe \"%s\"", count, a->q.quantity);
    return count == 1 ? NB_OK : unknown_quantity(a);
}

/* ---- parameters ---- */

static size_t parameter(const struct nb_experiment *e, const char *name, size_t length)
{
    size_t i = 0;
    while (i < e->parameter_count &&
           (strlen(e->parameters[i].name) != length || strncmp(e->parameters[i].name, name, length) != 0))
        i++;
    return i;
}

/* "a|b" as the list "a,b". */
static enum nb_status set(struct asked *a, size_t i, const char *value, struct nb_span span)
{
    struct nb_err inner;
    char list[200];
    const struct nb_parameter *p = &a->test->experiment->parameters[i];
    snprintf(list, sizeof list, "%s", value);
    for (char *bar; (bar = strchr(list, '|')) != NULL;)
        *bar = ',';
    if (a->given[i])
        return nb_point(a->err, a->text, span, "write several values as a|b", "%s is given twice", p->name);
    a->given[i] = true;
    return nb_value_copy(p, list, &a->test->values[i], &inner) == NB_OK ? NB_OK
                                                                         : nb_point(a->err, a->text, span, p->says, "%s", inner.text);
}

static enum nb_status set_arguments(struct asked *a)
{
    const struct nb_experiment *e = a->test->experiment;
    const char *word = e->arguments;
    enum nb_status s = NB_OK;
    for (size_t i = 0; s == NB_OK && i < a->q.argument_count; i++, word += strcspn(word, " "), word += strspn(word, " ")) {
        char right[200];
        snprintf(right, sizeof right, e->arguments[0] != '\0' ? "in brackets: %s" : "it has no arguments; say `where`", e->arguments);
        const size_t k = parameter(e, word, strcspn(word, " "));
        if (*word == '\0')
            return nb_point(a->err, a->text, a->q.argument_spans[i], right, "%s takes no such argument", a->q.quantity);
        NB_ASSERT(k < e->parameter_count);
        s = set(a, k, a->q.arguments[i], a->q.argument_spans[i]);
    }
    return s;
}

/* An order asked of a parameter that nobody sets: one of its values has to have it. */
static enum nb_status check_order(const struct asked *a, const struct nb_term *t, size_t i)
{
    const struct nb_parameter *p = &a->test->experiment->parameters[i];
    char right[300], where[260];
    if (p->kind != NB_NUMBERS)
        return NB_OK;
    for (const char *v = a->test->values[i]; *v != '\0'; v += strcspn(v, ","), v += *v == ',') {
        snprintf(where, sizeof where, "%s=%.*s", t->key, (int)strcspn(v, ","), v);
        if (nb_term_fit(t, where) != NB_FITS_NOT)
            return NB_OK;
    }
    snprintf(right, sizeof right, "say which ones: %s=a|b, numbers from %g to %g", p->name, p->least, p->most);
    return nb_point(a->err, a->text, t->span, right, "the experiment is run with %s=%.150s, and none of these is that", p->name,
                    a->test->values[i]);
}

static enum nb_status set_terms(struct asked *a)
{
    const struct nb_experiment *e = a->test->experiment;
    enum nb_status s = NB_OK;
    for (size_t i = 0; s == NB_OK && i < a->q.where.n; i++) {
        struct nb_term *t = &a->q.where.v[i];
        const size_t k = parameter(e, t->key, strlen(t->key));
        if (k < e->parameter_count && t->compare == NB_EQ) {
            s = set(a, k, t->values, t->span);
            t->sets = true;
        }
    }
    for (size_t i = 0; s == NB_OK && i < a->q.where.n; i++) {
        const size_t k = parameter(e, a->q.where.v[i].key, strlen(a->q.where.v[i].key));
        if (k < e->parameter_count && !a->q.where.v[i].sets)
            s = check_order(a, &a->q.where.v[i], k);
    }
    return s;
}

/* ---- the claim ---- */

static char *copy(const char *text, size_t n)
{
    char *c = strndup(text, n);
    NB_ASSERT(c != NULL);
    return c;
}

static void describe(struct nb_claim *c, const char *text)
{
    c->path = copy("", 0);
    c->id = copy("ask", 3);
    c->title = copy(text, strlen(text));
    c->statement = copy(text, strlen(text));
    c->source = copy("the command line", 16);
    c->refuted_by = copy("", 0);
    c->why = copy("", 0);
}

enum nb_status nb_ask(struct nb_claim *c, const char *text, struct nb_err *err)
{
    static const char right[] = "put a shorter claim";
    struct asked a = {.text = text, .err = err};
    const struct nb_experiment *e;
    *c = (struct nb_claim){.path = NULL};
    if (strlen(text) > 2000)
        return nb_point(err, text, (struct nb_span){2000, 1}, right, "longer than 2000 characters");
    enum nb_status s = nb_question_parse(text, &a.q, err);
    if (s == NB_OK)
        s = find_experiment(&a, &e);
    if (s != NB_OK)
        return s;
    c->tests = calloc(1, sizeof *c->tests);
    a.given = calloc(e->parameter_count + 1, sizeof *a.given);
    NB_ASSERT(c->tests != NULL && a.given != NULL);
    c->tests[0] = nb_test_of(e, "ask");
    c->test_count = 1;
    a.test = &c->tests[0];
    strcpy(a.test->quantity, a.q.quantity);
    a.test->holds = a.q.holds;
    free(a.test->holds_text);
    a.test->holds_text = copy(text + a.q.holds_span.at, a.q.holds_span.length);
    s = set_arguments(&a);
    if (s == NB_OK)
        s = set_terms(&a);
    a.test->where = a.q.where;
    if (s == NB_OK && a.q.where.n > 0) {
        free(a.test->where_text);
        a.test->where_text = copy(text + a.q.where.v[0].span.at, strlen(text + a.q.where.v[0].span.at));
    }
    describe(c, text);
    free(a.given);
    if (s != NB_OK)
        nb_claim_free(c);
    return s;
}
