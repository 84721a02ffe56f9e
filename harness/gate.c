#define _GNU_SOURCE /* memfd_create */
#include "gate.h"

#include "conditions.h"
#include "execute.h"
#include "gate_arm.h"
#include "gate_report.h"
#include "host.h"
#include "interrupt.h"
#include "plan.h"
#include "progress.h"
#include "refuse.h"
#include "registry.h"
#include "stats.h"
#include "store.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whose process it is. AGAIN is base once more: the A/A control. */
enum role { BASE, AGAIN, HEAD, LAYOUT, ROLES };
static const char *const ROLE_NAMES[ROLES] = {"base", "again", "head", "layout"};

enum {
    SCREEN_BLOCKS = 5,
    CONFIRM_BLOCKS = 30, /* at least */
    CONFIRM_BLOCKS_MOST = 60,
    CONFIRM_ROUNDS = 40,
    ROUNDS_LEAST = 8, /* even: as many forwards as backwards */
    ROUNDS_MOST = 96,
    KILLS_MOST = 3, /* workers ended from outside */
};
#define SAMPLE_NS 1.5e5
#define SAMPLE_COST_NS 3e4 /* beside its passes */
#define CONTROL_PLANT 0.05
#define DISCARDS_MOST 0.20 /* of the blocks */

/* One comparison, beside its entry in the set. */
struct work {
    size_t cell; /* of the plan */
    const struct nb_kernel *kernel;
    unsigned passes;
    double pass_ns;
};

/* A cell in a stage: what is sent, and which comparison each member of its groups is. */
struct stage_cell {
    const struct nb_cell *cell;
    json_t *plain, *planted; /* planted: head's, with more passes where they were planted */
    size_t (*entry)[NB_GROUP_MAX];
    size_t groups;
    unsigned turn; /* rounds that a process runs before it is the next one's turn */
};
struct stage {
    const char *name;
    struct stage_cell *cells;
    size_t count;
    unsigned rounds, blocks;
    size_t roles; /* the first so many take part */
    bool candidates; /* measures these alone */
};

struct gate {
    const struct nb_gate_options *o;
    struct nb_gate_result *r;
    struct nb_topology topology;
    struct nb_plan plan;
    struct nb_store store;
    struct nb_cpulock lock;
    struct nb_progress progress;
    struct nb_arm base, again, head, layout[NB_GATE_LAYOUTS]; /* again: base's program */
    bool turns; /* all of them take turns within a process; else each round is a unit of its own */
    struct work *work; /* as many as the set has entries */
    json_t *host, *forced; /* forced: what speaks against measuring here at all */
    bool confirming;
    bool control_lost; /* head fails where it was injected */
    unsigned kills;
    size_t discarded;
    uint64_t start_ns;
    double process_cost_ns, round_cost_ns; /* of the stage that is planned: before the first round, a round of all */
    unsigned rounds[2]; /* of a process: screening, confirmation */
    size_t skipped; /* kernels that both builds skip */
};

/* ---- what is compared ---- */

/* Roofs stand in every cell of a run; here they are compared only where somebody names them. */
static bool is_wanted(const struct nb_preset *p, const struct nb_kernel *k)
{
    const unsigned named = 1u << NB_KEY_OP | 1u << NB_KEY_KERNEL;
    bool wanted = !nb_is_ceiling(k);
    for (size_t i = 0; !wanted && i < p->count; i++)
        wanted = (p->blocks[i].given & named) != 0 && nb_block_takes(&p->blocks[i], k);
    return wanted;
}

static void keep_wanted(struct gate *g)
{
    for (size_t c = 0; c < g->plan.count; c++) {
        struct nb_cell *cell = &g->plan.cells[c];
        size_t n = 0;
        for (size_t i = 0; i < cell->kernel_count; i++)
            if (is_wanted(&g->o->preset, cell->kernels[i]))
                cell->kernels[n++] = cell->kernels[i];
        cell->kernel_count = n;
    }
}

static const char *said(const json_t *all, const char *cell, const char *kernel)
{
    return json_string_value(json_object_get(json_object_get(all, cell), kernel));
}

static bool passed(const char *verdict)
{
    return verdict != NULL && strcmp(verdict, "PASS") == 0;
}

static bool is_skip(const char *verdict)
{
    return verdict != NULL && strncmp(verdict, "SKIP", 4) == 0;
}

static struct nb_gate_entry *add_entry(struct gate *g, size_t cell, const struct nb_kernel *k, const char *kernel)
{
    struct nb_gate_set *set = &g->r->set;
    set->entry = realloc(set->entry, (set->count + 1) * sizeof *set->entry);
    g->work = realloc(g->work, (set->count + 1) * sizeof *g->work);
    NB_ASSERT(set->entry != NULL && g->work != NULL);
    g->work[set->count] = (struct work){.cell = cell, .kernel = k};
    struct nb_gate_entry *e = &set->entry[set->count++];
    *e = (struct nb_gate_entry){.cell = strdup(g->plan.cells[cell].id), .kernel = strdup(kernel)};
    NB_ASSERT(e->cell != NULL && e->kernel != NULL);
    return e;
}

static void set_reason(struct nb_gate_entry *e, const char *reason)
{
    free(e->reason);
    e->reason = strdup(reason != NULL ? reason : "it was not checked");
    NB_ASSERT(e->reason != NULL);
}

