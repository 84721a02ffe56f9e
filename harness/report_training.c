/* report_training.c: forward, backward and both. A step of training is a pass forward that saves
 * statistics and one backward; what a norm saves there is neither direction's ratio. */
#include "markup.h"
#include "report_data.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { TERMINAL_LINES = 8, COLUMN = 19 };

/* ---- which cells belong together ---- */

static enum nb_op_k k_kind(const char *op)
{
    return nb_op_facts((uint32_t)nb_op_parse(op))->k;
}

bool rep_same_k(const struct rep_cell *a, const struct rep_cell *b, const char *op)
{
    const enum nb_op_k kind = k_kind(op);
    return a->k[kind] == b->k[kind] || (isnan(a->k[kind]) && isnan(b->k[kind]));
}

void rep_k_text(char text[REP_K_TEXT], const struct rep_cell *c, const char *op, const char *before)
{
    const enum nb_op_k kind = k_kind(op);
    text[0] = 0;
    if (isfinite(c->k[kind]))
        snprintf(text, REP_K_TEXT, "%s%s %g", before, nb_k_facts[kind].name, c->k[kind]);
}

/* Alike but for direction, statistics and rows, of which a residency holds fewer backward. */
static bool is_alike(const struct rep_cell *a, const struct rep_cell *b, const struct rep_pairing *p)
{
    return rep_same(a->fuse, b->fuse) && strcmp(a->type, b->type) == 0 && a->hidden == b->hidden &&
           a->threads == b->threads && strcmp(a->residency, b->residency) == 0 && a->offset == b->offset &&
           !a->in_place && !b->in_place && rep_same_k(a, b, p->base_op) && rep_same_k(a, b, p->test_op);
}

/* Of two cells that are alike, the better to go with `of`: statistics, then as many rows, then more. */
static bool goes_better(const struct rep_cell *a, const struct rep_cell *b, const struct rep_cell *of)
{
    if ((a->stats_out != 0) != (b->stats_out != 0))
        return a->stats_out != 0;
    if ((a->rows == of->rows) != (b->rows == of->rows))
        return a->rows == of->rows;
    return a->rows > b->rows;
}

static bool same_trick(const struct rep_kernel *a, const struct rep_kernel *b)
{
    return strcmp(a->trick ? a->trick : "", b->trick ? b->trick : "") == 0;
}

/* Two pairings of one algorithm: told by LayerNorm's, since RMSNorm's twopass is called onepass forward. */
static bool same_algorithm(const struct rep_pairing *a, const struct rep_pairing *b)
{
    return a->base != NULL && b->base != NULL && rep_same(a->base->algo, b->base->algo) &&
           same_trick(a->base, b->base);
}

static const struct rep_pairing *counterpart(const struct rep_cell *c, const struct rep_pairing *p)
{
    for (size_t i = 0; i < c->npairings; i++) {
        const struct rep_pairing *q = &c->pairings[i];
        if (rep_same(q->name, p->name) && rep_same(q->base_op, p->base_op) && rep_same(q->test_op, p->test_op) &&
            rep_same(q->isa, p->isa) && (rep_same(p->name, "best-of-each") || same_algorithm(q, p)))
            return q;
    }
    return NULL;
}

/* The cell of that direction that goes with `of` for a pairing; NULL: none. */
static const struct rep_cell *find_cell(const struct rep_run *run, bool bwd, const struct rep_cell *of,
                                        const struct rep_pairing *p)
{
    const struct rep_cell *found = NULL;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (rep_is_bwd(c) == bwd && is_alike(c, of, p) && counterpart(c, p) != NULL &&
            (found == NULL || goes_better(c, found, of)))
            found = c;
    }
    return found;
}

/* ---- the ratio ---- */

bool rep_step_is_best(const struct rep_step *s)
{
    return rep_same(s->of->name, "best-of-each");
}

bool rep_step_is_beaten(const struct rep_step *s)
{
    return rep_is_beaten(s->fwd_pair) || rep_is_beaten(s->bwd_pair);
}

bool rep_step_is_doubtful(const struct rep_step *s)
{
    return (s->fwd != NULL && s->fwd->doubtful) || (s->bwd != NULL && s->bwd->doubtful);
}

const struct rep_cell *rep_step_cell(const struct rep_step *s)
{
    return s->bwd != NULL ? s->bwd : s->fwd;
}

