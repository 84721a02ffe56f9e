#include "select.h"

#include "bars.h"
#include "datadir.h"
#include "descriptor.h"
#include "registry.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <string.h>

static const char *const RESIDENCY_NAMES[] = {"L1", "L2", "L3", "DRAM", "cold"};

const char *nb_residency_name(enum nb_residency r)
{
    NB_ASSERT(r < NB_RESIDENCY_COUNT);
    return RESIDENCY_NAMES[r];
}

int nb_residency_parse(const char *word)
{
    for (int r = 0; r < NB_RESIDENCY_COUNT; r++)
        if (strcasecmp(word, RESIDENCY_NAMES[r]) == 0)
            return r;
    return -1;
}

static const char *const KEY_NAMES[NB_KEY_COUNT] = {
#define NB_SELECT(KEY, name, arg, help) [NB_KEY_##KEY] = name,
#include "selection.def"
};

const char *nb_key_name(enum nb_key key)
{
    NB_ASSERT(key < NB_KEY_COUNT);
    return KEY_NAMES[key];
}

int nb_key_parse(const char *word)
{
    for (int k = 0; k < NB_KEY_COUNT; k++)
        if (strcmp(word, KEY_NAMES[k]) == 0)
            return k;
    return -1;
}

/* ---- lists ---- */

static void list_add(struct nb_list *list, size_t value)
{
    size_t *v = realloc(list->v, (list->n + 1) * sizeof *v);
    NB_ASSERT(v != NULL);
    list->v = v;
    list->v[list->n++] = value;
}

static bool list_holds(const struct nb_list *list, size_t value)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i] == value)
            return true;
    return false;
}

/* Drops repetitions, once for all words: a range a word, each searched for in all that came before,
 * could be made to last for minutes. */
static void list_unique(struct nb_list *list)
{
    const size_t n = list->n;
    list->n = 0;
    for (size_t i = 0; i < n; i++)
        if (!list_holds(list, list->v[i]))
            list->v[list->n++] = list->v[i];
}

static void words_add(struct nb_words *words, const char *word)
{
    char **v = realloc(words->v, (words->n + 1) * sizeof *v);
    NB_ASSERT(v != NULL);
    words->v = v;
    NB_ASSERT((words->v[words->n++] = strdup(word)) != NULL);
}

static void words_free(struct nb_words *words)
{
    for (size_t i = 0; i < words->n; i++)
        free(words->v[i]);
    free(words->v);
    *words = (struct nb_words){0};
}

static void list_free(struct nb_list *list)
{
    free(list->v);
    *list = (struct nb_list){0};
}

/* Calls add(target, word) for each comma-separated word; empty words are errors. */
typedef enum nb_status (*word_reader)(void *target, const char *word, struct nb_err *err);

static enum nb_status each_word(const char *key, const char *value, word_reader read,
                                void *target, struct nb_err *err)
{
    char *copy = strdup(value), *rest = copy;
    NB_ASSERT(copy != NULL);
    enum nb_status status = NB_OK;
    for (char *word; status == NB_OK && (word = strsep(&rest, ",")) != NULL;) {
        while (isspace((unsigned char)*word))
            word++;
        for (size_t n = strlen(word); n > 0 && isspace((unsigned char)word[n - 1]); n--)
            word[n - 1] = '\0';
        status = *word == '\0' ? nb_fail(err, "%s: empty word in \"%s\"", key, value)
                               : read(target, word, err);
    }
    free(copy);
    return status;
}

const char *nb_known_ops(bool norms)
{
    static char text[256];
    text[0] = '\0';
    for (int ceilings = 0; ceilings < (norms ? 1 : 2); ceilings++)
        for (uint32_t op = 0; op < NB_OP_COUNT; op++)
            if (nb_op_is_layer(op) == (ceilings == 0))
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", text[0] ? ", " : "", nb_op_name(op));
    return text;
}

static enum nb_status read_op(void *target, const char *word, struct nb_err *err)
{
    const int op = nb_op_parse(word);
    if (op < 0)
        return nb_fail(err, "op: unknown word \"%s\"; known: %s", word, nb_known_ops(false));
    list_add(target, (size_t)op);
    return NB_OK;
}

static enum nb_status read_dtype(void *target, const char *word, struct nb_err *err)
{
    const int dtype = nb_dtype_parse(word);
    if (dtype < 0)
        return nb_fail(err, "dtype: unknown word \"%s\"; known: f32, f64, f16, bf16", word);
    list_add(target, (size_t)dtype);
    return NB_OK;
}

