/* kernel_smoke_test: every forward kernel this CPU can run against a plain loop in double, with
 * loose tolerances. It finds kernels that are broken (tails, strides, slices, options);
 * how accurate they are is for the oracle to say. libc only, so that it runs wherever the
 * kernels build. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_data.h"

enum {
    ROWS = 5,
    HIDDEN_MAX = 1000,
    PAD_MAX = 8,
    CELLS = ROWS * (HIDDEN_MAX + PAD_MAX),
    BYTES = CELLS * 8
};
static const size_t hiddens[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 257, 1000};

static const double EPS = 1e-5, ALPHA = 0.75;

/* ---- the loops kernels are compared with ---- */

struct expected {
    double y[HIDDEN_MAX], mean, rstd;
};

static void expect_row(uint32_t op, size_t n, const double *x, const double *gamma,
                       const double *beta, double eps, uint32_t eps_mode,
                       struct expected *e)
{
    double s = 0, q = 0, factor = 1;
    e->mean = 0;
    if (is_centred(op)) {
        for (size_t i = 0; i < n; i++)
            s += x[i];
        e->mean = s / (double)n;
    }
    const size_t k = op == NB_OP_PRMSNORM ? k_of(op, n) : n;
    for (size_t i = 0; i < k; i++)
        q += (x[i] - e->mean) * (x[i] - e->mean);
    q /= is_sum(op) ? 1 : (double)k;
    e->rstd = 1 / (eps_mode == NB_EPS_OUTSIDE ? sqrt(q) + eps : sqrt(q + eps));
    if (has_rstd(op))
        factor = e->rstd;
    else if (op != NB_OP_COPY)
        factor = ALPHA;
    for (size_t i = 0; i < n; i++)
        e->y[i] = (op == NB_OP_DYT ? tanh(factor * x[i]) : (x[i] - e->mean) * factor) * gamma[i] + beta[i];
}

/* Whole rows at once: 1 when got equals want within tol of a unit-sized value; NaN equals
 * NaN. */
static int close_to(const double *got, const double *want, size_t n, double tol)
{
    for (size_t i = 0; i < n; i++) {
        if (isnan(want[i]) ? isnan(got[i]) : got[i] == want[i])
            continue;
        if (!(fabs(got[i] - want[i]) <= tol * (1 + fabs(want[i]))))
            return 0;
    }
    return 1;
}

static double tolerance(uint32_t dtype)
{
    static const double tol[NB_DTYPE_COUNT] = {
        [NB_F32] = 2e-5, [NB_F64] = 1e-12, [NB_F16] = 2e-3, [NB_BF16] = 1e-2};
    return tol[dtype];
}

/* ---- one call, everything around it guarded ---- */

struct options {
    uint32_t eps_mode, order, gemma;
};

struct setup {
    size_t hidden, ldx, ldy;
    int in_place, gamma, beta, stats;
    uint32_t parts, param_dtype;
    double eps, scale;       /* of the values of x */
    double special;          /* put into row 2 unless 0 */
    int tight;               /* y is compared by in_range */
    struct options is, told; /* what is expected; what the kernel is told */
};

static struct guarded x_room, y_room, gamma_room, beta_room;
static unsigned char *xs, *ys, *gs, *bs; /* in those rooms, as long as a setup needs */
static double xd[HIDDEN_MAX], gd[HIDDEN_MAX], bd[HIDDEN_MAX], got[HIDDEN_MAX];
static unsigned char means[(ROWS + 1) * 64 * 8], rstds[(ROWS + 1) * 64 * 8];
static struct expected want;

static size_t gammas_of(const struct nb_kernel *k, const struct setup *t)
{
    return k->op == NB_OP_SCALENORM ? 1 : t->hidden;
}

