#define _GNU_SOURCE /* sched_getcpu */

#include "host.h"

#include "conditions.h"
#include "counters.h"
#include "cpu.h"
#include "host_parts.h"
#include "known_loops.h"
#include "sysread.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if __has_include("nb_unit_flags.h")
#include "nb_unit_flags.h"
#define HAVE_UNIT_FLAGS 1
#else
#define HAVE_UNIT_FLAGS 0
#endif
#ifndef NB_VERSION
#define NB_VERSION "unknown"
#endif

/* A JSON object under construction with the reasons of its nulls beside it. A call that
 * runs out of memory is remembered and looked at once, at the end. */
struct facts {
    json_t *root, *unknown;
    bool failed;
};

static void set(struct facts *f, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        f->failed = true;
}

static json_t *child(struct facts *f, const char *key)
{
    set(f, f->root, key, json_object());
    return json_object_get(f->root, key);
}

/* Texts of the system are data: whatever is no plain ASCII becomes a question mark. */
static json_t *text(const char *s)
{
    char clean[1024];
    size_t n = 0;
    for (; s[n] != '\0' && n < sizeof(clean) - 1; n++)
        clean[n] = s[n] >= ' ' && s[n] <= '~' ? s[n] : '?';
    clean[n] = '\0';
    return json_string(clean);
}

