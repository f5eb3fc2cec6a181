/* SPDX-License-Identifier: MPL-2.0
 *
 * Idempotent producers: sequences, duplicates, fencing, expiry, restart.
 */
#include "common/limits.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

#define OPEN "{'producer': 'p'}"

/* Open the producer `p` and create the topic, so that tests see publishes only. */
static void open_producer(struct engine_fixture *f)
{
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders'}", NULL);
    const struct answer *const a = fixture_ok(f, "PRODUCER.OPEN", OPEN, NULL);
    assert_int_equal(fixture_number(a, "epoch"), 1);
    assert_string_equal(fixture_value(a, "last"), "[]");
}

static const char *sequenced(unsigned epoch, unsigned seq, unsigned count)
{
    return fixture_format(
        "{'topic': 'orders', 'partition': 0, 'producer': 'p', 'epoch': %u, 'seq': %u, 'count': %u}",
        epoch, seq, count);
}

static const char *const ONE = "[[b'x']]";
static const char *const TWO = "[[b'x'], [b'y']]";
static const char *const THREE = "[[b'x'], [b'y'], [b'z']]";

static void publish_ok(struct engine_fixture *f, const char *args, const char *body, const char *at)
{
    const struct answer *const a = fixture_ok(f, "PUBLISH", args, body);
    assert_string_equal(fixture_value(a, "at"), at);
}

static size_t stored(struct engine_fixture *f)
{
    const struct answer *const a =
        fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
    return fixture_number(a, "next");
}

/* --- sequences ---------------------------------------------------------------------------- */

static void sequences_count_messages_from_one(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, 0, false]]");
    publish_ok(f, sequenced(1, 3, 1), ONE, "[[0, 1, 0, 2, false]]");
    publish_ok(f, sequenced(1, 4, 1), ONE, "[[0, 1, 0, 3, false]]");
}

static void a_repeated_batch_is_confirmed_with_its_original_offsets(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", ONE);
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, 1, false]]");
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", ONE);
    publish_ok(f, sequenced(1, 3, 1), ONE, "[[0, 1, 0, 4, false]]");
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, 1, true]]");
    publish_ok(f, sequenced(1, 3, 1), ONE, "[[0, 1, 0, 4, true]]");
    assert_int_equal(stored(f), 5);
    struct engine_stats stats;
    engine_stats(f->engine, &stats);
    assert_int_equal(stats.published_messages, 5);
    assert_int_equal(stats.duplicate_messages, 3);
}

/* Part of a batch repeated alone is old all the same, and its place is known. */
static void a_part_of_an_old_batch_is_a_duplicate(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 3), THREE, "[[0, 3, 0, 0, false]]");
    publish_ok(f, sequenced(1, 2, 1), ONE, "[[0, 1, 0, 1, true]]");
    publish_ok(f, sequenced(1, 4, 1), ONE, "[[0, 1, 0, 3, false]]");
    publish_ok(f, sequenced(1, 3, 2), TWO, "[[0, 2, 0, 2, true]]");
}

/* Old records that do not lie together have no first offset. */
static void an_old_batch_that_was_stored_apart_has_no_offset(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", ONE);
    publish_ok(f, sequenced(1, 2, 1), ONE, "[[0, 1, 0, 2, false]]");
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, nil, true]]");
}

static void gaps_and_overlaps_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", sequenced(1, 2, 1), ONE);
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, 0, false]]");
    const struct answer *const a =
        fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", sequenced(1, 4, 1), ONE);
    assert_string_equal(a->error.wanted, "3");
    assert_false(a->error.maybe);
    fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", sequenced(1, 2, 2), TWO);
    fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", sequenced(1, 1, 3), THREE);
    fixture_error(f, ZSP_EBAD_VALUE, "PUBLISH", sequenced(1, 0, 1), ONE);
    assert_int_equal(stored(f), 2);
}

