/* host_test: topology, binding, CPU locks, host facts, doctor and counters.
 *
 * What depends on the environment from the start of a process (PAPI, its preset file) is
 * tested by running this program again with a mode as its argument; a mode answers with
 * its exit status. */
#define _GNU_SOURCE

#include "conditions.h"
#include "counters.h"
#include "cpu.h"
#include "host.h"
#include "refuse.h"
#include "sysread.h"
#include "topology.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SYNTHETIC "pack:1 l3:2(size=33554432) l2:4(size=1048576) core:1 pu:2"

static char folder[64]; /* of this run's files */

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *content)
{
    FILE *f = fopen(in_folder(name), "w");
    assert_non_null(f);
    fputs(content, f);
    assert_int_equal(fclose(f), 0);
}

static void make_folders(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s", in_folder(name));
    for (char *p = path + strlen(folder) + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
        *p = '\0';
        mkdir(path, 0755);
    }
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static struct nb_topology load(void)
{
    struct nb_topology t;
    struct nb_err err = {""};
    if (nb_topology_load(&t, &err) != NB_OK)
        fail_msg("%s", err.text);
    return t;
}

/* Exit status of a child process; -1: it did not end by itself. */
static int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_mode(const char *mode, const char *variable, const char *value)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv(variable, value, 1);
        execl("/proc/self/exe", "host_test", mode, (char *)NULL);
        _exit(127);
    }
    return wait_for(child);
}

/* ---- topology ---- */

static void topology_names_our_cpus(void **state)
{
    (void)state;
    struct nb_topology t = load();
    cpu_set_t ours, named;
    CPU_ZERO(&named);
    assert_int_equal(sched_getaffinity(0, sizeof(ours), &ours), 0);
    assert_true(t.cores >= 1 && t.cores <= t.cpus && t.smt >= 1 && t.numa_nodes >= 1);
    assert_int_equal(t.cpus, CPU_COUNT(&ours));
    assert_true(t.l2_cores >= 1 && t.l3_cores >= 1 && t.l3_cores <= t.cores);
    for (unsigned i = 0; i < t.cores; i++) {
        assert_true(CPU_ISSET(nb_topology_cpu(&t, i), &ours));
        CPU_SET(nb_topology_cpu(&t, i), &named);
    }
    assert_int_equal(CPU_COUNT(&named), t.cores);
    assert_true(t.memory > 0);
    assert_true(t.memory <=
                (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE));
    size_t llc = nb_topology_llc(&t, t.cores);
    assert_true(llc >= t.l1d && llc >= t.l2 && llc >= t.l3);
    nb_topology_free(&t);
}

static void topology_keeps_to_the_affinity(void **state)
{
    (void)state;
    struct nb_topology all = load();
    unsigned last = nb_topology_cpu(&all, all.cores - 1);
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    struct nb_topology t = load();
    char text[16], want[16];
    nb_topology_cpuset(&t, text, sizeof(text));
    snprintf(want, sizeof(want), "%u", last);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(t.cores, 1);
    assert_int_equal(t.cpus, 1);
    assert_int_equal(t.l3_cores, 1);
    assert_int_equal(t.smt, all.smt);
    assert_int_equal(nb_topology_cpu(&t, 0), last);
    assert_string_equal(text, want);
    nb_topology_free(&t);
    nb_topology_free(&all);
}

/* A machine with known caches: 2 L3 of 4 cores each, no L1 described. */
static void topology_counts_what_shares_a_cache(void **state)
{
    (void)state;
    struct nb_err err = {""};
    setenv("HWLOC_SYNTHETIC", SYNTHETIC, 1);
    struct nb_topology t = load();
    unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(t.cores, 8);
    assert_int_equal(t.cpus, 16);
    assert_int_equal(t.smt, 2);
    assert_int_equal(t.l1d, 0);
    assert_int_equal(t.l2, 1 << 20);
    assert_int_equal(t.l3, 32 << 20);
    assert_int_equal(t.l2_cores, 1);
    assert_int_equal(t.l3_cores, 4);
    assert_int_equal(nb_topology_llc(&t, 4), 32 << 20);
    assert_int_equal(nb_topology_llc(&t, 5), 64 << 20); /* threads on both L3s */
    assert_int_equal(nb_topology_cpu(&t, 3), 6); /* the first of two threads of core 3 */
    assert_int_equal(nb_topology_bind(&t, 0, &err), NB_ERROR);
    assert_non_null(strstr(err.text, "HWLOC_SYNTHETIC"));
    nb_topology_free(&t);
}

static void bind_puts_the_thread_there(void **state)
{
    (void)state;
    struct nb_topology t = load();
    cpu_set_t before, now;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    for (unsigned i = t.cores; i-- > 0;) {
        struct nb_err err = {""};
        if (nb_topology_bind(&t, i, &err) != NB_OK)
            fail_msg("%s", err.text);
        assert_int_equal(sched_getcpu(), nb_topology_cpu(&t, i));
        assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
        assert_int_equal(CPU_COUNT(&now), 1);
        assert_true(CPU_ISSET(nb_topology_cpu(&t, i), &now));
    }
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    nb_topology_free(&t);
}

/* ---- locks ---- */

/* Eight cores to lock, whatever this machine has: a lock is only a file. */
static struct nb_topology eight_cores(void)
{
    setenv("HWLOC_SYNTHETIC", SYNTHETIC, 1);
    struct nb_topology t = load();
    unsetenv("HWLOC_SYNTHETIC");
    return t;
}

static void fresh_locks(const char *name)
{
    make_folders(name);
    setenv("NB_LOCK_DIR", in_folder(name), 1);
}

/* A child that takes the first n locks, says so and keeps them until it is told to end.
 */
