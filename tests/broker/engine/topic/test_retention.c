/* SPDX-License-Identifier: MPL-2.0
 *
 * What a topic may hold: until all groups have done it, and at most so many bytes.
 */
#include <inttypes.h>
#include <string.h>

#include "common/assert.h"
#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define CONSUMED "{'topic': 't', 'settings': {'until_consumed': 'yes'}}"

static uint64_t start_of(struct engine_fixture *f)
{
    return fixture_number(fixture_ok(f, "READ", "{'topic': 't', 'from': 'latest'}", NULL), "start");
}

static void create_group(struct engine_fixture *f, const char *group)
{
    fixture_ok(f, "GROUP.CREATE", fixture_format("{'group': '%s', 'topics': ['t']}", group), NULL);
}

/* Pull so many messages for the group and ack them. */
static void ack(struct engine_fixture *f, const char *group, unsigned count)
{
    const struct answer *pulled = fixture_ok(
        f, "PULL", fixture_format("{'group': '%s', 'max_messages': %u}", group, count), NULL);
    const msgpack_object *runs = wire_map_find(pulled->map, "runs");
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        const msgpack_object *run = runs->via.array.ptr[i].via.array.ptr;
        fixture_ok(f, "SETTLE",
                   fixture_format("{'group': '%s', 'runs': [['t', 0, %" PRIu64 ", %" PRIu64
                                  ", %" PRIu64 ", 'ack']]}",
                                  group, run[2].via.u64, run[3].via.u64, pulled->lease),
                   NULL);
    }
}

/* Goal: what expired in a group that nobody pulls for is no reason to keep it. */
static void what_expired_is_consumed(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    create_group(f, "g");
    for (int i = 0; i < 5; i++) {
        fixture_ok(f, "PUBLISH",
                   fixture_format("{'topic': 't', 'partition': 0, 'expires_at_ms': %" PRId64 "}",
                                  f->now.wall_ms + 3 * (int64_t)ZSP_RETENTION_MS / 2),
                   "[[b'x']]");
    }
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 0);
    fixture_advance(f, ZSP_RETENTION_MS);
    assert_int_equal(start_of(f), 4);
    assert_string_equal(steps_part(f, "t", 0), "5 5 0 0 0 0");
}

static void what_all_groups_have_done_goes(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e f g");
    fixture_advance(f, ZSP_RETENTION_MS + 1); /* no group: nothing is consumed */
    assert_int_equal(start_of(f), 0);
    create_group(f, "g");
    create_group(f, "h");
    ack(f, "g", 7);
    fixture_advance(f, ZSP_RETENTION_MS);
    assert_int_equal(start_of(f), 0);
    ack(f, "h", 5);
    fixture_advance(f, ZSP_RETENTION_MS);
    assert_int_equal(start_of(f), 4);
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'h'}", NULL), "parts"),
                        "[[\"t\", 0, 5, 7, 2, 0, 0, 0, 0, 0, 0]]");
}

/* Goal: an ack that a power cut may still take back does not count. */
static uint64_t start_of_first(struct engine_fixture *f, const char *topic)
{
    const char *args = fixture_format("{'topic': '%s', 'from': 'latest'}", topic);
    return fixture_number(fixture_ok(f, "READ", args, NULL), "start");
}

/* Goal: no turn looks at the partitions of all topics. Method: three topics of more than a turn's together; in
 * the turn in which the first two lose what is old the third does not, but in the next one. */
static void many_partitions_are_looked_at_in_turns(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const topics[] = {"a", "b", "c"};
    mem_store_segment_batches(f->mem, 2);
    for (size_t i = 0; i < 3; i++) {
        fixture_ok(f, "TOPIC.CREATE",
                   fixture_format("{'topic': '%s', 'partitions': 400, 'settings':"
                                  " {'retention_time_ms': 1000}}",
                                  topics[i]),
                   NULL);
        for (int k = 0; k < 5; k++) {
            fixture_ok(f, "PUBLISH", fixture_format("{'topic': '%s', 'partition': 0}", topics[i]),
                       "[[b'x']]");
        }
    }
    fixture_advance(f, 2000);
    for (int round = 0; round < 2; round++) {
        const uint64_t before = start_of_first(f, "a");
        for (int i = 0; start_of_first(f, "a") == before && i < 100; i++) {
            const int64_t wait_ms = engine_deadline_ms(f->engine) - f->now.mono_ms;
            fixture_advance(f, wait_ms > 1 ? wait_ms : 1);
        }
        assert_int_equal(start_of_first(f, "a"), before + 4);
        assert_int_equal(start_of_first(f, "b"), before + 4);
        assert_int_equal(start_of_first(f, "c"), before);
        fixture_advance(f, 1);
        assert_int_equal(start_of_first(f, "c"), before + 4);
        for (int k = 0; k < 12; k++) { /* the next round comes in its time */
            fixture_ok(f, "PUBLISH",
                       fixture_format("{'topic': '%s', 'partition': 0}", topics[k % 3]),
                       "[[b'x']]");
        }
        fixture_advance(f, 1500);
    }
}

