/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "broker/server/listen.h"
#include "broker/server/now.h"
#include "broker/server/server_priv.h"
#include "common/assert.h"
#include "common/limits.h"

/* What one turn does before the socket is looked at again: */
#define STEPS_MAX      64u         /* steps of the driver */
#define TURN_BYTES_MAX (32u << 20) /* bytes read for replies, or sent in them */
#define TURN_WORK_MAX  (16u << 20) /* likewise, see engine_work_bytes() */
#define TURN_MS        20          /* that a turn may take; what is beyond, the broker slept */
#define POLL_MS_MAX    60000       /* an idle broker looks around once a minute */
#define CROWD_GONE     1000u       /* connections; fewer leave too little behind */
#define RUNS_GONE      (32u << 20) /* bytes, likewise */
#define POLL_ITEMS     3

/* --- Making it ---------------------------------------------------------------------------- */

static int bind_all(struct server *self, struct zsp_err *err)
{
    const struct config *const config = self->options.config;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        const int rc = listen_bind(self->socket, config->listen[i], config->ipc_mode,
                                   self->endpoints[self->endpoint_count], err);
        if (rc < 0) {
            return rc;
        }
        self->endpoint_count++;
    }
    return ZSP_OK;
}

static int init(struct server *self, struct zsp_err *err)
{
    const struct config *const config = self->options.config;
    self->pool.limits = (struct credit_limits){.requests = config->requests,
                                               .all_requests = config->all_requests,
                                               .bytes = config->request_bytes,
                                               .waiting_bytes = config->publish_bytes};
    int rc = now_random_bytes(self->instance, sizeof self->instance, err);
    if (rc < 0) {
        return rc;
    }
    if (reply_pool_init(&self->replies, config->reply_bytes, config->all_reply_bytes) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    connection_table_init(&self->connections, now_random(NULL), &self->replies);
    session_table_init(&self->sessions, now_random(NULL));
    self->decoder = wire_decoder_new();
    if (!self->decoder) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->socket = listen_new(self->options.context, &self->socket_fd, err);
    return self->socket ? bind_all(self, err) : ZSP_EIO;
}

struct server *server_new(const struct server_options *options, struct zsp_err *err)
{
    struct server *self = calloc(1, sizeof *self);
    if (!self) {
        (void)zsp_err_set(err, ZSP_ENOMEM, "make the server: out of memory");
        return NULL;
    }
    self->options = *options;
    self->now = now_instant();
    self->has_messages = true; /* perhaps */
    if (init(self, err) < 0) {
        server_destroy(&self);
    }
    return self;
}

/* Without a word to the engine, which may be gone already. */
static void drop_connection(struct server *self, struct connection *connection)
{
    struct outgoing *queued = NULL;
    while ((queued = connection_unqueue(connection))) {
        outgoing_destroy(&queued);
    }
    bundle_drop(connection);
    while (connection->calls) {
        deliver_call_done(self, connection->calls);
    }
    if (connection->session) {
        session_end(&self->sessions, connection->session);
        connection->session = NULL;
    }
    connection_table_remove(&self->connections, connection);
}

void server_destroy(struct server **self_p)
{
    struct server *const self = *self_p;
    if (!self) {
        return;
    }
    while (self->connections.oldest) {
        drop_connection(self, self->connections.oldest);
    }
    connection_table_fini(&self->connections);
    session_table_fini(&self->sessions);
    reply_pool_fini(&self->replies);
    call_table_fini(&self->calls);
    if (self->socket) {
        listen_close(self->options.context, self->socket, self->endpoints, self->endpoint_count);
    }
    wire_decoder_destroy(&self->decoder);
    zsp_writer_fini(&self->writer);
    free(self);
    *self_p = NULL;
}

size_t server_endpoint_count(const struct server *self)
{
    return self->endpoint_count;
}

const char *server_endpoint(const struct server *self, size_t index)
{
    zsp_assert(index < self->endpoint_count);
    return self->endpoints[index];
}

bool server_ready(const struct server *self)
{
    int events = 0;
    size_t len = sizeof events;
    return zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN);
}

