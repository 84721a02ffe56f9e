/* cluster_send.c: gives Slurm the jobs of a sweep: one array, a task a node, and a merge
 * behind it.
 *
 * Tasks of an array share the options of its sbatch, so none could be bound to a node of
 * its own there, and two might meet on one. The array is therefore submitted held: each
 * task is given its node (scontrol update) and written down; then the merge follows, and
 * what was bound is released. Whoever dies in between leaves tasks that do not begin, and
 * a task without a node is never released; were it by hand, its script would find itself
 * on another node than its own. */
#include "cluster_send.h"

#include "datadir.h"
#include "markup.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
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

/* The error then says that it was, or how to. */
static enum nb_status take_back(const char *id, struct nb_err *err)
{
    struct nb_err cancel;
    const struct nb_err cause = *err;
    return nb_slurm_cancel(id, &cancel) == NB_OK
               ? nb_fail(err, "%.700s; job %s was taken back", cause.text, id)
               : nb_fail(err, "%.400s; job %s could not be taken back (%.300s): scancel %s", cause.text, id, cancel.text, id);
}

/* A job that nobody knows of would run all the same, and a second one be sent: what cannot be written down is taken back. */
static enum nb_status remember(const char *dir, const char *name, const char *id, struct nb_err *err)
{
    return nb_cluster_write(dir, name, json_pack("{s:s}", "job", id), err) == NB_OK ? NB_OK : take_back(id, err);
}

/* The first of several that were refused is the error, or an interruption; the others are told at once. */
struct refusals {
    enum nb_status first;
    struct nb_err *err;
};

static void refuse(struct refusals *r, const char *who, enum nb_status s, const struct nb_err *why)
{
    struct nb_err one;
    (void)nb_fail(&one, "%.200s%s%.800s", who, who[0] != '\0' ? ": " : "", why->text);
    if (r->first == NB_OK || s == NB_INTERRUPTED) {
        r->first = s;
        *r->err = one;
        return;
    }
    nb_plain(stderr, one.text);
    fputc('\n', stderr);
}

/* ---- an array ---- */

struct array {
    struct nb_cluster_task **v; /* task of the index */
    size_t n;
    bool *bound; /* [n]: it has its node, and its file says so */
    size_t number;
    char list[64]; /* tasks-NUMBER.txt in the sweep's folder: line of the index: NODE TRY */
    char id[NB_SLURM_ID];
};

/* The first list from a number on that nobody has: two may submit at once. */
static enum nb_status claim_list(const struct nb_cluster_job *j, struct array *a, bool dry_run, struct nb_err *err)
{
    char path[NB_PATH];
    for (;; a->number++) {
        snprintf(a->list, sizeof a->list, "tasks-%zu.txt", a->number);
        nb_file_path(path, j->dir, a->list, "");
        const int file = dry_run ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0)
            close(file);
        if (file >= 0 || (dry_run && access(path, F_OK) != 0))
            return NB_OK;
        if (!dry_run && errno != EEXIST)
            return nb_fail(err, "%.400s: %s", path, strerror(errno));
    }
}

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

static void remove_file(const char *dir, const char *name)
{
    char path[NB_PATH];
    nb_file_path(path, dir, name, "");
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

static void word_of(const struct nb_cluster_task *t, char name[64])
{
    snprintf(name, 64, "submitted-%u.json", t->tries + 1);
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
    if (s == NB_INTERRUPTED)
        return s;
    if (s != NB_OK)
        return take_back(t->id, err);
    word_of(t, name);
    return remember(t->dir, name, t->id, err);
}

/* Whoever interrupts a submission wants nothing of it. */
static void abandon(const struct nb_cluster_job *j, struct array *a)
{
    char name[64];
    if (nb_slurm_cancel(a->id, NULL) != NB_OK)
        fprintf(stderr, "its tasks are held and never begin; scancel %s removes them\n", a->id);
    for (size_t i = 0; i < a->n; i++) {
        word_of(a->v[i], name);
        if (a->bound[i])
            remove_file(a->v[i]->dir, name);
        a->bound[i] = false;
    }
    remove_file(j->dir, a->list);
}

/* How many of its tasks have their nodes. */
static size_t bind_all(const struct nb_cluster_job *j, struct array *a, struct refusals *r)
{
    size_t bound = 0;
    struct nb_err one;
    for (size_t i = 0; i < a->n; i++) {
        const enum nb_status s = bind_task(a->v[i], a->id, i, &one);
        a->bound[i] = s == NB_OK;
        bound += a->bound[i];
        if (s != NB_OK)
            refuse(r, a->v[i]->node, s, &one);
        if (s == NB_INTERRUPTED) {
            abandon(j, a);
            return 0;
        }
    }
    if (bound == 0)
        remove_file(j->dir, a->list);
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
        a->bound[i] = true;
    }
}

