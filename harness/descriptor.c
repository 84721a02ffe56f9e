#include "descriptor.h"

#include "registry.h"

#include <math.h>
#include <string.h>

/* What ABI 1 began with; fields appended since are zero in an older plugin. */
#define SIZE_MIN (offsetof(struct nb_kernel, reduce) + sizeof(((struct nb_kernel *)NULL)->reduce))
enum { SIZE_MAX_SANE = 4096, WORD_MAX = 48, SOURCE_MAX = 80 };

/* ---- words ---- */

static bool in_set(const char *s, size_t max, const char *set)
{
    size_t n = 0;
    while (n <= max && s[n] != '\0' && strchr(set, s[n]) != NULL)
        n++;
    return n <= max && s[n] == '\0';
}

static bool printable(const char *s, size_t max)
{
    size_t n = 0;
    while (n <= max && s[n] >= ' ' && s[n] <= '~')
        n++;
    return n > 0 && n <= max && s[n] == '\0';
}

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"

static enum nb_status check_words(const struct nb_kernel *k, struct nb_err *err)
{
    const struct {
        const char *field, *value, *set;
        size_t max;
        bool may_be_empty;
    } words[] = {{"name", k->name, LOWER "_", NB_KERNEL_NAME_MAX, false},
                 {"algo", k->algo, LOWER "_", WORD_MAX, false},
                 {"isa", k->isa, LOWER, WORD_MAX, false},
                 {"trick", k->trick, LOWER "_", WORD_MAX, true}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i].value == NULL)
            return nb_fail(err, "%s is NULL%s", words[i].field,
                           words[i].may_be_empty ? "; say \"\" where there is none" : "");
        if (!in_set(words[i].value, words[i].max, words[i].set))
            return nb_fail(err, "%s may hold a-z, 0-9%s only, at most %zu of them", words[i].field,
                           words[i].set[sizeof LOWER - 1] ? " and _" : "", words[i].max);
        if (words[i].value[0] == '\0' && !words[i].may_be_empty)
            return nb_fail(err, "%s is empty", words[i].field);
    }
    if (strstr(k->algo, "__") != NULL)
        return nb_fail(err, "algo holds __, which divides the two halves of a name");
    if (k->source == NULL || !printable(k->source, SOURCE_MAX))
        return nb_fail(err, "source must be 1 to %d printable ASCII characters: who wrote it, or where it is "
                            "described", SOURCE_MAX);
    return NB_OK;
}

/* ---- numbers ---- */

static bool within(double v, double low, double high)
{
    return v >= low && v <= high; /* not NaN */
}

static enum nb_status check_enums(const struct nb_kernel *k, struct nb_err *err)
{
    if (k->op >= NB_OP_COUNT)
        return nb_fail(err, "op is %u; enum nb_op ends at %d", k->op, NB_OP_COUNT - 1);
    if (k->dtype >= NB_DTYPE_COUNT)
        return nb_fail(err, "dtype is %u; enum nb_dtype ends at %d", k->dtype, NB_DTYPE_COUNT - 1);
    if (k->dir >= NB_DIR_COUNT)
        return nb_fail(err, "dir is %u; enum nb_dir ends at %d", k->dir, NB_DIR_COUNT - 1);
    if (k->fuse >= NB_FUSE_COUNT)
        return nb_fail(err, "fuse is %u; enum nb_fuse ends at %d", k->fuse, NB_FUSE_COUNT - 1);
    if (k->dir != NB_FWD || k->fuse != NB_FUSE_NONE)
        return nb_fail(err, "dir %s, fuse %s: of a plugin, kernels are taken that go forward (NB_FWD) and fuse nothing "
                            "(NB_FUSE_NONE)", nb_dir_name(k->dir), nb_fuse_name(k->fuse));
    return NB_OK;
}

