/* SPDX-License-Identifier: MPL-2.0
 *
 * beanstalkd over a plain socket. W1 pipelined put, W2 one put at a time, W3 reserve and
 * delete pipelined, W4 end to end at a fixed rate. It has no replay.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers/peer.h"

#define PORT      11300
#define OUT_BYTES (64u << 10) /* at first; grows */
#define IN_BYTES  (4u << 20)
#define PUT       "put 0 0 120 %zu\r\n" /* priority, delay, seconds to run, bytes */

struct connection {
    int fd;
    char *out; /* not yet sent */
    size_t out_len, out_capacity;
    char *in; /* received; taken up to in_pos */
    size_t in_pos, in_len;
};

/* A put with its payload, formatted once. */
struct command {
    char *bytes;
    size_t len;
    char *payload; /* where it lies in `bytes` */
};

static struct connection dial(const struct options *options)
{
    struct connection self = {
        .out = allocate(OUT_BYTES), .out_capacity = OUT_BYTES, .in = allocate(IN_BYTES)};
    const int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(options->port != 0 ? options->port : PORT)};
    (void)inet_pton(AF_INET, options->host, &address.sin_addr);
    self.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (self.fd < 0 || connect(self.fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        die("beanstalkd: connect: %s", strerror(errno));
    }
    (void)setsockopt(self.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return self;
}

static void hang_up(struct connection *self)
{
    (void)close(self->fd);
    free(self->out);
    free(self->in);
}

static void put_bytes(struct connection *self, const void *bytes, size_t len)
{
    if (len > self->out_capacity - self->out_len) {
        self->out_capacity = (self->out_len + len) * 2;
        self->out = grow(self->out, self->out_capacity);
    }
    memcpy(self->out + self->out_len, bytes, len);
    self->out_len += len;
}

static void put_text(struct connection *self, const char *text)
{
    put_bytes(self, text, strlen(text));
}

/* One recv() into the buffer; false = nothing was there, and `flags` said not to wait. */
static bool fill(struct connection *self, int flags)
{
    if (self->in_pos > 0) {
        self->in_len -= self->in_pos;
        memmove(self->in, self->in + self->in_pos, self->in_len);
        self->in_pos = 0;
    }
    if (self->in_len == IN_BYTES) {
        die("beanstalkd: a reply is too long");
    }
    const ssize_t got = recv(self->fd, self->in + self->in_len, IN_BYTES - self->in_len, flags);
    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    if (got <= 0) {
        die("beanstalkd: it closed the connection");
    }
    self->in_len += (size_t)got;
    return true;
}

/* Send what is queued, and read meanwhile, so that neither side is blocked. */
static void flush(struct connection *self)
{
    size_t sent = 0;
    while (sent < self->out_len) {
        const ssize_t done =
            send(self->fd, self->out + sent, self->out_len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done > 0) {
            sent += (size_t)done;
            continue;
        }
        struct pollfd ready = {.fd = self->fd, .events = POLLIN | POLLOUT};
        if (poll(&ready, 1, -1) > 0 && (ready.revents & POLLIN) != 0) {
            (void)fill(self, MSG_DONTWAIT);
        }
    }
    self->out_len = 0;
}

/* A reply; of "RESERVED id bytes" also what comes with it. */
struct reply {
    const char *line; /* lent until the next */
    const char *payload;
    uint64_t id;
};

/* False = there is none yet, and `flags` said not to wait. */
static bool reply_take(struct connection *self, int flags, struct reply *ret)
{
    for (;;) {
        const char *line = self->in + self->in_pos;
        const size_t there = self->in_len - self->in_pos;
        const char *end = memchr(line, '\n', there);
        size_t len = end ? (size_t)(end - line) + 1 : 0;
        if (len > 9 && memcmp(line, "RESERVED ", 9) == 0) {
            char *rest;
            ret->id = strtoull(line + 9, &rest, 10);
            len += (size_t)strtoull(rest, NULL, 10) + 2;
            ret->payload = end + 1;
        }
        if (end && len <= there) {
            ret->line = line;
            self->in_pos += len;
            return true;
        }
        if (!fill(self, flags)) {
            return false;
        }
    }
}

/* Wait for a reply, which has to begin so. */
static struct reply expect(struct connection *self, const char *wanted)
{
    struct reply reply = {.line = ""};
    (void)reply_take(self, 0, &reply);
    if (strncmp(reply.line, wanted, strlen(wanted)) != 0) {
        die("beanstalkd: wanted %s, got %.20s", wanted, reply.line);
    }
    return reply;
}

static struct command command_new(size_t payload_bytes)
{
    char head[64], *payload = payload_new(payload_bytes);
    const size_t head_len = (size_t)snprintf(head, sizeof head, PUT, payload_bytes);
    struct command self = {.len = head_len + payload_bytes + 2};
    self.bytes = allocate(self.len);
    self.payload = self.bytes + head_len;
    memcpy(self.bytes, head, head_len);
    memcpy(self.payload, payload, payload_bytes);
    memcpy(self.payload + payload_bytes, "\r\n", 2);
    free(payload);
    return self;
}

/* --- W1, W2 ---------------------------------------------------------------------------------- */

/* Two batches in flight: one being answered while the next is written. */
static void publish_batches(struct producer *self)
{
    struct connection connection = dial(self->options);
    struct command command = command_new(self->options->payload_bytes);
    const uint64_t batch = self->options->in_flight > 1 ? self->options->in_flight / 2 : 1;
    uint64_t sent = 0;
    producer_wait(self);
    for (bool more = true; more || self->confirmed < sent;) {
        uint64_t wanted = sent;
        for (uint64_t n = 0; more && n < batch && sent < self->count_max; n++, sent++) {
            put_bytes(&connection, command.bytes, command.len);
        }
        flush(&connection);
        more = more && sent < self->count_max && now_ns() < self->stop_ns;
        wanted = more ? wanted : sent;
        for (; self->confirmed < wanted; self->confirmed++) {
            (void)expect(&connection, "INSERTED");
        }
    }
    hang_up(&connection);
    free(command.bytes);
}

static void publish_one_by_one(struct producer *self)
{
    struct connection connection = dial(self->options);
    struct command command = command_new(self->options->payload_bytes);
    producer_wait(self);
    uint64_t sent_ns = now_ns();
    while (self->confirmed < self->count_max && sent_ns < self->stop_ns) {
        put_bytes(&connection, command.bytes, command.len);
        flush(&connection);
        (void)expect(&connection, "INSERTED");
        const uint64_t now = now_ns();
        samples_add(&self->latency, now - sent_ns);
        sent_ns = now;
        self->confirmed++;
    }
    hang_up(&connection);
    free(command.bytes);
}

static void publish(const struct options *options, bool one)
{
    struct samples latency = {0};
    struct result result =
        producers_run(options, one ? publish_one_by_one : publish_batches, &latency);
    report(options, &result, "put, %u producer(s) with %u in flight each", options->producers,
           one ? 1 : options->in_flight);
    samples_fini(&latency);
}

/* --- W3 ---------------------------------------------------------------------------------------- */

/* How many jobs there are to take. */
static uint64_t ready_count(const struct options *options)
{
    static const char key[] = "current-jobs-ready: ";
    struct connection connection = dial(options);
    put_text(&connection, "stats\r\n");
    flush(&connection);
    for (;;) {
        (void)fill(&connection, 0);
        connection.in[connection.in_len < IN_BYTES ? connection.in_len : IN_BYTES - 1] = '\0';
        const char *found = strstr(connection.in, key);
        if (found && strchr(found, '\n')) {
            const uint64_t count = strtoull(found + strlen(key), NULL, 10);
            hang_up(&connection);
            return count;
        }
    }
}

static uint64_t ask(struct connection *connection, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        put_text(connection, "reserve\r\n");
    }
    return count;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Half of what may be in flight is reserved at a time; the deletes of a batch travel with
 * the reserves of the one after the next. */
static void consume(const struct options *options)
{
    const uint64_t total = lesser(ready_count(options), options->count);
    const uint64_t batch = options->in_flight > 1 ? options->in_flight / 2 : 1;
    struct connection connection = dial(options);
    struct result result = {.workload = "W3"};
    uint64_t received = 0;
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    uint64_t asked = ask(&connection, lesser(2 * batch, total));
    flush(&connection);
    while (received < asked || result.count < received) {
        struct reply reply = {.line = ""};
        (void)reply_take(&connection, 0, &reply);
        if (strncmp(reply.line, "DELETED", 7) == 0) {
            result.count++;
            continue;
        }
        if (!reply.payload) {
            die("beanstalkd: wanted RESERVED, got %.20s", reply.line);
        }
        char text[48];
        (void)snprintf(text, sizeof text, "delete %" PRIu64 "\r\n", reply.id);
        put_text(&connection, text);
        received++;
        if (received % batch == 0 || received == asked) {
            asked += now_ns() < stop_ns ? ask(&connection, lesser(batch, total - asked)) : 0;
            flush(&connection);
        }
    }
    result.spent = meter_end(&meter);
    report(options, &result, "reserve and delete pipelined, %u in flight", options->in_flight);
    hang_up(&connection);
}

/* --- W4 ---------------------------------------------------------------------------------------- */

struct receiver {
    const struct options *options;
    uint64_t total;
    struct samples latency;
};

static void *receive(void *arg)
{
    struct receiver *self = arg;
    struct connection connection = dial(self->options);
    put_text(&connection, "reserve\r\n");
    flush(&connection);
    while (self->latency.count < self->total) {
        struct reply reply = {.line = ""};
        (void)reply_take(&connection, 0, &reply);
        if (reply.payload) {
            char text[64];
            samples_add(&self->latency, now_ns() - payload_time_ns(reply.payload));
            (void)snprintf(text, sizeof text, "delete %" PRIu64 "\r\nreserve\r\n", reply.id);
            put_text(&connection, text);
            flush(&connection);
        }
    }
    hang_up(&connection);
    return NULL;
}

static void end_to_end(const struct options *options)
{
    struct connection connection = dial(options);
    struct command command = command_new(options->payload_bytes);
    struct receiver receiver = {.options = options, .total = pace_begin(options, 0).total};
    struct result result = {.workload = "W4", .latency = &receiver.latency};
    struct reply reply = {.line = ""};
    uint64_t sent = 0, confirmed = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, receive, &receiver) != 0) {
        die("beanstalkd: no thread");
    }
    sleep_ms(200); /* for its first request */
    const struct meter meter = meter_begin(options);
    const struct pace pace = pace_begin(options, meter.start_ns);
    while (sent < pace.total) {
        for (const uint64_t due = pace_await(&pace, sent); sent < due; sent++) {
            payload_stamp(command.payload, pace_ns(&pace, sent));
            put_bytes(&connection, command.bytes, command.len);
        }
        flush(&connection);
        while (reply_take(&connection, MSG_DONTWAIT, &reply)) {
            confirmed++;
        }
    }
    for (; confirmed < pace.total; confirmed++) {
        (void)expect(&connection, "INSERTED");
    }
    (void)pthread_join(thread, NULL);
    result.count = pace.total;
    result.spent = meter_end(&meter);
    report(options, &result, "put at %u/s; reserve, then delete + reserve; from the intended time",
           options->rate);
    hang_up(&connection);
    free(command.bytes);
    samples_fini(&receiver.latency);
}

int main(int argc, char **argv)
{
    const struct options options = options_read(argc, argv);
    if (is(options.workload, "W1") || is(options.workload, "W2")) {
        publish(&options, is(options.workload, "W2"));
    } else if (is(options.workload, "W3")) {
        consume(&options);
    } else if (is(options.workload, "W4")) {
        end_to_end(&options);
    } else {
        die("beanstalkd: no workload %s", options.workload);
    }
    return 0;
}
