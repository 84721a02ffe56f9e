/* gradient_judge_test.c: float kernels of the gradients, written here, stay within both limits, and
 * planted errors leave them. All data is seeded; the "observed" lines are what was seen. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backward.h"

enum { N_MAX = 4096, LANES_MAX = 16, ROWS_MAX = 64, ROW_N = 40 };
#define LENGTH(a) (sizeof(a) / sizeof *(a))
static const double LAMBDA = 4; /* of f32; 16-bit storage has fewer distinct values */
static const double LAMBDA_16 = 12;

/* ---- Data ---- */

#include "random.h"

enum shape { NORMAL, UNIFORM, LOGNORMAL, OUTLIER };
static const struct family {
    const char *name;
    enum shape shape;
    double base, spread;
} families[] = {
    {"normal", NORMAL, 0, 1},           {"uniform", UNIFORM, 0, 1},
    {"offset 1e3", NORMAL, 1e3, 1},     {"offset 1e5", NORMAL, 1e5, 1},
    {"lognormal", LOGNORMAL, 0, 2},     {"outlier", OUTLIER, 0, 1},
    {"constant", NORMAL, 0.1, 0},       {"constant 1e3", NORMAL, 1e3, 0},
    {"zero", NORMAL, 0, 0},             {"1e-4", NORMAL, 0, 1e-4},
    {"subnormal", NORMAL, 0, 1e-39},
};

static const struct pull {
    const char *name;
    double base, spread;
} pulls[] = {
    {"normal", 0, 1}, {"mean 1e3", 1e3, 1}, {"one", 1, 0}, {"third", 1.0 / 3, 0}, {"1e-38", 0, 1e-38},
};

static const struct norm {
    const char *name;
    enum nb_ref_op op;
    int gemma, ones; /* ones: gamma is NULL */
} norms[] = {
    {"layernorm", NB_REF_LAYERNORM, 0, 0}, {"rmsnorm", NB_REF_RMSNORM, 0, 0},
    {"prmsnorm", NB_REF_PRMSNORM, 0, 0},   {"layernorm, 1 + gamma", NB_REF_LAYERNORM, 1, 0},
    {"rmsnorm, 1 + gamma", NB_REF_RMSNORM, 1, 0}, {"layernorm, ones", NB_REF_LAYERNORM, 0, 1},
    {"l2norm", NB_REF_L2NORM, 0, 1},       {"scalenorm", NB_REF_SCALENORM, 0, 0},
    {"scalenorm, 1 + gamma", NB_REF_SCALENORM, 1, 0},
};

static double x[N_MAX], gamma_[N_MAX], dy[N_MAX], got[N_MAX], scratch[N_MAX];
static struct nb_dd dx[N_MAX];

static double shaped(const struct family *f, size_t i, size_t n)
{
    double z = f->shape == UNIFORM ? uniform() : normal();
    if (f->shape == LOGNORMAL)
        return exp(f->spread * z);
    if (f->shape == OUTLIER && i == n / 2)
        return 2e3;
    return f->base + f->spread * z;
}

static double rounded(double v, const struct nb_ref_type *t)
{
    return nb_ref_round((struct nb_dd){v, 0}, t);
}

static struct nb_ref_gradient make_row(const struct norm *m, const struct family *f,
                                       const struct pull *p, size_t n, const struct nb_ref_type *t)
{
    seed_state = n * 1000003u + (uint64_t)(f - families) * 101 + (uint64_t)(p - pulls);
    for (size_t i = 0; i < n; i++) {
        x[i] = rounded(shaped(f, i, n), t);
        gamma_[i] = rounded((m->gemma ? 0 : 1) + 0.5 * normal(), t);
        dy[i] = rounded(p->base + p->spread * normal(), t);
    }
    return (struct nb_ref_gradient){.op = m->op, .n = n, .x = x, .gamma = m->ones ? NULL : gamma_,
                                    .dy = dy, .eps = 1e-5, .gemma = m->gemma, .k = n / 3 + 1};
}

/* ---- Plain float kernels, right and wrong ---- */

enum form {
    FACTORED, /* rstd (g - m1 - xhat m2) */
    TERMS,    /* g rstd - (a + xhat b) */
    UNDIVIDED, /* (n g - S1 - xhat S2) (rstd / n) */
    GAIN_APART, /* dy f + xhat (S2 f), S2 = sum dy xhat, f = rstd w: of a gain that is the same for all elements */
    VARIANCE    /* rstd (g - (S1 + xhat S2) / n), S2 = rstd sum g (x - mean), rstd = 1/sqrt(v), v from the given one */
};
static const struct way {
    size_t lanes;
    int fused;
    enum form form;
} ways[] = {
    {1, 0, FACTORED},  {1, 1, FACTORED},  {16, 0, FACTORED},  {16, 1, FACTORED},
    {1, 0, TERMS},     {1, 1, TERMS},     {16, 0, TERMS},     {16, 1, TERMS},
    {1, 0, UNDIVIDED}, {1, 1, UNDIVIDED}, {16, 0, UNDIVIDED}, {16, 1, UNDIVIDED},
    {1, 0, GAIN_APART}, {1, 1, GAIN_APART}, {16, 0, GAIN_APART}, {16, 1, GAIN_APART},
    {1, 1, VARIANCE},   {16, 1, VARIANCE},
};

enum flaw {
    NONE, FLIPPED, NO_MEAN, N_LESS_1, TAIL_DROPPED, STALE_RSTD, NO_GAMMA, G_IN_BF16, NOT_CENTRED,
    PREFIX_ONLY, PAST_PREFIX, MEAN_FOR_SUM, GAIN_TWICE, /* of dx */
    NO_XHAT, NEXT_COLUMN, TIMES_GAMMA, ROW_DROPPED, XHAT_STALE /* of the sums over rows */
};

