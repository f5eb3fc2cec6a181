/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics that are compacted by key, over the segmented log: who sees what of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define COMPACT "{'topic': 't', 'settings': {'cleanup': 'compact'}}"
#define KEYS    10
#define NTH     "{'topic': 't', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': %d, 'count': 20}"

/* A batch of `count` values, "<name><n>", of keys in turn. */
static const char *values(const char *name, int count)
{
    static char body[8192];
    size_t len = (size_t)snprintf(body, sizeof body, "[");
    for (int i = 0; i < count; i++) {
        len += (size_t)snprintf(body + len, sizeof body - len, "%s[b'%s%d%0100d', b'k%d']",
                                i ? ", " : "", name, i, 0, i % KEYS);
    }
    (void)snprintf(body + len, sizeof body - len, "]");
    return body;
}

/* Several segments of the same keys, over and over. */
static void publish_rounds(struct engine_fixture *f, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        fixture_ok(f, "PUBLISH", "{'topic': 't'}", values(fixture_format("r%d-", i), 20));
    }
}

static uint64_t end_of(struct engine_fixture *f)
{
    return fixture_number(fixture_ok(f, "READ", "{'topic': 't', 'from': 'latest'}", NULL), "end");
}

/* How many messages a replay of all brings. */
static unsigned count_all(struct engine_fixture *f)
{
    unsigned count = 0;
    uint64_t next = 0;
    const uint64_t end = end_of(f);
    while (next < end) {
        const struct answer *a = fixture_ok(
            f, "READ", fixture_format("{'topic': 't', 'from': ['offset', %" PRIu64 "]}", next),
            NULL);
        count += (unsigned)steps_count(a);
        next = fixture_number(a, "next");
    }
    return count;
}

static void wait_for_compaction(struct engine_fixture *f)
{
    fixture_advance(f, 3 * ZSP_RETENTION_MS);
}

static const char *compaction_of(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "compaction");
}

static void old_values_go_and_the_newest_stay(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", COMPACT, NULL);
    publish_rounds(f, 100);
    const uint64_t end = end_of(f);
    assert_int_equal(count_all(f), 2000);
    wait_for_compaction(f);
    const unsigned left = count_all(f);
    assert_in_range(left, KEYS, 600);
    assert_int_equal(end_of(f), end);
    assert_non_null(strstr(compaction_of(f), ", 1, "));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count_all(f), left);
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
    /* Nothing new for a while: the last segment goes in, too. */
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS + 6 * ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), KEYS);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'new', b'k3']]");
    assert_int_equal(end_of(f), end + 1);
}

static void a_group_gets_what_is_left(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", COMPACT, NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'late', 'topics': ['t']}", NULL);
    publish_rounds(f, 100);
    const uint64_t lease = steps_pull(f, 30)->lease;
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS / 4);
    assert_string_equal(
        fixture_value(steps_settle(f, 0, 30, lease, "'retry', {'delay_ms': 1}"), "not_applied"),
        "[]");
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS + 6 * ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), KEYS);
    const char *const groups[] = {"g", "late"};
    for (size_t i = 0; i < 2; i++) {
        const struct answer *a = fixture_ok(
            f, "PULL", fixture_format("{'group': '%s', 'max_messages': 100}", groups[i]), NULL);
        assert_int_equal(steps_count(a), KEYS);
        fixture_ok(f, "SETTLE",
                   fixture_format("{'group': '%s', 'runs': [['t', 0, 1990, 10, %" PRIu64
                                  ", 'ack']]}",
                                  groups[i], a->lease),
                   NULL);
        const char *info = fixture_value(
            fixture_ok(f, "GROUP.INFO", fixture_format("{'group': '%s'}", groups[i]), NULL),
            "parts");
        /* 30 were handed out to the first before, and not done. */
        assert_string_equal(info, "[[\"t\", 0, 2000, 2000, 0, 0, 0, 0, 0, 0, 1990]]");
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *a = fixture_ok(f, "GROUP.INFO", "{'group': 'late'}", NULL);
    assert_non_null(strstr(fixture_value(a, "parts"), "0, 0, 0, 0, 0, 0, 1990]]"));
}

