/* families_test.c: on every family of data of the laboratory, in every dtype, the oracle agrees with MPFR
 * (one last place of a double for f32 and 16-bit rows, 128 units of 2^-106 for f64), and the correctly
 * rounded output scores E <= 1.01 and stays inside any bound: what the checker asks for can be had. */
#include "accuracy_data.h"
#include "appraise.h"
#include "registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_MAX = 1024 };
#include "mpfr_norm.h"

static struct {
    double ulps, dd_units, E[NB_DTYPE_COUNT];
    size_t elements, outside;
} seen;

static double weight_of(const struct nb_ref_row *r, size_t i)
{
    return fabs((r->gamma ? r->gamma[i] : 1) + (r->gemma ? 1 : 0));
}

/* Results beyond the range of double and rows of 0/0 are compared elsewhere. */
static void compare(const struct nb_lab_data *d, const struct nb_ref_row *r, const struct nb_dd *y,
                    const struct nb_ref_stats *s)
{
    forward_mpfr(r);
    for (size_t i = 0; s->finite && s->rstd.hi < INFINITY && i < r->n; i++) {
        const double near = mpfr_get_d(big_y[i], MPFR_RNDN), b = r->beta ? r->beta[i] : 0;
        const double unit = weight_of(r, i) * s->k1 + fabs(near - b) + fabs(b);
        const double units = unit > 0 ? distance(y[i], big_y[i]) / unit * 0x1p106 : 0;
        const double ulps = d->dtype == NB_F64 || near == 0 ? 0 : ulps_of_double(y[i], big_y[i]);
        if (fabs(near) > 0x1p900 || (near != 0 && fabs(near) < 0x1p-900)) {
            seen.outside++;
            continue;
        }
        if (!(ulps <= 1) || !(units <= 128))
            fail_msg("%s %s op %d [%zu]: %g ulp, %g units of 2^-106", nb_dtype_name(d->dtype),
                     d->family->name, (int)r->op, i, ulps, units);
        seen.ulps = fmax(seen.ulps, ulps);
        seen.dd_units = fmax(seen.dd_units, units);
        seen.elements++;
    }
}

/* The best output there can be. */
static void judge_rounded(const struct nb_lab_data *d, const struct nb_ref_row *r, const struct nb_dd *y,
                          const struct nb_ref_stats *s)
{
    static double got[N_MAX], scratch[N_MAX];
    const struct nb_ref_type *t = nb_ref_type_find(nb_dtype_name(d->dtype));
    const struct nb_ref_limits one = {{1.01, 1, 1, 1}, {1.01, 1, 1, 1}};
    struct nb_ref_error e;
    for (size_t i = 0; i < r->n; i++)
        got[i] = nb_ref_round(y[i], t);
    nb_ref_judge(r, y, s, t, &one, got, scratch, &e);
    if (!(e.E_max <= 1.01) || e.nonfinite > 0 || !(e.share <= 1.01))
        fail_msg("%s %s op %d: a correctly rounded output scores E %g, share %g, %zu wrongly non-finite",
                 nb_dtype_name(d->dtype), d->family->name, (int)r->op, e.E_max, e.share, e.nonfinite);
    seen.E[d->dtype] = fmax(seen.E[d->dtype], e.E_max);
}

static void try_family(const struct nb_family *f, uint32_t dtype, uint32_t op, size_t hidden)
{
    const struct nb_accuracy_options o = {.seed = 1, .eps = 1e-5};
    const struct nb_kernel k = {.op = op, .dtype = dtype, .algo = "none"};
    static struct nb_dd y[N_MAX];
    struct nb_lab_data d;
    nb_lab_data_make(&d, &o, f, dtype, hidden, false);
    const struct nb_problem p = nb_lab_problem(&d, &o, &k);
    for (size_t row = 0; row < d.rows && row < 5; row++) {
        const struct nb_ref_row r = nb_lab_row(&d, &p, &k, row, 0);
        struct nb_ref_stats s;
        nb_ref_forward(&r, y, &s);
        compare(&d, &r, y, &s);
        judge_rounded(&d, &r, y, &s);
    }
    nb_lab_data_free(&d);
}

static void every_family(void **state)
{
    static const size_t lengths[] = {1, 3, 67, N_MAX};
    (void)state;
    for (size_t f = 0; f < nb_family_count(); f++)
        for (uint32_t dtype = 0; dtype < NB_DTYPE_COUNT; dtype++)
            for (size_t l = 0; nb_family_has(nb_family_at(f), dtype) && l < 4; l++) {
                try_family(nb_family_at(f), dtype, NB_OP_LAYERNORM, lengths[l]);
                try_family(nb_family_at(f), dtype, NB_OP_RMSNORM, lengths[l]);
            }
    printf("observed: %zu elements against MPFR, %.0f ulp of double at most (f32, f16, bf16 rows), %.1f x 2^-106 "
           "(all); %zu beyond 2^+-900 left out\n", seen.elements, seen.ulps, seen.dd_units, seen.outside);
    printf("observed: correctly rounded outputs score E <= %.4f (f32), %.4f (f64), %.4f (f16), %.4f (bf16)\n",
           seen.E[NB_F32], seen.E[NB_F64], seen.E[NB_F16], seen.E[NB_BF16]);
    assert_true(seen.elements > 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family)};
    return cmocka_run_group_tests(tests, init_mpfr, clear_mpfr);
}
