/* cluster_merge.c: what the runs of a sweep become together: a database, a comparison, a
 * page. Each is made by a command of this program; where one fails the others are made
 * all the same, and merge.md says what is missing and why. */
#include "child.h"
#include "cluster.h"
#include "cluster_job.h"
#include "markup.h"
#include "summary.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A page is read by people: with more runs than this it holds one of each type of node.
 */
enum { PAGE_RUNS = 16, MERGES_MAX = 100000, STEPS = 3 };

struct merge {
    struct nb_cluster_job job;
    char dir[NB_PATH]; /* merge-M */
    char name[32];
    char **run; /* of each task, its run's folder; NULL: not merged, for its why */
    size_t merged;
};

struct step {
    const char *name; /* of the command */
    const char *made; /* what it is told to make, in dir */
    const char *file; /* which a reader opens */
    const char *what;
    char said[700]; /* why it failed; "": it did not */
    bool skipped;
};

/* ---- which runs ---- */

/* A run that ended and can be read. What cannot is told in the task's why. */
static char *usable_run(struct nb_cluster_task *t)
{
    struct nb_summary s;
    struct nb_err err;
    struct nb_argv path = {0};
    if (t->run == 0 || !t->finished) {
        const size_t n = strlen(t->why);
        if (t->run > 0)
            snprintf(t->why + n, sizeof t->why - n,
                     "%srun-%u is kept: a part of a run, which resubmit continues",
                     n ? "; " : "", t->run);
        return NULL;
    }
    nb_argv_add(&path, "%s/run-%u", t->dir, t->run);
    if (nb_summary_load(&s, path.v[0], &err) == NB_OK) {
        nb_summary_free(&s);
    } else {
        snprintf(t->why, sizeof t->why, "%.399s", err.text);
        free(path.v[0]);
        path.v[0] = NULL;
    }
    char *run = path.v[0];
    free(path.v);
    return run;
}

static void find_runs(struct merge *m)
{
    m->run = calloc(m->job.count + 1, sizeof *m->run);
    NB_ASSERT(m->run != NULL && "out of memory");
    for (size_t i = 0; i < m->job.count; i++) {
        m->run[i] = usable_run(&m->job.tasks[i]);
        m->merged += m->run[i] != NULL;
    }
}

/* ---- its folder ---- */

static enum nb_status make_folder(struct merge *m, struct nb_err *err)
{
    for (unsigned k = 1; k < MERGES_MAX; k++) {
        snprintf(m->name, sizeof m->name, "merge-%u", k);
        nb_file_path(m->dir, m->job.dir, m->name, "");
        if (mkdir(m->dir, 0777) == 0)
            return NB_OK;
        if (errno != EEXIST)
            break;
    }
    return nb_fail(err, "%.400s: %s", m->dir, strerror(errno));
}

/* DIR/merged names the latest, at once. */
static enum nb_status point_to(const struct merge *m, struct nb_err *err)
{
    char link[NB_PATH], part[NB_PATH];
    nb_file_path(link, m->job.dir, "merged", "");
    nb_file_path(part, m->job.dir, ".merged.", m->name);
    (void)unlink(part);
    return symlink(m->name, part) == 0 && rename(part, link) == 0
               ? NB_OK
               : nb_fail(err, "%.400s: %s", link, strerror(errno));
}

/* ---- what is made ---- */

static bool same_type(const struct nb_cluster_task *a, const struct nb_cluster_task *b)
{
    const json_t *x = json_object_get(a->facts, "type"),
                 *y = json_object_get(b->facts, "type");
    return x != NULL && json_equal(x, y);
}

/* Whether an earlier node of the same type is merged. */
static bool is_repeated(const struct merge *m, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (m->run[k] != NULL && same_type(&m->job.tasks[k], &m->job.tasks[i]))
            return true;
    return false;
}

static void add_runs(const struct merge *m, struct nb_argv *a, bool for_page)
{
    const bool each_type = for_page && m->merged > PAGE_RUNS;
    size_t added = 0;
    for (size_t i = 0; i < m->job.count; i++)
        if (m->run[i] != NULL &&
            !(each_type && (added >= PAGE_RUNS || is_repeated(m, i)))) {
            nb_argv_add(a, "%s", m->run[i]);
            added++;
        }
}

