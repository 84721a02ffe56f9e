#include "court.h"

#include "account.h"
#include "ask.h"
#include "cli.h"
#include "files.h"
#include "hearing.h"
#include "host.h"
#include "interrupt.h"
#include "options.h"
#include "pictures.h"
#include "poster.h"
#include "progress.h"
#include "shares.h"
#include "speed.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_HOLDS = 0, EXIT_FAULT = 1, EXIT_REFUTED = 3, EXIT_UNRESOLVED = 4 };

/* ---- options ---- */

enum option_key { KEY_ID = NB_OPTION_OTHERS, KEY_EFFORT, KEY_QUICK, KEY_FULL, KEY_BUDGET, KEY_SEED, KEY_OUT, KEY_REGISTRY, KEY_JSON, KEY_QUIET, KEY_FORCE };

#define OPTIONS_COMMON                                                                                                             \
    {"effort", KEY_EFFORT, "quick|default|full", 0, "how long it may take; with more, lengths that are auto (op_speed, block_speed) are more", 1},     \
    {"quick", KEY_QUICK, 0, 0, "--effort quick", 1},                                                                               \
    {"full", KEY_FULL, 0, 0, "--effort full", 1},                                                                                  \
    {"budget", KEY_BUDGET, "TIME", 0, "time for all of it: 60s, 5m; what is timed shares what the rest leaves", 1},                \
    {"seed", KEY_SEED, "N", 0, "of everything random (default 1)", 1},                                                             \
    {"out", KEY_OUT, "DIR", 0, "a folder that does not exist yet: claims.json, claims.md, host.json, what experiments leave; "     \
                               "default results/claims-<UTC>", 2},                                                                 \
    {"json", KEY_JSON, 0, 0, "claims.json on stdout in place of the table", 2},                                                    \
    {"quiet", KEY_QUIET, 0, 0, "no progress and no table", 2},                                                                     \
    {"force", KEY_FORCE, 0, 0, "time also where times mean nothing (no free core, an emulator)", 2}

static const struct argp_option CLAIMS_OPTIONS[] = {
    {"id", KEY_ID, "LIST", 0, "these claims alone: C07,C40 (default: all)", 1},
    {"registry", KEY_REGISTRY, "DIR", 0, "a folder of *.claim files in place of those that came with the program", 1},
    OPTIONS_COMMON, {0}};
static const struct argp_option CLAIM_OPTIONS[] = {OPTIONS_COMMON, {0}};

struct cli {
    const char *id, *effort, *budget, *seed, *out, *registry, *text;
    bool quick, full, json, quiet, force;
    bool asks; /* the command is `claim` */
    char *command;
    char *options; /* those that matter for a line that repeats it */
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {{KEY_ID, &c->id}, {KEY_EFFORT, &c->effort}, {KEY_BUDGET, &c->budget}, {KEY_SEED, &c->seed},
                                           {KEY_OUT, &c->out}, {KEY_REGISTRY, &c->registry}};
    bool *const flags[] = {&c->quick, &c->full, &c->json, &c->quiet, &c->force};
    static const int keys[] = {KEY_QUICK, KEY_FULL, KEY_JSON, KEY_QUIET, KEY_FORCE};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (key == keys[i]) {
            *flags[i] = true;
            return 0;
        }
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL))
        return 0;
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    if (!c->asks || c->text != NULL)
        argp_error(state, c->asks ? "unexpected word \"%s\"; the claim is one argument: put it in quotes"
                                  : "unexpected word \"%s\"; claims are chosen by --id, and one of your own is put by `normbench claim`", arg);
    c->text = arg;
    return 0;
}

static enum nb_status read_effort(const struct cli *c, enum nb_effort *effort, struct nb_err *err)
{
    static const char *const words[] = {"quick", "default", "full"};
    if ((c->effort != NULL) + c->quick + c->full > 1)
        return nb_fail(err, "--effort, --quick and --full exclude each other");
    const char *word = c->quick ? "quick" : c->full ? "full" : c->effort != NULL ? c->effort : "default";
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *effort = (enum nb_effort)i;
            return NB_OK;
        }
    return nb_fail(err, "--effort: unknown word \"%s\"; known: quick, default, full", word);
}

