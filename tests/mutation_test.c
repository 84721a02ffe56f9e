/* mutation_test.c: is the checker any good? Every mutation of a right kernel must be caught, in every
 * dtype and ISA in which it can exist, by the check before a timing or by the laboratory; the unmutated
 * kernel must pass both. Prints the score; exits 1 below 100 %. */
#include "accuracy.h"
#include "check.h"
#include "codec.h"
#include "cpu.h"
#include "execute.h"
#include "registry.h"
#include "symmetry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { HIDDEN = 67, ROWS = 50, ROW_MAX = 4096 };

/* The kernel under mutation; its run is replaced by one of the functions below. */
static const struct nb_kernel *base;
static unsigned long calls;

static void run_base(const struct nb_problem *p, const struct nb_args *a)
{
    base->run(p, a);
}

/* ---- words for writing mutations ---- */

struct span { /* rows of this part */
    size_t first, last;
};

static struct span span_of(const struct nb_problem *p, const struct nb_args *a)
{
    return (struct span){p->rows * a->part / a->parts, p->rows * (a->part + 1) / a->parts};
}

static size_t width(const struct nb_problem *p)
{
    return nb_dtype_bytes(p->dtype);
}

static char *y_row(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    return (char *)a->y + r * p->ldy * width(p);
}

static const char *x_row(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    return (const char *)a->x + r * p->ldx * width(p);
}

static double get(const struct nb_problem *p, const char *row, size_t i)
{
    double v;
    nb_decode(p->dtype, row + i * width(p), &v, 1);
    return v;
}

static void set(const struct nb_problem *p, char *row, size_t i, double v)
{
    nb_encode(p->dtype, &v, row + i * width(p), 1);
}

static double beta_at(const struct nb_problem *p, const struct nb_args *a, size_t i)
{
    double v = 0;
    if (a->beta != NULL)
        nb_decode(p->param_dtype, (const char *)a->beta + i * nb_dtype_bytes(p->param_dtype), &v, 1);
    return v;
}

/* y - beta times a factor: what a wrong rstd does */
static void scale_all(const struct nb_problem *p, const struct nb_args *a, double factor)
{
    const struct span s = span_of(p, a);
    run_base(p, a);
    for (size_t r = s.first; r < s.last; r++)
        for (size_t i = 0; i < p->hidden; i++) {
            const double b = beta_at(p, a, i);
            set(p, y_row(p, a, r), i, b + (get(p, y_row(p, a, r), i) - b) * factor);
        }
}

static void for_rows(const struct nb_problem *p, const struct nb_args *a,
                     void (*change)(const struct nb_problem *p, const struct nb_args *a, size_t r))
{
    const struct span s = span_of(p, a);
    for (size_t r = s.first; r < s.last; r++)
        change(p, a, r);
}

/* The base over one row of another length, from a copy with what lies behind it set to `behind`. */
static void row_of_length(const struct nb_problem *p, const struct nb_args *a, size_t r, size_t n,
                          double behind, char *y)
{
    static char x[(ROW_MAX + 1) * sizeof(double)], gamma[(ROW_MAX + 1) * sizeof(double)],
        beta[(ROW_MAX + 1) * sizeof(double)];
    const size_t ps = nb_dtype_bytes(p->param_dtype);
    struct nb_problem q = *p;
    struct nb_args b = *a;
    q.rows = 1;
    q.hidden = q.ldx = q.ldy = n;
    q.stats_out = 0;
    memcpy(x, x_row(p, a, r), p->hidden * width(p));
    nb_encode(p->dtype, &behind, x + p->hidden * width(p), 1);
    memset(gamma, 0, sizeof gamma);
    memset(beta, 0, sizeof beta);
    if (a->gamma)
        memcpy(gamma, a->gamma, p->hidden * ps);
    if (a->beta)
        memcpy(beta, a->beta, p->hidden * ps);
    b.x = x;
    b.y = y;
    b.gamma = a->gamma ? gamma : NULL;
    b.beta = a->beta ? beta : NULL;
    b.part = 0;
    b.parts = 1;
    run_base(&q, &b);
}

/* ---- mutations ---- */

static void nan_element(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    if (span_of(p, a).last > span_of(p, a).first)
        set(p, y_row(p, a, span_of(p, a).first), p->hidden / 2, NAN);
}

