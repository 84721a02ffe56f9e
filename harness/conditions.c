#include "conditions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* ---- the clock ---- */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static inline unsigned long add(unsigned long x, unsigned long y)
{
    x += y;
    __asm__ volatile("" : "+r"(x));
    return x;
}

static double one_chain(void)
{
    unsigned long x = 0, y = 1;
    const double from = now_ns();
    __asm__ volatile("" : "+r"(x), "+r"(y));
    for (int i = 0; i < NB_CHAIN_ADDS / 4; i++)
        x = add(add(add(add(x, y), y), y), y);
    return now_ns() - from;
}

double nb_chain_ns(unsigned chains)
{
    double best = INFINITY;
    for (unsigned i = 0; i < chains; i++)
        best = fmin(best, one_chain());
    return best;
}

/* Some cores hold a lower clock for up to about a millisecond after wide vectors. That is the kernels'
 * doing and no change of conditions, so the first reading covers as long as that may last, and the
 * second goes on, up to twice as long, until it is like the first. */
enum { CHAINS = 20 };

static double clock_like(double before)
{
    double best = nb_chain_ns(4);
    for (int i = 0; i < 2 * CHAINS && fabs(best / before - 1) > NB_CLOCK_CHANGE / 2; i++)
        best = fmin(best, one_chain());
    return best;
}

/* ---- the moments ---- */

/* Of all CPUs of the unit's threads together. */
static bool read_jiffies(const struct nb_watch *w, struct nb_jiffies *sum)
{
    int *cpus = calloc(w->threads, sizeof *cpus);
    struct nb_jiffies *each = calloc(w->threads, sizeof *each);
    NB_ASSERT(cpus != NULL && each != NULL);
    *sum = (struct nb_jiffies){0, 0, 0};
    for (unsigned i = 0; w->topology != NULL && i < w->threads; i++)
        cpus[i] = (int)nb_topology_cpu(w->topology, i);
    const bool known = w->topology != NULL && nb_read_jiffies("", cpus, w->threads, each) == 0;
    for (unsigned i = 0; known && i < w->threads; i++) {
        sum->total += each[i].total;
        sum->idle += each[i].idle;
        sum->steal += each[i].steal;
    }
    free(cpus);
    free(each);
    return known && sum->total > 0;
}

void nb_conditions_begin(struct nb_watch *w, const struct nb_topology *t, unsigned threads)
{
    struct rusage r = {0};
    *w = (struct nb_watch){.topology = t, .threads = threads};
    getrusage(RUSAGE_SELF, &r);
    w->switches = r.ru_nivcsw;
    w->major_faults = r.ru_majflt;
    w->clock_ns = nb_chain_ns(CHAINS);
    w->jiffies_known = read_jiffies(w, &w->jiffies);
}

static void unknown(json_t *c, const char *key, const char *reason)
{
    json_t *reasons = json_object_get(c, "unknown");
    if (reasons == NULL)
        json_object_set_new(c, "unknown", reasons = json_object());
    json_object_set_new(c, key, json_null());
    json_object_set_new(reasons, key, json_string(reason));
}

static void set_jiffies(json_t *c, const struct nb_watch *w)
{
    static const char *const keys[] = {"steal_ticks", "cpu_ticks"};
    struct nb_jiffies end;
    if (w->jiffies_known && read_jiffies(w, &end) && end.total >= w->jiffies.total &&
        end.steal >= w->jiffies.steal) {
        json_object_set_new(c, keys[0], json_integer((json_int_t)(end.steal - w->jiffies.steal)));
        json_object_set_new(c, keys[1], json_integer((json_int_t)(end.total - w->jiffies.total)));
        return;
    }
    for (int i = 0; i < 2; i++)
        unknown(c, keys[i], w->topology == NULL ? "threads are bound to no CPU"
                                                : "/proc/stat does not tell of these CPUs");
}

json_t *nb_conditions_end(const struct nb_watch *w, long migrations)
{
    struct rusage r = {0};
    json_t *c = json_object();
    set_jiffies(c, w);
    getrusage(RUSAGE_SELF, &r);
    json_object_set_new(c, "clock_before_ns", json_real(w->clock_ns));
    json_object_set_new(c, "clock_after_ns", json_real(clock_like(w->clock_ns)));
    if (migrations >= 0)
        json_object_set_new(c, "migrations", json_integer(migrations));
    else
        unknown(c, "migrations", w->topology == NULL ? "threads are bound to no CPU"
                                                     : "the system does not tell a thread's CPU");
    json_object_set_new(c, "involuntary_switches", json_integer(r.ru_nivcsw - w->switches));
    json_object_set_new(c, "page_faults_major", json_integer(r.ru_majflt - w->major_faults));
    return c;
}

/* ---- the verdict ---- */

static double number(const json_t *c, const char *key)
{
    const json_t *v = json_object_get(c, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Of the speed of the clock; 0 where it is not known. */
static double clock_change(const json_t *c)
{
    const double before = number(c, "clock_before_ns"), after = number(c, "clock_after_ns");
    return before > 0 && after > 0 ? before / after - 1 : 0;
}

/* A comparison with NaN is false: what is not known disturbs nothing. */
enum nb_disturbance nb_conditions_disturbance(const json_t *c)
{
    const double steal = number(c, "steal_ticks"), all = number(c, "cpu_ticks");
    if (number(c, "migrations") > 0)
        return NB_MIGRATED;
    if (steal >= NB_STEAL_TICKS && steal > NB_STEAL_SHARE * all)
        return NB_STOLEN;
    return fabs(clock_change(c)) > NB_CLOCK_CHANGE ? NB_CLOCK_CHANGED : NB_UNDISTURBED;
}

const char *nb_conditions_verdict(const json_t *c, char *text, size_t len)
{
    switch (nb_conditions_disturbance(c)) {
    case NB_MIGRATED:
        snprintf(text, len, "threads were found on another CPU than theirs %.0f times",
                 number(c, "migrations"));
        return text;
    case NB_STOLEN:
        snprintf(text, len, "%.0f of %.0f ticks of CPU time were stolen", number(c, "steal_ticks"),
                 number(c, "cpu_ticks"));
        return text;
    case NB_CLOCK_CHANGED:
        snprintf(text, len, "the clock changed by %+.1f %%", 100 * clock_change(c));
        return text;
    default:
        return NULL;
    }
}

/* ---- for tests ---- */

/* Sound but for one kind of disturbance; NULL: sound. */
static json_t *invented(const char *kind)
{
    const bool clock = kind != NULL && strncmp(kind, "clock", 5) == 0;
    const bool steal = kind != NULL && strncmp(kind, "steal", 5) == 0;
    const bool migration = kind != NULL && strncmp(kind, "migration", 9) == 0;
    NB_ASSERT(kind == NULL || clock || steal || migration);
    return json_pack("{sb si si sf sf si si si}", "invented", 1, "steal_ticks", steal ? 10 : 0,
                     "cpu_ticks", 100, "clock_before_ns", 50000.0, "clock_after_ns",
                     clock ? 65000.0 : 50000.0, "migrations", migration ? 1 : 0,
                     "involuntary_switches", 0, "page_faults_major", 0);
}

json_t *nb_conditions_for_test(json_t *conditions)
{
    static long units;
    const char *asked = getenv("NB_TEST_CONDITIONS");
    if (asked == NULL || *asked == '\0')
        return conditions;
    const char *colon = strchr(asked, ':');
    NB_ASSERT(colon != NULL);
    json_decref(conditions);
    return invented(units++ < strtol(colon + 1, NULL, 10) ? asked : NULL);
}
