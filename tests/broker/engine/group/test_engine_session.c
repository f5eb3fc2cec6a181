/* SPDX-License-Identifier: MPL-2.0
 *
 * What hangs on a session: PULLs sent again under their id, BYE, CANCEL, and
 * the silence of a session that had promised to be heard.
 */
#include "broker/engine/group/group.h"
#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A PULL that waits, and gets what is published then: at work until the store is let go. */
static uint64_t begin_pull(struct engine_fixture *f, unsigned messages, unsigned held)
{
    const uint64_t ticket = steps_wait(f, 10, 30000);
    fixture_pump(f);
    mem_store_hold(f->mem, held & ~(unsigned)(MEM_WRITES | MEM_SYNCS));
    steps_publish(f, "t", messages);
    mem_store_hold(f->mem, held);
    return ticket;
}

/* The same request once more, after its connection was lost. */
static uint64_t send_again(struct engine_fixture *f, uint64_t ticket, unsigned wait_ms)
{
    engine_abandon(f->engine, f->now, ticket);
    f->resent_id = ticket;
    return steps_wait(f, 10, wait_ms);
}

static void go_on(struct engine_fixture *f)
{
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
}

/* --- Sent again -------------------------------------------------------------------------- */

/* Goal: a client that did not hear the answer asks again and gets the same. */
static void a_resent_pull_gets_the_same_lease(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 6);
    const struct answer *first = steps_pull(f, 4);
    const uint64_t lease = first->lease;
    steps_settle(f, 1, 2, lease, "'ack'");
    f->resent_id = first->ticket;
    const struct answer *again = steps_pull(f, 4);
    assert_string_equal(fixture_payloads(again), "m0 m3");
    assert_int_equal(again->lease, lease);
    assert_null(strstr(again->text, "deliveries"));
    assert_string_equal(steps_part(f, "t", 0), "0 6 2 2 0 0");
}

/* Three dead messages of the group g. */
static void bury(struct engine_fixture *f)
{
    steps_publish(f, "t", 3);
    const uint64_t lease = steps_pull(f, 3)->lease;
    steps_settle(f, 0, 3, lease, "'reject'");
}

static void a_resent_redrive_or_drop_is_told_the_first_answer(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    bury(f);
    uint64_t first =
        fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 1]]}", NULL)->ticket;
    f->resent_id = first;
    const struct answer *again =
        fixture_ok(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 1]]}", NULL);
    assert_int_equal(fixture_number(again, "messages"), 1);
    first = fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL)->ticket;
    f->resent_id = first;
    again = fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    assert_int_equal(fixture_number(again, "messages"), 2);
    again = fixture_ok(f, "DEAD.DROP", "{'group': 'g', 'all': true}", NULL);
    assert_int_equal(fixture_number(again, "messages"), 0);
    f->session = 6;
    fixture_error(f, ZSP_ENOT_FOUND, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 1]]}",
                  NULL);
}

static void a_resent_redrive_waits_for_the_first(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    bury(f);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t first =
        fixture_send(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 2]]}", NULL);
    fixture_pump(f);
    engine_abandon(f->engine, f->now, first);
    f->resent_id = first;
    const uint64_t again =
        fixture_send(f, "DEAD.REDRIVE", "{'group': 'g', 'runs': [['t', 0, 0, 2]]}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, again));
    go_on(f);
    assert_int_equal(fixture_number(fixture_answer(f, again), "messages"), 2);
    assert_string_equal(steps_part(f, "t", 0), "0 3 2 0 0 1");
}

static void another_session_with_that_id_is_another_request(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 2);
    const struct answer *first = steps_pull(f, 1);
    f->session = 6;
    f->resent_id = first->ticket;
    assert_string_equal(fixture_payloads(steps_pull(f, 4)), "m1");
}

static void a_resent_pull_whose_lease_is_over_is_a_pull_like_any_other(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 2);
    const struct answer *first = steps_pull(f, 1);
    steps_settle(f, 0, 1, first->lease, "'ack'");
    f->resent_id = first->ticket;
    const struct answer *again = steps_pull(f, 1);
    assert_string_equal(fixture_payloads(again), "m1");
    assert_int_not_equal(again->lease, first->lease);
    f->resent_id = first->ticket;
    assert_int_equal(steps_pull(f, 1)->lease, again->lease);
}

