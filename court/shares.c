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
    const bool resolved = is_resolved(difference);
    fputs("| ", f);
    nb_md(f, in_situ->where);
    md_share(f, in_situ);
    md_share(f, difference);
    fputs(resolved || difference == NULL ? "" : " NOT RESOLVED", f);
    fprintf(f, " | %s", resolved ? "both" : is_resolved(in_situ) ? "in situ" : "neither");
    md_share(f, find(r, "saved_time", in_situ->where));
    md_share(f, find(r, "amdahl_bound", in_situ->where));
    fputs(" |\n", f);
}

static size_t count(const struct nb_run_of *r, const char *quantity)
{
    size_t n = 0;
    for (size_t i = 0; i < r->observations.n; i++)
        n += strcmp(r->observations.v[i].quantity, quantity) == 0;
    return n;
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

/* What blocks can be told apart by, as claim X01 has it: two runs of one and the same block differ by one or two per cent where a machine
 * is shared. */
static const double APART = 0.02;

struct check {
    const char *quantity, *means;
    struct nb_region right;
};

/* How many of a run it asks, for the certainty that all of them together need. */
static size_t asked(const struct nb_run_of *r, const struct check *checks, size_t n)
{
    size_t count_of = 0;
    for (size_t c = 0; c < n; c++)
        count_of += count(r, checks[c].quantity);
    return count_of;
}

static bool is_wrong(const struct nb_run_of *r, const struct nb_observation *o, const struct check *c, size_t together)
{
    if (strcmp(o->quantity, c->quantity) != 0 || o->nan || nb_outcome_of(o, &c->right, together) != NB_FAILS)
        return false;
    const struct nb_observation *in_situ = find(r, "share_in_situ", o->where), *difference = find(r, "share_by_difference", o->where);
    return strcmp(c->quantity, "shares_disagree") != 0 || (is_resolved(in_situ) && is_resolved(difference));
}

bool nb_shares_wrong(const struct nb_hearing *h, char *text, size_t len)
{
    const struct check checks[] = {
        {"beyond_amdahl", "a block saves more than its norm takes", {.low = -INFINITY, .high = APART}},
        {"shares_disagree", "a norm's share in situ is not that by difference to a block without it", {.low = -APART, .high = APART}},
    };
    enum { CHECKS = sizeof checks / sizeof *checks };
    size_t wrong = 0, n = 0;
    for (size_t k = 0; k < h->run_count; k++) {
        const struct nb_run_of *r = &h->runs[k];
        const size_t together = asked(r, checks, CHECKS);
        for (size_t i = 0; i < r->observations.n * CHECKS; i++) {
            const struct nb_observation *o = &r->observations.v[i / CHECKS];
            const struct check *c = &checks[i % CHECKS];
            if (is_wrong(r, o, c, together) && wrong++ == 0)
                n = (size_t)snprintf(text, len, "something is wrong: %s: %s is %.3g [%.3g, %.3g] where %s", c->means, o->quantity, o->value,
                                     o->low, o->high, o->where);
        }
    }
    if (wrong > 1 && n < len)
        snprintf(text + n, len - n, "; and %zu more", wrong - 1);
    return wrong > 0;
}
