#include "grammar.h"

#include "markup.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* ---- pointing at a word ---- */

enum { SHOWN = 100, BEFORE = 40 }; /* bytes of a long text that are shown, and of those before the word */

static size_t put(char *to, size_t room, size_t n, const char *text)
{
    const int more = n < room ? snprintf(to + n, room - n, "%s", text) : 0;
    return more > 0 ? n + (size_t)more : n;
}

/* Begins at a whole character. */
static size_t window_start(const char *text, struct nb_span span)
{
    size_t from = span.at > SHOWN - BEFORE ? span.at - BEFORE : 0;
    while (from > 0 && ((unsigned char)text[from] & 0xC0) == 0x80)
        from--;
    return from;
}

enum nb_status nb_point(struct nb_err *err, const char *text, struct nb_span span, const char *right, const char *wrong, ...)
{
    char message[400], line[4 * SHOWN] = "", mark[4 * SHOWN] = "", c[5] = "";
    va_list args;
    va_start(args, wrong);
    vsnprintf(message, sizeof message, wrong, args);
    va_end(args);
    const char *p = text + window_start(text, span), *const from = p;
    size_t n = put(line, sizeof line, 0, p > text ? "..." : ""), m = put(mark, sizeof mark, 0, p > text ? "   " : "");
    bool marked = false;
    while (*p != '\0' && p - from < SHOWN) {
        const size_t at = (size_t)(p - text);
        const bool inside = at >= span.at && at < span.at + span.length;
        c[nb_next_char(&p, c)] = '\0';
        n = put(line, sizeof line, n, c);
        if (inside || (!marked && at < span.at))
            m = put(mark, sizeof mark, m, inside ? "^" : " ");
        marked = marked || inside;
    }
    if (*p != '\0')
        put(line, sizeof line, n, "...");
    if (!marked) /* it is the end of the text that is wrong */
        put(mark, sizeof mark, m, "^");
    return nb_fail(err, "%s\n  %s\n  %s\n%s", message, line, mark, right);
}

/* ---- words ---- */

enum kind { END, WORD, COMPARE, SIGN };

struct lexer {
    const char *text;
    enum kind kind;
    enum nb_compare compare; /* of COMPARE */
    char sign;               /* of SIGN: ( ) [ ] , | or ~ for +- */
    struct nb_span span;     /* the word that is looked at */
    struct nb_err *err;
};

/* +- or its own character (U+00B1): bytes of it, or 0. */
static size_t plus_minus(const char *p)
{
    return strncmp(p, "+-", 2) == 0 || strncmp(p, "\xC2\xB1", 2) == 0 ? 2 : 0;
}

static size_t word_length(const char *p)
{
    size_t n = 0;
    while (p[n] != '\0' && strchr(" \t()[],|=<>!", p[n]) == NULL && (n == 0 || plus_minus(p + n) == 0))
        n++;
    return n;
}

static size_t comparison(struct lexer *l, const char *p)
{
    static const struct {
        const char *text;
        enum nb_compare compare;
    } all[] = {{">=", NB_GE}, {"<=", NB_LE}, {"!=", NB_NE}, {"=", NB_EQ}, {">", NB_GT}, {"<", NB_LT}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strncmp(p, all[i].text, strlen(all[i].text)) == 0) {
            l->kind = COMPARE;
            l->compare = all[i].compare;
            return strlen(all[i].text);
        }
    return 0;
}

/* Steps to the next word. A character that is none (a lone !) becomes a SIGN that nothing asks for. */
static void next(struct lexer *l)
{
    const size_t past = l->span.at + l->span.length;
    const char *p = l->text + past + strspn(l->text + past, " \t");
    size_t n;
    l->span.at = (size_t)(p - l->text);
    if (*p == '\0') {
        l->kind = END;
        n = 0;
    } else if ((n = comparison(l, p)) == 0) {
        const size_t both = plus_minus(p);
        n = both > 0 ? both : word_length(p);
        l->kind = both > 0 || n == 0 ? SIGN : WORD;
        l->sign = both > 0 ? '~' : *p;
        n += n == 0;
    }
    l->span.length = n;
}

static struct lexer begin(const char *text, struct nb_err *err)
{
    struct lexer l = {.text = text, .err = err};
    next(&l);
    return l;
}

