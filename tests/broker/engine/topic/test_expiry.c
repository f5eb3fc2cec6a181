/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages that expire and that nobody pulls: counted soon after their time, never before it.
 */
#include <inttypes.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "broker/engine/topic/expiry.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define TTL_MS 1500
/* Rounded up to a full second, and a pass. */
#define SWEPT_MS (TTL_MS + EXPIRY_GRAIN_MS)

static void create(struct engine_fixture *f, const char *mode, const char *settings)
{
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': '%s', 'settings': %s}", mode,
                              settings),
               NULL);
}

static void publish(struct engine_fixture *f, int64_t ttl_ms, const char *more, const char *body)
{
    fixture_ok(f, "PUBLISH",
               fixture_format("{'topic': 't', 'partition': 0, 'expires_at_ms': %" PRId64 " %s}",
                              f->now.wall_ms + ttl_ms, more),
               body);
}

/* A group, three messages that expire after TTL_MS with others around. */
static void begin(struct engine_fixture *f, const char *mode, const char *settings)
{
    create(f, mode, settings);
    steps_publish_each(f, "t", "a b");
    publish(f, TTL_MS, "", "[[b'x', b'k'], [b'y', b'k'], [b'z', b'l']]");
    steps_publish_each(f, "t", "c");
}

static uint64_t expired_of(struct engine_fixture *f, const char *group)
{
    const struct answer *answer =
        fixture_ok(f, "GROUP.INFO", fixture_format("{'group': '%s'}", group), NULL);
    const msgpack_object *parts = wire_map_find(answer->map, "parts");
    return parts->via.array.ptr[0].via.array.ptr[9].via.u64;
}

static void assert_pulled(struct engine_fixture *f, const char *payloads)
{
    assert_string_equal(fixture_payloads(steps_pull(f, 9)), payloads);
}

static const struct expiry *expiry_of_t(struct engine_fixture *f)
{
    return expiry_of(f->engine, topic_find(f->engine, zsp_slice_str("t"))->partitions[0]);
}

static void nobody_pulls_and_they_are_counted(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const modes[] = {"shared", "ordered", "keyed"};
    for (size_t i = 0; i < 3; i++) {
        begin(f, modes[i], "{}");
        fixture_advance(f, SWEPT_MS);
        assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 0");
        assert_int_equal(expired_of(f, "g"), 3);
        assert_int_equal(fixture_number(fixture_ok(f, "STATS", "{}", NULL), "expired_messages"), 3);
        fixture_restart(f, MEM_KEEP_SYNCED);
        assert_int_equal(expired_of(f, "g"), 3);
        assert_pulled(f, "a b c");
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    }
}

static void none_is_counted_before_its_time(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    for (int ms = 0; ms < TTL_MS - 1; ms++) {
        fixture_advance(f, 1);
        assert_int_equal(f->engine->stats.expired_messages, 0);
    }
    assert_string_equal(steps_part(f, "t", 0), "0 6 6 0 0 0");
    assert_pulled(f, "a b x y z c");
}

static void they_are_dead_where_the_group_wants_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{'expired': 'dead'}");
    publish(f, TTL_MS, ", 'priority': 9", "[[b'u']]");
    fixture_advance(f, SWEPT_MS);
    assert_string_equal(steps_part(f, "t", 0), "0 7 3 0 0 4");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_string_equal(steps_part(f, "t", 0), "0 7 3 0 0 4");
    assert_int_equal(expired_of(f, "g"), 8);
}

static void a_restart_knows_them_again(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    for (int i = 0; i < 9; i++) { /* more than one answer of the store */
        publish(f, TTL_MS, "", "[[b'x']]");
        steps_publish_each(f, "t", "d");
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 12);
    assert_pulled(f, "a b c d d d d d d");
}

static void a_restart_after_their_time_counts_them(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    f->now.wall_ms += 60000; /* while it was down */
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "g"), 3);
}

static void a_paused_group_is_no_exception(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    fixture_ok(f, "GROUP.PAUSE", "{'group': 'g'}", NULL);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 3);
}

