#include "synthetic_accuracy.h"
#include "csv.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const char *const isas[] = {"scalar", "autovec_avx2", "autovec_avx512",
                                   "avx2",   "avx512",       "avx512bf16"};
static const double lanes[] = {1, 8, 16, 16, 32, 32};
static const double speed[] = {1, 1.7, 2.0, 4.6, 6.4, 7.2};
enum { ISAS = 6 };

/* slope: of the error in the conditioning; grows: that of c, the additions in one sum;
 * cost: time of an element in plain C */
struct algo {
    const char *op, *algo;
    int slope;
    double grows, cost;
};
static const struct algo algos[] = {
    {"copy", "plain", 0, 0, 0.2},          {"scale", "plain", 0, 0, 0.25},
    {"affine", "gamma", 0, 0, 0.3},        {"affine", "gammabeta", 0, 0, 0.33},
    {"layernorm", "unfused", 1, 0.5, 2.3}, {"layernorm", "naive", 1, 0.5, 2.1},
    {"layernorm", "twopass", 1, 0.5, 1.5}, {"layernorm", "welford", 1, 0.35, 3.1},
    {"layernorm", "onepass", 2, 0.5, 1.1}, {"layernorm", "onepass_shifted", 1, 0.4, 1.25},
    {"layernorm", "f64acc", 0, 0, 1.9},    {"rmsnorm", "unfused", 0, 0.5, 1.5},
    {"rmsnorm", "naive", 0, 0.5, 1.2},     {"rmsnorm", "onepass", 0, 0.5, 0.9},
    {"rmsnorm", "welford", 0, 0.3, 1.8},   {"rmsnorm", "scaled", 0, 0.5, 1.6},
    {"rmsnorm", "f64acc", 0, 0, 1.2},
};
enum { ALGOS = sizeof(algos) / sizeof(*algos) };

static const char *const random_names[] = {
    "normal",         "uniform",       "laplace",     "student-t3",   "lognormal",
    "exponential",    "bimodal",       "transformer", "activations",  "outlier-channels",
    "relu",           "gelu",          "sparse-1pct", "sparse-50pct", "normal-wide",
    "normal-narrow",  "residual-deep", "mixture",     "ramp-noise",   "random-bits",
    "permuted-normal"};
static const char *const attack_names[] = {
    "big-then-ones", "ones-then-big", "alternating",    "cancelling-pair", "sorted-up",
    "sorted-down",   "spike-first",   "spike-last",     "massive-spikes",  "offset-1e3",
    "offset-1e5",    "tiny-spread",   "half-ulp-steps", "lane-skew",       "lane-cancel",
    "worst-order",   "greedy-up",     "greedy-down",    "stagnation"};
static const char *const hazard_names[] = {
    "offset-huge", "constant-offset", "near-max",  "near-min",
    "one-huge",    "square-overflow", "subnormal", "mixed-range"};
static const char *const special_names[] = {
    "zeros", "constant", "one-nan", "one-inf", "all-inf", "minus-zero", "single-nonzero"};

struct line {
    FILE *f;
    const struct synthetic_accuracy *s;
    const struct algo *algo;
    const char *dtype, *family, *class;
    int isa;
    double hidden, k;
};

static double unit(const char *dtype)
{
    return strcmp(dtype, "f64") == 0 ? exp2(-53) : exp2(-24);
}

/* Half a last place of the output. */
static double out_unit(const char *dtype)
{
    return strcmp(dtype, "f16") == 0    ? exp2(-11)
           : strcmp(dtype, "bf16") == 0 ? exp2(-8)
                                        : unit(dtype);
}

/* In [0.5, 1.5), the same for the same words. */
static double jitter(const struct line *l, const char *salt)
{
    const char *const words[] = {l->algo->op, l->algo->algo, l->dtype, l->family, salt};
    uint64_t h = 1469598103934665603u + (uint64_t)(l->isa * 977) + (uint64_t)l->hidden;
    for (int i = 0; i < 5; i++)
        for (const char *s = words[i]; *s; s++)
            h = (h ^ (unsigned char)*s) * 1099511628211u;
    return 0.5 + (double)(h >> 11 & 0xFFFF) / 65536;
}

