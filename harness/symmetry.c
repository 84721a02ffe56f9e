#include "symmetry.h"

#include "codec.h"
#include "err.h"
#include "execute.h"
#include "inputs.h"
#include "registry.h"
#include "select.h"

#include <math.h>
#include <string.h>

enum { SHORTEST = 8 };

/* One row and what its results may be off by. */
struct row {
    const struct nb_kernel *kernel;
    size_t n;
    double *x, *y, *other; /* [n] each */
    char *stored_x, *stored_y, *residual, *h; /* residual: all ones */
    bool ran; /* every time */
};

/* N(0,1) in eighths, at most 4: 4x, x+8, what is one less and half of it are exact in every dtype. */
static void fill(struct row *r)
{
    for (size_t i = 0; i < r->n; i++)
        r->x[i] = rint(8 * fmax(-4, fmin(4, nb_normal(1, 1u << 24, i)))) / 8;
    r->x[0] = 4; /* spread, however short the row */
    r->x[1] = -3;
}

/* As few groups and as short heads as divide a row; a prefix as usual. */
static size_t k_of(const struct nb_kernel *k, size_t n)
{
    const enum nb_k_role role = nb_op_role(k->op);
    const size_t part = n % 2 == 0 && n / 2 >= SHORTEST ? 2 : 1;
    return role == NB_K_IS_PIECES ? part : role == NB_K_IS_LENGTH ? n / part : nb_k_of(k->op, n, (const size_t[NB_K_COUNT]){0});
}

/* 2 times a row is exact, too. */
static double alpha_of(const struct nb_kernel *k)
{
    const struct nb_op_facts *f = nb_op_facts(k->op);
    return f->fused ? 2 : f->alpha != 0 ? f->alpha : 1;
}

static struct nb_problem problem(const struct nb_kernel *k, size_t n)
{
    const size_t rows = nb_op_facts(k->op)->columns ? n : 1, hidden = n / rows; /* a column lies there as a row would */
    return (struct nb_problem){.size = sizeof(struct nb_problem), .op = k->op, .fuse = k->fuse, .dtype = k->dtype,
                               .param_dtype = k->dtype, .rows = rows, .hidden = hidden, .ldx = hidden, .ldy = hidden,
                               .k = k_of(k, n), .alpha = alpha_of(k)};
}

static void run(struct row *r, double scale, double shift, double *y)
{
    const struct nb_kernel *k = r->kernel;
    const struct nb_problem p = problem(k, r->n);
    const double added = k->fuse != NB_FUSE_NONE ? 1 : 0;
    const struct nb_args a = {.x = r->stored_x, .y = r->stored_y, .residual = added != 0 ? r->residual : NULL,
                              .h = k->fuse == NB_FUSE_RESIDUAL ? r->h : NULL};
    for (size_t i = 0; i < r->n; i++)
        y[i] = added;
    nb_encode(k->dtype, y, r->residual, r->n);
    for (size_t i = 0; i < r->n; i++)
        y[i] = (scale * r->x[i] + shift - added) / p.alpha;
    nb_encode(k->dtype, y, r->stored_x, r->n);
    r->ran = nb_run_once(k, &p, &a) && r->ran;
    nb_decode(k->dtype, r->stored_y, y, r->n);
}

static double roundoff(const struct nb_kernel *k)
{
    return k->dtype == NB_F64 ? 0x1p-53 : 0x1p-24;
}

static double output_roundoff(const struct nb_kernel *k)
{
    return k->dtype == NB_F16 ? 0x1p-11 : k->dtype == NB_BF16 ? 0x1p-8 : roundoff(k);
}

/* Of an element of y, in units of y's scale: sums with constant c, at a conditioning of 8 + 4 over a spread
 * of about 1, its square where the variance is a difference. */