/* Kinds of bound whose derivation is about the op. */
static bool kind_fits(const struct nb_kernel *k)
{
    const struct nb_op_facts *op = nb_op_facts(k->op);
    const uint32_t kind = k->bound.kind;
    if (op->norm && op->centred)
        return (kind >= NB_BOUND_TWOPASS && kind <= NB_BOUND_WELFORD) || kind == NB_BOUND_GUARDED ||
               kind == NB_BOUND_EITHER;
    if (op->norm)
        return kind == NB_BOUND_RMS;
    return kind == (k->op == NB_OP_COPY ? NB_BOUND_EXACT : NB_BOUND_ROUND);
}

static enum nb_status check_bound(const struct nb_kernel *k, struct nb_err *err)
{
    const struct nb_bound *b = &k->bound;
    const struct {
        const char *field;
        double value, low, high;
    } numbers[] = {{"c1", b->c1, 0, 64},        {"c0", b->c0, 0, 1024},
                   {"lanes", b->lanes, 1, 65536}, {"lambda", b->lambda, 0, 1024}};
    if (!kind_fits(k))
        return nb_fail(err, "bound.kind is %u, which is no bound of a %s (norms that subtract their mean: NB_BOUND_TWOPASS, "
                            "ONEPASS, SHIFTED, WELFORD, GUARDED or EITHER; other norms: RMS; copy: EXACT; else ROUND)", b->kind,
                       nb_op_name(k->op));
    if (b->range_safe > 1)
        return nb_fail(err, "bound.range_safe is %u, neither 0 nor 1", b->range_safe);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!within(numbers[i].value, numbers[i].low, numbers[i].high))
            return nb_fail(err, "bound.%s is %g, not within %g to %g", numbers[i].field, numbers[i].value,
                           numbers[i].low, numbers[i].high);
    return NB_OK;
}

static enum nb_status check_numbers(const struct nb_kernel *k, struct nb_err *err)
{
    if (k->x_reads < 1 || k->x_reads > 64)
        return nb_fail(err, "x_reads is %u, not within 1 to 64", k->x_reads);
    if (k->dy_reads > 0)
        return nb_fail(err, "dy_reads is %u; a pass forward reads no dy", k->dy_reads);
    if (k->flushes > 1)
        return nb_fail(err, "flushes is %u, neither 0 nor 1", k->flushes);
    if (k->vector_bits > 65536)
        return nb_fail(err, "vector_bits is %u, more than any vector register has", k->vector_bits);
    if (!within(k->flops, 0, 1e4))
        return nb_fail(err, "flops is %g an element, not within 0 to 10000", k->flops);
    return NB_OK;
}

static enum nb_status check_functions(const struct nb_kernel *k, struct nb_err *err)
{
    if (k->run == NULL)
        return nb_fail(err, "run is NULL");
    if (k->supports == NULL)
        return nb_fail(err, "supports is NULL; return NULL from it where every problem is supported");
    if (k->finish != NULL && k->prepare == NULL)
        return nb_fail(err, "finish without prepare: there is no state to give back");
    return NB_OK;
}

/* ---- the name ---- */

static enum nb_status check_name(const struct nb_kernel *k, const struct nb_kernel *before, size_t count,
                                 struct nb_err *err)
{
    static const char *const FUSE_PART[NB_FUSE_COUNT] = {"", "_res", "_postnorm"};
    char want[256];
    snprintf(want, sizeof want, "%s_%s%s_%s__%s_%s%s%s", nb_op_name(k->op), nb_dir_name(k->dir), FUSE_PART[k->fuse], k->algo,
             nb_dtype_name(k->dtype), k->isa, k->trick[0] ? "_" : "", k->trick);
    if (strcmp(want, k->name) != 0)
        return nb_fail(err, "by its op, dir, algo, dtype, isa and trick its name is \"%s\"", want);
    bool known = nb_kernel_find(k->name) != NULL;
    for (size_t i = 0; i < count; i++)
        known = known || strcmp(before[i].name, k->name) == 0;
    return known ? nb_fail(err, "there is a kernel of this name already; choose another algo, isa or trick")
                 : NB_OK;
}

