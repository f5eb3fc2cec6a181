/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/credit.h"

static const struct credit_limits LIMITS = {
    .requests = 3, .all_requests = 5, .bytes = 100, .waiting_bytes = 150};

static struct credit_share share_of(uint64_t bytes, bool has_bodies)
{
    return (struct credit_share){.bytes = bytes, .has_bodies = has_bodies};
}

static void requests_are_limited_and_come_back(void **state)
{
    (void)state;
    struct credit_pool pool = {.limits = LIMITS};
    struct credit credit = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(credit_take(&credit, &pool, share_of(1, false), NULL), ZSP_OK);
    }
    struct zsp_err err = {0};
    assert_int_equal(credit_take(&credit, &pool, share_of(1, false), &err), ZSP_EOVER_CREDIT);
    assert_string_equal(err.wanted, "at most 3");
    credit_give(&credit, &pool, share_of(1, false));
    assert_int_equal(credit_take(&credit, &pool, share_of(1, false), NULL), ZSP_OK);
}

static void requests_of_all_connections_are_limited(void **state)
{
    (void)state;
    struct credit_pool pool = {.limits = LIMITS};
    struct credit first = {0};
    struct credit second = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(credit_take(&first, &pool, share_of(1, false), NULL), ZSP_OK);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(credit_take(&second, &pool, share_of(1, false), NULL), ZSP_OK);
    }
    assert_int_equal(credit_take(&second, &pool, share_of(1, false), NULL), ZSP_EOVER_CREDIT);
    credit_give(&first, &pool, share_of(1, false));
    assert_int_equal(credit_take(&second, &pool, share_of(1, false), NULL), ZSP_OK);
}

static void bytes_are_limited_exactly(void **state)
{
    (void)state;
    struct credit_pool pool = {.limits = LIMITS};
    struct credit credit = {0};
    assert_int_equal(credit_take(&credit, &pool, share_of(60, false), NULL), ZSP_OK);
    assert_int_equal(credit_take(&credit, &pool, share_of(41, false), NULL), ZSP_EOVER_CREDIT);
    assert_int_equal(credit_take(&credit, &pool, share_of(40, false), NULL), ZSP_OK);
    assert_int_equal(credit.bytes, 100);
    assert_int_equal(credit.requests, 2);
}

static void what_never_fits_is_too_large(void **state)
{
    (void)state;
    struct credit_pool pool = {.limits = LIMITS};
    struct credit credit = {0};
    assert_int_equal(credit_take(&credit, &pool, share_of(101, true), NULL), ZSP_ETOO_LARGE);
    assert_int_equal(credit_take(&credit, &pool, share_of(UINT64_MAX, true), NULL), ZSP_ETOO_LARGE);
    assert_int_equal(credit.requests, 0);
    assert_int_equal(pool.waiting_bytes, 0);
}

static void the_pool_counts_only_requests_with_bodies(void **state)
{
    (void)state;
    struct credit_pool pool = {.limits = LIMITS};
    struct credit first = {0};
    struct credit second = {0};
    assert_int_equal(credit_take(&first, &pool, share_of(100, true), NULL), ZSP_OK);
    struct zsp_err err = {0};
    assert_int_equal(credit_take(&second, &pool, share_of(51, true), &err), ZSP_EOVER_CREDIT);
    assert_non_null(strstr(err.msg, "waiting publishes"));
    assert_int_equal(credit_take(&second, &pool, share_of(51, false), NULL), ZSP_OK);
    credit_give(&first, &pool, share_of(100, true));
    assert_int_equal(pool.waiting_bytes, 0);
    assert_int_equal(credit_take(&second, &pool, share_of(49, true), NULL), ZSP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_limited_and_come_back),
        cmocka_unit_test(requests_of_all_connections_are_limited),
        cmocka_unit_test(bytes_are_limited_exactly),
        cmocka_unit_test(what_never_fits_is_too_large),
        cmocka_unit_test(the_pool_counts_only_requests_with_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
