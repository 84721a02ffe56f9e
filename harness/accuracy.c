#include "accuracy.h"

#include "accuracy_data.h"
#include "accuracy_report.h"
#include "appraise.h"
#include "buffers.h"
#include "child.h"
#include "descriptor.h"
#include "execute.h"
#include "progress.h"
#include "registry.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- one kernel on one family ---- */

static void nothing_yet(struct nb_accuracy *r, const struct nb_kernel *k, const struct nb_family *f,
                        size_t hidden, size_t rows)
{
    *r = (struct nb_accuracy){.kernel = k, .family = f, .hidden = hidden, .rows = rows, .k1 = NAN,
                              .k2 = NAN, .E_max = NAN, .E_p99 = NAN, .E_any = NAN, .bound = NAN,
                              .likely = NAN, .share = NAN, .share_likely = NAN, .ulp_max = NAN,
                              .normwise = NAN, .rms_error = NAN, .mean_error = NAN, .rstd_error = NAN};
}

static void fail(struct nb_accuracy *r, enum nb_verdict v, const char *fault, size_t row)
{
    if (r->verdict != NB_UNTESTED && r->verdict != NB_PASS)
        return;
    r->verdict = v;
    snprintf(r->reason, sizeof(r->reason), "%s %zu: %s", nb_op_facts(r->kernel->op)->columns ? "column" : "row", row, fault);
}

/* What every row adds, hazards included. NaN gives way to a number. */
static void take_any(struct nb_accuracy *r, const struct nb_ref_stats *s, const struct nb_appraisal *a)
{
    const struct nb_ref_error *e = &a->error;
    const bool broken = e->nonfinite > 0;
    if (s->finite && nb_op_facts(r->kernel->op)->centred)
        r->k1 = fmax(r->k1, s->k1);
    if (s->finite && nb_op_facts(r->kernel->op)->norm)
        r->k2 = fmax(r->k2, s->k2);
    r->E_any = fmax(r->E_any, broken ? INFINITY : e->E_max);
    r->normwise = fmax(r->normwise, broken ? INFINITY : e->normwise);
    r->rms_error = fmax(r->rms_error, broken ? INFINITY : e->rms);
}

static void take_inside(struct nb_accuracy *r, const struct nb_appraisal *a, bool likely)
{
    const struct nb_ref_error *e = &a->error;
    r->nonfinite += e->nonfinite;
    r->E_max = fmax(r->E_max, e->E_max);
    r->E_p99 = fmax(r->E_p99, e->E_p99);
    r->bound = fmin(r->bound, a->limits.worst.E);
    r->share = fmax(r->share, e->share);
    if (likely) {
        r->likely = fmin(r->likely, a->limits.likely.E);
        r->share_likely = fmax(r->share_likely, e->share_likely);
    }
    r->ulp_max = fmax(r->ulp_max, e->ulp_max);
    r->mean_error = fmax(r->mean_error, a->mean_error);
    r->rstd_error = fmax(r->rstd_error, a->rstd_error);
    for (int b = 0; b < NB_REF_ULP_BINS; b++)
        r->ulp[b] += (uint32_t)e->ulp[b];
}

/* On data whose sums are exact in any order a sum-based kernel must give the exact mean, and an rstd that
 * holds no error but its last operations'. E[x^2] - mean^2 needs an exact division for that. */
static const char *exact_fault(const struct nb_kernel *k, size_t hidden, const struct nb_appraisal *a)
{
    enum { LAST_OPERATIONS = 3 };
    const uint32_t kind = k->bound.kind;
    const bool power_of_two = (hidden & (hidden - 1)) == 0;
    const bool running = kind == NB_BOUND_WELFORD || strcmp(k->algo, "welford") == 0;
    if (running || nb_is_ceiling(k))
        return NULL;
    if (a->mean_error > 0)
        return "the mean of exactly summable data is not exact";
    if ((kind == NB_BOUND_ONEPASS || kind == NB_BOUND_SHIFTED) && !power_of_two)
        return NULL;
    return a->rstd_error > LAST_OPERATIONS ? "the variance of exactly summable data is not exact" : NULL;
}

