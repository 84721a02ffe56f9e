/* backward_smoke_test: every backward kernel this CPU can run against plain loops in double: dx, dres, dgamma and dbeta from
 * the mean and rstd it is given; dalpha of dyt. It finds kernels that are broken (tails, strides, slices, options, what was in memory
 * before); how accurate they are is for the oracle to say. libc only, as kernel_smoke_test. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernel_data.h"

enum { ROWS_MAX = 9, HIDDEN_MAX = 1000, PAD_MAX = 8, PARTS_MAX = 3, SHIFT_MAX = 32 };
enum { BYTES = (ROWS_MAX * (HIDDEN_MAX + PAD_MAX) + SHIFT_MAX) * 8, SCRATCH = 1 << 19 };
static const size_t hiddens[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 257, 1000};
#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const double EPS = 1e-5, ALPHA = 0.3;

struct setup {
    size_t rows, hidden, ldx, ldy;
    size_t shift;            /* elements between the end of dx and the guard page: where its vectors lie */
    int gamma;               /* 0: NULL */
    uint32_t param_dtype, gemma;
    int no_dgamma, no_dbeta; /* 1: NULL */
    uint32_t parts;          /* slices; 0: 1, 2 and 3, one after the other */
    double in_x, in_dy;      /* put into row 2 unless 0 */
    double level;            /* all of x, unless 0 */
};

/* ---- what a call is given ---- */

enum { X, DY, GAMMA, MEAN, RSTD, INPUTS, DX = INPUTS, DRES, DGAMMA, DBETA, DALPHA, ROOMS };
static const char *const changes[INPUTS] = {"changes x", "changes dy", "changes gamma", "changes mean", "changes rstd"};
static struct guarded rooms[ROOMS];
static unsigned char *at[ROOMS]; /* in those rooms, as long as a setup needs */
static unsigned char saved[INPUTS][BYTES], first[ROOMS][BYTES];
static _Alignas(64) unsigned char scratch[SCRATCH];
static size_t scratch_step;

/* Or what stands in the place of one: sums over rows. */
static int is_norm(const struct nb_kernel *k)
{
    return k->op != NB_OP_TRIAD;
}

static int has_dalpha(const struct nb_kernel *k, const struct setup *t)
{
    return k->op == NB_OP_DYT && !t->no_dgamma;
}

/* Writes dres, and alpha times it to dx. */
static int has_two(const struct nb_kernel *k)
{
    return k->fuse == NB_FUSE_RESIDUAL;
}

/* Of gamma, dgamma and dbeta. */
static size_t params_of(const struct nb_kernel *k, const struct setup *t)
{
    return k->op == NB_OP_SCALENORM ? 1 : k->op == NB_OP_QKNORM ? k_of(k->op, t->hidden) : t->hidden;
}

/* l2norm has no parameters, scalenorm no beta. */
static int has_gamma(const struct nb_kernel *k)
{
    return is_norm(k) && k->op != NB_OP_L2NORM;
}

static int has_beta(const struct nb_kernel *k)
{
    return is_norm(k) && !is_sum(k->op);
}

static uint32_t real_of(uint32_t dtype)
{
    return dtype == NB_F64 ? NB_F64 : NB_F32;
}

static size_t bytes_of(const struct nb_kernel *k, const struct setup *t, int i)
{
    const size_t e = nb_dtype_bytes(k->dtype);
    if (i == X || i == DY)
        return ((t->rows - 1) * t->ldx + t->hidden) * e;
    if (i == DX || i == DRES)
        return ((t->rows - 1) * t->ldy + t->hidden + t->shift) * e;
    if (i == DALPHA)
        return nb_stat_bytes(k->dtype);
    if (i == MEAN || i == RSTD)
        return t->rows * pieces_of(k->op, t->hidden) * nb_stat_bytes(k->dtype);
    return params_of(k, t) * nb_dtype_bytes(t->param_dtype);
}

/* Mean and rstd in double of n elements of x from there on; kept as number i, rounded to the type they are kept in. */
static void fill_stats(const struct nb_kernel *k, size_t from, size_t n, size_t i)
{
    const double origin = is_centred(k->op) ? decode(k->dtype, at[X], from) : 0;
    double mean = origin, q = 0;
    for (size_t j = 0; j < n && is_centred(k->op); j++)
        mean += (decode(k->dtype, at[X], from + j) - origin) / (double)n;
    for (size_t j = 0; j < n; j++)
        q += pow(decode(k->dtype, at[X], from + j) - mean, 2) / (is_sum(k->op) ? 1 : (double)n);
    encode(real_of(k->dtype), at[MEAN], i, mean);
    encode(real_of(k->dtype), at[RSTD], i, 1 / sqrt(q + EPS));
}

