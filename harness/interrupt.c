#include "interrupt.h"

#include <stddef.h>

volatile sig_atomic_t nb_interrupted;

static void on_signal(int number)
{
    (void)number;
    nb_interrupted = 1;
}

void nb_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}