/* Each topic and partition has its own sequence space. */
static void sequence_spaces_are_apart(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'two', 'partitions': 2}", NULL);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    publish_ok(
        f, "{'topic': 'two', 'partition': 1, 'producer': 'p', 'epoch': 1, 'seq': 1, 'count': 1}",
        ONE, "[[0, 1, 1, 0, false]]");
    publish_ok(
        f, "{'topic': 'two', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': 1, 'count': 1}",
        ONE, "[[0, 1, 0, 0, false]]");
    const struct answer *const a = fixture_ok(f, "PRODUCER.INFO", OPEN, NULL);
    assert_string_equal(fixture_value(a, "last"),
                        "[[\"orders\", 0, 1], [\"two\", 0, 1], [\"two\", 1, 1]]");
    assert_string_equal(
        fixture_value(fixture_ok(f, "PRODUCER.INFO", "{'producer': 'p', 'topic': 'orders'}", NULL),
                      "last"),
        "[[\"orders\", 0, 1]]");
}

/* Beyond the window an old batch is confirmed without offsets. */
static void a_duplicate_older_than_the_window_has_no_offset(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    for (unsigned i = 1; i <= ZSP_PRODUCER_WINDOW + 1; i++) {
        fixture_ok(f, "PUBLISH", sequenced(1, i, 1), ONE);
    }
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, nil, true]]");
    publish_ok(f, sequenced(1, 2, 1), ONE, "[[0, 1, 0, 1, true]]");
    assert_int_equal(stored(f), ZSP_PRODUCER_WINDOW + 1);
}

/* --- duplicates in flight -------------------------------------------------------------------- */

/* A duplicate is confirmed only once its original has reached the level. */
static void a_duplicate_waits_for_the_sync_of_its_original(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t original = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    fixture_pump(f);
    const uint64_t duplicate = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    fixture_pump(f);
    assert_null(fixture_answer(f, original));
    assert_null(fixture_answer(f, duplicate));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, original), "at"), "[[0, 1, 0, 0, false]]");
    assert_string_equal(fixture_value(fixture_answer(f, duplicate), "at"), "[[0, 1, 0, 0, true]]");
}

/* The same while the original is not even written. */
static void a_duplicate_waits_for_the_write_of_its_original(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    mem_store_hold(f->mem, MEM_WRITES | MEM_SYNCS);
    const uint64_t original = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    const uint64_t duplicate = fixture_send(
        f, "PUBLISH",
        "{'topic': 'orders', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': 1, 'count': 1,"
        " 'level': 'written'}",
        ONE);
    const uint64_t next = fixture_send(f, "PUBLISH", sequenced(1, 2, 1), ONE);
    fixture_pump(f);
    assert_null(fixture_answer(f, duplicate));
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, duplicate), "at"), "[[0, 1, 0, 0, true]]");
    assert_null(fixture_answer(f, original));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, next), "at"), "[[0, 1, 0, 1, false]]");
}

/* When sequence k fails, later ones fail, and the producer may go on with k. */
static void after_a_failure_the_sequence_goes_on_where_it_failed(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    mem_store_fail_next_append(f->mem, ZSP_ENO_SPACE, true);
    const uint64_t second = fixture_send(f, "PUBLISH", sequenced(1, 2, 1), ONE);
    const uint64_t third = fixture_send(f, "PUBLISH", sequenced(1, 3, 1), ONE);
    const uint64_t echo = fixture_send(f, "PUBLISH", sequenced(1, 2, 1), ONE);
    fixture_pump(f);
    assert_true(fixture_answer(f, second)->error.maybe);
    assert_true(fixture_answer(f, third)->error.maybe);
    assert_true(fixture_answer(f, echo)->error.maybe);
    fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", sequenced(1, 4, 1), ONE);
    fixture_error(f, ZSP_ESEQUENCE_GAP, "PUBLISH", sequenced(1, 3, 1), ONE);
    publish_ok(f, sequenced(1, 2, 1), ONE, "[[0, 1, 0, 1, false]]");
    publish_ok(f, sequenced(1, 3, 1), ONE, "[[0, 1, 0, 2, false]]");
}

