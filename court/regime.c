#include "regime.h"

#include "err.h"
#include "grammar.h"

#include <math.h>
#include <string.h>

enum { KEYS_MAX = 24, TEXT = 800, LISTED = 8, VALUE = 200, GROUPS_MAX = 8 };

/* Some of the cells, and the keys that all of them have. */
struct cells {
    const struct nb_regime_cell **v;
    size_t n;
    char keys[KEYS_MAX][48];
    size_t key_count;
};

static void value_of(const struct nb_regime_cell *d, const char *key, char value[VALUE])
{
    if (strcmp(key, "test") == 0)
        snprintf(value, VALUE, "%s", d->test);
    else if (!nb_where_get(d->where, key, value, VALUE))
        value[0] = '\0';
}

static bool is(const struct nb_regime_cell *d, const char *key, const char *value)
{
    char own[VALUE];
    value_of(d, key, own);
    return strcmp(own, value) == 0;
}

/* How many of the cells with this value are open, hold and fail: by enum nb_outcome. */
static void count(const struct cells *c, const char *key, const char *value, size_t of[3])
{
    of[NB_OPEN] = of[NB_HOLDS] = of[NB_FAILS] = 0;
    for (size_t i = 0; i < c->n; i++)
        of[c->v[i]->outcome] += is(c->v[i], key, value);
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

/* Behind a condition: what it covers without knowing. */
static void add_open(char *text, size_t open, size_t cells)
{
    char note[80];
    snprintf(note, sizeof note, " (%zu of %zu such cells are open)", open, cells);
    add(text, TEXT, open > 0 ? note : "");
}

struct description {
    char text[TEXT]; /* "": none was found */
    size_t open;     /* cells of which it says that they hold or fail, and which are open */
    unsigned keys;
};

/* What says nothing of open cells is better than what does; then fewer keys, then a shorter text. */
static void keep_better(struct description *best, const struct description *d)
{
    const bool better = d->open != best->open ? d->open < best->open
                        : d->keys != best->keys ? d->keys < best->keys
                                                : strlen(d->text) < strlen(best->text);
    if (best->text[0] == '\0' || better)
        *best = *d;
}

/* ---- one key ---- */

/* Its values, each where its decided cells are, those with open cells alone apart: as lists and, where all are numbers, as their
 * ends. By enum nb_outcome. */
struct split {
    char list[3][TEXT];
    double least[3], most[3];
    size_t values[3], cells[3], open[3];
    bool numbers, separates;
};

static void split_value(struct split *s, const char *value, const size_t of[3])
{
    char *end;
    const double v = strtod(value, &end);
    const enum nb_outcome side = of[NB_HOLDS] > 0 ? NB_HOLDS : of[NB_FAILS] > 0 ? NB_FAILS : NB_OPEN;
    if (s->values[side]++ > 0)
        add(s->list[side], TEXT, "|");
    add(s->list[side], TEXT, value);
    s->numbers = s->numbers && end != value && *end == '\0';
    s->separates = s->separates && (of[NB_HOLDS] == 0 || of[NB_FAILS] == 0);
    s->least[side] = fmin(s->least[side], v);
    s->most[side] = fmax(s->most[side], v);
    s->cells[side] += of[NB_OPEN] + of[NB_HOLDS] + of[NB_FAILS];
    s->open[side] += of[NB_OPEN];
}

static void split_by(const struct cells *c, const char *key, struct split *s)
{
    char value[VALUE];
    size_t of[3];
    *s = (struct split){.least = {INFINITY, INFINITY, INFINITY}, .most = {-INFINITY, -INFINITY, -INFINITY}, .numbers = true,
                        .separates = true};
    for (size_t i = 0; i < c->n; i++)
        if (first(c, key, i, value)) {
            count(c, key, value, of);
            split_value(s, value, of);
        }
}

/* ">=" or "<=" where the values of a side lie beyond all others, else "=". */
static const char *relation_of(const struct split *s, enum nb_outcome side)
{
    bool above = s->numbers && s->values[side] > 1, below = above;
    for (int other = 0; other < 3; other++) {
        above = above && (other == (int)side || s->least[side] > s->most[other]);
        below = below && (other == (int)side || s->most[side] < s->least[other]);
    }
    return above ? ">=" : below ? "<=" : "=";
}

/* key=a|b, or key>=end; without its "=" where the key was named before. */
static void add_side(char *text, const char *key, const struct split *s, enum nb_outcome side)
{
    const char *relation = relation_of(s, side);
    char number[32];
    snprintf(number, sizeof number, "%g", relation[0] == '>' ? s->least[side] : s->most[side]);
    add(text, TEXT, key);
    add(text, TEXT, key[0] != '\0' || relation[0] != '=' ? relation : "");
    add(text, TEXT, relation[0] != '=' ? number : s->list[side]);
    add_open(text, side != NB_OPEN ? s->open[side] : 0, s->cells[side]);
}

/* "residency=L2, not DRAM, open L3"; false where this key alone does not tell cells that hold from those that fail, or there is nothing
 * to be told apart. */
static bool one_key(const struct cells *c, const char *key, struct description *d)
{
    struct split *s = malloc(sizeof *s);
    NB_ASSERT(s != NULL);
    split_by(c, key, s);
    const bool can = s->separates && s->values[NB_HOLDS] > 0 && s->values[NB_FAILS] + s->values[NB_OPEN] > 0;
    *d = (struct description){.open = s->open[NB_HOLDS] + s->open[NB_FAILS], .keys = 1};
    if (can)
        add_side(d->text, key, s, NB_HOLDS);
    if (can && s->values[NB_FAILS] > 0) {
        add(d->text, TEXT, ", not ");
        add_side(d->text, "", s, NB_FAILS);
    }
    if (can && s->values[NB_OPEN] > 0) {
        add(d->text, TEXT, ", open ");
        add_side(d->text, "", s, NB_OPEN);
    }
    free(s);
    return can;
}

/* ---- several ---- */

static bool describe(const struct cells *c, unsigned keys, struct description *best);

/* Values of one key, and what else their cells need to hold ("": nothing). */
struct group {
    char values[TEXT], rest[TEXT];
    size_t cells, open; /* where they need nothing else */
};

static bool add_to_group(struct group *g, size_t *n, const char *value, const char *rest, const size_t of[3])
{
    size_t i = 0;
    while (i < *n && strcmp(g[i].rest, rest) != 0)
        i++;
    if (i == GROUPS_MAX)
        return false;
    if (i == *n) {
        g[i] = (struct group){.cells = 0};
        snprintf(g[(*n)++].rest, TEXT, "%s", rest);
    }
    add(g[i].values, TEXT, g[i].values[0] != '\0' ? "|" : "");
    add(g[i].values, TEXT, value);
    g[i].cells += of[NB_HOLDS] + of[NB_OPEN];
    g[i].open += of[NB_OPEN];
    return true;
}

static bool describe_value(const struct cells *c, const char *key, const char *value, unsigned keys, struct description *d)
{
    struct cells some = {.v = malloc(c->n * sizeof *some.v)};
    NB_ASSERT(some.v != NULL);
    for (size_t i = 0; i < c->n; i++)
        if (is(c->v[i], key, value))
            some.v[some.n++] = c->v[i];
    find_keys(&some);
    const bool found = describe(&some, keys, d);
    free(some.v);
    return found;
}

static void print_groups(const char *key, const struct group *g, size_t n, char *text)
{
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const bool nested = strchr(g[i].rest, ';') != NULL, any = g[i].rest[0] != '\0';
        const char *const words[] = {i > 0 ? "; " : "", key, "=", g[i].values, any ? " and " : "", nested ? "(" : "", g[i].rest,
                                     nested ? ")" : ""};
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            add(text, TEXT, words[w]);
        add_open(text, any ? 0 : g[i].open, g[i].cells);
    }
}

