/* small_experiments_test: worked examples, eps, prefixes, rounding, shape, batches and formulas as experiments, against values by
 * hand, by MPFR and by theory; each with something that it must not find right. */
#include "cpu.h"
#include "experiment.h"
#include "formulas.h"
#include "kernel_data.h"
#include "sample.h"
#include "stats.h"
#include "storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "trial.h"
#include <math.h>
#include <mpfr.h>
#include <stdlib.h>
#include <string.h>

static struct nb_observations seen;

/* The observations are in `seen`. */
static void run_seeded(uint64_t number, const char *name, const char *const *said)
{
    nb_observations_free(&seen);
    seen = trial_run(name, NULL, number, NB_OK, said);
    assert_true(seen.n > 0);
}

#define RUN(name, ...) run_seeded(1, name, (const char *const[]){__VA_ARGS__, NULL})

static const struct nb_observation *at(const char *quantity, const char *where)
{
    return trial_find(&seen, quantity, where);
}

static double value_of(const char *quantity, const char *where)
{
    return at(quantity, where)->value;
}

static void near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%.17g is not within %g of %.17g", got, within, want);
}

/* All observations of a quantity whose condition has that word; fails where there is none. A program
 * need not have a kernel that chooses. */
static void all_within(const char *quantity, const char *word, double low, double high)
{
    size_t count = 0;
    for (size_t i = 0; i < seen.n; i++)
        if (strcmp(seen.v[i].quantity, quantity) == 0 && strstr(seen.v[i].where, word) != NULL &&
            !(seen.v[i].missing[0] != '\0' && strstr(seen.v[i].where, "kernel=auto") != NULL)) {
            count++;
            if (!(seen.v[i].value >= low && seen.v[i].value <= high))
                fail_msg("%s = %g where %s", quantity, seen.v[i].value, seen.v[i].where);
        }
    assert_true(count > 0);
}

/* ---- what all of them keep to ---- */

/* With what makes them short. */
static const struct {
    const char *name, *said;
} OURS[] = {
    {"worked_example", NULL}, {"printed_formula", NULL}, {"scaled_error", NULL}, {"eps_placement", NULL}, {"prefix_length", NULL},
    {"prefix_error", "hidden=64"}, {"rounding_order", NULL}, {"quantization", "scale=1"}, {"shape", "hidden=1000"},
    {"gain_and_shift", "size=2"}, {"batch_mates", "batch=2,8"}, {"batch_statistics", "data=gauss,heavy_tokens"},
    {"same_bits", "hidden=37"}, {"activations", NULL}, {"ffn_width", NULL}, {"deepnorm_readings", "layers=6"},
};
enum { OURS_COUNT = sizeof OURS / sizeof *OURS };

/* The keys of a condition, without the values. */
static void keys_of(const char *where, char *keys)
{
    for (bool in_key = true; *where != '\0'; where++) {
        in_key = in_key ? *where != '=' : *where == ' ';
        if (in_key)
            *keys++ = *where;
    }
    *keys = '\0';
}

static void check_observation(const struct nb_experiment *e, size_t i)
{
    char keys[200], first[200];
    const struct nb_observation *v = &seen.v[i];
    bool listed = false;
    for (const char *q = e->quantities; q != NULL && !listed; q = strchr(q, ' ') != NULL ? strchr(q, ' ') + 1 : NULL)
        listed = strcspn(q, " ") == strlen(v->quantity) && strncmp(q, v->quantity, strlen(v->quantity)) == 0;
    if (!listed)
        fail_msg("%s does not say that it observes %s", e->name, v->quantity);
    if (isnan(v->value) ? v->missing[0] == '\0' : !(v->low <= v->value && v->value <= v->high))
        fail_msg("%s: %g [%g, %g] \"%s\"", v->quantity, v->value, v->low, v->high, v->missing);
    keys_of(v->where, keys);
    for (size_t j = 0; j < i; j++) {
        keys_of(seen.v[j].where, first);
        if (strcmp(seen.v[j].quantity, v->quantity) == 0 && strcmp(keys, first) != 0)
            fail_msg("%s: keys \"%s\" and \"%s\"", v->quantity, first, keys);
        if (strcmp(seen.v[j].quantity, v->quantity) == 0 && strcmp(seen.v[j].where, v->where) == 0)
            fail_msg("%s where %s twice", v->quantity, v->where);
    }
}

