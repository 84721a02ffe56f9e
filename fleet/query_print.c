#include "csv.h"
#include "markup.h"
#include "query.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* Widths of columns are those of the first rows; a text beyond them is cut. */
enum { LOOKED_AT = 300, WIDEST = 60 };

/* ---- one value ---- */

static void put_clean(FILE *f, const char *text)
{
    char c[4];
    while (*text)
        fwrite(c, 1, nb_next_char(&text, c), f);
}

/* A value as a text without control characters; to be freed. NULL: null. */
static char *value_text(sqlite3_stmt *s, int column, const char *real)
{
    char *text = NULL;
    size_t len = 0;
    const int type = sqlite3_column_type(s, column);
    if (type == SQLITE_NULL)
        return NULL;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL && "out of memory");
    if (type == SQLITE_BLOB) {
        const unsigned char *bytes = sqlite3_column_blob(s, column);
        for (int i = 0; i < sqlite3_column_bytes(s, column); i++)
            fprintf(f, "%02x", bytes[i]);
    } else if (type == SQLITE_FLOAT) {
        fprintf(f, real, sqlite3_column_double(s, column));
    } else {
        const char *t = (const char *)sqlite3_column_text(s, column);
        NB_ASSERT(t != NULL && "out of memory");
        put_clean(f, t);
    }
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    return text;
}