static void fill(const struct nb_kernel *k, const struct setup *t)
{
    const size_t e = nb_dtype_bytes(k->dtype), w = nb_dtype_bytes(t->param_dtype);
    xs = room(&x_room, ((ROWS - 1) * t->ldx + t->hidden) * e);
    ys = room(&y_room, ((ROWS - 1) * t->ldy + t->hidden) * e);
    gs = room(&gamma_room, gammas_of(k, t) * w);
    bs = room(&beta_room, t->hidden * w);
    memset(means, CANARY, sizeof means);
    memset(rstds, CANARY, sizeof rstds);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < t->hidden; i++)
            encode(k->dtype, xs, r * t->ldx + i, normal() * t->scale);
    if (t->special != 0)
        encode(k->dtype, xs, 2 * t->ldx + t->hidden / 2, t->special);
    for (size_t i = 0; i < t->hidden; i++) {
        if (i < gammas_of(k, t))
            encode(t->param_dtype, gs, i, (t->is.gemma ? 0 : 1) + 0.1 * normal());
        encode(t->param_dtype, bs, i, 0.1 * normal());
    }
}

static int untouched(const struct nb_kernel *k, const struct setup *t,
                     const unsigned char *y)
{
    const size_t e = nb_dtype_bytes(k->dtype), s = nb_stat_bytes(k->dtype) * pieces_of(k->op, t->hidden);
    for (size_t r = 0; r + 1 < ROWS; r++)
        if (!all_canaries(y, (r * t->ldy + t->hidden) * e, (r + 1) * t->ldy * e))
            return 0;
    const unsigned char *first = (t->in_place ? x_room : y_room).end - BYTES;
    return all_canaries(first, 0, (size_t)(y - first)) &&
           all_canaries(means, t->stats && is_centred(k->op) ? ROWS * s : 0,
                        sizeof means) &&
           all_canaries(rstds, t->stats && has_rstd(k->op) ? ROWS * s : 0,
                        sizeof rstds);
}

static struct nb_problem problem_of(const struct nb_kernel *k, const struct setup *t)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem),
                               .op = k->op,
                               .dtype = k->dtype,
                               .param_dtype = t->param_dtype,
                               .stats_out = (uint32_t)t->stats,
                               .eps_mode = t->told.eps_mode,
                               .order = t->told.order,
                               .gemma = t->told.gemma,
                               .rows = ROWS,
                               .hidden = t->hidden,
                               .ldx = t->ldx,
                               .ldy = t->ldy,
                               .k = k_of(k->op, t->hidden),
                               .eps = t->eps,
                               .alpha = ALPHA};
}

/* Some tricks are for short rows alone; none refuses 257. */
static int takes(const struct nb_kernel *k, size_t hidden)
{
    const struct setup t = {.hidden = hidden, .ldx = hidden, .ldy = hidden, .param_dtype = k->dtype};
    const struct nb_problem p = problem_of(k, &t);
    return hidden <= 257 || k->supports(&p) == NULL;
}

/* Returns 0 where the kernel's scratch cannot be had or it does not support the problem.
 */
static int call(const struct nb_kernel *k, const struct setup *t, unsigned char *y)
{
    const struct nb_problem p = problem_of(k, t);
    const char *why_not = k->supports(&p);
    if (why_not) {
        printf("%s: %s\n", k->name, why_not);
        return 0;
    }
    const size_t bytes = k->scratch_bytes ? k->scratch_bytes(&p, t->parts) : 0;
    void *scratch = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!scratch)
        return 0;
    struct nb_args a = {.size = sizeof a,
                        .parts = t->parts,
                        .x = xs,
                        .gamma = t->gamma ? gs : NULL,
                        .beta = t->beta ? bs : NULL,
                        .y = y,
                        .mean = means,
                        .rstd = rstds,
                        .scratch = scratch};
    void *own = k->prepare ? k->prepare(&p, &a) : NULL;
    for (a.part = 0; a.part < t->parts; a.part++)
        k->run(own ? own : &p, &a);
    if (own)
        k->finish(own);
    free(scratch);
    return 1;
}

/* ---- y with the roundings of every step ---- */

static double rounded(double v, int mantissa, int bias)
{
    int e;
    if (v == 0 || !isfinite(v))
        return v;
    frexp(v, &e);
    const int normal_ulp = e - 1 - mantissa, least = 1 - bias - mantissa;
    const int ulp = normal_ulp > least ? normal_ulp : least;
    const double r = ldexp(nearbyint(ldexp(v, -ulp)), ulp);
    return fabs(r) < ldexp(1, bias + 1) ? r : copysign((double)INFINITY, r);
}

