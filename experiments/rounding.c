/* rounding.c: what storage types of 8 and 16 bits do to a norm's output.
 *
 * rounding_order: RMSNorm with weights, computed in f32, once rounded to the type before it is multiplied by the weight, and
 *   rounded again, and once rounded at the end alone (nb_problem.order), by the same kernel: the share of all outputs that differ, and
 *   the largest difference in units in the last place of the type. Both are counted over a million outputs and more, not estimated: one
 *   in a hundred thousand that differs is seen. Weights: ones, with which a product is always exact; powers of two, with which it is as
 *   long as it stays in the type's normal range, below which the second rounding has fewer bits than the first; and N(1, 0.1).
 * quantization: the relative error of storing a row, sqrt(sum (Q(v)-v)^2 / sum (v-mean)^2), in as much as what matters of a row
 *   is how its elements differ, of a row N(mean, 1) scale and of its LayerNorm; error_ratio is the second over the first. int8:
 *   units of max|v|/127, as a row's own scale makes them. A row that overflows has an infinite error, and a row all of whose elements
 *   become 0 that of 0. */
#include "call.h"
#include "experiment.h"
#include "sample.h"
#include "storage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 9, ORDER_ROWS = 300, HIDDEN = 4096 };

/* Numbers in units in the last place: codes in the order of what they stand for, both zeros alike. */
static int place(uint16_t code)
{
    return code & 0x8000 ? -(code & 0x7fff) : code;
}

static void weights(const char *kind, double *w, unsigned long long *state)
{
    nb_sample_gauss(w, HIDDEN, state);
    for (size_t i = 0; i < HIDDEN; i++)
        w[i] = strcmp(kind, "ones") == 0       ? 1
               : strcmp(kind, "powers_of_2") == 0 ? ldexp(1, (int)floor(w[i]))
                                                  : 1 + 0.1 * w[i];
}

/* Outputs that differ, and by how much at most. */
struct apart {
    size_t outputs;
    int most;
};

/* One row with either order. */
static void both_orders(const struct nb_kernel *k, const double *x, const double *w, struct apart *a)
{
    struct nb_problem p = nb_call_problem(k, 1, HIDDEN, 1e-5);
    uint16_t *room = nb_sample_room(4 * HIDDEN * sizeof *room), *row = room, *gamma = row + HIDDEN, *y[2] = {gamma + HIDDEN,
             gamma + 2 * HIDDEN};
    nb_to_storage(k->dtype, x, row, HIDDEN);
    nb_to_storage(k->dtype, w, gamma, HIDDEN);
    for (p.order = NB_CAST_AFTER; p.order <= NB_CAST_BEFORE; p.order++)
        NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = row, .gamma = gamma, .y = y[p.order == NB_CAST_BEFORE]}));
    for (size_t i = 0; i < HIDDEN; i++) {
        const int apart = abs(place(y[0][i]) - place(y[1][i]));
        a->outputs += apart > 0;
        a->most = apart > a->most ? apart : a->most;
    }
    free(room);
}

static void one_order(const struct nb_trial *t, uint32_t dtype, const char *kind, struct nb_observations *o)
{
    static const char where[] = "dtype=%s weights=%s";
    const struct nb_kernel *k = nb_call_plain(NB_OP_RMSNORM, dtype);
    double *x = nb_sample_room(2 * HIDDEN * sizeof *x), *w = x + HIDDEN;
    struct apart a = {0, 0};
    unsigned long long state = t->seed;
    for (size_t r = 0; r < ORDER_ROWS; r++) {
        nb_sample_gauss(x, HIDDEN, &state);
        weights(kind, w, &state);
        both_orders(k, x, w, &a);
    }
    free(x);
    nb_observe(o, "share_of_differing_outputs", "", (double)a.outputs / (ORDER_ROWS * HIDDEN), where, nb_dtype_name(dtype), kind);
    nb_observe(o, "largest_difference", "ulp", a.most, where, nb_dtype_name(dtype), kind);
}

static const struct nb_parameter ROUNDING_ORDER[] = {
    {.name = "dtype", .value = "f16,bf16", .says = "storage types", .kind = NB_CHOICES, .choices = "f16 bf16"},
    {.name = "weights", .value = "ones,powers_of_2,gauss", .says = "what a row is multiplied by; gauss: N(1, 0.1)",
     .kind = NB_CHOICES, .choices = "ones powers_of_2 gauss"},
};