static bool is_word(const struct lexer *l, const char *word)
{
    return l->kind == WORD && strlen(word) == l->span.length && strncmp(l->text + l->span.at, word, l->span.length) == 0;
}

static bool is_sign(const struct lexer *l, char sign)
{
    return l->kind == SIGN && l->sign == sign;
}

static enum nb_status wrong(const struct lexer *l, const char *what, const char *right)
{
    if (l->kind == END)
        return nb_point(l->err, l->text, l->span, right, "%s is missing at the end", what);
    return nb_point(l->err, l->text, l->span, right, "\"%.*s\" is no %s", (int)(l->span.length < 60 ? l->span.length : 60),
                    l->text + l->span.at, what);
}

/* Takes a word into a field of its own. */
static enum nb_status take(struct lexer *l, char *to, size_t len, const char *what, const char *right)
{
    if (l->kind != WORD)
        return wrong(l, what, right);
    if (l->span.length >= len)
        return nb_point(l->err, l->text, l->span, right, "%s is longer than %zu characters", what, len - 1);
    memcpy(to, l->text + l->span.at, l->span.length);
    to[l->span.length] = '\0';
    next(l);
    return NB_OK;
}

/* From where a span begins to the end of the word before the one that is looked at. */
static size_t length_so_far(const struct lexer *l, size_t from)
{
    size_t end = l->span.at;
    while (end > from && strchr(" \t", l->text[end - 1]) != NULL)
        end--;
    return end - from;
}

/* ---- numbers ---- */

/* A whole text as a number; a plain one, no 0x10 and no inf. */
static bool read_number(const char *text, bool percent, double *v)
{
    char *end;
    const size_t n = strlen(text), digits = strspn(text, "0123456789+-.eE");
    if (digits == 0 || (digits != n && !(percent && digits + 1 == n && text[digits] == '%')))
        return false;
    *v = strtod(text, &end);
    if (end != text + digits || !isfinite(*v))
        return false;
    if (digits != n)
        *v /= 100;
    return true;
}

static enum nb_status number(struct lexer *l, double *v)
{
    static const char right[] = "a number is written 1.1, -3, 1e-5 or 10%";
    char text[48];
    struct lexer at = *l;
    enum nb_status s = take(l, text, sizeof text, "number", right);
    return s == NB_OK && !read_number(text, true, v) ? wrong(&at, "number", right) : s;
}

/* ---- regions ---- */

static const char REGIONS[] = "say >= 1.1, <= 1, > 0, < 1, in [0.9, 1.1], outside [0.9, 1.1], or = 1 +- 0.1; a number may be written 10%";

static enum nb_status sign(struct lexer *l, char want, const char *what)
{
    if (!is_sign(l, want))
        return wrong(l, what, REGIONS);
    next(l);
    return NB_OK;
}

/* [low, high] */
static enum nb_status range(struct lexer *l, struct nb_region *r)
{
    struct lexer first = *l;
    enum nb_status s = sign(l, '[', "[");
    if (s == NB_OK)
        s = number(l, &r->low);
    if (s == NB_OK)
        s = sign(l, ',', "comma");
    if (s == NB_OK)
        s = number(l, &r->high);
    if (s == NB_OK && !(r->low <= r->high)) {
        first.span.length = length_so_far(l, first.span.at);
        s = nb_point(l->err, l->text, first.span, "the lesser one stands first", "a range from %g to %g has nothing in it", r->low, r->high);
    }
    return s == NB_OK ? sign(l, ']', "]") : s;
}

/* a, or a +- b */
static enum nb_status around(struct lexer *l, struct nb_region *r)
{
    double centre, half = 0;
    enum nb_status s = number(l, &centre);
    if (s == NB_OK && is_sign(l, '~')) {
        next(l);
        const struct lexer at = *l;
        s = number(l, &half);
        if (s == NB_OK && half < 0)
            s = wrong(&at, "half width", REGIONS);
    }
    if (s == NB_OK)
        *r = (struct nb_region){.low = centre - half, .high = centre + half};
    return s;
}

