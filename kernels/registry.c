#include "registry.h"

#include <string.h>

#include "cpu.h"

#if defined(__x86_64__)
#define NB_ARCH "x86_64"
#define NB_BUILT_x86_64 1
#define NB_BUILT_aarch64 0
#define NB_TABLE_x86_64(name) &nb_table_##name
#define NB_TABLE_aarch64(name) NULL
#elif defined(__aarch64__)
#define NB_ARCH "aarch64"
#define NB_BUILT_x86_64 0
#define NB_BUILT_aarch64 1
#define NB_TABLE_x86_64(name) NULL
#define NB_TABLE_aarch64(name) &nb_table_##name
#else
#define NB_ARCH "another architecture"
#define NB_BUILT_x86_64 0
#define NB_BUILT_aarch64 0
#define NB_TABLE_x86_64(name) NULL
#define NB_TABLE_aarch64(name) NULL
#endif
#define NB_BUILT_any 1
#define NB_TABLE_any(name) &nb_table_##name

#define NB_ISA_ROW(arch, name, bits, rank)                                               \
    extern const struct nb_kernel_table nb_table_##name;
#include "isas.def"
#undef NB_ISA_ROW

enum {
#define NB_ISA_ROW(arch, name, bits, rank) NB_ROW_##name,
#include "isas.def"
#undef NB_ISA_ROW
    ISAS,
    TABLES = ISAS + NB_EXTRA_TABLES
};

static const struct nb_kernel_table *tables[TABLES] = {
#define NB_ISA_ROW(arch, name, bits, rank) NB_TABLE_##arch(name),
#include "isas.def"
#undef NB_ISA_ROW
};

static const struct nb_isa isas[] = {
#define NB_ISA_ROW(arch, name, bits, rank) {#name, bits, rank, NB_BUILT_##arch},
#include "isas.def"
#undef NB_ISA_ROW
};

/* Why an ISA that is not in this program cannot be. */
static const char *const not_built[] = {
#define NB_ISA_ROW(arch, name, bits, rank)                                               \
    "needs an " #arch " CPU; this program is built for " NB_ARCH,
#include "isas.def"
#undef NB_ISA_ROW
};

size_t nb_isa_count(void)
{
    return ISAS;
}

const struct nb_isa *nb_isa_at(size_t i)
{
    return i < ISAS ? &isas[i] : NULL;
}

const struct nb_isa *nb_isa_find(const char *name)
{
    for (size_t i = 0; i < ISAS; i++)
        if (strcmp(isas[i].name, name) == 0)
            return &isas[i];
    return NULL;
}

static enum nb_origin origins[TABLES]; /* NB_OURS for those of the ISA units */

bool nb_registry_add(const struct nb_kernel_table *table, enum nb_origin origin)
{
    for (size_t t = ISAS; t < TABLES; t++)
        if (tables[t] == NULL) {
            tables[t] = table;
            origins[t] = origin;
            return true;
        }
    return false;
}

static size_t table_count(size_t t)
{
    return tables[t] ? tables[t]->count : 0;
}

bool nb_kernel_fuses(const struct nb_kernel *k)
{
    const struct nb_isa *isa = nb_isa_find(k->isa);
    return isa == NULL || isa->rank > 0;
}

size_t nb_kernel_count(void)
{
    size_t n = 0;
    for (size_t t = 0; t < TABLES; t++)
        n += table_count(t);
    return n;
}

const struct nb_kernel *nb_kernel_at(size_t i)
{
    for (size_t t = 0; t < TABLES; t++) {
        if (i < table_count(t))
            return &tables[t]->kernels[i];
        i -= table_count(t);
    }
    return NULL;
}

enum nb_origin nb_kernel_origin(const struct nb_kernel *k)
{
    for (size_t t = 0; t < TABLES; t++)
        if (tables[t] && k >= tables[t]->kernels && k < tables[t]->kernels + tables[t]->count)
            return origins[t];
    return NB_OURS;
}

