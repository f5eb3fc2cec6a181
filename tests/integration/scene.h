/* SPDX-License-Identifier: MPL-2.0
 *
 * What most integration tests need: a broker that runs and a DEALER connected
 * to it, made before each test and taken down after it.
 */
#ifndef ZSP_TESTS_SCENE_H
#define ZSP_TESTS_SCENE_H

#include <zmq.h>

#include "tests/common/testing.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

struct scene {
    struct broker_process broker;
    struct raw_client client;
    uint64_t memory_before; /* of the broker when it was ready */
};

int scene_setup(void **state);
int scene_teardown(void **state);

/* The broker answers, and has not grown by more than `bytes` since it started. */
void scene_assert_well(struct scene *self, uint64_t bytes);

/* Kill the broker with -9 and start it again; the client connects anew. */
void scene_restart(struct scene *self);

#define SCENE_TEST(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

#endif
