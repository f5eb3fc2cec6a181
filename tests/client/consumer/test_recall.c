/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups with an order: a message that is given back takes along what waits behind it, of its key or in
 * its partition, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <zspool.h>

#include "common/record.h"
#include "common/wire.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS  30000 /* for what takes milliseconds */
#define SAID_MAX 4000u

/* What the broker hands out, a reply for each PULL; a record's payload is its number in the reply. */
struct reply {
    const char *map;
    const char *keys; /* a letter for each record; '-' = none */
};

struct fixture {
    struct reply replies[3];
    size_t frame_bytes; /* of bodies; 0 = one frame */
    bool holds_second;  /* the second PULL is answered with the next SETTLE */
    bool holds_touch;   /* the first SETTLE that only touches is answered with the next SETTLE; */
    const char *touch;  /* any of them so; NULL = all applied */

    atomic_uint pulls, touches;
    struct fake_request second, first_touch;
    bool has_second, has_first_touch;
    char said[SAID_MAX]; /* outcomes: "retry 0/0 release 0/2+3 ..." */
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_consumer_t *consumer;
};

static void reply_to_pull(struct fixture *f, struct fake_broker *broker,
                          const struct fake_request *request, unsigned number)
{
    const struct reply *reply = number < 3 ? &f->replies[number] : NULL;
    if (!reply || !reply->map) {
        return; /* a PULL that waits */
    }
    struct zsp_writer body = {0};
    for (size_t i = 0; reply->keys[i]; i++) {
        char text[24];
        (void)snprintf(text, sizeof text, "message %zu", i);
        struct zsp_record record = {.payload = zsp_slice_str(text)};
        if (reply->keys[i] != '-') {
            record.key = (struct zsp_slice){(const uint8_t *)&reply->keys[i], 1};
        }
        zsp_record_write(&body, &record);
    }
    fake_reply_body(broker, request, reply->map, zsp_writer_slice(&body), f->frame_bytes);
    zsp_writer_fini(&body);
}

/* Is it one that only touches? */
static bool note(struct fixture *f, const struct fake_request *request)
{
    static const char *const names[] = {
        [WIRE_ACK] = "ack",       [WIRE_RETRY] = "retry",   [WIRE_RELEASE] = "release",
        [WIRE_REJECT] = "reject", [WIRE_EXTEND] = "extend", [WIRE_STARTED] = "started",
    };
    const msgpack_object *runs = wire_map_find(request->args, "runs");
    bool only_touches = true;
    assert_non_null(runs);
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_srun run;
        assert_int_equal(wire_srun_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        if (run.outcome == WIRE_STARTED || run.outcome == WIRE_EXTEND) {
            continue;
        }
        only_touches = false;
        for (uint64_t n = 0; n < run.count; n++) {
            const size_t len = strlen(f->said);
            (void)snprintf(f->said + len, SAID_MAX - len, "%s %u/%u ", names[run.outcome],
                           (unsigned)run.partition, (unsigned)(run.first + n));
        }
    }
    return only_touches;
}

static void settle(struct fixture *f, struct fake_broker *broker,
                   const struct fake_request *request)
{
    if (note(f, request)) {
        const bool is_first = atomic_fetch_add(&f->touches, 1) == 0;
        if (is_first && f->holds_touch) {
            f->first_touch = *request;
            f->has_first_touch = true;
            return;
        }
        fake_reply(broker, request, f->touch ? f->touch : "{'applied': 1, 'not_applied': []}");
        return;
    }
    if (f->has_first_touch) {
        fake_reply(broker, &f->first_touch, f->touch);
        f->has_first_touch = false;
    }
    if (f->has_second) {
        reply_to_pull(f, broker, &f->second, 1);
        f->has_second = false;
    }
    fake_reply(broker, request, "{'applied': 1, 'not_applied': []}");
}

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct fixture *const f = arg;
    if (fake_is(request, "PULL")) {
        const unsigned number = atomic_fetch_add(&f->pulls, 1);
        if (number == 1 && f->holds_second) {
            f->second = *request;
            f->has_second = true;
        } else {
            reply_to_pull(f, broker, request, number);
        }
    } else if (fake_is(request, "SETTLE")) {
        settle(f, broker, request);
    }
}

static void set_up(struct fixture *f, uint32_t prefetch, bool no_started)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.prefetch_messages = prefetch;
    options.no_started = no_started;
    f->broker = fake_broker_start(handler, f);
    f->client = zspool_new(fake_broker_endpoint(f->broker), NULL, NULL);
    f->consumer = zspool_consumer_new(f->client, &options, NULL);
    assert_non_null(f->consumer);
}

/* Then `said` may be looked at. */
static void tear_down(struct fixture *f)
{
    zspool_consumer_destroy(&f->consumer);
    zspool_destroy(&f->client);
    fake_broker_stop(&f->broker);
}

