#define _GNU_SOURCE /* CPU_*, MADV_NOHUGEPAGE */

#include "known_loops.h"

#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 64u                     /* copies of an instruction in one turn */
#define TURN_INSTRUCTIONS (BLOCK + 2) /* and the count of turns with its branch */
#define LINE 64u

/* One turn is BLOCK copies of BODY. At least one turn. */
#if defined(__x86_64__)
#define KIND "x86-64"
#define TURNS(body) "1:\n\t.rept 64\n\t" body "\n\t.endr\n\tsub $1, %[turns]\n\tjnz 1b"
#define ADD "add %[y], %[x]"
#define LOAD "movq (%[p]), %[x]"
#define STORE "movq %[x], (%[p])"
#elif defined(__aarch64__)
#define KIND "aarch64"
#define TURNS(body) "1:\n\t.rept 64\n\t" body "\n\t.endr\n\tsubs %[turns], %[turns], #1\n\tb.ne 1b"
#define ADD "add %[x], %[x], %[y]"
#define LOAD "ldr %[x], [%[p]]"
#define STORE "str %[x], [%[p]]"
#else
#define KIND "portable"
#endif

const char *nb_known_loops_kind(void)
{
    return KIND;
}

static uint64_t turns_of(size_t n)
{
    return n >= BLOCK ? n / BLOCK : 1;
}

/* ---- instructions, cycles, loads ---- */

/* Each add waits for the last; both operands are registers whose values nobody can know, so that no core
 * folds the chain while it renames. */
static double chain(size_t n)
{
    uint64_t x = 0, y = 1, turns = turns_of(n);
    const double adds = (double)turns * BLOCK;
#ifdef TURNS
    __asm__ volatile(TURNS(ADD) : [x] "+r"(x), [turns] "+r"(turns) : [y] "r"(y) : "cc");
#else
    for (turns *= BLOCK; turns > 0; turns--) {
        x += y;
        __asm__ volatile("" : "+r"(x), "+r"(y));
    }
#endif
    return adds;
}

static double chain_cycles(struct nb_lab *lab, size_t n)
{
    (void)lab;
    return chain(n);
}

static double chain_instructions(struct nb_lab *lab, size_t n)
{
    (void)lab;
#ifdef TURNS
    return chain(n) / BLOCK * TURN_INSTRUCTIONS;
#else
    return 2 * chain(n); /* the add and at least half of the count, compare and branch that go with it */
#endif
}

static double loads(struct nb_lab *lab, size_t n)
{
    (void)lab;
    uint64_t cell = 1, turns = turns_of(n);
    const double made = (double)turns * BLOCK;
#ifdef TURNS
    uint64_t x = 0;
    __asm__ volatile(TURNS(LOAD) : [x] "+r"(x), [turns] "+r"(turns) : [p] "r"(&cell), "m"(cell) : "cc");
#else
    for (turns *= BLOCK; turns > 0; turns--)
        (void)*(volatile uint64_t *)&cell;
#endif
    return made;
}

static void stores(struct nb_lab *lab, size_t n)
{
    (void)lab;
    uint64_t cell = 1, turns = turns_of(n);
#ifdef TURNS
    uint64_t x = 0;
    __asm__ volatile(TURNS(STORE) : [x] "+r"(x), [turns] "+r"(turns), "=m"(cell) : [p] "r"(&cell) : "cc");
#else
    for (turns *= BLOCK; turns > 0; turns--)
        *(volatile uint64_t *)&cell = turns;
#endif
}

/* ---- branches ---- */

/* Of n branches each is taken where the top bit of a linear congruential generator (Knuth's MMIX) is set
 * under mask: no predictor does better than half, or, with no bit in the mask, worse than never. */
static uint64_t branches(uint64_t random, size_t n, uint64_t mask)
{
    const uint64_t a = 6364136223846793005u, c = 1442695040888963407u;
#if defined(__x86_64__)
    __asm__ volatile("1:\n\timul %[a], %[x]\n\tadd %[c], %[x]\n\ttest %[mask], %[x]\n\tjs 2f\n\tnop\n2:\n\t"
                     "sub $1, %[n]\n\tjnz 1b"
                     : [x] "+r"(random), [n] "+r"(n)
                     : [a] "r"(a), [c] "r"(c), [mask] "r"(mask)
                     : "cc");
#elif defined(__aarch64__)
    __asm__ volatile("1:\n\tmadd %[x], %[x], %[a], %[c]\n\ttst %[x], %[mask]\n\tb.mi 2f\n\tnop\n2:\n\t"
                     "subs %[n], %[n], #1\n\tb.ne 1b"
                     : [x] "+r"(random), [n] "+r"(n)
                     : [a] "r"(a), [c] "r"(c), [mask] "r"(mask)
                     : "cc");
#else
    for (; n > 0; n--) {
        random = random * a + c;
        if ((random & mask) >> 63)
            __asm__ volatile("nop"); /* may not be executed where it is not asked for: it stays behind a branch */
    }
#endif
    return random;
}

