#include "explain.h"

#include "code.h"
#include "explain_facts.h"
#include "nb_unit_flags.h"
#include "auto.h"
#include "foreign.h"
#include "options.h"
#include "registry.h"
#include "tune.h"

#include <fnmatch.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* Everything is gathered as one JSON object; the text is printed from it. A row that
 * explain.def lacks is named under "missing", and what it would have said is null. */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *words(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static void miss(json_t *missing, const char *kind, const char *op, const char *word)
{
    char text[160];
    snprintf(text, sizeof text, "NB_EXPLAIN_%s(\"%s%s%s\", ...)", kind, op,
             *op ? "\", \"" : "", word);
    json_array_append_new(missing, json_string(text));
}

static json_t *lines(const char *text)
{
    json_t *array = json_array();
    while (*text != '\0') {
        const size_t n = strcspn(text, "\n");
        json_array_append_new(array, json_stringn(text, n));
        text += n + (text[n] == '\n');
    }
    return array;
}

static json_t *tricks_json(const struct nb_kernel *k, json_t *missing)
{
    json_t *array = json_array();
    for (const char *word = k->trick; *word != '\0'; word += *word == '_') {
        const size_t n = strcspn(word, "_");
        const struct nb_trick_words *t = nb_words_of_trick(k, word, n);
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)n, word);
        if (t == NULL)
            miss(missing, "TRICK", "", name);
        json_array_append_new(array, json_pack("{ss so}", "word", name, "does",
                                               words(t != NULL ? t->text : NULL)));
        word += n;
    }
    return array;
}

/* Of a kernel that is not this program's its descriptor is all that is known. */
static void put_foreign_words(json_t *o, const struct nb_kernel *k)
{
    json_object_set_new(o, "formula", json_null());
    json_object_set_new(o, "formula_reason", json_string("not this program's kernel, and a descriptor has no place for one"));
    json_object_set_new(o, "scans", json_null());
    json_object_set_new(o, "tricks", json_array());
    json_object_set_new(o, "source_key", json_string(k->source));
    json_object_set_new(o, "source", json_string(k->source));
    json_object_set_new(o, "missing", json_array());
}

static void put_words(json_t *o, const struct nb_kernel *k)
{
    json_t *missing = json_array();
    const struct nb_algo_words a = nb_words_of_algo(k);
    const char *source = nb_words_of_source(k->source);
    if (a.formula == NULL)
        miss(missing, "ALGO", nb_op_name(k->op), k->algo);
    if (source == NULL)
        miss(missing, "SOURCE", "", k->source);
    json_object_set_new(o, "formula", a.formula != NULL ? json_sprintf("%s%s", a.before, a.formula) : json_null());
    json_object_set_new(o, "formula_reason", json_null());
    json_object_set_new(o, "scans", a.scans != NULL ? lines(a.scans) : json_null());
    json_object_set_new(o, "tricks", tricks_json(k, missing));
    json_object_set_new(o, "source_key", json_string(k->source));
    json_object_set_new(o, "source", words(source));
    json_object_set_new(o, "missing", missing);
}

static void put_models(json_t *o, const struct nb_kernel *k)
{
    const struct nb_bytes b = nb_bytes_of(k);
    json_object_set_new(o, "x_reads", json_integer(k->x_reads));
    json_object_set_new(o, "dy_reads", k->dir == NB_BWD ? json_integer(k->dy_reads) : json_null());
    json_object_set_new(o, "flops_per_element", json_real(k->flops));
    json_object_set_new(o, "bytes_per_element",
                        json_pack("{sf sf sf}", "least", b.least, "write_allocate",
                                  b.allocate, "loops", b.loops));
    json_object_set_new(o, "flops_per_byte",
                        json_pack("{sf sf}", "least", k->flops / b.least,
                                  "write_allocate", k->flops / b.allocate));
}

static const char *const KINDS[NB_BOUND_KINDS] = {
    "exact", "round", "twopass", "onepass", "shifted", "welford", "rms", "guarded", "either",
    "gradient", "gradient_variance"};
