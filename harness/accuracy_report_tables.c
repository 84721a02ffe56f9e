/* The terminal table of `normbench accuracy` and accuracy.md. Strings of the file are
 * data (markup.h). */
#include "accuracy_report_data.h"
#include "markup.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED = 20, LISTED_MD = 200, VERDICTS = ACC_SKIP + 1 };

/* ---- what the cases of an algorithm say ---- */

/* Largest figures of a class, and where. */
struct worst {
    double E, share;
    const struct acc_case *at; /* of E; NULL: none */
};

/* Where a sweep breaks, and how far it went. */
struct sweep {
    double broke, reach; /* INFINITY: nowhere; 0: there was no sweep */
};

/* One row: an algorithm in a dtype, over ISAs, families and hiddens. */
struct row {
    size_t kernels, unstable, overflow, fails;
    struct worst random, attack;
    double ulp; /* on random data */
    struct sweep sweep;
};

struct summary {
    struct row *rows;     /* [nalgorithms * ACC_DTYPES] */
    struct sweep *sweeps; /* [nkernels] */
    size_t verdicts[VERDICTS];
};

static void take_worst(struct worst *w, const struct acc_case *c, double share)
{
    if (c->E_max > w->E || (w->at == NULL && !isnan(c->E_max))) {
        w->E = c->E_max;
        w->at = c;
    }
    w->share = fmax(w->share, share);
}

static void take_sweep(struct sweep *s, double x, bool broken)
{
    if (!isfinite(x))
        return;
    s->reach = fmax(s->reach, x);
    if (broken)
        s->broke = fmin(s->broke, x);
}

static void take_case(struct summary *s, const struct acc *a, const struct acc_case *c)
{
    const struct acc_kernel *k = &a->kernels[c->kernel];
    struct row *r = &s->rows[k->algorithm * ACC_DTYPES + k->dtype];
    enum acc_class class = a->families[c->family].class;
    s->verdicts[c->verdict]++;
    r->fails += acc_is_fail(c->verdict);
    r->unstable += c->unstable > 0;
    r->overflow += c->overflow > 0;
    if (class == ACC_RANDOM) {
        take_worst(&r->random, c, c->share_likely);
        r->ulp = fmax(r->ulp, c->ulp_max);
    }
    if (class == ACC_ATTACK)
        take_worst(&r->attack, c, c->share);
    if (class == ACC_SWEEP && acc_was_judged(c)) {
        take_sweep(&r->sweep, acc_conditioning(a, c), acc_is_broken(c));
        take_sweep(&s->sweeps[c->kernel], acc_conditioning(a, c), acc_is_broken(c));
    }
}

static struct summary summarize(const struct acc *a)
{
    size_t n = a->nalgorithms * ACC_DTYPES;
    struct summary s = {.rows = calloc(n, sizeof(*s.rows)),
                        .sweeps = calloc(a->nkernels, sizeof(*s.sweeps))};
    NB_ASSERT(s.rows != NULL && s.sweeps != NULL && "out of memory");
    for (size_t i = 0; i < n; i++)
        s.rows[i] = (struct row){.random = {NAN, NAN, NULL},
                                 .attack = {NAN, NAN, NULL},
                                 .ulp = NAN,
                                 .sweep = {INFINITY, 0}};
    for (size_t i = 0; i < a->nkernels; i++) {
        const struct acc_kernel *k = &a->kernels[i];
        s.sweeps[i] = (struct sweep){INFINITY, 0};
        s.rows[k->algorithm * ACC_DTYPES + k->dtype].kernels += k->runs;
    }
    for (size_t i = 0; i < a->ncases; i++)
        take_case(&s, a, &a->cases[i]);
    return s;
}

static void summary_free(struct summary *s)
{
    free(s->rows);
    free(s->sweeps);
}

/* Rows in the order of the tables: norms, then ceilings and reference lines. */
static void each_row(const struct acc *a, const struct summary *s, FILE *f,
                     void (*write)(const struct acc *, const struct acc_algorithm *,
                                   size_t dtype, const struct row *, FILE *))
{
    for (int norm = 1; norm >= 0; norm--)
        for (size_t i = 0; i < a->nalgorithms; i++)
            for (size_t d = 0; acc_is_norm(a->algorithms[i].op) == norm && d < ACC_DTYPES;
                 d++)
                if (s->rows[i * ACC_DTYPES + d].kernels > 0)
                    write(a, &a->algorithms[i], d, &s->rows[i * ACC_DTYPES + d], f);
}

