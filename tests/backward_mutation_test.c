/* backward_mutation_test.c: does the check of passes backward find what can be wrong in one? A plain loop in double
 * must pass under every kernel's bound, and each of its mutations must fail. Prints the score; exits 1 below 100 %. */
#include "mutation.h"

#include "cpu.h"

#include <math.h>
#include <string.h>

enum { SUMS = 2, DALPHA = SUMS };

enum bug {
    NONE, SIGN, NO_XHAT_TERM, NO_MEAN_TERM, N_MINUS_ONE, LAST_LEFT_OUT, STALE_RSTD, RSTD_SQUARED, MEAN_KEPT, STALE_MEAN,
    RSTD_OF_SUM, NO_GAMMA, GAMMA_TWICE, GAMMA_NEXT, PLAIN_DGAMMA, DGAMMA_NEXT, DGAMMA_WITH_GAMMA, DBETA_WITH_GAMMA,
    DBETA_IS_DGAMMA, LAST_ROW_LOST, FIRST_ROW_LOST, LAST_ROW_ALONE, SUM_GOES_ON, FIRST_PART_ALONE, PARTS_LEFT_OUT,
    SHARES_NARROW, XHAT_NARROW, G_NARROW, TRUNCATED, SWAPPED_INPUTS, DY_STRIDE, DX_STRIDE, ROW_UNWRITTEN, ROWS_SWAPPED,
    ELEMENT_UNWRITTEN, DGAMMA_UNWRITTEN, WRITE_BEHIND, DGAMMA_BEFORE, MEAN_CHANGED, RSTD_CHANGED, DY_CHANGED,
    UNSTEADY, UNSTEADY_SHARES, ONE_IN_A_THOUSAND, NAN_HIDDEN, SHARES_OVER_ROWS, COPIED,
    MEAN_OF_SUM, GAIN_IN_ONE_TERM, DGAMMA_MISSES_ONE, LAST_ELEMENT_ALONE,
    BEHIND_TOO, PREFIX_SUM, PREFIX_OVER_HIDDEN, FIRST_STATISTICS, FIRST_GAMMA, ONE_PIECE_LOST,
    ONE_MINUS_T, SLOPE_OF_F32, ALPHA_IGNORED, ALPHA_LEFT_OUT, SLOPE_LEFT_OUT, DALPHA_LOST, DALPHA_WITH_ALPHA, DALPHA_OF_T,
    DALPHA_WITHOUT_GAMMA, DALPHA_FIRST_PART, DALPHA_LAST_COLUMN_LOST, DALPHA_LAST_ROW_LOST, DALPHA_UNSTEADY,
    DX_IS_DRES, DRES_WITH_ALPHA, BOTH_WITH_ALPHA, ALPHA_SQUARED, ALPHA_DIVIDES, ALPHA_NARROW, DX_OF_UNROUNDED, DX_OF_STALE,
    DX_OFF_BY_ULP, DX_TRUNCATED, DX_UNWRITTEN, DX_STRIDE_HIDDEN, DX_BEHIND, DX_NAN_HIDDEN, DX_IN_A_THOUSAND, DX_LAST_LOST,
    DGAMMA_WITH_ALPHA, XHAT_WITH_ALPHA, BUGS
};
enum { PREFIX = OWN, PIECES = 2 * OWN, GROUPS = 4 * OWN, TWO = 8 * OWN /* dres besides dx */ };
static const struct {
    const char *name;
    unsigned where;
} MUTATIONS[BUGS] = {
    [SIGN] = {"sign of the xhat term", STATS},
    [NO_XHAT_TERM] = {"xhat term missing", STATS},
    [NO_MEAN_TERM] = {"mean term missing", CENTRED},
    [N_MINUS_ONE] = {"divided by n-1", MEAN},
    [LAST_LEFT_OUT] = {"last element left out of the sums", STATS},
    [STALE_RSTD] = {"rstd of the row before", STATS},
    [RSTD_SQUARED] = {"rstd once too often", STATS},
    [MEAN_KEPT] = {"mean not subtracted", CENTRED},
    [STALE_MEAN] = {"mean of the row before", CENTRED},
    [RSTD_OF_SUM] = {"sum in place of mean", MEAN},
    [NO_GAMMA] = {"gamma ignored", GAMMA},
    [GAMMA_TWICE] = {"gamma twice", GAMMA},
    [GAMMA_NEXT] = {"gamma of the next element", ELEMENTWISE},
    [PLAIN_DGAMMA] = {"dgamma without xhat", GAMMA},
    [DGAMMA_NEXT] = {"dgamma of the next column", ELEMENTWISE},
    [DGAMMA_WITH_GAMMA] = {"dgamma times gamma", GAMMA},
    [DBETA_WITH_GAMMA] = {"dbeta times gamma", BETA},
    [DBETA_IS_DGAMMA] = {"dbeta is dgamma", BETA},
    [LAST_ROW_LOST] = {"share of the last row lost", GAMMA},
    [FIRST_ROW_LOST] = {"share of the first row lost", GAMMA},
    [LAST_ROW_ALONE] = {"share of the last row alone", GAMMA},
    [SUM_GOES_ON] = {"sums not cleared before", GAMMA},
    [FIRST_PART_ALONE] = {"sums of the first part alone", GAMMA},
    [PARTS_LEFT_OUT] = {"columns of the first part alone", GAMMA},
    [SHARES_NARROW] = {"shares rounded to bf16 each", NOT_BF16 | GAMMA},
    [XHAT_NARROW] = {"xhat rounded to bf16", NOT_BF16},
    [G_NARROW] = {"g rounded to bf16", NOT_BF16},
    [TRUNCATED] = {"written as truncation", NARROW},
    [SWAPPED_INPUTS] = {"x and dy swapped", ANY},
    [DY_STRIDE] = {"stride of dy ignored", ANY},
    [DX_STRIDE] = {"stride of dx ignored", ANY},
    [ROW_UNWRITTEN] = {"row of dx not written", ANY},
    [ROWS_SWAPPED] = {"two rows of dx swapped", ANY},
    [ELEMENT_UNWRITTEN] = {"element of dx not written", ANY},
    [DGAMMA_UNWRITTEN] = {"element of dgamma not written", GAMMA},
    [WRITE_BEHIND] = {"write at dx[hidden]", ANY},
    [DGAMMA_BEFORE] = {"write at dgamma[-1]", GAMMA},
    [MEAN_CHANGED] = {"saved mean changed", CENTRED},
    [RSTD_CHANGED] = {"saved rstd changed", STATS},
    [DY_CHANGED] = {"dy changed", ANY},
    [UNSTEADY] = {"dx differs from run to run", ANY},
    [UNSTEADY_SHARES] = {"dgamma differs from run to run", GAMMA},
    [ONE_IN_A_THOUSAND] = {"one row in a thousand", MANY_ROWS},
    [NAN_HIDDEN] = {"NaN hidden", ANY},
    [SHARES_OVER_ROWS] = {"mean over rows in place of their sum", GAMMA},
    [COPIED] = {"dy copied", ANY},
    [MEAN_OF_SUM] = {"mean in place of sum", SUM},
    [GAIN_IN_ONE_TERM] = {"gain left out of the xhat term", GAIN},
    [DGAMMA_MISSES_ONE] = {"dgamma misses an element of each row", GAIN},
    [LAST_ELEMENT_ALONE] = {"dgamma of the last element alone", GAIN},
    [BEHIND_TOO] = {"xhat term behind the prefix", PREFIX},
    [PREFIX_SUM] = {"sum over the prefix alone", PREFIX},
    [PREFIX_OVER_HIDDEN] = {"sum over hidden in place of k", PREFIX},
    [FIRST_STATISTICS] = {"statistics of the first group or head", PIECES},
    [FIRST_GAMMA] = {"gamma of the first group", GROUPS},
    [ONE_PIECE_LOST] = {"share of the last group or head lost", PIECES},
    [ONE_MINUS_T] = {"1 - t in place of 1 - t^2", POINTWISE},
    [SLOPE_OF_F32] = {"1 - t^2 of t in f32, digits cancelled", POINTWISE},
    [ALPHA_IGNORED] = {"tanh(x) in place of tanh(alpha*x)", POINTWISE},
    [ALPHA_LEFT_OUT] = {"dx without alpha", POINTWISE},
    [SLOPE_LEFT_OUT] = {"dx without 1 - t^2", POINTWISE},
    [DALPHA_LOST] = {"dalpha not written", POINTWISE},
    [DALPHA_WITH_ALPHA] = {"dalpha times alpha", POINTWISE},
    [DALPHA_OF_T] = {"t in place of x in dalpha", POINTWISE},
    [DALPHA_WITHOUT_GAMMA] = {"dalpha without gamma", POINTWISE},
    [DALPHA_FIRST_PART] = {"dalpha of the first part alone", POINTWISE},
    [DALPHA_LAST_COLUMN_LOST] = {"dalpha without the last column", POINTWISE},
    [DALPHA_LAST_ROW_LOST] = {"dalpha without the last row", POINTWISE},
    [DALPHA_UNSTEADY] = {"dalpha differs from run to run", POINTWISE},
    [DX_IS_DRES] = {"dx without alpha", TWO},
    [DRES_WITH_ALPHA] = {"alpha on dres, dx without", TWO},
    [BOTH_WITH_ALPHA] = {"alpha on dres, too", TWO},
    [ALPHA_SQUARED] = {"alpha squared", TWO},
    [ALPHA_DIVIDES] = {"dx divided by alpha", TWO},
    [ALPHA_NARROW] = {"alpha rounded to bf16", TWO},
    [DX_OF_UNROUNDED] = {"dx of the unrounded dres", TWO | NARROW},
    [DX_OF_STALE] = {"dx of the row before", TWO},
    [DX_OFF_BY_ULP] = {"one element of dx off by its last bit", TWO},
    [DX_TRUNCATED] = {"dx truncated", TWO | NARROW},
    [DX_UNWRITTEN] = {"row of dx not written, dres is", TWO},
    [DX_STRIDE_HIDDEN] = {"stride of dx ignored, that of dres not", TWO},
    [DX_BEHIND] = {"write at dx[hidden], not at dres", TWO},
    [DX_NAN_HIDDEN] = {"NaN in dx hidden", TWO},
    [DX_IN_A_THOUSAND] = {"dx of one row in a thousand", TWO | MANY_ROWS},
    [DX_LAST_LOST] = {"last element of dx without alpha", TWO},
    [DGAMMA_WITH_ALPHA] = {"dgamma times alpha", TWO},
    [XHAT_WITH_ALPHA] = {"h taken for x: xhat of alpha*h", TWO},
};

