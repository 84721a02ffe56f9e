/* cluster_send.c: gives Slurm the jobs of a sweep: one array, a task a node, and a merge
 * behind it.
 *
 * Tasks of an array share the options of its sbatch, so none could be bound to a node of
 * its own there, and two might meet on one. The array is therefore submitted held: each
 * task is given its node (scontrol update) and written down, and then all are released. A
 * program that dies in between leaves tasks that never begin. */
#include "cluster_send.h"

#include "datadir.h"
#include "markup.h"
#include "options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- one sbatch ---- */

/* In a name that Slurm makes a file's of, % begins a pattern. */
static void add_output(struct nb_argv *a, const char *option, const char *dir, const char *name)
{
    char text[2 * NB_PATH], *to = text;
    for (const char *p = dir; *p != '\0' && to < text + sizeof text - 3; p++) {
        *to++ = *p;
        if (*p == '%')
            *to++ = '%';
    }
    *to = '\0';
    nb_argv_add(a, "%s%s/%s", option, text, name);
}

static enum nb_status add_script(struct nb_argv *a, const char *name, struct nb_err *err)
{
    char path[NB_PATH], script[NB_PATH];
    nb_file_path(script,
                 nb_data_dir("NB_SLURM_DIR", "slurm", NB_SLURM_DIR, path, sizeof path),
                 name, "");
    if (access(script, R_OK) != 0)
        return nb_fail(err,
                       "the job script is missing: %.400s: %s; NB_SLURM_DIR names "
                       "another folder that has it",
                       script, strerror(errno));
    nb_argv_add(a, "%s", script);
    return NB_OK;
}

static void print_command(const struct nb_argv *a)
{
    char *text = nb_option_command(
        (int)a->n, a->v); /* begins with "normbench" in place of a->v[0] */
    printf("  %s", a->v[0]);
    nb_plain(stdout, text + strlen("normbench"));
    putchar('\n');
    free(text);
}

/* A job of one task that Slurm shall not begin again by itself: its node may never come
 * back. */
static enum nb_status begin_job(const struct nb_cluster_job *j, struct nb_argv *a,
                                struct nb_err *err)
{
    nb_argv_add(a, "sbatch");
    const enum nb_status s = nb_cluster_job_words(j, "sbatch", a, err);
    nb_argv_add(a, "--parsable");
    nb_argv_add(a, "--nodes=1");
    nb_argv_add(a, "--ntasks=1");
    nb_argv_add(a, "--no-requeue");
    return s;
}

/* A job that nobody knows of would run all the same, and a second one be sent: what cannot be written down is taken back. */
static enum nb_status take_back(const char *id, struct nb_err *err)
{
    struct nb_err cancel;
    const struct nb_err cause = *err;
    return nb_slurm_cancel(id, &cancel) == NB_OK
               ? nb_fail(err, "%.700s; job %s was taken back", cause.text, id)
               : nb_fail(err, "%.400s; job %s could not be taken back (%.300s): scancel %s", cause.text, id, cancel.text, id);
}

static enum nb_status remember(const char *dir, const char *name, const char *id, struct nb_err *err)
{
    return nb_cluster_write(dir, name, json_pack("{s:s}", "job", id), err) == NB_OK ? NB_OK : take_back(id, err);
}

/* ---- the array ---- */

struct array {
    struct nb_cluster_task **v; /* task of the index */
    size_t n;
    char list[64]; /* file in the sweep's folder: line of the index: NODE TRY */
    char id[NB_SLURM_ID];
};

/* The job script finds there who it is. */
static enum nb_status write_list(const struct nb_cluster_job *j, const struct array *a, struct nb_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    for (size_t i = 0; i < a->n; i++)
        fprintf(f, "%s %u\n", a->v[i]->node, a->v[i]->tries + 1);
    NB_ASSERT(fclose(f) == 0);
    const enum nb_status s = nb_file_write(j->dir, a->list, text, len, err);
    free(text);
    return s;
}

/* tasks-M.txt, M the first that is free. */
static void name_list(const struct nb_cluster_job *j, struct array *a, size_t before)
{
    char path[NB_PATH];
    for (size_t m = before + 1;; m++) {
        snprintf(a->list, sizeof a->list, "tasks-%zu.txt", m);
        nb_file_path(path, j->dir, a->list, "");
        if (access(path, F_OK) != 0)
            return;
    }
}

