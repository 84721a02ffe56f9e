/* formulas.h: activations by their formulas, and what is known of them. Values are those of tables of the normal distribution, of
 * the logistic function and of tanh, to NB_ACTIVATION_DIGIT. */
#ifndef NB_FORMULAS_H
#define NB_FORMULAS_H

enum { NB_ACTIVATIONS = 6, NB_ACTIVATION_POINTS = 5 };
#define NB_ACTIVATION_DIGIT 1e-6

extern const double nb_activation_at[NB_ACTIVATION_POINTS];
extern const struct nb_activation {
    const char *name;
    double (*formula)(double x);
    double known[NB_ACTIVATION_POINTS]; /* at nb_activation_at */
} nb_activations[NB_ACTIVATIONS];

#endif
