/* Words of a page: what is escaped, what the text of a report becomes, and that no text
 * becomes markup. */
#include "chart.h"
#include "markup.h"
#include "page_html.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nb_page begin(char **text, size_t *length)
{
    struct nb_page p = {
        .f = open_memstream(text, length), .article = 1, .level = 2, .room = 100000};
    assert_non_null(p.f);
    return p;
}

static void is_html(const char *markdown, const char *html)
{
    char *text;
    size_t length;
    const struct nb_page p = begin(&text, &length);
    nb_page_markdown(&p, markdown, true);
    fclose(p.f);
    assert_string_equal(text, html);
    free(text);
}

static void test_html(void **state)
{
    (void)state;
    char *text;
    size_t length;
    FILE *f = open_memstream(&text, &length);
    nb_html(f, "<a href=\"x\" b='`&'>\x1b[1m\n\xe2\x80\xae\xff\xc3\xbc");
    nb_html(f, NULL);
    fclose(f);
    assert_string_equal(
        text,
        "&lt;a href=&quot;x&quot; b=&#39;&#96;&amp;&#39;&gt; [1m  ?\xc3\xbcunknown");
    free(text);
}

/* Text that is too long is cut between characters, and says so. */
static void test_long(void **state)
{
    (void)state;
    char *text, long_text[10002];
    size_t length;
    const struct nb_page p = begin(&text, &length);
    for (size_t i = 0; i < 10000; i += 2)
        memcpy(long_text + i, "\xc3\xbc", 2);
    memmove(long_text + 1, long_text, 10000);
    long_text[0] = 'x';
    long_text[10001] = '\0';
    nb_page_text(&p, long_text);
    fclose(p.f);
    assert_in_range(length, 3900, 4100);
    assert_null(strchr(text, '?'));
    assert_string_equal(text + length - 6, "\xc3\xbc ...");
    free(text);
}

