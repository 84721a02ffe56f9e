/* page.h: the command `report`: derived files of runs, and one HTML page of everything
 * that was measured. */
#ifndef NB_PAGE_H
#define NB_PAGE_H

/* Adds it to the command line; before nb_main. */
void nb_page_register(void);

#endif
