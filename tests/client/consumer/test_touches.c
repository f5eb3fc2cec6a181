/* SPDX-License-Identifier: MPL-2.0
 *
 * Marks and extensions name one message for a lease. When that one is settled meanwhile, by a commit, or
 * comes back behind another one, the answer "lost" is about it and not about its lease.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <zspool.h>

#include "common/assert.h"
#include "common/record.h"
#include "common/wire.h"
#include "tests/support/clock_ahead.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS 30000
#define HALF_S  16 /* more than half of a lease */

struct fixture {
    const char *reply; /* to the first PULL */
    const char *keys;  /* of its messages, a letter each */
    bool
        holds_touch; /* the first SETTLE that touches is answered with the COMMIT, else that with it */

    atomic_uint pulls, touches;
    atomic_uint gone;  /* bits: the lease does not hold these messages of partition 0 any more */
    atomic_uint named; /* bits: touched since */
    struct fake_request pull, commit, touch;
    bool has_pull, has_commit, has_touch;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_consumer_t *consumer;
    zspool_commit_t *commits;
};

static void hand_out(struct fixture *f, struct fake_broker *broker,
                     const struct fake_request *request)
{
    struct zsp_writer body = {0};
    for (size_t i = 0; f->keys[i]; i++) {
        const struct zsp_record record = {.payload = zsp_slice_str("x"),
                                          .key = {(const uint8_t *)&f->keys[i], 1}};
        zsp_record_write(&body, &record);
    }
    fake_reply_body(broker, request, f->reply, zsp_writer_slice(&body), 0);
    zsp_writer_fini(&body);
}

/* Any answer has the client look at what is due. */
static void nudge(struct fixture *f, struct fake_broker *broker)
{
    if (f->has_pull) {
        fake_reply(broker, &f->pull, "{'runs': [], 'lease_ms': 0, 'reason': 'timeout'}");
        f->has_pull = false;
    }
}

static void pull(struct fixture *f, struct fake_broker *broker, const struct fake_request *request)
{
    if (atomic_fetch_add(&f->pulls, 1) == 0) {
        hand_out(f, broker, request);
        return;
    }
    f->pull = *request;
    f->has_pull = !f->has_commit || atomic_load(&f->pulls) <= 3;
    if (f->has_commit) {
        nudge(f, broker);
    }
}

static void end_commit(struct fixture *f, struct fake_broker *broker)
{
    if (f->has_commit) {
        fake_reply(broker, &f->commit, "{'at': [], 'applied': 1, 'duplicate': false}");
        f->has_commit = false;
    }
}

static void answer_touch(struct fixture *f, struct fake_broker *broker,
                         const struct fake_request *request, uint64_t first)
{
    const bool is_lost = (atomic_load(&f->gone) >> first & 1u) != 0;
    static const char *const rows[] = {"{'applied': 0, 'not_applied': [['t', 0, 0, 1, 'lost']]}",
                                       "{'applied': 0, 'not_applied': [['t', 0, 1, 1, 'lost']]}",
                                       "{'applied': 0, 'not_applied': [['t', 0, 2, 1, 'lost']]}"};
    zsp_assert(!is_lost || first < sizeof rows / sizeof rows[0]);
    fake_reply(broker, request, is_lost ? rows[first] : "{'applied': 1, 'not_applied': []}");
}

/* The last message named that is gone, or the first one named. */
static uint64_t named_in(struct fixture *f, const msgpack_object *runs, bool *ret_touches)
{
    uint64_t about = UINT64_MAX;
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_srun run;
        assert_int_equal(wire_srun_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        *ret_touches = run.outcome == WIRE_EXTEND || run.outcome == WIRE_STARTED;
        for (uint64_t n = run.first; *ret_touches && n < run.first + run.count; n++) {
            atomic_fetch_or(&f->named, 1u << n);
            if (about == UINT64_MAX || (atomic_load(&f->gone) >> n & 1u) != 0) {
                about = n;
            }
        }
    }
    return about;
}

