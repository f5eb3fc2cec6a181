/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics get more partitions: durably before that is answered, in one moment for everybody, and
 * never fewer.
 */
#include <inttypes.h>

#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define T     "{'topic': 't'}"
#define GROW4 "{'topic': 't', 'partitions': 4}"

static enum fixture_store store_kind;

static int set_up(void **state)
{
    struct engine_fixture *const f = fixture_new(store_kind);
    *state = f;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 2}", NULL);
    return 0;
}

static unsigned partitions_of(struct engine_fixture *f)
{
    const struct answer *const a = fixture_ok(f, "TOPIC.INFO", T, NULL);
    return wire_map_find(a->map, "partitions")->via.array.size;
}

static const struct answer *publish_to(struct engine_fixture *f, unsigned partition,
                                       const char *payload)
{
    return fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %u}", partition),
                      fixture_format("[[b'%s']]", payload));
}

static const char *payloads_in(struct engine_fixture *f, unsigned partition)
{
    return fixture_payloads(fixture_ok(
        f, "READ", fixture_format("{'topic': 't', 'partition': %u, 'from': 'earliest'}", partition),
        NULL));
}

/* --- what it does ---------------------------------------------------------------------- */

static void it_has_more_partitions_and_what_was_there(void **state)
{
    struct engine_fixture *const f = *state;
    publish_to(f, 1, "old");
    const struct answer *a = fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    assert_int_equal(fixture_number(a, "partitions"), 4);
    assert_int_equal(partitions_of(f), 4);
    publish_to(f, 3, "new");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(payloads_in(f, 1), "old");
        assert_string_equal(payloads_in(f, 3), "new");
        fixture_restart(f, i == 0 ? MEM_KEEP_WRITTEN : MEM_KEEP_SYNCED);
        assert_int_equal(partitions_of(f), 4);
    }
    a = publish_to(f, 3, "newer");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 3, 1, false]]");
}

static void step_by_step_to_the_most(void **state)
{
    struct engine_fixture *const f = *state;
    for (unsigned count = 3; count < 10; count++) {
        fixture_ok(f, "TOPIC.SET", fixture_format("{'topic': 't', 'partitions': %u}", count), NULL);
        publish_to(f, count - 1, fixture_format("m%u", count));
    }
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 1024}", NULL);
    publish_to(f, 1023, "last");
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", "{'topic': 't', 'partitions': 1025}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(partitions_of(f), ZSP_PARTITIONS_MAX);
    assert_string_equal(payloads_in(f, 5), "m6");
    assert_string_equal(payloads_in(f, 1023), "last");
    fixture_ok(f, "TOPIC.DELETE", T, NULL);
}

static void keys_go_over_all_of_them(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 16}", NULL);
    fixture_error(f, ZSP_EWOULD_REORDER, "PUBLISH", "{'topic': 't', 'partitions': 2}",
                  "[[b'x', b'k']]");
    unsigned used = 0;
    for (unsigned i = 0; i < 64; i++) {
        fixture_ok(f, "PUBLISH", "{'topic': 't', 'partitions': 16}",
                   fixture_format("[[b'x', b'k%u']]", i));
    }
    for (unsigned i = 2; i < 16; i++) {
        used += payloads_in(f, i)[0] != '\0' ? 1 : 0;
    }
    assert_true(used > 8);
}

static void as_many_as_it_has_is_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a =
        fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 2}", NULL);
    assert_int_equal(fixture_number(a, "partitions"), 2);
}

static void fewer_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a =
        fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", "{'topic': 't', 'partitions': 1}", NULL);
    assert_string_equal(a->error.object, "topic t");
    assert_string_equal(a->error.wanted, "at least 2");
    assert_string_equal(a->error.got, "1");
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", "{'topic': 't', 'partitions': 1, 'force': true}",
                  NULL);
}

static void each_wrong_use_has_its_error(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", T, NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", "{'topic': 't', 'partitions': 0}", NULL);
    fixture_error(f, ZSP_EBAD_TYPE, "TOPIC.SET", "{'topic': 't', 'partitions': 'x'}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", "{'topic': 't', 'settings': {}, 'force': true}",
                  NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "TOPIC.SET", "{'topic': 't', 'partitions': 4, 'settings': {}}",
                  NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.SET", "{'topic': 'u', 'partitions': 4}", NULL);
    assert_int_equal(partitions_of(f), 2);
}

static void a_dry_run_changes_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a =
        fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 4, 'dry_run': true}", NULL);
    assert_int_equal(fixture_number(a, "partitions"), 4);
    assert_int_equal(partitions_of(f), 2);
}

