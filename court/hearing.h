/* hearing.h: claims, the experiments that they ask for, each run once, and what comes of it. */
#ifndef NB_HEARING_H
#define NB_HEARING_H

#include "claims.h"
#include "verdict.h"

/* One experiment with one set of parameters, whichever claims ask for it. */
struct nb_run_of {
    const struct nb_experiment *experiment;
    const char *const *values; /* of the first test that asks for it */
    struct nb_observations observations;
    bool done;                 /* run, well or not */
    char error[1024];          /* why it did not run; "": it did */
    double seconds, budget_s;  /* that it took; of one that is timed, what it was given (0: its own choice) */
    char dir[64];              /* its folder below that of the results; "": none, or it left nothing there */
};

/* A test in this hearing: its run and the observations that count. */
struct nb_heard {
    size_t run;
    const struct nb_observation **v;
    enum nb_outcome *outcome;
    size_t n;
    char broken[600];                 /* where nothing is left: what the claim's file has wrong */
    const struct nb_term *broken_term; /* and which term; NULL: none */
};

struct nb_case_of {
    const struct nb_claim *claim;
    struct nb_heard *tests; /* [claim->test_count] */
    struct nb_judgement judgement;
};

struct nb_hearing {
    struct nb_case_of *cases;
    size_t case_count;
    struct nb_run_of *runs;
    size_t run_count;
    enum nb_effort effort;
    uint64_t seed;
    double budget_s;  /* 0: none was given */
    const char *dir;  /* of the results; NULL: no files are wanted */
    bool (*stop)(void);
    bool interrupted;
    char error[1024]; /* why it was broken off; "": it was not */
    /* Called when the verdict of a case is there, in the order of the cases; NULL: nobody looks. */
    void (*decided)(void *context, const struct nb_case_of *c);
    void (*progress)(void *context, double seconds_done, const char *what); /* of nb_hearing_seconds */
    void *context;
};

/* Plans cases and runs for the claims. The claims have to outlive it. */
void nb_hearing_plan(struct nb_hearing *h, const struct nb_claim *const *claims, size_t n);

/* Divides budget_s; an error names the least that would do. */
NB_USE_RESULT enum nb_status nb_hearing_budget(struct nb_hearing *h, struct nb_err *err);

/* About how long a run or all of them take. */
double nb_run_seconds(const struct nb_hearing *h, const struct nb_run_of *r);
double nb_hearing_seconds(const struct nb_hearing *h);

/* Runs and judges. An experiment that fails makes its claims NOT TESTABLE and the others go on. NB_INTERRUPTED and an error,
 * which is in h->error, too: cases that were not finished are NB_UNTRIED, the others have their verdicts. */
NB_USE_RESULT enum nb_status nb_hearing_run(struct nb_hearing *h, struct nb_err *err);

void nb_hearing_free(struct nb_hearing *h);

#endif
