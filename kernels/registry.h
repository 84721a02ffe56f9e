/* registry.h: every kernel of the program in one list, and the names of the enums of nb_kernel.h.
 * Names are the keys of the CLI, the tests and the result files. */
#ifndef NB_REGISTRY_H
#define NB_REGISTRY_H

#include "nb_kernel.h"

/* One row of isas.def. rank orders ISAs of hand-written SIMD from weak to strong;
 * 0 marks compiler-generated code, which never counts as "the best ISA". */
struct nb_isa {
    const char *name;
    uint32_t cpu_bits;
    int rank;
    bool built; /* this program holds its unit */
};

size_t nb_isa_count(void);
const struct nb_isa *nb_isa_at(size_t i);
const struct nb_isa *nb_isa_find(const char *name); /* NULL: unknown */

/* Kernels of built units, in the order of isas.def, then kernels.def; stable from run to run. */
size_t nb_kernel_count(void);
const struct nb_kernel *nb_kernel_at(size_t i);
const struct nb_kernel *nb_kernel_find(const char *name); /* NULL: unknown */

/* The name of its function: its own, or that of the kernel that it shares one with (prmsnorm: rmsnorm's). */
const char *nb_kernel_function(const struct nb_kernel *k);

/* Whether it rounds a*b + c once. Compiler-generated code is that of scalar.h, which rounds the product, too. */
bool nb_kernel_fuses(const struct nb_kernel *k);

/* Whose a kernel is: an ISA unit's of this program, an adapter's to another library, a plugin's. */
enum nb_origin { NB_OURS, NB_PEER, NB_PLUGIN };
enum nb_origin nb_kernel_origin(const struct nb_kernel *k);

/* One more table, behind those of the ISA units: for kernels that are not ours. Call before anything
 * else looks at the registry; the table must live on. False: there are NB_EXTRA_TABLES already. */
enum { NB_EXTRA_TABLES = 16 };
bool nb_registry_add(const struct nb_kernel_table *table, enum nb_origin origin);

/* NULL: this CPU can run it; otherwise why not (static string). nb_cpu_init must have run. */
const char *nb_isa_why_not(const struct nb_isa *isa);
const char *nb_kernel_why_not(const struct nb_kernel *k);

/* Strongest runnable hand-written ISA that has kernels of this dtype; scalar if there is none. */
const struct nb_isa *nb_isa_best(enum nb_dtype dtype);

/* What an op's k in struct nb_problem is: one option each, a row of k.def. */
enum nb_op_k {
    NB_K_NONE,
#define NB_K(KEY, ...) NB_K_##KEY,
#include "k.def"
    NB_K_COUNT
};

/* What it counts. */
enum nb_k_role {
    NB_K_IS_NONE,
    NB_K_IS_FIRST,  /* elements: the statistic is that of the first k of a row, 1 to hidden. Options have it as a share of
                     * the row */
    NB_K_IS_PIECES, /* norms that a row is made of, one after the other, each with its own part of gamma and beta */
    NB_K_IS_LENGTH, /* elements of each norm that a row is made of, one after the other, with the same gamma */
    NB_K_IS_LAYERS  /* nothing of a row: layers of the stack that alpha is the constant of */
};

/* A row of k.def, which says what each is. */
struct nb_k_facts {
    const char *name;
    char mark;
    size_t value, most;
    const char *example;
    enum nb_k_role role;
    const char *unfit;
};
extern const struct nb_k_facts nb_k_facts[NB_K_COUNT];

/* What the harness has to know of an op: its one place. */
struct nb_op_facts {
    const char *name;
    const char *title; /* as papers write it; NULL: it has none */
    bool norm;    /* divides a row by its size: has rstd */
    bool pointwise; /* no norm and no statistic, but trained in the place of one: compared with norms, has gradients. What is
                     * neither is a ceiling or a reference line */
    bool centred; /* subtracts the mean of the row: has mean */
    bool sum;     /* rstd is that of the sum of squares, not of their mean */
    bool fused;   /* of alpha*x + residual, never of x alone; backward x and residual have each a gradient of its own */
    enum nb_op_k k;
    bool gamma;
    bool scalar;  /* gamma has one element */
    bool beta;    /* has one in models; others may be given one */
    bool columns; /* its statistics are those of columns, over all rows */
    bool given;   /* of its forward pass: run_mean and run_var are its statistics, not results */
    bool no_in_place; /* a pass over its own output is no work, leaves less of it each time, or does not fit the statistics that
                       * are given: not timed in place */
    double alpha; /* in a cell; 0: what its ceilings have */
};
const struct nb_op_facts *nb_op_facts(uint32_t op); /* of an unknown op: no name that anything has, and no facts */

enum nb_k_role nb_op_role(uint32_t op); /* of its k */

/* A norm, or what stands in its place: no ceiling and no reference line. */
bool nb_op_is_layer(uint32_t op);

/* Norms that a row is made of: groups, heads; 1 for most ops, and where k does not divide a row, which no kernel
 * supports. mean and rstd are [rows][pieces]. */
size_t nb_op_pieces(const struct nb_problem *p);

/* Means that a call saves, and rstds: one a norm. */
size_t nb_op_stats(const struct nb_problem *p);

/* Elements of gamma, beta and their gradients: hidden; of a head where heads share them; 1 where gamma is a scalar, whose
 * op is given no dbeta. */
size_t nb_op_params(const struct nb_problem *p);

const char *nb_op_name(uint32_t op);
const char *nb_dir_name(uint32_t dir);
const char *nb_fuse_name(uint32_t fuse);
const char *nb_dtype_name(uint32_t dtype);
int nb_op_parse(const char *word);    /* -1: unknown */
int nb_dir_parse(const char *word);   /* -1: unknown */
int nb_fuse_parse(const char *word);
int nb_dtype_parse(const char *word); /* -1: unknown */
size_t nb_dtype_bytes(uint32_t dtype);
size_t nb_stat_bytes(uint32_t dtype); /* of one element of mean or rstd */

#endif
