/* backward_mutation_test.c: does the check of passes backward find what can be wrong in one? A plain loop in double
 * must pass under every kernel's bound, and each of its mutations must fail. Prints the score; exits 1 below 100 %. */
#include "check.h"
#include "codec.h"
#include "cpu.h"
#include "execute.h"
#include "registry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 67, ROWS = 50, MANY = 1100, SUMS = 2 };

enum bug {
    NONE, SIGN, NO_XHAT_TERM, NO_MEAN_TERM, N_MINUS_ONE, LAST_LEFT_OUT, STALE_RSTD, RSTD_SQUARED, MEAN_KEPT, STALE_MEAN,
    RSTD_OF_SUM, NO_GAMMA, GAMMA_TWICE, GAMMA_NEXT, PLAIN_DGAMMA, DGAMMA_NEXT, DGAMMA_WITH_GAMMA, DBETA_WITH_GAMMA,
    DBETA_IS_DGAMMA, LAST_ROW_LOST, FIRST_ROW_LOST, LAST_ROW_ALONE, SUM_GOES_ON, FIRST_PART_ALONE, PARTS_LEFT_OUT,
    SHARES_NARROW, XHAT_NARROW, G_NARROW, TRUNCATED, SWAPPED_INPUTS, DY_STRIDE, DX_STRIDE, ROW_UNWRITTEN, ROWS_SWAPPED,
    ELEMENT_UNWRITTEN, DGAMMA_UNWRITTEN, WRITE_BEHIND, DGAMMA_BEFORE, MEAN_CHANGED, RSTD_CHANGED, DY_CHANGED,
    UNSTEADY, UNSTEADY_SHARES, ONE_IN_A_THOUSAND, NAN_HIDDEN, SHARES_OVER_ROWS, COPIED,
    BEHIND_TOO, PREFIX_SUM, PREFIX_OVER_HIDDEN, FIRST_STATISTICS, FIRST_GAMMA, ONE_PIECE_LOST,
    DX_IS_DRES, DRES_WITH_ALPHA, BOTH_WITH_ALPHA, ALPHA_SQUARED, ALPHA_DIVIDES, ALPHA_NARROW, DX_OF_UNROUNDED, DX_OF_STALE,
    DX_OFF_BY_ULP, DX_TRUNCATED, DX_UNWRITTEN, DX_STRIDE_HIDDEN, DX_BEHIND, DX_NAN_HIDDEN, DX_IN_A_THOUSAND, DX_LAST_LOST,
    DGAMMA_WITH_ALPHA, XHAT_WITH_ALPHA, BUGS
};
/* TWO: dres besides dx. NARROW: 16 bit. */
enum where { ANY, CENTRED = 1, NARROW = 2, MANY_ROWS = 4, NOT_BF16 = 8, PREFIX = 16, PIECES = 32, GROUPS = 64, TWO = 128 };
static const struct {
    const char *name;
    unsigned where;
} MUTATIONS[BUGS] = {
    [SIGN] = {"sign of the xhat term", ANY},
    [NO_XHAT_TERM] = {"xhat term missing", ANY},
    [NO_MEAN_TERM] = {"mean term missing", CENTRED},
    [N_MINUS_ONE] = {"divided by n-1", ANY},
    [LAST_LEFT_OUT] = {"last element left out of the sums", ANY},
    [STALE_RSTD] = {"rstd of the row before", ANY},
    [RSTD_SQUARED] = {"rstd once too often", ANY},
    [MEAN_KEPT] = {"mean not subtracted", CENTRED},
    [STALE_MEAN] = {"mean of the row before", CENTRED},
    [RSTD_OF_SUM] = {"sum in place of mean", ANY},
    [NO_GAMMA] = {"gamma ignored", ANY},
    [GAMMA_TWICE] = {"gamma twice", ANY},
    [GAMMA_NEXT] = {"gamma of the next element", ANY},
    [PLAIN_DGAMMA] = {"dgamma without xhat", ANY},
    [DGAMMA_NEXT] = {"dgamma of the next column", ANY},
    [DGAMMA_WITH_GAMMA] = {"dgamma times gamma", ANY},
    [DBETA_WITH_GAMMA] = {"dbeta times gamma", CENTRED},
    [DBETA_IS_DGAMMA] = {"dbeta is dgamma", CENTRED},
    [LAST_ROW_LOST] = {"share of the last row lost", ANY},
    [FIRST_ROW_LOST] = {"share of the first row lost", ANY},
    [LAST_ROW_ALONE] = {"share of the last row alone", ANY},
    [SUM_GOES_ON] = {"sums not cleared before", ANY},
    [FIRST_PART_ALONE] = {"sums of the first part alone", ANY},
    [PARTS_LEFT_OUT] = {"columns of the first part alone", ANY},
    [SHARES_NARROW] = {"shares rounded to bf16 each", NOT_BF16},
    [XHAT_NARROW] = {"xhat rounded to bf16", NOT_BF16},
    [G_NARROW] = {"g rounded to bf16", NOT_BF16},
    [TRUNCATED] = {"written as truncation", NARROW},
    [SWAPPED_INPUTS] = {"x and dy swapped", ANY},
    [DY_STRIDE] = {"stride of dy ignored", ANY},
    [DX_STRIDE] = {"stride of dx ignored", ANY},
    [ROW_UNWRITTEN] = {"row of dx not written", ANY},
    [ROWS_SWAPPED] = {"two rows of dx swapped", ANY},
    [ELEMENT_UNWRITTEN] = {"element of dx not written", ANY},
    [DGAMMA_UNWRITTEN] = {"element of dgamma not written", ANY},
    [WRITE_BEHIND] = {"write at dx[hidden]", ANY},
    [DGAMMA_BEFORE] = {"write at dgamma[-1]", ANY},
    [MEAN_CHANGED] = {"saved mean changed", CENTRED},
    [RSTD_CHANGED] = {"saved rstd changed", ANY},
    [DY_CHANGED] = {"dy changed", ANY},
    [UNSTEADY] = {"dx differs from run to run", ANY},
    [UNSTEADY_SHARES] = {"dgamma differs from run to run", ANY},
    [ONE_IN_A_THOUSAND] = {"one row in a thousand", MANY_ROWS},
    [NAN_HIDDEN] = {"NaN hidden", ANY},
    [SHARES_OVER_ROWS] = {"mean over rows in place of their sum", ANY},
    [COPIED] = {"dy copied", ANY},
    [BEHIND_TOO] = {"xhat term behind the prefix", PREFIX},
    [PREFIX_SUM] = {"sum over the prefix alone", PREFIX},
    [PREFIX_OVER_HIDDEN] = {"sum over hidden in place of k", PREFIX},
    [FIRST_STATISTICS] = {"statistics of the first group or head", PIECES},
    [FIRST_GAMMA] = {"gamma of the first group", GROUPS},
    [ONE_PIECE_LOST] = {"share of the last group or head lost", PIECES},
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

static double get(uint32_t dtype, const void *p, size_t i)
{
    double v;
    nb_decode(dtype, (const char *)p + i * nb_dtype_bytes(dtype), &v, 1);
    return v;
}

static void put(uint32_t dtype, void *p, size_t i, double v)
{
    nb_encode(dtype, &v, (char *)p + i * nb_dtype_bytes(dtype), 1);
}

static double through_bf16(double v)
{
    uint16_t bits;
    nb_encode(NB_BF16, &v, &bits, 1);
    nb_decode(NB_BF16, &bits, &v, 1);
    return v;
}

static uint32_t stat_type(const struct nb_problem *p)
{
    return p->dtype == NB_F64 ? NB_F64 : NB_F32;
}

/* Where the parameters of a group or head begin. */
static size_t params_at(const struct nb_problem *p, size_t piece)
{
    return p->op == NB_OP_GROUPNORM && bug != FIRST_GAMMA ? piece * (p->hidden / nb_op_pieces(p)) : 0;
}

static double gamma_at(const struct nb_problem *p, const struct nb_args *a, size_t piece, size_t i)
{
    const size_t n = p->hidden / nb_op_pieces(p), at = bug == GAMMA_NEXT ? (i + 1) % n : i;
    const double w = a->gamma != NULL ? get(p->param_dtype, a->gamma, params_at(p, piece) + at) : 1;
    return bug == NO_GAMMA ? 1 : bug == GAMMA_TWICE ? w * w : w;
}

/* One group, head or row in double. */
struct row {
    size_t n;
    double mean, rstd, x[HIDDEN], dy[HIDDEN], w[HIDDEN], xhat[HIDDEN], g[HIDDEN];
};

static struct row load(const struct nb_problem *p, const struct nb_args *a, size_t r, size_t piece)
{
    const size_t pieces = nb_op_pieces(p), other = r > 0 ? r - 1 : r, of = bug == FIRST_STATISTICS ? 0 : piece;
    struct row row = {.n = p->hidden / pieces};
    const void *x = bug == SWAPPED_INPUTS ? a->dy : a->x, *dy = bug == SWAPPED_INPUTS ? a->x : a->dy;
    const bool centred = nb_op_facts(p->op)->centred;
    row.rstd = get(stat_type(p), a->rstd, (bug == STALE_RSTD ? other : r) * pieces + of);
    row.mean = centred && bug != MEAN_KEPT ? get(stat_type(p), a->mean, (bug == STALE_MEAN ? other : r) * pieces + of) : 0;
    for (size_t i = 0; i < row.n; i++) {
        row.x[i] = get(p->dtype, x, r * p->ldx + piece * row.n + i);
        row.dy[i] = get(p->dtype, dy, r * (bug == DY_STRIDE ? p->hidden : p->ldx) + piece * row.n + i);
        row.w[i] = gamma_at(p, a, piece, i);
        row.xhat[i] = ((bug == XHAT_WITH_ALPHA ? p->alpha : 1) * row.x[i] - row.mean) * row.rstd;
        row.g[i] = row.dy[i] * row.w[i];
        if (bug == XHAT_NARROW)
            row.xhat[i] = through_bf16(row.xhat[i]);
        if (bug == G_NARROW)
            row.g[i] = through_bf16(row.g[i]);
    }
    return row;
}

/* dx, rounded as the dtype is. */
static void propagate(const struct nb_problem *p, const struct row *row, double *dx)
{
    const size_t n = row->n, k = p->op == NB_OP_PRMSNORM ? p->k : n;
    const size_t summed = bug == LAST_LEFT_OUT ? n - 1 : bug == PREFIX_SUM ? k : n;
    const double of = bug == PREFIX_OVER_HIDDEN ? (double)n : (double)k;
    const double over = bug == N_MINUS_ONE ? of - 1 : bug == RSTD_OF_SUM ? 1 : of;
    double g = 0, gx = 0;
    for (size_t i = 0; i < summed; i++) {
        g += row->g[i] / over;
        gx += row->g[i] * row->xhat[i] / over;
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
    alpha = plain ? 1 : bug == ALPHA_NARROW ? through_bf16(alpha) : alpha;
    const double v = bug == DX_OF_UNROUNDED ? unrounded : get(p->dtype, a->dres, from * p->ldy + i);
    const double product = p->dtype == NB_F64 ? alpha * v : (double)((float)alpha * (float)v);
    return bug == DX_NAN_HIDDEN && isnan(product) ? 0 : product;
}

static void write_scaled(const struct nb_problem *p, const struct nb_args *a, size_t r, const double *dres)
{
    const size_t at = r * (bug == DX_STRIDE_HIDDEN ? p->hidden : p->ldy);
    for (size_t i = 0; i < p->hidden; i++) {
        double v = scaled(p, a, r, i, dres[i]);
        const double step = p->dtype == NB_F64 ? 0x1p-52 : p->dtype == NB_F32 ? 0x1p-23 : p->dtype == NB_F16 ? 0x1p-10 : 0x1p-7;
        if (bug == DX_OFF_BY_ULP && r == 1 && i == 5)
            v *= 1 + step;
        if (bug == DX_IN_A_THOUSAND && r % 1000 == 999)
            v = 0;
        put(p->dtype, a->dx, at + i, v);
        if (bug == DX_TRUNCATED && fabs(get(p->dtype, a->dx, at + i)) > fabs(v))
            put(p->dtype, a->dx, at + i, v * (1 - step / 2));
    }
    if (bug == DX_BEHIND && r + 1 < p->rows)
        put(p->dtype, a->dx, at + p->hidden, 1);
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
        put(p->dtype, to, at + i, v);
        if (bug == TRUNCATED && fabs(get(p->dtype, to, at + i)) > fabs(v))
            put(p->dtype, to, at + i, v * (1 - (p->dtype == NB_F16 ? 0x1p-11 : 0x1p-8)));
    }
    if (bug == WRITE_BEHIND && r + 1 < p->rows)
        put(p->dtype, to, at + p->hidden, 1);
}

static void share(const struct nb_problem *p, const struct row *row, double *sums)
{
    const size_t n = row->n;
    for (size_t i = 0; i < n; i++) {
        const double w = row->w[i], dy = row->dy[i];
        double dgamma = bug == PLAIN_DGAMMA ? dy : dy * row->xhat[i];
        dgamma = bug == DGAMMA_WITH_GAMMA ? dgamma * w : bug == DGAMMA_WITH_ALPHA ? dgamma * p->alpha : bug == SHARES_NARROW ? through_bf16(dgamma) : dgamma;
        const size_t column = bug == DGAMMA_NEXT ? (i + 1) % n : i;
        sums[column] = bug == LAST_ROW_ALONE ? dgamma : sums[column] + dgamma;
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
        memset(sums, 0, SUMS * p->hidden * sizeof *sums);
    for (size_t r = first; r < last; r++) {
        for (size_t piece = 0; piece < pieces; piece++) {
            const struct row row = load(p, a, r, piece);
            propagate(p, &row, dx + piece * row.n);
            if (!is_lost(p, r, piece))
                share(p, &row, sums + (p->op == NB_OP_GROUPNORM ? piece * row.n : 0));
        }
        if (!(bug == ROW_UNWRITTEN && r == 1))
            write_row(p, a, r, dx);
        if (p->op == NB_OP_DEEPNORM && !(bug == DX_UNWRITTEN && r == 1))
            write_scaled(p, a, r, dx);
        if (bug == MEAN_CHANGED)
            put(stat_type(p), a->mean, r, 1 + get(stat_type(p), a->mean, r));
        if (bug == RSTD_CHANGED)
            put(stat_type(p), a->rstd, r, 2 * get(stat_type(p), a->rstd, r));
        if (bug == DY_CHANGED)
            put(p->dtype, (char *)(uintptr_t)a->dy, r * p->ldx, 1 + get(p->dtype, a->dy, r * p->ldx));
    }
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
            put(p->param_dtype, to[s], i, bug == SHARES_OVER_ROWS ? sum / (double)p->rows : sum);
        }
    if (bug == DGAMMA_BEFORE && a->dgamma != NULL)
        put(p->param_dtype, (char *)a->dgamma - nb_dtype_bytes(p->param_dtype), 0, 1);
}

static size_t scratch_bytes(const struct nb_problem *p, uint32_t parts)
{
    (void)parts;
    return SUMS * p->hidden * sizeof(double);
}

/* ---- the check of it ---- */

static bool is_base(const struct nb_kernel *k)
{
    return nb_kernel_why_not(k) == NULL && k->dir == NB_BWD && nb_op_facts(k->op)->norm && strcmp(k->algo, "twopass") == 0 &&
           k->trick[0] == '\0';
}

static bool exists(const struct nb_kernel *k)
{
    const unsigned where = MUTATIONS[bug].where;
    return MUTATIONS[bug].name != NULL && !(where & CENTRED && !nb_op_facts(k->op)->centred) &&
           !(where & PREFIX && k->op != NB_OP_PRMSNORM) && !(where & GROUPS && k->op != NB_OP_GROUPNORM) &&
           !(where & TWO && k->fuse == NB_FUSE_NONE) && !(where & PIECES && k->op != NB_OP_GROUPNORM && k->op != NB_OP_QKNORM) &&
           !(where & NARROW && nb_dtype_bytes(k->dtype) != 2) && !(where & NOT_BF16 && k->dtype == NB_BF16);
}

static struct nb_check_result checked(const struct nb_kernel *k, unsigned threads)
{
    struct nb_kernel mutant = *k;
    const enum nb_op_k kind = nb_op_facts(k->op)->k;
    const size_t hidden = kind == NB_K_GROUPS || kind == NB_K_HEAD ? 66 : HIDDEN; /* 67 is prime */
    struct nb_cell c = {.id = "mutation", .dir = NB_BWD, .fuse = k->fuse, .dtype = k->dtype, .param_dtype = k->dtype, .hidden = hidden,
                        .rows = MUTATIONS[bug].where & MANY_ROWS ? MANY : ROWS, .ldx = hidden, .ldy = hidden,
                        .k = {[NB_K_PREFIX] = 300000, [NB_K_GROUPS] = 3, [NB_K_HEAD] = 22}, .threads = threads,
                        .residency = NB_L2};
    struct nb_check_result r;
    mutant.run = run;
    mutant.reduce = reduce;
    mutant.scratch_bytes = scratch_bytes;
    calls = 0;
    struct nb_check_data *d = nb_check_data_make(&c, 1);
    nb_check_kernel(d, &mutant, &r);
    nb_check_data_free(d);
    return r;
}

/* What goes wrong between parts needs some. */
static unsigned threads_of(void)
{
    return bug == FIRST_PART_ALONE || bug == PARTS_LEFT_OUT ? 2 : 1;
}

int main(void)
{
    size_t right = 0, places = 0, caught = 0, mutations = 0, whole = 0;
    if (nb_cpu_init(NULL, 0) != 0)
        return 1;
    for (int b = NONE; b < BUGS; b++) {
        size_t here = 0, found = 0;
        bug = (enum bug)b;
        for (size_t i = 0; i < nb_kernel_count(); i++) {
            const struct nb_kernel *k = nb_kernel_at(i);
            if (!is_base(k) || (b != NONE && !exists(k)))
                continue;
            const struct nb_check_result r = checked(k, threads_of());
            if (b == NONE && r.verdict != NB_PASS) {
                printf("  NOT PASSED, and right: %s: %s\n", k->name, r.reason);
                return 1;
            }
            right += b == NONE;
            here += b != NONE;
            found += b != NONE && r.verdict != NB_PASS;
            if (b != NONE && r.verdict == NB_PASS)
                printf("  NOT CAUGHT: %s in %s\n", MUTATIONS[b].name, k->name);
        }
        if (b == NONE) {
            printf("%zu kernels' bounds hold for what is right\n", right);
            continue;
        }
        if (MUTATIONS[b].name == NULL)
            continue;
        printf("%-45s %6zu %6zu\n", MUTATIONS[b].name, here, found);
        places += here;
        caught += found;
        mutations++;
        whole += here > 0 && found == here;
    }
    printf("mutation score: %zu of %zu mutations caught everywhere, %zu of %zu places (%.1f %%)\n", whole, mutations, caught,
           places, 100 * (double)caught / (double)places);
    return right > 0 && whole == mutations ? 0 : 1;
}
