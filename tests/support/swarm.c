/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/swarm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define GREETING_BYTES 64u
#define FLAG_MORE      0x01u
#define FLAG_LONG      0x02u
#define FLAG_COMMAND   0x04u
#define OPENING_MAX    400u /* below the broker's backlog */
#define EVENTS_MAX     256
#define READ_BYTES     4096u

struct bee {
    int fd; /* -1 = not open */
    bool has_greeting, is_ready;
    bool is_inside; /* the next frame belongs to the same message */
    struct zsp_writer in;
};

struct swarm {
    struct swarm_hooks hooks;
    struct sockaddr_in address;
    struct bee *bees;
    size_t count, opened, opening;
    int epoll_fd;
};

static int64_t now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct swarm *swarm_new(const char *endpoint, size_t count, const struct swarm_hooks *hooks)
{
    struct swarm *const self = calloc(1, sizeof *self);
    assert_non_null(self);
    const char *const port = strrchr(endpoint, ':');
    assert_non_null(port);
    self->hooks = *hooks;
    self->address.sin_family = AF_INET;
    self->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self->address.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
    self->count = count;
    self->bees = calloc(count, sizeof *self->bees);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_non_null(self->bees);
    assert_true(self->epoll_fd >= 0);
    for (size_t i = 0; i < count; i++) {
        self->bees[i].fd = -1;
    }
    return self;
}

void swarm_destroy(struct swarm **self_p)
{
    struct swarm *const self = *self_p;
    for (size_t i = 0; i < self->count; i++) {
        if (self->bees[i].fd >= 0) {
            (void)close(self->bees[i].fd);
        }
        zsp_writer_fini(&self->bees[i].in);
    }
    (void)close(self->epoll_fd);
    free(self->bees);
    free(self);
    *self_p = NULL;
}

/* Small things into an empty socket buffer: they go whole, or the test ends. */
static void write_all(const struct bee *bee, const void *bytes, size_t len)
{
    assert_int_equal(send(bee->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void send_frame(const struct bee *bee, uint8_t flags, struct zsp_slice body)
{
    struct zsp_writer frame = {0};
    const bool is_long = body.len > UINT8_MAX;
    zsp_write_u8(&frame, (uint8_t)(flags | (is_long ? FLAG_LONG : 0u)));
    for (int shift = is_long ? 56 : 0; shift >= 0; shift -= 8) {
        zsp_write_u8(&frame, (uint8_t)((uint64_t)body.len >> shift));
    }
    zsp_write_bytes(&frame, body);
    assert_false(frame.failed);
    write_all(bee, frame.data, frame.len);
    zsp_writer_fini(&frame);
}

void swarm_send(struct swarm *self, size_t index, struct zsp_slice header)
{
    send_frame(&self->bees[index], 0, header);
}

/* --- Handshake -------------------------------------------------------------------------- */

static void open_bee(struct swarm *self, size_t index)
{
    struct bee *const bee = &self->bees[index];
    const int on = 1;
    bee->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(bee->fd >= 0);
    (void)setsockopt(bee->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only faster */
    const int rc = connect(bee->fd, (const struct sockaddr *)&self->address, sizeof self->address);
    assert_true(rc == 0 || errno == EINPROGRESS);
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = index};
    assert_int_equal(epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, bee->fd, &event), 0);
    self->opened++;
    self->opening++;
}

/* Connected: both halves of the handshake can go at once. */
static void greet(struct swarm *self, size_t index)
{
    static const uint8_t ready[] = "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0";
    static const uint8_t greeting[GREETING_BYTES] = {0xff, 0,    0, 0, 0,   0,   0,   0,
                                                     1,    0x7f, 3, 1, 'N', 'U', 'L', 'L'};
    const struct bee *const bee = &self->bees[index];
    int failure = 0;
    socklen_t len = sizeof failure;
    assert_int_equal(getsockopt(bee->fd, SOL_SOCKET, SO_ERROR, &failure, &len), 0);
    assert_int_equal(failure, 0);
    write_all(bee, greeting, sizeof greeting);
    send_frame(bee, FLAG_COMMAND, (struct zsp_slice){ready, sizeof ready});
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = index};
    assert_int_equal(epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, bee->fd, &event), 0);
}

