/* peers_test: without arguments, what an adapter to another library promises (kernels/peers). With
 * arguments: normbench with every peer that was built, for peers_test.sh. */
#include "cli.h"
#include "cpu.h"
#include "peers.h"
#include "registry.h"

#include <dirent.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;

static void expect(bool ok, const struct nb_kernel *k, const char *what)
{
    checks++;
    failures += !ok;
    if (!ok)
        fprintf(stderr, "FAILED: %s: %s\n", k != NULL ? k->name : "peers", what);
}

/* ---- one problem ---- */

enum { ROWS = 37, HIDDEN = 1000, CELLS = ROWS * HIDDEN };
static const double EPS = 1e-3;

/* f32 or 16 bits, all zeros and small integers: exact in every dtype. Backward y is dx, and mean and rstd are given. */
struct tensors {
    _Alignas(64) char x[CELLS * 4], y[CELLS * 4], gamma[HIDDEN * 4], beta[HIDDEN * 4];
    char dy[CELLS * 4], dgamma[HIDDEN * 4], dbeta[HIDDEN * 4];
    float mean[ROWS], rstd[ROWS];
};
static struct tensors t, other;

static double value(size_t i)
{
    return (double)(i * 7919 % 17) - 6;
}

/* Of integers up to 16: their bits in f32, whose upper half is bf16; f16 by its formula. */
static void put(char *at, uint32_t dtype, size_t i, double v)
{
    const float f = (float)v;
    uint32_t bits;
    int exponent;
    memcpy(&bits, &f, sizeof bits);
    const double fraction = frexp(fabs(v), &exponent);
    const uint16_t half = (uint16_t)(v == 0 ? 0 : (v < 0 ? 0x8000 : 0) | (exponent + 14) << 10 |
                                     ((unsigned)(fraction * 2048) & 0x3ff));
    const uint16_t narrow = dtype == NB_F16 ? half : (uint16_t)(bits >> 16);
    if (dtype == NB_F32)
        memcpy(at + 4 * i, &bits, sizeof bits);
    else
        memcpy(at + 2 * i, &narrow, sizeof narrow);
}

static struct nb_problem problem_of(const struct nb_kernel *k, uint32_t param_dtype)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem), .op = k->op, .dir = k->dir, .dtype = k->dtype,
                               .param_dtype = param_dtype, .stats_out = k->dir == NB_FWD, .rows = ROWS,
                               .hidden = HIDDEN, .ldx = HIDDEN, .ldy = HIDDEN, .eps = EPS};
}

struct statistics {
    double mean, rstd;
};

static struct statistics statistics_of(uint32_t op, size_t row)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < HIDDEN && op == NB_OP_LAYERNORM; i++)
        mean += value(row * HIDDEN + i) / HIDDEN;
    for (size_t i = 0; i < HIDDEN; i++)
        square += (value(row * HIDDEN + i) - mean) * (value(row * HIDDEN + i) - mean) / HIDDEN;
    return (struct statistics){mean, 1 / sqrt(square + EPS)};
}

/* The gradient is (an integer + shift) * scale: exact, and so are its sums. */
static double scale = 1, shift;

static double dy_value(size_t i)
{
    return (value(11 * i + 4) + shift) * scale;
}

static struct nb_args fill_back(struct tensors *m, const struct nb_problem *p, uint32_t parts)
{
    memset(m, 0xa5, sizeof *m);
    for (size_t i = 0; i < CELLS; i++) {
        put(m->x, p->dtype, i, value(i));
        put(m->dy, p->dtype, i, dy_value(i));
    }
    for (size_t i = 0; i < HIDDEN; i++)
        put(m->gamma, p->param_dtype, i, value(3 * i + 1));
    for (size_t r = 0; r < ROWS; r++) {
        const struct statistics s = statistics_of(p->op, r);
        m->mean[r] = (float)s.mean;
        m->rstd[r] = (float)s.rstd;
    }
    return (struct nb_args){.size = sizeof(struct nb_args), .parts = parts, .x = m->x, .dy = m->dy, .dx = m->y,
                            .gamma = m->gamma, .mean = m->mean, .rstd = m->rstd, .dgamma = m->dgamma,
                            .dbeta = p->op == NB_OP_LAYERNORM ? m->dbeta : NULL};
}

