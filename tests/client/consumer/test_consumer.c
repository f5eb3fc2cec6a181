/* SPDX-License-Identifier: MPL-2.0
 *
 * Consumers against a broker that hands out what a test tells it, and notes
 * every outcome it hears.
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

#include "common/err.h"
#include "common/record.h"
#include "common/wire.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS   20000 /* for what takes milliseconds */
#define HEARD_MAX 64u

struct heard {
    enum wire_outcome outcome;
    uint64_t first, count, lease, delay_ms;
    char reason[32];
};

/* Messages 0 .. count - 1 of topic t, all under lease 77, handed out by the first pull. */
struct hand {
    uint64_t count;
    unsigned deliveries;
    unsigned lease_ms;       /* 0 = 30 s */
    size_t frame_bytes;      /* bodies are cut into frames of so many; 0 = one */
    unsigned drop_settle_at; /* the SETTLE answered by cutting the connection; 0 = none */
    const char *settled;     /* the reply to SETTLE; NULL = all applied */
    int refuse_pull;         /* code for the first pull */
    bool takes_outcomes;     /* aboard of a PULL; */
    const char *aboard;      /* the reply to the first such: NULL = by cutting the connection, */
    int refuse_aboard;       /* or this code, with maybe */

    atomic_uint pulls_aboard;

    atomic_uint pulls, settles;
    uint64_t max_messages; /* asked for by the first pull */
    atomic_ullong last_max_messages;
    struct heard heard[HEARD_MAX];
    atomic_size_t heard_count;
};

static void hand_out(struct fake_broker *broker, const struct fake_request *request,
                     const struct hand *hand)
{
    struct zsp_writer body = {0};
    char text[40];
    char map[200];
    for (uint64_t i = 0; i < hand->count; i++) {
        (void)snprintf(text, sizeof text, "message %llu", (unsigned long long)i);
        const struct zsp_record record = {.payload = zsp_slice_str(text),
                                          .key = zsp_slice_str("k")};
        zsp_record_write(&body, &record);
    }
    (void)snprintf(map, sizeof map,
                   "{'runs': [['t', 0, 0, %llu, 77, 5, {'deliveries': %u}]], 'lease_ms': %u}",
                   (unsigned long long)hand->count, hand->deliveries ? hand->deliveries : 1,
                   hand->lease_ms ? hand->lease_ms : 30000);
    fake_reply_body(broker, request, map, zsp_writer_slice(&body), hand->frame_bytes);
    zsp_writer_fini(&body);
}

static void hear(struct hand *hand, const struct fake_request *request, const char *key)
{
    const msgpack_object *runs = wire_map_find(request->args, key);
    assert_non_null(runs);
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_srun run;
        assert_int_equal(wire_srun_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        const size_t index = atomic_load(&hand->heard_count);
        assert_true(index < HEARD_MAX);
        struct heard *heard = &hand->heard[index];
        heard->outcome = run.outcome;
        heard->first = run.first;
        heard->count = run.count;
        heard->lease = run.lease;
        heard->delay_ms = run.delay_ms;
        (void)snprintf(heard->reason, sizeof heard->reason, "%.*s", (int)run.reason.len,
                       run.reason.data ? (const char *)run.reason.data : "");
        atomic_store(&hand->heard_count, index + 1);
    }
}

