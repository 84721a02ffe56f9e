#include "measure.h"

#include "buffers.h"
#include "check.h"
#include "conditions.h"
#include "counters.h"
#include "cpu.h"
#include "execute.h"
#include "gbench_shim.h"
#include "inputs.h"
#include "codec.h"
#include "registry.h"
#include "saved.h"
#include "stats.h"

#include <math.h>
#include <string.h>

/* ---- memory of a cell ---- */

/* Arena of windows for DRAM and cold cells: kept over the units of one dtype, thread count and offset, since
 * filling gigabytes costs more than measuring in them. It holds the endless stream, so a window holds
 * the stream from where it begins; a window that is verified is given the data that was checked. */
static struct {
    struct nb_buffer x, y;
    uint32_t dtype;
    unsigned threads;
    size_t offset;
    bool in_place; /* y is not mapped */
} arena;

struct memory {
    struct nb_buffer x, y, gamma, beta, mean, rstd, scratch, dgamma, dbeta, dalpha;
    struct nb_buffer running[2][2]; /* norms of columns: run_mean and run_var, those that training changes and those given */
    struct nb_buffer saved[NB_OP_COUNT][2]; /* backward: mean and rstd of every window, and of the checked data */
    bool in_arena;
    size_t windows, step, step_out;
};

struct fill {
    char *x, *y; /* y NULL: touched already */
    size_t bytes, out; /* of x and of y, which is no longer */
    uint32_t dtype;
    const struct nb_worker_env *env;
};

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Each thread touches first what lies in its share of each stretch of rows. */
static void fill_part(void *context, unsigned part, unsigned parts)
{
    const struct fill *f = context;
    const size_t es = nb_dtype_bytes(f->dtype), stretch = (size_t)8 << 20;
    for (size_t at = 0; at < f->bytes; at += stretch) {
        const size_t len = f->bytes - at < stretch ? f->bytes - at : stretch;
        const size_t first = len / es * part / parts, last = len / es * (part + 1) / parts;
        if (part == 0)
            f->env->at(f->env->context, ""); /* a sign of life */
        nb_input_stream_copy(f->dtype, f->env->seed, at / es + first, f->x + at + first * es,
                             last - first);
        const size_t to = at + last * es < f->out ? at + last * es : f->out;
        if (f->y != NULL && at + first * es < to)
            memset(f->y + at + first * es, 0, to - (at + first * es));
    }
}

static void fill(char *x, size_t bytes, char *y, size_t out, const struct nb_cell *c, const struct nb_worker_env *env)
{
    struct fill f = {x, y, bytes, out, c->dtype, env};
    nb_input_stream(c->dtype, env->seed, bytes / nb_dtype_bytes(c->dtype)); /* before threads share it */
    nb_on_threads(c->threads, fill_part, &f);
}

/* Bytes of x that an arena has at least; y, if there is one, as many again. */
static size_t least_arena(const struct nb_cell *c, const struct nb_topology *t)
{
    return (c->in_place ? 4 : 2) * nb_topology_llc(t, c->threads);
}

/* Where memory has one home, which thread touched it first does not matter. */
static bool arena_fits(const struct nb_worker_env *env, const struct nb_cell *c, size_t bytes)
{
    return arena.x.map != NULL && arena.x.bytes >= bytes && arena.offset == c->offset &&
           arena.in_place == c->in_place &&
           (arena.threads == c->threads || env->topology->numa_nodes <= 1);
}

/* Of x, whatever the shape of the cell: windows of one shape need a little more than those of another, and
 * each time more is needed all of it is filled again. */
static size_t arena_room(const struct nb_worker_env *env, const struct nb_cell *c, size_t bytes)
{
    const size_t window = (size_t)16 << 20;
    const size_t room = least_arena(c, env->topology) + window;
    return room > bytes ? room : bytes;
}

static enum nb_status arena_ready(const struct nb_worker_env *env, const struct nb_cell *c,
                                  size_t bytes, struct nb_err *err)
{
    const bool fits = arena_fits(env, c, bytes);
    if (fits && arena.dtype == c->dtype)
        return NB_OK;
    if (!fits) {
        nb_buffer_free(&arena.x);
        nb_buffer_free(&arena.y);
        bytes = arena_room(env, c, bytes);
        enum nb_status s = nb_buffer_map(&arena.x, bytes, 0, true, err);
        if (s == NB_OK && !c->in_place)
            s = nb_buffer_map(&arena.y, bytes, c->offset, true, err);
        if (s != NB_OK)
            return s;
    }
    arena.dtype = c->dtype;
    arena.threads = c->threads;
    arena.offset = c->offset;
    arena.in_place = c->in_place;
    fill(arena.x.data, arena.x.bytes, fits ? NULL : arena.y.data, arena.x.bytes, c, env);
    return NB_OK;
}

static bool in_arena(const struct nb_cell *c)
{
    return c->residency == NB_DRAM || c->residency == NB_COLD;
}

/* Where two tensors follow each other, inputs and outputs take steps of their own, which are whole pages, so that they lie to each other in every window as
 * they do in the first. */
struct nb_windows nb_measure_windows(const struct nb_cell *c, const struct nb_topology *t)
{
    enum { LINE = 64, PAGE = 4096 };
    const size_t bytes = c->rows * c->ldx * nb_dtype_bytes(c->dtype), unit = nb_cell_second_in(c) > 0 ? PAGE : LINE;
    const size_t least = least_arena(c, t);
    struct nb_windows w = {.count = 1, .step = round_up(nb_cell_second_in(c) + bytes, unit),
                           .step_out = round_up(nb_cell_second_out(c) + bytes, unit)};
    if (w.step < least)
        w.count = (least + w.step - 1) / w.step;
    return w;
}

