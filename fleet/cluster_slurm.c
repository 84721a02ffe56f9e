#define _GNU_SOURCE /* vasprintf */
#include "cluster_slurm.h"

#include "child.h"
#include "cluster_nodes.h"

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

void nb_argv_add(struct nb_argv *a, const char *format, ...)
{
    va_list words;
    a->v = realloc(a->v, (a->n + 2) * sizeof *a->v);
    NB_ASSERT(a->v != NULL && "out of memory");
    va_start(words, format);
    NB_ASSERT(vasprintf(&a->v[a->n], format, words) >= 0 && "out of memory");
    va_end(words);
    a->v[++a->n] = NULL;
}

void nb_argv_free(struct nb_argv *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
    *a = (struct nb_argv){0};
}

/* ---- its programs ---- */

static bool went_well(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What it said on stderr, on one line. */
static const char *words(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\n')
            *p = ' ';
    return n > 0 ? text : "it says nothing";
}

/* Starts it; an error is that it could not be, that it failed, or that it was ended. */
static enum nb_status ask(const struct nb_argv *a, struct nb_child_said *said,
                          struct nb_err *err)
{
    struct nb_err start;
    *said = (struct nb_child_said){0};
    if (nb_child_listen(a->v, said, &start) != NB_OK)
        return nb_fail(err,
                       "%s; Slurm's programs must be in PATH: this is done on a node "
                       "from which jobs are "
                       "submitted. Without Slurm: `normbench cluster submit --by-hand`",
                       start.text);
    if (WIFSIGNALED(said->status)) {
        const int number = WTERMSIG(said->status);
        (void)nb_fail(err, "%s was ended by signal %d", a->v[0], number);
        return number == SIGINT || number == SIGTERM ? NB_INTERRUPTED : NB_ERROR;
    }
    if (!went_well(said->status))
        return nb_fail(err, "%s refuses with exit code %d: %.600s", a->v[0],
                       WEXITSTATUS(said->status), words(said->err));
    return NB_OK;
}

static enum nb_status ask_text(const struct nb_argv *a, char **text, struct nb_err *err)
{
    struct nb_child_said said;
    const enum nb_status s = ask(a, &said, err);
    *text = s == NB_OK ? said.out : NULL;
    if (s == NB_OK)
        said.out = NULL;
    nb_child_said_free(&said);
    return s;
}

/* ---- sinfo ---- */

static enum nb_status no_such_partition(const char *partition, struct nb_err *err)
{
    struct nb_argv a = {0};
    char *known = NULL;
    nb_argv_add(&a, "sinfo");
    nb_argv_add(&a, "--noheader");
    nb_argv_add(&a, "--format=%%R");
    enum nb_status s = ask_text(&a, &known, err);
    for (char *p = known; p != NULL && *p != '\0'; p++)
        if (*p == '\n')
            *p = p[1] != '\0' ? ',' : '\0';
    if (s == NB_OK)
        s = nb_fail(err,
                    "--partition %.100s: Slurm knows no such partition, or it has no "
                    "nodes; known: %.600s",
                    partition, known);
    free(known);
    nb_argv_free(&a);
    return s;
}

enum nb_status nb_slurm_nodes(const char *partition, char **text, struct nb_err *err)
{
    struct nb_argv a = {0};
    nb_argv_add(&a, "sinfo");
    nb_argv_add(&a, "--noheader");
    nb_argv_add(&a, "--Node");
    nb_argv_add(&a, "--partition=%s", partition);
    nb_argv_add(&a, "--format=%s", NB_CLUSTER_SINFO);
    enum nb_status s = ask_text(&a, text, err);
    if (s == NB_OK && **text == '\0') {
        free(*text);
        *text = NULL;
        s = no_such_partition(partition, err);
    }
    nb_argv_free(&a);
    return s;
}

/* ---- sbatch ---- */

/* --parsable prints the job, and behind a ';' the cluster where it is not this one. */
enum nb_status nb_slurm_submit(const struct nb_argv *sbatch, char id[NB_SLURM_ID],
                               struct nb_err *err)
{
    char *text = NULL;
    enum nb_status s = ask_text(sbatch, &text, err);
    const size_t digits = s == NB_OK ? strspn(text, "0123456789") : 0;
    if (s == NB_OK && digits > 0 && text[digits] == ';')
        s = nb_fail(err, "sbatch gave job %.*s to another cluster, %.100s, where its tasks cannot be bound to nodes: submit it from there; "
                         "scancel --clusters=... %.*s removes it", (int)digits, text, text + digits + 1, (int)digits, text);
    else if (s == NB_OK && (digits == 0 || digits > NB_SLURM_DIGITS || (text[digits] != '\n' && text[digits] != '\0')))
        s = nb_fail(err, "sbatch --parsable says \"%.200s\" where the number of the job should be", text);
    if (s == NB_OK)
        snprintf(id, NB_SLURM_ID, "%.*s", (int)digits, text);
    free(text);
    return s;
}

bool nb_slurm_is_id(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    const char *index = text[digits] == '_' ? text + digits + 1 : "0";
    return digits > 0 && strlen(text) < NB_SLURM_ID && (text[digits] == '\0' || text[digits] == '_') && index[0] != '\0' &&
           strspn(index, "0123456789") == strlen(index);
}

/* ---- scontrol and scancel ---- */

enum nb_status nb_slurm_tell(const struct nb_argv *a, struct nb_err *err)
{
    char *text;
    const enum nb_status s = ask_text(a, &text, err);
    free(text);
    return s;
}

static enum nb_status tell_words(struct nb_err *err, const char *program, const char *word, const char *id)
{
    struct nb_argv a = {0};
    nb_argv_add(&a, "%s", program);
    if (word != NULL)
        nb_argv_add(&a, "%s", word);
    nb_argv_add(&a, "%s", id);
    const enum nb_status s = nb_slurm_tell(&a, err);
    nb_argv_free(&a);
    return s;
}

enum nb_status nb_slurm_release(const char *id, struct nb_err *err)
{
    return tell_words(err, "scontrol", "release", id);
}

enum nb_status nb_slurm_cancel(const char *id, struct nb_err *err)
{
    return tell_words(err, "scancel", NULL, id);
}

/* Of "MaxArraySize            = 1001": an index is less than that. */
size_t nb_slurm_array_most(void)
{
    enum { DEFAULT = 1001 }; /* slurm.conf(5) */
    struct nb_argv a = {0};
    char *text = NULL;
    nb_argv_add(&a, "scontrol");
    nb_argv_add(&a, "show");
    nb_argv_add(&a, "config");
    const bool said = ask_text(&a, &text, NULL) == NB_OK;
    const char *line = said ? strstr(text, "MaxArraySize") : NULL;
    const char *value = line != NULL ? strchr(line, '=') : NULL;
    const unsigned long most = value != NULL ? strtoul(value + 1, NULL, 10) : 0;
    free(text);
    nb_argv_free(&a);
    return most > 0 ? most : DEFAULT;
}

/* ---- squeue and sacct ---- */

/* Lines of id, state and reason, with a separator between; other lines are not about jobs
 * of ours. */
static void add_jobs(struct nb_slurm_jobs *jobs, char *text)
{
    for (char *line = text, *next; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        char *state = strchr(line, NB_CLUSTER_SEPARATOR[0]);
        char *reason = state != NULL ? strchr(state + 1, NB_CLUSTER_SEPARATOR[0]) : NULL;
        if (reason == NULL)
            continue;
        *state++ = *reason++ = '\0';
        jobs->v = realloc(jobs->v, (jobs->n + 1) * sizeof *jobs->v);
        NB_ASSERT(jobs->v != NULL && "out of memory");
        jobs->v[jobs->n++] = (struct nb_slurm_job){line, state, reason};
    }
}

void nb_slurm_jobs_ask(struct nb_slurm_jobs *jobs, const char *name)
{
    struct nb_argv a = {0};
    struct nb_err err = {""};
    *jobs = (struct nb_slurm_jobs){0};
    nb_argv_add(&a, "squeue");
    nb_argv_add(&a, "--noheader");
    nb_argv_add(&a, "--states=all");
    nb_argv_add(&a, "--array"); /* a task a line */
    nb_argv_add(&a, "--name=%s", name);
    nb_argv_add(&a, "--format=%s",
                "%i" NB_CLUSTER_SEPARATOR "%T" NB_CLUSTER_SEPARATOR "%r");
    jobs->answered = ask_text(&a, &jobs->text[0], &err) == NB_OK;
    if (jobs->answered)
        add_jobs(jobs, jobs->text[0]);
    else
        snprintf(jobs->why, sizeof jobs->why, "%.299s", err.text);
    nb_argv_free(&a);
}

void nb_slurm_jobs_recall(struct nb_slurm_jobs *jobs, const char *ids)
{
    struct nb_argv a = {0};
    if (jobs->text[1] != NULL)
        return;
    nb_argv_add(&a, "sacct");
    nb_argv_add(&a, "--noheader");
    nb_argv_add(&a, "--parsable2");
    nb_argv_add(&a, "--allocations");
    nb_argv_add(&a, "--delimiter=" NB_CLUSTER_SEPARATOR);
    nb_argv_add(&a, "--format=JobID,State,ExitCode");
    nb_argv_add(&a, "--jobs=%s", ids);
    if (ask_text(&a, &jobs->text[1], NULL) == NB_OK)
        add_jobs(jobs, jobs->text[1]);
    nb_argv_free(&a);
}

const struct nb_slurm_job *nb_slurm_find(const struct nb_slurm_jobs *jobs, const char *id)
{
    for (size_t i = 0; i < jobs->n; i++)
        if (strcmp(jobs->v[i].id, id) == 0)
            return &jobs->v[i];
    return NULL;
}

void nb_slurm_jobs_free(struct nb_slurm_jobs *jobs)
{
    free(jobs->text[0]);
    free(jobs->text[1]);
    free(jobs->v);
    *jobs = (struct nb_slurm_jobs){0};
}
