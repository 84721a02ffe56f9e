/* npy_test.c: .npy files against the bytes NumPy writes, and every way in which one can
 * be wrong. */
#define _GNU_SOURCE /* nftw */
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static char folder[] = "/tmp/npy_test.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int delete_one(const char *path, const struct stat *st, int type,
                      struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int delete_folder(void **state)
{
    (void)state;
    return nftw(folder, delete_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static size_t get(const char *name, void *bytes, size_t room)
{
    FILE *f = fopen(in_folder(name), "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

/* A file with this header and so many bytes 0, 1, 2, ... of data. */
static void put_array(const char *name, unsigned major, const char *header, size_t data)
{
    unsigned char file[4096] = "\x93NUMPY";
    const size_t len = strlen(header), begin = major == 1 ? 10 : 12;
    assert_true(begin + len + data <= sizeof file);
    file[6] = (unsigned char)major;
    file[8] = (unsigned char)(len & 0xff);
    file[9] = (unsigned char)(len >> 8);
    memcpy(file + begin, header, len);
    for (size_t i = 0; i < data; i++)
        file[begin + len + i] = (unsigned char)i;
    put(name, file, begin + len + data);
}

/* Reading fails, and says each of the words after the path, up to a NULL. */
static void refuses_path(const char *path, ...)
{
    struct nb_npy a;
    struct nb_err err = {""};
    va_list words;
    assert_int_equal(nb_npy_read(&a, path, &err), NB_ERROR);
    assert_null(a.data);
    if (strstr(err.text, path) == NULL)
        fail_msg("\"%s\" does not name %s", err.text, path);
    va_start(words, path);
    for (const char *word; (word = va_arg(words, const char *)) != NULL;)
        if (strstr(err.text, word) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, word);
    va_end(words);
}

static void refuses_header(const char *header, size_t data, const char *found,
                           const char *expected)
{
    put_array("bad.npy", 1, header, data);
    refuses_path(in_folder("bad.npy"), found, expected, NULL);
}

static struct nb_npy read_fine(const char *name)
{
    struct nb_npy a;
    struct nb_err err = {""};
    if (nb_npy_read(&a, in_folder(name), &err) != NB_OK)
        fail_msg("%s", err.text);
    return a;
}

static void write_fine(const struct nb_npy *a, const char *name)
{
    struct nb_err err = {""};
    if (nb_npy_write(a, in_folder(name), &err) != NB_OK)
        fail_msg("%s", err.text);
}

/* ---- what is read and written ---- */

/* np.save of np.arange(3, dtype='<f4') and np.arange(6, dtype='<f8').reshape(2, 3). */
static void bytes_are_those_of_numpy(void **state)
{
    (void)state;
    static const char one[] = "\x93NUMPY\x01\x00\x76\x00"
                              "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
                              "                              "
                              "                              \n";
    static const char two[] =
        "\x93NUMPY\x01\x00\x76\x00"
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }"
        "                             "
        "                             \n";
    float x[] = {0, 1, 2};
    double y[] = {0, 1, 2, 3, 4, 5};
    const struct nb_npy a = {.kind = NB_NPY_F4, .rank = 1, .shape = {3}, .data = x};
    const struct nb_npy b = {.kind = NB_NPY_F8, .rank = 2, .shape = {2, 3}, .data = y};
    char bytes[512];
    assert_int_equal(sizeof one - 1, 128);
    assert_int_equal(sizeof two - 1, 128);
    write_fine(&a, "one.npy");
    assert_int_equal(get("one.npy", bytes, sizeof bytes), 128 + sizeof x);
    assert_memory_equal(bytes, one, 128);
    assert_memory_equal(bytes + 128, x, sizeof x);
    write_fine(&b, "two.npy");
    assert_int_equal(get("two.npy", bytes, sizeof bytes), 128 + sizeof y);
    assert_memory_equal(bytes, two, 128);
    assert_memory_equal(bytes + 128, y, sizeof y);
}

/* Behind the dict NumPy leaves room for the length of axis 0 to grow to 21 digits:
 * without it np.ones((1,) * 15, 'f2') would be 130 bytes and not 194. */
static void room_to_grow_is_that_of_numpy(void **state)
{
    (void)state;
    uint16_t x[1] = {0};
    char bytes[512];
    struct nb_npy a = {.kind = NB_NPY_F2, .data = x};
    for (size_t i = 0; i < NB_NPY_RANK_MAX; i++)
        a.shape[i] = 1;
    for (a.rank = 1; a.rank <= NB_NPY_RANK_MAX; a.rank++) {
        write_fine(&a, "grow.npy");
        assert_int_equal(get("grow.npy", bytes, sizeof bytes),
                         (a.rank < 15 ? 128 : 192) + 2);
        struct nb_npy b = read_fine("grow.npy");
        assert_int_equal(b.rank, a.rank);
        nb_npy_free(&b);
    }
}

/* Where the header is a multiple of 64 as it stands, np.save pads 64 bytes all the same.
 */
static void padding_is_never_empty(void **state)
{
    (void)state;
    uint16_t x[100] = {0};
    char bytes[512];
    struct nb_npy a = {.kind = NB_NPY_F2, .rank = 14, .data = x};
    for (size_t i = 0; i < a.rank; i++)
        a.shape[i] = i < 13 ? 1 : 100;
    write_fine(&a, "pad.npy");
    assert_int_equal(get("pad.npy", bytes, sizeof bytes), 192 + sizeof x);
}

static void round_trips(void **state)
{
    (void)state;
    static const size_t shape[] = {5, 1, 3, 7};
    uint8_t data[5 * 3 * 7 * 8];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (int kind = 0; kind < NB_NPY_KIND_COUNT; kind++)
        for (size_t rank = 1; rank <= 4; rank++) {
            struct nb_npy a = {
                .kind = (enum nb_npy_kind)kind, .rank = rank, .data = data};
            memcpy(a.shape, shape, rank * sizeof *shape);
            write_fine(&a, "x.npy");
            struct nb_npy b = read_fine("x.npy");
            const size_t count = rank == 4 ? 105 : rank == 3 ? 15 : 5;
            assert_int_equal(b.kind, kind);
            assert_int_equal(b.item, nb_npy_kind_bytes(b.kind));
            assert_int_equal(b.rank, rank);
            assert_memory_equal(b.shape, a.shape, sizeof a.shape);
            assert_int_equal(b.count, count);
            assert_memory_equal(b.data, data, count * b.item);
            nb_npy_free(&b);
            assert_null(b.data);
        }
}

static void kinds_have_names_and_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"f2", "f4", "f8", "u2"};
    static const size_t bytes[] = {2, 4, 8, 2};
    for (int k = 0; k < NB_NPY_KIND_COUNT; k++) {
        assert_string_equal(nb_npy_kind_name((enum nb_npy_kind)k), names[k]);
        assert_int_equal(nb_npy_kind_bytes((enum nb_npy_kind)k), bytes[k]);
    }
}

/* Spellings that are the same array of two rows of three f4. */
static void spellings(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2, 3)}",
        "{'shape': (2, 3), 'fortran_order': False, 'descr': '<f4'}",
        "{'fortran_order':False,'descr':'=f4','shape':(2,3,),}",
        " { 'descr' : '|f4' ,\t'shape'\n: ( 2 , 3 , ) , 'fortran_order' : False } \n",
    };
    for (size_t i = 0; i < LENGTH(headers); i++)
        for (unsigned version = 1; version <= 3; version++) {
            put_array("same.npy", version, headers[i], 24);
            struct nb_npy a = read_fine("same.npy");
            assert_int_equal(a.kind, NB_NPY_F4);
            assert_int_equal(a.rank, 2);
            assert_int_equal(a.shape[0], 2);
            assert_int_equal(a.shape[1], 3);
            assert_int_equal(a.count, 6);
            for (unsigned b = 0; b < 24; b++)
                assert_int_equal(((uint8_t *)a.data)[b], b);
            nb_npy_free(&a);
        }
}

