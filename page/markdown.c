#define _GNU_SOURCE /* strchrnul */

/* markdown.c: the sections of report.md, accuracy.md and gate.md as HTML: their numbers
 * and words have one writer each. Lines decide (heading, table, list, quotation, code,
 * paragraph), and within a line code, strong words and escapes. */
#include "page_html.h"

#include "markup.h"

#include <stdlib.h>
#include <string.h>

enum block { NONE, PARAGRAPH, LIST, QUOTE, CODE, TABLE };
enum { COLUMNS_MOST = 64, FOLDED = 8 /* lines of a list */, LINE_MOST = 20000 };

struct writer {
    const struct nb_page *p;
    enum block block;
    size_t columns, details, left_out;
    bool number[COLUMNS_MOST]; /* of a table's columns */
    bool skip_heading, folded; /* folded: the list */
};

/* ---- within a line ---- */

/* One character of the text, whatever it is. */
static void put_char(FILE *f, const char **s)
{
    char c[5] = "";
    c[nb_next_char(s, c)] = '\0';
    nb_html(f, c);
}

static bool is_entity(const char *s)
{
    return strncmp(s, "&lt;", 4) == 0 || strncmp(s, "&gt;", 4) == 0 ||
           strncmp(s, "&amp;", 5) == 0;
}

/* From behind the backtick to behind its end; a bar within is escaped. NULL: it has no
 * end, and begins no code. */
static const char *code_end(const char *s, const char *end)
{
    const char *tick = memchr(s, '`', (size_t)(end - s));
    return tick != NULL ? tick + 1 : NULL;
}

static void code_span(FILE *f, const char *s, const char *end)
{
    fputs("<code>", f);
    while (s < end) {
        if (s[0] == '\\' && s + 1 < end && s[1] == '|')
            s++;
        put_char(f, &s);
    }
    fputs("</code>", f);
}

/* "[words](place)": a page that stands alone shows the words. NULL: no link. */
static const char *link_end(const char *s, const char *end, const char **words_end)
{
    const char *close = memchr(s, ']', (size_t)(end - s));
    if (*s != '[' || close == NULL || close + 1 >= end || close[1] != '(')
        return NULL;
    const char *place = memchr(close, ')', (size_t)(end - close));
    *words_end = close;
    return place != NULL ? place + 1 : NULL;
}

static void inline_text(FILE *f, const char *s, const char *end)
{
    bool strong = false;
    const char *behind, *words;
    while (s < end) {
        if (s[0] == '\\' && s + 1 < end && strchr("\\`*_[]|#!~$", s[1]) != NULL) {
            s++;
            put_char(f, &s);
        } else if (s[0] == '`' && (behind = code_end(s + 1, end)) != NULL) {
            code_span(f, s + 1, behind - 1);
            s = behind;
        } else if (s[0] == '*' && s + 1 < end && s[1] == '*') {
            fputs(strong ? "</strong>" : "<strong>", f);
            strong = !strong;
            s += 2;
        } else if ((behind = link_end(s, end, &words)) != NULL) {
            inline_text(f, s + 1, words);
            s = behind;
        } else if (s[0] == ' ' && s + 1 < end &&
                   s[1] == '%') { /* stays on the line of its number */
            fputs("&#160;", f);
            s++;
        } else if (is_entity(s)) {
            do
                fputc(*s, f);
            while (*s++ != ';');
        } else {
            put_char(f, &s);
        }
    }
    if (strong)
        fputs("</strong>", f);
}

/* ---- tables ---- */

/* The end of a cell: a bar that is neither escaped nor in code. */
static const char *cell_end(const char *s, const char *end)
{
    const char *behind;
    while (s < end && *s != '|') {
        if (*s == '\\' && s + 1 < end)
            s += 2;
        else if (*s == '`' && (behind = code_end(s + 1, end)) != NULL)
            s = behind;
        else
            s++;
    }
    return s;
}

