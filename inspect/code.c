#include "code.h"

#include <string.h>

#include "nb_code_table.inc"

const struct nb_code *nb_code_of(const char *kernel)
{
    for (const struct nb_code *c = codes; c->kernel != NULL; c++)
        if (strcmp(c->kernel, kernel) == 0)
            return c;
    return NULL;
}

const char *nb_code_why_not(const char *kernel)
{
    if (nb_code_of(kernel) != NULL)
        return NULL;
    return why_not[0] != '\0' ? why_not
                              : "no code of this program: its object file was not read";
}
