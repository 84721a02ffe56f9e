#include "activations.h"

#include "cpu.h"
#include "nb_kernel.h"

extern const struct nb_loops nb_loops_plain;
#if NB_LOOPS_X86
extern const struct nb_loops nb_loops_avx2, nb_loops_avx512;
#endif

static const struct unit {
    uint32_t cpu_bits;
    const struct nb_loops *loops;
} UNITS[] = {
    {0, &nb_loops_plain},
#if NB_LOOPS_X86
    {NB_CPU_AVX2, &nb_loops_avx2},
    {NB_CPU_AVX2 | NB_CPU_AVX512, &nb_loops_avx512},
#endif
};

const struct nb_loops *nb_loops_at(size_t i)
{
    for (size_t u = 0; u < sizeof UNITS / sizeof *UNITS; u++)
        if ((UNITS[u].cpu_bits & ~nb_cpu_bits()) == 0 && i-- == 0)
            return UNITS[u].loops;
    return NULL;
}

const struct nb_loops *nb_loops(void)
{
    const struct nb_loops *best = NULL, *next;
    for (size_t i = 0; (next = nb_loops_at(i)) != NULL; i++)
        best = next;
    return best;
}

const char *nb_activation_name(enum nb_activation kind)
{
    static const char *const names[NB_ACTIVATION_COUNT] = {"relu", "leaky_relu", "gelu", "gelu_tanh", "swish", "glu", "swiglu"};
    return names[kind];
}

bool nb_activation_gated(enum nb_activation kind)
{
    return kind == NB_GLU || kind == NB_SWIGLU;
}