static bool alike(const struct nb_observations *a, const struct nb_observations *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = memcmp(&a->v[i].value, &b->v[i].value, sizeof(double)) == 0 && strcmp(a->v[i].where, b->v[i].where) == 0 &&
               memcmp(&a->v[i].low, &b->v[i].low, sizeof(double)) == 0;
    return same;
}

static void house_rules(void **state)
{
    (void)state;
    for (size_t e = 0; e < OURS_COUNT; e++) {
        run_seeded(7, OURS[e].name, (const char *const[]){OURS[e].said, NULL});
        for (size_t i = 0; i < seen.n; i++)
            check_observation(nb_experiment_find(OURS[e].name), i);
        struct nb_observations once = seen;
        seen = (struct nb_observations){0};
        run_seeded(7, OURS[e].name, (const char *const[]){OURS[e].said, NULL});
        if (!alike(&once, &seen))
            fail_msg("%s: another result for the same seed", OURS[e].name);
        bool random = false;
        for (size_t i = 0; i < seen.n; i++)
            random |= seen.v[i].n > 0;
        run_seeded(8, OURS[e].name, (const char *const[]){OURS[e].said, NULL});
        if (random && alike(&once, &seen))
            fail_msg("%s: the same result for another seed", OURS[e].name);
        nb_observations_free(&once);
    }
}

/* ---- storage and samples ---- */

static void storage(void **state)
{
    (void)state;
    static const uint32_t types[] = {NB_F16, NB_BF16};
    static const struct {
        uint32_t dtype;
        double from, to;
    } rows[] = {
        {NB_F16, 1 + 0x1p-11, 1}, {NB_F16, 1 + 3 * 0x1p-11, 1 + 0x1p-9}, {NB_F16, 65519, 65504}, {NB_F16, 65520, INFINITY},
        {NB_F16, -0x1p-25, -0.0}, {NB_F16, 0x1.8p-25, 0x1p-24}, {NB_F16, 0x1.ffep-15, 0x1p-14}, {NB_BF16, 1 + 0x1p-8, 1},
        {NB_BF16, 1 + 3 * 0x1p-8, 1 + 0x1p-6}, {NB_BF16, -3e38, -0x1.c4p127}, {NB_BF16, 3.4e38, INFINITY},
        {NB_F32, 1 + 0x1p-24, 1}, {NB_F64, 0.1, 0.1},
    };
    for (size_t t = 0; t < 2; t++)
        for (uint32_t code = 0; code < 0x10000; code++) {
            const uint16_t h = (uint16_t)code;
            uint16_t back;
            double v;
            nb_from_storage(types[t], &h, &v, 1);
            const double want = t == 0 ? decode16(h, 10, 15) : decode16(h, 7, 127);
            if (isnan(want) ? !isnan(v) : memcmp(&v, &want, sizeof v) != 0)
                fail_msg("%s code %04x: %g, not %g", nb_dtype_name(types[t]), code, v, want);
            nb_to_storage(types[t], &v, &back, 1);
            if (!isnan(want) && back != h)
                fail_msg("%s code %04x comes back as %04x", nb_dtype_name(types[t]), code, back);
        }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double room = 0, v;
        nb_to_storage(rows[i].dtype, &rows[i].from, &room, 1);
        nb_from_storage(rows[i].dtype, &room, &v, 1);
        if (memcmp(&v, &rows[i].to, sizeof v) != 0)
            fail_msg("%s %a became %a, not %a", nb_dtype_name(rows[i].dtype), rows[i].from, v, rows[i].to);
    }
    assert_true(nb_storage_roundoff(NB_F16) == 0x1p-11 && nb_storage_roundoff(NB_BF16) == 0x1p-8 &&
                nb_storage_roundoff(NB_F32) == 0x1p-24 && nb_storage_roundoff(NB_F64) == 0x1p-53);
}