static double additions(const struct line *l)
{
    return 8 + 2 * l->algo->grows * l->hidden / lanes[l->isa];
}

static bool narrow(const char *dtype)
{
    return strcmp(dtype, "f16") == 0 || strcmp(dtype, "bf16") == 0;
}

/* Error in units of u, on data without conditioning to speak of. */
static double random_error(const struct line *l)
{
    double E = 0.55 + 0.3 * sqrt(additions(l)) * l->algo->grows * jitter(l, "E");
    if (l->algo->cost < 0.5)
        E = l->algo->cost < 0.22 ? 0 : 0.9;
    return narrow(l->dtype) ? fmin(1.2, 0.97 + 1e-3 * E) : E;
}

static void put(FILE *f, double v)
{
    if (isnan(v))
        fputs(",null", f);
    else if (isinf(v))
        fputs(",inf", f);
    else
        fprintf(f, ",%.6g", v);
}

static void name(char text[96], const struct line *l)
{
    snprintf(text, 96, "%s_fwd_%s__%s_%s", l->algo->op, l->algo->algo, l->dtype,
             isas[l->isa]);
}

static void put_hist(FILE *f, const struct line *l, double E)
{
    double n = 8 * l->hidden, wide = narrow(l->dtype) ? 0.02 : 0.25 * E;
    fputc(',', f);
    for (int i = 0; i < 28; i++) {
        double at = i == 0 ? 0.25 : exp2(i - 1.6), share = exp(-at / fmax(wide, 0.05));
        fprintf(f, "%s%.0f", i ? "|" : "", i == 0 ? n : floor(n * share));
    }
}

struct outcome {
    const char *verdict;
    double rows, unstable, overflow, nonfinite, E_max, E_any, bound, likely, normwise;
};

static void put_line(const struct line *l, const struct outcome *o)
{
    char kernel[96], repro[256];
    double inside = o->rows - o->unstable - o->overflow, k1 = l->k * 0.8;
    name(kernel, l);
    snprintf(repro, sizeof(repro),
             "normbench accuracy --kernel %s --family %s --hidden %.0f", kernel,
             l->family, l->hidden);
    fprintf(l->f, "1,%s,%s,%s,%s,none,%s,", kernel, l->algo->op, l->algo->algo,
            isas[l->isa], l->dtype);
    nb_csv_put_text(l->f, l->family);
    fprintf(l->f, ",%s,%.0f,%.0f,%s,%.0f,%.0f,%.0f,%.0f", l->class, l->hidden, o->rows,
            o->verdict, inside, o->unstable, o->overflow, o->nonfinite);
    const double v[] = {k1,
                        l->k,
                        o->E_max,
                        o->E_max * 0.6,
                        o->E_any,
                        o->bound,
                        o->likely,
                        o->E_max / o->bound,
                        o->E_max / o->likely,
                        narrow(l->dtype) ? 0.5 + 0.01 * o->E_max : o->E_max * 1.3,
                        o->normwise,
                        o->normwise * 0.2,
                        o->normwise * 0.01,
                        o->normwise * 0.1};
    for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
        put(l->f, v[i]);
    put_hist(l->f, l, isnan(o->E_any) || isinf(o->E_any) ? 1 : o->E_any);
    fputc(',', l->f);
    nb_csv_put_text(l->f, repro);
    fputc('\n', l->f);
}

static struct outcome outcome(const struct line *l, double E)
{
    double c = additions(l);
    return (struct outcome){"PASS",
                            8,
                            0,
                            0,
                            0,
                            E,
                            E,
                            narrow(l->dtype) ? 1 + c * 0.01 : c + 4,
                            narrow(l->dtype) ? 1.2 : 3 * sqrt(c) + 4,
                            fmax(E * unit(l->dtype), 0.7 * out_unit(l->dtype)) / 4};
}

static void random_line(const struct line *l)
{
    struct outcome o = outcome(l, random_error(l));
    put_line(l, &o);
}

