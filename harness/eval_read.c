#include "eval_parts.h"

#include "codec.h"
#include "options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const uint32_t nb_eval_dtype[NB_NPY_KIND_COUNT] = {[NB_NPY_F2] = NB_F16,
                                                   [NB_NPY_F4] = NB_F32,
                                                   [NB_NPY_F8] = NB_F64,
                                                   [NB_NPY_U2] = NB_BF16};

static enum nb_status dtype_of(const struct nb_eval *e, const struct nb_npy *a,
                               const char *path, uint32_t *dtype, struct nb_err *err)
{
    const bool bf16 = e->dtype != NULL;
    if (a->kind == NB_NPY_U2 && !bf16)
        return nb_fail(err, "%s: holds u2; say --dtype bf16 if these are bfloat16", path);
    *dtype = nb_eval_dtype[a->kind];
    return NB_OK;
}

static enum nb_status read_x(struct nb_eval *e, struct nb_err *err)
{
    uint32_t dtype = 0;
    if (e->x_path == NULL)
        return nb_fail(err, "--x FILE is needed; `normbench eval --help` shows examples");
    if (e->dtype != NULL && strcmp(e->dtype, "bf16") != 0)
        return nb_fail(
            err, "--dtype: \"%s\"; only bf16 can be said, other types stand in the file",
            e->dtype);
    enum nb_status s = nb_npy_read(&e->x, e->x_path, err);
    if (s == NB_OK && e->dtype != NULL && e->x.kind != NB_NPY_U2)
        s = nb_fail(err, "%s: holds %s; --dtype bf16 goes with u2", e->x_path,
                    nb_npy_kind_name(e->x.kind));
    if (s == NB_OK)
        s = dtype_of(e, &e->x, e->x_path, &dtype, err);
    if (s != NB_OK)
        return s;
    struct nb_problem *p = &e->problem;
    p->size = sizeof *p;
    p->dtype = p->param_dtype = dtype;
    p->hidden = p->ldx = p->ldy = e->x.shape[e->x.rank - 1];
    p->rows = e->x.count / p->hidden;
    p->stats_out = 1;
    return NB_OK;
}

/* gamma or beta: [hidden], of x's type or f4. */
static enum nb_status read_param(struct nb_eval *e, struct nb_npy *a, const char *path,
                                 double **wide, struct nb_err *err)
{
    uint32_t dtype = 0;
    if (path == NULL)
        return NB_OK;
    enum nb_status s = nb_npy_read(a, path, err);
    if (s == NB_OK)
        s = dtype_of(e, a, path, &dtype, err);
    if (s != NB_OK)
        return s;
    if (a->count != e->problem.hidden)
        return nb_fail(err, "%s: holds %zu elements; expected %zu, the last axis of %s",
                       path, a->count, e->problem.hidden, e->x_path);
    if (dtype != e->problem.dtype && (dtype != NB_F32 || e->problem.dtype == NB_F64))
        return nb_fail(err, "%s: holds %s; expected %s, the type of x%s", path,
                       nb_dtype_name(dtype), nb_dtype_name(e->problem.dtype),
                       e->problem.dtype == NB_F64 ? "" : ", or f32");
    if (a == &e->beta && e->gamma.data != NULL && dtype != e->problem.param_dtype)
        return nb_fail(err, "%s: holds %s; expected %s, the type of gamma", path,
                       nb_dtype_name(dtype), nb_dtype_name(e->problem.param_dtype));
    e->problem.param_dtype = dtype;
    *wide = malloc(a->count * sizeof **wide);
    NB_ASSERT(*wide != NULL);
    nb_decode(dtype, a->data, *wide, a->count);
    return NB_OK;
}

static enum nb_status read_ref(struct nb_eval *e, struct nb_err *err)
{
    uint32_t dtype;
    if (e->ref_path == NULL)
        return NB_OK;
    enum nb_status s = nb_npy_read(&e->ref, e->ref_path, err);
    if (s == NB_OK)
        s = dtype_of(e, &e->ref, e->ref_path, &dtype, err);
    bool same = s == NB_OK && e->ref.rank == e->x.rank;
    for (size_t i = 0; same && i < e->x.rank; i++)
        same = e->ref.shape[i] == e->x.shape[i];
    if (s == NB_OK && !same)
        return nb_fail(err, "%s: not of the shape of %s, as an output is", e->ref_path,
                       e->x_path);
    return s;
}

/* run_mean or run_var. */
static enum nb_status read_running(const struct nb_eval *e, struct nb_npy *a,
                                   const char *path, double **wide, struct nb_err *err)
{
    const enum nb_npy_kind kind = e->problem.dtype == NB_F64 ? NB_NPY_F8 : NB_NPY_F4;
    if (path == NULL)
        return NB_OK;
    enum nb_status s = nb_npy_read(a, path, err);
    if (s != NB_OK)
        return s;
    if (a->count != e->problem.hidden)
        return nb_fail(err, "%s: holds %zu elements; expected %zu, the last axis of %s",
                       path, a->count, e->problem.hidden, e->x_path);
    if (a->kind != kind)
        return nb_fail(err, "%s: holds %s; expected %s, as statistics of %s are", path,
                       nb_npy_kind_name(a->kind), nb_npy_kind_name(kind), e->x_path);
    *wide = malloc(a->count * sizeof **wide);
    NB_ASSERT(*wide != NULL);
    nb_decode(nb_eval_dtype[kind], a->data, *wide, a->count);
    return NB_OK;
}

