/* jacobian.c: what a norm lets through of a gradient.
 *
 * jacobian: J = dy/dx of layernorm and rmsnorm without gamma, on rows N(0,1) that were shifted and scaled so that their own mean
 *   and standard deviation are those asked for, column by column: hidden backward passes of a unit dy each. Its Frobenius norm, the
 *   ratio of the two norms', and |dx|/|dy| of one random dy.
 *
 * With n = hidden, r = rstd, P = I - 11'/n and s the share of the mean square (variance) in itself + eps, |xhat|^2 = n*s:
 *   layernorm  J = r (P - xhat xhat'/n): r on n-2 directions, r(1-s) on xhat, 0 on 1:  |J|_F^2 = r^2 (n - 2 + (1-s)^2)
 *   rmsnorm    J = r (I - xhat xhat'/n): r on n-1 directions, r(1-s) on xhat:          |J|_F^2 = r^2 (n - 1 + (1-s)^2)
 * At eps 0, mean m sd: the ratio rmsnorm over layernorm is sqrt((n-1)/(n-2)/(1 + m^2)).
 *
 * Source  derivative of Ba, Kiros, Hinton 2016, eq. 3-4 and of Zhang, Sennrich 2019, eq. 4 */
#include "experiment.h"
#include "f64.h"
#include "sample.h"

#include <math.h>
#include <stdlib.h>

static const struct nb_parameter JACOBIAN[] = {
    {.name = "mean", .value = "0,1,5", .says = "mean of a row, in its standard deviations", .kind = NB_NUMBERS, .least = -1e6, .most = 1e6},
    {.name = "sd", .value = "1", .says = "standard deviation of a row", .kind = NB_NUMBERS, .least = 1e-100, .most = 1e100},
    {.name = "hidden", .value = "64,256,1024", .says = "elements of a row", .kind = NB_NUMBERS, .least = 3, .most = 4096, .whole = true},
    {.name = "eps", .value = "0", .says = "eps of the norm", .kind = NB_NUMBERS, .least = 0, .most = 1e6},
};

enum { ROWS = 9 };

struct condition {
    double mean, sd, eps;
    size_t hidden;
};

static double length(const double *v, size_t n)
{
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += v[i] * v[i];
    return sqrt(square);
}

/* A row whose own mean is mean*sd, and its own standard deviation sd, to rounding. */
static void draw_row(const struct condition *c, double *x, unsigned long long *state)
{
    const double n = (double)c->hidden;
    double sum = 0;
    for (size_t i = 0; i < c->hidden; i++)
        sum += x[i] = nb_gauss(state);
    for (size_t i = 0; i < c->hidden; i++)
        x[i] -= sum / n;
    const double own = length(x, c->hidden) / sqrt(n);
    for (size_t i = 0; i < c->hidden; i++)
        x[i] = c->sd * (c->mean + x[i] / own);
}

/* What is found of one row and one norm. */
struct found {
    double norm;    /* |J|_F */
    double formula; /* what it should be */
    double kept;    /* |dx|/|dy| of the given dy */
};

static struct found of_row(uint32_t op, const struct condition *c, const double *x, const double *dy)
{
    const size_t n = c->hidden;
    const struct nb_f64_norm norm = nb_f64_norm(op, 1, n, 0, c->eps);
    double *y = calloc(3 * n, sizeof *y), *dx = y + n, *unit = dx + n, mean, rstd, square = 0;
    NB_ASSERT(y != NULL);
    nb_f64_forward(&norm, x, NULL, NULL, y, &mean, &rstd);
    for (size_t i = 0; i < n; i++) {
        unit[i] = 1;
        nb_f64_backward(&norm, x, NULL, &mean, &rstd, unit, dx, NULL, NULL);
        unit[i] = 0;
        square += length(dx, n) * length(dx, n);
    }
    nb_f64_backward(&norm, x, NULL, &mean, &rstd, dy, dx, NULL, NULL);
    const double v = c->sd * c->sd * (op == NB_OP_RMSNORM ? 1 + c->mean * c->mean : 1), s = v / (v + c->eps);
    const double rank = (double)n - (op == NB_OP_RMSNORM ? 1 : 2);
    const struct found f = {sqrt(square), sqrt((rank + (1 - s) * (1 - s)) / (v + c->eps)), length(dx, n) / length(dy, n)};
    free(y);
    return f;
}

static void observe_op(const char *op, const struct condition *c, const struct found *f, struct nb_observations *o)
{
    static const char where[] = "op=%s mean=%g sd=%g hidden=%zu eps=%g";
    double norm[ROWS], formula[ROWS], kept[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        norm[r] = f[r].norm;
        formula[r] = f[r].norm / f[r].formula;
        kept[r] = f[r].kept;
    }
    nb_observe_median(o, "jacobian_norm", "", norm, ROWS, "rows", where, op, c->mean, c->sd, c->hidden, c->eps);
    nb_observe_median(o, "jacobian_over_formula", "", formula, ROWS, "rows", where, op, c->mean, c->sd, c->hidden, c->eps);
    nb_observe_median(o, "gradient_kept", "", kept, ROWS, "rows", where, op, c->mean, c->sd, c->hidden, c->eps);
}

static void one_condition(const struct nb_trial *t, const struct condition *c, struct nb_observations *o)
{
    struct found ln[ROWS], rms[ROWS];
    double *x = malloc(2 * c->hidden * sizeof *x), *dy = x + c->hidden, ratio[ROWS];
    unsigned long long state = t->seed;
    NB_ASSERT(x != NULL);
    for (size_t r = 0; r < ROWS; r++) {
        draw_row(c, x, &state);
        for (size_t i = 0; i < c->hidden; i++)
            dy[i] = nb_gauss(&state);
        ln[r] = of_row(NB_OP_LAYERNORM, c, x, dy);
        rms[r] = of_row(NB_OP_RMSNORM, c, x, dy);
        ratio[r] = rms[r].norm / ln[r].norm;
    }
    free(x);
    observe_op("layernorm", c, ln, o);
    observe_op("rmsnorm", c, rms, o);
    nb_observe_median(o, "jacobian_norm_ratio", "", ratio, ROWS, "rows", "mean=%g sd=%g hidden=%zu eps=%g", c->mean, c->sd, c->hidden,
                      c->eps);
}

static enum nb_status jacobian(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double mean[NB_NUMBERS_MAX], sd[NB_NUMBERS_MAX], hidden[NB_NUMBERS_MAX], eps[NB_NUMBERS_MAX];
    const size_t means = nb_trial_numbers(t, "mean", mean), sds = nb_trial_numbers(t, "sd", sd),
                 hiddens = nb_trial_numbers(t, "hidden", hidden), count = means * sds * hiddens * nb_trial_numbers(t, "eps", eps);
    (void)err;
    for (size_t i = 0; i < count; i++) {
        const size_t h = i / means / sds;
        nb_trial_progress(t, (double)i / (double)count, "rows");
        if (nb_trial_stopped(t))
            return NB_INTERRUPTED;
        one_condition(t, &(struct condition){mean[i % means], sd[i / means % sds], eps[h / hiddens], (size_t)hidden[h % hiddens]}, o);
    }
    return NB_OK;
}

const struct nb_experiment nb_experiment_jacobian = {
    "jacobian", "Frobenius norm of the derivative of layernorm and rmsnorm, and what they let through of a gradient",
    "jacobian_norm jacobian_norm_ratio jacobian_over_formula gradient_kept", "", JACOBIAN, sizeof JACOBIAN / sizeof *JACOBIAN, false,
    {0.5, 0.5, 0.5}, jacobian};