static enum nb_status read_param_dtype(void *target, const char *word, struct nb_err *err)
{
    if (strcmp(word, "x") != 0 && strcmp(word, "f32") != 0)
        return nb_fail(err, "param-dtype: unknown word \"%s\"; known: x (as the tensor), f32", word);
    list_add(target, word[0] == 'f');
    return NB_OK;
}

static enum nb_status read_residency(void *target, const char *word, struct nb_err *err)
{
    const int r = nb_residency_parse(word);
    if (r < 0)
        return nb_fail(err, "residency: unknown word \"%s\"; known: L1, L2, L3, DRAM, cold", word);
    list_add(target, (size_t)r);
    return NB_OK;
}

static enum nb_status read_word(void *target, const char *word, struct nb_err *err)
{
    (void)err;
    words_add(target, word);
    return NB_OK;
}

static enum nb_status read_isa(void *target, const char *word, struct nb_err *err)
{
    if (strcmp(word, "all") != 0 && strcmp(word, "best") != 0 && nb_isa_find(word) == NULL) {
        char known[256] = "";
        for (size_t i = 0; i < nb_isa_count(); i++) {
            strncat(known, ", ", sizeof(known) - strlen(known) - 1);
            strncat(known, nb_isa_at(i)->name, sizeof(known) - strlen(known) - 1);
        }
        return nb_fail(err, "isa: unknown word \"%s\"; known: all, best%s", word, known);
    }
    words_add(target, word);
    return NB_OK;
}

static enum nb_status read_algo(void *target, const char *word, struct nb_err *err)
{
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        if (strcmp(nb_kernel_at(i)->algo, word) == 0) {
            words_add(target, word);
            return NB_OK;
        }
    }
    return nb_fail(err, "algo: no kernel has algorithm \"%s\"; see `normbench list kernels`", word);
}

enum nb_status nb_parse_size(const char *key, const char *text, size_t min, size_t max,
                             size_t *value, struct nb_err *err)
{
    char *end;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0 || v < min || v > max)
        return nb_fail(err, "%s: \"%s\" is not a whole number from %zu to %zu", key, text, min,
                       max);
    *value = (size_t)v;
    return NB_OK;
}

enum nb_status nb_parse_seconds(const char *key, const char *text, double *seconds,
                                struct nb_err *err)
{
    char *end;
    const double v = strtod(text, &end);
    const double unit = strcmp(end, "h") == 0   ? 3600
                        : strcmp(end, "m") == 0 ? 60
                        : strcmp(end, "s") == 0 || *end == '\0' ? 1 : 0;
    if (end == text || unit == 0 || !(v > 0) || !(v * unit < 1e7))
        return nb_fail(err, "%s: \"%s\" is not a time; say 60s, 5m or 1h", key, text);
    *seconds = v * unit;
    return NB_OK;
}

enum { HIDDEN_MAX = 1 << 28, RANGE_COUNT_MAX = 4096 };

/* "768" or "64:16384:x2" or "1000:2000:+100", from min to max; from 0 no range grows by factors. */
static enum nb_status read_range(const char *key, struct nb_list *list, const char *word, size_t min,
                                 size_t max, const char *example, struct nb_err *err)
{
    char first[32], last[32], step[32];
    size_t from, to, by;
    int end = 0;
    if (strchr(word, ':') == NULL) {
        enum nb_status s = nb_parse_size(key, word, min, max, &from, err);
        if (s == NB_OK)
            list_add(list, from);
        return s;
    }
    if (sscanf(word, "%31[^:]:%31[^:]:%31[^:]%n", first, last, step, &end) != 3 ||
        word[end] != '\0' || (step[0] != '+' && (step[0] != 'x' || min == 0)))
        return nb_fail(err, "%s: \"%s\" is no range; say %s", key, word, example);
    enum nb_status s = nb_parse_size(key, first, min, max, &from, err);
    if (s == NB_OK)
        s = nb_parse_size(key, last, from, max, &to, err);
    if (s == NB_OK)
        s = nb_parse_size(key, step + 1, step[0] == 'x' ? 2 : 1, max, &by, err);
    if (s != NB_OK)
        return s;
    for (size_t v = from; v <= to; v = step[0] == 'x' ? v * by : v + by) {
        if (list->n == RANGE_COUNT_MAX)
            return nb_fail(err, "%s: more than %d values with \"%s\"", key, RANGE_COUNT_MAX, word);
        list_add(list, v);
    }
    return NB_OK;
}

