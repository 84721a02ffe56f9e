/* accuracy_data.h: the rows of one family at one dtype and hidden, with their parameters and exact results;
 * made once, read by every kernel. For norms of columns the same rows are columns of a call, of which hidden is the length. */
#ifndef NB_ACCURACY_DATA_H
#define NB_ACCURACY_DATA_H

#include "accuracy.h"

/* Exact results for one op, with or without beta. */
struct nb_lab_oracle {
    struct nb_dd *y; /* [rows][hidden]; NULL: not made */
    struct nb_ref_stats *stats; /* [rows][pieces] */
};
struct nb_lab_data {
    const struct nb_family *family;
    uint32_t dtype, param_dtype;
    bool columns;        /* rows stand as columns */
    size_t hidden, rows; /* elements of a row; rows, all different */
    size_t vectors;      /* of a call: rows; columns, of which a vector register and more, column j being row j mod rows */
    double *x;           /* [rows][hidden] */
    double *gamma, *beta; /* [hidden]; of columns [rows][hidden], each row of one number; NULL: none */
    double *run_mean, *run_var; /* of columns [rows]; else NULL */
    /* as the call has them: x [rows][hidden] or [hidden][vectors], the others one an element of a row of it */
    void *x_stored, *gamma_stored, *beta_stored, *run_mean_stored, *run_var_stored;
    struct nb_lab_oracle oracles[NB_OP_COUNT][2];
};

void nb_lab_data_make(struct nb_lab_data *d, const struct nb_accuracy_options *o,
                      const struct nb_family *f, uint32_t dtype, size_t hidden, bool columns);
void nb_lab_data_free(struct nb_lab_data *d);

/* Does this kernel have anything to do with this data? Ceilings take ordinary parameters alone. */
bool nb_lab_takes(const struct nb_kernel *k, const struct nb_lab_data *d);
struct nb_problem nb_lab_problem(const struct nb_lab_data *d, const struct nb_accuracy_options *o,
                                 const struct nb_kernel *k);
bool nb_lab_uses_beta(const struct nb_lab_data *d, const struct nb_kernel *k);

/* Where the gamma of a kernel begins: one that has a single element is not given the first, which is 0 where gammas are
 * hostile: what is 0 tells nothing. */
size_t nb_lab_gamma_at(const struct nb_lab_data *d, const struct nb_kernel *k);
struct nb_ref_row nb_lab_row(const struct nb_lab_data *d, const struct nb_problem *p,
                             const struct nb_kernel *k, size_t row, size_t piece);

/* Makes the oracle that this kernel needs, once. */
void nb_lab_prepare(struct nb_lab_data *d, const struct nb_accuracy_options *o,
                    const struct nb_kernel *k);

#endif
