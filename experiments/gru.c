/* gru.c: one time step of a GRU with norms, block.h. Weights: 0 of the input, 1 of the state, [3d][d]: z, r, candidate. Places: 0, 1
 * gates [2d] and candidate [d] of what the input gives, 2, 3 of what the state gives; rows of 3d. */
#include "block.h"

static void make_side(struct nb_block *b)
{
    const size_t d = b->shape.d, n = b->shape.rows * 3 * d;
    float *x = nb_block_floats(b, n), *y = nb_block_floats(b, n), *dy = NULL, *dx = NULL;
    if (b->shape.training) {
        dy = nb_block_floats(b, n);
        dx = nb_block_floats(b, n);
    }
    if (b->failed)
        return;
    nb_block_place(b, 2 * d, 3 * d, x, y, dy, dx);
    nb_block_place(b, d, 3 * d, x + 2 * d, y + 2 * d, dy != NULL ? dy + 2 * d : NULL, dx != NULL ? dx + 2 * d : NULL);
    nb_block_weight(b, 3 * d, d);
}

void nb_gru_make(struct nb_block *b)
{
    const size_t n = b->shape.rows * b->shape.d;
    b->state = nb_block_floats(b, n);
    b->dstate = b->shape.training ? nb_block_floats(b, n) : NULL;
    b->u.gru.z = nb_block_floats(b, n);
    b->u.gru.r = nb_block_floats(b, n);
    b->u.gru.c = nb_block_floats(b, n);
    make_side(b);
    make_side(b);
}

/* What row r of the step reads and writes. */
static struct nb_gru_row row_of(const struct nb_block *b, const struct nb_norms *norms, size_t r)
{
    const size_t one = r * b->shape.d, three = 3 * one;
    const struct nb_place *x = &b->place[0], *h = &b->place[2];
    return (struct nb_gru_row){.x = (norms->none ? x->x : x->y) + three, .h = (norms->none ? h->x : h->y) + three,
                               .state = b->state + one, .z = b->u.gru.z + one, .r = b->u.gru.r + one, .c = b->u.gru.c + one,
                               .y = b->y + one};
}

void nb_gru_forward(struct nb_block *b, struct nb_norms *norms)
{
    nb_weight_forward(b, 0, b->x, b->place[0].x);
    nb_weight_forward(b, 1, b->state, b->place[2].x);
    for (size_t i = 0; i < b->places; i++)
        nb_norms_forward(norms, b, i);
    for (size_t r = 0; r < b->shape.rows; r++) {
        const struct nb_gru_row row = row_of(b, norms, r);
        b->loops->gru(b->shape.d, &row);
    }
}

void nb_gru_backward(struct nb_block *b, struct nb_norms *norms)
{
    const size_t d = b->shape.d;
    for (size_t r = 0; r < b->shape.rows; r++) {
        struct nb_gru_row row = row_of(b, norms, r);
        row.dy = b->dy + r * d;
        row.dx = b->place[0].dy + r * 3 * d;
        row.dh = b->place[2].dy + r * 3 * d;
        row.dstate = b->dstate + r * d;
        b->loops->gru_back(d, &row);
    }
    for (size_t i = 0; i < b->places; i++)
        nb_norms_backward(norms, b, i);
    nb_weight_backward(b, 0, b->x, norms->none ? b->place[0].dy : b->place[0].dx, b->dx);
    /* the state also reaches y past the candidate: dstate has that part already */
    const struct nb_weight *w = &b->weight[1];
    const float *dh = norms->none ? b->place[2].dy : b->place[2].dx;
    nb_weight_backward(b, 1, b->state, dh, NULL);
    b->gemm(false, false, b->shape.rows, w->in, w->out, 1, dh, w->out, w->w, w->in, 1, b->dstate, w->in);
}
