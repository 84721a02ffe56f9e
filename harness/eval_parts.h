/* eval_parts.h: what the parts of `normbench eval` share: what was given, what kernels
 * made of it. Private to it. */
#ifndef NB_EVAL_PARTS_H
#define NB_EVAL_PARTS_H

#include "check.h"
#include "foreign.h"
#include "npy.h"
#include "registry.h"
#include "select.h"

struct nb_eval {
    const char *x_path, *gamma_path, *beta_path, *ref_path, *y_path, *mean_path,
        *rstd_path;
    const char *run_mean_path, *run_var_path;
    const char *globs, *op, *dtype, *eps_text, *eps_mode_text, *order_text, *timeout_text,
        *alpha_text;
    const char *selection[NB_KEY_COUNT];
    struct nb_foreign foreign;
    struct nb_npy x, gamma, beta, ref, run_mean, run_var;
    struct nb_problem problem; /* what is an op's is filled in by nb_eval_problem() */
    double alpha;              /* NAN: that of the op */
    size_t k[NB_K_COUNT];
    double *gamma_wide, *beta_wide, *run_mean_wide, *run_var_wide; /* NULL: not given */
    double timeout_s;
};

struct nb_outcome {
    const struct nb_kernel *kernel;
    enum nb_verdict verdict;
    char reason[160];
    char *y, *mean, *rstd, *why_not; /* shared with the child that writes them */
    size_t inside, unstable, overflow, nonfinite;
    double E_max, bound, share, ulp_max, normwise, mean_error, rstd_error;
    size_t worst_row, worst_i;
    double worst_got, worst_want;
    double ref_max; /* largest |y - ref| over the largest |ref| */
};

/* The user's tensor: its own error, and its scale. */
struct nb_expected {
    const double *row; /* of the norm that is looked at */
    double E_max, ulp_max, normwise, top;
    size_t nonfinite, worst_row, worst_i;
};

/* eval_read.c: tensors and numbers, from the texts of the options. */
extern const uint32_t nb_eval_dtype[NB_NPY_KIND_COUNT]; /* what elements of a file are */
NB_USE_RESULT enum nb_status nb_eval_read(struct nb_eval *e, struct nb_err *err);
void nb_eval_free(struct nb_eval *e);
/* That of a kernel of any op. */
struct nb_problem nb_eval_problem(const struct nb_eval *e, const struct nb_kernel *k);

/* eval_judge.c: every kernel that ran against the exact result; kernels of one op stand
 * together, and what was expected is held against the first op. */
void nb_eval_judge(const struct nb_eval *e, struct nb_outcome *list, size_t count,
                   struct nb_expected *expected);
bool nb_eval_ran(const struct nb_outcome *o);
bool nb_eval_of_columns(const struct nb_problem *p);

#endif
