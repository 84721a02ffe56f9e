#include "foreign.h"

#include "descriptor.h"
#include "peers.h"
#include "plugin.h"
#include "tune.h"

#include <string.h>

static struct {
    struct loaded {
        struct nb_plugin_file file;
        struct nb_kernel_table table;
        char word[sizeof(((struct nb_plugin_file *)NULL)->hash) + PATH_MAX]; /* HASH:PATH */
    } plugins[NB_EXTRA_TABLES];
    size_t count;
    bool peers;
} loaded;

const char *nb_origin_name(enum nb_origin origin)
{
    return origin == NB_PLUGIN ? "plugin" : origin == NB_PEER ? "peer" : "normbench";
}

bool nb_foreign_option(struct nb_foreign *f, int key, const char *arg)
{
    if (key == NB_OPTION_PEERS)
        f->peers = true;
    else if (key == NB_OPTION_TUNE)
        f->tune = arg;
    else if (key == NB_OPTION_PLUGIN && f->count++ < NB_EXTRA_TABLES)
        f->plugins[f->count - 1] = arg;
    return key == NB_OPTION_PEERS || key == NB_OPTION_PLUGIN || key == NB_OPTION_TUNE;
}

/* ---- loading ---- */

static enum nb_status too_many(struct nb_err *err)
{
    return nb_fail(err, "more than %d tables of peers and plugins; put several kernels into one plugin",
                   NB_EXTRA_TABLES);
}

static enum nb_status load_peers(bool tell, struct nb_err *err)
{
    if (loaded.peers)
        return NB_OK;
    loaded.peers = true;
    for (size_t i = 0; i < nb_peer_count(); i++) {
        const struct nb_peer *p = nb_peer_at(i);
        if (p->table == NULL && tell)
            fprintf(stderr, "--peers: %s: %s\n", p->name, p->why_not);
        if (p->table != NULL && !nb_registry_add(p->table, NB_PEER))
            return too_many(err);
    }
    return NB_OK;
}

static enum nb_status add_plugin(const struct nb_plugin_file *file, struct nb_err *err)
{
    if (loaded.count == NB_EXTRA_TABLES)
        return too_many(err);
    struct loaded *l = &loaded.plugins[loaded.count];
    l->file = *file;
    snprintf(l->word, sizeof(l->word), "%s:%s", file->hash, file->path);
    enum nb_status s = nb_plugin_load(file, &l->table, err);
    if (s == NB_OK && !nb_registry_add(&l->table, NB_PLUGIN))
        s = too_many(err);
    loaded.count += s == NB_OK;
    return s;
}

/* One line a fault; those that stand in for one descriptor have the same. */
static void tell_faults(const struct loaded *l)
{
    const char *told = NULL;
    for (size_t i = 0; i < l->table.count; i++) {
        const struct nb_kernel *k = &l->table.kernels[i];
        const char *fault = nb_descriptor_fault(k);
        if (fault != NULL && fault != told)
            fprintf(stderr, "plugin %s: %s%s%s\n", l->file.path, nb_descriptor_has_op(k) ? k->name : "",
                    nb_descriptor_has_op(k) ? ": " : "", fault);
        told = fault;
    }
}

static enum nb_status load_plugin(const char *path, struct nb_err *err)
{
    struct nb_plugin_file file;
    enum nb_status s = nb_plugin_inspect(path, &file, err);
    for (size_t i = 0; s == NB_OK && i < loaded.count; i++)
        if (strcmp(loaded.plugins[i].file.path, file.path) == 0)
            s = nb_fail(err, "plugin %s: given twice", file.path);
    if (s == NB_OK)
        s = nb_plugin_probe(&file, err);
    if (s == NB_OK)
        s = add_plugin(&file, err);
    if (s == NB_OK)
        tell_faults(&loaded.plugins[loaded.count - 1]);
    return s;
}

