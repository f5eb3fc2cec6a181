/* SPDX-License-Identifier: MPL-2.0
 *
 * PUBLISH without a producer: arguments, levels, creation of topics, failures.
 */
#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

#define ORDERS "{'topic': 'orders'}"

/* --- arguments ------------------------------------------------------------------------ */

/* Every wrong argument has its own code, and nothing is created. */
static void wrong_arguments_are_refused_before_anything_happens(void **state)
{
    struct engine_fixture *const f = *state;
    static const struct {
        const char *args;
        int code;
    } cases[] = {
        {"{}", ZSP_EBAD_VALUE},
        {"{'topic': '../etc'}", ZSP_EBAD_NAME},
        {"{'topic': ''}", ZSP_EBAD_NAME},
        {"{'topic': 7}", ZSP_EBAD_TYPE},
        {"{'topic': 'orders', 'colour': 1}", ZSP_EUNKNOWN_ARGUMENT},
        {"{'topic': 'orders', 'partition': 'x'}", ZSP_EBAD_TYPE},
        {"{'topic': 'orders', 'partition': -1}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'partition': 1024}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'partition': 1}", ZSP_ENOT_FOUND},
        {"{'topic': 'orders', 'partitions': 0}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'partitions': 2}", ZSP_EWOULD_REORDER},
        {"{'topic': 'orders', 'count': 2}", ZSP_ECOUNT_MISMATCH},
        {"{'topic': 'orders', 'count': 0}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'level': 'fast'}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'codec': 'zstd'}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'raw_size': 4}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'codec': 'lz4', 'raw_size': 4}", ZSP_EUNSUPPORTED},
        {"{'topic': 'orders', 'codec': 'zstd', 'raw_size': 8388609}", ZSP_ETOO_LARGE},
        {"{'topic': 'orders', 'codec': 'zstd', 'raw_size': 4}", ZSP_EBAD_RECORD},
        {"{'topic': 'orders', 'priority': 10}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'not_before_ms': -1}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'expires_at_ms': 0}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'not_before_ms': 7, 'expires_at_ms': 6}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'not_before_ms': 7, 'expires_at_ms': 7}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'producer': 'p'}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'seq': 1}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'epoch': 1}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'producer': 'p', 'epoch': 1, 'seq': 1, 'count': 1}", ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'producer': 'p', 'epoch': 1, 'seq': 1, 'partition': 0}",
         ZSP_EBAD_VALUE},
        {"{'topic': 'orders', 'producer': 'p', 'epoch': 1, 'seq': 1, 'partition': 0, 'count': 1}",
         ZSP_ENOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, "PUBLISH", cases[i].args, "[[b'a']]");
    }
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", ORDERS, NULL);
}

/* A body that is no sequence of records, or too many or too few frames. */
static void wrong_bodies_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_error(f, ZSP_EBAD_REQUEST, "PUBLISH", ORDERS, NULL);
    fixture_error(f, ZSP_EBAD_RECORD, "PUBLISH", ORDERS, "[[b'a'], 'text']");
    fixture_error(f, ZSP_EBAD_RECORD, "PUBLISH", ORDERS, "[[b'a'], ['a']]");
    fixture_error(f, ZSP_EBAD_REQUEST, "TOPIC.LIST", "{}", "[[b'a']]");
}

/* A batch with one bad record is not applied in part. */
static void a_batch_is_taken_whole_or_not_at_all(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    fixture_error(f, ZSP_EBAD_RECORD, "PUBLISH", ORDERS, "[[b'b'], [b'c'], [7]]");
    const struct answer *const a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'd']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 1, false]]");
}

/* A record over the limit is told as such. */
static void a_record_over_the_limit_is_too_large(void **state)
{
    struct engine_fixture *const f = *state;
    struct zsp_writer body = {0};
    wire_write_array(&body, 1);
    uint8_t *const payload = calloc(1, ZSP_RECORD_MAX + 1);
    assert_non_null(payload);
    wire_write_bin(&body, (struct zsp_slice){payload, ZSP_RECORD_MAX + 1});
    const uint64_t ticket = fixture_send_bytes(f, "PUBLISH", ORDERS, zsp_writer_slice(&body));
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ETOO_LARGE);
    free(payload);
    zsp_writer_fini(&body);
}

