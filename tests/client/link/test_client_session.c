/* SPDX-License-Identifier: MPL-2.0
 *
 * The session of a client: resumed after a lost connection, kept alive, ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <poll.h>
#include <zspool.h>

#include "common/err.h"
#include "common/record.h"
#include "common/wire.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS 20000 /* for what takes milliseconds */

/* A broker with one message, which the pull number `gives_at` gets. */
struct stock {
    unsigned gives_at; /* 0 = never */
    unsigned drops_at; /* the pull at which the connection is cut instead; 0 = never */
    atomic_uint pulls, reads, byes, cancels;
    atomic_ullong pull_ids[8];
    atomic_ullong parked; /* the last PULL or READ that was not answered */
    atomic_ullong cancelled;
    atomic_bool bye_keeps;
};

static void give(struct fake_broker *broker, const struct fake_request *request)
{
    struct zsp_writer body = {0};
    const struct zsp_record record = {.payload = zsp_slice_str("hello")};
    zsp_record_write(&body, &record);
    fake_reply_body(broker, request, "{'runs': [['t', 0, 0, 1, 77, 5]], 'lease_ms': 30000}",
                    zsp_writer_slice(&body), 0);
    zsp_writer_fini(&body);
}

static void pull(struct fake_broker *broker, const struct fake_request *request,
                 struct stock *stock)
{
    const unsigned number = atomic_fetch_add(&stock->pulls, 1) + 1;
    if (number < 8) {
        atomic_store(&stock->pull_ids[number], request->id);
    }
    if (number == stock->drops_at) {
        fake_drop(broker);
    } else if (number == stock->gives_at) {
        give(broker, request);
    } else {
        atomic_store(&stock->parked, request->id);
    }
}

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct stock *stock = arg;
    if (fake_is(request, "PULL")) {
        pull(broker, request, stock);
    } else if (fake_is(request, "READ") && fake_uint(request, "wait_ms", 0) == 0) {
        fake_reply(broker, request,
                   "{'runs': [], 'next': 0, 'start': 0, 'end': 0, 'reason': 'end'}");
    } else if (fake_is(request, "READ")) {
        atomic_fetch_add(&stock->reads, 1);
        atomic_store(&stock->parked, request->id);
    } else if (fake_is(request, "CANCEL")) {
        const struct fake_request cancelled = {.id = fake_uint(request, "request", 0)};
        atomic_store(&stock->cancelled, cancelled.id);
        fake_reply_two(broker, &cancelled, "{'runs': [], 'lease_ms': 0, 'reason': 'cancelled'}",
                       request, "{'cancelled': true}");
        atomic_fetch_add(&stock->cancels, 1);
    } else if (fake_is(request, "BYE")) {
        const msgpack_object *keep = wire_map_find(request->args, "keep");
        atomic_store(&stock->bye_keeps, keep && keep->via.boolean);
        atomic_fetch_add(&stock->byes, 1);
        fake_reply(broker, request, "{'released': 0}");
    } else if (fake_is(request, "TOPIC.INFO")) {
        fake_reply(broker, request,
                   "{'id': 1, 'topic': 't', 'settings': {}, 'partitions': [[0, 0, 0, 0]]}");
    } else {
        fake_reply(broker, request, "{'applied': 1, 'not_applied': []}");
    }
}

struct stage {
    struct stock stock;
    struct fake_broker *broker;
    zspool_client_t *client;
};

static void join(struct stage *self, int64_t heartbeat_ms)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.reconnect_ms = 5;
    options.session_heartbeat_ms = heartbeat_ms;
    self->client = zspool_new(fake_broker_endpoint(self->broker), &options, NULL);
    assert_non_null(self->client);
}

/* A broker that knows nothing of sessions, and a client of it. */
static void set_up(struct stage *self, int64_t heartbeat_ms)
{
    self->broker = fake_broker_start(handler, &self->stock);
    join(self, heartbeat_ms);
}

/* The broker has them, from before the client comes, and lets one be resumed, or not. */
static void set_up_sessions(struct stage *self, int64_t heartbeat_ms, bool resumes)
{
    self->broker = fake_broker_start(handler, &self->stock);
    fake_sessions(self->broker, resumes);
    join(self, heartbeat_ms);
}

static void tear_down(struct stage *self)
{
    zspool_destroy(&self->client);
    fake_broker_stop(&self->broker);
}