static void row_inf_for_nan(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    for (size_t i = 0; i < p->hidden; i++)
        if (isnan(get(p, y_row(p, a, r), i)))
            set(p, y_row(p, a, r), i, INFINITY);
}

static void inf_for_nan(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_inf_for_nan);
}

static void row_nan_hidden(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    for (size_t i = 0; i < p->hidden; i++)
        if (isnan(get(p, y_row(p, a, r), i)))
            set(p, y_row(p, a, r), i, beta_at(p, a, i));
}

static void nan_hidden(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_nan_hidden);
}

static void row_zero(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    memset(y_row(p, a, r), 0, p->hidden * width(p));
}

static void zeros(const struct nb_problem *p, const struct nb_args *a)
{
    for_rows(p, a, row_zero);
}

static void row_copy(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    memmove(y_row(p, a, r), x_row(p, a, r), p->hidden * width(p));
}

static void input_copied(const struct nb_problem *p, const struct nb_args *a)
{
    for_rows(p, a, row_copy);
}

static void row_last_skipped(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    static char y[ROW_MAX * sizeof(double)];
    row_of_length(p, a, r, p->hidden - 1, 0, y);
    memcpy(y_row(p, a, r), y, (p->hidden - 1) * width(p));
}

static void last_skipped_in_sums(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_last_skipped);
}

static void row_tail_unmasked(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    static char y[(ROW_MAX + 1) * sizeof(double)];
    row_of_length(p, a, r, p->hidden + 1, 7, y);
    memcpy(y_row(p, a, r), y, p->hidden * width(p));
}

static void tail_unmasked(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_tail_unmasked);
}

static void n_minus_one(const struct nb_problem *p, const struct nb_args *a)
{
    scale_all(p, a, sqrt((double)(p->hidden - 1) / (double)p->hidden));
}

static void coarse_rsqrt(const struct nb_problem *p, const struct nb_args *a)
{
    scale_all(p, a, 1 + 0x1p-12);
}

static void rstd_in_16_bits(const struct nb_problem *p, const struct nb_args *a)
{
    scale_all(p, a, 1 + 0x1p-9);
}

static void with_eps(const struct nb_problem *p, const struct nb_args *a, double eps)
{
    struct nb_problem q = *p;
    q.eps = eps;
    run_base(&q, a);
}

static void eps_dropped(const struct nb_problem *p, const struct nb_args *a)
{
    with_eps(p, a, 0);
}

static void eps_tenfold(const struct nb_problem *p, const struct nb_args *a)
{
    with_eps(p, a, 10 * p->eps);
}

static void eps_outside(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_problem q = *p;
    q.eps_mode = p->eps_mode == NB_EPS_OUTSIDE ? NB_EPS_INSIDE : NB_EPS_OUTSIDE;
    run_base(&q, a);
}

static void gemma_ignored(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_problem q = *p;
    q.gemma = 0;
    run_base(&q, a);
}

static void cast_order_ignored(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_problem q = *p;
    q.order = p->order == NB_CAST_BEFORE ? NB_CAST_AFTER : NB_CAST_BEFORE;
    run_base(&q, a);
}

static void gamma_beta_swapped(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.gamma = a->beta;
    b.beta = a->gamma;
    run_base(p, &b);
}

static void gamma_ignored(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.gamma = NULL;
    run_base(p, &b);
}

static void beta_ignored(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.beta = NULL;
    run_base(p, &b);
}

static void gamma_off_by_one(const struct nb_problem *p, const struct nb_args *a)
{
    static char gamma[ROW_MAX * sizeof(double)];
    const size_t ps = nb_dtype_bytes(p->param_dtype);
    struct nb_args b = *a;
    if (a->gamma) {
        memcpy(gamma, (const char *)a->gamma + ps, (p->hidden - 1) * ps);
        memcpy(gamma + (p->hidden - 1) * ps, a->gamma, ps);
        b.gamma = gamma;
    }
    run_base(p, &b);
}

static void row_write_behind(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    if (p->ldy > p->hidden && r + 1 < span_of(p, a).last) /* behind the last row is a guard page */
        set(p, y_row(p, a, r), p->hidden, 0);
}

static void write_behind(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_write_behind);
}

