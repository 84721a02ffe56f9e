#define _GNU_SOURCE /* RUSAGE_THREAD */

#include "counters.h"

#include "known_loops.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const char *const names[NB_EV_COUNT] = {
    [NB_EV_CYCLES] = "cycles",
    [NB_EV_INSTRUCTIONS] = "instructions",
    [NB_EV_LOADS] = "loads",
    [NB_EV_L1D_MISSES] = "l1d_misses",
    [NB_EV_L2_MISSES] = "l2_misses",
    [NB_EV_LLC_MISSES] = "llc_misses",
    [NB_EV_DTLB_MISSES] = "dtlb_misses",
    [NB_EV_BRANCH_MISSES] = "branch_misses",
    [NB_EV_TASK_CLOCK] = "task_clock",
    [NB_EV_PAGE_FAULTS] = "page_faults",
    [NB_EV_CONTEXT_SWITCHES] = "context_switches",
    [NB_EV_MIGRATIONS] = "migrations",
};

/* What the probe found. Written once by nb_counters_init, read-only afterwards. */
static char state[320] = "not probed";
static struct event {
    char source[96], reason[640], remedy[320];
    struct nb_certificate certificate;
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

const char *nb_counters_remedy(enum nb_event e)
{
    NB_ASSERT(e < NB_EV_COUNT);
    return events[e].remedy;
}

const struct nb_certificate *nb_counters_certificate(enum nb_event e)
{
    NB_ASSERT(e < NB_EV_COUNT);
    return &events[e].certificate;
}

size_t nb_counters_groups(void)
{
    return group_count;
}

int nb_counters_in_group(size_t group, enum nb_event e)
{
    return nb_counters_available(e) && events[e].group == group;
}

enum nb_status nb_counters_environment(struct nb_err *err)
{
    const char *bands = getenv("NB_COUNTERS_BANDS");
    if (bands == NULL || strcmp(bands, "off") == 0)
        return NB_OK;
    return nb_fail(err, "NB_COUNTERS_BANDS: unknown word \"%s\"; known: off, which is for tests: it lets "
                        "counters count without a certificate", bands);
}

int nb_counters_bands(void)
{
    const char *bands = getenv("NB_COUNTERS_BANDS");
    return bands == NULL || strcmp(bands, "off") != 0;
}

static void all_absent(const char *why, const char *remedy)
{
    snprintf(state, sizeof(state), "%s", why);
    for (int e = 0; e < NB_EV_COUNT; e++) {
        snprintf(events[e].reason, sizeof(events[e].reason), "%s", why);
        snprintf(events[e].remedy, sizeof(events[e].remedy), "%s", remedy);
    }
}

#if !NB_HAVE_PAPI

void nb_counters_init(void)
{
    all_absent("built without PAPI", "sudo apt-get install libpapi-dev, then configure and build again");
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

struct nb_certificate nb_counters_certify(const char *name, const struct nb_proof *proof, struct nb_lab *lab)
{
    (void)name, (void)proof, (void)lab;
    return (struct nb_certificate){.verdict = NB_CERT_REFUSED, .error = -1};
}

#else

#include <fcntl.h>
#include <linux/perf_event.h>
#include <papi.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUP_MAX 4
#define NO_GROUP ((size_t)-1)

/* The chain of each event: the first name that proves itself is used. A preset, then the kernel's generic
 * event; for L2, which the kernel has no name for, events of Intel, AMD and Arm. */
static const char *const chain[NB_EV_COUNT][6] = {
    [NB_EV_CYCLES] = {"PAPI_TOT_CYC", "perf::CYCLES"},
    [NB_EV_INSTRUCTIONS] = {"PAPI_TOT_INS", "perf::INSTRUCTIONS"},
    [NB_EV_LOADS] = {"PAPI_LD_INS", "perf::L1-DCACHE-LOADS"},
    [NB_EV_L1D_MISSES] = {"PAPI_L1_DCM", "perf::L1-DCACHE-LOAD-MISSES"},
    [NB_EV_L2_MISSES] = {"PAPI_L2_DCM", "PAPI_L2_TCM", "L2_RQSTS:DEMAND_DATA_RD_MISS",
                         "CORE_TO_L2_CACHEABLE_REQUEST_ACCESS_STATUS:LS_RD_BLK_C", "L2D_CACHE_REFILL"},
    [NB_EV_LLC_MISSES] = {"PAPI_L3_TCM", "perf::LLC-LOAD-MISSES", "perf::CACHE-MISSES"},
    [NB_EV_DTLB_MISSES] = {"PAPI_TLB_DM", "perf::DTLB-LOAD-MISSES"},
    [NB_EV_BRANCH_MISSES] = {"PAPI_BR_MSP", "perf::BRANCH-MISSES"},
    [NB_EV_TASK_CLOCK] = {"perf::TASK-CLOCK"},
    [NB_EV_PAGE_FAULTS] = {"perf::PAGE-FAULTS"},
    [NB_EV_CONTEXT_SWITCHES] = {"perf::CONTEXT-SWITCHES:u=1:k=1"},
    [NB_EV_MIGRATIONS] = {"perf::CPU-MIGRATIONS:u=1:k=1"},
};

static bool is_hardware(int e)
{
    return e < NB_EV_TASK_CLOCK;
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

/* A set of n codes; a PAPI error otherwise, and no set. */
static int build_set(const int *codes, unsigned n, int *set)
{
    *set = PAPI_NULL;
    pthread_mutex_lock(&building);
    int rc = PAPI_register_thread();
    if (rc == PAPI_OK)
        rc = PAPI_create_eventset(set);
    for (unsigned i = 0; i < n && rc == PAPI_OK; i++)
        rc = PAPI_add_event(*set, codes[i]);
    pthread_mutex_unlock(&building);
    if (rc != PAPI_OK)
        destroy_set(set);
    return rc;
}

static int start_set(const int *codes, unsigned n, int *set)
{
    int rc = build_set(codes, n, set);
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

/* ---- counters as a certificate sees them ---- */

/* One event of a set, which is the last that was added but for groups. */
struct papi_counter {
    const int *codes;
    unsigned n, which;
    int set;
    long long counts[GROUP_MAX];
};

static int open_papi(void *self)
{
    struct papi_counter *c = self;
    return build_set(c->codes, c->n, &c->set);
}

static int start_papi(void *self)
{
    return PAPI_start(((struct papi_counter *)self)->set);
}

static int stop_papi(void *self)
{
    struct papi_counter *c = self;
    return PAPI_stop(c->set, c->counts);
}

static int read_papi(void *self, double *count)
{
    const struct papi_counter *c = self;
    *count = (double)c->counts[c->which];
    return PAPI_OK;
}

static void close_papi(void *self)
{
    destroy_set(&((struct papi_counter *)self)->set);
}

static struct nb_certificate certify_papi(const int *codes, unsigned n, unsigned which,
                                          const struct nb_proof *proof, struct nb_lab *lab)
{
    struct papi_counter c = {.codes = codes, .n = n, .which = which, .set = PAPI_NULL};
    const struct nb_counter counter = {open_papi, start_papi, stop_papi, read_papi, close_papi, &c};
    return nb_certify(proof, &counter, lab, nb_counters_bands());
}

struct nb_certificate nb_counters_certify(const char *name, const struct nb_proof *proof, struct nb_lab *lab)
{
    int code, rc = PAPI_event_name_to_code(name, &code);
    if (rc != PAPI_OK)
        return (struct nb_certificate){.verdict = NB_CERT_REFUSED, .error = rc, .seen = NAN};
    return certify_papi(&code, 1, 0, proof, lab);
}

struct rusage_counter {
    int event;
    struct rusage before, after;
};

static int no_step(void *self)
{
    (void)self;
    return 0;
}

static int start_rusage(void *self)
{
    return getrusage(RUSAGE_THREAD, &((struct rusage_counter *)self)->before) == 0 ? 0 : errno;
}

static int stop_rusage(void *self)
{
    return getrusage(RUSAGE_THREAD, &((struct rusage_counter *)self)->after) == 0 ? 0 : errno;
}

static int read_rusage(void *self, double *count)
{
    const struct rusage_counter *c = self;
    *count = rusage_count(c->event, &c->after) - rusage_count(c->event, &c->before);
    return 0;
}

static void close_rusage(void *self)
{
    (void)self;
}

/* ---- probing ---- */

/* Why a hardware event may be absent for no fault of its own. */
struct hardware {
    char cause[200];
    const char *remedy; /* NULL: the kernel counts cycles */
};

static const char *error_text(int code)
{
    const char *known = code <= 0 ? PAPI_strerror(code) : "not the version of the build";
    return known != NULL ? known : "unknown error";
}

/* Says in reason why this name cannot be used. */
static void complain(struct event *ev, const char *name, const char *what)
{
    const size_t n = strlen(ev->reason);
    snprintf(ev->reason + n, sizeof(ev->reason) - n, "%s%.60s: %s", n > 0 ? "; " : "", name, what);
}

/* Adds, starts and counts one name over the event's known loop. */
static bool prove(int e, const char *name, struct nb_lab *lab)
{
    struct event *ev = &events[e];
    char what[256];
    struct nb_certificate c = {.verdict = NB_CERT_REFUSED};
    c.error = PAPI_event_name_to_code(name, &ev->code);
    if (c.error == PAPI_OK)
        c = certify_papi(&ev->code, 1, 0, nb_proof_of((enum nb_event)e), lab);
    if (nb_certificate_holds(&c) || c.verdict != NB_CERT_REFUSED)
        ev->certificate = c;
    if (nb_certificate_holds(&c))
        return true;
    nb_certificate_text(&c, what, sizeof(what));
    complain(ev, name, c.verdict == NB_CERT_REFUSED ? error_text(c.error) : what);
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
        snprintf(ev->source, sizeof(ev->source), "%.30s (%.60s)", name, native);
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

static void fall_back_to_rusage(int e, const char *name, struct nb_lab *lab)
{
    struct event *ev = &events[e];
    struct rusage_counter r = {.event = e};
    const struct nb_counter counter = {no_step, start_rusage, stop_rusage, read_rusage, close_rusage, &r};
    char what[256];
    const struct nb_certificate c =
        nb_certify(nb_proof_of((enum nb_event)e), &counter, lab, nb_counters_bands());
    nb_certificate_text(&c, what, sizeof(what));
    ev->certificate = c;
    ev->rusage = nb_certificate_holds(&c);
    if (ev->rusage)
        set_source(ev, name);
    else
        complain(ev, name, c.verdict == NB_CERT_REFUSED ? strerror(c.error) : what);
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
static struct hardware why_no_hardware(void)
{
    struct hardware h = {.remedy = NULL};
    const int error = kernel_refuses_cycles();
    const char *said = strerror(error);
    if (error == 0) {
        snprintf(h.cause, sizeof(h.cause), "the kernel counts cycles");
    } else if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP) {
        snprintf(h.cause, sizeof(h.cause),
                 "no PMU is visible here (%s): a virtual machine must be given one, or use bare metal", said);
        h.remedy = "choose an instance type whose guests get a PMU, or bare metal; under libvirt: virsh edit "
                   "GUEST, <features><pmu state='on'/></features>";
    } else if (error == EACCES || error == EPERM) {
        snprintf(h.cause, sizeof(h.cause),
                 "no permission (%s): set kernel.perf_event_paranoid=1 or grant CAP_PERFMON", said);
        h.remedy = "sudo sysctl kernel.perf_event_paranoid=1";
    } else {
        snprintf(h.cause, sizeof(h.cause), "perf_event_open: %s; in a container allow that system call", said);
        h.remedy = "docker run --cap-add PERFMON --security-opt seccomp=FILE, FILE allowing perf_event_open";
    }
    return h;
}

/* An absent event of a PMU that counts lacks a name on this CPU; a file can give it one. */
static void set_remedy(int e, const struct hardware *h)
{
    struct event *ev = &events[e];
    if (is_hardware(e) && h->remedy == NULL)
        snprintf(ev->remedy, sizeof(ev->remedy),
                 "PAPI_CSV_EVENT_FILE=FILE normbench doctor, FILE holding the lines CPU,TABLE and "
                 "PRESET,%s,NOT_DERIVED,EVENT of this CPU (docs/measurement.md, Counters)", chain[e][0]);
    else if (is_hardware(e))
        snprintf(ev->remedy, sizeof(ev->remedy), "%s", h->remedy);
    else if (ev->certificate.verdict == NB_CERT_NO_LOOP)
        snprintf(ev->remedy, sizeof(ev->remedy), "start normbench on two CPUs or more");
    else
        snprintf(ev->remedy, sizeof(ev->remedy), "sudo sysctl kernel.perf_event_paranoid=1");
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
static unsigned group_codes(size_t group, int codes[GROUP_MAX], int event[GROUP_MAX])
{
    unsigned n = 0;
    for (int e = 0; e < NB_EV_COUNT; e++)
        if (nb_counters_in_group(group, (enum nb_event)e) && !events[e].rusage) {
            event[n] = e;
            codes[n++] = events[e].code;
        }
    return n;
}

/* Does everybody keep the certificate when e counts beside what the group already holds? Events beyond the
 * counters of the CPU would start without an error and read 0. */
static bool fits(int e, size_t group, struct nb_lab *lab)
{
    int codes[GROUP_MAX + 1], event[GROUP_MAX + 1];
    unsigned n = group_codes(group, codes, event);
    if (n == GROUP_MAX)
        return false;
    event[n] = e;
    codes[n++] = events[e].code;
    for (unsigned i = n; i-- > 0;) {
        const struct nb_certificate c =
            certify_papi(codes, n, i, nb_proof_of((enum nb_event)event[i]), lab);
        if (!nb_certificate_holds(&c))
            return false;
    }
    return true;
}

/* Hardware and software events apart; those of getrusage ride with the software group. */
static void make_groups(bool hardware, struct nb_lab *lab)
{
    bool any = false;
    for (int e = 0; e < NB_EV_COUNT; e++) {
        if (is_hardware(e) != hardware || events[e].source[0] == '\0')
            continue;
        if (!any || !(events[e].rusage || fits(e, group_count - 1, lab)))
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

static void probe_event(int e, bool papi, const struct hardware *hardware, struct nb_lab *lab)
{
    struct event *ev = &events[e];
    const size_t most = sizeof(chain[e]) / sizeof(*chain[e]);
    for (size_t i = 0; papi && i < most && chain[e][i] != NULL && ev->source[0] == '\0'; i++)
        if (prove(e, chain[e][i], lab))
            set_source(ev, chain[e][i]);
    if (ev->source[0] == '\0' && e == NB_EV_PAGE_FAULTS)
        fall_back_to_rusage(e, "getrusage minflt+majflt", lab);
    else if (ev->source[0] == '\0' && e == NB_EV_CONTEXT_SWITCHES)
        fall_back_to_rusage(e, "getrusage nvcsw+nivcsw", lab);
    if (ev->source[0] != '\0')
        return;
    if (is_hardware(e) || !papi)
        put_first(ev, papi ? hardware->cause : state);
    set_remedy(e, hardware);
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
    struct nb_lab lab = {0};
    int rc = start_library();
    const struct hardware hardware = why_no_hardware();
    if (rc == PAPI_OK)
        describe(hardware.cause);
    else
        snprintf(state, sizeof(state), "PAPI cannot start: %s", error_text(rc));
    for (int e = 0; e < NB_EV_COUNT; e++)
        events[e].group = NO_GROUP;
    for (int e = 0; e < NB_EV_COUNT; e++)
        probe_event(e, rc == PAPI_OK, &hardware, &lab);
    make_groups(true, &lab);
    make_groups(false, &lab);
    for (size_t g = 0; g < group_count; g++)
        measure_cost(g);
    nb_lab_free(&lab);
}

/* PAPI and libpfm write what they dislike to stderr, in part before they can be told not
 * to. */
static void quiet_probe(void)
{
    const char *wish = getenv("NB_PAPI");
    if (wish != NULL && strcmp(wish, "off") == 0) {
        all_absent("switched off by NB_PAPI=off", "unset NB_PAPI");
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
