/* SPDX-License-Identifier: MPL-2.0
 *
 * One fault, one code, whatever the verb; and each error names what it is about.
 */
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

struct wrong {
    const char *verb, *args, *body;
};

#define ONE "[[b'x']]"

static int set_up(void **state)
{
    const int rc = fixture_set_up(state);
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders'}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'other'}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'a'], [b'b'], [b'c']]");
    fixture_ok(f, "TOPIC.PURGE", "{'topic': 'orders', 'before': ['offset', 1]}", NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['orders']}", NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    return rc;
}

/* Each gets this code and tells what it is about; with `ranged` also what was wanted and came. */
static void expect_each(struct engine_fixture *f, int code, bool ranged, const struct wrong *wrongs,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct wrong *const wrong = &wrongs[i];
        const struct answer *const answer = fixture_call(f, wrong->verb, wrong->args, wrong->body);
        const bool is_told = answer->error.object[0] != '\0' && answer->error.msg[0] != '\0' &&
                             (!ranged || (answer->error.wanted[0] && answer->error.got[0]));
        if (answer->code != code || !is_told) {
            fail_msg("%s %s: %s", wrong->verb, wrong->args, answer->text);
        }
    }
}
#define EXPECT_EACH(f, code, ranged, wrongs) \
    expect_each(f, code, ranged, wrongs, sizeof wrongs / sizeof wrongs[0])

static void a_topic_that_is_missing_or_not_consumed_is_not_found(void **state)
{
    static const struct wrong wrongs[] = {
        {"READ", "{'topic': 'none', 'from': 'earliest'}", NULL},
        {"TOPIC.SET", "{'topic': 'none', 'settings': {'retention_ms': 1}}", NULL},
        {"TOPIC.SET", "{'topic': 'none', 'partitions': 4}", NULL},
        {"TOPIC.INFO", "{'topic': 'none'}", NULL},
        {"TOPIC.DELETE", "{'topic': 'none'}", NULL},
        {"TOPIC.PURGE", "{'topic': 'none', 'before': 'latest'}", NULL},
        {"SEEK", "{'group': 'g', 'topic': 'none', 'to': 'earliest'}", NULL},
        {"SEEK", "{'group': 'g', 'topic': 'other', 'to': 'earliest'}", NULL},
        {"DEAD.LIST", "{'group': 'g', 'topic': 'other'}", NULL},
        {"DEAD.READ", "{'group': 'g', 'runs': [['other', 0, 1, 1]]}", NULL},
        {"DEAD.REDRIVE", "{'group': 'g', 'topic': 'other'}", NULL},
        {"DEAD.DROP", "{'group': 'g', 'runs': [['none', 0, 1, 1]]}", NULL},
        {"GROUP.TRACE", "{'group': 'g', 'topic': 'none', 'offset': 0}", NULL},
        {"GROUP.TRACE", "{'group': 'g', 'topic': 'other', 'offset': 0}", NULL},
        {"GROUP.REPLAY", "{'group': 'g', 'topic': 'other', 'from': 'earliest'}", NULL},
    };
    EXPECT_EACH(*state, ZSP_ENOT_FOUND, false, wrongs);
}

static void a_partition_that_is_missing_is_not_found(void **state)
{
    static const struct wrong wrongs[] = {
        {"PUBLISH", "{'topic': 'orders', 'partition': 9}", ONE},
        {"PUBLISH", "{'topic': 'new', 'partition': 9}", ONE},
        {"COMMIT",
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'orders', 'partition': "
         "9}]}",
         ONE},
        {"READ", "{'topic': 'orders', 'partition': 9, 'from': 'earliest'}", NULL},
        {"SEEK", "{'group': 'g', 'partition': 9, 'to': 'earliest'}", NULL},
        {"DEAD.LIST", "{'group': 'g', 'topic': 'orders', 'partition': 9}", NULL},
        {"DEAD.READ", "{'group': 'g', 'runs': [['orders', 9, 1, 1]]}", NULL},
        {"DEAD.REDRIVE", "{'group': 'g', 'topic': 'orders', 'partition': 9}", NULL},
        {"DEAD.DROP", "{'group': 'g', 'runs': [['orders', 9, 1, 1]]}", NULL},
        {"TOPIC.PURGE", "{'topic': 'orders', 'partition': 9, 'before': 'latest'}", NULL},
        {"GROUP.TRACE", "{'group': 'g', 'topic': 'orders', 'partition': 9, 'offset': 1}", NULL},
        {"GROUP.REPLAY", "{'group': 'g', 'partition': 9, 'from': 'earliest'}", NULL},
    };
    EXPECT_EACH(*state, ZSP_ENOT_FOUND, true, wrongs);
}

