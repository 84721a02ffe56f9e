#include "code.h"

#include <string.h>

#include "nb_code_table.inc"

static const struct nb_code *find(const char *kernel)
{
    for (const struct nb_code *c = codes; c->kernel != NULL; c++)
        if (strcmp(c->kernel, kernel) == 0)
            return c;
    return NULL;
}

const struct nb_code *nb_code_of(const char *kernel)
{
    const struct nb_code *c = find(kernel);
    return c != NULL && c->function_count > 0 ? c : NULL;
}

const char *nb_code_why_not(const char *kernel)
{
    if (nb_code_of(kernel) != NULL)
        return NULL;
    if (find(kernel) != NULL)
        return "no loop of its own: it hands over to another kernel";
    return why_not[0] != '\0' ? why_not
                              : "no code of this program: its object file was not read";
}