static enum nb_status region(struct lexer *l, struct nb_region *r)
{
    *r = (struct nb_region){.low = -INFINITY, .high = INFINITY};
    if (is_word(l, "in") || is_word(l, "outside")) {
        r->outside = is_word(l, "outside");
        next(l);
        return range(l, r);
    }
    if (l->kind != COMPARE || l->compare == NB_NE)
        return wrong(l, "relation", REGIONS);
    const enum nb_compare c = l->compare;
    next(l);
    if (c == NB_EQ)
        return around(l, r);
    r->low_open = c == NB_GT;
    r->high_open = c == NB_LT;
    return number(l, c == NB_GE || c == NB_GT ? &r->low : &r->high);
}

enum nb_status nb_region_parse(const char *text, struct nb_region *r, struct nb_err *err)
{
    struct lexer l = begin(text, err);
    enum nb_status s = region(&l, r);
    return s == NB_OK && l.kind != END ? wrong(&l, "end of it", REGIONS) : s;
}

void nb_region_print(const struct nb_region *r, char *text, size_t len)
{
    if (r->outside)
        snprintf(text, len, "outside [%.6g, %.6g]", r->low, r->high);
    else if (isinf(r->high))
        snprintf(text, len, "%s %.6g", r->low_open ? ">" : ">=", r->low);
    else if (isinf(r->low))
        snprintf(text, len, "%s %.6g", r->high_open ? "<" : "<=", r->high);
    else
        snprintf(text, len, "in [%.6g, %.6g]", r->low, r->high);
}

/* ---- terms ---- */

static const char TERMS[] = "a term is key=value, key=a|b, key!=value, key>=1, key<=1, key>1 or key<1; terms are joined by \"and\"";

/* a|b|c into one text. */
static enum nb_status words(struct lexer *l, struct nb_term *t)
{
    size_t n = 0;
    for (;;) {
        enum nb_status s = take(l, t->values + n, sizeof t->values - n, "value", TERMS);
        if (s != NB_OK)
            return s;
        n = strlen(t->values);
        if (!is_sign(l, '|'))
            return NB_OK;
        if (n + 2 >= sizeof t->values)
            return wrong(l, "end of a list: it is too long", TERMS);
        t->values[n++] = '|';
        t->values[n] = '\0';
        next(l);
    }
}

static enum nb_status term(struct lexer *l, struct nb_term *t)
{
    *t = (struct nb_term){.number = NAN, .span = l->span};
    enum nb_status s = take(l, t->key, sizeof t->key, "key", TERMS);
    if (s == NB_OK && l->kind != COMPARE)
        s = wrong(l, "comparison", TERMS);
    if (s != NB_OK)
        return s;
    t->compare = l->compare;
    next(l);
    const struct lexer at = *l;
    s = words(l, t);
    if (s == NB_OK && t->compare != NB_EQ && t->compare != NB_NE && !read_number(t->values, true, &t->number))
        s = wrong(&at, "number", "<, <=, > and >= compare numbers; words are compared by = and !=");
    t->span.length = length_so_far(l, t->span.at);
    return s;
}

static enum nb_status all_terms(struct lexer *l, struct nb_terms *terms)
{
    terms->n = 0;
    for (;;) {
        if (terms->n == NB_TERMS_MAX)
            return nb_point(l->err, l->text, l->span, TERMS, "more than %d terms", NB_TERMS_MAX);
        enum nb_status s = term(l, &terms->v[terms->n++]);
        if (s != NB_OK || l->kind == END)
            return s;
        if (!is_word(l, "and"))
            return wrong(l, "\"and\"", TERMS);
        next(l);
    }
}

enum nb_status nb_terms_parse(const char *text, struct nb_terms *terms, struct nb_err *err)
{
    struct lexer l = begin(text, err);
    return all_terms(&l, terms);
}

/* ---- questions ---- */

static const char QUESTION[] = "a claim is QUANTITY[(ARGUMENT, ...)] RELATION [where TERMS], such as\n"
                               "  output_mean(rmsnorm) >= 0.5 where mean=1\n`normbench list experiments` shows the quantities";