static enum nb_status read_hidden(void *target, const char *word, struct nb_err *err)
{
    return read_range("hidden", target, word, 1, HIDDEN_MAX, "64:16384:x2 or 1000:2000:+100", err);
}

/* Whole cache lines, so that rows of both tensors stay aligned. */
static enum nb_status read_offset(void *target, const char *word, struct nb_err *err)
{
    enum { LINE = 64, PAGE = 4096 };
    struct nb_list *list = target;
    const size_t before = list->n;
    enum nb_status s = read_range("offset", list, word, 0, PAGE - LINE, "0:4032:+64", err);
    for (size_t i = before; s == NB_OK && i < list->n; i++)
        if (list->v[i] % LINE != 0)
            s = nb_fail(err, "offset: %zu in \"%s\" is no multiple of %d, a cache line", list->v[i], word,
                        LINE);
    return s;
}

static enum nb_status read_in_place(void *target, const char *word, struct nb_err *err)
{
    const bool both = strcmp(word, "both") == 0;
    if (!both && strcmp(word, "yes") != 0 && strcmp(word, "no") != 0)
        return nb_fail(err, "in-place: unknown word \"%s\"; known: yes, no, both", word);
    if (both || word[0] == 'n')
        list_add(target, 0);
    if (both || word[0] == 'y')
        list_add(target, 1);
    return NB_OK;
}

static enum nb_status read_dir(void *target, const char *word, struct nb_err *err)
{
    const int dir = nb_dir_parse(word);
    if (dir < 0)
        return nb_fail(err, "dir: unknown word \"%s\"; known: fwd (forward), bwd (backward: the gradients)", word);
    list_add(target, (size_t)dir);
    return NB_OK;
}

static enum nb_status read_fuse(void *target, const char *word, struct nb_err *err)
{
    const int fuse = nb_fuse_parse(word);
    if (fuse < 0)
        return nb_fail(err, "fuse: unknown word \"%s\"; known: none, residual (h = x + residual is written, y is its norm), "
                            "postnorm (y alone)", word);
    list_add(target, (size_t)fuse);
    return NB_OK;
}

/* "6.25%" or "0.0625": above 0, at most all of the row, in millionths of it. */
static enum nb_status read_share(const struct nb_k_facts *f, struct nb_list *list, const char *word, struct nb_err *err)
{
    char *end;
    const double v = strtod(word, &end), share = *end == '%' ? v / 100 : v;
    end += *end == '%';
    if (end == word || *end != '\0' || !(share > 0 && share <= 1) || isspace((unsigned char)*word))
        return nb_fail(err, "%s: \"%s\" is no share of a row, above 0 and at most 1; give %s", f->name, word, f->example);
    if (lround(share * 1e6) < 1)
        return nb_fail(err, "%s: \"%s\" is less than a millionth of a row", f->name, word);
    list_add(list, (size_t)lround(share * 1e6));
    return NB_OK;
}

/* Of a row, in millionths of it; others are whole numbers. */
static bool is_share(enum nb_op_k kind)
{
    return nb_k_facts[kind].role == NB_K_IS_FIRST;
}

/* A list of one kind of k. */
struct k_list {
    struct nb_list *list;
    enum nb_op_k kind;
};

static enum nb_status read_k(void *target, const char *word, struct nb_err *err)
{
    const struct k_list *k = target;
    const struct nb_k_facts *f = &nb_k_facts[k->kind];
    if (is_share(k->kind))
        return read_share(f, k->list, word, err);
    return read_range(f->name, k->list, word, 1, f->most, f->example, err);
}

/* NB_K_NONE: the key is none. */
static enum nb_op_k kind_of(enum nb_key key)
{
    int kind = NB_K_COUNT - 1;
    while (kind > 0 && strcmp(nb_k_facts[kind].name, KEY_NAMES[key]) != 0)
        kind--;
    return (enum nb_op_k)kind;
}

size_t nb_k_of(uint32_t op, size_t hidden, const size_t values[NB_K_COUNT])
{
    const enum nb_op_k kind = nb_op_facts(op)->k;
    const size_t value = values[kind] ? values[kind] : nb_k_facts[kind].value;
    if (is_share(kind))
        return (size_t)(((unsigned __int128)hidden * value + 999999) / 1000000);
    return value;
}

void nb_k_text(enum nb_op_k kind, size_t value, char *text, size_t len)
{
    if (is_share(kind))
        snprintf(text, len, "%g%%", (double)value / 1e4);
    else
        snprintf(text, len, "%zu", value);
}

