#include "block.h"

#include "experiment.h"

#include "auto.h"
#include "stats.h"

#include <math.h>
#include <string.h>

enum { LINE = 64, PAGE = 4096 };

/* ---- norms ---- */

const char *nb_block_class_name(enum nb_class c)
{
    static const char *const names[NB_CLASSES] = {"unfused", "naive", "tuned"};
    return names[c];
}

/* That has all but the op of k; NULL: there is none. */
static const struct nb_kernel *sister(const struct nb_kernel *k, uint32_t op)
{
    for (size_t i = 0; k != NULL && i < nb_kernel_count(); i++) {
        const struct nb_kernel *s = nb_kernel_at(i);
        if (s->op == op && s->dir == k->dir && s->fuse == k->fuse && s->dtype == k->dtype && strcmp(s->algo, k->algo) == 0 &&
            strcmp(s->isa, k->isa) == 0 && strcmp(s->trick, k->trick) == 0)
            return s;
    }
    return NULL;
}

/* auto; prmsnorm has none, and takes what auto takes for rmsnorm. */
static const struct nb_kernel *tuned_forward(uint32_t op, const struct nb_problem *p)
{
    const struct nb_kernel *of_all = nb_call_find(op == NB_OP_PRMSNORM ? NB_OP_RMSNORM : op, NB_FWD, NB_FUSE_NONE, "auto", NB_F32, "");
    if (of_all == NULL || op != NB_OP_PRMSNORM)
        return of_all;
    struct nb_problem same = *p;
    const char *why;
    same.op = NB_OP_RMSNORM;
    same.k = 0;
    return sister(nb_auto_choose(of_all->isa, &same, nb_auto_level_of(&same, 1), same.rows, &why), op);
}

/* twopass with rows4, which SIMD has and scalar code has not. */
static const struct nb_kernel *tuned_backward(uint32_t op)
{
    const struct nb_kernel *plain = nb_call_find(op, NB_BWD, NB_FUSE_NONE, "twopass", NB_F32, "");
    if (plain == NULL)
        return NULL;
    struct nb_kernel four = *plain;
    four.trick = "rows4";
    const struct nb_kernel *k = sister(&four, op);
    return k != NULL ? k : plain;
}

const struct nb_kernel *nb_norms_kernel(uint32_t op, uint32_t dir, enum nb_class c, const struct nb_problem *p)
{
    if (c != NB_TUNED)
        return nb_call_find(op, dir, NB_FUSE_NONE, nb_block_class_name(c), NB_F32, "");
    return dir == NB_FWD ? tuned_forward(op, p) : tuned_backward(op);
}

/* prmsnorm: 6.25 %, rounded up (Zhang, Sennrich 2019) */
static struct nb_problem problem_of(uint32_t op, uint32_t dir, const struct nb_block *b, const struct nb_place *l)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem), .op = op, .dir = dir, .stats_out = dir == NB_FWD && b->shape.training,
                               .dtype = NB_F32, .param_dtype = NB_F32, .rows = b->shape.rows, .hidden = l->n, .ldx = l->ld, .ldy = l->ld,
                               .k = op == NB_OP_PRMSNORM ? (l->n + 15) / 16 : 0, .eps = 1e-5};
}

static bool make_one(struct nb_prepared *c, uint32_t op, uint32_t dir, enum nb_class class_of, const struct nb_block *b,
                     const struct nb_place *l)
{
    const struct nb_problem p = problem_of(op, dir, b, l);
    const struct nb_kernel *k = nb_norms_kernel(op, dir, class_of, &p);
    const bool beta = nb_op_facts(op)->beta, back = dir == NB_BWD, stats = b->shape.training;
    const struct nb_args a = {.x = l->x, .gamma = l->gamma, .beta = beta && !back ? l->beta : NULL, .y = back ? NULL : l->y,
                              .mean = stats && nb_op_facts(op)->centred ? l->mean : NULL, .rstd = stats ? l->rstd : NULL,
                              .dy = back ? l->dy : NULL, .dx = back ? l->dx : NULL, .dgamma = back ? l->dgamma : NULL,
                              .dbeta = back && beta ? l->dbeta : NULL};
    return k != NULL && nb_prepare(c, k, &p, &a);
}

