#include "bars.h"

#include "registry.h"
#include "select.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

enum { BARS_MAX = 1 << 16, LINE_MAX_LEN = 400, COLUMNS_MAX = 32, NUMBER_MAX = 1 << 28, KEY_MAX = 160 };

struct parser {
    json_t *classes, *class; /* class: the last one; NULL before the first */
    size_t hidden[COLUMNS_MAX], columns, at; /* at: the column being read */
};

/* Cuts the next word off a comma-separated list, without the spaces around it; NULL at the end. */
static char *next_word(char **rest)
{
    char *word = strsep(rest, ",");
    if (word == NULL)
        return NULL;
    while (isspace((unsigned char)*word))
        word++;
    for (size_t n = strlen(word); n > 0 && isspace((unsigned char)word[n - 1]); n--)
        word[n - 1] = '\0';
    return word;
}

static enum nb_status read_columns(struct parser *p, char *value, struct nb_err *err)
{
    p->columns = 0;
    for (char *word; (word = next_word(&value)) != NULL; p->columns++) {
        if (p->columns == COLUMNS_MAX)
            return nb_fail(err, "hidden: more than %d columns", COLUMNS_MAX);
        enum nb_status s =
            nb_parse_size("hidden", word, 1, NUMBER_MAX, &p->hidden[p->columns], err);
        if (s != NB_OK)
            return s;
    }
    return NB_OK;
}

static enum nb_status read_models(struct parser *p, char *value, struct nb_err *err)
{
    json_t *models = json_array();
    json_object_set_new(p->class, "models", models);
    for (char *word; (word = next_word(&value)) != NULL;) {
        char *to = strchr(word, '-');
        size_t first, last;
        if (to != NULL)
            *to++ = '\0';
        enum nb_status s = nb_parse_size("model", word, 0, NUMBER_MAX, &first, err);
        if (s == NB_OK)
            s = nb_parse_size("model", to != NULL ? to : word, first, NUMBER_MAX, &last, err);
        if (s != NB_OK)
            return s;
        json_array_append_new(models, json_pack("[II]", (json_int_t)first, (json_int_t)last));
    }
    return NB_OK;
}

static enum nb_status read_bar(const char *word, double *bar, struct nb_err *err)
{
    char *end;
    *bar = strtod(word, &end);
    if (end == word || *end != '\0' || !(*bar > 0) || !(*bar < 1e9))
        return nb_fail(err, "\"%.40s\" is no bar; say .85, or - where there is none", word);
    return NB_OK;
}

/* ISA/ISA: true, and bar has what it says. */
static bool read_isas(json_t *bar, const char *word)
{
    const char *slash = strchr(word, '/');
    char isa[32];
    if (slash == NULL || slash - word >= (long)sizeof isa)
        return false;
    snprintf(isa, sizeof isa, "%.*s", (int)(slash - word), word);
    if (nb_isa_find(isa) == NULL || nb_isa_find(slash + 1) == NULL)
        return false;
    json_object_set_new(bar, "measure", json_string("isa"));
    json_object_set_new(bar, "isa", json_string(isa));
    json_object_set_new(bar, "over", json_string(slash + 1));
    return true;
}

static enum nb_status read_measure(json_t *bar, const char *word, struct nb_err *err)
{
    const bool named = strcmp(word, "ns") == 0 || strcmp(word, "tail") == 0;
    if (json_object_get(bar, "measure") != NULL)
        return nb_fail(err, "\"%.40s\": a second measure", word);
    if (named)
        json_object_set_new(bar, "measure", json_string(word));
    else if (!read_isas(bar, word))
        return nb_fail(err, "\"%.40s\" is no measure; known: ns, tail, and ISA/ISA such as avx2/avx512; or rows N, "
                            "kernel GLOB", word);
    return NB_OK;
}

static enum nb_status read_glob(json_t *bar, const char *glob, struct nb_err *err)
{
    if (json_object_get(bar, "kernel") != NULL || glob == NULL ||
        strspn(glob, "abcdefghijklmnopqrstuvwxyz0123456789_*?") != strlen(glob))
        return nb_fail(err, "kernel: \"%.60s\" is no glob of kernels, or one too many", glob ? glob : "");
    json_object_set_new(bar, "kernel", json_string(glob));
    return NB_OK;
}