static void test_blocks(void **state)
{
    (void)state;
    is_html("# a\n\n## b\n\n### c\n", "<h2>a</h2>\n<h2>b</h2>\n<h3>c</h3>\n");
    is_html("one\ntwo\n\nthree", "<p>one\ntwo</p>\n<p>three</p>\n");
    is_html("- a\n- b\n\nc\n", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<p>c</p>\n");
    is_html("    code <&>\n",
            "<pre tabindex=\"0\"><code>code &lt;&amp;&gt;\n</code></pre>\n");
    is_html("> said\n", "<blockquote><p>said</p></blockquote>\n");
    is_html(
        "- 1\n- 2\n- 3\n- 4\n- 5\n- 6\n- 7\n- 8\n- 9\n",
        "<details><summary>9 lines</summary>\n<ul>\n<li>1</li>\n<li>2</li>\n<li>3</li>\n"
        "<li>4</li>\n<li>5</li>\n<li>6</li>\n<li>7</li>\n<li>8</li>\n<li>9</li>\n</"
        "ul>\n</details>\n");
}

static void test_words(void **state)
{
    (void)state;
    is_html("**a** b", "<p><strong>a</strong> b</p>\n");
    is_html("**a", "<p><strong>a</strong></p>\n");
    is_html("`a<b` \\`c\\` &lt;d&gt; &amp;e &f",
            "<p><code>a&lt;b</code> &#96;c&#96; &lt;d&gt; &amp;e &amp;f</p>\n");
    is_html("`a\\|b`", "<p><code>a|b</code></p>\n");
    is_html("`open", "<p>&#96;open</p>\n");
    is_html("[words](javascript:alert(1)) 1.5 [1.2, 1.8]",
            "<p>words) 1.5 [1.2, 1.8]</p>\n");
    is_html("12.5 % of", "<p>12.5&#160;% of</p>\n");
}

static const char box[] = "<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
                          "aria-label=\"Table\"><table><thead><tr>";

static void test_tables(void **state)
{
    (void)state;
    char html[1000];
    snprintf(html, sizeof html,
             "%s<th scope=\"col\">a</th><th scope=\"col\" class=\"n\">b</th><th "
             "scope=\"col\"><span class=\"unseen\">note</span></th></tr></thead>\n"
             "<tbody>\n<tr><td><code>x|y</code></td><td "
             "class=\"n\">1</td><td>p|q</td></tr>\n</tbody></table></div>\n",
             box);
    is_html("| a | b | |\n|---|--:|---|\n| `x\\|y` | 1 | p\\|q |\n", html);
    /* more cells than columns are no columns; fewer are no harm */
    snprintf(html, sizeof html,
             "%s<th "
             "scope=\"col\">a</th></tr></thead>\n<tbody>\n<tr><td>1</td></tr>\n<tr></"
             "tr>\n</tbody></table></div>\n",
             box);
    is_html("| a |\n|---|\n| 1 | 2 | 3 |\n|\n", html);
}

/* An element that a text leaves open is closed, and one that it did not open is none. */
static void test_details(void **state)
{
    (void)state;
    is_html("<details><summary>5 `a`</summary>\n\nb\n\n</details>\n",
            "<details><summary>5 <code>a</code></summary>\n<p>b</p>\n</details>\n");
    is_html("<details><summary>x</summary>\n",
            "<details><summary>x</summary>\n</details>\n");
    is_html("</details>\n", "<p>&lt;/details&gt;</p>\n");
    is_html("<details><summary><b></summary>\n",
            "<details><summary>&lt;b&gt;</summary>\n</details>\n");
    is_html("<details open>\n", "<p>&lt;details open&gt;</p>\n");
}

/* Every < of the result begins an element of the converter, whatever bytes come in. */
static void only_known_elements(const char *html)
{
    static const char *const known[] = {
        "h2>",  "h3>",  "h4>",         "h5>",      "h6>",      "p>",    "p ",
        "ul>",  "li>",  "blockquote>", "pre>",     "pre ",     "code>", "strong>",
        "div>", "div ", "table>",      "thead>",   "tr>",      "th ",   "th>",
        "td>",  "td ",  "tbody>",      "details>", "summary>", "span>", "span "};
    for (const char *s = strchr(html, '<'); s != NULL; s = strchr(s + 1, '<')) {
        const char *name = s + 1 + (s[1] == '/');
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strncmp(name, known[i], strlen(known[i])) == 0;
        if (!found)
            fail_msg("an element of a text: %.40s", s);
    }
}

static void test_any_text(void **state)
{
    static const char *const pieces[] = {"<script>",
                                         "|",
                                         "|---|--:|",
                                         "\n",
                                         "\n\n",
                                         "`",
                                         "**",
                                         "- ",
                                         "> ",
                                         "    ",
                                         "# ",
                                         "#######",
                                         "[x](y)",
                                         "[",
                                         "](",
                                         ")",
                                         "\\",
                                         "\\|",
                                         "&lt;",
                                         "&",
                                         "<details><summary>",
                                         "</summary>",
                                         "</details>",
                                         "\"",
                                         "'",
                                         "\xe2\x80\xae",
                                         "\xff",
                                         "text ",
                                         "| a | b |\n|---|---|\n| c | d |\n",
                                         " %",
                                         "\x1b"};
    uint32_t seed = 1;
    (void)state;
    for (int run = 0; run < 3000; run++) {
        char markdown[2000] = "", *html;
        size_t length;
        for (int i = 0; i < 40; i++) {
            seed = seed * 1664525u + 1013904223u;
            strcat(markdown, pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        const struct nb_page p = begin(&html, &length);
        nb_page_markdown(&p, markdown, seed & 1);
        fclose(p.f);
        only_known_elements(html);
        size_t opened = 0, closed = 0;
        for (const char *s = html; (s = strstr(s, "<details>")) != NULL; s++)
            opened++;
        for (const char *s = html; (s = strstr(s, "</details>")) != NULL; s++)
            closed++;
        assert_int_equal(opened, closed);
        free(html);
    }
}

/* Pictures of numbers that no run has: all marks stay inside. */
static void test_chart(void **state)
{
    static const struct nb_mark marks[] = {
        {64, 1.5, 1.4, 1.6, 0}, {128, 1e300, 1e-300, 1e308, 1}, {256, 1e-9, NAN, NAN, 2}};
    static const size_t xs[] = {64, 128, 256};
    struct nb_ratio_axis axis = {0, 0};
    char *text;
    size_t length;
    (void)state;
    const struct nb_page p = begin(&text, &length);
    for (size_t i = 0; i < 3; i++)
        nb_axis_add(&axis, &marks[i]);
    nb_axis_round(&axis);
    nb_chart_cells(&p, &(struct nb_chart_words){"<t>", "\"d\""}, &axis, marks, 3);
    nb_chart_over(&p, &(struct nb_chart_words){"t", "d"}, &axis, xs, 3, marks, 3);
    nb_chart_shares(&p, &(struct nb_chart_words){"t", "d"},
                    (const char *const[]){"<a>", "b", "c"}, 3, marks, 0);
    fclose(p.f);
    assert_non_null(strstr(text, "<title>&lt;t&gt;</title><desc>&quot;d&quot;</desc>"));
    assert_non_null(strstr(text, ">&lt;a&gt;</text>"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    assert_null(strstr(text, "e+"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_html),     cmocka_unit_test(test_long),
        cmocka_unit_test(test_blocks),   cmocka_unit_test(test_words),
        cmocka_unit_test(test_tables),   cmocka_unit_test(test_details),
        cmocka_unit_test(test_any_text), cmocka_unit_test(test_chart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
