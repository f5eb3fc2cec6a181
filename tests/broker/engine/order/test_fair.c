/* SPDX-License-Identifier: MPL-2.0
 *
 * Fair sharing: a noisy tenant does not raise the waiting time of the others.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/order/fair.h"
#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include "tests/support/prng.h"

#define RECORD_BYTES 7u /* of one letter, which is payload and key */

static void create(struct engine_fixture *f, const char *fair_by)
{
    fixture_ok(
        f, "GROUP.CREATE",
        fixture_format("{'group': 'g', 'topics': ['t'], 'settings': {'fair_by': '%s'}}", fair_by),
        NULL);
}

static void publish(struct engine_fixture *f, const char *letters)
{
    steps_publish_letters(f, letters, "");
}

/* What the next pulls for one message each get, one letter each, until there is nothing. */
static const char *order_of(struct engine_fixture *f)
{
    static char got[1024];
    size_t len = 0;
    for (;;) {
        const char *payloads = fixture_payloads(steps_pull(f, 1));
        if (payloads[0] == '\0') {
            break;
        }
        assert_true(len < sizeof got - 1);
        got[len++] = payloads[0];
    }
    got[len] = '\0';
    return got;
}

static void a_quiet_tenant_does_not_wait_behind_a_noisy_one(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaaaaaaaaaaaaaaaaaaaaaaa");
    publish(f, "b");
    publish(f, "aaaaaaaa");
    assert_string_equal(fixture_payloads(steps_pull(f, 6)), "a b a a a a");
    publish(f, "c");
    assert_string_equal(fixture_payloads(steps_pull(f, 3)), "c a a");
}

static void tenants_take_turns(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaaaaaaaaaaabbbbbbbbbc");
    assert_string_equal(order_of(f), "abcababababababababaaa");
}

static void all_of_it_arrives_once(void **state)
{
    struct engine_fixture *f = *state;
    struct prng prng = {.state = 5};
    create(f, "key");
    unsigned sent[26] = {0};
    unsigned got[26] = {0};
    for (int round = 0; round < 60; round++) {
        char letters[41];
        const size_t count = prng_between(&prng, 1, 40);
        for (size_t i = 0; i < count; i++) {
            const uint64_t letter = prng_chance(&prng, 700) ? 0 : prng_below(&prng, 26);
            letters[i] = (char)('a' + letter);
            sent[letter]++;
        }
        letters[count] = '\0';
        steps_publish_letters(f, letters, prng_chance(&prng, 200) ? ", 'priority': 7" : "");
        const uint64_t max = prng_between(&prng, 1, 30);
        const struct answer *answer =
            fixture_ok(f, "PULL",
                       fixture_format("{'group': 'g', 'max_messages': %u, 'max_bytes': %u}",
                                      (unsigned)max, prng_chance(&prng, 300) ? 40 : 100000),
                       NULL);
        for (const char *at = fixture_payloads(answer); *at; at++) {
            if (*at != ' ') {
                got[*at - 'a']++;
            }
        }
        if (prng_chance(&prng, 100)) {
            fixture_restart(f, MEM_KEEP_WRITTEN);
        }
    }
    for (const char *at = order_of(f); *at; at++) {
        got[*at - 'a']++;
    }
    assert_memory_equal(sent, got, sizeof sent);
}

/* While this tenant waits no more than `most` messages of another one come. */
static void assert_turns_of(char tenant, const char *order, unsigned most)
{
    const char *const end = strrchr(order, tenant);
    unsigned others[26] = {0};
    assert_non_null(end);
    for (const char *at = order; at <= end; at++) {
        if (*at == tenant) {
            memset(others, 0, sizeof others);
        } else if (++others[*at - 'a'] > most) {
            fail_msg("%c waits for more than %u of %c: %s", tenant, most, *at, order);
        }
    }
}

/* The same for all tenants, which are 'a' to `last`. */
static void assert_turns(const char *order, char last, unsigned most)
{
    for (char tenant = 'a'; tenant <= last; tenant++) {
        assert_turns_of(tenant, order, most);
    }
}

/* Goal: a bound. Whatever the others publish, a tenant that waits in the window waits for at most two
 * messages for each of them. */
static void nobody_waits_for_more_than_two_messages_for_each_other_tenant(void **state)
{
    struct engine_fixture *f = *state;
    struct prng prng = {.state = 11};
    create(f, "key");
    for (int round = 0; round < 20; round++) {
        char letters[33] = {0};
        for (size_t i = 0; i < 32; i++) {
            letters[i] = (char)('a' + (prng_chance(&prng, 800) ? 0 : prng_below(&prng, 8)));
        }
        publish(f, letters);
    }
    const char *order = order_of(f);
    assert_int_equal(strlen(order), 640);
    assert_turns(order, 'h', 2);
}

