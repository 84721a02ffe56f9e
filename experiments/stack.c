#include "stack.h"

#include "call.h"
#include "err.h"
#include "sample.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A sublayer at work; attention has a row a sequence where the feed-forward has one a token, below: k rows. */
struct nb_stack_pass {
    double *s;     /* [rows][d] what f is given: N(x), or x itself */
    double *a;     /* [k][d] attention: means of s over tokens; feed-forward: s itself */
    double *hidden; /* [k][d] between both matrices, behind ReLU */
    double *f;     /* [k][d] */
    double *sum;   /* [rows][d] alpha*x + f */
    double *means, *rstds; /* [rows] of the one norm that the sublayer has */
    double *gradient, *dsum, *df, *dhidden, *ds, *turned; /* of the way back; the last: a transpose */
    double *dweights[2];
};

/* ---- making ---- */

static bool is_attention(size_t sublayer)
{
    return sublayer % 2 == 0;
}

static size_t square(const struct nb_stack *s)
{
    return s->c.d * s->c.d;
}

size_t nb_stack_matrices(const struct nb_stack *s)
{
    return s->c.depth * NB_STACK_WEIGHTS + 1;
}

double *nb_stack_matrix(const struct nb_stack *s, size_t i)
{
    return s->weights + i * square(s);
}

size_t nb_stack_elements(const struct nb_stack *s, size_t i)
{
    return i + 1 < nb_stack_matrices(s) ? square(s) : s->c.d * s->c.classes;
}

/* N(0, sd^2) */
static void fill(double *v, size_t n, double sd, unsigned long long *state)
{
    nb_sample_gauss(v, n, state);
    for (size_t i = 0; i < n; i++)
        v[i] *= sd;
}

/* Streams of their own, so that data and W_C do not depend on the depth. */
static void fill_all(struct nb_stack *s, uint64_t seed)
{
    const size_t last = nb_stack_matrices(s) - 1;
    const double sd = 1 / sqrt((double)s->c.d);
    unsigned long long state = seed, data = nb_random(&state), top = nb_random(&state);
    fill(s->weights, last * square(s), s->c.beta * sd, &state);
    fill(nb_stack_matrix(s, last), nb_stack_elements(s, last), sd, &top);
    fill(s->x, s->rows * s->c.d, 1, &data);
    for (size_t r = 0; r < s->rows; r++)
        s->labels[r] = (size_t)(nb_random(&data) % s->c.classes);
}

static struct nb_stack_pass *new_pass(const struct nb_stack *s)
{
    struct nb_stack_pass *p = malloc(sizeof *p);
    const size_t n = s->rows * s->c.d, wide = s->c.d > s->c.classes ? s->c.d : s->c.classes, most = s->rows > s->c.d ? s->rows : s->c.d;
    if (p == NULL)
        return NULL;
    double **const activations[] = {&p->s, &p->a, &p->hidden, &p->f, &p->sum, &p->gradient, &p->dsum, &p->df, &p->dhidden, &p->ds};
    enum { COUNT = sizeof activations / sizeof *activations };
    double *at = malloc((COUNT * n + most * wide + 2 * s->c.d * wide + 2 * s->rows) * sizeof *at);
    for (size_t i = 0; i < COUNT && at != NULL; i++, at += n)
        *activations[i] = at;
    if (at == NULL) {
        free(p);
        return NULL;
    }
    p->turned = at;
    p->dweights[0] = p->turned + most * wide;
    p->dweights[1] = p->dweights[0] + s->c.d * wide;
    p->means = p->dweights[1] + s->c.d * wide;
    p->rstds = p->means + s->rows;
    return p;
}

double nb_stack_bytes(const struct nb_stack_config *c)
{
    const double depth = (double)c->depth, d = (double)c->d, rows = (double)(c->batch * c->tokens);
    return sizeof(double) * depth * d * (NB_STACK_WEIGHTS * d + 2 * rows);
}

static void find_norm(struct nb_stack *s)
{
    if (s->c.scheme == NB_STACK_NONE)
        return;
    s->forward = nb_call_plain(s->c.op, NB_F64);
    s->backward = nb_call_find(s->c.op, NB_BWD, NB_FUSE_NONE, "twopass", NB_F64, "");
    NB_ASSERT(s->forward != NULL && s->backward != NULL);
}

struct nb_stack *nb_stack_new(const struct nb_stack_config *c, uint64_t seed)
{
    struct nb_stack *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->c = *c;
    s->seed = seed;
    s->rows = c->batch * c->tokens;
    s->weights = malloc((c->depth * NB_STACK_WEIGHTS * c->d + c->classes) * c->d * sizeof *s->weights);
    s->x = malloc((2 * c->depth + 1) * s->rows * c->d * sizeof *s->x);
    s->logits = malloc(s->rows * c->classes * sizeof *s->logits);
    s->labels = malloc(s->rows * sizeof *s->labels);
    s->pass = new_pass(s);
    if (s->weights == NULL || s->x == NULL || s->logits == NULL || s->labels == NULL || s->pass == NULL) {
        nb_stack_free(s);
        return NULL;
    }
    find_norm(s);
    fill_all(s, seed);
    return s;
}