static void remove_list(const struct nb_cluster_job *j, const struct array *a)
{
    char path[NB_PATH];
    nb_file_path(path, j->dir, a->list, "");
    (void)unlink(path);
}

/* Of each task the whole node: all its CPUs and memory, nobody beside it. A minute before
 * its limit the script is told. */
static enum nb_status array_args(const struct nb_cluster_job *j, const struct array *array,
                                 struct nb_argv *a, struct nb_err *err)
{
    enum nb_status s = begin_job(j, a, err);
    if (s == NB_OK)
        s = nb_cluster_job_words(j, "sbatch_task", a, err);
    nb_argv_add(a, "--job-name=%s", j->name);
    nb_argv_add(a, "--hold");
    nb_argv_add(a, "--array=0-%zu", array->n - 1);
    nb_argv_add(a, "--exclusive");
    nb_argv_add(a, "--mem=0");
    nb_argv_add(a, "--signal=B:TERM@60");
    add_output(a, "--output=", j->dir, "slurm-%A_%a.txt");
    nb_argv_add(a, "--open-mode=append");
    if (s == NB_OK)
        s = add_script(a, "node-job.sh", err);
    nb_argv_add(a, "%s", j->dir);
    nb_argv_add(a, "--array");
    nb_argv_add(a, "%s", array->list);
    return s;
}

static void bind_args(const struct nb_cluster_task *t, const char *id, struct nb_argv *a)
{
    char output[64];
    snprintf(output, sizeof output, "slurm-%u.txt", t->tries + 1);
    nb_argv_add(a, "scontrol");
    nb_argv_add(a, "update");
    nb_argv_add(a, "JobId=%s", id);
    nb_argv_add(a, "ReqNodeList=%s", t->node);
    add_output(a, "StdOut=", t->dir, output);
}

/* Gives a held task its node, and writes it down. */
static enum nb_status bind_task(struct nb_cluster_task *t, const char *array, size_t index, struct nb_err *err)
{
    struct nb_argv a = {0};
    char name[64];
    snprintf(t->id, sizeof t->id, "%.*s_%zu", NB_SLURM_DIGITS, array, index);
    bind_args(t, t->id, &a);
    enum nb_status s = nb_slurm_tell(&a, err);
    nb_argv_free(&a);
    if (s != NB_OK)
        return take_back(t->id, err);
    snprintf(name, sizeof name, "submitted-%u.json", t->tries + 1);
    return remember(t->dir, name, t->id, err);
}

/* The first of several that were refused is told. */
struct refusals {
    enum nb_status first;
    struct nb_err *err;
};

static void refuse(struct refusals *r, const char *who, const struct nb_err *why)
{
    if (r->first == NB_OK)
        r->first = nb_fail(r->err, "%s%s%.800s", who, who[0] != '\0' ? ": " : "", why->text);
}

/* How many of its tasks Slurm has. */
static size_t bind_all(struct array *a, struct refusals *r)
{
    size_t bound = 0;
    struct nb_err one;
    char held[160];
    for (size_t i = 0; i < a->n; i++) {
        if (bind_task(a->v[i], a->id, i, &one) == NB_OK)
            bound++;
        else
            refuse(r, a->v[i]->node, &one);
    }
    if (bound > 0 && nb_slurm_release(a->id, &one) != NB_OK) {
        snprintf(held, sizeof held, "its tasks are held; scontrol release %s lets them begin", a->id);
        refuse(r, held, &one);
    }
    return bound;
}

static void print_array(const struct array *a, const struct nb_argv *sbatch)
{
    print_command(sbatch);
    for (size_t i = 0; i < a->n; i++) {
        struct nb_argv bind = {0};
        char id[NB_SLURM_ID + sizeof "ARRAY_"];
        snprintf(id, sizeof id, "ARRAY_%zu", i);
        bind_args(a->v[i], id, &bind);
        print_command(&bind);
        nb_argv_free(&bind);
    }
    puts("  scontrol release ARRAY");
}

