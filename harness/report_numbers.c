/* What follows from the raw samples: times, ratios, intervals. Definitions:
 * docs/schema.md. */
#include "report_data.h"
#include "stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const double rep_alpha = 0.05, rep_power = 0.9;
static const struct rep_estimate unknown = {NAN, NAN, NAN, NAN, 0};

bool rep_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

bool rep_is_norm(const struct rep_kernel *k)
{
    return k->op != NULL && nb_op_is_layer((uint32_t)nb_op_parse(k->op));
}

bool rep_is_op(const struct rep_kernel *k, const char *op)
{
    return k != NULL && rep_same(k->op, op);
}

/* Nothing wrong is timed: only what passed its check has a time. */
bool rep_has_times(enum rep_verdict v)
{
    return v == REP_PASS;
}

bool rep_is_timed(const struct rep_entry *e)
{
    return isfinite(e->ns_per_row.value);
}

bool rep_has_speedup(const struct rep_pairing *p)
{
    return p != NULL && isfinite(p->speedup.value);
}

size_t rep_max_rounds(const struct rep_cell *cell)
{
    size_t most = 1;
    for (size_t u = 0; u < cell->nunits; u++)
        for (size_t g = 0; cell->units[u].done && g < cell->ngroups; g++)
            if (cell->units[u].final.groups[g].n > most)
                most = cell->units[u].final.groups[g].n;
    return most;
}

/* ---- one process ---- */

static double pass_time(const struct rep_group *g, const struct rep_rounds *r,
                        size_t round, size_t member)
{
    return r->ns[round * g->nmembers + member] / g->members[member].passes;
}

static size_t member_times(const struct rep_cell *cell, const struct rep_unit *u,
                           size_t group, size_t member, double *ns)
{
    const struct rep_rounds *r = &u->final.groups[group];
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        double t = pass_time(&cell->groups[group], r, i, member);
        if (isfinite(t))
            ns[n++] = t;
    }
    return n;
}

size_t rep_process_times(const struct rep_cell *cell, const struct rep_entry *e,
                         const struct rep_unit *unit, double *ns_per_pass)
{
    return member_times(cell, unit, e->group, e->member, ns_per_pass);
}

/* Median over rounds of ln(t_a/t_b), both of the same round; NAN where they never met. */
static double log_ratio(const struct rep_cell *cell, const struct rep_unit *u,
                        size_t group, size_t a, size_t b, double *scratch)
{
    const struct rep_rounds *r = &u->final.groups[group];
    const struct rep_group *g = &cell->groups[group];
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        double ratio = pass_time(g, r, i, a) / pass_time(g, r, i, b);
        if (isfinite(ratio))
            scratch[n++] = log(ratio);
    }
    return n ? nb_median(scratch, n) : NAN;
}

/* ---- over processes ---- */

static struct rep_estimate estimate(double *v, size_t n)
{
    if (n == 0)
        return unknown;
    struct nb_interval i = nb_median_interval(v, n, 1 - rep_alpha);
    return (struct rep_estimate){i.median, i.lo, i.hi,
                                 i.confidence > 0 ? i.confidence : NAN, n};
}

static struct rep_estimate exponential(struct rep_estimate e)
{
    return (struct rep_estimate){exp(e.value), exp(e.lo), exp(e.hi), e.confidence,
                                 e.processes};
}

/* The scratch memory of one cell: numbers of the rounds of a process and of the
 * processes. */
struct work {
    const struct rep_run *run;
    double *rounds, *processes;
};

/* Leaves the logarithms of the processes that entered in w->processes. */
static struct rep_estimate ratio_estimate(const struct work *w,
                                          const struct rep_cell *cell, size_t group,
                                          size_t a, size_t b)
{
    size_t n = 0;
    for (size_t u = 0; u < cell->nunits; u++) {
        if (!rep_is_measuring(w->run, &cell->units[u]))
            continue;
        double r = log_ratio(cell, &cell->units[u], group, a, b, w->rounds);
        if (isfinite(r))
            w->processes[n++] = r;
    }
    return exponential(estimate(w->processes, n));
}

static size_t find_member(const struct rep_cell *cell, size_t group, size_t entry)
{
    const struct rep_group *g = &cell->groups[group];
    for (size_t m = 0; m < g->nmembers; m++)
        if (g->members[m].entry == entry && g->members[m].role < REP_AA)
            return m;
    return SIZE_MAX;
}

/* ---- times of a comparison ---- */

