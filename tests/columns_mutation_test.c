/* columns_mutation_test: errors planted into BatchNorm, in training, in inference and backward: the check before a timing
 * must catch each in every dtype and ISA, and pass what is right. */
#include "accuracy.h"
#include "cpu.h"
#include "families.h"
#include "mutation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum bug {
    NONE,
    /* training */
    N_MINUS_ONE, MEAN_KEPT, EPS_OUTSIDE, EPS_FORGOTTEN, OF_THE_ROW, LAST_ROW_LEFT_OUT, FIRST_COLUMN_FOR_ALL, NEXT_GAMMA, NO_BETA,
    GAMMA_SQUARED, ONEPASS, RUNNING_READ, MEAN_UNSAVED, RSTD_AS_VAR, SAVED_UNROUNDED_COUNT, RUN_BIASED, RUN_MOMENTUM_TURNED,
    RUN_FORGOTTEN, RUN_OF_NEXT, COLUMN_UNWRITTEN, ROW_UNWRITTEN, WRITES_BEFORE, X_CHANGED, STALE, UNSTEADY, PARTS_MEAN,
    /* inference */
    BATCH_READ, VAR_AS_RSTD, GIVEN_NEXT, GIVEN_MEAN_KEPT, GIVEN_CHANGED, GIVEN_NO_EPS,
    /* backward */
    NO_MEAN_TERM, NO_XHAT_TERM, WRONG_SIGN, OVER_N_MINUS_ONE, STALE_RSTD, DGAMMA_OF_DX, DGAMMA_NO_XHAT, DBETA_MEAN, DGAMMA_OF_ROW,
    GAMMA_LEFT_OUT, LAST_ROW_LEFT_OUT_BACK, DX_NEXT, SAVED_CHANGED, DGAMMA_UNWRITTEN,
    BUGS
};

enum { TRAINING = OWN, INFERENCE = 2 * OWN, BACKWARD = 4 * OWN, IN_PARTS = 8 * OWN };
static const struct {
    const char *name;
    unsigned where;
} MUTATIONS[BUGS] = {
    [N_MINUS_ONE] = {"variance over rows - 1", TRAINING | NOT_BF16},
    [MEAN_KEPT] = {"mean not subtracted", TRAINING},
    [EPS_OUTSIDE] = {"eps outside the root", TRAINING},
    [EPS_FORGOTTEN] = {"eps forgotten", TRAINING},
    [OF_THE_ROW] = {"statistics of the row", TRAINING},
    [LAST_ROW_LEFT_OUT] = {"last row left out of the sums", TRAINING},
    [FIRST_COLUMN_FOR_ALL] = {"statistics of the first column for all", TRAINING},
    [NEXT_GAMMA] = {"gamma of the next column", TRAINING},
    [NO_BETA] = {"beta forgotten", TRAINING},
    [GAMMA_SQUARED] = {"gamma twice", TRAINING},
    [ONEPASS] = {"mean square less squared mean", TRAINING},
    [RUNNING_READ] = {"running statistics in training", TRAINING},
    [MEAN_UNSAVED] = {"mean not saved", TRAINING},
    [RSTD_AS_VAR] = {"variance saved for rstd", TRAINING},
    [SAVED_UNROUNDED_COUNT] = {"saved mean of one row more", TRAINING},
    [RUN_BIASED] = {"running variance biased", TRAINING},
    [RUN_MOMENTUM_TURNED] = {"momentum the other way round", TRAINING},
    [RUN_FORGOTTEN] = {"running statistics not updated", TRAINING},
    [RUN_OF_NEXT] = {"running mean of the next column", TRAINING},
    [COLUMN_UNWRITTEN] = {"a column not written", TRAINING},
    [ROW_UNWRITTEN] = {"the last row not written", TRAINING},
    [WRITES_BEFORE] = {"writes before y", TRAINING},
    [X_CHANGED] = {"x changed", TRAINING},
    [STALE] = {"statistics of the call before", TRAINING},
    [UNSTEADY] = {"another result every time", TRAINING},
    [PARTS_MEAN] = {"each slice by its own rows", TRAINING | IN_PARTS},
    [BATCH_READ] = {"statistics of the batch in inference", INFERENCE},
    [VAR_AS_RSTD] = {"running variance for rstd", INFERENCE},
    [GIVEN_NEXT] = {"running variance of the next column", INFERENCE},
    [GIVEN_MEAN_KEPT] = {"running mean not subtracted", INFERENCE},
    [GIVEN_CHANGED] = {"running mean changed in inference", INFERENCE},
    [GIVEN_NO_EPS] = {"eps forgotten in inference", INFERENCE},
    [NO_MEAN_TERM] = {"mean of dy not subtracted", BACKWARD},
    [NO_XHAT_TERM] = {"projection on xhat left out", BACKWARD},
    [WRONG_SIGN] = {"projection added", BACKWARD},
    [OVER_N_MINUS_ONE] = {"means over rows - 1", BACKWARD},
    [STALE_RSTD] = {"rstd of the column before", BACKWARD},
    [DGAMMA_OF_DX] = {"dgamma of dx", BACKWARD},
    [DGAMMA_NO_XHAT] = {"dgamma of x, not xhat", BACKWARD},
    [DBETA_MEAN] = {"dbeta a mean", BACKWARD},
    [DGAMMA_OF_ROW] = {"dgamma over the wrong axis", BACKWARD},
    [GAMMA_LEFT_OUT] = {"gamma left out of dx", BACKWARD},
    [LAST_ROW_LEFT_OUT_BACK] = {"last row left out of dgamma and dbeta", BACKWARD},
    [DX_NEXT] = {"dx of the next row", BACKWARD},
    [SAVED_CHANGED] = {"saved rstd changed", BACKWARD},
    [DGAMMA_UNWRITTEN] = {"an element of dgamma not written", BACKWARD},
};