/* What a call wrote: y vector by vector, mean and rstd one a norm, or NULL. */
struct written {
    const char *y, *mean, *rstd;
};

/* Norm i of a call. Whether it could have failed is added to teeth. */
static void judge_piece(const struct nb_lab_data *d, const struct nb_problem *p, const struct nb_kernel *k,
                        const struct written *out, size_t i, double *scratch, bool *teeth, struct nb_accuracy *r)
{
    const struct nb_lab_oracle *o = &d->oracles[k->op][nb_lab_uses_beta(d, k)];
    const size_t pieces = nb_op_pieces(p), n = d->hidden / pieces, at = i % (d->rows * pieces);
    const size_t es = nb_dtype_bytes(k->dtype), ss = nb_stat_bytes(k->dtype);
    const bool likely = nb_family_is_likely(d->family);
    const struct nb_ref_row row = nb_lab_row(d, p, k, at / pieces, at % pieces);
    struct nb_appraisal a;
    nb_appraise(k, &row, o->y + at * n, &o->stats[at], out->y + i * n * es, out->mean != NULL ? out->mean + i * ss : NULL,
                out->rstd != NULL ? out->rstd + i * ss : NULL, scratch, &a);
    take_any(r, &o->stats[at], &a);
    r->unstable += a.hazard == NB_REF_UNSTABLE;
    r->overflow += a.hazard == NB_REF_OVERFLOW;
    if (a.hazard != NB_REF_INSIDE)
        return;
    r->inside++;
    *teeth = *teeth || a.error.teeth > 1 || a.error.compared == 0;
    take_inside(r, &a, likely);
    const char *fault = nb_appraisal_fault(&a, likely);
    if (fault == NULL && strcmp(d->family->name, "exact") == 0 && pieces == 1)
        fault = exact_fault(k, n, &a);
    if (fault != NULL)
        fail(r, a.error.nonfinite ? NB_FAIL_NONFINITE : NB_FAIL_VALUE, fault, i / pieces);
}

static void judge_all(const struct nb_lab_data *d, const struct nb_problem *p,
                      const struct nb_kernel *k, const struct written *out, struct nb_accuracy *r)
{
    double *scratch = malloc(2 * d->hidden * sizeof *scratch);
    bool teeth = false;
    NB_ASSERT(scratch != NULL);
    for (size_t i = 0; i < d->vectors * nb_op_pieces(p); i++)
        judge_piece(d, p, k, out, i, scratch, &teeth, r);
    if (r->verdict == NB_UNTESTED && r->inside > 0)
        r->verdict = teeth ? NB_PASS : NB_MISTRUSTED;
    if (r->verdict == NB_MISTRUSTED)
        snprintf(r->reason, sizeof(r->reason), "the bound is so wide here that any output would pass");
    free(scratch);
}

/* Of so many elements, every byte the same; a line longer than they need, as vectors are. */
static void *filled(size_t n, size_t size, int byte)
{
    void *p = aligned_alloc(64, (n * size + 127) / 64 * 64);
    NB_ASSERT(p != NULL);
    return memset(p, byte, (n * size + 127) / 64 * 64);
}

/* A matrix [rows][columns], column by column. */
static char *turned(const char *m, size_t rows, size_t columns, size_t es)
{
    char *t = filled(rows * columns, es, 0);
    for (size_t i = 0; i < rows * columns; i++)
        memcpy(t + (i % columns * rows + i / columns) * es, m + i * es, es);
    return t;
}

static void *copied(const void *from, size_t n, size_t size)
{
    return from != NULL ? memcpy(filled(n, size, 0), from, n * size) : NULL;
}

