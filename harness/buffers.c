#include "buffers.h"

#include "sysread.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, CANARY = 0xC5 };

/* Canaries reach at most one page to either side of the data: beyond lies a guard page or memory
 * that was never touched. */
static void canary_range(const struct nb_buffer *b, char **low, char **low_end, char **high,
                         char **high_end)
{
    char *inside = b->map + PAGE, *end = b->map + b->map_bytes - PAGE;
    *low_end = b->data;
    *low = b->data - inside > PAGE ? b->data - PAGE : inside;
    *high = b->data + b->bytes;
    *high_end = end - *high > PAGE ? *high + PAGE : end;
}

/* Live mappings, for nb_buffer_guard; one that finds no place is merely not recognized there. */
static struct {
    const char *map, *name;
    size_t bytes;
} live[64];
enum { LIVE = sizeof live / sizeof *live };

static void set_live(const char *old, const char *map, size_t bytes)
{
    for (size_t i = 0; i < LIVE; i++)
        if (live[i].map == old) {
            live[i].bytes = bytes;
            live[i].map = map;
            live[i].name = NULL;
            return;
        }
}

void nb_buffer_name(struct nb_buffer *b, const char *name)
{
    b->name = name;
    for (size_t i = 0; i < LIVE && b->map != NULL; i++)
        if (live[i].map == b->map)
            live[i].name = name;
}

static const char *const BEFORE = "before", *const BEHIND = "behind";

struct nb_guard nb_buffer_guard(const void *addr)
{
    const uintptr_t a = (uintptr_t)addr;
    for (size_t i = 0; i < LIVE; i++) {
        const uintptr_t first = (uintptr_t)live[i].map, end = first + live[i].bytes;
        if (live[i].map != NULL && a >= first && a < first + PAGE)
            return (struct nb_guard){BEFORE, live[i].name};
        if (live[i].map != NULL && a >= end - PAGE && a < end)
            return (struct nb_guard){BEHIND, live[i].name};
    }
    return (struct nb_guard){NULL, NULL};
}

/* Memory that other processes map too. */
static struct {
    int fd; /* -1: none */
    size_t used;
} common = {.fd = -1};

enum nb_status nb_buffer_share(const char *path, struct nb_err *err)
{
    if (common.fd >= 0)
        close(common.fd);
    common.fd = -1;
    common.used = 0;
    if (path == NULL)
        return NB_OK;
    common.fd = open(path, O_RDWR | O_CLOEXEC);
    return common.fd >= 0 ? NB_OK : nb_fail(err, "cannot share the memory of %s: %s", path, strerror(errno));
}

/* The inside of a mapping becomes the next so many bytes of the common memory. */
static bool make_common(char *inside, size_t bytes)
{
    struct stat st;
    const size_t at = common.used;
    if (common.fd < 0)
        return true;
    common.used += bytes;
    if (fstat(common.fd, &st) != 0 ||
        ((size_t)st.st_size < common.used && ftruncate(common.fd, (off_t)common.used) != 0))
        return false;
    return mmap(inside, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, common.fd, (off_t)at) != MAP_FAILED;
}

static enum nb_status map(struct nb_buffer *b, size_t bytes, size_t room, struct nb_err *err)
{
    const size_t inside = (bytes + room + PAGE - 1) / PAGE * PAGE;
    *b = (struct nb_buffer){.bytes = bytes, .map_bytes = inside + 2 * PAGE};
    void *p = mmap(NULL, b->map_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return nb_fail(err, "cannot map %zu bytes: %s; choose smaller --rows or --hidden",
                       b->map_bytes, strerror(errno));
    b->map = p;
    if (!make_common(b->map + PAGE, inside)) {
        munmap(p, b->map_bytes);
        *b = (struct nb_buffer){0};
        return nb_fail(err, "cannot map common memory: %s", strerror(errno));
    }
    if (mprotect(b->map, PAGE, PROT_NONE) != 0 ||
        mprotect(b->map + PAGE + inside, PAGE, PROT_NONE) != 0) {
        munmap(p, b->map_bytes);
        *b = (struct nb_buffer){0};
        return nb_fail(err, "cannot protect guard pages: %s", strerror(errno));
    }
    set_live(NULL, b->map, b->map_bytes);
    return NB_OK;
}

static void write_canaries(struct nb_buffer *b)
{
    char *low, *low_end, *high, *high_end;
    canary_range(b, &low, &low_end, &high, &high_end);
    memset(low, CANARY, (size_t)(low_end - low));
    memset(high, CANARY, (size_t)(high_end - high));
}

enum nb_status nb_buffer_map(struct nb_buffer *b, size_t bytes, size_t offset, bool huge,
                             struct nb_err *err)
{
    const size_t huge_page = (size_t)2 << 20;
    huge = huge && common.fd < 0; /* else where data begins would depend on where each process maps it */
    const size_t align = huge ? huge_page : PAGE;
    NB_ASSERT(offset < PAGE);
    enum nb_status s = map(b, bytes, align + 2 * PAGE, err);
    if (s != NB_OK)
        return s;
    const uintptr_t first = (uintptr_t)b->map + PAGE;
    b->data = (char *)((first + align - 1) / align * align) + offset;
    if (huge) /* a request; nb_buffer_huge_bytes tells how many came */
        (void)madvise(b->map + PAGE, b->map_bytes - 2 * PAGE, MADV_HUGEPAGE);
    write_canaries(b);
    return NB_OK;
}

enum nb_status nb_buffer_map_tail(struct nb_buffer *b, size_t bytes, struct nb_err *err)
{
    enum nb_status s = map(b, bytes, 0, err);
    if (s != NB_OK)
        return s;
    b->data = b->map + b->map_bytes - PAGE - bytes;
    write_canaries(b);
    return NB_OK;
}

void nb_buffer_free(struct nb_buffer *b)
{
    if (b->map != NULL) {
        set_live(b->map, NULL, 0);
        munmap(b->map, b->map_bytes);
    }
    *b = (struct nb_buffer){0};
}

static bool all_canary(const char *p, const char *end)
{
    for (; p < end; p++)
        if ((unsigned char)*p != CANARY)
            return false;
    return true;
}

void nb_buffer_repair(struct nb_buffer *b)
{
    if (b->map != NULL)
        write_canaries(b);
}

double nb_buffer_huge_bytes(void)
{
    char text[32];
    if (nb_read_key("/proc/self/smaps_rollup", "AnonHugePages", text, sizeof text) != 0)
        return -1;
    return 1024 * strtod(text, NULL); /* "2048 kB" */
}

const char *nb_buffer_damage(const struct nb_buffer *b)
{
    if (b->map == NULL)
        return NULL;
    char *low, *low_end, *high, *high_end;
    canary_range(b, &low, &low_end, &high, &high_end);
    return !all_canary(low, low_end) ? BEFORE : !all_canary(high, high_end) ? BEHIND : NULL;
}

bool nb_buffer_canaries_intact(const struct nb_buffer *b)
{
    return nb_buffer_damage(b) == NULL;
}

uint64_t nb_hash_bytes(uint64_t start, const void *data, size_t bytes)
{
    const uint64_t prime = 0x9fb21c651e98df25u;
    const char *p = data;
    uint64_t h = start ^ (bytes * prime);
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * prime;
        h ^= h >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, p, bytes);
    h = (h ^ rest) * prime;
    return h ^ (h >> 29);
}

void *nb_shared_map(size_t bytes)
{
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NB_ASSERT(p != MAP_FAILED);
    return p;
}
