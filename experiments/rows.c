/* rows.c: what a norm makes of a row.
 *
 * row_statistics: rows N(mean, sd) of a norm without gamma and beta, by its plain kernel in f64; mean, variance and mean square of
 *   the output, in double (rows of 1024: their own rounding is below 1e-15). */
#include "call.h"
#include "experiment.h"
#include "sample.h"

#include <stdlib.h>

static const struct nb_parameter ROW_STATISTICS[] = {
    {.name = "op", .value = "layernorm,rmsnorm", .says = "norms", .kind = NB_CHOICES, .choices = "layernorm rmsnorm"},
    {.name = "mean", .value = "0,1,5", .says = "mean of the input, in its standard deviations", .kind = NB_NUMBERS, .least = -1e6,
     .most = 1e6},
    {.name = "sd", .value = "1e-3,1,1e3", .says = "standard deviation of the input", .kind = NB_NUMBERS, .least = 1e-150,
     .most = 1e150},
    {.name = "eps", .value = "1e-5", .says = "eps of the norm", .kind = NB_NUMBERS, .least = 0, .most = 1e6},
    {.name = "hidden", .value = "1024", .says = "elements of a row", .kind = NB_NUMBERS, .least = 2, .most = 65536, .whole = true,
     .single = true},
};

enum { ROWS = 9 }; /* of each condition */

struct condition {
    const char *op;
    double mean, sd, eps;
    size_t hidden;
};

static void one_condition(const struct nb_trial *t, const struct condition *c, struct nb_observations *o)
{
    const uint32_t op = (uint32_t)nb_op_parse(c->op);
    const struct nb_kernel *k = nb_call_plain(op, NB_F64);
    const struct nb_problem p = nb_call_problem(k, 1, c->hidden, c->eps);
    double *x = malloc(2 * c->hidden * sizeof *x), *y = x + c->hidden, mean[ROWS], var[ROWS], square[ROWS];
    unsigned long long state = t->seed;
    NB_ASSERT(x != NULL);
    for (size_t r = 0; r < ROWS; r++) {
        nb_sample_gauss(x, c->hidden, &state);
        for (size_t i = 0; i < c->hidden; i++)
            x[i] = c->sd * (c->mean + x[i]);
        NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = y}));
        const struct nb_row_shape shape = nb_row_shape(y, c->hidden);
        mean[r] = shape.mean;
        var[r] = shape.variance;
        square[r] = var[r] + mean[r] * mean[r];
    }
    free(x);
    static const char where[] = "op=%s mean=%g sd=%g eps=%g";
    nb_observe_median(o, "output_mean", "", mean, ROWS, "rows", where, c->op, c->mean, c->sd, c->eps);
    nb_observe_median(o, "output_variance", "", var, ROWS, "rows", where, c->op, c->mean, c->sd, c->eps);
    nb_observe_median(o, "output_mean_square", "", square, ROWS, "rows", where, c->op, c->mean, c->sd, c->eps);
}

static enum nb_status row_statistics(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const ops[] = {"layernorm", "rmsnorm"};
    double mean[NB_NUMBERS_MAX], sd[NB_NUMBERS_MAX], eps[NB_NUMBERS_MAX];
    const size_t means = nb_trial_numbers(t, "mean", mean), sds = nb_trial_numbers(t, "sd", sd),
                 epss = nb_trial_numbers(t, "eps", eps);
    (void)err;
    for (size_t op = 0; op < 2; op++)
        for (size_t i = 0; nb_trial_has(t, "op", ops[op]) && i < means * sds * epss; i++) {
            if (nb_trial_stopped(t))
                return NB_INTERRUPTED;
            one_condition(t, &(struct condition){ops[op], mean[i % means], sd[i / means % sds], eps[i / means / sds],
                                                 (size_t)nb_trial_number(t, "hidden")}, o);
        }
    return NB_OK;
}

const struct nb_experiment nb_experiment_row_statistics = {
    "row_statistics", "mean, variance and mean square of what a norm without gamma and beta makes of a row",
    "output_mean output_variance output_mean_square", "op", ROW_STATISTICS,
    sizeof ROW_STATISTICS / sizeof *ROW_STATISTICS, false, {0.01, 0.01, 0.01}, row_statistics};
