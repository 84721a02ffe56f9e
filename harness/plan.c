#include "plan.h"

#include "buffers.h"
#include "check.h"
#include "code.h"
#include "deepnorm.h"
#include "descriptor.h"
#include "execute.h"
#include "foreign.h"
#include "registry.h"
#include "stats.h"

#include <math.h>
#include <string.h>

/* ---- cells ---- */

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Bytes of x, y and parameters that one thread may touch in this residency; 0: unknown level.
 * L1, L2, L3: half the level's share of a thread, so that nothing else pushes the data out. An L3 cell
 * is kept to 4 L2 per thread: far above L2, and below the share of an L3 that a virtual machine may
 * really have. DRAM and cold are windows of an arena that is larger than the last level. */
static size_t thread_bytes(const struct nb_topology *t, enum nb_residency r, unsigned threads)
{
    switch (r) {
    case NB_L1:
        return t->l1d / 2;
    case NB_L2:
        return t->l2 / 2 / t->l2_cores;
    case NB_L3: {
        const size_t share = t->l3 / 2 / threads, wanted = 4 * t->l2;
        return share < 2 * t->l2 ? 0 : share < wanted ? share : wanted;
    }
    case NB_DRAM:
        return ((size_t)16 << 20) / threads;
    default:
        return t->l2 / 2;
    }
}

/* Nothing where it is the usual one; as many digits as give it back. */
static void momentum_text(const struct nb_cell *c, const char *before, char *text, size_t len)
{
    text[0] = '\0';
    if (c->momentum == NB_MOMENTUM)
        return;
    snprintf(text, len, "%s%g", before, c->momentum);
    if (strtod(text + strlen(before), NULL) != c->momentum)
        snprintf(text, len, "%s%.17g", before, c->momentum);
}

static void cell_id(struct nb_cell *c)
{
    char param[16] = "", offset[16] = "", ks[64] = "", value[32], momentum[32];
    momentum_text(c, "-m", momentum, sizeof momentum);
    if (c->param_dtype != c->dtype)
        snprintf(param, sizeof param, "+%s", nb_dtype_name(c->param_dtype));
    if (c->offset != NB_OFFSET)
        snprintf(offset, sizeof offset, "-o%zu", c->offset);
    for (int kind = 1, used = 0; kind < NB_K_COUNT; kind++)
        if (c->k[kind] > 0) {
            nb_k_text((enum nb_op_k)kind, c->k[kind], value, sizeof value);
            used += snprintf(ks + used, sizeof ks - (size_t)used, "-%c%.*s", nb_k_facts[kind].mark,
                             (int)strcspn(value, "%"), value);
        }
    snprintf(c->id, sizeof(c->id), "%s-%s-%s%s-h%zu-r%zu-t%u-%s%s%s%s%s%s", nb_dir_name(c->dir),
             nb_fuse_name(c->fuse), nb_dtype_name(c->dtype), param, c->hidden, c->rows, c->threads,
             nb_residency_name(c->residency), c->stats_out ? "-stats" : "", offset,
             c->in_place ? "-ip" : "", ks, momentum);
}

enum { IN_PLACE_MIN = 8 };

/* What lies in memory beside each other: tensors [rows][hidden], and vectors [hidden] of parameters or their gradients.
 * Backward: x, dy, dx; gamma, dgamma, dbeta, and both sums over rows, of which f64 has wide ones. */
static size_t second(size_t bytes)
{
    enum { PAGE = 4096 };
    return (bytes + PAGE - 1) / PAGE * PAGE + NB_OFFSET_SECOND;
}

size_t nb_cell_second_in(const struct nb_cell *c)
{
    const bool has = c->dir == NB_BWD || c->fuse != NB_FUSE_NONE;
    return has ? second(c->rows * c->ldx * nb_dtype_bytes(c->dtype)) : 0;
}

size_t nb_cell_second_out(const struct nb_cell *c)
{
    return c->fuse == NB_FUSE_RESIDUAL ? second(c->rows * c->ldy * nb_dtype_bytes(c->dtype)) : 0;
}

size_t nb_kernel_second_out(const struct nb_cell *c, const struct nb_kernel *k)
{
    return k->fuse == NB_FUSE_RESIDUAL ? nb_cell_second_out(c) : 0;
}

static size_t tensors_of(const struct nb_cell *c)
{
    return (c->in_place ? 1 : 2) + (nb_cell_second_in(c) > 0) + (nb_cell_second_out(c) > 0);
}

static size_t param_bytes(const struct nb_cell *c)
{
    const size_t ps = nb_dtype_bytes(c->param_dtype);
    return c->hidden * (c->dir == NB_BWD ? 3 * ps + 2 * nb_stat_bytes(c->dtype) : 2 * ps);
}


/* Rows of a cell; 0 with a reason when the shape does not fit its residency. */
static size_t cell_rows(const struct nb_cell *c, size_t wanted, const struct nb_topology *t,
                        char *reason, size_t len)
{
    const size_t room = thread_bytes(t, c->residency, c->threads);
    const size_t row = tensors_of(c) * c->hidden * nb_dtype_bytes(c->dtype);
    const size_t params = param_bytes(c);
    const char *level = nb_residency_name(c->residency);
    if (c->in_place && nb_cell_second_in(c) > 0) {
        snprintf(reason, len, "SKIP_SHAPE: %s", c->dir == NB_BWD ? "backward, no kernel writes dx over an input"
                                                                : "fused, no kernel writes y over x or the residual");
        return 0;
    }
    if (c->in_place && c->hidden < IN_PLACE_MIN) {
        snprintf(reason, len, "SKIP_SHAPE: in place, rows of fewer than %d elements become constant when "
                 "they are normalized again and again", IN_PLACE_MIN);
        return 0;
    }
    if (room == 0) {
        snprintf(reason, len, "SKIP_SHAPE: no %s of known size here that is larger than twice L2",
                 level);
        return 0;
    }
    if (c->residency == NB_DRAM || c->residency == NB_COLD) {
        const size_t llc = nb_topology_llc(t, c->threads), need = 4 * llc + wanted * row;
        if (need > t->memory / 2) {
            snprintf(reason, len, "SKIP_SHAPE: %s needs %zu MiB, 4 times the last level (%zu MiB%s) and its "
                     "rows, more than half of this machine's memory (%zu MiB)", level, need >> 20,
                     llc >> 20, t->llc == 0 ? ", assumed: no L3 is known" : "", t->memory >> 20);
            return 0;
        }
        return wanted ? wanted : max_size(c->threads, room / row * c->threads);
    }
    if (room < params + row) {
        snprintf(reason, len, "SKIP_SHAPE: one row of each tensor and the parameters are %zu bytes, half of %s "
                 "a thread is %zu", params + row, level, room);
        return 0;
    }
    const size_t most = (room - params) / row * c->threads;
    if (wanted > most) {
        snprintf(reason, len, "SKIP_SHAPE: %zu rows asked for, %zu fit in half of %s", wanted, most,
                 level);
        return 0;
    }
    return wanted ? wanted : most;
}

static void drop(struct nb_plan *plan, const char *cell, const char *reason)
{
    struct nb_dropped *d = realloc(plan->dropped, (plan->dropped_count + 1) * sizeof *d);
    NB_ASSERT(d != NULL);
    plan->dropped = d;
    d += plan->dropped_count++;
    snprintf(d->cell, sizeof(d->cell), "%s", cell);
    snprintf(d->reason, sizeof(d->reason), "%s", reason);
}

static struct nb_cell *cell_find_or_add(struct nb_plan *plan, const struct nb_cell *wanted)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->cells[i].id, wanted->id) == 0)
            return &plan->cells[i];
    struct nb_cell *cells = realloc(plan->cells, (plan->count + 1) * sizeof *cells);
    NB_ASSERT(cells != NULL);
    plan->cells = cells;
    plan->cells[plan->count] = *wanted;
    return &plan->cells[plan->count++];
}

static bool cell_has(const struct nb_cell *c, const struct nb_kernel *k)
{
    for (size_t i = 0; i < c->kernel_count; i++)
        if (c->kernels[i] == k)
            return true;
    return false;
}