static void settle(struct fixture *f, struct fake_broker *broker,
                   const struct fake_request *request)
{
    const msgpack_object *runs = wire_map_find(request->args, "runs");
    bool touches = false;
    assert_non_null(runs);
    const uint64_t about = named_in(f, runs, &touches);
    if (!touches) {
        fake_reply(broker, request, "{'applied': 1, 'not_applied': []}");
        return;
    }
    if (atomic_fetch_add(&f->touches, 1) == 0 && f->holds_touch) {
        f->touch = *request;
        f->has_touch = true;
        return;
    }
    answer_touch(f, broker, request, about);
    end_commit(f, broker);
}

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct fixture *const f = arg;
    if (fake_is(request, "PULL")) {
        pull(f, broker, request);
    } else if (fake_is(request, "SETTLE")) {
        settle(f, broker, request);
    } else if (fake_is(request, "PRODUCER.OPEN")) {
        fake_reply(broker, request, "{'epoch': 1, 'commit': 0, 'last': [], 'more': false}");
    } else if (fake_is(request, "COMMIT")) {
        f->commit = *request;
        f->has_commit = true;
        atomic_store(&f->gone, 1u); /* it has settled message 0 */
        atomic_store(&f->named, 0u);
        if (f->has_touch) {
            answer_touch(f, broker, &f->touch, 0);
            end_commit(f, broker);
        } else {
            clock_ahead(HALF_S);
            nudge(f, broker);
        }
    }
}

static void set_up(struct fixture *f, bool no_started)
{
    zspool_options_t patient;
    zspool_options_init(&patient);
    patient.answer_ms = 100 * WAIT_MS; /* more than the clock is ever set ahead */
    patient.session_heartbeat_ms = -1;
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.auto_extend = true;
    options.no_started = no_started;
    f->broker = fake_broker_start(handler, f);
    f->client = zspool_new(fake_broker_endpoint(f->broker), &patient, NULL);
    f->consumer = zspool_consumer_new(f->client, &options, NULL);
    f->commits = zspool_commit_new(f->client, f->consumer, NULL, NULL);
    assert_non_null(f->commits);
}

static void tear_down(struct fixture *f)
{
    zspool_commit_destroy(&f->commits);
    zspool_consumer_destroy(&f->consumer);
    zspool_destroy(&f->client);
    fake_broker_stop(&f->broker);
}

static const zspool_message_t *next(struct fixture *f, uint64_t offset)
{
    const zspool_message_t *message = NULL;
    zspool_error_t err = {0};
    if (zspool_next(f->consumer, &message, WAIT_MS, &err) != 0) {
        fail_msg("message %u did not come: %s", (unsigned)offset, err.message);
    }
    assert_int_equal(message->offset, offset);
    return message;
}

