/* court_test: the grammar of claims, the registry, the rule of verdicts row by row and as properties, and a hearing with experiments
 * of its own: one that is timed, one that fails, one that says nothing, one that is interrupted. */
#include "account.h"
#include "ask.h"
#include "cpu.h"
#include "hearing.h"
#include "poster.h"
#include "regime.h"
#include "shares.h"
#include "speed.h"
#include "stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void says(const char *what, const char *text, const char *want)
{
    if (strstr(text, want) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", what, text, want);
}

/* ---- grammar ---- */

static void regions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double low, high;
        bool low_open, high_open, outside;
    } right[] = {
        {">= 1.1", 1.1, INFINITY, false, false, false}, {"<=-3", -INFINITY, -3, false, false, false},
        {"> 10%", 0.1, INFINITY, true, false, false},   {" < 1e-5 ", -INFINITY, 1e-5, false, true, false},
        {"in [0.9, 1.1]", 0.9, 1.1, false, false, false}, {"outside [ -1 ,1 ]", -1, 1, false, false, true},
        {"= 2 +- 0.5", 1.5, 2.5, false, false, false},  {"=2+-.5", 1.5, 2.5, false, false, false},
        {"= 4 \xC2\xB1 1", 3, 5, false, false, false},  {"= 1", 1, 1, false, false, false},
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        struct nb_region r;
        struct nb_err err = {""};
        if (nb_region_parse(right[i].text, &r, &err) != NB_OK)
            fail_msg("%s: %s", right[i].text, err.text);
        assert_true(r.low == right[i].low && r.high == right[i].high && r.low_open == right[i].low_open &&
                    r.high_open == right[i].high_open && r.outside == right[i].outside);
    }
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "relation is missing at the end\n  \n  ^\nsay >= 1.1"},
        {"1.1", "\"1.1\" is no relation\n  1.1\n  ^^^\n"},
        {"!= 1", "\"!=\" is no relation"},
        {">= x", "\"x\" is no number\n  >= x\n     ^\na number is written"},
        {">= 0x10", "is no number"}, {">= inf", "is no number"}, {">= nan", "is no number"}, {">= 1e999", "is no number"},
        {">= 1%%", "is no number"}, {">=", "number is missing at the end\n  >=\n    ^\n"},
        {">= 1 2", "\"2\" is no end of it\n  >= 1 2\n       ^\n"},
        {"in 1, 2", "\"1\" is no ["}, {"in [1 2]", "\"2\" is no comma"}, {"in [1, 2", "] is missing at the end"},
        {"in [2, 1]", "nothing in it\n  in [2, 1]\n     ^^^^^"}, {"= 1 +- -2", "\"-2\" is no half width"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct nb_region r;
        struct nb_err err = {""};
        assert_int_equal(nb_region_parse(wrong[i].text, &r, &err), NB_ERROR);
        says(wrong[i].text, err.text, wrong[i].says);
    }
}

static void terms(void **state)
{
    (void)state;
    struct nb_terms t;
    struct nb_err err = {""};
    static const char where[] = "dtype=bf16 hidden=1024 eps=1e-05 residency=L2";
    static const struct {
        const char *text;
        enum nb_fit fit;
    } rows[] = {
        {"dtype=bf16", NB_FITS}, {"dtype=f32", NB_FITS_NOT}, {"dtype=f16|bf16", NB_FITS}, {"dtype!=f16|bf16", NB_FITS_NOT},
        {"dtype!=f16", NB_FITS}, {"hidden>=1024", NB_FITS}, {"hidden>1024", NB_FITS_NOT}, {"hidden<=1e3", NB_FITS_NOT},
        {"hidden<1025", NB_FITS}, {"hidden=1024.0", NB_FITS}, {"eps=1e-5", NB_FITS}, {"eps=0.00001", NB_FITS}, {"eps=1e-6", NB_FITS_NOT},
        {"residency>=2", NB_NO_NUMBER}, {"hid=1024", NB_LACKS_KEY}, {"residency = L1 | L2", NB_FITS}, {"size=3", NB_LACKS_KEY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (nb_terms_parse(rows[i].text, &t, &err) != NB_OK)
            fail_msg("%s: %s", rows[i].text, err.text);
        if (t.n != 1 || nb_term_fit(&t.v[0], where) != rows[i].fit)
            fail_msg("%s fits %d, not %d", rows[i].text, (int)nb_term_fit(&t.v[0], where), (int)rows[i].fit);
    }
    assert_int_equal(nb_terms_parse("a=1 and b!=2|3 and c<4", &t, &err), NB_OK);
    assert_true(t.n == 3 && t.v[2].compare == NB_LT && t.v[2].number == 4 && t.v[1].span.at == 8 && t.v[1].span.length == 6);
    assert_int_equal(nb_term_fit(&t.v[0], "a=1.0 b=1"), NB_FITS);
    struct nb_terms large;
    assert_int_equal(nb_terms_parse("hidden=1234567", &large, &err), NB_OK);
    assert_int_equal(nb_term_fit(&large.v[0], "hidden=1.23457e+06"), NB_FITS); /* as %g writes it */
    assert_int_equal(nb_term_fit(&large.v[0], "hidden=1.23458e+06"), NB_FITS_NOT);
    t.v[0].sets = true;
    assert_int_equal(nb_term_fit(&t.v[0], "d=1"), NB_FITS);
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "key is missing"}, {"a", "comparison is missing"}, {"a=", "value is missing"}, {"a=1 b=2", "\"b\" is no \"and\"\n  a=1 b=2\n      ^\n"},
        {"a=1 and", "key is missing at the end"}, {"a=1|", "value is missing"}, {"a>=x", "\"x\" is no number\n  a>=x\n     ^\n<, <="},
        {"a>=1|2", "is no number"}, {"a!1", "is no comparison"},
        {"a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1 and a=1",
         "more than 16 terms"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1", "longer than 47"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(nb_terms_parse(wrong[i].text, &t, &err), NB_ERROR);
        says(wrong[i].text, err.text, wrong[i].says);
    }
}

static void questions(void **state)
{
    (void)state;
    struct nb_question q;
    struct nb_err err = {""};
    assert_int_equal(nb_question_parse("op.speedup(rmsnorm:layernorm, best-of-each) >= 1.10 where dtype=bf16 and hidden>=1024", &q, &err), NB_OK);
    assert_string_equal(q.experiment, "op");
    assert_string_equal(q.quantity, "speedup");
    assert_true(q.argument_count == 2 && q.holds.low == 1.1 && q.where.n == 2 && q.holds_span.at == 44 && q.holds_span.length == 7);
    assert_string_equal(q.arguments[0], "rmsnorm:layernorm");
    assert_string_equal(q.arguments[1], "best-of-each");
    assert_int_equal(nb_question_parse("x in [1,2]", &q, &err), NB_OK);
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "quantity is missing"}, {"x(", "value is missing"}, {"x(a", "comma or ) is missing"}, {"x() > 1", "\")\" is no value"},
        {"x > 1 and a=1", "\"and\" is no \"where\""}, {"x > 1 where", "key is missing"}, {"\x1B[31m > 1", "\"[\" is no relation"}, {"x > 1 w\x1Bre", "\"w re\" is no \"where\""},
        {"x(1,2,3,4,5,6,7,8,9) > 1", "\"9\" is no )"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(nb_question_parse(wrong[i].text, &q, &err), NB_ERROR);
        says(wrong[i].text, err.text, wrong[i].says);
        assert_null(strchr(err.text, '\x1B'));
    }
}

/* The mark stands under the word: characters are counted, not bytes, and of a long text the neighbourhood is shown. */
static void pointing(void **state)
{
    (void)state;
    struct nb_err err;
    char text[600];
    nb_point(&err, "\xC3\xA4\xC3\xA4 bad", (struct nb_span){5, 3}, "right", "wrong %d", 1);
    assert_string_equal(err.text, "wrong 1\n  \xC3\xA4\xC3\xA4 bad\n     ^^^\nright");
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    text[300] = 'X';
    nb_point(&err, text, (struct nb_span){300, 1}, "right", "wrong");
    const char *line = strchr(err.text, '\n') + 1, *mark = strchr(line, '\n') + 1;
    assert_true(strlen(err.text) < 400 && line[strcspn(mark, "^")] == 'X');
}

/* ---- verdicts ---- */

static struct nb_observation seen(double low, double value, double high, size_t n, const char *where)
{
    struct nb_observation o = {.quantity = "q", .value = value, .low = low, .high = high, .noise = NAN, .n = n};
    snprintf(o.where, sizeof o.where, "%s", where);
    snprintf(o.of, sizeof o.of, "seeds");
    return o;
}

static struct nb_region at_least(double v)
{
    return (struct nb_region){.low = v, .high = INFINITY};
}

