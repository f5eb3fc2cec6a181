/* SPDX-License-Identifier: MPL-2.0
 *
 * RabbitMQ over AMQP 0.9.1 (librabbitmq), -m quorum (the default) or stream. W1 publishes
 * with confirms, W2 with one message in flight, W3 consumes with prefetch and multiple
 * acks, W4 end to end, W5 a stream from its first message (acks there only grant credit).
 * W3 and W5 read what W1 left; W5 takes -n from there.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "bench/peers/peer.h"

#define PORT             5672
#define CHANNEL          1
#define FRAME_BYTES_MAX  131072
#define TAGS_MAX         65536u /* confirms that may be out; a power of two */
#define SEND_AT_ONCE     32     /* messages between two looks for confirms */
#define CONFIRM_WAIT_S   30
#define MESSAGE_WAIT_S   10
#define E2E_PREFETCH     1000
#define E2E_ACK_EVERY    50
#define LOOK_EVERY       64u /* messages between two looks at the clock */
#define PERSISTENT       2
#define QUEUE_NAME_BYTES 64

static void check(int status, const char *what)
{
    if (status != AMQP_STATUS_OK) {
        die("rabbit: %s: %s", what, amqp_error_string2(status));
    }
}

static void check_answer(amqp_rpc_reply_t answer, const char *what)
{
    if (answer.reply_type == AMQP_RESPONSE_NORMAL) {
        return;
    }
    if (answer.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        answer.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *closed = answer.reply.decoded;
        die("rabbit: %s: %.*s", what, (int)closed->reply_text.len,
            (const char *)closed->reply_text.bytes);
    }
    die("rabbit: %s: %s", what, amqp_error_string2(answer.library_error));
}

static void check_last(amqp_connection_state_t connection, const char *what)
{
    check_answer(amqp_get_rpc_reply(connection), what);
}

static amqp_connection_state_t dial(const struct options *options)
{
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket) {
        die("rabbit: no socket");
    }
    check(amqp_socket_open(socket, options->host, options->port != 0 ? options->port : PORT),
          "connect");
    check_answer(amqp_login(connection, "/", 0, FRAME_BYTES_MAX, 0, AMQP_SASL_METHOD_PLAIN, "guest",
                            "guest"),
                 "login");
    (void)amqp_channel_open(connection, CHANNEL);
    check_last(connection, "channel.open");
    return connection;
}

static void hang_up(amqp_connection_state_t connection)
{
    (void)amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    (void)amqp_destroy_connection(connection);
}

static const char *queue_type(const struct options *options)
{
    return *options->mode ? options->mode : "quorum";
}

static bool is_stream(const struct options *options)
{
    return is(queue_type(options), "stream");
}

/* "quorum.bench.100" */
static void queue_name(const struct options *options, const char *suffix, char *ret)
{
    (void)snprintf(ret, QUEUE_NAME_BYTES, "%s.%s.%zu", queue_type(options), suffix,
                   options->payload_bytes);
}

/* An empty one. */
static void queue_create(const struct options *options, const char *name)
{
    amqp_connection_state_t connection = dial(options);
    amqp_table_entry_t type = {.key = amqp_cstring_bytes("x-queue-type"),
                               .value = {.kind = AMQP_FIELD_KIND_UTF8,
                                         .value.bytes = amqp_cstring_bytes(queue_type(options))}};
    const amqp_table_t arguments = {.num_entries = 1, .entries = &type};
    (void)amqp_queue_delete(connection, CHANNEL, amqp_cstring_bytes(name), 0, 0);
    check_last(connection, "queue.delete");
    (void)amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(name), 0, 1, 0, 0, arguments);
    check_last(connection, "queue.declare");
    hang_up(connection);
}

static uint64_t queue_count(amqp_connection_state_t connection, const char *name)
{
    const amqp_queue_declare_ok_t *found = amqp_queue_declare(
        connection, CHANNEL, amqp_cstring_bytes(name), 1, 1, 0, 0, amqp_empty_table);
    check_last(connection, "queue.declare");
    return found->message_count;
}