struct kernel {
    const struct nb_ref_gradient *r;
    float mean, rstd;
    struct way way;
    enum flaw flaw;
};

/* The saved statistics, rounded. */
static struct kernel kernel_of(const struct nb_ref_gradient *r, const struct nb_ref_gradient_stats *s,
                               struct way way, enum flaw flaw)
{
    const struct nb_ref_type *f32 = nb_ref_type_find("f32");
    struct kernel k = {r, (float)nb_ref_round(s->mean, f32), (float)nb_ref_round(s->rstd, f32), way,
                       flaw};
    if (flaw == STALE_RSTD || flaw == XHAT_STALE) /* rows differ by a few percent */
        k.rstd *= 1.03f;
    if (flaw == NOT_CENTRED)
        k.mean = 0;
    if (way.form == VARIANCE) {
        const float sigma = 1 / k.rstd;
        k.rstd = 1 / sqrtf(sigma * sigma);
    }
    return k;
}

static float xhat_of(const struct kernel *k, size_t i)
{
    return ((float)k->r->x[i] - k->mean) * k->rstd;
}

static float weight_of(const struct kernel *k, size_t i)
{
    float w = k->r->gamma ? (float)k->r->gamma[nb_ref_gamma_at(k->r->op, i)] : 1;
    return k->r->gamma && k->r->gemma ? 1 + w : w;
}

static float g_of(const struct kernel *k, size_t i)
{
    float d = (float)k->r->dy[i], w = weight_of(k, i);
    float g = k->flaw == NO_GAMMA || k->way.form == GAIN_APART ? d : d * w;
    if (k->flaw == GAIN_TWICE)
        g *= w;
    return k->flaw == G_IN_BF16 ? (float)rounded((double)g, nb_ref_type_find("bf16")) : g;
}

/* sum of g, or of g xhat, in interleaved lanes, added as a tree */
static float sum_of(const struct kernel *k, int along_xhat)
{
    float acc[LANES_MAX] = {0};
    size_t n = k->r->n - (k->flaw == TAIL_DROPPED);
    if (k->flaw == PREFIX_ONLY)
        n = k->r->k;
    for (size_t i = 0; i < n; i++) {
        float *a = &acc[i % k->way.lanes], g = g_of(k, i), xhat = along_xhat ? xhat_of(k, i) : 1;
        if (along_xhat && k->way.form == VARIANCE)
            xhat = (float)k->r->x[i] - k->mean;
        *a = k->way.fused ? fmaf(g, xhat, *a) : *a + g * xhat;
    }
    for (size_t width = k->way.lanes / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++)
            acc[j] += acc[j + width];
    return acc[0];
}

/* a b + c, in one rounding or in two */
static float multiply_add(const struct kernel *k, float a, float b, float c)
{
    return k->way.fused ? fmaf(a, b, c) : a * b + c;
}

static float factored(const struct kernel *k, size_t i, float m1, float m2)
{
    return k->rstd * multiply_add(k, -xhat_of(k, i), m2, g_of(k, i) - m1);
}

static float terms(const struct kernel *k, size_t i, float m1, float m2)
{
    float a = m1 * k->rstd, b = m2 * k->rstd;
    return multiply_add(k, g_of(k, i), k->rstd, -multiply_add(k, xhat_of(k, i), b, a));
}

static float undivided(const struct kernel *k, size_t i, float s1, float s2, float n)
{
    float d = multiply_add(k, n, g_of(k, i), -s1);
    return multiply_add(k, -xhat_of(k, i), s2, d) * (k->rstd / n);
}

static float gain_apart(const struct kernel *k, size_t i, float s2)
{
    float f = k->rstd * (k->flaw == NO_GAMMA ? 1 : weight_of(k, 0));
    return multiply_add(k, g_of(k, i), f, xhat_of(k, i) * (-s2 * f));
}

static float divided_last(const struct kernel *k, size_t i, float s1, float s2, float n)
{
    return k->rstd * (g_of(k, i) - multiply_add(k, xhat_of(k, i), s2 * k->rstd, s1) / n);
}

static void run(const struct kernel *k, const struct nb_ref_type *t)
{
    const struct nb_ref_gradient *r = k->r;
    int mean = r->op == NB_REF_LAYERNORM && k->flaw != NO_MEAN;
    size_t span = r->op == NB_REF_PRMSNORM ? r->k : r->n;
    float s1 = mean ? sum_of(k, 0) : 0, s2 = sum_of(k, 1) * (k->flaw == FLIPPED ? -1 : 1);
    float n = nb_ref_is_sum(r->op) && k->flaw != MEAN_FOR_SUM ? 1 : (float)span - (k->flaw == N_LESS_1);
    for (size_t i = 0; i < r->n; i++) {
        float own = i < span || k->flaw == PAST_PREFIX ? s2 : 0, d;
        if (k->way.form == FACTORED)
            d = factored(k, i, s1 / n, own / n);
        else if (k->way.form == TERMS)
            d = terms(k, i, s1 / n, own * (1 / n));
        else if (k->way.form == GAIN_APART)
            d = gain_apart(k, i, own / n);
        else if (k->way.form == VARIANCE)
            d = divided_last(k, i, s1, own, n);
        else
            d = undivided(k, i, s1, own, n);
        got[i] = rounded((double)d, t);
    }
}

/* ---- Judging a row ---- */

struct judged {
    struct nb_ref_error e;
    struct nb_ref_limits limits;
    enum nb_ref_hazard hazard;
};