enum engine_room server_reply_room(struct server *self, uint64_t ticket, uint32_t bytes)
{
    struct call *const call = call_table_find(&self->calls, ticket);
    if (!call) {
        return ENGINE_NO_ROOM; /* nobody waits for the answer */
    }
    const enum engine_room room =
        reply_room_reserve(&call->connection->room, &self->replies, &call->room, bytes);
    self->figures.over_credit += room == ENGINE_NO_ROOM ? 1u : 0u;
    return room;
}

size_t server_figures(const struct server *self, struct engine_figure *ret, size_t max)
{
    const struct engine_figure figures[] = {
        {"connection_count", self->connections.count},
        {"stuck_count", self->connections.stuck_count},
        {"session_count", self->sessions.count},
        {"detached_count", self->sessions.detached_count},
        {"request_count", self->pool.requests},
        {"request_bytes", self->pool.bytes},
        {"reply_bytes", outflow_bytes(self->replies.outflow)},
        {"reserved_bytes", self->replies.reserved},
        {"over_credit", self->figures.over_credit},
        {"dropped_refusals", self->dropped_count},
        {"sessions_resumed", self->figures.sessions_resumed},
        {"sessions_silent", self->figures.sessions_silent},
        {"beats_sent", self->figures.beats_sent},
        {"bundles_sent", self->figures.bundles_sent},
        {"cpu_us", now_cpu_us()},
    };
    const size_t count = sizeof figures / sizeof figures[0];
    zsp_assert(count <= max);
    memcpy(ret, figures, sizeof figures);
    return count;
}

/* --- The loop ------------------------------------------------------------------------------ */

/* Step the driver and send what comes out, until both are quiet. True = bounded:
 * there is more to do. */
static bool step(struct server *self)
{
    const struct engine *const engine = self->options.engine;
    const uint64_t read_before = self->options.driver->read_bytes;
    const uint64_t work_before = engine_work_bytes(engine);
    self->turn_bytes = 0;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        if (self->turn_bytes + self->options.driver->read_bytes - read_before > TURN_BYTES_MAX) {
            break;
        }
        const bool came_back = driver_pump(self->options.driver, self->now);
        deliver_effects(self);
        if (self->state == SERVER_STOPPING) {
            return false;
        }
        const bool started = driver_start(self->options.driver);
        if (!came_back && !started) {
            return false;
        }
        if (engine_work_bytes(engine) - work_before > TURN_WORK_MAX) {
            break;
        }
    }
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long the loop may wait: 0 when there is work left. */
static long wait_ms(const struct server *self, bool more)
{
    if (more) {
        return 0;
    }
    int64_t deadline_ms =
        earlier(earlier(driver_deadline_ms(self->options.driver), deliver_deadline_ms(self)),
                attach_deadline_ms(self));
    if (self->state == SERVER_DRAINING) {
        deadline_ms = earlier(deadline_ms, self->drain_until_ms);
    }
    const int64_t now_ms = now_instant().mono_ms;
    if (deadline_ms <= now_ms) {
        return 0;
    }
    return (long)earlier(deadline_ms - now_ms, POLL_MS_MAX);
}

/* Not zmq_poll(): for a ROUTER it asks the socket twice and polls twice, each time.
 * The socket's descriptor is edge-triggered, so the socket itself is asked before every wait. */
static int wait_for_events(struct server *self, long timeout_ms, struct zsp_err *err)
{
    struct pollfd items[POLL_ITEMS] = {
        {.fd = self->socket_fd, .events = POLLIN},
        {.fd = self->options.jobs_fd, .events = POLLIN},
        {.fd = self->options.host_fd, .events = POLLIN}, /* ignored below 0 */
    };
    const bool has_messages = self->has_more_messages || server_ready(self);
    const int rc = poll(items, POLL_ITEMS, has_messages ? 0 : (int)timeout_ms);
    if (rc < 0 && errno != EINTR) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "poll");
    }
    self->has_messages = has_messages || rc < 0 || items[0].revents != 0;
    if (rc > 0 && (items[2].revents & POLLIN)) {
        self->options.host_fn(self->options.host_arg, self);
    }
    return ZSP_OK;
}

