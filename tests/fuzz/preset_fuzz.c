/* preset_fuzz.c: a preset of any bytes is read or refused, and what is read can be used.
 */
#include "cpu.h"
#include "fuzz.h"
#include "registry.h"
#include "select.h"

#include <stdbool.h>
#include <string.h>

static void use(struct nb_preset *p)
{
    struct nb_err err;
    NB_ASSERT(p->count > 0 && p->settings.processes > 0 && p->settings.rounds > 0);
    for (size_t i = 0; i < p->count; i++) {
        const struct nb_block *b = &p->blocks[i];
        NB_ASSERT(b->op.n > 0 && b->dtype.n > 0 && b->hidden.n > 0 && b->rows.n > 0 &&
                  b->threads.n > 0 && b->residency.n > 0 && b->param_dtype.n > 0);
    }
    for (size_t k = 0; k < nb_kernel_count(); k++) /* one block: it is most of the time */
        (void)nb_block_takes(&p->blocks[p->count - 1], nb_kernel_at(k));
    NB_ASSERT(nb_preset_set_all(p, NB_KEY_HIDDEN, "64:1024:x2", &err) == NB_OK);
    NB_ASSERT(p->blocks[0].hidden.n == 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    char bad[64];
    struct nb_preset p;
    struct nb_err err = {""};
    if (!begun)
        NB_ASSERT(nb_cpu_init(bad, sizeof bad) == 0);
    begun = true;
    if (nb_preset_parse(&p, "folder/any.preset", (const char *)data, size, &err) ==
        NB_OK) {
        NB_ASSERT(strcmp(p.name, "any") == 0);
        use(&p);
        nb_preset_free(&p);
    } else {
        NB_ASSERT(p.blocks == NULL && strncmp(err.text, "folder/any.preset:", 18) == 0);
    }
    return 0;
}
