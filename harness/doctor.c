/* doctor.c: what about this host hurts measurement. Looks and measures; changes nothing.
 *
 * A check either adds a finding (what was seen, what it does to results, the one command
 * that would change it) or a short phrase to the list of what is fine. */
#define _GNU_SOURCE

#include "host.h"

#include "conditions.h"
#include "counters.h"
#include "host_parts.h"
#include "refuse.h"
#include "sysread.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/personality.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS 80

struct doctor {
    const char *root; /* before each path; "" on this system */
    const struct nb_topology *t;
    FILE *out;
    int findings;
    char fine[2048];
};

/* ---- text of 80 columns ---- */

/* Words of text behind head, later lines indented as far as head is long. */
static void wrapped(FILE *out, const char *head, const char *words)
{
    int indent = (int)strlen(head), column = indent;
    fputs(head, out);
    while (*words != '\0') {
        int n = (int)strcspn(words, " ");
        if (column > indent && column + 1 + n > COLUMNS) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", n, words);
        words += n;
        words += strspn(words, " ");
    }
    fputc('\n', out);
}

static void seen(struct doctor *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void seen(struct doctor *d, const char *format, ...)
{
    char line[1024], head[16];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    snprintf(head, sizeof(head), "%2d. ", ++d->findings);
    fputc('\n', d->out);
    wrapped(d->out, head, line);
}

static void effect(struct doctor *d, const char *what, const char *change)
{
    wrapped(d->out, "    effect: ", what);
    wrapped(d->out, "    change: ", change);
}

static void fine(struct doctor *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fine(struct doctor *d, const char *format, ...)
{
    size_t n = strlen(d->fine);
    va_list args;
    n += (size_t)snprintf(d->fine + n, sizeof(d->fine) - n, "%s", n > 0 ? "; " : "");
    if (n >= sizeof(d->fine))
        return;
    va_start(args, format);
    vsnprintf(d->fine + n, sizeof(d->fine) - n, format, args);
    va_end(args);
}

/* A file below root. */
static const char *at(const struct doctor *d, const char *path)
{
    static char full[1024];
    snprintf(full, sizeof(full), "%s%s", d->root, path);
    return full;
}

static int read_file(const struct doctor *d, const char *path, char *line, size_t len)
{
    return nb_read_line(at(d, path), line, len);
}

static bool virtual_machine(void)
{
    const char *h = nb_host_hypervisor();
    return h != NULL && strcmp(h, "none") != 0;
}

/* ---- checks: counters ---- */

static void check_pmu(struct doctor *d)
{
    int absent = 0;
    enum nb_event first = NB_EV_COUNT;
    for (int e = NB_EV_TASK_CLOCK - 1; e >= 0; e--)
        if (!nb_counters_available((enum nb_event)e)) {
            first = (enum nb_event)e;
            absent++;
        }
    if (!nb_counters_bands()) {
        seen(d, "NB_COUNTERS_BANDS=off: counters count without a certificate.");
        effect(d, "no figure of a counter is a measurement; all are marked uncertified.",
               "unset NB_COUNTERS_BANDS");
    }
    if (absent == 0) {
        fine(d, "all hardware events count");
        return;
    }
    seen(d, "%d of %d hardware events cannot be counted (table below).", absent,
         NB_EV_TASK_CLOCK);
    effect(d,
           "their columns are null: no core cycles, instructions or misses to explain a "
           "time. "
           "Times and speedups are not affected.",
           nb_counters_remedy(first));
}

static void check_paranoid(struct doctor *d)
{
    char line[32];
    if (read_file(d, "/proc/sys/kernel/perf_event_paranoid", line, sizeof(line)) != 0) {
        seen(d,
             "This kernel has no perf events (no /proc/sys/kernel/perf_event_paranoid).");
        effect(d, "PAPI has nothing to count with.",
               "boot a kernel with CONFIG_PERF_EVENTS=y");
        return;
    }
    long level = strtol(line, NULL, 10);
    if (level <= 1 || (level == 2 && geteuid() == 0)) {
        fine(d, "perf_event_paranoid %ld", level);
        return;
    }
    seen(d, "kernel.perf_event_paranoid is %ld%s.", level,
         geteuid() == 0 ? "" : " and you are not root");
    effect(d,
           level > 2
               ? "PAPI switches itself off."
               : "events inside the kernel are not counted: no migrations, and context "
                 "switches come from getrusage.",
           "sudo sysctl kernel.perf_event_paranoid=1");
}

static void check_watchdog(struct doctor *d)
{
    char line[32];
    if (read_file(d, "/proc/sys/kernel/nmi_watchdog", line, sizeof(line)) != 0 ||
        line[0] != '1') {
        fine(d, "no NMI watchdog on a counter");
        return;
    }
    seen(d, "The NMI watchdog is on.");
    effect(d, "it keeps one hardware counter to itself: fewer events fit into a group.",
           "sudo sysctl kernel.nmi_watchdog=0");
}

/* ---- checks: clock and power ---- */

/* Governors of our cores, each once: "powersave,performance". False: one of them cannot be read. */
static bool governors(const struct doctor *d, char *all, size_t len)
{
    char path[128], line[64];
    all[0] = '\0';
    for (unsigned i = 0; i < d->t->cores; i++) {
        const size_t n = strlen(all);
        snprintf(path, sizeof(path), NB_CPU_DIR "/cpu%u/cpufreq/scaling_governor",
                 nb_topology_cpu(d->t, i));
        if (read_file(d, path, line, sizeof(line)) != 0)
            return false;
        if (strstr(all, line) == NULL)
            snprintf(all + n, len - n, "%s%s", n > 0 ? "," : "", line);
    }
    return true;
}

static void check_governor(struct doctor *d)
{
    char all[160];
    if (!governors(d, all, sizeof(all))) {
        seen(d, "The frequency governor is not visible%s.",
             virtual_machine() ? " from inside this virtual machine" : "");
        effect(d,
               "the core clock may move during a run, unseen. Ratios formed within a "
               "round stand "
               "this; absolute times do not.",
               "on the machine itself: sudo cpupower frequency-set -g performance");
    } else if (strcmp(all, "performance") == 0) {
        fine(d, "governor performance");
    } else {
        seen(d, "The frequency governor is '%s'.", all);
        effect(d,
               "short samples may run before the clock has risen: slower, and more "
               "scattered.",
               "sudo cpupower frequency-set -g performance");
    }
}

static void check_boost(struct doctor *d)
{
    int boost = nb_host_boost(d->root);
    bool intel = access(at(d, NB_CPU_DIR "/intel_pstate/no_turbo"), F_OK) == 0;
    if (boost < 0) {
        seen(d, "Whether boost (turbo) is on cannot be seen%s.",
             virtual_machine() ? " from inside this virtual machine" : "");
        effect(d, "the clock may depend on temperature and on neighbours.",
               "on the machine itself: echo 0 | sudo tee " NB_CPU_DIR "/cpufreq/boost");
    } else if (boost == 0) {
        fine(d, "boost off");
    } else {
        seen(d, "Boost (turbo) is on.");
        effect(d,
               "the clock depends on temperature, on active cores and on the width of "
               "vectors: "
               "absolute times drift, and wide kernels may be slowed by their own heat.",
               intel ? "echo 1 | sudo tee " NB_CPU_DIR "/intel_pstate/no_turbo"
                     : "echo 0 | sudo tee " NB_CPU_DIR "/cpufreq/boost");
    }
}

/* A laptop on its battery; a mouse with one (scope Device) is no matter. */
static void check_battery(struct doctor *d)
{
    DIR *supplies = opendir(at(d, "/sys/class/power_supply"));
    const struct dirent *e;
    bool discharging = false;
    while (supplies != NULL && (e = readdir(supplies)) != NULL) {
        char path[400], status[32] = "", scope[32] = "";
        snprintf(path, sizeof(path), "/sys/class/power_supply/%s/status", e->d_name);
        (void)read_file(d, path, status, sizeof(status));
        snprintf(path, sizeof(path), "/sys/class/power_supply/%s/scope", e->d_name);
        (void)read_file(d, path, scope, sizeof(scope));
        discharging = discharging || (strcmp(status, "Discharging") == 0 && strcmp(scope, "Device") != 0);
    }
    if (supplies != NULL)
        closedir(supplies);
    if (!discharging) {
        fine(d, "not on battery");
        return;
    }
    seen(d, "This machine runs on its battery.");
    effect(d, "firmware and system hold clocks down, and more so as it empties: absolute times drift.",
           "plug it in, then: powerprofilesctl set performance");
}

static double nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

void nb_host_timer(double *cost, double *step)
{
    enum { READINGS = 20000 };
    double from = nanoseconds(), last = from, now = from;
    *step = 1e9;
    for (int i = 0; i < READINGS; i++) {
        now = nanoseconds();
        if (now > last && now - last < *step)
            *step = now - last;
        last = now;
    }
    *cost = (now - from) / READINGS;
}

static void check_timer(struct doctor *d)
{
    double cost, step;
    char source[64] = "unknown";
    (void)read_file(d, "/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
                    sizeof(source));
    nb_host_timer(&cost, &step);
    if (cost <= 200 && step <= 1000) {
        fine(d, "clock %s: a reading costs %.0f ns, smallest step %.0f ns", source, cost,
             step);
        return;
    }
    seen(d,
         "Reading CLOCK_MONOTONIC costs %.0f ns, its smallest step is %.0f ns "
         "(clocksource %s).",
         cost, step, source);
    effect(d,
           "every timed sample carries that; samples of milliseconds stand it, bare "
           "passes of a "
           "small "
           "cell do not.",
           "echo tsc | sudo tee "
           "/sys/devices/system/clocksource/clocksource0/current_clocksource");
}

/* ---- checks: who else is here ---- */

static void check_smt(struct doctor *d)
{
    if (d->t->smt <= 1) {
        fine(d, "no SMT siblings visible");
        return;
    }
    seen(d, "Each core has %u hardware threads.", d->t->smt);
    effect(d,
           "normbench runs one thread a core, but whatever the system puts on a sibling "
           "takes up "
           "to half of that core's throughput.",
           "echo off | sudo tee " NB_CPU_DIR "/smt/control");
}

/* Busy for half a second, with chains of adds: least and most ns of a chain, each the least of 50 ms. */
static void be_busy(double *least, double *most)
{
    enum { WINDOWS = 10 };
    *least = INFINITY;
    *most = 0;
    for (int w = 0; w < WINDOWS; w++) {
        double ns = INFINITY;
        for (const double until = nanoseconds() + 5e7; nanoseconds() < until;)
            ns = fmin(ns, nb_chain_ns(1));
        *least = fmin(*least, ns);
        *most = fmax(*most, ns);
    }
}

static void tell_clock(struct doctor *d, double least, double most)
{
    const double change = most / least - 1;
    if (change <= NB_CLOCK_CHANGE) {
        fine(d, "the core clock moved by %.1f %% in a busy half second", 100 * change);
        return;
    }
    seen(d, "The core clock moved by %.1f %% in a busy half second.", 100 * change);
    effect(d, "units in which it moves by more than 2 % are measured again, up to a fifth of all; absolute times "
              "scatter as it does. Ratios formed within a round stand it.",
           "on the machine itself: echo 0 | sudo tee " NB_CPU_DIR "/cpufreq/boost");
}

/* A vCPU is only robbed of time it asks for. */
static void check_steal(struct doctor *d)
{
    const int all = -1;
    struct nb_jiffies before, after;
    double least, most;
    bool known = nb_read_jiffies(d->root, &all, 1, &before) == 0;
    be_busy(&least, &most);
    known = known && nb_read_jiffies(d->root, &all, 1, &after) == 0;
    tell_clock(d, least, most);
    const double share = known ? nb_steal_share(&before, &after) : -1;
    if (share < 0) {
        seen(d, "Stolen CPU time cannot be read from /proc/stat.");
        effect(d, "a run cannot tell whether other guests took the CPU.",
               "mount /proc: sudo mount -t proc proc /proc");
    } else if (share <= 0.01) {
        fine(d, "%.1f %% of CPU time stolen in a busy half second", 100 * share);
    } else {
        seen(d, "%.1f %% of CPU time was stolen by the hypervisor in a busy half second.",
             100 * share);
        effect(
            d, "samples stretch at random. Units above 1 % are measured again, up to a fifth of all; above 5 % a run is "
            "refused.",
            "move to a dedicated instance type, or wait: watch -n1 'head -1 /proc/stat'");
    }
}

static void check_load(struct doctor *d)
{
    double load[1];
    char line[64];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus < 1 || read_file(d, "/proc/loadavg", line, sizeof(line)) != 0)
        return;
    load[0] = strtod(line, NULL);
    if (load[0] <= 0.1 * (double)cpus) {
        fine(d, "load average %.2f", load[0]);
        return;
    }
    seen(d, "The load average of the last minute is %.2f on %ld CPUs.", load[0], cpus);
    effect(d, "other work shares cores, caches and memory bandwidth with the kernels.",
           "top -o %CPU    (find it, end it, wait a minute)");
}

static void check_hypervisor(struct doctor *d)
{
    const char *h = nb_host_hypervisor();
    if (h == NULL || strcmp(h, "none") == 0) {
        fine(d, h == NULL ? "no sign of a hypervisor" : "bare metal");
        return;
    }
    char cache[96] = "The size of a shared last-level cache it may make up.";
    if (d->t->l3 > 0)
        snprintf(cache, sizeof(cache), "It shows an L3 of %zu MiB for %u of our cores.",
                 d->t->l3 >> 20, d->t->l3_cores);
    seen(d, "This is a virtual machine (%s). %s", h, cache);
    effect(d,
           "who else uses that cache and the memory channels is hidden: L3 and DRAM "
           "cells may move "
           "with the neighbours, and the share that is ours may be smaller than shown. "
           "Neither can "
           "be measured from inside.",
           "run on bare metal, or on an instance that fills its host");
}

static void check_llc(struct doctor *d)
{
    if (d->t->llc > 0)
        return;
    seen(d, "hwloc knows of no L3 here.");
    effect(d,
           "L3 cells are left out; DRAM and cold cells take the last level to be 256 MiB, so they "
           "work on 1 GiB. If more of an L3 than that is hidden, they lie in it.",
           "run where lscpu --caches shows the L3; in a guest, pass the host's cache topology on (libvirt: "
           "<cache mode='passthrough'/>)");
}

static void check_quota(struct doctor *d)
{
    double cpus = nb_cgroup_cpus(d->root);
    if (cpus <= 0) {
        fine(d, cpus < 0 ? "no cgroup CPU controller" : "no cgroup CPU quota");
        return;
    }
    seen(d, "A cgroup limits this process to %.2f CPUs.", cpus);
    effect(
        d,
        "once the quota of a period (mostly 100 ms) is used up, all threads stand still.",
        "docker update --cpus 0 CONTAINER (or: echo max > cpu.max in its cgroup)");
}

static void check_cpuset(struct doctor *d)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online <= (long)d->t->cpus) {
        fine(d, "all %u CPUs are ours", d->t->cpus);
        return;
    }
    seen(d, "This process may use %u of %ld CPUs (%u cores).", d->t->cpus, online,
         d->t->cores);
    effect(d,
           "what runs on the others shares the last-level cache and memory bandwidth "
           "with us, "
           "and cells of more threads than cores are not run.",
           "start normbench without taskset, or in a container without --cpuset-cpus");
}

