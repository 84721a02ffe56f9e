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

const struct nb_kernel *nb_call_plain(uint32_t op, uint32_t dtype)
{
    const bool centres = op == NB_OP_LAYERNORM || op == NB_OP_BATCHNORM;
    return nb_call_find(op, NB_FWD, NB_FUSE_NONE, centres ? "twopass" : "onepass", dtype, "");
}

bool nb_prepare(struct nb_prepared *c, const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args)
{
    *c = (struct nb_prepared){.kernel = k, .problem = *p, .args = *args};
    if (k->supports != NULL && k->supports(p) != NULL)
        return false;
    const size_t want = k->scratch_bytes != NULL ? k->scratch_bytes(p, 1) : 0, bytes = (want + 63) / 64 * 64;
    c->args.size = sizeof c->args;
    c->args.part = 0;
    c->args.parts = 1;
    c->args.scratch_step = bytes;
    c->args.scratch = bytes > 0 ? aligned_alloc(64, bytes) : NULL;
    NB_ASSERT(bytes == 0 || c->args.scratch != NULL);
    c->own = k->prepare != NULL ? k->prepare(p, &c->args) : NULL;
    c->state = k->prepare != NULL ? c->own : &c->problem;
    return c->state != NULL;
}

void nb_prepared_run(const struct nb_prepared *c)
{
    c->kernel->run(c->state, &c->args);
    if (c->kernel->reduce != NULL)
        c->kernel->reduce(c->state, &c->args);
}

void nb_prepared_finish(struct nb_prepared *c)
{
    if (c->own != NULL && c->kernel->finish != NULL)
        c->kernel->finish(c->own);
    free(c->args.scratch);
    *c = (struct nb_prepared){0};
}

bool nb_call(const struct nb_kernel *k, const struct nb_problem *p, const struct nb_args *args)
{
    struct nb_prepared c;
    const bool can = nb_prepare(&c, k, p, args);
    if (can)
        nb_prepared_run(&c);
    nb_prepared_finish(&c);
    return can;
}

struct nb_problem nb_call_problem(const struct nb_kernel *k, size_t rows, size_t hidden, double eps)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem), .op = k->op, .dir = k->dir, .fuse = k->fuse, .dtype = k->dtype,
                               .param_dtype = k->dtype, .rows = rows, .hidden = hidden, .ldx = hidden, .ldy = hidden, .eps = eps,
                               .alpha = nb_op_facts(k->op)->alpha};
}