/* A PULL with outcomes. */
static void pull_aboard(struct fake_broker *broker, const struct fake_request *request,
                        struct hand *hand)
{
    hear(hand, request, "settle");
    if (atomic_fetch_add(&hand->pulls_aboard, 1) > 0) {
        fake_reply(broker, request,
                   "{'runs': [], 'lease_ms': 0, 'settled': {'applied': 1, 'not_applied': []}}");
    } else if (hand->refuse_aboard) {
        fake_refuse(broker, request, hand->refuse_aboard, true, "group g");
    } else if (hand->aboard) {
        fake_reply(broker, request, hand->aboard);
    } else {
        fake_drop(broker);
    }
}

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct hand *hand = arg;
    if (fake_is(request, "PULL") && wire_map_find(request->args, "settle")) {
        pull_aboard(broker, request, hand);
        return;
    }
    if (fake_is(request, "PULL")) {
        atomic_store(&hand->last_max_messages, fake_uint(request, "max_messages", 0));
        const unsigned pull = atomic_fetch_add(&hand->pulls, 1) + 1;
        if (pull == 1 && hand->refuse_pull) {
            fake_refuse(broker, request, hand->refuse_pull, false, "group g");
        } else if (pull == 1) {
            hand->max_messages = fake_uint(request, "max_messages", 0);
            hand_out(broker, request, hand);
        } else if (fake_uint(request, "wait_ms", 0) == 0) {
            fake_reply(broker, request, "{'runs': [], 'lease_ms': 0, 'reason': 'end'}");
        }
        return;
    }
    assert_true(fake_is(request, "SETTLE"));
    hear(hand, request, "runs");
    if (atomic_fetch_add(&hand->settles, 1) + 1 == hand->drop_settle_at) {
        fake_drop(broker);
    } else {
        fake_reply(broker, request,
                   hand->settled ? hand->settled : "{'applied': 1, 'not_applied': []}");
    }
}

struct fixture {
    struct hand hand;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_consumer_t *consumer;
};

static void set_up(struct fixture *self, zspool_consumer_options_t *options)
{
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t plain;
    zspool_options_t client_options;
    zspool_options_init(&client_options);
    client_options.reconnect_ms = 5;
    if (!options) {
        zspool_consumer_options_init(&plain);
        options = &plain;
    }
    options->group = "g";
    options->topics = topics;
    options->topic_count = 1;
    self->broker = fake_broker_start(handler, &self->hand);
    if (self->hand.takes_outcomes) {
        fake_features(self->broker, "['shared', 'pull_settle']");
    }
    self->client = zspool_new(fake_broker_endpoint(self->broker), &client_options, NULL);
    assert_non_null(self->client);
    self->consumer = zspool_consumer_new(self->client, options, NULL);
    assert_non_null(self->consumer);
}

static void tear_down(struct fixture *self)
{
    zspool_consumer_destroy(&self->consumer);
    zspool_destroy(&self->client);
    if (self->broker) {
        fake_broker_stop(&self->broker);
    }
}

static const zspool_message_t *next(struct fixture *self)
{
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(self->consumer, &message, WAIT_MS, NULL), 0);
    return message;
}

static void ack(struct fixture *self, const zspool_message_t *message)
{
    assert_int_equal(zspool_settle(self->consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
}

static void wait_heard(struct fixture *self, size_t count)
{
    for (int i = 0; i < WAIT_MS && atomic_load(&self->hand.heard_count) < count; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_true(atomic_load(&self->hand.heard_count) >= count);
}

/* The outcome number `index`, once it was heard. */
static const struct heard *heard_at(struct fixture *self, size_t index)
{
    wait_heard(self, index + 1);
    return &self->hand.heard[index];
}

/* --- Messages ------------------------------------------------------------------------------ */

static void messages_come_in_order_with_all_they_carry(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 3}};
    set_up(&f, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        const zspool_message_t *message = next(&f);
        assert_string_equal(message->topic, "t");
        assert_int_equal(message->offset, i);
        assert_int_equal(message->lease, 77);
        assert_int_equal(message->deliveries, 1);
        assert_int_equal(message->timestamp_ms, 5);
        assert_memory_equal(message->payload.data, "message ", 8);
        assert_int_equal(message->key.len, 1);
        assert_null(message->type.data);
        ack(&f, message);
    }
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    tear_down(&f);
}

/* "Frame boundaries mean nothing": every way to cut a body gives the same messages. */
static void bodies_may_be_cut_anywhere(void **state)
{
    (void)state;
    for (size_t frame_bytes = 1; frame_bytes < 24; frame_bytes++) {
        struct fixture f = {.hand = {.count = 10, .frame_bytes = frame_bytes}};
        set_up(&f, NULL);
        for (uint64_t i = 0; i < 10; i++) {
            const zspool_message_t *message = next(&f);
            char text[40];
            (void)snprintf(text, sizeof text, "message %llu", (unsigned long long)i);
            assert_int_equal(message->payload.len, strlen(text));
            assert_memory_equal(message->payload.data, text, message->payload.len);
            ack(&f, message);
        }
        tear_down(&f);
    }
}

static void outcomes_in_order_travel_as_one_run(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 50}};
    const zspool_message_t *messages[50];
    set_up(&f, NULL);
    for (int i = 0; i < 50; i++) {
        messages[i] = next(&f);
    }
    for (int i = 49; i >= 0; i--) {
        ack(&f, messages[i]);
    }
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&f.consumer);
    fake_broker_stop(&f.broker);
    uint64_t acked = 0;
    for (size_t i = 0; i < f.hand.heard_count; i++) {
        acked += f.hand.heard[i].outcome == WIRE_ACK ? f.hand.heard[i].count : 0;
    }
    assert_int_equal(acked, 50);
    assert_true(f.hand.heard_count < 50);
    tear_down(&f);
}