/* The next cell behind a bar, without the spaces around it; false: there is none. */
static bool next_cell(const char **s, const char *end, const char **from, const char **to)
{
    if (*s + 1 >= end)
        return false;
    const char *stop = cell_end(*s + 1, end);
    *from = *s + 1;
    *to = stop;
    *s = stop;
    while (*from < *to && **from == ' ')
        ++*from;
    while (*to > *from && (*to)[-1] == ' ')
        --*to;
    return stop < end || *from < *to;
}

/* rule: the line below the header, which says what is at the right. */
static void table_header(struct writer *w, const char *line, const char *end,
                         const char *rule, const char *rule_end)
{
    const char *from, *to;
    w->columns = 0;
    while (w->columns < COLUMNS_MOST && next_cell(&rule, rule_end, &from, &to))
        w->number[w->columns++] = to > from && to[-1] == ':';
    fputs("<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
          "aria-label=\"Table\"><table><thead><tr>",
          w->p->f);
    for (size_t i = 0; i < w->columns && next_cell(&line, end, &from, &to); i++) {
        fprintf(w->p->f, "<th scope=\"col\"%s>", w->number[i] ? " class=\"n\"" : "");
        if (from < to)
            inline_text(w->p->f, from, to);
        else
            fputs("<span class=\"unseen\">note</span>", w->p->f);
        fputs("</th>", w->p->f);
    }
    fputs("</tr></thead>\n<tbody>\n", w->p->f);
}

static void table_row(struct writer *w, const char *line, const char *end)
{
    const char *from, *to;
    if (!nb_page_has_room(w->p)) {
        w->left_out++;
        return;
    }
    fputs("<tr>", w->p->f);
    for (size_t i = 0; i < w->columns && next_cell(&line, end, &from, &to); i++) {
        fputs(w->number[i] ? "<td class=\"n\">" : "<td>", w->p->f);
        inline_text(w->p->f, from, to);
        fputs("</td>", w->p->f);
    }
    fputs("</tr>\n", w->p->f);
}

/* ---- lines ---- */

static void close_block(struct writer *w)
{
    static const char *const ends[] = {[NONE] = "",
                                       [PARAGRAPH] = "</p>\n",
                                       [LIST] = "</ul>\n",
                                       [QUOTE] = "</p></blockquote>\n",
                                       [CODE] = "</code></pre>\n",
                                       [TABLE] = "</tbody></table></div>\n"};
    fputs(ends[w->block], w->p->f);
    if (w->block == TABLE && w->left_out > 0)
        fprintf(w->p->f,
                "<p class=\"note\">%zu more rows would make this page too large.</p>\n",
                w->left_out);
    if (w->block == LIST && w->folded)
        fputs("</details>\n", w->p->f);
    w->left_out = 0;
    w->block = NONE;
}

/* True where it has begun here, and not before. */
static bool open_block(struct writer *w, enum block block)
{
    static const char *const begins[] = {[NONE] = "",
                                         [PARAGRAPH] = "<p>",
                                         [QUOTE] = "<blockquote><p>",
                                         [CODE] = "<pre tabindex=\"0\"><code>",
                                         [TABLE] = ""};
    if (w->block == block)
        return false;
    close_block(w);
    fputs(begins[block], w->p->f);
    w->block = block;
    return true;
}

static void heading(struct writer *w, const char *line, const char *end)
{
    int depth = 0;
    close_block(w);
    while (line < end && *line == '#')
        line++, depth++;
    if (w->skip_heading) {
        w->skip_heading = false;
        return;
    }
    const int level = w->p->level + (depth > 2 ? depth - 2 : 0);
    fprintf(w->p->f, "<h%d>", level < 6 ? level : 6);
    inline_text(w->p->f, line + strspn(line, " "), end);
    fprintf(w->p->f, "</h%d>\n", level < 6 ? level : 6);
}

static const char summary_begin[] = "<details><summary>", summary_end[] = "</summary>",
                  details_end[] = "</details>";

static bool is_summary(const char *line, size_t n)
{
    const size_t ends = strlen(summary_end);
    return n > strlen(summary_begin) + ends &&
           strncmp(line, summary_begin, strlen(summary_begin)) == 0 &&
           strncmp(line + n - ends, summary_end, ends) == 0;
}

