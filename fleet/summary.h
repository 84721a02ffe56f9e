/* summary.h: what a run folder says without its samples: who measured, and what came out, from host.json, plan.json, results.csv
 * and speedup.csv (docs/schema.md). Everything that looks at many runs looks at summaries.
 *
 * What is in a summary is data: texts may hold anything but a zero byte, and are to be escaped where they are shown. Numbers are
 * finite, times and ratios above 0 and below NB_SUMMARY_LARGEST; NAN is what a file calls null. */
#ifndef NB_SUMMARY_H
#define NB_SUMMARY_H

#include "csv.h"
#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NB_SUMMARY_LARGEST 1e15 /* ns: eleven days a row */

/* A ratio or time with its interval; lo and hi are NAN where the run had too few processes. All NAN: not measured. */
struct nb_measured {
    double value, lo, hi;
};

/* A line of results.csv: a kernel in a cell. A text is NULL where the file says null or, in older runs, has no such column. */
struct nb_result {
    size_t line; /* of the file */
    const char *kernel, *op, *dir, *fuse, *algo, *isa, *trick, *dtype, *param_dtype, *cell, *residency, *verdict, *k, *roof, *counters,
        *counters_missing, *repro;
    size_t rows, hidden, threads, processes;
    bool stats_out, in_place;
    struct nb_measured ns_per_row;
    struct nb_measured of_roof;  /* speed over that of the hard roof, in the same rounds */
    struct nb_measured of_scale; /* speed over that of the anchor, in the same rounds */
    double core_cycles;          /* per element; NAN unless its counters are certified */
    double gbps;                 /* bytes that must move over time: of x read and y written once */
};

/* A line of speedup.csv. rows is 0 where it says null (a step of training in two cells). */
struct nb_speedup {
    size_t line;
    const char *base_op, *test_op, *dir, *fuse, *dtype, *param_dtype, *isa, *residency, *pairing, *base_kernel, *test_kernel, *base_k,
        *test_k, *verdict, *repro;
    size_t threads, rows, hidden, processes;
    bool in_place, doubtful;
    struct nb_measured speedup;
    double confidence;
};

struct nb_summary {
    char *dir;
    json_t *host, *plan; /* the whole files, but for cells and kernels of the plan */
    const char *id, *preset, *command;                              /* of plan.json */
    const char *cpu, *host_name, *compiler, *version, *git, *begun; /* of host.json; begun: UTC, as in ISO 8601 */
    bool ended, forced;  /* host.json has an end; a refusal was overridden */
    struct nb_csv results_csv, speedup_csv; /* the texts of what follows lie there */
    struct nb_result *results;
    struct nb_speedup *speedups;
    size_t nresults, nspeedups;
};

/* Reads a run folder. A file that is missing, of a newer schema, cut off or says what cannot be, and two lines about one
 * comparison, are errors that name file and line, and how to mend it where that is known. On error s is empty; else it is to be freed. */
NB_USE_RESULT enum nb_status nb_summary_load(struct nb_summary *s, const char *dir, struct nb_err *err);
void nb_summary_free(struct nb_summary *s);

/* A text of host.json by its path, as "cpu.vendor"; NULL where there is none. */
const char *nb_summary_host(const struct nb_summary *s, const char *path);

#endif