/* Over outputs of its own; the call may change the running statistics. */
static void call_and_judge(const struct nb_lab_data *d, const struct nb_problem *p, const struct nb_kernel *k, struct nb_accuracy *r)
{
    const size_t es = nb_dtype_bytes(k->dtype), ss = nb_stat_bytes(k->dtype), count = nb_op_stats(p);
    const size_t gamma_at = nb_lab_gamma_at(d, k) * nb_dtype_bytes(d->param_dtype);
    char *y = filled(p->rows * p->hidden, es, 0xA5), *stats = filled(2 * count, ss, 0);
    char *mean = copied(d->run_mean_stored, d->vectors, ss), *var = copied(d->run_var_stored, d->vectors, ss);
    const struct nb_args a = {.x = d->x_stored,
                              .gamma = nb_uses_gamma(k) && d->gamma ? (const char *)d->gamma_stored + gamma_at : NULL,
                              .beta = nb_lab_uses_beta(d, k) ? d->beta_stored : NULL,
                              .y = y,
                              .mean = p->stats_out ? stats : NULL,
                              .rstd = p->stats_out ? stats + count * ss : NULL,
                              .run_mean = mean,
                              .run_var = var};
    if (nb_run_once(k, p, &a)) {
        char *across = d->columns ? turned(y, p->rows, p->hidden, es) : NULL;
        const struct written out = {across != NULL ? across : y, a.mean, a.rstd};
        judge_all(d, p, k, &out, r);
        free(across);
    } else {
        r->verdict = NB_SKIP_OPTION;
        snprintf(r->reason, sizeof(r->reason), "its prepare returned NULL");
    }
    free(y);
    free(stats);
    free(mean);
    free(var);
}

static void run_one(const struct nb_accuracy_options *o, const struct nb_lab_data *d,
                    const struct nb_kernel *k, struct nb_accuracy *r)
{
    const struct nb_problem p = nb_lab_problem(d, o, k);
    const char *why = k->supports != NULL ? k->supports(&p) : NULL, *fault = nb_descriptor_fault(k);
    nothing_yet(r, k, d->family, d->hidden, d->vectors);
    if (why == NULL) {
        call_and_judge(d, &p, k, r);
        return;
    }
    r->verdict = fault != NULL ? NB_FAIL_ABI : NB_SKIP_OPTION;
    snprintf(r->reason, sizeof(r->reason), "%s", fault != NULL ? fault : why);
}

void nb_accuracy_one(const struct nb_accuracy_options *o, const struct nb_kernel *k,
                     const struct nb_family *f, size_t hidden, struct nb_accuracy *result)
{
    struct nb_lab_data d;
    nb_lab_data_make(&d, o, f, k->dtype, hidden, nb_op_facts(k->op)->columns);
    nb_lab_prepare(&d, o, k);
    run_one(o, &d, k, result);
    nb_lab_data_free(&d);
}

/* ---- a batch: all kernels of a dtype on all families at one hidden, each kernel in a child ---- */

enum { JOBS_MAX = 16 };

struct batch {
    const struct nb_accuracy_options *o;
    const struct nb_kernel **kernels;
    size_t kernel_count;
    struct nb_lab_data *data;
    size_t data_count;
    struct nb_accuracy *results; /* [kernel][data], shared with the children; kernel NULL: nothing to do */
    volatile size_t *at;         /* [kernel]: the data it is on; shared */
};
struct slot {
    pid_t pid; /* 0: free */
    size_t kernel, seen;
    uint64_t since_ns;
};

static void work(const struct batch *b, size_t kernel)
{
    for (; b->at[kernel] < b->data_count; b->at[kernel]++)
        if (nb_lab_takes(b->kernels[kernel], &b->data[b->at[kernel]]))
            run_one(b->o, &b->data[b->at[kernel]], b->kernels[kernel],
                    &b->results[kernel * b->data_count + b->at[kernel]]);
}

static enum nb_status start(const struct batch *b, struct slot *s, size_t kernel, struct nb_err *err)
{
    *s = (struct slot){.kernel = kernel, .seen = b->at[kernel], .since_ns = nb_now_ns()};
    s->pid = fork();
    if (s->pid < 0)
        return nb_fail(err, "fork: %s", strerror(errno));
    if (s->pid == 0) {
        work(b, kernel);
        _exit(0);
    }
    return NB_OK;
}

