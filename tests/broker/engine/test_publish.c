/* SPDX-License-Identifier: MPL-2.0
 *
 * PUBLISH without a producer: arguments, routing, levels, creation of topics, failures.
 */
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

static void a_publish_creates_its_topic_and_is_confirmed(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *const a =
        fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'a'], [b'b']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 2, 0, 0, false]]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_publish_creates_its_topic_and_is_confirmed,
                                        fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