static const char *const HAZARDS[] = {"inside", "unstable", "overflow"};

static json_t *bound_rows(const struct nb_kernel *k, size_t hidden)
{
    struct nb_bound_at at[NB_BOUND_ROWS];
    json_t *array = json_array();
    nb_bounds_at(k, hidden, at);
    for (int i = 0; i < NB_BOUND_ROWS; i++)
        if (at[i].family != NULL) {
            const bool inside = at[i].hazard == NB_REF_INSIDE;
            json_array_append_new(
                array, json_pack("{ss so ss so so}", "family", at[i].family, "k1",
                                 number(at[i].k1), "hazard", HAZARDS[at[i].hazard],
                                 "worst", number(inside ? at[i].limits.worst.E : NAN),
                                 "likely", number(inside ? at[i].limits.likely.E : NAN)));
        }
    return array;
}

static void put_bounds(json_t *o, const struct nb_kernel *k, size_t hidden)
{
    const bool norm = nb_op_facts(k->op)->norm;
    json_t *reach = json_null();
    if (norm)
        reach = json_pack("{so so so}", "offset",
                          number(nb_bound_reach(k, hidden, NB_ROWS_OFFSET)), "outlier",
                          number(nb_bound_reach(k, hidden, NB_ROWS_OUTLIER)), "size",
                          number(nb_bound_reach(k, hidden, NB_ROWS_SIZE)));
    json_object_set_new(
        o, "bound",
        json_pack("{ss sf sf sf sf sb sf sI so so}", "kind",
                  k->bound.kind < NB_BOUND_KINDS ? KINDS[k->bound.kind] : "unknown", "c1",
                  k->bound.c1, "c0", k->bound.c0, "lanes", k->bound.lanes, "lambda",
                  k->bound.lambda, "range_safe", (int)(k->bound.range_safe != 0), "c",
                  nb_sum_constant(k, hidden), "n", (json_int_t)nb_sum_length(k, hidden), "rows", bound_rows(k, hidden), "reach",
                  reach));
}

static json_t *function_json(const struct nb_code_function *f)
{
    json_t *loops = json_array();
    for (uint32_t i = 0; i < f->loop_count; i++)
        json_array_append_new(
            loops,
            json_pack("{si si si si}", "instructions", (int)f->loops[i].instructions,
                      "vector_bits", (int)f->loops[i].vector_bits, "loaded",
                      (int)f->loops[i].loaded, "stored", (int)f->loops[i].stored));
    return json_pack("{ss si si so}", "function", f->name, "bytes", (int)f->bytes,
                     "vector_bits", (int)f->vector_bits, "inner_loops", loops);
}

static const char *flags_of(const char *isa)
{
    for (size_t i = 0; i < sizeof nb_unit_flags / sizeof *nb_unit_flags; i++)
        if (strcmp(nb_unit_flags[i][0], isa) == 0)
            return nb_unit_flags[i][1];
    return NULL;
}

static void put_code(json_t *o, const struct nb_kernel *k)
{
    const struct nb_code *code = nb_code_of(nb_kernel_function(k));
    json_t *functions = code != NULL ? json_array() : json_null();
    for (uint32_t i = 0; code != NULL && i < code->function_count; i++)
        json_array_append_new(functions, function_json(code->functions[i]));
    json_object_set_new(o, "vector_bits_declared", json_integer(k->vector_bits));
    json_object_set_new(o, "vector_bits",
                        code != NULL ? json_integer(code->vector_bits) : json_null());
    json_object_set_new(o, "code_bytes",
                        code != NULL ? json_integer(code->bytes) : json_null());
    json_object_set_new(o, "functions", functions);
    json_object_set_new(o, "code_reason", words(nb_code_why_not(nb_kernel_function(k))));
    json_object_set_new(o, "flags",
                        words(nb_kernel_origin(k) == NB_OURS ? flags_of(k->isa) : NULL));
}