static bool is_number(sqlite3_stmt *s, int column)
{
    const int type = sqlite3_column_type(s, column);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

/* ---- rows ---- */

struct printer {
    FILE *f;
    sqlite3_stmt *s;
    int columns;
    size_t rows;
    /* of the aligned table: the first rows, until their widths are known */
    char ***kept;
    size_t *width;
    bool *numbers; /* every value that is no null */
};

static size_t characters(const char *s)
{
    char c[4];
    size_t n = 0;
    for (; *s; n++)
        nb_next_char(&s, c);
    return n;
}

static void put_cell(const struct printer *p, const char *text, int column)
{
    const char *t = text ? text : "null";
    const size_t width = p->width[column], n = characters(t);
    const bool last = column + 1 == p->columns;
    if (p->numbers[column])
        fprintf(p->f, "%*s", n < width ? (int)(width - n) : 0, "");
    if (n <= width || last) {
        nb_plain(p->f, t);
    } else {
        nb_plain_padded(p->f, t, (int)width - 3);
        fputs("...", p->f);
    }
    if (!last)
        fprintf(p->f, "%*s  ", !p->numbers[column] && n < width ? (int)(width - n) : 0,
                "");
}

static void put_line(const struct printer *p, char *const *cells)
{
    for (int c = 0; c < p->columns; c++)
        put_cell(p, cells[c], c);
    fputc('\n', p->f);
}

static void free_line(const struct printer *p, char **cells)
{
    for (int c = 0; c < p->columns; c++)
        free(cells[c]);
    free(cells);
}

static void widen(size_t *width, const char *text)
{
    const size_t n = characters(text ? text : "null");
    *width = n > WIDEST ? WIDEST : n > *width ? n : *width;
}

static void put_head(const struct printer *p)
{
    for (int c = 0; c < p->columns; c++)
        put_cell(p, sqlite3_column_name(p->s, c), c);
    fputc('\n', p->f);
    for (int c = 0; c < p->columns; c++) {
        for (size_t i = 0; i < p->width[c]; i++)
            fputc('-', p->f);
        fputs(c + 1 < p->columns ? "  " : "\n", p->f);
    }
}

static void put_kept(struct printer *p)
{
    put_head(p);
    for (size_t i = 0; i < p->rows && i < LOOKED_AT; i++) {
        put_line(p, p->kept[i]);
        free_line(p, p->kept[i]);
    }
}

static void aligned_row(struct printer *p)
{
    char **cells = calloc((size_t)p->columns, sizeof *cells);
    NB_ASSERT(cells != NULL && "out of memory");
    for (int c = 0; c < p->columns; c++)
        cells[c] = value_text(p->s, c, "%.6g");
    if (p->rows == LOOKED_AT)
        put_kept(p);
    if (p->rows++ >= LOOKED_AT) {
        put_line(p, cells);
        free_line(p, cells);
        return;
    }
    for (int c = 0; c < p->columns; c++) {
        widen(&p->width[c], cells[c]);
        p->numbers[c] = p->numbers[c] && (cells[c] == NULL || is_number(p->s, c));
    }
    p->kept[p->rows - 1] = cells;
}

/* A number is written as it is, though it may begin with a sign. */
static void csv_row(struct printer *p)
{
    for (int c = 0; c < p->columns; c++) {
        char *text = value_text(p->s, c, "%.15g");
        fputs(c ? "," : "", p->f);
        if (text != NULL && is_number(p->s, c))
            fputs(text, p->f);
        else
            nb_csv_put_text(p->f, text);
        free(text);
    }
    fputc('\n', p->f);
    p->rows++;
}

static void json_text(FILE *f, const char *text, const char *clean)
{
    json_t *j = json_string(text); /* NULL where it is no UTF-8 */
    j = j ? j : json_string(clean ? clean : "?");
    NB_ASSERT(j != NULL && "out of memory");
    json_dumpf(j, f, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(j);
}

static void json_value(const struct printer *p, int c)
{
    char *text = value_text(p->s, c, "%.15g");
    const bool infinite = sqlite3_column_type(p->s, c) == SQLITE_FLOAT &&
                          isinf(sqlite3_column_double(p->s, c));
    if (text == NULL || (is_number(p->s, c) && !infinite))
        fputs(text ? text : "null", p->f);
    else if (sqlite3_column_type(p->s, c) == SQLITE_TEXT)
        json_text(p->f, (const char *)sqlite3_column_text(p->s, c), text);
    else
        json_text(p->f, text, text);
    free(text);
}

static void json_row(struct printer *p)
{
    fputs(p->rows++ ? ",\n {" : "[\n {", p->f);
    for (int c = 0; c < p->columns; c++) {
        fputs(c ? ", " : "", p->f);
        json_text(p->f, sqlite3_column_name(p->s, c), "column");
        fputs(": ", p->f);
        json_value(p, c);
    }
    fputc('}', p->f);
}

/* ---- the whole ---- */

static enum nb_status check_names(sqlite3_stmt *s, struct nb_err *err)
{
    for (int i = 0; i < sqlite3_column_count(s); i++)
        for (int j = 0; j < i; j++)
            if (strcmp(sqlite3_column_name(s, i), sqlite3_column_name(s, j)) == 0)
                return nb_fail(err,
                               "--json: two columns are called %.100s; give one of them "
                               "another name with AS",
                               sqlite3_column_name(s, i));
    return NB_OK;
}

static void begin_csv(const struct printer *p)
{
    for (int c = 0; c < p->columns; c++) {
        char *text = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&text, &len);
        NB_ASSERT(f != NULL && "out of memory");
        put_clean(f, sqlite3_column_name(p->s, c));
        NB_ASSERT(fclose(f) == 0 && "out of memory");
        fputs(c ? "," : "", p->f);
        nb_csv_put_text(p->f, text);
        free(text);
    }
    fputc('\n', p->f);
}

static void begin_aligned(struct printer *p)
{
    p->kept = calloc(LOOKED_AT, sizeof *p->kept);
    p->width = calloc((size_t)p->columns, sizeof *p->width);
    p->numbers = calloc((size_t)p->columns, sizeof *p->numbers);
    NB_ASSERT(p->kept && p->width && p->numbers && "out of memory");
    for (int c = 0; c < p->columns; c++) {
        widen(&p->width[c], sqlite3_column_name(p->s, c));
        p->numbers[c] = true;
    }
}

static void end_aligned(struct printer *p, bool whole)
{
    if (p->rows <= LOOKED_AT && whole)
        put_kept(p);
    for (size_t i = 0; !whole && p->rows <= LOOKED_AT && i < p->rows; i++)
        free_line(p, p->kept[i]);
    free(p->kept);
    free(p->width);
    free(p->numbers);
}

enum nb_status nb_query_print(FILE *f, struct nb_db *db, sqlite3_stmt *s,
                              enum nb_table_form form, struct nb_err *err)
{
    static void (*const put[])(struct printer *) = {aligned_row, csv_row, json_row};
    struct printer p = {.f = f, .s = s, .columns = sqlite3_column_count(s)};
    bool row = true;
    enum nb_status status = form == NB_TABLE_JSON ? check_names(s, err) : NB_OK;
    if (status != NB_OK)
        return status;
    if (form == NB_TABLE_CSV)
        begin_csv(&p);
    if (form == NB_TABLE_ALIGNED)
        begin_aligned(&p);
    while (status == NB_OK && row) {
        status = nb_db_step(db, s, &row, err);
        if (status == NB_OK && row)
            put[form](&p);
    }
    if (form == NB_TABLE_ALIGNED)
        end_aligned(&p, status == NB_OK);
    if (form == NB_TABLE_JSON && status == NB_OK)
        fputs(p.rows ? "\n]\n" : "[]\n", f);
    return status;
}