/* The last row of each part is left out: rows of a call with fewer rows, but the same parts' bounds. */
static void with_fewer_rows(const struct nb_problem *p, const struct nb_args *a, size_t rows)
{
    struct nb_problem q = *p;
    struct nb_args b = *a;
    const struct span s = span_of(p, a);
    q.rows = rows;
    b.part = 0;
    b.parts = 1;
    b.x = x_row(p, a, s.first);
    b.y = y_row(p, a, s.first);
    q.stats_out = 0;
    if (rows > 0)
        run_base(&q, &b);
}

static void row_unwritten(const struct nb_problem *p, const struct nb_args *a)
{
    const struct span s = span_of(p, a);
    with_fewer_rows(p, a, s.last > s.first ? s.last - s.first - 1 : 0);
}

static void boundary_row_lost(const struct nb_problem *p, const struct nb_args *a)
{
    if (a->parts > 1)
        row_unwritten(p, a);
    else
        run_base(p, a);
}

static void element_unwritten(const struct nb_problem *p, const struct nb_args *a)
{
    const struct span s = span_of(p, a);
    static char kept[8];
    if (s.first == s.last)
        return;
    char *last = y_row(p, a, s.last - 1) + (p->hidden - 1) * width(p);
    memcpy(kept, last, width(p));
    run_base(p, a);
    memcpy(last, kept, width(p));
}

static void stale_row(const struct nb_problem *p, const struct nb_args *a)
{
    static char before[ROW_MAX * sizeof(double)], now[ROW_MAX * sizeof(double)];
    const struct span s = span_of(p, a);
    run_base(p, a);
    if (s.first == s.last)
        return;
    memcpy(now, y_row(p, a, s.first), p->hidden * width(p));
    if (calls > 1)
        memcpy(y_row(p, a, s.first), before, p->hidden * width(p));
    memcpy(before, now, sizeof before);
}

/* A call with the pointers of the one before returns what that one gave. */
static void cached_output(const struct nb_problem *p, const struct nb_args *a)
{
    static char kept[ROWS * ROW_MAX * sizeof(double)];
    static const void *x, *y;
    const size_t bytes = ((p->rows - 1) * p->ldy + p->hidden) * width(p);
    if (calls > 1 && x == a->x && y == a->y && a->parts == 1 && bytes <= sizeof kept) {
        memcpy(a->y, kept, bytes);
        return;
    }
    run_base(p, a);
    x = a->x;
    y = a->y;
    if (a->parts == 1 && bytes <= sizeof kept)
        memcpy(kept, a->y, bytes);
}

static void rows_swapped(const struct nb_problem *p, const struct nb_args *a)
{
    static char row[ROW_MAX * sizeof(double)];
    const struct span s = span_of(p, a);
    run_base(p, a);
    if (s.last - s.first < 2)
        return;
    memcpy(row, y_row(p, a, s.first), p->hidden * width(p));
    memcpy(y_row(p, a, s.first), y_row(p, a, s.first + 1), p->hidden * width(p));
    memcpy(y_row(p, a, s.first + 1), row, p->hidden * width(p));
}

static void x_stride_ignored(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_problem q = *p;
    q.ldx = p->hidden;
    run_base(&q, a);
}

static void y_stride_ignored(const struct nb_problem *p, const struct nb_args *a)
{
    struct nb_problem q = *p;
    q.ldy = p->hidden;
    run_base(&q, a);
}

static void not_deterministic(const struct nb_problem *p, const struct nb_args *a)
{
    const struct span s = span_of(p, a);
    run_base(p, a);
    if (calls % 2 && s.first < s.last)
        y_row(p, a, s.first)[0] ^= 1;
}

static void input_changed(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    ((char *)(uintptr_t)a->x)[0] ^= 1;
}

static void stat_scaled(const struct nb_problem *p, void *stats, struct span s, double factor)
{
    for (size_t r = s.first; p->stats_out && stats != NULL && r < s.last; r++) {
        if (p->dtype == NB_F64)
            ((double *)stats)[r] *= factor;
        else
            ((float *)stats)[r] *= (float)factor;
    }
}

static void saved_mean_off(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    stat_scaled(p, a->mean, span_of(p, a), 1.001);
}

static void saved_rstd_off(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    stat_scaled(p, a->rstd, span_of(p, a), 1.001);
}

