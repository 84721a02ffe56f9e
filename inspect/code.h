/* code.h: what the compiler made of each kernel of the program, read from its object file
 * when the program is built (inspect.c). Not what the source asks for: what the CPU is
 * given.
 *
 * Inner loop  a natural loop (a branch to a block through which every path to that branch
 * leads, and all blocks on the way back to it) that holds no other loop and calls nothing
 * that loops Vector      zmm and ymm registers by their width; xmm only where an
 * instruction computes on several elements or moves 16 bytes of data: scalar code sits in
 * xmm registers, too Bytes       of memory operands that are neither constants (rip) nor
 * on the stack; a masked one counts whole */
#ifndef NB_CODE_H
#define NB_CODE_H

#include <stdint.h>

struct nb_code_loop {
    uint32_t instructions;   /* of one turn, all of its branches */
    uint32_t vector_bits;    /* widest vector register; 0: no vector instruction */
    uint32_t loaded, stored; /* bytes a turn */
};

struct nb_code_function {
    const char *name; /* symbol in the object file */
    uint32_t bytes;   /* of code */
    uint32_t vector_bits;
    uint32_t loop_count;
    const struct nb_code_loop
        *loops; /* inner loops, the one that moves the most bytes a turn first */
};

struct nb_code {
    const char *kernel;
    uint32_t vector_bits; /* widest of any inner loop */
    uint32_t bytes; /* of code: the kernel and everything it calls inside its unit */
    uint32_t function_count;
    /* those with inner loops, the kernel first, the others in the order in which they are
     * called */
    const struct nb_code_function *const *functions;
};

/* NULL: not known, and nb_code_why_not says why (a static string). */
const struct nb_code *nb_code_of(const char *kernel);
const char *nb_code_why_not(const char *kernel); /* NULL: known */

#endif
