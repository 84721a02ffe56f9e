/* counters_test: certificates. Counters that lie, by struct nb_counter; PAPI's software-defined events, which
 * count exactly on any machine; and the known loops themselves, by single steps and by what the kernel says. */
#define _GNU_SOURCE

#include "counters.h"
#include "known_loops.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if NB_HAVE_SDE
#include <sde_lib.h>
#endif

/* ---- doubles ---- */

/* Of a made-up loop: what it did, in events, and how often a bracket was opened. */
static double done;
static bool prepared;

static double work(struct nb_lab *lab, size_t n)
{
    (void)lab;
    done += (double)n;
    return (double)n;
}

static double half_work(struct nb_lab *lab, size_t n)
{
    return work(lab, n) / 2;
}

static void other_work(struct nb_lab *lab, size_t n)
{
    (void)lab, (void)n;
}

static double no_work(struct nb_lab *lab, size_t n)
{
    (void)lab, (void)n;
    return 0;
}

static bool prepare(struct nb_lab *lab)
{
    (void)lab;
    prepared = true;
    return true;
}

static bool cannot_prepare(struct nb_lab *lab)
{
    (void)lab;
    return false;
}

/* What a double makes of the work of its bracket: factor * work + constant, no more than most unless that is 0.
 * control counts too where it is told to. Errors: 0, or what a callback answers. */
struct liar {
    double factor, constant, control, most;
    int open_error, start_error, stop_error, read_error;
    double from, counted;
    unsigned opened, closed, brackets;
};
static struct liar *in_control; /* counts in other_work, too */

static void counted_control(struct nb_lab *lab, size_t n)
{
    other_work(lab, n);
    in_control->counted += in_control->control * (double)n;
}

static int liar_open(void *self)
{
    struct liar *l = self;
    l->opened++;
    return l->open_error;
}

static int liar_start(void *self)
{
    struct liar *l = self;
    l->from = done;
    l->counted = 0;
    l->brackets++;
    return l->start_error;
}

static int liar_stop(void *self)
{
    struct liar *l = self;
    l->counted += l->factor * (done - l->from) + l->constant;
    if (l->most > 0 && l->counted > l->most)
        l->counted = l->most;
    return l->stop_error;
}

static int liar_read(void *self, double *count)
{
    *count = ((struct liar *)self)->counted;
    return ((struct liar *)self)->read_error;
}

static void liar_close(void *self)
{
    ((struct liar *)self)->closed++;
}

static struct nb_certificate certify(struct liar *l, const struct nb_proof *proof, bool bands)
{
    const struct nb_counter c = {liar_open, liar_start, liar_stop, liar_read, liar_close, l};
    in_control = l;
    const struct nb_certificate made = nb_certify(proof, &c, NULL, bands);
    assert_int_equal(l->opened, 1);
    assert_int_equal(l->closed, 1);
    return made;
}

static const struct nb_proof made_up = {.loop = "made-up work", .n = 1000, .lo = 0.9, .hi = 1.3, .run = work,
                                        .control = counted_control, .control_loop = "other work"};

static void honest_counters_are_certified(void **state)
{
    (void)state;
    struct liar exact = {.factor = 1}, dear = {.factor = 1, .constant = 5000}, edge = {.factor = 1.29};
    struct nb_certificate c = certify(&exact, &made_up, true);
    assert_int_equal(c.verdict, NB_CERT_CERTIFIED);
    assert_true(nb_certificate_holds(&c));
    assert_true(c.expected == 1000 && c.seen == 1000 && c.lo == 0.9 && c.hi == 1.3 && c.control == 0);
    assert_string_equal(c.loop, "made-up work");
    assert_int_equal(exact.brackets, 4 * NB_PROOF_REPEATS);
    c = certify(&dear, &made_up, true); /* the empty bracket's own cost is no part of it */
    assert_int_equal(c.verdict, NB_CERT_CERTIFIED);
    assert_true(c.seen == 1000);
    assert_int_equal(certify(&edge, &made_up, true).verdict, NB_CERT_CERTIFIED);
}