static struct rep_estimate time_estimate(const struct work *w,
                                         const struct rep_cell *cell, size_t group,
                                         size_t member, size_t *rounds)
{
    size_t n = 0;
    *rounds = 0;
    for (size_t u = 0; u < cell->nunits; u++) {
        if (!rep_is_measuring(w->run, &cell->units[u]))
            continue;
        size_t k = member_times(cell, &cell->units[u], group, member, w->rounds);
        if (k > 0)
            w->processes[n++] = nb_median(w->rounds, k) / (double)cell->rows;
        *rounds += k;
    }
    return estimate(w->processes, n);
}

static double dtype_bytes(const char *dtype)
{
    return rep_same(dtype, "f64")                              ? 8
           : rep_same(dtype, "f32")                            ? 4
           : rep_same(dtype, "f16") || rep_same(dtype, "bf16") ? 2
                                                               : NAN;
}

static bool is_fused(const struct rep_cell *cell)
{
    return cell->fuse != NULL && !rep_same(cell->fuse, "none");
}

/* Tensors that a pass must read: x, and dy or the residual; and write: y or dx, and h where it is kept, or dres. */
static double tensors_read(const struct rep_cell *cell)
{
    return rep_is_bwd(cell) || is_fused(cell) ? 2 : 1;
}

/* Of a kernel whose facts the plan does not have: that of its cell. */
static const char *fuse_of(const struct rep_cell *cell, const struct rep_kernel *k)
{
    return k->fuse != NULL ? k->fuse : cell->fuse;
}

static double tensors_written(const struct rep_cell *cell, const struct rep_kernel *k)
{
    return rep_same(fuse_of(cell, k), "residual") ? 2 : 1;
}

static double row_bytes(const struct rep_cell *cell, double tensors)
{
    return tensors * (double)cell->hidden * dtype_bytes(cell->dtype);
}

double rep_row_bytes(const struct rep_cell *cell, const struct rep_kernel *k)
{
    return row_bytes(cell, tensors_read(cell) + tensors_written(cell, k));
}

/* With the lines of outputs that are read before they are written. */
double rep_row_bytes_allocated(const struct rep_cell *cell, const struct rep_kernel *k)
{
    return rep_row_bytes(cell, k) + (k->streams || cell->in_place ? 0 : row_bytes(cell, tensors_written(cell, k)));
}

/* The first group that holds the kernel and was run by measuring processes. */
static void entry_times(const struct work *w, const struct rep_cell *cell, size_t index)
{
    struct rep_entry *e = &cell->entries[index];
    for (size_t g = 0; g < cell->ngroups && rep_has_times(e->verdict); g++) {
        size_t m = find_member(cell, g, index);
        if (m == SIZE_MAX || cell->groups[g].screen_only)
            continue;
        struct rep_estimate t = time_estimate(w, cell, g, m, &e->rounds);
        if (t.processes == 0)
            continue;
        e->group = g;
        e->member = m;
        e->ns_per_row = t;
        e->gbps = rep_row_bytes(cell, e->kernel) / t.value;
        return;
    }
}

static double process_count(const struct work *w, const struct rep_cell *cell,
                            const struct rep_unit *u, size_t entry, enum rep_count what)
{
    double *v = w->rounds;
    size_t n = 0;
    for (size_t i = 0; i < u->final.ncounted; i++)
        if (u->final.counted[i].entry == entry &&
            isfinite(u->final.counted[i].per_pass[what]))
            v[n++] = u->final.counted[i].per_pass[what] / (double)cell->rows;
    return n ? nb_median(v, n) : NAN;
}

static bool is_per_element(enum rep_count c)
{
    return c == REP_REF_CYCLES || c == REP_CYCLES || c == REP_INSTRUCTIONS || c == REP_LOADS;
}

/* Certified where all that entered was; the cycles of the time-stamp counter need no certificate. */
static enum rep_counted_by counted_by(const struct work *w, const struct rep_cell *cell, size_t index)
{
    enum rep_counted_by by = REP_NOT_COUNTED;
    for (size_t u = 0; u < cell->nunits; u++) {
        const struct rep_attempt *a = &cell->units[u].final;
        for (size_t i = 0; rep_is_measuring(w->run, &cell->units[u]) && i < a->ncounted; i++)
            for (int c = REP_REF_CYCLES + 1; a->counted[i].entry == index && c < REP_COUNTS; c++)
                if (isfinite(a->counted[i].per_pass[c]) && by != REP_UNCERTIFIED)
                    by = a->counted[i].certified ? REP_CERTIFIED : REP_UNCERTIFIED;
    }
    return by;
}

