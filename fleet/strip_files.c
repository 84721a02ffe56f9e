#include "strip_files.h"
#include "files.h"
#include "sysread.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const char *const nb_raw_file[NB_RAW_FILES] = {"host.json", "plan.json", "checks.jsonl",
                                               "samples.jsonl"};
static const char REMOVED[] = "removed: it says whose machine this was";

/* ---- values ---- */

struct work {
    struct nb_names *names;
    struct nb_stripped *to;
    const char *file;
    const char *twice; /* a key that two keys became */
};

static void show(struct work *w, const char *before, const char *after)
{
    struct nb_stripped *s = w->to;
    s->changed++;
    for (size_t i = 0; i < s->nshown; i++)
        if (s->shown[i].file == w->file && strcmp(s->shown[i].after, after) == 0)
            return;
    if (s->nshown < NB_STRIP_SHOWN) {
        s->shown[s->nshown++] =
            (struct nb_change_shown){w->file, strdup(before), strdup(after)};
        NB_ASSERT(s->shown[s->nshown - 1].before != NULL &&
                  s->shown[s->nshown - 1].after != NULL && "out of memory");
    }
}

/* The text without what identifies, to be freed. */
static char *clean(struct work *w, const char *text)
{
    char *after = nb_names_clean(w->names, text);
    if (strcmp(after, text) != 0)
        show(w, text, after);
    return after;
}

static json_t *clean_value(struct work *w, const json_t *v);

static json_t *clean_object(struct work *w, const json_t *object)
{
    json_t *to = json_object(), *v;
    const char *key;
    json_object_foreach((json_t *)object, key, v)
    {
        char *name = clean(w, key);
        if (json_object_get(to, name) != NULL)
            w->twice = "two keys become one without the words that are to go; keep one "
                       "with --keep";
        json_object_set_new(to, name, clean_value(w, v));
        free(name);
    }
    return to;
}

/* A new reference. */
static json_t *clean_value(struct work *w, const json_t *v)
{
    const json_t *item;
    size_t i;
    if (json_is_object(v))
        return clean_object(w, v);
    if (json_is_array(v)) {
        json_t *to = json_array();
        json_array_foreach((json_t *)v, i, item)
            json_array_append_new(to, clean_value(w, item));
        return to;
    }
    if (!json_is_string(v))
        return json_incref((json_t *)v);
    char *text = clean(w, json_string_value(v));
    json_t *to = json_string(text);
    NB_ASSERT(to != NULL && "no UTF-8"); /* whole characters went, or none */
    free(text);
    return to;
}

/* ---- files ---- */

static enum nb_status read_file(const char *dir, const char *name, char **text,
                                size_t *length, struct nb_err *err)
{
    char path[NB_PATH];
    size_t room = 1 << 16, got;
    nb_file_path(path, dir, name, "");
    FILE *f = nb_open_regular(path);
    if (f == NULL)
        return nb_fail(err,
                       "%.400s: %s; a run folder holds host.json, plan.json, "
                       "checks.jsonl and samples.jsonl",
                       path, strerror(errno));
    *length = 0;
    *text = malloc(room);
    NB_ASSERT(*text != NULL && "out of memory");
    while ((got = fread(*text + *length, 1, room - *length - 1, f)) > 0) {
        *length += got;
        if (room - *length < 2)
            *text = realloc(*text, room *= 2);
        NB_ASSERT(*text != NULL && "out of memory");
    }
    (*text)[*length] = '\0';
    const bool broken = ferror(f) != 0;
    fclose(f);
    return broken ? nb_fail(err, "%.400s: %s", path, strerror(errno)) : NB_OK;
}

/* Whose it was; of the plan also what says that nobody changed it. */
static void clean_facts(struct work *w, json_t *object)
{
    json_t *host = json_object_get(object, "host"),
           *unknown = json_object_get(object, "unknown");
    if (strcmp(w->file, "plan.json") == 0)
        json_object_del(object, "digest");
    if (strcmp(w->file, "host.json") != 0 || !json_is_string(host))
        return;
    nb_names_add_host(w->names, json_string_value(host));
    free(w->to->host);
    w->to->host = strdup(json_string_value(host));
    json_object_set_new(object, "host", json_null());
    if (!json_is_object(unknown))
        json_object_set_new(object, "unknown", unknown = json_object());
    json_object_set_new(unknown, "host", json_string(REMOVED));
}

/* What was written by this program stays as it is, byte by byte, where nothing goes. */
static char *strip_object(struct work *w, const char *dir, const char *text,
                          size_t length, struct nb_err *err)
{
    json_error_t where;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(object)) {
        (void)nb_fail(err, "%.400s/%s:%d: %s", dir, w->file, object ? 1 : where.line,
                      object ? "no JSON object" : where.text);
        json_decref(object);
        return NULL;
    }
    clean_facts(w, object);
    json_t *after = clean_object(w, object);
    char *out = json_dumps(after, JSON_INDENT(1));
    NB_ASSERT(out != NULL && "out of memory");
    json_decref(after);
    json_decref(object);
    return out;
}