static void one_axis_has_no_order(void **state)
{
    (void)state;
    put_array("f.npy", 1, "{'descr': '<u2', 'fortran_order': True, 'shape': (3,)}", 6);
    struct nb_npy a = read_fine("f.npy");
    assert_int_equal(a.kind, NB_NPY_U2);
    assert_int_equal(a.count, 3);
    nb_npy_free(&a);
}

/* ---- what is refused: the file as such ---- */

static void not_a_npy(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *found;
    } files[] = {
        {"", 0, "empty"},
        {"\x93NU", 3, "93 4e 55, expected 93 4e 55 4d 50 59"},
        {"hello, world", 12, "68 65 6c 6c 6f 2c, expected"},
        {"PK\3\4 and more", 13, "an .npz? unzip"},
        {"\x93NUMPX\1\0\2\0{}", 12, "93 4e 55 4d 50 58, expected"},
    };
    for (size_t i = 0; i < LENGTH(files); i++) {
        put("bad.npy", files[i].bytes, files[i].n);
        refuses_path(in_folder("bad.npy"), "not a .npy file", files[i].found, NULL);
    }
}

static void unknown_versions(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"\x93NUMPY\4\0\0\0\0\0\0", "version 4.0"},
        {"\x93NUMPY\0\0\0\0\0\0\0", "version 0.0"},
        {"\x93NUMPY\1\1\0\0\0\0\0", "version 1.1"},
        {"\x93NUMPY\xff\xff\0\0\0\0\0", "version 255.255"}};
    for (size_t i = 0; i < LENGTH(files); i++) {
        put("bad.npy", files[i][0], 13);
        refuses_path(in_folder("bad.npy"), files[i][1], "expected 1.0, 2.0 or 3.0", NULL);
    }
}