static void take_command(struct swarm *self, size_t index, struct zsp_slice body)
{
    struct bee *const bee = &self->bees[index];
    /* No ZMTP PING, see listen.c. */
    assert_true(body.len >= 6 && memcmp(body.data, "\5READY", 6) == 0);
    assert_false(bee->is_ready);
    bee->is_ready = true;
    self->opening--;
    self->hooks.ready_fn(self->hooks.arg, self, index);
}

/* --- What comes --------------------------------------------------------------------------- */

/* One frame at the beginning of `in`; returns its length with its head, 0 = not all there. */
static size_t take_frame(struct swarm *self, size_t index, struct zsp_slice in)
{
    struct bee *const bee = &self->bees[index];
    const size_t head = in.len > 0 && (in.data[0] & FLAG_LONG) ? 9 : 2;
    if (in.len < head) {
        return 0;
    }
    uint64_t len = 0;
    for (size_t i = 1; i < head; i++) {
        len = len << 8 | in.data[i];
    }
    if (in.len - head < len) {
        return 0;
    }
    const struct zsp_slice body = {in.data + head, (size_t)len};
    const bool was_inside = bee->is_inside;
    if (in.data[0] & FLAG_COMMAND) {
        take_command(self, index, body);
    } else {
        bee->is_inside = (in.data[0] & FLAG_MORE) != 0;
        if (!was_inside) {
            self->hooks.reply_fn(self->hooks.arg, self, index, body);
        }
    }
    return head + (size_t)len;
}

static void take(struct swarm *self, size_t index)
{
    struct bee *const bee = &self->bees[index];
    uint8_t bytes[READ_BYTES];
    const ssize_t len = recv(bee->fd, bytes, sizeof bytes, 0);
    if (len < 0 && errno == EAGAIN) {
        return;
    }
    assert_true(len > 0); /* the broker closes none */
    zsp_write_bytes(&bee->in, (struct zsp_slice){bytes, (size_t)len});
    assert_false(bee->in.failed);
    struct zsp_slice rest = zsp_writer_slice(&bee->in);
    if (!bee->has_greeting && rest.len >= GREETING_BYTES) {
        bee->has_greeting = true;
        rest = (struct zsp_slice){rest.data + GREETING_BYTES, rest.len - GREETING_BYTES};
    }
    size_t taken = 1;
    while (bee->has_greeting && taken > 0) {
        taken = take_frame(self, index, rest);
        rest = (struct zsp_slice){rest.data + taken, rest.len - taken};
    }
    if (bee->has_greeting) {
        memmove(bee->in.data, rest.data, rest.len);
        bee->in.len = rest.len;
    }
}

void swarm_deafen(struct swarm *self)
{
    struct sock_filter nothing = {.code = BPF_RET | BPF_K, .k = 0};
    const struct sock_fprog program = {.len = 1, .filter = &nothing};
    for (size_t i = 0; i < self->opened; i++) {
        assert_int_equal(
            setsockopt(self->bees[i].fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program),
            0);
    }
}

void swarm_run(struct swarm *self, bool (*done_fn)(void *arg), int64_t deadline_ms)
{
    const int64_t end_ms = now_ms() + deadline_ms;
    while (!done_fn(self->hooks.arg)) {
        assert_true(now_ms() < end_ms);
        while (self->opened < self->count && self->opening < OPENING_MAX) {
            open_bee(self, self->opened);
        }
        struct epoll_event events[EVENTS_MAX];
        const int count = epoll_wait(self->epoll_fd, events, EVENTS_MAX, 100);
        for (int i = 0; i < count; i++) {
            if (self->bees[events[i].data.u64].fd < 0) {
                continue; /* closed just now */
            }
            if (events[i].events & EPOLLOUT) {
                greet(self, (size_t)events[i].data.u64);
            } else {
                take(self, (size_t)events[i].data.u64);
            }
        }
    }
}
