/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics that look at message ids: what is published again is confirmed where it is. Over both stores.
 */
#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"
#include "tests/support/plain_body.h"

static enum fixture_store store_kind;

static int set_up(void **state)
{
    struct engine_fixture *const f = fixture_new(store_kind);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders', 'settings': {'dedup_window_ms': 60000}}",
               NULL);
    *state = f;
    return 0;
}

static void publish(struct engine_fixture *f, const char *body, const char *at)
{
    const struct answer *const a =
        fixture_ok(f, "PUBLISH", "{'topic': 'orders', 'partition': 0}", body);
    assert_string_equal(fixture_value(a, "at"), at);
}

static const char *payloads(struct engine_fixture *f)
{
    return fixture_payloads(fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL));
}

/* --- the window ---------------------------------------------------------------------------- */

static void a_message_that_comes_again_is_not_appended_again(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    publish(f, "[[b'2', null, null, 'b']]", "[[0, 1, 0, 1, false]]");
    publish(f, "[[b'3', null, null, 'a']]", "[[0, 1, 0, 0, true]]");
    assert_string_equal(payloads(f), "1 2");
    struct engine_stats stats;
    engine_stats(f->engine, &stats);
    assert_int_equal(stats.published_messages, 2);
    assert_int_equal(stats.duplicate_messages, 1);
}

static void messages_without_id_are_never_the_same(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1'], [b'1']]", "[[0, 2, 0, 0, false]]");
    publish(f, "[[b'1']]", "[[0, 1, 0, 2, false]]");
    publish(f, "[[b'2', null, null, '']]", "[[0, 1, 0, 3, false]]"); /* an empty id is one */
    publish(f, "[[b'3', null, null, '']]", "[[0, 1, 0, 3, true]]");
}

static void without_the_setting_ids_are_only_kept(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'plain'}", NULL);
    for (int i = 0; i < 2; i++) {
        const struct answer *const a =
            fixture_ok(f, "PUBLISH", "{'topic': 'plain'}", "[[b'1', null, null, 'a']]");
        assert_string_equal(fixture_value(a, "at"),
                            i ? "[[0, 1, 0, 1, false]]" : "[[0, 1, 0, 0, false]]");
    }
}

static void behind_the_window_a_message_is_new(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    fixture_advance(f, 60000);
    publish(f, "[[b'2', null, null, 'a']]", "[[0, 1, 0, 0, true]]");
    fixture_advance(f, 1);
    publish(f, "[[b'3', null, null, 'a']]", "[[0, 1, 0, 1, false]]");
    fixture_advance(f, 50000);
    publish(f, "[[b'4', null, null, 'a']]", "[[0, 1, 0, 1, true]]"); /* the newest counts */
    assert_string_equal(payloads(f), "1 3");
}

static void the_setting_may_come_and_go(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    fixture_ok(f, "TOPIC.SET", "{'topic': 'orders', 'settings': {'dedup_window_ms': null}}", NULL);
    publish(f, "[[b'2', null, null, 'a']]", "[[0, 1, 0, 1, false]]");
    fixture_ok(f, "TOPIC.SET", "{'topic': 'orders', 'settings': {'dedup_window_ms': 1000}}", NULL);
    publish(f, "[[b'3', null, null, 'a'], [b'4', null, null, 'b']]",
            "[[0, 1, 0, 1, true], [1, 1, 0, 2, false]]");
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET",
                  "{'topic': 'orders', 'settings': {'dedup_window_ms': 31536000001}}", NULL);
}

static void a_restart_forgets_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a'], [b'2', null, null, 'b']]", "[[0, 2, 0, 0, false]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    publish(f, "[[b'3', null, null, 'b'], [b'4', null, null, 'c']]",
            "[[0, 1, 0, 1, true], [1, 1, 0, 2, false]]");
    assert_string_equal(payloads(f), "1 2 4");
}

/* --- batches ----------------------------------------------------------------------------------- */