/* Moments and quantiles of many samples: five standard errors. */
static void samples(void **state)
{
    (void)state;
    enum { N = 200001 };
    unsigned long long draws = 5;
    double *v = nb_sample_room(N * sizeof *v);
    size_t inside = 0, heavy_inside = 0;
    nb_sample_gauss(v, N, &draws);
    const struct nb_row_shape s = nb_row_shape(v, N);
    near(s.mean, 0, 5 / sqrt(N));
    near(s.variance, 1, 5 * sqrt(2. / N));
    near(s.skewness, 0, 5 * sqrt(6. / N));
    near(s.kurtosis, 3, 5 * sqrt(24. / N));
    for (size_t i = 0; i < N; i++) {
        inside += fabs(v[i]) < 0.6744897501960817; /* the quartiles */
        heavy_inside += fabs(v[i] * nb_sample_heavy(&draws)) < 0.7648923284043452; /* those of Student's t of 3 */
    }
    near((double)inside / N, 0.5, 2.5 / sqrt(N));
    near((double)heavy_inside / N, 0.5, 2.5 / sqrt(N));
    free(v);
    const struct nb_row_shape known = nb_row_shape((const double[]){0, 0, 0, 4}, 4);
    assert_true(known.mean == 1 && known.variance == 3);
    near(known.skewness, 6 / (3 * sqrt(3)), 1e-15);
    near(known.kurtosis, 21 / 9., 1e-15);
    assert_true(isinf(nb_worse(1, NAN)) && nb_worse(1, 2) == 2 && nb_worse(2, 1) == 2);
}

/* ---- examples ---- */

static size_t kernels_of(const char *dtype, uint32_t op)
{
    size_t count = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        count += k->op == op && k->dir == NB_FWD && k->dtype == (uint32_t)nb_dtype_parse(dtype) && k->fuse == NB_FUSE_NONE &&
                 nb_kernel_why_not(k) == NULL;
    }
    return count;
}

static void worked_examples(void **state)
{
    (void)state;
    RUN("worked_example", "eps=0,1e-5", "example=rmsnorm_1234");
    all_within("digits_missed", "", 0, 1);
    /* the f64 output is the exact one, 0.36514837 without eps */
    near(value_of("digits_missed", "example=rmsnorm_1234 eps=0 dtype=f64 of=output"), (1 / sqrt(7.5) - 0.3651) / 5e-5, 1e-9);
    near(value_of("digits_missed", "example=rmsnorm_1234 eps=0 dtype=f64 of=rms"), (sqrt(7.5) - 2.7386) / 5e-5, 1e-9);
    RUN("worked_example", NULL);
    all_within("digits_missed", "", 0, 1);
    near(value_of("digits_missed", "example=layernorm_1234 eps=1e-05 dtype=f64 of=output"),
         (1.5 / sqrt(1.25001) - 1.3416) / 5e-5, 1e-9);
    assert_int_equal(value_of("kernels_tried", "example=layernorm_1234 eps=1e-05 dtype=bf16"), kernels_of("bf16", NB_OP_LAYERNORM));
    assert_int_equal(value_of("kernels_tried", "example=rmsnorm_1234 eps=1e-05 dtype=f32"), kernels_of("f32", NB_OP_RMSNORM));
    /* another eps is another result, in every dtype */
    RUN("worked_example", "eps=0.1");
    all_within("digits_missed", "of=output", 1.5, 1e6);
    near(value_of("digits_missed", "example=layernorm_1234 eps=0.1 dtype=f64 of=variance"), 0, 1e-9);
}

static void printed_formulas(void **state)
{
    (void)state;
    const double ln = 1.5 / sqrt(1.25001);
    RUN("printed_formula", NULL);
    /* mu = 10: deviations -9 to -6, their mean square 57.5; x = 4 is farthest from its right value */
    near(value_of("literal_formula_error", "mu=sum under_root=deviation"), ln + 6 / sqrt(sqrt(57.5) + 1e-5), 1e-14);
    near(value_of("literal_formula_error", "mu=sum under_root=variance"), ln + 6 / sqrt(57.5 + 1e-5), 1e-14);
    near(value_of("literal_formula_error", "mu=average under_root=deviation"), 1.5 / sqrt(sqrt(1.25) + 1e-5) - ln, 1e-14);
    near(value_of("literal_formula_error", "mu=average under_root=variance"), 0, 1e-15);
}

