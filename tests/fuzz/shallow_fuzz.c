/* shallow_fuzz.c: of any text that is JSON, the reduced one is the same but for the arrays and objects under the keys, which are
 * empty; any other text is JSON or refused. */
#include "err.h"
#include "fuzz.h"
#include "shallow.h"

#include <stdbool.h>
#include <string.h>

static const char *const keys[] = {"cells", "kernels", NULL};

static bool is_large(const char *key, const json_t *value)
{
    return (strcmp(key, "cells") == 0 || strcmp(key, "kernels") == 0) && (json_is_array(value) || json_is_object(value));
}

static void empty_large(json_t *whole)
{
    const char *key;
    json_t *value;
    json_object_foreach(whole, key, value) {
        if (is_large(key, value) && json_is_array(value))
            json_array_clear(value);
        else if (is_large(key, value))
            json_object_clear(value);
    }
}

/* Keys may be written with escapes: then they are not looked for. */
static bool has_escapes(const uint8_t *data, size_t size)
{
    return memchr(data, '\\', size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_error_t where;
    char *text = malloc(size + 1);
    NB_ASSERT(text != NULL);
    memcpy(text, data, size);
    json_t *whole = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *reduced = nb_json_text_without(text, size, keys, &where);
    NB_ASSERT(whole == NULL || reduced != NULL);
    if (whole != NULL && !has_escapes(data, size)) {
        empty_large(whole);
        NB_ASSERT(json_equal(whole, reduced));
    }
    json_decref(whole);
    json_decref(reduced);
    free(text);
    return 0;
}
