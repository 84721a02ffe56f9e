/* eps.c: where eps stands.
 *
 * eps_placement: rows of RMSNorm whose mean square is given, with eps added to it, rstd = 1/sqrt(ms + eps_inside), and with eps
 *   added to its root, rstd = 1/(sqrt(ms) + eps_outside), both by the same f64 kernel. A row is +-sqrt(ms), which makes the
 *   difference of the factors that of all outputs; at ms 0 all outputs are 0, and the factors are all there is to compare. */
#include "call.h"
#include "experiment.h"

#include <math.h>
#include <stdlib.h>

enum { HIDDEN = 64 };

static double rstd_of(double mean_square, double eps, uint32_t mode)
{
    const struct nb_kernel *k = nb_call_plain(NB_OP_RMSNORM, NB_F64);
    struct nb_problem p = nb_call_problem(k, 1, HIDDEN, eps);
    double x[HIDDEN], y[HIDDEN], rstd = NAN;
    for (size_t i = 0; i < HIDDEN; i++)
        x[i] = i % 2 == 0 ? sqrt(mean_square) : -sqrt(mean_square);
    p.eps_mode = mode;
    p.stats_out = 1;
    NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = y, .rstd = &rstd}));
    return rstd;
}

static const struct nb_parameter EPS_PLACEMENT[] = {
    {.name = "mean_square", .value = "0,1e-10,1e-8,1e-6,1e-5,1e-4,1e-3,1e-2,0.1,1", .says = "mean squares of rows",
     .kind = NB_NUMBERS, .least = 0, .most = 1e12},
    {.name = "eps_inside", .value = "1e-5", .says = "eps under the root", .kind = NB_NUMBERS, .least = 1e-300, .most = 1,
     .single = true},
    {.name = "eps_outside", .value = "1e-8", .says = "eps added to the root", .kind = NB_NUMBERS, .least = 1e-300, .most = 1,
     .single = true},
};

static enum nb_status eps_placement(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double ms[NB_NUMBERS_MAX];
    const size_t n = nb_trial_numbers(t, "mean_square", ms);
    const double inside = nb_trial_number(t, "eps_inside"), outside = nb_trial_number(t, "eps_outside");
    (void)err;
    for (size_t i = 0; i < n; i++)
        nb_observe(o, "relative_difference", "",
                   fabs(rstd_of(ms[i], outside, NB_EPS_OUTSIDE) / rstd_of(ms[i], inside, NB_EPS_INSIDE) - 1),
                   "mean_square=%g eps_inside=%g eps_outside=%g", ms[i], inside, outside);
    return NB_OK;
}

const struct nb_experiment nb_experiment_eps_placement = {
    "eps_placement", "RMSNorm with eps under the root against eps added to the root, by mean square of the row",
    "relative_difference", "mean_square", EPS_PLACEMENT, sizeof EPS_PLACEMENT / sizeof *EPS_PLACEMENT, false, {0.01, 0.01, 0.01},
    eps_placement};