static void scaled_errors(void **state)
{
    (void)state;
    /* b: mean 610/3; LayerNorm and RMSNorm of either row by hand, eps 1e-5 next to nothing */
    static const double a[] = {100, 200, 300}, b[] = {110, 190, 310};
    const double rms_a = sqrt(140000 / 3.), rms_b = sqrt(144300 / 3.), sd_a = sqrt(20000 / 3.),
                 sd_b = sqrt(144300 / 3. - 610 * 610 / 9.);
    double ln = 0, rms = 0;
    for (size_t i = 0; i < 3; i++) {
        ln += pow((a[i] - 200) / sd_a - (b[i] - 610 / 3.) / sd_b, 2) / 3;
        rms += pow(a[i] / rms_a - b[i] / rms_b, 2) / 3;
    }
    RUN("scaled_error", NULL);
    near(value_of("mse_before", "rows=example"), 100, 0);
    near(value_of("mse_after", "by=divide_by_100"), 0.01, 1e-15);
    near(value_of("relative_mse_ratio", "by=divide_by_100"), 1, 1e-12);
    near(value_of("mse_after", "by=minmax"), 100 / (210. * 210), 1e-15);
    near(value_of("mse_after", "by=layernorm"), ln, 1e-9);
    near(value_of("relative_mse_ratio", "by=layernorm"), ln * (140000 / 3.) / 100, 1e-6);
    near(value_of("mse_after", "by=rmsnorm"), rms, 1e-9);
    RUN("scaled_error", "by=rmsnorm");
    assert_int_equal(seen.n, 3);
}

/* ---- eps and prefixes ---- */

static void eps_placement(void **state)
{
    (void)state;
    static const double ms[] = {0, 1e-10, 1e-5, 1e-3, 1};
    char where[100];
    RUN("eps_placement", NULL);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        const double want = fabs(sqrt(ms[i] + 1e-5) / (sqrt(ms[i]) + 1e-8) - 1);
        snprintf(where, sizeof where, "mean_square=%g eps_inside=1e-05 eps_outside=1e-08", ms[i]);
        near(value_of("relative_difference", where), want, 1e-13 + 1e-12 * want);
    }
}

static void prefix_lengths(void **state)
{
    (void)state;
    RUN("prefix_length", NULL);
    assert_true(value_of("prefix_length", "rule=int hidden=8 share=0.0625") == 0);
    assert_true(value_of("prefix_length", "rule=ceil hidden=8 share=0.0625") == 1);
    assert_true(value_of("prefix_length", "rule=int hidden=100 share=0.29") == 28); /* 28.999999999999996 */
    assert_true(value_of("prefix_length", "rule=ceil hidden=100 share=0.29") == 29);
    assert_true(value_of("prefix_length", "rule=int hidden=4096 share=0.0625") == 256);
    assert_true(value_of("prefix_length", "rule=int hidden=4096 share=1") == 4096);
}

static void prefix_errors(void **state)
{
    (void)state;
    RUN("prefix_error", "hidden=64,1024", "share=0.0625,0.5,1");
    near(value_of("error_over_theory", "data=gauss rule=ceil hidden=1024 share=0.0625"), 1, 0.07);
    near(value_of("error_over_theory", "data=gauss rule=ceil hidden=1024 share=0.5"), 1, 0.07);
    near(value_of("prefix_error", "data=gauss rule=ceil hidden=1024 share=0.5"), sqrt(0.5 / 1024 * 1024 / 1026), 0.0015);
    /* k squares of N(0,1) against n - 1 of them and 100^2 */
    near(value_of("prefix_error", "data=outlier rule=ceil hidden=1024 share=0.0625"), 1 - sqrt(1024 / (1023 + 1e4)), 0.005);
    assert_true(isnan(value_of("prefix_error", "data=gauss rule=ceil hidden=1024 share=1")));
    RUN("prefix_error", "hidden=8", "rule=int,ceil", "data=gauss");
    assert_non_null(strstr(at("prefix_error", "data=gauss rule=int hidden=8 share=0.0625")->missing, "no element"));
    assert_true(value_of("prefix_error", "data=gauss rule=ceil hidden=8 share=0.0625") > 0.3);
}

/* ---- rounding ---- */

/* To p significant bits, ties to even: v times 2^s is nearest to a whole number. */
static double to_bits(double v, int p)
{
    int e;
    frexp(v, &e);
    return ldexp(nearbyint(ldexp(v, p - e)), e - p);
}