/* Asked for by option, else by the environment; in either case auto is told of this host's caches. */
static enum nb_status load_tune(const struct nb_foreign *f, struct nb_err *err)
{
    const char *path = f->tune != NULL ? f->tune : getenv("NB_TUNE");
    enum nb_status s = nb_tune_here(err);
    return s == NB_OK && path != NULL && path[0] != '\0' ? nb_tune_load(path, err) : s;
}

enum nb_status nb_foreign_load(const struct nb_foreign *f, struct nb_err *err)
{
    enum nb_status s = f->count > NB_EXTRA_TABLES ? too_many(err) : NB_OK;
    if (s == NB_OK && f->peers)
        s = load_peers(true, err);
    for (size_t i = 0; s == NB_OK && i < f->count; i++)
        s = load_plugin(f->plugins[i], err);
    return s == NB_OK ? load_tune(f, err) : s;
}

/* ---- plan.json ---- */

static json_t *peers_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < nb_peer_count(); i++) {
        const struct nb_peer *p = nb_peer_at(i);
        json_array_append_new(list, json_pack("{ss ss?}", "name", p->name, "version", p->version));
    }
    return list;
}

static json_t *plugin_json(const struct loaded *l)
{
    json_t *names = json_array();
    for (size_t i = 0; i < l->table.count; i++)
        json_array_append_new(names, json_string(l->table.kernels[i].name));
    return json_pack("{ss ss so}", "path", l->file.path, "hash", l->file.hash, "kernels", names);
}

void nb_foreign_to_json(json_t *plan)
{
    json_t *plugins = json_array();
    for (size_t i = 0; i < loaded.count; i++)
        json_array_append_new(plugins, plugin_json(&loaded.plugins[i]));
    json_object_set_new(plan, "peers", loaded.peers ? peers_json() : json_null());
    json_object_set_new(plan, "plugins", plugins);
    nb_tune_to_json(plan);
}

/* ---- a run that is continued ---- */

static enum nb_status resume_peers(const json_t *then, const char *dir, struct nb_err *err)
{
    if (!json_is_array(then))
        return loaded.peers ? nb_fail(err, "--peers: %s was begun without; leave it out, or start a new run",
                                      dir)
                            : NB_OK;
    json_t *now = peers_json();
    const bool same = json_equal(then, now);
    json_decref(now);
    if (!same)
        return nb_fail(err, "%s was begun with other versions of the peers than this program has (\"peers\" in "
                            "its plan.json); start a new run", dir);
    return load_peers(true, err);
}

static enum nb_status resume_plugin(const json_t *then, const char *dir, struct nb_err *err)
{
    const char *path = json_string_value(json_object_get(then, "path"));
    const char *hash = json_string_value(json_object_get(then, "hash"));
    struct nb_plugin_file file;
    if (path == NULL || hash == NULL)
        return nb_fail(err, "%s/plan.json: a plugin without path or hash", dir);
    enum nb_status s = nb_plugin_inspect(path, &file, err);
    if (s == NB_OK && strcmp(file.hash, hash) != 0)
        s = nb_fail(err, "plugin %s: was changed since %s began (hash %.16s then, %s now), and its kernels "
                         "would be others; put the old file back, or start a new run", path, dir, hash,
                    file.hash);
    if (s == NB_OK)
        s = nb_plugin_probe(&file, err);
    return s == NB_OK ? add_plugin(&file, err) : s;
}

/* Plugins given again may lie elsewhere by now, but must be the same. */
static enum nb_status same_plugins(const json_t *then, const char *dir, struct nb_err *err)
{
    bool same = json_array_size(then) == loaded.count;
    for (size_t i = 0; same && i < loaded.count; i++) {
        const char *hash = json_string_value(json_object_get(json_array_get(then, i), "hash"));
        same = hash != NULL && strcmp(hash, loaded.plugins[i].file.hash) == 0;
    }
    return same ? NB_OK
                : nb_fail(err, "--plugin: %s was begun with other plugins, or these have been changed "
                               "(\"plugins\" in its plan.json); --resume needs no --plugin", dir);
}

