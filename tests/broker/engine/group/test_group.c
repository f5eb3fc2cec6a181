/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.*: making, changing, looking at and ending groups.
 */
#include "broker/engine/engine_priv.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

static void a_group_tells_what_it_is(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t', 'u'], 'mode': 'shared', 'start': ['last', 1], "
               "'settings': {'lease_ms': 100, 'max_leased': 7, 'max_failures': 0}}",
               NULL);
    for (int i = 0; i < 2; i++) {
        const struct answer *answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
        assert_string_equal(fixture_text(answer, "group"), "g");
        assert_string_equal(fixture_text(answer, "mode"), "shared");
        assert_string_equal(fixture_value(answer, "start"), "[\"last\", 1]");
        assert_string_equal(
            fixture_value(answer, "settings"),
            "{\"lease_ms\": 100, \"max_leased\": 7, \"max_failures\": 0, "
            "\"backoff_ms\": 1000, \"backoff_max_ms\": 60000, \"on_dead\": \"skip\", "
            "\"expired\": \"drop\", \"priority\": \"strict\", \"backoff_factor\": 2, "
            "\"backoff_jitter\": 0, \"dead_retention_ms\": 0, \"dead_retention_bytes\": 0, "
            "\"look_ahead\": 1000000, "
            "\"backoff\": \"\", \"dead_letter_topic\": \"\"}");
        assert_string_equal(fixture_value(answer, "parts"),
                            "[[\"t\", 0, 1, 2, 1, 0, 0, 0, 0, 0, 0]]");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
}

static void a_group_exists_once(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
    fixture_error(f, ZSP_EEXISTS, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}", NULL);
}

/* Goal: "exists" is a promise, too: it waits until the group is durable. */
static void two_creations_at_once_make_one_group(void **state)
{
    struct engine_fixture *f = *state;
    const char *args = "{'group': 'g', 'topics': ['t']}";
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t first = fixture_send(f, "GROUP.CREATE", args, NULL);
    const uint64_t second = fixture_send(f, "GROUP.CREATE", args, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, first));
    assert_null(fixture_answer(f, second));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, first)->status, WIRE_OK);
    assert_int_equal(fixture_answer(f, second)->code, ZSP_EEXISTS);
}

/* Goal: what may have reached the disk is not told as certainly not done. */
static void what_the_storage_took_down_with_it_may_be_done(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = steps_wait(f, 1, 0);
    fixture_pump(f);
    mem_store_fail(f->mem);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ESTORAGE_FAILED);
    assert_true(fixture_answer(f, ticket)->error.maybe);
}

static void a_group_may_begin_without_topics(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': []}", NULL);
    assert_string_equal(fixture_text(fixture_ok(f, "PULL", "{'group': 'g'}", NULL), "reason"),
                        "no_topic");
    steps_publish_each(f, "t", "a");
    assert_int_equal(steps_count(steps_pull(f, 1)), 1);
}

static void bad_settings_are_refused(void **state)
{
    struct engine_fixture *f = *state;
    const struct {
        int code;
        const char *settings;
    } cases[] = {
        {ZSP_EBAD_VALUE, "{'lease_ms': 99}"},
        {ZSP_EBAD_VALUE, "{'lease_ms': 86400001}"},
        {ZSP_EBAD_VALUE, "{'max_leased': 0}"},
        {ZSP_EBAD_TYPE, "{'max_failures': 'many'}"},
        {ZSP_EBAD_VALUE, "{'backoff_ms': -1}"},
        {ZSP_EBAD_VALUE, "{'backoff_ms': 5000, 'backoff_max_ms': 4999}"},
        {ZSP_EBAD_VALUE, "{'lease_ms': 1000, 'max_leased': 5, 'lease_ms': 2000}"},
        {ZSP_EBAD_VALUE, "{'backoff_factor': 0}"},
        {ZSP_EBAD_VALUE, "{'backoff_jitter': 101}"},
        {ZSP_EBAD_TYPE, "{'backoff': 1000}"},
        {ZSP_EBAD_VALUE, "{'backoff': '1000,'}"},
        {ZSP_EBAD_VALUE, "{'backoff': ',1000'}"},
        {ZSP_EBAD_VALUE, "{'backoff': '1s'}"},
        {ZSP_EBAD_VALUE, "{'backoff': '31536000001'}"},
        {ZSP_EBAD_VALUE, "{'backoff': '1,2,3,4,5,6,7,8,9'}"},
        {ZSP_EUNKNOWN_ARGUMENT, "{'colour': 1}"},
        {ZSP_EBAD_VALUE, "{'dead_retention_ms': 31536000001}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_error(
            f, cases[i].code, "GROUP.CREATE",
            fixture_format("{'group': 'g', 'topics': ['t'], 'settings': %s}", cases[i].settings),
            NULL);
    }
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                  "{'group': 'g', 'topics': ['t'], 'mode': 'sorted'}", NULL);
    const struct answer *const a =
        fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                      "{'group': 'g', 'topics': ['t'], 'settings': {'priority': 'high'}}", NULL);
    assert_string_equal(a->error.msg, "settings: priority must be strict or weighted, not high");
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
}