/* Goal: the same for one that is new, among many that are. Method: one tenant has had turns before. */
static void nor_does_one_of_many_that_are_new(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaaaaaaaaaaaaaaaaaaa");
    assert_string_equal(fixture_payloads(steps_pull(f, 2)), "a a");
    publish(f, "bcdefghijk");
    assert_turns(order_of(f), 'k', 2);
}

static void priority_stands_above_fairness(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aab");
    steps_publish_letters(f, "aaa", ", 'priority': 9");
    steps_publish_letters(f, "c", ", 'priority': 5");
    assert_string_equal(order_of(f), "aaacaba");
}

static void what_was_out_before_comes_first(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaaabbc");
    const struct answer *answer = steps_pull(f, 2);
    assert_string_equal(fixture_payloads(answer), "a b");
    steps_settle(f, 0, 1, answer->lease, "'retry', {'delay_ms': 0}");
    assert_string_equal(fixture_payloads(steps_pull(f, 3)), "a c a");
}

/* The limit of bytes cuts off who has most of the reply. */
static void a_limit_cuts_off_the_noisy(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaaaaaaaaab");
    const struct answer *answer = fixture_ok(
        f, "PULL",
        fixture_format("{'group': 'g', 'max_messages': 10, 'max_bytes': %u}", 3 * RECORD_BYTES),
        NULL);
    assert_string_equal(fixture_payloads(answer), "a b a");
    publish(f, "c");
    assert_string_equal(fixture_payloads(steps_pull(f, 2)), "a c");
}

/* What pulls get of which each reserves a hundred messages, and has room for `room`. */
static const char *order_of_cut(struct engine_fixture *f, unsigned room)
{
    static char got[1024];
    size_t len = 0;
    for (;;) {
        const struct answer *answer =
            fixture_ok(f, "PULL",
                       fixture_format("{'group': 'g', 'max_messages': 100, 'max_bytes': %u}",
                                      RECORD_BYTES * room),
                       NULL);
        const char *payloads = fixture_payloads(answer);
        if (payloads[0] == '\0') {
            break;
        }
        for (const char *at = payloads; *at; at++) {
            got[len] = *at;
            len += *at != ' ' ? 1 : 0;
            assert_true(len < sizeof got);
        }
    }
    got[len] = '\0';
    return got;
}

/* Goal: who has most is cut off, and still has its turns: a tenant is not for ever the last of each reply. */
static void a_limit_leaves_nobody_without_a_turn(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    unsigned published = 0;
    for (int round = 0; round < 8; round++) {
        publish(f, "aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbcccccccccccccddddddddddd");
        published += 59;
    }
    for (unsigned room = 1; room <= 8; room++) {
        const char *order = order_of_cut(f, room);
        assert_int_equal(strlen(order), published);
        assert_turns(order, 'd', 4);
        fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    }
}

static void producers_and_headers_are_tenants_too(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "header.tenant");
    fixture_ok(f, "PUBLISH", "{'topic': 't'}",
               "[[b'a', null, null, null, {'tenant': 'x'}], [b'a', null, null, null, {'tenant': "
               "'x'}], [b'a', null, null, null, {'tenant': 'x'}], [b'b', null, null, null, "
               "{'tenant': 'y'}], [b'c']]");
    assert_string_equal(order_of(f), "abcaa");
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'fair_by': 'producer'}}", NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    publish(f, "aaaa");
    fixture_ok(f, "PUBLISH",
               "{'topic': 't', 'producer': 'p', 'epoch': 1, 'seq': 1, 'partition': 0, 'count': 1}",
               "[[b'q']]");
    assert_string_equal(order_of(f), "aqaaa");
}

static void delayed_messages_come_in_their_time(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    steps_publish_letters(
        f, "d",
        fixture_format(", 'not_before_ms': %llu", (unsigned long long)f->now.wall_ms + 5000));
    publish(f, "ab");
    assert_string_equal(order_of(f), "ab");
    fixture_advance(f, 6000);
    assert_string_equal(order_of(f), "d");
}