/* A batch sent after its predecessor failed, but before anyone was told, must not get in. */
static void a_batch_behind_an_untold_failure_is_refused(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    mem_store_hold(f->mem, MEM_WRITES);
    mem_store_fail_next_append(f->mem, ZSP_ENO_SPACE, true);
    const uint64_t first = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    fixture_pump(f);
    mem_store_write_all(f->mem);
    const uint64_t second = fixture_send(f, "PUBLISH", sequenced(1, 2, 1), ONE);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, first)->code, ZSP_ENO_SPACE);
    assert_int_equal(fixture_answer(f, second)->code, ZSP_ESEQUENCE_GAP);
    assert_int_equal(stored(f), 0);
}

/* A definite refusal leaves the sequence where it was. */
static void a_refused_batch_does_not_use_up_its_sequence(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    mem_store_refuse_appends(f->mem, true);
    fixture_pump(f);
    fixture_error(f, ZSP_ENO_SPACE, "PUBLISH", sequenced(1, 1, 1), ONE);
    mem_store_refuse_appends(f->mem, false);
    fixture_pump(f);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
}

/* --- fencing ------------------------------------------------------------------------------------ */

static void opening_again_fences_the_older_instance(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, 0, false]]");
    const struct answer *a = fixture_ok(f, "PRODUCER.OPEN", OPEN, NULL);
    assert_int_equal(fixture_number(a, "epoch"), 2);
    assert_string_equal(fixture_value(a, "last"), "[[\"orders\", 0, 2]]");
    a = fixture_error(f, ZSP_EFENCED_PRODUCER, "PUBLISH", sequenced(1, 3, 1), ONE);
    assert_string_equal(a->error.object, "producer p");
    fixture_error(f, ZSP_EFENCED_PRODUCER, "PUBLISH", sequenced(1, 1, 2), TWO);
    publish_ok(f, sequenced(2, 3, 1), ONE, "[[0, 1, 0, 2, false]]");
    publish_ok(f, sequenced(2, 1, 2), TWO, "[[0, 2, 0, 0, true]]");
}

static void an_epoch_that_was_never_given_out_is_refused(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    fixture_error(f, ZSP_EBAD_VALUE, "PUBLISH", sequenced(2, 1, 1), ONE);
}

/* OPEN waits until what the older epoch appended is synced, and then tells it. */
static void open_waits_for_what_the_older_epoch_has_in_flight(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t publish = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    const uint64_t open = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, open));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, publish)->code, ZSP_OK);
    assert_string_equal(fixture_value(fixture_answer(f, open), "last"), "[[\"orders\", 0, 1]]");
}

/* Goal: OPEN waits also when its epoch is durable before the older one's batch is written. */
static void open_waits_although_its_epoch_is_durable_first(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'q'}", NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_send(f, "COMMIT",
                 "{'producer': 'q', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'orders'}]}", ONE);
    fixture_pump(f); /* until it is durable its partition takes nothing */
    const uint64_t publish = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    const uint64_t open = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, open));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, publish), "at"), "[[0, 1, 0, 1, false]]");
    assert_string_equal(fixture_value(fixture_answer(f, open), "last"), "[[\"orders\", 0, 1]]");
}

/* When the storage fails nobody knows what the older epoch left: OPEN tells nothing. */
static void open_tells_nothing_when_the_storage_fails(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    mem_store_hold(f->mem, MEM_WRITES | MEM_SYNCS);
    const uint64_t publish = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    const uint64_t duplicate = fixture_send(f, "PUBLISH", sequenced(1, 1, 1), ONE);
    const uint64_t open = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_pump(f);
    mem_store_fail(f->mem);
    fixture_pump(f);
    const uint64_t tickets[] = {publish, duplicate, open};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fixture_answer(f, tickets[i])->code, ZSP_ESTORAGE_FAILED);
        assert_true(fixture_answer(f, tickets[i])->error.maybe);
    }
    assert_true(f->fail_stop);
}

