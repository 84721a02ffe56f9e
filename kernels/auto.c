#include "auto.h"

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "registry.h"

static struct nb_auto_caches caches = {32 << 10, 1 << 20, 4 << 20, 1, 1}; /* until somebody knows better */
static const struct nb_auto_choice *choices;
static size_t choice_count;
static const struct nb_kernel *pinned;

void nb_auto_caches(const struct nb_auto_caches *c)
{
    caches = *c;
}

void nb_auto_use(const struct nb_auto_choice *c, size_t count)
{
    choices = c;
    choice_count = count;
}

void nb_auto_pin(const struct nb_kernel *k)
{
    pinned = k;
}

/* ---- where a problem belongs ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t share(size_t bytes, unsigned sharers, uint32_t parts)
{
    const size_t by = least(sharers > 0 ? sharers : 1, parts);
    return bytes / (by > 0 ? by : 1);
}

size_t nb_auto_rows_of(const struct nb_problem *p, uint32_t parts)
{
    return parts > 1 ? p->rows / parts + (p->rows % parts > 0) : p->rows;
}

/* Half of an L3's share, and no more than 4 L2: a larger L3 belongs to neighbours, too (a guest is told of all of
 * it), and stores past it win from there on. In doubles: sizes of a problem may have any product. */
enum nb_auto_level nb_auto_level_of(const struct nb_problem *p, uint32_t parts)
{
    const size_t l3 = least(share(caches.l3, caches.l3_parts, parts) / 2, 4 * caches.l2);
    const double row = 2.0 * (double)p->hidden * (double)nb_dtype_bytes(p->dtype);
    const double bytes = row * (double)nb_auto_rows_of(p, parts) +
                         2.0 * (double)p->hidden * (double)nb_dtype_bytes(p->param_dtype);
    return bytes <= (double)caches.l1                                  ? NB_AUTO_L1
           : bytes <= (double)share(caches.l2, caches.l2_parts, parts) ? NB_AUTO_L2
           : bytes <= (double)l3                                       ? NB_AUTO_L3
                                                                       : NB_AUTO_DRAM;
}

/* ---- what may be chosen ---- */

static double constant(const struct nb_bound *b, double n)
{
    return b->c1 * n / b->lanes + log2(b->lanes) + b->c0;
}

/* c(n) is a line, so that its slope and its value at 1 decide for every n. */
static bool covers(const struct nb_bound *self, const struct nb_bound *b)
{
    const bool kind = b->kind == self->kind || (self->kind == NB_BOUND_EITHER && (b->kind == NB_BOUND_TWOPASS ||
                                                                                b->kind == NB_BOUND_GUARDED));
    const bool likely = self->lambda == 0 || (b->lambda > 0 && b->lambda <= self->lambda);
    return kind && likely && !(self->range_safe && !b->range_safe) &&
           b->c1 / b->lanes <= self->c1 / self->lanes && constant(b, 1) <= constant(self, 1);
}

const char *nb_auto_why_not(const struct nb_kernel *self, const struct nb_kernel *k)
{
    if (k == self || strcmp(k->algo, "auto") == 0)
        return "it is auto itself";
    if (k->op != self->op || k->dir != self->dir || k->fuse != self->fuse || k->dtype != self->dtype)
        return "of another op or dtype";
    if (strcmp(k->isa, self->isa) != 0 || nb_kernel_origin(k) != NB_OURS)
        return "of another ISA or not this program's: auto chooses among its own";
    if (k->prepare || k->reduce || k->scratch_bytes)
        return "needs scratch or more than one call";
    if (k->flushes && !self->flushes)
        return "treats subnormals as zero";
    return covers(&self->bound, &k->bound) ? NULL : "its error bound exceeds auto's";
}

const struct nb_kernel *nb_auto_of(const struct nb_kernel *k)
{
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *self = nb_kernel_at(i);
        if (strcmp(self->algo, "auto") == 0 && self->op == k->op && self->dtype == k->dtype &&
            strcmp(self->isa, k->isa) == 0 && nb_kernel_origin(self) == NB_OURS)
            return self;
    }
    return NULL;
}

/* ---- the choice ---- */

enum { /* words of auto.def */
    F32 = 1u << NB_F32,
    F16 = 1u << NB_F16,
    BF16 = 1u << NB_BF16,
    WIDE = F32 | 1u << NB_F64,
    BITS16 = F16 | BF16,
    ANY = WIDE | BITS16
};
#define ALL ""
#define AVX "avx"
#define AVX2 "avx2"
#define AVX512 "avx512"
#define MOST SIZE_MAX

