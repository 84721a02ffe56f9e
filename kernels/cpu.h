/* cpu.h: what this CPU and operating system can execute. */
#ifndef NB_CPU_H
#define NB_CPU_H

#include <stddef.h>
#include <stdint.h>

/* Detects features (CPUID and XCR0 on x86, getauxval on Arm), then removes those listed in the
 * environment variable NB_DISABLE_ISA (comma-separated: avx2, avx512, avx512bf16, neon).
 * Returns 0, or -1 with bad_word filled when the list holds an unknown word. */
int nb_cpu_init(char *bad_word, size_t len);

uint32_t nb_cpu_bits(void);         /* enum nb_cpu_bits, after nb_cpu_init */
const char *nb_cpu_bit_name(uint32_t one_bit);
uint32_t nb_cpu_disabled(void);     /* bits the CPU has but NB_DISABLE_ISA removed */

/* 1 when floating-point subnormals are flushed on the calling thread (FTZ or DAZ; FZ on Arm). */
int nb_cpu_flushes_subnormals(void);

uint64_t nb_cpu_ticks(void);        /* TSC on x86; 0 where there is no user-readable cycle-like counter */

#endif
