#include "eval.h"

#include "buffers.h"
#include "child.h"
#include "codec.h"
#include "descriptor.h"
#include "eval_parts.h"
#include "execute.h"
#include "options.h"
#include "registry.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- options ---- */

enum option_key {
    KEY_X = NB_OPTION_OTHERS, KEY_RUN_MEAN, KEY_RUN_VAR, KEY_ALPHA, KEY_GAMMA, KEY_BETA, KEY_REF, KEY_Y, KEY_MEAN, KEY_RSTD, KEY_KERNEL, KEY_OP, KEY_DTYPE,
    KEY_EPS, KEY_EPS_MODE, KEY_ORDER, KEY_GEMMA, KEY_TIMEOUT
};
static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "Tensors (.npy, C order; f2, f4, f8, or u2 with --dtype bf16). The last axis, of length hidden, is normalized; norms "
     "of columns normalize over all others:", 1},
    {"x", KEY_X, "FILE", 0, "input; needed", 1},
    {"gamma", KEY_GAMMA, "FILE", 0, "[hidden], of x's type or f4 (default: ones); where an op's gamma has fewer elements, the first of them", 1},
    {"beta", KEY_BETA, "FILE", 0, "[hidden], of gamma's type (default: zeros)", 1},
    {"run-mean", KEY_RUN_MEAN, "FILE", 0, "[hidden], f4 (f8 for f8): the running mean that a norm of columns in inference is given", 1},
    {"run-var", KEY_RUN_VAR, "FILE", 0, "the same, its variance. In training both are made, and written nowhere", 1},
    {"ref", KEY_REF, "FILE", 0, "what you expected: compared with the exact result and with each kernel", 1},
    {"dtype", KEY_DTYPE, "bf16", 0, "says that u2 is bf16", 1},
    {0, 0, 0, 0, "What runs:", 2},
    {"kernel", KEY_KERNEL, "GLOBS", 0, "names from `normbench list`; default: the textbook algorithm in the best ISA", 2},
    {"op", KEY_OP, "NAME", 0, "of `normbench list`, where --kernel does not say it (default layernorm)", 2},
    {"alpha", KEY_ALPHA, "A", 0, "of an op that bends A*x, as tanh(A*x): default that with which training begins", 2},
#define NB_SELECT_OPS(KEY, name, arg, help) {name, NB_OPTION_SELECTION + NB_KEY_##KEY, arg, 0, help, 2},
#include "selection.def"
    {"eps", KEY_EPS, "X", 0, "default 1e-5", 2},
    {"eps-mode", KEY_EPS_MODE, "inside|outside", 0, "1/sqrt(v+eps) (default) or 1/(sqrt(v)+eps)", 2},
    {"order", KEY_ORDER, "cast_after|cast_before", 0, "16-bit outputs: rounded once (default), or xhat before gamma, too", 2},
    {"gemma", KEY_GEMMA, 0, 0, "gamma stands for 1 + gamma", 2},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of one kernel (default 60s)", 2},
    {0, 0, 0, 0, "What is written (of the one kernel that --kernel names):", 3},
    {"y", KEY_Y, "FILE", 0, "output, shape and type of x", 3},
    {"mean", KEY_MEAN, "FILE", 0, "one a row, group, head or column, f4 (f8 for f8); of norms that subtract it", 3},
    {"rstd", KEY_RSTD, "FILE", 0, "the same, of all norms", 3},
    NB_OPTIONS_FOREIGN,
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct nb_eval *e = state->input;
    const struct nb_option_text texts[] = {{KEY_X, &e->x_path},         {KEY_GAMMA, &e->gamma_path},
                 {KEY_BETA, &e->beta_path},   {KEY_REF, &e->ref_path},
                 {KEY_Y, &e->y_path},         {KEY_MEAN, &e->mean_path},
                 {KEY_RSTD, &e->rstd_path},   {KEY_KERNEL, &e->globs},
                 {KEY_OP, &e->op},            {KEY_DTYPE, &e->dtype},
                 {KEY_EPS, &e->eps_text},     {KEY_EPS_MODE, &e->eps_mode_text},
                 {KEY_ORDER, &e->order_text}, {KEY_TIMEOUT, &e->timeout_text},
                 {KEY_RUN_MEAN, &e->run_mean_path}, {KEY_RUN_VAR, &e->run_var_path}, {KEY_ALPHA, &e->alpha_text}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, e->selection) ||
        nb_foreign_option(&e->foreign, key, arg))
        return 0;
    if (key == KEY_GEMMA)
        e->problem.gemma = 1;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* ---- kernels ---- */

