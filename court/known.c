/* known.c: the experiments that claims may name: those of experiments/ and those that were added. */
#include "claims.h"

#include <string.h>

enum { ADDED_MAX = 16 };
static const struct nb_experiment *added[ADDED_MAX];
static size_t added_count;

void nb_court_add(const struct nb_experiment *e)
{
    NB_ASSERT(added_count < ADDED_MAX && nb_court_find(e->name) == NULL);
    added[added_count++] = e;
}

size_t nb_court_experiments(void)
{
    return nb_experiment_count() + added_count;
}

const struct nb_experiment *nb_court_experiment(size_t i)
{
    return i < nb_experiment_count() ? nb_experiment_at(i) : added[i - nb_experiment_count()];
}

const struct nb_experiment *nb_court_find(const char *name)
{
    for (size_t i = 0; i < nb_court_experiments(); i++)
        if (strcmp(nb_court_experiment(i)->name, name) == 0)
            return nb_court_experiment(i);
    return NULL;
}

bool nb_words_have(const char *words, const char *word)
{
    const size_t n = strlen(word);
    for (const char *p = words; *p != '\0'; p += strcspn(p, " "), p += strspn(p, " "))
        if (n > 0 && strcspn(p, " ") == n && strncmp(p, word, n) == 0)
            return true;
    return false;
}
