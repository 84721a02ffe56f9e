#include "shallow.h"
#include "err.h"
#include "sysread.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH = 256, CUTS = 4 };

/* The quote that ends the string which begins at s. NULL: it does not end. */
static char *string_end(char *s, const char *end)
{
    for (s++; s < end && *s != '"'; s++)
        s += *s == '\\';
    return s < end ? s : NULL;
}

/* The bracket that ends the array or object which begins at s. NULL: there is none. */
static char *value_end(char *s, const char *end)
{
    char wanted[DEPTH];
    size_t depth = 0;
    for (; s != NULL && s < end; s++) {
        if (*s == '"') {
            s = string_end(s, end);
            if (s == NULL)
                return NULL;
        } else if (*s == '[' || *s == '{') {
            if (depth == DEPTH)
                return NULL;
            wanted[depth++] = *s == '[' ? ']' : '}';
        } else if (*s == ']' || *s == '}') {
            if (wanted[--depth] != *s)
                return NULL;
            if (depth == 0)
                return s;
        }
    }
    return NULL;
}

static bool is_one_of(const char *key, size_t len, const char *const *keys)
{
    for (; *keys; keys++)
        if (strlen(*keys) == len && memcmp(*keys, key, len) == 0)
            return true;
    return false;
}

/* What was left out: so that errors name the line of the file. */
struct cut {
    const char *at;
    size_t lines;
};

/* A text in the making: what is kept moves to the front, over what was left out. */
struct text {
    char *from, *to, *end; /* of what is not yet read; where it goes */
    struct cut cuts[CUTS];
    size_t cut_count;
};

static void keep(struct text *t, const char *until)
{
    const size_t n = (size_t)(until - t->from);
    memmove(t->to, t->from, n);
    t->to += n;
    t->from += n;
}

static void leave_out(struct text *t, const char *until)
{
    struct cut *c = &t->cuts[t->cut_count++];
    *c = (struct cut){.at = t->to};
    for (; t->from < until; t->from++)
        c->lines += *t->from == '\n';
}

static char *skip_space(char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\n' || *s == '\t' || *s == '\r'))
        s++;
    return s;
}

/* Behind the key that begins at s and its value, where that is an array or object. Leaves
 * what is broken to the parser: NULL. */
static char *pass_key(struct text *t, char *s, const char *const *keys)
{
    char *quote = string_end(s, t->end);
    if (quote == NULL)
        return NULL;
    char *value = skip_space(quote + 1, t->end);
    if (value >= t->end || *value != ':')
        return quote + 1;
    value = skip_space(value + 1, t->end);
    if (value >= t->end || (*value != '[' && *value != '{'))
        return value;
    char *last = value_end(value, t->end);
    if (last != NULL && t->cut_count < CUTS &&
        is_one_of(s + 1, (size_t)(quote - s - 1), keys)) {
        keep(t, value + 1);
        leave_out(t, last);
    }
    return last ? last + 1 : NULL;
}

static void reduce(struct text *t, const char *const *keys)
{
    char *s = skip_space(t->from, t->end);
    const bool object = s < t->end && *s == '{';
    for (s++; object && s != NULL && s < t->end && *s != '}';)
        s = *s == '"' ? pass_key(t, s, keys) : s + 1;
    keep(t, t->end);
}

/* NULL: it cannot be read, errno says why. */
static char *read_text(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = nb_open_regular(path);
    if (f == NULL)
        return NULL;
    const size_t room =
        fstat(fileno(f), &st) == 0 && st.st_size > 0 ? (size_t)st.st_size : 0;
    char *text = malloc(room + 1);
    NB_ASSERT(text != NULL && "out of memory");
    *n = fread(text, 1, room, f);
    const int error = ferror(f) ? errno : 0;
    fclose(f);
    if (error == 0)
        return text;
    free(text);
    errno = error;
    return NULL;
}

json_t *nb_json_text_without(char *text, size_t n, const char *const *keys,
                             json_error_t *where)
{
    struct text t = {.from = text, .to = text, .end = text + n};
    reduce(&t, keys);
    json_t *json = json_loadb(text, (size_t)(t.to - text), JSON_REJECT_DUPLICATES, where);
    for (size_t i = 0; json == NULL && i < t.cut_count; i++)
        if (t.cuts[i].at - text < where->position)
            where->line += (int)t.cuts[i].lines;
    return json;
}

json_t *nb_json_without(const char *path, const char *const *keys, json_error_t *where)
{
    size_t n = 0;
    char *text = read_text(path, &n);
    if (text == NULL) {
        *where = (json_error_t){.line = 1};
        snprintf(where->text, sizeof where->text, "%s", strerror(errno));
        return NULL;
    }
    json_t *json = nb_json_text_without(text, n, keys, where);
    free(text);
    return json;
}