/* Those that are not ours are taken by every block; here --kernel may leave them out. */
static bool named(const struct nb_block *b, const struct nb_kernel *k)
{
    bool is = b->kernel.n == 0;
    for (size_t i = 0; i < b->kernel.n; i++)
        is = is || fnmatch(b->kernel.v[i], k->name, 0) == 0;
    return is;
}

static bool wanted(const struct nb_eval *e, const struct nb_block *b, const struct nb_kernel *k)
{
    return named(b, k) && k->dtype == e->problem.dtype && k->dir == NB_FWD && k->fuse == NB_FUSE_NONE &&
           nb_block_takes(b, k) && nb_block_takes_isa(b, k);
}

static enum nb_status choose_block(const struct nb_eval *e, struct nb_block *b, struct nb_err *err)
{
    struct nb_err inner;
    const char *op = e->op ? e->op : e->globs ? "layernorm,rmsnorm" : "layernorm";
    enum nb_status s = nb_block_init(b, "eval", err);
    if (s == NB_OK && nb_block_set(b, NB_KEY_OP, op, &inner) != NB_OK)
        s = nb_fail(err, "--%s", inner.text);
    if (s == NB_OK && e->globs != NULL)
        s = nb_block_set(b, NB_KEY_ISA, "all", err);
    if (s == NB_OK && e->globs != NULL && nb_block_set(b, NB_KEY_KERNEL, e->globs, &inner) != NB_OK)
        s = nb_fail(err, "--%s", inner.text);
    if (s == NB_OK && e->globs == NULL)
        s = nb_block_set(b, NB_KEY_KERNELS, "headline", err);
    return s;
}

/* One op after the other: their kernels are judged by one exact result. */
static void sort_by_op(struct nb_outcome *list, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && list[k - 1].kernel->op > list[k].kernel->op; k--) {
            const struct nb_outcome o = list[k];
            list[k] = list[k - 1];
            list[k - 1] = o;
        }
}

static const char *why_not_given(const struct nb_eval *e, const struct nb_kernel *k)
{
    return nb_op_facts(k->op)->given && e->run_mean_wide == NULL ? "needs --run-mean FILE and --run-var FILE" : NULL;
}

static enum nb_status choose_kernels(const struct nb_eval *e, struct nb_outcome **list, size_t *count,
                                     struct nb_err *err)
{
    struct nb_block b;
    enum nb_status s = choose_block(e, &b, err);
    *list = calloc(nb_kernel_count(), sizeof **list);
    NB_ASSERT(*list != NULL);
    for (size_t i = 0; s == NB_OK && i < nb_kernel_count(); i++)
        if (wanted(e, &b, nb_kernel_at(i)) && !nb_is_ceiling(nb_kernel_at(i)))
            (*list)[(*count)++] = (struct nb_outcome){.kernel = nb_kernel_at(i)};
    nb_block_free(&b);
    sort_by_op(*list, *count);
    if (s == NB_OK && *count > 0 && e->op != NULL && why_not_given(e, (*list)[0].kernel) != NULL)
        return nb_fail(err, "%s %s", nb_op_name((*list)[0].kernel->op), why_not_given(e, (*list)[0].kernel));
    if (s == NB_OK && *count == 0)
        return nb_fail(err, "no %s kernel that goes forward and fuses nothing matches; `normbench list` shows them all",
                       nb_dtype_name(e->problem.dtype));
    if (s == NB_OK && *count > 1 && (e->y_path || e->mean_path || e->rstd_path))
        return nb_fail(err, "--y, --mean and --rstd take the output of one kernel; %zu match (the first: %s)",
                       *count, (*list)[0].kernel->name);
    return s;
}

enum { NOT_SUPPORTED = 77 }; /* exit code of the child */

/* [hidden], a copy that the call may change; where nobody gives one, of that value. */
static void *running(const struct nb_eval *e, const double *wide, double otherwise)
{
    const uint32_t stat = e->problem.dtype == NB_F64 ? NB_F64 : NB_F32;
    char *p = malloc(e->problem.hidden * nb_dtype_bytes(stat));
    NB_ASSERT(p != NULL);
    for (size_t i = 0; i < e->problem.hidden; i++)
        nb_encode(stat, wide != NULL ? wide + i : &otherwise, p + i * nb_dtype_bytes(stat), 1);
    return p;
}

