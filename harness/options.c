#include "options.h"

#include <errno.h>
#include <math.h>
#include <string.h>

bool nb_option_take(int key, const char *arg, const struct nb_option_text *texts, size_t count,
                    const char **selection)
{
    if (selection != NULL && key >= NB_OPTION_SELECTION && key < NB_OPTION_SELECTION + NB_KEY_COUNT) {
        selection[key - NB_OPTION_SELECTION] = arg;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (texts[i].key == key) {
            *texts[i].value = arg;
            return true;
        }
    return false;
}

enum nb_status nb_option_eps(const char *text, double *eps, struct nb_err *err)
{
    char *end;
    errno = 0;
    *eps = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(*eps) || *eps < 0)
        return nb_fail(err, "--eps: \"%s\" is no finite number of at least 0, such as 1e-5", text);
    return NB_OK;
}

static enum nb_status choose(const char *option, const char *word, const char *a, const char *b,
                             uint32_t *value, struct nb_err *err)
{
    if (word != NULL && strcmp(word, a) != 0 && strcmp(word, b) != 0)
        return nb_fail(err, "--%s: \"%s\" is neither %s nor %s", option, word, a, b);
    *value = word != NULL && strcmp(word, b) == 0;
    return NB_OK;
}

enum nb_status nb_option_policies(const char *eps_mode, const char *order, uint32_t *mode_value,
                                  uint32_t *order_value, struct nb_err *err)
{
    enum nb_status s = choose("eps-mode", eps_mode, "inside", "outside", mode_value, err);
    return s == NB_OK ? choose("order", order, "cast_after", "cast_before", order_value, err) : s;
}

enum nb_status nb_option_select(struct nb_preset *p, const char *const *selection, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    for (int k = 0; s == NB_OK && k < NB_KEY_COUNT; k++)
        if (selection[k] != NULL) {
            struct nb_err inner;
            s = nb_preset_set_all(p, (enum nb_key)k, selection[k], &inner);
            if (s != NB_OK)
                s = nb_fail(err, "--%s", inner.text);
        }
    return s;
}
