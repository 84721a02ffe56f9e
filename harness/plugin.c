#define _GNU_SOURCE /* dladdr1 */
#include "plugin.h"

#include "child.h"
#include "descriptor.h"
#include "sysread.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <jansson.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the file ---- */

/* The part of an ELF header that 32 and 64 bits share. */
struct elf_head {
    unsigned char ident[EI_NIDENT];
    uint16_t type, machine;
};

static const char *machine_name(unsigned machine, char text[32])
{
    switch (machine) {
    case EM_X86_64:
        return "x86_64";
    case EM_AARCH64:
        return "aarch64";
    case EM_386:
        return "i386";
    case EM_ARM:
        return "arm";
    case EM_RISCV:
        return "riscv";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390x";
    default:
        snprintf(text, 32, "ELF machine %u", machine);
        return text;
    }
}

/* A FIFO would block, a device never end: regular files alone. */
static enum nb_status read_head(const char *path, struct elf_head *head, struct nb_err *err)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return nb_fail(err, "%s", strerror(errno));
    const bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    const ssize_t n = regular ? read(fd, head, sizeof *head) : 0;
    close(fd);
    if (!regular)
        return nb_fail(err, "is no regular file");
    if (n < SELFMAG || memcmp(head->ident, ELFMAG, SELFMAG) != 0)
        return nb_fail(err, "is no ELF file; a plugin is a shared object: cc -shared -fPIC");
    return n == (ssize_t)sizeof *head ? NB_OK : nb_fail(err, "is cut off in its ELF header");
}

static enum nb_status same_machine(const struct elf_head *it, struct nb_err *err)
{
    struct elf_head own;
    char a[32], b[32];
    enum nb_status s = read_head("/proc/self/exe", &own, err);
    if (s != NB_OK)
        return s;
    if (it->ident[EI_DATA] != own.ident[EI_DATA])
        return nb_fail(err, "was built for the other byte order");
    if (it->machine != own.machine)
        return nb_fail(err, "was built for %s; this program runs on %s", machine_name(it->machine, a),
                       machine_name(own.machine, b));
    if (it->ident[EI_CLASS] != own.ident[EI_CLASS])
        return nb_fail(err, "was built for pointers of another width than this program's");
    if (it->type != ET_DYN)
        return nb_fail(err, "is no shared object%s; link it with cc -shared",
                       it->type == ET_REL ? " but an object file" : "");
    return NB_OK;
}

/* Where its segments end; loading a file that is shorter would be a bus error. */
static enum nb_status whole(const char *path, struct nb_err *err)
{
    ElfW(Ehdr) head;
    struct stat st;
    unsigned long long end = 0;
    FILE *f = fopen(path, "rbe");
    bool read = f != NULL && fstat(fileno(f), &st) == 0 && fread(&head, sizeof head, 1, f) == 1 &&
                head.e_phentsize == sizeof(ElfW(Phdr)) && fseeko(f, (off_t)head.e_phoff, SEEK_SET) == 0;
    for (unsigned i = 0; read && i < head.e_phnum; i++) {
        ElfW(Phdr) p;
        read = fread(&p, sizeof p, 1, f) == 1;
        if (read && p.p_type == PT_LOAD && p.p_offset + p.p_filesz > end)
            end = p.p_offset + p.p_filesz;
    }
    if (f != NULL)
        fclose(f);
    if (!read)
        return nb_fail(err, "is cut off: its program headers cannot be read");
    if (end > (unsigned long long)st.st_size)
        return nb_fail(err, "is cut off: %lld bytes, its segments reach to %llu", (long long)st.st_size, end);
    return NB_OK;
}

/* Paths stand in plan.json and in lines that people paste. */
static bool plain_text(const char *path)
{
    json_t *text = json_string(path); /* NULL where it is no UTF-8 */
    bool plain = text != NULL;
    json_decref(text);
    for (; plain && *path != '\0'; path++)
        plain = (unsigned char)*path >= ' ' && *path != 0x7f;
    return plain;
}

enum nb_status nb_plugin_inspect(const char *path, struct nb_plugin_file *file, struct nb_err *err)
{
    struct elf_head head;
    struct nb_err inner = {""};
    if (realpath(path, file->path) == NULL)
        return nb_fail(err, "plugin %s: %s", path, strerror(errno));
    if (!plain_text(file->path))
        return nb_fail(err, "plugin %s: its path holds control characters or is no UTF-8, and cannot be "
                            "recorded; rename it", path);
    enum nb_status s = read_head(file->path, &head, &inner);
    if (s == NB_OK)
        s = same_machine(&head, &inner);
    if (s == NB_OK)
        s = whole(file->path, &inner);
    if (s == NB_OK && nb_file_hash(file->path, file->hash) != 0)
        s = nb_fail(&inner, "cannot be read to its end: %s", strerror(errno));
    return s == NB_OK ? NB_OK : nb_fail(err, "plugin %s: %s", path, inner.text);
}

