#include "hearing.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the plan ---- */

static bool same_values(const struct nb_run_of *r, const struct nb_test *t)
{
    bool same = r->experiment == t->experiment;
    for (size_t i = 0; same && i < t->experiment->parameter_count; i++)
        same = strcmp(r->values[i], t->values[i]) == 0;
    return same;
}

static size_t run_of(struct nb_hearing *h, const struct nb_test *t)
{
    size_t i = 0;
    while (i < h->run_count && !same_values(&h->runs[i], t))
        i++;
    if (i < h->run_count)
        return i;
    h->runs = realloc(h->runs, (i + 1) * sizeof *h->runs);
    NB_ASSERT(h->runs != NULL);
    h->runs[h->run_count++] = (struct nb_run_of){.experiment = t->experiment, .values = (const char *const *)t->values};
    return i;
}

static struct nb_case_of plan_case(struct nb_hearing *h, const struct nb_claim *claim)
{
    struct nb_case_of c = {.claim = claim, .tests = calloc(claim->test_count + 1, sizeof *c.tests)};
    NB_ASSERT(c.tests != NULL);
    for (size_t t = 0; t < claim->test_count; t++)
        c.tests[t].run = run_of(h, &claim->tests[t]);
    return c;
}

void nb_hearing_plan(struct nb_hearing *h, const struct nb_claim *const *claims, size_t n)
{
    h->cases = calloc(n + 1, sizeof *h->cases);
    NB_ASSERT(h->cases != NULL);
    for (size_t i = 0; i < n; i++)
        h->cases[h->case_count++] = plan_case(h, claims[i]);
}

/* ---- time ---- */

double nb_run_seconds(const struct nb_hearing *h, const struct nb_run_of *r)
{
    return r->budget_s > 0 ? r->budget_s : fmax(r->experiment->seconds[h->effort], 1e-3);
}

double nb_hearing_seconds(const struct nb_hearing *h)
{
    double sum = 0;
    for (size_t i = 0; i < h->run_count; i++)
        sum += nb_run_seconds(h, &h->runs[i]);
    return sum;
}

/* What is not timed takes what it takes; what is timed shares the rest in proportion to what it would take of itself. */
enum nb_status nb_hearing_budget(struct nb_hearing *h, struct nb_err *err)
{
    double fixed = 0, least = 0, timed = 0;
    for (size_t i = 0; i < h->run_count; i++) {
        const struct nb_experiment *e = h->runs[i].experiment;
        fixed += e->timed ? 0 : e->seconds[h->effort];
        least += e->timed ? e->seconds[NB_QUICK] : 0;
        timed += e->timed ? e->seconds[h->effort] : 0;
    }
    if (!(h->budget_s > 0))
        return NB_OK;
    if (h->budget_s < fixed + least)
        return nb_fail(err, "--budget: %g s do not do for these claims; at least %.0f s: %.0f s for what is timed, %.0f s for the "
                            "rest; or choose fewer with --id", h->budget_s, ceil(fixed + least), ceil(least), ceil(fixed));
    for (size_t i = 0; i < h->run_count; i++) {
        const struct nb_experiment *e = h->runs[i].experiment;
        if (e->timed)
            h->runs[i].budget_s = e->seconds[NB_QUICK] + (h->budget_s - fixed - least) * e->seconds[h->effort] / timed;
    }
    return NB_OK;
}

/* ---- which observations count ---- */

/* The keys of an observation, or a few of the wheres of a quantity, for a message. */
static void list_keys(const char *where, char *text, size_t len)
{
    size_t n = 0;
    text[0] = '\0';
    for (const char *p = where; *p != '\0' && n < len; p += strcspn(p, " "), p += *p == ' ')
        n += (size_t)snprintf(text + n, len - n, "%s%.*s", n > 0 ? " " : "", (int)strcspn(p, "="), p);
}

static void list_wheres(const struct nb_observations *o, const char *quantity, char *text, size_t len)
{
    size_t n = 0, count = 0;
    text[0] = '\0';
    for (size_t i = 0; i < o->n && n < len; i++)
        if (strcmp(o->v[i].quantity, quantity) == 0 && ++count <= 3)
            n += (size_t)snprintf(text + n, len - n, "%s%s", count > 1 ? "; " : "", o->v[i].where);
    if (count > 3 && n < len)
        snprintf(text + n, len - n, "; ...");
}

