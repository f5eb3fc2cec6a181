/* SPDX-License-Identifier: MPL-2.0
 *
 * Members of a group: who was heard, and who is forgotten.
 */
#include "broker/engine/group/members.h"

#include "tests/common/testing.h"

static void members_are_counted_from_a_moment_on(void **state)
{
    (void)state;
    struct zsp_table table = {.seed = 1};
    struct members members;
    members_init(&members);
    for (uint64_t session = 1; session <= 5; session++) {
        assert_non_null(members_seen(&members, &table, session, (int64_t)session * 100, 0));
    }
    assert_non_null(members_seen(&members, &table, 1, 600, 0));
    assert_int_equal(members_count(&members, 0), 5);
    assert_int_equal(members_count(&members, 400), 3);
    assert_int_equal(members_count(&members, 601), 0);
    members_fini(&members, &table);
    zsp_table_fini(&table);
}

static void the_silent_are_forgotten(void **state)
{
    (void)state;
    struct zsp_table table = {.seed = 1};
    struct members members;
    members_init(&members);
    for (uint64_t session = 1; session <= 5; session++) {
        assert_non_null(members_seen(&members, &table, session, (int64_t)session * 100, 0));
    }
    assert_non_null(members_seen(&members, &table, 9, 600, 300));
    assert_null(members_find(&members, &table, 2));
    assert_non_null(members_find(&members, &table, 3));
    members_forget(members_find(&members, &table, 3), &table);
    assert_null(members_find(&members, &table, 3));
    assert_int_equal(members_count(&members, 0), 3);
    members_fini(&members, &table);
    zsp_table_fini(&table);
}

static void what_a_member_told_of_itself_stays(void **state)
{
    (void)state;
    struct zsp_table table = {.seed = 1};
    struct members members;
    members_init(&members);
    members_seen(&members, &table, 4, 100, 0)->uses_started = true;
    assert_true(members_seen(&members, &table, 4, 900, 500)->uses_started);
    members_fini(&members, &table);
    zsp_table_fini(&table);
}

static void groups_know_their_own_members_only(void **state)
{
    (void)state;
    struct zsp_table table = {.seed = 1};
    struct members members[2];
    members_init(&members[0]);
    members_init(&members[1]);
    assert_non_null(members_seen(&members[0], &table, 4, 100, 0));
    assert_non_null(members_seen(&members[1], &table, 5, 100, 0));
    assert_null(members_find(&members[0], &table, 5));
    assert_null(members_find(&members[1], &table, 4));
    members_fini(&members[0], &table);
    assert_int_equal(members_count(&members[1], 0), 1);
    assert_int_equal(table.count, 1);
    members_fini(&members[1], &table);
    zsp_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_counted_from_a_moment_on),
        cmocka_unit_test(the_silent_are_forgotten),
        cmocka_unit_test(what_a_member_told_of_itself_stays),
        cmocka_unit_test(groups_know_their_own_members_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
