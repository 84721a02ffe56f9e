#define _GNU_SOURCE /* strverscmp */
#include "cluster_job.h"

#include "cluster_nodes.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES_MAX = 100000 };

/* ---- files ---- */

enum nb_status nb_cluster_write(const char *dir, const char *name, json_t *object,
                                struct nb_err *err)
{
    const time_t now = time(NULL);
    struct tm utc;
    char at[32];
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_object_set_new(object, "schema", json_integer(NB_CLUSTER_SCHEMA));
    json_object_set_new(object, "at", json_string(at));
    char *text = json_dumps(object, JSON_INDENT(1));
    json_decref(object);
    if (text == NULL)
        return nb_fail(err, "%.400s/%s: a text is no UTF-8, so it cannot be written", dir,
                       name);
    const enum nb_status s = nb_file_write(dir, name, text, strlen(text), err);
    free(text);
    return s;
}

/* object is NULL where there is no such file. */
static enum nb_status load_object(const char *dir, const char *name, json_t **object,
                                  struct nb_err *err)
{
    char path[NB_PATH];
    json_error_t where;
    nb_file_path(path, dir, name, "");
    *object = NULL;
    if (access(path, R_OK) != 0)
        return errno == ENOENT ? NB_OK
                               : nb_fail(err, "%.400s: %s", path, strerror(errno));
    *object = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (*object == NULL)
        return nb_fail(err, "%.400s:%d: %.200s", path, where.line, where.text);
    const json_t *schema = json_object_get(*object, "schema");
    if (json_is_integer(schema) && json_integer_value(schema) > NB_CLUSTER_SCHEMA)
        nb_fail(err,
                "%.400s has schema %lld, this program reads %d: use a newer normbench",
                path, (long long)json_integer_value(schema), NB_CLUSTER_SCHEMA);
    else if (json_integer_value(schema) != NB_CLUSTER_SCHEMA)
        nb_fail(err, "%.400s: \"schema\" is missing or no positive integer", path);
    else
        return NB_OK;
    json_decref(*object);
    *object = NULL;
    return NB_ERROR;
}

enum nb_status nb_cluster_self(char path[NB_PATH], struct nb_err *err)
{
    const ssize_t n = readlink("/proc/self/exe", path, NB_PATH - 1);
    if (n <= 0)
        return nb_fail(err, "/proc/self/exe: %s", strerror(errno));
    path[n] = '\0';
    return NB_OK;
}

enum nb_status nb_cluster_job_words(const struct nb_cluster_job *j, const char *key,
                                    struct nb_argv *a, struct nb_err *err)
{
    const json_t *list = json_object_get(j->facts, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (word == NULL)
            return nb_fail(err, "%.400s/job.json: \"%s\" holds something that is no text",
                           j->dir, key);
        nb_argv_add(a, "%s", word);
    }
    return json_is_array(list)
               ? NB_OK
               : nb_fail(err, "%.400s/job.json: \"%s\" should be an array of texts",
                         j->dir, key);
}

/* ---- one task ---- */

/* K of WHAT-K.json or run-K; 0: it is none. */
static unsigned number_of(const char *name, const char *what, const char *end)
{
    char *rest;
    const size_t n = strlen(what);
    if (strncmp(name, what, n) != 0 || name[n] < '1' || name[n] > '9')
        return 0;
    const unsigned long k = strtoul(name + n, &rest, 10);
    return strcmp(rest, end) == 0 && k <= TRIES_MAX ? (unsigned)k : 0;
}

static unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static bool has_plan(const char *dir, const char *run)
{
    char path[NB_PATH];
    nb_file_path(path, dir, run, "/plan.json");
    return access(path, F_OK) == 0;
}

static enum nb_status count_tries(struct nb_cluster_task *t, struct nb_err *err)
{
    DIR *d = opendir(t->dir);
    if (d == NULL)
        return nb_fail(err, "%.400s: %s", t->dir, strerror(errno));
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        static const char *const files[] = {"submitted-", "begun-", "ended-"};
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            t->tries = larger(t->tries, number_of(e->d_name, files[i], ".json"));
        if (has_plan(t->dir, e->d_name))
            t->run = larger(t->run, number_of(e->d_name, "run-", ""));
    }
    closedir(d);
    return NB_OK;
}

/* WHAT-K.json of a task; NULL where there is none. */
static enum nb_status load_word(const struct nb_cluster_task *t, const char *what,
                                json_t **object, struct nb_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%u.json", what, t->tries);
    return load_object(t->dir, name, object, err);
}

static void copy_text(char *to, size_t len, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(to, len, "%s", text != NULL ? text : "");
}

/* An id goes into arguments of Slurm's programs. */
static void copy_id(char id[NB_SLURM_ID], const json_t *object)
{
    const char *text = json_string_value(json_object_get(object, "job"));
    if (text != NULL && nb_slurm_is_id(text))
        strcpy(id, text);
}

/* What the files of the last try say. */
static enum nb_status read_try(struct nb_cluster_task *t, struct nb_err *err)
{
    json_t *submitted, *begun = NULL, *ended = NULL;
    enum nb_status s = load_word(t, "submitted", &submitted, err);
    if (s == NB_OK)
        s = load_word(t, "begun", &begun, err);
    if (s == NB_OK)
        s = load_word(t, "ended", &ended, err);
    copy_id(t->id, submitted);
    copy_id(t->id, begun);
    t->begun = begun != NULL;
    t->ended = ended != NULL;
    const json_t *code = json_object_get(ended, "exit");
    t->code = json_is_integer(code) ? json_integer_value(code) : -1;
    copy_text(t->reason, sizeof t->reason, ended, "reason");
    json_decref(submitted);
    json_decref(begun);
    json_decref(ended);
    return s;
}