/* 16 bits by way of f32, as kernels store f64 */
static double stored(uint32_t dtype, double v)
{
    if (dtype == NB_F64)
        return v;
    const double f = (double)(float)v;
    if (dtype == NB_F32)
        return f;
    return dtype == NB_F16 ? rounded(f, 10, 15) : rounded(f, 7, 127);
}

static int in_f64(const struct nb_kernel *k)
{
    return k->dtype == NB_F64 || strcmp(k->algo, "f64acc") == 0;
}

/* Every value between the two is as good. */
struct range {
    double lo, hi;
};

static struct range spread(struct range v, double tol)
{
    return (struct range){v.lo - tol * (1 + fabs(v.lo)), v.hi + tol * (1 + fabs(v.hi))};
}

static struct range range_stored(uint32_t dtype, struct range v)
{
    return (struct range){stored(dtype, v.lo), stored(dtype, v.hi)};
}

/* Arithmetic may err by some of its own units: where a rounding to fewer bits is near a
 * tie, both results of it count. */
static struct range expect_range(const struct nb_kernel *k, const struct setup *t,
                                 double xhat, double gamma, double beta)
{
    const double tol = in_f64(k) ? 1e-14 : 4e-6;
    struct range v = spread((struct range){xhat, xhat}, tol);
    if (t->is.order == NB_CAST_BEFORE)
        v = range_stored(k->dtype, v);
    if (gamma < 0)
        v = (struct range){v.hi, v.lo};
    v = (struct range){v.lo * gamma + beta, v.hi * gamma + beta};
    return range_stored(k->dtype, spread(v, tol));
}

static int in_range(const struct nb_kernel *k, const struct setup *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double xhat = k->op == NB_OP_DYT ? tanh(ALPHA * xd[i]) : (xd[i] - want.mean) * want.rstd;
        const struct range v = expect_range(k, t, xhat, gd[i], bd[i]);
        if (!(v.lo <= got[i] && got[i] <= v.hi))
            return 0;
    }
    return 1;
}

static int uses_params(const struct nb_kernel *k)
{
    return k->op != NB_OP_COPY && k->op != NB_OP_SCALE;
}

static int uses_gamma(const struct nb_kernel *k)
{
    return uses_params(k) && k->op != NB_OP_L2NORM;
}

/* Group or head g of row r of what was computed against the loop over the x saved before the call. */
static int piece_agrees(const struct nb_kernel *k, const struct setup *t, const unsigned char *saved,
                        const unsigned char *y, size_t r, size_t g)
{
    const int gamma = uses_gamma(k) && t->gamma;
    const int beta = uses_params(k) && t->beta && strcmp(k->algo, "gamma") != 0;
    const size_t pieces = pieces_of(k->op, t->hidden), n = t->hidden / pieces, at = r * pieces + g;
    const size_t params = k->op == NB_OP_QKNORM ? 0 : g * n;
    for (size_t i = 0; i < n; i++) {
        xd[i] = decode(k->dtype, saved, r * t->ldx + g * n + i);
        gd[i] = gamma ? t->is.gemma + decode(t->param_dtype, gs, k->op == NB_OP_SCALENORM ? 0 : params + i) : 1;
        bd[i] = beta ? decode(t->param_dtype, bs, params + i) : 0;
        got[i] = decode(k->dtype, y, r * t->ldy + g * n + i);
    }
    expect_row(k->op, n, xd, gd, bd, t->eps, t->is.eps_mode, &want);
    double stats[2] = {0}, exact[2] = {0};
    const uint32_t type = k->dtype == NB_F64 ? NB_F64 : NB_F32;
    if (t->stats && is_centred(k->op)) {
        stats[0] = decode(type, means, at);
        exact[0] = want.mean;
    }
    if (t->stats && has_rstd(k->op)) {
        stats[1] = decode(type, rstds, at);
        exact[1] = want.rstd;
    }
    const double tol = tolerance(k->dtype), fine = tolerance(type);
    if (k->op == NB_OP_COPY)
        return close_to(got, want.y, n, 0);
    /* A row of one or two elements may be nearly constant: rstd then amplifies every
     * rounding. */
    const double k1 = fabs(want.mean) * want.rstd * (n > 2 ? 0 : 1);
    if (t->tight)
        return in_range(k, t, n) && close_to(stats, exact, 2, fine);
    return close_to(got, want.y, n, tol * (1 + (isfinite(k1) ? k1 : 0))) &&
           close_to(stats, exact, 2, fine * (1 + (isfinite(k1) ? k1 * k1 : 0)));
}

