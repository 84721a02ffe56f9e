/* onednn.c: oneDNN's layer normalization primitive as kernels, for its C API of 2.x
 * and 3.x.
 *
 * Computes  layernorm: y = (x-mean)/sqrt(var+eps)*gamma + beta. rmsnorm, where the
 *           library has the flag: y = x/sqrt(mean(x^2)+eps)*gamma + beta. Backward: dx,
 *           dgamma and, of layernorm, dbeta from x, dy, gamma and the saved statistics
 * prepare   creates a primitive for each slice of rows, with a stream, memory objects and
 *           a scratchpad of its own, so that threads share nothing. Gamma and beta in 16
 *           bits are widened there: the library's take f32
 * run       hands over the addresses and executes. It works in the calling thread alone.
 *           Wanted statistics: the library gives the variance, which run turns into rstd.
 *           Backward it takes the variance and is given rstd: run makes one of the other,
 *           a division and a product a row, which are part of its time as of no network's
 *           that keeps what the library saves
 * reduce    backward: the slices' sums, in f32, are added and stored as gamma's type. One
 *           slice of f32 parameters is written by the library where it belongs
 * Refused   rows with gaps: the fast code steps by hidden whatever strides it is given;
 *           options it does not have; what would run as its reference code
 * Aliasing  y may equal x; backward none
 * Error     twopass, in the order of jit_uni_layer_normalization; at `bounds` below
 * Source    github.com/uxlfoundation/oneDNN */
#include "onednn.h"

#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
#include <omp.h>
#endif

/* ---- what 2.x and 3.x say differently ---- */

/* What a primitive is asked for. */
struct request {
    dnnl_data_type_t type;
    dnnl_prop_kind_t kind;
    dnnl_dim_t rows, hidden;
    float eps;
    unsigned flags;
};

/* Descriptors of x, y and their gradients; of mean and variance; of gamma, beta and
 * theirs. */
struct layouts {
    dnnl_memory_desc_t rows, stats, params;
};

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t layout;
#define LAYOUT(md) (md)

static bool layout_make(dnnl_memory_desc_t *md, int dims, const dnnl_dims_t size,
                        dnnl_data_type_t type, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(md, dims, size, type, strides) ==
           dnnl_success;
}

static void layout_free(dnnl_memory_desc_t md)
{
    dnnl_memory_desc_destroy(md);
}

static dnnl_status_t describe(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const struct request *r, const struct layouts *l,
                              const_dnnl_primitive_attr_t attr,
                              const_dnnl_primitive_desc_t forward)
{
    if (r->kind == dnnl_backward)
        return dnnl_layer_normalization_backward_primitive_desc_create(
            pd, engine, r->kind, l->rows, l->rows, l->rows, l->stats, r->eps, r->flags,
            forward, attr);
    return dnnl_layer_normalization_forward_primitive_desc_create(
        pd, engine, r->kind, l->rows, l->rows, l->stats, r->eps, r->flags, attr);
}

static bool is_fast(const char *code)
{
    return strncmp(code, "jit", 3) == 0;
}
#else
typedef const dnnl_memory_desc_t *layout;
#define LAYOUT(md) (&(md))

static bool layout_make(dnnl_memory_desc_t *md, int dims, const dnnl_dims_t size,
                        dnnl_data_type_t type, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(md, dims, size, type, strides) ==
           dnnl_success;
}

static void layout_free(dnnl_memory_desc_t md)
{
    (void)md;
}

static dnnl_status_t describe(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                              const struct request *r, const struct layouts *l,
                              const_dnnl_primitive_attr_t attr,
                              const_dnnl_primitive_desc_t forward)
{
    dnnl_layer_normalization_desc_t d;
    const dnnl_status_t s =
        r->kind == dnnl_backward
            ? dnnl_layer_normalization_backward_desc_init(&d, r->kind, &l->rows, &l->rows,
                                                          &l->stats, r->eps, r->flags)
            : dnnl_layer_normalization_forward_desc_init(&d, r->kind, &l->rows, &l->stats,
                                                         r->eps, r->flags);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, forward)
                             : s;
}

/* Its generated code goes by the name of the loops around it. */
static bool is_fast(const char *code)
{
    return strncmp(code, "ref", 3) != 0;
}
#endif

