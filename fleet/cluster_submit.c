/* cluster_submit.c: `cluster submit` and `cluster resubmit`: which nodes, in which
 * folder, and what the user is told. */
#define _GNU_SOURCE /* asprintf */
#include "cluster.h"
#include "cluster_nodes.h"
#include "cluster_options.h"
#include "cluster_send.h"
#include "datadir.h"
#include "markup.h"
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the folder ---- */

static enum nb_status find_folder(struct nb_cluster_job *j,
                                  const struct nb_cluster_options *o, struct nb_err *err)
{
    char base[PATH_MAX], stamp[32];
    const char *dir = o->dir != NULL ? o->dir : "results";
    const time_t now = time(NULL);
    struct tm utc;
    if (o->dir == NULL && !o->dry_run && mkdir(dir, 0777) != 0 && errno != EEXIST)
        return nb_fail(err,
                       "cannot make results/ here: %s; choose a shared folder with --dir",
                       strerror(errno));
    if (realpath(dir, base) == NULL &&
        (o->dir != NULL || !o->dry_run || realpath(".", base) == NULL))
        return nb_fail(err, "--dir %.400s: %s; it should be a folder that all nodes see",
                       dir, strerror(errno));
    if (access(base, W_OK) != 0)
        return nb_fail(err, "--dir %.400s cannot be written: %s", dir, strerror(errno));
    if (strlen(base) > NB_PATH - 1024) /* names of files follow */
        return nb_fail(err, "--dir %.400s: the path is too long", dir);
    strftime(stamp, sizeof stamp, "normbench-%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    for (unsigned k = 1; k < 1000; k++) {
        char again[16] = "";
        if (k > 1)
            snprintf(again, sizeof again, "-%u", k);
        if ((size_t)snprintf(j->dir, sizeof j->dir, "%s/%s%s", base, stamp, again) >=
            sizeof j->dir)
            break;
        if (o->dry_run ? access(j->dir, F_OK) != 0 : mkdir(j->dir, 0777) == 0) {
            j->name = strrchr(j->dir, '/') + 1;
            return NB_OK;
        }
        if (!o->dry_run && errno != EEXIST)
            break;
    }
    return nb_fail(err, "%.400s cannot be made: %s", j->dir, strerror(errno));
}

/* NULL: one of them is no UTF-8. */
static json_t *texts(const struct nb_argv *a)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < a->n; i++)
        if (json_array_append_new(list, json_string(a->v[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static enum nb_status make_facts(struct nb_cluster_job *j,
                                 const struct nb_cluster_options *o, const char *command,
                                 struct nb_err *err)
{
    char cwd[PATH_MAX];
    if (getcwd(cwd, sizeof cwd) == NULL)
        return nb_fail(err, "the present folder has no name: %s", strerror(errno));
    j->facts =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:s?, s:o, s:o, s:o}", "name", j->name,
                  "version", NB_VERSION, "command", command, "cwd", cwd, "by_hand",
                  (int)o->by_hand, "names", o->names, "sbatch", texts(&o->sbatch),
                  "sbatch_task", texts(&o->sbatch_task), "run", texts(&o->run));
    return j->facts != NULL ? NB_OK
                            : nb_fail(err, "an option or the name of this folder is no "
                                           "UTF-8 and cannot be handed on");
}

static enum nb_status link_to(const struct nb_cluster_job *j, const char *name,
                              const char *target, struct nb_err *err)
{
    char path[NB_PATH];
    nb_file_path(path, j->dir, name, "");
    return symlink(target, path) == 0 ? NB_OK
                                      : nb_fail(err, "%.400s: %s", path, strerror(errno));
}

static enum nb_status link_source(const struct nb_cluster_job *j,
                                  const struct nb_cluster_options *o, struct nb_err *err)
{
    const char *source = o->source != NULL ? o->source : NB_SOURCE_DIR;
    char path[PATH_MAX], lists[NB_PATH];
    nb_file_path(lists, source, "CMakeLists.txt", "");
    if (access(lists, R_OK) != 0 || realpath(source, path) == NULL)
        return nb_fail(err,
                       "--build node: no sources in %.400s; --source names their folder",
                       source);
    return link_to(j, "source", path, err);
}

static enum nb_status make_folder(const struct nb_cluster_job *j,
                                  const struct nb_cluster_options *o, struct nb_err *err)
{
    char self[NB_PATH], nodes[NB_PATH];
    nb_file_path(nodes, j->dir, "nodes", "");
    enum nb_status s = nb_cluster_self(self, err);
    if (s == NB_OK && mkdir(nodes, 0777) != 0)
        s = nb_fail(err, "%.400s: %s", nodes, strerror(errno));
    if (s == NB_OK)
        s = link_to(j, "normbench", self, err);
    if (s == NB_OK && o->build_on_node)
        s = link_source(j, o, err);
    return s == NB_OK ? nb_cluster_write(j->dir, "job.json", json_incref(j->facts), err)
                      : s;
}

/* Of a sweep of which Slurm took nothing, nothing stays. */
static void remove_folder(const struct nb_cluster_job *j)
{
    static const char *const files[] = {"job.json", "normbench", "source"};
    char path[NB_PATH];
    for (size_t i = 0; i < j->count; i++) {
        nb_file_path(path, j->tasks[i].dir, "node.json", "");
        (void)unlink(path);
        (void)rmdir(j->tasks[i].dir);
    }
    nb_file_path(path, j->dir, "nodes", "");
    (void)rmdir(path);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        nb_file_path(path, j->dir, files[i], "");
        (void)unlink(path);
    }
    (void)rmdir(j->dir);
}

/* ---- the nodes ---- */

enum { NAMES_SHOWN = 8 };

static void print_type(const struct nb_cluster_nodes *c, size_t first, size_t end)
{
    size_t had = 0, chosen = 0;
    for (size_t i = first; i < end; i++)
        had += c->v[i].rank >= 0;
    fputs("  ", stdout);
    nb_cluster_node_print(stdout, &c->v[first]);
    printf(": %zu node%s, %zu can be had; chosen:", end - first,
           end - first == 1 ? "" : "s", had);
    for (size_t i = first; i < end; i++)
        if (c->v[i].chosen && chosen++ < NAMES_SHOWN)
            printf(" %s", c->v[i].name);
    if (chosen > NAMES_SHOWN)
        printf(" and %zu more", chosen - NAMES_SHOWN);
    puts(chosen == 0 ? " none" : "");
}

static void print_types(const struct nb_cluster_nodes *c)
{
    printf("%zu type%s of nodes:\n", c->types, c->types == 1 ? "" : "s");
    for (size_t i = 0, end; i < c->n; i = end) {
        for (end = i; end < c->n && c->v[end].type == c->v[i].type;)
            end++;
        print_type(c, i, end);
    }
}

/* Its type, as text: what is equal in text is merged as one type. */
static json_t *type_text(const struct nb_cluster_node *n)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    NB_ASSERT(f != NULL);
    nb_cluster_node_print(f, n);
    NB_ASSERT(fclose(f) == 0);
    json_t *json = json_string(text);
    free(text);
    return json;
}