bool nb_norms_make(struct nb_norms *norms, struct nb_block *b, bool none, uint32_t op, enum nb_class c)
{
    *norms = (struct nb_norms){.none = none, .op = op, .class_of = c};
    bool can = true;
    for (size_t i = 0; !none && can && i < b->places; i++) {
        can = make_one(&norms->forward[i], op, NB_FWD, c, b, &b->place[i]);
        if (can && b->shape.training)
            can = make_one(&norms->backward[i], op, NB_BWD, c, b, &b->place[i]);
    }
    return can;
}

void nb_norms_free(struct nb_norms *norms)
{
    for (size_t i = 0; i < NB_PLACES; i++) {
        nb_prepared_finish(&norms->forward[i]);
        nb_prepared_finish(&norms->backward[i]);
    }
}

/* Without a norm the clock is read, too: its cost is in every block alike. */
const float *nb_norms_forward(struct nb_norms *norms, const struct nb_block *b, size_t place)
{
    const uint64_t begin = nb_now();
    if (!norms->none)
        nb_prepared_run(&norms->forward[place]);
    norms->ns += nb_now() - begin;
    return norms->none ? b->place[place].x : b->place[place].y;
}

const float *nb_norms_backward(struct nb_norms *norms, const struct nb_block *b, size_t place)
{
    const uint64_t begin = nb_now();
    if (!norms->none)
        nb_prepared_run(&norms->backward[place]);
    norms->ns += nb_now() - begin;
    return norms->none ? b->place[place].dy : b->place[place].dx;
}

/* ---- memory ---- */

float *nb_block_floats(struct nb_block *b, size_t n)
{
    NB_ASSERT(b->arrays < NB_BLOCK_ARRAYS);
    const size_t shift = nb_random(&b->random) % (PAGE / LINE) * LINE,
                 bytes = (n * sizeof(float) + shift + PAGE - 1) / PAGE * PAGE;
    char *own = b->failed ? NULL : aligned_alloc(PAGE, bytes);
    if (own == NULL) {
        b->failed = true;
        return NULL;
    }
    b->owned[b->arrays++] = (float *)(void *)own;
    memset(own, 0, bytes);
    return (float *)(void *)(own + shift);
}

/* Uniform, of mean `about` and variance sd^2: two from one random number. */
static void fill(struct nb_block *b, float *v, size_t n, float about, float sd)
{
    const float scale = 2 * sd * 0x1.bb67aep0f * 0x1p-24f; /* sqrt(3) */
    for (size_t i = 0; v != NULL && i < n; i += 2) {
        const unsigned long long r = nb_random(&b->random);
        v[i] = about + ((float)(r >> 40) - 0x1p23f) * scale;
        if (i + 1 < n)
            v[i + 1] = about + ((float)(r >> 16 & 0xffffff) - 0x1p23f) * scale;
    }
}

void nb_block_weight(struct nb_block *b, size_t out, size_t in)
{
    struct nb_weight *w = &b->weight[b->weights++];
    *w = (struct nb_weight){out, in, nb_block_floats(b, out * in), b->shape.training ? nb_block_floats(b, out * in) : NULL};
    fill(b, w->w, out * in, 0, 1 / sqrtf((float)in));
}