static enum nb_status read_rows(json_t *bar, const char *text, struct nb_err *err)
{
    size_t rows;
    if (json_object_get(bar, "rows") != NULL)
        return nb_fail(err, "rows: given twice");
    enum nb_status s = nb_parse_size("rows", text != NULL ? text : "", 1, NUMBER_MAX, &rows, err);
    if (s == NB_OK)
        json_object_set_new(bar, "rows", json_integer((json_int_t)rows));
    return s;
}

/* What follows OP DTYPE RESIDENCY. */
static enum nb_status read_rest(json_t *bar, char *rest, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    for (char *word; s == NB_OK && (word = strtok_r(NULL, " \t", &rest)) != NULL;) {
        if (strcmp(word, "rows") == 0)
            s = read_rows(bar, strtok_r(NULL, " \t", &rest), err);
        else if (strcmp(word, "kernel") == 0)
            s = read_glob(bar, strtok_r(NULL, " \t", &rest), err);
        else
            s = read_measure(bar, word, err);
    }
    const char *measure = json_string_value(json_object_get(bar, "measure"));
    if (s == NB_OK && measure != NULL && strcmp(measure, "ns") == 0 && json_object_get(bar, "rows") == NULL)
        s = nb_fail(err, "ns: the time of a call is a matter of its rows; say rows 1");
    if (s == NB_OK && measure == NULL)
        json_object_set_new(bar, "measure", json_string("scale"));
    return s;
}

/* What a line of bars is about, without hidden and bar. */
static enum nb_status read_subject(const char *key, json_t **subject, struct nb_err *err)
{
    char text[KEY_MAX], *rest = NULL;
    snprintf(text, sizeof text, "%s", key);
    const char *op = strtok_r(text, " \t", &rest);
    const char *dtype = op != NULL ? strtok_r(NULL, " \t", &rest) : NULL;
    const char *place = dtype != NULL ? strtok_r(NULL, " \t", &rest) : NULL;
    if (place == NULL || (strcmp(op, "layernorm") != 0 && strcmp(op, "rmsnorm") != 0) ||
        nb_dtype_parse(dtype) < 0 || nb_residency_parse(place) < 0)
        return nb_fail(err, "unknown key \"%.60s\"; known: title, vendor, family, model, hidden, and OP DTYPE "
                            "RESIDENCY [MEASURE] [rows N] [kernel GLOB] such as rmsnorm f32 L2", key);
    *subject = json_pack("{ss ss ss}", "op", op, "dtype", dtype, "residency",
                         nb_residency_name((enum nb_residency)nb_residency_parse(place)));
    NB_ASSERT(*subject != NULL);
    return read_rest(*subject, rest, err);
}

static void add_bar(struct parser *p, json_t *subject, double bar)
{
    json_t *one = json_copy(subject);
    json_object_set_new(one, "hidden", json_integer((json_int_t)p->hidden[p->at]));
    json_object_set_new(one, "bar", json_real(bar));
    json_array_append_new(json_object_get(p->class, "bars"), one);
}

/* A subject = a bar for each column. */
static enum nb_status read_bars(struct parser *p, const char *key, char *value, struct nb_err *err)
{
    json_t *subject = NULL;
    double bar;
    enum nb_status s = read_subject(key, &subject, err);
    p->at = 0;
    for (char *word; s == NB_OK && (word = next_word(&value)) != NULL; p->at++) {
        if (p->at == p->columns)
            s = nb_fail(err, "%s: more bars than the %zu columns of hidden", key, p->columns);
        else if (strcmp(word, "-") != 0 && (s = read_bar(word, &bar, err)) == NB_OK)
            add_bar(p, subject, bar);
    }
    if (s == NB_OK && p->at != p->columns)
        s = nb_fail(err, "%s: %zu bars for %zu columns of hidden", key, p->at, p->columns);
    json_decref(subject);
    return s;
}

static enum nb_status read_key(struct parser *p, const char *key, char *value, struct nb_err *err)
{
    json_t *text;
    if (strcmp(key, "hidden") == 0)
        return read_columns(p, value, err);
    if (strcmp(key, "model") == 0)
        return read_models(p, value, err);
    if (strcmp(key, "title") != 0 && strcmp(key, "vendor") != 0 && strcmp(key, "family") != 0)
        return read_bars(p, key, value, err);
    if ((text = json_string(value)) == NULL)
        return nb_fail(err, "%s: not UTF-8", key);
    json_object_set_new(p->class, strcmp(key, "title") == 0 ? "class" : key, text);
    return NB_OK;
}