static void cell_add_kernel(struct nb_cell *c, const struct nb_kernel *k)
{
    if (cell_has(c, k))
        return;
    const struct nb_kernel **v = realloc(c->kernels, (c->kernel_count + 1) * sizeof *v);
    NB_ASSERT(v != NULL);
    c->kernels = v;
    c->kernels[c->kernel_count++] = k;
}

/* Our ceilings of the best ISA stand in every cell: a time without its roof says little. */
static bool wanted_ceiling(const struct nb_kernel *k)
{
    const struct nb_isa *best = nb_isa_best((enum nb_dtype)k->dtype);
    return nb_is_ceiling(k) && nb_kernel_origin(k) == NB_OURS && !nb_is_extra_reference(k) && best != NULL &&
           strcmp(best->name, k->isa) == 0;
}

/* Short norms become constant (cell_rows). */
static bool fits_in_place(const struct nb_problem *p)
{
    const struct nb_op_facts *f = nb_op_facts(p->op);
    const size_t length = f->columns ? p->rows : p->hidden / nb_op_pieces(p);
    return !f->no_in_place && length >= IN_PLACE_MIN;
}

/* Whether this op has a pass forward of that fuse. */
static bool goes_forward(uint32_t op, uint32_t fuse, uint32_t dtype)
{
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (k->op == op && k->dir == NB_FWD && k->fuse == fuse && k->dtype == dtype)
            return true;
    }
    return false;
}

/* Backward of a sum that was kept: kernels of both its gradients; and, of what can go forward so, those of the one that
 * both terms have where neither was scaled. */
static bool has_fuse(const struct nb_cell *c, const struct nb_kernel *k)
{
    return k->fuse == c->fuse || (c->dir == NB_BWD && c->fuse == NB_FUSE_RESIDUAL && k->fuse == NB_FUSE_NONE &&
                                  goes_forward(k->op, c->fuse, c->dtype));
}

static bool fits_cell(const struct nb_cell *c, const struct nb_kernel *k)
{
    if (k->dtype != c->dtype || k->dir != c->dir || !has_fuse(c, k))
        return false;
    const struct nb_problem p = nb_cell_problem(c, k);
    return !c->in_place || fits_in_place(&p);
}

/* Ceilings are those that write as much as the cell does, or as a norm in it. */
static void find_fuses(const struct nb_cell *c, const struct nb_block *b, bool fuses[NB_FUSE_COUNT])
{
    fuses[c->fuse] = true;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (k->fuse != c->fuse && nb_op_is_layer(k->op) && fits_cell(c, k) && nb_block_takes(b, k))
            fuses[k->fuse] = true;
    }
}

/* How many were asked for: ceilings come along. */
static size_t cell_add_kernels(struct nb_cell *c, const struct nb_block *b)
{
    bool fuses[NB_FUSE_COUNT] = {false};
    size_t asked = 0;
    find_fuses(c, b, fuses);
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (!fits_cell(c, k) || !fuses[k->fuse])
            continue;
        const bool taken = nb_block_takes(b, k);
        const bool comes_along = b->kernels == NB_SET_ALL && b->kernel.n == 0 && b->algo.n == 0 && nb_is_ceiling(k) &&
                                 (b->references || !nb_is_extra_reference(k)) && nb_block_takes_isa(b, k);
        asked += taken;
        if (taken || comes_along || wanted_ceiling(k))
            cell_add_kernel(c, k);
    }
    return asked;
}

static bool has_op(const struct nb_cell *c, uint32_t op)
{
    for (size_t i = 0; i < c->kernel_count; i++)
        if (c->kernels[i]->op == op && nb_descriptor_fault(c->kernels[i]) == NULL)
            return true;
    return false;
}

static bool has_kind(const struct nb_cell *c, enum nb_op_k kind)
{
    for (size_t i = 0; i < c->kernel_count; i++)
        if (nb_op_facts(c->kernels[i]->op)->k == kind)
            return true;
    return false;
}

/* Whether a kernel moves running statistics on. */
static bool has_running(const struct nb_cell *c)
{
    for (size_t i = 0; i < c->kernel_count; i++)
        if (nb_op_facts(c->kernels[i]->op)->columns && !nb_op_facts(c->kernels[i]->op)->given)
            return true;
    return false;
}

static enum nb_status add_cell(struct nb_plan *plan, const struct nb_block *b,
                               const struct nb_topology *t, struct nb_cell wanted, size_t rows,
                               struct nb_err *err)
{
    char reason[256] = "";
    if (wanted.threads > t->cores)
        return nb_fail(err, "threads: %u asked for, but this process may use %u cores, and one thread "
                            "runs on each", wanted.threads, t->cores);
    if (wanted.in_place)
        wanted.offset = NB_OFFSET; /* there is no y to lie elsewhere */
    wanted.rows = cell_rows(&wanted, rows, t, reason, sizeof reason);
    wanted.ldx = wanted.ldy = wanted.hidden;
    const size_t es = nb_dtype_bytes(wanted.dtype), tensors = tensors_of(&wanted);
    const double bytes = (double)wanted.hidden * (double)tensors * (double)wanted.rows * (double)es +
                         (double)param_bytes(&wanted);
    cell_id(&wanted);
    if (wanted.rows == 0) {
        drop(plan, wanted.id, reason);
        return NB_OK;
    }
    if (bytes > (double)t->memory / 2)
        return nb_fail(err, "%s needs %.0f MiB, more than half of this machine's memory (%zu MiB); choose "
                            "smaller hidden or rows", wanted.id, bytes / 0x1p20, t->memory >> 20);
    wanted.bytes = wanted.hidden * tensors * wanted.rows * es + param_bytes(&wanted);
    struct nb_cell probe = wanted;
    const size_t taken = cell_add_kernels(&probe, b);
    for (int kind = 1; kind < NB_K_COUNT; kind++)
        if (!has_kind(&probe, (enum nb_op_k)kind))
            wanted.k[kind] = 0;
    if (!has_running(&probe))
        wanted.momentum = NB_MOMENTUM;
    cell_id(&wanted);
    const double check = nb_check_bytes(&probe, bytes);
    free(probe.kernels);
    if (taken == 0 && wanted.dir == NB_BWD && wanted.fuse != NB_FUSE_NONE) {
        drop(plan, wanted.id, wanted.fuse == NB_FUSE_POSTNORM
                                  ? "SKIP_SHAPE: a pass backward reads h, which --fuse postnorm does not keep; --fuse residual does"
                                  : "SKIP_SHAPE: none of the kernels asked for goes back through x + residual");
    } else if (taken > 0 && check > (double)t->memory / 2) {
        snprintf(reason, sizeof reason, "SKIP_SHAPE: its check with the oracle needs up to %.0f MiB, more "
                 "than half of this machine's memory (%zu MiB)", check / 0x1p20, t->memory >> 20);
        drop(plan, wanted.id, reason);
    } else if (taken > 0) {
        cell_add_kernels(cell_find_or_add(plan, &wanted), b);
    }
    return NB_OK;
}

static size_t places(const struct nb_block *b)
{
    size_t n = b->rows.n * b->offset.n * b->in_place.n * b->dir.n * b->fuse.n;
    for (int kind = 1; kind < NB_K_COUNT; kind++)
        n *= b->k[kind].n;
    return n;
}

/* Where nobody says: what each op is measured in. deepnorm is always fused: h is kept where a pass backward reads it. */
static size_t usual_fuses(const struct nb_block *b, size_t fuses[NB_FUSE_COUNT])
{
    bool back = false, wanted[NB_FUSE_COUNT] = {false};
    size_t n = 0;
    for (size_t i = 0; i < b->dir.n; i++)
        back = back || b->dir.v[i] == NB_BWD;
    for (size_t i = 0; i < b->op.n; i++)
        wanted[!nb_op_facts((uint32_t)b->op.v[i])->fused ? NB_FUSE_NONE : back ? NB_FUSE_RESIDUAL : NB_FUSE_POSTNORM] = true;
    for (size_t f = 0; f < NB_FUSE_COUNT; f++)
        if (wanted[f])
            fuses[n++] = f;
    return n;
}