/* Goal: ids are looked for in the new ones, too. */
static void messages_of_one_id_are_found_in_the_new_ones(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'dedup_window_ms': 60000}}", NULL);
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    for (int i = 0; i < 2; i++) {
        fixture_ok(f, "PUBLISH", "{'topic': 't', 'partition': 3}", "[[b'x', null, null, 'one']]");
    }
    assert_string_equal(payloads_in(f, 3), "x");
}

/* --- readers ----------------------------------------------------------------------------- */

static uint64_t read_and_wait(struct engine_fixture *f, unsigned partition, const char *known)
{
    const uint64_t ticket = fixture_send(
        f, "READ",
        fixture_format("{'topic': 't', 'partition': %u, 'from': 'latest', 'wait_ms': 60000%s}",
                       partition, known),
        NULL);
    fixture_pump(f);
    return ticket;
}

/* Who said how many it knows of, and only that one. */
static void a_read_that_waits_is_told(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t told[2] = {read_and_wait(f, 0, ", 'partitions': 2"),
                              read_and_wait(f, 1, ", 'partitions': 2")};
    const uint64_t silent = read_and_wait(f, 1, "");
    const uint64_t ahead = read_and_wait(f, 1, ", 'partitions': 4");
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    for (unsigned i = 0; i < 2; i++) {
        const struct answer *const a = fixture_answer(f, told[i]);
        assert_non_null(a);
        assert_string_equal(fixture_text(a, "reason"), "grown");
        assert_int_equal(fixture_number(a, "partitions"), 4);
        assert_int_equal(fixture_number(a, "next"), 0);
    }
    assert_null(fixture_answer(f, silent));
    assert_null(fixture_answer(f, ahead));
    publish_to(f, 1, "x");
    assert_string_equal(fixture_payloads(fixture_answer(f, silent)), "x");
    assert_string_equal(fixture_payloads(fixture_answer(f, ahead)), "x");
}

/* One that comes afterwards does not wait at all; with messages to tell it tells these. */
static void a_read_that_comes_later_is_told_at_once(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    const struct answer *a = fixture_answer(f, read_and_wait(f, 0, ", 'partitions': 2"));
    assert_non_null(a);
    assert_string_equal(fixture_text(a, "reason"), "grown");
    assert_null(fixture_answer(f, read_and_wait(f, 0, ", 'partitions': 4")));
    publish_to(f, 0, "x");
    a = fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest', 'partitions': 2}", NULL);
    assert_string_equal(fixture_payloads(a), "x");
    assert_string_equal(fixture_text(a, "reason"), "end");
    assert_int_equal(fixture_number(a, "partitions"), 4);
    fixture_error(f, ZSP_EBAD_VALUE, "READ", "{'topic': 't', 'from': 'earliest', 'partitions': 0}",
                  NULL);
}

/* --- groups ------------------------------------------------------------------------------ */

/* Goal: a group has all of the new partitions, wherever it began itself. */
static void groups_have_them_from_the_earliest_on(void **state)
{
    struct engine_fixture *const f = *state;
    publish_to(f, 0, "before");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'start': 'latest'}", NULL);
    const uint64_t waits = steps_wait(f, 10, 60000);
    fixture_pump(f);
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    assert_null(fixture_answer(f, waits));
    publish_to(f, 3, "x");
    const struct answer *const a = fixture_answer(f, waits);
    assert_non_null(a); /* the pull that waited already picks it up */
    assert_string_equal(fixture_payloads(a), "x");
    publish_to(f, 2, "y");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "y");
    assert_string_equal(steps_part(f, "t", 3), "0 1 0 1 0 0");
}

static void a_group_of_one_partition_gets_more(void **state)
{
    struct engine_fixture *const f = *state;
    const char *const pull = "{'group': 'h', 'topics': ['one'], 'max_messages': 2}";
    steps_publish(f, "one", 3);
    const uint64_t lease = fixture_ok(f, "PULL", pull, NULL)->lease;
    fixture_ok(f, "TOPIC.SET", "{'topic': 'one', 'partitions': 3}", NULL);
    fixture_ok(
        f, "SETTLE",
        fixture_format("{'group': 'h', 'runs': [['one', 0, 0, 2, %" PRIu64 ", 'ack']]}", lease),
        NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'one', 'partition': 2}", "[[b'z']]");
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", pull, NULL)), "m2 z");
    fixture_ok(f, "GROUP.DELETE", "{'group': 'h'}", NULL);
}