/* What stands in a writer's text as HTML already; it is closed here as often as it is
 * opened. */
static bool details(struct writer *w, const char *line, size_t n)
{
    if (is_summary(line, n)) {
        close_block(w);
        fputs(summary_begin, w->p->f);
        inline_text(w->p->f, line + strlen(summary_begin),
                    line + n - strlen(summary_end));
        fputs("</summary>\n", w->p->f);
        w->details++;
        return true;
    }
    if (w->details == 0 || n != strlen(details_end) || strncmp(line, details_end, n) != 0)
        return false;
    close_block(w);
    fputs("</details>\n", w->p->f);
    w->details--;
    return true;
}

static void code_line(struct writer *w, const char *line, const char *end)
{
    open_block(w, CODE);
    while (line < end)
        put_char(w->p->f, &line);
    fputc('\n', w->p->f);
}

static const char item[] = "- ";

/* Lines of a list from here on. */
static size_t items(const char *line)
{
    size_t n = 0;
    for (; strncmp(line, item, strlen(item)) == 0; n++) {
        const char *end = strchrnul(line, '\n');
        line = *end != '\0' ? end + 1 : end;
    }
    return n;
}

/* A list that fills a screen is folded. */
static void list_item(struct writer *w, const char *line, const char *end)
{
    if (w->block != LIST) {
        const size_t n = items(line - strlen(item));
        close_block(w);
        w->block = LIST;
        w->folded = n > FOLDED;
        if (w->folded)
            fprintf(w->p->f, "<details><summary>%zu lines</summary>\n", n);
        fputs("<ul>\n", w->p->f);
    }
    fputs("<li>", w->p->f);
    inline_text(w->p->f, line, end);
    fputs("</li>\n", w->p->f);
}

static void words(struct writer *w, enum block block, const char *line, const char *end)
{
    if (!open_block(w, block))
        fputc('\n', w->p->f);
    inline_text(w->p->f, line, end);
}

/* Takes a line, and of a table also that below its header; returns where the next one
 * begins. */
static const char *take_line(struct writer *w, const char *line)
{
    const char *end = strchrnul(line, '\n'), *next = *end != '\0' ? end + 1 : end;
    if (end - line > LINE_MOST) /* a text of a file that nobody reads to its end */
        end = line + LINE_MOST;
    const size_t n = (size_t)(end - line);
    if (n == 0)
        close_block(w);
    else if (*line == '|' && w->block == TABLE)
        table_row(w, line, end);
    else if (*line == '|' && next[0] == '|' && next[1] == '-') {
        const char *rule_end = strchrnul(next, '\n');
        open_block(w, TABLE);
        table_header(w, line, end, next, rule_end);
        return *rule_end != '\0' ? rule_end + 1 : rule_end;
    } else if (*line == '#')
        heading(w, line, end);
    else if (n > 4 && strncmp(line, "    ", 4) == 0)
        code_line(w, line + 4, end);
    else if (n > 2 && strncmp(line, item, 2) == 0)
        list_item(w, line + 2, end);
    else if (n > 2 && strncmp(line, "> ", 2) == 0)
        words(w, QUOTE, line + 2, end);
    else if (!details(w, line, n))
        words(w, PARAGRAPH, line, end);
    return next;
}

void nb_page_markdown(const struct nb_page *p, const char *text, bool first_heading)
{
    struct writer w = {.p = p, .skip_heading = !first_heading};
    while (*text != '\0')
        text = take_line(&w, text);
    close_block(&w);
    for (; w.details > 0; w.details--)
        fputs("</details>\n", p->f);
}

void nb_page_markdown_section(struct nb_page *p, const char *id, char *text)
{
    const char *line = text + strspn(text, "\n"), *end = strchrnul(line, '\n');
    if (*line == '#') {
        const char *words_begin = line + strspn(line, "# ");
        char *label =
            strndup(words_begin, words_begin < end ? (size_t)(end - words_begin) : 0);
        NB_ASSERT(label != NULL && "out of memory");
        nb_page_section(p, id, label);
        free(label);
        nb_page_markdown(p, end, true);
        nb_page_section_end(p);
    }
    free(text);
}