static double random_branches(struct nb_lab *lab, size_t n)
{
    lab->random = branches(lab->random, n, (uint64_t)1 << 63);
    return (double)n / 2;
}

static void steady_branches(struct nb_lab *lab, size_t n)
{
    lab->random = branches(lab->random, n, 0);
}

/* ---- caches and TLB ---- */

static void *no_huge_pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, bytes, MADV_NOHUGEPAGE); /* fails where there are none anyway */
    return p;
}

void nb_lab_free(struct nb_lab *lab)
{
    if (lab->cold != NULL)
        munmap((void *)lab->cold, lab->pages * NB_LAB_SPREAD * lab->page);
    *lab = (struct nb_lab){0};
}

/* The page after this one in an order that visits each once and that no prefetcher foresees (a generator
 * of full period: pages is a power of two). */
static size_t page_after(const struct nb_lab *lab, size_t i)
{
    return (i * 1664525u + 1013904223u) & (lab->pages - 1);
}

/* A line of the page, another one in each, so that all sets of a cache are used. */
static volatile char *line_of(const struct nb_lab *lab, size_t i)
{
    const size_t line = (uint32_t)(i * 2654435761u) >> 16;
    return lab->cold + i * NB_LAB_SPREAD * lab->page + line % (lab->page / LINE) * LINE;
}

#if defined(__x86_64__) || defined(__aarch64__)
/* More pages than any TLB has entries, and no two of them neighbours: some TLBs keep four neighbours in one
 * entry. Large pages: fewer, so that they take no more than 256 MiB. */
static bool map_cold(struct nb_lab *lab)
{
    if (lab->cold != NULL)
        return true;
    lab->page = (size_t)sysconf(_SC_PAGESIZE);
    lab->pages = lab->page <= 32768 ? 8192 : 4096;
    lab->cold = no_huge_pages(lab->pages * NB_LAB_SPREAD * lab->page);
    for (size_t i = 0; lab->cold != NULL && i < lab->pages; i++)
        lab->cold[i * NB_LAB_SPREAD * lab->page] = 1;
    return lab->cold != NULL;
}

static void flush_line(volatile char *p)
{
#if defined(__x86_64__)
    __asm__ volatile("clflush %0" ::"m"(*p) : "memory");
#else
    __asm__ volatile("dc civac, %0" ::"r"(p) : "memory");
#endif
}

/* Takes the lines out of every cache. What it touched last is what a TLB still holds: none of it is among
 * what a quarter of the loop reads. */
static bool flush(struct nb_lab *lab)
{
    size_t i = 0;
    if (!map_cold(lab))
        return false;
    for (size_t k = 0; k < lab->pages; k++, i = page_after(lab, i))
        flush_line(line_of(lab, i));
#if defined(__x86_64__)
    __asm__ volatile("mfence" ::: "memory");
#else
    __asm__ volatile("dsb sy" ::: "memory");
#endif
    return true;
}
#else
static bool flush(struct nb_lab *lab)
{
    (void)lab;
    return false;
}
#endif

/* One line of each page, or of the first n of them. */
static double cold_lines(struct nb_lab *lab, size_t n)
{
    size_t i = 0;
    n = n < lab->pages ? n : lab->pages;
    for (size_t k = 0; k < n; k++, i = page_after(lab, i))
        (void)*line_of(lab, i);
    return (double)n;
}

/* As many reads, of 16 pages: every level holds them. */
static void warm_lines(struct nb_lab *lab, size_t n)
{
    for (size_t k = 0; k < n; k++)
        (void)*line_of(lab, k % 16);
}

/* ---- what the kernel counts ---- */

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static double busy_ns(struct nb_lab *lab, size_t n)
{
    (void)lab;
    const double from = cpu_ns();
    chain(n);
    return cpu_ns() - from;
}