/* ---- descriptions ---- */

static bool layouts_make(struct layouts *l, const struct request *r)
{
    const dnnl_dims_t matrix = {r->rows, r->hidden}, steps = {r->hidden, 1}, one = {1};
    const dnnl_dims_t stats = {r->rows}, params = {r->hidden};
    *l = (struct layouts){0};
    return layout_make(&l->rows, 2, matrix, r->type, steps) &&
           layout_make(&l->stats, 1, stats, dnnl_f32, one) &&
           layout_make(&l->params, 1, params, dnnl_f32, one);
}

static void layouts_free(struct layouts *l)
{
    layout_free(l->rows);
    layout_free(l->stats);
    layout_free(l->params);
}

/* The scratchpad is the caller's: the library's own belongs to the thread that created
 * the primitive. */
static bool make_attr(dnnl_primitive_attr_t *attr)
{
    return dnnl_primitive_attr_create(attr) == dnnl_success &&
           dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) ==
               dnnl_success;
}

/* Backward it asks for the pass forward that it belongs to. */
static bool make_description(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const struct request *r, const struct layouts *l)
{
    struct request forward = *r;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL;
    forward.kind = dnnl_forward_training;
    const bool made =
        make_attr(&attr) &&
        (r->kind != dnnl_backward ||
         describe(&hint, engine, &forward, l, attr, NULL) == dnnl_success) &&
        describe(pd, engine, r, l, attr, hint) == dnnl_success;
    dnnl_primitive_desc_destroy(hint);
    dnnl_primitive_attr_destroy(attr);
    return made;
}

static dnnl_data_type_t type_of(uint32_t dtype)
{
    return dtype == NB_BF16 ? dnnl_bf16 : dtype == NB_F16 ? dnnl_f16 : dnnl_f32;
}