static void run_child(const struct nb_eval *e, const struct nb_outcome *o)
{
    const struct nb_problem p = nb_eval_problem(e, o->kernel);
    const bool columns = nb_op_facts(p.op)->columns;
    const struct nb_args a = {.x = e->x.data, .gamma = nb_uses_gamma(o->kernel) ? e->gamma.data : NULL, .beta = e->beta.data,
                              .y = o->y, .mean = p.stats_out ? o->mean : NULL, .rstd = p.stats_out ? o->rstd : NULL,
                              .run_mean = columns ? running(e, e->run_mean_wide, 0) : NULL,
                              .run_var = columns ? running(e, e->run_var_wide, 1) : NULL};
    alarm((unsigned)ceil(e->timeout_s));
    const char *why = o->kernel->supports != NULL ? o->kernel->supports(&p) : NULL;
    if (why == NULL)
        why = why_not_given(e, o->kernel);
    if (why == NULL && !nb_run_once(o->kernel, &p, &a))
        why = "its prepare returned NULL";
    for (size_t i = 0; why != NULL && why[i] != '\0' && i + 1 < sizeof(o->reason); i++)
        o->why_not[i] = why[i] >= ' ' && why[i] <= '~' ? why[i] : '?';
    _exit(why != NULL ? NOT_SUPPORTED : 0);
}

/* The kernel runs in a child: it may crash or hang. */
static enum nb_status run_kernel(const struct nb_eval *e, struct nb_outcome *o, struct nb_err *err)
{
    const char *why = nb_kernel_why_not(o->kernel), *fault = nb_descriptor_fault(o->kernel);
    if (why != NULL || fault != NULL) {
        o->verdict = fault != NULL ? NB_FAIL_ABI : NB_SKIP_ISA;
        snprintf(o->reason, sizeof(o->reason), "%s", fault != NULL ? fault : why);
        return NB_OK;
    }
    o->y = nb_shared_map(e->x.count * e->x.item);
    const struct nb_problem p = nb_eval_problem(e, o->kernel);
    o->mean = nb_shared_map(nb_op_stats(&p) * sizeof(double));
    o->rstd = nb_shared_map(nb_op_stats(&p) * sizeof(double));
    o->why_not = nb_shared_map(sizeof(o->reason));
    const pid_t child = fork();
    if (child < 0)
        return nb_fail(err, "fork: %s", strerror(errno));
    if (child == 0)
        run_child(e, o);
    const int how = nb_child_wait(child);
    o->verdict = NB_UNTESTED;
    if (WIFSIGNALED(how)) {
        o->verdict = WTERMSIG(how) == SIGALRM ? NB_TIMED_OUT : NB_CRASHED;
        snprintf(o->reason, sizeof(o->reason), "signal %d", WTERMSIG(how));
    } else if (WEXITSTATUS(how) == NOT_SUPPORTED) {
        o->verdict = NB_SKIP_OPTION;
        snprintf(o->reason, sizeof(o->reason), "%.*s", (int)sizeof(o->reason) - 1, o->why_not);
    } else if (WEXITSTATUS(how) != 0) {
        o->verdict = NB_CRASHED;
        snprintf(o->reason, sizeof(o->reason), "exited with %d", WEXITSTATUS(how));
    }
    return NB_OK;
}

/* ---- what is said and written ---- */

static void print_values(const struct nb_eval *e, const struct nb_outcome *o)
{
    enum { FEW = 16 };
    if (e->x.count > FEW)
        return;
    printf("    y =");
    for (size_t i = 0; i < e->x.count; i++) {
        double v;
        nb_decode(e->problem.dtype, o->y + i * e->x.item, &v, 1);
        printf(" %.*g", e->problem.dtype == NB_F64 ? 12 : 9, v);
    }
    putchar('\n');
}

static void print_outcome(const struct nb_eval *e, const struct nb_outcome *o)
{
    printf("%s: %s", o->kernel->name,
           nb_eval_ran(o) && o->inside == 0 ? "no verdict: every row is outside the bound's precondition"
                                    : nb_verdict_name(o->verdict));
    printf(o->reason[0] ? " (%s)\n" : "%s\n", o->reason);
    if (!nb_eval_ran(o))
        return;
    if (o->inside > 0)
        printf("    error E %.4g (bound %.4g, used %.2g of it)", o->E_max, o->bound, o->share);
    else
        printf("    error E %.4g", o->E_max);
    printf("; %.4g ulp; max|y-exact|/max|exact| %.5g\n", o->ulp_max, o->normwise);
    printf("    worst at row %zu element %zu: got %.9g, exact %.9g\n", o->worst_row, o->worst_i,
           o->worst_got, o->worst_want);
    if (o->unstable + o->overflow + o->nonfinite > 0)
        printf("    %s: %zu inside the bound's precondition, %zu too ill-conditioned for this algorithm, "
               "%zu beyond its range; %zu elements wrongly NaN or Inf\n",
               nb_op_facts(o->kernel->op)->columns ? "columns" : "rows", o->inside, o->unstable,
               o->overflow, o->nonfinite);
    print_values(e, o);
}