static void outcomes(void **state)
{
    (void)state;
    static const struct {
        const char *region;
        double low, value, high, noise;
        size_t n;
        enum nb_outcome outcome;
    } rows[] = {
        {">= 1", 1.1, 1.2, 1.3, NAN, 9, NB_HOLDS},   {">= 1", 0.7, 0.8, 0.9, NAN, 9, NB_FAILS}, {">= 1", 0.9, 1, 1.1, NAN, 9, NB_OPEN},
        {">= 1", 1, 1, 1, NAN, 0, NB_HOLDS},         {"> 1", 1, 1, 1, NAN, 0, NB_FAILS},        {"> 1", 1, 1.1, 1.2, NAN, 9, NB_OPEN},
        {"< 1", 0.8, 0.9, 1, NAN, 9, NB_OPEN},       {"<= 1", 0.8, 0.9, 1, NAN, 9, NB_HOLDS},   {"< 1", 1, 1.1, 1.2, NAN, 9, NB_FAILS},
        {"in [0, 1]", 0.1, 0.2, 0.3, NAN, 9, NB_HOLDS}, {"in [0, 1]", 1.1, 1.2, 1.3, NAN, 9, NB_FAILS},
        {"in [0, 1]", 0.9, 1, 1.1, NAN, 9, NB_OPEN}, {"in [0, 1]", -1, 0.5, 2, NAN, 9, NB_OPEN},
        {"outside [0, 1]", 1.1, 1.2, 1.3, NAN, 9, NB_HOLDS}, {"outside [0, 1]", 0, 0.5, 1, NAN, 9, NB_FAILS},
        {"outside [0, 1]", -1, 0.5, 2, NAN, 9, NB_OPEN}, {"outside [0, 1]", 0.9, 1.05, 1.1, NAN, 9, NB_OPEN},
        {"= 1 +- 0.1", 1, 1, 1, NAN, 0, NB_HOLDS},   {"= 1", 1, 1, 1, NAN, 0, NB_HOLDS},        {"= 1", 2, 2, 2, NAN, 0, NB_FAILS},
        /* the noise floor reaches the border, though the interval does not */
        {">= 1", 1.1, 1.2, 1.3, 0.25, 9, NB_OPEN},   {">= 1", 1.1, 1.2, 1.3, 0.15, 9, NB_HOLDS}, {">= 1", 0.7, 0.8, 0.9, 0.2, 9, NB_OPEN},
        {"in [0, 1]", 0.4, 0.5, 0.6, 0.6, 9, NB_OPEN}, {">= 1", 1.1, 1.2, 1.3, 0, 9, NB_HOLDS},
        /* too few values; infinite; broken */
        {">= 1", 1.1, 1.2, 1.3, NAN, 2, NB_OPEN},    {">= 1", 1.2, 1.2, 1.2, NAN, 1, NB_OPEN},  {">= 1", 1.1, 1.2, 1.3, NAN, 3, NB_HOLDS},
        {">= 1", INFINITY, INFINITY, INFINITY, NAN, 0, NB_HOLDS}, {"<= 1", 2, 3, INFINITY, NAN, 9, NB_FAILS},
        {">= 1", NAN, NAN, NAN, NAN, 9, NB_MISSING}, {">= 1", 1.3, 1.2, 1.4, NAN, 9, NB_MISSING}, {">= 1", NAN, 1.2, NAN, NAN, 9, NB_MISSING},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nb_region r;
        struct nb_err err;
        struct nb_observation o = seen(rows[i].low, rows[i].value, rows[i].high, rows[i].n, "");
        o.noise = rows[i].noise;
        assert_int_equal(nb_region_parse(rows[i].region, &r, &err), NB_OK);
        const enum nb_outcome got = nb_outcome_of(&o, &r, 1);
        if (got != rows[i].outcome)
            fail_msg("row %zu: %s of [%g, %g] is %s, not %s", i, rows[i].region, rows[i].low, rows[i].high, nb_outcome_name(got),
                     nb_outcome_name(rows[i].outcome));
    }
}

enum { CELLS = 12 };

/* Judges one test, or cells [0, first) as one and the rest as another. */
static struct nb_judgement judge(const struct nb_observation *o, size_t n, size_t first, struct nb_region r)
{
    static enum nb_outcome outcome[CELLS];
    const struct nb_observation *v[CELLS];
    for (size_t i = 0; i < n; i++)
        v[i] = &o[i];
    const struct nb_evidence e[] = {{.test = "a", .region = r, .v = v, .n = first, .outcome = outcome},
                                    {.test = "b", .region = r, .v = v + first, .n = n - first, .outcome = outcome + first}};
    return nb_judge(e, first < n ? 2 : 1);
}