static enum nb_status read_rows(void *target, const char *word, struct nb_err *err)
{
    size_t rows = 0;
    if (strcmp(word, "auto") != 0) {
        enum nb_status s = nb_parse_size("rows", word, 1, (size_t)1 << 32, &rows, err);
        if (s != NB_OK)
            return s;
    }
    list_add(target, rows);
    return NB_OK;
}

static enum nb_status read_threads(void *target, const char *word, struct nb_err *err)
{
    size_t threads = 0;
    if (strcmp(word, "all") != 0) {
        enum nb_status s = nb_parse_size("threads", word, 1, 4096, &threads, err);
        if (s != NB_OK)
            return s;
    }
    list_add(target, threads);
    return NB_OK;
}

/* ---- blocks ---- */

static enum nb_status set_kernels(struct nb_block *b, const char *value, struct nb_err *err)
{
    static const char *const names[] = {"all", "pairings", "contenders", "headline"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            b->kernels = (enum nb_kernel_set)i;
            return NB_OK;
        }
    }
    return nb_fail(err, "kernels: unknown word \"%s\"; known: all, pairings, contenders, headline", value);
}

static enum nb_status set_stats(struct nb_block *b, const char *value, struct nb_err *err)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return nb_fail(err, "stats: \"%s\" is neither yes nor no", value);
    b->stats = value[0] == 'y';
    return NB_OK;
}

enum nb_status nb_momentum_parse(const char *text, double *momentum, struct nb_err *err)
{
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= 0 && v <= 1) || isspace((unsigned char)*text))
        return nb_fail(err, "momentum: \"%s\" is no number from 0 to 1, such as 0.1", text);
    *momentum = fabs(v); /* no -0 */
    return NB_OK;
}

enum nb_status nb_block_set(struct nb_block *b, enum nb_key key, const char *value,
                            struct nb_err *err)
{
    const struct {
        struct nb_list *list;
        struct nb_words *words;
        word_reader read;
    } targets[NB_KEY_COUNT] = {
        [NB_KEY_OP] = {&b->op, NULL, read_op},
        [NB_KEY_ALGO] = {NULL, &b->algo, read_algo},
        [NB_KEY_ISA] = {NULL, &b->isa, read_isa},
        [NB_KEY_DTYPE] = {&b->dtype, NULL, read_dtype},
        [NB_KEY_PARAM_DTYPE] = {&b->param_dtype, NULL, read_param_dtype},
        [NB_KEY_HIDDEN] = {&b->hidden, NULL, read_hidden},
        [NB_KEY_ROWS] = {&b->rows, NULL, read_rows},
        [NB_KEY_THREADS] = {&b->threads, NULL, read_threads},
        [NB_KEY_RESIDENCY] = {&b->residency, NULL, read_residency},
        [NB_KEY_KERNEL] = {NULL, &b->kernel, read_word},
        [NB_KEY_OFFSET] = {&b->offset, NULL, read_offset},
        [NB_KEY_IN_PLACE] = {&b->in_place, NULL, read_in_place},
        [NB_KEY_DIR] = {&b->dir, NULL, read_dir},
        [NB_KEY_FUSE] = {&b->fuse, NULL, read_fuse},
    };
    b->given |= 1u << key;
    if (key == NB_KEY_KERNELS)
        return set_kernels(b, value, err);
    if (key == NB_KEY_STATS)
        return set_stats(b, value, err);
    if (key == NB_KEY_MOMENTUM)
        return nb_momentum_parse(value, &b->momentum, err);
    const enum nb_op_k kind = kind_of(key);
    struct k_list of_k = {&b->k[kind], kind};
    struct nb_list *list = kind != NB_K_NONE ? of_k.list : targets[key].list;
    if (list != NULL)
        list_free(list);
    else
        words_free(targets[key].words);
    void *target = kind != NB_K_NONE ? (void *)&of_k : list != NULL ? (void *)list : targets[key].words;
    const enum nb_status s = each_word(KEY_NAMES[key], value, kind != NB_K_NONE ? read_k : targets[key].read, target, err);
    if (list != NULL)
        list_unique(list);
    return s;
}

enum nb_status nb_k_parse(enum nb_op_k kind, const char *text, size_t *value, struct nb_err *err)
{
    struct nb_block b = {0};
    const enum nb_status s = nb_block_set(&b, (enum nb_key)nb_key_parse(nb_k_facts[kind].name), text, err);
    if (s == NB_OK)
        *value = b.k[kind].v[0];
    nb_block_free(&b);
    return s;
}

