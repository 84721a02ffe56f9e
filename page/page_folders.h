/* page_folders.h: the folders that a page is made of, read and checked (docs/schema.md).
 */
#ifndef NB_PAGE_FOLDERS_H
#define NB_PAGE_FOLDERS_H

#include "accuracy_report_data.h"
#include "err.h"
#include "report_data.h"

#include <jansson.h>

/* In the order in which they stand on a page. */
enum nb_folder_kind {
    NB_FOLDER_RUN,
    NB_FOLDER_CLAIMS,
    NB_FOLDER_ACCURACY,
    NB_FOLDER_GATE,
    NB_FOLDER_KINDS
};

/* What one folder holds of one kind; only the field of its kind is filled. */
struct nb_folder {
    enum nb_folder_kind kind;
    const char *dir;
    struct rep_run run; /* with its numbers */
    json_t *json;       /* claims.json or gate.json */
    char accuracy_path[4096];
    struct acc accuracy;
};

struct nb_page_folders {
    struct nb_folder **list; /* each stays where it is */
    size_t n, room;
};

/* Adds everything that dir holds, at least one thing, or fails and says what is wrong
 * with it. dir must outlive f. */
NB_USE_RESULT enum nb_status nb_page_folders_add(struct nb_page_folders *f, const char *dir,
                                            struct nb_err *err);
void nb_page_folders_free(struct nb_page_folders *f);

#endif