/* The f32 kernel of the same algorithm and ISA on widened data, for mutations of the conversion. */
static void widened(const struct nb_problem *p, const struct nb_args *a, size_t r, float *y)
{
    static float x[ROW_MAX], gamma[ROW_MAX], beta[ROW_MAX];
    char name[128];
    snprintf(name, sizeof name, "%s_fwd_%s__f32_scalar", nb_op_name(base->op), base->algo);
    const struct nb_kernel *k = nb_kernel_find(name);
    struct nb_problem q = *p;
    if (k == NULL)
        abort();
    q.dtype = q.param_dtype = NB_F32;
    q.rows = 1;
    q.ldx = q.ldy = p->hidden;
    q.stats_out = 0;
    for (size_t i = 0; i < p->hidden; i++) {
        double v = 1;
        x[i] = (float)get(p, x_row(p, a, r), i);
        if (a->gamma)
            nb_decode(p->param_dtype, (const char *)a->gamma + i * nb_dtype_bytes(p->param_dtype), &v, 1);
        gamma[i] = (float)v;
        beta[i] = (float)beta_at(p, a, i);
    }
    const struct nb_args b = {.x = x, .y = y, .gamma = gamma, .beta = beta};
    nb_run_once(k, &q, &b);
}

static void row_truncated(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    static float y[ROW_MAX];
    widened(p, a, r, y);
    for (size_t i = 0; i < p->hidden; i++) {
        set(p, y_row(p, a, r), i, y[i]);
        const double v = get(p, y_row(p, a, r), i);
        uint16_t code;
        memcpy(&code, y_row(p, a, r) + 2 * i, 2);
        if (isfinite(v) && fabs(v) > fabs((double)y[i])) /* towards zero: the neighbour below */
            code--;
        memcpy(y_row(p, a, r) + 2 * i, &code, 2);
    }
}

static void truncated(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_truncated);
}

/* Rounded to bf16 on the way to f16 or f32: a wrong intermediate. */
static void row_through_bf16(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    for (size_t i = 0; i < p->hidden; i++) {
        const double v = get(p, y_row(p, a, r), i);
        uint16_t code;
        double back;
        nb_encode(NB_BF16, &v, &code, 1);
        nb_decode(NB_BF16, &code, &back, 1);
        set(p, y_row(p, a, r), i, back);
    }
}

static void through_bf16(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_through_bf16);
}

static void flushing(const struct nb_problem *p, const struct nb_args *a)
{
#if defined(__x86_64__)
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* FTZ and DAZ */
    run_base(p, a);
    _mm_setcsr(before);
#else
    run_base(p, a);
#endif
}

static void row_subnormals_lost(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    for (size_t i = 0; i < p->hidden; i++)
        if (fabs(get(p, y_row(p, a, r), i)) < (p->dtype == NB_F16 ? 0x1p-14 : 0x1p-126))
            set(p, y_row(p, a, r), i, 0);
}

static void subnormals_lost(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_subnormals_lost);
}

/* RMSNorm for LayerNorm */
static void mean_kept(const struct nb_problem *p, const struct nb_args *a)
{
    char name[128];
    snprintf(name, sizeof name, "rmsnorm_fwd_onepass__%s_scalar", nb_dtype_name(p->dtype));
    const struct nb_kernel *k = nb_kernel_find(name);
    struct nb_problem q = *p;
    q.op = NB_OP_RMSNORM;
    k->run(&q, a);
}

static void onepass_formula(const struct nb_problem *p, const struct nb_args *a)
{
    char name[128];
    snprintf(name, sizeof name, "layernorm_fwd_onepass__%s_%s", nb_dtype_name(p->dtype), base->isa);
    const struct nb_kernel *k = nb_kernel_find(name);
    k->run(p, a);
}

static void with_prefix(const struct nb_problem *p, const struct nb_args *a, size_t k)
{
    struct nb_problem q = *p;
    q.k = k;
    base->run(&q, a);
}

static void prefix_whole(const struct nb_problem *p, const struct nb_args *a)
{
    with_prefix(p, a, p->hidden);
}

static void prefix_longer(const struct nb_problem *p, const struct nb_args *a)
{
    with_prefix(p, a, p->k < p->hidden ? p->k + 1 : p->k);
}

static void prefix_shorter(const struct nb_problem *p, const struct nb_args *a)
{
    with_prefix(p, a, p->k > 1 ? p->k - 1 : p->k);
}

