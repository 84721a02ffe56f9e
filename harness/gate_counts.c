#define _GNU_SOURCE /* asprintf */
#include "gate_counts.h"

#include "count.h"
#include "counts.h"
#include "files.h"
#include "options.h"
#include "child.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- comparing ---- */

static const char *const VERDICTS[NB_COUNT_VERDICTS] = {"IDENTICAL", "CHANGED", "MORE",  "FEWER",
                                                        "ADDED",     "REMOVED", "BROKEN", "NOT_COUNTED"};

const char *nb_count_verdict_name(enum nb_count_verdict v)
{
    return VERDICTS[v];
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

/* Rows by "cell kernel". */
static json_t *index_rows(const json_t *counts)
{
    const json_t *row;
    json_t *index = json_object();
    size_t i;
    json_array_foreach(json_object_get(counts, "counts"), i, row) {
        char key[512];
        snprintf(key, sizeof key, "%.200s %.250s", text_of(row, "cell"), text_of(row, "kernel"));
        json_object_set(index, key, (json_t *)row);
    }
    return index;
}

static enum nb_count_verdict verdict_of(const json_t *base, const json_t *head, const struct nb_counts *b,
                                        const struct nb_counts *h, bool counted_b, bool counted_h)
{
    if (base == NULL)
        return NB_COUNT_ADDED;
    if (head == NULL)
        return NB_COUNT_REMOVED;
    if (counted_b && !counted_h && json_is_true(json_object_get(head, "failed")))
        return NB_COUNT_BROKEN;
    if (!counted_b || !counted_h)
        return NB_COUNT_NONE;
    const uint64_t *x = b->of, *y = h->of;
    if (x[NB_SIM_INSTRUCTIONS] != y[NB_SIM_INSTRUCTIONS])
        return y[NB_SIM_INSTRUCTIONS] > x[NB_SIM_INSTRUCTIONS] ? NB_COUNT_MORE : NB_COUNT_FEWER;
    const bool same = x[NB_SIM_READS] == y[NB_SIM_READS] && x[NB_SIM_WRITES] == y[NB_SIM_WRITES];
    return same ? NB_COUNT_IDENTICAL : NB_COUNT_CHANGED;
}

static json_t *difference(const struct nb_counts *b, const struct nb_counts *h, bool both, enum nb_sim_event e)
{
    return both ? json_integer((json_int_t)h->of[e] - (json_int_t)b->of[e]) : json_null();
}

static json_t *compare_row(const json_t *base, const json_t *head, double tolerance)
{
    struct nb_counts b = {{0}}, h = {{0}};
    const bool in_b = base != NULL && nb_counts_get(base, &b), in_h = head != NULL && nb_counts_get(head, &h);
    const json_t *any = head != NULL ? head : base, *failed = head != NULL && !in_h ? head : base;
    const enum nb_count_verdict v = verdict_of(base, head, &b, &h, in_b, in_h);
    const double n = (double)b.of[NB_SIM_INSTRUCTIONS], m = (double)h.of[NB_SIM_INSTRUCTIONS];
    const bool red = v == NB_COUNT_MORE && m > n * (1 + tolerance / 100);
    return json_pack("{ss ss ss sb so so so so ss}", "cell", text_of(any, "cell"), "kernel", text_of(any, "kernel"),
                     "verdict", VERDICTS[v], "red", (int)red, "base",
                     in_b ? json_integer((json_int_t)b.of[NB_SIM_INSTRUCTIONS]) : json_null(), "head",
                     in_h ? json_integer((json_int_t)h.of[NB_SIM_INSTRUCTIONS]) : json_null(), "reads",
                     difference(&b, &h, in_b && in_h, NB_SIM_READS), "writes",
                     difference(&b, &h, in_b && in_h, NB_SIM_WRITES), "reason",
                     in_b && in_h ? "" : text_of(failed, "reason"));
}

json_t *nb_gate_counts_compare(const json_t *base, const json_t *head, double tolerance)
{
    json_t *bases = index_rows(base), *heads = index_rows(head), *rows = json_array(), *row;
    const char *key;
    json_int_t red = 0;
    json_object_foreach(heads, key, row) {
        json_t *r = compare_row(json_object_get(bases, key), row, tolerance);
        red += json_is_true(json_object_get(r, "red"));
        json_array_append_new(rows, r);
    }
    json_object_foreach(bases, key, row) {
        if (json_object_get(heads, key) == NULL)
            json_array_append_new(rows, compare_row(row, NULL, tolerance));
    }
    json_decref(bases);
    json_decref(heads);
    return json_pack("{ss ss ss ss ss sf so sI}", "base", text_of(base, "git"), "head", text_of(head, "git"),
                     "base_compiler", text_of(base, "compiler"), "head_compiler", text_of(head, "compiler"),
                     "valgrind", text_of(head, "valgrind"), "tolerance", tolerance, "rows", rows, "red", red);
}

/* ---- telling ---- */

static size_t verdicts(const json_t *result, enum nb_count_verdict v)
{
    const json_t *row;
    size_t i, n = 0;
    json_array_foreach(json_object_get(result, "rows"), i, row)
        n += strcmp(text_of(row, "verdict"), VERDICTS[v]) == 0;
    return n;
}

static void put_sum(const json_t *result, FILE *f)
{
    const char *comma = "";
    for (int v = 0; v < NB_COUNT_VERDICTS; v++) {
        const size_t n = verdicts(result, (enum nb_count_verdict)v);
        if (n > 0)
            fprintf(f, "%s%zu %s", comma, n, VERDICTS[v]);
        comma = n > 0 ? ", " : comma;
    }
}

/* "+12 instructions (+0.4 %), +3 reads" or the reason. */
static void put_change(const json_t *row, FILE *f)
{
    const json_t *b = json_object_get(row, "base"), *h = json_object_get(row, "head");
    if (!json_is_integer(b) || !json_is_integer(h)) {
        const json_t *there = json_is_integer(h) ? h : b;
        if (json_is_integer(there))
            fprintf(f, "%" JSON_INTEGER_FORMAT " instructions", json_integer_value(there));
        fprintf(f, "%s%s", json_is_integer(there) && text_of(row, "reason")[0] ? "; " : "", text_of(row, "reason"));
        return;
    }
    const json_int_t n = json_integer_value(h) - json_integer_value(b);
    fprintf(f, "%+" JSON_INTEGER_FORMAT " instructions (%+.3g %%)", n,
            100 * (double)n / (double)json_integer_value(b));
    static const char *const accesses[] = {"reads", "writes"};
    for (size_t i = 0; i < 2; i++)
        if (json_integer_value(json_object_get(row, accesses[i])) != 0)
            fprintf(f, ", %+" JSON_INTEGER_FORMAT " %s", json_integer_value(json_object_get(row, accesses[i])),
                    accesses[i]);
}

/* What is the same, or was not counted on either side, says nothing a row. */
static bool is_told(const json_t *row)
{
    const char *v = text_of(row, "verdict");
    return strcmp(v, VERDICTS[NB_COUNT_IDENTICAL]) != 0 && strcmp(v, VERDICTS[NB_COUNT_NONE]) != 0;
}

static void put_title(const json_t *result, FILE *f)
{
    fprintf(f, "instructions of one call, simulated by callgrind (valgrind %s): head %s (%s) against base %s (%s)",
            text_of(result, "valgrind"), text_of(result, "head"), text_of(result, "head_compiler"),
            text_of(result, "base"), text_of(result, "base_compiler"));
}

static void print_result(const json_t *result, FILE *f)
{
    const json_t *row;
    size_t i;
    put_title(result, f);
    putc('\n', f);
    json_array_foreach(json_object_get(result, "rows"), i, row) {
        if (!is_told(row))
            continue;
        fprintf(f, "  %-10s %s %s: ", text_of(row, "verdict"), text_of(row, "kernel"), text_of(row, "cell"));
        put_change(row, f);
        fputs(strcmp(text_of(row, "verdict"), VERDICTS[NB_COUNT_MORE]) == 0 &&
                      !json_is_true(json_object_get(row, "red")) ? ", within the tolerance\n" : "\n", f);
    }
    put_sum(result, f);
    fprintf(f, " of %zu\n", json_array_size(json_object_get(result, "rows")));
}

static void markdown(const json_t *result, FILE *f)
{
    enum { MOST = 200 };
    const json_int_t red = json_integer_value(json_object_get(result, "red"));
    const json_t *row;
    size_t i, told = 0;
    fprintf(f, "### Instruction counts: %s\n\n", verdicts(result, NB_COUNT_BROKEN) > 0 ? "a kernel is broken"
                                                 : red > 0 ? "more instructions" : "no kernel has more");
    fputs("Exact ", f);
    put_title(result, f);
    fputs(". Counts are no times.\n\n", f);
    put_sum(result, f);
    fprintf(f, " (tolerance %g %%).\n", json_number_value(json_object_get(result, "tolerance")));
    json_array_foreach(json_object_get(result, "rows"), i, row) {
        if (!is_told(row) || told++ >= MOST)
            continue;
        if (told == 1)
            fputs("\n| | kernel | cell | head against base |\n|---|---|---|---|\n", f);
        fprintf(f, "| %s | `%s` | %s | ", text_of(row, "verdict"), text_of(row, "kernel"), text_of(row, "cell"));
        put_change(row, f);
        fputs(" |\n", f);
    }
    if (told > MOST)
        fprintf(f, "\nand %zu more rows\n", told - MOST);
}

/* ---- two programs ---- */

/* A program from before `count` says nothing of it in its help. */
static enum nb_status knows_count(const char *which, const char *program, struct nb_err *err)
{
    char version[256] = "", help[16384] = "", name[NB_PATH];
    snprintf(name, sizeof name, "%s%s", strchr(program, '/') == NULL ? "./" : "", program); /* a file, not of PATH */
    char *ask_version[] = {name, "--version", NULL}, *ask_help[] = {name, "--help", NULL};
    int status = 0;
    struct nb_err inner;
    if (nb_child_run(ask_version, version, sizeof version, &status, &inner) != NB_OK)
        return nb_fail(err, "--%s: %s; give a normbench that was built", which, inner.text);
    version[strcspn(version, "\n")] = '\0';
    if (status != 0 || strncmp(version, "normbench ", 10) != 0)
        return nb_fail(err, "--%s %.400s: does not answer --version as normbench does; give a normbench that was built",
                       which, program);
    if (nb_child_run(ask_help, help, sizeof help, &status, &inner) != NB_OK || status != 0 ||
        strstr(help, "\n  count ") == NULL)
        return nb_fail(err, "--%s %.400s: %s is too old: it has no `normbench count`", which, program, version);
    return NB_OK;
}

/* Its own messages stand on stderr, above ours. */
static enum nb_status ended_well(const char *which, const char *program, int status, struct nb_err *err)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 0 || code == 2)
        return NB_OK;
    if (code == 130 || (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))) {
        nb_fail(err, "interrupted");
        return NB_INTERRUPTED;
    }
    if (WIFSIGNALED(status))
        return nb_fail(err, "--%s: `%.400s count` was killed by signal %d (%s)", which, program, WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    return nb_fail(err, "--%s: `%.400s count` ended with exit code %d; its message stands above", which, program, code);
}