static void every_outcome_is_told_with_its_argument(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 3}};
    zspool_settle_arg_t arg;
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.no_started = true;
    set_up(&f, &options);
    zspool_settle_arg_init(&arg);
    arg.delay_ms = 1500;
    arg.reason = zspool_text("too early");
    arg.extend_ms = 9000;
    const zspool_message_t *first = next(&f);
    assert_int_equal(zspool_settle(f.consumer, first, ZSPOOL_EXTEND, &arg, NULL), 0);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_settle(f.consumer, first, ZSPOOL_RETRY, &arg, NULL), 0);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_settle(f.consumer, next(&f), ZSPOOL_REJECT, &arg, NULL), 0);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_settle(f.consumer, next(&f), ZSPOOL_RELEASE, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(heard_at(&f, 0)->outcome, WIRE_EXTEND);
    assert_int_equal(heard_at(&f, 0)->delay_ms, 9000);
    assert_int_equal(heard_at(&f, 1)->outcome, WIRE_RETRY);
    assert_int_equal(heard_at(&f, 1)->delay_ms, 1500);
    assert_string_equal(heard_at(&f, 1)->reason, "too early");
    assert_int_equal(heard_at(&f, 2)->outcome, WIRE_REJECT);
    assert_string_equal(heard_at(&f, 2)->reason, "too early");
    assert_int_equal(heard_at(&f, 3)->outcome, WIRE_RELEASE);
    tear_down(&f);
}

static void outcomes_are_sent_again_over_a_new_connection(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 1, .drop_settle_at = 1}};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.no_started = true;
    options.message_limit = 1;
    set_up(&f, &options);
    ack(&f, next(&f));
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(f.hand.settles, 2);
    assert_int_equal(heard_at(&f, 1)->outcome, WIRE_ACK);
    tear_down(&f);
}

/* A worker that holds one message at a time: its outcome and its wish for the next go together. */
static void ack_aboard(struct fixture *f)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.no_started = true;
    options.held_limit = 1;
    f->hand.count = 1;
    f->hand.takes_outcomes = true;
    set_up(f, &options);
    ack(f, next(f));
}

static void outcomes_go_aboard_a_pull_that_is_due(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.aboard = "{'runs': [['t', 0, 1, 1, 78, 5]], 'lease_ms': 30000, "
                                           "'settled': {'applied': 1, 'not_applied': []}}"}};
    ack_aboard(&f);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(heard_at(&f, 0)->outcome, WIRE_ACK);
    assert_int_equal(atomic_load(&f.hand.pulls_aboard), 1);
    assert_int_equal(atomic_load(&f.hand.settles), 0);
    tear_down(&f);
}