/* One kernel of one cell, by what the checks of both builds have shown. */
static void add_comparison(struct gate *g, size_t c, const struct nb_kernel *k)
{
    const char *cell = g->plan.cells[c].id;
    const bool in_base = json_object_get(g->base.names, k->name) != NULL;
    const char *base = said(g->base.verdicts, cell, k->name), *head = said(g->head.verdicts, cell, k->name);
    if (is_skip(head) && (is_skip(base) || !in_base)) {
        g->skipped++;
        return;
    }
    struct nb_gate_entry *e = add_entry(g, c, k, k->name);
    if (!in_base)
        e->verdict = passed(head) ? NB_GATE_ADDED : NB_GATE_FAILED;
    else if (!passed(head))
        e->verdict = NB_GATE_FAILED;
    else if (!passed(base))
        e->verdict = NB_GATE_NO_BASE;
    if (e->verdict == NB_GATE_FAILED)
        set_reason(e, said(g->head.reasons, cell, k->name));
    if (e->verdict == NB_GATE_NO_BASE)
        set_reason(e, said(g->base.reasons, cell, k->name));
}

/* Kernels that only base has: nothing of them is known here but the name. */
static void add_removed(struct gate *g)
{
    const char *name;
    json_t *value;
    json_object_foreach(g->base.names, name, value) {
        struct nb_gate_entry *e;
        if (json_object_get(g->head.names, name) != NULL)
            continue;
        e = add_entry(g, 0, NULL, name);
        e->cell[0] = '\0';
        e->verdict = NB_GATE_REMOVED;
    }
}

static bool is_measured(const struct nb_gate_entry *e)
{
    return e->verdict == NB_GATE_UNCHANGED;
}

static enum nb_status make_comparisons(struct gate *g, struct nb_err *err)
{
    size_t measured = 0;
    for (size_t c = 0; c < g->plan.count; c++)
        for (size_t i = 0; i < g->plan.cells[c].kernel_count; i++)
            add_comparison(g, c, g->plan.cells[c].kernels[i]);
    if (!g->o->preset.blocks[0].kernel.n)
        add_removed(g);
    for (size_t i = 0; i < g->r->set.count; i++)
        measured += is_measured(&g->r->set.entry[i]);
    if (measured == 0)
        return nb_fail(err, "nothing can be compared: no selected kernel passes its check in both builds (%zu of them "
                            "skip these shapes)", g->skipped);
    return NB_OK;
}

/* ---- stages before measuring ---- */

static enum nb_status check_all(struct gate *g, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    nb_progress_begin(&g->progress, "checking", 2 * (double)g->plan.count, g->o->quiet);
    for (size_t c = 0; s == NB_OK && c < g->plan.count; c++) {
        const struct nb_cell *cell = &g->plan.cells[c];
        s = nb_arm_check(&g->base, cell, &g->plan.settings, err);
        nb_progress_step(&g->progress, 1, cell->id);
        if (s == NB_OK)
            s = nb_arm_check(&g->head, cell, &g->plan.settings, err);
        nb_progress_step(&g->progress, 1, cell->id);
    }
    nb_arm_end_process(&g->base, false);
    nb_arm_end_process(&g->head, false);
    if (s == NB_OK)
        nb_progress_end(&g->progress);
    return s;
}

/* Counts come from base, and are then the same in every process of every build. A multiple of 20 of them where
 * there are many: 5 % more of them is a whole number. */
static unsigned passes_of(double pass_ns)
{
    const double n = floor(SAMPLE_NS / pass_ns);
    return n < 1 ? 1 : n > 1e6 ? 1000000u : n < 20 ? (unsigned)n : (unsigned)n / 20 * 20;
}

static enum nb_status calibrate_all(struct gate *g, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    nb_progress_begin(&g->progress, "calibrating", (double)g->plan.count, g->o->quiet);
    for (size_t c = 0; s == NB_OK && c < g->plan.count; c++) {
        const struct nb_cell *cell = &g->plan.cells[c];
        double *pass_ns = calloc(cell->kernel_count + 1, sizeof *pass_ns);
        NB_ASSERT(pass_ns != NULL);
        s = nb_arm_calibrate(&g->base, cell, &g->plan.settings, pass_ns, err);
        for (size_t i = 0; s == NB_OK && i < g->r->set.count; i++) {
            struct work *w = &g->work[i];
            if (w->cell != c || !is_measured(&g->r->set.entry[i]))
                continue;
            for (size_t k = 0; k < cell->kernel_count; k++)
                if (cell->kernels[k] == w->kernel)
                    w->pass_ns = pass_ns[k];
            if (w->pass_ns > 0)
                w->passes = passes_of(w->pass_ns);
            else
                s = nb_fail(err, "%s computes something else when it is calibrated than in its check, in base; leave it "
                                 "out with --kernel", w->kernel->name);
        }
        free(pass_ns);
        nb_progress_step(&g->progress, 1, cell->id);
    }
    nb_arm_end_process(&g->base, false);
    if (s == NB_OK)
        nb_progress_end(&g->progress);
    return s;
}

/* Head does so much more in it: a whole number of passes. */
static void plant(struct nb_gate_entry *e, struct work *w, double share)
{
    const unsigned least = (unsigned)ceil(1 / share);
    e->plant = share;
    w->passes = (w->passes + least - 1) / least * least;
}

static size_t shortest(const struct gate *g)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < g->r->set.count; i++)
        if (is_measured(&g->r->set.entry[i]) && !g->r->set.entry[i].control &&
            (best == SIZE_MAX || g->work[i].pass_ns < g->work[best].pass_ns))
            best = i;
    return best;
}

