/* claims.h: the registry: claims as files, one a claim, in the format of docs/court.md. */
#ifndef NB_CLAIMS_H
#define NB_CLAIMS_H

#include "experiment.h"
#include "grammar.h"

enum { NB_AGAINST_MAX = 8 };

/* One way in which a claim is tried: an experiment with parameters, and what its observations of a quantity have to be. */
struct nb_test {
    char *name;
    const struct nb_experiment *experiment;
    char **values; /* a text for each parameter of the experiment, without spaces around commas; checked */
    char quantity[48];
    char *where_text; /* "": every observation counts */
    char *holds_text;
    struct nb_terms where;
    struct nb_region holds;
};

struct nb_claim {
    char *path;
    char *id, *title, *statement, *source, *refuted_by, *why; /* refuted_by: NULL where the claim has no test */
    char *against[NB_AGAINST_MAX];
    size_t against_count;
    char *untestable; /* why there is no test; NULL: there is one */
    struct nb_test *tests;
    size_t test_count;
};

/* In the order of their ids. */
struct nb_claims {
    struct nb_claim *v;
    size_t n;
};

/* $NB_CLAIMS_DIR, else that of the installation, else that of the source tree. */
const char *nb_claims_dir(void);

/* One file. Its id has to be its name. After an error there is nothing to free; the error begins with path. */
NB_USE_RESULT enum nb_status nb_claim_parse(struct nb_claim *c, const char *path, const char *text, size_t len,
                                            struct nb_err *err);
void nb_claim_free(struct nb_claim *c);

/* All *.claim of a folder; `against` has to name claims among them. */
NB_USE_RESULT enum nb_status nb_claims_load(struct nb_claims *claims, const char *dir, struct nb_err *err);
void nb_claims_free(struct nb_claims *claims);
const struct nb_claim *nb_claims_find(const struct nb_claims *claims, const char *id);

/* A copy of a text for a parameter, checked, without spaces around its commas. */
NB_USE_RESULT enum nb_status nb_value_copy(const struct nb_parameter *p, const char *text, char **value, struct nb_err *err);

/* A test of an experiment with all its parameters at their defaults. */
struct nb_test nb_test_of(const struct nb_experiment *e, const char *name);
void nb_test_free(struct nb_test *t);

/* ---- the experiments that claims may name ---- */

/* Adds one beside those of experiments/, before anything else is called; it must outlive the program. */
void nb_court_add(const struct nb_experiment *e);
size_t nb_court_experiments(void);
const struct nb_experiment *nb_court_experiment(size_t i);
const struct nb_experiment *nb_court_find(const char *name);

/* Whether a word stands in "one two three". */
bool nb_words_have(const char *words, const char *word);

#endif