static void a_pull_without_messages_tells_of_its_outcomes(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.aboard =
                                     "{'runs': [], 'lease_ms': 0, 'reason': 'end', 'settled': "
                                     "{'applied': 0, 'not_applied': "
                                     "[['t', 0, 0, 1, 'lost']]}}"}};
    zspool_lost_t lost;
    ack_aboard(&f);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), ZSPOOL_ENOT_LEASED);
    assert_int_equal(zspool_lost(f.consumer, &lost, 1), 1);
    assert_int_equal(lost.lease, 77);
    tear_down(&f);
}

static void outcomes_whose_pull_fails_are_sent_again(void **state)
{
    (void)state;
    const int codes[] = {0, ZSP_EOVER_CREDIT, ZSP_ECORRUPT};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct fixture f = {.hand = {.refuse_aboard = codes[i]}};
        ack_aboard(&f);
        assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
        assert_int_equal(heard_at(&f, 0)->outcome, WIRE_ACK);
        assert_int_equal(heard_at(&f, 1)->outcome, WIRE_ACK);
        assert_int_equal(heard_at(&f, 1)->lease, 77);
        assert_int_equal(atomic_load(&f.hand.settles), 1);
        tear_down(&f);
    }
}

static void only_messages_in_hand_can_be_settled(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 2}};
    zspool_settle_arg_t arg;
    set_up(&f, NULL);
    const zspool_message_t *message = next(&f);
    const zspool_message_t copy = *message;
    zspool_settle_arg_init(&arg);
    arg.delay_ms = -5;
    assert_int_equal(zspool_settle(f.consumer, &copy, ZSPOOL_ACK, NULL, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_settle(f.consumer, message, ZSPOOL_RETRY, &arg, NULL),
                     ZSPOOL_EBAD_VALUE);
    assert_int_equal(zspool_settle(f.consumer, message, ZSPOOL_EXTEND, NULL, NULL),
                     ZSPOOL_EBAD_VALUE);
    ack(&f, message);
    assert_int_equal(zspool_settle(f.consumer, message, ZSPOOL_ACK, NULL, NULL), ZSPOOL_EINVAL);
    tear_down(&f);
}

/* --- Marks, leases, losses --------------------------------------------------------------------- */

static void a_suspect_is_marked_before_it_is_handed_over(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 2, .deliveries = 2}};
    set_up(&f, NULL);
    (void)next(&f);
    assert_int_equal(atomic_load(&f.hand.heard_count), 1);
    assert_int_equal(heard_at(&f, 0)->outcome, WIRE_STARTED);
    assert_int_equal(heard_at(&f, 0)->first, 0);
    assert_int_equal(heard_at(&f, 0)->count, 1);
    tear_down(&f);
}

static void a_message_held_for_a_while_is_marked(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 2}};
    set_up(&f, NULL);
    (void)next(&f);
    wait_heard(&f, 1);
    assert_int_equal(heard_at(&f, 0)->outcome, WIRE_STARTED);
    assert_int_equal(heard_at(&f, 0)->count, 1);
    tear_down(&f);
}

static void leases_are_extended_when_asked(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 2, .lease_ms = 1000}}; /* a busy machine is late, too */
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.auto_extend = true;
    options.no_started = true;
    set_up(&f, &options);
    (void)next(&f);
    wait_heard(&f, 3);
    assert_int_equal(heard_at(&f, 0)->outcome, WIRE_EXTEND);
    assert_int_equal(heard_at(&f, 0)->delay_ms, 1000);
    (void)next(&f); /* waited longer than its lease, and is still ours */
    tear_down(&f);
}

static void what_waited_beyond_its_lease_is_dropped(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 2, .lease_ms = 30}};
    const zspool_message_t *message;
    zspool_lost_t lost;
    set_up(&f, NULL);
    const zspool_message_t *held = next(&f);
    (void)poll(NULL, 0, 60);
    assert_int_equal(zspool_next(f.consumer, &message, 10, NULL), ZSPOOL_ETIMEOUT);
    int told = 0;
    for (int i = 0; i < 1000 && told == 0; i++) {
        told = zspool_lost(f.consumer, &lost, 1);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(told, 1);
    assert_true(lost.held);
    assert_int_equal(lost.first_offset, 0);
    ack(&f, held); /* may still be said */
    tear_down(&f);
}

