#include "shares.h"

#include "markup.h"

#include <math.h>
#include <string.h>

static const struct nb_observation *find(const struct nb_run_of *r, const char *quantity, const char *where)
{
    for (size_t i = 0; i < r->observations.n; i++)
        if (strcmp(r->observations.v[i].quantity, quantity) == 0 && strcmp(r->observations.v[i].where, where) == 0)
            return &r->observations.v[i];
    return NULL;
}

/* Its interval and its noise floor leave 0 out. */
static bool is_resolved(const struct nb_observation *o)
{
    static const struct nb_region positive = {.low = 0, .low_open = true, .high = INFINITY}, negative = {.low = -INFINITY, .high = 0, .high_open = true};
    return o != NULL && (nb_outcome_of(o, &positive, 1) == NB_HOLDS || nb_outcome_of(o, &negative, 1) == NB_HOLDS);
}

/* What blocks can be told apart by, as claim X01 has it: two runs of one and the same block differ by one or two per cent where a machine
 * is shared. */
static const double APART = 0.02;

static size_t count(const struct nb_run_of *r, const char *quantity)
{
    size_t n = 0;
    for (size_t i = 0; i < r->observations.n; i++)
        n += strcmp(r->observations.v[i].quantity, quantity) == 0;
    return n;
}

/* For the certainty that all observations of this quantity in the run need together. */
static bool lies_outside(const struct nb_run_of *r, const struct nb_observation *o, const struct nb_region *right)
{
    return o != NULL && !o->nan && nb_outcome_of(o, right, nb_stretch(count(r, o->quantity))) == NB_FAILS;
}

/* ---- the table ---- */

static void md_share(FILE *f, const struct nb_observation *o)
{
    if (o == NULL)
        fputs(" | ", f);
    else if (isnan(o->value))
        fputs(" | -", f);
    else
        fprintf(f, " | %.2f %% [%.2f, %.2f]", 100 * o->value, 100 * o->low, 100 * o->high);
}

static void md_row(FILE *f, const struct nb_run_of *r, const struct nb_observation *in_situ)
{
    const struct nb_observation *difference = find(r, "share_by_difference", in_situ->where);
    const bool resolved = is_resolved(difference), both = resolved && is_resolved(in_situ);
    const struct nb_region together = {.low = -APART, .high = APART};
    const bool apart = both && lies_outside(r, find(r, "shares_disagree", in_situ->where), &together);
    fputs("| ", f);
    nb_md(f, in_situ->where);
    md_share(f, in_situ);
    md_share(f, difference);
    fputs(resolved || difference == NULL ? "" : " NOT RESOLVED", f);
    fprintf(f, " | %s", apart ? "both, which disagree" : resolved ? "both" : is_resolved(in_situ) ? "in situ" : "neither");
    md_share(f, find(r, "saved_time", in_situ->where));
    md_share(f, find(r, "amdahl_bound", in_situ->where));
    fputs(" |\n", f);
}

bool nb_shares_md(FILE *f, const struct nb_hearing *h)
{
    bool any = false;
    for (size_t k = 0; k < h->run_count; k++) {
        const struct nb_run_of *r = &h->runs[k];
        const size_t rows = count(r, "share_in_situ");
        if (rows == 0)
            continue;
        any = true;
        fprintf(f, "\n<details><summary>%zu norms in blocks</summary>\n\n"
                   "| where | share in situ | share by difference | decided by | saved time | Amdahl's bound |\n|---|---|---|---|---|---|\n", rows);
        for (size_t i = 0; i < r->observations.n; i++)
            if (strcmp(r->observations.v[i].quantity, "share_in_situ") == 0)
                md_row(f, r, &r->observations.v[i]);
        fputs("\n</details>\n", f);
    }
    return any;
}

/* ---- what cannot be ---- */

bool nb_shares_wrong(const struct nb_hearing *h, char *text, size_t len)
{
    const struct nb_region right = {.low = -INFINITY, .high = APART};
    size_t wrong = 0, n = 0;
    for (size_t k = 0; k < h->run_count; k++)
        for (size_t i = 0; i < h->runs[k].observations.n; i++) {
            const struct nb_observation *o = &h->runs[k].observations.v[i];
            if (strcmp(o->quantity, "beyond_amdahl") == 0 && lies_outside(&h->runs[k], o, &right) && wrong++ == 0)
                n = (size_t)snprintf(text, len, "something is wrong: a block saves more than its norm takes: beyond_amdahl is %.3g "
                                     "[%.3g, %.3g] where %s", o->value, o->low, o->high, o->where);
        }
    if (wrong > 1 && n < len)
        snprintf(text + n, len - n, "; and %zu more", wrong - 1);
    return wrong > 0;
}