/* --- confirms -------------------------------------------------------------------------- */

static void a_publish_creates_its_topic_and_is_confirmed(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a =
        fixture_ok(f, "PUBLISH", "{'topic': 'orders', 'count': 2}", "[[b'a'], [b'b']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 2, 0, 0, false]]");
    assert_string_equal(fixture_text(a, "level"), "synced");
    assert_int_equal(fixture_number(a, "timestamp_ms"), f->now.wall_ms);
}

static void offsets_count_messages(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a'], [b'b'], [b'c']]");
    const struct answer *a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'd']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 3, false]]");
    a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'e'], [b'f']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 2, 0, 4, false]]");
}

/* The confirm of level synced comes with the sync, not with the write. */
static void a_synced_publish_waits_for_the_sync(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "PUBLISH", ORDERS, "[[b'a']]");
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_sync_all(f->mem);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_OK);
}

/* Level written is confirmed with the write; nobody sees it before it is synced. */
static void a_written_publish_is_confirmed_early_and_seen_late(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const struct answer *const a =
        fixture_ok(f, "PUBLISH", "{'topic': 'orders', 'level': 'written'}", "[[b'a']]");
    assert_string_equal(fixture_text(a, "level"), "written");
    const struct answer *r = fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_value(r, "runs"), "[]");
    mem_store_sync_all(f->mem);
    r = fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(r), "a");
}

/* One sync confirms all publishes it covers, in their order. */
static void one_sync_confirms_all_that_it_covers(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t first = fixture_send(f, "PUBLISH", ORDERS, "[[b'a']]");
    const uint64_t second = fixture_send(f, "PUBLISH", ORDERS, "[[b'b']]");
    fixture_pump(f);
    const size_t before = f->answer_count;
    mem_store_sync_all(f->mem);
    fixture_pump(f);
    assert_int_equal(f->answer_count, before + 2);
    assert_int_equal(f->answers[before]->ticket, first);
    assert_int_equal(f->answers[before + 1]->ticket, second);
}

/* --- creation --------------------------------------------------------------------------- */

/* Publishes wait behind the creation of their topic and keep their order. */
static void publishes_queue_behind_the_creation_of_their_topic(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_TOPICS);
    const uint64_t first = fixture_send(f, "PUBLISH", ORDERS, "[[b'a']]");
    const uint64_t second = fixture_send(f, "PUBLISH", ORDERS, "[[b'b']]");
    const uint64_t create = fixture_send(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, first));
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", ORDERS, NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, first), "at"), "[[0, 1, 0, 0, false]]");
    assert_string_equal(fixture_value(fixture_answer(f, second), "at"), "[[0, 1, 0, 1, false]]");
    assert_int_equal(fixture_answer(f, create)->code, ZSP_EEXISTS);
}

/* A creation that is refused refuses all that waited, for sure. */
static void a_refused_creation_refuses_all_that_waited(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_TOPICS);
    const uint64_t first = fixture_send(f, "PUBLISH", ORDERS, "[[b'a']]");
    const uint64_t second = fixture_send(f, "PUBLISH", ORDERS, "[[b'b']]");
    fixture_pump(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, first)->code, ZSP_ENO_SPACE);
    assert_int_equal(fixture_answer(f, second)->code, ZSP_ENO_SPACE);
    assert_false(fixture_answer(f, first)->error.maybe);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'c']]");
}

static void a_missing_topic_is_not_found_when_none_may_be_created(void **state)
{
    struct engine_fixture *const f = *state;
    f->options.auto_create_topics = false;
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *const a = fixture_error(f, ZSP_ENOT_FOUND, "PUBLISH", ORDERS, "[[b'a']]");
    assert_string_equal(a->error.object, "topic orders");
}

