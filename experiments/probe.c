/* probe.c: how many steps of training a small net takes to a given loss, by norm.
 *
 * training_probe: the residual net of net.h, 16 inputs, width 32, about 5000 parameters, learns a fixed random teacher: a net of one
 *   layer of 8 tanh, its output scaled to mean 0 and variance 1. Each step has a fresh batch, so nothing is learnt by heart; every 5
 *   steps the loss on 128 cases that are never trained on is taken, and the run ends where its moving mean (3/4 old, 1/4 new) is at most `target`. Adam with the
 *   usual constants, or gradient descent with momentum 0.9. The rate is chosen for each norm by itself: the one of the list that
 *   takes the fewest steps on 3 pilot seeds, which are not among those observed. Runs are paired: of one seed all norms begin with
 *   the same weights and see the same teacher and the same cases in the same order.
 *
 * It is small. What it shows is true of this net and this task; that a large model would do the same it cannot show.
 */
#include "experiment.h"
#include "net.h"
#include "sample.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct nb_parameter TRAINING_PROBE[] = {
    {.name = "baseline", .value = "layernorm", .says = "what rmsnorm is compared with", .kind = NB_CHOICES, .choices = "layernorm none"},
    {.name = "optimizer", .value = "adam", .says = "optimizers", .kind = NB_CHOICES, .choices = "adam momentum"},
    {.name = "adam_rates", .value = "1e-3,3e-3,1e-2,3e-2", .says = "rates that Adam may choose from", .kind = NB_NUMBERS, .least = 1e-8,
     .most = 1},
    {.name = "momentum_rates", .value = "1e-2,3e-2,1e-1,3e-1", .says = "rates that gradient descent may choose from",
     .kind = NB_NUMBERS, .least = 1e-8, .most = 10},
    {.name = "depth", .value = "2", .says = "blocks of the net", .kind = NB_NUMBERS, .least = 0, .most = 64, .whole = true},
    {.name = "target", .value = "0.03", .says = "loss that ends a run, in variances of what is learnt", .kind = NB_NUMBERS,
     .least = 1e-6, .most = 1, .single = true},
    {.name = "seeds", .value = "16", .says = "runs of each norm", .kind = NB_NUMBERS, .least = 2, .most = 64, .whole = true,
     .single = true},
    {.name = "steps", .value = "2000", .says = "after which a run is given up", .kind = NB_NUMBERS, .least = 5, .most = 1e6,
     .whole = true, .single = true},
};

enum { INPUTS = 16, WIDTH = 32, INNER = 32, BATCH = 32, HELD_OUT = 128, EVERY = 5, TEACHERS = 8, PILOTS = 3, SEEDS = 64 };
static const char *const NORM_NAMES[] = {"none", "layernorm", "rmsnorm"};

/* ---- what is learnt ---- */

/* t = scale*(sum_k v_k tanh(w_k . x + b_k) - mean) */
struct teacher {
    double w[TEACHERS][INPUTS], b[TEACHERS], v[TEACHERS], mean, scale;
};

static double raw_answer(const struct teacher *t, const double *x)
{
    double sum = 0;
    for (size_t k = 0; k < TEACHERS; k++) {
        double z = t->b[k];
        for (size_t i = 0; i < INPUTS; i++)
            z += t->w[k][i] * x[i];
        sum += t->v[k] * tanh(z);
    }
    return sum;
}

/* Cases whose inputs are evenly distributed, of mean 0 and variance 1, and the teacher's answers. */
static void draw_cases(const struct teacher *t, double *x, double *answer, size_t n, unsigned long long *state)
{
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < INPUTS; i++)
            x[r * INPUTS + i] = sqrt(12) * ((double)(nb_random(state) >> 11) * 0x1p-53 - 0.5);
        answer[r] = t->scale * (raw_answer(t, x + r * INPUTS) - t->mean);
    }
}