/* The share of products that differ by a second rounding, of rows of N(0,1) and weights N(1, 0.1). */
static double twice_rounded(int p)
{
    enum { N = 100000 };
    unsigned long long draws = 11;
    double v[2];
    size_t differ = 0;
    for (size_t i = 0; i < N; i++) {
        nb_sample_gauss(v, 2, &draws);
        const double w = to_bits(1 + 0.1 * v[1], p);
        differ += to_bits(to_bits(v[0], p) * w, p) != to_bits(v[0] * w, p);
    }
    return (double)differ / N;
}

/* To the f16 nearest to it, from 2^-14 down to units of 2^-24. */
static double to_f16(double v)
{
    return fabs(v) < 0x1p-14 ? ldexp(nearbyint(ldexp(v, 24)), -24) : to_bits(v, 11);
}

/* The share of products of N(0,1) and a power of two that differ by a second rounding. Only those below 2^-14 can, so that, weights
 * being 1/16 and more, it is the share among |v| < 2^-10, where v is as good as uniform, times the probability of that. */
static double twice_rounded_below_normal(void)
{
    enum { N = 100000 };
    unsigned long long draws = 13;
    size_t differ = 0;
    for (size_t i = 0; i < N; i++) {
        const double v = 0x1p-10 * (2 * (double)(nb_random(&draws) >> 11) * 0x1p-53 - 1), w = ldexp(1, (int)floor(nb_gauss(&draws)));
        differ += to_f16(to_f16(v) * w) != to_f16(v * w);
    }
    return (double)differ / N * 2 * 0x1p-10 / sqrt(2 * acos(-1));
}

static void rounding_orders(void **state)
{
    (void)state;
    RUN("rounding_order", NULL);
    all_within("share_of_differing_outputs", "weights=ones", 0, 0);
    all_within("share_of_differing_outputs", "dtype=bf16 weights=powers_of_2", 0, 0);
    /* about 20 of a million: by three standard deviations */
    const double below = twice_rounded_below_normal();
    near(value_of("share_of_differing_outputs", "dtype=f16 weights=powers_of_2"), below, 3 * sqrt(below / 1.2e6));
    near(value_of("share_of_differing_outputs", "dtype=f16 weights=gauss"), twice_rounded(11), 0.01);
    near(value_of("share_of_differing_outputs", "dtype=bf16 weights=gauss"), twice_rounded(8), 0.05);
    all_within("largest_difference", "weights=gauss", 1, 2);
    all_within("largest_difference", "weights=ones", 0, 0);
}

static void quantized(void **state)
{
    (void)state;
    RUN("quantization", NULL);
    /* spread evenly over a unit of 2^-7 (f16) and 2^-4 (bf16) between 8 and 16, where nearly all of N(10, 1) lies */
    near(value_of("error_before", "type=f16 scale=1 mean=10"), 0x1p-7 / sqrt(12), 1e-4);
    near(value_of("error_before", "type=bf16 scale=1 mean=10"), 0x1p-4 / sqrt(12), 8e-4);
    /* units of 2^-24 */
    near(value_of("error_before", "type=f16 scale=1e-06 mean=0"), 0x1p-24 / 1e-6 / sqrt(12), 1e-3);
    assert_true(isinf(value_of("error_before", "type=f16 scale=1e+06 mean=0")) &&
                value_of("error_ratio", "type=f16 scale=1e+06 mean=0") == 0);
    /* a unit of max/127; the largest of 4096 of N(0,1) is about 3.6, of N(10, 1) about 13.6 */
    near(value_of("error_before", "type=int8 scale=1 mean=0"), 3.7 / 127 / sqrt(12), 1.2e-3);
    near(value_of("error_before", "type=int8 scale=1 mean=10"), 13.7 / 127 / sqrt(12), 1.2e-3);
    all_within("error_ratio", "type=bf16 scale=1 mean=0", 0.9, 1.1);
    all_within("error_ratio", "mean=10", 0, 0.4);
}

/* ---- shape ---- */

