/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/crash/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <zmq.h>

#include "broker/store/check/check.h"
#include "broker/store/file/fs.h"
#include "common/record.h"
#include "tests/common/testing.h"
#include "tests/support/plain_body.h"

#define IN_FLIGHT_MAX 24u
#define BATCH_MAX     20u
#define LOOK_MS       20 /* how often a wait looks whether the broker has ended */
#define FILLER_MAX    900u
#define RUNS_MAX      1000u /* of a pull: it asks for no more messages */

static const char topic_args[] = "{'topic': 'load', 'partition': 0}";

void load_init(struct load *self, uint32_t seed)
{
    memset(self, 0, sizeof *self);
    self->messages = calloc(LOAD_MESSAGES_MAX, sizeof *self->messages);
    self->at = calloc(LOAD_MESSAGES_MAX, sizeof *self->at);
    assert_non_null(self->messages);
    assert_non_null(self->at);
    self->random = seed | 1u;
}

void load_fini(struct load *self)
{
    load_disconnect(self);
    free(self->messages);
    free(self->at);
}

uint32_t load_random(struct load *self, uint32_t end)
{
    self->random = self->random * 1664525u + 1013904223u;
    return (self->random >> 8) % end;
}

/* Wait for a reply, or for the end of the broker. */
static bool await(struct load *self)
{
    for (int waited_ms = 0; waited_ms < RAW_DEADLINE_MS; waited_ms += LOOK_MS) {
        if (raw_receive_within(&self->client, LOOK_MS)) {
            return true;
        }
        if (!broker_process_alive(self->broker)) {
            return false;
        }
    }
    fail_msg("the broker lives but does not answer");
    return false;
}

bool load_connect(struct load *self, struct broker_process *broker)
{
    raw_client_init(&self->client, broker->endpoint, ZMQ_DEALER);
    self->broker = broker;
    self->in_flight = 0;
    self->last_id = 1;
    raw_request(&self->client, 1, "HELLO", "{'versions': [1], 'client': 'load'}");
    return await(self) && raw_is_ok(&self->client);
}

void load_disconnect(struct load *self)
{
    if (self->broker) {
        raw_client_fini(&self->client);
        self->broker = NULL;
    }
}

/* --- Publishing ------------------------------------------------------------------------------ */

/* Message `number` as bytes: its number and a filler that only it has. */
static void write_payload(struct zsp_writer *out, uint32_t number)
{
    uint8_t payload[8 + FILLER_MAX];
    const size_t filler = (number * 37u) % FILLER_MAX;
    zsp_put_u32(payload, number);
    zsp_put_u32(payload + 4, number * 2654435761u);
    for (size_t i = 0; i < filler; i++) {
        payload[8 + i] = (uint8_t)(number + i);
    }
    raw_record(out, (struct zsp_slice){payload, 8 + filler});
}

/* The number of a record, which must be exactly what was sent. */
static uint32_t number_of(struct zsp_slice record)
{
    struct zsp_record decoded;
    struct zsp_writer wanted = {0};
    assert_int_equal(zsp_record_decode(record, &decoded, NULL), 0);
    assert_true(decoded.payload.len >= 8);
    const uint32_t number = zsp_get_u32(decoded.payload.data);
    write_payload(&wanted, number);
    assert_true(zsp_slice_equal(record, zsp_writer_slice(&wanted)));
    zsp_writer_fini(&wanted);
    return number;
}

/* Every third batch is compressed; it is read back by a client that does not accept that. */
static void send_batch(struct load *self, struct zsp_slice body)
{
    if (self->last_id % 3 != 0) {
        raw_request_body(&self->client, self->last_id, "PUBLISH", topic_args, body);
        return;
    }
    char args[120];
    struct zsp_buf *packed = plain_pack(body);
    (void)snprintf(args, sizeof args,
                   "{'topic': 'load', 'partition': 0, 'codec': 'zstd', 'raw_size': %zu}", body.len);
    raw_request_body(&self->client, self->last_id, "PUBLISH", args,
                     (struct zsp_slice){packed->data, packed->len});
    zsp_buf_put(&packed);
}

static void publish(struct load *self)
{
    struct zsp_writer body = {0};
    const uint32_t count = 1 + load_random(self, BATCH_MAX);
    assert_true(count <= LOAD_MESSAGES_MAX - self->sent_count);
    self->last_id++;
    self->first_of[self->last_id % 512] = self->sent_count;
    self->count_of[self->last_id % 512] = count;
    for (uint32_t i = 0; i < count; i++) {
        self->messages[self->sent_count].sent = true;
        write_payload(&body, self->sent_count);
        self->sent_count++;
    }
    send_batch(self, zsp_writer_slice(&body));
    self->in_flight++;
    zsp_writer_fini(&body);
}

