#include "regime.h"

#include "err.h"
#include "grammar.h"

#include <math.h>
#include <string.h>

enum { KEYS_MAX = 24, TEXT = 800, LISTED = 3, VALUE = 200, GROUPS_MAX = 8 };

/* Some of the cells, and the keys that all of them have. */
struct cells {
    const struct nb_decided **v;
    size_t n;
    char keys[KEYS_MAX][48];
    size_t key_count;
};

static void value_of(const struct nb_decided *d, const char *key, char value[VALUE])
{
    if (strcmp(key, "test") == 0)
        snprintf(value, VALUE, "%s", d->test);
    else if (!nb_where_get(d->where, key, value, VALUE))
        value[0] = '\0';
}

static bool is(const struct nb_decided *d, const char *key, const char *value)
{
    char own[VALUE];
    value_of(d, key, own);
    return strcmp(own, value) == 0;
}

/* How many of the cells with this value hold, and how many fail. */
static void count(const struct cells *c, const char *key, const char *value, size_t *holds, size_t *fails)
{
    *holds = *fails = 0;
    for (size_t i = 0; i < c->n; i++)
        if (is(c->v[i], key, value))
            ++*(c->v[i]->holds ? holds : fails);
}

/* Whether cell i is the first one with its value of the key; the value. */
static bool first(const struct cells *c, const char *key, size_t i, char value[VALUE])
{
    value_of(c->v[i], key, value);
    for (size_t j = 0; j < i; j++)
        if (is(c->v[j], key, value))
            return false;
    return true;
}

static bool several_tests(const struct cells *c)
{
    for (size_t i = 1; i < c->n; i++)
        if (strcmp(c->v[i]->test, c->v[0]->test) != 0)
            return true;
    return false;
}

/* The keys that every cell has: the test where there are several, then those of the first cell in order. */
static void find_keys(struct cells *c)
{
    char value[VALUE];
    c->key_count = 0;
    if (several_tests(c))
        strcpy(c->keys[c->key_count++], "test");
    for (const char *p = c->v[0]->where; *p != '\0' && c->key_count < KEYS_MAX; p += strcspn(p, " "), p += *p == ' ') {
        char *key = c->keys[c->key_count];
        bool all = strcspn(p, "=") < sizeof c->keys[0];
        snprintf(key, sizeof c->keys[0], "%.*s", (int)strcspn(p, "="), p);
        for (size_t i = 0; i < c->n; i++)
            all = all && nb_where_get(c->v[i]->where, key, value, sizeof value);
        c->key_count += all;
    }
}

static void add(char *text, size_t len, const char *more)
{
    const size_t n = strlen(text);
    if (n + 1 < len)
        snprintf(text + n, len - n, "%s", more);
}

static void keep_shorter(char *best, size_t len, const char *text)
{
    if (best[0] == '\0' || strlen(text) < strlen(best))
        snprintf(best, len, "%s", text);
}

/* ---- one key ---- */

/* Its values on either side, as lists and, where all are numbers, as their ends. */
struct split {
    char list[2][TEXT]; /* fails, holds */
    double least[2], most[2];
    size_t values[2];
    bool numbers, separates;
};

static void split_value(struct split *s, const char *value, bool holds)
{
    char *end;
    const double v = strtod(value, &end);
    if (s->values[holds]++ > 0)
        add(s->list[holds], TEXT, "|");
    add(s->list[holds], TEXT, value);
    s->numbers = s->numbers && end != value && *end == '\0';
    s->least[holds] = fmin(s->least[holds], v);
    s->most[holds] = fmax(s->most[holds], v);
}

static void split_by(const struct cells *c, const char *key, struct split *s)
{
    char value[VALUE];
    size_t holds, fails;
    *s = (struct split){.least = {INFINITY, INFINITY}, .most = {-INFINITY, -INFINITY}, .numbers = true, .separates = true};
    for (size_t i = 0; i < c->n; i++)
        if (first(c, key, i, value)) {
            count(c, key, value, &holds, &fails);
            s->separates = s->separates && (holds == 0 || fails == 0);
            split_value(s, value, holds > 0);
        }
}

/* key=a|b, or key>=end */
static void add_side(char *text, size_t len, const char *key, const char *relation, const char *list, double end)
{
    char number[32];
    snprintf(number, sizeof number, "%g", end);
    add(text, len, key);
    add(text, len, relation);
    add(text, len, strlen(relation) == 2 ? number : list);
}

/* "residency=L2, not DRAM"; false where this key alone does not tell the cells apart. */
static bool one_key(const struct cells *c, const char *key, char *text, size_t len)
{
    struct split s;
    split_by(c, key, &s);
    text[0] = '\0';
    if (!s.separates || s.values[0] == 0 || s.values[1] == 0)
        return false;
    const bool above = s.numbers && s.least[1] > s.most[0], below = s.numbers && s.most[1] < s.least[0];
    add_side(text, len, key, s.values[1] > 1 && above ? ">=" : s.values[1] > 1 && below ? "<=" : "=", s.list[1],
             above ? s.least[1] : s.most[1]);
    add(text, len, ", not ");
    add_side(text, len, "", s.values[0] > 1 && above ? "<=" : s.values[0] > 1 && below ? ">=" : "", s.list[0],
             above ? s.most[0] : s.least[0]);
    return true;
}

