#include "block_ratios.h"

#include "block.h"
#include "stats.h"

#include <math.h>

enum { NOBODY = -1 };

/* Place of LayerNorm of a class among the variants. */
static int layernorm_of(const struct nb_variant *v, size_t variants, uint32_t class_of)
{
    for (size_t i = 0; i < variants; i++)
        if (!v[i].none && v[i].op == NB_OP_LAYERNORM && v[i].class_of == class_of)
            return (int)i;
    return NOBODY;
}

struct sample {
    const struct nb_round *rounds;
    size_t count;
    double *room; /* [count] */
};

/* Median of (T_a - T_b)/T_over over rounds; NAN where a or b is nobody. */
static double relative(const struct sample *s, int a, int b, int over)
{
    if (a == NOBODY || b == NOBODY)
        return NAN;
    for (size_t i = 0; i < s->count; i++) {
        const double *t = s->rounds[i].block_ns;
        s->room[i] = (t[a] - t[b]) / t[over];
    }
    return nb_median(s->room, s->count);
}

static double median_block(const struct sample *s, size_t v)
{
    for (size_t i = 0; i < s->count; i++)
        s->room[i] = s->rounds[i].block_ns[v];
    return nb_median(s->room, s->count);
}

static double share_in_situ(const struct sample *s, size_t v)
{
    for (size_t i = 0; i < s->count; i++)
        s->room[i] = s->rounds[i].norm_ns[v] / s->rounds[i].block_ns[v];
    return nb_median(s->room, s->count);
}

static double op_ratio(const struct sample *s, size_t of, size_t v)
{
    for (size_t i = 0; i < s->count; i++)
        s->room[i] = s->rounds[i].norm_ns[of] / s->rounds[i].norm_ns[v];
    return nb_median(s->room, s->count);
}

static struct nb_ratios ratios_of(const struct sample *s, const struct nb_variant *all, size_t variants, size_t v)
{
    const int ln = all[v].none ? NOBODY : layernorm_of(all, variants, all[v].class_of),
              tuned = all[v].none ? NOBODY : layernorm_of(all, variants, NB_TUNED);
    struct nb_ratios r = {.block_ns = median_block(s, v), .saved = NAN, .saved_tuned = NAN, .amdahl = NAN, .beyond = NAN,
                          .by_difference = NAN, .disagree = NAN, .in_situ = share_in_situ(s, v)};
    if (!all[v].none)
        r.by_difference = relative(s, (int)v, 0, (int)v);
    r.disagree = r.by_difference - r.in_situ; /* a NAN stays */
    if (tuned != (int)v)
        r.saved_tuned = relative(s, tuned, (int)v, tuned);
    if (ln == NOBODY || ln == (int)v)
        return r;
    r.saved = relative(s, ln, (int)v, ln);
    r.amdahl = share_in_situ(s, (size_t)ln) * (1 - 1 / op_ratio(s, (size_t)ln, v));
    r.beyond = r.saved - r.amdahl;
    return r;
}

bool nb_block_ratios(const struct nb_round *rounds, size_t count, const struct nb_variant *v, size_t variants,
                     struct nb_ratios *out, double *twin)
{
    if (count == 0)
        return false;
    const struct sample s = {rounds, count, malloc(count * sizeof(double))};
    NB_ASSERT(s.room != NULL);
    for (size_t i = 0; i < variants; i++)
        out[i] = ratios_of(&s, v, variants, i);
    *twin = relative(&s, 1, 0, 1);
    free(s.room);
    return true;
}

double nb_block_noise(double *twins, size_t n)
{
    return fabs(nb_median(twins, n));
}
