/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/served.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/common/testing.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

static const char *const topics[] = {"t"};

void served_start(struct served *self)
{
    broker_process_init(&self->broker);
    broker_process_start(&self->broker, NULL);
    self->client = zspool_new(self->broker.endpoint, NULL, NULL);
    assert_non_null(self->client);
}

void served_end(struct served *self)
{
    zspool_destroy(&self->client);
    assert_null(self->client);
    broker_process_fini(&self->broker);
}

void served_topic(zspool_client_t *client, const char *topic, uint32_t partitions)
{
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, topic);
    spec.partitions = partitions;
    assert_int_equal(zspool_topic_create(client, &spec, WAIT_MS, NULL), 0);
}

void served_group(zspool_client_t *client, const char *group, int64_t lease_ms)
{
    const zspool_figure_t lease = {.name = "lease_ms", .value = lease_ms};
    zspool_group_spec_t spec;
    zspool_group_spec_init(&spec, group);
    spec.topics = topics;
    spec.topic_count = 1;
    spec.settings = &lease;
    spec.setting_count = 1;
    assert_int_equal(zspool_group_create(client, &spec, WAIT_MS, NULL), 0);
}

zspool_consumer_t *served_consumer(zspool_client_t *client, const char *group)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = group;
    options.topics = topics;
    options.topic_count = 1;
    zspool_consumer_t *const consumer = zspool_consumer_new(client, &options, NULL);
    assert_non_null(consumer);
    return consumer;
}

void served_publish(zspool_client_t *client, int count)
{
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    assert_non_null(producer);
    for (int i = 0; i < count; i++) {
        const zspool_out_t out = zspool_out("t", "x", 1);
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
}

void served_send_number(zspool_producer_t *producer, int number)
{
    char text[16];
    const int len = snprintf(text, sizeof text, "%d", number);
    const zspool_out_t out = zspool_out("t", text, (size_t)len);
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
}

int served_number(const zspool_message_t *message)
{
    char text[16];
    assert_true(message->payload.len < sizeof text);
    memcpy(text, message->payload.data, message->payload.len);
    text[message->payload.len] = '\0';
    return (int)strtol(text, NULL, 10);
}

int64_t served_figure(zspool_client_t *client, const char *name)
{
    zspool_figures_t *figures;
    assert_int_equal(zspool_stats(client, WAIT_MS, &figures, NULL), 0);
    for (size_t i = 0; i < figures->count; i++) {
        if (strcmp(figures->items[i].name, name) == 0) {
            const int64_t value = figures->items[i].value;
            zspool_free(figures);
            return value;
        }
    }
    fail_msg("STATS has no %s", name);
    return -1;
}