static enum nb_status map_tensors(const struct nb_worker_env *env, const struct nb_cell *c,
                                  struct memory *m, struct nb_err *err)
{
    const size_t tensor = c->rows * c->ldx * nb_dtype_bytes(c->dtype);
    const size_t out = nb_cell_second_out(c) + tensor, in = nb_cell_second_in(c) + tensor;
    m->in_arena = in_arena(c);
    if (m->in_arena) {
        const struct nb_windows w = nb_measure_windows(c, env->topology);
        m->step = w.step;
        m->step_out = w.step_out;
        m->windows = w.count;
        return arena_ready(env, c, m->windows * m->step, err);
    }
    m->windows = 1;
    const bool huge = out >= (size_t)2 << 20;
    enum nb_status s = nb_buffer_map(&m->x, in, 0, huge, err);
    if (s == NB_OK && !c->in_place)
        s = nb_buffer_map(&m->y, out, c->offset, huge, err);
    if (s == NB_OK)
        fill(m->x.data, in, m->y.data, out, c, env);
    return s;
}

static void fill_params(const struct nb_worker_env *env, const struct nb_cell *c, struct memory *m)
{
    double *wide = malloc(c->hidden * sizeof *wide);
    NB_ASSERT(wide != NULL);
    if (c->in_place)
        nb_input_gamma_in_place(env->seed, wide, c->hidden);
    else
        nb_input_gamma(c->param_dtype, env->seed, wide, c->hidden);
    nb_encode(c->param_dtype, wide, m->gamma.data, c->hidden);
    if (c->in_place)
        nb_input_beta_in_place(wide, c->hidden);
    else
        nb_input_beta(c->param_dtype, env->seed, wide, c->hidden);
    nb_encode(c->param_dtype, wide, m->beta.data, c->hidden);
    free(wide);
}

/* Of one statistic of a window, in whole lines. */
static size_t saved_bytes(const struct nb_cell *c, const struct nb_kernel *k)
{
    const struct nb_problem p = nb_cell_problem(c, k);
    return round_up(nb_op_stats(&p) * nb_stat_bytes(c->dtype), 64);
}

/* Statistics of the kernel that saves most. */
static size_t most_stats(const struct nb_cell *c)
{
    size_t most = c->rows;
    for (size_t i = 0; i < c->kernel_count; i++) {
        const struct nb_problem p = nb_cell_problem(c, c->kernels[i]);
        const size_t stats = nb_op_stats(&p);
        most = stats > most ? stats : most;
    }
    return most;
}

/* The data that begins there in the stream. */
struct window_rows {
    const struct nb_cell *c;
    uint64_t seed;
    size_t start;
    char *stored; /* [hidden] */
};

static void window_row(void *context, size_t row, double *x)
{
    const struct window_rows *w = context;
    nb_input_stream_copy(w->c->dtype, w->seed, w->start + row * w->c->ldx, w->stored, w->c->hidden);
    nb_decode(w->c->dtype, w->stored, x, w->c->hidden);
}

static void save_window(const struct nb_worker_env *env, const struct nb_cell *c, const struct nb_problem *p,
                        size_t start, char *mean, char *rstd)
{
    struct window_rows w = {c, env->seed, start, malloc(c->hidden * nb_dtype_bytes(c->dtype))};
    NB_ASSERT(w.stored != NULL);
    nb_saved_all(p, window_row, &w, mean, rstd);
    free(w.stored);
}

/* Of every window, and behind them of the checked data. */
static void fill_saved(const struct nb_worker_env *env, const struct nb_cell *c, const struct nb_kernel *k,
                       const struct memory *m)
{
    const struct nb_problem p = nb_cell_problem(c, k);
    char *mean = m->saved[k->op][0].data, *rstd = m->saved[k->op][1].data;
    const size_t bytes = saved_bytes(c, k), es = nb_dtype_bytes(c->dtype);
    for (size_t w = 0; rstd != NULL && w <= m->windows; w++) {
        env->at(env->context, ""); /* a sign of life */
        save_window(env, c, &p, w < m->windows ? w * m->step / es : 0, mean + w * bytes, rstd + w * bytes);
    }
}

/* Kernels of one op share theirs. */
static bool is_first_of_op(const struct nb_cell *c, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (c->kernels[j]->op == c->kernels[i]->op)
            return false;
    return true;
}

static enum nb_status map_saved(const struct nb_worker_env *env, const struct nb_cell *c, const struct nb_kernel *k,
                                struct memory *m, struct nb_err *err)
{
    struct nb_buffer *mean = &m->saved[k->op][0], *rstd = &m->saved[k->op][1];
    const size_t bytes = (m->windows + 1) * saved_bytes(c, k);
    if (!nb_op_facts(k->op)->norm)
        return NB_OK;
    enum nb_status s = nb_buffer_map(mean, bytes, 0, false, err);
    if (s == NB_OK)
        s = nb_buffer_map(rstd, bytes, 0, false, err);
    if (s == NB_OK)
        fill_saved(env, c, k, m);
    return s;
}

/* What a pass backward is given and writes besides x, dy and dx. */
static enum nb_status map_backward(const struct nb_worker_env *env, const struct nb_cell *c, struct memory *m,
                                   struct nb_err *err)
{
    const size_t bytes = c->hidden * nb_dtype_bytes(c->param_dtype);
    if (c->dir != NB_BWD)
        return NB_OK;
    enum nb_status s = nb_buffer_map(&m->dgamma, bytes, 512, false, err);
    if (s == NB_OK)
        s = nb_buffer_map(&m->dbeta, bytes, 2560, false, err);
    if (s == NB_OK)
        s = nb_buffer_map(&m->dalpha, nb_stat_bytes(c->dtype), 64, false, err);
    for (size_t i = 0; s == NB_OK && i < c->kernel_count; i++)
        if (is_first_of_op(c, i))
            s = map_saved(env, c, c->kernels[i], m, err);
    return s;
}

static void fill_running(const struct nb_worker_env *env, const struct nb_cell *c, struct memory *m)
{
    for (size_t given = 0; given < 2 && m->running[given][0].map != NULL; given++)
        nb_input_running_stored(c->dtype, env->seed, m->running[given][0].data, m->running[given][1].data, c->hidden);
}

