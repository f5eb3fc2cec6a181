/* SPDX-License-Identifier: MPL-2.0
 *
 * A client of zspool/1 made of libzmq and the protocol alone: what a stranger
 * would write, for tests that must also send what the library never would. Each
 * wait has a deadline and ends the test when it passes.
 */
#ifndef ZSP_TESTS_RAW_CLIENT_H
#define ZSP_TESTS_RAW_CLIENT_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/compiler.h"
#include "common/wire.h"

#define RAW_DEADLINE_MS   20000
#define RAW_FRAMES_MAX    128u
#define RAW_SESSION_BYTES 16u /* of the name of a session */

struct raw_client {
    void *context;
    void *socket;
    struct wire_decoder *decoder;
    /* The last reply; valid until the next receive. */
    struct wire_reply reply;
    struct zsp_slice frames[RAW_FRAMES_MAX]; /* all of them */
    uint8_t *frame_bytes[RAW_FRAMES_MAX];
    size_t frame_count;
    size_t header_index;   /* frames before it are the envelope */
    size_t position;       /* of the last reply among those of its message; 0 = the first */
    struct zsp_slice rest; /* of the header frame: replies that came together with the last one */
    struct zsp_writer body;
    char text[8192]; /* the header as text, see wire_print() */
};

/* Connect a socket of `type` (ZMQ_DEALER, ZMQ_REQ ...). */
void raw_client_init(struct raw_client *self, const char *endpoint, int type);
/* Connect a DEALER whose libzmq takes in no more than a message or two: what the
 * test does not receive stays with the broker. */
void raw_client_init_slow(struct raw_client *self, const char *endpoint);
/* Close without waiting for what is unsent. */
void raw_client_fini(struct raw_client *self);

/* Send frames as they are. */
void raw_send(struct raw_client *self, const struct zsp_slice *frames, size_t count);
/* Send a request; `args` is a literal (literal.h), each body one frame as it is.
 * A DEALER sends no envelope. */
void raw_request(struct raw_client *self, uint64_t id, const char *verb, const char *args);
void raw_request_body(struct raw_client *self, uint64_t id, const char *verb, const char *args,
                      struct zsp_slice body);

/* Receive the next reply, alone or one of several in a frame; false = none came within `ms`. */
bool raw_receive_within(struct raw_client *self, long ms);
/* Receive the next reply, of any status. */
void raw_receive(struct raw_client *self);

/* Request id 0 and its reply, whatever it says. `args` is a printf format. */
void raw_ask(struct raw_client *self, const char *verb, const char *args, ...) ZSP_PRINTF(3, 4);
/* The same, which must be answered OK. */
void raw_call(struct raw_client *self, const char *verb, const char *args, ...) ZSP_PRINTF(3, 4);
/* Publish one message without key; must be confirmed. Returns its offset. */
uint64_t raw_publish(struct raw_client *self, const char *topic, const char *payload);
/* HELLO with `resume`, which must be answered OK. True = the session was there. */
bool raw_resume(struct raw_client *self, const uint8_t session[RAW_SESSION_BYTES]);

/* Of the last reply: */
bool raw_is_ok(const struct raw_client *self);
/* Is it an ERR with this code? Ends the test with the reply when it is not. */
void raw_expect_error(const struct raw_client *self, const char *code);
/* A value of its map that must be there. */
uint64_t raw_uint(const struct raw_client *self, const char *key);
struct zsp_slice raw_str(const struct raw_client *self, const char *key);
const msgpack_object *raw_value(const struct raw_client *self, const char *key);
/* The name of the session that it, an answer to HELLO, tells. */
void raw_session(const struct raw_client *self, uint8_t ret_session[RAW_SESSION_BYTES]);
/* Frames of the body, end to end; valid until the next call of it. */
struct zsp_slice raw_body(struct raw_client *self);

/* Append one record that is a payload and nothing else. */
void raw_record(struct zsp_writer *out, struct zsp_slice payload);

#endif
