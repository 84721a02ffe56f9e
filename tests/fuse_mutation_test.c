/* fuse_mutation_test.c: does the check of fused norms find what can be wrong in one? A plain loop in long double, its sum
 * rounded as the kernel's is, must pass under every kernel's bound, and each of its mutations must fail. Prints the score;
 * exits 1 below 100 %. */
#include "mutation.h"

#include "cpu.h"

#include <math.h>
#include <string.h>

enum bug {
    NONE, RESIDUAL_IGNORED, RESIDUAL_TWICE, SUBTRACTED, RESIDUAL_STRIDE, STALE_RESIDUAL, FIRST_RESIDUAL, NEXT_RESIDUAL,
    LAST_UNADDED, SUM_NARROW, Y_UNROUNDED, H_UNROUNDED, Y_OF_X, Y_OF_RESIDUAL, STATISTICS_OF_X, STALE_H, Y_STRIDE,
    Y_UNWRITTEN, X_CHANGED, RESIDUAL_CHANGED, Y_UNSTEADY, Y_IN_A_THOUSAND, NAN_HIDDEN, GAMMA_NEXT,
    H_UNWRITTEN, H_ROW_UNWRITTEN, H_ELEMENT_UNWRITTEN, H_IS_X, H_IS_Y, H_AND_Y_SWAPPED, H_STRIDE, H_ROWS_SWAPPED,
    H_TRUNCATED, H_BEHIND, H_BEFORE, H_UNSTEADY, H_IN_A_THOUSAND, H_OFF_BY_ULP, H_NAN_HIDDEN, H_ZERO_UNSIGNED,
    ALPHA_ON_RESIDUAL, ALPHA_ON_BOTH, ALPHA_FORGOTTEN, ALPHA_SQUARED, ALPHA_DIVIDES, ALPHA_NARROW, ALPHA_NEXT_DEPTH, ALPHA_ON_Y,
    PRODUCT_STORED, OTHER_WAY, BUGS
};
/* KEPT: h is written. DEEP: the sum has an alpha. WIDE: f32 and f64, whose sum is rounded to no other type. */
enum { KEPT = OWN, DEEP = 2 * OWN, WIDE = 4 * OWN };
static const struct {
    const char *name;
    unsigned where;
} MUTATIONS[BUGS] = {
    [RESIDUAL_IGNORED] = {"residual ignored", ANY},
    [RESIDUAL_TWICE] = {"residual added twice", ANY},
    [SUBTRACTED] = {"residual subtracted", ANY},
    [RESIDUAL_STRIDE] = {"stride of the residual ignored", ANY},
    [STALE_RESIDUAL] = {"residual of the row before", ANY},
    [FIRST_RESIDUAL] = {"residual of the first row", ANY},
    [NEXT_RESIDUAL] = {"residual of the next element", ANY},
    [LAST_UNADDED] = {"last element without its residual", ANY},
    [SUM_NARROW] = {"sum rounded to bf16", NOT_BF16},
    [Y_UNROUNDED] = {"y of the unrounded sum", NARROW},
    [H_UNROUNDED] = {"statistics of the rounded, y of the unrounded", NARROW},
    [Y_OF_X] = {"y of x", ANY},
    [Y_OF_RESIDUAL] = {"y of the residual", ANY},
    [STATISTICS_OF_X] = {"statistics of x", ANY},
    [STALE_H] = {"y of the row before", ANY},
    [Y_STRIDE] = {"stride of y ignored", ANY},
    [Y_UNWRITTEN] = {"element of y not written", ANY},
    [X_CHANGED] = {"x changed", ANY},
    [RESIDUAL_CHANGED] = {"residual changed", ANY},
    [Y_UNSTEADY] = {"y differs from run to run", ANY},
    [Y_IN_A_THOUSAND] = {"y of one row in a thousand", MANY_ROWS},
    [NAN_HIDDEN] = {"NaN hidden", ANY},
    [GAMMA_NEXT] = {"gamma of the next element", ANY},
    [H_UNWRITTEN] = {"h not written", KEPT},
    [H_ROW_UNWRITTEN] = {"row of h not written", KEPT},
    [H_ELEMENT_UNWRITTEN] = {"element of h not written", KEPT},
    [H_IS_X] = {"h is x", KEPT},
    [H_IS_Y] = {"h is y", KEPT},
    [H_AND_Y_SWAPPED] = {"h and y swapped", KEPT},
    [H_STRIDE] = {"stride of h ignored", KEPT},
    [H_ROWS_SWAPPED] = {"two rows of h swapped", KEPT},
    [H_TRUNCATED] = {"h truncated", KEPT | NARROW},
    [H_BEHIND] = {"write at h[hidden]", KEPT},
    [H_BEFORE] = {"write at h[-1]", KEPT},
    [H_UNSTEADY] = {"h differs from run to run", KEPT},
    [H_IN_A_THOUSAND] = {"h of one row in a thousand", KEPT | MANY_ROWS},
    [H_OFF_BY_ULP] = {"one element of h off by its last bit", KEPT},
    [H_NAN_HIDDEN] = {"NaN in h hidden", KEPT},
    [H_ZERO_UNSIGNED] = {"one element of h with the other sign", KEPT},
    [ALPHA_ON_RESIDUAL] = {"alpha on the residual", DEEP},
    [ALPHA_ON_BOTH] = {"alpha on x and the residual", DEEP},
    [ALPHA_FORGOTTEN] = {"alpha forgotten", DEEP},
    [ALPHA_SQUARED] = {"alpha squared", DEEP},
    [ALPHA_DIVIDES] = {"x divided by alpha", DEEP},
    [ALPHA_NARROW] = {"alpha rounded to bf16", DEEP},
    [ALPHA_NEXT_DEPTH] = {"alpha of one layer more", DEEP},
    [ALPHA_ON_Y] = {"alpha on y", DEEP},
    [PRODUCT_STORED] = {"alpha*x rounded to the tensor's type", DEEP | NARROW},
    [OTHER_WAY] = {"sum rounded as by the other ISAs", DEEP | KEPT | WIDE},
};

