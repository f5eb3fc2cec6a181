/* SPDX-License-Identifier: MPL-2.0
 *
 * COMMIT: publishes and outcomes that hold together, once, whatever happens between.
 */
#include <inttypes.h>

#include "common/limits.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

#define OPEN   "{'producer': 'p'}"
#define A      "{'topic': 'a'}"
#define AB     "{'topic': 'a'}, {'topic': 'b'}"
#define BODY   "[[b'x']]"
#define BODIES "[[b'x']]|[[b'y']]"

static enum fixture_store store_kind;

static int set_up(void **state)
{
    struct engine_fixture *const f = fixture_new(store_kind);
    *state = f;
    fixture_ok(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_ok(f, "TOPIC.CREATE", A, NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'b'}", NULL);
    return 0;
}

/* Arguments of a commit of producer p in epoch 1. `settle` NULL = none, else sruns of group g. */
static const char *commit(unsigned seq, const char *publish, const char *settle)
{
    const char *outcomes =
        settle ? fixture_format(", 'settle': {'group': 'g', 'runs': [%s]}", settle) : "";
    return fixture_format("{'producer': 'p', 'epoch': 1, 'seq': %u, 'publish': [%s]%s}", seq,
                          publish, outcomes);
}

static const char *outcomes_alone(unsigned seq, const char *settle)
{
    return fixture_format(
        "{'producer': 'p', 'epoch': 1, 'seq': %u, 'settle': {'group': 'g', 'runs': [%s]}}", seq,
        settle);
}

static const char *ack(uint64_t first, uint64_t count, uint64_t lease)
{
    return fixture_format("['t', 0, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", 'ack']", first, count,
                          lease);
}

static uint64_t end_of(struct engine_fixture *f, const char *topic)
{
    return fixture_number(
        fixture_ok(f, "READ", fixture_format("{'topic': '%s', 'from': 'earliest'}", topic), NULL),
        "end");
}

static const char *payloads_of(struct engine_fixture *f, const char *topic)
{
    return fixture_payloads(
        fixture_ok(f, "READ", fixture_format("{'topic': '%s', 'from': 'earliest'}", topic), NULL));
}

/* A lease on the first `count` messages of topic t for group g. */
static uint64_t lease_on(struct engine_fixture *f, unsigned count)
{
    steps_publish(f, "t", count);
    return steps_pull(f, count)->lease;
}

/* --- what it does ---------------------------------------------------------------------- */

static void it_publishes_to_several_topics_and_settles(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", "{'topic': 'b'}", BODY);
    const uint64_t lease = lease_on(f, 3);
    const struct answer *const a =
        fixture_ok(f, "COMMIT", commit(1, AB, ack(0, 2, lease)), "[[b'x'], [b'z']]|[[b'y']]");
    assert_string_equal(fixture_value(a, "at"), "[[[0, 2, 0, 0, false]], [[0, 1, 0, 1, false]]]");
    assert_int_equal(fixture_number(a, "applied"), 2);
    assert_string_equal(fixture_value(a, "duplicate"), "false");
    assert_string_equal(payloads_of(f, "a"), "x z");
    assert_string_equal(payloads_of(f, "b"), "x y");
    assert_string_equal(steps_part(f, "t", 0), "2 3 0 1 0 0");
}

static void every_final_outcome_can_be_part_of_it(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 4);
    const char *const runs = fixture_format(
        "['t', 0, 0, 1, %" PRIu64 ", 'ack'], ['t', 0, 1, 1, %" PRIu64
        ", 'retry', {'delay_ms': 50}], ['t', 0, 2, 1, %" PRIu64 ", 'release'], ['t', 0, 3, 1, "
        "%" PRIu64 ", 'reject', {'reason': 'bad'}]",
        lease, lease, lease, lease);
    assert_int_equal(fixture_number(fixture_ok(f, "COMMIT", commit(1, A, runs), BODY), "applied"),
                     4);
    assert_string_equal(steps_part(f, "t", 0), "1 4 1 0 1 1");
}

