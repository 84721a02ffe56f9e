#define _GNU_SOURCE /* asprintf */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

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

static const struct argp_option *parsed; /* by nb_option_parse */

/* A command may call a key otherwise than presets do. */
static const char *option_name(enum nb_key key)
{
    for (const struct argp_option *o = parsed; o != NULL && (o->name != NULL || o->doc != NULL || o->key != 0); o++)
        if (o->key == NB_OPTION_SELECTION + (int)key && o->name != NULL)
            return o->name;
    return nb_key_name(key);
}

enum nb_status nb_option_select(struct nb_preset *p, const char *const *selection, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    for (int k = 0; s == NB_OK && k < NB_KEY_COUNT; k++)
        if (selection[k] != NULL) {
            struct nb_err inner;
            s = nb_preset_set_all(p, (enum nb_key)k, selection[k], &inner);
            if (s != NB_OK) {
                const size_t name = strlen(nb_key_name((enum nb_key)k)); /* which the message begins with */
                s = nb_fail(err, "--%s%s", option_name((enum nb_key)k), inner.text + name);
            }
        }
    return s;
}

static bool tells_defaults;

void nb_option_tell_defaults(void)
{
    tells_defaults = true;
}

/* What the options' table cannot say: which ops there are, and what holds where nobody says anything. argp frees it. */
static char *help_of(int key, const char *text, void *input)
{
    const int selected = key - NB_OPTION_SELECTION;
    const bool is_selection = text != NULL && selected >= 0 && selected < NB_KEY_COUNT;
    const char *value = is_selection && tells_defaults ? nb_key_default((enum nb_key)selected) : NULL;
    const char *ops = is_selection && selected == NB_KEY_OP ? nb_known_ops(false) : "";
    char *full = NULL;
    (void)input;
    if (!is_selection)
        return (char *)text;
    NB_ASSERT(asprintf(&full, "%s%s%s%s%s%s", text, ops[0] != '\0' ? ": " : "", ops, value != NULL ? " (default " : "",
                       value != NULL ? value : "", value != NULL ? ")" : "") >= 0);
    return full;
}

void nb_option_parse(const struct argp_option *options, argp_parser_t parser, const char *args, const char *doc,
                     int argc, char **argv, void *input)
{
    static char name[64]; /* argp keeps it */
    parsed = options;
    const struct argp argp = {options, parser, args, doc, NULL, help_of, NULL};
    snprintf(name, sizeof name, "normbench %s", argv[1]);
    argv[1] = name;
    argp_err_exit_status = 1;
    argp_parse(&argp, argc - 1, argv + 1, 0, NULL, input);
}

/* A quote within quotes ends them, stands escaped, and begins them again. */
void nb_option_word(FILE *f, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.,:/+";
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        fputs(word, f);
        return;
    }
    fputc('\'', f);
    for (; *word != '\0'; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, f);
    fputc('\'', f);
}

char *nb_option_command(int argc, char **argv)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    fputs("normbench", f);
    for (int i = 1; i < argc; i++) {
        fputc(' ', f);
        nb_option_word(f, argv[i]);
    }
    NB_ASSERT(fclose(f) == 0);
    return text;
}

enum nb_status nb_option_folder(const char *what, char *dir, size_t len, struct nb_err *err)
{
    const time_t now = time(NULL);
    struct tm utc;
    char stamp[32];
    if (mkdir("results", 0777) != 0 && errno != EEXIST)
        return nb_fail(err, "cannot make results/ here: %s; choose a place with --out", strerror(errno));
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    snprintf(dir, len, "results/%s-%s", what, stamp);
    return NB_OK;
}
