/* SPDX-License-Identifier: MPL-2.0
 *
 * A session: what HELLO begins on a connection. It allows requests with ids
 * above 0, whose ids increase, and ends after a time without a request (or with
 * the connection). Pure bookkeeping: time comes in, nothing goes out.
 *
 *      NONE ---session_begin---> OPEN ---session_end---> NONE
 *   OPEN -> OPEN  session_begin   a second HELLO: another session takes the place
 */
#ifndef ZSP_SERVER_SESSION_H
#define ZSP_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define SESSION_ID_BYTES 16u

struct session {
    uint64_t number;              /* the engine's name for it; 0 = NONE */
    uint8_t id[SESSION_ID_BYTES]; /* the client's name for it, random */
    uint64_t last_request_id;     /* 0 = none yet */
};

/* Begin a session in place of whatever was there. `number` is never 0 and never
 * used again. `first_request_id` = the id of the HELLO, 0 allowed. */
void session_begin(struct session *self, uint64_t number, const uint8_t id[SESSION_ID_BYTES],
                   uint64_t first_request_id);
void session_end(struct session *self);
bool session_open(const struct session *self);

/* May a request with this id come now? 0 always may, it belongs to no session.
 * A higher id is remembered.
 *
 * Errors: ZSP_EHELLO_REQUIRED  no session on this connection
 *         ZSP_EBAD_REQUEST     not above the last one
 */
int session_admit(struct session *self, uint64_t request_id, struct zsp_err *err);

#endif
