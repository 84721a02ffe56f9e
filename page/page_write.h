/* page_write.h: a whole page in memory. */
#ifndef NB_PAGE_WRITE_H
#define NB_PAGE_WRITE_H

#include "page_folders.h"

/* How every page begins, as far as it is the same in all: by this a file is known as one.
 */
extern const char nb_page_first_bytes[];

/* The page of all folders, runs first; to be freed. Same folders and program, same bytes.
 */
NB_USE_RESULT enum nb_status nb_page_write(struct nb_page_folders *folders, char **text,
                                           size_t *length, struct nb_err *err);

#endif