static enum bug bug;
static unsigned calls;
static double kept[2]; /* mean and rstd of the last column of the call before */

static uint32_t stat_type(const struct nb_problem *p)
{
    return p->dtype == NB_F64 ? NB_F64 : NB_F32;
}

/* One column as the mutant sees it. */
struct column {
    double mean, var, rstd, w, b;
};

static double x_at(const struct nb_problem *p, const struct nb_args *a, size_t r, size_t i)
{
    return element_get(p->dtype, a->x, r * p->ldx + i);
}

static double dy_at(const struct nb_problem *p, const struct nb_args *a, size_t r, size_t i)
{
    return element_get(p->dtype, a->dy, r * p->ldx + i);
}

static double rstd_of(const struct nb_problem *p, double var, bool no_eps)
{
    if (bug == EPS_OUTSIDE)
        return 1 / (sqrt(var) + p->eps);
    return 1 / sqrt(var + (no_eps ? 0 : p->dtype == NB_F64 ? p->eps : (double)(float)p->eps));
}

/* Mean and variance down column i from row first on. */
static struct column statistics(const struct nb_problem *p, const struct nb_args *a, size_t i, size_t first, size_t last)
{
    struct column c = {.mean = 0};
    long double sum = 0, squares = 0, n = (long double)(last - first);
    for (size_t r = first; r < last; r++)
        sum += x_at(p, a, r, i);
    c.mean = (double)(sum / n);
    for (size_t r = first; r < last; r++) {
        const long double x = x_at(p, a, r, i), d = x - (bug == ONEPASS ? 0 : sum / n);
        squares += d * d;
    }
    c.var = (double)(squares / (n - (bug == N_MINUS_ONE && n > 1)));
    if (bug == ONEPASS) /* as f32 would find it, f64 by a sum of squares rounded to the dtype */
        c.var = p->dtype == NB_F64 ? (double)(squares / n) - c.mean * c.mean
                                   : (double)(float)((float)(squares / n) - (float)c.mean * (float)c.mean);
    c.rstd = rstd_of(p, c.var, bug == EPS_FORGOTTEN);
    return c;
}

