/* block_ratios.h: from times of blocks with and without norms to what claims speak of. Pure functions of numbers.
 *
 * T is a block's time, N what of it was in norms, s = N/T a share; LN is layernorm of the same class.
 *   saved_time                     (T_LN - T)/T_LN: of the whole block, by another norm
 *   saved_against_tuned_layernorm  the same, LN being the tuned one: that of who has not tuned his norm
 *   share_in_situ                  N/T
 *   share_by_difference            (T - T_none)/T
 *   amdahl_bound                   s (1 - 1/r), s of LN, r = N_LN/N: what can be saved if all else stays as it is (Amdahl 1967)
 *   beyond_amdahl                  saved_time - amdahl_bound
 *   shares_disagree                share_by_difference - share_in_situ: 0 where both ways of measuring fit
 * Each is the median over rounds of the ratio within a round; amdahl_bound is made of the medians of s and r, and the last two of medians. */
#ifndef NB_BLOCK_RATIOS_H
#define NB_BLOCK_RATIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NB_VARIANTS = 12 };

/* In each round all variants run once; the first two are no norm, twice. */
struct nb_variant {
    bool none;
    uint32_t op;       /* enum nb_op */
    uint32_t class_of; /* enum nb_class */
};

struct nb_round {
    double block_ns[NB_VARIANTS], norm_ns[NB_VARIANTS];
};

/* NAN: it does not exist for this variant. */
struct nb_ratios {
    double block_ns, saved, saved_tuned, in_situ, by_difference, amdahl, beyond, disagree;
};

/* One of each variant, in `out`; *twin: (T' - T)/T' of the two without a norm, which differ in nothing. Returns false where there are no
 * rounds. */
bool nb_block_ratios(const struct nb_round *rounds, size_t count, const struct nb_variant *v, size_t variants,
                     struct nb_ratios *out, double *twin);

/* The noise floor, of what the twins of n processes differ by: |median|, what stays when processes are many because all of them share
 * it. By how much processes differ is in the intervals already. Reorders twins. */
double nb_block_noise(double *twins, size_t n);

#endif
