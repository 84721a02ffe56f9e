#define _GNU_SOURCE /* RUSAGE_THREAD, CPU_* */

#include "counters.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const char *const names[NB_EV_COUNT] = {
    [NB_EV_CYCLES] = "cycles",
    [NB_EV_INSTRUCTIONS] = "instructions",
    [NB_EV_L1D_MISSES] = "l1d_misses",
    [NB_EV_L2_MISSES] = "l2_misses",
    [NB_EV_LLC_MISSES] = "llc_misses",
    [NB_EV_DTLB_MISSES] = "dtlb_misses",
    [NB_EV_TASK_CLOCK] = "task_clock",
    [NB_EV_PAGE_FAULTS] = "page_faults",
    [NB_EV_CONTEXT_SWITCHES] = "context_switches",
    [NB_EV_MIGRATIONS] = "migrations",
};

/* What the probe found. Written once by nb_counters_init, read-only afterwards. */
static char state[320] = "not probed";
static struct event {
    char source[96], reason[320];
    int code; /* of PAPI; unused where getrusage counts */
    bool rusage;
    size_t group; /* where there is a source */
    double cost;  /* counted by an empty bracket */
} events[NB_EV_COUNT];
static size_t group_count;

const char *nb_event_name(enum nb_event e)
{
    NB_ASSERT(e < NB_EV_COUNT);
    return names[e];
}

const char *nb_counters_state(void)
{
    return state;
}

int nb_counters_available(enum nb_event e)
{
    return nb_counters_source(e)[0] != '\0';
}

const char *nb_counters_source(enum nb_event e)
{
    NB_ASSERT(e < NB_EV_COUNT);
    return events[e].source;
}

const char *nb_counters_reason(enum nb_event e)
{
    NB_ASSERT(e < NB_EV_COUNT);
    return events[e].reason;
}

size_t nb_counters_groups(void)
{
    return group_count;
}

int nb_counters_in_group(size_t group, enum nb_event e)
{
    return nb_counters_available(e) && events[e].group == group;
}

static void all_absent(const char *why)
{
    snprintf(state, sizeof(state), "%s", why);
    for (int e = 0; e < NB_EV_COUNT; e++)
        snprintf(events[e].reason, sizeof(events[e].reason), "%s", why);
}

#if !NB_HAVE_PAPI

void nb_counters_init(void)
{
    all_absent("built without PAPI");
}

enum nb_status nb_counters_open(size_t group, struct nb_counters **c)
{
    (void)group;
    *c = NULL;
    return NB_ERROR;
}

enum nb_status nb_counters_close(struct nb_counters *c, double values[NB_EV_COUNT])
{
    (void)c, (void)values;
    return NB_ERROR;
}

#else

#include <fcntl.h>
#include <linux/perf_event.h>
#include <papi.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GROUP_MAX 4
#define NO_GROUP ((size_t)-1)

/* The chain of each event: the first name that proves itself is used. */
static const char *const chain[NB_EV_COUNT][4] = {
    [NB_EV_CYCLES] = {"PAPI_TOT_CYC", "perf::CYCLES"},
    [NB_EV_INSTRUCTIONS] = {"PAPI_TOT_INS", "perf::INSTRUCTIONS"},
    [NB_EV_L1D_MISSES] = {"PAPI_L1_DCM", "perf::L1-DCACHE-LOAD-MISSES"},
    [NB_EV_L2_MISSES] = {"PAPI_L2_DCM", "PAPI_L2_TCM"},
    [NB_EV_LLC_MISSES] = {"PAPI_L3_TCM", "perf::LLC-LOAD-MISSES", "perf::CACHE-MISSES"},
    [NB_EV_DTLB_MISSES] = {"PAPI_TLB_DM", "perf::DTLB-LOAD-MISSES"},
    [NB_EV_TASK_CLOCK] = {"perf::TASK-CLOCK"},
    [NB_EV_PAGE_FAULTS] = {"perf::PAGE-FAULTS"},
    [NB_EV_CONTEXT_SWITCHES] = {"perf::CONTEXT-SWITCHES:u=1:k=1"},
    [NB_EV_MIGRATIONS] = {"perf::CPU-MIGRATIONS:u=1:k=1"},
};

