/* account_md.c: claims.md. */
#include "account_parts.h"

#include "host.h"
#include "markup.h"
#include "shares.h"

#include <string.h>

static void md_cell(FILE *f, const char *text)
{
    fputs(" | ", f);
    nb_md(f, text);
}

static void md_row(FILE *f, const struct nb_case_of *c)
{
    char measured[200] = "", one[200], noise[64] = "";
    for (size_t t = 0; t < c->claim->test_count && c->judgement.finding != NB_UNTRIED; t++) {
        nb_measured(&c->tests[t], one, sizeof one);
        nb_put(measured, sizeof measured, "%s%s", t > 0 ? "; " : "", one);
        nb_noise(&c->tests[t], one, sizeof one);
        nb_put(noise, sizeof noise, "%s%s", t > 0 ? "; " : "", one);
    }
    fputs("| ", f);
    nb_md(f, c->claim->id);
    md_cell(f, nb_finding_name(c->judgement.finding));
    md_cell(f, c->claim->title);
    md_cell(f, measured);
    md_cell(f, noise);
    md_cell(f, c->judgement.regime[0] != '\0' ? c->judgement.regime : c->judgement.reason);
    fputs(" |\n", f);
}

static void md_item(FILE *f, const char *label, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fprintf(f, "- %s: ", label);
    nb_md(f, text);
    fputc('\n', f);
}

static bool has_shares(const struct nb_run_of *r)
{
    bool has = false;
    for (size_t i = 0; i < r->observations.n; i++)
        has = has || strcmp(r->observations.v[i].quantity, "share_in_situ") == 0;
    return has;
}

static void md_test(FILE *f, const struct nb_account *a, const struct nb_case_of *c, size_t t)
{
    const struct nb_test *test = &c->claim->tests[t];
    const struct nb_run_of *r = &a->hearing->runs[c->tests[t].run];
    char measured[200], noise[32], outcomes[80], text[1000];
    nb_measured(&c->tests[t], measured, sizeof measured);
    nb_noise(&c->tests[t], noise, sizeof noise);
    nb_outcomes(&c->tests[t], outcomes, sizeof outcomes);
    snprintf(text, sizeof text, "%s of %s %.150s%s%.300s: measured %s; noise floor %s%s%s", test->quantity, test->experiment->name,
             test->holds_text, test->where_text[0] != '\0' ? " where " : "", test->where_text, measured, noise,
             outcomes[0] != '\0' ? "; " : "", outcomes);
    fprintf(f, "- test ");
    nb_md_code(f, test->name);
    fputs(": ", f);
    nb_md(f, text);
    if (has_shares(r))
        fputs("; shares, saved time and bounds side by side: [below](#shares-of-norms-in-whole-blocks)", f);
    if (r->dir[0] != '\0') {
        fputs("; its files: ", f);
        nb_md_code(f, r->dir);
    }
    fputc('\n', f);
}

enum { CELLS_SHOWN = 12 }; /* of each outcome */

static void md_one_cell(FILE *f, const char *test, const struct nb_observation *o, enum nb_outcome outcome)
{
    fputs("| ", f);
    nb_md(f, test);
    md_cell(f, o->where);
    if (outcome == NB_MISSING || o->nan)
        fprintf(f, " | %s | - | - | %s |\n", o->nan ? "not a number" : "-", nb_outcome_name(outcome));
    else
        fprintf(f, " | %.4g | %.4g to %.4g | %zu | %s |\n", o->value, o->low, o->high, o->n, nb_outcome_name(outcome));
}

static size_t count_cells(const struct nb_case_of *c, enum nb_outcome outcome)
{
    size_t count = 0;
    for (size_t t = 0; t < c->claim->test_count; t++)
        for (size_t i = 0; i < c->tests[t].n; i++)
            count += c->tests[t].outcome[i] == outcome;
    return count;
}

/* Returns how many are shown. */
static size_t md_cells_of(FILE *f, const struct nb_case_of *c, enum nb_outcome outcome)
{
    size_t shown = 0;
    for (size_t t = 0; t < c->claim->test_count; t++)
        for (size_t i = 0; i < c->tests[t].n && shown < CELLS_SHOWN; i++)
            if (c->tests[t].outcome[i] == outcome) {
                md_one_cell(f, c->claim->tests[t].name, c->tests[t].v[i], outcome);
                shown++;
            }
    return shown;
}

/* The rarer outcome comes first: it is what decides between a verdict and CONDITIONAL. */
static void md_cells(FILE *f, const struct nb_case_of *c)
{
    static const enum nb_outcome outcomes[] = {NB_FAILS, NB_HOLDS, NB_OPEN, NB_MISSING};
    enum { KINDS = sizeof outcomes / sizeof *outcomes };
    size_t count[KINDS], all = 0, shown = 0;
    for (size_t k = 0; k < KINDS; k++)
        all += count[k] = count_cells(c, outcomes[k]);
    if (all < 2)
        return;
    fprintf(f, "\n<details><summary>%zu cells</summary>\n", all);
    fputs("\n| test | where | value | interval | n | outcome |\n|---|---|---|---|---|---|\n", f);
    for (size_t turn = 0; turn < KINDS; turn++) {
        size_t rarest = 0;
        for (size_t k = 1; k < KINDS; k++)
            rarest = count[k] < count[rarest] ? k : rarest;
        shown += md_cells_of(f, c, outcomes[rarest]);
        count[rarest] = SIZE_MAX;
    }
    if (all > shown)
        fprintf(f, "\nAnd %zu more: `claims.json`.\n", all - shown);
    fputs("\n</details>\n", f);
}