static struct nb_ref_bound bound_of(const struct nb_ref_gradient *r, const struct way *w,
                                    const struct nb_ref_type *t)
{
    const int more = w->form == VARIANCE, mean = r->op == NB_REF_LAYERNORM;
    return (struct nb_ref_bound){more ? NB_REF_BOUND_GRADIENT_VARIANCE : NB_REF_BOUND_GRADIENT, 1,
                                 more ? (mean ? 19 : 17) : (mean ? 15 : 12), (double)w->lanes, 0,
                                 t->u_out > 0 ? LAMBDA_16 : LAMBDA};
}

static struct judged judge(const struct kernel *k, const struct nb_ref_gradient_stats *s,
                           const struct nb_ref_type *t)
{
    struct judged j;
    struct nb_ref_bound b = bound_of(k->r, &k->way, t);
    j.hazard = nb_ref_gradient_limit(k->r, s, t, &b, FLT_MAX, FLT_MIN, &j.limits);
    nb_ref_gradient_judge(k->r, s, dx, t, &j.limits, got, scratch, &j.e);
    return j;
}

static const char *const type_names[] = {"f32", "bf16", "f16"};
static const size_t lengths[] = {1, 2, 17, 768, 4096};

static struct {
    size_t rows, inside, overflow, likely;
    double share, share_likely, long_share, long_likely, E;
    char where[96], where_likely[96];
} seen; /* long: n of 768 and more, where sums matter */

/* Probabilistic limits are for data without structure. */
static int is_likely(const struct family *f, const struct pull *p, const struct nb_ref_type *t)
{
    return f->spread > 0 && p->spread > 0 && !(t->u_out > 0 && (f->base > 0 || p->base > 0));
}

static void take_share(double share, double *top, char *where, size_t size, const char *text)
{
    if (share > *top) {
        *top = share;
        snprintf(where, size, "%s", text);
    }
}

static void check_way(const struct norm *m, const struct family *f, const struct pull *p,
                      const struct kernel *k, const struct nb_ref_gradient_stats *s,
                      const struct nb_ref_type *t)
{
    char text[96];
    struct judged j = judge(k, s, t);
    snprintf(text, sizeof text, "%s, %s x, %s dy, n %zu, lanes %zu", m->name, f->name, p->name,
             k->r->n, k->way.lanes);
    seen.inside += j.hazard == NB_REF_INSIDE;
    seen.overflow += j.hazard == NB_REF_OVERFLOW;
    if (j.hazard != NB_REF_INSIDE)
        return;
    int likely = is_likely(f, p, t);
    if (j.e.nonfinite || !(j.e.share <= 1) || (likely && !(j.e.share_likely <= 1)))
        fail_msg("%s, fused %d, form %d, %d bits: E %g, limit %g, share %g, likely %g, nonfinite %zu",
                 text, k->way.fused, (int)k->way.form, t->precision, j.e.E_max, j.limits.worst.E,
                 j.e.share, j.e.share_likely, j.e.nonfinite);
    assert_true(j.e.E_max <= j.limits.worst.E);
    seen.E = fmax(seen.E, j.e.E_max);
    if (t->u_out > 0) /* its last rounding alone comes near 1 */
        return;
    take_share(j.e.share, &seen.share, seen.where, sizeof seen.where, text);
    if (k->r->n >= 768)
        seen.long_share = fmax(seen.long_share, j.e.share);
    seen.likely += (size_t)likely;
    if (!likely)
        return;
    take_share(j.e.share_likely, &seen.share_likely, seen.where_likely, sizeof seen.where_likely, text);
    if (k->r->n >= 768)
        seen.long_likely = fmax(seen.long_likely, j.e.share_likely);
}

/* The gain of a row can be kept apart where it has one. */
static int has_form(const struct nb_ref_gradient *r, const struct way *w)
{
    if (w->form == VARIANCE)
        return r->op == NB_REF_LAYERNORM || r->op == NB_REF_RMSNORM;
    return w->form != GAIN_APART || nb_ref_is_sum(r->op);
}

static void check_row(const struct norm *m, const struct family *f, const struct pull *p, size_t n,
                      const struct nb_ref_type *t)
{
    struct nb_ref_gradient r = make_row(m, f, p, n, t);
    struct nb_ref_gradient_stats s;
    nb_ref_gradient_look(&r, &s);
    if (!s.finite) /* 1e5 is none of f16 */
        return;
    nb_ref_backward_row(&r, dx, NULL, NULL);
    seen.rows++;
    for (size_t w = 0; w < LENGTH(ways); w++) {
        struct kernel k = kernel_of(&r, &s, ways[w], NONE);
        if (!has_form(&r, &ways[w]))
            continue;
        run(&k, t);
        check_way(m, f, p, &k, &s, t);
    }
}

static void float_kernels_stay_inside(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    for (size_t t = 0; t < LENGTH(type_names); t++)
        for (size_t m = 0; m < LENGTH(norms); m++)
            for (size_t f = 0; f < LENGTH(families); f++)
                for (size_t p = 0; p < LENGTH(pulls); p++)
                    for (size_t n = 0; n < LENGTH(lengths); n++)
                        check_row(&norms[m], &families[f], &pulls[p], lengths[n],
                                  nb_ref_type_find(type_names[t]));
    printf("observed: dx of %zu rows, %zu runs inside, %zu beyond the range; E at most %.1f; f32 share "
           "%.3f (%s) and, of %zu likely ones, %.3f (%s); n of 768 and more: %.3f and %.3f\n",
           seen.rows, seen.inside, seen.overflow, seen.E, seen.share, seen.where, seen.likely,
           seen.share_likely, seen.where_likely, seen.long_share, seen.long_likely);
    assert_true(seen.rows > 3000 && seen.inside > 40000 && seen.likely > 5000);
    assert_true(seen.share > 0.05 && seen.share_likely > 0.1);
}

