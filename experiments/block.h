/* block.h: a whole block of a model around its norms, forward and backward, in f32: what a norm's time is a share of.
 *
 * transformer  pre-norm, causal attention with heads of 64, then an FFN; without biases, as Llama and PaLM have it:
 *                a = norm(x), h = x + Wo attention(Wqkv a), y = h + W2 activation(W1 norm(h))
 *              FFN: gelu of 4d, or swiglu of 8d/3 rounded up to a multiple of 256. Xiong et al. 2020 (where the norms stand),
 *              Shazeer 2020 (swiglu)
 * gru          one time step, a norm of what the input and one of what the state gives, gates and candidate apart: Ba, Kiros, Hinton
 *              2016, supplement; Cho et al. 2014
 *                z, r = sigma(norm(Wzr x) + norm(Uzr h)), c = tanh(norm(Wc x) + r norm(Uc h)), y = (1 - z) c + z h
 *
 * Shapes    x, y and their gradients [rows][d]; weights [out][in], used as x W^T
 * Units     lengths in elements, time in ns
 * Memory    everything is allocated by nb_block_make and nb_norms_make; forward and backward allocate nothing. Each array begins
 *           at a line of its own, so many lines behind a page as the seed says: other processes have other places */
#ifndef NB_BLOCK_H
#define NB_BLOCK_H

#include "activations.h"
#include "blas.h"
#include "call.h"

struct nb_shape {
    bool gru, swiglu;
    bool training; /* there is a backward pass */
    size_t d, rows; /* rows: tokens of one sequence; of a gru the batch */
};

enum { NB_PLACES = 4, NB_WEIGHTS = 4, NB_HEAD = 64, NB_BLOCK_ARRAYS = 64 };

/* Where a norm stands: x [rows][n] becomes y, row stride ld for all four. */
struct nb_place {
    size_t n, ld;
    float *x, *y;
    float *dy, *dx;
    float *gamma, *beta, *mean, *rstd, *dgamma, *dbeta;
};

struct nb_weight {
    size_t out, in;
    float *w, *g; /* g: its gradient */
};

/* What a test moves: an input or a parameter, and its gradient. */
struct nb_part {
    const char *name;
    float *value, *gradient;
    size_t n;
};

struct nb_block {
    struct nb_shape shape;
    nb_gemm *gemm;
    const struct nb_loops *loops;
    struct nb_place place[NB_PLACES];
    struct nb_weight weight[NB_WEIGHTS];
    size_t places, weights;
    float *x, *state, *y;    /* state: of a gru */
    float *dy, *dx, *dstate; /* dy is given */
    union {
        struct {
            size_t inner;        /* of the FFN, behind its activation */
            float *qkv, *p, *o;  /* [rows][3d], [heads][rows][rows], [rows][d] */
            float *h, *f, *g;    /* [rows][d], [rows][inner, swiglu twice], [rows][inner] */
            float *dqkv, *dp, *da, *dh, *df, *dg;
        } t;
        struct {
            float *z, *r, *c; /* [rows][d] */
        } gru;
    } u;
    float *owned[NB_BLOCK_ARRAYS];
    size_t arrays;
    bool failed; /* there was no memory */
    unsigned long long random;
};

/* ---- norms ---- */

enum nb_class {
    NB_UNFUSED, /* one primitive after the other */
    NB_NAIVE,   /* the formula in one function */
    NB_TUNED,   /* the best known */
    NB_CLASSES
};
const char *nb_block_class_name(enum nb_class c);

/* One norm at all places of a block; none: nothing is there, nothing is copied. */
struct nb_norms {
    bool none;
    uint32_t op;
    enum nb_class class_of;
    struct nb_prepared forward[NB_PLACES], backward[NB_PLACES];
    uint64_t ns; /* in norms, since somebody made it 0 */
};

/* NULL: there is none here. */
const struct nb_kernel *nb_norms_kernel(uint32_t op, uint32_t dir, enum nb_class c, const struct nb_problem *p);

/* of b, whose arrays it uses: y and the gradients are those of whichever norm ran last. False: no kernel does it. */
bool nb_norms_make(struct nb_norms *norms, struct nb_block *b, bool none, uint32_t op, enum nb_class c);
void nb_norms_free(struct nb_norms *norms);

/* ---- blocks ---- */

/* Bytes that a block takes. */
double nb_block_bytes(const struct nb_shape *s);

/* Weights of variance 1/in, input and dy of variance 1, gamma about 1, beta about 0, all from the seed. False: no memory; it must
 * be freed nevertheless. */
bool nb_block_make(struct nb_block *b, const struct nb_shape *s, nb_gemm *gemm, unsigned long long seed);
void nb_block_close(struct nb_block *b);

void nb_block_forward(struct nb_block *b, struct nb_norms *norms);
void nb_block_backward(struct nb_block *b, struct nb_norms *norms); /* after forward of the same norms: gradients of sum(y dy) */

/* Input and parameters: how many, at most 2 + NB_WEIGHTS + 2 NB_PLACES. beta is among them where the norms have one. */
size_t nb_block_parts(const struct nb_block *b, const struct nb_norms *norms, struct nb_part *parts);

/* ---- for transformer.c and gru.c ---- */

float *nb_block_floats(struct nb_block *b, size_t n); /* NULL, and b->failed, where there is no memory; zeroed */
void nb_block_place(struct nb_block *b, size_t n, size_t ld, float *x, float *y, float *dy, float *dx);
void nb_block_weight(struct nb_block *b, size_t out, size_t in);

/* y of a place, made from its x; x itself where there is no norm. Backward: dx, made from dy. */
const float *nb_norms_forward(struct nb_norms *norms, const struct nb_block *b, size_t place);
const float *nb_norms_backward(struct nb_norms *norms, const struct nb_block *b, size_t place);

/* y = x W^T; dx = dy W, g = dy^T x. Dense rows. dx NULL: it is not wanted. */
void nb_weight_forward(const struct nb_block *b, size_t weight, const float *x, float *y);
void nb_weight_backward(const struct nb_block *b, size_t weight, const float *x, const float *dy, float *dx);

void nb_transformer_make(struct nb_block *b);
void nb_transformer_forward(struct nb_block *b, struct nb_norms *norms);
void nb_transformer_backward(struct nb_block *b, struct nb_norms *norms);
size_t nb_transformer_inner(const struct nb_shape *s);
void nb_gru_make(struct nb_block *b);
void nb_gru_forward(struct nb_block *b, struct nb_norms *norms);
void nb_gru_backward(struct nb_block *b, struct nb_norms *norms);

#endif