/* What cells with a value need besides, into rest; false: no more keys tell. Where none of them fails nothing is needed, and more keys
 * are only to leave out those that are open. */
static bool describe_rest(const struct cells *c, const char *key, const char *value, unsigned keys, const size_t of[3],
                          struct description *rest)
{
    *rest = (struct description){.open = of[NB_OPEN]};
    if (of[NB_FAILS] == 0 && of[NB_OPEN] == 0)
        return true;
    struct description more;
    const bool found = describe_value(c, key, value, keys, &more);
    if (found && (of[NB_FAILS] > 0 || more.open < of[NB_OPEN]))
        *rest = more;
    return found || of[NB_FAILS] == 0;
}

/* "dtype=f32; dtype=bf16 and residency=L2, not DRAM": a first key, and what divides those values of it that it does not. */
static bool first_key(const struct cells *c, const char *key, unsigned keys, struct description *d)
{
    char value[VALUE];
    struct description rest;
    struct group *g = malloc(GROUPS_MAX * sizeof *g);
    size_t of[3], n = 0;
    bool all = true;
    NB_ASSERT(g != NULL);
    *d = (struct description){.keys = keys};
    for (size_t i = 0; all && i < c->n; i++) {
        if (!first(c, key, i, value))
            continue;
        count(c, key, value, of);
        if (of[NB_HOLDS] == 0) {
            d->open += of[NB_FAILS] > 0 ? of[NB_OPEN] : 0; /* not named, as what fails */
            continue;
        }
        all = describe_rest(c, key, value, keys - 1, of, &rest) && add_to_group(g, &n, value, rest.text, of);
        d->open += rest.open;
    }
    if (all)
        print_groups(key, g, n, d->text);
    free(g);
    return all;
}