#define NUMBER_TEXT(number) #number
#define TEXT_OF(number) NUMBER_TEXT(number)
static const char *const DEFAULTS[NB_KEY_COUNT] = {
    [NB_KEY_OP] = "layernorm,rmsnorm", [NB_KEY_ISA] = "best",  [NB_KEY_DTYPE] = "f32",    [NB_KEY_PARAM_DTYPE] = "x",
    [NB_KEY_HIDDEN] = "1024",          [NB_KEY_ROWS] = "auto", [NB_KEY_THREADS] = "1",    [NB_KEY_RESIDENCY] = "L2",
    [NB_KEY_KERNELS] = "all",          [NB_KEY_OFFSET] = TEXT_OF(NB_OFFSET), [NB_KEY_IN_PLACE] = "no",
    [NB_KEY_DIR] = "fwd",              [NB_KEY_FUSE] = "none", [NB_KEY_STATS] = "no",
    [NB_KEY_MOMENTUM] = TEXT_OF(NB_MOMENTUM)};

const char *nb_key_default(enum nb_key key)
{
    static char text[NB_K_COUNT][32];
    const enum nb_op_k kind = kind_of(key);
    if (kind == NB_K_NONE)
        return DEFAULTS[key];
    nb_k_text(kind, nb_k_facts[kind].value, text[kind], sizeof text[kind]);
    return text[kind];
}

enum nb_status nb_block_init(struct nb_block *b, const char *name, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    *b = (struct nb_block){.given = 0};
    snprintf(b->name, sizeof(b->name), "%s", name);
    for (int key = 0; s == NB_OK && key < NB_KEY_COUNT; key++)
        if (nb_key_default((enum nb_key)key) != NULL)
            s = nb_block_set(b, (enum nb_key)key, nb_key_default((enum nb_key)key), err);
    b->given = 0;
    return s;
}

void nb_block_free(struct nb_block *b)
{
    struct nb_list *lists[] = {&b->op,     &b->dtype, &b->residency, &b->param_dtype,
                               &b->hidden, &b->rows,  &b->threads,   &b->offset,
                               &b->in_place, &b->dir, &b->fuse};
    struct nb_words *words[] = {&b->algo, &b->isa, &b->kernel};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_free(lists[i]);
    for (int kind = 1; kind < NB_K_COUNT; kind++)
        list_free(&b->k[kind]);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words_free(words[i]);
}

const struct nb_pair nb_pairs[NB_PAIR_COUNT] = {
    {"twopass", "onepass", "expm1"}, {"guarded", "onepass", "expm1"}, {"onepass", "onepass", ""},
    {"welford", "welford", ""},      {"twopass", "twopass", "expm1"}, {"f64acc", "f64acc", ""},
    {"naive", "naive", "naive"},     {"unfused", "unfused", ""},      {"auto", "auto", ""},
    {"addnorm", "addnorm", ""},      {"folded", "folded", ""},
};

const char *nb_pair_algo(const struct nb_pair *p, uint32_t op)
{
    const struct nb_op_facts *f = nb_op_facts(op);
    return f->pointwise ? p->pointwise : f->centred ? p->centred : p->plain;
}

static bool is_layer(int op)
{
    return op >= 0 && nb_op_is_layer((uint32_t)op);
}

static enum nb_status read_versus(void *target, const char *word, struct nb_err *err)
{
    struct nb_settings *s = target;
    char text[64] = "";
    const char *colon = strchr(word, ':');
    if (colon != NULL && strlen(word) < sizeof text)
        snprintf(text, sizeof text, "%.*s", (int)(colon - word), word);
    const int test = nb_op_parse(text), base = colon != NULL ? nb_op_parse(colon + 1) : -1;
    if (!is_layer(test) || !is_layer(base) || test == base)
        return nb_fail(err, "versus: \"%.60s\" is no pair of two norms, the one whose speedup is asked for before the other, "
                            "such as rmsnorm:layernorm; known: %s", word, nb_known_ops(true));
    for (size_t i = 0; i < s->versus_count; i++)
        if (s->versus[i].test == (uint32_t)test && s->versus[i].base == (uint32_t)base)
            return NB_OK;
    if (s->versus_count == NB_VERSUS_MAX)
        return nb_fail(err, "versus: more than %d pairs", NB_VERSUS_MAX);
    s->versus[s->versus_count++] = (struct nb_versus){(uint32_t)test, (uint32_t)base};
    return NB_OK;
}

enum nb_status nb_versus_parse(struct nb_settings *s, const char *text, struct nb_err *err)
{
    s->versus_count = 0;
    return each_word("versus", text, read_versus, s, err);
}

