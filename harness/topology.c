#define _GNU_SOURCE /* sched_getcpu */

#include "topology.h"

#include "sysread.h"

#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* One CPU a core, in hwloc's logical order: neighbours in the list share caches first. */
struct impl {
    hwloc_topology_t hwloc;
    unsigned *cpus;
};

/* hwloc knows no cores on some Arm systems and in some containers: there each CPU is one.
 */
static hwloc_obj_type_t core_type(hwloc_topology_t h)
{
    return hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE
                                                           : HWLOC_OBJ_PU;
}

static unsigned count(hwloc_topology_t h, hwloc_obj_type_t type)
{
    int n = hwloc_get_nbobjs_by_type(h, type);
    return n > 0 ? (unsigned)n : 0;
}

/* Hardware threads of a core, those outside our cpuset included: a sibling that others
 * use hurts. */
static unsigned hardware_threads(hwloc_topology_t h)
{
    unsigned most = 1;
    hwloc_obj_t core = NULL;
    while ((core = hwloc_get_next_obj_by_type(h, HWLOC_OBJ_CORE, core)) != NULL) {
        int n = hwloc_bitmap_weight(core->complete_cpuset);
        if (n > (int)most)
            most = (unsigned)n;
    }
    return most;
}

/* Size of the smallest instance (a thread must fit wherever it runs) and the most usable
 * cores that share one. */
static size_t cache_size(hwloc_topology_t h, hwloc_obj_type_t type, unsigned *cores)
{
    size_t least = 0;
    hwloc_obj_t cache = NULL;
    *cores = 1;
    while ((cache = hwloc_get_next_obj_by_type(h, type, cache)) != NULL) {
        size_t size = cache->attr->cache.size;
        if (size > 0 && (least == 0 || size < least))
            least = size;
        int n = hwloc_get_nbobjs_inside_cpuset_by_type(h, cache->cpuset, core_type(h));
        if (n > (int)*cores)
            *cores = (unsigned)n;
    }
    return least;
}

/* For data that must not stay in L3: its largest instance, and the fewest usable cores of one, hence the
 * most instances that some threads may reach. */
static void last_level(hwloc_topology_t h, struct nb_topology *t)
{
    hwloc_obj_t cache = NULL;
    t->llc_cores = t->cores > 0 ? t->cores : 1;
    while ((cache = hwloc_get_next_obj_by_type(h, HWLOC_OBJ_L3CACHE, cache)) != NULL) {
        const int n = hwloc_get_nbobjs_inside_cpuset_by_type(h, cache->cpuset, core_type(h));
        t->llcs++;
        if (cache->attr->cache.size > t->llc)
            t->llc = cache->attr->cache.size;
        if (n > 0 && (unsigned)n < t->llc_cores)
            t->llc_cores = (unsigned)n;
    }
}

static size_t usable_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t total = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
    size_t limit = nb_cgroup_memory("");
    return total == 0 || limit < total ? limit : total;
}

/* Cuts the topology down to the CPUs on which the calling thread may run. */
static enum nb_status restrict_to_affinity(hwloc_topology_t h, struct nb_err *err)
{
    hwloc_bitmap_t ours = hwloc_bitmap_alloc();
    enum nb_status status = NB_OK;
    if (ours == NULL)
        return nb_fail(err, "out of memory");
    if (hwloc_get_cpubind(h, ours, HWLOC_CPUBIND_THREAD) != 0)
        status =
            nb_fail(err, "the CPUs of this process cannot be read: %s", strerror(errno));
    else if (hwloc_topology_restrict(h, ours, HWLOC_RESTRICT_FLAG_REMOVE_CPULESS) != 0)
        status = nb_fail(err, "none of the CPUs of this process is known to hwloc: %s",
                         strerror(errno));
    else
        hwloc_topology_refresh(h); /* later calls may come from several threads */
    hwloc_bitmap_free(ours);
    return status;
}

