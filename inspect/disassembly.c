#include "disassembly.h"

#include <stdlib.h>
#include <string.h>

/* An array that has to hold one more. */
static void *grown(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    void *more = realloc(array, *room * size);
    if (more == NULL)
        abort();
    return more;
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
    const size_t n = strlen(text), m = strlen(with);
    return n >= m && strcmp(text + n - m, with) == 0;
}

/* ---- one instruction ---- */

/* Packed arithmetic: what scalar code has no use for, unlike moves, logic and shuffles of
 * xmm registers. */
static bool computes_packed(const char *mnemonic)
{
    static const char *const floating[] = {"add", "sub", "mul", "div", "sqrt", "min",
                                           "max", "fm",  "fnm", "dp",  "rcp",  "rsqrt"};
    static const char *const integer[] = {"padd",  "psub",   "pmul",
                                          "pmadd", "pmovzx", "pmovsx"};
    const char *m = mnemonic + (mnemonic[0] == 'v');
    for (size_t i = 0; i < sizeof integer / sizeof *integer; i++)
        if (starts(m, integer[i]))
            return true;
    if (!ends(m, "ps") && !ends(m, "pd") && !ends(m, "ph"))
        return false;
    for (size_t i = 0; i < sizeof floating / sizeof *floating; i++)
        if (starts(m, floating[i]))
            return true;
    return false;
}

