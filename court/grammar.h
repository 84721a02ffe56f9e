/* grammar.h: the words in which a claim is put (docs/court.md, Grammar).
 *   terms    dtype=bf16|f16 and hidden>=1024 and residency!=DRAM       which observations count
 *   region   >= 1.1    < 0    in [0.9, 1.1]    outside [-1, 1]    = 2 +- 1%     what has to hold
 *   question QUANTITY[(ARG, ...)] REGION [where TERMS]
 * Errors show the text with ^^^ under the word that is wrong, and what would be right. Pure functions of texts. */
#ifndef NB_GRAMMAR_H
#define NB_GRAMMAR_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

/* A piece of the text that was read. */
struct nb_span {
    size_t at, length;
};

struct nb_term {
    char key[48];
    enum nb_compare { NB_EQ, NB_NE, NB_GE, NB_LE, NB_GT, NB_LT } compare;
    char values[200]; /* of NB_EQ, NB_NE: one or more words with | between; of the others a number */
    double number;    /* of the others; NAN for NB_EQ and NB_NE */
    struct nb_span span;
    bool sets; /* the term has set the parameter of that name: an observation that does not repeat it fits, too */
};

enum { NB_TERMS_MAX = 16 };

struct nb_terms {
    struct nb_term v[NB_TERMS_MAX];
    size_t n;
};

/* Where values have to lie. From low to high, each end in it or, where open, not; outside: all but these. */
struct nb_region {
    double low, high; /* low <= high; infinite where there is no end */
    bool low_open, high_open, outside;
};

enum { NB_ARGUMENTS_MAX = 8 };

/* A claim as it is put on the command line; what its words mean is for ask.h. */
struct nb_question {
    char experiment[48]; /* of EXPERIMENT.QUANTITY; "" where the quantity stands alone */
    char quantity[48];
    struct nb_span named; /* both */
    char arguments[NB_ARGUMENTS_MAX][200];
    struct nb_span argument_spans[NB_ARGUMENTS_MAX];
    size_t argument_count;
    struct nb_region holds;
    struct nb_span holds_span;
    struct nb_terms where;
};

NB_USE_RESULT enum nb_status nb_terms_parse(const char *text, struct nb_terms *terms, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_region_parse(const char *text, struct nb_region *region, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_question_parse(const char *text, struct nb_question *q, struct nb_err *err);

/* Fills err with what is wrong, the text, ^^^ under the span and what would be right; returns NB_ERROR. Control characters of
 * the text are shown as spaces, and of a long one the neighbourhood of the span. */
enum nb_status nb_point(struct nb_err *err, const char *text, struct nb_span span, const char *right, const char *wrong, ...)
    __attribute__((format(printf, 5, 6)));

/* The value of a key in "key=value key=value"; false: it has no such key. */
bool nb_where_get(const char *where, const char *key, char *value, size_t len);

enum nb_fit { NB_FITS, NB_FITS_NOT, NB_LACKS_KEY, NB_NO_NUMBER };

/* Whether an observation's where is what a term asks for. Numbers are compared as numbers (1e-5 is 1e-05); NB_NO_NUMBER: an
 * order was asked of a word. */
enum nb_fit nb_term_fit(const struct nb_term *t, const char *where);

/* As people write it: ">= 1.1". */
void nb_region_print(const struct nb_region *r, char *text, size_t len);

#endif