/* A comparison whose slowdown is known: the one with the shortest passes once more, with more of them in head. */
static enum nb_status add_control(struct gate *g, struct nb_err *err)
{
    const size_t from = shortest(g);
    if (from == SIZE_MAX)
        return nb_fail(err, "nothing is left to compare: in head every kernel of the selection fails while it is timed");
    const struct work like = g->work[from];
    struct nb_gate_entry *e = add_entry(g, like.cell, like.kernel, like.kernel->name);
    struct work *w = &g->work[g->r->set.count - 1];
    *w = like;
    e->control = true;
    e->candidate = g->confirming;
    plant(e, w, CONTROL_PLANT);
    g->control_lost = false;
    return NB_OK;
}

/* The self-test's: a seeded one of the comparisons. */
static void add_plant(struct gate *g)
{
    struct nb_gate_set *set = &g->r->set;
    unsigned long long state = set->seed;
    size_t i;
    do
        i = nb_random(&state) % set->count;
    while (!is_measured(&set->entry[i]) || set->entry[i].control);
    plant(&set->entry[i], &g->work[i], g->o->plant);
}

/* ---- a stage ---- */

static void add_member(struct nb_cell *cell, struct stage_cell *s, const struct work *w, size_t entry)
{
    if (cell->group_count == 0 || cell->groups[cell->group_count - 1].count == NB_GROUP_MAX) {
        cell->groups = realloc(cell->groups, (cell->group_count + 1) * sizeof *cell->groups);
        s->entry = realloc(s->entry, (cell->group_count + 1) * sizeof *s->entry);
        NB_ASSERT(cell->groups != NULL && s->entry != NULL);
        cell->groups[cell->group_count++] = (struct nb_group){0};
    }
    struct nb_group *group = &cell->groups[cell->group_count - 1];
    s->entry[cell->group_count - 1][group->count] = entry;
    group->members[group->count++] = (struct nb_member){w->kernel, NB_ROLE_MEMBER, w->passes};
    for (size_t i = 0; i < cell->kernel_count; i++)
        if (cell->kernels[i] == w->kernel)
            return;
    cell->kernels[cell->kernel_count++] = w->kernel;
}

static bool takes_part(const struct gate *g, size_t i, bool candidates)
{
    const struct nb_gate_entry *e = &g->r->set.entry[i];
    return is_measured(e) && (!candidates || e->candidate);
}

/* About 2 ms: what waking a process costs is then little beside it, and less than the clock's steps lies between two
 * turns. */