static void rule(void **state)
{
    (void)state;
    struct nb_observation yes = seen(1.1, 1.2, 1.3, 9, "k=1"), no = seen(0.5, 0.6, 0.7, 9, "k=2"), open = seen(0.8, 1.05, 1.4, 9, "k=3"),
                          gone = seen(NAN, NAN, NAN, 0, "k=4"), lost = gone, few = seen(1.1, 1.2, 1.3, 2, "k=5"), nan = seen(NAN, NAN, NAN, 9, "k=6");
    strcpy(gone.missing, "no such library");
    strcpy(lost.missing, "disturbed");
    lost.once = true;
    strcpy(nan.missing, "not a number came out");
    nan.nan = true;
    const struct {
        struct nb_observation o[3];
        size_t n, first;
        enum nb_finding finding;
        const char *regime, *reason;
    } rows[] = {
        {{yes, yes}, 2, 2, NB_REPRODUCED, "", ""},
        {{no, no}, 2, 2, NB_REFUTED, "", ""},
        {{yes, no}, 2, 2, NB_CONDITIONAL, "k=1, not 2", ""},
        {{yes, no}, 2, 1, NB_CONDITIONAL, "k=1, not 2", ""},
        {{yes, no, open}, 3, 3, NB_CONDITIONAL, "k=1, not 2, open 3", "1 of 3 cells are open"},
        {{yes, open}, 2, 2, NB_NOT_RESOLVED, "", "1 of 2 cells are open; about 25 times"},
        {{no, open}, 2, 2, NB_NOT_RESOLVED, "", "1 of 2 cells are open"},
        {{open}, 1, 1, NB_NOT_RESOLVED, "", "1 of 1 cells are open"},
        {{yes, gone}, 2, 2, NB_REPRODUCED, "", "1 of 2 cells of test a could not be observed: no such library"},
        {{yes, no, gone}, 3, 3, NB_CONDITIONAL, "k=1, not 2", "1 of 3 cells of test a could not"},
        {{gone, gone}, 2, 2, NB_NOT_TESTABLE, "", "no such library"},
        {{gone, gone}, 2, 1, NB_NOT_TESTABLE, "", "test b could not be tried: no such library"},
        {{yes, gone}, 2, 1, NB_NOT_RESOLVED, "", "test b could not be tried: no such library"},
        {{no, gone}, 2, 1, NB_NOT_RESOLVED, "", "test b could not be tried"},
        {{yes, no, gone}, 3, 2, NB_CONDITIONAL, "k=1, not 2", "test b could not be tried"},
        {{yes, lost}, 2, 2, NB_NOT_RESOLVED, "", "1 of 2 cells were not observed in this run and may be in another; 1 of 2 cells of test a could "
         "not be observed: disturbed"},
        {{yes, few}, 2, 2, NB_NOT_RESOLVED, "", "1 of 2 cells are open; 1 of them rest on fewer values than make an interval: at least 3 are needed"},
        {{no, lost}, 2, 2, NB_NOT_RESOLVED, "", "may be in another"},
        {{yes, no, lost}, 3, 3, NB_CONDITIONAL, "k=1, not 2", "1 of 3 cells of test a could not"},
        {{lost}, 1, 1, NB_NOT_RESOLVED, "", "test a could not be tried: disturbed"},
        {{lost, gone}, 2, 1, NB_NOT_RESOLVED, "", "test b could not be tried: no such library"},
        /* what was computed and is no number fails */
        {{nan, nan}, 2, 2, NB_REFUTED, "", ""},
        {{yes, nan}, 2, 2, NB_CONDITIONAL, "k=1, not 6", ""},
        {{no, nan}, 2, 2, NB_REFUTED, "", ""},
        {{nan, gone}, 2, 2, NB_REFUTED, "", "1 of 2 cells of test a could not be observed: no such library"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct nb_judgement j = judge(rows[i].o, rows[i].n, rows[i].first, at_least(1));
        if (j.finding != rows[i].finding || strcmp(j.regime, rows[i].regime) != 0 || strstr(j.reason, rows[i].reason) == NULL ||
            (rows[i].reason[0] == '\0' && j.reason[0] != '\0'))
            fail_msg("row %zu: %s; %s; %s", i, nb_finding_name(j.finding), j.regime, j.reason);
        assert_int_equal(j.holds + j.fails + j.open + j.missing, rows[i].n);
        assert_false(j.broken);
    }
    /* no observation is an error of the claim; an experiment that failed is none */
    const struct nb_evidence none = {.test = "a", .region = at_least(1)}, failed = {.test = "b", .region = at_least(1), .error = "no memory"};
    struct nb_judgement j = nb_judge(&none, 1);
    assert_true(j.finding == NB_NOT_TESTABLE && j.broken);
    says("none", j.reason, "test a: no observation is left");
    j = nb_judge(&failed, 1);
    assert_true(j.finding == NB_NOT_TESTABLE && !j.broken);
    assert_string_equal(j.reason, "test b: no memory");
    j = nb_judge(NULL, 0);
    assert_int_equal(j.finding, NB_NOT_TESTABLE);
}

/* One of twelve cells on the other side, clear at 95 % and not at what twelve ask for: no verdict but NOT RESOLVED. Clear of that,
 * too, it is CONDITIONAL. Exact cells are as they are. */
static void many_cells(void **state)
{
    (void)state;
    struct nb_observation o[CELLS];
    char where[40];
    for (size_t i = 0; i < CELLS; i++) {
        snprintf(where, sizeof where, "k=%zu", i);
        o[i] = seen(1.5, 1.6, 1.7, 9, where);
    }
    assert_int_equal(judge(o, CELLS, CELLS, at_least(1)).finding, NB_REPRODUCED);
    o[5] = seen(0.82, 0.9, 0.99, 9, "k=5");
    struct nb_judgement j = judge(o, CELLS, CELLS, at_least(1));
    assert_int_equal(j.finding, NB_NOT_RESOLVED);
    says("many", j.reason, "cells disagree, but not with the certainty that 12 cells together ask for");
    assert_true(fabs(j.stretch - 1.7180) < 1e-3); /* of nine values: t(1 - 0.025/12) / t(0.975) */
    assert_true(fabs(j.longer - pow(0.09 * j.stretch / 0.1, 2)) < 1e-6);
    assert_int_equal(judge(o + 5, 1, 1, at_least(1)).finding, NB_REFUTED);
    o[5] = seen(0.8, 0.85, 0.9, 9, "k=5");
    assert_int_equal(judge(o, CELLS, CELLS, at_least(1)).finding, NB_CONDITIONAL);
    o[5] = seen(0.82, 0.9, 0.99, 0, "k=5"); /* bounds that nothing random moves */
    assert_int_equal(judge(o, CELLS, CELLS, at_least(1)).finding, NB_CONDITIONAL);
    o[5] = seen(0.999, 0.999, 0.999, 0, "k=5");
    assert_int_equal(judge(o, CELLS, CELLS, at_least(1)).finding, NB_CONDITIONAL);
    assert_true(nb_stretch(0, 9) == 1 && nb_stretch(1, 9) == 1 && nb_stretch(2, 9) > 1.1 && nb_stretch(100, 9) > nb_stretch(99, 9) &&
                nb_stretch(12, 5) > nb_stretch(12, 9));
    const struct nb_observation open_above = seen(2, 3, INFINITY, 9, "");
    const struct nb_region one = at_least(1);
    assert_int_equal(nb_outcome_of(&open_above, &one, 12), NB_HOLDS); /* a side without an end says nothing of the other */
}

static void longer(void **state)
{
    (void)state;
    const struct nb_region r = at_least(1), in = {.low = 0, .high = 1};
    struct nb_observation o = seen(0.8, 1.1, 1.3, 9, "");
    assert_true(fabs(nb_times_longer(&o, &r, 1) - 9) < 1e-9); /* 0.3 has to become 0.1 */
    assert_true(fabs(nb_times_longer(&o, &r, 2) - 9 * nb_stretch(2, 9) * nb_stretch(2, 9)) < 1e-9);
    o = seen(0.9, 1, 1.1, 9, "");
    assert_true(isinf(nb_times_longer(&o, &r, 1)));
    o = seen(0.8, 1.1, 1.3, 9, "");
    o.noise = 0.11;
    assert_true(isinf(nb_times_longer(&o, &r, 1)));
    o.noise = 0.05;
    assert_true(fabs(nb_times_longer(&o, &r, 1) - 9) < 1e-9);
    o = seen(-0.2, 0.1, 1.3, 9, ""); /* both borders: 0.3 to 0.1, and 1.2 to 0.9 */
    assert_true(fabs(nb_times_longer(&o, &in, 1) - 9) < 1e-9);
    o = seen(1.1, 1.2, 1.3, 9, "");
    assert_true(nb_times_longer(&o, &r, 1) == 1);
    o = seen(1.2, 1.2, 1.2, 1, "");
    assert_true(nb_times_longer(&o, &r, 1) == 3);
    o = seen(0.8, 1.1, 1.3, 0, ""); /* nothing is random */
    assert_true(isinf(nb_times_longer(&o, &r, 1)));
    o = seen(0.9, 1, 1.1, 9, "k=1");
    const struct nb_judgement j = judge(&o, 1, 1, r);
    says("never", j.reason, "no length would decide 1 of them");
    assert_true(isinf(j.longer));
}

static double uniform(unsigned long long *state)
{
    return (double)(nb_random(state) >> 11) * 0x1p-53;
}

/* Sum of twelve: as good as normal. */
static double normal(unsigned long long *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform(state);
    return sum;
}

/* Of cells whose truth is 0 one at least is called above or below it: how often in families of m, each of n values. */
static double family_error(size_t n, size_t m, unsigned long long *state)
{
    enum { FAMILIES = 500 };
    const struct nb_region positive = {.low = 0, .low_open = true, .high = INFINITY}, negative = {.low = -INFINITY, .high = 0, .high_open = true};
    size_t wrong = 0;
    for (int f = 0; f < FAMILIES; f++) {
        bool any = false;
        for (size_t i = 0; i < m; i++) {
            double v[16];
            for (size_t k = 0; k < n; k++)
                v[k] = normal(state);
            const struct nb_summary s = nb_summary(v, n);
            const struct nb_observation o = seen(s.low, s.median, s.high, n, "k=1");
            any = any || nb_outcome_of(&o, &positive, m) == NB_HOLDS || nb_outcome_of(&o, &negative, m) == NB_HOLDS;
        }
        wrong += any;
    }
    return (double)wrong / FAMILIES;
}

/* Stretched intervals of 72 medians hold together about as often as they promise, but of three values. */
static void families(void **state)
{
    (void)state;
    unsigned long long random = 5;
    static const size_t values[] = {3, 4, 5, 7, 9, 12, 16};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const double error = family_error(values[i], 72, &random);
        print_message("%zu values: %.3f\n", values[i], error);
        assert_true(error < (values[i] == 3 ? 0.2 : 0.11));
    }
}

static void random_case(unsigned long long *state, struct nb_observation *o, size_t n, struct nb_region *r)
{
    char where[60];
    *r = (struct nb_region){.low = uniform(state) < 0.5 ? 1 : -INFINITY, .high = uniform(state) < 0.5 ? 1.2 : INFINITY,
                            .outside = uniform(state) < 0.3};
    for (size_t i = 0; i < n; i++) {
        const double v = 0.8 + 0.6 * uniform(state), half = 0.3 * uniform(state) * uniform(state);
        snprintf(where, sizeof where, "a=%zu b=%zu c=%s", i % 2, i / 2 % 3, i % 3 == 0 ? "x" : "y");
        o[i] = seen(v - half, v, v + half, 3 + (size_t)(nb_random(state) % 9), where);
        if (uniform(state) < 0.2)
            o[i].noise = 0.1 * uniform(state);
    }
}

/* A narrower interval at the same centre never turns a verdict into its opposite, nor an outcome into another but open; reversing the
 * order of the cells changes no verdict; the complement of the region turns REPRODUCED into REFUTED. */
static void properties(void **state)
{
    (void)state;
    unsigned long long random = 7;
    size_t count[NB_FINDING_COUNT] = {0}, resolved = 0;
    for (int turn = 0; turn < 20000; turn++) {
        struct nb_observation o[CELLS], narrow[CELLS], reversed[CELLS];
        struct nb_region r;
        const size_t n = 1 + (size_t)(nb_random(&random) % 6);
        const double by = uniform(&random);
        random_case(&random, o, n, &r);
        for (size_t i = 0; i < n; i++) {
            narrow[i] = o[i];
            narrow[i].low = o[i].value - by * (o[i].value - o[i].low);
            narrow[i].high = o[i].value + by * (o[i].high - o[i].value);
            reversed[n - 1 - i] = o[i];
            const enum nb_outcome before = nb_outcome_of(&o[i], &r, 1), after = nb_outcome_of(&narrow[i], &r, 1);
            assert_true(before == NB_OPEN || before == after);
        }
        const struct nb_judgement a = judge(o, n, n, r), b = judge(narrow, n, n, r), c = judge(reversed, n, n, r);
        count[a.finding]++;
        resolved += a.finding == NB_NOT_RESOLVED && b.finding != NB_NOT_RESOLVED;
        assert_true(a.finding != NB_REPRODUCED || b.finding == NB_REPRODUCED);
        assert_true(a.finding != NB_REFUTED || b.finding == NB_REFUTED);
        assert_true(a.finding != NB_CONDITIONAL || b.finding == NB_CONDITIONAL);
        assert_int_equal(a.finding, c.finding);
        assert_true((a.regime[0] != '\0') == (a.finding == NB_CONDITIONAL));
        if (!isinf(r.low) || !isinf(r.high)) {
            struct nb_region complement = r;
            complement.outside = !r.outside;
            const enum nb_finding f = judge(o, n, n, complement).finding;
            assert_int_equal(f, a.finding == NB_REPRODUCED ? NB_REFUTED : a.finding == NB_REFUTED ? NB_REPRODUCED : a.finding);
        }
    }
    for (int f = NB_REPRODUCED; f <= NB_NOT_RESOLVED; f++)
        assert_true(count[f] > 200); /* none of it is vacuous */
    assert_true(resolved > 200);
}