static void fill_row(const struct nb_kernel *k, const struct setup *t, size_t r)
{
    for (size_t i = 0; i < t->hidden; i++) {
        encode(k->dtype, at[X], r * t->ldx + i, t->level != 0 ? t->level : 0.5 + normal());
        encode(k->dtype, at[DY], r * t->ldx + i, 0.25 + normal());
    }
    if (r == 2 && t->in_x != 0)
        encode(k->dtype, at[X], r * t->ldx + t->hidden / 4, t->in_x); /* within a prefix */
    if (r == 2 && t->in_dy != 0)
        encode(k->dtype, at[DY], r * t->ldx + t->hidden / 2, t->in_dy);
    const size_t pieces = pieces_of(k->op, t->hidden), n = t->hidden / pieces;
    for (size_t i = 0; i < pieces; i++)
        fill_stats(k, r * t->ldx + i * n, k->op == NB_OP_PRMSNORM ? k_of(k->op, n) : n, r * pieces + i);
}

/* NaN between the rows, too: nothing there may count. */
static void fill(const struct nb_kernel *k, const struct setup *t)
{
    for (int i = 0; i < INPUTS; i++) {
        const size_t bytes = bytes_of(k, t, i);
        at[i] = room(&rooms[i], bytes);
        memset(at[i], 0xff, bytes);
    }
    for (size_t r = 0; r < t->rows; r++)
        fill_row(k, t, r);
    for (size_t i = 0; i < params_of(k, t); i++)
        encode(t->param_dtype, at[GAMMA], i, (t->gemma ? 0 : 1) + 0.3 * normal());
    for (int i = 0; i < INPUTS; i++)
        memcpy(saved[i], at[i], bytes_of(k, t, i));
}

/* ---- the loops kernels are compared with ---- */

/* A result, and the sum of the sizes of what it is the sum of. */
struct sum {
    double value, terms;
};
static struct sum dx[ROWS_MAX * HIDDEN_MAX], dgamma[HIDDEN_MAX], dbeta[HIDDEN_MAX], dalpha;
static double xhat[HIDDEN_MAX], g[HIDDEN_MAX];

static struct sum plus(struct sum s, double v)
{
    return (struct sum){s.value + v, s.terms + fabs(v)};
}

static double gamma_of(const struct setup *t, size_t i)
{
    return t->gamma ? t->gemma + decode(t->param_dtype, at[GAMMA], i) : 1;
}

/* dx of n elements, whose xhat and g are there and whose statistics are those of the first few */
static void expect_dx(const struct nb_kernel *k, struct sum *to, size_t n, size_t few, double rstd)
{
    const double over = is_sum(k->op) ? 1 : (double)few;
    struct sum mg = {0, 0}, mgx = {0, 0};
    for (size_t i = 0; i < n; i++) {
        mg = is_centred(k->op) ? plus(mg, g[i] / (double)few) : mg;
        mgx = plus(mgx, g[i] * xhat[i] / over);
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = (struct sum){rstd * g[i], rstd * fabs(g[i])};
        if (i < few)
            to[i] = (struct sum){rstd * (g[i] - mg.value - xhat[i] * mgx.value),
                                 rstd * (fabs(g[i]) + mg.terms + fabs(xhat[i]) * mgx.terms)};
    }
}

/* Row r of dyt. */
static void expect_bent(const struct nb_kernel *k, const struct setup *t, size_t r)
{
    for (size_t i = 0; i < t->hidden; i++) {
        const double x = decode(k->dtype, at[X], r * t->ldx + i), dy = decode(k->dtype, at[DY], r * t->ldx + i);
        const double slope = pow(cosh(ALPHA * x), -2), gd = dy * gamma_of(t, i) * slope;
        dx[r * t->hidden + i] = plus((struct sum){0, 0}, gd * ALPHA);
        dgamma[i] = plus(dgamma[i], dy * tanh(ALPHA * x));
        dbeta[i] = plus(dbeta[i], dy);
        dalpha = plus(dalpha, gd * x);
    }
}