static void put_recorded(json_t *o, const struct nb_kernel *k)
{
    struct nb_recorded w;
    if (!nb_worst_recorded(k, &w)) {
        json_object_set_new(o, "worst_seen", json_null());
        json_object_set_new(
            o, "worst_seen_reason",
            json_string(strcmp(k->trick, "ompsimd") == 0
                            ? "not recorded: the compiler chooses the order of its sums"
                            : "not in tests/accuracy_record.csv"));
        return;
    }
    json_object_set_new(
        o, "worst_seen",
        json_pack("{sf sf so so}", "E", strtod(w.E, NULL), "hidden",
                  strtod(w.hidden, NULL), "family", words(w.family), "share_of_bound",
                  w.share != NULL ? number(strtod(w.share, NULL)) : json_null()));
    json_object_set_new(o, "worst_seen_reason", json_null());
}

static json_t *needs_json(const struct nb_kernel *k)
{
    static const struct {
        uint32_t bit;
        const char *text;
    } features[] = {{NB_CPU_AVX2, "AVX2 with FMA and F16C"},
                    {NB_CPU_AVX512, "AVX-512 F, BW, DQ, VL"},
                    {NB_CPU_AVX512_BF16, "AVX-512 BF16"},
                    {NB_CPU_NEON, "Advanced SIMD (NEON)"}};
    json_t *array = json_array();
    uint32_t left = k->cpu_bits;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (left & features[i].bit) {
            json_array_append_new(array, json_string(features[i].text));
            left &= ~features[i].bit;
        }
    if (left != 0)
        json_array_append_new(
            array, json_sprintf("a feature without words here: bits 0x%x of nb_kernel.h",
                                (unsigned)left));
    return array;
}

enum { MAX_HIDDEN = 1 << 18 };

/* Why it takes no rows of that length; NULL: it does, or is not ours to ask. */
static const char *refusal(const struct nb_kernel *k, size_t hidden)
{
    const struct nb_problem p = nb_plain_problem(k, hidden);
    return nb_kernel_origin(k) == NB_OURS ? k->supports(&p) : NULL;
}

/* The row length of commands: that asked for, or the power of two that it takes, next below or else above. */
static size_t command_hidden(const struct nb_kernel *k, size_t hidden)
{
    size_t power = 1;
    if (refusal(k, hidden) == NULL)
        return hidden;
    while (2 * power < hidden)
        power *= 2;
    for (size_t below = power; below > 0; below /= 2)
        if (refusal(k, below) == NULL)
            return below;
    for (size_t above = 2 * power; above <= MAX_HIDDEN; above *= 2)
        if (refusal(k, above) == NULL)
            return above;
    return hidden;
}

static void put_commands(json_t *o, const struct nb_kernel *k, size_t hidden)
{
    const bool plain = k->dir == NB_FWD && k->fuse == NB_FUSE_NONE; /* which is all that the laboratory judges */
    const bool ours = nb_kernel_origin(k) == NB_OURS; /* --isa names ours; those from elsewhere are in every cell of their op */
    char tail[512], from[224];                        /* from: what brings it in */
    nb_foreign_repro(k, from, sizeof from);
    snprintf(tail, sizeof tail, "--kernel %s%s%s%s %s %s --dtype %s --hidden %zu%s", k->name,
             k->dir == NB_BWD ? " --dir bwd" : "", k->fuse != NB_FUSE_NONE ? " --fuse " : "",
             k->fuse != NB_FUSE_NONE ? nb_fuse_name(k->fuse) : "", ours ? "--isa" : "--op", ours ? k->isa : nb_op_name(k->op),
             nb_dtype_name(k->dtype), command_hidden(k, hidden), from);
    json_object_set_new(
        o, "commands",
        json_pack("{so so so}", "check", json_sprintf("normbench check %s", tail),
                  "measure",
                  json_sprintf("normbench run %s --residency L2,DRAM --budget 60s", tail),
                  "judge", plain ? json_sprintf("normbench accuracy %s --out accuracy", tail) : json_null()));
}