static int row_agrees(const struct nb_kernel *k, const struct setup *t, const unsigned char *saved,
                      const unsigned char *y, size_t r)
{
    for (size_t g = 0; g < pieces_of(k->op, t->hidden); g++)
        if (!piece_agrees(k, t, saved, y, r, g))
            return 0;
    return 1;
}

static unsigned char saved[BYTES];

static int agrees(const struct nb_kernel *k, const struct setup *t)
{
    fill(k, t);
    unsigned char *y = t->in_place ? xs : ys;
    const size_t bytes = (size_t)(x_room.end - xs);
    memcpy(saved, xs, bytes);
    if (!call(k, t, y) || !untouched(k, t, y))
        return 0;
    if (!t->in_place && memcmp(saved, xs, bytes) != 0)
        return 0;
    for (size_t r = 0; r < ROWS; r++)
        if (!row_agrees(k, t, saved, y, r))
            return 0;
    return 1;
}

static int report(const struct nb_kernel *k, const struct setup *t, const char *what)
{
    printf(
        "FAIL %s: %s (hidden %zu ldx %zu ldy %zu in_place %d gamma %d beta %d params %s "
        "stats %d parts %u; options %u %u %u, told %u %u %u)\n",
        k->name, what, t->hidden, t->ldx, t->ldy, t->in_place, t->gamma, t->beta,
        nb_dtype_name(t->param_dtype), t->stats, t->parts, t->is.eps_mode, t->is.order,
        t->is.gemma, t->told.eps_mode, t->told.order, t->told.gemma);
    return 1;
}

/* ---- the cases ---- */

static int check_shapes(const struct nb_kernel *k)
{
    int failed = 0;
    for (size_t h = 0; h < sizeof hiddens / sizeof hiddens[0] && takes(k, hiddens[h]); h++)
        for (int option = 0; option < 16; option++) {
            const int in_place = option >> 2 & 1, f32 = option >> 3;
            const size_t n = hiddens[h];
            const struct setup t = {.hidden = n,
                                    .ldx = n + 5,
                                    .ldy = in_place ? n + 5 : n + 3,
                                    .in_place = in_place,
                                    .gamma = option & 1,
                                    .beta = option >> 1 & 1,
                                    .stats = option & 1,
                                    .parts = option & 1 ? 2 : 1,
                                    .param_dtype = f32 ? (uint32_t)NB_F32 : k->dtype,
                                    .eps = EPS,
                                    .scale = 1};
            if ((option & 3 || !f32) && !agrees(k, &t))
                failed +=
                    report(k, &t, "differs from the loop, or wrote outside its rows");
        }
    return failed;
}