void nb_block_place(struct nb_block *b, size_t n, size_t ld, float *x, float *y, float *dy, float *dx)
{
    struct nb_place *l = &b->place[b->places++];
    *l = (struct nb_place){.n = n, .ld = ld, .x = x, .y = y, .dy = dy, .dx = dx};
    l->gamma = nb_block_floats(b, n);
    l->beta = nb_block_floats(b, n);
    fill(b, l->gamma, n, 1, 0.1f);
    fill(b, l->beta, n, 0, 0.1f);
    if (b->shape.training) {
        l->mean = nb_block_floats(b, b->shape.rows);
        l->rstd = nb_block_floats(b, b->shape.rows);
        l->dgamma = nb_block_floats(b, n);
        l->dbeta = nb_block_floats(b, n);
    }
}

double nb_block_bytes(const struct nb_shape *s)
{
    const double d = (double)s->d, inner = (double)nb_transformer_inner(s);
    const double weights = s->gru ? 6 * d * d : 4 * d * d + (s->swiglu ? 3 : 2) * d * inner;
    return (s->training ? 2 : 1) * sizeof(float) * (weights + (double)s->rows * (16 * d + 3 * inner));
}

bool nb_block_make(struct nb_block *b, const struct nb_shape *s, nb_gemm *gemm, unsigned long long seed)
{
    *b = (struct nb_block){.shape = *s, .gemm = gemm, .loops = nb_loops(), .random = seed};
    const size_t n = s->rows * s->d;
    b->x = nb_block_floats(b, n);
    b->y = nb_block_floats(b, n);
    fill(b, b->x, n, 0, 1);
    if (s->training) {
        b->dy = nb_block_floats(b, n);
        b->dx = nb_block_floats(b, n);
        fill(b, b->dy, n, 0, 1);
    }
    (s->gru ? nb_gru_make : nb_transformer_make)(b);
    if (s->gru)
        fill(b, b->state, n, 0, 0.5f);
    return !b->failed;
}

void nb_block_close(struct nb_block *b)
{
    for (size_t i = 0; i < b->arrays; i++)
        free(b->owned[i]);
    *b = (struct nb_block){0};
}

/* ---- a pass ---- */

void nb_weight_forward(const struct nb_block *b, size_t weight, const float *x, float *y)
{
    const struct nb_weight *w = &b->weight[weight];
    b->gemm(false, true, b->shape.rows, w->out, w->in, 1, x, w->in, w->w, w->in, 0, y, w->out);
}

void nb_weight_backward(const struct nb_block *b, size_t weight, const float *x, const float *dy, float *dx)
{
    const struct nb_weight *w = &b->weight[weight];
    if (dx != NULL)
        b->gemm(false, false, b->shape.rows, w->in, w->out, 1, dy, w->out, w->w, w->in, 0, dx, w->in);
    b->gemm(true, false, w->out, w->in, b->shape.rows, 1, dy, w->out, x, w->in, 0, w->g, w->in);
}

void nb_block_forward(struct nb_block *b, struct nb_norms *norms)
{
    (b->shape.gru ? nb_gru_forward : nb_transformer_forward)(b, norms);
}

void nb_block_backward(struct nb_block *b, struct nb_norms *norms)
{
    (b->shape.gru ? nb_gru_backward : nb_transformer_backward)(b, norms);
}

size_t nb_block_parts(const struct nb_block *b, const struct nb_norms *norms, struct nb_part *parts)
{
    size_t n = 0;
    parts[n++] = (struct nb_part){"x", b->x, b->dx, b->shape.rows * b->shape.d};
    if (b->shape.gru)
        parts[n++] = (struct nb_part){"state", b->state, b->dstate, b->shape.rows * b->shape.d};
    for (size_t i = 0; i < b->weights; i++)
        parts[n++] = (struct nb_part){"weight", b->weight[i].w, b->weight[i].g, b->weight[i].out * b->weight[i].in};
    for (size_t i = 0; !norms->none && i < b->places; i++) {
        parts[n++] = (struct nb_part){"gamma", b->place[i].gamma, b->place[i].dgamma, b->place[i].n};
        if (nb_op_facts(norms->op)->beta)
            parts[n++] = (struct nb_part){"beta", b->place[i].beta, b->place[i].dbeta, b->place[i].n};
    }
    return n;
}
