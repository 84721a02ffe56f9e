#include "shallow.h"
#include "err.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH = 256 };

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

/* Newlines stay, so that errors name the right line. */
static void empty(char *first, const char *last)
{
    for (char *s = first + 1; s < last; s++)
        if (*s != '\n')
            *s = ' ';
}

static char *skip_space(char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\n' || *s == '\t' || *s == '\r'))
        s++;
    return s;
}

/* Behind the key that begins at s and its value, where that is an array or object. Leaves
 * what is broken to the parser: NULL. */
static char *pass_key(char *s, const char *end, const char *const *keys)
{
    char *quote = string_end(s, end);
    if (quote == NULL)
        return NULL;
    char *value = skip_space(quote + 1, end);
    if (value >= end || *value != ':')
        return quote + 1;
    value = skip_space(value + 1, end);
    if (value >= end || (*value != '[' && *value != '{'))
        return value;
    char *last = value_end(value, end);
    if (last != NULL && is_one_of(s + 1, (size_t)(quote - s - 1), keys))
        empty(value, last);
    return last ? last + 1 : NULL;
}

static void empty_values(char *text, const char *end, const char *const *keys)
{
    char *s = skip_space(text, end);
    if (s >= end || *s != '{')
        return;
    for (s++; s != NULL && s < end && *s != '}';)
        s = *s == '"' ? pass_key(s, end, keys) : s + 1;
}

/* NULL: it cannot be read, errno says why. */
static char *read_text(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = fopen(path, "re");
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

json_t *nb_json_without(const char *path, const char *const *keys, json_error_t *where)
{
    size_t n = 0;
    char *text = read_text(path, &n);
    if (text == NULL) {
        *where = (json_error_t){.line = 1};
        snprintf(where->text, sizeof where->text, "%s", strerror(errno));
        return NULL;
    }
    empty_values(text, text + n, keys);
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, where);
    free(text);
    return json;
}
