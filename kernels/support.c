#include "support.h"

#include "registry.h"

static const char *why_not_sizes(const struct nb_problem *p)
{
    if (p->size < sizeof *p)
        return "built against a header with more fields in struct nb_problem";
    if (p->hidden == 0)
        return "hidden is 0";
    if (p->ldx < p->hidden || p->ldy < p->hidden)
        return "a row stride is shorter than hidden";
    return NULL;
}

static const char *why_not_shape(const struct nb_problem *p)
{
    if (p->dir != NB_FWD || p->fuse != NB_FUSE_NONE)
        return p->dir != NB_FWD ? "forward only" : "no fused residual";
    return why_not_sizes(p);
}

static const char *why_not_params(const struct nb_problem *p)
{
    if (p->param_dtype != p->dtype && p->param_dtype != NB_F32)
        return "gamma and beta are of x's type or f32";
    return NULL;
}

static bool k_fits(const struct nb_problem *p)
{
    const enum nb_k_role role = nb_op_role(p->op);
    if (role == NB_K_IS_FIRST)
        return p->k > 0 && p->k <= p->hidden;
    if (role == NB_K_IS_PIECES || role == NB_K_IS_LENGTH)
        return p->k > 0 && p->hidden % p->k == 0;
    return true;
}

static const char *why_not_k(const struct nb_problem *p)
{
    return k_fits(p) ? NULL : nb_k_facts[nb_op_facts(p->op)->k].unfit;
}

const char *nb_supports_ceiling(const struct nb_problem *p)
{
    const char *why_not = why_not_shape(p);
    if (!why_not && p->gemma)
        why_not = "gamma is gamma, not 1 + gamma";
    if (!why_not && p->order != NB_CAST_AFTER)
        why_not = "rounds to the storage type once: there is no xhat";
    return why_not;
}

const char *nb_supports_affine(const struct nb_problem *p)
{
    const char *why_not = nb_supports_ceiling(p);
    return why_not ? why_not : why_not_params(p);
}

/* What a norm is told besides its shape. */
static const char *why_not_norm(const struct nb_problem *p, const char *why_not)
{
    if (!why_not && p->eps_mode > NB_EPS_OUTSIDE)
        why_not = "eps_mode is neither inside nor outside";
    if (!why_not && p->order > NB_CAST_BEFORE)
        why_not = "order is neither cast_after nor cast_before";
    return why_not ? why_not : why_not_params(p);
}

const char *nb_supports_norm(const struct nb_problem *p)
{
    const char *why_not = why_not_k(p);
    return why_not ? why_not : why_not_norm(p, why_not_shape(p));
}

const char *nb_supports_sum(const struct nb_problem *p)
{
    if (p->dir != NB_FWD || p->fuse == NB_FUSE_NONE || p->fuse >= NB_FUSE_COUNT)
        return "forward with a residual only";
    return why_not_sizes(p);
}

const char *nb_supports_fused(const struct nb_problem *p)
{
    return why_not_norm(p, nb_supports_sum(p));
}

const char *nb_supports_gain(const struct nb_problem *p)
{
    return p->order != NB_CAST_AFTER ? "the gain is part of the row's factor: there is no xhat to round" : nb_supports_norm(p);
}

static const char *why_not_short(const struct nb_problem *p)
{
    return p->hidden / nb_op_pieces(p) > 512 ? "for norms of at most 512 elements" : NULL;
}

const char *nb_supports_short_gain(const struct nb_problem *p)
{
    const char *why_not = nb_supports_gain(p);
    return why_not ? why_not : why_not_short(p);
}

const char *nb_supports_short(const struct nb_problem *p)
{
    const char *why_not = nb_supports_norm(p);
    return why_not ? why_not : why_not_short(p);
}

const char *nb_supports_triad(const struct nb_problem *p)
{
    if (p->dir != NB_BWD || p->fuse != NB_FUSE_NONE)
        return p->dir != NB_BWD ? "backward only" : "no fused residual";
    return why_not_sizes(p);
}

const char *nb_supports_two(const struct nb_problem *p)
{
    if (p->dir != NB_BWD || p->fuse != NB_FUSE_RESIDUAL)
        return p->dir != NB_BWD ? "backward only" : "of a sum whose h was kept: fuse residual only";
    return why_not_sizes(p);
}

/* What a norm is told backward besides its shape. */
static const char *why_not_gradient(const struct nb_problem *p, const char *why_not)
{
    if (!why_not)
        why_not = why_not_k(p);
    if (!why_not && p->eps_mode != NB_EPS_INSIDE)
        why_not = "the gradient is that of 1/sqrt(var + eps)";
    if (!why_not && p->order != NB_CAST_AFTER)
        why_not = "the gradient is that of one rounding, of y";
    return why_not ? why_not : why_not_params(p);
}