static void row_prefix_over_hidden(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    for (size_t i = 0; i < p->hidden; i++)
        set(p, y_row(p, a, r), i, get(p, y_row(p, a, r), i) * sqrt((double)p->hidden / (double)p->k));
}

/* The mean over hidden of a sum over the prefix. */
static void prefix_over_hidden(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_prefix_over_hidden);
}

static void one_piece(const struct nb_problem *p, const struct nb_args *a)
{
    with_prefix(p, a, p->op == NB_OP_GROUPNORM ? 1 : p->hidden);
}

static void two_pieces(const struct nb_problem *p, const struct nb_args *a)
{
    with_prefix(p, a, p->op == NB_OP_GROUPNORM ? 2 : p->hidden / 2);
}

/* gamma of the first group for all of them; of the first head and the next ones for each */
static void params_of_another_piece(const struct nb_problem *p, const struct nb_args *a)
{
    static char gamma[ROW_MAX * sizeof(double)];
    const size_t n = p->hidden / nb_op_pieces(p), bytes = n * nb_dtype_bytes(p->param_dtype);
    struct nb_args b = *a;
    for (size_t g = 0; a->gamma != NULL && g < nb_op_pieces(p); g++)
        memcpy(gamma + g * bytes, (const char *)a->gamma + (p->op == NB_OP_GROUPNORM ? 0 : bytes), bytes);
    b.gamma = a->gamma != NULL ? gamma : NULL;
    run_base(p, &b);
}

static void row_last_piece_first(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    const size_t n = p->hidden / nb_op_pieces(p);
    for (size_t i = 0; i < n; i++)
        set(p, y_row(p, a, r), p->hidden - n + i, get(p, y_row(p, a, r), i));
}

static void last_piece_is_the_first(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_last_piece_first);
}

static void with_alpha(const struct nb_problem *p, const struct nb_args *a, double alpha)
{
    struct nb_problem q = *p;
    q.alpha = alpha;
    run_base(&q, a);
}

static void alpha_ignored(const struct nb_problem *p, const struct nb_args *a)
{
    with_alpha(p, a, 1);
}

static void alpha_in_8_bits(const struct nb_problem *p, const struct nb_args *a)
{
    with_alpha(p, a, p->alpha * (1 + 0x1p-8));
}

/* y = tanh'(z)*gamma + beta, of another tanh. */
static void bent_rows(const struct nb_problem *p, const struct nb_args *a, double (*bend)(double z))
{
    const struct span s = span_of(p, a);
    for (size_t r = s.first; r < s.last; r++)
        for (size_t i = 0; i < p->hidden; i++) {
            double w = 1;
            if (a->gamma != NULL)
                nb_decode(p->param_dtype, (const char *)a->gamma + i * nb_dtype_bytes(p->param_dtype), &w, 1);
            set(p, y_row(p, a, r), i,
                bend(p->alpha * get(p, x_row(p, a, r), i)) * (w + (a->gamma != NULL && p->gemma)) + beta_at(p, a, i));
        }
}

static double early(double z)
{
    return fabs(z) > 4 ? copysign(1, z) : tanh(z);
}

static void saturates_early(const struct nb_problem *p, const struct nb_args *a)
{
    bent_rows(p, a, early);
}

/* That of r^3 in exp(r) - 1, as far as it reaches t. */
static double off(double z)
{
    const double r = -2 * fabs(z) - rint(-2 * fabs(z) / log(2)) * log(2), e = exp(-2 * fabs(z)) * exp(-r);
    const double m = expm1(-2 * fabs(z)) + (isfinite(r) ? e * 1e-6 * r * r * r : 0);
    return copysign(-m / (2 + m), z);
}

static void coefficient_off(const struct nb_problem *p, const struct nb_args *a)
{
    bent_rows(p, a, off);
}

static double cubic_of(double z)
{
    return fabs(z) < 0.25 ? z - z * z * z / 3 : tanh(z);
}

static void cubic(const struct nb_problem *p, const struct nb_args *a)
{
    bent_rows(p, a, cubic_of);
}

static double even(double z)
{
    return fabs(tanh(z));
}

static void sign_lost(const struct nb_problem *p, const struct nb_args *a)
{
    bent_rows(p, a, even);
}

static double by_exponentials(double z)
{
    return (exp(z) - exp(-z)) / (exp(z) + exp(-z));
}

