/* SPDX-License-Identifier: MPL-2.0
 *
 * What one session sends is appended in the order in which it came, also when some of it are commits.
 */
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

static uint64_t commit(struct engine_fixture *f, unsigned seq, const char *topic)
{
    return fixture_send(f, "COMMIT",
                        fixture_format("{'producer': 'p', 'epoch': 1, 'seq': %u, 'publish': "
                                       "[{'topic': '%s'}]}",
                                       seq, topic),
                        fixture_format("[[b'c%u']]", seq));
}

static uint64_t publish(struct engine_fixture *f, const char *payload)
{
    return fixture_send(f, "PUBLISH", "{'topic': 't', 'level': 'written'}",
                        fixture_format("[[b'%s']]", payload));
}

/* Two commits on their way, of which the second waits for the first. */
static void begin(struct engine_fixture *f, const char *second_topic)
{
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'other'}", NULL);
    f->session = 5;
    mem_store_hold(f->mem, MEM_WRITES);
    publish(f, "x");
    commit(f, 1, "t");
    commit(f, 2, second_topic);
    fixture_pump(f);
}

static const char *all(struct engine_fixture *f)
{
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    f->session = 0;
    return fixture_payloads(fixture_ok(f, "READ", "{'topic': 't', 'from': 'earliest'}", NULL));
}

static void a_publish_does_not_overtake_a_commit(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "t");
    const uint64_t first = publish(f, "a");
    publish(f, "b");
    fixture_pump(f);
    commit(f, 3, "t");
    publish(f, "d");
    assert_string_equal(all(f), "x c1 c2 a b c3 d");
    assert_int_equal(fixture_answer(f, first)->code, ZSP_OK);
}

static void a_commit_to_another_topic_holds_nothing_up(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "other");
    publish(f, "a");
    fixture_pump(f);
    assert_string_equal(all(f), "x c1 a");
}

static void other_sessions_do_not_wait(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "t");
    f->session = 6;
    publish(f, "a");
    fixture_pump(f);
    assert_string_equal(all(f), "x c1 a c2");
}

/* Goal: a refused commit lets go of what waits behind it. */
static void a_refused_commit_is_not_waited_for(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "t");
    const uint64_t last = publish(f, "a");
    fixture_pump(f);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    assert_string_equal(all(f), "x a");
    assert_int_equal(fixture_answer(f, last)->code, ZSP_OK);
}

static void a_fail_stop_answers_all(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "t");
    const uint64_t last = publish(f, "a");
    fixture_pump(f);
    mem_store_fail(f->mem);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, last)->code, ZSP_ESTORAGE_FAILED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_publish_does_not_overtake_a_commit),
        TEST(a_commit_to_another_topic_holds_nothing_up),
        TEST(other_sessions_do_not_wait),
        TEST(a_refused_commit_is_not_waited_for),
        TEST(a_fail_stop_answers_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