static void settings_change_durably(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a");
    steps_pull(f, 1);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'lease_ms': 1000}}", NULL);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'max_leased': 9}}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_non_null(strstr(answer->text, "\"lease_ms\": 1000, \"max_leased\": 9"));
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'lease_ms': null}}", NULL);
    answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_non_null(strstr(answer->text, "\"lease_ms\": 30000"));
}

static void a_refused_change_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    steps_pull(f, 1);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "GROUP.SET", "{'group': 'g', 'settings': {'lease_ms': 1000}}",
                  NULL);
    const struct answer *answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_non_null(strstr(answer->text, "\"lease_ms\": 30000"));
}

static void groups_are_listed_in_order(void **state)
{
    struct engine_fixture *f = *state;
    const char *const names[] = {"b", "a", "cc", "ca"};
    for (size_t i = 0; i < 4; i++) {
        fixture_ok(f, "GROUP.CREATE", fixture_format("{'group': '%s', 'topics': ['t']}", names[i]),
                   NULL);
    }
    const struct answer *answer = fixture_ok(f, "GROUP.LIST", "{'limit': 3}", NULL);
    assert_string_equal(fixture_value(answer, "items"), "[\"a\", \"b\", \"ca\"]");
    assert_string_equal(fixture_value(answer, "more"), "true");
    answer = fixture_ok(f, "GROUP.LIST", "{'match': 'c*', 'after': 'ca'}", NULL);
    assert_string_equal(fixture_value(answer, "items"), "[\"cc\"]");
}

static void a_deleted_group_is_gone(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    steps_pull(f, 1);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g', 'dry_run': true}", NULL);
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENOT_FOUND);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_int_equal(steps_count(steps_pull(f, 5)), 2); /* the new one knows nothing of it */
}

static void a_pull_at_work_ends_with_its_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_pull(f, 1);
    steps_publish_each(f, "t", "a");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENOT_FOUND);
}

/* Goal: no state of an ended group is left in the journal. Method: what is left after its end
 * are the entries of others. */
static void nothing_is_left_of_a_deleted_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 70000);
    for (int i = 0; i < 3; i++) {
        steps_pull(f, 30000);
    }
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    bool alive[3] = {false}; /* blocks, heads, leases */
    for (size_t i = 0; i < mem_store_record_count(f->mem); i++) {
        const struct mem_store_record *record = mem_store_record(f->mem, i);
        for (size_t k = 0; k < record->entry_count; k++) {
            const struct store_entry *entry = &record->entries[k];
            const char *kinds = "bhl";
            const char *kind = strchr(kinds, entry->key.data[0]);
            if (kind && entry->key.data[0] != '\0') {
                alive[kind - kinds] = entry->kind != STORE_GONE;
            }
        }
    }
    assert_false(alive[0] || alive[1] || alive[2]);
}

static void members_are_those_who_pulled_lately(void **state)
{
    struct engine_fixture *f = *state;
    steps_pull(f, 1);
    for (uint64_t session = 10; session < 13; session++) {
        f->session = session;
        steps_pull(f, 1);
        steps_pull(f, 1);
    }
    f->session = 0;
    steps_wait(f, 1, 60000);
    fixture_pump(f);
    const char *args = "{'group': 'g'}";
    assert_int_equal(fixture_number(fixture_ok(f, "GROUP.INFO", args, NULL), "members"), 4);
    engine_session_end(f->engine, f->now, 11, ENGINE_SESSION_OVER);
    assert_int_equal(fixture_number(fixture_ok(f, "GROUP.INFO", args, NULL), "members"), 3);
    fixture_advance(f, 31000);
    assert_int_equal(fixture_number(fixture_ok(f, "GROUP.INFO", args, NULL), "members"), 1);
}

static void two_groups_know_nothing_of_each_other(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    const uint64_t lease = steps_pull(f, 2)->lease;
    assert_int_equal(steps_count(fixture_ok(f, "PULL", "{'group': 'h', 'topics': ['t']}", NULL)),
                     2);
    const char *args = fixture_format("{'group': 'h', 'runs': [['t', 0, 0, 2, %llu, 'ack']]}",
                                      (unsigned long long)lease);
    assert_int_equal(fixture_number(fixture_ok(f, "SETTLE", args, NULL), "applied"), 0);
}

/* Goal: a new topic costs what its groups cost, however many others there are. Method: it is made
 * while nobody can go through the groups. */
