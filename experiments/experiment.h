/* experiment.h: what an experiment is. It is given parameters as words, and makes observations: a quantity, under a condition,
 * with an interval. It measures and never judges: whether a claim holds is for court/verdict.h.
 *
 * Units    lengths in elements, time in ns, shares and speedups as plain numbers (0.1 is ten per cent)
 * Errors   enum nb_status for what keeps an experiment from running at all; what it cannot observe here is an observation that is
 *          missing, with the reason
 * Seeds    the same seed gives the same observations, bit for bit, where nothing is timed */
#ifndef NB_EXPERIMENT_H
#define NB_EXPERIMENT_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb_observation {
    char quantity[48];  /* "speedup", "output_mean": one word, as claims ask for it */
    char unit[16];      /* "" for a plain number; "ns" */
    char where[200];    /* under which conditions: "dtype=f32 hidden=1024 residency=L2"; key=value, one space between two, no
                         * key twice; the same keys in the same order in all observations of a quantity */
    double value;       /* NAN: missing, or nan */
    double low, high;   /* its interval: low <= value <= high, all the same where the value is exact */
    double noise;       /* what the same experiment shows where nothing differs, as a half width in the value's unit; NAN: not
                         * timed, or not known */
    size_t n;           /* of what the interval is over; 0: exact, nothing is random or timed */
    char of[16];        /* "processes", "seeds", "rows"; "" where n is 0 */
    char missing[200];  /* why there is no value; "" where there is one */
    bool once;          /* missing: in this run; another may have it */
    bool nan;           /* it was computed, and not a number came out: no region has that in it. missing says so, too */
};

/* Observations in the order in which they were made. Zeroed: none. */
struct nb_observations {
    struct nb_observation *v;
    size_t n, room;
};

/* A parameter: the word that a claim's file writes it with, and what it may be. */
struct nb_parameter {
    const char *name, *value; /* value: where nobody says otherwise */
    const char *says;         /* one line for people, with its unit */
    enum nb_parameter_kind {
        NB_NUMBERS, /* a comma-separated list of numbers from least to most; whole: without a fraction */
        NB_CHOICES, /* a comma-separated list of the words in choices */
        NB_TEXT     /* read by the experiment itself */
    } kind;
    double least, most;
    bool whole, single;   /* single: one value, no list */
    const char *choices;  /* words with one space between two */
    enum nb_status (*check)(const char *text, struct nb_err *err); /* of a text, naming the parameter; NULL: anything will do */
};

enum nb_effort { NB_QUICK, NB_USUAL, NB_FULL };

/* One execution of an experiment. */
struct nb_trial {
    const struct nb_experiment *experiment;
    const char *const *values; /* a text for each of its parameters, checked by nb_trial_check */
    enum nb_effort effort;     /* how long it may take, and how many values and lengths "auto" are */
    uint64_t seed;
    double budget_s;           /* of one that is timed: about so long; 0: its own choice by effort */
    const char *dir;           /* an existing folder for files of its own; NULL: none are wanted */
    bool (*stop)(void);        /* true: somebody pressed Ctrl-C; it returns NB_INTERRUPTED soon. NULL: nobody can */
    void (*progress)(void *context, double share, const char *what); /* NULL: nobody looks */
    void *context;
};

struct nb_experiment {
    const char *name; /* the word of claims' files */
    const char *says; /* one line: what it does and observes */
    const char *quantities; /* what it observes: words with one space between two */
    const char *arguments;  /* parameters that stand in brackets behind a quantity of a claim on the command line, in order:
                             * "versus pairing" for speedup(rmsnorm:layernorm, best-of-each); "" for none */
    const struct nb_parameter *parameters;
    size_t parameter_count;
    bool timed; /* observations differ from run to run */
    double seconds[3]; /* about how long it takes by effort, on two cores of 3 GHz */
    enum nb_status (*run)(const struct nb_trial *t, struct nb_observations *o, struct nb_err *err);
};

/* All experiments of this folder, in the order of experiments.c; NULL: unknown. */
size_t nb_experiment_count(void);
const struct nb_experiment *nb_experiment_at(size_t i);
const struct nb_experiment *nb_experiment_find(const char *name);

/* Says in err what is wrong with a text for a parameter and what would be right. */
NB_USE_RESULT enum nb_status nb_parameter_check(const struct nb_parameter *p, const char *text, struct nb_err *err);

/* ---- for experiments ---- */

enum { NB_NUMBERS_MAX = 64 };

/* The numbers of a parameter: how many, at most NB_NUMBERS_MAX. Aborts where the experiment has no such parameter. */
size_t nb_trial_numbers(const struct nb_trial *t, const char *name, double *v);
double nb_trial_number(const struct nb_trial *t, const char *name); /* the first */
const char *nb_trial_text(const struct nb_trial *t, const char *name);
bool nb_trial_has(const struct nb_trial *t, const char *name, const char *word); /* among the words of a list */
bool nb_trial_stopped(const struct nb_trial *t);
void nb_trial_progress(const struct nb_trial *t, double share, const char *what);

/* Adds an exact value: nothing random, nothing timed. `where` is a format. Of this and of nb_observe_median: a NAN is what came out,
 * not what is missing. */
void nb_observe(struct nb_observations *o, const char *quantity, const char *unit, double value, const char *where, ...)
    __attribute__((format(printf, 5, 6)));

/* Adds the median of values, one a seed (process, row), with the order-statistic interval of that median: of 95 %, or the widest
 * that n values give; of two or fewer values the interval is their range. Reorders values. */
void nb_observe_median(struct nb_observations *o, const char *quantity, const char *unit, double *values, size_t n,
                       const char *of, const char *where, ...) __attribute__((format(printf, 7, 8)));

/* Adds a value with an interval that something else made: low <= value <= high. noise may be NAN. */
void nb_observe_interval(struct nb_observations *o, const char *quantity, const char *unit, double value, double low, double high,
                         double noise, size_t n, const char *of, const char *where, ...) __attribute__((format(printf, 10, 11)));

/* Adds that it cannot be observed here, and why: in whichever run, or once: in this one, another of the same trial may observe it (a
 * process that died, a disturbed cell). */
void nb_observe_missing(struct nb_observations *o, const char *quantity, const char *unit, const char *why, bool once,
                        const char *where, ...) __attribute__((format(printf, 6, 7)));
void nb_observations_free(struct nb_observations *o);

/* The median of values, as nb_observe_median takes it, and its interval; NAN all three where one of the values is. Reorders values. */
struct nb_summary {
    double median, low, high;
};
struct nb_summary nb_summary(double *values, size_t n);

uint64_t nb_now(void); /* ns of a clock that is never set back */

#endif