/* The best of so many keys, or fewer; of three keys the first one is the test. */
static bool describe(const struct cells *c, unsigned keys, struct description *best)
{
    struct description d;
    *best = (struct description){.open = 0};
    for (size_t i = 0; i < c->key_count; i++)
        if (one_key(c, c->keys[i], &d))
            keep_better(best, &d);
    for (unsigned k = 2; k <= keys && (best->text[0] == '\0' || best->open > 0); k++)
        for (size_t i = 0; i < (k > 2 ? 1 : c->key_count); i++)
            if (first_key(c, c->keys[i], k, &d))
                keep_better(best, &d);
    return best->text[0] != '\0';
}

/* ---- where no description tells them apart ---- */

/* Decided cells that would be wrong if each value of the key had the outcome of most of its cells. */
static size_t wrong_by(const struct cells *c, const char *key)
{
    char value[VALUE];
    size_t of[3], wrong = 0;
    for (size_t i = 0; i < c->n; i++)
        if (first(c, key, i, value)) {
            count(c, key, value, of);
            wrong += of[NB_HOLDS] < of[NB_FAILS] ? of[NB_HOLDS] : of[NB_FAILS];
        }
    return wrong;
}

/* The key that tells most, the first of equals; NULL: there is none. */
static const char *telling_key(const struct cells *c)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < c->key_count; i++) {
        const size_t wrong = wrong_by(c, c->keys[i]);
        if (wrong < least) {
            least = wrong;
            best = c->keys[i];
        }
    }
    return best;
}

/* "test=best: 3 of 10 decided cells, same: 1 of 18" */
static void list_counts(const struct cells *c, const char *key, char *text)
{
    char value[VALUE], part[VALUE + 60];
    size_t of[3], values = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!first(c, key, i, value))
            continue;
        count(c, key, value, of);
        if (of[NB_HOLDS] + of[NB_FAILS] == 0 || ++values > LISTED)
            continue;
        snprintf(part, sizeof part, "%s%s: %zu of %zu%s", values > 1 ? ", " : "", value, of[NB_HOLDS], of[NB_HOLDS] + of[NB_FAILS],
                 values > 1 ? "" : " decided cells");
        add(text, TEXT, values > 1 ? "" : key);
        add(text, TEXT, values > 1 ? "" : "=");
        add(text, TEXT, part);
    }
    snprintf(part, sizeof part, ", and %zu values more", values - LISTED);
    add(text, TEXT, values > LISTED ? part : "");
}

static void list_all(const struct cells *c, char *text)
{
    size_t of[3] = {0};
    for (size_t i = 0; i < c->n; i++)
        of[c->v[i]->outcome]++;
    snprintf(text, TEXT, "%zu of %zu decided cells", of[NB_HOLDS], of[NB_HOLDS] + of[NB_FAILS]);
}

/* ---- all of it ---- */

void nb_regime(const struct nb_regime_cell *v, size_t n, char *text, size_t len)
{
    struct cells all = {.v = malloc(n * sizeof *all.v), .n = n};
    struct description d;
    NB_ASSERT(all.v != NULL);
    for (size_t i = 0; i < n; i++)
        all.v[i] = &v[i];
    find_keys(&all);
    if (!describe(&all, several_tests(&all) ? 3 : 2, &d)) {
        const char *key = telling_key(&all);
        if (key != NULL)
            list_counts(&all, key, d.text);
        else
            list_all(&all, d.text);
    }
    snprintf(text, len, "%s", d.text);
    free(all.v);
}