static enum bug bug;
static unsigned long calls;

/* ---- the loop, with one thing wrong ---- */

static uint32_t stat_type(const struct nb_problem *p)
{
    return p->dtype == NB_F64 ? NB_F64 : NB_F32;
}

/* Where the parameters of a group or head begin. */
static size_t params_at(const struct nb_problem *p, size_t piece)
{
    return nb_op_role(p->op) == NB_K_IS_PIECES && bug != FIRST_GAMMA ? piece * (p->hidden / nb_op_pieces(p)) : 0;
}

static double gamma_at(const struct nb_problem *p, const struct nb_args *a, size_t piece, size_t i)
{
    const size_t n = p->hidden / nb_op_pieces(p), at = bug == GAMMA_NEXT ? (i + 1) % n : i;
    const size_t own = nb_op_facts(p->op)->scalar ? 0 : params_at(p, piece) + at;
    const double w = a->gamma != NULL ? element_get(p->param_dtype, a->gamma, own) : 1;
    return bug == NO_GAMMA ? 1 : bug == GAMMA_TWICE ? w * w : w;
}

/* One group, head or row in double. */
struct row {
    size_t n;
    double mean, rstd, x[HIDDEN], dy[HIDDEN], w[HIDDEN], xhat[HIDDEN], g[HIDDEN];
    double d[HIDDEN]; /* dyt: of xhat, which is t */
};

