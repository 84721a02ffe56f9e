/* cluster_task.c: one node's part of a sweep: goes on with the run of an earlier try
 * where it can, begins one where not, and writes how it ended. Runs on the node, in the
 * place of the program that measures. */
#define _GNU_SOURCE /* strsignal */
#include "child.h"
#include "cluster.h"
#include "cluster_job.h"
#include "cluster_nodes.h"
#include "markup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct part {
    struct nb_cluster_job job;
    struct nb_cluster_task *task;
    unsigned number; /* of this try */
    unsigned run;    /* its run */
    bool resumed;
    char log[64];
};

/* ---- which node, which try ---- */

static enum nb_status own_name(char *name, size_t len, struct nb_err *err)
{
    if (gethostname(name, len) != 0)
        return nb_fail(err, "the name of this host is not known: %s", strerror(errno));
    name[len - 1] = '\0';
    name[strcspn(name, ".")] = '\0';
    return NB_OK;
}

/* A node that nobody submitted gets its folder now. */
static enum nb_status make_folder(const struct nb_cluster_job *j, const char *node,
                                  struct nb_err *err)
{
    char path[NB_PATH], facts[NB_PATH];
    nb_file_path(path, j->dir, "nodes/", node);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return nb_fail(err, "%.400s: %s", path, strerror(errno));
    nb_file_path(facts, path, "node.json", "");
    if (access(facts, F_OK) == 0)
        return NB_OK;
    return nb_cluster_write(path, "node.json",
                            json_pack("{s:s, s:b}", "node", node, "by_hand", 1), err);
}

static enum nb_status read_number(const char *text, unsigned *number, struct nb_err *err)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    *number = (unsigned)n;
    return text[0] >= '1' && text[0] <= '9' && *end == '\0' && n <= 100000
               ? NB_OK
               : nb_fail(
                     err,
                     "cluster task: TRY is \"%.100s\"; it should be a number from 1 on",
                     text);
}

static enum nb_status find_part(struct part *p, int argc, char **argv, struct nb_err *err)
{
    char host[256];
    const char *node = argc > 4 && argv[4][0] != '\0' ? argv[4] : host;
    enum nb_status s = own_name(host, sizeof host, err);
    if (s == NB_OK && !nb_cluster_name_ok(node))
        s = nb_fail(err,
                    "cluster task: \"%.200s\" is no name of a node: letters, digits, "
                    "'-', '_' and '.'",
                    node);
    if (s == NB_OK)
        s = make_folder(&p->job, node, err);
    if (s != NB_OK)
        return s;
    p->task = nb_cluster_job_task(&p->job, node);
    p->number = p->task->tries + 1;
    if (argc > 5)
        s = read_number(argv[5], &p->number, err);
    snprintf(p->log, sizeof p->log, "log-%u.txt", p->number);
    return s;
}

/* ---- its words in the folder ---- */

static enum nb_status write_word(const struct part *p, const char *what, json_t *object,
                                 struct nb_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%u.json", what, p->number);
    return nb_cluster_write(p->task->dir, name, object, err);
}

/* As Slurm calls it: of an array ARRAY_INDEX. NULL: not a job of Slurm. */
static const char *own_job(char text[NB_SLURM_ID])
{
    const char *array = getenv("SLURM_ARRAY_JOB_ID"), *index = getenv("SLURM_ARRAY_TASK_ID");
    if (array == NULL || index == NULL)
        return getenv("SLURM_JOB_ID");
    snprintf(text, NB_SLURM_ID, "%s_%s", array, index);
    return text;
}

static enum nb_status write_begin(const struct part *p, struct nb_err *err)
{
    char host[256] = "", run[64], ended[NB_PATH], id[NB_SLURM_ID];
    const enum nb_status s = own_name(host, sizeof host, err);
    snprintf(run, sizeof run, "ended-%u.json", p->number);
    nb_file_path(ended, p->task->dir, run, "");
    (void)unlink(ended); /* of the same try, which Slurm began again */
    snprintf(run, sizeof run, "run-%u", p->run);
    return s == NB_OK ? write_word(p, "begun",
                                   json_pack("{s:s, s:s?, s:s, s:b}", "host", host, "job",
                                             own_job(id), "run", run, "resumed", p->resumed),
                                   err)
                      : s;
}

/* As a text that JSON can hold. */
static json_t *plain_text(const char *s)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    nb_plain(f, s);
    NB_ASSERT(fclose(f) == 0);
    json_t *json = json_string(text);
    free(text);
    return json;
}

static enum nb_status write_end(const struct part *p, int status, const char *words,
                                struct nb_err *err)
{
    json_t *o = json_object();
    char line[512] = "";
    if (WIFSIGNALED(status))
        snprintf(line, sizeof line, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0 && words == NULL)
        nb_last_line(p->task->dir, p->log, line, sizeof line);
    json_object_set_new(
        o, "exit", WIFEXITED(status) ? json_integer(WEXITSTATUS(status)) : json_null());
    json_object_set_new(
        o, "signal", WIFSIGNALED(status) ? json_integer(WTERMSIG(status)) : json_null());
    json_object_set_new(o, "reason", plain_text(words != NULL ? words : line));
    return write_word(p, "ended", o, err);
}

/* ---- the run ---- */

