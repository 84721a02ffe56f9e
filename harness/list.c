#include "list.h"

#include "code.h"
#include "descriptor.h"
#include "foreign.h"
#include "registry.h"
#include "select.h"

#include <dirent.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* The main inner loop of each function that the kernel runs through. */
static json_t *loops_json(const struct nb_code *code)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < code->function_count; i++) {
        const struct nb_code_function *f = code->functions[i];
        const struct nb_code_loop *l = &f->loops[0];
        json_array_append_new(array, json_pack("{ss si si si si si}", "function", f->name, "instructions",
                                               (int)l->instructions, "vector_bits", (int)l->vector_bits,
                                               "loaded", (int)l->loaded, "stored", (int)l->stored,
                                               "loops", (int)f->loop_count));
    }
    return array;
}

static const char *why_not(const struct nb_kernel *k)
{
    const char *fault = nb_descriptor_fault(k);
    return fault != NULL ? fault : nb_kernel_why_not(k);
}

static json_t *kernel_json(const struct nb_kernel *k)
{
    const char *why = why_not(k), *why_no_code = nb_code_why_not(nb_kernel_function(k));
    const struct nb_code *code = nb_code_of(nb_kernel_function(k));
    return json_pack("{ss ss ss ss ss ss ss ss ss ss sb so so si so so}", "name", k->name, "op", nb_op_name(k->op),
                     "dir", nb_dir_name(k->dir), "fuse", nb_fuse_name(k->fuse), "algo", k->algo,
                     "isa", k->isa, "trick", k->trick[0] ? k->trick : "none", "dtype",
                     nb_dtype_name(k->dtype), "source", k->source, "origin",
                     nb_origin_name(nb_kernel_origin(k)), "runnable", why == NULL, "reason",
                     why == NULL ? json_null() : json_string(why), "vector_bits",
                     code != NULL ? json_integer((json_int_t)code->vector_bits) : json_null(),
                     "vector_bits_declared", (int)k->vector_bits, "inner_loops",
                     code != NULL ? loops_json(code) : json_null(), "code_reason",
                     why_no_code != NULL ? json_string(why_no_code) : json_null());
}

/* "512 bit, 27 28 33": width, then the instructions of each function's main inner loop; without the
 * functions that serve options of the problem alone (row.inc, primitive.inc: ..._any) */
static void print_code(const struct nb_kernel *k)
{
    const struct nb_code *code = nb_code_of(nb_kernel_function(k));
    char text[128] = "code unknown";
    int n = code != NULL ? snprintf(text, sizeof text, "%3u bit", (unsigned)code->vector_bits) : 0;
    for (uint32_t i = 0; code != NULL && i < code->function_count && n < (int)sizeof text - 16; i++)
        if (strstr(code->functions[i]->name, "_any__") == NULL)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s %u", strchr(text, ',') ? "" : ",",
                          (unsigned)code->functions[i]->loops[0].instructions);
    printf("%-28s ", text);
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
        const char *why = why_not(k);
        runnable += why == NULL;
        if (json)
            json_array_append_new(array, kernel_json(k));
        else {
            printf("%-52s ", k->name);
            print_code(k);
            printf("%s%s\n", why == NULL ? "runs here" : "cannot run: ", why == NULL ? "" : why);
        }
    }
    if (json)
        print_json(array);
    else
        printf("%zu kernels, %zu run here. Second column: the widest vector register of an inner loop (0: none), "
               "then the\ninstructions a turn of the main inner loop of each function that the kernel runs through; "
               "`normbench explain KERNEL` names them\n", nb_kernel_count(), runnable);
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
        else if (strcmp(argv[i], "--tune") == 0 && i + 1 < argc)
            nb_foreign_option(&foreign, NB_OPTION_TUNE, argv[++i]);
        else if (strncmp(argv[i], "--plugin=", 9) == 0)
            nb_foreign_option(&foreign, NB_OPTION_PLUGIN, argv[i] + 9);
        else if (strcmp(argv[i], "--help") == 0) {
            printf("usage: normbench list [kernels|presets|isas|claims|experiments] [--json] [--plugin FILE] [--peers] [--tune FILE]\n");
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
        return nb_fail(err, "list: unknown word \"%s\"; known: kernels, presets, isas, claims, experiments, --json, --plugin FILE, --peers", what);
    return NB_OK;
}