struct holder {
    pid_t pid;
    int tell;
};
static struct holder hold(const struct nb_topology *t, unsigned n)
{
    int said[2], told[2];
    char byte = 0;
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    struct holder h = {.pid = fork(), .tell = told[1]};
    assert_true(h.pid >= 0);
    if (h.pid == 0) {
        struct nb_cpulock lock;
        struct nb_err err;
        close(told[1]);
        byte = nb_cpulock_take(t, n, &lock, &err) == NB_OK;
        if (write(said[1], &byte, 1) == 1 && read(told[0], &byte, 1) == 0)
            _exit(0);
        _exit(1);
    }
    close(said[1]);
    close(told[0]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    close(said[0]);
    assert_int_equal(byte, 1);
    return h;
}

static void let_go(struct holder h)
{
    close(h.tell);
    assert_int_equal(wait_for(h.pid), 0);
}

static void second_run_is_told_who_holds_the_cpu(void **state)
{
    (void)state;
    struct nb_topology t = eight_cores();
    struct nb_cpulock lock;
    struct nb_err err = {""};
    char want[200];
    fresh_locks("twice");
    struct holder h = hold(&t, 1);
    assert_int_equal(nb_cpulock_take(&t, 3, &lock, &err), NB_ERROR);
    snprintf(want, sizeof(want),
             "CPU 0 is in use by another normbench run (pid %ld); wait for it to end or "
             "choose "
             "other cores with taskset",
             (long)h.pid);
    assert_string_equal(err.text, want);
    let_go(h); /* its files stay, stale */
    assert_int_equal(nb_cpulock_take(&t, 3, &lock, &err), NB_OK);
    assert_int_equal(lock.count, 3);
    nb_cpulock_release(&lock);
    nb_topology_free(&t);
}

static void refused_run_keeps_no_lock(void **state)
{
    (void)state;
    struct nb_topology t = eight_cores();
    struct nb_cpulock lock;
    struct nb_err err = {""};
    fresh_locks("partial");
    assert_int_equal(symlink("elsewhere", in_folder("partial/normbench-cpu2.lock")), 0);
    assert_int_equal(nb_cpulock_take(&t, 2, &lock, &err), NB_ERROR); /* CPUs 0 and 2 */
    let_go(hold(&t, 1));                                             /* CPU 0 is free */
    nb_topology_free(&t);
}

static void expect_refusal(const struct nb_topology *t, const char *words)
{
    struct nb_cpulock lock;
    struct nb_err err = {""};
    assert_int_equal(nb_cpulock_take(t, 1, &lock, &err), NB_ERROR);
    if (strstr(err.text, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void lock_never_writes_through_links(void **state)
{
    (void)state;
    struct nb_topology t = eight_cores();
    char lock[256], victim[256], text[32];
    fresh_locks("links");
    snprintf(lock, sizeof(lock), "%s", in_folder("links/normbench-cpu0.lock"));
    snprintf(victim, sizeof(victim), "%s", in_folder("victim"));
    write_file("victim", "precious\n");
    assert_int_equal(symlink(victim, lock), 0);
    expect_refusal(&t, "symbolic link");
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(link(victim, lock), 0);
    expect_refusal(&t, "no plain file");
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(mkfifo(lock, 0666), 0);
    expect_refusal(&t, "no plain file");
    assert_int_equal(nb_read_line(victim, text, sizeof(text)), 0);
    assert_string_equal(text, "precious");
    nb_topology_free(&t);
}

/* A lock file that cannot be opened for writing still locks. Root may write everything,
 * so this part runs as another user there. */
static void read_only_lock_still_locks(void **state)
{
    (void)state;
    struct nb_topology t = eight_cores();
    fresh_locks("readonly");
    write_file("readonly/normbench-cpu0.lock", "1\n");
    assert_int_equal(chmod(in_folder("readonly/normbench-cpu0.lock"), 0444), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct nb_cpulock lock;
        struct nb_err err;
        if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0))
            _exit(9);
        if (open(in_folder("readonly/normbench-cpu0.lock"), O_RDWR | O_CLOEXEC) >= 0)
            _exit(8);
        _exit(nb_cpulock_take(&t, 1, &lock, &err) == NB_OK ? 0 : 1);
    }
    assert_int_equal(wait_for(child), 0);
    nb_topology_free(&t);
}

/* ---- cgroups ---- */

static void limits_of_cgroup_v2(void **state)
{
    (void)state;
    make_folders("v2/proc/self");
    make_folders("v2/cg/a/b");
    write_file("v2/proc/self/cgroup", "0::/a/b\n");
    write_file("v2/proc/self/mountinfo",
               "31 23 0:28 / /cg rw,relatime - cgroup2 cgroup2 rw\n");
    char root[256];
    snprintf(root, sizeof(root), "%s", in_folder("v2"));
    assert_true(nb_cgroup_memory(root) == SIZE_MAX);
    assert_true(nb_cgroup_cpus(root) == 0);
    write_file("v2/cg/a/b/memory.max", "max\n");
    write_file("v2/cg/a/memory.max", "1048576\n"); /* a limit above us holds for us */
    write_file("v2/cg/a/b/cpu.max", "150000 100000\n");
    write_file("v2/cg/a/cpu.max", "max 100000\n");
    assert_true(nb_cgroup_memory(root) == 1048576);
    assert_true(nb_cgroup_cpus(root) == 1.5);
}

static void limits_of_cgroup_v1_in_a_container(void **state)
{
    (void)state;
    make_folders("v1/proc/self");
    make_folders("v1/mem");
    make_folders("v1/cpu/inner");
    write_file("v1/proc/self/cgroup",
               "4:memory:/docker/x\n3:cpuacct,cpu:/docker/x/inner\n0::/\n");
    write_file("v1/proc/self/mountinfo",
               "35 31 0:32 /docker/x /mem rw - cgroup cgroup rw,memory\n"
               "32 31 0:29 /docker/x /cpu rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
               "41 31 0:38 / /unified rw - cgroup2 cgroup2 rw\n");
    write_file("v1/mem/memory.limit_in_bytes", "2097152\n");
    write_file("v1/cpu/inner/cpu.cfs_quota_us", "50000\n");
    write_file("v1/cpu/inner/cpu.cfs_period_us", "100000\n");
    write_file("v1/cpu/cpu.cfs_quota_us", "-1\n");
    write_file("v1/cpu/cpu.cfs_period_us", "100000\n");
    char root[256];
    snprintf(root, sizeof(root), "%s", in_folder("v1"));
    assert_true(nb_cgroup_memory(root) == 2097152);
    assert_true(nb_cgroup_cpus(root) == 0.5);
    assert_true(nb_cgroup_cpus(in_folder("nowhere")) < 0);
}

/* ---- facts ---- */

static const char *const documented[] = {
    "schema", "cpu", "caches",  "topology", "memory", "os",      "settings", "compiler",
    "units",  "git", "version", "papi",     "tsc_hz", "unknown", "host",     "binary",
    "kernel_sources",
};
static const char *const documented_below[][2] = {
    {"cpu", "model"},           {"cpu", "vendor"},         {"cpu", "family"},
    {"cpu", "model_number"},    {"cpu", "stepping"},       {"cpu", "microcode"},
    {"caches", "l1d"},          {"caches", "l2"},          {"caches", "l3"},
    {"topology", "cores"},      {"topology", "cpus"},      {"topology", "smt"},
    {"topology", "numa_nodes"}, {"topology", "cpuset"},    {"os", "kernel"},
    {"os", "distribution"},     {"settings", "governor"},  {"settings", "boost"},
    {"settings", "smt_active"}, {"settings", "thp"},       {"settings", "thp_defrag"},
    {"settings", "paranoid"},   {"settings", "aslr"},      {"settings", "nmi_watchdog"},
    {"settings", "hypervisor"}, {"settings", "cpu_quota"}, {"settings", "clocksource"},
    {"papi", "state"},          {"papi", "events"},        {"papi", "bands"},
    {"papi", "loops"},          {"caches", "line"},
};

/* Nulls of object and of the objects in it, each with a reason; returns their number. */
static size_t nulls_with_reason(json_t *object, const char *above, const json_t *unknown)
{
    const char *key;
    json_t *value;
    size_t nulls = 0;
    json_object_foreach(object, key, value)
    {
        char path[128];
        snprintf(path, sizeof(path), "%s%s%s", above, *above != '\0' ? "." : "", key);
        if (json_is_object(value) && value != unknown)
            nulls += nulls_with_reason(value, path, unknown);
        if (!json_is_null(value))
            continue;
        const char *reason = json_string_value(json_object_get(unknown, path));
        if (reason == NULL || *reason == '\0')
            fail_msg("%s is null without a reason", path);
        nulls++;
    }
    return nulls;
}

static json_t *strictly_again(json_t *o)
{
    json_error_t error;
    assert_non_null(o);
    char *text = json_dumps(o, 0); /* refuses NaN and Infinity */
    assert_non_null(text);
    json_t *again = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (again == NULL)
        fail_msg("%s", error.text);
    assert_true(json_equal(o, again));
    free(text);
    return again;
}

static void facts_hold_every_documented_key(void **state)
{
    (void)state;
    struct nb_topology t = load();
    json_t *facts = nb_host_facts(&t), *again = strictly_again(facts);
    const json_t *unknown = json_object_get(facts, "unknown");
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++)
        if (json_object_get(facts, documented[i]) == NULL)
            fail_msg("no %s", documented[i]);
    for (size_t i = 0; i < sizeof(documented_below) / sizeof(documented_below[0]); i++)
        if (json_object_get(json_object_get(facts, documented_below[i][0]),
                            documented_below[i][1]) == NULL)
            fail_msg("no %s.%s", documented_below[i][0], documented_below[i][1]);
    assert_int_equal(nulls_with_reason(facts, "", unknown), json_object_size(unknown));
    assert_null(json_object_get(facts, "before"));
    assert_null(json_object_get(facts, "after"));
    json_decref(facts);
    json_decref(again);
    nb_topology_free(&t);
}

static uint64_t fnv1a(const char *path)
{
    uint64_t hash = 14695981039346656037u;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;) {
        hash ^= (unsigned)c;
        hash *= 1099511628211u;
    }
    fclose(f);
    return hash;
}

