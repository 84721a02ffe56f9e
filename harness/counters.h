/* counters.h: hardware and software events through PAPI, one event set a thread.
 *
 * An event counts only with a certificate: started, and read within a band over a loop whose count is known
 * (known_loops.h); otherwise it is absent with a reason. Built without PAPI every event is absent and says
 * so. Counting happens in passes of its own, never inside timed rounds; groups of at most 4 events, never
 * multiplexed. */
#ifndef NB_COUNTERS_H
#define NB_COUNTERS_H

#include "certificate.h"
#include "err.h"

#include <stddef.h>

enum nb_event {
    NB_EV_CYCLES,       /* core cycles */
    NB_EV_INSTRUCTIONS,
    NB_EV_LOADS,
    NB_EV_L1D_MISSES,
    NB_EV_L2_MISSES,
    NB_EV_LLC_MISSES,
    NB_EV_DTLB_MISSES,
    NB_EV_BRANCH_MISSES,
    NB_EV_TASK_CLOCK,   /* software: ns */
    NB_EV_PAGE_FAULTS,
    NB_EV_CONTEXT_SWITCHES,
    NB_EV_MIGRATIONS,
    NB_EV_COUNT
};
const char *nb_event_name(enum nb_event e); /* "cycles", "instructions", "l1d_misses", ... */

/* Probes every event on the calling thread, once a process; must be called before other threads
 * count. Never fails: events may all be absent. */
void nb_counters_init(void);
const char *nb_counters_state(void);              /* one line: PAPI version, or why there is none */
int nb_counters_available(enum nb_event e);
const char *nb_counters_source(enum nb_event e);  /* the event really used, e.g. "PAPI_TOT_CYC"; or "" */
const char *nb_counters_reason(enum nb_event e);  /* why it is absent; or "" */
const char *nb_counters_remedy(enum nb_event e);  /* how it could be had; "" where it is there */
/* Of the source, or of the last name that was tried and counted something; UNTRIED where none did. */
const struct nb_certificate *nb_counters_certificate(enum nb_event e);

/* NB_COUNTERS_BANDS=off, for tests alone: stand-ins for events are accepted without their bands, and every
 * figure from them is marked as uncertified. Any other word of it is an error. */
NB_USE_RESULT enum nb_status nb_counters_environment(struct nb_err *err);
int nb_counters_bands(void); /* 1: bands hold */

/* Number of groups in which the available events are to be counted, one group a pass (0: none). */
size_t nb_counters_groups(void);

/* Per thread: open starts counting of one group on the calling thread, close stops it and adds what
 * was counted to values (the empty bracket's cost is subtracted). Events outside the group stay.
 * Returns NB_ERROR when the group could not be counted; values are then untouched. */
struct nb_counters; /* one thread's event set */
NB_USE_RESULT enum nb_status nb_counters_open(size_t group, struct nb_counters **c);
NB_USE_RESULT enum nb_status nb_counters_close(struct nb_counters *c, double values[NB_EV_COUNT]);
int nb_counters_in_group(size_t group, enum nb_event e);

/* Certifies whatever PAPI knows by that name, after nb_counters_init. REFUSED with PAPI's error where it does not
 * know it, or where there is no PAPI. */
struct nb_certificate nb_counters_certify(const char *name, const struct nb_proof *proof, struct nb_lab *lab);

#endif
