/* SPDX-License-Identifier: MPL-2.0
 *
 * Answers in parts, and compressed bodies, over raw sockets.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/limits.h"
#include "tests/integration/scene.h"
#include "tests/support/plain_body.h"

#define BATCHES      40u
#define RECORD_BYTES (128u * ZSP_KIB)

/* One record of 128 KiB that begins with its number. */
static void write_record(struct zsp_writer *out, unsigned number)
{
    static uint8_t payload[RECORD_BYTES];
    memset(payload, 'x', sizeof payload);
    (void)snprintf((char *)payload, sizeof payload, "%u", number);
    raw_record(out, (struct zsp_slice){payload, sizeof payload});
}

/* 5 MiB in forty batches. */
static void publish_all(struct raw_client *client)
{
    for (unsigned i = 0; i < BATCHES; i++) {
        struct zsp_writer body = {0};
        write_record(&body, i);
        raw_request_body(client, 0, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&body));
        raw_receive(client);
        assert_true(raw_is_ok(client));
        zsp_writer_fini(&body);
    }
}

/* What replies to one request brought. */
struct whole {
    struct zsp_writer body;
    unsigned parts;
};

static void receive_whole(struct raw_client *client, struct whole *ret)
{
    *ret = (struct whole){0};
    for (;;) {
        raw_receive(client);
        zsp_write_bytes(&ret->body, raw_body(client));
        if (client->reply.status != WIRE_PART) {
            assert_true(raw_is_ok(client));
            return;
        }
        ret->parts++;
    }
}

static void assert_records(struct whole *whole, unsigned first, unsigned count)
{
    struct zsp_writer wanted = {0};
    for (unsigned i = 0; i < count; i++) {
        write_record(&wanted, first + i);
    }
    assert_true(zsp_slice_equal(zsp_writer_slice(&whole->body), zsp_writer_slice(&wanted)));
    zsp_writer_fini(&wanted);
    zsp_writer_fini(&whole->body);
}

#define READ_ALL "{'topic': 't', 'from': 'earliest', 'max_bytes': 268435456, 'parts': true}"

static void a_replay_streams_in_parts(void **state)
{
    struct scene *const self = *state;
    struct whole whole;
    publish_all(&self->client);
    raw_request(&self->client, 0, "READ", READ_ALL);
    receive_whole(&self->client, &whole);
    assert_in_range(whole.parts, 10, BATCHES);
    assert_int_equal(raw_uint(&self->client, "next"), BATCHES);
    assert_records(&whole, 0, BATCHES);
}

static void a_large_pull_comes_in_parts(void **state)
{
    struct scene *const self = *state;
    struct whole whole;
    publish_all(&self->client);
    raw_request(&self->client, 0, "PULL",
                "{'group': 'g', 'topics': ['t'], 'max_bytes': 16777216, 'parts': true}");
    receive_whole(&self->client, &whole);
    assert_in_range(whole.parts, 10, BATCHES);
    assert_true(raw_uint(&self->client, "lease_ms") > 0);
    assert_records(&whole, 0, BATCHES);
    raw_call(&self->client, "GROUP.INFO", "{'group': 'g'}");
    assert_non_null(strstr(self->client.text, "[\"t\", 0, 0, 40, 0, 40, 0, 0, 0, 0"));
}

/* Goal: a reply that stops in the middle leaves nothing behind. Method: a client that takes one
 * part, and goes. */
static void a_client_may_go_in_the_middle(void **state)
{
    struct scene *const self = *state;
    publish_all(&self->client);
    for (int round = 0; round < 5; round++) {
        struct raw_client slow;
        raw_client_init_slow(&slow, self->broker.endpoint);
        raw_request(&slow, 0, "READ", READ_ALL);
        raw_request(&slow, 0, "PULL",
                    "{'group': 'g', 'topics': ['t'], 'max_bytes': 16777216, 'parts': true}");
        raw_receive(&slow);
        raw_client_fini(&slow);
    }
    struct whole whole;
    raw_request(&self->client, 0, "READ", READ_ALL);
    receive_whole(&self->client, &whole);
    assert_records(&whole, 0, BATCHES);
    raw_call(&self->client, "PING", "{}");
}

/* Goal: who reads slowly gets all, if in more than one request. */
static void a_slow_reader_gets_everything(void **state)
{
    struct scene *const self = *state;
    struct raw_client slow;
    publish_all(&self->client);
    raw_client_init_slow(&slow, self->broker.endpoint);
    uint64_t next = 0;
    while (next < BATCHES) {
        struct whole whole;
        char args[160];
        (void)snprintf(args, sizeof args,
                       "{'topic': 't', 'from': ['offset', %" PRIu64 "], 'max_bytes': 268435456, "
                       "'parts': true}",
                       next);
        raw_request(&slow, 0, "READ", args);
        receive_whole(&slow, &whole);
        const uint64_t end = raw_uint(&slow, "next");
        assert_true(end > next);
        assert_records(&whole, (unsigned)next, (unsigned)(end - next));
        next = end;
    }
    raw_client_fini(&slow);
}

/* Goal: a stored frame travels as it came, to those who accept it; others see records. */
static void a_compressed_batch_is_read_by_all(void **state)
{
    struct scene *const self = *state;
    struct raw_client *const client = &self->client;
    struct zsp_writer body = {0};
    for (unsigned i = 0; i < 20; i++) {
        write_record(&body, i);
    }
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    char args[100];
    (void)snprintf(args, sizeof args, "{'topic': 't', 'codec': 'zstd', 'raw_size': %zu}", body.len);
    raw_request_body(client, 0, "PUBLISH", args, (struct zsp_slice){packed->data, packed->len});
    raw_receive(client);
    assert_true(raw_is_ok(client));
    scene_restart(self); /* from disk */
    for (int round = 0; round < 2; round++) {
        raw_call(client, "READ", "{'topic': 't', 'from': 'earliest', 'max_bytes': 16777216}");
        assert_true(zsp_slice_equal(raw_body(client), zsp_writer_slice(&body)));
        raw_call(client, "READ",
                 "{'topic': 't', 'from': 'earliest', 'max_bytes': 16777216, 'accept': ['zstd']}");
        assert_int_equal(client->frame_count - client->header_index, 2);
        assert_true(
            zsp_slice_equal(raw_body(client), (struct zsp_slice){packed->data, packed->len}));
    }
    zsp_buf_put(&packed);
    zsp_writer_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_replay_streams_in_parts),         SCENE_TEST(a_large_pull_comes_in_parts),
        SCENE_TEST(a_client_may_go_in_the_middle),     SCENE_TEST(a_slow_reader_gets_everything),
        SCENE_TEST(a_compressed_batch_is_read_by_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
