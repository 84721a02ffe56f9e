/* account_parts.h: what the writers of an account share. */
#ifndef NB_ACCOUNT_PARTS_H
#define NB_ACCOUNT_PARTS_H

#include "account.h"

/* Appends to a text, as far as there is room. */
void nb_put(char *text, size_t len, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Calls take, which may be NULL, for each pair of cases one of which names the other, the earlier one first; how many there are. */
size_t nb_each_pair(const struct nb_hearing *h, void (*take)(void *context, const struct nb_case_of *a, const struct nb_case_of *b),
                    void *context);
/* What comes of a pair: which of them holds, and where. */
void nb_both_say(const struct nb_case_of *a, const struct nb_case_of *b, char *text, size_t len);

const char *nb_effort_name(enum nb_effort e);

/* JSON has neither NaN nor infinity: null, and the words inf and -inf. */
json_t *nb_number_json(double v);
/* What comes from an experiment or a file may be no UTF-8. Of the second null where there is no text. */
json_t *nb_text_json(const char *s);
json_t *nb_text_or_null(const char *s);

#endif
