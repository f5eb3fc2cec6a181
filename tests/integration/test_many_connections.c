/* SPDX-License-Identifier: MPL-2.0
 *
 * Ten thousand connections to one broker: each with a session and a parked PULL,
 * each gets its message, and when all vanish at once everything comes back.
 * ZSPOOL_CONNECTIONS sets another number. Figures are printed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/common/testing.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"
#include "tests/support/swarm.h"

#define CONNECTIONS 10000u
#define SPARE_FILES 200u
#define RUN_MS      180000
#define GONE_MS     60000
#define PINGS       200
#define IDLE_MS     2000
#define BATCH       500u
#define STAT_USER   14 /* fields of /proc/PID/stat, the first is 1 */
#define STAT_SYSTEM 15

struct crowd {
    size_t count;
    size_t ready, greeted, answered;
    uint8_t *got; /* by offset */
    struct wire_decoder *decoder;
    struct zsp_writer hello, pull;
};

/* --- What each of them does ------------------------------------------------------------------ */

static void say_hello(void *arg, struct swarm *swarm, size_t index)
{
    struct crowd *const self = arg;
    self->ready++;
    swarm_send(swarm, index, zsp_writer_slice(&self->hello));
}

/* The only message of a PULL's reply; nobody else may have got it. */
static void note_message(struct crowd *self, const msgpack_object *map)
{
    struct wire_run run;
    const msgpack_object *runs = wire_map_find(map, "runs");
    assert_non_null(runs);
    assert_int_equal(runs->via.array.size, 1);
    assert_int_equal(wire_run_decode(&runs->via.array.ptr[0], &run, NULL), 0);
    assert_int_equal(run.count, 1);
    assert_int_equal(run.deliveries, 1);
    assert_true(run.first < self->count);
    assert_false(self->got[run.first]);
    self->got[run.first] = 1;
    self->answered++;
}

static void hear(void *arg, struct swarm *swarm, size_t index, struct zsp_slice header)
{
    struct crowd *const self = arg;
    struct wire_reply reply;
    assert_int_equal(wire_reply_decode(self->decoder, header, &reply, NULL), 0);
    assert_int_equal(reply.status, WIRE_OK);
    if (reply.id == 1) {
        self->greeted++;
        swarm_send(swarm, index, zsp_writer_slice(&self->pull));
    } else {
        note_message(self, reply.map);
    }
}

static bool all_greeted(void *arg)
{
    const struct crowd *const self = arg;
    return self->greeted == self->count;
}

static bool all_answered(void *arg)
{
    const struct crowd *const self = arg;
    return self->answered == self->count;
}

static void crowd_init(struct crowd *self, size_t count)
{
    *self = (struct crowd){.count = count, .decoder = wire_decoder_new()};
    self->got = calloc(count + 1, 1);
    assert_non_null(self->got);
    wire_write_request(&self->hello, zsp_slice_str("HELLO"), 1);
    wire_write_map(&self->hello, 1);
    wire_write_text(&self->hello, "versions");
    wire_write_array(&self->hello, 1);
    wire_write_uint(&self->hello, 1);
    wire_write_request(&self->pull, zsp_slice_str("PULL"), 2);
    wire_write_map(&self->pull, 3);
    wire_write_text_str(&self->pull, "group", zsp_slice_str("g"));
    wire_write_text_uint(&self->pull, "max_messages", 1);
    wire_write_text_uint(&self->pull, "wait_ms", 60000);
}

static void crowd_fini(struct crowd *self)
{
    wire_decoder_destroy(&self->decoder);
    zsp_writer_fini(&self->hello);
    zsp_writer_fini(&self->pull);
    free(self->got);
}

/* --- What the broker is like meanwhile ---------------------------------------------------------- */

static int64_t now_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t figure(struct raw_client *client, const char *name)
{
    raw_call(client, "STATS", "{}");
    return raw_uint(client, name);
}

