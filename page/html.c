#include "page_html.h"

#include "markup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = 4000 };

void nb_page_text(const struct nb_page *p, const char *s)
{
    char cut[TEXT_MOST + 8];
    if (s == NULL || strlen(s) <= TEXT_MOST) {
        nb_html(p->f, s);
        return;
    }
    size_t n = TEXT_MOST;
    while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80) /* not within a character */
        n--;
    snprintf(cut, sizeof cut, "%.*s ...", (int)n, s);
    nb_html(p->f, cut);
}

void nb_page_code(const struct nb_page *p, const char *s)
{
    fputs("<code>", p->f);
    nb_page_text(p, s);
    fputs("</code>", p->f);
}

const char *nb_page_id(const struct nb_page *p, const char *id, char text[NB_PAGE_ID])
{
    snprintf(text, NB_PAGE_ID, "p%u-%s", p->article, id);
    return text;
}

static void add_link(struct nb_page *p, const char *id, const char *label)
{
    if (p->nlinks == NB_PAGE_LINKS)
        return;
    struct nb_page_link *l = &p->links[p->nlinks++];
    *l = (struct nb_page_link){.label = strdup(label)};
    NB_ASSERT(l->label != NULL && "out of memory");
    nb_page_id(p, id, l->id);
}

void nb_page_section(struct nb_page *p, const char *id, const char *label)
{
    char full[NB_PAGE_ID];
    add_link(p, id, label);
    nb_page_id(p, id, full);
    fprintf(p->f, "<section id=\"%s\" aria-labelledby=\"%s-h\">\n<h%d id=\"%s-h\">", full,
            full, p->level, full);
    nb_page_text(p, label);
    fprintf(p->f, "</h%d>\n", p->level);
}

void nb_page_section_end(const struct nb_page *p)
{
    fputs("</section>\n", p->f);
}

void nb_page_heading(const struct nb_page *p, int below, const char *text)
{
    fprintf(p->f, "<h%d>", p->level + below);
    nb_page_text(p, text);
    fprintf(p->f, "</h%d>\n", p->level + below);
}

void nb_page_table(const struct nb_page *p, const char *label,
                   const struct nb_page_column *columns, size_t n)
{
    fputs("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"", p->f);
    nb_page_text(p, label);
    fputs("\"><table><thead><tr>", p->f);
    for (size_t i = 0; i < n; i++) {
        fprintf(p->f, "<th scope=\"col\"%s", columns[i].number ? " class=\"n\"" : "");
        if (columns[i].key != NULL)
            fprintf(p->f, " data-key=\"%s\"", columns[i].key);
        fprintf(p->f, ">%s</th>", columns[i].title);
    }
    fputs("</tr></thead>\n<tbody>\n", p->f);
}

void nb_page_table_end(const struct nb_page *p)
{
    fputs("</tbody></table></div>\n", p->f);
}

bool nb_page_has_room(const struct nb_page *p)
{
    return ftell(p->f) - p->begin < p->room;
}

void nb_page_left_out(const struct nb_page *p, size_t rows, const char *where)
{
    if (rows > 0)
        fprintf(p->f,
                "<p class=\"note\">%zu more rows would make this page too large: "
                "<code>%s</code> has them.</p>\n",
                rows, where);
}

void nb_page_cell(const struct nb_page *p, const char *s)
{
    fputs("<td>", p->f);
    nb_page_text(p, s);
    fputs("</td>", p->f);
}

void nb_page_cell_size(const struct nb_page *p, size_t n)
{
    fprintf(p->f, "<td class=\"n\">%zu</td>", n);
}

void nb_page_cell_number(const struct nb_page *p, const char *format, double v)
{
    fputs("<td class=\"n\">", p->f);
    if (isfinite(v))
        fprintf(p->f, format, v);
    else
        fputs("null", p->f);
    fputs("</td>", p->f);
}