static void a_lease_lost_before_the_ack_is_told(void **state)
{
    (void)state;
    struct fixture f = {
        .hand = {.count = 1, .settled = "{'applied': 0, 'not_applied': [['t', 0, 0, 1, 'lost']]}"}};
    zspool_consumer_options_t options;
    zspool_lost_t lost;
    zspool_consumer_options_init(&options);
    options.no_started = true;
    set_up(&f, &options);
    ack(&f, next(&f));
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), ZSPOOL_ENOT_LEASED);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_lost(f.consumer, &lost, 1), 1);
    assert_false(lost.held);
    assert_int_equal(lost.lease, 77);
    assert_int_equal(zspool_lost(f.consumer, &lost, 1), 0);
    tear_down(&f);
}

/* --- Ends ------------------------------------------------------------------------------------- */

static void destroying_hands_back_what_was_not_taken(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 10}};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.no_started = true;
    set_up(&f, &options);
    ack(&f, next(&f));
    (void)next(&f); /* stays in hand */
    zspool_consumer_destroy(&f.consumer);
    fake_broker_stop(&f.broker);
    uint64_t released = 0;
    for (size_t i = 0; i < f.hand.heard_count; i++) {
        const struct heard *heard = &f.hand.heard[i];
        released += heard->outcome == WIRE_RELEASE ? heard->count : 0;
        assert_true(heard->outcome != WIRE_RELEASE || heard->first >= 2);
    }
    assert_int_equal(released, 8);
    tear_down(&f);
}

static void it_ends_when_the_broker_has_nothing_ready(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 1}};
    zspool_consumer_options_t options;
    const zspool_message_t *message;
    zspool_consumer_options_init(&options);
    options.end_when_empty = true;
    set_up(&f, &options);
    ack(&f, next(&f));
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), ZSPOOL_END);
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), ZSPOOL_END);
    tear_down(&f);
}

static void it_pulls_no_more_than_its_limit(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 4}};
    zspool_consumer_options_t options;
    const zspool_message_t *message;
    zspool_consumer_options_init(&options);
    options.message_limit = 4;
    set_up(&f, &options);
    for (int i = 0; i < 4; i++) {
        ack(&f, next(&f));
    }
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_consumer_destroy(&f.consumer);
    fake_broker_stop(&f.broker);
    assert_int_equal(f.hand.max_messages, 4);
    assert_int_equal(f.hand.pulls, 1);
    tear_down(&f);
}

/* Nothing is pulled while as much as allowed is in hand; a settled one makes room for one. */
static void no_more_is_pulled_than_may_be_held(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 2}};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.held_limit = 2;
    set_up(&f, &options);
    const zspool_message_t *first = next(&f);
    const zspool_message_t *second = next(&f);
    assert_int_equal(atomic_load(&f.hand.last_max_messages), 2);
    assert_int_equal(atomic_load(&f.hand.pulls), 1);
    ack(&f, first);
    for (int i = 0; i < WAIT_MS && atomic_load(&f.hand.pulls) < 2; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&f.hand.pulls), 2);
    assert_int_equal(atomic_load(&f.hand.last_max_messages), 1);
    ack(&f, second);
    tear_down(&f);
}

/* What waits goes back at once, what is in hand stays; the end wakes the descriptor once. */
static void a_stopped_consumer_keeps_only_what_is_in_hand(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 5}};
    const zspool_message_t *message;
    set_up(&f, NULL);
    const zspool_message_t *first = next(&f);
    const zspool_message_t *second = next(&f);
    zspool_consumer_stop(f.consumer);
    const struct heard *released = heard_at(&f, 0);
    assert_int_equal(released->outcome, WIRE_RELEASE);
    assert_int_equal(released->first, 2);
    assert_int_equal(released->count, 3);
    struct pollfd fd = {.fd = zspool_fd(f.client), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), ZSPOOL_END);
    assert_int_equal(zspool_dispatch(f.client, 0), 0);
    assert_int_equal(poll(&fd, 1, 0), 0);
    ack(&f, first);
    ack(&f, second);
    assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), 0);
    tear_down(&f);
}

