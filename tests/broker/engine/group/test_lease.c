/* SPDX-License-Identifier: MPL-2.0
 *
 * Leases: their table, their end by time, and who is blamed for it.
 */
#include "broker/engine/ledger/lease.h"

#include <inttypes.h>

#include "broker/engine/group/group.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"

/* --- The table ------------------------------------------------------------------------------ */

struct dice {
    const uint64_t *numbers;
    size_t next;
};

static uint64_t roll(void *arg)
{
    struct dice *dice = arg;
    return dice->numbers[dice->next++];
}

static void a_lease_number_is_small_nonzero_and_new(void **state)
{
    (void)state;
    /* two seeds for the tables; then zero, a taken one with high bits set, a good one */
    const uint64_t numbers[] = {1, 2, UINT64_C(1) << 53, (UINT64_C(7) << 60) | 41, 42};
    struct dice dice = {.numbers = numbers};
    struct lease_table table;
    lease_table_init(&table, roll, &dice);
    struct lease *taken = lease_add(&table, 41, 1, 0, 0);
    assert_int_equal(lease_draw(&table), 42);
    lease_remove(&table, taken);
    lease_table_fini(&table);
}

static void a_lease_is_found_by_number_and_by_request(void **state)
{
    (void)state;
    const uint64_t numbers[] = {1, 2};
    struct dice dice = {.numbers = numbers};
    struct lease_table table;
    lease_table_init(&table, roll, &dice);
    struct lease *mine = lease_add(&table, 5, 1, 77, 9);
    struct lease *nobodys = lease_add(&table, 6, 1, 0, 9);
    assert_ptr_equal(lease_find(&table, 5), mine);
    assert_ptr_equal(lease_find_request(&table, 1, 77, 9), mine);
    assert_null(lease_find_request(&table, 2, 77, 9));
    assert_null(lease_find_request(&table, 1, 0, 9));
    lease_remove(&table, mine);
    assert_null(lease_find(&table, 5));
    assert_null(lease_find_request(&table, 1, 77, 9));
    lease_remove(&table, nobodys);
    lease_table_fini(&table);
}

static void a_lease_reads_back_as_it_was_written(void **state)
{
    (void)state;
    const struct lease lease = {
        .number = 9, .granted = 1000, .deadline_ms = 123456789012, .uses_started = true};
    struct lease back = {.number = 9};
    struct zsp_writer out = {0};
    lease_write(&out, &lease);
    assert_int_equal(lease_read(&back, zsp_writer_slice(&out), NULL), 0);
    assert_int_equal(back.granted, 1000);
    assert_int_equal(back.deadline_ms, 123456789012);
    assert_true(back.uses_started);
    for (size_t len = 0; len < out.len; len++) {
        assert_int_equal(lease_read(&back, (struct zsp_slice){out.data, len}, NULL), ZSP_ECORRUPT);
    }
    zsp_writer_fini(&out);
}

/* --- Time -------------------------------------------------------------------------------------- */

static void a_lease_ends_by_time(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 3);
    const uint64_t lease = steps_pull(f, 3)->lease;
    fixture_advance(f, 29999);
    assert_string_equal(steps_part(f, "t", 0), "0 3 0 3 0 0");
    fixture_advance(f, 1);
    assert_string_equal(steps_part(f, "t", 0), "0 3 3 0 0 0");
    assert_string_equal(fixture_value(steps_settle(f, 0, 3, lease, "'ack'"), "not_applied"),
                        "[[\"t\", 0, 0, 3, \"lost\"]]");
}

static void a_reply_tells_the_time_left(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE", "{'group': 'g', 'topics': ['t'], 'settings': {'lease_ms': 5000}}",
               NULL);
    steps_publish(f, "t", 1);
    assert_int_equal(fixture_number(steps_pull(f, 1), "lease_ms"), 5000);
}

static void a_waiting_pull_gets_what_a_lost_lease_held(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    steps_pull(f, 1);
    fixture_advance(f, 10000);
    const uint64_t ticket = steps_wait(f, 1, 60000);
    fixture_advance(f, 20000);
    assert_int_equal(steps_count(fixture_answer(f, ticket)), 1);
}

/* Goal: a broker that was away blames nobody. */
static void a_restart_gives_everybody_time(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_advance(f, 29000);
    f->now.mono_ms += 1000000; /* the broker is down */
    f->now.wall_ms += 1000000;
    fixture_restart(f, MEM_KEEP_WRITTEN);
    fixture_advance(f, 9000);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 1 0 0");
    const struct answer *answer = steps_settle(f, 0, 1, lease, "'ack'");
    assert_int_equal(fixture_number(answer, "applied"), 1);
}

