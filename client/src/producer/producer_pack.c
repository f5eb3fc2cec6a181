/* SPDX-License-Identifier: MPL-2.0
 *
 * A batch is compressed when its turn to be sent comes: on the link's thread, one at a time, with the
 * link unlocked, so that zspool_send() does not wait for it. It is closed before: nobody
 * writes to it any more. All else that could take it away runs on the link's thread, too, but for
 * zspool_producer_destroy(), which waits.
 */
#include <stdlib.h>

#include "client/src/producer/producer_priv.h"
#include "common/container.h"

#define WORTH_BYTES  512u /* smaller batches stay plain */
#define WORTH_FACTOR 16u  /* and those that do not lose one part in so many */

static void pack(struct zsp_port *port)
{
    struct zspool_producer *self = CONTAINER_OF(port, struct zspool_producer, port);
    struct zsp_batch *batch = self->packing;
    const struct zsp_slice raw = zsp_writer_slice(&batch->bytes);
    const size_t capacity = raw.len - raw.len / WORTH_FACTOR;
    uint8_t *out = malloc(capacity);
    const int64_t len = out ? zsp_pack(self->packer, raw, out, capacity) : 0;
    /* Without memory it goes as it is. */
    batch->packed = len > 0 ? zsp_buf_copy((struct zsp_slice){out, (size_t)len}) : NULL;
    free(out);
    batch->pack_done = true;
    self->packing = NULL;
}

static bool broker_knows(const struct zspool_producer *self)
{
    return zsp_hello_has(zsp_link_hello(self->client->link), ZSP_CODEC_ZSTD_NAME);
}

bool zsp_batch_ready(struct zsp_batch *self)
{
    struct zspool_producer *producer = self->producer;
    if (!producer->packer || self->pack_done || self->bytes.len < WORTH_BYTES ||
        !broker_knows(producer)) {
        return true;
    }
    self->closed = true;
    producer->packing = self;
    producer->port.work_fn = pack;
    return false;
}

struct zsp_buf *zsp_batch_body(struct zsp_batch *self)
{
    if (self->packed && broker_knows(self->producer)) {
        return self->packed;
    }
    self->buf.data = self->bytes.data;
    self->buf.len = self->bytes.len;
    return &self->buf;
}