/* ---- checks: memory ---- */

static void check_thp(struct doctor *d)
{
    char word[64];
    if (nb_host_choice(at(d, NB_THP_DIR "/enabled"), word, sizeof(word)) == 0 &&
        strcmp(word, "never") != 0) {
        fine(d, "transparent huge pages: %s", word);
        return;
    }
    seen(d, "Transparent huge pages are not available.");
    effect(d,
           "large buffers lie in 4 KiB pages: TLB misses slow L3 and DRAM cells of all "
           "kernels.",
           "echo madvise | sudo tee " NB_THP_DIR "/enabled");
}

static void check_aslr(struct doctor *d)
{
    char line[16] = "?";
    int error = read_file(d, "/proc/sys/kernel/randomize_va_space", line, sizeof(line));
    bool off = personality(0xffffffff) & ADDR_NO_RANDOMIZE;
    if (error == 0 && line[0] == '2' && !off) {
        fine(d, "ASLR on");
        return;
    }
    seen(d, "Address space randomization is %s.",
         off              ? "switched off for this process"
         : line[0] == '0' ? "off"
                          : "not full");
    effect(d,
           "every process gets the same addresses, so that intervals over processes "
           "leave out the "
           "luck of a layout and come out too narrow.",
           off ? "start normbench without setarch -R (and outside a debugger)"
               : "sudo sysctl kernel.randomize_va_space=2");
}

