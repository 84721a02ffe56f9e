/* loops.h: the inner loops of one function (code.h says what that is). */
#ifndef NB_LOOPS_H
#define NB_LOOPS_H

#include "code.h"
#include "disassembly.h"

/* A natural loop of a function: every instruction of it, by its index in the section. */
struct nb_loop {
    struct nb_code_loop facts;
    size_t *members;
    size_t count;
};

struct nb_loops {
    struct nb_loop *inner; /* loops that hold no other loop */
    size_t count;
    bool any;     /* the function has loops */
    bool unknown; /* objdump did not know one of its instructions */
};

void nb_loops_find(struct nb_loops *l, const struct nb_section *s,
                   const struct nb_function *f);
void nb_loops_free(struct nb_loops *l);

#endif