static struct nb_args fill(struct tensors *m, const struct nb_problem *p, uint32_t parts)
{
    if (p->dir == NB_BWD)
        return fill_back(m, p, parts);
    memset(m, 0xa5, sizeof *m);
    for (size_t i = 0; i < CELLS; i++)
        put(m->x, p->dtype, i, value(i));
    for (size_t i = 0; i < HIDDEN; i++) {
        put(m->gamma, p->param_dtype, i, value(3 * i + 1));
        put(m->beta, p->param_dtype, i, value(5 * i + 2));
    }
    return (struct nb_args){.size = sizeof(struct nb_args), .parts = parts, .x = m->x, .y = m->y,
                            .gamma = m->gamma, .beta = m->beta, .mean = m->mean, .rstd = m->rstd};
}

static void run_part(const struct nb_kernel *k, const void *state, struct nb_args a, int part)
{
    a.part = (uint32_t)part;
    a.scratch = a.scratch ? (char *)a.scratch + (size_t)part * a.scratch_step : NULL;
    k->run(state, &a);
}

static void reduce_all(const struct nb_kernel *k, const void *state, struct nb_args a)
{
    for (a.part = 0; k->reduce != NULL && a.part < a.parts; a.part++)
        k->reduce(state, &a);
}

/* One part outside of any parallel region, as the harness calls it. */
static void run_all(const struct nb_kernel *k, const struct nb_problem *p, struct nb_args a)
{
    a.scratch_step = k->scratch_bytes ? (k->scratch_bytes(p, a.parts) + 63) / 64 * 64 : 0;
    a.scratch = a.scratch_step ? aligned_alloc(64, a.parts * a.scratch_step) : NULL;
    if (a.scratch != NULL)
        memset(a.scratch, 0xff, a.parts * a.scratch_step); /* NaN */
    void *state = k->prepare(p, &a);
    if (a.parts == 1) {
        run_part(k, state, a, 0);
    } else {
#pragma omp parallel num_threads((int)a.parts)
        run_part(k, state, a, omp_get_thread_num());
    }
    reduce_all(k, state, a);
    k->finish(state);
    free(a.scratch);
}

/* ---- promises ---- */

static int threads_of_process(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int n = -2; /* . and .. */
    while (tasks != NULL && readdir(tasks) != NULL)
        n++;
    closedir(tasks);
    return n;
}

/* Before anything else has started a team. */
static void test_one_thread(const struct nb_kernel *k)
{
    const struct nb_problem p = problem_of(k, NB_F32);
    const int before = threads_of_process();
    omp_set_num_threads(4);
    run_all(k, &p, fill(&t, &p, 1));
    expect(threads_of_process() == before, k, "run started threads of its own");
    expect(omp_get_max_threads() == 4, k, "run leaves another number of threads behind");
}

static void test_counter_counts(void)
{
    int started = 0;
#pragma omp parallel num_threads(3) reduction(+ : started)
    started++;
    expect(started == 3 && threads_of_process() >= 3, NULL, "threads are not counted at all");
}

static bool near(double got, double want, double size)
{
    return fabs(got - want) <= 1e-5 * size;
}

static const float *floats(const char *at)
{
    return (const float *)(const void *)at;
}

