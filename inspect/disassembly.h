/* disassembly.h: the text that `objdump -tdrw --no-show-raw-insn -M intel` prints of an
 * x86-64 object file, as instructions and functions. */
#ifndef NB_DISASSEMBLY_H
#define NB_DISASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum nb_flow {
    NB_FLOW_ON,      /* to the next instruction */
    NB_FLOW_BRANCH,  /* to the next one or to target */
    NB_FLOW_JUMP,    /* to target */
    NB_FLOW_CALL,    /* to target and back */
    NB_FLOW_UNKNOWN, /* an indirect jump */
    NB_FLOW_END      /* ret, a trap, a call that never returns */
};

enum { NB_NAME = 128, NB_SECTION = 32 };
#define NB_NOWHERE UINT64_MAX

struct nb_instruction {
    uint64_t at, target; /* target NB_NOWHERE: outside the object, or none */
    enum nb_flow flow;
    uint32_t vector_bits, loaded, stored; /* code.h */
    bool pads;                            /* a nop */
    bool unknown;                         /* objdump does not know it */
};

struct nb_section {
    char name[NB_SECTION];
    struct nb_instruction *code;
    size_t count, room;
};

/* Several functions may be one piece of code. */
struct nb_function {
    char name[NB_NAME];
    char section[NB_SECTION];
    uint64_t start, size;
};

struct nb_object {
    struct nb_section *sections;
    size_t section_count;
    struct nb_function *functions;
    size_t function_count;
};

/* False: the text holds no function, or one without its first instruction: another tool's
 * text. */
bool nb_object_read(struct nb_object *o, FILE *text);
void nb_object_free(struct nb_object *o);

/* Of the section, from the first instruction at or after an address. */
const struct nb_section *nb_object_section(const struct nb_object *o, const char *name);
size_t nb_section_find(const struct nb_section *s, uint64_t at);
/* The function that begins there; NULL: none does. */
const struct nb_function *nb_object_function(const struct nb_object *o,
                                             const char *section, uint64_t at);

#endif
