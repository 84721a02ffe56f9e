/* account_json.c: claims.json. */
#include "account_parts.h"

#include "host.h"
#include "markup.h"
#include "shares.h"

#include <math.h>
#include <string.h>

json_t *nb_number_json(double v)
{
    return isnan(v) ? json_null() : isinf(v) ? json_string(v > 0 ? "inf" : "-inf") : json_real(v);
}

json_t *nb_text_json(const char *s)
{
    char c[4];
    size_t n = 0;
    char *clean = malloc(strlen(s) + 1);
    NB_ASSERT(clean != NULL);
    while (*s != '\0') {
        const size_t more = nb_next_char(&s, c);
        memcpy(clean + n, c, more);
        n += more;
    }
    clean[n] = '\0';
    json_t *j = json_string(clean);
    free(clean);
    NB_ASSERT(j != NULL);
    return j;
}

json_t *nb_text_or_null(const char *s)
{
    return s != NULL && s[0] != '\0' ? nb_text_json(s) : json_null();
}

static json_t *where_json(const char *where)
{
    json_t *o = json_object();
    char key[200];
    for (const char *p = where; *p != '\0'; p += strcspn(p, " "), p += *p == ' ') {
        const int n = (int)strcspn(p, "= "), m = p[n] == '=' ? (int)strcspn(p + n + 1, " ") : 0;
        char value[200];
        snprintf(key, sizeof key, "%.*s", n, p);
        snprintf(value, sizeof value, "%.*s", m, p[n] == '=' ? p + n + 1 : "");
        json_object_set_new(o, key, nb_text_json(value));
    }
    return o;
}

static json_t *observation_json(const struct nb_observation *o)
{
    json_t *j = json_object();
    json_object_set_new(j, "quantity", nb_text_json(o->quantity));
    json_object_set_new(j, "unit", nb_text_json(o->unit));
    json_object_set_new(j, "where", where_json(o->where));
    json_object_set_new(j, "value", nb_number_json(o->value));
    json_object_set_new(j, "low", nb_number_json(o->low));
    json_object_set_new(j, "high", nb_number_json(o->high));
    json_object_set_new(j, "noise", nb_number_json(o->noise));
    json_object_set_new(j, "n", json_integer((json_int_t)o->n));
    json_object_set_new(j, "of", nb_text_json(o->of));
    json_object_set_new(j, "missing", nb_text_or_null(o->missing));
    json_object_set_new(j, "once", json_boolean(o->once));
    json_object_set_new(j, "nan", json_boolean(o->nan));
    return j;
}

static json_t *run_json(const struct nb_run_of *r)
{
    json_t *j = json_object(), *parameters = json_object(), *observations = json_array();
    for (size_t i = 0; i < r->experiment->parameter_count; i++)
        json_object_set_new(parameters, r->experiment->parameters[i].name, nb_text_json(r->values[i]));
    for (size_t i = 0; i < r->observations.n; i++)
        json_array_append_new(observations, observation_json(&r->observations.v[i]));
    json_object_set_new(j, "experiment", nb_text_json(r->experiment->name));
    json_object_set_new(j, "parameters", parameters);
    json_object_set_new(j, "timed", json_boolean(r->experiment->timed));
    json_object_set_new(j, "done", json_boolean(r->done));
    json_object_set_new(j, "seconds", r->done ? nb_number_json(r->seconds) : json_null());
    json_object_set_new(j, "budget_s", r->budget_s > 0 ? nb_number_json(r->budget_s) : json_null());
    json_object_set_new(j, "error", nb_text_or_null(r->error));
    json_object_set_new(j, "dir", nb_text_or_null(r->dir));
    json_object_set_new(j, "observations", observations);
    return j;
}

