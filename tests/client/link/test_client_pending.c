/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/src/link/pending.h"

static struct zsp_request requests[ZSP_REQUESTS_MAX];

/* Ids 1 .. count with deadlines all over the place. */
static void fill(struct zsp_pending *pending, size_t count)
{
    zsp_pending_init(pending);
    for (size_t i = 0; i < count; i++) {
        requests[i].id = (i + 1) * 3;
        requests[i].deadline_ms = (int64_t)(i * 7919 % 1009);
        zsp_pending_add(pending, &requests[i]);
    }
}

static void every_request_is_found_once_by_its_id(void **state)
{
    (void)state;
    struct zsp_pending pending;
    fill(&pending, ZSP_REQUESTS_MAX);
    assert_null(zsp_pending_take(&pending, 4));
    for (size_t i = ZSP_REQUESTS_MAX; i-- > 0;) {
        assert_ptr_equal(zsp_pending_find(&pending, (i + 1) * 3), &requests[i]);
        assert_ptr_equal(zsp_pending_take(&pending, (i + 1) * 3), &requests[i]);
        assert_null(zsp_pending_find(&pending, (i + 1) * 3));
        assert_null(zsp_pending_take(&pending, (i + 1) * 3));
    }
    assert_int_equal(pending.count, 0);
}

static void the_earliest_deadline_is_known_whatever_is_taken(void **state)
{
    (void)state;
    struct zsp_pending pending;
    fill(&pending, 200);
    for (size_t taken = 0; taken < 200; taken++) {
        int64_t earliest = INT64_MAX;
        for (size_t i = taken; i < 200; i++) {
            earliest = requests[i].deadline_ms < earliest ? requests[i].deadline_ms : earliest;
        }
        assert_int_equal(zsp_pending_deadline_ms(&pending), earliest);
        assert_non_null(zsp_pending_take(&pending, (taken + 1) * 3));
    }
    assert_true(zsp_pending_deadline_ms(&pending) == INT64_MAX);
}

static void the_oldest_come_back_in_the_order_they_were_sent(void **state)
{
    (void)state;
    struct zsp_pending pending;
    fill(&pending, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_ptr_equal(zsp_pending_take_oldest(&pending), &requests[i]);
    }
    assert_null(zsp_pending_take_oldest(&pending));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_is_found_once_by_its_id),
        cmocka_unit_test(the_earliest_deadline_is_known_whatever_is_taken),
        cmocka_unit_test(the_oldest_come_back_in_the_order_they_were_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