/* ---- words ---- */

const char *acc_short(char text[16], double v)
{
    if (!(v >= 9.5))
        snprintf(text, 16, "%.0f", v);
    else if (isinf(v))
        snprintf(text, 16, "inf");
    else {
        char digits[16];
        snprintf(digits, sizeof(digits), "%.0e", v); /* 3e+03 */
        snprintf(text, 16, "%ce%d", digits[0], atoi(digits + 2));
    }
    return text;
}

static const char *figure(char text[16], double v, const char *none)
{
    if (isnan(v))
        snprintf(text, 16, "%s", none);
    else
        snprintf(text, 16, "%.3g", v);
    return text;
}

/* A share of a limit. */
static const char *percent(char text[16], double v, const char *none)
{
    if (isnan(v))
        snprintf(text, 16, "%s", none);
    else if (v > 0 && v < 0.001)
        snprintf(text, 16, "<0.1%%");
    else
        snprintf(text, 16, v < 0.1 ? "%.1f%%" : v < 100 ? "%.0f%%" : "%.0e%%", 100 * v);
    return text;
}

static const char *sweep_text(char text[32], const struct sweep *s, const char *none)
{
    char k[16];
    if (s->reach == 0)
        snprintf(text, 32, "%s", none);
    else if (isfinite(s->broke))
        snprintf(text, 32, "breaks at k=%s", acc_short(k, s->broke));
    else
        snprintf(text, 32, "stable to %s", acc_short(k, s->reach));
    return text;
}

static const char *const verdict_words[VERDICTS] = {
    "PASS",        "UNTESTED (hazard)", "FAIL_VALUE", "FAIL_NONFINITE",
    "other fails", "CRASHED",           "TIMED_OUT",  "MISTRUSTED (bound too wide)", "skipped"};

static void verdict_counts(const struct summary *s, FILE *f)
{
    bool first = true;
    for (int v = 0; v < VERDICTS; v++)
        if (s->verdicts[v] > 0) {
            fprintf(f, "%s%s %zu", first ? "" : ", ", verdict_words[v], s->verdicts[v]);
            first = false;
        }
}

static size_t count_fails(const struct summary *s)
{
    size_t n = 0;
    for (int v = 0; v < VERDICTS; v++)
        n += acc_is_fail((enum acc_verdict)v) ? s->verdicts[v] : 0;
    return n;
}

static size_t count_running(const struct acc *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->nkernels; i++)
        n += a->kernels[i].runs;
    return n;
}

/* ---- terminal ---- */

/* Of the column of ops. */
static int op_width(const struct acc *a)
{
    size_t most = sizeof "layernorm" - 1;
    for (size_t g = 0; g < a->nalgorithms; g++)
        most = strlen(a->algorithms[g].op) > most ? strlen(a->algorithms[g].op) : most;
    return most < 24 ? (int)most : 24;
}

static void terminal_row(const struct acc *a, const struct acc_algorithm *g, size_t dtype,
                         const struct row *r, FILE *f)
{
    char E[16], share[16], ulp[16], sweep[32];
    nb_plain_padded(f, g->op, op_width(a));
    fputc(' ', f);
    nb_plain_padded(f, g->algo, 15);
    fprintf(f, " %-4s %3zu  %8s %6s %8s", acc_dtype[dtype], r->kernels,
            figure(E, r->random.E, "-"), percent(share, r->random.share, "-"),
            figure(ulp, r->ulp, "-"));
    fprintf(f, "  %8s %6s  %-17s %5zu %5zu %5zu\n", figure(E, r->attack.E, "-"),
            percent(share, r->attack.share, "-"), sweep_text(sweep, &r->sweep, "-"),
            r->unstable, r->overflow, r->fails);
}

static void terminal_table(const struct acc *a, const struct summary *s, FILE *f)
{
    fprintf(f, "\n%-*s  %-24s  %-15s  %-17s %-11s\n", op_width(a) + 25, "", "random data", "attacks",
            "growing mean", "cases with");
    fprintf(f, "%-*s %-15s %-4s %3s  %8s %6s %8s  %8s %6s  %-17s %5s %5s %5s\n", op_width(a), "op",
            "algorithm", "type", "n", "E", "likely", "ulp", "E", "bound",
            "conditioning k", "unst", "ovfl", "fails");
    each_row(a, s, f, terminal_row);
    fputs(
        "n kernels, the worst of them; E error in unit roundoffs; likely, bound: share "
        "of the probabilistic and\nworst-case limit used; breaks: error above 10 %, NaN "
        "or Inf; unst, ovfl: rows on which no bound can hold\n",
        f);
}