static void only_what_is_durable_counts(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e");
    create_group(f, "g");
    const uint64_t lease = steps_pull(f, 5)->lease;
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_send(
        f, "SETTLE",
        fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 5, %" PRIu64 ", 'ack']]}", lease),
        NULL);
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 0);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(start_of(f), 4);
}

/* Goal: a topic that is consumed, but of which nothing can go, costs no records. Method: the open segment is
 * consumed, and rounds go by. */
static void nothing_is_written_while_nothing_can_go(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 4);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    create_group(f, "g");
    steps_publish_each(f, "t", "a b c");
    ack(f, "g", 3);
    fixture_advance(f, 2 * ZSP_RETENTION_MS); /* leases are over, no timer runs */
    const size_t before = mem_store_record_count(f->mem);
    fixture_advance(f, 5 * ZSP_RETENTION_MS);
    assert_int_equal(mem_store_record_count(f->mem), before);
    steps_publish_each(f, "t", "d e");
    fixture_advance(f, 2 * ZSP_RETENTION_MS);
    assert_int_equal(start_of(f), 0); /* d is not done */
    ack(f, "g", 2);
    fixture_advance(f, ZSP_RETENTION_MS);
    assert_int_equal(start_of(f), 4);
}

/* Goal: what a group goes back to stays, also when all was consumed a moment ago. */
static void a_seek_back_keeps_what_is_about_to_go(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e");
    create_group(f, "g");
    ack(f, "g", 5);
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_advance(f, ZSP_RETENTION_MS + 1); /* it is noted that all is done */
    const uint64_t ticket = fixture_send(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->error.code, 0);
    assert_int_equal(start_of(f), 0);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "a b c d e");
}

#define SPARING "{'group': 'g', 'topics': ['t'], 'settings': {'dead_retention_ms': 60000}}"

/* Nine messages of which one died and the others are done; retention has come by. */
static void die_and_pass(struct engine_fixture *f)
{
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e f g h i");
    fixture_ok(f, "GROUP.CREATE", SPARING, NULL);
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 5, 1, lease, "'reject'");
    steps_settle(f, 0, 5, lease, "'ack'");
    steps_settle(f, 6, 3, lease, "'ack'");
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 8);
}

static uint64_t count_dead(struct engine_fixture *f)
{
    return fixture_number(fixture_ok(f, "DEAD.LIST", "{'group': 'g'}", NULL), "dead");
}

static const char *read_dead(struct engine_fixture *f)
{
    return fixture_payloads(
        fixture_ok(f, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 5, 1]]}", NULL));
}

/* Goal: retention leaves the dead messages of a group that wants it, for its time, and nothing else. */
static void the_dead_stay_for_a_time_when_the_log_goes(void **state)
{
    struct engine_fixture *f = *state;
    die_and_pass(f);
    assert_int_equal(count_dead(f), 1);
    assert_string_equal(read_dead(f), "f");
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "islands"),
        "[[0, 5, 0]]");
    fixture_error(f, ZSP_EOUT_OF_RANGE, "READ", "{'topic': 't', 'from': ['offset', 5]}", NULL);
    assert_string_equal(
        fixture_payloads(fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest'}", NULL)), "i");
    fixture_advance(f, 60000 - 2 * ZSP_RETENTION_MS);
    assert_int_equal(count_dead(f), 1);
    fixture_advance(f, 3 * ZSP_RETENTION_MS);
    assert_int_equal(count_dead(f), 0);
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "islands"), "");
    fixture_error(f, ZSP_ENOT_FOUND, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 5, 1]]}", NULL);
}