/* [committed end ready leased waiting dead lost expired compacted] of topic t, partition 0. */
static const char *part_of(struct engine_fixture *f, const char *group)
{
    return fixture_value(
        fixture_ok(f, "GROUP.INFO", fixture_format("{'group': '%s'}", group), NULL), "parts");
}

/* Goal: nobody pulls, and what is left of the messages expires: what compaction took is told as compacted
 * where the log is read for it, as in groups with a filter. */
static void what_is_left_expires_and_the_rest_is_told(void **state)
{
    struct engine_fixture *f = *state;
    const int64_t ttl_ms = 2 * ZSP_COMPACTION_IDLE_MS + 20 * (int64_t)ZSP_RETENTION_MS;
    const int64_t end_ms = f->now.wall_ms + ttl_ms;
    fixture_ok(f, "TOPIC.CREATE", COMPACT, NULL);
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'filter': 'key = \"k1\"'}}", NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'all', 'topics': ['t']}", NULL);
    for (int i = 0; i < 100; i++) {
        fixture_ok(f, "PUBLISH",
                   fixture_format("{'topic': 't', 'expires_at_ms': %" PRId64 "}", end_ms),
                   values(fixture_format("r%d-", i), 20));
    }
    fixture_advance(f, ttl_ms / 2);
    assert_int_equal(count_all(f), KEYS);
    fixture_advance(f, ttl_ms / 2 + 3000);
    assert_string_equal(part_of(f, "g"), "[[\"t\", 0, 2000, 2000, 0, 0, 0, 0, 0, 1, 1990]]");
    assert_string_equal(part_of(f, "all"), "[[\"t\", 0, 2000, 2000, 0, 0, 0, 0, 0, 10, 1990]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(part_of(f, "g"), "[[\"t\", 0, 2000, 2000, 0, 0, 0, 0, 0, 1, 1990]]");
}

/* Goal: what is gone may reach from what the group had when the broker ended to what it had not. */
static void a_keyed_group_goes_on_after_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", COMPACT, NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'mode': 'keyed'}", NULL);
    publish_rounds(f, 100);
    const uint64_t lease = steps_pull(f, 30)->lease;
    (void)steps_settle(f, 10, 20, lease, "'ack'");
    (void)steps_settle(f, 0, 10, lease, "'release'");
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS + 6 * ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), KEYS);
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *a = steps_pull(f, 100);
    assert_int_equal(steps_count(a), KEYS);
    (void)steps_settle(f, 1990, KEYS, a->lease, "'ack'");
    assert_string_equal(steps_part(f, "t", 0), "2000 2000 0 0 0 0");
}

/* Goal: who wants one message at a time does not come by every one that is gone. */
static void what_is_gone_is_passed_over_in_leaps(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", COMPACT, NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    publish_rounds(f, 200);
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS + 6 * ZSP_RETENTION_MS);
    const uint64_t reads = fixture_number(fixture_ok(f, "STATS", "{}", NULL), "read_requests");
    assert_int_equal(steps_count(steps_pull(f, 1)), 1);
    const uint64_t more = fixture_number(fixture_ok(f, "STATS", "{}", NULL), "read_requests");
    assert_in_range(more - reads, 1, 10);
}

static void a_producer_knows_where_it_stopped(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", COMPACT, NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    for (int i = 0; i < 100; i++) {
        fixture_ok(f, "PUBLISH", fixture_format(NTH, i * 20 + 1), values("x", 20));
    }
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS + 6 * ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), KEYS);
    for (int i = 0; i < 2; i++) {
        fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", fixture_format(NTH, 2002), values("x", 20));
        const struct answer *a =
            fixture_ok(f, "PUBLISH", fixture_format(NTH, 1981), values("x", 20));
        assert_string_equal(fixture_value(a, "at"), "[[0, 20, 0, 1980, true]]");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
    fixture_ok(f, "PUBLISH", fixture_format(NTH, 2001), values("x", 20));
}

static void a_message_without_key_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'before']]");
    fixture_ok(f, "TOPIC.SET", COMPACT, NULL);
    const struct answer *a =
        fixture_error(f, ZSP_EKEY_REQUIRED, "PUBLISH", "{'topic': 't'}", "[[b'a', b'k'], [b'b']]");
    assert_non_null(strstr(a->error.msg, "topic t is compacted by key: record 1 has no key"));
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_error(f, ZSP_EKEY_REQUIRED, "COMMIT",
                  "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 't'}]}",
                  "[[b'b']]");
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'a', b''], [b'', b'k']]");
    assert_int_equal(end_of(f), 3);
    publish_rounds(f, 100);
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS + 6 * ZSP_RETENTION_MS);
    a = fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest', 'max_messages': 2}", NULL);
    assert_string_equal(fixture_payloads(a), "before a"); /* no key, and the empty one */
}