/* Sums over rows, of which those of the integers dy are exact. */
static void expect_shares(const struct nb_kernel *k, const struct nb_problem *p, const struct tensors *of)
{
    bool dgamma_right = true, dbeta_right = true;
    for (size_t i = 0; i < HIDDEN; i++) {
        double dgamma = 0, dbeta = 0, size = 0;
        for (size_t r = 0; r < p->rows; r++) {
            const struct statistics s = {of->mean[r], of->rstd[r]};
            const double dy = dy_value(r * HIDDEN + i), xhat = (value(r * HIDDEN + i) - s.mean) * s.rstd;
            dgamma += dy * xhat;
            size += fabs(dy * xhat);
            dbeta += dy;
        }
        dgamma_right &= near(floats(of->dgamma)[i], dgamma, size);
        dbeta_right &= k->op != NB_OP_LAYERNORM || floats(of->dbeta)[i] == dbeta;
    }
    expect(dgamma_right, k, "dgamma is wrong");
    expect(dbeta_right, k, "dbeta is wrong");
}

/* 64 parts: some are without rows. */
static void test_parts(const struct nb_kernel *k)
{
    static const uint32_t parts[] = {3, 64};
    struct nb_problem p = problem_of(k, NB_F32);
    run_all(k, &p, fill(&t, &p, 1));
    if (k->dir == NB_BWD)
        expect_shares(k, &p, &t);
    for (size_t i = 0; i < 2; i++) {
        run_all(k, &p, fill(&other, &p, parts[i]));
        expect(memcmp(t.y, other.y, sizeof t.y) == 0, k, "several threads compute something else than one");
        if (k->dir == NB_BWD)
            expect_shares(k, &p, &other);
        else
            expect(memcmp(&t, &other, sizeof t) == 0, k, "several threads save something else than one");
    }
}

/* dx of a few rows by its formula. */
static void test_gradients(const struct nb_kernel *k)
{
    const struct nb_problem p = problem_of(k, NB_F32);
    if (k->dir != NB_BWD || k->dtype != NB_F32)
        return;
    run_all(k, &p, fill(&t, &p, 1));
    for (size_t r = 0; r < ROWS; r += 12) {
        const struct statistics s = statistics_of(k->op, r);
        double m1 = 0, m2 = 0;
        bool right = true;
        for (size_t i = 0; i < HIDDEN; i++) {
            const double g = dy_value(r * HIDDEN + i) * value(3 * i + 1);
            m1 += k->op == NB_OP_LAYERNORM ? g / HIDDEN : 0;
            m2 += g * (value(r * HIDDEN + i) - s.mean) * s.rstd / HIDDEN;
        }
        for (size_t i = 0; i < HIDDEN; i++) {
            const double g = dy_value(r * HIDDEN + i) * value(3 * i + 1);
            const double xhat = (value(r * HIDDEN + i) - s.mean) * s.rstd;
            right &= near(floats(t.y)[r * HIDDEN + i], s.rstd * (g - m1 - xhat * m2), 10 * s.rstd);
        }
        expect(right, k, "dx is wrong");
    }
}

/* v in so few bits, half a unit going to the even one; f16 from 65520 on is Inf, and coarse below 2^-14. */
static double nearest(uint32_t dtype, double v)
{
    int exponent;
    frexp(v, &exponent);
    const int bits = dtype == NB_F16 ? 11 : 8, least = dtype == NB_F16 ? -24 : -133;
    const double unit = ldexp(1, exponent - bits > least ? exponent - bits : least);
    const double to = nearbyint(v / unit) * unit;
    return dtype == NB_F16 && fabs(to) > 65504 ? copysign(INFINITY, v) : to;
}

static double stored(uint32_t dtype, const char *at, size_t i)
{
    uint16_t bits;
    memcpy(&bits, at + 2 * i, 2);
    const int exponent = dtype == NB_F16 ? bits >> 10 & 31 : bits >> 7 & 255, width = dtype == NB_F16 ? 10 : 7;
    const int fraction = bits & ((1 << width) - 1), top = dtype == NB_F16 ? 31 : 255, bias = top / 2 + width;
    const double v = exponent == top ? (fraction ? NAN : INFINITY)
                     : exponent      ? ldexp(fraction + (1 << width), exponent - bias)
                                     : ldexp(fraction, 1 - bias);
    return bits & 0x8000 ? -v : v;
}