/* Goal: what is redriven of it is delivered again, however long that takes, and then it is over. */
static void what_is_redriven_stays_until_it_is_done(void **state)
{
    struct engine_fixture *f = *state;
    die_and_pass(f);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 5, 1]]}", NULL);
    fixture_advance(f, 200000);
    const struct answer *pulled = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(pulled), "f");
    steps_settle(f, 5, 1, pulled->lease, "'retry', {'delay_ms': 1000}");
    fixture_advance(f, 200000);
    pulled = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(pulled), "f");
    steps_settle(f, 5, 1, pulled->lease, "'reject'");
    assert_int_equal(count_dead(f), 1);
    assert_string_equal(read_dead(f), "f");
    fixture_advance(f, 60000 - ZSP_RETENTION_MS);
    assert_int_equal(count_dead(f), 1);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    steps_settle(f, 5, 1, steps_pull(f, 10)->lease, "'ack'");
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "parts"),
                        "[[\"t\", 0, 9, 9, 0, 0, 0, 0, 0, 0, 0]]");
}

/* Goal: a restart finds what was left, and nothing that was not. */
static void what_is_left_is_there_after_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    die_and_pass(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(start_of(f), 8);
    assert_int_equal(count_dead(f), 1);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(count_dead(f), 0);
    const struct answer *pulled = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(pulled), "f");
    steps_settle(f, 5, 1, pulled->lease, "'ack'");
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "");
}

/* Goal: a purge takes them along; what was to be delivered again is counted as lost. */
static void a_purge_takes_the_dead_along(void **state)
{
    struct engine_fixture *f = *state;
    die_and_pass(f);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.PURGE", "{'topic': 't', 'before': 'latest'}", NULL),
                      "groups"),
        "[[\"g\", 1]]");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "");
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "parts"),
                        "[[\"t\", 0, 9, 9, 0, 0, 0, 0, 1, 0, 0]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "");
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "parts"),
                        "[[\"t\", 0, 9, 9, 0, 0, 0, 0, 1, 0, 0]]");
}

/* Goal: what was still to be done is lost and counted once; what is dead is neither. */
static void what_is_dead_does_not_count_as_lost(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'settings': {'retention_bytes': 1}}", NULL);
    steps_publish_each(f, "t", "a b c d e f g h i");
    fixture_ok(f, "GROUP.CREATE", SPARING, NULL);
    const uint64_t lease = steps_pull(f, 5)->lease;
    steps_settle(f, 2, 1, lease, "'reject'");
    steps_settle(f, 0, 2, lease, "'ack'");
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 8);
    for (int i = 0; i < 3; i++) {
        const struct answer *told = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
        assert_string_equal(fixture_value(told, "parts"),
                            "[[\"t\", 0, 8, 9, 1, 0, 0, 1, 5, 0, 0]]");
        fixture_restart(f, MEM_KEEP_SYNCED);
        fixture_advance(f, ZSP_RETENTION_MS + 1);
    }
}

static void orders_hold_for_what_comes_back(struct engine_fixture *f, const char *mode)
{
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    for (int i = 0; i < 9; i++) {
        fixture_ok(f, "PUBLISH", "{'topic': 't'}",
                   i % 2 == 0 ? "[[b'x', b'k']]" : "[[b'y', b'l']]");
    }
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': '%s', 'settings': "
                              "{'dead_retention_ms': 60000}}",
                              mode),
               NULL);
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 4, 1, lease, "'reject'");
    steps_settle(f, 0, 4, lease, "'ack'");
    steps_settle(f, 5, 4, lease, "'ack'");
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 8);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'z', b'k']]");
    const struct answer *pulled = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(pulled), "x");
    steps_settle(f, 4, 1, pulled->lease, "'ack'");
    pulled = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(pulled), "z");
    steps_settle(f, 9, 1, pulled->lease, "'ack'");
    const struct answer *told = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_string_equal(fixture_value(told, "parts"), "[[\"t\", 0, 10, 10, 0, 0, 0, 0, 0, 0, 0]]");
}

static void a_keyed_group_gets_it_before_what_is_behind_it(void **state)
{
    orders_hold_for_what_comes_back(*state, "keyed");
}

static void an_ordered_group_gets_it_before_what_is_behind_it(void **state)
{
    orders_hold_for_what_comes_back(*state, "ordered");
}

/* Goal: with the group goes what was left for it. */
static void nothing_is_left_for_a_group_that_is_gone(void **state)
{
    struct engine_fixture *f = *state;
    die_and_pass(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "islands"), "");
}