/* Every length short of the whole is refused, with the part that is missing. */
static void cut_files(void **state)
{
    (void)state;
    static const char header[] =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
    for (unsigned version = 1; version <= 3; version++) {
        uint8_t bytes[256];
        const size_t begin = version == 1 ? 10 : 12, data = begin + sizeof header - 1;
        put_array("whole.npy", version, header, 24);
        const size_t n = get("whole.npy", bytes, sizeof bytes);
        assert_int_equal(n, data + 24);
        for (size_t cut = 0; cut < n; cut++) {
            char found[64];
            put("cut.npy", bytes, cut);
            snprintf(found, sizeof found, "found %zu bytes",
                     cut < data ? cut : cut - data);
            refuses_path(in_folder("cut.npy"),
                         cut < 6      ? "not a .npy file"
                         : cut < data ? "truncated header"
                                      : "data cut short",
                         cut < 6 ? "" : found, NULL);
        }
    }
}

static void large_headers(void **state)
{
    (void)state;
    put("bad.npy", "\x93NUMPY\2\0\x01\x00\x10\x00", 12);
    refuses_path(in_folder("bad.npy"), "header of 1048577 bytes", "at most 1048576",
                 NULL);
    put("bad.npy", "\x93NUMPY\3\0\xff\xff\xff\xff", 12);
    refuses_path(in_folder("bad.npy"), "header of 4294967295 bytes", NULL);
    put("bad.npy", "\x93NUMPY\2\0\x00\x00\x10\x00", 12);
    refuses_path(in_folder("bad.npy"), "truncated header", "found 12 bytes",
                 "expected 1048588", NULL);
}

/* ---- what is refused: the header ---- */

#define HEADER(descr, order, shape)                                                      \
    "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"

static void malformed_headers(void **state)
{
    (void)state;
    static const char *const headers[][3] = {
        {"", "byte 10: found the end", "expected \"{\""},
        {"[]", "byte 10: found \"[\"", "expected \"{\""},
        {"{", "byte 11: found the end", "a key in quotes"},
        {"{,}", "byte 11: found \",\"", "a key in quotes"},
        {"{descr: 1}", "found \"d\"", "a key in quotes"},
        {"{'descr", "byte 17: found the end", "closing quote"},
        {"{'descr\": 3", "found the end", "closing quote"},
        {"{'descr\\': '<f4'}", "found \"\\\"", "closing quote"},
        {"{'descr' '<f4'}", "found \"'\"", "expected \":\""},
        {"{'descr': <f4}", "found \"<\"", "a dtype in quotes"},
        {"{'descr': None}", "found \"N\"", "a dtype in quotes"},
        {"{'descr': '<f4\\x00'}", "found \"\\\"", "a plain character"},
        {"{'descr': '<f4\x1b[31m'}", "found byte 0x1b", "a plain character"},
        {"{'descr': '<f4' 'shape': (3,)}", "found \"'\"", "\",\" or \"}\""},
        {"{'fortran_order': 0}", "found \"0\"", "True or False"},
        {"{'fortran_order': 'False'}", "found \"'\"", "True or False"},
        {"{'fortran_order': Fals", "found \"F\"", "True or False"},
        {"{'fortran_order': Falsey}", "found \"y\"", "\",\" or \"}\""},
        {"{'shape': 3}", "found \"3\"", "the \"(\" of a shape"},
        {"{'shape': (3)}", "found \")\"", "expected \",\""},
        {"{'shape': (2 3)}", "found \"3\"", "expected \",\""},
        {"{'shape': (2, 3 4)}", "found \"4\"", "\",\" or \")\""},
        {"{'shape': (2,,)}", "found \",\"", "length of an axis"},
        {"{'shape': (,)}", "found \",\"", "length of an axis"},
        {"{'shape': (-1,)}", "found \"-\"", "length of an axis"},
        {"{'shape': (3.0,)}", "found \".\"", "expected \",\""},
        {"{'shape': (3,", "found the end", "length of an axis"},
        {HEADER("'<f4'", "False", "(3,)") " x", "found \"x\"", "nothing but spaces"},
        {HEADER("'<f4'", "False", "(3,)") "}", "found \"}\"", "nothing but spaces"},
        {"{'descr': '<f4', 'descr': '<f4'}", "'descr' stands twice", "once"},
        {"{'colour': 3}", "unknown key 'colour'", "expected descr, fortran_order, shape"},
        {"{}", "no key 'descr'", "expected descr, fortran_order, shape"},
        {"{'shape': (3,), 'fortran_order': False}", "no key 'descr'", "expected"},
        {"{'descr': '<f4', 'shape': (3,)}", "no key 'fortran_order'", "expected"},
        {"{'descr': '<f4', 'fortran_order': False}", "no key 'shape'", "expected"},
    };
    for (size_t i = 0; i < LENGTH(headers); i++)
        refuses_header(headers[i][0], 12, headers[i][1], headers[i][2]);
}