/* What auto runs at this hidden: each residency; one row a thread, two, and more. */
static json_t *choice_json(const struct nb_kernel *k, size_t hidden, enum nb_auto_level level, size_t rows)
{
    const struct nb_problem p = nb_plain_problem(k, hidden);
    const char *why = NULL;
    const struct nb_kernel *chosen = nb_auto_choose(k->isa, &p, level, rows, &why);
    return json_pack("{ss sI so so}", "residency", nb_residency_name((enum nb_residency)level), "rows_from",
                     (json_int_t)rows, "runs", words(chosen != NULL ? chosen->name : NULL), "why", words(why));
}

static void put_choices(json_t *o, const struct nb_kernel *k, size_t hidden)
{
    json_t *array = json_array();
    for (int level = 0; level < NB_AUTO_LEVELS; level++)
        for (size_t rows = 1; rows <= NB_TUNE_MANY; rows++)
            json_array_append_new(array, choice_json(k, hidden, (enum nb_auto_level)level, rows));
    json_object_set_new(o, "choices", array);
}

static json_t *explain(const struct nb_kernel *k, size_t hidden)
{
    const char *why_not = nb_kernel_why_not(k);
    json_t *o =
        json_pack("{si ss ss ss ss ss ss ss sI}", "schema", 1, "kernel", k->name, "dir", nb_dir_name(k->dir), "fuse",
                  nb_fuse_name(k->fuse), "op",
                  nb_op_name(k->op), "algo", k->algo, "dtype", nb_dtype_name(k->dtype),
                  "isa", k->isa, "hidden", (json_int_t)hidden);
    (nb_kernel_origin(k) == NB_OURS ? put_words : put_foreign_words)(o, k);
    put_models(o, k);
    put_bounds(o, k, hidden);
    json_object_set_new(o, "flushes_subnormals", json_boolean(k->flushes));
    put_recorded(o, k);
    put_code(o, k);
    json_object_set_new(o, "needs", needs_json(k));
    json_object_set_new(o, "runnable", json_boolean(why_not == NULL));
    json_object_set_new(o, "reason", words(why_not));
    json_object_set_new(o, "hidden_reason", words(refusal(k, hidden)));
    if (strcmp(k->algo, "auto") == 0 && nb_kernel_origin(k) == NB_OURS)
        put_choices(o, k, hidden);
    put_commands(o, k, hidden);
    return o;
}

/* ---- text ---- */

static const char *string(const json_t *o, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : otherwise;
}

static double real_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void print_number(const json_t *o, const char *key)
{
    const double v = real_of(o, key);
    isnan(v) ? printf("null") : printf("%.4g", v);
}

static void print_list(const char *label, const json_t *array)
{
    size_t i;
    json_t *line;
    json_array_foreach(array, i, line)
    {
        printf("%-12s %s\n", i == 0 ? label : "", json_string_value(line));
    }
}

static void print_words(const json_t *o)
{
    size_t i;
    json_t *t;
    if (json_is_null(json_object_get(o, "formula")))
        printf("%-12s null: %s\n", "formula", string(o, "formula_reason", "no words of it"));
    else
        printf("%-12s %s\n", "formula", string(o, "formula", ""));
    print_list("scans", json_object_get(o, "scans"));
    json_array_foreach(json_object_get(o, "tricks"), i, t)
    {
        printf("%-12s %s: %s\n", "trick", string(t, "word", ""),
               string(t, "does", "null"));
    }
    print_list("NO WORDS", json_object_get(o, "missing"));
    printf("%-12s %s\n", "source", string(o, "source", "null"));
}