/* Group or head number piece of row r, or all of it. */
static void expect_piece(const struct nb_kernel *k, const struct setup *t, size_t r, size_t piece)
{
    const size_t pieces = pieces_of(k->op, t->hidden), n = t->hidden / pieces, from = piece * n;
    const size_t param = k->op == NB_OP_QKNORM ? 0 : from, step = k->op == NB_OP_SCALENORM ? 0 : 1;
    const double mean = is_centred(k->op) ? decode(real_of(k->dtype), at[MEAN], r * pieces + piece) : 0;
    const double rstd = decode(real_of(k->dtype), at[RSTD], r * pieces + piece);
    struct sum *const to = dx + r * t->hidden + from;
    for (size_t i = 0; i < n; i++) {
        const double x = decode(k->dtype, at[X], r * t->ldx + from + i);
        const double dy = decode(k->dtype, at[DY], r * t->ldx + from + i);
        xhat[i] = (x - mean) * rstd;
        g[i] = dy * gamma_of(t, param + step * i);
        dgamma[param + step * i] = plus(dgamma[param + step * i], dy * xhat[i]);
        dbeta[param + i] = plus(dbeta[param + i], dy);
        to[i] = plus(plus((struct sum){0, 0}, x), (has_two(k) ? 1 : ALPHA) * dy);
    }
    if (is_norm(k))
        expect_dx(k, to, n, k->op == NB_OP_PRMSNORM ? k_of(k->op, n) : n, rstd);
}

static void expect(const struct nb_kernel *k, const struct setup *t)
{
    memset(dgamma, 0, sizeof dgamma);
    memset(dbeta, 0, sizeof dbeta);
    dalpha = (struct sum){0, 0};
    for (size_t r = 0; r < t->rows && k->op == NB_OP_DYT; r++)
        expect_bent(k, t, r);
    for (size_t r = 0; r < t->rows && k->op != NB_OP_DYT; r++)
        for (size_t i = 0; i < pieces_of(k->op, t->hidden); i++)
            expect_piece(k, t, r, i);
}

/* Rounded to its storage once, from arithmetic that errs by some of its own units of the terms. */
static int close_to(uint32_t stored, uint32_t real, double got, struct sum want)
{
    static const double half_unit[NB_DTYPE_COUNT] = {
        [NB_F32] = 0x1p-24, [NB_F64] = 0x1p-53, [NB_F16] = 0x1p-11, [NB_BF16] = 0x1p-8};
    const double fine = real == NB_F64 ? 1e-14 : 5e-6, least = stored == NB_F16 ? 0x1p-25 : 0x1p-126;
    if (!isfinite(want.value))
        return isnan(want.value) ? isnan(got) : got == want.value;
    return fabs(got - want.value) <= 1.01 * half_unit[stored] * fabs(want.value) + fine * want.terms + least;
}

static int all_close(uint32_t stored, uint32_t dtype, const void *got, const struct sum *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!close_to(stored, real_of(dtype), decode(stored, got, i), want[i]))
            return 0;
    return 1;
}

/* ---- one call, everything around it guarded ---- */

static struct nb_problem problem_of(const struct nb_kernel *k, const struct setup *t)
{
    return (struct nb_problem){.size = sizeof(struct nb_problem),
                               .op = k->op,
                               .dir = NB_BWD,
                               .fuse = k->fuse,
                               .dtype = k->dtype,
                               .param_dtype = t->param_dtype,
                               .gemma = t->gemma,
                               .rows = t->rows,
                               .hidden = t->hidden,
                               .ldx = t->ldx,
                               .ldy = t->ldy,
                               .k = k_of(k->op, t->hidden),
                               .eps = EPS,
                               .alpha = ALPHA};
}

static size_t scratch_bytes(const struct nb_kernel *k, const struct setup *t)
{
    const struct nb_problem p = problem_of(k, t);
    return k->scratch_bytes ? k->scratch_bytes(&p, t->parts) : 0;
}

/* All that a call writes: NaN where it should, canaries around. */
static int clear_outputs(const struct nb_kernel *k, const struct setup *t)
{
    const size_t e = nb_dtype_bytes(k->dtype), bytes = scratch_bytes(k, t);
    scratch_step = (bytes + 63) / 64 * 64 + 64;
    if (t->parts * scratch_step > SCRATCH)
        return 0;
    for (int i = DX; i < ROOMS; i++)
        at[i] = room(&rooms[i], bytes_of(k, t, i));
    for (size_t r = 0; r < t->rows; r++)
        for (int i = DX; i <= (has_two(k) ? DRES : DX); i++)
            memset(at[i] + r * t->ldy * e, 0xff, t->hidden * e);
    if (!t->no_dgamma)
        memset(at[DGAMMA], 0xff, bytes_of(k, t, DGAMMA));
    if (!t->no_dbeta)
        memset(at[DBETA], 0xff, bytes_of(k, t, DBETA));
    if (has_dalpha(k, t))
        memset(at[DALPHA], 0xff, bytes_of(k, t, DALPHA));
    memset(scratch, CANARY, t->parts * scratch_step);
    for (uint32_t part = 0; part < t->parts; part++)
        memset(scratch + part * scratch_step, 0xff, bytes);
    return 1;
}