static zspool_consumer_t *consumer_of(struct stage *self)
{
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.topics = topics;
    options.topic_count = 1;
    zspool_consumer_t *consumer = zspool_consumer_new(self->client, &options, NULL);
    assert_non_null(consumer);
    return consumer;
}

static void wait_for(const atomic_uint *count, unsigned wanted)
{
    for (int ms = 0; atomic_load(count) < wanted; ms++) {
        assert_true(ms < WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
}

/* --- Coming back ---------------------------------------------------------------------------- */

/* Goal: the PULL whose answer was lost is sent again under its id, and its message comes once. */
static void a_lost_pull_is_sent_again_under_its_id(void **state)
{
    (void)state;
    struct stage self = {.stock = {.drops_at = 1, .gives_at = 2}};
    const zspool_message_t *message = NULL;
    set_up_sessions(&self, 0, true);
    zspool_consumer_t *consumer = consumer_of(&self);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_true(fake_last_hello(self.broker).has_resume);
    assert_int_equal(self.stock.pull_ids[1], self.stock.pull_ids[2]);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    wait_for(&self.stock.pulls, 3);
    assert_true(self.stock.pull_ids[3] > self.stock.pull_ids[2]);
    zspool_consumer_destroy(&consumer);
    tear_down(&self);
}

static void without_its_session_a_pull_is_a_new_one(void **state)
{
    (void)state;
    struct stage self = {.stock = {.drops_at = 1, .gives_at = 2}};
    const zspool_message_t *message = NULL;
    set_up_sessions(&self, 0, false);
    zspool_consumer_t *consumer = consumer_of(&self);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_true(fake_last_hello(self.broker).has_resume);
    assert_true(self.stock.pull_ids[2] > self.stock.pull_ids[1]);
    zspool_consumer_destroy(&consumer);
    tear_down(&self);
}

static void an_older_broker_is_greeted_in_its_words(void **state)
{
    (void)state;
    struct stage self = {.stock = {.drops_at = 1, .gives_at = 2}};
    const zspool_message_t *message = NULL;
    set_up(&self, 0); /* without fake_sessions() */
    zspool_consumer_t *consumer = consumer_of(&self);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    assert_false(fake_last_hello(self.broker).has_resume);
    assert_int_equal(fake_last_hello(self.broker).heartbeat_ms, 0);
    zspool_consumer_destroy(&consumer);
    tear_down(&self);
    assert_int_equal(self.stock.byes, 0);
    assert_int_equal(self.stock.cancels, 0);
}

/* Goal: whoever destroys a consumer while its pull waits for the broker to come back is not kept
 * waiting, and nothing is left over. */
static void a_consumer_may_go_while_its_pull_is_put_by(void **state)
{
    (void)state;
    struct stage self = {.stock = {.drops_at = 1}};
    set_up_sessions(&self, 0, true);
    zspool_consumer_t *consumer = consumer_of(&self);
    wait_for(&self.stock.pulls, 1);
    fake_refuse_hello(self.broker, ZSP_ELIMIT_REACHED);
    zspool_consumer_destroy(&consumer);
    tear_down(&self);
}

/* --- Leaving ---------------------------------------------------------------------------------- */

static void a_consumer_that_goes_takes_its_pull_back(void **state)
{
    (void)state;
    struct stage self = {0};
    set_up_sessions(&self, 0, true);
    zspool_consumer_t *consumer = consumer_of(&self);
    wait_for(&self.stock.pulls, 1);
    zspool_consumer_destroy(&consumer);
    wait_for(&self.stock.cancels, 1);
    assert_int_equal(self.stock.cancelled, self.stock.pull_ids[1]);
    tear_down(&self);
    assert_int_equal(self.stock.byes, 1);
    assert_false(self.stock.bye_keeps);
}

static void a_consumer_that_stops_takes_its_pull_back_and_ends(void **state)
{
    (void)state;
    struct stage self = {0};
    const zspool_message_t *message = NULL;
    set_up_sessions(&self, 0, true);
    zspool_consumer_t *consumer = consumer_of(&self);
    wait_for(&self.stock.pulls, 1);
    zspool_consumer_stop(consumer);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), ZSPOOL_END);
    wait_for(&self.stock.cancels, 1);
    zspool_consumer_destroy(&consumer);
    tear_down(&self);
    assert_int_equal(self.stock.pulls, 1);
}

