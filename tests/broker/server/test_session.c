/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/session.h"

static const uint8_t ID[SESSION_ID_BYTES] = "0123456789abcde";

static void id_zero_needs_no_session(void **state)
{
    (void)state;
    struct session session = {0};
    assert_int_equal(session_admit(&session, 0, NULL), ZSP_OK);
    assert_int_equal(session_admit(&session, 0, NULL), ZSP_OK);
}

static void other_ids_need_a_hello(void **state)
{
    (void)state;
    struct session session = {0};
    struct zsp_err err = {0};
    assert_int_equal(session_admit(&session, 1, &err), ZSP_EHELLO_REQUIRED);
    session_begin(&session, 1, ID, 0);
    assert_true(session_open(&session));
    assert_int_equal(session_admit(&session, 1, NULL), ZSP_OK);
    session_end(&session);
    assert_false(session_open(&session));
    assert_int_equal(session_admit(&session, 2, NULL), ZSP_EHELLO_REQUIRED);
}

static void ids_increase_and_zero_does_not_count(void **state)
{
    (void)state;
    struct session session = {0};
    struct zsp_err err = {0};
    session_begin(&session, 1, ID, 5);
    assert_int_equal(session_admit(&session, 5, &err), ZSP_EBAD_REQUEST);
    assert_non_null(strstr(err.msg, "5 does not follow 5"));
    assert_int_equal(session_admit(&session, 7, NULL), ZSP_OK);
    assert_int_equal(session_admit(&session, 0, NULL), ZSP_OK);
    assert_int_equal(session_admit(&session, 6, NULL), ZSP_EBAD_REQUEST);
    assert_int_equal(session_admit(&session, UINT64_MAX, NULL), ZSP_OK);
    assert_int_equal(session_admit(&session, UINT64_MAX, NULL), ZSP_EBAD_REQUEST);
}

static void a_second_hello_begins_anew(void **state)
{
    (void)state;
    struct session session = {0};
    session_begin(&session, 1, ID, 9);
    session_begin(&session, 2, ID, 0);
    assert_int_equal(session.number, 2);
    assert_int_equal(session_admit(&session, 1, NULL), ZSP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_zero_needs_no_session),
        cmocka_unit_test(other_ids_need_a_hello),
        cmocka_unit_test(ids_increase_and_zero_does_not_count),
        cmocka_unit_test(a_second_hello_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