/* What it cannot be formed for, or what it says. */
static const char *verdict_of(const struct rep_step *s)
{
    if (s->bwd == NULL)
        return "no-backward";
    if (s->fwd == NULL)
        return "no-forward";
    if (s->fwd->stats_out == 0)
        return "no-statistics";
    if (isfinite(s->speedup.value) && rep_step_is_beaten(s))
        return "not-best";
    return rep_speedup_verdict(s->speedup);
}

static void add_step(struct rep_run *run, const struct rep_cell *fwd, const struct rep_cell *bwd,
                     const struct rep_pairing *p)
{
    struct rep_step s = {.fwd = fwd, .bwd = bwd, .of = p, .speedup = {NAN, NAN, NAN, NAN, 0}, .mde = NAN};
    s.fwd_pair = fwd != NULL ? counterpart(fwd, p) : NULL;
    s.bwd_pair = bwd != NULL ? counterpart(bwd, p) : NULL;
    if (fwd != NULL && fwd->stats_out != 0 && rep_has_speedup(s.fwd_pair) && rep_has_speedup(s.bwd_pair))
        s.speedup = rep_sum_speedup(run, &s, &s.mde);
    s.verdict = verdict_of(&s);
    run->steps[run->nsteps++] = s;
}

/* Each pairing backward; and best against best forward where nothing backward goes with it. */
static void add_steps_of(struct rep_run *run, const struct rep_cell *c)
{
    for (size_t i = 0; i < c->npairings; i++) {
        const struct rep_pairing *p = &c->pairings[i];
        const bool best = rep_same(p->name, "best-of-each");
        if (p->base_op == NULL || p->test_op == NULL)
            continue;
        const struct rep_cell *fwd = find_cell(run, false, c, p), *bwd = find_cell(run, true, c, p);
        if (rep_is_bwd(c) && (best || fwd != NULL))
            add_step(run, fwd, c, p);
        else if (best && fwd == c && bwd == NULL)
            add_step(run, c, NULL, p);
    }
}

void rep_training(struct rep_run *run)
{
    size_t most = 0;
    for (size_t i = 0; i < run->ncells; i++)
        most += run->cells[i].npairings;
    run->steps = rep_alloc(run, (most + 1) * sizeof(*run->steps));
    run->nsteps = 0;
    if (!rep_has_bwd(run) || rep_is_all_bwd(run))
        return;
    for (size_t i = 0; i < run->ncells; i++)
        add_steps_of(run, &run->cells[i]);
}

/* ---- tables ---- */

/* Best against best, of the same two ops as another. */
static bool is_best_of(const struct rep_step *a, const struct rep_step *b)
{
    return rep_step_is_best(a) && rep_same(a->of->base_op, b->of->base_op) &&
           rep_same(a->of->test_op, b->of->test_op);
}

/* Calls visit with all steps, best against best, of each two ops in turn: *place counts those of one pair. */
static void each_step(const struct rep_run *run, void (*visit)(const struct rep_step *, size_t, FILE *), FILE *f)
{
    for (size_t i = 0; i < run->nsteps; i++) {
        size_t place = 0, j = 0;
        while (j < i && !is_best_of(&run->steps[j], &run->steps[i]))
            j++;
        if (j < i || !rep_step_is_best(&run->steps[i]))
            continue; /* visited with the first of its two ops, or by algorithm */
        for (; j < run->nsteps; j++)
            if (is_best_of(&run->steps[j], &run->steps[i]))
                visit(&run->steps[j], place++, f);
    }
}

/* Why there is no ratio of both, for people. */
static const char *reason_of(const struct rep_step *s)
{
    static const char *const reasons[][2] = {{"no-backward", "no backward cell"},
                                             {"no-forward", "no forward cell"},
                                             {"no-statistics", "no saved statistics"}};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
        if (strcmp(reasons[i][0], s->verdict) == 0)
            return reasons[i][1];
    return "not measured";
}

static void direction_md(const struct rep_cell *c, const struct rep_pairing *p, FILE *f)
{
    if (p != NULL)
        rep_ratio_md(&p->speedup, rep_is_beaten(p), rep_doubt_md(c), f);
    else
        fputs("null", f);
    fputs(" | ", f);
}

static void rows_md(const struct rep_cell *c, FILE *f)
{
    if (c != NULL)
        fprintf(f, "%zu", c->rows);
    else
        fputs("null", f);
}

static void head_md(const struct rep_step *s, FILE *f)
{
    fputs("\n### ", f);
    nb_md(f, s->of->test_op);
    fputs(" over ", f);
    nb_md(f, s->of->base_op);
    fputs("\n\n| residency | dtype | threads | hidden | rows, forward / backward | forward | backward | both | MDE |\n"
          "|---|---|--:|--:|--:|---|---|---|--:|\n",
          f);
}

