/* formulas.h: activations by their formulas, and what is known of them. Values are those of tables of the normal distribution, of
 * the logistic function and of tanh, to NB_FORMULA_DIGIT. */
#ifndef NB_FORMULAS_H
#define NB_FORMULAS_H

enum { NB_FORMULAS = 6, NB_FORMULA_POINTS = 5 };
#define NB_FORMULA_DIGIT 1e-6

extern const double nb_formula_at[NB_FORMULA_POINTS];
extern const struct nb_formula {
    const char *name;
    double (*formula)(double x);
    double known[NB_FORMULA_POINTS]; /* at nb_formula_at */
} nb_formulas[NB_FORMULAS];

#endif
