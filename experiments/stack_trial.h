/* stack_trial.h: what the experiments on deep stacks share: their parameters, and the grid of stacks that a trial asks for. */
#ifndef NB_STACK_TRIAL_H
#define NB_STACK_TRIAL_H

#include "experiment.h"
#include "stack.h"

enum { NB_STACK_CELLS = NB_STACK_SCHEMES * 2 * NB_NUMBERS_MAX };

/* Parameters that every experiment with a grid has; SCHEMES, NORMS, DEPTHS and SEEDS are their defaults. */
#define NB_STACK_PARAMETERS(SCHEMES, NORMS, DEPTHS, SEEDS)                                                                          \
    {.name = "scheme", .value = SCHEMES, .says = "where the norm stands (none: nowhere)", .kind = NB_CHOICES,                       \
     .choices = "none pre post deepnorm"},                                                                                          \
    {.name = "norm", .value = NORMS, .says = "which norm it is", .kind = NB_CHOICES, .choices = "layernorm rmsnorm"},               \
    {.name = "depth", .value = DEPTHS, .says = "layers, each of attention and a feed-forward", .kind = NB_NUMBERS, .least = 1,      \
     .most = 4000, .whole = true},                                                                                                  \
    {.name = "seeds", .value = SEEDS, .says = "stacks of other weights and data; 0: 5, 9 or 21 by effort", .kind = NB_NUMBERS,      \
     .most = 1000, .whole = true, .single = true},                                                                                  \
    {.name = "d", .value = "64", .says = "elements of a token, and of a feed-forward", .kind = NB_NUMBERS, .least = 2, .most = 1024, \
     .whole = true, .single = true},                                                                                                \
    {.name = "tokens", .value = "16", .says = "tokens of a sequence", .kind = NB_NUMBERS, .least = 1, .most = 512, .whole = true,   \
     .single = true},                                                                                                               \
    {.name = "batch", .value = "4", .says = "sequences", .kind = NB_NUMBERS, .least = 1, .most = 64, .whole = true, .single = true}, \
    {.name = "classes", .value = "64", .says = "classes that tokens have", .kind = NB_NUMBERS, .least = 2, .most = 1024,            \
     .whole = true, .single = true},                                                                                                \
    {.name = "alpha", .value = "0", .says = "of deepnorm; 0: as its depth asks for", .kind = NB_NUMBERS, .most = 1e6, .single = true}, \
    {.name = "beta", .value = "0", .says = "of deepnorm; 0: as its depth asks for", .kind = NB_NUMBERS, .most = 1e6, .single = true}, \
    {.name = "eps", .value = "1e-5", .says = "eps of the norm", .kind = NB_NUMBERS, .most = 1, .single = true}

/* The stacks of a trial: schemes, of each its norms, of each its depths; without a norm there is one, not two. */
struct nb_stack_grid {
    struct nb_stack_config cell[NB_STACK_CELLS];
    size_t cells, seeds;
};

void nb_stack_grid(const struct nb_trial *t, struct nb_stack_grid *g);

/* The words of `where`. */
const char *nb_stack_scheme_name(enum nb_stack_scheme scheme);
const char *nb_stack_norm_name(const struct nb_stack_config *c);

/* The cell like this one in all but what is given; g->cells: there is none. */
size_t nb_stack_cell(const struct nb_stack_grid *g, enum nb_stack_scheme scheme, uint32_t op, size_t depth);

/* Makes the stack of every cell and seed and hands it over, on several threads at once and in no order: a visit writes to what
 * belongs to its cell and seed. Seed k has the same data and, but for beta, the same weights in all cells. */
typedef void nb_stack_visit(void *context, size_t cell, size_t seed, struct nb_stack *s);
NB_USE_RESULT enum nb_status nb_stack_each_cell(const struct nb_trial *t, const struct nb_stack_grid *g, nb_stack_visit *visit,
                                                void *context, struct nb_err *err);

/* DIR/name for writing, of a picture. What cannot be written decides no verdict: it goes nowhere, and closing removes what is cut short. */
NB_USE_RESULT enum nb_status nb_stack_data(const char *dir, const char *name, FILE **f, struct nb_err *err);
void nb_stack_data_close(FILE *f, const char *dir, const char *name);

#endif
