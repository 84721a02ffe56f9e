/* page_html.h: the words in which a page is written. All text that comes from a file goes
 * through nb_page_text or nb_page_markdown, which escape it; everything else on a page is
 * a literal of this program or a number. */
#ifndef NB_PAGE_HTML_H
#define NB_PAGE_HTML_H

#include "report_data.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    NB_PAGE_LINKS = 256,
    NB_PAGE_ID = 40,
    NB_PAGE_MOST = 3000000 /* bytes of a page */
};

/* An entry of the list of contents. */
struct nb_page_link {
    char id[NB_PAGE_ID];
    char *label;
    bool article; /* else a section of the one before it */
};

struct nb_page {
    FILE *f;
    unsigned article; /* from 1; ids begin with it */
    int level;        /* of its sections' headings */
    long begin, room; /* where the article begins, and how long it may get before its
                         tables are cut */
    struct nb_page_link links[NB_PAGE_LINKS];
    size_t nlinks;
};

/* Text of HTML or of an attribute in quotes; cut where it is longer than any text that a
 * person would read. */
void nb_page_text(const struct nb_page *p, const char *s);
void nb_page_code(const struct nb_page *p, const char *s);

/* id (A-Z, a-z, 0-9, -) within this article, as text. */
const char *nb_page_id(const struct nb_page *p, const char *id, char text[NB_PAGE_ID]);

/* A section with its heading, in the contents. */
void nb_page_section(struct nb_page *p, const char *id, const char *label);
void nb_page_section_end(const struct nb_page *p);
void nb_page_heading(const struct nb_page *p, int below,
                     const char *text); /* below: 1 is one level below a section's */

/* What a column holds: text, or numbers, which stand at the right and sort as numbers.
 * key: what it is filtered by. */
struct nb_page_column {
    const char *title; /* a literal */
    bool number;
    const char *key; /* kernel, dtype, residency, or NULL */
};
/* A table in a box of its own, which scrolls; label says what it is to those who do not
 * see it. A row is written as <tr>, cells, </tr>. */
void nb_page_table(const struct nb_page *p, const char *label,
                   const struct nb_page_column *columns, size_t n);
void nb_page_table_end(const struct nb_page *p);
/* Whether the article may still grow by a row; and what to say behind a table where it
 * may not. */
bool nb_page_has_room(const struct nb_page *p);
void nb_page_left_out(const struct nb_page *p, size_t rows, const char *where);

/* Cells; null where a number is not known. */
void nb_page_cell(const struct nb_page *p, const char *s);
void nb_page_cell_size(const struct nb_page *p, size_t n);
void nb_page_cell_number(const struct nb_page *p, const char *format, double v)
    __attribute__((format(printf, 2, 0)));

/* Text as the writers of report.md leave it (headings, paragraphs, lists, tables, code,
 * quotations, details) as HTML. Whatever the text is, nothing of it becomes markup but
 * that. Headings: ## is one of a section; the first of all may be left out. */
void nb_page_markdown(const struct nb_page *p, const char *text, bool first_heading);
/* The same as a section, which is left out where text is empty; its heading is the first
 * of text. text is freed. */
void nb_page_markdown_section(struct nb_page *p, const char *id, char *text);

#endif