static enum nb_status count_of(const struct nb_gate_counts_options *o, const char *which, const char *program,
                               const char *dir, json_t **counts, struct nb_err *err)
{
    enum { FIXED = 5 };
    char file[NB_PATH + 32], name[NB_PATH];
    size_t n = 0, words = 0;
    int status = 0;
    while (o->selection != NULL && o->selection[words] != NULL)
        words++;
    char **argv = calloc(words + FIXED + 1, sizeof *argv);
    NB_ASSERT(argv != NULL);
    snprintf(name, sizeof name, "%s%s", strchr(program, '/') == NULL ? "./" : "", program);
    snprintf(file, sizeof file, "%s/%s.json", dir, which);
    char count[] = "count", out[] = "--out", quiet[] = "--quiet";
    argv[n++] = name;
    argv[n++] = count;
    argv[n++] = out;
    argv[n++] = file;
    if (o->quiet)
        argv[n++] = quiet;
    for (size_t i = 0; i < words; i++)
        argv[n++] = (char *)o->selection[i];
    if (!o->quiet)
        fprintf(stderr, "%s: %s\n", which, program);
    enum nb_status s = nb_child_run(argv, NULL, 0, &status, err);
    if (s == NB_OK)
        s = ended_well(which, program, status, err);
    if (s == NB_OK)
        s = nb_counts_load(file, counts, err);
    free(argv);
    return s;
}

