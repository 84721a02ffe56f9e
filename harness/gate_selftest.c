/* gate_selftest.c: how often is the gate wrong? Runs it on this very program, against itself: as it is (whatever it
 * calls slower is a false alarm), and with a slowdown planted in one kernel (whatever it does not call slower is a
 * miss). */
#define _GNU_SOURCE /* sched_setaffinity */
#include "gate.h"

#include "files.h"
#include "foreign.h"
#include "interrupt.h"
#include "options.h"
#include "topology.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PLANTS_MOST = 8, SHORT_RUNS = 10 };

/* What came of all runs with one plant (0: A/A). */
struct tally {
    double plant;
    size_t wanted, runs, invalid, loaded, comparisons;
    size_t exits[5];     /* by exit code; 1 is invalid */
    size_t false_slower; /* runs in which a comparison that is the same was called slower */
    size_t false_faster;
    size_t found;        /* runs in which the planted one was called slower */
    size_t unresolved;   /* in which it was not resolved */
};

struct selftest {
    struct nb_gate_options gate;
    size_t load_every; /* in every so many-th run another core is kept busy; 0: in none */
    const char *out;
    bool quiet, brief; /* brief: --short */
    size_t seed;
    struct tally tally[PLANTS_MOST];
    size_t plants;
    FILE *csv;
    unsigned number; /* of the next run */
    double seconds;
};

/* ---- another core at work ---- */

/* Streams through memory on the last core, as a neighbour would. */
static void be_busy(const struct nb_topology *t)
{
    const size_t bytes = (size_t)64 << 20;
    struct nb_err err;
    volatile char *p = malloc(bytes);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (p == NULL || nb_topology_bind(t, t->cores - 1, &err) != NB_OK)
        _exit(1);
    for (unsigned char round = 0;; round++)
        for (size_t i = 0; i < bytes; i += 64)
            p[i] = (char)round;
}

static pid_t begin_load(void)
{
    struct nb_topology t;
    struct nb_err err;
    if (nb_topology_load(&t, &err) != NB_OK || t.cores < 2)
        return 0;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        be_busy(&t);
    nb_topology_free(&t);
    return pid;
}

