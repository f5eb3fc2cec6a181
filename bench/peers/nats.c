/* SPDX-License-Identifier: MPL-2.0
 *
 * NATS JetStream through libnats; one stream in a file, one replica. W1 js_PublishAsync,
 * W2 js_Publish, W3 a durable pull consumer with acks (-m fetch, the default: Fetch; -m
 * cont: requests renewed at half; -m ackall: one ack a batch), W4 end to end (-m pull, the
 * default, or push), W5 an ordered consumer. W3 and W5 read what W1 left.
 */
#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers/peer.h"

#define PORT            4222
#define CHECK(call)     check((call), #call)
#define WAIT_MS         30000
#define FETCH_WAIT_MS   1000
#define MESSAGE_WAIT_MS 5000
#define UNACKED_MAX     65536  /* of a consumer */
#define E2E_IN_FLIGHT   100000 /* W4 is paced, never held */
#define LOOK_EVERY      64u    /* messages between two looks at the clock */
#define ACK             "+ACK"

static void check(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        die("nats: %s: %s (%s)", what, natsStatus_GetText(status), nats_GetLastError(NULL));
    }
}

static void on_publish_error(jsCtx *js, jsPubAckErr *error, void *closure)
{
    (void)js;
    (void)closure;
    die("nats: a publish failed: %s", error->ErrText ? error->ErrText : "?");
}

struct connection {
    natsConnection *nats;
    jsCtx *js;
};

/* `at_once`: send each message by itself and at once, which is good for latency. */
static struct connection dial(const struct options *options, bool at_once, unsigned in_flight)
{
    struct connection self;
    natsOptions *own = NULL;
    jsOptions js;
    char url[128];
    (void)snprintf(url, sizeof url, "nats://%s:%d", options->host,
                   options->port != 0 ? options->port : PORT);
    CHECK(natsOptions_Create(&own));
    CHECK(natsOptions_SetURL(own, url));
    CHECK(natsOptions_SetSendAsap(own, at_once));
    CHECK(natsOptions_SetMaxPendingMsgs(own, 1000000));
    CHECK(natsConnection_Connect(&self.nats, own));
    natsOptions_Destroy(own);
    CHECK(jsOptions_Init(&js));
    js.Wait = WAIT_MS;
    js.PublishAsync.MaxPending = in_flight;
    js.PublishAsync.StallWait = WAIT_MS;
    js.PublishAsync.ErrHandler = on_publish_error;
    CHECK(natsConnection_JetStream(&self.js, self.nats, &js));
    return self;
}

static void hang_up(struct connection *self)
{
    jsCtx_Destroy(self->js);
    natsConnection_Destroy(self->nats);
}

static void stream_create(const struct options *options, const char *name, const char *subject)
{
    struct connection connection = dial(options, true, 1);
    jsStreamConfig config;
    jsErrCode error;
    (void)js_DeleteStream(connection.js, name, NULL, &error); /* there may be none */
    CHECK(jsStreamConfig_Init(&config));
    config.Name = name;
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    CHECK(js_AddStream(NULL, connection.js, &config, NULL, &error));
    hang_up(&connection);
}

static uint64_t stream_count(const struct connection *connection, uint64_t count_max)
{
    jsStreamInfo *info = NULL;
    jsErrCode error;
    CHECK(js_GetStreamInfo(&info, connection->js, "BENCH", NULL, &error));
    const uint64_t count = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return count < count_max ? count : count_max;
}

static void await_confirms(const struct connection *connection)
{
    jsPubOptions options;
    CHECK(jsPubOptions_Init(&options));
    options.MaxWait = WAIT_MS;
    CHECK(js_PublishAsyncComplete(connection->js, &options));
}

/* --- W1, W2 ---------------------------------------------------------------------------------- */

static void publish_async(struct producer *self)
{
    struct connection connection = dial(self->options, false, self->options->in_flight);
    const size_t bytes = self->options->payload_bytes;
    char *payload = payload_new(bytes);
    uint64_t sent = 0;
    producer_wait(self);
    while (sent < self->count_max && (sent % 16 != 0 || now_ns() < self->stop_ns)) {
        CHECK(js_PublishAsync(connection.js, "bench", payload, (int)bytes, NULL));
        sent++;
    }
    await_confirms(&connection);
    self->confirmed = sent;
    hang_up(&connection);
    free(payload);
}

