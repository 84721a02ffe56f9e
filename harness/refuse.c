#include "refuse.h"

#include "host_parts.h"
#include "sysread.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Limits. A first look is short; what it suspects is decided by longer ones. Other processes are given time to end. A
 * hypervisor robs by bursts, and the share of one second is far from that of a minute: shares are of all looks together. */
#define LOOK_S 0.1
#define DECIDE_S 1.0
#define PATIENCE 15 /* longer looks, where nobody insists */
#define FREE_SHORT 0.5   /* cores that may be missing */
#define STOLEN_MOST 0.05
#define STOLEN_TICKS 3   /* at least: a tick may be older than the look */
#define STEP_MOST_NS 2e4 /* 1 % of a sample of 2 ms */

/* ---- the program ---- */

/* An emulator shows itself the emulated program as /proc/self/exe, and forgets /proc/thread-self/exe. */
static const char *emulator(void)
{
    static char runs[1024];
    char told[1024];
    const ssize_t n = readlink("/proc/self/exe", told, sizeof(told) - 1);
    const ssize_t m = readlink("/proc/thread-self/exe", runs, sizeof(runs) - 1);
    if (n <= 0 || m <= 0)
        return NULL;
    told[n] = runs[m] = '\0';
    if (strcmp(told, runs) == 0)
        return NULL;
    for (char *p = runs; *p != '\0'; p++)
        *p = *p < ' ' || *p > '~' ? '?' : *p;
    const char *slash = strrchr(runs, '/');
    return slash != NULL ? slash + 1 : runs;
}

/* The last of the words that begin so. */
static const char *last_word(const char *line, const char *start, char *word, size_t len)
{
    const char *found = NULL;
    for (const char *p = strstr(line, start); p != NULL; p = strstr(p + 1, start))
        if (p == line || p[-1] == ' ')
            found = p;
    if (found != NULL)
        snprintf(word, len, "%.*s", (int)strcspn(found, " "), found);
    return found != NULL ? word : NULL;
}

static const char *spoiling_flags(void)
{
    static char word[96];
    const char *flags;
    for (size_t i = 0; (flags = nb_host_unit_flags(i)) != NULL; i++) {
        if (last_word(flags, "-fsanitize=", word, sizeof(word)) != NULL)
            return word;
        if (last_word(flags, "-O", word, sizeof(word)) == NULL)
            return "no -O";
        if (strcmp(word, "-O0") == 0)
            return word;
    }
    return NULL;
}

/* ---- the CPUs ---- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void spend(double s, bool busy)
{
    const struct timespec wait = {(time_t)s, (long)(1e9 * (s - floor(s)))};
    if (!busy)
        nanosleep(&wait, NULL);
    for (const double until = seconds() + s; busy && seconds() < until;)
        ;
}

/* What each of our cores' CPUs did meanwhile. */
static bool watch(const struct nb_topology *t, double s, bool busy, struct nb_jiffies *did)
{
    int *cpus = calloc(t->cores, sizeof *cpus);
    struct nb_jiffies *before = calloc(t->cores, sizeof *before);
    NB_ASSERT(cpus != NULL && before != NULL);
    for (unsigned i = 0; i < t->cores; i++)
        cpus[i] = (int)nb_topology_cpu(t, i);
    bool known = nb_read_jiffies("", cpus, t->cores, before) == 0;
    if (known)
        spend(s, busy);
    known = known && nb_read_jiffies("", cpus, t->cores, did) == 0;
    for (unsigned i = 0; known && i < t->cores; i++) {
        known = did[i].total > before[i].total && did[i].idle >= before[i].idle &&
                did[i].steal >= before[i].steal;
        did[i].total -= before[i].total;
        did[i].idle -= before[i].idle;
        did[i].steal -= before[i].steal;
    }
    free(cpus);
    free(before);
    return known;
}

static double free_cores(const struct nb_topology *t, double s, struct nb_jiffies *did)
{
    double sum = 0;
    if (!watch(t, s, false, did))
        return NAN;
    for (unsigned i = 0; i < t->cores; i++)
        sum += (double)did[i].idle / (double)did[i].total;
    return sum;
}

/* Ticks, of all looks so far. */
struct robbery {
    double steal, asked;
};

/* A virtual CPU is robbed only of time that it asks for: this thread asks for one. */
static double stolen(const struct nb_topology *t, double s, struct nb_jiffies *did, struct robbery *sum)
{
    if (!watch(t, s, true, did))
        return NAN;
    for (unsigned i = 0; i < t->cores; i++) {
        sum->steal += (double)did[i].steal;
        sum->asked += (double)(did[i].total - did[i].idle);
    }
    return sum->steal >= STOLEN_TICKS && sum->asked > 0 ? sum->steal / sum->asked : 0;
}

