#include "support.h"

const char *nb_supports_ceiling(const struct nb_problem *p)
{
    if (p->size < sizeof *p)
        return "built against a header with more fields in struct nb_problem";
    if (p->dir != NB_FWD)
        return "forward only";
    if (p->fuse != NB_FUSE_NONE)
        return "no fused residual";
    if (p->hidden == 0)
        return "hidden is 0";
    if (p->ldx < p->hidden || p->ldy < p->hidden)
        return "a row stride is shorter than hidden";
    return NULL;
}

const char *nb_supports_affine(const struct nb_problem *p)
{
    if (p->gemma)
        return "gamma is gamma, not 1 + gamma";
    if (p->order != NB_CAST_AFTER)
        return "rounds to the storage type once, after gamma";
    if (p->param_dtype != p->dtype && p->param_dtype != NB_F32)
        return "gamma and beta are of x's type or f32";
    return nb_supports_ceiling(p);
}

const char *nb_supports_norm(const struct nb_problem *p)
{
    if (p->eps_mode != NB_EPS_INSIDE)
        return "eps is added inside the square root";
    return nb_supports_affine(p);
}

/* matrices of temporaries and one scalar for each row of a slice */
static size_t scratch(const struct nb_problem *p, uint32_t parts, size_t matrices)
{
    const size_t rows = p->rows / parts + 1;
    const size_t real = p->dtype == NB_F64 ? sizeof(double) : sizeof(float);
    return rows * (matrices * p->hidden + 1) * real;
}

size_t nb_scratch_layernorm(const struct nb_problem *p, uint32_t parts)
{
    return scratch(p, parts, 2);
}

size_t nb_scratch_rmsnorm(const struct nb_problem *p, uint32_t parts)
{
    return scratch(p, parts, 1);
}