/* What norms of columns keep from batch to batch. */
static enum nb_status map_running(const struct nb_worker_env *env, const struct nb_cell *c, struct memory *m, struct nb_err *err)
{
    const size_t bytes = c->hidden * nb_stat_bytes(c->dtype);
    bool needed = false;
    for (size_t i = 0; i < c->kernel_count; i++)
        needed = needed || (nb_op_facts(c->kernels[i]->op)->columns && c->dir == NB_FWD);
    if (!needed)
        return NB_OK;
    enum nb_status s = NB_OK;
    for (size_t given = 0; given < 2 && s == NB_OK; given++) {
        struct nb_buffer *mean = &m->running[given][0], *var = &m->running[given][1];
        s = nb_buffer_map(mean, bytes, 0, false, err);
        if (s == NB_OK)
            s = nb_buffer_map(var, bytes, 0, false, err);
    }
    if (s == NB_OK)
        fill_running(env, c, m);
    return s;
}

static enum nb_status map_params(const struct nb_worker_env *env, const struct nb_cell *c,
                                 struct memory *m, struct nb_err *err)
{
    const size_t ps = nb_dtype_bytes(c->param_dtype), stats = nb_stat_bytes(c->dtype) * most_stats(c);
    enum nb_status s = nb_buffer_map(&m->gamma, c->hidden * ps, 1024, false, err);
    if (s == NB_OK)
        s = nb_buffer_map(&m->beta, c->hidden * ps, 3136, false, err);
    if (s == NB_OK)
        fill_params(env, c, m);
    if (s == NB_OK && c->stats_out)
        s = nb_buffer_map(&m->mean, stats, 0, false, err);
    if (s == NB_OK && c->stats_out)
        s = nb_buffer_map(&m->rstd, stats, 0, false, err);
    return s == NB_OK ? map_running(env, c, m, err) : s;
}

/* Of the kernels that run: what one that failed its check would ask for, or do when asked, is no matter. */
static enum nb_status map_scratch(const struct nb_worker_env *env, const struct nb_unit *unit,
                                  struct memory *m, struct nb_err *err)
{
    const struct nb_cell *c = unit->cell;
    size_t most = 0;
    for (size_t i = 0; i < c->kernel_count; i++) {
        if (json_object_get(unit->hashes, c->kernels[i]->name) == NULL)
            continue;
        const struct nb_problem p = nb_cell_problem(c, c->kernels[i]);
        env->at(env->context, c->kernels[i]->name);
        const size_t bytes = nb_scratch_bytes(c->kernels[i], &p, c->threads);
        most = bytes > most ? bytes : most;
    }
    env->at(env->context, "");
    if (most == 0)
        return NB_OK;
    enum nb_status s = nb_buffer_map(&m->scratch, most, 0, most >= (size_t)2 << 20, err);
    if (s == NB_OK)
        memset(m->scratch.data, 0, most);
    return s;
}

enum { BUFFERS = 14 + 2 * NB_OP_COUNT };

/* Those of this cell, and then, where it has one, of the arena. */
static void all_buffers(struct memory *m, bool with_arena, struct nb_buffer *all[BUFFERS])
{
    const bool shared = with_arena && m->in_arena;
    struct nb_buffer *list[] = {shared ? &arena.x : &m->x, shared ? &arena.y : &m->y, &m->gamma, &m->beta, &m->mean,
                                &m->rstd, &m->scratch, &m->dgamma, &m->dbeta, &m->dalpha, &m->running[0][0], &m->running[0][1],
                                &m->running[1][0], &m->running[1][1]};
    memcpy(all, list, sizeof list);
    for (size_t i = 0; i < 2 * NB_OP_COUNT; i++)
        all[BUFFERS - 2 * NB_OP_COUNT + i] = &m->saved[i / 2][i % 2];
}

static void unmap(struct memory *m)
{
    struct nb_buffer *all[BUFFERS];
    all_buffers(m, false, all);
    for (size_t i = 0; i < BUFFERS; i++)
        nb_buffer_free(all[i]);
}

static bool canaries_intact(struct memory *m)
{
    struct nb_buffer *all[BUFFERS];
    all_buffers(m, true, all);
    for (size_t i = 0; i < BUFFERS; i++)
        if (!nb_buffer_canaries_intact(all[i]))
            return false;
    return true;
}

static void repair_canaries(struct memory *m)
{
    struct nb_buffer *all[BUFFERS];
    all_buffers(m, true, all);
    for (size_t i = 0; i < BUFFERS; i++)
        nb_buffer_repair(all[i]);
}

/* Damage must not reach the next unit. */
static void forget_arena(void)
{
    nb_buffer_free(&arena.x);
    nb_buffer_free(&arena.y);
}

static bool begin(struct nb_execution *e, const struct nb_cell *c, const struct nb_kernel *k,
                  const struct memory *m, size_t stack)
{
    char *x = m->in_arena ? arena.x.data : m->x.data, *y = m->in_arena ? arena.y.data : m->y.data;
    const bool back = c->dir == NB_BWD;
    char *const second = nb_kernel_second_out(c, k) > 0 ? y + nb_kernel_second_out(c, k) : NULL;
    const struct nb_args args = {.x = x,
                                 .dy = back ? x + nb_cell_second_in(c) : NULL,
                                 .residual = !back && c->fuse != NB_FUSE_NONE ? x + nb_cell_second_in(c) : NULL,
                                 .h = back ? NULL : second,
                                 .dres = back ? second : NULL,
                                 .y = back ? NULL : c->in_place ? x : y,
                                 .dx = back ? y : NULL,
                                 .gamma = m->gamma.data,
                                 .beta = back ? NULL : m->beta.data,
                                 .dgamma = m->dgamma.data,
                                 .dbeta = m->dbeta.data,
                                 .dalpha = m->dalpha.data,
                                 .mean = back ? m->saved[k->op][0].data : m->mean.data,
                                 .rstd = back ? m->saved[k->op][1].data : m->rstd.data,
                                 .run_mean = m->running[nb_op_facts(k->op)->given][0].data,
                                 .run_var = m->running[nb_op_facts(k->op)->given][1].data};
    const bool prepared = nb_execution_begin(e, c, k, &args, m->scratch.data);
    e->windows = m->windows;
    e->step = m->step;
    e->step_out = m->step_out;
    e->step_saved = back ? saved_bytes(c, k) : 0;
    e->stack = stack;
    return prepared;
}