static void it_may_settle_alone_or_publish_alone(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 1);
    const struct answer *const a =
        fixture_ok(f, "COMMIT", outcomes_alone(1, ack(0, 1, lease)), NULL);
    assert_string_equal(fixture_value(a, "at"), "[]");
    fixture_ok(f, "COMMIT", commit(2, A, NULL), BODY);
    assert_string_equal(steps_part(f, "t", 0), "1 1 0 0 0 0");
}

static void keys_are_routed_as_in_a_publish(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'four', 'partitions': 4}", NULL);
    const char *const body = "[[b'0', b'k0'], [b'1', b'k1'], [b'2', b'k2'], [b'3', b'k0']]";
    const struct answer *const p = fixture_ok(f, "PUBLISH", "{'topic': 'four'}", body);
    char published[512];
    (void)snprintf(published, sizeof published, "[%s]", fixture_value(p, "at"));
    fixture_ok(f, "TOPIC.DELETE", "{'topic': 'four'}", NULL);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'four', 'partitions': 4}", NULL);
    const struct answer *const c =
        fixture_ok(f, "COMMIT", commit(1, "{'topic': 'four'}", NULL), body);
    assert_string_equal(fixture_value(c, "at"), published);
}

/* Goal: an urgent message of a commit comes first, also over a restart. */
static void priority_and_delay_hold_as_in_a_publish(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", A, "[[b'usual']]");
    fixture_ok(f, "COMMIT",
               commit(1,
                      "{'topic': 'a', 'priority': 9}, {'topic': 'a', 'not_before_ms': "
                      "9000000000000}",
                      NULL),
               "[[b'urgent']]|[[b'later']]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *const a =
        fixture_ok(f, "PULL", "{'group': 'h', 'topics': ['a'], 'max_messages': 10}", NULL);
    assert_string_equal(fixture_payloads(a), "urgent usual");
}

static void a_missing_topic_is_made_before(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a = fixture_ok(
        f, "COMMIT", commit(1, "{'topic': 'new'}, {'topic': 'newer'}, {'topic': 'new'}", NULL),
        "[[b'x']]|[[b'y']]|[[b'z']]");
    assert_string_equal(fixture_value(a, "at"),
                        "[[[0, 1, 0, 0, false]], [[0, 1, 0, 0, false]], [[0, 1, 0, 1, false]]]");
    assert_string_equal(payloads_of(f, "new"), "x z");
}

static void a_missing_topic_is_refused_when_none_may_be_made(void **state)
{
    struct engine_fixture *const f = *state;
    f->options.auto_create_topics = false;
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *const a = fixture_error(
        f, ZSP_ENOT_FOUND, "COMMIT", commit(1, "{'topic': 'a'}, {'topic': 'none'}", NULL), BODIES);
    assert_false(a->error.maybe);
    assert_int_equal(end_of(f, "a"), 0);
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY); /* the sequence was not used */
}

/* Goal: no topic is left behind that the commit could never have used. */
static void a_missing_topic_is_not_made_for_other_partitions(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_error(f, ZSP_EWOULD_REORDER, "COMMIT",
                  commit(1, "{'topic': 'new', 'partitions': 7}", NULL), BODY);
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", "{'topic': 'new'}", NULL);
}

/* --- together or not at all --------------------------------------------------------------- */

static void one_lost_lease_refuses_the_whole(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 3);
    const char *const runs = fixture_format("%s, %s", ack(0, 1, lease), ack(1, 2, lease + 1));
    const struct answer *const a =
        fixture_error(f, ZSP_ENOT_LEASED, "COMMIT", commit(1, AB, runs), BODIES);
    assert_string_equal(a->error.object, "t/0/1");
    assert_false(a->error.maybe);
    assert_int_equal(end_of(f, "a"), 0);
    assert_int_equal(end_of(f, "b"), 0);
    assert_string_equal(steps_part(f, "t", 0), "0 3 0 3 0 0");
    fixture_ok(f, "COMMIT", commit(1, AB, ack(0, 3, lease)), BODIES);
}