static struct nb_args args_of(const struct nb_kernel *k, const struct setup *t)
{
    return (struct nb_args){.size = sizeof(struct nb_args),
                            .parts = t->parts,
                            .x = at[X],
                            .dy = at[DY],
                            .dx = at[DX],
                            .dres = has_two(k) ? at[DRES] : NULL,
                            .gamma = t->gamma ? at[GAMMA] : NULL,
                            .mean = is_centred(k->op) ? at[MEAN] : NULL,
                            .rstd = has_rstd(k->op) ? at[RSTD] : NULL,
                            .dgamma = t->no_dgamma ? NULL : at[DGAMMA],
                            .dbeta = t->no_dbeta ? NULL : at[DBETA],
                            .dalpha = has_dalpha(k, t) ? at[DALPHA] : NULL,
                            .scratch = scratch,
                            .scratch_step = scratch_step};
}

/* The parts in their order, or from the last to the first. */
static int call(const struct nb_kernel *k, const struct setup *t, int backwards)
{
    const struct nb_problem p = problem_of(k, t);
    struct nb_args a = args_of(k, t);
    void *own = k->prepare && !k->supports(&p) ? k->prepare(&p, &a) : NULL;
    const void *state = own ? own : &p;
    if (k->supports(&p) || (k->prepare && !own))
        return 0;
    for (uint32_t i = 0; i < t->parts; i++) {
        a.part = backwards ? t->parts - 1 - i : i;
        a.scratch = k->scratch_bytes ? scratch + a.part * scratch_step : NULL;
        k->run(state, &a);
    }
    a.scratch = k->scratch_bytes ? scratch : NULL;
    for (uint32_t i = 0; i < t->parts && k->reduce; i++) {
        a.part = backwards ? t->parts - 1 - i : i;
        k->reduce(state, &a);
    }
    if (own)
        k->finish(own);
    return 1;
}

/* ---- what a call may not touch ---- */

static const char *input_changed(const struct nb_kernel *k, const struct setup *t)
{
    for (int i = 0; i < INPUTS; i++)
        if (memcmp(saved[i], at[i], bytes_of(k, t, i)) != 0)
            return changes[i];
    return NULL;
}

static int written_outside(const struct nb_kernel *k, const struct setup *t)
{
    const size_t e = nb_dtype_bytes(k->dtype), bytes = scratch_bytes(k, t);
    const int untold[ROOMS] = {[DRES] = !has_two(k), [DGAMMA] = t->no_dgamma, [DBETA] = t->no_dbeta, [DALPHA] = !has_dalpha(k, t)};
    for (int i = DX; i < ROOMS; i++) {
        const size_t before = rooms[i].bytes - bytes_of(k, t, i);
        if (!all_canaries(rooms[i].end - rooms[i].bytes, 0, untold[i] ? rooms[i].bytes : before))
            return 1;
    }
    for (size_t r = 0; r < t->rows; r++) {
        const size_t to = r + 1 < t->rows ? (r + 1) * t->ldy * e : bytes_of(k, t, DX);
        for (int i = DX; i <= DRES; i++)
            if (!all_canaries(at[i], (r * t->ldy + t->hidden) * e, to))
                return 1;
    }
    for (uint32_t part = 0; part < t->parts; part++)
        if (!all_canaries(scratch + part * scratch_step, bytes, scratch_step))
            return 1;
    return 0;
}

/* ---- a setup ---- */

static void keep(const struct nb_kernel *k, const struct setup *t)
{
    for (int i = DX; i < ROOMS; i++)
        memcpy(first[i], at[i], bytes_of(k, t, i));
}

static int same(const struct nb_kernel *k, const struct setup *t, int from, int to)
{
    for (int i = from; i <= to; i++)
        if (memcmp(first[i], at[i], bytes_of(k, t, i)) != 0)
            return 0;
    return 1;
}

/* dx of a row is alpha times dres as it is. */
static int is_scaled(const struct nb_kernel *k, const struct setup *t, size_t r)
{
    static struct sum scaled[HIDDEN_MAX];
    const size_t e = nb_dtype_bytes(k->dtype);
    for (size_t i = 0; i < t->hidden; i++)
        scaled[i] = plus((struct sum){0, 0}, ALPHA * decode(k->dtype, at[DRES], r * t->ldy + i));
    return all_close(k->dtype, k->dtype, at[DX] + r * t->ldy * e, scaled, t->hidden);
}

