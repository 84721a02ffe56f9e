#include "net.h"

#include "stats.h"

#include <math.h>
#include <string.h>

struct nb_net nb_net(enum nb_net_norm norm, size_t inputs, size_t width, size_t inner, size_t depth)
{
    const uint32_t op = norm == NB_NET_LAYERNORM ? NB_OP_LAYERNORM : NB_OP_RMSNORM;
    return (struct nb_net){norm, inputs, width, inner, depth, nb_f64_norm(op, 1, width, 0, 1e-5)};
}

/* ---- where parameters lie: W_in, depth times (gamma, beta, W1, b1, W2), gamma, beta, w_out. Matrices [inputs][outputs] ---- */

struct block {
    size_t gamma, beta, w1, b1, w2;
};

static struct block block_at(const struct nb_net *n, size_t l)
{
    const size_t norm = 2 * n->width, w1 = n->width * n->inner, all = norm + w1 + n->inner + w1, first = n->inputs * n->width + l * all;
    return (struct block){first, first + n->width, first + norm, first + norm + w1, first + norm + w1 + n->inner};
}

size_t nb_net_size(const struct nb_net *n)
{
    return block_at(n, n->depth).w1 + n->width;
}

static void draw_matrix(double *w, size_t inputs, size_t outputs, unsigned long long *state)
{
    for (size_t i = 0; i < inputs * outputs; i++)
        w[i] = sqrt(12 / (double)inputs) * ((double)(nb_random(state) >> 11) * 0x1p-53 - 0.5);
}

void nb_net_draw(const struct nb_net *n, double *theta, unsigned long long *state)
{
    memset(theta, 0, nb_net_size(n) * sizeof *theta);
    draw_matrix(theta, n->inputs, n->width, state);
    for (size_t l = 0; l <= n->depth; l++) {
        const struct block b = block_at(n, l);
        for (size_t i = 0; i < n->width; i++)
            theta[b.gamma + i] = 1;
        if (l < n->depth) {
            draw_matrix(theta + b.w1, n->width, n->inner, state);
            draw_matrix(theta + b.w2, n->inner, n->width, state);
        } else {
            draw_matrix(theta + b.w1, n->width, 1, state); /* w_out */
        }
    }
}

/* ---- products of matrices, rows of the batch one after the other. The inner loops run over independent sums: compilers may not
 * reorder one sum ---- */

/* y += x W: [rows][n], [n][m] */
static void times(const double *restrict x, const double *restrict w, double *restrict y, size_t rows, size_t n, size_t m)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < m; j++)
                y[r * m + j] += x[r * n + i] * w[i * m + j];
}

/* dW += x' dy */
static void times_gradient(const double *restrict x, const double *restrict dy, double *restrict dw, size_t rows, size_t n, size_t m)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < m; j++)
                dw[i * m + j] += x[r * n + i] * dy[r * m + j];
}

/* dx = dy W'; turned: room for n*m */
static void times_back(const double *restrict dy, const double *restrict w, double *restrict dx, size_t rows, size_t n, size_t m,
                       double *restrict turned)
{
    for (size_t i = 0; i < n * m; i++)
        turned[i % m * n + i / m] = w[i];
    memset(dx, 0, rows * n * sizeof *dx);
    times(dy, turned, dx, rows, m, n);
}

/* ---- the norm ---- */

static struct nb_f64_norm of_batch(const struct nb_net *n, size_t batch)
{
    struct nb_f64_norm all = n->kernels;
    all.rows = batch;
    return all;
}

/* What a norm keeps for its backward pass. */
struct kept {
    double *y, *mean, *rstd;
};

static void norm_forward(const struct nb_net *n, const double *theta, struct block b, const double *h, size_t batch, struct kept k)
{
    const struct nb_f64_norm norm = of_batch(n, batch);
    if (n->norm == NB_NET_NONE)
        memcpy(k.y, h, batch * n->width * sizeof *h);
    else
        nb_f64_forward(&norm, h, theta + b.gamma, n->norm == NB_NET_LAYERNORM ? theta + b.beta : NULL, k.y, k.mean, k.rstd);
}

/* dx from dy; gradients of gamma and beta are written. */
static void norm_backward(const struct nb_net *n, const double *theta, struct block b, const double *h, size_t batch, struct kept k,
                          const double *dy, double *dx, double *gradient)
{
    const struct nb_f64_norm norm = of_batch(n, batch);
    if (n->norm == NB_NET_NONE)
        memcpy(dx, dy, batch * n->width * sizeof *dx);
    else
        nb_f64_backward(&norm, h, theta + b.gamma, k.mean, k.rstd, dy, dx, gradient + b.gamma,
                        n->norm == NB_NET_LAYERNORM ? gradient + b.beta : NULL);
}

/* ---- the net ---- */

/* Of each l: h_l, norm(h_l) [batch][width], its mean and rstd [batch], of z = W1 norm + b1 the slope silu'(z), and a = silu(z)
 * [batch][inner]. With s = 1/(1 + exp(-z)) a = z s and the slope is s + a (1 - s). */
struct at {
    double *h, *slope, *a;
    struct kept kept;
};

static size_t of_one_layer(const struct nb_net *n, size_t batch)
{
    return batch * (2 * n->width + 2 + 2 * n->inner);
}