static size_t submit_array(const struct nb_cluster_job *j, struct array *a, bool dry_run, struct refusals *r)
{
    struct nb_argv sbatch = {0};
    struct nb_err one;
    size_t bound = 0;
    enum nb_status s = array_args(j, a, &sbatch, &one);
    if (s == NB_OK && dry_run) {
        print_array(a, &sbatch);
        bound = a->n;
    } else {
        if (s == NB_OK)
            s = write_list(j, a, &one);
        if (s == NB_OK)
            s = nb_slurm_submit(&sbatch, a->id, &one);
        if (s == NB_OK)
            bound = bind_all(a, r);
    }
    if (s != NB_OK)
        refuse(r, "", &one);
    if (bound == 0 && !dry_run)
        remove_list(j, a);
    nb_argv_free(&sbatch);
    return bound;
}

/* The merge waits for all, however they end. */
static enum nb_status submit_merge(struct nb_cluster_job *j, const char *after,
                                   bool dry_run, struct nb_err *err)
{
    struct nb_argv a = {0};
    enum nb_status s = begin_job(j, &a, err);
    nb_argv_add(&a, "--job-name=%s-merge", j->name);
    nb_argv_add(&a, "--dependency=afterany%s", after);
    add_output(&a, "--output=", j->dir, "slurm-merge-%j.txt");
    nb_argv_add(&a, "--open-mode=append");
    if (s == NB_OK)
        s = add_script(&a, "merge-job.sh", err);
    nb_argv_add(&a, "%s", j->dir);
    if (s == NB_OK && dry_run)
        print_command(&a);
    else if (s == NB_OK)
        s = nb_slurm_submit(&a, j->merge_id, err);
    if (s == NB_OK && !dry_run)
        s = remember(j->dir, "merge.json", j->merge_id, err);
    nb_argv_free(&a);
    return s;
}

/* ---- all of them ---- */

bool nb_cluster_is_open(const struct nb_cluster_task *t)
{
    return t->state == NB_TASK_UNSENT || t->state == NB_TASK_FAILED ||
           t->state == NB_TASK_LOST;
}

/* Those that are open go into arrays of at most what Slurm takes; what is refused at the
 * first is refused at all. Adds to after whom the merge waits for. */
static size_t submit_open(const struct nb_cluster_job *j, bool dry_run, FILE *after, struct refusals *r)
{
    const size_t most = nb_slurm_array_most();
    struct nb_cluster_task **open = calloc(j->count + 1, sizeof *open);
    size_t n = 0, taken = 0, arrays = 0;
    NB_ASSERT(open != NULL && "out of memory");
    for (size_t i = 0; i < j->count; i++)
        if (nb_cluster_is_open(&j->tasks[i]))
            open[n++] = &j->tasks[i];
    for (size_t i = 0; i < n && (i == 0 || taken > 0); i += most, arrays++) {
        struct array a = {.v = open + i, .n = n - i < most ? n - i : most, .id = "ARRAY"};
        name_list(j, &a, dry_run ? arrays : 0);
        const size_t bound = submit_array(j, &a, dry_run, r);
        if (bound > 0)
            fprintf(after, ":%s", a.id);
        taken += bound;
    }
    free(open);
    return taken;
}

static void wait_for_others(const struct nb_cluster_job *j, FILE *after)
{
    for (size_t i = 0; i < j->count; i++)
        if (j->tasks[i].state != NB_TASK_DONE && !nb_cluster_is_open(&j->tasks[i]) && j->tasks[i].id[0] != '\0')
            fprintf(after, ":%s", j->tasks[i].id);
}

enum nb_status nb_cluster_send(struct nb_cluster_job *j, bool dry_run, size_t *taken,
                               struct nb_err *err)
{
    struct refusals r = {NB_OK, err};
    struct nb_err one;
    char *after = NULL, words[2 * NB_PATH];
    size_t len = 0;
    FILE *f = open_memstream(&after, &len);
    NB_ASSERT(f != NULL);
    *taken = submit_open(j, dry_run, f, &r);
    wait_for_others(j, f);
    NB_ASSERT(fclose(f) == 0);
    if (*taken > 0 && submit_merge(j, after, dry_run, &one) != NB_OK) {
        snprintf(words, sizeof words, "the %zu tasks were submitted, but not the merge; when they have ended: normbench cluster merge %s",
                 *taken, j->dir);
        refuse(&r, words, &one);
    }
    free(after);
    return r.first;
}
