/* cluster_send.c: gives Slurm the jobs of a sweep. One job a node, bound to it by
 * --nodelist, all of one name.
 *
 * Not one array: its tasks share their options, so none could be bound to a node of its
 * own, and two might meet on the same node. A job a node can also be submitted again
 * alone, has an exit code of its own, and needs no MaxArraySize. */
#include "cluster_send.h"

#include "datadir.h"
#include "markup.h"
#include "options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- one sbatch ---- */

/* In a name that Slurm makes a file's of, % begins a pattern. */
static void add_output(struct nb_argv *a, const char *dir, const char *name)
{
    char text[2 * NB_PATH], *to = text;
    for (const char *p = dir; *p != '\0' && to < text + sizeof text - 3; p++) {
        *to++ = *p;
        if (*p == '%')
            *to++ = '%';
    }
    *to = '\0';
    nb_argv_add(a, "--output=%s/%s", text, name);
    nb_argv_add(a, "--open-mode=append");
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
static enum nb_status remember(const char *dir, const char *name, const char *id, struct nb_err *err)
{
    struct nb_err cancel;
    if (nb_cluster_write(dir, name, json_pack("{s:s}", "job", id), err) == NB_OK)
        return NB_OK;
    const struct nb_err cause = *err;
    return nb_slurm_cancel(id, &cancel) == NB_OK
               ? nb_fail(err, "%.700s; job %s was taken back", cause.text, id)
               : nb_fail(err, "%.400s; job %s could not be taken back (%.300s): scancel %s", cause.text, id, cancel.text, id);
}

/* The whole node: all its CPUs and memory, nobody beside it. A minute before its limit
 * the script is told. */
static enum nb_status node_args(const struct nb_cluster_job *j,
                                const struct nb_cluster_task *t, unsigned number,
                                struct nb_argv *a, struct nb_err *err)
{
    char output[64];
    enum nb_status s = begin_job(j, a, err);
    if (s == NB_OK)
        s = nb_cluster_job_words(j, "sbatch_task", a, err);
    snprintf(output, sizeof output, "slurm-%u.txt", number);
    nb_argv_add(a, "--job-name=%s", j->name);
    nb_argv_add(a, "--nodelist=%s", t->node);
    nb_argv_add(a, "--exclusive");
    nb_argv_add(a, "--mem=0");
    nb_argv_add(a, "--signal=B:TERM@60");
    add_output(a, t->dir, output);
    if (s == NB_OK)
        s = add_script(a, "node-job.sh", err);
    nb_argv_add(a, "%s", j->dir);
    nb_argv_add(a, "%s", t->node);
    nb_argv_add(a, "%u", number);
    return s;
}

static enum nb_status submit_node(const struct nb_cluster_job *j,
                                  struct nb_cluster_task *t, bool dry_run,
                                  struct nb_err *err)
{
    struct nb_argv a = {0};
    char name[64];
    const unsigned number = t->tries + 1;
    enum nb_status s = node_args(j, t, number, &a, err);
    snprintf(name, sizeof name, "submitted-%u.json", number);
    if (s == NB_OK && dry_run)
        print_command(&a);
    else if (s == NB_OK)
        s = nb_slurm_submit(&a, t->id, err);
    if (s == NB_OK && !dry_run)
        s = remember(t->dir, name, t->id, err);
    nb_argv_free(&a);
    return s;
}

/* The merge waits for all, however they end. */
static enum nb_status submit_merge(struct nb_cluster_job *j, const char *after,
                                   bool dry_run, struct nb_err *err)
{
    struct nb_argv a = {0};
    enum nb_status s = begin_job(j, &a, err);
    nb_argv_add(&a, "--job-name=%s-merge", j->name);
    nb_argv_add(&a, "--dependency=afterany%s", after);
    add_output(&a, j->dir, "slurm-merge-%j.txt");
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

enum nb_status nb_cluster_send(struct nb_cluster_job *j, bool dry_run, size_t *taken,
                               struct nb_err *err)
{
    enum nb_status first = NB_OK;
    struct nb_err one;
    char *after = NULL;
    size_t len = 0, waits = 0;
    FILE *f = open_memstream(&after, &len);
    NB_ASSERT(f != NULL);
    for (size_t i = 0; i < j->count; i++) {
        struct nb_cluster_task *t = &j->tasks[i];
        const bool open = nb_cluster_is_open(t);
        if (open && submit_node(j, t, dry_run, &one) != NB_OK) {
            if (first == NB_OK)
                first = nb_fail(err, "%s: %.800s", t->node, one.text);
            if (*taken == 0)
                break; /* what is refused at the first is refused at all */
            continue;
        }
        *taken += open;
        if (t->state != NB_TASK_DONE && (open || t->id[0] != '\0')) {
            fprintf(f, ":%s", dry_run && open ? t->node : t->id);
            waits++;
        }
    }
    NB_ASSERT(fclose(f) == 0);
    if (*taken > 0 && submit_merge(j, after, dry_run, &one) != NB_OK && first == NB_OK)
        first = nb_fail(err,
                        "the %zu tasks were submitted, but not the merge: %.600s; when "
                        "they have ended: normbench cluster "
                        "merge %.200s",
                        waits, one.text, j->dir);
    free(after);
    return first;
}
