/* SPDX-License-Identifier: MPL-2.0
 *
 * Members of a group: who was heard, and who is forgotten.
 */
#include "broker/engine/members.h"

#include "tests/common/testing.h"

static void members_are_counted_from_a_moment_on(void **state)
{
    (void)state;
    struct members members;
    members_init(&members, 1);
    for (uint64_t session = 1; session <= 5; session++) {
        assert_non_null(members_seen(&members, session, (int64_t)session * 100, 0));
    }
    assert_non_null(members_seen(&members, 1, 600, 0));
    assert_int_equal(members_count(&members, 0), 5);
    assert_int_equal(members_count(&members, 400), 3);
    assert_int_equal(members_count(&members, 601), 0);
    members_fini(&members);
}

static void the_silent_are_forgotten(void **state)
{
    (void)state;
    struct members members;
    members_init(&members, 1);
    for (uint64_t session = 1; session <= 5; session++) {
        assert_non_null(members_seen(&members, session, (int64_t)session * 100, 0));
    }
    assert_non_null(members_seen(&members, 9, 600, 300));
    assert_null(members_find(&members, 2));
    assert_non_null(members_find(&members, 3));
    members_forget(members_find(&members, 3));
    assert_null(members_find(&members, 3));
    assert_int_equal(members_count(&members, 0), 3);
    members_fini(&members);
}

static void what_a_member_told_of_itself_stays(void **state)
{
    (void)state;
    struct members members;
    members_init(&members, 1);
    members_seen(&members, 4, 100, 0)->uses_started = true;
    assert_true(members_seen(&members, 4, 900, 500)->uses_started);
    members_fini(&members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_counted_from_a_moment_on),
        cmocka_unit_test(the_silent_are_forgotten),
        cmocka_unit_test(what_a_member_told_of_itself_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