static void of_a_batch_only_what_is_new_is_appended(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a'], [b'2', null, null, 'b'], [b'3', null, null, 'c']]",
            "[[0, 3, 0, 0, false]]");
    publish(f,
            "[[b'x'], [b'4', null, null, 'd'], [b'5', null, null, 'b'], [b'6', null, null, 'c'],"
            " [b'7', null, null, 'a'], [b'8', null, null, 'e']]",
            "[[0, 2, 0, 3, false], [2, 2, 0, 1, true], [4, 1, 0, 0, true], [5, 1, 0, 5, false]]");
    assert_string_equal(payloads(f), "1 2 3 x 4 8");
}

static void what_repeats_inside_a_batch_is_appended_once(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a'], [b'2', null, null, 'a'], [b'3', null, null, 'b']]",
            "[[0, 1, 0, 0, false], [1, 1, 0, 0, true], [2, 1, 0, 1, false]]");
    publish(f, "[[b'4', null, null, 'b'], [b'5', null, null, 'b']]",
            "[[0, 1, 0, 1, true], [1, 1, 0, 1, true]]");
    assert_string_equal(payloads(f), "1 3");
}

static void a_compressed_batch_is_looked_into(void **state)
{
    struct engine_fixture *const f = *state;
    const uint8_t records[] = {0x94, 0xc4, 1, '1', 0xc0, 0xc0, 0xa1, 'a',
                               0x94, 0xc4, 1, '2', 0xc0, 0xc0, 0xa1, 'b'};
    struct zsp_buf *packed = plain_pack((struct zsp_slice){records, sizeof records});
    const char *const args = "{'topic': 'orders', 'codec': 'zstd', 'raw_size': 16}";
    const struct zsp_slice body = {packed->data, packed->len};
    for (int i = 0; i < 2; i++) {
        const uint64_t ticket = fixture_send_bytes(f, "PUBLISH", args, body);
        fixture_pump(f);
        assert_string_equal(fixture_value(fixture_answer(f, ticket), "at"),
                            i ? "[[0, 2, 0, 0, true]]" : "[[0, 2, 0, 0, false]]");
    }
    publish(f, "[[b'3', null, null, 'b'], [b'4', null, null, 'c']]",
            "[[0, 1, 0, 1, true], [1, 1, 0, 2, false]]");
    assert_string_equal(payloads(f), "1 2 4");
    zsp_buf_put(&packed);
}

static void ids_stand_for_keys_where_messages_are_routed(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 'wide', 'partitions': 7, 'settings': {'dedup_window_ms': 1000}}", NULL);
    const char *const body =
        "[[b'1', null, null, 'a'], [b'2', null, null, 'b'], [b'3', b'k', null, "
        "'c'], [b'4', null, null, 'd']]";
    const struct answer *const first = fixture_ok(f, "PUBLISH", "{'topic': 'wide'}", body);
    assert_null(strstr(fixture_value(first, "at"), "true"));
    const struct answer *const again = fixture_ok(f, "PUBLISH", "{'topic': 'wide'}", body);
    assert_null(strstr(fixture_value(again, "at"), "false"));
    const struct answer *const mixed = fixture_ok(
        f, "PUBLISH", "{'topic': 'wide'}", "[[b'5', null, null, 'e'], [b'1', null, null, 'a']]");
    assert_non_null(strstr(fixture_value(mixed, "at"), "true"));
    assert_non_null(strstr(fixture_value(mixed, "at"), "false"));
}