static void note_confirm(struct load *self)
{
    const msgpack_object *const at = raw_value(&self->client, "at");
    assert_int_equal(at->via.array.size, 1);
    const uint64_t offset = at->via.array.ptr[0].via.array.ptr[3].via.u64;
    const uint32_t first = self->first_of[self->client.reply.id % 512];
    const uint32_t count = self->count_of[self->client.reply.id % 512];
    for (uint32_t i = 0; i < count; i++) {
        struct load_message *const message = &self->messages[first + i];
        assert_false(message->confirmed);
        message->confirmed = true;
        message->offset = offset + i;
        assert_int_equal(self->at[offset + i], 0);
        self->at[offset + i] = first + i + 1;
    }
    self->confirmed_count += count;
}

/* One answer; false = the broker has ended, or says that its storage failed (it
 * may then still have applied the request). Anything else but OK is wrong. */
static bool receive(struct load *self)
{
    if (!await(self)) {
        return false;
    }
    if (!raw_is_ok(&self->client) &&
        (self->tolerant || zsp_slice_equal_str(raw_str(&self->client, "code"), "storage_failed"))) {
        return false;
    }
    if (!raw_is_ok(&self->client)) {
        fail_msg("the load was answered %s", self->client.text);
    }
    self->in_flight--;
    return true;
}

static bool drain(struct load *self)
{
    while (self->in_flight > 0) {
        if (!receive(self)) {
            return false;
        }
        note_confirm(self);
    }
    return true;
}

/* --- Pulling ---------------------------------------------------------------------------------- */

/* A number of the pulled runs has been acked: which messages are they? */
static void note_acked(struct load *self, uint64_t first, uint64_t count)
{
    for (uint64_t offset = first; offset < first + count; offset++) {
        if (self->at[offset] != 0) {
            struct load_message *const message = &self->messages[self->at[offset] - 1];
            message->acked = true;
            self->acked_count++;
        }
    }
}

/* Compare the pulled records with the books; fills `at`. */
static void note_pulled(struct load *self, const msgpack_object *runs)
{
    struct zsp_slice rest = raw_body(&self->client);
    for (uint32_t i = 0; i < runs->via.array.size; i++) {
        const msgpack_object *const run = runs->via.array.ptr[i].via.array.ptr;
        for (uint64_t k = 0; k < run[3].via.u64; k++) {
            struct zsp_slice record;
            assert_int_equal(zsp_record_next(&rest, &record), 0);
            const uint32_t number = number_of(record);
            const uint64_t offset = run[2].via.u64 + k;
            assert_true(self->messages[number].sent);
            assert_false(self->messages[number].acked);
            assert_true(self->at[offset] == 0 || self->at[offset] == number + 1);
            self->at[offset] = number + 1;
        }
    }
    assert_int_equal(rest.len, 0);
}

/* Pull up to `max` and ack it. *ret_count = messages pulled. */
static bool pull_and_ack(struct load *self, uint32_t max, uint64_t *ret_count)
{
    char args[256];
    struct zsp_writer settle = {0};
    uint64_t ranges[RUNS_MAX][2];
    (void)snprintf(args, sizeof args,
                   "{'group': 'g', 'topics': ['load'], 'max_messages': %" PRIu32 "}", max);
    self->last_id++;
    raw_request(&self->client, self->last_id, "PULL", args);
    self->in_flight++;
    if (!receive(self)) {
        return false;
    }
    const msgpack_object *const runs = raw_value(&self->client, "runs");
    const uint32_t run_count = runs->via.array.size;
    assert_in_range(run_count, 0, RUNS_MAX);
    note_pulled(self, runs);
    self->last_id++;
    wire_write_request(&settle, zsp_slice_str("SETTLE"), self->last_id);
    wire_write_map(&settle, 2);
    wire_write_text_str(&settle, "group", zsp_slice_str("g"));
    wire_write_text(&settle, "runs");
    wire_write_array(&settle, run_count);
    *ret_count = 0;
    for (uint32_t i = 0; i < run_count; i++) {
        struct wire_run run;
        assert_int_equal(wire_run_decode(&runs->via.array.ptr[i], &run, NULL), 0);
        const struct wire_srun ack = {.topic = run.topic,
                                      .partition = run.partition,
                                      .first = run.first,
                                      .count = run.count,
                                      .lease = run.lease,
                                      .outcome = WIRE_ACK};
        wire_write_srun(&settle, &ack);
        ranges[i][0] = run.first;
        ranges[i][1] = run.count;
        *ret_count += run.count;
    }
    const struct zsp_slice frame = zsp_writer_slice(&settle);
    bool alive = true;
    if (run_count > 0) {
        raw_send(&self->client, &frame, 1);
        self->in_flight++;
        alive = receive(self);
    }
    for (uint32_t i = 0; alive && i < run_count; i++) {
        note_acked(self, ranges[i][0], ranges[i][1]);
    }
    zsp_writer_fini(&settle);
    return alive;
}