static const struct rule {
    uint32_t op, dtypes; /* dtypes: a bit each */
    const char *isa;     /* how its name begins */
    enum nb_auto_level from, to;
    size_t bytes_from, bytes_to, rows_from, rows_to;
    const char *algo, *trick, *why;
} rules[] = {
#define NB_RULE(op, isa, dtypes, from, to, bytes_from, bytes_to, rows_from, rows_to, algo, trick, why)            \
    {NB_OP_##op, dtypes, isa, NB_AUTO_##from, NB_AUTO_##to, bytes_from, bytes_to, rows_from, rows_to, algo, trick, why},
#include "auto.def"
#undef NB_RULE
};
#undef ALL
#undef AVX
#undef AVX2
#undef AVX512
#undef MOST

static bool within(size_t v, size_t from, size_t to)
{
    return v >= from && v <= to;
}

static const struct nb_kernel *named(const char *isa, const struct nb_problem *p, const struct rule *r)
{
    char name[128];
    snprintf(name, sizeof name, "%s_fwd_%s__%s_%s%s%s", nb_op_name(p->op), r->algo, nb_dtype_name(p->dtype), isa,
             r->trick[0] ? "_" : "", r->trick);
    return nb_kernel_find(name);
}

static bool serves(const struct nb_kernel *k, const struct nb_problem *p)
{
    return k != NULL && !nb_kernel_why_not(k) && (!k->supports || !k->supports(p));
}

const struct nb_kernel *nb_auto_default(const char *isa, const struct nb_problem *p, enum nb_auto_level level,
                                        size_t rows, const char **why)
{
    if (p->dtype >= NB_DTYPE_COUNT)
        return NULL;
    const size_t bytes = p->hidden * nb_dtype_bytes(p->dtype);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *r = &rules[i];
        if (r->op != p->op || strncmp(isa, r->isa, strlen(r->isa)) != 0 || !(r->dtypes >> p->dtype & 1) ||
            !within(level, r->from, r->to) || !within(bytes, r->bytes_from, r->bytes_to) ||
            !within(rows, r->rows_from, r->rows_to))
            continue;
        const struct nb_kernel *k = named(isa, p, r);
        if (!serves(k, p))
            continue;
        if (why)
            *why = r->why;
        return k;
    }
    return NULL;
}

const struct nb_kernel *nb_auto_choose(const char *isa, const struct nb_problem *p, enum nb_auto_level level,
                                       size_t rows, const char **why)
{
    for (size_t i = 0; i < choice_count; i++) {
        const struct nb_auto_choice *c = &choices[i];
        if (c->kernel->op != p->op || c->kernel->dtype != p->dtype || strcmp(c->kernel->isa, isa) != 0 ||
            c->level != level || !within(p->hidden, c->hidden_from, c->hidden_to) ||
            !within(rows, c->rows_from, c->rows_to) || !serves(c->kernel, p))
            continue;
        if (why)
            *why = "measured on this CPU";
        return c->kernel;
    }
    return nb_auto_default(isa, p, level, rows, why);
}

/* ---- states ---- */

static struct slot {
    struct nb_auto_state state; /* first: its address is the slot's */
    atomic_bool taken;
} slots[NB_AUTO_STATES];

static const struct nb_kernel *chosen(const char *isa, const struct nb_problem *p, uint32_t parts)
{
    if (pinned != NULL && pinned->op == p->op && pinned->dtype == p->dtype && strcmp(pinned->isa, isa) == 0 &&
        serves(pinned, p))
        return pinned;
    return nb_auto_choose(isa, p, nb_auto_level_of(p, parts), nb_auto_rows_of(p, parts), NULL);
}

void *nb_auto_prepare(const char *isa, const struct nb_problem *p, const struct nb_args *a)
{
    const struct nb_kernel *k = chosen(isa, p, a->parts);
    for (size_t i = 0; k != NULL && i < NB_AUTO_STATES; i++) {
        bool expected = false;
        if (!atomic_compare_exchange_strong(&slots[i].taken, &expected, true))
            continue;
        slots[i].state.run = k->run;
        slots[i].state.problem = *p;
        slots[i].state.problem.size = sizeof *p;
        return &slots[i].state;
    }
    return NULL;
}

void nb_auto_finish(void *state)
{
    atomic_store(&((struct slot *)state)->taken, false);
}