/* Goal: while the first still waits for its grant to be written, the second waits with it. */
static void a_pull_resent_while_the_first_is_granting_gets_its_lease(void **state)
{
    struct engine_fixture *f = *state;
    const unsigned waits[] = {0, 30000};
    for (size_t i = 0; i < 2; i++) {
        f->session = 5 + i;
        const uint64_t first = steps_wait(f, 10, 30000);
        fixture_pump(f);
        steps_publish(f, "t", 3);
        const struct answer *before = fixture_answer(f, first);
        assert_non_null(before);
        assert_int_equal(fixture_number(fixture_ok(f, "BYE", "{}", NULL), "released"), 3);
        mem_store_hold(f->mem, MEM_WRITES);
        const uint64_t granting = steps_wait(f, 10, 0);
        fixture_pump(f);
        assert_null(fixture_answer(f, granting));
        const uint64_t again = send_again(f, granting, waits[i]);
        fixture_pump(f);
        assert_null(fixture_answer(f, again));
        go_on(f);
        assert_null(fixture_answer(f, granting));
        const struct answer *answer = fixture_answer(f, again);
        assert_non_null(answer);
        assert_int_equal(steps_count(answer), 3);
        assert_string_equal(fixture_text(answer, "reason"), "end");
        assert_string_equal(steps_part(f, "t", 0),
                            fixture_format("%u %u 0 3 0 0", 3 * (unsigned)i, 3 + 3 * (unsigned)i));
        steps_settle(f, 3 * i, 3, answer->lease, "'ack'");
    }
}

/* Goal: nobody waits for the grant any more: its messages are there for others, uncounted. */
static void a_grant_that_nobody_waits_for_ends(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    steps_pull(f, 1);
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t granting = steps_wait(f, 10, 0);
    fixture_pump(f);
    const uint64_t again = send_again(f, granting, 0);
    engine_abandon(f->engine, f->now, again);
    go_on(f);
    assert_string_equal(steps_part(f, "t", 0), "0 3 2 1 0 0");
    assert_null(strstr(steps_pull(f, 10)->text, "deliveries"));
}

static void a_pull_resent_while_the_first_is_reading_gets_messages_once(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    const uint64_t first = begin_pull(f, 3, MEM_READS);
    fixture_pump(f);
    const uint64_t again = send_again(f, first, 30000);
    fixture_pump(f);
    go_on(f);
    assert_null(fixture_answer(f, first));
    assert_int_equal(steps_count(fixture_answer(f, again)), 3);
    assert_string_equal(steps_part(f, "t", 0), "0 3 0 3 0 0");
}

static void a_lease_that_is_ending_is_not_given_again(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    const struct answer *first = steps_pull(f, 3);
    engine_undelivered(f->engine, f->now, first->lease);
    f->resent_id = first->ticket;
    const struct answer *again = steps_pull(f, 3);
    assert_int_equal(steps_count(again), 3);
    assert_int_not_equal(again->lease, first->lease);
    f->resent_id = first->ticket;
    assert_int_equal(steps_pull(f, 3)->lease, again->lease);
}

/* Goal: a pull whose wait is over while it is at work is answered all the same, to who asks again. */
static void a_pull_whose_time_is_over_leaves_its_lease_to_the_one_sent_again(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t first = steps_wait(f, 10, 1000);
    fixture_pump(f);
    fixture_advance(f, 1000);
    const uint64_t again = send_again(f, first, 1000);
    fixture_pump(f);
    go_on(f);
    assert_null(fixture_answer(f, first));
    assert_string_equal(fixture_payloads(fixture_answer(f, again)), "m1 m2");
    assert_string_equal(steps_part(f, "t", 0), "1 3 0 2 0 0");
}

static void a_lease_that_ends_while_it_is_read_again_is_not_told(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 1);
    const struct answer *first = steps_pull(f, 1);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t again = send_again(f, first->ticket, 60000);
    fixture_pump(f);
    fixture_advance(f, 30000);
    go_on(f);
    const struct answer *answer = fixture_answer(f, again);
    assert_int_equal(steps_count(answer), 1);
    assert_int_not_equal(answer->lease, first->lease);
    assert_int_equal(fixture_number(answer, "lease_ms"), 30000);
}

