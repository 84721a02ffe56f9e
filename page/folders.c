#include "page_folders.h"

#include "files.h"
#include "sysread.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCHEMA = 1 };

/* ---- JSON files of one object ---- */

static enum nb_status load_json(const char *dir, const char *name, json_t **json,
                                struct nb_err *err)
{
    char path[NB_PATH];
    json_error_t where;
    nb_file_path(path, dir, name, "");
    FILE *f = nb_open_regular(path);
    if (f == NULL)
        return nb_fail(err, "%s/%s: %s", dir, name, strerror(errno));
    *json = json_loadf(f, JSON_REJECT_DUPLICATES, &where);
    fclose(f);
    if (*json == NULL)
        return nb_fail(err, "%s/%s:%d: %s", dir, name, where.line, where.text);
    const json_t *schema = json_object_get(*json, "schema");
    if (!json_is_integer(schema) || json_integer_value(schema) < 1)
        return nb_fail(err, "%s/%s: \"schema\" is missing or no positive integer", dir,
                       name);
    if (json_integer_value(schema) > SCHEMA)
        return nb_fail(
            err,
            "%s/%s has schema %lld, this program reads up to %d: use a newer normbench",
            dir, name, (long long)json_integer_value(schema), SCHEMA);
    return NB_OK;
}

/* Texts that every object of an array must have. NULL: they are there; else the first
 * that is not. */
static const char *lacks_text(const json_t *object, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        if (!json_is_string(json_object_get(object, *keys)))
            return *keys;
    return NULL;
}

static enum nb_status need_texts(const char *dir, const char *name, const json_t *json,
                                 const char *array, const char *const *keys,
                                 struct nb_err *err)
{
    const json_t *list = json_object_get(json, array), *one;
    size_t i;
    if (!json_is_array(list))
        return nb_fail(err, "%s/%s: \"%s\" is missing or no array", dir, name, array);
    json_array_foreach(list, i, one)
    {
        const char *lacking = lacks_text(one, keys);
        if (lacking != NULL)
            return nb_fail(err, "%s/%s: %s[%zu]: \"%s\" is missing or no text", dir, name,
                           array, i, lacking);
    }
    return NB_OK;
}

/* ---- claims.json ---- */

static const char *const claim_verdicts[] = {
    "REPRODUCED",   "REFUTED", "CONDITIONAL", "NOT RESOLVED",
    "NOT TESTABLE", "UNTRIED", NULL};
static const char *const cell_counts[] = {"holds", "fails", "open", "missing", NULL};

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static const char *wrong_claim(const json_t *claim, const json_t *ids)
{
    const json_t *cells = json_object_get(claim, "cells");
    if (!is_one_of(rep_string(claim, "verdict"), claim_verdicts))
        return "its verdict is none of REPRODUCED, REFUTED, CONDITIONAL, NOT RESOLVED, "
               "NOT TESTABLE, UNTRIED";
    if (json_object_get(ids, rep_string(claim, "id")) != NULL)
        return "its id stands there twice";
    for (const char *const *key = cell_counts; *key != NULL; key++) {
        const json_t *n = json_object_get(cells, *key);
        if (!json_is_integer(n) || json_integer_value(n) < 0)
            return "\"cells\" must count, from 0, what holds, fails, is open and missing";
    }
    return NULL;
}

static enum nb_status load_claims(struct nb_folder *f, struct nb_err *err)
{
    static const char *const keys[] = {"id", "title", "verdict", NULL};
    const json_t *claim;
    size_t i;
    enum nb_status s = load_json(f->dir, "claims.json", &f->json, err);
    if (s == NB_OK)
        s = need_texts(f->dir, "claims.json", f->json, "claims", keys, err);
    if (s != NB_OK)
        return s;
    json_t *ids = json_object();
    NB_ASSERT(ids != NULL && "out of memory");
    json_array_foreach(json_object_get(f->json, "claims"), i, claim)
    {
        const char *wrong = wrong_claim(claim, ids);
        if (wrong != NULL) {
            s = nb_fail(err, "%s/claims.json: claims[%zu]: %s", f->dir, i, wrong);
            break;
        }
        json_object_set_new(ids, rep_string(claim, "id"), json_true());
    }
    json_decref(ids);
    return s;
}

/* ---- gate.json ---- */