static void print_models(const json_t *o)
{
    const json_t *b = json_object_get(o, "bytes_per_element"),
                 *f = json_object_get(o, "flops_per_byte");
    const bool back = strcmp(string(o, "dir", ""), "bwd") == 0;
    const char *const fuse = string(o, "fuse", "none");
    const bool fused = strcmp(fuse, "none") != 0;
    const char *const in = back ? "x and dy" : fused ? "x and the residual" : "x";
    const bool kept = strcmp(fuse, "residual") == 0;
    const char *const out = back ? kept ? "dres and dx" : "dx" : kept ? "h and y" : "y";
    const char *const between = !fused ? "temporaries" : back ? "dres and temporaries" : "h";
    const bool streams = !(real_of(b, "write_allocate") > real_of(b, "least"));
    char times[64];
    if (back)
        snprintf(times, sizeof times, "x %g and dy %g", real_of(o, "x_reads"), real_of(o, "dy_reads"));
    else
        snprintf(times, sizeof times, "%s %g", in, real_of(o, "x_reads"));
    printf(
        "%-12s %g an element: %s read and %s written once; %g with write-allocate (%s%s%s);\n"
        "%-12s %g in its loops (%s times, %s once, %s); %s come from a cache\n",
        "bytes", real_of(b, "least"), in, out, real_of(b, "write_allocate"),
        streams ? "its stores need none" : "lines of ", streams ? "" : out,
        streams ? "" : " are read before they are written", "", real_of(b, "loops"), times, back ? "dx" : "y", between,
        back ? "gamma, dgamma and dbeta" : "gamma and beta");
    printf("%-12s %g an element (an FMA is two): %.3g a byte, %.3g with write-allocate\n",
           "flops", real_of(o, "flops_per_element"), real_of(f, "least"),
           real_of(f, "write_allocate"));
}

static void print_bound_row(const json_t *row)
{
    printf("%-12s %s", "", string(row, "family", ""));
    if (real_of(row, "k1") > 0)
        printf(" (k1 %.3g)", real_of(row, "k1"));
    if (strcmp(string(row, "hazard", ""), "inside") != 0) {
        printf(": none, the row is %s\n", string(row, "hazard", ""));
        return;
    }
    printf(": E at most ");
    print_number(row, "worst");
    printf(", likely at most ");
    print_number(row, "likely");
    putchar('\n');
}

static void print_reach(const json_t *reach, const char *key, const char *rows,
                        const char *otherwise)
{
    const double a = real_of(reach, key);
    if (isnan(a))
        printf("%-12s rows %s: %s\n", "", rows, otherwise);
    else
        printf("%-12s rows %s: up to a = %.3g\n", "", rows, a);
}

static void print_bounds(const json_t *o)
{
    const json_t *b = json_object_get(o, "bound"), *reach = json_object_get(b, "reach"),
                 *row;
    size_t i;
    printf("%-12s %s; c(n) = %g*n/lanes + log2(lanes) + %g = %.4g at n = %g; lanes %g, "
           "lambda %g\n",
           "bound", string(b, "kind", ""), real_of(b, "c1"), real_of(b, "c0"),
           real_of(b, "c"), real_of(b, "n"), real_of(b, "lanes"),
           real_of(b, "lambda"));
    json_array_foreach(json_object_get(b, "rows"), i, row)
    {
        print_bound_row(row);
    }
    if (!json_is_object(reach))
        return;
    printf("%-12s the bound holds on\n", "limits");
    print_reach(reach, "offset", "a+1, a-1, a+1, ...",
                "for every a up to 1e15 or half the dtype's range");
    print_reach(reach, "outlier", "a, -1, 1, -1, ...",
                "for every a up to 1e15 or half the dtype's range");
    print_reach(reach, "size", "a, -a, a, ...", "for every a of the dtype");
}

static void print_recorded(const json_t *o)
{
    const json_t *w = json_object_get(o, "worst_seen");
    if (json_is_null(w)) {
        printf("%-12s null: %s\n", "worst seen", string(o, "worst_seen_reason", ""));
        return;
    }
    printf("%-12s E ", "worst seen");
    print_number(w, "E");
    printf(" on family %s, hidden %g; of its bound it used ", string(w, "family", "null"),
           real_of(w, "hidden"));
    print_number(w, "share_of_bound");
    putchar('\n');
}

/* A function by its main inner loop; the others (a case each of gamma and beta, and what
 * is left of a row) are in the JSON. */