/* Goal: a lease that was never told is not lost by anybody: its messages are as they were. */
static void a_lease_that_ends_before_it_is_told_counts_for_nothing(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'max_failures': 1}}", NULL);
    f->session = 5;
    steps_publish(f, "t", 1);
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_pump(f);
    fixture_advance(f, 30000);
    go_on(f);
    const struct answer *answer = fixture_answer(f, ticket);
    assert_int_equal(steps_count(answer), 1);
    assert_null(strstr(answer->text, "deliveries"));
    assert_int_equal(fixture_number(answer, "lease_ms"), 30000);
}

/* --- BYE ---------------------------------------------------------------------------------- */

static void bye_hands_everything_back_uncounted(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 6);
    f->session = 6;
    steps_pull(f, 1);
    f->session = 5;
    const uint64_t lease = steps_pull(f, 3)->lease;
    steps_settle(f, 1, 1, lease, "'started'");
    steps_settle(f, 2, 1, lease, "'ack'");
    steps_pull(f, 2);
    assert_int_equal(fixture_number(fixture_ok(f, "BYE", "{}", NULL), "released"), 4);
    assert_string_equal(steps_part(f, "t", 0), "0 6 4 1 0 0");
    assert_int_equal(fixture_number(fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL), "members"),
                     1);
    const struct answer *next = steps_pull(f, 10);
    assert_string_equal(fixture_payloads(next), "m1 m3 m4 m5");
    assert_null(strstr(next->text, "failures"));
}

static void bye_without_anything_releases_nothing(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    assert_int_equal(fixture_number(fixture_ok(f, "BYE", "{}", NULL), "released"), 0);
    assert_int_equal(fixture_number(fixture_ok(f, "BYE", "{}", NULL), "released"), 0);
    fixture_error(f, ZSP_EUNKNOWN_ARGUMENT, "BYE", "{'now': true}", NULL);
    fixture_error(f, ZSP_EBAD_TYPE, "BYE", "{'keep': 1}", NULL);
}

/* Goal: who passed its lease numbers on may leave without taking them away. */
static void bye_may_keep_the_leases(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    const uint64_t lease = steps_pull(f, 2)->lease;
    const uint64_t waiting = steps_wait(f, 1, 30000);
    fixture_pump(f);
    steps_settle(f, 2, 1, fixture_answer(f, waiting)->lease, "'ack'");
    assert_int_equal(fixture_number(fixture_ok(f, "BYE", "{'keep': true}", NULL), "released"), 0);
    f->session = 0;
    assert_int_equal(fixture_number(steps_settle(f, 0, 2, lease, "'ack'"), "applied"), 2);
}

static void bye_and_cancel_need_a_session(void **state)
{
    fixture_error(*state, ZSP_EHELLO_REQUIRED, "BYE", "{}", NULL);
    fixture_error(*state, ZSP_EHELLO_REQUIRED, "CANCEL", "{'request': 1}", NULL);
}

