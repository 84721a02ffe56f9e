#include "eval.h"

#include "appraise.h"
#include "buffers.h"
#include "check.h"
#include "child.h"
#include "codec.h"
#include "execute.h"
#include "foreign.h"
#include "npy.h"
#include "options.h"
#include "registry.h"
#include "select.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- options ---- */

enum option_key {
    KEY_X = 1000, KEY_GAMMA, KEY_BETA, KEY_REF, KEY_Y, KEY_MEAN, KEY_RSTD, KEY_KERNEL, KEY_OP, KEY_DTYPE,
    KEY_EPS, KEY_EPS_MODE, KEY_ORDER, KEY_GEMMA, KEY_TIMEOUT
};
static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "Tensors (.npy, C order; f2, f4, f8, or u2 with --dtype bf16; the last axis is normalized):", 1},
    {"x", KEY_X, "FILE", 0, "input; needed", 1},
    {"gamma", KEY_GAMMA, "FILE", 0, "[hidden], of x's type or f4 (default: ones); scalenorm takes the first element, l2norm none", 1},
    {"beta", KEY_BETA, "FILE", 0, "[hidden], of gamma's type (default: zeros)", 1},
    {"ref", KEY_REF, "FILE", 0, "what you expected: compared with the exact result and with each kernel", 1},
    {"dtype", KEY_DTYPE, "bf16", 0, "says that u2 is bf16", 1},
    {0, 0, 0, 0, "What runs:", 2},
    {"kernel", KEY_KERNEL, "GLOBS", 0, "names from `normbench list`; default '*twopass*' or '*onepass*' of the best ISA", 2},
    {"op", KEY_OP, "NAME", 0, "layernorm (default), rmsnorm, l2norm or scalenorm, where --kernel does not say it", 2},
    {"eps", KEY_EPS, "X", 0, "default 1e-5", 2},
    {"eps-mode", KEY_EPS_MODE, "inside|outside", 0, "1/sqrt(v+eps) (default) or 1/(sqrt(v)+eps)", 2},
    {"order", KEY_ORDER, "cast_after|cast_before", 0, "16-bit outputs: rounded once (default), or xhat before gamma, too", 2},
    {"gemma", KEY_GEMMA, 0, 0, "gamma stands for 1 + gamma", 2},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of one kernel (default 60s)", 2},
    {0, 0, 0, 0, "What is written (of the one kernel that --kernel names):", 3},
    {"y", KEY_Y, "FILE", 0, "output, shape and type of x", 3},
    {"mean", KEY_MEAN, "FILE", 0, "one a row, f4 (f8 for f8); layernorm", 3},
    {"rstd", KEY_RSTD, "FILE", 0, "one a row, f4 (f8 for f8)", 3},
    NB_OPTIONS_FOREIGN,
    {0}};

