#include "loops.h"

#include <stdlib.h>
#include <string.h>

/* A function as basic blocks. A natural loop is found where a branch goes to a block that
 * dominates it: one without which it cannot be reached. */
enum { NONE = -1 };

struct block {
    size_t from, to; /* instructions, the last one excluded */
    int next[2];     /* successors; NONE */
    bool entry;      /* the function's, or what only a table of addresses leads to */
    bool reached;
};

struct edge {
    int from, to;
};

struct graph {
    const struct nb_section *section;
    struct block *blocks;
    int count;
    struct edge *backward; /* edges to a block on the way to them */
    int backward_count;
};

static void *many(size_t count, size_t size)
{
    void *array = calloc(count + 1, size);
    if (array == NULL)
        abort();
    return array;
}

/* ---- blocks ---- */

static bool leaves(enum nb_flow flow)
{
    return flow == NB_FLOW_JUMP || flow == NB_FLOW_END || flow == NB_FLOW_UNKNOWN;
}

static bool goes(const struct nb_instruction *in)
{
    return (in->flow == NB_FLOW_BRANCH || in->flow == NB_FLOW_JUMP) &&
           in->target != NB_NOWHERE;
}

/* Where a branch goes inside [from, to); to: nowhere there. */
static size_t target_of(const struct nb_section *s, const struct nb_instruction *in,
                        size_t from, size_t to)
{
    const size_t t = goes(in) ? nb_section_find(s, in->target) : to;
    return t >= from && t < to ? t : to;
}

/* [i]: instruction from + i begins a block */
static bool *beginnings(const struct nb_section *s, size_t from, size_t to)
{
    bool *begins = many(to - from, sizeof *begins);
    begins[0] = true;
    for (size_t i = from; i < to; i++) {
        const struct nb_instruction *in = &s->code[i];
        begins[target_of(s, in, from, to) - from] = true;
        if (in->flow == NB_FLOW_BRANCH || leaves(in->flow))
            begins[i + 1 - from] = true;
    }
    return begins;
}

/* The block that an instruction belongs to. */
static int block_of(const struct graph *g, size_t instruction)
{
    int low = 0, high = g->count;
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        if (g->blocks[middle].from <= instruction)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void make_graph(struct graph *g, const struct nb_section *s, size_t from,
                       size_t to)
{
    bool *begins = beginnings(s, from, to);
    *g = (struct graph){.section = s};
    g->blocks = many(to - from, sizeof *g->blocks);
    for (size_t i = from; i < to; i++) {
        if (begins[i - from])
            g->blocks[g->count++] = (struct block){.from = i, .next = {NONE, NONE}};
        g->blocks[g->count - 1].to = i + 1;
    }
    free(begins);
    for (int b = 0; b < g->count; b++) {
        const struct nb_instruction *last = &s->code[g->blocks[b].to - 1];
        const size_t t = target_of(s, last, from, to);
        g->blocks[b].next[0] = leaves(last->flow) || b + 1 == g->count ? NONE : b + 1;
        g->blocks[b].next[1] = t < to ? block_of(g, t) : NONE;
    }
    g->backward = many(2 * (size_t)g->count, sizeof *g->backward);
}

/* ---- paths ---- */

/* What can be reached from root; keeps the edges that close a circle. way, turn [count]:
 * scratch. */
static void explore(struct graph *g, int root, int *way, unsigned char *turn)
{
    enum { DONE = 3 };
    int depth = 0;
    g->blocks[root].entry = g->blocks[root].reached = true;
    for (way[depth++] = root; depth > 0;) {
        const int b = way[depth - 1];
        if (turn[b] == 2) {
            turn[b] = DONE;
            depth--;
            continue;
        }
        const int next = g->blocks[b].next[turn[b]++];
        if (next == NONE)
            continue;
        if (!g->blocks[next].reached) {
            g->blocks[next].reached = true;
            way[depth++] = next;
        } else if (turn[next] != DONE)
            g->backward[g->backward_count++] = (struct edge){b, next};
    }
}

static bool only_pads(const struct graph *g, const struct block *b)
{
    for (size_t i = b->from; i < b->to; i++)
        if (!g->section->code[i].pads)
            return false;
    return true;
}

static bool jumps_by_table(const struct graph *g)
{
    for (int b = 0; b < g->count; b++)
        if (g->blocks[b].reached &&
            g->section->code[g->blocks[b].to - 1].flow == NB_FLOW_UNKNOWN)
            return true;
    return false;
}

static void explore_all(struct graph *g)
{
    int *way = many((size_t)g->count, sizeof *way);
    unsigned char *turn = many((size_t)g->count, 1);
    explore(g, 0, way, turn);
    if (jumps_by_table(g))
        for (int b = 0; b < g->count; b++)
            if (!g->blocks[b].reached && !only_pads(g, &g->blocks[b]))
                explore(g, b, way, turn);
    free(way);
    free(turn);
}

/* Every path from an entry to block b leads through h. */
static bool dominates(const struct graph *g, int h, int b)
{
    int *todo = many((size_t)g->count, sizeof *todo), n = 0;
    bool *seen = many((size_t)g->count, sizeof *seen);
    for (int e = 0; e < g->count; e++)
        if (g->blocks[e].entry && e != h) {
            seen[e] = true;
            todo[n++] = e;
        }
    while (n > 0) {
        const struct block *from = &g->blocks[todo[--n]];
        for (int k = 0; k < 2; k++) {
            const int next = from->next[k];
            if (next != NONE && next != h && !seen[next]) {
                seen[next] = true;
                todo[n++] = next;
            }
        }
    }
    const bool without = seen[b];
    free(todo);
    free(seen);
    return h == b || !without;
}

/* ---- loops ---- */

/* Grows the loop of a header by what leads to block b without passing the header. */
static void take_in(const struct graph *g, bool *in_loop, int header, int b)
{
    in_loop[header] = in_loop[b] = true;
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < g->count; i++)
            for (int k = 0; k < 2 && g->blocks[i].reached && !in_loop[i]; k++) {
                const int next = g->blocks[i].next[k];
                if (next != NONE && next != header && in_loop[next])
                    in_loop[i] = more = true;
            }
    }
}