bool nb_is_ceiling(const struct nb_kernel *k)
{
    return !nb_op_is_layer(k->op);
}

bool nb_is_anchor(const struct nb_kernel *k)
{
    return (k->op == NB_OP_SCALE || k->op == NB_OP_TRIAD) && k->trick[0] == '\0';
}

bool nb_is_extra_reference(const struct nb_kernel *k)
{
    return k->op == NB_OP_AFFINE && k->trick[0] != '\0';
}

/* The one-pass formulas lose k1^2 unit roundoffs; those on x - x[0] what x[0] makes of it (docs/numerics.md). */
bool nb_kernel_is_weak(const struct nb_kernel *k)
{
    const uint32_t kind = k->bound.kind;
    return nb_op_facts(k->op)->centred && !nb_op_facts(k->op)->given && kind != NB_BOUND_TWOPASS && kind != NB_BOUND_WELFORD &&
           kind != NB_BOUND_GUARDED && kind != NB_BOUND_EITHER && kind != NB_BOUND_GRADIENT &&
           kind != NB_BOUND_GRADIENT_VARIANCE;
}

bool nb_kernel_may_win(const struct nb_kernel *k, bool allow_weak)
{
    return strcmp(k->algo, "auto") != 0 && (allow_weak || !nb_kernel_is_weak(k));
}

bool nb_kernel_streams(const struct nb_kernel *k)
{
    for (const char *at = k->trick; (at = strstr(at, "nt")) != NULL; at += 2)
        if ((at == k->trick || at[-1] == '_') && (at[2] == '\0' || at[2] == '_'))
            return true;
    return false;
}

bool nb_block_takes_isa(const struct nb_block *b, const struct nb_kernel *k)
{
    if (b->isa.n == 0 || nb_kernel_origin(k) != NB_OURS)
        return true;
    const struct nb_isa *best = nb_isa_best((enum nb_dtype)k->dtype);
    for (size_t i = 0; i < b->isa.n; i++) {
        const char *word = b->isa.v[i];
        if (strcmp(word, "all") == 0 || strcmp(word, k->isa) == 0 ||
            (strcmp(word, "best") == 0 && best != NULL && strcmp(best->name, k->isa) == 0))
            return true;
    }
    return false;
}

/* What the title of a comparison is about: that of the textbook. */
static const char *headline_algo(const struct nb_kernel *k)
{
    const struct nb_op_facts *f = nb_op_facts(k->op);
    return f->pointwise ? "expm1" : f->given ? "folded" : f->centred || k->dir == NB_BWD ? "twopass" : "onepass";
}

static bool takes_set(const struct nb_block *b, const struct nb_kernel *k)
{
    if (b->kernels == NB_SET_ALL || nb_is_ceiling(k))
        return true;
    const bool headline = strcmp(k->algo, headline_algo(k)) == 0;
    if (b->kernels == NB_SET_HEADLINE)
        return headline && k->trick[0] == '\0';
    if (b->kernels == NB_SET_CONTENDERS)
        return headline || strcmp(k->algo, "guarded") == 0 || strcmp(k->algo, "auto") == 0;
    for (size_t i = 0; i < NB_PAIR_COUNT; i++)
        if (strcmp(k->algo, nb_pair_algo(&nb_pairs[i], k->op)) == 0)
            return true;
    return false;
}

static bool takes_op(const struct nb_block *b, const struct nb_kernel *k)
{
    for (size_t i = 0; i < b->op.n; i++)
        if (b->op.v[i] == k->op)
            return true;
    return false;
}

bool nb_block_takes(const struct nb_block *b, const struct nb_kernel *k)
{
    if (nb_kernel_origin(k) != NB_OURS) /* was asked for by name of its library */
        return takes_op(b, k) || !nb_descriptor_has_op(k);
    if (b->kernel.n > 0) { /* a glob names kernels of any ISA, so "isa = best" must not hide them */
        bool named = false;
        for (size_t i = 0; i < b->kernel.n; i++)
            named = named || fnmatch(b->kernel.v[i], k->name, 0) == 0;
        return named && (!(b->given & 1u << NB_KEY_ISA) || nb_block_takes_isa(b, k));
    }
    bool algo = b->algo.n == 0;
    for (size_t i = 0; i < b->algo.n; i++)
        algo = algo || strcmp(b->algo.v[i], k->algo) == 0;
    return takes_op(b, k) && algo && nb_block_takes_isa(b, k) && takes_set(b, k);
}

/* ---- presets ---- */

enum { PRESET_MAX = 1 << 20, LINE_MAX_LEN = 1198, BLOCKS_MAX = 256 };

