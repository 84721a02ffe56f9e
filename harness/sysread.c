#include "sysread.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN 1024

int nb_read_line(const char *path, char *line, size_t len)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return errno;
    errno = 0;
    char *got = fgets(line, (int)len, f);
    int error = got != NULL ? 0 : errno != 0 ? errno : ENODATA;
    fclose(f);
    if (got != NULL)
        line[strcspn(line, "\n")] = '\0';
    return error;
}

/* The value behind key in line, or NULL; cuts the line's end. */
static char *value_of(char *line, const char *key)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0)
        return NULL;
    char *p = line + n;
    while (*p == ' ' || *p == '\t')
        p++;
    if (*p != ':' && *p != '=')
        return NULL;
    p++;
    while (isspace((unsigned char)*p))
        p++;
    size_t end = strlen(p);
    while (end > 0 && isspace((unsigned char)p[end - 1]))
        p[--end] = '\0';
    return p;
}

int nb_read_key(const char *path, const char *key, char *value, size_t len)
{
    char line[4096]; /* the flags line of x86 is long; what follows it starts a new line
                        anyway */
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return errno;
    int error = ENOENT;
    while (error != 0 && fgets(line, sizeof(line), f) != NULL) {
        const char *found = value_of(line, key);
        if (found != NULL) {
            snprintf(value, len, "%s", found);
            error = 0;
        }
    }
    fclose(f);
    return error;
}

/* Is word one of the comma-separated words of list? */
static bool holds_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0'))
            return true;
    }
    return false;
}

/* Our path in the hierarchy of a controller, from /proc/self/cgroup
 * ("ID:CONTROLLERS:PATH"). A controller that no v1 hierarchy has belongs to v2, whose
 * line has no controllers. */
static bool own_cgroup(const char *root, const char *controller, char *path, bool *v2)
{
    char name[PATH_LEN], line[PATH_LEN];
    snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
    FILE *f = fopen(name, "re");
    bool found = false;
    if (f == NULL)
        return false;
    while (fgets(line, sizeof(line), f) != NULL) {
        char *controllers = strchr(line, ':');
        char *where = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (where == NULL)
            continue;
        *controllers++ = *where++ = '\0';
        where[strcspn(where, "\n")] = '\0';
        bool v1 = holds_word(controllers, controller);
        if (!v1 && (*controllers != '\0' || (found && !*v2)))
            continue;
        snprintf(path, PATH_LEN, "%s", where);
        *v2 = !v1;
        found = true;
        if (v1)
            break;
    }
    fclose(f);
    return found;
}

struct mount {
    char root[PATH_LEN], point[PATH_LEN]; /* what is mounted, and where */
};

/* Where the hierarchy is mounted, from /proc/self/mountinfo:
 * "ID PARENT DEV ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPEROPTIONS". */
static bool find_mount(const char *root, const char *controller, bool v2, struct mount *m)
{
    char name[PATH_LEN], line[3 * PATH_LEN];
    snprintf(name, sizeof(name), "%s/proc/self/mountinfo", root);
    FILE *f = fopen(name, "re");
    bool found = false;
    if (f == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), f) != NULL) {
        char type[32], options[256];
        const char *dash = strstr(line, " - ");
        if (dash == NULL || sscanf(dash, " - %31s %*s %255s", type, options) != 2)
            continue;
        if (sscanf(line, "%*s %*s %*s %1023s %1023s", m->root, m->point) != 2)
            continue;
        found = v2 ? strcmp(type, "cgroup2") == 0
                   : strcmp(type, "cgroup") == 0 && holds_word(options, controller);
    }
    fclose(f);
    return found;
}

/* Our folder of a controller, as this mount shows it: inside a container the mount's root
 * is already a part of our path. */
static bool own_folder(const char *root, const char *controller, char *dir, size_t *top,
                       bool *v2)
{
    char path[PATH_LEN];
    struct mount m;
    if (!own_cgroup(root, controller, path, v2) || !find_mount(root, controller, *v2, &m))
        return false;
    size_t n = strcmp(m.root, "/") == 0 ? 0 : strlen(m.root);
    const char *below =
        strncmp(path, m.root, n) == 0 && (path[n] == '/' || path[n] == '\0') ? path + n
                                                                             : "";
    if (strstr(below, "/..") != NULL || strcmp(below, "/") == 0)
        below = "";
    *top = (size_t)snprintf(dir, PATH_LEN, "%s%s", root, m.point);
    return *top < PATH_LEN &&
           snprintf(dir + *top, PATH_LEN - *top, "%s", below) < (int)(PATH_LEN - *top);
}

/* Smallest of limit(folder) from our folder up to the mount point. */
static double smallest(char *dir, size_t top, double (*limit)(const char *dir),
                       double none)
{
    double least = none;
    for (;;) {
        double here = limit(dir);
        if (here >= 0 && (here < least || least < 0))
            least = here;
        char *slash = strrchr(dir, '/');
        if (slash == NULL || (size_t)(slash - dir) < top)
            return least;
        *slash = '\0';
    }
}