static bool is_hardware(int e)
{
    return e < NB_EV_TASK_CLOCK;
}

/* ---- the known loops ---- */

#define CHAIN_STEPS 2000000u
#define COLD_BYTES ((size_t)64 << 20)
#define COLD_STRIDE 4096u
#define FRESH_PAGES 16u

static void *no_huge_pages(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, bytes, MADV_NOHUGEPAGE); /* fails where there are none anyway */
    return p;
}

/* Each step waits for the last; the register add cannot be folded away or renamed away.
 */
static void dependent_adds(void)
{
    unsigned long x = 0, y = 1;
    for (unsigned i = 0; i < CHAIN_STEPS; i++) {
        x += y;
        __asm__ volatile("" : "+r"(x), "+r"(y));
    }
}

static void flush_line(const volatile char *p)
{
#if defined(__x86_64__)
    __asm__ volatile("clflush %0" ::"m"(*p) : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("dc civac, %0" ::"r"(p) : "memory");
#else
    (void)p;
#endif
}

/* One line a page: beyond the reach of any TLB and of prefetchers. flush takes the lines
 * out of every cache, so that each of the reads that follow misses all levels whatever
 * their size. */
static void each_page(const volatile char *p, bool flush)
{
    for (size_t i = 0; i < COLD_BYTES; i += COLD_STRIDE) {
        size_t at = i + (i / COLD_STRIDE % 64) * 64; /* spread over the sets */
        if (flush)
            flush_line(p + at);
        else
            (void)p[at];
    }
}

static void touch_fresh_pages(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    volatile char *p = no_huge_pages(FRESH_PAGES * page);
    if (p == NULL)
        return;
    for (size_t i = 0; i < FRESH_PAGES; i++)
        p[i * page] = 1;
    munmap((void *)p, FRESH_PAGES * page);
}

static void sleep_a_little(void)
{
    struct timespec t = {0, 50000};
    nanosleep(&t, NULL);
}

/* Moves the calling thread to another of its CPUs and back. */
static bool hop(void)
{
    cpu_set_t all, one;
    int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < 2)
        return false;
    int other = 0;
    while (other == here || !CPU_ISSET(other, &all))
        other++;
    CPU_ZERO(&one);
    CPU_SET(other, &one);
    bool moved = sched_setaffinity(0, sizeof(one), &one) == 0;
    return sched_setaffinity(0, sizeof(all), &all) == 0 && moved;
}

/* Runs the loop that proves e and gives the band in which its count must lie. */
struct band {
    double lo, hi;
};
static struct band known_loop(int e, const char *cold)
{
    const double steps = CHAIN_STEPS, lines = COLD_BYTES / COLD_STRIDE;
    switch (e) {
    case NB_EV_CYCLES: /* one step takes one to a few cycles on any core built so far */
        dependent_adds();
        return (struct band){steps / 8, steps * 32};
    case NB_EV_INSTRUCTIONS: /* add, count, compare, branch; unrolled: add alone */
        dependent_adds();
        return (struct band){steps, steps * 8};
    case NB_EV_L1D_MISSES:
    case NB_EV_L2_MISSES:
    case NB_EV_LLC_MISSES:
    case NB_EV_DTLB_MISSES: /* each page once; page walks and neighbours fetched may add
                               to it */
        each_page(cold, false);
        return (struct band){lines / 4, lines * 64};
    case NB_EV_TASK_CLOCK: /* ns: at least the adds at 100 GHz, at most a second */
        dependent_adds();
        return (struct band){steps / 100, 1e9};
    case NB_EV_PAGE_FAULTS:
        touch_fresh_pages();
        return (struct band){FRESH_PAGES, FRESH_PAGES * 8};
    case NB_EV_CONTEXT_SWITCHES:
        sleep_a_little();
        return (struct band){1, 1e6};
    default: /* with one CPU alone nothing can be shown; 0 is then the right answer */
        return (struct band){hop() ? 1 : 0, 1e6};
    }
}

