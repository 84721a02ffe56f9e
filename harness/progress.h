/* progress.h: how far a long job is, on stderr: one live line on a terminal, plain lines otherwise. */
#ifndef NB_PROGRESS_H
#define NB_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct nb_progress {
    const char *stage;
    double total, done; /* in any unit that is proportional to time */
    uint64_t start_ns, last_ns;
    int last_tenth;
    bool quiet, terminal;
};

void nb_progress_begin(struct nb_progress *p, const char *stage, double total, bool quiet);
void nb_progress_step(struct nb_progress *p, double amount, const char *detail);
void nb_progress_end(struct nb_progress *p);

#endif