void nb_stack_free(struct nb_stack *s)
{
    if (s == NULL)
        return;
    if (s->pass != NULL)
        free(s->pass->s);
    free(s->pass);
    free(s->labels);
    free(s->logits);
    free(s->x);
    free(s->weights);
    free(s);
}

/* ---- norms ---- */

static void norm(const struct nb_stack *s, const double *x, double *y)
{
    struct nb_problem p = nb_call_problem(s->forward, s->rows, s->c.d, s->c.eps);
    p.stats_out = 1;
    NB_ASSERT(nb_call(s->forward, &p, &(struct nb_args){.x = x, .y = y, .mean = s->pass->means, .rstd = s->pass->rstds}));
}

/* dx from dy, of the norm of x that was computed last. */
static void norm_back(const struct nb_stack *s, const double *x, const double *dy, double *dx)
{
    const struct nb_problem p = nb_call_problem(s->backward, s->rows, s->c.d, s->c.eps);
    NB_ASSERT(nb_call(s->backward, &p, &(struct nb_args){.x = x, .dy = dy, .dx = dx, .mean = s->pass->means, .rstd = s->pass->rstds}));
}

static bool is_pre(const struct nb_stack *s)
{
    return s->c.scheme == NB_STACK_PRE;
}

static bool is_post(const struct nb_stack *s)
{
    return s->c.scheme == NB_STACK_POST || s->c.scheme == NB_STACK_DEEPNORM;
}

/* ---- a sublayer forward ---- */

/* [batch][d]: sums over the tokens of each sequence, times by. */
static void over_tokens(const struct nb_stack *s, const double *x, double by, double *sums)
{
    const size_t d = s->c.d;
    memset(sums, 0, s->c.batch * d * sizeof *sums);
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = 0; i < d; i++)
            sums[r / s->c.tokens * d + i] += x[r * d + i];
    for (size_t i = 0; i < s->c.batch * d; i++)
        sums[i] *= by;
}

/* Row of f or df that token row r belongs to. */
static size_t row_of(const struct nb_stack *s, size_t sublayer, size_t r)
{
    return is_attention(sublayer) ? r / s->c.tokens : r;
}

static size_t rows_of(const struct nb_stack *s, size_t sublayer)
{
    return is_attention(sublayer) ? s->c.batch : s->rows;
}

/* f(s), and all it is made of, in the pass. */
static void branch(const struct nb_stack *s, size_t sublayer)
{
    struct nb_stack_pass *p = s->pass;
    const size_t d = s->c.d, k = rows_of(s, sublayer);
    if (is_attention(sublayer))
        over_tokens(s, p->s, 1 / (double)s->c.tokens, p->a);
    else
        memcpy(p->a, p->s, k * d * sizeof *p->a);
    nb_stack_multiply(p->hidden, p->a, nb_stack_matrix(s, 2 * sublayer), k, d, d);
    for (size_t i = 0; i < k * d && !is_attention(sublayer); i++)
        p->hidden[i] = p->hidden[i] < 0 ? 0 : p->hidden[i]; /* a NaN stays one */
    nb_stack_multiply(p->f, p->hidden, nb_stack_matrix(s, 2 * sublayer + 1), k, d, d);
}

/* Fills the pass with all that lies between x and the sublayer's output. */
static void sublayer_forward(const struct nb_stack *s, size_t sublayer, const double *x)
{
    struct nb_stack_pass *p = s->pass;
    const size_t d = s->c.d;
    if (is_pre(s))
        norm(s, x, p->s);
    else
        memcpy(p->s, x, s->rows * d * sizeof *x);
    branch(s, sublayer);
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = 0; i < d; i++)
            p->sum[r * d + i] = s->c.alpha * x[r * d + i] + p->f[row_of(s, sublayer, r) * d + i];
}

/* ---- a sublayer backward ---- */

static const double *turn(const double *a, size_t rows, size_t columns, double *turned)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            turned[j * rows + i] = a[i * columns + j];
    return turned;
}

/* Of y = a W: dW = a^T dy, da = dy W^T; a [n][k], W [k][m]. */
static void product_back(const struct nb_stack *s, const double *a, const double *w, const double *dy, size_t n, size_t k, size_t m,
                         double *dw, double *da)
{
    nb_stack_multiply(dw, turn(a, n, k, s->pass->turned), dy, k, n, m);
    nb_stack_multiply(da, dy, turn(w, k, m, s->pass->turned), n, m, k);
}