static void a_refused_pull_is_told_once_and_tried_again(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.refuse_pull = ZSP_EMODE_MISMATCH}};
    zspool_consumer_options_t options;
    const zspool_message_t *message;
    zspool_consumer_options_init(&options);
    options.end_when_empty = true;
    set_up(&f, &options);
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), ZSPOOL_EMODE_MISMATCH);
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), ZSPOOL_END);
    tear_down(&f);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 1}};
    zspool_consumer_options_t options;
    zspool_error_t err = {0};
    set_up(&f, NULL);
    zspool_consumer_options_init(&options);
    assert_null(zspool_consumer_new(f.client, &options, &err));
    assert_int_equal(err.code, ZSPOOL_EBAD_NAME);
    options.group = "g";
    options.prefetch_messages = 2000000;
    assert_null(zspool_consumer_new(f.client, &options, &err));
    assert_int_equal(err.code, ZSPOOL_EINVAL);
    assert_null(zspool_consumer_new(f.client, NULL, NULL));
    assert_int_equal(zspool_next(NULL, NULL, 0, NULL), ZSPOOL_EINVAL);
    tear_down(&f);
}

/* --- The descriptor ----------------------------------------------------------------------------- */

static void count_ready(zspool_consumer_t *consumer, void *arg)
{
    const zspool_message_t *message;
    int *taken = arg;
    assert_int_equal(zspool_next(consumer, &message, 0, NULL), 0);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    (*taken)++;
}

/* One message is taken each time: the descriptor stays readable as long as there are more. */
static void the_descriptor_is_readable_while_messages_wait(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.count = 3}};
    zspool_consumer_options_t options;
    int taken = 0;
    zspool_consumer_options_init(&options);
    options.ready_fn = count_ready;
    options.ready_arg = &taken;
    set_up(&f, &options);
    struct pollfd fd = {.fd = zspool_fd(f.client), .events = POLLIN};
    assert_true(fd.fd >= 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
        assert_int_equal(zspool_dispatch(f.client, 0), 1);
        assert_int_equal(taken, i);
    }
    assert_int_equal(poll(&fd, 1, 0), 0);
    assert_int_equal(zspool_dispatch(f.client, 0), 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_in_order_with_all_they_carry),
        cmocka_unit_test(bodies_may_be_cut_anywhere),
        cmocka_unit_test(outcomes_in_order_travel_as_one_run),
        cmocka_unit_test(every_outcome_is_told_with_its_argument),
        cmocka_unit_test(outcomes_are_sent_again_over_a_new_connection),
        cmocka_unit_test(outcomes_go_aboard_a_pull_that_is_due),
        cmocka_unit_test(a_pull_without_messages_tells_of_its_outcomes),
        cmocka_unit_test(outcomes_whose_pull_fails_are_sent_again),
        cmocka_unit_test(only_messages_in_hand_can_be_settled),
        cmocka_unit_test(a_suspect_is_marked_before_it_is_handed_over),
        cmocka_unit_test(a_message_held_for_a_while_is_marked),
        cmocka_unit_test(leases_are_extended_when_asked),
        cmocka_unit_test(what_waited_beyond_its_lease_is_dropped),
        cmocka_unit_test(a_lease_lost_before_the_ack_is_told),
        cmocka_unit_test(destroying_hands_back_what_was_not_taken),
        cmocka_unit_test(it_ends_when_the_broker_has_nothing_ready),
        cmocka_unit_test(it_pulls_no_more_than_its_limit),
        cmocka_unit_test(no_more_is_pulled_than_may_be_held),
        cmocka_unit_test(a_stopped_consumer_keeps_only_what_is_in_hand),
        cmocka_unit_test(a_refused_pull_is_told_once_and_tried_again),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(the_descriptor_is_readable_while_messages_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