/* The output nearest to the exact one has no error to speak of, whatever the type. */
static void nearest_output_is_right(void **state)
{
    (void)state;
    static const char *const names[] = {"f32", "f64", "f16", "bf16"};
    double worst = 0;
    for (size_t t = 0; t < LENGTH(names); t++)
        for (size_t m = 0; m < LENGTH(norms); m++)
            for (size_t f = 0; f < LENGTH(families); f++) {
                const struct nb_ref_type *type = nb_ref_type_find(names[t]);
                struct nb_ref_gradient r = make_row(&norms[m], &families[f], &pulls[0], 768, type);
                struct nb_ref_gradient_stats s;
                struct nb_ref_error e;
                nb_ref_gradient_look(&r, &s);
                nb_ref_backward_row(&r, dx, NULL, NULL);
                for (size_t i = 0; i < r.n; i++)
                    got[i] = nb_ref_round(dx[i], type);
                nb_ref_gradient_judge(&r, &s, dx, type, NULL, got, scratch, &e);
                assert_int_equal(e.nonfinite, 0);
                worst = fmax(worst, e.E_max);
            }
    printf("observed: E at most %.3f of outputs rounded once\n", worst);
    assert_true(worst > 0.2 && worst <= 1.01);
}

/* ---- Planted errors of dx ---- */

static const struct mutant {
    const char *name;
    enum flaw flaw;
    enum nb_ref_op op;
    size_t n;
    int ops; /* every norm, or op alone */
} mutants[] = {
    {"sign of the xhat term", FLIPPED, NB_REF_LAYERNORM, 768, 1},
    {"mean(g) left out", NO_MEAN, NB_REF_LAYERNORM, 768, 0},
    {"sums over n - 1", N_LESS_1, NB_REF_LAYERNORM, 17, 1},
    {"tail element left out of the sums", TAIL_DROPPED, NB_REF_LAYERNORM, 768, 1},
    {"rstd of another row", STALE_RSTD, NB_REF_LAYERNORM, 768, 1},
    {"gamma left out", NO_GAMMA, NB_REF_LAYERNORM, 768, 1},
    {"g rounded to bf16", G_IN_BF16, NB_REF_LAYERNORM, 768, 1},
    {"mean not subtracted", NOT_CENTRED, NB_REF_LAYERNORM, 768, 0},
    {"sum over the prefix alone", PREFIX_ONLY, NB_REF_PRMSNORM, 768, 0},
    {"xhat term behind the prefix", PAST_PREFIX, NB_REF_PRMSNORM, 768, 0},
    {"mean in place of sum", MEAN_FOR_SUM, NB_REF_L2NORM, 768, 0},
    {"mean in place of sum, with a gain", MEAN_FOR_SUM, NB_REF_SCALENORM, 768, 0},
    {"gain squared", GAIN_TWICE, NB_REF_SCALENORM, 768, 0},
};

static void count_mutant(const struct mutant *mutant, const struct norm *m, const struct family *f,
                         const struct way *w, size_t count[3])
{
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_gradient r = make_row(m, f, &pulls[0], mutant->n, t);
    struct nb_ref_gradient_stats s;
    nb_ref_gradient_look(&r, &s);
    nb_ref_backward_row(&r, dx, NULL, NULL);
    struct kernel k = kernel_of(&r, &s, *w, mutant->flaw);
    run(&k, t);
    struct judged j = judge(&k, &s, t);
    assert_true(j.hazard == NB_REF_INSIDE && j.e.teeth > 1);
    count[0]++;
    count[1] += j.e.share > 1;
    count[2] += j.e.share_likely > 1;
}

static void mutants_leave_the_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(mutants); i++) {
        size_t count[3] = {0, 0, 0};
        for (size_t m = 0; m < LENGTH(norms); m++)
            for (size_t w = 0; w < LENGTH(ways); w++)
                for (size_t f = 0; f < 2; f++) { /* ordinary: normal and uniform */
                    int gamma_matters = mutants[i].flaw != NO_GAMMA || !norms[m].ones;
                    int divided = mutants[i].flaw != N_LESS_1 || !nb_ref_is_sum(norms[m].op);
                    struct nb_ref_gradient of = {.op = norms[m].op};
                    if ((mutants[i].ops || norms[m].op == mutants[i].op) && gamma_matters && divided && has_form(&of, &ways[w]))
                        count_mutant(&mutants[i], &norms[m], &families[f], &ways[w], count);
                }
        printf("observed: %-34s caught in %zu of %zu runs by the worst case, in %zu by the likely one\n",
               mutants[i].name, count[1], count[0], count[2]);
        assert_true(count[0] > 0 && count[1] == count[0] && count[2] == count[0]);
    }
}

/* ---- Sums over rows ---- */

static struct nb_dd dgamma[ROW_N], dbeta[ROW_N];
static double dgamma_unit[ROW_N], dgamma_moved[ROW_N], dbeta_unit[ROW_N];
static float dgamma_sum[3][ROW_N], dbeta_sum[3][ROW_N]; /* of up to three parts of the rows */

static struct nb_ref_shares begin_sums(void)
{
    memset(dgamma, 0, sizeof dgamma);
    memset(dbeta, 0, sizeof dbeta);
    memset(dgamma_unit, 0, sizeof dgamma_unit);
    memset(dgamma_moved, 0, sizeof dgamma_moved);
    memset(dbeta_unit, 0, sizeof dbeta_unit);
    memset(dgamma_sum, 0, sizeof dgamma_sum);
    memset(dbeta_sum, 0, sizeof dbeta_sum);
    return (struct nb_ref_shares){.n = ROW_N, .dgamma = dgamma, .dbeta = dbeta,
                                  .dgamma_unit = dgamma_unit, .dgamma_moved = dgamma_moved,
                                  .dbeta_unit = dbeta_unit};
}