static void tombstones_go_after_their_time(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 't', 'settings': {'cleanup': 'compact', 'tombstone_retention_ms': "
               "600000}}",
               NULL);
    publish_rounds(f, 50);
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", "[[b'', b'k3'], [b'', b'k4']]");
    fixture_advance(f, ZSP_COMPACTION_IDLE_MS + 6 * ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), KEYS);
    fixture_advance(f, 600000 + ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), KEYS - 2);
}

static void what_is_young_stays_for_a_while(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 't', 'settings': {'cleanup': 'compact', 'min_compaction_lag_ms': "
               "600000}}",
               NULL);
    publish_rounds(f, 100);
    fixture_advance(f, 600000 - ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), 2000);
    fixture_advance(f, 6 * ZSP_RETENTION_MS);
    assert_int_equal(count_all(f), KEYS);
}

static uint64_t count_runs(struct engine_fixture *f, const char *topic)
{
    const char *args = fixture_format("{'topic': '%s'}", topic);
    const msgpack_object *rows =
        wire_map_find(fixture_ok(f, "TOPIC.INFO", args, NULL)->map, "compaction");
    return rows->via.array.ptr[0].via.array.ptr[2].via.u64;
}

/* Goal: who comes late in the order is compacted as well, though those before it are always due. Method: of three
 * topics, of which two may be under way at once, the first two have something new whenever a round comes. */
static void the_last_topic_has_its_turn(void **state)
{
    struct engine_fixture *f = *state;
    static const char *const topics[] = {"a", "b", "c"};
    for (int k = 0; k < 3; k++) {
        fixture_ok(f, "TOPIC.CREATE",
                   fixture_format("{'topic': '%s', 'settings': {'cleanup': 'compact'}}", topics[k]),
                   NULL);
    }
    for (int round = 0; round < 8 && count_runs(f, "c") == 0; round++) {
        for (int i = 0; i < 180; i++) {
            fixture_ok(f, "PUBLISH", fixture_format("{'topic': '%s'}", topics[i % 3]),
                       values("v", 20));
        }
        const uint64_t before = count_runs(f, "a") + count_runs(f, "b");
        for (int i = 0; count_runs(f, "a") + count_runs(f, "b") == before && i < 100; i++) {
            const int64_t wait_ms = engine_deadline_ms(f->engine) - f->now.mono_ms;
            fixture_advance(f, wait_ms > 1 ? wait_ms : 1);
        }
    }
    assert_in_range(count_runs(f, "c"), 1, 2);
}

static void settings_are_told_and_kept(void **state)
{
    struct engine_fixture *f = *state;
    const char *told = "{\"cleanup\": \"compact\", \"tombstone_retention_ms\": 5, "
                       "\"min_compaction_lag_ms\": 6, \"compact_ratio\": 70}";
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 't', 'settings': {'cleanup': 'compact', 'tombstone_retention_ms': 5, "
               "'min_compaction_lag_ms': 6, 'compact_ratio': 70}}",
               NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(
        fixture_value(fixture_ok(f, "TOPIC.INFO", "{'topic': 't'}", NULL), "settings"), told);
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", "{'topic': 't', 'settings': {'cleanup': 'no'}}",
                  NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET",
                  "{'topic': 't', 'settings': {'compact_ratio': 101}}", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up_log, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(old_values_go_and_the_newest_stay),         TEST(a_group_gets_what_is_left),
        TEST(what_is_gone_is_passed_over_in_leaps),      TEST(a_producer_knows_where_it_stopped),
        TEST(a_message_without_key_is_refused),          TEST(tombstones_go_after_their_time),
        TEST(what_is_young_stays_for_a_while),           TEST(settings_are_told_and_kept),
        TEST(a_keyed_group_goes_on_after_a_restart),     TEST(the_last_topic_has_its_turn),
        TEST(what_is_left_expires_and_the_rest_is_told),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