/* t and its slope, which is 1/cosh(z)^2 */
static void bend(const struct nb_problem *p, struct row *row, size_t i)
{
    const double z = bug == ALPHA_IGNORED ? row->x[i] : p->alpha * row->x[i], t = tanh(z), c = 1 / cosh(z);
    const float narrow = (float)t;
    row->xhat[i] = t;
    row->d[i] = bug == ONE_MINUS_T     ? 1 - t
                : bug == SLOPE_OF_F32 ? (double)(1 - narrow * narrow)
                                      : c * c;
}

static struct row load(const struct nb_problem *p, const struct nb_args *a, size_t r, size_t piece)
{
    const size_t pieces = nb_op_pieces(p), other = r > 0 ? r - 1 : r, of = bug == FIRST_STATISTICS ? 0 : piece;
    struct row row = {.n = p->hidden / pieces};
    const void *x = bug == SWAPPED_INPUTS ? a->dy : a->x, *dy = bug == SWAPPED_INPUTS ? a->x : a->dy;
    const bool centred = nb_op_facts(p->op)->centred;
    const bool stats = nb_op_facts(p->op)->norm;
    row.rstd = stats ? element_get(stat_type(p), a->rstd, (bug == STALE_RSTD ? other : r) * pieces + of) : 1;
    row.mean = centred && bug != MEAN_KEPT
                   ? element_get(stat_type(p), a->mean, (bug == STALE_MEAN ? other : r) * pieces + of)
                   : 0;
    for (size_t i = 0; i < row.n; i++) {
        row.x[i] = element_get(p->dtype, x, r * p->ldx + piece * row.n + i);
        row.dy[i] = element_get(p->dtype, dy, r * (bug == DY_STRIDE ? p->hidden : p->ldx) + piece * row.n + i);
        row.w[i] = gamma_at(p, a, piece, i);
        row.xhat[i] = ((bug == XHAT_WITH_ALPHA ? p->alpha : 1) * row.x[i] - row.mean) * row.rstd;
        if (p->op == NB_OP_DYT)
            bend(p, &row, i);
        row.g[i] = row.dy[i] * row.w[i];
        if (bug == XHAT_NARROW)
            row.xhat[i] = element_through(NB_BF16, row.xhat[i]);
        if (bug == G_NARROW)
            row.g[i] = element_through(NB_BF16, row.g[i]);
    }
    return row;
}