static void counters_that_lie_lose_their_certificate(void **state)
{
    (void)state;
    static const struct {
        struct liar liar;
        enum nb_certificate_verdict verdict;
        double seen;
        const char *says;
    } lies[] = {
        {{.factor = 10}, NB_CERT_OUTSIDE, 10000, "counted 10000 over made-up work that make 1000"},
        {{.factor = 1.31}, NB_CERT_OUTSIDE, 1310, "band is 0.90 to 1.30"},
        {{.factor = 0.89}, NB_CERT_OUTSIDE, 890, "counted 890"},
        {{.factor = 0}, NB_CERT_ZERO, 0, "starts and reads 0"},
        {{.factor = -1}, NB_CERT_NEGATIVE, -1000, "counted -1000"},
        {{.factor = 1, .constant = -1}, NB_CERT_NEGATIVE, -1, "less than nothing"},
        {{.constant = 1000}, NB_CERT_CONSTANT, 0, "as much over a quarter"},
        {{.constant = 1}, NB_CERT_CONSTANT, 0, "as much over a quarter"},
        {{.factor = 1, .most = 260}, NB_CERT_CONSTANT, 260, "counted 260 over made-up work that make 1000 and as"},
        {{.factor = 1, .most = 400}, NB_CERT_OUTSIDE, 400, "counted 400"},
        {{.factor = 1, .control = 1}, NB_CERT_UNSPECIFIC, 1000, "counted 1000 over other work"},
        {{.factor = 1, .control = 0.11}, NB_CERT_UNSPECIFIC, 1000, "counted 110 over other work"},
        {{.factor = 1, .open_error = -7}, NB_CERT_REFUSED, NAN, ""},
        {{.factor = 1, .start_error = -7}, NB_CERT_REFUSED, NAN, ""},
        {{.factor = 1, .stop_error = -7}, NB_CERT_REFUSED, NAN, ""},
        {{.factor = 1, .read_error = -7}, NB_CERT_REFUSED, NAN, ""},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct liar l = lies[i].liar;
        char text[256];
        const struct nb_certificate c = certify(&l, &made_up, true);
        if (c.verdict != lies[i].verdict)
            fail_msg("lie %zu is %s", i, nb_certificate_word(c.verdict));
        assert_false(nb_certificate_holds(&c));
        nb_certificate_text(&c, text, sizeof text);
        if (c.verdict == NB_CERT_REFUSED) {
            assert_int_equal(c.error, -7);
            continue;
        }
        assert_true(c.seen == lies[i].seen);
        if (strstr(text, lies[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", text, lies[i].says);
    }
}

/* One that counts right at first and too much in the end, or that saturates. */
static double double_from_small(struct nb_lab *lab, size_t n)
{
    (void)lab;
    done += n < made_up.n ? 2 * (double)n : (double)n;
    return (double)n;
}

static void both_sizes_must_be_inside(void **state)
{
    (void)state;
    struct nb_proof p = made_up;
    struct liar l = {.factor = 1};
    p.run = double_from_small;
    const struct nb_certificate c = certify(&l, &p, true);
    assert_int_equal(c.verdict, NB_CERT_OUTSIDE);
    assert_true(c.seen == 500 && c.expected == 250);
}

static void what_cannot_run_proves_nothing(void **state)
{
    (void)state;
    struct nb_proof p = made_up;
    struct liar a = {.factor = 1}, b = a, c = a;
    p.run = no_work;
    assert_int_equal(certify(&a, &p, true).verdict, NB_CERT_NO_LOOP);
    p = made_up;
    p.prepare = cannot_prepare;
    assert_int_equal(certify(&b, &p, true).verdict, NB_CERT_NO_LOOP);
    p.prepare = prepare;
    assert_int_equal(certify(&c, &p, true).verdict, NB_CERT_CERTIFIED);
    assert_true(prepared);
}

/* For tests alone, and never certified: but what reads 0 or less is no stand-in either. */
static void without_bands_nothing_is_certified(void **state)
{
    (void)state;
    const double factors[] = {1, 10, 0.01, 0, -1};
    for (size_t i = 0; i < 5; i++) {
        struct liar l = {.factor = factors[i]};
        assert_int_equal(certify(&l, &made_up, false).verdict,
                         factors[i] > 0    ? NB_CERT_UNCERTIFIED
                         : factors[i] == 0 ? NB_CERT_ZERO
                                           : NB_CERT_NEGATIVE);
    }
}

/* The bands of the program, each with its loop made up: right counts pass, and so does nobody else. */
static void each_band_tells_lies_from_counts(void **state)
{
    (void)state;
    const double wrong[] = {0, 0.1, 0.5, 10, -1};
    for (int e = 0; e < NB_EV_COUNT; e++) {
        struct nb_proof p = *nb_proof_of((enum nb_event)e);
        assert_non_null(p.loop);
        assert_true(p.lo >= 0.7 && p.lo <= 1 && p.hi >= 1 && p.hi <= 4 && p.n >= 2 * NB_PROOF_SHRINK);
        assert_int_equal(p.control != NULL, p.control_loop != NULL);
        p.prepare = NULL;
        p.run = e % 2 ? half_work : work;
        if (p.control != NULL)
            p.control = counted_control;
        const double right = e % 2 ? 0.5 : 1;
        struct liar honest = {.factor = right}, constant = {.constant = right * (double)p.n};
        assert_int_equal(certify(&honest, &p, true).verdict, NB_CERT_CERTIFIED);
        assert_int_equal(certify(&constant, &p, true).verdict, NB_CERT_CONSTANT);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            struct liar l = {.factor = wrong[i] * right};
            const struct nb_certificate c = certify(&l, &p, true);
            assert_false(nb_certificate_holds(&c));
        }
    }
}

/* ---- software-defined events of PAPI ---- */

#if NB_HAVE_SDE
static long long made;

static double sde_work(struct nb_lab *lab, size_t n)
{
    (void)lab;
    made += (long long)n;
    return (double)n;
}

static double sde_double_work(struct nb_lab *lab, size_t n)
{
    return 2 * sde_work(lab, n);
}
#endif

/* PAPI's own path from name to count, on any machine: exact, and refused where the loop is another. */
static void software_defined_events_count_exactly(void **state)
{
    (void)state;
#if NB_HAVE_SDE
    papi_handle_t library = papi_sde_init("nbtest");
    assert_non_null(library);
    papi_sde_register_counter(library, "MADE", PAPI_SDE_RO | PAPI_SDE_DELTA, PAPI_SDE_long_long, &made);
    nb_counters_init();
    struct nb_proof p = {.loop = "counted work", .n = 123456, .lo = 1, .hi = 1, .run = sde_work};
    struct nb_certificate c = nb_counters_certify("sde:::nbtest::MADE", &p, NULL);
    if (c.verdict == NB_CERT_REFUSED) {
        print_message("skipped: this PAPI has no software-defined events (error %d)\n", c.error);
        skip();
    }
    assert_int_equal(c.verdict, NB_CERT_CERTIFIED);
    assert_true(c.seen == 123456 && c.expected == 123456);
    assert_true(made == NB_PROOF_REPEATS * (123456 + 123456 / NB_PROOF_SHRINK));
    p.run = sde_double_work;
    c = nb_counters_certify("sde:::nbtest::MADE", &p, NULL);
    assert_int_equal(c.verdict, NB_CERT_OUTSIDE);
    assert_true(c.seen == 123456 && c.expected == 2 * 123456);
    c = nb_counters_certify("sde:::nbtest::NONE", &p, NULL);
    assert_false(nb_certificate_holds(&c));
#else
    print_message("skipped: built without PAPI's libsde\n");
    skip();
#endif
}

/* ---- the known loops ---- */

#if defined(__x86_64__) || defined(__aarch64__)
/* Instructions between two signals that a child sends itself around the loop; 0: may not be traced. */
static double steps(const struct nb_proof *p, size_t n)
{
    int status;
    double count = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct nb_lab lab = {0};
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        raise(SIGSTOP);
        p->run(&lab, n);
        raise(SIGSTOP);
        _exit(0);
    }
    bool alive = waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
    while (alive && ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0 && waitpid(child, &status, 0) == child &&
           WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
        count++;
    const bool whole = alive && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return whole ? count : 0;
}

/* What a loop of a larger size has more, step by step: all that is not of its size cancels. */
static void instructions_are_counted_by_hand(void **state)
{
    (void)state;
    const struct nb_proof *p = nb_proof_of(NB_EV_INSTRUCTIONS);
    const double few = steps(p, 640), many = steps(p, 6400);
    if (few == 0) {
        print_message("skipped: a child may not be traced here\n");
        skip();
    }
    const double expected = p->run(NULL, 6400) - p->run(NULL, 640);
    if (many - few != expected)
        fail_msg("%.0f single steps, %.0f instructions expected", many - few, expected);
    const struct nb_proof *loads = nb_proof_of(NB_EV_LOADS); /* a load a step, but for each turn's two */
    assert_true(steps(loads, 6400) - steps(loads, 640) == (loads->run(NULL, 6400) - loads->run(NULL, 640)) * 66 / 64);
}
#else
static void instructions_are_counted_by_hand(void **state)
{
    (void)state;
    print_message("skipped: on this machine the compiler chooses the instructions\n");
    skip();
}
#endif

static double faults(const struct rusage *u)
{
    return (double)(u->ru_minflt + u->ru_majflt);
}

static void the_kernel_agrees_with_its_loops(void **state)
{
    (void)state;
    struct rusage before, after;
    const struct nb_proof *p = nb_proof_of(NB_EV_PAGE_FAULTS);
    getrusage(RUSAGE_THREAD, &before);
    double expected = p->run(NULL, p->n);
    getrusage(RUSAGE_THREAD, &after);
    assert_true(faults(&after) - faults(&before) >= expected && faults(&after) - faults(&before) <= expected + 16);
    p = nb_proof_of(NB_EV_CONTEXT_SWITCHES);
    getrusage(RUSAGE_THREAD, &before);
    expected = p->run(NULL, p->n);
    getrusage(RUSAGE_THREAD, &after);
    const double given_up = (double)(after.ru_nvcsw - before.ru_nvcsw);
    const double taken = (double)(after.ru_nivcsw - before.ru_nivcsw); /* also on the way into a sleep */
    assert_true(given_up <= expected && given_up + taken >= p->lo * expected);
}

/* Pages of the cold loop come one by one, each once, also after the flush. */
static void cold_loop_visits_each_page_once(void **state)
{
    (void)state;
    struct nb_lab lab = {0};
    const struct nb_proof *p = nb_proof_of(NB_EV_LLC_MISSES);
    if (!p->prepare(&lab)) {
        print_message("skipped: no instruction here takes a line out of the caches\n");
        skip();
    }
    assert_true(p->n <= lab.pages);
    const double read = p->run(&lab, 2 * lab.pages);
    assert_true(read == (double)lab.pages);
    assert_true(p->run(&lab, p->n / NB_PROOF_SHRINK) == (double)(p->n / NB_PROOF_SHRINK));
    nb_lab_free(&lab);
    assert_null((const void *)lab.cold);
}

/* ---- the environment ---- */

static void unknown_words_are_errors(void **state)
{
    (void)state;
    struct nb_err err = {""};
    unsetenv("NB_COUNTERS_BANDS");
    assert_int_equal(nb_counters_environment(&err), NB_OK);
    assert_int_equal(nb_counters_bands(), 1);
    setenv("NB_COUNTERS_BANDS", "wide", 1);
    assert_int_equal(nb_counters_environment(&err), NB_ERROR);
    assert_non_null(strstr(err.text, "unknown word \"wide\"; known: off"));
    assert_int_equal(nb_counters_bands(), 1); /* who does not ask is safe */
    setenv("NB_COUNTERS_BANDS", "off", 1);
    assert_int_equal(nb_counters_environment(&err), NB_OK);
    assert_int_equal(nb_counters_bands(), 0);
    unsetenv("NB_COUNTERS_BANDS");
}

int main(void)
{
    unsetenv("NB_COUNTERS_BANDS");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_counters_are_certified),
        cmocka_unit_test(counters_that_lie_lose_their_certificate),
        cmocka_unit_test(both_sizes_must_be_inside),
        cmocka_unit_test(what_cannot_run_proves_nothing),
        cmocka_unit_test(without_bands_nothing_is_certified),
        cmocka_unit_test(each_band_tells_lies_from_counts),
        cmocka_unit_test(software_defined_events_count_exactly),
        cmocka_unit_test(instructions_are_counted_by_hand),
        cmocka_unit_test(the_kernel_agrees_with_its_loops),
        cmocka_unit_test(cold_loop_visits_each_page_once),
        cmocka_unit_test(unknown_words_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