/* The error, which other lines may follow; else the last line. */
static const char *last_words(const struct nb_child_said *said)
{
    static const char begins[] = "normbench: ";
    const char *last = said->err, *error = NULL;
    for (const char *line = said->err; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        last = *line != '\0' ? line : last;
        error = strncmp(line, begins, strlen(begins)) == 0 ? line : error;
    }
    return error != NULL ? error : last;
}

static void run_step(struct step *s, const struct nb_argv *a)
{
    struct nb_child_said said = {0};
    struct nb_err err;
    if (nb_child_listen(a->v, &said, &err) != NB_OK) {
        snprintf(s->said, sizeof s->said, "%.699s", err.text);
    } else if (!WIFEXITED(said.status) || WEXITSTATUS(said.status) != 0) {
        snprintf(s->said, sizeof s->said, "%.650s", last_words(&said));
        s->said[strcspn(s->said, "\n")] = '\0';
        if (s->said[0] == '\0')
            snprintf(s->said, sizeof s->said, "it failed without a word (status %d)",
                     said.status);
    } else {
        nb_plain_lines(stdout, said.out);
    }
    nb_child_said_free(&said);
}

/* The command of each step, without the program. */
static void make_step(const struct merge *m, struct step *s, const char *self)
{
    struct nb_argv a = {0};
    const char *names = json_string_value(json_object_get(m->job.facts, "names"));
    const bool page = strcmp(s->name, "report") == 0;
    nb_argv_add(&a, "%s", self);
    nb_argv_add(&a, "%s", s->name);
    if (strcmp(s->name, "db") == 0) {
        nb_argv_add(&a, "import");
        nb_argv_add(&a, "--db=%s/%s", m->dir, s->made);
    }
    add_runs(m, &a, page);
    if (page) {
        nb_argv_add(&a, "--html");
        nb_argv_add(&a, "%s/%s", m->dir, s->made);
    }
    if (strcmp(s->name, "compare") == 0) {
        nb_argv_add(&a, "--out=%s/%s", m->dir, s->made);
        if (names != NULL)
            nb_argv_add(&a, "--names=%s", names);
    }
    run_step(s, &a);
    nb_argv_free(&a);
}

/* ---- merge.md ---- */

static void write_task(FILE *f, const struct merge *m, size_t i)
{
    const struct nb_cluster_task *t = &m->job.tasks[i];
    fprintf(f, "| %s | %s | ", t->node, m->run[i] != NULL ? "yes" : "no");
    if (m->run[i] != NULL)
        fprintf(f, "[run-%u](../nodes/%s/run-%u/report.md)", t->run, t->node, t->run);
    fputs(" | ", f);
    nb_md(f, t->cpu[0] != '\0' ? t->cpu : "not known");
    fprintf(f, " | %s | ", nb_cluster_state_name(t->state));
    nb_md(f, t->why);
    fputs(" |\n", f);
}

static bool is_made(const struct merge *m, const struct step *s)
{
    char path[NB_PATH];
    nb_file_path(path, m->dir, s->file, "");
    return access(path, F_OK) == 0;
}

/* A command that failed may have left a part of what it makes. */
static void write_step(FILE *f, const struct merge *m, const struct step *s)
{
    const bool failed = s->said[0] != '\0';
    fprintf(f, "- %s: ", s->what);
    if (is_made(m, s))
        fprintf(f, "[%s](%s)%s", s->file, s->file, failed ? ", not whole: " : "");
    else
        fputs("not made: ", f);
    if (failed)
        nb_md(f, s->said);
    fputc('\n', f);
}

static enum nb_status write_page(const struct merge *m, const struct step steps[STEPS],
                                 struct nb_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    fprintf(f, "# %s\n\n%zu of %zu nodes are merged here.\n\n", m->job.name, m->merged,
            m->job.count);
    for (size_t i = 0; i < STEPS; i++)
        write_step(f, m, &steps[i]);
    if (m->merged > PAGE_RUNS)
        fputs("\nThe page holds one run of each type of node.\n", f);
    fputs("\n| node | merged | run | CPU | state | what |\n|---|---|---|---|---|---|\n",
          f);
    for (size_t i = 0; i < m->job.count; i++)
        write_task(f, m, i);
    NB_ASSERT(fclose(f) == 0);
    const enum nb_status s = nb_file_write(m->dir, "merge.md", text, len, err);
    free(text);
    return s;
}

