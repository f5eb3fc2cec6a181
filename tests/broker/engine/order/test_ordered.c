/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups of mode `ordered`: a partition is at one member, in order, whatever happens to what is out.
 */
#include <inttypes.h>

#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define FIRST  5 /* sessions */
#define SECOND 6

/* Topic t with so many partitions, and an ordered group g. */
static void begin(struct engine_fixture *f, unsigned partitions, const char *settings)
{
    fixture_ok(f, "TOPIC.CREATE", fixture_format("{'topic': 't', 'partitions': %u}", partitions),
               NULL);
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': 'ordered', 'settings': %s}",
                              settings),
               NULL);
}

static void publish_to(struct engine_fixture *f, unsigned partition, const char *payload)
{
    fixture_ok(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %u}", partition),
               fixture_format("[[b'%s']]", payload));
}

static const struct answer *pull_as(struct engine_fixture *f, uint64_t session, unsigned max)
{
    f->session = session;
    return steps_pull(f, max);
}

static const char *not_applied(const struct answer *answer)
{
    return fixture_value(answer, "not_applied");
}

/* --- One member -------------------------------------------------------------------------------- */

static void a_partition_is_at_one_member(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 6);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 2)), "m0 m1");
    const struct answer *answer = pull_as(f, SECOND, 10);
    assert_string_equal(fixture_payloads(answer), "");
    assert_string_equal(fixture_text(answer, "reason"), "all_leased");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 2)), "m2 m3"); /* on top of its first */
}

/* Goal: also when all is settled it stays where it was, while its member is about. */
static void a_partition_stays_with_its_member(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 3);
    const uint64_t lease = pull_as(f, FIRST, 1)->lease;
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_int_equal(steps_count(pull_as(f, SECOND, 1)), 0);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 1)), "m1");
}

static void without_a_session_the_lease_is_the_holder(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 3);
    const uint64_t lease = pull_as(f, 0, 2)->lease;
    assert_int_equal(steps_count(pull_as(f, 0, 2)), 0);
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_int_equal(steps_count(pull_as(f, 0, 2)), 0);
    steps_settle(f, 1, 1, lease, "'ack'");
    assert_string_equal(fixture_payloads(pull_as(f, 0, 2)), "m2");
}

static void another_mode_is_a_mismatch(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    fixture_error(f, ZSP_EMODE_MISMATCH, "PULL", "{'group': 'g', 'mode': 'shared'}", NULL);
    fixture_ok(f, "PULL", "{'group': 'g', 'mode': 'ordered'}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "PULL", "{'group': 'g', 'mode': 'sorted'}", NULL);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_text(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "mode"),
                        "ordered");
}

/* --- Order -------------------------------------------------------------------------------------- */

static void a_retry_takes_back_what_was_handed_out_behind_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 6);
    const uint64_t lease = pull_as(f, FIRST, 3)->lease;
    const uint64_t later = pull_as(f, FIRST, 2)->lease;
    steps_settle(f, 1, 1, lease, "'retry', {'delay_ms': 1000}");
    assert_string_equal(steps_part(f, "t", 0), "0 6 4 1 1 0");
    assert_string_equal(not_applied(steps_settle(f, 2, 1, lease, "'ack'")),
                        "[[\"t\", 0, 2, 1, \"lost\"]]");
    assert_string_equal(not_applied(steps_settle(f, 3, 2, later, "'ack'")),
                        "[[\"t\", 0, 3, 2, \"lost\"]]");
    assert_int_equal(fixture_number(steps_settle(f, 0, 1, lease, "'ack'"), "applied"), 1);
    assert_string_equal(fixture_text(pull_as(f, FIRST, 9), "reason"), "all_waiting");
    fixture_advance(f, 1000);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m1 m2 m3 m4 m5");
}

static void an_ack_in_the_same_request_comes_too_late(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 3);
    const uint64_t lease = pull_as(f, FIRST, 3)->lease;
    const char *runs = fixture_format("{'group': 'g', 'runs': [['t', 0, 2, 1, %" PRIu64 ", 'ack'], "
                                      "['t', 0, 0, 1, %" PRIu64 ", 'release'], "
                                      "['t', 0, 1, 1, %" PRIu64 ", 'ack']]}",
                                      lease, lease, lease);
    const struct answer *answer = fixture_ok(f, "SETTLE", runs, NULL);
    assert_string_equal(not_applied(answer), "[[\"t\", 0, 1, 1, \"lost\"]]");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 3)), "m0 m1"); /* m2 came before it */
}