/* The child died on the data it was at: that gets the verdict, and what is left a new child. */
static enum nb_status died(const struct batch *b, struct slot *s, enum nb_verdict v, int status,
                           struct nb_err *err)
{
    const size_t at = b->at[s->kernel];
    struct nb_accuracy *r = &b->results[s->kernel * b->data_count + at];
    nothing_yet(r, b->kernels[s->kernel], b->data[at].family, b->data[at].hidden, b->data[at].vectors);
    r->verdict = v;
    if (v == NB_TIMED_OUT)
        snprintf(r->reason, sizeof(r->reason), "no result within %g s", b->o->timeout_s);
    else if (WIFSIGNALED(status))
        snprintf(r->reason, sizeof(r->reason), "killed by signal %d", WTERMSIG(status));
    else
        snprintf(r->reason, sizeof(r->reason), "exited with %d", WEXITSTATUS(status));
    b->at[s->kernel]++;
    return start(b, s, s->kernel, err);
}

/* Looks once; true when the slot became free. */
static bool tend(const struct batch *b, struct slot *s, enum nb_status *status, struct nb_err *err)
{
    int how = 0;
    const pid_t done = waitpid(s->pid, &how, WNOHANG);
    if (done == s->pid)
        nb_child_clear(done);
    if (done == s->pid && WIFEXITED(how) && WEXITSTATUS(how) == 0 && b->at[s->kernel] == b->data_count) {
        s->pid = 0;
        return true;
    }
    if (done == s->pid) {
        *status = died(b, s, NB_CRASHED, how, err);
    } else if (b->at[s->kernel] != s->seen) {
        s->seen = b->at[s->kernel];
        s->since_ns = nb_now_ns();
    } else if ((double)(nb_now_ns() - s->since_ns) > b->o->timeout_s * 1e9) {
        kill(s->pid, SIGKILL);
        *status = died(b, s, NB_TIMED_OUT, nb_child_wait(s->pid), err);
    }
    return false;
}

static size_t jobs(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : (size_t)n;
}

static enum nb_status run_batch(const struct batch *b, struct nb_progress *progress, struct nb_err *err)
{
    struct slot slots[JOBS_MAX] = {{0}};
    const struct timespec pause = {0, 300000};
    size_t next = 0, active = 0;
    enum nb_status status = NB_OK;
    while (status == NB_OK && (next < b->kernel_count || active > 0)) {
        for (size_t i = 0; status == NB_OK && i < jobs(); i++) {
            if (slots[i].pid != 0 && tend(b, &slots[i], &status, err)) {
                active--;
                nb_progress_step(progress, 1, b->kernels[slots[i].kernel]->name);
            }
            if (status == NB_OK && slots[i].pid == 0 && next < b->kernel_count) {
                status = start(b, &slots[i], next++, err);
                active++;
            }
        }
        nanosleep(&pause, NULL);
    }
    return status;
}

/* ---- the file ---- */

static void put(FILE *f, double v)
{
    if (isnan(v))
        fputs(",null", f);
    else
        fprintf(f, ",%.6g", v);
}

/* Where it is not the usual one. */
static void put_k(FILE *f, const struct nb_kernel *k, const struct nb_accuracy_options *o)
{
    const enum nb_op_k kind = nb_op_facts(k->op)->k;
    char text[32];
    if (kind == NB_K_NONE || o->block.k[kind].v[0] == nb_k_facts[kind].value)
        return;
    nb_k_text(kind, o->block.k[kind].v[0], text, sizeof text);
    fprintf(f, " --%s %s", nb_k_facts[kind].name, text);
}

