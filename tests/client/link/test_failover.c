/* SPDX-License-Identifier: MPL-2.0
 *
 * Endpoint lists and brokers that are not there: which endpoint is tried, how
 * often, and what a caller is told. Against brokers that do what a test tells
 * them, and against peers that are no brokers at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zspool.h>

#include "common/err.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS  30000                  /* for what takes milliseconds */
#define NOBODY   "tcp://127.0.0.1:1"    /* refuses connections */
#define NOWHERE  "tcp://192.0.2.1:7227" /* a network of documents: no way there */
#define NAMELESS "tcp://no.such.invalid:7227"

/* --- A peer that is no broker ----------------------------------------------------------- */

enum manner {
    CLOSES,  /* at once */
    SILENT,  /* accepts, and says nothing */
    NONSENSE /* answers as a web server would, and closes */
};

#define GUESTS_MAX 64

struct peer {
    enum manner manner;
    int listener, stop_fd;
    char endpoint[64];
    pthread_t thread;
    int guests[GUESTS_MAX];
    atomic_uint accepted;
};

static void receive_guest(struct peer *self)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    const int guest = accept(self->listener, NULL, NULL);
    assert_true(guest >= 0);
    const unsigned index = atomic_load(&self->accepted);
    assert_true(index < GUESTS_MAX);
    self->guests[index] = -1;
    if (self->manner == NONSENSE) {
        (void)send(guest, answer, sizeof answer - 1, MSG_NOSIGNAL); /* it may have gone */
    }
    if (self->manner == SILENT) {
        self->guests[index] = guest;
    } else {
        (void)close(guest);
    }
    atomic_store(&self->accepted, index + 1);
}

static void *receive_guests(void *arg)
{
    struct peer *self = arg;
    for (;;) {
        struct pollfd fds[2] = {{.fd = self->listener, .events = POLLIN},
                                {.fd = self->stop_fd, .events = POLLIN}};
        assert_true(poll(fds, 2, -1) > 0);
        if (fds[1].revents != 0) {
            return NULL;
        }
        receive_guest(self);
    }
}

static void peer_start(struct peer *self, enum manner manner)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *self = (struct peer){.manner = manner};
    self->stop_fd = eventfd(0, EFD_CLOEXEC);
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(self->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(self->listener, GUESTS_MAX), 0);
    assert_int_equal(getsockname(self->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
    assert_int_equal(pthread_create(&self->thread, NULL, receive_guests, self), 0);
}

static void peer_stop(struct peer *self)
{
    const uint64_t one = 1;
    assert_int_equal(write(self->stop_fd, &one, sizeof one), sizeof one);
    assert_int_equal(pthread_join(self->thread, NULL), 0);
    for (unsigned i = 0; i < atomic_load(&self->accepted); i++) {
        if (self->guests[i] >= 0) {
            (void)close(self->guests[i]);
        }
    }
    (void)close(self->listener);
    (void)close(self->stop_fd);
}

/* --- Lists -------------------------------------------------------------------------------- */

static void drop_pulls(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    atomic_uint *const pulls = arg;
    assert_true(fake_is(request, "PULL"));
    (void)atomic_fetch_add(pulls, 1);
    fake_drop(broker);
}

static zspool_client_t *client_of(const char *first, const char *second, int64_t connect_ms)
{
    char endpoints[200];
    zspool_options_t options;
    zspool_options_init(&options);
    options.connect_ms = connect_ms;
    options.reconnect_ms = 5;
    options.reconnect_ms_max = 50;
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", first, second);
    zspool_client_t *client = zspool_new(endpoints, &options, NULL);
    assert_non_null(client);
    return client;
}

/* Both ways round; the client ends up at the one broker that answers. */
static void assert_finds_the_broker(const char *other, int64_t connect_ms)
{
    struct fake_broker *broker = fake_broker_start(drop_pulls, NULL);
    const char *const good = fake_broker_endpoint(broker);
    for (int turn = 0; turn < 2; turn++) {
        zspool_info_t info;
        zspool_error_t err = {0};
        zspool_client_t *client =
            client_of(turn == 0 ? other : good, turn == 0 ? good : other, connect_ms);
        zspool_info_init(&info);
        assert_int_equal(zspool_connect(client, WAIT_MS, &info, &err), 0);
        assert_string_equal(info.endpoint, good);
        assert_int_equal(zspool_ping(client, WAIT_MS, NULL, NULL), 0);
        zspool_destroy(&client);
    }
    fake_broker_stop(&broker);
}

static void endpoints_that_do_not_answer_are_passed_over(void **state)
{
    (void)state;
    static const char *const dead[] = {NOBODY, NOWHERE, NAMELESS, "ipc:///no/such/socket"};
    for (size_t i = 0; i < sizeof dead / sizeof dead[0]; i++) {
        assert_finds_the_broker(dead[i], 300);
    }
}

static void peers_that_are_no_brokers_are_passed_over(void **state)
{
    (void)state;
    static const enum manner manners[] = {CLOSES, SILENT, NONSENSE};
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        struct peer peer;
        peer_start(&peer, manners[i]);
        assert_finds_the_broker(peer.endpoint, 300);
        assert_true(atomic_load(&peer.accepted) > 0);
        peer_stop(&peer);
    }
}