struct nb_settings nb_settings_default(void)
{
    return (struct nb_settings){
        .seed = 1, .budget_s = 0, .sample_ms = 2, .processes = 10, .screening = 2, .rounds = 12,
        .versus = {{NB_OP_RMSNORM, NB_OP_LAYERNORM}, {NB_OP_PRMSNORM, NB_OP_LAYERNORM}}, .versus_count = 2};
}

const char *nb_presets_dir(void)
{
    static char path[4096];
    return nb_data_dir("NB_PRESETS_DIR", "presets", NB_PRESETS_DIR, path, sizeof path);
}

/* Settings that may stand in the head of a preset. */
static enum nb_status set_setting(struct nb_preset *p, const char *key, const char *value,
                                  struct nb_err *err)
{
    struct nb_settings *s = &p->settings;
    size_t n = 0;
    enum nb_status status = NB_OK;
    if (strcmp(key, "title") == 0) {
        if ((size_t)snprintf(p->title, sizeof(p->title), "%s", value) >= sizeof(p->title))
            status = nb_fail(err, "title: longer than %zu characters", sizeof(p->title) - 1);
    } else if (strcmp(key, "budget") == 0) {
        status = nb_parse_seconds(key, value, &s->budget_s, err);
    } else if (strcmp(key, "sample") == 0) {
        char *end;
        s->sample_ms = strtod(value, &end);
        if (strcmp(end, "ms") != 0 || !(s->sample_ms >= 0.1 && s->sample_ms <= 1000))
            status = nb_fail(err, "sample: \"%s\" is not a time like 2ms (0.1ms to 1000ms)", value);
    } else if (strcmp(key, "processes") == 0) {
        status = nb_parse_size(key, value, 1, 1000, &n, err);
        s->processes = (unsigned)n;
        s->processes_given = true;
    } else if (strcmp(key, "rounds") == 0) {
        status = nb_parse_size(key, value, 1, 10000, &n, err);
        s->rounds = (unsigned)n;
    } else if (strcmp(key, "versus") == 0) {
        status = nb_versus_parse(s, value, err);
    } else if (strcmp(key, "bars") == 0) {
        if (strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(value) ||
            strlen(value) >= sizeof(p->bars_file))
            status = nb_fail(err, "bars: \"%.80s\" is no name of a file beside the preset", value);
        else
            snprintf(p->bars_file, sizeof(p->bars_file), "%s", value);
    } else {
        status = nb_fail(err, "unknown key \"%s\"; known before the first [block]: title, budget, "
                              "sample, processes, rounds, versus, bars", key);
    }
    return status;
}

static enum nb_status add_block(struct nb_preset *p, const char *name, struct nb_err *err)
{
    if (p->count == BLOCKS_MAX)
        return nb_fail(err, "more than %d blocks", BLOCKS_MAX);
    struct nb_block *blocks = realloc(p->blocks, (p->count + 1) * sizeof *blocks);
    NB_ASSERT(blocks != NULL);
    p->blocks = blocks;
    return nb_block_init(&p->blocks[p->count++], name, err);
}

static const char *known_keys(void)
{
    static char text[512];
    text[0] = '\0';
    for (int key = 0; key < NB_KEY_COUNT; key++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", key > 0 ? ", " : "", KEY_NAMES[key]);
    return text;
}

/* One line of a preset: empty, comment, [block] or key = value. */
static enum nb_status preset_line(struct nb_preset *p, char *line, struct nb_err *err)
{
    char key[64], value[LINE_MAX_LEN + 1], name[40];
    line[strcspn(line, "#\r\n")] = '\0';
    line += strspn(line, " \t");
    if (*line == '\0')
        return NB_OK;
    int end = 0;
    if (*line == '[') {
        if (sscanf(line, "[%39[a-z0-9_-]] %n", name, &end) != 1 || end == 0 || line[end] != '\0')
            return nb_fail(err, "\"%.60s\" is no [block] name (a-z, 0-9, - and _)", line);
        return add_block(p, name, err);
    }
    if (sscanf(line, "%63[a-z-] = %[^\n]", key, value) != 2)
        return nb_fail(err, "\"%.60s\" is not of the form key = value", line);
    for (size_t n = strlen(value); n > 0 && isspace((unsigned char)value[n - 1]); n--)
        value[n - 1] = '\0';
    if (p->count == 0)
        return set_setting(p, key, value, err);
    const int k = nb_key_parse(key);
    if (k < 0)
        return nb_fail(err, "unknown key \"%s\"; known: %s", key, known_keys());
    struct nb_block *b = &p->blocks[p->count - 1];
    if (b->given & 1u << k)
        return nb_fail(err, "%s: given twice in block [%s]; join the values with commas", key, b->name);
    return nb_block_set(b, (enum nb_key)k, value, err);
}

/* A byte that has no place in a line of text, or -1; a tab has, and a CR before the newline. */
static int control_in(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)line[i];
        if ((c < ' ' && c != '\t' && !(c == '\r' && i + 1 == n)) || c == 0x7f)
            return c;
    }
    return -1;
}