/* An answer has a bound, whatever the batch is like. */
static void an_answer_of_too_many_rows_tells_no_places(void **state)
{
    struct engine_fixture *const f = *state;
    struct zsp_writer body = {0};
    publish(f, "[[b'x', null, null, 'old']]", "[[0, 1, 0, 0, false]]");
    for (int i = 0; i < 5000; i++) {
        const uint8_t new_one[] = {0x91, 0xc4, 1, 'y'};
        const uint8_t old_one[] = {0x94, 0xc4, 1, 'x', 0xc0, 0xc0, 0xa3, 'o', 'l', 'd'};
        zsp_write_bytes(&body, (struct zsp_slice){new_one, sizeof new_one});
        zsp_write_bytes(&body, (struct zsp_slice){old_one, sizeof old_one});
    }
    const uint64_t ticket =
        fixture_send_bytes(f, "PUBLISH", "{'topic': 'orders'}", zsp_writer_slice(&body));
    fixture_pump(f);
    const msgpack_object *const at = &fixture_answer(f, ticket)->map->via.map.ptr[0].val;
    assert_int_equal(at->via.array.size, 4097);
    const msgpack_object *const last = &at->via.array.ptr[4096];
    assert_int_equal(last->via.array.ptr[0].via.u64, 4096);
    assert_int_equal(last->via.array.ptr[1].via.u64, 10000 - 4096);
    assert_int_equal(last->via.array.ptr[3].type, MSGPACK_OBJECT_NIL);
    assert_true(last->via.array.ptr[4].via.boolean);
    zsp_writer_fini(&body);
}

/* --- together with others ------------------------------------------------------------------------ */

static void what_is_on_its_way_counts(void **state)
{
    struct engine_fixture *const f = *state;
    const char *const args = "{'topic': 'orders'}";
    const uint64_t first = fixture_send(f, "PUBLISH", args, "[[b'1', null, null, 'a']]");
    const uint64_t other = fixture_send(f, "PUBLISH", args, "[[b'2'], [b'3', null, null, 'b']]");
    const uint64_t again = fixture_send(f, "PUBLISH", args, "[[b'4', null, null, 'a']]");
    const uint64_t plain = fixture_send(f, "PUBLISH", args, "[[b'5']]");
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, first), "at"), "[[0, 1, 0, 0, false]]");
    assert_string_equal(fixture_value(fixture_answer(f, other), "at"), "[[0, 2, 0, 1, false]]");
    assert_string_equal(fixture_value(fixture_answer(f, again), "at"), "[[0, 1, 0, 0, true]]");
    assert_string_equal(fixture_value(fixture_answer(f, plain), "at"), "[[0, 1, 0, 3, false]]");
    assert_string_equal(payloads(f), "1 2 3 5");
}

static void a_topic_that_goes_answers_all(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    uint64_t tickets[3];
    const uint64_t gone = fixture_send(f, "TOPIC.DELETE", "{'topic': 'orders'}", NULL);
    for (int i = 0; i < 3; i++) {
        tickets[i] = fixture_send(f, "PUBLISH", "{'topic': 'orders', 'partition': 0}",
                                  "[[b'1', null, null, 'a'], [b'2', null, null, 'b']]");
    }
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, gone)->status, WIRE_OK);
    for (int i = 0; i < 3; i++) {
        assert_non_null(fixture_answer(f, tickets[i]));
    }
}

/* --- sequences ------------------------------------------------------------------------------------- */

static const char *sequenced(unsigned seq, unsigned count)
{
    return fixture_format(
        "{'topic': 'orders', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': %u, 'count': %u}",
        seq, count);
}

static void publish_sequenced(struct engine_fixture *f, unsigned seq, unsigned count,
                              const char *body, const char *at)
{
    const struct answer *const a = fixture_ok(f, "PUBLISH", sequenced(seq, count), body);
    assert_string_equal(fixture_value(a, "at"), at);
}

static const char *last_of(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "PRODUCER.INFO", "{'producer': 'p'}", NULL), "last");
}