/* Gradients of 16-bit parameters are those of f32 ones, rounded once: ordinary, small and large ones, and ties. */
static void test_narrow_shares(const struct nb_kernel *k)
{
    static const double scales[] = {1, 0x1p-14, 0x1p11, 1}, shifts[] = {0, 0, 0, 70};
    const struct nb_problem own = problem_of(k, k->dtype), f32 = problem_of(k, NB_F32);
    if (k->dir != NB_BWD || k->dtype == NB_F32)
        return;
    for (size_t c = 0; c < sizeof scales / sizeof *scales; c++) {
        bool right = true;
        scale = scales[c];
        shift = shifts[c];
        run_all(k, &own, fill(&t, &own, 1));
        run_all(k, &f32, fill(&other, &f32, 1));
        for (size_t i = 0; i < HIDDEN; i++) {
            right &= stored(k->dtype, t.dgamma, i) == nearest(k->dtype, floats(other.dgamma)[i]);
            right &= k->op != NB_OP_LAYERNORM ||
                     stored(k->dtype, t.dbeta, i) == nearest(k->dtype, floats(other.dbeta)[i]);
        }
        expect(right, k, "dgamma or dbeta in 16 bits is not the nearest");
    }
    scale = 1;
    shift = 0;
}

/* Without gamma it is all ones, and its gradient does not depend on it. */
static void test_no_gamma(const struct nb_kernel *k)
{
    const struct nb_problem p = problem_of(k, NB_F32);
    if (k->dir != NB_BWD)
        return;
    struct nb_args a = fill(&t, &p, 1);
    for (size_t i = 0; i < HIDDEN; i++)
        put(t.gamma, NB_F32, i, 1);
    run_all(k, &p, a);
    a = fill(&other, &p, 1);
    a.gamma = NULL;
    run_all(k, &p, a);
    expect(memcmp(t.y, other.y, sizeof t.y) == 0, k, "no gamma is not a gamma of ones");
    expect(memcmp(t.dgamma, other.dgamma, sizeof t.dgamma) == 0, k, "dgamma depends on gamma");
    a = fill(&other, &p, 1);
    a.gamma = a.dgamma = a.dbeta = NULL;
    run_all(k, &p, a);
    expect(memcmp(t.y, other.y, sizeof t.y) == 0, k, "dx is another where no sums are wanted");
}

static void test_params(const struct nb_kernel *k)
{
    const struct nb_problem own = problem_of(k, k->dtype), f32 = problem_of(k, NB_F32);
    run_all(k, &own, fill(&t, &own, 1));
    run_all(k, &f32, fill(&other, &f32, 1));
    expect(memcmp(t.y, other.y, sizeof t.y) == 0, k, "the same gamma and beta in f32 give another y");
    struct nb_args a = fill(&other, &f32, 1);
    a.gamma = a.beta = NULL;
    run_all(k, &f32, a);
    expect(memcmp(t.y, other.y, sizeof t.y) != 0, k, "gamma and beta change nothing");
}

/* It is given them in a call, and others in the next. */
static void test_given_statistics(const struct nb_kernel *k)
{
    const struct nb_problem p = problem_of(k, NB_F32);
    struct nb_args a = fill(&t, &p, 1);
    if (k->dir != NB_BWD)
        return;
    a.scratch = aligned_alloc(64, (k->scratch_bytes(&p, 1) + 63) / 64 * 64);
    void *state = k->prepare(&p, &a);
    k->run(state, &a);
    const float dx = floats(t.dgamma)[1];
    for (size_t r = 0; r < ROWS; r++)
        t.rstd[r] *= 2;
    k->run(state, &a);
    expect(near(floats(t.dgamma)[1], 2 * dx, fabs(dx)), k, "it remembers the statistics of the call before");
    k->finish(state);
    free(a.scratch);
}

