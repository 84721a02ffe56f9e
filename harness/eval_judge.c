#include "eval_parts.h"

#include "appraise.h"
#include "codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool nb_eval_of_columns(const struct nb_problem *p)
{
    return nb_op_facts(p->op)->columns;
}

bool nb_eval_ran(const struct nb_outcome *o)
{
    return o->verdict == NB_UNTESTED || o->verdict == NB_PASS ||
           o->verdict == NB_FAIL_VALUE || o->verdict == NB_FAIL_NONFINITE;
}

/* A norm of the tensor: of one piece of a line, which is a row or, where norms are of
 * columns, a column. */
struct norm {
    const struct nb_problem *p;
    size_t line, piece;
};

static size_t line_length(const struct nb_problem *p)
{
    return nb_eval_of_columns(p) ? p->rows : p->hidden;
}

/* Where element i of a norm lies. */
static size_t row_of(const struct norm *m, size_t i)
{
    return nb_eval_of_columns(m->p) ? i : m->line;
}

static size_t element_of(const struct norm *m, size_t i)
{
    return nb_eval_of_columns(m->p) ? m->line
                                    : m->piece * (m->p->hidden / nb_op_pieces(m->p)) + i;
}

/* A line as it is stored; room for that of a column, which lies nowhere in one piece. */
static const char *stored_line(const struct nb_problem *p, const void *tensor,
                               size_t item, size_t line, char *room)
{
    const char *from = tensor;
    if (!nb_eval_of_columns(p))
        return from + line * p->hidden * item;
    for (size_t r = 0; r < p->rows; r++)
        memcpy(room + r * item, from + (r * p->hidden + line) * item, item);
    return room;
}

static void take_row(struct nb_outcome *o, const struct nb_appraisal *a,
                     const struct nb_dd *want, const double *got, const struct norm *m)
{
    const struct nb_ref_error *e = &a->error;
    const char *fault = nb_appraisal_fault(a, false);
    o->unstable += a->hazard == NB_REF_UNSTABLE;
    o->overflow += a->hazard == NB_REF_OVERFLOW;
    o->nonfinite += e->nonfinite;
    o->normwise = fmax(o->normwise, e->normwise);
    o->ulp_max = fmax(o->ulp_max, e->ulp_max);
    if (e->E_max >= o->E_max && e->compared > 0) {
        o->E_max = e->E_max;
        o->worst_row = row_of(m, e->worst);
        o->worst_i = element_of(m, e->worst);
        o->worst_got = got[e->worst];
        o->worst_want = want[e->worst].hi;
    }
    if (a->hazard != NB_REF_INSIDE)
        return;
    o->inside++;
    o->bound = o->inside == 1 ? a->limits.worst.E : fmin(o->bound, a->limits.worst.E);
    o->share = fmax(o->share, e->share);
    if (fault != NULL && (o->verdict == NB_UNTESTED || o->verdict == NB_PASS)) {
        o->verdict = e->nonfinite > 0 ? NB_FAIL_NONFINITE : NB_FAIL_VALUE;
        snprintf(o->reason, sizeof(o->reason), "%s beyond its bound in %s %zu", fault,
                 nb_eval_of_columns(m->p) ? "column" : "row", m->line);
    } else if (o->verdict == NB_UNTESTED) {
        o->verdict = NB_PASS;
    }
}

/* |a - b| over the scale, as a maximum; a NaN on one side alone is Inf. */
static double distance(double seen, double a, double b)
{
    if (isnan(a) != isnan(b))
        return INFINITY;
    return isnan(a) || a == b ? seen : fmax(seen, fabs(a - b));
}

static void take_expected(const struct nb_eval *e, struct nb_expected *x,
                          const struct nb_ref_row *row, const struct nb_dd *y,
                          const struct nb_ref_stats *stats, const struct norm *m,
                          double *scratch)
{
    struct nb_ref_error error;
    const struct nb_ref_type *type =
        nb_ref_type_find(nb_dtype_name(nb_eval_dtype[e->ref.kind]));
    nb_ref_judge(row, y, stats, type, NULL, x->row, scratch, &error);
    if (error.E_max > x->E_max) {
        x->worst_row = row_of(m, error.worst);
        x->worst_i = element_of(m, error.worst);
    }
    x->E_max = fmax(x->E_max, error.E_max);
    x->ulp_max = fmax(x->ulp_max, error.ulp_max);
    x->normwise = fmax(x->normwise, error.normwise);
    x->nonfinite += error.nonfinite;
    for (size_t i = 0; i < row->n; i++)
        if (isfinite(x->row[i]))
            x->top = fmax(x->top, fabs(x->row[i]));
}