static void one_full_topic_refuses_the_whole(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.SET", "{'topic': 'b', 'settings': {'max_topic_bytes': 200}}", NULL);
    fixture_ok(f, "COMMIT", commit(1, AB, NULL), BODIES);
    const struct answer *const a =
        fixture_error(f, ZSP_ETOPIC_FULL, "COMMIT", commit(2, AB, NULL), BODIES);
    assert_false(a->error.maybe);
    assert_int_equal(end_of(f, "a"), 1);
    fixture_ok(f, "TOPIC.SET", "{'topic': 'b', 'settings': {'max_topic_bytes': null}}", NULL);
    fixture_ok(f, "COMMIT", commit(2, AB, NULL), BODIES);
}

static void what_is_settled_already_cannot_be_committed(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 2);
    steps_settle(f, 1, 1, lease, "'ack'");
    fixture_error(f, ZSP_ENOT_LEASED, "COMMIT", commit(1, A, ack(0, 2, lease)), BODY);
    fixture_error(f, ZSP_ENOT_LEASED, "COMMIT", commit(1, A, ack(5, 1, lease)), BODY);
    fixture_ok(f, "COMMIT", commit(1, A, ack(0, 1, lease)), BODY);
    assert_int_equal(end_of(f, "a"), 1);
}

static void a_lease_that_ended_by_time_is_not_live(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 1);
    fixture_advance(f, (int64_t)ZSP_LEASE_MS + (int64_t)ZSP_STALL_GRACE_MS + 1000);
    fixture_error(f, ZSP_ENOT_LEASED, "COMMIT", commit(1, A, ack(0, 1, lease)), BODY);
    assert_int_equal(end_of(f, "a"), 0);
}

static void a_group_that_is_not_there_refuses_the_whole(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_error(f, ZSP_ENOT_FOUND, "COMMIT", commit(1, A, ack(0, 1, 7)), BODY);
    assert_int_equal(end_of(f, "a"), 0);
}

/* Goal: nothing of it is seen before the sync, all of it with the confirm. */
static void it_is_seen_when_it_is_confirmed(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 1);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "COMMIT", commit(1, AB, ack(0, 1, lease)), BODIES);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    assert_int_equal(end_of(f, "a"), 0);
    assert_int_equal(end_of(f, "b"), 0);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    assert_int_equal(end_of(f, "a"), 1);
    assert_int_equal(end_of(f, "b"), 1);
}

static void a_parked_pull_is_served_by_it(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t pull =
        fixture_send(f, "PULL", "{'group': 'h', 'topics': ['a'], 'wait_ms': 5000}", NULL);
    fixture_pump(f);
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
    assert_string_equal(fixture_payloads(fixture_answer(f, pull)), "x");
}

static void a_topic_deleted_meanwhile_refuses_the_whole(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_send(f, "PUBLISH", A, BODY); /* the commit waits for its sync */
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "COMMIT", commit(1, AB, NULL), BODIES);
    const uint64_t gone = fixture_send(f, "TOPIC.DELETE", "{'topic': 'b'}", NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, gone)->code, 0);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENOT_FOUND);
    assert_false(fixture_answer(f, ticket)->error.maybe);
    assert_int_equal(end_of(f, "a"), 1);
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
}

static void a_full_journal_refuses_it(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 1);
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_pump(f);
    const uint64_t ticket = fixture_send(f, "COMMIT", commit(1, A, ack(0, 1, lease)), BODY);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ENO_SPACE);
    assert_false(fixture_answer(f, ticket)->error.maybe);
    mem_store_hold(f->mem, 0);
    fixture_ok(f, "COMMIT", commit(1, A, ack(0, 1, lease)), BODY);
    assert_int_equal(end_of(f, "a"), 1);
}

/* --- once ------------------------------------------------------------------------------------- */

static void sent_again_it_gets_the_first_answer(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 1);
    const char *const args = commit(1, AB, ack(0, 1, lease));
    char first[2048];
    (void)snprintf(first, sizeof first, "%s",
                   fixture_value(fixture_ok(f, "COMMIT", args, BODIES), "at"));
    for (int i = 0; i < 2; i++) {
        const struct answer *const a =
            fixture_ok(f, "COMMIT", commit(1, AB, ack(0, 1, lease)), BODIES);
        assert_string_equal(fixture_value(a, "at"), first);
        assert_int_equal(fixture_number(a, "applied"), 1);
        assert_string_equal(fixture_value(a, "duplicate"), "true");
        assert_int_equal(end_of(f, "a"), 1);
        fixture_restart(f, i == 0 ? MEM_KEEP_SYNCED : MEM_KEEP_WRITTEN);
    }
    fixture_ok(f, "COMMIT", commit(2, A, NULL), BODY);
}

