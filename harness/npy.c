#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "data is used in the byte order in which the file holds it");

/* A file is: magic, major, minor, length of the header (2 bytes little endian in 1.0, 4
 * in 2.0 and 3.0), the header, the data. The header is a dict as Python writes it:
 * {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and spaces. */
static const char MAGIC[] = "\x93NUMPY";

enum {
    MAGIC_LEN = sizeof MAGIC - 1,
    PREFIX_MAX = MAGIC_LEN + 2 + 4,
    PREFIX_V1 = MAGIC_LEN + 2 + 2,
    HEADER_MAX = 1 << 20,
    AXIS_TEXT = 20,                                     /* digits of SIZE_MAX */
    SHAPE_TEXT = NB_NPY_RANK_MAX * (AXIS_TEXT + 2) + 4, /* "(2, 3)" */
    ALIGN = 64,                                         /* of the data in the file */
    GROWTH = 21, /* NumPy keeps so many places for axis 0, to append to a file */
    WRITTEN_MAX = 1024
};

static const struct {
    const char *name;
    size_t bytes;
} KINDS[NB_NPY_KIND_COUNT] = {
    [NB_NPY_F2] = {"f2", 2},
    [NB_NPY_F4] = {"f4", 4},
    [NB_NPY_F8] = {"f8", 8},
    [NB_NPY_U2] = {"u2", 2},
};

const char *nb_npy_kind_name(enum nb_npy_kind kind)
{
    NB_ASSERT(kind < NB_NPY_KIND_COUNT);
    return KINDS[kind].name;
}

size_t nb_npy_kind_bytes(enum nb_npy_kind kind)
{
    NB_ASSERT(kind < NB_NPY_KIND_COUNT);
    return KINDS[kind].bytes;
}

/* "(3,)" or "(2, 3)", as Python writes it. */
static const char *shape_text(char out[SHAPE_TEXT], const size_t *shape, size_t rank)
{
    size_t n = 0;
    for (size_t i = 0; i < rank; i++)
        n += (size_t)snprintf(out + n, SHAPE_TEXT - n, "%s%zu", i == 0 ? "(" : ", ",
                              shape[i]);
    snprintf(out + n, SHAPE_TEXT - n, rank == 1 ? ",)" : ")");
    return out;
}

/* ---- the header's dict ---- */

struct dict {
    const char *path, *text;
    size_t at, n;  /* read so far, length of text */
    size_t offset; /* of text in the file */
    struct nb_err *err;
    unsigned seen; /* a bit for each key */
    char descr[40];
    bool fortran;
    size_t rank, shape[NB_NPY_RANK_MAX];
};

/* The next character; NUL at the end. */
static char peek(const struct dict *d)
{
    return d->at < d->n ? d->text[d->at] : '\0';
}

static void skip_space(struct dict *d)
{
    while (d->at < d->n && memchr(" \t\r\n", d->text[d->at], 4) != NULL)
        d->at++;
}

static bool take(struct dict *d, char c)
{
    skip_space(d);
    if (d->at == d->n || d->text[d->at] != c)
        return false;
    d->at++;
    return true;
}

static enum nb_status malformed(const struct dict *d, const char *expected)
{
    char found[16] = "the end";
    const unsigned char c = (unsigned char)peek(d);
    if (d->at < d->n)
        snprintf(found, sizeof found, c >= ' ' && c <= '~' ? "\"%c\"" : "byte 0x%02x", c);
    return nb_fail(d->err, "%s: malformed header at byte %zu: found %s, expected %s",
                   d->path, d->offset + d->at, found, expected);
}

/* A string in single or double quotes, cut to the room there is. NumPy has no need of
 * escapes or of characters outside ASCII in what we accept. */
static enum nb_status read_string(struct dict *d, char *out, size_t room,
                                  const char *what)
{
    size_t n = 0;
    skip_space(d);
    const char quote = peek(d);
    if (quote != '\'' && quote != '"')
        return malformed(d, what);
    for (d->at++; peek(d) != quote; d->at++) {
        const char c = peek(d);
        if (c < ' ' || c > '~' || c == '\\')
            return malformed(d, "a plain character or the closing quote");
        if (n + 1 < room)
            out[n++] = c;
    }
    d->at++;
    out[n] = '\0';
    return NB_OK;
}