/* GROUP.KEY is null, because of what format says. An empty group is the root. */
static void unknown(struct facts *f, const char *group, const char *key,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
static void unknown(struct facts *f, const char *group, const char *key,
                    const char *format, ...)
{
    char path[96], reason[256];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    snprintf(path, sizeof(path), "%s%s%s", group, *group != '\0' ? "." : "", key);
    set(f, *group != '\0' ? json_object_get(f->root, group) : f->root, key, json_null());
    set(f, f->unknown, path, text(reason));
}

/* Zero stands for "not known" in struct nb_topology. */
static void size_or_unknown(struct facts *f, const char *group, const char *key,
                            size_t value, const char *reason)
{
    if (value == 0)
        unknown(f, group, key, "%s", reason);
    else
        set(f, *group != '\0' ? json_object_get(f->root, group) : f->root, key,
            json_integer((json_int_t)value));
}

static bool begin(struct facts *f)
{
    f->root = json_object();
    f->unknown = json_object();
    f->failed = f->root == NULL || f->unknown == NULL;
    return !f->failed;
}

/* The finished object, or NULL when memory was short. */
static json_t *finish(struct facts *f)
{
    if (!f->failed)
        set(f, f->root, "unknown", json_incref(f->unknown));
    json_decref(f->unknown);
    if (!f->failed)
        return f->root;
    json_decref(f->root);
    return NULL;
}

/* ---- files of the system ---- */

static void line_fact(struct facts *f, const char *group, const char *key,
                      const char *path)
{
    char line[256];
    int error = nb_read_line(path, line, sizeof(line));
    if (error != 0)
        unknown(f, group, key, "%s: %s", path, strerror(error));
    else
        set(f, json_object_get(f->root, group), key, text(line));
}

static void number_fact(struct facts *f, const char *group, const char *key,
                        const char *path)
{
    char line[64], *end = line;
    int error = nb_read_line(path, line, sizeof(line));
    long value = error == 0 ? strtol(line, &end, 10) : 0;
    if (error != 0)
        unknown(f, group, key, "%s: %s", path, strerror(error));
    else if (end == line)
        unknown(f, group, key, "%s: holds no number", path);
    else
        set(f, json_object_get(f->root, group), key, json_integer(value));
}

static void cpuinfo_fact(struct facts *f, const char *key, const char *name)
{
    char value[256];
    if (nb_read_key("/proc/cpuinfo", name, value, sizeof(value)) != 0)
        unknown(f, "cpu", key, "/proc/cpuinfo has no '%s' on this system", name);
    else
        set(f, json_object_get(f->root, "cpu"), key, text(value));
}

int nb_host_choice(const char *path, char *word, size_t len)
{
    char line[128];
    int error = nb_read_line(path, line, sizeof(line));
    if (error != 0)
        return error;
    char *open = strchr(line, '['), *close = open != NULL ? strchr(open, ']') : NULL;
    if (close != NULL)
        *close = '\0';
    snprintf(word, len, "%s", close != NULL ? open + 1 : line);
    return 0;
}

static void choice_fact(struct facts *f, const char *key, const char *path)
{
    char word[128];
    int error = nb_host_choice(path, word, sizeof(word));
    if (error != 0)
        unknown(f, "settings", key, "%s: %s", path, strerror(error));
    else
        set(f, json_object_get(f->root, "settings"), key, text(word));
}

/* ---- the machine ---- */

/* Arm's /proc/cpuinfo has codes instead of names. */
#if defined(__x86_64__)
#define KEY_VENDOR "vendor_id"
#define KEY_FAMILY "cpu family"
#define KEY_MODEL "model"
#define KEY_STEPPING "stepping"
#else
#define KEY_VENDOR "CPU implementer"
#define KEY_FAMILY "CPU architecture"
#define KEY_MODEL "CPU part"
#define KEY_STEPPING "CPU revision"
#endif

const char *nb_host_cpu_model(void)
{
    static char model[256];
    char part[64];
    if (model[0] != '\0')
        return model;
    if (nb_read_key("/proc/cpuinfo", "model name", model, sizeof(model)) == 0 ||
        nb_read_line("/proc/device-tree/model", model, sizeof(model)) == 0)
        return model;
    if (nb_read_key("/proc/cpuinfo", KEY_VENDOR, model, 64) == 0 &&
        nb_read_key("/proc/cpuinfo", KEY_MODEL, part, sizeof(part)) == 0) {
        size_t n = strlen(model);
        snprintf(model + n, sizeof(model) - n, " part %s", part);
    } else {
        snprintf(model, sizeof(model), "unknown");
    }
    return model;
}

static void cpu_facts(struct facts *f)
{
    json_t *cpu = child(f, "cpu");
    if (strcmp(nb_host_cpu_model(), "unknown") == 0)
        unknown(f, "cpu", "model", "neither /proc/cpuinfo nor the device tree names it");
    else
        set(f, cpu, "model", text(nb_host_cpu_model()));
    cpuinfo_fact(f, "vendor", KEY_VENDOR);
    cpuinfo_fact(f, "family", KEY_FAMILY);
    cpuinfo_fact(f, "model_number", KEY_MODEL);
    cpuinfo_fact(f, "stepping", KEY_STEPPING);
    cpuinfo_fact(f, "microcode", "microcode");
}

static void cache_facts(struct facts *f, const struct nb_topology *t)
{
    json_t *caches = child(f, "caches");
    const char *none = "hwloc finds no such cache on this system";
    size_or_unknown(f, "caches", "l1d", t->l1d, none);
    size_or_unknown(f, "caches", "l2", t->l2, none);
    size_or_unknown(f, "caches", "l3", t->l3, none);
    const long line = sysconf(_SC_LEVEL1_DCACHE_LINESIZE);
    size_or_unknown(f, "caches", "line", line > 0 ? (size_t)line : 0, "sysconf does not tell");
    set(f, caches, "l2_cores", json_integer(t->l2_cores));
    set(f, caches, "l3_cores", json_integer(t->l3_cores));
}

static void topology_facts(struct facts *f, const struct nb_topology *t)
{
    json_t *o = child(f, "topology");
    char cpuset[400];
    set(f, o, "cores", json_integer(t->cores));
    set(f, o, "cpus", json_integer(t->cpus));
    set(f, o, "smt", json_integer(t->smt));
    set(f, o, "numa_nodes", json_integer(t->numa_nodes));
    nb_topology_cpuset(t, cpuset, sizeof(cpuset));
    set(f, o, "cpuset", text(cpuset));
}

static void os_facts(struct facts *f)
{
    json_t *os = child(f, "os");
    struct utsname u;
    char name[256];
    if (uname(&u) != 0)
        unknown(f, "os", "kernel", "uname: %s", strerror(errno));
    else
        set(f, os, "kernel", text(u.release));
    if (nb_read_key("/etc/os-release", "PRETTY_NAME", name, sizeof(name)) != 0) {
        unknown(f, "os", "distribution", "/etc/os-release has no PRETTY_NAME");
        return;
    }
    size_t n = strlen(name);
    bool quoted = n >= 2 && name[0] == '"' && name[n - 1] == '"';
    if (quoted)
        name[n - 1] = '\0';
    set(f, os, "distribution", text(name + quoted));
}

/* ---- settings ---- */

int nb_host_boost(const char *root)
{
    char path[1024], line[16];
    snprintf(path, sizeof(path), "%s" NB_CPU_DIR "/intel_pstate/no_turbo", root);
    if (nb_read_line(path, line, sizeof(line)) == 0)
        return line[0] == '0';
    snprintf(path, sizeof(path), "%s" NB_CPU_DIR "/cpufreq/boost", root);
    if (nb_read_line(path, line, sizeof(line)) == 0)
        return line[0] != '0';
    return -1;
}

#if defined(__x86_64__)
const char *nb_host_hypervisor(void)
{
    static char vendor[13];
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return NULL;
    if ((c & (1u << 31)) == 0) /* "a hypervisor is present" */
        return "none";
    __cpuid(0x40000000, a, b, c, d);
    memcpy(vendor, &b, 4);
    memcpy(vendor + 4, &c, 4);
    memcpy(vendor + 8, &d, 4);
    for (int i = 0; i < 12; i++)
        if (vendor[i] != '\0' && (vendor[i] < ' ' || vendor[i] > '~'))
            vendor[i] = '?';
    return vendor[0] != '\0' ? vendor : "unnamed";
}
#else
const char *nb_host_hypervisor(void)
{
    static char vendor[64];
    static const char *const guests[] = {"QEMU",   "Xen",       "Amazon EC2",
                                         "VMware", "Microsoft", "Google"};
    if (nb_read_line("/proc/device-tree/hypervisor/compatible", vendor, sizeof(vendor)) ==
            0 ||
        nb_read_line("/sys/hypervisor/type", vendor, sizeof(vendor)) == 0)
        return vendor;
    if (nb_read_line("/sys/class/dmi/id/sys_vendor", vendor, sizeof(vendor)) == 0)
        for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++)
            if (strncmp(vendor, guests[i], strlen(guests[i])) == 0)
                return vendor;
    return NULL; /* nothing that says so is no proof of bare metal */
}
#endif