static void a_nul_ends_nothing(void **state)
{
    (void)state;
    char file[] = "\x93NUMPY\1\0\x3b\0"
                  "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }  "
                  "twelve bytes";
    struct nb_npy a;
    put("nul.npy", file, sizeof file - 1);
    a = read_fine("nul.npy");
    nb_npy_free(&a);
    for (size_t i = 10; i < 10 + 0x3b; i++) {
        char spoilt[sizeof file];
        memcpy(spoilt, file, sizeof file);
        spoilt[i] = '\0';
        put("nul.npy", spoilt, sizeof file - 1);
        refuses_path(in_folder("nul.npy"), "malformed header", NULL);
    }
}

static void other_dtypes(void **state)
{
    (void)state;
    static const char *const dtypes[][2] = {
        {"'|b1'", "'|b1' (booleans)"},
        {"'|i1'", "'|i1' (integers)"},
        {"'<i8'", "'<i8' (integers)"},
        {"'>i8'", "'>i8' (integers)"},
        {"'<u4'", "(unsigned integers)"},
        {"'<f16'", "(floating point of another width)"},
        {"'<c8'", "(complex numbers)"},
        {"'|O'", "'|O' (Python objects)"},
        {"'|S5'", "(byte strings)"},
        {"'<U7'", "(text)"},
        {"'<M8[ns]'", "'<M8[ns]' (dates"},
        {"'<m8[us]'", "(time spans)"},
        {"'<V2'", "x.view(np.uint16)"},
        {"'f4'", "'f4'"},
        {"'float32'", "'float32'"},
        {"''", "dtype ''"},
        {"'<'", "dtype '<'"},
        {"'<f44'", "'<f44'"},
        {"'!f4'", "'!f4'"},
    };
    char header[256];
    for (size_t i = 0; i < LENGTH(dtypes); i++) {
        snprintf(header, sizeof header, HEADER("%s", "False", "(3,)"), dtypes[i][0]);
        refuses_header(header, 12, dtypes[i][1], "expected '<f2', '<f4', '<f8' or '<u2'");
    }
}

static void structured_and_big_endian(void **state)
{
    (void)state;
    refuses_header(HEADER("[('a', '<f4'), ('b', '<f4')]", "False", "(3,)"), 24,
                   "structured dtype", "expected an array of one plain number");
    refuses_header(HEADER("('<f4', (2,))", "False", "(3,)"), 24, "structured dtype",
                   "expected");
    refuses_header(HEADER("'>f4'", "False", "(3,)"), 12, "big-endian elements ('>f4')",
                   "expected little-endian: save x.astype('<f4')");
    refuses_header(HEADER("'>u2'", "False", "(3,)"), 6, "big-endian", "astype('<u2')");
}

