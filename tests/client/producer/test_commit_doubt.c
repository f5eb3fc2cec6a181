/* SPDX-License-Identifier: MPL-2.0
 *
 * Commits of the library with a broker that loses answers, tells them late, and refuses: what was
 * sent once is never sent as another one, and it is told when it may have come through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zspool.h>

#include "common/err.h"
#include "tests/support/clock_ahead.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS   30000 /* for what takes milliseconds */
#define MOMENT_MS 50    /* for what is not answered */

/* What becomes of a COMMIT. */
enum fate { DONE, DROPPED, UNANSWERED, FULL, FULL_AND_OVER, FORGOTTEN, FENCED, GAP, LATE };

struct fixture {
    const enum fate *fates; /* of the COMMITs, in turn; the last one for all that come */
    atomic_uint opens, commits, seq_sum;
    struct fake_request first; /* the first COMMIT: its id */
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_commit_t *commit;
};

static void answer_commit(struct fake_broker *broker, const struct fake_request *request,
                          struct fixture *f, enum fate fate)
{
    switch (fate) {
    case DONE:
        fake_reply(broker, request, "{'at': [], 'applied': 0, 'duplicate': false}");
        break;
    case DROPPED:
        fake_drop(broker);
        break;
    case UNANSWERED:
        break;
    case FULL_AND_OVER: /* the caller waits until it is answered, and then its time is over */
        clock_ahead(WAIT_MS / 1000);
        fake_refuse(broker, request, ZSP_ETOPIC_FULL, false, "topic t");
        break;
    case FULL:
        fake_refuse(broker, request, ZSP_ETOPIC_FULL, false, "topic t");
        break;
    case FORGOTTEN:
        fake_refuse(broker, request, ZSP_ENOT_FOUND, false, "producer p");
        break;
    case FENCED:
        fake_refuse(broker, request, ZSP_EFENCED_PRODUCER, false, "producer p");
        break;
    case GAP:
        fake_refuse(broker, request, ZSP_ESEQUENCE_GAP, false, "producer p");
        break;
    case LATE: /* the first one's answer comes before this one's */
        fake_refuse(broker, &f->first, ZSP_ENOT_LEASED, false, "t/0/0");
        fake_reply(broker, request, "{'at': [], 'applied': 0, 'duplicate': true}");
        break;
    }
}

static void handle(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct fixture *const f = arg;
    if (fake_is(request, "PRODUCER.OPEN")) {
        atomic_fetch_add(&f->opens, 1);
        fake_reply(broker, request, "{'epoch': 1, 'commit': 0, 'last': [], 'more': false}");
        return;
    }
    if (!fake_is(request, "COMMIT")) {
        return;
    }
    if (atomic_fetch_add(&f->commits, 1) == 0) {
        f->first = *request;
    }
    atomic_fetch_add(&f->seq_sum, (unsigned)fake_uint(request, "seq", 0));
    answer_commit(broker, request, f, f->fates[0]);
    if (f->fates[1] != (enum fate) - 1) {
        f->fates++;
    }
}

#define FATES(...) ((const enum fate[]){__VA_ARGS__, (enum fate) - 1})

static void add(struct fixture *f)
{
    const zspool_out_t out = zspool_out("t", "x", 1);
    assert_int_equal(zspool_commit_send(f->commit, &out, NULL), 0);
}

static void set_up(struct fixture *f, const enum fate *fates)
{
    zspool_options_t patient;
    zspool_commit_options_t options;
    zspool_options_init(&patient);
    patient.answer_ms = 10 * WAIT_MS; /* more than the clock is ever set ahead */
    zspool_commit_options_init(&options);
    options.name = "p";
    memset(f, 0, sizeof *f);
    f->fates = fates;
    f->broker = fake_broker_start(handle, f);
    f->client = zspool_new(fake_broker_endpoint(f->broker), &patient, NULL);
    f->commit = zspool_commit_new(f->client, NULL, &options, NULL);
    assert_non_null(f->commit);
    assert_int_equal(zspool_connect(f->client, WAIT_MS, NULL, NULL), 0);
    add(f);
}

static void tear_down(struct fixture *f)
{
    zspool_commit_destroy(&f->commit);
    zspool_destroy(&f->client);
    fake_broker_stop(&f->broker);
    clock_true();
}

/* Run it; what it returns, and `ret_maybe`. */
static int run(struct fixture *f, int timeout_ms, bool *ret_maybe)
{
    zspool_error_t err = {0};
    const int rc = zspool_commit_run(f->commit, timeout_ms, NULL, &err);
    *ret_maybe = err.maybe;
    return rc;
}

/* Run it until it was sent, and is not answered. */
static void run_in_vain(struct fixture *f)
{
    for (bool maybe = false; !maybe;) {
        assert_int_equal(run(f, MOMENT_MS, &maybe), ZSPOOL_ETIMEOUT);
    }
}