static void put_result(FILE *f, const struct nb_accuracy *r, const struct nb_accuracy_options *o)
{
    const struct nb_kernel *k = r->kernel;
    fprintf(f, "1,%s,%s,%s,%s,%s,%s,%s,%s,%zu,%zu,%s,%zu,%zu,%zu,%zu", k->name, nb_op_name(k->op), k->algo,
            k->isa, k->trick[0] ? k->trick : "none", nb_dtype_name(k->dtype), r->family->name,
            nb_class_name(r->family->class), r->hidden, r->rows, nb_verdict_name(r->verdict), r->inside,
            r->unstable, r->overflow, r->nonfinite);
    const double numbers[] = {r->k1, r->k2, r->E_max, r->E_p99, r->E_any, r->bound, r->likely, r->share,
                              r->share_likely, r->ulp_max, r->normwise, r->rms_error, r->mean_error,
                              r->rstd_error};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put(f, numbers[i]);
    for (int b = 0; b < NB_REF_ULP_BINS; b++)
        fprintf(f, "%c%u", b == 0 ? ',' : '|', r->ulp[b]);
    fprintf(f, ",normbench accuracy --kernel %s --family '%s' --hidden %zu", k->name, r->family->name, r->hidden);
    put_k(f, k, o);
    fprintf(f, " --seed %llu\n", (unsigned long long)o->seed);
}

static const char HEADER[] =
    "schema,kernel,op,algo,isa,trick,dtype,family,class,hidden,rows,verdict,inside,unstable,overflow,"
    "nonfinite,k1,k2,E_max,E_p99,E_any,bound,likely,share,share_likely,ulp_max,normwise,rms_error,"
    "mean_error,rstd_error,ulp_hist,repro\n";

/* ---- the whole ---- */

struct lab {
    const struct nb_accuracy_options *o;
    struct nb_progress progress;
    FILE *csv, *record;
    size_t verdicts[NB_VERDICT_COUNT];
    size_t combinations, regressions;
    struct known {
        char kernel[128];
        size_t hidden;
        double E_max;
    } *known;
    size_t known_count;
};

/* Of a kernel at one hidden: its largest E, where, and the share of its bound that was used there. */
struct worst {
    double E, share;
    const char *family; /* NULL: no error anywhere */
};

static size_t kernels_of(const struct nb_accuracy_options *o, uint32_t dtype,
                         const struct nb_kernel **list)
{
    size_t n = 0;
    const bool all_ops =
        !(o->block.given & (1u << NB_KEY_OP | 1u << NB_KEY_ALGO | 1u << NB_KEY_KERNEL));
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (k->dtype == dtype && k->dir == NB_FWD && k->fuse == NB_FUSE_NONE &&
            nb_kernel_why_not(k) == NULL && (nb_block_takes(&o->block, k) || (all_ops && nb_is_ceiling(k))) &&
            nb_block_takes_isa(&o->block, k))
            list[n++] = k;
    }
    return n;
}

/* Largest E of a kernel at one hidden against what was recorded; the record grows by it. Where the
 * compiler may reorder the sums, E is the compiler's. */
static void regress(struct lab *lab, const struct nb_kernel *k, size_t hidden, const struct worst *w)
{
    const double E_max = w->E;
    if (strcmp(k->trick, "ompsimd") == 0)
        return;
    if (lab->record != NULL)
        fprintf(lab->record, "%s,%zu,%.6g,%s,%.3g\n", k->name, hidden, E_max,
                w->family != NULL ? w->family : "every", w->share);
    for (size_t i = 0; i < lab->known_count; i++)
        if (lab->known[i].hidden == hidden && strcmp(lab->known[i].kernel, k->name) == 0 &&
            !(E_max <= 1.5 * lab->known[i].E_max)) {
            lab->regressions++;
            fprintf(stderr, "REGRESSION: %s at hidden %zu: E %.4g, recorded %.4g (limit: 1.5 times)\n",
                    k->name, hidden, E_max, lab->known[i].E_max);
        }
}

static void take_batch(struct lab *lab, const struct batch *b, struct worst *worst)
{
    for (size_t k = 0; k < b->kernel_count; k++)
        for (size_t i = 0; i < b->data_count; i++) {
            const struct nb_accuracy *r = &b->results[k * b->data_count + i];
            if (r->kernel == NULL)
                continue;
            lab->combinations++;
            lab->verdicts[r->verdict]++;
            put_result(lab->csv, r, lab->o);
            if (r->E_max > worst[k].E)
                worst[k] = (struct worst){r->E_max, r->share, r->family->name};
        }
}