/* Is everything that was accepted decided and durable? */
static bool settled(const struct server *self)
{
    return !engine_busy(self->options.engine) && !driver_busy(self->options.driver);
}

/* And has every answer left? */
static bool quiet(const struct server *self)
{
    return settled(self) && self->calls.used_count == 0;
}

/* Has the loop come to its end? */
static bool ended(struct server *self)
{
    if (self->state == SERVER_DRAINING &&
        (quiet(self) || self->now.mono_ms >= self->drain_until_ms)) {
        self->state = SERVER_STOPPING;
    }
    return self->state == SERVER_STOPPING;
}

/* Begin a turn; the last one, with its wait, may have taken longer than it should. */
static void look_at_clock(struct server *self)
{
    const struct instant now = now_instant();
    const int64_t late_ms = now.mono_ms - self->now.mono_ms - self->waited_ms;
    self->asleep_ms += late_ms > TURN_MS ? late_ms - TURN_MS : 0;
    if (late_ms > (int64_t)ZSP_STALL_MS) {
        self->grace_until_ms = now.mono_ms + (int64_t)ZSP_STALL_GRACE_MS;
    }
    self->now = now;
}

/* Has most of a peak gone, and `gone` at least? The highest since is *peak. */
static bool is_over(size_t now, size_t gone, size_t *peak)
{
    *peak = now > *peak ? now : *peak;
    return *peak - now >= gone && now < *peak / 2;
}

/* After a crowd has gone, or a backlog of what was out, while nothing is to be done. */
static void give_memory_back(struct server *self)
{
    const size_t count = self->connections.count;
    const size_t run_bytes = engine_run_bytes(self->options.engine);
    const bool are_few = is_over(count, CROWD_GONE, &self->crowd);
    const bool is_little = is_over(run_bytes, RUNS_GONE, &self->run_bytes);
    if (self->options.trim_fn && (are_few || is_little)) {
        self->crowd = count;
        self->run_bytes = run_bytes;
        self->options.trim_fn();
    }
}

static int turn(struct server *self, struct zsp_err *err)
{
    look_at_clock(self);
    if (self->has_messages) {
        const int rc = intake(self, &self->has_more_messages, err);
        if (rc < 0) {
            return rc;
        }
    }
    const bool more_steps = step(self);
    deliver_retry(self);
    attach_expire(self);
    if (ended(self)) {
        return ZSP_OK;
    }
    self->waited_ms = wait_ms(self, self->has_more_messages || more_steps);
    if (self->waited_ms > 0) {
        give_memory_back(self);
    }
    return wait_for_events(self, (long)self->waited_ms, err);
}

static int result(const struct server *self, struct zsp_err *err)
{
    if (self->failure.code != 0) {
        if (err) {
            *err = self->failure;
            err->code = ZSP_ESTORAGE_FAILED;
        }
        return ZSP_ESTORAGE_FAILED;
    }
    if (!settled(self)) {
        return zsp_err_set(err, ZSP_EINTERRUPTED, "stopped with %zu requests unanswered",
                           self->calls.used_count);
    }
    if (self->calls.used_count > 0) {
        zsp_diag(self->options.diag, ZSP_WARNING, "%zu answers were not taken by their peers",
                 self->calls.used_count);
    }
    return ZSP_OK;
}

int server_run(struct server *self, struct zsp_err *err)
{
    while (self->state != SERVER_STOPPING) {
        const int rc = turn(self, err);
        if (rc < 0) {
            return rc;
        }
    }
    return result(self, err);
}

void server_drain(struct server *self, int64_t ms)
{
    self->now = now_instant();
    const int64_t until_ms =
        ms < INT64_MAX - self->now.mono_ms ? self->now.mono_ms + ms : INT64_MAX;
    switch (self->state) {
    case SERVER_SERVING:
        self->state = SERVER_DRAINING;
        self->drain_until_ms = until_ms;
        engine_drain(self->options.engine, self->now);
        break;
    case SERVER_DRAINING:
        self->drain_until_ms = earlier(self->drain_until_ms, until_ms);
        break;
    case SERVER_STOPPING:
        break;
    }
}
