/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/call.h"
#include "broker/server/connection.h"

static void a_ticket_finds_its_call_until_it_is_removed(void **state)
{
    (void)state;
    struct call_table table = {0};
    struct connection connection = {0};
    struct call *const call = call_table_add(&table);
    assert_non_null(call);
    call->connection = &connection;
    const uint64_t ticket = call->ticket;
    assert_ptr_equal(call_table_find(&table, ticket), call);
    call_table_remove(&table, call);
    assert_null(call_table_find(&table, ticket));
    call_table_fini(&table);
}

static void a_slot_used_again_has_another_ticket(void **state)
{
    (void)state;
    struct call_table table = {0};
    struct connection connection = {0};
    struct call *call = call_table_add(&table);
    const uint64_t first = call->ticket;
    call->connection = &connection;
    call_table_remove(&table, call);
    call = call_table_add(&table);
    call->connection = &connection;
    assert_int_not_equal(call->ticket, first);
    assert_null(call_table_find(&table, first));
    assert_ptr_equal(call_table_find(&table, call->ticket), call);
    call_table_fini(&table);
}

static void unknown_tickets_find_nothing(void **state)
{
    (void)state;
    struct call_table table = {0};
    assert_null(call_table_find(&table, 0));
    assert_null(call_table_find(&table, UINT64_MAX));
    assert_non_null(call_table_add(&table));
    assert_null(call_table_find(&table, 1));
    call_table_fini(&table);
}

static void a_thousand_calls_keep_their_places(void **state)
{
    (void)state;
    enum { CALLS = 1000 };
    static struct call *calls[CALLS];
    struct call_table table = {0};
    struct connection connection = {0};
    for (size_t i = 0; i < CALLS; i++) {
        calls[i] = call_table_add(&table);
        assert_non_null(calls[i]);
        calls[i]->connection = &connection;
        calls[i]->id = i;
    }
    for (size_t i = 0; i < CALLS; i++) {
        assert_ptr_equal(call_table_find(&table, calls[i]->ticket), calls[i]);
        assert_int_equal(calls[i]->id, i);
    }
    assert_int_equal(table.used_count, CALLS);
    call_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_finds_its_call_until_it_is_removed),
        cmocka_unit_test(a_slot_used_again_has_another_ticket),
        cmocka_unit_test(unknown_tickets_find_nothing),
        cmocka_unit_test(a_thousand_calls_keep_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