/* Cycles, instructions and loads are shown an element, misses a row. */
static void entry_counts(const struct work *w, const struct rep_cell *cell, size_t index)
{
    struct rep_entry *e = &cell->entries[index];
    for (int c = 0; c < REP_COUNTS && rep_is_timed(e); c++) {
        size_t n = 0;
        for (size_t u = 0; u < cell->nunits; u++) {
            if (!rep_is_measuring(w->run, &cell->units[u]))
                continue;
            double v = process_count(w, cell, &cell->units[u], index, (enum rep_count)c);
            if (isfinite(v))
                w->processes[n++] = v;
        }
        double of = is_per_element((enum rep_count)c) ? (double)cell->hidden : 1.0;
        e->counts[c] = n ? nb_median(w->processes, n) / of : NAN;
    }
    if (rep_is_timed(e))
        e->counted = counted_by(w, cell, index);
}

/* ---- roof ---- */

static size_t find_anchor(const struct rep_cell *cell, size_t group)
{
    const struct rep_group *g = &cell->groups[group];
    for (size_t m = 0; m < g->nmembers; m++)
        if (g->members[m].role == REP_ANCHOR &&
            rep_has_times(cell->entries[g->members[m].entry].verdict))
            return m;
    return SIZE_MAX;
}

/* A copy, a scale or a triad that stands in a group as ceiling or anchor. */
static bool is_ceiling(const struct rep_cell *cell, const struct rep_entry *e)
{
    if (!rep_is_timed(e) || find_anchor(cell, e->group) == SIZE_MAX)
        return false;
    enum rep_role role = cell->groups[e->group].members[e->member].role;
    return (role == REP_CEILING || role == REP_ANCHOR) &&
           (rep_is_op(e->kernel, "copy") || rep_is_op(e->kernel, "scale") || rep_is_op(e->kernel, "triad"));
}

static bool same_fuse(const char *a, const char *b)
{
    return a == b || rep_same(a, b);
}

/* The fastest ceiling of a fuse. */
static size_t find_roof(const struct work *w, const struct rep_cell *cell, const char *fuse)
{
    size_t found = SIZE_MAX;
    double best = 0;
    for (size_t i = 0; i < cell->nentries; i++) {
        const struct rep_entry *e = &cell->entries[i];
        if (!is_ceiling(cell, e) || !same_fuse(fuse_of(cell, e->kernel), fuse))
            continue;
        size_t anchor = find_anchor(cell, e->group);
        double speed = ratio_estimate(w, cell, e->group, anchor, e->member).value;
        if (speed > best) {
            best = speed;
            found = i;
        }
    }
    return found;
}

/* Speed over the anchor's in one process, as a logarithm. */
static double over_anchor(const struct work *w, const struct rep_cell *cell,
                          const struct rep_unit *u, const struct rep_entry *e)
{
    return log_ratio(cell, u, e->group, find_anchor(cell, e->group), e->member,
                     w->rounds);
}

static void entry_scale(const struct work *w, const struct rep_cell *cell,
                        struct rep_entry *e)
{
    if (rep_is_timed(e) && find_anchor(cell, e->group) != SIZE_MAX)
        e->scale_ratio = ratio_estimate(w, cell, e->group, find_anchor(cell, e->group), e->member);
}

/* Speed of e over that of another, each against the anchor of its own rounds, process by process. */
static struct rep_estimate speed_over(const struct work *w, const struct rep_cell *cell,
                                      const struct rep_entry *e,
                                      const struct rep_entry *other)
{
    size_t n = 0;
    if (!rep_is_timed(e) || !rep_is_timed(other) ||
        find_anchor(cell, e->group) == SIZE_MAX ||
        find_anchor(cell, other->group) == SIZE_MAX)
        return unknown;
    for (size_t u = 0; u < cell->nunits; u++) {
        const struct rep_unit *unit = &cell->units[u];
        if (!rep_is_measuring(w->run, unit))
            continue;
        double r = over_anchor(w, cell, unit, e) - over_anchor(w, cell, unit, other);
        if (isfinite(r))
            w->processes[n++] = r;
    }
    return exponential(estimate(w->processes, n));
}

/* A roof moves as much as what is held against it. */
static void entry_roof(const struct work *w, struct rep_cell *cell, struct rep_entry *e)
{
    const char *fuse = fuse_of(cell, e->kernel);
    e->roof = same_fuse(fuse, cell->fuse) ? cell->roof : find_roof(w, cell, fuse);
    if (e->roof != SIZE_MAX)
        e->roof_ratio = speed_over(w, cell, e, &cell->entries[e->roof]);
}

/* A norm whose whole interval lies more than 5 % above the roof was not measured rightly: copying x to y
 * is part of its work. No number of it is shown, and nothing is compared with it. */