static void a_reader_that_goes_takes_its_read_back(void **state)
{
    (void)state;
    struct stage self = {0};
    const zspool_message_t *message = NULL;
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    options.follow = true;
    set_up_sessions(&self, 0, true);
    zspool_reader_t *reader = zspool_reader_new(self.client, &options, NULL);
    assert_non_null(reader);
    while (atomic_load(&self.stock.reads) == 0) {
        assert_int_equal(zspool_read(reader, &message, 1, NULL), ZSPOOL_ETIMEOUT);
    }
    zspool_reader_destroy(&reader);
    wait_for(&self.stock.cancels, 1);
    assert_int_equal(self.stock.cancelled, self.stock.parked);
    tear_down(&self);
}

/* Goal: what was in hand when its consumer went stays leased, as promised. */
static void bye_keeps_what_was_in_hand(void **state)
{
    (void)state;
    struct stage self = {.stock = {.gives_at = 1}};
    const zspool_message_t *message = NULL;
    set_up_sessions(&self, 0, true);
    zspool_consumer_t *consumer = consumer_of(&self);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
    tear_down(&self);
    assert_int_equal(self.stock.byes, 1);
    assert_true(self.stock.bye_keeps);
}

/* --- Heartbeats --------------------------------------------------------------------------------- */

static void heartbeats_are_asked_for_and_given(void **state)
{
    (void)state;
    struct stage self = {0};
    set_up_sessions(&self, 100, true);
    assert_int_equal(zspool_connect(self.client, WAIT_MS, NULL, NULL), 0);
    for (int ms = 0; fake_last_hello(self.broker).pings < 3; ms++) {
        assert_true(ms < WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(fake_last_hello(self.broker).heartbeat_ms, 100);
    tear_down(&self);
}

static void heartbeats_are_on_unless_told_otherwise(void **state)
{
    (void)state;
    const struct {
        int64_t given;
        uint64_t asked;
    } cases[] = {{0, 10000}, {-1, 0}, {60000, 60000}};
    for (size_t i = 0; i < 3; i++) {
        struct stage self = {0};
        self.broker = fake_broker_start(handler, &self.stock);
        fake_sessions(self.broker, true);
        zspool_options_t options;
        zspool_options_init(&options);
        options.session_heartbeat_ms = cases[i].given;
        self.client = zspool_new(fake_broker_endpoint(self.broker), &options, NULL);
        assert_int_equal(zspool_connect(self.client, WAIT_MS, NULL, NULL), 0);
        assert_int_equal(fake_last_hello(self.broker).heartbeat_ms, cases[i].asked);
        tear_down(&self);
    }
    zspool_options_t wrong;
    zspool_options_init(&wrong);
    wrong.session_heartbeat_ms = 99;
    assert_null(zspool_new("tcp://127.0.0.1:1", &wrong, NULL));
    wrong.session_heartbeat_ms = -2;
    assert_null(zspool_new("tcp://127.0.0.1:1", &wrong, NULL));
}

/* Goal: a broker whose connection stands and which says nothing is not waited for. */
static void a_silent_broker_counts_as_gone(void **state)
{
    (void)state;
    struct stage self = {0};
    set_up_sessions(&self, 100, true);
    assert_int_equal(zspool_connect(self.client, WAIT_MS, NULL, NULL), 0);
    fake_mute(self.broker);
    int rc = 0;
    zspool_error_t err = {0};
    for (int ms = 0; rc == 0; ms++) {
        assert_true(ms < WAIT_MS);
        (void)poll(NULL, 0, 1);
        rc = zspool_connect(self.client, 0, NULL, &err);
    }
    assert_int_equal(rc, ZSPOOL_ETIMEOUT);
    tear_down(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_pull_is_sent_again_under_its_id),
        cmocka_unit_test(without_its_session_a_pull_is_a_new_one),
        cmocka_unit_test(an_older_broker_is_greeted_in_its_words),
        cmocka_unit_test(a_consumer_may_go_while_its_pull_is_put_by),
        cmocka_unit_test(a_consumer_that_goes_takes_its_pull_back),
        cmocka_unit_test(a_consumer_that_stops_takes_its_pull_back_and_ends),
        cmocka_unit_test(a_reader_that_goes_takes_its_read_back),
        cmocka_unit_test(bye_keeps_what_was_in_hand),
        cmocka_unit_test(heartbeats_are_asked_for_and_given),
        cmocka_unit_test(heartbeats_are_on_unless_told_otherwise),
        cmocka_unit_test(a_silent_broker_counts_as_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
