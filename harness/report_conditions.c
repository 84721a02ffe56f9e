/* What was measured again or kept because of its conditions, and what was forced. */
#include "markup.h"
#include "report_data.h"

#include <stdlib.h>
#include <string.h>

static const char *const disturbance_words[NB_DISTURBANCES] = {
    [NB_MIGRATED] = "a thread on a CPU not its own",
    [NB_STOLEN] = "stolen CPU time",
    [NB_CLOCK_CHANGED] = "a changed clock"};

void rep_count_conditions(struct rep_conditions *n, const json_t *line, bool done)
{
    const json_t *c = json_object_get(line, "conditions");
    const enum nb_disturbance d = nb_conditions_disturbance(c);
    n->known += done && c != NULL;
    n->invented += json_is_true(json_object_get(c, "invented"));
    if (done)
        n->kept += rep_string(line, "kept") != NULL;
    else if (rep_same(rep_string(line, "cause"), "conditions")) {
        n->again++;
        n->by[d]++;
    }
    n->share_reached = n->share_reached || rep_same(rep_string(line, "kept"), "share");
}

static void causes(const struct rep_conditions *n, FILE *f)
{
    bool first = true;
    for (int d = 0; d < NB_DISTURBANCES; d++)
        if (n->by[d] > 0) {
            fprintf(f, "%s%s %zu", first ? " (" : ", ", disturbance_words[d], n->by[d]);
            first = false;
        }
    fputs(first ? "" : ")", f);
}

static void kept(const struct rep_conditions *n, FILE *f)
{
    if (n->kept == 0)
        return;
    fprintf(f, "; %zu kept although disturbed, because ", n->kept);
    if (n->share_reached)
        fprintf(f, "%.0f %% of all units had been measured again", 100 * NB_DISCARD_SHARE);
    else
        fputs("each attempt was", f);
}

void rep_conditions_md(const struct rep_run *run, FILE *f)
{
    const struct rep_conditions *n = &run->conditions;
    if (n->known == 0)
        return;
    fputs("\n## Conditions\n\n", f);
    fprintf(f, "Of %zu units (a cell in a process) %zu %s measured again", n->known, n->again,
            n->again == 1 ? "was" : "were");
    causes(n, f);
    kept(n, f);
    fputs(". That goes by what happened around a unit, never by its times.\n", f);
    if (n->kept > 0)
        fputs("\nWhat was kept is disturbed as the rest of this machine is. Ratios within a round stand a clock "
              "that changes slower than a round; absolute times do not.\n", f);
    if (n->invented > 0)
        fprintf(f, "\nThe conditions of %zu attempts were invented by a test (NB_TEST_CONDITIONS).\n",
                n->invented);
}

void rep_conditions_terminal(const struct rep_run *run, FILE *f)
{
    const struct rep_conditions *n = &run->conditions;
    if (n->again + n->kept == 0)
        return;
    fprintf(f, "units   %zu of %zu measured again", n->again, n->known);
    causes(n, f);
    kept(n, f);
    fputc('\n', f);
}

static void forced_reasons(const struct rep_run *run, void (*print)(FILE *, const char *), FILE *f)
{
    const json_t *reason, *forced = json_object_get(run->host, "forced");
    size_t i;
    json_array_foreach(forced, i, reason)
    {
        fputs(i > 0 ? "; " : "", f);
        print(f, json_string_value(reason));
    }
}

static bool was_forced(const struct rep_run *run)
{
    return json_array_size(json_object_get(run->host, "forced")) > 0;
}

void rep_forced_md(const struct rep_run *run, FILE *f)
{
    if (!was_forced(run))
        return;
    fputs("**FORCED**: ", f);
    forced_reasons(run, nb_md, f);
    fputs(". This run was refused for that and measured all the same: its numbers are no results.\n\n", f);
}

void rep_forced_terminal(const struct rep_run *run, FILE *f)
{
    if (!was_forced(run))
        return;
    fputs("FORCED: ", f);
    forced_reasons(run, nb_plain, f);
    fputs("; these numbers are no results\n", f);
}