static const zspool_message_t *next(struct fixture *f, uint32_t partition, uint64_t offset)
{
    const zspool_message_t *message = NULL;
    zspool_error_t err = {0};
    if (zspool_next(f->consumer, &message, WAIT_MS, &err) != 0) {
        fail_msg("%u/%u did not come: %s", (unsigned)partition, (unsigned)offset, err.message);
    }
    assert_int_equal(message->partition, partition);
    assert_int_equal(message->offset, offset);
    return message;
}

static void nothing_waits(struct fixture *f)
{
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(f->consumer, &message, 0, NULL), ZSPOOL_ETIMEOUT);
    struct pollfd fd = {.fd = zspool_fd(f->client), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 0), 0);
}

static void give(struct fixture *f, const zspool_message_t *message, zspool_outcome_t outcome)
{
    assert_int_equal(zspool_settle(f->consumer, message, outcome, NULL, NULL), 0);
}

static void flush(struct fixture *f)
{
    assert_int_equal(zspool_settle_flush(f->consumer, WAIT_MS, NULL), 0);
}

static void assert_said(const struct fixture *f, const char *what)
{
    if (!strstr(f->said, what)) {
        fail_msg("\"%s\" was not said, but %s", what, f->said);
    }
}

static void assert_not_said(const struct fixture *f, const char *what)
{
    if (strstr(f->said, what)) {
        fail_msg("\"%s\" was said: %s", what, f->said);
    }
}

#define KEYED(runs)   "{'runs': [" runs "], 'lease_ms': 30000, 'mode': 'keyed'}"
#define ORDERED(runs) "{'runs': [" runs "], 'lease_ms': 30000, 'mode': 'ordered'}"

/* --- keyed --------------------------------------------------------------------------------- */

static void a_key_takes_along_its_own(void **state)
{
    (void)state;
    static const zspool_outcome_t outcomes[] = {ZSPOOL_RETRY, ZSPOOL_RELEASE, ZSPOOL_REJECT};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f = {.replies = {{KEYED("['t', 0, 0, 4, 77, 5], ['t', 0, 7, 3, 77, 6], "
                                               "['t', 1, 2, 1, 77, 6]"),
                                         "abacaaba"}},
                            .frame_bytes = i == 0 ? 3 : 0};
        set_up(&f, 1000, true);
        give(&f, next(&f, 0, 0), outcomes[i]);
        const zspool_message_t *const b = next(&f, 0, 1);
        give(&f, next(&f, 0, 3), ZSPOOL_ACK);
        give(&f, b, ZSPOOL_ACK);
        give(&f, next(&f, 0, 9), ZSPOOL_ACK);
        give(&f, next(&f, 1, 2), ZSPOOL_ACK); /* the same key, in another partition */
        nothing_waits(&f);
        flush(&f);
        tear_down(&f);
        assert_said(&f, "release 0/2 ");
        assert_said(&f, "release 0/7 ");
        assert_said(&f, "release 0/8 ");
        assert_not_said(&f, "release 0/1 ");
        assert_not_said(&f, "release 0/9 ");
    }
}

/* Each message is its own. */
static void without_a_key_nothing_is_taken_along(void **state)
{
    (void)state;
    struct fixture f = {.replies = {{KEYED("['t', 0, 0, 3, 77, 5]"), "--a"}}};
    set_up(&f, 1000, true);
    give(&f, next(&f, 0, 0), ZSPOOL_RETRY);
    give(&f, next(&f, 0, 1), ZSPOOL_RETRY);
    give(&f, next(&f, 0, 2), ZSPOOL_RETRY);
    flush(&f);
    tear_down(&f);
    assert_not_said(&f, "release");
}

/* All that waits goes: there is nothing to be had, and room to pull. */
static void what_is_left_of_one_key_goes_at_once(void **state)
{
    (void)state;
    struct fixture f = {.replies = {{KEYED("['t', 0, 0, 5, 77, 5]"), "aaaaa"},
                                    {KEYED("['t', 0, 9, 1, 78, 5]"), "b"}},
                        .holds_second = true};
    set_up(&f, 5, true);
    const zspool_message_t *const first = next(&f, 0, 0);
    give(&f, next(&f, 0, 1), ZSPOOL_RETRY);
    give(&f, first, ZSPOOL_ACK);
    give(&f, next(&f, 0, 9), ZSPOOL_ACK); /* of the second PULL, which came for lack of others */
    nothing_waits(&f);
    flush(&f);
    tear_down(&f);
    assert_said(&f, "release 0/2 release 0/3 release 0/4 ");
}

