#include "csv.h"
#include "markup.h"
#include "sysread.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum nb_status nb_csv_fail(const struct nb_csv *c, struct nb_err *err, const char *format,
                           ...)
{
    char what[512], c4[4];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    size_t n = 0; /* what a broken file says may be anything */
    for (const char *s = what; *s;) {
        size_t bytes = nb_next_char(&s, c4);
        memcpy(what + n, c4, bytes);
        n += bytes;
    }
    what[n] = 0;
    return nb_fail(err, "%.400s:%zu: %s", c->path, c->line, what);
}

/* ---- reading ---- */

static enum nb_status read_all(FILE *f, struct nb_csv *c, struct nb_err *err)
{
    size_t n = 0, room = 1 << 16, got;
    c->text = malloc(room);
    NB_ASSERT(c->text != NULL && "out of memory");
    while ((got = fread(c->text + n, 1, room - n - 1, f)) > 0) {
        n += got;
        if (room - n - 1 == 0) {
            c->text = realloc(c->text, room *= 2);
            NB_ASSERT(c->text != NULL && "out of memory");
        }
    }
    c->text[n] = 0;
    c->next = c->text;
    c->end = c->text + n;
    return ferror(f) ? nb_fail(err, "%s: %s", c->path, strerror(errno)) : NB_OK;
}

/* Drops a last line that has no newline. */
static enum nb_status check_text(struct nb_csv *c, struct nb_err *err)
{
    size_t n = (size_t)(c->end - c->text);
    if (n == 0)
        return nb_fail(err, "%s is empty: not even a header line", c->path);
    const char *zero = memchr(c->text, 0, n);
    for (const char *s = c->text; zero != NULL && s < zero; s++)
        c->line += *s == '\n';
    if (zero != NULL)
        return nb_csv_fail(c, err, "a zero byte: this is no text");
    c->cut = c->end[-1] != '\n';
    while (c->cut && c->end > c->text && c->end[-1] != '\n')
        c->end--;
    *c->end = 0;
    return c->end > c->text ? NB_OK : nb_csv_fail(c, err, "the header line is cut off");
}

/* Unquotes a cell in place; answers its last character, the comma or the end of the line,
 * or NULL where a quote is out of place. The text ends with a newline. */
static char *cell_end(struct nb_csv *c, char *s)
{
    char *to = s, *from = s;
    if (*from != '"')
        return s + strcspn(s, ",\n\"");
    for (from++; from < c->end && (*from != '"' || from[1] == '"'); from++) {
        from += *from == '"';
        c->next_line += *from == '\n';
        *to++ = *from;
    }
    if (from >= c->end)
        return NULL;
    *to = 0;
    from++;
    from += from[0] == '\r' && from[1] == '\n';
    return from;
}

static const char *read_record(struct nb_csv *c, char *cells[NB_CSV_COLUMNS], size_t *n)
{
    c->line = c->next_line;
    for (*n = 0;; c->next++) {
        if (*n == NB_CSV_COLUMNS)
            return "too many fields";
        char *start = c->next, *end = cell_end(c, start);
        if (end == NULL || (*end != ',' && *end != '\n'))
            return "a quote is out of place or not closed";
        bool last = *end == '\n';
        if (last && end > start && end[-1] == '\r')
            end[-1] = 0;
        *end = 0;
        cells[(*n)++] = start;
        c->next = end;
        if (last)
            break;
    }
    c->next++;
    c->next_line++;
    return NULL;
}

enum nb_status nb_csv_open(struct nb_csv *c, const char *path, struct nb_err *err)
{
    *c = (struct nb_csv){.path = path, .line = 1, .next_line = 1};
    FILE *f = nb_open_regular(path);
    if (f == NULL)
        return nb_fail(err, "%s: %s", path, strerror(errno));
    enum nb_status status = read_all(f, c, err);
    fclose(f);
    if (status == NB_OK)
        status = check_text(c, err);
    const char *wrong = status == NB_OK ? read_record(c, c->head, &c->columns) : NULL;
    return wrong ? nb_csv_fail(c, err, "%s", wrong) : status;
}

void nb_csv_close(struct nb_csv *c)
{
    free(c->text);
    c->text = NULL;
}

enum nb_status nb_csv_next(struct nb_csv *c, bool *more, struct nb_err *err)
{
    size_t n;
    *more = c->next < c->end;
    if (!*more)
        return NB_OK;
    const char *wrong = read_record(c, c->cell, &n);
    if (wrong != NULL)
        return nb_csv_fail(c, err, "%s", wrong);
    if (n != c->columns)
        return nb_csv_fail(c, err, "%zu fields where the header names %zu", n,
                           c->columns);
    return NB_OK;
}

enum nb_status nb_csv_column(const struct nb_csv *c, const char *name, size_t *column,
                             struct nb_err *err)
{
    for (*column = 0; *column < c->columns; ++*column)
        if (strcmp(c->head[*column], name) == 0)
            return NB_OK;
    return nb_fail(err, "%.400s:1: the header has no column %s", c->path, name);
}

bool nb_csv_number(const char *text, double *value)
{
    char *end;
    if (strcmp(text, "null") == 0) {
        *value = NAN;
        return true;
    }
    *value = strtod(text, &end);
    return end != text && *end == 0 && !isnan(*value);
}

/* ---- writing ---- */

/* Quoted where RFC 4180 asks for it. A spreadsheet takes a cell that begins with one of
 * =+-@, a tab or a return for a formula; a leading apostrophe makes it text. */
void nb_csv_put_text(FILE *f, const char *s)
{
    if (s == NULL) {
        fputs("null", f);
        return;
    }
    bool formula = s[0] != 0 && strchr("=+-@\t\r", s[0]) != NULL;
    bool quote = strpbrk(s, ",\"\r\n") != NULL || s[0] == 0;
    if (quote)
        fputc('"', f);
    if (formula)
        fputc('\'', f);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc(*s, f);
    }
    if (quote)
        fputc('"', f);
}