static enum nb_status list_cpus(struct impl *impl, unsigned cores, struct nb_err *err)
{
    hwloc_obj_t core = NULL;
    impl->cpus = calloc(cores, sizeof(*impl->cpus));
    if (cores == 0 || impl->cpus == NULL)
        return nb_fail(err, "no core is usable: the cpuset is empty or memory is short");
    for (unsigned i = 0; i < cores; i++) {
        core = hwloc_get_next_obj_by_type(impl->hwloc, core_type(impl->hwloc), core);
        impl->cpus[i] = (unsigned)hwloc_bitmap_first(core->cpuset);
    }
    return NB_OK;
}

enum nb_status nb_topology_load(struct nb_topology *t, struct nb_err *err)
{
    struct impl *impl = calloc(1, sizeof(*impl));
    memset(t, 0, sizeof(*t));
    setenv("HWLOC_PLUGINS_PATH", "/nonexistent", 0); /* X11, OpenCL and XML: 5 ms in each process, for nothing here */
    if (impl == NULL || hwloc_topology_init(&impl->hwloc) != 0) {
        free(impl);
        return nb_fail(err, "out of memory");
    }
    t->impl = impl;
    hwloc_topology_t h = impl->hwloc;
    enum nb_status status;
    if (hwloc_topology_load(h) != 0) {
        status = nb_fail(err, "hwloc cannot read this machine: %s", strerror(errno));
        goto out;
    }
    t->smt = hardware_threads(h);
    status = restrict_to_affinity(h, err);
    if (status != NB_OK)
        goto out;
    t->cores = count(h, core_type(h));
    t->cpus = count(h, HWLOC_OBJ_PU);
    t->numa_nodes = count(h, HWLOC_OBJ_NUMANODE);
    unsigned alone;
    t->l1d = cache_size(h, HWLOC_OBJ_L1CACHE, &alone);
    t->l2 = cache_size(h, HWLOC_OBJ_L2CACHE, &t->l2_cores);
    t->l3 = cache_size(h, HWLOC_OBJ_L3CACHE, &t->l3_cores);
    last_level(h, t);
    t->memory = usable_memory();
    status = list_cpus(impl, t->cores, err);
out:
    if (status != NB_OK)
        nb_topology_free(t);
    return status;
}

void nb_topology_free(struct nb_topology *t)
{
    struct impl *impl = t->impl;
    if (impl == NULL)
        return;
    hwloc_topology_destroy(impl->hwloc);
    free(impl->cpus);
    free(impl);
    t->impl = NULL;
}

size_t nb_topology_llc(const struct nb_topology *t, unsigned threads)
{
    if (t->llc == 0)
        return NB_LLC_UNKNOWN;
    const unsigned spanned = (threads + t->llc_cores - 1) / t->llc_cores;
    return t->llc * (spanned < t->llcs ? spanned : t->llcs);
}

unsigned nb_topology_cpu(const struct nb_topology *t, unsigned i)
{
    const struct impl *impl = t->impl;
    NB_ASSERT(impl != NULL && i < t->cores);
    return impl->cpus[i];
}

void nb_topology_cpuset(const struct nb_topology *t, char *text, size_t len)
{
    const struct impl *impl = t->impl;
    hwloc_bitmap_list_snprintf(text, len,
                               hwloc_topology_get_topology_cpuset(impl->hwloc));
}

enum nb_status nb_topology_bind(const struct nb_topology *t, unsigned i,
                                struct nb_err *err)
{
    const struct impl *impl = t->impl;
    unsigned cpu = nb_topology_cpu(t, i);
    if (!hwloc_topology_is_thissystem(impl->hwloc))
        return nb_fail(
            err, "hwloc describes another machine than this one, so no thread can be "
                 "bound: unset HWLOC_SYNTHETIC and HWLOC_XMLFILE");
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL)
        return nb_fail(err, "out of memory");
    hwloc_bitmap_only(set, cpu);
    int rc =
        hwloc_set_cpubind(impl->hwloc, set, HWLOC_CPUBIND_THREAD | HWLOC_CPUBIND_STRICT);
    int error = errno;
    hwloc_bitmap_free(set);
    if (rc != 0)
        return nb_fail(err, "a thread cannot be bound to CPU %u: %s", cpu,
                       strerror(error));
    int now = sched_getcpu();
    if (now != (int)cpu)
        return nb_fail(err, "a thread was bound to CPU %u but runs on CPU %d", cpu, now);
    return NB_OK;
}