static void add_option(FILE *f, const char *name, const char *value)
{
    if (value == NULL)
        return;
    fprintf(f, " --%s ", name);
    nb_option_word(f, value);
}

/* The folder of claims that was asked for; NULL: that of the program. */
static const char *own_registry(const struct cli *c)
{
    const char *variable = getenv("NB_CLAIMS_DIR");
    if (c->registry != NULL)
        return c->registry;
    return variable != NULL && variable[0] != '\0' ? variable : NULL;
}

/* The registry is named unless it is the one that came with the program. */
static char *options_of(const struct cli *c, enum nb_effort effort)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    add_option(f, "effort", effort == NB_QUICK ? "quick" : effort == NB_FULL ? "full" : NULL);
    add_option(f, "seed", c->seed);
    add_option(f, "budget", c->budget);
    if (!c->asks)
        add_option(f, "registry", own_registry(c));
    fputs(c->force ? " --force" : "", f);
    NB_ASSERT(fclose(f) == 0);
    return text;
}

static enum nb_status read_numbers(struct cli *c, struct nb_hearing *h, struct nb_err *err)
{
    size_t seed = 1;
    enum nb_status s = read_effort(c, &h->effort, err);
    if (s == NB_OK && c->seed != NULL)
        s = nb_parse_size("--seed", c->seed, 0, (size_t)1 << 62, &seed, err);
    if (s == NB_OK && c->budget != NULL)
        s = nb_parse_seconds("--budget", c->budget, &h->budget_s, err);
    h->seed = seed;
    c->options = options_of(c, h->effort);
    if (c->force) /* what the experiments run asks for it there */
        NB_ASSERT(setenv("NB_FORCE", "1", 1) == 0);
    return s;
}

/* ---- which claims ---- */

static const char BETWEEN[] = ", ";

static enum nb_status choose(const struct nb_claims *all, const char *ids, const struct nb_claim **chosen, size_t *n, struct nb_err *err)
{
    char id[80];
    *n = 0;
    for (size_t i = 0; ids == NULL && i < all->n; i++)
        chosen[(*n)++] = &all->v[i];
    for (const char *p = ids != NULL ? ids + strspn(ids, BETWEEN) : ""; *p != '\0'; p += strcspn(p, BETWEEN), p += strspn(p, BETWEEN)) {
        snprintf(id, sizeof id, "%.*s", (int)strcspn(p, BETWEEN), p);
        const struct nb_claim *c = nb_claims_find(all, id);
        if (c == NULL)
            return nb_fail(err, "--id: there is no claim \"%s\"; `normbench list claims` shows them: %s to %s", id, all->v[0].id,
                           all->v[all->n - 1].id);
        bool again = false;
        for (size_t i = 0; i < *n; i++)
            again = again || chosen[i] == c;
        if (!again)
            chosen[(*n)++] = c;
    }
    return *n > 0 ? NB_OK : nb_fail(err, "--id: names no claim; `normbench list claims` shows them");
}

/* ---- files ---- */

/* A name of its own also where another was made in this second. */
static enum nb_status make_folder(const struct cli *c, char *dir, size_t len, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    if (c->out != NULL)
        snprintf(dir, len, "%s", c->out);
    else
        s = nb_option_folder("claims", dir, len, err);
    const size_t n = strlen(dir);
    for (unsigned k = 2; s == NB_OK && mkdir(dir, 0777) != 0; k++) {
        if (errno != EEXIST)
            return nb_fail(err, "cannot make the folder %s: %s; choose a place with --out", dir, strerror(errno));
        if (c->out != NULL)
            return nb_fail(err, "--out %s exists already; name a new folder", dir);
        snprintf(dir + n, len - n, "-%u", k);
    }
    return s;
}

static enum nb_status write_json(const char *dir, const char *name, const json_t *json, struct nb_err *err)
{
    char *text = json_dumps(json, JSON_INDENT(1));
    NB_ASSERT(text != NULL);
    const enum nb_status s = nb_file_write(dir, name, text, strlen(text), err);
    free(text);
    return s;
}