static bool needs_cold(int e)
{
    return e >= NB_EV_L1D_MISSES && e <= NB_EV_DTLB_MISSES;
}

/* ---- one event set ---- */

struct nb_counters {
    int set; /* PAPI_NULL: getrusage only */
    unsigned n;
    int event[GROUP_MAX]; /* what PAPI counts, in its order */
    size_t group;
    struct rusage before;
};

/* libpfm keeps tables of its own: sets are built by one thread at a time. */
static pthread_mutex_t building = PTHREAD_MUTEX_INITIALIZER;

static unsigned long thread_id(void)
{
    return (unsigned long)pthread_self();
}

static void destroy_set(int *set)
{
    if (*set == PAPI_NULL)
        return;
    PAPI_cleanup_eventset(*set);
    PAPI_destroy_eventset(set);
}

/* A started set of n codes; a PAPI error otherwise, and no set. */
static int start_set(const int *codes, unsigned n, int *set)
{
    *set = PAPI_NULL;
    pthread_mutex_lock(&building);
    int rc = PAPI_register_thread();
    if (rc == PAPI_OK)
        rc = PAPI_create_eventset(set);
    for (unsigned i = 0; i < n && rc == PAPI_OK; i++)
        rc = PAPI_add_event(*set, codes[i]);
    pthread_mutex_unlock(&building);
    if (rc == PAPI_OK)
        rc = PAPI_start(*set);
    if (rc != PAPI_OK)
        destroy_set(set);
    return rc;
}

static int stop_set(int *set, long long *counts)
{
    int rc = PAPI_stop(*set, counts);
    destroy_set(set);
    return rc;
}

static double rusage_count(int e, const struct rusage *u)
{
    return e == NB_EV_PAGE_FAULTS ? (double)(u->ru_minflt + u->ru_majflt)
                                  : (double)(u->ru_nvcsw + u->ru_nivcsw);
}

enum nb_status nb_counters_open(size_t group, struct nb_counters **out)
{
    struct nb_counters *c = calloc(1, sizeof(*c));
    int codes[GROUP_MAX];
    *out = NULL;
    if (c == NULL || group >= group_count) {
        free(c);
        return NB_ERROR;
    }
    c->set = PAPI_NULL;
    c->group = group;
    for (int e = 0; e < NB_EV_COUNT; e++)
        if (nb_counters_in_group(group, (enum nb_event)e) && !events[e].rusage) {
            c->event[c->n] = e;
            codes[c->n++] = events[e].code;
        }
    if (getrusage(RUSAGE_THREAD, &c->before) != 0 ||
        (c->n > 0 && start_set(codes, c->n, &c->set) != PAPI_OK)) {
        free(c);
        return NB_ERROR;
    }
    *out = c;
    return NB_OK;
}

static void add_count(double values[NB_EV_COUNT], int e, double counted)
{
    double net = counted - events[e].cost;
    values[e] += net > 0 ? net : 0;
}

enum nb_status nb_counters_close(struct nb_counters *c, double values[NB_EV_COUNT])
{
    long long counts[GROUP_MAX] = {0};
    struct rusage after;
    if (c == NULL)
        return NB_ERROR;
    bool good = c->n == 0 || stop_set(&c->set, counts) == PAPI_OK;
    good = getrusage(RUSAGE_THREAD, &after) == 0 && good;
    for (unsigned i = 0; i < c->n; i++)
        good = good && counts[i] >= 0; /* derived presets can go below 0 */
    for (unsigned i = 0; i < c->n && good; i++)
        add_count(values, c->event[i], (double)counts[i]);
    for (int e = 0; e < NB_EV_COUNT && good; e++)
        if (events[e].rusage && nb_counters_in_group(c->group, (enum nb_event)e))
            add_count(values, e, rusage_count(e, &after) - rusage_count(e, &c->before));
    free(c);
    return good ? NB_OK : NB_ERROR;
}

