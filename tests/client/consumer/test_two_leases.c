/* SPDX-License-Identifier: MPL-2.0
 *
 * One message in hand under two leases: it was handed out again before the first
 * was settled. An answer about one of them is not taken for the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <zspool.h>

#include "common/record.h"
#include "common/wire.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */
#define FIRST   77u   /* of messages 0 and 1 */
#define SECOND  78u   /* of message 1 */

struct hand {
    unsigned lost;     /* this lease does not hold message 1 any more */
    atomic_bool held;  /* SETTLEs are answered once this is false again */
    atomic_bool twice; /* a request had message 1 twice: the rows name no lease */
    atomic_uint pulls, settles;
};

static void hand_out(struct fake_broker *broker, const struct fake_request *request, unsigned pull)
{
    struct zsp_writer body = {0};
    const struct zsp_record record = {.payload = zsp_slice_str("x")};
    for (unsigned i = pull; i < 3; i++) {
        zsp_record_write(&body, &record);
    }
    fake_reply_body(broker, request,
                    pull == 1 ? "{'runs': [['t', 0, 0, 2, 77, 5]], 'lease_ms': 30000}"
                              : "{'runs': [['t', 0, 1, 1, 78, 5]], 'lease_ms': 30000}",
                    zsp_writer_slice(&body), 0);
    zsp_writer_fini(&body);
}

static bool has_message_1(const struct wire_srun *run)
{
    return run->first <= 1 && run->first + run->count > 1;
}

static void settle(struct fake_broker *broker, const struct fake_request *request,
                   struct hand *hand)
{
    const msgpack_object *runs = wire_map_find(request->args, "runs");
    unsigned times = 0;
    bool is_lost = false;
    assert_non_null(runs);
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        struct wire_srun run;
        assert_int_equal(wire_srun_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        times += has_message_1(&run) ? 1 : 0;
        is_lost = is_lost || (has_message_1(&run) && run.lease == hand->lost);
    }
    if (times > 1) {
        atomic_store(&hand->twice, true);
    }
    while (atomic_load(&hand->held)) {
        (void)poll(NULL, 0, 1);
    }
    fake_reply(broker, request,
               is_lost ? "{'applied': 1, 'not_applied': [['t', 0, 1, 1, 'lost']]}"
                       : "{'applied': 1, 'not_applied': []}");
}

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct hand *hand = arg;
    if (fake_is(request, "PULL")) {
        const unsigned pull = atomic_fetch_add(&hand->pulls, 1) + 1;
        if (pull <= 2) {
            hand_out(broker, request, pull);
        } else if (fake_uint(request, "wait_ms", 0) == 0) {
            fake_reply(broker, request, "{'runs': [], 'lease_ms': 0, 'reason': 'end'}");
        }
        return;
    }
    assert_true(fake_is(request, "SETTLE"));
    atomic_fetch_add(&hand->settles, 1);
    settle(broker, request, hand);
}

struct fixture {
    struct hand hand;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_consumer_t *consumer;
    const zspool_message_t *messages[3]; /* 0 and 1 under FIRST, 1 under SECOND */
};

static void set_up(struct fixture *self, bool no_started)
{
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.topics = topics;
    options.topic_count = 1;
    options.no_started = no_started;
    self->broker = fake_broker_start(handler, &self->hand);
    self->client = zspool_new(fake_broker_endpoint(self->broker), NULL, NULL);
    self->consumer = zspool_consumer_new(self->client, &options, NULL);
    assert_non_null(self->consumer);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zspool_next(self->consumer, &self->messages[i], WAIT_MS, NULL), 0);
    }
    assert_int_equal(self->messages[1]->lease, FIRST);
    assert_int_equal(self->messages[2]->lease, SECOND);
    assert_int_equal(self->messages[1]->offset, self->messages[2]->offset);
}

static void tear_down(struct fixture *self)
{
    zspool_consumer_destroy(&self->consumer);
    zspool_destroy(&self->client);
    fake_broker_stop(&self->broker);
}

static void wait_settles(struct fixture *self, unsigned count)
{
    for (int i = 0; i < WAIT_MS && atomic_load(&self->hand.settles) < count; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_true(atomic_load(&self->hand.settles) >= count);
}

static void ack(struct fixture *self, int index)
{
    assert_int_equal(zspool_settle(self->consumer, self->messages[index], ZSPOOL_ACK, NULL, NULL),
                     0);
}

/* Both outcomes are there before a request can take them. */
static void the_outcome_that_was_not_applied_is_told(void **state)
{
    (void)state;
    for (unsigned dead = FIRST; dead <= SECOND; dead++) {
        struct fixture f = {.hand = {.lost = dead}};
        zspool_lost_t lost[2];
        set_up(&f, true);
        atomic_store(&f.hand.held, true);
        ack(&f, 0);
        wait_settles(&f, 1);
        ack(&f, 1);
        ack(&f, 2);
        atomic_store(&f.hand.held, false);
        assert_int_equal(zspool_settle_flush(f.consumer, WAIT_MS, NULL), ZSPOOL_ENOT_LEASED);
        assert_int_equal(zspool_lost(f.consumer, lost, 2), 1);
        assert_int_equal(lost[0].lease, dead);
        assert_int_equal(lost[0].first_offset, 1);
        assert_false(atomic_load(&f.hand.twice));
        tear_down(&f);
    }
}

/* They are marked started, in requests of their own. */
static void the_message_whose_lease_went_is_told(void **state)
{
    (void)state;
    struct fixture f = {.hand = {.lost = SECOND}};
    zspool_lost_t lost[2];
    set_up(&f, false);
    int count = 0;
    for (int i = 0; i < WAIT_MS && count == 0; i++) {
        (void)poll(NULL, 0, 1);
        count = zspool_lost(f.consumer, lost, 2);
    }
    assert_int_equal(count, 1);
    assert_true(lost[0].held);
    assert_int_equal(lost[0].lease, SECOND);
    assert_int_equal(lost[0].first_offset, 1);
    assert_false(atomic_load(&f.hand.twice));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_outcome_that_was_not_applied_is_told),
        cmocka_unit_test(the_message_whose_lease_went_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