static enum bug bug;
static const struct nb_kernel *now; /* whose bound it is held to */
static unsigned long calls;

/* ---- the loop, with one thing wrong ---- */

static double toward_zero(uint32_t dtype, double v)
{
    const double r = element_through(dtype, v);
    return fabs(r) > fabs(v) ? element_through(dtype, r * (1 - element_step(dtype) / 2)) : r;
}

/* The neighbour of a number that the dtype holds. */
static double next_to(uint32_t dtype, double v)
{
    return element_through(dtype, v * (1 + element_step(dtype)));
}

/* One row: what is read of it, their sum in double and as it is rounded. */
struct row {
    double x[HIDDEN], residual[HIDDEN], sum[HIDDEN], h[HIDDEN], y[HIDDEN];
};

static size_t residual_at(const struct nb_problem *p, size_t r, size_t i)
{
    const size_t row = bug == FIRST_RESIDUAL ? 0 : bug == STALE_RESIDUAL && r > 0 ? r - 1 : r;
    const size_t ld = bug == RESIDUAL_STRIDE ? p->hidden : p->ldx;
    return row * ld + (bug == NEXT_RESIDUAL ? (i + 1) % p->hidden : i);
}

static double alpha_of(const struct nb_problem *p)
{
    const double a = p->op == NB_OP_DEEPNORM && bug != ALPHA_FORGOTTEN ? p->alpha : 1;
    return bug == ALPHA_SQUARED      ? a * a
           : bug == ALPHA_DIVIDES    ? 1 / a
           : bug == ALPHA_NARROW     ? element_through(NB_BF16, a)
           : bug == ALPHA_NEXT_DEPTH ? pow(pow(a, 4) + 2, 0.25)
                                     : a;
}