/* A NaN or Inf in row 2 shows there as the formula says, and nowhere else. */
static int check_special(const struct nb_kernel *k)
{
    const double specials[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    int failed = 0;
    for (size_t s = 0; s < 3; s++)
        for (size_t h = 4; h < sizeof hiddens / sizeof hiddens[0] && takes(k, hiddens[h]); h += 3) {
            const struct setup t = {.hidden = hiddens[h],
                                    .ldx = hiddens[h],
                                    .ldy = hiddens[h],
                                    .parts = 1,
                                    .param_dtype = k->dtype,
                                    .eps = EPS,
                                    .scale = 1,
                                    .special = specials[s]};
            if (!agrees(k, &t))
                failed += report(
                    k, &t, "a NaN or Inf in row 2 is not treated as the formula says");
        }
    return failed;
}

/* What may not over- or underflow holds on rows around 1e30 and 1e-30, with eps 0 and,
 * outside the root, of the size of the row. */
static int check_range(const struct nb_kernel *k)
{
    const int narrow = k->dtype == NB_F16;
    const double scales[] = {narrow ? 1e4 : 1e30, narrow ? 1e-4 : 1e-30};
    int failed = 0;
    for (size_t i = 0; i < 4; i++) {
        const size_t s = i / 2;
        const struct options o = {.eps_mode = i % 2 ? NB_EPS_OUTSIDE : NB_EPS_INSIDE};
        const struct setup t = {.hidden = 257,
                                .ldx = 257,
                                .ldy = 257,
                                .parts = 1,
                                .gamma = 1,
                                .param_dtype = k->dtype,
                                .eps = i % 2 ? 0.3 * scales[s] : 0,
                                .is = o,
                                .told = o,
                                .scale = scales[s]};
        if (!agrees(k, &t))
            failed += report(k, &t, s ? "fails on small rows" : "fails on large rows");
    }
    return failed;
}

/* ---- options of the norms ---- */

static const struct options all_options = {NB_EPS_OUTSIDE, NB_CAST_BEFORE, 1};

/* One gain is part of the row's factor: nothing is rounded before it. */
static struct options options_of(const struct nb_kernel *k, struct options o)
{
    if (k->op == NB_OP_SCALENORM)
        o.order = NB_CAST_AFTER;
    return o;
}

static struct setup with_options(const struct nb_kernel *k, size_t hidden, int params,
                                 struct options o)
{
    return (struct setup){.hidden = hidden,
                          .ldx = hidden + 5,
                          .ldy = hidden + 5,
                          .in_place = params == 1,
                          .gamma = params & 1,
                          .beta = params >> 1 & 1,
                          .stats = 1,
                          .parts = 1 + (uint32_t)(params & 1),
                          .param_dtype = params & 4 ? (uint32_t)NB_F32 : k->dtype,
                          .eps = 0.3, /* inside and outside differ in any type */
                          .scale = 1,
                          .tight = 1,
                          .is = o,
                          .told = o};
}

static int check_options(const struct nb_kernel *k)
{
    static const size_t lengths[] = {1, 7, 16, 33, 100};
    const struct options options[] = {{.eps_mode = NB_EPS_OUTSIDE},
                                      {.order = NB_CAST_BEFORE},
                                      {.gemma = 1},
                                      all_options};
    int failed = 0;
    for (size_t h = 0; h < sizeof lengths / sizeof lengths[0]; h++)
        for (int o = 0; o < 4; o++)
            for (int params = 0; params < 8; params++) {
                const struct setup t = with_options(k, lengths[h], params, options_of(k, options[o]));
                if (params != 4 && !agrees(k, &t))
                    failed += report(k, &t, "an option is not what it should be");
            }
    return failed;
}

/* The difference an option makes is more than the comparison lets pass: a kernel that is
 * not told of it is caught, alone or beside the others; where it should make none, the
 * kernel agrees. */
static int check_forgotten(const struct nb_kernel *k)
{
    const int narrow = nb_dtype_bytes(k->dtype) < (in_f64(k) ? 8 : 4);
    int failed = 0;
    for (int i = 0; i < 6 * 8; i++) {
        const int option = i / 8 % 3, params = i % 8, alone = i < 24;
        struct options is = alone ? (struct options){0} : options_of(k, all_options);
        struct options told = is;
        uint32_t *const of_is[] = {&is.eps_mode, &is.order, &is.gemma};
        uint32_t *const of_told[] = {&told.eps_mode, &told.order, &told.gemma};
        *of_is[option] = 1;
        *of_told[option] = 0;
        if (option == 1 && k->op == NB_OP_SCALENORM)
            continue; /* it is refused */
        const int matters[] = {has_rstd(k->op), narrow && (params & (uses_gamma(k) ? 3 : 2)), uses_gamma(k) && params & 1};
        struct setup t = with_options(k, 33, params, is);
        t.told = told;
        if (params != 4 && agrees(k, &t) == matters[option])
            failed +=
                report(k, &t, "an option makes a difference elsewhere than it should");
    }
    return failed;
}

/* 1 + gamma with gamma a multiple of 1/64 is exact in any type: the same bits as with
 * that sum for gamma, for the loops differ and the steps do not. */
static int check_same_bits(const struct nb_kernel *k)
{
    static unsigned char plain[BYTES];
    int failed = 0;
    for (int params = 1; params < 8; params += 2)
        for (size_t hidden = 7; hidden <= 187; hidden += 30) {
            struct setup t = with_options(k, hidden, params, (struct options){0});
            t.in_place = 0;
            fill(k, &t);
            const size_t bytes = (size_t)(y_room.end - ys);
            for (uint32_t gemma = 0; gemma < 2; gemma++) {
                for (size_t i = 0; i < gammas_of(k, &t); i++)
                    encode(t.param_dtype, gs, i,
                           1 - (double)gemma + (int)((i + hidden) % 64) / 64.0);
                t.told.gemma = gemma;
                failed += !call(k, &t, ys);
                if (!gemma)
                    memcpy(plain, ys, bytes);
            }
            if (memcmp(plain, ys, bytes) != 0)
                failed += report(k, &t, "gamma and 1 + (gamma - 1) give different bits");
        }
    return failed;
}

/* y, mean and rstd of a row are those of its numbers alone, wherever in a line x begins. Without a pad and with a
 * length of whole lines all rows begin a line at first, which some kernels look for; with one each row begins elsewhere. */
static int depends_on_place(const struct nb_kernel *k, size_t hidden, size_t pad)
{
    static unsigned char first[BYTES], first_means[sizeof means], first_rstds[sizeof rstds];
    struct setup t = with_options(k, hidden, 3, (struct options){0});
    t.in_place = 0;
    t.ldx = t.ldy = hidden + pad;
    fill(k, &t);
    const size_t e = nb_dtype_bytes(k->dtype), bytes = (size_t)(x_room.end - xs), out = (size_t)(y_room.end - ys);
    int differs = 0;
    for (size_t moved = 0; moved < 64 / e && !differs; moved++) {
        differs = !call(k, &t, ys);
        if (moved == 0) {
            memcpy(first, ys, out);
            memcpy(first_means, means, sizeof means);
            memcpy(first_rstds, rstds, sizeof rstds);
        }
        differs |= memcmp(first, ys, out) || memcmp(first_means, means, sizeof means) ||
                   memcmp(first_rstds, rstds, sizeof rstds);
        memmove(xs - e, xs, bytes);
        xs -= e;
    }
    return differs;
}

/* Tricks that promise the sums of their algorithm. */
static int has_other_sums(const struct nb_kernel *k)
{
    static unsigned char their_means[sizeof means], their_rstds[sizeof rstds];
    char name[128];
    if (strcmp(k->trick, "pipe") != 0 && strcmp(k->trick, "nt") != 0 && strcmp(k->trick, "rows8") != 0)
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)(strlen(k->name) - strlen(k->trick) - 1), k->name);
    const struct nb_kernel *plain = nb_kernel_find(name);
    if (!plain) /* such as scale */
        return 0;
    const struct setup t = with_options(k, 391, 3, (struct options){0});
    fill(k, &t);
    if (!call(k, &t, ys))
        return 1;
    memcpy(their_means, means, sizeof means);
    memcpy(their_rstds, rstds, sizeof rstds);
    return !call(plain, &t, ys) || memcmp(their_means, means, sizeof means) ||
           memcmp(their_rstds, rstds, sizeof rstds);
}