static void a_stall_gives_everybody_time(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 1);
    steps_pull(f, 1);
    fixture_advance(f, 29000);
    fixture_leap(f, 5000);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 1 0 0");
    fixture_advance(f, 10000);
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
}

static void kill_minus_nine_forgets_no_lease(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 5);
    mem_store_hold(f->mem, 0);
    steps_pull(f, 1);
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t lease = steps_pull(f, 2)->lease;
    fixture_restart(f, MEM_KEEP_WRITTEN);
    assert_string_equal(steps_part(f, "t", 0), "0 5 2 3 0 0");
    assert_int_equal(fixture_number(steps_settle(f, 1, 2, lease, "'ack'"), "applied"), 2);
}

/* Goal: when the journal is full, a lease that ends stays out until it can be told. */
/* Durably it was never granted, or it has ended. */
static void forget_lease(struct engine_fixture *f, uint64_t number)
{
    uint8_t key[GROUP_KEY_ROOM];
    const struct group *group = name_index_find(&f->engine->catalog.groups, zsp_slice_str("g"));
    const struct store_entry entry = {.key = lease_key(group->id, number, key), .kind = STORE_GONE};
    assert_int_equal(f->store->ops->state_put(f->store, &entry, 1, STORE_WRITTEN, 0, NULL), 0);
    fixture_pump(f);
}

/* Goal: no start fails for a lease that is not there, and the others keep what is theirs. */
static void what_is_out_under_no_lease_is_ready_after_a_start(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b c d e f");
    const uint64_t first = steps_pull(f, 2)->lease;
    const uint64_t lost = steps_pull(f, 2)->lease;
    const uint64_t last = steps_pull(f, 1)->lease;
    steps_settle(f, 0, 1, first, "'ack'");
    forget_lease(f, lost);
    fixture_restart(f, MEM_KEEP_WRITTEN);
    assert_string_equal(steps_part(f, "t", 0), "1 6 3 2 0 0");
    assert_string_equal(fixture_payloads(steps_pull(f, 10)), "c d f");
    assert_int_equal(fixture_number(steps_settle(f, 1, 1, first, "'ack'"), "applied"), 1);
    assert_int_equal(fixture_number(steps_settle(f, 4, 1, last, "'ack'"), "applied"), 1);
}

static void a_full_journal_delays_the_end_of_a_lease(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'lease_ms': 15000}}", NULL);
    steps_publish(f, "t", 1);
    const uint64_t lease = steps_pull(f, 1)->lease;
    fixture_advance(f, 14999);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    fixture_advance(f, 1);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 1 0 0");
    const struct answer *late = steps_settle(f, 0, 1, lease, "'extend', {'ms': 60000}");
    assert_string_equal(fixture_value(late, "not_applied"), "[[\"t\", 0, 0, 1, \"lost\"]]");
    fixture_advance(f, 1000);
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
}

/* --- Poison -------------------------------------------------------------------------------------- */

/* Lose the lease that is out. */
static void lose(struct engine_fixture *f)
{
    fixture_advance(f, 30000);
}

static void a_lost_lease_of_many_halves_the_next(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 20);
    assert_int_equal(steps_count(steps_pull(f, 8)), 8);
    lose(f);
    const struct answer *answer = steps_pull(f, 100);
    assert_int_equal(steps_count(answer), 4);
    assert_string_equal(fixture_text(answer, "reason"), "limit");
    assert_int_equal(steps_count(steps_pull(f, 100)), 4);
    assert_int_equal(steps_count(steps_pull(f, 100)), 12);
}

/* Settle all runs of an answer, unless `bad` is among them. False = it is. */
static bool work(struct engine_fixture *f, const struct answer *answer, uint64_t bad)
{
    const msgpack_object *list = wire_map_find(answer->map, "runs");
    struct wire_run runs[8];
    assert_in_range(list->via.array.size, 1, 8);
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        assert_int_equal(wire_run_decode(&list->via.array.ptr[i], &runs[i], NULL), 0);
        assert_true(runs[i].failures == 0 || runs[i].first == bad);
        if (runs[i].first <= bad && bad < runs[i].first + runs[i].count) {
            return false;
        }
    }
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        steps_settle(f, runs[i].first, runs[i].count, runs[i].lease, "'ack'");
    }
    return true;
}