/* alpha*x + b in the arithmetic's type: rounded once, or the product, too. */
static double weighted(const struct nb_problem *p, double alpha, double x, double b)
{
    const bool once = nb_kernel_fuses(now) != (bug == OTHER_WAY);
    const float a = (float)alpha, v = (float)x, r = (float)b;
    if (bug == PRODUCT_STORED)
        return (double)((float)element_through(p->dtype, alpha * x) + r);
    if (p->dtype == NB_F64)
        return once ? fma(alpha, x, b) : alpha * x + b;
    return (double)(once ? fmaf(a, v, r) : a * v + r);
}

static double sum_of(const struct nb_problem *p, double x, double b)
{
    const double a = alpha_of(p);
    return bug == RESIDUAL_TWICE      ? a * x + 2 * b
           : bug == SUBTRACTED        ? a * x - b
           : bug == ALPHA_ON_RESIDUAL ? x + a * b
           : bug == ALPHA_ON_BOTH     ? a * (x + b)
                                      : weighted(p, a, x, b);
}

static void load(const struct nb_problem *p, const struct nb_args *a, size_t r, struct row *row)
{
    for (size_t i = 0; i < p->hidden; i++) {
        const double x = element_get(p->dtype, a->x, r * p->ldx + i);
        const double b = element_get(p->dtype, a->residual, residual_at(p, r, i));
        const bool left = bug == RESIDUAL_IGNORED || (bug == LAST_UNADDED && i + 1 == p->hidden);
        row->x[i] = x;
        row->residual[i] = b;
        row->sum[i] = left ? alpha_of(p) * x : sum_of(p, x, b);
        row->h[i] = element_through(bug == SUM_NARROW ? NB_BF16 : p->dtype, row->sum[i]);
    }
}

static double param(const struct nb_problem *p, const void *w, size_t i, double otherwise)
{
    return w != NULL ? element_get(p->param_dtype, w, i) : otherwise;
}

/* y of v, by the statistics of s */
static void normalize(const struct nb_problem *p, const struct nb_args *a, const double *s, const double *v, double *y)
{
    const size_t n = p->hidden;
    long double mean = 0, var = 0;
    for (size_t i = 0; i < n && nb_op_facts(p->op)->centred; i++)
        mean += s[i] / (long double)n;
    for (size_t i = 0; i < n; i++)
        var += (s[i] - mean) * (s[i] - mean) / (long double)n;
    const long double rstd = 1 / sqrtl(var + (p->dtype == NB_F64 ? p->eps : (double)(float)p->eps));
    for (size_t i = 0; i < n; i++) {
        const size_t g = bug == GAMMA_NEXT ? (i + 1) % n : i;
        y[i] = (double)((v[i] - mean) * rstd * param(p, a->gamma, g, 1) + param(p, a->beta, i, 0));
        y[i] = bug == NAN_HIDDEN && isnan(y[i]) ? 0 : bug == ALPHA_ON_Y ? y[i] * p->alpha : y[i];
    }
}

static void make_y(const struct nb_problem *p, const struct nb_args *a, struct row *row)
{
    const double *v = bug == Y_OF_X ? row->x : bug == Y_OF_RESIDUAL ? row->residual : row->h;
    const double *s = bug == STATISTICS_OF_X ? row->x : v;
    if (bug == Y_UNROUNDED || bug == H_UNROUNDED)
        v = row->sum;
    normalize(p, a, bug == Y_UNROUNDED ? v : s, v, row->y);
}

static double h_of(const struct nb_problem *p, const struct row *row, size_t r, size_t i)
{
    double v = bug == H_IS_X ? row->x[i] : bug == H_IS_Y || bug == H_AND_Y_SWAPPED ? row->y[i] : row->h[i];
    if (bug == H_TRUNCATED)
        v = toward_zero(p->dtype, row->sum[i]);
    if (bug == H_UNSTEADY && r == 1 && i == 3)
        v += (double)(calls % 2) * fmax(1, fabs(v));
    if (bug == H_IN_A_THOUSAND && r % 1000 == 999)
        v = 0;
    if (bug == H_OFF_BY_ULP && r == 1 && i == 5)
        v = next_to(p->dtype, v);
    if (bug == H_ZERO_UNSIGNED && r == 1 && i == 5)
        v = -v;
    return bug == H_NAN_HIDDEN && isnan(v) ? 0 : v;
}