static void shapes(void **state)
{
    (void)state;
    RUN("shape", NULL);
    all_within("skewness_change", "gamma=none", 0, 1e-12);
    all_within("kurtosis_change", "gamma=none", 0, 1e-12);
    all_within("order_kept", "gamma=none", 1, 1);
    all_within("kurtosis_change", "gamma=varying", 1e-3, 10);
    all_within("skewness_change", "gamma=varying", 1e-3, 10);
    /* neighbours in size are next to equal: either order is as likely */
    all_within("order_kept", "gamma=varying", 0.45, 0.55);
}

static void gains(void **state)
{
    (void)state;
    double follow = 0; /* E[l tanh(l)], by the trapezoidal rule */
    for (double l = -10; l <= 10; l += 0x1p-8)
        follow += l * tanh(l) * exp(-l * l / 2) / sqrt(2 * acos(-1)) * 0x1p-8;
    RUN("gain_and_shift", NULL);
    near(value_of("variance_over_gamma_squared", "gamma=constant beta=constant size=0.5"), 1 - 1e-5 / 2, 1e-6);
    near(value_of("mean_off_beta", "gamma=constant beta=constant size=2"), 0, 1e-13);
    near(value_of("variance_over_gamma_squared", "gamma=constant beta=varying size=0.5"), 1 + 1 / 0.25, 0.1);
    near(value_of("variance_over_gamma_squared", "gamma=varying beta=constant size=2"), 1, 0.03);
    near(value_of("variance_over_gamma_squared", "gamma=varying beta=varying size=2"), 1 + 1 / (4 * (1 + 1 / 12.)), 0.03);
    near(value_of("mean_off_beta", "gamma=varying beta=constant size=2"), 0, 0.02);
    /* level and token together have variance 2 */
    near(value_of("mean_off_beta", "gamma=following beta=constant size=2"), 0.5 * follow / sqrt(2), 0.01);
}

/* ---- batches ---- */

static void mates(void **state)
{
    (void)state;
    RUN("batch_mates", "op=layernorm,rmsnorm,batchnorm");
    all_within("change_by_batch_mates", "op=layernorm", 0, 0);
    all_within("change_by_batch_mates", "op=rmsnorm", 0, 0);
    /* two estimates of mean and of deviation, apart by sqrt(2/B) and xhat sqrt(1/B) */
    near(value_of("change_by_batch_mates", "op=batchnorm batch=256"), sqrt(3 / 256.), 0.015);
    near(value_of("change_by_batch_mates", "op=batchnorm batch=128"), sqrt(3 / 128.), 0.02);
    /* of two rows it is the sign of their difference, which changes, by 2, where x lies between its two mates: in a third */
    near(value_of("change_by_batch_mates", "op=batchnorm batch=2"), sqrt(4 / 3.), 0.15);
}

static void fluctuations(void **state)
{
    (void)state;
    RUN("batch_statistics", NULL);
    near(value_of("batch_fluctuation", "data=gauss batch=256 statistic=mean"), 1 / 16., 0.006);
    near(value_of("batch_fluctuation", "data=gauss batch=256 statistic=deviation"), 1 / sqrt(512), 0.005);
    near(value_of("layer_fluctuation", "data=gauss batch=8 statistic=mean"), 1 / sqrt(512), 0.005);
    near(value_of("layer_fluctuation", "data=gauss batch=8 statistic=deviation"), 1 / 32., 0.004);
    /* against the deviation of its own row a mean is off by 1/sqrt(n), whatever the tails */
    near(value_of("layer_fluctuation", "data=heavy_elements batch=8 statistic=mean"), 1 / sqrt(512), 0.006);
    near(value_of("fluctuation_ratio", "data=gauss batch=8 statistic=mean"), sqrt(512 / 8.), 1.6);
    /* the token's size: half a logarithm of chi^2 of 3, whose standard deviation is half the root of the trigamma function of 1.5,
     * 0.93480; it is skewed, and Shamos's estimate stays below */
    near(value_of("layer_fluctuation", "data=heavy_tokens batch=8 statistic=deviation"), sqrt(0.93480) / 2, 0.07);
    assert_true(value_of("fluctuation_ratio", "data=heavy_tokens batch=256 statistic=deviation") < 0.5);
    assert_true(value_of("fluctuation_ratio", "data=heavy_elements batch=2 statistic=deviation") > 5);
}