static enum nb_status read_descr(struct dict *d)
{
    skip_space(d);
    if (peek(d) == '[' || peek(d) == '(')
        return nb_fail(
            d->err,
            "%s: a structured dtype (records with fields); expected an array of "
            "one plain number each: save one field of it",
            d->path);
    return read_string(d, d->descr, sizeof d->descr, "a dtype in quotes");
}

static enum nb_status read_order(struct dict *d)
{
    static const char *const words[] = {"False", "True"};
    skip_space(d);
    for (int i = 0; i < 2; i++) {
        const size_t len = strlen(words[i]);
        if (d->n - d->at >= len && memcmp(d->text + d->at, words[i], len) == 0) {
            d->fortran = i == 1;
            d->at += len;
            return NB_OK;
        }
    }
    return malformed(d, "True or False");
}

static enum nb_status read_axis(struct dict *d, size_t *axis)
{
    skip_space(d);
    const size_t begin = d->at;
    *axis = 0;
    for (; peek(d) >= '0' && peek(d) <= '9'; d->at++)
        if (__builtin_mul_overflow(*axis, (size_t)10, axis) ||
            __builtin_add_overflow(*axis, (size_t)(peek(d) - '0'), axis))
            return nb_fail(d->err,
                           "%s: an axis of more than %zu elements; expected a shape that "
                           "memory can hold",
                           d->path, SIZE_MAX);
    return d->at > begin ? NB_OK : malformed(d, "the length of an axis");
}

/* A tuple; "(3)" is a number in Python, "(3,)" a tuple. */
static enum nb_status read_shape(struct dict *d)
{
    if (!take(d, '('))
        return malformed(d, "the \"(\" of a shape");
    while (!take(d, ')')) {
        if (d->rank == NB_NPY_RANK_MAX)
            return nb_fail(d->err, "%s: more than %d axes; expected at most so many",
                           d->path, NB_NPY_RANK_MAX);
        const enum nb_status s = read_axis(d, &d->shape[d->rank++]);
        if (s != NB_OK)
            return s;
        if (take(d, ','))
            continue;
        if (d->rank == 1)
            return malformed(d, "\",\"");
        return take(d, ')') ? NB_OK : malformed(d, "\",\" or \")\"");
    }
    return NB_OK;
}

static const struct {
    const char *name;
    enum nb_status (*read)(struct dict *d);
} KEYS[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
enum { KEY_COUNT = sizeof KEYS / sizeof *KEYS };

static enum nb_status read_entry(struct dict *d)
{
    char key[40];
    const enum nb_status s = read_string(d, key, sizeof key, "a key in quotes");
    if (s != NB_OK)
        return s;
    if (!take(d, ':'))
        return malformed(d, "\":\"");
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        if (strcmp(key, KEYS[i].name) != 0)
            continue;
        if (d->seen & 1u << i)
            return nb_fail(d->err,
                           "%s: key '%s' stands twice in the header; expected once",
                           d->path, key);
        d->seen |= 1u << i;
        return KEYS[i].read(d);
    }
    return nb_fail(
        d->err,
        "%s: unknown key '%s' in the header; expected descr, fortran_order, shape",
        d->path, key);
}

static enum nb_status read_dict(struct dict *d)
{
    if (!take(d, '{'))
        return malformed(d, "\"{\"");
    while (!take(d, '}')) {
        const enum nb_status s = read_entry(d);
        if (s != NB_OK)
            return s;
        if (take(d, ','))
            continue;
        if (!take(d, '}'))
            return malformed(d, "\",\" or \"}\"");
        break;
    }
    skip_space(d);
    if (d->at < d->n)
        return malformed(d, "nothing but spaces behind the \"}\"");
    for (unsigned i = 0; i < KEY_COUNT; i++)
        if (!(d->seen & 1u << i))
            return nb_fail(
                d->err,
                "%s: no key '%s' in the header; expected descr, fortran_order, shape",
                d->path, KEYS[i].name);
    return NB_OK;
}

