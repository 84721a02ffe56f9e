#include "families.h"

#include "inputs.h"
#include "nb_kernel.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

enum formula {
    NORMAL,      /* a + b*N(0,1) */
    UNIFORM,     /* a + b*U(-1,1) */
    RELU,        /* max(0, a + b*N(0,1)) */
    LOGNORMAL,   /* exp(b*N(0,1)), random sign */
    LOGUNIFORM,  /* 10^U(a,b), random sign */
    SPIKES,      /* N(0,1), but a in one column and b in another */
    ULPS,        /* a and up to b units in its last place beside it */
    CONSTANTS,   /* 0, 1, 0.1, -3.3, 1e3: one of them in the whole row */
    ONE_OFF,     /* a, but b in one column */
    ALTERNATING, /* a, b, a, b, ... */
    RAMP,        /* a + b*i/n */
    BIG_FIRST,   /* a, then b */
    PAIR,        /* N(0,1), but a and -a in two columns */
    ORT,         /* a + b*(i%100 - 50)/50: the cases of onnxruntime's issue 31973 */
    MIXED,       /* a*N(0,1) and b*N(0,1) by turns */
    PUT,         /* N(0,1), but b in one column */
    EXACT        /* a +- b*(1 + i/2%4): sums and squares without rounding in any order */
};
enum { F = 1u << NB_F32, D = 1u << NB_F64, H = 1u << NB_F16, B = 1u << NB_BF16 };
enum {
    CHECK = NB_FAM_CHECK,
    OUTSIDE = NB_FAM_OUTSIDE,
    BEFORE = NB_FAM_BEFORE,
    PARAM_F32 = NB_FAM_PARAM_F32
};
#define DEFAULT (-1)