/* ---- running ---- */

/* A cell whose memory was damaged with nobody found guilty; its next unit looks after each sample. */
static char suspect[sizeof(((struct nb_cell *)NULL)->id)];

/* One kernel of the unit; all groups that name it share this. */
struct runner {
    const struct nb_worker_env *env;
    struct nb_execution exec;
    bool trusted;
};
struct run {
    const struct nb_worker_env *env;
    const struct nb_unit *unit;
    struct memory memory;
    struct runner *runners; /* by index in cell->kernels */
    size_t window;          /* shared: the next sample goes on where the last one stopped */
    uint64_t walked;        /* passes so far */
    size_t repeated;        /* samples in which another process took the CPU, taken again */
    uint64_t params_hash;
    bool suspicious;        /* looks after each sample: the unit before this one was damaged */
    json_t *mistrusted;
    double setup_ns, warm_ns, timed_ns;
    struct nb_watch watch;
    long migrations; /* threads seen on another CPU than theirs, added up over groups; negative: not known */
    json_t *conditions;
};

/* The rotation goes on over all kernels and their counting: no pass meets what one just before left. */
static void rotate(struct run *u, unsigned passes)
{
    u->window = (u->window + passes) % u->memory.windows;
    u->walked += passes;
}

static uint64_t run_passes(struct run *u, struct runner *r, unsigned passes)
{
    r->exec.next_window = u->window;
    const uint64_t ns = nb_execute(&r->exec, passes);
    rotate(u, passes);
    return ns;
}

/* ---- is everything as it should be? ---- */

static char *window_x(const struct run *u, size_t window)
{
    return (u->memory.in_arena ? arena.x.data : u->memory.x.data) + window * u->memory.step;
}

static char *window_y(const struct run *u, size_t window)
{
    if (u->unit->cell->in_place)
        return window_x(u, window);
    return (u->memory.in_arena ? arena.y.data : u->memory.y.data) + window * u->memory.step_out;
}

/* h or dres of a window; NULL: the kernel writes none. */
static char *window_h(const struct run *u, const struct nb_kernel *k, size_t window)
{
    const size_t behind = nb_kernel_second_out(u->unit->cell, k);
    return behind > 0 ? window_y(u, window) + behind : NULL;
}

/* Of x, and of the second input behind it. */
static size_t elements(const struct run *u)
{
    const struct nb_cell *c = u->unit->cell;
    return nb_cell_second_in(c) / nb_dtype_bytes(c->dtype) + c->rows * c->ldx;
}

/* Where in the stream a window's data begins, but for the one that is being verified: at 0. */
static size_t own_start(const struct run *u, size_t window)
{
    return window * u->memory.step / nb_dtype_bytes(u->unit->cell->dtype);
}

static void put_x(struct run *u, size_t window, size_t start)
{
    nb_input_stream_copy(u->unit->cell->dtype, u->env->seed, start, window_x(u, window), elements(u));
}

static uint64_t params_hash(const struct run *u)
{
    uint64_t h = nb_hash_bytes(0, u->memory.gamma.data, u->memory.gamma.bytes);
    h = nb_hash_bytes(h, u->memory.beta.data, u->memory.beta.bytes);
    for (size_t i = 0; i < 2 * NB_OP_COUNT; i++) {
        const struct nb_buffer *b = &u->memory.saved[i / 2][i % 2];
        h = b->map != NULL ? nb_hash_bytes(h, b->data, b->bytes) : h;
    }
    for (size_t i = 0; i < 2 && u->memory.running[1][i].map != NULL; i++)
        h = nb_hash_bytes(h, u->memory.running[1][i].data, u->memory.running[1][i].bytes);
    return h;
}

static bool surroundings_intact(struct run *u)
{
    return canaries_intact(&u->memory) && params_hash(u) == u->params_hash;
}

static bool x_is(const struct run *u, size_t window, size_t start)
{
    return nb_input_stream_equal(u->unit->cell->dtype, u->env->seed, start, window_x(u, window),
                                 elements(u));
}

/* All of a window: x as the stream has it (in place it is what the passes made of it), parameters and
 * canaries. */
static bool intact(struct run *u, size_t window)
{
    return surroundings_intact(u) &&
           (u->unit->cell->in_place || x_is(u, window, own_start(u, window)));
}

/* After damage: who comes next is judged by what it does itself. */
static void repair(struct run *u, size_t window, size_t start)
{
    const struct nb_cell *c = u->unit->cell;
    put_x(u, window, start);
    fill_params(u->env, c, &u->memory);
    fill_running(u->env, c, &u->memory);
    for (size_t i = 0; i < c->kernel_count; i++)
        if (is_first_of_op(c, i))
            fill_saved(u->env, c, c->kernels[i], &u->memory);
    repair_canaries(&u->memory);
}

static void mistrust(struct run *u, struct runner *r)
{
    if (r->trusted)
        json_array_append_new(u->mistrusted, json_string(r->exec.kernel->name));
    r->trusted = false;
}

/* Hash of the rows of x whose outputs are hashed too. */
static uint64_t x_hash(const struct run *u, size_t window)
{
    struct nb_cell as_y = *u->unit->cell;
    const size_t second = nb_cell_second_in(&as_y);
    char *x = window_x(u, window);
    as_y.ldy = as_y.ldx;
    return nb_output_hash(&as_y, u->env->seed, x, second > 0 ? x + second : NULL);
}

/* One pass over a window that holds the checked data: its output must be the one that was checked, and
 * nothing else may change. */