struct eval {
    const char *x_path, *gamma_path, *beta_path, *ref_path, *y_path, *mean_path, *rstd_path;
    const char *globs, *op, *dtype, *eps_text, *eps_mode_text, *order_text, *timeout_text;
    struct nb_foreign foreign;
    struct nb_npy x, gamma, beta, ref;
    struct nb_problem problem; /* op is filled in a kernel */
    double *gamma_wide, *beta_wide; /* NULL: not given */
    double timeout_s;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct eval *e = state->input;
    const struct nb_option_text texts[] = {{KEY_X, &e->x_path},         {KEY_GAMMA, &e->gamma_path},
                 {KEY_BETA, &e->beta_path},   {KEY_REF, &e->ref_path},
                 {KEY_Y, &e->y_path},         {KEY_MEAN, &e->mean_path},
                 {KEY_RSTD, &e->rstd_path},   {KEY_KERNEL, &e->globs},
                 {KEY_OP, &e->op},            {KEY_DTYPE, &e->dtype},
                 {KEY_EPS, &e->eps_text},     {KEY_EPS_MODE, &e->eps_mode_text},
                 {KEY_ORDER, &e->order_text}, {KEY_TIMEOUT, &e->timeout_text}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL) ||
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

/* ---- tensors ---- */

static const uint32_t DTYPE_OF[NB_NPY_KIND_COUNT] = {
    [NB_NPY_F2] = NB_F16, [NB_NPY_F4] = NB_F32, [NB_NPY_F8] = NB_F64, [NB_NPY_U2] = NB_BF16};

static enum nb_status dtype_of(const struct eval *e, const struct nb_npy *a, const char *path,
                               uint32_t *dtype, struct nb_err *err)
{
    const bool bf16 = e->dtype != NULL;
    if (a->kind == NB_NPY_U2 && !bf16)
        return nb_fail(err, "%s: holds u2; say --dtype bf16 if these are bfloat16", path);
    *dtype = DTYPE_OF[a->kind];
    return NB_OK;
}

static enum nb_status read_x(struct eval *e, struct nb_err *err)
{
    uint32_t dtype = 0;
    if (e->x_path == NULL)
        return nb_fail(err, "--x FILE is needed; `normbench eval --help` shows examples");
    if (e->dtype != NULL && strcmp(e->dtype, "bf16") != 0)
        return nb_fail(err, "--dtype: \"%s\"; only bf16 can be said, other types stand in the file", e->dtype);
    enum nb_status s = nb_npy_read(&e->x, e->x_path, err);
    if (s == NB_OK && e->dtype != NULL && e->x.kind != NB_NPY_U2)
        s = nb_fail(err, "%s: holds %s; --dtype bf16 goes with u2", e->x_path, nb_npy_kind_name(e->x.kind));
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
static enum nb_status read_param(struct eval *e, struct nb_npy *a, const char *path, double **wide,
                                 struct nb_err *err)
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
        return nb_fail(err, "%s: holds %zu elements; expected %zu, the last axis of %s", path, a->count,
                       e->problem.hidden, e->x_path);
    if (dtype != e->problem.dtype && (dtype != NB_F32 || e->problem.dtype == NB_F64))
        return nb_fail(err, "%s: holds %s; expected %s, the type of x%s", path, nb_dtype_name(dtype),
                       nb_dtype_name(e->problem.dtype), e->problem.dtype == NB_F64 ? "" : ", or f32");
    if (a == &e->beta && e->gamma.data != NULL && dtype != e->problem.param_dtype)
        return nb_fail(err, "%s: holds %s; expected %s, the type of gamma", path, nb_dtype_name(dtype),
                       nb_dtype_name(e->problem.param_dtype));
    e->problem.param_dtype = dtype;
    *wide = malloc(a->count * sizeof **wide);
    NB_ASSERT(*wide != NULL);
    nb_decode(dtype, a->data, *wide, a->count);
    return NB_OK;
}

static enum nb_status read_ref(struct eval *e, struct nb_err *err)
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
        return nb_fail(err, "%s: not of the shape of %s, as an output is", e->ref_path, e->x_path);
    return s;
}

static enum nb_status read_all(struct eval *e, struct nb_err *err)
{
    struct nb_problem *p = &e->problem;
    p->eps = 1e-5;
    e->timeout_s = 60;
    enum nb_status s = e->eps_text ? nb_option_eps(e->eps_text, &p->eps, err) : NB_OK;
    if (s == NB_OK)
        s = nb_option_policies(e->eps_mode_text, e->order_text, &p->eps_mode, &p->order, err);
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
    return s == NB_OK ? read_ref(e, err) : s;
}

/* ---- kernels ---- */

struct outcome {
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

/* Those that are not ours are taken by every block; here --kernel may leave them out. */
static bool named(const struct nb_block *b, const struct nb_kernel *k)
{
    bool is = b->kernel.n == 0;
    for (size_t i = 0; i < b->kernel.n; i++)
        is = is || fnmatch(b->kernel.v[i], k->name, 0) == 0;
    return is;
}

static bool wanted(const struct eval *e, const struct nb_block *b, const struct nb_kernel *k)
{
    return named(b, k) && k->dtype == e->problem.dtype && k->dir == NB_FWD && k->fuse == NB_FUSE_NONE && !nb_op_facts(k->op)->columns &&
           nb_block_takes(b, k) && nb_block_takes_isa(b, k);
}

static enum nb_status choose_block(const struct eval *e, struct nb_block *b, struct nb_err *err)
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
        s = nb_block_set(b, NB_KEY_ALGO, "twopass,onepass", err);
    return s;
}

