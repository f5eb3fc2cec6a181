/* SPDX-License-Identifier: MPL-2.0
 *
 * Leases that end, are extended or taken away while a host works on their
 * messages, at a real zspoold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS  30000 /* for what takes milliseconds */
#define LEASE_MS 1000

static void set_up(struct served *self, int message_count)
{
    served_start(self);
    served_group(self->client, "g", LEASE_MS);
    served_publish(self->client, message_count);
}

static zspool_consumer_t *consumer_of(struct served *self, bool auto_extend)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.auto_extend = auto_extend;
    zspool_consumer_t *consumer = zspool_consumer_new(self->client, &options, NULL);
    assert_non_null(consumer);
    return consumer;
}

static uint64_t done_of(struct served *self)
{
    zspool_group_info_t *info;
    assert_int_equal(zspool_group_info(self->client, "g", WAIT_MS, &info, NULL), 0);
    const uint64_t committed = info->parts[0].committed;
    zspool_free(info);
    return committed;
}

/* The loss that is told, once it is. */
static zspool_lost_t await_loss(zspool_consumer_t *consumer)
{
    zspool_lost_t lost;
    int count = 0;
    for (int i = 0; i < WAIT_MS && count == 0; i++) {
        count = zspool_lost(consumer, &lost, 1);
        (void)poll(NULL, 0, count == 0 ? 1 : 0);
    }
    assert_int_equal(count, 1);
    return lost;
}

/* A handler that takes two and a half leases keeps its message, and those that wait behind it. */
static void a_slow_handler_keeps_its_lease_when_it_is_extended(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    zspool_lost_t lost;
    set_up(&f, 3);
    zspool_consumer_t *slow = consumer_of(&f, true);
    assert_int_equal(zspool_next(slow, &message, WAIT_MS, NULL), 0);
    zspool_consumer_t *other = consumer_of(&f, false);
    const zspool_message_t *stolen;
    assert_int_equal(zspool_next(other, &stolen, 5 * LEASE_MS / 2, NULL), ZSPOOL_ETIMEOUT);
    zspool_consumer_destroy(&other);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(message->deliveries, 1);
        assert_int_equal(zspool_settle(slow, message, ZSPOOL_ACK, NULL, NULL), 0);
        if (i < 2) {
            assert_int_equal(zspool_next(slow, &message, WAIT_MS, NULL), 0);
        }
    }
    assert_int_equal(zspool_settle_flush(slow, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_lost(slow, &lost, 1), 0);
    assert_int_equal(done_of(&f), 3);
    zspool_consumer_destroy(&slow);
    served_end(&f);
}

static void a_handler_that_is_too_slow_is_told_and_another_gets_it(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    const zspool_message_t *again;
    set_up(&f, 1);
    zspool_consumer_t *slow = consumer_of(&f, false);
    assert_int_equal(zspool_next(slow, &message, WAIT_MS, NULL), 0);
    const zspool_lost_t lost = await_loss(slow);
    assert_true(lost.held);
    assert_int_equal(lost.lease, message->lease);
    assert_int_equal(lost.first_offset, 0);
    zspool_consumer_stop(slow); /* it is not to get it again itself */
    zspool_consumer_t *other = consumer_of(&f, true);
    assert_int_equal(zspool_next(other, &again, WAIT_MS, NULL), 0);
    assert_int_equal(again->deliveries, 2);
    assert_int_equal(again->failures, 1);
    assert_int_equal(zspool_settle(slow, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(slow, WAIT_MS, NULL), ZSPOOL_ENOT_LEASED);
    assert_int_equal(zspool_settle(other, again, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(other, WAIT_MS, NULL), 0);
    assert_int_equal(done_of(&f), 1);
    zspool_consumer_destroy(&slow);
    zspool_consumer_destroy(&other);
    served_end(&f);
}

/* Marks live in the broker's memory: after its restart they are said again, so that the message in
 * hand is blamed and not its neighbour, which came with the same lease. */
static void a_restarted_broker_hears_again_what_is_in_hand(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    const zspool_figure_t lease = {.name = "lease_ms", .value = 5000};
    zspool_group_spec_t spec;
    set_up(&f, 2);
    zspool_group_spec_init(&spec, "g");
    spec.settings = &lease;
    spec.setting_count = 1;
    assert_int_equal(zspool_group_set(f.client, &spec, WAIT_MS, NULL), 0);
    zspool_consumer_t *slow = consumer_of(&f, false);
    assert_int_equal(zspool_next(slow, &message, WAIT_MS, NULL), 0);
    (void)poll(NULL, 0, 200); /* so that it is marked: after 20 */
    broker_process_kill(&f.broker);
    broker_process_start(&f.broker, NULL);
    assert_true(await_loss(slow).held);
    zspool_consumer_stop(slow);
    zspool_consumer_t *other = consumer_of(&f, true);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(zspool_next(other, &message, WAIT_MS, NULL), 0);
        assert_int_equal(message->failures, message->offset == 0 ? 1 : 0);
        assert_int_equal(zspool_settle(other, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    assert_int_equal(zspool_settle_flush(other, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&other);
    zspool_consumer_destroy(&slow);
    served_end(&f);
}

/* A group that is moved takes all leases away: whoever works on one hears of it with the next
 * extension, long before its lease would have ended. */
static void a_seek_takes_the_lease_from_who_works(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    zspool_seek_spec_t seek;
    zspool_seek_result_t *result;
    set_up(&f, 2);
    zspool_consumer_t *consumer = consumer_of(&f, true);
    assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
    const uint64_t lease = message->lease;
    zspool_seek_spec_init(&seek, "g", "t");
    seek.to.kind = ZSPOOL_POSITION_EARLIEST;
    assert_int_equal(zspool_group_seek(f.client, &seek, WAIT_MS, &result, NULL), 0);
    zspool_free(result);
    const zspool_lost_t lost = await_loss(consumer);
    assert_true(lost.held);
    assert_int_equal(lost.lease, lease);
    for (uint64_t i = 0; i < 2; i++) { /* both come again; what waited here was dropped */
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
        assert_int_equal(message->offset, i);
        assert_true(message->lease != lease);
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    assert_int_equal(zspool_settle_flush(consumer, WAIT_MS, NULL), 0);
    assert_int_equal(done_of(&f), 2);
    zspool_consumer_destroy(&consumer);
    served_end(&f);
}

static void an_extension_by_hand_holds_as_long_as_it_says(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message;
    const zspool_message_t *stolen;
    zspool_settle_arg_t arg;
    set_up(&f, 1);
    zspool_consumer_t *slow = consumer_of(&f, false);
    assert_int_equal(zspool_next(slow, &message, WAIT_MS, NULL), 0);
    zspool_settle_arg_init(&arg);
    arg.extend_ms = 60000;
    assert_int_equal(zspool_settle(slow, message, ZSPOOL_EXTEND, &arg, NULL), 0);
    zspool_consumer_t *other = consumer_of(&f, false);
    assert_int_equal(zspool_next(other, &stolen, 2 * LEASE_MS, NULL), ZSPOOL_ETIMEOUT);
    assert_int_equal(zspool_settle(slow, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(slow, WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&other);
    zspool_consumer_destroy(&slow);
    served_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_handler_keeps_its_lease_when_it_is_extended),
        cmocka_unit_test(a_handler_that_is_too_slow_is_told_and_another_gets_it),
        cmocka_unit_test(a_restarted_broker_hears_again_what_is_in_hand),
        cmocka_unit_test(a_seek_takes_the_lease_from_who_works),
        cmocka_unit_test(an_extension_by_hand_holds_as_long_as_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