const char *nb_kernel_function(const struct nb_kernel *k)
{
    for (size_t i = 0; i < nb_kernel_count(); i++)
        if (nb_kernel_at(i)->run == k->run)
            return nb_kernel_at(i)->name;
    return k->name;
}

const struct nb_kernel *nb_kernel_find(const char *name)
{
    for (size_t t = 0; t < TABLES; t++)
        for (size_t i = 0; i < table_count(t); i++)
            if (strcmp(tables[t]->kernels[i].name, name) == 0)
                return &tables[t]->kernels[i];
    return NULL;
}

/* The first feature that is missing decides; one the user took away is named as such. */
static const char *bits_why_not(uint32_t needed)
{
    const uint32_t missing = needed & ~nb_cpu_bits();
    if (!missing)
        return NULL;
    if (missing & nb_cpu_disabled())
        return "disabled by NB_DISABLE_ISA";
    if (missing & NB_CPU_AVX2)
        return "this CPU has no AVX2 with FMA and F16C";
    if (missing & NB_CPU_AVX512)
        return "this CPU has no AVX-512 F, BW, DQ and VL";
    if (missing & NB_CPU_AVX512_BF16)
        return "this CPU has no AVX-512 BF16";
    if (missing & NB_CPU_NEON)
        return "this CPU has no Advanced SIMD (NEON)";
    return "this CPU lacks a feature unknown to this program";
}

const char *nb_isa_why_not(const struct nb_isa *isa)
{
    if (!isa->built)
        return not_built[isa - isas];
    return bits_why_not(isa->cpu_bits);
}

const char *nb_kernel_why_not(const struct nb_kernel *k)
{
    return bits_why_not(k->cpu_bits);
}

static bool has_dtype(const struct nb_kernel_table *t, uint32_t dtype)
{
    for (size_t i = 0; t && i < t->count; i++)
        if (t->kernels[i].dtype == dtype)
            return true;
    return false;
}

const struct nb_isa *nb_isa_best(enum nb_dtype dtype)
{
    const struct nb_isa *best = nb_isa_find("scalar");
    for (size_t i = 0; i < ISAS; i++)
        if (isas[i].rank > best->rank && has_dtype(tables[i], dtype) &&
            !nb_isa_why_not(&isas[i]))
            best = &isas[i];
    return best;
}

static const struct nb_op_facts op_facts[NB_OP_COUNT] = {
    [NB_OP_COPY] = {.name = "copy", .no_in_place = true},
    [NB_OP_SCALE] = {.name = "scale"},
    [NB_OP_AFFINE] = {.name = "affine", .gamma = true},
    [NB_OP_LAYERNORM] = {.name = "layernorm", .title = "LayerNorm", .norm = true, .centred = true, .gamma = true, .beta = true},
    [NB_OP_RMSNORM] = {.name = "rmsnorm", .title = "RMSNorm", .norm = true, .gamma = true},
    [NB_OP_PRMSNORM] = {.name = "prmsnorm", .title = "pRMSNorm", .norm = true, .k = NB_K_PREFIX, .gamma = true},
    [NB_OP_GROUPNORM] = {.name = "groupnorm", .title = "GroupNorm", .norm = true, .centred = true, .k = NB_K_GROUPS, .gamma = true, .beta = true},
    [NB_OP_BATCHNORM] = {.name = "batchnorm", .title = "BatchNorm", .norm = true, .centred = true, .gamma = true, .beta = true, .columns = true},
    [NB_OP_BATCHNORM_INFER] = {.name = "batchnorm_infer", .title = "BatchNorm in inference", .norm = true, .centred = true, .gamma = true, .beta = true,
                               .columns = true, .given = true, .no_in_place = true},
    [NB_OP_TRIAD] = {.name = "triad"},
    [NB_OP_QKNORM] = {.name = "qknorm", .title = "QK-norm", .norm = true, .k = NB_K_HEAD, .gamma = true},
    [NB_OP_L2NORM] = {.name = "l2norm", .title = "L2 norm", .norm = true, .sum = true},
    [NB_OP_SCALENORM] = {.name = "scalenorm", .title = "ScaleNorm", .norm = true, .sum = true, .gamma = true, .scalar = true},
    /* alpha as training begins */
    [NB_OP_DYT] = {.name = "dyt", .title = "DyT", .pointwise = true, .gamma = true, .beta = true, .no_in_place = true, .alpha = 0.5},
    [NB_OP_DEEPNORM] = {.name = "deepnorm", .title = "DeepNorm", .norm = true, .centred = true, .fused = true, .k = NB_K_DEPTH, .gamma = true, .beta = true},
};
static const char *const dir_names[NB_DIR_COUNT] = {"fwd", "bwd"};
static const char *const fuse_names[NB_FUSE_COUNT] = {"none", "residual", "postnorm"};
static const char *const dtype_names[NB_DTYPE_COUNT] = {"f32", "f64", "f16", "bf16"};