/* Beyond e^50 no quotient of two times lies. */
static const char *wrong_comparison(const json_t *c)
{
    static const char *const logarithms[] = {"ln_ratio", "lo",  "hi",
                                             "margin",   "mde", NULL};
    for (const char *const *key = logarithms; *key != NULL; key++) {
        const json_t *v = json_object_get(c, *key);
        if (v != NULL && !json_is_null(v) &&
            !(json_is_number(v) && fabs(json_number_value(v)) < 50))
            return *key;
    }
    return NULL;
}

static enum nb_status load_gate(struct nb_folder *f, struct nb_err *err)
{
    static const char *const keys[] = {"cell", "kernel", "verdict", NULL};
    const json_t *c;
    size_t i;
    enum nb_status s = load_json(f->dir, "gate.json", &f->json, err);
    if (s == NB_OK)
        s = need_texts(f->dir, "gate.json", f->json, "comparisons", keys, err);
    if (s != NB_OK)
        return s;
    const json_t *code = json_object_get(f->json, "exit_code");
    if (!json_is_integer(code) || json_integer_value(code) < 0 ||
        json_integer_value(code) > 4)
        return nb_fail(err, "%s/gate.json: \"exit_code\" is none of 0 to 4", f->dir);
    json_array_foreach(json_object_get(f->json, "comparisons"), i, c)
    {
        const char *wrong = wrong_comparison(c);
        if (wrong != NULL)
            return nb_fail(err,
                           "%s/gate.json: comparisons[%zu]: \"%s\" is no logarithm of a "
                           "ratio of times",
                           f->dir, i, wrong);
    }
    return NB_OK;
}

/* ---- runs and accuracy ---- */

static enum nb_status load_run(struct nb_folder *f, struct nb_err *err)
{
    const enum nb_status s = rep_load(f->dir, &f->run, err);
    if (s == NB_OK)
        rep_numbers(&f->run);
    return s;
}

static enum nb_status load_accuracy(struct nb_folder *f, struct nb_err *err)
{
    nb_file_path(f->accuracy_path, f->dir, "accuracy.csv", "");
    return acc_load(&f->accuracy, f->accuracy_path, err);
}

/* ---- folders ---- */

static const struct {
    const char *file;
    enum nb_status (*load)(struct nb_folder *f, struct nb_err *err);
} kinds[NB_FOLDER_KINDS] = {
    [NB_FOLDER_RUN] = {"plan.json", load_run},
    [NB_FOLDER_CLAIMS] = {"claims.json", load_claims},
    [NB_FOLDER_ACCURACY] = {"accuracy.csv", load_accuracy},
    [NB_FOLDER_GATE] = {"gate.json", load_gate},
};

static bool holds(const char *dir, enum nb_folder_kind kind)
{
    char path[NB_PATH];
    nb_file_path(path, dir, kinds[kind].file, "");
    return access(path, F_OK) == 0;
}

static enum nb_status add(struct nb_page_folders *f, const char *dir, enum nb_folder_kind kind,
                          struct nb_err *err)
{
    f->list = rep_grow(f->list, f->n, &f->room, sizeof *f->list);
    struct nb_folder *one = calloc(1, sizeof *one);
    NB_ASSERT(one != NULL && "out of memory");
    f->list[f->n++] = one;
    *one = (struct nb_folder){.kind = kind, .dir = dir};
    return kinds[kind].load(one, err);
}

enum nb_status nb_page_folders_add(struct nb_page_folders *f, const char *dir, struct nb_err *err)
{
    struct stat st;
    const size_t before = f->n;
    enum nb_status s = NB_OK;
    if (stat(dir, &st) != 0)
        return nb_fail(err, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return nb_fail(err, "%s: no folder; give the folder of a run", dir);
    for (int k = 0; s == NB_OK && k < NB_FOLDER_KINDS; k++)
        if (holds(dir, (enum nb_folder_kind)k))
            s = add(f, dir, (enum nb_folder_kind)k, err);
    if (s == NB_OK && f->n == before)
        s = nb_fail(err,
                    "%s: holds no result: neither plan.json (a run) nor claims.json "
                    "(claims), accuracy.csv (accuracy) or "
                    "gate.json (a gate)",
                    dir);
    return s;
}

void nb_page_folders_free(struct nb_page_folders *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct nb_folder *one = f->list[i];
        if (one->kind == NB_FOLDER_RUN)
            rep_free(&one->run);
        if (one->kind == NB_FOLDER_ACCURACY)
            acc_free(&one->accuracy);
        json_decref(one->json);
        free(one);
    }
    free(f->list);
    *f = (struct nb_page_folders){0};
}