static enum nb_status write_markdown(const json_t *result, const char *dir, struct nb_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    markdown(result, f);
    NB_ASSERT(fclose(f) == 0);
    const enum nb_status s = nb_file_write(dir, "counts.md", text, len, err);
    free(text);
    return s;
}

static enum nb_status folder(const char *out, struct nb_err *err)
{
    struct stat st;
    if (mkdir(out, 0777) == 0 || (errno == EEXIST && stat(out, &st) == 0 && S_ISDIR(st.st_mode)))
        return NB_OK;
    return nb_fail(err, "--out %.400s: cannot make the folder: %s", out, strerror(errno));
}

static enum nb_status compare_programs(const struct nb_gate_counts_options *o, const char *head, const char *dir,
                                       int *exit_code, struct nb_err *err)
{
    json_t *b = NULL, *h = NULL, *result = NULL;
    enum nb_status s = count_of(o, "base", o->base, dir, &b, err);
    if (s == NB_OK)
        s = count_of(o, "head", head, dir, &h, err);
    if (s == NB_OK) {
        result = nb_gate_counts_compare(b, h, o->tolerance);
        if (!o->quiet)
            print_result(result, stdout);
        *exit_code = verdicts(result, NB_COUNT_BROKEN) > 0                    ? 2
                     : json_integer_value(json_object_get(result, "red")) > 0 ? 3
                                                                              : 0;
        if (o->out != NULL)
            s = write_markdown(result, dir, err);
    }
    json_decref(b);
    json_decref(h);
    json_decref(result);
    return s;
}