static void md_section(FILE *f, const struct nb_account *a, const struct nb_case_of *c)
{
    char *repro = nb_account_repro(a, c->claim);
    fputs("\n## ", f);
    nb_md(f, c->claim->id);
    fputs(": ", f);
    nb_md(f, c->claim->title);
    fprintf(f, "\n\n**%s**", nb_finding_name(c->judgement.finding));
    if (c->judgement.regime[0] != '\0') {
        fputs(": holds where ", f);
        nb_md(f, c->judgement.regime);
    }
    if (c->judgement.reason[0] != '\0') {
        fputs(c->judgement.regime[0] != '\0' ? "; " : ": ", f);
        nb_md(f, c->judgement.reason);
    }
    fputs("\n\n", f);
    md_item(f, "statement", c->claim->statement);
    md_item(f, "source", c->claim->source);
    md_item(f, "would be refuted by", c->claim->refuted_by);
    for (size_t t = 0; t < c->claim->test_count && c->judgement.finding != NB_UNTRIED; t++)
        md_test(f, a, c, t);
    if (c->judgement.stretch > 1)
        fprintf(f, "- cells disagree: for the outcomes below, the wider half of intervals was taken on both sides, widened %.2f times for %zu cells\n",
                c->judgement.stretch, c->judgement.random);
    md_item(f, "why", c->claim->why);
    fputs("- again: ", f);
    nb_md_code(f, repro);
    free(repro);
    fputc('\n', f);
    if (c->judgement.finding != NB_UNTRIED)
        md_cells(f, c);
}

static void md_pair(void *context, const struct nb_case_of *a, const struct nb_case_of *b)
{
    FILE *f = context;
    const struct nb_case_of *const both[] = {a, b};
    char together[2000];
    nb_both_say(a, b, together, sizeof together);
    for (int i = 0; i < 2; i++) {
        fputs("| ", f);
        nb_md(f, both[i]->claim->id);
        md_cell(f, both[i]->claim->statement);
        md_cell(f, nb_finding_name(both[i]->judgement.finding));
        md_cell(f, i == 0 ? "" : together);
        fputs(" |\n", f);
    }
}

static void md_shares(FILE *f, const struct nb_hearing *h)
{
    bool any = false;
    for (size_t i = 0; i < h->run_count; i++)
        any = any || has_shares(&h->runs[i]);
    if (!any)
        return;
    fputs("\n## Shares of norms in whole blocks\n\nIn situ: what the clock says before and after each norm. By difference: the block with the "
          "norm and the block without one. Where the difference is within the noise floor or its interval holds 0 it is not resolved, and the "
          "share in situ decides. What a faster norm saves of a block lies below Amdahl's bound, which follows from the share in situ.\n", f);
    nb_shares_md(f, h);
}

void nb_account_md(FILE *f, const struct nb_account *a)
{
    char counts[200], wrong[600];
    const struct nb_hearing *h = a->hearing;
    nb_account_count(h, counts, sizeof counts);
    fprintf(f, "# Claims about norms, tried\n\n%s.", counts);
    fputs(h->interrupted ? " **Interrupted**: what is UNTRIED was not finished." : "", f);
    if (h->error[0] != '\0') {
        fputs(" **Broken off**, what is UNTRIED was not finished: ", f);
        nb_md(f, h->error);
    }
    fputs("\n\n", f);
    if (nb_shares_wrong(h, wrong, sizeof wrong)) {
        fputs("**This run is void**: ", f);
        nb_md(f, wrong);
        fputs(".\n\n", f);
    }
    nb_md(f, a->cpu);
    fputs("; ", f);
    nb_md(f, a->compiler);
    fprintf(f, "; normbench " NB_VERSION ", git ");
    nb_md(f, nb_host_git());
    fprintf(f, "; effort %s; seed %llu; %.0f s. How verdicts are formed: docs/court.md.\n\n", nb_effort_name(h->effort),
            (unsigned long long)h->seed, a->seconds);
    nb_md_code(f, a->command);
    fputs("\n\n| id | verdict | claim | measured | noise floor | regime, or why |\n|---|---|---|---|---|---|\n", f);
    for (size_t i = 0; i < h->case_count; i++)
        md_row(f, &h->cases[i]);
    if (nb_each_pair(h, NULL, NULL) > 0)
        fputs("\n## Claims that contradict each other\n\n| id | statement | verdict | together |\n|---|---|---|---|\n", f);
    nb_each_pair(h, md_pair, f);
    for (size_t i = 0; i < h->case_count; i++)
        md_section(f, a, &h->cases[i]);
    md_shares(f, h);
}
