/* stack_test: deep stacks against central differences and hand computations, and the experiments that are made of them. */
#include "activations.h"
#include "cpu.h"
#include "deepnorm.h"
#include "experiment.h"
#include "stack.h"
#include "stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "trial.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- matrices ---- */

/* Of every ISA the same bits: sums in the order of k, each product rounded. */
static void products(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {4, 4, 4}, {5, 7, 6}, {8, 3, 12}, {3, 9, 2}, {13, 5, 4}, {8, 11, 16}, {9, 6, 35}};
    double a[400], b[400], c[400];
    const struct nb_loops *loops;
    for (size_t i = 0; i < 400; i++) {
        a[i] = sin((double)i);
        b[i] = cos(3 * (double)i);
    }
    for (size_t unit = 0; (loops = nb_loops_at(unit)) != NULL; unit++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const size_t n = shapes[s][0], k = shapes[s][1], m = shapes[s][2];
            c[n * m] = 77;
            loops->product(c, a, b, n, k, m);
            for (size_t i = 0; i < n * m; i++) {
                double want = 0;
                for (size_t p = 0; p < k; p++)
                    want += a[i / m * k + p] * b[p * m + i % m];
                assert_true(c[i] == want);
            }
            assert_true(c[n * m] == 77);
        }
}

static void norms_of_vectors(void **state)
{
    (void)state;
    const double plain[] = {3, 0, -4}, large[] = {3e200, -4e200}, small[] = {3e-200, 4e-200}, nan_first[] = {NAN, 1}, nan_last[] = {1, NAN},
                 infinite[] = {1, -INFINITY}, zero[] = {0, -0.0};
    assert_true(fabs(nb_stack_norm(plain, 3) - 5) < 1e-14);
    assert_true(fabs(nb_stack_norm(large, 2) / 5e200 - 1) < 1e-14);
    assert_true(fabs(nb_stack_norm(small, 2) / 5e-200 - 1) < 1e-14);
    assert_true(isnan(nb_stack_norm(nan_first, 2)) && isnan(nb_stack_norm(nan_last, 2)));
    assert_true(nb_stack_norm(infinite, 2) == INFINITY);
    assert_true(nb_stack_norm(zero, 2) == 0);
}

/* ---- one stack ---- */

/* Sizes that are no multiples of a tile. */
static const struct nb_stack_config SMALL = {.scheme = NB_STACK_PRE, .op = NB_OP_LAYERNORM, .depth = 2, .d = 6, .tokens = 3, .batch = 2,
                                             .classes = 5, .alpha = 1, .beta = 1, .eps = 1e-5};

static void keep(void *context, size_t i, double *weights, const double *gradient, size_t elements)
{
    double **gradients = context;
    (void)weights;
    gradients[i] = malloc(elements * sizeof *gradient);
    assert_non_null(gradients[i]);
    memcpy(gradients[i], gradient, elements * sizeof *gradient);
}

/* Central differences err by h^2 times a third derivative and by u/h: with h = 1e-5 both are near 1e-10. */
static void check_matrix(struct nb_stack *s, size_t i, const double *gradient)
{
    const size_t n = nb_stack_elements(s, i);
    double *w = nb_stack_matrix(s, i), *apart = malloc(n * sizeof *apart);
    assert_non_null(apart);
    for (size_t k = 0; k < n; k++) {
        const double was = w[k], h = 1e-5;
        w[k] = was + h;
        const double up = nb_stack_forward(s);
        w[k] = was - h;
        const double down = nb_stack_forward(s);
        w[k] = was;
        apart[k] = (up - down) / (2 * h) - gradient[k];
    }
    const double size = nb_stack_norm(gradient, n), off = nb_stack_norm(apart, n);
    free(apart);
    if (!(size > 1e-4 && off <= 1e-6 * size))
        fail_msg("scheme %d, op %u, matrix %zu: gradient %g, off by %g", (int)s->c.scheme, s->c.op, i, size, off);
}

static void check_gradients(const struct nb_stack_config *c)
{
    struct nb_stack *s = nb_stack_new(c, 7);
    double *gradients[64];
    assert_non_null(s);
    nb_stack_forward(s);
    nb_stack_backward(s, keep, gradients);
    for (size_t i = 0; i < nb_stack_matrices(s); i++) {
        check_matrix(s, i, gradients[i]);
        free(gradients[i]);
    }
    nb_stack_free(s);
}