/* Goal: what comes back while messages behind it are about to be told, takes them with it. */
static void what_is_recalled_is_not_told_any_more(void **state)
{
    struct engine_fixture *f = *state;
    const unsigned held[] = {MEM_READS, MEM_WRITES};
    begin(f, 1, "{}");
    for (size_t i = 0; i < 2; i++) {
        steps_publish(f, "t", 3);
        const uint64_t lease = pull_as(f, FIRST, 1)->lease;
        mem_store_hold(f->mem, held[i]);
        const uint64_t ticket = steps_wait(f, 9, 2000);
        fixture_pump(f);
        assert_null(fixture_answer(f, ticket));
        fixture_send(f, "SETTLE",
                     fixture_format("{'group': 'g', 'runs': [['t', 0, %zu, 1, %" PRIu64
                                    ", 'retry', {'delay_ms': 1000}]]}",
                                    3 * i, lease),
                     NULL);
        mem_store_hold(f->mem, 0);
        fixture_pump(f);
        assert_null(fixture_answer(f, ticket));
        fixture_advance(f, 1000);
        const struct answer *answer = fixture_answer(f, ticket);
        assert_string_equal(fixture_payloads(answer), "m0 m1 m2");
        assert_string_equal(fixture_format("%.14s", strstr(answer->text, "deliveries")),
                            "deliveries\": 2"); /* m0's */
        assert_null(strstr(strstr(answer->text, "deliveries") + 1, "deliveries"));
        steps_settle(f, 3 * i, 3, answer->lease, "'ack'");
    }
}

/* Goal: a recall of very many takes several turns, and nothing is handed out meanwhile. */
static void a_large_recall_takes_its_time(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 6000);
    const uint64_t lease = pull_as(f, FIRST, 6000)->lease;
    struct zsp_writer args = {0};
    zsp_write_bytes(&args, zsp_slice_str("{'group': 'g', 'runs': ["));
    for (unsigned i = 1; i < 6000; i += 2) { /* so that neighbours differ */
        zsp_write_bytes(&args,
                        zsp_slice_str(fixture_format("%s['t', 0, %u, 1, %" PRIu64 ", 'started']",
                                                     i > 1 ? ", " : "", i, lease)));
    }
    zsp_write_bytes(&args, zsp_slice_str("]}"));
    zsp_write_u8(&args, 0);
    fixture_ok(f, "SETTLE", (const char *)args.data, NULL);
    zsp_writer_fini(&args);
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 0}");
    assert_string_equal(steps_part(f, "t", 0), "0 6000 2001 3999 0 0");
    assert_int_equal(steps_count(pull_as(f, FIRST, 1)), 0);
    fixture_advance(f, 10);
    assert_string_equal(steps_part(f, "t", 0), "0 6000 6000 0 0 0");
}

/* Goal: what nobody has seen comes in order, whatever pulls have put back of it. */
static void what_was_put_back_comes_in_order(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 6);
    engine_undelivered(f->engine, f->now, pull_as(f, FIRST, 2)->lease);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t gone = steps_wait(f, 9, 2000);
    fixture_pump(f);
    engine_abandon(f->engine, f->now, gone);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    const char *small = "{'group': 'g', 'topics': ['t'], 'max_messages': 4, 'max_bytes': 16}";
    const struct answer *answer = fixture_ok(f, "PULL", small, NULL);
    assert_string_equal(fixture_payloads(answer), "m0 m1 m2");
    steps_settle(f, 0, 3, answer->lease, "'ack'");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m3 m4 m5");
}

/* Goal: an untold lease whose end has no room in the journal: its messages are still out, and their
 * own member gets nothing from behind them. */
static void what_an_untold_lease_still_has_is_not_passed(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t untold = pull_as(f, FIRST, 2)->lease;
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    engine_undelivered(f->engine, f->now, untold);
    assert_int_equal(steps_count(pull_as(f, FIRST, 9)), 0);
    assert_string_equal(steps_part(f, "t", 0), "0 4 2 2 0 0");
    fixture_advance(f, 1000); /* it is tried again */
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m0 m1 m2 m3");
}

/* Goal: who hands back all that is behind it says nothing wrong. */
static void what_is_recalled_may_be_released(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 4)->lease;
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 0}");
    assert_string_equal(not_applied(steps_settle(f, 1, 3, lease, "'release'")),
                        "[[\"t\", 0, 1, 3, \"done\"]]");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 4)), "m0 m1 m2 m3");
}