/* Mean and variance of its answers are those of 1000 cases. */
static void draw_teacher(struct teacher *t, unsigned long long *state)
{
    enum { CASES = 1000 };
    double x[INPUTS], sum = 0, square = 0, answer;
    *t = (struct teacher){.scale = 1};
    for (size_t k = 0; k < TEACHERS; k++) {
        t->v[k] = nb_gauss(state);
        t->b[k] = nb_gauss(state);
        for (size_t i = 0; i < INPUTS; i++)
            t->w[k][i] = nb_gauss(state) / sqrt(INPUTS);
    }
    for (size_t r = 0; r < CASES; r++) {
        draw_cases(t, x, &answer, 1, state);
        sum += answer;
        square += answer * answer;
    }
    t->mean = sum / CASES;
    t->scale = 1 / sqrt(square / CASES - t->mean * t->mean);
}

/* ---- a run ---- */

struct setting {
    const struct nb_trial *trial;
    const char *optimizer;
    size_t depth, most_steps;
    double target;
};

/* A net on its way: parameters, gradient, and the optimizer's two moving means, one element a parameter each. */
struct learner {
    struct nb_net net;
    double *theta, *gradient, *first, *second, *work;
};

static struct learner learner_of(const struct setting *s, enum nb_net_norm norm)
{
    struct learner l = {.net = nb_net(norm, INPUTS, WIDTH, INNER, s->depth)};
    const size_t n = nb_net_size(&l.net);
    l.theta = calloc(4 * n + nb_net_work(&l.net, HELD_OUT), sizeof *l.theta);
    NB_ASSERT(l.theta != NULL);
    l.gradient = l.theta + n;
    l.first = l.gradient + n;
    l.second = l.first + n;
    l.work = l.second + n;
    return l;
}

/* Steps to the target; 0 where it was not reached, or the loss ceased to be a number. */
static size_t train(const struct setting *s, struct learner *l, double rate, const struct teacher *teacher, unsigned long long *state)
{
    double x[BATCH * INPUTS], t[BATCH], held_x[HELD_OUT * INPUTS], held_t[HELD_OUT];
    const size_t n = nb_net_size(&l->net);
    double smooth = 1; /* what a net loses that answers 0 */
    draw_cases(teacher, held_x, held_t, HELD_OUT, state);
    for (size_t step = 1; step <= s->most_steps; step++) {
        draw_cases(teacher, x, t, BATCH, state);
        nb_net_loss(&l->net, l->theta, x, t, BATCH, l->work, l->gradient);
        if (strcmp(s->optimizer, "adam") == 0)
            nb_adam(n, l->theta, l->gradient, l->first, l->second, rate, step);
        else
            nb_momentum(n, l->theta, l->gradient, l->first, rate);
        if (step % EVERY != 0)
            continue;
        smooth += (nb_net_loss(&l->net, l->theta, held_x, held_t, HELD_OUT, l->work, NULL) - smooth) / 4;
        if (smooth <= s->target)
            return step;
        if (!isfinite(smooth) || nb_trial_stopped(s->trial))
            return 0;
    }
    return 0;
}

/* Weights, teacher and cases depend on the seed alone. */
static size_t one_run(const struct setting *s, enum nb_net_norm norm, double rate, unsigned long long seed)
{
    struct learner l = learner_of(s, norm);
    struct teacher teacher;
    unsigned long long state = seed;
    nb_net_draw(&l.net, l.theta, &state);
    draw_teacher(&teacher, &state);
    const size_t steps = train(s, &l, rate, &teacher, &state);
    free(l.theta);
    return steps;
}

/* Seed i of this trial; those of pilots come first. */
static unsigned long long seed_of(const struct nb_trial *t, size_t i)
{
    unsigned long long state = t->seed, seed = 0;
    for (size_t k = 0; k <= i; k++)
        seed = nb_random(&state);
    return seed;
}

/* The rate with the fewest steps over the pilots, where a run that is given up counts as all of its steps. The first of equals; one alone needs
 * no pilots. */
static double best_rate(const struct setting *s, enum nb_net_norm norm)
{
    double rate[NB_NUMBERS_MAX], best = 0;
    const size_t rates = nb_trial_numbers(s->trial, strcmp(s->optimizer, "adam") == 0 ? "adam_rates" : "momentum_rates", rate);
    size_t fewest = SIZE_MAX;
    for (size_t i = 0; i < rates; i++) {
        size_t sum = 0;
        for (size_t p = 0; rates > 1 && p < PILOTS && sum < fewest; p++) {
            struct setting pilot = *s;
            pilot.most_steps = s->most_steps < fewest - sum ? s->most_steps : fewest - sum; /* more would be no better */
            const size_t steps = one_run(&pilot, norm, rate[i], seed_of(s->trial, p));
            sum += steps > 0 ? steps : pilot.most_steps;
        }
        if (sum < fewest) {
            fewest = sum;
            best = rate[i];
        }
    }
    return best;
}