static void queue_delete(const struct options *options, const char *name)
{
    amqp_connection_state_t connection = dial(options);
    (void)amqp_queue_delete(connection, CHANNEL, amqp_cstring_bytes(name), 0, 0);
    check_last(connection, "queue.delete");
    hang_up(connection);
}

/* --- Publishers ------------------------------------------------------------------------------ */

struct publisher {
    amqp_connection_state_t connection;
    char queue[QUEUE_NAME_BYTES];
    uint64_t sent;           /* tags 1 to sent are out or confirmed */
    uint64_t confirmed;      /* all up to this one are */
    bool confirms[TAGS_MAX]; /* above; by tag */
};

static struct publisher *publisher_new(const struct options *options, const char *suffix)
{
    struct publisher *self = allocate(sizeof *self);
    memset(self, 0, sizeof *self);
    queue_name(options, suffix, self->queue);
    self->connection = dial(options);
    (void)amqp_confirm_select(self->connection, CHANNEL);
    check_last(self->connection, "confirm.select");
    return self;
}

static void publisher_destroy(struct publisher *self)
{
    hang_up(self->connection);
    free(self);
}

static void publisher_send(struct publisher *self, amqp_bytes_t body)
{
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                                .delivery_mode = PERSISTENT};
    check(amqp_basic_publish(self->connection, CHANNEL, amqp_empty_bytes,
                             amqp_cstring_bytes(self->queue), 0, 0, &properties, body),
          "publish");
    self->sent++;
}

static void take_ack(struct publisher *self, const amqp_basic_ack_t *ack)
{
    const uint64_t first = ack->multiple ? self->confirmed + 1 : ack->delivery_tag;
    for (uint64_t tag = first; tag <= ack->delivery_tag; tag++) {
        self->confirms[tag % TAGS_MAX] = true;
    }
    while (self->confirmed < self->sent && self->confirms[(self->confirmed + 1) % TAGS_MAX]) {
        self->confirmed++;
        self->confirms[self->confirmed % TAGS_MAX] = false;
    }
}

/* Take the confirms that are there; with `wait`, at least one. */
static void publisher_confirm(struct publisher *self, bool wait)
{
    for (;;) {
        amqp_frame_t frame;
        const struct timeval timeout = {.tv_sec = wait ? CONFIRM_WAIT_S : 0};
        const int status = amqp_simple_wait_frame_noblock(self->connection, &frame, &timeout);
        if (status == AMQP_STATUS_TIMEOUT && !wait) {
            break;
        }
        check(status, "confirm");
        if (frame.frame_type != AMQP_FRAME_METHOD) {
            continue;
        }
        if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
            die("rabbit: the broker refused a message");
        }
        take_ack(self, frame.payload.method.decoded);
        wait = false;
    }
    amqp_maybe_release_buffers(self->connection);
}

/* --- W1, W2 ---------------------------------------------------------------------------------- */

static void publish_pipelined(struct producer *self)
{
    const unsigned in_flight = self->options->in_flight;
    const size_t bytes = self->options->payload_bytes;
    struct publisher *publisher = publisher_new(self->options, "bench");
    char *payload = payload_new(bytes);
    const amqp_bytes_t body = {.len = bytes, .bytes = payload};
    producer_wait(self);
    while (publisher->sent < self->count_max && now_ns() < self->stop_ns) {
        for (int i = 0; i < SEND_AT_ONCE && publisher->sent < self->count_max &&
                        publisher->sent - publisher->confirmed < in_flight;
             i++) {
            publisher_send(publisher, body);
        }
        publisher_confirm(publisher, publisher->sent - publisher->confirmed >= in_flight);
    }
    while (publisher->confirmed < publisher->sent) {
        publisher_confirm(publisher, true);
    }
    self->confirmed = publisher->confirmed;
    publisher_destroy(publisher);
    free(payload);
}