static void publish_one_by_one(struct producer *self)
{
    struct connection connection = dial(self->options, true, 1);
    const size_t bytes = self->options->payload_bytes;
    char *payload = payload_new(bytes);
    jsErrCode error;
    producer_wait(self);
    uint64_t sent_ns = now_ns();
    while (self->confirmed < self->count_max && sent_ns < self->stop_ns) {
        CHECK(js_Publish(NULL, connection.js, "bench", payload, (int)bytes, NULL, &error));
        const uint64_t now = now_ns();
        samples_add(&self->latency, now - sent_ns);
        sent_ns = now;
        self->confirmed++;
    }
    hang_up(&connection);
    free(payload);
}

static void publish(const struct options *options, bool one)
{
    struct samples latency = {0};
    stream_create(options, "BENCH", "bench");
    struct result result =
        producers_run(options, one ? publish_one_by_one : publish_async, &latency);
    if (one) {
        report(options, &result, "js_Publish, %u producer(s), one in flight each, SendAsap",
               options->producers);
    } else {
        report(options, &result, "js_PublishAsync, %u producer(s), MaxPending %u each",
               options->producers, options->in_flight);
    }
    samples_fini(&latency);
}

/* --- Consumers ------------------------------------------------------------------------------- */

static void consumer_create(const struct connection *connection, const char *stream,
                            const char *name, jsAckPolicy policy)
{
    jsConsumerConfig config;
    jsErrCode error;
    CHECK(jsConsumerConfig_Init(&config));
    config.Durable = name;
    config.AckPolicy = policy;
    config.AckWait = INT64_C(60000000000); /* ns */
    config.MaxAckPending = UNACKED_MAX;
    CHECK(js_AddConsumer(NULL, connection->js, stream, &config, NULL, &error));
}

/* Acks are sent and not answered: wait until the server says that none is pending. */
static void await_acks(const struct connection *connection, const char *name)
{
    const uint64_t stop_ns = after_ns(now_ns(), WAIT_MS / 1e3);
    while (now_ns() < stop_ns) {
        jsConsumerInfo *info = NULL;
        jsErrCode error;
        CHECK(js_GetConsumerInfo(&info, connection->js, "BENCH", name, NULL, &error));
        const int64_t pending = info->NumAckPending;
        jsConsumerInfo_Destroy(info);
        if (pending == 0) {
            return;
        }
        sleep_ms(1);
    }
    die("nats: acks are still pending");
}

static uint64_t fetch_all(const struct options *options, natsSubscription *subscription,
                          bool ack_last, uint64_t stop_ns)
{
    const int batch = (int)options->in_flight;
    uint64_t count = 0;
    bool end = false;
    while (!end && count < options->count && now_ns() < stop_ns) {
        natsMsgList list = {0};
        jsErrCode error;
        const natsStatus status =
            natsSubscription_Fetch(&list, subscription, batch, FETCH_WAIT_MS, &error);
        if (status == NATS_TIMEOUT) {
            break;
        }
        check(status, "natsSubscription_Fetch");
        for (int i = ack_last ? list.Count - 1 : 0; i < list.Count; i++) {
            CHECK(natsMsg_Ack(list.Msgs[i], NULL));
        }
        count += (uint64_t)list.Count;
        end = list.Count < batch;
        natsMsgList_Destroy(&list);
    }
    return count;
}

static void consume_fetched(const struct options *options)
{
    const bool ack_last = is(options->mode, "ackall");
    const char *name = ack_last ? "a" : "g";
    struct connection connection = dial(options, false, 1);
    struct result result = {.workload = ack_last ? "W3-ackall" : "W3"};
    natsSubscription *subscription = NULL;
    jsSubOptions pull;
    jsErrCode error;
    consumer_create(&connection, "BENCH", name, ack_last ? js_AckAll : js_AckExplicit);
    CHECK(jsSubOptions_Init(&pull));
    pull.Stream = "BENCH";
    pull.Consumer = name;
    CHECK(js_PullSubscribe(&subscription, connection.js, "bench", name, NULL, &pull, &error));
    CHECK(natsSubscription_SetPendingLimits(subscription, -1, -1));
    const struct meter meter = meter_begin(options);
    result.count =
        fetch_all(options, subscription, ack_last, after_ns(meter.start_ns, options->seconds));
    CHECK(natsConnection_Flush(connection.nats));
    await_acks(&connection, name);
    result.spent = meter_end(&meter);
    report(options, &result, "pull consumer, Fetch %u, %s", options->in_flight,
           ack_last ? "AckAll: one ack a batch" : "ack each");
    natsSubscription_Destroy(subscription);
    hang_up(&connection);
}

