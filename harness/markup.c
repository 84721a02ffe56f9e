#include "markup.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the UTF-8 character at s; 0: there is none. Surrogates, numbers above U+10FFFF
 * and needlessly long forms are none. */
static size_t utf8_bytes(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (s[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    bool wrong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
                 (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F);
    return wrong ? 0 : n;
}

bool nb_is_bidi(const char *s)
{
    const unsigned char *c = (const unsigned char *)s;
    return c[0] == 0xE2 && ((c[1] == 0x80 && c[2] >= 0xAA && c[2] <= 0xAE) || (c[1] == 0x81 && c[2] >= 0xA6 && c[2] <= 0xA9));
}

/* Control characters have one byte, or two (U+0080..9F). */
size_t nb_next_char(const char **s, char out[4])
{
    const unsigned char *from = (const unsigned char *)*s;
    size_t n = utf8_bytes(from);
    bool control = from[0] < 0x20 || from[0] == 0x7F ||
                   (n == 2 && from[0] == 0xC2 && from[1] < 0xA0) || (n == 3 && nb_is_bidi(*s));
    *s += n ? n : 1;
    if (n == 0 || control) {
        out[0] = control ? ' ' : '?';
        return 1;
    }
    memcpy(out, from, n);
    return n;
}

void nb_plain(FILE *f, const char *s)
{
    char c[4];
    for (s = s ? s : "unknown"; *s;)
        fwrite(c, 1, nb_next_char(&s, c), f);
}

void nb_plain_lines(FILE *f, const char *s)
{
    for (; *s != '\0'; s += *s == '\n') {
        char c[4];
        while (*s != '\0' && *s != '\n')
            fwrite(c, 1, nb_next_char(&s, c), f);
        if (*s == '\n')
            fputc('\n', f);
    }
}

void nb_plain_padded(FILE *f, const char *s, int width)
{
    char c[4];
    for (s = s ? s : "unknown"; *s && width > 0; width--)
        fwrite(c, 1, nb_next_char(&s, c), f);
    fprintf(f, "%*s", width, "");
}

void nb_md(FILE *f, const char *s)
{
    char c[4];
    for (s = s ? s : "unknown"; *s;) {
        size_t n = nb_next_char(&s, c);
        if (c[0] == '<' || c[0] == '>' || c[0] == '&') {
            fputs(c[0] == '<' ? "&lt;" : c[0] == '>' ? "&gt;" : "&amp;", f);
            continue;
        }
        if (strchr("\\`*_[]|#!~$", c[0]) != NULL)
            fputc('\\', f);
        fwrite(c, 1, n, f);
    }
}

/* Only the backtick and the bar mean something there. */
void nb_md_code(FILE *f, const char *s)
{
    char c[4];
    fputc('`', f);
    for (s = s && *s ? s : "unknown"; *s;) {
        size_t n = nb_next_char(&s, c);
        if (c[0] == '|')
            fputc('\\', f);
        else if (c[0] == '`')
            c[0] = '\'';
        fwrite(c, 1, n, f);
    }
    fputc('`', f);
}

void nb_html(FILE *f, const char *s)
{
    static const char special[] = "&<>\"'`";
    static const char *const escaped[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#96;"};
    char c[4];
    for (s = s ? s : "unknown"; *s;) {
        const size_t n = nb_next_char(&s, c);
        const char *at = n == 1 ? strchr(special, c[0]) : NULL;
        if (at != NULL)
            fputs(escaped[at - special], f);
        else
            fwrite(c, 1, n, f);
    }
}