enum nb_status nb_gate_counts(const struct nb_gate_counts_options *o, int *exit_code, struct nb_err *err)
{
    char own[NB_PATH], dir[NB_PATH];
    const ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    own[len > 0 ? len : 0] = '\0';
    const char *head = o->head != NULL ? o->head : own;
    if (o->base == NULL)
        return nb_fail(err, "gate: --base PROGRAM is needed: a normbench of the revision to compare with "
                            "(scripts/gate REVISION builds it)");
    enum nb_status s = knows_count("base", o->base, err);
    if (s == NB_OK)
        s = knows_count("head", head, err);
    if (s == NB_OK)
        s = o->out != NULL ? folder(o->out, err) : nb_temp_folder(dir, err);
    if (s != NB_OK)
        return s;
    s = compare_programs(o, head, o->out != NULL ? o->out : dir, exit_code, err);
    if (o->out == NULL)
        nb_temp_remove(dir);
    return s;
}

/* ---- the command ---- */

enum option_key {
    KEY_PRESET = NB_OPTION_OTHERS, KEY_SEED, KEY_OUT, KEY_QUIET, KEY_TIMEOUT, KEY_COUNTS, KEY_BASE, KEY_HEAD,
    KEY_TOLERANCE
};

static const struct argp_option OPTIONS[] = {
    {"counts", KEY_COUNTS, 0, 0, "compare instruction counts, as here; without it `normbench gate` compares times", 0},
    {"base", KEY_BASE, "PROGRAM", 0, "normbench of the revision to compare with; needed", 0},
    {"head", KEY_HEAD, "PROGRAM", 0, "normbench of the change (default: this program)", 0},
    {"count-tolerance", KEY_TOLERANCE, "PERCENT", 0, "so many more instructions are not red (default 0)", 0},
    {0, 0, 0, 0, "What is counted (lists are comma-separated; default: the preset \"counts\", and 9 rows):", 1},
#define NB_SELECT(KEY, name, arg, help) NB_OPTION_SELECT(KEY, NB_OPTION_BESIDE_HEAD(KEY, name), arg, help)
#define NB_SELECT_PLACE(KEY, name, arg, help)
#include "selection.def"
    {"preset", KEY_PRESET, "NAME|FILE", 0, "a sweep from presets/ or a file; the options above replace its keys", 1},
    {"seed", KEY_SEED, "N", 0, "of the data (default 1)", 1},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of a kernel without progress (default 120s)", 1},
    {0, 0, 0, 0, "Where it goes:", 3},
    {"out", KEY_OUT, "DIR", 0, "counts.md, base.json, head.json", 3},
    {"quiet", KEY_QUIET, 0, 0, "no progress and no table", 3},
    {0}};