static int check_places(const struct nb_kernel *k)
{
    static const size_t lengths[] = {1, 15, 64, 128, 129, 384, 391};
    int failed = 0;
    for (size_t i = 0; i < 2 * (sizeof lengths / sizeof *lengths); i++) {
        const size_t hidden = lengths[i / 2], pad = i % 2 * 5;
        const struct setup t = with_options(k, hidden, 3, (struct options){0});
        if (takes(k, hidden) && depends_on_place(k, hidden, pad))
            failed += report(k, &t, "cannot be called, or its bits depend on where x lies");
    }
    const struct setup t = with_options(k, 391, 3, (struct options){0});
    return failed + (has_other_sums(k) ? report(k, &t, "its sums are not those of its algorithm") : 0);
}

static int check_supports(const struct nb_kernel *k)
{
    const struct options o[] = {
        {.order = NB_CAST_BEFORE}, {.gemma = 1}, {.eps_mode = 2}, {.order = 2}};
    int failed = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct setup t = with_options(k, 33, 3, o[i]);
        const struct nb_problem p = problem_of(k, &t);
        const int norm = is_layer(k->op), known = i < 2 && !(i == 0 && k->op == NB_OP_SCALENORM);
        if (i != 2 || norm)
            failed += (k->supports(&p) == NULL) != (norm && known);
    }
    if (failed)
        printf("FAIL %s: supports() answers otherwise than it should\n", k->name);
    return failed;
}