static void terminal_fail(const struct acc *a, const struct acc_case *c, FILE *f)
{
    char E[16], bound[16];
    fputs("  ", f);
    nb_plain(f, c->verdict_name);
    fputs("  ", f);
    nb_plain(f, a->kernels[c->kernel].name);
    fputs("  ", f);
    nb_plain(f, a->families[c->family].name);
    fprintf(f, " h%zu  E %s, bound %s\n    ", c->hidden, figure(E, c->E_any, "null"),
            figure(bound, c->bound, "null"));
    nb_plain(f, c->repro);
    fputc('\n', f);
}

static void terminal_fails(const struct acc *a, const struct summary *s, FILE *f)
{
    size_t fails = count_fails(s), listed = 0;
    if (fails == 0)
        return;
    fprintf(f, "\n%zu FAILED\n", fails);
    for (size_t i = 0; i < a->ncases && listed < LISTED; i++)
        if (acc_is_fail(a->cases[i].verdict)) {
            terminal_fail(a, &a->cases[i], f);
            listed++;
        }
    if (listed < fails)
        fprintf(f, "  %zu more: accuracy.csv\n", fails - listed);
}

static void terminal_notes(const struct acc_notes *notes, FILE *f)
{
    for (int i = 0; i < ACC_NOTES; i++)
        if (notes->text[i][0] != 0) {
            fputs("note    ", f);
            nb_plain(f, notes->text[i]);
            fputc('\n', f);
        }
}

void acc_terminal(const struct acc *a, const struct acc_notes *notes, const char *dir,
                  FILE *f)
{
    struct summary s = summarize(a);
    terminal_table(a, &s, f);
    terminal_fails(a, &s, f);
    fprintf(f, "\n%zu kernels, %zu families, %zu cases: ", count_running(a), a->nfamilies,
            a->ncases);
    verdict_counts(&s, f);
    fputs("\nreport  ", f);
    nb_plain(f, dir);
    fputs("/accuracy.md\n", f);
    for (size_t i = 0; i < notes->npictures; i++) {
        fputs(i ? "        " : "plots   ", f);
        nb_plain(f, dir);
        fprintf(f, "/plots/%s.svg\n", notes->pictures[i]);
    }
    terminal_notes(notes, f);
    summary_free(&s);
}

/* ---- accuracy.md ---- */

static void md_case(const struct acc *a, const struct acc_case *c, FILE *f)
{
    if (c == NULL) {
        fputs("null", f);
        return;
    }
    nb_md(f, a->kernels[c->kernel].isa);
    if (strcmp(a->kernels[c->kernel].trick, "none") != 0) {
        fputc(' ', f);
        nb_md(f, a->kernels[c->kernel].trick);
    }
    fputs(", ", f);
    nb_md(f, a->families[c->family].name);
    fprintf(f, ", %zu", c->hidden);
}

static void md_row(const struct acc *a, const struct acc_algorithm *g, size_t dtype,
                   const struct row *r, FILE *f)
{
    char E[16], share[16], ulp[16], sweep[32];
    fputs("| ", f);
    nb_md(f, g->op);
    fputs(" | ", f);
    nb_md(f, g->algo);
    fprintf(f, " | %s | %zu | %s | ", acc_dtype[dtype], r->kernels,
            figure(E, r->random.E, "null"));
    md_case(a, r->random.at, f);
    fprintf(f, " | %s | %s | %s | ", percent(share, r->random.share, "null"),
            figure(ulp, r->ulp, "null"), figure(E, r->attack.E, "null"));
    md_case(a, r->attack.at, f);
    fprintf(f, " | %s | %s | %zu | %zu | %zu |\n",
            percent(share, r->attack.share, "null"), sweep_text(sweep, &r->sweep, "null"),
            r->unstable, r->overflow, r->fails);
}