static struct column of_row(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    struct column c = {.mean = 0};
    for (size_t i = 0; i < p->hidden; i++)
        c.mean += x_at(p, a, r, i) / (double)p->hidden;
    for (size_t i = 0; i < p->hidden; i++)
        c.var += pow(x_at(p, a, r, i) - c.mean, 2) / (double)p->hidden;
    c.rstd = rstd_of(p, c.var, false);
    return c;
}

static size_t next(const struct nb_problem *p, size_t i)
{
    return (i + 1) % p->hidden;
}

static struct column column_of(const struct nb_problem *p, const struct nb_args *a, size_t i)
{
    const bool given = p->op == NB_OP_BATCHNORM_INFER, back = p->dir == NB_BWD;
    const uint32_t stat = stat_type(p);
    struct column c = {.mean = 0};
    if ((given && bug != BATCH_READ) || (bug == RUNNING_READ && a->run_mean != NULL)) {
        c.mean = bug == GIVEN_MEAN_KEPT ? 0 : element_get(stat, a->run_mean, i);
        c.var = element_get(stat, a->run_var, bug == GIVEN_NEXT ? next(p, i) : i);
        c.rstd = bug == VAR_AS_RSTD ? c.var : rstd_of(p, c.var, bug == GIVEN_NO_EPS);
    } else if (back) {
        c.mean = element_get(stat, a->mean, i);
        c.rstd = element_get(stat, a->rstd, bug == STALE_RSTD && i > 0 ? i - 1 : i);
    } else {
        const size_t first = bug == PARTS_MEAN && p->rows > 1 ? p->rows * a->part / (a->parts + 1) : 0;
        c = statistics(p, a, bug == FIRST_COLUMN_FOR_ALL ? 0 : i, first,
                       bug == LAST_ROW_LEFT_OUT && p->rows > 1 ? p->rows - 1 : p->rows);
    }
    c.w = a->gamma ? element_get(p->param_dtype, a->gamma, bug == NEXT_GAMMA ? next(p, i) : i) : 1;
    c.b = a->beta && bug != NO_BETA ? element_get(p->param_dtype, a->beta, i) : 0;
    c.w = bug == GAMMA_SQUARED ? c.w * c.w : c.w;
    return c;
}

static void save(const struct nb_problem *p, const struct nb_args *a, size_t i, const struct column *c)
{
    const uint32_t stat = stat_type(p);
    const double n = (double)p->rows, m = bug == RUN_MOMENTUM_TURNED ? 1 - p->momentum : p->momentum;
    if (p->stats_out && a->mean && bug != MEAN_UNSAVED)
        element_put(stat, a->mean, i, bug == SAVED_UNROUNDED_COUNT ? c->mean * n / (n + 1) : c->mean);
    if (p->stats_out && a->rstd)
        element_put(stat, a->rstd, i, bug == RSTD_AS_VAR ? c->var : c->rstd);
    if (a->run_mean == NULL || bug == RUN_FORGOTTEN)
        return;
    const double unbiased = n > 1 && bug != RUN_BIASED ? n / (n - 1) : 1;
    const double old = element_get(stat, a->run_mean, bug == RUN_OF_NEXT ? next(p, i) : i);
    element_put(stat, a->run_mean, i, (1 - m) * old + m * c->mean);
    element_put(stat, a->run_var, i, (1 - m) * element_get(stat, a->run_var, i) + m * c->var * unbiased);
}

