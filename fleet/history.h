/* history.h: kernels over commits, from the index of runs. Of each kernel in each cell,
 * ratios that were formed within a run, in the order of time. */
#ifndef NB_HISTORY_H
#define NB_HISTORY_H

#include "changes.h"
#include "db.h"
#include "summary.h"

#include <stdint.h>

/* What is asked for; NULL: all. GLOBs, and lists of words with commas. */
struct nb_history_query {
    const char *kernel, *reference, *cell, *dtype, *residency, *hidden, *threads, *cpu;
    bool forced; /* also runs whose refusal was overridden */
    double level;
};

/* A machine with a compiler and its flags: only its runs make a series. */
struct nb_history_site {
    int64_t machine;
    char *cpu, *compiler, *flags;
    size_t runs;
};

struct nb_history_run {
    int64_t id;
    char *name, *begun, *git;
    size_t site, nth; /* of the runs of its site, in the order of time */
};

enum nb_history_measure { NB_OF_ROOF, NB_OF_REFERENCE };

struct nb_history_point {
    size_t run;
    struct nb_measured v;
    double confidence;   /* of its interval; NAN where there is none */
    const char *missing; /* why v is NAN; NULL: it is not */
    double level;        /* median of the segment it lies in; NAN where it is missing */
};

struct nb_history_series {
    enum nb_history_measure measure;
    const char *kernel, *cell, *reference; /* NULL of NB_OF_ROOF */
    size_t site, n, measured;
    struct nb_history_point *points;           /* in the order of time */
    struct nb_change changes[NB_CHANGES_MOST]; /* .at counts points; levels are ratios */
    size_t nchanges;
};

struct nb_history {
    struct nb_history_query query;
    struct nb_history_site *sites;
    struct nb_history_run *runs; /* in the order of time, then of their names */
    struct nb_history_series *series;
    size_t nsites, nruns, nseries;
    size_t forced, undated; /* runs that were left out */
    struct nb_names {       /* of kernels and cells that were asked for */
        struct nb_name {
            int64_t id;
            char *text;
        } * v;
        size_t n;
    } kernels, references, cells;
};

/* Everything that fits the query, with its changes. On error there is nothing to free. */
NB_USE_RESULT enum nb_status nb_history_make(struct nb_history *h, struct nb_db *db,
                                             const struct nb_history_query *query,
                                             struct nb_err *err);
void nb_history_free(struct nb_history *h);

/* ---- history_load.c: from the index ---- */

/* A result as it is in the index. */
struct nb_history_row {
    size_t kernel, cell, site, run; /* places in what history has of them */
    size_t processes;
    struct nb_measured of_roof, of_scale;
    char verdict[24];
};

struct nb_history_rows {
    struct nb_history_row *v;
    size_t n, room;
};

NB_USE_RESULT enum nb_status nb_history_load(struct nb_history *h, struct nb_db *db,
                                             struct nb_err *err);
/* Results of the kernels, in the order of kernel, cell, site, run. */
NB_USE_RESULT enum nb_status nb_history_rows(const struct nb_history *h, struct nb_db *db,
                                             const struct nb_names *kernels,
                                             struct nb_history_rows *rows,
                                             struct nb_err *err);

/* ---- history_write.c, history_picture.c ---- */

/* A commit as it is shown; where it is not known, the run. */
const char *nb_history_commit(const struct nb_history_run *r);
/* The changes of all series, and how many would be found by chance. */
size_t nb_history_changes(const struct nb_history *h, size_t *tested);

void nb_history_table(FILE *f, const struct nb_history *h);
/* history.md, history.csv and plots/history.*; note says why there is no picture. */
NB_USE_RESULT enum nb_status nb_history_write(const struct nb_history *h, const char *dir,
                                              char note[256], struct nb_err *err);
NB_USE_RESULT enum nb_status nb_history_picture(const struct nb_history *h,
                                                const char *dir, char note[256],
                                                struct nb_err *err);

#endif