/* Goal: its answer was lost with the connection, and the next one has nothing to say of it: the
 * same commit is not given to a name that is opened anew. */
static void refused_after_a_lost_answer_it_may_have_come_through(void **state)
{
    (void)state;
    static const struct {
        enum fate fate;
        int code;
    } cases[] = {{FORGOTTEN, ZSPOOL_ENOT_FOUND},
                 {FENCED, ZSPOOL_EFENCED_PRODUCER},
                 {GAP, ZSPOOL_ESEQUENCE_GAP}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        bool maybe = false;
        set_up(&f, FATES(DROPPED, cases[i].fate));
        assert_int_equal(run(&f, WAIT_MS, &maybe), cases[i].code);
        assert_true(maybe);
        assert_int_equal(atomic_load(&f.opens), 1);
        assert_int_equal(atomic_load(&f.commits), 2);
        tear_down(&f);
    }
}

static void a_name_that_was_forgotten_before_is_opened_anew(void **state)
{
    (void)state;
    struct fixture f;
    bool maybe = false;
    set_up(&f, FATES(FORGOTTEN, DONE));
    assert_int_equal(run(&f, WAIT_MS, &maybe), 0);
    assert_int_equal(atomic_load(&f.opens), 2);
    assert_int_equal(atomic_load(&f.commits), 2);
    tear_down(&f);
}

/* Goal: what is answered to a call that is over is not taken for the answer of the next one. */
static void a_late_answer_is_not_taken_for_another(void **state)
{
    (void)state;
    struct fixture f;
    bool maybe = false;
    set_up(&f, FATES(UNANSWERED, LATE, DONE));
    run_in_vain(&f);
    assert_int_equal(run(&f, WAIT_MS, &maybe), 0);
    add(&f);
    assert_int_equal(run(&f, WAIT_MS, &maybe), 0);
    assert_int_equal(atomic_load(&f.seq_sum), 1 + 1 + 2);
    tear_down(&f);
}

static void a_refusal_that_passes_is_waited_out(void **state)
{
    (void)state;
    struct fixture f;
    bool maybe = false;
    set_up(&f, FATES(FULL, FULL, DONE));
    assert_int_equal(run(&f, WAIT_MS, &maybe), 0);
    assert_int_equal(atomic_load(&f.commits), 3);
    assert_int_equal(atomic_load(&f.seq_sum), 3);
    tear_down(&f);
}

/* Goal: whoever runs it in a loop asks a few times a second, not as often as it can. */
static void a_refusal_that_does_not_pass_is_told_when_the_time_is_over(void **state)
{
    (void)state;
    struct fixture f;
    bool maybe = false;
    set_up(&f, FATES(FULL_AND_OVER));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(run(&f, WAIT_MS, &maybe), ZSPOOL_ETOPIC_FULL);
        assert_false(maybe);
    }
    assert_int_equal(atomic_load(&f.commits), 5);
    tear_down(&f);
}

/* Goal: nothing of it can be there, so it may be changed, and forgotten. */
static void what_was_refused_is_free_again(void **state)
{
    (void)state;
    struct fixture f;
    bool maybe = false;
    set_up(&f, FATES(FULL_AND_OVER, DONE));
    assert_int_equal(run(&f, WAIT_MS, &maybe), ZSPOOL_ETOPIC_FULL);
    add(&f);
    zspool_commit_clear(f.commit);
    assert_int_equal(run(&f, WAIT_MS, &maybe), ZSPOOL_EINVAL); /* empty */
    tear_down(&f);
}

static void what_may_be_there_stays_whatever_the_next_refusal(void **state)
{
    (void)state;
    struct fixture f;
    bool maybe = false;
    const zspool_out_t out = zspool_out("t", "x", 1);
    set_up(&f, FATES(UNANSWERED, FULL_AND_OVER));
    run_in_vain(&f);
    assert_int_equal(run(&f, WAIT_MS, &maybe), ZSPOOL_ETOPIC_FULL);
    assert_true(maybe);
    assert_int_equal(zspool_commit_send(f.commit, &out, NULL), ZSPOOL_EINVAL);
    zspool_commit_clear(f.commit);
    assert_int_equal(run(&f, WAIT_MS, &maybe), ZSPOOL_ETOPIC_FULL);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_after_a_lost_answer_it_may_have_come_through),
        cmocka_unit_test(a_name_that_was_forgotten_before_is_opened_anew),
        cmocka_unit_test(a_late_answer_is_not_taken_for_another),
        cmocka_unit_test(a_refusal_that_passes_is_waited_out),
        cmocka_unit_test(a_refusal_that_does_not_pass_is_told_when_the_time_is_over),
        cmocka_unit_test(what_was_refused_is_free_again),
        cmocka_unit_test(what_may_be_there_stays_whatever_the_next_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