static void bits(void **state)
{
    (void)state;
    RUN("same_bits", "op=layernorm,rmsnorm,batchnorm", "hidden=37");
    all_within("share_of_equal_outputs", "op=layernorm change=mates", 1, 1);
    all_within("share_of_equal_outputs", "op=layernorm change=training", 1, 1);
    all_within("share_of_equal_outputs", "op=rmsnorm change=elsewhere", 1, 1);
    all_within("share_of_equal_outputs", "op=layernorm change=slices dtype=f32 hidden=37 kernel=fixed", 1, 1);
    all_within("share_of_equal_outputs", "op=layernorm change=alone dtype=f32 hidden=37 kernel=fixed", 1, 1);
    all_within("largest_change", "op=layernorm", 0, 1e-6);
    /* what must be seen to differ: a batch's statistics with other rows, or with none */
    all_within("share_of_equal_outputs", "op=batchnorm change=alone", 0, 0);
    all_within("share_of_equal_outputs", "op=batchnorm change=mates", 0, 0);
    all_within("largest_change", "op=batchnorm change=mates", 0.1, 10);
    all_within("share_of_equal_outputs", "op=batchnorm change=slices", 1, 1);
    assert_true(isnan(value_of("largest_change", "op=batchnorm change=training dtype=f64 hidden=37 kernel=fixed")));
}

/* ---- formulas ---- */

/* x (1 + erf(x/sqrt 2))/2, or where it is the other form x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))/2 */
static void gelu_mpfr(mpfr_t y, double at_x, bool by_tanh)
{
    mpfr_t x, t;
    mpfr_inits2(200, x, t, (mpfr_ptr)0);
    mpfr_set_d(x, at_x, MPFR_RNDN);
    if (by_tanh) {
        mpfr_pow_ui(y, x, 3, MPFR_RNDN);
        mpfr_set_str(t, "0.044715", 10, MPFR_RNDN);
        mpfr_mul(y, y, t, MPFR_RNDN);
        mpfr_add(y, y, x, MPFR_RNDN);
        mpfr_const_pi(t, MPFR_RNDN);
        mpfr_ui_div(t, 2, t, MPFR_RNDN);
        mpfr_sqrt(t, t, MPFR_RNDN);
        mpfr_mul(y, y, t, MPFR_RNDN);
        mpfr_tanh(y, y, MPFR_RNDN);
    } else {
        mpfr_sqrt_ui(t, 2, MPFR_RNDN);
        mpfr_div(y, x, t, MPFR_RNDN);
        mpfr_erf(y, y, MPFR_RNDN);
    }
    mpfr_add_ui(y, y, 1, MPFR_RNDN);
    mpfr_mul(y, y, x, MPFR_RNDN);
    mpfr_div_ui(y, y, 2, MPFR_RNDN);
    mpfr_clears(x, t, (mpfr_ptr)0);
}

static void swish_mpfr(mpfr_t y, double x)
{
    mpfr_set_d(y, -x, MPFR_RNDN);
    mpfr_exp(y, y, MPFR_RNDN);
    mpfr_add_ui(y, y, 1, MPFR_RNDN);
    mpfr_d_div(y, x, y, MPFR_RNDN);
}

static double exactly(const char *name, double x)
{
    mpfr_t y;
    mpfr_init2(y, 200);
    if (strcmp(name, "relu") == 0 || strcmp(name, "leaky_relu") == 0)
        mpfr_set_d(y, x > 0 ? x : name[0] == 'r' ? 0 : x / 100, MPFR_RNDN);
    else if (strncmp(name, "gelu", 4) == 0)
        gelu_mpfr(y, x, name[4] != '\0');
    else
        swish_mpfr(y, x);
    const double v = mpfr_get_d(y, MPFR_RNDN);
    mpfr_clear(y);
    return strcmp(name, "swiglu") == 0 ? 2 * v : v;
}

