/* SPDX-License-Identifier: MPL-2.0
 *
 * The verbs that concern a connection and not the log: HELLO and PING are
 * answered here, of a BYE only the arguments are looked at. Reading arguments and
 * writing replies only; the server keeps sessions.
 */
#ifndef ZSP_SERVER_HELLO_H
#define ZSP_SERVER_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/server/config.h"
#include "broker/server/session.h"
#include "common/bytes.h"
#include "common/wire.h"

#define INSTANCE_BYTES 16u

enum hello_verb {
    HELLO_NONE, /* not one of these: the engine's */
    HELLO_HELLO,
    HELLO_PING,
    HELLO_BYE /* the engine's, and the end of a session */
};
enum hello_verb hello_verb(struct zsp_slice verb);

/* What a HELLO asks; slices are lent by the decoder. */
struct hello_args {
    struct zsp_slice client; /* the program, for people; data NULL = not told */
    struct zsp_slice name;   /* of this instance of it; likewise */
    struct zsp_slice resume; /* the id of a session; likewise */
    bool knows_zstd;         /* among the codecs that it offers */
    struct session_terms terms;
};

/* Check a HELLO's arguments.
 *
 * Errors: those of wire_args(); ZSP_EVERSION_MISMATCH when `versions` lacks ours
 */
int hello_read(const msgpack_object *args, struct hello_args *ret, struct zsp_err *err);

/* What the reply to a HELLO tells. */
struct hello_reply {
    uint64_t id;             /* of the request */
    const uint8_t *instance; /* INSTANCE_BYTES: this run of the broker */
    const struct session *session;
    bool is_resumed;
    bool knows_zstd; /* the client does */
    const struct config *config;
    int64_t now_ms; /* wall */
};
/* Write the whole header. */
void hello_write(struct zsp_writer *out, const struct hello_reply *reply);

/* Check a PING's arguments (none) and write the whole reply. Errors: those of wire_args(). */
int hello_ping(struct zsp_writer *out, uint64_t id, const msgpack_object *args, int64_t now_ms,
               struct zsp_err *err);

/* Check a BYE's arguments. Errors: those of wire_args(). */
int hello_bye(const msgpack_object *args, struct zsp_err *err);

/* Write a whole BEAT. */
void hello_beat(struct zsp_writer *out, int64_t now_ms);

#endif
