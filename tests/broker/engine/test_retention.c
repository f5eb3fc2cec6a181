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

/* Goal: retention passes by no dead message of a group that wants it, for its time. */
static void the_dead_may_be_spared_for_a_time(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e f g h i");
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'dead_retention_ms': 60000}}", NULL);
    const uint64_t lease = steps_pull(f, 9)->lease;
    steps_settle(f, 5, 1, lease, "'reject'");
    steps_settle(f, 0, 5, lease, "'ack'");
    steps_settle(f, 6, 3, lease, "'ack'");
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 4);
    assert_string_equal(fixture_payloads(fixture_ok(
                            f, "DEAD.READ", "{'group': 'g', 'runs': [['t', 0, 5, 1]]}", NULL)),
                        "f");
    fixture_advance(f, 60000 + ZSP_RETENTION_MS);
    assert_int_equal(start_of(f), 8);
}

/* Goal: once it is not dead any more it keeps nothing. */
static void what_is_redriven_is_spared_no_more(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", CONSUMED, NULL);
    steps_publish_each(f, "t", "a b c d e");
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'dead_retention_ms': 3600000}}", NULL);
    const uint64_t lease = steps_pull(f, 5)->lease;
    steps_settle(f, 0, 1, lease, "'reject'");
    steps_settle(f, 1, 4, lease, "'ack'");
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 0);
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    fixture_advance(f, ZSP_RETENTION_MS + 1);
    assert_int_equal(start_of(f), 4);
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
        TEST(only_what_is_durable_counts),
        TEST(a_seek_back_keeps_what_is_about_to_go),
        TEST(the_dead_may_be_spared_for_a_time),
        TEST(what_is_redriven_is_spared_no_more),
        TEST(pulls_do_not_make_groups_there),
        TEST(a_full_topic_refuses_until_there_is_room),
        TEST(a_repeated_batch_is_no_new_one),
        TEST(a_commit_at_work_takes_its_room),
        TEST(the_oldest_go_when_it_is_said_so),
        TEST(settings_are_told_and_kept),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