static void shapes(void **state)
{
    (void)state;
    char many[256] = "(", header[512];
    refuses_header(HEADER("'<f4'", "False", "()"), 4, "a scalar",
                   "expected at least one axis");
    refuses_header(HEADER("'<f4'", "False", "(0,)"), 0,
                   "axis 0 of shape (0,) has length 0", "expected at least one element");
    refuses_header(HEADER("'<f4'", "False", "(4, 0)"), 0, "axis 1 of shape (4, 0)",
                   "expected");
    refuses_header(HEADER("'<f4'", "True", "(2, 3)"), 24, "Fortran order, shape (2, 3)",
                   "expected C order: save np.ascontiguousarray(x)");
    for (int i = 0; i < NB_NPY_RANK_MAX; i++)
        strcat(many, "1, ");
    snprintf(header, sizeof header, HEADER("'<f4'", "False", "%s)"), many);
    put_array("many.npy", 1, header, 4);
    struct nb_npy a = read_fine("many.npy");
    assert_int_equal(a.rank, NB_NPY_RANK_MAX);
    nb_npy_free(&a);
    snprintf(header, sizeof header, HEADER("'<f4'", "False", "%s1)"), many);
    refuses_header(header, 4, "more than 32 axes", "expected at most");
}

/* Claims far above what the file holds are answered from its size, without memory. */
static void claims(void **state)
{
    (void)state;
    refuses_header(HEADER("'<f8'", "False", "(1000000000000000,)"), 20,
                   "found 20 bytes of data",
                   "expected 8000000000000000 for shape (1000000000000000,) of '<f8'");
    refuses_header(HEADER("'<f4'", "False", "(2, 3)"), 23,
                   "data cut short: found 23 bytes",
                   "expected 24 for shape (2, 3) of '<f4'");
    refuses_header(HEADER("'<f4'", "False", "(2, 3)"), 25,
                   "bytes trail the data: found 25 bytes",
                   "expected 24 for shape (2, 3) of '<f4'");
    refuses_header(HEADER("'<f4'", "False", "(2, 3)"), 0, "found 0 bytes", "expected 24");
    /* products that come out as 0 or 8 when they wrap around */
    refuses_header(HEADER("'<f4'", "False", "(4294967296, 4294967296)"), 0, "overflows",
                   "expected");
    refuses_header(HEADER("'<f8'", "False", "(2305843009213693953,)"), 8, "overflows",
                   "expected");
    refuses_header(HEADER("'<f2'", "False", "(18446744073709551615,)"), 2, "overflows",
                   "expected");
    refuses_header(HEADER("'<f2'", "False", "(18446744073709551616,)"), 2,
                   "axis of more than 18446744073709551615", "expected");
    refuses_header(HEADER("'<f2'", "False", "(99999999999999999999,)"), 2,
                   "axis of more than 18446744073709551615", "expected");
}

/* The longest shape leaves room in the message for what was expected. */
static void long_shapes_fit_the_message(void **state)
{
    (void)state;
    char shape[NB_NPY_RANK_MAX * 22 + 8] = "(", header[1024];
    for (int i = 0; i < NB_NPY_RANK_MAX; i++)
        strcat(shape, "10000000000000000000, ");
    strcat(shape, ")");
    snprintf(header, sizeof header, HEADER("'<f4'", "False", "%s"), shape);
    refuses_header(header, 8, "overflows: the file holds 8 bytes", "expected more than");
}

/* ---- what is refused: files that are none ---- */

static void no_plain_files(void **state)
{
    (void)state;
    refuses_path(in_folder("nonesuch.npy"), "cannot read", "No such file", NULL);
    refuses_path(folder, "a folder", "expected a regular file", NULL);
    refuses_path("/dev/zero", "a device", "expected a regular file", NULL);
    assert_int_equal(mkfifo(in_folder("fifo.npy"), 0666), 0);
    refuses_path(in_folder("fifo.npy"), "a pipe", "expected a regular file", NULL);

    struct sockaddr_un where = {.sun_family = AF_UNIX};
    const char *path = in_folder("socket.npy");
    memcpy(where.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof where), 0);
    refuses_path(in_folder("socket.npy"), "cannot read", NULL);
    close(fd);
}

/* Runs a check in a child; a child, because it may give up rights or take limits. */
static void in_child(bool (*check)(void))
{
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(check() ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool refused_without_rights(void)
{
    struct nb_npy a;
    struct nb_err err = {""};
    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0))
        return false;
    return nb_npy_read(&a, in_folder("secret.npy"), &err) == NB_ERROR &&
           strstr(err.text, "secret.npy: Permission denied") != NULL;
}

