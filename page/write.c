#include "page_write.h"

#include "host.h"
#include "markup.h"
#include "page_assets.h"
#include "page_html.h"
#include "page_parts.h"

#include <string.h>

const char nb_page_first_bytes[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"generator\" content=\"normbench";

enum { FRAME = 60000 }; /* bytes of a page that no article has: style, script, contents */

/* ---- what each kind of folder says ---- */

static char *headline(const struct nb_folder *f)
{
    switch (f->kind) {
    case NB_FOLDER_RUN:
        return nb_run_headline(&f->run);
    case NB_FOLDER_CLAIMS:
        return nb_claims_headline(f->json);
    case NB_FOLDER_ACCURACY:
        return nb_accuracy_headline(&f->accuracy);
    default:
        return nb_gate_headline(f->json);
    }
}

static void verdict(const struct nb_page *p, struct nb_folder *f)
{
    switch (f->kind) {
    case NB_FOLDER_RUN:
        nb_run_verdict(p, &f->run);
        break;
    case NB_FOLDER_CLAIMS:
        nb_claims_verdict(p, f->json);
        break;
    case NB_FOLDER_ACCURACY:
        nb_accuracy_verdict(p, &f->accuracy);
        break;
    default:
        nb_gate_verdict_words(p, f->json);
    }
}

static void sections(struct nb_page *p, struct nb_folder *f)
{
    switch (f->kind) {
    case NB_FOLDER_RUN:
        nb_run_sections(p, &f->run);
        break;
    case NB_FOLDER_CLAIMS:
        nb_claims_sections(p, f->json);
        break;
    case NB_FOLDER_ACCURACY:
        nb_accuracy_sections(p, &f->accuracy);
        break;
    default:
        nb_gate_sections(p, f->json);
    }
}

static int by_kind(const void *a, const void *b)
{
    return (int)(*(struct nb_folder *const *)a)->kind -
           (int)(*(struct nb_folder *const *)b)->kind;
}

/* Runs, claims, accuracy, gates; those of one kind as they were given. */
static void sort_by_kind(struct nb_page_folders *f)
{
    for (size_t i = 1; i < f->n; i++)
        for (size_t k = i; k > 0 && by_kind(&f->list[k], &f->list[k - 1]) < 0; k--) {
            struct nb_folder *one = f->list[k];
            f->list[k] = f->list[k - 1];
            f->list[k - 1] = one;
        }
}

/* ---- articles ---- */

static void title(const struct nb_page *p, const struct nb_folder *f, int level)
{
    char *text = headline(f);
    fprintf(p->f, "<h%d id=\"p%u-top\">", level, p->article);
    nb_page_text(p, text);
    fprintf(p->f, "</h%d>\n", level);
    free(text);
}

static void article_link(struct nb_page *p, const struct nb_folder *f)
{
    if (p->nlinks == NB_PAGE_LINKS)
        return;
    struct nb_page_link *l = &p->links[p->nlinks++];
    *l = (struct nb_page_link){.label = headline(f), .article = true};
    nb_page_id(p, "top", l->id);
}

/* Of the first article the verdict stands above everything, in a part of its own. */
static void article(struct nb_page *p, FILE *top, FILE *body, struct nb_folder *f)
{
    const bool first = ++p->article == 1;
    p->f = first ? top : body;
    if (first)
        fputs("<header>\n", p->f);
    else
        fprintf(p->f, "<article aria-labelledby=\"p%u-top\">\n", p->article);
    p->level = first ? 2 : 3;
    p->begin = ftell(p->f);
    title(p, f, first ? 1 : 2);
    verdict(p, f);
    if (first)
        fputs("</header>\n", p->f);
    p->f = body;
    if (first) {
        p->begin = ftell(p->f);
        fputs("<article aria-labelledby=\"p1-top\">\n", p->f);
    }
    article_link(p, f);
    sections(p, f);
    fputs("</article>\n", p->f);
}

/* ---- around them ---- */

static void contents(const struct nb_page *p)
{
    fputs("<nav aria-label=\"Contents\">\n", p->f);
    for (size_t i = 0; i < p->nlinks; i++) {
        const struct nb_page_link *l = &p->links[i];
        if (l->article)
            fprintf(p->f, "%s<ul>\n", i > 0 ? "</ul>\n" : "");
        if (i == 0)
            continue; /* the verdict of the first article stands above */
        fprintf(p->f, "<li><a href=\"#%s\">%s", l->id, l->article ? "<strong>" : "");
        nb_page_text(p, l->label);
        fprintf(p->f, "%s</a></li>\n", l->article ? "</strong>" : "");
    }
    fputs("</ul>\n</nav>\n", p->f);
}

/* What may run and load is said by hashes: the script and the style of this program, and
 * nothing else. */
static void head(const struct nb_page *p, const struct nb_folder *first)
{
    char *text = headline(first);
    fputs(nb_page_first_bytes, p->f);
    fprintf(p->f, " %s, git %s\">\n", NB_VERSION, nb_host_git());
    fputs("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'sha256-" NB_PAGE_STYLE_HASH
          "'; script-src 'sha256-" NB_PAGE_SCRIPT_HASH
          "'; img-src data:; base-uri 'none'; form-action 'none'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<title>normbench: ",
          p->f);
    nb_page_text(p, text);
    fputs("</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>" NB_PAGE_STYLE
          "</style>\n</head>\n<body>\n"
          "<a class=\"skip\" href=\"#content\">To the tables</a>\n<main>\n",
          p->f);
    free(text);
}

static void foot(const struct nb_page *p)
{
    fprintf(p->f,
            "</main>\n<footer><p>Made by normbench %s, git %s, from the raw files alone; "
            "its numbers are those of "
            "<code>report.md</code> and <code>speedup.csv</code>. <strong>null</strong>: "
            "not measured.</p></footer>\n",
            NB_VERSION, nb_host_git());
    fputs("<script>" NB_PAGE_SCRIPT "</script>\n</body>\n</html>\n", p->f);
}

struct part {
    char *text;
    size_t length;
};

static FILE *open_part(struct part *part)
{
    FILE *f = open_memstream(&part->text, &part->length);
    NB_ASSERT(f != NULL && "out of memory");
    return f;
}

static void close_part(FILE *f)
{
    NB_ASSERT(fclose(f) == 0 && "out of memory");
}

static void put_together(struct nb_page *p, const struct nb_page_folders *folders,
                         const struct part *top, const struct part *body,
                         struct part *all)
{
    p->f = open_part(all);
    head(p, folders->list[0]);
    fwrite(top->text, 1, top->length, p->f);
    contents(p);
    fputs("<div id=\"content\">\n", p->f);
    fwrite(body->text, 1, body->length, p->f);
    fputs("</div>\n", p->f);
    foot(p);
    close_part(p->f);
}

/* room: for the tables of one article. */
static struct part write_page(const struct nb_page_folders *folders, long room)
{
    struct nb_page p = {.room = room};
    struct part top, body, all;
    FILE *top_file = open_part(&top), *body_file = open_part(&body);
    for (size_t i = 0; i < folders->n; i++)
        article(&p, top_file, body_file, folders->list[i]);
    close_part(top_file);
    close_part(body_file);
    put_together(&p, folders, &top, &body, &all);
    free(top.text);
    free(body.text);
    for (size_t i = 0; i < p.nlinks; i++)
        free(p.links[i].label);
    return all;
}

/* Where all tables are too much for one page, each article gets an equal share of it. */
enum nb_status nb_page_write(struct nb_page_folders *folders, char **text, size_t *length,
                             struct nb_err *err)
{
    const long most = NB_PAGE_MOST - FRAME;
    sort_by_kind(folders);
    struct part all = write_page(folders, most);
    if (all.length > NB_PAGE_MOST) {
        free(all.text);
        all = write_page(folders, most / (long)folders->n);
    }
    *text = all.text;
    *length = all.length;
    if (all.length <= NB_PAGE_MOST)
        return NB_OK;
    free(all.text);
    return nb_fail(err,
                   "the page would have %zu bytes, more than %d: give fewer folders, or "
                   "make a page for each",
                   all.length, NB_PAGE_MOST);
}