/* The i-th combination of the last keys. */
static enum nb_status add_place(struct nb_plan *plan, const struct nb_block *b, const struct nb_topology *t,
                                struct nb_cell wanted, size_t i, struct nb_err *err)
{
    for (int kind = 1; kind < NB_K_COUNT; kind++) {
        wanted.k[kind] = b->k[kind].v[i % b->k[kind].n];
        i /= b->k[kind].n;
    }
    wanted.in_place = b->in_place.v[i % b->in_place.n] != 0;
    i /= b->in_place.n;
    wanted.dir = (uint32_t)b->dir.v[i % b->dir.n];
    wanted.stats_out = b->stats && wanted.dir == NB_FWD; /* backward they are given */
    i /= b->dir.n;
    wanted.fuse = (uint32_t)b->fuse.v[i % b->fuse.n];
    i /= b->fuse.n;
    wanted.offset = b->offset.v[i % b->offset.n];
    return add_cell(plan, b, t, wanted, b->rows.v[i / b->offset.n], err);
}

static enum nb_status add_block(struct nb_plan *plan, const struct nb_block *given,
                                const struct nb_topology *t, struct nb_err *err)
{
    size_t fuses[NB_FUSE_COUNT];
    struct nb_block own = *given, *b = &own;
    enum nb_status s = NB_OK;
    if (!(b->given & 1u << NB_KEY_FUSE))
        b->fuse = (struct nb_list){fuses, usual_fuses(b, fuses)};
    for (size_t r = 0; r < b->residency.n; r++)
        for (size_t d = 0; d < b->dtype.n; d++)
            for (size_t p = 0; p < b->param_dtype.n; p++)
                for (size_t h = 0; h < b->hidden.n; h++)
                    for (size_t th = 0; th < b->threads.n; th++)
                        for (size_t w = 0; s == NB_OK && w < places(b); w++)
                            s = add_place(plan, b, t,
                                          (struct nb_cell){
                                              .dtype = (uint32_t)b->dtype.v[d],
                                              .param_dtype = b->param_dtype.v[p] ? NB_F32 : (uint32_t)b->dtype.v[d],
                                              .hidden = b->hidden.v[h],
                                              .threads = b->threads.v[th] ? (unsigned)b->threads.v[th] : t->cores,
                                              .momentum = b->momentum,
                                              .residency = (enum nb_residency)b->residency.v[r]},
                                          w, err);
    return s;
}

/* ---- pairings ---- */

static void add_pairing(struct nb_cell *c, struct nb_pairing p)
{
    struct nb_pairing *v = realloc(c->pairings, (c->pairing_count + 1) * sizeof *v);
    NB_ASSERT(v != NULL);
    c->pairings = v;
    c->pairings[c->pairing_count++] = p;
}

static const struct nb_kernel *partner(const struct nb_cell *c, const struct nb_kernel *base, uint32_t op,
                                       const char *algo)
{
    for (size_t i = 0; i < c->kernel_count; i++) {
        const struct nb_kernel *k = c->kernels[i];
        if (k->op == op && strcmp(k->algo, algo) == 0 && strcmp(k->isa, base->isa) == 0 &&
            strcmp(k->trick, base->trick) == 0)
            return k;
    }
    return NULL;
}

static bool is_paired(const struct nb_cell *c, const struct nb_kernel *base, const struct nb_kernel *test)
{
    for (size_t p = 0; p < c->pairing_count; p++)
        if (c->pairings[p].base == base && c->pairings[p].test == test)
            return true;
    return false;
}

/* The same algorithm, ISA and trick. Several rows of nb_pairs can say the same of two norms that are alike. */
static void pair_algorithms(struct nb_cell *c, struct nb_versus v, const struct nb_pair *pair)
{
    for (size_t i = 0; i < c->kernel_count; i++) {
        const struct nb_kernel *base = c->kernels[i], *test;
        if (base->op != v.base || strcmp(base->algo, nb_pair_algo(pair, v.base)) != 0)
            continue;
        test = partner(c, base, v.test, nb_pair_algo(pair, v.test));
        if (test != NULL && !is_paired(c, base, test))
            add_pairing(c, (struct nb_pairing){.base_op = v.base, .test_op = v.test, .base = base, .test = test});
    }
}

/* What fusing gains: the algorithm that addnorm runs over all rows, fused in whatever form, over addnorm. */
static void pair_fused(struct nb_cell *c)
{
    for (size_t i = 0; i < c->kernel_count && c->fuse != NB_FUSE_NONE; i++) {
        const struct nb_kernel *test = c->kernels[i], *base;
        const char *algo = nb_op_facts(test->op)->centred ? "guarded" : "onepass";
        struct nb_kernel plain = *test; /* addnorm has no trick */
        plain.trick = "";
        base = strcmp(test->algo, algo) == 0 ? partner(c, &plain, test->op, "addnorm") : NULL;
        if (base != NULL)
            add_pairing(c, (struct nb_pairing){.base_op = test->op, .test_op = test->op, .base = base, .test = test});
    }
}

static void add_pairings(struct nb_cell *c, const struct nb_settings *s)
{
    pair_fused(c);
    for (size_t v = 0; v < s->versus_count; v++) {
        const struct nb_versus ops = s->versus[v];
        for (size_t p = 0; p < NB_PAIR_COUNT; p++)
            pair_algorithms(c, ops, &nb_pairs[p]);
        if (has_op(c, ops.base) && has_op(c, ops.test))
            add_pairing(c, (struct nb_pairing){.best = true, .base_op = ops.base, .test_op = ops.test});
    }
}

static void plan_id(struct nb_plan *plan)
{
    const struct nb_settings *s = &plan->settings;
    char text[256];
    snprintf(text, sizeof text, "%llu %.17g %.17g", (unsigned long long)s->seed, s->budget_s,
             s->sample_ms);
    uint64_t h = nb_hash_bytes(0, text, strlen(text));
    for (size_t i = 0; i < plan->count; i++) {
        h = nb_hash_bytes(h, plan->cells[i].id, strlen(plan->cells[i].id));
        for (size_t k = 0; k < plan->cells[i].kernel_count; k++)
            h = nb_hash_bytes(h, plan->cells[i].kernels[k]->name,
                              strlen(plan->cells[i].kernels[k]->name));
    }
    snprintf(plan->id, sizeof(plan->id), "%016llx", (unsigned long long)h);
}

enum nb_status nb_plan_make(struct nb_plan *plan, const struct nb_preset *preset,
                            const struct nb_topology *t, struct nb_err *err)
{
    *plan = (struct nb_plan){.settings = preset->settings};
    snprintf(plan->preset, sizeof(plan->preset), "%s", preset->name);
    plan->bars = json_incref(preset->bars);
    for (size_t i = 0; i < preset->count; i++) {
        enum nb_status s = add_block(plan, &preset->blocks[i], t, err);
        if (s != NB_OK)
            return s;
    }
    if (plan->count == 0)
        return nb_fail(err, "the selection is empty%s%s; `normbench list kernels` shows what there is",
                       plan->dropped_count ? ": " : ": no kernel has this op, direction (--dir), fusion (--fuse), algorithm, ISA and dtype",
                       plan->dropped_count ? plan->dropped[0].reason : "");
    for (size_t i = 0; i < plan->count; i++)
        add_pairings(&plan->cells[i], &plan->settings);
    plan_id(plan);
    return NB_OK;
}

void nb_cell_free(struct nb_cell *c)
{
    free(c->kernels);
    free(c->groups);
    free(c->pairings);
}

void nb_plan_free(struct nb_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        nb_cell_free(&plan->cells[i]);
    free(plan->cells);
    free(plan->dropped);
    free(plan->command);
    json_decref(plan->bars);
    *plan = (struct nb_plan){0};
}

/* That of an encoder of so many layers, where k counts them. Of ceilings: 1.25, and in place what keeps the data ordinary. */
static double alpha_of(const struct nb_cell *c, const struct nb_kernel *k)
{
    const size_t layers = nb_k_of(k->op, c->hidden, c->k);
    if (nb_op_role(k->op) == NB_K_IS_LAYERS)
        return nb_ref_deepnorm(NB_REF_ENCODER_ONLY, (unsigned)layers, 0).alpha;
    const double own = nb_op_facts(k->op)->alpha;
    return own != 0 ? own : c->in_place ? -1 : 1.25;
}

