#include "cpu.h"

#include <stdlib.h>
#include <string.h>

#include "nb_kernel.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

static uint32_t present, disabled; /* set once by nb_cpu_init */

static const struct {
    const char *word;
    uint32_t bit;
} names[] = {
    {"avx2", NB_CPU_AVX2},
    {"avx512", NB_CPU_AVX512},
    {"avx512bf16", NB_CPU_AVX512_BF16},
    {"neon", NB_CPU_NEON},
};
enum { NAMES = sizeof names / sizeof names[0] };

#if defined(__x86_64__)
/* Register state the operating system saves on a context switch. */
static uint64_t saved_state(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool all_of(uint64_t word, uint64_t bits)
{
    return (word & bits) == bits;
}

static uint32_t detect(void)
{
    const uint64_t ymm = 0x6,
                   zmm = 0xe6; /* XCR0: SSE and AVX; with opmask, ZMM0-15 and ZMM16-31 */
    const uint32_t avx = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    uint32_t a, b, c, d, bits = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !all_of(c, avx) || !all_of(saved_state(), ymm))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2))
        return 0;
    bits |= NB_CPU_AVX2;
    if (!all_of(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL) ||
        !all_of(saved_state(), zmm))
        return bits;
    bits |= NB_CPU_AVX512;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVX512BF16))
        bits |= NB_CPU_AVX512_BF16;
    return bits;
}

int nb_cpu_flushes_subnormals(void)
{
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return (mxcsr & 0x8040) != 0; /* FTZ, DAZ */
}

uint64_t nb_cpu_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

#elif defined(__aarch64__)
static uint32_t detect(void)
{
    const unsigned long asimd = 1ul << 1; /* HWCAP_ASIMD */
    return getauxval(AT_HWCAP) & asimd ? NB_CPU_NEON : 0;
}

int nb_cpu_flushes_subnormals(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return (fpcr >> 24 & 1) != 0; /* FZ */
}

uint64_t nb_cpu_ticks(void)
{
    return 0; /* CNTVCT_EL0 counts far slower than cycles */
}

#else
static uint32_t detect(void)
{
    return 0;
}

int nb_cpu_flushes_subnormals(void)
{
    return 0;
}

uint64_t nb_cpu_ticks(void)
{
    return 0;
}
#endif

/* 0: no such word */
static uint32_t bit_of(const char *word, size_t len)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strlen(names[i].word) == len && memcmp(names[i].word, word, len) == 0)
            return names[i].bit;
    return 0;
}

int nb_cpu_init(char *bad_word, size_t len)
{
    const char *list = getenv("NB_DISABLE_ISA");
    uint32_t off = 0;
    while (list && *list) {
        const size_t word = strcspn(list, ",");
        const uint32_t bit = bit_of(list, word);
        if (word > 0 && !bit) {
            if (len > 0) {
                const size_t n = word < len ? word : len - 1;
                memcpy(bad_word, list, n);
                bad_word[n] = '\0';
            }
            return -1;
        }
        off |= bit;
        list += word + (list[word] == ',');
    }
    const uint32_t all = detect();
    present = all & ~off;
    disabled = all & off;
    return 0;
}

uint32_t nb_cpu_bits(void)
{
    return present;
}

uint32_t nb_cpu_disabled(void)
{
    return disabled;
}

const char *nb_cpu_bit_name(uint32_t one_bit)
{
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].bit == one_bit)
            return names[i].word;
    return "unknown";
}
