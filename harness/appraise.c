#include "appraise.h"

#include "codec.h"
#include "err.h"
#include "registry.h"

#include <math.h>

/* The formula of an op, by what is known of it: groups, heads and columns are norms of their own elements; deepnorm is of h,
 * backward dres; triad of dy, its beta being x, and where there is an h, of that. */
static enum nb_ref_op ref_op(uint32_t op)
{
    const struct nb_op_facts *f = nb_op_facts(op);
    if (f->pointwise)
        return NB_REF_DYT;
    if (!f->norm)
        return op == NB_OP_COPY ? NB_REF_COPY : op == NB_OP_SCALE ? NB_REF_SCALE : NB_REF_AFFINE;
    if (f->given)
        return NB_REF_GIVEN;
    if (f->sum)
        return f->scalar ? NB_REF_SCALENORM : NB_REF_L2NORM;
    return f->centred ? NB_REF_LAYERNORM : nb_op_role(op) == NB_K_IS_FIRST ? NB_REF_PRMSNORM : NB_REF_RMSNORM;
}

/* What arithmetic of this problem can see of a number. */
static double as_seen(const struct nb_problem *p, double v)
{
    return p->dtype == NB_F64 ? v : (double)(float)v;
}

/* Elements that a norm is of: of a row, a group, a head, a column. */
static size_t norm_length(const struct nb_problem *p)
{
    return nb_op_facts(p->op)->columns ? p->rows : p->hidden / nb_op_pieces(p);
}

/* Where the parameters of a group begin; heads share theirs. */
static size_t params_at(const struct nb_problem *p, size_t piece)
{
    return nb_op_role(p->op) == NB_K_IS_LENGTH ? 0 : piece * (p->hidden / nb_op_pieces(p));
}

struct nb_ref_row nb_appraise_row(const struct nb_problem *p, const double *x, const double *gamma,
                                  const double *beta, size_t piece)
{
    const size_t n = norm_length(p), params = params_at(p, piece);
    return (struct nb_ref_row){.op = ref_op(p->op),
                               .n = n,
                               .k = p->k,
                               .x = x + piece * n,
                               .gamma = gamma != NULL && nb_op_facts(p->op)->gamma ? gamma + params : NULL,
                               .beta = beta != NULL ? beta + params : NULL,
                               .eps = as_seen(p, p->eps),
                               .alpha = as_seen(p, p->alpha),
                               .eps_outside = p->eps_mode == NB_EPS_OUTSIDE,
                               .gemma = p->gemma && gamma != NULL,
                               .cast_before = p->order == NB_CAST_BEFORE};
}

struct nb_ref_gradient nb_appraise_gradient_row(const struct nb_problem *p, const double *x, const double *dy,
                                                const double *gamma, size_t piece)
{
    const size_t n = norm_length(p);
    return (struct nb_ref_gradient){.op = ref_op(p->op),
                                    .n = n,
                                    .k = p->k,
                                    .x = x + piece * n,
                                    .dy = dy + piece * n,
                                    .gamma = gamma != NULL ? gamma + params_at(p, piece) : NULL,
                                    .eps = as_seen(p, p->eps),
                                    .gemma = p->gemma && gamma != NULL,
                                    .alpha = as_seen(p, p->alpha)};
}

/* Of what this kernel stores in that type. */
static struct nb_ref_type stored_as(const struct nb_kernel *k, uint32_t dtype)
{
    const struct nb_ref_type *t = nb_ref_type_find(nb_dtype_name(dtype));
    NB_ASSERT(t != NULL);
    struct nb_ref_type type = *t;
    if (k->flushes) /* subnormals count as zero in this arithmetic */
        type.eta = nb_arith_min(k->dtype);
    return type;
}

static struct nb_ref_type type_of(const struct nb_kernel *k)
{
    return stored_as(k, k->dtype);
}

static struct nb_ref_bound bound_of(const struct nb_kernel *k)
{
    return (struct nb_ref_bound){(enum nb_ref_bound_kind)k->bound.kind, k->bound.c1, k->bound.c0, k->bound.lanes,
                                 (int)k->bound.range_safe, k->bound.lambda};
}

/* Of a mean, an rstd, a dalpha. */
static uint32_t stat_dtype(const struct nb_kernel *k)
{
    return k->dtype == NB_F64 ? NB_F64 : NB_F32;
}

