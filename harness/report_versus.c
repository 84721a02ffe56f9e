/* report_versus.c: speedups of other norms than RMSNorm over LayerNorm, best against best. */
#include "markup.h"
#include "report_data.h"

#include <math.h>
#include <string.h>

const struct rep_pairing *rep_best_pairing(const struct rep_cell *c, const char *test, const char *base)
{
    for (size_t i = 0; i < c->npairings; i++)
        if (rep_same(c->pairings[i].name, "best-of-each") && rep_same(c->pairings[i].test_op, test) &&
            rep_same(c->pairings[i].base_op, base))
            return &c->pairings[i];
    return NULL;
}

size_t rep_pairs(const struct rep_run *run, size_t hidden, const struct rep_pairing *pairs[REP_PAIRS_MAX])
{
    size_t n = 0;
    for (size_t c = 0; c < run->ncells; c++)
        for (size_t i = 0; i < run->cells[c].npairings && (hidden == 0 || run->cells[c].hidden == hidden); i++) {
            const struct rep_pairing *p = &run->cells[c].pairings[i];
            bool known = !rep_same(p->name, "best-of-each") || p->test_op == NULL || p->base_op == NULL;
            for (size_t k = 0; k < n && !known; k++)
                known = rep_same(pairs[k]->test_op, p->test_op) && rep_same(pairs[k]->base_op, p->base_op);
            if (!known && n < REP_PAIRS_MAX)
                pairs[n++] = p;
        }
    return n;
}

bool rep_is_rms_over_layer(const struct rep_pairing *p)
{
    return rep_same(p->test_op, "rmsnorm") && rep_same(p->base_op, "layernorm");
}

/* Calls visit with each two ops that nothing else of the report tells of; returns how many there are. */
static size_t each_pair(const struct rep_run *run, FILE *f,
                        void (*visit)(const struct rep_run *, const struct rep_pairing *, FILE *))
{
    const struct rep_pairing *pairs[REP_PAIRS_MAX];
    size_t n = 0;
    for (size_t k = 0, all = rep_pairs(run, 0, pairs); k < all; k++) {
        if (rep_is_rms_over_layer(pairs[k]))
            continue;
        if (visit != NULL)
            visit(run, pairs[k], f);
        n++;
    }
    return n;
}

static bool is_always_fused(const char *op)
{
    return nb_op_facts((uint32_t)nb_op_parse(op))->fused;
}

static int longest_name(void)
{
    size_t most = 0;
    for (uint32_t op = 0; op < NB_OP_COUNT; op++)
        most = strlen(nb_op_name(op)) > most ? strlen(nb_op_name(op)) : most;
    return (int)most;
}

static void terminal_pair(const struct rep_run *run, const struct rep_pairing *of, FILE *f)
{
    const bool sums = is_always_fused(of->test_op) || is_always_fused(of->base_op); /* there are no others */
    double least = INFINITY, most = -INFINITY;
    size_t cells = 0, faster = 0, slower = 0, beaten = 0;
    for (size_t c = 0; c < run->ncells; c++) {
        const struct rep_pairing *p = rep_best_pairing(&run->cells[c], of->test_op, of->base_op);
        if (p == NULL || !rep_has_speedup(p) || rep_is_other_way(run, &run->cells[c]) ||
            (!sums && rep_is_other_sum(run, &run->cells[c])))
            continue;
        if (rep_is_beaten(p)) {
            beaten++;
            continue;
        }
        least = fmin(least, p->speedup.value);
        most = fmax(most, p->speedup.value);
        faster += strcmp(p->verdict, "faster") == 0;
        slower += strcmp(p->verdict, "slower") == 0;
        cells++;
    }
    fputs("  ", f);
    nb_plain_padded(f, of->test_op, longest_name());
    fputs(" over ", f);
    nb_plain_padded(f, of->base_op, longest_name());
    if (cells == 0)
        fputs(" not measured", f);
    else
        fprintf(f, " x%.2f to x%.2f over %zu cell%s: faster in %zu, slower in %zu, not told in %zu", least, most, cells,
                cells == 1 ? "" : "s", faster, slower, cells - faster - slower);
    if (beaten > 0)
        fprintf(f, "; in %zu the winner was not the fastest", beaten);
    fputc('\n', f);
}

void rep_versus_terminal(const struct rep_run *run, FILE *f)
{
    if (each_pair(run, f, NULL) == 0)
        return;
    fprintf(f, "\nother speedups, best against best%s (all: speedup.csv)\n", rep_direction(run));
    each_pair(run, f, terminal_pair);
}

static void row_name(const struct rep_kernel *k, FILE *f)
{
    if (k != NULL)
        nb_md_code(f, k->name);
    else
        fputs("null", f);
}

static void section_pair(const struct rep_run *run, const struct rep_pairing *of, FILE *f)
{
    for (size_t c = 0; c < run->ncells; c++) {
        const struct rep_pairing *p = rep_best_pairing(&run->cells[c], of->test_op, of->base_op);
        if (p == NULL)
            continue;
        fputs("| ", f);
        nb_md(f, of->test_op);
        fputs(" | ", f);
        nb_md(f, of->base_op);
        fputs(" | ", f);
        nb_md_code(f, run->cells[c].id);
        fputs(" | ", f);
        rep_ratio_md(&p->speedup, rep_is_beaten(p), rep_doubt_md(&run->cells[c]), f);
        fputs(" | ", f);
        rep_mde_md(p->mde, f);
        fputs(" | ", f);
        row_name(p->test, f);
        fputs(" | ", f);
        row_name(p->base, f);
        fputs(" |\n", f);
    }
}

void rep_versus_section(const struct rep_run *run, FILE *f)
{
    if (each_pair(run, f, NULL) == 0)
        return;
    fputs("\n## Other speedups\n\nTime of the second over time of the first, best against best: above 1, the first is "
          "faster.\n\n| norm | over | cell | ratio | MDE | kernel | over |\n|---|---|---|---|--:|---|---|\n", f);
    each_pair(run, f, section_pair);
}