static void one_outcome_for_all_counts_for_all(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{'max_failures': 2}");
    steps_publish(f, "t", 3);
    uint64_t lease = pull_as(f, FIRST, 2)->lease;
    steps_settle(f, 0, 2, lease, "'release'");
    lease = pull_as(f, FIRST, 3)->lease; /* not all of them equal: m2 is out for the first time */
    assert_int_equal(
        fixture_number(steps_settle(f, 0, 3, lease, "'retry', {'delay_ms': 0}"), "applied"), 3);
    lease = pull_as(f, FIRST, 3)->lease;
    steps_settle(f, 0, 3, lease, "'retry', {'delay_ms': 0}");
    assert_string_equal(steps_part(f, "t", 0), "3 3 0 0 0 3");
}

static void a_later_lease_settles_what_lies_before_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 6);
    const uint64_t lease = pull_as(f, FIRST, 2)->lease;
    const uint64_t later = pull_as(f, FIRST, 2)->lease;
    assert_string_equal(not_applied(steps_settle(f, 0, 4, lease, "'ack'")),
                        "[[\"t\", 0, 2, 2, \"lost\"]]"); /* not the other way round */
    pull_as(f, FIRST, 1);
    const uint64_t last = pull_as(f, FIRST, 1)->lease;
    (void)later;
    assert_int_equal(fixture_number(steps_settle(f, 2, 4, last, "'ack'"), "applied"), 4);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(steps_part(f, "t", 0), "6 6 0 0 0 0");
}

static void a_lease_that_ends_takes_the_later_ones_along(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{'lease_ms': 20000}");
    steps_publish(f, "t", 5);
    pull_as(f, FIRST, 2);
    const uint64_t later = pull_as(f, FIRST, 2)->lease;
    steps_settle(f, 2, 1, later, "'extend', {'ms': 90000}");
    fixture_advance(f, 20000);
    assert_string_equal(steps_part(f, "t", 0), "0 5 5 0 0 0");
    assert_string_equal(not_applied(steps_settle(f, 2, 2, later, "'ack'")),
                        "[[\"t\", 0, 2, 2, \"lost\"]]");
    /* Of the lease that was lost nobody is blamed: half of it goes alone. */
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "m0");
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "m1");
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "m2 m3 m4");
}

static void only_what_is_next_is_handed_out(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 3)->lease;
    steps_settle(f, 1, 1, lease, "'ack'"); /* a hole is no reason to wait */
    steps_settle(f, 0, 1, lease, "'retry', {'delay_ms': 5000}");
    const uint64_t ticket = steps_wait(f, 9, 60000);
    fixture_advance(f, 4999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "m0 m2 m3");
}

/* Goal: a message that waits for its time keeps back those behind it; priorities say nothing. */
static void a_delay_holds_back_what_is_behind_it(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    publish_to(f, 0, "m0");
    fixture_ok(
        f, "PUBLISH",
        fixture_format("{'topic': 't', 'not_before_ms': %" PRId64 "}", f->now.wall_ms + 5000),
        "[[b'm1']]");
    fixture_ok(f, "PUBLISH", "{'topic': 't', 'priority': 9}", "[[b'm2']]");
    const struct answer *answer = pull_as(f, FIRST, 9);
    assert_string_equal(fixture_payloads(answer), "m0");
    steps_settle(f, 0, 1, answer->lease, "'ack'");
    const uint64_t ticket = steps_wait(f, 9, 60000);
    fixture_advance(f, 4999);
    assert_null(fixture_answer(f, ticket));
    fixture_advance(f, 1);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "m1 m2");
}

/* --- Pulls at work ------------------------------------------------------------------------------- */

/* Goal: a reply that has not left tells nothing of what came back meanwhile. */
static void a_grant_on_its_way_begins_again(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 2)->lease;
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t ticket = steps_wait(f, 9, 0);
    fixture_pump(f);
    const uint64_t retry = fixture_send(
        f, "SETTLE",
        fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64 ", 'release']]}", lease),
        NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_non_null(fixture_answer(f, retry));
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "m0 m1 m2 m3");
    assert_string_equal(steps_part(f, "t", 0), "0 4 0 4 0 0");
}

static void so_does_one_that_is_reading(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 2)->lease;
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t ticket = steps_wait(f, 9, 0);
    fixture_pump(f);
    steps_settle(f, 1, 1, lease, "'retry', {'delay_ms': 0}");
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "m1 m2 m3");
}

static void while_one_pull_reads_no_other_gets_what_is_behind(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    f->session = FIRST;
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t first = steps_wait(f, 2, 0);
    const uint64_t second = steps_wait(f, 2, 60000);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_payloads(fixture_answer(f, first)), "m0 m1");
    assert_string_equal(fixture_payloads(fixture_answer(f, second)), "m2 m3");
}