static enum nb_status read_lines(struct nb_preset *p, const char *path, const char *text,
                                 size_t len, struct nb_err *err)
{
    char line[LINE_MAX_LEN + 1];
    struct nb_err inner;
    const char *const end = text + len;
    for (unsigned number = 1; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((newline != NULL ? newline : end) - text);
        if (n > LINE_MAX_LEN)
            return nb_fail(err, "%s:%u: line longer than %d characters", path, number,
                           LINE_MAX_LEN);
        const int control = control_in(text, n);
        if (control >= 0)
            return nb_fail(err, "%s:%u: control byte 0x%02x; a preset is plain text", path, number,
                           (unsigned)control);
        memcpy(line, text, n);
        line[n] = '\0';
        if (preset_line(p, line, &inner) != NB_OK)
            return nb_fail(err, "%s:%u: %s", path, number, inner.text);
        text += newline != NULL ? n + 1 : n;
    }
    if (p->count == 0)
        return nb_fail(err, "%s: no [block]; a preset needs at least one", path);
    return NB_OK;
}

enum nb_status nb_preset_parse(struct nb_preset *p, const char *path, const char *text,
                               size_t len, struct nb_err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    *p = (struct nb_preset){.settings = nb_settings_default()};
    snprintf(p->name, sizeof(p->name), "%.*s", (int)strcspn(name, "."), name);
    enum nb_status status = read_lines(p, path, text, len, err);
    if (status != NB_OK)
        nb_preset_free(p);
    return status;
}

/* The bars that a preset names, from its own folder. */
static enum nb_status load_bars(struct nb_preset *p, const char *path, struct nb_err *err)
{
    char beside[4200];
    const char *slash = strrchr(path, '/');
    if (p->bars_file[0] == '\0')
        return NB_OK;
    snprintf(beside, sizeof beside, "%.*s%s", slash != NULL ? (int)(slash + 1 - path) : 0, path,
             p->bars_file);
    enum nb_status s = nb_bars_load(beside, &p->bars, err);
    if (s != NB_OK)
        nb_preset_free(p);
    return s;
}

enum nb_status nb_preset_load(struct nb_preset *p, const char *name_or_path, struct nb_err *err)
{
    char path[4096];
    *p = (struct nb_preset){0};
    if (strpbrk(name_or_path, "/.") != NULL)
        snprintf(path, sizeof path, "%s", name_or_path);
    else
        snprintf(path, sizeof path, "%s/%s.preset", nb_presets_dir(), name_or_path);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return nb_fail(err, "preset %s: %s: %s; `normbench list presets` shows what there is",
                       name_or_path, path, strerror(errno));
    char *text = malloc(PRESET_MAX + 1); /* a pipe has no size to ask for, /dev/zero no end */
    NB_ASSERT(text != NULL);
    const size_t len = fread(text, 1, PRESET_MAX + 1, f);
    enum nb_status status;
    if (ferror(f))
        status = nb_fail(err, "%s: %s", path, strerror(errno));
    else if (len > PRESET_MAX)
        status = nb_fail(err, "%s: larger than %d bytes; a preset is a short text", path, PRESET_MAX);
    else
        status = nb_preset_parse(p, path, text, len, err);
    if (status == NB_OK)
        status = load_bars(p, path, err);
    free(text);
    fclose(f);
    return status;
}

enum nb_status nb_preset_set_all(struct nb_preset *p, enum nb_key key, const char *value,
                                 struct nb_err *err)
{
    for (size_t i = 0; i < p->count; i++) {
        enum nb_status s = nb_block_set(&p->blocks[i], key, value, err);
        if (s != NB_OK)
            return s;
    }
    return NB_OK;
}

void nb_preset_free(struct nb_preset *p)
{
    for (size_t i = 0; i < p->count; i++)
        nb_block_free(&p->blocks[i]);
    free(p->blocks);
    p->blocks = NULL;
    p->count = 0;
    json_decref(p->bars);
    p->bars = NULL;
}