/* Requests for messages, renewed when half of them came, as newer clients do. */
struct pull {
    natsConnection *nats;
    natsSubscription *subscription;
    char inbox[64], subject[128];
    unsigned window, owed;
};

static void pull_open(struct pull *self, const struct connection *connection, const char *stream,
                      const char *consumer)
{
    natsInbox *inbox = NULL;
    self->nats = connection->nats;
    CHECK(natsInbox_Create(&inbox));
    (void)snprintf(self->inbox, sizeof self->inbox, "%s", inbox);
    natsInbox_Destroy(inbox);
    (void)snprintf(self->subject, sizeof self->subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", stream,
                   consumer);
    CHECK(natsConnection_SubscribeSync(&self->subscription, self->nats, self->inbox));
    CHECK(natsSubscription_SetPendingLimits(self->subscription, -1, -1));
}

static void pull_renew(struct pull *self)
{
    char body[64];
    if (self->owed > self->window / 2) {
        return;
    }
    const int len = snprintf(body, sizeof body, "{\"batch\":%u,\"expires\":30000000000}",
                             self->window - self->owed);
    CHECK(natsConnection_PublishRequest(self->nats, self->subject, self->inbox, body, len));
    self->owed = self->window;
}

/* A message, which is acked; NULL = none came in time. */
static natsMsg *pull_next(struct pull *self, int64_t wait_ms)
{
    natsMsg *message = NULL;
    while (natsSubscription_NextMsg(&message, self->subscription, wait_ms) == NATS_OK) {
        const char *status = NULL;
        if (natsMsg_GetDataLength(message) > 0 ||
            natsMsgHeader_Get(message, "Status", &status) != NATS_OK) {
            CHECK(natsConnection_PublishString(self->nats, natsMsg_GetReply(message), ACK));
            return message;
        }
        natsMsg_Destroy(message); /* it tells of a request, and is none */
    }
    return NULL;
}

static void consume_renewed(const struct options *options)
{
    struct connection connection = dial(options, false, 1);
    struct pull pull = {.window = options->in_flight};
    struct result result = {.workload = "W3-cont"};
    consumer_create(&connection, "BENCH", "c", js_AckExplicit);
    const uint64_t there = stream_count(&connection, UINT64_MAX);
    pull_open(&pull, &connection, "BENCH", "c");
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    for (bool more = true; more || (pull.owed > 0 && result.count < there);) {
        if (more) {
            pull_renew(&pull);
        }
        natsMsg *message = pull_next(&pull, MESSAGE_WAIT_MS);
        if (!message) {
            die("nats: W3: nothing after %" PRIu64 " of %" PRIu64, result.count, there);
        }
        natsMsg_Destroy(message);
        pull.owed--;
        result.count++;
        /* What was asked for is taken in any case. */
        more = more && result.count < there && result.count < options->count &&
               (result.count % LOOK_EVERY != 0 || now_ns() < stop_ns);
    }
    CHECK(natsConnection_Flush(connection.nats));
    await_acks(&connection, "c");
    result.spent = meter_end(&meter);
    report(options, &result, "pull consumer, requests of %u renewed at half, ack each",
           options->in_flight);
    natsSubscription_Destroy(pull.subscription);
    hang_up(&connection);
}

/* --- W5 ---------------------------------------------------------------------------------------- */

static void on_replayed(natsConnection *nats, natsSubscription *subscription, natsMsg *message,
                        void *closure)
{
    atomic_ullong *count = closure;
    (void)nats;
    (void)subscription;
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    natsMsg_Destroy(message);
}

static void replay(const struct options *options)
{
    static atomic_ullong received;
    struct connection connection = dial(options, false, 1);
    const uint64_t total = stream_count(&connection, options->count);
    struct result result = {.workload = "W5"};
    natsSubscription *subscription = NULL;
    jsSubOptions ordered;
    jsErrCode error;
    CHECK(jsSubOptions_Init(&ordered));
    ordered.Stream = "BENCH";
    ordered.Ordered = true;
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    CHECK(js_Subscribe(&subscription, connection.js, "bench", on_replayed, &received, NULL,
                       &ordered, &error));
    while ((result.count = received) < total && now_ns() < stop_ns) {
        sleep_ms(1);
    }
    result.spent = meter_end(&meter);
    report(options, &result, "ordered consumer (push, flow control, no acks)");
    _exit(0); /* the library's threads still deliver */
}

/* --- W4 ---------------------------------------------------------------------------------------- */

struct receiver {
    const struct options *options;
    uint64_t total;
    struct samples latency;
    atomic_bool done;
};

