/* report_data.h: a run in memory, shared by the report's units. Filled by report_load.c
 * from the raw files and by report_numbers.c with what follows from them; the writers
 * only read it. A number that is not known is NAN, a string that is not known is NULL. */
#ifndef NB_REPORT_DATA_H
#define NB_REPORT_DATA_H

#include "err.h"

#include "conditions.h"
#include "registry.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum rep_verdict {
    REP_UNTESTED,
    REP_PASS,
    REP_FAIL_VALUE,
    REP_FAIL_NONFINITE,
    REP_FAIL_OOB_WRITE,
    REP_FAIL_UNWRITTEN,
    REP_FAIL_NONDETERMINISTIC,
    REP_FAIL_ABI,
    REP_CRASHED,
    REP_TIMED_OUT,
    REP_SKIP_ISA,
    REP_SKIP_SHAPE,
    REP_SKIP_OPTION,
    REP_MISTRUSTED,
    REP_VERDICTS
};

enum rep_role { REP_MEMBER, REP_CEILING, REP_ANCHOR, REP_AA, REP_COUNT };

/* What `counters` lines count, per pass; the order of enum and keys is one. */
enum rep_count {
    REP_REF_CYCLES,
    REP_CYCLES,
    REP_INSTRUCTIONS,
    REP_L1D_MISSES,
    REP_L2_MISSES,
    REP_LLC_MISSES,
    REP_DTLB_MISSES,
    REP_BRANCH_MISSES,
    REP_LOADS,
    REP_COUNTS
};
extern const char *const rep_count_key[REP_COUNTS];

/* By whom: counters with certificates in every process that entered, or others (stand-ins in tests, older runs). */
enum rep_counted_by { REP_NOT_COUNTED, REP_CERTIFIED, REP_UNCERTIFIED };

struct rep_kernel {
    const char *name, *op, *dir, *fuse, *dtype, *algo, *isa, *trick, *source;
    bool foreign; /* a peer's or a plugin's */
    double isa_rank, flops; /* flops: an element */
    bool streams; /* y is stored non-temporally: nothing of it is fetched first */
    bool weak;    /* its bound does not hold for k1 up to 1e5, or that is not known */
    bool contends; /* may win best-of-each: not weak, or weak ones are allowed (as in older runs); not auto */
    size_t order; /* position in plan.json: the order of the ladder */
};

/* Median over processes with its order-statistic interval. */
struct rep_estimate {
    double value, lo, hi, confidence;
    size_t processes;
};

/* A comparison: one kernel in one cell. */
struct rep_entry {
    const struct rep_kernel *kernel;
    enum rep_verdict verdict;
    const char *reason, *worst, *repro;
    double E_max, bound, ulp_max, normwise, unstable_rows, overflow_rows;
    double prepare_first_ns, prepare_ns;
    /* derived; group is SIZE_MAX where the kernel has no time */
    size_t group, member, rounds;
    size_t roof; /* entry of the fastest copy, scale or triad that writes as many tensors; SIZE_MAX: none */
    struct rep_estimate ns_per_row;
    struct rep_estimate roof_ratio, scale_ratio; /* speed over the hard roof's, and over scale's */
    double gbps,
        counts[REP_COUNTS]; /* counts: cycles, instructions, loads an element; misses a row */
    enum rep_counted_by counted;
};

struct rep_member {
    size_t entry; /* index in the cell's entries */
    enum rep_role role;
    double passes;
};

struct rep_group {
    struct rep_member *members;
    size_t nmembers;
    bool screen_only;
};

/* Times of one group in one process: ns[round * nmembers + member], NAN where one did not
 * run. */
struct rep_rounds {
    double *ns;
    size_t n, room;
};

struct rep_counted {
    size_t entry;
    double per_pass[REP_COUNTS];
    bool certified;
};

/* What one attempt at a (process, cell) brought. */
struct rep_attempt {
    double number;
    struct rep_rounds *groups;
    struct rep_counted *counted;
    size_t ncounted, counted_room;
    double barrier_ns;
};

struct rep_unit {
    size_t process;
    bool open, done, discarded;
    struct rep_attempt pending,
        final; /* final: of the last attempt that ended in `done` */
};

