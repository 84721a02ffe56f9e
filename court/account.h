/* account.h: what a hearing found, for people and for programs: rows on a screen, claims.json, claims.md. */
#ifndef NB_ACCOUNT_H
#define NB_ACCOUNT_H

#include "hearing.h"

#include <jansson.h>
#include <stdio.h>

/* What stands in the files beside the hearing itself. */
struct nb_account {
    const struct nb_hearing *hearing;
    const char *command;  /* as it was typed */
    const char *options;  /* of a line that tries one claim again: " --effort full --seed 3"; "" for the defaults */
    const char *cpu, *compiler;
    const char *registry; /* its folder; NULL: the claim was put on the command line */
    double seconds;       /* that all of it took */
};

/* What a test measured, in one line: "0.707 to 0.981 [0.69, 0.98], 4 cells, 9 rows each". */
void nb_measured(const struct nb_heard *heard, char *text, size_t len);
/* What came of its cells: "2 hold, 9 fail, 5 open"; "" of a single cell. */
void nb_outcomes(const struct nb_heard *heard, char *text, size_t len);
/* Its largest noise floor; "-" where there is none. */
void nb_noise(const struct nb_heard *heard, char *text, size_t len);

/* Heading, a row with its lines below, and claims that contradict each other. */
void nb_account_head(FILE *f);
void nb_account_row(FILE *f, const struct nb_case_of *c);
void nb_account_against(FILE *f, const struct nb_hearing *h);
/* "3 REPRODUCED, 1 REFUTED" */
void nb_account_count(const struct nb_hearing *h, char *text, size_t len);

json_t *nb_account_json(const struct nb_account *a);
void nb_account_md(FILE *f, const struct nb_account *a);

/* The command that tries this claim alone, into a folder of its own; to be freed. */
char *nb_account_repro(const struct nb_account *a, const struct nb_claim *c);

/* The experiments and their parameters, and the claims of a registry, as lists. */
void nb_list_experiments(FILE *f, bool json);
void nb_list_claims(FILE *f, const struct nb_claims *claims, bool json);

#endif