/* What no running statistics are. */
static enum nb_status check_running(const struct nb_eval *e, struct nb_err *err)
{
    if ((e->run_mean_path != NULL) != (e->run_var_path != NULL))
        return nb_fail(err, "--run-mean and --run-var go together; --run-%s is missing",
                       e->run_mean_path ? "var" : "mean");
    for (size_t i = 0; e->run_mean_wide != NULL && i < e->problem.hidden; i++) {
        if (!isfinite(e->run_mean_wide[i]))
            return nb_fail(err, "%s: element %zu is %g, no mean", e->run_mean_path, i,
                           e->run_mean_wide[i]);
        if (!(e->run_var_wide[i] >= 0 && isfinite(e->run_var_wide[i]) &&
              e->run_var_wide[i] + e->problem.eps > 0))
            return nb_fail(err, "%s: element %zu is %g; with eps %g that is no variance",
                           e->run_var_path, i, e->run_var_wide[i], e->problem.eps);
    }
    return NB_OK;
}

/* Numbers of some ops, the first of each list. */
static enum nb_status read_numbers(struct nb_eval *e, struct nb_err *err)
{
    struct nb_block b;
    struct nb_err inner;
    char *end = NULL;
    enum nb_status s = nb_block_init(&b, "eval", err);
    for (int key = 0; s == NB_OK && key < NB_KEY_COUNT; key++)
        if (e->selection[key] != NULL &&
            nb_block_set(&b, (enum nb_key)key, e->selection[key], &inner) != NB_OK)
            s = nb_fail(err, "--%s", inner.text);
    for (int kind = 1; s == NB_OK && kind < NB_K_COUNT; kind++)
        if (b.k[kind].n > 1)
            s = nb_fail(err, "--%s: one value; there is one tensor",
                        nb_k_facts[kind].name);
        else
            e->k[kind] = b.k[kind].v[0];
    e->problem.momentum = b.momentum;
    nb_block_free(&b);
    e->alpha = e->alpha_text != NULL ? strtod(e->alpha_text, &end) : NAN;
    if (s == NB_OK && e->alpha_text != NULL &&
        (end == e->alpha_text || *end != '\0' || !isfinite(e->alpha)))
        s = nb_fail(err, "--alpha: \"%s\" is no finite number, such as 0.5",
                    e->alpha_text);
    return s;
}

enum nb_status nb_eval_read(struct nb_eval *e, struct nb_err *err)
{
    struct nb_problem *p = &e->problem;
    p->eps = 1e-5;
    e->timeout_s = 60;
    enum nb_status s = e->eps_text ? nb_option_eps(e->eps_text, &p->eps, err) : NB_OK;
    if (s == NB_OK)
        s = read_numbers(e, err);
    if (s == NB_OK)
        s = nb_option_policies(e->eps_mode_text, e->order_text, &p->eps_mode, &p->order,
                               err);
    if (s == NB_OK && e->timeout_text)
        s = nb_parse_seconds("--timeout", e->timeout_text, &e->timeout_s, err);
    if (s == NB_OK)
        s = read_x(e, err);
    if (s == NB_OK)
        s = read_param(e, &e->gamma, e->gamma_path, &e->gamma_wide, err);
    if (s == NB_OK)
        s = read_param(e, &e->beta, e->beta_path, &e->beta_wide, err);
    if (s == NB_OK && p->gemma && e->gamma.data == NULL)
        s = nb_fail(err, "--gemma: stands for 1 + gamma; give --gamma");
    if (s == NB_OK)
        s = read_running(e, &e->run_mean, e->run_mean_path, &e->run_mean_wide, err);
    if (s == NB_OK)
        s = read_running(e, &e->run_var, e->run_var_path, &e->run_var_wide, err);
    if (s == NB_OK)
        s = check_running(e, err);
    return s == NB_OK ? read_ref(e, err) : s;
}

struct nb_problem nb_eval_problem(const struct nb_eval *e, const struct nb_kernel *k)
{
    const struct nb_op_facts *f = nb_op_facts(k->op);
    struct nb_problem p = e->problem;
    p.op = k->op;
    p.k = nb_k_of(k->op, p.hidden, e->k);
    p.alpha = isnan(e->alpha) ? f->alpha : e->alpha;
    p.stats_out = !f->given;
    return p;
}

void nb_eval_free(struct nb_eval *e)
{
    struct nb_npy *files[] = {&e->x,   &e->gamma,    &e->beta,
                              &e->ref, &e->run_mean, &e->run_var};
    double *wide[] = {e->gamma_wide, e->beta_wide, e->run_mean_wide, e->run_var_wide};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        nb_npy_free(files[i]);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        free(wide[i]);
}
