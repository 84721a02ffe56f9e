#include "changes.h"
#include "err.h"
#include "stats.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Values [from, to) of the series, as a multiset: what no permutation changes. */
struct segment {
    size_t from, to;
    double q; /* of its best split; below 0: too short to be split */
    size_t at;
};

struct placed {
    double x;
    size_t i;
};

struct work {
    size_t n;
    double *x;     /* the values that are numbers */
    size_t *where; /* their places in the series */
    size_t
        *rank;   /* of a value in its segment, from 1; equal values have different ones */
    double *row; /* sum of its distances from all others of its segment */
    size_t *order; /* a permutation within each segment */
    size_t *count; /* Fenwick trees over ranks: values seen, */
    double *sum;   /* and their sum */
    struct placed *sorted;
    struct segment *segments;
    size_t segment_count;
};

/* ---- sums of distances ---- */

static void tree_clear(struct work *w, size_t n)
{
    memset(w->count, 0, (n + 1) * sizeof *w->count);
    memset(w->sum, 0, (n + 1) * sizeof *w->sum);
}

static void tree_add(struct work *w, size_t n, size_t rank, double x)
{
    for (size_t i = rank; i <= n; i += i & -i) {
        w->count[i]++;
        w->sum[i] += x;
    }
}

/* Sum of |x - y| over the `seen` values y in the tree, whose sum is total. */
static double tree_distance(const struct work *w, size_t rank, double x, size_t seen,
                            double total)
{
    size_t below = 0;
    double sum = 0;
    for (size_t i = rank; i > 0; i -= i & -i) {
        below += w->count[i];
        sum += w->sum[i];
    }
    return x * (double)below - sum + (total - sum) - x * (double)(seen - below);
}

/* ---- one segment ---- */

static int by_value(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    return x->x < y->x ? -1 : x->x > y->x ? 1 : (x->i > y->i) - (x->i < y->i);
}

/* Ranks and row sums; returns the sum over pairs. */
static double describe(struct work *w, const struct segment *s)
{
    const size_t n = s->to - s->from;
    double before = 0, all = 0, pairs = 0;
    for (size_t k = 0; k < n; k++) {
        const size_t i = s->from + k;
        w->sorted[k] = (struct placed){w->x[i], i};
        w->order[i] = i;
        all += w->x[i];
    }
    qsort(w->sorted, n, sizeof *w->sorted, by_value);
    for (size_t r = 0; r < n; r++) {
        const size_t i = w->sorted[r].i;
        const double x = w->sorted[r].x;
        w->rank[i] = r + 1;
        w->row[i] = x * (double)r - before + (all - before) - x * (double)(n - r);
        before += x;
        pairs += w->row[i];
    }
    return pairs / 2;
}

/* Matteson and James, eq. (5) and (6): n m / (n + m) times the energy distance, from the
 * sums of distances between the sides, within the left and within the right one. */
static double energy(double between, double left, double right, double n, double m)
{
    return n * m / (n + m) *
           (2 / (n * m) * between - 2 / (n * (n - 1)) * left - 2 / (m * (m - 1)) * right);
}

/* The largest energy over all splits of the segment, its values taken in order. */
static double scan(struct work *w, const struct segment *s, double pairs, size_t *at)
{
    const size_t n = s->to - s->from;
    double left = 0, right = pairs, total = 0, best = -1;
    tree_clear(w, n);
    for (size_t k = 1; k + NB_CHANGES_SIDE <= n; k++) {
        const size_t i = w->order[s->from + k - 1];
        const double to_left = tree_distance(w, w->rank[i], w->x[i], k - 1, total);
        tree_add(w, n, w->rank[i], w->x[i]);
        total += w->x[i];
        left += to_left;
        right -= w->row[i] - to_left;
        if (k < NB_CHANGES_SIDE)
            continue;
        const double q =
            energy(pairs - left - right, left, right, (double)k, (double)(n - k));
        if (q > best) {
            best = q;
            *at = s->from + k;
        }
    }
    return best;
}

static bool can_split(const struct segment *s)
{
    return s->to - s->from >= NB_CHANGES_LEAST;
}

/* ---- the permutation test ---- */

static double pairs_of(const struct work *w, const struct segment *s)
{
    double sum = 0;
    for (size_t i = s->from; i < s->to; i++)
        sum += w->row[i];
    return sum / 2;
}