static json_t *test_json(const struct nb_hearing *h, const struct nb_case_of *c, size_t t)
{
    const struct nb_test *test = &c->claim->tests[t];
    const struct nb_heard *heard = &c->tests[t];
    json_t *j = json_object(), *cells = json_array();
    for (size_t i = 0; i < heard->n; i++) {
        const double times = nb_times_longer(heard->v[i], &test->holds, c->judgement.together);
        json_t *cell = json_object();
        json_object_set_new(cell, "observation", json_integer((json_int_t)(heard->v[i] - h->runs[heard->run].observations.v)));
        json_object_set_new(cell, "outcome", json_string(nb_outcome_name(heard->outcome[i])));
        json_object_set_new(cell, "times_longer", heard->outcome[i] == NB_OPEN ? nb_number_json(times) : json_null());
        json_array_append_new(cells, cell);
    }
    json_object_set_new(j, "name", nb_text_json(test->name));
    json_object_set_new(j, "run", json_integer((json_int_t)heard->run));
    json_object_set_new(j, "quantity", nb_text_json(test->quantity));
    json_object_set_new(j, "where", nb_text_or_null(test->where_text));
    json_object_set_new(j, "holds", nb_text_json(test->holds_text));
    json_object_set_new(j, "cells", cells);
    return j;
}

static json_t *case_json(const struct nb_account *a, const struct nb_case_of *c)
{
    const struct nb_claim *claim = c->claim;
    const struct nb_judgement *v = &c->judgement;
    json_t *j = json_object(), *against = json_array(), *tests = json_array();
    char *repro = nb_account_repro(a, claim);
    for (size_t i = 0; i < claim->against_count; i++)
        json_array_append_new(against, nb_text_json(claim->against[i]));
    for (size_t t = 0; t < claim->test_count && v->finding != NB_UNTRIED; t++)
        json_array_append_new(tests, test_json(a->hearing, c, t));
    const char *const texts[][2] = {{"id", claim->id}, {"title", claim->title}, {"statement", claim->statement},
                                    {"source", claim->source}, {"refuted_by", claim->refuted_by}, {"why", claim->why},
                                    {"verdict", nb_finding_name(v->finding)}, {"regime", v->regime}, {"reason", v->reason},
                                    {"repro", repro}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_object_set_new(j, texts[i][0], nb_text_or_null(texts[i][1]));
    free(repro);
    json_object_set_new(j, "against", against);
    json_object_set_new(j, "cells", json_pack("{sI sI sI sI sI}", "holds", (json_int_t)v->holds, "fails", (json_int_t)v->fails, "open",
                                              (json_int_t)v->open, "missing", (json_int_t)v->missing, "lost",
                                              (json_int_t)v->lost));
    json_object_set_new(j, "stretch", nb_number_json(v->stretch));
    json_object_set_new(j, "times_longer", nb_number_json(v->finding == NB_NOT_RESOLVED ? v->longer : NAN));
    json_object_set_new(j, "tests", tests);
    return j;
}

json_t *nb_account_json(const struct nb_account *a)
{
    const struct nb_hearing *h = a->hearing;
    char wrong[600] = "";
    nb_shares_wrong(h, wrong, sizeof wrong);
    json_t *j = json_object(), *runs = json_array(), *claims = json_array();
    for (size_t i = 0; i < h->run_count; i++)
        json_array_append_new(runs, run_json(&h->runs[i]));
    for (size_t i = 0; i < h->case_count; i++)
        json_array_append_new(claims, case_json(a, &h->cases[i]));
    const char *const texts[][2] = {{"command", a->command}, {"version", NB_VERSION}, {"git", nb_host_git()},
                                    {"compiler", a->compiler}, {"cpu", a->cpu}, {"registry", a->registry},
                                    {"effort", nb_effort_name(h->effort)}};
    json_object_set_new(j, "schema", json_integer(1));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_object_set_new(j, texts[i][0], nb_text_or_null(texts[i][1]));
    json_object_set_new(j, "seed", json_integer((json_int_t)h->seed));
    json_object_set_new(j, "budget_s", h->budget_s > 0 ? nb_number_json(h->budget_s) : json_null());
    json_object_set_new(j, "seconds", nb_number_json(a->seconds));
    json_object_set_new(j, "interrupted", json_boolean(h->interrupted));
    json_object_set_new(j, "error", nb_text_or_null(h->error));
    json_object_set_new(j, "wrong", nb_text_or_null(wrong));
    json_object_set_new(j, "runs", runs);
    json_object_set_new(j, "claims", claims);
    return j;
}