static void forward_column(const struct nb_problem *p, const struct nb_args *a, size_t i)
{
    struct column c = column_of(p, a, i), used;
    if (p->op == NB_OP_BATCHNORM)
        save(p, a, i, &c);
    if (bug == STALE && i == p->hidden - 1 && calls > 1) {
        const struct column now = c;
        c.mean = kept[0];
        c.rstd = kept[1];
        kept[0] = now.mean;
        kept[1] = now.rstd;
    } else if (i == p->hidden - 1) {
        kept[0] = c.mean;
        kept[1] = c.rstd;
    }
    for (size_t r = 0; r < p->rows; r++) {
        if ((bug == COLUMN_UNWRITTEN && i == p->hidden - 1) || (bug == ROW_UNWRITTEN && r == p->rows - 1))
            continue;
        used = c;
        if (bug == OF_THE_ROW) {
            const struct column row = of_row(p, a, r);
            used.mean = row.mean;
            used.rstd = row.rstd;
        }
        const double xhat = (x_at(p, a, r, i) - (bug == MEAN_KEPT ? 0 : used.mean)) * used.rstd;
        element_put(p->dtype, a->y, r * p->ldy + i, xhat * used.w + used.b + (bug == UNSTEADY && i == 0 ? calls % 2 : 0));
    }
    if (bug == GIVEN_CHANGED)
        element_put(stat_type(p), a->run_mean, i, c.mean + 1);
}

static void backward_column(const struct nb_problem *p, const struct nb_args *a, size_t i)
{
    const struct column c = column_of(p, a, i);
    const double n = (double)p->rows - (bug == OVER_N_MINUS_ONE && p->rows > 1);
    const size_t last = bug == LAST_ROW_LEFT_OUT_BACK && p->rows > 1 ? p->rows - 1 : p->rows;
    long double g = 0, gx = 0, dgamma = 0, dbeta = 0;
    for (size_t r = 0; r < p->rows; r++) {
        const long double dy = dy_at(p, a, r, i), xhat = (x_at(p, a, r, i) - (long double)c.mean) * c.rstd;
        g += dy;
        gx += dy * xhat;
        dgamma += r < last ? dy * (bug == DGAMMA_NO_XHAT ? x_at(p, a, r, i) : xhat) : 0;
        dbeta += r < last ? dy : 0;
    }
    const double s = c.rstd * (bug == GAMMA_LEFT_OUT ? 1 : c.w);
    for (size_t r = 0; r < p->rows; r++) {
        const size_t from = bug == DX_NEXT ? (r + 1) % p->rows : r;
        const double dy = dy_at(p, a, from, i), xhat = (x_at(p, a, from, i) - c.mean) * c.rstd;
        const double one = bug == NO_MEAN_TERM ? 0 : (double)(g / n), along = (double)(gx / n);
        const double term = bug == NO_XHAT_TERM ? 0 : bug == WRONG_SIGN ? -xhat * along : xhat * along;
        element_put(p->dtype, a->dx, r * p->ldy + i, s * (dy - one - term));
    }
    if (bug == DGAMMA_OF_ROW)
        for (size_t k = dgamma = 0; k < p->hidden; k++)
            dgamma += dy_at(p, a, 0, k);
    if (a->dgamma && !(bug == DGAMMA_UNWRITTEN && i == p->hidden - 1))
        element_put(p->param_dtype, a->dgamma, i, (double)(bug == DGAMMA_OF_DX ? dgamma * c.w : dgamma));
    if (a->dbeta)
        element_put(p->param_dtype, a->dbeta, i, (double)(bug == DBETA_MEAN ? dbeta / n : dbeta));
    if (bug == SAVED_CHANGED)
        element_put(stat_type(p), a->rstd, i, 2 * c.rstd);
}

static void run(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    const size_t first = p->hidden * a->part / a->parts, last = p->hidden * (a->part + 1) / a->parts;
    calls++;
    for (size_t i = first; i < last; i++)
        if (p->dir == NB_BWD)
            backward_column(p, a, i);
        else
            forward_column(p, a, i);
    if (bug == WRITES_BEFORE && a->part == 0)
        element_put(p->dtype, (char *)a->y - nb_dtype_bytes(p->dtype), 0, 1);
    if (bug == X_CHANGED && a->part == 0)
        element_put(p->dtype, (void *)(uintptr_t)a->x, 0, 1 + x_at(p, a, 0, 0));
}

/* ---- the check of it ---- */