static void distrust_above_roof(struct rep_run *run, struct rep_entry *e)
{
    const struct rep_estimate r = e->roof_ratio;
    const bool norm = rep_is_norm(e->kernel);
    enum { ROOM = 128 };
    if (!norm || !(r.lo > 1.05))
        return;
    char *reason = rep_alloc(run, ROOM);
    snprintf(reason, ROOM, "broken measurement: %.3f [%.3f, %.3f] times as fast as the roof",
             r.value, r.lo, r.hi);
    e->verdict = REP_MISTRUSTED;
    e->reason = reason;
    e->ns_per_row = e->roof_ratio = e->scale_ratio = unknown;
    e->gbps = NAN;
    e->group = e->member = SIZE_MAX;
    e->rounds = 0;
    for (int c = 0; c < REP_COUNTS; c++)
        e->counts[c] = NAN;
    e->counted = REP_NOT_COUNTED;
}

/* ---- speedups ---- */

const char *rep_speedup_verdict(struct rep_estimate s)
{
    if (!isfinite(s.value))
        return "not-measured";
    if (!isfinite(s.lo))
        return "too-few-processes";
    return s.lo > 1 ? "faster" : s.hi < 1 ? "slower" : "unresolved";
}

static size_t entry_of(const struct rep_cell *cell, const struct rep_kernel *k)
{
    for (size_t i = 0; k != NULL && i < cell->nentries; i++)
        if (cell->entries[i].kernel == k)
            return i;
    return SIZE_MAX;
}

const struct rep_entry *rep_entry_of(const struct rep_cell *cell,
                                     const struct rep_kernel *k)
{
    size_t i = entry_of(cell, k);
    return i == SIZE_MAX ? NULL : &cell->entries[i];
}

bool rep_is_beaten(const struct rep_pairing *p)
{
    return p != NULL && (p->beats_base != NULL || p->beats_test != NULL);
}

/* The fastest kernel of an op whose whole interval lies below that of the winner. */
static const struct rep_entry *faster_than(const struct rep_cell *cell, const char *op,
                                           const struct rep_kernel *winner)
{
    const struct rep_entry *w = rep_entry_of(cell, winner), *found = NULL;
    for (size_t i = 0; w != NULL && i < cell->nentries; i++) {
        const struct rep_entry *e = &cell->entries[i];
        if (rep_is_timed(e) && rep_is_op(e->kernel, op) && e->kernel->contends &&
            e->ns_per_row.hi < w->ns_per_row.lo &&
            (found == NULL || e->ns_per_row.value < found->ns_per_row.value))
            found = e;
    }
    return found;
}

/* The intervals are sign tests turned round, so that this is what they resolve. */
static double detectable(const double *logs, size_t n)
{
    double shift = nb_detectable(nb_spread(logs, n), n, rep_alpha, rep_power);
    return isfinite(shift) ? expm1(shift) : NAN;
}

/* Both partners must have passed and have been measured in the same rounds. The group that
 * was made for two winners is the last one, and goes before another that holds both. */
static void pairing_speedup(const struct work *w, const struct rep_cell *cell,
                            struct rep_pairing *p)
{
    bool best = rep_same(p->name, "best-of-each");
    size_t base = entry_of(cell, p->base), test = entry_of(cell, p->test);
    if (base == SIZE_MAX || test == SIZE_MAX ||
        !rep_has_times(cell->entries[base].verdict) ||
        !rep_has_times(cell->entries[test].verdict))
        return;
    for (size_t i = 0; i < cell->ngroups && !rep_has_speedup(p); i++) {
        size_t g = best ? cell->ngroups - 1 - i : i;
        size_t b = find_member(cell, g, base), t = find_member(cell, g, test);
        if (b == SIZE_MAX || t == SIZE_MAX || cell->groups[g].screen_only)
            continue;
        p->speedup = ratio_estimate(w, cell, g, b, t);
        p->group = g;
        p->base_member = b;
        p->test_member = t;
    }
    p->verdict = rep_speedup_verdict(p->speedup);
    p->mde = detectable(w->processes, p->speedup.processes);
    if (!best || !rep_has_speedup(p))
        return;
    p->beats_base = faster_than(cell, p->base_op, p->base);
    p->beats_test = faster_than(cell, p->test_op, p->test);
    if (rep_is_beaten(p))
        p->verdict = "not-best";
}

static bool is_plain_kernel(const struct rep_kernel *k)
{
    return k->trick == NULL || k->trick[0] == 0 || strcmp(k->trick, "none") == 0;
}

/* Two-pass LayerNorm against one-pass RMSNorm, the textbook pair, in the same ISA. */
static bool is_textbook_pair(const struct rep_pairing *p)
{
    return rep_is_rms_over_layer(p) && p->base != NULL && p->test != NULL &&
           rep_same(p->base->algo, "twopass") &&
           rep_same(p->test->algo, rep_same(p->test->dir, "bwd") ? "twopass" : "onepass") &&
           rep_same(p->base->isa, p->test->isa) && is_plain_kernel(p->base) &&
           is_plain_kernel(p->test);
}