/* ---- what the header means ---- */

static const char *kind_words(char letter)
{
    static const struct {
        char letter;
        const char *words;
    } known[] = {
        {'b', "booleans"},
        {'i', "integers"},
        {'u', "unsigned integers"},
        {'f', "floating point of another width"},
        {'c', "complex numbers"},
        {'O', "Python objects"},
        {'S', "byte strings"},
        {'U', "text"},
        {'M', "dates"},
        {'m', "time spans"},
        {'V', "raw bytes; bfloat16 is taken as x.view(np.uint16)"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].letter == letter)
            return known[i].words;
    return "unknown";
}

static enum nb_status find_kind(const struct dict *d, enum nb_npy_kind *kind)
{
    const char order = d->descr[0], *name = order != '\0' ? d->descr + 1 : "";
    for (int k = 0; k < NB_NPY_KIND_COUNT; k++) {
        if (strcmp(name, KINDS[k].name) != 0)
            continue;
        *kind = (enum nb_npy_kind)k;
        if (order == '<' || order == '=' || order == '|')
            return NB_OK;
        if (order == '>')
            return nb_fail(d->err,
                           "%s: big-endian elements ('%s'); expected little-endian: save "
                           "x.astype('<%s')",
                           d->path, d->descr, name);
    }
    return nb_fail(d->err, "%s: dtype '%s' (%s); expected '<f2', '<f4', '<f8' or '<u2'",
                   d->path, d->descr, kind_words(*name));
}

static enum nb_status check_shape(const struct dict *d)
{
    char shape[SHAPE_TEXT];
    if (d->rank == 0)
        return nb_fail(d->err, "%s: a scalar; expected at least one axis", d->path);
    shape_text(shape, d->shape, d->rank);
    for (size_t i = 0; i < d->rank; i++)
        if (d->shape[i] == 0)
            return nb_fail(d->err,
                           "%s: axis %zu of shape %s has length 0; expected at least one "
                           "element",
                           d->path, i, shape);
    if (d->fortran && d->rank > 1)
        return nb_fail(d->err,
                       "%s: Fortran order, shape %s; expected C order: save "
                       "np.ascontiguousarray(x)",
                       d->path, shape);
    return NB_OK;
}

/* held: bytes of the file behind the header. */
static enum nb_status check_size(const struct dict *d, struct nb_npy *a, size_t held)
{
    char shape[SHAPE_TEXT];
    size_t bytes = a->item;
    bool over = false;
    for (size_t i = 0; i < a->rank; i++)
        over = over || __builtin_mul_overflow(bytes, a->shape[i], &bytes);
    if (!over && bytes == held) {
        a->count = bytes / a->item;
        return NB_OK;
    }
    shape_text(shape, a->shape, a->rank);
    if (over)
        return nb_fail(
            d->err,
            "%s: shape %s of '<%s' overflows: the file holds %zu bytes of data, "
            "expected more than %zu",
            d->path, shape, KINDS[a->kind].name, held, SIZE_MAX);
    return nb_fail(d->err,
                   "%s: %s: found %zu bytes of data, expected %zu for shape %s of '<%s'",
                   d->path, held < bytes ? "data cut short" : "bytes trail the data",
                   held, bytes, shape, KINDS[a->kind].name);
}

static enum nb_status understand(struct dict *d, struct nb_npy *a, size_t held)
{
    enum nb_status s = read_dict(d);
    if (s == NB_OK)
        s = find_kind(d, &a->kind);
    if (s == NB_OK)
        s = check_shape(d);
    if (s != NB_OK)
        return s;
    a->item = KINDS[a->kind].bytes;
    a->rank = d->rank;
    memcpy(a->shape, d->shape, sizeof a->shape);
    return check_size(d, a, held);
}

/* ---- reading a file ---- */

