/* sysread.h: small facts from /proc, /sys and the cgroup file systems.
 *
 * root is put before every path: "" on this system, a folder that holds proc/ and sys/ in
 * tests. */
#ifndef NB_SYSREAD_H
#define NB_SYSREAD_H

#include <stddef.h>
#include <stdio.h>

/* First line of a file without its newline. Returns 0, or an errno value. */
int nb_read_line(const char *path, char *line, size_t len);

/* Value of "KEY : value" in a file such as /proc/cpuinfo: the first one found, spaces
 * around it cut. Returns 0, or an errno value (ENOENT: no such key). */
int nb_read_key(const char *path, const char *key, char *value, size_t len);

/* Memory limit in bytes of our cgroup or of any above it, v1 or v2. SIZE_MAX: no limit.
 */
size_t nb_cgroup_memory(const char *root);

/* CPU bandwidth limit of our cgroup or of any above it, in CPUs (1.5: one and a half).
 * 0: no limit; negative: unknown, no cgroup could be read. */
double nb_cgroup_cpus(const char *root);

/* Time of each of n CPUs (-1: of all together) since the system started, at one moment, in ticks of
 * sysconf(_SC_CLK_TCK), mostly 10 ms: all of it, idle (waiting for a disk included), and stolen by a hypervisor.
 * Returns 0, or an errno value (ENOENT: no such CPU). */
struct nb_jiffies {
    unsigned long long total, idle, steal;
};
int nb_read_jiffies(const char *root, const int *cpus, size_t n, struct nb_jiffies *each);

/* Share of stolen time in all of it between two moments; negative: not known, since no tick has passed or the
 * counts went back. */
double nb_steal_share(const struct nb_jiffies *before, const struct nb_jiffies *after);

/* For reading; NULL, and errno, where that is no regular file: a FIFO would block, a device never end. */
FILE *nb_open_regular(const char *path);

/* FNV-1a, 64 bits, of a file's bytes, as 16 hex digits. Returns 0, or an errno value (also in errno). */
int nb_file_hash(const char *path, char hex[17]);

#endif