/* ---- loading ---- */

/* The table, where the symbol is one: reading a function's code as a table would give nonsense. */
static enum nb_status find_table(void *handle, const struct nb_kernel_table **table, struct nb_err *err)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    *table = dlsym(handle, NB_PLUGIN_SYMBOL);
    if (*table == NULL)
        return nb_fail(err, "exports no symbol " NB_PLUGIN_SYMBOL "; nb_kernel.h says which: const struct "
                            "nb_kernel_table " NB_PLUGIN_SYMBOL " = {NB_KERNEL_ABI, count, kernels}");
    if (dladdr1(*table, &info, (void **)&symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL &&
        (ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT || symbol->st_size < sizeof **table))
        return nb_fail(err, "its symbol " NB_PLUGIN_SYMBOL " is no struct nb_kernel_table");
    return NB_OK;
}

/* A constructor may print, which is no output of ours, and may change rounding or have subnormals flushed
 * (-ffast-math links one that does), which would change the oracle. */
static void *open_quietly(const char *path)
{
    fenv_t fp;
    fflush(stdout);
    const int kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    fegetenv(&fp);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    fflush(stdout);
    fesetenv(&fp);
    if (kept >= 0) {
        dup2(kept, STDOUT_FILENO);
        close(kept);
    }
    return handle;
}

static enum nb_status load(const char *path, struct nb_kernel_table *table, struct nb_err *err)
{
    const struct nb_kernel_table *exported;
    void *handle = open_quietly(path);
    if (handle == NULL)
        return nb_fail(err, "cannot be loaded: %s", dlerror());
    enum nb_status s = find_table(handle, &exported, err);
    if (s == NB_OK)
        nb_descriptors_take(path, exported, table);
    return s;
}

enum nb_status nb_plugin_load(const struct nb_plugin_file *file, struct nb_kernel_table *table,
                              struct nb_err *err)
{
    struct nb_err inner = {""};
    return load(file->path, table, &inner) == NB_OK
               ? NB_OK
               : nb_fail(err, "plugin %s: %s", file->path, inner.text);
}

/* ---- the child that loads it first ---- */

enum { LOAD_MS = 10000 };

struct probe {
    enum nb_status status;
    struct nb_err err;
};

static void probe_child(const char *path, int out)
{
    struct probe p = {NB_OK, {""}};
    struct nb_kernel_table table;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0); /* a crash here leaves no core file */
    p.status = load(path, &table, &p.err);
    _exit(write(out, &p, sizeof p) == (ssize_t)sizeof p ? 0 : 1);
}

static long ms_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

/* Waits until the child has spoken, closed its end, or time is up. A pipe takes a struct in one piece. */
static bool hear(int in, struct probe *p, bool *timed_out)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        const long left = LOAD_MS - ms_since(&start);
        struct pollfd f = {.fd = in, .events = POLLIN};
        const int ready = left > 0 ? poll(&f, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        *timed_out = ready == 0;
        return ready > 0 && read(in, p, sizeof *p) == (ssize_t)sizeof *p;
    }
}

static enum nb_status judge(const struct nb_plugin_file *file, bool heard, bool timed_out, int status,
                            struct probe *p, struct nb_err *err)
{
    p->err.text[sizeof(p->err.text) - 1] = '\0';
    if (timed_out)
        return nb_fail(err, "plugin %s: was not loaded within %d s; what do its constructors wait for?",
                       file->path, LOAD_MS / 1000);
    if (!heard && WIFSIGNALED(status))
        return nb_fail(err, "plugin %s: killed by signal %d (%s) while it was loaded, by a constructor or by "
                            "what its nb_plugin points to", file->path, WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    if (!heard)
        return nb_fail(err, "plugin %s: ended the process (exit code %d) while it was loaded", file->path,
                       WEXITSTATUS(status));
    return p->status == NB_OK ? NB_OK : nb_fail(err, "plugin %s: %.900s", file->path, p->err.text);
}

enum nb_status nb_plugin_probe(const struct nb_plugin_file *file, struct nb_err *err)
{
    struct probe p = {NB_ERROR, {""}};
    bool timed_out = false;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return nb_fail(err, "plugin %s: pipe: %s", file->path, strerror(errno));
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        probe_child(file->path, ends[1]);
    }
    close(ends[1]);
    const bool heard = child > 0 && hear(ends[0], &p, &timed_out);
    close(ends[0]);
    if (child < 0)
        return nb_fail(err, "plugin %s: fork: %s", file->path, strerror(errno));
    kill(child, SIGKILL); /* what it has to say is said; it may hang in a destructor */
    return judge(file, heard, timed_out, nb_child_wait(child), &p, err);
}
