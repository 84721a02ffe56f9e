/* stack_matrix.c: products of small matrices, and norms of vectors. */
#include "stack.h"

#include <math.h>

/* A tile of 4 x 4 sums stays in registers while a row of b goes by: a factor of 2 to 3 over a plain triple loop. */
enum { TALL = 4, WIDE = 4 };

static void tile(double *c, const double *a, const double *b, size_t k, size_t m)
{
    double sum[TALL][WIDE] = {{0}};
    for (size_t p = 0; p < k; p++)
        for (size_t r = 0; r < TALL; r++)
            for (size_t j = 0; j < WIDE; j++)
                sum[r][j] += a[r * k + p] * b[p * m + j];
    for (size_t r = 0; r < TALL; r++)
        for (size_t j = 0; j < WIDE; j++)
            c[r * m + j] = sum[r][j];
}

/* Less than a tile: the same sums in the same order. */
static void edge(double *c, const double *a, const double *b, size_t k, size_t m, size_t tall, size_t wide)
{
    for (size_t r = 0; r < tall; r++)
        for (size_t j = 0; j < wide; j++) {
            double sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += a[r * k + p] * b[p * m + j];
            c[r * m + j] = sum;
        }
}

void nb_stack_multiply(double *c, const double *a, const double *b, size_t n, size_t k, size_t m)
{
    for (size_t i = 0; i < n; i += TALL)
        for (size_t j = 0; j < m; j += WIDE) {
            const size_t tall = n - i < TALL ? n - i : TALL, wide = m - j < WIDE ? m - j : WIDE;
            if (tall == TALL && wide == WIDE)
                tile(c + i * m + j, a + i * k, b + j, k, m);
            else
                edge(c + i * m + j, a + i * k, b + j, k, m, tall, wide);
        }
}

double nb_stack_norm(const double *v, size_t n)
{
    double most = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(v[i]) <= most)) /* a NaN, too, and it stays */
            most = isnan(most) ? most : fabs(v[i]);
    if (most == 0 || !isfinite(most))
        return most;
    const double by = ldexp(1, -ilogb(most)); /* a power of two rounds nothing */
    for (size_t i = 0; i < n; i++)
        sum += v[i] * by * (v[i] * by);
    return sqrt(sum) / by;
}