#define NB_FAMILY(name, class, dtypes, formula, a, b, params, eps, flags)                    \
    {name, NB_CLASS_##class, dtypes, formula, a, b, NB_PARAMS_##params, eps, flags},
static const struct nb_family FAMILIES[] = {
#include "families.def"
};
#undef NB_FAMILY

static const char *const CLASS_NAMES[NB_CLASS_COUNT] = {"random", "attack",  "range",
                                                        "params", "special", "sweep"};

const char *nb_class_name(enum nb_class c)
{
    NB_ASSERT(c < NB_CLASS_COUNT);
    return CLASS_NAMES[c];
}

size_t nb_family_count(void)
{
    return sizeof FAMILIES / sizeof *FAMILIES;
}

const struct nb_family *nb_family_at(size_t i)
{
    NB_ASSERT(i < nb_family_count());
    return &FAMILIES[i];
}

bool nb_family_has(const struct nb_family *f, uint32_t dtype)
{
    return (f->dtypes >> dtype & 1u) != 0;
}

const struct nb_family *nb_family_find(const char *name, uint32_t dtype)
{
    for (size_t i = 0; i < nb_family_count(); i++)
        if (nb_family_has(&FAMILIES[i], dtype) && strcmp(FAMILIES[i].name, name) == 0)
            return &FAMILIES[i];
    return NULL;
}

/* The next of comma-separated globs into word; NULL behind the last. */
static const char *next_glob(const char *globs, char word[64])
{
    if (*globs == '\0')
        return NULL;
    const size_t n = strcspn(globs, ",");
    snprintf(word, 64, "%.*s", (int)n, globs);
    return globs + n + (globs[n] == ',');
}

bool nb_family_matches(const struct nb_family *f, const char *globs)
{
    char word[64];
    if (globs == NULL)
        return true;
    while ((globs = next_glob(globs, word)) != NULL)
        if (fnmatch(word, f->name, 0) == 0)
            return true;
    return false;
}

enum nb_status nb_families_check(const char *globs, struct nb_err *err)
{
    char word[64];
    while (globs != NULL && (globs = next_glob(globs, word)) != NULL) {
        bool found = false;
        for (size_t i = 0; i < nb_family_count(); i++)
            found = found || fnmatch(word, FAMILIES[i].name, 0) == 0;
        if (!found)
            return nb_fail(err, "--family: no family matches \"%s\"; `normbench accuracy --families` "
                                "lists them", word);
    }
    return NB_OK;
}

bool nb_family_is_likely(const struct nb_family *f)
{
    return f->class == NB_CLASS_RANDOM || f->class == NB_CLASS_PARAMS || f->class == NB_CLASS_SWEEP;
}

/* A column of the row, or two different ones (n > 1). */
static size_t column(uint64_t seed, size_t row, size_t n)
{
    return (size_t)(nb_uniform(seed, row, 1u << 30) * (double)n);
}

static double signed_by(uint64_t seed, size_t row, size_t i, double v)
{
    return copysign(v, nb_uniform(seed, row, ~(uint64_t)i) - 0.5);
}

/* a's neighbours in a type of so many bits */
static double ulps_beside(double a, double b, int bits, double u)
{
    int e;
    frexp(a, &e);
    return a + rint((2 * u - 1) * b) * ldexp(1, e - bits);
}

/* Columns in pairs a+d, a-d; a last one without partner is a itself. */
static double exact_value(double a, double b, size_t i, size_t n)
{
    if (n % 2 == 1 && i == n - 1)
        return a;
    const double d = b * (double)(1 + i / 2 % 4);
    return i % 2 ? a - d : a + d;
}

static const double CYCLE[] = {0, 1, 0.1, -3.3, 1e3};
static const int PRECISION[NB_DTYPE_COUNT] = {
    [NB_F32] = 24, [NB_F64] = 53, [NB_F16] = 11, [NB_BF16] = 8};

/* Formulas without a special column. */
static double plain_value(const struct nb_family *f, uint32_t dtype, uint64_t seed, size_t row,
                          size_t i, size_t n)
{
    const double a = f->a, b = f->b, u = nb_uniform(seed, row, i), z = nb_normal(seed, row, i);
    switch (f->formula) {
    case UNIFORM:
        return a + b * (2 * u - 1);
    case RELU:
        return fmax(0, a + b * z);
    case LOGNORMAL:
        return signed_by(seed, row, i, exp(b * z));
    case LOGUNIFORM:
        return signed_by(seed, row, i, pow(10, a + (b - a) * u));
    case ULPS:
        return ulps_beside(a, b, PRECISION[dtype], u);
    case CONSTANTS:
        return CYCLE[row % (sizeof CYCLE / sizeof *CYCLE)];
    case ALTERNATING:
        return i % 2 ? b : a;
    case RAMP:
        return a + b * (double)i / (double)n;
    case BIG_FIRST:
        return i == 0 ? a : b;
    case ORT:
        return a + ((double)(i % 100) - 50) / 50 * b;
    case MIXED:
        return (i % 2 ? b : a) * z;
    case EXACT:
        return exact_value(a, b, i, n);
    default:
        return a + b * z;
    }
}

static double value(const struct nb_family *f, uint32_t dtype, uint64_t seed, size_t row, size_t i,
                    size_t n)
{
    const size_t one = column(seed, row, n), other = (one + n / 2) % n;
    switch (f->formula) {
    case SPIKES:
        return i == one ? f->a : i == other ? f->b : nb_normal(seed, row, i);
    case PAIR:
        return i == one ? f->a : i == other ? -f->a : nb_normal(seed, row, i);
    case ONE_OFF:
        return i == one ? f->b : f->a;
    case PUT:
        return i == one ? f->b : nb_normal(seed, row, i);
    default:
        return plain_value(f, dtype, seed, row, i, n);
    }
}

void nb_family_row(const struct nb_family *f, uint32_t dtype, uint64_t seed, size_t row, double *x,
                   size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value(f, dtype, seed, row, i, n);
    nb_round_to(dtype, x, n);
}

const struct nb_family *nb_check_family(uint32_t dtype, size_t i)
{
    size_t count = 0;
    for (size_t k = 1; k < nb_family_count(); k++)
        count += FAMILIES[k].flags & NB_FAM_CHECK && nb_family_has(&FAMILIES[k], dtype);
    size_t left = i / 2 % count;
    for (size_t k = 1; i % 2 == 1 && k < nb_family_count(); k++)
        if (FAMILIES[k].flags & NB_FAM_CHECK && nb_family_has(&FAMILIES[k], dtype) && left-- == 0)
            return &FAMILIES[k];
    return &FAMILIES[0];
}