static enum nb_status add_task(struct nb_cluster_job *j, const struct nb_cluster_node *n,
                               bool dry_run, struct nb_err *err)
{
    struct nb_cluster_task *t = &j->tasks[j->count];
    *t = (struct nb_cluster_task){.node = strdup(n->name)};
    NB_ASSERT(t->node != NULL && asprintf(&t->dir, "%s/nodes/%s", j->dir, n->name) > 0 &&
              "out of memory");
    j->count++;
    if (dry_run)
        return NB_OK;
    if (mkdir(t->dir, 0777) != 0)
        return nb_fail(err, "%.400s: %s", t->dir, strerror(errno));
    return nb_cluster_write(
        t->dir, "node.json",
        json_pack("{s:s, s:o}", "node", n->name, "type", type_text(n)), err);
}

static enum nb_status add_tasks(struct nb_cluster_job *j,
                                const struct nb_cluster_nodes *c, bool dry_run,
                                struct nb_err *err)
{
    enum nb_status s = NB_OK;
    j->tasks = calloc(c->n + 1, sizeof *j->tasks);
    NB_ASSERT(j->tasks != NULL && "out of memory");
    for (size_t i = 0; s == NB_OK && i < c->n; i++)
        if (c->v[i].chosen)
            s = add_task(j, &c->v[i], dry_run, err);
    return s;
}

static enum nb_status choose_nodes(struct nb_cluster_nodes *c,
                                   const struct nb_cluster_options *o, struct nb_err *err)
{
    char *text = NULL;
    enum nb_status s = nb_slurm_nodes(o->partition, &text, err);
    if (s == NB_OK)
        s = nb_cluster_nodes_parse(c, text, err);
    if (s == NB_OK && o->constraint != NULL)
        s = nb_cluster_nodes_keep(c, o->constraint, err);
    free(text);
    if (s != NB_OK)
        return s;
    if (c->n == 0)
        return nb_fail(err,
                       "--constraint %.200s: no node of %.100s has that; `sinfo -p "
                       "%.100s -o '%%N %%f'` lists their features",
                       o->constraint, o->partition, o->partition);
    const size_t chosen = nb_cluster_nodes_choose(c, o->per_type);
    print_types(c);
    return chosen > 0 ? NB_OK
                      : nb_fail(err,
                                "of %zu nodes of %.100s none can be had now: the first, "
                                "%.100s, is %.60s; `sinfo -R` tells why",
                                c->n, o->partition, c->v[0].name, c->v[0].state);
}

/* ---- submit ---- */

static void tell_submitted(const struct nb_cluster_job *j, size_t taken)
{
    printf("%zu task%s", taken, taken == 1 ? "" : "s");
    if (j->merge_id[0] != '\0')
        printf(", and job %s that merges when they have ended", j->merge_id);
    fputs("\nin ", stdout);
    nb_plain(stdout, j->dir);
    fputs("\nhow far it is: normbench cluster status ", stdout);
    nb_plain(stdout, j->dir);
    putchar('\n');
}