static double ticks_per_second(void)
{
    struct timespec a, b, wait = {0, 50000000};
    clock_gettime(CLOCK_MONOTONIC_RAW, &a);
    uint64_t from = nb_cpu_ticks();
    nanosleep(&wait, NULL);
    clock_gettime(CLOCK_MONOTONIC_RAW, &b);
    double ticks = (double)(nb_cpu_ticks() - from);
    return ticks /
           ((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
}

static void facts_agree_with_other_sources(void **state)
{
    (void)state;
    struct nb_topology t = load();
    json_t *facts = nb_host_facts(&t);
    struct utsname u;
    char hash[17];
    assert_int_equal(uname(&u), 0);
    const json_t *kernel = json_object_get(json_object_get(facts, "os"), "kernel");
    assert_string_equal(json_string_value(kernel), u.release);
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)fnv1a("/proc/self/exe"));
    assert_string_equal(json_string_value(json_object_get(facts, "binary")), hash);
    assert_non_null(
        strstr(json_string_value(json_object_get(facts, "compiler")), __VERSION__));
    json_t *tsc = json_object_get(facts, "tsc_hz");
    assert_int_equal(json_is_null(tsc), nb_cpu_ticks() == 0);
    bool agree = json_is_null(tsc);
    for (int i = 0; i < 5 && !agree; i++) /* preempted between two readings: again */
        agree = fabs(json_real_value(tsc) / ticks_per_second() - 1) < 0.01;
    assert_true(agree);
    json_decref(facts);
    nb_topology_free(&t);
}