/* What is delayed is forgotten, as nobody pulls, and has come due when it is read again. */
static void what_came_due_while_nobody_pulled_is_found(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    steps_publish_letters(
        f, "d",
        fixture_format(", 'not_before_ms': %llu", (unsigned long long)f->now.wall_ms + 700000));
    publish(f, "a");
    assert_string_equal(order_of(f), "a");
    fixture_advance(f, 601000);
    for (unsigned i = 0; i < 300; i++) {
        steps_publish_letters(f, "u", ", 'priority': 9");
    }
    fixture_advance(f, 100000);
    assert_int_equal(strspn(order_of(f), "u"), 300);
    assert_string_equal(steps_part(f, "t", 0), "0 302 0 302 0 0");
}

/* Goal: whose messages have expired has the turns that they took again. */
static void an_expired_message_takes_no_turn(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaaaaaaa");
    steps_publish_letters(f, "bb",
                          fixture_format(", 'expires_at_ms': %" PRId64, f->now.wall_ms + 5));
    publish(f, "bbbbbb");
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "a");
    fixture_advance(f, 5);
    unsigned of_b = 0;
    const char *order = order_of(f);
    assert_int_equal(strlen(order), 13);
    for (unsigned i = 0; i < 6; i++) {
        of_b += order[i] == 'b' ? 1 : 0;
    }
    assert_in_range(of_b, 2, 4);
}

/* Goal: the window and the agenda agree on what waits, whatever the clock does between them. */
static void a_clock_that_goes_back_hides_nothing(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    steps_publish_letters(f, "ab",
                          fixture_format(", 'not_before_ms': %" PRId64, f->now.wall_ms + 1000));
    fixture_advance(f, 2000);
    f->now.wall_ms -= 2000;
    publish(f, "c");
    fixture_advance(f, 10);
    assert_int_equal(strlen(order_of(f)), 3);
}

static void a_seek_begins_the_window_anew(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaab");
    assert_string_equal(order_of(f), "abaa");
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    assert_string_equal(order_of(f), "abaa");
    fixture_ok(f, "TOPIC.PURGE", "{'topic': 't', 'before': ['offset', 2]}", NULL);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    assert_string_equal(order_of(f), "ab");
}

/* Goal: a pull that waits for the window waits for the priorities instead, when the group goes back. */
static void a_seek_while_the_window_is_read_keeps_no_pull_waiting(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "c");
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    steps_publish_letters(f, "ab", ", 'priority': 9");
    fixture_restart(f, MEM_KEEP_SYNCED);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 1, 1000);
    fixture_pump(f);
    mem_store_release(f->mem, MEM_READS); /* of the priorities */
    fixture_pump(f);
    fixture_ok(f, "SEEK", "{'group': 'g', 'topic': 't', 'to': 'earliest'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    const struct answer *const answer = fixture_answer(f, ticket);
    assert_non_null(answer);
    assert_string_equal(fixture_payloads(answer), "a");
}

static void it_is_told_changed_and_refused(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaab");
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "a");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_non_null(
        strstr(fixture_value(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "settings"),
               "\"fair_by\": \"key\""));
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'fair_by': null}}", NULL);
    assert_string_equal(order_of(f), "aab");
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.SET", "{'group': 'g', 'settings': {'fair_by': 'x'}}",
                  NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.SET",
                  "{'group': 'g', 'settings': {'fair_by': 'header.'}}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                  "{'group': 'o', 'topics': ['t'], 'mode': 'ordered', 'settings': {'fair_by': "
                  "'key'}}",
                  NULL);
}

static void a_group_that_goes_leaves_no_read_behind(void **state)
{
    struct engine_fixture *f = *state;
    create(f, "key");
    publish(f, "aaab");
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 1, 1000);
    fixture_pump(f);
    fixture_ok(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_quiet_tenant_does_not_wait_behind_a_noisy_one),
        TEST(tenants_take_turns),
        TEST(all_of_it_arrives_once),
        TEST(nobody_waits_for_more_than_two_messages_for_each_other_tenant),
        TEST(nor_does_one_of_many_that_are_new),
        TEST(priority_stands_above_fairness),
        TEST(what_was_out_before_comes_first),
        TEST(a_limit_cuts_off_the_noisy),
        TEST(a_limit_leaves_nobody_without_a_turn),
        TEST(producers_and_headers_are_tenants_too),
        TEST(delayed_messages_come_in_their_time),
        TEST(what_came_due_while_nobody_pulled_is_found),
        TEST(an_expired_message_takes_no_turn),
        TEST(a_clock_that_goes_back_hides_nothing),
        TEST(a_seek_begins_the_window_anew),
        TEST(a_seek_while_the_window_is_read_keeps_no_pull_waiting),
        TEST(it_is_told_changed_and_refused),
        TEST(a_group_that_goes_leaves_no_read_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
