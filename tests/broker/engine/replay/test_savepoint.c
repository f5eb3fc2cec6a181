/* SPDX-License-Identifier: MPL-2.0
 *
 * SAVEPOINT.*: what a group has done is kept and brought back; the last seek is undone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/engine_priv.h"
#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* So many blocks, every second message of them out, do not fit a savepoint. */
#define BLOCKS   (ZSP_SAVEPOINT_BYTES / (ZSP_STATE_BLOCK / 2 * 14) + 1)

#define SAVE     "{'group': 'g', 'name': 's'}"
#define DRY      "{'group': 'g', 'name': 's', 'dry_run': true}"
#define IN_G     "{'group': 'g'}"
#define DRY_IN_G "{'group': 'g', 'dry_run': true}"

/* What was out is handed out in leases of its own, so one pull is not enough. */
static void ack_all(struct engine_fixture *f)
{
    fixture_advance(f, 61000);
    for (const struct answer *pulled = steps_pull(f, 100); steps_count(pulled) > 0;
         pulled = steps_pull(f, 100)) {
        const msgpack_object *runs = wire_map_find(pulled->map, "runs");
        for (uint32_t i = 0; i < runs->via.array.size; i++) {
            const msgpack_object *run = runs->via.array.ptr[i].via.array.ptr;
            steps_settle(f, run[2].via.u64, run[3].via.u64, pulled->lease, "'ack'");
        }
    }
}

static const char *partitions(const struct answer *answer)
{
    return fixture_value(answer, "partitions");
}

/* Goal: waiting, dead and fresh ones are again what they were; what was out is ready. */
static void a_restore_brings_back_what_was_done(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = steps_mixed(f);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    assert_string_equal(steps_part(f, "t", 0), "2 6 2 1 1 1");
    ack_all(f);
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 1");
    const char *row = "[[\"t\", 0, 6, 2, 4, 0, 0]]";
    assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.RESTORE", DRY, NULL)), row);
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 1");
    const struct answer *answer = fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    assert_string_equal(partitions(answer), row);
    assert_int_equal(fixture_number(answer, "redelivered"), 4);
    assert_string_equal(fixture_value(answer, "undo"), "true");
    for (int i = 0; i < 2; i++) {
        /* The retry is due: after the restart it is looked at with the pull below. */
        assert_string_equal(steps_part(f, "t", 0), i == 0 ? "2 6 4 0 0 1" : "2 6 3 0 1 1");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "c d e f");
    assert_string_equal(fixture_value(steps_settle(f, 3, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 3, 1, \"lost\"]]");
}

static void counts_come_back_too(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'retry', {'delay_ms': 0}");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'retry', {'delay_ms': 0}");
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    assert_non_null(
        strstr(fixture_value(steps_pull(f, 1), "runs"), "{\"deliveries\": 3, \"failures\": 2}"));
}

/* Goal: forward again: what was not done by now, and was by then, is skipped. */
static void a_restore_may_skip(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    ack_all(f);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest', 'dead': true}", NULL);
    assert_string_equal(steps_part(f, "t", 0), "0 6 6 0 0 0");
    assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL)),
                        "[[\"t\", 0, 0, 6, 0, 6, 0]]");
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 1");
}

/* Goal: blocks that had no object get one, those that had one and need none lose it. */
static void blocks_come_and_go(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 70000);
    const uint64_t first = steps_pull(f, 65536)->lease;
    const uint64_t second = steps_pull(f, 4464)->lease;
    steps_settle(f, 0, 65536, first, "'ack'");
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    steps_settle(f, 65536, 4464, second, "'ack'");
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    steps_pull(f, 10);
    fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(steps_part(f, "t", 0), "65536 70000 4464 0 0 0");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
}