static void publish_one_by_one(struct producer *self)
{
    const size_t bytes = self->options->payload_bytes;
    struct publisher *publisher = publisher_new(self->options, "single");
    char *payload = payload_new(bytes);
    const amqp_bytes_t body = {.len = bytes, .bytes = payload};
    producer_wait(self);
    uint64_t sent_ns = now_ns();
    while (publisher->sent < self->count_max && sent_ns < self->stop_ns) {
        publisher_send(publisher, body);
        while (publisher->confirmed < publisher->sent) {
            publisher_confirm(publisher, true);
        }
        const uint64_t now = now_ns();
        samples_add(&self->latency, now - sent_ns);
        sent_ns = now;
    }
    self->confirmed = publisher->confirmed;
    publisher_destroy(publisher);
    free(payload);
}

static void publish(const struct options *options, bool one)
{
    char queue[QUEUE_NAME_BYTES];
    struct samples latency = {0};
    queue_name(options, one ? "single" : "bench", queue);
    queue_create(options, queue);
    struct result result =
        producers_run(options, one ? publish_one_by_one : publish_pipelined, &latency);
    if (one) {
        queue_delete(options, queue);
    }
    report(options, &result,
           "persistent, publisher confirms, %u producer(s) with %u in flight each",
           options->producers, one ? 1 : options->in_flight);
    samples_fini(&latency);
}

/* --- W3, W5 ---------------------------------------------------------------------------------- */

static amqp_connection_state_t consumer_new(const struct options *options, const char *queue,
                                            unsigned prefetch)
{
    amqp_connection_state_t self = dial(options);
    amqp_table_entry_t start = {
        .key = amqp_cstring_bytes("x-stream-offset"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("first")}};
    const amqp_table_t arguments = {.num_entries = is_stream(options) ? 1 : 0, .entries = &start};
    (void)amqp_basic_qos(self, CHANNEL, 0, (uint16_t)prefetch, 0);
    check_last(self, "basic.qos");
    (void)amqp_basic_consume(self, CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0,
                             arguments);
    check_last(self, "basic.consume");
    return self;
}

/* The next message; amqp_destroy_envelope() it. */
static amqp_envelope_t consumer_next(amqp_connection_state_t self, uint64_t received)
{
    const struct timeval timeout = {.tv_sec = MESSAGE_WAIT_S};
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(self);
    const amqp_rpc_reply_t answer = amqp_consume_message(self, &envelope, &timeout, 0);
    if (answer.reply_type != AMQP_RESPONSE_NORMAL) {
        die("rabbit: after %" PRIu64 " messages: %s", received,
            amqp_error_string2(answer.library_error));
    }
    return envelope;
}

/* The answer comes after the acks were taken. */
static void consumer_close(amqp_connection_state_t self)
{
    check_answer(amqp_channel_close(self, CHANNEL, AMQP_REPLY_SUCCESS), "channel.close");
}

/* What there is to read. The count of a stream lags far behind: there -n tells. */
static uint64_t backlog(const struct options *options, const char *queue)
{
    if (is_stream(options)) {
        return options->count;
    }
    amqp_connection_state_t connection = dial(options);
    sleep_ms(500); /* the count of a queue lags a little */
    const uint64_t count = queue_count(connection, queue);
    hang_up(connection);
    return count < options->count ? count : options->count;
}

static void consume(const struct options *options)
{
    char queue[QUEUE_NAME_BYTES];
    struct result result = {.workload = options->workload};
    const unsigned ack_every = options->in_flight > 4 ? options->in_flight / 4 : 1;
    uint64_t tag = 0;
    queue_name(options, "bench", queue);
    const uint64_t total = backlog(options, queue);
    if (total == 0) {
        die("rabbit: %s: there is nothing to read", options->workload);
    }
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    amqp_connection_state_t consumer = consumer_new(options, queue, options->in_flight);
    while (result.count < total && (result.count % LOOK_EVERY != 0 || now_ns() < stop_ns)) {
        amqp_envelope_t envelope = consumer_next(consumer, result.count);
        tag = envelope.delivery_tag;
        amqp_destroy_envelope(&envelope);
        if (++result.count % ack_every == 0) {
            check(amqp_basic_ack(consumer, CHANNEL, tag, 1), "ack");
        }
    }
    if (result.count % ack_every != 0) {
        check(amqp_basic_ack(consumer, CHANNEL, tag, 1), "ack");
    }
    consumer_close(consumer);
    result.spent = meter_end(&meter);
    hang_up(consumer);
    queue_delete(options, queue);
    report(options, &result, "basic.consume prefetch %u, ack multiple after %u%s",
           options->in_flight, ack_every,
           is_stream(options) ? " (credit only; not the stream protocol)" : "");
}