/* Ticks of each CPU that were stolen in a short look: too coarse for a share, fine for a suspicion. */
static bool is_robbed(const struct nb_topology *t, struct nb_jiffies *did)
{
    unsigned long long steal = 0;
    if (!watch(t, LOOK_S, true, did))
        return false;
    for (unsigned i = 0; i < t->cores; i++)
        steal += did[i].steal;
    return steal > 0;
}

/* Whoever sits before it may know what to end. */
static void tell_of_waiting(unsigned looks, const char *for_whom)
{
    if (looks == 1 && isatty(STDERR_FILENO))
        fprintf(stderr, "waiting for %s, %u s at most\n", for_whom, (unsigned)(PATIENCE * DECIDE_S));
}

void nb_obstacles_see(struct nb_obstacles *o, const struct nb_topology *t, unsigned threads, unsigned looks)
{
    struct nb_jiffies *did = calloc(t->cores, sizeof *did);
    struct robbery robbed = {0, 0};
    double cost;
    NB_ASSERT(did != NULL);
    *o = (struct nb_obstacles){.emulator = emulator(),
                               .flags = spoiling_flags(),
                               .quota = nb_cgroup_cpus(""),
                               .stolen = 0};
    nb_host_timer(&cost, &o->timer_step_ns);
    o->free_cores = free_cores(t, LOOK_S, did);
    for (unsigned i = 0; i < looks && o->free_cores < threads - FREE_SHORT; i++) {
        tell_of_waiting(i, "other processes to leave the CPUs");
        o->free_cores = free_cores(t, DECIDE_S, did);
    }
    o->stolen = is_robbed(t, did) ? INFINITY : 0;
    for (unsigned i = 0; i < looks && o->stolen > STOLEN_MOST; i++) {
        tell_of_waiting(i, "the hypervisor to leave the CPUs");
        o->stolen = stolen(t, DECIDE_S, did, &robbed);
    }
    free(did);
}

/* ---- the judgement ---- */

struct refusals {
    json_t *reasons;
    char *text;
    size_t len, count;
};

static void add_reason(struct refusals *r, const char *help, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add_reason(struct refusals *r, const char *help, const char *format, ...)
{
    char reason[256];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    json_array_append_new(r->reasons, json_string(reason));
    const size_t n = strlen(r->text);
    snprintf(r->text + n, r->len - n, "%s%s (%s)", r->count++ > 0 ? "; " : "", reason, help);
}

size_t nb_obstacles_judge(const struct nb_obstacles *o, unsigned threads, json_t *reasons, char *text,
                          size_t len)
{
    struct refusals r = {reasons, text, len, 0};
    const char *s = threads == 1 ? "" : "s";
    text[0] = '\0';
    if (o->emulator != NULL)
        add_reason(&r, "start it without", "this program runs inside %.60s, which makes another program of it",
                   o->emulator);
    if (o->flags != NULL)
        add_reason(&r, "build it anew: cmake -DCMAKE_BUILD_TYPE=Release -DNB_SANITIZE=",
                   "the kernels were compiled with %.90s", o->flags);
    if (o->quota > 0 && o->quota < threads)
        add_reason(&r, "fewer --threads, or: docker update --cpus 0 CONTAINER",
                   "a cgroup limits this process to %.2f CPUs, too few for %u thread%s", o->quota, threads, s);
    if (o->free_cores < threads - FREE_SHORT)
        add_reason(&r, "end what keeps them busy: top -o %CPU",
                   "other processes leave %.1f cores free, too few for %u thread%s", o->free_cores, threads, s);
    if (o->stolen > STOLEN_MOST)
        add_reason(&r, "wait, or choose a dedicated instance type",
                   "the hypervisor took %.0f %% of the CPU time that was asked for", 100 * o->stolen);
    if (o->timer_step_ns > STEP_MOST_NS)
        add_reason(&r, "choose another: /sys/devices/system/clocksource/clocksource0/available_clocksource",
                   "the clock moves in steps of %.0f us", o->timer_step_ns / 1e3);
    return r.count;
}

static enum nb_status forced_by_environment(bool *force, struct nb_err *err)
{
    const char *word = getenv("NB_FORCE");
    if (word == NULL || *word == '\0' || strcmp(word, "0") == 0)
        return NB_OK;
    if (strcmp(word, "1") != 0)
        return nb_fail(err, "NB_FORCE: \"%.40s\" is neither 1 nor 0", word);
    *force = true;
    return NB_OK;
}

enum nb_status nb_refuse(const struct nb_topology *t, unsigned threads, bool force, json_t *reasons,
                         struct nb_err *err)
{
    struct nb_obstacles o;
    char text[800];
    enum nb_status s = forced_by_environment(&force, err);
    if (s != NB_OK)
        return s;
    nb_obstacles_see(&o, t, threads, force ? 1 : PATIENCE);
    if (nb_obstacles_judge(&o, threads, reasons, text, sizeof text) == 0 || force)
        return NB_OK;
    return nb_fail(err, "results would mean nothing here: %s. With --force (or NB_FORCE=1) they are measured all "
                        "the same, and marked", text);
}
