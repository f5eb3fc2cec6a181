/* SPDX-License-Identifier: MPL-2.0
 *
 * A broker in the form of a czmq actor: commands come in through the pipe, and are
 * answered there. The broker itself runs on threads of its own; this one only
 * waits for commands, and for its end. The only file of the broker that knows czmq.
 */
#include <czmq.h>
#include <stdatomic.h>

#include "broker/embed/embedded_config.h"
#include "broker/embed/zspool_broker.h"
#include "common/err.h"
#include "common/thread.h"

#define NUMBER_DIGITS_MAX 9
#define ROOM_MS           5000

struct actor {
    zsock_t *pipe;
    zspool_broker_t *broker; /* NULL = could not be started */
    char failure[256];       /* why */
    atomic_bool verbose;     /* read on the broker's threads */
    bool end_told;           /* the host knows that it has ended */
    bool terminated;
};

/* --- Diagnostic lines, where the host has no place for them --------------------------------- */

static void print_line(void *arg, zspool_broker_level_t level, const char *line)
{
    const struct actor *const self = arg;
    const bool verbose = atomic_load_explicit(&self->verbose, memory_order_relaxed);
    switch (level) {
    case ZSPOOL_BROKER_DEBUG:
        if (verbose) {
            zsys_debug("%s", line);
        }
        break;
    case ZSPOOL_BROKER_INFO:
        if (verbose) {
            zsys_info("%s", line);
        }
        break;
    case ZSPOOL_BROKER_WARNING:
        zsys_warning("%s", line);
        break;
    case ZSPOOL_BROKER_ERROR:
        zsys_error("%s", line);
        break;
    }
}

/* --- Replies; who does not read a thousand of them loses the rest ------------------------------ */

static void reply(const struct actor *self, const char *word, const char *first, const char *second)
{
    (void)zstr_sendx(self->pipe, word, first, second, NULL);
}

static void reply_error(const struct actor *self, const char *what, const char *frame)
{
    char text[160];
    (void)snprintf(text, sizeof text, "%s '%.100s'", what, frame);
    reply(self, "ERROR", text, NULL);
}

static const char *state_name(zspool_broker_state_t state)
{
    switch (state) {
    case ZSPOOL_BROKER_SERVING:
        return "serving";
    case ZSPOOL_BROKER_STOPPING:
        return "stopping";
    case ZSPOOL_BROKER_STOPPED:
        return "stopped";
    case ZSPOOL_BROKER_FAILED:
        return "failed";
    }
    return "";
}

static void reply_status(const struct actor *self)
{
    if (!self->broker) {
        reply(self, "STATUS", "failed", self->failure);
        return;
    }
    zspool_error_t error = {0};
    const zspool_broker_state_t state = zspool_broker_state(self->broker);
    if (state == ZSPOOL_BROKER_STOPPED || state == ZSPOOL_BROKER_FAILED) {
        (void)zspool_broker_wait(self->broker, 0, &error); /* tells by `error` */
    }
    reply(self, "STATUS", state_name(state), error.message);
}

/* --- Commands ------------------------------------------------------------------------------------ */

/* The next frame as a number, `standard` without one; false: it is none, and that was told. */
static bool take_number(const struct actor *self, zmsg_t *message, int standard, int *ret)
{
    char *const text = zmsg_popstr(message);
    if (!text) {
        *ret = standard;
        return true;
    }
    const size_t len = strlen(text);
    const bool good = len > 0 && len <= NUMBER_DIGITS_MAX && strspn(text, "0123456789") == len;
    if (good) {
        *ret = (int)strtol(text, NULL, 10);
    } else {
        reply_error(self, "no number:", text);
    }
    free(text);
    return good;
}

static void take_verbose(struct actor *self, zmsg_t *message)
{
    (void)message;
    atomic_store_explicit(&self->verbose, true, memory_order_relaxed);
}

static void take_endpoint(struct actor *self, zmsg_t *message)
{
    int index = 0;
    if (take_number(self, message, 0, &index)) {
        const char *const endpoint = zspool_broker_endpoint(self->broker, (size_t)index);
        reply(self, "ENDPOINT", endpoint ? endpoint : "", NULL);
    }
}

