/* paper.c: what the timings that a paper printed say of the op. No measurement of ours: arithmetic on its tables.
 *
 * Zhang and Sennrich 2019 (arXiv 1910.07467), tables 2, 3, 4, 6, 8 and 10: time of a number of training steps without a norm, with
 * LayerNorm, RMSNorm and pRMSNorm (6.25 %). From these
 *   saved_time      (LN - RMS)/LN                of the whole step, as the paper quotes it
 *   norm_share      (LN - base)/LN               what the norm costs of the step
 *   implied_cut     (LN - RMS)/(LN - base)       what RMSNorm saves of the norm's own time
 *   implied_speedup (LN - base)/(RMS - base)     of the norm alone */
#include "experiment.h"

#include <string.h>

struct row {
    const char *table, *model;
    double base, ln, rms, prms; /* seconds, all of a row for the same number of steps */
};
static const struct row ROWS[] = {
    {"2", "rnnsearch-tensorflow", 399, 665, 501, 493},   {"3", "rnnsearch-theano", 596, 988, 652, 658},
    {"3", "rnnsearch-pytorch", 427, 857, 763, 754},      {"4", "transformer-tensorflow", 210, 248, 231, 225},
    {"6", "attentive-reader-theano", 315, 392, 333, 330}, {"8", "order-embedding", 2.11, 12.02, 7.12, 4.34},
    {"10", "convpool-cnn", 21, 39, 31, 30},
};

static const struct nb_parameter PARAMETERS[] = {
    {.name = "norm", .value = "rmsnorm,prmsnorm", .says = "what stood in LayerNorm's place", .kind = NB_CHOICES,
     .choices = "rmsnorm prmsnorm"},
};

static void one_row(const struct row *r, const char *norm, double t, struct nb_observations *o)
{
    static const char where[] = "table=%s model=%s norm=%s";
    nb_observe(o, "paper_saved_time", "", (r->ln - t) / r->ln, where, r->table, r->model, norm);
    nb_observe(o, "paper_norm_share", "", (r->ln - r->base) / r->ln, where, r->table, r->model, norm);
    nb_observe(o, "implied_cut", "", (r->ln - t) / (r->ln - r->base), where, r->table, r->model, norm);
    nb_observe(o, "implied_speedup", "", (r->ln - r->base) / (t - r->base), where, r->table, r->model, norm);
}

static enum nb_status paper_table(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    (void)err;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        if (nb_trial_has(t, "norm", "rmsnorm"))
            one_row(&ROWS[i], "rmsnorm", ROWS[i].rms, o);
        if (nb_trial_has(t, "norm", "prmsnorm"))
            one_row(&ROWS[i], "prmsnorm", ROWS[i].prms, o);
    }
    return NB_OK;
}

const struct nb_experiment nb_experiment_paper_table = {
    "paper_table", "what the RMSNorm paper's own timings say of the step, of the norm's share and of the norm alone",
    "paper_saved_time paper_norm_share implied_cut implied_speedup", "norm", PARAMETERS, sizeof PARAMETERS / sizeof *PARAMETERS,
    false, {0, 0, 0}, paper_table};
