/* claims.c: claims.json as an article: what was said, and what came out. */
#include "page_parts.h"

#include <stdlib.h>
#include <string.h>

static const char *const verdicts[][2] = {
    {"REPRODUCED", "reproduced"},     {"REFUTED", "refuted"},
    {"CONDITIONAL", "conditional"},   {"NOT RESOLVED", "not resolved"},
    {"NOT TESTABLE", "not testable"}, {"UNTRIED", "not tried"}};
enum { VERDICTS = sizeof verdicts / sizeof *verdicts };

static const json_t *claims_of(const json_t *claims)
{
    return json_object_get(claims, "claims");
}

static size_t count(const json_t *claims, const char *verdict)
{
    const json_t *claim;
    size_t i, n = 0;
    json_array_foreach(claims_of(claims), i, claim) n +=
        rep_same(rep_string(claim, "verdict"), verdict);
    return n;
}

char *nb_claims_headline(const json_t *claims)
{
    char *text = NULL;
    size_t length = 0, n = json_array_size(claims_of(claims));
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    fprintf(f, "%zu claim%s about norms, tried", n, n == 1 ? "" : "s");
    for (size_t v = 0, told = 0; v < VERDICTS; v++) {
        const size_t times = count(claims, verdicts[v][0]);
        if (times > 0)
            fprintf(f, "%s %zu %s", told++ == 0 ? ":" : ",", times, verdicts[v][1]);
    }
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    return text;
}

void nb_claims_verdict(const struct nb_page *p, const json_t *claims)
{
    const double seconds = rep_number(claims, "seconds");
    fputs("<p class=\"kicker\">", p->f);
    nb_page_text(p, rep_string(claims, "cpu"));
    fputs(" · ", p->f);
    nb_page_text(p, rep_string(claims, "compiler"));
    fputs(" · effort ", p->f);
    nb_page_text(p, rep_string(claims, "effort"));
    if (seconds >= 0 && seconds < 1e9)
        fprintf(p->f, " · %.0f s", seconds);
    fputs("</p>\n", p->f);
    if (json_is_true(json_object_get(claims, "interrupted")))
        fputs("<p class=\"warning\"><strong>Interrupted:</strong> not every claim was "
              "tried.</p>\n",
              p->f);
}

/* ---- the table ---- */

static void tests(const struct nb_page *p, const json_t *claim)
{
    const json_t *test;
    size_t i;
    json_array_foreach(json_object_get(claim, "tests"), i, test)
    {
        fputs("<dt>Test</dt><dd>", p->f);
        nb_page_text(p, rep_string(test, "name"));
        fputs(": <code>", p->f);
        nb_page_text(p, rep_string(test, "quantity"));
        fputc(' ', p->f);
        nb_page_text(p, rep_string(test, "holds"));
        fputs("</code></dd>", p->f);
    }
}

static void described(const struct nb_page *p, const json_t *claim)
{
    static const char *const parts[][2] = {{"statement", "Statement"},
                                           {"source", "Source"},
                                           {"refuted_by", "Refuted by"},
                                           {"why", "Why"}};
    fputs("<details><summary>", p->f);
    nb_page_text(p, rep_string(claim, "title"));
    fputs("</summary><dl>", p->f);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (rep_string(claim, parts[i][0]) == NULL)
            continue;
        fprintf(p->f, "<dt>%s</dt><dd>", parts[i][1]);
        nb_page_text(p, rep_string(claim, parts[i][0]));
        fputs("</dd>", p->f);
    }
    tests(p, claim);
    if (rep_string(claim, "repro") != NULL) {
        fputs("<dt>Again</dt><dd>", p->f);
        nb_page_code(p, rep_string(claim, "repro"));
        fputs("</dd>", p->f);
    }
    fputs("</dl></details>", p->f);
}

static const char *verdict_class(const char *verdict)
{
    return strcmp(verdict, "REPRODUCED") == 0 ? "v0"
           : strcmp(verdict, "REFUTED") == 0  ? "v1"
                                              : "v2";
}

static void row(const struct nb_page *p, const json_t *claim)
{
    static const char *const counts[] = {"holds", "fails", "open", "missing"};
    const json_t *cells = json_object_get(claim, "cells");
    const char *verdict = rep_string(claim, "verdict"),
               *regime = rep_string(claim, "regime"),
               *reason = rep_string(claim, "reason");
    fputs("<tr><th scope=\"row\">", p->f);
    nb_page_text(p, rep_string(claim, "id"));
    fprintf(p->f, "</th><td class=\"%s\">%s</td><td class=\"wide\">",
            verdict_class(verdict), verdict);
    described(p, claim);
    fputs("</td>", p->f);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fprintf(p->f, "<td class=\"n\">%lld</td>",
                (long long)json_integer_value(json_object_get(cells, counts[i])));
    fputs("<td class=\"wide\">", p->f);
    nb_page_text(p, regime != NULL ? regime : reason != NULL ? reason : "");
    fputs("</td></tr>\n", p->f);
}

void nb_claims_sections(struct nb_page *p, const json_t *claims)
{
    static const struct nb_page_column columns[] = {
        {"id", false, NULL},     {"verdict", false, NULL},
        {"claim", false, NULL},  {"holds", true, NULL},
        {"fails", true, NULL},   {"open", true, NULL},
        {"missing", true, NULL}, {"where it holds, or why not told", false, NULL}};
    const json_t *claim;
    size_t i, left = 0;
    nb_page_section(p, "claims", "Claims");
    fputs("<p>Each verdict comes from an experiment on this machine and counts cells: "
          "cases in which what is claimed holds, fails, is open "
          "(not certain enough) or missing. A claim opens to what was said, where, and "
          "how it was tried. "
          "What was measured: <code>claims.md</code>.</p>\n",
          p->f);
    nb_page_table(p, "Claims", columns, sizeof columns / sizeof *columns);
    json_array_foreach(claims_of(claims), i, claim)
    {
        if (nb_page_has_room(p))
            row(p, claim);
        else
            left++;
    }
    nb_page_table_end(p);
    nb_page_left_out(p, left, "claims.md");
    fputs("<p>Again: ", p->f);
    nb_page_code(p, rep_string(claims, "command"));
    fputs(" with normbench ", p->f);
    nb_page_text(p, rep_string(claims, "version"));
    fputs(", git ", p->f);
    nb_page_text(p, rep_string(claims, "git"));
    fputs("</p>\n", p->f);
    nb_page_section_end(p);
}