static void what_is_out_may_be_finished(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    const uint64_t lease = steps_pull(f, 9)->lease;
    fixture_advance(f, SWEPT_MS);
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 6 0 0");
    steps_settle(f, 2, 1, lease, "'ack'");
    steps_settle(f, 3, 1, lease, "'release'");
    steps_settle(f, 4, 1, lease, "'retry', {'delay_ms': 60000}");
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_string_equal(steps_part(f, "t", 0), "0 6 0 3 0 0");
    assert_int_equal(expired_of(f, "g"), 2);
}

/* Goal: nobody would be handed them out when the wait is over, so it need not be over. */
static void what_waits_for_a_retry_expires_meanwhile(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const modes[] = {"shared", "ordered", "keyed"};
    for (size_t i = 0; i < 6; i++) {
        const bool dies = i >= 3;
        begin(f, modes[i % 3], dies ? "{'expired': 'dead'}" : "{}");
        const uint64_t lease = steps_pull(f, 9)->lease;
        steps_settle(f, 0, 2, lease, "'ack'");
        steps_settle(f, 2, 3, lease, "'retry', {'delay_ms': 60000, 'reason': 'bad'}");
        fixture_advance(f, SWEPT_MS);
        assert_int_equal(expired_of(f, "g"), 3);
        const char *part = steps_part(f, "t", 0);
        assert_non_null(strstr(part, dies ? " 0 3" : " 0 0"));
        fixture_restart(f, MEM_KEEP_SYNCED);
        assert_int_equal(expired_of(f, "g"), 3);
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    }
}

static void what_waits_behind_its_key_dies_in_its_time(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const settings[] = {"{'expired': 'dead'}",
                                           "{'expired': 'dead', 'on_dead': 'hold'}"};
    for (size_t i = 0; i < 2; i++) {
        begin(f, "keyed", settings[i]);
        const uint64_t lease = steps_pull(f, 3)->lease; /* a b x, and y has the key of x */
        assert_string_equal(steps_part(f, "t", 0), "0 6 2 3 1 0");
        fixture_advance(f, SWEPT_MS);
        assert_string_equal(steps_part(f, "t", 0), "0 6 1 3 0 2");
        steps_settle(f, 0, 3, lease, "'ack'");
        assert_string_equal(steps_part(f, "t", 0), "5 6 1 0 0 2");
        assert_pulled(f, "c");
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    }
}

static void a_seek_back_counts_them_once_more(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    fixture_advance(f, SWEPT_MS);
    steps_settle(f, 0, 6, steps_pull(f, 9)->lease, "'ack'");
    fixture_advance(f, 5000);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 0");
    assert_int_equal(expired_of(f, "g"), 6);
}

/* Goal: what was looked at for all groups is looked at again for the one that moves. Another one keeps
 * what is known of it in memory. */
static void a_seek_back_beside_another_group_counts_as_well(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'other', 'topics': ['t']}", NULL);
    fixture_advance(f, SWEPT_MS);
    steps_settle(f, 0, 6, steps_pull(f, 9)->lease, "'ack'");
    fixture_advance(f, 5000);
    assert_int_equal(runmap_count(&expiry_of_t(f)->map, RUN_DONE), 3);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "g"), 6);
    assert_int_equal(expired_of(f, "other"), 3);
}

static void what_a_pull_puts_back_is_looked_at_again(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    steps_publish_each(f, "t", "a");
    publish(f, TTL_MS, "", "[[b'x'], [b'y']]");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket =
        fixture_send(f, "PULL", "{'group': 'g', 'topics': ['t'], 'max_bytes': 1}", NULL);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(f->engine->stats.expired_messages, 0);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "a");
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "g"), 2);
    assert_string_equal(steps_part(f, "t", 0), "0 3 0 1 0 0");
}

/* Every other message of a stretch from offset 1 on expires, as if it had been published. */
static void scatter(struct engine_fixture *f, uint64_t count, int64_t ttl_ms)
{
    struct partition *const partition = topic_find(f->engine, zsp_slice_str("t"))->partitions[0];
    for (uint64_t i = 0; i < count; i++) {
        partition->synced_offset = 2 * i + 2;
        expiry_add(f->engine, partition, 2 * i + 1, 2 * i + 2, ZSP_PRIORITY,
                   f->now.wall_ms + ttl_ms);
    }
}