/* Goal: one message that kills its worker is found in about ten lost leases, and nobody else is
 * blamed. Method: a worker that loses every lease with message 700 in it and acks the others. */
static void one_poisonous_message_among_a_thousand_is_found(void **state)
{
    struct engine_fixture *f = *state;
    unsigned lost = 0;
    steps_publish(f, "t", 1000);
    do {
        if (!work(f, steps_pull(f, 1000), 700)) {
            lost++;
            lose(f);
        }
    } while (strcmp(steps_part(f, "t", 0), "1000 1000 0 0 0 1") != 0);
    assert_true(lost <= 10 + 4); /* ten until it is alone, four more until it is dead */
}

static void only_what_was_started_is_blamed(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'max_failures': 1}}", NULL);
    steps_publish(f, "t", 8);
    const uint64_t lease = steps_pull(f, 8)->lease;
    steps_settle(f, 3, 1, lease, "'started'");
    lose(f);
    assert_string_equal(steps_part(f, "t", 0), "0 8 7 0 0 1");
    assert_int_equal(steps_count(steps_pull(f, 8)), 7); /* no limit either */
}

static void a_lost_lease_of_one_is_a_failure(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'max_failures': 2}}", NULL);
    steps_publish(f, "t", 1);
    steps_pull(f, 1);
    lose(f);
    assert_string_equal(steps_part(f, "t", 0), "0 1 1 0 0 0");
    steps_pull(f, 1);
    lose(f);
    assert_string_equal(steps_part(f, "t", 0), "1 1 0 0 0 1");
}

/* Goal: whose grant takes longer to be written than it lasts has let no time pass: the message counts
 * neither a failure nor a delivery, and comes under another lease. */
static void a_lease_that_nobody_was_told_of_blames_nobody(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'max_failures': 1}}", NULL);
    steps_publish(f, "t", 1);
    mem_store_hold(f->mem, MEM_WRITES);
    const uint64_t ticket = steps_wait(f, 1, 60000);
    lose(f);
    mem_store_hold(f->mem, 0);
    fixture_advance(f, 1);
    assert_string_equal(steps_part(f, "t", 0), "0 1 0 1 0 0");
    assert_int_equal(steps_count(fixture_answer(f, ticket)), 1);
    const struct answer *trace =
        fixture_ok(f, "GROUP.TRACE", "{'group': 'g', 'topic': 't', 'offset': 0}", NULL);
    assert_int_equal(fixture_number(trace, "deliveries"), 1);
}

static void whose_session_says_what_it_starts_is_not_blamed_for_silence(void **state)
{
    struct engine_fixture *f = *state;
    f->session = 5;
    fixture_ok(f, "GROUP.CREATE",
               "{'group': 'g', 'topics': ['t'], 'settings': {'max_failures': 1}}", NULL);
    steps_publish(f, "t", 2);
    const uint64_t lease = steps_pull(f, 1)->lease;
    steps_settle(f, 0, 1, lease, "'started'");
    steps_settle(f, 0, 1, lease, "'ack'");
    steps_pull(f, 1);
    lose(f);
    assert_string_equal(steps_part(f, "t", 0), "1 2 1 0 0 0");
}

/* Goal: limits survive a restart: the search for the bad message goes on where it was. */
static void limits_survive_a_restart(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish(f, "t", 8);
    steps_pull(f, 8);
    lose(f);
    fixture_restart(f, MEM_KEEP_WRITTEN);
    assert_int_equal(steps_count(steps_pull(f, 8)), 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_number_is_small_nonzero_and_new),
        cmocka_unit_test(a_lease_is_found_by_number_and_by_request),
        cmocka_unit_test(a_lease_reads_back_as_it_was_written),
        TEST(a_lease_ends_by_time),
        TEST(a_reply_tells_the_time_left),
        TEST(a_waiting_pull_gets_what_a_lost_lease_held),
        TEST(a_restart_gives_everybody_time),
        TEST(a_stall_gives_everybody_time),
        TEST(kill_minus_nine_forgets_no_lease),
        TEST(what_is_out_under_no_lease_is_ready_after_a_start),
        TEST(a_full_journal_delays_the_end_of_a_lease),
        TEST(a_lost_lease_of_many_halves_the_next),
        TEST(one_poisonous_message_among_a_thousand_is_found),
        TEST(only_what_was_started_is_blamed),
        TEST(a_lost_lease_of_one_is_a_failure),
        TEST(a_lease_that_nobody_was_told_of_blames_nobody),
        TEST(whose_session_says_what_it_starts_is_not_blamed_for_silence),
        TEST(limits_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