static void verify(struct run *u, struct runner *r, size_t window, uint64_t x_wanted)
{
    const struct nb_cell *c = u->unit->cell;
    const char *name = r->exec.kernel->name;
    const char *wanted = json_string_value(json_object_get(u->unit->hashes, name));
    char *const y = window_y(u, window), *const h = window_h(u, r->exec.kernel, window);
    char hash[17];
    u->env->at(u->env->context, name);
    if (c->in_place)
        put_x(u, window, 0);
    else
        nb_output_clear(c, u->env->seed, y, h); /* else yesterday's could pass */
    nb_shares_clear(&r->exec);
    r->exec.next_window = window;
    r->exec.checked = true;
    nb_execute(&r->exec, 1);
    r->exec.checked = false;
    const uint64_t rows = nb_output_hash(c, u->env->seed, y, h);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)nb_shares_hash(rows, &r->exec));
    const bool x_kept = c->in_place || (x_hash(u, window) == x_wanted &&
                                       !(u->suspicious && !x_is(u, window, 0)));
    const bool changed = !surroundings_intact(u) || !x_kept;
    if (wanted == NULL || strcmp(hash, wanted) != 0 || changed)
        mistrust(u, r);
    if (changed)
        repair(u, window, 0);
}

/* Every kernel still trusted, at one window: the data that was checked is laid there for as long. What
 * was damaged before, by whomever, is repaired first. */
static void verify_all(struct run *u, size_t window)
{
    put_x(u, window, 0);
    if (!surroundings_intact(u))
        repair(u, window, 0);
    const uint64_t x_wanted = x_hash(u, window);
    for (size_t i = 0; i < u->unit->cell->kernel_count; i++)
        if (u->runners[i].exec.kernel != NULL && u->runners[i].trusted)
            verify(u, &u->runners[i], window, x_wanted);
    u->env->at(u->env->context, "");
    put_x(u, window, own_start(u, window));
}

/* The i-th last window that was walked. */
static size_t window_before(const struct run *u, size_t i)
{
    const size_t n = u->memory.windows;
    return (u->window + n - i % n) % n;
}

/* Different ones in so many passes. */
static size_t windows_walked(const struct run *u, uint64_t passes)
{
    return passes < u->memory.windows ? (size_t)passes : u->memory.windows;
}

/* In place a pass reads what the one before it left. Were that ever zeros, subnormals or infinities, the times
 * would be those of such data; so a row of each of the n windows walked in a sample is looked at after it. */
static bool still_ordinary(const struct run *u, size_t n)
{
    const struct nb_cell *c = u->unit->cell;
    const size_t at = (size_t)(u->walked % c->rows) * c->ldx * nb_dtype_bytes(c->dtype);
    for (size_t i = 1; c->in_place && i <= n; i++)
        if (!nb_input_is_ordinary(c->dtype, window_x(u, window_before(u, i)) + at, c->hidden))
            return false;
    return true;
}

/* Of the windows walked since then: in place, is their data still ordinary? In a unit tried again after damage
 * that nobody was found guilty of: are they, and all else, what they were before? */
static void look_after(struct run *u, struct runner *r, uint64_t since)
{
    const size_t n = windows_walked(u, u->walked - since);
    if (!still_ordinary(u, n)) {
        mistrust(u, r);
        for (size_t i = 1; i <= n; i++)
            put_x(u, window_before(u, i), own_start(u, window_before(u, i)));
    }
    for (size_t i = 1; u->suspicious && i <= n; i++) {
        const size_t window = window_before(u, i);
        if (intact(u, window))
            continue;
        mistrust(u, r);
        repair(u, window, own_start(u, window));
    }
}

static struct runner *runner_of(struct run *u, const struct nb_kernel *k)
{
    const struct nb_cell *c = u->unit->cell;
    for (size_t i = 0; i < c->kernel_count; i++)
        if (c->kernels[i] == k)
            return u->runners[i].exec.kernel != NULL ? &u->runners[i] : NULL;
    return NULL;
}

/* Passes of the first kernel until the medians of three windows of time agree within 2 %, or 60 ms. Where builds take
 * turns, what is still to come is theirs alike: 5 ms. */
static void warm_up(struct run *u, struct runner *r)
{
    double last[3] = {0, 0, 0};
    const uint64_t start = nb_now_ns(), most = u->unit->turns ? 5000000 : 60000000;
    u->env->at(u->env->context, r->exec.kernel->name);
    for (unsigned i = 0; nb_now_ns() - start < most; i++) {
        double ns[5];
        for (unsigned k = 0; k < 5; k++)
            ns[k] = (double)run_passes(u, r, 1);
        last[i % 3] = nb_median(ns, 5);
        const double low = fmin(last[0], fmin(last[1], last[2]));
        if (low > 0 && fmax(last[0], fmax(last[1], last[2])) < 1.02 * low)
            break;
    }
}

static size_t seeded(const struct run *u)
{
    const char *id = u->unit->cell->id;
    unsigned long long state = nb_hash_bytes(u->env->seed + u->unit->process, id, strlen(id));
    return (size_t)nb_random(&state);
}

static enum nb_status setup(struct run *u, const struct nb_worker_env *env,
                            const struct nb_unit *unit, struct nb_err *err)
{
    const struct nb_cell *c = unit->cell;
    *u = (struct run){.env = env, .unit = unit, .mistrusted = json_array(),
                      .suspicious = strcmp(suspect, c->id) == 0};
    u->runners = calloc(c->kernel_count, sizeof *u->runners);
    NB_ASSERT(u->runners != NULL && u->mistrusted != NULL);
    env->at(env->context, ""); /* whatever fails here is no kernel's fault */
    enum nb_status s = nb_execute_team(c->threads, true, err);
    if (s == NB_OK)
        s = nb_buffer_share(in_arena(c) ? NULL : unit->memory, err);
    if (s == NB_OK)
        s = map_tensors(env, c, &u->memory, err);
    if (s == NB_OK)
        s = map_params(env, c, &u->memory, err);
    if (s == NB_OK)
        s = map_backward(env, c, &u->memory, err);
    if (s == NB_OK)
        s = map_scratch(env, unit, &u->memory, err);
    if (s != NB_OK)
        return s;
    u->params_hash = params_hash(u);
    for (size_t i = 0; i < c->kernel_count; i++) {
        if (json_object_get(unit->hashes, c->kernels[i]->name) == NULL)
            continue;
        u->runners[i] = (struct runner){.env = env, .trusted = true};
        env->at(env->context, c->kernels[i]->name);
        if (!begin(&u->runners[i].exec, c, c->kernels[i], &u->memory, seeded(u) % 64 * 64))
            mistrust(u, &u->runners[i]); /* it could in its check */
    }
    env->at(env->context, "");
    verify_all(u, seeded(u) % u->memory.windows);
    return NB_OK;
}