static double stat_value(const struct nb_kernel *k, const void *stored)
{
    double v;
    nb_decode(stat_dtype(k), stored, &v, 1);
    return v;
}

enum nb_ref_hazard nb_appraise_limits(const struct nb_kernel *k, const struct nb_ref_row *row,
                                      const struct nb_ref_stats *stats, struct nb_ref_limits *limits)
{
    const struct nb_ref_type type = type_of(k);
    const struct nb_ref_bound bound = bound_of(k);
    return nb_ref_limit(row, stats, &type, &bound, nb_arith_max(k->dtype), nb_arith_min(k->dtype), limits);
}

void nb_appraise(const struct nb_kernel *k, const struct nb_ref_row *row, const struct nb_dd *ref,
                 const struct nb_ref_stats *stats, const void *y, const void *mean, const void *rstd,
                 double *scratch, struct nb_appraisal *a)
{
    const struct nb_ref_type type = type_of(k);
    nb_decode(k->dtype, y, scratch, row->n);
    a->hazard = nb_appraise_limits(k, row, stats, &a->limits);
    nb_ref_judge(row, ref, stats, &type, &a->limits, scratch, scratch + row->n, &a->error);
    a->mean_error = a->rstd_error = NAN;
    if (mean != NULL && nb_op_facts(k->op)->centred)
        a->mean_error = nb_ref_mean_error(row, stats, &type, stat_value(k, mean));
    if (rstd != NULL && nb_op_facts(k->op)->norm)
        a->rstd_error = nb_ref_rstd_error(stats, &type, stat_value(k, rstd));
}

enum nb_ref_hazard nb_appraise_gradient_limits(const struct nb_kernel *k, const struct nb_ref_gradient *row,
                                               const struct nb_ref_gradient_stats *stats, struct nb_ref_limits *limits)
{
    const struct nb_ref_type type = type_of(k);
    const struct nb_ref_bound bound = bound_of(k);
    return nb_ref_gradient_limit(row, stats, &type, &bound, nb_arith_max(k->dtype), nb_arith_min(k->dtype), limits);
}

void nb_appraise_gradient(const struct nb_kernel *k, const struct nb_ref_gradient *row, const struct nb_dd *ref,
                          const struct nb_ref_gradient_stats *stats, const void *dx, double *scratch,
                          struct nb_appraisal *a)
{
    const struct nb_ref_type type = type_of(k);
    nb_decode(k->dtype, dx, scratch, row->n);
    a->hazard = nb_appraise_gradient_limits(k, row, stats, &a->limits);
    nb_ref_gradient_judge(row, stats, ref, &type, &a->limits, scratch, scratch + row->n, &a->error);
    a->mean_error = a->rstd_error = NAN;
}

void nb_appraise_share(const struct nb_kernel *k, uint32_t param_dtype, const struct nb_ref_shares *shares,
                       enum nb_ref_share which, const void *share, double *scratch, struct nb_appraisal *a)
{
    const uint32_t stored = which == NB_REF_DALPHA ? stat_dtype(k) : param_dtype;
    const size_t n = which == NB_REF_DALPHA ? 1 : shares->n;
    const struct nb_ref_type type = stored_as(k, stored);
    const struct nb_ref_bound bound = bound_of(k);
    nb_decode(stored, share, scratch, n);
    a->hazard = nb_ref_shares_limit(shares, which, &type, &bound, nb_arith_max(k->dtype),
                                    nb_arith_min(k->dtype), &a->limits);
    nb_ref_shares_judge(shares, which, &type, &a->limits, scratch, scratch + n, &a->error);
    a->mean_error = a->rstd_error = NAN;
}

const char *nb_appraisal_fault(const struct nb_appraisal *a, bool likely)
{
    const struct nb_ref_limit *l = likely ? &a->limits.likely : &a->limits.worst;
    if (a->hazard != NB_REF_INSIDE)
        return NULL;
    if (a->error.nonfinite > 0)
        return "nonfinite";
    if (!(a->error.share <= 1))
        return "E";
    if (likely && !(a->error.share_likely <= 1))
        return "E (probabilistic)";
    if (a->mean_error > l->mean)
        return "mean";
    return a->rstd_error > l->rstd ? "rstd" : NULL;
}
