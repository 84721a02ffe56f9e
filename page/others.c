/* others.c: accuracy.csv and gate.json as articles, by the writers of accuracy.md and
 * gate.md. */
#include "gate_report.h"
#include "page_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- accuracy ---- */

char *nb_accuracy_headline(const struct acc *a)
{
    size_t fails = 0, running = 0;
    char text[200];
    for (size_t i = 0; i < a->ncases; i++)
        fails += acc_is_fail(a->cases[i].verdict);
    for (size_t i = 0; i < a->nkernels; i++)
        running += a->kernels[i].runs;
    snprintf(text, sizeof text,
             "Accuracy of %zu kernels on %zu families of data: %zu of %zu cases fail%s",
             running, a->nfamilies, fails, a->ncases, fails == 1 ? "s" : "");
    char *kept = strdup(text);
    NB_ASSERT(kept != NULL && "out of memory");
    return kept;
}

void nb_accuracy_verdict(const struct nb_page *p, const struct acc *a)
{
    if (a->csv.cut)
        fputs("<p class=\"warning\"><strong>Cut off:</strong> the last line of "
              "accuracy.csv was not read.</p>\n",
              p->f);
}

/* Sections of accuracy.md begin with "\n## "; the pictures, which are files, are left
 * out. */
static void each_section(struct nb_page *p, char *text)
{
    static const char mark[] = "\n## ", pictures[] = "\n## Pictures";
    char *from = strstr(text, mark);
    for (unsigned n = 1; from != NULL; n++) {
        char *next = strstr(from + 1, mark), id[24];
        char *part = strndup(from, next != NULL ? (size_t)(next - from) : strlen(from));
        NB_ASSERT(part != NULL && "out of memory");
        snprintf(id, sizeof id, "accuracy%u", n);
        if (strncmp(part, pictures, strlen(pictures)) != 0)
            nb_page_markdown_section(p, id, part);
        else
            free(part);
        from = next;
    }
    free(text);
}

void nb_accuracy_sections(struct nb_page *p, const struct acc *a)
{
    static const struct acc_notes none = {.npictures = 0};
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    acc_markdown(a, &none, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    each_section(p, text);
}

/* ---- gate ---- */

char *nb_gate_headline(const json_t *gate)
{
    static const char *const words[] = {
        "no kernel is slower than in the base", "the run says nothing", "a kernel failed",
        "a kernel is slower than in the base", "not resolved whether a kernel is slower"};
    char text[120];
    snprintf(text, sizeof text, "Gate: %s",
             words[json_integer_value(json_object_get(gate, "exit_code"))]);
    char *kept = strdup(text);
    NB_ASSERT(kept != NULL && "out of memory");
    return kept;
}

void nb_gate_verdict_words(const struct nb_page *p, const json_t *gate)
{
    fputs("<p class=\"kicker\">", p->f);
    nb_page_text(p, rep_string(json_object_get(gate, "run"), "cpu"));
    fputs("</p>\n", p->f);
}

void nb_gate_sections(struct nb_page *p, const json_t *gate)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL && "out of memory");
    nb_gate_md(gate, f);
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    nb_page_section(p, "gate", "Comparisons");
    nb_page_markdown(p, text, false);
    fputs("<p>Again: ", p->f);
    nb_page_code(p, rep_string(json_object_get(gate, "run"), "command"));
    fputs("</p>\n", p->f);
    nb_page_section_end(p);
    free(text);
}