/* One gain has one sum, of the rows' own sums. */
static void add_row_sum(const struct kernel *k, size_t part)
{
    struct kernel apart = *k;
    apart.way.form = k->flaw == TIMES_GAMMA ? FACTORED : GAIN_APART;
    dgamma_sum[part][0] += sum_of(&apart, k->flaw != NO_XHAT) / (k->flaw == MEAN_FOR_SUM ? (float)k->r->n : 1);
}

static void add_float(const struct kernel *k, size_t part)
{
    for (size_t i = 0; i < ROW_N; i++) {
        float d = (float)k->r->dy[i], xhat = k->flaw == NO_XHAT ? 1 : xhat_of(k, i);
        size_t column = (i + (k->flaw == NEXT_COLUMN)) % ROW_N;
        float *to = &dgamma_sum[part][column];
        *to = k->way.fused ? fmaf(d, xhat, *to) : *to + d * xhat;
        dbeta_sum[part][i] += k->flaw == TIMES_GAMMA ? g_of(k, i) : d;
    }
}

/* One set of rows: `rows` different ones, in turn, `repeats` times each. */
struct set {
    const struct norm *norm;
    const struct family *family;
    const struct pull *pull;
    size_t rows, repeats, parts;
    int fused;
    enum flaw flaw;
    enum form form;
};

/* Rows of one gamma. */
static struct nb_ref_gradient make_member(const struct set *set, size_t row, const struct nb_ref_type *t)
{
    struct nb_ref_gradient r = make_row(set->norm, set->family, set->pull, ROW_N, t);
    seed_state += row * 7919;
    for (size_t i = 0; i < ROW_N; i++) {
        x[i] = rounded(shaped(set->family, i, ROW_N), t);
        dy[i] = rounded(set->pull->base + set->pull->spread * normal(), t);
    }
    return r;
}

/* The flaws of one row are those of the middle one. */
static enum flaw flaw_of(const struct set *set, size_t row)
{
    int of_one_row = set->flaw == XHAT_STALE || set->flaw == ROW_DROPPED;
    return of_one_row && row != set->rows / 2 ? NONE : set->flaw;
}

static void sum_rows(const struct set *set, const struct nb_ref_type *t, struct nb_ref_shares *sums)
{
    const struct way way = {1, set->fused, set->form};
    *sums = begin_sums();
    if (set->norm->op == NB_REF_SCALENORM) {
        sums->n = 1;
        sums->dbeta = NULL;
        sums->dbeta_unit = NULL;
    }
    for (size_t pass = 0; pass < set->repeats; pass++)
        for (size_t row = 0; row < set->rows; row++) {
            struct nb_ref_gradient r = make_member(set, row, t);
            struct nb_ref_gradient_stats s;
            nb_ref_gradient_look(&r, &s);
            if (pass == 0)
                nb_ref_shares_add(&r, &s, set->repeats, sums);
            struct kernel k = kernel_of(&r, &s, way, flaw_of(set, row));
            if (k.flaw != ROW_DROPPED)
                (set->norm->op == NB_REF_SCALENORM ? add_row_sum : add_float)(&k, row % set->parts);
        }
}

static struct judged judge_sums(const struct set *set, enum nb_ref_share which,
                                const struct nb_ref_type *t, const struct nb_ref_shares *sums)
{
    struct judged j;
    for (size_t i = 0; i < sums->n; i++) {
        float(*of)[ROW_N] = which == NB_REF_DGAMMA ? dgamma_sum : dbeta_sum;
        float sum = of[0][i];
        for (size_t part = 1; part < set->parts; part++)
            sum += of[part][i];
        got[i] = rounded((double)sum, t);
    }
    const struct nb_ref_bound b = {set->form == VARIANCE ? NB_REF_BOUND_GRADIENT_VARIANCE : NB_REF_BOUND_GRADIENT, 1, 12, 1,
                                   0, LAMBDA};
    j.hazard = nb_ref_shares_limit(sums, which, t, &b, FLT_MAX, FLT_MIN, &j.limits);
    nb_ref_shares_judge(sums, which, t, &j.limits, got, scratch, &j.e);
    return j;
}

static void check_sums(const struct set *set, const struct nb_ref_type *t, double worst[4],
                       size_t *runs)
{
    struct nb_ref_shares sums;
    sum_rows(set, t, &sums);
    for (int which = NB_REF_DGAMMA; which <= (sums.dbeta ? NB_REF_DBETA : NB_REF_DGAMMA); which++) {
        struct judged j = judge_sums(set, (enum nb_ref_share)which, t, &sums);
        int likely = is_likely(set->family, set->pull, t) && t->u_out == 0;
        if (j.hazard == NB_REF_OVERFLOW && (t->max_out < 1e5 || set->form == VARIANCE)) /* f16 */
            continue;
        if (j.hazard != NB_REF_INSIDE || j.e.nonfinite || j.e.compared != sums.n ||
            !(j.e.share <= 1) || (likely && !(j.e.share_likely <= 1)))
            fail_msg("%s, %s x, %s dy, %zu x %zu rows, %d bits, %d: E %g, share %g, likely %g, hazard %d",
                     set->norm->name, set->family->name, set->pull->name, set->rows, set->repeats,
                     t->precision, which, j.e.E_max, j.e.share, j.e.share_likely, (int)j.hazard);
        assert_true(j.e.E_max <= j.limits.worst.E);
        ++*runs;
        if (t->u_out == 0 && set->rows > 1) {
            worst[which] = fmax(worst[which], j.e.share);
            worst[2 + which] = fmax(worst[2 + which], likely ? j.e.share_likely : 0);
        }
    }
}