static void a_repetition_waits_for_the_first_one(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t first = fixture_send(f, "COMMIT", commit(1, A, NULL), BODY);
    const uint64_t second = fixture_send(f, "COMMIT", commit(1, A, NULL), BODY);
    fixture_pump(f);
    assert_null(fixture_answer(f, second));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, first), "duplicate"), "false");
    assert_string_equal(fixture_value(fixture_answer(f, second), "duplicate"), "true");
    assert_string_equal(fixture_value(fixture_answer(f, second), "at"), "[[[0, 1, 0, 0, false]]]");
    assert_int_equal(end_of(f, "a"), 1);
}

static void old_answers_are_forgotten_but_not_the_fact(void **state)
{
    struct engine_fixture *const f = *state;
    for (unsigned seq = 1; seq <= ZSP_COMMIT_WINDOW + 1; seq++) {
        fixture_ok(f, "COMMIT", commit(seq, A, NULL), BODY);
    }
    for (int i = 0; i < 2; i++) {
        const struct answer *a = fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
        assert_string_equal(fixture_value(a, "at"), "nil");
        assert_string_equal(fixture_value(a, "duplicate"), "true");
        a = fixture_ok(f, "COMMIT", commit(2, A, NULL), BODY);
        assert_string_equal(fixture_value(a, "at"), "[[[0, 1, 0, 1, false]]]");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
    assert_int_equal(end_of(f, "a"), ZSP_COMMIT_WINDOW + 1);
}

static void a_gap_is_refused(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a =
        fixture_error(f, ZSP_ESEQUENCE_GAP, "COMMIT", commit(2, A, NULL), BODY);
    assert_string_equal(a->error.wanted, "1");
    assert_string_equal(a->error.got, "2");
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
}

/* Goal: a refused commit takes along those that were sent behind it, and they are free again. */
static void what_follows_a_refused_one_is_refused(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t first = fixture_send(f, "COMMIT", commit(1, A, ack(0, 1, 7)), BODY);
    const uint64_t second = fixture_send(f, "COMMIT", commit(2, A, NULL), BODY);
    const uint64_t third = fixture_send(f, "COMMIT", commit(3, A, NULL), BODY);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, first)->code, ZSP_ENOT_FOUND);
    assert_int_equal(fixture_answer(f, second)->code, ZSP_ESEQUENCE_GAP);
    assert_int_equal(fixture_answer(f, third)->code, ZSP_ESEQUENCE_GAP);
    assert_int_equal(end_of(f, "a"), 0);
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
}

static void many_on_their_way_keep_their_order(void **state)
{
    struct engine_fixture *const f = *state;
    uint64_t tickets[8];
    for (unsigned i = 0; i < 8; i++) {
        tickets[i] = fixture_send(f, "COMMIT", commit(i + 1, i % 3 == 0 ? A : AB, NULL),
                                  i % 3 == 0 ? fixture_format("[[b'%u']]", i)
                                             : fixture_format("[[b'%u']]|[[b'%u']]", i, i));
    }
    fixture_pump(f);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(fixture_answer(f, tickets[i])->code, 0);
    }
    assert_string_equal(payloads_of(f, "a"), "0 1 2 3 4 5 6 7");
    assert_string_equal(payloads_of(f, "b"), "1 2 4 5 7");
}