static void savepoints_are_listed_replaced_and_dropped(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    const struct answer *none = fixture_ok(f, "SAVEPOINT.LIST", IN_G, NULL);
    assert_string_equal(fixture_value(none, "savepoints"), "[]");
    assert_string_equal(fixture_value(none, "undo_ms"), "");
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_error(f, ZSP_EEXISTS, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 'other'}", NULL);
    ack_all(f);
    fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's', 'replace': true}", NULL);
    for (int i = 0; i < 2; i++) {
        const char *list = fixture_value(fixture_ok(f, "SAVEPOINT.LIST", IN_G, NULL), "savepoints");
        assert_non_null(strstr(list, "[[\"s\", 1700000061000, "));
        assert_non_null(strstr(list, "[\"other\", 1700000000000, "));
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
    assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.RESTORE", DRY, NULL)),
                        "[[\"t\", 0, 6, 6, 0, 0, 0]]");
    fixture_ok(f, "SAVEPOINT.DROP", DRY, NULL);
    fixture_ok(f, "SAVEPOINT.DROP", SAVE, NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.DROP", SAVE, NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.RESTORE", SAVE, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.RESTORE", SAVE, NULL);
    fixture_ok(f, "SAVEPOINT.RESTORE", "{'group': 'g', 'name': 'other'}", NULL);
}

static void a_group_has_so_many_savepoints(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': []}", NULL);
    for (unsigned i = 0; i < ZSP_SAVEPOINTS_MAX; i++) {
        fixture_ok(f, "SAVEPOINT.SAVE", fixture_format("{'group': 'g', 'name': 's%u'}", i), NULL);
    }
    fixture_error(f, ZSP_ELIMIT_REACHED, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's7', 'replace': true}", NULL);
    fixture_ok(f, "SAVEPOINT.DROP", "{'group': 'g', 'name': 's7'}", NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
}

/* --- undo ------------------------------------------------------------------------------------- */

static void a_seek_is_undone_and_done_again(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.UNDO", IN_G, NULL);
    const struct answer *moved = fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    assert_string_equal(fixture_value(moved, "undo"), "true");
    assert_int_equal(fixture_number(fixture_ok(f, "SAVEPOINT.LIST", IN_G, NULL), "undo_ms"),
                     1700000000000);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 1");
    const char *row = "[[\"t\", 0, 6, 2, 4, 0, 0]]";
    assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.UNDO", DRY_IN_G, NULL)), row);
    assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.UNDO", IN_G, NULL)), row);
    assert_string_equal(steps_part(f, "t", 0), "2 6 3 0 1 1");
    assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.UNDO", IN_G, NULL)),
                        "[[\"t\", 0, 2, 6, 0, 4, 0]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 1");
}

/* Goal: what the seek did not touch is not undone. */
static void an_undo_is_of_the_partitions_that_were_moved(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 2}", NULL);
    for (int i = 0; i < 2; i++) {
        fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %d}", i),
                   "[[b'x'], [b'y']]");
    }
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'partition': 1, 'to': 'latest'}", NULL);
    const uint64_t lease = steps_pull(f, 2)->lease;
    steps_settle(f, 0, 2, lease, "'ack'");
    assert_string_equal(steps_part(f, "t", 0), "2 2 0 0 0 0");
    assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.UNDO", IN_G, NULL)),
                        "[[\"t\", 1, 2, 0, 2, 0, 0]]");
    assert_string_equal(steps_part(f, "t", 0), "2 2 0 0 0 0");
    assert_string_equal(steps_part(f, "t", 1), "0 2 2 0 0 0");
}

static void a_restore_is_undone(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    ack_all(f);
    fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    fixture_ok(f, "SAVEPOINT.UNDO", IN_G, NULL);
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 1");
}

/* Pull a block of messages and ack every second one: each of the others is a run of its own. */
static void riddle(struct engine_fixture *f, uint64_t first)
{
    const size_t room = ZSP_RUNS_MAX * 64u;
    const uint64_t lease = steps_pull(f, ZSP_STATE_BLOCK)->lease;
    char *args = malloc(room);
    assert_non_null(args);
    for (uint64_t at = first; at < first + ZSP_STATE_BLOCK;) {
        size_t len = (size_t)snprintf(args, room, "{'group': 'g', 'runs': [");
        for (const uint64_t end = at + 2u * ZSP_RUNS_MAX; at < end; at += 2) {
            len += (size_t)snprintf(args + len, room - len,
                                    "['t', 0, %" PRIu64 ", 1, %" PRIu64 ", 'ack'],", at, lease);
        }
        (void)snprintf(args + len - 1, room - len, "]}");
        fixture_ok(f, "SETTLE", args, NULL);
    }
    free(args);
}

