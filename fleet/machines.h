/* machines.h: what a run was measured on and with, its name in a comparison, and in what
 * it does not match another. */
#ifndef NB_MACHINES_H
#define NB_MACHINES_H

#include "summary.h"

enum { NB_MARKS = 16 };

struct nb_machine {
    const struct nb_summary *run;
    char *name; /* data: to be escaped where it is shown */
    const struct nb_machine
        *same_host; /* the first one of this host before it; NULL: none, or not known */
    char *marks[NB_MARKS]; /* in what it does not match the first one, and what is the
                              matter with it */
    size_t nmarks;
};

/* By "cpu", "host" or "folder"; where names are equal, " #1", " #2", ... go behind.
 * Another word is an error. */
NB_USE_RESULT enum nb_status nb_machines_make(struct nb_machine *m,
                                              const struct nb_summary *runs, size_t n,
                                              const char *names, struct nb_err *err);
void nb_machines_free(struct nb_machine *m, size_t n);

/* A size of host.json, as ("caches", "l2"); 0: not known. */
size_t nb_machine_size(const struct nb_summary *run, const char *object, const char *key);
/* "2 cores, L1d 48 KiB, L2 2 MiB, L3 480 MiB" */
void nb_machine_facts(const struct nb_summary *run, char *text, size_t len);
/* Without (R), (TM) and the like, one word: "intel-xeon-processor". */
void nb_machine_slug(const struct nb_summary *run, char *text, size_t len);

#endif
