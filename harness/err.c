#include "err.h"

#include <stdarg.h>

enum nb_status nb_fail(struct nb_err *err, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return NB_ERROR;
}