/* loops[h]: blocks of the natural loop whose header is h, NULL where h heads none */
static bool **natural_loops(const struct graph *g)
{
    bool **loops = many((size_t)g->count, sizeof *loops);
    for (int e = 0; e < g->backward_count; e++) {
        const int b = g->backward[e].from, h = g->backward[e].to;
        if (!dominates(g, h, b))
            continue;
        if (loops[h] == NULL)
            loops[h] = many((size_t)g->count, sizeof **loops);
        take_in(g, loops[h], h, b);
    }
    return loops;
}

static bool holds_another(const struct graph *g, bool *const *loops, int header)
{
    for (int b = 0; b < g->count; b++)
        if (b != header && loops[b] != NULL && loops[header][b])
            return true;
    return false;
}

static void take_facts(struct nb_loop *l, const struct nb_section *s)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct nb_instruction *in = &s->code[l->members[i]];
        l->facts.instructions++;
        l->facts.loaded += in->loaded;
        l->facts.stored += in->stored;
        if (in->vector_bits > l->facts.vector_bits)
            l->facts.vector_bits = in->vector_bits;
    }
}

static struct nb_loop make_loop(const struct graph *g, const bool *in_loop)
{
    struct nb_loop l = {0};
    const struct block *last = &g->blocks[g->count - 1];
    l.members = many(last->to - g->blocks[0].from, sizeof *l.members);
    for (int b = 0; b < g->count; b++)
        for (size_t i = g->blocks[b].from; in_loop[b] && i < g->blocks[b].to; i++)
            l.members[l.count++] = i;
    take_facts(&l, g->section);
    return l;
}

void nb_loops_find(struct nb_loops *l, const struct nb_section *s,
                   const struct nb_function *f)
{
    const size_t from = nb_section_find(s, f->start),
                 to = nb_section_find(s, f->start + f->size);
    struct graph g;
    *l = (struct nb_loops){0};
    if (from == to)
        return;
    make_graph(&g, s, from, to);
    explore_all(&g);
    bool **loops = natural_loops(&g);
    l->inner = many((size_t)g.count, sizeof *l->inner);
    for (int h = 0; h < g.count; h++) {
        l->any = l->any || loops[h] != NULL;
        if (loops[h] != NULL && !holds_another(&g, loops, h))
            l->inner[l->count++] = make_loop(&g, loops[h]);
    }
    for (size_t i = from; i < to; i++)
        l->unknown = l->unknown || s->code[i].unknown;
    for (int h = 0; h < g.count; h++)
        free(loops[h]);
    free(loops);
    free(g.blocks);
    free(g.backward);
}

void nb_loops_free(struct nb_loops *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->inner[i].members);
    free(l->inner);
    *l = (struct nb_loops){0};
}
