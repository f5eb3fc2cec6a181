/* SPDX-License-Identifier: MPL-2.0
 *
 * TOPIC.*: creation, settings, listing, deletion, and what of it survives.
 */
#include <stdio.h>

#include "broker/engine/topic/topic.h"
#include "common/limits.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

#define ORDERS "{'topic': 'orders'}"

/* --- creation --------------------------------------------------------------------------- */

static void a_created_topic_tells_what_it_is(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *a = fixture_ok(
        f, "TOPIC.CREATE",
        "{'topic': 'orders', 'partitions': 2, 'settings': {'retention_bytes': 1000}}", NULL);
    assert_string_equal(fixture_value(a, "id"), "1");
    a = fixture_ok(f, "TOPIC.INFO", ORDERS, NULL);
    assert_string_equal(fixture_text(a, "topic"), "orders");
    assert_int_equal(fixture_number(a, "id"), 1);
    assert_int_equal(fixture_number(a, "created_ms"), f->now.wall_ms);
    assert_string_equal(fixture_value(a, "settings"), "{\"retention_bytes\": 1000}");
    assert_string_equal(fixture_value(a, "partitions"), "[[0, 0, 0, 0], [1, 0, 0, 0]]");
}

static void a_topic_exists_once(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    const struct answer *const a = fixture_error(f, ZSP_EEXISTS, "TOPIC.CREATE", ORDERS, NULL);
    assert_string_equal(a->error.object, "topic orders");
}

static void wrong_arguments_are_refused(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'there'}", NULL);
    static const struct {
        const char *verb, *args;
        int code;
    } cases[] = {
        {"TOPIC.CREATE", "{}", ZSP_EBAD_VALUE},
        {"TOPIC.CREATE", "{'topic': '.hidden'}", ZSP_EBAD_NAME},
        {"TOPIC.CREATE", "{'topic': 'x', 'partitions': 0}", ZSP_EBAD_VALUE},
        {"TOPIC.CREATE", "{'topic': 'x', 'partitions': 1025}", ZSP_EBAD_VALUE},
        {"TOPIC.CREATE", "{'topic': 'x', 'colour': 1}", ZSP_EUNKNOWN_ARGUMENT},
        {"TOPIC.CREATE", "{'topic': 'x', 'settings': 1}", ZSP_EBAD_TYPE},
        {"TOPIC.CREATE", "{'topic': 'x', 'settings': {'colour': 1}}", ZSP_EUNKNOWN_ARGUMENT},
        {"TOPIC.CREATE", "{'topic': 'x', 'settings': {7: 1}}", ZSP_EBAD_TYPE},
        {"TOPIC.CREATE", "{'topic': 'x', 'settings': {'retention_bytes': 'x'}}", ZSP_EBAD_TYPE},
        {"TOPIC.CREATE", "{'topic': 'x', 'settings': {'retention_bytes': 0}}", ZSP_EBAD_VALUE},
        {"TOPIC.CREATE", "{'topic': 'x', 'settings': {'dead_retention': 1}}", ZSP_EUNSUPPORTED},
        {"TOPIC.SET", "{'topic': 'x', 'settings': {}}", ZSP_ENOT_FOUND},
        {"TOPIC.SET", "{'topic': 'there'}", ZSP_EBAD_VALUE},
        {"TOPIC.SET", "{'topic': 'there', 'settings': {}, 'partitions': 2}", ZSP_EBAD_VALUE},
        {"TOPIC.SET", "{'topic': 'there', 'settings': {'x': 1}}", ZSP_EUNKNOWN_ARGUMENT},
        {"TOPIC.SET",
         "{'topic': 'there', 'settings': {'retention_bytes': 1, 'retention_bytes': 2}}",
         ZSP_EBAD_VALUE},
        {"TOPIC.INFO", "{'topic': 'x'}", ZSP_ENOT_FOUND},
        {"TOPIC.INFO", "{'topic': 'there', 'x': 1}", ZSP_EUNKNOWN_ARGUMENT},
        {"TOPIC.DELETE", "{'topic': 'x'}", ZSP_ENOT_FOUND},
        {"TOPIC.DELETE", "{'topic': 'there', 'dry_run': 1}", ZSP_EBAD_TYPE},
        {"TOPIC.LIST", "{'limit': 0}", ZSP_EBAD_VALUE},
        {"TOPIC.LIST", "{'limit': 1001}", ZSP_EBAD_VALUE},
        {"TOPIC.LIST", "{'match': 1}", ZSP_EBAD_TYPE},
        {"TOPIC.LIST", "{'x': 1}", ZSP_EUNKNOWN_ARGUMENT},
        {"STATS", "{'x': 1}", ZSP_EUNKNOWN_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(f, cases[i].code, cases[i].verb, cases[i].args, NULL);
    }
}