static void nan_of_infinity(const struct nb_problem *p, const struct nb_args *a)
{
    bent_rows(p, a, by_exponentials);
}

static double right_tanh(double z)
{
    return tanh(z);
}

static void row_one_in_a_thousand(const struct nb_problem *p, const struct nb_args *a, size_t r)
{
    if (r % 1000 == 999)
        row_zero(p, a, r);
}

static void one_row_in_a_thousand(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
    for_rows(p, a, row_one_in_a_thousand);
}

static void unmutated(const struct nb_problem *p, const struct nb_args *a)
{
    run_base(p, a);
}

/* ---- the list ---- */

enum where {
    ANY,
    LAYERNORM = 1,
    NARROW = 2,  /* 16-bit storage */
    WIDE = 4,    /* f32 and f64 */
    F32ISH = 8,  /* f32, f16 */
    SUBNORMAL = 16, /* f32 and f64 in SSE or AVX arithmetic, on this machine */
    MANY_ROWS = 32,
    NOT_F64 = 64,
    PREFIX = 128,
    PIECES = 256, /* groupnorm and qknorm; they are the kernels that all others are tried on, and have these alone */
    STATS = 512,  /* what has statistics, or sums along a row */
    TANH = 1024,  /* dyt */
    FINE = 2048,  /* f32 and f64: what a 16-bit output hides */
};
static const struct mutation {
    const char *name;
    void (*run)(const struct nb_problem *p, const struct nb_args *a);
    unsigned where;
} MUTATIONS[] = {
    {"a NaN element", nan_element, ANY},
    {"Inf for NaN", inf_for_nan, ANY},
    {"NaN rows hidden", nan_hidden, ANY},
    {"zeros", zeros, ANY},
    {"input copied", input_copied, ANY},
    {"last element left out of the sums", last_skipped_in_sums, STATS},
    {"tail lane not masked", tail_unmasked, STATS},
    {"divided by n-1", n_minus_one, STATS},
    {"rsqrt of 12 bits", coarse_rsqrt, STATS},
    {"rstd rounded to 9 bits", rstd_in_16_bits, STATS},
    {"eps dropped", eps_dropped, STATS},
    {"eps tenfold", eps_tenfold, STATS},
    {"eps outside the root", eps_outside, STATS},
    {"1 + gamma ignored", gemma_ignored, ANY},
    {"cast order ignored", cast_order_ignored, NARROW},
    {"gamma and beta swapped", gamma_beta_swapped, ANY},
    {"gamma ignored", gamma_ignored, ANY},
    {"beta ignored", beta_ignored, LAYERNORM},
    {"gamma of the next element", gamma_off_by_one, ANY},
    {"write at [hidden]", write_behind, ANY},
    {"row not written", row_unwritten, ANY},
    {"row lost between two parts", boundary_row_lost, ANY},
    {"element not written", element_unwritten, ANY},
    {"row of the previous call", stale_row, ANY},
    {"cached output for a repeated pointer", cached_output, ANY},
    {"two rows swapped", rows_swapped, ANY},
    {"stride of x ignored", x_stride_ignored, ANY},
    {"stride of y ignored", y_stride_ignored, ANY},
    {"differs from run to run", not_deterministic, ANY},
    {"input changed", input_changed, ANY},
    {"saved mean off by 0.1 %", saved_mean_off, LAYERNORM},
    {"saved rstd off by 0.1 %", saved_rstd_off, STATS},
    {"written as truncation", truncated, NARROW},
    {"rounded by way of bf16", through_bf16, WIDE | F32ISH},
    {"FTZ and DAZ", flushing, SUBNORMAL},
    {"subnormal results lost", subnormals_lost, NOT_F64},
    {"mean not subtracted", mean_kept, LAYERNORM},
    {"one-pass formula under the two-pass bound", onepass_formula, LAYERNORM},
    {"all of the row for its prefix", prefix_whole, PREFIX},
    {"prefix one element longer", prefix_longer, PREFIX},
    {"prefix one element shorter", prefix_shorter, PREFIX},
    {"sum of the prefix over hidden", prefix_over_hidden, PREFIX},
    {"one norm of the whole row", one_piece, PIECES},
    {"two norms a row in place of three", two_pieces, PIECES},
    {"gamma of another group or head", params_of_another_piece, PIECES},
    {"last group or head is the first", last_piece_is_the_first, PIECES},
    {"tanh(x) in place of tanh(alpha*x)", alpha_ignored, TANH},
    {"alpha rounded to 8 bits", alpha_in_8_bits, TANH},
    {"saturates from 4 on", saturates_early, TANH},
    {"a coefficient off by 1e-6", coefficient_off, TANH | FINE},
    {"cubic for tanh", cubic, TANH},
    {"even function", sign_lost, TANH},
    {"NaN of infinity", nan_of_infinity, TANH},
    {"one row in a thousand", one_row_in_a_thousand, MANY_ROWS},
};
enum { MUTATION_COUNT = sizeof MUTATIONS / sizeof *MUTATIONS };