static void gradients_are_derivatives(void **state)
{
    (void)state;
    struct nb_stack_config c = SMALL;
    for (int scheme = 0; scheme < NB_STACK_SCHEMES; scheme++)
        for (int norm = 0; norm < 2; norm++) {
            c.scheme = (enum nb_stack_scheme)scheme;
            c.op = norm == 0 ? NB_OP_LAYERNORM : NB_OP_RMSNORM;
            c.alpha = scheme == NB_STACK_DEEPNORM ? 1.7 : 1;
            c.beta = scheme == NB_STACK_DEEPNORM ? 0.6 : 1;
            check_gradients(&c);
        }
}

static void set(struct nb_stack *s, size_t i, const double w[4])
{
    memcpy(nb_stack_matrix(s, i), w, 4 * sizeof *w);
}

/* Two tokens of two elements, eps 0: LayerNorm makes (1,-1) of (3,1) and (-1,1) of (0,2). Their mean is (0,0), so that attention adds
 * nothing. Feed-forward with W_1 = I and W_2 = diag(1,3): (1,0) and (0,3); x_1 = (4,1), (0,5), whose norms are those of before.
 * Logits by W_C = diag(1,0): (1,0), (-1,0). With labels 0 and 1 both tokens' loss is log(1 + 1/e). dlogits are q/2 (-1,1) and
 * q/2 (1,-1) with q = 1/(1 + e); dW_C = sum of features^T dlogits = q (-1,1; 1,-1). What a norm of two elements leaves does not
 * move with them: all other gradients are zero. */
static void one_layer_by_hand(void **state)
{
    (void)state;
    static const double identity[] = {1, 0, 0, 1}, second[] = {1, 0, 0, 3}, top[] = {1, 0, 0, 0}, x[] = {3, 1, 0, 2};
    const struct nb_stack_config c = {.scheme = NB_STACK_PRE, .op = NB_OP_LAYERNORM, .depth = 1, .d = 2, .tokens = 2, .batch = 1,
                                      .classes = 2, .alpha = 1, .beta = 1};
    struct nb_stack *s = nb_stack_new(&c, 1);
    double *g[5];
    for (size_t i = 0; i < 5; i++)
        set(s, i, i == 3 ? second : i == 4 ? top : identity);
    memcpy(s->x, x, sizeof x);
    s->labels[0] = 0;
    s->labels[1] = 1;
    assert_true(fabs(nb_stack_forward(s) - log(1 + exp(-1))) < 1e-14);
    const double want[] = {4, 1, 0, 5}, q = 1 / (1 + exp(1)), wc[] = {-q, q, q, -q};
    nb_stack_backward(s, keep, g);
    for (size_t i = 0; i < 4; i++) {
        assert_true(fabs(s->x[8 + i] - want[i]) < 1e-14);
        assert_true(fabs(g[4][i] - wc[i]) < 1e-14);
        for (size_t k = 0; k < 4; k++)
            assert_true(fabs(g[k][i]) < 1e-14);
    }
    for (size_t i = 0; i < 5; i++)
        free(g[i]);
    nb_stack_free(s);
}

/* The same tokens with RMSNorm: (3,1)/sqrt 5 and (0,2)/sqrt 2 have the mean m = (3/sqrt 5, 1/sqrt 5 + sqrt 2)/2; attention with
 * W_V = diag(2,2) and W_O exchanging both elements adds 2 (m_2, m_1) to each token. post: then x_1 is RMSNorm of that sum plus the
 * mean of the tokens themselves in the place of m. */
static void attention_by_hand(void **state)
{
    (void)state;
    static const double twice[] = {2, 0, 0, 2}, exchange[] = {0, 1, 1, 0}, nothing[] = {0, 0, 0, 0}, x[] = {3, 1, 0, 2};
    struct nb_stack_config c = {.scheme = NB_STACK_PRE, .op = NB_OP_RMSNORM, .depth = 1, .d = 2, .tokens = 2, .batch = 1, .classes = 2,
                                .alpha = 1, .beta = 1};
    const double m[] = {1.5 / sqrt(5), (1 / sqrt(5) + sqrt(2)) / 2};
    for (int post = 0; post < 2; post++) {
        c.scheme = post ? NB_STACK_POST : NB_STACK_PRE;
        struct nb_stack *s = nb_stack_new(&c, 1);
        set(s, 0, twice);
        set(s, 1, exchange);
        set(s, 2, nothing);
        set(s, 3, nothing);
        memcpy(s->x, x, sizeof x);
        nb_stack_forward(s);
        for (size_t r = 0; r < 2; r++) {
            double a = x[2 * r] + (post ? 3 : 2 * m[1]), b = x[2 * r + 1] + (post ? 3 : 2 * m[0]);
            const double rms = post ? sqrt((a * a + b * b) / 2) : 1;
            assert_true(fabs(s->x[4 + 2 * r] - a / rms) < 1e-14);
            assert_true(fabs(s->x[4 + 2 * r + 1] - b / rms) < 1e-14);
        }
        nb_stack_free(s);
    }
}

