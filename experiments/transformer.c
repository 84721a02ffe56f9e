/* transformer.c: a pre-norm block of block.h. Weights: 0 queries, keys and values [3d][d]; 1 behind attention [d][d]; 2 into the
 * FFN [inner, of swiglu twice: first what is activated, then its gate][d]; 3 out of it [d][inner]. */
#include "block.h"

#include <math.h>

size_t nb_transformer_inner(const struct nb_shape *s)
{
    return s->swiglu ? (8 * s->d / 3 + 255) / 256 * 256 : 4 * s->d;
}

void nb_transformer_make(struct nb_block *b)
{
    const size_t d = b->shape.d, n = b->shape.rows, inner = nb_transformer_inner(&b->shape), wide = (b->shape.swiglu ? 2 : 1) * inner,
                 square = d / NB_HEAD * n * n;
    const bool back = b->shape.training;
    b->u.t.inner = inner;
    b->u.t.qkv = nb_block_floats(b, n * 3 * d);
    b->u.t.p = nb_block_floats(b, square);
    b->u.t.o = nb_block_floats(b, n * d);
    b->u.t.h = nb_block_floats(b, n * d);
    b->u.t.f = nb_block_floats(b, n * wide);
    b->u.t.g = nb_block_floats(b, n * inner);
    b->u.t.dqkv = back ? nb_block_floats(b, n * 3 * d) : NULL;
    b->u.t.dp = back ? nb_block_floats(b, n * n) : NULL;
    b->u.t.da = back ? nb_block_floats(b, n * d) : NULL;
    b->u.t.dh = back ? nb_block_floats(b, n * d) : NULL;
    b->u.t.df = back ? nb_block_floats(b, n * wide) : NULL;
    b->u.t.dg = back ? nb_block_floats(b, n * inner) : NULL;
    /* Both norms write their gradients to the same place: it is used up in between. */
    float *dx = back ? nb_block_floats(b, n * d) : NULL;
    nb_block_place(b, d, d, b->x, nb_block_floats(b, n * d), b->u.t.da, dx);
    nb_block_place(b, d, d, b->u.t.h, nb_block_floats(b, n * d), b->u.t.da, dx);
    nb_block_weight(b, 3 * d, d);
    nb_block_weight(b, d, d);
    nb_block_weight(b, wide, d);
    nb_block_weight(b, d, inner);
}

/* ---- attention: P = softmax(Q K^T / 8) of each head, causal; O = P V ---- */

static void attention(const struct nb_block *b)
{
    const size_t d = b->shape.d, n = b->shape.rows;
    const float scale = 1 / sqrtf(NB_HEAD);
    for (size_t head = 0; head < d / NB_HEAD; head++) {
        const float *q = b->u.t.qkv + head * NB_HEAD, *k = q + d, *v = k + d;
        float *p = b->u.t.p + head * n * n;
        b->gemm(false, true, n, n, NB_HEAD, scale, q, 3 * d, k, 3 * d, 0, p, n);
        for (size_t r = 0; r < n; r++) {
            b->loops->softmax(r + 1, p + r * n);
            for (size_t c = r + 1; c < n; c++)
                p[r * n + c] = 0;
        }
        b->gemm(false, false, n, NB_HEAD, n, 1, p, n, v, 3 * d, 0, b->u.t.o + head * NB_HEAD, d);
    }
}

/* dS = P (dP - sum of dP P along the row); what lies ahead has P = 0 */
static void softmax_back(size_t n, const float *p, float *dp)
{
    for (size_t r = 0; r < n; r++, p += n, dp += n) {
        float sum = 0;
        for (size_t c = 0; c < n; c++)
            sum += dp[c] * p[c];
        for (size_t c = 0; c < n; c++)
            dp[c] = p[c] * (dp[c] - sum);
    }
}

static void attention_back(const struct nb_block *b, const float *d_o)
{
    const size_t d = b->shape.d, n = b->shape.rows;
    const float scale = 1 / sqrtf(NB_HEAD);
    float *dp = b->u.t.dp;
    for (size_t head = 0; head < d / NB_HEAD; head++) {
        const size_t at = head * NB_HEAD;
        const float *q = b->u.t.qkv + at, *k = q + d, *v = k + d, *p = b->u.t.p + head * n * n;
        float *dq = b->u.t.dqkv + at, *dk = dq + d, *dv = dk + d;
        b->gemm(true, false, n, NB_HEAD, n, 1, p, n, d_o + at, d, 0, dv, 3 * d);
        b->gemm(false, true, n, n, NB_HEAD, 1, d_o + at, d, v, 3 * d, 0, dp, n);
        softmax_back(n, p, dp);
        b->gemm(false, false, n, NB_HEAD, n, scale, dp, n, k, 3 * d, 0, dq, 3 * d);
        b->gemm(true, false, n, NB_HEAD, n, scale, dp, n, q, 3 * d, 0, dk, 3 * d);
    }
}

/* ---- FFN ---- */

static void activation(const struct nb_block *b)
{
    const size_t inner = b->u.t.inner, n = b->shape.rows;
    if (!b->shape.swiglu)
        b->loops->activate(NB_GELU, n * inner, b->u.t.f, NULL, b->u.t.g);
    for (size_t r = 0; b->shape.swiglu && r < n; r++) {
        const float *f = b->u.t.f + r * 2 * inner;
        b->loops->activate(NB_SWIGLU, inner, f, f + inner, b->u.t.g + r * inner);
    }
}

static void activation_back(const struct nb_block *b)
{
    const size_t inner = b->u.t.inner, n = b->shape.rows;
    if (!b->shape.swiglu)
        b->loops->gelu_back(n * inner, b->u.t.f, b->u.t.dg, b->u.t.df);
    for (size_t r = 0; b->shape.swiglu && r < n; r++) {
        const float *f = b->u.t.f + r * 2 * inner;
        float *df = b->u.t.df + r * 2 * inner;
        b->loops->swiglu_back(inner, f, f + inner, b->u.t.dg + r * inner, df, df + inner);
    }
}

/* ---- the block ---- */

void nb_transformer_forward(struct nb_block *b, struct nb_norms *norms)
{
    const size_t size = b->shape.rows * b->shape.d;
    nb_weight_forward(b, 0, nb_norms_forward(norms, b, 0), b->u.t.qkv);
    attention(b);
    nb_weight_forward(b, 1, b->u.t.o, b->u.t.h);
    b->loops->accumulate(size, b->x, b->u.t.h);
    nb_weight_forward(b, 2, nb_norms_forward(norms, b, 1), b->u.t.f);
    activation(b);
    nb_weight_forward(b, 3, b->u.t.g, b->y);
    b->loops->accumulate(size, b->u.t.h, b->y);
}

void nb_transformer_backward(struct nb_block *b, struct nb_norms *norms)
{
    const size_t size = b->shape.rows * b->shape.d;
    const struct nb_place *first = &b->place[0], *second = &b->place[1];
    nb_weight_backward(b, 3, b->u.t.g, b->dy, b->u.t.dg);
    activation_back(b);
    nb_weight_backward(b, 2, norms->none ? second->x : second->y, b->u.t.df, second->dy);
    b->loops->add(size, b->dy, nb_norms_backward(norms, b, 1), b->u.t.dh);
    nb_weight_backward(b, 1, b->u.t.o, b->u.t.dh, b->u.t.da);
    attention_back(b, b->u.t.da);
    nb_weight_backward(b, 0, norms->none ? first->x : first->y, b->u.t.dqkv, first->dy);
    b->loops->add(size, b->u.t.dh, nb_norms_backward(norms, b, 0), b->dx);
}