static void begin_class(struct parser *p, const char *name)
{
    p->class = json_pack("{ss sn sn s[] s[]}", "class", name, "vendor", "family", "models", "bars");
    NB_ASSERT(p->class != NULL);
    json_array_append_new(p->classes, p->class);
    p->columns = 0;
}

static enum nb_status read_line(struct parser *p, char *line, struct nb_err *err)
{
    char key[KEY_MAX], value[LINE_MAX_LEN + 1], name[40];
    int end = 0;
    line[strcspn(line, "#\r\n")] = '\0';
    line += strspn(line, " \t");
    if (*line == '\0')
        return NB_OK;
    if (*line == '[') {
        if (sscanf(line, "[%39[a-z0-9_-]] %n", name, &end) != 1 || end == 0 || line[end] != '\0')
            return nb_fail(err, "\"%.60s\" is no [class] name (a-z, 0-9, - and _)", line);
        begin_class(p, name);
        return NB_OK;
    }
    if (sscanf(line, "%159[^=]= %[^\n]", key, value) != 2)
        return nb_fail(err, "\"%.60s\" is not of the form key = value", line);
    if (p->class == NULL)
        return nb_fail(err, "\"%.60s\" stands before the first [class]", line);
    for (size_t n = strlen(key); n > 0 && isspace((unsigned char)key[n - 1]); n--)
        key[n - 1] = '\0';
    for (size_t n = strlen(value); n > 0 && isspace((unsigned char)value[n - 1]); n--)
        value[n - 1] = '\0';
    return read_key(p, key, value, err);
}

/* A class that no machine could be told to belong to decides nothing, and nobody would notice. */
static enum nb_status whole_classes(const struct parser *p, const char *path, struct nb_err *err)
{
    const json_t *class;
    size_t i;
    if (p->class == NULL)
        return nb_fail(err, "%s: no [class]; a bars file needs at least one", path);
    json_array_foreach(p->classes, i, class) if (!json_is_string(json_object_get(class, "vendor")) ||
                                                 !json_is_string(json_object_get(class, "family")) ||
                                                 json_array_size(json_object_get(class, "models")) == 0 ||
                                                 json_array_size(json_object_get(class, "bars")) == 0)
        return nb_fail(err, "%s: class \"%s\" lacks vendor, family, model or any bar", path,
                       json_string_value(json_object_get(class, "class")));
    return NB_OK;
}

enum nb_status nb_bars_parse(const char *path, const char *text, size_t len, json_t **bars,
                             struct nb_err *err)
{
    struct parser p = {.classes = json_array()};
    enum nb_status s = NB_OK;
    const char *const end = text + len;
    NB_ASSERT(p.classes != NULL);
    for (unsigned number = 1; s == NB_OK && text < end; number++) {
        char line[LINE_MAX_LEN + 1];
        struct nb_err inner;
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((newline != NULL ? newline : end) - text);
        if (n > LINE_MAX_LEN || memchr(text, '\0', n) != NULL) {
            s = nb_fail(err, "%s:%u: longer than %d characters, or no text", path, number, LINE_MAX_LEN);
            break;
        }
        memcpy(line, text, n);
        line[n] = '\0';
        if (read_line(&p, line, &inner) != NB_OK)
            s = nb_fail(err, "%s:%u: %s", path, number, inner.text);
        text += newline != NULL ? n + 1 : n;
    }
    if (s == NB_OK)
        s = whole_classes(&p, path, err);
    *bars = s == NB_OK ? p.classes : NULL;
    if (s != NB_OK)
        json_decref(p.classes);
    return s;
}

enum nb_status nb_bars_load(const char *path, json_t **bars, struct nb_err *err)
{
    static char text[BARS_MAX + 1];
    *bars = NULL;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return nb_fail(err, "bars: %s: %s", path, strerror(errno));
    const size_t len = fread(text, 1, sizeof text, f);
    const bool broken = ferror(f) != 0;
    fclose(f);
    if (broken || len > BARS_MAX)
        return nb_fail(err, "bars: %s: %s", path, broken ? "cannot be read" : "larger than a short text");
    return nb_bars_parse(path, text, len, bars, err);
}
