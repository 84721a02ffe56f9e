/* deepnorm.h: the two constants of DeepNorm, x_(l+1) = LN(alpha*x_l + f_l(x_l)); beta is
 * the gain of the initial feed-forward, value and output weights of f.
 * Units     none; N encoder and M decoder layers, each >= 1 where the stack has it
 * Error     a few units in the last place of double
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

#endif