struct nb_problem nb_cell_problem(const struct nb_cell *c, const struct nb_kernel *k)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem),
                               .op = k->op,
                               .dir = c->dir,
                               .fuse = k->fuse,
                               .stats_out = c->stats_out,
                               .dtype = c->dtype,
                               .param_dtype = c->param_dtype,
                               .rows = c->rows,
                               .hidden = c->hidden,
                               .ldx = c->ldx,
                               .ldy = c->ldy,
                               .k = nb_k_of(k->op, c->hidden, c->k),
                               .eps = 1e-5,
                               .alpha = alpha_of(c, k),
                               .momentum = c->momentum};
}

const struct nb_cell *nb_plan_find(const struct nb_plan *plan, const char *id)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->cells[i].id, id) == 0)
            return &plan->cells[i];
    return NULL;
}

void nb_cell_repro(const struct nb_cell *c, const struct nb_settings *s, const char *verb,
                   const char *kernel, char *text, size_t len)
{
    char foreign[512], offset[32] = "", ks[128] = "", value[32], momentum[48];
    momentum_text(c, " --momentum ", momentum, sizeof momentum);
    nb_foreign_repro(kernel != NULL ? nb_kernel_find(kernel) : NULL, foreign, sizeof foreign);
    if (c->offset != NB_OFFSET)
        snprintf(offset, sizeof offset, " --offset %zu", c->offset);
    for (int kind = 1, used = 0; kind < NB_K_COUNT; kind++)
        if (c->k[kind] > 0) {
            nb_k_text((enum nb_op_k)kind, c->k[kind], value, sizeof value);
            used += snprintf(ks + used, sizeof ks - (size_t)used, " --%s %s", nb_k_facts[kind].name, value);
        }
    snprintf(text, len,
             "normbench %s%s%s%s%s%s%s --dtype %s%s --hidden %zu --rows %zu --threads %u --residency "
             "%s%s%s%s%s%s --seed %llu%s",
             verb, c->dir == NB_BWD ? " --dir bwd" : "", c->fuse != NB_FUSE_NONE ? " --fuse " : "",
             c->fuse != NB_FUSE_NONE ? nb_fuse_name(c->fuse) : "", kernel ? " --kernel '" : "", kernel ? kernel : "", kernel ? "'" : "",
             nb_dtype_name(c->dtype), c->param_dtype != c->dtype ? " --param-dtype f32" : "",
             c->hidden, c->rows, c->threads, nb_residency_name(c->residency),
             c->stats_out ? " --stats yes" : "", offset, c->in_place ? " --in-place yes" : "",
             ks, momentum, (unsigned long long)s->seed, foreign);
}

/* ---- groups ---- */

static double kernel_ns(const struct nb_cell *c, const double *pass_ns, const struct nb_kernel *k)
{
    for (size_t i = 0; i < c->kernel_count; i++)
        if (c->kernels[i] == k)
            return pass_ns[i];
    return 0;
}

static unsigned default_passes(double sample_ms, double ns)
{
    const double passes = floor(sample_ms * 1e6 / ns);
    return passes < 1 ? 1 : passes > 1e7 ? 10000000u : (unsigned)passes;
}

/* Speeds close enough for equal counts of passes. */
static bool similar(double a_ns, double b_ns)
{
    return a_ns < 4 * b_ns && b_ns < 4 * a_ns;
}

/* Members of a pairing use equal counts when their speeds differ less than 4x, so that warm-up and
 * the cost of starting a sample weigh on both alike. Repeated until nothing changes, since a kernel may
 * be in several pairings. */
static void equal_passes(const struct nb_cell *c, const double *pass_ns, unsigned *passes)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t p = 0; p < c->pairing_count; p++) {
            size_t a = c->kernel_count, b = c->kernel_count;
            for (size_t i = 0; i < c->kernel_count; i++) {
                a = c->kernels[i] == c->pairings[p].base ? i : a;
                b = c->kernels[i] == c->pairings[p].test ? i : b;
            }
            if (a == c->kernel_count || b == c->kernel_count || !passes[a] || !passes[b])
                continue;
            if (passes[a] == passes[b] || !similar(pass_ns[a], pass_ns[b]))
                continue;
            passes[a] = passes[b] = passes[a] < passes[b] ? passes[a] : passes[b];
            again = true;
        }
    }
}

static struct nb_group *new_group(struct nb_cell *c)
{
    struct nb_group *g = realloc(c->groups, (c->group_count + 1) * sizeof *g);
    NB_ASSERT(g != NULL);
    c->groups = g;
    g += c->group_count++;
    *g = (struct nb_group){0};
    return g;
}

static void group_add(struct nb_group *g, const struct nb_kernel *k, enum nb_role role,
                      unsigned passes)
{
    NB_ASSERT(g->count < NB_GROUP_MAX && passes > 0);
    g->members[g->count++] = (struct nb_member){k, role, passes};
}

static bool is_anchor(const struct nb_cell *c, const struct nb_kernel *k)
{
    return nb_is_anchor(k) && wanted_ceiling(k) && k->fuse == c->fuse;
}

/* The A/A copies close a group: its first member again (the same code at the same address: what
 * differs is noise), and, where the count would be odd, the anchor again. */
static void close_group(struct nb_group *g)
{
    if (g->count == 0)
        return;
    struct nb_member first = g->members[0];
    for (size_t i = 0; i < g->count; i++)
        if (g->members[i].role == NB_ROLE_MEMBER) {
            first = g->members[i];
            break;
        }
    group_add(g, first.kernel, NB_ROLE_AA, first.passes);
    if (g->count % 2 == 1)
        group_add(g, g->members[0].kernel, NB_ROLE_AA, g->members[0].passes);
}

/* Room that must stay free for the A/A copy; group sizes end even. */
static bool group_full(const struct nb_group *g)
{
    return g->count >= NB_GROUP_MAX - 1;
}

struct grouping {
    struct nb_cell *cell;
    const unsigned *passes;
    bool *placed;
    struct nb_group *open;
};

/* The first group of a cell also holds the anchor in a quarter of its passes: the control of the promise
 * that times a pass do not depend on their count. */
static void open_group(struct grouping *w)
{
    if (w->open != NULL)
        close_group(w->open);
    w->open = new_group(w->cell);
    for (size_t i = 0; i < w->cell->kernel_count; i++) {
        if (!is_anchor(w->cell, w->cell->kernels[i]) || w->passes[i] == 0)
            continue;
        group_add(w->open, w->cell->kernels[i], NB_ROLE_ANCHOR, w->passes[i]);
        if (w->cell->group_count == 1 && w->passes[i] >= 4)
            group_add(w->open, w->cell->kernels[i], NB_ROLE_COUNT, w->passes[i] / 4);
    }
}

static void place(struct grouping *w, size_t i, enum nb_role role)
{
    if (w->placed[i] || w->passes[i] == 0)
        return;
    if (w->open == NULL || group_full(w->open))
        open_group(w);
    group_add(w->open, w->cell->kernels[i], role, w->passes[i]);
    w->placed[i] = true;
}

static size_t index_of(const struct nb_cell *c, const struct nb_kernel *k)
{
    size_t i = 0;
    while (i < c->kernel_count && c->kernels[i] != k)
        i++;
    return i;
}

static size_t add_once(size_t *list, size_t n, size_t value)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == value)
            return n;
    if (n < NB_GROUP_MAX - 1)
        list[n++] = value;
    return n;
}

/* Kernels connected by pairings stay together: one-pass RMSNorm with each LayerNorm it is compared to, and with every
 * other norm that is compared to one of those. */
static void place_family(struct grouping *w, const struct nb_kernel *test)
{
    const struct nb_cell *c = w->cell;
    size_t family[NB_GROUP_MAX], n = 0, before;
    if (w->placed[index_of(c, test)])
        return;
    n = add_once(family, n, index_of(c, test));
    do {
        before = n;
        for (size_t p = 0; p < c->pairing_count; p++) {
            if (c->pairings[p].best)
                continue;
            const size_t b = index_of(c, c->pairings[p].base), t = index_of(c, c->pairings[p].test);
            for (size_t i = 0; i < n; i++)
                if (family[i] == b || family[i] == t) {
                    n = add_once(family, n, b);
                    n = add_once(family, n, t);
                }
        }
    } while (n > before);
    if (w->open == NULL || w->open->count + n > NB_GROUP_MAX - 1)
        open_group(w);
    for (size_t i = 0; i < n; i++)
        place(w, family[i], NB_ROLE_MEMBER);
}