/* What failed under the older epoch is not told as its last sequence. */
static void open_tells_only_what_was_kept(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    mem_store_hold(f->mem, MEM_WRITES);
    mem_store_fail_next_append(f->mem, ZSP_ENO_SPACE, true);
    fixture_send(f, "PUBLISH", sequenced(1, 2, 1), ONE);
    const uint64_t open = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, open), "last"), "[[\"orders\", 0, 1]]");
    assert_int_equal(fixture_number(fixture_answer(f, open), "epoch"), 2);
}

/* Until the new epoch is durable the older instance goes on. */
static void the_older_epoch_is_in_force_until_the_new_one_is_durable(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "PRODUCER.OPEN", OPEN, NULL);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t open = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    const uint64_t publish = fixture_send(f, "PUBLISH", sequenced(1, 2, 1), ONE);
    fixture_pump(f);
    assert_null(fixture_answer(f, open));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, publish)->code, ZSP_OK);
    assert_string_equal(fixture_value(fixture_answer(f, open), "last"), "[[\"orders\", 0, 2]]");
}

/* Two OPENs at once get two epochs, the later one is in force. */
static void two_opens_get_two_epochs(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t first = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    const uint64_t second = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_pump(f);
    assert_int_equal(fixture_number(fixture_answer(f, first), "epoch"), 1);
    assert_int_equal(fixture_number(fixture_answer(f, second), "epoch"), 2);
    fixture_error(f, ZSP_EFENCED_PRODUCER, "PUBLISH", sequenced(1, 1, 1), ONE);
}

/* A first OPEN that is refused leaves no producer behind. */
static void a_refused_first_open_leaves_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "PRODUCER.OPEN", OPEN, NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "PRODUCER.INFO", OPEN, NULL);
    struct engine_stats stats;
    engine_stats(f->engine, &stats);
    assert_int_equal(stats.producer_count, 0);
}

static void wrong_arguments_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_error(f, ZSP_EBAD_VALUE, "PRODUCER.OPEN", "{}", NULL);
    fixture_error(f, ZSP_EBAD_NAME, "PRODUCER.OPEN", "{'producer': 'a/b'}", NULL);
    fixture_error(f, ZSP_EBAD_TYPE, "PRODUCER.OPEN", "{'producer': 'p', 'ephemeral': 1}", NULL);
    fixture_error(f, ZSP_EUNKNOWN_ARGUMENT, "PRODUCER.OPEN", "{'producer': 'p', 'x': 1}", NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "PRODUCER.INFO", OPEN, NULL);
    fixture_error(f, ZSP_EUNKNOWN_ARGUMENT, "PRODUCER.INFO", "{'producer': 'p', 'x': 1}", NULL);
}

/* --- expiry ----------------------------------------------------------------------------------------- */

static void a_name_that_nobody_uses_expires(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'short', 'ephemeral': true}", NULL);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    fixture_advance(f, ZSP_EPHEMERAL_EXPIRE_MS + 1);
    fixture_error(f, ZSP_ENOT_FOUND, "PRODUCER.INFO", "{'producer': 'short'}", NULL);
    fixture_ok(f, "PRODUCER.INFO", OPEN, NULL);
    fixture_leap(f, ZSP_PRODUCER_EXPIRE_MS + 1);
    fixture_error(f, ZSP_ENOT_FOUND, "PUBLISH", sequenced(1, 2, 1), ONE);
    /* It starts anew: another id, its sequences begin at 1. */
    const struct answer *const a = fixture_ok(f, "PRODUCER.OPEN", OPEN, NULL);
    assert_string_equal(fixture_value(a, "last"), "[]");
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 1, false]]");
}

static void a_name_that_is_used_lives_on(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders'}", NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p', 'ephemeral': true}", NULL);
    for (unsigned i = 1; i <= 4; i++) {
        fixture_advance(f, ZSP_EPHEMERAL_EXPIRE_MS - 1000);
        fixture_ok(f, "PUBLISH", sequenced(1, i, 1), ONE);
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "PUBLISH", sequenced(1, 5, 1), ONE);
}