/* Whether all terms fit; writes what is wrong where a term cannot be asked of these observations. */
static bool counts(struct nb_heard *heard, const struct nb_test *t, const struct nb_observation *o)
{
    char keys[200];
    bool all = true;
    for (size_t i = 0; i < t->where.n && heard->broken[0] == '\0'; i++) {
        const struct nb_term *term = &t->where.v[i];
        const enum nb_fit fit = nb_term_fit(term, o->where);
        all = all && fit == NB_FITS;
        if (fit != NB_LACKS_KEY && fit != NB_NO_NUMBER)
            continue;
        heard->broken_term = term;
        list_keys(o->where, keys, sizeof keys);
        if (fit == NB_LACKS_KEY)
            snprintf(heard->broken, sizeof heard->broken, "where: observations of %s have no \"%s\"; they have: %s", t->quantity, term->key,
                     keys[0] != '\0' ? keys : "none");
        else
            snprintf(heard->broken, sizeof heard->broken, "where: %s is no number; = and != compare words", term->key);
    }
    return all;
}

static void collect(struct nb_heard *heard, const struct nb_test *t, const struct nb_observations *o)
{
    char wheres[400];
    size_t of_quantity = 0;
    heard->v = calloc(o->n + 1, sizeof *heard->v);
    heard->outcome = calloc(o->n + 1, sizeof *heard->outcome);
    NB_ASSERT(heard->v != NULL && heard->outcome != NULL);
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i].quantity, t->quantity) == 0) {
            of_quantity++;
            if (counts(heard, t, &o->v[i]))
                heard->v[heard->n++] = &o->v[i];
        }
    if (heard->broken[0] != '\0')
        heard->n = 0;
    if (heard->n > 0 || heard->broken[0] != '\0')
        return;
    list_wheres(o, t->quantity, wheres, sizeof wheres);
    snprintf(heard->broken, sizeof heard->broken, of_quantity > 0 ? "where: leaves none of %zu observations of %s; there are: %s"
                                                                  : "made %zu observations of %s with these parameters%s",
             of_quantity, t->quantity, wheres);
}

/* ---- verdicts ---- */

static void judge(const struct nb_hearing *h, struct nb_case_of *c)
{
    struct nb_evidence *e = calloc(c->claim->test_count + 1, sizeof *e);
    NB_ASSERT(e != NULL);
    for (size_t t = 0; t < c->claim->test_count; t++) {
        struct nb_heard *heard = &c->tests[t];
        const struct nb_run_of *r = &h->runs[heard->run];
        if (r->error[0] == '\0')
            collect(heard, &c->claim->tests[t], &r->observations);
        e[t] = (struct nb_evidence){.test = c->claim->tests[t].name, .region = c->claim->tests[t].holds, .v = heard->v, .n = heard->n,
                                    .error = r->error[0] != '\0' ? r->error : NULL, .outcome = heard->outcome};
    }
    c->judgement = nb_judge(e, c->claim->test_count);
    for (size_t t = 0; c->judgement.broken && t < c->claim->test_count; t++)
        if (c->tests[t].broken[0] != '\0')
            snprintf(c->judgement.reason, sizeof c->judgement.reason, "test %s: %s", c->claim->tests[t].name, c->tests[t].broken);
    if (c->claim->untestable != NULL)
        snprintf(c->judgement.reason, sizeof c->judgement.reason, "%s", c->claim->untestable);
    free(e);
}

static bool ready(const struct nb_hearing *h, const struct nb_case_of *c)
{
    bool all = true;
    for (size_t t = 0; t < c->claim->test_count; t++)
        all = all && h->runs[c->tests[t].run].done;
    return all;
}

/* Cases from the first undecided one on, as far as all is there; returns the next undecided one. */
static size_t decide(struct nb_hearing *h, size_t next)
{
    for (; next < h->case_count && ready(h, &h->cases[next]); next++) {
        judge(h, &h->cases[next]);
        if (h->decided != NULL)
            h->decided(h->context, &h->cases[next]);
    }
    return next;
}

/* ---- one run ---- */

struct watch {
    struct nb_hearing *h;
    const struct nb_run_of *run;
    double before; /* seconds of the runs before it */
};