/* Submits it held and binds its tasks; how many. */
static size_t submit_array(const struct nb_cluster_job *j, struct array *a, bool dry_run, struct refusals *r)
{
    struct nb_argv sbatch = {0};
    struct nb_err one;
    size_t bound = a->n;
    enum nb_status s = claim_list(j, a, dry_run, &one);
    const bool claimed = s == NB_OK && !dry_run;
    if (s == NB_OK)
        s = array_args(j, a, &sbatch, &one);
    if (claimed && s == NB_OK)
        s = write_list(j, a, &one);
    if (claimed && s == NB_OK)
        s = nb_slurm_submit(&sbatch, a->id, &one);
    if (s == NB_OK && dry_run)
        print_array(a, &sbatch);
    else if (s == NB_OK)
        bound = bind_all(j, a, r);
    else
        refuse(r, "", s, &one);
    if (claimed && s != NB_OK)
        remove_file(j->dir, a->list);
    nb_argv_free(&sbatch);
    return s == NB_OK ? bound : 0;
}

/* Its tasks that are bound may begin, and no other. */
static void release(const struct array *a, bool dry_run, struct refusals *r)
{
    char *ids = NULL, words[200];
    size_t len = 0;
    struct nb_err one;
    FILE *f = open_memstream(&ids, &len);
    NB_ASSERT(f != NULL);
    for (size_t i = 0; i < a->n; i++)
        if (a->bound[i])
            fprintf(f, "%s%s_%zu", ftell(f) > 0 ? "," : "", a->id, i);
    NB_ASSERT(fclose(f) == 0);
    if (dry_run && len > 0)
        printf("  scontrol release %s\n", ids);
    else if (len > 0 && nb_slurm_release(ids, &one) != NB_OK) {
        const bool few = len <= 60; /* all of a command, or none of it */
        snprintf(words, sizeof words, "the tasks of job %.*s are held; %s%.60s lets them begin", NB_SLURM_DIGITS, a->id, few ? "scontrol release " : "",
                 few ? ids : "scontrol release, as `cluster status` tells of each,");
        refuse(r, words, NB_ERROR, &one);
    }
    free(ids);
}

/* ---- the merge ---- */

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

struct arrays {
    struct array *v;
    size_t n, tasks; /* of which so many are bound */
    struct nb_cluster_task **open;
    bool *bound;
};

static void arrays_free(struct arrays *all)
{
    free(all->v);
    free(all->open);
    free(all->bound);
}

/* Those that are open go into arrays of at most what Slurm takes, all held; what is refused at the first is refused at all. */
static void submit_open(const struct nb_cluster_job *j, bool dry_run, struct arrays *all, struct refusals *r)
{
    const size_t most = nb_slurm_array_most();
    size_t n = 0, number = 1;
    *all = (struct arrays){.v = calloc(j->count + 1, sizeof *all->v),
                           .open = calloc(j->count + 1, sizeof *all->open),
                           .bound = calloc(j->count + 1, sizeof *all->bound)};
    NB_ASSERT(all->v != NULL && all->open != NULL && all->bound != NULL && "out of memory");
    for (size_t i = 0; i < j->count; i++)
        if (nb_cluster_is_open(&j->tasks[i]))
            all->open[n++] = &j->tasks[i];
    for (size_t i = 0; i < n && (i == 0 || all->tasks > 0) && r->first != NB_INTERRUPTED; i += most) {
        struct array *a = &all->v[all->n];
        *a = (struct array){all->open + i, n - i < most ? n - i : most, all->bound + i, number, "", "ARRAY"};
        const size_t bound = submit_array(j, a, dry_run, r);
        number = a->number + 1;
        all->n += bound > 0;
        all->tasks += bound;
    }
}

/* For the merge: the arrays, and the tasks of earlier ones that Slurm still has. */
static char *whom_to_wait_for(const struct nb_cluster_job *j, const struct arrays *all)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    for (size_t i = 0; i < all->n; i++)
        fprintf(f, ":%s", all->v[i].id);
    for (size_t i = 0; i < j->count; i++)
        if (j->tasks[i].state != NB_TASK_DONE && !nb_cluster_is_open(&j->tasks[i]) && j->tasks[i].id[0] != '\0')
            fprintf(f, ":%s", j->tasks[i].id);
    NB_ASSERT(fclose(f) == 0);
    return text;
}

static void merge_behind(struct nb_cluster_job *j, const struct arrays *all, bool dry_run, struct refusals *r)
{
    struct nb_err one, told;
    char *after = whom_to_wait_for(j, all);
    j->merge_id[0] = '\0';
    const enum nb_status s = submit_merge(j, after, dry_run, &one);
    free(after);
    if (s == NB_OK)
        return;
    (void)nb_fail(&told, "the %zu tasks were submitted, but not the merge: %.300s; when they have ended: normbench cluster merge %.500s",
                  all->tasks, one.text, j->dir);
    j->merge_id[0] = '\0';
    refuse(r, "", s, &told);
}

enum nb_status nb_cluster_send(struct nb_cluster_job *j, bool dry_run, size_t *taken,
                               struct nb_err *err)
{
    struct refusals r = {NB_OK, err};
    struct arrays all;
    submit_open(j, dry_run, &all, &r);
    if (r.first != NB_INTERRUPTED && all.tasks > 0)
        merge_behind(j, &all, dry_run, &r);
    const bool interrupted = r.first == NB_INTERRUPTED;
    for (size_t i = 0; i < all.n; i++)
        if (interrupted)
            abandon(j, &all.v[i]);
        else
            release(&all.v[i], dry_run, &r);
    *taken = interrupted ? 0 : all.tasks;
    arrays_free(&all);
    return r.first;
}