static void moment_says_when(void **state)
{
    (void)state;
    static const char *const keys[] = {"time",          "load",    "steal_jiffies",
                                       "total_jiffies", "cpu_mhz", "adds_per_us",
                                       "memory_free"};
    json_t *moment = nb_host_moment(), *again = strictly_again(moment);
    const json_t *unknown = json_object_get(moment, "unknown");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (json_object_get(moment, keys[i]) == NULL)
            fail_msg("no %s", keys[i]);
    assert_int_equal(nulls_with_reason(moment, "", unknown), json_object_size(unknown));
    int year, month, day, hour, minute, second;
    assert_int_equal(sscanf(json_string_value(json_object_get(moment, "time")),
                            "%d-%d-%dT%d:%d:%dZ", &year, &month, &day, &hour, &minute,
                            &second),
                     6);
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    assert_true(labs((long)(time(NULL) - timegm(&tm))) <= 5);
    assert_true(json_number_value(json_object_get(moment, "adds_per_us")) > 50);
    json_decref(moment);
    json_decref(again);
}

static double share(unsigned s0, unsigned t0, unsigned s1, unsigned t1)
{
    const struct nb_jiffies before = {.total = t0, .steal = s0}, after = {.total = t1, .steal = s1};
    return nb_steal_share(&before, &after);
}

static void steal_is_a_share_or_unknown(void **state)
{
    (void)state;
    assert_true(share(10, 1000, 15, 1100) == 0.05);
    assert_true(share(10, 1000, 10, 1100) == 0);
    assert_true(share(10, 1000, 10, 1000) < 0);
    assert_true(share(10, 1000, 9, 1100) < 0);
}

/* ---- doctor ---- */

static unsigned count_of(const char *text, const char *words)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, words)) != NULL; p++)
        n++;
    return n;
}

/* Whether text holds these words, wherever its lines are broken. */
static bool says(const char *text, const char *words)
{
    char *flat = strdup(text), *to = flat;
    assert_non_null(flat);
    for (const char *p = text; *p != '\0'; p++)
        if (*p != ' ' && *p != '\n')
            *to++ = *p;
        else if (to == flat || to[-1] != ' ')
            *to++ = ' ';
    *to = '\0';
    const bool found = strstr(flat, words) != NULL;
    free(flat);
    return found;
}

static int doctor_at(const char *root, char **text)
{
    struct nb_topology t = load();
    size_t len;
    FILE *out = open_memstream(text, &len);
    assert_non_null(out);
    int findings = nb_host_doctor_at(root, &t, out);
    fclose(out);
    nb_topology_free(&t);
    return findings;
}

static int doctor(char **text)
{
    return doctor_at("", text);
}

static void doctor_fits_a_terminal(void **state)
{
    (void)state;
    char *text;
    int findings = doctor(&text);
    assert_int_equal(count_of(text, "    effect: "), findings);
    assert_int_equal(count_of(text, "    change: "), findings);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > 80)
            fail_msg("wider than 80 columns: %.*s", (int)strcspn(line, "\n"), line);
    for (int e = 0; e < NB_EV_COUNT; e++)
        assert_non_null(strstr(text, nb_event_name((enum nb_event)e)));
    free(text);
}

static void doctor_sees_what_is_missing(void **state)
{
    (void)state;
    char *with, *without, *path = strdup(getenv("PATH"));
    write_file("gnuplot", "#!/bin/sh\n");
    assert_int_equal(chmod(in_folder("gnuplot"), 0755), 0);
    setenv("PATH", folder, 1);
    (void)doctor(&with);
    setenv("PATH", "/nonexistent", 1);
    (void)doctor(&without);
    setenv("PATH", path, 1);
    assert_null(strstr(with, "gnuplot-nox"));
    assert_non_null(strstr(with, "gnuplot found"));
    assert_non_null(strstr(without, "apt-get install gnuplot-nox"));
    assert_null(strstr(without, "gnuplot found"));
    free(with);
    free(without);
    free(path);
}

/* Files of a system, all in the state given. */
static void write_system(const char *root, bool good)
{
    static const char *const files[][3] = {
        {"proc/sys/kernel", "perf_event_paranoid", "1|4"},
        {"proc/sys/kernel", "nmi_watchdog", "0|1"},
        {"proc/sys/kernel", "randomize_va_space", "2|1"},
        {"sys/devices/system/cpu/cpufreq", "boost", "0|1"},
        {"sys/kernel/mm/transparent_hugepage", "enabled", "always [madvise] never|always madvise [never]"},
        {"sys/class/power_supply/BAT0", "status", "Charging|Discharging"},
        {"sys/class/power_supply/mouse", "status", "Discharging|Discharging"},
        {"sys/class/power_supply/mouse", "scope", "Device|Device"},
        {"proc", "loadavg", "0.01 0.5 0.5 1/100 1|99.5 0.5 0.5 1/100 1"},
        {"proc", "stat", "cpu 1 1 1 1 1 1 1 1 1 1"},
        {"proc/self", "cgroup", "0::/"},
        {"proc/self", "mountinfo", "30 20 0:26 / /cg rw - cgroup2 cgroup rw"},
        {"cg", "cpu.max", "max 100000|50000 100000"},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const char *bad = strchr(files[i][2], '|');
        const size_t n = bad != NULL ? (size_t)(bad - files[i][2]) : strlen(files[i][2]);
        char path[256], word[128];
        snprintf(path, sizeof(path), "%s/%s", root, files[i][0]);
        make_folders(path);
        snprintf(path, sizeof(path), "%s/%s/%s", root, files[i][0], files[i][1]);
        snprintf(word, sizeof(word), "%.*s\n", good ? (int)n : 128, good || bad == NULL ? files[i][2] : bad + 1);
        write_file(path, word);
    }
}