static void print_expected(const struct nb_eval *e, const struct nb_outcome *list, size_t count,
                           const struct nb_expected *x)
{
    printf("%s against the exact result: E %.4g, %.4g ulp of its type, max|ref-exact|/max|exact| %.5g, worst "
           "at row %zu element %zu", e->ref_path, x->E_max, x->ulp_max, x->normwise, x->worst_row, x->worst_i);
    printf(x->nonfinite ? "; %zu elements wrongly NaN or Inf\n" : "\n", x->nonfinite);
    for (size_t k = 0; k < count; k++)
        if (nb_eval_ran(&list[k]))
            printf("    %s: max|y-ref| %.5g, over max|ref| %.5g\n", list[k].kernel->name, list[k].ref_max,
                   x->top > 0 ? list[k].ref_max / x->top : list[k].ref_max);
}

/* One a row; of groups and heads so many in place of the last axis; of columns that axis alone. */
static void shape_stats(const struct nb_eval *e, const struct nb_kernel *k, struct nb_npy *stat)
{
    const struct nb_problem p = nb_eval_problem(e, k);
    const size_t pieces = nb_op_pieces(&p);
    stat->kind = p.dtype == NB_F64 ? NB_NPY_F8 : NB_NPY_F4;
    if (nb_eval_of_columns(&p) || e->x.rank == 1) {
        stat->rank = 1;
        stat->shape[0] = nb_eval_of_columns(&p) ? p.hidden : pieces;
        return;
    }
    stat->rank = e->x.rank - (pieces == 1);
    stat->shape[e->x.rank - 1] = pieces;
}

static enum nb_status write_all(const struct nb_eval *e, const struct nb_outcome *o, struct nb_err *err)
{
    struct nb_npy y = e->x, stat = e->x;
    enum nb_status s = NB_OK;
    if (!(e->y_path || e->mean_path || e->rstd_path))
        return NB_OK;
    if (!nb_eval_ran(o))
        return nb_fail(err, "%s: %s, so there is no output to write", o->kernel->name,
                       nb_verdict_name(o->verdict));
    const struct nb_op_facts *f = nb_op_facts(o->kernel->op);
    if (e->mean_path != NULL && (!f->centred || f->given))
        return nb_fail(err, "--mean: %s makes none", f->name);
    if (e->rstd_path != NULL && (!f->norm || f->given))
        return nb_fail(err, "--rstd: %s makes none", f->name);
    y.data = o->y;
    if (e->y_path)
        s = nb_npy_write(&y, e->y_path, err);
    shape_stats(e, o->kernel, &stat);
    stat.data = o->mean;
    if (s == NB_OK && e->mean_path)
        s = nb_npy_write(&stat, e->mean_path, err);
    stat.data = o->rstd;
    return s == NB_OK && e->rstd_path ? nb_npy_write(&stat, e->rstd_path, err) : s;
}

static enum nb_status evaluate(struct nb_eval *e, int *code, struct nb_err *err)
{
    struct nb_outcome *list = NULL;
    struct nb_expected expected = {.row = NULL};
    size_t count = 0;
    enum nb_status s = choose_kernels(e, &list, &count, err);
    for (size_t i = 0; s == NB_OK && i < count; i++)
        s = run_kernel(e, &list[i], err);
    if (s == NB_OK) {
        nb_eval_judge(e, list, count, &expected);
        s = write_all(e, &list[0], err);
    }
    for (size_t i = 0; s == NB_OK && i < count; i++) {
        const enum nb_verdict v = list[i].verdict;
        print_outcome(e, &list[i]);
        if (v == NB_FAIL_VALUE || v == NB_FAIL_NONFINITE || v == NB_FAIL_ABI || v == NB_CRASHED || v == NB_TIMED_OUT)
            *code = 2;
    }
    if (s == NB_OK && e->ref.data != NULL)
        print_expected(e, list, count, &expected);
    free(list);
    return s;
}

enum nb_status nb_cmd_eval(int argc, char **argv, int *code, struct nb_err *err)
{
    static const char DOC[] =
        "Runs kernels on your own tensors and says how far each is from the exact result.\v"
        "Examples:\n"
        "  normbench eval --x x.npy --gamma g.npy --beta b.npy\n"
        "  normbench eval --x acts.npy --dtype bf16 --kernel 'rmsnorm*__bf16_*' --ref expected.npy\n"
        "  normbench eval --x x.npy --kernel layernorm_fwd_welford__f32_scalar --y y.npy\n"
        "Passes backward and norms of a sum are judged by `normbench check` alone.";
    struct nb_eval e = {.x_path = NULL};
    nb_option_parse(OPTIONS, parse_option, NULL, DOC, argc, argv, &e);
    enum nb_status s = nb_foreign_load(&e.foreign, err);
    if (s == NB_OK)
        s = nb_eval_read(&e, err);
    if (s == NB_OK)
        s = evaluate(&e, code, err);
    nb_eval_free(&e);
    return s;
}
