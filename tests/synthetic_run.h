/* synthetic_run.h: raw files of a run whose true times are known, for tests of what reads
 * them. */
#ifndef NB_SYNTHETIC_RUN_H
#define NB_SYNTHETIC_RUN_H

#include <stddef.h>

/* Lists of words are separated by spaces. */
struct synthetic_run {
    const char *residencies, *dtypes;
    const size_t *hiddens, *threads; /* end with 0 */
    size_t processes, screening, rounds;
    double
        noise; /* standard deviation of the logarithm of a sample; 0: times are exact */
    const char *cpu, *command, *reason;
    /* NULL: the usual one, and as many rows as synthetic_rows says */
    const size_t *offsets, *rows; /* end with SIZE_MAX, with 0 */
    size_t slow_offset; /* where the norms take that many times as long; slowness 0: nowhere */
    double slowness;
    const char *vendor, *family, *model_number; /* of the CPU; NULL: not known */
    const char *bars; /* JSON (harness/bars.h); NULL: none */
    double barrier_ns;
    int also_in_place; /* each cell twice */
    const char *bands; /* "hold", "off": one kernel has counts, below; NULL: it has none */
    int lacks_cycles;  /* but of cycles, which a process lost */
};

struct synthetic_kernel {
    const char *op, *algo, *isa, *trick;
    double rank, cost; /* cost: time over that of `scale` where compute is the limit */
};
extern const struct synthetic_kernel synthetic_kernels[];
extern const size_t synthetic_kernel_count;

double synthetic_flops(const struct synthetic_kernel *k);
void synthetic_name(char name[96], const struct synthetic_kernel *k, const char *dtype);

/* True time of a pass in ns, without the drift that all members of a round share. */
double synthetic_pass_ns(const struct synthetic_kernel *k, const char *dtype,
                         const char *residency, size_t hidden, size_t rows,
                         size_t threads);

/* Writes host.json, plan.json, checks.jsonl and samples.jsonl into an existing folder;
 * aborts when it cannot. */
void synthetic_write(const char *dir, const struct synthetic_run *run);
size_t synthetic_rows(size_t hidden);
/* What bands brings, per pass. */
#define SYNTHETIC_CYCLES(elements) ((elements) / 4)
#define SYNTHETIC_INSTRUCTIONS(elements) ((elements) / 2)
#define SYNTHETIC_LOADS(elements) ((elements) / 16)
#define SYNTHETIC_LLC_MISSES(elements) ((elements) / 64)
#define SYNTHETIC_LINE 64
void synthetic_append(const char *dir, const char *name, const char *text);
void synthetic_replace(const char *dir, const char *name, const char *text);

#endif