/* Bytes of the memory operand that begins at text, 0 where it is none. */
static uint32_t operand_bytes(const char *text)
{
    static const struct {
        const char *word;
        uint32_t bytes;
    } sizes[] = {{"BYTE ", 1},     {"WORD ", 2},     {"DWORD ", 4},   {"QWORD ", 8},
                 {"XMMWORD ", 16}, {"YMMWORD ", 32}, {"ZMMWORD ", 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (starts(text, sizes[i].word))
            return sizes[i].bytes;
    return 0;
}

/* Data: neither a constant nor the stack. */
static bool is_data(const char *operand, bool frame)
{
    const char *address = strchr(operand, '[');
    if (address == NULL || strstr(operand, "fs:") || strstr(operand, "gs:"))
        return false;
    return !starts(address, "[rip") && !starts(address, "[rsp") &&
           !(frame && starts(address, "[rbp"));
}

/* Its memory operand, if there is one: the first is written, but by what compares; any
 * other is read. */
static void take_memory(struct nb_instruction *in, const char *mnemonic,
                        const char *operands, bool frame)
{
    static const char *const neither[] = {"lea", "nop",  "prefetch", "call",
                                          "jmp", "push", "pop"};
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
        if (starts(mnemonic, neither[i]))
            return;
    const char *operand = operands;
    bool first = true;
    while (operand_bytes(operand) == 0) {
        if ((operand = strchr(operand, ',')) == NULL)
            return;
        operand++;
        first = false;
    }
    if (!is_data(operand, frame))
        return;
    const uint32_t bytes = operand_bytes(operand);
    if (first && !starts(mnemonic, "cmp") && !starts(mnemonic, "test"))
        in->stored = bytes;
    else
        in->loaded = bytes;
    if (bytes == 16)
        in->vector_bits = 128;
}

static void take_registers(struct nb_instruction *in, const char *mnemonic,
                           const char *operands)
{
    if (strstr(operands, "zmm"))
        in->vector_bits = 512;
    else if (strstr(operands, "ymm"))
        in->vector_bits = 256;
    else if (strstr(operands, "xmm") && computes_packed(mnemonic))
        in->vector_bits = 128;
}

/* Of a jump it is not known yet whether it is direct. */
static enum nb_flow flow_of(const char *mnemonic)
{
    if (starts(mnemonic, "call"))
        return NB_FLOW_CALL;
    if (starts(mnemonic, "jmp"))
        return NB_FLOW_UNKNOWN;
    if (mnemonic[0] == 'j' || starts(mnemonic, "loop"))
        return NB_FLOW_BRANCH;
    return starts(mnemonic, "ret") || starts(mnemonic, "ud2") || starts(mnemonic, "hlt")
               ? NB_FLOW_END
               : NB_FLOW_ON;
}

/* Calls of a sanitizer's or the C library's last word. */
static bool never_returns(const char *symbol)
{
    return starts(symbol, "__asan_report") || ends(symbol, "abort") ||
           ends(symbol, "_fail");
}

/* "R_X86_64_PLT32\tname-0x4": the name, cut off in place; NULL where there is no
 * relocation. */
static char *relocated(char *line)
{
    char *name = strstr(line, "R_X86_64_");
    if (name == NULL || (name = strchr(name, '\t')) == NULL)
        return NULL;
    name++;
    name[strcspn(name, "-+\n")] = '\0';
    return name;
}

static const struct nb_function *named(const struct nb_object *o, const char *name)
{
    for (size_t i = 0; i < o->function_count; i++)
        if (strcmp(o->functions[i].name, name) == 0)
            return &o->functions[i];
    return NULL;
}

/* Where it goes. With a relocation the number printed means nothing; the symbol does, if
 * it is one of this object and this section. */
static void take_target(struct nb_instruction *in, const struct nb_object *o,
                        const char *section, const char *operands, const char *symbol)
{
    char *end;
    const uint64_t to = strtoull(operands, &end, 16);
    const bool direct = end != operands && (*end == ' ' || *end == '\0' || *end == '\n');
    if (in->flow == NB_FLOW_UNKNOWN && direct)
        in->flow = NB_FLOW_JUMP;
    in->target = direct ? to : NB_NOWHERE;
    if (symbol == NULL)
        return;
    const struct nb_function *f = named(o, symbol);
    in->target = f != NULL && strcmp(f->section, section) == 0 ? f->start : NB_NOWHERE;
    if (in->flow == NB_FLOW_CALL && never_returns(symbol))
        in->flow = NB_FLOW_END;
}

static char *past_prefixes(char *text)
{
    static const char *const prefixes[] = {"notrack ", "bnd ",  "data16 ", "cs ",
                                           "rep ",     "repz ", "lock "};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes;)
        if (starts(text, prefixes[i])) {
            text += strlen(prefixes[i]);
            text += strspn(text, " ");
            i = 0;
        } else
            i++;
    return text;
}

/* "  5c80:\tmov    r8,rdi": frame says that rbp points to the stack. */
static void take_instruction(struct nb_object *o, struct nb_section *s, char *line,
                             bool *frame)
{
    char *end, mnemonic[32] = "";
    struct nb_instruction in = {.at = strtoull(line, &end, 16), .target = NB_NOWHERE};
    if (end == line || *end != ':' || end[1] != '\t')
        return;
    char *text = end + 2, *rest = strchr(text, '\t'), *note = strchr(text, '#');
    const char *symbol = rest ? relocated(rest) : NULL;
    if (rest != NULL)
        *rest = '\0';
    if (note != NULL)
        *note = '\0';
    text = past_prefixes(text);
    sscanf(text, "%31s", mnemonic);
    const char *operands = text + strlen(mnemonic);
    operands += strspn(operands, " ");
    in.unknown = strstr(text, "(bad)") != NULL;
    in.pads = starts(mnemonic, "nop") || strcmp(operands, "ax,ax") == 0;
    in.flow = flow_of(mnemonic);
    *frame = *frame || (strcmp(mnemonic, "mov") == 0 && starts(operands, "rbp,rsp"));
    take_memory(&in, mnemonic, operands, *frame);
    take_registers(&in, mnemonic, operands);
    if (in.flow != NB_FLOW_ON && in.flow != NB_FLOW_END)
        take_target(&in, o, s->name, operands, symbol);
    s->code = grown(s->code, s->count, &s->room, sizeof *s->code);
    s->code[s->count++] = in;
}

/* ---- the whole text ---- */

/* "0000000000005c80 l     F .text\t00000000000002c6 name" */
static void take_symbol(struct nb_object *o, const char *line, size_t *room)
{
    struct nb_function f = {0};
    unsigned long long start, size;
    const char *kind = strstr(line, " F "), *tab = strchr(line, '\t');
    if (kind == NULL || tab == NULL || kind > tab || sscanf(line, "%llx", &start) != 1 ||
        sscanf(kind + 3, "%31s", f.section) != 1)
        return;
    if (sscanf(tab + 1, "%llx %127s", &size, f.name) != 2 ||
        strcmp(f.section, "*UND*") == 0)
        return;
    f.start = start;
    f.size = size;
    o->functions = grown(o->functions, o->function_count, room, sizeof f);
    o->functions[o->function_count++] = f;
}

static struct nb_section *new_section(struct nb_object *o, const char *line, size_t *room)
{
    struct nb_section s = {0};
    sscanf(line, "%31[^:\n]", s.name);
    o->sections = grown(o->sections, o->section_count, room, sizeof s);
    o->sections[o->section_count] = s;
    return &o->sections[o->section_count++];
}

/* Every function's first instruction was understood. */
static bool is_whole(const struct nb_object *o)
{
    for (size_t i = 0; i < o->function_count; i++) {
        const struct nb_function *f = &o->functions[i];
        const struct nb_section *s = nb_object_section(o, f->section);
        const size_t at = s != NULL ? nb_section_find(s, f->start) : 0;
        if (s == NULL || at == s->count || s->code[at].at != f->start)
            return false;
    }
    return o->function_count > 0;
}

bool nb_object_read(struct nb_object *o, FILE *text)
{
    static const char HEAD[] = "Disassembly of section ";
    char *line = NULL;
    size_t room = 0, sections = 0, functions = 0;
    struct nb_section *s = NULL;
    bool frame = false;
    *o = (struct nb_object){0};
    while (getline(&line, &room, text) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (starts(line, HEAD))
            s = new_section(o, line + sizeof HEAD - 1, &sections);
        else if (s == NULL)
            take_symbol(o, line, &functions);
        else if (ends(line, ">:"))
            frame = false;
        else
            take_instruction(o, s, line, &frame);
    }
    free(line);
    return is_whole(o);
}

void nb_object_free(struct nb_object *o)
{
    for (size_t i = 0; i < o->section_count; i++)
        free(o->sections[i].code);
    free(o->sections);
    free(o->functions);
    *o = (struct nb_object){0};
}

const struct nb_section *nb_object_section(const struct nb_object *o, const char *name)
{
    for (size_t i = 0; i < o->section_count; i++)
        if (strcmp(o->sections[i].name, name) == 0)
            return &o->sections[i];
    return NULL;
}

size_t nb_section_find(const struct nb_section *s, uint64_t at)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->code[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct nb_function *nb_object_function(const struct nb_object *o,
                                             const char *section, uint64_t at)
{
    for (size_t i = 0; i < o->function_count; i++)
        if (o->functions[i].start == at && strcmp(o->functions[i].section, section) == 0)
            return &o->functions[i];
    return NULL;
}