/* Kernels of others beside the first pairing, or the next one: never in rounds of their own. */
static void place_foreign(struct grouping *w)
{
    for (size_t i = 0; i < w->cell->kernel_count; i++)
        if (nb_kernel_origin(w->cell->kernels[i]) != NB_OURS)
            place(w, i, NB_ROLE_MEMBER);
}

static void make_groups(struct nb_cell *c, const double *pass_ns, double sample_ms)
{
    unsigned *passes = calloc(c->kernel_count, sizeof *passes);
    bool *placed = calloc(c->kernel_count, sizeof *placed);
    NB_ASSERT(passes != NULL && placed != NULL);
    struct grouping w = {c, passes, placed, NULL};
    free(c->groups);
    c->groups = NULL;
    c->group_count = 0;
    for (size_t i = 0; i < c->kernel_count; i++)
        passes[i] = pass_ns[i] > 0 ? default_passes(sample_ms, pass_ns[i]) : 0;
    equal_passes(c, pass_ns, passes);
    open_group(&w);
    for (size_t i = 0; i < c->kernel_count; i++) {
        placed[i] = is_anchor(c, c->kernels[i]);
        if (wanted_ceiling(c->kernels[i]) || nb_is_extra_reference(c->kernels[i]))
            place(&w, i, NB_ROLE_CEILING);
    }
    for (size_t p = 0; p < c->pairing_count; p++)
        if (!c->pairings[p].best) {
            place_family(&w, c->pairings[p].test);
            place_foreign(&w);
        }
    for (size_t i = 0; i < c->kernel_count; i++)
        place(&w, i, NB_ROLE_MEMBER);
    close_group(w.open);
    while (c->group_count > 0 && c->groups[c->group_count - 1].count == 0)
        c->group_count--;
    free(passes);
    free(placed);
}

/* ---- rounds and budget ---- */

enum { ROUNDS_MIN = 2, PROCESSES_MIN = 6 };
#define SAMPLE_COST_NS 4e4 /* of the harness around a sample: a first guess, corrected by screening */

static double guess_round_ns(const struct nb_cell *c, const double *pass_ns)
{
    double ns = 0;
    for (size_t g = 0; g < c->group_count; g++)
        for (size_t m = 0; m < c->groups[g].count; m++) {
            const struct nb_member *mem = &c->groups[g].members[m];
            ns += (mem->passes + 1) * kernel_ns(c, pass_ns, mem->kernel) + SAMPLE_COST_NS;
        }
    return ns;
}

unsigned nb_plan_threads(const struct nb_plan *plan)
{
    unsigned most = 1;
    for (size_t i = 0; i < plan->count; i++)
        most = plan->cells[i].threads > most ? plan->cells[i].threads : most;
    return most;
}

unsigned nb_plan_rounds(const struct nb_plan *plan, const struct nb_cell *c, unsigned process)
{
    return process < plan->settings.screening ? c->screen_rounds : c->rounds;
}

/* Screening only ranks, by the least of its samples: a quarter of the rounds, at least four, and three
 * where a cell is so dear that it has fewer than four; never more than was asked for. */
static unsigned screen_rounds(const struct nb_plan *plan, unsigned rounds)
{
    const unsigned most = plan->settings.rounds;
    const unsigned wanted = rounds >= 16 ? rounds / 4 : rounds >= 4 ? 4 : 3;
    return wanted < most ? wanted : most;
}

/* Rounds of every cell when each may take tau ns a process for them; the time of all processes. A
 * screening process is reserved no less than a measuring one: what it leaves, the refit gives back. */
static double share_out(struct nb_plan *plan, const struct nb_unit_cost *cost, unsigned screening,
                        double tau)
{
    const unsigned most = plan->settings.rounds;
    const unsigned least = most < ROUNDS_MIN ? most : ROUNDS_MIN;
    double ns = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const double wanted = floor(tau / cost[i].round_ns);
        const unsigned rounds = wanted < least ? least : wanted > most ? most : (unsigned)wanted;
        const unsigned first = screen_rounds(plan, rounds);
        plan->cells[i].rounds = rounds;
        ns += plan->settings.processes * (rounds * cost[i].round_ns + cost[i].fixed_ns);
        ns += screening *
              ((first > rounds ? first : rounds) * cost[i].round_ns + cost[i].fixed_ns);
    }
    return ns;
}

/* Largest equal share of time a cell, by bisection, with which all processes, so many of them screening,
 * keep the budget. False: not even the least number of rounds keeps it; every cell then has that. */
static bool fit_rounds(struct nb_plan *plan, const struct nb_unit_cost *cost, unsigned screening,
                       double budget_ns)
{
    double low = 0, high = 1e12;
    if (share_out(plan, cost, screening, high) <= budget_ns)
        return true;
    for (int i = 0; i < 60; i++) {
        const double mid = (low + high) / 2;
        if (share_out(plan, cost, screening, mid) <= budget_ns)
            low = mid;
        else
            high = mid;
    }
    return share_out(plan, cost, screening, low) <= budget_ns;
}

static double least_unit_ns(const struct nb_unit_cost *c)
{
    return c->fixed_ns + ROUNDS_MIN * c->round_ns;
}

static void drop_dearest(struct nb_plan *plan, struct nb_unit_cost *cost)
{
    size_t worst = 0;
    for (size_t i = 1; i < plan->count; i++)
        if (least_unit_ns(&cost[i]) > least_unit_ns(&cost[worst]))
            worst = i;
    drop(plan, plan->cells[worst].id, "the budget does not reach for it; give a larger --budget");
    nb_cell_free(&plan->cells[worst]);
    plan->count--;
    memmove(&plan->cells[worst], &plan->cells[worst + 1],
            (plan->count - worst) * sizeof *plan->cells);
    memmove(&cost[worst], &cost[worst + 1], (plan->count - worst) * sizeof *cost);
}

static bool fewer_processes(struct nb_plan *plan)
{
    if (plan->settings.processes_given || plan->settings.processes <= PROCESSES_MIN)
        return false;
    plan->settings.processes--;
    return true;
}

static double budget_ns(const struct nb_plan *plan)
{
    return plan->settings.budget_s > 0 ? plan->settings.budget_s * 1e9 : INFINITY;
}

static bool in_arena(const struct nb_cell *c)
{
    return c->residency == NB_DRAM || c->residency == NB_COLD;
}

static bool same_arena(const struct nb_cell *a, const struct nb_cell *b)
{
    return in_arena(a) && in_arena(b) && a->dtype == b->dtype && a->threads == b->threads &&
           a->offset == b->offset && a->in_place == b->in_place;
}

/* Whichever cell of an arena comes first in a process fills it for all of them: each is charged its part. */
static void share_fixed(const struct nb_plan *plan, struct nb_unit_cost *cost)
{
    for (size_t i = 0; i < plan->count; i++) {
        double sum = 0;
        size_t n = 0;
        for (size_t j = 0; j < plan->count; j++)
            if (same_arena(&plan->cells[i], &plan->cells[j])) {
                if (j < i) /* shared out already */
                    break;
                sum += cost[j].fixed_ns;
                n++;
            }
        for (size_t j = i; n > 0 && j < plan->count; j++)
            if (same_arena(&plan->cells[i], &plan->cells[j]))
                cost[j].fixed_ns = sum / (double)n;
    }
}