/* ---- probing ---- */

/* Counts the known loop of event e with all of codes; 0 and the count of the last one, or
 * a PAPI error. */
static int count_loop(const int *codes, unsigned n, int e, const char *cold,
                      double *count, struct band *band)
{
    long long counts[GROUP_MAX] = {0};
    int set;
    if (needs_cold(e))
        each_page(cold, true);
    int rc = start_set(codes, n, &set);
    if (rc != PAPI_OK)
        return rc;
    *band = known_loop(e, cold);
    rc = stop_set(&set, counts);
    *count = (double)counts[n - 1];
    return rc;
}

/* 64 MiB of touched pages, mapped when the first cache event could be started. */
static const char *cold_pages(char **cold)
{
    if (*cold == NULL) {
        *cold = no_huge_pages(COLD_BYTES);
        for (size_t i = 0; *cold != NULL && i < COLD_BYTES; i += COLD_STRIDE)
            (*cold)[i] = 1;
    }
    return *cold;
}

static const char *error_text(int code)
{
    const char *known = code <= 0 ? PAPI_strerror(code) : "not the version of the build";
    return known != NULL ? known : "unknown error";
}

/* Says in reason why this name cannot be used. */
static void complain(struct event *ev, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void complain(struct event *ev, const char *name, const char *format, ...)
{
    size_t n = strlen(ev->reason);
    va_list args;
    n += (size_t)snprintf(ev->reason + n, sizeof(ev->reason) - n,
                          "%s%s: ", n > 0 ? "; " : "", name);
    if (n >= sizeof(ev->reason))
        return;
    va_start(args, format);
    vsnprintf(ev->reason + n, sizeof(ev->reason) - n, format, args);
    va_end(args);
}

static int try_start(int code)
{
    long long counts[GROUP_MAX];
    int set, rc = start_set(&code, 1, &set);
    return rc == PAPI_OK ? stop_set(&set, counts) : rc;
}

/* Adds, starts and counts one name over the event's known loop. */
static bool prove(int e, const char *name, char **cold)
{
    struct event *ev = &events[e];
    double count = 0;
    struct band band = {0, 0};
    int rc = PAPI_event_name_to_code(name, &ev->code);
    if (rc == PAPI_OK)
        rc = try_start(ev->code);
    if (rc == PAPI_OK && needs_cold(e) && cold_pages(cold) == NULL) {
        complain(ev, name, "no memory for the proof");
        return false;
    }
    if (rc == PAPI_OK)
        rc = count_loop(&ev->code, 1, e, *cold, &count, &band);
    if (rc != PAPI_OK)
        complain(ev, name, "%s", error_text(rc));
    else if (count < band.lo || count > band.hi)
        complain(ev, name, "counted %.0f over a loop that makes %.0f to %.0f", count,
                 band.lo, band.hi);
    else
        return true;
    return false;
}

/* "PAPI_TOT_CYC (icl::...)": a preset is named with what it stands for on this machine.
 */
static void set_source(struct event *ev, const char *name)
{
    PAPI_event_info_t info;
    const char *native = "";
    if ((ev->code & PAPI_PRESET_MASK) != 0 && (ev->code & PAPI_NATIVE_MASK) == 0 &&
        PAPI_get_event_info(ev->code, &info) == PAPI_OK && info.count == 1)
        native = info.name[0];
    if (*native != '\0')
        snprintf(ev->source, sizeof(ev->source), "%s (%.60s)", name, native);
    else
        snprintf(ev->source, sizeof(ev->source), "%s", name);
    ev->reason[0] = '\0';
}

/* The cause goes before what each name said. */
static void put_first(struct event *ev, const char *cause)
{
    char said[sizeof(ev->reason)];
    snprintf(said, sizeof(said), "%s", ev->reason);
    int n = snprintf(ev->reason, sizeof(ev->reason), "%s", cause);
    if (*said != '\0' && (size_t)n < sizeof(ev->reason))
        snprintf(ev->reason + n, sizeof(ev->reason) - (size_t)n, "; %.*s",
                 (int)(sizeof(ev->reason) - 3) - n, said);
}

static void fall_back_to_rusage(struct event *ev, const char *fields)
{
    struct rusage u;
    if (getrusage(RUSAGE_THREAD, &u) != 0)
        return;
    ev->rusage = true;
    snprintf(ev->source, sizeof(ev->source), "getrusage %s", fields);
    ev->reason[0] = '\0';
}

/* ---- why there is nothing to count ---- */

static int kernel_refuses_cycles(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof(attr),
        .config = PERF_COUNT_HW_CPU_CYCLES,
        .disabled = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return errno;
    close((int)fd);
    return 0;
}

/* PAPI's own texts do not tell a missing PMU from a missing permission; the kernel's do.
 */
static void why_no_hardware(char *text, size_t len)
{
    int error = kernel_refuses_cycles();
    if (error == 0)
        snprintf(text, len, "the kernel counts cycles");
    else if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP)
        snprintf(text, len,
                 "no PMU is visible here (%s): a virtual machine must be given one, or "
                 "use bare metal",
                 strerror(error));
    else if (error == EACCES || error == EPERM)
        snprintf(text, len,
                 "no permission (%s): set kernel.perf_event_paranoid=1 or grant "
                 "CAP_PERFMON",
                 strerror(error));
    else
        snprintf(text, len, "perf_event_open: %s; in a container allow that system call",
                 strerror(error));
}