static double rank_of(const struct rep_pairing *p)
{
    return isfinite(p->base->isa_rank) ? p->base->isa_rank : -1;
}

static void find_headlines(struct rep_cell *cell)
{
    for (size_t i = 0; i < cell->npairings; i++) {
        const struct rep_pairing *p = &cell->pairings[i];
        if (cell->best == NULL && rep_is_rms_over_layer(p) && rep_same(p->name, "best-of-each"))
            cell->best = p;
        if (!rep_same(p->name, "best-of-each") && is_textbook_pair(p) &&
            (cell->same == NULL || rank_of(p) > rank_of(cell->same)))
            cell->same = p;
    }
}

/* ---- A/A, and the count ---- */

static void cell_noise(struct rep_run *run, const struct work *w, struct rep_cell *cell)
{
    size_t most = 0;
    for (size_t g = 0; g < cell->ngroups; g++)
        most += cell->groups[g].nmembers;
    cell->noise = rep_alloc(run, most * sizeof(*cell->noise));
    cell->bias = rep_alloc(run, most * sizeof(*cell->bias));
    for (size_t g = 0; g < cell->ngroups; g++) {
        const struct rep_group *group = &cell->groups[g];
        for (size_t m = 0; m < group->nmembers; m++) {
            size_t entry = group->members[m].entry,
                   original = find_member(cell, g, entry);
            if (group->members[m].role < REP_AA || original == SIZE_MAX ||
                !rep_has_times(cell->entries[entry].verdict))
                continue;
            struct rep_noise n = {cell->entries[entry].kernel,
                                  ratio_estimate(w, cell, g, m, original), NAN};
            if (!isfinite(n.ratio.value))
                continue;
            n.p = nb_sign_test_two_sided(w->processes, n.ratio.processes, 0);
            if (group->members[m].role == REP_AA)
                cell->noise[cell->nnoise++] = n;
            else
                cell->bias[cell->nbias++] = n;
        }
    }
}

static size_t max_counted(const struct rep_cell *cell)
{
    size_t most = 1;
    for (size_t u = 0; u < cell->nunits; u++)
        if (cell->units[u].final.ncounted > most)
            most = cell->units[u].final.ncounted;
    return most;
}

static double *doubles(size_t n)
{
    double *v = malloc(n * sizeof(*v));
    NB_ASSERT(v != NULL && "out of memory");
    return v;
}

static struct work begin_work(const struct rep_run *run, const struct rep_cell *cell)
{
    size_t rounds = rep_max_rounds(cell), counted = max_counted(cell);
    return (struct work){run, doubles(rounds > counted ? rounds : counted),
                         doubles(cell->nunits + 1)};
}

static void end_work(struct work *w)
{
    free(w->rounds);
    free(w->processes);
}

size_t rep_process_speedups(const struct rep_run *run, const struct rep_cell *cell, const struct rep_pairing *p, double *speedups)
{
    struct work w = begin_work(run, cell);
    const size_t n = ratio_estimate(&w, cell, p->group, p->base_member, p->test_member).processes;
    for (size_t i = 0; i < n; i++) /* the estimate has sorted them */
        speedups[i] = exp(w.processes[i]);
    end_work(&w);
    return n;
}

/* Median ns a row of a member of a group in one process; NAN: it has none. */
static double process_ns(const struct rep_run *run, const struct rep_cell *cell, size_t group, size_t member,
                         size_t process)
{
    double ns = NAN;
    struct work w = begin_work(run, cell);
    for (size_t u = 0; u < cell->nunits; u++) {
        const struct rep_unit *unit = &cell->units[u];
        size_t n = unit->process == process && rep_is_measuring(run, unit)
                       ? member_times(cell, unit, group, member, w.rounds)
                       : 0;
        if (n > 0)
            ns = nb_median(w.rounds, n) / (double)cell->rows;
    }
    end_work(&w);
    return ns;
}

/* Logarithm of the time an element. */
static double log_element(const struct rep_run *run, const struct rep_cell *cell,
                          const struct rep_entry *e, size_t process)
{
    return log(process_ns(run, cell, e->group, e->member, process) / (double)cell->hidden);
}

struct rep_estimate rep_element_speed_over(const struct rep_run *run, const struct rep_cell *ca,
                                           const struct rep_entry *a, const struct rep_cell *cb,
                                           const struct rep_entry *b)
{
    double *ratios = doubles(ca->nunits + 1);
    size_t n = 0;
    for (size_t u = 0; u < ca->nunits; u++) {
        size_t process = ca->units[u].process;
        double r = log_element(run, cb, b, process) - log_element(run, ca, a, process);
        if (isfinite(r))
            ratios[n++] = r;
    }
    struct rep_estimate e = exponential(estimate(ratios, n));
    free(ratios);
    return e;
}

