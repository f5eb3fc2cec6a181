/* SPDX-License-Identifier: MPL-2.0
 *
 * HELLO: what a client says when a connection stands, and what the broker tells
 * about itself. Plain values, no thread of its own.
 */
#ifndef ZSP_CLIENT_HANDSHAKE_H
#define ZSP_CLIENT_HANDSHAKE_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

struct zsp_hello {
    uint64_t version;
    char broker[64];
    uint8_t instance[16]; /* new with every start of the broker */
    char features[512];   /* joined by one space */
    uint8_t session[16];
    bool resumed; /* it is the session that was asked for */
    uint64_t session_timeout_ms;
    uint64_t now_ms; /* the broker's wall time when it answered */
    uint64_t max_requests, max_request_bytes, max_header, max_frame, max_record, max_reply,
        max_runs, max_wait_ms;
    uint64_t max_batches; /* 0 = PUBLISH takes one */
};

/* What a HELLO asks for. */
struct zsp_hello_wish {
    const char *name;      /* NULL = none */
    const uint8_t *resume; /* a session of 16 bytes; NULL = a new one */
    uint64_t heartbeat_ms; /* 0 = none */
    bool is_plain;         /* nothing but the bare protocol: for brokers that know no more */
};

/* Append the arguments of HELLO. */
void zsp_hello_write(struct zsp_writer *out, const struct zsp_hello_wish *wish);

/* Read the reply. Limits that are missing, zero or beyond ours are set to ours.
 * Errors: ZSP_EBAD_REQUEST       the reply lacks something or has a wrong type
 *         ZSP_EVERSION_MISMATCH  the broker chose a version that was not offered */
int zsp_hello_read(const msgpack_object *map, struct zsp_hello *ret, struct zsp_err *err);

/* Does the broker name this feature? */
bool zsp_hello_has(const struct zsp_hello *self, const char *feature);

#endif