static const char *wrong_values(const struct nb_kernel *k, const struct setup *t)
{
    const size_t e = nb_dtype_bytes(k->dtype);
    const unsigned char *to = at[has_two(k) ? DRES : DX];
    for (size_t r = 0; r < t->rows; r++)
        if (!all_close(k->dtype, k->dtype, to + r * t->ldy * e, dx + r * t->hidden, t->hidden))
            return has_two(k) ? "dres differs from the loop" : "dx differs from the loop";
    for (size_t r = 0; r < t->rows && has_two(k); r++)
        if (!is_scaled(k, t, r))
            return "dx is not alpha*dres";
    if (!t->no_dgamma && !all_close(t->param_dtype, k->dtype, at[DGAMMA], dgamma, params_of(k, t)))
        return "dgamma differs from the loop";
    if (!t->no_dbeta && !all_close(t->param_dtype, k->dtype, at[DBETA], dbeta, params_of(k, t)))
        return "dbeta differs from the loop";
    if (has_dalpha(k, t) && !all_close(real_of(k->dtype), k->dtype, at[DALPHA], &dalpha, 1))
        return "dalpha differs from the loop";
    return NULL;
}

static const char *call_and_look(const struct nb_kernel *k, const struct setup *t, int backwards)
{
    if (!call(k, t, backwards))
        return "does not take the problem";
    if (written_outside(k, t))
        return "writes outside its rows, its scratch or what it was given";
    return input_changed(k, t);
}

/* So many parts, twice: the second time over what the first one left, and in another order. */
static const char *wrong_in_parts(const struct nb_kernel *k, const struct setup *t)
{
    if (!clear_outputs(k, t))
        return "wants more scratch than there is";
    const char *wrong = call_and_look(k, t, 0);
    wrong = wrong ? wrong : wrong_values(k, t);
    if (wrong)
        return wrong;
    keep(k, t);
    wrong = call_and_look(k, t, 1);
    if (!wrong && !same(k, t, DX, DALPHA))
        wrong = "the same call gives other bits";
    return wrong;
}

static int report(const struct nb_kernel *k, const struct setup *t, const char *what)
{
    printf("FAIL %s: %s (rows %zu hidden %zu ldx %zu ldy %zu shift %zu gamma %d gemma %u params %s dgamma %d dbeta %d "
           "parts %u, %g in x, %g in dy, level %g)\n",
           k->name, what, t->rows, t->hidden, t->ldx, t->ldy, t->shift, t->gamma, t->gemma,
           nb_dtype_name(t->param_dtype), !t->no_dgamma, !t->no_dbeta, t->parts, t->in_x, t->in_dy, t->level);
    return 1;
}

static size_t setups;

/* Whatever the parts, dx and dres are the same bit by bit. */
static const char *wrong(const struct nb_kernel *k, struct setup *t)
{
    static unsigned char whole[2][BYTES];
    const uint32_t from = t->parts ? t->parts : 1, to = t->parts ? t->parts : PARTS_MAX;
    fill(k, t);
    expect(k, t);
    setups++;
    for (t->parts = from; t->parts <= to; t->parts++) {
        const char *what = wrong_in_parts(k, t);
        if (what)
            return what;
        for (int i = DX; i <= DRES; i++) {
            if (t->parts == from)
                memcpy(whole[i - DX], at[i], bytes_of(k, t, i));
            if (memcmp(whole[i - DX], at[i], bytes_of(k, t, i)) != 0)
                return "dx or dres depends on the number of parts";
        }
    }
    return NULL;
}

static int check(const struct nb_kernel *k, struct setup t)
{
    const char *what = wrong(k, &t);
    return what ? report(k, &t, what) : 0;
}

/* ---- the cases ---- */

/* option: 0 to 15, what is NULL and what gamma is; every hidden pairs them with other rows and gaps. */
static struct setup of_option(const struct nb_kernel *k, size_t h, unsigned option)
{
    const size_t n = hiddens[h], turned = option + option / 4 + h;
    const unsigned gamma = option / 4; /* NULL, of x's type, of f32, 1 + gamma of either */
    const int f32 = gamma == 2 || (gamma == 3 && turned % 2);
    return (struct setup){.rows = turned % 2 ? 5 : 9,
                          .hidden = n,
                          .ldx = n + (turned / 2 % 2 ? 5 : 0),
                          .ldy = n + (turned / 2 % 2 ? 3 : 0),
                          .gamma = gamma > 0 && k->op != NB_OP_L2NORM,
                          .param_dtype = f32 ? (uint32_t)NB_F32 : k->dtype,
                          .gemma = gamma == 3,
                          .no_dgamma = !has_gamma(k) || option % 2,
                          .no_dbeta = !has_beta(k) || option / 2 % 2};
}

static int check_shapes(const struct nb_kernel *k)
{
    int failed = 0;
    for (size_t h = 0; h < LENGTH(hiddens); h++)
        for (unsigned option = 0; option < 16; option++)
            failed += check(k, of_option(k, h, option));
    return failed;
}