/* Logarithm of base over test, forward and backward added up, in one process; each of the rounds of its speedup. */
static double log_sum_ratio(const struct rep_run *run, const struct rep_step *s, size_t process)
{
    const struct rep_cell *const cells[] = {s->fwd, s->bwd};
    const struct rep_pairing *const pairs[] = {s->fwd_pair, s->bwd_pair};
    double base = 0, test = 0;
    for (int i = 0; i < 2; i++) {
        base += process_ns(run, cells[i], pairs[i]->group, pairs[i]->base_member, process);
        test += process_ns(run, cells[i], pairs[i]->group, pairs[i]->test_member, process);
    }
    return log(base / test);
}

struct rep_estimate rep_sum_speedup(const struct rep_run *run, const struct rep_step *s, double *mde)
{
    double *logs = doubles(s->fwd->nunits + 1);
    size_t n = 0;
    for (size_t u = 0; u < s->fwd->nunits; u++) {
        double r = log_sum_ratio(run, s, s->fwd->units[u].process);
        if (isfinite(r))
            logs[n++] = r;
    }
    struct rep_estimate e = exponential(estimate(logs, n));
    *mde = detectable(logs, n);
    free(logs);
    return e;
}

static double cell_barrier(const struct work *w, const struct rep_cell *cell)
{
    size_t n = 0;
    for (size_t u = 0; u < cell->nunits; u++)
        if (rep_is_measuring(w->run, &cell->units[u]) && isfinite(cell->units[u].final.barrier_ns))
            w->processes[n++] = cell->units[u].final.barrier_ns;
    return n ? nb_median(w->processes, n) : NAN;
}

static void cell_numbers(struct rep_run *run, struct rep_cell *cell)
{
    struct work w = begin_work(run, cell);
    for (size_t i = 0; i < cell->nentries; i++) {
        entry_times(&w, cell, i);
        entry_counts(&w, cell, i);
    }
    cell->barrier_ns = cell_barrier(&w, cell);
    for (size_t i = 0; i < cell->nentries; i++)
        entry_scale(&w, cell, &cell->entries[i]);
    cell->roof = find_roof(&w, cell, cell->fuse);
    for (size_t i = 0; i < cell->nentries; i++)
        entry_roof(&w, cell, &cell->entries[i]);
    for (size_t i = 0; i < cell->nentries; i++)
        distrust_above_roof(run, &cell->entries[i]);
    for (size_t i = 0; i < cell->npairings; i++)
        pairing_speedup(&w, cell, &cell->pairings[i]);
    find_headlines(cell);
    cell_noise(run, &w, cell);
    end_work(&w);
}

/* Logarithm of the speed of e over other's in one process: in the same rounds, or each against the anchor of its own. */
static double log_speed(const struct work *w, const struct rep_cell *cell, const struct rep_unit *u,
                        const struct rep_entry *e, const struct rep_entry *other)
{
    if (!rep_is_timed(e) || !rep_is_timed(other) || !rep_is_measuring(w->run, u))
        return NAN;
    if (e->group == other->group)
        return log_ratio(cell, u, e->group, other->member, e->member, w->rounds);
    if (find_anchor(cell, e->group) == SIZE_MAX || find_anchor(cell, other->group) == SIZE_MAX)
        return NAN;
    return over_anchor(w, cell, u, e) - over_anchor(w, cell, u, other);
}

struct rep_estimate rep_speed_over(const struct rep_run *run, const struct rep_cell *cell,
                                   const struct rep_entry *e,
                                   const struct rep_entry *other)
{
    struct work w = begin_work(run, cell);
    size_t n = 0;
    for (size_t u = 0; u < cell->nunits; u++) {
        const double r = log_speed(&w, cell, &cell->units[u], e, other);
        if (isfinite(r))
            w.processes[n++] = r;
    }
    const struct rep_estimate speed = exponential(estimate(w.processes, n));
    end_work(&w);
    return speed;
}

/* Of nunits numbers the median of all but one, NAN left out. */
static double median_without(const double *v, size_t nunits, size_t unit, double *scratch)
{
    size_t n = 0;
    for (size_t u = 0; u < nunits; u++)
        if (u != unit && isfinite(v[u]))
            scratch[n++] = v[u];
    return n ? nb_median(scratch, n) : NAN;
}

