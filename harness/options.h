/* options.h: what the argp parsers of the commands share. */
#ifndef NB_OPTIONS_H
#define NB_OPTIONS_H

#include "select.h"

#include <argp.h>
#include <stdio.h>

/* Options of the selection have the key of enum nb_key, counted from here. */
enum { NB_OPTION_SELECTION = 1000, NB_OPTION_OTHERS = 2000 };
/* A row of selection.def as an option. */
#define NB_OPTION_SELECT(KEY, name, arg, help) {name, NB_OPTION_SELECTION + NB_KEY_##KEY, arg, 0, help, 1},
/* Its name where --head is a program. */
#define NB_OPTION_BESIDE_HEAD(KEY, name) (NB_KEY_##KEY == NB_KEY_HEAD ? "head-length" : (name))

/* An option whose text is kept until all are read. */
struct nb_option_text {
    int key;
    const char **value;
};

/* Puts arg where the key's text belongs, or into selection[NB_KEY_COUNT], which may be NULL. False: the key is
 * none of these. */
bool nb_option_take(int key, const char *arg, const struct nb_option_text *texts, size_t count,
                    const char **selection);

/* From now on the help of the selection's options tells their defaults: those of nb_block_init, which a command has that
 * takes no preset, or only where nothing is selected. */
void nb_option_tell_defaults(void);

/* Parses what stands behind `normbench COMMAND`, which is argv[1] and is how help and errors call the program. They
 * end it; an error with exit code 1. args: of arguments that are no options, as argp takes it; NULL: none. */
void nb_option_parse(const struct argp_option *options, argp_parser_t parser, const char *args, const char *doc,
                     int argc, char **argv, void *input);

/* A word as a shell reads it back. */
void nb_option_word(FILE *f, const char *word);

/* What was typed, in quotes where a shell needs them; to be freed. Before nb_option_parse, which changes argv. */
char *nb_option_command(int argc, char **argv);

/* results/WHAT-UTC; makes results/ where there is none. */
NB_USE_RESULT enum nb_status nb_option_folder(const char *what, char *dir, size_t len, struct nb_err *err);

/* Puts the texts that were given, one a key, into every block of the preset. */
NB_USE_RESULT enum nb_status nb_option_select(struct nb_preset *p, const char *const *selection, struct nb_err *err);

/* Options of the problem: a finite eps of at least 0; words of eps_mode and order, NULL for the default. */
NB_USE_RESULT enum nb_status nb_option_eps(const char *text, double *eps, struct nb_err *err);
NB_USE_RESULT enum nb_status nb_option_policies(const char *eps_mode, const char *order,
                                                uint32_t *mode_value, uint32_t *order_value,
                                                struct nb_err *err);

#endif