/* Of its options a run that is resumed keeps all but these. */
static void add_resume_options(struct nb_argv *a, const struct nb_argv *asked)
{
    for (size_t i = 0; i < asked->n; i++) {
        if (strcmp(asked->v[i], "--force") == 0 ||
            strncmp(asked->v[i], "--timeout=", 10) == 0)
            nb_argv_add(a, "%s", asked->v[i]);
        if (strcmp(asked->v[i], "--timeout") == 0 && i + 1 < asked->n)
            nb_argv_add(a, "--timeout=%s", asked->v[i + 1]);
    }
}

static enum nb_status make_args(const struct part *p, struct nb_argv *a,
                                struct nb_err *err)
{
    struct nb_argv asked = {0};
    char self[NB_PATH];
    enum nb_status s = nb_cluster_self(self, err);
    if (s == NB_OK)
        s = nb_cluster_job_words(&p->job, "run", &asked, err);
    nb_argv_add(a, "%s", self);
    nb_argv_add(a, "run");
    if (p->resumed)
        add_resume_options(a, &asked);
    for (size_t i = 0; !p->resumed && i < asked.n; i++)
        nb_argv_add(a, "%s", asked.v[i]);
    nb_argv_add(a, "%s", p->resumed ? "--resume" : "--out");
    nb_argv_add(a, "%s/run-%u", p->task->dir, p->run);
    nb_argv_free(&asked);
    return s;
}

/* Starts a program whose words go to the log of this try. */
static enum nb_status run_logged(const struct part *p, const struct nb_argv *a,
                                 int *status, struct nb_err *err)
{
    char path[NB_PATH];
    nb_file_path(path, p->task->dir, p->log, "");
    const int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (log < 0 || before < 0 || dup2(log, STDERR_FILENO) < 0)
        return nb_fail(err, "%.400s: %s", path, strerror(errno));
    const enum nb_status s = nb_child_run(a->v, NULL, 0, status, err);
    (void)dup2(before, STDERR_FILENO);
    close(before);
    close(log);
    return s;
}

static long long size_of(const struct part *p, const char *name)
{
    struct stat s;
    char path[NB_PATH], run[64];
    snprintf(run, sizeof run, "run-%u/%s", p->run, name);
    nb_file_path(path, p->task->dir, run, "");
    return stat(path, &s) == 0 ? (long long)s.st_size : 0;
}

static enum nb_status run_once(const struct part *p, int *status, struct nb_err *err)
{
    struct nb_argv a = {0};
    enum nb_status s = write_begin(p, err);
    if (s == NB_OK)
        s = make_args(p, &a, err);
    if (s == NB_OK) {
        fprintf(stderr, "%s, try %u: %s %s/run-%u; what it says goes to %s beside it\n",
                p->task->node, p->number, p->resumed ? "goes on with" : "measures into",
                p->task->dir, p->run, p->log);
        s = run_logged(p, &a, status, err);
    }
    nb_argv_free(&a);
    return s;
}

static void choose_new_run(struct part *p)
{
    struct stat s;
    char path[NB_PATH], run[64];
    p->resumed = false;
    p->run = p->task->run >= p->number ? p->task->run + 1 : p->number;
    for (;; p->run++) { /* a folder without a plan is no run, and stays */
        snprintf(run, sizeof run, "run-%u", p->run);
        nb_file_path(path, p->task->dir, run, "");
        if (lstat(path, &s) != 0)
            return;
    }
}

/* An earlier run is continued; where that is refused at once (another machine, another
 * program) a new one is begun, and the earlier one stays as it is. */
static enum nb_status run_or_resume(struct part *p, int *status, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    if (p->task->run > 0) {
        p->run = p->task->run;
        p->resumed = true;
        const long long before = size_of(p, "samples.jsonl") + size_of(p, "checks.jsonl");
        s = run_once(p, status, err);
        if (s != NB_OK || !WIFEXITED(*status) || WEXITSTATUS(*status) != 1 ||
            size_of(p, "samples.jsonl") + size_of(p, "checks.jsonl") != before)
            return s;
        fprintf(stderr,
                "run-%u cannot be continued here; it stays, and a new run begins\n",
                p->run);
    }
    choose_new_run(p);
    return run_once(p, status, err);
}

/* Relative names among the options of the run are meant from where it was submitted. */
static void go_where_submitted(const struct nb_cluster_job *j)
{
    const char *cwd = json_string_value(json_object_get(j->facts, "cwd"));
    if (cwd == NULL || chdir(cwd) == 0)
        return;
    const int why = errno;
    nb_plain(stderr, cwd);
    fprintf(stderr, ": %s; relative names among the options will not be found\n",
            strerror(why));
}

enum nb_status nb_cluster_task(int argc, char **argv, int *code, struct nb_err *err)
{
    struct part p = {0};
    struct nb_err end;
    int status = 0;
    if (argc < 4 || argc > 6)
        return nb_fail(err, "usage: normbench cluster task DIR [NODE [TRY]]");
    enum nb_status s = nb_cluster_job_open(&p.job, argv[3], err);
    if (s != NB_OK)
        return s;
    s = find_part(&p, argc, argv, err);
    if (s == NB_OK) {
        go_where_submitted(&p.job);
        s = run_or_resume(&p, &status, err);
        if (s == NB_OK)
            s = write_end(&p, status, NULL, err);
        else if (write_end(&p, 1 << 8, err->text, &end) !=
                 NB_OK) /* as an exit code of 1 */
            fprintf(stderr, "its end cannot be written: %s\n", end.text);
    }
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    nb_cluster_job_free(&p.job);
    return s;
}