static double root_mean_square(const double *v, size_t n)
{
    return nb_stack_norm(v, n) / sqrt((double)n);
}

static void weights_and_data(void **state)
{
    (void)state;
    struct nb_stack_config c = {.scheme = NB_STACK_DEEPNORM, .op = NB_OP_LAYERNORM, .depth = 2, .d = 64, .tokens = 16, .batch = 4,
                                .classes = 64, .alpha = 2, .beta = 0.25, .eps = 1e-5};
    struct nb_stack *low = nb_stack_new(&c, 3);
    c.depth = 3;
    struct nb_stack *high = nb_stack_new(&c, 3), *other = nb_stack_new(&c, 4);
    const size_t square = 64 * 64;
    for (size_t i = 0; i < 12; i++) /* the mean square of 4096 values is known to a fiftieth */
        assert_true(fabs(root_mean_square(nb_stack_matrix(high, i), square) * 8 / 0.25 - 1) < 0.05);
    assert_true(fabs(root_mean_square(nb_stack_matrix(high, 12), square) * 8 - 1) < 0.05); /* W_C has no beta */
    assert_true(fabs(root_mean_square(high->x, square) - 1) < 0.05);
    assert_memory_equal(low->weights, high->weights, 8 * square * sizeof *low->weights);
    assert_memory_equal(nb_stack_matrix(low, 8), nb_stack_matrix(high, 12), square * sizeof *low->weights);
    assert_memory_equal(low->x, high->x, square * sizeof *low->x);
    assert_memory_equal(low->labels, high->labels, 64 * sizeof *low->labels);
    assert_memory_not_equal(high->weights, other->weights, square * sizeof *low->weights);
    assert_memory_not_equal(high->x, other->x, square * sizeof *low->x);
    size_t labels[2] = {0};
    for (size_t r = 0; r < 64; r++) {
        assert_true(high->labels[r] < 64);
        labels[high->labels[r] < 32]++;
    }
    assert_true(labels[0] > 12 && labels[1] > 12);
    nb_stack_free(low);
    nb_stack_free(high);
    nb_stack_free(other);
}

/* ---- experiments ---- */

#define RUN_SEEDED(name, seed, ...) trial_run(name, NULL, seed, NB_OK, (const char *const[]){__VA_ARGS__, NULL})
#define RUN(name, ...) RUN_SEEDED(name, 5, __VA_ARGS__)
/* Small enough for sanitizers. */
#define TINY "d=16", "tokens=4", "batch=2", "classes=8"

static bool near(double got, double want)
{
    return fabs(got - want) <= 1e-12 * fabs(want);
}

/* Every word of the list is observed, and nothing else. */
static void check_quantities(const char *name, const struct nb_observations *o)
{
    const struct nb_experiment *e = nb_experiment_find(name);
    for (const char *q = e->quantities; *q != '\0'; q += strcspn(q, " "), q += *q == ' ') {
        bool seen = false;
        for (size_t i = 0; i < o->n; i++)
            seen = seen || (strlen(o->v[i].quantity) == strcspn(q, " ") && strncmp(o->v[i].quantity, q, strcspn(q, " ")) == 0);
        if (!seen)
            fail_msg("%s: no %s", name, q);
    }
    for (size_t i = 0; i < o->n; i++)
        assert_non_null(strstr(e->quantities, o->v[i].quantity));
}

