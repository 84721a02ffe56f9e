#include "gate.h"

#include "foreign.h"
#include "gate_report.h"
#include "options.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum option_key {
    KEY_BASE = NB_OPTION_OTHERS, KEY_HEAD, KEY_BASE_PLUGIN, KEY_PRESET, KEY_SEED, KEY_BUDGET, KEY_MARGIN, KEY_BLOCKS,
    KEY_OUT, KEY_QUIET, KEY_TIMEOUT, KEY_FORCE, KEY_COUNTS
};

static const struct argp_option OPTIONS[] = {
    {0, 0, 0, 0, "The two builds:", 1},
    {"base", KEY_BASE, "PROGRAM", 0, "the normbench to compare with (required)", 1},
    {"head", KEY_HEAD, "PROGRAM", 0, "the normbench that is judged (default: this one)", 1},
    {"base-plugin", KEY_BASE_PLUGIN, "FILE", 0, "the old build of a plugin; --plugin names the new one", 1},
    {"counts", KEY_COUNTS, 0, 0, "compare instructions under callgrind and no times: `normbench gate --counts --help`", 1},
    {0, 0, 0, 0, "What is compared (lists are comma-separated; they replace keys of the preset):", 2},
    {"preset", KEY_PRESET, "NAME|FILE", 0, "a sweep from presets/ or a file (default: gate)", 2},
#define NB_SELECT(KEY, name, arg, help) {NB_OPTION_BESIDE_HEAD(KEY, name), NB_OPTION_SELECTION + NB_KEY_##KEY, arg, 0, help, 2},
#include "selection.def"
    {0, 0, 0, 0, "How it is decided, and where it goes:", 3},
    {"budget", KEY_BUDGET, "TIME", 0, "time for measuring: 60s, 3m (default 180s)", 3},
    {"margin", KEY_MARGIN, "auto|X%", 0, "what counts as slower: auto (default: at least 1 %, more where A/A or relinking "
     "move more), or a fixed share", 3},
    {"blocks", KEY_BLOCKS, "N", 0, "of the confirmation (default 30)", 3},
    {"seed", KEY_SEED, "N", 0, "of data and orders (default 1)", 3},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "of a kernel without progress (default 20s)", 3},
    {"force", KEY_FORCE, 0, 0, "measure also where results mean nothing (an emulator, no free core); they are marked", 3},
    {"out", KEY_OUT, "DIR", 0, "a folder that does not exist yet; default results/<UTC>-<host>-<id>", 3},
    {"quiet", KEY_QUIET, 0, 0, "no progress and no table", 3},
    NB_OPTIONS_FOREIGN,
    {0}};

struct cli {
    struct nb_gate_options o;
    struct nb_foreign foreign;
    const char *head, *preset, *selection[NB_KEY_COUNT];
    const char *seed, *budget, *margin, *blocks, *timeout;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {
        {KEY_BASE, &c->o.base},     {KEY_HEAD, &c->head},     {KEY_BASE_PLUGIN, &c->o.base_plugin},
        {KEY_PRESET, &c->preset},   {KEY_SEED, &c->seed},     {KEY_BUDGET, &c->budget},
        {KEY_MARGIN, &c->margin},   {KEY_BLOCKS, &c->blocks}, {KEY_OUT, &c->o.out},
        {KEY_TIMEOUT, &c->timeout}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, c->selection) ||
        nb_foreign_option(&c->foreign, key, arg))
        return 0;
    if (key == KEY_QUIET)
        c->o.quiet = true;
    else if (key == KEY_FORCE)
        c->o.force = true;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* "auto", "2%", "2 %" or 0.02. */
static enum nb_status parse_margin(const char *text, double *margin, struct nb_err *err)
{
    char *end;
    if (text == NULL || strcmp(text, "auto") == 0) {
        *margin = NAN;
        return NB_OK;
    }
    *margin = strtod(text, &end);
    const bool any = end != text;
    end += strspn(end, " ");
    if (*end == '%')
        *margin /= 100, end++;
    if (!any || *end != '\0' || !(*margin > 0 && *margin < 1))
        return nb_fail(err, "--margin: \"%s\" is neither auto nor a share such as 2%% or 0.02", text);
    return NB_OK;
}

