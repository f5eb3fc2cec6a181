/* SPDX-License-Identifier: MPL-2.0
 *
 * Dead letter topics: a copy of each message that dies, once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "common/record.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* Group g of topic t, whose dead letters go to topic d; messages a, b, c. */
static void begin(struct engine_fixture *f)
{
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'dead_letter_topic': 'd'}}", NULL);
    steps_publish_each(f, "t", "a b c");
}

static void reject(struct engine_fixture *f, uint64_t first, uint64_t count, const char *reason)
{
    const uint64_t lease = steps_pull(f, (unsigned)count)->lease;
    steps_settle(f, first, count, lease, fixture_format("'reject', {'reason': '%s'}", reason));
    fixture_pump(f);
}

static const char *letters(struct engine_fixture *f)
{
    return fixture_payloads(fixture_ok(f, "READ", "{'topic': 'd', 'from': 'earliest'}", NULL));
}

static const char *told(struct engine_fixture *f)
{
    return fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "dead_letters");
}

static void what_dies_is_copied(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    reject(f, 0, 2, "bad");
    assert_string_equal(letters(f), "a b");
    assert_string_equal(steps_part(f, "t", 0), "2 3 1 0 0 2");
    assert_string_equal(told(f), "");
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_advance(f, 5000);
    assert_string_equal(letters(f), "a b");
    reject(f, 2, 1, "worse");
    assert_string_equal(letters(f), "a b c");
}

/* The headers of the first record, as text. */
static const char *headers_of(const struct answer *answer)
{
    static char text[512];
    struct zsp_record record = {0};
    assert_int_equal(zsp_record_decode(answer->body, &record, NULL), 0);
    struct zsp_slice rest = zsp_record_headers(&record);
    struct zsp_slice name, value;
    text[0] = '\0';
    bool is_text = false;
    while (zsp_record_header_next(&rest, &name, &value, &is_text) == 0) {
        const size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "%.*s=%.*s ", (int)name.len,
                       (const char *)name.data, (int)value.len, (const char *)value.data);
    }
    return text;
}

/* From now on, so that copies wait for their topic. */
static void make_no_topics(struct engine_fixture *f)
{
    f->options.auto_create_topics = false;
    fixture_restart(f, MEM_KEEP_SYNCED);
}

static void a_copy_tells_where_it_is_from(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'dead_letter_topic': 'd'}}", NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'priority': 7}",
               "[[b'x', b'k', 'type', 'id', {'own': b'1', 'zspool-topic': 'old'}, 5]]");
    reject(f, 0, 1, "bad");
    const struct answer *const answer =
        fixture_ok(f, "READ", "{'topic': 'd', 'from': 'earliest'}", NULL);
    struct zsp_record record = {0};
    assert_int_equal(zsp_record_decode(answer->body, &record, NULL), 0);
    assert_string_equal(headers_of(answer),
                        "own=1 zspool-topic=t zspool-partition=0 zspool-offset=0 "
                        "zspool-group=g zspool-deliveries=1 zspool-failures=1 "
                        "zspool-died=1700000000000 zspool-reason=bad ");
    assert_true(zsp_slice_equal_str(record.key, "k"));
    assert_true(zsp_slice_equal_str(record.id, "id"));
    assert_int_equal(record.created_at_ms, 5);
    assert_non_null(strstr(answer->text, "\"priority\": 7"));
}

/* Goal: what comes back and dies anew while its copy waits to be sent is copied as it died last. Method: the
 * topic of the copies is made slowly. */
static void a_copy_tells_of_the_last_death(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    mem_store_hold(f->mem, MEM_TOPICS);
    reject(f, 0, 1, "bad");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    reject(f, 0, 1, "worse");
    mem_store_hold(f->mem, 0);
    fixture_advance(f, 5000);
    assert_string_equal(letters(f), "a");
    const struct answer *const answer =
        fixture_ok(f, "READ", "{'topic': 'd', 'from': 'earliest'}", NULL);
    assert_non_null(strstr(headers_of(answer), "zspool-reason=worse"));
}

/* Goal: also what dies by a lost lease, after the last failure. */
static void a_lost_lease_makes_letters_too(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'max_failures': 1}}", NULL);
    steps_pull(f, 1);
    fixture_advance(f, 60000);
    assert_string_equal(letters(f), "a");
}

/* Goal: while the topic cannot take copies they are owed, which is told; then they come, each once. */
static void a_topic_that_is_full_is_waited_for(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd', 'settings': {'max_topic_bytes': 200}}", NULL);
    reject(f, 0, 1, "bad");
    fixture_advance(f, 3000);
    assert_non_null(strstr(told(f), "\"error\": \""));
    fixture_ok(f, "TOPIC.SET", "{'topic': 'd', 'settings': {'max_topic_bytes': null}}", NULL);
    fixture_advance(f, 60000);
    assert_string_equal(told(f), "");
    assert_string_equal(letters(f), "a");
}