struct rep_estimate rep_speed_over_best(const struct rep_run *run, const struct rep_cell *cell,
                                        const struct rep_entry *e, const struct rep_entry *const *others, size_t count)
{
    struct work w = begin_work(run, cell);
    const size_t units = cell->nunits;
    double *over = doubles(count * units + 1), *scratch = doubles(units + 1); /* over: [count][units] */
    size_t n = 0;
    for (size_t k = 0; k < count * units; k++)
        over[k] = log_speed(&w, cell, &cell->units[k % units], e, others[k / units]);
    for (size_t u = 0; u < units; u++) {
        double least = INFINITY, r = NAN;
        for (size_t k = 0; k < count; k++) {
            const double m = median_without(over + k * units, units, u, scratch);
            if (m < least) {
                least = m;
                r = over[k * units + u];
            }
        }
        if (isfinite(r))
            w.processes[n++] = r;
    }
    const struct rep_estimate speed = exponential(estimate(w.processes, n));
    free(over);
    free(scratch);
    end_work(&w);
    return speed;
}

/* ---- keys in their natural order ---- */

static int place(const char *const *order, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(word, order[i], strlen(order[i])) == 0)
            return (int)i;
    return (int)n;
}

static int residency_place(const char *word)
{
    static const char *const order[] = {"L1", "L2", "L3", "DRAM", "cold"};
    return place(order, 5, word);
}

static int type_place(const char *word)
{
    static const char *const order[] = {"f32", "f64", "f16", "bf16"};
    return place(order, 4, word);
}

static void add_key(struct rep_keys *keys, const char *word, int (*where)(const char *))
{
    size_t i = 0;
    for (size_t j = 0; j < keys->n; j++)
        if (strcmp(keys->text[j], word) == 0)
            return;
    if (keys->n == REP_MAX_KEYS)
        return;
    while (i < keys->n &&
           (where(keys->text[i]) < where(word) ||
            (where(keys->text[i]) == where(word) && strcmp(keys->text[i], word) < 0)))
        i++;
    memmove(&keys->text[i + 1], &keys->text[i], (keys->n++ - i) * sizeof(*keys->text));
    keys->text[i] = word;
}

static void add_size(struct rep_sizes *sizes, size_t v)
{
    size_t i = 0;
    while (i < sizes->n && sizes->value[i] < v)
        i++;
    if (i < sizes->n && sizes->value[i] == v)
        return;
    memmove(&sizes->value[i + 1], &sizes->value[i],
            (sizes->n++ - i) * sizeof(*sizes->value));
    sizes->value[i] = v;
}

static bool is_default_case(const struct rep_cell *c)
{
    return rep_same(c->dir, "fwd") && rep_same(c->fuse, "none") && c->stats_out == 0 &&
           !c->in_place && c->offset == REP_OFFSET;
}

static bool same_case(const struct rep_cell *a, const struct rep_cell *b)
{
    return rep_same(a->dir, b->dir) && rep_same(a->fuse, b->fuse) &&
           a->stats_out == b->stats_out && a->offset == b->offset && a->in_place == b->in_place;
}

bool rep_is_all_in_place(const struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++)
        if (!run->cells[i].in_place)
            return false;
    return run->ncells > 0;
}

bool rep_is_bwd(const struct rep_cell *cell)
{
    return rep_same(cell->dir, "bwd");
}

static size_t count_bwd(const struct rep_run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->ncells; i++)
        n += rep_is_bwd(&run->cells[i]);
    return n;
}

bool rep_has_bwd(const struct rep_run *run)
{
    return count_bwd(run) > 0;
}

bool rep_is_all_bwd(const struct rep_run *run)
{
    return run->ncells > 0 && count_bwd(run) == run->ncells;
}

bool rep_is_other_way(const struct rep_run *run, const struct rep_cell *cell)
{
    return rep_is_bwd(cell) && !rep_is_all_bwd(run);
}

/* Of those forward, or backward where all are. */
static bool is_all_fused(const struct rep_run *run)
{
    size_t fused = 0, own = 0;
    for (size_t i = 0; i < run->ncells; i++) {
        own += !rep_is_other_way(run, &run->cells[i]);
        fused += !rep_is_other_way(run, &run->cells[i]) && is_fused(&run->cells[i]);
    }
    return own > 0 && fused == own;
}

bool rep_is_other_sum(const struct rep_run *run, const struct rep_cell *cell)
{
    return is_fused(cell) && !rep_is_other_way(run, cell) && !is_all_fused(run);
}

const char *rep_direction(const struct rep_run *run)
{
    if (rep_is_all_bwd(run))
        return ", backward";
    if (is_all_fused(run))
        return rep_has_bwd(run) ? ", forward, of x + residual" : ", of x + residual";
    return rep_has_bwd(run) ? ", forward" : "";
}

