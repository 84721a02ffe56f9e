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

/* f32 or 16 bits, all zeros and small integers: exact in every dtype. */
struct tensors {
    _Alignas(64) char x[CELLS * 4], y[CELLS * 4], gamma[HIDDEN * 4], beta[HIDDEN * 4];
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
    return (struct nb_problem){.size = sizeof(struct nb_problem), .op = k->op, .dtype = k->dtype,
                               .param_dtype = param_dtype, .stats_out = 1, .rows = ROWS,
                               .hidden = HIDDEN, .ldx = HIDDEN, .ldy = HIDDEN, .eps = EPS};
}

static struct nb_args fill(struct tensors *m, const struct nb_problem *p, uint32_t parts)
{
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
    k->run(state, &a);
}

/* One part outside of any parallel region, as the harness calls it. */
static void run_all(const struct nb_kernel *k, const struct nb_problem *p, struct nb_args a)
{
    void *state = k->prepare(p, &a);
    if (a.parts == 1) {
        run_part(k, state, a, 0);
    } else {
#pragma omp parallel num_threads((int)a.parts)
        run_part(k, state, a, omp_get_thread_num());
    }
    k->finish(state);
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

static void test_parts(const struct nb_kernel *k)
{
    const struct nb_problem p = problem_of(k, k->dtype);
    run_all(k, &p, fill(&t, &p, 1));
    run_all(k, &p, fill(&other, &p, 3));
    expect(memcmp(&t, &other, sizeof t) == 0, k, "three threads compute something else than one");
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

static void test_statistics(const struct nb_kernel *k)
{
    const struct nb_problem p = problem_of(k, NB_F32);
    run_all(k, &p, fill(&t, &p, 1));
    for (size_t r = 0; r < ROWS; r++) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < HIDDEN && k->op == NB_OP_LAYERNORM; i++)
            mean += value(r * HIDDEN + i) / HIDDEN;
        for (size_t i = 0; i < HIDDEN; i++)
            square += (value(r * HIDDEN + i) - mean) * (value(r * HIDDEN + i) - mean) / HIDDEN;
        expect(k->op == NB_OP_RMSNORM || fabs(t.mean[r] - mean) < 1e-5, k, "a mean is wrong");
        expect(fabs(t.rstd[r] * sqrt(square + EPS) - 1) < 1e-5, k, "an rstd is wrong");
    }
}

/* Each option is refused with a reason, or else it is none. */
static void test_refusals(const struct nb_kernel *k)
{
    const struct nb_problem fine = problem_of(k, k->dtype);
    struct nb_problem p[] = {fine, fine, fine, fine, fine, fine, fine, fine};
    p[0].dir = NB_BWD;
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
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