/* Microseconds of a PING, the quickest of many: what a turn of the broker costs. */
static int64_t ping_us(struct raw_client *client)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < PINGS; i++) {
        const int64_t start = now_us();
        raw_call(client, "PING", "{}");
        const int64_t took = now_us() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* Processor time of the process so far, in milliseconds. */
static long cpu_ms(pid_t pid)
{
    char path[64];
    char text[1024] = {0};
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    (void)fclose(file);
    const char *field = strrchr(text, ')');
    unsigned long ticks = 0;
    for (int number = 2; field && number < STAT_SYSTEM; number++) {
        field = strchr(field + 1, ' ');
        if (field && number + 1 >= STAT_USER) {
            ticks += strtoul(field, NULL, 10);
        }
    }
    assert_non_null(field);
    return (long)(ticks * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

static void publish(struct raw_client *client, size_t count)
{
    struct zsp_writer body = {0};
    for (size_t done = 0; done < count;) {
        zsp_writer_reset(&body);
        for (size_t i = 0; i < BATCH && done < count; i++, done++) {
            raw_record(&body, zsp_slice_str("hello"));
        }
        raw_request_body(client, 0, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&body));
        raw_receive(client);
        assert_true(raw_is_ok(client));
    }
    zsp_writer_fini(&body);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

/* How many connections this machine lets one process have; 0 = too few to test. */
static size_t connection_count(void)
{
    const char *const text = getenv("ZSPOOL_CONNECTIONS");
    const size_t wanted = text ? strtoul(text, NULL, 10) : CONNECTIONS;
    assert_true(wanted > 0);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted + SPARE_FILES) {
        print_message("%zu connections need more than %lu open files\n", wanted,
                      (unsigned long)limit.rlim_max);
        return 0;
    }
    return wanted;
}

static void ten_thousand_wait_get_their_message_and_vanish(void **state)
{
    (void)state;
    struct broker_process broker;
    struct raw_client client;
    struct crowd crowd;
    const size_t count = connection_count();
    if (count == 0) {
        skip();
    }
    assert_int_equal(setenv("ZSPOOL_NETWORK_SESSION_TIMEOUT", "10s", 1), 0);
    broker_process_init(&broker);
    broker_process_start(&broker, NULL);
    raw_client_init(&client, broker.endpoint, ZMQ_DEALER);
    raw_call(&client, "TOPIC.CREATE", "{'topic': 't'}");
    raw_call(&client, "GROUP.CREATE", "{'group': 'g', 'topics': ['t']}");
    const int64_t ping_before_us = ping_us(&client);
    const uint64_t memory_before = broker_process_memory(&broker);

    crowd_init(&crowd, count);
    const struct swarm_hooks hooks = {.arg = &crowd, .ready_fn = say_hello, .reply_fn = hear};
    struct swarm *swarm = swarm_new(broker.endpoint, count, &hooks);
    const int64_t start_us = now_us();
    swarm_run(swarm, all_greeted, RUN_MS);
    while (figure(&client, "parked_count") < count) {
        assert_true(now_us() - start_us < (int64_t)RUN_MS * 1000);
    }
    const int64_t opened_us = now_us() - start_us;
    assert_int_equal(figure(&client, "session_count"), count);
    assert_int_equal(figure(&client, "connection_count"), count + 1);
    const uint64_t memory_full = broker_process_memory(&broker);
    const long cpu_before_ms = cpu_ms(broker.pid);
    assert_false(raw_receive_within(&client, IDLE_MS)); /* idleness is what is measured */
    const long idle_ms = cpu_ms(broker.pid) - cpu_before_ms;
    const int64_t ping_full_us = ping_us(&client);

    const int64_t publish_us = now_us();
    publish(&client, count);
    swarm_run(swarm, all_answered, RUN_MS);
    const int64_t answered_us = now_us() - publish_us;

    swarm_destroy(&swarm);
    const int64_t gone_us = now_us();
    while (figure(&client, "connection_count") > 1 || figure(&client, "session_count") > 0) {
        assert_true(now_us() - gone_us < (int64_t)GONE_MS * 1000);
    }
    assert_int_equal(figure(&client, "detached_count"), 0);
    assert_int_equal(figure(&client, "request_count"), 1); /* STATS itself */
    const uint64_t memory_after = broker_process_memory(&broker);
    print_message("%zu connections with a session and a parked PULL each, opened in %.1f s\n"
                  "resident memory: %.1f MiB before, %.1f MiB with them (%.1f KiB each), "
                  "%.1f MiB after they vanished\n"
                  "processor while idle: %ld ms in %d ms; PING: %" PRId64 " us before, %" PRId64
                  " us with them\n"
                  "%zu messages published, pulled and received in %.2f s\n",
                  count, (double)opened_us / 1e6, mib(memory_before), mib(memory_full),
                  (double)(memory_full - memory_before) / 1024.0 / (double)count, mib(memory_after),
                  idle_ms, IDLE_MS, ping_before_us, ping_full_us, count, (double)answered_us / 1e6);
    assert_true(idle_ms <= IDLE_MS / 4); /* a scan of all of them would be seen */
    /* Below some thousand the heap keeps it for the next ones. */
    if (count >= CONNECTIONS) {
        assert_true(memory_after - memory_before < (memory_full - memory_before) / 2);
    }
    raw_client_fini(&client);
    assert_int_equal(broker_process_stop(&broker), 0);
    broker_process_fini(&broker);
    crowd_fini(&crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_wait_get_their_message_and_vanish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
