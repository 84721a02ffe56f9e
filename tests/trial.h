/* trial.h: runs an experiment and finds what it observed; includes the rest after cmocka.h. */
#ifndef NB_TESTS_TRIAL_H
#define NB_TESTS_TRIAL_H

#include "experiment.h"

#include <string.h>

/* Whether "name=value" is of this parameter. */
static inline bool trial_is_of(const char *pair, const struct nb_parameter *p)
{
    const size_t n = strcspn(pair, "=");
    return strlen(p->name) == n && strncmp(pair, p->name, n) == 0;
}

/* Runs an experiment with its defaults but for "name=value" pairs, up to NULL; fails where it does not end as wanted. */
static inline struct nb_observations trial_run(const char *name, const char *dir, uint64_t random, enum nb_status want, const char *const *pairs)
{
    enum { PARAMETERS_MAX = 32 };
    const struct nb_experiment *e = nb_experiment_find(name);
    const char *values[PARAMETERS_MAX];
    struct nb_observations o = {0};
    struct nb_err err = {""};
    size_t used = 0, n = 0;
    assert_non_null(e);
    assert_true(e->parameter_count <= PARAMETERS_MAX);
    for (size_t i = 0; i < e->parameter_count; i++) {
        values[i] = e->parameters[i].value;
        for (n = 0; pairs[n] != NULL; n++)
            if (trial_is_of(pairs[n], &e->parameters[i])) {
                values[i] = pairs[n] + strcspn(pairs[n], "=") + 1;
                used++;
            }
        if (nb_parameter_check(&e->parameters[i], values[i], &err) != NB_OK)
            fail_msg("%s: %s", name, err.text);
    }
    assert_int_equal(used, n); /* no pair is of a parameter that there is not */
    assert_int_equal(e->run(&(struct nb_trial){.experiment = e, .values = values, .seed = random, .dir = dir}, &o, &err), want);
    return o;
}

static inline const struct nb_observation *trial_find(const struct nb_observations *o, const char *quantity, const char *where)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i].quantity, quantity) == 0 && strcmp(o->v[i].where, where) == 0)
            return &o->v[i];
    fail_msg("no %s where %s", quantity, where);
    return NULL;
}

static inline double trial_value(const struct nb_observations *o, const char *quantity, const char *where)
{
    return trial_find(o, quantity, where)->value;
}

#endif
