/* mutation_test.c: is the checker any good? Every mutation of a right kernel must be caught, in every
 * dtype and ISA in which it can exist, by the check before a timing or by the laboratory; the unmutated
 * kernel must pass both. Prints the score; exits 1 below 100 %. */
#include "mutation.h"

#include "accuracy.h"
#include "cpu.h"
#include "execute.h"
#include "symmetry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { ROW_MAX = 4096 };

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
    return element_get(p->dtype, row, i);
}

static void set(const struct nb_problem *p, char *row, size_t i, double v)
{
    element_put(p->dtype, row, i, v);
}

static double beta_at(const struct nb_problem *p, const struct nb_args *a, size_t i)
{
    return a->beta != NULL ? element_get(p->param_dtype, a->beta, i) : 0;
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
    element_put(p->dtype, x, p->hidden, behind);
    memset(gamma, 0, sizeof gamma);
    memset(beta, 0, sizeof beta);
    if (a->gamma)
        memcpy(gamma, a->gamma, nb_op_params(p) * ps);
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
    const size_t ps = nb_dtype_bytes(p->param_dtype), n = nb_op_params(p);
    struct nb_args b = *a;
    if (a->gamma) {
        memcpy(gamma, (const char *)a->gamma + ps, (n - 1) * ps);
        memcpy(gamma + (n - 1) * ps, a->gamma, ps);
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
        x[i] = (float)get(p, x_row(p, a, r), i);
        gamma[i] = a->gamma && i < nb_op_params(p) ? (float)element_get(p->param_dtype, a->gamma, i) : 1;
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
    for (size_t i = 0; i < p->hidden; i++)
        set(p, y_row(p, a, r), i, element_through(NB_BF16, get(p, y_row(p, a, r), i)));
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

/* So many groups or heads; a longer head has the gamma of the right one, over and over. */
static void with_pieces(const struct nb_problem *p, const struct nb_args *a, size_t pieces)
{
    static char gamma[ROW_MAX * sizeof(double)];
    const size_t n = nb_op_params(p), ps = nb_dtype_bytes(p->param_dtype);
    struct nb_args b = *a;
    for (size_t i = 0; a->gamma != NULL && i < p->hidden; i++)
        memcpy(gamma + i * ps, (const char *)a->gamma + i % n * ps, ps);
    b.gamma = a->gamma != NULL ? gamma : NULL;
    with_prefix(p, &b, nb_op_role(p->op) == NB_K_IS_PIECES ? pieces : p->hidden / pieces);
}

static void one_piece(const struct nb_problem *p, const struct nb_args *a)
{
    with_pieces(p, a, 1);
}

static void two_pieces(const struct nb_problem *p, const struct nb_args *a)
{
    with_pieces(p, a, 2);
}

/* gamma of the first group for all of them; of heads, which have one, the next element's */
static void params_of_another_piece(const struct nb_problem *p, const struct nb_args *a)
{
    static char gamma[ROW_MAX * sizeof(double)];
    const size_t n = p->hidden / nb_op_pieces(p), bytes = n * nb_dtype_bytes(p->param_dtype);
    struct nb_args b = *a;
    if (nb_op_role(p->op) == NB_K_IS_LENGTH) {
        gamma_off_by_one(p, a);
        return;
    }
    for (size_t g = 0; a->gamma != NULL && g < nb_op_pieces(p); g++)
        memcpy(gamma + g * bytes, a->gamma, bytes);
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

/* rmsnorm's rstd */
static void mean_for_sum(const struct nb_problem *p, const struct nb_args *a)
{
    scale_all(p, a, sqrt((double)p->hidden));
}

static void gain_squared(const struct nb_problem *p, const struct nb_args *a)
{
    double g = 1;
    if (a->gamma != NULL)
        nb_decode(p->param_dtype, a->gamma, &g, 1);
    scale_all(p, a, p->gemma ? 1 + g : g);
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
            const double w = a->gamma != NULL ? element_get(p->param_dtype, a->gamma, i) : 1;
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

/* The loop that the other tanhs are written in, with the right one: it must pass. */
static void bent_rightly(const struct nb_problem *p, const struct nb_args *a)
{
    bent_rows(p, a, right_tanh);
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

enum {
    SUBNORMAL = OWN, /* f32 and f64 in SSE or AVX arithmetic, on this machine */
    NOT_F64 = 2 * OWN,
    FINE = 4 * OWN, /* f32 and f64: what a 16-bit output hides */
    PREFIX = 8 * OWN,
    PIECES = 16 * OWN /* groups and heads; they are the kernels that all others are tried on, and have these alone */
};
static const struct mutation {
    const char *name;
    void (*run)(const struct nb_problem *p, const struct nb_args *a);
    unsigned where;
} MUTATIONS[] = {
    {"none", unmutated, ANY},
    {"a NaN element", nan_element, ANY},
    {"Inf for NaN", inf_for_nan, ANY},
    {"NaN rows hidden", nan_hidden, ANY},
    {"zeros", zeros, ANY},
    {"input copied", input_copied, ANY},
    {"last element left out of the sums", last_skipped_in_sums, STATS},
    {"tail lane not masked", tail_unmasked, STATS},
    {"divided by n-1", n_minus_one, MEAN},
    {"mean in place of sum", mean_for_sum, SUM},
    {"gain squared", gain_squared, GAIN},
    {"rsqrt of 12 bits", coarse_rsqrt, STATS},
    {"rstd rounded to 9 bits", rstd_in_16_bits, STATS},
    {"eps dropped", eps_dropped, STATS},
    {"eps tenfold", eps_tenfold, STATS},
    {"eps outside the root", eps_outside, STATS},
    {"1 + gamma ignored", gemma_ignored, GAMMA},
    {"cast order ignored", cast_order_ignored, NARROW | ELEMENTWISE},
    {"gamma and beta swapped", gamma_beta_swapped, ELEMENTWISE},
    {"gamma ignored", gamma_ignored, GAMMA},
    {"beta ignored", beta_ignored, BETA},
    {"gamma of the next element", gamma_off_by_one, ELEMENTWISE},
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
    {"saved mean off by 0.1 %", saved_mean_off, CENTRED},
    {"saved rstd off by 0.1 %", saved_rstd_off, STATS},
    {"written as truncation", truncated, NARROW},
    {"rounded by way of bf16", through_bf16, NOT_BF16},
    {"FTZ and DAZ", flushing, SUBNORMAL},
    {"subnormal results lost", subnormals_lost, NOT_F64},
    {"mean not subtracted", mean_kept, CENTRED},
    {"one-pass formula under the two-pass bound", onepass_formula, CENTRED},
    {"all of the row for its prefix", prefix_whole, PREFIX},
    {"prefix one element longer", prefix_longer, PREFIX},
    {"prefix one element shorter", prefix_shorter, PREFIX},
    {"sum of the prefix over hidden", prefix_over_hidden, PREFIX},
    {"one norm of the whole row", one_piece, PIECES},
    {"two norms a row in place of three", two_pieces, PIECES},
    {"gamma of another group or head", params_of_another_piece, PIECES},
    {"last group or head is the first", last_piece_is_the_first, PIECES},
    {"tanh(x) in place of tanh(alpha*x)", alpha_ignored, POINTWISE},
    {"alpha rounded to 8 bits", alpha_in_8_bits, POINTWISE},
    {"saturates from 4 on", saturates_early, POINTWISE},
    {"a coefficient off by 1e-6", coefficient_off, POINTWISE | FINE},
    {"cubic for tanh", cubic, POINTWISE},
    {"even function", sign_lost, POINTWISE},
    {"NaN of infinity", nan_of_infinity, POINTWISE},
    {"one row in a thousand", one_row_in_a_thousand, MANY_ROWS},
};
enum { MUTATION_COUNT = sizeof MUTATIONS / sizeof *MUTATIONS };

static const struct mutation *current;

static bool can_have(const struct nb_kernel *k, const struct mutation *m)
{
    const bool narrow = nb_dtype_bytes(k->dtype) == 2;
#if defined(__x86_64__)
    const bool subnormal = !narrow;
#else
    const bool subnormal = false;
#endif
    return mutation_fits(m->where, k) && !(m->where & PREFIX && k->op != NB_OP_PRMSNORM) &&
           has_pieces(k) == ((m->where & PIECES) != 0) && !(m->where & FINE && narrow) &&
           !(m->where & NOT_F64 && (k->dtype == NB_F64 || k->flushes)) && !(m->where & SUBNORMAL && !subnormal);
}

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

static bool is_base(const struct nb_kernel *k)
{
    return nb_kernel_why_not(k) == NULL && k->dir == NB_FWD && k->fuse == NB_FUSE_NONE && k->trick[0] == '\0' &&
           !nb_op_facts(k->op)->columns &&
           ((nb_op_facts(k->op)->centred && strcmp(k->algo, "twopass") == 0) ||
            (k->op == NB_OP_LAYERNORM && strcmp(k->algo, "guarded") == 0) ||
            (nb_op_facts(k->op)->pointwise && strcmp(k->algo, "expm1") == 0) ||
            (!nb_op_facts(k->op)->centred && nb_op_facts(k->op)->norm &&
             strcmp(k->algo, "onepass") == 0));
}

static bool exists(const struct nb_kernel *k)
{
    return is_base(k) && (current == MUTATIONS || can_have(k, current));
}

static struct nb_check_result checked(const struct nb_kernel *k)
{
    const struct nb_kernel mutant = mutant_of(k, current);
    struct nb_cell c = mutation_cell(k, current->where);
    c.stats_out = 1;
    return mutation_check(&c, &mutant);
}

static bool lab_passes(const struct nb_kernel *k)
{
    const struct nb_accuracy_options o = {.seed = 1, .eps = 1e-5, .timeout_s = 20};
    const struct nb_kernel mutant = mutant_of(k, current);
    for (size_t f = 0; f < nb_family_count(); f++) {
        struct nb_accuracy r;
        if (!nb_family_has(nb_family_at(f), k->dtype))
            continue;
        nb_accuracy_one(&o, &mutant, nb_family_at(f), HIDDEN, &r);
        if (r.verdict == NB_FAIL_VALUE || r.verdict == NB_FAIL_NONFINITE)
            return false;
    }
    return true;
}

static const char *begin(size_t i)
{
    current = &MUTATIONS[i];
    return current->name;
}

static const char *begin_bent_rightly(size_t i)
{
    static const struct mutation right = {"tanh", bent_rightly, POINTWISE};
    (void)i;
    current = &right;
    return current->name;
}

/* The check without an oracle, alone: it must find what changes scale or mean, and pass what is right. */
static size_t symmetry_faults(void)
{
    static const struct mutation some[] = {{"zeros", zeros, ANY},
                                           /* 1.5 % of y^2 is within what 8 bits allow */
                                           {"divided by n-1", n_minus_one, NOT_BF16 | MEAN},
                                           {"mean in place of sum", mean_for_sum, SUM},
                                           {"input copied", input_copied, ANY},
                                           {"mean not subtracted", mean_kept, CENTRED},
                                           {"even function", sign_lost, POINTWISE}};
    size_t faults = 0;
    char text[200];
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        for (size_t m = 0; is_base(k) && m < sizeof some / sizeof *some; m++) {
            const struct nb_kernel right = mutant_of(k, MUTATIONS);
            faults += !nb_symmetry_holds(&right, HIDDEN, text, sizeof text);
            const struct nb_kernel mutant = mutant_of(k, &some[m]);
            const bool missed = can_have(k, &some[m]) && nb_symmetry_holds(&mutant, HIDDEN, text, sizeof text);
            if (missed)
                printf("  NOT FOUND WITHOUT AN ORACLE: %s in %s\n", some[m].name, k->name);
            faults += missed;
        }
    }
    return faults;
}

int main(void)
{
    const struct mutations all = {MUTATION_COUNT, begin, exists, checked, lab_passes};
    const struct mutations bent = {1, begin_bent_rightly, exists, checked, lab_passes};
    if (nb_cpu_init(NULL, 0) != 0)
        return 1;
    const size_t faults = symmetry_faults();
    return mutation_none(&bent) > 0 && mutations_all_caught(&all) && faults == 0 ? 0 : 1;
}
