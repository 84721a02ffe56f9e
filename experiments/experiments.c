/* experiments.c: all experiments of this folder. One line in experiments.def adds one. */
#include "experiment.h"

#include <string.h>

#define NB_EXPERIMENT(name) extern const struct nb_experiment nb_experiment_##name;
#include "experiments.def"
#undef NB_EXPERIMENT

static const struct nb_experiment *const EXPERIMENTS[] = {
#define NB_EXPERIMENT(name) &nb_experiment_##name,
#include "experiments.def"
#undef NB_EXPERIMENT
};

size_t nb_experiment_count(void)
{
    return sizeof EXPERIMENTS / sizeof *EXPERIMENTS;
}

const struct nb_experiment *nb_experiment_at(size_t i)
{
    return EXPERIMENTS[i];
}

const struct nb_experiment *nb_experiment_find(const char *name)
{
    for (size_t i = 0; i < nb_experiment_count(); i++)
        if (strcmp(EXPERIMENTS[i]->name, name) == 0)
            return EXPERIMENTS[i];
    return NULL;
}
