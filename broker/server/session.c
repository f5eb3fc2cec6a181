/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/session.h"

#include <inttypes.h>
#include <string.h>

#include "common/assert.h"

void session_begin(struct session *self, uint64_t number, const uint8_t id[SESSION_ID_BYTES],
                   uint64_t first_request_id)
{
    zsp_assert(number != 0);
    self->number = number;
    memcpy(self->id, id, SESSION_ID_BYTES);
    self->last_request_id = first_request_id;
}

void session_end(struct session *self)
{
    memset(self, 0, sizeof *self);
}

bool session_open(const struct session *self)
{
    return self->number != 0;
}

int session_admit(struct session *self, uint64_t request_id, struct zsp_err *err)
{
    if (request_id == 0) {
        return ZSP_OK;
    }
    if (!session_open(self)) {
        return zsp_err_set(err, ZSP_EHELLO_REQUIRED,
                           "request id %" PRIu64 " needs a HELLO on this connection", request_id);
    }
    if (request_id <= self->last_request_id) {
        return zsp_err_set(err, ZSP_EBAD_REQUEST,
                           "request id %" PRIu64 " does not follow %" PRIu64
                           ": the ids of a session increase",
                           request_id, self->last_request_id);
    }
    self->last_request_id = request_id;
    return ZSP_OK;
}
