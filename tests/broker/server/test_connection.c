/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/connection.h"

static struct reply_pool pool; /* of all connections of a test */

static int setup(void **state)
{
    (void)state;
    return reply_pool_init(&pool, 64, 256);
}

static int teardown(void **state)
{
    (void)state;
    reply_pool_fini(&pool);
    return 0;
}

static struct connection *get(struct connection_table *table, const char *id, int64_t now_ms)
{
    struct connection *const connection = connection_table_get(table, zsp_slice_str(id), now_ms);
    assert_non_null(connection);
    return connection;
}

static void one_routing_id_is_one_connection(void **state)
{
    (void)state;
    struct connection_table table;
    connection_table_init(&table, 7, &pool);
    char id[] = "abcde";
    struct connection *const first = get(&table, id, 1);
    id[0] = 'x'; /* the table has its own copy */
    assert_ptr_equal(get(&table, "abcde", 2), first);
    assert_ptr_not_equal(get(&table, "abcdf", 2), first);
    assert_int_equal(first->number, 1);
    connection_table_fini(&table);
}

static void numbers_are_not_used_again(void **state)
{
    (void)state;
    struct connection_table table;
    connection_table_init(&table, 7, &pool);
    connection_table_remove(&table, get(&table, "a", 1));
    assert_int_equal(get(&table, "a", 1)->number, 2);
    connection_table_fini(&table);
}

static void the_longest_silent_one_is_oldest(void **state)
{
    (void)state;
    struct connection_table table;
    connection_table_init(&table, 7, &pool);
    struct connection *const a = get(&table, "a", 1);
    struct connection *const b = get(&table, "b", 2);
    struct connection *const c = get(&table, "c", 3);
    assert_ptr_equal(table.oldest, a);
    connection_table_touch(&table, a, 4);
    assert_ptr_equal(table.oldest, b);
    assert_ptr_equal(table.newest, a);
    connection_table_touch(&table, c, 5);
    connection_table_remove(&table, b);
    assert_ptr_equal(table.oldest, a);
    assert_int_equal(a->heard_ms, 4);
    connection_table_touch(&table, c, 6);
    assert_ptr_equal(table.newest, c);
    connection_table_fini(&table);
}

static struct outgoing *reply_of(struct connection *connection)
{
    const struct envelope none = {0};
    struct zsp_buf *header = zsp_buf_copy(zsp_slice_str("header"));
    struct outgoing *const outgoing =
        outgoing_new(&none, header, (struct outgoing_body){0}, connection->room.outflow);
    zsp_buf_put(&header);
    assert_non_null(outgoing);
    return outgoing;
}

static void queued_replies_come_out_in_order(void **state)
{
    (void)state;
    struct connection_table table;
    connection_table_init(&table, 7, &pool);
    struct connection *const a = get(&table, "a", 1);
    struct outgoing *first = reply_of(a);
    struct outgoing *second = reply_of(a);
    connection_queue(&table, a, first);
    connection_queue(&table, a, second);
    assert_int_equal(a->queue_count, 2);
    assert_ptr_equal(table.stuck, a);
    assert_ptr_equal(connection_unqueue(a), first);
    assert_ptr_equal(connection_unqueue(a), second);
    assert_null(connection_unqueue(a));
    outgoing_destroy(&first);
    outgoing_destroy(&second);
    connection_table_fini(&table);
}

static void a_connection_is_stuck_once_and_leaves_the_list(void **state)
{
    (void)state;
    struct connection_table table;
    connection_table_init(&table, 7, &pool);
    struct connection *const a = get(&table, "a", 1);
    struct connection *const b = get(&table, "b", 1);
    for (int i = 0; i < 2; i++) {
        connection_queue(&table, a, reply_of(a));
        connection_queue(&table, b, reply_of(b));
    }
    assert_ptr_equal(table.stuck, a);
    assert_ptr_equal(a->stuck_next, b);
    connection_stick(&table, a); /* tried, and full again: to the end */
    assert_ptr_equal(table.stuck, b);
    assert_ptr_equal(b->stuck_next, a);
    assert_null(a->stuck_next);
    connection_unstick(&table, a);
    assert_null(b->stuck_next);
    connection_stick(&table, a);
    connection_unstick(&table, b);
    connection_unstick(&table, b);
    assert_ptr_equal(table.stuck, a);
    connection_unstick(&table, a);
    assert_null(table.stuck);
    assert_int_equal(table.stuck_count, 0);
    struct outgoing *reply = NULL;
    while ((reply = connection_unqueue(a)) || (reply = connection_unqueue(b))) {
        outgoing_destroy(&reply);
    }
    connection_table_fini(&table);
}

static void calls_leave_from_any_place(void **state)
{
    (void)state;
    struct connection connection = {0};
    struct call calls[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        connection_add_call(&connection, &calls[i]);
        assert_ptr_equal(calls[i].connection, &connection);
    }
    connection_remove_call(&connection, &calls[1]);
    assert_ptr_equal(connection.calls, &calls[2]);
    assert_ptr_equal(calls[2].next, &calls[0]);
    connection_remove_call(&connection, &calls[2]);
    connection_remove_call(&connection, &calls[0]);
    assert_null(connection.calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_routing_id_is_one_connection),
        cmocka_unit_test(numbers_are_not_used_again),
        cmocka_unit_test(the_longest_silent_one_is_oldest),
        cmocka_unit_test(queued_replies_come_out_in_order),
        cmocka_unit_test(a_connection_is_stuck_once_and_leaves_the_list),
        cmocka_unit_test(calls_leave_from_any_place),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