struct cli {
    struct nb_gate_counts_options o;
    char *words[NB_KEY_COUNT + 8]; /* of the selection, for `count` */
    size_t count;
    const char *tolerance;
};

static void add_word(struct cli *c, const char *option, const char *value)
{
    NB_ASSERT(c->count + 1 < sizeof c->words / sizeof *c->words);
    NB_ASSERT(asprintf(&c->words[c->count++], "--%s=%s", option, value) > 0);
}

/* The last one counts where an option is repeated, as in `count` itself: so each has one word. */
static void set_word(struct cli *c, const char *option, const char *value)
{
    const size_t len = strlen(option);
    for (size_t i = 0; i < c->count; i++)
        if (strncmp(c->words[i] + 2, option, len) == 0 && c->words[i][2 + len] == '=') {
            free(c->words[i]);
            c->words[i] = c->words[--c->count];
            c->words[c->count] = NULL;
        }
    add_word(c, option, value);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {{KEY_OUT, &c->o.out}, {KEY_BASE, &c->o.base}, {KEY_HEAD, &c->o.head},
                                           {KEY_TOLERANCE, &c->tolerance}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL))
        return 0;
    if (key >= NB_OPTION_SELECTION && key < NB_OPTION_SELECTION + NB_KEY_COUNT)
        set_word(c, nb_key_name((enum nb_key)(key - NB_OPTION_SELECTION)), arg);
    else if (key == KEY_PRESET || key == KEY_SEED || key == KEY_TIMEOUT)
        set_word(c, key == KEY_PRESET ? "preset" : key == KEY_SEED ? "seed" : "timeout", arg);
    else if (key == KEY_COUNTS)
        return 0;
    else if (key == KEY_QUIET)
        c->o.quiet = true;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static enum nb_status prepare(struct cli *c, struct nb_err *err)
{
    char *end = NULL;
    c->o.selection = (const char *const *)c->words;
    if (c->tolerance == NULL)
        return NB_OK;
    c->o.tolerance = strtod(c->tolerance, &end);
    if (end == c->tolerance || *end != '\0' || !(c->o.tolerance >= 0 && c->o.tolerance <= 1000))
        return nb_fail(err, "--count-tolerance: \"%s\" is no number of percent, from 0", c->tolerance);
    return NB_OK;
}

enum nb_status nb_cmd_gate_counts(int argc, char **argv, int *exit_code, struct nb_err *err)
{
    static const char DOC[] =
        "Compares what kernels execute in two builds: instructions, counted under callgrind, exactly and without any "
        "timing. Exit code 0: no kernel has more; 3: one has; 2: one that was counted in the base fails its check "
        "in the head; 1: a program could not be run.\vExample:\n"
        "  normbench gate --counts --base ../old/build/normbench --dtype f32 --out gate";
    struct cli c = {.count = 0};
    nb_option_parse(OPTIONS, parse_option, NULL, DOC, argc, argv, &c);
    enum nb_status s = prepare(&c, err);
    if (s == NB_OK)
        s = nb_gate_counts(&c.o, exit_code, err);
    for (size_t i = 0; i < c.count; i++)
        free(c.words[i]);
    return s;
}