/* ---- the table ---- */

/* size bytes of the plugin's struct; what this program does not know of it must be zero. */
static enum nb_status read_fields(const struct nb_kernel_table *t, size_t i, struct nb_kernel *k,
                                  struct nb_err *err)
{
    const size_t size = t->kernels[0].size, own = sizeof *k;
    const char *from = (const char *)t->kernels + i * size;
    uint32_t its_size;
    if (size < SIZE_MIN || size > SIZE_MAX_SANE || size % sizeof(void *) != 0)
        return nb_fail(err, "size is %zu; say sizeof(struct nb_kernel), %zu here", size, own);
    memcpy(&its_size, from, sizeof its_size);
    if (its_size != size)
        return nb_fail(err, "size is %u, that of the first descriptor %zu; say sizeof(struct nb_kernel) in "
                            "each", its_size, size);
    *k = (struct nb_kernel){0};
    memcpy(k, from, size < own ? size : own);
    for (size_t b = own; b < size; b++)
        if (from[b] != 0)
            return nb_fail(err, "uses fields that this program's nb_kernel.h does not know; build it with "
                                "the one installed here, or use a newer normbench");
    k->size = (uint32_t)own;
    return NB_OK;
}

static enum nb_status check_one(const struct nb_kernel *k, const struct nb_kernel *before, size_t count,
                                struct nb_err *err)
{
    enum nb_status s = check_words(k, err);
    if (s == NB_OK)
        s = check_enums(k, err);
    if (s == NB_OK)
        s = check_name(k, before, count, err);
    if (s == NB_OK)
        s = check_functions(k, err);
    if (s == NB_OK)
        s = check_bound(k, err);
    return s == NB_OK ? check_numbers(k, err) : s;
}

static const char *copy_of(const char *text)
{
    char *copy = strdup(text);
    NB_ASSERT(copy != NULL);
    return copy;
}

static enum nb_status take_one(const struct nb_kernel_table *from, size_t i, struct nb_kernel *list,
                               struct nb_err *err)
{
    struct nb_err inner;
    struct nb_kernel *k = &list[i];
    enum nb_status s = read_fields(from, i, k, &inner);
    if (s == NB_OK)
        s = check_one(k, list, i, &inner);
    if (s != NB_OK) {
        const bool named = k->name != NULL && printable(k->name, NB_KERNEL_NAME_MAX);
        return nb_fail(err, "kernels[%zu]%s%s%s: %s", i, named ? " \"" : "", named ? k->name : "",
                       named ? "\"" : "", inner.text);
    }
    k->name = copy_of(k->name);
    k->algo = copy_of(k->algo);
    k->isa = copy_of(k->isa);
    k->trick = copy_of(k->trick);
    k->source = copy_of(k->source);
    return NB_OK;
}

enum nb_status nb_descriptors_take(const struct nb_kernel_table *from, struct nb_kernel_table *to,
                                   struct nb_err *err)
{
    if (from->abi != NB_KERNEL_ABI)
        return nb_fail(err, "its nb_plugin.abi is %u, this program's NB_KERNEL_ABI %u; build it again with "
                            "the nb_kernel.h of this program", from->abi, NB_KERNEL_ABI);
    if (from->count < 1 || from->count > NB_DESCRIPTORS_MAX)
        return nb_fail(err, "its nb_plugin.count is %u, not within 1 to %d", from->count,
                       NB_DESCRIPTORS_MAX);
    if (from->kernels == NULL)
        return nb_fail(err, "its nb_plugin.kernels is NULL");
    struct nb_kernel *list = calloc(from->count, sizeof *list);
    enum nb_status s = NB_OK;
    NB_ASSERT(list != NULL);
    for (size_t i = 0; s == NB_OK && i < from->count; i++)
        s = take_one(from, i, list, err);
    *to = (struct nb_kernel_table){NB_KERNEL_ABI, from->count, list}; /* as long-lived as the registry */
    return s;
}