static const char *name_at(const char *const *names, uint32_t count, uint32_t i)
{
    return i < count ? names[i] : "unknown";
}

static int name_parse(const char *const *names, int count, const char *word)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return -1;
}

const struct nb_k_facts nb_k_facts[NB_K_COUNT] = {
#define NB_K(KEY, name, help, ...) [NB_K_##KEY] = {name, __VA_ARGS__},
#include "k.def"
};

const struct nb_op_facts *nb_op_facts(uint32_t op)
{
    static const struct nb_op_facts unknown = {.name = "unknown"};
    return op < NB_OP_COUNT ? &op_facts[op] : &unknown;
}

enum nb_k_role nb_op_role(uint32_t op)
{
    return nb_k_facts[nb_op_facts(op)->k].role;
}

size_t nb_op_pieces(const struct nb_problem *p)
{
    const enum nb_k_role role = nb_op_role(p->op);
    if (p->k == 0 || p->hidden % p->k != 0)
        return 1;
    return role == NB_K_IS_PIECES ? p->k : role == NB_K_IS_LENGTH ? p->hidden / p->k : 1;
}

size_t nb_op_stats(const struct nb_problem *p)
{
    return nb_op_facts(p->op)->columns ? p->hidden : p->rows * nb_op_pieces(p);
}

bool nb_op_is_layer(uint32_t op)
{
    return nb_op_facts(op)->norm || nb_op_facts(op)->pointwise;
}

size_t nb_op_params(const struct nb_problem *p)
{
    if (nb_op_facts(p->op)->scalar)
        return 1;
    return nb_op_role(p->op) == NB_K_IS_LENGTH && nb_op_pieces(p) > 1 ? p->k : p->hidden;
}

const char *nb_op_name(uint32_t op)
{
    return nb_op_facts(op)->name;
}

const char *nb_dir_name(uint32_t dir)
{
    return name_at(dir_names, NB_DIR_COUNT, dir);
}

const char *nb_fuse_name(uint32_t fuse)
{
    return name_at(fuse_names, NB_FUSE_COUNT, fuse);
}

const char *nb_dtype_name(uint32_t dtype)
{
    return name_at(dtype_names, NB_DTYPE_COUNT, dtype);
}

int nb_op_parse(const char *word)
{
    for (int i = 0; i < NB_OP_COUNT; i++)
        if (strcmp(op_facts[i].name, word) == 0)
            return i;
    return -1;
}

int nb_dir_parse(const char *word)
{
    return name_parse(dir_names, NB_DIR_COUNT, word);
}

int nb_fuse_parse(const char *word)
{
    return name_parse(fuse_names, NB_FUSE_COUNT, word);
}

int nb_dtype_parse(const char *word)
{
    return name_parse(dtype_names, NB_DTYPE_COUNT, word);
}

size_t nb_dtype_bytes(uint32_t dtype)
{
    switch (dtype) {
    case NB_F32:
        return 4;
    case NB_F64:
        return 8;
    case NB_F16:
    case NB_BF16:
        return 2;
    default:
        return 0;
    }
}

size_t nb_stat_bytes(uint32_t dtype)
{
    return dtype == NB_F64 ? sizeof(double) : sizeof(float);
}