enum nb_status nb_plan_calibrate(struct nb_plan *plan, const struct nb_calibration *cal,
                                 struct nb_err *err)
{
    struct nb_unit_cost *cost = calloc(plan->count, sizeof *cost);
    NB_ASSERT(cost != NULL);
    for (size_t i = 0; i < plan->count; i++) {
        make_groups(&plan->cells[i], cal->pass_ns[i], plan->settings.sample_ms);
        cost[i].fixed_ns = 1.2 * cal->setup_ns[i]; /* and what is verified at the end */
        cost[i].round_ns = fmax(1, guess_round_ns(&plan->cells[i], cal->pass_ns[i]));
    }
    share_fixed(plan, cost);
    bool fits;
    while (!(fits = fit_rounds(plan, cost, plan->settings.screening, budget_ns(plan))))
        if (!fewer_processes(plan)) {
            if (plan->count == 1)
                break;
            drop_dearest(plan, cost);
        }
    free(cost);
    if (!fits)
        return nb_fail(err, "budget: %.1f s are not enough for even one cell with %u processes; give more, or "
                            "fewer kernels", plan->settings.budget_s, plan->settings.processes);
    for (size_t i = 0; i < plan->count; i++)
        plan->cells[i].screen_rounds = screen_rounds(plan, plan->cells[i].rounds);
    plan->state = NB_CALIBRATED;
    return NB_OK;
}

void nb_plan_refit(struct nb_plan *plan, struct nb_unit_cost *cost, double left_s)
{
    if (plan->settings.budget_s <= 0)
        return;
    share_fixed(plan, cost);
    while (!fit_rounds(plan, cost, 0, left_s * 1e9))
        if (!fewer_processes(plan)) {
            if (plan->count == 1)
                break;
            drop_dearest(plan, cost);
        }
}

void nb_plan_order(const struct nb_plan *plan, unsigned process, size_t *order)
{
    unsigned long long state = plan->settings.seed * 1000003ull + process;
    for (size_t i = 0; i < plan->count; i++)
        order[i] = i;
    nb_shuffle(order, plan->count, &state);
    /* a stable pass brings the cells of one arena (dtype, threads, offset, in place) behind its first one */
    for (size_t i = 0; i < plan->count; i++) {
        const struct nb_cell *a = &plan->cells[order[i]];
        size_t next = i + 1;
        if (!in_arena(a))
            continue;
        for (size_t j = i + 1; j < plan->count; j++) {
            if (!same_arena(a, &plan->cells[order[j]]))
                continue;
            const size_t moved = order[j];
            memmove(&order[next + 1], &order[next], (j - next) * sizeof *order);
            order[next++] = moved;
        }
        i = next - 1;
    }
}

/* ---- screening ---- */

/* The least of a list of times; infinity where there is none. */
static double least_of(const json_t *times)
{
    double ns = INFINITY;
    for (size_t i = 0; i < json_array_size(times); i++)
        ns = fmin(ns, json_number_value(json_array_get(times, i)));
    return ns;
}

struct nb_winner nb_plan_fastest(const struct nb_cell *c, const json_t *samples, const json_t *hashes,
                                 uint32_t op, bool allow_weak)
{
    struct nb_winner best = {.ns = INFINITY};
    for (size_t g = 0; g < c->group_count; g++)
        for (size_t m = 0; m < c->groups[g].count; m++) {
            const struct nb_member *mem = &c->groups[g].members[m];
            const double ns = least_of(json_object_get(samples, mem->kernel->name));
            if (mem->kernel->op == op && ns < best.ns &&
                nb_kernel_may_win(mem->kernel, allow_weak) &&
                json_object_get(hashes, mem->kernel->name) != NULL)
                best = (struct nb_winner){mem->kernel, mem->passes, ns};
        }
    return best;
}

/* Passes of a kernel in a group; 0: it is no member. */
static unsigned passes_in(const struct nb_group *g, const struct nb_kernel *k)
{
    for (size_t m = 0; m < g->count; m++)
        if (g->members[m].kernel == k && g->members[m].role == NB_ROLE_MEMBER)
            return g->members[m].passes;
    return 0;
}

/* Do both run in one group already, in the counts that a pairing wants? */
static bool share_group(const struct nb_cell *c, const struct nb_winner *a,
                        const struct nb_winner *b)
{
    for (size_t g = 0; g < c->group_count; g++) {
        const unsigned pa = passes_in(&c->groups[g], a->kernel);
        const unsigned pb = passes_in(&c->groups[g], b->kernel);
        if (pa > 0 && pb > 0 && (pa == pb || !similar(a->ns, b->ns)))
            return true;
    }
    return false;
}

/* Whether the two of each pairing share a group already. */
static bool all_share(const struct nb_cell *c, const struct nb_winner *winners)
{
    for (size_t p = 0; p < c->pairing_count; p++) {
        const struct nb_winner *base = &winners[c->pairings[p].base_op], *test = &winners[c->pairings[p].test_op];
        if (c->pairings[p].best && base->kernel != NULL && test->kernel != NULL && !share_group(c, base, test))
            return false;
    }
    return true;
}

/* Of a winner in a group of winners: the least of those of its speed, so that counts are equal. */
static unsigned passes_among(const struct nb_cell *c, const struct nb_winner *winners, uint32_t op)
{
    unsigned passes = winners[op].passes;
    for (size_t p = 0; p < c->pairing_count; p++) {
        const struct nb_pairing *pair = &c->pairings[p];
        const struct nb_winner *other = &winners[pair->base_op == op ? pair->test_op : pair->base_op];
        if (pair->best && (pair->base_op == op || pair->test_op == op) && other->kernel != NULL &&
            similar(winners[op].ns, other->ns) && other->passes < passes)
            passes = other->passes;
    }
    return passes;
}

/* Whether a winner stands in a pairing whose other one was found, too. */
static bool is_opposed(const struct nb_cell *c, const struct nb_winner *winners, uint32_t op)
{
    for (size_t p = 0; p < c->pairing_count; p++)
        if (c->pairings[p].best && (c->pairings[p].base_op == op || c->pairings[p].test_op == op) &&
            winners[c->pairings[p].base_op].kernel != NULL && winners[c->pairings[p].test_op].kernel != NULL)
            return true;
    return false;
}

void nb_plan_choose(struct nb_cell *c, const struct nb_winner winners[NB_OP_COUNT])
{
    for (size_t p = 0; p < c->pairing_count; p++)
        if (c->pairings[p].best) {
            c->pairings[p].base = winners[c->pairings[p].base_op].kernel;
            c->pairings[p].test = winners[c->pairings[p].test_op].kernel;
        }
    if (all_share(c, winners))
        return;
    struct nb_group *g = new_group(c);
    const struct nb_group *first = &c->groups[0];
    g->measure_only = true;
    if (first->count > 0 && first->members[0].role == NB_ROLE_ANCHOR)
        group_add(g, first->members[0].kernel, NB_ROLE_ANCHOR, first->members[0].passes);
    for (uint32_t op = 0; op < NB_OP_COUNT; op++)
        if (is_opposed(c, winners, op))
            group_add(g, winners[op].kernel, NB_ROLE_MEMBER, passes_among(c, winners, op));
    close_group(g);
}

/* ---- JSON ---- */

enum { ROLES = 5 };
static const char *const ROLE_NAMES[ROLES] = {"member", "ceiling", "anchor", "aa", "count"};
static const char *const STATE_NAMES[] = {"planned", "calibrated", "screened"};

static json_t *kernel_json(const struct nb_kernel *k)
{
    const struct nb_isa *isa = nb_isa_find(k->isa);
    const struct nb_code *code = nb_code_of(nb_kernel_function(k));
    const char *why_no_code = nb_code_why_not(nb_kernel_function(k));
    return json_pack("{ss ss ss ss ss ss ss ss ss si sb si si sf so so si sb sb}", "op", nb_op_name(k->op), "dir",
                     nb_dir_name(k->dir), "fuse", nb_fuse_name(k->fuse), "dtype",
                     nb_dtype_name(k->dtype), "algo", k->algo, "isa", k->isa, "trick",
                     k->trick, "source", k->source, "origin", nb_origin_name(nb_kernel_origin(k)), "isa_rank",
                     isa != NULL ? isa->rank : 0, "flushes", (int)k->flushes, "x_reads",
                     (int)k->x_reads, "dy_reads", (int)k->dy_reads, "flops", k->flops, "vector_bits",
                     code != NULL ? json_integer((json_int_t)code->vector_bits) : json_null(),
                     "vector_bits_reason",
                     why_no_code != NULL ? json_string(why_no_code) : json_null(),
                     "vector_bits_declared", (int)k->vector_bits, "streams",
                     (int)nb_kernel_streams(k), "weak", (int)nb_kernel_is_weak(k));
}