static bool has_pieces(const struct nb_kernel *k)
{
    return k->op == NB_OP_GROUPNORM || k->op == NB_OP_QKNORM;
}

static bool exists(const struct mutation *m, const struct nb_kernel *k)
{
    const bool narrow = nb_dtype_bytes(k->dtype) == 2;
    if (m->where & LAYERNORM && k->op != NB_OP_LAYERNORM)
        return false;
    if (m->where & PREFIX && k->op != NB_OP_PRMSNORM)
        return false;
    if (m->where & STATS && !nb_op_facts(k->op)->norm)
        return false;
    if (m->where & TANH && k->op != NB_OP_DYT)
        return false;
    if (has_pieces(k) != ((m->where & PIECES) != 0))
        return false;
    if (m->where & NARROW && !narrow)
        return false;
    if (m->where & FINE && narrow)
        return false;
    if (m->where & (WIDE | F32ISH) && k->dtype == NB_BF16)
        return false;
    if (m->where & NOT_F64 && (k->dtype == NB_F64 || k->flushes))
        return false;
#if !defined(__x86_64__)
    if (m->where & SUBNORMAL)
        return false;
#endif
    return !(m->where & SUBNORMAL) || !narrow;
}

static const struct mutation *current;

static void run_mutant(const void *state, const struct nb_args *a)
{
    calls++;
    current->run(state, a);
}

static const char *supports_base(const struct nb_problem *p)
{
    return base->supports(p);
}

static struct nb_kernel mutant_of(const struct nb_kernel *k, const struct mutation *m)
{
    struct nb_kernel mutant = *k;
    base = k;
    current = m;
    calls = 0;
    mutant.run = run_mutant;
    mutant.supports = supports_base;
    return mutant;
}

static bool check_passes(const struct nb_kernel *mutant, bool many_rows)
{
    struct nb_cell c = {.id = "mutation", .dtype = mutant->dtype, .param_dtype = mutant->dtype,
                        .hidden = HIDDEN, .rows = many_rows ? 1100 : ROWS, .ldx = HIDDEN, .ldy = HIDDEN,
                        .k = {[NB_K_GROUPS] = 3, [NB_K_HEAD] = 22}, .threads = 1, .stats_out = 1, .residency = NB_L2};
    struct nb_check_result r;
    if (has_pieces(mutant))
        c.hidden = c.ldx = c.ldy = 66; /* 67 is prime */
    struct nb_check_data *d = nb_check_data_make(&c, 1);
    nb_check_kernel(d, mutant, &r);
    nb_check_data_free(d);
    return r.verdict == NB_PASS;
}

static bool lab_passes(const struct nb_kernel *mutant)
{
    const struct nb_accuracy_options o = {.seed = 1, .eps = 1e-5, .timeout_s = 20};
    for (size_t f = 0; f < nb_family_count(); f++) {
        struct nb_accuracy r;
        if (!nb_family_has(nb_family_at(f), mutant->dtype))
            continue;
        nb_accuracy_one(&o, mutant, nb_family_at(f), HIDDEN, &r);
        if (r.verdict == NB_FAIL_VALUE || r.verdict == NB_FAIL_NONFINITE)
            return false;
    }
    return true;
}

static bool is_base(const struct nb_kernel *k)
{
    return nb_kernel_why_not(k) == NULL && k->dir == NB_FWD && k->fuse == NB_FUSE_NONE && k->trick[0] == '\0' &&
           ((k->op == NB_OP_LAYERNORM &&
             (strcmp(k->algo, "twopass") == 0 || strcmp(k->algo, "guarded") == 0)) ||
            (k->op == NB_OP_GROUPNORM && strcmp(k->algo, "twopass") == 0) ||
            (k->op == NB_OP_DYT && strcmp(k->algo, "expm1") == 0) ||
            ((k->op == NB_OP_RMSNORM || k->op == NB_OP_PRMSNORM || k->op == NB_OP_QKNORM) &&
             strcmp(k->algo, "onepass") == 0));
}

