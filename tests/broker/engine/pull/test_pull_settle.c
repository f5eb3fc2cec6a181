/* SPDX-License-Identifier: MPL-2.0
 *
 * PULL with outcomes: applied as it arrives, told once they are durable.
 */
#include <inttypes.h>

#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* A PULL that waits 5 s and brings `sruns`; returns its ticket, nothing is pumped. */
static uint64_t pull_with(struct engine_fixture *f, const char *sruns)
{
    return fixture_send(f, "PULL",
                        fixture_format("{'group': 'g', 'topics': ['t'], 'max_messages': 2, "
                                       "'wait_ms': 5000, 'settle': [%s]}",
                                       sruns),
                        NULL);
}

static const char *srun(uint64_t first, uint64_t count, uint64_t lease, const char *outcome)
{
    return fixture_format("['t', 0, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %s]", first, count,
                          lease, outcome);
}

/* The answer after a pump. */
static const struct answer *answered(struct engine_fixture *f, uint64_t ticket)
{
    fixture_pump(f);
    const struct answer *answer = fixture_answer(f, ticket);
    assert_non_null(answer);
    return answer;
}

static void one_request_settles_and_brings_the_next(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 5);
    const uint64_t lease = steps_pull(f, 2)->lease;
    const struct answer *answer = answered(f, pull_with(f, srun(0, 2, lease, "'ack'")));
    assert_string_equal(fixture_payloads(answer), "m2 m3");
    assert_string_equal(fixture_value(answer, "settled"), "{\"applied\": 2, \"not_applied\": []}");
    assert_string_equal(steps_part(f, "t", 0), "2 5 1 2 0 0");
}

/* Goal: outcomes take effect before messages are handed out, in the same turn. */
static void what_it_releases_it_gets_itself(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 2);
    const uint64_t lease = steps_pull(f, 2)->lease;
    const struct answer *answer = answered(f, pull_with(f, srun(0, 2, lease, "'release'")));
    assert_string_equal(fixture_payloads(answer), "m0 m1");
    assert_int_not_equal(answer->lease, lease);
}

static void its_reply_waits_for_the_sync(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 4);
    const uint64_t lease = steps_pull(f, 2)->lease;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = pull_with(f, srun(0, 2, lease, "'ack'"));
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    assert_string_equal(fixture_payloads(answered(f, ticket)), "m2 m3");
}

/* Goal: a client learns of its outcomes at once, however long the pull might have waited. */
static void without_messages_it_waits_for_nothing_but_the_sync(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 2);
    const uint64_t lease = steps_pull(f, 2)->lease;
    const struct answer *answer = answered(f, pull_with(f, srun(0, 1, lease, "'ack'")));
    assert_string_equal(fixture_value(answer, "runs"), "[]");
    assert_string_equal(fixture_text(answer, "reason"), "all_leased");
    assert_string_equal(fixture_value(answer, "settled"), "{\"applied\": 1, \"not_applied\": []}");
    answer = answered(f, pull_with(f, srun(1, 1, lease, "'started'")));
    assert_string_equal(fixture_text(answer, "reason"), "all_leased");
}

static void messages_that_come_before_the_sync_are_handed_out(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    const uint64_t lease = steps_pull(f, 1)->lease;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = pull_with(f, srun(0, 1, lease, "'retry', {'delay_ms': 10}"));
    fixture_pump(f);
    fixture_advance(f, 20);
    mem_store_hold(f->mem, 0);
    assert_string_equal(fixture_payloads(answered(f, ticket)), "m0");
}

static void it_tells_what_was_not_applied(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 2);
    const uint64_t lease = steps_pull(f, 2)->lease;
    steps_settle(f, 0, 1, lease, "'ack'");
    const struct answer *answer = answered(f, pull_with(f, srun(0, 2, lease + 1, "'ack'")));
    assert_string_equal(fixture_value(answer, "settled"),
                        "{\"applied\": 0, \"not_applied\": [[\"t\", 0, 0, 1, \"done\"], "
                        "[\"t\", 0, 1, 1, \"lost\"]]}");
}

static void sent_again_it_gets_the_same_messages(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 4);
    const uint64_t lease = steps_pull(f, 2)->lease;
    f->session = 7;
    const struct answer *first = answered(f, pull_with(f, srun(0, 2, lease, "'ack'")));
    assert_string_equal(fixture_payloads(first), "m2 m3");
    const struct answer *again = answered(f, pull_with(f, srun(0, 2, lease, "'ack'")));
    assert_string_equal(fixture_value(again, "settled"),
                        "{\"applied\": 0, \"not_applied\": [[\"t\", 0, 0, 2, \"done\"]]}");
}

