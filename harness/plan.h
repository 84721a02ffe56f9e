/* plan.h: which kernels are measured in which cells, in which groups, how often. */
#ifndef NB_PLAN_H
#define NB_PLAN_H

#include "select.h"
#include "topology.h"

#include <jansson.h>

enum nb_role {
    NB_ROLE_MEMBER,
    NB_ROLE_CEILING,
    NB_ROLE_ANCHOR,
    NB_ROLE_AA,   /* a second copy, in the same count: noise */
    NB_ROLE_COUNT /* the anchor in a quarter of its count: what the count does to a time a pass */
};

#define NB_GROUP_MAX 12 /* even: Williams squares of even order balance neighbours */

struct nb_member {
    const struct nb_kernel *kernel;
    enum nb_role role;
    unsigned passes; /* a sample is so many passes over all rows */
};
struct nb_group {
    struct nb_member members[NB_GROUP_MAX];
    size_t count;
    bool measure_only; /* holds screened winners: not run by screening processes */
};
struct nb_pairing {
    bool best; /* best-of-each; otherwise same-algorithm */
    uint32_t base_op, test_op;
    const struct nb_kernel *base, *test; /* NULL: not chosen (yet) */
};

/* (op pair, dir, fuse, dtype, hidden, rows, threads, residency, offset, in place). Lengths in elements, bytes = x + y +
 * gamma + beta of one window (backward: x + dy + dx + gamma + dgamma + dbeta and their sums; fused: residual and, where it is written, h as well, backward dres); DRAM and cold cells rotate over an arena of windows.
 * Backward fuse is that of the forward pass, whose kernels may be of another: the gradient of x + residual is one tensor for both, as if nothing
 * had been added, and kernels that fuse nothing write it. */
struct nb_cell {
    char id[144];
    uint32_t dir, fuse, dtype, param_dtype, stats_out;
    size_t hidden, rows, ldx, ldy, bytes;
    size_t offset; /* y (dx; before h) lies so many bytes behind x modulo 4096, for all kernels alike */
    size_t k[NB_K_COUNT]; /* as in struct nb_block; 0: none of its kernels has one */
    double momentum; /* of batchnorm; NB_MOMENTUM where none of its kernels is one */
    bool in_place; /* y is x, in the timed loop too: gamma, beta as in inputs.h, alpha -1 */
    unsigned threads, rounds, screen_rounds; /* of a measuring and of a screening process */
    enum nb_residency residency;
    const struct nb_kernel **kernels;
    size_t kernel_count;
    struct nb_group *groups;
    size_t group_count;
    struct nb_pairing *pairings;
    size_t pairing_count;
};
struct nb_dropped {
    char cell[128];
    char reason[256];
};
enum nb_plan_state { NB_PLANNED, NB_CALIBRATED, NB_SCREENED };

struct nb_plan {
    struct nb_settings settings;
    char id[17]; /* hash of settings and cells, hex */
    char preset[64];
    char *command;
    enum nb_plan_state state;
    struct nb_cell *cells;
    size_t count;
    struct nb_dropped *dropped;
    size_t dropped_count;
    json_t *bars; /* of the preset (bars.h); NULL: none */
};

/* All cells of a preset on this machine. An empty selection is an error. */
NB_USE_RESULT enum nb_status nb_plan_make(struct nb_plan *plan, const struct nb_preset *preset,
                                          const struct nb_topology *t, struct nb_err *err);
void nb_plan_free(struct nb_plan *plan);

/* Times of one pass in ns, per cell and kernel of the cell; 0: not to be timed. setup_ns: of a cell's
 * memory, per cell. */
struct nb_calibration {
    double **pass_ns;
    double *setup_ns;
};
/* Groups, passes and rounds from calibrated times; shortens rounds, then processes (unless the user
 * fixed them), then drops the dearest cells, until the budget is kept. */
NB_USE_RESULT enum nb_status nb_plan_calibrate(struct nb_plan *plan,
                                               const struct nb_calibration *c,
                                               struct nb_err *err);

/* What a unit really costs, from the screening processes: fixed, and a round. */
struct nb_unit_cost {
    double fixed_ns, round_ns;
};
/* The same again, with what screening has shown and what is left of the budget; cost, one a cell, loses
 * the entries of dropped cells. */
void nb_plan_refit(struct nb_plan *plan, struct nb_unit_cost *cost, double left_s);

/* A kernel with the passes of its samples and its time a pass; kernel NULL: none was timed. */
struct nb_winner {
    const struct nb_kernel *kernel;
    unsigned passes;
    double ns;
};
/* The kernel of an op with the least sample: what disturbs a sample only ever adds time, and with few
 * samples a median holds it. samples: kernel: [ns a pass of each screening sample]; only kernels that
 * stand in hashes, that is, passed; numerically weak ones (nb_kernel_is_weak) where they are allowed. */
struct nb_winner nb_plan_fastest(const struct nb_cell *cell, const json_t *samples,
                                 const json_t *hashes, uint32_t op, bool allow_weak);

/* The winners of best-of-each in one cell, by op; adds a group of their own where two of a pairing share none in
 * which their passes are equal (or their speeds 4x apart). */
void nb_plan_choose(struct nb_cell *cell, const struct nb_winner winners[NB_OP_COUNT]);

/* Order in which process p runs the cells: shuffled; cells that share a DRAM arena stay together. */
void nb_plan_order(const struct nb_plan *plan, unsigned process, size_t *order);

/* Bytes from x to the second input, which follows it in the same window, NB_OFFSET_SECOND behind it modulo 4096: dy
 * backward, the residual of a fused norm; and from y to the second output, h, backward from dx to dres. 0: there is none. */
enum { NB_OFFSET_SECOND = 1088 };
size_t nb_cell_second_in(const struct nb_cell *c);
size_t nb_cell_second_out(const struct nb_cell *c);
/* The same of a kernel of the cell: of two gradients some write one. */
size_t nb_kernel_second_out(const struct nb_cell *c, const struct nb_kernel *k);

unsigned nb_plan_threads(const struct nb_plan *plan); /* the most of any cell */
unsigned nb_plan_rounds(const struct nb_plan *plan, const struct nb_cell *cell, unsigned process);
struct nb_problem nb_cell_problem(const struct nb_cell *cell, const struct nb_kernel *k);
const struct nb_cell *nb_plan_find(const struct nb_plan *plan, const char *id);
enum { NB_REPRO = 1024 }; /* room for a line that reproduces */
void nb_cell_repro(const struct nb_cell *cell, const struct nb_settings *s, const char *verb,
                   const char *kernel, char *text, size_t len);

/* plan.json (docs/schema.md) and back. Kernels this program does not have are an error. */
json_t *nb_plan_to_json(const struct nb_plan *plan);
/* "digest": of all that stands in plan.json but itself: tells one that was edited by hand. */
json_int_t nb_plan_digest(const json_t *plan);
NB_USE_RESULT enum nb_status nb_plan_from_json(struct nb_plan *plan, const json_t *json,
                                               struct nb_err *err);
json_t *nb_cell_to_json(const struct nb_cell *cell, const struct nb_settings *s);
NB_USE_RESULT enum nb_status nb_cell_from_json(struct nb_cell *cell, const json_t *json,
                                               struct nb_err *err);
void nb_cell_free(struct nb_cell *cell);

#endif