/* Room for one line, and what is of it. */
struct desk {
    double *x, *ref, *gamma,
        *beta;       /* [length]; gamma and beta: of a column, an element of each row's */
    double *scratch; /* [2 length] */
    struct nb_dd *y; /* [length] */
    char *stored;    /* [length] of any type */
};

static struct desk make_desk(size_t length)
{
    double *v = malloc(6 * length * sizeof *v);
    struct desk d = {v,
                     v + length,
                     v + 2 * length,
                     v + 3 * length,
                     v + 4 * length,
                     malloc(length * sizeof *d.y),
                     malloc(length * sizeof(double))};
    NB_ASSERT(v != NULL && d.y != NULL && d.stored != NULL);
    return d;
}

static void free_desk(struct desk *d)
{
    free(d->x);
    free(d->y);
    free(d->stored);
}

static struct nb_ref_row exact_row(const struct nb_eval *e, const struct norm *m,
                                   const struct desk *d)
{
    const bool columns = nb_eval_of_columns(m->p);
    const double *gamma = columns && e->gamma_wide != NULL ? d->gamma : e->gamma_wide;
    const double *beta = columns && e->beta_wide != NULL ? d->beta : e->beta_wide;
    struct nb_ref_row row = nb_appraise_row(m->p, d->x, gamma, beta, m->piece);
    row.mean = columns && e->run_mean_wide != NULL ? e->run_mean_wide[m->line] : 0;
    row.var = columns && e->run_var_wide != NULL ? e->run_var_wide[m->line] : 1;
    return row;
}

/* x, and what was expected of it. */
static void lay_line(const struct nb_eval *e, const struct nb_problem *p, size_t line,
                     const struct desk *d)
{
    const size_t n = line_length(p);
    nb_decode(p->dtype, stored_line(p, e->x.data, e->x.item, line, d->stored), d->x, n);
    if (e->ref.data != NULL)
        nb_decode(nb_eval_dtype[e->ref.kind],
                  stored_line(p, e->ref.data, e->ref.item, line, d->stored), d->ref, n);
    for (size_t i = 0; nb_eval_of_columns(p) && i < n; i++) {
        d->gamma[i] = e->gamma_wide != NULL ? e->gamma_wide[line] : 1;
        d->beta[i] = e->beta_wide != NULL ? e->beta_wide[line] : 0;
    }
}

/* One norm, of all kernels of an op. */
static void judge_norm(const struct nb_eval *e, struct nb_outcome *list, size_t count,
                       struct nb_expected *expected, const struct norm *m,
                       const struct desk *d)
{
    const size_t pieces = nb_op_pieces(m->p), at = m->line * pieces + m->piece,
                 ss = nb_stat_bytes(m->p->dtype);
    const struct nb_ref_row row = exact_row(e, m, d);
    const double *ref = d->ref + m->piece * row.n;
    struct nb_ref_stats stats;
    nb_ref_forward(&row, d->y, &stats);
    if (expected != NULL && e->ref.data != NULL) {
        expected->row = ref;
        take_expected(e, expected, &row, d->y, &stats, m, d->scratch);
    }
    for (size_t k = 0; k < count; k++) {
        struct nb_outcome *o = &list[k];
        struct nb_appraisal a;
        if (!nb_eval_ran(o))
            continue;
        const char *y = stored_line(m->p, o->y, e->x.item, m->line, d->stored) +
                        m->piece * row.n * e->x.item;
        nb_appraise(o->kernel, &row, d->y, &stats, y,
                    m->p->stats_out ? o->mean + at * ss : NULL,
                    m->p->stats_out ? o->rstd + at * ss : NULL, d->scratch, &a);
        take_row(o, &a, d->y, d->scratch, m);
        for (size_t i = 0; e->ref.data != NULL && i < row.n; i++)
            o->ref_max = distance(o->ref_max, d->scratch[i], ref[i]);
    }
}

/* What was expected is held against the first op. */
void nb_eval_judge(const struct nb_eval *e, struct nb_outcome *list, size_t count,
                   struct nb_expected *expected)
{
    struct desk d = make_desk(e->problem.rows > e->problem.hidden ? e->problem.rows
                                                                  : e->problem.hidden);
    for (size_t first = 0, last; first < count; first = last) {
        const struct nb_problem p = nb_eval_problem(e, list[first].kernel);
        const size_t lines = nb_eval_of_columns(&p) ? p.hidden : p.rows;
        for (last = first; last < count && list[last].kernel->op == p.op;)
            last++;
        for (size_t i = 0; i < lines * nb_op_pieces(&p); i++) {
            const struct norm m = {&p, i / nb_op_pieces(&p), i % nb_op_pieces(&p)};
            if (m.piece == 0)
                lay_line(e, &p, m.line, &d);
            judge_norm(e, list + first, last - first, first == 0 ? expected : NULL, &m,
                       &d);
        }
    }
    free_desk(&d);
}