static void attack_line(struct line *l)
{
    char kernel[96];
    double r = random_error(l), c = additions(l), j = jitter(l, "attack");
    struct outcome o = outcome(
        l, narrow(l->dtype) ? r : r + (c - r) * fmax(0, j - 0.8) * l->algo->grows);
    name(kernel, l);
    if (l->s->fails != NULL && strcmp(kernel, l->s->fails) == 0) {
        o.verdict = j > 0.9 ? "FAIL_NONFINITE" : "FAIL_VALUE";
        o.nonfinite = j > 0.9 ? 3 : 0;
        o.E_any = j > 0.9 ? INFINITY : 40 * o.bound;
        o.E_max = o.bound * 40;
    }
    if (l->algo->slope == 2 && strncmp(l->family, "offset-1e", 9) == 0) {
        o.unstable = l->family[9] == '5' ? 8 : 2;
        o.E_any = 1e5 * j;
    }
    if (o.unstable == 8) {
        o.verdict = "UNTESTED";
        o.E_max = o.bound = o.likely = NAN;
    }
    put_line(l, &o);
}

/* Which algorithms a hazard hits. */
static void hazard_line(struct line *l)
{
    double E = random_error(l);
    struct outcome o = outcome(l, E);
    bool norm = l->algo->cost > 0.5, offset = strstr(l->family, "offset") != NULL;
    bool hit = norm && (offset ? l->algo->slope == 2 || l->algo->slope == 1
                               : strcmp(l->algo->algo, "scaled") != 0 &&
                                     strcmp(l->algo->algo, "f64acc") != 0);
    if (hit) {
        o.unstable = offset ? 8 : 0;
        o.overflow = offset ? 0 : strcmp(l->family, "mixed-range") == 0 ? 3 : 8;
        o.E_any = offset ? 4e4 : INFINITY;
        o.nonfinite = offset ? 0 : 17;
        if (o.unstable + o.overflow == 8) {
            o.verdict = "UNTESTED";
            o.E_max = o.bound = o.likely = NAN;
        }
    }
    put_line(l, &o);
}

static void special_line(struct line *l)
{
    struct outcome o = outcome(l, fmin(random_error(l), 1.1));
    if (strncmp(l->family, "all-inf", 7) == 0)
        o.E_max = o.E_any = o.normwise = NAN;
    put_line(l, &o);
}

/* The mean a: error u k or u k^2 times the square root of the additions, and what the
 * output's type adds. One pass gives NaN where V comes out negative. */
static void sweep_line(struct line *l, double a)
{
    double u = unit(l->dtype), c = sqrt(additions(l)) * 0.12 * jitter(l, "sweep"), E;
    bool layernorm = strcmp(l->algo->op, "layernorm") == 0;
    l->k = layernorm ? sqrt(1 + a * a) : 1;
    if (strcmp(l->dtype, "bf16") == 0 && layernorm && a > 300)
        l->k = fmin(a * 300, 3e9); /* all elements became one: only eps is left */
    E = random_error(l) + c * (l->algo->slope ? pow(l->k, l->algo->slope - 1) : 0);
    struct outcome o = outcome(l, E);
    o.normwise = u * c * pow(l->k, l->algo->slope) + 0.3 * out_unit(l->dtype);
    if (l->algo->slope == 2 && o.normwise > 0.4) {
        o.unstable = 8;
        o.verdict = "UNTESTED";
        o.E_max = o.bound = o.likely = NAN;
        bool nan = jitter(l, "sign") > 0.8;
        o.nonfinite = nan ? 8 * l->hidden : 0;
        o.normwise = nan ? INFINITY : fmin(o.normwise, 300 * jitter(l, "most"));
        o.E_any = nan ? INFINITY : 1e6;
    }
    if (strcmp(l->dtype, "f16") == 0 && a > 65000)
        o.E_max = o.E_any = o.normwise = NAN; /* the data are Inf, and NaN is right */
    put_line(l, &o);
}