/* From dsum to ds, and the gradients of both matrices. */
static void branch_back(const struct nb_stack *s, size_t sublayer)
{
    struct nb_stack_pass *p = s->pass;
    const size_t d = s->c.d, k = rows_of(s, sublayer);
    if (is_attention(sublayer))
        over_tokens(s, p->dsum, 1, p->df);
    else
        memcpy(p->df, p->dsum, k * d * sizeof *p->df);
    product_back(s, p->hidden, nb_stack_matrix(s, 2 * sublayer + 1), p->df, k, d, d, p->dweights[1], p->dhidden);
    for (size_t i = 0; i < k * d && !is_attention(sublayer); i++)
        p->dhidden[i] = p->hidden[i] <= 0 ? 0 : p->dhidden[i];
    product_back(s, p->a, nb_stack_matrix(s, 2 * sublayer), p->dhidden, k, d, d, p->dweights[0], p->df);
    const double by = is_attention(sublayer) ? 1 / (double)s->c.tokens : 1;
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = 0; i < d; i++)
            p->ds[r * d + i] = by * p->df[row_of(s, sublayer, r) * d + i];
}

/* p->gradient: of the sublayer's output before, of its input x after. */
static void sublayer_backward(const struct nb_stack *s, size_t sublayer, const double *x)
{
    struct nb_stack_pass *p = s->pass;
    const size_t n = s->rows * s->c.d;
    sublayer_forward(s, sublayer, x);
    if (is_post(s)) {
        norm(s, p->sum, p->s); /* for its statistics: p->a has kept what f was given */
        norm_back(s, p->sum, p->gradient, p->dsum);
    } else {
        memcpy(p->dsum, p->gradient, n * sizeof *p->dsum);
    }
    branch_back(s, sublayer);
    if (is_pre(s)) {
        norm_back(s, x, p->ds, p->s);
        memcpy(p->ds, p->s, n * sizeof *p->ds);
    }
    for (size_t i = 0; i < n; i++)
        p->gradient[i] = s->c.alpha * p->dsum[i] + p->ds[i];
}

/* ---- the whole ---- */

/* x[2*depth], or pre: its norm. What W_C is multiplied by. */
static const double *features(const struct nb_stack *s)
{
    const double *out = s->x + 2 * s->c.depth * s->rows * s->c.d;
    if (!is_pre(s))
        return out;
    norm(s, out, s->pass->s);
    return s->pass->s;
}

/* log(sum of exp z): the largest one is taken out, so that nothing overflows. */
static double log_sum(const double *z, size_t n)
{
    double most = z[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = z[i] > most ? z[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += exp(z[i] - most);
    return most + log(sum);
}

static bool stopped(const struct nb_stack *s)
{
    return s->stop != NULL && s->stop();
}

double nb_stack_forward(struct nb_stack *s)
{
    const size_t n = s->rows * s->c.d, classes = s->c.classes;
    double loss = 0;
    for (size_t i = 0; i < 2 * s->c.depth && !stopped(s); i++) {
        double *x = s->x + i * n;
        sublayer_forward(s, i, x);
        if (is_post(s))
            norm(s, s->pass->sum, x + n);
        else
            memcpy(x + n, s->pass->sum, n * sizeof *x);
    }
    nb_stack_multiply(s->logits, features(s), nb_stack_matrix(s, nb_stack_matrices(s) - 1), s->rows, s->c.d, classes);
    for (size_t r = 0; r < s->rows; r++)
        loss += log_sum(s->logits + r * classes, classes) - s->logits[r * classes + s->labels[r]];
    return loss / (double)s->rows;
}

/* Of the mean cross-entropy: (softmax - one at the label) / rows. */
static void logits_back(const struct nb_stack *s, double *dlogits)
{
    const size_t classes = s->c.classes;
    for (size_t r = 0; r < s->rows; r++) {
        const double *z = s->logits + r * classes, sum = log_sum(z, classes);
        for (size_t i = 0; i < classes; i++)
            dlogits[r * classes + i] = (exp(z[i] - sum) - (i == s->labels[r])) / (double)s->rows;
    }
}

/* From the logits to p->gradient, that of x[2*depth]. */
static void top_back(const struct nb_stack *s, nb_stack_each *each, void *context)
{
    struct nb_stack_pass *p = s->pass;
    const size_t last = nb_stack_matrices(s) - 1, d = s->c.d;
    double *dlogits = malloc(s->rows * s->c.classes * sizeof *dlogits);
    NB_ASSERT(dlogits != NULL);
    logits_back(s, dlogits);
    product_back(s, features(s), nb_stack_matrix(s, last), dlogits, s->rows, d, s->c.classes, p->dweights[0], p->gradient);
    free(dlogits);
    if (is_pre(s)) {
        memcpy(p->dsum, p->gradient, s->rows * d * sizeof *p->dsum);
        norm_back(s, s->x + 2 * s->c.depth * s->rows * d, p->dsum, p->gradient);
    }
    each(context, last, nb_stack_matrix(s, last), p->dweights[0], nb_stack_elements(s, last));
}

void nb_stack_backward(struct nb_stack *s, nb_stack_each *each, void *context)
{
    top_back(s, each, context);
    for (size_t i = 2 * s->c.depth; i-- > 0 && !stopped(s);) {
        sublayer_backward(s, i, s->x + i * s->rows * s->c.d);
        for (size_t w = 2; w-- > 0;)
            each(context, 2 * i + w, nb_stack_matrix(s, 2 * i + w), s->pass->dweights[w], square(s));
    }
}