static void write_governors(const char *root, const char *first, const char *others)
{
    struct nb_topology t = load();
    char path[128];
    for (unsigned i = 0; i < t.cores; i++) {
        snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/cpu%u/cpufreq", root, nb_topology_cpu(&t, i));
        make_folders(path);
        strcat(path, "/scaling_governor");
        write_file(path, i == 0 ? first : others);
    }
    nb_topology_free(&t);
}

/* The same findings and good news of a system whose every file is bad or good. */
static void doctor_tells_good_from_bad(void **state)
{
    (void)state;
    static const char *const told[][2] = {
        {"kernel.perf_event_paranoid is 4", "perf_event_paranoid 1"},
        {"The NMI watchdog is on.", "no NMI watchdog"},
        {"Address space randomization is not full", "ASLR on"},
        {"Boost (turbo) is on.", "boost off"},
        {"Transparent huge pages are not available.", "transparent huge pages: madvise"},
        {"This machine runs on its battery.", "not on battery"},
        {"The load average of the last minute is 99.50", "load average 0.01"},
        {"A cgroup limits this process to 0.50 CPUs.", "no cgroup CPU quota"},
        {"The frequency governor is 'p", "governor performance"},
        {"Stolen CPU time cannot be read", NULL}, /* a count that stands still tells nothing */
    };
    char *bad, *good, root[256];
    write_system("bad", false);
    write_governors("bad", "powersave\n", "performance\n");
    write_system("good", true);
    write_governors("good", "performance\n", "performance\n");
    snprintf(root, sizeof(root), "%s", in_folder("bad"));
    (void)doctor_at(root, &bad);
    snprintf(root, sizeof(root), "%s", in_folder("good"));
    (void)doctor_at(root, &good);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        assert_true(says(bad, told[i][0]));
        if (told[i][1] == NULL)
            continue;
        assert_true(says(good, told[i][1]));
        assert_false(says(good, told[i][0]));
        assert_false(says(bad, told[i][1]));
    }
    free(bad);
    free(good);
}

/* Without an L3 nothing tells when data has left it: an amount is assumed and said. */
static void unknown_last_level_is_assumed_large(void **state)
{
    (void)state;
    char *text;
    setenv("HWLOC_SYNTHETIC", "pack:1 l2:2(size=1048576) core:1 pu:1", 1);
    struct nb_topology t = load();
    (void)doctor(&text);
    unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(t.llc, 0);
    assert_int_equal(nb_topology_llc(&t, 2), NB_LLC_UNKNOWN);
    assert_non_null(strstr(text, "hwloc knows of no L3"));
    free(text);
    nb_topology_free(&t);
}

/* ---- counters ---- */

static void each_event_has_a_source_or_a_reason(void **state)
{
    (void)state;
    nb_counters_init();
    assert_true(nb_counters_state()[0] != '\0');
    for (int i = 0; i < NB_EV_COUNT; i++) {
        enum nb_event e = (enum nb_event)i;
        bool source = nb_counters_source(e)[0] != '\0',
             reason = nb_counters_reason(e)[0] != '\0';
        size_t groups = 0;
        assert_true(source != reason);
        assert_int_equal(reason, nb_counters_remedy(e)[0] != '\0');
        if (source)
            assert_int_equal(nb_counters_certificate(e)->verdict, NB_CERT_CERTIFIED);
        assert_int_equal(nb_counters_available(e), source);
        for (size_t g = 0; g < nb_counters_groups(); g++)
            groups += (size_t)nb_counters_in_group(g, e);
        assert_int_equal(groups, source ? 1 : 0);
    }
}

static void groups_are_small_and_of_one_kind(void **state)
{
    (void)state;
    nb_counters_init();
    for (size_t g = 0; g < nb_counters_groups(); g++) {
        int hard = 0, soft = 0;
        for (int e = 0; e < NB_EV_COUNT; e++) {
            int in = nb_counters_in_group(g, (enum nb_event)e);
            *(e < NB_EV_TASK_CLOCK ? &hard : &soft) += in;
        }
        assert_true(hard + soft >= 1 && hard + soft <= 4);
        assert_true(hard == 0 || soft == 0);
    }
    struct nb_counters *c;
    assert_int_equal(nb_counters_open(nb_counters_groups(), &c), NB_ERROR);
}

#define PAGES 200