/* The largest energy over all segments, each in an order of its own. */
static double shuffled(struct work *w, unsigned long long *state)
{
    double best = -1;
    size_t at;
    for (size_t i = 0; i < w->segment_count; i++) {
        const struct segment *s = &w->segments[i];
        if (!can_split(s))
            continue;
        nb_shuffle(w->order + s->from, s->to - s->from, state);
        const double q = scan(w, s, pairs_of(w, s), &at);
        best = q > best ? q : best;
    }
    return best;
}

/* p of an energy: the share of orders, this one among them, that have as much. It is not
 * counted further once it is above the level. What rounding makes of a tie is a tie. */
static double p_value(struct work *w, double q, double level, unsigned long long *state)
{
    const double reached = q - 1e-9 * fabs(q);
    const double most = level * (NB_CHANGES_PERMUTATIONS + 1) + 1e-9;
    size_t more = 1;
    for (size_t r = 0; r < NB_CHANGES_PERMUTATIONS; r++) {
        more += shuffled(w, state) >= reached;
        if ((double)more > most)
            return 1;
    }
    return (double)more / (NB_CHANGES_PERMUTATIONS + 1);
}

/* ---- the whole ---- */

static void look(struct work *w, struct segment *s)
{
    s->q = -1;
    if (can_split(s))
        s->q = scan(w, s, describe(w, s), &s->at);
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    NB_ASSERT(p != NULL && "out of memory");
    return p;
}

static struct work work_of(const double *v, size_t n)
{
    struct work w = {0,
                     room(n, sizeof *w.x),
                     room(n, sizeof *w.where),
                     room(n, sizeof *w.rank),
                     room(n, sizeof *w.row),
                     room(n, sizeof *w.order),
                     room(n, sizeof *w.count),
                     room(n, sizeof *w.sum),
                     room(n, sizeof *w.sorted),
                     room(NB_CHANGES_MOST, sizeof *w.segments),
                     1};
    for (size_t i = 0; i < n; i++)
        if (!isnan(v[i])) {
            w.x[w.n] = v[i];
            w.where[w.n++] = i;
        }
    w.segments[0] = (struct segment){.to = w.n};
    look(&w, &w.segments[0]);
    return w;
}

static void work_free(struct work *w)
{
    free(w->x);
    free(w->where);
    free(w->rank);
    free(w->row);
    free(w->order);
    free(w->count);
    free(w->sum);
    free(w->sorted);
    free(w->segments);
}

static size_t best_segment(const struct work *w)
{
    size_t best = 0;
    for (size_t i = 1; i < w->segment_count; i++)
        if (w->segments[i].q > w->segments[best].q)
            best = i;
    return best;
}

static void split(struct work *w, size_t i)
{
    struct segment *s = &w->segments[i];
    memmove(s + 1, s, (w->segment_count - i) * sizeof *s);
    w->segment_count++;
    s[0].to = s[1].from = s[0].at;
    look(w, &s[0]);
    look(w, &s[1]);
}

/* A split is found while other changes still lie in its segment, and may be a little off.
 * Between its two neighbours it is placed again (Bai 1997, repartition). */
static void place_again(struct work *w)
{
    for (size_t i = 0; i + 1 < w->segment_count; i++) {
        struct segment both = {.from = w->segments[i].from, .to = w->segments[i + 1].to};
        look(w, &both);
        w->segments[i].to = w->segments[i + 1].from = both.at;
    }
}

static double median_of(const struct work *w, const struct segment *s)
{
    const size_t n = s->to - s->from;
    double *copy = room(n, sizeof *copy);
    memcpy(copy, w->x + s->from, n * sizeof *copy);
    const double median = nb_median(copy, n);
    free(copy);
    return median;
}

static void insert(struct nb_change *found, size_t n, struct nb_change c)
{
    size_t i = n;
    for (; i > 0 && found[i - 1].at > c.at; i--)
        found[i] = found[i - 1];
    found[i] = c;
}

size_t nb_changes(const double *v, size_t n, double level, unsigned long long seed,
                  struct nb_change found[NB_CHANGES_MOST])
{
    struct work w = work_of(v, n);
    size_t count = 0;
    while (w.segment_count < NB_CHANGES_MOST) {
        const size_t i = best_segment(&w);
        const double q = w.segments[i].q;
        const double p = q > 0 ? p_value(&w, q, level, &seed) : 1;
        if (p > level + 1e-9)
            break;
        insert(found, count++, (struct nb_change){.at = w.segments[i].at, .p = p});
        split(&w, i);
    }
    place_again(&w);
    for (size_t i = 0; i < count; i++) {
        found[i].before = median_of(&w, &w.segments[i]);
        found[i].after = median_of(&w, &w.segments[i + 1]);
        found[i].at = w.where[w.segments[i + 1].from];
    }
    work_free(&w);
    return count;
}