static void sequences_go_on_over_what_is_old(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    publish_sequenced(f, 1, 2, "[[b'1', null, null, 'a'], [b'2', null, null, 'b']]",
                      "[[0, 2, 0, 0, false]]");
    publish_sequenced(f, 3, 3, "[[b'3', null, null, 'c'], [b'4', null, null, 'a'], [b'5']]",
                      "[[0, 1, 0, 2, false], [1, 1, 0, 0, true], [2, 1, 0, 3, false]]");
    publish_sequenced(f, 6, 2, "[[b'6', null, null, 'a'], [b'7', null, null, 'b']]",
                      "[[0, 2, 0, 0, true]]");
    publish_sequenced(f, 8, 1, "[[b'8', null, null, 'd']]", "[[0, 1, 0, 4, false]]");
    assert_string_equal(last_of(f), "[[\"orders\", 0, 8]]");
    fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", sequenced(10, 1), "[[b'9', null, null, 'a']]");
    assert_string_equal(payloads(f), "1 2 3 5 8");
}

static void a_repeated_sequence_comes_before_ids(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    publish_sequenced(f, 1, 2, "[[b'1', null, null, 'a'], [b'2']]", "[[0, 2, 0, 0, false]]");
    publish_sequenced(f, 1, 2, "[[b'1', null, null, 'a'], [b'2']]", "[[0, 2, 0, 0, true]]");
    publish_sequenced(f, 3, 1, "[[b'3', null, null, 'a']]", "[[0, 1, 0, 0, true]]");
    publish_sequenced(f, 3, 1, "[[b'3', null, null, 'a']]", "[[0, 1, 0, 0, true]]");
    publish_sequenced(f, 4, 2, "[[b'4'], [b'5', null, null, 'a']]",
                      "[[0, 1, 0, 2, false], [1, 1, 0, 0, true]]");
    publish_sequenced(f, 4, 2, "[[b'4'], [b'5', null, null, 'a']]", "[[0, 2, 0, nil, true]]");
    assert_string_equal(payloads(f), "1 2 4");
}

/* Goal: the window of batches that a start restores ends before what was old, which is told all the same:
 * by the producer's last sequence, and by the next image. */
