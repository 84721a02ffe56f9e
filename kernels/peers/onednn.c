/* onednn.c: oneDNN's layer normalization primitive as kernels, for its C API of 2.x
 * and 3.x.
 *
 * Computes  layernorm: y = (x-mean)/sqrt(var+eps)*gamma + beta. rmsnorm, where the
 *           library has the flag: y = x/sqrt(mean(x^2)+eps)*gamma + beta
 * prepare   creates a primitive for each slice of rows, with a stream, memory objects and
 *           a scratchpad of its own, so that threads share nothing. Gamma and beta in 16
 *           bits are widened there: the library's take f32
 * run       hands over the addresses and executes. It works in the calling thread alone.
 *           Wanted statistics: the library gives the variance, which run turns into rstd
 * Refused   rows with gaps: the fast code steps by hidden whatever strides it is given;
 *           options it does not have; what would run as its reference code
 * Aliasing  y may equal x
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

/* Descriptors of x and y, of mean and variance, of gamma and beta. */
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
                              const_dnnl_primitive_attr_t attr)
{
    return dnnl_layer_normalization_forward_primitive_desc_create(
        pd, engine, r->kind, l->rows, l->rows, l->stats, r->eps, r->flags, attr);
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
                              const_dnnl_primitive_attr_t attr)
{
    dnnl_layer_normalization_desc_t d;
    const dnnl_status_t s = dnnl_layer_normalization_forward_desc_init(
        &d, r->kind, &l->rows, &l->stats, r->eps, r->flags);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) : s;
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