/* What else tells a cell from others of its size. */
static void rarer(const struct rep_step *s, FILE *f)
{
    const struct rep_cell *c = rep_step_cell(s);
    const char *const ops[] = {s->of->test_op, s->of->base_op};
    char text[REP_K_TEXT];
    if (c->offset != REP_OFFSET)
        fprintf(f, ", offset %zu", c->offset);
    if (!rep_same(c->fuse, "none"))
        fputs(", of x + residual", f);
    for (int i = 0; i < 2; i++) {
        rep_k_text(text, c, ops[i], ", ");
        fputs(text, f);
    }
}

static void row_md(const struct rep_step *s, size_t place, FILE *f)
{
    const struct rep_cell *c = rep_step_cell(s);
    if (place == 0)
        head_md(s, f);
    fputs("| ", f);
    nb_md(f, c->residency);
    rarer(s, f);
    fputs(" | ", f);
    nb_md(f, c->type);
    fprintf(f, " | %zu | %zu | ", c->threads, c->hidden);
    rows_md(s->fwd, f);
    fputs(" / ", f);
    rows_md(s->bwd, f);
    fputs(" | ", f);
    direction_md(s->fwd, s->fwd_pair, f);
    direction_md(s->bwd, s->bwd_pair, f);
    if (isfinite(s->speedup.value))
        rep_ratio_md(&s->speedup, rep_step_is_beaten(s), rep_doubt_md(s->fwd->doubtful ? s->fwd : s->bwd), f);
    else
        fprintf(f, "null: %s", reason_of(s));
    fputs(" | ", f);
    rep_mde_md(s->mde, f);
    fputs(" |\n", f);
}

void rep_training_section(const struct rep_run *run, FILE *f)
{
    if (run->nsteps == 0)
        return;
    fputs("\n## Forward, backward, and both\n\nTime of the second norm over time of the first, best against best: above 1, the "
          "first is faster. **Both** is what a step of training takes of a norm: one pass forward that saves its statistics "
          "and one backward, (base forward + base backward) over (test forward + test backward), ns a row, process by process. "
          "As many rows as each direction's residency holds. Pairs by algorithm: `speedup.csv`, `fwd+bwd`.\n",
          f);
    each_step(run, row_md, f);
}

/* ---- terminal ---- */

/* Marks as in the table above it. */
static void ratio_terminal(const struct rep_estimate *e, bool beaten, bool doubtful, int width, FILE *f)
{
    char text[REP_RATIO_TEXT];
    rep_ratio_text(text, e, beaten, doubtful ? "*" : "", true);
    fprintf(f, "  %-*s", width, text);
}

static void direction_terminal(const struct rep_cell *c, const struct rep_pairing *p, FILE *f)
{
    if (rep_has_speedup(p))
        ratio_terminal(&p->speedup, rep_is_beaten(p), c->doubtful, COLUMN, f);
    else
        fprintf(f, "  %-*s", COLUMN, "-");
}

static void head_terminal(const struct rep_step *s, FILE *f)
{
    fputs("\nforward, backward, and both (a step of training): ", f);
    nb_plain(f, s->of->test_op);
    fputs(" over ", f);
    nb_plain(f, s->of->base_op);
    fprintf(f, ", above 1 faster\n  %-5s %-9s %2s %6s  %-*s  %-*s  %s\n", "in", "dtype", "t", "hidden", COLUMN,
            "forward", COLUMN, "backward", "both");
}

static void row_terminal(const struct rep_step *s, size_t place, FILE *f)
{
    const struct rep_cell *c = rep_step_cell(s);
    if (place == 0)
        head_terminal(s, f);
    if (place == TERMINAL_LINES)
        fputs("  more lines: report.md\n", f);
    if (place >= TERMINAL_LINES)
        return;
    fputs("  ", f);
    nb_plain_padded(f, c->residency, 5);
    fputc(' ', f);
    nb_plain_padded(f, c->type, 9);
    fprintf(f, " %2zu %6zu", c->threads, c->hidden);
    direction_terminal(s->fwd, s->fwd_pair, f);
    direction_terminal(s->bwd, s->bwd_pair, f);
    if (isfinite(s->speedup.value))
        ratio_terminal(&s->speedup, rep_step_is_beaten(s), rep_step_is_doubtful(s), 0, f);
    else
        fprintf(f, "  - %s", reason_of(s));
    rarer(s, f);
    fputc('\n', f);
}

void rep_training_terminal(const struct rep_run *run, FILE *f)
{
    each_step(run, row_terminal, f);
}