static void sums_stay_inside(void **state)
{
    (void)state;
    static const size_t counts[][3] = {{1, 1, 1}, {5, 1, 1}, {64, 1, 1}, {64, 1, 3},
                                       {64, 16, 1}, {1, 1024, 1}};
    double worst[4] = {0};
    size_t runs = 0;
    for (size_t t = 0; t < LENGTH(type_names); t++)
        for (size_t m = 0; m < LENGTH(norms); m++)
            for (size_t f = 0; f < LENGTH(families); f++)
                for (size_t p = 0; p < LENGTH(pulls); p++)
                    for (size_t c = 0; c < LENGTH(counts); c++) {
                        const size_t *count = counts[c];
                        struct set set = {&norms[m], &families[f], &pulls[p], count[0],
                                          count[1],  count[2],     (int)(m & 1), NONE, FACTORED};
                        int many = count[1] > 1, beyond = t == 2 && families[f].base > 6e4;
                        if (beyond || (many && (t > 0 || f > 2 || m > 1)))
                            continue;
                        check_sums(&set, nb_ref_type_find(type_names[t]), worst, &runs);
                        set.form = VARIANCE;
                        set.fused = 1;
                        if (m < 2)
                            check_sums(&set, nb_ref_type_find(type_names[t]), worst, &runs);
                    }
    printf("observed: %zu sums over rows; f32 share %.3f (dgamma), %.3f (dbeta), of likely ones %.3f, "
           "%.3f\n",
           runs, worst[0], worst[1], worst[2], worst[3]);
    assert_true(runs > 3000 && worst[0] > 0.05 && worst[1] > 0.05);
}

static void mutants_of_sums_leave_the_limits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum flaw flaw;
        enum nb_ref_share which;
        int gain; /* of the one gain alone; the others are not of it where they are about columns */
    } wrong[] = {
        {"dgamma without xhat", NO_XHAT, NB_REF_DGAMMA, 0},
        {"dgamma of the next column", NEXT_COLUMN, NB_REF_DGAMMA, 0},
        {"dgamma by rstd of another row", XHAT_STALE, NB_REF_DGAMMA, 0},
        {"dbeta times gamma", TIMES_GAMMA, NB_REF_DBETA, 0},
        {"dgamma without a row", ROW_DROPPED, NB_REF_DGAMMA, 0},
        {"dbeta without a row", ROW_DROPPED, NB_REF_DBETA, 0},
        {"dgamma without an element of a row", TAIL_DROPPED, NB_REF_DGAMMA, 1},
        {"dgamma times the gain", TIMES_GAMMA, NB_REF_DGAMMA, 1},
        {"dgamma of the mean along a row", MEAN_FOR_SUM, NB_REF_DGAMMA, 1},
    };
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        size_t count[3] = {0, 0, 0};
        for (size_t m = 0; m < LENGTH(norms); m++)
            for (size_t f = 0; f < 2; f++) {
                struct set set = {&norms[m], &families[f], &pulls[0], ROWS_MAX, 1, 1, 0, wrong[i].flaw, FACTORED};
                struct nb_ref_shares sums;
                int gain = norms[m].op == NB_REF_SCALENORM;
                int columns = wrong[i].flaw == NEXT_COLUMN || wrong[i].which == NB_REF_DBETA;
                if ((wrong[i].flaw == TIMES_GAMMA && norms[m].ones) || (gain ? columns : wrong[i].gain))
                    continue;
                sum_rows(&set, t, &sums);
                struct judged j = judge_sums(&set, wrong[i].which, t, &sums);
                assert_true(j.hazard == NB_REF_INSIDE && j.e.teeth > 1);
                count[0]++;
                count[1] += j.e.share > 1;
                count[2] += j.e.share_likely > 1;
            }
        printf("observed: %-34s caught in %zu of %zu runs by the worst case, in %zu by the likely one\n",
               wrong[i].name, count[1], count[0], count[2]);
        assert_true(count[0] > 0 && count[1] == count[0] && count[2] == count[0]);
    }
}

/* A row added many times is the row's share times that, and counts as that many. */
static void repeated_rows_add_up(void **state)
{
    (void)state;
    struct nb_ref_gradient r = make_row(&norms[0], &families[2], &pulls[0], ROW_N,
                                        nb_ref_type_find("f32"));
    struct nb_ref_gradient_stats s;
    struct nb_dd once[ROW_N] = {{0, 0}};
    nb_ref_gradient_look(&r, &s);
    nb_ref_backward_row(&r, dx, once, NULL);
    struct nb_ref_shares sums = begin_sums();
    nb_ref_shares_add(&r, &s, 3, &sums);
    nb_ref_shares_add(&r, &s, 1, &sums);
    assert_true(sums.rows == 4 && sums.repeats == 3 && !sums.not_finite);
    for (size_t i = 0; i < ROW_N; i++) {
        assert_true(dgamma[i].hi == 4 * once[i].hi && dbeta[i].hi == 4 * dy[i]);
        assert_true(fabs(dgamma_moved[i] / (4 * fabs(dy[i]) * s.k) - 1) < 1e-14);
        assert_true(dbeta_unit[i] == 4 * fabs(dy[i]));
    }
}

/* ---- NaN and Inf ---- */