static void sequences_of_what_is_old_survive_every_start(void **state)
{
    struct engine_fixture *const f = *state;
    const char *const turned = "[[b'2', null, null, 'b'], [b'1', null, null, 'a']]";
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    publish_sequenced(f, 1, 2, "[[b'1', null, null, 'a'], [b'2', null, null, 'b']]",
                      "[[0, 2, 0, 0, false]]");
    publish_sequenced(f, 3, 2, turned, "[[0, 1, 0, 1, true], [1, 1, 0, 0, true]]");
    for (int i = 0; i < 2; i++) {
        fixture_restart(f, MEM_KEEP_SYNCED);
        assert_string_equal(last_of(f), "[[\"orders\", 0, 4]]");
    }
    publish_sequenced(f, 5, 2, turned, "[[0, 1, 0, 1, true], [1, 1, 0, 0, true]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(last_of(f), "[[\"orders\", 0, 6]]");
}

static void sequences_of_what_is_old_survive_a_power_cut(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    publish_sequenced(f, 1, 1, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    publish_sequenced(f, 2, 3,
                      "[[b'2', null, null, 'a'], [b'3', null, null, 'b'], [b'4', null, null, 'a']]",
                      "[[0, 1, 0, 0, true], [1, 1, 0, 1, false], [2, 1, 0, 0, true]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(last_of(f), "[[\"orders\", 0, 4]]");
    publish_sequenced(f, 2, 3,
                      "[[b'2', null, null, 'a'], [b'3', null, null, 'b'], [b'4', null, null, 'a']]",
                      "[[0, 3, 0, nil, true]]");
    publish_sequenced(f, 5, 1, "[[b'5', null, null, 'b']]", "[[0, 1, 0, 1, true]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(last_of(f), "[[\"orders\", 0, 5]]");
    publish_sequenced(f, 6, 1, "[[b'6', null, null, 'c']]", "[[0, 1, 0, 2, false]]");
}

/* --- commits ------------------------------------------------------------------------------------------ */

static const char *commit(unsigned seq, const char *publishes)
{
    return fixture_format("{'producer': 'p', 'epoch': 1, 'seq': %u, 'publish': [%s]}", seq,
                          publishes);
}

static void commit_ok(struct engine_fixture *f, unsigned seq, const char *publishes,
                      const char *body, const char *at)
{
    const struct answer *const a = fixture_ok(f, "COMMIT", commit(seq, publishes), body);
    assert_string_equal(fixture_value(a, "at"), at);
}

static void a_commit_appends_what_is_new(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'plain'}", NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    const char *const both = "{'topic': 'orders'}, {'topic': 'plain'}";
    commit_ok(f, 1, both,
              "[[b'2', null, null, 'a'], [b'3', null, null, 'b']]|[[b'p', null, null, 'a']]",
              "[[[0, 1, 0, 0, true], [1, 1, 0, 1, false]], [[0, 1, 0, 0, false]]]");
    commit_ok(f, 2, both, "[[b'4', null, null, 'b'], [b'5', null, null, 'a']]|[[b'q']]",
              "[[[0, 1, 0, 1, true], [1, 1, 0, 0, true]], [[0, 1, 0, 1, false]]]");
    commit_ok(f, 2, both, "[[b'4', null, null, 'b'], [b'5', null, null, 'a']]|[[b'q']]",
              "[[[0, 1, 0, 1, true], [1, 1, 0, 0, true]], [[0, 1, 0, 1, false]]]");
    commit_ok(f, 3, "{'topic': 'orders'}", "[[b'6', null, null, 'c'], [b'7']]",
              "[[[0, 2, 0, 2, false]]]");
    publish(f, "[[b'8', null, null, 'c'], [b'9', null, null, 'd']]",
            "[[0, 1, 0, 2, true], [1, 1, 0, 4, false]]");
    assert_string_equal(payloads(f), "1 3 6 7 9");
}

static void commits_and_publishes_see_each_other(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    const uint64_t first =
        fixture_send(f, "PUBLISH", "{'topic': 'orders'}", "[[b'1', null, null, 'a']]");
    const uint64_t second = fixture_send(f, "COMMIT", commit(1, "{'topic': 'orders'}"),
                                         "[[b'2', null, null, 'a'], [b'3', null, null, 'b']]");
    const uint64_t third = fixture_send(f, "PUBLISH", "{'topic': 'orders'}",
                                        "[[b'4', null, null, 'b'], [b'5', null, null, 'c']]");
    const uint64_t fourth = fixture_send(f, "COMMIT", commit(2, "{'topic': 'orders'}"),
                                         "[[b'6', null, null, 'c'], [b'7', null, null, 'b']]");
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, first), "at"), "[[0, 1, 0, 0, false]]");
    assert_string_equal(fixture_value(fixture_answer(f, second), "at"),
                        "[[[0, 1, 0, 0, true], [1, 1, 0, 1, false]]]");
    assert_string_equal(fixture_value(fixture_answer(f, third), "at"),
                        "[[0, 1, 0, 1, true], [1, 1, 0, 2, false]]");
    assert_string_equal(fixture_value(fixture_answer(f, fourth), "at"),
                        "[[[0, 1, 0, 2, true], [1, 1, 0, 1, true]]]");
    assert_string_equal(payloads(f), "1 3 5");
}

static void a_commit_with_one_id_twice_is_refused(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "COMMIT",
                  commit(1, "{'topic': 'orders'}, {'topic': 'orders'}"),
                  "[[b'1', null, null, 'a']]|[[b'2', null, null, 'b'], [b'3', null, null, 'a']]");
    commit_ok(f, 1, "{'topic': 'orders'}, {'topic': 'orders'}",
              "[[b'1', null, null, 'a']]|[[b'2', null, null, 'b'], [b'3', null, null, 'b']]",
              "[[[0, 1, 0, 0, false]], [[0, 1, 0, 1, false], [1, 1, 0, 1, true]]]");
    assert_string_equal(payloads(f), "1 2");
}

static void a_commit_to_a_topic_that_goes_is_answered(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    const uint64_t commit_1 = fixture_send(f, "COMMIT", commit(1, "{'topic': 'orders'}"),
                                           "[[b'2', null, null, 'a'], [b'3', null, null, 'b']]");
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'orders'}", NULL);
    assert_non_null(fixture_answer(f, commit_1));
}

/* --- positions ---------------------------------------------------------------------------------------- */

static void a_message_is_found_by_its_id(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a'], [b'2', null, null, 'b'], [b'3', null, null, 'c']]",
            "[[0, 3, 0, 0, false]]");
    const struct answer *a =
        fixture_ok(f, "READ", "{'topic': 'orders', 'from': ['id', 'b'], 'max_messages': 1}", NULL);
    assert_string_equal(fixture_payloads(a), "2");
    a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest', 'to': ['id', 'c']}", NULL);
    assert_string_equal(fixture_payloads(a), "1 2");
    a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': ['id', 'b'], 'to': ['id', 'c']}", NULL);
    assert_string_equal(fixture_payloads(a), "2");
    fixture_error(f, ZSP_ENOT_FOUND, "READ", "{'topic': 'orders', 'from': ['id', 'x']}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'plain'}", NULL);
    a = fixture_error(f, ZSP_EUNSUPPORTED, "READ", "{'topic': 'plain', 'from': ['id', 'x']}", NULL);
    assert_string_equal(a->error.wanted, "dedup_window_ms");
}