/* Goal: what expires among others takes a run of the group's state each, and these are bounded. */
static void what_lies_too_scattered_is_left_to_pulls(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    steps_publish_each(f, "t", "a");
    scatter(f, 70000, TTL_MS);
    fixture_advance(f, SWEPT_MS + 2000);
    assert_int_equal(f->engine->stats.expired_messages, 65536);
    assert_in_range(run_slab_bytes(&f->engine->groups->slab), 0, 6 * ZSP_MIB);
}

/* Goal: what lies in the hands of a pull is looked for again and again, but not at the price of looking
 * at all the rest each second. */
static void who_has_much_to_look_at_rests_longer(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'other', 'topics': ['t']}", NULL);
    steps_publish_each(f, "t", "a");
    scatter(f, 6000, TTL_MS);
    mem_store_hold(f->mem, MEM_READS);
    fixture_send(f, "PULL", "{'group': 'g', 'max_messages': 2}", NULL);
    fixture_advance(f, TTL_MS);
    const struct expiry *self = expiry_of_t(f);
    for (int i = 0; f->engine->stats.expired_messages < 11999 && i < 3000; i++) {
        fixture_advance(f, 1);
    }
    fixture_advance(f, 2);
    const uint32_t turns = self->turns;
    const int64_t rest_ms = self->pass_ms - f->engine->clock.broker_ms;
    assert_in_range(turns, 2 * 6000 / 128, 100);
    assert_in_range(rest_ms, EXPIRY_RESTS * turns - 5, EXPIRY_RESTS * turns);
    fixture_advance(f, rest_ms - 1);
    assert_int_equal(self->turns, turns);
    fixture_advance(f, 2);
    assert_true(self->is_passing);
}

/* Goal: a look costs what came back, not all that has ever expired. */
static void what_comes_back_is_found_among_many_that_expired(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    publish(f, TTL_MS, "", "[[b'x']]");
    scatter(f, 5000, TTL_MS);
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_advance(f, SWEPT_MS + EXPIRY_PASS_MS);
    assert_int_equal(f->engine->stats.expired_messages, 5000);
    steps_settle(f, 0, 1, lease, "'release'");
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(f->engine->stats.expired_messages, 5001);
    assert_int_equal(expiry_of_t(f)->turns, 1);
}

/* Goal: what the bound leaves out is found by pulls, and by passes when what lies before it is finished. */
static void what_was_too_scattered_is_counted_when_there_is_room(void **state)
{
    struct engine_fixture *f = *state;
    f->engine->options.expiry_apart_max = 10;
    create(f, "shared", "{}");
    for (int i = 0; i < 40; i++) {
        steps_publish_each(f, "t", "a");
        publish(f, TTL_MS, "", "[[b'x']]");
    }
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 10);
    steps_settle(f, 0, 80, steps_pull(f, 15)->lease, "'ack'"); /* and two that are left */
    assert_string_equal(steps_part(f, "t", 0), "25 80 55 0 0 0");
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "g"), 12 + 11);
    for (int i = 0; i < 10; i++) {
        steps_settle(f, 0, 80, steps_pull(f, 3)->lease, "'ack'");
        fixture_advance(f, 3 * EXPIRY_PASS_MS);
    }
    assert_string_equal(steps_part(f, "t", 0), "80 80 0 0 0 0");
    assert_int_equal(expired_of(f, "g"), 40);
}

/* Publish messages that expire after so many seconds each, from, from + step, ... */
static void publish_times(struct engine_fixture *f, int from, int step, int count)
{
    for (int i = 0; i < count; i++) {
        publish(f, (from + i * step) * INT64_C(1000), "", "[[b'x']]");
    }
}

/* Goal: of more times than are remembered all are counted in time, as long as those that come first are known,
 * whether they were seen when they were published or after a start. */