static void md_table(const struct acc *a, const struct summary *s, FILE *f)
{
    fputs("\n## Every algorithm\n\nThe worst over ISAs, tricks and hiddens, and where it "
          "was "
          "seen (ISA, family, hidden).\n\n"
          "| op | algorithm | dtype | kernels | E, random data | at | share of likely "
          "| ulp | E, attacks | at | share of bound | growing mean | unstable "
          "| overflow | fails |\n"
          "|---|---|---|--:|--:|---|--:|--:|--:|---|--:|---|--:|--:|--:|\n",
          f);
    each_row(a, s, f, md_row);
    fputs(
        "\n- **E**: largest error of an element, in unit roundoffs of the arithmetic, "
        "over rows on which the kernel's bound holds (docs/numerics.md). **ulp**: in "
        "last "
        "places of the output type, on random data.\n"
        "- **likely**: limit from sums of roundings that behave like random ones; "
        "**bound**: worst case, which attacks aim at. A share above 100 % of the bound "
        "is a failure.\n"
        "- **growing mean**: x = a + N(0,1) for a = 1 to 1e7. The conditioning "
        "k = rms(x)/std of the first sweep point whose largest error passes 10 % of the "
        "largest output, or is NaN or Inf.\n"
        "- **unstable, overflow**: cases with rows outside the precondition of the "
        "bound, where any error is expected.\n",
        f);
}

/* One line a kernel name without its dtype. */
static bool is_first(const struct acc *a, size_t kernel)
{
    const struct acc_kernel *k = &a->kernels[kernel];
    for (size_t i = 0; i < kernel; i++)
        if (a->kernels[i].algorithm == k->algorithm && a->kernels[i].runs &&
            strcmp(a->kernels[i].isa, k->isa) == 0 &&
            strcmp(a->kernels[i].trick, k->trick) == 0)
            return false;
    return k->runs;
}

static void md_sweep_cell(const struct acc *a, const struct summary *s,
                          const struct acc_kernel *like, size_t dtype, FILE *f)
{
    char text[32];
    for (size_t i = 0; i < a->nkernels; i++) {
        const struct acc_kernel *k = &a->kernels[i];
        if (k->algorithm == like->algorithm && k->dtype == dtype && k->runs &&
            strcmp(k->isa, like->isa) == 0 && strcmp(k->trick, like->trick) == 0) {
            fprintf(f, " %s |", sweep_text(text, &s->sweeps[i], "null"));
            return;
        }
    }
    fputs(" no kernel |", f);
}

static void md_sweeps(const struct acc *a, const struct summary *s, FILE *f)
{
    fputs("\n## Where a growing mean breaks each kernel\n\n| op | algorithm | ISA | "
          "trick |",
          f);
    for (size_t d = 0; d < ACC_DTYPES; d++)
        fprintf(f, " %s |", acc_dtype[d]);
    fputs("\n|---|---|---|---|---|---|---|---|\n", f);
    for (size_t g = 0; g < a->nalgorithms; g++)
        for (size_t i = 0; acc_is_norm(a->algorithms[g].op) && i < a->nkernels; i++) {
            const struct acc_kernel *k = &a->kernels[i];
            if (k->algorithm != g || !is_first(a, i))
                continue;
            const char *words[] = {k->op, k->algo, k->isa, k->trick};
            fputc('|', f);
            for (int w = 0; w < 4; w++) {
                fputc(' ', f);
                nb_md(f, words[w]);
                fputs(" |", f);
            }
            for (size_t d = 0; d < ACC_DTYPES; d++)
                md_sweep_cell(a, s, k, d, f);
            fputc('\n', f);
        }
}

struct family_row {
    size_t pass, untested, fails, skipped;
    struct worst worst;
};

static void md_family(const struct acc *a, const struct acc_family *family,
                      const struct family_row *r, FILE *f)
{
    char E[16];
    fprintf(f, "| %s | ", acc_class_name[family->class]);
    nb_md(f, family->name);
    fprintf(f, " | %zu | %zu | %zu | %zu | %s | ", r->pass, r->untested, r->fails,
            r->skipped, figure(E, r->worst.E, "null"));
    if (r->worst.at != NULL)
        nb_md_code(f, a->kernels[r->worst.at->kernel].name);
    else
        fputs("null", f);
    fputs(" |\n", f);
}