static enum nb_status choose_kernels(const struct eval *e, struct outcome **list, size_t *count,
                                     struct nb_err *err)
{
    struct nb_block b;
    enum nb_status s = choose_block(e, &b, err);
    *list = calloc(nb_kernel_count(), sizeof **list);
    NB_ASSERT(*list != NULL);
    for (size_t i = 0; s == NB_OK && i < nb_kernel_count(); i++)
        if (wanted(e, &b, nb_kernel_at(i)) && !nb_is_ceiling(nb_kernel_at(i)))
            (*list)[(*count)++] = (struct outcome){.kernel = nb_kernel_at(i)};
    nb_block_free(&b);
    if (s == NB_OK && *count == 0)
        return nb_fail(err, "no %s kernel that goes forward and fuses nothing matches; `normbench list` shows them all",
                       nb_dtype_name(e->problem.dtype));
    if (s == NB_OK && *count > 1 && (e->y_path || e->mean_path || e->rstd_path))
        return nb_fail(err, "--y, --mean and --rstd take the output of one kernel; %zu match (the first: %s)",
                       *count, (*list)[0].kernel->name);
    return s;
}

enum { NOT_SUPPORTED = 77 }; /* exit code of the child */

static void run_child(const struct eval *e, const struct outcome *o)
{
    struct nb_problem p = e->problem;
    const struct nb_args a = {.x = e->x.data, .gamma = nb_uses_gamma(o->kernel) ? e->gamma.data : NULL, .beta = e->beta.data,
                              .y = o->y, .mean = o->mean, .rstd = o->rstd};
    p.op = o->kernel->op;
    alarm((unsigned)ceil(e->timeout_s));
    const char *why = o->kernel->supports != NULL ? o->kernel->supports(&p) : NULL;
    if (why == NULL && !nb_run_once(o->kernel, &p, &a))
        why = "its prepare returned NULL";
    for (size_t i = 0; why != NULL && why[i] != '\0' && i + 1 < sizeof(o->reason); i++)
        o->why_not[i] = why[i] >= ' ' && why[i] <= '~' ? why[i] : '?';
    _exit(why != NULL ? NOT_SUPPORTED : 0);
}