static double age(const char *dir, const char *name)
{
    struct stat s;
    char path[NB_PATH];
    nb_file_path(path, dir, name, "");
    return stat(path, &s) == 0 ? difftime(time(NULL), s.st_mtime) : HUGE_VAL;
}

/* The least age of what is written while a try goes on. */
static double silence(const struct nb_cluster_task *t)
{
    char names[4][64];
    double least = HUGE_VAL;
    snprintf(names[0], sizeof names[0], "begun-%u.json", t->tries);
    snprintf(names[1], sizeof names[1], "log-%u.txt", t->tries);
    snprintf(names[2], sizeof names[2], "run-%u/checks.jsonl", t->run);
    snprintf(names[3], sizeof names[3], "run-%u/samples.jsonl", t->run);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        least = fmin(least, age(t->dir, names[i]));
    return least;
}

/* A run has ended when its host.json says so. One that cannot be read has not. */
static void read_run(struct nb_cluster_task *t)
{
    char run[64], path[NB_PATH];
    snprintf(run, sizeof run, "run-%u", t->run);
    nb_file_path(path, t->dir, run, "/host.json");
    json_t *host = t->run > 0 ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
    t->finished = json_is_object(json_object_get(host, "after"));
    copy_text(t->cpu, sizeof t->cpu, json_object_get(host, "cpu"), "model");
    json_decref(host);
}

struct nb_cluster_task *nb_cluster_job_task(struct nb_cluster_job *j, const char *node)
{
    struct nb_err err = {""};
    j->tasks = realloc(j->tasks, (j->count + 1) * sizeof *j->tasks);
    NB_ASSERT(j->tasks != NULL && "out of memory");
    struct nb_cluster_task *t = &j->tasks[j->count++];
    *t = (struct nb_cluster_task){.node = strdup(node), .code = -1};
    NB_ASSERT(t->node != NULL && asprintf(&t->dir, "%s/nodes/%s", j->dir, node) > 0 &&
              "out of memory");
    enum nb_status s = count_tries(t, &err);
    if (s == NB_OK)
        s = load_object(t->dir, "node.json", &t->facts, &err);
    if (s == NB_OK && t->tries > 0)
        s = read_try(t, &err);
    if (s != NB_OK)
        snprintf(t->broken, sizeof t->broken, "%.399s", err.text);
    t->silent_s = silence(t);
    read_run(t);
    return t;
}

/* ---- the folder ---- */

static int by_node(const void *a, const void *b)
{
    return strverscmp(((const struct nb_cluster_task *)a)->node,
                      ((const struct nb_cluster_task *)b)->node);
}

static enum nb_status load_tasks(struct nb_cluster_job *j, struct nb_err *err)
{
    char path[NB_PATH];
    nb_file_path(path, j->dir, "nodes", "");
    DIR *d = opendir(path);
    if (d == NULL)
        return nb_fail(err, "%.400s: %s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (nb_cluster_name_ok(e->d_name))
            nb_cluster_job_task(j, e->d_name);
        else
            j->ignored += e->d_name[0] != '.';
    }
    closedir(d);
    if (j->count > 0)
        qsort(j->tasks, j->count, sizeof *j->tasks, by_node);
    return NB_OK;
}

static enum nb_status read_facts(struct nb_cluster_job *j, struct nb_err *err)
{
    json_t *merge = NULL;
    j->name = json_string_value(json_object_get(j->facts, "name"));
    j->by_hand = json_is_true(json_object_get(j->facts, "by_hand"));
    if (j->name == NULL || !nb_cluster_name_ok(j->name))
        return nb_fail(err, "%.400s/job.json: no \"name\" that a job may have", j->dir);
    const enum nb_status s = load_object(j->dir, "merge.json", &merge, err);
    copy_id(j->merge_id, merge);
    json_decref(merge);
    return s;
}

enum nb_status nb_cluster_job_open(struct nb_cluster_job *j, const char *dir,
                                   struct nb_err *err)
{
    char path[PATH_MAX];
    *j = (struct nb_cluster_job){0};
    if (realpath(dir, path) == NULL || strlen(path) > NB_PATH - 512)
        return nb_fail(err, "%.400s: %s", dir,
                       errno != 0 ? strerror(errno) : "the path is too long");
    snprintf(j->dir, sizeof j->dir, "%s", path);
    enum nb_status s = load_object(j->dir, "job.json", &j->facts, err);
    if (s == NB_OK && j->facts == NULL)
        s = nb_fail(err,
                    "%.400s: no job.json in it; `normbench cluster submit` makes the "
                    "folder of a sweep and tells "
                    "its name",
                    dir);
    if (s == NB_OK)
        s = read_facts(j, err);
    if (s != NB_OK)
        nb_cluster_job_free(j);
    return s;
}

enum nb_status nb_cluster_job_load(struct nb_cluster_job *j, const char *dir,
                                   struct nb_err *err)
{
    enum nb_status s = nb_cluster_job_open(j, dir, err);
    if (s != NB_OK)
        return s;
    s = load_tasks(j, err);
    if (s != NB_OK)
        nb_cluster_job_free(j);
    return s;
}

void nb_cluster_job_free(struct nb_cluster_job *j)
{
    for (size_t i = 0; i < j->count; i++) {
        json_decref(j->tasks[i].facts);
        free(j->tasks[i].node);
        free(j->tasks[i].dir);
    }
    free(j->tasks);
    json_decref(j->facts);
    *j = (struct nb_cluster_job){0};
}
