#include "host.h"

#if __has_include("nb_git.h")
#include "nb_git.h"
#endif
#if __has_include("nb_kernel_sources.h")
#include "nb_kernel_sources.h"
#endif

const char *nb_host_git(void)
{
#ifdef NB_GIT
    return NB_GIT;
#else
    return "unknown";
#endif
}

const char *nb_host_kernel_sources(void)
{
#ifdef NB_KERNEL_SOURCES
    return NB_KERNEL_SOURCES;
#else
    return NULL;
#endif
}
