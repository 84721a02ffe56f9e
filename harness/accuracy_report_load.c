/* Reads accuracy.csv, and the times of a run's results.csv. */
#include "accuracy_report_data.h"
#include "files.h"
#include "registry.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1 };

const char *const acc_dtype[ACC_DTYPES] = {"f32", "f64", "f16", "bf16"};
const char *const acc_class_name[ACC_CLASSES] = {"random", "attack", "range", "params",
                                                 "special", "sweep"};

enum column {
    C_SCHEMA,
    C_KERNEL,
    C_OP,
    C_ALGO,
    C_ISA,
    C_TRICK,
    C_DTYPE,
    C_FAMILY,
    C_CLASS,
    C_HIDDEN,
    C_VERDICT,
    C_ULP_HIST,
    C_REPRO,
    C_INSIDE,
    C_UNSTABLE,
    C_OVERFLOW,
    C_NONFINITE,
    C_K2,
    C_E_MAX,
    C_E_ANY,
    C_BOUND,
    C_SHARE,
    C_SHARE_LIKELY,
    C_ULP_MAX,
    C_NORMWISE,
    COLUMNS,
    FIRST_NUMBER = C_INSIDE
};
static const char *const columns[COLUMNS] = {
    "schema",   "kernel",       "op",        "algo",    "isa",      "trick", "dtype",
    "family",   "class",        "hidden",    "verdict", "ulp_hist", "repro", "inside",
    "unstable", "overflow",     "nonfinite", "k2",      "E_max",    "E_any", "bound",
    "share",    "share_likely", "ulp_max",   "normwise"};

struct reader {
    struct acc *a;
    size_t at[COLUMNS];
};

static const char *cell(const struct reader *r, enum column c)
{
    return r->a->csv.cell[r->at[c]];
}