/* Goal: more on their way than answers are remembered: each gets its own. */
static void more_on_their_way_than_are_remembered_all_get_their_answer(void **state)
{
    struct engine_fixture *const f = *state;
    uint64_t tickets[3 * ZSP_COMMIT_WINDOW];
    const unsigned count = sizeof tickets / sizeof tickets[0];
    const uint64_t lease = lease_on(f, count);
    mem_store_hold(f->mem, MEM_SYNCS);
    for (unsigned i = 0; i < count; i++) {
        tickets[i] = fixture_send(f, "COMMIT", outcomes_alone(i + 1, ack(i, 1, lease)), NULL);
    }
    const uint64_t again = fixture_send(f, "COMMIT", outcomes_alone(1, ack(0, 1, lease)), NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    for (unsigned i = 0; i < count; i++) {
        assert_string_equal(fixture_value(fixture_answer(f, tickets[i]), "at"), "[]");
        assert_int_equal(fixture_number(fixture_answer(f, tickets[i]), "applied"), 1);
    }
    assert_string_equal(fixture_value(fixture_answer(f, again), "at"), "[]");
}

/* --- producers ---------------------------------------------------------------------------------- */

static void a_new_epoch_fences_it_and_tells_where_it_stopped(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
    const struct answer *const open = fixture_ok(f, "PRODUCER.OPEN", OPEN, NULL);
    assert_int_equal(fixture_number(open, "epoch"), 2);
    assert_int_equal(fixture_number(open, "commit"), 1);
    fixture_error(f, ZSP_EFENCED_PRODUCER, "COMMIT", commit(2, A, NULL), BODY);
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(fixture_number(fixture_ok(f, "PRODUCER.INFO", OPEN, NULL), "commit"), 1);
    fixture_ok(f, "COMMIT", "{'producer': 'p', 'epoch': 2, 'seq': 2, 'publish': [{'topic': 'a'}]}",
               BODY);
}

/* Goal: an OPEN waits for a commit that is on its way, so that what it tells is final. */
static void an_open_waits_for_commits_on_their_way(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "COMMIT", commit(1, A, NULL), BODY);
    fixture_pump(f);
    const uint64_t open = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, open));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    assert_int_equal(fixture_number(fixture_answer(f, open), "commit"), 1);
}

/* Goal: also when the new epoch is durable before the commit, which was begun under the older one. */
static void an_open_that_overtakes_a_commit_waits_for_it(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "COMMIT", commit(1, A, NULL), BODY);
    const uint64_t open = fixture_send(f, "PRODUCER.OPEN", OPEN, NULL);
    fixture_pump(f);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_OK);
    assert_int_equal(fixture_number(fixture_answer(f, open), "commit"), 1);
}

static void an_unknown_producer_is_told_so(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_error(f, ZSP_ENOT_FOUND, "COMMIT",
                  "{'producer': 'q', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a'}]}", BODY);
}

/* Goal: a name that expired begins anew, and nothing of its commits is left in the journal. */
static void an_expired_producer_leaves_nothing(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'e', 'ephemeral': true}", NULL);
    fixture_ok(f, "COMMIT", "{'producer': 'e', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a'}]}",
               BODY);
    fixture_advance(f, 3 * (int64_t)ZSP_EPHEMERAL_EXPIRE_MS);
    const struct answer *const a =
        fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'e', 'ephemeral': true}", NULL);
    assert_int_equal(fixture_number(a, "commit"), 0);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "COMMIT", "{'producer': 'e', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a'}]}",
               BODY);
}

/* --- wrong use ------------------------------------------------------------------------------------ */