/* --- Takeover ------------------------------------------------------------------------------------- */

static void after_a_restart_leases_hold_the_partition(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 1)->lease;
    const uint64_t later = pull_as(f, FIRST, 1)->lease;
    fixture_restart(f, MEM_KEEP_WRITTEN);
    assert_string_equal(fixture_text(pull_as(f, FIRST, 9), "reason"), "all_leased");
    steps_settle(f, 0, 2, later, "'ack'");
    (void)lease;
    assert_string_equal(fixture_payloads(pull_as(f, SECOND, 9)), "m2 m3");
}

/* --- Balance -------------------------------------------------------------------------------------- */

/* Partitions 0..3 have two messages each. */
static void four_partitions(struct engine_fixture *f)
{
    begin(f, 4, "{}");
    for (unsigned i = 0; i < 8; i++) {
        publish_to(f, i % 4, fixture_format("p%u", i % 4));
    }
}

static void who_is_alone_gets_all(void **state)
{
    struct engine_fixture *f = *state;
    four_partitions(f);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "p0 p0 p1 p1 p2 p2 p3 p3");
}

static void two_that_wait_get_half(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 4, "{}");
    f->session = FIRST;
    const uint64_t first = steps_wait(f, 9, 60000);
    f->session = SECOND;
    const uint64_t second = steps_wait(f, 9, 60000);
    fixture_pump(f);
    f->session = 0;
    mem_store_hold(f->mem, MEM_SYNCS); /* all come at once */
    for (unsigned i = 0; i < 4; i++) {
        fixture_send(f, "PUBLISH", fixture_format("{'topic': 't', 'partition': %u}", i),
                     fixture_format("[[b'p%u']]", i));
    }
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(steps_count(fixture_answer(f, first)), 2);
    assert_int_equal(steps_count(fixture_answer(f, second)), 2);
}

/* Goal: who comes later gets its part, one partition after the other, each once it is settled. */
static void who_has_more_gives_up_what_is_settled(void **state)
{
    struct engine_fixture *f = *state;
    four_partitions(f);
    const uint64_t lease = pull_as(f, FIRST, 9)->lease;
    for (unsigned i = 0; i < 4; i++) {
        publish_to(f, i, "more");
    }
    f->session = SECOND;
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    fixture_ok(f, "SETTLE",
               fixture_format("{'group': 'g', 'runs': [['t', 0, 0, 2, %" PRIu64
                              ", 'ack'], ['t', 1, 0, 2, %" PRIu64
                              ", 'ack'], ['t', 2, 0, 2, %" PRIu64
                              ", 'ack'], ['t', 3, 0, 2, %" PRIu64 ", 'ack']]}",
                              lease, lease, lease, lease),
               NULL);
    assert_int_equal(steps_count(fixture_answer(f, ticket)), 1);
    assert_int_equal(steps_count(pull_as(f, SECOND, 9)), 1); /* its second one */
    assert_int_equal(steps_count(pull_as(f, SECOND, 9)), 0);
    assert_int_equal(steps_count(pull_as(f, FIRST, 9)), 2);
}

/* Goal: a partition whose topic has priorities and that has nothing to do is no work either. */
static void what_has_had_priorities_is_no_work_for_good(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 4, "{}");
    for (unsigned i = 0; i < 4; i++) {
        fixture_ok(f, "PUBLISH",
                   fixture_format("{'topic': 't', 'partition': %u, 'priority': 9}", i), "[[b'u']]");
    }
    const uint64_t lease = pull_as(f, FIRST, 9)->lease;
    for (unsigned i = 0; i < 4; i++) {
        fixture_ok(f, "SETTLE",
                   fixture_format("{'group': 'g', 'runs': [['t', %u, 0, 1, %" PRIu64 ", 'ack']]}",
                                  i, lease),
                   NULL);
    }
    publish_to(f, 2, "p2");
    publish_to(f, 3, "p3");
    assert_int_equal(steps_count(pull_as(f, SECOND, 9)), 1);
    assert_int_equal(steps_count(pull_as(f, FIRST, 9)), 1);
}

/* --- Dead ones ------------------------------------------------------------------------------------ */

static void a_dead_message_is_passed(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 3);
    const uint64_t lease = pull_as(f, FIRST, 2)->lease;
    steps_settle(f, 0, 1, lease, "'reject'");
    assert_int_equal(fixture_number(steps_settle(f, 1, 1, lease, "'ack'"), "applied"), 1);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m2");
}

