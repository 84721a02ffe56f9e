#include "descriptor.h"

#include "err.h"
#include "registry.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
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
        return nb_fail(err, "run is NULL; it must be the function that computes the rows");
    if (k->supports == NULL)
        return nb_fail(err, "supports is NULL; return NULL from it where every problem is supported");
    if (k->finish != NULL && k->prepare == NULL)
        return nb_fail(err, "finish without prepare: there is no state to give back");
    return NB_OK;
}

/* ---- the name ---- */

static enum nb_status check_name(const struct nb_kernel *k, bool is_taken, struct nb_err *err)
{
    static const char *const FUSE_PART[NB_FUSE_COUNT] = {"", "_res", "_postnorm"};
    char want[256];
    snprintf(want, sizeof want, "%s_%s%s_%s__%s_%s%s%s", nb_op_name(k->op), nb_dir_name(k->dir), FUSE_PART[k->fuse], k->algo,
             nb_dtype_name(k->dtype), k->isa, k->trick[0] ? "_" : "", k->trick);
    if (strcmp(want, k->name) != 0)
        return nb_fail(err, "by its op, dir, algo, dtype, isa and trick its name is \"%s\"", want);
    return is_taken ? nb_fail(err, "there is a kernel of this name already; choose another algo, isa or trick") : NB_OK;
}

/* ---- those that are wrong ---- */

static struct refusal {
    const struct nb_kernel *k;
    const char *why;
    bool has_op;
    struct refusal *next;
} *refusals;

static const struct refusal *refusal_of(const struct nb_kernel *k)
{
    const struct refusal *r = refusals;
    while (r != NULL && r->k != k)
        r = r->next;
    return r;
}

const char *nb_descriptor_fault(const struct nb_kernel *k)
{
    const struct refusal *r = refusal_of(k);
    return r != NULL ? r->why : NULL;
}

bool nb_descriptor_has_op(const struct nb_kernel *k)
{
    const struct refusal *r = refusal_of(k);
    return r == NULL || r->has_op;
}

static const char *supports_nothing(const struct nb_problem *p)
{
    (void)p;
    return "its descriptor is wrong";
}

static void never_run(const void *state, const struct nb_args *a)
{
    (void)state;
    (void)a;
    NB_ASSERT(!"a kernel whose descriptor is wrong is run");
}

/* Nothing of the plugin's is left in it but words and enums, which are right. */
static void refuse(struct nb_kernel *k, const char *why, bool has_op)
{
    struct refusal *r = malloc(sizeof *r);
    NB_ASSERT(r != NULL);
    *r = (struct refusal){k, why, has_op, refusals};
    refusals = r;
    *k = (struct nb_kernel){.size = sizeof *k, .op = k->op, .dtype = k->dtype, .name = k->name, .algo = k->algo, .isa = k->isa,
                            .trick = k->trick, .source = k->source, .x_reads = 1, .bound = {.kind = NB_BOUND_ROUND, .lanes = 1},
                            .supports = supports_nothing, .run = never_run};
}

static const char *copy_of(const char *text)
{
    char *copy = strdup(text);
    NB_ASSERT(copy != NULL);
    return copy;
}

/* What is taken so far, with room for more. */
struct taking {
    const char *path;
    struct nb_kernel *list;
    size_t count;
};

static bool is_taken(const struct taking *t, const char *name)
{
    bool known = nb_kernel_find(name) != NULL;
    for (size_t i = 0; i < t->count; i++)
        known = known || strcmp(t->list[i].name, name) == 0;
    return known;
}

/* That of the file without its end, as a word; a number behind it where another kernel has that name. */
static const char *file_name(const struct taking *t, const char *dtype)
{
    const char *base = strrchr(t->path, '/') != NULL ? strrchr(t->path, '/') + 1 : t->path;
    char word[WORD_MAX + 1], name[NB_KERNEL_NAME_MAX];
    size_t n = 0;
    for (; n < WORD_MAX && base[n] != '\0' && base[n] != '.'; n++)
        word[n] = isalnum((unsigned char)base[n]) ? (char)tolower((unsigned char)base[n]) : '_';
    word[n] = '\0';
    snprintf(name, sizeof name, "%s__%s", word, dtype);
    for (unsigned i = 2; is_taken(t, name); i++)
        snprintf(name, sizeof name, "%s_%u__%s", word, i, dtype);
    return copy_of(name);
}

/* The op of one that has none: any norm's, for ceilings are left out in places. */
static void stand_in(struct taking *t, const char *why)
{
    for (uint32_t dtype = 0; dtype < NB_DTYPE_COUNT; dtype++) {
        struct nb_kernel *k = &t->list[t->count];
        *k = (struct nb_kernel){.op = NB_OP_RMSNORM, .dtype = dtype, .name = file_name(t, nb_dtype_name(dtype)),
                                .algo = "refused", .isa = "plugin", .trick = "", .source = "unknown"};
        refuse(k, why, false);
        t->count++;
    }
}

