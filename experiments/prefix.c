/* prefix.c: partial RMSNorm, whose mean square is that of the first k elements of a row.
 *
 * prefix_length: k of a share p of a row, d p rounded down (int) or up (ceil), in double as a program would.
 * prefix_error: how far the root mean square of the prefix is from that of the row, rms_k/rms_n - 1, by the f64 kernels' saved
 *   rstd at eps 0; its root mean square over rows of N(0,1), and that over what theory gives. S_k and S_n being sums of k and n
 *   squares, S_k/S_n is Beta(k/2, (n-k)/2), which has mean k/n and variance 2 k (n-k)/(n^2 (n+2)). To first order rms_k/rms_n
 *   - 1 = ((n/k) S_k/S_n - 1)/2, whose standard deviation is
 *       sqrt((1/(2k)) (1 - k/n) n/(n+2)):
 *   the 1/sqrt(2k) of a sample, and what is left of it where the prefix is a part of the row itself. The same with one element
 *   behind the prefix made as large as an outlier is.
 *   Interval: of the median of GROUPS groups of ROWS rows. */
#include "call.h"
#include "experiment.h"
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t length_of(const char *rule, size_t hidden, double share)
{
    const double exact = (double)hidden * share;
    return (size_t)(strcmp(rule, "ceil") == 0 ? ceil(exact) : floor(exact));
}

#define NB_PREFIX_PARAMETERS(hiddens, shares, rules)                                                                             \
    {.name = "hidden", .value = hiddens, .says = "elements of a row", .kind = NB_NUMBERS, .least = 2, .most = 65536,             \
     .whole = true},                                                                                                             \
        {.name = "share", .value = shares, .says = "share of a row that the prefix is", .kind = NB_NUMBERS, .least = 0, .most = 1}, \
        {.name = "rule", .value = rules, .says = "how hidden * share becomes a whole number", .kind = NB_CHOICES,                \
         .choices = "int ceil"}

static const char *const RULES[] = {"int", "ceil"};
static const struct nb_parameter PREFIX_LENGTH[] = {NB_PREFIX_PARAMETERS("8,64,100,1024,4096", "0,0.0625,0.29,0.5,1", "int,ceil")};

static enum nb_status prefix_length(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double hidden[NB_NUMBERS_MAX], share[NB_NUMBERS_MAX];
    const size_t hiddens = nb_trial_numbers(t, "hidden", hidden), shares = nb_trial_numbers(t, "share", share);
    (void)err;
    for (size_t r = 0; r < 2; r++)
        for (size_t i = 0; nb_trial_has(t, "rule", RULES[r]) && i < hiddens * shares; i++)
            nb_observe(o, "prefix_length", "", (double)length_of(RULES[r], (size_t)hidden[i / shares], share[i % shares]),
                       "rule=%s hidden=%g share=%g", RULES[r], hidden[i / shares], share[i % shares]);
    return NB_OK;
}

/* ---- prefix_error ---- */

enum { GROUPS = 9, ROWS = 200 };

static void rstds(uint32_t op, const double *x, size_t hidden, size_t k, double *rstd)
{
    const struct nb_kernel *kernel = nb_call_find(op, NB_FWD, NB_FUSE_NONE, "onepass", NB_F64, "");
    struct nb_problem p = nb_call_problem(kernel, ROWS, hidden, 0);
    double *y = nb_sample_room(ROWS * hidden * sizeof *y);
    p.k = k;
    p.stats_out = 1;
    NB_ASSERT(nb_call(kernel, &p, &(struct nb_args){.x = x, .y = y, .rstd = rstd}));
    free(y);
}

/* Root mean square over rows of rms_k/rms_n - 1. */
static double error_of(const double *x, size_t hidden, size_t k)
{
    double part[ROWS], whole[ROWS], sum = 0;
    rstds(NB_OP_PRMSNORM, x, hidden, k, part);
    rstds(NB_OP_RMSNORM, x, hidden, 0, whole);
    for (size_t r = 0; r < ROWS; r++)
        sum += (whole[r] / part[r] - 1) * (whole[r] / part[r] - 1);
    return sqrt(sum / ROWS);
}