/* What a run loses of its cells never makes a verdict the opposite of that of another run that loses others. */
static void losing(void **state)
{
    (void)state;
    unsigned long long random = 11;
    size_t count[NB_FINDING_COUNT] = {0};
    for (int turn = 0; turn < 20000; turn++) {
        struct nb_observation o[2][CELLS];
        struct nb_region r;
        enum nb_finding f[2];
        const size_t n = 1 + (size_t)(nb_random(&random) % 4);
        random_case(&random, o[0], n, &r);
        memcpy(o[1], o[0], sizeof o[0]);
        for (size_t run = 0; run < 2; run++) {
            for (size_t i = 0; i < n; i++)
                if (uniform(&random) < 0.3) {
                    o[run][i].value = o[run][i].low = o[run][i].high = NAN;
                    o[run][i].once = true;
                    strcpy(o[run][i].missing, "disturbed");
                }
            count[f[run] = judge(o[run], n, n, r).finding]++;
        }
        assert_false((f[0] == NB_REPRODUCED && f[1] == NB_REFUTED) || (f[0] == NB_REFUTED && f[1] == NB_REPRODUCED));
        assert_false(f[0] == NB_CONDITIONAL && (f[1] == NB_REPRODUCED || f[1] == NB_REFUTED));
    }
    for (int k = NB_REPRODUCED; k <= NB_NOT_RESOLVED; k++)
        assert_true(count[k] > 200);
}

/* n as times_longer says, and a little more, makes an interval that is not open. */
static void longer_suffices(void **state)
{
    (void)state;
    unsigned long long random = 3;
    size_t tried = 0;
    for (int turn = 0; turn < 5000; turn++) {
        struct nb_observation o;
        struct nb_region r;
        random_case(&random, &o, 1, &r);
        const double times = nb_times_longer(&o, &r, 1);
        if (nb_outcome_of(&o, &r, 1) != NB_OPEN || isinf(times))
            continue;
        tried++;
        for (int more = 0; more < 2; more++) {
            struct nb_observation p = o;
            const double by = 1 / sqrt(times * (more ? 1.001 : 0.98));
            p.low = o.value - by * (o.value - o.low);
            p.high = o.value + by * (o.high - o.value);
            assert_true((nb_outcome_of(&p, &r, 1) == NB_OPEN) == !more);
        }
    }
    assert_true(tried > 500);
}