static void write_h(const struct nb_problem *p, const struct nb_args *a, size_t r, const struct row *row)
{
    const size_t to = bug == H_ROWS_SWAPPED && r < 2 && p->rows > 1 ? 1 - r : r;
    const size_t at = to * (bug == H_STRIDE ? p->hidden : p->ldy);
    if (a->h == NULL || bug == H_UNWRITTEN || (bug == H_ROW_UNWRITTEN && r == 1))
        return;
    for (size_t i = 0; i < p->hidden; i++)
        if (!(bug == H_ELEMENT_UNWRITTEN && r == 1 && i == p->hidden / 2))
            element_put(p->dtype, a->h, at + i, h_of(p, row, r, i));
    if (bug == H_BEHIND && r + 1 < p->rows)
        element_put(p->dtype, a->h, at + p->hidden, 1);
    if (bug == H_BEFORE && r == 0)
        element_put(p->dtype, (char *)a->h - nb_dtype_bytes(p->dtype), 0, 1);
}

static void write_y(const struct nb_problem *p, const struct nb_args *a, size_t r, const struct row *row)
{
    const size_t at = r * (bug == Y_STRIDE ? p->hidden : p->ldy);
    for (size_t i = 0; i < p->hidden; i++) {
        double v = bug == H_AND_Y_SWAPPED ? row->h[i] : row->y[i];
        if (bug == Y_UNWRITTEN && r == 1 && i == p->hidden / 2)
            continue;
        if (bug == Y_UNSTEADY && r == 1 && i == 3)
            v *= 1 + 0x1p-6 * (double)(calls % 2);
        if (bug == Y_IN_A_THOUSAND && r % 1000 == 999)
            v = 0;
        element_put(p->dtype, a->y, at + i, v);
    }
}

static void run(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    const size_t first = p->rows * a->part / a->parts, last = p->rows * (a->part + 1) / a->parts;
    static struct row row, before;
    calls++;
    for (size_t r = first; r < last; r++) {
        load(p, a, r, &row);
        make_y(p, a, &row);
        write_h(p, a, r, &row);
        write_y(p, a, r, bug == STALE_H && r > first ? &before : &row);
        before = row;
        if (bug == X_CHANGED)
            element_put(p->dtype, (char *)(uintptr_t)a->x, r * p->ldx, row.h[0]);
        if (bug == RESIDUAL_CHANGED)
            element_put(p->dtype, (char *)(uintptr_t)a->residual, r * p->ldx, row.h[0]);
    }
}

/* ---- the check of it ---- */

static bool is_base(const struct nb_kernel *k)
{
    return nb_kernel_why_not(k) == NULL && k->dir == NB_FWD && k->fuse != NB_FUSE_NONE && nb_op_facts(k->op)->norm &&
           k->trick[0] == '\0' && strcmp(k->algo, nb_op_facts(k->op)->centred ? "twopass" : "onepass") == 0;
}

static bool exists(const struct nb_kernel *k)
{
    const unsigned where = MUTATIONS[bug].where;
    return is_base(k) && mutation_fits(where, k) && !(where & KEPT && k->fuse != NB_FUSE_RESIDUAL) &&
           !(where & DEEP && k->op != NB_OP_DEEPNORM) && !(where & WIDE && nb_dtype_bytes(k->dtype) == 2);
}

static struct nb_check_result checked(const struct nb_kernel *k)
{
    struct nb_kernel mutant = *k;
    const struct nb_cell c = mutation_cell(k, MUTATIONS[bug].where);
    mutant.run = run;
    now = k;
    calls = 0;
    return mutation_check(&c, &mutant);
}

static const char *begin(size_t i)
{
    bug = (enum bug)i;
    return MUTATIONS[i].name;
}

int main(void)
{
    const struct mutations all = {BUGS, begin, exists, checked, NULL};
    return nb_cpu_init(NULL, 0) == 0 && mutations_all_caught(&all) ? 0 : 1;
}