/* The first seed's stack of an experiment that was run with seed 5 and TINY. */
static struct nb_stack *first_stack(enum nb_stack_scheme scheme, size_t depth)
{
    const struct nb_stack_config c = {.scheme = scheme, .op = NB_OP_LAYERNORM, .depth = depth, .d = 16, .tokens = 4, .batch = 2,
                                      .classes = 8, .alpha = 1, .beta = 1, .eps = 1e-5};
    unsigned long long draw = 5;
    struct nb_stack *s = nb_stack_new(&c, nb_random(&draw));
    assert_non_null(s);
    nb_stack_forward(s);
    return s;
}

static void gradient_norms(void *context, size_t i, double *weights, const double *gradient, size_t elements)
{
    double *norms = context;
    (void)weights;
    norms[i] = nb_stack_norm(gradient, elements);
}

/* What the experiment says of one seed, against a stack of the test's own. */
static void gradients_by_layer(void **state)
{
    (void)state;
    struct nb_observations o = RUN("gradients_by_layer", "scheme=pre,post,none", "depth=3,6", "seeds=1", TINY);
    struct nb_observations again = RUN("gradients_by_layer", "scheme=pre,post,none", "depth=3,6", "seeds=1", TINY);
    const double first = trial_value(&o, "gradient_first_over_last", "scheme=pre norm=rmsnorm depth=6 weight=w1"),
                 last = trial_value(&o, "gradient_last", "scheme=pre norm=rmsnorm depth=6 weight=w1"),
                 ln_first = trial_value(&o, "gradient_first_over_last", "scheme=pre norm=layernorm depth=6 weight=w1"),
                 ln_last = trial_value(&o, "gradient_last", "scheme=pre norm=layernorm depth=6 weight=w1"),
                 post = trial_value(&o, "gradient_last", "scheme=post norm=layernorm depth=6 weight=w1"),
                 lower = trial_value(&o, "gradient_last", "scheme=pre norm=layernorm depth=3 weight=w1");
    double norms[25];
    struct nb_stack *s = first_stack(NB_STACK_PRE, 6);
    nb_stack_backward(s, gradient_norms, norms);
    nb_stack_free(s);
    assert_true(near(ln_first, norms[2] / norms[22]) && near(ln_last, norms[22])); /* W_1 of layers 1 and 6 */
    assert_true(near(trial_value(&o, "gradient_last", "scheme=pre norm=layernorm depth=6 weight=w2"), norms[23]));
    check_quantities("gradients_by_layer", &o);
    assert_true(near(trial_value(&o, "rms_over_layernorm", "scheme=pre depth=6 weight=w1"), first * last / (ln_first * ln_last)));
    assert_true(near(trial_value(&o, "last_over_pre", "scheme=post norm=layernorm depth=6 weight=w1"), post / ln_last));
    assert_true(near(trial_value(&o, "gradient_last_slope", "scheme=pre norm=layernorm weight=w1"), log(ln_last / lower) / log(2)));
    assert_true(trial_value(&o, "gradient_spread", "scheme=pre norm=layernorm depth=6 weight=w1") >= ln_first);
    assert_int_equal(o.n, again.n);
    for (size_t i = 0; i < o.n; i++)
        assert_memory_equal(&o.v[i], &again.v[i], sizeof o.v[i]);
    nb_observations_free(&o);
    nb_observations_free(&again);
}

/* First over last and the spread of one seed can be computed from the file of the same trial. */
static void gradients_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/nb_stack_XXXXXX", path[64], line[200], scheme[16], norm[16];
    static const char *const pairs[] = {"scheme=post", "norm=layernorm", "depth=5", "seeds=1", "weight=w2", TINY, NULL};
    assert_non_null(mkdtemp(dir));
    struct nb_observations o = trial_run("gradients_by_layer", dir, 5, NB_OK, pairs);
    char weight[4];
    double g[5], most = 0, least = INFINITY;
    size_t rows = 0;
    snprintf(path, sizeof path, "%s/stack_gradients.dat", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(line[0], '#');
    for (size_t depth, layer; rows < 5 && fscanf(f, "%15s %15s %zu %zu %lf %*f %*f %3s", scheme, norm, &depth, &layer, &g[rows], weight) == 6; rows++) {
        assert_true(strcmp(scheme, "post") == 0 && strcmp(norm, "layernorm") == 0 && depth == 5 && layer == rows + 1);
        assert_string_equal(weight, "w2");
        most = fmax(most, g[rows]);
        least = fmin(least, g[rows]);
    }
    fclose(f);
    unlink(path);
    rmdir(dir);
    assert_int_equal(rows, 5);
    assert_true(fabs(trial_value(&o, "gradient_first_over_last", "scheme=post norm=layernorm depth=5 weight=w2") * g[4] / g[0] - 1) < 1e-4);
    assert_true(fabs(trial_value(&o, "gradient_spread", "scheme=post norm=layernorm depth=5 weight=w2") * least / most - 1) < 1e-4);
    nb_observations_free(&o);
}

