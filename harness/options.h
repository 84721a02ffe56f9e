/* options.h: what the argp parsers of the commands share. */
#ifndef NB_OPTIONS_H
#define NB_OPTIONS_H

#include "select.h"

/* Options of the selection have the key of enum nb_key, counted from here. */
enum { NB_OPTION_SELECTION = 1000, NB_OPTION_OTHERS = 2000 };
#define NB_OPTION_SELECT(name, key, arg, doc) {name, NB_OPTION_SELECTION + key, arg, 0, doc, 1}

/* An option whose text is kept until all are read. */
struct nb_option_text {
    int key;
    const char **value;
};

/* Puts arg where the key's text belongs, or into selection[NB_KEY_COUNT], which may be NULL. False: the key is
 * none of these. */
bool nb_option_take(int key, const char *arg, const struct nb_option_text *texts, size_t count,
                    const char **selection);

/* Puts the texts that were given, one a key, into every block of the preset. */
NB_USE_RESULT enum nb_status nb_option_select(struct nb_preset *p, const char *const *selection, struct nb_err *err);

/* Options of the problem: a finite eps of at least 0; words of eps_mode and order, NULL for the default. */
NB_USE_RESULT enum nb_status nb_option_eps(const char *text, double *eps, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_option_policies(const char *eps_mode, const char *order,
                                                uint32_t *mode_value, uint32_t *order_value,
                                                struct nb_err *err);

#endif
