/* inspect.c: reads the object files of the kernel units and writes what code.h describes
 * as a C table. A program of the build:
 *
 *   nb_inspect TABLE OBJDUMP OBJECT...
 *
 * Where objdump is missing or does not know the code, the table says so and the build
 * goes on. */
#include "loops.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A function, and where its calls lead: indexes into the same array. */
struct routine {
    const struct nb_function *function;
    const struct nb_section *section;
    size_t first, last;
    struct nb_loops loops;
    size_t *calls, call_count;
    bool loops_inside; /* it, or something it calls, has a loop */
    bool seen;         /* of the kernel in hand */
    bool written;
};

struct unit {
    struct nb_object object;
    struct routine *routines;
    size_t count;
    size_t number;
};

/* ---- calls ---- */

static size_t routine_at(const struct unit *u, const struct nb_section *s, uint64_t at)
{
    for (size_t i = 0; i < u->count; i++)
        if (u->routines[i].section == s && u->routines[i].function->start == at)
            return i;
    return u->count;
}

/* Calls, and jumps that leave the function for the beginning of another. */
static size_t called(const struct unit *u, const struct routine *r,
                     const struct nb_instruction *in)
{
    const uint64_t start = r->function->start, end = start + r->function->size;
    const bool jump = in->flow == NB_FLOW_JUMP || in->flow == NB_FLOW_BRANCH;
    if (in->target == NB_NOWHERE || (in->flow != NB_FLOW_CALL && !jump) ||
        (jump && in->target >= start && in->target < end))
        return u->count;
    return routine_at(u, r->section, in->target);
}

static bool is_known(const struct routine *r, size_t call)
{
    for (size_t i = 0; i < r->call_count; i++)
        if (r->calls[i] == call)
            return true;
    return false;
}

static void find_calls(struct unit *u, struct routine *r)
{
    r->calls = calloc(u->count + 1, sizeof *r->calls);
    if (r->calls == NULL)
        abort();
    for (size_t i = r->first; i < r->last; i++) {
        const size_t to = called(u, r, &r->section->code[i]);
        if (to < u->count && !is_known(r, to))
            r->calls[r->call_count++] = to;
    }
}

/* From what loops itself to all that call it. */
static void spread_loops(struct unit *u)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < u->count; i++)
            for (size_t c = 0;
                 c < u->routines[i].call_count && !u->routines[i].loops_inside; c++)
                if (u->routines[u->routines[i].calls[c]].loops_inside)
                    u->routines[i].loops_inside = more = true;
    }
}

static bool calls_a_loop(const struct unit *u, const struct routine *r,
                         const struct nb_loop *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const size_t to = called(u, r, &r->section->code[l->members[i]]);
        if (to < u->count && u->routines[to].loops_inside)
            return true;
    }
    return false;
}

/* Bytes a turn; of equals the one with more instructions. */
static int by_weight(const void *a, const void *b)
{
    const struct nb_code_loop *x = &((const struct nb_loop *)a)->facts;
    const struct nb_code_loop *y = &((const struct nb_loop *)b)->facts;
    const uint32_t bx = x->loaded + x->stored, by = y->loaded + y->stored;
    if (bx != by)
        return bx < by ? 1 : -1;
    return x->instructions < y->instructions   ? 1
           : x->instructions > y->instructions ? -1
                                               : 0;
}

/* Loops around a call of something that loops are no inner ones. */
static void keep_inner(const struct unit *u, struct routine *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->loops.count; i++)
        if (calls_a_loop(u, r, &r->loops.inner[i]))
            free(r->loops.inner[i].members);
        else
            r->loops.inner[kept++] = r->loops.inner[i];
    r->loops.count = kept;
    if (kept > 1)
        qsort(r->loops.inner, kept, sizeof *r->loops.inner, by_weight);
}

static void make_routines(struct unit *u)
{
    const struct nb_object *o = &u->object;
    u->routines = calloc(o->function_count + 1, sizeof *u->routines);
    if (u->routines == NULL)
        abort();
    for (size_t i = 0; i < o->function_count; i++) {
        struct routine *r = &u->routines[u->count];
        r->function = &o->functions[i];
        r->section = nb_object_section(o, r->function->section);
        if (r->section == NULL)
            continue;
        r->first = nb_section_find(r->section, r->function->start);
        r->last = nb_section_find(r->section, r->function->start + r->function->size);
        nb_loops_find(&r->loops, r->section, r->function);
        r->loops_inside = r->loops.any;
        u->count++;
    }
    for (size_t i = 0; i < u->count; i++)
        find_calls(u, &u->routines[i]);
    spread_loops(u);
    for (size_t i = 0; i < u->count; i++)
        keep_inner(u, &u->routines[i]);
}

static void free_unit(struct unit *u)
{
    for (size_t i = 0; i < u->count; i++) {
        nb_loops_free(&u->routines[i].loops);
        free(u->routines[i].calls);
    }
    free(u->routines);
    nb_object_free(&u->object);
}

/* ---- the table ---- */

static uint32_t widest(const struct nb_loops *l)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < l->count; i++)
        if (l->inner[i].facts.vector_bits > bits)
            bits = l->inner[i].facts.vector_bits;
    return bits;
}