/* Goal: a refused PULL has settled nothing. Method: each refusal that a PULL knows. */
static void a_refused_pull_settles_nothing(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 2);
    const uint64_t lease = steps_pull(f, 2)->lease;
    const char *good = srun(0, 1, lease, "'ack'");
    const struct {
        int code;
        const char *args;
    } cases[] = {
        {ZSP_EBAD_VALUE, "'settle': []"},
        {ZSP_EBAD_TYPE, "'settle': 5"},
        {ZSP_EBAD_VALUE, "'settle': [%s, ['t', 0, 1, 0, 5, 'ack']]"},
        {ZSP_EBAD_VALUE, "'settle': [%s, ['t', 0, 18446744073709551615, 2, 5, 'ack']]"},
        {ZSP_EBAD_VALUE, "'settle': [%s], 'max_messages': 0"},
        {ZSP_EMODE_MISMATCH, "'settle': [%s], 'start': 'latest'"},
        {ZSP_EMODE_MISMATCH, "'settle': [%s], 'mode': 'keyed'"},
        {ZSP_EUNKNOWN_ARGUMENT, "'settle': [%s], 'colour': 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char args[400];
        const char *const at = strstr(cases[i].args, "%s");
        const size_t before = at ? (size_t)(at - cases[i].args) : strlen(cases[i].args);
        (void)snprintf(args, sizeof args, "{'group': 'g', %.*s%s%s}", (int)before, cases[i].args,
                       at ? good : "", at ? at + 2 : "");
        fixture_error(f, cases[i].code, "PULL", args, NULL);
    }
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    const struct answer *full = answered(f, pull_with(f, good));
    assert_int_equal(full->code, ZSP_ENO_SPACE);
    assert_false(full->error.maybe);
    assert_string_equal(steps_part(f, "t", 0), "0 2 0 2 0 0");
}

static void it_makes_no_group(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    const struct answer *answer = answered(f, pull_with(f, srun(0, 1, 5, "'ack'")));
    assert_int_equal(answer->code, ZSP_ENOT_FOUND);
}

/* Goal: who loses the connection loses the reply, not the outcome. */
static void the_outcomes_of_an_abandoned_pull_stay(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 4);
    const uint64_t lease = steps_pull(f, 2)->lease;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = pull_with(f, srun(0, 2, lease, "'ack'"));
    fixture_pump(f);
    engine_abandon(f->engine, f->now, ticket);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(steps_part(f, "t", 0), "2 4 2 0 0 0");
}

static void when_the_group_goes_the_error_says_maybe(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    const uint64_t lease = steps_pull(f, 1)->lease;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = pull_with(f, srun(0, 1, lease, "'ack'"));
    fixture_pump(f);
    (void)fixture_send(f, "GROUP.DELETE", "{'group': 'g'}", NULL);
    mem_store_hold(f->mem, 0);
    const struct answer *answer = answered(f, ticket);
    assert_int_equal(answer->code, ZSP_ENOT_FOUND);
    assert_true(answer->error.maybe);
}

static void a_stopping_broker_still_tells_of_outcomes(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    const uint64_t lease = steps_pull(f, 1)->lease;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = pull_with(f, srun(0, 1, lease, "'release'"));
    engine_drain(f->engine, f->now);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    mem_store_hold(f->mem, 0);
    const struct answer *answer = answered(f, ticket);
    assert_string_equal(fixture_text(answer, "reason"), "shutting_down");
    assert_string_equal(fixture_value(answer, "settled"), "{\"applied\": 1, \"not_applied\": []}");
}

/* Goal: one whose wait is over, and that is there for its outcomes alone, takes no share from others,
 * in its group or elsewhere. */
static void without_a_sync_it_is_in_nobodys_way(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 8);
    const uint64_t lease = steps_pull(f, 2)->lease;
    const uint64_t other = steps_pull(f, 6)->lease;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t first = pull_with(f, srun(0, 1, lease, "'ack'"));
    const uint64_t second = pull_with(f, srun(1, 1, lease, "'ack'"));
    fixture_pump(f);
    fixture_advance(f, 5000);
    (void)fixture_send(
        f, "SETTLE", fixture_format("{'group': 'g', 'runs': [%s]}", srun(2, 6, other, "'release'")),
        NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, first));
    assert_int_equal(steps_count(steps_pull(f, 6)), 6);
    mem_store_hold(f->mem, 0);
    assert_string_equal(fixture_value(answered(f, first), "settled"),
                        "{\"applied\": 1, \"not_applied\": []}");
    assert_string_equal(fixture_value(answered(f, second), "runs"), "[]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_request_settles_and_brings_the_next),
        TEST(what_it_releases_it_gets_itself),
        TEST(its_reply_waits_for_the_sync),
        TEST(without_messages_it_waits_for_nothing_but_the_sync),
        TEST(messages_that_come_before_the_sync_are_handed_out),
        TEST(it_tells_what_was_not_applied),
        TEST(sent_again_it_gets_the_same_messages),
        TEST(a_refused_pull_settles_nothing),
        TEST(it_makes_no_group),
        TEST(the_outcomes_of_an_abandoned_pull_stay),
        TEST(when_the_group_goes_the_error_says_maybe),
        TEST(without_a_sync_it_is_in_nobodys_way),
        TEST(a_stopping_broker_still_tells_of_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