static size_t bytes_of(uint32_t dtype)
{
    return dtype == NB_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* Backward eps is part of the variance that it is given. */
static struct request make_request(const struct nb_problem *p, size_t rows, bool gamma,
                                   bool beta)
{
    struct request r = {
        .type = type_of(p->dtype),
        .kind = p->dir == NB_BWD ? dnnl_backward
                : p->stats_out   ? dnnl_forward_training
                                 : dnnl_forward_inference,
        .rows = (dnnl_dim_t)rows,
        .hidden = (dnnl_dim_t)p->hidden,
        .eps = p->dir == NB_BWD ? 0 : (float)p->eps,
    };
    if (gamma)
        r.flags |= dnnl_use_scale;
    if (beta)
        r.flags |= dnnl_use_shift;
#if NB_ONEDNN_RMS
    if (p->op == NB_OP_RMSNORM)
        r.flags |= dnnl_rms_norm;
#endif
    return r;
}

/* ---- one slice of the rows ---- */

/* The first four are rows, the next four parameters, then statistics. */
enum {
    SRC,
    DST,
    DIFF_SRC,
    DIFF_DST,
    GAMMA,
    BETA,
    DIFF_GAMMA,
    DIFF_BETA,
    MEAN,
    VARIANCE,
    SCRATCHPAD,
    ARGUMENTS
};

static const int ARGUMENT[ARGUMENTS] = {
    DNNL_ARG_SRC,   DNNL_ARG_DST,      DNNL_ARG_DIFF_SRC,   DNNL_ARG_DIFF_DST,
    DNNL_ARG_SCALE, DNNL_ARG_SHIFT,    DNNL_ARG_DIFF_SCALE, DNNL_ARG_DIFF_SHIFT,
    DNNL_ARG_MEAN,  DNNL_ARG_VARIANCE, DNNL_ARG_SCRATCHPAD,
};

/* A line of its own, for one thread at a time. */
struct slice {
    _Alignas(64) dnnl_primitive_t primitive; /* NULL: no rows */
    dnnl_stream_t stream;
    dnnl_memory_t memory[ARGUMENTS]; /* NULL: not an argument */
    dnnl_exec_arg_t args[ARGUMENTS];
    int count;
};

struct state {
    struct nb_problem problem;
    dnnl_engine_t engine;
    float *gamma, *beta; /* widened, or ones; NULL: those of the call */
    uint32_t parts;
    struct slice *slices;
};

static size_t first_row(const struct state *s, uint32_t part)
{
    return s->problem.rows * part / s->parts;
}

/* One more argument of the primitive; it has no address yet, but for the scratchpad. */
static bool add_memory(struct slice *t, int which, layout l, dnnl_engine_t engine)
{
    void *at = which == SCRATCHPAD ? DNNL_MEMORY_ALLOCATE : DNNL_MEMORY_NONE;
    if (dnnl_memory_create(&t->memory[which], l, engine, at) != dnnl_success)
        return false;
    t->args[t->count++] = (dnnl_exec_arg_t){ARGUMENT[which], t->memory[which]};
    return true;
}

/* A bit for each. 2.x counts beta among what it reads backward, and does not read it. */
static unsigned wanted_of(const struct request *r, const struct nb_problem *p)
{
    const bool back = r->kind == dnnl_backward, stats = back || p->stats_out;
    unsigned wanted = 1u << SRC | 1u << SCRATCHPAD;
    wanted |= back ? 1u << DIFF_SRC | 1u << DIFF_DST : 1u << DST;
    if (r->flags & dnnl_use_scale)
        wanted |= 1u << GAMMA | (back ? 1u << DIFF_GAMMA : 0);
    if (r->flags & dnnl_use_shift)
        wanted |= 1u << BETA | (back ? 1u << DIFF_BETA : 0);
    if (stats)
        wanted |= 1u << VARIANCE | (p->op == NB_OP_LAYERNORM ? 1u << MEAN : 0);
    return wanted;
}

static layout layout_of(int which, const struct layouts *l,
                        const_dnnl_primitive_desc_t pd)
{
    if (which == SCRATCHPAD)
        return dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    return which < GAMMA  ? LAYOUT(l->rows)
           : which < MEAN ? LAYOUT(l->params)
                          : LAYOUT(l->stats);
}

static bool add_memories(struct slice *t, const struct state *s, const struct request *r,
                         const struct layouts *l, const_dnnl_primitive_desc_t pd)
{
    const unsigned wanted = wanted_of(r, &s->problem);
    for (int which = 0; which < ARGUMENTS; which++)
        if ((wanted >> which & 1) &&
            !add_memory(t, which, layout_of(which, l, pd), s->engine))
            return false;
    return true;
}

static bool slice_make(struct slice *t, const struct state *s, const struct request *r)
{
    struct layouts l;
    dnnl_primitive_desc_t pd = NULL;
    const bool made = layouts_make(&l, r) && make_description(&pd, s->engine, r, &l) &&
                      dnnl_primitive_create(&t->primitive, pd) == dnnl_success &&
                      dnnl_stream_create(&t->stream, s->engine,
                                         dnnl_stream_default_flags) == dnnl_success &&
                      add_memories(t, s, r, &l, pd);
    dnnl_primitive_desc_destroy(pd);
    layouts_free(&l);
    return made;
}

static void slice_free(struct slice *t)
{
    for (int i = 0; i < ARGUMENTS; i++)
        dnnl_memory_destroy(t->memory[i]);
    dnnl_stream_destroy(t->stream);
    dnnl_primitive_destroy(t->primitive);
}

/* ---- one thread ---- */

/* Outside of a parallel region the library would take all threads that it may have; of
 * those that it may have when a primitive is made it keeps the number. */
static int alone_begin(void)
{
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
#else
    return 1;
#endif
}

static void alone_end(int before)
{
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    omp_set_num_threads(before);
#else
    (void)before;
#endif
}

/* ---- 16 bits ---- */

/* bf16 is the upper half of an f32; f16 has 5 bits of exponent, biased by 15 and not 127.
 */
static float widen(uint32_t dtype, uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    if (dtype == NB_F16)
        wide = (bits & 0x7c00u) == 0x7c00u ? 0x7f800000u | (bits & 0x3ffu) << 13
                                           : (bits & 0x7fffu) << 13;
    memcpy(&value, &wide, sizeof value);
    if (dtype == NB_F16)
        value = copysignf(value * 0x1p112f, bits & 0x8000u ? -1.0f : 1.0f);
    return value;
}

static uint16_t narrow_bf16(uint32_t bits)
{
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (uint16_t)((nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/* Below 2^-14 the f16 are multiples of 2^-24, and so are the floats of [.5, 1); from
 * 65520 on they round to Inf. */
static uint16_t narrow_f16(uint32_t bits, float size)
{
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u;
    if (size >= 65520)
        return sign | 0x7c00u;
    if (size < 0x1p-14f)
        return (uint16_t)(sign | (uint16_t)((size + 0.5f - 0.5f) * 0x1p24f));
    return (uint16_t)(sign |
                      (magnitude + 0xfffu + (magnitude >> 13 & 1) - 0x38000000u) >> 13);
}

/* To the nearest, ties to even. */
static void store_param(uint32_t dtype, void *to, size_t i, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (dtype == NB_F32)
        ((float *)to)[i] = value;
    else
        ((uint16_t *)to)[i] =
            dtype == NB_BF16 ? narrow_bf16(bits) : narrow_f16(bits, fabsf(value));
}

/* ---- prepare, run, finish ---- */

/* True where there is nothing to widen. */
static bool widen_params(float **wide, const struct nb_problem *p, const void *narrow)
{
    if (narrow == NULL || p->param_dtype == NB_F32)
        return true;
    *wide = malloc(p->hidden * sizeof **wide);
    for (size_t i = 0; *wide != NULL && i < p->hidden; i++)
        (*wide)[i] = widen(p->param_dtype, ((const uint16_t *)narrow)[i]);
    return *wide != NULL;
}

/* A gradient of gamma is wanted of a norm without one, too. */
static bool ones_for_none(float **gamma, const struct nb_problem *p, const void *given)
{
    if (given != NULL || p->dir != NB_BWD)
        return true;
    *gamma = malloc(p->hidden * sizeof **gamma);
    for (size_t i = 0; *gamma != NULL && i < p->hidden; i++)
        (*gamma)[i] = 1;
    return *gamma != NULL;
}

static void finish(void *state)
{
    struct state *s = state;
    if (s == NULL)
        return;
    for (uint32_t part = 0; s->slices != NULL && part < s->parts; part++)
        slice_free(&s->slices[part]);
    dnnl_engine_destroy(s->engine);
    free(s->slices);
    free(s->gamma);
    free(s->beta);
    free(s);
}

static bool slices_make(struct state *s, bool gamma, bool beta)
{
    s->slices = aligned_alloc(_Alignof(struct slice), s->parts * sizeof *s->slices);
    if (s->slices == NULL)
        return false;
    memset(s->slices, 0, s->parts * sizeof *s->slices);
    for (uint32_t part = 0; part < s->parts; part++) {
        const size_t rows = first_row(s, part + 1) - first_row(s, part);
        const struct request r = make_request(&s->problem, rows, gamma, beta);
        if (rows > 0 && !slice_make(&s->slices[part], s, &r))
            return false;
    }
    return true;
}

static bool state_make(struct state *s, const struct nb_args *a)
{
    const struct nb_problem *p = &s->problem;
    const bool back = p->dir == NB_BWD;
    return dnnl_engine_create(&s->engine, dnnl_cpu, 0) == dnnl_success &&
           widen_params(&s->gamma, p, a->gamma) && widen_params(&s->beta, p, a->beta) &&
           ones_for_none(&s->gamma, p, a->gamma) &&
           slices_make(s, back || a->gamma != NULL,
                       back ? p->op == NB_OP_LAYERNORM : a->beta != NULL);
}

/* NULL: the library refused or memory is short; run then writes nothing. */
static void *prepare(const struct nb_problem *p, const struct nb_args *a)
{
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->problem = *p;
    s->parts = a->parts;
    const int threads = alone_begin();
    const bool made = state_make(s, a);
    alone_end(threads);
    if (made)
        return s;
    finish(s);
    return NULL;
}

static void point_to(const struct slice *t, int which, const void *at)
{
    if (t->memory[which] != NULL)
        dnnl_memory_set_data_handle(t->memory[which], (void *)(uintptr_t)at);
}

static dnnl_status_t execute_alone(const struct slice *t)
{
    const int threads = alone_begin();
    dnnl_status_t s = dnnl_primitive_execute(t->primitive, t->stream, t->count, t->args);
    if (s == dnnl_success)
        s = dnnl_stream_wait(t->stream);
    alone_end(threads);
    return s;
}

static void run(const void *state, const struct nb_args *a)
{
    const struct state *s = state;
    if (s == NULL || a->parts != s->parts || s->slices[a->part].primitive == NULL)
        return;
    const struct slice *t = &s->slices[a->part];
    const struct nb_problem *p = &s->problem;
    const size_t first = first_row(s, a->part), last = first_row(s, a->part + 1);
    const size_t at = first * p->hidden * bytes_of(p->dtype);
    float *mean = p->stats_out ? a->mean : NULL, *rstd = p->stats_out ? a->rstd : NULL;
    point_to(t, SRC, (const char *)a->x + at);
    point_to(t, DST, (char *)a->y + at);
    point_to(t, GAMMA, s->gamma ? s->gamma : a->gamma);
    point_to(t, BETA, s->beta ? s->beta : a->beta);
    if (p->stats_out) {
        point_to(t, MEAN, mean + first);
        point_to(t, VARIANCE, rstd + first);
    }
    if (execute_alone(t) != dnnl_success || !p->stats_out)
        return;
    for (size_t r = first; r < last; r++)
        rstd[r] = 1 / sqrtf(rstd[r] + (float)p->eps);
}

/* ---- backward ---- */

enum { FLOATS_OF_LINE = 16 };

static size_t whole_lines(size_t floats)
{
    return (floats + FLOATS_OF_LINE - 1) / FLOATS_OF_LINE * FLOATS_OF_LINE;
}

/* A part's scratch: the sums over its rows, then their variances. */
static size_t scratch_bytes(const struct nb_problem *p, uint32_t parts)
{
    return (2 * whole_lines(p->hidden) + p->rows / parts + 1) * sizeof(float);
}

struct shares {
    float *dgamma, *dbeta;
};

/* Where the library writes sums that are whole and of their type. */
static bool is_direct(const struct state *s, const struct nb_args *a)
{
    return s->parts == 1 && s->problem.param_dtype == NB_F32 && a->dgamma != NULL &&
           (a->dbeta != NULL || s->problem.op != NB_OP_LAYERNORM);
}

static struct shares shares_of(const struct state *s, const struct nb_args *a)
{
    float *own = a->scratch;
    if (is_direct(s, a))
        return (struct shares){a->dgamma, a->dbeta};
    return (struct shares){own, own + whole_lines(s->problem.hidden)};
}

/* Zeros of no rows; of a failure 0xff, which is NaN. */
static void fill_shares(const struct state *s, struct shares to, int byte)
{
    memset(to.dgamma, byte, s->problem.hidden * sizeof *to.dgamma);
    if (to.dbeta != NULL)
        memset(to.dbeta, byte, s->problem.hidden * sizeof *to.dbeta);
}

/* The library adds eps, which is 0 here, and takes the root: of a square that is s again.
 */
static void make_variances(float *variance, const float *rstd, size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        const float sigma = 1 / rstd[r];
        variance[r] = sigma * sigma;
    }
}

static void point_back(const struct state *s, const struct nb_args *a, struct shares to,
                       const float *variance)
{
    const struct slice *t = &s->slices[a->part];
    const size_t first = first_row(s, a->part);
    const size_t at = first * s->problem.hidden * bytes_of(s->problem.dtype);
    const float *gamma = s->gamma ? s->gamma : a->gamma, *mean = a->mean;
    const void *addresses[] = {
        [SRC] = (const char *)a->x + at,
        [DST] = NULL,
        [DIFF_SRC] = (char *)a->dx + at,
        [DIFF_DST] = (const char *)a->dy + at,
        [GAMMA] = gamma,
        [BETA] = gamma,
        [DIFF_GAMMA] = to.dgamma,
        [DIFF_BETA] = to.dbeta,
        [MEAN] = mean != NULL ? mean + first : NULL,
        [VARIANCE] = variance,
    };
    for (int which = 0; which < SCRATCHPAD; which++)
        point_to(t, which, addresses[which]);
}

static void run_back(const void *state, const struct nb_args *a)
{
    const struct state *s = state;
    if (s == NULL || a->parts != s->parts)
        return;
    const struct shares to = shares_of(s, a);
    const size_t first = first_row(s, a->part), last = first_row(s, a->part + 1);
    float *variance = (float *)a->scratch + 2 * whole_lines(s->problem.hidden);
    if (first == last) {
        fill_shares(s, to, 0);
        return;
    }
    make_variances(variance, (const float *)a->rstd + first, last - first);
    point_back(s, a, to, variance);
    if (execute_alone(&s->slices[a->part]) != dnnl_success)
        fill_shares(s, to, 0xff);
}

/* The parts' sums that lie so many floats into their scratch. */
static void add_up(const struct state *s, const struct nb_args *a, size_t into, void *to)
{
    const size_t n = s->problem.hidden, last = n * (a->part + 1) / a->parts;
    for (size_t i = n * a->part / a->parts; to != NULL && i < last; i++) {
        float sum = 0;
        for (uint32_t part = 0; part < s->parts; part++)
            sum += ((const float *)((const char *)a->scratch +
                                    part * a->scratch_step))[into + i];
        store_param(s->problem.param_dtype, to, i, sum);
    }
}

static void reduce_back(const void *state, const struct nb_args *a)
{
    const struct state *s = state;
    if (s == NULL || a->parts != s->parts || is_direct(s, a))
        return;
    add_up(s, a, 0, a->dgamma);
    add_up(s, a, whole_lines(s->problem.hidden),
           s->problem.op == NB_OP_LAYERNORM ? a->dbeta : NULL);
}

/* ---- what is supported ---- */

static const char *why_not_option(const struct nb_problem *p, uint32_t dir)
{
    if (p->size < sizeof *p)
        return "built against a header with more fields in struct nb_problem";
    if (p->dir != dir || p->fuse != NB_FUSE_NONE)
        return "oneDNN's layer normalization goes one way at a time and fuses no sum";
    if (p->eps_mode != NB_EPS_INSIDE)
        return "oneDNN's eps stands inside the root";
    if (p->order != NB_CAST_AFTER)
        return "oneDNN rounds to the storage type once: there is no xhat";
    if (p->gemma)
        return "oneDNN's gamma is gamma, not 1 + gamma";
    if (p->param_dtype != p->dtype && p->param_dtype != NB_F32)
        return "gamma and beta are of x's type or f32";
    if (p->ldx != p->hidden || p->ldy != p->hidden)
        return "oneDNN's fast code takes rows without gaps between them";
    return NULL;
}

/* Its reference code is for debugging: nobody times a network with it. */
static const char *why_not_described(dnnl_engine_t engine, const struct nb_problem *p)
{
    const struct request r = make_request(p, 1, true, p->op == NB_OP_LAYERNORM);
    const char *why_not = "this oneDNN has no code for this on this CPU", *code = NULL;
    struct layouts l;
    dnnl_primitive_desc_t pd = NULL;
    if (layouts_make(&l, &r) && make_description(&pd, engine, &r, &l) &&
        dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &code) == dnnl_success)
        why_not = is_fast(code)
                      ? NULL
                      : "this oneDNN has its plain code alone for this on this CPU";
    dnnl_primitive_desc_destroy(pd);
    layouts_free(&l);
    return why_not;
}

static const char *why_not_dir(const struct nb_problem *p, uint32_t dir)
{
    dnnl_engine_t engine = NULL;
    const char *why_not = why_not_option(p, dir);
    if (why_not != NULL)
        return why_not;
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        return "oneDNN has no CPU engine here";
    why_not = why_not_described(engine, p);
    dnnl_engine_destroy(engine);
    return why_not;
}

static const char *supports(const struct nb_problem *p)
{
    return why_not_dir(p, NB_FWD);
}

#if NB_ONEDNN_RMS
/* Its RMSNorm (3.9 to 3.13, in its reference code, too) subtracts mean(g) as LayerNorm's
 * dx does. The library is asked: where x is 1, -1, ... and dy 1, mean(g*xhat) is 0, and dx
 * is 1; less mean(g) it is 0. */
static const char *why_not_rms(void)
{
    enum { N = 16 };
    const struct nb_problem p = {.size = sizeof p,
                                 .op = NB_OP_RMSNORM,
                                 .dir = NB_BWD,
                                 .rows = 1,
                                 .hidden = N,
                                 .ldx = N,
                                 .ldy = N};
    _Alignas(64) float scratch[3 * N];
    float x[N], dy[N], dx[N] = {0}, rstd = 1;
    for (size_t i = 0; i < N; i++) {
        x[i] = i % 2 ? -1 : 1;
        dy[i] = 1;
    }
    const struct nb_args a = {.size = sizeof a,
                              .parts = 1,
                              .x = x,
                              .dy = dy,
                              .dx = dx,
                              .rstd = &rstd,
                              .scratch = scratch};
    void *state = prepare(&p, &a);
    run_back(state, &a);
    finish(state);
    return fabsf(dx[0] - 1) < 0.1f ? NULL
                                   : "this oneDNN's RMSNorm backward subtracts mean(g), "
                                     "which is LayerNorm's dx";
}
#endif

static const char *supports_back(const struct nb_problem *p)
{
    const char *why_not = why_not_dir(p, NB_BWD);
#if NB_ONEDNN_RMS
    static bool asked;
    static const char *of_rms;
    if (why_not == NULL && p->op == NB_OP_RMSNORM) {
        of_rms = asked ? of_rms : why_not_rms();
        asked = true;
        return of_rms;
    }
#endif
    return why_not;
}

/* ---- the table ----
 *
 * Bounds: the mean, then the centred sum of squares; rstd by root and division;
 * (x-mean)*rstd rounded, one FMA. The additions a term passes on its way, w being the
 * floats of a vector:
 *   2.x  n/(8w) in one of 8 vectors, 3 to merge them, up to 7 whole vectors more, log2(w)
 *        within the vector, then up to w-1 elements one by one. w is 8 for f32, 16 for
 *        bf16: n/64 + 20, n/128 + 29.
 *   3.x  n/(4w) in one of 4 vectors, 2 to merge them, up to 3 whole vectors and a masked
 *        one more, log2(w). w = 8, the larger one: n/32 + 9; w = 16: n/64 + 10.
 * In short rows, below 8 or 4 vectors, the first term is missing and the others suffice.
 *
 * Backward: sums of g and of g*(x-mean) by FMA in one vector, which is then folded; the
 * second is multiplied by rstd. 19 roundings outside them, without mean 17, kind
 * gradient_variance (docs/numerics.md, "Gradients"). Their additions:
 *   2.x  n/w, log2(w), then up to w-1 elements one by one
 *   3.x  n/w, a masked one more, log2(w); of w = 16 or 8 the latter is never less
 * dgamma and dbeta: one FMA or addition a row into memory, then one a part. */
#if DNNL_VERSION_MAJOR >= 3
#define BOUND_32(kind, lambda)                                                           \
    {                                                                                    \
        kind, 0, 1, 5, 32, lambda                                                        \
    }
#define BOUND_16 BOUND_32
#define BACK_32(c0, lambda)                                                              \
    {                                                                                    \
        NB_BOUND_GRADIENT_VARIANCE, 0, 1, (c0) + 1, 8, lambda                            \
    }
#define BACK_16 BACK_32
#define BITS_32 0
#define BITS_16 0
#else
#define BOUND_32(kind, lambda)                                                           \
    {                                                                                    \
        kind, 0, 1, 14, 64, lambda                                                       \
    }
#define BOUND_16(kind, lambda)                                                           \
    {                                                                                    \
        kind, 0, 1, 22, 128, lambda                                                      \
    }
#define BACK_32(c0, lambda)                                                              \
    {                                                                                    \
        NB_BOUND_GRADIENT_VARIANCE, 0, 1, (c0) + 7, 8, lambda                            \
    }
#define BACK_16(c0, lambda)                                                              \
    {                                                                                    \
        NB_BOUND_GRADIENT_VARIANCE, 0, 1, (c0) + 15, 16, lambda                          \
    }
#define BITS_32 256
#define BITS_16 512
#endif

/* bf16 is narrowed by VCVTNEPS2BF16, which flushes, where the CPU has it. */
#define SAYS(op_, OP_, dir_, DIR_, dtype_, DTYPE_, bits_, reads_, flops_, flushes_,      \
             vector_, ...)                                                               \
    .size = sizeof(struct nb_kernel), .op = NB_OP_##OP_, .dir = NB_##DIR_,               \
    .fuse = NB_FUSE_NONE, .dtype = NB_##DTYPE_, .cpu_bits = bits_,                       \
    .name = #op_ "_" #dir_ "_onednn__" #dtype_ "_peer", .algo = "onednn", .isa = "peer", \
    .trick = "", .source = "onednn", .x_reads = reads_, .flops = flops_,                 \
    .flushes = flushes_, .vector_bits = vector_, .bound = __VA_ARGS__,                   \
    .prepare = prepare, .finish = finish
#define ENTRY(op_, OP_, ...)                                                             \
    {                                                                                    \
        SAYS(op_, OP_, fwd, FWD, __VA_ARGS__), .supports = supports, .run = run,         \
    }
#define BACK_ENTRY(op_, OP_, dtype_, DTYPE_, bits_, flops_, ...)                         \
    {                                                                                    \
        SAYS(op_, OP_, bwd, BWD, dtype_, DTYPE_, bits_, 3, flops_, __VA_ARGS__),         \
            .supports = supports_back, .scratch_bytes = scratch_bytes, .run = run_back,  \
            .reduce = reduce_back, .dy_reads = 3,                                        \
    }

static const struct nb_kernel kernels[] = {
    ENTRY(layernorm, LAYERNORM, f32, F32, NB_CPU_AVX2, 3, 8, 0, BITS_32,
          BOUND_32(NB_BOUND_TWOPASS, 4)),
    ENTRY(layernorm, LAYERNORM, bf16, BF16, NB_CPU_AVX512, 3, 8, 1, BITS_16,
          BOUND_16(NB_BOUND_TWOPASS, 12)),
    BACK_ENTRY(layernorm, LAYERNORM, f32, F32, NB_CPU_AVX2, 18, 0, BITS_32,
               BACK_32(19, 4)),
    BACK_ENTRY(layernorm, LAYERNORM, bf16, BF16, NB_CPU_AVX512, 18, 1, BITS_16,
               BACK_16(19, 12)),
#if DNNL_VERSION_MAJOR >= 3
    ENTRY(layernorm, LAYERNORM, f16, F16, NB_CPU_AVX512, 3, 8, 0, BITS_16,
          BOUND_16(NB_BOUND_TWOPASS, 12)),
    BACK_ENTRY(layernorm, LAYERNORM, f16, F16, NB_CPU_AVX512, 18, 0, BITS_16,
               BACK_16(19, 12)),
#endif
#if NB_ONEDNN_RMS
    ENTRY(rmsnorm, RMSNORM, f32, F32, NB_CPU_AVX2, 2, 5, 0, BITS_32,
          BOUND_32(NB_BOUND_RMS, 4)),
    ENTRY(rmsnorm, RMSNORM, bf16, BF16, NB_CPU_AVX512, 2, 5, 1, BITS_16,
          BOUND_16(NB_BOUND_RMS, 12)),
    ENTRY(rmsnorm, RMSNORM, f16, F16, NB_CPU_AVX512, 2, 5, 0, BITS_16,
          BOUND_16(NB_BOUND_RMS, 12)),
    BACK_ENTRY(rmsnorm, RMSNORM, f32, F32, NB_CPU_AVX2, 15, 0, BITS_32, BACK_32(17, 4)),
    BACK_ENTRY(rmsnorm, RMSNORM, bf16, BF16, NB_CPU_AVX512, 15, 1, BITS_16,
               BACK_16(17, 12)),
    BACK_ENTRY(rmsnorm, RMSNORM, f16, F16, NB_CPU_AVX512, 15, 0, BITS_16,
               BACK_16(17, 12)),
#endif
};

const struct nb_kernel_table nb_onednn_table = {
    NB_KERNEL_ABI, sizeof kernels / sizeof kernels[0], kernels};

const char *nb_onednn_version(void)
{
    static char text[40];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}
