#include "call.h"

#include "err.h"

#include <stdlib.h>
#include <string.h>

const struct nb_kernel *nb_call_find(uint32_t op, uint32_t dir, uint32_t fuse, const char *algo, uint32_t dtype, const char *isa)
{
    const struct nb_kernel *best = NULL;
    int best_rank = -1;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        const struct nb_isa *of = nb_isa_find(k->isa);
        if (k->op != op || k->dir != dir || k->fuse != fuse || k->dtype != dtype || strcmp(k->algo, algo) != 0 ||
            k->trick[0] != '\0' || of == NULL || nb_kernel_origin(k) != NB_OURS || nb_kernel_why_not(k) != NULL)
            continue;
        if (isa[0] != '\0' ? strcmp(k->isa, isa) == 0 : of->rank > best_rank) {
            best = k;
            best_rank = of->rank;
        }
    }
    return best;
}

bool nb_call(const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args)
{
    struct nb_args a = *args;
    if (k->supports != NULL && k->supports(p) != NULL)
        return false;
    const size_t want = k->scratch_bytes != NULL ? k->scratch_bytes(p, 1) : 0, bytes = (want + 63) / 64 * 64;
    a.size = sizeof a;
    a.part = 0;
    a.parts = 1;
    a.scratch_step = bytes;
    a.scratch = bytes > 0 ? aligned_alloc(64, bytes) : NULL;
    NB_ASSERT(bytes == 0 || a.scratch != NULL);
    void *own = k->prepare != NULL ? k->prepare(p, &a) : NULL;
    const void *state = k->prepare != NULL ? own : p;
    if (state != NULL)
        k->run(state, &a);
    if (state != NULL && k->reduce != NULL)
        k->reduce(state, &a);
    if (k->finish != NULL && own != NULL)
        k->finish(own);
    free(a.scratch);
    return state != NULL;
}

struct nb_problem nb_call_problem(const struct nb_kernel *k, size_t rows, size_t hidden, double eps)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem), .op = k->op, .dir = k->dir, .fuse = k->fuse, .dtype = k->dtype,
                               .param_dtype = k->dtype, .rows = rows, .hidden = hidden, .ldx = hidden, .ldy = hidden, .eps = eps,
                               .alpha = nb_op_facts(k->op)->alpha};
}