static void give(struct fixture *f, const zspool_message_t *message, zspool_outcome_t outcome)
{
    assert_int_equal(zspool_settle(f->consumer, message, outcome, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(f->consumer, WAIT_MS, NULL), 0);
}

static void commit(struct fixture *f, const zspool_message_t *message)
{
    assert_int_equal(zspool_commit_settle(f->commits, message, ZSPOOL_ACK, NULL, NULL), 0);
    zspool_error_t err = {0};
    if (zspool_commit_run(f->commits, 100 * WAIT_MS, NULL, &err) != 0) {
        fail_msg("commit: %s", err.message);
    }
}

static void assert_nothing_lost(struct fixture *f)
{
    zspool_lost_t lost;
    assert_int_equal(zspool_lost(f->consumer, &lost, 1), 0);
}

static void wait_touches(struct fixture *f, unsigned count)
{
    for (int i = 0; i < WAIT_MS && atomic_load(&f->touches) < count; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_true(atomic_load(&f->touches) >= count);
}

#define RUNS(count)  "{'runs': [['t', 0, 0, " count ", 77, 5]], 'lease_ms': 30000}"
#define KEYED(count) "{'runs': [['t', 0, 0, " count ", 77, 5]], 'lease_ms': 30000, 'mode': 'keyed'}"

/* --- commits ------------------------------------------------------------------------------- */

static void what_a_commit_has_taken_is_not_marked_behind_it(void **state)
{
    (void)state;
    struct fixture f = {.reply = RUNS("2"), .keys = "ab"};
    set_up(&f, false);
    const zspool_message_t *const first = next(&f, 0);
    const zspool_message_t *const other = next(&f, 1);
    commit(&f, first);
    assert_int_equal(atomic_load(&f.named) & 1u, 0);
    assert_nothing_lost(&f);
    give(&f, other, ZSPOOL_ACK);
    tear_down(&f);
}

/* The mark went out before the commit, and is answered as if it came behind it. */
static void a_mark_that_meets_a_commit_tells_of_no_loss(void **state)
{
    (void)state;
    struct fixture f = {.reply = RUNS("3"), .keys = "abc", .holds_touch = true};
    set_up(&f, false);
    const zspool_message_t *const first = next(&f, 0);
    const zspool_message_t *const other = next(&f, 1);
    wait_touches(&f, 1);
    assert_int_equal(atomic_load(&f.named) & 1u, 1);
    commit(&f, first);
    assert_nothing_lost(&f);
    give(&f, other, ZSPOOL_ACK);
    give(&f, next(&f, 2), ZSPOOL_ACK); /* it waited here, and is not dropped */
    assert_nothing_lost(&f);
    tear_down(&f);
}

static void an_extension_names_what_no_commit_has(void **state)
{
    (void)state;
    struct fixture f = {.reply = RUNS("2"), .keys = "ab"};
    set_up(&f, true);
    commit(&f, next(&f, 0));
    assert_int_equal(atomic_load(&f.named), 2u);
    give(&f, next(&f, 1), ZSPOOL_ACK);
    assert_nothing_lost(&f);
    tear_down(&f);
}

/* As long as the commit is not sent the lease must not end. */
static void an_extension_names_what_a_commit_has_if_there_is_no_other(void **state)
{
    (void)state;
    struct fixture f = {.reply = RUNS("1"), .keys = "a"};
    set_up(&f, true);
    commit(&f, next(&f, 0));
    assert_int_equal(atomic_load(&f.named), 1u);
    assert_nothing_lost(&f);
    tear_down(&f);
}

/* --- groups with an order -------------------------------------------------------------------- */

static void what_came_back_behind_another_one_is_lost_alone(void **state)
{
    (void)state;
    struct fixture f = {.reply = KEYED("5"), .keys = "abaca"};
    const zspool_message_t *message[3];
    zspool_lost_t lost[2];
    set_up(&f, true);
    for (uint64_t i = 0; i < 3; i++) {
        message[i] = next(&f, i);
    }
    give(&f, message[0], ZSPOOL_RETRY);
    atomic_store(&f.gone, 1u << 2 | 1u << 4);
    clock_ahead(HALF_S);
    const zspool_message_t *const other = next(&f, 3);
    give(&f, message[1], ZSPOOL_ACK);
    wait_touches(&f, 1);
    assert_int_equal(atomic_load(&f.named) & 1u << 2, 0); /* 1, or 3 */
    assert_nothing_lost(&f);
    clock_ahead(HALF_S);
    give(&f, other, ZSPOOL_ACK);
    wait_touches(&f, 2);
    for (int i = 0; i < WAIT_MS && (atomic_load(&f.named) & 1u << 2) == 0; i++) {
        (void)poll(NULL, 0, 1);
    }
    struct pollfd fd = {.fd = zspool_fd(f.client), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    assert_int_equal(zspool_lost(f.consumer, lost, 2), 1);
    assert_int_equal(lost[0].first_offset, 2);
    assert_true(lost[0].held);
    tear_down(&f);
}

/* A mark names it as well, perhaps before it came back: then the broker has taken it. */
static void a_mark_of_what_came_back_loses_no_other(void **state)
{
    (void)state;
    struct fixture f = {.reply = KEYED("4"), .keys = "abab"};
    const zspool_message_t *message[3];
    zspool_lost_t lost[2];
    set_up(&f, false);
    for (uint64_t i = 0; i < 3; i++) {
        message[i] = next(&f, i);
    }
    assert_int_equal(zspool_settle(f.consumer, message[0], ZSPOOL_RETRY, NULL, NULL), 0);
    atomic_store(&f.gone, 1u << 2);
    for (int i = 0; i < WAIT_MS && (atomic_load(&f.named) & 1u << 2) == 0; i++) {
        (void)poll(NULL, 0, 1);
    }
    give(&f, message[1], ZSPOOL_ACK);
    give(&f, next(&f, 3), ZSPOOL_ACK);
    const int count = zspool_lost(f.consumer, lost, 2); /* 0: its mark was before the retry */
    assert_true(count == 0 || (count == 1 && lost[0].first_offset == 2));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_commit_has_taken_is_not_marked_behind_it),
        cmocka_unit_test(a_mark_that_meets_a_commit_tells_of_no_loss),
        cmocka_unit_test(an_extension_names_what_no_commit_has),
        cmocka_unit_test(an_extension_names_what_a_commit_has_if_there_is_no_other),
        cmocka_unit_test(what_came_back_behind_another_one_is_lost_alone),
        cmocka_unit_test(a_mark_of_what_came_back_loses_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
