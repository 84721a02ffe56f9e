/* conditions.h: what went on around a unit of work, and whether its data can be used.
 *
 * A unit is thrown away for what stands here alone, never for its times: blind to the result. */
#ifndef NB_CONDITIONS_H
#define NB_CONDITIONS_H

#include "sysread.h"
#include "topology.h"

#include <jansson.h>
#include <stdbool.h>

/* Limits of a sound unit. Stolen time comes in ticks (10 ms mostly): one alone may have been saved up
 * over a long time before, so it takes two. */
#define NB_STEAL_SHARE 0.01
#define NB_STEAL_TICKS 2
#define NB_CLOCK_CHANGE 0.15 /* not turbo: its steps come and go every few ms, and cancel in ratios of one round */

/* Of all units of a run, at most so many are measured again for their conditions; where more are disturbed,
 * that is what this machine is like, and the run says so. */
#define NB_DISCARD_SHARE 0.2

/* ns of a chain of NB_CHAIN_ADDS adds of which each waits for the last, about 50 us: follows the core
 * clock where nothing reads it. Least of so many: whatever disturbs only slows. */
#define NB_CHAIN_ADDS 200000
double nb_chain_ns(unsigned chains);

/* Looks at the moment when a unit begins; each thread of it runs on a CPU of its own, in the order of
 * nb_topology_cpu. t NULL: the threads are bound to nothing, so that no CPU is theirs. */
struct nb_watch {
    const struct nb_topology *topology;
    unsigned threads;
    bool jiffies_known;
    struct nb_jiffies jiffies;
    double clock_ns;
    long switches, major_faults;
};
void nb_conditions_begin(struct nb_watch *w, const struct nb_topology *t, unsigned threads);

/* "conditions" of docs/schema.md. migrations: times that a thread was seen on another CPU than its own;
 * negative: not known. */
json_t *nb_conditions_end(const struct nb_watch *w, long migrations);

/* What disturbed a unit, the worst first. */
enum nb_disturbance { NB_UNDISTURBED, NB_MIGRATED, NB_STOLEN, NB_CLOCK_CHANGED, NB_DISTURBANCES };
enum nb_disturbance nb_conditions_disturbance(const json_t *conditions);

/* The same in words, written to text; NULL: nothing that we know of. conditions NULL (units of old
 * have none) and nulls in it are not known. */
const char *nb_conditions_verdict(const json_t *conditions, char *text, size_t len);

/* For tests alone: NB_TEST_CONDITIONS=KIND:COUNT replaces the conditions of the first COUNT units of each
 * worker by disturbed ones (clock, steal, migration) and those of all others by quiet ones. Both say so:
 * "invented" is true. Takes and gives back a reference; without the variable nothing changes. */
json_t *nb_conditions_for_test(json_t *conditions);

#endif