static void activation_formulas(void **state)
{
    (void)state;
    double worst = 0;
    for (size_t a = 0; a < NB_FORMULAS; a++)
        for (size_t i = 0; i < NB_FORMULA_POINTS; i++) {
            const double want = exactly(nb_formulas[a].name, nb_formula_at[i]);
            near(nb_formulas[a].formula(nb_formula_at[i]), want, 1e-15);
            near(nb_formulas[a].known[i], want, NB_FORMULA_DIGIT / 2);
        }
    RUN("activations", NULL);
    all_within("digits_missed", "", 0, 1);
    for (double x = -8; x <= 8; x += 0x1p-5)
        worst = fmax(worst, fabs(exactly("gelu", x) - exactly("gelu_tanh", x)));
    near(value_of("gelu_tanh_error", "range=8"), worst, 1e-6);
    RUN("activations", "range=1");
    assert_true(value_of("gelu_tanh_error", "range=1") < 0.0002);
    mpfr_free_cache();
}

static void widths(void **state)
{
    (void)state;
    RUN("ffn_width", "hidden=3,4096,5120,8192", "multiple=1,256");
    assert_true(value_of("ffn_width", "hidden=4096 multiple=1") == 10922 && value_of("ffn_width", "hidden=3 multiple=1") == 8);
    assert_true(value_of("ffn_width", "hidden=4096 multiple=256") == 11008 && value_of("ffn_width", "hidden=3 multiple=256") == 256);
    assert_true(value_of("ffn_width", "hidden=5120 multiple=256") == 13824);
    assert_true(value_of("ffn_width", "hidden=8192 multiple=256") == 22016);
}

static void readings(void **state)
{
    (void)state;
    RUN("deepnorm_readings", NULL);
    all_within("differs_from_deepnorm", "reading=layernorm ", 0, 1e-14);
    all_within("differs_from_deepnorm", "reading=rmsnorm_of_layernorm", 1e-7, 1e-5);
    all_within("differs_from_deepnorm", "reading=layernorm_of_rmsnorm", 1e-7, 2e-5);
    all_within("differs_from_deepnorm", "reading=linear_layernorm_relu", 0.7, 1.4);
    /* r = max(z, 0) and LN(h) = rho z + ...: E r^2 = 1/2, E r LN(h) = rho/2, rho = 1/sqrt(alpha^2 + 1) where f has mean square 1 */
    near(value_of("differs_from_deepnorm", "reading=linear_layernorm_relu layers=24 mean=0"),
         sqrt(1.5 - 1 / sqrt(sqrt(48) + 1)), 0.035);
    /* h has mean m and deviation s, m about alpha and s^2 about alpha^2 + 2 (f has mean square 2): RMSNorm's output and LayerNorm's
     * are apart by sqrt(2 - 2 s/sqrt(s^2 + m^2)) */
    const double alpha = pow(48, 0.25), s = sqrt(alpha * alpha + 2), m = alpha;
    near(value_of("differs_from_deepnorm", "reading=rmsnorm layers=24 mean=1"), sqrt(2 - 2 * s / sqrt(s * s + m * m)), 0.06);
    /* where f has mean square 1 its RMSNorm is f; where it has 2, the branch is sqrt(2) times too small beside alpha x */
    const double a2 = alpha * alpha, branch = (a2 + sqrt(2)) / sqrt((a2 + 2) * (a2 + 1));
    near(value_of("differs_from_deepnorm", "reading=rmsnorm_branch layers=24 mean=0"), 0, 0.02);
    near(value_of("differs_from_deepnorm", "reading=rmsnorm_branch layers=24 mean=1"), sqrt(2 - 2 * branch), 0.04);
    near(value_of("differs_from_deepnorm", "reading=average layers=24 mean=1"), sqrt(2 - 2 * s / sqrt(s * s + m * m)) / 2, 0.03);
}

static int forget(void **state)
{
    (void)state;
    nb_observations_free(&seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(house_rules), cmocka_unit_test(storage), cmocka_unit_test(samples), cmocka_unit_test(worked_examples),
        cmocka_unit_test(printed_formulas), cmocka_unit_test(scaled_errors), cmocka_unit_test(eps_placement),
        cmocka_unit_test(prefix_lengths), cmocka_unit_test(prefix_errors), cmocka_unit_test(rounding_orders),
        cmocka_unit_test(quantized), cmocka_unit_test(shapes), cmocka_unit_test(gains), cmocka_unit_test(mates),
        cmocka_unit_test(fluctuations), cmocka_unit_test(bits), cmocka_unit_test(activation_formulas), cmocka_unit_test(widths),
        cmocka_unit_test(readings),
    };
    char word[40];
    if (nb_cpu_init(word, sizeof word) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, forget);
}
