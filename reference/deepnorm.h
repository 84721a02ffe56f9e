/* deepnorm.h: the two constants of DeepNorm, x_(l+1) = LN(alpha*x_l + f_l(x_l)); beta is
 * the gain of the initial feed-forward, value and output weights of f. And its sum, as
 * arithmetic gives it.
 * Units     none; N encoder and M decoder layers, each >= 1 where the stack has it
 * Error     constants: a few units in the last place of double; sums: none
 * Source    Wang et al. 2022, arXiv:2203.00555 */
#ifndef NB_DEEPNORM_H
#define NB_DEEPNORM_H

enum nb_ref_stack {
    NB_REF_ENCODER_ONLY,    /* (2N)^(1/4), (8N)^(-1/4) */
    NB_REF_DECODER_ONLY,    /* (2M)^(1/4), (8M)^(-1/4) */
    NB_REF_ENCODER_OF_BOTH, /* 0.81 (N^4 M)^(1/16), 0.87 (N^4 M)^(-1/16) */
    NB_REF_DECODER_OF_BOTH  /* (3M)^(1/4), (12M)^(-1/4) */
};

struct nb_ref_deepnorm {
    double alpha, beta;
};

/* A count the stack does not use is ignored. */
struct nb_ref_deepnorm nb_ref_deepnorm(enum nb_ref_stack stack, unsigned encoders,
                                       unsigned decoders);

/* alpha*x + residual and alpha*x in f64 (wide) or f32 arithmetic, whose numbers x and residual
 * are, alpha being rounded to one first. fused: the sum is rounded once, else the product, too. */
double nb_ref_sum(double alpha, double x, double residual, int wide, int fused);
double nb_ref_product(double alpha, double x, int wide);

#endif
