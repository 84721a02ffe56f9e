#include "cluster.h"
#include "cluster_job.h"
#include "markup.h"

#include <string.h>

enum { STATES = NB_TASK_LOST + 1 };

/* ---- for people ---- */

static int widest_name(const struct nb_cluster_job *j)
{
    size_t width = 4;
    for (size_t i = 0; i < j->count; i++)
        width = strlen(j->tasks[i].node) > width ? strlen(j->tasks[i].node) : width;
    return (int)width;
}

/* What the user may look at: the run, or what was said of it. */
static void print_files(const struct nb_cluster_task *t)
{
    if (t->state == NB_TASK_FAILED || t->state == NB_TASK_LOST)
        printf(" (nodes/%s/%s-%u.txt)", t->node, t->begun ? "log" : "slurm", t->tries);
    if (t->run > 0)
        printf("%s nodes/%s/run-%u%s", t->state == NB_TASK_DONE ? "" : ";", t->node,
               t->run, t->finished ? "" : ", a part of a run");
}

static void print_task(const struct nb_cluster_task *t, int width)
{
    printf("  %-*s  %-13s  try %-2u  %s%-8s", width, t->node,
           nb_cluster_state_name(t->state), t->tries, t->id[0] != '\0' ? "job " : "    ",
           t->id);
    nb_plain(stdout, t->why);
    if (t->why[0] != '\0' && t->state == NB_TASK_DONE)
        fputs(": ", stdout);
    print_files(t);
    putchar('\n');
}

static void print_counts(const size_t count[STATES])
{
    const char *comma = "";
    for (int s = 0; s < STATES; s++)
        if (count[s] > 0) {
            printf("%s%zu %s", comma, count[s],
                   nb_cluster_state_name((enum nb_cluster_state)s));
            comma = ", ";
        }
    putchar('\n');
}

static void print_merge(const struct nb_cluster_job *j, const struct nb_slurm_jobs *jobs)
{
    const struct nb_slurm_job *m =
        j->merge_id[0] != '\0' ? nb_slurm_find(jobs, j->merge_id) : NULL;
    if (j->merge_id[0] == '\0')
        return;
    printf("merge: job %s", j->merge_id);
    if (m != NULL) {
        fputs(", Slurm: ", stdout);
        nb_plain(stdout, m->state);
        fputs(", ", stdout);
        nb_plain(stdout, m->reason);
    }
    printf("; its words: slurm-merge-%s.txt\n", j->merge_id);
}

static void print_advice(const struct nb_cluster_job *j, const size_t count[STATES])
{
    if (count[NB_TASK_FAILED] + count[NB_TASK_LOST] + count[NB_TASK_UNSENT] > 0 &&
        !j->by_hand) {
        fputs("again, what failed or was lost: normbench cluster resubmit ", stdout);
        nb_plain(stdout, j->dir);
        putchar('\n');
    }
    if (count[NB_TASK_DONE] > 0) {
        fputs("what is there, merged: normbench cluster merge ", stdout);
        nb_plain(stdout, j->dir);
        putchar('\n');
    }
}

static void print_job(const struct nb_cluster_job *j, const struct nb_slurm_jobs *jobs,
                      const size_t count[STATES])
{
    const int width = widest_name(j);
    if (!j->by_hand && !jobs->answered) {
        fputs("without Slurm, from the files alone: ", stdout);
        nb_plain(stdout, jobs->why);
        putchar('\n');
    }
    printf("%s: %zu node%s: ", j->name, j->count, j->count == 1 ? "" : "s");
    print_counts(count);
    for (size_t i = 0; i < j->count; i++)
        print_task(&j->tasks[i], width);
    if (j->ignored > 0)
        printf("  left out: %zu folders in nodes/ whose names no node can have\n",
               j->ignored);
    print_merge(j, jobs);
    print_advice(j, count);
}

/* ---- for programs ---- */

static json_t *text_or_null(const char *s)
{
    json_t *t = s[0] != '\0' ? json_string(s) : NULL;
    return t != NULL ? t : json_null();
}

static json_t *task_json(const struct nb_cluster_task *t)
{
    json_t *o =
        json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:b, s:o}", "node", t->node, "state",
                  nb_cluster_state_name(t->state), "tries", (int)t->tries, "job",
                  text_or_null(t->id), "exit",
                  t->ended && t->code >= 0 ? json_integer(t->code) : json_null(), "why",
                  text_or_null(t->why), "whole", (int)t->finished, "run", json_null());
    if (o != NULL && t->run > 0)
        json_object_set_new(o, "run", json_sprintf("nodes/%s/run-%u", t->node, t->run));
    return o;
}

static enum nb_status print_json(const struct nb_cluster_job *j,
                                 const struct nb_slurm_jobs *jobs, struct nb_err *err)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < j->count; i++)
        json_array_append_new(nodes, task_json(&j->tasks[i]));
    json_t *o = json_pack("{s:i, s:s, s:s, s:b, s:o, s:o}", "schema", NB_CLUSTER_SCHEMA,
                          "name", j->name, "dir", j->dir, "slurm", (int)jobs->answered,
                          "merge", text_or_null(j->merge_id), "nodes", nodes);
    if (o == NULL || json_dumpf(o, stdout, JSON_INDENT(1)) != 0) {
        json_decref(o);
        return nb_fail(err, "cluster status: a text of the folder is no UTF-8, or stdout "
                            "cannot be written");
    }
    putchar('\n');
    json_decref(o);
    return NB_OK;
}

/* ---- the command ---- */

enum nb_status nb_cluster_status(int argc, char **argv, int *code, struct nb_err *err)
{
    struct nb_cluster_job j;
    struct nb_slurm_jobs jobs = {0};
    size_t count[STATES] = {0};
    const char *dir = NULL;
    bool json = false;
    for (int i = 3; i < argc; i++) {
        const bool is_json = strcmp(argv[i], "--json") == 0;
        if (!is_json && (dir != NULL || argv[i][0] == '-'))
            return nb_fail(err,
                           "cluster status: unexpected \"%.100s\"; usage: normbench "
                           "cluster status DIR [--json]",
                           argv[i]);
        json = json || is_json;
        dir = is_json ? dir : argv[i];
    }
    if (dir == NULL)
        return nb_fail(err, "usage: normbench cluster status DIR [--json]");
    enum nb_status s = nb_cluster_job_load(&j, dir, err);
    if (s != NB_OK)
        return s;
    if (!j.by_hand)
        nb_slurm_jobs_ask(&jobs, j.name);
    nb_cluster_job_judge(&j, &jobs);
    for (size_t i = 0; i < j.count; i++)
        count[j.tasks[i].state]++;
    *code = count[NB_TASK_DONE] == j.count ? 0 : NB_CLUSTER_OPEN;
    if (json)
        s = print_json(&j, &jobs, err);
    else
        print_job(&j, &jobs, count);
    nb_slurm_jobs_free(&jobs);
    nb_cluster_job_free(&j);
    return s;
}