static void a_new_topic_looks_at_its_groups_only(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t', 'u'], 'start': 'earliest'}",
               NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'h', 'topics': ['u'], 'start': 'earliest'}", NULL);
    const struct name_index all = f->engine->catalog.groups;
    f->engine->catalog.groups = (struct name_index){0};
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    f->engine->catalog.groups = all;
    steps_publish_each(f, "t", "a");
    const char *const info[] = {"[[\"t\", 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]]", "[]"};
    for (size_t i = 0; i < 2; i++) {
        const char *args = fixture_format("{'group': '%s'}", i == 0 ? "g" : "h");
        assert_string_equal(fixture_value(fixture_ok(f, "GROUP.INFO", args, NULL), "parts"),
                            info[i]);
    }
}

/* Does a pull of this group, of topic t, bring so many messages? */
static void assert_pulls(struct engine_fixture *f, const char *group, unsigned count)
{
    const char *args = fixture_format("{'group': '%s', 'topics': ['t']}", group);
    assert_int_equal(steps_count(fixture_ok(f, "PULL", args, NULL)), count);
}

/* Goal: a topic finds those groups that are left, each time that it is made. Method: groups go
 * while it is there and while it is not: the first, the last and one between. */
static void a_topic_that_comes_again_finds_the_groups_that_are_left(void **state)
{
    struct engine_fixture *f = *state;
    const char *const going[] = {"c", "a", "e"};
    for (int name = 'a'; name <= 'e'; name++) {
        fixture_ok(f, "GROUP.CREATE",
                   fixture_format("{'group': '%c', 'topics': ['t'], 'start': 'earliest'}", name),
                   NULL);
    }
    for (size_t i = 0; i < 3; i++) {
        steps_publish_each(f, "t", "x y");
        assert_pulls(f, "b", 2);
        assert_pulls(f, "d", 2);
        const char *args = fixture_format("{'group': '%s'}", going[i]);
        if (i == 1) {
            fixture_ok(f, "GROUP.DELETE", args, NULL);
        }
        fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
        if (i != 1) {
            fixture_ok(f, "GROUP.DELETE", args, NULL);
        }
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
    steps_publish_each(f, "t", "x y z");
    assert_pulls(f, "b", 3);
    assert_pulls(f, "d", 3);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'b'}", NULL);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'd'}", NULL);
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    steps_publish_each(f, "t", "x");
}

/* Goal: an image gives back what the deltas before it said. */
static void images_are_written_when_the_store_wants_them(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 10);
    const uint64_t lease = steps_pull(f, 10)->lease;
    steps_settle(f, 2, 3, lease, "'reject', {'reason': 'x'}");
    const size_t count = mem_store_record_count(f->mem);
    for (size_t i = 0; i < count; i++) {
        const struct mem_store_record *record = mem_store_record(f->mem, i);
        for (size_t k = 0; k < record->entry_count; k++) {
            mem_store_want_image(f->mem, record->entries[k].key);
        }
    }
    fixture_pump(f);
    assert_true(mem_store_record_count(f->mem) > count);
    assert_string_equal(steps_part(f, "t", 0), "0 10 0 7 0 3");
    fixture_restart(f, MEM_KEEP_WRITTEN);
    assert_string_equal(steps_part(f, "t", 0), "0 10 0 7 0 3");
    assert_int_equal(fixture_number(steps_settle(f, 0, 10, lease, "'ack'"), "applied"), 7);
}

/* Goal: its end is more than one record; none of it is put when the first one is refused. */
static void the_refused_end_of_a_large_group_changes_nothing(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'wide', 'partitions': 1000}", NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['wide']}", NULL);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_error(f, ZSP_ENO_SPACE, "GROUP.DELETE", "{'group': 'g'}", NULL);
    fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_group_tells_what_it_is),
        TEST(a_group_exists_once),
        TEST(two_creations_at_once_make_one_group),
        TEST(what_the_storage_took_down_with_it_may_be_done),
        TEST(a_group_may_begin_without_topics),
        TEST(bad_settings_are_refused),
        TEST(settings_change_durably),
        TEST(a_refused_change_changes_nothing),
        TEST(groups_are_listed_in_order),
        TEST(a_deleted_group_is_gone),
        TEST(the_refused_end_of_a_large_group_changes_nothing),
        TEST(a_pull_at_work_ends_with_its_group),
        TEST(nothing_is_left_of_a_deleted_group),
        TEST(members_are_those_who_pulled_lately),
        TEST(two_groups_know_nothing_of_each_other),
        TEST(a_new_topic_looks_at_its_groups_only),
        TEST(a_topic_that_comes_again_finds_the_groups_that_are_left),
        TEST(images_are_written_when_the_store_wants_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