/* Families in portions whose oracles fit into memory: 2^21 elements are 90 bytes each at most. */
static enum nb_status run_portion(struct lab *lab, struct batch *b, struct worst *worst, struct nb_err *err)
{
    b->results = nb_shared_map(b->kernel_count * b->data_count * sizeof *b->results);
    b->at = nb_shared_map(b->kernel_count * sizeof *b->at);
    for (size_t i = 0; i < b->data_count; i++)
        for (size_t k = 0; k < b->kernel_count; k++)
            if (nb_lab_takes(b->kernels[k], &b->data[i]))
                nb_lab_prepare(&b->data[i], lab->o, b->kernels[k]);
    enum nb_status s = run_batch(b, &lab->progress, err);
    if (s == NB_OK)
        take_batch(lab, b, worst);
    for (size_t i = 0; i < b->data_count; i++)
        nb_lab_data_free(&b->data[i]);
    munmap(b->results, b->kernel_count * b->data_count * sizeof *b->results);
    munmap((void *)b->at, b->kernel_count * sizeof *b->at);
    return s;
}

enum { PORTION = 1 << 21 };

/* Whether any of them is a norm of columns, or of rows. */
static bool any_of(const struct nb_kernel *const *kernels, size_t count, bool columns)
{
    for (size_t k = 0; k < count; k++)
        if (nb_op_facts(kernels[k]->op)->columns == columns)
            return true;
    return false;
}

static enum nb_status run_hidden(struct lab *lab, uint32_t dtype, size_t hidden,
                                 const struct nb_kernel **kernels, size_t count, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    struct nb_lab_data *data = calloc(2 * nb_family_count(), sizeof *data);
    struct worst *worst = calloc(count, sizeof *worst);
    NB_ASSERT(data != NULL && worst != NULL);
    struct batch b = {.o = lab->o, .kernels = kernels, .kernel_count = count, .data = data};
    for (size_t i = 0, elements = 0; s == NB_OK && i <= 2 * nb_family_count(); i++) {
        const bool end = i == 2 * nb_family_count(), columns = i % 2 == 1;
        const struct nb_family *f = end ? NULL : nb_family_at(i / 2);
        if (b.data_count > 0 && (end || elements > PORTION)) {
            s = run_portion(lab, &b, worst, err);
            b.data_count = elements = 0;
        }
        if (s == NB_OK && !end && any_of(kernels, count, columns) && nb_family_has(f, dtype) &&
            nb_family_matches(f, lab->o->families)) {
            nb_lab_data_make(&data[b.data_count], lab->o, f, dtype, hidden, columns);
            elements += data[b.data_count].vectors * hidden;
            b.data_count++;
        }
    }
    for (size_t k = 0; s == NB_OK && k < count; k++)
        regress(lab, kernels[k], hidden, &worst[k]);
    free(worst);
    free(data);
    return s;
}

static enum nb_status run_all(struct lab *lab, struct nb_err *err)
{
    const struct nb_block *block = &lab->o->block;
    const struct nb_kernel **kernels = calloc(nb_kernel_count(), sizeof *kernels);
    enum nb_status s = NB_OK;
    size_t total = 0;
    NB_ASSERT(kernels != NULL);
    for (size_t d = 0; d < block->dtype.n; d++)
        total += kernels_of(lab->o, (uint32_t)block->dtype.v[d], kernels) * block->hidden.n;
    if (total == 0)
        s = nb_fail(err, "no kernel of this selection runs here (passes backward and norms of a sum: `normbench check` alone); "
                         "`normbench list` shows what there is");
    nb_progress_begin(&lab->progress, "judging", (double)total, lab->o->quiet);
    for (size_t d = 0; s == NB_OK && d < block->dtype.n; d++) {
        const uint32_t dtype = (uint32_t)block->dtype.v[d];
        const size_t count = kernels_of(lab->o, dtype, kernels);
        for (size_t h = 0; s == NB_OK && count > 0 && h < block->hidden.n; h++)
            s = run_hidden(lab, dtype, block->hidden.v[h], kernels, count, err);
    }
    if (s == NB_OK)
        nb_progress_end(&lab->progress);
    free(kernels);
    return s;
}

