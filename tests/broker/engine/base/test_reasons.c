/* SPDX-License-Identifier: MPL-2.0
 *
 * Reasons of failures: the last three, shared, counted.
 */
#include "broker/engine/base/reasons.h"

#include "tests/common/testing.h"

static uint32_t push(struct reasons *reasons, uint32_t base, const char *text)
{
    uint32_t set = 0;
    struct zsp_buf *buf = zsp_buf_copy(zsp_slice_str(text));
    assert_int_equal(reasons_push(reasons, base, buf, &set), 0);
    zsp_buf_put(&buf);
    return set;
}

static void the_last_three_are_kept_newest_first(void **state)
{
    (void)state;
    struct reasons reasons = {0};
    uint32_t set = 0;
    const char *const texts[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++) {
        const uint32_t below = set;
        set = push(&reasons, below, texts[i]);
        reasons_drop(&reasons, below);
    }
    assert_int_equal(reasons_count(&reasons, set), 3);
    expect_slice(reasons_text(&reasons, set, 0), "d");
    expect_slice(reasons_text(&reasons, set, 1), "c");
    expect_slice(reasons_text(&reasons, set, 2), "b");
    assert_int_equal(reasons_count(&reasons, 0), 0);
    reasons_fini(&reasons);
}

static void a_set_lives_while_it_is_held_and_is_used_again(void **state)
{
    (void)state;
    struct reasons reasons = {0};
    const uint32_t first = push(&reasons, 0, "a");
    reasons_hold(&reasons, first);
    reasons_drop(&reasons, first);
    expect_slice(reasons_text(&reasons, first, 0), "a");
    reasons_drop(&reasons, first);
    assert_int_equal(push(&reasons, 0, "b"), first);
    reasons_fini(&reasons);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_three_are_kept_newest_first),
        cmocka_unit_test(a_set_lives_while_it_is_held_and_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
