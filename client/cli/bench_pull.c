/* SPDX-License-Identifier: MPL-2.0
 *
 * W3 and W5: a backlog, through a group with acks, and read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/bench.h"

#define LOOK_EVERY        256u /* messages between two looks at the clock */
#define PREFETCH_MESSAGES 100000u
#define PREFETCH_BYTES    ((size_t)4 << 20)

static bool is_over(uint64_t messages, int64_t end_ns)
{
    return messages % LOOK_EVERY == 0 && (bench_now_ns() >= end_ns || cli_stopped());
}

static int64_t end_of(const struct bench *self)
{
    return bench_now_ns() + (int64_t)self->seconds * 1000000000;
}

/* An end that was to be expected. */
static bool is_end(int rc)
{
    return rc == 0 || rc == ZSPOOL_END || rc == ZSPOOL_EINTERRUPTED;
}

/* Nothing there is no measurement. */
static int conclude(const struct bench *self, struct bench_result *ret, int rc,
                    const zspool_error_t *err)
{
    if (!is_end(rc)) {
        return cli_fail(err);
    }
    if (ret->count == 0) {
        cli_say("topic %s: there is nothing to measure", self->topic);
        return CLI_TIMEOUT;
    }
    ret->payload_bytes = (ret->bytes + ret->count / 2) / ret->count; /* as they are there */
    return CLI_OK;
}

/* --- W3 ------------------------------------------------------------------------------------ */

static int pull_all(zspool_consumer_t *consumer, int64_t end_ns, struct bench_result *ret,
                    zspool_error_t *err)
{
    const zspool_message_t *message;
    int rc = 0;
    for (uint64_t i = 1; rc == 0 && !is_over(i, end_ns); i++) {
        rc = zspool_next(consumer, &message, cli_timeout(), err);
        if (rc == 0) {
            ret->count++;
            ret->bytes += message->payload.len;
            rc = zspool_settle(consumer, message, ZSPOOL_ACK, NULL, err);
        }
    }
    if (!is_end(rc)) {
        return rc;
    }
    zspool_consumer_stop(consumer);
    return zspool_settle_flush(consumer, cli_timeout(), err);
}

int bench_pull(const struct bench *self, struct bench_result *ret)
{
    zspool_error_t err = {0};
    char group[64];
    zspool_group_spec_t spec;
    bench_unique_name(group, sizeof group);
    zspool_group_spec_init(&spec, group);
    spec.topics = &self->topic;
    spec.topic_count = 1;
    *ret = (struct bench_result){.workload = "W3",
                                 .level = ZSPOOL_SYNCED,
                                 .notes = "pull a backlog through a group, ack each"};
    if (zspool_group_create(self->client, &spec, cli_timeout(), &err) != 0) {
        return cli_fail(&err);
    }
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = group;
    options.topics = &self->topic;
    options.topic_count = 1;
    options.prefetch_messages = PREFETCH_MESSAGES;
    options.prefetch_bytes = PREFETCH_BYTES;
    options.end_when_empty = true;
    const struct bench_meter meter = bench_meter_begin(self->client);
    zspool_consumer_t *consumer = zspool_consumer_new(self->client, &options, &err);
    const int rc = consumer ? pull_all(consumer, end_of(self), ret, &err) : err.code;
    bench_meter_end(&meter, ret);
    zspool_consumer_destroy(&consumer);
    bench_delete_group(self->client, group);
    return conclude(self, ret, rc, &err);
}

/* --- W5 ------------------------------------------------------------------------------------ */

int bench_read(const struct bench *self, struct bench_result *ret)
{
    zspool_error_t err = {0};
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = self->topic;
    options.prefetch_bytes = PREFETCH_BYTES;
    *ret = (struct bench_result){
        .workload = "W5", .level = ZSPOOL_SYNCED, .notes = "read a backlog, no acks"};
    const struct bench_meter meter = bench_meter_begin(self->client);
    zspool_reader_t *reader = zspool_reader_new(self->client, &options, &err);
    const zspool_message_t *message;
    const int64_t end_ns = end_of(self);
    int rc = reader ? 0 : err.code;
    for (uint64_t i = 1; rc == 0 && !is_over(i, end_ns); i++) {
        rc = zspool_read(reader, &message, cli_timeout(), &err);
        ret->count += rc == 0 ? 1 : 0;
        ret->bytes += rc == 0 ? message->payload.len : 0;
    }
    bench_meter_end(&meter, ret);
    zspool_reader_destroy(&reader);
    return conclude(self, ret, rc, &err);
}
