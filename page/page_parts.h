/* page_parts.h: the articles of a page, one for each thing that a folder holds. */
#ifndef NB_PAGE_PARTS_H
#define NB_PAGE_PARTS_H

#include "page_folders.h"
#include "page_html.h"

/* The verdict as one plain sentence, without markup; to be freed. */
char *nb_run_headline(const struct rep_run *run);
char *nb_claims_headline(const json_t *claims);
char *nb_accuracy_headline(const struct acc *a);
char *nb_gate_headline(const json_t *gate);

/* Below it: what it is made of, and a picture. */
void nb_run_verdict(const struct nb_page *p, struct rep_run *run);
void nb_claims_verdict(const struct nb_page *p, const json_t *claims);
void nb_accuracy_verdict(const struct nb_page *p, const struct acc *a);
void nb_gate_verdict_words(const struct nb_page *p, const json_t *gate);

/* All else, in sections. */
void nb_run_sections(struct nb_page *p, struct rep_run *run);
void nb_claims_sections(struct nb_page *p, const json_t *claims);
void nb_accuracy_sections(struct nb_page *p, const struct acc *a);
void nb_gate_sections(struct nb_page *p, const json_t *gate);

/* What a writer of report.md says; to be freed. */
typedef void nb_run_writer(const struct rep_run *run, FILE *f);
char *nb_run_text(const struct rep_run *run, nb_run_writer *write);
/* Parts of a run's sections: tables of speedups and kernels with what filters them; the
 * ladder under the roof. */
void nb_run_tables(struct nb_page *p, const struct rep_run *run);
void nb_run_every(struct nb_page *p, const struct rep_run *run);
void nb_run_roofs(struct nb_page *p, const struct rep_run *run);
/* "rmsnorm onepass avx512", of a kernel without facts its name. */
enum { NB_KERNEL_TEXT = 200 };
const char *nb_kernel_text(char text[NB_KERNEL_TEXT], const struct rep_kernel *k,
                           bool op);

#endif