static void more_times_than_there_is_room_for_are_all_counted(void **state)
{
    struct engine_fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        f->engine->options.expiry_runs_max = 64;
        create(f, "shared", "{}");
        publish_times(f, 10, 1, 200);
        assert_in_range(f->engine->expiries.slab.used, 60, 66);
        if (i > 0) {
            fixture_restart(f, MEM_KEEP_SYNCED);
            f->engine->options.expiry_runs_max = 64;
        }
        fixture_advance(f, 10000 + SWEPT_MS);
        for (uint64_t k = 0; k < 200; k += 20) {
            assert_in_range(expired_of(f, "g"), k + 1, k + 3);
            assert_in_range(f->engine->expiries.slab.used, 1, 100);
            fixture_advance(f, 20000);
        }
        assert_int_equal(expired_of(f, "g"), 200);
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    }
}

/* Goal: where those that expire late have taken the room, the others are left to pulls, until it is there. */
static void what_there_is_no_room_for_is_left_to_pulls(void **state)
{
    struct engine_fixture *f = *state;
    f->engine->options.expiry_runs_max = 64;
    create(f, "shared", "{}");
    publish_times(f, 3600, 10, 70);
    publish_times(f, 1, 1, 20);
    fixture_advance(f, 120000);
    assert_string_equal(steps_part(f, "t", 0), "0 90 90 0 0 0");
    const uint64_t lease = steps_pull(f, 70)->lease;
    assert_pulled(f, "");
    assert_pulled(f, "");
    assert_pulled(f, "");
    assert_string_equal(steps_part(f, "t", 0), "0 90 0 70 0 0");
    assert_int_equal(expired_of(f, "g"), 20);
    steps_settle(f, 0, 70, lease, "'ack'");
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': ['offset', 60]}", NULL);
    fixture_advance(f, 120000);
    assert_int_equal(expired_of(f, "g"), 40);
    assert_string_equal(steps_part(f, "t", 0), "60 90 10 0 0 0");
}

static void a_group_that_comes_later_has_them_counted(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    steps_settle(f, 0, 6, steps_pull(f, 9)->lease, "'ack'");
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 0);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'late', 'topics': ['t']}", NULL);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "late"), 3);
    assert_int_equal(expired_of(f, "g"), 0);
}

static void a_clock_ahead_counts_and_a_clock_back_does_not(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    const uint64_t lease = steps_pull(f, 3)->lease; /* a b x */
    f->now.wall_ms += 3600000;
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "g"), 2);
    f->now.wall_ms -= 3600000 + 2 * EXPIRY_PASS_MS;
    steps_settle(f, 2, 1, lease, "'release'");
    publish(f, 60000, "", "[[b'late']]");
    fixture_advance(f, TTL_MS / 2);
    assert_int_equal(expired_of(f, "g"), 2);
    fixture_advance(f, 5000);
    assert_int_equal(expired_of(f, "g"), 3);
    assert_pulled(f, "c late");
}

static void a_full_journal_counts_nothing_until_there_is_room(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{'expired': 'dead'}");
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_advance(f, TTL_MS + 501);
    assert_int_equal(f->engine->stats.expired_messages, 0);
    assert_int_equal(f->engine->stats.dead_messages, 0);
    assert_string_equal(steps_part(f, "t", 0), "0 6 6 0 0 0");
    fixture_advance(f, 1100);
    assert_string_equal(steps_part(f, "t", 0), "0 6 3 0 0 3");
}

static void a_delayed_one_expires_as_well(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    publish(f, TTL_MS, fixture_format(", 'not_before_ms': %" PRId64, f->now.wall_ms + 700),
            "[[b'x']]");
    steps_publish_each(f, "t", "a");
    assert_string_equal(steps_part(f, "t", 0), "0 2 1 0 1 0");
    f->now.wall_ms += 5000; /* it comes due, and expires, in one step */
    fixture_advance(f, 1000);
    assert_string_equal(steps_part(f, "t", 0), "1 2 1 0 0 0");
    assert_int_equal(expired_of(f, "g"), 1);
    assert_pulled(f, "a");
}

static void a_side_replay_ends_without_them(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    steps_settle(f, 0, 6, steps_pull(f, 9)->lease, "'ack'");
    fixture_advance(f, SWEPT_MS);
    fixture_ok(f, "GROUP.REPLAY",
               "{'group': 'g', 'name': 'r', 'from': ['offset', 1], 'to': ['offset', 4]}", NULL);
    fixture_advance(f, 2 * EXPIRY_PASS_MS);
    assert_int_equal(expired_of(f, "r"), 2);
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", "{'group': 'r'}", NULL)), "b");
}