/* ---- all of it ---- */

static void tell(const struct merge *m, const struct step steps[STEPS])
{
    for (size_t i = 0; i < m->job.count; i++)
        if (m->run[i] == NULL) {
            fprintf(stderr, "not merged: %s, %s: ", m->job.tasks[i].node,
                    nb_cluster_state_name(m->job.tasks[i].state));
            nb_plain(stderr, m->job.tasks[i].why);
            fputc('\n', stderr);
        }
    for (size_t i = 0; i < STEPS; i++)
        if (steps[i].said[0] != '\0') {
            fprintf(stderr, "%s: %s: ", is_made(m, &steps[i]) ? "not whole" : "not made",
                    steps[i].what);
            nb_plain(stderr, steps[i].said);
            fputc('\n', stderr);
        }
    printf("%zu of %zu nodes merged: ", m->merged, m->job.count);
    nb_plain(stdout, m->job.dir);
    printf("/merged/merge.md\n");
}

static enum nb_status make_all(struct merge *m, int *code, struct nb_err *err)
{
    struct step steps[STEPS] = {
        {.name = "compare",
         .made = "compare",
         .file = "compare/compare.md",
         .what = "comparison"},
        {.name = "report", .made = "page.html", .file = "page.html", .what = "page"},
        {.name = "db",
         .made = "normbench.sqlite",
         .file = "normbench.sqlite",
         .what = "database"}};
    char self[NB_PATH];
    enum nb_status s = nb_cluster_self(self, err);
    if (s == NB_OK)
        s = make_folder(m, err);
    for (size_t i = 0; s == NB_OK && i < STEPS; i++) {
        if (strcmp(steps[i].name, "compare") == 0 && m->merged < 2) {
            snprintf(steps[i].said, sizeof steps[i].said,
                     "one run alone: there is nothing to compare it with");
            steps[i].skipped = true;
        } else {
            make_step(m, &steps[i], self);
        }
        if (steps[i].said[0] != '\0' && !steps[i].skipped)
            *code = 1;
    }
    if (s == NB_OK)
        s = write_page(m, steps, err);
    if (s == NB_OK)
        s = point_to(m, err);
    if (s == NB_OK)
        tell(m, steps);
    return s;
}

static enum nb_status none_of_them(const struct merge *m, struct nb_err *err)
{
    const struct nb_cluster_task *t = m->job.count > 0 ? &m->job.tasks[0] : NULL;
    if (t == NULL)
        return nb_fail(err, "%.400s: no node has begun", m->job.dir);
    return nb_fail(err,
                   "%.400s: nothing to merge: no node has a whole run; %.60s, for one, "
                   "is %s: %.300s",
                   m->job.dir, t->node, nb_cluster_state_name(t->state), t->why);
}

enum nb_status nb_cluster_merge(int argc, char **argv, int *code, struct nb_err *err)
{
    struct merge m = {.merged = 0};
    struct nb_slurm_jobs jobs = {0};
    if (argc != 4 || argv[3][0] == '-')
        return nb_fail(err, "usage: normbench cluster merge DIR");
    enum nb_status s = nb_cluster_job_load(&m.job, argv[3], err);
    if (s != NB_OK)
        return s;
    if (!m.job.by_hand)
        nb_slurm_jobs_ask(&jobs, m.job.name);
    nb_cluster_job_judge(&m.job, &jobs);
    find_runs(&m);
    *code = m.merged == m.job.count ? 0 : NB_CLUSTER_OPEN;
    s = m.merged > 0 ? make_all(&m, code, err) : none_of_them(&m, err);
    for (size_t i = 0; i < m.job.count; i++)
        free(m.run[i]);
    free(m.run);
    nb_slurm_jobs_free(&jobs);
    nb_cluster_job_free(&m.job);
    return s;
}
