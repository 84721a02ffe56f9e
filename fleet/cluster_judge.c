/* cluster_judge.c: what became of a task, from its files and from what Slurm says of its
 * job. The files win: what a node wrote is so, whatever Slurm has heard of it. */
#include "cluster_job.h"

#include <string.h>

/* Longer than any part of a run is silent. */
enum { SILENT_S = 15 * 60 };

const char *nb_cluster_state_name(enum nb_cluster_state s)
{
    static const char *const names[] = {"not submitted", "pending", "running",
                                        "done",          "failed",  "lost"};
    return names[s];
}

/* Exit codes of `normbench run`: with these the run has ended and all of it is there. */
static const char *finished_word(long long code)
{
    return code == 0   ? ""
           : code == 2 ? "a kernel failed its check, crashed or hung (exit 2)"
           : code == 3 ? "below a bar of this class of CPU (exit 3)"
                       : NULL;
}

static enum nb_cluster_state judge_end(struct nb_cluster_task *t)
{
    const char *word = finished_word(t->code);
    if (word != NULL) {
        snprintf(t->why, sizeof t->why, "%s", word);
        return NB_TASK_DONE;
    }
    char code[40] = "";
    if (t->code >= 0)
        snprintf(code, sizeof code, "exit %lld%s", t->code,
                 t->reason[0] != '\0' ? ": " : "");
    snprintf(t->why, sizeof t->why, "%s%s", code, t->reason);
    return NB_TASK_FAILED;
}

/* "CANCELLED by 1000" is CANCELLED. */
static bool is_one_of(const char *state, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strncmp(state, *words, strlen(*words)) == 0 &&
            strchr(" +", state[strlen(*words)]) != NULL)
            return true;
    return false;
}

/* The job is at its end, or Slurm has forgotten it, and no word of the task's end was
 * written. */
static enum nb_cluster_state judge_silence(struct nb_cluster_task *t,
                                           const struct nb_slurm_job *job)
{
    static const char *const lost[] = {"NODE_FAIL", "BOOT_FAIL", "COMPLETED", "REVOKED",
                                       NULL};
    const char *when =
        t->begun ? "it began, but its end was not written" : "it never began";
    if (job == NULL) {
        snprintf(t->why, sizeof t->why, "Slurm does not know its job any more; %s", when);
        return NB_TASK_LOST;
    }
    snprintf(t->why, sizeof t->why, "Slurm: %.60s, %.100s; %s", job->state, job->reason,
             when);
    return is_one_of(job->state, lost) ? NB_TASK_LOST : NB_TASK_FAILED;
}

static enum nb_cluster_state judge_files(struct nb_cluster_task *t)
{
    if (!t->begun) {
        snprintf(t->why, sizeof t->why, "it has not begun");
        return NB_TASK_PENDING;
    }
    if (t->silent_s > SILENT_S) {
        snprintf(t->why, sizeof t->why, "nothing was written for %.0f minutes",
                 t->silent_s / 60);
        return NB_TASK_LOST;
    }
    snprintf(t->why, sizeof t->why, "last sign %.0f s ago", t->silent_s);
    return NB_TASK_RUNNING;
}

void nb_cluster_judge(struct nb_cluster_task *t, const struct nb_slurm_job *job,
                      bool answered)
{
    static const char *const waits[] = {
        "PENDING",       "REQUEUED",     "REQUEUE_FED", "REQUEUE_HOLD",
        "RESV_DEL_HOLD", "SPECIAL_EXIT", NULL};
    static const char *const runs[] = {"RUNNING",   "COMPLETING", "CONFIGURING",
                                       "SUSPENDED", "STAGE_OUT",  "SIGNALING",
                                       "STOPPED",   "RESIZING",   NULL};
    t->why[0] = '\0';
    if (t->broken[0] != '\0') {
        t->state = NB_TASK_LOST;
        snprintf(t->why, sizeof t->why, "%.399s", t->broken);
    } else if (t->tries == 0) {
        t->state = NB_TASK_UNSENT;
    } else if (t->ended) {
        t->state = judge_end(t);
    } else if (!answered ||
               t->id[0] == '\0') { /* begun by hand: Slurm knows nothing of it */
        t->state = judge_files(t);
    } else if (job != NULL &&
               (is_one_of(job->state, waits) || is_one_of(job->state, runs))) {
        t->state = is_one_of(job->state, waits) ? NB_TASK_PENDING : NB_TASK_RUNNING;
        const bool pends = t->state == NB_TASK_PENDING, held = pends && strncmp(job->reason, "JobHeld", 7) == 0;
        snprintf(t->why, sizeof t->why, "Slurm: %.60s%s%.100s%s%s%s", job->state, pends ? ", " : "", pends ? job->reason : "",
                 held ? ": scontrol release " : "", held ? t->id : "", held ? " lets it begin" : "");
    } else {
        t->state = judge_silence(t, job);
    }
}

/* sacct is asked once, for all that squeue has forgotten. */
static void recall(const struct nb_cluster_job *j, struct nb_slurm_jobs *jobs)
{
    char *ids = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&ids, &len);
    NB_ASSERT(f != NULL);
    for (size_t i = 0; i < j->count; i++) {
        const struct nb_cluster_task *t = &j->tasks[i];
        if (t->id[0] != '\0' && !t->ended && nb_slurm_find(jobs, t->id) == NULL)
            fprintf(f, "%s%s", ftell(f) > 0 ? "," : "", t->id);
    }
    NB_ASSERT(fclose(f) == 0);
    if (len > 0)
        nb_slurm_jobs_recall(jobs, ids);
    free(ids);
}

void nb_cluster_job_judge(struct nb_cluster_job *j, struct nb_slurm_jobs *jobs)
{
    if (jobs->answered)
        recall(j, jobs);
    for (size_t i = 0; i < j->count; i++)
        nb_cluster_judge(&j->tasks[i], nb_slurm_find(jobs, j->tasks[i].id),
                         jobs->answered);
}