/* ---- what is observed ---- */

/* Steps of a norm by seed, in the order of seeds; 0: not reached. */
struct runs {
    size_t n, reached, steps[SEEDS];
};

static struct runs run_norm(const struct setting *s, enum nb_net_norm norm, struct nb_observations *o)
{
    static const char where[] = "norm=%s optimizer=%s depth=%zu target=%g";
    struct runs r = {.n = (size_t)nb_trial_number(s->trial, "seeds")};
    double steps[SEEDS];
    const double rate = best_rate(s, norm);
    const char *name = NORM_NAMES[norm];
    for (size_t i = 0; i < r.n; i++) {
        r.steps[i] = one_run(s, norm, rate, seed_of(s->trial, PILOTS + i));
        r.reached += r.steps[i] > 0;
        steps[i] = (double)r.steps[i];
    }
    nb_observe(o, "learning_rate", "", rate, where, name, s->optimizer, s->depth, s->target);
    nb_observe(o, "reached", "", (double)r.reached / (double)r.n, where, name, s->optimizer, s->depth, s->target);
    if (r.reached == r.n)
        nb_observe_median(o, "steps", "steps", steps, r.n, "seeds", where, name, s->optimizer, s->depth, s->target);
    else
        nb_observe_missing(o, "steps", "steps", "not every seed reached the target", false, where, name, s->optimizer, s->depth, s->target);
    return r;
}

static void observe_ratio(const struct setting *s, const char *baseline, const struct runs *base, const struct runs *rms,
                          struct nb_observations *o)
{
    static const char where[] = "baseline=%s optimizer=%s depth=%zu target=%g";
    double ratio[SEEDS];
    char why[120];
    for (size_t i = 0; i < rms->n; i++)
        ratio[i] = (double)base->steps[i] / (double)rms->steps[i];
    snprintf(why, sizeof why, "%zu of %zu runs of %s and %zu of rmsnorm reached the target", base->reached, base->n, baseline,
             rms->reached);
    if (base->reached == base->n && rms->reached == rms->n)
        nb_observe_median(o, "steps_ratio", "", ratio, rms->n, "seeds", where, baseline, s->optimizer, s->depth, s->target);
    else
        nb_observe_missing(o, "steps_ratio", "", why, false, where, baseline, s->optimizer, s->depth, s->target);
}

static void one_setting(const struct setting *s, struct nb_observations *o)
{
    const struct runs rms = run_norm(s, NB_NET_RMSNORM, o);
    for (int norm = NB_NET_LAYERNORM; norm >= NB_NET_NONE; norm--) {
        if (!nb_trial_has(s->trial, "baseline", NORM_NAMES[norm]))
            continue;
        const struct runs base = run_norm(s, (enum nb_net_norm)norm, o);
        observe_ratio(s, NORM_NAMES[norm], &base, &rms, o);
    }
}

static enum nb_status training_probe(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err)
{
    static const char *const optimizers[] = {"adam", "momentum"};
    double depth[NB_NUMBERS_MAX];
    const size_t depths = nb_trial_numbers(t, "depth", depth);
    (void)err;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; nb_trial_has(t, "optimizer", optimizers[k]) && i < depths; i++) {
            nb_trial_progress(t, (double)i / (double)depths, optimizers[k]);
            one_setting(&(struct setting){t, optimizers[k], (size_t)depth[i], (size_t)nb_trial_number(t, "steps"), nb_trial_number(t, "target")},
                        o);
            if (nb_trial_stopped(t))
                return NB_INTERRUPTED;
        }
    return NB_OK;
}

const struct nb_experiment nb_experiment_training_probe = {
    "training_probe", "steps of training that a small net takes to a given loss, by norm, each at its own best rate",
    "steps_ratio steps learning_rate reached", "baseline", TRAINING_PROBE, sizeof TRAINING_PROBE / sizeof *TRAINING_PROBE, false,
    {5, 5, 5}, training_probe};