static void take_status(struct actor *self, zmsg_t *message)
{
    (void)message;
    reply_status(self);
}

static void take_stop(struct actor *self, zmsg_t *message)
{
    int timeout_ms = 0;
    if (!take_number(self, message, ZSPOOL_BROKER_STOP_MS, &timeout_ms)) {
        return;
    }
    if (self->broker) {
        (void)zspool_broker_stop(self->broker, timeout_ms, NULL); /* the status tells how it went */
        self->end_told = true;
    }
    reply_status(self);
}

static void take_term(struct actor *self, zmsg_t *message)
{
    (void)message;
    self->terminated = true;
}

static const struct {
    const char *word;
    void (*take_fn)(struct actor *self, zmsg_t *message);
} commands[] = {
    {"VERBOSE", take_verbose}, {"ENDPOINT", take_endpoint}, {"STATUS", take_status},
    {"STOP", take_stop},       {"$TERM", take_term},
};

static void take_command(struct actor *self)
{
    zmsg_t *message = zmsg_recv(self->pipe);
    char *const word = message ? zmsg_popstr(message) : NULL;
    bool known = !word; /* interrupted: poll again */
    for (size_t i = 0; i < sizeof commands / sizeof commands[0] && !known; i++) {
        if (streq(word, commands[i].word)) {
            commands[i].take_fn(self, message);
            known = true;
        }
    }
    if (!known) {
        reply_error(self, "unknown command", word);
    }
    free(word);
    zmsg_destroy(&message);
}

/* --- The actor --------------------------------------------------------------------------------- */

static void start(struct actor *self, const zspool_broker_options_t *given)
{
    zspool_broker_options_t options;
    struct zsp_err report = {0};
    zspool_error_t error = {0};
    if (embedded_options_read(&options, given, &report) < 0) {
        (void)snprintf(self->failure, sizeof self->failure, "%s", report.msg);
        return;
    }
    if (!options.zmq_context) {
        options.zmq_context = zsys_init(); /* was called for the pipe: only tells */
    }
    if (!options.diag_fn) {
        options.diag_fn = print_line;
        options.diag_arg = self;
    }
    self->broker = zspool_broker_new(&options, &error);
    (void)snprintf(self->failure, sizeof self->failure, "%s", error.message);
}

/* Unasked. */
static void tell_failed(struct actor *self)
{
    zspool_error_t error = {0};
    if (self->broker) {
        (void)zspool_broker_wait(self->broker, 0, &error); /* tells by `error` */
    }
    reply(self, "FAILED", self->broker ? error.message : self->failure, NULL);
    self->end_told = true;
}

/* Behind us czmq sends the signal that zactor_destroy() waits for, or drops it when the pipe is
 * full of replies that nobody read; zactor_destroy() is about to read them. */
static void await_room(zsock_t *pipe)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(pipe), .events = ZMQ_POLLOUT};
    (void)zmq_poll(&item, 1, ROOM_MS); /* a host that is gone makes no room */
}

void zspool_broker_actor(zsock_t *pipe, void *args)
{
    struct actor self = {.pipe = pipe};
    sigset_t before;
    zsp_signals_block(&before); /* czmq lets signals reach its threads; they are for the host's */
    start(&self, args);
    (void)zsock_signal(pipe, 0); /* zactor_new() waits for it */
    zsock_set_sndtimeo(pipe, 0);
    if (!self.broker) {
        tell_failed(&self);
    }
    while (!self.terminated) {
        zmq_pollitem_t items[2] = {
            {.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN},
            {.fd = zspool_broker_fd(self.broker), .events = ZMQ_POLLIN},
        };
        const int ready = zmq_poll(items, self.end_told ? 1 : 2, -1);
        if (ready < 0 && errno != EINTR) {
            break; /* the context is gone, and with it the pipe */
        }
        if (ready > 0 && !self.end_told && items[1].revents != 0) {
            tell_failed(&self);
        }
        if (ready > 0 && items[0].revents != 0) {
            take_command(&self);
        }
    }
    zspool_broker_destroy(&self.broker);
    await_room(pipe);
}
