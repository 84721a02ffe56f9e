/* import.h: run folders into the index. */
#ifndef NB_IMPORT_H
#define NB_IMPORT_H

#include "dictionary.h"
#include "files.h"

struct nb_import {
    struct nb_db *db;
    bool replace; /* a run that is known with other content is taken anew */
    struct nb_dictionary machine, kernel, cell, pairing;
    sqlite3_stmt *find_name, *find_content, *insert, *move, *result, *speedup;
    bool within;        /* a transaction */
    double committed_s; /* when the last one began */
};

enum { NB_RUN_NAME = 100 };

enum nb_import_outcome {
    NB_IMPORT_NEW,
    NB_IMPORT_KNOWN,    /* from this folder, with this content */
    NB_IMPORT_COPY,     /* from another folder, which is still there */
    NB_IMPORT_MOVED,    /* from another folder, which is gone */
    NB_IMPORT_REPLACED, /* had other content */
};

struct nb_imported {
    enum nb_import_outcome outcome;
    char name[NB_RUN_NAME], other[NB_PATH]; /* the folder of COPY and MOVED */
    size_t results, speedups;
};

NB_USE_RESULT enum nb_status nb_import_begin(struct nb_import *im, struct nb_db *db,
                                             bool replace, struct nb_err *err);
/* One run, whole or not at all. After an error others may be imported, unless
 * im->db->failed. */
NB_USE_RESULT enum nb_status nb_import_run(struct nb_import *im, const char *dir,
                                           struct nb_imported *what, struct nb_err *err);
/* Keeps what was imported; frees im. */
NB_USE_RESULT enum nb_status nb_import_end(struct nb_import *im, struct nb_err *err);

#endif