static void a_topic_that_is_missing_is_waited_for(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    make_no_topics(f);
    reject(f, 0, 2, "bad");
    fixture_advance(f, 2500);
    assert_non_null(strstr(told(f), "\"copied\": 0"));
    assert_non_null(strstr(told(f), "topic d"));
    assert_string_equal(steps_part(f, "t", 0), "2 3 1 0 0 2");
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd'}", NULL);
    fixture_advance(f, 60000);
    assert_string_equal(letters(f), "a b");
    assert_string_equal(told(f), "");
}

static void who_redrives_or_drops_first_gets_no_copy(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    make_no_topics(f);
    reject(f, 0, 3, "bad");
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 1]], 'keep_counts': true}",
               NULL);
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 0, 1, 1]]}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd'}", NULL);
    fixture_advance(f, 60000);
    assert_string_equal(letters(f), "c");
}

#define POINT "{'group': 'g', 'name': 'p'}"

/* A group that owes copies of a and b, in a savepoint as well. */
static void save_debts(struct engine_fixture *f)
{
    begin(f);
    make_no_topics(f);
    reject(f, 0, 2, "bad");
    fixture_ok(f, "SAVEPOINT.SAVE", POINT, NULL);
}

/* Goal: nothing is dead without a copy, whatever came between its death and that. */
static void what_is_dead_once_more_owes_what_it_owed(void **state)
{
    struct engine_fixture *f = *state;
    save_debts(f);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 1]]}", NULL);
    fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'runs': [['t', 0, 1, 1]]}", NULL);
    fixture_ok(f, "SAVEPOINT.RESTORE", POINT, NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd'}", NULL);
    fixture_advance(f, 60000);
    assert_string_equal(letters(f), "a b");
}

static void what_stayed_dead_is_not_copied_once_more(void **state)
{
    struct engine_fixture *f = *state;
    save_debts(f);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd'}", NULL);
    fixture_advance(f, 60000);
    assert_string_equal(letters(f), "a b");
    fixture_ok(f, "SAVEPOINT.RESTORE", POINT, NULL);
    fixture_advance(f, 60000);
    assert_string_equal(letters(f), "a b");
}

/* Goal: a change while the message is on its way ends that: there is no copy of what is not dead. */
static void a_redrive_overtakes_its_copy(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd'}", NULL);
    const uint64_t lease = steps_pull(f, 1)->lease;
    mem_store_hold(f->mem, MEM_READS);
    steps_settle(f, 0, 1, lease, "'reject'");
    fixture_pump(f);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_advance(f, 5000);
    assert_string_equal(letters(f), "");
    reject(f, 0, 1, "again");
    assert_string_equal(letters(f), "a");
}

static void without_the_setting_nothing_is_owed(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    make_no_topics(f);
    reject(f, 0, 1, "bad");
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'dead_letter_topic': null}}", NULL);
    fixture_pump(f);
    assert_string_equal(told(f), "");
    reject(f, 1, 1, "bad");
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd'}", NULL);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'dead_letter_topic': 'd'}}", NULL);
    fixture_advance(f, 60000);
    assert_string_equal(letters(f), "");
}

static void what_would_come_back_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.SET",
                  "{'group': 'g', 'settings': {'dead_letter_topic': 't'}}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                  "{'group': 'h', 'topics': ['d'], 'settings': {'dead_letter_topic': 'd'}}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "PULL", "{'group': 'g', 'topics': ['d']}", NULL);
    fixture_error(f, ZSP_EBAD_NAME, "GROUP.SET",
                  "{'group': 'g', 'settings': {'dead_letter_topic': '.'}}", NULL);
    fixture_error(f, ZSP_EBAD_TYPE, "GROUP.SET",
                  "{'group': 'g', 'settings': {'dead_letter_topic': 7}}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *const info = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_non_null(strstr(info->text, "\"dead_letter_topic\": \"d\""));
}

/* Goal: a group of all topics has its dead letter topic as well; what dies there stays there. */
static void letters_that_die_are_not_copied(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['*'], 'settings': {'dead_letter_topic': 'd'}}", NULL);
    steps_publish_each(f, "d", "x");
    const uint64_t lease = fixture_ok(f, "PULL", "{'group': 'g'}", NULL)->lease;
    const char *const runs =
        fixture_format("{'group': 'g', 'runs': [['d', 0, 0, 1, %" PRIu64 ", 'reject']]}", lease);
    fixture_ok(f, "SETTLE", runs, NULL);
    fixture_advance(f, 5000);
    assert_string_equal(letters(f), "x");
}