/* Every pair of neighbouring 16-bit numbers, infinity included: what lies halfway rounds
 * to the even one, a neighbour of it in f32 to the nearer one. 1 * gamma with gamma in
 * f32 is an exact product. */
static int check_rounding(const struct nb_kernel *k)
{
    enum { STEP = 333 };
    const int mantissa = k->dtype == NB_F16 ? 10 : 7,
              bias = k->dtype == NB_F16 ? 15 : 127;
    const int infinity = 0x7fff >> mantissa << mantissa,
              first = k->flushes ? 1 << mantissa : 0;
    const uint16_t one = (uint16_t)(bias << mantissa);
    uint16_t x[3 * STEP], y[3 * STEP], right[3 * STEP];
    float gamma[3 * STEP];
    int failed = 0;
    for (int c = first; c < infinity; c += STEP) {
        const int n = infinity - c < STEP ? infinity - c : STEP;
        for (int i = 0; i < n; i++) {
            const double lo = decode16((uint16_t)(c + i), mantissa, bias);
            const double gap = lo - decode16((uint16_t)(c + i - 1), mantissa, bias);
            const double up = c + i + 1 < infinity
                                  ? decode16((uint16_t)(c + i + 1), mantissa, bias)
                                  : lo + gap;
            const float half = (float)((lo + up) / 2);
            gamma[3 * i] = half;
            gamma[3 * i + 1] = nextafterf(half, 0);
            gamma[3 * i + 2] = nextafterf(half, INFINITY);
            right[3 * i] = (uint16_t)(c + i + (c + i) % 2);
            right[3 * i + 1] = (uint16_t)(c + i);
            right[3 * i + 2] = (uint16_t)(c + i + 1);
        }
        for (int i = 0; i < 3 * n; i++)
            x[i] = one;
        const size_t hidden = (size_t)(3 * n);
        const struct nb_problem p = {.size = sizeof p,
                                     .op = k->op,
                                     .dtype = k->dtype,
                                     .rows = 1,
                                     .param_dtype = NB_F32,
                                     .hidden = hidden,
                                     .ldx = hidden,
                                     .ldy = hidden,
                                     .alpha = 1};
        const struct nb_args a = {
            .size = sizeof a, .parts = 1, .x = x, .y = y, .gamma = gamma};
        k->run(&p, &a);
        for (int i = 0; i < 3 * n && !failed; i++)
            if (y[i] != right[i]) {
                printf("FAIL %s: rounds %a to 0x%04x, not 0x%04x\n", k->name,
                       (double)gamma[i], y[i], right[i]);
                failed = 1;
            }
    }
    return failed;
}

/* The comparison must see one wrong element, a missing one, a NaN for a number and the
 * reverse. */