/* ---- the table ---- */

/* A pointer to the kernels and the size of the first, by which one steps, are needed to read any of them. */
static enum nb_status check_table(const struct nb_kernel_table *t, struct nb_err *err)
{
    if (t->abi != NB_KERNEL_ABI)
        return nb_fail(err, "its nb_plugin.abi is %u, this program's NB_KERNEL_ABI %u; build it again with "
                            "the nb_kernel.h of this program", t->abi, NB_KERNEL_ABI);
    if (t->count < 1 || t->count > NB_DESCRIPTORS_MAX)
        return nb_fail(err, "its nb_plugin.count is %u, not within 1 to %d", t->count, NB_DESCRIPTORS_MAX);
    if (t->kernels == NULL)
        return nb_fail(err, "its nb_plugin.kernels is NULL; it must point to count descriptors");
    const size_t size = t->kernels[0].size;
    if (size < SIZE_MIN || size > SIZE_MAX_SANE || size % sizeof(void *) != 0)
        return nb_fail(err, "kernels[0]: size is %zu; say sizeof(struct nb_kernel), %zu here", size, sizeof(struct nb_kernel));
    return NB_OK;
}

/* size bytes of the plugin's struct; what this program does not know of it must be zero. */
static enum nb_status read_fields(const struct nb_kernel_table *t, size_t i, struct nb_kernel *k,
                                  struct nb_err *err)
{
    const size_t size = t->kernels[0].size, own = sizeof *k;
    const char *from = (const char *)t->kernels + i * size;
    uint32_t its_size;
    memcpy(&its_size, from, sizeof its_size);
    if (its_size != size)
        return nb_fail(err, "size is %u, that of the first descriptor %zu; say sizeof(struct nb_kernel) in "
                            "each", its_size, size);
    memcpy(k, from, size < own ? size : own);
    for (size_t b = own; b < size; b++)
        if (from[b] != 0)
            return nb_fail(err, "uses fields that this program's nb_kernel.h does not know; build it with "
                                "the one installed here, or use a newer normbench");
    k->size = (uint32_t)own;
    return NB_OK;
}

/* Whether it can be told which kernel it is. */
static enum nb_status check_identity(const struct taking *t, const struct nb_kernel *k, struct nb_err *err)
{
    enum nb_status s = check_words(k, err);
    if (s == NB_OK)
        s = check_enums(k, err);
    return s == NB_OK ? check_name(k, is_taken(t, k->name), err) : s;
}

static enum nb_status check_rest(const struct nb_kernel *k, struct nb_err *err)
{
    enum nb_status s = check_functions(k, err);
    if (s == NB_OK)
        s = check_bound(k, err);
    return s == NB_OK ? check_numbers(k, err) : s;
}

/* Of one that stands under another name. */
static const char *fault_text(size_t i, const struct nb_kernel *k, const struct nb_err *err)
{
    char text[sizeof(err->text) + 2 * NB_KERNEL_NAME_MAX];
    const bool named = k->name != NULL && printable(k->name, NB_KERNEL_NAME_MAX);
    snprintf(text, sizeof text, "kernels[%zu]%s%s%s: %s", i, named ? " \"" : "", named ? k->name : "", named ? "\"" : "",
             err->text);
    return copy_of(text);
}

static void take_one(const struct nb_kernel_table *from, size_t i, struct taking *t)
{
    struct nb_err err = {""};
    struct nb_kernel read = {0}, *k = &t->list[t->count];
    enum nb_status s = read_fields(from, i, &read, &err);
    if (s == NB_OK)
        s = check_identity(t, &read, &err);
    if (s != NB_OK) {
        stand_in(t, fault_text(i, &read, &err));
        return;
    }
    *k = read;
    k->name = copy_of(k->name);
    k->algo = copy_of(k->algo);
    k->isa = copy_of(k->isa);
    k->trick = copy_of(k->trick);
    k->source = copy_of(k->source);
    if (check_rest(k, &err) != NB_OK)
        refuse(k, copy_of(err.text), true);
    t->count++;
}

void nb_descriptors_take(const char *path, const struct nb_kernel_table *from, struct nb_kernel_table *to)
{
    struct nb_err err = {""};
    const bool readable = check_table(from, &err) == NB_OK;
    const size_t count = readable ? from->count : 1;
    struct taking t = {path, calloc(count * NB_DTYPE_COUNT, sizeof(struct nb_kernel)), 0}; /* as long-lived as the registry */
    NB_ASSERT(t.list != NULL);
    if (!readable)
        stand_in(&t, copy_of(err.text));
    for (size_t i = 0; readable && i < count; i++)
        take_one(from, i, &t);
    *to = (struct nb_kernel_table){NB_KERNEL_ABI, (uint32_t)t.count, t.list};
}