static void propagate_bent(const struct nb_problem *p, const struct row *row, double *dx)
{
    for (size_t i = 0; i < row->n; i++) {
        dx[i] = row->g[i] * (bug == SLOPE_LEFT_OUT ? 1 : row->d[i]) * (bug == ALPHA_LEFT_OUT ? 1 : p->alpha);
        dx[i] = bug == COPIED ? row->dy[i] : bug == NAN_HIDDEN && isnan(dx[i]) ? 0 : dx[i];
    }
}

/* dx, rounded as the dtype is. */
static void propagate(const struct nb_problem *p, const struct row *row, double *dx)
{
    const size_t n = row->n, k = p->op == NB_OP_PRMSNORM ? p->k : n;
    if (p->op == NB_OP_DYT) {
        propagate_bent(p, row, dx);
        return;
    }
    const size_t summed = bug == LAST_LEFT_OUT ? n - 1 : bug == PREFIX_SUM ? k : n;
    const bool undivided = nb_op_facts(p->op)->sum && bug != MEAN_OF_SUM;
    const double of = undivided ? 1 : bug == PREFIX_OVER_HIDDEN ? (double)n : (double)k;
    const double over = bug == N_MINUS_ONE ? of - 1 : bug == RSTD_OF_SUM ? 1 : of;
    double g = 0, gx = 0;
    for (size_t i = 0; i < summed; i++) {
        g += row->g[i] / over;
        gx += (bug == GAIN_IN_ONE_TERM ? row->dy[i] : row->g[i]) * row->xhat[i] / over;
    }
    g = nb_op_facts(p->op)->centred && bug != NO_MEAN_TERM ? g : 0;
    gx = bug == NO_XHAT_TERM ? 0 : bug == SIGN ? -gx : gx;
    for (size_t i = 0; i < n; i++) {
        dx[i] = row->rstd * (i < k || bug == BEHIND_TOO ? row->g[i] - g - row->xhat[i] * gx : row->g[i]);
        dx[i] = bug == RSTD_SQUARED ? dx[i] * row->rstd : bug == COPIED ? row->dy[i] : dx[i];
        dx[i] = bug == NAN_HIDDEN && isnan(dx[i]) ? 0 : dx[i];
    }
}