static void describe(const char *hardware)
{
    int cid = PAPI_get_component_index("perf_event");
    const PAPI_component_info_t *info = cid >= 0 ? PAPI_get_component_info(cid) : NULL;
    int n =
        snprintf(state, sizeof(state), "PAPI %d.%d.%d", PAPI_VERSION_MAJOR(PAPI_VERSION),
                 PAPI_VERSION_MINOR(PAPI_VERSION), PAPI_VERSION_REVISION(PAPI_VERSION));
    if (info == NULL)
        n += snprintf(state + n, sizeof(state) - (size_t)n, ", no perf_event component");
    else if (info->disabled)
        n += snprintf(state + n, sizeof(state) - (size_t)n,
                      ", perf_event disabled: %.100s", info->disabled_reason);
    else
        n += snprintf(state + n, sizeof(state) - (size_t)n, ", event tables:");
    for (int i = 0; info != NULL && !info->disabled && i < PAPI_PMU_MAX; i++)
        if (info->pmu_names[i] != NULL && n < (int)sizeof(state) - 64)
            n += snprintf(state + n, sizeof(state) - (size_t)n, " %.40s",
                          info->pmu_names[i]);
    if ((size_t)n < sizeof(state))
        snprintf(state + n, sizeof(state) - (size_t)n, "; %s", hardware);
}

/* ---- groups ---- */

/* Codes of a group's events in the order in which open adds them. */
static unsigned group_codes(size_t group, int codes[GROUP_MAX])
{
    unsigned n = 0;
    for (int e = 0; e < NB_EV_COUNT; e++)
        if (nb_counters_in_group(group, (enum nb_event)e) && !events[e].rusage)
            codes[n++] = events[e].code;
    return n;
}

/* Does e still count its loop when it runs beside what the group already holds? Events
 * beyond the counters of the CPU would start without an error and read 0. */
static bool fits(int e, size_t group, const char *cold)
{
    int codes[GROUP_MAX + 1];
    unsigned n = group_codes(group, codes);
    double count;
    struct band band;
    if (n == GROUP_MAX)
        return false;
    codes[n] = events[e].code;
    return count_loop(codes, n + 1, e, cold, &count, &band) == PAPI_OK &&
           count >= band.lo && count <= band.hi;
}