static void take(struct receiver *self, const natsMsg *message)
{
    samples_add(&self->latency, now_ns() - payload_time_ns(natsMsg_GetData(message)));
}

static void on_pushed(natsConnection *nats, natsSubscription *subscription, natsMsg *message,
                      void *closure)
{
    struct receiver *self = closure;
    (void)nats;
    (void)subscription;
    take(self, message);
    CHECK(natsMsg_Ack(message, NULL));
    natsMsg_Destroy(message);
    self->done = self->latency.count == self->total;
}

static void *receive_pulled(void *arg)
{
    struct receiver *self = arg;
    struct connection connection = dial(self->options, false, 1);
    struct pull pull = {.window = 1000};
    pull_open(&pull, &connection, "E2E", "g");
    while (self->latency.count < self->total) {
        pull_renew(&pull);
        natsMsg *message = pull_next(&pull, MESSAGE_WAIT_MS);
        if (!message) {
            die("nats: W4: nothing after %zu messages", self->latency.count);
        }
        take(self, message);
        natsMsg_Destroy(message);
        pull.owed--;
    }
    CHECK(natsConnection_Flush(connection.nats));
    self->done = true;
    return NULL;
}

static void subscribe_pushed(struct receiver *self)
{
    struct connection connection = dial(self->options, false, 1);
    natsSubscription *subscription = NULL;
    jsSubOptions push;
    jsErrCode error;
    CHECK(jsSubOptions_Init(&push));
    push.Stream = "E2E";
    push.Queue = "p";
    push.ManualAck = true;
    push.Config.Durable = "p";
    push.Config.AckPolicy = js_AckExplicit;
    push.Config.MaxAckPending = UNACKED_MAX;
    CHECK(js_Subscribe(&subscription, connection.js, "e2e", on_pushed, self, NULL, &push, &error));
}

static void publish_paced(const struct options *options, const struct connection *connection,
                          const struct pace *pace)
{
    const size_t bytes = options->payload_bytes;
    char *payload = payload_new(bytes);
    for (uint64_t sent = 0; sent < pace->total;) {
        for (const uint64_t due = pace_await(pace, sent); sent < due; sent++) {
            payload_stamp(payload, pace_ns(pace, sent));
            CHECK(js_PublishAsync(connection->js, "e2e", payload, (int)bytes, NULL));
        }
    }
    await_confirms(connection);
    free(payload);
}

static void end_to_end(const struct options *options)
{
    const bool push = is(options->mode, "push");
    struct connection connection = dial(options, true, E2E_IN_FLIGHT);
    static struct receiver receiver;
    struct result result = {.workload = push ? "W4-push" : "W4", .latency = &receiver.latency};
    pthread_t thread;
    receiver.options = options;
    receiver.total = pace_begin(options, 0).total;
    stream_create(options, "E2E", "e2e");
    if (push) {
        subscribe_pushed(&receiver);
    } else {
        consumer_create(&connection, "E2E", "g", js_AckExplicit);
        if (pthread_create(&thread, NULL, receive_pulled, &receiver) != 0) {
            die("nats: no thread");
        }
    }
    sleep_ms(300); /* for its first request */
    const struct meter meter = meter_begin(options);
    const struct pace pace = pace_begin(options, meter.start_ns);
    publish_paced(options, &connection, &pace);
    const uint64_t stop_ns = after_ns(now_ns(), WAIT_MS / 1e3);
    while (!receiver.done && now_ns() < stop_ns) {
        sleep_ms(1);
    }
    if (!receiver.done) {
        die("nats: W4: only %zu of %" PRIu64 " received", receiver.latency.count, pace.total);
    }
    result.count = pace.total;
    result.spent = meter_end(&meter);
    report(options, &result, "js_PublishAsync at %u/s; %s, ack each; from the intended time",
           options->rate,
           push ? "push consumer with a deliver group" : "pull requests of 1000 renewed at half");
    _exit(0); /* the library's threads still deliver */
}

int main(int argc, char **argv)
{
    const struct options options = options_read(argc, argv);
    if (is(options.workload, "W1") || is(options.workload, "W2")) {
        publish(&options, is(options.workload, "W2"));
    } else if (is(options.workload, "W3") && is(options.mode, "cont")) {
        consume_renewed(&options);
    } else if (is(options.workload, "W3")) {
        consume_fetched(&options);
    } else if (is(options.workload, "W4")) {
        end_to_end(&options);
    } else if (is(options.workload, "W5")) {
        replay(&options);
    } else {
        die("nats: no workload %s", options.workload);
    }
    return 0;
}