static double fresh_pages(struct nb_lab *lab, size_t n)
{
    (void)lab;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    volatile char *p = no_huge_pages(n * page);
    if (p == NULL)
        return 0;
    for (size_t i = 0; i < n; i++)
        p[i * page] = 1;
    munmap((void *)p, n * page);
    return (double)n;
}

static double short_sleeps(struct nb_lab *lab, size_t n)
{
    (void)lab;
    const struct timespec t = {0, 50000};
    for (size_t i = 0; i < n; i++)
        nanosleep(&t, NULL);
    return (double)n;
}

static bool move_to(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one) == 0;
}

/* The first CPU of a set that is not this one; -1: none. */
static int other_cpu(const cpu_set_t *set, int than)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (cpu != than && CPU_ISSET(cpu, set))
            return cpu;
    return -1;
}

/* From each CPU to another of those that the thread may use. */
static double moves(struct nb_lab *lab, size_t n)
{
    (void)lab;
    cpu_set_t all;
    size_t made = 0;
    if (sched_getaffinity(0, sizeof(all), &all) != 0)
        return 0;
    for (int there; made < n; made++)
        if ((there = other_cpu(&all, sched_getcpu())) < 0 || !move_to(there))
            break;
    return sched_setaffinity(0, sizeof(all), &all) == 0 && made == n ? (double)n : 0;
}

/* ---- proofs ---- */

#define ADDS "dependent adds"
#define COLD .n = 8192, .prepare = flush, .run = cold_lines, .control = warm_lines, .control_loop = "warm reads"
#define COLD_LOOP "reads of one line of each page of a flushed buffer"

/* Why each band is as it is: docs/measurement.md, Counters. */
static const struct nb_proof proofs[NB_EV_COUNT] = {
#ifdef TURNS
    [NB_EV_CYCLES] = {.loop = ADDS, .n = 2000000, .lo = 0.9, .hi = 1.3, .run = chain_cycles},
    [NB_EV_INSTRUCTIONS] = {.loop = ADDS, .n = 2000000, .lo = 0.95, .hi = 1.05, .run = chain_instructions},
#else
    [NB_EV_CYCLES] = {.loop = ADDS, .n = 2000000, .lo = 0.9, .hi = 3, .run = chain_cycles},
    [NB_EV_INSTRUCTIONS] = {.loop = ADDS, .n = 2000000, .lo = 0.75, .hi = 2.5, .run = chain_instructions},
#endif
    [NB_EV_LOADS] = {.loop = "loads", .n = 2000000, .lo = 0.9, .hi = 1.3, .run = loads,
                     .control = stores, .control_loop = "stores"},
    [NB_EV_L1D_MISSES] = {.loop = COLD_LOOP, .lo = 0.7, .hi = 3, COLD},
    [NB_EV_L2_MISSES] = {.loop = COLD_LOOP, .lo = 0.7, .hi = 3, COLD},
    [NB_EV_LLC_MISSES] = {.loop = COLD_LOOP, .lo = 0.7, .hi = 3, COLD},
    [NB_EV_DTLB_MISSES] = {.loop = COLD_LOOP, .lo = 0.7, .hi = 2, COLD},
    [NB_EV_BRANCH_MISSES] = {.loop = "random branches", .n = 100000, .lo = 0.8, .hi = 1.4,
                             .run = random_branches, .control = steady_branches,
                             .control_loop = "branches that are never taken"},
    [NB_EV_TASK_CLOCK] = {.loop = ADDS " by the thread's CPU clock", .n = 2000000, .lo = 0.8, .hi = 1.5,
                          .run = busy_ns},
    [NB_EV_PAGE_FAULTS] = {.loop = "first touches of a page", .n = 256, .lo = 0.98, .hi = 1.2,
                           .run = fresh_pages},
    [NB_EV_CONTEXT_SWITCHES] = {.loop = "short sleeps", .n = 16, .lo = 0.9, .hi = 4, .run = short_sleeps},
    [NB_EV_MIGRATIONS] = {.loop = "moves to another CPU of this thread's", .n = 8, .lo = 0.9, .hi = 2,
                          .run = moves},
};

const struct nb_proof *nb_proof_of(enum nb_event e)
{
    NB_ASSERT(e < NB_EV_COUNT);
    return &proofs[e];
}