/* Goal: each group keeps its own: one that does not want it has no dead below the start. */
static void each_group_keeps_its_own_dead(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e");
    fixture_ok(f, "GROUP.CREATE", SPARING, NULL);
    create_group(f, "h");
    const uint64_t lease = steps_pull(f, 5)->lease;
    steps_settle(f, 1, 1, lease, "'reject'");
    steps_settle(f, 0, 1, lease, "'ack'");
    steps_settle(f, 2, 3, lease, "'ack'");
    const uint64_t other = fixture_ok(f, "PULL", "{'group': 'h'}", NULL)->lease;
    fixture_ok(
        f, "SETTLE",
        fixture_format("{'group': 'h', 'runs': [['t', 0, 0, 5, %" PRIu64 ", 'reject']]}", other),
        NULL);
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 4);
    assert_int_equal(count_dead(f), 1);
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'h'}", NULL), "parts"),
                        "[[\"t\", 0, 5, 5, 0, 0, 0, 1, 0, 0, 0]]");
}

/* Goal: a savepoint brings back no dead message that is gone, and takes none away that is left. */
static void savepoints_leave_what_is_below_the_start(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e f g h i");
    fixture_ok(f, "GROUP.CREATE", SPARING, NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's'}", NULL);
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 5, 1, lease, "'reject'");
    steps_settle(f, 0, 5, lease, "'ack'");
    steps_settle(f, 6, 3, lease, "'ack'");
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    fixture_ok(f, "SAVEPOINT.RESTORE", "{'group': 'g', 'name': 's'}", NULL);
    assert_int_equal(count_dead(f), 1);
    assert_string_equal(read_dead(f), "f");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "i");
}

static void pulls_do_not_make_groups_there(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "PULL", "{'group': 'slip', 'topics': ['t']}", NULL);
    create_group(f, "g");
    fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t']}", NULL);
}

static void publish(struct engine_fixture *f, int code, unsigned bytes)
{
    static char body[4096];
    memset(body, 'x', sizeof body);
    zsp_assert(bytes < sizeof body - 16);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the rest is there */
    memcpy(body, "[[b'", 4);
    memcpy(body + 4 + bytes, "']]", 4);
    const char *args = "{'topic': 't', 'partition': 0}";
    if (code == 0) {
        fixture_ok(f, "PUBLISH", args, body);
    } else {
        fixture_error(f, code, "PUBLISH", args, body);
    }
}

static void a_full_topic_refuses_until_there_is_room(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 't', 'settings': {'until_consumed': 'yes', 'max_topic_bytes': 4000}}",
               NULL);
    create_group(f, "g");
    for (int i = 0; i < 3; i++) {
        publish(f, 0, 1000);
    }
    publish(f, ZSP_ETOPIC_FULL, 1000);
    publish(f, ZSP_ETOO_LARGE, 4000);
    fixture_advance(f, 100);
    publish(f, ZSP_ETOPIC_FULL, 1000);
    ack(f, "g", 3);
    fixture_advance(f, 100); /* it was full: retention comes soon */
    publish(f, 0, 1000);
    assert_int_equal(start_of(f), 3);
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'max_topic_bytes': null}}", NULL);
    for (int i = 0; i < 9; i++) {
        publish(f, 0, 1000);
    }
}

/* Goal: what a commit is about to append counts like what is there. */
static void a_commit_at_work_takes_its_room(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'settings': {'max_topic_bytes': 200}}", NULL);
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t ticket = fixture_send(
        f, "COMMIT", "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 't'}]}",
        "[[b'x']]");
    fixture_leap(f, 1);
    publish(f, ZSP_ETOPIC_FULL, 10);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->error.code, 0);
}

#define NTH "{'topic': 't', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': %d, 'count': 1}"

/* Goal: a batch that is sent again is confirmed, also when the topic is full by now. */
static void a_repeated_batch_is_no_new_one(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'settings': {'max_topic_bytes': 300}}", NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_ok(f, "PUBLISH", fixture_format(NTH, 1), "[[b'a']]");
    fixture_ok(f, "PUBLISH", fixture_format(NTH, 2), "[[b'b']]");
    fixture_error(f, ZSP_ETOPIC_FULL, "PUBLISH", fixture_format(NTH, 3), "[[b'c']]");
    fixture_ok(f, "PUBLISH", fixture_format(NTH, 2), "[[b'b']]");
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'max_topic_bytes': 900}}", NULL);
    fixture_ok(f, "PUBLISH", fixture_format(NTH, 3), "[[b'c']]");
}

#define OF_EPOCH \
    "{'topic': 't', 'partition': 0, 'producer': 'p', 'epoch': %d, 'seq': %d, 'count': 1}"

