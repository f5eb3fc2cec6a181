/* SPDX-License-Identifier: MPL-2.0
 *
 * A broker that does what a test tells it: a libzmq ROUTER on a thread of its
 * own, which hands every request to the test's handler. It answers HELLO and
 * PING by itself, and can lose replies, cut connections and change its instance:
 * what a real broker does only in bad moments.
 *
 * The handler runs on the fake's thread. Its `arg` may be read by the test after
 * fake_broker_stop(), or through atomics.
 */
#ifndef ZSP_TESTS_FAKE_BROKER_H
#define ZSP_TESTS_FAKE_BROKER_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

struct fake_broker;

struct fake_request {
    struct zsp_slice verb;
    uint64_t id;
    const msgpack_object *args;
    struct zsp_slice body; /* data NULL = none */
    unsigned connection;   /* 1 = of the first HELLO ... */
};

typedef void fake_handler_fn(struct fake_broker *self, const struct fake_request *request,
                             void *arg);

/* What the last HELLO asked for. */
struct fake_hello {
    bool has_resume;
    uint64_t heartbeat_ms; /* 0 = none */
    unsigned pings;        /* since */
};

/* Listen on a free port of 127.0.0.1. Ends the test when that is impossible. */
struct fake_broker *fake_broker_start(fake_handler_fn *handler_fn, void *arg);
/* Ends the thread; the handler is not called any more. */
void fake_broker_stop(struct fake_broker **self_p);
const char *fake_broker_endpoint(const struct fake_broker *self);

/* --- From any thread ------------------------------------------------------------ */

/* A broker of sessions: it has the features `resume`, `bye`, `cancel` and `heartbeat`, and a HELLO
 * with `resume` finds its session, or not. Without it such a HELLO is `unsupported`. */
void fake_sessions(struct fake_broker *self, bool resumes);
/* Answer nothing any more, not even PING and HELLO; connections stay. */
void fake_mute(struct fake_broker *self);
struct fake_hello fake_last_hello(struct fake_broker *self);

/* --- In the handler ------------------------------------------------------------- */

/* Answer OK with a map, see literal.h, and body frames of at most `frame_bytes` (0 = one). */
void fake_reply(struct fake_broker *self, const struct fake_request *request, const char *map);
void fake_reply_body(struct fake_broker *self, const struct fake_request *request, const char *map,
                     struct zsp_slice body, size_t frame_bytes);
/* A PART of the answer: the request is still unanswered. */
void fake_reply_part(struct fake_broker *self, const struct fake_request *request, const char *map);
void fake_reply_part_body(struct fake_broker *self, const struct fake_request *request,
                          const char *map, struct zsp_slice body);
/* Answer two requests in one frame, as a broker does for a session that asked for `coalesce`. */
void fake_reply_two(struct fake_broker *self, const struct fake_request *first,
                    const char *first_map, const struct fake_request *second,
                    const char *second_map);
/* Answer ERR with a code of common/err.h, about `object` (NULL = nothing). */
void fake_refuse(struct fake_broker *self, const struct fake_request *request, int code, bool maybe,
                 const char *object);
/* Close every connection, once the handler returned; clients may come back. */
void fake_drop(struct fake_broker *self);
/* The next HELLO tells another instance. */
void fake_new_instance(struct fake_broker *self);
/* HELLO is refused with this code from now on; 0 = no more. */
void fake_refuse_hello(struct fake_broker *self, int code);
/* The features that HELLO tells from now on, as a literal; it must stay. */
void fake_features(struct fake_broker *self, const char *list);

bool fake_is(const struct fake_request *request, const char *verb);
/* Arguments: a number (`fallback` if it is not there), a text ("" if it is not there). */
uint64_t fake_uint(const struct fake_request *request, const char *key, uint64_t fallback);
struct zsp_slice fake_text(const struct fake_request *request, const char *key);

#endif