/* Goal: a pass of many turns comes to its end, and what expires among others is bounded by the rest. */
static void many_stretches_take_many_turns(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    for (int i = 0; i < 900; i++) {
        publish(f, TTL_MS, "", "[[b'x']]");
        steps_publish_each(f, "t", "a");
    }
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 900);
    assert_string_equal(steps_part(f, "t", 0), "1 1800 900 0 0 0");
}

static void what_expires_in_order_is_few_runs(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    for (int i = 0; i < 500; i++) {
        publish(f, 3600000, "", "[[b'x'], [b'y']]");
        fixture_advance(f, 1000);
    }
    const uint32_t runs = f->engine->expiries.slab.used;
    assert_in_range(runs, 100, 140); /* of about four seconds each */
    fixture_advance(f, 3600000);
    assert_int_equal(expired_of(f, "g"), 1000);
    assert_in_range(f->engine->expiries.slab.used, 0, 2);
}

static void nothing_is_kept_that_nobody_needs(void **state)
{
    struct engine_fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        publish(f, 1000 * (i + 1), "", "[[b'x']]");
    }
    assert_int_equal(f->engine->expiries.slab.used, 1); /* number 0 */
    create(f, "shared", "{}");
    fixture_advance(f, EXPIRY_PASS_MS + 10);
    assert_in_range(f->engine->expiries.slab.used, 40, 60);
    steps_settle(f, 0, 50, steps_pull(f, 99)->lease, "'ack'");
    fixture_advance(f, 3 * EXPIRY_PASS_MS);
    assert_int_equal(f->engine->expiries.slab.used, 1);
    assert_false(timer_is_armed(&expiry_of_t(f)->timer));
}

static void a_topic_without_them_has_nothing_of_it(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "shared", "{}");
    steps_publish_each(f, "t", "a b");
    assert_null(expiry_of_t(f));
    assert_int_equal(f->engine->expiries.count, 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(f->engine->expiries.count, 0);
}

static void a_read_that_fails_is_tried_again(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "shared", "{}");
    fixture_restart(f, MEM_KEEP_SYNCED);
    mem_store_fail_reads(f->mem, 1, 0, ZSP_EIO);
    fixture_advance(f, SWEPT_MS);
    assert_int_equal(expired_of(f, "g"), 0);
    mem_store_fail_reads(f->mem, 1, 0, 0);
    fixture_advance(f, 4000);
    assert_int_equal(expired_of(f, "g"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(nobody_pulls_and_they_are_counted),
        TEST(none_is_counted_before_its_time),
        TEST(they_are_dead_where_the_group_wants_it),
        TEST(a_restart_knows_them_again),
        TEST(a_restart_after_their_time_counts_them),
        TEST(a_paused_group_is_no_exception),
        TEST(what_is_out_may_be_finished),
        TEST(what_waits_for_a_retry_expires_meanwhile),
        TEST(what_waits_behind_its_key_dies_in_its_time),
        TEST(a_seek_back_counts_them_once_more),
        TEST(a_seek_back_beside_another_group_counts_as_well),
        TEST(what_a_pull_puts_back_is_looked_at_again),
        TEST(what_lies_too_scattered_is_left_to_pulls),
        TEST(what_was_too_scattered_is_counted_when_there_is_room),
        TEST(more_times_than_there_is_room_for_are_all_counted),
        TEST(what_there_is_no_room_for_is_left_to_pulls),
        TEST(who_has_much_to_look_at_rests_longer),
        TEST(what_comes_back_is_found_among_many_that_expired),
        TEST(a_group_that_comes_later_has_them_counted),
        TEST(a_clock_ahead_counts_and_a_clock_back_does_not),
        TEST(a_full_journal_counts_nothing_until_there_is_room),
        TEST(a_delayed_one_expires_as_well),
        TEST(a_side_replay_ends_without_them),
        TEST(many_stretches_take_many_turns),
        TEST(what_expires_in_order_is_few_runs),
        TEST(nothing_is_kept_that_nobody_needs),
        TEST(a_topic_without_them_has_nothing_of_it),
        TEST(a_read_that_fails_is_tried_again),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