/* Matrices of the record are not taken for one another: W_C and the order within a layer. */
static void gradients_of_each_matrix(void **state)
{
    (void)state;
    struct nb_stack_config c = SMALL;
    double norms[9];
    struct nb_stack *s = nb_stack_new(&c, 11);
    nb_stack_forward(s);
    nb_stack_backward(s, gradient_norms, norms);
    for (size_t i = 0; i < 9; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(norms[i] > 0 && norms[i] != norms[k]);
    nb_stack_free(s);
}

/* A seed's share, from what the experiment says of both norms: where LayerNorm loses a decade or more, and where it does not. */
static void vanishing(void **state)
{
    (void)state;
    static const char where[] = "scheme=deepnorm depth=64 weight=w1", of[] = "gradient_first_over_last",
                      weak[] = "scheme=deepnorm norm=layernorm depth=64 weight=w1", rms[] = "scheme=deepnorm norm=rmsnorm depth=64 weight=w1";
    size_t seen[2] = {0};
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct nb_observations o = RUN_SEEDED("gradients_by_layer", seed, "scheme=deepnorm", "alpha=1", "beta=1", "depth=64", "seeds=1", TINY);
        const double kept = trial_value(&o, of, weak), share = log(trial_value(&o, of, rms) / kept) / -log(kept);
        const struct nb_observation *v = trial_find(&o, "vanishing_spared", where);
        seen[kept <= 0.1]++;
        assert_true(kept <= 0.1 ? near(v->value, share) : isnan(v->value) && strstr(v->missing, "not seen to vanish") != NULL);
        nb_observations_free(&o);
    }
    assert_true(seen[0] > 0 && seen[1] > 0);
}

/* In expectation the first layer's attention adds 1/tokens of 1, as tokens are independent, and its feed-forward 1/2. */
static void hidden_growth(void **state)
{
    (void)state;
    struct nb_observations o = RUN("hidden_growth", "norm=layernorm", "depth=1,6", "seeds=41", "d=32", "tokens=4", "batch=2");
    const double one = trial_value(&o, "mean_square", "scheme=pre norm=layernorm depth=1 layer=1"),
                 six = trial_value(&o, "mean_square", "scheme=pre norm=layernorm depth=6 layer=6");
    check_quantities("hidden_growth", &o);
    assert_int_equal(o.n, 3 * (1 + 4)); /* layers 1; 1, 2, 4, 6 */
    assert_true(fabs(one / 1.75 - 1) < 0.1);
    assert_true(one == trial_value(&o, "mean_square", "scheme=pre norm=layernorm depth=6 layer=1"));
    assert_true(near(trial_value(&o, "square_over_lower", "scheme=pre norm=layernorm depth=6 layer=6"), six / 4));
    assert_true(near(trial_value(&o, "square_over_upper", "scheme=pre norm=layernorm depth=6 layer=6"), six / 10));
    nb_observations_free(&o);
}

static void step(void *context, size_t i, double *weights, const double *gradient, size_t elements)
{
    for (size_t k = 0; k < elements && i < *(const size_t *)context; k++)
        weights[k] -= 0.01 * gradient[k];
}

/* What the experiment says of one seed, against a step of the test's own. */
static void update_size(void **state)
{
    (void)state;
    static const char low[] = "scheme=post norm=layernorm depth=4", high[] = "scheme=post norm=layernorm depth=8";
    struct nb_observations o = RUN("update_size", "scheme=post", "depth=8,4", "rate=0.01", "seeds=1", TINY);
    struct nb_stack *s = first_stack(NB_STACK_POST, 4);
    size_t inner = 16; /* all matrices but W_C */
    double before[64];
    memcpy(before, s->logits, sizeof before);
    nb_stack_backward(s, step, &inner);
    nb_stack_forward(s);
    const double size = nb_stack_norm(before, 64);
    for (size_t i = 0; i < 64; i++)
        before[i] -= s->logits[i];
    assert_true(near(trial_value(&o, "update_size", low), nb_stack_norm(before, 64) / size));
    assert_true(near(trial_value(&o, "update_growth", high), trial_value(&o, "update_size", high) / trial_value(&o, "update_size", low)));
    assert_true(trial_value(&o, "finite", high) == 1);
    check_quantities("update_size", &o);
    nb_stack_free(s);
    nb_observations_free(&o);
}