static struct at at_layer(const struct nb_net *n, size_t batch, double *work, size_t l)
{
    double *h = work + l * of_one_layer(n, batch), *y = h + batch * n->width, *mean = y + batch * n->width, *slope = mean + 2 * batch;
    return (struct at){h, slope, slope + batch * n->inner, {y, mean, mean + batch}};
}

size_t nb_net_work(const struct nb_net *n, size_t batch)
{
    return (n->depth + 1) * of_one_layer(n, batch) + batch * (1 + 3 * n->width + n->inner) + /* out; dh, dx, dy; dz */
           n->width * (n->inner > 1 ? n->inner : 1);                                             /* a matrix, turned */
}

static void block_forward(const struct nb_net *n, const double *theta, struct block b, size_t batch, struct at at, double *next)
{
    norm_forward(n, theta, b, at.h, batch, at.kept);
    for (size_t i = 0; i < batch * n->inner; i++)
        at.a[i] = theta[b.b1 + i % n->inner];
    times(at.kept.y, theta + b.w1, at.a, batch, n->width, n->inner);
    for (size_t i = 0; i < batch * n->inner; i++) {
        const double s = 1 / (1 + exp(-at.a[i]));
        at.a[i] *= s;
        at.slope[i] = s + at.a[i] * (1 - s);
    }
    memcpy(next, at.h, batch * n->width * sizeof *next);
    times(at.a, theta + b.w2, next, batch, n->inner, n->width);
}

/* dh holds the gradient of h_{l+1} and is given that of h_l. */
static void block_backward(const struct nb_net *n, const double *theta, struct block b, size_t batch, struct at at, double *dh,
                           double *gradient)
{
    double *dx = dh + batch * n->width, *dy = dx + batch * n->width, *dz = dy + batch * n->width, *turned = dz + batch * n->inner;
    times_gradient(at.a, dh, gradient + b.w2, batch, n->inner, n->width);
    times_back(dh, theta + b.w2, dz, batch, n->inner, n->width, turned);
    for (size_t i = 0; i < batch * n->inner; i++) {
        dz[i] *= at.slope[i];
        gradient[b.b1 + i % n->inner] += dz[i];
    }
    times_gradient(at.kept.y, dz, gradient + b.w1, batch, n->width, n->inner);
    times_back(dz, theta + b.w1, dy, batch, n->width, n->inner, turned);
    norm_backward(n, theta, b, at.h, batch, at.kept, dy, dx, gradient);
    for (size_t i = 0; i < batch * n->width; i++)
        dh[i] += dx[i];
}

static void backward(const struct nb_net *n, const double *theta, const double *x, const double *dout, size_t batch, double *work,
                     double *dh, double *gradient)
{
    const struct at last = at_layer(n, batch, work, n->depth);
    const struct block b = block_at(n, n->depth);
    double *dy = dh + 2 * batch * n->width, *turned = dy + batch * (n->width + n->inner);
    memset(gradient, 0, nb_net_size(n) * sizeof *gradient);
    times_gradient(last.kept.y, dout, gradient + b.w1, batch, n->width, 1);
    times_back(dout, theta + b.w1, dy, batch, n->width, 1, turned);
    norm_backward(n, theta, b, last.h, batch, last.kept, dy, dh, gradient);
    for (size_t l = n->depth; l-- > 0;)
        block_backward(n, theta, block_at(n, l), batch, at_layer(n, batch, work, l), dh, gradient);
    times_gradient(x, dh, gradient, batch, n->inputs, n->width);
}

double nb_net_loss(const struct nb_net *n, const double *theta, const double *x, const double *t, size_t batch, double *work,
                   double *gradient)
{
    const struct at last = at_layer(n, batch, work, n->depth);
    double *out = work + (n->depth + 1) * of_one_layer(n, batch), loss = 0;
    memset(work, 0, batch * n->width * sizeof *work); /* h_0 */
    times(x, theta, work, batch, n->inputs, n->width);
    for (size_t l = 0; l < n->depth; l++)
        block_forward(n, theta, block_at(n, l), batch, at_layer(n, batch, work, l), at_layer(n, batch, work, l + 1).h);
    norm_forward(n, theta, block_at(n, n->depth), last.h, batch, last.kept);
    memset(out, 0, batch * sizeof *out);
    times(last.kept.y, theta + block_at(n, n->depth).w1, out, batch, n->width, 1);
    for (size_t r = 0; r < batch; r++) {
        out[r] -= t[r];
        loss += out[r] * out[r] / (double)batch;
        out[r] *= 2 / (double)batch;
    }
    if (gradient != NULL)
        backward(n, theta, x, out, batch, work, out + batch, gradient);
    return loss;
}

void nb_adam(size_t n, double *theta, const double *gradient, double *first, double *second, double rate, size_t step)
{
    const double fix1 = 1 - pow(0.9, (double)step), fix2 = 1 - pow(0.999, (double)step);
    for (size_t i = 0; i < n; i++) {
        first[i] = 0.9 * first[i] + 0.1 * gradient[i];
        second[i] = 0.999 * second[i] + 0.001 * gradient[i] * gradient[i];
        theta[i] -= rate * (first[i] / fix1) / (sqrt(second[i] / fix2) + 1e-8);
    }
}

void nb_momentum(size_t n, double *theta, const double *gradient, double *first, double rate)
{
    for (size_t i = 0; i < n; i++) {
        first[i] = 0.9 * first[i] + gradient[i];
        theta[i] -= rate * first[i];
    }
}
