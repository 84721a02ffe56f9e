#include "accuracy_cli.h"

#include "accuracy.h"
#include "foreign.h"
#include "options.h"
#include "registry.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum option_key {
    KEY_FAMILY = NB_OPTION_OTHERS, KEY_FULL, KEY_SEED, KEY_EPS, KEY_EPS_MODE, KEY_ORDER, KEY_GEMMA, KEY_OUT,
    KEY_TIMES, KEY_BASELINE, KEY_RECORD, KEY_TIMEOUT, KEY_QUIET, KEY_FAMILIES
};

static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "What is judged (lists are comma-separated; default: layernorm and rmsnorm, every kernel and family, hidden 67,1024,4096, "
     "which of norms of columns is the length of a column):", 1},
#define NB_SELECT_KERNEL NB_OPTION_SELECT
#define NB_SELECT_OPS NB_OPTION_SELECT
#include "selection.def"
    {"family", KEY_FAMILY, "GLOBS", 0, "families of data, e.g. 'sweep-*,spikes'; --families lists them", 1},
    {"families", KEY_FAMILIES, 0, 0, "list the families and stop", 1},
    {"full", KEY_FULL, 0, 0, "hidden 1, 2, 3, primes, one beside every vector length, to 65536", 1},
    {"seed", KEY_SEED, "N", 0, "of data (default 1)", 1},
    {0, 0, 0, 0, "The problem:", 2},
    {"eps", KEY_EPS, "X", 0, "where a family has none of its own (default 1e-5)", 2},
    {"eps-mode", KEY_EPS_MODE, "inside|outside", 0, "1/sqrt(v+eps) (default) or 1/(sqrt(v)+eps)", 2},
    {"order", KEY_ORDER, "cast_after|cast_before", 0, "16-bit outputs: rounded once at the end (default), or xhat before gamma, too", 2},
    {"gemma", KEY_GEMMA, 0, 0, "gamma stands for 1 + gamma", 2},
    {0, 0, 0, 0, "Where it goes:", 3},
    {"out", KEY_OUT, "DIR", 0, "accuracy.csv, accuracy.md, plots/; default results/accuracy-<UTC>", 3},
    {"times", KEY_TIMES, "RUN", 0, "folder of a run: also plot time against accuracy", 3},
    {"baseline", KEY_BASELINE, "FILE", 0, "fail where E exceeds 1.5 times what is recorded there", 3},
    {"record", KEY_RECORD, "FILE", 0, "write such a file", 3},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of a kernel without progress (default 20s)", 3},
    {"quiet", KEY_QUIET, 0, 0, "no progress and no table", 3},
    NB_OPTIONS_FOREIGN,
    {0}};

struct cli {
    struct nb_accuracy_options o;
    struct nb_foreign foreign;
    const char *selection[NB_KEY_COUNT];
    const char *seed, *eps, *eps_mode, *order, *timeout;
    bool full, list;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {{KEY_FAMILY, &c->o.families}, {KEY_SEED, &c->seed},     {KEY_EPS, &c->eps},
                 {KEY_EPS_MODE, &c->eps_mode}, {KEY_ORDER, &c->order}, {KEY_OUT, &c->o.out},
                 {KEY_TIMES, &c->o.times},   {KEY_BASELINE, &c->o.baseline},
                 {KEY_RECORD, &c->o.record}, {KEY_TIMEOUT, &c->timeout}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, c->selection) ||
        nb_foreign_option(&c->foreign, key, arg))
        return 0;
    if (key == KEY_QUIET)
        c->o.quiet = true;
    else if (key == KEY_GEMMA)
        c->o.gemma = 1;
    else if (key == KEY_FULL)
        c->full = true;
    else if (key == KEY_FAMILIES)
        c->list = true;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const char FULL_HIDDEN[] = "1,2,3,4,7,8,9,15,16,17,31,33,63,64,65,67,127,128,129,255,257,768,1000,"
                                  "1024,4096,16384,65536";

static enum nb_status make_block(struct cli *c, struct nb_err *err)
{
    struct nb_block *b = &c->o.block;
    struct nb_err inner;
    enum nb_status s = nb_block_init(b, "accuracy", err);
    if (s == NB_OK)
        s = nb_block_set(b, NB_KEY_ISA, "all", err);
    if (s == NB_OK)
        s = nb_block_set(b, NB_KEY_DTYPE, "f32,f64,f16,bf16", err);
    if (s == NB_OK)
        s = nb_block_set(b, NB_KEY_HIDDEN, c->full ? FULL_HIDDEN : "67,1024,4096", err);
    for (int k = 0; s == NB_OK && k < NB_KEY_COUNT; k++)
        if (c->selection[k] != NULL && nb_block_set(b, (enum nb_key)k, c->selection[k], &inner) != NB_OK)
            s = nb_fail(err, "--%s", inner.text);
    return s;
}

static void list_families(void)
{
    for (size_t i = 0; i < nb_family_count(); i++) {
        const struct nb_family *f = nb_family_at(i);
        printf("%-18s %-8s", f->name, nb_class_name(f->class));
        for (uint32_t d = 0; d < NB_DTYPE_COUNT; d++)
            if (nb_family_has(f, d))
                printf(" %s", nb_dtype_name(d));
        putchar('\n');
    }
}

static enum nb_status parse(struct cli *c, struct nb_err *err)
{
    size_t seed = 1;
    enum nb_status s = nb_foreign_load(&c->foreign, err);
    if (s == NB_OK)
        s = make_block(c, err);
    if (s == NB_OK)
        s = nb_families_check(c->o.families, err);
    if (s == NB_OK && c->seed != NULL)
        s = nb_parse_size("--seed", c->seed, 0, (size_t)1 << 62, &seed, err);
    c->o.seed = seed;
    c->o.eps = 1e-5;
    if (s == NB_OK && c->eps != NULL)
        s = nb_option_eps(c->eps, &c->o.eps, err);
    if (s == NB_OK)
        s = nb_option_policies(c->eps_mode, c->order, &c->o.eps_mode, &c->o.order, err);
    c->o.timeout_s = 20;
    if (s == NB_OK && c->timeout != NULL)
        s = nb_parse_seconds("--timeout", c->timeout, &c->o.timeout_s, err);
    return s;
}

enum nb_status nb_cmd_accuracy(int argc, char **argv, int *code, struct nb_err *err)
{
    static const char DOC[] =
        "Judges every kernel on every family of data against the exact result.\v"
        "Examples:\n"
        "  normbench accuracy                                   # about a minute\n"
        "  normbench accuracy --algo onepass,welford --family 'sweep-*' --dtype f32\n"
        "  normbench accuracy --full --out results/accuracy     # every hidden\n"
        "  normbench accuracy --times results/mine              # time against accuracy, too";
    struct cli c = {.list = false};
    char out[64];
    nb_option_parse(OPTIONS, parse_option, NULL, DOC, argc, argv, &c);
    if (c.list) {
        list_families();
        return NB_OK;
    }
    enum nb_status s = parse(&c, err);
    if (s == NB_OK && c.o.out == NULL) {
        s = nb_option_folder("accuracy", out, sizeof out, err);
        c.o.out = out;
    }
    if (s == NB_OK)
        s = nb_accuracy_run(&c.o, code, err);
    if (s == NB_OK && !c.o.quiet)
        printf("results in %s\n", c.o.out);
    nb_block_free(&c.o.block);
    return s;
}
