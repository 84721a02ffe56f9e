/* tune_fuzz.c: a tune file of any bytes is read or refused, and what is read can be chosen from and written. */
#include "cpu.h"
#include "fuzz.h"
#include "registry.h"
#include "tune.h"

#include <stdbool.h>
#include <string.h>

static void use(const struct nb_tune *t)
{
    char *text = NULL;
    size_t len = 0;
    struct nb_tune again;
    struct nb_err err;
    nb_auto_use(t->choices, t->count);
    for (size_t i = 0; i < t->count; i++) {
        const struct nb_auto_choice *c = &t->choices[i];
        struct nb_problem p = {.size = sizeof p, .op = c->kernel->op, .dtype = c->kernel->dtype,
                               .param_dtype = c->kernel->dtype, .rows = c->rows_from, .hidden = c->hidden_from,
                               .ldx = c->hidden_from, .ldy = c->hidden_from};
        const struct nb_kernel *k = nb_auto_choose(c->kernel->isa, &p, c->level, c->rows_from, NULL);
        NB_ASSERT(nb_kernel_why_not(c->kernel) != NULL || k == c->kernel);
    }
    nb_auto_use(NULL, 0);
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    nb_tune_print(t, f);
    NB_ASSERT(fclose(f) == 0 && nb_tune_parse(&again, "again", text, len, &err) == NB_OK);
    NB_ASSERT(again.count == t->count);
    nb_tune_free(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct nb_tune t;
    struct nb_err err = {""};
    if (!begun)
        NB_ASSERT(nb_cpu_init(NULL, 0) == 0);
    begun = true;
    if (nb_tune_parse(&t, "any.tune", (const char *)data, size, &err) == NB_OK) {
        use(&t);
        nb_tune_free(&t);
    } else {
        NB_ASSERT(t.choices == NULL && strncmp(err.text, "any.tune:", 9) == 0);
    }
    return 0;
}