static unsigned rounds_of_turn(const struct gate *g, const struct stage_cell *s, const struct nb_cell *cell)
{
    double round_ns = 1;
    for (size_t k = 0; k < cell->group_count; k++)
        for (size_t m = 0; m < cell->groups[k].count; m++) {
            const struct work *w = &g->work[s->entry[k][m]];
            round_ns += ((w->passes + 1) * w->pass_ns + SAMPLE_COST_NS) / (double)cell->group_count;
        }
    const double n = 2e6 / round_ns;
    return n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

static void make_stage_cell(struct gate *g, size_t c, bool candidates, struct stage_cell *s)
{
    struct nb_gate_set *set = &g->r->set;
    struct nb_cell cell = g->plan.cells[c];
    cell.kernels = calloc(cell.kernel_count + 1, sizeof *cell.kernels);
    NB_ASSERT(cell.kernels != NULL);
    cell.kernel_count = cell.group_count = cell.pairing_count = 0;
    cell.groups = NULL;
    cell.rounds = cell.screen_rounds = ROUNDS_LEAST; /* the command says how many */
    *s = (struct stage_cell){.cell = &g->plan.cells[c]};
    for (size_t i = 0; i < set->count; i++)
        if (g->work[i].cell == c && g->work[i].kernel != NULL && takes_part(g, i, candidates))
            add_member(&cell, s, &g->work[i], i);
    s->groups = cell.group_count;
    s->turn = rounds_of_turn(g, s, &cell);
    s->plain = nb_cell_to_json(&cell, &g->plan.settings);
    for (size_t k = 0; k < cell.group_count; k++)
        for (size_t m = 0; m < cell.groups[k].count; m++) {
            struct nb_member *member = &cell.groups[k].members[m];
            member->passes = (unsigned)lround(member->passes * (1 + set->entry[s->entry[k][m]].plant));
        }
    s->planted = nb_cell_to_json(&cell, &g->plan.settings);
    free(cell.kernels);
    free(cell.groups);
}

static void make_stage(struct gate *g, struct stage *s)
{
    const bool candidates = s->candidates;
    s->cells = calloc(g->plan.count, sizeof *s->cells);
    s->count = 0;
    NB_ASSERT(s->cells != NULL);
    for (size_t c = 0; c < g->plan.count; c++) {
        bool any = false;
        for (size_t i = 0; i < g->r->set.count; i++)
            any = any || (g->work[i].cell == c && g->work[i].kernel != NULL && takes_part(g, i, candidates));
        if (any)
            make_stage_cell(g, c, candidates, &s->cells[s->count++]);
    }
}

static void free_stage(struct stage *s)
{
    for (size_t i = 0; i < s->count; i++) {
        json_decref(s->cells[i].plain);
        json_decref(s->cells[i].planted);
        free(s->cells[i].entry);
    }
    free(s->cells);
}

/* ---- a block ---- */

/* One process of each build, all alive at once, taking turns of a few rounds: whatever slows this machine for longer
 * than a few turns slows them alike, and cancels in the ratio of two times of the same turn. Their tensors are the
 * same physical pages: which cache sets those fall on is luck, of several percent, but now of all of them. */
struct process {
    struct block *block;
    enum role role;
    struct nb_arm *arm;
    struct nb_arm_unit unit;
    struct nb_gate_series *times; /* entry: [ns, one a round] */
    double unit_ns;
};
struct block {
    struct gate *g;
    const struct stage *stage;
    const struct stage_cell *cell; /* that is being measured */
    unsigned number;
    struct process process[ROLES];
    int memory_fd;     /* of all its processes together; -1: each has its own */
    char memory[64];
    bool fell;         /* a worker did: the block is to be done again */
    char unsound[256]; /* why the block is to be thrown away, blind to what it says */
    enum nb_status status;
    struct nb_err *err;
};

static void take_round(struct process *p, const json_t *line)
{
    const struct stage_cell *cell = p->block->cell;
    const size_t group = (size_t)json_integer_value(json_object_get(line, "group"));
    const json_t *ns = json_object_get(line, "ns");
    for (size_t m = 0; group < cell->groups && m < json_array_size(ns) && m < NB_GROUP_MAX; m++)
        if (json_is_number(json_array_get(ns, m)))
            nb_gate_push(&p->times[cell->entry[group][m]], json_number_value(json_array_get(ns, m)));
}

static void keep_line(struct process *p, const json_t *line)
{
    struct block *b = p->block;
    json_t *kept = json_copy((json_t *)line);
    json_object_set_new(kept, "stage", json_string(b->stage->name));
    json_object_set_new(kept, "block", json_integer(b->number));
    json_object_set_new(kept, "build", json_string(ROLE_NAMES[p->role]));
    if (b->status == NB_OK)
        b->status = nb_store_line(&b->g->store, b->g->store.samples, kept, b->err);
    json_decref(kept);
}

/* The entries of a kernel in the cell that is being measured become FAILED; base's may not fail. */
static enum nb_status condemn(struct process *p, const char *kernel, const char *what)
{
    struct block *b = p->block;
    const char *cell = b->cell->cell->id;
    size_t found = 0;
    b->fell = true;
    if (p->role == BASE || p->role == AGAIN)
        return nb_fail(b->err, "in base, %s %s while it was timed in %s: it cannot be compared with; leave that kernel out "
                               "with --kernel, or choose another base", kernel, what, cell);
    for (size_t i = 0; i < b->g->r->set.count; i++) {
        struct nb_gate_entry *e = &b->g->r->set.entry[i];
        if (strcmp(e->kernel, kernel) != 0 || strcmp(e->cell, cell) != 0 || !is_measured(e))
            continue;
        b->g->control_lost = b->g->control_lost || e->control;
        e->verdict = NB_GATE_FAILED;
        set_reason(e, what);
        found++;
    }
    return found > 0 ? NB_OK : nb_fail(b->err, "in head, %s %s in %s", kernel, what, cell);
}

/* Timed, it did not compute what was checked. */
static void condemn_mistrusted(struct process *p, const json_t *names)
{
    struct block *b = p->block;
    for (size_t i = 0; b->status == NB_OK && i < json_array_size(names); i++)
        b->status = condemn(p, json_string_value(json_array_get(names, i)),
                            "wrote another output than in its check, or where it must not,");
}

static void take_line(void *context, const json_t *line)
{
    struct process *p = context;
    const char *type = json_string_value(json_object_get(line, "type"));
    if (strcmp(type, "ready") == 0)
        return;
    keep_line(p, line);
    if (strcmp(type, "round") == 0) {
        take_round(p, line);
        return;
    }
    p->unit_ns += 1e6 * json_number_value(json_object_get(line, "wall_ms"));
    condemn_mistrusted(p, json_object_get(line, "mistrusted"));
    if (strcmp(type, "discard") == 0)
        snprintf(p->block->unsound, sizeof p->block->unsound, "memory or an output changed in %s",
                 p->block->cell->cell->id);
    else if (!p->block->unsound[0])
        (void)nb_conditions_verdict(json_object_get(line, "conditions"), p->block->unsound,
                                    sizeof p->block->unsound);
}

/* NB_ARM_READY or NB_ARM_DONE go on; all others end the block. */
static enum nb_status after(struct process *p, enum nb_arm_outcome o)
{
    struct block *b = p->block;
    char what[sizeof p->unit.how];
    switch (o) {
    case NB_ARM_DIED:
        snprintf(what, sizeof what, "%s", p->unit.how);
        return condemn(p, p->unit.kernel[0] ? p->unit.kernel : "no kernel", what);
    case NB_ARM_KILLED:
        b->fell = true;
        if (++b->g->kills <= KILLS_MOST)
            return NB_OK;
        return nb_fail(b->err, "workers are being killed from outside (%u times); too little memory?", b->g->kills);
    case NB_ARM_ERROR:
        return nb_interrupted ? NB_INTERRUPTED : NB_ERROR;
    default:
        return b->status;
    }
}

static struct nb_arm *arm_of(struct gate *g, enum role role, unsigned block)
{
    return role == HEAD     ? &g->head
           : role == LAYOUT ? &g->layout[block % NB_GATE_LAYOUTS]
           : role == AGAIN  ? &g->again
                            : &g->base;
}

/* Who begins changes from block to block, and turns run forwards and backwards by turns: A B C, C B A. */
static struct process *whose_turn(struct block *b, unsigned turn, size_t i)
{
    const size_t roles = b->stage->roles, at = turn % 2 ? roles - 1 - i : i;
    return &b->process[(at + b->number) % roles];
}

static enum nb_status run_cell(struct block *b)
{
    enum nb_status s = NB_OK;
    bool ready = true;
    for (size_t i = 0; s == NB_OK && !b->fell && i < b->stage->roles; i++) {
        struct process *p = whose_turn(b, 0, i);
        const bool planted = p->role == HEAD || p->role == LAYOUT;
        p->unit = (struct nb_arm_unit){.cell = planted ? b->cell->planted : b->cell->plain,
                                       .process = b->number, .rounds = b->stage->rounds,
                                       .turns = b->g->turns ? b->cell->turn : 0,
                                       .memory = b->memory[0] ? b->memory : NULL,
                                       .take = take_line, .context = p};
        s = after(p, nb_arm_begin(p->arm, &p->unit, b->err));
    }
    for (unsigned turn = 0; s == NB_OK && !b->fell && ready; turn++) {
        for (size_t i = 0; s == NB_OK && !b->fell && i < b->stage->roles; i++) {
            struct process *p = whose_turn(b, turn, i);
            const enum nb_arm_outcome o = nb_arm_turn(p->arm, &p->unit, b->err);
            ready = ready && o == NB_ARM_READY;
            s = after(p, o);
        }
    }
    return s;
}

static void begin_block(struct block *b, struct gate *g, const struct stage *s, unsigned number, struct nb_err *err)
{
    *b = (struct block){.g = g, .stage = s, .number = number, .err = err, .memory_fd = -1};
    if (g->turns)
        b->memory_fd = memfd_create("normbench-block", MFD_CLOEXEC);
    if (b->memory_fd >= 0)
        snprintf(b->memory, sizeof b->memory, "/proc/%ld/fd/%d", (long)getpid(), b->memory_fd);
    for (size_t r = 0; r < s->roles; r++) {
        b->process[r] = (struct process){.block = b, .role = (enum role)r,
                                         .arm = arm_of(g, (enum role)r, number),
                                         .times = calloc(g->r->set.count, sizeof *b->process[r].times)};
        NB_ASSERT(b->process[r].times != NULL);
    }
}

static void end_block(struct block *b, bool by_force)
{
    if (b->memory_fd >= 0)
        close(b->memory_fd);
    for (size_t r = 0; r < b->stage->roles; r++) {
        nb_arm_end_process(b->process[r].arm, by_force);
        for (size_t i = 0; i < b->g->r->set.count; i++)
            free(b->process[r].times[i].v);
        free(b->process[r].times);
    }
}

/* Every cell of the stage, in an order of the block's own, in fresh processes. */
static enum nb_status run_cells(struct block *b)
{
    const struct stage *s = b->stage;
    size_t *order = calloc(s->count, sizeof *order);
    unsigned long long state = b->g->r->set.seed * 1000003ull + b->number + 7919 * s->roles;
    enum nb_status status = NB_OK;
    NB_ASSERT(order != NULL);
    for (size_t i = 0; i < s->count; i++)
        order[i] = i;
    nb_shuffle(order, s->count, &state);
    for (size_t r = 0; status == NB_OK && r < s->roles; r++)
        status = nb_arm_start(b->process[r].arm, b->err);
    for (size_t i = 0; status == NB_OK && !b->fell && i < s->count; i++) {
        b->cell = &s->cells[order[i]];
        status = run_cell(b);
    }
    free(order);
    return status;
}

static double lesser(const struct nb_gate_series *s, size_t pair)
{
    return fmin(s->v[2 * pair], s->v[2 * pair + 1]);
}

/* Median over pairs of rounds of ln(least of one build / least of the other): what disturbs a sample only ever adds
 * time, and what changes slower than a pair of turns, one forwards and one backwards, cancels. NAN where a round is
 * lacking. */
static double ratio(const struct block *b, enum role of, enum role over, size_t entry)
{
    const struct nb_gate_series *x = &b->process[of].times[entry], *y = &b->process[over].times[entry];
    const size_t n = b->stage->rounds, pairs = n / 2;
    if (x->n != n || y->n != n || pairs == 0)
        return NAN;
    double *v = calloc(pairs, sizeof *v);
    NB_ASSERT(v != NULL);
    for (size_t i = 0; i < pairs; i++)
        v[i] = log(lesser(x, i) / lesser(y, i));
    const double m = nb_median(v, pairs);
    free(v);
    return m;
}

static void push_block(const struct block *b)
{
    const bool confirming = b->stage->candidates;
    for (size_t i = 0; i < b->g->r->set.count; i++) {
        struct nb_gate_entry *e = &b->g->r->set.entry[i];
        if (!takes_part(b->g, i, confirming))
            continue;
        const double slower = ratio(b, HEAD, BASE, i), aa = ratio(b, AGAIN, BASE, i);
        if (!isfinite(slower) || !isfinite(aa))
            continue;
        nb_gate_push(confirming ? &e->confirm : &e->screen, slower);
        nb_gate_push(confirming ? &e->confirm_aa : &e->screen_aa, aa);
        const double layout = b->stage->roles > LAYOUT ? ratio(b, LAYOUT, HEAD, i) : NAN;
        if (isfinite(layout))
            nb_gate_push(&e->layout[b->number % NB_GATE_LAYOUTS], layout);
    }
}

/* One block; *fell: a worker did, and it is to be done again; unsound: why it is thrown away. */
static enum nb_status run_block(struct gate *g, const struct stage *s, unsigned number, bool *fell,
                                char unsound[256], struct nb_err *err)
{
    struct block b;
    begin_block(&b, g, s, number, err);
    const enum nb_status status = run_cells(&b);
    *fell = b.fell;
    snprintf(unsound, 256, "%s", b.unsound);
    if (status == NB_OK && !b.fell && !b.unsound[0])
        push_block(&b);
    end_block(&b, status != NB_OK || b.fell);
    return status;
}

static enum nb_status note_discard(struct gate *g, const struct stage *s, unsigned block, const char *why,
                                   struct nb_err *err)
{
    json_t *line = json_pack("{ss ss si ss}", "type", "discarded-block", "stage", s->name, "block", (int)block,
                             "reason", why);
    const enum nb_status status = nb_store_line(&g->store, g->store.samples, line, err);
    json_decref(line);
    g->discarded++;
    return status;
}

static enum nb_status too_disturbed(const char *why, struct nb_err *err)
{
    return nb_fail(err, "INVALID: more than %.0f %% of the blocks had to be thrown away, the last because %s; what "
                        "disturbs this machine? `normbench doctor` may tell", 100 * DISCARDS_MOST, why);
}

static enum nb_status run_stage(struct gate *g, struct stage *s, struct nb_err *err)
{
    enum nb_status status = NB_OK;
    const double most = ceil(DISCARDS_MOST * s->blocks);
    size_t discarded = 0;
    nb_progress_begin(&g->progress, s->candidates ? "confirming" : "screening", s->blocks, g->o->quiet);
    for (unsigned b = 0; status == NB_OK && b < s->blocks;) {
        char unsound[256], detail[64];
        bool fell;
        status = run_block(g, s, b, &fell, unsound, err);
        if (status == NB_OK && fell) { /* without the kernel that did it */
            free_stage(s);
            if (g->control_lost)
                status = add_control(g, err);
            make_stage(g, s);
        } else if (status == NB_OK && unsound[0]) {
            status = note_discard(g, s, b, unsound, err);
            if (status == NB_OK && (double)++discarded > most)
                status = too_disturbed(unsound, err);
        } else {
            snprintf(detail, sizeof detail, "block %u of %u", ++b, s->blocks);
            nb_progress_step(&g->progress, 1, detail);
        }
    }
    if (status == NB_OK)
        nb_progress_end(&g->progress);
    return status;
}

/* ---- the budget ---- */

/* What a round should cost, before any was measured. */
static double model_ns(const struct gate *g, bool candidates)
{
    double ns = 0;
    for (size_t i = 0; i < g->r->set.count; i++)
        if (takes_part(g, i, candidates))
            ns += (g->work[i].passes + 1) * g->work[i].pass_ns + SAMPLE_COST_NS;
    return ns;
}

/* A process of base, whose times are not used: how long it lives, and its units. */
static enum nb_status pilot(struct gate *g, const struct stage *s, unsigned rounds, double *all_ns, double *units_ns,
                            struct nb_err *err)
{
    struct stage alone = *s;
    struct block b;
    alone.name = "pilot";
    alone.rounds = rounds;
    alone.roles = 1;
    const uint64_t start = nb_now_ns();
    begin_block(&b, g, &alone, 0, err);
    const enum nb_status status = run_cells(&b);
    *all_ns = (double)(nb_now_ns() - start);
    *units_ns = b.process[BASE].unit_ns;
    end_block(&b, status != NB_OK);
    return status;
}

/* What a process of this stage costs before its first round, and a round: from processes of few and of more. The
 * first brings the program into memory and is not looked at. */
static enum nb_status measure_costs(struct gate *g, const struct stage *s, struct nb_err *err)
{
    double all[3] = {0}, units[3] = {0}; /* units: what of it the worker saw */
    static const unsigned rounds[3] = {ROUNDS_LEAST, ROUNDS_LEAST, 3 * ROUNDS_LEAST};
    enum nb_status status = NB_OK;
    for (int i = 0; status == NB_OK && i < 3; i++)
        status = pilot(g, s, rounds[i], &all[i], &units[i], err);
    const double modelled = model_ns(g, s->candidates);
    const double slope = (units[2] - units[1]) / (2 * ROUNDS_LEAST);
    g->round_cost_ns = fmin(fmax(slope, modelled / 2), 3 * modelled);
    g->process_cost_ns = fmax(1e6, fmin(all[1] - ROUNDS_LEAST * g->round_cost_ns,
                                        all[2] - 3 * ROUNDS_LEAST * g->round_cost_ns));
    return status;
}

static double process_ns(const struct gate *g, unsigned rounds)
{
    return g->process_cost_ns + rounds * g->round_cost_ns;
}

static unsigned clamp_rounds(double rounds)
{
    return rounds < ROUNDS_LEAST ? ROUNDS_LEAST : rounds > ROUNDS_MOST ? ROUNDS_MOST : (unsigned)rounds / 2 * 2;
}

static double confirm_roles(const struct gate *g)
{
    return g->r->set.layouts ? ROLES : LAYOUT;
}

/* Of a confirmation, before it is measured: a process of few kernels is taken to be ready in half the time of one of
 * all; each comparison, the control too, takes its share of a round. */
static double guess_confirm_ns(const struct gate *g, size_t candidates, unsigned rounds)
{
    const double one = g->round_cost_ns / (double)g->r->set.count;
    return (double)g->r->set.confirm_blocks * confirm_roles(g) *
           (g->process_cost_ns / 2 + rounds * one * ((double)candidates + 1));
}

/* A third of the budget screens, with as many rounds as a verdict needs and no more: the rest is for candidates.
 * What the confirmation of the control alone needs is always kept back. */
static enum nb_status plan_screening(struct gate *g, struct stage *s, struct nb_err *err)
{
    const double processes = SCREEN_BLOCKS * (double)LAYOUT, budget = 1e9 * g->o->budget_s;
    const double least = processes * process_ns(g, ROUNDS_LEAST) + guess_confirm_ns(g, 0, ROUNDS_LEAST);
    s->blocks = SCREEN_BLOCKS;
    s->roles = LAYOUT;
    s->rounds = clamp_rounds((budget / 3 / processes - g->process_cost_ns) / g->round_cost_ns);
    if (least <= budget)
        return NB_OK;
    return nb_fail(err, "--budget %.0fs: %zu comparisons need at least %.0f s; give that, or select fewer kernels or "
                        "shapes", g->o->budget_s, g->r->set.count - 1, ceil(least / 1e9));
}

static double left_ns(const struct gate *g)
{
    return 1e9 * g->o->budget_s - (double)(nb_now_ns() - g->start_ns);
}

/* How many candidates can be confirmed in what is left: at least one. */
static size_t most_candidates(const struct gate *g)
{
    size_t n = 1;
    while (n < g->r->set.count && guess_confirm_ns(g, n + 1, CONFIRM_ROUNDS) < left_ns(g))
        n++;
    return n;
}

/* What is left over after so many rounds goes into blocks first, then into more rounds. */
static void plan_confirmation(struct gate *g, struct stage *s)
{
    const double roles = confirm_roles(g), left = left_ns(g);
    const double blocks = floor(left / (roles * process_ns(g, CONFIRM_ROUNDS)));
    if (g->o->blocks == 0)
        g->r->set.confirm_blocks = blocks < CONFIRM_BLOCKS        ? CONFIRM_BLOCKS
                                   : blocks > CONFIRM_BLOCKS_MOST ? CONFIRM_BLOCKS_MOST
                                                                  : (size_t)blocks;
    s->blocks = (unsigned)g->r->set.confirm_blocks;
    s->roles = (size_t)roles;
    s->rounds = clamp_rounds((left / roles / s->blocks - g->process_cost_ns) / g->round_cost_ns);
}

/* ---- the job ---- */

static enum nb_status screen(struct gate *g, struct nb_err *err)
{
    struct stage s = {.name = "screen"};
    make_stage(g, &s);
    g->start_ns = nb_now_ns();
    enum nb_status status = measure_costs(g, &s, err);
    if (status == NB_OK)
        status = plan_screening(g, &s, err);
    if (status == NB_OK)
        status = run_stage(g, &s, err);
    g->rounds[0] = s.rounds;
    free_stage(&s);
    if (status == NB_OK) {
        g->r->set.most_candidates = most_candidates(g);
        nb_gate_screen(&g->r->set);
    }
    return status;
}

static enum nb_status confirm(struct gate *g, struct nb_err *err)
{
    struct stage s = {.name = "confirm", .candidates = true};
    g->confirming = true;
    make_stage(g, &s);
    enum nb_status status = measure_costs(g, &s, err);
    if (status == NB_OK) {
        plan_confirmation(g, &s);
        status = run_stage(g, &s, err);
    }
    g->rounds[1] = s.rounds;
    free_stage(&s);
    if (status == NB_OK)
        nb_gate_decide(&g->r->set);
    return status;
}

/* The same build in processes of its own: words, names and hashes are shared. */
static struct nb_arm twin(const struct nb_arm *of, const char *label)
{
    struct nb_arm a = *of;
    a.label = label;
    a.client = (struct nb_client){.in = -1, .out = -1, .page_fd = -1};
    return a;
}

/* HEAD.layout1..3 beside the program; all of them, of the same revision, or none. */
static void find_layouts(struct gate *g)
{
    static char paths[NB_GATE_LAYOUTS][4200];
    char self[4096] = "";
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    g->r->set.layouts = n > 0;
    for (int k = 0; k < NB_GATE_LAYOUTS; k++) {
        snprintf(paths[k], sizeof paths[k], "%s.layout%d", self, k + 1);
        g->layout[k] = twin(&g->head, "relinked head");
        g->layout[k].program.path = paths[k];
        g->r->set.layouts = g->r->set.layouts && access(paths[k], X_OK) == 0;
    }
}

static enum nb_status open_arms(struct gate *g, struct nb_err *err)
{
    const uint64_t seed = g->plan.settings.seed;
    g->base.timeout_s = g->head.timeout_s = g->o->timeout_s;
    g->base.interrupted = g->head.interrupted = &nb_interrupted;
    enum nb_status s = nb_arm_open(&g->base, "base", g->o->base, g->o->base_plugin, seed, err);
    if (s == NB_OK)
        s = nb_arm_open(&g->head, "head", NULL, NULL, seed, err);
    if (s != NB_OK)
        return s;
    find_layouts(g);
    g->again = twin(&g->base, "base");
    g->turns = g->base.program.protocol >= 3 && g->head.program.protocol >= 3;
    return NB_OK;
}

static enum nb_status make_folder(struct gate *g, struct nb_err *err)
{
    const char *host = json_string_value(json_object_get(g->host, "host"));
    enum nb_status s = nb_store_create(&g->store, g->o->out, host != NULL ? host : "host", g->plan.id, err);
    if (s == NB_OK) {
        snprintf(g->r->dir, sizeof g->r->dir, "%s", g->store.dir);
        s = nb_store_json(&g->store, "host.json", g->host, err);
    }
    return s;
}

/* An arena is filled by every build that takes part: what one run may take of memory, four may not. */
static enum nb_status arenas_fit(const struct gate *g, struct nb_err *err)
{
    for (size_t c = 0; c < g->plan.count; c++) {
        const struct nb_cell *cell = &g->plan.cells[c];
        const size_t all = ROLES * 4 * nb_topology_llc(&g->topology, cell->threads);
        if ((cell->residency == NB_DRAM || cell->residency == NB_COLD) && all > g->topology.memory / 4 * 3)
            return nb_fail(err, "%s: each of %d builds at once fills an arena of 4 times the last level, %zu MiB together, "
                                "and this machine has %zu MiB; choose another --residency", cell->id, ROLES, all >> 20,
                           g->topology.memory >> 20);
    }
    return NB_OK;
}

static enum nb_status begin(struct gate *g, struct nb_err *err)
{
    enum nb_status s = nb_topology_load(&g->topology, err);
    if (s == NB_OK)
        s = nb_plan_make(&g->plan, &g->o->preset, &g->topology, err);
    if (s == NB_OK)
        s = arenas_fit(g, err);
    if (s == NB_OK)
        s = nb_cpulock_take(&g->topology, nb_plan_threads(&g->plan), &g->lock, err);
    if (s == NB_OK && g->topology.cores > 1)
        s = nb_topology_bind(&g->topology, g->topology.cores - 1, err);
    if (s != NB_OK)
        return s;
    json_t *reasons = json_array();
    s = nb_refuse(&g->topology, nb_plan_threads(&g->plan), g->o->force, reasons, err);
    for (size_t i = 0; i < json_array_size(reasons) && s == NB_OK && !g->o->quiet; i++)
        fprintf(stderr, "forced: %s\n", json_string_value(json_array_get(reasons, i)));
    g->forced = reasons;
    if (s != NB_OK)
        return s;
    keep_wanted(g);
    g->host = nb_host_facts(&g->topology);
    NB_ASSERT(g->host != NULL);
    json_object_set_new(g->host, "before", nb_host_moment());
    json_object_set_new(g->host, "after", json_null());
    s = open_arms(g, err);
    return s == NB_OK ? make_folder(g, err) : s;
}

static enum nb_status finish(struct gate *g, struct nb_err *err)
{
    g->r->measuring_s = (double)(nb_now_ns() - g->start_ns) / 1e9;
    json_object_set_new(g->host, "after", nb_host_moment());
    enum nb_status s = nb_store_json(&g->store, "host.json", g->host, err);
    g->r->exit_code = nb_gate_exit_code(&g->r->set);
    const struct nb_gate_context c = {.command = g->o->command,
                                      .base = json_string_value(g->base.version),
                                      .head = json_string_value(g->head.version),
                                      .base_path = g->o->base,
                                      .budget_s = g->o->budget_s,
                                      .measuring_s = g->r->measuring_s,
                                      .discarded = g->discarded,
                                      .skipped = g->skipped,
                                      .process_ms = g->process_cost_ns / 1e6,
                                      .screen_rounds = g->rounds[0],
                                      .confirm_rounds = g->rounds[1],
                                      .seed = g->r->set.seed,
                                      .cpu = nb_host_cpu_model(),
                                      .preset = g->plan.preset,
                                      .forced = g->forced};
    if (s == NB_OK) {
        g->r->json = nb_gate_json(&g->r->set, &c);
        s = nb_store_json(&g->store, "gate.json", g->r->json, err);
    }
    return s == NB_OK && !g->o->bare ? nb_gate_files(g->r->json, g->store.dir, err) : s;
}

static void end(struct gate *g)
{
    if (g->base.hashes != NULL)
        nb_arm_close(&g->base);
    if (g->head.hashes != NULL)
        nb_arm_close(&g->head);
    nb_client_unbind(); /* a self-test begins the next one in this process */
    nb_store_close(&g->store);
    nb_cpulock_release(&g->lock);
    json_decref(g->host);
    json_decref(g->forced);
    nb_plan_free(&g->plan);
    nb_topology_free(&g->topology);
    free(g->work);
}

static struct nb_gate_set begin_set(const struct nb_gate_options *o)
{
    const bool fixed = !isnan(o->margin);
    return (struct nb_gate_set){.alpha = 0.01,
                                .margin_least = fixed ? o->margin : 0.01,
                                .margin_fixed = fixed,
                                .threshold_least = (fixed ? o->margin : 0.01) / 2,
                                .layout_missing = 0.025,
                                .most_candidates = 1,
                                .confirm_blocks = o->blocks > 0 ? o->blocks : CONFIRM_BLOCKS,
                                .seed = o->preset.settings.seed};
}

enum nb_status nb_gate(const struct nb_gate_options *o, struct nb_gate_result *r, struct nb_err *err)
{
    struct gate g = {.o = o, .r = r, .store = {.checks = -1, .samples = -1}};
    *r = (struct nb_gate_result){.set = begin_set(o)};
    nb_catch_signals();
    enum nb_status s = begin(&g, err);
    if (s == NB_OK)
        s = check_all(&g, err);
    if (s == NB_OK)
        s = make_comparisons(&g, err);
    if (s == NB_OK)
        s = calibrate_all(&g, err);
    if (s == NB_OK) {
        s = add_control(&g, err);
        if (o->plant > 0)
            add_plant(&g);
    }
    if (s == NB_OK)
        s = screen(&g, err);
    if (s == NB_OK)
        s = confirm(&g, err);
    if (s == NB_OK)
        s = finish(&g, err);
    if (s == NB_INTERRUPTED)
        nb_fail(err, "interrupted; a gate decides on whole stages, so there is no verdict%s%s",
                g.store.samples >= 0 ? "; what was measured lies in " : "", g.store.samples >= 0 ? g.store.dir : "");
    end(&g);
    return s;
}

void nb_gate_result_free(struct nb_gate_result *r)
{
    json_decref(r->json);
    nb_gate_set_free(&r->set);
}