const char *nb_supports_backward(const struct nb_problem *p)
{
    return why_not_gradient(p, nb_supports_triad(p));
}

const char *nb_supports_backward_two(const struct nb_problem *p)
{
    return why_not_gradient(p, nb_supports_two(p));
}

size_t nb_scratch_backward(const struct nb_problem *p, uint32_t parts)
{
    (void)parts;
    return 2 * p->hidden * (p->dtype == NB_F64 ? sizeof(double) : sizeof(float));
}

size_t nb_scratch_backward_alpha(const struct nb_problem *p, uint32_t parts)
{
    return nb_scratch_backward(p, parts) / 2 * 3;
}

/* Of norms of columns, either direction. */
static const char *why_not_columns(const struct nb_problem *p, uint32_t dir)
{
    const char *why_not = why_not_sizes(p);
    if (p->dir != dir || p->fuse != NB_FUSE_NONE)
        return p->fuse != NB_FUSE_NONE ? "no fused residual" : dir == NB_FWD ? "forward only" : "backward only";
    if (!why_not && p->rows == 0)
        why_not = "no rows to take statistics of";
    if (!why_not && p->order != NB_CAST_AFTER)
        why_not = "rounds to the storage type once: xhat is not kept";
    if (!why_not && p->eps_mode > (dir == NB_FWD ? NB_EPS_OUTSIDE : NB_EPS_INSIDE))
        why_not = dir == NB_FWD ? "eps_mode is neither inside nor outside" : "the gradient is that of 1/sqrt(var + eps)";
    return why_not ? why_not : why_not_params(p);
}

const char *nb_supports_columns(const struct nb_problem *p)
{
    const char *why_not = why_not_columns(p, NB_FWD);
    return why_not || (p->momentum >= 0 && p->momentum <= 1) ? why_not : "momentum is not within 0 to 1";
}

const char *nb_supports_columns_given(const struct nb_problem *p)
{
    return why_not_columns(p, NB_FWD);
}

const char *nb_supports_columns_backward(const struct nb_problem *p)
{
    return why_not_columns(p, NB_BWD);
}

/* matrices, and 4 lines of one value a column, of the widest slice */
static size_t scratch_columns(const struct nb_problem *p, uint32_t parts, size_t matrices)
{
    enum { LINE = 64 };
    const size_t most = p->hidden / parts + LINE, columns = most < p->hidden ? most : p->hidden;
    return (4 + matrices * p->rows) * columns * (p->dtype == NB_F64 ? sizeof(double) : sizeof(float));
}

size_t nb_scratch_columns(const struct nb_problem *p, uint32_t parts)
{
    return scratch_columns(p, parts, 0);
}

size_t nb_scratch_columns_unfused(const struct nb_problem *p, uint32_t parts)
{
    return scratch_columns(p, parts, 2);
}

/* matrices of temporaries and one scalar for each norm of a slice */
static size_t scratch(const struct nb_problem *p, uint32_t parts, size_t matrices)
{
    const size_t rows = p->rows / parts + 1;
    const size_t real = p->dtype == NB_F64 ? sizeof(double) : sizeof(float);
    return rows * (matrices * p->hidden + nb_op_pieces(p)) * real;
}

size_t nb_scratch_layernorm(const struct nb_problem *p, uint32_t parts)
{
    return scratch(p, parts, 2);
}

size_t nb_scratch_rmsnorm(const struct nb_problem *p, uint32_t parts)
{
    return scratch(p, parts, 1);
}

size_t nb_scratch_backward_unfused(const struct nb_problem *p, uint32_t parts)
{
    return nb_scratch_backward(p, parts) + scratch(p, parts, 3);
}

/* h of so many rows, unless it has a place of its own */
static size_t scratch_h(const struct nb_problem *p, size_t rows)
{
    const size_t size = p->dtype == NB_F64 ? 8 : p->dtype == NB_F32 ? 4 : 2;
    return p->fuse == NB_FUSE_POSTNORM ? rows * p->hidden * size : 0;
}

size_t nb_fused_rows(const struct nb_problem *p)
{
    enum { ELEMENTS = 2048 };
    return p->hidden < ELEMENTS ? ELEMENTS / p->hidden : 1;
}

size_t nb_scratch_fused(const struct nb_problem *p, uint32_t parts)
{
    (void)parts;
    return scratch_h(p, nb_fused_rows(p));
}

size_t nb_scratch_row(const struct nb_problem *p, uint32_t parts)
{
    struct nb_problem dropped = *p;
    dropped.fuse = NB_FUSE_POSTNORM;
    return nb_scratch_fused(&dropped, parts);
}

size_t nb_scratch_addnorm(const struct nb_problem *p, uint32_t parts)
{
    return scratch_h(p, p->rows / parts + 1);
}
