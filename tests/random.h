/* random.h: seeded numbers for tests of the oracle, which share none with the harness. */
#ifndef NB_TESTS_RANDOM_H
#define NB_TESTS_RANDOM_H

#include <math.h>
#include <stdint.h>

static uint64_t seed_state;

static inline uint64_t next_bits(void) /* splitmix64 */
{
    uint64_t z = seed_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline double uniform(void) /* (0, 1) */
{
    return ((double)(next_bits() >> 11) + 0.5) * 0x1p-53;
}

static inline double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

#endif