/* Under another lease it is what comes again, or what the broker gave to begin with. */
static void what_is_under_another_lease_stays(void **state)
{
    (void)state;
    struct fixture f = {.replies = {{KEYED("['t', 0, 0, 2, 77, 5]"), "ab"},
                                    {KEYED("['t', 0, 0, 3, 78, 5]"), "aca"}}};
    set_up(&f, 4, true);
    const zspool_message_t *const old = next(&f, 0, 0);
    give(&f, next(&f, 0, 1), ZSPOOL_ACK);
    const zspool_message_t *const again = next(&f, 0, 0);
    assert_int_equal(again->lease, 78);
    give(&f, old, ZSPOOL_RETRY);
    give(&f, next(&f, 0, 1), ZSPOOL_ACK);
    give(&f, again, ZSPOOL_ACK);
    give(&f, next(&f, 0, 2), ZSPOOL_ACK);
    flush(&f);
    tear_down(&f);
    assert_not_said(&f, "release");
}

/* --- ordered ------------------------------------------------------------------------------- */

static void a_partition_takes_along_its_own(void **state)
{
    (void)state;
    struct fixture f = {.replies = {{ORDERED("['t', 0, 0, 3, 77, 5], ['t', 1, 0, 2, 77, 5], "
                                             "['u', 0, 4, 1, 77, 5]"),
                                     "aabcda"}}};
    set_up(&f, 1000, true);
    give(&f, next(&f, 0, 0), ZSPOOL_RETRY);
    give(&f, next(&f, 1, 0), ZSPOOL_ACK);
    give(&f, next(&f, 1, 1), ZSPOOL_ACK);
    give(&f, next(&f, 0, 4), ZSPOOL_ACK); /* of the other topic */
    nothing_waits(&f);
    flush(&f);
    tear_down(&f);
    assert_said(&f, "release 0/1 release 0/2 ");
    assert_not_said(&f, "release 1");
}

/* The reply of the PULL that was out then may have been made before: of the partition it is handed back. */
static void what_is_on_its_way_goes_back_too(void **state)
{
    (void)state;
    struct fixture f = {
        .replies = {{ORDERED("['t', 0, 0, 2, 77, 5], ['t', 1, 0, 1, 77, 5]"), "aab"},
                    {ORDERED("['t', 0, 2, 2, 78, 5], ['t', 1, 1, 1, 78, 5]"), "aab"},
                    {ORDERED("['t', 0, 0, 4, 79, 9]"), "aaaa"}},
        .holds_second = true};
    set_up(&f, 6, true);
    const zspool_message_t *const first = next(&f, 0, 0);
    for (int i = 0; i < WAIT_MS && atomic_load(&f.pulls) < 2; i++) {
        (void)poll(NULL, 0, 1);
    }
    give(&f, first, ZSPOOL_RETRY);
    give(&f, next(&f, 1, 0), ZSPOOL_ACK);
    give(&f, next(&f, 1, 1), ZSPOOL_ACK);
    for (uint64_t offset = 0; offset < 4; offset++) { /* they come again, and are nobody's past */
        give(&f, next(&f, 0, offset), ZSPOOL_ACK);
    }
    flush(&f);
    tear_down(&f);
    assert_said(&f, "release 0/1 ");
    assert_said(&f, "release 0/2 release 0/3 ");
    assert_not_said(&f, "release 1");
}

/* --- marks and extensions -------------------------------------------------------------------- */

/* The mark of a message that comes back while it is under way is answered as lost: it alone is. */
static void a_mark_that_comes_too_late_loses_no_lease(void **state)
{
    (void)state;
    struct fixture f = {
        .replies = {{KEYED("['t', 0, 0, 1, 77, 5], ['t', 0, 1, 1, 77, 5, {'deliveries': 2}], "
                           "['t', 0, 2, 1, 77, 5]"),
                     "aab"}},
        .holds_touch = true,
        .touch = "{'applied': 1, 'not_applied': [['t', 0, 1, 1, 'lost']]}"};
    const zspool_message_t *message = NULL;
    set_up(&f, 1000, false);
    const zspool_message_t *const first = next(&f, 0, 0);
    assert_int_equal(zspool_next(f.consumer, &message, 0, NULL),
                     ZSPOOL_ETIMEOUT); /* to be marked */
    for (int i = 0; i < WAIT_MS && atomic_load(&f.touches) == 0; i++) {
        (void)poll(NULL, 0, 1);
    }
    give(&f, first, ZSPOOL_RETRY);
    give(&f, next(&f, 0, 2), ZSPOOL_ACK);
    flush(&f);
    zspool_lost_t lost;
    assert_int_equal(zspool_lost(f.consumer, &lost, 1), 0);
    tear_down(&f);
    assert_said(&f, "release 0/1 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_takes_along_its_own),
        cmocka_unit_test(without_a_key_nothing_is_taken_along),
        cmocka_unit_test(what_is_left_of_one_key_goes_at_once),
        cmocka_unit_test(what_is_under_another_lease_stays),
        cmocka_unit_test(a_partition_takes_along_its_own),
        cmocka_unit_test(what_is_on_its_way_goes_back_too),
        cmocka_unit_test(a_mark_that_comes_too_late_loses_no_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