static const struct nb_parameter PREFIX_ERROR[] = {
    NB_PREFIX_PARAMETERS("64,512,2048", "0.0625", "ceil"),
    {.name = "data", .value = "gauss,outlier", .says = "N(0,1), or that and one large element behind the prefix",
     .kind = NB_CHOICES, .choices = "gauss outlier"},
    {.name = "outlier", .value = "100", .says = "that element, in standard deviations", .kind = NB_NUMBERS, .least = 0,
     .most = 1e9, .single = true},
};

struct prefix {
    const char *rule, *data;
    size_t hidden, k;
    double share, outlier;
};

static void one_prefix(const struct nb_trial *t, const struct prefix *c, struct nb_observations *o)
{
    static const char where[] = "data=%s rule=%s hidden=%zu share=%g";
    const double n = (double)c->hidden, k = (double)c->k, theory = sqrt((1 - k / n) / (2 * k) * n / (n + 2));
    double error[GROUPS], ratio[GROUPS], *x = nb_sample_room(ROWS * c->hidden * sizeof *x);
    unsigned long long state = t->seed;
    for (size_t g = 0; g < GROUPS; g++) {
        nb_sample_gauss(x, ROWS * c->hidden, &state);
        for (size_t r = 0; strcmp(c->data, "outlier") == 0 && r < ROWS; r++)
            x[r * c->hidden + c->hidden - 1] = c->outlier;
        error[g] = error_of(x, c->hidden, c->k);
        ratio[g] = error[g] / theory;
    }
    free(x);
    nb_observe_median(o, "prefix_error", "", error, GROUPS, "groups", where, c->data, c->rule, c->hidden, c->share);
    nb_observe_median(o, "error_over_theory", "", ratio, GROUPS, "groups", where, c->data, c->rule, c->hidden, c->share);
}

static void prefix_or_why_not(const struct nb_trial *t, const struct prefix *c, struct nb_observations *o)
{
    static const char *const quantities[] = {"prefix_error", "error_over_theory"};
    const char *why = c->k == 0 ? "the prefix has no element: there is no mean square" : "the prefix is the row: nothing to compare";
    if (c->k > 0 && c->k < c->hidden)
        one_prefix(t, c, o);
    for (size_t q = 0; q < 2 && (c->k == 0 || c->k == c->hidden); q++)
        nb_observe_missing(o, quantities[q], "", why, false, "data=%s rule=%s hidden=%zu share=%g", c->data, c->rule, c->hidden, c->share);
}

static enum nb_status prefix_error(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const data[] = {"gauss", "outlier"};
    double hidden[NB_NUMBERS_MAX], share[NB_NUMBERS_MAX];
    const size_t hiddens = nb_trial_numbers(t, "hidden", hidden), shares = nb_trial_numbers(t, "share", share);
    (void)err;
    for (size_t i = 0; i < 4 * hiddens * shares; i++) {
        struct prefix c = {RULES[i / 2 % 2], data[i % 2], (size_t)hidden[i / 4 % hiddens], 0, share[i / 4 / hiddens],
                           nb_trial_number(t, "outlier")};
        c.k = length_of(c.rule, c.hidden, c.share);
        if (!nb_trial_has(t, "rule", c.rule) || !nb_trial_has(t, "data", c.data))
            continue;
        if (nb_trial_stopped(t))
            return NB_INTERRUPTED;
        prefix_or_why_not(t, &c, o);
    }
    return NB_OK;
}

const struct nb_experiment nb_experiment_prefix_length = {
    "prefix_length", "elements of a row that partial RMSNorm takes its mean square of", "prefix_length", "rule",
    NB_TABLE(PREFIX_LENGTH), false, {0.01, 0.01, 0.01}, prefix_length};
const struct nb_experiment nb_experiment_prefix_error = {
    "prefix_error", "how far the root mean square of a row's first elements is from that of the row",
    "prefix_error error_over_theory", "data share", NB_TABLE(PREFIX_ERROR), false, {0.5, 0.5, 0.5}, prefix_error};
