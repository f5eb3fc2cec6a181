/* SPDX-License-Identifier: MPL-2.0
 *
 * The envelope of a request: what a REQ socket, REQ_CORRELATE or proxies put
 * before it, up to and including the first empty frame among the first nine;
 * none there = no envelope. It is kept with the request and goes back unchanged
 * before the reply. No frame of it is ever looked at.
 */
#ifndef ZSP_SERVER_ENVELOPE_H
#define ZSP_SERVER_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/limits.h"

#define ENVELOPE_FRAMES_MAX (ZSP_ENVELOPE_FRAMES_MAX + 1u) /* with the empty one */
#define ENVELOPE_BYTES_MAX  4096u /* eight routing ids have at most 2,040 */

struct envelope {
    uint8_t count;                      /* frames, the empty one included; 0 = none */
    uint16_t lens[ENVELOPE_FRAMES_MAX]; /* of each */
    uint8_t *bytes;                     /* all of them end to end; NULL = all empty */
};

/* How many of the `count` frames (routing id not among them) are the envelope. */
size_t envelope_length(const struct zsp_slice *frames, size_t count);

/* Keep a copy of the first `count` frames, as envelope_length() told.
 *
 * Errors: ZSP_ETOO_LARGE  more than ENVELOPE_BYTES_MAX; *self is empty then
 *         ZSP_ENOMEM
 */
int envelope_copy(struct envelope *self, const struct zsp_slice *frames, size_t count,
                  struct zsp_err *err);
void envelope_fini(struct envelope *self);

/* Frame `index` < count; lent until envelope_fini(). */
struct zsp_slice envelope_frame(const struct envelope *self, size_t index);

#endif