/* Counts every group over work that touches pages fresh pages and runs for a while. */
static bool count_all(unsigned pages, double values[NB_EV_COUNT])
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t g = 0; g < nb_counters_groups(); g++) {
        struct nb_counters *c;
        volatile char *p = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return false;
        madvise((void *)p, PAGES * page, MADV_NOHUGEPAGE);
        if (nb_counters_open(g, &c) != NB_OK)
            return false;
        for (unsigned i = 0; i < pages; i++)
            p[i * page] = 1;
        for (volatile unsigned long i = 0; i < 3000000; i++)
            ;
        if (nb_counters_close(c, values) != NB_OK)
            return false;
        munmap((void *)p, PAGES * page);
    }
    return true;
}

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void counts_follow_the_work(void **state)
{
    (void)state;
    double none[NB_EV_COUNT] = {0}, some[NB_EV_COUNT] = {0};
    nb_counters_init();
    double from = wall();
    assert_true(count_all(0, none));
    assert_true(count_all(PAGES, some));
    double took = wall() - from;
    if (nb_counters_groups() == 0)
        skip();
    for (int e = 0; e < NB_EV_COUNT; e++) {
        assert_true(some[e] >= 0);
        if (!nb_counters_available((enum nb_event)e))
            assert_true(some[e] == 0 && none[e] == 0);
    }
    if (nb_counters_available(NB_EV_PAGE_FAULTS)) {
        assert_true(some[NB_EV_PAGE_FAULTS] >= PAGES - 8);
        assert_true(some[NB_EV_PAGE_FAULTS] <= PAGES + 100);
        assert_true(none[NB_EV_PAGE_FAULTS] <= 100);
    }
    if (nb_counters_available(NB_EV_TASK_CLOCK)) {
        assert_true(some[NB_EV_TASK_CLOCK] > 1e5);
        assert_true(some[NB_EV_TASK_CLOCK] + none[NB_EV_TASK_CLOCK] <= took);
    }
    if (nb_counters_available(NB_EV_INSTRUCTIONS))
        assert_true(some[NB_EV_INSTRUCTIONS] > 3e6);
}

static void *count_in_thread(void *values)
{
    return count_all(PAGES, values) ? values : NULL;
}

static void threads_count_their_own_work(void **state)
{
    (void)state;
    double values[3][NB_EV_COUNT] = {{0}};
    pthread_t threads[3];
    nb_counters_init();
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_in_thread, values[i]),
                         0);
    for (int i = 0; i < 3; i++) {
        void *done;
        assert_int_equal(pthread_join(threads[i], &done), 0);
        assert_ptr_equal(done, values[i]);
        if (nb_counters_available(NB_EV_PAGE_FAULTS)) {
            assert_true(values[i][NB_EV_PAGE_FAULTS] >= PAGES - 8);
            assert_true(values[i][NB_EV_PAGE_FAULTS] <= PAGES + 100);
        }
    }
}

/* ---- counters in another environment ---- */

static int mode_off(void)
{
    struct nb_counters *c;
    nb_counters_init();
    for (int e = 0; e < NB_EV_COUNT; e++)
        if (nb_counters_available((enum nb_event)e) ||
            strstr(nb_counters_reason((enum nb_event)e), "PAPI") == NULL)
            return 1;
    return nb_counters_groups() != 0 || nb_counters_open(0, &c) == NB_OK;
}

static void papi_can_be_switched_off(void **state)
{
    (void)state;
    assert_int_equal(run_mode("off", "NB_PAPI", "off"), 0);
}

/* A time is no count of cycles, and page faults are none of instructions: neither preset that we wrote is
 * believed, and the reason holds what was seen. */
static int mode_preset(void)
{
    nb_counters_init();
    const enum nb_event wrong[] = {NB_EV_CYCLES, NB_EV_INSTRUCTIONS};
    const char *const seen[] = {"PAPI_TOT_CYC: counted ", "PAPI_TOT_INS: starts and reads 0 "};
    for (int i = 0; i < 2; i++) {
        if (strstr(nb_counters_source(wrong[i]), "PAPI_TOT") != NULL)
            return 1 + i;
        if (!nb_counters_available(wrong[i]) && strstr(nb_counters_reason(wrong[i]), seen[i]) == NULL)
            return 3 + i;
    }
    return 0;
}

/* Without bands the first one counts, and has no certificate; what reads 0 is refused all the same. */
static int mode_stand_in(void)
{
    double values[NB_EV_COUNT] = {0};
    nb_counters_init();
    if (strstr(nb_counters_source(NB_EV_CYCLES), "PAPI_TOT_CYC") == NULL ||
        strstr(nb_counters_source(NB_EV_CYCLES), "perf::TASK-CLOCK") == NULL)
        return 1;
    if (nb_counters_certificate(NB_EV_CYCLES)->verdict != NB_CERT_UNCERTIFIED)
        return 2;
    if (!count_all(0, values) || !(values[NB_EV_CYCLES] > 0))
        return 3;
    return strstr(nb_counters_source(NB_EV_INSTRUCTIONS), "PAPI_TOT_INS") != NULL ? 4 : 0;
}

/* PAPI looks presets up by the name of the CPU's own event table, which it derives from
 * CPUID even where no PMU exists. */
static void papi_presets_are_used_and_checked(void **state)
{
    (void)state;
    char names[256], csv[1024] = "", *save = NULL;
    nb_counters_init();
    const char *tables = strstr(nb_counters_state(), "event tables:");
    if (tables == NULL)
        skip();
    snprintf(names, sizeof(names), "%.*s", (int)strcspn(tables, ";"), tables);
    strtok_r(names, ":", &save);
    for (char *name; (name = strtok_r(NULL, " ", &save)) != NULL;)
        if (strcmp(name, "perf") != 0 && strcmp(name, "perf_raw") != 0) {
            size_t n = strlen(csv);
            snprintf(csv + n, sizeof(csv) - n, "CPU,%s\n", name);
        }
    if (csv[0] == '\0')
        skip();
    size_t n = strlen(csv);
    snprintf(csv + n, sizeof(csv) - n,
             "PRESET,PAPI_TOT_CYC,NOT_DERIVED,perf::TASK-CLOCK\n"
             "PRESET,PAPI_TOT_INS,NOT_DERIVED,perf::PAGE-FAULTS\n");
    write_file("presets.csv", csv);
    assert_int_equal(run_mode("preset", "PAPI_CSV_EVENT_FILE", in_folder("presets.csv")),
                     0);
    setenv("NB_COUNTERS_BANDS", "off", 1);
    const int rc = run_mode("stand-in", "PAPI_CSV_EVENT_FILE", in_folder("presets.csv"));
    unsetenv("NB_COUNTERS_BANDS");
    assert_int_equal(rc, 0);
}

