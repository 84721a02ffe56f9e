/* gnuplot.h: pictures from data. A picture is NAME.gp and NAME.dat; gnuplot draws
 * NAME.svg and NAME.png from them. A script is what the data says, as definitions (texts
 * in single quotes, in which gnuplot expands nothing), followed by plots/style.gp and the
 * picture's own fixed part, so that it needs nothing but its .dat. */
#ifndef NB_GNUPLOT_H
#define NB_GNUPLOT_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* One picture in the making. name is a word that may be a file name, script the file name
 * of its fixed part. */
struct nb_picture {
    const char *name, *script;
    FILE *gp, *dat;
    char *gp_text, *dat_text;
    size_t gp_length, dat_length;
};

void nb_picture_open(struct nb_picture *p, const char *name, const char *script);
void nb_picture_free(struct nb_picture *p);

/* Definitions in the script: KEY = 'value', array KEY[n] = [...]. Long texts are cut. */
void nb_gp_text(struct nb_picture *p, const char *key, const char *value);
void nb_gp_texts(struct nb_picture *p, const char *key, const char *const *v, size_t n);
void nb_gp_ints(struct nb_picture *p, const char *key, const int *v, size_t n);
void nb_gp_quote(FILE *f, const char *s);

/* DIR/plots, made where it does not exist. */
NB_USE_RESULT enum nb_status nb_plots_folder(char plots[4096], const char *dir,
                                             struct nb_err *err);
/* Writes the files of a picture and has gnuplot draw it. A gnuplot that is missing or
 * fails is no error: script and data stay, and note says what kept it from drawing. An
 * older picture then stays only if it shows the same data. */
NB_USE_RESULT enum nb_status nb_picture_draw(struct nb_picture *p, const char *plots,
                                             char note[256], struct nb_err *err);
void nb_picture_remove(const char *plots, const char *name);

#endif