/* Hardware and software events apart; those of getrusage ride with the software group. */
static void make_groups(bool hardware, const char *cold)
{
    bool any = false;
    for (int e = 0; e < NB_EV_COUNT; e++) {
        if (is_hardware(e) != hardware || events[e].source[0] == '\0')
            continue;
        if (!any || !(events[e].rusage || fits(e, group_count - 1, cold)))
            group_count++;
        any = true;
        events[e].group = group_count - 1;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What an empty bracket counts, event by event: the median of seven. */
static void measure_cost(size_t group)
{
    double seen[NB_EV_COUNT][7] = {{0}};
    for (int i = 0; i < 7; i++) {
        double values[NB_EV_COUNT] = {0};
        struct nb_counters *c;
        if (nb_counters_open(group, &c) != NB_OK || nb_counters_close(c, values) != NB_OK)
            return;
        for (int e = 0; e < NB_EV_COUNT; e++)
            seen[e][i] = values[e];
    }
    for (int e = 0; e < NB_EV_COUNT; e++) {
        qsort(seen[e], 7, sizeof(double), by_value);
        if (nb_counters_in_group(group, (enum nb_event)e))
            events[e].cost = seen[e][3];
    }
}

static void probe_event(int e, bool papi, const char *hardware, char **cold)
{
    struct event *ev = &events[e];
    for (int i = 0; papi && i < 4 && chain[e][i] != NULL && ev->source[0] == '\0'; i++)
        if (prove(e, chain[e][i], cold))
            set_source(ev, chain[e][i]);
    if (ev->source[0] != '\0')
        return;
    if (e == NB_EV_PAGE_FAULTS)
        fall_back_to_rusage(ev, "minflt+majflt");
    else if (e == NB_EV_CONTEXT_SWITCHES)
        fall_back_to_rusage(ev, "nvcsw+nivcsw");
    if (ev->source[0] == '\0' && (is_hardware(e) || !papi))
        put_first(ev, papi ? hardware : state);
}

static int start_library(void)
{
    int version = PAPI_library_init(PAPI_VER_CURRENT);
    if (version != PAPI_VER_CURRENT)
        return version != PAPI_OK ? version : PAPI_EMISC;
    PAPI_set_debug(PAPI_QUIET);
    return PAPI_thread_init(thread_id);
}

static void probe(void)
{
    char hardware[200];
    char *cold = NULL;
    int rc = start_library();
    why_no_hardware(hardware, sizeof(hardware));
    if (rc == PAPI_OK)
        describe(hardware);
    else
        snprintf(state, sizeof(state), "PAPI cannot start: %s", error_text(rc));
    for (int e = 0; e < NB_EV_COUNT; e++)
        events[e].group = NO_GROUP;
    for (int e = 0; e < NB_EV_COUNT; e++)
        probe_event(e, rc == PAPI_OK, hardware, &cold);
    make_groups(true, cold);
    make_groups(false, cold);
    for (size_t g = 0; g < group_count; g++)
        measure_cost(g);
    if (cold != NULL)
        munmap(cold, COLD_BYTES);
}

/* PAPI and libpfm write what they dislike to stderr, in part before they can be told not
 * to. */
static void quiet_probe(void)
{
    const char *wish = getenv("NB_PAPI");
    if (wish != NULL && strcmp(wish, "off") == 0) {
        all_absent("switched off by NB_PAPI=off");
        return;
    }
    fflush(stderr);
    int keep = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (keep >= 0 && null >= 0)
        dup2(null, STDERR_FILENO);
    probe();
    fflush(stderr);
    if (keep >= 0) {
        dup2(keep, STDERR_FILENO);
        close(keep);
    }
    if (null >= 0)
        close(null);
}

void nb_counters_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, quiet_probe);
}

#endif