static void sweep_lines(struct line *l)
{
    char family[32];
    int step = l->s->few ? 6 : 1;
    for (int i = 0; i <= 14; i += step) {
        snprintf(family, sizeof(family), i % 2 ? "sweep-1e%d.5" : "sweep-1e%d", i / 2);
        l->family = family;
        sweep_line(l, pow(10, i / 2.0));
    }
}

static void class_lines(struct line *l, const char *class, const char *const *names,
                        size_t n)
{
    l->class = class;
    for (size_t i = 0; i < (l->s->few ? 1 : n); i++) {
        l->family = names[i];
        l->k = 1.2;
        if (strcmp(class, "random") == 0)
            random_line(l);
        else if (strcmp(class, "attack") == 0)
            attack_line(l);
        else if (strcmp(class, "range") == 0)
            hazard_line(l);
        else
            special_line(l);
    }
}

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void kernel_lines(struct line *l)
{
    class_lines(l, "random", random_names, LENGTH(random_names));
    if (l->s->family != NULL)
        class_lines(l, "random", &l->s->family, 1);
    class_lines(l, "attack", attack_names, LENGTH(attack_names));
    class_lines(l, "range", hazard_names, LENGTH(hazard_names));
    class_lines(l, "special", special_names, LENGTH(special_names));
    l->class = "sweep";
    sweep_lines(l);
}

static bool has(const struct line *l)
{
    return l->isa < 5 || strcmp(l->dtype, "bf16") == 0;
}

/* The next word; false: there is none. */
static bool next_word(const char **from, char word[16])
{
    size_t n = strcspn(*from, " ");
    snprintf(word, 16, "%.*s", (int)n, *from);
    *from += n + ((*from)[n] == ' ');
    return n > 0;
}

static FILE *open_in(const char *dir, const char *file)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *f = fopen(path, "w");
    NB_ASSERT(f != NULL && "cannot write");
    return f;
}

void synthetic_accuracy_write(const char *dir, const struct synthetic_accuracy *s)
{
    struct line l = {.f = open_in(dir, "accuracy.csv"), .s = s};
    char dtype[16], hidden[16];
    fputs(
        "schema,kernel,op,algo,isa,trick,dtype,family,class,hidden,rows,verdict,inside,"
        "unstable,overflow,nonfinite,k1,k2,E_max,E_p99,E_any,bound,likely,share,"
        "share_likely,ulp_max,normwise,rms_error,mean_error,rstd_error,ulp_hist,repro\n",
        l.f);
    for (l.isa = 0; l.isa < ISAS; l.isa++)
        for (const char *d = s->dtypes; next_word(&d, dtype);)
            for (l.algo = algos; l.algo < algos + ALGOS; l.algo++)
                for (const char *h = s->hiddens; next_word(&h, hidden);) {
                    l.dtype = dtype;
                    l.hidden = atof(hidden);
                    if (has(&l))
                        kernel_lines(&l);
                }
    NB_ASSERT(fclose(l.f) == 0 && "cannot write");
}

void synthetic_times_write(const char *dir, const char *dtypes)
{
    struct line l = {.f = open_in(dir, "results.csv"), .family = "", .hidden = 1024};
    char dtype[16], kernel[96];
    fputs("schema,kernel,dir,fuse,dtype,stats_out,cell,hidden,threads,residency,"
          "ns_per_row\n",
          l.f);
    for (l.isa = 0; l.isa < ISAS; l.isa++)
        for (const char *d = dtypes; next_word(&d, dtype);)
            for (l.algo = algos; l.algo < algos + ALGOS; l.algo++) {
                l.dtype = dtype;
                name(kernel, &l);
                if (has(&l))
                    fprintf(l.f,
                            "1,%s,fwd,none,%s,0,fwd-none-%s-h1024-r128-t1-L2,1024,1,L2,"
                            "%.6g\n",
                            kernel, dtype, dtype,
                            1024 * l.algo->cost / speed[l.isa] *
                                (0.8 + 0.4 * jitter(&l, "time")));
            }
    NB_ASSERT(fclose(l.f) == 0 && "cannot write");
}