static void a_group_a_savepoint_or_a_producer_that_is_missing_is_not_found(void **state)
{
    static const char *const verbs[] = {
        "SETTLE",       "SEEK",           "DEAD.LIST",         "DEAD.READ",      "DEAD.REDRIVE",
        "DEAD.DROP",    "SAVEPOINT.SAVE", "SAVEPOINT.LIST",    "SAVEPOINT.DROP", "SAVEPOINT.UNDO",
        "GROUP.SET",    "GROUP.INFO",     "SAVEPOINT.RESTORE", "GROUP.DELETE",   "GROUP.PAUSE",
        "GROUP.RESUME", "GROUP.TRACE",    "GROUP.REPLAY",      "PULL",
    };
    static const char *const more[sizeof verbs / sizeof verbs[0]] = {
        ", 'runs': [['orders', 0, 1, 1, 5, 'ack']]",
        ", 'to': 'earliest'",
        "",
        ", 'runs': [['orders', 0, 1, 1]]",
        ", 'all': true",
        ", 'all': true",
        ", 'name': 's'",
        "",
        ", 'name': 's'",
        "",
        ", 'settings': {'lease_ms': 5000}",
        "",
        ", 'name': 's'",
        "",
        "",
        "",
        ", 'topic': 'orders', 'offset': 1",
        ", 'from': 'earliest'",
        ""};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        const struct wrong wrong = {verbs[i], fixture_format("{'group': 'none'%s}", more[i]), NULL};
        expect_each(*state, ZSP_ENOT_FOUND, false, &wrong, 1);
    }
    static const struct wrong wrongs[] = {
        {"SAVEPOINT.RESTORE", "{'group': 'g', 'name': 's'}", NULL},
        {"SAVEPOINT.DROP", "{'group': 'g', 'name': 's'}", NULL},
        {"SAVEPOINT.UNDO", "{'group': 'g'}", NULL},
        {"GROUP.REPLAY", "{'group': 'g', 'from_savepoint': 's'}", NULL},
        {"PRODUCER.INFO", "{'producer': 'q'}", NULL},
        {"PUBLISH",
         "{'topic': 'orders', 'partition': 0, 'count': 1, 'producer': 'q', 'epoch': 1, 'seq': 1}",
         ONE},
        {"COMMIT", "{'producer': 'q', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'orders'}]}",
         ONE},
    };
    EXPECT_EACH(*state, ZSP_ENOT_FOUND, false, wrongs);
}

static void an_offset_that_is_not_in_the_log_is_out_of_range(void **state)
{
    static const char *const begins[][2] = {
        {"READ", "{'topic': 'orders', 'from': ['offset'"},
        {"SEEK", "{'group': 'g', 'to': ['offset'"},
        {"TOPIC.PURGE", "{'topic': 'orders', 'before': ['offset'"},
        {"GROUP.CREATE", "{'group': 'h', 'topics': ['orders'], 'start': ['offset'"},
        {"PULL", "{'group': 'h', 'topics': ['orders'], 'start': ['offset'"},
        {"GROUP.REPLAY", "{'group': 'g', 'from': ['offset'"},
    };
    for (size_t i = 0; i < 2 * sizeof begins / sizeof begins[0]; i++) {
        const char *const args = fixture_format("%s, %u]}", begins[i / 2][1], i % 2 == 0 ? 0 : 9);
        const struct wrong wrong = {begins[i / 2][0], args, NULL};
        expect_each(*state, ZSP_EOUT_OF_RANGE, true, &wrong, 1);
    }
    static const struct wrong beyond[] = {
        {"GROUP.TRACE", "{'group': 'g', 'topic': 'orders', 'offset': 9}", NULL},
        {"GROUP.REPLAY", "{'group': 'g', 'from': 'earliest', 'to': ['offset', 9]}", NULL},
    };
    EXPECT_EACH(*state, ZSP_EOUT_OF_RANGE, true, beyond);
}