/* ---- several ---- */

static bool describe(const struct cells *c, unsigned keys, char *text, size_t len);

/* Values of one key, and what else their cells need to hold ("": nothing). */
struct group {
    char values[TEXT], rest[TEXT];
};

static bool add_to_group(struct group *g, size_t *n, const char *value, const char *rest)
{
    size_t i = 0;
    while (i < *n && strcmp(g[i].rest, rest) != 0)
        i++;
    if (i == GROUPS_MAX)
        return false;
    if (i == *n) {
        g[(*n)++].values[0] = '\0';
        snprintf(g[i].rest, TEXT, "%s", rest);
    }
    add(g[i].values, TEXT, g[i].values[0] != '\0' ? "|" : "");
    add(g[i].values, TEXT, value);
    return true;
}

static bool describe_value(const struct cells *c, const char *key, const char *value, unsigned keys, char rest[TEXT])
{
    struct cells some = {.v = malloc(c->n * sizeof *some.v)};
    NB_ASSERT(some.v != NULL);
    for (size_t i = 0; i < c->n; i++)
        if (is(c->v[i], key, value))
            some.v[some.n++] = c->v[i];
    find_keys(&some);
    const bool found = describe(&some, keys, rest, TEXT);
    free(some.v);
    return found;
}

static void print_groups(const char *key, const struct group *g, size_t n, char *text, size_t len)
{
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const bool nested = strchr(g[i].rest, ';') != NULL, any = g[i].rest[0] != '\0';
        const char *const words[] = {i > 0 ? "; " : "", key, "=", g[i].values, any ? " and " : "", nested ? "(" : "", g[i].rest,
                                     nested ? ")" : ""};
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            add(text, len, words[w]);
    }
}

/* "dtype=f32; dtype=bf16 and residency=L2, not DRAM": a first key, and what divides those values of it that it does not. */
static bool first_key(const struct cells *c, const char *key, unsigned keys, char *text, size_t len)
{
    char value[VALUE], rest[TEXT];
    struct group *g = malloc(GROUPS_MAX * sizeof *g);
    size_t holds, fails, n = 0;
    bool all = true;
    NB_ASSERT(g != NULL);
    for (size_t i = 0; all && i < c->n; i++) {
        if (!first(c, key, i, value))
            continue;
        count(c, key, value, &holds, &fails);
        rest[0] = '\0';
        if (holds > 0 && fails > 0)
            all = describe_value(c, key, value, keys - 1, rest);
        if (all && holds > 0)
            all = add_to_group(g, &n, value, rest);
    }
    if (all)
        print_groups(key, g, n, text, len);
    free(g);
    return all;
}

/* The shortest text of so many keys, or fewer; of three keys the first one is the test. */
static bool describe(const struct cells *c, unsigned keys, char *text, size_t len)
{
    char part[TEXT];
    text[0] = '\0';
    for (size_t i = 0; i < c->key_count; i++)
        if (one_key(c, c->keys[i], part, sizeof part))
            keep_shorter(text, len, part);
    for (unsigned k = 2; text[0] == '\0' && k <= keys; k++)
        for (size_t i = 0; i < (k > 2 ? 1 : c->key_count); i++)
            if (first_key(c, c->keys[i], k, part, sizeof part))
                keep_shorter(text, len, part);
    return text[0] != '\0';
}

/* ---- all of it ---- */

static void list_some(const struct nb_decided *v, size_t n, bool holds, char *text, size_t len)
{
    size_t of_kind = 0;
    char more[40];
    for (size_t i = 0; i < n; i++)
        if (v[i].holds == holds && ++of_kind <= LISTED) {
            add(text, len, of_kind > 1 ? "; " : "");
            add(text, len, v[i].where[0] != '\0' ? v[i].where : v[i].test);
        }
    snprintf(more, sizeof more, "; and %zu more", of_kind - LISTED);
    if (of_kind > LISTED)
        add(text, len, more);
}

void nb_regime(const struct nb_decided *v, size_t n, char *text, size_t len)
{
    struct cells all = {.v = malloc(n * sizeof *all.v), .n = n};
    NB_ASSERT(all.v != NULL);
    for (size_t i = 0; i < n; i++)
        all.v[i] = &v[i];
    find_keys(&all);
    const bool found = describe(&all, several_tests(&all) ? 3 : 2, text, len);
    free(all.v);
    if (found)
        return;
    list_some(v, n, true, text, len);
    add(text, len, ", not ");
    list_some(v, n, false, text, len);
}
