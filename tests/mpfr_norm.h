/* mpfr_norm.h: the norms by the textbook in MPFR, BITS wide, for the tests of the oracle. The
 * includer defines N_MAX. */
#ifndef NB_TESTS_MPFR_NORM_H
#define NB_TESTS_MPFR_NORM_H

#include "reference.h"

#include <math.h>
#include <mpfr.h>

enum { BITS = 256 };
static mpfr_t big_y[N_MAX], big_mean, big_var, big_rstd, big_t;

static int init_mpfr(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MAX; i++)
        mpfr_init2(big_y[i], BITS);
    mpfr_inits2(BITS, big_mean, big_var, big_rstd, big_t, (mpfr_ptr)0);
    return 0;
}

static int clear_mpfr(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MAX; i++)
        mpfr_clear(big_y[i]);
    mpfr_clears(big_mean, big_var, big_rstd, big_t, (mpfr_ptr)0);
    mpfr_free_cache();
    return 0;
}

/* big_y, big_mean, big_var, big_rstd by the textbook formulas */
static void forward_mpfr(const struct nb_ref_row *r)
{
    mpfr_set_zero(big_mean, 1);
    for (size_t i = 0; r->op == NB_REF_LAYERNORM && i < r->n; i++)
        mpfr_add_d(big_mean, big_mean, r->x[i], MPFR_RNDN);
    mpfr_div_ui(big_mean, big_mean, r->n, MPFR_RNDN);
    mpfr_set_zero(big_var, 1);
    const size_t k = r->op == NB_REF_PRMSNORM ? r->k : r->n;
    for (size_t i = 0; i < r->n; i++) {
        mpfr_d_sub(big_y[i], r->x[i], big_mean, MPFR_RNDN);
        mpfr_sqr(big_t, big_y[i], MPFR_RNDN);
        if (i < k)
            mpfr_add(big_var, big_var, big_t, MPFR_RNDN);
    }
    if (!nb_ref_is_sum(r->op))
        mpfr_div_ui(big_var, big_var, k, MPFR_RNDN);
    if (r->eps_outside) {
        mpfr_sqrt(big_t, big_var, MPFR_RNDN);
        mpfr_add_d(big_t, big_t, r->eps, MPFR_RNDN);
        mpfr_ui_div(big_rstd, 1, big_t, MPFR_RNDN);
    } else {
        mpfr_add_d(big_t, big_var, r->eps, MPFR_RNDN);
        mpfr_rec_sqrt(big_rstd, big_t, MPFR_RNDN);
    }
    for (size_t i = 0; i < r->n; i++) {
        mpfr_mul(big_y[i], big_y[i], big_rstd, MPFR_RNDN);
        mpfr_set_d(big_t, r->gamma ? r->gamma[r->op == NB_REF_SCALENORM ? 0 : i] : 1, MPFR_RNDN);
        if (r->gemma)
            mpfr_add_ui(big_t, big_t, 1, MPFR_RNDN);
        mpfr_mul(big_y[i], big_y[i], big_t, MPFR_RNDN);
        if (r->beta)
            mpfr_add_d(big_y[i], big_y[i], r->beta[i], MPFR_RNDN);
    }
}

static double distance(struct nb_dd a, mpfr_t b)
{
    mpfr_sub_d(big_t, b, a.hi, MPFR_RNDN);
    mpfr_sub_d(big_t, big_t, a.lo, MPFR_RNDN);
    return fabs(mpfr_get_d(big_t, MPFR_RNDN));
}

/* Distance in units in the last place of the double nearest to b. */
static double ulps_of_double(struct nb_dd a, mpfr_t b)
{
    double nearest = mpfr_get_d(b, MPFR_RNDN), gap = nextafter(fabs(nearest), INFINITY);
    return fabs(a.hi + a.lo - nearest) / (gap - fabs(nearest));
}

#endif