/* Goal: the batches that told of sequences go, by each kind of limit; what they told does not. */
static void a_producer_knows_where_it_stopped(void **state)
{
    struct engine_fixture *f = *state;
    const char *const limits[] = {"'retention_bytes': 100", "'retention_time_ms': 1000",
                                  "'until_consumed': 'yes'",
                                  "'max_topic_bytes': 400, 'when_full': 'drop_oldest'"};
    mem_store_segment_batches(f->mem, 1);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        fixture_ok(f, "TOPIC.CREATE", fixture_format("{'topic': 't', 'settings': {%s}}", limits[i]),
                   NULL);
        fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'start': 'latest'}", NULL);
        fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
        fixture_ok(f, "PUBLISH", fixture_format(OF_EPOCH, (int)i + 1, 1), "[[b'a']]");
        fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
        publish(f, 0, 1000);
        fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
        fixture_advance(f, 2 * ZSP_RETENTION_MS);
        assert_in_range(start_of(f), 1, 2);
        fixture_restart(f, MEM_KEEP_SYNCED);
        fixture_ok(f, "PUBLISH", fixture_format(OF_EPOCH, (int)i + 1, 2), "[[b'b']]");
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
        fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    }
}

static void the_oldest_go_when_it_is_said_so(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 't', 'settings': {'max_topic_bytes': 6000, 'when_full': 'drop_oldest'}}",
               NULL);
    create_group(f, "g");
    for (int i = 0; i < 12; i++) {
        publish(f, 0, 1000);
        fixture_advance(f, 60);
    }
    const uint64_t start = start_of(f);
    assert_in_range(start, 6, 8);
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "parts"),
                        fixture_format("[[\"t\", 0, %" PRIu64 ", 12, %" PRIu64 ", 0, 0, 0, %" PRIu64
                                       ", 0, 0]]",
                                       start, 12 - start, start));
}

static void settings_are_told_and_kept(void **state)
{
    struct engine_fixture *f = *state;
    const char *told = "{\"until_consumed\": \"yes\", \"max_topic_bytes\": 5, \"when_full\": "
                       "\"drop_oldest\"}";
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 't', 'settings': {'until_consumed': 'yes', 'max_topic_bytes': 5, "
               "'when_full': 'drop_oldest'}}",
               NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "settings"), told);
    const struct {
        int code;
        const char *settings;
    } cases[] = {
        {ZSP_EBAD_TYPE, "{'until_consumed': true}"},
        {ZSP_EBAD_VALUE, "{'until_consumed': 'maybe'}"},
        {ZSP_EBAD_VALUE, "{'when_full': 'burst'}"},
        {ZSP_EBAD_VALUE, "{'max_topic_bytes': 0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "TOPIC.SET",
                      fixture_format("{'topic': 't', 'settings': %s}", cases[i].settings), NULL);
    }
    fixture_ok(f, "TOPIC.SET",
               "{'topic': 't', 'settings': {'until_consumed': 'no', 'max_topic_bytes': null, "
               "'when_full': null}}",
               NULL);
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "settings"), "{}");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_all_groups_have_done_goes),
        TEST(what_expired_is_consumed),
        TEST(many_partitions_are_looked_at_in_turns),
        TEST(only_what_is_durable_counts),
        TEST(nothing_is_written_while_nothing_can_go),
        TEST(a_seek_back_keeps_what_is_about_to_go),
        TEST(the_dead_stay_for_a_time_when_the_log_goes),
        TEST(what_is_redriven_stays_until_it_is_done),
        TEST(what_is_left_is_there_after_a_restart),
        TEST(a_purge_takes_the_dead_along),
        TEST(what_is_dead_does_not_count_as_lost),
        TEST(a_keyed_group_gets_it_before_what_is_behind_it),
        TEST(an_ordered_group_gets_it_before_what_is_behind_it),
        TEST(nothing_is_left_for_a_group_that_is_gone),
        TEST(each_group_keeps_its_own_dead),
        TEST(savepoints_leave_what_is_below_the_start),
        TEST(pulls_do_not_make_groups_there),
        TEST(a_full_topic_refuses_until_there_is_room),
        TEST(a_repeated_batch_is_no_new_one),
        TEST(a_commit_at_work_takes_its_room),
        TEST(the_oldest_go_when_it_is_said_so),
        TEST(a_producer_knows_where_it_stopped),
        TEST(settings_are_told_and_kept),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
