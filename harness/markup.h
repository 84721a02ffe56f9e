/* markup.h: strings of a file as data on a page, a terminal or a picture. A control
 * character or one that turns the direction of writing becomes a space, what is no UTF-8 a question mark; nothing in the string is
 * markup. NULL is shown as "unknown". */
#ifndef NB_MARKUP_H
#define NB_MARKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Takes the next character of s, which is not at its end; returns its length. */
size_t nb_next_char(const char **s, char out[4]);

/* Whether what begins at s turns the direction of writing: U+202A to U+202E, U+2066 to U+2069. */
bool nb_is_bidi(const char *s);

void nb_plain(FILE *f, const char *s);
void nb_plain_lines(FILE *f, const char *s);             /* of which a newline stays one */
void nb_plain_padded(FILE *f, const char *s, int width); /* cut or filled to width */
void nb_md(FILE *f, const char *s);                      /* text of Markdown */
void nb_md_code(FILE *f, const char *s); /* a code span, also in a table */
void nb_html(FILE *f, const char *s);    /* text of HTML and SVG, also of an attribute in quotes */

#endif