static enum nb_status write_md(const struct nb_account *a, const char *dir, struct nb_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    nb_account_md(f, a);
    NB_ASSERT(fclose(f) == 0);
    const enum nb_status s = nb_file_write(dir, "claims.md", text, len, err);
    free(text);
    return s;
}

/* ---- the hearing as it is seen ---- */

struct show {
    struct nb_hearing h;
    struct nb_account account;
    struct nb_progress progress;
    json_t *host;
    bool table, asks;
};

static bool stop(void)
{
    return nb_interrupted != 0;
}

static void on_progress(void *context, double seconds, const char *what)
{
    struct show *s = context;
    if (seconds > s->progress.done)
        nb_progress_step(&s->progress, seconds - s->progress.done, what);
}

static void on_decided(void *context, const struct nb_case_of *c)
{
    struct show *s = context;
    if (!s->table || (s->asks && c->judgement.broken)) /* then the error says it */
        return;
    if (s->progress.terminal && !s->progress.quiet) { /* the live line is not to stand in the table */
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    nb_account_row(stdout, c);
    fflush(stdout);
}

static enum nb_status read_host(struct show *s, struct nb_err *err)
{
    struct nb_topology t;
    enum nb_status status = nb_topology_load(&t, err);
    if (status != NB_OK)
        return status;
    s->host = nb_host_facts(&t);
    nb_topology_free(&t);
    NB_ASSERT(s->host != NULL);
    json_object_set_new(s->host, "before", nb_host_moment());
    s->account.cpu = nb_host_cpu_model();
    s->account.compiler = json_string_value(json_object_get(s->host, "compiler"));
    return NB_OK;
}

/* Verdicts before what else could fill a disk. */
static enum nb_status write_files(struct show *s, char note[256], struct nb_err *err)
{
    size_t pictures = 0;
    bool poster = false;
    json_t *json = nb_account_json(&s->account);
    json_object_set_new(s->host, "after", nb_host_moment());
    enum nb_status status = write_json(s->h.dir, "claims.json", json, err);
    if (status == NB_OK)
        status = write_md(&s->account, s->h.dir, err);
    if (status == NB_OK)
        status = write_json(s->h.dir, "host.json", s->host, err);
    if (status == NB_OK)
        status = nb_hearing_pictures(&s->h, &pictures, note, err);
    if (status == NB_OK)
        status = nb_poster(&s->h, s->account.cpu, &poster, note, err);
    json_decref(json);
    return status;
}

static void print_end(const struct show *s, bool json, bool asks, const char *note)
{
    char counts[200];
    nb_account_count(&s->h, counts, sizeof counts);
    if (json) {
        json_t *j = nb_account_json(&s->account);
        json_dumpf(j, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(j);
    }
    if (!s->table)
        return;
    nb_account_against(stdout, &s->h);
    if (!asks)
        printf("\n%s\n", counts);
    printf("files in %s: claims.md, claims.json\n", s->h.dir);
    if (note[0] != '\0')
        printf("%s\n", note);
}

static enum nb_status hear(struct cli *c, struct show *s, struct nb_err *err)
{
    char dir[4096], note[256] = "";
    struct nb_err failed = {""};
    enum nb_status status = nb_hearing_budget(&s->h, err);
    if (status == NB_OK)
        status = read_host(s, err);
    if (status == NB_OK)
        status = make_folder(c, dir, sizeof dir, err);
    if (status != NB_OK)
        return status;
    const uint64_t start = nb_now();
    nb_catch_signals();
    s->table = !c->json && !c->quiet;
    s->asks = c->asks;
    s->h.dir = dir;
    s->h.stop = stop;
    s->h.decided = on_decided;
    s->h.progress = on_progress;
    s->h.context = s;
    s->account.hearing = &s->h;
    if (s->table && !c->asks)
        nb_account_head(stdout);
    nb_progress_begin(&s->progress, c->asks ? "claim" : "claims", nb_hearing_seconds(&s->h), c->quiet);
    status = nb_hearing_run(&s->h, &failed);
    s->account.seconds = 1e-9 * (double)(nb_now() - start);
    if (status == NB_OK)
        nb_progress_end(&s->progress);
    if (write_files(s, note, err) != NB_OK)
        return NB_ERROR;
    print_end(s, c->json, c->asks, note);
    s->h.dir = NULL; /* dir goes */
    if (status == NB_INTERRUPTED)
        nb_fail(err, "interrupted; what was finished is in %s", dir);
    if (status == NB_ERROR)
        nb_fail(err, "%.800s; what was finished is in %.150s", failed.text, dir);
    return status;
}

/* ---- the commands ---- */

/* A claim whose file asks for what no observation has. */
static enum nb_status find_broken(const struct nb_hearing *h, const char *text, struct nb_err *err)
{
    for (size_t i = 0; i < h->case_count; i++) {
        const struct nb_case_of *c = &h->cases[i];
        if (!c->judgement.broken)
            continue;
        if (text == NULL)
            return nb_fail(err, "%s: %s", c->claim->path, c->judgement.reason);
        const struct nb_term *term = c->tests[0].broken_term;
        const struct nb_span whole = {0, strlen(text)};
        return nb_point(err, text, term != NULL ? term->span : whole, "`normbench list experiments` shows what there is", "%s",
                        c->tests[0].broken);
    }
    return NB_OK;
}

/* A measurement that cannot be makes the run void. */
static enum nb_status find_wrong(const struct nb_hearing *h, struct nb_err *err)
{
    char text[600];
    return nb_shares_wrong(h, text, sizeof text) ? nb_fail(err, "%s", text) : NB_OK;
}

static void free_show(struct cli *c, struct show *s)
{
    nb_hearing_free(&s->h);
    json_decref(s->host);
    free(c->command);
    free(c->options);
}

static enum nb_status cmd_claims(int argc, char **argv, int *code, struct nb_err *err)
{
    static const char doc[] =
        "Tries statements about norms by experiments on this machine, each with a verdict: REPRODUCED, REFUTED, CONDITIONAL (with "
        "the conditions), NOT RESOLVED, NOT TESTABLE.\v"
        "Exit codes: 0 all were tried; 1 an error, or a measurement that cannot be right; 130 interrupted (what was finished is written).\nExamples:\n"
        "  normbench claims                                 # all of them\n"
        "  normbench claims --id C05,C01 --effort quick\n"
        "  normbench list claims                            # what there is\n"
        "  normbench claims --registry my/claims --out results/mine";
    struct cli c = {.command = nb_option_command(argc, argv)};
    struct show s = {.account.command = c.command};
    struct nb_claims all = {.n = 0};
    const struct nb_claim **chosen = NULL;
    size_t n = 0;
    nb_option_parse(CLAIMS_OPTIONS, parse_option, NULL, doc, argc, argv, &c);
    const char *own = own_registry(&c);
    s.account.registry = own != NULL ? own : "that of the program";
    enum nb_status status = read_numbers(&c, &s.h, err);
    s.account.options = c.options;
    if (status == NB_OK)
        status = nb_claims_load(&all, own != NULL ? own : nb_claims_dir(), err);
    if (status == NB_OK) {
        chosen = calloc(all.n + 1, sizeof *chosen);
        NB_ASSERT(chosen != NULL);
        status = choose(&all, c.id, chosen, &n, err);
    }
    if (status == NB_OK) {
        nb_hearing_plan(&s.h, chosen, n);
        status = hear(&c, &s, err);
    }
    if (status == NB_OK)
        status = find_broken(&s.h, NULL, err);
    if (status == NB_OK)
        status = find_wrong(&s.h, err);
    *code = EXIT_HOLDS;
    free_show(&c, &s);
    free(chosen);
    nb_claims_free(&all);
    return status;
}

static enum nb_status claim_code(const struct nb_case_of *c, int *code, struct nb_err *err)
{
    const enum nb_finding f = c->judgement.finding;
    *code = f == NB_REPRODUCED ? EXIT_HOLDS : f == NB_REFUTED ? EXIT_REFUTED : EXIT_UNRESOLVED;
    return f != NB_NOT_TESTABLE ? NB_OK : nb_fail(err, "this cannot be tried here: %s", c->judgement.reason);
}

static enum nb_status cmd_claim(int argc, char **argv, int *code, struct nb_err *err)
{
    static const char doc[] =
        "Tries a claim of your own by experiment on this machine: QUANTITY[(ARGUMENT, ...)] RELATION [where TERMS]. The grammar: "
        "docs/court.md.\v"
        "Exit codes: 0 it holds; 3 refuted; 4 conditional or not resolved (which one is printed); 1 an error, or a measurement that "
        "cannot be right; 130 interrupted.\n"
        "Examples:\n"
        "  normbench claim 'output_mean(rmsnorm) >= 0.5 where mean=1'\n"
        "  normbench claim 'output_variance(layernorm) in [0.99, 1.01] where sd=1e-3|1'\n"
        "  normbench list experiments                       # quantities, arguments and parameters";
    struct cli c = {.asks = true, .command = nb_option_command(argc, argv)};
    struct show s = {.account.command = c.command};
    struct nb_claim claim = {.path = NULL};
    const struct nb_claim *const chosen = &claim;
    nb_option_parse(CLAIM_OPTIONS, parse_option, "'QUANTITY RELATION [where TERMS]'", doc, argc, argv, &c);
    enum nb_status status = c.text == NULL ? nb_fail(err, "claim: which one? `normbench claim --help` has examples")
                                           : read_numbers(&c, &s.h, err);
    s.account.options = c.options;
    if (status == NB_OK)
        status = nb_ask(&claim, c.text, err);
    if (status == NB_OK) {
        nb_hearing_plan(&s.h, &chosen, 1);
        status = hear(&c, &s, err);
    }
    if (status == NB_OK)
        status = find_broken(&s.h, c.text, err);
    if (status == NB_OK)
        status = find_wrong(&s.h, err);
    if (status == NB_OK)
        status = claim_code(&s.h.cases[0], code, err);
    free_show(&c, &s);
    nb_claim_free(&claim);
    return status;
}

/* ---- lists ---- */

/* --json and --registry DIR; both commands are known by the word behind `list`. */
static enum nb_status list_options(int argc, char **argv, const char *what, bool *json, const char **registry, struct nb_err *err)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            printf("Usage: normbench list %s [--json]%s\n", what, registry != NULL ? " [--registry DIR]" : "");
            exit(fflush(stdout) == 0 ? EXIT_HOLDS : EXIT_FAULT);
        }
        if (strcmp(argv[i], "--json") == 0)
            *json = true;
        else if (registry != NULL && strcmp(argv[i], "--registry") == 0 && i + 1 < argc)
            *registry = argv[++i];
        else if (registry != NULL && strncmp(argv[i], "--registry=", 11) == 0)
            *registry = argv[i] + 11;
        else if (strcmp(argv[i], what) != 0)
            return nb_fail(err, "list %s: unknown word \"%s\"; known: --json%s", what, argv[i],
                           registry != NULL ? ", --registry DIR" : "");
    }
    return NB_OK;
}