static void a_broker_that_refuses_is_passed_over(void **state)
{
    (void)state;
    static const int codes[] = {ZSP_EVERSION_MISMATCH, ZSP_EDENIED, ZSP_ESHUTTING_DOWN};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct fake_broker *refusing = fake_broker_start(drop_pulls, NULL);
        fake_refuse_hello(refusing, codes[i]);
        assert_finds_the_broker(fake_broker_endpoint(refusing), 5000);
        fake_broker_stop(&refusing);
    }
}

/* One that is away may come back and take us: only when all refuse, waiting is of no use. */
static void only_when_all_refuse_a_wait_ends_early(void **state)
{
    (void)state;
    zspool_error_t err = {0};
    struct fake_broker *first = fake_broker_start(drop_pulls, NULL);
    struct fake_broker *second = fake_broker_start(drop_pulls, NULL);
    fake_refuse_hello(first, ZSP_EDENIED);
    fake_refuse_hello(second, ZSP_EVERSION_MISMATCH);
    zspool_client_t *client =
        client_of(fake_broker_endpoint(first), fake_broker_endpoint(second), 5000);
    const int code = zspool_connect(client, WAIT_MS, NULL, &err);
    assert_true(code == ZSPOOL_EDENIED || code == ZSPOOL_EVERSION_MISMATCH);
    zspool_destroy(&client);
    client = client_of(fake_broker_endpoint(first), NOBODY, 5000);
    assert_int_equal(zspool_connect(client, 200, NULL, &err), ZSPOOL_ETIMEOUT);
    zspool_destroy(&client);
    fake_broker_stop(&first);
    fake_broker_stop(&second);
}

/* --- How often ---------------------------------------------------------------------------- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(clock_gettime(clock, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void await(const atomic_uint *count, unsigned wanted)
{
    for (int i = 0; i < WAIT_MS && atomic_load(count) < wanted; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_true(atomic_load(count) >= wanted);
}

/* The pauses before attempts 2 .. 7 are at least half of 20, 40 ... 640 ms: 630 ms. Nothing turns
 * in the meantime. */
static void attempts_at_a_dead_endpoint_grow_rare_and_cost_nothing(void **state)
{
    (void)state;
    struct peer peer;
    zspool_options_t options;
    zspool_options_init(&options);
    options.reconnect_ms = 20;
    peer_start(&peer, CLOSES);
    const int64_t began_ms = clock_ms(CLOCK_MONOTONIC);
    const int64_t cpu_began_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    zspool_client_t *client = zspool_new(peer.endpoint, &options, NULL);
    await(&peer.accepted, 7);
    const int64_t took_ms = clock_ms(CLOCK_MONOTONIC) - began_ms;
    const int64_t cpu_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_began_ms;
    assert_true(took_ms >= 630);
    assert_true(cpu_ms < took_ms / 2);
    zspool_destroy(&client);
    peer_stop(&peer);
}

/* A broker that welcomes everybody and falls over at the first request: the pauses before sessions
 * 2 .. 6 are at least half of 20, 40 ... 320 ms. */
static void a_broker_that_keeps_falling_over_is_not_hammered(void **state)
{
    (void)state;
    static const char *const topics[] = {"t"};
    atomic_uint pulls = 0;
    zspool_options_t options;
    zspool_consumer_options_t wanted;
    zspool_options_init(&options);
    options.reconnect_ms = 20;
    zspool_consumer_options_init(&wanted);
    wanted.group = "g";
    wanted.topics = topics;
    wanted.topic_count = 1;
    struct fake_broker *broker = fake_broker_start(drop_pulls, &pulls);
    zspool_client_t *client = zspool_new(fake_broker_endpoint(broker), &options, NULL);
    zspool_consumer_t *consumer = zspool_consumer_new(client, &wanted, NULL);
    await(&pulls, 1);
    const int64_t began_ms = clock_ms(CLOCK_MONOTONIC);
    await(&pulls, 6);
    assert_true(clock_ms(CLOCK_MONOTONIC) - began_ms >= 310);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&client);
    fake_broker_stop(&broker);
}

/* A restart in front of many: all of them are back, each in a session of its own. */
static void many_clients_come_back_after_a_restart(void **state)
{
    (void)state;
    enum { CLIENTS = 50 };
    static zspool_client_t *clients[CLIENTS];
    atomic_uint pulls = 0;
    struct fake_broker *broker = fake_broker_start(drop_pulls, &pulls);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = zspool_new(fake_broker_endpoint(broker), NULL, NULL);
        assert_non_null(clients[i]);
        assert_int_equal(zspool_connect(clients[i], WAIT_MS, NULL, NULL), 0);
    }
    zspool_request_spec_t spec;
    zspool_reply_t *reply;
    zspool_error_t err = {0};
    zspool_request_spec_init(&spec, "PULL");
    assert_int_equal(zspool_request(clients[0], &spec, WAIT_MS, &reply, &err), ZSPOOL_ECLOSED);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(zspool_ping(clients[i], WAIT_MS, NULL, NULL), 0);
        zspool_destroy(&clients[i]);
    }
    fake_broker_stop(&broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_that_do_not_answer_are_passed_over),
        cmocka_unit_test(peers_that_are_no_brokers_are_passed_over),
        cmocka_unit_test(a_broker_that_refuses_is_passed_over),
        cmocka_unit_test(only_when_all_refuse_a_wait_ends_early),
        cmocka_unit_test(attempts_at_a_dead_endpoint_grow_rare_and_cost_nothing),
        cmocka_unit_test(a_broker_that_keeps_falling_over_is_not_hammered),
        cmocka_unit_test(many_clients_come_back_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