static bool is_base(const struct nb_kernel *k)
{
    return nb_kernel_why_not(k) == NULL && nb_op_facts(k->op)->columns && k->trick[0] == '\0' &&
           strcmp(k->algo, nb_op_facts(k->op)->given ? "naive" : "twopass") == 0;
}

static bool exists(const struct nb_kernel *k)
{
    const unsigned where = MUTATIONS[bug].where, of = k->dir == NB_BWD                 ? BACKWARD
                                                     : nb_op_facts(k->op)->given ? INFERENCE
                                                                                 : TRAINING;
    return is_base(k) && mutation_fits(where, k) && (bug == NONE || where & of);
}

static struct nb_check_result checked(const struct nb_kernel *k)
{
    struct nb_kernel mutant = *k;
    struct nb_cell c = mutation_cell(k, MUTATIONS[bug].where);
    c.threads = MUTATIONS[bug].where & IN_PARTS ? 2 : 1;
    mutant.run = run;
    mutant.scratch_bytes = NULL;
    calls = 0;
    return mutation_check(&c, &mutant);
}

static const char *begin(size_t i)
{
    bug = (enum bug)i;
    return MUTATIONS[i].name;
}

/* By the laboratory, which judges passes forward, of one call each, and no running statistics that the call has made. */
static bool lab_passes(const struct nb_kernel *k)
{
    const struct nb_accuracy_options o = {.seed = 1, .eps = 1e-5, .timeout_s = 20, .block = {.momentum = NB_MOMENTUM}};
    struct nb_kernel mutant = *k;
    mutant.run = run;
    mutant.scratch_bytes = NULL;
    calls = 0;
    for (size_t f = 0; f < nb_family_count() && k->dir == NB_FWD; f++) {
        const struct nb_family *family = nb_family_at(f);
        struct nb_accuracy r;
        if (!nb_family_has(family, k->dtype) || family->params == NB_PARAMS_GEMMA || family->flags & NB_FAM_OUTSIDE)
            continue; /* run() knows none of these options */
        nb_accuracy_one(&o, &mutant, family, HIDDEN, &r);
        if (r.verdict == NB_FAIL_VALUE || r.verdict == NB_FAIL_NONFINITE)
            return false;
    }
    return true;
}

/* These it has to find alone. */
static size_t lab_misses(void)
{
    static const enum bug some[] = {N_MINUS_ONE, MEAN_KEPT, EPS_FORGOTTEN, OF_THE_ROW, LAST_ROW_LEFT_OUT, FIRST_COLUMN_FOR_ALL, NEXT_GAMMA, NO_BETA,
                                    GAMMA_SQUARED, RUNNING_READ, MEAN_UNSAVED, RSTD_AS_VAR, COLUMN_UNWRITTEN, ROW_UNWRITTEN, BATCH_READ, VAR_AS_RSTD,
                                    GIVEN_NEXT, GIVEN_MEAN_KEPT, GIVEN_NO_EPS};
    size_t missed = 0, tried = 0;
    for (size_t b = 0; b < sizeof some / sizeof *some; b++)
        for (size_t i = 0; i < nb_kernel_count(); i++) {
            const struct nb_kernel *k = nb_kernel_at(i);
            bug = some[b];
            if (strcmp(k->isa, "scalar") != 0 || k->dtype == NB_BF16 || !exists(k))
                continue;
            tried++;
            if (lab_passes(k) && ++missed)
                printf("  NOT FOUND BY THE LABORATORY: %s in %s\n", MUTATIONS[bug].name, k->name);
        }
    printf("the laboratory alone finds %zu of %zu\n", tried - missed, tried);
    return tried > 0 ? missed : 1;
}

int main(void)
{
    const struct mutations all = {BUGS, begin, exists, checked, lab_passes};
    if (nb_cpu_init(NULL, 0) != 0)
        return 1;
    const size_t missed = lab_misses();
    return mutations_all_caught(&all) && missed == 0 ? 0 : 1;
}