/* dx = alpha*dres, of dres as it stands in row r, or of what it was before it was rounded. */
static double scaled(const struct nb_problem *p, const struct nb_args *a, size_t r, size_t i, double unrounded)
{
    const size_t from = bug == DX_OF_STALE && r > 0 ? r - 1 : r;
    const bool plain = bug == DX_IS_DRES || bug == DRES_WITH_ALPHA || (bug == DX_LAST_LOST && i + 1 == p->hidden);
    double alpha = bug == ALPHA_SQUARED ? p->alpha * p->alpha : bug == ALPHA_DIVIDES ? 1 / p->alpha : p->alpha;
    alpha = plain ? 1 : bug == ALPHA_NARROW ? element_through(NB_BF16, alpha) : alpha;
    const double v = bug == DX_OF_UNROUNDED ? unrounded : element_get(p->dtype, a->dres, from * p->ldy + i);
    const double product = p->dtype == NB_F64 ? alpha * v : (double)((float)alpha * (float)v);
    return bug == DX_NAN_HIDDEN && isnan(product) ? 0 : product;
}

/* Element i, which was rounded from v, as truncation would have left it. */
static void cut(uint32_t dtype, void *p, size_t i, double v)
{
    if (fabs(element_get(dtype, p, i)) > fabs(v))
        element_put(dtype, p, i, v * (1 - element_step(dtype) / 2));
}

static void write_scaled(const struct nb_problem *p, const struct nb_args *a, size_t r, const double *dres)
{
    const size_t at = r * (bug == DX_STRIDE_HIDDEN ? p->hidden : p->ldy);
    for (size_t i = 0; i < p->hidden; i++) {
        double v = scaled(p, a, r, i, dres[i]);
        if (bug == DX_OFF_BY_ULP && r == 1 && i == 5)
            v *= 1 + element_step(p->dtype);
        if (bug == DX_IN_A_THOUSAND && r % 1000 == 999)
            v = 0;
        element_put(p->dtype, a->dx, at + i, v);
        if (bug == DX_TRUNCATED)
            cut(p->dtype, a->dx, at + i, v);
    }
    if (bug == DX_BEHIND && r + 1 < p->rows)
        element_put(p->dtype, a->dx, at + p->hidden, 1);
}

static void write_row(const struct nb_problem *p, const struct nb_args *a, size_t r, const double *dx)
{
    void *const to = p->op == NB_OP_DEEPNORM ? a->dres : a->dx;
    const size_t ld = bug == DX_STRIDE ? p->hidden : p->ldy;
    const size_t at = (bug == ROWS_SWAPPED && r < 2 && p->rows > 1 ? 1 - r : r) * ld;
    for (size_t i = 0; i < p->hidden; i++) {
        double v = dx[i];
        if (bug == ELEMENT_UNWRITTEN && r == 1 && i == p->hidden / 2)
            continue;
        if (bug == UNSTEADY && r == 1 && i == 3)
            v *= 1 + 0x1p-6 * (double)(calls % 2);
        if (bug == ONE_IN_A_THOUSAND && r % 1000 == 999)
            v = 0;
        if (bug == DRES_WITH_ALPHA || bug == BOTH_WITH_ALPHA)
            v *= p->alpha;
        element_put(p->dtype, to, at + i, v);
        if (bug == TRUNCATED)
            cut(p->dtype, to, at + i, v);
    }
    if (bug == WRITE_BEHIND && r + 1 < p->rows)
        element_put(p->dtype, to, at + p->hidden, 1);
}