/* A refused setting is named, with what it must be and what it was. */
static void refused_settings_are_explained(void **state)
{
    struct engine_fixture *const f = *state;
    static const struct {
        const char *setting, *why;
    } cases[] = {
        {"'retention_bytes': 'x'", "settings: retention_bytes must be a number, not a string"},
        {"'dedup_window_ms': 31536000001",
         "settings: dedup_window_ms must be 1..31536000000, not 31536000001"},
        {"'compact_ratio': 101", "settings: compact_ratio must be 1..100, not 101"},
        {"'compact_ratio': -1", "settings: compact_ratio must be 1..100, not -1"},
        {"'cleanup': 'x'", "settings: cleanup must be delete or compact, not x"},
        {"'cleanup': 1", "settings: cleanup must be a string, not a number"},
        {"'colour': 1", "settings: colour: there is no such setting"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *const a = fixture_call(
            f, "TOPIC.CREATE", fixture_format("{'topic': 'x', 'settings': {%s}}", cases[i].setting),
            NULL);
        assert_string_equal(a->error.msg, cases[i].why);
    }
}

/* The answer comes when the topic is durable, and not before. */
static void a_creation_is_durable_before_it_is_answered(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "TOPIC.CREATE", ORDERS, NULL);
    for (int i = 0; i < 2; i++) {
        fixture_pump(f);
        assert_null(fixture_answer(f, ticket));
        mem_store_sync_all(f->mem);
    }
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_OK);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "TOPIC.INFO", ORDERS, NULL);
}

/* Each step of a creation may be refused; nothing is left, and the next try works. */
static void a_refused_creation_leaves_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_TOPICS);
    const uint64_t ticket = fixture_send(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_pump(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", ORDERS, NULL);
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
}

/* A crash in the middle of a creation leaves no topic, and its id is not used again. */
static void a_crash_during_a_creation_does_not_reuse_its_id(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_TOPICS);
    fixture_send(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_pump(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", ORDERS, NULL);
    const struct answer *const a = fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    assert_true(fixture_number(a, "id") > 1);
}

/* --- listing ------------------------------------------------------------------------------- */

static void lists_come_in_order_of_names_and_in_pages(void **state)
{
    struct engine_fixture *const f = *state;
    static const char *const names[] = {"pear", "apple", "fig", "apricot"};
    for (size_t i = 0; i < 4; i++) {
        fixture_ok(f, "TOPIC.CREATE", fixture_format("{'topic': '%s'}", names[i]), NULL);
    }
    static const struct {
        const char *args, *items, *more;
    } cases[] = {
        {"{}", "[\"apple\", \"apricot\", \"fig\", \"pear\"]", "false"},
        {"{'limit': 3}", "[\"apple\", \"apricot\", \"fig\"]", "true"},
        {"{'limit': 4}", "[\"apple\", \"apricot\", \"fig\", \"pear\"]", "false"},
        {"{'after': 'apricot'}", "[\"fig\", \"pear\"]", "false"},
        {"{'after': 'b'}", "[\"fig\", \"pear\"]", "false"},
        {"{'after': ''}", "[\"apple\", \"apricot\", \"fig\", \"pear\"]", "false"},
        {"{'after': 'pear'}", "[]", "false"},
        {"{'match': 'ap*'}", "[\"apple\", \"apricot\"]", "false"},
        {"{'match': 'ap*', 'limit': 2}", "[\"apple\", \"apricot\"]", "false"},
        {"{'match': '*p*', 'limit': 2}", "[\"apple\", \"apricot\"]", "true"},
        {"{'match': 'f?g'}", "[\"fig\"]", "false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *const a = fixture_ok(f, "TOPIC.LIST", cases[i].args, NULL);
        assert_string_equal(fixture_value(a, "items"), cases[i].items);
        assert_string_equal(fixture_value(a, "more"), cases[i].more);
    }
}

/* The longest page of the longest names fits a header. */
static void a_full_page_of_long_names_fits(void **state)
{
    struct engine_fixture *const f = *state;
    char name[ZSP_NAME_MAX + 1];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (unsigned i = 0; i < ZSP_LIST_MAX; i++) {
        (void)snprintf(name, 5, "%04u", i);
        name[4] = 'x';
        fixture_send(f, "TOPIC.CREATE", fixture_format("{'topic': '%s'}", name), NULL);
    }
    fixture_pump(f);
    const struct answer *const a = fixture_ok(f, "TOPIC.LIST", "{}", NULL);
    assert_string_equal(fixture_value(a, "more"), "false");
}

/* --- settings -------------------------------------------------------------------------------- */

static void settings_change_stay_and_go_back_to_defaults(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    const struct answer *a = fixture_ok(
        f, "TOPIC.SET",
        "{'topic': 'orders', 'settings': {'retention_time_ms': 60000, 'retention_bytes': 5}}",
        NULL);
    assert_string_equal(fixture_value(a, "settings"),
                        "{\"retention_time_ms\": 60000, \"retention_bytes\": 5}");
    fixture_restart(f, MEM_KEEP_SYNCED);
    a = fixture_ok(f, "TOPIC.SET", "{'topic': 'orders', 'settings': {'retention_bytes': null}}",
                   NULL);
    assert_string_equal(fixture_value(a, "settings"), "{\"retention_time_ms\": 60000}");
    a = fixture_ok(f, "TOPIC.SET",
                   "{'topic': 'orders', 'settings': {'retention_time_ms': 1}, 'dry_run': true}",
                   NULL);
    assert_string_equal(fixture_value(a, "settings"), "{\"retention_time_ms\": 1}");
    a = fixture_ok(f, "TOPIC.INFO", ORDERS, NULL);
    assert_string_equal(fixture_value(a, "settings"), "{\"retention_time_ms\": 60000}");
}

static void refused_settings_change_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "TOPIC.SET",
                  "{'topic': 'orders', 'settings': {'retention_bytes': 5}}", NULL);
    const struct answer *const a = fixture_ok(f, "TOPIC.INFO", ORDERS, NULL);
    assert_string_equal(fixture_value(a, "settings"), "{}");
}

static uint64_t start_of(struct engine_fixture *f)
{
    return fixture_number(fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'latest'}", NULL),
                          "start");
}