static void *grow(void *array, size_t n, size_t *room, size_t element)
{
    if (n < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    array = realloc(array, *room * element);
    NB_ASSERT(array != NULL && "out of memory");
    return array;
}

/* ---- words ---- */

static size_t word(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return SIZE_MAX;
}

static bool read_verdict(const char *text, enum acc_verdict *v)
{
    static const char *const names[] = {"PASS",           "UNTESTED", "FAIL_VALUE",
                                        "FAIL_NONFINITE", "CRASHED",  "TIMED_OUT", "MISTRUSTED"};
    static const enum acc_verdict values[] = {ACC_PASS,       ACC_UNTESTED,
                                              ACC_FAIL_VALUE, ACC_FAIL_NONFINITE,
                                              ACC_CRASHED,    ACC_TIMED_OUT, ACC_WIDE};
    size_t i = word(text, names, 7);
    bool skip = strncmp(text, "SKIP_", 5) == 0, fail = strncmp(text, "FAIL_", 5) == 0;
    *v = i < 7 ? values[i] : skip ? ACC_SKIP : ACC_FAIL_OTHER;
    return i < 7 || skip || fail;
}

bool acc_is_fail(enum acc_verdict v)
{
    return v != ACC_PASS && v != ACC_UNTESTED && v != ACC_WIDE && v != ACC_SKIP;
}

bool acc_is_common(const struct acc *a, const struct acc_case *c)
{
    const struct acc_family *f = &a->families[c->family];
    return f->class == ACC_RANDOM && !(f->hard >> a->kernels[c->kernel].dtype & 1u);
}

bool acc_is_norm(const char *op)
{
    return nb_op_is_layer((uint32_t)nb_op_parse(op));
}

/* SIMD by its rank, above what a compiler made; an ISA this program has not heard of is
 * weaker than any it has, but no plain C loop. */
static int strength(const char *isa)
{
    if (strcmp(isa, "scalar") == 0)
        return 0;
    for (size_t i = 0; i < nb_isa_count(); i++)
        if (strcmp(nb_isa_at(i)->name, isa) == 0)
            return nb_isa_at(i)->rank > 0 ? 1000 + nb_isa_at(i)->rank : 2 + (int)i;
    return 1;
}

/* The a of sweep-1e3.5, an exponent that may have a fraction. */
static double sweep_mean(const char *family)
{
    char *end;
    if (strncmp(family, "sweep-1e", 8) != 0)
        return NAN;
    double exponent = strtod(family + 8, &end);
    return end != family + 8 && *end == 0 ? pow(10, exponent) : NAN;
}

/* ---- kernels, families, algorithms ---- */

static size_t find_algorithm(struct acc *a, const char *op, const char *algo)
{
    for (size_t i = 0; i < a->nalgorithms; i++)
        if (strcmp(a->algorithms[i].op, op) == 0 &&
            strcmp(a->algorithms[i].algo, algo) == 0)
            return i;
    a->algorithms =
        grow(a->algorithms, a->nalgorithms, &a->algorithms_room, sizeof(*a->algorithms));
    a->algorithms[a->nalgorithms] = (struct acc_algorithm){op, algo};
    return a->nalgorithms++;
}

static bool same_kernel(const struct reader *r, const struct acc_kernel *k)
{
    return strcmp(k->op, cell(r, C_OP)) == 0 && strcmp(k->algo, cell(r, C_ALGO)) == 0 &&
           strcmp(k->isa, cell(r, C_ISA)) == 0 &&
           strcmp(acc_dtype[k->dtype], cell(r, C_DTYPE)) == 0;
}

/* Lines of one kernel stand together: the last one found is tried first. */
static size_t known_kernel(const struct acc *a, const char *name)
{
    size_t last = a->ncases > 0 ? a->cases[a->ncases - 1].kernel : 0;
    if (a->nkernels > 0 && strcmp(a->kernels[last].name, name) == 0)
        return last;
    for (size_t i = 0; i < a->nkernels; i++)
        if (strcmp(a->kernels[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

static enum nb_status find_kernel(struct reader *r, size_t *index, struct nb_err *err)
{
    struct acc *a = r->a;
    size_t dtype = word(cell(r, C_DTYPE), acc_dtype, ACC_DTYPES);
    if (dtype == SIZE_MAX)
        return nb_csv_fail(&a->csv, err, "dtype \"%.40s\" is none of f32, f64, f16, bf16",
                           cell(r, C_DTYPE));
    *index = known_kernel(a, cell(r, C_KERNEL));
    if (*index != SIZE_MAX)
        return same_kernel(r, &a->kernels[*index])
                   ? NB_OK
                   : nb_csv_fail(&a->csv, err,
                                 "%.100s has another op, algo, isa or dtype above",
                                 cell(r, C_KERNEL));
    a->kernels = grow(a->kernels, a->nkernels, &a->kernels_room, sizeof(*a->kernels));
    a->kernels[a->nkernels] = (struct acc_kernel){
        .name = cell(r, C_KERNEL),
        .op = cell(r, C_OP),
        .algo = cell(r, C_ALGO),
        .isa = cell(r, C_ISA),
        .trick = strcmp(cell(r, C_TRICK), "null") == 0 ? "none" : cell(r, C_TRICK),
        .dtype = dtype,
        .algorithm = find_algorithm(a, cell(r, C_OP), cell(r, C_ALGO)),
        .strength = strength(cell(r, C_ISA))};
    *index = a->nkernels++;
    return NB_OK;
}

/* A family is a name in a class. */
static enum nb_status find_family(struct reader *r, size_t *index, struct nb_err *err)
{
    struct acc *a = r->a;
    const char *name = cell(r, C_FAMILY);
    size_t class = word(cell(r, C_CLASS), acc_class_name, ACC_CLASSES);
    if (class == SIZE_MAX)
        return nb_csv_fail(&a->csv, err,
                           "class \"%.40s\" is none of random, attack, range, params, "
                           "special, sweep",
                           cell(r, C_CLASS));
    for (*index = 0; *index < a->nfamilies; ++*index)
        if ((size_t)a->families[*index].class == class &&
            strcmp(a->families[*index].name, name) == 0)
            return NB_OK;
    a->families =
        grow(a->families, a->nfamilies, &a->families_room, sizeof(*a->families));
    a->families[a->nfamilies++] =
        (struct acc_family){name, (enum acc_class) class, sweep_mean(name), 0};
    return NB_OK;
}

/* ---- lines ---- */

static enum nb_status read_numbers(struct reader *r, struct acc_case *c,
                                   struct nb_err *err)
{
    double *const to[] = {&c->inside, &c->unstable,     &c->overflow, &c->nonfinite,
                          &c->k2,     &c->E_max,        &c->E_any,    &c->bound,
                          &c->share,  &c->share_likely, &c->ulp_max,  &c->normwise};
    for (int i = 0; i < COLUMNS - FIRST_NUMBER; i++) {
        const char *text = cell(r, FIRST_NUMBER + i);
        if (!nb_csv_number(text, to[i]))
            return nb_csv_fail(&r->a->csv, err,
                               "%s is \"%.40s\": neither number nor null",
                               columns[FIRST_NUMBER + i], text);
    }
    return NB_OK;
}

static bool is_hist(const char *text)
{
    char *end;
    for (int i = 0; i < ACC_HIST; i++, text = end + 1) {
        if (*text < '0' || *text > '9')
            return false;
        (void)strtoull(text, &end, 10);
        if (*end != (i < ACC_HIST - 1 ? '|' : 0))
            return false;
    }
    return true;
}

static enum nb_status read_words(struct reader *r, struct acc_case *c, struct nb_err *err)
{
    const struct nb_csv *csv = &r->a->csv;
    double v;
    if (!nb_csv_number(cell(r, C_SCHEMA), &v) || !(v >= 1))
        return nb_csv_fail(csv, err, "schema is \"%.40s\"", cell(r, C_SCHEMA));
    if (v > SCHEMA)
        return nb_csv_fail(
            csv, err, "schema %g, this program reads up to %d: use a newer normbench", v,
            SCHEMA);
    if (!nb_csv_number(cell(r, C_HIDDEN), &v) || !(v >= 1 && v <= 1e12 && floor(v) == v))
        return nb_csv_fail(csv, err, "hidden is \"%.40s\": no row length",
                           cell(r, C_HIDDEN));
    c->hidden = (size_t)v;
    c->verdict_name = cell(r, C_VERDICT);
    if (!read_verdict(c->verdict_name, &c->verdict))
        return nb_csv_fail(csv, err, "unknown verdict \"%.40s\"", c->verdict_name);
    c->repro = cell(r, C_REPRO);
    c->ulp_hist = cell(r, C_ULP_HIST);
    if (strcmp(c->ulp_hist, "null") == 0)
        c->ulp_hist = NULL;
    else if (!is_hist(c->ulp_hist))
        return nb_csv_fail(csv, err, "ulp_hist: not %d counts with | between", ACC_HIST);
    return NB_OK;
}

static enum nb_status read_case(struct reader *r, struct nb_err *err)
{
    struct acc *a = r->a;
    struct acc_case c = {.kernel = 0};
    enum nb_status status = read_words(r, &c, err);
    if (status == NB_OK)
        status = read_numbers(r, &c, err);
    if (status == NB_OK)
        status = find_kernel(r, &c.kernel, err);
    if (status == NB_OK)
        status = find_family(r, &c.family, err);
    if (status != NB_OK)
        return status;
    a->cases = grow(a->cases, a->ncases, &a->cases_room, sizeof(*a->cases));
    a->cases[a->ncases++] = c;
    a->kernels[c.kernel].runs |= c.verdict != ACC_SKIP;
    if (c.unstable > 0 || c.overflow > 0)
        a->families[c.family].hard |= 1u << a->kernels[c.kernel].dtype;
    return NB_OK;
}

enum nb_status acc_load(struct acc *a, const char *path, struct nb_err *err)
{
    struct reader r = {.a = a};
    bool more = true;
    *a = (struct acc){.ncases = 0};
    enum nb_status status = nb_csv_open(&a->csv, path, err);
    for (int c = 0; status == NB_OK && c < COLUMNS; c++)
        status = nb_csv_column(&a->csv, columns[c], &r.at[c], err);
    while (status == NB_OK && more) {
        status = nb_csv_next(&a->csv, &more, err);
        if (status == NB_OK && more)
            status = read_case(&r, err);
    }
    if (status == NB_OK && a->ncases == 0)
        status = nb_fail(err, "%s holds no result: only the header line", path);
    return status;
}

void acc_free(struct acc *a)
{
    nb_csv_close(&a->csv);
    free(a->kernels);
    free(a->families);
    free(a->algorithms);
    free(a->cases);
}

/* ---- questions ---- */

/* Of equals the one without a trick. */
size_t acc_best(const struct acc *a, size_t algorithm, size_t dtype, bool scalar)
{
    size_t best = SIZE_MAX;
    int most = -1;
    for (size_t i = 0; i < a->nkernels; i++) {
        const struct acc_kernel *k = &a->kernels[i];
        int rank = 2 * k->strength + (strcmp(k->trick, "none") == 0);
        if (k->algorithm == algorithm && k->dtype == dtype && k->runs &&
            (k->strength == 0) == scalar && rank > most) {
            best = i;
            most = rank;
        }
    }
    return best;
}

bool acc_has_dtype(const struct acc *a, size_t dtype)
{
    for (size_t i = 0; i < a->nkernels; i++)
        if (a->kernels[i].dtype == dtype && a->kernels[i].runs)
            return true;
    return false;
}

void acc_add_hist(const struct acc_case *c, double counts[ACC_HIST])
{
    char *at = (char *)c->ulp_hist;
    for (int i = 0; at != NULL && i < ACC_HIST; i++, at++)
        counts[i] += (double)strtoull(at, &at, 10);
}

size_t acc_hidden(const struct acc *a, size_t dtype, int class, size_t wanted)
{
    size_t found = 0;
    double least = INFINITY;
    for (size_t i = 0; i < a->ncases; i++) {
        const struct acc_case *c = &a->cases[i];
        double away = fabs(log((double)c->hidden / (double)wanted));
        if (a->kernels[c->kernel].dtype == dtype && away < least &&
            (class == ACC_NONE || (int)a->families[c->family].class == class)) {
            found = c->hidden;
            least = away;
        }
    }
    return found;
}

/* LayerNorm: rms(x)/std of the rows as they are stored. Others have no std: that of the
 * data before, a plus N(0,1). */
double acc_conditioning(const struct acc *a, const struct acc_case *c)
{
    double mean = a->families[c->family].mean;
    if (nb_op_facts((uint32_t)nb_op_parse(a->kernels[c->kernel].op))->centred && isfinite(c->k2))
        return c->k2;
    return sqrt(1 + mean * mean);
}

bool acc_is_nonfinite(const struct acc_case *c)
{
    return isinf(c->normwise) || isinf(c->E_any) || c->nonfinite > 0;
}

bool acc_was_judged(const struct acc_case *c)
{
    return c->verdict != ACC_SKIP && c->verdict != ACC_CRASHED &&
           c->verdict != ACC_TIMED_OUT && (acc_is_nonfinite(c) || !isnan(c->normwise));
}

bool acc_is_broken(const struct acc_case *c)
{
    return acc_is_nonfinite(c) || c->normwise > 0.1;
}

/* ---- times ---- */

enum time_column {
    T_KERNEL,
    T_DIR,
    T_FUSE,
    T_DTYPE,
    T_STATS_OUT,
    T_CELL,
    T_HIDDEN,
    T_THREADS,
    T_RESIDENCY,
    T_NS,
    TIME_COLUMNS
};

struct times_reader {
    struct acc_times *t;
    const struct acc *a;
    struct nb_csv csv;
    size_t at[TIME_COLUMNS];
    char cell[ACC_DTYPES][256]; /* the cell chosen */
};

static const char *time_cell(const struct times_reader *r, enum time_column c)
{
    return r->csv.cell[r->at[c]];
}

/* By the cell's name: results of old have no column for it. */
static bool is_in_place(const char *cell)
{
    const size_t n = strlen(cell);
    return n >= 3 && strcmp(cell + n - 3, "-ip") == 0;
}

/* A plain forward pass on one thread, data in L2, with a time. */
static bool is_candidate(const struct times_reader *r, size_t *dtype, double *ns,
                         double *hidden)
{
    *dtype = word(time_cell(r, T_DTYPE), acc_dtype, ACC_DTYPES);
    return *dtype != SIZE_MAX && strcmp(time_cell(r, T_RESIDENCY), "L2") == 0 &&
           strcmp(time_cell(r, T_THREADS), "1") == 0 &&
           strcmp(time_cell(r, T_DIR), "fwd") == 0 &&
           strcmp(time_cell(r, T_FUSE), "none") == 0 &&
           strcmp(time_cell(r, T_STATS_OUT), "0") == 0 && !is_in_place(time_cell(r, T_CELL)) &&
           nb_csv_number(time_cell(r, T_HIDDEN), hidden) && *hidden >= 1 &&
           *hidden <= 1e12 && nb_csv_number(time_cell(r, T_NS), ns) && *ns > 0 &&
           isfinite(*ns);
}

/* One cell a dtype: of the hidden nearest to 1024, the first. */
static void choose_cell(struct times_reader *r)
{
    size_t dtype;
    double ns, hidden;
    if (!is_candidate(r, &dtype, &ns, &hidden))
        return;
    double chosen = (double)r->t->hidden[dtype];
    if (chosen == 0 || fabs(log(hidden / 1024)) < fabs(log(chosen / 1024))) {
        r->t->hidden[dtype] = (size_t)hidden;
        snprintf(r->cell[dtype], sizeof(r->cell[dtype]), "%s", time_cell(r, T_CELL));
    }
}

static void take_time(struct times_reader *r)
{
    size_t dtype;
    double ns, hidden;
    if (!is_candidate(r, &dtype, &ns, &hidden) ||
        strncmp(r->cell[dtype], time_cell(r, T_CELL), sizeof(r->cell[dtype]) - 1) != 0)
        return;
    size_t kernel = known_kernel(r->a, time_cell(r, T_KERNEL));
    if (kernel != SIZE_MAX && r->a->kernels[kernel].dtype == dtype)
        r->t->ns[kernel] = ns / hidden;
}

static enum nb_status read_times(struct times_reader *r, const char *path,
                                 void (*take)(struct times_reader *), struct nb_err *err)
{
    static const char *const names[TIME_COLUMNS] = {
        "kernel", "dir",    "fuse",    "dtype",     "stats_out",
        "cell",   "hidden", "threads", "residency", "ns_per_row"};
    bool more = true;
    enum nb_status status = nb_csv_open(&r->csv, path, err);
    for (int c = 0; status == NB_OK && c < TIME_COLUMNS; c++)
        status = nb_csv_column(&r->csv, names[c], &r->at[c], err);
    while (status == NB_OK && more) {
        status = nb_csv_next(&r->csv, &more, err);
        if (status == NB_OK && more)
            take(r);
    }
    nb_csv_close(&r->csv);
    return status;
}

static bool have_times(const struct acc_times *t, const struct acc *a)
{
    for (size_t i = 0; i < a->nkernels; i++)
        if (isfinite(t->ns[i]))
            return true;
    return false;
}

void acc_times_load(struct acc_times *t, const struct acc *a, const char *run_dir)
{
    struct times_reader r = {.t = t, .a = a};
    struct nb_err err = {""};
    char path[NB_PATH];
    *t = (struct acc_times){.ns = malloc((a->nkernels + 1) * sizeof(double))};
    NB_ASSERT(t->ns != NULL && "out of memory");
    for (size_t i = 0; i < a->nkernels; i++)
        t->ns[i] = NAN;
    if (run_dir == NULL) {
        snprintf(t->reason, sizeof(t->reason), "no run was named to take times from");
        return;
    }
    nb_file_path(path, run_dir, "results.csv", "");
    enum nb_status status = read_times(&r, path, choose_cell, &err);
    if (status == NB_OK)
        status = read_times(&r, path, take_time, &err);
    if (status != NB_OK)
        snprintf(t->reason, sizeof(t->reason), "%.500s", err.text);
    else if (!have_times(t, a))
        snprintf(t->reason, sizeof(t->reason),
                 "%.300s has no time of these kernels in L2 on one thread", path);
}

void acc_times_free(struct acc_times *t)
{
    free(t->ns);
}