/* One word for all our cores: they are to be alike. */
static void governor_fact(struct facts *f, const struct nb_topology *t)
{
    char all[160] = "", one[64], path[128];
    for (unsigned i = 0; i < t->cores; i++) {
        snprintf(path, sizeof(path), NB_CPU_DIR "/cpu%u/cpufreq/scaling_governor",
                 nb_topology_cpu(t, i));
        int error = nb_read_line(path, one, sizeof(one));
        if (error != 0) {
            unknown(f, "settings", "governor", "%s: %s", path, strerror(error));
            return;
        }
        size_t n = strlen(all);
        if (n == 0 || strstr(all, one) == NULL)
            snprintf(all + n, sizeof(all) - n, "%s%s", n > 0 ? "," : "", one);
    }
    set(f, json_object_get(f->root, "settings"), "governor", text(all));
}

static void quota_fact(struct facts *f, json_t *settings)
{
    double cpus = nb_cgroup_cpus("");
    if (cpus < 0)
        unknown(f, "settings", "cpu_quota",
                "no cgroup with a cpu controller can be read");
    else
        set(f, settings, "cpu_quota", cpus > 0 ? json_real(cpus) : json_string("none"));
}

static void settings_facts(struct facts *f, const struct nb_topology *t)
{
    json_t *s = child(f, "settings");
    int boost = nb_host_boost("");
    const char *hypervisor = nb_host_hypervisor();
    governor_fact(f, t);
    if (boost < 0)
        unknown(f, "settings", "boost",
                "neither intel_pstate/no_turbo nor cpufreq/boost exists");
    else
        set(f, s, "boost", json_boolean(boost));
    if (hypervisor == NULL)
        unknown(f, "settings", "hypervisor", "neither device tree nor DMI tells");
    else
        set(f, s, "hypervisor", text(hypervisor));
    quota_fact(f, s);
    number_fact(f, "settings", "smt_active", NB_CPU_DIR "/smt/active");
    choice_fact(f, "thp", NB_THP_DIR "/enabled");
    choice_fact(f, "thp_defrag", NB_THP_DIR "/defrag");
    number_fact(f, "settings", "paranoid", "/proc/sys/kernel/perf_event_paranoid");
    number_fact(f, "settings", "aslr", "/proc/sys/kernel/randomize_va_space");
    number_fact(f, "settings", "nmi_watchdog", "/proc/sys/kernel/nmi_watchdog");
    line_fact(f, "settings", "clocksource",
              "/sys/devices/system/clocksource/clocksource0/current_clocksource");
}

/* ---- the program ---- */

static void units_fact(struct facts *f)
{
#if HAVE_UNIT_FLAGS
    json_t *units = child(f, "units");
    for (size_t i = 0; i < sizeof(nb_unit_flags) / sizeof(nb_unit_flags[0]); i++)
        if (nb_unit_flags[i][0] != NULL)
            set(f, units, nb_unit_flags[i][0], text(nb_unit_flags[i][1]));
#else
    unknown(f, "", "units", "the build wrote no list of its units' flags");
#endif
}