/* An argument: words, also a|b, up to a comma or the bracket. */
static enum nb_status argument(struct lexer *l, struct nb_question *q)
{
    struct nb_term t = {.span = l->span};
    enum nb_status s = q->argument_count < NB_ARGUMENTS_MAX ? words(l, &t) : wrong(l, ")", QUESTION);
    if (s != NB_OK)
        return s;
    t.span.length = length_so_far(l, t.span.at);
    strcpy(q->arguments[q->argument_count], t.values);
    q->argument_spans[q->argument_count++] = t.span;
    if (!is_sign(l, ')') && !is_sign(l, ','))
        return wrong(l, "comma or )", QUESTION);
    return NB_OK;
}

static enum nb_status arguments(struct lexer *l, struct nb_question *q)
{
    enum nb_status s = NB_OK;
    do {
        next(l);
        s = argument(l, q);
    } while (s == NB_OK && is_sign(l, ','));
    if (s == NB_OK)
        next(l);
    return s;
}

/* QUANTITY or EXPERIMENT.QUANTITY */
static enum nb_status name(struct lexer *l, struct nb_question *q)
{
    char both[96];
    q->named = l->span;
    enum nb_status s = take(l, both, sizeof both, "quantity", QUESTION);
    if (s != NB_OK)
        return s;
    char *dot = strchr(both, '.'), *quantity = dot != NULL ? dot + 1 : both;
    if (dot != NULL)
        *dot = '\0';
    if (strlen(quantity) >= sizeof q->quantity || (dot != NULL && strlen(both) >= sizeof q->experiment))
        return nb_point(l->err, l->text, q->named, QUESTION, "no quantity has so long a name");
    strcpy(q->quantity, quantity);
    strcpy(q->experiment, dot != NULL ? both : "");
    return NB_OK;
}

enum nb_status nb_question_parse(const char *text, struct nb_question *q, struct nb_err *err)
{
    struct lexer l = begin(text, err);
    *q = (struct nb_question){.argument_count = 0};
    enum nb_status s = name(&l, q);
    if (s == NB_OK && is_sign(&l, '('))
        s = arguments(&l, q);
    q->holds_span = l.span;
    if (s == NB_OK)
        s = region(&l, &q->holds);
    if (s != NB_OK)
        return s;
    q->holds_span.length = length_so_far(&l, q->holds_span.at);
    if (l.kind == END)
        return NB_OK;
    if (!is_word(&l, "where"))
        return wrong(&l, "\"where\"", QUESTION);
    next(&l);
    return all_terms(&l, &q->where);
}

/* ---- what a term asks of an observation ---- */

bool nb_where_get(const char *where, const char *key, char *value, size_t len)
{
    const size_t n = strlen(key);
    for (const char *p = where; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
        if (strncmp(p, key, n) == 0 && p[n] == '=') {
            snprintf(value, len, "%.*s", (int)strcspn(p + n + 1, " "), p + n + 1);
            return true;
        }
    return false;
}

/* An observation writes numbers with %g: a number of more digits is it, too. */
static bool same(const char *seen, const char *want)
{
    double a, b;
    char short_form[48];
    if (strcmp(seen, want) == 0)
        return true;
    if (!read_number(want, true, &b))
        return false;
    snprintf(short_form, sizeof short_form, "%g", b);
    return strcmp(seen, short_form) == 0 || (read_number(seen, true, &a) && a == b);
}

static bool one_of(const char *seen, const char *values)
{
    char want[200];
    for (const char *p = values;; p++) {
        const size_t n = strcspn(p, "|");
        snprintf(want, sizeof want, "%.*s", (int)n, p);
        if (same(seen, want))
            return true;
        p += n;
        if (*p == '\0')
            return false;
    }
}

enum nb_fit nb_term_fit(const struct nb_term *t, const char *where)
{
    char seen[200];
    double v;
    bool fits;
    if (!nb_where_get(where, t->key, seen, sizeof seen))
        return t->sets ? NB_FITS : NB_LACKS_KEY;
    if (t->compare == NB_EQ || t->compare == NB_NE)
        fits = one_of(seen, t->values) == (t->compare == NB_EQ);
    else if (!read_number(seen, true, &v))
        return NB_NO_NUMBER;
    else
        fits = t->compare == NB_GE   ? v >= t->number
               : t->compare == NB_LE ? v <= t->number
               : t->compare == NB_GT ? v > t->number
                                     : v < t->number;
    return fits ? NB_FITS : NB_FITS_NOT;
}