struct score {
    size_t places, check, lab; /* where it exists; caught by the check; only by the laboratory */
};

static void try_mutation(const struct mutation *m, struct score *s)
{
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (!is_base(k) || !exists(m, k))
            continue;
        const struct nb_kernel mutant = mutant_of(k, m);
        s->places++;
        if (!check_passes(&mutant, m->where & MANY_ROWS))
            s->check++;
        else if (!lab_passes(&mutant))
            s->lab++;
        else
            printf("  NOT CAUGHT: %s in %s\n", m->name, k->name);
    }
}

/* The loop that the other tanhs are written in, with the right one. */
static void bent_rightly(const struct nb_problem *p, const struct nb_args *a)
{
    bent_rows(p, a, right_tanh);
}

static bool right_bend_passes(const struct nb_kernel *k)
{
    static const struct mutation right = {"tanh", bent_rightly, TANH};
    if (!exists(&right, k))
        return true;
    const struct nb_kernel loop = mutant_of(k, &right);
    return check_passes(&loop, false) && lab_passes(&loop);
}

static size_t right_ones(void)
{
    static const struct mutation none = {"unmutated", unmutated, ANY};
    size_t count = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (!is_base(k))
            continue;
        const struct nb_kernel right = mutant_of(k, &none);
        if (!check_passes(&right, false) || !lab_passes(&right) || !right_bend_passes(k)) {
            printf("  NOT PASSED: %s, which is right\n", k->name);
            exit(1);
        }
        count++;
    }
    return count;
}

/* The check without an oracle, alone: it must find what changes scale or mean, and pass what is right. */
static size_t symmetry_faults(void)
{
    static const struct mutation some[] = {{"zeros", zeros, ANY},
                                           /* 1.5 % of y^2 is within what 8 bits allow */
                                           {"divided by n-1", n_minus_one, F32ISH | STATS},
                                           {"input copied", input_copied, ANY},
                                           {"mean not subtracted", mean_kept, LAYERNORM},
                                           {"even function", sign_lost, TANH}};
    static const struct mutation none = {"unmutated", unmutated, ANY};
    size_t faults = 0;
    char text[200];
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        for (size_t m = 0; is_base(k) && m < sizeof some / sizeof *some; m++) {
            const struct nb_kernel right = mutant_of(k, &none);
            faults += !nb_symmetry_holds(&right, HIDDEN, text, sizeof text);
            const struct nb_kernel mutant = mutant_of(k, &some[m]);
            const bool missed = exists(&some[m], k) && nb_symmetry_holds(&mutant, HIDDEN, text, sizeof text);
            if (missed)
                printf("  NOT FOUND WITHOUT AN ORACLE: %s in %s\n", some[m].name, k->name);
            faults += missed;
        }
    }
    return faults;
}

int main(void)
{
    struct score all = {0, 0, 0};
    size_t mutations = 0;
    if (nb_cpu_init(NULL, 0) != 0)
        return 1;
    const size_t faults = symmetry_faults();
    printf("%zu kernels pass unmutated\n", right_ones());
    printf("%-45s %6s %6s %6s\n", "mutation", "places", "check", "lab");
    for (size_t i = 0; i < MUTATION_COUNT; i++) {
        struct score s = {0, 0, 0};
        try_mutation(&MUTATIONS[i], &s);
        printf("%-45s %6zu %6zu %6zu\n", MUTATIONS[i].name, s.places, s.check, s.lab);
        all.places += s.places;
        all.check += s.check;
        all.lab += s.lab;
        mutations += s.places > 0 && s.check + s.lab == s.places;
    }
    printf("mutation score: %zu of %zu mutations caught everywhere, %zu of %zu places (%.1f %%)\n",
           mutations, (size_t)MUTATION_COUNT, all.check + all.lab, all.places,
           100 * (double)(all.check + all.lab) / (double)all.places);
    return mutations == MUTATION_COUNT && faults == 0 ? 0 : 1;
}