static void on_progress(void *context, double share, const char *what)
{
    const struct watch *w = context;
    char text[120];
    if (w->h->progress == NULL)
        return;
    snprintf(text, sizeof text, "%s %s", w->run->experiment->name, what != NULL ? what : "");
    w->h->progress(w->h->context, w->before + fmin(fmax(share, 0), 1) * nb_run_seconds(w->h, w->run), text);
}

/* DIR/EXPERIMENT, or with a number where it is there already. */
static enum nb_status make_dir(const struct nb_hearing *h, struct nb_run_of *r, char *path, size_t len, struct nb_err *err)
{
    for (unsigned k = 1; h->dir != NULL; k++) {
        char number[16] = "";
        if (k > 1)
            snprintf(number, sizeof number, "-%u", k);
        snprintf(r->dir, sizeof r->dir, "%.45s%s", r->experiment->name, number);
        if ((size_t)snprintf(path, len, "%s/%s", h->dir, r->dir) >= len)
            return nb_fail(err, "%s: the path is too long", h->dir);
        if (mkdir(path, 0777) == 0)
            return NB_OK;
        if (errno != EEXIST)
            return nb_fail(err, "cannot make the folder %s: %s", path, strerror(errno));
    }
    return NB_OK;
}

static enum nb_status run_one(struct nb_hearing *h, struct nb_run_of *r, double before, struct nb_err *err)
{
    char path[4200];
    struct nb_err inner = {""};
    struct watch w = {h, r, before};
    enum nb_status s = make_dir(h, r, path, sizeof path, err);
    if (s != NB_OK)
        return s;
    const struct nb_trial t = {.experiment = r->experiment, .values = r->values, .effort = h->effort, .seed = h->seed,
                               .budget_s = r->budget_s, .dir = h->dir != NULL ? path : NULL, .stop = h->stop,
                               .progress = on_progress, .context = &w};
    const uint64_t start = nb_now();
    on_progress(&w, 0, "");
    s = r->experiment->run(&t, &r->observations, &inner);
    r->seconds = 1e-9 * (double)(nb_now() - start);
    if (h->dir != NULL && rmdir(path) == 0) /* it left nothing */
        r->dir[0] = '\0';
    if (s == NB_INTERRUPTED || (h->stop != NULL && h->stop())) {
        nb_observations_free(&r->observations);
        return NB_INTERRUPTED;
    }
    if (s != NB_OK)
        snprintf(r->error, sizeof r->error, "%s", inner.text[0] != '\0' ? inner.text : "the experiment failed and did not say why");
    r->done = true;
    return NB_OK;
}

/* What is finished in spite of an unfinished one before it. */
static void decide_rest(struct nb_hearing *h, size_t next)
{
    for (; next < h->case_count; next++) {
        if (ready(h, &h->cases[next]))
            judge(h, &h->cases[next]);
        if (h->decided != NULL)
            h->decided(h->context, &h->cases[next]);
    }
}

enum nb_status nb_hearing_run(struct nb_hearing *h, struct nb_err *err)
{
    double before = 0;
    size_t next = decide(h, 0);
    for (size_t i = 0; i < h->run_count; i++) {
        enum nb_status s = h->stop != NULL && h->stop() ? NB_INTERRUPTED : run_one(h, &h->runs[i], before, err);
        h->interrupted = s == NB_INTERRUPTED;
        if (s == NB_ERROR)
            snprintf(h->error, sizeof h->error, "%s", err->text);
        if (s != NB_OK) {
            decide_rest(h, next);
            return s;
        }
        before += nb_run_seconds(h, &h->runs[i]);
        next = decide(h, next);
    }
    return NB_OK;
}

void nb_hearing_free(struct nb_hearing *h)
{
    for (size_t i = 0; i < h->case_count; i++) {
        for (size_t t = 0; t < h->cases[i].claim->test_count; t++) {
            free(h->cases[i].tests[t].v);
            free(h->cases[i].tests[t].outcome);
        }
        free(h->cases[i].tests);
    }
    for (size_t i = 0; i < h->run_count; i++)
        nb_observations_free(&h->runs[i].observations);
    free(h->cases);
    free(h->runs);
    h->cases = NULL;
    h->runs = NULL;
    h->case_count = h->run_count = 0;
}