static void planted_alpha(void **state)
{
    (void)state;
    static const char deep[] = "scheme=deepnorm norm=layernorm depth=96";
    struct nb_observations right = RUN("update_size", "scheme=deepnorm,post", "depth=4,96", "seeds=3", TINY),
                           wrong = RUN("update_size", "scheme=deepnorm", "alpha=1", "depth=4,96", "seeds=3", TINY);
    assert_true(trial_find(&right, "update_growth", deep)->high <= 2); /* the region of C20 */
    assert_true(trial_find(&wrong, "update_growth", deep)->low > 2);
    assert_true(trial_find(&right, "update_growth", "scheme=post norm=layernorm depth=96")->low > 2);
    nb_observations_free(&right);
    nb_observations_free(&wrong);
}

static void not_finite(void **state)
{
    (void)state;
    static const char where[] = "scheme=none norm=none depth=48";
    struct nb_observations o = RUN("update_size", "scheme=none", "depth=48", "rate=1e6", "seeds=3", TINY);
    assert_true(trial_value(&o, "finite", where) == 0);
    assert_true(isnan(trial_value(&o, "update_size", where)) && trial_find(&o, "update_size", where)->missing[0] != '\0');
    nb_observations_free(&o);
}

/* One seed of several that overflows is seen. */
static void finite_is_a_share(void **state)
{
    (void)state;
    static const char where[] = "scheme=none norm=none depth=24";
    size_t none = 0, some = 0, all = 0;
    for (double rate = 1e-3; rate < 1; rate *= 1.5) { /* where each matrix gets about so large, their product overflows */
        char text[40];
        snprintf(text, sizeof text, "rate=%g", rate);
        struct nb_observations o = RUN("update_size", "scheme=none", "depth=24", text, "seeds=5", TINY);
        const struct nb_observation *v = trial_find(&o, "finite", where);
        const double seeds = 5 * v->value;
        assert_true(seeds == round(seeds) && v->n == 0 && v->low == v->value && v->high == v->value);
        assert_true(isfinite(trial_value(&o, "update_size", where)) || v->value < 1);
        none += seeds == 0;
        all += seeds == 5;
        some += seeds == 4; /* their median is 1 */
        nb_observations_free(&o);
    }
    assert_true(none > 0 && some > 0 && all > 0);
}

static void constants(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        double alpha, beta; /* digits of another program */
    } rows[] = {
        {"stack=encoder_only encoder=6 decoder=0", 1.861210, 0.379918},
        {"stack=decoder_only encoder=0 decoder=1000", 6.687403, 0.105737},
        {"stack=encoder_of_both encoder=18 decoder=18", 1.998746, 0.352571},
        {"stack=encoder_of_both encoder=6 decoder=18", 1.518719, 0.464010},
        {"stack=encoder_of_both encoder=18 decoder=6", 1.866112, 0.377630},
        {"stack=decoder_of_both encoder=18 decoder=18", 2.710806, 0.260847},
        {"stack=decoder_of_both encoder=6 decoder=18", 2.710806, 0.260847},
    };
    struct nb_observations o = RUN("deepnorm_constants", "encoder=6,18", "decoder=6,18,1000");
    check_quantities("deepnorm_constants", &o);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(fabs(trial_value(&o, "alpha", rows[i].where) - rows[i].alpha) < 1e-6);
        assert_true(fabs(trial_value(&o, "beta", rows[i].where) - rows[i].beta) < 1e-6);
        assert_true(trial_value(&o, "formula_difference", rows[i].where) < 1e-12);
        assert_true(trial_value(&o, "norm_difference", rows[i].where) < 1e-12);
        assert_true(fabs(trial_value(&o, "update_bound", rows[i].where) - 1) < (strstr(rows[i].where, "encoder_of_both") ? 0.024 : 1e-12));
    }
    nb_observations_free(&o);
}