/* --- All of it ---------------------------------------------------------------------------------- */

bool load_run(struct load *self, uint32_t confirmations)
{
    const uint32_t goal = self->confirmed_count + confirmations;
    while (self->confirmed_count < goal) {
        while (self->in_flight < IN_FLIGHT_MAX) {
            publish(self);
        }
        if (!receive(self)) {
            return false;
        }
        note_confirm(self);
        if (load_random(self, 8) == 0) {
            uint64_t pulled = 0;
            if (!drain(self) || !pull_and_ack(self, 1 + load_random(self, 60), &pulled)) {
                return false;
            }
        }
    }
    while (self->in_flight < IN_FLIGHT_MAX) {
        publish(self);
    }
    return true;
}

/* Compare the records of one READ; returns how many there were. */
static uint64_t check_read(struct load *self, uint64_t from)
{
    const msgpack_object *const runs = raw_value(&self->client, "runs");
    struct zsp_slice rest = raw_body(&self->client);
    struct zsp_slice record;
    uint64_t offset = from;
    while (zsp_record_next(&rest, &record) == 0) {
        const uint32_t number = number_of(record);
        struct load_message *const message = &self->messages[number];
        assert_true(number < self->sent_count);
        assert_false(message->found);
        message->found = true;
        if (message->confirmed) {
            assert_int_equal(message->offset, offset);
        }
        message->offset = offset;
        offset++;
    }
    assert_int_equal(rest.len, 0);
    if (runs->via.array.size > 0) {
        assert_int_equal(runs->via.array.ptr[0].via.array.ptr[2].via.u64, from);
    }
    return offset - from;
}

static void check_log(struct load *self)
{
    uint64_t next = 0;
    uint64_t end = 1;
    while (next < end) {
        char args[128];
        (void)snprintf(args, sizeof args, "{'topic': 'load', 'from': ['offset', %" PRIu64 "]}",
                       next);
        raw_ask(&self->client, "READ", "%s", args);
        if (self->confirmed_count == 0 && !raw_is_ok(&self->client)) {
            raw_expect_error(&self->client, "not_found"); /* it died before it made the topic */
            return;
        }
        assert_true(raw_is_ok(&self->client));
        const uint64_t count = check_read(self, next);
        assert_int_equal(raw_uint(&self->client, "next"), next + count);
        next += count;
        end = raw_uint(&self->client, "end");
    }
    for (uint32_t i = 0; i < self->sent_count; i++) {
        if (self->messages[i].confirmed && !self->messages[i].found) {
            fail_msg("message %" PRIu32 " was confirmed at offset %" PRIu64 " and is gone", i,
                     self->messages[i].offset);
        }
    }
}

void load_verify(struct load *self, struct broker_process *broker)
{
    uint64_t pulled = 0;
    assert_true(load_connect(self, broker));
    check_log(self);
    /* note_pulled() holds that nothing acked comes back. */
    do {
        assert_true(pull_and_ack(self, 1000, &pulled));
    } while (pulled > 0);
    load_disconnect(self);
    for (uint32_t i = 0; i < self->sent_count; i++) {
        self->messages[i].found = false;
    }
}

static void fail_on_damage(void *arg, const struct check_finding *finding)
{
    (void)arg;
    if (finding->severity == CHECK_DAMAGE) {
        fail_msg("%s: pos %" PRIu64 ": %s", finding->path, finding->pos, finding->text);
    }
}

void load_check_files(const struct broker_process *broker)
{
    struct zsp_err err = {0};
    struct fs *fs = fs_posix_new(broker->data, &err);
    if (!fs) {
        fail_msg("%s", err.msg);
    }
    const struct check_options options = {
        .fs = fs, .body_fn = check_body, .sequences = true, .finding_fn = fail_on_damage};
    struct check_summary summary;
    if (check_store(&options, &summary, &err) != 0) {
        fail_msg("%s", err.msg);
    }
    fs_posix_destroy(&fs);
}