static void test_statistics(const struct nb_kernel *k)
{
    const struct nb_problem p = problem_of(k, NB_F32);
    if (k->dir != NB_FWD)
        return;
    run_all(k, &p, fill(&t, &p, 1));
    for (size_t r = 0; r < ROWS; r++) {
        const struct statistics s = statistics_of(k->op, r);
        expect(k->op == NB_OP_RMSNORM || fabs(t.mean[r] - s.mean) < 1e-5, k, "a mean is wrong");
        expect(fabs(t.rstd[r] / s.rstd - 1) < 1e-5, k, "an rstd is wrong");
    }
}

/* Each option is refused with a reason, or else it is none. */
static void test_refusals(const struct nb_kernel *k)
{
    const struct nb_problem fine = problem_of(k, k->dtype);
    struct nb_problem p[] = {fine, fine, fine, fine, fine, fine, fine, fine};
    p[0].dir = k->dir == NB_FWD ? NB_BWD : NB_FWD;
    p[1].fuse = NB_FUSE_RESIDUAL;
    p[2].eps_mode = NB_EPS_OUTSIDE;
    p[3].order = NB_CAST_BEFORE;
    p[4].gemma = 1;
    p[5].param_dtype = NB_F64;
    p[6].ldx++;
    p[7].ldy++;
    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        expect(k->supports(&p[i]) != NULL, k, "takes what this adapter cannot do");
}

static void test_entry(const struct nb_kernel *k)
{
    char name[128];
    snprintf(name, sizeof name, "%s_%s_%s__%s_%s", nb_op_name(k->op), nb_dir_name(k->dir), k->algo,
             nb_dtype_name(k->dtype), k->isa);
    expect(strcmp(name, k->name) == 0, k, "its name is not made of its parts");
    expect(k->supports && k->prepare && k->finish && k->run, k, "a function is missing");
    expect(k->dir == NB_FWD || (k->reduce && k->scratch_bytes), k, "its sums over rows have no place");
}

static void each(void (*test)(const struct nb_kernel *k), bool runs)
{
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (nb_kernel_origin(k) != NB_PEER || (runs && nb_kernel_why_not(k) != NULL))
            continue;
        const struct nb_problem p = problem_of(k, k->dtype);
        const char *why_not = runs ? k->supports(&p) : NULL;
        if (why_not != NULL)
            printf("%s: %s\n", k->name, why_not);
        else
            test(k);
    }
}

static void register_peers(void)
{
    for (size_t i = 0; i < nb_peer_count(); i++) {
        const struct nb_peer *peer = nb_peer_at(i);
        if (peer->table != NULL)
            nb_registry_add(peer->table, NB_PEER);
    }
}

static void test_rows_of_peers(void)
{
    for (size_t i = 0; i < nb_peer_count(); i++) {
        const struct nb_peer *peer = nb_peer_at(i);
        const bool built = peer->table != NULL;
        expect(built == (peer->version != NULL) && built == (peer->why_not == NULL), NULL,
               "a peer is there with a version, or absent with a reason");
        expect(!built || (peer->table->abi == NB_KERNEL_ABI && peer->table->count > 0), NULL,
               "a peer's table is empty or of another ABI");
        printf("%s: %s\n", peer->name, built ? peer->version : peer->why_not);
    }
}

int main(int argc, char **argv)
{
    register_peers();
    if (argc > 1)
        return nb_main(argc, argv);
    char word[64];
    expect(nb_cpu_init(word, sizeof word) == 0, NULL, "NB_DISABLE_ISA holds an unknown word");
    test_rows_of_peers();
    each(test_one_thread, true);
    test_counter_counts();
    each(test_entry, false);
    each(test_refusals, false);
    each(test_parts, true);
    each(test_params, true);
    each(test_statistics, true);
    each(test_gradients, true);
    each(test_narrow_shares, true);
    each(test_no_gamma, true);
    each(test_given_statistics, true);
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
