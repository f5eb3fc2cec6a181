/* SPDX-License-Identifier: MPL-2.0
 *
 * W3 and W5: a backlog, through a group with acks, and read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/bench/bench.h"

#define LOOK_EVERY        256u /* messages between two looks at the clock */
#define PREFETCH_MESSAGES 100000u
#define PREFETCH_BYTES    ((size_t)4 << 20)
/* What zspool.h tells of them. */
#define PREFETCH_MESSAGES_USUAL 1000u
#define PREFETCH_BYTES_USUAL    ((size_t)1 << 20)
#define GROUP_NAME_BYTES        96u

static bool is_over(uint64_t messages, int64_t end_ns)
{
    return messages % LOOK_EVERY == 0 && (bench_now_ns() >= end_ns || cli_stopped());
}

static int64_t end_of(const struct bench *self)
{
    return bench_now_ns() + (int64_t)self->ms * 1000000;
}

/* An end that was to be expected. */
static bool is_end(int rc)
{
    return rc == 0 || rc == ZSPOOL_END || rc == ZSPOOL_EINTERRUPTED;
}

/* Nothing there is no measurement. */
static int conclude(const struct bench *self, struct bench_result *ret)
{
    if (ret->count == 0) {
        cli_say("topic %s: there is nothing to measure", self->topic);
        return CLI_TIMEOUT;
    }
    ret->payload_bytes = (ret->bytes + ret->count / 2) / ret->count; /* as they are there */
    return CLI_OK;
}

/* --- W3 ------------------------------------------------------------------------------------ */

struct plan {
    const char *group; /* what the names of the groups begin with */
};

struct bench_member {
    struct bench_worker worker;
    zspool_consumer_t *consumer;
};

static struct bench_member *member_of(struct bench_worker *worker)
{
    return (struct bench_member *)(void *)worker; /* its first member */
}

static void write_group(const struct plan *plan, uint64_t index, char *to, size_t size)
{
    (void)snprintf(to, size, "%s.%llu", plan->group, (unsigned long long)index);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* It pulls as soon as it is made: not before the start. */
static int join(struct bench_member *self)
{
    const struct bench *bench = self->worker.bench;
    char group[GROUP_NAME_BYTES];
    write_group(self->worker.job->plan, self->worker.index / bench->members, group, sizeof group);
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = group;
    options.topics = &bench->topic;
    options.topic_count = 1;
    /* What one member has prefetched, many share; but not less each than usual. */
    options.prefetch_messages =
        (uint32_t)larger(PREFETCH_MESSAGES / bench->members, PREFETCH_MESSAGES_USUAL);
    options.prefetch_bytes = (size_t)larger(PREFETCH_BYTES / bench->members, PREFETCH_BYTES_USUAL);
    options.end_when_empty = true;
    self->consumer = zspool_consumer_new(self->worker.client, &options, &self->worker.err);
    return self->consumer ? 0 : self->worker.err.code;
}

static int pull_all(struct bench_worker *worker)
{
    struct bench_member *self = member_of(worker);
    const int64_t end_ns = end_of(worker->bench);
    int rc = join(self);
    if (rc != 0) {
        return rc;
    }
    for (uint64_t i = 1; rc == 0 && !is_over(i, end_ns); i++) {
        const zspool_message_t *message;
        rc = zspool_next(self->consumer, &message, cli_timeout(), &worker->err);
        if (rc == 0) {
            worker->count++;
            worker->bytes += message->payload.len;
            rc = zspool_settle(self->consumer, message, ZSPOOL_ACK, NULL, &worker->err);
        }
    }
    if (!is_end(rc)) {
        return rc;
    }
    zspool_consumer_stop(self->consumer);
    return zspool_settle_flush(self->consumer, cli_timeout(), &worker->err);
}

static int open_member(struct bench_worker *worker)
{
    (void)worker; /* it has its connection */
    return 0;
}

static void close_member(struct bench_worker *worker)
{
    zspool_consumer_destroy(&member_of(worker)->consumer);
}

static int create_group(const struct bench *self, const char *group, zspool_error_t *err)
{
    zspool_group_spec_t spec;
    zspool_group_spec_init(&spec, group);
    spec.topics = &self->topic;
    spec.topic_count = 1;
    spec.start = self->start;
    return zspool_group_create(self->client, &spec, cli_timeout(), err);
}

static int pull_through(const struct bench *self, const struct plan *plan, struct bench_result *ret)
{
    const struct bench_job job = {.size = sizeof(struct bench_member),
                                  .open_fn = open_member,
                                  .work_fn = pull_all,
                                  .close_fn = close_member,
                                  .plan = plan};
    zspool_error_t err = {0};
    char group[GROUP_NAME_BYTES];
    uint64_t created = 0;
    int rc = 0;
    for (; rc == 0 && created < self->groups; created += rc == 0 ? 1 : 0) {
        write_group(plan, created, group, sizeof group);
        rc = create_group(self, group, &err);
    }
    const int code =
        rc == 0 ? bench_crew(self, self->groups * self->members, &job, ret) : cli_fail(&err);
    for (uint64_t i = 0; i < created; i++) {
        write_group(plan, i, group, sizeof group);
        bench_delete_group(self->client, group);
    }
    return code;
}

int bench_pull(const struct bench *self, struct bench_result *ret)
{
    char name[64];
    bench_unique_name(name, sizeof name);
    const struct plan plan = {name};
    *ret = (struct bench_result){.workload = "W3", .level = ZSPOOL_SYNCED};
    (void)snprintf(ret->notes, sizeof ret->notes,
                   "pull a backlog through %llu group(s) of %llu member(s), ack each",
                   (unsigned long long)self->groups, (unsigned long long)self->members);
    const int code = pull_through(self, &plan, ret);
    return code == CLI_OK ? conclude(self, ret) : code;
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
    return is_end(rc) ? conclude(self, ret) : cli_fail(&err);
}