/* What PAPI and its libpfm say while they start must not reach our stderr. */
static int mode_quiet(void)
{
    char text[64];
    int said[2];
    if (pipe2(said, O_NONBLOCK | O_CLOEXEC) != 0 || dup2(said[1], STDERR_FILENO) < 0)
        return 9;
    nb_counters_init();
    ssize_t n = read(said[0], text, sizeof(text));
    return n < 0 && errno == EAGAIN ? 0 : 1;
}

static void papi_is_quiet(void **state)
{
    (void)state;
    assert_int_equal(run_mode("quiet", "LIBPFM_VERBOSE", "1"), 0);
}

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/nb_host_test.XXXXXX",
             tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    return mkdtemp(folder) == NULL || chmod(folder, 0755) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", "--", folder, (char *)NULL);
        _exit(127);
    }
    return child < 0 || wait_for(child) != 0;
}

/* ---- conditions ---- */

static void jiffies_are_of_the_cpus_asked_for(void **state)
{
    (void)state;
    const int cpus[] = {12, -1, 1}, absent[] = {0, 7};
    struct nb_jiffies j[3];
    make_folders("stat/proc");
    write_file("stat/proc/stat", "cpu  100 1 10 1000 5 2 3 40 9 9\n"
                                 "cpu0 50 0 5 500 2 1 1 20 0 0\n"
                                 "cpu1 30 1 3 300 2 1 1 10 4 4\n"
                                 "cpu12 20 0 2 200 1 0 1 10 5 5\n"
                                 "intr 1 2 3\n");
    assert_int_equal(nb_read_jiffies(in_folder("stat"), cpus, 3, j), 0);
    assert_int_equal(j[0].total, 234); /* guests' time lies in user's */
    assert_int_equal(j[0].idle, 201);
    assert_int_equal(j[0].steal, 10);
    assert_int_equal(j[1].total, 1161);
    assert_int_equal(j[1].steal, 40);
    assert_int_equal(j[2].total, 348);
    assert_int_equal(j[2].idle, 302);
    assert_int_equal(nb_read_jiffies(in_folder("stat"), absent, 2, j), ENOENT);
    assert_int_equal(nb_read_jiffies(in_folder("nowhere"), cpus, 3, j), ENOENT);
}

/* Of conditions that are quiet but for one key. */
static enum nb_disturbance disturbance(const char *key, json_t *value)
{
    json_t *c = json_pack("{si si sf sf si}", "steal_ticks", 0, "cpu_ticks", 100, "clock_before_ns",
                          50000.0, "clock_after_ns", 50000.0, "migrations", 0);
    char text[128] = "";
    assert_non_null(c);
    json_object_set_new(c, key, value);
    enum nb_disturbance d = nb_conditions_disturbance(c);
    const char *words = nb_conditions_verdict(c, text, sizeof(text));
    assert_int_equal(words != NULL, d != NB_UNDISTURBED);
    assert_true(words == NULL || strlen(words) > 10);
    json_decref(c);
    return d;
}

static void conditions_are_judged_by_their_limits(void **state)
{
    (void)state;
    char text[128];
    assert_int_equal(disturbance("migrations", json_integer(0)), NB_UNDISTURBED);
    assert_int_equal(disturbance("migrations", json_integer(1)), NB_MIGRATED);
    assert_int_equal(disturbance("steal_ticks", json_integer(1)), NB_UNDISTURBED);
    assert_int_equal(disturbance("steal_ticks", json_integer(2)), NB_STOLEN);
    assert_int_equal(disturbance("clock_after_ns", json_real(56000)), NB_UNDISTURBED);
    assert_int_equal(disturbance("clock_after_ns", json_real(59000)), NB_CLOCK_CHANGED);
    assert_int_equal(disturbance("clock_after_ns", json_real(43000)), NB_CLOCK_CHANGED);
    /* what is not known disturbs nothing */
    assert_int_equal(disturbance("migrations", json_null()), NB_UNDISTURBED);
    assert_int_equal(disturbance("steal_ticks", json_null()), NB_UNDISTURBED);
    assert_int_equal(disturbance("clock_after_ns", json_null()), NB_UNDISTURBED);
    assert_null(nb_conditions_verdict(NULL, text, sizeof(text)));
}

static void few_stolen_ticks_are_no_share(void **state)
{
    (void)state;
    json_t *c = json_pack("{si si}", "steal_ticks", 2, "cpu_ticks", 200);
    assert_int_equal(nb_conditions_disturbance(c), NB_UNDISTURBED);
    json_object_set_new(c, "cpu_ticks", json_integer(199));
    assert_int_equal(nb_conditions_disturbance(c), NB_STOLEN);
    json_object_set_new(c, "steal_ticks", json_integer(1)); /* one of five: too coarse to be a share */
    json_object_set_new(c, "cpu_ticks", json_integer(5));
    assert_int_equal(nb_conditions_disturbance(c), NB_UNDISTURBED);
    json_decref(c);
}

static void conditions_of_this_moment(void **state)
{
    (void)state;
    struct nb_topology t = load();
    struct nb_watch w;
    nb_conditions_begin(&w, &t, t.cores);
    json_t *bound = nb_conditions_end(&w, 0);
    nb_conditions_begin(&w, NULL, 2);
    json_t *loose = nb_conditions_end(&w, -1);
    assert_true(json_real_value(json_object_get(bound, "clock_before_ns")) > 1000);
    assert_true(json_real_value(json_object_get(bound, "clock_after_ns")) > 1000);
    assert_true(json_is_integer(json_object_get(bound, "involuntary_switches")));
    assert_true(json_is_null(json_object_get(loose, "steal_ticks")));
    json_t *reasons = json_object_get(loose, "unknown");
    assert_true(json_is_string(json_object_get(reasons, "steal_ticks")));
    assert_true(json_is_string(json_object_get(reasons, "migrations")));
    json_decref(bound);
    json_decref(loose);
    nb_topology_free(&t);
}