const char *nb_host_unit_flags(size_t i)
{
#if HAVE_UNIT_FLAGS
    if (i < sizeof(nb_unit_flags) / sizeof(nb_unit_flags[0]))
        return nb_unit_flags[i][1];
#endif
    (void)i;
    return NULL;
}

/* Of the running program's file. */
static void binary_fact(struct facts *f)
{
    char hex[17];
    const int error = nb_file_hash("/proc/self/exe", hex);
    if (error == 0)
        set(f, f->root, "binary", json_string(hex));
    else
        unknown(f, "", "binary", "/proc/self/exe: %s", strerror(error));
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A reading of both clocks at one moment: the tightest of a few, since an interrupt
 * between the two would put them apart. */
static void both_clocks(double *s, uint64_t *ticks)
{
    double tightest = 1e9;
    for (int i = 0; i < 16; i++) {
        double a = seconds(CLOCK_MONOTONIC_RAW);
        uint64_t now = nb_cpu_ticks();
        double b = seconds(CLOCK_MONOTONIC_RAW);
        if (b - a < tightest) {
            tightest = b - a;
            *s = (a + b) / 2;
            *ticks = now;
        }
    }
}

static void tsc_fact(struct facts *f)
{
    const struct timespec wait = {0, 20000000};
    double s0 = 0, s1 = 0;
    uint64_t t0 = 0, t1 = 0;
    both_clocks(&s0, &t0);
    nanosleep(&wait, NULL);
    both_clocks(&s1, &t1);
    if (t0 == 0 || t1 <= t0 || s1 <= s0)
        unknown(f, "", "tsc_hz", "no cycle-like counter can be read by a program here");
    else
        set(f, f->root, "tsc_hz", json_real((double)(t1 - t0) / (s1 - s0)));
}

static void real_if_known(struct facts *f, json_t *o, const char *key, double v)
{
    if (isfinite(v))
        set(f, o, key, json_real(v));
}

/* What is not known of it is left out. */
static json_t *certificate_fact(struct facts *f, const struct nb_certificate *c)
{
    json_t *o = json_object();
    set(f, o, "verdict", text(nb_certificate_word(c->verdict)));
    set(f, o, "loop", text(c->loop));
    real_if_known(f, o, "expected", c->expected);
    real_if_known(f, o, "seen", c->seen);
    set(f, o, "lo", json_real(c->lo));
    set(f, o, "hi", json_real(c->hi));
    if (c->control_loop != NULL)
        set(f, o, "control_loop", text(c->control_loop));
    real_if_known(f, o, "control", c->control);
    return o;
}

static json_t *event_fact(struct facts *f, enum nb_event e)
{
    const struct nb_certificate *c = nb_counters_certificate(e);
    json_t *one = json_object();
    if (nb_counters_available(e)) {
        set(f, one, "source", text(nb_counters_source(e)));
    } else {
        set(f, one, "reason", text(nb_counters_reason(e)));
        set(f, one, "remedy", text(nb_counters_remedy(e)));
    }
    if (c->verdict != NB_CERT_UNTRIED)
        set(f, one, "certificate", certificate_fact(f, c));
    return one;
}

static void papi_facts(struct facts *f, json_t *papi)
{
    nb_counters_init();
    set(f, papi, "state", text(nb_counters_state()));
    set(f, papi, "bands", text(nb_counters_bands() ? "hold" : "off"));
    set(f, papi, "loops", text(nb_known_loops_kind()));
    set(f, papi, "events", json_object());
    json_t *events = json_object_get(papi, "events");
    for (int i = 0; i < NB_EV_COUNT; i++)
        set(f, events, nb_event_name((enum nb_event)i), event_fact(f, (enum nb_event)i));
}

static void program_facts(struct facts *f)
{
#if defined(__clang__)
    set(f, f->root, "compiler", text("clang " __VERSION__));
#else
    set(f, f->root, "compiler", text("gcc " __VERSION__));
#endif
    set(f, f->root, "version", text(NB_VERSION));
    if (strcmp(nb_host_git(), "unknown") == 0)
        unknown(f, "", "git", "built outside a git work tree with a commit");
    else
        set(f, f->root, "git", text(nb_host_git()));
    if (nb_host_kernel_sources() == NULL)
        unknown(f, "", "kernel_sources", "the build wrote no hash of them");
    else
        set(f, f->root, "kernel_sources", text(nb_host_kernel_sources()));
    units_fact(f);
    binary_fact(f);
}

json_t *nb_host_papi(void)
{
    struct facts f;
    if (!begin(&f))
        return finish(&f);
    papi_facts(&f, f.root);
    json_t *all = finish(&f);
    json_object_del(all, "unknown"); /* nothing in it is null */
    return all;
}

json_t *nb_host_cpu(void)
{
    struct facts f;
    if (!begin(&f))
        return finish(&f);
    cpu_facts(&f);
    json_t *all = finish(&f), *cpu = json_incref(json_object_get(all, "cpu"));
    json_decref(all);
    return cpu;
}

json_t *nb_host_facts(const struct nb_topology *t)
{
    struct facts f;
    char name[256] = "";
    if (!begin(&f))
        return finish(&f);
    set(&f, f.root, "schema", json_integer(1));
    if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
        unknown(&f, "", "host", "gethostname: %s", strerror(errno));
    else
        set(&f, f.root, "host", text(name));
    cpu_facts(&f);
    cache_facts(&f, t);
    topology_facts(&f, t);
    size_or_unknown(&f, "", "memory", t->memory, "sysconf does not tell");
    os_facts(&f);
    settings_facts(&f, t);
    program_facts(&f);
    tsc_fact(&f);
    papi_facts(&f, child(&f, "papi"));
    return finish(&f);
}

/* ---- two machines ---- */

const char *nb_host_differs(const json_t *a, const json_t *b)
{
    static const char *const facts[][2] = {
        {"host", "host name"}, {"cpu", "CPU"}, {"topology", "number or set of cores"}, {"caches", "set of caches"}};
    if (!json_is_string(json_object_get(a, "host")))
        return facts[0][1];
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        if (!json_equal(json_object_get(a, facts[i][0]), json_object_get(b, facts[i][0])))
            return facts[i][1];
    return NULL;
}

/* ---- moments ---- */

static void time_fact(struct facts *f)
{
    char utc[32];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(utc, sizeof(utc), "%Y-%m-%dT%H:%M:%SZ", &tm);
    set(f, f->root, "time", json_string(utc));
}

static void load_fact(struct facts *f)
{
    double load[3];
    if (getloadavg(load, 3) == 3)
        set(f, f->root, "load", json_pack("[f,f,f]", load[0], load[1], load[2]));
    else
        unknown(f, "", "load", "getloadavg fails");
}

static void jiffies_fact(struct facts *f)
{
    const int all = -1;
    struct nb_jiffies j;
    if (nb_read_jiffies("", &all, 1, &j) != 0) {
        unknown(f, "", "steal_jiffies", "/proc/stat does not tell");
        unknown(f, "", "total_jiffies", "/proc/stat does not tell");
        return;
    }
    set(f, f->root, "steal_jiffies", json_integer((json_int_t)j.steal));
    set(f, f->root, "total_jiffies", json_integer((json_int_t)j.total));
}

/* /proc/cpuinfo's "cpu MHz" is a nominal figure in guests: no stand-in for a reading. */
static void clock_fact(struct facts *f)
{
    char line[64];
    int cpu = sched_getcpu();
    char path[128];
    snprintf(path, sizeof(path), NB_CPU_DIR "/cpu%d/cpufreq/scaling_cur_freq",
             cpu >= 0 ? cpu : 0);
    int error = nb_read_line(path, line, sizeof(line));
    if (error != 0)
        unknown(f, "", "cpu_mhz", "%s: %s", path, strerror(error));
    else
        set(f, f->root, "cpu_mhz", json_real(strtod(line, NULL) / 1000));
}

/* Adds a microsecond in a chain of which each waits for the last. */
static void chain_fact(struct facts *f)
{
    const double ns = nb_chain_ns(5);
    if (ns > 0)
        set(f, f->root, "adds_per_us", json_real(1e3 * NB_CHAIN_ADDS / ns));
    else
        unknown(f, "", "adds_per_us", "the clock did not move");
}

static void free_memory_fact(struct facts *f)
{
    char value[64];
    if (nb_read_key("/proc/meminfo", "MemAvailable", value, sizeof(value)) != 0)
        unknown(f, "", "memory_free", "/proc/meminfo has no MemAvailable");
    else
        set(f, f->root, "memory_free", json_integer(strtoll(value, NULL, 10) * 1024));
}

json_t *nb_host_moment(void)
{
    struct facts f;
    if (!begin(&f))
        return finish(&f);
    time_fact(&f);
    load_fact(&f);
    jiffies_fact(&f);
    clock_fact(&f);
    chain_fact(&f);
    free_memory_fact(&f);
    return finish(&f);
}
