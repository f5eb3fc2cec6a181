/* SPDX-License-Identifier: MPL-2.0
 *
 * kill -9 in a loop under load: every confirmed message is accounted for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/common/testing.h"
#include "tests/crash/load.h"
#include "tests/support/broker_process.h"

#define ROUNDS 12

static void confirmed_messages_survive_kill_9_in_a_loop(void **state)
{
    (void)state;
    struct broker_process broker;
    struct load load;
    const char *const wish = getenv("ZSPOOL_TEST_SEED");
    const uint32_t seed = wish ? (uint32_t)strtoul(wish, NULL, 10) : 1;
    print_message("ZSPOOL_TEST_SEED=%u\n", (unsigned)seed);
    broker_process_init(&broker);
    load_init(&load, seed);
    for (int round = 0; round < ROUNDS; round++) {
        broker_process_start(&broker, NULL);
        assert_true(load_connect(&load, &broker));
        assert_true(load_run(&load, 1 + load_random(&load, 2000)));
        broker_process_kill(&broker);
        load_disconnect(&load);
        load_check_files(&broker);
    }
    broker_process_start(&broker, NULL);
    load_verify(&load, &broker);
    print_message("%u sent, %u confirmed, %u acked over %d kills\n", (unsigned)load.sent_count,
                  (unsigned)load.confirmed_count, (unsigned)load.acked_count, ROUNDS);
    load_fini(&load);
    assert_int_equal(broker_process_stop(&broker), 0);
    load_check_files(&broker);
    broker_process_fini(&broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confirmed_messages_survive_kill_9_in_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
