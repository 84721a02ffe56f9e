#include "sample.h"

#include "err.h"
#include "registry.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void *nb_sample_room(size_t bytes)
{
    enum { LINE = 64 };
    const size_t room = (bytes + LINE - 1) / LINE * LINE;
    void *memory = aligned_alloc(LINE, room > 0 ? room : LINE);
    NB_ASSERT(memory != NULL);
    return memset(memory, 0, room);
}

/* uniform in (-1, 1) */
static double uniform(unsigned long long *state)
{
    return ((double)(nb_random(state) >> 11) + 0.5) * 0x1p-52 - 1;
}

void nb_sample_gauss(double *v, size_t n, unsigned long long *state)
{
    for (size_t i = 0; i < n; i += 2) {
        double a, b, square;
        do {
            a = uniform(state);
            b = uniform(state);
            square = a * a + b * b;
        } while (square >= 1 || square == 0);
        const double factor = sqrt(-2 * log(square) / square);
        v[i] = a * factor;
        if (i + 1 < n)
            v[i + 1] = b * factor;
    }
}

double nb_gauss(unsigned long long *state)
{
    double v;
    nb_sample_gauss(&v, 1, state);
    return v;
}

double nb_sample_heavy(unsigned long long *state)
{
    double z[3];
    nb_sample_gauss(z, 3, state);
    return sqrt(3 / (z[0] * z[0] + z[1] * z[1] + z[2] * z[2]));
}

struct nb_row_shape nb_row_shape(const double *v, size_t n)
{
    double sum = 0, square = 0, cube = 0, fourth = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = v[i] - mean;
        square += d * d;
        cube += d * d * d;
        fourth += d * d * d * d;
    }
    const double var = square / (double)n;
    return (struct nb_row_shape){mean, var, cube / (double)n / (var * sqrt(var)), fourth / (double)n / (var * var)};
}

size_t nb_sample_kernels(uint32_t op, uint32_t dtype, void (*visit)(const struct nb_kernel *k, void *context), void *context)
{
    size_t count = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        if (k->op == op && k->dir == NB_FWD && k->fuse == NB_FUSE_NONE && k->dtype == dtype && nb_kernel_origin(k) == NB_OURS &&
            nb_kernel_why_not(k) == NULL) {
            visit(k, context);
            count++;
        }
    }
    return count;
}

double nb_worse(double worst, double error)
{
    return isnan(error) ? (double)INFINITY : error > worst ? error : worst;
}