static enum nb_status parse_numbers(struct cli *c, struct nb_err *err)
{
    size_t n = 0;
    enum nb_status s = parse_margin(c->margin, &c->o.margin, err);
    c->o.budget_s = 180;
    c->o.timeout_s = 20;
    if (s == NB_OK && c->budget != NULL)
        s = nb_parse_seconds("--budget", c->budget, &c->o.budget_s, err);
    if (s == NB_OK && c->timeout != NULL)
        s = nb_parse_seconds("--timeout", c->timeout, &c->o.timeout_s, err);
    if (s == NB_OK && c->seed != NULL) {
        s = nb_parse_size("--seed", c->seed, 0, (size_t)1 << 62, &n, err);
        c->o.preset.settings.seed = n;
    }
    if (s == NB_OK && c->blocks != NULL) {
        s = nb_parse_size("--blocks", c->blocks, nb_blocks_least(0.01), 1000, &n, err);
        c->o.blocks = (unsigned)n;
    }
    return s;
}

static enum nb_status make_options(struct cli *c, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    if (c->o.base == NULL && c->o.base_plugin == NULL)
        s = nb_fail(err, "gate: --base PROGRAM is missing: the normbench to compare with. `scripts/gate REVISION` builds "
                         "one; two builds of a plugin are compared with --base-plugin OLD --plugin NEW");
    if (s == NB_OK && c->o.base_plugin != NULL && c->foreign.count != 1)
        s = nb_fail(err, "--base-plugin: the old build of a plugin; --plugin names the new one, and just one");
    if (s == NB_OK)
        s = nb_foreign_load(&c->foreign, err);
    if (s == NB_OK)
        s = nb_preset_load(&c->o.preset, c->preset != NULL ? c->preset : "gate", err);
    if (s == NB_OK)
        s = nb_option_select(&c->o.preset, c->selection, err);
    return s == NB_OK ? parse_numbers(c, err) : s;
}

/* Head plans and judges: it knows its kernels, and what is new in it. */
static enum nb_status become_head(const char *head, int argc, char **argv, struct nb_err *err)
{
    char **words = calloc((size_t)argc + 1, sizeof *words), name[] = "normbench", gate[] = "gate";
    int n = 0;
    NB_ASSERT(words != NULL);
    words[n++] = name;
    words[n++] = gate;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--head") == 0)
            i++;
        else if (strncmp(argv[i], "--head=", 7) != 0)
            words[n++] = argv[i];
    }
    execv(head, words);
    free(words);
    return nb_fail(err, "--head %s: %s; give the path of a normbench program", head, strerror(errno));
}

enum nb_status nb_cmd_gate(int argc, char **argv, int *code, struct nb_err *err)
{
    static const char doc[] =
        "Did a change make a kernel slower? Runs two builds in alternation, process by process, and says SLOWER, FASTER, "
        "SAME or NOT RESOLVED with an interval.\v"
        "Exit codes: 0 none slower; 1 an error, or an invalid run (a control failed); 2 a kernel of head failed its "
        "check; 3 slower; 4 not resolved.\nExamples:\n"
        "  normbench gate --base old/normbench                      # against this program\n"
        "  normbench gate --base old/normbench --dtype f32 --hidden 768 --budget 60s --margin 2%\n"
        "  normbench gate --base-plugin old.so --plugin new.so      # your own kernels\n"
        "  scripts/gate main                                        # builds both revisions first";
    struct cli c = {0};
    struct nb_gate_result r = {0};
    c.o.command = nb_option_command(argc, argv);
    nb_option_parse(OPTIONS, parse_option, NULL, doc, argc, argv, &c);
    enum nb_status s = c.head != NULL ? become_head(c.head, argc, argv, err) : make_options(&c, err);
    if (s == NB_OK)
        s = nb_gate(&c.o, &r, err);
    if (s == NB_OK && !c.o.quiet)
        nb_gate_terminal(r.json, r.dir, stdout);
    *code = r.exit_code;
    nb_gate_result_free(&r);
    nb_preset_free(&c.o.preset);
    free(c.o.command);
    return s;
}