/* Goal: two groups whose dead letters go to each other's topics come to an end. */
static void letters_do_not_go_in_circles(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'dead_letter_topic': 'd'}}", NULL);
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'h', 'topics': ['d'], 'settings': {'dead_letter_topic': 't'}}", NULL);
    steps_publish_each(f, "t", "a");
    unsigned copies = 0;
    bool any = true;
    for (unsigned i = 0; i < 30 && any; i++) {
        const char *const group = i % 2 == 0 ? "g" : "h";
        const struct answer *answer =
            fixture_ok(f, "PULL", fixture_format("{'group': '%s'}", group), NULL);
        const uint64_t lease = answer->lease;
        any = steps_count(answer) == 1;
        if (any) {
            fixture_ok(f, "SETTLE",
                       fixture_format("{'group': '%s', 'runs': [['%s', 0, %u, 1, %" PRIu64
                                      ", 'reject']]}",
                                      group, i % 2 == 0 ? "t" : "d", i / 2, lease),
                       NULL);
            fixture_pump(f);
            copies++;
        }
    }
    assert_int_equal(copies, 17); /* the message itself, and 16 of it */
    const struct answer *last = fixture_ok(f, "READ", "{'topic': 't', 'from': ['last', 1]}", NULL);
    assert_non_null(strstr(headers_of(last), "zspool-copies=16"));
}

static void a_group_goes_while_it_owes(void **state)
{
    struct engine_fixture *f = *state;
    begin(f);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'd'}", NULL);
    const uint64_t lease = steps_pull(f, 1)->lease;
    mem_store_hold(f->mem, MEM_READS);
    steps_settle(f, 0, 1, lease, "'reject'");
    fixture_pump(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_advance(f, 5000);
    assert_string_equal(letters(f), "");
}

/* Goal: nothing is left of it when the broker ends while a partition is at a member. */
static void what_is_owed_of_a_held_partition_goes_with_the_broker(void **state)
{
    struct engine_fixture *f = *state;
    make_no_topics(f);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'mode': 'ordered', "
               "'settings': {'dead_letter_topic': 'd'}}",
               NULL);
    steps_publish_each(f, "t", "a b");
    f->session = 7;
    steps_settle(f, 0, 1, steps_pull(f, 2)->lease, "'reject'");
    fixture_pump(f);
    assert_string_equal(steps_part(f, "t", 0), "1 2 0 1 0 1");
}

/* Goal: a group over many topics does not look at all of them for each copy. */
static void letters_of_many_topics_are_found_going_round(void **state)
{
    enum { TOPICS = 200 };
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t*'], 'settings': {'dead_letter_topic': 'd',"
               " 'max_failures': 1, 'lease_ms': 10000}}",
               NULL);
    for (unsigned i = 0; i < TOPICS; i++) {
        steps_publish_each(f, fixture_format("t%03u", i), "x");
    }
    for (unsigned got = 0; got < TOPICS;) { /* leases of one, so that all die with them */
        const struct answer *answer =
            fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t*'], 'max_messages': 1}", NULL);
        assert_int_equal(steps_count(answer), 1);
        got += 1;
    }
    fixture_advance(f, 20000);
    fixture_pump(f);
    const char *args = "{'topic': 'd', 'from': 'earliest', 'max_messages': 1000}";
    assert_int_equal(steps_count(fixture_ok(f, "READ", args, NULL)), TOPICS);
    assert_in_range(f->engine->groups->letters_looked, TOPICS, 4 * TOPICS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_dies_is_copied),
        TEST(a_copy_tells_where_it_is_from),
        TEST(a_copy_tells_of_the_last_death),
        TEST(a_lost_lease_makes_letters_too),
        TEST(a_topic_that_is_full_is_waited_for),
        TEST(a_topic_that_is_missing_is_waited_for),
        TEST(what_is_owed_of_a_held_partition_goes_with_the_broker),
        TEST(who_redrives_or_drops_first_gets_no_copy),
        TEST(a_redrive_overtakes_its_copy),
        TEST(what_is_dead_once_more_owes_what_it_owed),
        TEST(what_stayed_dead_is_not_copied_once_more),
        TEST(without_the_setting_nothing_is_owed),
        TEST(what_would_come_back_is_refused),
        TEST(letters_that_die_are_not_copied),
        TEST(letters_do_not_go_in_circles),
        TEST(a_group_goes_while_it_owes),
        TEST(letters_of_many_topics_are_found_going_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