/* The kernel runs in a child: it may crash or hang. */
static enum nb_status run_kernel(const struct eval *e, struct outcome *o, struct nb_err *err)
{
    const char *why = nb_kernel_why_not(o->kernel);
    if (why != NULL) {
        o->verdict = NB_SKIP_ISA;
        snprintf(o->reason, sizeof(o->reason), "%s", why);
        return NB_OK;
    }
    o->y = nb_shared_map(e->x.count * e->x.item);
    o->mean = nb_shared_map(e->problem.rows * sizeof(double));
    o->rstd = nb_shared_map(e->problem.rows * sizeof(double));
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

/* ---- judging ---- */

static void take_row(struct outcome *o, const struct nb_appraisal *a, const struct nb_dd *want,
                     const double *got, size_t row)
{
    const struct nb_ref_error *e = &a->error;
    const char *fault = nb_appraisal_fault(a, false);
    o->unstable += a->hazard == NB_REF_UNSTABLE;
    o->overflow += a->hazard == NB_REF_OVERFLOW;
    o->nonfinite += e->nonfinite;
    o->normwise = fmax(o->normwise, e->normwise);
    o->ulp_max = fmax(o->ulp_max, e->ulp_max);
    if (e->E_max >= o->E_max && e->compared > 0) {
        o->E_max = e->E_max;
        o->worst_row = row;
        o->worst_i = e->worst;
        o->worst_got = got[e->worst];
        o->worst_want = want[e->worst].hi;
    }
    if (a->hazard != NB_REF_INSIDE)
        return;
    o->inside++;
    o->bound = o->inside == 1 ? a->limits.worst.E : fmin(o->bound, a->limits.worst.E);
    o->share = fmax(o->share, e->share);
    if (fault != NULL && (o->verdict == NB_UNTESTED || o->verdict == NB_PASS)) {
        o->verdict = e->nonfinite > 0 ? NB_FAIL_NONFINITE : NB_FAIL_VALUE;
        snprintf(o->reason, sizeof(o->reason), "%s beyond its bound in row %zu", fault, row);
    } else if (o->verdict == NB_UNTESTED) {
        o->verdict = NB_PASS;
    }
}

/* |a - b| over the scale, as a maximum; a NaN on one side alone is Inf. */
static double distance(double seen, double a, double b)
{
    if (isnan(a) != isnan(b))
        return INFINITY;
    return isnan(a) || a == b ? seen : fmax(seen, fabs(a - b));
}

static bool ran(const struct outcome *o)
{
    return o->verdict == NB_UNTESTED || o->verdict == NB_PASS || o->verdict == NB_FAIL_VALUE ||
           o->verdict == NB_FAIL_NONFINITE;
}

/* The user's tensor: its own error, and its scale. */
struct expected {
    double *row;
    double E_max, ulp_max, normwise, top;
    size_t nonfinite, worst_row, worst_i;
};

static void take_expected(const struct eval *e, struct expected *x, const struct nb_ref_row *row,
                          const struct nb_dd *y, const struct nb_ref_stats *stats, size_t r,
                          double *scratch)
{
    struct nb_ref_error error;
    const struct nb_ref_type *type = nb_ref_type_find(nb_dtype_name(DTYPE_OF[e->ref.kind]));
    nb_ref_judge(row, y, stats, type, NULL, x->row, scratch, &error);
    if (error.E_max > x->E_max) {
        x->worst_row = r;
        x->worst_i = error.worst;
    }
    x->E_max = fmax(x->E_max, error.E_max);
    x->ulp_max = fmax(x->ulp_max, error.ulp_max);
    x->normwise = fmax(x->normwise, error.normwise);
    x->nonfinite += error.nonfinite;
    for (size_t i = 0; i < row->n; i++)
        if (isfinite(x->row[i]))
            x->top = fmax(x->top, fabs(x->row[i]));
}

static void judge_all(const struct eval *e, struct outcome *list, size_t count, struct expected *expected)
{
    const size_t n = e->problem.hidden, es = e->x.item;
    const size_t ss = nb_stat_bytes(e->problem.dtype);
    double *x = malloc(4 * n * sizeof *x), *scratch = x + n, *ref = x + 3 * n;
    struct nb_dd *y = malloc(n * sizeof *y);
    NB_ASSERT(x != NULL && y != NULL);
    expected->row = ref;
    for (size_t r = 0; r < e->problem.rows; r++) {
        const struct nb_kernel *before = NULL;
        struct nb_ref_stats stats;
        nb_decode(e->problem.dtype, (char *)e->x.data + r * n * es, x, n);
        for (size_t k = 0; k < count; k++) {
            struct outcome *o = &list[k];
            struct nb_problem p = e->problem;
            struct nb_appraisal a;
            p.op = o->kernel->op;
            const struct nb_ref_row row = nb_appraise_row(&p, x, e->gamma_wide, e->beta_wide, 0);
            if (before == NULL || before->op != p.op)
                nb_ref_forward(&row, y, &stats);
            if (before == NULL && e->ref.data != NULL) {
                nb_decode(DTYPE_OF[e->ref.kind], (char *)e->ref.data + r * n * e->ref.item, ref, n);
                take_expected(e, expected, &row, y, &stats, r, scratch);
            }
            before = o->kernel;
            if (!ran(o))
                continue;
            nb_appraise(o->kernel, &row, y, &stats, o->y + r * n * es, o->mean + r * ss, o->rstd + r * ss,
                        scratch, &a);
            take_row(o, &a, y, scratch, r);
            for (size_t i = 0; e->ref.data != NULL && i < n; i++)
                o->ref_max = distance(o->ref_max, scratch[i], ref[i]);
        }
    }
    free(x);
    free(y);
}

/* ---- what is said and written ---- */

static void print_values(const struct eval *e, const struct outcome *o)
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

static void print_outcome(const struct eval *e, const struct outcome *o)
{
    printf("%s: %s", o->kernel->name,
           ran(o) && o->inside == 0 ? "no verdict: every row is outside the bound's precondition"
                                    : nb_verdict_name(o->verdict));
    printf(o->reason[0] ? " (%s)\n" : "%s\n", o->reason);
    if (!ran(o))
        return;
    if (o->inside > 0)
        printf("    error E %.4g (bound %.4g, used %.2g of it)", o->E_max, o->bound, o->share);
    else
        printf("    error E %.4g", o->E_max);
    printf("; %.4g ulp; max|y-exact|/max|exact| %.5g\n", o->ulp_max, o->normwise);
    printf("    worst at row %zu element %zu: got %.9g, exact %.9g\n", o->worst_row, o->worst_i,
           o->worst_got, o->worst_want);
    if (o->unstable + o->overflow + o->nonfinite > 0)
        printf("    rows: %zu inside the bound's precondition, %zu too ill-conditioned for this algorithm, "
               "%zu beyond its range; %zu elements wrongly NaN or Inf\n", o->inside, o->unstable,
               o->overflow, o->nonfinite);
    print_values(e, o);
}

static void print_expected(const struct eval *e, const struct outcome *list, size_t count,
                           const struct expected *x)
{
    printf("%s against the exact result: E %.4g, %.4g ulp of its type, max|ref-exact|/max|exact| %.5g, worst "
           "at row %zu element %zu", e->ref_path, x->E_max, x->ulp_max, x->normwise, x->worst_row, x->worst_i);
    printf(x->nonfinite ? "; %zu elements wrongly NaN or Inf\n" : "\n", x->nonfinite);
    for (size_t k = 0; k < count; k++)
        if (ran(&list[k]))
            printf("    %s: max|y-ref| %.5g, over max|ref| %.5g\n", list[k].kernel->name, list[k].ref_max,
                   x->top > 0 ? list[k].ref_max / x->top : list[k].ref_max);
}

static enum nb_status write_all(const struct eval *e, const struct outcome *o, struct nb_err *err)
{
    struct nb_npy y = e->x, stat = e->x;
    enum nb_status s = NB_OK;
    if (!(e->y_path || e->mean_path || e->rstd_path))
        return NB_OK;
    if (!ran(o))
        return nb_fail(err, "%s: %s, so there is no output to write", o->kernel->name,
                       nb_verdict_name(o->verdict));
    if (e->mean_path != NULL && !nb_op_facts(o->kernel->op)->centred)
        return nb_fail(err, "--mean: %s has none", nb_op_name(o->kernel->op));
    y.data = o->y;
    if (e->y_path)
        s = nb_npy_write(&y, e->y_path, err);
    stat.kind = e->problem.dtype == NB_F64 ? NB_NPY_F8 : NB_NPY_F4;
    stat.rank = e->x.rank > 1 ? e->x.rank - 1 : 1;
    if (e->x.rank == 1)
        stat.shape[0] = 1;
    stat.data = o->mean;
    if (s == NB_OK && e->mean_path)
        s = nb_npy_write(&stat, e->mean_path, err);
    stat.data = o->rstd;
    return s == NB_OK && e->rstd_path ? nb_npy_write(&stat, e->rstd_path, err) : s;
}

static enum nb_status evaluate(struct eval *e, int *code, struct nb_err *err)
{
    struct outcome *list = NULL;
    struct expected expected = {.row = NULL};
    size_t count = 0;
    enum nb_status s = choose_kernels(e, &list, &count, err);
    for (size_t i = 0; s == NB_OK && i < count; i++)
        s = run_kernel(e, &list[i], err);
    if (s == NB_OK) {
        judge_all(e, list, count, &expected);
        s = write_all(e, &list[0], err);
    }
    for (size_t i = 0; s == NB_OK && i < count; i++) {
        const enum nb_verdict v = list[i].verdict;
        print_outcome(e, &list[i]);
        if (v == NB_FAIL_VALUE || v == NB_FAIL_NONFINITE || v == NB_CRASHED || v == NB_TIMED_OUT)
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
        "  normbench eval --x x.npy --kernel layernorm_fwd_welford__f32_scalar --y y.npy";
    struct eval e = {.x_path = NULL};
    nb_option_parse(OPTIONS, parse_option, NULL, DOC, argc, argv, &e);
    enum nb_status s = nb_foreign_load(&e.foreign, err);
    if (s == NB_OK)
        s = read_all(&e, err);
    if (s == NB_OK)
        s = evaluate(&e, code, err);
    nb_npy_free(&e.x);
    nb_npy_free(&e.gamma);
    nb_npy_free(&e.beta);
    nb_npy_free(&e.ref);
    free(e.gamma_wide);
    free(e.beta_wide);
    return s;
}