static int read_in(const char *dir, const char *file, char *line, size_t len)
{
    char path[PATH_LEN + 64];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    return nb_read_line(path, line, len);
}

/* Limits of one folder; negative: no such file. "max" and -1 are no limit. */
static double memory_of(const char *dir)
{
    char line[64];
    if (read_in(dir, "memory.max", line, sizeof(line)) != 0 &&
        read_in(dir, "memory.limit_in_bytes", line, sizeof(line)) != 0)
        return -1;
    return strcmp(line, "max") == 0 ? (double)SIZE_MAX : strtod(line, NULL);
}

static double cpus_of(const char *dir)
{
    char quota[64], period[64];
    double of = 0;
    if (read_in(dir, "cpu.max", quota, sizeof(quota)) == 0) {
        const char *space = strchr(quota, ' ');
        of = space != NULL ? strtod(space, NULL) : 0;
    } else if (read_in(dir, "cpu.cfs_quota_us", quota, sizeof(quota)) == 0 &&
               read_in(dir, "cpu.cfs_period_us", period, sizeof(period)) == 0) {
        of = strtod(period, NULL);
    } else {
        return -1;
    }
    double part = strtod(quota, NULL); /* "max": 0 */
    return part > 0 && of > 0 ? part / of : (double)SIZE_MAX;
}

size_t nb_cgroup_memory(const char *root)
{
    char dir[PATH_LEN];
    size_t top;
    bool v2;
    if (!own_folder(root, "memory", dir, &top, &v2))
        return SIZE_MAX;
    double least = smallest(dir, top, memory_of, -1);
    return least < 0 || least >= (double)SIZE_MAX ? SIZE_MAX : (size_t)least;
}

double nb_cgroup_cpus(const char *root)
{
    char dir[PATH_LEN];
    size_t top;
    bool v2;
    if (!own_folder(root, "cpu", dir, &top, &v2))
        return -1;
    double least = smallest(dir, top, cpus_of, -1);
    if (least < 0) /* v2's root folder has no cpu.max: nothing above us limits us */
        return v2 ? 0 : -1;
    return least >= (double)SIZE_MAX ? 0 : least;
}

FILE *nb_open_regular(const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    const bool known = fstat(fd, &st) == 0;
    FILE *f = known && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (f != NULL)
        return f;
    const int error = known && !S_ISREG(st.st_mode) ? S_ISDIR(st.st_mode) ? EISDIR : ENOTSUP : errno;
    (void)close(fd);
    errno = error;
    return NULL;
}

int nb_file_hash(const char *path, char hex[17])
{
    uint64_t hash = 0xcbf29ce484222325u;
    unsigned char part[1 << 14];
    size_t n;
    FILE *f = nb_open_regular(path);
    if (f == NULL)
        return errno;
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        for (size_t i = 0; i < n; i++)
            hash = (hash ^ part[i]) * 0x100000001b3u;
    const int error = ferror(f) ? errno != 0 ? errno : EIO : 0;
    fclose(f);
    snprintf(hex, 17, "%016llx", (unsigned long long)hash);
    return errno = error;
}

/* "cpuN USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL GUEST GUEST_NICE", N missing in the sum of all; guests'
 * time is in USER and NICE already. */
static bool jiffies_of(const char *line, int *cpu, struct nb_jiffies *j)
{
    unsigned long long v[8] = {0};
    const size_t n = strcspn(line, " ");
    if (strncmp(line, "cpu", 3) != 0 ||
        sscanf(line + n, "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4],
               &v[5], &v[6], &v[7]) != 8)
        return false;
    *cpu = n > 3 ? (int)strtol(line + 3, NULL, 10) : -1;
    *j = (struct nb_jiffies){0, v[3] + v[4], v[7]};
    for (int i = 0; i < 8; i++)
        j->total += v[i];
    return true;
}

int nb_read_jiffies(const char *root, const int *cpus, size_t n, struct nb_jiffies *each)
{
    char path[PATH_LEN], line[512];
    struct nb_jiffies j;
    size_t found = 0;
    int cpu;
    snprintf(path, sizeof(path), "%s/proc/stat", root);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return errno;
    while (found < n && fgets(line, sizeof(line), f) != NULL && jiffies_of(line, &cpu, &j))
        for (size_t i = 0; i < n; i++)
            if (cpus[i] == cpu) {
                each[i] = j;
                found++;
            }
    fclose(f);
    return found == n ? 0 : ENOENT;
}

double nb_steal_share(const struct nb_jiffies *before, const struct nb_jiffies *after)
{
    if (after->total <= before->total || after->steal < before->steal)
        return -1;
    return (double)(after->steal - before->steal) / (double)(after->total - before->total);
}
