#include "host.h"

#if __has_include("nb_git.h")
#include "nb_git.h"
#endif

const char *nb_host_git(void)
{
#ifdef NB_GIT
    return NB_GIT;
#else
    return "unknown";
#endif
}