/* O_NONBLOCK: a FIFO somebody left in the lock's place must not make us wait. Files of
 * other users may be closed to writing, by mode or by fs.protected_regular; a read-only
 * file locks as well. */
static int open_lock(const char *path)
{
    const int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    int fd = open(path, O_RDWR | O_CREAT | flags, 0666);
    if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
        fd = open(path, O_RDONLY | flags);
    return fd;
}

/* Process that wrote its number into a lock, if it is still alive; 0: not known. */
static long lock_holder(int fd)
{
    char text[32] = "";
    if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
        return 0;
    long pid = strtol(text, NULL, 10);
    if (pid <= 0 || pid > INT32_MAX)
        return 0;
    return kill((pid_t)pid, 0) == 0 || errno == EPERM ? pid : 0;
}

/* Best effort: the text only makes the error message of others more helpful. Never
 * written into a file that is not ours. */
static void sign_lock(int fd, const struct stat *s)
{
    if (s->st_uid != geteuid())
        return;
    char text[32];
    int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return;
}

static enum nb_status refused(unsigned cpu, int fd, struct nb_err *err)
{
    long pid = lock_holder(fd);
    char who[48] = "pid not known";
    if (pid > 0)
        snprintf(who, sizeof(who), "pid %ld", pid);
    return nb_fail(
        err,
        "CPU %u is in use by another normbench run (%s); wait for it to end or choose "
        "other cores with taskset",
        cpu, who);
}

static enum nb_status lock_cpu(unsigned cpu, int *out, struct nb_err *err)
{
    const char *dir = getenv("NB_LOCK_DIR");
    char path[512];
    struct stat s;
    snprintf(path, sizeof(path), "%s/normbench-cpu%u.lock",
             dir != NULL && *dir != '\0' ? dir : "/tmp", cpu);
    int fd = open_lock(path);
    if (fd < 0)
        return nb_fail(err, "the lock of CPU %u, %s, cannot be opened: %s%s", cpu, path,
                       strerror(errno),
                       errno == ELOOP ? " (a symbolic link: remove it)" : "");
    enum nb_status status = NB_ERROR;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_nlink != 1)
        nb_fail(err, "the lock of CPU %u, %s, is no plain file of its own: remove it",
                cpu, path);
    else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        status = NB_OK;
    else if (errno == EWOULDBLOCK)
        refused(cpu, fd, err);
    else
        nb_fail(err, "CPU %u cannot be locked with %s: %s", cpu, path, strerror(errno));
    if (status != NB_OK) {
        close(fd);
        return status;
    }
    sign_lock(fd, &s);
    *out = fd;
    return NB_OK;
}

enum nb_status nb_cpulock_take(const struct nb_topology *t, unsigned n,
                               struct nb_cpulock *lock, struct nb_err *err)
{
    NB_ASSERT(n <= t->cores);
    lock->count = 0;
    lock->fds = calloc(n > 0 ? n : 1, sizeof(*lock->fds));
    if (lock->fds == NULL)
        return nb_fail(err, "out of memory");
    for (unsigned i = 0; i < n; i++) {
        if (lock_cpu(nb_topology_cpu(t, i), &lock->fds[i], err) != NB_OK) {
            nb_cpulock_release(lock);
            return NB_ERROR;
        }
        lock->count++;
    }
    return NB_OK;
}

/* The files stay: removing one would race with a run that has just opened it. */
void nb_cpulock_release(struct nb_cpulock *lock)
{
    for (unsigned i = 0; i < lock->count; i++)
        close(lock->fds[i]);
    free(lock->fds);
    lock->fds = NULL;
    lock->count = 0;
}