static void end_load(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* ---- what is kept of a run ---- */

/* Millionths are more than the noise leaves of a ratio. */
static void write_series(const struct selftest *s, const struct tally *t, const struct nb_gate_result *r, bool loaded,
                         const struct nb_gate_entry *e, const char *name, const struct nb_gate_series *series)
{
    if (series->n == 0)
        return;
    fprintf(s->csv, "%u,%g,%d,%d,%s,%s,%s,%s,%.0f,%s,", s->number, t->plant, loaded, r->exit_code, e->kernel, e->cell,
            e->control ? "control" : e->plant > 0 ? "planted" : "plain", nb_gate_verdict_name(e->verdict),
            isnan(e->margin) ? 0 : 1e6 * e->margin, name);
    for (size_t i = 0; i < series->n; i++)
        fprintf(s->csv, "%s%.0f", i ? " " : "", 1e6 * series->v[i]);
    fputc('\n', s->csv);
}

static void write_run(const struct selftest *s, const struct tally *t, const struct nb_gate_result *r, bool loaded)
{
    for (size_t i = 0; i < r->set.count; i++) {
        const struct nb_gate_entry *e = &r->set.entry[i];
        write_series(s, t, r, loaded, e, "screen", &e->screen);
        write_series(s, t, r, loaded, e, "screen_aa", &e->screen_aa);
        write_series(s, t, r, loaded, e, "confirm", &e->confirm);
        write_series(s, t, r, loaded, e, "confirm_aa", &e->confirm_aa);
        for (size_t k = 0; k < NB_GATE_LAYOUTS; k++) {
            char name[16];
            snprintf(name, sizeof name, "layout%zu", k + 1);
            write_series(s, t, r, loaded, e, name, &e->layout[k]);
        }
    }
    fflush(s->csv);
}

/* A gate's folder is emptied again: what matters of it stands in the CSV. */
static void remove_run(const char *dir)
{
    static const char *const names[] = {"samples.jsonl", "checks.jsonl", "host.json", "gate.json"};
    char path[4300];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void count_run(struct tally *t, const struct nb_gate_result *r, bool loaded)
{
    bool slower = false, faster = false;
    t->runs++;
    t->loaded += loaded;
    t->exits[r->exit_code]++;
    t->invalid += r->exit_code == 1;
    t->comparisons = 0;
    for (size_t i = 0; i < r->set.count; i++) {
        const struct nb_gate_entry *e = &r->set.entry[i];
        t->comparisons += !e->control;
        if (e->control)
            continue;
        if (e->plant > 0) {
            t->found += e->verdict == NB_GATE_SLOWER && r->exit_code != 1;
            t->unresolved += e->verdict == NB_GATE_NOT_RESOLVED && r->exit_code != 1;
        } else {
            slower = slower || e->verdict == NB_GATE_SLOWER;
            faster = faster || e->verdict == NB_GATE_FASTER;
        }
    }
    t->false_slower += slower && r->exit_code != 1;
    t->false_faster += faster && r->exit_code != 1;
}

/* ---- runs ---- */

static enum nb_status run_one(struct selftest *s, struct tally *t, struct nb_err *err)
{
    char dir[4200];
    struct nb_gate_result r;
    const bool loaded = s->load_every > 0 && t->runs % s->load_every == s->load_every - 1;
    snprintf(dir, sizeof dir, "%s/run%04u", s->out, s->number);
    s->gate.out = dir;
    s->gate.plant = t->plant;
    s->gate.preset.settings.seed = s->seed + s->number;
    const pid_t load = loaded ? begin_load() : 0;
    enum nb_status status = nb_gate(&s->gate, &r, err);
    end_load(load);
    if (status == NB_OK) {
        count_run(t, &r, load > 0);
        write_run(s, t, &r, load > 0);
        s->seconds += r.measuring_s;
    } else if (status != NB_INTERRUPTED &&
               (s->number > 0 || strncmp(err->text, "INVALID", 7) == 0)) {
        t->runs++; /* exit 1, too disturbed to begin or to end: neither red nor green */
        t->exits[1]++;
        t->invalid++;
        if (!s->quiet)
            fprintf(stderr, "run %u: %s\n", s->number, err->text);
        status = NB_OK;
    }
    nb_gate_result_free(&r);
    remove_run(dir);
    s->number++;
    return status;
}

/* Tallies by turns, so that what this machine does for a while does not fall on one of them. */
static enum nb_status run_all(struct selftest *s, struct nb_err *err)
{
    enum nb_status status = NB_OK;
    size_t total = 0, done = 0;
    for (size_t p = 0; p < s->plants; p++)
        total += s->tally[p].wanted;
    const time_t start = time(NULL);
    while (status == NB_OK && done < total)
        for (size_t p = 0; status == NB_OK && p < s->plants; p++) {
            struct tally *t = &s->tally[p];
            if (t->runs == t->wanted)
                continue;
            status = run_one(s, t, err);
            done++;
            if (!s->quiet)
                fprintf(stderr, "gate-selftest: %zu of %zu runs, about %.0f min left\n", done, total,
                        (double)(time(NULL) - start) / (double)done * (double)(total - done) / 60);
        }
    return status;
}

/* ---- what they say ---- */

static void print_share(FILE *f, const char *what, size_t k, size_t n)
{
    fprintf(f, "    %-38s %4zu of %4zu", what, k, n);
    if (n > 0) {
        const struct nb_interval i = nb_share_interval(k, n, 0.95);
        fprintf(f, "   %5.1f %% [%.1f, %.1f]", 100 * i.median, 100 * i.lo, 100 * i.hi);
    }
    fputc('\n', f);
}

static void print_tally(const struct tally *t, FILE *f)
{
    const size_t valid = t->runs - t->invalid;
    if (t->plant > 0)
        fprintf(f, "one kernel of head %.3g %% slower: %zu runs of %zu comparisons, %zu with another core busy\n",
                100 * t->plant, t->runs, t->comparisons, t->loaded);
    else
        fprintf(f, "A/A: %zu runs of %zu comparisons, %zu with another core busy\n", t->runs, t->comparisons, t->loaded);
    if (t->plant > 0) {
        print_share(f, "found (SLOWER)", t->found, valid);
        print_share(f, "left NOT RESOLVED", t->unresolved, valid);
    } else {
        print_share(f, "exit 0: none slower", t->exits[0], t->runs);
        print_share(f, "exit 4: not resolved", t->exits[4], t->runs);
    }
    print_share(f, "a false SLOWER in the run", t->false_slower, valid);
    print_share(f, "a false FASTER in the run", t->false_faster, valid);
    print_share(f, "exit 1: invalid, says nothing", t->invalid, t->runs);
}

/* --short fails only on what a working gate hardly ever does: 2 of 10 or more. */
static bool failed(const struct selftest *s)
{
    bool bad = false;
    for (size_t p = 0; p < s->plants; p++) {
        const struct tally *t = &s->tally[p];
        const size_t valid = t->runs - t->invalid;
        bad = bad || t->false_slower >= 2 || (t->plant >= 0.1 && valid >= t->found + 2);
    }
    return bad;
}

static void write_report(const struct selftest *s, FILE *f)
{
    fprintf(f, "the gate on itself: shares with exact 95 %% intervals; %.0f s of measuring a run\n",
            s->number ? s->seconds / s->number : 0);
    for (size_t p = 0; p < s->plants; p++)
        if (s->tally[p].runs > 0)
            print_tally(&s->tally[p], f);
}

static enum nb_status write_files(const struct selftest *s, struct nb_err *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    NB_ASSERT(f != NULL);
    write_report(s, f);
    NB_ASSERT(fclose(f) == 0);
    const enum nb_status status = nb_file_write(s->out, "selftest.txt", text, length, err);
    fwrite(text, 1, length, stdout);
    free(text);
    return status;
}

static enum nb_status open_csv(struct selftest *s, struct nb_err *err)
{
    char path[4300];
    if (mkdir(s->out, 0777) != 0)
        return nb_fail(err, "--out %s: %s", s->out, strerror(errno));
    snprintf(path, sizeof path, "%s/blocks.csv", s->out);
    s->csv = fopen(path, "w");
    if (s->csv == NULL)
        return nb_fail(err, "cannot write %s: %s", path, strerror(errno));
    fputs("run,plant,loaded,exit,kernel,cell,role,verdict,margin_ppm,series,ln_ratio_ppm\n", s->csv);
    return NB_OK;
}

/* ---- command line ---- */

enum option_key {
    KEY_RUNS = NB_OPTION_OTHERS, KEY_PLANT, KEY_BUDGET, KEY_LOAD, KEY_OUT, KEY_SHORT, KEY_QUIET, KEY_SEED, KEY_PRESET,
    KEY_FORCE, KEY_BLOCKS
};
static const struct argp_option OPTIONS[] = {
    {"runs", KEY_RUNS, "N[,N...]", 0, "gates a plant (default 20), or one number for each", 1},
    {"plant", KEY_PLANT, "LIST", 0, "slowdowns in percent; 0 is A/A (default 0,2,5,10)", 1},
    {"budget", KEY_BUDGET, "TIME", 0, "of each gate (default 9s)", 1},
    {"blocks", KEY_BLOCKS, "N", 0, "of each confirmation (default 30)", 1},
    {"load", KEY_LOAD, "N", 0, "keep another core busy in every N-th run (default 4; 0: in none)", 1},
    {"short", KEY_SHORT, 0, 0, "10 A/A and 10 with 10 % planted; exit 3 on a false SLOWER in 2 of them, or on 2 misses", 1},
    {"preset", KEY_PRESET, "NAME|FILE", 0, "what each gate compares (default selftest)", 1},
    {"seed", KEY_SEED, "N", 0, "of the first run (default 1)", 1},
    {"force", KEY_FORCE, 0, 0, "measure also where results mean nothing", 1},
    {"out", KEY_OUT, "DIR", 0, "a folder that does not exist yet (default results/selftest-<UTC>)", 2},
    {"quiet", KEY_QUIET, 0, 0, "no progress", 2},
    {0}};

struct cli {
    struct selftest s;
    const char *runs, *plant, *budget, *load, *seed, *preset, *blocks;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    const struct nb_option_text texts[] = {{KEY_RUNS, &c->runs},     {KEY_PLANT, &c->plant}, {KEY_BUDGET, &c->budget},
                                           {KEY_LOAD, &c->load},     {KEY_OUT, &c->s.out},   {KEY_SEED, &c->seed},
                                           {KEY_PRESET, &c->preset}, {KEY_BLOCKS, &c->blocks}};
    if (nb_option_take(key, arg, texts, sizeof texts / sizeof *texts, NULL))
        return 0;
    if (key == KEY_SHORT)
        c->s.brief = true;
    else if (key == KEY_QUIET)
        c->s.quiet = true;
    else if (key == KEY_FORCE)
        c->s.gate.force = true;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected word \"%s\"; options begin with --", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static enum nb_status parse_plants(struct selftest *s, const char *text, struct nb_err *err)
{
    for (const char *p = text; *p != '\0';) {
        char *end;
        const double percent = strtod(p, &end);
        if (end == p || !(percent >= 0 && percent <= 100) || (*end != '\0' && *end != ',') || s->plants == PLANTS_MOST)
            return nb_fail(err, "--plant: \"%s\" is no list of at most %d percentages such as 0,2,5", text, PLANTS_MOST);
        s->tally[s->plants++].plant = percent / 100;
        p = *end == ',' ? end + 1 : end;
    }
    return s->plants > 0 ? NB_OK : nb_fail(err, "--plant: an empty list");
}

static enum nb_status parse_runs(struct selftest *s, const char *text, struct nb_err *err)
{
    for (size_t p = 0; p < s->plants; p++) {
        char word[32];
        const size_t len = strcspn(text, ",");
        snprintf(word, sizeof word, "%.*s", (int)len, text);
        enum nb_status status = nb_parse_size("--runs", word, 1, 100000, &s->tally[p].wanted, err);
        if (status != NB_OK)
            return status;
        if (text[len] == ',')
            text += len + 1;
    }
    return NB_OK;
}

static enum nb_status parse(struct cli *c, struct nb_err *err)
{
    struct selftest *s = &c->s;
    size_t blocks = 0;
    s->load_every = 4;
    s->seed = 1;
    s->gate.margin = NAN;
    s->gate.quiet = s->gate.bare = true;
    s->gate.timeout_s = 20;
    s->gate.budget_s = 9;
    enum nb_status status = parse_plants(s, c->plant != NULL ? c->plant : s->brief ? "0,10" : "0,2,5,10", err);
    if (status == NB_OK)
        status = parse_runs(s, c->runs != NULL ? c->runs : s->brief ? "10" : "20", err);
    if (status == NB_OK && c->budget != NULL)
        status = nb_parse_seconds("--budget", c->budget, &s->gate.budget_s, err);
    if (status == NB_OK && c->load != NULL)
        status = nb_parse_size("--load", c->load, 0, 1000, &s->load_every, err);
    if (status == NB_OK && c->seed != NULL)
        status = nb_parse_size("--seed", c->seed, 0, (size_t)1 << 62, &s->seed, err);
    if (status == NB_OK && c->blocks != NULL)
        status = nb_parse_size("--blocks", c->blocks, nb_blocks_least(0.01), 1000, &blocks, err);
    s->gate.blocks = (unsigned)blocks;
    return status == NB_OK ? nb_preset_load(&s->gate.preset, c->preset != NULL ? c->preset : "selftest", err) : status;
}

enum nb_status nb_cmd_gate_selftest(int argc, char **argv, int *code, struct nb_err *err)
{
    static const char doc[] =
        "How often is the gate wrong on this machine? Runs it on this program against itself, as it is and with planted "
        "slowdowns (extra passes of real work in one kernel), and reports false alarms and power with intervals.\v"
        "blocks.csv has every block ln-ratio of every run, selftest.txt the shares.\nExamples:\n"
        "  normbench gate-selftest --short\n"
        "  normbench gate-selftest --plant 0,2,5 --runs 200,100,100 --out results/selftest";
    struct cli c = {0};
    char dir[64];
    c.s.gate.command = nb_option_command(argc, argv);
    nb_option_parse(OPTIONS, parse_option, NULL, doc, argc, argv, &c);
    const struct nb_foreign none = {0};
    enum nb_status s = nb_foreign_load(&none, err);
    if (s == NB_OK)
        s = parse(&c, err);
    if (s == NB_OK && c.s.out == NULL) {
        s = nb_option_folder("selftest", dir, sizeof dir, err);
        c.s.out = dir;
    }
    if (s == NB_OK)
        s = open_csv(&c.s, err);
    if (s == NB_OK)
        s = run_all(&c.s, err);
    if (c.s.csv != NULL && fclose(c.s.csv) != 0 && s == NB_OK)
        s = nb_fail(err, "cannot write %s/blocks.csv: %s", c.s.out, strerror(errno));
    if (s == NB_OK)
        s = write_files(&c.s, err);
    *code = c.s.brief && failed(&c.s) ? 3 : 0;
    nb_preset_free(&c.s.gate.preset);
    free(c.s.gate.command);
    return s;
}