static void unreadable_files(void **state)
{
    (void)state;
    put_array("secret.npy", 1, HEADER("'<f4'", "False", "(3,)"), 12);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(in_folder("secret.npy"), 0), 0);
    in_child(refused_without_rights);
}

/* ---- writing that fails ---- */

static float three[] = {1, 2, 3};
static const struct nb_npy THREE = {
    .kind = NB_NPY_F4, .rank = 1, .shape = {3}, .data = three};

static int parts;

static int count_part(const char *path, const struct stat *st, int type,
                      struct FTW *where)
{
    (void)st, (void)type, (void)where;
    parts += strstr(path, ".part") != NULL;
    return 0;
}

static void no_parts_left(void)
{
    parts = 0;
    assert_int_equal(nftw(folder, count_part, 8, FTW_PHYS), 0);
    assert_int_equal(parts, 0);
}

static void write_refused(const char *path, const char *why)
{
    struct nb_err err = {""};
    assert_int_equal(nb_npy_write(&THREE, path, &err), NB_ERROR);
    if (strstr(err.text, path) == NULL || strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\" of %s", err.text, why, path);
}

static void writes_that_fail(void **state)
{
    (void)state;
    struct stat st;
    write_refused("/dev/full", "No space left");
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    write_refused(in_folder("nonesuch/x.npy"), "No such file");
    write_refused(folder, "a folder; expected a file");
    assert_true(mkfifo(in_folder("unread"), 0666) == 0);
    write_refused(in_folder("unread"), "No such device"); /* nobody reads: no wait */
    no_parts_left();
}

/* The disk "is full" behind 130 bytes: the header fits, the data does not. */
static bool old_file_survives(void)
{
    struct nb_err err = {""};
    const struct rlimit few = {130, 130};
    char before[200], after[200];
    const size_t n = get("kept.npy", before, sizeof before);
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &few) != 0)
        return false;
    return nb_npy_write(&THREE, in_folder("kept.npy"), &err) == NB_ERROR &&
           strstr(err.text, "kept.npy: File too large") != NULL &&
           get("kept.npy", after, sizeof after) == n && memcmp(before, after, n) == 0;
}

static void half_files_are_not_left(void **state)
{
    (void)state;
    put("kept.npy", "precious", 8);
    in_child(old_file_survives);
    no_parts_left();
    write_fine(&THREE, "kept.npy");
    struct nb_npy a = read_fine("kept.npy");
    assert_int_equal(a.count, 3);
    nb_npy_free(&a);
    no_parts_left();
}

static void links_and_pipes_stay(void **state)
{
    (void)state;
    struct stat st;
    char bytes[200];
    int ends[2];
    put("target.npy", "old", 3);
    assert_int_equal(symlink("target.npy", in_folder("link.npy")), 0);
    write_fine(&THREE, "link.npy");
    assert_int_equal(lstat(in_folder("link.npy"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(get("target.npy", bytes, sizeof bytes), 140);

    assert_int_equal(pipe(ends), 0);
    snprintf(bytes, sizeof bytes, "/proc/self/fd/%d", ends[1]);
    struct nb_err err;
    assert_int_equal(nb_npy_write(&THREE, bytes, &err), NB_OK);
    assert_int_equal(read(ends[0], bytes, sizeof bytes), 140);
    assert_memory_equal(bytes + 128, three, sizeof three);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_numpy),
        cmocka_unit_test(room_to_grow_is_that_of_numpy),
        cmocka_unit_test(padding_is_never_empty),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(kinds_have_names_and_bytes),
        cmocka_unit_test(spellings),
        cmocka_unit_test(one_axis_has_no_order),
        cmocka_unit_test(not_a_npy),
        cmocka_unit_test(unknown_versions),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(large_headers),
        cmocka_unit_test(malformed_headers),
        cmocka_unit_test(a_nul_ends_nothing),
        cmocka_unit_test(other_dtypes),
        cmocka_unit_test(structured_and_big_endian),
        cmocka_unit_test(shapes),
        cmocka_unit_test(claims),
        cmocka_unit_test(long_shapes_fit_the_message),
        cmocka_unit_test(no_plain_files),
        cmocka_unit_test(unreadable_files),
        cmocka_unit_test(writes_that_fail),
        cmocka_unit_test(half_files_are_not_left),
        cmocka_unit_test(links_and_pipes_stay),
    };
    return cmocka_run_group_tests(tests, make_folder, delete_folder);
}