static json_t *group_json(const struct nb_group *g)
{
    json_t *members = json_array();
    for (size_t m = 0; m < g->count; m++)
        json_array_append_new(members,
                              json_pack("{ss ss si}", "kernel", g->members[m].kernel->name, "role",
                                        ROLE_NAMES[g->members[m].role], "passes",
                                        (int)g->members[m].passes));
    return json_pack("{so ss}", "members", members, "stage", g->measure_only ? "measure" : "all");
}

static json_t *name_or_null(const struct nb_kernel *k)
{
    return k != NULL ? json_string(k->name) : json_null();
}

static json_t *pairing_json(const struct nb_pairing *p)
{
    return json_pack("{ss ss ss ss so so}", "pairing", p->best ? "best-of-each" : "same-algorithm",
                     "base_op", nb_op_name(p->base_op), "test_op", nb_op_name(p->test_op), "isa",
                     p->best ? "any" : p->base->isa, "base", name_or_null(p->base), "test",
                     name_or_null(p->test));
}

/* Of the ops of the cell that have one: {"prefix":"6.25%"}, as the options take them. */
static json_t *k_json(const struct nb_cell *c)
{
    json_t *all = json_object();
    char text[32];
    for (int kind = 1; kind < NB_K_COUNT; kind++)
        if (c->k[kind] > 0) {
            nb_k_text((enum nb_op_k)kind, c->k[kind], text, sizeof text);
            json_object_set_new(all, nb_k_facts[kind].name, json_string(text));
        }
    return all;
}

json_t *nb_cell_to_json(const struct nb_cell *c, const struct nb_settings *s)
{
    char repro[NB_REPRO];
    json_t *kernels = json_array(), *groups = json_array(), *pairings = json_array();
    for (size_t i = 0; i < c->kernel_count; i++)
        json_array_append_new(kernels, json_string(c->kernels[i]->name));
    for (size_t i = 0; i < c->group_count; i++)
        json_array_append_new(groups, group_json(&c->groups[i]));
    for (size_t i = 0; i < c->pairing_count; i++)
        json_array_append_new(pairings, pairing_json(&c->pairings[i]));
    nb_cell_repro(c, s, "run", NULL, repro, sizeof repro);
    return json_pack("{ss ss ss ss ss si sI sI si ss sI sI sI sb so sf sI si si ss so so so}", "id", c->id, "dir",
                     nb_dir_name(c->dir), "fuse", nb_fuse_name(c->fuse), "dtype",
                     nb_dtype_name(c->dtype), "param_dtype", nb_dtype_name(c->param_dtype),
                     "stats_out", (int)c->stats_out, "hidden", (json_int_t)c->hidden, "rows",
                     (json_int_t)c->rows, "threads", (int)c->threads, "residency",
                     nb_residency_name(c->residency), "ldx", (json_int_t)c->ldx, "ldy",
                     (json_int_t)c->ldy, "offset", (json_int_t)c->offset, "in_place", (int)c->in_place, "k", k_json(c), "momentum", c->momentum,
                     "bytes", (json_int_t)c->bytes, "rounds", (int)c->rounds,
                     "screen_rounds", (int)c->screen_rounds, "repro", repro, "kernels", kernels, "groups", groups, "pairings", pairings);
}

json_int_t nb_plan_digest(const json_t *plan)
{
    json_t *rest = json_copy((json_t *)plan);
    json_object_del(rest, "digest");
    char *text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
    NB_ASSERT(text != NULL);
    const uint64_t h = nb_hash_bytes(0, text, strlen(text));
    free(text);
    json_decref(rest);
    return (json_int_t)(h >> 1);
}

/* A string that is no UTF-8 (names of files need not be) cannot stand in JSON: its strange bytes become
 * question marks. */
static json_t *any_text(const char *text)
{
    json_t *json = json_string(text);
    if (json != NULL)
        return json;
    char *clean = strdup(text);
    NB_ASSERT(clean != NULL);
    for (char *c = clean; *c != '\0'; c++)
        *c = (unsigned char)*c >= 0x80 ? '?' : *c;
    json = json_string(clean);
    free(clean);
    NB_ASSERT(json != NULL);
    return json;
}

json_t *nb_plan_to_json(const struct nb_plan *plan)
{
    const struct nb_settings *s = &plan->settings;
    json_t *kernels = json_object(), *cells = json_array(), *dropped = json_array();
    for (size_t i = 0; i < plan->count; i++) {
        const struct nb_cell *c = &plan->cells[i];
        json_array_append_new(cells, nb_cell_to_json(c, s));
        for (size_t k = 0; k < c->kernel_count; k++)
            if (json_object_get(kernels, c->kernels[k]->name) == NULL)
                json_object_set_new(kernels, c->kernels[k]->name, kernel_json(c->kernels[k]));
    }
    for (size_t i = 0; i < plan->dropped_count; i++)
        json_array_append_new(dropped, json_pack("{ss ss}", "cell", plan->dropped[i].cell, "reason",
                                                 plan->dropped[i].reason));
    json_t *json = json_pack("{si ss sI sI si si sb si sf sb so so sf ss so so so sO*}", "schema", 1, "id",
                     plan->id, "digest", (json_int_t)0, "seed", (json_int_t)s->seed, "screening", (int)s->screening, "processes",
                     (int)s->processes, "processes_given", (int)s->processes_given, "rounds",
                     (int)s->rounds, "sample_ms", s->sample_ms, "allow_weak", (int)s->allow_weak, "preset",
                     any_text(plan->preset), "command",
                     any_text(plan->command ? plan->command : "normbench run"),
                     "budget_s", s->budget_s, "state", STATE_NAMES[plan->state], "kernels", kernels,
                     "dropped", dropped, "cells", cells, "bars", plan->bars);
    NB_ASSERT(json != NULL);
    nb_foreign_to_json(json);
    json_object_set_new(json, "digest", json_integer(nb_plan_digest(json)));
    return json;
}

static int word_index(const char *const *words, int n, const char *word)
{
    for (int i = 0; i < n; i++)
        if (word != NULL && strcmp(words[i], word) == 0)
            return i;
    return -1;
}

static enum nb_status kernel_by_name(const json_t *name, const struct nb_kernel **k,
                                     struct nb_err *err)
{
    *k = json_is_string(name) ? nb_kernel_find(json_string_value(name)) : NULL;
    if (*k == NULL && !json_is_null(name))
        return nb_fail(err, "plan: this program has no kernel \"%s\"",
                       json_is_string(name) ? json_string_value(name) : "(not a string)");
    return NB_OK;
}

static enum nb_status group_from_json(struct nb_cell *c, const json_t *json, struct nb_err *err)
{
    struct nb_group *g = new_group(c);
    const json_t *members = json_object_get(json, "members");
    const char *stage = json_string_value(json_object_get(json, "stage"));
    g->measure_only = stage != NULL && strcmp(stage, "measure") == 0;
    if (json_array_size(members) > NB_GROUP_MAX)
        return nb_fail(err, "plan: a group of %zu members; at most %d", json_array_size(members),
                       NB_GROUP_MAX);
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *m = json_array_get(members, i);
        const int role = word_index(ROLE_NAMES, ROLES, json_string_value(json_object_get(m, "role")));
        const json_int_t passes = json_integer_value(json_object_get(m, "passes"));
        const struct nb_kernel *k;
        enum nb_status s = kernel_by_name(json_object_get(m, "kernel"), &k, err);
        if (s != NB_OK)
            return s;
        if (k == NULL || role < 0 || passes < 1 || passes > 1000000000)
            return nb_fail(err, "plan: bad member in a group of cell %s", c->id);
        group_add(g, k, (enum nb_role)role, (unsigned)passes);
    }
    return NB_OK;
}