struct rep_pairing {
    const char *name, *base_op, *test_op, *isa, *base_name, *test_name;
    const struct rep_kernel *base, *test; /* NULL: not known */
    struct rep_estimate speedup;
    double mde; /* smallest |speedup - 1| that as many processes would have found; NAN: none */
    const char *verdict;
    /* best-of-each: the fastest kernel of the op whose interval of times lies wholly below
     * that of base (test); NULL: there is none */
    const struct rep_entry *beats_base, *beats_test;
    size_t group, base_member, test_member; /* where its rounds are; only if it has a speedup */
};

/* The A/A copy of a group, or its copy in another count, against the original. */
struct rep_noise {
    const struct rep_kernel *kernel;
    struct rep_estimate ratio;
    double p; /* two-sided sign test of ratio 1 over processes */
};

struct rep_cell {
    const char *id, *dir, *fuse, *dtype, *param_dtype, *residency, *repro;
    const char *type; /* dtype, or dtype+param_dtype where they differ */
    size_t stats_out, hidden, rows, threads, offset;
    bool in_place; /* y is x */
    double k[NB_K_COUNT]; /* of ops that have one, as a number: of a prefix its share; NAN: none of its kernels has */
    struct rep_entry *entries;
    size_t nentries, entries_room;
    struct rep_group *groups;
    size_t ngroups;
    struct rep_unit *units;
    size_t nunits, units_room;
    struct rep_pairing *pairings;
    size_t npairings;
    /* derived */
    size_t roof; /* entry of the fastest copy, scale or triad of the cell's fuse, the hard roof; SIZE_MAX: none */
    double barrier_ns; /* of one barrier of its threads: median over measuring processes */
    const struct rep_pairing *best,
        *same; /* best-of-each; two-pass LN, one-pass RMS. NULL: none */
    struct rep_noise *noise, *bias; /* of A/A copies; of copies in another count */
    size_t nnoise, nbias;
    bool doubtful; /* a kernel differs from its own copy by more than chance */
};

/* What A/A copies say of the run. */
struct rep_floor {
    size_t copies, cells, doubtful; /* cells that have a copy; those of them that are doubtful */
    double median, worst;           /* over cells, of the largest |ratio - 1| of a cell */
    size_t intervals, outside;      /* copies with an interval; those of them without 1 in it */
    double expected;                /* as many by chance alone */
    size_t processes;               /* of the copy that has most */
    size_t needed;                  /* as many processes Holm takes to tell any copy */
};

/* Units that workers gave up for one reason. */
struct rep_discard {
    const char *reason;
    size_t units;
};

struct rep_sizes { /* ascending; as many as there are */
    size_t *value;
    size_t n;
};

/* Of the units of samples.jsonl. */
struct rep_conditions {
    size_t known; /* finished ones whose conditions are told; older runs tell none */
    size_t again, by[NB_DISTURBANCES]; /* attempts thrown away, by cause */
    size_t kept;  /* finished ones that were disturbed */
    bool share_reached;
    size_t invented;
};

/* A step of training: a pass forward that saves statistics and one backward, of cells alike but for
 * the direction. Its ratio is (base forward + base backward) over (test forward + test backward). */
struct rep_step {
    const struct rep_cell *fwd, *bwd;                  /* NULL: there is none */
    const struct rep_pairing *fwd_pair, *bwd_pair;     /* NULL: there is none */
    const struct rep_pairing *of;                      /* either of these: what names the two ops */
    struct rep_estimate speedup;
    double mde;
    const char *verdict;
};

