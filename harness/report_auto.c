/* How near auto comes to the best variant of the same cell. */
#include "markup.h"
#include "report_data.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double NEAR = 0.97;

static bool is_auto(const struct rep_entry *e)
{
    return e != NULL && rep_same(e->kernel->algo, "auto");
}

/* Of several ISAs the strongest stands for what a user gets. */
static const struct rep_entry *auto_of(const struct rep_cell *c, const char *op)
{
    const struct rep_entry *found = NULL;
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_entry *e = &c->entries[i];
        if (is_auto(e) && rep_is_op(e->kernel, op) && isfinite(e->scale_ratio.value) &&
            (found == NULL || e->kernel->isa_rank > found->kernel->isa_rank))
            found = e;
    }
    return found;
}

static bool is_variant(const struct rep_entry *e, const char *op)
{
    return !is_auto(e) && rep_is_op(e->kernel, op) && !e->kernel->foreign && !e->kernel->weak &&
           isfinite(e->scale_ratio.value);
}

/* The variants of a cell into list, which has room for all entries, and the fastest of them. */
static size_t find_variants(const struct rep_cell *c, const char *op, const struct rep_entry **list,
                            const struct rep_entry **fastest)
{
    size_t n = 0;
    *fastest = NULL;
    for (size_t i = 0; i < c->nentries; i++) {
        const struct rep_entry *e = &c->entries[i];
        if (!is_variant(e, op))
            continue;
        if (*fastest == NULL || e->scale_ratio.value > (*fastest)->scale_ratio.value)
            *fastest = e;
        list[n++] = e;
    }
    return n;
}

static struct rep_auto auto_in(const struct rep_run *run, const struct rep_cell *c, const char *op)
{
    struct rep_auto one = {.cell = c, .entry = auto_of(c, op), .share = {.value = NAN}};
    const struct rep_entry **list = calloc(c->nentries + 1, sizeof(*list));
    NB_ASSERT(list != NULL);
    const size_t n = find_variants(c, op, list, &one.best);
    if (one.entry != NULL && n > 0)
        one.share = rep_speed_over_best(run, c, one.entry, list, n);
    free(list);
    return one;
}

static void add_auto(struct rep_autos *a, struct rep_auto one)
{
    a->list[a->n] = one;
    if (a->least == NULL || one.share.value < a->least->share.value)
        a->least = &a->list[a->n];
    a->within += one.share.value >= NEAR;
    a->below += one.share.hi < NEAR;
    a->n++;
}

void rep_autos(struct rep_run *run, struct rep_autos *a)
{
    static const char *const ops[] = {"layernorm", "rmsnorm"};
    double *shares = calloc(2 * run->ncells + 1, sizeof(*shares));
    NB_ASSERT(shares != NULL);
    *a = (struct rep_autos){.list = rep_alloc(run, (2 * run->ncells + 1) * sizeof(*a->list)),
                            .median = NAN};
    for (size_t i = 0; i < 2 * run->ncells; i++) {
        const struct rep_auto one = auto_in(run, &run->cells[i / 2], ops[i % 2]);
        if (!isfinite(one.share.value))
            continue;
        shares[a->n] = one.share.value;
        add_auto(a, one);
    }
    if (a->n > 0)
        a->median = nb_median(shares, a->n);
    free(shares);
}

static void share_line(const struct rep_auto *a, FILE *f)
{
    fputs("| ", f);
    nb_md_code(f, a->cell->id);
    fputs(" | ", f);
    nb_md_code(f, a->entry->kernel->name);
    fputs(" | ", f);
    nb_md_code(f, a->best->kernel->name);
    fprintf(f, " | %.3f ", a->share.value);
    if (isfinite(a->share.lo))
        fprintf(f, "[%.3f, %.3f]", a->share.lo, a->share.hi);
    fputs(" |\n", f);
}

void rep_autos_md(const struct rep_autos *a, FILE *f)
{
    if (a->n == 0)
        return;
    fprintf(f,
            "\n## auto\n\nSpeed of `auto` over that of the best variant beside it (of any "
            "ISA; no weak LayerNorm), in each process the one that was fastest in all others: "
            "median %.3f, least %.3f of %zu comparisons; %zu are within 3 %%, %zu further below "
            "by their whole interval.\n",
            a->median, a->least->share.value, a->n, a->within, a->below);
    if (a->within == a->n)
        return;
    fputs("\n| cell | auto | best variant | share |\n|---|---|---|--:|\n", f);
    for (size_t i = 0; i < a->n; i++)
        if (a->list[i].share.value < NEAR)
            share_line(&a->list[i], f);
}

void rep_autos_terminal(const struct rep_autos *a, FILE *f)
{
    if (a->n == 0)
        return;
    fprintf(f, "auto    %.3f of the best variant's speed (median), %.3f (least); %zu of %zu within 3 %%", a->median,
            a->least->share.value, a->within, a->n);
    if (a->within < a->n)
        fprintf(f, ", %zu below by the whole interval", a->below);
    fputc('\n', f);
}
