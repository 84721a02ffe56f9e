#include "progress.h"

#include "execute.h"

#include <stdio.h>
#include <unistd.h>

void nb_progress_begin(struct nb_progress *p, const char *stage, double total, bool quiet)
{
    *p = (struct nb_progress){.stage = stage,
                              .total = total > 0 ? total : 1,
                              .start_ns = nb_now_ns(),
                              .quiet = quiet,
                              .terminal = isatty(STDERR_FILENO) == 1};
}

static void duration(double s, char *text, size_t len)
{
    if (s < 100)
        snprintf(text, len, "%.0f s", s);
    else
        snprintf(text, len, "%.0f min %02.0f s", (double)(int)(s / 60), s - 60 * (int)(s / 60));
}

/* A terminal gets at most five updates a second; a pipe one line a tenth. */
void nb_progress_step(struct nb_progress *p, double amount, const char *detail)
{
    const uint64_t now = nb_now_ns();
    char spent[32], left[32];
    p->done += amount;
    const double share = p->done < p->total ? p->done / p->total : 1;
    const double seconds = (double)(now - p->start_ns) / 1e9;
    const int tenth = (int)(share * 10);
    const bool due = p->terminal ? now - p->last_ns > 200000000u : tenth > p->last_tenth;
    if (p->quiet || !due || share <= 0)
        return;
    p->last_ns = now;
    p->last_tenth = tenth;
    duration(seconds, spent, sizeof spent);
    duration(seconds * (1 - share) / share, left, sizeof left);
    if (p->terminal)
        fprintf(stderr, "\r\033[K%-11s %3.0f %%  %s, %s left  %.60s", p->stage, 100 * share, spent,
                left, detail);
    else
        fprintf(stderr, "%-11s %3.0f %%  %s, %s left\n", p->stage, 100 * share, spent, left);
    fflush(stderr);
}

void nb_progress_end(struct nb_progress *p)
{
    char spent[32];
    if (p->quiet)
        return;
    duration((double)(nb_now_ns() - p->start_ns) / 1e9, spent, sizeof spent);
    if (p->terminal)
        fprintf(stderr, "\r\033[K%-11s done in %s\n", p->stage, spent);
    else
        fprintf(stderr, "%-11s done in %s\n", p->stage, spent);
}