struct rep_bars;
struct rep_autos;
struct rep_run {
    json_t *host, *plan, *cell_index;
    struct rep_kernel *kernels;
    size_t nkernels, kernels_room;
    struct rep_cell *cells;
    size_t ncells;
    double screening;
    /* Checks of cells or kernels that plan.json does not list, such as cells dropped
     * later: id and entries alone. They have no line in the tables, but a failure among
     * them is a failure. */
    struct rep_cell *strays;
    size_t nstrays, strays_room;
    size_t foreign_lines; /* lines about these */
    struct rep_discard *discards;
    size_t ndiscards, discards_room;
    struct rep_floor floor; /* derived */
    struct rep_conditions conditions;
    const char *lost[REP_COUNTS]; /* why an event was absent in a process that counted; NULL: it was not */
    struct rep_bars *bars; /* derived */
    struct rep_autos *autos; /* derived */
    struct rep_step *steps; /* derived; none unless both directions were measured */
    size_t nsteps;
    struct rep_sizes hiddens, threads; /* derived: of the plain cells */
    struct rep_sizes rows, offsets; /* of all cells */
    void **owned;
    size_t nowned, owned_room;
};

/* report_load.c */
NB_USE_RESULT enum nb_status rep_load(const char *dir, struct rep_run *run,
                                      struct nb_err *err);
void rep_free(struct rep_run *run);
void *rep_alloc(struct rep_run *run,
                size_t bytes); /* zeroed, freed with the run, never NULL */
/* Makes room for one more element at the end of an array that grows by doubling. */
void *rep_grow(void *array, size_t n, size_t *room, size_t element);
const char *rep_verdict_name(enum rep_verdict v);
bool rep_is_bad(enum rep_verdict v); /* neither passed nor skipped */
bool rep_is_measuring(const struct rep_run *run, const struct rep_unit *unit);
const char *rep_string(const json_t *object, const char *key);
double rep_number(const json_t *object, const char *key);

/* report_numbers.c */
extern const double rep_alpha; /* level of tests; intervals have 1 - rep_alpha or more */
extern const double rep_power; /* of the detectable effect */
void rep_numbers(struct rep_run *run);
size_t rep_process_times(const struct rep_cell *cell, const struct rep_entry *e,
                         const struct rep_unit *unit, double *ns_per_pass);
/* Speedups of a pairing that has one, one a process that entered, ascending; room for cell->nunits. */
size_t rep_process_speedups(const struct rep_run *run, const struct rep_cell *cell, const struct rep_pairing *p, double *speedups);
size_t rep_max_rounds(const struct rep_cell *cell);
bool rep_is_timed(const struct rep_entry *e);
bool rep_is_op(const struct rep_kernel *k, const char *op);
bool rep_is_norm(const struct rep_kernel *k); /* and no ceiling or reference line */
bool rep_same(const char *a, const char *b); /* NULL equals nothing */
bool rep_has_times(enum rep_verdict v);

/* Places in the tables and plots: residencies and dtypes in their natural order. */
enum { REP_MAX_KEYS = 64 };
struct rep_keys {
    const char *text[REP_MAX_KEYS];
    size_t n;
};
/* Cells of the plain case: forward, unfused, no statistics written, out of place, y at the usual
 * offset; or, where a run has none of these, whatever its first cell is (the first forward, if there is one).
 * Only they enter the plots and the short table. */
enum { REP_OFFSET = 2112 };
bool rep_is_plain(const struct rep_run *run, const struct rep_cell *cell);
/* Whether a cell has its part in what is said of all cells: out of place, forward and unfused, or all where all are in
 * place, backward or fused. What one pass does to caches differs, and so do ratios. */
bool rep_counts(const struct rep_run *run, const struct rep_cell *cell);
bool rep_is_all_in_place(const struct rep_run *run);
bool rep_is_bwd(const struct rep_cell *cell);
bool rep_has_bwd(const struct rep_run *run);
bool rep_is_all_bwd(const struct rep_run *run);
bool rep_is_other_way(const struct rep_run *run, const struct rep_cell *cell); /* backward, where others are forward */
bool rep_is_other_sum(const struct rep_run *run, const struct rep_cell *cell); /* fused, where others forward are not */
/* Of the plain cells and of those that count: "" where they are forward and unfused and nothing else was measured, or
 * how ", forward" is told. */