/* Before the unit is declared done: a finish that crashes or hangs is its kernel's fault. */
static void end_executions(struct run *u)
{
    for (size_t i = 0; i < u->unit->cell->kernel_count; i++)
        if (u->runners[i].exec.kernel != NULL) {
            u->env->at(u->env->context, u->runners[i].exec.kernel->name);
            nb_execution_end(&u->runners[i].exec);
        }
    u->env->at(u->env->context, "");
}

static void teardown(struct run *u)
{
    end_executions(u); /* those that a failed unit left */
    free(u->runners);
    unmap(&u->memory);
    json_decref(u->mistrusted);
    json_decref(u->conditions);
}

/* ---- rounds ---- */

struct rounds;
struct sample {
    struct run *run;
    struct runner *runner;
    struct rounds *rounds;
    unsigned member;
};
struct rounds {
    struct run *run;
    const struct nb_group *group;
    size_t group_index;
    unsigned (*orders)[NB_GROUP_MAX]; /* per round: members in the order they run */
    size_t active;                    /* members that run */
    size_t ran;                       /* samples taken, in the order asked for */
    bool disordered;
    bool ended; /* by the orchestrator, in mid-group */
    double ns[NB_GROUP_MAX];
};

/* The member whose turn it is after so many samples; none when all have run. */
static bool member_at(const struct rounds *r, size_t index, unsigned *member)
{
    if (index >= r->active * r->run->unit->rounds)
        return false;
    *member = r->orders[index / r->active][index % r->active];
    return true;
}

/* A sample in which another process had this CPU is taken again, whatever its time; the fourth stands. */
static uint64_t undisturbed(struct run *u, struct runner *r, unsigned passes)
{
    enum { TRIES = 4 };
    for (int i = 1;; i++) {
        u->warm_ns += (double)run_passes(u, r, 1);
        const long before = nb_involuntary_switches();
        const uint64_t ns = run_passes(u, r, passes);
        u->timed_ns += (double)ns;
        if (i == TRIES || nb_involuntary_switches() == before)
            return ns;
        u->repeated++;
    }
}

static bool begins_turn(const struct rounds *r)
{
    const unsigned turns = r->run->unit->turns;
    return turns > 0 && r->ran % (r->active * turns) == 0;
}

/* One untimed pass precedes: it brings code, parameters and the cell's lines to where they belong. */
static uint64_t take_sample(void *context, unsigned passes)
{
    struct sample *s = context;
    unsigned member;
    if (!member_at(s->rounds, s->rounds->ran, &member) || member != s->member)
        s->rounds->disordered = true;
    if (begins_turn(s->rounds) && !s->rounds->ended)
        s->rounds->ended = !s->run->env->turn(s->run->env->context);
    s->rounds->ran++;
    if (s->rounds->ended)
        return 1; /* nobody listens any more */
    const uint64_t since = s->run->walked;
    s->run->env->at(s->run->env->context, s->runner->exec.kernel->name);
    const uint64_t ns = undisturbed(s->run, s->runner, passes);
    look_after(s->run, s->runner, since);
    return ns;
}

static void emit_round(struct rounds *r, size_t round)
{
    json_t *order = json_array(), *ns = json_array();
    for (size_t i = 0; i < r->active; i++)
        json_array_append_new(order, json_integer(r->orders[round][i]));
    for (size_t m = 0; m < r->group->count; m++)
        json_array_append_new(ns, r->ns[m] >= 0 ? json_integer(llround(r->ns[m])) : json_null());
    const struct nb_unit *unit = r->run->unit;
    r->run->env->emit(r->run->env->context,
                      json_pack("{ss si ss si si si so so}", "type", "round", "process",
                                (int)unit->process, "cell", unit->cell->id, "attempt",
                                (int)unit->attempt, "group", (int)r->group_index, "round",
                                (int)round, "order", order, "ns", ns));
}

static void take_result(void *context, size_t index, double ns)
{
    struct rounds *r = context;
    unsigned member;
    if (r->disordered || !member_at(r, index, &member) || r->ran != index + 1) {
        r->disordered = true; /* this time belongs to some other sample */
        return;
    }
    r->ns[member] = ns;
    if ((index + 1) % r->active == 0)
        emit_round(r, index / r->active);
}

static uint64_t group_seed(const struct run *u, size_t group)
{
    const char *id = u->unit->cell->id;
    return nb_hash_bytes(u->env->seed * 31 + u->unit->process * 7 + group, id, strlen(id));
}

/* Orders of a Williams square over the members that run; processes start at different rows of it, so
 * that few rounds a process still balance over all of them. */
static void make_orders(struct rounds *r, struct runner *const *runners, uint64_t seed)
{
    unsigned members[NB_GROUP_MAX], row[NB_GROUP_MAX], count = 0;
    for (unsigned m = 0; m < r->group->count; m++)
        if (runners[m] != NULL)
            members[count++] = m;
    const size_t even = r->active + r->active % 2;
    for (unsigned k = 0; k < r->run->unit->rounds; k++) {
        size_t n = 0;
        nb_williams_row(even, k + seed % even, seed, row);
        for (size_t i = 0; i < even; i++) /* an odd rest: the missing member's place is skipped */
            if (row[i] < r->active)
                r->orders[k][n++] = members[row[i]];
    }
}