/* Whole old segments go by age, and by size; also after a restart. */
static void retention_drops_old_segments(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders', 'settings': {'retention_time_ms': 30000}}",
               NULL);
    for (int i = 0; i < 4; i++) {
        fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    }
    fixture_advance(f, 29000);
    assert_int_equal(start_of(f), 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    mem_store_segment_batches(f->mem, 2);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'b']]");
    fixture_advance(f, 12000);
    assert_int_equal(start_of(f), 4);
    fixture_ok(f, "TOPIC.SET",
               "{'topic': 'orders', 'settings': {'retention_time_ms': null, 'retention_bytes': 1}}",
               NULL);
    for (int i = 0; i < 4; i++) {
        fixture_ok(f, "PUBLISH", ORDERS, "[[b'c']]");
    }
    fixture_advance(f, 10001);
    assert_true(start_of(f) >= 6);
}

/* --- deletion ---------------------------------------------------------------------------------- */

static void a_deleted_topic_is_gone_and_its_name_is_free(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a'], [b'b']]");
    const struct answer *a =
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 'orders', 'dry_run': true}", NULL);
    assert_int_equal(fixture_number(a, "messages"), 2);
    a = fixture_ok(f, "TOPIC.DELETE", ORDERS, NULL);
    assert_int_equal(fixture_number(a, "messages"), 2);
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", ORDERS, NULL);
    a = fixture_ok(f, "TOPIC.LIST", "{}", NULL);
    assert_string_equal(fixture_value(a, "items"), "[]");
    a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'c']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 0, false]]");
    a = fixture_ok(f, "TOPIC.INFO", ORDERS, NULL);
    assert_int_equal(fixture_number(a, "id"), 2);
    fixture_restart(f, MEM_KEEP_SYNCED);
    a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(a), "c");
}

/* Who has a publish under way when the topic goes hears maybe. */
static void a_publish_under_way_hears_of_the_deletion(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    const uint64_t unsynced = fixture_send(f, "PUBLISH", ORDERS, "[[b'a']]");
    const uint64_t deletion = fixture_send(f, "TOPIC.DELETE", ORDERS, NULL);
    fixture_error(f, ZSP_ENOT_FOUND, "PUBLISH", ORDERS, "[[b'b']]");
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, deletion)->code, ZSP_OK);
    const struct answer *const a = fixture_answer(f, unsynced);
    assert_true(a->code == ZSP_OK || (a->code == ZSP_ENOT_FOUND && a->error.maybe));
}