/* Goal: the answer means that a power cut does not take the messages back. */
static void bye_is_answered_when_it_is_durable(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    steps_pull(f, 3);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t bye = fixture_send(f, "BYE", "{}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, bye));
    f->session = 6;
    assert_int_equal(steps_count(steps_pull(f, 1)), 1); /* others need not wait for that */
    go_on(f);
    assert_int_equal(fixture_number(fixture_answer(f, bye), "released"), 3);
}

static void bye_over_many_steps_counts_all(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    for (int i = 0; i < 5; i++) {
        steps_publish(f, "t", 1000);
    }
    const uint64_t lease = steps_pull(f, 5000)->lease;
    for (uint64_t k = 0; k < 5; k++) {
        struct zsp_writer runs = {0};
        for (uint64_t i = 0; i < 500; i++) {
            const char *run = fixture_format("['t', 0, %" PRIu64 ", 1, %" PRIu64 ", 'ack'], ",
                                             k * 1000 + i * 2, lease);
            zsp_write_bytes(&runs, zsp_slice_str(run));
        }
        zsp_write_u8(&runs, 0);
        char *args = calloc(1, runs.len + 64);
        assert_non_null(args);
        (void)snprintf(args, runs.len + 64, "{'group': 'g', 'runs': [%s]}", (char *)runs.data);
        fixture_ok(f, "SETTLE", args, NULL);
        free(args);
        zsp_writer_fini(&runs);
    }
    const uint64_t bye = fixture_send(f, "BYE", "{}", NULL);
    for (int i = 0; i < 10 && !fixture_answer(f, bye); i++) {
        fixture_advance(f, 1);
    }
    assert_int_equal(fixture_number(fixture_answer(f, bye), "released"), 2500);
    assert_string_equal(steps_part(f, "t", 0), "1 5000 2500 0 0 0");
}

/* Goal: without room for the record the client is told, and the messages come back later. */
static void bye_without_room_in_the_journal_says_so(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    steps_pull(f, 3);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    const struct answer *answer = fixture_error(f, ZSP_ENO_SPACE, "BYE", "{}", NULL);
    assert_true(answer->error.maybe);
    fixture_advance(f, 1500);
    assert_string_equal(steps_part(f, "t", 0), "0 3 3 0 0 0");
}

static void bye_ends_what_is_parked_before_it_is_answered(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    const uint64_t pull = steps_wait(f, 10, 30000);
    const uint64_t read =
        fixture_send(f, "READ", "{'topic': 't', 'from': 'latest', 'wait_ms': 30000}", NULL);
    fixture_pump(f);
    const uint64_t bye = fixture_send(f, "BYE", "{}", NULL);
    fixture_pump(f);
    assert_string_equal(fixture_text(fixture_answer(f, pull), "reason"), "cancelled");
    assert_string_equal(fixture_text(fixture_answer(f, read), "reason"), "cancelled");
    assert_int_equal(f->answers[f->answer_count - 1]->ticket, bye);
    steps_publish(f, "t", 1);
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
}

/* --- CANCEL -------------------------------------------------------------------------------- */

static bool cancel(struct engine_fixture *f, uint64_t request)
{
    const struct answer *answer =
        fixture_ok(f, "CANCEL", fixture_format("{'request': %" PRIu64 "}", request), NULL);
    return strcmp(fixture_value(answer, "cancelled"), "true") == 0;
}

static void a_cancelled_pull_is_answered_empty_and_first(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    const uint64_t pull = steps_wait(f, 10, 30000);
    const uint64_t other = steps_wait(f, 10, 30000);
    fixture_pump(f);
    assert_true(cancel(f, pull));
    assert_int_equal(f->answers[f->answer_count - 2]->ticket, pull);
    assert_string_equal(fixture_answer(f, pull)->text,
                        fixture_format("[1, \"OK\", %" PRIu64 ", {\"runs\": [], \"lease_ms\": 0, "
                                       "\"reason\": \"cancelled\"}]",
                                       pull));
    assert_false(cancel(f, pull));
    assert_null(fixture_answer(f, other));
    steps_publish(f, "t", 2);
    assert_int_equal(steps_count(fixture_answer(f, other)), 2);
    assert_false(cancel(f, other));
}

static void another_sessions_pull_is_not_cancelled(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    const uint64_t pull = steps_wait(f, 10, 30000);
    f->session = 6;
    assert_false(cancel(f, pull));
    assert_null(fixture_answer(f, pull));
    fixture_error(f, ZSP_EBAD_VALUE, "CANCEL", "{'request': 0}", NULL);
    fixture_error(f, ZSP_EBAD_VALUE, "CANCEL", "{}", NULL);
    fixture_error(f, ZSP_EBAD_TYPE, "CANCEL", "{'request': 'all'}", NULL);
}

/* Goal: a pull that is at work is answered at once; what it had gets back, uncounted. */
static void a_pull_at_work_is_cancelled_too(void **state)
{
    struct engine_fixture *f = *state;
    const unsigned works[] = {MEM_READS, MEM_WRITES};
    f->session = 5;
    steps_publish(f, "t", 3);
    steps_settle(f, 0, 1, steps_pull(f, 1)->lease, "'ack'");
    for (size_t i = 0; i < 2; i++) {
        mem_store_hold(f->mem, works[i]);
        const uint64_t pull = steps_wait(f, 10, 30000);
        fixture_pump(f);
        assert_null(fixture_answer(f, pull));
        assert_true(cancel(f, pull));
        assert_string_equal(fixture_text(fixture_answer(f, pull), "reason"), "cancelled");
        go_on(f);
        assert_string_equal(steps_part(f, "t", 0), "1 3 2 0 0 0");
    }
    assert_null(strstr(steps_pull(f, 10)->text, "deliveries"));
}

/* Goal: the lease that an earlier answer told of is not taken for one that nobody was told of. */
static void a_cancelled_repeat_leaves_the_lease_alone(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    const uint64_t old = steps_pull(f, 1)->lease;
    const struct answer *first = steps_pull(f, 2);
    mem_store_hold(f->mem, MEM_SYNCS);
    f->resent_id = first->ticket;
    const uint64_t again = fixture_send(
        f, "PULL",
        fixture_format("{'group': 'g', 'topics': ['t'], 'max_messages': 2, 'wait_ms': 9000, "
                       "'settle': [['t', 0, 0, 1, %" PRIu64 ", 'ack']]}",
                       old),
        NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, again)); /* its outcomes are not durable yet */
    assert_true(cancel(f, first->ticket));
    go_on(f);
    assert_string_equal(fixture_text(fixture_answer(f, again), "reason"), "cancelled");
    assert_string_equal(steps_part(f, "t", 0), "1 3 0 2 0 0");
    assert_int_equal(fixture_number(steps_settle(f, 1, 2, first->lease, "'ack'"), "applied"), 2);
}