/* An expired name does not come back with a restart. */
static void an_expired_name_stays_gone_after_a_restart(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    fixture_leap(f, ZSP_PRODUCER_EXPIRE_MS + 1);
    fixture_error(f, ZSP_ENOT_FOUND, "PRODUCER.INFO", OPEN, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "PRODUCER.INFO", OPEN, NULL);
}

/* --- restart -------------------------------------------------------------------------------------------- */

/* Names, epochs, sequences and original offsets are there after a power cut. */
static void a_restart_keeps_epoch_and_sequences(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, 0, false]]");
    publish_ok(f, sequenced(1, 3, 1), ONE, "[[0, 1, 0, 2, false]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    publish_ok(f, sequenced(1, 1, 2), TWO, "[[0, 2, 0, 0, true]]");
    publish_ok(f, sequenced(1, 4, 1), ONE, "[[0, 1, 0, 3, false]]");
    const struct answer *const a = fixture_ok(f, "PRODUCER.OPEN", OPEN, NULL);
    assert_int_equal(fixture_number(a, "epoch"), 2);
    assert_string_equal(fixture_value(a, "last"), "[[\"orders\", 0, 4]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_EFENCED_PRODUCER, "PUBLISH", sequenced(1, 5, 1), ONE);
    publish_ok(f, sequenced(2, 5, 1), ONE, "[[0, 1, 0, 4, false]]");
}

/* What was only written is gone after a power cut: the sequence goes on before it. */
static void a_power_cut_takes_unsynced_sequences_back(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_ok(f, "PUBLISH",
               "{'topic': 'orders', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': 2,"
               " 'count': 1, 'level': 'written'}",
               ONE);
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *const a = fixture_ok(f, "PRODUCER.OPEN", OPEN, NULL);
    assert_string_equal(fixture_value(a, "last"), "[[\"orders\", 0, 1]]");
    publish_ok(f, sequenced(2, 2, 1), ONE, "[[0, 1, 0, 1, false]]");
}

/* A topic made anew has new sequence spaces. */
static void a_recreated_topic_begins_at_one(void **state)
{
    struct engine_fixture *const f = *state;
    open_producer(f);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'orders'}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders'}", NULL);
    publish_ok(f, sequenced(1, 1, 1), ONE, "[[0, 1, 0, 0, false]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    publish_ok(f, sequenced(1, 2, 1), ONE, "[[0, 1, 0, 1, false]]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sequences_count_messages_from_one),
        TEST(a_repeated_batch_is_confirmed_with_its_original_offsets),
        TEST(a_part_of_an_old_batch_is_a_duplicate),
        TEST(an_old_batch_that_was_stored_apart_has_no_offset),
        TEST(gaps_and_overlaps_are_refused),
        TEST(sequence_spaces_are_apart),
        TEST(a_duplicate_older_than_the_window_has_no_offset),
        TEST(a_duplicate_waits_for_the_sync_of_its_original),
        TEST(a_duplicate_waits_for_the_write_of_its_original),
        TEST(after_a_failure_the_sequence_goes_on_where_it_failed),
        TEST(a_batch_behind_an_untold_failure_is_refused),
        TEST(a_refused_batch_does_not_use_up_its_sequence),
        TEST(opening_again_fences_the_older_instance),
        TEST(an_epoch_that_was_never_given_out_is_refused),
        TEST(open_waits_for_what_the_older_epoch_has_in_flight),
        TEST(open_waits_although_its_epoch_is_durable_first),
        TEST(open_tells_nothing_when_the_storage_fails),
        TEST(open_tells_only_what_was_kept),
        TEST(the_older_epoch_is_in_force_until_the_new_one_is_durable),
        TEST(two_opens_get_two_epochs),
        TEST(a_refused_first_open_leaves_nothing),
        TEST(wrong_arguments_are_refused),
        TEST(a_name_that_nobody_uses_expires),
        TEST(a_name_that_is_used_lives_on),
        TEST(an_expired_name_stays_gone_after_a_restart),
        TEST(a_restart_keeps_epoch_and_sequences),
        TEST(a_power_cut_takes_unsynced_sequences_back),
        TEST(a_recreated_topic_begins_at_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