/* Between groups, when no time is taken: a thread that was moved and is bound stays where it was put. */
static void look_for_migrations(struct run *u)
{
    const long strays = nb_execute_strays(u->unit->cell->threads);
    u->migrations = strays < 0 ? -1 : u->migrations + strays;
}

static enum nb_status run_group(struct run *u, size_t index, struct nb_err *err)
{
    const struct nb_group *g = &u->unit->cell->groups[index];
    struct runner *runners[NB_GROUP_MAX];
    struct sample samples[NB_GROUP_MAX];
    struct rounds r = {.run = u, .group = g, .group_index = index};
    r.orders = calloc(u->unit->rounds, sizeof *r.orders);
    NB_ASSERT(r.orders != NULL);
    for (size_t m = 0; m < g->count; m++) {
        runners[m] = runner_of(u, g->members[m].kernel);
        if (runners[m] != NULL && !runners[m]->trusted)
            runners[m] = NULL;
        samples[m] = (struct sample){u, runners[m], &r, (unsigned)m};
        r.ns[m] = -1;
        r.active += runners[m] != NULL;
    }
    if (r.active == 0) { /* all crashed or are mistrusted */
        free(r.orders);
        return NB_OK;
    }
    make_orders(&r, runners, group_seed(u, index));
    nb_gb_clear();
    for (unsigned k = 0; k < u->unit->rounds; k++)
        for (size_t i = 0; i < r.active; i++) {
            const unsigned m = r.orders[k][i];
            nb_gb_add(g->members[m].kernel->name, g->members[m].passes, take_sample, &samples[m]);
        }
    const size_t wanted = r.active * u->unit->rounds, got = nb_gb_run(take_result, &r);
    nb_gb_clear();
    free(r.orders);
    if (r.ended)
        return nb_fail(err, "the orchestrator ended the unit");
    if (got == wanted && r.ran == wanted && !r.disordered)
        return NB_OK;
    return nb_fail(err, "cell %s: %zu samples were asked for, %zu taken and %zu reported, %s; is "
                        "Google Benchmark configured from outside (BENCHMARK_* variables)?",
                   u->unit->cell->id, wanted, r.ran, got,
                   r.disordered ? "not in the order asked for" : "in order");
}

/* ---- counters ---- */

struct count {
    struct run *run;
    struct runner *runner;
    unsigned passes;
    size_t group;
    double (*values)[NB_EV_COUNT]; /* per thread */
    bool *counted;
};

static void count_part(void *context, unsigned part, unsigned parts)
{
    struct count *c = context;
    struct nb_counters *set;
    (void)parts;
    c->counted[part] = false;
    if (nb_counters_open(c->group, &set) != NB_OK)
        return;
    nb_execute_part(&c->runner->exec, part, c->passes);
    c->counted[part] = nb_counters_close(set, c->values[part]) == NB_OK;
}

/* One event group over the passes of a sample (at least 1 ms), summed over threads. */
static void count_group(struct count *c, size_t group, double sums[NB_EV_COUNT],
                        bool known[NB_EV_COUNT])
{
    const unsigned threads = c->run->unit->cell->threads;
    c->group = group;
    memset(c->values, 0, threads * sizeof *c->values);
    c->runner->exec.next_window = c->run->window;
    nb_on_threads(threads, count_part, c);
    rotate(c->run, c->passes);
    bool all = true;
    for (unsigned t = 0; t < threads; t++)
        all = all && c->counted[t];
    for (int e = 0; all && e < NB_EV_COUNT; e++) {
        if (!nb_counters_in_group(group, (enum nb_event)e))
            continue;
        known[e] = true;
        for (unsigned t = 0; t < threads; t++)
            sums[e] += c->values[t][e];
    }
}

static void count_kernel(struct run *u, struct runner *r, const struct nb_member *m, size_t group)
{
    const struct nb_unit *unit = u->unit;
    const unsigned threads = unit->cell->threads;
    struct count c = {.run = u, .runner = r, .passes = m->passes};
    double sums[NB_EV_COUNT] = {0};
    bool known[NB_EV_COUNT] = {false};
    c.values = calloc(threads, sizeof *c.values);
    c.counted = calloc(threads, sizeof *c.counted);
    NB_ASSERT(c.values != NULL && c.counted != NULL);
    u->env->at(u->env->context, m->kernel->name);
    const uint64_t since = u->walked;
    run_passes(u, r, 1);
    const uint64_t ticks = nb_cpu_ticks();
    const uint64_t ns = run_passes(u, r, m->passes);
    const uint64_t ref_cycles = nb_cpu_ticks() - ticks;
    for (size_t g = 0; g < nb_counters_groups(); g++)
        count_group(&c, g, sums, known);
    look_after(u, r, since);
    json_t *events = json_object();
    for (int e = 0; e < NB_EV_COUNT; e++)
        json_object_set_new(events, nb_event_name((enum nb_event)e),
                            known[e] ? json_real(sums[e]) : json_null());
    u->env->emit(u->env->context,
                 json_pack("{ss si ss si si ss si sI so ss so}", "type", "counters", "process",
                           (int)unit->process, "cell", unit->cell->id, "attempt",
                           (int)unit->attempt, "group", (int)group, "kernel", m->kernel->name,
                           "passes", (int)m->passes, "ns", (json_int_t)ns, "ref_cycles",
                           ticks ? json_integer((json_int_t)ref_cycles) : json_null(), "bands",
                           nb_counters_bands() ? "hold" : "off", "events", events));
    free(c.values);
    free(c.counted);
}

static void count_all(struct run *u)
{
    const struct nb_cell *c = u->unit->cell;
    for (size_t g = 0; g < c->group_count; g++)
        for (size_t m = 0; m < c->groups[g].count; m++) {
            const struct nb_member *mem = &c->groups[g].members[m];
            struct runner *r = runner_of(u, mem->kernel);
            const bool again = mem->role >= NB_ROLE_AA || (mem->role == NB_ROLE_ANCHOR && g > 0) ||
                               c->groups[g].measure_only;
            if (r != NULL && r->trusted && !again)
                count_kernel(u, r, mem, g);
        }
}

