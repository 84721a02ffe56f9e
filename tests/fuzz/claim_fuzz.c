/* claim_fuzz.c: a claim of any bytes is read or refused, as a file and as it is put on the command line; what is read can be asked of
 * observations, printed, and holds only what its experiment allows. */
#include "ask.h"
#include "claims.h"
#include "fuzz.h"

#include <string.h>

static void use_test(const struct nb_test *t)
{
    char text[100];
    struct nb_err err;
    for (size_t i = 0; i < t->experiment->parameter_count; i++)
        NB_ASSERT(nb_parameter_check(&t->experiment->parameters[i], t->values[i], &err) == NB_OK);
    NB_ASSERT(nb_words_have(t->experiment->quantities, t->quantity) && t->holds.low <= t->holds.high);
    for (size_t i = 0; i < t->where.n; i++) {
        const struct nb_term *term = &t->where.v[i];
        NB_ASSERT(term->key[0] != '\0' && term->values[0] != '\0');
        (void)nb_term_fit(term, "op=rmsnorm mean=1 sd=1e-05 eps=0");
    }
    nb_region_print(&t->holds, text, sizeof text);
}

static void as_file(const uint8_t *data, size_t size)
{
    struct nb_claim c;
    struct nb_err err = {""};
    if (nb_claim_parse(&c, "folder/C1.claim", (const char *)data, size, &err) != NB_OK) {
        NB_ASSERT(c.id == NULL && c.tests == NULL && strncmp(err.text, "folder/C1.claim:", 16) == 0);
        return;
    }
    NB_ASSERT(strcmp(c.id, "C1") == 0 && (c.untestable != NULL) == (c.test_count == 0));
    for (size_t i = 0; i < c.test_count; i++)
        use_test(&c.tests[i]);
    nb_claim_free(&c);
}

static void as_question(const uint8_t *data, size_t size)
{
    struct nb_claim c;
    struct nb_err err = {""};
    char *text = malloc(size + 1);
    NB_ASSERT(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (nb_ask(&c, text, &err) == NB_OK) {
        use_test(&c.tests[0]);
        nb_claim_free(&c);
    } else {
        NB_ASSERT(c.tests == NULL && strchr(err.text, '^') != NULL);
        for (const char *p = err.text; *p != '\0'; p++)
            NB_ASSERT(*p == '\n' || (unsigned char)*p >= ' ');
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_file(data, size);
    as_question(data, size);
    return 0;
}