static void an_older_message_than_the_window_is_found_as_well(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a'], [b'2', null, null, 'b']]", "[[0, 2, 0, 0, false]]");
    fixture_advance(f, 100000);
    publish(f, "[[b'3', null, null, 'a']]", "[[0, 1, 0, 2, false]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *a =
        fixture_ok(f, "READ", "{'topic': 'orders', 'from': ['id', 'b']}", NULL);
    assert_string_equal(fixture_payloads(a), "2 3");
    a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': ['id', 'a']}", NULL);
    assert_string_equal(fixture_payloads(a), "3"); /* the newest */
}

static void a_group_goes_to_the_message_with_an_id(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 'wide', 'partitions': 3, 'settings': {'dedup_window_ms': 1000}}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'wide', 'partition': 0}", "[[b'1'], [b'2']]");
    fixture_ok(f, "PUBLISH", "{'topic': 'wide', 'partition': 2}",
               "[[b'3'], [b'4', null, null, 'a'], [b'5']]");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['wide'], 'start': 'latest'}", NULL);
    const struct answer *const a =
        fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 'wide', 'to': ['id', 'a']}", NULL);
    assert_string_equal(fixture_value(a, "partitions"), "[[2, 3, 1, 2, 0]]");
    fixture_error(f, ZSP_ENOT_FOUND, "SEEK", "{'group': 'g', 'topic': 'wide', 'to': ['id', 'x']}",
                  NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'wide', 'partition': 0}", "[[b'6', null, null, 'a']]");
    fixture_error(f, ZSP_EBAD_VALUE, "SEEK", "{'group': 'g', 'topic': 'wide', 'to': ['id', 'a']}",
                  NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 'wide', 'partition': 0, 'to': ['id', 'a']}",
               NULL);
}

static const char *parts_of(struct engine_fixture *f, const char *group)
{
    return fixture_value(
        fixture_ok(f, "GROUP.INFO", fixture_format("{'group': '%s'}", group), NULL), "parts");
}

