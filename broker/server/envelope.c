/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

_Static_assert(ENVELOPE_BYTES_MAX <= UINT16_MAX, "a frame's length fits lens");

size_t envelope_length(const struct zsp_slice *frames, size_t count)
{
    const size_t searched = count < ENVELOPE_FRAMES_MAX ? count : ENVELOPE_FRAMES_MAX;
    for (size_t i = 0; i < searched; i++) {
        if (frames[i].len == 0) {
            return i + 1;
        }
    }
    return 0;
}

int envelope_copy(struct envelope *self, const struct zsp_slice *frames, size_t count,
                  struct zsp_err *err)
{
    zsp_assert(count <= ENVELOPE_FRAMES_MAX);
    *self = (struct envelope){0};
    size_t left = ENVELOPE_BYTES_MAX;
    for (size_t i = 0; i < count; i++) {
        if (frames[i].len > left) {
            return zsp_err_set_about(err, ZSP_ETOO_LARGE, "envelope",
                                     "the envelope has more than %u bytes", ENVELOPE_BYTES_MAX);
        }
        left -= frames[i].len;
    }
    const size_t total = ENVELOPE_BYTES_MAX - left;
    if (total > 0) {
        self->bytes = malloc(total);
        if (!self->bytes) {
            return zsp_err_set(err, ZSP_ENOMEM, "keep an envelope of %zu bytes", total);
        }
    }
    size_t pos = 0;
    for (size_t i = 0; i < count; i++) {
        self->lens[i] = (uint16_t)frames[i].len;
        if (frames[i].len > 0) {
            memcpy(self->bytes + pos, frames[i].data, frames[i].len);
        }
        pos += frames[i].len;
    }
    self->count = (uint8_t)count;
    return ZSP_OK;
}

void envelope_fini(struct envelope *self)
{
    free(self->bytes);
    *self = (struct envelope){0};
}

struct zsp_slice envelope_frame(const struct envelope *self, size_t index)
{
    zsp_assert(index < self->count);
    size_t pos = 0;
    for (size_t i = 0; i < index; i++) {
        pos += self->lens[i];
    }
    static const uint8_t nothing[1] = {0};
    return (struct zsp_slice){self->bytes ? self->bytes + pos : nothing, self->lens[index]};
}