static enum nb_status cmd_list_claims(int argc, char **argv, int *code, struct nb_err *err)
{
    const char *registry = nb_claims_dir();
    struct nb_claims claims = {.n = 0};
    bool json = false;
    *code = EXIT_HOLDS;
    enum nb_status s = list_options(argc, argv, "claims", &json, &registry, err);
    if (s == NB_OK)
        s = nb_claims_load(&claims, registry, err);
    if (s == NB_OK)
        nb_list_claims(stdout, &claims, json);
    nb_claims_free(&claims);
    return s;
}

static enum nb_status cmd_list_experiments(int argc, char **argv, int *code, struct nb_err *err)
{
    bool json = false;
    *code = EXIT_HOLDS;
    enum nb_status s = list_options(argc, argv, "experiments", &json, NULL, err);
    if (s == NB_OK)
        nb_list_experiments(stdout, json);
    return s;
}

void nb_court_register(void)
{
    static const struct nb_command commands[] = {
        {"claims", "  claims         what is said about norms, tried here by experiment: a verdict and an interval each\n", true, cmd_claims},
        {"claim", "  claim 'TEXT'   one claim of your own, tried\n", true, cmd_claim},
        {"list claims", "", false, cmd_list_claims},
        {"list experiments", "", false, cmd_list_experiments},
    };
    nb_court_add(&nb_experiment_op_speed);
    nb_court_add(&nb_experiment_instructions);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        nb_cli_add(&commands[i]);
}
