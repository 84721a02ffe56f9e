/* lies.c: a plugin that is wrong in the way that $LIE names. Without it: one right kernel. A lie is told while
 * the plugin is loaded, by its table, or by its functions. */
#define nb_plugin nb_plugin_as_declared /* const; ours is spoiled by the constructor */
#include <nb_kernel.h>
#undef nb_plugin

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *lie = "";
static unsigned long calls;

static int lies(const char *how)
{
    return strcmp(lie, how) == 0;
}

static void hang(void)
{
    for (;;)
        pause();
}

static void crash(void)
{
    static volatile int *volatile nowhere = (volatile int *)64; /* NULL would be UBSan's to find */
    *nowhere = 1;
}

static const char *supports(const struct nb_problem *p)
{
    if (lies("supports_crashes"))
        crash();
    if (lies("supports_hangs"))
        hang();
    if (lies("supports_garbage"))
        return "\x1b[31m\xff\n";
    if (lies("no_strides") && p->ldx != p->hidden)
        return "rows must follow each other";
    return lies("supports_nothing") ? "never" : NULL;
}

static size_t scratch_bytes(const struct nb_problem *p, uint32_t parts)
{
    (void)parts;
    if (lies("scratch_crashes"))
        crash();
    return p->hidden;
}

static void *prepare(const struct nb_problem *p, const struct nb_args *a)
{
    (void)a;
    if (lies("prepare_crashes"))
        crash();
    if (lies("prepare_hangs"))
        hang();
    if (lies("prepare_fails") || (lies("no_strides") && p->ldx != p->hidden))
        return NULL;
    struct nb_problem *state = malloc(sizeof *state);
    return memcpy(state, p, sizeof *state);
}

static void finish(void *state)
{
    if (lies("finish_crashes"))
        crash();
    free(state);
}

static void row(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    const float *x = (const float *)a->x + r * p->ldx, *gamma = a->gamma;
    float *y = (float *)a->y + r * p->ldy;
    double sum = 0;
    for (size_t i = 0; i < p->hidden; i++)
        sum += (double)x[i] * x[i];
    const double rstd = 1 / sqrt(sum / (double)p->hidden + p->eps);
    for (size_t i = 0; i < p->hidden; i++)
        y[i] = x[i] * (float)rstd * (gamma ? gamma[i] : 1.0f);
    if (a->rstd)
        ((float *)a->rstd)[r] = (float)rstd;
    if (lies("wrong"))
        y[0] += 1;
    if (lies("overruns"))
        y[p->ldy * (p->rows - r)] = 0;
    if (lies("underruns"))
        ((float *)a->y)[-1] = 0;
    if (lies("changes_input"))
        ((float *)(uintptr_t)x)[0] += 1;
    if (lies("changes_gamma") && gamma)
        ((float *)(uintptr_t)gamma)[0] += 1;
}

static void run(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    calls++;
    if (lies("crashes") || (lies("crashes_late") && calls > 100))
        crash();
    if (lies("hangs"))
        hang();
    if (lies("exits"))
        exit(0);
    if (lies("exits_late") && calls > 100)
        exit(0);
    if (lies("prints"))
        printf("{\"type\":\"checked\"}\nnoise");
    for (size_t r = p->rows * a->part / a->parts; r < p->rows * (a->part + 1) / a->parts; r++)
        row(p, a, r);
}

static struct nb_kernel kernels[2];
struct nb_kernel_table nb_plugin = {NB_KERNEL_ABI, 1, kernels};

static const struct nb_kernel right = {
    .size = sizeof(struct nb_kernel), .op = NB_OP_RMSNORM, .dtype = NB_F32,
    .name = "rmsnorm_fwd_lies__f32_c", .algo = "lies", .isa = "c", .trick = "", .source = "tests",
    .x_reads = 2, .flops = 4, .bound = {NB_BOUND_RMS, 1, 0, 4, 1, 0}, .supports = supports,
    .scratch_bytes = scratch_bytes, .prepare = prepare, .finish = finish, .run = run};

static void spoil_table(void)
{
    if (lies("abi"))
        nb_plugin.abi = NB_KERNEL_ABI + 1;
    if (lies("no_kernels"))
        nb_plugin.kernels = NULL;
    if (lies("wild_kernels"))
        nb_plugin.kernels = (const struct nb_kernel *)64;
    if (lies("count_0"))
        nb_plugin.count = 0;
    if (lies("count_huge"))
        nb_plugin.count = 0xffffffff;
    if (lies("count_2") || lies("twice") || lies("sizes_differ"))
        nb_plugin.count = 2;
}

static int of_groups(void)
{
    return lies("groups") || lies("groups_round") || lies("groups_rms");
}

static void spoil_kernel(struct nb_kernel *k)
{
    k->size -= lies("size_small") ? 64 : 0;
    k->size = lies("size_0") ? 0 : k->size;
    k->name = lies("name_null") ? NULL : lies("name_wild") ? (const char *)64
              : lies("name_markup") ? "rmsnorm_fwd_<b>__f32_c" : lies("name_other") ? "rmsnorm_fwd_a__f32_c"
              
              : lies("name_ours") ? "rmsnorm_fwd_naive__f32_scalar" : of_groups() ? "groupnorm_fwd_lies__f32_c" : k->name;
    k->algo = lies("algo_null") ? NULL : lies("name_ours") ? "naive" : k->algo;
    k->isa = lies("name_ours") ? "scalar" : lies("isa_two_words") ? "c_d" : k->isa;
    k->trick = lies("trick_null") ? NULL : k->trick;
    k->source = lies("source_newline") ? "a\nb" : k->source;
    k->op = lies("op_99") ? 99 : lies("op_other") ? NB_OP_LAYERNORM : of_groups() ? NB_OP_GROUPNORM : k->op;
    k->dtype = lies("dtype_99") ? 99 : lies("dtype_other") ? NB_F64 : k->dtype;
    k->dir = lies("dir_99") ? 99 : lies("dir_bwd") ? NB_BWD : k->dir;
    k->fuse = lies("fuse_99") ? 99 : k->fuse;
    k->bound.c0 = lies("bound_nan") ? NAN : lies("bound_wide") ? 1e9 : k->bound.c0;
    k->bound.kind = lies("bound_kind") ? NB_BOUND_EXACT : lies("groups") ? NB_BOUND_TWOPASS
                    : lies("groups_round") ? NB_BOUND_ROUND : k->bound.kind;
    k->run = lies("run_null") ? NULL : k->run;
    k->supports = lies("supports_null") ? NULL : k->supports;
    k->prepare = lies("prepare_null") ? NULL : k->prepare;
    k->x_reads = lies("x_reads_0") ? 0 : k->x_reads;
    k->dy_reads = lies("dy_reads_1") ? 1 : k->dy_reads;
}

static void __attribute__((constructor)) choose(void)
{
    const char *set = getenv("LIE");
    lie = set != NULL ? set : "";
    kernels[0] = kernels[1] = right;
    kernels[1].size += lies("sizes_differ") ? 8 : 0;
    spoil_table();
    spoil_kernel(&kernels[0]);
    if (lies("load_crashes"))
        crash();
    if (lies("load_hangs"))
        hang();
    if (lies("load_exits"))
        _exit(0);
    if (lies("load_prints"))
        printf("hello from a constructor\n");
}