const char *rep_direction(const struct rep_run *run);
/* What a pass over a cell must read and write, and what moves as much and computes next to nothing, in words. */
struct rep_traffic {
    const char *name;             /* none, residual, postnorm, bwd, bwd-residual */
    const char *read, *written;   /* tensors */
    const char *ceiling, *formula; /* an op, and what it computes */
    const char *roof, *carrier, *like; /* the fastest of its kind: in a legend, in a sentence, and in short */
};
const struct rep_traffic *rep_traffic(const struct rep_cell *cell);
const struct rep_traffic *rep_plain_traffic(const struct rep_run *run); /* of the plain cells */
void rep_residencies(const struct rep_run *run, struct rep_keys *keys);
void rep_types(const struct rep_run *run, struct rep_keys *keys);
/* The plain cell; of several numbers of rows, that with most. */
const struct rep_cell *rep_find(const struct rep_run *run, const char *residency,
                                const char *type, size_t hidden, size_t threads);
bool rep_has_speedup(const struct rep_pairing *p);
bool rep_is_beaten(const struct rep_pairing *p); /* a winner that was not the fastest */
const struct rep_entry *rep_entry_of(const struct rep_cell *cell,
                                     const struct rep_kernel *k); /* NULL: not there */
/* Speed an element of a over that of b, of two cells that each process measured. One ratio a process. */
struct rep_estimate rep_element_speed_over(const struct rep_run *run, const struct rep_cell *ca,
                                           const struct rep_entry *a, const struct rep_cell *cb,
                                           const struct rep_entry *b);
/* The ratio of the sums of two pairings, of a cell forward and one backward: medians of each process, ns a row. */
struct rep_estimate rep_sum_speedup(const struct rep_run *run, const struct rep_step *step, double *mde);
const char *rep_speedup_verdict(struct rep_estimate s);
size_t rep_timed_norms(const struct rep_cell *cell);
/* Speed of an entry over that of another of the cell, process by process: in the same rounds,
 * or each against the anchor of its own. */
struct rep_estimate rep_speed_over(const struct rep_run *run, const struct rep_cell *cell,
                                   const struct rep_entry *e,
                                   const struct rep_entry *other);
/* The same over the best of count others: in each process over the one that was fastest in all other processes. The
 * fastest in all is partly the luckiest, and its own luck counts against e; here no process chooses by its own. NAN of
 * fewer than two processes. */
struct rep_estimate rep_speed_over_best(const struct rep_run *run, const struct rep_cell *cell,
                                        const struct rep_entry *e, const struct rep_entry *const *others,
                                        size_t count);

/* Traffic of a row in bytes: x read and y written once; backward x and dy read, dx written, and dres where the kernel
 * has two gradients; fused x and the residual read, y and, where it is kept, h written. With write-allocate also what a store that is not non-temporal fetches first:
 * nothing in place, where x lies in those lines.
 * Parameters stay in the cache and are left out. */
double rep_row_bytes(const struct rep_cell *cell, const struct rep_kernel *k);
double rep_row_bytes_allocated(const struct rep_cell *cell, const struct rep_kernel *k);

/* report_bars.c: what the best kernels reach of scale and of the hard roof, against the
 * bars of the plan */
enum rep_bar_verdict { REP_BAR_MISSING, REP_BAR_REACHED, REP_BAR_BELOW };
enum rep_measure {
    REP_OF_SCALE, /* speed over that of scale in the same rounds */
    REP_NS,       /* ns a call: at most */
    REP_TAIL,     /* speed an element over that at the next multiple of 64 */
    REP_OF_ISA,   /* speed of the best kernel of an ISA over that of the best of another */
    REP_MEASURES
};
struct rep_bar {
    const char *op, *dtype, *residency;
    enum rep_measure measure;
    const char *isa, *over; /* of REP_OF_ISA */
    const char *glob;       /* of kernels; NULL: all */
    size_t hidden, rows;    /* rows 0: the cell with most */
    double bar;
    struct rep_estimate value;
    const struct rep_entry *best;    /* NULL: missing, for the reason */
    const struct rep_entry *against; /* REP_TAIL, REP_OF_ISA: what it is compared with */
    const char *missing;
    enum rep_bar_verdict verdict; /* by the median of value */
};
struct rep_bars {
    struct rep_bar *bar;
    size_t n, reached, below, missing;
    const char *class_name; /* NULL: the plan has no bars */
    bool same_class;        /* this host is one of it: what is below decides the exit code */
};
void rep_bars(struct rep_run *run, struct rep_bars *bars); /* freed with the run */
void rep_bars_csv(const struct rep_run *run, const struct rep_bars *bars, FILE *f);
void rep_bars_md(const struct rep_bars *bars, FILE *f);
void rep_bars_terminal(const struct rep_run *run, const struct rep_bars *bars, FILE *f);