static void check_numa_balancing(struct doctor *d)
{
    char line[16];
    if (d->t->numa_nodes <= 1)
        return;
    if (read_file(d, "/proc/sys/kernel/numa_balancing", line, sizeof(line)) != 0 || line[0] == '0') {
        fine(d, "no NUMA balancing");
        return;
    }
    seen(d, "Automatic NUMA balancing is on.");
    effect(d, "the system unmaps pages to see who uses them: faults in the middle of samples, and pages that move "
              "between nodes.",
           "sudo sysctl kernel.numa_balancing=0");
}

/* ---- checks: programs ---- */

/* What `run` would say: it refuses little, and never what only makes results worse. */
static void check_refusals(struct doctor *d)
{
    struct nb_obstacles o;
    char text[700];
    json_t *reasons = json_array();
    nb_obstacles_see(&o, d->t, d->t->cores, 1);
    o.quota = nb_cgroup_cpus(d->root);
    if (reasons == NULL || nb_obstacles_judge(&o, d->t->cores, reasons, text, sizeof(text)) == 0) {
        fine(d, "nothing for which a run is refused");
    } else {
        seen(d, "A run on %u thread%s is refused now: %s.", d->t->cores, d->t->cores == 1 ? "" : "s", text);
        effect(d, "results would mean nothing.",
               "as said above; normbench run --force measures all the same, and marks the results");
    }
    json_decref(reasons);
}