/* Of matrices that were drawn: by the depth's beta, by a planted one, and by none without DeepNorm. */
static void initial_weights(void **state)
{
    (void)state;
    static const char *const kinds[] = {"v", "o", "w1", "w2", "classifier"};
    struct nb_observations right = RUN("initial_weights", "scheme=deepnorm,post", "depth=6", "seeds=3", TINY),
                           planted = RUN("initial_weights", "depth=6", "beta=3", "seeds=3", TINY);
    check_quantities("initial_weights", &right);
    for (size_t i = 0; i < 5; i++) {
        char deep[80], post[80];
        snprintf(deep, sizeof deep, "scheme=deepnorm norm=layernorm depth=6 weights=%s", kinds[i]);
        snprintf(post, sizeof post, "scheme=post norm=layernorm depth=6 weights=%s", kinds[i]);
        assert_true(fabs(trial_value(&right, "log_gain", deep) - (i < 4 ? log(0.3799178) : 0)) < 1e-6); /* 48^-1/4 */
        assert_true(fabs(trial_value(&planted, "log_gain", deep) - (i < 4 ? log(3) : 0)) < 1e-12);
        assert_true(trial_value(&right, "log_gain", post) == 0);
    }
    nb_observations_free(&right);
    nb_observations_free(&planted);
}

/* N and M exchanged, planted: the constants that a stack would get, and what its update would then be, are far outside of what is
 * asked, but where N = M. */
static void exchanged_layers(void **state)
{
    (void)state;
    static const char straight[] = "stack=encoder_of_both encoder=6 decoder=18", exchanged[] = "stack=encoder_of_both encoder=18 decoder=6";
    struct nb_observations o = RUN("deepnorm_constants", "encoder=6,18", "decoder=6,18");
    const double alpha = trial_value(&o, "alpha", straight), beta = trial_value(&o, "beta", straight), wrong_alpha = trial_value(&o, "alpha", exchanged),
                 wrong_beta = trial_value(&o, "beta", exchanged), bound = trial_value(&o, "update_bound", straight),
                 gain = pow(wrong_beta / beta * alpha / wrong_alpha, 2);
    assert_true(fabs(bound - 1) < 0.024);
    assert_true(fabs(wrong_alpha / alpha - pow(3, 3. / 16)) < 1e-12); /* (18^4 6 / (6^4 18))^(1/16) = (3^3)^(1/16) */
    assert_true(fabs(gain - pow(3, -0.75)) < 1e-12 && fabs(bound * gain - 1) > 0.5);
    nb_observations_free(&o);
}

static bool at_once(void)
{
    return true;
}

static void refusals(void **state)
{
    (void)state;
    const struct nb_experiment *e = nb_experiment_find("gradients_by_layer");
    const char *values[32];
    struct nb_observations o = {0};
    struct nb_err err;
    for (size_t i = 0; i < e->parameter_count; i++)
        values[i] = e->parameters[i].value;
    struct nb_trial t = {.experiment = e, .values = values, .stop = at_once};
    assert_int_equal(e->run(&t, &o, &err), NB_INTERRUPTED);
    assert_int_equal(o.n, 0);
    static const char *const large[] = {"depth=4000", "d=1024", "seeds=1", NULL};
    o = trial_run("update_size", NULL, 5, NB_ERROR, large);
    static const char *const nowhere[] = {"depth=1", "seeds=1", TINY, NULL};
    nb_observations_free(&o);
    o = trial_run("update_size", "/nowhere/at/all", 5, NB_OK, nowhere); /* a picture's data, which decides nothing */
    assert_true(o.n > 0);
    nb_observations_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products), cmocka_unit_test(norms_of_vectors), cmocka_unit_test(gradients_are_derivatives),
        cmocka_unit_test(one_layer_by_hand), cmocka_unit_test(attention_by_hand), cmocka_unit_test(weights_and_data),
        cmocka_unit_test(gradients_by_layer), cmocka_unit_test(gradients_file), cmocka_unit_test(gradients_of_each_matrix),
        cmocka_unit_test(vanishing), cmocka_unit_test(hidden_growth), cmocka_unit_test(update_size), cmocka_unit_test(planted_alpha),
        cmocka_unit_test(not_finite), cmocka_unit_test(finite_is_a_share), cmocka_unit_test(constants), cmocka_unit_test(initial_weights), cmocka_unit_test(exchanged_layers), cmocka_unit_test(refusals)};
    char word[40];
    if (nb_cpu_init(word, sizeof word) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