static void print_function(const json_t *f)
{
    const json_t *loops = json_object_get(f, "inner_loops"),
                 *l = json_array_get(loops, 0);
    const size_t others = json_array_size(loops) - 1;
    printf("%-12s   %-32s %3g bit %4g instructions, %4g bytes read, %3g written", "",
           string(f, "function", ""), real_of(l, "vector_bits"),
           real_of(l, "instructions"), real_of(l, "loaded"), real_of(l, "stored"));
    others > 0 ? printf("; %zu other loops\n", others) : putchar('\n');
}

static void print_code(const json_t *o)
{
    const json_t *f;
    size_t i;
    if (json_is_null(json_object_get(o, "vector_bits"))) {
        printf("%-12s null: %s\n", "code", string(o, "code_reason", ""));
        return;
    }
    printf("%-12s widest vector register %g bits, ", "code", real_of(o, "vector_bits"));
    real_of(o, "vector_bits_declared") > 0
        ? printf("asked for %g; ", real_of(o, "vector_bits_declared"))
        : printf("left to the compiler; ");
    printf("%g bytes; main inner loops, a turn:\n", real_of(o, "code_bytes"));
    json_array_foreach(json_object_get(o, "functions"), i, f)
    {
        print_function(f);
    }
    printf("%-12s %s\n", "built with", string(o, "flags", "null"));
}

/* "L2, 1 or 2 rows": the rows from which to which a choice holds. */
static void choice_place(char place[48], const json_t *c, int from, int to)
{
    const char *level = string(c, "residency", "");
    if (to == NB_TUNE_MANY)
        snprintf(place, 48, from == 1 ? "%s" : "%s, %d rows or more", level, from);
    else if (from == to)
        snprintf(place, 48, "%s, %d row%s", level, from, from == 1 ? "" : "s");
    else
        snprintf(place, 48, "%s, %d or %d rows", level, from, to);
}

/* One line for rows that have the same kernel for the same reason. */
static void print_choices(const json_t *o)
{
    const json_t *choices = json_object_get(o, "choices");
    int from = 1;
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const json_t *c = json_array_get(choices, i), *next = json_array_get(choices, i + 1);
        const int rows = (int)real_of(c, "rows_from");
        char place[48];
        if (rows < NB_TUNE_MANY && json_equal(json_object_get(c, "runs"), json_object_get(next, "runs")) &&
            json_equal(json_object_get(c, "why"), json_object_get(next, "why")))
            continue;
        choice_place(place, c, from, rows);
        printf("%-12s %-22s %s (%s)\n", i < NB_TUNE_MANY && from == 1 ? "runs" : "", place, string(c, "runs", "null"),
               string(c, "why", "null"));
        from = rows % NB_TUNE_MANY + 1;
    }
}

static void print_needs(const json_t *o)
{
    const json_t *needs = json_object_get(o, "needs"),
                 *why_not = json_object_get(o, "reason");
    size_t i;
    json_t *n;
    printf("%-12s ", "needs");
    json_array_foreach(needs, i, n)
    {
        printf("%s%s", i > 0 ? "; " : "", json_string_value(n));
    }
    printf("%s: %s%s\n", json_array_size(needs) == 0 ? "any CPU" : "",
           json_is_null(why_not) ? "runs here" : "cannot run here: ",
           json_is_null(why_not) ? "" : json_string_value(why_not));
    if (!json_is_null(json_object_get(o, "hidden_reason")))
        printf("%-12s no rows of %.0f elements: %s\n", "takes", real_of(o, "hidden"), string(o, "hidden_reason", ""));
}

static void print_text(const json_t *o)
{
    const json_t *commands = json_object_get(o, "commands");
    printf("%s\n", string(o, "kernel", ""));
    print_words(o);
    print_models(o);
    print_bounds(o);
    if (json_is_true(json_object_get(o, "flushes_subnormals")))
        printf("%-12s it treats subnormals as zero\n", "");
    print_recorded(o);
    print_code(o);
    print_choices(o);
    print_needs(o);
    printf("%-12s %s\n%-12s %s\n", "check", string(commands, "check", ""), "measure", string(commands, "measure", ""));
    if (!json_is_null(json_object_get(commands, "judge")))
        printf("%-12s %s\n", "judge", string(commands, "judge", ""));
}

/* ---- the command ---- */

