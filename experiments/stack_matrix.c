/* stack_matrix.c: products of small matrices, and norms of vectors. */
#include "stack.h"

#include "activations.h"

#include <math.h>

void nb_stack_multiply(double *c, const double *a, const double *b, size_t n, size_t k, size_t m)
{
    nb_loops()->product(c, a, b, n, k, m);
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