static enum nb_status rounding_order(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const kinds[] = {"ones", "powers_of_2", "gauss"};
    static const uint32_t dtypes[] = {NB_F16, NB_BF16};
    (void)err;
    for (size_t i = 0; i < 6; i++)
        if (nb_trial_has(t, "dtype", nb_dtype_name(dtypes[i / 3])) && nb_trial_has(t, "weights", kinds[i % 3]))
            one_order(t, dtypes[i / 3], kinds[i % 3], o);
    return NB_OK;
}

/* ---- quantization ---- */

static const char *const TYPES[] = {"f16", "bf16", "int8"};

static void quantize(const char *type, const double *v, double *q)
{
    uint16_t *stored = nb_sample_room(HIDDEN * sizeof *stored);
    double most = 0;
    for (size_t i = 0; i < HIDDEN; i++)
        most = fmax(most, fabs(v[i]));
    if (strcmp(type, "int8") == 0) {
        for (size_t i = 0; i < HIDDEN; i++)
            q[i] = nearbyint(v[i] / most * 127) * (most / 127);
    } else {
        const uint32_t dtype = (uint32_t)nb_dtype_parse(type);
        nb_to_storage(dtype, v, stored, HIDDEN);
        nb_from_storage(dtype, stored, q, HIDDEN);
    }
    free(stored);
}

static double storage_error(const char *type, const double *v)
{
    double *q = nb_sample_room(HIDDEN * sizeof *q), sum = 0;
    quantize(type, v, q);
    for (size_t i = 0; i < HIDDEN; i++)
        sum += (q[i] - v[i]) * (q[i] - v[i]) / HIDDEN;
    free(q);
    return sqrt(sum / nb_row_shape(v, HIDDEN).variance);
}

static void one_type(const struct nb_trial *t, const char *type, double scale, double mean, struct nb_observations *o)
{
    static const char where[] = "type=%s scale=%g mean=%g";
    const struct nb_kernel *k = nb_call_plain(NB_OP_LAYERNORM, NB_F64);
    const struct nb_problem p = nb_call_problem(k, 1, HIDDEN, 0);
    double in[ROWS], out[ROWS], ratio[ROWS], *x = nb_sample_room(2 * HIDDEN * sizeof *x), *y = x + HIDDEN;
    unsigned long long state = t->seed;
    for (size_t r = 0; r < ROWS; r++) {
        nb_sample_gauss(x, HIDDEN, &state);
        for (size_t i = 0; i < HIDDEN; i++)
            x[i] = scale * (x[i] + mean);
        NB_ASSERT(nb_call(k, &p, &(struct nb_args){.x = x, .y = y}));
        in[r] = storage_error(type, x);
        out[r] = storage_error(type, y);
        ratio[r] = out[r] / in[r];
    }
    free(x);
    nb_observe_median(o, "error_before", "", in, ROWS, "rows", where, type, scale, mean);
    nb_observe_median(o, "error_after", "", out, ROWS, "rows", where, type, scale, mean);
    nb_observe_median(o, "error_ratio", "", ratio, ROWS, "rows", where, type, scale, mean);
}

static const struct nb_parameter QUANTIZATION[] = {
    {.name = "type", .value = "f16,bf16,int8", .says = "what a row is stored in", .kind = NB_CHOICES, .choices = "f16 bf16 int8"},
    {.name = "scale", .value = "1e-6,1,1e6", .says = "standard deviation of the row", .kind = NB_NUMBERS, .least = 1e-30,
     .most = 1e30},
    {.name = "mean", .value = "0,10", .says = "mean of the row, in its standard deviations", .kind = NB_NUMBERS, .least = -1e6,
     .most = 1e6},
};

static enum nb_status quantization(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    double scale[NB_NUMBERS_MAX], mean[NB_NUMBERS_MAX];
    const size_t scales = nb_trial_numbers(t, "scale", scale), means = nb_trial_numbers(t, "mean", mean);
    (void)err;
    for (size_t type = 0; type < 3; type++)
        for (size_t i = 0; nb_trial_has(t, "type", TYPES[type]) && i < scales * means; i++)
            one_type(t, TYPES[type], scale[i / means], mean[i % means], o);
    return NB_OK;
}

const struct nb_experiment nb_experiment_rounding_order = {
    "rounding_order", "RMSNorm rounded to 16 bits before its weights as well, against one rounding at the end",
    "share_of_differing_outputs largest_difference", "weights", NB_TABLE(ROUNDING_ORDER), false, {0.5, 0.5, 0.5},
    rounding_order};
const struct nb_experiment nb_experiment_quantization = {
    "quantization", "the error of storing a row in 8 or 16 bits, before and after LayerNorm", "error_before error_after error_ratio",
    "type", NB_TABLE(QUANTIZATION), false, {0.1, 0.1, 0.1}, quantization};