static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[1024];
    while (path != NULL && *path != '\0') {
        int n = (int)strcspn(path, ":");
        snprintf(file, sizeof(file), "%.*s/%s", n, path, program);
        if (access(file, X_OK) == 0)
            return true;
        path += n;
        path += *path == ':';
    }
    return false;
}

static void check_gnuplot(struct doctor *d)
{
    if (in_path("gnuplot")) {
        fine(d, "gnuplot found");
        return;
    }
    seen(d, "gnuplot is not installed.");
    effect(d,
           "reports have no pictures; their data and scripts are written all the same.",
           "sudo apt-get install gnuplot-nox");
}

/* ---- the events ---- */

/* Length of what the reasons of all absent hardware events begin with, up to a "; ". */
static size_t common_cause(void)
{
    const char *first = NULL;
    size_t n = 0;
    for (int e = 0; e < NB_EV_TASK_CLOCK; e++) {
        const char *reason = nb_counters_reason((enum nb_event)e);
        if (*reason == '\0')
            continue;
        if (first == NULL)
            n = strlen(first = reason);
        size_t same = 0;
        while (same < n && reason[same] == first[same])
            same++;
        n = same;
    }
    if (first == NULL || first[n] == '\0')
        return n;
    while (n > 0 && !(n >= 2 && first[n - 1] == ' ' && first[n - 2] == ';'))
        n--;
    return n;
}