static int check_comparison(void)
{
    int failed = 0;
    double a[17], b[17];
    for (uint32_t dtype = 0; dtype < NB_DTYPE_COUNT; dtype++) {
        const double tol = tolerance(dtype), wrong[] = {5 * tol, -5 * tol, (double)NAN};
        for (size_t i = 0; i < 17; i++)
            for (size_t w = 0; w < 3; w++) {
                for (size_t j = 0; j < 17; j++)
                    a[j] = b[j] = normal();
                failed += !close_to(a, b, 17, tol);
                b[i] += wrong[w] * (1 + fabs(b[i]));
                failed += close_to(a, b, 17, tol);
                failed += close_to(b, a, 17, tol);
            }
    }
    if (failed)
        printf("FAIL the comparison: %d planted differences were misjudged\n", failed);
    return failed;
}

/* Kernels with a planted error, run through the same checks: each must be caught. */
static const struct nb_kernel *victim;

static void last_element_dropped(const void *state, const struct nb_args *a)
{
    struct nb_problem p = *(const struct nb_problem *)state;
    p.hidden -= p.hidden > 1;
    victim->run(&p, a);
}

static void one_past_the_end(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    victim->run(state, a);
    ((float *)a->y)[p->hidden] = 0;
}

static void beta_forgotten(const void *state, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.beta = NULL;
    victim->run(state, &b);
}

static void last_row_forgotten(const void *state, const struct nb_args *a)
{
    struct nb_problem p = *(const struct nb_problem *)state;
    p.rows -= 1;
    victim->run(&p, a);
}

/* one unit in the last place, where x begins a line */
static void bump(float *v)
{
    *v = nextafterf(*v, INFINITY);
}

static void y_by_place(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    if ((uintptr_t)a->x % 64 == 0)
        bump(a->y);
}

static void rstd_by_place(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    if ((uintptr_t)a->x % 64 == 0)
        bump(a->rstd);
}

static int check_planted_places(void)
{
    void (*const planted[])(const void *, const struct nb_args *) = {y_by_place, rstd_by_place};
    int failed = depends_on_place(victim, 33, 0);
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        struct nb_kernel k = *victim;
        k.run = planted[i];
        failed += !depends_on_place(&k, 33, 0);
    }
    if (failed)
        printf("FAIL bits that depend on where x lies were not caught\n");
    return failed;
}

static int check_planted(void)
{
    void (*const planted[])(const void *, const struct nb_args *) = {
        last_element_dropped, one_past_the_end, beta_forgotten, last_row_forgotten};
    int failed = 0;
    victim = nb_kernel_find("layernorm_fwd_twopass__f32_scalar");
    for (size_t i = 0; victim && i < sizeof planted / sizeof planted[0]; i++) {
        struct nb_kernel k = *victim;
        k.run = planted[i];
        const struct setup t = {.hidden = 33,
                                .ldx = 38,
                                .ldy = 36,
                                .gamma = 1,
                                .beta = 1,
                                .parts = 1,
                                .param_dtype = NB_F32,
                                .eps = EPS,
                                .scale = 1};
        if (!agrees(victim, &t))
            failed += report(victim, &t, "the kernel to plant errors in fails itself");
        if (agrees(&k, &t)) {
            printf("FAIL planted error %zu was not caught\n", i);
            failed++;
        }
    }
    return victim ? failed + check_planted_places() : 1;
}

static int check_kernel(const struct nb_kernel *k)
{
    int failed = check_shapes(k) + check_special(k) + check_supports(k);
    if (is_layer(k->op))
        failed += check_options(k) + check_forgotten(k) + check_same_bits(k) + check_places(k);
    if (k->bound.range_safe)
        failed += check_range(k);
    if (strcmp(k->algo, "gamma") == 0 && nb_dtype_bytes(k->dtype) == 2)
        failed += check_rounding(k);
    return failed;
}

int main(void)
{
    if (!kernels_begin())
        return 1;
    if (!reserve(&x_room, BYTES) || !reserve(&y_room, BYTES) || !reserve(&gamma_room, BYTES) ||
        !reserve(&beta_room, BYTES)) {
        printf("no memory\n");
        return 1;
    }
    return check_kernels(NB_FWD, check_kernel, check_comparison() + check_planted());
}
