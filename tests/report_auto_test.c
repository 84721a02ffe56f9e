/* What a report says of `auto`: cells made by hand, whose kernels have speeds that are known. */
#include "report_data.h"
#include "stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VARIANTS = 8, MEMBERS = VARIANTS + 2, SCALE = VARIANTS, AUTO, PROCESSES = 8, ROUNDS = 3 };

struct made {
    struct rep_kernel kernels[MEMBERS];
    struct rep_entry entries[MEMBERS];
    struct rep_member members[MEMBERS];
    struct rep_group group;
    struct rep_unit units[PROCESSES];
    struct rep_rounds rounds[PROCESSES];
    struct rep_cell cell;
    struct rep_run run;
};

static double normal(unsigned long long *state)
{
    return nb_normal_quantile(((double)(nb_random(state) >> 11) + 0.5) * 0x1p-53);
}

/* One cell, ns[] of each member; what a process makes of a kernel, its code and its pages, deviates by luck. */
static void make(struct made *m, const double ns[MEMBERS], double luck, unsigned long long *state)
{
    memset(m, 0, sizeof(*m));
    for (size_t k = 0; k < MEMBERS; k++) {
        m->kernels[k] = (struct rep_kernel){.name = "k", .op = k == SCALE ? "scale" : "rmsnorm",
                                            .dir = "fwd", .fuse = "none", .algo = k == AUTO ? "auto" : "onepass"};
        m->entries[k] = (struct rep_entry){.kernel = &m->kernels[k], .verdict = REP_PASS, .member = k, .roof = SIZE_MAX};
        m->members[k] = (struct rep_member){k, k == SCALE ? REP_ANCHOR : REP_MEMBER, 1};
    }
    m->group = (struct rep_group){m->members, MEMBERS, false};
    for (size_t p = 0; p < PROCESSES; p++) {
        double *t = calloc(ROUNDS * MEMBERS, sizeof(*t));
        assert_non_null(t);
        for (size_t k = 0; k < MEMBERS; k++) {
            const double here = ns[k] * exp(luck * normal(state));
            for (size_t r = 0; r < ROUNDS; r++)
                t[r * MEMBERS + k] = here;
        }
        m->rounds[p] = (struct rep_rounds){t, ROUNDS, ROUNDS};
        m->units[p] = (struct rep_unit){.process = p, .done = true, .final = {.groups = &m->rounds[p]}};
    }
    m->cell = (struct rep_cell){.id = "cell", .dir = "fwd", .fuse = "none", .dtype = "f32", .hidden = 64, .rows = 1,
                                .threads = 1, .entries = m->entries, .nentries = MEMBERS, .groups = &m->group,
                                .ngroups = 1, .units = m->units, .nunits = PROCESSES};
    m->run = (struct rep_run){.cells = &m->cell, .ncells = 1};
}

/* The share of the best's speed and, in lucky, that of the variant that is fastest in all processes together. */
static struct rep_auto told(const double ns[MEMBERS], double luck, unsigned long long *state, double *lucky)
{
    static struct made m;
    struct rep_autos autos;
    make(&m, ns, luck, state);
    rep_numbers(&m.run);
    autos = *m.run.autos;
    assert_int_equal(autos.n, 1);
    const struct rep_auto one = autos.list[0];
    *lucky = rep_speed_over(&m.run, &m.cell, one.entry, one.best).value;
    assert_int_equal(autos.within, one.share.value >= 0.97);
    assert_int_equal(autos.below, one.share.hi < 0.97);
    for (size_t p = 0; p < PROCESSES; p++)
        free(m.rounds[p].ns);
    for (size_t i = 0; i < m.run.nowned; i++)
        free(m.run.owned[i]);
    free(m.run.owned);
    return one;
}

/* Mean over many cells of the logarithm. */
static void mean_share(const double ns[MEMBERS], double luck, double *share, double *lucky, size_t *below)
{
    enum { CELLS = 400 };
    unsigned long long state = 7;
    *share = *lucky = 0;
    *below = 0;
    for (int i = 0; i < CELLS; i++) {
        double of;
        const struct rep_auto a = told(ns, luck, &state, &of);
        *share += log(a.share.value) / CELLS;
        *lucky += log(of) / CELLS;
        *below += a.share.hi < 0.97;
    }
}

/* Where all are equal, the one that is fastest in all is faster by luck alone. */
static void equals_reach_one(void **unused)
{
    (void)unused;
    static const double ns[MEMBERS] = {100, 100, 100, 100, 100, 100, 100, 100, 90, 100};
    double share, lucky;
    size_t below;
    mean_share(ns, 0.05, &share, &lucky, &below);
    printf("share of the best, all being equal: %.4f; of the luckiest: %.4f; %zu of 400 below\n", exp(share), exp(lucky),
           below);
    assert_true(fabs(share) < 0.006);
    assert_true(lucky < -0.015); /* or the test shows nothing */
    assert_in_range(below, 0, 8);
}

/* A choice that is 10 % slower than one of the others. */
static void a_worse_choice_is_seen(void **unused)
{
    (void)unused;
    static const double ns[MEMBERS] = {100, 90, 120, 130, 140, 150, 160, 170, 85, 100};
    double share, lucky;
    size_t below;
    mean_share(ns, 0.015, &share, &lucky, &below);
    printf("share of a choice 10 %% slower: %.4f; %zu of 400 below\n", exp(share), below);
    assert_true(fabs(exp(share) - 0.9) < 0.01);
    assert_in_range(below, 360, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_reach_one),
        cmocka_unit_test(a_worse_choice_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
