#include "deepnorm_cli.h"

#include "deepnorm.h"
#include "options.h"

#include <jansson.h>
#include <stdbool.h>

/* Everything is gathered as one JSON object; the text is printed from it. */

#define DEEPEST 1000000
#define TEXT_OF(number) #number
#define DIGITS(number) TEXT_OF(number)

static const char RULE[] = "x_(l+1) = LN(alpha*x_l + f_l(x_l))";
static const char ALPHA[] = "multiplies the residual branch x_l before LayerNorm";
static const char BETA[] = "gain of the initial weights of the feed-forward, value and "
                           "output projections of f";
static const char SOURCE[] =
    "Wang et al. 2022. DeepNet: scaling transformers to 1,000 layers. arXiv:2203.00555";

static const struct {
    const char *name, *alpha, *beta;
} STACKS[] = {
    [NB_REF_ENCODER_ONLY] = {"encoder only", "(2N)^(1/4)", "(8N)^(-1/4)"},
    [NB_REF_DECODER_ONLY] = {"decoder only", "(2M)^(1/4)", "(8M)^(-1/4)"},
    [NB_REF_ENCODER_OF_BOTH] = {"encoder of both", "0.81 (N^4 M)^(1/16)",
                                "0.87 (N^4 M)^(-1/16)"},
    [NB_REF_DECODER_OF_BOTH] = {"decoder of both", "(3M)^(1/4)", "(12M)^(-1/4)"},
};

static void add_row(json_t *rows, enum nb_ref_stack stack, size_t encoders,
                    size_t decoders)
{
    const struct nb_ref_deepnorm d =
        nb_ref_deepnorm(stack, (unsigned)encoders, (unsigned)decoders);
    json_array_append_new(rows, json_pack("{ss sI sI sf sf ss ss}", "stack",
                                          STACKS[stack].name, "encoder_layers",
                                          (json_int_t)encoders, "decoder_layers",
                                          (json_int_t)decoders, "alpha", d.alpha, "beta",
                                          d.beta, "alpha_formula", STACKS[stack].alpha,
                                          "beta_formula", STACKS[stack].beta));
}

/* The stacks of one model; 0 layers: it has no such stack. */
static void add_model(json_t *rows, size_t encoders, size_t decoders)
{
    if (decoders == 0)
        add_row(rows, NB_REF_ENCODER_ONLY, encoders, 0);
    else if (encoders == 0)
        add_row(rows, NB_REF_DECODER_ONLY, 0, decoders);
    else {
        add_row(rows, NB_REF_ENCODER_OF_BOTH, encoders, decoders);
        add_row(rows, NB_REF_DECODER_OF_BOTH, encoders, decoders);
    }
}

static void add_usual_models(json_t *rows)
{
    static const size_t alone[] = {6, 12, 18, 24, 100, 1000};
    static const size_t pairs[] = {6, 12, 18, 24, 100, 500};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        add_model(rows, alone[i], 0);
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        add_model(rows, 0, alone[i]);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        add_model(rows, pairs[i], pairs[i]);
}

static json_t *deepnorm(size_t encoders, size_t decoders)
{
    json_t *rows = json_array();
    if (encoders == 0 && decoders == 0)
        add_usual_models(rows);
    else
        add_model(rows, encoders, decoders);
    return json_pack("{si ss ss ss so ss}", "schema", 1, "rule", RULE, "alpha", ALPHA,
                     "beta", BETA, "rows", rows, "source", SOURCE);
}

/* ---- text ---- */

static const char *word(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void print_layers(const json_t *row, const char *key)
{
    const json_int_t n = json_integer_value(json_object_get(row, key));
    if (n == 0)
        printf(" %7s", "-");
    else
        printf(" %7" JSON_INTEGER_FORMAT, n);
}

static void print_row(const json_t *row)
{
    printf("%-15s", word(row, "stack"));
    print_layers(row, "encoder_layers");
    print_layers(row, "decoder_layers");
    printf("  %9.6f  %8.6f  %-19s  %s\n", json_real_value(json_object_get(row, "alpha")),
           json_real_value(json_object_get(row, "beta")), word(row, "alpha_formula"),
           word(row, "beta_formula"));
}

static void print_text(const json_t *o)
{
    size_t i;
    json_t *row;
    printf("%-15s %7s %7s  %9s  %8s  %-19s  %s\n", "stack", "N", "M", "alpha", "beta",
           "alpha is", "beta is");
    json_array_foreach(json_object_get(o, "rows"), i, row)
    {
        print_row(row);
    }
    printf("\n%-7s %s; N encoder layers, M decoder layers\n", "rule", word(o, "rule"));
    printf("%-7s %s\n%-7s %s\n%-7s %s\n", "alpha", word(o, "alpha"), "beta",
           word(o, "beta"), "source", word(o, "source"));
}

static void print(json_t *o, bool json)
{
    NB_ASSERT(o != NULL);
    if (json) {
        json_dumpf(o, stdout, JSON_INDENT(1));
        putchar('\n');
    } else
        print_text(o);
    json_decref(o);
}

/* ---- the command ---- */

enum { KEY_ENCODER = NB_OPTION_OTHERS, KEY_DECODER, KEY_JSON };

static const struct argp_option OPTIONS[] = {
    {"encoder", KEY_ENCODER, "N", 0, "encoder layers, 1 to " DIGITS(DEEPEST), 1},
    {"decoder", KEY_DECODER, "M", 0, "decoder layers, 1 to " DIGITS(DEEPEST), 1},
    {"json", KEY_JSON, 0, 0, "one JSON object in place of text", 1},
    {0}};

struct request {
    const char *encoder, *decoder, *stray;
    bool json;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;
    if (key == KEY_ENCODER)
        r->encoder = arg;
    else if (key == KEY_DECODER)
        r->decoder = arg;
    else if (key == KEY_JSON)
        r->json = true;
    else if (key == ARGP_KEY_ARG && r->stray == NULL)
        r->stray = arg;
    else if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static void parse_request(struct request *r, int argc, char **argv)
{
    nb_option_parse(
        OPTIONS, parse_option, NULL,
        "The constants of DeepNorm, alpha and beta, by architecture and depth. "
        "Both depths: a model of encoder and decoder; neither: a table of usual "
        "depths.\vExamples:\n"
        "  normbench deepnorm --encoder 18     # an encoder alone, as BERT is\n"
        "  normbench deepnorm --encoder 12 --decoder 6 --json",
        argc, argv, r);
}

/* Leaves 0 where the option was not given. */
static enum nb_status read_depth(const char *option, const char *text, size_t *depth,
                                 struct nb_err *err)
{
    return text != NULL ? nb_parse_size(option, text, 1, DEEPEST, depth, err) : NB_OK;
}

enum nb_status nb_cmd_deepnorm(int argc, char **argv, int *exit_code, struct nb_err *err)
{
    struct request r = {0};
    size_t encoders = 0, decoders = 0;
    parse_request(&r, argc, argv);
    if (r.stray != NULL)
        return nb_fail(err,
                       "deepnorm: unexpected word \"%s\"; depths are --encoder N and "
                       "--decoder M, whole numbers from 1 to %d",
                       r.stray, DEEPEST);
    enum nb_status s = read_depth("--encoder", r.encoder, &encoders, err);
    if (s == NB_OK)
        s = read_depth("--decoder", r.decoder, &decoders, err);
    if (s == NB_OK)
        print(deepnorm(encoders, decoders), r.json);
    *exit_code = 0;
    return s;
}