/* Levenshtein's distance: letters put in, taken out or changed. Names are shorter than a
 * line. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 127 };
    size_t row[LONGEST + 1], n = strnlen(b, LONGEST);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0' && i <= LONGEST; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t change = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < row[j] ? change : row[j];
        }
    }
    return row[n];
}

/* Names that hold the word come before those that are spelled like it. */
static size_t strangeness(const char *word, const char *name)
{
    const size_t extra = strlen(name);
    return *word != '\0' && strstr(name, word) != NULL ? extra
                                                       : 1000 + distance(word, name);
}

static enum nb_status unknown_kernel(const char *word, struct nb_err *err)
{
    enum { NEAR = 5 };
    const struct nb_kernel *near[NEAR] = {NULL};
    char text[NEAR * 130] = "";
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        for (int n = 0; n < NEAR; n++)
            if (near[n] == NULL ||
                strangeness(word, k->name) < strangeness(word, near[n]->name)) {
                memmove(&near[n + 1], &near[n], (size_t)(NEAR - 1 - n) * sizeof *near);
                near[n] = k;
                break;
            }
    }
    for (int n = 0; n < NEAR && near[n] != NULL; n++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.120s",
                 n > 0 ? ", " : "", near[n]->name);
    return nb_fail(err,
                   "explain: no kernel is called \"%.128s\"; did you mean %s? `normbench "
                   "list` shows all",
                   word, text);
}

enum { KEY_HIDDEN = NB_OPTION_OTHERS, KEY_JSON };

struct request {
    const char *kernel, *hidden;
    struct nb_foreign foreign;
    bool json;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;
    if (key == KEY_HIDDEN)
        r->hidden = arg;
    else if (key == KEY_JSON)
        r->json = true;
    else if (nb_foreign_option(&r->foreign, key, arg))
        return 0;
    else if (key == ARGP_KEY_ARG && r->kernel == NULL)
        r->kernel = arg;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\": one name or pattern at a time", arg);
    else if (key == ARGP_KEY_END && r->kernel == NULL)
        argp_error(state, "which kernel? `normbench list` names them");
    else
        return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
    return 0;
}

static void parse_request(struct request *r, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"hidden", KEY_HIDDEN, "N", 0,
         "row length of bounds and commands (default 1024; commands: one that the kernel takes)", 1},
        {"json", KEY_JSON, 0, 0, "one JSON object a kernel in place of text", 1},
        NB_OPTIONS_FOREIGN,
        {0}};
    nb_option_parse(options, parse_option, "KERNEL",
                    "What a kernel is: formula, scans, bytes and flops, bounds, its code as the "
                    "compiler made it, the worst input seen, source. KERNEL may be a pattern, "
                    "e.g. 'rmsnorm_fwd_onepass__f32_*'.", argc, argv, r);
}

static void tell(const struct nb_kernel *k, size_t hidden, bool json, bool more)
{
    json_t *o = explain(k, hidden);
    NB_ASSERT(o != NULL);
    if (more)
        putchar('\n');
    if (json) {
        json_dumpf(o, stdout, JSON_INDENT(1));
        putchar('\n');
    } else
        print_text(o);
    json_decref(o);
}

enum nb_status nb_cmd_explain(int argc, char **argv, int *exit_code, struct nb_err *err)
{
    struct request r = {0};
    size_t hidden = 1024;
    parse_request(&r, argc, argv);
    if (r.hidden != NULL) {
        const enum nb_status s =
            nb_parse_size("--hidden", r.hidden, 1, MAX_HIDDEN, &hidden, err);
        if (s != NB_OK)
            return s;
    }
    const enum nb_status loaded = nb_foreign_load(&r.foreign, err);
    if (loaded != NB_OK)
        return loaded;
    size_t found = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++)
        if (fnmatch(r.kernel, nb_kernel_at(i)->name, 0) == 0)
            tell(nb_kernel_at(i), hidden, r.json, found++ > 0);
    if (found == 0)
        return unknown_kernel(r.kernel, err);
    *exit_code = 0;
    return NB_OK;
}