static void regimes(void **state)
{
    (void)state;
    const struct {
        struct nb_regime_cell v[12];
        size_t n;
        const char *text;
    } rows[] = {
        {{{"t", "d=f32 r=L2", NB_HOLDS}, {"t", "d=f32 r=DRAM", NB_FAILS}, {"t", "d=f16 r=L2", NB_HOLDS}, {"t", "d=f16 r=DRAM", NB_FAILS}}, 4, "r=L2, not DRAM"},
        {{{"t", "h=64", NB_FAILS}, {"t", "h=256", NB_FAILS}, {"t", "h=1024", NB_HOLDS}, {"t", "h=4096", NB_HOLDS}}, 4, "h>=1024, not <=256"},
        {{{"t", "h=64", NB_HOLDS}, {"t", "h=256", NB_HOLDS}, {"t", "h=1024", NB_FAILS}}, 3, "h<=256, not 1024"},
        {{{"t", "h=64", NB_HOLDS}, {"t", "h=256", NB_FAILS}, {"t", "h=1024", NB_HOLDS}}, 3, "h=64|1024, not 256"},
        {{{"t", "d=f32 r=L2", NB_HOLDS}, {"t", "d=f32 r=DRAM", NB_HOLDS}, {"t", "d=f16 r=L2", NB_HOLDS}, {"t", "d=f16 r=DRAM", NB_FAILS}}, 4,
         "d=f32; d=f16 and r=L2, not DRAM"},
        {{{"t", "d=f32 r=L2", NB_FAILS}, {"t", "d=f32 r=DRAM", NB_FAILS}, {"t", "d=f16 r=L2", NB_HOLDS}, {"t", "d=f16 r=DRAM", NB_FAILS}}, 4,
         "r=L2 and d=f16, not f32"},
        {{{"mean", "s=1 e=0", NB_HOLDS}, {"mean", "s=2 e=0", NB_HOLDS}, {"var", "s=1 e=0", NB_FAILS}, {"var", "s=2 e=0", NB_FAILS}}, 4, "test=mean, not var"},
        {{{"a", "s=1 e=0", NB_HOLDS}, {"a", "s=2 e=0", NB_HOLDS}, {"b", "s=1 e=0", NB_FAILS}, {"b", "s=2 e=0", NB_HOLDS}, {"b", "s=1 e=1", NB_HOLDS}, {"a", "s=1 e=1", NB_HOLDS}},
         6, "test=a; test=b and (s=1 and e=1, not 0; s=2)"},
        {{{"a", "s=1", NB_HOLDS}, {"b", "z=1", NB_FAILS}, {"b", "z=2", NB_HOLDS}}, 3, "test=a; test=b and z=2, not 1"},
        {{{"t", "x=0 y=0 z=0", NB_HOLDS}, {"t", "x=0 y=1 z=1", NB_HOLDS}, {"t", "x=1 y=0 z=1", NB_HOLDS}, {"t", "x=1 y=1 z=0", NB_HOLDS}, {"t", "x=0 y=0 z=1", NB_FAILS},
          {"t", "x=0 y=1 z=0", NB_FAILS}, {"t", "x=1 y=0 z=0", NB_FAILS}, {"t", "x=1 y=1 z=1", NB_FAILS}}, 8,
         "x=0: 2 of 4 decided cells, 1: 2 of 4"},
        {{{"a", "x=0 y=0 z=0", NB_HOLDS}, {"a", "x=0 y=1 z=1", NB_HOLDS}, {"a", "x=1 y=0 z=1", NB_HOLDS}, {"b", "x=1 y=1 z=0", NB_HOLDS}, {"b", "x=0 y=0 z=1", NB_FAILS},
          {"a", "x=0 y=1 z=0", NB_FAILS}, {"b", "x=1 y=0 z=0", NB_FAILS}, {"b", "x=1 y=1 z=1", NB_FAILS}, {"b", "x=1 y=1 z=1", NB_OPEN},
          {"c", "x=1 y=1 z=1", NB_OPEN}, {"b", "x=1 y=1 z=0", NB_FAILS}, {"a", "x=1 y=1 z=0", NB_FAILS}}, 12,
         "test=a: 3 of 5 decided cells, b: 1 of 5"},
        /* open cells are told apart, in a key of their own if need be, or are counted */
        {{{"t", "r=L2", NB_HOLDS}, {"t", "r=DRAM", NB_FAILS}, {"t", "r=L3", NB_OPEN}}, 3, "r=L2, not DRAM, open L3"},
        {{{"t", "h=64", NB_FAILS}, {"t", "h=256", NB_FAILS}, {"t", "h=1024", NB_HOLDS}, {"t", "h=2048", NB_OPEN}, {"t", "h=4096", NB_HOLDS}}, 5,
         "h=1024|4096, not <=256, open 2048"},
        {{{"t", "h=64", NB_OPEN}, {"t", "h=256", NB_FAILS}, {"t", "h=512", NB_FAILS}, {"t", "h=1024", NB_HOLDS}, {"t", "h=4096", NB_HOLDS}}, 5,
         "h>=1024, not 256|512, open 64"},
        {{{"t", "d=f32 r=L2", NB_HOLDS}, {"t", "d=f32 r=DRAM", NB_FAILS}, {"t", "d=f16 r=L2", NB_HOLDS}, {"t", "d=f16 r=DRAM", NB_OPEN}}, 4,
         "d=f32 and r=L2, not DRAM; d=f16 and r=L2, open DRAM"},
        {{{"t", "d=f32 h=1", NB_HOLDS}, {"t", "d=f32 h=2", NB_HOLDS}, {"t", "d=f32 h=2", NB_OPEN}, {"t", "d=f16 h=1", NB_FAILS}, {"t", "d=f16 h=2", NB_FAILS},
          {"t", "d=f16 h=2", NB_OPEN}}, 6, "d=f32 (1 of 3 such cells are open), not f16 (1 of 3 such cells are open)"},
        {{{"t", "d=f32 h=1 r=1", NB_HOLDS}, {"t", "d=f32 h=2 r=1", NB_FAILS}, {"t", "d=bf16 h=1 r=1", NB_HOLDS}, {"t", "d=bf16 h=2 r=1", NB_HOLDS},
          {"t", "d=bf16 h=1 r=1", NB_OPEN}, {"t", "d=bf16 h=2 r=1", NB_OPEN}}, 6,
         "d=f32 and h=1, not 2; d=bf16 (2 of 4 such cells are open)"},
        {{{"t", "", NB_HOLDS}, {"t", "", NB_FAILS}}, 2, "1 of 2 decided cells"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[800];
        nb_regime(rows[i].v, rows[i].n, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

/* ---- the registry ---- */

#define HEAD "[claim]\nid = C1\ntitle = t\nstatement = s\nsource = x\nrefuted_by = r\nwhy = w\n"
#define TEST "[test a]\nexperiment = row_statistics\nop = rmsnorm\nmean = 1, 5\nquantity = output_mean\nholds = >= 0.1\n"

static void claim_right(void **state)
{
    (void)state;
    static const char text[] = "# comment\r\n\n" HEAD "against = C2, C3\n" TEST "where = sd=1 and mean>=1\n[test b]\nexperiment=row_statistics\n"
                               "quantity=output_variance\nholds== 1 +- 1%\n";
    struct nb_claim c;
    struct nb_err err = {""};
    if (nb_claim_parse(&c, "some/C1.claim", text, strlen(text), &err) != NB_OK)
        fail_msg("%s", err.text);
    assert_string_equal(c.id, "C1");
    assert_true(c.against_count == 2 && strcmp(c.against[1], "C3") == 0 && c.test_count == 2 && c.untestable == NULL);
    assert_string_equal(c.tests[0].values[0], "rmsnorm");
    assert_string_equal(c.tests[0].values[1], "1,5"); /* without its space */
    assert_string_equal(c.tests[0].values[2], "1e-3,1,1e3");
    assert_true(c.tests[0].where.n == 2 && c.tests[0].holds.low == 0.1);
    assert_true(c.tests[1].holds.low == 0.99 && c.tests[1].where.n == 0);
    nb_claim_free(&c);
    static const char other[] = "[claim]\nid = C1\ntitle = t # 1\nstatement = s\nsource = pytorch#1\nwhy = w\n[untestable]\nreason = no data";
    assert_int_equal(nb_claim_parse(&c, "C1.claim", other, strlen(other), &err), NB_OK);
    assert_string_equal(c.untestable, "no data");
    assert_string_equal(c.source, "pytorch#1");
    nb_claim_free(&c);
}

static void claim_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "C1.claim:1: no [claim]"},
        {"id = C1\n", "C1.claim:1: \"id = C1\" stands before the first section"},
        {"[test a]\n", "C1.claim:1: the file has to begin with [claim]"},
        {"[clam]\n", "is no section; sections are [claim], then [test NAME]"},
        {"[test a b]\n", "is no section"}, {"[claim] x\n", "is no section"},
        {HEAD, "C1.claim:8: neither [test NAME] nor [untestable]"},
        {HEAD HEAD, ":8: a second [claim]"},
        {"[claim]\nid = C1\nid = C1\n", ":3: id: given twice in [claim], first in line 2"},
        {"[claim]\nid =\n", ":2: id: nothing stands behind the ="},
        {"[claim]\nid\n", ":2: \"id\" is not of the form key = value"},
        {"[claim]\nid = C1\ncolour = red\n[test a]\n", ":3: unknown key \"colour\"; known in [claim]: id title"},
        {"[claim]\nid = C1\ntitle = t\nstatement = s\nsource = x\n[test a]\n", ":1: [claim] lacks \"why = ...\""},
        {"[claim]\ntitle = t\n[test a]\n", ":1: [claim] lacks \"id = ...\""},
        {"[claim]\nid = C2\n[test a]\n", ":2: id: \"C2\" is not the name of this file; it has to be C2.claim"},
        {"[claim]\nid = C1.claim\n[test a]\n", "is no id"},
        {"[claim]\nid = C1\ntitle = 1234567890123456789012345678901234567890123456789012345678901\nstatement = s\nsource = x\nwhy = w\n[test a]\n",
         ":3: title: longer than 60 characters (61)"},
        {HEAD "against = C1\n" TEST, ":8: against: C1 cannot contradict itself"},
        {HEAD "against = C2,,C3\n" TEST, ":8: against: one to 8 ids"},
        {HEAD TEST TEST, ":14: a second [test a]"},
        {HEAD TEST "[untestable]\nreason = r\n", ":14: a claim has tests or is untestable, not both"},
        {HEAD "[untestable]\nreason = r\n" TEST, ":10: a claim has tests or is untestable, not both"},
        {HEAD "[untestable]\nwhy = r\n", ":9: unknown key \"why\"; known in [untestable]: reason"},
        {HEAD "[untestable]\n", ":8: [untestable] lacks \"reason = ...\""},
        {"[claim]\nid = C1\ntitle = t\nstatement = s\nsource = x\nwhy = w\n" TEST, "[claim] lacks \"refuted_by = ...\""},
        {HEAD "[test a]\nexperiment = alchemy\n", ":9: experiment: there is no \"alchemy\"; known: row_statistics"},
        {HEAD "[test a]\nquantity = output_mean\n", ":8: [test a] lacks \"experiment = ...\""},
        {HEAD "[test a]\nexperiment = row_statistics\nhiden = 3\n",
         ":10: unknown key \"hiden\"; known in [test]: experiment quantity where holds, and of row_statistics: op mean sd eps hidden"},
        {HEAD "[test a]\nexperiment = row_statistics\nhidden = 1\n", ":10: hidden: 1 is not a whole number from 2 to 65536"},
        {HEAD "[test a]\nexperiment = op_speed\nhidden = 64:16:x2\n", "C1.claim:10: hidden"},
        {HEAD "[test a]\nexperiment = op_speed\nhidden = many\n", "C1.claim:10: hidden"},
        {HEAD "[test a]\nexperiment = op_speed\npair = rmsnorm-layernorm\n", "C1.claim:10: pair: "},
        {HEAD "[test a]\nexperiment = op_speed\nisa = sse9\n", "C1.claim:10: isa"},
        {HEAD "[test a]\nexperiment = row_statistics\nop = dyt\n", ":10: op: unknown word \"dyt\"; known: layernorm rmsnorm"},
        {HEAD "[test a]\nexperiment = row_statistics\nquantity = speedup\nholds = > 1\n",
         ":10: quantity: row_statistics observes no \"speedup\"; it observes: output_mean output_variance"},
        {HEAD "[test a]\nexperiment = row_statistics\nholds = > 1\n", "[test a] lacks \"quantity = ...\""},
        {HEAD "[test a]\nexperiment = row_statistics\nquantity = output_mean\n", "[test a] lacks \"holds = ...\""},
        {HEAD "[test a]\nexperiment = row_statistics\nquantity = output_mean\nholds = about 1\n",
         ":11: holds: \"about\" is no relation\n  about 1\n  ^^^^^\nsay >= 1.1"},
        {HEAD TEST "where = mean>>1\n", ":14: where: \">\" is no value\n  mean>>1\n       ^\na term is key=value"},
        {HEAD "x = \xC2\x9B[0m\n", ":8: control character U+009B"}, {HEAD "x = a\xE2\x80\xAE" "b\n", "control character U+202E"},
        {HEAD "x = \xE2\x81\xA9\n", "control character U+2069"},
        {HEAD "x = \x01\n", ":8: control byte 0x01"}, {HEAD "x = \x1B[0m\n", "control byte 0x1b"}, {HEAD "x = \xFF\n", ":8: not UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nb_claim c;
        struct nb_err err = {""};
        if (nb_claim_parse(&c, "C1.claim", rows[i].text, strlen(rows[i].text), &err) != NB_ERROR)
            fail_msg("row %zu is read: %s", i, rows[i].says);
        assert_null(c.id);
        assert_int_equal(strncmp(err.text, "C1.claim:", 9), 0);
        says(rows[i].text, err.text, rows[i].says);
    }
    char *big = malloc(70000);
    struct nb_claim c;
    struct nb_err err;
    assert_int_equal(nb_claim_parse(&c, "C1.claims", HEAD TEST, strlen(HEAD TEST), &err), NB_ERROR);
    says("name", err.text, "it has to be C1.claim");
    assert_non_null(big);
    memset(big, '#', 70000);
    assert_int_equal(nb_claim_parse(&c, "C1.claim", big, 70000, &err), NB_ERROR);
    says("big", err.text, "larger than 65536 bytes");
    assert_int_equal(nb_claim_parse(&c, "C1.claim", big, 2001, &err), NB_ERROR);
    says("long", err.text, "C1.claim:1: line longer than 2000");
    big[3] = '\0';
    assert_int_equal(nb_claim_parse(&c, "C1.claim", big, 10, &err), NB_ERROR);
    says("NUL", err.text, "control byte 0x00");
    free(big);
}

/* ---- experiments that were added ---- */

static size_t runs;
static double given_budget;
static bool interrupt;

static bool stopped(void)
{
    return interrupt;
}

/* q by level: 2 where level is 1, 0.5 where it is 2; what says how it ends. */
static enum nb_status fake(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double level[NB_NUMBERS_MAX];
    const size_t n = nb_trial_numbers(t, "level", level);
    const char *what = nb_trial_text(t, "what");
    runs++;
    given_budget = t->budget_s;
    nb_trial_progress(t, 0.5, "half");
    if (strcmp(what, "fail") == 0)
        return nb_fail(err, "no <memory> | here");
    if (strcmp(what, "stop") == 0) {
        interrupt = true;
        return NB_INTERRUPTED;
    }
    for (size_t i = 0; i < n; i++)
        if (strcmp(what, "gone") == 0)
            nb_observe_missing(o, "q", "", "apt-get install `it`", false, "level=%g", level[i]);
        else if (strcmp(what, "nothing") != 0)
            nb_observe(o, "q", "", level[i] == 2 ? 0.5 : strcmp(what, "inf") == 0 ? INFINITY : 2, "level=%g", level[i]);
    return NB_OK;
}

static const struct nb_parameter FAKE[] = {
    {.name = "level", .value = "1,2", .says = "levels", .kind = NB_NUMBERS, .least = 0, .most = 9},
    {.name = "what", .value = "well", .says = "how it ends", .kind = NB_CHOICES, .choices = "well fail stop gone nothing inf", .single = true},
    {.name = "note", .value = "", .says = "any text", .kind = NB_TEXT},
};
static const struct nb_experiment FAKE_TIMED = {"fake", "says what it is told", "q unseen", "level what", FAKE, 3, true, {10, 20, 60}, fake},
                                  FAKE_OTHER = {"fake_other", "observes q, too", "q", "", FAKE, 3, false, {1, 2, 3}, fake};

static struct nb_claim asked(const char *text)
{
    struct nb_claim c;
    struct nb_err err = {""};
    if (nb_ask(&c, text, &err) != NB_OK)
        fail_msg("%s: %s", text, err.text);
    return c;
}

static void asking(void **state)
{
    (void)state;
    struct nb_claim c = asked("output_mean(rmsnorm) >= 0.5 where mean=1|5 and hidden=64 and sd>=1");
    assert_string_equal(c.tests[0].values[0], "rmsnorm");
    assert_string_equal(c.tests[0].values[1], "1,5");
    assert_string_equal(c.tests[0].values[4], "64");
    assert_true(c.tests[0].where.v[1].sets && !c.tests[0].where.v[2].sets);
    assert_string_equal(c.tests[0].holds_text, ">= 0.5");
    nb_claim_free(&c);
    c = asked("speedup > 1 where hidden=1024|4096 and pair=rmsnorm:layernorm|prmsnorm:rmsnorm and dtype=f32");
    for (size_t i = 0; i < c.tests[0].experiment->parameter_count; i++) {
        if (strcmp(c.tests[0].experiment->parameters[i].name, "hidden") == 0)
            assert_string_equal(c.tests[0].values[i], "1024,4096");
        if (strcmp(c.tests[0].experiment->parameters[i].name, "pair") == 0)
            assert_string_equal(c.tests[0].values[i], "rmsnorm:layernorm,prmsnorm:rmsnorm");
    }
    nb_claim_free(&c);
    c = asked("fake.q(1|2, well) > 1");
    assert_ptr_equal(c.tests[0].experiment, &FAKE_TIMED);
    assert_string_equal(c.tests[0].values[0], "1,2");
    nb_claim_free(&c);
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"mean > 1", "no experiment observes \"mean\"\n  mean > 1\n  ^^^^\nknown: output_mean"},
        {"q > 1", "2 experiments observe \"q\"\n  q > 1\n  ^\nsay EXPERIMENT.QUANTITY with one of: fake fake_other"},
        {"row_statistics.q > 1", "no experiment observes"},
        {"fake.q(1, well, x) > 1", "takes no such argument\n  fake.q(1, well, x) > 1\n                  ^\nin brackets: level what"},
        {"speedup(rmsnorm:rms) > 1", "^^^^^^^^^^^"},
        {"speedup > 1 where isa=sse9", "isa"},
        {"speedup > 1 where hidden=auto|x", "hidden"},
        {"fake_other.q(1) > 1", "it has no arguments; say `where`"},
        {"fake.q(7|99) > 1", "99 is not a number from 0 to 9\n  fake.q(7|99) > 1\n         ^^^^\n"},
        {"fake.q > 1 where what=magic", "unknown word \"magic\"; known: well fail"},
        {"fake.q(1) > 1 where level=2", "level is given twice\n  fake.q(1) > 1 where level=2\n                      ^^^^^^^"},
        {"fake.q > 1 where level>=3", "run with level=1,2, and none of these is that\n  fake.q > 1 where level>=3\n                   ^^^^^^^^"},
        {"fake.q >", "number is missing"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct nb_err err = {""};
        assert_int_equal(nb_ask(&c, wrong[i].text, &err), NB_ERROR);
        says(wrong[i].text, err.text, wrong[i].says);
        assert_null(c.tests);
    }
}

/* A range is given as much time as the list that it stands for. */
static void seconds_of_a_range(void **state)
{
    (void)state;
    static const char *const texts[] = {"speedup > 1 where hidden=64:16384:x2", "speedup > 1 where hidden=64|128|256|512|1024|2048|4096|8192|16384"};
    double seconds[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        struct nb_claim c = asked(texts[i]);
        struct nb_err err;
        const struct nb_trial t = {.experiment = c.tests[0].experiment, .values = (const char *const *)c.tests[0].values, .effort = NB_QUICK};
        assert_int_equal(nb_op_speed_seconds(&t, &seconds[i], &err), NB_OK);
        nb_claim_free(&c);
    }
    assert_true(seconds[0] == seconds[1] && seconds[0] >= 9 * 2 * 2 * 5);
}

/* The claims that come with the program time norms in two runs, of passes and of training steps, and blocks in one: whoever asks the
 * same asks it with the same parameters. */
static void timed_once(void **state)
{
    (void)state;
    struct nb_claims all;
    struct nb_err err = {""};
    size_t timed = 0;
    if (nb_claims_load(&all, nb_claims_dir(), &err) != NB_OK)
        fail_msg("%s", err.text);
    const struct nb_claim **chosen = calloc(all.n, sizeof *chosen);
    assert_non_null(chosen);
    for (size_t i = 0; i < all.n; i++)
        chosen[i] = &all.v[i];
    struct nb_hearing h = {.effort = NB_QUICK};
    nb_hearing_plan(&h, chosen, all.n);
    for (size_t i = 0; i < h.run_count; i++)
        timed += h.runs[i].experiment->timed;
    assert_int_equal(timed, 3);
    nb_hearing_free(&h);
    free(chosen);
    nb_claims_free(&all);
}

static const struct nb_case_of *decided_cases[16];
static size_t decided_count;

static void on_decided(void *context, const struct nb_case_of *c)
{
    (void)context;
    decided_cases[decided_count++] = c;
}

static void on_progress(void *context, double seconds, const char *what)
{
    double *most = context;
    assert_true(seconds >= *most && what != NULL);
    *most = seconds;
}

/* Claims of every verdict; equal parameters are run once; one that fails leaves the others alone. */
static void hearing(void **state)
{
    (void)state;
    static const char *const texts[] = {"fake.q(1) > 1", "fake.q(2) > 1", "fake.q > 1", "fake.q(1, fail) > 1", "fake.q(1, gone) > 1",
                                        "fake.q(1, nothing) > 1", "fake.q(1) > 1 where size=3", "fake.q(2) < 1",
                                        "fake.q > 1 where level<2"};
    static const enum nb_finding want[] = {NB_REPRODUCED, NB_REFUTED, NB_CONDITIONAL, NB_NOT_TESTABLE, NB_NOT_TESTABLE,
                                           NB_NOT_TESTABLE, NB_NOT_TESTABLE, NB_REPRODUCED, NB_REPRODUCED};
    static const char *const reasons[] = {"", "", "", "no <memory> | here", "apt-get install `it`", "made 0 observations of q",
                                          "observations of q have no \"size\"; they have: level", "", ""};
    enum { N = sizeof texts / sizeof *texts };
    struct nb_claim c[N];
    const struct nb_claim *chosen[N];
    double most = 0;
    struct nb_err err = {""};
    struct nb_hearing h = {.decided = on_decided, .progress = on_progress, .context = &most, .effort = NB_USUAL, .seed = 1};
    for (size_t i = 0; i < N; i++) {
        c[i] = asked(texts[i]);
        chosen[i] = &c[i];
    }
    runs = decided_count = 0;
    nb_hearing_plan(&h, chosen, N);
    assert_int_equal(h.run_count, 6);
    assert_int_equal(nb_hearing_run(&h, &err), NB_OK);
    assert_int_equal(runs, 6);
    assert_int_equal(decided_count, N);
    for (size_t i = 0; i < N; i++) {
        const struct nb_judgement *j = &h.cases[i].judgement;
        assert_ptr_equal(decided_cases[i], &h.cases[i]);
        if (j->finding != want[i])
            fail_msg("%s: %s %s", texts[i], nb_finding_name(j->finding), j->reason);
        says(texts[i], j->reason, reasons[i]);
        assert_int_equal(j->broken, i == 5 || i == 6);
    }
    assert_string_equal(h.cases[2].judgement.regime, "level=1, not 2");
    assert_true(h.cases[6].tests[0].broken_term == &c[6].tests[0].where.v[0]);

    const struct nb_account a = {.hearing = &h, .command = "normbench 'x'", .options = "", .cpu = "a|b", .compiler = "gcc", .registry = "r"};
    json_t *json = nb_account_json(&a);
    char *text = json_dumps(json, 0);
    assert_non_null(text);
    assert_int_equal(json_array_size(json_object_get(json, "claims")), N);
    assert_int_equal(json_array_size(json_object_get(json, "runs")), 6);
    says("json", text, "\"verdict\": \"CONDITIONAL\", \"regime\": \"level=1, not 2\"");
    json_decref(json);
    free(text);
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    nb_account_md(f, &a);
    fclose(f);
    says("md", text, "no &lt;memory&gt; \\| here");
    says("md", text, "apt-get install \\`it\\`");
    says("md", text, "a\\|b");
    says("md", text, "; effort default; seed 1; ");
    free(text);
    char *again = nb_account_repro(&a, &c[0]);
    assert_string_equal(again, "normbench claims --id ask");
    free(again);
    again = nb_account_repro(&(struct nb_account){.options = " --seed 3"}, &c[0]);
    assert_string_equal(again, "normbench claim 'fake.q(1) > 1' --seed 3");
    free(again);
    nb_hearing_free(&h);
    for (size_t i = 0; i < N; i++)
        nb_claim_free(&c[i]);
}

/* What was finished before the interruption has its verdict, also where it stands behind what was not. */
static void interrupted(void **state)
{
    (void)state;
    static const char *const texts[] = {"fake.q(1) > 1", "fake.q(1, stop) > 1", "fake.q(1) < 1", "fake_other.q > 1"};
    static const enum nb_finding want[] = {NB_REPRODUCED, NB_UNTRIED, NB_REFUTED, NB_UNTRIED};
    struct nb_claim c[4];
    const struct nb_claim *chosen[4];
    struct nb_err err = {""};
    struct nb_hearing h = {.stop = stopped, .decided = on_decided, .effort = NB_QUICK};
    for (size_t i = 0; i < 4; i++) {
        c[i] = asked(texts[i]);
        chosen[i] = &c[i];
    }
    runs = decided_count = 0;
    nb_hearing_plan(&h, chosen, 4);
    assert_int_equal(nb_hearing_run(&h, &err), NB_INTERRUPTED);
    interrupt = false;
    assert_true(h.interrupted && runs == 2 && decided_count == 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(h.cases[i].judgement.finding, want[i]);
    const struct nb_account a = {.hearing = &h, .command = "x", .options = "", .cpu = "c", .compiler = "gcc", .registry = "r"};
    json_t *json = nb_account_json(&a);
    assert_true(json_is_true(json_object_get(json, "interrupted")));
    json_decref(json);
    nb_hearing_free(&h);
    for (size_t i = 0; i < 4; i++)
        nb_claim_free(&c[i]);
}

/* A hearing that an error breaks off leaves the verdicts that were formed: the second run's folder has too long a name. */
static void broken_off(void **state)
{
    (void)state;
    static const char *const texts[] = {"fake.q(1) > 1", "fake_other.q > 1"};
    struct nb_claim c[2] = {asked(texts[0]), asked(texts[1])};
    const struct nb_claim *const chosen[2] = {&c[0], &c[1]};
    struct nb_err err = {""};
    char dir[4089]; /* with /fake 4093 bytes, with /fake_other 4099 */
    snprintf(dir, sizeof dir, "/tmp");
    for (size_t n = 4; n < 4088; n += 2)
        memcpy(dir + n, "/.", 3);
    struct nb_hearing h = {.decided = on_decided, .effort = NB_QUICK, .dir = dir};
    decided_count = 0;
    nb_hearing_plan(&h, chosen, 2);
    assert_int_equal(nb_hearing_run(&h, &err), NB_ERROR);
    says("error", err.text, "cannot make the folder");
    assert_string_equal(h.error, err.text);
    assert_true(decided_count == 2 && h.cases[0].judgement.finding == NB_REPRODUCED && h.cases[1].judgement.finding == NB_UNTRIED);
    const struct nb_account a = {.hearing = &h, .command = "x", .options = "", .cpu = "c", .compiler = "gcc", .registry = "r"};
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    nb_account_md(f, &a);
    fclose(f);
    says("md", text, "1 REPRODUCED, 1 UNTRIED. **Broken off**, what is UNTRIED was not finished: cannot make the folder");
    free(text);
    nb_hearing_free(&h);
    for (size_t i = 0; i < 2; i++)
        nb_claim_free(&c[i]);
}

static void budget(void **state)
{
    (void)state;
    struct nb_claim c[] = {asked("fake.q(1) > 1"), asked("fake.q(2) > 1"), asked("fake_other.q > 1")};
    const struct nb_claim *const chosen[] = {&c[0], &c[1], &c[2]};
    struct nb_err err = {""};
    struct nb_hearing h = {.effort = NB_USUAL, .budget_s = 21.9};
    nb_hearing_plan(&h, chosen, 3);
    assert_true(nb_hearing_seconds(&h) == 42);
    assert_int_equal(nb_hearing_budget(&h, &err), NB_ERROR);
    says("budget", err.text, "at least 22 s: 20 s for what is timed, 2 s for the rest");
    h.budget_s = 62;
    assert_int_equal(nb_hearing_budget(&h, &err), NB_OK);
    assert_true(h.runs[0].budget_s == 30 && h.runs[1].budget_s == 30 && h.runs[2].budget_s == 0 && nb_hearing_seconds(&h) == 62);
    assert_int_equal(nb_hearing_run(&h, &err), NB_OK);
    nb_hearing_free(&h);
    struct nb_hearing untimed = {.effort = NB_USUAL, .budget_s = 1.9};
    nb_hearing_plan(&untimed, chosen + 2, 1);
    assert_int_equal(nb_hearing_budget(&untimed, &err), NB_ERROR);
    says("untimed", err.text, "1.9 s do not do for these claims; at least 2 s");
    untimed.budget_s = 2;
    assert_int_equal(nb_hearing_budget(&untimed, &err), NB_OK);
    nb_hearing_free(&untimed);
    for (size_t i = 0; i < 3; i++)
        nb_claim_free(&c[i]);
}

/* No value that JSON cannot hold. */
static void infinite(void **state)
{
    (void)state;
    struct nb_claim c = asked("fake.q(1, inf) > 1");
    const struct nb_claim *const chosen = &c;
    struct nb_err err;
    struct nb_hearing h = {.effort = NB_QUICK};
    nb_hearing_plan(&h, &chosen, 1);
    assert_int_equal(nb_hearing_run(&h, &err), NB_OK);
    assert_int_equal(h.cases[0].judgement.finding, NB_REPRODUCED);
    const struct nb_account a = {.hearing = &h, .command = "x", .options = "", .cpu = "c", .compiler = "gcc"};
    json_t *json = nb_account_json(&a);
    char *text = json_dumps(json, 0);
    says("json", text, "\"value\": \"inf\"");
    says("json", text, "\"noise\": null");
    free(text);
    json_decref(json);
    nb_hearing_free(&h);
    nb_claim_free(&c);
}

/* A stack that blows up has no gradients that lie anywhere, outside of a range neither. */
static void not_a_number(void **state)
{
    (void)state;
    static const char *const texts[] = {"gradient_spread(none, layernorm, 6|4000) <= 1e300 where d=8 and seeds=3 and tokens=2 and batch=1 and weight=w1",
                                        "gradient_spread(none, layernorm, 4000) outside [0, 1] where d=8 and seeds=3 and tokens=2 and batch=1 and weight=w1"};
    static const enum nb_finding want[] = {NB_CONDITIONAL, NB_REFUTED};
    static const char *const measured[] = {", 2 cells, 1 of them not a number", "not a number"};
    for (size_t i = 0; i < 2; i++) {
        struct nb_claim c = asked(texts[i]);
        const struct nb_claim *const chosen = &c;
        struct nb_err err;
        struct nb_hearing h = {.effort = NB_QUICK, .seed = 1};
        char text[200];
        nb_hearing_plan(&h, &chosen, 1);
        assert_int_equal(nb_hearing_run(&h, &err), NB_OK);
        assert_int_equal(h.cases[0].judgement.finding, want[i]);
        nb_measured(&h.cases[0].tests[0], text, sizeof text);
        says(texts[i], text, measured[i]);
        nb_hearing_free(&h);
        nb_claim_free(&c);
    }
}

/* Every experiment keeps what the court relies on: its words are words, its defaults are allowed, its arguments are parameters, and no
 * parameter is called like a key of a test. */
static void experiments(void **state)
{
    (void)state;
    for (size_t i = 0; i < nb_court_experiments(); i++) {
        const struct nb_experiment *e = nb_court_experiment(i);
        struct nb_err err = {""};
        assert_true(e->quantities[0] != '\0' && e->seconds[0] >= 0 && e->run != NULL && strlen(e->name) < 46);
        for (size_t p = 0; p < e->parameter_count; p++) {
            if (nb_parameter_check(&e->parameters[p], e->parameters[p].value, &err) != NB_OK)
                fail_msg("%s: %s", e->name, err.text);
            if (nb_words_have("experiment quantity where holds test", e->parameters[p].name))
                fail_msg("%s: a parameter is called %s", e->name, e->parameters[p].name);
        }
        for (const char *p = e->arguments; *p != '\0'; p += strcspn(p, " "), p += *p == ' ') {
            bool found = false;
            for (size_t k = 0; k < e->parameter_count; k++)
                found = found || (strlen(e->parameters[k].name) == strcspn(p, " ") &&
                                  strncmp(p, e->parameters[k].name, strcspn(p, " ")) == 0);
            if (!found)
                fail_msg("%s: argument %s is no parameter", e->name, p);
        }
    }
}

/* ---- files of experiments ---- */

/* A picture's data that a full disk refuses is left out, and the observations are there. */
static void full_disk(void **state)
{
    (void)state;
    struct nb_claim c = asked("gradient_spread(pre, layernorm, 2) > 0 where seeds=3 and d=8 and weight=w1");
    char dir[] = "/tmp/court_test_XXXXXX", path[100];
    struct nb_observations o = {0};
    struct nb_err err = {""};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/stack_gradients.dat", dir);
    assert_int_equal(symlink("/dev/full", path), 0);
    const struct nb_trial t = {.experiment = c.tests[0].experiment, .values = (const char *const *)c.tests[0].values, .seed = 1, .dir = dir};
    assert_int_equal(t.experiment->run(&t, &o, &err), NB_OK);
    assert_true(o.n > 0);
    assert_int_equal(rmdir(dir), 0); /* nothing is left in it */
    nb_observations_free(&o);
    nb_claim_free(&c);
}

static size_t questions_asked;

static bool stop_after_five(void)
{
    return ++questions_asked > 5;
}

/* Ctrl-C is seen between two kernels, two seeds and two layers. */
static void stopping(void **state)
{
    (void)state;
    static const char *const texts[] = {"share_of_equal_outputs(layernorm, alone) >= 1 where dtype=f32 and hidden=768",
                                        "change_by_batch_mates(layernorm) >= 1 where batch=2",
                                        "gradient_spread(pre, layernorm, 20) > 0 where seeds=1 and d=8 and weight=w1"};
    for (size_t i = 0; i < 3; i++) {
        struct nb_claim c = asked(texts[i]);
        struct nb_observations o = {0};
        struct nb_err err = {""};
        questions_asked = 0;
        const struct nb_trial t = {.experiment = c.tests[0].experiment, .values = (const char *const *)c.tests[0].values, .seed = 1, .stop = stop_after_five};
        assert_int_equal(t.experiment->run(&t, &o, &err), NB_INTERRUPTED);
        nb_observations_free(&o);
        nb_claim_free(&c);
    }
}

/* ---- shares ---- */

static void share(struct nb_observations *o, const char *quantity, double v, double half, double noise, const char *where)
{
    nb_observe_interval(o, quantity, "", v, v - half, v + half, noise, 9, "processes", "%s", where);
}

/* In situ 10 %; by difference as given. */
static void both_shares(struct nb_observations *o, double difference, double half, double noise, const char *where)
{
    share(o, "share_in_situ", 0.1, 0.001, NAN, where);
    share(o, "share_by_difference", difference, half, noise, where);
    share(o, "shares_disagree", difference - 0.1, half, noise, where);
}

static void shares(void **state)
{
    (void)state;
    static const struct {
        double difference, half, noise, beyond;
        const char *wrong, *row;
    } rows[] = {
        {0.105, 0.002, 0.001, -0.01, NULL, "norm=ln | 10.00 % [9.90, 10.10] | 10.50 % [10.30, 10.70] | both |"},
        {0.2, 0.002, 0.001, 0, "a norm's share in situ is not that by difference to a block without it: shares_disagree is 0.1 [0.098, 0.102] where norm=ln", NULL},
        {0.1, 0.002, 0.001, 0.1, "something is wrong: a block saves more than its norm takes: beyond_amdahl is 0.1 [0.09, 0.11] where norm=ln", NULL},
        {0.2, 0.002, 0.001, 0.1, "where norm=ln; and 1 more", NULL},
        {0.2, 0.09, 0.001, 0, NULL, "| both |"},                 /* not beyond doubt */
        {0.01, 0.002, 0.02, 0, NULL, "0.80, 1.20] NOT RESOLVED | in situ |"}, /* within the noise: in situ decides */
        {0.001, 0.01, 0.001, 0.025, NULL, "-0.90, 1.10] NOT RESOLVED | in situ |"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nb_run_of run = {.done = true};
        const struct nb_hearing h = {.runs = &run, .run_count = 1};
        char text[600] = "", *md = NULL;
        size_t len = 0;
        both_shares(&run.observations, rows[i].difference, rows[i].half, rows[i].noise, "norm=ln");
        share(&run.observations, "beyond_amdahl", rows[i].beyond, 0.01, 0.001, "norm=ln");
        assert_int_equal(nb_shares_wrong(&h, text, sizeof text), rows[i].wrong != NULL);
        says("wrong", text, rows[i].wrong != NULL ? rows[i].wrong : "");
        FILE *f = open_memstream(&md, &len);
        assert_true(nb_shares_md(f, &h));
        fclose(f);
        says("table", md, rows[i].row != NULL ? rows[i].row : "| where |");
        free(md);
        nb_observations_free(&run.observations);
    }
    const struct nb_hearing none = {.run_count = 0};
    char text[10];
    assert_false(nb_shares_wrong(&none, text, sizeof text));
    assert_false(nb_shares_md(stderr, &none));
}

/* ---- the poster ---- */

static void saved(struct nb_observations *o, double v, size_t n, const char *residency, const char *pairing, size_t hidden, const char *rest)
{
    static const char where[] = "pair=rmsnorm:layernorm pairing=%s dir=fwd dtype=f32 hidden=%zu residency=%s %s";
    if (isnan(v))
        nb_observe_missing(o, "saved_time", "", "disturbed", true, where, pairing, hidden, residency, rest);
    else
        nb_observe_interval(o, "saved_time", "", v, v - 0.03, v + 0.02, 0.01, n, "processes", where, pairing, hidden, residency, rest);
}

static char *text_of(const char *path)
{
    char *text = calloc(1 << 16, 1);
    FILE *f = fopen(path, "r");
    assert_true(f != NULL && text != NULL);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    return text;
}

/* Only one thread and the best instruction set are drawn; the subtitle says how many processes and how many cells are missing. */
static void poster(void **state)
{
    (void)state;
    static const char *const residencies[] = {"L2", "DRAM"}, *const pairings[] = {"unfused", "naive", "best-of-each"};
    struct nb_run_of run = {.experiment = &nb_experiment_op_speed, .done = true};
    char dir[] = "/tmp/court_test_XXXXXX", path[200], note[256] = "";
    bool drawn = false;
    struct nb_err err;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < 4; k++)
            saved(&run.observations, i == 5 && k == 3 ? NAN : 0.45 - 0.1 * (double)(i % 3) - 0.02 * (double)k, k == 1 ? 6 : 8, residencies[i / 3],
                  pairings[i % 3], (size_t)256 << 2 * k, "threads=1 isa=best");
    saved(&run.observations, 0.77, 4, "L2", "naive", 4096, "threads=2 isa=best");
    saved(&run.observations, 0.77, 4, "L2", "naive", 64, "threads=1 isa=scalar");
    const struct nb_hearing h = {.runs = &run, .run_count = 1, .dir = dir};
    assert_int_equal(nb_poster(&h, "a processor", &drawn, note, &err), NB_OK);
    assert_true(drawn);
    snprintf(path, sizeof path, "%s/plots/claims_poster.gp", dir);
    char *text = text_of(path);
    says("poster", text, "a processor, f32, forward, 1 thread, 6 processes; 1 cell missing");
    free(text);
    snprintf(path, sizeof path, "%s/plots/claims_poster.dat", dir);
    text = text_of(path);
    assert_null(strstr(text, "77 "));
    says("poster", text, "256 45 42 47");
    free(text);
    nb_observations_free(&run.observations);
    const char *const names[] = {"/plots/claims_poster.gp", "/plots/claims_poster.dat", "/plots/claims_poster.svg", "/plots/claims_poster.png", "/plots", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names && getenv("KEEP_POSTER") == NULL; i++) {
        snprintf(path, sizeof path, "%s%s", dir, names[i]);
        (void)remove(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions),    cmocka_unit_test(terms),       cmocka_unit_test(questions), cmocka_unit_test(pointing),
        cmocka_unit_test(outcomes),   cmocka_unit_test(rule),        cmocka_unit_test(many_cells), cmocka_unit_test(families), cmocka_unit_test(longer),
        cmocka_unit_test(properties), cmocka_unit_test(losing), cmocka_unit_test(longer_suffices), cmocka_unit_test(regimes), cmocka_unit_test(claim_right),
        cmocka_unit_test(claim_wrong), cmocka_unit_test(asking),     cmocka_unit_test(hearing), cmocka_unit_test(seconds_of_a_range), cmocka_unit_test(timed_once),   cmocka_unit_test(interrupted),
        cmocka_unit_test(broken_off), cmocka_unit_test(budget),     cmocka_unit_test(infinite), cmocka_unit_test(not_a_number), cmocka_unit_test(shares), cmocka_unit_test(poster), cmocka_unit_test(full_disk), cmocka_unit_test(stopping),    cmocka_unit_test(experiments)};
    char word[40];
    if (nb_cpu_init(word, sizeof word) != 0)
        return 1;
    nb_court_add(&nb_experiment_op_speed);
    nb_court_add(&nb_experiment_instructions);
    nb_court_add(&FAKE_TIMED);
    nb_court_add(&FAKE_OTHER);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
