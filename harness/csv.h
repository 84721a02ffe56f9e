/* csv.h: comma-separated values as in RFC 4180, with a header line. The word null stands
 * for what is not known (docs/schema.md). */
#ifndef NB_CSV_H
#define NB_CSV_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum { NB_CSV_COLUMNS = 96 };

/* A file in memory. Cells point into it and stay until it is closed. */
struct nb_csv {
    const char *path;
    char *text, *next, *end;
    size_t line, next_line; /* of the record in cell; of the one behind it */
    char *head[NB_CSV_COLUMNS], *cell[NB_CSV_COLUMNS];
    size_t columns;
    bool cut; /* the last line has no newline: it was cut off and does not count */
};

/* path must live as long as c. */
NB_USE_RESULT enum nb_status nb_csv_open(struct nb_csv *c, const char *path,
                                         struct nb_err *err);
void nb_csv_close(struct nb_csv *c);
/* Steps to the next record; more is false behind the last one. */
NB_USE_RESULT enum nb_status nb_csv_next(struct nb_csv *c, bool *more,
                                         struct nb_err *err);
/* Index of a column. */
NB_USE_RESULT enum nb_status nb_csv_column(const struct nb_csv *c, const char *name,
                                           size_t *column, struct nb_err *err);
/* A broken record: file, line and what is wrong with it. */
enum nb_status nb_csv_fail(const struct nb_csv *c, struct nb_err *err, const char *format,
                           ...) __attribute__((format(printf, 3, 4)));
/* null is NAN, inf is INFINITY; false: no number. */
bool nb_csv_number(const char *text, double *value);

/* Writes one cell, without its comma, quoted where that is needed; NULL is null. */
void nb_csv_put_text(FILE *f, const char *s);

#endif
