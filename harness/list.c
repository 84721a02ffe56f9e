#include "list.h"

#include "foreign.h"
#include "registry.h"
#include "select.h"

#include <dirent.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

static json_t *kernel_json(const struct nb_kernel *k)
{
    const char *why = nb_kernel_why_not(k);
    return json_pack("{ss ss ss ss ss ss ss ss ss ss sb so}", "name", k->name, "op", nb_op_name(k->op),
                     "dir", nb_dir_name(k->dir), "fuse", nb_fuse_name(k->fuse), "algo", k->algo,
                     "isa", k->isa, "trick", k->trick[0] ? k->trick : "none", "dtype",
                     nb_dtype_name(k->dtype), "source", k->source, "origin",
                     nb_origin_name(nb_kernel_origin(k)), "runnable", why == NULL, "reason",
                     why == NULL ? json_null() : json_string(why));
}

static void print_json(json_t *array)
{
    json_dumpf(array, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(array);
}

static void list_kernels(bool json)
{
    json_t *array = json_array();
    size_t runnable = 0;
    for (size_t i = 0; i < nb_kernel_count(); i++) {
        const struct nb_kernel *k = nb_kernel_at(i);
        const char *why = nb_kernel_why_not(k);
        runnable += why == NULL;
        if (json)
            json_array_append_new(array, kernel_json(k));
        else
            printf("%-52s %s%s\n", k->name, why == NULL ? "runs here" : "cannot run: ",
                   why == NULL ? "" : why);
    }
    if (json)
        print_json(array);
    else
        printf("%zu kernels, %zu run here\n", nb_kernel_count(), runnable);
    if (json)
        return;
    json_decref(array);
}

static void list_isas(bool json)
{
    json_t *array = json_array();
    for (size_t i = 0; i < nb_isa_count(); i++) {
        const struct nb_isa *isa = nb_isa_at(i);
        const char *why = nb_isa_why_not(isa);
        if (json)
            json_array_append_new(array, json_pack("{ss sb so}", "name", isa->name, "runnable",
                                                   why == NULL, "reason",
                                                   why == NULL ? json_null() : json_string(why)));
        else
            printf("%-16s %s%s\n", isa->name, why == NULL ? "runs here" : "cannot run: ",
                   why == NULL ? "" : why);
    }
    if (json)
        print_json(array);
    else
        json_decref(array);
}

static int is_preset(const struct dirent *e)
{
    const size_t n = strlen(e->d_name), end = strlen(".preset");
    return n > end && strcmp(e->d_name + n - end, ".preset") == 0;
}

static void list_preset(const char *file, bool json, json_t *array)
{
    struct nb_preset p;
    struct nb_err err;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(file, "."), file);
    const bool fine = nb_preset_load(&p, name, &err) == NB_OK;
    const char *title = fine ? p.title : err.text;
    if (json)
        json_array_append_new(array, json_pack("{ss ss sb}", "name", name, "title", title, "valid", fine));
    else
        printf("%-10s %s\n", name, title);
    if (fine)
        nb_preset_free(&p);
}

static enum nb_status list_presets(bool json, struct nb_err *err)
{
    struct dirent **files;
    const int n = scandir(nb_presets_dir(), &files, is_preset, alphasort);
    if (n < 0)
        return nb_fail(err, "cannot read the presets folder %s; NB_PRESETS_DIR names another",
                       nb_presets_dir());
    json_t *array = json_array();
    for (int i = 0; i < n; i++) {
        list_preset(files[i]->d_name, json, array);
        free(files[i]);
    }
    free(files);
    if (json)
        print_json(array);
    else
        json_decref(array);
    return NB_OK;
}

enum nb_status nb_list(int argc, char **argv, int *exit_code, struct nb_err *err)
{
    const char *what = "kernels";
    struct nb_foreign foreign = {.count = 0};
    bool json = false;
    *exit_code = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--peers") == 0)
            nb_foreign_option(&foreign, NB_OPTION_PEERS, NULL);
        else if (strcmp(argv[i], "--plugin") == 0 && i + 1 < argc)
            nb_foreign_option(&foreign, NB_OPTION_PLUGIN, argv[++i]);
        else if (strncmp(argv[i], "--plugin=", 9) == 0)
            nb_foreign_option(&foreign, NB_OPTION_PLUGIN, argv[i] + 9);
        else if (strcmp(argv[i], "--help") == 0) {
            printf("usage: normbench list [kernels|presets|isas] [--json] [--plugin FILE] [--peers]\n");
            return NB_OK;
        } else
            what = argv[i];
    }
    enum nb_status s = nb_foreign_load(&foreign, err);
    if (s != NB_OK)
        return s;
    if (strcmp(what, "kernels") == 0)
        list_kernels(json);
    else if (strcmp(what, "isas") == 0)
        list_isas(json);
    else if (strcmp(what, "presets") == 0)
        return list_presets(json, err);
    else
        return nb_fail(err, "list: unknown word \"%s\"; known: kernels, presets, isas, --json, --plugin FILE, --peers", what);
    return NB_OK;
}