struct file {
    const char *path;
    int fd;
    size_t size;
    struct nb_err *err;
};

static const char *type_words(mode_t mode)
{
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

/* O_NONBLOCK: a FIFO must not make us wait for a writer. */
static enum nb_status open_file(struct file *f)
{
    struct stat st;
    f->fd = open(f->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return nb_fail(f->err, "cannot read %s: %s", f->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return nb_fail(f->err, "%s: %s; expected a regular file", f->path,
                       type_words(st.st_mode));
    f->size = (size_t)st.st_size;
    return NB_OK;
}

static enum nb_status read_at(const struct file *f, size_t at, void *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        const ssize_t n = pread(f->fd, (char *)to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return nb_fail(f->err, "cannot read %s: %s", f->path, strerror(errno));
        if (n == 0)
            return nb_fail(f->err,
                           "%s: it ends at byte %zu, expected %zu: it was cut while read",
                           f->path, at + done, f->size);
        done += (size_t)n;
    }
    return NB_OK;
}

static enum nb_status not_npy(const struct file *f, const unsigned char *b, size_t n)
{
    char bytes[3 * MAGIC_LEN + 1] = "";
    if (n == 0)
        return nb_fail(f->err, "%s: not a .npy file: it is empty", f->path);
    for (size_t i = 0; i < n && i < MAGIC_LEN; i++)
        snprintf(bytes + 3 * i, 4, " %02x", b[i]);
    return nb_fail(
        f->err, "%s: not a .npy file: it begins with%s, expected 93 4e 55 4d 50 59%s",
        f->path, bytes,
        n >= 4 && memcmp(b, "PK\3\4", 4) == 0 ? " (an .npz? unzip it first)" : "");
}

static enum nb_status truncated(const struct file *f, size_t expected)
{
    return nb_fail(f->err, "%s: truncated header: found %zu bytes, expected %zu or more",
                   f->path, f->size, expected);
}

/* Where the header begins, and its length. */
static enum nb_status read_prefix(const struct file *f, size_t *begin, size_t *len)
{
    unsigned char b[PREFIX_MAX] = {0};
    const size_t have = f->size < sizeof b ? f->size : sizeof b;
    const enum nb_status s = read_at(f, 0, b, have);
    if (s != NB_OK)
        return s;
    if (memcmp(b, MAGIC, MAGIC_LEN) != 0)
        return not_npy(f, b, have);
    if (have < PREFIX_V1)
        return truncated(f, PREFIX_V1);
    if (b[6] < 1 || b[6] > 3 || b[7] != 0)
        return nb_fail(f->err, "%s: format version %u.%u; expected 1.0, 2.0 or 3.0",
                       f->path, b[6], b[7]);
    *begin = b[6] == 1 ? PREFIX_V1 : PREFIX_MAX;
    if (have < *begin)
        return truncated(f, *begin);
    *len = b[8] | (size_t)b[9] << 8;
    if (b[6] > 1)
        *len |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    if (*len > HEADER_MAX)
        return nb_fail(f->err, "%s: a header of %zu bytes; expected at most %d", f->path,
                       *len, HEADER_MAX);
    return *len > f->size - *begin ? truncated(f, *begin + *len) : NB_OK;
}

static enum nb_status read_header(const struct file *f, struct nb_npy *a, size_t *data_at)
{
    struct dict d = {.path = f->path, .err = f->err};
    enum nb_status s = read_prefix(f, &d.offset, &d.n);
    if (s != NB_OK)
        return s;
    char *text = malloc(d.n > 0 ? d.n : 1);
    NB_ASSERT(text != NULL);
    *data_at = d.offset + d.n;
    s = read_at(f, d.offset, text, d.n);
    d.text = text;
    if (s == NB_OK)
        s = understand(&d, a, f->size - *data_at);
    free(text);
    return s;
}

enum nb_status nb_npy_read(struct nb_npy *a, const char *path, struct nb_err *err)
{
    struct file f = {.path = path, .fd = -1, .err = err};
    size_t data_at = 0;
    *a = (struct nb_npy){0};
    enum nb_status s = open_file(&f);
    if (s == NB_OK)
        s = read_header(&f, a, &data_at);
    if (s != NB_OK)
        goto out;
    a->data = malloc(a->count * a->item);
    s = a->data == NULL ? nb_fail(err, "%s: no memory for its %zu bytes of data", path,
                                  a->count * a->item)
                        : read_at(&f, data_at, a->data, a->count * a->item);
out:
    if (s != NB_OK)
        nb_npy_free(a);
    if (f.fd >= 0)
        close(f.fd);
    return s;
}

void nb_npy_free(struct nb_npy *a)
{
    free(a->data);
    *a = (struct nb_npy){0};
}

/* ---- writing a file ---- */

/* Returns the length: a multiple of ALIGN. Where nothing need be padded NumPy pads a
 * whole ALIGN, and so do we. */
static size_t format_header(char out[WRITTEN_MAX], const struct nb_npy *a)
{
    char shape[SHAPE_TEXT];
    const int digits = snprintf(NULL, 0, "%zu", a->shape[0]);
    size_t n = PREFIX_V1;
    n += (size_t)snprintf(out + n, WRITTEN_MAX - n,
                          "{'descr': '<%s', 'fortran_order': False, 'shape': %s, }%*s",
                          KINDS[a->kind].name, shape_text(shape, a->shape, a->rank),
                          GROWTH - digits, "");
    const size_t total = n + 1 + ALIGN - (n + 1) % ALIGN, len = total - PREFIX_V1;
    NB_ASSERT(total <= WRITTEN_MAX);
    memset(out + n, ' ', total - n);
    out[total - 1] = '\n';
    memcpy(out, MAGIC, MAGIC_LEN);
    memcpy(out + MAGIC_LEN, (char[]){1, 0, (char)(len & 0xff), (char)(len >> 8)}, 4);
    return total;
}

static int write_all(int fd, const char *from, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, from, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        from += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Header and data; closes fd. Returns 0 or an errno value. */
static int write_array(int fd, const struct nb_npy *a)
{
    char header[WRITTEN_MAX];
    size_t bytes = KINDS[a->kind].bytes;
    for (size_t i = 0; i < a->rank; i++)
        bytes *= a->shape[i];
    int error = write_all(fd, header, format_header(header, a));
    if (error == 0)
        error = write_all(fd, a->data, bytes);
    if (close(fd) != 0 && error == 0)
        error = errno;
    return error;
}

/* A pipe that nobody reads is an error and no wait; once open, it may block. */
static int write_in_place(const struct nb_npy *a, const char *path)
{
    const int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        const int error = errno;
        close(fd);
        return error;
    }
    return write_array(fd, a);
}

static int write_beside(const struct nb_npy *a, const char *path)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s.%ld.part", path, (long)getpid()) >=
        (int)sizeof part)
        return ENAMETOOLONG;
    const int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    int error = write_array(fd, a);
    if (error == 0 && rename(part, path) != 0)
        error = errno;
    if (error != 0)
        unlink(part);
    return error;
}

/* Only a plain file is replaced: to rename over /dev/null, or over the link /dev/stdout,
 * would take it away from everyone. */
enum nb_status nb_npy_write(const struct nb_npy *a, const char *path, struct nb_err *err)
{
    struct stat st;
    char *target = NULL;
    int error;
    NB_ASSERT(a->kind < NB_NPY_KIND_COUNT && a->rank > 0 && a->rank <= NB_NPY_RANK_MAX);
    if (stat(path, &st) != 0)
        error = write_beside(a, path);
    else if (S_ISREG(st.st_mode))
        error = (target = realpath(path, NULL)) != NULL ? write_beside(a, target) : errno;
    else if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
        error = write_in_place(a, path);
    else
        return nb_fail(err, "cannot write %s: %s; expected a file", path,
                       type_words(st.st_mode));
    free(target);
    return error == 0 ? NB_OK
                      : nb_fail(err, "cannot write %s: %s", path, strerror(error));
}
