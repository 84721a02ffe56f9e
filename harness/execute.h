/* execute.h: runs a kernel over a cell's rows, on one or more bound threads, and times it. */
#ifndef NB_EXECUTE_H
#define NB_EXECUTE_H

#include "plan.h"
#include "topology.h"

/* One kernel with its memory. Windows: pass i works on window (first + i) mod windows; their x (and dy or
 * residual) lie step bytes
 * apart, their y and h (dx and dres) step_out, and the statistics that a pass backward is given step_saved, behind which follow those
 * of the data that was checked. */
struct nb_execution {
    const struct nb_kernel *kernel;
    struct nb_problem problem;
    struct nb_args args; /* of window 0; part, parts and scratch are filled in a thread */
    void *state;         /* of a kernel with prepare; NULL: it could not prepare, and must not run */
    double prepare_ns;   /* what that took */
    unsigned threads;
    size_t windows, step, step_out, step_saved, next_window;
    bool checked; /* the window holds the data that was checked */
    size_t stack; /* low 12 bits, about, of the stack pointer that one thread's passes run with */
    char *scratch;
    size_t scratch_step; /* bytes of one thread */
};

/* Which parameters the timed call is given: layernorm gamma and beta, rmsnorm gamma, as models use
 * them; affine what its algorithm's name says. */
bool nb_uses_gamma(const struct nb_kernel *k);
bool nb_uses_beta(const struct nb_kernel *k);

/* Bytes of scratch that all threads of a cell need together; the kernels' own wish. */
size_t nb_scratch_bytes(const struct nb_kernel *k, const struct nb_problem *p, unsigned threads);

/* Fills kernel, problem, threads and state. scratch: nb_scratch_bytes() long or NULL when 0. False: its
 * prepare returned NULL. End it in either case. */
bool nb_execution_begin(struct nb_execution *e, const struct nb_cell *cell,
                        const struct nb_kernel *k, const struct nb_args *args, char *scratch);
void nb_execution_end(struct nb_execution *e);

/* Threads of a team bind themselves to cores of this topology; NULL, the initial value: to none. */
void nb_execute_init(const struct nb_topology *t);

/* Starts the team of so many threads, each bound to its core. A smaller team is an error, and so is a
 * thread that cannot be bound where must_bind. Call it before anything is run or touched. */
NB_USE_RESULT enum nb_status nb_execute_team(unsigned threads, bool must_bind, struct nb_err *err);

/* The topology that the team is bound by; NULL: by none. */
const struct nb_topology *nb_execute_topology(void);

/* How many threads of the team are on another CPU than the one they are bound to; negative: not known. */
long nb_execute_strays(unsigned threads);

/* One call over all rows in this thread, with scratch of its own; any problem, any kernel. False: its
 * prepare returned NULL, and it did not run. */
bool nb_run_once(const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args);

/* Runs so many passes, a barrier after each; returns the ns of all together. */
uint64_t nb_execute(struct nb_execution *e, unsigned passes);

/* The share of one thread, without barriers and untimed: for counting, inside nb_on_threads. Of several threads' it
 * leaves out what is put together at the end: that is nb_execute_reduce, when every part has run. */
void nb_execute_part(const struct nb_execution *e, unsigned part, unsigned passes);
void nb_execute_reduce(const struct nb_execution *e, unsigned part);

/* Calls work(context, part, parts) on the threads that execute that part: for first touch. */
void nb_on_threads(unsigned threads, void (*work)(void *context, unsigned part, unsigned parts),
                   void *context);

/* ns of one barrier among so many threads, median of several. */
double nb_barrier_ns(unsigned threads);

/* Times that another process took a CPU from this one, all its threads together, so far. */
long nb_involuntary_switches(void);

uint64_t nb_now_ns(void);

#endif
