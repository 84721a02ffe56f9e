/* entries.h: what a run says as rows of the index. */
#ifndef NB_ENTRIES_H
#define NB_ENTRIES_H

#include "import.h"
#include "summary.h"

/* Names the tables of im's dictionaries. */
void nb_entries_describe(struct nb_import *im);

/* What the index asks of a run beyond what is asked of every summary. */
NB_USE_RESULT enum nb_status nb_entries_check(const struct nb_summary *s,
                                              struct nb_err *err);

NB_USE_RESULT enum nb_status nb_entries_machine(struct nb_import *im,
                                                const struct nb_summary *s, int64_t *id,
                                                struct nb_err *err);
NB_USE_RESULT enum nb_status nb_entries_results(struct nb_import *im,
                                                const struct nb_summary *s, int64_t run,
                                                struct nb_err *err);
NB_USE_RESULT enum nb_status nb_entries_speedups(struct nb_import *im,
                                                 const struct nb_summary *s, int64_t run,
                                                 struct nb_err *err);

/* Hash of the compile flags of all units; false: the run does not say them. */
bool nb_entries_flags(const struct nb_summary *s, char hex[17]);

/* A moment as 2026-11-22T08:30:00Z. */
bool nb_entries_is_moment(const char *text);

#endif