static void write_function(FILE *out, const struct unit *u, size_t i)
{
    const struct routine *r = &u->routines[i];
    fprintf(out, "static const struct nb_code_loop loops_%zu_%zu[] = {\n", u->number, i);
    for (size_t k = 0; k < r->loops.count; k++) {
        const struct nb_code_loop *l = &r->loops.inner[k].facts;
        fprintf(out, "    {%u, %u, %u, %u},\n", l->instructions, l->vector_bits,
                l->loaded, l->stored);
    }
    fprintf(out,
            "};\nstatic const struct nb_code_function function_%zu_%zu = {\"%s\", %u, "
            "%u, %zu, loops_%zu_%zu};\n",
            u->number, i, r->function->name, (unsigned)r->function->size,
            widest(&r->loops), r->loops.count, u->number, i);
}

/* What a kernel runs through. */
struct reach {
    size_t *routines, count; /* with inner loops */
    uint64_t bytes;
    uint32_t vector_bits;
    bool unknown;
};

static void follow(struct unit *u, size_t i, struct reach *t)
{
    struct routine *r = &u->routines[i];
    if (r->seen)
        return;
    r->seen = true;
    t->bytes += r->function->size;
    t->unknown = t->unknown || r->loops.unknown;
    if (widest(&r->loops) > t->vector_bits)
        t->vector_bits = widest(&r->loops);
    if (r->loops.count > 0)
        t->routines[t->count++] = i;
    for (size_t c = 0; c < r->call_count; c++)
        follow(u, r->calls[c], t);
}

/* <op>_<dir>_...__<dtype>_<isa>...: what a table of kernels can point to. Parts that a
 * compiler split off have a point in their name. */
static bool is_kernel(const char *name)
{
    return (strstr(name, "_fwd_") || strstr(name, "_bwd_")) && strstr(name, "__") &&
           !strchr(name, '.');
}

static void write_kernel(FILE *out, FILE *index, struct unit *u, size_t i)
{
    struct reach t = {.routines = calloc(u->count + 1, sizeof(size_t))};
    if (t.routines == NULL)
        abort();
    for (size_t k = 0; k < u->count; k++)
        u->routines[k].seen = false;
    follow(u, i, &t);
    const char *name = u->routines[i].function->name;
    if (t.unknown) /* not a guess */
        fprintf(stderr, "inspect: objdump does not know every instruction of %s\n", name);
    else {
        for (size_t k = 0; k < t.count; k++)
            if (!u->routines[t.routines[k]].written) {
                write_function(out, u, t.routines[k]);
                u->routines[t.routines[k]].written = true;
            }
        fprintf(out, "static const struct nb_code_function *const kernel_%zu_%zu[] = {",
                u->number, i);
        for (size_t k = 0; k < t.count; k++)
            fprintf(out, "&function_%zu_%zu, ", u->number, t.routines[k]);
        fprintf(out, "NULL};\n");
        fprintf(index, "    {\"%s\", %u, %u, %zu, kernel_%zu_%zu},\n", name,
                t.vector_bits, (unsigned)t.bytes, t.count, u->number, i);
    }
    free(t.routines);
}

static void write_unit(FILE *out, FILE *index, struct unit *u)
{
    for (size_t i = 0; i < u->count; i++)
        if (is_kernel(u->routines[i].function->name))
            write_kernel(out, index, u, i);
}

/* ---- objdump ---- */

static FILE *start_objdump(const char *objdump, const char *object, pid_t *child)
{
    int ends[2];
    if (pipe(ends) != 0)
        return NULL;
    *child = fork();
    if (*child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("LC_ALL", "C", 1);
        execlp(objdump, objdump, "-tdrw", "--no-show-raw-insn", "-M", "intel", object,
               (char *)NULL);
        fprintf(stderr, "inspect: %s: %s\n", objdump, strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    return *child < 0 ? NULL : fdopen(ends[0], "r");
}

/* False: objdump failed, or printed another text than GNU's. */
static bool read_object(struct unit *u, const char *objdump, const char *object)
{
    pid_t child;
    int state = -1;
    FILE *text = start_objdump(objdump, object, &child);
    if (text == NULL)
        return false;
    const bool fine = nb_object_read(&u->object, text);
    fclose(text);
    return waitpid(child, &state, 0) == child && state == 0 && fine;
}

/* The table of all units; false: nothing can be said, and *why says why. */
static bool inspect(FILE *out, FILE *index, const char *objdump, char **objects,
                    int count)
{
    for (int i = 0; i < count; i++) {
        struct unit u = {.number = (size_t)i};
        const bool fine = read_object(&u, objdump, objects[i]);
        if (fine) {
            make_routines(&u);
            write_unit(out, index, &u);
        } else
            fprintf(stderr, "inspect: %s cannot disassemble %s\n", objdump, objects[i]);
        free_unit(&u);
        if (!fine)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    char *kernels = NULL, *functions = NULL;
    size_t length = 0, functions_length = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: nb_inspect TABLE OBJDUMP OBJECT...\n");
        return 1;
    }
    FILE *out = fopen(argv[1], "w"), *index = open_memstream(&kernels, &length);
    FILE *body = open_memstream(&functions, &functions_length);
    if (out == NULL || index == NULL || body == NULL) {
        fprintf(stderr, "inspect: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    const bool fine = inspect(body, index, argv[2], argv + 3, argc - 3);
    fclose(body);
    fclose(index);
    fprintf(out, "/* Written by inspect.c from the kernels' object files. */\n%s",
            fine ? functions : "");
    fprintf(out, "static const char why_not[] = \"%s\";\n",
            fine ? ""
                 : "GNU objdump could not disassemble the kernels when this program was "
                   "built");
    fprintf(out,
            "static const struct nb_code codes[] = {\n%s    {NULL, 0, 0, 0, NULL},\n};\n",
            fine ? kernels : "");
    free(kernels);
    free(functions);
    return fclose(out) == 0 ? 0 : 1;
}