static bool make_description(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                             const struct request *r, const struct layouts *l)
{
    dnnl_primitive_attr_t attr = NULL;
    const bool made =
        make_attr(&attr) && describe(pd, engine, r, l, attr) == dnnl_success;
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

static struct request make_request(const struct nb_problem *p, size_t rows, bool gamma,
                                   bool beta)
{
    struct request r = {
        .type = type_of(p->dtype),
        .kind = p->stats_out ? dnnl_forward_training : dnnl_forward_inference,
        .rows = (dnnl_dim_t)rows,
        .hidden = (dnnl_dim_t)p->hidden,
        .eps = (float)p->eps,
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

enum { SRC, DST, GAMMA, BETA, MEAN, VARIANCE, SCRATCHPAD, ARGUMENTS };

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
    float *gamma, *beta; /* widened; NULL: those of the call */
    uint32_t parts;
    struct slice *slices;
};

static size_t first_row(const struct state *s, uint32_t part)
{
    return s->problem.rows * part / s->parts;
}

/* One more argument of the primitive; it has no address yet, but for the scratchpad. */
static bool add_memory(struct slice *t, int which, int arg, layout l,
                       dnnl_engine_t engine)
{
    void *at = which == SCRATCHPAD ? DNNL_MEMORY_ALLOCATE : DNNL_MEMORY_NONE;
    if (dnnl_memory_create(&t->memory[which], l, engine, at) != dnnl_success)
        return false;
    t->args[t->count++] = (dnnl_exec_arg_t){arg, t->memory[which]};
    return true;
}

static bool add_memories(struct slice *t, const struct state *s, const struct request *r,
                         const struct layouts *l, const_dnnl_primitive_desc_t pd)
{
    const bool stats = s->problem.stats_out,
               mean = stats && s->problem.op == NB_OP_LAYERNORM;
    return add_memory(t, SRC, DNNL_ARG_SRC, LAYOUT(l->rows), s->engine) &&
           add_memory(t, DST, DNNL_ARG_DST, LAYOUT(l->rows), s->engine) &&
           (!(r->flags & dnnl_use_scale) ||
            add_memory(t, GAMMA, DNNL_ARG_SCALE, LAYOUT(l->params), s->engine)) &&
           (!(r->flags & dnnl_use_shift) ||
            add_memory(t, BETA, DNNL_ARG_SHIFT, LAYOUT(l->params), s->engine)) &&
           (!mean || add_memory(t, MEAN, DNNL_ARG_MEAN, LAYOUT(l->stats), s->engine)) &&
           (!stats ||
            add_memory(t, VARIANCE, DNNL_ARG_VARIANCE, LAYOUT(l->stats), s->engine)) &&
           add_memory(t, SCRATCHPAD, DNNL_ARG_SCRATCHPAD,
                      dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0),
                      s->engine);
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

/* ---- prepare, run, finish ---- */

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

/* NULL: the library refused or memory is short; run then writes nothing. */
static void *prepare(const struct nb_problem *p, const struct nb_args *a)
{
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->problem = *p;
    s->parts = a->parts;
    if (dnnl_engine_create(&s->engine, dnnl_cpu, 0) == dnnl_success &&
        widen_params(&s->gamma, p, a->gamma) && widen_params(&s->beta, p, a->beta) &&
        slices_make(s, a->gamma != NULL, a->beta != NULL))
        return s;
    finish(s);
    return NULL;
}

static void point_to(const struct slice *t, int which, const void *at)
{
    if (t->memory[which] != NULL)
        dnnl_memory_set_data_handle(t->memory[which], (void *)(uintptr_t)at);
}

/* Outside of a parallel region the library would take all threads that it may have. */
static dnnl_status_t execute_alone(const struct slice *t)
{
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
#endif
    dnnl_status_t s = dnnl_primitive_execute(t->primitive, t->stream, t->count, t->args);
    if (s == dnnl_success)
        s = dnnl_stream_wait(t->stream);
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    omp_set_num_threads(before);
#endif
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

/* ---- what is supported ---- */

static const char *why_not_option(const struct nb_problem *p)
{
    if (p->size < sizeof *p)
        return "built against a header with more fields in struct nb_problem";
    if (p->dir != NB_FWD || p->fuse != NB_FUSE_NONE)
        return "this adapter to oneDNN is forward and unfused";
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
    const char *why_not = "this oneDNN has no code for this type on this CPU",
               *code = NULL;
    struct layouts l;
    dnnl_primitive_desc_t pd = NULL;
    if (layouts_make(&l, &r) && make_description(&pd, engine, &r, &l) &&
        dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &code) == dnnl_success)
        why_not = strncmp(code, "ref", 3) == 0
                      ? "this oneDNN has its reference code alone for this on this CPU"
                      : NULL;
    dnnl_primitive_desc_destroy(pd);
    layouts_free(&l);
    return why_not;
}

static const char *supports(const struct nb_problem *p)
{
    dnnl_engine_t engine = NULL;
    const char *why_not = why_not_option(p);
    if (why_not != NULL)
        return why_not;
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        return "oneDNN has no CPU engine here";
    why_not = why_not_described(engine, p);
    dnnl_engine_destroy(engine);
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
 * In short rows, below 8 or 4 vectors, the first term is missing and the others suffice. */
#if DNNL_VERSION_MAJOR >= 3
#define BOUND_32(kind, lambda)                                                           \
    {                                                                                    \
        kind, 0, 1, 5, 32, lambda                                                        \
    }
#define BOUND_16 BOUND_32
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
#define BITS_32 256
#define BITS_16 512
#endif

/* bf16 is narrowed by VCVTNEPS2BF16, which flushes, where the CPU has it. */
#define ENTRY(op_, OP_, dtype_, DTYPE_, bits_, reads_, flops_, flushes_, vector_, ...)   \
    {                                                                                    \
        .size = sizeof(struct nb_kernel), .op = NB_OP_##OP_, .dir = NB_FWD,              \
        .fuse = NB_FUSE_NONE, .dtype = NB_##DTYPE_, .cpu_bits = bits_,                   \
        .name = #op_ "_fwd_onednn__" #dtype_ "_peer", .algo = "onednn", .isa = "peer",   \
        .trick = "", .source = "onednn", .x_reads = reads_, .flops = flops_,             \
        .flushes = flushes_, .vector_bits = vector_, .bound = __VA_ARGS__,               \
        .supports = supports, .prepare = prepare, .finish = finish, .run = run,          \
    }

static const struct nb_kernel kernels[] = {
    ENTRY(layernorm, LAYERNORM, f32, F32, NB_CPU_AVX2, 3, 8, 0, BITS_32,
          BOUND_32(NB_BOUND_TWOPASS, 4)),
    ENTRY(layernorm, LAYERNORM, bf16, BF16, NB_CPU_AVX512, 3, 8, 1, BITS_16,
          BOUND_16(NB_BOUND_TWOPASS, 12)),
#if DNNL_VERSION_MAJOR >= 3
    ENTRY(layernorm, LAYERNORM, f16, F16, NB_CPU_AVX512, 3, 8, 0, BITS_16,
          BOUND_16(NB_BOUND_TWOPASS, 12)),
#endif
#if NB_ONEDNN_RMS
    ENTRY(rmsnorm, RMSNORM, f32, F32, NB_CPU_AVX2, 2, 5, 0, BITS_32,
          BOUND_32(NB_BOUND_RMS, 4)),
    ENTRY(rmsnorm, RMSNORM, bf16, BF16, NB_CPU_AVX512, 2, 5, 1, BITS_16,
          BOUND_16(NB_BOUND_RMS, 12)),
    ENTRY(rmsnorm, RMSNORM, f16, F16, NB_CPU_AVX512, 2, 5, 0, BITS_16,
          BOUND_16(NB_BOUND_RMS, 12)),
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