/* A column that a row has made Inf must be Inf; its neighbours are judged. */
static void nonfinite_rows_are_expected(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_gradient r = make_row(&norms[1], &families[0], &pulls[0], ROW_N, t);
    struct nb_ref_gradient_stats s;
    struct nb_ref_shares sums = begin_sums();
    struct set set = {.parts = 1};
    dy[3] = INFINITY;
    nb_ref_gradient_look(&r, &s);
    assert_true(!s.finite);
    nb_ref_shares_add(&r, &s, 1, &sums);
    struct kernel k = kernel_of(&r, &s, ways[0], NONE);
    add_float(&k, 0);
    struct judged j = judge_sums(&set, NB_REF_DBETA, t, &sums);
    assert_true(j.hazard == NB_REF_INSIDE && j.e.nonfinite == 0 && j.e.compared == ROW_N - 1);
    j = judge_sums(&set, NB_REF_DGAMMA, t, &sums);
    assert_true(j.hazard == NB_REF_INSIDE && j.e.nonfinite == 0 && j.e.share <= 1);
    dgamma_sum[0][3] = 1; /* lost */
    dgamma_sum[0][4] = NAN;
    assert_int_equal(judge_sums(&set, NB_REF_DGAMMA, t, &sums).e.nonfinite, 2);
    nb_ref_backward_row(&r, dx, NULL, NULL);
    run(&k, t);
    j = judge(&k, &s, t);
    assert_true(j.hazard == NB_REF_INSIDE && j.e.nonfinite == 0 && j.e.compared == 0);
    got[7] = 0;
    assert_int_equal(judge(&k, &s, t).e.nonfinite, 1);
}

/* Behind a prefix dx is a number still, and judged. */
static void numbers_beside_inf_are_judged(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_gradient r = make_row(&norms[2], &families[0], &pulls[0], 17, t);
    struct nb_ref_gradient_stats s;
    x[16] = INFINITY;
    nb_ref_gradient_look(&r, &s);
    nb_ref_backward_row(&r, dx, NULL, NULL);
    struct kernel k = kernel_of(&r, &s, ways[0], NONE);
    run(&k, t);
    got[16] = (double)(k.rstd * g_of(&k, 16)); /* run multiplies the 0 of that term by Inf */
    struct judged j = judge(&k, &s, t);
    assert_true(j.hazard == NB_REF_INSIDE && j.e.nonfinite == 0 && j.e.compared == 17 - r.k);
    assert_true(j.e.share > 0 && j.e.share <= 1 && j.e.teeth > 1);
    got[9] *= 1.001;
    assert_true(judge(&k, &s, t).e.share > 1);
}

/* ---- Limits and hazards ---- */

static struct judged limits_of(const struct nb_ref_gradient *r, const struct nb_ref_bound *b,
                               const char *type)
{
    struct judged j;
    struct nb_ref_gradient_stats s;
    nb_ref_gradient_look(r, &s);
    j.hazard = nb_ref_gradient_limit(r, &s, nb_ref_type_find(type), b, FLT_MAX, FLT_MIN, &j.limits);
    return j;
}

static void limits_are_as_derived(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_bound b = {NB_REF_BOUND_GRADIENT, 1, 15, 16, 0, 4};
    struct nb_ref_gradient r = make_row(&norms[0], &families[0], &pulls[0], 4096, t);
    struct judged j = limits_of(&r, &b, "f32");
    double c = 4096 / 16 + 4;
    assert_true(fabs(j.limits.worst.body / (c + 15) - 1) < 1e-4 && j.limits.worst.body > c + 15);
    assert_true(fabs(j.limits.likely.body / (4 * sqrt(c) + 15) - 1) < 1e-4);
    r = make_row(&norms[3], &families[0], &pulls[0], 4096, t);
    assert_true(fabs(limits_of(&r, &b, "f32").limits.worst.body / (c + 16) - 1) < 1e-4);
    r = make_row(&norms[0], &families[3], &pulls[0], 4096, t); /* k = 1e5 */
    assert_true(fabs(limits_of(&r, &b, "f32").limits.worst.body / 1e5 - 1) < 0.05);
    b.kind = NB_REF_BOUND_GRADIENT_VARIANCE;
    assert_true(fabs(limits_of(&r, &b, "f32").limits.worst.body / 1e5 - 1) < 0.05);
    b.kind = NB_REF_BOUND_GRADIENT;
    r = make_row(&norms[5], &families[0], &pulls[3], 4096, t); /* g is constant */
    j = limits_of(&r, &b, "f32");
    assert_true(j.limits.likely.body == j.limits.worst.body && j.hazard == NB_REF_INSIDE);
    b.c1 = 1e7;
    assert_int_equal(limits_of(&r, &b, "f32").hazard, NB_REF_UNSTABLE);
}

static void hazards_are_seen(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_bound b = {NB_REF_BOUND_GRADIENT, 1, 15, 1, 0, 4};
    static const struct {
        const char *type;
        double x, dy, gamma, eps; /* factors */
        enum nb_ref_hazard hazard;
    } cases[] = {
        {"f32", 1, 1, 1, 1e-5, NB_REF_INSIDE},
        {"f32", 1e30, 1, 1, 1e-5, NB_REF_INSIDE},
        {"f32", 1e37, 1, 1, 1e-5, NB_REF_OVERFLOW},    /* rstd/n is subnormal */
        {"f32", 1, 1e30, 1e10, 1e-5, NB_REF_OVERFLOW}, /* g */
        {"f32", 1, 1e36, 1, 1e-5, NB_REF_OVERFLOW},    /* a sum */
        {"f32", 1e-35, 1e5, 1, 0, NB_REF_OVERFLOW},    /* g rstd */
        {"f32", 0, 1, 1, 0, NB_REF_OVERFLOW},          /* 0/0 */
        {"f32", 0, 1, 1, 1e-5, NB_REF_INSIDE},
        {"f16", 1e-3, 2e3, 1, 1e-8, NB_REF_OVERFLOW}, /* the output */
        {"bf16", 1e-3, 2e3, 1, 1e-8, NB_REF_INSIDE},
    };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (size_t m = 0; m < LENGTH(norms); m++) {
            if (norms[m].gemma || norms[m].ones)
                continue;
            struct nb_ref_gradient r = make_row(&norms[m], &families[0], &pulls[0], 768, t);
            for (size_t i = 0; i < r.n; i++)
                x[i] *= cases[c].x, dy[i] *= cases[c].dy, gamma_[i] *= cases[c].gamma;
            r.eps = cases[c].eps;
            if (limits_of(&r, &b, cases[c].type).hazard != cases[c].hazard)
                fail_msg("case %zu, %s", c, norms[m].name);
        }
}