static void print_event(FILE *out, enum nb_event e, size_t cause)
{
    char line[800], head[32];
    const char *reason = nb_counters_reason(e);
    snprintf(head, sizeof(head), "  %-16s  ", nb_event_name(e));
    if (e < NB_EV_TASK_CLOCK && cause > 0 && *reason != '\0')
        reason += cause;
    const struct nb_certificate *c = nb_counters_certificate(e);
    if (nb_counters_available(e))
        snprintf(line, sizeof(line), "%s; %s: seen %.0f, expected %.0f of %s, band %.2f to %.2f",
                 nb_counters_source(e), nb_certificate_word(c->verdict), c->seen, c->expected, c->loop, c->lo,
                 c->hi);
    else
        snprintf(line, sizeof(line), "absent%s%s", *reason != '\0' ? ": " : "", reason);
    wrapped(out, head, line);
}

/* What would bring e, and the events after it that need the same. */
static void print_remedy(FILE *out, enum nb_event e, bool told[NB_EV_COUNT])
{
    const char *remedy = nb_counters_remedy(e);
    char line[800] = "to have ";
    size_t n = strlen(line);
    for (int i = (int)e; i < NB_EV_COUNT; i++)
        if (strcmp(remedy, nb_counters_remedy((enum nb_event)i)) == 0) {
            n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s", i > (int)e ? ", " : "",
                                  nb_event_name((enum nb_event)i));
            told[i] = true;
        }
    snprintf(line + n, sizeof(line) - n, ": %s", remedy);
    wrapped(out, "  ", line);
}