/* report_auto.c: what auto reaches of the best variant beside it, whatever its ISA */
struct rep_auto {
    const struct rep_cell *cell;
    const struct rep_entry *entry, *best; /* best: of all processes together */
    struct rep_estimate share;            /* speed of auto over that of the best, rep_speed_over_best */
};
struct rep_autos {
    struct rep_auto *list;
    size_t n, within, below; /* within 3 %; below by the whole interval */
    double median;
    const struct rep_auto *least;
};
void rep_autos(struct rep_run *run, struct rep_autos *autos); /* freed with the run */
void rep_autos_md(const struct rep_autos *autos, FILE *f);
void rep_autos_terminal(const struct rep_autos *autos, FILE *f);

/* report_noise.c: what the run could not tell: its noise floor, what it did not resolve, what it
 * threw away */
void rep_noise_floor(struct rep_run *run); /* also says which cells are doubtful */
void rep_noise_md(const struct rep_run *run, FILE *f);
void rep_noise_terminal(const struct rep_run *run, FILE *f);
void rep_unresolved_md(const struct rep_run *run, FILE *f);
void rep_discards_md(const struct rep_run *run, FILE *f);
void rep_discards_terminal(const struct rep_run *run, FILE *f);
/* The best-of-each pairing of two ops in a cell; NULL: none. */
const struct rep_pairing *rep_best_pairing(const struct rep_cell *cell, const char *test, const char *base);

/* A pairing of each two ops that stand best against best in a cell of that length (0: in any). */
enum { REP_PAIRS_MAX = 32 };
size_t rep_pairs(const struct rep_run *run, size_t hidden, const struct rep_pairing *pairs[REP_PAIRS_MAX]);
bool rep_is_rms_over_layer(const struct rep_pairing *pairing);

/* Best against best of other two norms than RMSNorm and LayerNorm; nothing where a run has none. */
void rep_versus_terminal(const struct rep_run *run, FILE *f);
void rep_versus_section(const struct rep_run *run, FILE *f);

/* report_training.c: forward, backward and both */
void rep_training(struct rep_run *run);
bool rep_step_is_best(const struct rep_step *s); /* best against best; else by algorithm */
bool rep_step_is_beaten(const struct rep_step *s);
/* The k of an op in a cell: of prmsnorm the prefix, of most ops none. As text, behind `before`: "prefix 0.25", or "". */
enum { REP_K_TEXT = 48 };
bool rep_same_k(const struct rep_cell *a, const struct rep_cell *b, const char *op);
void rep_k_text(char text[REP_K_TEXT], const struct rep_cell *c, const char *op, const char *before);
const struct rep_cell *rep_step_cell(const struct rep_step *s); /* the one backward, or, where there is none, forward */
bool rep_step_is_doubtful(const struct rep_step *s);
void rep_training_section(const struct rep_run *run, FILE *f);
void rep_training_terminal(const struct rep_run *run, FILE *f);

void rep_mde_md(double mde, FILE *f);                 /* in percent, or null */
const char *rep_doubt_md(const struct rep_cell *cell); /* a word behind its numbers, or none */
/* report_conditions.c */
void rep_count_conditions(struct rep_conditions *n, const json_t *line, bool done);
void rep_forced_md(const struct rep_run *run, FILE *f);
void rep_forced_terminal(const struct rep_run *run, FILE *f);
void rep_conditions_md(const struct rep_run *run, FILE *f);
void rep_conditions_terminal(const struct rep_run *run, FILE *f);
/* report_counters.c: what is in these columns, and why the others are null */
void rep_counter_header(FILE *f); /* ",NAME,NAME..." */
void rep_counter_columns(const struct rep_run *run, const struct rep_cell *c, const struct rep_entry *e, FILE *f);
void rep_counters_md(const struct rep_run *run, FILE *f);
void rep_counters_terminal(const struct rep_run *run, FILE *f);

