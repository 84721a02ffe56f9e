/* accuracy_report_data.h: accuracy.csv in memory, shared by the units of its report.
 * Filled by accuracy_report_load.c; the writers only read it. A number that is not known
 * is NAN. */
#ifndef NB_ACCURACY_REPORT_DATA_H
#define NB_ACCURACY_REPORT_DATA_H

#include "csv.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum acc_verdict {
    ACC_PASS,
    ACC_UNTESTED, /* every row lies outside the bound's precondition */
    ACC_FAIL_VALUE,
    ACC_FAIL_NONFINITE,
    ACC_FAIL_OTHER, /* any other FAIL_... */
    ACC_CRASHED,
    ACC_TIMED_OUT,
    ACC_WIDE, /* MISTRUSTED: any output would be inside the bound */
    ACC_SKIP, /* SKIP_... */
};

enum acc_class {
    ACC_RANDOM,
    ACC_ATTACK,
    ACC_RANGE,
    ACC_PARAMS,
    ACC_SPECIAL,
    ACC_SWEEP,
    ACC_CLASSES
};
extern const char *const acc_class_name[ACC_CLASSES];

enum { ACC_NONE = -1, ACC_HIST = 28, ACC_DTYPES = 4 };

struct acc_kernel {
    const char *name, *op, *algo, *isa, *trick;
    size_t dtype;     /* index in acc_dtype */
    size_t algorithm; /* index in the report's algorithms */
    int strength;     /* of the ISA: 0 scalar, then compiler-generated, then SIMD */
    bool runs;        /* some line is not a skip */
};

struct acc_family {
    const char *name;
    enum acc_class class;
    double mean; /* of a sweep: a of a + N(0,1) */
    unsigned hard; /* bit per dtype: some kernel has rows outside its bound */
};

/* An op's algorithm, over ISAs and dtypes. */
struct acc_algorithm {
    const char *op, *algo;
};

/* One line of the file. */
struct acc_case {
    size_t kernel, family, hidden;
    enum acc_verdict verdict;
    const char *verdict_name, *ulp_hist, *repro; /* ulp_hist: NULL where unknown */
    double inside, unstable, overflow, nonfinite;
    double k2, E_max, E_any, bound, share, share_likely, ulp_max, normwise;
};

struct acc {
    struct nb_csv csv; /* all strings point into it */
    struct acc_kernel *kernels;
    struct acc_family *families;
    struct acc_algorithm *algorithms;
    struct acc_case *cases;
    size_t nkernels, nfamilies, nalgorithms, ncases;
    size_t kernels_room, families_room, algorithms_room, cases_room;
};

/* Time of a kernel in the cell chosen for its dtype. */
struct acc_times {
    double *ns; /* [nkernels], ns an element; NAN: no time */
    size_t hidden[ACC_DTYPES];
    char reason[512]; /* why there are none; "" where there are some */
};

extern const char *const acc_dtype[ACC_DTYPES];

/* accuracy_report_load.c */
NB_USE_RESULT enum nb_status acc_load(struct acc *a, const char *path,
                                      struct nb_err *err);
void acc_free(struct acc *a);
/* run_dir may be NULL. */
void acc_times_load(struct acc_times *t, const struct acc *a, const char *run_dir);
void acc_times_free(struct acc_times *t);

bool acc_is_norm(const char *op);
/* Random data on which the bound of every kernel of the dtype holds: there they can be compared. */
bool acc_is_common(const struct acc *a, const struct acc_case *c);
bool acc_is_fail(enum acc_verdict v); /* crashes and time-outs too */
/* The kernel that stands for an algorithm: of the strongest ISA, or (scalar) of the plain
 * C loops; SIZE_MAX: none that runs. */
size_t acc_best(const struct acc *a, size_t algorithm, size_t dtype, bool scalar);
bool acc_has_dtype(const struct acc *a, size_t dtype);
/* Adds the histogram of errors in last places. */
void acc_add_hist(const struct acc_case *c, double counts[ACC_HIST]);
/* The hidden nearest to a wanted one, by ratio, among cases of a dtype (and a class); 0:
 * none.
 */
size_t acc_hidden(const struct acc *a, size_t dtype, int class, size_t wanted);
/* Conditioning rms(x)/std of a case of a sweep; NAN: unknown. */
double acc_conditioning(const struct acc *a, const struct acc_case *c);
/* There is an error to show: the kernel ran, and the right result was finite. */
bool acc_was_judged(const struct acc_case *c);
/* NaN or Inf, or an error where all of the right result is 0. */
bool acc_is_nonfinite(const struct acc_case *c);
/* That, or the largest error passes 10 % of the largest output. */
bool acc_is_broken(const struct acc_case *c);

/* What is told beside the tables; "" where there is nothing to tell. */
enum acc_note { ACC_NOTE_CUT, ACC_NOTE_TIMES, ACC_NOTE_GNUPLOT, ACC_NOTES };
struct acc_notes {
    char text[ACC_NOTES][640];
    const char *pictures[4 * ACC_DTYPES]; /* NAME of plots/NAME.svg */
    size_t npictures;
};

/* accuracy_report_tables.c */
void acc_terminal(const struct acc *a, const struct acc_notes *notes, const char *dir,
                  FILE *f);
void acc_markdown(const struct acc *a, const struct acc_notes *notes, FILE *f);
const char *acc_short(char text[16], double v); /* 3e3 for 3162 */

/* accuracy_report_plots.c */
NB_USE_RESULT enum nb_status acc_plots(const struct acc *a, const struct acc_times *t,
                                       const char *dir, struct acc_notes *notes,
                                       struct nb_err *err);

#endif