static double share_of_alpha(const struct nb_problem *p, const struct row *row)
{
    double sum = 0;
    for (size_t i = 0; i + (bug == DALPHA_LAST_COLUMN_LOST) < row->n; i++)
        sum += (bug == DALPHA_WITHOUT_GAMMA ? row->dy[i] : row->g[i]) * row->d[i] * (bug == DALPHA_OF_T ? row->xhat[i] : row->x[i]);
    return bug == DALPHA_WITH_ALPHA ? sum * p->alpha : sum;
}

static void share(const struct nb_problem *p, const struct row *row, double *sums)
{
    const size_t n = row->n;
    if (p->op == NB_OP_DYT)
        sums[DALPHA * p->hidden] += share_of_alpha(p, row);
    for (size_t i = 0; i < n; i++) {
        const double w = row->w[i], dy = row->dy[i];
        double dgamma = bug == PLAIN_DGAMMA ? dy : dy * row->xhat[i];
        dgamma *= bug == DGAMMA_WITH_GAMMA ? w : bug == DGAMMA_WITH_ALPHA ? p->alpha : 1;
        dgamma = bug == SHARES_NARROW ? element_through(NB_BF16, dgamma) : dgamma;
        const bool scalar = nb_op_facts(p->op)->scalar;
        const size_t column = scalar ? 0 : bug == DGAMMA_NEXT ? (i + 1) % n : i;
        const bool first = (bug == LAST_ROW_ALONE && (i == 0 || !scalar)) || bug == LAST_ELEMENT_ALONE;
        if (bug != DGAMMA_MISSES_ONE || i + 1 < n)
            sums[column] = first ? dgamma : sums[column] + dgamma;
        sums[p->hidden + i] += bug == DBETA_WITH_GAMMA ? dy * w : bug == DBETA_IS_DGAMMA ? dgamma : dy;
    }
}

static bool is_lost(const struct nb_problem *p, size_t r, size_t piece)
{
    return (bug == LAST_ROW_LOST && r == p->rows - 1) || (bug == FIRST_ROW_LOST && r == 0) ||
           (bug == ONE_PIECE_LOST && piece == nb_op_pieces(p) - 1);
}

static void run(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    const size_t first = p->rows * a->part / a->parts, last = p->rows * (a->part + 1) / a->parts;
    const size_t pieces = nb_op_pieces(p);
    static double dx[HIDDEN];
    double *sums = a->scratch;
    calls++;
    if (bug != SUM_GOES_ON)
        memset(sums, 0, (SUMS * p->hidden + 1) * sizeof *sums);
    for (size_t r = first; r < last; r++) {
        for (size_t piece = 0; piece < pieces; piece++) {
            const struct row row = load(p, a, r, piece);
            propagate(p, &row, dx + piece * row.n);
            const double before = sums[DALPHA * p->hidden];
            if (!is_lost(p, r, piece))
                share(p, &row, sums + (nb_op_role(p->op) == NB_K_IS_PIECES ? piece * row.n : 0));
            if (bug == DALPHA_LAST_ROW_LOST && r == p->rows - 1)
                sums[DALPHA * p->hidden] = before;
        }
        if (!(bug == ROW_UNWRITTEN && r == 1))
            write_row(p, a, r, dx);
        if (p->op == NB_OP_DEEPNORM && !(bug == DX_UNWRITTEN && r == 1))
            write_scaled(p, a, r, dx);
        if (bug == MEAN_CHANGED)
            element_put(stat_type(p), a->mean, r, 1 + element_get(stat_type(p), a->mean, r));
        if (bug == RSTD_CHANGED)
            element_put(stat_type(p), a->rstd, r, 2 * element_get(stat_type(p), a->rstd, r));
        if (bug == DY_CHANGED)
            element_put(p->dtype, (char *)(uintptr_t)a->dy, r * p->ldx, 1 + element_get(p->dtype, a->dy, r * p->ldx));
    }
}