static void topics_are_limited(void **state)
{
    struct engine_fixture *const f = *state;
    f->options.topics_max = 1;
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    fixture_error(f, ZSP_ELIMIT_REACHED, "PUBLISH", "{'topic': 'more'}", "[[b'a']]");
    fixture_error(f, ZSP_ELIMIT_REACHED, "TOPIC.CREATE", "{'topic': 'more'}", NULL);
}

static void partitions_of_all_topics_are_limited(void **state)
{
    struct engine_fixture *const f = *state;
    f->options.partitions_max = 5;
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'a', 'partitions': 3}", NULL);
    const struct answer *a = fixture_error(f, ZSP_ELIMIT_REACHED, "TOPIC.CREATE",
                                           "{'topic': 'b', 'partitions': 3}", NULL);
    assert_string_equal(a->error.wanted, "at most 5 in all topics together");
    assert_string_equal(a->error.got, "3, and 3 more");
    fixture_ok(f, "PUBLISH", "{'topic': 'b'}", "[[b'x']]");
    fixture_ok(f, "PUBLISH", "{'topic': 'c'}", "[[b'x']]");
    fixture_error(f, ZSP_ELIMIT_REACHED, "PUBLISH", "{'topic': 'd'}", "[[b'x']]");
    fixture_error(f, ZSP_ELIMIT_REACHED, "TOPIC.SET", "{'topic': 'b', 'partitions': 2}", NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'a'}", NULL);
    fixture_ok(f, "TOPIC.SET", "{'topic': 'b', 'partitions': 4}", NULL);
    fixture_error(f, ZSP_ELIMIT_REACHED, "PUBLISH", "{'topic': 'd'}", "[[b'x']]");
    for (int i = 0; i < 2; i++) { /* what is there stays, also when it is too much */
        f->options.partitions_max = i == 0 ? 3 : 6;
        fixture_restart(f, MEM_KEEP_SYNCED);
        fixture_ok(f, "PUBLISH", "{'topic': 'b', 'partition': 3}", "[[b'x']]");
        fixture_error(f, ZSP_ELIMIT_REACHED, "TOPIC.SET", "{'topic': 'c', 'partitions': 3}", NULL);
    }
    fixture_ok(f, "TOPIC.SET", "{'topic': 'c', 'partitions': 2}", NULL);
}

/* Goal: growths of several topics at a time keep the limit, and one that fails gives back what it had. */
static void partitions_that_are_being_made_count(void **state)
{
    struct engine_fixture *const f = *state;
    f->options.partitions_max = 6;
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'a', 'partitions': 1}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'b', 'partitions': 1}", NULL);
    mem_store_hold(f->mem, MEM_TOPICS);
    const uint64_t first = fixture_send(f, "TOPIC.SET", "{'topic': 'a', 'partitions': 4}", NULL);
    const uint64_t second = fixture_send(f, "TOPIC.SET", "{'topic': 'b', 'partitions': 4}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, first)->code, 0);
    assert_int_equal(fixture_answer(f, second)->code, ZSP_ELIMIT_REACHED);
    fixture_ok(f, "TOPIC.SET", "{'topic': 'b', 'partitions': 2}", NULL);
    fixture_error(f, ZSP_ELIMIT_REACHED, "TOPIC.SET", "{'topic': 'b', 'partitions': 3}", NULL);
}

/* --- failures ---------------------------------------------------------------------------- */

/* A failed append fails those behind it; the next one takes the offset. */
static void a_failed_append_fails_those_behind_it(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    mem_store_fail_next_append(f->mem, ZSP_ENO_SPACE, true);
    const uint64_t first = fixture_send(f, "PUBLISH", ORDERS, "[[b'b']]");
    const uint64_t second = fixture_send(f, "PUBLISH", ORDERS, "[[b'c']]");
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, first)->code, ZSP_ENO_SPACE);
    assert_true(fixture_answer(f, first)->error.maybe);
    assert_int_equal(fixture_answer(f, second)->code, ZSP_ENO_SPACE);
    const struct answer *const a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'd']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 1, false]]");
}

