/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/integration/scene.h"

#include <inttypes.h>

int scene_setup(void **state)
{
    struct scene *const self = calloc(1, sizeof *self);
    assert_non_null(self);
    broker_process_init(&self->broker);
    broker_process_start(&self->broker, NULL);
    raw_client_init(&self->client, self->broker.endpoint, ZMQ_DEALER);
    raw_call(&self->client, "PING", "{}");
    self->memory_before = broker_process_memory(&self->broker);
    *state = self;
    return 0;
}

int scene_teardown(void **state)
{
    struct scene *const self = *state;
    raw_client_fini(&self->client);
    broker_process_fini(&self->broker);
    free(self);
    return 0;
}

void scene_assert_well(struct scene *self, uint64_t bytes)
{
    struct raw_client other;
    raw_client_init(&other, self->broker.endpoint, ZMQ_DEALER);
    raw_call(&other, "PING", "{}");
    raw_client_fini(&other);
    const uint64_t memory = broker_process_memory(&self->broker);
    if (memory > self->memory_before && memory - self->memory_before > bytes) {
        fail_msg("zspoold grew from %" PRIu64 " to %" PRIu64 " bytes", self->memory_before, memory);
    }
}

void scene_restart(struct scene *self)
{
    raw_client_fini(&self->client);
    broker_process_kill(&self->broker);
    broker_process_start(&self->broker, NULL);
    raw_client_init(&self->client, self->broker.endpoint, ZMQ_DEALER);
}