/* --- W4 ---------------------------------------------------------------------------------------- */

struct receiver {
    const struct options *options;
    const char *queue;
    uint64_t total;
    struct samples latency;
};

static void *receive(void *arg)
{
    struct receiver *self = arg;
    amqp_connection_state_t consumer = consumer_new(self->options, self->queue, E2E_PREFETCH);
    while (self->latency.count < self->total) {
        amqp_envelope_t envelope = consumer_next(consumer, self->latency.count);
        samples_add(&self->latency, now_ns() - payload_time_ns(envelope.message.body.bytes));
        if (self->latency.count % E2E_ACK_EVERY == 0 || self->latency.count == self->total) {
            check(amqp_basic_ack(consumer, CHANNEL, envelope.delivery_tag, 1), "ack");
        }
        amqp_destroy_envelope(&envelope);
    }
    consumer_close(consumer);
    hang_up(consumer);
    return NULL;
}

static void publish_paced(const struct options *options, struct publisher *publisher,
                          const struct pace *pace)
{
    char *payload = payload_new(options->payload_bytes);
    const amqp_bytes_t body = {.len = options->payload_bytes, .bytes = payload};
    while (publisher->sent < pace->total) {
        const uint64_t due = pace_await(pace, publisher->sent);
        while (publisher->sent < due) {
            payload_stamp(payload, pace_ns(pace, publisher->sent));
            publisher_send(publisher, body);
            if (publisher->sent - publisher->confirmed > TAGS_MAX / 2) {
                publisher_confirm(publisher, true);
            }
        }
        publisher_confirm(publisher, false);
    }
    while (publisher->confirmed < publisher->sent) {
        publisher_confirm(publisher, true);
    }
    free(payload);
}

static void end_to_end(const struct options *options)
{
    char queue[QUEUE_NAME_BYTES];
    queue_name(options, "e2e", queue);
    queue_create(options, queue);
    struct publisher *publisher = publisher_new(options, "e2e");
    struct receiver receiver = {
        .options = options, .queue = queue, .total = pace_begin(options, 0).total};
    struct result result = {.workload = "W4", .latency = &receiver.latency};
    pthread_t thread;
    if (pthread_create(&thread, NULL, receive, &receiver) != 0) {
        die("rabbit: no thread");
    }
    sleep_ms(500); /* for its consumer */
    const struct meter meter = meter_begin(options);
    const struct pace pace = pace_begin(options, meter.start_ns);
    publish_paced(options, publisher, &pace);
    (void)pthread_join(thread, NULL);
    result.count = pace.total;
    result.spent = meter_end(&meter);
    publisher_destroy(publisher);
    queue_delete(options, queue);
    report(options, &result,
           "publish with confirms at %u/s; prefetch %d, ack multiple after %d; from the intended "
           "time",
           options->rate, E2E_PREFETCH, E2E_ACK_EVERY);
    samples_fini(&receiver.latency);
}

int main(int argc, char **argv)
{
    const struct options options = options_read(argc, argv);
    if (is(options.workload, "W1") || is(options.workload, "W2")) {
        publish(&options, is(options.workload, "W2"));
    } else if (is(options.workload, "W3") || is(options.workload, "W5")) {
        consume(&options);
    } else if (is(options.workload, "W4")) {
        end_to_end(&options);
    } else {
        die("rabbit: no workload %s", options.workload);
    }
    return 0;
}
