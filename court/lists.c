/* lists.c: the experiments and claims that there are. */
#include "account_parts.h"

#include "markup.h"

#include <string.h>

static void dump(FILE *f, json_t *array)
{
    json_dumpf(array, f, JSON_INDENT(1));
    fputc('\n', f);
    json_decref(array);
}

static json_t *experiment_json(const struct nb_experiment *e)
{
    json_t *parameters = json_array();
    for (size_t i = 0; i < e->parameter_count; i++) {
        const struct nb_parameter *p = &e->parameters[i];
        const bool numbers = p->kind == NB_NUMBERS;
        json_array_append_new(parameters, json_pack("{ss ss ss so so so}", "name", p->name, "default", p->value, "says", p->says,
                                                    "least", numbers ? nb_number_json(p->least) : json_null(), "most",
                                                    numbers ? nb_number_json(p->most) : json_null(), "choices",
                                                    p->kind == NB_CHOICES ? json_string(p->choices) : json_null()));
    }
    return json_pack("{ss ss ss ss sb so}", "name", e->name, "says", e->says, "quantities", e->quantities, "arguments", e->arguments,
                     "timed", e->timed, "parameters", parameters);
}

static void print_parameter(FILE *f, const struct nb_parameter *p)
{
    fprintf(f, "    %-14s %-22s %s", p->name, p->value, p->says);
    if (p->kind == NB_CHOICES)
        fprintf(f, ": %s", p->choices);
    else if (p->kind == NB_NUMBERS)
        fprintf(f, ", %g to %g", p->least, p->most);
    fputc('\n', f);
}

void nb_list_experiments(FILE *f, bool json)
{
    json_t *array = json_array();
    for (size_t i = 0; i < nb_court_experiments(); i++) {
        const struct nb_experiment *e = nb_court_experiment(i);
        if (json) {
            json_array_append_new(array, experiment_json(e));
            continue;
        }
        fprintf(f, "%s%s: %s\n  observes      %s\n", i > 0 ? "\n" : "", e->name, e->says, e->quantities);
        if (e->arguments[0] != '\0')
            fprintf(f, "  in brackets   %s\n", e->arguments);
        fprintf(f, "  about         %g s, quick %g s, full %g s%s\n", e->seconds[NB_USUAL], e->seconds[NB_QUICK], e->seconds[NB_FULL],
                e->timed ? "; timed" : "");
        for (size_t k = 0; k < e->parameter_count; k++)
            print_parameter(f, &e->parameters[k]);
    }
    if (json)
        dump(f, array);
    else
        json_decref(array);
}

static json_t *claim_json(const struct nb_claim *c)
{
    json_t *experiments = json_array();
    for (size_t t = 0; t < c->test_count; t++)
        json_array_append_new(experiments, json_string(c->tests[t].experiment->name));
    return json_pack("{ss so so so so}", "id", c->id, "title", nb_text_json(c->title), "statement", nb_text_json(c->statement), "untestable",
                     nb_text_or_null(c->untestable), "experiments", experiments);
}

void nb_list_claims(FILE *f, const struct nb_claims *claims, bool json)
{
    json_t *array = json_array();
    for (size_t i = 0; i < claims->n; i++) {
        const struct nb_claim *c = &claims->v[i];
        if (json) {
            json_array_append_new(array, claim_json(c));
            continue;
        }
        fprintf(f, "%-6s", c->id);
        nb_plain_padded(f, c->title, 62);
        for (size_t t = 0; t < c->test_count; t++)
            fprintf(f, "%s%s", t > 0 ? ", " : "", c->tests[t].experiment->name);
        fprintf(f, "%s\n", c->untestable != NULL ? "not testable" : "");
    }
    if (json)
        dump(f, array);
    else
        json_decref(array);
}