static void reduce_alpha(const struct nb_problem *p, const struct nb_args *a, size_t parts)
{
    double sum = 0;
    for (size_t part = 0; part < (bug == DALPHA_FIRST_PART ? 1 : parts); part++)
        sum += ((const double *)((const char *)a->scratch + part * a->scratch_step))[DALPHA * p->hidden];
    element_put(stat_type(p), a->dalpha, 0, bug == DALPHA_UNSTEADY && calls % 2 ? sum + fmax(1, fabs(sum)) : sum);
}

static void reduce(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    const size_t n = nb_op_params(p), parts = bug == FIRST_PART_ALONE ? 1 : a->parts;
    const size_t first = n * a->part / a->parts, last = n * (a->part + 1) / a->parts;
    void *const to[SUMS] = {a->dgamma, a->dbeta};
    for (size_t s = 0; s < SUMS; s++)
        for (size_t i = first; i < last && to[s] != NULL && !(bug == PARTS_LEFT_OUT && a->part > 0); i++) {
            double sum = 0;
            for (size_t part = 0; part < parts; part++)
                sum += ((const double *)((const char *)a->scratch + part * a->scratch_step))[s * p->hidden + i];
            if (bug == DGAMMA_UNWRITTEN && s == 0 && i == n - 1)
                continue;
            if (bug == UNSTEADY_SHARES && i == 0)
                sum += (double)(calls % 2) * fmax(1, fabs(sum));
            element_put(p->param_dtype, to[s], i, bug == SHARES_OVER_ROWS ? sum / (double)p->rows : sum);
        }
    if (a->dalpha != NULL && a->part == 0 && bug != DALPHA_LOST)
        reduce_alpha(p, a, parts);
    if (bug == DGAMMA_BEFORE && a->dgamma != NULL)
        element_put(p->param_dtype, (char *)a->dgamma - nb_dtype_bytes(p->param_dtype), 0, 1);
}

static size_t scratch_bytes(const struct nb_problem *p, uint32_t parts)
{
    (void)parts;
    return (SUMS * p->hidden + 1) * sizeof(double);
}

/* ---- the check of it ---- */

static bool is_base(const struct nb_kernel *k)
{
    return nb_kernel_why_not(k) == NULL && k->dir == NB_BWD && !nb_op_facts(k->op)->columns && k->trick[0] == '\0' &&
           strcmp(k->algo, nb_op_facts(k->op)->pointwise ? "expm1" : "twopass") == 0;
}

static bool exists(const struct nb_kernel *k)
{
    const unsigned where = MUTATIONS[bug].where;
    return is_base(k) && mutation_fits(where, k) && !(where & PREFIX && nb_op_role(k->op) != NB_K_IS_FIRST) &&
           !(where & GROUPS && nb_op_role(k->op) != NB_K_IS_PIECES) && !(where & PIECES && !has_pieces(k)) &&
           !(where & TWO && k->fuse == NB_FUSE_NONE);
}

/* What goes wrong between parts needs some. */
static struct nb_check_result checked(const struct nb_kernel *k)
{
    struct nb_kernel mutant = *k;
    struct nb_cell c = mutation_cell(k, MUTATIONS[bug].where);
    c.k[NB_K_PREFIX] = 300000;
    c.threads = bug == FIRST_PART_ALONE || bug == PARTS_LEFT_OUT || bug == DALPHA_FIRST_PART ? 2 : 1;
    mutant.run = run;
    mutant.reduce = reduce;
    mutant.scratch_bytes = scratch_bytes;
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