static void an_order_that_is_kept_refuses_it_unless_forced(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'mode': 'ordered'}", NULL);
    const struct answer *const a = fixture_error(f, ZSP_EWOULD_REORDER, "TOPIC.SET", GROW4, NULL);
    assert_string_equal(a->error.object, "topic t");
    assert_int_equal(partitions_of(f), 2);
    publish_to(f, 0, "a");
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 4, 'force': true}", NULL);
    publish_to(f, 3, "b");
    assert_int_equal(steps_count(steps_pull(f, 10)), 2);
}

static void a_seek_moves_the_new_ones_as_well(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    publish_to(f, 3, "x");
    steps_pull(f, 1);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'latest'}", NULL);
    assert_string_equal(steps_part(f, "t", 3), "1 1 0 0 0 0");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'partition': 3, 'to': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "x");
}

/* Goal: what was done when it was saved is done after it, and no more. */
static void a_restore_takes_the_new_ones_back_to_their_beginning(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t', 'u']}", NULL);
    steps_publish(f, "t", 2); /* keyless: all in one partition */
    steps_publish(f, "u", 1);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'latest'}", NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's'}", NULL);
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    publish_to(f, 3, "new");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'latest'}", NULL);
    assert_string_equal(steps_part(f, "t", 3), "1 1 0 0 0 0");
    const struct answer *a =
        fixture_ok(f, "SAVEPOINT.RESTORE", "{'group': 'g', 'name': 's'}", NULL);
    assert_int_equal(fixture_number(a, "redelivered"), 1);
    assert_int_equal(fixture_number(a, "skipped"), 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 3), "0 1 1 0 0 0");
    fixture_ok(f, "SAVEPOINT.UNDO", "{'group': 'g'}", NULL);
    assert_string_equal(steps_part(f, "t", 3), "1 1 0 0 0 0");
}

/* Goal: the undo of a seek brings back what the seek has moved, and nothing else. */
static void an_undo_leaves_the_new_ones_alone(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    publish_to(f, 0, "a");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'partition': 0, 'to': 'latest'}", NULL);
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    publish_to(f, 3, "new");
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_ok(
        f, "SETTLE",
        fixture_format("{'group': 'g', 'runs': [['t', 3, 0, 1, %" PRIu64 ", 'ack']]}", lease),
        NULL);
    fixture_ok(f, "SAVEPOINT.UNDO", "{'group': 'g'}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
    assert_string_equal(steps_part(f, "t", 3), "1 1 0 0 0 0");
}

/* --- what comes between -------------------------------------------------------------------- */

static void several_at_once_end_at_the_most(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t first = fixture_send(f, "TOPIC.SET", GROW4, NULL);
    const uint64_t second = fixture_send(f, "TOPIC.SET", "{'topic': 't', 'partitions': 7}", NULL);
    const uint64_t third = fixture_send(f, "TOPIC.SET", "{'topic': 't', 'partitions': 5}", NULL);
    fixture_pump(f);
    assert_int_equal(fixture_number(fixture_answer(f, first), "partitions"), 4);
    assert_int_equal(fixture_number(fixture_answer(f, second), "partitions"), 7);
    assert_int_equal(fixture_answer(f, third)->code, ZSP_EBAD_VALUE); /* fewer than it has */
    assert_int_equal(partitions_of(f), 7);
}

static void a_deletion_waits_for_it(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t grown = fixture_send(f, "TOPIC.SET", GROW4, NULL);
    const uint64_t gone = fixture_send(f, "TOPIC.DELETE", T, NULL);
    const uint64_t again = fixture_send(f, "TOPIC.DELETE", T, NULL);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, grown)->code, 0);
    assert_int_equal(fixture_answer(f, gone)->code, 0);
    assert_int_equal(fixture_answer(f, again)->code, ZSP_ENOT_FOUND);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", T, NULL);
    fixture_ok(f, "TOPIC.CREATE", T, NULL);
    assert_int_equal(partitions_of(f), 1);
}

/* Goal: nobody sees a partition that a crash could take away. */
static void it_is_there_when_it_is_durable(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "TOPIC.SET", GROW4, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    assert_int_equal(partitions_of(f), 2);
    fixture_error(f, ZSP_ENOT_FOUND, "PUBLISH", "{'topic': 't', 'partition': 3}", "[[b'x']]");
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_number(fixture_answer(f, ticket), "partitions"), 4);
    publish_to(f, 3, "x");
}