static bool strip_line(struct work *w, const char *line, size_t length, FILE *f,
                       json_error_t *where)
{
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, where);
    if (!json_is_object(object)) {
        if (object != NULL)
            strcpy(where->text, "no JSON object");
        json_decref(object);
        return false;
    }
    json_t *after = clean_object(w, object);
    if (json_equal(after, object)) {
        fwrite(line, 1, length, f);
    } else {
        NB_ASSERT(json_dumpf(after, f, JSON_COMPACT) == 0);
        fputc('\n', f);
    }
    json_decref(after);
    json_decref(object);
    return true;
}

/* A last line that was cut off does not count, and goes. */
static char *strip_lines(struct work *w, const char *dir, const char *text,
                         struct nb_err *err)
{
    char *out = NULL;
    size_t length = 0, number = 0;
    json_error_t where;
    FILE *f = open_memstream(&out, &length);
    NB_ASSERT(f != NULL && "out of memory");
    const char *end;
    bool good = true;
    for (const char *line = text; good && (end = strchr(line, '\n')) != NULL;
         line = end + 1) {
        number++;
        good = strip_line(w, line, (size_t)(end - line) + 1, f, &where);
    }
    NB_ASSERT(fclose(f) == 0 && "out of memory");
    if (good)
        return out;
    (void)nb_fail(err, "%.400s/%s:%zu: %s", dir, w->file, number, where.text);
    free(out);
    return NULL;
}

static enum nb_status strip_one(struct work *w, const char *dir, size_t i,
                                struct nb_err *err)
{
    char *text = NULL;
    size_t length = 0;
    struct nb_stripped *s = w->to;
    w->file = nb_raw_file[i];
    enum nb_status status = read_file(dir, w->file, &text, &length, err);
    if (status == NB_OK && memchr(text, 0, length) != NULL)
        status = nb_fail(err, "%.400s/%s: a zero byte: this is no text", dir, w->file);
    if (status == NB_OK) {
        s->text[i] = strstr(w->file, ".jsonl") ? strip_lines(w, dir, text, err)
                                               : strip_object(w, dir, text, length, err);
        s->was[i] = length;
        s->length[i] = s->text[i] ? strlen(s->text[i]) : 0;
        status = s->text[i] ? NB_OK : NB_ERROR;
    }
    if (status == NB_OK && w->twice != NULL)
        status = nb_fail(err, "%.400s/%s: %s", dir, w->file, w->twice);
    free(text);
    return status;
}

static enum nb_status strip_all(const char *dir, struct nb_names *names,
                                struct nb_stripped *s, struct nb_err *err)
{
    struct work w = {.names = names, .to = s};
    enum nb_status status = NB_OK;
    *s = (struct nb_stripped){.nshown = 0};
    names->paths = 0;
    for (size_t i = 0; i < names->n; i++)
        names->list[i].count = 0;
    for (size_t i = 0; status == NB_OK && i < NB_RAW_FILES; i++)
        status = strip_one(&w, dir, i, err);
    if (status != NB_OK)
        nb_stripped_free(s);
    return status;
}

/* Nothing is left, whatever went wrong above. */
static enum nb_status check_nothing_left(const struct nb_names *names,
                                         const struct nb_stripped *s, struct nb_err *err)
{
    for (size_t i = 0; i < NB_RAW_FILES; i++) {
        const struct nb_name *left = nb_names_find(names, s->text[i], s->length[i]);
        if (left != NULL)
            return nb_fail(
                err, "%s would still hold the %s \"%.60s\"; with --keep WORD it may stay",
                nb_raw_file[i], left->what, left->text);
    }
    return NB_OK;
}

/* A name that was learned late stood in what came before. */
enum nb_status nb_strip_files(const char *dir, struct nb_names *names,
                              struct nb_stripped *s, struct nb_err *err)
{
    for (;;) {
        const size_t known = names->n;
        enum nb_status status = strip_all(dir, names, s, err);
        const bool last = status != NB_OK || names->n == known;
        if (status == NB_OK && last)
            status = check_nothing_left(names, s, err);
        if (status == NB_OK && last)
            return NB_OK;
        nb_stripped_free(s);
        if (last)
            return status;
    }
}

void nb_stripped_free(struct nb_stripped *s)
{
    for (size_t i = 0; i < NB_RAW_FILES; i++)
        free(s->text[i]);
    for (size_t i = 0; i < s->nshown; i++) {
        free(s->shown[i].before);
        free(s->shown[i].after);
    }
    free(s->host);
    *s = (struct nb_stripped){.nshown = 0};
}