enum nb_status nb_foreign_resume(const json_t *plan, const char *dir, struct nb_err *err)
{
    const json_t *plugins = json_object_get(plan, "plugins");
    enum nb_status s = resume_peers(json_object_get(plan, "peers"), dir, err);
    if (s == NB_OK)
        s = nb_tune_resume(plan, dir, err);
    if (s == NB_OK && loaded.count > 0)
        return same_plugins(plugins, dir, err);
    for (size_t i = 0; s == NB_OK && i < json_array_size(plugins); i++)
        s = resume_plugin(json_array_get(plugins, i), dir, err);
    return s;
}

/* ---- workers ---- */

size_t nb_foreign_words(char *words[NB_FOREIGN_WORDS])
{
    static char peers[] = "--peers", plugin[] = "--plugin", tune[] = "--tune";
    size_t n = 0;
    if (loaded.peers)
        words[n++] = peers;
    if (nb_tune_word() != NULL) {
        words[n++] = tune;
        words[n++] = nb_tune_word();
    }
    for (size_t i = 0; i < loaded.count; i++) {
        words[n++] = plugin;
        words[n++] = loaded.plugins[i].word;
    }
    return n;
}

/* HASH:PATH, as the orchestrator has loaded it; no probe: a worker may crash. */
static enum nb_status worker_plugin(const char *word, struct nb_err *err)
{
    struct nb_plugin_file file;
    const char *path = strchr(word, ':');
    if (path == NULL)
        return nb_fail(err, "worker: --plugin %s: not HASH:PATH", word);
    enum nb_status s = nb_plugin_inspect(path + 1, &file, err);
    if (s == NB_OK && strncmp(file.hash, word, (size_t)(path - word)) != 0)
        s = nb_fail(err, "plugin %s: was changed while the run went on", path + 1);
    return s == NB_OK ? add_plugin(&file, err) : s;
}

enum nb_status nb_foreign_worker(int argc, char **argv, struct nb_err *err)
{
    enum nb_status s = NB_OK;
    for (int i = 0; s == NB_OK && i < argc; i++) {
        if (strcmp(argv[i], "--peers") == 0)
            s = load_peers(false, err);
        else if (strcmp(argv[i], "--plugin") == 0 && i + 1 < argc)
            s = worker_plugin(argv[++i], err);
        else if (strcmp(argv[i], "--tune") == 0 && i + 1 < argc)
            s = nb_tune_worker(argv[++i], err);
        else
            s = nb_fail(err, "worker: unknown word \"%s\"", argv[i]);
    }
    return s;
}

/* ---- lines that reproduce ---- */

/* ' becomes '\'' ; false where it does not fit. */
static bool quoted(const char *path, char *text, size_t len)
{
    size_t n = 0;
    text[n++] = '\'';
    for (; *path != '\0' && n + 6 < len; path++) {
        if (*path != '\'')
            text[n++] = *path;
        else
            n += (size_t)sprintf(text + n, "'\\''");
    }
    text[n++] = '\'';
    text[n] = '\0';
    return *path == '\0';
}

static void append_file(const char *option, const char *file, char *text, size_t len)
{
    char path[512];
    const size_t used = strlen(text);
    const bool fits = quoted(file, path, sizeof path) && used + strlen(option) + strlen(path) + 6 < len;
    snprintf(text + used, len - used, " --%s %s", option, fits ? path : "FILE");
}

void nb_foreign_repro(const struct nb_kernel *k, char *text, size_t len)
{
    const enum nb_origin origin = k != NULL ? nb_kernel_origin(k) : NB_OURS;
    text[0] = '\0';
    if (k == NULL ? loaded.peers : origin == NB_PEER)
        snprintf(text, len, " --peers");
    if (nb_tune_path() != NULL && (k == NULL || strcmp(k->algo, "auto") == 0))
        append_file("tune", nb_tune_path(), text, len);
    for (size_t i = 0; i < loaded.count; i++) {
        const struct nb_kernel_table *t = &loaded.plugins[i].table;
        if (k == NULL || (k >= t->kernels && k < t->kernels + t->count))
            append_file("plugin", loaded.plugins[i].file.path, text, len);
    }
}