static void each_wrong_use_has_its_error(void **state)
{
    struct engine_fixture *const f = *state;
    static const struct {
        int code;
        const char *args;
        const char *bodies;
    } cases[] = {
        {ZSP_EBAD_VALUE, "{'producer': 'p', 'epoch': 1, 'seq': 1}", NULL},
        {ZSP_EBAD_VALUE, "{'producer': 'p', 'epoch': 1, 'publish': [{'topic': 'a'}]}", BODY},
        {ZSP_EBAD_VALUE, "{'producer': 'p', 'epoch': 1, 'seq': 0, 'publish': [{'topic': 'a'}]}",
         BODY},
        {ZSP_EBAD_VALUE, "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': []}", NULL},
        {ZSP_EBAD_REQUEST, "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a'}]}",
         NULL},
        {ZSP_EBAD_REQUEST, "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a'}]}",
         BODIES},
        {ZSP_EBAD_TYPE, "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [1]}", BODY},
        {ZSP_EBAD_NAME, "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': '.a'}]}",
         BODY},
        {ZSP_EUNKNOWN_ARGUMENT,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a', 'seq': 1}]}", BODY},
        {ZSP_EUNKNOWN_ARGUMENT,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a', 'level': 'synced'}]}",
         BODY},
        {ZSP_EBAD_VALUE,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a', 'priority': 10}]}",
         BODY},
        {ZSP_EBAD_VALUE,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a', 'not_before_ms': 7, "
         "'expires_at_ms': 7}]}",
         BODY},
        {ZSP_EBAD_VALUE,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'level': 'written', 'publish': [{'topic': "
         "'a'}]}",
         BODY},
        {ZSP_ECOUNT_MISMATCH,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a', 'count': 2}]}", BODY},
        {ZSP_ENOT_FOUND,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a', 'partition': 3}]}",
         BODY},
        {ZSP_EWOULD_REORDER,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'a', 'partitions': 3}]}",
         BODY},
        {ZSP_EBAD_VALUE,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'settle': {'group': 'g', 'runs': [['t', 0, 0, 1, "
         "7, 'started']]}}",
         NULL},
        {ZSP_EBAD_VALUE,
         "{'producer': 'p', 'epoch': 1, 'seq': 1, 'settle': {'group': 'g', 'runs': []}}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer *const a = fixture_call(f, "COMMIT", cases[i].args, cases[i].bodies);
        if (a->code != cases[i].code) {
            fail_msg("case %zu: %s", i, a->text);
        }
        assert_false(a->error.maybe);
    }
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY); /* none of them took the sequence */
}

/* Goal: however its records are mixed, a commit is taken, and its answer stays small. */
static void many_rows_become_one_for_each_partition(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'many', 'partitions': 2}", NULL);
    struct zsp_writer body = {0};
    for (unsigned i = 0; i < 4 * ZSP_COMMIT_ROWS_MAX; i++) { /* it turns about half of the times */
        const char *const key = fixture_format("key%u", i);
        wire_write_array(&body, 2);
        wire_write_bin(&body, zsp_slice_str("x"));
        wire_write_bin(&body, zsp_slice_str(key));
    }
    for (int i = 0; i < 2; i++) {
        const uint64_t ticket = fixture_send_bytes(
            f, "COMMIT", commit(1, "{'topic': 'many'}", NULL), zsp_writer_slice(&body));
        fixture_pump(f);
        const msgpack_object *const at = wire_map_find(fixture_answer(f, ticket)->map, "at");
        const msgpack_object_array *const rows = &at->via.array.ptr[0].via.array;
        assert_int_equal(rows->size, 2);
        const uint64_t counts[] = {rows->ptr[0].via.array.ptr[1].via.u64,
                                   rows->ptr[1].via.array.ptr[1].via.u64};
        assert_int_equal(counts[0] + counts[1], 4 * ZSP_COMMIT_ROWS_MAX);
        assert_int_equal(rows->ptr[0].via.array.ptr[0].via.u64, 0);
        assert_true(rows->ptr[1].via.array.ptr[0].via.u64 > 0);
    }
    zsp_writer_fini(&body);
}

/* --- failures and restarts ------------------------------------------------------------------------- */

static void a_failed_sync_leaves_it_in_doubt(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 1);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t ticket = fixture_send(f, "COMMIT", commit(1, AB, ack(0, 1, lease)), BODIES);
    fixture_pump(f);
    mem_store_fail_next_sync(f->mem);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ESTORAGE_FAILED);
    assert_true(fixture_answer(f, ticket)->error.maybe);
}

/* Goal: after a crash the same request again ends in the same state, whether the first one
 * had got through or not. */
static void after_a_crash_it_is_there_once(void **state)
{
    struct engine_fixture *const f = *state;
    const uint64_t lease = lease_on(f, 2);
    for (int kept = 0; kept < 2; kept++) {
        mem_store_hold(f->mem, MEM_SYNCS);
        fixture_send(f, "COMMIT", commit((unsigned)kept + 1, AB, ack((uint64_t)kept, 1, lease)),
                     BODIES);
        fixture_pump(f);
        fixture_restart(f, kept == 0 ? MEM_KEEP_SYNCED : MEM_KEEP_WRITTEN);
        const struct answer *const a = fixture_ok(
            f, "COMMIT", commit((unsigned)kept + 1, AB, ack((uint64_t)kept, 1, lease)), BODIES);
        assert_string_equal(fixture_value(a, "duplicate"), kept == 0 ? "false" : "true");
        assert_int_equal(end_of(f, "a"), (uint64_t)kept + 1);
        assert_int_equal(end_of(f, "b"), (uint64_t)kept + 1);
    }
    assert_string_equal(steps_part(f, "t", 0), "2 2 0 0 0 0");
}

static void images_of_commits_are_put_on_demand(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
    fixture_ok(f, "COMMIT", commit(2, A, NULL), BODY);
    uint8_t key[9] = {'K'};
    zsp_put_u64(key + 1, 1);
    mem_store_want_image(f->mem, (struct zsp_slice){key, sizeof key});
    fixture_pump(f);
    const struct mem_store_record *const record =
        mem_store_record(f->mem, mem_store_record_count(f->mem) - 1);
    assert_int_equal(record->entries[0].kind, STORE_IMAGE);
    assert_int_equal(record->entries[0].key.data[0], 'K');
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *const a = fixture_ok(f, "COMMIT", commit(1, A, NULL), BODY);
    assert_string_equal(fixture_value(a, "at"), "[[[0, 1, 0, 0, false]]]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

/* Those that need nothing of the store in memory. */
static const struct CMUnitTest over_both[] = {
    TEST(it_publishes_to_several_topics_and_settles),
    TEST(every_final_outcome_can_be_part_of_it),
    TEST(it_may_settle_alone_or_publish_alone),
    TEST(keys_are_routed_as_in_a_publish),
    TEST(priority_and_delay_hold_as_in_a_publish),
    TEST(a_missing_topic_is_made_before),
    TEST(a_missing_topic_is_refused_when_none_may_be_made),
    TEST(a_missing_topic_is_not_made_for_other_partitions),
    TEST(one_lost_lease_refuses_the_whole),
    TEST(one_full_topic_refuses_the_whole),
    TEST(what_is_settled_already_cannot_be_committed),
    TEST(a_lease_that_ended_by_time_is_not_live),
    TEST(a_group_that_is_not_there_refuses_the_whole),
    TEST(a_parked_pull_is_served_by_it),
    TEST(sent_again_it_gets_the_first_answer),
    TEST(old_answers_are_forgotten_but_not_the_fact),
    TEST(a_gap_is_refused),
    TEST(what_follows_a_refused_one_is_refused),
    TEST(many_on_their_way_keep_their_order),
    TEST(a_new_epoch_fences_it_and_tells_where_it_stopped),
    TEST(an_unknown_producer_is_told_so),
    TEST(an_expired_producer_leaves_nothing),
    TEST(each_wrong_use_has_its_error),
    TEST(many_rows_become_one_for_each_partition),
};

static const struct CMUnitTest over_memory[] = {
    TEST(it_is_seen_when_it_is_confirmed),
    TEST(a_topic_deleted_meanwhile_refuses_the_whole),
    TEST(a_full_journal_refuses_it),
    TEST(a_repetition_waits_for_the_first_one),
    TEST(more_on_their_way_than_are_remembered_all_get_their_answer),
    TEST(an_open_waits_for_commits_on_their_way),
    TEST(an_open_that_overtakes_a_commit_waits_for_it),
    TEST(a_failed_sync_leaves_it_in_doubt),
    TEST(after_a_crash_it_is_there_once),
    TEST(images_of_commits_are_put_on_demand),
};

int main(void)
{
    store_kind = FIXTURE_MEM;
    int failed = cmocka_run_group_tests(over_both, NULL, NULL);
    failed += cmocka_run_group_tests(over_memory, NULL, NULL);
    store_kind = FIXTURE_LOG;
    return failed + cmocka_run_group_tests(over_both, NULL, NULL);
}