static enum nb_status pairing_from_json(const json_t *json, const char *cell, struct nb_pairing *p, struct nb_err *err)
{
    const char *name = json_string_value(json_object_get(json, "pairing"));
    const char *base = json_string_value(json_object_get(json, "base_op"));
    const char *test = json_string_value(json_object_get(json, "test_op"));
    const int b = base != NULL ? nb_op_parse(base) : -1, t = test != NULL ? nb_op_parse(test) : -1;
    if (b < 0 || t < 0)
        return nb_fail(err, "plan: a pairing of cell %s names an unknown op", cell);
    *p = (struct nb_pairing){.best = name != NULL && strcmp(name, "best-of-each") == 0,
                             .base_op = (uint32_t)b, .test_op = (uint32_t)t};
    enum nb_status s = kernel_by_name(json_object_get(json, "base"), &p->base, err);
    if (s == NB_OK)
        s = kernel_by_name(json_object_get(json, "test"), &p->test, err);
    if (s == NB_OK && !p->best && (p->base == NULL || p->test == NULL))
        s = nb_fail(err, "plan: a same-algorithm pairing of cell %s lacks a member", cell);
    return s;
}

static enum nb_status lists_from_json(struct nb_cell *c, const json_t *json, struct nb_err *err)
{
    const json_t *kernels = json_object_get(json, "kernels");
    const json_t *groups = json_object_get(json, "groups");
    const json_t *pairings = json_object_get(json, "pairings");
    enum nb_status s = NB_OK;
    const struct nb_kernel *k;
    for (size_t i = 0; s == NB_OK && i < json_array_size(kernels); i++) {
        s = kernel_by_name(json_array_get(kernels, i), &k, err);
        if (s == NB_OK && k != NULL)
            cell_add_kernel(c, k);
    }
    for (size_t i = 0; s == NB_OK && i < json_array_size(groups); i++)
        s = group_from_json(c, json_array_get(groups, i), err);
    for (size_t i = 0; s == NB_OK && i < json_array_size(pairings); i++) {
        struct nb_pairing pairing;
        s = pairing_from_json(json_array_get(pairings, i), c->id, &pairing, err);
        if (s == NB_OK)
            add_pairing(c, pairing);
    }
    return s;
}

static enum nb_status k_from_json(struct nb_cell *c, const json_t *json, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    for (int kind = 1; s == NB_OK && kind < NB_K_COUNT; kind++) {
        const char *text = json_string_value(json_object_get(json, nb_k_facts[kind].name));
        if (text != NULL)
            s = nb_k_parse((enum nb_op_k)kind, text, &c->k[kind], err);
    }
    return s;
}

enum nb_status nb_cell_from_json(struct nb_cell *c, const json_t *json, struct nb_err *err)
{
    const char *id, *dir, *fuse, *dtype, *param, *residency;
    json_int_t hidden, rows, ldx, ldy, bytes, offset = NB_OFFSET;
    int stats, threads, rounds, screen_rounds, in_place = 0;
    double momentum = NB_MOMENTUM;
    json_error_t e;
    *c = (struct nb_cell){0};
    if (json_unpack_ex((json_t *)json, &e, 0, "{ss ss ss ss ss si sI sI si ss sI sI sI si si s?I s?b s?F}", "id", &id,
                       "dir", &dir, "fuse", &fuse, "dtype", &dtype, "param_dtype", &param,
                       "stats_out", &stats, "hidden", &hidden, "rows", &rows, "threads", &threads,
                       "residency", &residency, "ldx", &ldx, "ldy", &ldy, "bytes", &bytes, "rounds",
                       &rounds, "screen_rounds", &screen_rounds, "offset", &offset, "in_place", &in_place, "momentum",
                       &momentum) != 0)
        return nb_fail(err, "plan: bad cell: %s", e.text);
    const int d = nb_dtype_parse(dtype), p = nb_dtype_parse(param),
              r = nb_residency_parse(residency), way = nb_dir_parse(dir), fused = nb_fuse_parse(fuse);
    if (d < 0 || p < 0 || r < 0 || way < 0 || fused < 0)
        return nb_fail(err, "plan: cell %s names an unknown dtype, residency, dir or fuse", id);
    if (hidden < 1 || rows < 1 || threads < 1 || rounds < 0 || screen_rounds < 0 || ldx < hidden || ldy < hidden)
        return nb_fail(err, "plan: cell %s has a size that is not positive", id);
    if (offset < 0 || offset >= 4096 || offset % 64 != 0)
        return nb_fail(err, "plan: cell %s: its offset is no multiple of 64 below 4096", id);
    if (!(momentum >= 0 && momentum <= 1))
        return nb_fail(err, "plan: cell %s: its momentum is not within 0 to 1", id);
    if (k_from_json(c, json_object_get(json, "k"), err) != NB_OK)
        return NB_ERROR;
    snprintf(c->id, sizeof(c->id), "%s", id);
    c->dir = (uint32_t)way;
    c->fuse = (uint32_t)fused;
    c->dtype = (uint32_t)d;
    c->param_dtype = (uint32_t)p;
    c->residency = (enum nb_residency)r;
    c->stats_out = stats != 0;
    c->hidden = (size_t)hidden;
    c->rows = (size_t)rows;
    c->ldx = (size_t)ldx;
    c->ldy = (size_t)ldy;
    c->bytes = (size_t)bytes;
    c->offset = (size_t)offset;
    c->in_place = in_place != 0;
    c->momentum = momentum;
    c->threads = (unsigned)threads;
    c->rounds = (unsigned)rounds;
    c->screen_rounds = (unsigned)screen_rounds;
    return lists_from_json(c, json, err);
}

static enum nb_status settings_from_json(struct nb_plan *plan, const json_t *json,
                                         struct nb_err *err)
{
    const char *id, *state, *preset, *command;
    json_int_t seed;
    int schema, screening, processes, given, rounds, allow_weak;
    struct nb_settings *s = &plan->settings;
    json_error_t e;
    if (json_unpack_ex((json_t *)json, &e, 0, "{si ss sI si si sb si sF sb ss ss sF ss}", "schema",
                       &schema, "id", &id, "seed", &seed, "screening", &screening, "processes",
                       &processes, "processes_given", &given, "rounds", &rounds, "sample_ms",
                       &s->sample_ms, "allow_weak", &allow_weak, "preset", &preset, "command", &command, "budget_s",
                       &s->budget_s, "state", &state) != 0)
        return nb_fail(err, "plan.json: %s", e.text);
    const int st = word_index(STATE_NAMES, 3, state);
    if (schema != 1 || st < 0 || screening < 0 || processes < 1 || rounds < 1)
        return nb_fail(err, "plan.json: schema %d, state %s: not a plan of this version", schema,
                       state);
    s->seed = (uint64_t)seed;
    s->screening = (unsigned)screening;
    s->processes = (unsigned)processes;
    s->processes_given = given;
    s->allow_weak = allow_weak;
    s->rounds = (unsigned)rounds;
    plan->state = (enum nb_plan_state)st;
    snprintf(plan->id, sizeof(plan->id), "%s", id);
    snprintf(plan->preset, sizeof(plan->preset), "%s", preset);
    plan->command = strdup(command);
    return NB_OK;
}

enum nb_status nb_plan_from_json(struct nb_plan *plan, const json_t *json, struct nb_err *err)
{
    *plan = (struct nb_plan){0};
    const json_t *cells = json_object_get(json, "cells"), *item;
    const json_t *dropped = json_object_get(json, "dropped");
    enum nb_status s = settings_from_json(plan, json, err);
    size_t i;
    if (s == NB_OK && json_array_size(cells) == 0)
        s = nb_fail(err, "plan.json: no cells");
    if (s == NB_OK && json_integer_value(json_object_get(json, "digest")) != nb_plan_digest(json))
        s = nb_fail(err, "plan.json was changed since the run began; start a new run");
    if (s != NB_OK)
        return s;
    plan->bars = json_incref(json_object_get(json, "bars"));
    plan->cells = calloc(json_array_size(cells), sizeof *plan->cells);
    NB_ASSERT(plan->cells != NULL);
    json_array_foreach(cells, i, item) {
        s = nb_cell_from_json(&plan->cells[plan->count++], item, err);
        if (s != NB_OK)
            return s;
    }
    json_array_foreach(dropped, i, item) {
        const char *cell = json_string_value(json_object_get(item, "cell"));
        const char *reason = json_string_value(json_object_get(item, "reason"));
        drop(plan, cell != NULL ? cell : "?", reason != NULL ? reason : "?");
    }
    return NB_OK;
}