static enum nb_status load_baseline(struct lab *lab, struct nb_err *err)
{
    char line[256];
    if (lab->o->baseline == NULL)
        return NB_OK;
    FILE *f = fopen(lab->o->baseline, "r");
    if (f == NULL)
        return nb_fail(err, "--baseline %s: %s", lab->o->baseline, strerror(errno));
    enum nb_status s = NB_OK;
    for (unsigned number = 1; s == NB_OK && fgets(line, sizeof line, f) != NULL; number++) {
        struct known k;
        if (number == 1) /* names of columns */
            continue;
        if (sscanf(line, "%127[^,],%zu,%lf", k.kernel, &k.hidden, &k.E_max) != 3) {
            s = nb_fail(err, "%s:%u: not kernel,hidden,E_max", lab->o->baseline, number);
            break;
        }
        struct known *more = realloc(lab->known, (lab->known_count + 1) * sizeof *more);
        NB_ASSERT(more != NULL);
        lab->known = more;
        lab->known[lab->known_count++] = k;
    }
    fclose(f);
    if (s == NB_OK && lab->known_count == 0)
        s = nb_fail(err, "%s: holds no record", lab->o->baseline);
    return s;
}

static enum nb_status open_files(struct lab *lab, struct nb_err *err)
{
    char path[4200];
    if (mkdir(lab->o->out, 0777) != 0 && errno != EEXIST)
        return nb_fail(err, "--out %s: %s", lab->o->out, strerror(errno));
    snprintf(path, sizeof path, "%s/accuracy.csv", lab->o->out);
    lab->csv = fopen(path, "w");
    if (lab->csv == NULL)
        return nb_fail(err, "%s: %s", path, strerror(errno));
    fputs(HEADER, lab->csv);
    if (lab->o->record != NULL && (lab->record = fopen(lab->o->record, "w")) == NULL)
        return nb_fail(err, "--record %s: %s", lab->o->record, strerror(errno));
    if (lab->record != NULL)
        fputs("kernel,hidden,E_max,family,share\n", lab->record);
    return NB_OK;
}

static enum nb_status close_file(FILE *f, const char *what, enum nb_status s, struct nb_err *err)
{
    if (f == NULL)
        return s;
    const bool bad = ferror(f) != 0;
    if ((fclose(f) != 0 || bad) && s == NB_OK)
        return nb_fail(err, "cannot write %s: %s", what, strerror(errno));
    return s;
}

static void summary(const struct lab *lab)
{
    printf("%zu combinations of kernel, family and hidden, none left out:", lab->combinations);
    for (int v = 0; v < NB_VERDICT_COUNT; v++)
        if (lab->verdicts[v] > 0)
            printf(" %zu %s%s", lab->verdicts[v],
                   v == NB_UNTESTED ? "outside the bound's precondition" : nb_verdict_name((enum nb_verdict)v),
                   v + 1 < NB_VERDICT_COUNT ? "," : "");
    printf(" and %zu regressions%s\n", lab->regressions, lab->o->baseline ? "" : " (no --baseline given)");
}

enum nb_status nb_accuracy_run(const struct nb_accuracy_options *o, int *exit_code, struct nb_err *err)
{
    struct lab lab = {.o = o};
    enum nb_status s = load_baseline(&lab, err);
    if (s == NB_OK)
        s = open_files(&lab, err);
    if (s == NB_OK)
        s = run_all(&lab, err);
    s = close_file(lab.csv, "accuracy.csv", s, err);
    s = close_file(lab.record, "the record", s, err);
    if (s == NB_OK)
        s = nb_accuracy_report(o->out, o->times, o->quiet, err);
    if (s == NB_OK && !o->quiet)
        summary(&lab);
    const size_t bad = lab.verdicts[NB_FAIL_VALUE] + lab.verdicts[NB_FAIL_NONFINITE] + lab.verdicts[NB_FAIL_ABI] +
                       lab.verdicts[NB_CRASHED] + lab.verdicts[NB_TIMED_OUT] + lab.regressions;
    *exit_code = bad > 0 ? 2 : 0;
    free(lab.known);
    return s;
}