static void a_cancelled_read_gets_nothing_and_may_go_on_where_it_began(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    steps_publish(f, "t", 3);
    const uint64_t waiting =
        fixture_send(f, "READ", "{'topic': 't', 'from': 'latest', 'wait_ms': 30000}", NULL);
    fixture_pump(f);
    assert_true(cancel(f, waiting));
    assert_int_equal(fixture_number(fixture_answer(f, waiting), "next"), 3);
    mem_store_hold(f->mem, MEM_READS);
    const uint64_t reading = fixture_send(f, "READ", "{'topic': 't', 'from': ['offset', 1]}", NULL);
    const uint64_t locating = fixture_send(f, "READ", "{'topic': 't', 'from': ['time', 5]}", NULL);
    fixture_pump(f);
    assert_true(cancel(f, reading));
    assert_true(cancel(f, locating));
    assert_int_equal(fixture_number(fixture_answer(f, reading), "next"), 1);
    assert_string_equal(fixture_text(fixture_answer(f, reading), "reason"), "cancelled");
    assert_int_equal(fixture_number(fixture_answer(f, locating), "next"), 0);
    go_on(f);
    assert_false(engine_busy(f->engine));
}

/* --- Silence --------------------------------------------------------------------------------- */

/* Goal: silence is a lost lease: the marked message is to blame, the others are not. */
static void the_leases_of_a_silent_session_are_lost(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'max_failures': 1}}", NULL);
    steps_publish(f, "t", 5);
    f->session = 6;
    steps_pull(f, 1);
    f->session = 5;
    const uint64_t lease = steps_pull(f, 4)->lease;
    steps_settle(f, 2, 1, lease, "'started'");
    engine_session_end(f->engine, f->now, 5, ENGINE_SESSION_SILENT);
    fixture_pump(f);
    assert_string_equal(steps_part(f, "t", 0), "0 5 3 1 0 1");
    assert_string_equal(fixture_value(steps_settle(f, 1, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 1, 1, \"lost\"]]");
}

static void a_silent_session_halves_what_it_had_not_begun(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 8);
    f->session = 5;
    steps_pull(f, 8);
    engine_session_end(f->engine, f->now, 5, ENGINE_SESSION_SILENT);
    fixture_pump(f);
    f->session = 6;
    assert_int_equal(steps_count(steps_pull(f, 8)), 4);
}

/* Goal: a grant that the silent session was never told of blames nobody. */
static void a_grant_under_way_is_not_blamed_for_silence(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'max_failures': 1}}", NULL);
    steps_publish(f, "t", 1);
    f->session = 5;
    mem_store_hold(f->mem, MEM_WRITES);
    steps_wait(f, 10, 0);
    fixture_pump(f);
    engine_session_end(f->engine, f->now, 5, ENGINE_SESSION_SILENT);
    go_on(f);
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
}

/* --- Many leases ---------------------------------------------------------------------------- */

#define LEASES 800