static void md_families(const struct acc *a, FILE *f)
{
    struct family_row *rows = calloc(a->nfamilies, sizeof(*rows));
    NB_ASSERT(rows != NULL && "out of memory");
    for (size_t i = 0; i < a->nfamilies; i++)
        rows[i].worst = (struct worst){NAN, NAN, NULL};
    for (size_t i = 0; i < a->ncases; i++) {
        const struct acc_case *c = &a->cases[i];
        struct family_row *r = &rows[c->family];
        r->pass += c->verdict == ACC_PASS;
        r->untested += c->verdict == ACC_UNTESTED;
        r->skipped += c->verdict == ACC_SKIP;
        r->fails += acc_is_fail(c->verdict);
        take_worst(&r->worst, c, NAN);
    }
    fputs("\n## Every family of data\n\nCases over kernels and hiddens. Untested: every "
          "row "
          "lies outside the precondition of the kernel's bound.\n\n"
          "| class | family | pass | untested | fails | skipped | largest E | of |\n"
          "|---|---|--:|--:|--:|--:|--:|---|\n",
          f);
    for (int class = 0; class < ACC_CLASSES; class ++)
        for (size_t i = 0; i < a->nfamilies; i++)
            if ((int)a->families[i].class == class)
                md_family(a, &a->families[i], &rows[i], f);
    free(rows);
}

static void md_fail(const struct acc *a, const struct acc_case *c, FILE *f)
{
    char E[16], bound[16];
    fputs("| ", f);
    nb_md(f, c->verdict_name);
    fputs(" | ", f);
    nb_md_code(f, a->kernels[c->kernel].name);
    fputs(" | ", f);
    nb_md(f, a->families[c->family].name);
    fprintf(f, " | %zu | %s | %s | ", c->hidden, figure(E, c->E_any, "null"),
            figure(bound, c->bound, "null"));
    nb_md_code(f, c->repro);
    fputs(" |\n", f);
}

static void md_fails(const struct acc *a, const struct summary *s, FILE *f)
{
    size_t fails = count_fails(s), listed = 0;
    fputs("\n## Failures\n\n", f);
    if (fails == 0) {
        fputs("None.\n", f);
        return;
    }
    fputs("| verdict | kernel | family | hidden | E | bound | again |\n"
          "|---|---|---|--:|--:|--:|---|\n",
          f);
    for (size_t i = 0; i < a->ncases && listed < LISTED_MD; i++)
        if (acc_is_fail(a->cases[i].verdict)) {
            md_fail(a, &a->cases[i], f);
            listed++;
        }
    if (listed < fails)
        fprintf(f, "\n%zu more in `accuracy.csv`.\n", fails - listed);
}

static void md_note(const struct acc_notes *notes, enum acc_note note, const char *before,
                    FILE *f)
{
    if (notes->text[note][0] == 0)
        return;
    fputs(before, f);
    nb_md(f, notes->text[note]);
    fputc('\n', f);
}

static void md_pictures(const struct acc_notes *notes, FILE *f)
{
    static const char *const kinds[] = {"heatmap", "conditioning", "pareto", "ulp"};
    static const char *const what[] = {
        "what breaks where: every algorithm on every family of data",
        "error of every LayerNorm against the conditioning of its data",
        "time against error, and which kernels no other beats in both",
        "how many last places the outputs are off"};
    fputs("\n## Pictures\n\nEach is drawn by gnuplot from the `.gp` and `.dat` files "
          "beside "
          "it: `cd plots && gnuplot NAME.gp`.\n\n",
          f);
    for (size_t i = 0; i < notes->npictures; i++)
        for (size_t k = 0; k < 4; k++)
            if (strncmp(notes->pictures[i], kinds[k], strlen(kinds[k])) == 0)
                fprintf(f, "- [%s](plots/%s.svg): %s\n", notes->pictures[i],
                        notes->pictures[i], what[k]);
    md_note(notes, ACC_NOTE_TIMES, "- ", f);
}

void acc_markdown(const struct acc *a, const struct acc_notes *notes, FILE *f)
{
    struct summary s = summarize(a);
    fprintf(f, "# normbench accuracy\n\n**%zu kernels, %zu families of data, %zu cases: ",
            count_running(a), a->nfamilies, a->ncases);
    verdict_counts(&s, f);
    fputs("**\n", f);
    md_note(notes, ACC_NOTE_CUT, "\n", f);
    md_table(a, &s, f);
    md_sweeps(a, &s, f);
    md_fails(a, &s, f);
    md_families(a, f);
    md_pictures(notes, f);
    summary_free(&s);
}