/* The same with the write, and with the sync, held up. */
static void a_held_publish_hears_of_the_deletion(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t unsynced = fixture_send(f, "PUBLISH", ORDERS, "[[b'a']]");
    fixture_pump(f);
    mem_store_hold(f->mem, MEM_SYNCS | MEM_WRITES);
    const uint64_t unwritten = fixture_send(f, "PUBLISH", ORDERS, "[[b'b']]");
    const uint64_t deletion = fixture_send(f, "TOPIC.DELETE", ORDERS, NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_non_null(fixture_answer(f, unsynced));
    assert_non_null(fixture_answer(f, unwritten));
    assert_int_equal(fixture_answer(f, deletion)->code, ZSP_OK);
    assert_false(engine_busy(f->engine));
}

/* Goal: nobody is told what a power cut could undo. */
static void a_deletion_under_way_is_waited_for(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t first = fixture_send(f, "TOPIC.DELETE", ORDERS, NULL);
    const uint64_t second = fixture_send(f, "TOPIC.DELETE", ORDERS, NULL);
    const uint64_t creation = fixture_send(f, "TOPIC.CREATE", ORDERS, NULL);
    const uint64_t again = fixture_send(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, second));
    assert_null(fixture_answer(f, creation));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, first)->code, ZSP_OK);
    assert_int_equal(fixture_answer(f, second)->code, ZSP_ENOT_FOUND);
    assert_int_equal(fixture_number(fixture_answer(f, creation), "id"), 2);
    assert_int_equal(fixture_answer(f, again)->code, ZSP_EEXISTS);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    assert_false(engine_busy(f->engine));
}

static void a_refused_deletion_changes_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "TOPIC.DELETE", ORDERS, NULL);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'b']]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

/* Goal: 10,000 topics with a limit wake an idle broker as seldom as one. */
static void retention_looks_at_all_topics_at_once(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'a', 'settings': {'retention_bytes': 1}}", NULL);
    const struct timer *const retention = &f->engine->retention;
    assert_true(timer_is_armed(retention));
    const int64_t due_ms = retention->due_ms;
    assert_true(due_ms - f->engine->clock.broker_ms <= (int64_t)ZSP_RETENTION_MS);
    fixture_advance(f, 700);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'b', 'settings': {'retention_bytes': 1}}", NULL);
    assert_int_equal(retention->due_ms, due_ms);
}

/* Goal: without a limit nothing wakes the broker. Take the last one away. */
static void retention_ends_with_the_last_limit(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'a'}", NULL);
    assert_false(timer_is_armed(&f->engine->retention));
    fixture_ok(f, "TOPIC.SET", "{'topic': 'a', 'settings': {'retention_bytes': 1}}", NULL);
    fixture_advance(f, (int64_t)ZSP_RETENTION_MS + 1);
    assert_true(timer_is_armed(&f->engine->retention));
    fixture_ok(f, "TOPIC.SET", "{'topic': 'a', 'settings': {'retention_bytes': null}}", NULL);
    fixture_advance(f, (int64_t)ZSP_RETENTION_MS + 1);
    assert_false(timer_is_armed(&f->engine->retention));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_created_topic_tells_what_it_is),
        TEST(a_topic_exists_once),
        TEST(wrong_arguments_are_refused),
        TEST(refused_settings_are_explained),
        TEST(a_creation_is_durable_before_it_is_answered),
        TEST(a_refused_creation_leaves_nothing),
        TEST(a_crash_during_a_creation_does_not_reuse_its_id),
        TEST(lists_come_in_order_of_names_and_in_pages),
        TEST(a_full_page_of_long_names_fits),
        TEST(settings_change_stay_and_go_back_to_defaults),
        TEST(refused_settings_change_nothing),
        TEST(retention_drops_old_segments),
        TEST(a_deleted_topic_is_gone_and_its_name_is_free),
        TEST(a_publish_under_way_hears_of_the_deletion),
        TEST(a_held_publish_hears_of_the_deletion),
        TEST(a_deletion_under_way_is_waited_for),
        TEST(a_refused_deletion_changes_nothing),
        TEST(retention_looks_at_all_topics_at_once),
        TEST(retention_ends_with_the_last_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