static void an_id_that_is_missing_is_not_found(void **state)
{
    static const struct wrong wrongs[] = {
        {"READ", "{'topic': 'ids', 'from': ['id', 'x']}", NULL},
        {"SEEK", "{'group': 'i', 'to': ['id', 'x']}", NULL},
        {"GROUP.REPLAY", "{'group': 'i', 'from': ['id', 'x']}", NULL},
        {"TOPIC.PURGE", "{'topic': 'ids', 'before': ['id', 'x']}", NULL},
        {"GROUP.CREATE", "{'group': 'h', 'topics': ['ids'], 'start': ['id', 'x']}", NULL},
    };
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'ids', 'settings': {'dedup_window_ms': 60000}}", NULL);
    fixture_ok(f, "GROUP.CREATE", "{'group': 'i', 'topics': ['ids']}", NULL);
    EXPECT_EACH(f, ZSP_ENOT_FOUND, false, wrongs);
}

static void an_id_in_a_topic_without_a_window_is_unsupported(void **state)
{
    static const struct wrong wrongs[] = {
        {"READ", "{'topic': 'orders', 'from': ['id', 'x']}", NULL},
        {"SEEK", "{'group': 'g', 'to': ['id', 'x']}", NULL},
        {"GROUP.REPLAY", "{'group': 'g', 'from': ['id', 'x']}", NULL},
        {"TOPIC.PURGE", "{'topic': 'orders', 'before': ['id', 'x']}", NULL},
        {"GROUP.CREATE", "{'group': 'h', 'topics': ['orders'], 'start': ['id', 'x']}", NULL},
        {"PULL", "{'group': 'h', 'topics': ['orders'], 'start': ['id', 'x']}", NULL},
    };
    EXPECT_EACH(*state, ZSP_EUNSUPPORTED, false, wrongs);
}

static void what_a_group_is_not_is_a_mode_mismatch(void **state)
{
    static const struct wrong wrongs[] = {
        {"PULL", "{'group': 'g', 'topics': ['orders'], 'mode': 'ordered'}", NULL},
        {"PULL", "{'group': 'g', 'topics': ['orders'], 'start': 'latest'}", NULL},
        {"PULL", "{'group': 'g', 'topics': ['orders'], 'start': ['offset', 7]}", NULL},
    };
    EXPECT_EACH(*state, ZSP_EMODE_MISMATCH, true, wrongs);
    const struct answer *const answer = fixture_error(
        *state, ZSP_EMODE_MISMATCH, "PULL", "{'group': 'g', 'start': ['offset', 7]}", NULL);
    assert_string_equal(answer->error.msg, "group g exists with the start earliest, not offset 7");
}

static void what_is_there_already_exists(void **state)
{
    static const struct wrong wrongs[] = {
        {"TOPIC.CREATE", "{'topic': 'orders'}", NULL},
        {"GROUP.CREATE", "{'group': 'g', 'topics': ['orders']}", NULL},
        {"GROUP.REPLAY", "{'group': 'g', 'from': 'earliest', 'name': 'g'}", NULL},
        {"SAVEPOINT.SAVE", "{'group': 'g', 'name': 's'}", NULL},
    };
    fixture_ok(*state, "SAVEPOINT.SAVE", "{'group': 'g', 'name': 's'}", NULL);
    EXPECT_EACH(*state, ZSP_EEXISTS, false, wrongs);
}

static void a_sequence_that_does_not_follow_is_a_gap(void **state)
{
    static const struct wrong wrongs[] = {
        {"PUBLISH",
         "{'topic': 'orders', 'partition': 0, 'count': 1, 'producer': 'p', 'epoch': 1, 'seq': 7}",
         ONE},
        {"COMMIT", "{'producer': 'p', 'epoch': 1, 'seq': 7, 'publish': [{'topic': 'orders'}]}",
         ONE},
    };
    EXPECT_EACH(*state, ZSP_ESEQUENCE_GAP, true, wrongs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)
        TEST(a_topic_that_is_missing_or_not_consumed_is_not_found),
        TEST(a_partition_that_is_missing_is_not_found),
        TEST(a_group_a_savepoint_or_a_producer_that_is_missing_is_not_found),
        TEST(an_offset_that_is_not_in_the_log_is_out_of_range),
        TEST(an_id_that_is_missing_is_not_found),
        TEST(an_id_in_a_topic_without_a_window_is_unsupported),
        TEST(what_a_group_is_not_is_a_mode_mismatch),
        TEST(what_is_there_already_exists),
        TEST(a_sequence_that_does_not_follow_is_a_gap),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