static void a_group_starts_at_the_message_with_an_id(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 'wide', 'partitions': 2, 'settings': {'dedup_window_ms': 1000}}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'wide', 'partition': 0}", "[[b'1'], [b'2']]");
    fixture_ok(f, "PUBLISH", "{'topic': 'wide', 'partition': 1}",
               "[[b'3'], [b'4', null, null, 'a'], [b'5']]");
    const char *const parts = "[[\"wide\", 0, 0, 2, 2, 0, 0, 0, 0, 0, 0], "
                              "[\"wide\", 1, 1, 3, 2, 0, 0, 0, 0, 0, 0]]";
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['wide'], 'start': ['id', 'a']}", NULL);
    assert_string_equal(parts_of(f, "g"), parts);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(parts_of(f, "g"), parts);
    assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "start"),
                        "[\"id\", \"a\"]");
    /* By a pull as well; the same start fits, another one does not. */
    for (int i = 0; i < 2; i++) {
        fixture_ok(f, "PULL",
                   "{'group': 'h', 'topics': ['wide'], 'start': ['id', 'a'], 'max_messages': 1}",
                   NULL);
    }
    fixture_error(f, ZSP_EMODE_MISMATCH, "PULL",
                  "{'group': 'h', 'topics': ['wide'], 'start': ['id', 'b']}", NULL);
    /* What joins later begins at its earliest where it does not know of the id. */
    fixture_ok(f, "PUBLISH", "{'topic': 'plain'}", "[[b'6']]");
    assert_string_equal(
        fixture_payloads(fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['plain']}", NULL)), "6");
}

static void a_group_starts_at_no_message_that_is_not_there(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'plain'}", NULL);
    const struct {
        int code;
        const char *args;
    } cases[] = {
        {ZSP_ENOT_FOUND, "{'group': 'g', 'topics': ['orders'], 'start': ['id', 'x']}"},
        {ZSP_ENOT_FOUND, "{'group': 'g', 'topics': ['none'], 'start': ['id', 'a']}"},
        {ZSP_EUNSUPPORTED, "{'group': 'g', 'topics': ['plain'], 'start': ['id', 'a']}"},
        {ZSP_EUNSUPPORTED, "{'group': 'g', 'topics': ['orders', 'plain'], 'start': ['id', 'a']}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "GROUP.CREATE", cases[i].args, NULL);
        fixture_error(f, cases[i].code, "PULL", cases[i].args, NULL);
    }
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
}

static void a_lookup_is_answered_when_its_topic_goes(void **state)
{
    struct engine_fixture *const f = *state;
    publish(f, "[[b'1', null, null, 'a']]", "[[0, 1, 0, 0, false]]");
    const uint64_t read = fixture_send(f, "READ", "{'topic': 'orders', 'from': ['id', 'a']}", NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'orders'}", NULL);
    assert_non_null(fixture_answer(f, read));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

static int run(enum fixture_store kind)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_that_comes_again_is_not_appended_again),
        TEST(messages_without_id_are_never_the_same),
        TEST(without_the_setting_ids_are_only_kept),
        TEST(behind_the_window_a_message_is_new),
        TEST(the_setting_may_come_and_go),
        TEST(a_restart_forgets_nothing),
        TEST(of_a_batch_only_what_is_new_is_appended),
        TEST(what_repeats_inside_a_batch_is_appended_once),
        TEST(a_compressed_batch_is_looked_into),
        TEST(ids_stand_for_keys_where_messages_are_routed),
        TEST(an_answer_of_too_many_rows_tells_no_places),
        TEST(what_is_on_its_way_counts),
        TEST(a_topic_that_goes_answers_all),
        TEST(sequences_go_on_over_what_is_old),
        TEST(a_repeated_sequence_comes_before_ids),
        TEST(sequences_of_what_is_old_survive_a_power_cut),
        TEST(a_commit_appends_what_is_new),
        TEST(commits_and_publishes_see_each_other),
        TEST(a_commit_with_one_id_twice_is_refused),
        TEST(a_commit_to_a_topic_that_goes_is_answered),
        TEST(a_message_is_found_by_its_id),
        TEST(an_older_message_than_the_window_is_found_as_well),
        TEST(a_group_goes_to_the_message_with_an_id),
        TEST(sequences_of_what_is_old_survive_every_start),
        TEST(a_group_starts_at_the_message_with_an_id),
        TEST(a_group_starts_at_no_message_that_is_not_there),
        TEST(a_lookup_is_answered_when_its_topic_goes),
    };
    store_kind = kind;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run(FIXTURE_MEM) + run(FIXTURE_LOG);
}
