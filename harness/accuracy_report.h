/* accuracy_report.h: tables and pictures of `normbench accuracy` from its file alone
 * (accuracy.csv: docs/schema.md). */
#ifndef NB_ACCURACY_REPORT_H
#define NB_ACCURACY_REPORT_H

#include "err.h"

#include <stdbool.h>

/* Reads DIR/accuracy.csv and (re)writes DIR/accuracy.md and DIR/plots/. Same input, same
 * bytes. run_dir, which may be NULL, is the folder of a run: its results.csv gives the
 * times of the pictures of time against accuracy. Times that are missing or cannot be
 * read, and a gnuplot that cannot draw, are no error: the reason is printed (that of the
 * times stands in accuracy.md too). Prints a table to stdout unless quiet. */
NB_USE_RESULT enum nb_status nb_accuracy_report(const char *dir, const char *run_dir,
                                                bool quiet, struct nb_err *err);

#endif