/* Slices without rows, and with one. */
static int check_few_rows(const struct nb_kernel *k)
{
    int failed = 0;
    for (size_t h = 0; h < LENGTH(hiddens); h += 3)
        for (size_t rows = 1; rows <= 4; rows++) {
            struct setup t = of_option(k, h, 4);
            t.rows = rows;
            failed += check(k, t);
        }
    return failed;
}

/* A NaN or Inf in row 2 shows in its dx and in the sums of its column as the formula says, and nowhere else. */
static int check_special(const struct nb_kernel *k)
{
    const double specials[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    int failed = 0;
    for (size_t h = 3; h < LENGTH(hiddens); h += 2)
        for (size_t s = 0; s < 2 * LENGTH(specials); s++) {
            struct setup t = of_option(k, h, 4);
            *(s % 2 ? &t.in_x : &t.in_dy) = specials[s / 2];
            failed += check(k, t);
        }
    return failed;
}

/* Rows of one value: xhat is 0 however large it is. Lanes beyond a tail, where x is none, are not: mean*rstd
 * overflows there, and may not count. */
static int check_constant(const struct nb_kernel *k)
{
    const double level = k->dtype == NB_F16 ? 0x1p15 : k->dtype == NB_F64 ? 0x1p1020 : 0x1p122;
    int failed = 0;
    for (size_t h = 0; h < LENGTH(hiddens) && is_centred(k->op); h++) {
        struct setup t = of_option(k, h, 4);
        t.level = level;
        failed += check(k, t);
    }
    return failed;
}

/* Wherever the vectors of dx lie; rows end to end are one row for a ceiling. */
static int check_aligned(const struct nb_kernel *k)
{
    static const size_t lengths[] = {7, 33, 100, 257};
    const size_t step = is_norm(k) ? 5 : 1;
    int failed = 0;
    for (size_t i = 0; i < LENGTH(lengths); i++)
        for (size_t gap = 0; gap < 2; gap++)
            for (size_t shift = 0; shift < 64 / nb_dtype_bytes(k->dtype); shift += step)
                failed += check(k, (struct setup){.rows = 5,
                                                  .hidden = lengths[i],
                                                  .ldx = lengths[i] + 2 * gap,
                                                  .ldy = lengths[i] + gap,
                                                  .shift = shift,
                                                  .gamma = k->op != NB_OP_L2NORM,
                                                  .param_dtype = k->dtype,
                                                  .no_dgamma = !has_gamma(k),
                                                  .no_dbeta = !has_beta(k)});
    return failed;
}

/* The kernel that k is by four rows, which sums over rows in the same order; NULL: k is no such kernel. */
static const struct nb_kernel *one_by_one(const struct nb_kernel *k)
{
    char name[128];
    snprintf(name, sizeof name, "%s", k->name);
    char *trick = strstr(name, "_rows4");
    if (!trick || k->op == NB_OP_SCALENORM) /* whose sum is that of rows' sums, which four have in another order */
        return NULL;
    *trick = 0;
    return nb_kernel_find(name);
}

/* dgamma and dbeta, bit by bit. */
static int check_same_bits(const struct nb_kernel *k)
{
    const struct nb_kernel *single = one_by_one(k);
    int failed = 0;
    for (size_t h = 0; h < LENGTH(hiddens) && single; h++)
        for (unsigned option = 0; option < 16; option++) {
            struct setup t = of_option(k, h, option);
            t.parts = 1 + option % PARTS_MAX;
            fill(k, &t);
            int ok = clear_outputs(k, &t) && call(single, &t, 0);
            keep(k, &t);
            ok = ok && clear_outputs(k, &t) && call(k, &t, 0);
            if (!ok || !same(k, &t, DGAMMA, DBETA))
                failed += report(k, &t, "four rows at a time give other sums over rows than one at a time");
        }
    return failed;
}

/* ---- what is refused ---- */

static struct nb_problem plain(const struct nb_kernel *k)
{
    const struct setup t = {.rows = 5, .hidden = 33, .ldx = 38, .ldy = 36, .param_dtype = k->dtype};
    return problem_of(k, &t);
}

static int refuses(const struct nb_kernel *k, const struct nb_problem *p, const char *what, int should)
{
    if ((k->supports(p) != NULL) == should)
        return 0;
    printf("FAIL %s: %s: %s\n", k->name, what, should ? "is not refused" : k->supports(p));
    return 1;
}

#define REFUSED(field, value, should) \
    (p = plain(k), p.field = (value), failed += refuses(k, &p, #field " = " #value, should))

static int check_refused_shapes(const struct nb_kernel *k)
{
    struct nb_problem p;
    int failed = refuses(k, &(struct nb_problem){0}, "nothing", 1);
    REFUSED(rows, 1, 0);
    REFUSED(ldx, 33, 0);
    REFUSED(ldy, 33, 0);
    REFUSED(dir, NB_FWD, 1);
    REFUSED(dir, NB_DIR_COUNT, 1);
    REFUSED(fuse, NB_FUSE_NONE, has_two(k));
    REFUSED(fuse, NB_FUSE_RESIDUAL, !has_two(k));
    REFUSED(fuse, NB_FUSE_POSTNORM, 1);
    REFUSED(hidden, 0, 1);
    REFUSED(ldx, 32, 1);
    REFUSED(ldy, 32, 1);
    REFUSED(size, p.size - 8, 1);
    return failed;
}

static int check_refused_options(const struct nb_kernel *k)
{
    struct nb_problem p;
    int failed = 0;
    REFUSED(gemma, 1, 0);
    REFUSED(param_dtype, NB_F32, 0);
    REFUSED(eps_mode, NB_EPS_OUTSIDE, 1);
    REFUSED(eps_mode, 2, 1);
    REFUSED(order, NB_CAST_BEFORE, 1);
    REFUSED(order, 2, 1);
    REFUSED(param_dtype, NB_F16, k->dtype != NB_F16);
    REFUSED(param_dtype, NB_BF16, k->dtype != NB_BF16);
    REFUSED(param_dtype, NB_F64, k->dtype != NB_F64);
    if (plain(k).k > 0) {
        REFUSED(k, 0, 1);
        REFUSED(k, 34, 1);
    }
    return failed;
}
#undef REFUSED

/* A forward kernel takes no problem backward. */
static int check_forward(void)
{
    int failed = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        struct nb_problem p = plain(k);
        if (k->dir == NB_FWD)
            failed += refuses(k, &p, "backward", 1);
        p.dir = NB_FWD;
        if (k->dir == NB_FWD && k->fuse == NB_FUSE_NONE)
            failed += refuses(k, &p, "forward", 0);
    }
    return failed;
}

/* Sums over rows need a place and somebody to put them together; a ceiling has none. */
static int check_descriptor(const struct nb_kernel *k)
{
    const struct nb_problem p = plain(k);
    const size_t sums = 2 * (k->op == NB_OP_QKNORM ? p.k : p.hidden) * nb_dtype_bytes(real_of(k->dtype));
    const int scratch_ok = is_norm(k) ? k->scratch_bytes && k->scratch_bytes(&p, 3) >= sums : !k->scratch_bytes;
    const int ok = scratch_ok && (k->reduce != NULL) == has_gamma(k);
    if (!ok)
        printf("FAIL %s: has no reduce or scratch, or one too many\n", k->name);
    return !ok;
}

/* ---- kernels with a planted error, run through the same checks: each must be caught ---- */

static const struct nb_kernel *victim;

static void last_element_dropped(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    const size_t last = p->hidden - 1;
    float *const to = (float *)a->dx + last, before = *to;
    victim->run(p, a);
    *to = before;
}

static void one_past_the_end(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    ((float *)a->dx)[((const struct nb_problem *)state)->hidden] = 0;
}

static void one_before_the_first(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    ((float *)a->dx)[-1] = 0;
}

static void last_row_forgotten(const void *state, const struct nb_args *a)
{
    struct nb_problem p = *(const struct nb_problem *)state;
    p.rows -= 1;
    victim->run(&p, a);
}

static void gamma_forgotten(const void *state, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.gamma = NULL;
    victim->run(state, &b);
}

static void mean_forgotten(const void *state, const struct nb_args *a)
{
    struct nb_problem p = *(const struct nb_problem *)state;
    p.op = NB_OP_RMSNORM;
    victim->run(&p, a);
}

static void x_changed(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    ((float *)a->x)[0] += 1;
}

static void rstd_changed(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    ((float *)a->rstd)[0] *= 2;
}

static void scratch_overrun(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    ((unsigned char *)a->scratch)[victim->scratch_bytes(state, a->parts)] = 0;
}

static void scratch_not_cleared(const void *state, const struct nb_args *a)
{
    const float before = *(float *)a->scratch;
    victim->run(state, a);
    *(float *)a->scratch += before;
}

static void bits_by_parts(const void *state, const struct nb_args *a)
{
    victim->run(state, a);
    if (a->part == 0 && a->parts == 2)
        *(float *)a->dx = nextafterf(*(float *)a->dx, 0);
}

static void first_part_alone(const void *state, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.part = 0;
    b.parts = 1;
    victim->reduce(state, &b);
}

static void dgamma_added_to(const void *state, const struct nb_args *a)
{
    const float before = *(float *)a->dgamma;
    victim->reduce(state, a);
    *(float *)a->dgamma += before;
}

static void dbeta_for_dgamma(const void *state, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.dgamma = a->dbeta;
    b.dbeta = a->dgamma;
    victim->reduce(state, &b);
}

static void bits_by_call(const void *state, const struct nb_args *a)
{
    static int calls;
    victim->reduce(state, a);
    if (a->part == 0 && calls++ % 2)
        *(float *)a->dgamma = nextafterf(*(float *)a->dgamma, 0);
}

static void last_columns_forgotten(const void *state, const struct nb_args *a)
{
    if (a->parts == 1 || a->part + 1 < a->parts)
        victim->reduce(state, a);
}

static void alpha_forgotten(const void *state, const struct nb_args *a)
{
    struct nb_problem p = *(const struct nb_problem *)state;
    p.alpha = 1;
    victim->run(&p, a);
}

static void alpha_on_both(const void *state, const struct nb_args *a)
{
    const struct nb_problem *p = state;
    victim->run(state, a);
    for (size_t r = p->rows * a->part / a->parts; r < p->rows * (a->part + 1) / a->parts; r++)
        memcpy((float *)a->dres + r * p->ldy, (float *)a->dx + r * p->ldy, p->hidden * sizeof(float));
}

static void dx_and_dres_swapped(const void *state, const struct nb_args *a)
{
    struct nb_args b = *a;
    b.dx = a->dres;
    b.dres = a->dx;
    victim->run(state, &b);
}

static void first_dres_kept(const void *state, const struct nb_args *a)
{
    float *const to = a->dres, before = *to;
    victim->run(state, a);
    *to = before;
}

typedef void part_of_kernel(const void *state, const struct nb_args *a);
static part_of_kernel *const in_run[] = {last_element_dropped, one_past_the_end, one_before_the_first,
                                         last_row_forgotten, gamma_forgotten, mean_forgotten, x_changed,
                                         rstd_changed, scratch_overrun, scratch_not_cleared, bits_by_parts};
static part_of_kernel *const in_reduce[] = {first_part_alone, dgamma_added_to, dbeta_for_dgamma, bits_by_call,
                                            last_columns_forgotten};
static part_of_kernel *const in_two[] = {alpha_forgotten, alpha_on_both, dx_and_dres_swapped, first_dres_kept,
                                         last_element_dropped, one_past_the_end, last_row_forgotten, scratch_overrun};

static const struct setup planted = {.rows = 5, .hidden = 33, .ldx = 38, .ldy = 36, .gamma = 1, .param_dtype = NB_F32};

/* The errors of kernels with two gradients. */
static int check_planted_two(void)
{
    int failed = 0;
    victim = nb_kernel_find("deepnorm_bwd_res_twopass__f32_scalar");
    if (!victim || check(victim, planted))
        return 1;
    for (size_t i = 0; i < LENGTH(in_two); i++) {
        struct nb_kernel k = *victim;
        struct setup own = planted;
        k.run = in_two[i];
        if (wrong(&k, &own))
            continue;
        printf("FAIL planted error %zu of two gradients was not caught\n", i);
        failed++;
    }
    return failed;
}

static int check_planted(void)
{
    const struct setup t = planted;
    int failed = 0;
    victim = nb_kernel_find("layernorm_bwd_twopass__f32_scalar");
    if (!victim || check(victim, t))
        return 1;
    for (size_t i = 0; i < LENGTH(in_run) + LENGTH(in_reduce); i++) {
        struct nb_kernel k = *victim;
        struct setup own = t;
        if (i < LENGTH(in_run))
            k.run = in_run[i];
        else
            k.reduce = in_reduce[i - LENGTH(in_run)];
        if (wrong(&k, &own))
            continue;
        printf("FAIL planted error %zu was not caught\n", i);
        failed++;
    }
    return failed;
}

static int check_kernel(const struct nb_kernel *k)
{
    int failed = check_descriptor(k) + check_refused_shapes(k);
    if (is_norm(k))
        failed += check_refused_options(k);
    failed += check_shapes(k);
    failed += check_few_rows(k);
    failed += check_special(k);
    failed += check_constant(k);
    failed += check_aligned(k);
    return failed + check_same_bits(k);
}

int main(void)
{
    if (!kernels_begin())
        return 1;
    for (int i = 0; i < ROOMS; i++)
        if (!reserve(&rooms[i], i == X || i == DY || i == DX || i == DRES ? BYTES : HIDDEN_MAX * 8)) {
            printf("no memory\n");
            return 1;
        }
    const int failed = check_kernels(NB_BWD, check_kernel, check_forward() + check_planted() + check_planted_two());
    printf("%zu setups, each with 1, 2 and 3 parts, twice\n", setups);
    return failed;
}