/* ---- refusals ---- */

/* How many reasons such a moment gives for so many threads; the last one must hold the words. */
static size_t refusals(const struct nb_obstacles *o, unsigned threads, const char *words)
{
    char text[800];
    json_t *reasons = json_array();
    const size_t n = nb_obstacles_judge(o, threads, reasons, text, sizeof(text));
    assert_int_equal(json_array_size(reasons), n);
    assert_int_equal(text[0] != '\0', n > 0);
    if (n > 0) {
        const char *last = json_string_value(json_array_get(reasons, n - 1));
        assert_non_null(last);
        assert_non_null(strstr(last, words));
        assert_non_null(strstr(text, last));
    }
    json_decref(reasons);
    return n;
}

static const struct nb_obstacles none = {
    .quota = 0, .free_cores = 4, .stolen = 0, .timer_step_ns = 30};

static void what_is_unknown_refuses_nothing(void **state)
{
    (void)state;
    const struct nb_obstacles unknown = {
        .quota = -1, .free_cores = NAN, .stolen = NAN, .timer_step_ns = NAN};
    assert_int_equal(refusals(&none, 4, ""), 0);
    assert_int_equal(refusals(&unknown, 64, ""), 0);
}

static void each_obstacle_has_its_limit(void **state)
{
    (void)state;
    struct nb_obstacles o = none;
    o.emulator = "memcheck-amd64-linux";
    assert_int_equal(refusals(&o, 1, "inside memcheck-amd64-linux"), 1);
    o = none;
    o.flags = "-fsanitize=thread";
    assert_int_equal(refusals(&o, 1, "-fsanitize=thread"), 1);
    o = none;
    o.quota = 2;
    assert_int_equal(refusals(&o, 2, ""), 0);
    assert_int_equal(refusals(&o, 3, "too few for 3 threads"), 1);
    o = none;
    o.free_cores = 1.6;
    assert_int_equal(refusals(&o, 2, ""), 0);
    assert_int_equal(refusals(&o, 3, "leave 1.6 cores free"), 1);
    o = none;
    o.stolen = 0.04;
    assert_int_equal(refusals(&o, 1, ""), 0);
    o.stolen = 0.06;
    assert_int_equal(refusals(&o, 1, "took 6 %"), 1);
    o = none;
    o.timer_step_ns = 1000;
    assert_int_equal(refusals(&o, 1, ""), 0);
    o.timer_step_ns = 4e6;
    assert_int_equal(refusals(&o, 1, "steps of 4000 us"), 1);
}

static void all_obstacles_are_told_at_once(void **state)
{
    (void)state;
    const struct nb_obstacles all = {"qemu-aarch64-static", "-O0", 0.5, 0.1, 0.5, 1e7};
    assert_int_equal(refusals(&all, 1, "steps"), 6);
}

int main(int argc, char **argv)
{
    char word[64];
    if (nb_cpu_init(word, sizeof(word)) != 0)
        return 1;
    if (argc > 1)
        return strcmp(argv[1], "off") == 0      ? mode_off()
               : strcmp(argv[1], "preset") == 0 ? mode_preset()
               : strcmp(argv[1], "stand-in") == 0 ? mode_stand_in()
               : strcmp(argv[1], "quiet") == 0  ? mode_quiet()
                                                : 126;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topology_names_our_cpus),
        cmocka_unit_test(topology_keeps_to_the_affinity),
        cmocka_unit_test(topology_counts_what_shares_a_cache),
        cmocka_unit_test(bind_puts_the_thread_there),
        cmocka_unit_test(second_run_is_told_who_holds_the_cpu),
        cmocka_unit_test(refused_run_keeps_no_lock),
        cmocka_unit_test(lock_never_writes_through_links),
        cmocka_unit_test(read_only_lock_still_locks),
        cmocka_unit_test(limits_of_cgroup_v2),
        cmocka_unit_test(limits_of_cgroup_v1_in_a_container),
        cmocka_unit_test(jiffies_are_of_the_cpus_asked_for),
        cmocka_unit_test(conditions_are_judged_by_their_limits),
        cmocka_unit_test(few_stolen_ticks_are_no_share),
        cmocka_unit_test(conditions_of_this_moment),
        cmocka_unit_test(what_is_unknown_refuses_nothing),
        cmocka_unit_test(each_obstacle_has_its_limit),
        cmocka_unit_test(all_obstacles_are_told_at_once),
        cmocka_unit_test(facts_hold_every_documented_key),
        cmocka_unit_test(facts_agree_with_other_sources),
        cmocka_unit_test(moment_says_when),
        cmocka_unit_test(steal_is_a_share_or_unknown),
        cmocka_unit_test(doctor_fits_a_terminal),
        cmocka_unit_test(doctor_tells_good_from_bad),
        cmocka_unit_test(unknown_last_level_is_assumed_large),
        cmocka_unit_test(doctor_sees_what_is_missing),
        cmocka_unit_test(each_event_has_a_source_or_a_reason),
        cmocka_unit_test(groups_are_small_and_of_one_kind),
        cmocka_unit_test(counts_follow_the_work),
        cmocka_unit_test(threads_count_their_own_work),
        cmocka_unit_test(papi_can_be_switched_off),
        cmocka_unit_test(papi_presets_are_used_and_checked),
        cmocka_unit_test(papi_is_quiet),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
