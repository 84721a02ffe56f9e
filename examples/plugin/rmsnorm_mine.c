/* rmsnorm_mine.c: a kernel of one's own, in plain C, for `normbench --plugin ./rmsnorm_mine.so`.
 * Computes y = x * rstd * gamma + beta, rstd = 1/sqrt(mean(x^2) + eps), over rows of f32.
 * Error    a sum of squares in four independent partial sums: NB_BOUND_RMS, c(n) = n/4 + log2(4) + 2 */
#include <math.h>
#include <nb_kernel.h>

/* A reason, where this kernel cannot compute what is asked; it is then left out of that cell. */
static const char *supports(const struct nb_problem *p)
{
    if (p->param_dtype != NB_F32)
        return "gamma and beta must be f32";
    if (p->eps_mode != NB_EPS_INSIDE || p->gemma)
        return "eps inside the root and a plain gamma only";
    return NULL;
}

static float sum_of_squares(const float *x, size_t n)
{
    float s[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < n; i++)
        s[i % 4] += x[i] * x[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* Rows of slice part of parts. Without a prepare the state is the problem. */
static void run(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    const float *gamma = a->gamma, *beta = a->beta; /* NULL: ones, zeros */
    const size_t first = p->rows * a->part / a->parts, last = p->rows * (a->part + 1) / a->parts;
    for (size_t r = first; r < last; r++) {
        const float *x = (const float *)a->x + r * p->ldx;
        float *y = (float *)a->y + r * p->ldy;
        const float ms = sum_of_squares(x, p->hidden) / (float)p->hidden;
        const float rstd = 1 / sqrtf(ms + (float)p->eps);
        for (size_t i = 0; i < p->hidden; i++)
            y[i] = x[i] * rstd * (gamma ? gamma[i] : 1) + (beta ? beta[i] : 0);
        if (a->rstd)
            ((float *)a->rstd)[r] = rstd;
    }
}

static const struct nb_kernel kernels[] = {{
    .size = sizeof(struct nb_kernel),
    .op = NB_OP_RMSNORM,
    .dtype = NB_F32,
    .name = "rmsnorm_fwd_mine__f32_c",
    .algo = "mine",
    .isa = "c",
    .trick = "",
    .source = "examples/plugin",
    .x_reads = 2,
    .flops = 5,
    .bound = {.kind = NB_BOUND_RMS, .c1 = 1, .c0 = 2, .lanes = 4, .lambda = 4},
    .supports = supports,
    .run = run,
}};

const struct nb_kernel_table nb_plugin = {NB_KERNEL_ABI, 1, kernels};
