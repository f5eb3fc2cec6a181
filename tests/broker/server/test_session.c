/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/connection.h"

static const uint8_t ID[SESSION_ID_BYTES] = "0123456789abcde";
static const uint8_t OTHER[SESSION_ID_BYTES] = "edcba9876543210";

static struct connection here; /* only their addresses matter */
static struct connection there;

static int setup(void **state)
{
    struct session_table *const table = calloc(1, sizeof *table);
    session_table_init(table, 7);
    *state = table;
    return 0;
}

static int teardown(void **state)
{
    session_table_fini(*state);
    free(*state);
    return 0;
}

static struct session *begin(struct session_table *table, const uint8_t *id, uint64_t first_id)
{
    struct session *const session = session_new(table, id, &here, first_id);
    assert_non_null(session);
    return session;
}

static struct session *find(struct session_table *table, const uint8_t *id)
{
    return session_find(table, (struct zsp_slice){id, SESSION_ID_BYTES});
}

static void id_zero_needs_no_session_and_others_do(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    assert_int_equal(session_admit(NULL, 0, NULL), ZSP_OK);
    assert_int_equal(session_admit(NULL, 1, &err), ZSP_EHELLO_REQUIRED);
}

static void ids_increase_and_zero_does_not_count(void **state)
{
    struct session *const session = begin(*state, ID, 5);
    struct zsp_err err = {0};
    assert_int_equal(session_admit(session, 5, &err), ZSP_EBAD_REQUEST);
    assert_non_null(strstr(err.msg, "5 does not follow 5"));
    assert_int_equal(session_admit(session, 7, NULL), ZSP_OK);
    assert_int_equal(session_admit(session, 0, NULL), ZSP_OK);
    assert_int_equal(session_admit(session, 6, NULL), ZSP_EBAD_REQUEST);
    assert_int_equal(session_admit(session, UINT64_MAX, NULL), ZSP_OK);
    assert_int_equal(session_admit(session, UINT64_MAX, NULL), ZSP_EBAD_REQUEST);
    session_end(*state, session);
}

static void a_session_is_found_attached_or_not(void **state)
{
    struct session_table *const table = *state;
    struct session *const session = begin(table, ID, 0);
    assert_ptr_equal(find(table, ID), session);
    assert_null(find(table, OTHER));
    session_detach(table, session);
    assert_ptr_equal(find(table, ID), session);
    assert_int_equal(table->detached_count, 1);
    session_end(table, session);
    assert_null(find(table, ID));
    assert_int_equal(table->count, 0);
    assert_int_equal(table->detached_count, 0);
}

static void numbers_are_not_used_again(void **state)
{
    struct session *const first = begin(*state, ID, 0);
    const uint64_t number = first->number;
    session_end(*state, first);
    struct session *const second = begin(*state, ID, 0);
    assert_true(second->number > number);
    session_end(*state, second);
}

static void on_another_connection_ids_begin_anew(void **state)
{
    struct session_table *const table = *state;
    struct session *const session = begin(table, ID, 0);
    assert_int_equal(session_admit(session, 9, NULL), ZSP_OK);
    session_detach(table, session);
    session_attach(table, session, &there);
    assert_int_equal(session_admit(session, 9, NULL), ZSP_OK);
    assert_int_equal(session_admit(session, 9, NULL), ZSP_EBAD_REQUEST);
    session_end(table, session);
}

static void the_longest_detached_is_first(void **state)
{
    struct session_table *const table = *state;
    struct session *const a = begin(table, ID, 0);
    struct session *const b = begin(table, OTHER, 0);
    session_detach(table, b);
    session_detach(table, a);
    assert_ptr_equal(table->detached_first, b);
    session_attach(table, b, &there);
    assert_ptr_equal(table->detached_first, a);
    session_detach(table, b);
    assert_ptr_equal(table->detached_first, a);
    assert_ptr_equal(table->detached_last, b); /* the end of the test takes both */
}

static void silence_is_judged_by_what_was_promised(void **state)
{
    struct session_table *const table = *state;
    struct session *const session = begin(table, ID, 0);
    session->heard_ms = 1000;
    assert_int_equal(session_judge_ms(session, 60000), INT64_MAX);
    session->terms.heartbeat_ms = 500;
    assert_int_equal(session_judge_ms(session, 60000), 2500);
    session_detach(table, session);
    assert_int_equal(session_judge_ms(session, 60000), 2500);
    session->terms.heartbeat_ms = 0;
    assert_int_equal(session_judge_ms(session, 60000), 61000);
}

/* Goal: who missed its heartbeats is silent when two looks in a row, a second apart, find nothing of
 * it that was not read. */
static void a_doubted_session_is_looked_at_again(void **state)
{
    struct session *const session = begin(*state, ID, 0);
    session->terms.heartbeat_ms = 500;
    session->heard_ms = 1000;
    assert_false(session_judge(session, 60000, 2500, false));
    assert_int_equal(session_judge_ms(session, 60000), 3500);
    assert_false(session_judge(session, 60000, 3500, true)); /* it waits in the kernel */
    assert_int_equal(session_judge_ms(session, 60000), 4500);
    assert_false(session_judge(session, 60000, 4500, false));
    assert_true(session_judge(session, 60000, 5500, false));
    session_end(*state, session);
}

static void who_is_heard_of_is_doubted_no_more(void **state)
{
    struct session *const session = begin(*state, ID, 0);
    session->terms.heartbeat_ms = 500;
    session->heard_ms = 1000;
    assert_false(session_judge(session, 60000, 2500, false));
    session->heard_ms = 3000;
    assert_int_equal(session_judge_ms(session, 60000), 4500);
    assert_false(session_judge(session, 60000, 4500, false));
    assert_true(session_judge(session, 60000, 5500, false));
    session_end(*state, session);
}

/* The descriptor may be another's by now, and always busy. */
static void no_excuse_holds_for_ever(void **state)
{
    struct session *const session = begin(*state, ID, 0);
    session->terms.heartbeat_ms = 500;
    session->heard_ms = 1000;
    int64_t now_ms = session_judge_ms(session, 60000);
    while (!session_judge(session, 60000, now_ms, true)) {
        now_ms = session_judge_ms(session, 60000);
        assert_true(now_ms <= 1000 + 1500 + 60000 + 2 * SESSION_DOUBT_MS);
    }
    assert_true(now_ms >= 1000 + 1500 + 60000);
    session_end(*state, session);
}

#define PROVE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_zero_needs_no_session_and_others_do),
        PROVE(ids_increase_and_zero_does_not_count),
        PROVE(a_session_is_found_attached_or_not),
        PROVE(numbers_are_not_used_again),
        PROVE(on_another_connection_ids_begin_anew),
        PROVE(the_longest_detached_is_first),
        PROVE(silence_is_judged_by_what_was_promised),
        PROVE(a_doubted_session_is_looked_at_again),
        PROVE(who_is_heard_of_is_doubted_no_more),
        PROVE(no_excuse_holds_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