/* So many messages, each under a lease of session 7. Returns the first one. */
static uint64_t lease_each(struct engine_fixture *f)
{
    steps_publish(f, "t", LEASES);
    f->session = 7;
    const uint64_t first = steps_pull(f, 1)->lease;
    for (int i = 1; i < LEASES; i++) {
        (void)steps_pull(f, 1);
    }
    f->session = 0;
    assert_int_equal(f->engine->groups->leases.count, LEASES);
    return first;
}

/* Goal: no turn judges all leases of a session that goes. Method: those that are left after each millisecond. */
static void leases_of_who_goes_are_given_back_in_turns(void **state)
{
    struct engine_fixture *f = *state;
    (void)lease_each(f);
    f->session = 7;
    const uint64_t ticket = fixture_send(f, "BYE", "{}", NULL);
    f->session = 0;
    for (size_t left = LEASES; left > 0;) {
        fixture_pump(f);
        const size_t now = f->engine->groups->leases.count;
        assert_in_range(left - now, 1, ZSP_LEASE_END_WORK / 4);
        assert_true(now == 0 || !fixture_answer(f, ticket));
        left = now;
        fixture_advance(f, 1);
    }
    assert_int_equal(fixture_number(fixture_answer(f, ticket), "released"), LEASES);
    assert_int_equal(steps_count(steps_pull(f, 1000)), LEASES);
}

/* Goal: what waits to be given back is nobody's: it is not settled any more, and not handed out yet. */
static void what_is_to_be_given_back_is_lost_at_once(void **state)
{
    struct engine_fixture *f = *state;
    const uint64_t lease = lease_each(f);
    engine_session_end(f->engine, f->now, 7, ENGINE_SESSION_SILENT);
    fixture_pump(f);
    assert_string_equal(fixture_value(steps_settle(f, 0, 1, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 0, 1, \"lost\"]]");
    const uint64_t some = steps_count(steps_pull(f, LEASES));
    assert_in_range(some, 1, ZSP_LEASE_END_WORK / 4);
    fixture_advance(f, 1);
    fixture_restart(f, MEM_KEEP_WRITTEN);
    fixture_advance(f, 60000);
    assert_int_equal(f->engine->groups->leases.count, 0);
    assert_string_equal(steps_part(f, "t", 0), "0 800 800 0 0 0");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_resent_pull_gets_the_same_lease),
        TEST(a_resent_redrive_or_drop_is_told_the_first_answer),
        TEST(a_resent_redrive_waits_for_the_first),
        TEST(another_session_with_that_id_is_another_request),
        TEST(a_resent_pull_whose_lease_is_over_is_a_pull_like_any_other),
        TEST(a_pull_resent_while_the_first_is_granting_gets_its_lease),
        TEST(a_grant_that_nobody_waits_for_ends),
        TEST(a_pull_resent_while_the_first_is_reading_gets_messages_once),
        TEST(a_lease_that_is_ending_is_not_given_again),
        TEST(a_pull_whose_time_is_over_leaves_its_lease_to_the_one_sent_again),
        TEST(a_lease_that_ends_while_it_is_read_again_is_not_told),
        TEST(a_lease_that_ends_before_it_is_told_counts_for_nothing),
        TEST(bye_hands_everything_back_uncounted),
        TEST(bye_without_anything_releases_nothing),
        TEST(bye_may_keep_the_leases),
        TEST(bye_and_cancel_need_a_session),
        TEST(bye_is_answered_when_it_is_durable),
        TEST(bye_over_many_steps_counts_all),
        TEST(bye_without_room_in_the_journal_says_so),
        TEST(bye_ends_what_is_parked_before_it_is_answered),
        TEST(a_cancelled_pull_is_answered_empty_and_first),
        TEST(another_sessions_pull_is_not_cancelled),
        TEST(a_pull_at_work_is_cancelled_too),
        TEST(a_cancelled_repeat_leaves_the_lease_alone),
        TEST(a_cancelled_read_gets_nothing_and_may_go_on_where_it_began),
        TEST(the_leases_of_a_silent_session_are_lost),
        TEST(leases_of_who_goes_are_given_back_in_turns),
        TEST(what_is_to_be_given_back_is_lost_at_once),
        TEST(a_silent_session_halves_what_it_had_not_begun),
        TEST(a_grant_under_way_is_not_blamed_for_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