/* A refusal for lack of room is definite, and service is back when room is back. */
static void no_space_is_definite_and_passes(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    mem_store_refuse_appends(f->mem, true);
    fixture_pump(f);
    const struct answer *const a = fixture_error(f, ZSP_ENO_SPACE, "PUBLISH", ORDERS, "[[b'b']]");
    assert_false(a->error.maybe);
    fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
    mem_store_refuse_appends(f->mem, false);
    fixture_pump(f);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'c']]");
}

/* A failed sync: everyone who waits hears maybe, the host hears it once, nothing is taken after. */
static void a_failed_sync_stops_the_broker(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    const uint64_t poll =
        fixture_send(f, "READ", "{'topic': 'orders', 'from': 'latest', 'wait_ms': 1000}", NULL);
    fixture_pump(f);
    mem_store_fail_next_sync(f->mem);
    const uint64_t publish = fixture_send(f, "PUBLISH", ORDERS, "[[b'b']]");
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, publish)->code, ZSP_ESTORAGE_FAILED);
    assert_true(fixture_answer(f, publish)->error.maybe);
    assert_int_equal(fixture_answer(f, poll)->code, ZSP_ESTORAGE_FAILED);
    assert_false(fixture_answer(f, poll)->error.maybe);
    assert_true(f->fail_stop);
    const struct answer *const a =
        fixture_error(f, ZSP_ESTORAGE_FAILED, "PUBLISH", ORDERS, "[[b'c']]");
    assert_false(a->error.maybe);
    fixture_error(f, ZSP_ESTORAGE_FAILED, "TOPIC.LIST", "{}", NULL);
    fixture_advance(f, 5000);
}

/* Damage at the mark: that partition takes nothing more. */
static void a_damaged_partition_takes_no_publishes(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    mem_store_damage(f->mem, 1, 0, (struct store_range){0, 1});
    const struct answer *const a = fixture_error(f, ZSP_ECORRUPT, "PUBLISH", ORDERS, "[[b'b']]");
    assert_false(a->error.maybe);
}

/* --- stopping ------------------------------------------------------------------------------ */

/* A drain lets what is in flight complete and takes nothing new. */
static void a_drain_completes_what_is_in_flight(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t publish = fixture_send(f, "PUBLISH", ORDERS, "[[b'a']]");
    fixture_pump(f);
    engine_drain(f->engine, f->now);
    assert_true(engine_busy(f->engine));
    fixture_error(f, ZSP_ESHUTTING_DOWN, "PUBLISH", ORDERS, "[[b'b']]");
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, publish)->code, ZSP_OK);
    assert_false(engine_busy(f->engine));
}

/* What was confirmed is there after a power cut, offsets go on behind it. */
static void confirmed_messages_survive_a_restart(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a'], [b'b']]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(a), "a b");
    a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'c']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 2, false]]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_arguments_are_refused_before_anything_happens),
        TEST(wrong_bodies_are_refused),
        TEST(a_batch_is_taken_whole_or_not_at_all),
        TEST(a_record_over_the_limit_is_too_large),
        TEST(a_publish_creates_its_topic_and_is_confirmed),
        TEST(offsets_count_messages),
        TEST(a_synced_publish_waits_for_the_sync),
        TEST(a_written_publish_is_confirmed_early_and_seen_late),
        TEST(one_sync_confirms_all_that_it_covers),
        TEST(publishes_queue_behind_the_creation_of_their_topic),
        TEST(a_refused_creation_refuses_all_that_waited),
        TEST(a_missing_topic_is_not_found_when_none_may_be_created),
        TEST(partitions_of_all_topics_are_limited),
        TEST(partitions_that_are_being_made_count),
        TEST(topics_are_limited),
        TEST(a_failed_append_fails_those_behind_it),
        TEST(no_space_is_definite_and_passes),
        TEST(a_failed_sync_stops_the_broker),
        TEST(a_damaged_partition_takes_no_publishes),
        TEST(a_drain_completes_what_is_in_flight),
        TEST(confirmed_messages_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