/* Goal: state too large for a record with it makes a seek without undo, not no seek; and what
 * could be undone before that is forgotten, since it would not be the last one. */
static void a_seek_from_very_much_state_has_no_undo(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        steps_publish(f, "t", ZSP_STATE_BLOCK);
        riddle(f, i * ZSP_STATE_BLOCK);
    }
    const struct answer *refused = fixture_error(f, ZSP_ETOO_LARGE, "SAVEPOINT.SAVE", SAVE, NULL);
    assert_string_equal(refused->error.wanted, "at most 3670016 bytes");
    assert_string_equal(refused->error.got, "more, with 0 of 1 partitions");
    const struct answer *moved = fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    assert_string_equal(fixture_value(moved, "undo"), "false");
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.UNDO", IN_G, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.UNDO", IN_G, NULL);
}

/* Goal: a group of 20,000 partitions has savepoints; what they are too large for is the undo of a restore. */
static void a_group_of_many_partitions_has_savepoints(void **state)
{
    struct engine_fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        fixture_ok(f, "TOPIC.CREATE", fixture_format("{'topic': 't%d', 'partitions': 1000}", i),
                   NULL);
    }
    f->options.join_partitions = 100000; /* in one turn */
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t*']}", NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't7', 'partition': 999}", "[[b'a']]");
    const struct answer *pulled = fixture_ok(f, "PULL", IN_G, NULL);
    fixture_ok(f, "SETTLE",
               fixture_format("{'group': 'g', 'runs': [['t7', 999, 0, 1, %" PRIu64 ", 'ack']]}",
                              pulled->lease),
               NULL);
    const struct answer *told = fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    assert_string_equal(fixture_value(told, "undo"), "false");
    assert_int_equal(fixture_number(told, "redelivered"), 1);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_payloads(fixture_ok(f, "PULL", IN_G, NULL)), "a");
}

/* --- what has changed meanwhile --------------------------------------------------------------- */

/* Goal: a savepoint pins nothing; what is gone is told, and counts as done. */
static void what_retention_took_is_told(void **state)
{
    struct engine_fixture *f = *state;
    mem_store_segment_batches(f->mem, 2);
    steps_publish_each(f, "t", "a b c d e f");
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 0, 1, lease, "'ack'");
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    fixture_ok(f, "TOPIC.SET", "{'topic': 't', 'settings': {'retention_bytes': 1}}", NULL);
    fixture_advance(f, 10001);
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 0");
    const struct answer *answer = fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    assert_string_equal(partitions(answer), "[[\"t\", 0, 6, 4, 2, 0, 3]]");
    assert_int_equal(fixture_number(answer, "gone"), 3);
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "e f");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "4 6 0 2 0 0");
}

static void topics_that_went_are_told(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    steps_publish_each(f, "u", "b");
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t', 'u']}", NULL);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    steps_publish_each(f, "t", "c"); /* another one of that name */
    steps_settle(f, 0, 1, steps_pull(f, 10)->lease, "'ack'");
    const struct answer *answer = fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    assert_string_equal(fixture_value(answer, "missing"), "[\"t\"]");
    assert_string_equal(partitions(answer), "[[\"u\", 0, 0, 0, 0, 0, 0]]");
    assert_string_equal(steps_part(f, "t", 0), "1 1 0 0 0 0");
    assert_string_equal(steps_part(f, "u", 0), "0 1 1 0 0 0");
}

/* --- when it goes wrong ----------------------------------------------------------------------- */

static void a_refused_restore_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = steps_mixed(f);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "PULL", "{'group': 'g'}", NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "SAVEPOINT.RESTORE", SAVE, NULL);
    assert_string_equal(steps_part(f, "t", 0), "2 6 0 3 1 1");
    assert_int_equal(fixture_number(steps_settle(f, 3, 1, lease, "'ack'"), "applied"), 1);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.UNDO", IN_G, NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 'x'}", NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.DROP", "{'group': 'g', 'name': 'x'}", NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "SAVEPOINT.DROP", SAVE, NULL);
    fixture_ok(f, "SAVEPOINT.DROP", SAVE, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "2 6 0 2 1 1");
}

static void a_restore_waits_for_its_sync(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_non_null(fixture_answer(f, ticket));
}

