/* SPDX-License-Identifier: MPL-2.0
 *
 * L1: what libzmq itself does over tcp on this machine, DEALER to ROUTER, the two sides
 * in two processes. -m oneway: one answer in the end; -m pingpong: an answer each.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/peers/peer.h"

#define ENDPOINT_BYTES 128
#define LAST           'E' /* the first byte of the frame that is answered in any case */
#define ORDINARY       'A'
#define LOOK_EVERY     64u /* messages between two looks at the clock */

static void *socket_new(void *context, int type, int high_water_mark)
{
    void *socket = zmq_socket(context, type);
    if (!socket ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water_mark, sizeof high_water_mark) != 0 ||
        zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water_mark, sizeof high_water_mark) != 0) {
        die("socket: %s", zmq_strerror(errno));
    }
    return socket;
}

/* Take messages up to the last one. */
static void serve(void *router, bool answer_all)
{
    for (bool last = false; !last;) {
        zmq_msg_t identity, body;
        (void)zmq_msg_init(&identity);
        (void)zmq_msg_init(&body);
        if (zmq_msg_recv(&identity, router, 0) < 0 || zmq_msg_recv(&body, router, 0) < 0) {
            die("router: %s", zmq_strerror(errno));
        }
        last = *(const char *)zmq_msg_data(&body) == LAST;
        if (answer_all || last) {
            if (zmq_msg_send(&identity, router, ZMQ_SNDMORE) < 0 ||
                zmq_msg_send(&body, router, 0) < 0) {
                die("router: %s", zmq_strerror(errno));
            }
        } else {
            (void)zmq_msg_close(&identity);
            (void)zmq_msg_close(&body);
        }
    }
}

/* Bind, tell the endpoint, serve, and stay until the client has read our CPU time. */
static void run_server(const struct options *options, int tell, int leave)
{
    char endpoint[ENDPOINT_BYTES] = {0};
    size_t size = sizeof endpoint;
    char byte;
    void *context = zmq_ctx_new();
    void *router = socket_new(context, ZMQ_ROUTER, (int)options->in_flight);
    if (zmq_bind(router, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0) {
        die("bind: %s", zmq_strerror(errno));
    }
    if (write(tell, endpoint, sizeof endpoint) != (ssize_t)sizeof endpoint) {
        die("the endpoint cannot be told");
    }
    serve(router, is(options->mode, "pingpong"));
    if (read(leave, &byte, 1) < 0) {
        die("the end cannot be heard");
    }
    (void)zmq_close(router);
    (void)zmq_ctx_term(context);
}

static void send_payload(void *dealer, const char *payload, size_t bytes)
{
    if (zmq_send(dealer, payload, bytes, 0) < 0) {
        die("send: %s", zmq_strerror(errno));
    }
}

static void receive(void *dealer, char *answer, size_t bytes)
{
    if (zmq_recv(dealer, answer, bytes, 0) < 0) {
        die("receive: %s", zmq_strerror(errno));
    }
}

static void measure(const struct options *options, void *dealer)
{
    const bool pingpong = is(options->mode, "pingpong");
    const size_t bytes = options->payload_bytes;
    char *payload = payload_new(bytes), *answer = allocate(bytes);
    struct samples latency = {0};
    struct result result = {.workload = pingpong ? "L1-pingpong" : "L1-oneway",
                            .latency = &latency};
    payload[0] = ORDINARY;
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    uint64_t sent_ns = meter.start_ns;
    while (result.count < options->count && sent_ns < stop_ns) {
        send_payload(dealer, payload, bytes);
        result.count++;
        if (pingpong) {
            receive(dealer, answer, bytes);
            const uint64_t now = now_ns();
            samples_add(&latency, now - sent_ns);
            sent_ns = now;
        } else if (result.count % LOOK_EVERY == 0) {
            sent_ns = now_ns();
        }
    }
    payload[0] = LAST;
    send_payload(dealer, payload, bytes);
    receive(dealer, answer, bytes);
    result.spent = meter_end(&meter);
    report(options, &result,
           pingpong ? "DEALER-ROUTER ping-pong, round trip, HWM %u"
                    : "DEALER-ROUTER one-way, one answer in the end, HWM %u",
           options->in_flight);
    samples_fini(&latency);
    free(payload);
    free(answer);
}

int main(int argc, char **argv)
{
    struct options options = options_read(argc, argv);
    char endpoint[ENDPOINT_BYTES];
    int told[2], leave[2];
    if (pipe(told) != 0 || pipe(leave) != 0) {
        die("pipe: %s", strerror(errno));
    }
    const pid_t pid = fork();
    if (pid < 0) {
        die("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)close(leave[1]);
        run_server(&options, told[1], leave[0]);
        _exit(0);
    }
    (void)close(leave[0]);
    (void)close(told[1]);
    if (read(told[0], endpoint, sizeof endpoint) != (ssize_t)sizeof endpoint) {
        die("there is no server");
    }
    void *context = zmq_ctx_new();
    void *dealer = socket_new(context, ZMQ_DEALER, (int)options.in_flight);
    if (zmq_connect(dealer, endpoint) != 0) {
        die("connect: %s", zmq_strerror(errno));
    }
    options.server_pid = pid;
    sleep_ms(200); /* for the connection */
    measure(&options, dealer);
    (void)close(leave[1]);
    (void)zmq_close(dealer);
    (void)zmq_ctx_term(context);
    (void)waitpid(pid, NULL, 0);
    return 0;
}