static enum nb_status submit_to_slurm(struct nb_cluster_job *j,
                                      const struct nb_cluster_options *o,
                                      const struct nb_cluster_nodes *c,
                                      struct nb_err *err)
{
    size_t taken = 0;
    enum nb_status s = o->dry_run ? NB_OK : make_folder(j, o, err);
    if (s == NB_OK)
        s = add_tasks(j, c, o->dry_run, err);
    if (s == NB_OK && o->dry_run)
        puts("would be submitted, with the number that sbatch gives in place of ARRAY:");
    if (s == NB_OK)
        s = nb_cluster_send(j, o->dry_run, &taken, err);
    if (taken == 0 && !o->dry_run)
        remove_folder(j);
    else if (!o->dry_run)
        tell_submitted(j, taken);
    return s;
}

static enum nb_status prepare_by_hand(struct nb_cluster_job *j,
                                      const struct nb_cluster_options *o,
                                      struct nb_err *err)
{
    char path[NB_PATH];
    enum nb_status s = o->dry_run ? NB_OK : make_folder(j, o, err);
    if (s != NB_OK) {
        remove_folder(j);
        return s;
    }
    const char *scripts =
        nb_data_dir("NB_SLURM_DIR", "slurm", NB_SLURM_DIR, path, sizeof path);
    const char *const lines[][3] = {
        {"on each machine, one at a time or at once:\n  ", scripts, "/node-job.sh "},
        {"then, on any of them:\n  ", "", "normbench cluster merge "}};
    for (size_t i = 0; i < 2; i++) {
        printf("%s%s%s", lines[i][0], lines[i][1], lines[i][2]);
        nb_option_word(stdout, j->dir);
        putchar('\n');
    }
    return NB_OK;
}

enum nb_status nb_cluster_submit(int argc, char **argv, int *code, struct nb_err *err)
{
    struct nb_cluster_options o;
    struct nb_cluster_nodes nodes = {0};
    struct nb_cluster_job j = {.count = 0};
    char *command = nb_option_command(argc, argv);
    enum nb_status s = nb_cluster_options_parse(&o, argc, argv, err);
    *code = 0;
    if (s == NB_OK && !o.by_hand)
        s = choose_nodes(&nodes, &o, err);
    if (s == NB_OK)
        s = find_folder(&j, &o, err);
    if (s == NB_OK)
        s = make_facts(&j, &o, command, err);
    if (s == NB_OK)
        s = o.by_hand ? prepare_by_hand(&j, &o, err)
                      : submit_to_slurm(&j, &o, &nodes, err);
    nb_cluster_job_free(&j);
    nb_cluster_nodes_free(&nodes);
    nb_cluster_options_free(&o);
    free(command);
    return s;
}

/* ---- resubmit ---- */

static enum nb_status resubmit(struct nb_cluster_job *j, bool dry_run, struct nb_err *err)
{
    struct nb_slurm_jobs jobs;
    size_t taken = 0, open = 0;
    nb_slurm_jobs_ask(&jobs, j->name);
    const bool answered = jobs.answered;
    enum nb_status s =
        answered ? NB_OK
                 : nb_fail(err, "which tasks still run is not known: %.800s", jobs.why);
    nb_cluster_job_judge(j, &jobs);
    nb_slurm_jobs_free(&jobs);
    for (size_t i = 0; s == NB_OK && i < j->count; i++)
        if (nb_cluster_is_open(&j->tasks[i])) {
            open++;
            printf("again: %s, which is %s%s", j->tasks[i].node,
                   nb_cluster_state_name(j->tasks[i].state),
                   j->tasks[i].why[0] ? ": " : "");
            nb_plain(stdout, j->tasks[i].why);
            putchar('\n');
        }
    if (s == NB_OK && open == 0)
        printf("nothing to submit again: of %zu nodes none has failed or is lost\n",
               j->count);
    if (s == NB_OK && open > 0)
        s = nb_cluster_send(j, dry_run, &taken, err);
    if (taken > 0 && !dry_run)
        tell_submitted(j, taken);
    return s;
}

enum nb_status nb_cluster_resubmit(int argc, char **argv, int *code, struct nb_err *err)
{
    struct nb_cluster_job j;
    const bool dry_run = argc == 5 && strcmp(argv[4], "--dry-run") == 0;
    *code = 0;
    if ((argc != 4 && !dry_run) || argv[3][0] == '-')
        return nb_fail(err, "usage: normbench cluster resubmit DIR [--dry-run]");
    enum nb_status s = nb_cluster_job_load(&j, argv[3], err);
    if (s != NB_OK)
        return s;
    if (j.by_hand)
        s = nb_fail(err,
                    "%.400s is swept by hand: run node-job.sh again on the machine; it "
                    "goes on where it stopped",
                    j.dir);
    if (s == NB_OK)
        s = resubmit(&j, dry_run, err);
    nb_cluster_job_free(&j);
    return s;
}