/* Goal: a pull that reads while the group is restored hands nothing out of the old place. */
static void a_pull_at_work_does_not_outlive_a_restore(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c");
    steps_settle(f, 0, 2, steps_pull(f, 2)->lease, "'ack'");
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 2, 60000);
    fixture_pump(f);
    fixture_ok(f, "SAVEPOINT.RESTORE", SAVE, NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "c");
    assert_string_equal(steps_part(f, "t", 0), "2 3 0 1 0 0");
}

static void bad_requests_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    const struct {
        int code;
        const char *verb, *args;
    } cases[] = {
        {ZSP_ENOT_FOUND, "SAVEPOINT.SAVE", "{'group': 'h', 'name': 's'}"},
        {ZSP_ENOT_FOUND, "SAVEPOINT.LIST", "{'group': 'h'}"},
        {ZSP_ENOT_FOUND, "SAVEPOINT.RESTORE", SAVE},
        {ZSP_ENOT_FOUND, "SAVEPOINT.UNDO", "{'group': 'h'}"},
        {ZSP_EBAD_NAME, "SAVEPOINT.SAVE", "{'group': 'g', 'name': ''}"},
        {ZSP_EBAD_VALUE, "SAVEPOINT.SAVE", IN_G},
        {ZSP_EUNKNOWN_ARGUMENT, "SAVEPOINT.SAVE", DRY},
        {ZSP_EUNKNOWN_ARGUMENT, "SAVEPOINT.UNDO", SAVE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, cases[i].verb, cases[i].args, NULL);
    }
}

/* How many more savepoints have an entry than an end; an image of each is asked for. */
static int savepoints_alive(struct engine_fixture *f, bool counts_entries)
{
    int alive = 0;
    const size_t count = mem_store_record_count(f->mem);
    for (size_t i = 0; i < count; i++) {
        const struct mem_store_record *record = mem_store_record(f->mem, i);
        for (size_t k = 0; k < record->entry_count; k++) {
            const struct store_entry *entry = &record->entries[k];
            if (entry->key.data[0] == 's') {
                alive += entry->kind == STORE_GONE ? -1 : counts_entries;
                mem_store_want_image(f->mem, entry->key);
            }
        }
    }
    return alive;
}

/* Goal: no savepoint of an ended group is left in the journal, and images are written on demand. */
static void savepoints_live_as_long_as_their_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_mixed(f);
    fixture_ok(f, "SAVEPOINT.SAVE", SAVE, NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'latest'}", NULL);
    for (int round = 0; round < 2; round++) {
        const size_t count = mem_store_record_count(f->mem);
        assert_int_equal(savepoints_alive(f, round == 0), round == 0 ? 2 : -2);
        fixture_pump(f);
        if (round == 0) {
            assert_true(mem_store_record_count(f->mem) > count);
            fixture_restart(f, MEM_KEEP_WRITTEN);
            assert_string_equal(partitions(fixture_ok(f, "SAVEPOINT.RESTORE", DRY, NULL)),
                                "[[\"t\", 0, 6, 2, 4, 0, 0]]");
            fixture_ok(f, "GROUP.DELETE", IN_G, NULL);
        }
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.RESTORE", SAVE, NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "SAVEPOINT.UNDO", IN_G, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_restore_brings_back_what_was_done),
        TEST(counts_come_back_too),
        TEST(a_restore_may_skip),
        TEST(blocks_come_and_go),
        TEST(savepoints_are_listed_replaced_and_dropped),
        TEST(a_group_has_so_many_savepoints),
        TEST(a_seek_is_undone_and_done_again),
        TEST(an_undo_is_of_the_partitions_that_were_moved),
        TEST(a_restore_is_undone),
        TEST(a_seek_from_very_much_state_has_no_undo),
        TEST(a_group_of_many_partitions_has_savepoints),
        TEST(what_retention_took_is_told),
        TEST(topics_that_went_are_told),
        TEST(a_refused_restore_changes_nothing),
        TEST(a_restore_waits_for_its_sync),
        TEST(a_pull_at_work_does_not_outlive_a_restore),
        TEST(bad_requests_are_refused),
        TEST(savepoints_live_as_long_as_their_group),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