bool rep_counts(const struct rep_run *run, const struct rep_cell *cell)
{
    return (!cell->in_place || rep_is_all_in_place(run)) && !rep_is_other_way(run, cell) && !rep_is_other_sum(run, cell);
}

bool rep_is_plain(const struct rep_run *run, const struct rep_cell *cell)
{
    size_t first = 0;
    for (size_t i = 0; i < run->ncells; i++)
        if (is_default_case(&run->cells[i]))
            return is_default_case(cell);
    while (first < run->ncells && rep_is_bwd(&run->cells[first]))
        first++;
    return same_case(&run->cells[first < run->ncells ? first : 0], cell);
}

/* What each case reads, writes and is held against. */
static const struct rep_traffic traffics[] = {
    {"none", "x", "y", "scale", "y = a*x", "fastest of copy and scale", "the fastest of copy and scale", "a copy"},
    {"residual", "x and the residual", "h and y", "triad", "h = x + residual, y = a*h", "y = a*(x + residual), and h (triad)",
     "a triad", "a triad"},
    {"postnorm", "x and the residual", "y", "triad", "y = a*(x + residual)", "y = a*(x + residual) (triad)", "a triad",
     "a triad"},
    {"bwd", "x and dy", "dx", "triad", "dx = x + a*dy", "dx = x + a*dy (triad)", "a triad", "a triad"},
    {"bwd-residual", "x and dy", "dres and dx", "triad", "dres = x + dy, dx = a*dres", "dx = a*(x + dy), and dres (triad)",
     "a triad", "a triad"},
};

const struct rep_traffic *rep_traffic(const struct rep_cell *cell)
{
    const char *name = !rep_is_bwd(cell) ? cell->fuse : is_fused(cell) ? "bwd-residual" : "bwd";
    for (size_t i = 1; i < sizeof(traffics) / sizeof(*traffics); i++)
        if (rep_same(traffics[i].name, name))
            return &traffics[i];
    return &traffics[0];
}

const struct rep_traffic *rep_plain_traffic(const struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++)
        if (rep_is_plain(run, &run->cells[i]))
            return rep_traffic(&run->cells[i]);
    return &traffics[0];
}

void rep_residencies(const struct rep_run *run, struct rep_keys *keys)
{
    keys->n = 0;
    for (size_t i = 0; i < run->ncells; i++)
        if (rep_is_plain(run, &run->cells[i]))
            add_key(keys, run->cells[i].residency, residency_place);
}

void rep_types(const struct rep_run *run, struct rep_keys *keys)
{
    keys->n = 0;
    for (size_t i = 0; i < run->ncells; i++)
        if (rep_is_plain(run, &run->cells[i]))
            add_key(keys, run->cells[i].type, type_place);
}

static void find_sizes(struct rep_run *run)
{
    run->hiddens.value = rep_alloc(run, run->ncells * sizeof(size_t));
    run->threads.value = rep_alloc(run, run->ncells * sizeof(size_t));
    run->rows.value = rep_alloc(run, run->ncells * sizeof(size_t));
    run->offsets.value = rep_alloc(run, run->ncells * sizeof(size_t));
    for (size_t i = 0; i < run->ncells; i++) {
        add_size(&run->rows, run->cells[i].rows);
        add_size(&run->offsets, run->cells[i].offset);
        if (rep_is_plain(run, &run->cells[i])) {
            add_size(&run->hiddens, run->cells[i].hidden);
            add_size(&run->threads, run->cells[i].threads);
        }
    }
}

void rep_numbers(struct rep_run *run)
{
    for (size_t i = 0; i < run->ncells; i++)
        cell_numbers(run, &run->cells[i]);
    rep_noise_floor(run);
    find_sizes(run);
    run->bars = rep_alloc(run, sizeof(*run->bars));
    rep_bars(run, run->bars);
    run->autos = rep_alloc(run, sizeof(*run->autos));
    rep_autos(run, run->autos);
    rep_training(run);
}

const struct rep_cell *rep_find(const struct rep_run *run, const char *residency,
                                const char *type, size_t hidden, size_t threads)
{
    const struct rep_cell *found = NULL;
    for (size_t i = 0; i < run->ncells; i++) {
        const struct rep_cell *c = &run->cells[i];
        if (c->hidden == hidden && c->threads == threads && strcmp(c->type, type) == 0 &&
            strcmp(c->residency, residency) == 0 && rep_is_plain(run, c) &&
            (found == NULL || c->rows > found->rows))
            found = c;
    }
    return found;
}

size_t rep_timed_norms(const struct rep_cell *cell)
{
    size_t n = 0;
    for (size_t i = 0; i < cell->nentries; i++)
        n += rep_is_timed(&cell->entries[i]) && rep_is_norm(cell->entries[i].kernel);
    return n;
}
