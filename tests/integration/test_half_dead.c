/* SPDX-License-Identifier: MPL-2.0
 *
 * A peer that vanishes without a word: no FIN, no answer to anything. TCP's
 * keepalive closes its connection after 40 s; the broker learns of it with
 * the next thing that it sends, and the message goes to somebody else.
 */
#include <stdio.h>
#include <zmq.h>

#include "tests/common/testing.h"
#include "tests/support/broker_process.h"
#include "tests/support/proc.h"
#include "tests/support/raw_client.h"
#include "tests/support/swarm.h"

#define RUN_MS 90000

struct peer {
    struct swarm *swarm;
    unsigned replies; /* to HELLO, to PING */
    char files[32];   /* the broker's descriptors: a directory */
    unsigned file_count;
};

static void send_request(struct swarm *swarm, size_t index, uint64_t id, const char *verb)
{
    struct zsp_writer out = {0};
    wire_write_request(&out, zsp_slice_str(verb), id);
    if (id == 1) {
        wire_write_map(&out, 1);
        wire_write_text(&out, "versions");
        wire_write_array(&out, 1);
        wire_write_uint(&out, 1);
    } else if (id == 2) {
        wire_write_map(&out, 2);
        wire_write_text_str(&out, "group", zsp_slice_str("g"));
        wire_write_text_uint(&out, "wait_ms", 60000);
    } else {
        wire_write_map(&out, 0);
    }
    swarm_send(swarm, index, zsp_writer_slice(&out));
    zsp_writer_fini(&out);
}

static void say_hello(void *arg, struct swarm *swarm, size_t index)
{
    (void)arg;
    send_request(swarm, index, 1, "HELLO");
}

static void hear(void *arg, struct swarm *swarm, size_t index, struct zsp_slice header)
{
    struct peer *const self = arg;
    (void)header;
    self->replies++;
    if (self->replies == 1) {
        send_request(swarm, index, 2, "PULL");
        send_request(swarm, index, 3, "PING"); /* its answer: the PULL is parked */
    }
}

static bool is_parked(void *arg)
{
    return ((struct peer *)arg)->replies == 2;
}

static bool is_closed(void *arg)
{
    const struct peer *const self = arg;
    return proc_count(self->files, NULL) < self->file_count;
}

static uint64_t figure(struct raw_client *client, const char *name)
{
    raw_call(client, "STATS", "{}");
    return raw_uint(client, name);
}

static void a_vanished_peer_is_found_and_its_message_goes_on(void **state)
{
    (void)state;
    struct broker_process broker;
    struct raw_client client;
    struct peer peer = {0};
    broker_process_init(&broker);
    broker_process_start(&broker, NULL);
    raw_client_init(&client, broker.endpoint, ZMQ_DEALER);
    raw_call(&client, "TOPIC.CREATE", "{'topic': 't'}");
    raw_call(&client, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}");
    const struct swarm_hooks hooks = {.arg = &peer, .ready_fn = say_hello, .reply_fn = hear};
    peer.swarm = swarm_new(broker.endpoint, 1, &hooks);
    swarm_run(peer.swarm, is_parked, RUN_MS);
    (void)snprintf(peer.files, sizeof peer.files, "/proc/%ld/fd", (long)broker.pid);
    peer.file_count = proc_count(peer.files, NULL);
    swarm_deafen(peer.swarm);
    swarm_run(peer.swarm, is_closed, RUN_MS);
    assert_int_equal(figure(&client, "session_count"), 1); /* nobody has told the broker */
    assert_int_equal(figure(&client, "parked_count"), 1);
    raw_publish(&client, "t", "a");
    raw_call(&client, "PULL", "{'group': 'g', 'wait_ms': 20000}");
    const msgpack_object *runs = raw_value(&client, "runs");
    struct wire_run run;
    assert_int_equal(runs->via.array.size, 1);
    assert_int_equal(wire_run_decode(&runs->via.array.ptr[0], &run, NULL), 0);
    assert_int_equal(run.deliveries, 1); /* what nobody was sent does not count */
    assert_int_equal(figure(&client, "detached_count"), 1);
    assert_int_equal(figure(&client, "parked_count"), 0);
    swarm_destroy(&peer.swarm);
    raw_client_fini(&client);
    assert_int_equal(broker_process_stop(&broker), 0);
    broker_process_fini(&broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vanished_peer_is_found_and_its_message_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