static void print_events(FILE *out)
{
    size_t cause = common_cause();
    char why[512] = "";
    fputs("\nEvents\n", out);
    wrapped(out, "  ", nb_counters_state());
    for (int e = 0; e < NB_EV_COUNT; e++)
        print_event(out, (enum nb_event)e, cause);
    for (int e = 0; e < NB_EV_TASK_CLOCK && cause > 0 && why[0] == '\0'; e++)
        snprintf(why, sizeof(why), "%.*s", (int)cause,
                 nb_counters_reason((enum nb_event)e));
    size_t n = strlen(why);
    if (n >= 2 && strcmp(why + n - 2, "; ") == 0)
        why[n - 2] = '\0';
    if (n > 0)
        wrapped(out, "  Absent hardware events: ", why);
    bool told[NB_EV_COUNT] = {false};
    for (int e = 0; e < NB_EV_COUNT; e++)
        if (!nb_counters_available((enum nb_event)e) && !told[e])
            print_remedy(out, (enum nb_event)e, told);
}

static const char *size_text(size_t bytes, char *s, size_t len)
{
    if (bytes == 0)
        snprintf(s, len, "unknown");
    else if (bytes % (1u << 20) == 0)
        snprintf(s, len, "%zu MiB", bytes >> 20);
    else
        snprintf(s, len, "%zu KiB", bytes >> 10);
    return s;
}

static void print_host(const struct nb_topology *t, FILE *out)
{
    char line[400], a[32], b[32], c[32], m[32];
    wrapped(out, "Host: ", nb_host_cpu_model());
    snprintf(line, sizeof(line),
             "usable cores %u, CPUs %u, hardware threads a core %u, NUMA nodes %u, L1d "
             "%s, L2 %s, "
             "L3 %s, memory %s",
             t->cores, t->cpus, t->smt, t->numa_nodes, size_text(t->l1d, a, sizeof(a)),
             size_text(t->l2, b, sizeof(b)), size_text(t->l3, c, sizeof(c)),
             size_text(t->memory >> 20 << 20, m, sizeof(m)));
    wrapped(out, "      ", line);
}

int nb_host_doctor_at(const char *root, const struct nb_topology *t, FILE *out)
{
    static void (*const checks[])(struct doctor *) = {
        check_load,  check_pmu,        check_paranoid, check_watchdog, check_governor,
        check_boost, check_smt,        check_steal,    check_cpuset,   check_quota,
        check_timer, check_hypervisor, check_thp,      check_aslr,     check_gnuplot,
        check_llc,   check_battery,    check_numa_balancing, check_refusals,
    };
    struct doctor d = {.root = root, .t = t, .out = out};
    nb_counters_init();
    print_host(t, out);
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
        checks[i](&d);
    fputs("\nFine\n", out);
    wrapped(out, "  ", d.fine[0] != '\0' ? d.fine : "nothing");
    print_events(out);
    fprintf(out, "\n%d findings. Nothing was changed.\n", d.findings);
    return d.findings;
}

int nb_host_doctor(const struct nb_topology *t, FILE *out)
{
    return nb_host_doctor_at("", t, out);
}