static double tolerance(const struct row *r)
{
    const struct nb_bound *b = &r->kernel->bound;
    const double c = b->c1 * (double)r->n / fmax(1, b->lanes) + log2(fmax(1, b->lanes)) + b->c0;
    const double conditioning = b->kind == NB_BOUND_RMS ? 1 : b->kind == NB_BOUND_TWOPASS ? 12 : 150;
    return (3 * c + 20) * conditioning * roundoff(r->kernel) + 2 * output_roundoff(r->kernel);
}

static bool scale_holds(struct row *r)
{
    run(r, 4, 0, r->other);
    return memcmp(r->y, r->other, r->n * sizeof *r->y) == 0;
}

static bool shift_holds(struct row *r)
{
    run(r, 1, 8, r->other);
    for (size_t i = 0; i < r->n; i++)
        if (!(fabs(r->other[i] - r->y[i]) <= tolerance(r) * (1 + fabs(r->y[i]))))
            return false;
    return true;
}

/* of y (power 1) or y^2 (power 2), over what the statistic is taken of; its sum where that is a sum */
static double mean_of(const struct row *r, int power)
{
    const size_t n = nb_op_role(r->kernel->op) == NB_K_IS_FIRST ? k_of(r->kernel, r->n) : r->n;
    long double sum = 0; /* the sum's own error is none of the kernel's, in f64 least of all */
    for (size_t i = 0; i < n; i++)
        sum += power == 2 ? r->y[i] * r->y[i] : r->y[i];
    return (double)(nb_op_facts(r->kernel->op)->sum ? sum : sum / (long double)n);
}

/* What looks at one element at a time: odd, bounded and increasing. */
static const char *broken_pointwise(struct row *r)
{
    run(r, 1, 0, r->y);
    run(r, -1, 0, r->other);
    for (size_t i = 0; i < r->n; i++) {
        if (r->other[i] != -r->y[i])
            return "y(-x) = -y(x)";
        if (!(fabs(r->y[i]) <= 1))
            return "|y| <= 1";
    }
    return r->y[1] < 0 && r->y[0] > -r->y[1] ? NULL : "y(4) > y(3) > 0"; /* x[1] is -3 */
}

static const char *broken(struct row *r)
{
    if (nb_op_facts(r->kernel->op)->pointwise)
        return broken_pointwise(r);
    const bool centred = nb_op_facts(r->kernel->op)->centred;
    run(r, 1, 0, r->y);
    if (!scale_holds(r))
        return "y(4x) = y(x)";
    if (centred && !shift_holds(r))
        return "y(x+8) = y(x)";
    if (centred && !(fabs(mean_of(r, 1)) <= 2 * tolerance(r)))
        return "sum y = 0";
    if (!(fabs(mean_of(r, 2) - 1) <= 4 * tolerance(r)))
        return nb_op_facts(r->kernel->op)->sum ? "sum y^2 = 1" : "sum y^2 = hidden";
    return NULL;
}

bool nb_symmetry_holds(const struct nb_kernel *k, size_t hidden, char *text, size_t len)
{
    struct row r = {.kernel = k, .n = hidden, .ran = true};
    const struct nb_problem p = problem(k, hidden);
    if (k->supports != NULL && k->supports(&p) != NULL) /* eps 0, one row, no gamma */
        return true;
    if (hidden < SHORTEST || !nb_op_is_layer(k->op))
        return true;
    r.x = malloc(3 * hidden * sizeof *r.x);
    r.stored_x = aligned_alloc(64, (4 * hidden * sizeof(double) + 63) / 64 * 64);
    NB_ASSERT(r.x != NULL && r.stored_x != NULL);
    r.y = r.x + hidden;
    r.other = r.y + hidden;
    r.stored_y = r.stored_x + hidden * sizeof(double);
    r.residual = r.stored_y + hidden * sizeof(double);
    r.h = r.residual + hidden * sizeof(double);
    fill(&r);
    const char *what = broken(&r);
    if (!r.ran) /* it could not prepare: nothing to hold */
        what = NULL;
    if (what != NULL)
        snprintf(text, len, "%s does not hold at eps 0", what);
    free(r.x);
    free(r.stored_x);
    return what == NULL;
}