/* ---- the unit ---- */

/* Whether memory is still as it should be (at the last window that was timed and at a seeded one of
 * those), and every kernel still computes what was checked: a pass of each over cleared output, where the
 * rotation stands, names who does not. Before the samples it was a seeded window. found: kernels mistrusted before the samples. */
static bool still_sound(struct run *u, size_t found)
{
    const size_t last = window_before(u, 1);
    const size_t n = windows_walked(u, u->walked);
    const size_t other = window_before(u, 1 + seeded(u) % (n > 0 ? n : 1));
    const bool memory = intact(u, last) && intact(u, other);
    verify_all(u, last);
    const bool sound = memory && json_array_size(u->mistrusted) == found;
    const bool innocent = !sound && json_array_size(u->mistrusted) == found;
    snprintf(suspect, sizeof suspect, "%s", innocent ? u->unit->cell->id : "");
    if (!sound)
        forget_arena();
    return sound;
}

static void emit_end(struct run *u, bool sound, double wall_ns)
{
    const struct nb_unit *unit = u->unit;
    json_t *line =
        json_pack("{ss si ss si sO sf sf sf sf sf}", "type", sound ? "done" : "discard", "process",
                  (int)unit->process, "cell", unit->cell->id, "attempt", (int)unit->attempt,
                  "mistrusted", u->mistrusted, "setup_ms", u->setup_ns / 1e6, "warm_ms",
                  u->warm_ns / 1e6, "timed_ms", u->timed_ns / 1e6, "wall_ms", wall_ns / 1e6, "barrier_ns",
                  nb_barrier_ns(unit->cell->threads));
    if (!sound) {
        json_object_set_new(line, "cause", json_string("memory"));
        json_object_set_new(line, "reason",
                            json_string("memory or a kernel's output changed during the unit"));
    }
    json_object_set(line, "conditions", u->conditions);
    json_object_set_new(line, "repeated_samples", json_integer((json_int_t)u->repeated));
    const double huge = nb_buffer_huge_bytes();
    json_object_set_new(line, "huge_kib", huge < 0 ? json_null() : json_integer((json_int_t)(huge / 1024)));
    json_object_set_new(line, "flushes_subnormals", json_boolean(nb_cpu_flushes_subnormals()));
    u->env->emit(u->env->context, line);
}

/* Adds the time since *mark to a sum and moves the mark. */
static void lap(uint64_t *mark, double *sum)
{
    const uint64_t now = nb_now_ns();
    *sum += (double)(now - *mark);
    *mark = now;
}

static void warm_first(struct run *u)
{
    for (size_t i = 0; i < u->unit->cell->kernel_count; i++)
        if (u->runners[i].exec.kernel != NULL && u->runners[i].trusted) {
            warm_up(u, &u->runners[i]);
            look_after(u, &u->runners[i], 0);
            return;
        }
}

/* All that is timed, watched: from behind the warm-up, when the clock has risen, to before what is counted. */
static enum nb_status run_groups(struct run *u, struct nb_err *err)
{
    const struct nb_cell *c = u->unit->cell;
    enum nb_status s = NB_OK;
    nb_conditions_begin(&u->watch, nb_execute_topology(), c->threads);
    for (size_t g = 0; s == NB_OK && g < c->group_count; g++)
        if (!(u->unit->screening && c->groups[g].measure_only)) {
            s = run_group(u, g, err);
            look_for_migrations(u);
        }
    u->conditions = nb_conditions_for_test(nb_conditions_end(&u->watch, u->migrations));
    NB_ASSERT(u->conditions != NULL);
    return s;
}

enum nb_status nb_measure_unit(const struct nb_worker_env *env, const struct nb_unit *unit,
                               struct nb_err *err)
{
    struct run u;
    const uint64_t start = nb_now_ns();
    uint64_t mark = start;
    enum nb_status s = setup(&u, env, unit, err);
    lap(&mark, &u.setup_ns);
    const size_t found = json_array_size(u.mistrusted);
    if (s == NB_OK) {
        warm_first(&u);
        lap(&mark, &u.warm_ns);
        s = run_groups(&u, err);
    }
    if (s == NB_OK) {
        mark = nb_now_ns();
        if (unit->counters)
            count_all(&u);
        lap(&mark, &u.warm_ns);
        const bool sound = still_sound(&u, found);
        end_executions(&u);
        lap(&mark, &u.setup_ns);
        emit_end(&u, sound, (double)(mark - start));
    }
    teardown(&u);
    return s;
}

/* Least of three samples of at least 0.2 ms (one pass where that is longer), after one pass. */
static double calibrate_one(struct run *u, struct runner *r)
{
    double best = INFINITY;
    unsigned passes = 1;
    u->env->at(u->env->context, r->exec.kernel->name);
    run_passes(u, r, 1);
    while (passes < 1u << 20 && (double)run_passes(u, r, passes) < 1e5)
        passes *= 2;
    for (int i = 0; i < 3; i++)
        best = fmin(best, (double)run_passes(u, r, passes) / passes);
    return best > 1 ? best : 1;
}

enum nb_status nb_measure_calibrate(const struct nb_worker_env *env, const struct nb_unit *unit,
                                    struct nb_err *err)
{
    struct run u;
    uint64_t mark = nb_now_ns();
    enum nb_status s = setup(&u, env, unit, err);
    lap(&mark, &u.setup_ns);
    if (s == NB_OK) {
        json_t *ns = json_object();
        for (size_t i = 0; i < unit->cell->kernel_count; i++)
            if (u.runners[i].exec.kernel != NULL && u.runners[i].trusted)
                json_object_set_new(ns, unit->cell->kernels[i]->name,
                                    json_real(calibrate_one(&u, &u.runners[i])));
        end_executions(&u);
        env->emit(env->context, json_pack("{ss ss so sO sf}", "type", "calibration", "cell",
                                          unit->cell->id, "pass_ns", ns, "mistrusted", u.mistrusted,
                                          "setup_ns", u.setup_ns));
    }
    teardown(&u);
    return s;
}
