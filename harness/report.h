/* report.h: tables and plots from the files of a run alone (docs/schema.md). */
#ifndef NB_REPORT_H
#define NB_REPORT_H

#include "err.h"

#include <stdio.h>

/* Reads host.json, plan.json, checks.jsonl and samples.jsonl of a run folder and (re)writes
 * results.csv, speedup.csv, gbench.json, report.md and plots/. Same input, same bytes. A gnuplot that
 * is missing or fails is no error: the .dat and .gp files stay, a line in notes says what to install.
 * Prints the short table to out (NULL: nothing). */
NB_USE_RESULT enum nb_status nb_report(const char *dir, FILE *out, struct nb_err *err);

/* What the exit code of a run depends on. */
struct nb_report_counts {
    size_t fail, crashed, timed_out, mistrusted, pass, skipped, untested;
    size_t below_bar; /* on a machine of the class that the bars are of */
};
int nb_report_exit_code(const struct nb_report_counts *n); /* 0, 2 or 3: README, exit codes */
NB_USE_RESULT enum nb_status nb_report_counts(const char *dir, struct nb_report_counts *counts,
                                              struct nb_err *err);

#endif