/* Where rstd is a normal number and the variance is none, or sums of g (x - mean) overflow; in rows that others take. */
static void hazards_of_a_variance_are_seen(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    struct nb_ref_bound b = {NB_REF_BOUND_GRADIENT, 1, 19, 1, 0, 4};
    static const struct {
        double x, dy, eps; /* factors */
        enum nb_ref_hazard hazard;
    } cases[] = {
        {1, 1, 1e-5, NB_REF_INSIDE},      {1e18, 1, 1e-5, NB_REF_INSIDE},  {1e20, 1, 1e-5, NB_REF_OVERFLOW},
        {1e18, 1e19, 1e-5, NB_REF_OVERFLOW}, {1e-18, 1, 0, NB_REF_INSIDE}, {1e-20, 1, 0, NB_REF_OVERFLOW},
        {1e-10, 1e-22, 0, NB_REF_OVERFLOW}, {0, 1, 1e-5, NB_REF_INSIDE},   {1e-20, 1, 1e-5, NB_REF_INSIDE},
    };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (size_t m = 0; m < 2; m++) {
            struct nb_ref_gradient r = make_row(&norms[m], &families[0], &pulls[0], 768, t);
            for (size_t i = 0; i < r.n; i++)
                x[i] *= cases[c].x, dy[i] *= cases[c].dy;
            r.eps = cases[c].eps;
            b.kind = NB_REF_BOUND_GRADIENT;
            assert_int_equal(limits_of(&r, &b, "f32").hazard, NB_REF_INSIDE);
            b.kind = NB_REF_BOUND_GRADIENT_VARIANCE;
            if (limits_of(&r, &b, "f32").hazard != cases[c].hazard)
                fail_msg("case %zu, %s", c, norms[m].name);
        }
}

/* What the bound of a kernel that is given a variance rests on; of floats of [1, 4), others differ by powers of 4. */
static void roots_of_squares_are_exact(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (float s = 1; s < 4; s = nextafterf(s, 4))
        wrong += sqrtf(s * s) != s;
    assert_int_equal(wrong, 0);
}

static void hazards_of_sums_are_seen(void **state)
{
    (void)state;
    const struct nb_ref_type *t = nb_ref_type_find("f32");
    const struct nb_ref_bound b = {NB_REF_BOUND_GRADIENT, 1, 15, 1, 0, 4};
    const double factors[] = {1, 1e37, 1};
    const enum nb_ref_hazard hazards[] = {NB_REF_INSIDE, NB_REF_OVERFLOW, NB_REF_OVERFLOW};
    for (size_t c = 0; c < LENGTH(factors); c++) {
        struct nb_ref_shares sums = begin_sums();
        struct nb_ref_gradient r = make_row(&norms[0], &families[0], &pulls[0], ROW_N, t);
        struct nb_ref_gradient_stats s;
        struct nb_ref_limits limits;
        for (size_t i = 0; i < ROW_N; i++)
            dy[i] *= factors[c], x[i] *= c == 2 ? 1e-42 : 1;
        r.eps = c == 2 ? 0 : r.eps;
        nb_ref_gradient_look(&r, &s);
        nb_ref_shares_add(&r, &s, 64, &sums);
        assert_int_equal(nb_ref_shares_limit(&sums, NB_REF_DGAMMA, t, &b, FLT_MAX, FLT_MIN, &limits),
                         hazards[c]);
    }
}

/* ---- Known digits ---- */

static void digits_of_four(void **state)
{
    (void)state;
    const double four[4] = {1, 2, 3, 4}, first[4] = {1, 0, 0, 0};
    const double want[2][4] = {
        {0.268330303893, -0.357768372025, -0.089443434631, 0.178881502763},
        {0.352976540192, -0.0243431760916, -0.0365147641375, -0.0486863521833},
    };
    for (size_t op = 0; op < 2; op++) {
        struct nb_ref_gradient r = {.op = norms[op].op, .n = 4, .x = four, .dy = first, .eps = 1e-5};
        nb_ref_backward_row(&r, dx, NULL, NULL);
        for (size_t i = 0; i < 4; i++)
            assert_true(fabs(dx[i].hi - want[op][i]) < 1e-11);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_of_four),
        cmocka_unit_test(float_kernels_stay_inside),
        cmocka_unit_test(nearest_output_is_right),
        cmocka_unit_test(mutants_leave_the_limits),
        cmocka_unit_test(sums_stay_inside),
        cmocka_unit_test(mutants_of_sums_leave_the_limits),
        cmocka_unit_test(repeated_rows_add_up),
        cmocka_unit_test(nonfinite_rows_are_expected),
        cmocka_unit_test(numbers_beside_inf_are_judged),
        cmocka_unit_test(limits_are_as_derived),
        cmocka_unit_test(hazards_are_seen),
        cmocka_unit_test(hazards_of_a_variance_are_seen),
        cmocka_unit_test(roots_of_squares_are_exact),
        cmocka_unit_test(hazards_of_sums_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