static void a_dead_message_may_hold_its_partition(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{'on_dead': 'hold'}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 3)->lease;
    steps_settle(f, 1, 1, lease, "'reject', {'reason': 'no'}");
    assert_string_equal(not_applied(steps_settle(f, 2, 1, lease, "'ack'")),
                        "[[\"t\", 0, 2, 1, \"lost\"]]");
    steps_settle(f, 0, 1, lease, "'ack'");
    assert_string_equal(fixture_text(pull_as(f, FIRST, 9), "reason"), "held");
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_string_equal(fixture_text(pull_as(f, FIRST, 9), "reason"), "held");
    assert_string_equal(steps_part(f, "t", 0), "2 4 2 0 0 1");
    const uint64_t ticket = steps_wait(f, 9, 60000);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'on_dead': 'skip'}}", NULL);
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "m2 m3");
}

static void a_seek_lifts_what_held(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{'on_dead': 'hold'}");
    steps_publish(f, "t", 4);
    steps_settle(f, 1, 1, pull_as(f, FIRST, 3)->lease, "'reject'");
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': ['offset', 2]}", NULL);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m2 m3");
}

static void only_an_order_can_be_held(void **state)
{
    struct engine_fixture *f = *state;
    fixture_error(f, ZSP_EBAD_VALUE, "GROUP.CREATE",
                  "{'group': 's', 'topics': [], 'settings': {'on_dead': 'hold'}}", NULL);
    fixture_error(
        f, ZSP_EBAD_VALUE, "GROUP.CREATE",
        "{'group': 's', 'topics': [], 'mode': 'ordered', 'settings': {'on_dead': 'wait'}}", NULL);
    fixture_error(f, ZSP_EBAD_TYPE, "GROUP.CREATE",
                  "{'group': 's', 'topics': [], 'mode': 'ordered', 'settings': {'on_dead': 1}}",
                  NULL);
}

static void a_seek_begins_a_new_order(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 2)->lease;
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': 'earliest'}", NULL);
    assert_string_equal(not_applied(steps_settle(f, 0, 1, lease, "'ack'")),
                        "[[\"t\", 0, 0, 1, \"lost\"]]");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m0 m1 m2 m3");
}

/* Goal: what is redriven comes in its place, behind what is fresh again. */
static void a_message_redriven_after_a_seek_does_not_overtake(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, 1, "{}");
    steps_publish(f, "t", 4);
    const uint64_t lease = pull_as(f, FIRST, 4)->lease;
    steps_settle(f, 2, 1, lease, "'reject'");
    fixture_ok(f, "SEEK", "{'group': 'g', 'to': ['offset', 1]}", NULL);
    fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'all': true}", NULL);
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 1)), "m1");
    assert_string_equal(fixture_payloads(pull_as(f, FIRST, 9)), "m2 m3");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_partition_is_at_one_member),
        TEST(a_partition_stays_with_its_member),
        TEST(without_a_session_the_lease_is_the_holder),
        TEST(another_mode_is_a_mismatch),
        TEST(a_retry_takes_back_what_was_handed_out_behind_it),
        TEST(an_ack_in_the_same_request_comes_too_late),
        TEST(what_is_recalled_is_not_told_any_more),
        TEST(a_large_recall_takes_its_time),
        TEST(what_was_put_back_comes_in_order),
        TEST(what_an_untold_lease_still_has_is_not_passed),
        TEST(what_is_recalled_may_be_released),
        TEST(one_outcome_for_all_counts_for_all),
        TEST(a_later_lease_settles_what_lies_before_it),
        TEST(a_lease_that_ends_takes_the_later_ones_along),
        TEST(only_what_is_next_is_handed_out),
        TEST(a_delay_holds_back_what_is_behind_it),
        TEST(a_grant_on_its_way_begins_again),
        TEST(so_does_one_that_is_reading),
        TEST(while_one_pull_reads_no_other_gets_what_is_behind),
        TEST(after_a_restart_leases_hold_the_partition),
        TEST(who_is_alone_gets_all),
        TEST(two_that_wait_get_half),
        TEST(who_has_more_gives_up_what_is_settled),
        TEST(what_has_had_priorities_is_no_work_for_good),
        TEST(a_dead_message_is_passed),
        TEST(a_dead_message_may_hold_its_partition),
        TEST(a_seek_lifts_what_held),
        TEST(only_an_order_can_be_held),
        TEST(a_seek_begins_a_new_order),
        TEST(a_message_redriven_after_a_seek_does_not_overtake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