/* Goal: what a crash leaves of it is in nobody's way, and is taken by the next one. */
static void a_crash_in_between_leaves_it_undone(void **state)
{
    struct engine_fixture *const f = *state;
    for (int i = 0; i < 2; i++) {
        mem_store_hold(f->mem, i == 0 ? MEM_SYNCS : MEM_TOPICS);
        fixture_send(f, "TOPIC.SET", GROW4, NULL);
        fixture_pump(f);
        fixture_restart(f, MEM_KEEP_SYNCED);
        assert_int_equal(partitions_of(f), 2);
        publish_to(f, 1, "x");
    }
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    publish_to(f, 3, "y");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(payloads_in(f, 3), "y");
    fixture_ok(f, "TOPIC.DELETE", T, NULL);
}

/* Goal: an image that is put meanwhile does not take back what was put before it. */
static void other_images_know_of_it(void **state)
{
    struct engine_fixture *const f = *state;
    uint8_t key[9] = {'T'};
    zsp_put_u64(key + 1, 1);
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_send(f, "TOPIC.SET", GROW4, NULL);
    fixture_pump(f);
    fixture_send(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_bytes': 9}}", NULL);
    mem_store_want_image(f->mem, (struct zsp_slice){key, sizeof key});
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    publish_to(f, 3, "x");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(payloads_in(f, 3), "x");
}

static void a_full_journal_refuses_it_and_the_next_one_works(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_TOPICS);
    const uint64_t ticket = fixture_send(f, "TOPIC.SET", GROW4, NULL);
    fixture_pump(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENO_SPACE);
    assert_int_equal(partitions_of(f), 2);
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 3}", NULL);
    publish_to(f, 2, "x");
    fixture_error(f, ZSP_ENOT_FOUND, "PUBLISH", "{'topic': 't', 'partition': 3}", "[[b'x']]");
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'partitions': 6}", NULL);
    publish_to(f, 5, "y");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(payloads_in(f, 2), "x");
    assert_string_equal(payloads_in(f, 5), "y");
    fixture_ok(f, "TOPIC.DELETE", T, NULL);
}

/* Goal: a group that is made while the topic grows has all partitions, too. */
static void a_group_that_comes_meanwhile_has_them(void **state)
{
    struct engine_fixture *const f = *state;
    publish_to(f, 1, "old");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t made = fixture_send(
        f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'start': ['time', 5]}", NULL);
    fixture_pump(f);
    fixture_ok(f, "TOPIC.SET", GROW4, NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, made)->code, 0);
    publish_to(f, 3, "new");
    assert_int_equal(steps_count(steps_pull(f, 10)), 2);
}

static void a_commit_on_its_way_goes_where_it_was_routed(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const char *const args =
        "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 't', 'partition': 1}]}";
    const uint64_t commit = fixture_send(f, "COMMIT", args, "[[b'c']]");
    const uint64_t ticket = fixture_send(f, "TOPIC.SET", GROW4, NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, commit)->code, 0);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    assert_string_equal(payloads_in(f, 1), "c");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

/* Those that need nothing of the store in memory. */
static const struct CMUnitTest over_both[] = {
    TEST(it_has_more_partitions_and_what_was_there),
    TEST(step_by_step_to_the_most),
    TEST(keys_go_over_all_of_them),
    TEST(messages_of_one_id_are_found_in_the_new_ones),
    TEST(as_many_as_it_has_is_nothing),
    TEST(fewer_are_refused),
    TEST(each_wrong_use_has_its_error),
    TEST(a_dry_run_changes_nothing),
    TEST(a_read_that_waits_is_told),
    TEST(a_read_that_comes_later_is_told_at_once),
    TEST(groups_have_them_from_the_earliest_on),
    TEST(a_group_of_one_partition_gets_more),
    TEST(an_order_that_is_kept_refuses_it_unless_forced),
    TEST(a_seek_moves_the_new_ones_as_well),
    TEST(a_restore_takes_the_new_ones_back_to_their_beginning),
    TEST(an_undo_leaves_the_new_ones_alone),
    TEST(several_at_once_end_at_the_most),
    TEST(a_deletion_waits_for_it),
};

static const struct CMUnitTest over_memory[] = {
    TEST(it_is_there_when_it_is_durable),
    TEST(a_crash_in_between_leaves_it_undone),
    TEST(other_images_know_of_it),
    TEST(a_full_journal_refuses_it_and_the_next_one_works),
    TEST(a_group_that_comes_meanwhile_has_them),
    TEST(a_commit_on_its_way_goes_where_it_was_routed),
};

int main(void)
{
    store_kind = FIXTURE_MEM;
    int failed = cmocka_run_group_tests(over_both, NULL, NULL);
    failed += cmocka_run_group_tests(over_memory, NULL, NULL);
    store_kind = FIXTURE_LOG;
    return failed + cmocka_run_group_tests(over_both, NULL, NULL);
}