/* report_tables.c: the files for machines */
void rep_print_number(FILE *f, double v); /* %.6g, or null */
void rep_results_csv(const struct rep_run *run, FILE *f);
void rep_speedup_csv(const struct rep_run *run, FILE *f);
void rep_gbench_json(const struct rep_run *run, FILE *f);

/* report_summary.c: what a set of cells says of RMSNorm against LayerNorm: range and count of the cells whose ratio is one of the
 * fastest kernels; the others are missing or beaten. */
struct rep_summary {
    size_t cells, faster, slower, unresolved, few; /* few: too few processes for an interval */
    size_t missing, beaten;                        /* beside cells: no ratio; a winner that was not the fastest */
    double least, most, confidence;                /* confidence: the least of an interval; 0: there is none */
    size_t processes, most_processes;              /* smallest and largest number of them */
};
const struct rep_pairing *rep_headline(const struct rep_cell *c, bool best); /* best against best, or the same algorithm */
bool rep_same_line(const struct rep_cell *a, const struct rep_cell *b);      /* alike but for hidden and rows */
bool rep_is_headline_step(const struct rep_step *s);
/* Over all cells out of place (in place where a run has only these), or over those that differ from like in
 * hidden and rows alone; over those of one residency. */
struct rep_summary rep_summarize(const struct rep_run *run, bool best, const struct rep_cell *like);
struct rep_summary rep_summarize_residency(const struct rep_run *run, bool best, const char *residency);
/* Told apart: those in place, and backward or fused, where others are not; both directions in one ratio. */
struct rep_summary rep_summarize_in_place(const struct rep_run *run);
struct rep_summary rep_summarize_others(const struct rep_run *run,
                                        bool (*is_other)(const struct rep_run *, const struct rep_cell *));
struct rep_summary rep_summarize_steps(const struct rep_run *run);

/* report_text.c: the files for people */
void rep_count_verdicts(const struct rep_run *run, size_t counts[REP_VERDICTS]); /* of checks */
/* The cell of this dtype and residency in which the ladder is shown: that with most timed kernels; NULL: none. */
const struct rep_cell *rep_ladder_cell(const struct rep_run *run, const char *type, const char *residency);
/* Sections of report.md: nothing, or a heading and what stands below it. */
/* A sentence each of cells in place, fused, backward, and of steps of training, where they stand beside others; no heading. */
void rep_other_verdicts_md(const struct rep_run *run, FILE *f);
void rep_beaten_md(const struct rep_run *run, FILE *f); /* no heading: it stands below the speedups */
void rep_published_md(const struct rep_run *run, FILE *f);
void rep_checks_md(const struct rep_run *run, FILE *f);
void rep_prepare_md(const struct rep_run *run, FILE *f);
void rep_reproduce_md(const struct rep_run *run, FILE *f);
void rep_quote_md(struct rep_run *run, FILE *f);
const char *rep_cpu(const struct rep_run *run);
const char *rep_compiler(struct rep_run *run);
/* A ratio with its interval and what is to be said of it: in a table; in text of the terminal, the interval where there is
 * room. doubt: rep_doubt_md(), or a mark. */
enum { REP_RATIO_TEXT = 48 };
void rep_ratio_md(const struct rep_estimate *e, bool beaten, const char *doubt, FILE *f);
void rep_ratio_text(char text[REP_RATIO_TEXT], const struct rep_estimate *e, bool beaten, const char *doubt, bool interval);
void rep_report_md(struct rep_run *run, const struct rep_keys *pictures, FILE *f);
void rep_terminal(struct rep_run *run, const char *dir, const struct rep_keys *pictures,
                  FILE *f);

/* report_plots.c: fills pictures with the names of the plots this run has data for, and
 * note with what kept gnuplot from drawing ("" when it drew). */
NB_USE_RESULT enum nb_status rep_plots(struct rep_run *run, const char *dir,
                                       struct rep_keys *pictures, char note[256],
                                       struct nb_err *err);

#endif
